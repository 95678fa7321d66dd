/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The fault threads: who answers which fault, and where.
 *
 * CROWD.  All threads wait for all regions; each fault wakes one of them.  One
 * that has reads in flight waits for these and for faults.
 *
 * SOLO.  When faults come from one thread only (the kernel tells whose they
 * are), one fault thread takes them all; the others sleep.  It follows the
 * program's thread from core to core, and wakes it as SCHED_IDLE: the scheduler
 * then lets the woken thread go on at once on that core, before the fault
 * thread, instead of waking another core, which takes several times as long as
 * all the rest.  The fault thread comes back when the program faults again, and
 * stays SCHED_IDLE: to change that for each fault would take a fifth of it.
 * While it waits for a read that should end soon it looks for that without
 * sleeping, and takes nothing from anybody.
 *
 * A SCHED_IDLE thread gets nothing on a core where somebody computes, so:
 *
 *	H1  It becomes SCHED_IDLE for a wake, or to look for the end of a read,
 *	    and stays so while faults follow each other.  So others may have
 *	    to wait for a lock that it holds: until what took the core from it
 *	    sleeps, or for H2.
 *	H2  The watcher, a thread of normal policy, looks every few milliseconds
 *	    as long as this is done.  One that has not come by since (idle_turn)
 *	    it makes normal again, from outside, on any core, and says so
 *	    (unbound).  If there are unread faults, or reads that a fault waits
 *	    for, then all threads take faults from there on (CROWD), for a
 *	    while, and the longer the sooner that happens again.
 *	H3  Before a solo thread waits for anything else it lets the crowd in;
 *	    but not for a page of a copy or its source that was in RAM, and
 *	    nobody's, when it was looked at.  Before it sleeps for a read it
 *	    becomes normal.
 *	H4  When faults stop so do the watcher and its looks, after making the
 *	    solo thread free of its core.
 *	H5  Page-out keeps off the core of the solo thread.  The scheduler takes
 *	    that core for an idle one, and page-out would take it from faults for
 *	    milliseconds.
 *
 * Userfaultfds are watched by edges (region.h).  Who hears of one reads it until
 * it is empty, or has it watched anew: `key' names it.
 *
 * Where policies or cores may not be changed, or there is one core, it is CROWD
 * for ever.
 */
#include "fault-impl.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "copy.h"
#include "pageio.h"
#include "threads.h"
#include "uffd.h"
#include "util.h"

#define AIO_DEPTH	PAGEINS_MAX
#define SCORE_MAX	64	/* faults of one thread: it is alone */
#define SCORE_OTHER	4	/* what one of another thread takes off */
#define SCORE_LEAVE	32
#define BURST_NSEC	1000000u /* faults not further apart are a burst */
#define BURST_MIN	4u
#define LOOK_EVERY	256u	/* faults between two looks for the core */
#define MISSES_MAX	4u
#define SPIN_MIN	20000u	/* nsec */
#define SPIN_MAX	200000u	/* reads that take longer are slept for */
#define LUCK_MAX	8
#define LUCK_LOST	3	/* by one that took longer */
#define TICK_USEC	3000u	/* between two looks of the watcher */
#define TICKS_IDLE	10u	/* of these in vain, and it sleeps */
#define HOLD_MIN	UINT64_C(100000000) /* nsec of CROWD after a takeover */
#define HOLD_MAX	UINT64_C(3200000000)
#define BLOCK_NSEC	UINT64_C(20000000) /* CROWD after a wait */
#define BATCHES_MAX	4u	/* reads of one region in a row */

/* ---------------------------------------------------------- SOLO and CROWD */

static bool
is_watched(struct fault_pool *pool)
{
	return atomic_load(&pool->watching);
}

static void
call_watcher(struct fault_pool *pool)
{
	pthread_mutex_lock(&pool->lock);
	atomic_store(&pool->watching, true);
	pthread_cond_signal(&pool->watch);
	pthread_mutex_unlock(&pool->lock);
}

/*
 * The turn is counted first: then either the watcher sees it, or it is seen
 * here that nobody watches.  One that is idle already says that it still comes
 * by.
 */
static void
become_idle(struct fault_thread *t)
{
	atomic_fetch_add(&t->idle_turn, t->idle ? 2 : 1);
	if (!is_watched(t->pool))
		call_watcher(t->pool);
	if (!t->idle)
		(void)follow_set_idle(&t->pool->follow, 0, true);
	t->idle = true;
}

static void
become_normal(struct fault_thread *t)
{
	if (!t->idle)
		return;
	t->idle = false;
	(void)follow_set_idle(&t->pool->follow, 0, false);
	atomic_fetch_add(&t->idle_turn, 1);
}

/*
 * To one core, or -1: to all.  Page-out is to stay away from it (H5); one that
 * has ended does not mind.
 */
static int
bind_to(struct fault_thread *t, int cpu)
{
	const struct follow *follow = &t->pool->follow;
	pid_t pageout = atomic_load(&t->core->pageout_tid);

	if (pageout != 0)
		(void)follow_avoid(follow, pageout, cpu);
	return follow_bind(follow, t->tid, cpu);
}

/* The solo thread is none any more, nor any other before that time. */
static void
let_crowd_in(struct fault_pool *pool, struct fault_thread *solo,
	     uint64_t until)
{
	struct fault_thread *was = solo;

	pthread_mutex_lock(&pool->lock);
	atomic_store(&pool->crowd_until, until);
	(void)atomic_compare_exchange_strong(&pool->solo, &was, NULL);
	pthread_cond_broadcast(&pool->crowd);
	pthread_mutex_unlock(&pool->lock);
}

static void
leave_solo(struct fault_thread *t, uint64_t until)
{
	t->solo = false;
	become_normal(t);
	let_crowd_in(t->pool, t, until);
	if (t->cpu >= 0 || atomic_load(&t->unbound))
		(void)bind_to(t, -1);
	t->cpu = -1;
}

void
fault_crowd(struct fault_thread *t)
{
	if (t->solo)
		leave_solo(t, now_nsec() + BLOCK_NSEC);
}

/* Be on the core where the faulting thread is. */
static void
go_along(struct fault_thread *t, pid_t tid)
{
	int cpu;

	if (atomic_load(&t->unbound)) {
		become_normal(t);
		t->cpu = -1;
		atomic_store(&t->unbound, false);
	}
	if (t->cpu >= 0 && tid == t->stat_tid && t->misses < MISSES_MAX &&
	    --t->until_look > 0)
		return;
	t->until_look = LOOK_EVERY;
	t->misses = 0;
	cpu = follow_cpu_of(tid, &t->stat_fd, &t->stat_tid);
	if (cpu == t->cpu && cpu >= 0) {
		t->away = -1;
		return;
	}
	/* Where page-out has that core the program comes back by itself. */
	if (t->cpu >= 0 && cpu >= 0 && cpu != t->away) {
		t->away = cpu;
		t->until_look = 1;
		return;
	}
	t->away = -1;
	if (cpu >= 0 && bind_to(t, cpu) == 0)
		t->cpu = cpu;
	else
		leave_solo(t, now_nsec() + HOLD_MAX);
}

/* A fault of thread @tid, 0 where that is not known. */
static void
note_thread(struct fault_thread *t, pid_t tid, uint64_t now)
{
	struct fault_pool *pool = t->pool;
	struct fault_thread *none = NULL;
	int score = atomic_load_explicit(&pool->score, memory_order_relaxed);

	if (!pool->follow.able)
		return;
	t->burst = now - t->last_nsec < BURST_NSEC ? t->burst + 1 : 0;
	t->last_nsec = now;
	if (tid != 0 && tid == atomic_load_explicit(&pool->tid,
						    memory_order_relaxed)) {
		score += score < SCORE_MAX;
	} else {
		score -= SCORE_OTHER;
		if (score <= 0) {
			atomic_store_explicit(&pool->tid, tid,
					      memory_order_relaxed);
			score = 0;
		}
	}
	atomic_store_explicit(&pool->score, score, memory_order_relaxed);
	if (t->solo && score < SCORE_LEAVE) {
		leave_solo(t, 0);
	} else if (!t->solo && score >= SCORE_MAX &&
		   now >= atomic_load(&pool->crowd_until) &&
		   atomic_compare_exchange_strong(&pool->solo, &none, t)) {
		t->solo = true;
		t->misses = 0;
	}
	if (t->solo && t->burst >= BURST_MIN)
		go_along(t, tid);
}

/* Sleep while another thread takes all faults. */
static void
park(struct fault_thread *t)
{
	struct fault_pool *pool = t->pool;

	pthread_mutex_lock(&pool->lock);
	while (!atomic_load(&pool->stop) && atomic_load(&pool->solo) != NULL)
		pthread_cond_wait(&pool->crowd, &pool->lock);
	pthread_mutex_unlock(&pool->lock);
}

static void
choose_role(struct fault_thread *t)
{
	struct fault_thread *solo = atomic_load(&t->pool->solo);

	if (t->solo && solo != t)
		leave_solo(t, atomic_load(&t->pool->crowd_until));
	if (solo != NULL && solo != t && t->inflight == 0 && t->key == 0)
		park(t);
}

/* ------------------------------------------------------------------- watcher */

static bool
is_readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) > 0;
}

/* Does anybody wait for this thread? */
static bool
is_waited_for(struct fault_thread *t)
{
	struct region_table *regions = t->pool->regions;
	uint64_t key = atomic_load(&t->key);
	struct swap_region *region = key != 0 ? region_enter(regions, key) :
				     NULL;

	if (region != NULL) {
		region_rewatch(region);
		region_exit(region);
	}
	return atomic_load(&t->nasked) > 0 || is_readable(regions->epoll);
}

/* A thread that has not come back: see H2. */
static void
rescue(struct fault_pool *pool, struct fault_thread *t)
{
	uint64_t now = now_nsec();

	(void)follow_set_idle(&pool->follow, t->tid, false);
	(void)bind_to(t, -1);
	atomic_store(&t->unbound, true);
	if (!is_waited_for(t))
		return;
	if (now - pool->taken_nsec < 10 * pool->hold_nsec)
		pool->hold_nsec = min_u64(2 * pool->hold_nsec, HOLD_MAX);
	else
		pool->hold_nsec = HOLD_MIN;
	pool->taken_nsec = now;
	let_crowd_in(pool, t, now + pool->hold_nsec);
}

/* Nothing to watch for some time: H4. */
static void
rest(struct fault_pool *pool, struct fault_thread *t)
{
	if (t != NULL) {
		(void)bind_to(t, -1);
		atomic_store(&t->unbound, true);
	}
	atomic_store(&pool->watching, false);
	/* One that became idle meanwhile has not called. */
	for (unsigned i = 0; i < pool->nthreads; i++)
		if ((atomic_load(&pool->thread[i].idle_turn) & 1) &&
		    !atomic_load(&pool->thread[i].unbound))
			atomic_store(&pool->watching, true);
	pool->seen_times = 0;
}

static void
look(struct fault_pool *pool)
{
	struct fault_thread *t = atomic_load(&pool->solo);
	unsigned turn = t != NULL ? atomic_load(&t->idle_turn) : 0;

	if (t != pool->seen || turn != pool->seen_idle) {
		pool->seen = t;
		pool->seen_idle = turn;
		pool->seen_times = 0;
		return;
	}
	pool->seen_times++;
	if ((turn & 1) && !atomic_load(&t->unbound))
		rescue(pool, t);
	else if (pool->seen_times >= TICKS_IDLE)
		rest(pool, t);
}

/* Locked. */
static void
sleep_tick(struct fault_pool *pool)
{
	cond_wait_until(&pool->watch, &pool->lock, now_usec() + TICK_USEC);
}

static void *
watch_main(void *arg)
{
	struct fault_pool *pool = arg;

	pthread_mutex_lock(&pool->lock);
	while (!pool->unwatch) {
		if (!is_watched(pool)) {
			pthread_cond_wait(&pool->watch, &pool->lock);
			continue;
		}
		sleep_tick(pool);
		pthread_mutex_unlock(&pool->lock);
		look(pool);
		pthread_mutex_lock(&pool->lock);
	}
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

/* ------------------------------------------------------------------- wakes */

static void
wake_now(const struct fault_wake *w)
{
	if (w->latency != NULL)
		latency_count(w->latency, now_nsec() - w->since);
	region_wake(w->region, w->page, w->n);
}

void
fault_wake(struct fault_thread *t, struct swap_region *region, uint64_t page,
	   uint64_t n, uint64_t since, struct latency *latency)
{
	struct fault_wake w = {
		.region = region,
		.page = page,
		.n = n,
		.since = since,
		.latency = latency,
	};

	if (t->solo && t->nwakes < WAKES_MAX) {
		region_hold(region);
		t->wake[t->nwakes++] = w;
	} else {
		wake_now(&w);
	}
}

/* The last act of a turn: H1. */
static void
wake_all(struct fault_thread *t)
{
	for (unsigned i = 0; i < t->nwakes; i++) {
		const struct fault_wake *w = &t->wake[i];
		bool idle = t->solo && i + 1 == t->nwakes && t->cpu >= 0;

		if (idle)
			become_idle(t);
		wake_now(w);
		region_exit(w->region);
	}
	t->nwakes = 0;
}

/* ---------------------------------------------------------------- messages */

/*
 * Never sleeps.  O_NONBLOCK alone would not do: the flag belongs to the open
 * description, which a client shares and may change.
 */
static ssize_t
read_messages(int uffd, struct uffd_msg msg[], size_t bytes)
{
	struct iovec iov = { .iov_base = msg, .iov_len = bytes };
	ssize_t n = preadv2(uffd, &iov, 1, -1, RWF_NOWAIT);

	/* Before Linux 6.10 the flag is all there is. */
	if (n < 0 && (errno == EOPNOTSUPP || errno == ENOSYS ||
		      errno == ESPIPE))
		n = read(uffd, msg, bytes);
	return n;
}

static void
answer(struct fault_thread *t, struct swap_region *region,
       const struct uffd_msg *msg, uint64_t now)
{
	uint64_t flags = msg->arg.pagefault.flags;
	uint64_t offset = msg->arg.pagefault.address - region->address;
	struct fault f = {
		.t = t,
		.core = t->core,
		.region = region,
		.object = region->object,
		.page = region->first_page + (offset >> page_shift()),
		.since = now,
		.protect = (flags & UFFD_PAGEFAULT_FLAG_WP) != 0,
	};

	f.write = f.protect || (flags & UFFD_PAGEFAULT_FLAG_WRITE) != 0;
	if (msg->event != UFFD_EVENT_PAGEFAULT || !region_has(region, f.page))
		return;
	note_thread(t, (pid_t)msg->arg.pagefault.feat.ptid, now);
	fault_handle(&f);
}

/* Answer what there is to read in the region of t->key; how many. */
static unsigned
serve(struct fault_thread *t)
{
	struct swap_region *region = region_enter(t->pool->regions, t->key);
	struct uffd_msg msg[MESSAGES_MAX];
	unsigned n = 0;
	ssize_t got;

	if (region == NULL) {
		t->key = 0;
		return 0;
	}
	do {
		got = read_messages(region->uffd, msg, sizeof(msg));
	} while (got < 0 && errno == EINTR);
	if (got < (ssize_t)sizeof(msg[0])) {
		t->key = 0;
	} else {
		uint64_t now = now_nsec();

		n = (unsigned)((size_t)got / sizeof(msg[0]));
		/* That was all; what comes later is another edge. */
		if (n < MESSAGES_MAX)
			t->key = 0;
		for (unsigned i = 0; i < n; i++)
			answer(t, region, &msg[i], now);
	}
	region_exit(region);
	return n;
}

/* A userfaultfd has an error as long as it would block. */
static void
unblock(struct fault_thread *t)
{
	struct swap_region *region = region_enter(t->pool->regions, t->key);

	if (region == NULL)
		return;
	fcntl(region->uffd, F_SETFL, O_NONBLOCK);
	region_exit(region);
	sched_yield();
}

/* The next region that has something to read, which becomes t->key. */
static void
next_region(struct fault_thread *t, int timeout)
{
	struct fault_pool *pool = t->pool;
	struct epoll_event event;
	int n;

	if (timeout != 0)
		atomic_fetch_add(&pool->listeners, 1);
	n = epoll_wait(pool->regions->epoll, &event, 1, timeout);
	if (timeout != 0)
		atomic_fetch_sub(&pool->listeners, 1);
	if (n < 1)
		return;
	if (event.data.u64 == 0)
		return;		/* the end: see fault_main() */
	t->key = event.data.u64;
	if (event.events & (EPOLLERR | EPOLLHUP))
		unblock(t);
}

/* ----------------------------------------------------------------- the loop */

/*
 * Look for the end of a read for as long as it should take, twice.  What is
 * learnt is learnt here: a read that is slept for takes longer, for that.
 */
static bool
spin(struct fault_thread *t)
{
	uint64_t start = now_nsec(), now;
	uint64_t most = min_u64(2 * t->spin_nsec + SPIN_MIN, SPIN_MAX);
	bool ended;

	become_idle(t);
	do {
		ended = aio_reap(t->aio) > 0;
		now = now_nsec();
	} while (!ended && now - start < most);
	if (ended) {
		t->spin_nsec += (now - start) / 8;
		t->spin_nsec -= t->spin_nsec / 8;
		t->spin_luck += t->spin_luck < LUCK_MAX;
	} else {
		/* It may be that reads take longer now. */
		t->spin_nsec = most;
		t->spin_luck -= LUCK_LOST;
	}
	return ended;
}

/* Is it worth while?  When it was not, it is tried again some reads later. */
static bool
may_spin(struct fault_thread *t)
{
	if (!t->solo || t->cpu < 0 || t->nasked == 0 || t->burst < BURST_MIN)
		return false;
	return t->spin_luck >= 0 || ++t->spin_luck >= 0;
}

/*
 * Wait for the end of a read, and for a fault, too, unless another thread does
 * that: one that stops listening will look before it waits again.
 */
static void
wait_for_reads(struct fault_thread *t)
{
	struct fault_pool *pool = t->pool;
	struct pollfd p[2] = {
		{ .fd = aio_fd(t->aio), .events = POLLIN },
		{ .fd = pool->regions->epoll, .events = POLLIN },
	};

	if (may_spin(t) && spin(t))
		return;
	become_normal(t);
	if (atomic_fetch_add(&pool->listeners, 1) == 0 || t->solo) {
		poll(p, 2, -1);
		atomic_fetch_sub(&pool->listeners, 1);
	} else {
		atomic_fetch_sub(&pool->listeners, 1);
		fault_wait(t);
	}
}

/* Others have their turn, if it goes on and on with one region. */
static void
be_fair(struct fault_thread *t, unsigned *batches)
{
	struct swap_region *region;

	if (t->key == 0) {
		*batches = 0;
		return;
	}
	if (t->solo || ++*batches < BATCHES_MAX)
		return;
	region = region_enter(t->pool->regions, t->key);
	t->key = 0;
	*batches = 0;
	if (region != NULL) {
		region_rewatch(region);
		region_exit(region);
	}
}

static void *
fault_main(void *arg)
{
	struct fault_thread *t = arg;
	struct fault_pool *pool = t->pool;
	unsigned batches = 0;
	bool woke = false;

	t->tid = (pid_t)syscall(SYS_gettid);
	follow_keep_io_priority();
	while (!atomic_load(&pool->stop)) {
		unsigned n;

		choose_role(t);
		n = fault_reap(t);
		/*
		 * Who was woken on this core has had its turn, and there is a
		 * fault by now; else it is on another (`misses').  Who is to be
		 * woken first.
		 */
		if (t->key == 0 && t->nwakes == 0)
			next_region(t, n > 0 || t->inflight > 0 || woke ? 0 :
				    -1);
		if (t->key != 0)
			n += serve(t);
		aio_submit(t->aio);
		woke = t->nwakes > 0;
		wake_all(t);
		t->misses = woke || n > 0 ? t->misses : t->misses + 1;
		be_fair(t, &batches);
		if (n == 0 && t->key == 0 && t->inflight > 0)
			wait_for_reads(t);
	}
	fault_drain(t);
	wake_all(t);
	return NULL;
}

/* ------------------------------------------------------------- start, stop */

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

static void
thread_free(struct fault_thread *t)
{
	if (t->stat_fd >= 0)
		close(t->stat_fd);
	if (t->aio != NULL)
		aio_destroy(t->aio);
	pageio_buffer_free(t->spare, 1);
	pageio_buffer_free(t->copied, COPY_PAGES_MAX);
	free(t->pagein);
}

static int
start_one(struct fault_pool *pool, struct fault_thread *t)
{
	int rc;

	t->pool = pool;
	t->core = pool->core;
	t->cpu = t->away = t->stat_fd = -1;
	t->spare = pageio_buffer(1);
	t->pagein = calloc(PAGEINS_MAX, sizeof(*t->pagein));
	rc = t->spare == NULL || t->pagein == NULL ? -ENOMEM :
	     aio_create(true, AIO_DEPTH, &t->aio);
	for (unsigned i = 0; rc == 0 && i < PAGEINS_MAX; i++) {
		t->pagein[i].next = t->free;
		t->free = &t->pagein[i];
	}
	if (rc == 0)
		rc = thread_start(&t->thread, fault_main, t);
	if (rc < 0)
		thread_free(t);
	return rc;
}

static void
fault_pool_init(struct fault_pool *pool, struct core *core,
	  struct region_table *regions)
{
	memset(pool, 0, sizeof(*pool));
	pool->core = core;
	pool->regions = regions;
	pool->hold_nsec = HOLD_MIN;
	follow_init(&pool->follow);
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->crowd, NULL);
	cond_init(&pool->watch);
}

static void
fault_pool_fini(struct fault_pool *pool)
{
	pthread_cond_destroy(&pool->watch);
	pthread_cond_destroy(&pool->crowd);
	pthread_mutex_destroy(&pool->lock);
	free(pool->thread);
}

int
fault_pool_start(struct fault_pool *pool, struct core *core,
		 struct region_table *regions, unsigned nthreads)
{
	int rc;

	fault_pool_init(pool, core, regions);
	pool->thread = calloc(nthreads, sizeof(*pool->thread));
	rc = pool->thread == NULL ? -ENOMEM : watch_stop(pool);
	if (rc < 0) {
		fault_pool_fini(pool);
		return rc;
	}
	rc = thread_start(&pool->watcher, watch_main, pool);
	if (rc < 0) {
		close(pool->stop_fd);
		fault_pool_fini(pool);
		return rc;
	}
	for (unsigned i = 0; i < nthreads && rc == 0; i++) {
		rc = start_one(pool, &pool->thread[i]);
		if (rc == 0)
			pool->nthreads++;
	}
	if (rc < 0)
		fault_pool_stop(pool);
	return rc;
}

void
fault_pool_stop(struct fault_pool *pool)
{
	uint64_t one = 1;

	pthread_mutex_lock(&pool->lock);
	atomic_store(&pool->stop, true);
	pthread_cond_broadcast(&pool->crowd);
	pthread_mutex_unlock(&pool->lock);
	if (write(pool->stop_fd, &one, sizeof(one)) < 0)
		abort();	/* an eventfd at zero takes a one */
	for (unsigned i = 0; i < pool->nthreads; i++) {
		pthread_join(pool->thread[i].thread, NULL);
		thread_free(&pool->thread[i]);
	}
	/* Only now can none of them be stuck any more. */
	pthread_mutex_lock(&pool->lock);
	pool->unwatch = true;
	pthread_cond_signal(&pool->watch);
	pthread_mutex_unlock(&pool->lock);
	pthread_join(pool->watcher, NULL);
	close(pool->stop_fd);
	fault_pool_fini(pool);
}
