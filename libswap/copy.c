/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Copies of objects.
 *
 * The BSD virtual memory puts a new, empty object before the old one, a shadow,
 * for parent and child each.  Here the source stays what it is, since its regions
 * and its memfd are known to others, and only the copy is new: all its pages are
 * SOURCE.  So a change in the source has to wait until the page is in the
 * copies; that is a push, where the BSDs only ever pull.
 *
 *	S, C		a source, and a copy of it, whose number is larger
 *	S.p, C.p	their pages of the same number
 *	depends		C depends on S.p while C.p is SOURCE.  Chains are of any
 *			length: S.p may be SOURCE in its turn
 *
 * The life of C.p:
 *
 *	           fault in C, push, handover		DIRTY, in C's memfd
 *	         .-------------------------------->
 *	SOURCE --+ S.p released, S an orphan: move	SWAPPED, by S.p's block
 *	         +-------------------------------->
 *	         | S.p reads as zeros			EMPTY
 *	         +-------------------------------->
 *	         | S.p lost, no room (FULL_FAILS)	POISON
 *	         `-------------------------------->
 *
 * Rules:
 *
 *	C1  S.p is not changed (written, released, moved) while a copy depends on
 *	    it.  Who wants to change it lets the copies take it first, one after
 *	    the other, owning nothing between; then owns S.p, has S open, and
 *	    looks again: then no copy depends on it for as long as S is open.
 *	C2  A page in S's memfd on which a copy depends is write-protected in all
 *	    of S's regions.  So DIRTY pages may be protected.  What comes into the
 *	    memfd there is put in protected, or after it was protected where the
 *	    kernel maps it unasked; where that fails the page stays out.  A write
 *	    fault brings it in for reading, and comes again.
 *	C3  Copies are made while nobody has S open, under one hold of S's lock;
 *	    then all DIRTY pages are protected, and only then others may open S
 *	    again.  So no page is writable by a decision that is older than the
 *	    copy.  A page that is owned by somebody need not be waited for.
 *	C4  Whether C.p is SOURCE is read under C's lock, which may be taken by
 *	    who has that of S: the smaller number first.  C.p only ever ceases to
 *	    be SOURCE.  So under S's lock it is known who depends.
 *	C5  To fetch C.p its owner owns the page of each link of the chain, until
 *	    one has contents.  C.source does not change while a page of C is both
 *	    SOURCE and owned.
 *	C6  Where S.p is EMPTY, C.p may be SOURCE all the same (zeros went out, or
 *	    the program has punched it): it reads as zeros, and a new page there
 *	    is a change as any other.
 *	C7  A copy that has no SOURCE page has no source.  An object without
 *	    references that has copies is an orphan: it has no regions, and gets
 *	    no more copies but by a relink.  See copy-collapse.c.
 *	C8  No copy is made and no block moves during a handover: the lock `moves'
 *	    and core->frozen.
 *
 *	C9  While the object is still (copy_still()), a fault that would make a
 *	    page writable is left unanswered, and its region is woken when that
 *	    is over.  A copy that is made meanwhile protects all pages (C3), so
 *	    from then on nothing changes; a program can fork and have memory of
 *	    other kinds copied at the same moment.
 *
 * Who waits for whom: a fault thread takes part in this only with no read in
 * flight (F6).  Pages are waited for in the order of owning; RAM is never waited
 * for by a fault thread, and by others only when they own nothing.
 *
 * Costs.  An object without copies: one look at a pointer, and two additions for
 * each fault.  Making a copy: a byte for each page up to the last one ever used,
 * and an ioctl for each run of DIRTY pages in each region.  A page in the copy: a
 * fault, a read of the memfd or the block, COPY_PAGES_MAX at a time where the
 * program goes on in order.  The first write in the source: a fault, a page of
 * RAM and a copy for each child that depends on it.
 *
 * Limits.  What a device writes into wired memory behind the page tables after
 * the copy was made may show in the copy.  A program that punches its own memfd
 * takes the page from its copies, too.
 */
#include "copy.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>

#include "merge.h"
#include "pageback.h"
#include "pageio.h"
#include "region.h"
#include "util.h"

#define GAP_PAGES	16u	/* between runs that are protected in one go */
#define LOOK_PAGES	65536u	/* looked at under one lock */

/* ----------------------------------------------------------- who depends */

/* Source locked.  The first page in [page, end) on which it depends, or @end. */
static uint64_t
first_needed(struct swap_object *copy, uint64_t page, uint64_t end)
{
	uint64_t stop;

	object_lock(copy);
	stop = copy->dead || copy->nsource == 0 ? page :
	       min_u64(end, copy->used_end);
	while (page < stop && page_state(copy, page) != PAGE_SOURCE)
		page++;
	object_unlock(copy);
	return page < stop ? page : end;
}

bool
copy_look(struct swap_object *object, uint64_t page, uint64_t n)
{
	struct swap_object *copy;

	for (copy = object->copies; copy != NULL; copy = copy->next_copy)
		if (first_needed(copy, page, page + n) < page + n)
			return true;
	return false;
}

struct swap_object *
copy_dependent(struct swap_object *object, uint64_t page, uint64_t n,
	       uint64_t *ret_page)
{
	struct swap_object *copy, *found = NULL;
	uint64_t end = page + n;

	for (copy = object->copies; copy != NULL; copy = copy->next_copy) {
		uint64_t first = first_needed(copy, page, end);

		if (first < end) {
			found = copy;
			end = first;
		}
	}
	*ret_page = end;
	return found != NULL ? object_hold(found) : NULL;
}

/* Object locked.  Does no copy depend on the page but this one? */
static bool
only_needed_by(const struct swap_object *only, struct swap_object *object,
	       uint64_t page)
{
	struct swap_object *copy;

	for (copy = object->copies; copy != NULL; copy = copy->next_copy)
		if (copy != only &&
		    first_needed(copy, page, page + 1) == page)
			return false;
	return true;
}

/* ----------------------------------------------------------------- making */

/* Both locked.  The copy has nothing of its own. */
static void
fill_states(const struct swap_object *source, struct swap_object *copy)
{
	for (uint64_t i = 0; i < source->used_end; i++) {
		if (page_state(source, i) == PAGE_EMPTY)
			continue;
		copy->page[i] = (uint8_t)((copy->page[i] & ~PAGE_STATE) |
					  PAGE_SOURCE);
		copy->nsource++;
	}
	copy->used_end = source->used_end;
}

/*
 * Source locked.  The next run of pages to protect from *at on, with small gaps
 * of others: how many.  0: none, *at is how far it was looked.
 */
static uint64_t
next_run(const struct swap_object *source, uint64_t *at)
{
	uint64_t stop = min_u64(source->used_end, *at + LOOK_PAGES);
	uint64_t page = *at, last;

	while (page < stop && page_state(source, page) != PAGE_DIRTY)
		page++;
	*at = last = page;
	if (page == stop)
		return 0;
	for (; page < stop && page - last <= GAP_PAGES; page++)
		if (page_state(source, page) == PAGE_DIRTY)
			last = page;
	return last + 1 - *at;
}

/*
 * CLEAN pages are protected as it is, and none becomes writable while a copy is
 * being made.
 */
static int
protect_dirty(struct swap_object *source, struct region_set *set)
{
	uint64_t page = 0, end = 1, n;
	int rc = 0;

	while (rc == 0 && set != NULL && page < end) {
		object_lock(source);
		end = source->used_end;
		n = next_run(source, &page);
		object_unlock(source);
		if (n > 0)
			rc = regions_protect(set, NULL, page, n);
		page += n;
	}
	return rc;
}

/* C3.  Where it fails the copy is linked, and dies as any other. */
static int
link_copy(struct swap_object *source, struct swap_object *copy)
{
	struct region_set *set;
	int rc;

	object_lock(source);
	source->forking++;
	while (source->opening > 0)
		object_wait_unbusy(source);
	object_lock(copy);
	fill_states(source, copy);
	if (copy->nsource > 0)
		object_link_copy(source, copy);
	object_unlock(copy);
	set = region_set_get(source);
	object_unlock(source);
	rc = protect_dirty(source, set);
	region_set_put(set);
	object_lock(source);
	source->forking--;
	pthread_cond_broadcast(&source->unbusy);
	object_unlock(source);
	return rc;
}

int
copy_make(struct swap_object *source, const struct object_spec *spec,
	  struct swap_object **ret_copy, struct swap_error *error)
{
	struct core *core = source->core;
	struct swap_object *copy;
	int rc = object_create(core, spec, &copy, error);

	if (rc < 0)
		return rc;
	pthread_rwlock_rdlock(&core->table.moves);
	rc = atomic_load(&core->frozen) ? -ESHUTDOWN : link_copy(source, copy);
	pthread_rwlock_unlock(&core->table.moves);
	if (rc == 0) {
		*ret_copy = copy;
		return 0;
	}
	object_unref(copy);
	if (rc == -ESHUTDOWN)
		return error_set(error, rc, "no copy can be made: the pager "
				 "is ending");
	return error_set(error, rc, "no copy can be made: memory of the source "
			 "cannot be protected: %s", strerror(-rc));
}

void
copy_still(struct swap_object *object, bool still)
{
	struct region_set *set;

	object_lock(object);
	object->still += still ? 1u : UINT_MAX;
	set = object->still == 0 ? region_set_get(object) : NULL;
	object_unlock(object);
	for (unsigned i = 0; set != NULL && i < set->n; i++) {
		struct swap_region *region = set->region[i];

		if (atomic_exchange(&region->stilled, false))
			region_wake(region, region->first_page,
				    region->npages);
	}
	region_set_put(set);
}

/* --------------------------------------------------------------- fetching */

/*
 * Source locked.  Pages from @page on that are of one kind, so that one read
 * brings them; nobody owns the first.
 */
static uint64_t
alike(const struct swap_object *source, uint64_t page, uint64_t n)
{
	enum page_state state = page_state(source, page);
	bool resident = page_is_resident(source, page);
	uint64_t block = state == PAGE_SWAPPED ?
			 swapmap_get(source->map, page) : 0;
	uint64_t i;

	for (i = 1; i < n && !page_is_busy(source, page + i); i++)
		if (!(resident && page_is_resident(source, page + i)) &&
		    (page_state(source, page + i) != state ||
		     (state == PAGE_SWAPPED &&
		      swapmap_get(source->map, page + i) != block + i)))
			break;
	return i;
}

/* What the cache has of these blocks: how many, from the first on. */
static uint64_t
read_cached(struct core *core, uint64_t block, uint64_t n, void *buf)
{
	enum cache_why why;
	uint32_t got = 0;
	char *mem = cache_find(&core->cache, block, (uint32_t)n, &got, &why);

	if (mem == NULL)
		return 0;
	memcpy(buf, mem, (size_t)got << page_shift());
	/* Their page is owned, so they are still copies of it. */
	cache_keep(&core->cache, mem, got, block, why);
	return got;
}

static int
read_blocks(struct core *core, uint64_t block, uint64_t n, void *buf,
	    uint64_t *ret_n)
{
	bool ok[COPY_PAGES_MAX];
	int error = -EIO;

	*ret_n = read_cached(core, block, n, buf);
	if (*ret_n > 0)
		return 0;
	if (pageio_read(core, block, n, buf, ok, &error) == 0 || !ok[0])
		return -EIO;
	while (*ret_n < n && ok[*ret_n])
		++*ret_n;
	return 0;
}

static int fetch_from(struct swap_object *source, uint64_t page, uint64_t n,
		      void *buf, uint64_t *ret_n);

/* Owned pages of a source, all alike; what they are was @state. */
static int
read_pages(struct swap_object *source, struct swap_object *next,
	   enum page_state state, uint64_t block, uint64_t page, uint64_t n,
	   void *buf, uint64_t *ret_n)
{
	*ret_n = n;
	switch (state) {
	case PAGE_EMPTY:
		memset(buf, 0, n << page_shift());
		return 1;
	case PAGE_SWAPPED:
		return read_blocks(source->core, block, n, buf, ret_n);
	case PAGE_CLEAN:
	case PAGE_DIRTY:
		return pread_full(source->memfd, buf, n << page_shift(),
				  (off_t)(page << page_shift()));
	case PAGE_SOURCE:
		return next != NULL ? fetch_from(next, page, n, buf, ret_n) :
		       -ESTALE;
	case PAGE_POISON:
		break;
	}
	return -EIO;
}

/* A held object that is asked for pages which one of its copies owns. */
static int
fetch_from(struct swap_object *source, uint64_t page, uint64_t n, void *buf,
	   uint64_t *ret_n)
{
	struct swap_object *next = NULL;
	enum page_state state;
	uint64_t block;
	int rc;

	object_lock(source);
	while (page_is_busy(source, page))
		object_wait_unbusy(source);
	if (source->dead) {
		/* Then so is the copy: its pages are gone, and not empty. */
		object_unlock(source);
		return -ESTALE;
	}
	state = page_state(source, page);
	n = alike(source, page, n);
	block = state == PAGE_SWAPPED ? swapmap_get(source->map, page) : 0;
	if (state == PAGE_SOURCE && source->source != NULL)
		next = object_hold(source->source);
	object_busy(source, page, n);
	object_unlock(source);
	rc = read_pages(source, next, state, block, page, n, buf, ret_n);
	if (next != NULL)
		object_drop(next);
	object_lock(source);
	regions_unbusy(source, page, n);
	return rc;
}

/* As copy_fetch(). */
static int
fetch(struct swap_object *copy, uint64_t page, uint64_t n, void *buf,
      uint64_t *ret_n)
{
	struct swap_object *source = copy->source;
	int rc;

	*ret_n = 0;
	if (source == NULL)
		return -ESTALE;
	object_hold(source);
	object_unlock(copy);
	rc = fetch_from(source, page, n, buf, ret_n);
	object_drop(source);
	object_lock(copy);
	return rc < 0 && rc != -ESTALE ? -EIO : rc;
}

int
copy_fetch(struct swap_object *copy, uint64_t page, uint64_t n, void *buf,
	   uint64_t *ret_n)
{
	int rc = fetch(copy, page, n, buf, ret_n);

	if (rc == 0)
		count(&copy->core->counters.copy_pages, *ret_n);
	return rc;
}

bool
copy_is_near(struct swap_object *copy, uint64_t page)
{
	struct swap_object *source = copy->source;
	bool near;

	/* Against the order of locks, so without waiting. */
	if (source == NULL || pthread_mutex_trylock(&source->lock) != 0)
		return false;
	near = !page_is_busy(source, page) && page_is_resident(source, page);
	object_unlock(source);
	return near;
}

/* ----------------------------------------------------------------- taking */

/* Copy locked, owns the page; unlocked meanwhile. */
static int
put_page(struct swap_object *copy, uint64_t page, const void *buf)
{
	struct region_set *set = NULL;
	int rc;

	object_open(copy);
	if (copy_is_needed(copy, page, 1))
		set = region_set_get(copy);
	object_unlock(copy);
	rc = regions_protect(set, NULL, page, 1);
	region_set_put(set);
	if (rc == 0)
		rc = pwrite_full(copy->memfd, buf, page_bytes(),
				 (off_t)(page << page_shift()));
	object_lock(copy);
	if (rc == 0) {
		object_set_state(copy, page, PAGE_DIRTY);
		object_enqueue(copy, page);
	}
	object_close(copy);
	return rc;
}

/* Object locked.  Wait for the page; true: it is SOURCE, and owned now. */
static bool
own_source(struct swap_object *copy, uint64_t page)
{
	while (page_is_busy(copy, page))
		object_wait_unbusy(copy);
	if (copy->dead || page_state(copy, page) != PAGE_SOURCE)
		return false;
	object_busy(copy, page, 1);
	return true;
}

int
copy_take(struct swap_object *copy, uint64_t page, void *buf)
{
	int fetched, rc = 0;
	uint64_t n;

	object_lock(copy);
	if (!own_source(copy, page)) {
		object_unlock(copy);
		return 0;
	}
	fetched = copy_fetch(copy, page, 1, buf, &n);
	if (fetched == 0)
		rc = put_page(copy, page, buf);
	else if (fetched == 1)
		object_set_state(copy, page, PAGE_EMPTY);
	else if (fetched == -EIO && !copy->dead)
		object_poison(copy, page);
	regions_unbusy(copy, page, 1);
	return fetched == 0 && rc == 0 ? 1 : rc;
}

void
copy_lose(struct swap_object *copy, uint64_t page, void *buf)
{
	uint64_t n;

	object_lock(copy);
	if (!own_source(copy, page)) {
		object_unlock(copy);
		return;
	}
	/* Zeros need no room. */
	if (fetch(copy, page, 1, buf, &n) == 1)
		object_set_state(copy, page, PAGE_EMPTY);
	else if (!copy->dead)
		object_poison(copy, page);
	regions_unbusy(copy, page, 1);
}

/* Both pages are owned, and the lock `moves' is held. */
static int
move_block(struct swap_object *source, struct swap_object *copy, uint64_t page)
{
	bool may;
	int rc = -EAGAIN;

	object_lock(source);
	object_open(source);
	may = page_state(source, page) == PAGE_SWAPPED &&
	      only_needed_by(copy, source, page);
	object_unlock(source);
	if (may && merge_move_block(source, page, copy, page) == 0)
		rc = 0;
	object_lock(source);
	object_close(source);
	object_unlock(source);
	return rc;
}

int
copy_move(struct swap_object *source, struct swap_object *copy, uint64_t page)
{
	pthread_rwlock_t *moves = &source->core->table.moves;
	int rc = 0;

	pthread_rwlock_rdlock(moves);
	if (atomic_load(&source->core->frozen))
		rc = -ESHUTDOWN;
	object_lock(copy);
	if (rc == 0 && !own_source(copy, page))
		rc = -EAGAIN;
	object_unlock(copy);
	if (rc == 0) {
		object_lock(source);
		while (page_is_busy(source, page))
			object_wait_unbusy(source);
		object_busy(source, page, 1);
		object_unlock(source);
		rc = move_block(source, copy, page);
		object_lock(source);
		regions_unbusy(source, page, 1);
		object_lock(copy);
		regions_unbusy(copy, page, 1);
	}
	pthread_rwlock_unlock(moves);
	return rc;
}

/* --------------------------------------------------------------- settling */

/* Take RAM, waiting for it, and the page.  As copy_take(). */
static int
push(struct pageback *pb, struct swap_object *copy, uint64_t page)
{
	uint64_t ram = 0;
	int rc = pageback_take_ram(pb, copy, 1, &ram);

	if (rc == 0) {
		rc = copy_take(copy, page, pb->buf);
		if (rc <= 0)
			pageback_give_ram(copy, ram);
	}
	count(&copy->core->counters.copy_pushed_pages, rc > 0);
	return rc < 0 ? rc : 0;
}

/*
 * The next page from @page on that is to be settled, and a copy, held, that
 * needs that.  NULL: there is none before @end.
 */
static struct swap_object *
next_settled(struct swap_object *object, uint64_t *page, uint64_t end,
	     bool empty)
{
	struct swap_object *copy = NULL;

	object_lock(object);
	object_wait_forks(object);
	while (*page < end) {
		copy = copy_dependent(object, *page, end - *page, page);
		if (copy == NULL || !empty ||
		    page_state(object, *page) == PAGE_EMPTY ||
		    page_state(object, *page) == PAGE_SOURCE)
			break;
		/* The lock is held, so this is not its last hold. */
		object_drop(copy);
		copy = NULL;
		++*page;
	}
	object_unlock(object);
	return copy;
}

int
copy_settle(struct swap_object *object, uint64_t page, uint64_t n, bool empty,
	    bool away)
{
	struct pageback pb = { .core = object->core };
	struct swap_object *copy;
	uint64_t end = page + n;
	int rc = 0;

	while (rc == 0 &&
	       (copy = next_settled(object, &page, end, empty)) != NULL) {
		if (pb.buf == NULL)
			pb.buf = pageio_buffer(1);
		if (pb.buf == NULL)
			rc = -ENOMEM;
		else if (!away || copy_move(object, copy, page) < 0)
			rc = push(&pb, copy, page);
		object_drop(copy);
	}
	pageio_buffer_free(pb.buf, 1);
	return rc;
}
