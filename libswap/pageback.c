/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Page-back.
 *
 * FreeBSD's swapoff walks all objects and reads in what they have on the
 * device.  So does this, with two differences: it never gives up the machine
 * when something goes wrong, and it fills the memfd directly, since there may
 * be no region through which a page could be put.
 *
 *	B1  A page that comes back is dirty: its block is free at once, and
 *	    page-out will write it to a device that stays.
 *	B2  RAM for the pages is taken from the budget first, like a fault's,
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

#define WAIT_USEC	100000		/* one wait for RAM, then poll again */
#define STALL_USEC	30000000	/* no RAM for this long: give up */

/* RAM for @n pages, or for fewer, at least one. */
static int
take_ram(struct pageback *pb, uint64_t n, uint64_t *ret_n)
{
	struct budget *budget = &pb->core->budget;
	uint64_t start = now_usec();
	int rc = 0;

	if (pb->force) {
		budget_force(budget, n);
		*ret_n = n;
		return 0;
	}
	while (!budget_take_wait(budget, n, WAIT_USEC)) {
		if (pb->poll != NULL)
			rc = pb->poll(pb);
		if (rc != 0)
			return rc;
		if (now_usec() - start > STALL_USEC)
			return -ENOMEM;
		if (n > 1)
			n /= 2;
	}
	*ret_n = n;
	return 0;
}

/* Object locked; resident pages just give their blocks up. */
static void
keep_resident(struct pageback *pb, struct swap_object *object, uint64_t page)
{
	object_free_blocks(object, page, 1);
	object_set_state(object, page, PAGE_DIRTY);
	pb->done++;
}

/* Enter the outcome of reading [first, first + n); object locked. */
static uint64_t
settle(struct pageback *pb, struct swap_object *object, uint64_t first,
       uint64_t n, const bool in[], const bool lost[], int error)
{
	uint64_t good = 0;

	for (uint64_t i = 0; i < n; i++) {
		if (in[i]) {
			object_free_blocks(object, first + i, 1);
			object_set_state(object, first + i, PAGE_DIRTY);
			object_enqueue(object, first + i);
			good++;
		} else if (lost[i]) {
			pb->failed++;
			if (pb->poison)
				pageio_lost(object, first + i, error);
		}
	}
	pb->done += good;
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

/*
 * Read the swapped page and what lies consecutively behind it into the memfd.
 * Object locked on entry, unlocked on return.  @ram pages have been taken.
 * *ret_next is the page to go on with.  -EIO: some cannot be read, which
 * pb->failed counts; else the memfd did not take them.
 */
static int
read_back(struct pageback *pb, struct swap_object *object, uint64_t page,
	  uint64_t end, uint64_t ram, uint64_t *ret_next)
{
	bool in[SWAP_CLUSTER_MAX], lost[SWAP_CLUSTER_MAX];
	uint64_t first, n, good, nread, block = swapmap_get(object->map, page);
	int rc, error = 0;

	n = pageio_cluster(object, page, 0, ram - 1, page, end, &first);
	object_busy(object, first, n);
	object_unlock(object);
	nread = pageio_read(pb->core, block, n, pb->buf, in, &error);
	for (uint64_t i = 0; i < n; i++)
		lost[i] = !in[i];
	rc = put_back(pb, object, first, n, in);
	object_lock(object);
	good = settle(pb, object, first, n, in, lost, error);
	budget_give(&pb->core->budget, ram - good);
	regions_unbusy(object, first, n);
	*ret_next = first + n;
	if (rc == 0 && nread < n)
		rc = -EIO;
	return rc;
}

static int
poll_now(struct pageback *pb)
{
	return pb->poll != NULL ? pb->poll(pb) : 0;
}

/* One page with a block that must come back.  Object locked; unlocks. */
static int
bring_one(struct pageback *pb, struct swap_object *object, uint64_t page,
	  uint64_t *ret_next)
{
	uint64_t ram;
	int rc;

	*ret_next = page;	/* look again, unless we get further */
	if (page_is_busy(object, page)) {
		object_wait_unbusy(object);
		object_unlock(object);
		return 0;
	}
	if (page_is_resident(object, page)) {
		keep_resident(pb, object, page);
		object_unlock(object);
		*ret_next = page + 1;
		return 0;
	}
	object_unlock(object);
	rc = take_ram(pb, SWAP_CLUSTER_MAX, &ram);
	if (rc != 0)
		return rc;
	object_lock(object);
	if (page_is_busy(object, page) ||
	    page_state(object, page) != PAGE_SWAPPED) {
		object_unlock(object);
		budget_give(&pb->core->budget, ram);
		return 0;
	}
	rc = read_back(pb, object, page, object->npages, ram, ret_next);
	/* What cannot be read is counted; the others go on. */
	return rc == -EIO ? 0 : rc;
}

static int
object_back(struct swap_object *object, void *arg)
{
	struct pageback *pb = arg;
	uint64_t page = 0, block;
	int rc = 0;

	while (rc == 0) {
		object_lock(object);
		/* Objects that die free their own blocks. */
		if (object->dead || !swapmap_find(object->map, page, &page,
						  &block)) {
			object_unlock(object);
			break;
		}
		if (block < pb->lo || block >= pb->hi) {
			object_unlock(object);
			page++;
			continue;
		}
		rc = bring_one(pb, object, page, &page);
		if (rc == 0)
			rc = poll_now(pb);
	}
	return rc;
}

int
pageback_blocks(struct pageback *pb)
{
	return objects_each(pb->core, object_back, pb);
}

/* ------------------------------------------------------------- wiring */

/*
 * Zeros where the memfd has nothing.  By a mapping, since writing could wipe
 * out what a program has put there after a handover, when owning the page does
 * not keep it out any more; and what fallocate(2) makes is a hole to
 * SEEK_DATA, by which a fault finds out whether a page is there.  By a write
 * fault, since the kernel may drop a page that was only ever read.
 */
static int
fill_hole(const struct swap_object *object, uint64_t page)
{
	void *mem = mmap(NULL, page_bytes(), PROT_READ | PROT_WRITE,
			 MAP_SHARED, object->memfd,
			 (off_t)(page << page_shift()));
	int rc;

	if (mem == MAP_FAILED)
		return -errno;
	rc = madvise(mem, page_bytes(), MADV_POPULATE_WRITE) < 0 ? -errno : 0;
	munmap(mem, page_bytes());
	return rc;
}

/* Memory for an owned page without contents of its own. */
static int
fill_new(struct pageback *pb, struct swap_object *object, uint64_t page,
	 bool ask_source)
{
	int rc;

	if (!ask_source)
		return fill_hole(object, page);
	object_lock(object);
	rc = copy_fetch(object, page, pb->buf);
	object_unlock(object);
	if (rc < 0)
		return rc;
	return pwrite_full(object->memfd, pb->buf, page_bytes(),
			   (off_t)(page << page_shift()));
}

static bool
is_new(const struct swap_object *object, uint64_t page)
{
	enum page_state state = page_state(object, page);

	return !page_is_busy(object, page) &&
	       (state == PAGE_EMPTY || state == PAGE_ZERO);
}

/* A page that never had contents gets memory. */
static int
make_new(struct pageback *pb, struct swap_object *object, uint64_t page)
{
	bool ask_source;
	uint64_t ram;
	int rc = take_ram(pb, 1, &ram);

	if (rc != 0)
		return rc;
	object_lock(object);
	if (!is_new(object, page)) {
		object_unlock(object);
		budget_give(&pb->core->budget, ram);
		return 0;
	}
	ask_source = object->copy && page_state(object, page) == PAGE_EMPTY;
	object_busy(object, page, 1);
	object_unlock(object);
	rc = fill_new(pb, object, page, ask_source);
	object_lock(object);
	if (rc == 0) {
		object_set_state(object, page, PAGE_DIRTY);
		object_enqueue(object, page);
	} else {
		budget_give(&pb->core->budget, ram);
	}
	regions_unbusy(object, page, 1);
	return rc;
}

int
pageback_range(struct pageback *pb, struct swap_object *object, uint64_t page,
	       uint64_t n)
{
	uint64_t end = page + n, ram;
	int rc = 0;

	while (page < end && rc == 0) {
		object_lock(object);
		while (page_is_busy(object, page))
			object_wait_unbusy(object);
		switch (page_state(object, page)) {
		case PAGE_CLEAN:
		case PAGE_DIRTY:
			object_unlock(object);
			page++;
			break;
		case PAGE_EMPTY:
		case PAGE_ZERO:
			object_unlock(object);
			rc = make_new(pb, object, page);
			break;
		case PAGE_POISON:
			object_unlock(object);
			rc = -EIO;
			break;
		case PAGE_SWAPPED:
			object_unlock(object);
			rc = take_ram(pb, min_u64(end - page,
						  SWAP_CLUSTER_MAX), &ram);
			if (rc != 0)
				break;
			object_lock(object);
			if (page_is_busy(object, page) ||
			    page_state(object, page) != PAGE_SWAPPED) {
				object_unlock(object);
				budget_give(&pb->core->budget, ram);
				break;
			}
			rc = read_back(pb, object, page, end, ram, &page);
			break;
		}
	}
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

/* Object locked; unlocks. */
static int
release_run(struct swap_object *object, uint64_t page, uint64_t n)
{
	struct core *core = object->core;
	struct region_set *set = NULL;
	uint64_t resident = 0;
	int rc;

	object_busy(object, page, n);
	if (object->npoison > 0)
		set = region_set_get(object);
	object_unlock(object);
	rc = object_punch(object, page, n);
	if (rc == 0 && set != NULL)
		heal_run(object, set, page, n);
	region_set_put(set);
	object_lock(object);
	if (rc == 0) {
		enum page_state state = object->copy ? PAGE_ZERO : PAGE_EMPTY;

		object_free_blocks(object, page, n);
		for (uint64_t i = 0; i < n; i++) {
			resident += page_is_resident(object, page + i);
			object_set_state(object, page + i, state);
		}
		count(&core->counters.released_pages, resident);
	}
	budget_give(&core->budget, resident);
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
			page += run;
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
