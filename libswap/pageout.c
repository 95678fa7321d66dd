/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Page-out.
 *
 * One thread keeps the number of free pages between the budget's marks.  In a
 * round it takes the oldest resident pages (first in, first out, with a second
 * chance for pages that were written again), owns them, and
 *
 *	1. sorts them by object and page, and cuts them into runs;
 *	2. write-protects each dirty run in every region and copies it from
 *	   the memfd into a staging buffer;
 *	3. writes the buffer to fresh blocks (FreeBSD putpages reallocates on
 *	   the fly), in as few pieces as space allows;
 *	4. enters the blocks into the maps, punches the pages out of the memfd,
 *	   lets go of them, and wakes who wanted them.
 *
 * Clean pages skip 2 and 3.  The order is what keeps a page from being lost:
 * protected before it is copied, written before its block is entered, entered
 * before it is punched.  A page that somebody wanted before step 4 is given up
 * from the round and stays as it was; its new block is freed.
 *
 * Where anything fails (no block, no memory for a map node, a region that
 * cannot be protected, a write error) the page stays resident.
 *
 * Pages that somebody has called cold go first (swap_object_flush()); that
 * queue holds hints only, the page's own place in the other one stays.  Pages
 * that are reserved take blocks of those that are set aside, so they go also
 * where space is full.
 *
 * Where the maps' account is at its limit (core->maps, -EDQUOT) pages without
 * a slot in their map stay; those that have one still go.  core->maps_full says
 * so, until a round has met no such page, and could write one.
 *
 * When a round could do nothing the thread is tired: it looks again after a
 * while, and the longer the longer it has been of no use, since what would
 * change that (a block or a page became free, a device came) kicks it.  It does
 * not let those fault again who would only find that nothing has changed.
 *
 * The thread allocates map nodes only, and those before it writes.
 * Costs of a round: for each run one protect a region, one read of the memfd,
 * one punch; for each piece of blocks one write.  A round looks at SCAN_MAX
 * pages at most.
 */
#include "pageout.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fault.h"
#include "pageio.h"
#include "threads.h"
#include "util.h"

#define SCAN_MAX	65536u	/* pages that one round looks at */
#define IDLE_USEC	500000	/* between two looks without a call */
#define TIRED_USEC	20000	/* after a round that was of no use */
#define TIRED_MAX_USEC	160000	/* the same, after many */
#define QUEUE_SLACK	4096u	/* entries that may be of dead objects */

struct victim {
	struct swap_object *object;	/* held */
	uint64_t	page;
	bool		dirty;
	bool		reserved;	/* (P6) */
	uint64_t	block;		/* where it went, or SPACE_NONE */
};

/* Victims [first, first + n): consecutive pages of one object, all alike. */
struct run {
	struct pageout	*po;
	struct swap_object *object;
	struct region_set *set;
	uint64_t	page, n;
	const struct victim *victim;	/* the first of them */
	bool		dirty;
};

/* -------------------------------------------------------------- victims */

/*
 * Object locked.  While maps cannot grow: has the page a place in its map?  So
 * a round does not own pages in vain, and finds those that can go.
 */
static bool
has_place(struct pageout *po, struct swap_object *object, uint64_t page)
{
	if (!atomic_load(&po->core->maps_full))
		return true;
	if (swapmap_prepare(object->map, page, 1) < 0) {
		po->nmaps_full++;
		return false;
	}
	swapmap_unprepare(object->map, page, 1);
	return true;
}

/* Where an entry comes from. */
enum queue { COLD, OLD };

/*
 * Object locked: own the page if it may go now.  With @clean only one that
 * needs no block but what is set aside for it.
 */
static bool
claim(struct pageout *po, struct swap_object *object, uint64_t page,
      enum queue queue, bool clean, struct victim *victim)
{
	uint8_t *p = &object->page[page];
	bool dirty;

	if (queue == OLD)
		*p &= (uint8_t)~PAGE_QUEUED;
	/* An entry may be of another object that had this slot before. */
	if (object->dead || (object->flags & SWAP_OBJECT_NOSWAP) ||
	    !page_is_resident(object, page))
		return false;
	dirty = page_state(object, page) == PAGE_DIRTY;
	if ((*p & (PAGE_BUSY | PAGE_REF)) || object->wire[page] > 0 ||
	    (dirty && ((clean && !(*p & PAGE_RESERVED)) ||
		       !has_place(po, object, page)))) {
		/* A cold one has its entry in the other queue still. */
		if (queue == COLD && (*p & PAGE_QUEUED))
			return false;
		*p &= (uint8_t)~PAGE_REF;
		object_enqueue(object, page);
		return false;
	}
	object_busy(object, page, 1);
	victim->object = object_hold(object);
	victim->page = page;
	victim->dirty = dirty;
	victim->reserved = (*p & PAGE_RESERVED) != 0;
	victim->block = SPACE_NONE;
	return true;
}

/* Pages whose queue entry could not be made, or was lost with its object. */
static int
enqueue_all(struct swap_object *object, void *arg)
{
	(void)arg;
	object_lock(object);
	for (uint64_t page = 0; page < object->npages; page++)
		if (page_is_resident(object, page))
			object_enqueue(object, page);
	object_unlock(object);
	return 0;
}

static void
sweep(struct core *core)
{
	objects_each(core, enqueue_all, NULL);
}

/* Take the oldest entry; NULL: its object has gone.  False: none is left. */
static bool
next_entry(struct core *core, enum queue queue,
	   struct swap_object **ret_object, uint64_t *ret_page)
{
	uint32_t slot;

	if (!pageq_pop(queue == COLD ? &core->cold : &core->queue, &slot,
		       ret_page) && (queue == COLD || !pageq_pop(&core->main, &slot, ret_page)))
		return false;
	*ret_object = object_hold_slot(core, slot);
	if (*ret_object != NULL && *ret_page >= (*ret_object)->npages) {
		object_drop(*ret_object);
		*ret_object = NULL;
	}
	return true;
}

/*
 * Entries of objects that have died go when they are popped.  Where RAM is
 * plenty nobody pops, and they would pile up: begin the queue anew then.
 */
static void
prune(struct core *core)
{
	size_t n = pageq_count(&core->queue);
	struct swap_object *object;
	uint64_t page;

	if (n <= 2 * atomic_load(&core->budget.used) + QUEUE_SLACK)
		return;
	for (; n > 0 && next_entry(core, OLD, &object, &page); n--) {
		if (object == NULL)
			continue;
		object_lock(object);
		object->page[page] &= (uint8_t)~PAGE_QUEUED;
		object_unlock(object);
		object_drop(object);
	}
	sweep(core);
}

/*
 * Own pages of one queue, up to the batch; @n are owned already.  No more dirty
 * ones than there are blocks, @room: the others would go nowhere.
 */
static unsigned
collect_from(struct pageout *po, enum queue queue, uint64_t tries,
	     uint64_t *room, unsigned n)
{
	struct swap_object *object;
	uint64_t page;

	for (; n < PAGEOUT_BATCH && tries > 0 &&
	     next_entry(po->core, queue, &object, &page); tries--) {
		struct victim *v = &po->victim[n];

		po->fruitless += queue == OLD;
		if (object == NULL)
			continue;
		object_lock(object);
		if (claim(po, object, page, queue, *room == 0, v)) {
			*room -= v->dirty && !v->reserved;
			n++;
		}
		object_unlock(object);
		object_drop(object);
	}
	return n;
}

static unsigned
collect(struct pageout *po)
{
	struct core *core = po->core;
	uint64_t tries = min_u64(pageq_count(&core->queue) + pageq_count(&core->main), SCAN_MAX);
	uint64_t room = space_room(&core->space);
	unsigned n;

	if (tries == 0)
		sweep(core);
	n = collect_from(po, COLD, SCAN_MAX, &room, 0);
	return collect_from(po, OLD, tries, &room, n);
}

static int
compare(const void *a, const void *b)
{
	const struct victim *x = a, *y = b;

	if (x->object != y->object)
		return (uintptr_t)x->object < (uintptr_t)y->object ? -1 : 1;
	return x->page < y->page ? -1 : x->page > y->page;
}

/* Length of the run that starts at victim @i. */
static unsigned
run_length(const struct pageout *po, unsigned i, unsigned n)
{
	const struct victim *v = &po->victim[i];
	unsigned len = 1;

	while (i + len < n && v[len].object == v->object &&
	       v[len].page == v->page + len && v[len].dirty == v->dirty &&
	       v[len].reserved == v->reserved)
		len++;
	return len;
}

/* ------------------------------------------------------------ one run */

static void
run_begin(struct pageout *po, struct run *run, unsigned i, unsigned len)
{
	run->po = po;
	run->object = po->victim[i].object;
	run->page = po->victim[i].page;
	run->n = len;
	run->victim = &po->victim[i];
	run->dirty = po->victim[i].dirty;
	object_lock(run->object);
	run->set = region_set_get(run->object);
	object_unlock(run->object);
}

/* Let go of pages that stay. */
static void
keep(struct run *run, uint64_t first, uint64_t n)
{
	if (n == 0)
		return;
	object_lock(run->object);
	if (run->dirty)
		swapmap_unprepare(run->object->map, run->page + first, n);
	for (uint64_t i = 0; i < n; i++)
		object_enqueue(run->object, run->page + first + i);
	regions_unbusy(run->object, run->page + first, n);
}

static void
run_end(struct run *run)
{
	region_set_put(run->set);
	for (uint64_t i = 0; i < run->n; i++)
		object_drop(run->object);
}

/* Copy a dirty run into @buf, so that nobody can change it any more. */
static int
stage(struct run *run, void *buf)
{
	int rc;

	object_lock(run->object);
	rc = swapmap_prepare(run->object->map, run->page, run->n);
	object_unlock(run->object);
	if (rc == -EDQUOT) {
		run->po->nmaps_full++;
		return rc;
	}
	if (rc == 0)
		rc = regions_protect(run->set, NULL, run->page, run->n);
	if (rc == 0)
		rc = pread_full(run->object->memfd, buf,
				run->n << page_shift(),
				(off_t)(run->page << page_shift()));
	if (rc < 0)
		log_limited(&run->po->core->log,
			    &run->po->core->limit_protect, SWAP_LOG_WARNING,
			    "object %llu: %llu pages cannot be paged out: %s",
			    (unsigned long long)run->object->id,
			    (unsigned long long)run->n, strerror(-rc));
	return rc;
}

/* Take pages that are recorded out of the memfd; they are not busy then. */
static uint64_t
drop(struct run *run, uint64_t first, uint64_t n)
{
	uint64_t page = run->page + first, gone = 0;

	if (n == 0)
		return 0;
	if (object_punch(run->object, page, n) == 0)
		gone = n;
	object_lock(run->object);
	for (uint64_t i = 0; i < n; i++) {
		object_set_state(run->object, page + i,
				 gone > 0 ? PAGE_SWAPPED : PAGE_CLEAN);
		if (gone == 0)
			object_enqueue(run->object, page + i);
	}
	regions_unbusy(run->object, page, n);
	budget_give(&run->po->core->budget, gone);
	return gone;
}

/* A block that is not entered goes back to where it came from. */
static void
give_back(struct run *run, const struct victim *victim)
{
	struct space *space = &run->po->core->space;

	if (victim->reserved)
		space_free_reserved(space, victim->block, 1);
	else
		space_free(space, victim->block, 1);
}

/* Object locked.  Is page @i of the run to go?  If so its block is entered. */
static bool
record(struct run *run, uint64_t i)
{
	struct swap_object *object = run->object;
	const struct victim *victim = &run->victim[i];
	uint64_t page = run->page + i;
	bool wanted = (object->page[page] & PAGE_WANTED) != 0;

	if (!run->dirty)
		return !wanted;
	if (victim->block == PAGEIO_UNRESERVED)
		object_lose_reservation(object, page);
	if (victim->block >= PAGEIO_UNRESERVED)
		return false;
	if (!object->dead && !wanted &&
	    object_enter_block(object, page, victim->block,
			       victim->reserved) == 0)
		return true;
	count(&run->po->core->counters.pageout_rescued, wanted);
	give_back(run, victim);
	return false;
}

/* Step 4 for a run whose pages are clean or have been written. */
static uint64_t
run_finish(struct run *run)
{
	uint64_t i = 0, gone = 0;

	while (i < run->n) {
		uint64_t first = i, stay;

		object_lock(run->object);
		while (i < run->n && record(run, i))
			i++;
		stay = i < run->n ? 1 : 0;
		object_unlock(run->object);
		gone += drop(run, first, i - first);
		keep(run, i, stay);
		i += stay;
	}
	return gone;
}

/* ------------------------------------------------------------- one round */

/* Step 2 for a dirty run at @i; its place in the buffer is @staged. */
static bool
stage_run(struct pageout *po, unsigned i, unsigned len, unsigned staged)
{
	struct run run;
	bool good;

	run_begin(po, &run, i, len);
	good = stage(&run, (char *)po->buf +
		     ((uint64_t)staged << page_shift())) == 0;
	region_set_put(run.set);
	return good;
}

/*
 * Steps 2 and 3 for the round's dirty pages that are reserved, or are not: the
 * blocks of the one kind are set aside, those of the other are not.
 */
static void
write_out(struct pageout *po, unsigned n, bool reserved)
{
	uint64_t block[PAGEOUT_BATCH];
	struct victim *staged[PAGEOUT_BATCH];
	unsigned nstaged = 0;

	for (unsigned i = 0, len; i < n; i += len) {
		len = run_length(po, i, n);
		if (!po->victim[i].dirty ||
		    po->victim[i].reserved != reserved ||
		    !stage_run(po, i, len, nstaged))
			continue;
		for (unsigned k = i; k < i + len; k++)
			staged[nstaged++] = &po->victim[k];
	}
	if (nstaged == 0)
		return;
	pageio_write(po->core, po->buf, nstaged, reserved, block);
	for (unsigned k = 0; k < nstaged; k++)
		staged[k]->block = block[k];
	po->nstaged += nstaged;
}

/* Say when maps cannot grow any more, and when they can again. */
static void
note_maps(struct pageout *po)
{
	struct core *core = po->core;

	if (po->nmaps_full > 0 && !atomic_exchange(&core->maps_full, true)) {
		count(&core->maps_full_events, 1);
		events_add(&core->events, SWAP_EVENT_METADATA_FULL, NULL, 0, 0,
			   "the swap maps have no more memory");
		log_limited(&core->log, &core->limit_maps, SWAP_LOG_WARNING,
			    "the swap maps have all the memory that tunable "
			    "'metadata_limit' gives them: pages without a "
			    "place in them stay in RAM; raise it with "
			    "'swapctl set', or end programs");
	} else if (po->nmaps_full == 0 && po->nstaged > 0 &&
		   atomic_exchange(&core->maps_full, false)) {
		events_add(&core->events, SWAP_EVENT_METADATA_ROOM, NULL, 0, 0,
			   "the swap maps have room again");
		log_limited(&core->log, &core->limit_room, SWAP_LOG_NOTICE,
			    "the swap maps have room again");
	}
	po->refused |= po->nmaps_full > 0;
	po->nmaps_full = po->nstaged = 0;
}

/* One round; returns how many pages became free. */
static uint64_t
round_once(struct pageout *po)
{
	unsigned n = collect(po);
	uint64_t gone = 0;

	qsort(po->victim, n, sizeof(po->victim[0]), compare);
	write_out(po, n, false);
	write_out(po, n, true);
	note_maps(po);
	for (unsigned i = 0, len; i < n; i += len) {
		struct run run;

		len = run_length(po, i, n);
		run_begin(po, &run, i, len);
		if (!run.dirty)
			count(&po->core->counters.pageout_clean, len);
		gone += run_finish(&run);
		run_end(&run);
	}
	return gone;
}

/* Rounds until enough is free; false: nothing could be done. */
static bool
work(struct pageout *po)
{
	struct core *core = po->core;
	bool progress = true;

	while (progress && !atomic_load(&po->stop) &&
	       !budget_is_high(&core->budget)) {
		pthread_mutex_lock(&po->working);
		progress = !atomic_load(&core->frozen) && round_once(po) > 0;
		pthread_mutex_unlock(&po->working);
		if (!progress)
			break;
		po->fruitless = 0;
		atomic_store(&core->stuck, false);
		fault_wake_starved(core, po->regions);
	}
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

	if (po->fruitless < pageq_count(&core->queue))
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
		prune(core);
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

int
pageout_start(struct pageout *po, struct core *core,
	      struct region_table *regions)
{
	int rc;

	memset(po, 0, sizeof(*po));
	po->core = core;
	po->regions = regions;
	pthread_mutex_init(&po->working, NULL);
	po->victim = calloc(PAGEOUT_BATCH, sizeof(*po->victim));
	po->buf = pageio_buffer(PAGEOUT_BATCH);
	rc = -ENOMEM;
	if (po->victim != NULL && po->buf != NULL)
		rc = thread_start(&po->thread, pageout_main, po);
	if (rc < 0) {
		free(po->victim);
		pageio_buffer_free(po->buf, PAGEOUT_BATCH);
		pthread_mutex_destroy(&po->working);
	}
	return rc;
}

void
pageout_stop(struct pageout *po)
{
	atomic_store(&po->stop, true);
	budget_kick(&po->core->budget);
	pthread_join(po->thread, NULL);
	free(po->victim);
	pageio_buffer_free(po->buf, PAGEOUT_BATCH);
	pthread_mutex_destroy(&po->working);
}
