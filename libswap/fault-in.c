/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Faults on swapped pages.
 *
 * A page comes from the cache where that has a copy of its block, else from its
 * device.  Reads go on by themselves, many at a time, while their thread answers
 * other faults; each has a struct pagein and, as a buffer, frames of the cache.
 * Its pages are busy meanwhile.
 *
 * A page that has a word block (space.h) comes as if the cache had it: a frame
 * is filled with the word.  It comes in clean, however full space is: its block
 * is of no use to others, and a clean page can always go again.
 *
 * How much is decided by readahead.c, from where the faults come.  A window is
 * put in as a whole, by one call for each run of pages; the window after it is
 * read before it is asked for, and waits in the cache.  The fault at its
 * beginning puts it in and has the next one read.  So a program that goes on by
 * equal steps waits for the device at the beginning only, unless the device is
 * slower than the program: then there are two windows in flight.
 *
 *	N1  Pages that are put in are in the RAM budget before; those that are
 *	    only read are not, since frames of the cache are counted already.
 *	N2  What was read is kept under its block only by the owner of the page
 *	    that has the block (C1 of cache.h).  Pages that lie between those of
 *	    a stream by steps are read with them and forgotten.
 *	N3  There is always a buffer for one page, of the thread's own, so a
 *	    fault never waits for frames that others have.
 *	N4  A read that fails is done again page by page.  The page that is asked
 *	    for is lost when that fails (F5); others stay as they were.
 *	N5  When somebody asks for a page that is being read ahead, all of its
 *	    read comes in; where RAM is too short for that it goes to the cache,
 *	    and the program faults again.
 *
 * Costs: for each fault one look into the cache; for each run that comes in one
 * protect a region but the faulting one, one copy, one lock of the object.
 */
#include "fault-impl.h"

#include <assert.h>
#include <string.h>

#include "copy.h"
#include "pageio.h"
#include "util.h"

#define WINDOW_MAX	128u	/* pages */
#define STEP_COVERED	8	/* steps whose pages are read in one piece */
#define PAGEIN_MAX	64u	/* pages of one read: bits in a word */
#define AHEAD_SPARE	8u	/* reads that are left for faults */
#define WAIT_USEC	UINT64_C(1000000) /* then look, and wait again */

/* ----------------------------------------------------------------- windows */

uint32_t
fault_window(const struct swap_object *object, uint32_t most)
{
	const struct core *core = object->core;
	const struct budget *budget = &core->budget;
	uint64_t room = budget_free(budget), rest = budget->low / 2;
	uint64_t spare = object_ram_spare(object);

	/* Read-ahead must not take the last free pages from faults. */
	if (core->cluster <= 1 || room <= rest + 1 || spare <= 1)
		return 1;
	return (uint32_t)min_u64(most, min_u64(room - rest, spare));
}

static void
make_plan(struct fault *f, struct ra_plan *plan)
{
	struct core *core = f->core;
	uint32_t most = (uint32_t)min_u64(2 * core->cluster, WINDOW_MAX);

	/* All windows are in the cache at a time, and others use it, too. */
	most = (uint32_t)min_u64(most, cache_size(&core->cache) /
				       (2 * RA_WINDOWS));
	ra_fault(&f->region->readahead, f->page,
		 fault_window(f->object, most), plan);
	count(&core->counters.readahead_used, plan->used);
	count(&core->counters.readahead_wasted, plan->wasted);
}

/* RAM for up to @want pages, or for one; 0: none is free. */
static uint64_t
take_pages(struct swap_object *object, uint64_t want)
{
	struct core *core = object->core;

	if (want > 1 && object_take_ram(object, want))
		return want;
	if (object_take_ram(object, 1))
		return 1;
	/*
	 * Page-out may be unable to write because space is full, or the pool's
	 * share of it.  This page's own block becomes free when it comes in,
	 * which lets one page out: programs that fit in RAM and swap together
	 * always go on.  With maps that may not grow it is the same: this page
	 * at least can go out again.  So can one with a word block, which
	 * has none to give, but comes in clean.
	 */
	if ((fault_is_full(core) || object_block_room(object) == 0) &&
	    object_take_ram_extra(object, core->cluster))
		return 1;
	return 0;
}

/* ------------------------------------------------------------------ put in */

/* The low @n bits. */
static uint64_t
mask_of(uint64_t n)
{
	return n >= 64 ? UINT64_MAX : (UINT64_C(1) << n) - 1;
}

/*
 * The next run of ones in @mask from *at on; how many, 0: none.
 */
static uint32_t
next_run(uint64_t mask, uint32_t *at)
{
	uint64_t rest;
	uint32_t n;

	if (*at >= 64 || mask >> *at == 0)
		return 0;
	*at += (uint32_t)__builtin_ctzll(mask >> *at);
	rest = ~(mask >> *at);
	n = rest == 0 ? 64 : (uint32_t)__builtin_ctzll(rest);
	return n > 64 - *at ? 64 - *at : n;
}

static bool
has_page(const struct piece *piece, uint64_t page)
{
	return page - piece->page < piece->n;
}

/* How pages come in. */
struct how {
	bool		 dirty;		/* they give their blocks up, ... */
	bool		 all;		/* ... and word blocks, which nobody
					   else waits for, too */
	bool		 guard;		/* copies depend on them: protected, even
					   if that is not what the fault asks
					   for, or out */
};

/* Do those of a piece come in dirty?  The faulting one may in any case. */
static bool
comes_dirty(const struct piece *piece, const struct how *how)
{
	return piece->filled ? how->all : how->dirty;
}

/* Put pages [from, to) of a piece in; what stays out has done no harm. */
static int
fill_part(struct fault *f, struct piece *piece, uint32_t from, uint32_t to,
	  bool protect)
{
	uint64_t done = 0;
	int rc;

	if (from >= to)
		return 0;
	rc = fault_fill(f, piece->page + from, to - from,
			piece->mem + ((uint64_t)from << page_shift()),
			protect, &done);
	piece->in |= mask_of(done) << from;
	return rc;
}

/* Returns what kept the faulting page out, if it is one of these. */
static int
fill_piece(struct fault *f, struct piece *piece, const struct how *how)
{
	bool protect = !comes_dirty(piece, how) || how->guard;
	bool write = f->write && protect && !how->guard;
	uint32_t at;
	int rc;

	piece->in = 0;
	if (!has_page(piece, f->page)) {
		(void)fill_part(f, piece, 0, piece->n, protect);
		return 0;
	}
	at = (uint32_t)(f->page - piece->page);
	if (!write) {
		rc = fill_part(f, piece, 0, piece->n, protect);
	} else {
		rc = fill_part(f, piece, at, at + 1, false);
		(void)fill_part(f, piece, 0, at, true);
		(void)fill_part(f, piece, at + 1, piece->n, true);
	}
	/*
	 * A refusal says nothing about the page itself: others may be of
	 * another vma, which refuses the whole.
	 */
	if (!(piece->in >> at & 1) && piece->n > 1 && !write)
		rc = fill_part(f, piece, at, at + 1, protect);
	return piece->in >> at & 1 ? 0 : rc;
}

/*
 * Enter the outcome: pages that are in become clean or dirty, the others stay
 * as they were.  Object locked.  Returns how many are in.
 */
static uint64_t
settle(struct fault *f, const struct piece *piece, const struct how *how)
{
	struct swap_object *object = f->object;

	for (uint32_t i = 0; i < piece->n; i++) {
		uint64_t page = piece->page + i;
		bool soon;

		if (!(piece->in >> i & 1))
			continue;
		soon = !piece->filled &&
		       ghost_has(&f->core->ghost,
				 swapmap_get(object->map, page));
		if (soon && page == f->page)
			count(&f->core->counters.refaults, 1);
		if (comes_dirty(piece, how) ||
		    (page == f->page && f->write && !how->guard)) {
			object_set_state(object, page, PAGE_DIRTY);
			object_free_blocks(object, page, 1);
		} else {
			object_set_state(object, page, PAGE_CLEAN);
		}
		if (soon || piece->proved)
			object_enqueue_main(object, page);
		else
			object_enqueue(object, page);
	}
	return (uint64_t)__builtin_popcountll(piece->in);
}

/*
 * What a detach or a full space wants back at once comes in dirty.  Object
 * locked.
 */
static bool
must_be_dirty(const struct swap_object *object, uint64_t block)
{
	struct space *space = &object->core->space;

	return object_blocks_tight(object) ||
	       space_is_leaving(space, block) || space_is_tight(space);
}

/* Object locked and open, pages owned. */
static struct how
choose_how(const struct fault *f, const struct piece piece[], unsigned n,
	   uint64_t block)
{
	struct how how = { .dirty = must_be_dirty(f->object, block) };

	for (unsigned i = 0; i < n && !how.guard; i++)
		how.guard = copy_is_needed(f->object, piece[i].page,
					   piece[i].n);
	return how;
}

/*
 * Put pieces of owned pages in, protected before elsewhere.  Returns what kept
 * the faulting one out; *how says how they are to be settled.
 */
static int
fill_pieces(struct fault *f, struct region_set *set, struct piece *piece,
	    unsigned n, struct how *how)
{
	int rc = 0;

	for (unsigned i = 0; i < n && rc == 0; i++)
		if (!comes_dirty(&piece[i], how) || how->guard)
			rc = regions_protect(set, f->region, piece[i].page,
					     piece[i].n);
	if (rc < 0 && how->guard)
		return rc;
	how->all |= rc < 0;
	how->dirty |= rc < 0;
	rc = 0;
	for (unsigned i = 0; i < n; i++) {
		int one = fill_piece(f, &piece[i], how);

		if (one < 0)
			rc = one;
	}
	return rc;
}

/* Its block may be free now, which page-out may be waiting for. */
static void
call_pageout(struct core *core)
{
	if (budget_free(&core->budget) == 0)
		budget_kick(&core->budget);
}

/* --------------------------------------------------------- from the cache */

/* Object locked.  Could this page of the region come in? */
static bool
may_come(const struct fault *f, uint64_t page)
{
	return region_has(f->region, page) && !page_is_busy(f->object, page) &&
	       page_state(f->object, page) == PAGE_SWAPPED;
}

/* Object locked.  Has the faulting page a word block? */
static bool
has_word(const struct fault *f)
{
	return space_is_word(swapmap_get(f->object->map, f->page));
}

/*
 * Pages from @page on, up to @n of them, that have word blocks and could come
 * in: own them, and write the word to the beginning of a frame for each, which
 * is filled with it by fill_words().  Object locked.
 */
static bool
take_words(struct fault *f, uint64_t page, uint64_t n, struct piece *piece)
{
	struct swap_object *object = f->object;
	uint64_t word[PAGEIN_MAX], block;
	uint32_t got;

	n = min_u64(n, PAGEIN_MAX);
	for (got = 0; got < n && may_come(f, page + got); got++) {
		block = swapmap_get(object->map, page + got);
		if (!space_is_word(block))
			break;
		word[got] = space_word_of(&f->core->space, block);
	}
	piece->mem = cache_take(&f->core->cache, got, &got);
	if (piece->mem == NULL)
		return false;
	for (uint32_t i = 0; i < got; i++)
		memcpy(piece->mem + ((uint64_t)i << page_shift()), &word[i],
		       sizeof(word[i]));
	piece->page = page;
	piece->n = got;
	piece->proved = false;
	piece->filled = true;
	piece->in = 0;
	object_busy(object, page, got);
	return true;
}

/* Nothing, unless these have word blocks.  Their pages are owned. */
static void
fill_words(const struct piece *piece)
{
	uint64_t word;

	for (uint32_t i = 0; i < piece->n && piece->filled; i++) {
		char *at = piece->mem + ((uint64_t)i << page_shift());

		memcpy(&word, at, sizeof(word));
		words_fill(at, word);
	}
}

/*
 * The copies of pages from @page on, up to @n of them, that are SWAPPED, lie
 * consecutively in blocks and in the cache, and are not busy; or word blocks.
 * Own them.  Object locked.
 */
static bool
take_copies(struct fault *f, uint64_t page, uint64_t n, struct piece *piece)
{
	struct swap_object *object = f->object;
	struct swap_region *region = f->region;
	uint64_t block = swapmap_get(object->map, page), first;
	enum cache_why why;
	uint32_t found;

	if (space_is_word(block))
		return take_words(f, page, n, piece);
	if (!cache_has(&f->core->cache, block))
		return false;
	n = pageio_cluster(object, page, 0, min_u64(n, PAGEIN_MAX) - 1,
			   region->first_page,
			   region->first_page + region->npages, &first);
	piece->mem = cache_find(&f->core->cache, block, (uint32_t)n, &found,
				&why);
	if (piece->mem == NULL)
		return false;
	piece->page = page;
	piece->n = found;
	piece->proved = why == CACHE_OUT;
	piece->filled = false;
	piece->in = 0;
	object_busy(object, page, found);
	return true;
}

/*
 * Own what the cache has of the plan's first @want pages: nothing if it has not
 * the faulting one.  Returns the number of pieces.
 */
static unsigned
gather(struct fault *f, const struct ra_plan *plan, uint64_t want,
       struct piece piece[])
{
	unsigned n = 1;
	uint64_t i;

	if (!take_copies(f, f->page, plan->step == 1 ? want : 1, &piece[0]))
		return 0;
	i = piece[0].n;
	while (i < want && n < PIECES_MAX) {
		uint64_t page = f->page + i * (uint64_t)plan->step;
		uint64_t run = plan->step == 1 ? want - i : 1;

		/* Downwards, runs are found from their lower end. */
		if (plan->step == -1) {
			page = f->page - want + i;
			run = want - i;
		}
		if (may_come(f, page) && take_copies(f, page, run, &piece[n]))
			i += piece[n++].n;
		else
			i++;
	}
	return n;
}

static void
put_cached(struct fault *f, struct piece piece[], unsigned n, uint64_t taken)
{
	struct swap_object *object = f->object;
	struct core *core = f->core;
	uint64_t nfilled = 0;
	struct region_set *set;
	struct how how;
	int rc;

	object_open(object);
	set = region_set_get(object);
	how = choose_how(f, piece, n, swapmap_get(object->map, f->page));
	object_unlock(object);
	for (unsigned i = 0; i < n; i++)
		fill_words(&piece[i]);
	rc = fill_pieces(f, set, piece, n, &how);
	region_set_put(set);
	for (unsigned i = 0; i < n; i++)
		cache_give(&core->cache, piece[i].mem, piece[i].n);
	object_lock(object);
	for (unsigned i = 0; i < n; i++) {
		uint64_t nin = settle(f, &piece[i], &how);

		taken -= nin;
		nfilled += piece[i].filled ? nin : 0;
	}
	object_close(object);
	object_give_ram(object, taken);
	count(&core->counters.cache_hits, !piece[0].filled);
	count(&core->counters.faults_in, 1);
	count(&core->counters.pagein_fill, nfilled);
	fault_let_go(f, piece, n);
	if (rc < 0)
		fault_again(f, rc);
	else
		fault_wake(f->t, f->region, f->page, 1, f->since,
			   &core->fault_in_time);
	call_pageout(core);
}

/* ---------------------------------------------------------------- reads */

static struct pagein *
pagein_get(struct fault_thread *t)
{
	struct pagein *p = t->free;

	t->free = p->next;
	return p;
}

static void
pagein_free(struct pagein *p)
{
	struct fault_thread *t = p->f.t;

	p->next = t->free;
	t->free = p;
}

static bool
is_asked(const struct pagein *p)
{
	return p->f.page != FAULT_NO_PAGE;
}

/* By the thread itself, from where it reaps: the rest is done later. */
static void
pagein_ended(struct device_io *io, int rc)
{
	struct pagein *p = io->arg;
	struct fault_thread *t = p->f.t;

	p->rc = rc;
	p->next = t->done;
	t->done = p;
}

/*
 * Start a read of blocks whose pages are owned as p->owned says.  Object locked;
 * unlocks.
 */
static void
pagein_start(struct pagein *p, uint64_t block)
{
	struct fault *f = &p->f;
	struct fault_thread *t = f->t;
	uint32_t at = 0, n;

	while ((n = next_run(p->owned, &at)) > 0) {
		object_busy(f->object, p->page + at, n);
		at += n;
	}
	p->set = region_set_get(f->object);
	object_unlock(f->object);
	region_hold(f->region);
	p->io.block = block;
	p->io.n = p->n;
	p->io.write = false;
	p->io.buf = p->mem;
	p->io.done = pagein_ended;
	p->io.arg = p;
	t->nasked += is_asked(p);
	atomic_fetch_add_explicit(&t->inflight, 1, memory_order_relaxed);
	count(&f->core->counters.pageins, !space_is_word(block));
	space_start(&f->core->space, t->aio, &p->io);
}

/* ------------------------------------------------------- what was read */

/* The whole could not be read: page by page.  Which are good? */
static uint64_t
read_singly(struct pagein *p)
{
	struct space *space = &p->f.core->space;
	uint64_t good = 0;
	uint32_t at = 0, n;

	fault_crowd(p->f.t);
	while ((n = next_run(p->owned, &at)) > 0)
		for (; n > 0; n--, at++) {
			int rc = space_read(space, p->io.block + at,
					    p->mem + ((uint64_t)at <<
						      page_shift()), 1);

			if (rc == 0)
				good |= UINT64_C(1) << at;
			else if (p->page + at == p->f.page)
				p->rc = rc;
		}
	return good;
}

/* Object locked.  Does somebody wait for one of these pages? */
static bool
is_wanted(const struct pagein *p)
{
	for (uint32_t i = 0; i < p->n; i++)
		if ((p->owned >> i & 1) &&
		    (p->f.object->page[p->page + i] & PAGE_WANTED))
			return true;
	return false;
}

/* Runs of @mask as pieces; how many. */
static unsigned
cut(const struct pagein *p, uint64_t mask, struct piece piece[])
{
	unsigned npieces = 0;
	uint32_t at = 0, n;

	for (; (n = next_run(mask, &at)) > 0; at += n)
		piece[npieces++] = (struct piece){
			.page = p->page + at,
			.n = n,
			.mem = p->mem + ((uint64_t)at << page_shift()),
			.filled = space_is_word(p->io.block),
		};
	return npieces;
}

/*
 * Give the frames back; copies of pages that were read for later, and are still
 * owned, are kept.
 */
static void
give_frames(struct pagein *p, uint64_t keep)
{
	struct cache *cache = &p->f.core->cache;
	uint32_t at = 0;

	if (p->mem == p->f.t->spare) {
		p->f.t->spare_used = false;
		return;
	}
	while (at < p->n) {
		bool kept = keep >> at & 1;
		uint32_t n = 1;

		while (at + n < p->n && (bool)(keep >> (at + n) & 1) == kept)
			n++;
		if (kept)
			cache_keep(cache, p->mem + ((uint64_t)at <<
						    page_shift()), n,
				   p->io.block + at, CACHE_AHEAD);
		else
			cache_give(cache, p->mem + ((uint64_t)at <<
						    page_shift()), n);
		at += n;
	}
}

/* The page that was asked for is gone for good.  Object locked; see F5. */
static void
lose(struct pagein *p)
{
	struct fault *f = &p->f;

	pageio_lost(f->object, f->page, p->rc);
	object_unlock(f->object);
	region_poison(f->region, f->page);
	object_lock(f->object);
}

static void
count_read(struct pagein *p, uint64_t good)
{
	uint64_t n = (uint64_t)__builtin_popcountll(good);
	struct core *core = p->f.core;

	if (is_asked(p))
		count(&core->counters.faults_in, 1);
	if (space_is_word(p->io.block)) {
		count(&core->counters.pagein_fill, n);
		return;
	}
	count(&core->counters.pagein_pages, n);
	atomic_fetch_add_explicit(&p->f.object->pagein_pages, n,
				  memory_order_relaxed);
	count(&core->counters.readahead_pages,
	      (uint64_t)__builtin_popcountll(p->owned) - is_asked(p));
}

/* N5: what was read ahead is asked for by now. */
static void
put_if_wanted(struct pagein *p, uint64_t good)
{
	struct swap_object *object = p->f.object;
	bool wanted;

	object_lock(object);
	wanted = is_wanted(p);
	if (wanted && good != 0 &&
	    object_take_ram(object, (uint64_t)__builtin_popcountll(good)))
		p->put = good;
	object_unlock(object);
}

/* Settle the pages, put in or not, and let go of all.  Object locked. */
static void
finish_pages(struct pagein *p, struct piece piece[], unsigned n,
	     const struct how *how)
{
	struct fault *f = &p->f;
	struct piece owned[PIECES_MAX];
	uint64_t taken = (uint64_t)__builtin_popcountll(p->put);

	for (unsigned i = 0; i < n; i++)
		taken -= settle(f, &piece[i], how);
	object_close(f->object);
	object_give_ram(f->object, taken);
	fault_let_go(f, owned, cut(p, p->owned, owned));
}

static void
pagein_finish(struct pagein *p)
{
	struct fault *f = &p->f;
	struct core *core = f->core;
	struct piece piece[PIECES_MAX];
	uint64_t good = p->rc == 0 ? p->owned : read_singly(p), put;
	bool asked = is_asked(p), lost;
	struct how how;
	unsigned n;
	int rc;

	count_read(p, good);
	if (!asked)
		put_if_wanted(p, good);
	lost = asked && !(good >> (f->page - p->page) & 1);
	put = p->put & good;
	n = cut(p, put, piece);
	object_lock(f->object);
	object_open(f->object);
	how = choose_how(f, piece, n, p->io.block);
	object_unlock(f->object);
	rc = fill_pieces(f, p->set, piece, n, &how);
	give_frames(p, good & ~put);
	region_set_put(p->set);
	object_lock(f->object);
	if (lost)
		lose(p);
	finish_pages(p, piece, n, &how);
	if (rc < 0 && asked)
		fault_again(f, rc);
	else if (asked && !lost)
		fault_wake(f->t, f->region, f->page, 1, f->since,
			   &core->fault_in_time);
	call_pageout(core);
	region_exit(f->region);
	pagein_free(p);
}

static unsigned
finish_done(struct fault_thread *t)
{
	struct pagein *p;
	unsigned n = 0;

	while ((p = t->done) != NULL) {
		t->done = p->next;
		t->nasked -= is_asked(p);
		pagein_finish(p);
		atomic_fetch_sub_explicit(&t->inflight, 1,
					  memory_order_relaxed);
		n++;
	}
	return n;
}

unsigned
fault_reap(struct fault_thread *t)
{
	if (atomic_load_explicit(&t->inflight, memory_order_relaxed) == 0)
		return 0;
	aio_reap(t->aio);
	return finish_done(t);
}

void
fault_wait(struct fault_thread *t)
{
	if (t->done == NULL)
		aio_wait(t->aio, WAIT_USEC);
	finish_done(t);
}

static void
wait_one(struct fault_thread *t)
{
	fault_crowd(t);
	fault_wait(t);
}

void
fault_drain(struct fault_thread *t)
{
	while (atomic_load_explicit(&t->inflight, memory_order_relaxed) > 0)
		wait_one(t);
}

void
fault_ready(struct fault_thread *t)
{
	while (t->free == NULL || t->spare_used)
		wait_one(t);
}

/* -------------------------------------------------------------- starting */

/*
 * The next pages by @step from @page on, up to @n of them, that one read can
 * bring: SWAPPED, not busy, their blocks as far apart as they are themselves.
 * Object locked, the first one is.  *ret_low is the lowest, *ret_span how many
 * there are from there to the highest; returns which of these.
 */
static uint64_t
one_read(const struct fault *f, uint64_t page, int64_t step, uint64_t n,
	 uint64_t *ret_low, uint32_t *ret_span)
{
	uint64_t block = swapmap_get(f->object->map, page);
	uint64_t apart = (uint64_t)(step < 0 ? -step : step);
	uint64_t most = min_u64(f->core->cluster, PAGEIN_MAX);
	uint64_t mask = 1, span = 1, k;

	most = step == 0 || apart > STEP_COVERED ? 1 : max_u64(most, 1);
	for (k = 1; k < n && k * apart < most; k++) {
		uint64_t by = k * (uint64_t)step;

		if (!may_come(f, page + by) ||
		    swapmap_get(f->object->map, page + by) != block + by)
			break;
		span = k * apart + 1;
		mask |= UINT64_C(1) << (k * apart);
	}
	*ret_low = step < 0 ? page - (span - 1) : page;
	*ret_span = (uint32_t)span;
	/* Downwards the pages are at the same distances from the other end. */
	return mask;
}

/* Frames for a read, or the buffer for the faulting page alone (N3). */
static void
take_frames(struct pagein *p)
{
	struct fault *f = &p->f;
	uint32_t got = 0;

	p->mem = cache_take(&f->core->cache, p->n, &got);
	if (p->mem != NULL && got == p->n)
		return;
	if (p->mem != NULL)
		cache_give(&f->core->cache, p->mem, got);
	p->mem = NULL;
	if (!is_asked(p))
		return;
	p->page = f->page;
	p->n = 1;
	p->owned = 1;
	p->mem = cache_take(&f->core->cache, 1, &got);
	if (p->mem == NULL) {
		p->mem = f->t->spare;
		f->t->spare_used = true;
	}
}

/* A group around the faulting page, of which only that comes in. */
static void
choose_around(struct pagein *p, uint32_t around)
{
	const struct fault *f = &p->f;
	const struct swap_region *region = f->region;
	uint64_t behind = f->page % around;

	p->n = (uint32_t)pageio_cluster(f->object, f->page, behind,
		around - 1 - behind, region->first_page,
		region->first_page + region->npages, &p->page);
	p->owned = mask_of(p->n);
}

/*
 * Read what the fault asks for.  @taken pages are in the budget.  Object locked;
 * unlocks.
 */
static void
read_asked(struct fault *f, const struct ra_plan *plan, uint64_t taken)
{
	struct pagein *p = pagein_get(f->t);
	/* One with a word block comes by itself: there was no frame for it. */
	bool single = has_word(f);
	bool around = plan->around > 1 && !single;
	uint64_t put;

	p->f = *f;
	if (around)
		choose_around(p, plan->around);
	else
		p->owned = one_read(f, f->page, plan->step,
				    single ? 1 : taken, &p->page, &p->n);
	take_frames(p);
	p->put = around ? UINT64_C(1) << (f->page - p->page) : p->owned;
	if (around)
		ra_around_read(&f->region->readahead, p->n - 1);
	put = (uint64_t)__builtin_popcountll(p->put);
	object_give_ram(f->object, taken - put);
	pagein_start(p, swapmap_get(f->object->map, p->page));
}

/*
 * Start one read of up to @n pages by @step from @page on, which may come in
 * and is not in the cache.  Object locked; unlocks.  Returns how many pages; 0:
 * there are no frames, or the device is about to go.
 */
static uint64_t
ahead_once(struct fault *f, int64_t step, uint64_t page, uint64_t n)
{
	struct pagein *p = pagein_get(f->t);
	uint64_t block, pages;

	p->f = *f;
	p->f.page = FAULT_NO_PAGE;
	p->f.write = false;
	p->put = 0;
	p->owned = one_read(f, page, step, n, &p->page, &p->n);
	pages = (uint64_t)__builtin_popcountll(p->owned);
	block = swapmap_get(f->object->map, p->page);
	p->mem = NULL;
	if (!space_is_leaving(&f->core->space, block))
		take_frames(p);
	if (p->mem == NULL) {
		object_unlock(f->object);
		pagein_free(p);
		return 0;
	}
	pagein_start(p, block);
	return pages;
}

/* Object locked.  Would it take I/O to bring the page in? */
static bool
is_to_read(const struct fault *f, uint64_t page)
{
	uint64_t block;

	if (!may_come(f, page))
		return false;
	block = swapmap_get(f->object->map, page);
	return !space_is_word(block) && !cache_has(&f->core->cache, block);
}

/*
 * Read @n pages by @step from @page on before they are asked for, as far as
 * there are frames.
 */
static void
read_ahead(struct fault *f, int64_t step, uint64_t page, uint64_t n)
{
	struct swap_object *object = f->object;
	struct fault_thread *t = f->t;

	while (n > 0 && t->free != NULL &&
	       atomic_load_explicit(&t->inflight, memory_order_relaxed) <
	       PAGEINS_MAX - AHEAD_SPARE) {
		uint64_t pages = 1;

		object_lock(object);
		while (n > 0 && !is_to_read(f, page)) {
			page += (uint64_t)step;
			n--;
		}
		if (n > 0)
			pages = ahead_once(f, step, page, n);
		else
			object_unlock(object);
		if (n == 0 || pages == 0)
			break;
		page += pages * (uint64_t)step;
		n -= pages;
	}
}

void
fault_in(struct fault *f)
{
	struct piece piece[PIECES_MAX];
	struct ra_plan plan;
	uint64_t taken;
	unsigned n;

	make_plan(f, &plan);
	taken = take_pages(f->object, plan.now);
	if (taken == 0) {
		if (has_word(f))
			fault_starve_new(f);
		else
			fault_starve(f);
		return;
	}
	n = gather(f, &plan, taken, piece);
	if (n > 0) {
		if (plan.step == 0 && !piece[0].proved && !piece[0].filled)
			ra_around_used(&f->region->readahead);
		put_cached(f, piece, n, taken);
	} else {
		read_asked(f, &plan, taken);
	}
	if (plan.step != 0 && plan.now > 1)
		read_ahead(f, plan.step,
			   f->page + (uint64_t)plan.step,
			   (uint64_t)plan.now - 1 + plan.ahead);
}

void
fault_in_ahead(struct fault *f)
{
	struct ra_plan plan;

	make_plan(f, &plan);
	object_unlock(f->object);
	if (plan.ahead > 0)
		read_ahead(f, plan.step,
			   f->page + plan.now * (uint64_t)plan.step,
			   plan.ahead);
}
