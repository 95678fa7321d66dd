/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Page-out: from pages that are owned to blocks, or to nothing.
 *
 * A dirty page is staged: its place in the map is prepared, it is protected in
 * all regions, and copied from the memfd into frames of the cache.  As many as
 * fit into one write lie there behind one another, in the order of objects and
 * pages.  Pages of zeros are left out: they need no block.  So are others of one
 * repeated word, as long as the table of words has room: theirs is a word block
 * (space.h).  A full stage is written to fresh blocks (FreeBSD putpages
 * reallocates on the fly), in as few pieces as space gives, and the next one is
 * filled while that goes on.
 *
 * When a write has ended, for each run of its pages: the blocks are entered into
 * the map, the pages are punched out of the memfd, their frames are kept as
 * copies of the blocks, and the pages are let go of and woken.
 *
 *	W1  Protected before it is copied, written before its block is entered,
 *	    entered before it is punched: so no page is lost, whenever the
 *	    pager dies.
 *	W2  Frames are kept, and ghosts made, while the pages are still owned
 *	    (C1).
 *	W3  A page that somebody wants before its block is entered stays, and
 *	    its block is freed.
 *	W4  The thread waits for writes, never for frames or RAM: where all
 *	    frames are taken it has a few of its own.
 *
 * Clean pages skip the write.  Their contents are copied into frames, since
 * nothing tells whether they are being read; where such copies are not asked
 * for, only some are made.
 */
#include "pageout.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pageio.h"
#include "util.h"

#define FRAMES_LEAST	8u	/* that page-out may have, however few */
#define WAIT_USEC	5000	/* for a write; then look again */
#define COPY_LAP	4096u	/* copies between two looks at their use */
#define COPY_USE	64u	/* one of so many must be asked for */
#define COPY_FEW	16u	/* else one run of so many is copied */

struct pageout_write {
	struct device_io io;
	struct pageout	*po;
	struct pageout_write *next;	/* idle, or ended */
	struct victim	 page[SWAP_CLUSTER_MAX];
	unsigned	 n;
	char		*mem;
	bool		 reserved;
	int		 rc;
};

enum kind {
	CLEAN,		/* has its block */
	WRITTEN,	/* has one now */
	FILLED,		/* the same: a word block, without a write */
	ZEROS,		/* needs none */
	STAYS,		/* needs one, and there is none */
};

/* Consecutive pages of one object, all alike. */
struct run {
	struct pageout	*po;
	struct swap_object *object;
	uint64_t	 page, n;
	const struct victim *victim;	/* the first of them */
	enum kind	 kind;
	char		*mem;		/* frames of the cache with the contents */
	uint64_t	 ncopies;	/* of so many of them, from the first on */
};

/* -------------------------------------------------------------------- frames */

/* Frames that may be taken for writes now. */
static unsigned
frames_left(struct pageout *po)
{
	uint32_t half = cache_size(&po->core->cache) / 2;

	if (half < FRAMES_LEAST)
		half = FRAMES_LEAST;
	return po->nframes < half ? half - po->nframes : 0;
}

static bool
is_spare(const struct pageout *po, const char *mem)
{
	return (uintptr_t)mem - (uintptr_t)po->spare <
	       (uint64_t)PAGEOUT_SPARE << page_shift();
}

/* @n frames of a stage or write are not in use any more. */
static void
frames_done(struct pageout *po, const char *mem, unsigned n)
{
	if (is_spare(po, mem))
		po->nspare -= n;
	else
		po->nframes -= n;
}

static void
frames_give(struct pageout *po, const char *mem, unsigned n)
{
	if (n == 0)
		return;
	if (!is_spare(po, mem))
		cache_give(&po->core->cache, mem, n);
	frames_done(po, mem, n);
}

/* Memory for the next stage: up to @want frames. */
static void
frames_take(struct pageout *po, unsigned want)
{
	struct pageout_stage *st = &po->stage;

	for (;;) {
		unsigned left = frames_left(po);

		st->mem = left == 0 ? NULL :
			cache_take(&po->core->cache, left < want ? left : want,
				   &st->most);
		if (st->mem != NULL) {
			po->nframes += st->most;
			return;
		}
		if (po->nspare == 0) {
			st->mem = po->spare;
			st->most = want < PAGEOUT_SPARE ? want : PAGEOUT_SPARE;
			po->nspare = st->most;
			return;
		}
		/* The spare ones are in a write. */
		pageout_reap(po, true);
	}
}

/* ---------------------------------------------------------------------- runs */

/* Pages with word blocks?  Then nothing is kept under their numbers. */
static bool
has_words(const struct run *run)
{
	return space_is_word(run->victim->block);
}

static char *
copy_at(const struct run *run, uint64_t i)
{
	return run->mem + (i << page_shift());
}

/* The frames of pages [first, end) are free. */
static void
give_copies(struct run *run, uint64_t first, uint64_t end)
{
	end = min_u64(end, run->ncopies);
	if (first < end)
		cache_give(&run->po->core->cache, copy_at(run, first),
			   (uint32_t)(end - first));
}

/*
 * May it be kept?  Where the program itself has taken a clean page out of the
 * memfd what was copied is a hole, and not what the block has.
 */
static bool
is_good_copy(const struct run *run, uint64_t i)
{
	uint64_t word;

	return run->kind == WRITTEN ||
	       !pageio_uniform(copy_at(run, i), &word) || word != 0;
}

/* Keep the frames of pages [first, end), neighbours by block in one go. */
static void
keep_copies(struct run *run, uint64_t first, uint64_t end)
{
	end = min_u64(end, run->ncopies);
	while (first < end) {
		uint64_t block = run->victim[first].block, n = 0;

		while (first + n < end &&
		       run->victim[first + n].block == block + n &&
		       is_good_copy(run, first + n))
			n++;
		if (n == 0)
			give_copies(run, first, first + 1);
		else
			cache_keep(&run->po->core->cache, copy_at(run, first),
				   (uint32_t)n, block, CACHE_OUT);
		first += max_u64(n, 1);
	}
}

/* A block that is not entered goes back to where it came from. */
static void
give_back(struct core *core, const struct victim *victim)
{
	if (victim->reserved)
		space_free_reserved(&core->space, victim->block, 1);
	else
		space_free(&core->space, victim->block, 1);
}

/* Object locked.  Is page @i of the run to go?  If so its block is entered. */
static bool
record(struct run *run, uint64_t i)
{
	struct swap_object *object = run->object;
	const struct victim *victim = &run->victim[i];
	uint64_t page = run->page + i;
	bool wanted = (object->page[page] & PAGE_WANTED) != 0;
	struct space *space = &run->po->core->space;

	if (run->kind == ZEROS)
		return !wanted && !object->dead;
	if (run->kind == CLEAN)
		return !wanted && !space_is_gone(space, victim->block);
	if (victim->block == PAGEIO_UNRESERVED)
		object_lose_reservation(object, page);
	if (victim->block >= PAGEIO_UNRESERVED)
		return false;
	if (!object->dead && !wanted && !space_is_gone(space, victim->block) &&
	    object_enter_block(object, page, victim->block,
			       victim->reserved) == 0)
		return true;
	count(&run->po->core->counters.pageout_rescued, wanted);
	give_back(run->po->core, victim);
	return false;
}

/* Object locked.  Pages of its pool stay; 0: some have gone. */
static void
count_vain(struct swap_object *object, uint64_t n)
{
	for (struct pool *p = object->pool; p != NULL; p = p->parent)
		p->nvain = n == 0 ? 0 : p->nvain + n;
}

/* Were blocks taken from the object's limit for these pages? */
static bool
has_room(const struct run *run)
{
	return run->kind != CLEAN && !run->victim->no_room;
}

/* Let go of pages that stay. */
static void
stay(struct run *run, uint64_t first, uint64_t n)
{
	struct swap_object *object = run->object;
	uint64_t page = run->page + first;

	if (n == 0)
		return;
	give_copies(run, first, first + n);
	object_lock(object);
	if (run->kind != CLEAN)
		swapmap_unprepare(object->map, page, n);
	object_end_leave(object, n, has_room(run));
	count_vain(object, n);
	for (uint64_t i = page; i < page + n; i++) {
		if (object->page[i] & PAGE_WANTED)
			object_enqueue_main(object, i);
		else
			object_enqueue(object, i);
	}
	regions_unbusy(object, page, n);
	run->po->nvain += n;
}

/* What they are when they are out of the memfd, or when that failed. */
static enum page_state
state_after(const struct run *run, bool gone)
{
	if (run->kind != ZEROS)
		return gone ? PAGE_SWAPPED : PAGE_CLEAN;
	if (!gone)
		return PAGE_DIRTY;
	return PAGE_EMPTY;
}

/* Pages have gone; tell the ghosts, keep the copies (W2). */
static void
remember(struct run *run, uint64_t first, uint64_t n)
{
	struct pageout *po = run->po;

	if (run->kind == ZEROS || run->kind == FILLED)
		count(&po->core->counters.pageout_fill, n);
	else if (!has_words(run))
		for (uint64_t i = first; i < first + n; i++)
			ghost_add(&po->core->ghost, run->victim[i].block);
	keep_copies(run, first, first + n);
	po->nvain = 0;
	po->gone = true;
	replace_has_gone(&po->replace);
}

/* Take pages that are recorded out of the memfd; they are not busy then. */
static void
drop(struct run *run, uint64_t first, uint64_t n)
{
	struct swap_object *object = run->object;
	uint64_t page = run->page + first;
	bool gone;

	if (n == 0)
		return;
	gone = object_punch(object, page, n) == 0;
	if (gone)
		remember(run, first, n);
	else
		give_copies(run, first, first + n);
	object_lock(object);
	if (run->kind == ZEROS)
		swapmap_unprepare(object->map, page, n);
	for (uint64_t i = page; i < page + n; i++) {
		object_set_state(object, i, state_after(run, gone));
		if (!gone)
			object_enqueue(object, i);
	}
	object_end_leave(object, n, has_room(run));
	count_vain(object, gone ? 0 : n);
	if (gone)
		object_give_ram(object, n);
	else
		run->po->nvain += n;
	regions_unbusy(object, page, n);
}

static void
run_drop(struct run *run)
{
	for (uint64_t i = 0; i < run->n; i++)
		object_drop(run->object);
}

/* The end of a run whose pages stay, all of them. */
static void
run_stay(struct run *run)
{
	stay(run, 0, run->n);
	run_drop(run);
}

/* The end of a run whose pages may go, but for those that are wanted. */
static void
run_finish(struct run *run)
{
	uint64_t i = 0;

	while (i < run->n) {
		uint64_t first = i, stays;

		object_lock(run->object);
		while (i < run->n && record(run, i))
			i++;
		stays = i < run->n ? 1 : 0;
		object_unlock(run->object);
		drop(run, first, i - first);
		stay(run, i, stays);
		i += stays;
	}
	run_drop(run);
}

static struct run
run_of(struct pageout *po, const struct victim *victim, uint64_t n,
       enum kind kind)
{
	return (struct run){
		.po = po, .object = victim->object, .page = victim->page,
		.n = n, .victim = victim, .kind = kind,
	};
}

/* How many from @victim on are neighbours, and alike, of up to @n. */
static unsigned
run_length(const struct victim *victim, unsigned n)
{
	unsigned len = 1;

	while (len < n && victim[len].object == victim->object &&
	       victim[len].page == victim->page + len &&
	       victim[len].dirty == victim->dirty &&
	       victim[len].reserved == victim->reserved &&
	       space_is_word(victim[len].block) ==
	       space_is_word(victim->block))
		len++;
	return len;
}

/* -------------------------------------------------------------------- writes */

static void
write_done(struct device_io *io, int rc)
{
	struct pageout_write *w = io->arg;
	struct pageout *po = w->po;

	w->rc = rc;
	w->next = NULL;
	*po->ended_tail = w;
	po->ended_tail = &w->next;
	atomic_fetch_sub(&po->core->async_writes, 1);
}

/* A write that failed: block by block, those that are bad are found. */
static unsigned
narrow(struct pageout *po, struct pageout_write *w)
{
	struct space *space = &po->core->space;
	unsigned good = 0;

	for (unsigned i = 0; i < w->n; i++) {
		struct victim *v = &w->page[i];

		if (w->n > 1 && space_write(space, v->block, w->mem +
				((uint64_t)i << page_shift()), 1) == 0) {
			good++;
			continue;
		}
		space_bad(space, v->block, 1);
		v->block = w->reserved && space_reserve(space, 1) < 0 ?
			   PAGEIO_UNRESERVED : SPACE_NONE;
	}
	return good;
}

static void
write_finish(struct pageout *po, struct pageout_write *w)
{
	unsigned good = w->rc < 0 ? narrow(po, w) : w->n;
	bool spare = is_spare(po, w->mem);

	count(&po->core->counters.pageouts, 1);
	count(&po->core->counters.pageout_pages, good);
	for (unsigned i = 0; i < w->n; i++)
		if (w->page[i].block <= SWAPMAP_BLOCK_MAX)
			count(&w->page[i].object->pageout_pages, 1);
	for (unsigned i = 0, len; i < w->n; i += len) {
		struct run run;

		len = run_length(&w->page[i], w->n - i);
		run = run_of(po, &w->page[i], len, WRITTEN);
		run.mem = w->mem + ((uint64_t)i << page_shift());
		run.ncopies = spare ? 0 : len;
		run_finish(&run);
	}
	frames_done(po, w->mem, w->n);
	po->npending -= w->n;
	w->next = po->idle;
	po->idle = w;
}

void
pageout_reap(struct pageout *po, bool wait)
{
	aio_reap(po->aio);
	if (wait && po->ended == NULL) {
		aio_wait(po->aio, WAIT_USEC);
		space_watch(&po->core->space);
	}
	while (po->ended != NULL) {
		struct pageout_write *w = po->ended;

		po->ended = w->next;
		if (po->ended == NULL)
			po->ended_tail = &po->ended;
		write_finish(po, w);
	}
}

/* A write that is not in use; waits while as many as may be are in flight. */
static struct pageout_write *
write_take(struct pageout *po)
{
	struct core *core = po->core;
	struct pageout_write *w;

	if (atomic_load(&core->async_writes) >= atomic_load(&core->async_max))
		count(&core->counters.async_waits, 1);
	while (po->idle == NULL || atomic_load(&core->async_writes) >=
				   atomic_load(&core->async_max))
		pageout_reap(po, true);
	w = po->idle;
	po->idle = w->next;
	return w;
}

/* Pages [first, first + n) of the stage go to @block and behind it. */
static void
write_start(struct pageout *po, unsigned first, unsigned n, uint64_t block)
{
	struct pageout_stage *st = &po->stage;
	struct pageout_write *w = write_take(po);

	for (unsigned i = 0; i < n; i++) {
		w->page[i] = st->page[first + i];
		w->page[i].block = block + i;
	}
	w->n = n;
	w->mem = st->mem + ((uint64_t)first << page_shift());
	w->reserved = st->reserved;
	w->io = (struct device_io){
		.block = block, .n = n, .write = true, .buf = w->mem,
		.done = write_done, .arg = w,
	};
	po->npending += n;
	atomic_fetch_add(&po->core->async_writes, 1);
	space_start(&po->core->space, po->aio, &w->io);
	aio_submit(po->aio);
}

/* ------------------------------------------------------------------- staging */

/* There are no blocks for pages of the stage from @first on. */
static void
stage_refuse(struct pageout *po, unsigned first)
{
	struct pageout_stage *st = &po->stage;

	for (unsigned i = first, len; i < st->n; i += len) {
		struct run run;

		len = run_length(&st->page[i], st->n - i);
		run = run_of(po, &st->page[i], len, STAYS);
		run_stay(&run);
	}
}

/* Write what is staged, to as few runs of blocks as there are. */
static void
stage_flush(struct pageout *po)
{
	struct pageout_stage *st = &po->stage;
	struct space *space = &po->core->space;
	unsigned done = 0, got;

	while (done < st->n) {
		uint64_t block = st->reserved ?
			space_alloc_reserved(space, st->n - done, &got) :
			space_alloc(space, st->n - done, &got);

		if (block == SPACE_NONE)
			break;
		write_start(po, done, got, block);
		done += got;
	}
	stage_refuse(po, done);
	if (st->mem != NULL)
		frames_give(po, st->mem + ((uint64_t)done << page_shift()),
			    st->most - done);
	st->mem = NULL;
	st->n = 0;
	pageout_reap(po, false);
}

/* Prepare the map, protect, and copy to @buf: nobody can change that. */
static int
copy_run(struct run *run, void *buf)
{
	struct pageout *po = run->po;
	struct region_set *set;
	int rc;

	object_lock(run->object);
	set = region_set_get(run->object);
	rc = swapmap_prepare(run->object->map, run->page, run->n);
	object_unlock(run->object);
	po->replace.nmaps_full += rc == -EDQUOT;
	if (rc == 0)
		rc = regions_protect(set, NULL, run->page, run->n);
	if (rc == 0)
		rc = pread_full(run->object->memfd, buf,
				run->n << page_shift(),
				(off_t)(run->page << page_shift()));
	region_set_put(set);
	if (rc < 0 && rc != -EDQUOT)
		log_limited(&po->core->log, &po->core->limit_protect,
			    SWAP_LOG_WARNING,
			    "object %llu: %llu pages cannot be paged out: %s",
			    (unsigned long long)run->object->id,
			    (unsigned long long)run->n, strerror(-rc));
	return rc;
}

/*
 * Does the page need no block of a device?  Then it is zeros, or has a word
 * block from here on.  A page that is reserved has a block in any case.
 */
static enum kind
kind_of(struct pageout *po, struct victim *victim, const char *page)
{
	uint64_t word;
	bool uniform = pageio_uniform(page, &word);

	/* An exact object remembers that it was written. */
	if (uniform && word == 0 && !victim->object->exact)
		return ZEROS;
	if (uniform && !victim->reserved)
		victim->block = space_word(&po->core->space, word);
	if (victim->block != SPACE_NONE)
		return FILLED;
	return victim->no_room ? STAYS : WRITTEN;
}

/* @n pages of one kind that need none go now, or stay. */
static void
stage_fill(struct pageout *po, const struct victim *victim, unsigned n,
	   enum kind kind)
{
	struct run run;

	if (n == 0)
		return;
	run = run_of(po, victim, n, kind);
	if (kind == STAYS)
		run_stay(&run);
	else
		run_finish(&run);
}

/*
 * The @n pages of @victim have been copied behind what is staged.  Those that
 * need no write go now, the others close ranks.
 */
static void
stage_sift(struct pageout *po, struct victim *victim, unsigned n)
{
	struct pageout_stage *st = &po->stage;
	const char *from = st->mem + ((uint64_t)st->n << page_shift());
	enum kind fill = WRITTEN;
	unsigned nfill = 0;

	for (unsigned i = 0; i < n; i++, from += page_bytes()) {
		char *to = st->mem + ((uint64_t)st->n << page_shift());
		enum kind kind = kind_of(po, &victim[i], from);

		if (kind != fill) {
			stage_fill(po, &victim[i - nfill], nfill, fill);
			nfill = 0;
			fill = kind;
		}
		if (kind != WRITTEN) {
			nfill++;
			continue;
		}
		if (from != to)
			memcpy(to, from, page_bytes());
		st->page[st->n++] = victim[i];
	}
	stage_fill(po, &victim[n - nfill], nfill, fill);
}

/* A piece of a run that fits into the stage. */
static void
stage_piece(struct pageout *po, struct victim *victim, unsigned n)
{
	struct pageout_stage *st = &po->stage;
	struct run run = run_of(po, victim, n, WRITTEN);

	if (copy_run(&run, st->mem + ((uint64_t)st->n << page_shift())) < 0) {
		run_stay(&run);
		return;
	}
	po->nstaged += n;
	stage_sift(po, victim, n);
}

static void
stage_run(struct pageout *po, struct victim *victim, unsigned n)
{
	struct pageout_stage *st = &po->stage;
	unsigned done = 0, part;

	while (done < n) {
		if (st->mem == NULL)
			frames_take(po, atomic_load(&po->core->cluster));
		part = (unsigned)min_u64(n - done, st->most - st->n);
		stage_piece(po, victim + done, part);
		done += part;
		if (st->n == st->most)
			stage_flush(po);
	}
}

void
pageout_write_dirty(struct pageout *po, unsigned n, bool reserved)
{
	po->stage.reserved = reserved;
	for (unsigned i = 0, len; i < n; i += len) {
		struct victim *v = &po->victim[i];

		len = run_length(v, n - i);
		if (v->dirty && v->reserved == reserved)
			stage_run(po, v, len);
	}
	stage_flush(po);
}

/* --------------------------------------------------------------- clean pages */

/* Are copies of clean pages worth it?  Some are made in any case, to know. */
static bool
should_copy(struct pageout *po)
{
	uint64_t hits = atomic_load_explicit(&po->core->counters.cache_hits,
					     memory_order_relaxed);

	if (po->ncopied >= COPY_LAP) {
		po->copy_few = (hits - po->hits_then) * COPY_USE < po->ncopied;
		po->hits_then = hits;
		po->ncopied = 0;
	}
	return !po->copy_few || ++po->turn % COPY_FEW == 0;
}

/* Copy what is about to go, as far as there are frames in one piece. */
static void
copy_clean(struct run *run)
{
	struct pageout *po = run->po;
	uint32_t n;

	run->mem = cache_take(&po->core->cache, (uint32_t)run->n, &n);
	if (run->mem == NULL)
		return;
	if (pread_full(run->object->memfd, run->mem,
		       (uint64_t)n << page_shift(),
		       (off_t)(run->page << page_shift())) < 0) {
		cache_give(&po->core->cache, run->mem, n);
		return;
	}
	run->ncopies = n;
	po->ncopied += n;
}

void
pageout_drop_clean(struct pageout *po, unsigned n)
{
	for (unsigned i = 0, len; i < n; i += len) {
		struct run run;

		len = run_length(&po->victim[i], n - i);
		if (po->victim[i].dirty)
			continue;
		run = run_of(po, &po->victim[i], len, CLEAN);
		if (!has_words(&run) && should_copy(po))
			copy_clean(&run);
		count(&po->core->counters.pageout_clean, len);
		run_finish(&run);
	}
}

/* ---------------------------------------------------------------------- life */

int
pageout_write_init(struct pageout *po)
{
	bool uring = (atomic_load(&po->core->flags) & SWAP_PAGER_NO_URING) == 0;
	int rc;

	po->ended_tail = &po->ended;
	po->write = calloc(PAGEOUT_ASYNC_MAX, sizeof(*po->write));
	po->spare = pageio_buffer(PAGEOUT_SPARE);
	if (po->write == NULL || po->spare == NULL) {
		pageout_write_fini(po);
		return -ENOMEM;
	}
	for (unsigned i = 0; i < PAGEOUT_ASYNC_MAX; i++) {
		po->write[i].po = po;
		po->write[i].next = po->idle;
		po->idle = &po->write[i];
	}
	rc = aio_create(uring, PAGEOUT_ASYNC_MAX, &po->aio);
	if (rc < 0)
		pageout_write_fini(po);
	return rc;
}

void
pageout_write_fini(struct pageout *po)
{
	if (po->aio != NULL)
		aio_destroy(po->aio);
	pageio_buffer_free(po->spare, PAGEOUT_SPARE);
	free(po->write);
}
