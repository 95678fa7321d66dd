/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pages on request.
 *
 * NetBSD's uao_get has two steps, and so has this: first what costs nothing is
 * done, that is what needs neither I/O nor waiting; then, unless the caller
 * would not wait, what must come.
 *
 *	G1  Nothing is pushed out for a page that need not come: it comes only
 *	    where RAM is above the mark at which page-out begins, and so is that
 *	    of the object's pool.
 *	G2  A page that comes from its block is clean and keeps the block, where
 *	    that is not wanted back; new ones are dirty.
 *	G3  The caller owns no page when it waits for RAM (see pageback.c).
 *
 * What is said of pages is what they were when it was looked at: nothing keeps
 * them there.
 *
 * Costs: one byte of each page is looked at twice; for a run of new pages, one
 * mapping of the memfd; for a run of swapped ones one read.
 */
#include "getpages.h"

#include <errno.h>

#include "copy.h"
#include "pageback.h"
#include "pageio.h"
#include "util.h"

#define NEW_RUN		64u		/* pages filled with zeros at once */
#define LOOK_PAGES	65536u		/* looked at under one lock */
#define NO_PAGE		UINT64_MAX

struct get {
	struct swap_object *object;
	uint64_t	 page, end;
	uint64_t	 wanted;
	bool		 all;		/* every page must come */
	uint64_t	 lost;		/* one whose block cannot be read */
};

static bool
must_come(const struct get *g, uint64_t page)
{
	return g->all || page == g->wanted;
}

/* Object locked: can it be filled with zeros, asking nobody? */
static bool
is_new(struct swap_object *object, uint64_t page)
{
	enum page_state state = page_state(object, page);

	if (page_is_busy(object, page))
		return false;
	return state == PAGE_EMPTY && !copy_is_needed(object, page, 1);
}

/*
 * RAM for a run of new pages, or for the first if that must come; or 0.  Object
 * locked.
 */
static uint64_t
take_now(const struct get *g, uint64_t page, uint64_t n)
{
	struct budget *budget = &g->object->core->budget;
	uint64_t nfree = budget_free(budget), low = budget->low;

	n = nfree > low ? min_u64(n, nfree - low) : 0;
	n = min_u64(n, object_ram_spare(g->object));
	if (n > 0 && object_take_ram(g->object, n))
		return n;
	return must_come(g, page) && object_take_ram(g->object, 1) ? 1 : 0;
}

/* Object locked, unlocks.  Fill the new pages from @page on; how many. */
static uint64_t
fill_new(const struct get *g, uint64_t page)
{
	struct swap_object *object = g->object;
	uint64_t n = 1, nin;
	int rc;

	while (n < NEW_RUN && page + n < g->end && is_new(object, page + n))
		n++;
	n = take_now(g, page, n);
	if (n == 0) {
		object_unlock(object);
		return 0;
	}
	object_busy(object, page, n);
	object_open(object);
	object_unlock(object);
	rc = pageback_fill_hole(object, page, n);
	nin = pageback_enter_new(object, page, n, rc == 0);
	object_lock(object);
	object_close(object);
	object_give_ram(object, n - nin);
	regions_unbusy(object, page, n);
	return nin;
}

/* Object locked: why one that must come and is not new is not there, or @rc. */
static int
not_there(const struct swap_object *object, uint64_t page, int rc)
{
	if (page_is_busy(object, page))
		return -EAGAIN;
	if (page_state(object, page) == PAGE_POISON)
		return -EIO;
	return page_is_resident(object, page) ? rc : -EAGAIN;
}

/* Step one.  -EAGAIN: something that must come has not; -EIO: and cannot. */
static int
get_cheap(const struct get *g)
{
	struct swap_object *object = g->object;
	uint64_t page = g->page, n;
	int rc = 0;

	while (page < g->end) {
		object_lock(object);
		object_wait_forks(object);
		if (is_new(object, page)) {
			n = fill_new(g, page);
			if (n == 0 && must_come(g, page))
				rc = -EAGAIN;
			page += n > 0 ? n : 1;
			continue;
		}
		for (n = 0; n < LOOK_PAGES && page < g->end &&
		     !is_new(object, page); n++, page++)
			if (must_come(g, page) && rc != -EIO)
				rc = not_there(object, page, rc);
		object_unlock(object);
	}
	return rc;
}

/* Pages in one read: neighbours that need not come must not push others out. */
static uint64_t
read_size(const struct get *g)
{
	struct budget *budget = &g->object->core->budget;
	uint64_t spare;

	object_lock(g->object);
	spare = object_ram_spare(g->object);
	object_unlock(g->object);
	if (g->all || (budget_free(budget) > budget->low + SWAP_CLUSTER_MAX &&
		       spare > SWAP_CLUSTER_MAX))
		return SWAP_CLUSTER_MAX;
	return 1;
}

/* Step two: wait for what must come. */
static int
get_rest(struct get *g)
{
	struct pageback pb = {
		.core = g->object->core,
		.clean = true,
		.most = read_size(g),
		.buf = pageio_buffer(SWAP_CLUSTER_MAX),
	};
	uint64_t page = g->all ? g->page : g->wanted;
	uint64_t end = g->all ? g->end : g->wanted + 1;
	int rc = pb.buf != NULL ? 0 : -ENOMEM;

	while (page < end && rc == 0) {
		uint64_t at = page;

		rc = pageback_page(&pb, g->object, at, g->page, g->end, &page);
		if (rc == -EIO)
			g->lost = at;
	}
	pageio_buffer_free(pb.buf, SWAP_CLUSTER_MAX);
	return rc;
}

static enum swap_page_state
describe(const struct get *g, uint64_t page)
{
	if (page_is_busy(g->object, page))
		return SWAP_PAGE_BUSY;
	if (page_is_resident(g->object, page))
		return SWAP_PAGE_RESIDENT;
	if (page == g->lost || page_state(g->object, page) == PAGE_POISON)
		return SWAP_PAGE_LOST;
	return SWAP_PAGE_ABSENT;
}

/* What became of them; how many are in RAM. */
static int64_t
report(const struct get *g, uint8_t states[])
{
	int64_t nin = 0;

	for (uint64_t page = g->page; page < g->end;) {
		uint64_t stop = min_u64(g->end, page + LOOK_PAGES);

		object_lock(g->object);
		for (; page < stop; page++) {
			enum swap_page_state state = describe(g, page);

			nin += state == SWAP_PAGE_RESIDENT ||
			       (state == SWAP_PAGE_BUSY &&
				page_is_resident(g->object, page));
			if (states != NULL)
				states[page - g->page] = (uint8_t)state;
		}
		object_unlock(g->object);
	}
	return nin;
}

int64_t
getpages(struct swap_object *object, uint64_t page, uint64_t n,
	 uint64_t wanted, unsigned flags, uint8_t states[])
{
	struct get g = {
		.object = object,
		.page = page,
		.end = page + n,
		.wanted = wanted,
		.all = (flags & SWAP_GET_ALL) != 0,
		.lost = NO_PAGE,
	};
	int rc = get_cheap(&g);
	int64_t nin;

	if (rc == -EAGAIN && !(flags & SWAP_GET_NOWAIT))
		rc = get_rest(&g);
	nin = report(&g, states);
	return rc < 0 ? rc : nin;
}

void
getpages_deactivate(struct swap_object *object, uint64_t page, uint64_t n)
{
	uint64_t end = page + n;

	while (page < end) {
		uint64_t stop = min_u64(end, page + LOOK_PAGES);

		object_lock(object);
		if (object->flags & SWAP_OBJECT_NOSWAP)
			page = end;
		for (; page < stop; page++)
			if (page_is_resident(object, page) &&
			    object->wire[page] == 0)
				object_enqueue_cold(object, page);
		object_unlock(object);
	}
}

/* -------------------------------------------------------- backing store */

/* Consecutive blocks behind a page that has one, itself not included. */
static uint64_t
run_behind(struct swap_object *object, uint64_t page, uint64_t block)
{
	uint64_t n = 0, more;

	do {
		object_lock(object);
		more = swapmap_get(object->map, page + n) != block + n ? 0 :
		       swapmap_run(object->map, page + n, LOOK_PAGES);
		object_unlock(object);
		n += more;
	} while (more == LOOK_PAGES);
	return n > 0 ? n - 1 : 0;
}

static uint64_t
run_before(struct swap_object *object, uint64_t page, uint64_t block)
{
	uint64_t n = 0, more;

	do {
		object_lock(object);
		more = swapmap_get(object->map, page - n) != block - n ? 0 :
		       swapmap_run_before(object->map, page - n, LOOK_PAGES);
		object_unlock(object);
		n += more;
	} while (more == LOOK_PAGES);
	return n;
}

bool
getpages_haspage(struct swap_object *object, uint64_t page,
		 uint64_t *ret_before, uint64_t *ret_after)
{
	uint64_t block;
	bool has, near;

	object_lock(object);
	block = swapmap_get(object->map, page);
	object_unlock(object);
	has = block <= SWAPMAP_BLOCK_MAX;
	near = has && !space_is_word(block);
	if (ret_before != NULL)
		*ret_before = near ? run_before(object, page, block) : 0;
	if (ret_after != NULL)
		*ret_after = near ? run_behind(object, page, block) : 0;
	return has;
}
