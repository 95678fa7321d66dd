/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Faults.
 *
 * A few threads read the userfaultfds of all regions and bring each faulting
 * page into the state that its access needs.  What a message says (missing,
 * write-protect) is only a hint, since it may be old by the time it is read:
 * the page's state under the object's lock decides.
 *
 *	F1  A fault thread never waits for page-out: a busy page is marked
 *	    wanted, and who owns it wakes the faulting thread when done.
 *	F2  When no page of RAM is free the fault is left unanswered, its
 *	    region is marked starved, and page-out wakes the region as soon as
 *	    it has freed something: the threads fault again.  So no queue of
 *	    faults is kept, and nothing grows with their number.
 *	F3  A page goes in clean only after it was write-protected in all other
 *	    regions; if that fails it goes in dirty.
 *	F4  Every message that is read ends in exactly one of these: the page
 *	    is put in, poisoned, unprotected, marked wanted or its region
 *	    marked starved, or the thread is woken to fault again.  So where
 *	    the kernel refuses a page nobody sleeps for ever.
 *
 * A fault thread waits for one thing only: the read of the pages that it is
 * bringing in (for a copy also while that page of its source is busy, whose
 * owner waits for I/O alone).
 *
 * Read-ahead.  Each region remembers where a few recent page-ins ended.  A
 * fault that goes on at one of them doubles that stream's window, up to the
 * cluster size; any other fault reads a single page and starts a stream.
 */
#include "fault.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include "copy.h"
#include "pageio.h"
#include "threads.h"
#include "uffd.h"
#include "util.h"

#define MESSAGES_MAX	16	/* read from one region before the next */
#define STREAM_GAP	8	/* pages that a sequential reader may skip */
#define REFUSED_USEC	1000	/* before a page that the kernel refused */

struct fault_thread {
	struct fault_pool *pool;
	pthread_t	 thread;
	void		*buf;		/* SWAP_CLUSTER_MAX pages */
};

/* One fault on its way through. */
struct fault {
	struct core	*core;
	struct swap_region *region;
	struct swap_object *object;
	uint64_t	 page;
	bool		 write;		/* the access was a write */
	bool		 protect;	/* it hit write protection */
	void		*buf;
};

/* ------------------------------------------------------------- starvation */

/* No page is free.  Object locked; unlocks. */
static void
starve(struct fault *f)
{
	struct swap_region *region = f->region;
	struct core *core = f->core;

	object_unlock(f->object);
	count(&core->counters.faults_starved, 1);
	if (!atomic_exchange(&region->starved, true))
		atomic_fetch_add(&core->budget.starving, 1);
	/* No kick: page-out that has just found nothing would find nothing. */
	budget_need(&core->budget);
}

/* Can page-out write nothing, for want of blocks or of memory for maps? */
static bool
is_full(struct core *core)
{
	return space_is_full(&core->space) || atomic_load(&core->maps_full);
}

/* The same for a page that is not on any device, and so is new to us. */
static void
starve_new(struct fault *f)
{
	struct core *core = f->core;

	if (!(core->flags & SWAP_PAGER_FULL_FAILS) ||
	    !atomic_load(&core->stuck) || !is_full(core)) {
		starve(f);
		return;
	}
	/* As configured: the program fails instead of waiting. */
	count(&core->counters.faults_starved, 1);
	object_poison(f->object, f->page);
	object_unlock(f->object);
	region_poison(f->region, f->page);
}

/*
 * The kernel did not do what the fault needs.  Where the process is short of
 * memory that may pass, and where the page has been unmapped the thread gets
 * its SIGSEGV: let it fault again.
 */
static void
again(struct fault *f, int rc)
{
	if (rc == -ESRCH)
		return;
	if (rc != -ENOENT) {
		log_limited(&f->core->log, &f->core->limit_refused,
			    SWAP_LOG_WARNING, "object %" PRIu64 ": page %"
			    PRIu64 " cannot be given to its program: %s; "
			    "tried again", f->object->id, f->page,
			    strerror(-rc));
		usleep(REFUSED_USEC);
	}
	region_wake(f->region, f->page, 1);
}

static void
wake_starved(struct swap_region *region, void *arg)
{
	struct core *core = arg;

	if (!atomic_exchange(&region->starved, false))
		return;
	atomic_fetch_sub(&core->budget.starving, 1);
	region_wake(region, region->first_page, region->npages);
}

void
fault_wake_starved(struct core *core, struct region_table *regions)
{
	if (atomic_load(&core->budget.starving) > 0)
		regions_each(regions, wake_starved, core);
}

/* ----------------------------------------------------------- filling in */

/*
 * Somebody put a page where the map says that there is none: a mapping that
 * is not watched.  Our block is the truth; write it over whatever that was.
 */
static int
overwrite(struct fault *f, uint64_t page, const void *buf, bool clean)
{
	int rc;

	log_limited(&f->core->log, &f->core->limit_foreign, SWAP_LOG_WARNING,
		    "object %" PRIu64 ": page %" PRIu64 " was touched through "
		    "a mapping that is not watched; restored from its block",
		    f->object->id, page);
	rc = pwrite_full(f->object->memfd, buf, page_bytes(),
			 (off_t)(page << page_shift()));
	if (rc == 0 && clean)
		rc = region_protect(f->region, page, 1, true);
	region_wake(f->region, page, 1);
	return rc;
}

/* Put @n pages in through the faulting region; *ret_n is how many are in. */
static int
fill(struct fault *f, uint64_t page, uint64_t n, const void *buf, bool clean,
     uint64_t *ret_n)
{
	uint64_t filled = 0;
	int rc = 0;

	while (filled < n) {
		const char *at = (const char *)buf + (filled << page_shift());
		uint64_t done;

		rc = region_copy(f->region, page + filled, n - filled, at,
				 clean, &done);
		filled += done;
		if (rc == 0)
			break;
		at += done << page_shift();
		if (rc == -EEXIST)
			rc = overwrite(f, page + filled, at, clean);
		if (rc < 0)
			break;
		filled++;
	}
	*ret_n = filled;
	return rc;
}

/* -------------------------------------------------------------- new pages */

static void
fault_zero(struct fault *f)
{
	struct swap_object *object = f->object;
	int rc;

	if (!budget_take(&f->core->budget, 1)) {
		starve_new(f);
		return;
	}
	object_busy(object, f->page, 1);
	object_unlock(object);
	rc = region_zero(f->region, f->page);
	/* Whoever filled a page that had no contents has given it some. */
	if (rc == -EEXIST)
		region_wake(f->region, f->page, 1);
	object_lock(object);
	if (rc == 0 || rc == -EEXIST) {
		object_set_state(object, f->page, PAGE_DIRTY);
		object_enqueue(object, f->page);
		count(&f->core->counters.faults_zero, 1);
	} else {
		budget_give(&f->core->budget, 1);
	}
	regions_unbusy(object, f->page, 1);
	if (rc < 0 && rc != -EEXIST)
		again(f, rc);
}

/* A page of a copy that has not been taken from its source yet. */
static void
fault_copy(struct fault *f)
{
	struct swap_object *object = f->object;
	int lost, rc = 0;
	uint64_t in = 0;

	if (object->cut) {
		object_poison(object, f->page);
		object_unlock(object);
		region_poison(f->region, f->page);
		return;
	}
	if (!budget_take(&f->core->budget, 1)) {
		starve_new(f);
		return;
	}
	object_busy(object, f->page, 1);
	lost = copy_fetch(object, f->page, f->buf);	/* unlocks, locks */
	object_unlock(object);
	if (lost >= 0)
		rc = fill(f, f->page, 1, f->buf, false, &in);
	object_lock(object);
	if (lost < 0)
		object_poison(object, f->page);
	if (in == 1) {
		object_set_state(object, f->page, PAGE_DIRTY);
		object_enqueue(object, f->page);
	} else {
		budget_give(&f->core->budget, 1);
	}
	regions_unbusy(object, f->page, 1);
	if (lost < 0)
		region_poison(f->region, f->page);
	else if (rc < 0)
		again(f, rc);
}

/* ---------------------------------------------------------- swapped pages */

/*
 * The stream that this fault belongs to: one that goes on here, or a little
 * further where some pages were resident.  NULL: none.
 */
static struct region_stream *
find_stream(struct fault *f)
{
	for (unsigned i = 0; i < REGION_STREAMS; i++) {
		struct region_stream *stream = &f->region->stream[i];
		uint64_t next = atomic_load_explicit(&stream->next_page,
						     memory_order_relaxed);

		if (next != 0 && f->page - next < STREAM_GAP)
			return stream;
	}
	return NULL;
}

/* How many pages to read, the faulting one included, by the pattern. */
static uint64_t
window(struct fault *f, struct region_stream **ret_stream)
{
	struct region_stream *stream = find_stream(f);
	unsigned n = 1;

	if (stream != NULL) {
		unsigned most = f->core->cluster;

		n = 2 * atomic_load_explicit(&stream->window,
					     memory_order_relaxed);
		/* Hints may be written by two threads at once. */
		n = n < 1 ? 1 : n > most ? most : n;
	} else {
		unsigned turn = atomic_fetch_add_explicit(&f->region->turn, 1,
			memory_order_relaxed);

		stream = &f->region->stream[turn % REGION_STREAMS];
	}
	atomic_store_explicit(&stream->window, n, memory_order_relaxed);
	*ret_stream = stream;
	return n;
}

/* RAM for @want pages, or for one; 0: none is free. */
static uint64_t
take_pages(struct fault *f, uint64_t want)
{
	struct budget *budget = &f->core->budget;

	/* Read-ahead must not take the last free pages from faults. */
	if (want > 1 && budget_free(budget) > want + budget->low / 2 &&
	    budget_take(budget, want))
		return want;
	if (budget_take(budget, 1))
		return 1;
	/*
	 * Page-out may be unable to write because space is full.  This
	 * page's own block becomes free when it comes in, which lets one page
	 * out: programs that fit in RAM and swap together always go on.  With
	 * maps that may not grow it is the same: this page at least can go
	 * out again.
	 */
	if (is_full(f->core) &&
	    budget_take_extra(budget, f->core->cluster))
		return 1;
	return 0;
}

/*
 * Enter the outcome: pages that are in become clean or dirty, the others stay
 * as they were.  Object locked.  Returns how many are in.
 */
static uint64_t
settle(struct fault *f, uint64_t first, uint64_t n, const bool in[],
       bool all_dirty)
{
	struct swap_object *object = f->object;
	uint64_t ngood = 0;

	for (uint64_t i = 0; i < n; i++) {
		uint64_t page = first + i;

		if (!in[i])
			continue;
		ngood++;
		if (all_dirty || (page == f->page && f->write)) {
			object_set_state(object, page, PAGE_DIRTY);
			object_free_blocks(object, page, 1);
		} else {
			object_set_state(object, page, PAGE_CLEAN);
		}
		object_enqueue(object, page);
	}
	return ngood;
}

/*
 * Put pages that were read in, the faulting one first; in[] says which.
 * Returns what kept the faulting one out.
 */
static int
fill_cluster(struct fault *f, uint64_t first, uint64_t n, bool in[],
	     bool all_dirty)
{
	const char *buf = f->buf;
	uint64_t at = f->page - first;
	uint64_t i = 0, one = 0;
	int rc = 0;

	if (in[at]) {
		rc = fill(f, f->page, 1, buf + (at << page_shift()),
			  !all_dirty && !f->write, &one);
		in[at] = one == 1;
	}
	while (i < n) {
		uint64_t run = 0, done;

		while (i + run < n && i + run != at && in[i + run])
			run++;
		if (run == 0) {
			i++;
			continue;
		}
		/* What stays out of these has done no harm. */
		(void)fill(f, first + i, run, buf + (i << page_shift()),
			   !all_dirty, &done);
		for (; done < run; done++)
			in[i + done] = false;
		i += run;
	}
	return rc;
}

static void
fault_in(struct fault *f)
{
	struct swap_object *object = f->object;
	struct swap_region *region = f->region;
	bool in[SWAP_CLUSTER_MAX], lost, all_dirty;
	uint64_t first, n, ngood, block;
	struct region_stream *stream;
	struct region_set *set;
	int rc, error = 0;

	n = pageio_cluster(object, f->page, 0, window(f, &stream) - 1,
			   region->first_page,
			   region->first_page + region->npages, &first);
	n = take_pages(f, n);
	if (n == 0) {
		starve(f);
		return;
	}
	block = swapmap_get(object->map, first);
	object_busy(object, first, n);
	set = region_set_get(object);
	object_unlock(object);

	/* What a detach or a full space wants back at once. */
	all_dirty = space_is_closing(&f->core->space, block) ||
		    space_is_tight(&f->core->space);
	pageio_read(f->core, block, n, f->buf, in, &error);
	lost = !in[f->page - first];
	if (!all_dirty && regions_protect(set, region, first, n) < 0)
		all_dirty = true;
	region_set_put(set);
	rc = fill_cluster(f, first, n, in, all_dirty);

	object_lock(object);
	if (lost)
		pageio_lost(object, f->page, error);
	ngood = settle(f, first, n, in, all_dirty);
	budget_give(&f->core->budget, n - ngood);
	regions_unbusy(object, first, n);
	if (lost)
		region_poison(region, f->page);
	else if (rc < 0)
		again(f, rc);
	/* Its block is free now, which page-out may be waiting for. */
	if (budget_free(&f->core->budget) == 0)
		budget_kick(&f->core->budget);
	atomic_store_explicit(&stream->next_page, first + n,
			      memory_order_relaxed);
	count(&f->core->counters.faults_in, 1);
}

/* --------------------------------------------------------- resident pages */

/* The first write to a clean page, or one through another region. */
static void
fault_write(struct fault *f)
{
	struct swap_object *object = f->object;
	int rc;

	/*
	 * The block goes first (FreeBSD swap_pager_unswapped): from here on
	 * the page counts as dirty, whether or not lifting the protection
	 * works, so that a successor that reads the map is right too.
	 */
	object_busy(object, f->page, 1);
	object_free_blocks(object, f->page, 1);
	object_set_state(object, f->page, PAGE_DIRTY);
	object->page[f->page] |= PAGE_REF;
	object_unlock(object);
	rc = region_protect(f->region, f->page, 1, false);
	object_lock(object);
	regions_unbusy(object, f->page, 1);
	if (rc < 0)
		again(f, rc);
	count(&f->core->counters.faults_write, 1);
}

/*
 * A missing fault on a page that should be there.  Nearly always the message
 * is old and the page came in meanwhile.  If there really is none, then the
 * program took it out itself (MADV_REMOVE, or a punch through its own
 * descriptor): a clean page still has its block, a dirty one reads as zeros,
 * which is what the program asked for.
 */
static void
fault_vanished(struct fault *f)
{
	struct swap_object *object = f->object;
	bool there;

	object_busy(object, f->page, 1);
	object_unlock(object);
	there = object_has_memory(object, f->page);
	object_lock(object);
	if (!there) {
		bool clean = page_state(object, f->page) == PAGE_CLEAN;

		object_set_state(object, f->page,
				 clean ? PAGE_SWAPPED : PAGE_ZERO);
		budget_give(&f->core->budget, 1);
	}
	regions_unbusy(object, f->page, 1);
	if (!there)
		log_limited(&f->core->log, &f->core->limit_foreign,
			    SWAP_LOG_WARNING, "object %" PRIu64 ": page %"
			    PRIu64 " was taken out by the program itself",
			    object->id, f->page);
	region_wake(f->region, f->page, 1);
}

/* -------------------------------------------------------------- dispatch */

static void
fault_page(struct fault *f)
{
	struct swap_object *object = f->object;

	object_lock(object);
	count(&f->core->counters.faults, 1);
	if (page_is_busy(object, f->page)) {
		object->page[f->page] |= PAGE_WANTED;
		object_unlock(object);
		count(&f->core->counters.faults_busy, 1);
		return;
	}
	switch (page_state(object, f->page)) {
	case PAGE_EMPTY:
		if (object->copy)
			fault_copy(f);
		else
			fault_zero(f);
		break;
	case PAGE_ZERO:
		fault_zero(f);
		break;
	case PAGE_SWAPPED:
		fault_in(f);
		break;
	case PAGE_CLEAN:
	case PAGE_DIRTY:
		if (f->protect)
			fault_write(f);
		else
			fault_vanished(f);
		break;
	case PAGE_POISON:
		object_unlock(object);
		region_poison(f->region, f->page);
		break;
	}
}

static void
handle(struct fault_thread *t, struct swap_region *region,
       const struct uffd_msg *msg)
{
	uint64_t flags = msg->arg.pagefault.flags;
	uint64_t offset = msg->arg.pagefault.address - region->address;
	struct fault f = {
		.core = t->pool->core,
		.region = region,
		.object = region->object,
		.page = region->first_page + (offset >> page_shift()),
		.protect = (flags & UFFD_PAGEFAULT_FLAG_WP) != 0,
		.buf = t->buf,
	};

	f.write = f.protect || (flags & UFFD_PAGEFAULT_FLAG_WRITE) != 0;
	if (msg->event == UFFD_EVENT_PAGEFAULT && region_has(region, f.page))
		fault_page(&f);
}

/*
 * Never sleeps.  O_NONBLOCK alone would not do: the flag belongs to the open
 * description, which a client shares and may change.
 */
static ssize_t
read_message(int uffd, struct uffd_msg *msg)
{
	struct iovec iov = { .iov_base = msg, .iov_len = sizeof(*msg) };
	ssize_t n = preadv2(uffd, &iov, 1, -1, RWF_NOWAIT);

	/* Before Linux 6.10 the flag is all there is. */
	if (n < 0 && (errno == EOPNOTSUPP || errno == ENOSYS ||
		      errno == ESPIPE))
		n = read(uffd, msg, sizeof(*msg));
	return n;
}

static void
serve(struct fault_thread *t, uint64_t key, bool blocking)
{
	struct region_table *regions = t->pool->regions;
	struct swap_region *region = region_enter(regions, key);
	struct uffd_msg msg;

	if (region == NULL)
		return;
	if (blocking) {
		fcntl(region->uffd, F_SETFL, O_NONBLOCK);
		sched_yield();
	}
	for (unsigned i = 0; i < MESSAGES_MAX; i++) {
		ssize_t n = read_message(region->uffd, &msg);

		if (n == (ssize_t)sizeof(msg))
			handle(t, region, &msg);
		else if (n >= 0 || errno != EINTR)
			break;
	}
	region_exit(region);
}

static void *
fault_main(void *arg)
{
	struct fault_thread *t = arg;
	struct epoll_event event;

	for (;;) {
		int n = epoll_wait(t->pool->regions->epoll, &event, 1, -1);

		if (n < 1)
			continue;
		if (event.data.u64 == 0)
			break;
		/* A userfaultfd has an error as long as it would block. */
		serve(t, event.data.u64,
		      (event.events & (EPOLLERR | EPOLLHUP)) != 0);
	}
	return NULL;
}

static int
watch_stop(struct fault_pool *pool)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = 0 };

	pool->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (pool->stop_fd < 0)
		return -errno;
	if (epoll_ctl(pool->regions->epoll, EPOLL_CTL_ADD, pool->stop_fd,
		      &event) < 0) {
		int rc = -errno;

		close(pool->stop_fd);
		return rc;
	}
	return 0;
}

int
fault_pool_start(struct fault_pool *pool, struct core *core,
		 struct region_table *regions, unsigned nthreads)
{
	int rc;

	pool->core = core;
	pool->regions = regions;
	pool->nthreads = 0;
	pool->thread = calloc(nthreads, sizeof(*pool->thread));
	if (pool->thread == NULL)
		return -ENOMEM;
	rc = watch_stop(pool);
	if (rc < 0) {
		free(pool->thread);
		return rc;
	}
	for (unsigned i = 0; i < nthreads && rc == 0; i++) {
		struct fault_thread *t = &pool->thread[i];

		t->pool = pool;
		t->buf = pageio_buffer(SWAP_CLUSTER_MAX);
		rc = t->buf == NULL ? -ENOMEM :
		     thread_start(&t->thread, fault_main, t);
		if (rc == 0)
			pool->nthreads++;
		else
			pageio_buffer_free(t->buf, SWAP_CLUSTER_MAX);
	}
	if (rc < 0)
		fault_pool_stop(pool);
	return rc;
}

void
fault_pool_stop(struct fault_pool *pool)
{
	uint64_t one = 1;

	if (write(pool->stop_fd, &one, sizeof(one)) < 0)
		abort();	/* an eventfd at zero takes a one */
	for (unsigned i = 0; i < pool->nthreads; i++) {
		pthread_join(pool->thread[i].thread, NULL);
		pageio_buffer_free(pool->thread[i].buf, SWAP_CLUSTER_MAX);
	}
	close(pool->stop_fd);
	free(pool->thread);
}
