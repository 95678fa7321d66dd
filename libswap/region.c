/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Regions and their userfaultfds.
 *
 * What a mistake here makes fatal is in DESIGN's section on memory.  The rules
 * this file keeps:
 *
 *	R1  A region is in its object's set before its address is known to
 *	    anybody, and every page that is clean or busy at that moment, or
 *	    that copies may depend on, has been write-protected in it: nobody
 *	    can dirty a page unseen.
 *	R2  After region_leave() no ioctl touches the region's addresses: they
 *	    may be mapped to something else by then.
 *	R3  Protecting a page in a region whose process lives, and has it
 *	    mapped, either works or fails loudly: a page-out that cannot
 *	    protect gives its page up.
 *
 * Costs: joining looks at one byte a page; protecting, copying and waking are
 * one system call for a run of pages.
 */
#include "region.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "uffd.h"
#include "util.h"

/* ------------------------------------------------------------------- table */

int
region_table_init(struct region_table *table)
{
	memset(table, 0, sizeof(*table));
	table->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (table->epoll < 0)
		return -errno;
	pthread_mutex_init(&table->lock, NULL);
	pthread_cond_init(&table->unused, NULL);
	table->next_serial = 1;
	return 0;
}

void
region_table_fini(struct region_table *table)
{
	close(table->epoll);
	free(table->slot);
	pthread_cond_destroy(&table->unused);
	pthread_mutex_destroy(&table->lock);
}

/* A key is a slot number and a serial that no other region ever has. */
static int
table_add(struct region_table *table, struct swap_region *region)
{
	uint32_t i;

	for (i = 0; i < table->nslots && table->slot[i] != NULL; i++)
		;
	if (i == table->nslots) {
		uint32_t n = i == 0 ? 64 : 2 * i;
		struct swap_region **slot;

		slot = realloc(table->slot, n * sizeof(struct swap_region *));
		if (slot == NULL)
			return -ENOMEM;
		memset(slot + i, 0, (n - i) * sizeof(struct swap_region *));
		table->slot = slot;
		table->nslots = n;
	}
	table->slot[i] = region;
	region->key = table->next_serial++ << 32 | i;
	return 0;
}

struct swap_region *
region_enter(struct region_table *table, uint64_t key)
{
	struct swap_region *region = NULL;
	uint32_t i = (uint32_t)key;

	pthread_mutex_lock(&table->lock);
	if (i < table->nslots)
		region = table->slot[i];
	if (region != NULL && region->key != key)
		region = NULL;
	if (region != NULL)
		region->users++;
	pthread_mutex_unlock(&table->lock);
	return region;
}

void
region_exit(struct swap_region *region)
{
	struct region_table *table = region->table;

	pthread_mutex_lock(&table->lock);
	if (--region->users == 0)
		pthread_cond_broadcast(&table->unused);
	pthread_mutex_unlock(&table->lock);
}

void
region_hold(struct swap_region *region)
{
	struct region_table *table = region->table;

	pthread_mutex_lock(&table->lock);
	region->users++;
	pthread_mutex_unlock(&table->lock);
}

void
regions_each(struct region_table *table,
	     void (*fn)(struct swap_region *region, void *arg), void *arg)
{
	uint32_t n;

	pthread_mutex_lock(&table->lock);
	n = table->nslots;
	pthread_mutex_unlock(&table->lock);
	for (uint32_t i = 0; i < n; i++) {
		struct swap_region *region;

		pthread_mutex_lock(&table->lock);
		region = table->slot[i];
		if (region != NULL)
			region->users++;
		pthread_mutex_unlock(&table->lock);
		if (region == NULL)
			continue;
		fn(region, arg);
		region_exit(region);
	}
}

/* -------------------------------------------------------------------- sets */

struct region_set *
region_set_get(struct swap_object *object)
{
	if (object->regions != NULL)
		atomic_fetch_add(&object->regions->refs, 1);
	return object->regions;
}

void
region_set_put(struct region_set *set)
{
	if (set == NULL || atomic_fetch_sub(&set->refs, 1) != 1)
		return;
	for (unsigned i = 0; i < set->n; i++)
		region_exit(set->region[i]);
	free(set);
}

/* A new set: @old without @without, and with @with (either may be NULL). */
static struct region_set *
set_make(const struct region_set *old, const struct swap_region *without,
	 struct swap_region *with)
{
	unsigned n = old != NULL ? old->n : 0;
	struct region_set *set;

	set = malloc(sizeof(*set) + (n + 1) * sizeof(set->region[0]));
	if (set == NULL)
		return NULL;
	atomic_init(&set->refs, 1);
	set->n = 0;
	for (unsigned i = 0; i < n; i++)
		if (old->region[i] != without)
			set->region[set->n++] = old->region[i];
	if (with != NULL)
		set->region[set->n++] = with;
	return set;
}

/*
 * Put a set in place of the object's, or none where it is empty; object
 * locked.  Returns the old one.
 */
static struct region_set *
set_replace(struct swap_object *object, struct region_set *set)
{
	struct region_set *old = object->regions;

	if (set->n == 0) {
		free(set);
		object->regions = NULL;
		return old;
	}
	for (unsigned i = 0; i < set->n; i++) {
		struct region_table *table = set->region[i]->table;

		pthread_mutex_lock(&table->lock);
		set->region[i]->users++;
		pthread_mutex_unlock(&table->lock);
	}
	object->regions = set;
	return old;
}

/* --------------------------------------------------------- join and leave */

/* Object locked.  Must a page be protected in a region that joins? */
static bool
must_protect(const struct swap_object *object, uint64_t page)
{
	enum page_state state = page_state(object, page);

	return page_is_busy(object, page) || state == PAGE_CLEAN ||
	       (state == PAGE_DIRTY && object->copies != NULL);
}

/* Write-protect where a page is clean or busy, or copies need it: rule R1. */
static int
protect_what_is(struct swap_region *region)
{
	struct swap_object *object = region->object;
	uint64_t end = region->first_page + region->npages;
	uint64_t page = region->first_page;
	int rc = 0;

	while (page < end && rc == 0) {
		uint64_t first;

		object_lock(object);
		while (page < end && !must_protect(object, page))
			page++;
		first = page;
		while (page < end && must_protect(object, page))
			page++;
		object_unlock(object);
		if (page > first)
			rc = region_protect(region, first, page - first);
	}
	return rc;
}

/* By edges: one fault then wakes one thread, and not a second one to look. */
static int
region_watch(struct swap_region *region, int how)
{
	struct epoll_event event = {
		.events = EPOLLIN | EPOLLET,
		.data.u64 = region->key,
	};

	if (epoll_ctl(region->table->epoll, how, region->uffd, &event) < 0)
		return -errno;
	return 0;
}

void
region_rewatch(struct swap_region *region)
{
	/* It fails only where the region is leaving. */
	(void)region_watch(region, EPOLL_CTL_MOD);
}

static struct swap_region *
region_new(struct region_table *table, struct swap_object *object,
	   const struct region_spec *spec)
{
	struct swap_region *region = calloc(1, sizeof(*region));

	if (region == NULL)
		return NULL;
	region->table = table;
	region->object = object;
	region->uffd = spec->uffd;
	region->address = spec->address;
	region->first_page = spec->first_page;
	region->npages = spec->npages;
	region->can_poison = spec->can_poison;
	region->poison = spec->poison;
	region->poison_arg = spec->poison_arg;
	region->writable = true;
	pthread_mutex_init(&region->writable_lock, NULL);
	return region;
}

static void
region_free(struct swap_region *region)
{
	pthread_mutex_destroy(&region->writable_lock);
	free(region);
}

int
region_join(struct region_table *table, struct swap_object *object,
	    const struct region_spec *spec, struct swap_region **ret_region)
{
	struct swap_region *region = region_new(table, object, spec);
	struct region_set *set, *old;
	int rc;

	if (region == NULL)
		return -ENOMEM;
	pthread_mutex_lock(&table->lock);
	rc = table_add(table, region);
	pthread_mutex_unlock(&table->lock);
	if (rc < 0) {
		region_free(region);
		return rc;
	}
	atomic_fetch_add(&object->refs, 1);
	object_lock(object);
	object->nwriters++;
	set = set_make(object->regions, NULL, region);
	old = set != NULL ? set_replace(object, set) : NULL;
	object_unlock(object);
	region_set_put(old);
	rc = set == NULL ? -ENOMEM : protect_what_is(region);
	if (rc == 0)
		rc = region_watch(region, EPOLL_CTL_ADD);
	if (rc < 0) {
		region->borrowed = true;
		region_leave(region);
		return rc;
	}
	*ret_region = region;
	return 0;
}

int
region_set_writable(struct swap_region *region, bool writable)
{
	struct swap_object *object = region->object;
	int rc = 0;

	pthread_mutex_lock(&region->writable_lock);
	if (region->mapping != NULL)
		rc = mapping_set_writable(region->mapping, writable);
	if (rc == 0 && region->writable != writable) {
		region->writable = writable;
		object_lock(object);
		object->nwriters = writable ? object->nwriters + 1 :
				   object->nwriters - 1;
		object_unlock(object);
	}
	pthread_mutex_unlock(&region->writable_lock);
	return rc;
}

static bool
set_has(const struct region_set *set, const struct swap_region *region)
{
	for (unsigned i = 0; set != NULL && i < set->n; i++)
		if (set->region[i] == region)
			return true;
	return false;
}

/* Take the region out of its set; without memory for a new set, wait. */
static void
set_leave(struct swap_object *object, struct swap_region *region)
{
	struct region_set *set, *old = NULL;

	object_lock(object);
	object->nwriters -= region->writable;
	while (set_has(object->regions, region)) {
		set = set_make(object->regions, region, NULL);
		if (set != NULL) {
			old = set_replace(object, set);
			break;
		}
		object_unlock(object);
		sched_yield();
		object_lock(object);
	}
	object_unlock(object);
	region_set_put(old);
}

void
region_leave(struct swap_region *region)
{
	struct region_table *table = region->table;
	struct swap_object *object = region->object;

	epoll_ctl(table->epoll, EPOLL_CTL_DEL, region->uffd, NULL);
	pthread_mutex_lock(&table->lock);
	table->slot[(uint32_t)region->key] = NULL;
	pthread_mutex_unlock(&table->lock);
	set_leave(object, region);
	pthread_mutex_lock(&table->lock);
	while (region->users > 0)
		pthread_cond_wait(&table->unused, &table->lock);
	pthread_mutex_unlock(&table->lock);
	/* Only now can no fault mark it starved any more. */
	if (atomic_exchange(&region->starved, false))
		atomic_fetch_sub(&object->core->budget.starving, 1);
	if (!region->borrowed)
		close(region->uffd);
	region_free(region);
	object_unref(object);
}

/* ------------------------------------------------------------------ ioctls */

/* Clip [*page, *page + *n) to the region; false: nothing is left. */
static bool
clip(const struct swap_region *region, uint64_t *page, uint64_t *n)
{
	uint64_t first = max_u64(*page, region->first_page);
	uint64_t end = min_u64(*page + *n,
			       region->first_page + region->npages);

	if (first >= end)
		return false;
	*page = first;
	*n = end - first;
	return true;
}

static struct uffdio_range
range_of(const struct swap_region *region, uint64_t page, uint64_t n)
{
	return (struct uffdio_range){
		.start = region->address +
			 ((page - region->first_page) << page_shift()),
		.len = n << page_shift(),
	};
}

/* The errno of an ioctl that failed; remembers a process that has ended. */
static int
failed(struct swap_region *region)
{
	int rc = -errno;

	if (rc == -ESRCH)
		atomic_store(&region->gone, true);
	return rc;
}

static int
protect_range(struct swap_region *region, uint64_t page, uint64_t n,
	      uint64_t mode)
{
	struct uffdio_writeprotect wp = {
		.range = range_of(region, page, n),
		.mode = mode,
	};

	while (ioctl(region->uffd, UFFDIO_WRITEPROTECT, &wp) < 0) {
		if (errno != EAGAIN && errno != EINTR)
			return failed(region);
		sched_yield();
	}
	return 0;
}

int
region_protect(struct swap_region *region, uint64_t page, uint64_t n)
{
	const uint64_t on = UFFDIO_WRITEPROTECT_MODE_WP;
	int rc;

	if (atomic_load(&region->gone) || !clip(region, &page, &n))
		return 0;
	rc = protect_range(region, page, n, on);
	if (rc == -ENOENT) {
		/*
		 * Older kernels want a range within one vma, and the program
		 * may have split ours with mprotect(2): page by page then.
		 * What it has unmapped cannot be written through this region,
		 * and must not hold its memory for ever.
		 */
		rc = 0;
		for (uint64_t i = 0; i < n && rc == 0; i++) {
			rc = protect_range(region, page + i, 1, on);
			if (rc == -ENOENT)
				rc = 0;
		}
	}
	return rc == -ESRCH ? 0 : rc;
}

int
region_unprotect(struct swap_region *region, uint64_t page, uint64_t n)
{
	int rc;

	if (atomic_load(&region->gone) || !clip(region, &page, &n))
		return 0;
	rc = protect_range(region, page, n, UFFDIO_WRITEPROTECT_MODE_DONTWAKE);
	return rc == -ESRCH ? 0 : rc;
}

/*
 * What an ioctl that fills has done: @filled bytes or a negative number by its
 * own word.  0: go on behind *done; else its errno.
 */
static int
filled_some(struct swap_region *region, int64_t filled, uint64_t *done)
{
	int rc = -errno;

	if (filled > 0) {
		*done += (uint64_t)filled >> page_shift();
		return 0;
	}
	if (rc == -EAGAIN || rc == -EINTR) {
		sched_yield();
		return 0;
	}
	if (rc == -ESRCH)
		atomic_store(&region->gone, true);
	return rc;
}

int
region_zero(struct swap_region *region, uint64_t page, uint64_t n,
	    uint64_t *ret_done)
{
	uint64_t done = 0;
	int rc = 0;

	while (done < n && rc == 0) {
		struct uffdio_zeropage zero = {
			.range = range_of(region, page + done, n - done),
			.mode = UFFDIO_ZEROPAGE_MODE_DONTWAKE,
		};

		if (ioctl(region->uffd, UFFDIO_ZEROPAGE, &zero) == 0)
			done = n;
		else
			rc = filled_some(region, zero.zeropage, &done);
	}
	*ret_done = done;
	return rc;
}

int
region_copy(struct swap_region *region, uint64_t page, uint64_t n,
	    const void *buf, bool protect, uint64_t *ret_done)
{
	uint64_t mode = UFFDIO_COPY_MODE_DONTWAKE |
			(protect ? UFFDIO_COPY_MODE_WP : 0);
	uint64_t done = 0;
	int rc = 0;

	while (done < n && rc == 0) {
		struct uffdio_range range = range_of(region, page + done,
						     n - done);
		struct uffdio_copy copy = {
			.dst = range.start,
			.src = (uint64_t)(uintptr_t)buf +
			       (done << page_shift()),
			.len = range.len,
			.mode = mode,
		};

		if (ioctl(region->uffd, UFFDIO_COPY, &copy) == 0)
			done = n;
		else
			rc = filled_some(region, copy.copy, &done);
	}
	*ret_done = done;
	return rc;
}

void
region_wake(struct swap_region *region, uint64_t page, uint64_t n)
{
	struct uffdio_range range;

	if (atomic_load(&region->gone) || !clip(region, &page, &n))
		return;
	range = range_of(region, page, n);
	if (ioctl(region->uffd, UFFDIO_WAKE, &range) < 0)
		failed(region);
}

void
region_poison(struct swap_region *region, uint64_t page)
{
	struct uffdio_poison poison = {
		.range = range_of(region, page, 1),
	};

	if (atomic_load(&region->gone))
		return;
	if (!region->can_poison) {
		if (region->poison != NULL)
			region->poison(region->poison_arg, poison.range.start,
				       poison.range.len);
		return;
	}
	/*
	 * A page that went out has left a write-protect marker, and the kernel
	 * does not poison over one (EEXIST): take it away first.
	 */
	protect_range(region, page, 1, 0);
	while (ioctl(region->uffd, UFFDIO_POISON, &poison) < 0) {
		if (errno != EAGAIN && errno != EINTR) {
			/* EEXIST: poisoned before. */
			if (errno != EEXIST)
				failed(region);
			break;
		}
		sched_yield();
	}
	region_wake(region, page, 1);
}

void
regions_heal(struct region_set *set, const struct swap_object *object,
	     uint64_t page)
{
	for (unsigned i = 0; set != NULL && i < set->n; i++) {
		uint64_t done;

		if (!region_has(set->region[i], page))
			continue;
		/*
		 * A new page replaces the mark; the kernel puts it in where
		 * the memfd has none, that is in one region at a time.
		 */
		(void)region_zero(set->region[i], page, 1, &done);
		(void)object_punch(object, page, 1);
	}
}

/*
 * The kernel refuses a range as a whole where the program has mapped something
 * else into it: leave that out, by halves.
 */
static void
unregister_range(struct swap_region *region, uint64_t page, uint64_t n)
{
	struct uffdio_range range = range_of(region, page, n);

	if (ioctl(region->uffd, UFFDIO_UNREGISTER, &range) == 0)
		return;
	if (failed(region) != -EINVAL || n == 1)
		return;
	unregister_range(region, page, n / 2);
	unregister_range(region, page + n / 2, n - n / 2);
}

void
region_unregister(struct swap_region *region)
{
	unregister_range(region, region->first_page, region->npages);
}

int
regions_protect(struct region_set *set, const struct swap_region *except,
		uint64_t page, uint64_t n)
{
	int rc = 0;

	for (unsigned i = 0; set != NULL && i < set->n && rc == 0; i++)
		if (set->region[i] != except)
			rc = region_protect(set->region[i], page, n);
	return rc;
}

void
regions_wake(struct region_set *set, uint64_t page, uint64_t n)
{
	for (unsigned i = 0; set != NULL && i < set->n; i++)
		region_wake(set->region[i], page, n);
}

void
regions_unbusy(struct swap_object *object, uint64_t page, uint64_t n)
{
	bool wanted = object_unbusy(object, page, n);
	struct region_set *set = wanted ? region_set_get(object) : NULL;

	object_unlock(object);
	regions_wake(set, page, n);
	region_set_put(set);
}

void
regions_poison(struct region_set *set, uint64_t page)
{
	for (unsigned i = 0; set != NULL && i < set->n; i++)
		if (region_has(set->region[i], page))
			region_poison(set->region[i], page);
}
