/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What lies where on a device: cells of a range, and whose pages they are.
 *
 * No block leads to its page: that would cost memory for every block, for the
 * sake of those who look.  So the swap maps are looked through, as page-back
 * does, a piece at a time, and whoever looks comes back for the next piece.
 *
 *	O1  A call looks at no more than WORK entries and objects, and holds an
 *	    object's lock for LOOK_PAGES pages at most: nobody who pages waits
 *	    for a viewer longer than for page-back.
 *	O2  The place is a slot of the object table and a page.  Objects that
 *	    come and go meanwhile are seen or not; nothing is seen twice that
 *	    stays where it is.
 *	O3  A run is cut where a piece ends: it may come in two parts.
 */
#include "pager-impl.h"

#include <errno.h>
#include <string.h>

#include "util.h"

#define WORK		UINT64_C(100000)	/* of one call */
#define OBJECT_WORK	16u		/* what an object counts as */
#define LOOK_PAGES	UINT64_C(16384)	/* under one lock */

struct look {
	struct core	*core;
	uint64_t	 lo, hi;	/* addresses of the range */
	uint64_t	 begin;		/* of the device */
	struct swap_owner *owners;
	size_t		 n, max;
	uint64_t	 work;		/* done */
	const struct swap_object *object;
	uint64_t	 next;		/* page to go on with */
};

int
swap_pager_range(struct swap_pager *pager, const char *spec, uint64_t first,
		 uint64_t nblocks, size_t ncells,
		 struct swap_range_cell cells[], struct swap_error *error)
{
	return space_range(&pager->core.space, spec, first, nblocks, ncells,
			   cells, error);
}

/* Does the entry go on with the last run? */
static bool
extends(const struct look *look, uint64_t page, uint64_t block)
{
	const struct swap_owner *last;

	if (look->n == 0)
		return false;
	last = &look->owners[look->n - 1];
	return last->object == look->object->id &&
	       last->page + last->nblocks == page &&
	       last->block + last->nblocks == block - look->begin;
}

/* One entry of a map; object locked.  Non-zero: no more now. */
static int
take_entry(void *arg, uint64_t page, uint64_t block)
{
	struct look *look = arg;
	const struct swap_object *object = look->object;
	struct swap_owner *owner;

	look->work++;
	if (block >= look->lo && block < look->hi) {
		if (extends(look, page, block)) {
			look->owners[look->n - 1].nblocks++;
		} else if (look->n == look->max) {
			look->next = page;
			return 1;
		} else {
			owner = &look->owners[look->n++];
			memset(owner, 0, sizeof(*owner));
			owner->block = block - look->begin;
			owner->nblocks = 1;
			owner->object = object->id;
			owner->page = page;
			owner->uid = (uint32_t)object->uid;
			owner->pid = (int32_t)object->pid;
			memcpy(owner->name, object->name, sizeof(owner->name));
			memcpy(owner->command, object->command,
			       sizeof(owner->command));
		}
	}
	look->next = page + 1;
	return look->work >= WORK;
}

/*
 * Look at some pages of an object from look->next on.  True: there is nothing
 * behind them.
 */
static bool
look_pages(struct look *look, struct swap_object *object)
{
	uint64_t page, block, n;
	bool done;

	object_lock(object);
	done = object->dead || look->next >= object->npages ||
	       !swapmap_find(object->map, look->next, &page, &block);
	if (!done) {
		n = min_u64(LOOK_PAGES, object->npages - page);
		look->next = page;
		if (swapmap_each(object->map, page, n, take_entry, look) == 0)
			look->next = page + n;
		done = look->next >= object->npages;
	}
	object_unlock(object);
	return done;
}

/* True: the object in this slot is done. */
static bool
look_slot(struct look *look, uint64_t slot)
{
	struct swap_object *object = object_hold_slot(look->core,
						      (uint32_t)slot);
	bool done = true;

	look->work += OBJECT_WORK;
	if (object == NULL)
		return true;
	look->object = object;
	do
		done = look_pages(look, object);
	while (!done && look->work < WORK && look->n < look->max);
	object_drop(object);
	return done;
}

static uint64_t
count_slots(struct core *core)
{
	uint64_t n;

	pthread_mutex_lock(&core->table.lock);
	n = core->table.nslots;
	pthread_mutex_unlock(&core->table.lock);
	return n;
}

int64_t
swap_pager_owners(struct swap_pager *pager, const char *spec, uint64_t first,
		  uint64_t nblocks, struct swap_owners_place *place,
		  struct swap_owner owners[], size_t n,
		  struct swap_error *error)
{
	struct core *core = &pager->core;
	struct look look = { .core = core, .owners = owners, .max = n };
	uint64_t nslots = count_slots(core);
	int r;

	if (n == 0 || n > SWAP_OWNERS_MAX)
		return error_set(error, -EINVAL, "room for %zu owners; there "
				 "can be 1 to %u", n, SWAP_OWNERS_MAX);
	r = space_range_find(&core->space, spec, first, nblocks, &look.begin,
			     error);
	if (r < 0)
		return r;
	look.lo = look.begin + first;
	look.hi = look.lo + nblocks;
	look.next = place->page;
	while (place->slot < nslots && look.work < WORK && look.n < n) {
		if (!look_slot(&look, place->slot))
			break;
		place->slot++;
		look.next = 0;
	}
	place->page = look.next;
	place->done = place->slot >= nslots;
	return (int64_t)look.n;
}
