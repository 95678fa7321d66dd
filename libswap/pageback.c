/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Page-back of ranges, and giving pages up.  How devices are emptied is in
 * pageback-blocks.c; the rules are the same.
 *
 * FreeBSD's swapoff walks all objects and faults in what they have on the
 * device.  This differs in two things: it never gives up the machine when
 * something goes wrong, and it fills the memfd directly, since there may be no
 * region through which a page could be put.
 *
 *	B1  A page that comes back is dirty: its block is free at once, and
 *	    page-out will write it to a device that stays.  Only where somebody
 *	    just wants it in RAM (pb->clean) it keeps its block, after it was
 *	    write-protected in all regions.
 *	B2  RAM for the pages is taken from pool and budget first, like a fault's,
 *	    but here the thread may wait for page-out to free some; it owns no
 *	    page meanwhile, since a fault of a copy may be waiting for that.
 *	B3  Only what its device cannot read is lost.  Where memory is short the
 *	    page stays swapped, and the operation fails.
 *
 * Writing to the memfd makes a page appear all at once (the kernel fills the
 * page under its lock before it is up to date), so a program that maps it at
 * that moment sees the whole.
 */
#include "pageback.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "copy.h"
#include "pageio.h"
#include "util.h"

#define WAIT_USEC	100000		/* one wait for RAM */
#define STALL_USEC	30000000	/* no RAM for this long: give up */

struct taking {
	struct swap_object *object;
	uint64_t	 n;
};

static bool
take_some(void *arg)
{
	struct taking *t = arg;
	bool taken;

	object_lock(t->object);
	taken = object_take_ram(t->object, t->n);
	object_unlock(t->object);
	return taken;
}

int
pageback_take_ram(struct pageback *pb, struct swap_object *object, uint64_t n,
		  uint64_t *ret_n)
{
	struct budget *budget = &pb->core->budget;
	struct taking t = { .object = object, .n = n };
	uint64_t start = now_usec();

	if (pb->force) {
		budget_force(budget, n);
		object_lock(object);
		object_count_ram(object, n);
		object_unlock(object);
		*ret_n = n;
		return 0;
	}
	while (!budget_wait(budget, take_some, &t, WAIT_USEC)) {
		if (now_usec() - start > STALL_USEC)
			return -ENOMEM;
		if (t.n > 1)
			t.n /= 2;
	}
	*ret_n = t.n;
	return 0;
}

void
pageback_give_ram(struct swap_object *object, uint64_t n)
{
	if (n == 0)
		return;
	object_lock(object);
	object_give_ram(object, n);
	object_unlock(object);
}

/* What a read brings in. */
struct batch {
	uint64_t	page;		/* that was asked for */
	uint64_t	first, n;
	bool		in[SWAP_CLUSTER_MAX], lost[SWAP_CLUSTER_MAX];
	bool		clean;
};

/* Enter the outcome; object locked.  Returns how many came in. */
static uint64_t
settle(struct pageback *pb, struct swap_object *object, const struct batch *b)
{
	uint64_t good = 0;

	for (uint64_t i = 0; i < b->n; i++) {
		uint64_t page = b->first + i;

		if (b->in[i]) {
			if (!b->clean)
				object_free_blocks(object, page, 1);
			object_set_state(object, page,
					 b->clean ? PAGE_CLEAN : PAGE_DIRTY);
			object_enqueue(object, page);
			good++;
		} else if (b->lost[i] && page >= b->page) {
			pb->failed_page = min_u64(page, pb->failed_page);
		}
	}
	if (!b->clean)
		count(&pb->core->counters.pageback_pages, good);
	return good;
}

/* Put what was read into the memfd.  The error of the first that failed. */
static int
put_back(struct pageback *pb, struct swap_object *object, uint64_t first,
	 uint64_t n, bool in[])
{
	int rc = 0;

	for (uint64_t i = 0; i < n; i++) {
		char *at = (char *)pb->buf + (i << page_shift());

		if (in[i] && rc == 0)
			rc = pwrite_full(object->memfd, at, page_bytes(),
					 (off_t)((first + i) << page_shift()));
		if (rc < 0)
			in[i] = false;
	}
	return rc;
}

/* Object locked.  May pages from @block on keep their blocks? */
static bool
may_be_clean(struct pageback *pb, struct swap_object *object, uint64_t block)
{
	struct space *space = &pb->core->space;

	return pb->clean && (space_is_word(block) ||
			     (!object_blocks_tight(object) &&
			      !space_is_leaving(space, block) &&
			      !space_is_tight(space)));
}

/*
 * Put what was read into the memfd, protected before where it is clean or where
 * copies depend on it.  Object locked and open, unlocked meanwhile.
 */
static int
put_batch(struct pageback *pb, struct swap_object *object,
	  struct region_set *set, struct batch *b, uint64_t block)
{
	bool guard = copy_is_needed(object, b->first, b->n);
	int rc = 0;

	b->clean = may_be_clean(pb, object, block);
	object_unlock(object);
	if (b->clean || guard)
		rc = regions_protect(set, NULL, b->first, b->n);
	b->clean &= rc == 0;
	if (rc == 0 || !guard)
		rc = put_back(pb, object, b->first, b->n, b->in);
	else
		memset(b->in, 0, sizeof(b->in));
	object_lock(object);
	return rc;
}

/*
 * Read the swapped page, and what lies consecutively around it within [lo, hi),
 * into the memfd.  Object locked on entry, unlocked on return.  @ram pages have
 * been taken.  *ret_next is the page to go on with.  -EIO: some cannot be read,
 * the first of them is pb->failed_page; else the memfd did not take them.
 */
static int
read_back(struct pageback *pb, struct swap_object *object, uint64_t page,
	  uint64_t lo, uint64_t hi, uint64_t ram, uint64_t *ret_next)
{
	uint64_t behind = lo < page ? (ram - 1) / 2 : 0;
	struct batch b = { .page = page };
	struct region_set *set;
	uint64_t nread, good, block;
	int rc, error;

	b.n = pageio_cluster(object, page, behind, ram - 1 - behind, lo, hi,
			     &b.first);
	block = swapmap_get(object->map, b.first);
	object_busy(object, b.first, b.n);
	set = region_set_get(object);
	object_unlock(object);
	pb->failed_page = UINT64_MAX;
	nread = pageio_read(pb->core, block, b.n, pb->buf, b.in, &error);
	count(&object->pagein_pages, space_is_word(block) ? 0 : nread);
	for (uint64_t i = 0; i < b.n; i++)
		b.lost[i] = !b.in[i];
	object_lock(object);
	object_open(object);
	rc = put_batch(pb, object, set, &b, block);
	good = settle(pb, object, &b);
	object_close(object);
	object_give_ram(object, ram - good);
	regions_unbusy(object, b.first, b.n);
	region_set_put(set);
	*ret_next = b.first + b.n;
	if (rc == 0 && nread < b.n)
		rc = -EIO;
	return rc;
}

/*
 * Take RAM for @most pages, and read_back() the page, unless it is something
 * else by then: 0, and *ret_next is left alone.
 */
static int
read_swapped(struct pageback *pb, struct swap_object *object, uint64_t page,
	     uint64_t lo, uint64_t hi, uint64_t most, uint64_t *ret_next)
{
	uint64_t ram;
	int rc = pageback_take_ram(pb, object, most, &ram);

	if (rc != 0)
		return rc;
	object_lock(object);
	if (page_is_busy(object, page) ||
	    page_state(object, page) != PAGE_SWAPPED) {
		object_give_ram(object, ram);
		object_unlock(object);
		return 0;
	}
	return read_back(pb, object, page, lo, hi, ram, ret_next);
}

/* -------------------------------------------------------------- ranges */

/*
 * Zeros where the memfd has nothing.  By a mapping, since writing could wipe
 * out what a program has put there after a handover, when owning the page does
 * not keep it out any more; and what fallocate(2) makes is a hole to
 * SEEK_DATA, by which a fault finds out whether a page is there.  By a write
 * fault, since the kernel may drop a page that was only ever read.
 */
int
pageback_fill_hole(const struct swap_object *object, uint64_t page, uint64_t n)
{
	size_t bytes = n << page_shift();
	void *mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
			 object->memfd, (off_t)(page << page_shift()));
	int rc;

	if (mem == MAP_FAILED)
		return -errno;
	rc = madvise(mem, bytes, MADV_POPULATE_WRITE) < 0 ? -errno : 0;
	munmap(mem, bytes);
	return rc;
}

uint64_t
pageback_enter_new(struct swap_object *object, uint64_t page, uint64_t n,
		   bool filled)
{
	uint64_t nin = filled ? n : 0;

	/* The kernel fills them in order. */
	while (nin < n && object_has_memory(object, page + nin))
		nin++;
	object_lock(object);
	for (uint64_t i = page; i < page + nin; i++) {
		object_set_state(object, i, PAGE_DIRTY);
		object_enqueue(object, i);
	}
	object_unlock(object);
	return nin;
}

/*
 * Own a page that never had contents, and open the object.  -EAGAIN it is
 * something else by now; 1: copies depend on it.
 */
static int
own_new(struct swap_object *object, uint64_t page)
{
	int rc = -EAGAIN;

	object_lock(object);
	object_wait_forks(object);
	if (!page_is_busy(object, page) &&
	    page_state(object, page) == PAGE_EMPTY) {
		rc = copy_is_needed(object, page, 1);
		if (rc == 0) {
			object_busy(object, page, 1);
			object_open(object);
		}
	}
	object_unlock(object);
	return rc;
}

/* A page that never had contents gets memory. */
static int
make_new(struct pageback *pb, struct swap_object *object, uint64_t page)
{
	uint64_t ram;
	int rc = pageback_take_ram(pb, object, 1, &ram);
	int owned;

	if (rc != 0)
		return rc;
	owned = own_new(object, page);
	if (owned != 0) {
		pageback_give_ram(object, ram);
		return owned > 0 ? copy_settle(object, page, 1, true, false) :
		       0;
	}
	rc = pageback_fill_hole(object, page, 1);
	ram -= pageback_enter_new(object, page, 1, rc == 0);
	object_lock(object);
	object_close(object);
	object_give_ram(object, ram);
	regions_unbusy(object, page, 1);
	return ram == 0 ? 0 : rc;
}

/* A page of a copy that it has in its source comes from there. */
static int
take_source(struct pageback *pb, struct swap_object *object, uint64_t page)
{
	uint64_t ram;
	int rc = pageback_take_ram(pb, object, 1, &ram);

	if (rc != 0)
		return rc;
	rc = copy_take(object, page, pb->buf);
	if (rc <= 0)
		pageback_give_ram(object, ram);
	return rc < 0 ? rc : 0;
}

/* A swapped page comes in, unless it is something else by now. */
static int
bring_swapped(struct pageback *pb, struct swap_object *object, uint64_t page,
	      uint64_t lo, uint64_t hi, uint64_t *ret_next)
{
	uint64_t most = pb->most > 0 ? pb->most : SWAP_CLUSTER_MAX;
	int rc = read_swapped(pb, object, page, lo, hi,
			      min_u64(hi - lo, most), ret_next);

	if (rc == -EIO && pb->failed_page != page) {
		/* This one is good; who wants the others will ask for them. */
		*ret_next = min_u64(*ret_next, pb->failed_page);
		rc = 0;
	}
	return rc;
}

int
pageback_page(struct pageback *pb, struct swap_object *object, uint64_t page,
	      uint64_t lo, uint64_t hi, uint64_t *ret_next)
{
	enum page_state state;
	int rc = 0;
	bool dead;

	*ret_next = page;
	while (rc == 0 && *ret_next == page) {
		object_lock(object);
		while (page_is_busy(object, page))
			object_wait_unbusy(object);
		state = page_state(object, page);
		dead = object->dead;
		object_unlock(object);
		/* What comes in is freed at once. */
		if (dead)
			return -ESTALE;
		switch (state) {
		case PAGE_CLEAN:
		case PAGE_DIRTY:
			*ret_next = page + 1;
			break;
		case PAGE_EMPTY:
			rc = make_new(pb, object, page);
			break;
		case PAGE_SOURCE:
			rc = take_source(pb, object, page);
			break;
		case PAGE_POISON:
			rc = -EIO;
			break;
		case PAGE_SWAPPED:
			rc = bring_swapped(pb, object, page, lo, hi, ret_next);
			break;
		}
	}
	return rc;
}

int
pageback_range(struct pageback *pb, struct swap_object *object, uint64_t page,
	       uint64_t n)
{
	uint64_t end = page + n;
	int rc = 0;

	while (page < end && rc == 0)
		rc = pageback_page(pb, object, page, page, end, &page);
	return rc;
}

/*
 * The next page from *page on that has a word block.  One that is resident just
 * gives it up.  False: there is none.
 */
static bool
next_word(struct swap_object *object, uint64_t *page)
{
	uint64_t block;
	bool found;

	object_lock(object);
	for (;;) {
		found = !object->dead &&
			swapmap_find_in(object->map, *page,
					object->npages - *page, 0, WORDS_MAX,
					page, &block);
		if (found && page_is_busy(object, *page)) {
			object_wait_unbusy(object);
		} else if (found && page_is_resident(object, *page)) {
			object_free_blocks(object, *page, 1);
			object_set_state(object, *page, PAGE_DIRTY);
		} else {
			break;
		}
	}
	object_unlock(object);
	return found;
}

int
pageback_words(struct pageback *pb, struct swap_object *object)
{
	uint64_t page = 0;
	int rc = 0;

	while (rc == 0 && next_word(object, &page))
		rc = pageback_page(pb, object, page, page, object->npages,
				   &page);
	return rc;
}

/* ------------------------------------------------------------ giving up */

/* Object locked: the pages from @page that can be given up in one go. */
static uint64_t
free_run(const struct swap_object *object, uint64_t page, uint64_t end)
{
	uint64_t n = 0;

	while (page + n < end && !page_is_busy(object, page + n) &&
	       object->wire[page + n] == 0)
		n++;
	return n;
}

/* Poisoned pages of an owned run can be used again. */
static void
heal_run(struct swap_object *object, struct region_set *set, uint64_t page,
	 uint64_t n)
{
	for (uint64_t i = page; i < page + n; i++) {
		bool poisoned;

		object_lock(object);
		poisoned = page_state(object, i) == PAGE_POISON;
		object_unlock(object);
		if (poisoned)
			regions_heal(set, object, i);
	}
}

int
pageback_free_owned(struct swap_object *object, uint64_t page, uint64_t n)
{
	struct core *core = object->core;
	struct region_set *set = NULL;
	uint64_t resident = 0;
	int rc;

	object_lock(object);
	if (object->npoison > 0)
		set = region_set_get(object);
	object_unlock(object);
	rc = object_punch(object, page, n);
	if (rc == 0 && set != NULL)
		heal_run(object, set, page, n);
	region_set_put(set);
	if (rc < 0)
		return rc;
	object_lock(object);
	object_free_blocks(object, page, n);
	for (uint64_t i = page; i < page + n; i++) {
		resident += page_is_resident(object, i);
		object_set_state(object, i, PAGE_EMPTY);
	}
	object_give_ram(object, resident);
	object_unlock(object);
	count(&core->counters.released_pages, resident);
	return 0;
}

/*
 * Object locked; unlocks.  -EAGAIN: copies depend on some of the pages, and
 * nothing was done.
 */
static int
release_run(struct swap_object *object, uint64_t page, uint64_t n)
{
	int rc = -EAGAIN;

	object_busy(object, page, n);
	object_open(object);
	if (!copy_is_needed(object, page, n)) {
		object_unlock(object);
		rc = pageback_free_owned(object, page, n);
		object_lock(object);
	}
	object_close(object);
	regions_unbusy(object, page, n);
	return rc;
}

int
pageback_release(struct swap_object *object, uint64_t page, uint64_t n)
{
	uint64_t end = page + n;
	int rc = 0;

	while (page < end && rc == 0) {
		uint64_t run;

		object_lock(object);
		run = free_run(object, page, min_u64(end, page + 65536));
		if (run > 0) {
			rc = release_run(object, page, run);
			if (rc == 0)
				page += run;
			else if (rc == -EAGAIN)
				rc = copy_settle(object, page, run, false,
						 true);
		} else if (object->wire[page] > 0) {
			object_unlock(object);
			rc = -EBUSY;
		} else {
			object_wait_unbusy(object);
			object_unlock(object);
		}
	}
	return rc;
}
