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
 * The thread allocates map nodes and entries of queues only, and those before
 * it writes.  Costs: for each run of neighbours one protect a region, one read
 * of the memfd, one punch; for each piece of blocks one write.
 */
#include "pageout.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

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

/* Take up to @want pages out, or start it; false: none may go. */
static bool
round_once(struct pageout *po, uint64_t want)
{
	unsigned n = replace_collect(&po->replace, &po->core->pool, po->victim,
				     (unsigned)min_u64(want, REPLACE_MAX));

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
least(const struct core *core)
{
	uint64_t gap = atomic_load(&core->budget.high) -
		       atomic_load(&core->budget.low);

	return max_u64(1, min_u64(gap / 2, 2 * atomic_load(&core->cluster)));
}

/* Pages have gone: who waits for them goes on. */
static void
tell(struct pageout *po)
{
	if (!po->gone)
		return;
	po->gone = false;
	atomic_store(&po->core->stuck, false);
	fault_wake_starved(po->core, po->regions);
}

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
		uint64_t want = may_work(po) ? missing(po) : 0;

		if (want >= least(po->core) && po->nvain < VAIN_MAX) {
			if (!round_once(po, want))
				po->nvain = VAIN_MAX;
		} else if (po->npending > 0) {
			pageout_reap(po, true);
		} else {
			break;
		}
		tell(po);
	}
	progress = po->nvain < VAIN_MAX;
	pthread_mutex_unlock(&po->working);
	return progress;
}

static bool
is_needed(const struct core *core)
{
	return budget_is_low(&core->budget) ||
	       atomic_load(&core->budget.starving) > 0 ||
	       atomic_load(&core->budget.takers) > 0;
}

/* Nothing could go.  Is there anything left to look at?  When to try again. */
static uint64_t
tire(struct pageout *po, uint64_t usec)
{
	struct core *core = po->core;

	if (!replace_is_hopeless(&po->replace, &core->pool))
		return TIRED_USEC;
	atomic_store(&core->stuck, space_is_full(&core->space) || po->refused);
	po->refused = false;
	return usec == 0 ? TIRED_USEC : min_u64(2 * usec, TIRED_MAX_USEC);
}

static void *
pageout_main(void *arg)
{
	struct pageout *po = arg;
	struct core *core = po->core;
	uint64_t tired_usec = 0;

	while (!atomic_load(&po->stop)) {
		budget_wait_needed(&core->budget,
				   tired_usec > 0 ? tired_usec : IDLE_USEC,
				   tired_usec > 0);
		space_watch(&core->space);
		replace_prune(&po->replace, &core->pool);
		/*
		 * Who is tired has waited: let faults try again, for what is
		 * free or what a full space allows them beyond the budget.
		 */
		if (tired_usec > 0 || budget_free(&core->budget) > 0)
			fault_wake_starved(core, po->regions);
		if (!is_needed(core) || work(po))
			tired_usec = 0;
		else
			tired_usec = tire(po, tired_usec);
	}
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
