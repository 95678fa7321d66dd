/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Page-out.
 *
 * One thread keeps the number of free pages between the budget's marks, ahead of
 * need, so that a fault seldom finds none.  In a round it takes victims
 * (replace.c), sorts them by object and page, drops those that are clean and
 * starts writes of the others (pageout-write.c).  Pages that are being written
 * count as almost free: rounds go on until these and the free ones reach the
 * high mark.  While writes are in flight, swap_async_max of them at most, the
 * next ones are staged, and those that have ended are finished.
 *
 *	O1  The thread owns pages only while it has `working', and it lets go of
 *	    that only when no write is in flight.
 *	O2  When it is told to stop, or core->frozen is set, it starts no round.
 *
 * Where anything fails (no block, no memory for a map node, a region that cannot
 * be protected, a write error) the page stays resident.
 *
 * Pages that somebody has called cold go first (swap_object_flush()); that
 * queue holds hints only, the page's own place in the other ones stays.  Pages
 * that are reserved take blocks of those that are set aside, so they go also
 * where space is full.
 *
 * Where the maps' account is at its limit (core->maps, -EDQUOT) pages without
 * a slot in their map stay; those that have one still go.  core->maps_full says
 * so, until a round has met no such page, and could stage one.
 *
 * When nothing could go the thread is tired: it looks again after a while, and
 * the longer the longer it has been of no use, since what would change that (a
 * block or a page became free, a device came) kicks it.  It does not let those
 * fault again who would only find that nothing has changed.
 *
 * Pools with limits (pool.h) page against themselves: whenever the thread works
 * it takes from each of them what is missing to its own high mark, however much
 * of the budget is free.  Where the budget is short victims come from all pools,
 * in proportion to what they have in RAM.  A pool in which nothing could go is
 * tired for itself, so that it costs the others nothing; then its faults call
 * nobody, and what may help (a page or block of its own became free) does.
 *
 * The thread allocates map nodes and entries of queues only, and those before
 * it writes.  Costs: for each run of neighbours one protect a region, one read
 * of the memfd, one punch; for each piece of blocks one write.
 */
#include "pageout.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fault.h"
#include "threads.h"
#include "util.h"

#define IDLE_USEC	500000	/* between two looks without a call */
#define TIRED_USEC	20000	/* after a round that was of no use */
#define TIRED_MAX_USEC	160000	/* the same, after many */
#define VAIN_MAX	128u	/* pages in a row that stayed: of no use */

static int
compare(const void *a, const void *b)
{
	const struct victim *x = a, *y = b;

	if (x->object != y->object)
		return (uintptr_t)x->object < (uintptr_t)y->object ? -1 : 1;
	return x->page < y->page ? -1 : x->page > y->page;
}

/* Say when maps cannot grow any more, and when they can again. */
static void
note_maps(struct pageout *po)
{
	struct core *core = po->core;
	uint64_t nfull = po->replace.nmaps_full;

	if (nfull > 0 && !atomic_exchange(&core->maps_full, true)) {
		count(&core->maps_full_events, 1);
		events_add(&core->events, SWAP_EVENT_METADATA_FULL, NULL, 0, 0,
			   "the swap maps have no more memory");
		log_limited(&core->log, &core->limit_maps, SWAP_LOG_WARNING,
			    "the swap maps have all the memory that tunable "
			    "'metadata_limit' gives them: pages without a "
			    "place in them stay in RAM; raise it with "
			    "'swapctl set', or end programs");
	} else if (nfull == 0 && po->nstaged > 0 &&
		   atomic_exchange(&core->maps_full, false)) {
		events_add(&core->events, SWAP_EVENT_METADATA_ROOM, NULL, 0, 0,
			   "the swap maps have room again");
		log_limited(&core->log, &core->limit_room, SWAP_LOG_NOTICE,
			    "the swap maps have room again");
	}
	po->refused |= nfull > 0;
	po->replace.nmaps_full = po->nstaged = 0;
}

/* ------------------------------------------------------------------ victims */

/* Do pages of @pool count as those of @around?  NULL: all do. */
static bool
is_within(const struct pool *pool, const struct pool *around)
{
	return around == NULL || pool == around || pool->parent == around;
}

static uint64_t
count_resident(struct pageout *po, const struct pool *around)
{
	struct core *core = po->core;
	uint64_t n = around == NULL ? atomic_load(&core->pool.resident) : 0;

	for (struct pool *p = pool_next(&core->pools, NULL); p != NULL;
	     p = pool_next(&core->pools, p))
		if (is_within(p, around) && !atomic_load(&p->tired))
			n += atomic_load(&p->resident);
	return n;
}

/*
 * Nothing can go.  When to try again; longer, where all of it has been looked at
 * and that is because blocks are missing.
 */
static void
pool_tire(struct pageout *po, struct pool *pool)
{
	struct core *core = po->core;
	bool hopeless = true;

	for (struct pool *p = pool_next(&core->pools, NULL); p != NULL;
	     p = pool_next(&core->pools, p))
		if (is_within(p, pool))
			hopeless &= replace_is_hopeless(&po->replace, p);
	pool->tired_usec = !hopeless || pool->tired_usec == 0 ? TIRED_USEC :
			   min_u64(2 * pool->tired_usec, TIRED_MAX_USEC);
	pool->tired_until = now_usec() + pool->tired_usec;
	atomic_store(&pool->changed, false);
	atomic_store(&pool->stuck, hopeless &&
		     (pool_block_room(pool) == 0 ||
		      space_is_full(&core->space) ||
		      atomic_load(&core->maps_full)));
	atomic_store(&pool->tired, true);
}

/* Victims of one pool, its share of @want where all have @total pages. */
static unsigned
collect_share(struct pageout *po, struct pool *pool, uint64_t want,
	      uint64_t total, unsigned n)
{
	uint64_t have = atomic_load(&pool->resident), share;
	unsigned got;

	if (have == 0 || atomic_load(&pool->tired))
		return n;
	share = have >= total ? want : want * have / total + 1;
	share = min_u64(share, REPLACE_MAX - n);
	got = replace_collect(&po->replace, pool, po->victim + n,
			      (unsigned)share);
	/* Do not look at all that may not go again and again. */
	if (got == 0 && share > 0 && pool_block_room(pool) == 0)
		pool_tire(po, pool);
	return n + got;
}

/* Victims of @around and the pools in it, or of all; how many. */
static unsigned
collect(struct pageout *po, const struct pool *around, uint64_t want)
{
	struct core *core = po->core;
	uint64_t total = count_resident(po, around);
	unsigned n = 0;

	want = min_u64(want, REPLACE_MAX);
	for (struct pool *p = pool_next(&core->pools, NULL); p != NULL;
	     p = pool_next(&core->pools, p))
		if (is_within(p, around))
			n = collect_share(po, p, want, total, n);
	return around == NULL ? collect_share(po, &core->pool, want, total, n)
			      : n;
}

/*
 * Take up to @want pages out, or start it, of @around or of all pools; false:
 * none may go.
 */
static bool
round_once(struct pageout *po, const struct pool *around, uint64_t want)
{
	unsigned n = collect(po, around, want);

	qsort(po->victim, n, sizeof(po->victim[0]), compare);
	pageout_drop_clean(po, n);
	pageout_write_dirty(po, n, false);
	pageout_write_dirty(po, n, true);
	note_maps(po);
	return n > 0;
}

/* Pages that are missing to the high mark, those in flight being free. */
static uint64_t
missing(const struct pageout *po)
{
	const struct budget *budget = &po->core->budget;
	uint64_t have = budget_free(budget) + po->npending;
	uint64_t high = atomic_load(&budget->high);

	return have < high ? high - have : 0;
}

/* The least that is worth a round: so that its writes are large. */
static uint64_t
least(const struct core *core, uint64_t low, uint64_t high)
{
	uint64_t gap = high > low ? high - low : 0;

	return max_u64(1, min_u64(gap / 2, 2 * atomic_load(&core->cluster)));
}

static uint64_t
least_of_all(const struct core *core)
{
	return least(core, atomic_load(&core->budget.low),
		     atomic_load(&core->budget.high));
}

/* Pages have gone: who waits for them goes on. */
static void
tell(struct pageout *po)
{
	if (!po->gone)
		return;
	po->gone = false;
	atomic_store(&po->core->stuck, false);
	fault_wake_starved(po->core, po->regions, false);
}

/* ------------------------------------------------------------------- limits */

/* Are pages of it missing that may be there? */
static bool
pool_needs(const struct core *core, const struct pool *pool)
{
	return !atomic_load(&pool->tired) &&
	       pool_missing(pool) >= least(core, atomic_load(&pool->low),
					   atomic_load(&pool->high));
}

/* A round of a pool that passes its limit, or is about to; false: there is none. */
static bool
round_of_pools(struct pageout *po)
{
	struct core *core = po->core;
	bool any = false;

	for (struct pool *p = pool_next(&core->pools, NULL); p != NULL;
	     p = pool_next(&core->pools, p)) {
		if (!pool_needs(core, p))
			continue;
		any = true;
		if (p->nvain < VAIN_MAX &&
		    round_once(po, p, pool_missing(p))) {
			p->tired_usec = 0;
			atomic_store(&p->stuck, false);
			continue;
		}
		p->nvain = 0;
		pool_tire(po, p);
	}
	return any;
}

/* Pools that have slept long enough, or may have work again; true: there are. */
static bool
rouse_pools(struct pageout *po)
{
	struct core *core = po->core;
	uint64_t now = now_usec();
	bool any = false;

	for (struct pool *p = pool_next(&core->pools, NULL); p != NULL;
	     p = pool_next(&core->pools, p)) {
		if (!atomic_load(&p->tired) ||
		    (!atomic_load(&p->changed) && now < p->tired_until))
			continue;
		atomic_store(&p->tired, false);
		any = true;
	}
	return any;
}

/* Does a pool need page-out?  And how long until one is to be roused? */
static bool
pools_need(struct core *core, uint64_t *usec)
{
	uint64_t now = now_usec();
	bool any = false;

	for (struct pool *p = pool_next(&core->pools, NULL); p != NULL;
	     p = pool_next(&core->pools, p)) {
		any |= pool_is_low(p) && pool_needs(core, p);
		if (atomic_load(&p->tired))
			*usec = min_u64(*usec, p->tired_until > now ?
					p->tired_until - now : 1);
	}
	return any;
}

/* --------------------------------------------------------------------- work */

static bool
may_work(const struct pageout *po)
{
	return !atomic_load(&po->stop) && !atomic_load(&po->core->frozen);
}

/* Rounds until enough is free; false: nothing could be done. */
static bool
work(struct pageout *po)
{
	bool progress;

	pthread_mutex_lock(&po->working);
	po->nvain = 0;
	for (;;) {
		bool busy = may_work(po) && round_of_pools(po);
		uint64_t want = may_work(po) ? missing(po) : 0;

		if (want >= least_of_all(po->core) && po->nvain < VAIN_MAX) {
			if (!round_once(po, NULL, want))
				po->nvain = VAIN_MAX;
			busy = true;
		}
		if (!busy && po->npending == 0)
			break;
		pageout_reap(po, !busy);
		tell(po);
		/* A pool that is hungry must not keep others asleep. */
		if (rouse_pools(po))
			fault_wake_starved(po->core, po->regions, true);
	}
	progress = po->nvain < VAIN_MAX;
	pthread_mutex_unlock(&po->working);
	return progress;
}

static bool
is_needed(struct core *core)
{
	uint64_t usec = 0;

	return budget_is_low(&core->budget) ||
	       atomic_load(&core->budget.starving) > 0 ||
	       atomic_load(&core->budget.takers) > 0 ||
	       pools_need(core, &usec);
}

/* Nothing could go.  Is there anything left to look at?  When to try again. */
static uint64_t
tire(struct pageout *po, uint64_t usec)
{
	struct core *core = po->core;
	bool hopeless = replace_is_hopeless(&po->replace, &core->pool);

	for (struct pool *p = pool_next(&core->pools, NULL); p != NULL;
	     p = pool_next(&core->pools, p))
		hopeless &= replace_is_hopeless(&po->replace, p);
	if (!hopeless)
		return TIRED_USEC;
	atomic_store(&core->stuck, space_is_full(&core->space) || po->refused);
	po->refused = false;
	return usec == 0 ? TIRED_USEC : min_u64(2 * usec, TIRED_MAX_USEC);
}

/* Until it is needed, or something is to be looked at. */
static void
wait_needed(struct pageout *po, uint64_t tired_usec)
{
	uint64_t usec = tired_usec > 0 ? tired_usec : IDLE_USEC;

	if (!pools_need(po->core, &usec) || !may_work(po))
		budget_wait_needed(&po->core->budget, usec, tired_usec > 0);
}

static void
prune(struct pageout *po)
{
	struct core *core = po->core;

	replace_prune(&po->replace, &core->pool);
	for (struct pool *p = pool_next(&core->pools, NULL); p != NULL;
	     p = pool_next(&core->pools, p))
		replace_prune(&po->replace, p);
}

static void *
pageout_main(void *arg)
{
	struct pageout *po = arg;
	struct core *core = po->core;
	uint64_t tired_usec = 0;

	atomic_store(&core->pageout_tid, (pid_t)syscall(SYS_gettid));
	while (!atomic_load(&po->stop)) {
		bool roused;

		wait_needed(po, tired_usec);
		space_watch(&core->space);
		prune(po);
		roused = rouse_pools(po);
		/*
		 * Who is tired has waited: let faults try again, for what is
		 * free or what a full space allows them beyond the budget.
		 */
		if (tired_usec > 0 || roused || budget_free(&core->budget) > 0)
			fault_wake_starved(core, po->regions,
					   tired_usec > 0 || roused);
		if (!is_needed(core) || work(po))
			tired_usec = 0;
		else
			tired_usec = tire(po, tired_usec);
	}
	atomic_store(&core->pageout_tid, 0);
	return NULL;
}

void
pageout_wait_idle(struct pageout *po)
{
	pthread_mutex_lock(&po->working);
	pthread_mutex_unlock(&po->working);
	objects_wait_moves(po->core);
}

static void
pageout_free(struct pageout *po)
{
	replace_fini(&po->replace);
	free(po->victim);
	pthread_mutex_destroy(&po->working);
}

int
pageout_start(struct pageout *po, struct core *core,
	      struct region_table *regions)
{
	int rc;

	memset(po, 0, sizeof(*po));
	po->core = core;
	po->regions = regions;
	pthread_mutex_init(&po->working, NULL);
	po->victim = calloc(REPLACE_MAX, sizeof(*po->victim));
	rc = replace_init(&po->replace, core);
	if (po->victim == NULL)
		rc = -ENOMEM;
	if (rc == 0)
		rc = pageout_write_init(po);
	if (rc == 0) {
		rc = thread_start(&po->thread, pageout_main, po);
		if (rc < 0)
			pageout_write_fini(po);
	}
	if (rc < 0)
		pageout_free(po);
	return rc;
}

void
pageout_stop(struct pageout *po)
{
	atomic_store(&po->stop, true);
	budget_kick(&po->core->budget);
	pthread_join(po->thread, NULL);
	pageout_write_fini(po);
	pageout_free(po);
}
