/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Emptying devices, in the order of their blocks.
 *
 * FreeBSD's swapoff walks all objects and reads in what they have on the
 * device, page by page.  On a device that has been in use for a while that is
 * random access.  Here an index made from the maps (pageback-index.c) says for
 * a window of blocks whose they are, and the window is read from its beginning
 * to its end: in large pieces, over small gaps of blocks that are free, with
 * several reads in flight, from all the devices that are being emptied in turn.
 *
 * A job is one such piece: it has a buffer, and owns the pages whose blocks it
 * reads.  They may be of many objects.  Before it reads it is decided where
 * they go:
 *
 *	- to RAM, while plenty is free.  The pages are put into the memfd and
 *	  are dirty then (B1 of pageback.c);
 *	- else to blocks of devices that stay.  They are written from the same
 *	  buffer, and stay swapped: the new block is entered in the place of the
 *	  old one, by storing one word, after its write was acknowledged.  A
 *	  successor finds the one or the other;
 *	- else to RAM as far as there is any; else all jobs end, and then the
 *	  thread waits for either.
 *
 * Rules, beside B1 to B3 of pageback.c:
 *
 *	E1  A page is owned, after looking again that it is swapped and has that
 *	    block, before the block is read.
 *	E2  A busy page is never waited for, since others are owned: it is left
 *	    to the next pass.  RAM is waited for while nothing is owned.
 *	E3  A page that is reserved (P6) keeps its guarantee: the new block is
 *	    it.  It was allocated as any other, so nothing that is set aside
 *	    changes.
 *	E4  A block goes back to its device only after its page has another
 *	    place.
 *	E5  A page whose pool has no room goes to blocks.  Where there are none
 *	    it comes into RAM beyond the limit, rather than that a device cannot
 *	    be emptied.
 *
 * Memory: the index, and JOBS buffers of JOB_BYTES: 41 MiB at most.
 * Costs: reads all maps once a window, PAGEBACK_INDEX_BLOCKS blocks.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "copy.h"
#include "pageback.h"
#include "pageback-index.h"
#include "pageio.h"
#include "util.h"

#define JOBS		8u
#define JOB_BYTES	(1u << 20)
#define JOB_PAGES	256u		/* of 4 KiB, the smallest there are */
#define GAP_PAGES	8u		/* that are read, and not wanted */
#define WAIT_USEC	100000u		/* between two polls */
#define STALL_USEC	30000000u	/* no room for this long: give up */

/* A page that a job owns; its object is held. */
struct piece {
	struct swap_object *object;
	uint64_t	 page, block;
	uint64_t	 to;	/* its new block; SPACE_NONE: it stays */
	unsigned	 at;	/* where in the buffer, in pages */
	bool		 read;	/* it is there */
	bool		 lost;	/* it cannot be read */
};

struct job {
	struct emptier	*e;
	struct job	*next;		/* in a list */
	struct pageback_device *device;
	char		*buf;		/* JOB_BYTES */
	uint64_t	 block;		/* at the beginning of buf */
	uint64_t	 ram;		/* pages taken; 0: it goes to blocks */
	bool		 writing;
	unsigned	 npieces, nto;
	unsigned	 npending;	/* transfers in flight */
	int		 rc;		/* of the read */
	struct piece	 piece[JOB_PAGES];
	uint64_t	 to[JOB_PAGES];	/* blocks to write to */
	struct device_io read;
	struct device_io write[JOB_PAGES];
};

struct emptier {
	struct pageback_sweep *sweep;
	struct core	*core;
	struct aio	*aio;
	struct pageback_index index;
	struct pageback_device *device[SPACE_DEVICES_MAX]; /* of a window */
	unsigned	 turn;		/* the window to go on with */
	struct job	*idle, *ended;
	unsigned	 nidle;
	unsigned	 job_pages;
	uint64_t	 ram;		/* taken while waiting */
	bool		 limited;	/* the next page has a pool without
					   room: to blocks, ... */
	bool		 over;		/* ... or beyond its limit */
	int		 rc;		/* why it stops */
	struct job	 job[JOBS];
};

/* ------------------------------------------------------------------ lists */

static void
push(struct job **list, struct job *job)
{
	job->next = *list;
	*list = job;
}

static struct job *
pop(struct job **list)
{
	struct job *job = *list;

	if (job != NULL)
		*list = job->next;
	return job;
}

/* ------------------------------------------------------------------- room */

/* Blocks for up to @n pages, as long as there are plain ones. */
static unsigned
take_blocks(struct emptier *e, struct job *job, unsigned n)
{
	struct space *space = &e->core->space;
	struct space_totals totals;
	uint64_t room;

	/* Not to be told that space is full: that is no news here. */
	space_totals(space, &totals);
	room = totals.avail - min_u64(totals.avail, totals.reserved);
	n = (unsigned)min_u64(n, room);
	while (job->nto < n) {
		unsigned got;
		uint64_t block = space_alloc(space, n - job->nto, &got);

		if (block == SPACE_NONE)
			break;
		for (unsigned i = 0; i < got; i++)
			job->to[job->nto++] = block + i;
	}
	return job->nto;
}

/* Give back those from @first on, in runs. */
static void
give_blocks(struct emptier *e, struct job *job, unsigned first)
{
	for (unsigned i = first, n; i < job->nto; i += n) {
		for (n = 1; i + n < job->nto &&
		     job->to[i + n] == job->to[i] + n; n++)
			;
		space_free(&e->core->space, job->to[i], n);
	}
	job->nto = first;
}

/*
 * Room for up to @n pages: RAM that is plenty, then blocks, then what there is
 * of both.  0: there is none.
 */
static unsigned
take_room(struct emptier *e, struct job *job, unsigned n)
{
	struct budget *budget = &e->core->budget;
	uint64_t plenty = n + atomic_load(&budget->high);

	job->ram = 0;
	job->nto = 0;
	e->over = e->limited && take_blocks(e, job, n) == 0;
	e->limited = false;
	if (job->nto > 0)
		return job->nto;
	if (e->ram > 0) {
		n = (unsigned)min_u64(n, e->ram);
		e->ram -= n;
		job->ram = n;
		return n;
	}
	if (e->sweep->force)
		budget_force(budget, n);
	else if ((budget_free(budget) < plenty || !budget_take(budget, n)) &&
		 (space_is_tight(&e->core->space) ||
		  take_blocks(e, job, n) == 0) &&
		 !budget_take(budget, n))
		return take_blocks(e, job, n);
	if (job->nto > 0)
		return job->nto;
	job->ram = n;
	return n;
}

/* Nothing is owned: wait until there is room. */
static int
wait_room(struct emptier *e)
{
	struct budget *budget = &e->core->budget;
	uint64_t start = now_usec();
	struct space_totals totals;
	int rc = 0;

	while (rc == 0 && !budget_take_wait(budget, 1, WAIT_USEC)) {
		space_totals(&e->core->space, &totals);
		if (totals.avail > totals.reserved)
			return 0;
		if (now_usec() - start > STALL_USEC)
			return -ENOMEM;
		rc = e->sweep->poll != NULL ? e->sweep->poll(e->sweep->arg) : 0;
	}
	if (rc != 0)
		return rc;
	e->ram = 1;
	while (e->ram < e->job_pages && budget_take(budget, e->ram))
		e->ram *= 2;
	return 0;
}

/* ----------------------------------------------------------------- owning */

/* Object locked: own the page if its block is what must go. */
static bool
own(struct emptier *e, struct swap_object *object, uint64_t page,
    uint64_t block)
{
	if (object->dead || page >= object->npages ||
	    page_is_busy(object, page) ||
	    swapmap_get(object->map, page) != block)
		return false;
	if (page_is_resident(object, page)) {
		/* It just gives its block up. */
		object_free_blocks(object, page, 1);
		object_set_state(object, page, PAGE_DIRTY);
		e->sweep->done++;
		return false;
	}
	if (page_state(object, page) != PAGE_SWAPPED)
		return false;
	object_busy(object, page, 1);
	return true;
}

/* Object locked.  May a page that is swapped come into its RAM now? */
static bool
ram_allows(struct emptier *e, const struct job *job,
	   const struct swap_object *object)
{
	if (job->ram == 0 || e->sweep->force || e->over ||
	    object_ram_room(object) > 0)
		return true;
	e->limited = true;
	return false;
}

/*
 * Own what the words of @n blocks from the window's @at name, at most @most
 * pages; the words are used up.  Returns how many blocks were looked at.
 */
static uint64_t
own_pieces(struct emptier *e, struct job *job, struct pageback_window *w,
	   uint64_t n, unsigned most)
{
	struct swap_object *object = NULL;
	uint32_t slot = UINT32_MAX;
	uint64_t i;

	for (i = 0; i < n && job->npieces < most; i++) {
		struct piece *piece = &job->piece[job->npieces];
		uint64_t word = w->word[i], page = pageback_index_page(word);

		if (word == 0)
			continue;
		if (pageback_index_slot(word) != slot) {
			if (object != NULL) {
				object_unlock(object);
				object_drop(object);
			}
			slot = pageback_index_slot(word);
			object = object_hold_slot(e->core, slot);
			if (object != NULL)
				object_lock(object);
		}
		if (object != NULL && !ram_allows(e, job, object))
			break;
		w->word[i] = 0;
		if (object == NULL || !own(e, object, page, w->lo + i))
			continue;
		if (job->ram > 0)
			object_count_ram(object, 1);
		*piece = (struct piece){ .object = object_hold(object),
			.page = page, .block = w->lo + i, .to = SPACE_NONE };
		job->npieces++;
	}
	if (object != NULL) {
		object_unlock(object);
		object_drop(object);
	}
	return i;
}

static void
window_advance(struct pageback_window *w, uint64_t n)
{
	w->lo += n;
	w->word += n;
}

static void
window_clear(struct pageback_window *w)
{
	if (w->lo < w->hi)
		memset(w->word, 0, (w->hi - w->lo) * sizeof(w->word[0]));
	w->lo = w->hi;
}

/*
 * The blocks from the window's first used one on that are read in one go, and
 * how many pages they have.  0: nothing is left in the window.
 */
static uint64_t
next_span(const struct emptier *e, struct pageback_window *w,
	  unsigned *ret_npages)
{
	uint64_t end = 1, left;

	*ret_npages = 1;
	while (w->lo < w->hi && *w->word == 0)
		window_advance(w, 1);
	if (w->lo == w->hi)
		return 0;
	left = min_u64(w->hi - w->lo, e->job_pages);
	for (uint64_t i = 1; i < left && i - end <= GAP_PAGES; i++)
		if (w->word[i] != 0) {
			end = i + 1;
			++*ret_npages;
		}
	return end;
}

/* ----------------------------------------------------------------- the end */

static void
job_end(struct emptier *e, struct job *job)
{
	for (unsigned i = 0; i < job->npieces; i++)
		object_drop(job->piece[i].object);
	job->npieces = 0;
	push(&e->idle, job);
	e->nidle++;
}

/* Pieces that are consecutive pages of one object, from @i on. */
static unsigned
run_length(const struct job *job, unsigned i)
{
	const struct piece *p = &job->piece[i];
	unsigned n = 1;

	while (i + n < job->npieces && p[n].object == p->object &&
	       p[n].page == p->page + n)
		n++;
	return n;
}

/* Object locked, page owned. */
static void
lose(struct emptier *e, struct job *job, const struct piece *piece)
{
	job->device->failed++;
	if (e->sweep->poison)
		pageio_lost(piece->object, piece->page, job->rc);
}

/* ------------------------------------------------------------------ to RAM */

/* Object open.  Where copies depend on pages they may not be written. */
static int
guard_run(struct swap_object *object, uint64_t page, uint64_t n)
{
	struct region_set *set = NULL;
	int rc;

	object_lock(object);
	if (copy_is_needed(object, page, n))
		set = region_set_get(object);
	object_unlock(object);
	rc = regions_protect(set, NULL, page, n);
	region_set_put(set);
	return rc;
}

/* Put pieces that have been read into the memfd: consecutive pages. */
static int
put_run(const struct job *job, struct piece *piece, unsigned n)
{
	struct swap_object *object = piece->object;
	int rc = guard_run(object, piece->page, n);

	if (rc == 0)
		rc = pwrite_full(object->memfd, job->buf +
				 ((size_t)piece->at << page_shift()),
				 (size_t)n << page_shift(),
				 (off_t)(piece->page << page_shift()));
	/* The kernel fills them in order, and a program may see them now. */
	for (unsigned i = 0; rc < 0 && i < n; i++)
		piece[i].read = object_has_memory(object, piece[i].page);
	return rc;
}

/* Pages, one behind the other in the object and in the buffer. */
static unsigned
put_length(const struct job *job, unsigned i, unsigned n)
{
	const struct piece *p = &job->piece[i];
	unsigned len = 1;

	while (len < n && p[len].read && p[len].at == p->at + len)
		len++;
	return len;
}

/* Object locked, pages owned: what came in is dirty from now on. */
static unsigned
enter_run(struct emptier *e, struct job *job, unsigned first, unsigned n)
{
	struct swap_object *object = job->piece[first].object;
	unsigned good = 0;

	for (unsigned i = first; i < first + n; i++) {
		struct piece *piece = &job->piece[i];

		if (piece->read) {
			object_free_blocks(object, piece->page, 1);
			object_set_state(object, piece->page, PAGE_DIRTY);
			object_enqueue(object, piece->page);
			good++;
			continue;
		}
		object_give_ram(object, 1);
		if (piece->lost)
			lose(e, job, piece);
	}
	return good;
}

static void
finish_ram(struct emptier *e, struct job *job)
{
	uint64_t good = 0;

	for (unsigned i = 0, n; i < job->npieces; i += n) {
		struct swap_object *object = job->piece[i].object;
		unsigned len;
		int rc;

		n = run_length(job, i);
		object_lock(object);
		object_open(object);
		object_unlock(object);
		for (unsigned k = 0; k < n; k += len) {
			len = 1;
			if (!job->piece[i + k].read)
				continue;
			len = put_length(job, i + k, n - k);
			rc = put_run(job, &job->piece[i + k], len);
			if (e->rc == 0)
				e->rc = rc;
		}
		object_lock(object);
		good += enter_run(e, job, i, n);
		object_close(object);
		regions_unbusy(object, job->piece[i].page, n);
	}
	e->sweep->done += good;
	count(&e->core->counters.pageback_pages, good);
	job_end(e, job);
}

/* --------------------------------------------------------------- to blocks */

/*
 * Object locked, page owned: the new block takes the place of the old one.
 * False: it is not needed.
 */
static bool
replace_block(struct piece *piece)
{
	struct swap_object *object = piece->object;
	uint64_t old;

	if (object->dead || piece->to == SPACE_NONE)
		return false;
	return swapmap_set(object->map, piece->page, piece->to, &old) == 0;
}

/* Free the blocks of pieces that have got others, in runs. */
static void
free_old(struct emptier *e, const struct job *job)
{
	const struct piece *p = job->piece;

	for (unsigned i = 0, n; i < job->npieces; i += n) {
		n = 1;
		if (p[i].to == SPACE_NONE)
			continue;
		while (i + n < job->npieces && p[i + n].to != SPACE_NONE &&
		       p[i + n].block == p[i].block + n)
			n++;
		space_free(&e->core->space, p[i].block, n);
	}
}

static void
finish_blocks(struct emptier *e, struct job *job)
{
	uint64_t moved = 0;

	for (unsigned i = 0, n; i < job->npieces; i += n) {
		struct swap_object *object = job->piece[i].object;

		n = run_length(job, i);
		object_lock(object);
		for (unsigned k = i; k < i + n; k++) {
			struct piece *piece = &job->piece[k];

			if (replace_block(piece)) {
				moved++;
				continue;
			}
			if (piece->to != SPACE_NONE)
				space_free(&e->core->space, piece->to, 1);
			piece->to = SPACE_NONE;
			if (piece->lost)
				lose(e, job, piece);
		}
		regions_unbusy(object, job->piece[i].page, n);
	}
	free_old(e, job);
	e->sweep->done += moved;
	count(&e->core->counters.pageback_pages, moved);
	job_end(e, job);
}

/* The pieces [io->arg, + io->n) of a write that failed, one by one. */
static void
write_singly(struct emptier *e, struct job *job, const struct device_io *io)
{
	for (unsigned i = 0; i < job->npieces; i++) {
		struct piece *piece = &job->piece[i];
		const char *at = job->buf +
				 ((size_t)piece->at << page_shift());

		if (piece->to - io->block >= io->n)
			continue;
		if (space_write(&e->core->space, piece->to, at, 1) == 0) {
			count(&e->core->counters.pageout_pages, 1);
			continue;
		}
		space_bad(&e->core->space, piece->to, 1);
		piece->to = SPACE_NONE;
	}
}

static void
transfer_ended(struct job *job)
{
	if (--job->npending == 0)
		push(&job->e->ended, job);
}

static void
write_done(struct device_io *io, int rc)
{
	struct job *job = io->arg;

	if (rc < 0)
		write_singly(job->e, job, io);
	else
		count(&job->e->core->counters.pageout_pages, io->n);
	transfer_ended(job);
}

/*
 * What was read lies together in the buffer from now on, and each piece of it
 * has one of the new blocks.  How many.
 */
static unsigned
pack(struct emptier *e, struct job *job)
{
	unsigned n = 0;

	for (unsigned i = 0; i < job->npieces; i++) {
		struct piece *piece = &job->piece[i];

		if (!piece->read)
			continue;
		if (piece->at != n)
			memcpy(job->buf + ((size_t)n << page_shift()),
			       job->buf + ((size_t)piece->at << page_shift()),
			       page_bytes());
		piece->at = n;
		piece->to = job->to[n++];
	}
	give_blocks(e, job, n);
	job->nto = 0;
	return n;
}

static void
start_writes(struct emptier *e, struct job *job)
{
	uint64_t to[JOB_PAGES];
	unsigned n = 0, nio = 0, len;

	memcpy(to, job->to, sizeof(to));
	n = pack(e, job);
	job->writing = true;
	job->npending = 1;
	for (unsigned i = 0; i < n; i += len) {
		struct device_io *io = &job->write[nio++];

		for (len = 1; i + len < n && to[i + len] == to[i] + len; len++)
			;
		*io = (struct device_io){
			.block = to[i], .n = len, .write = true,
			.buf = job->buf + ((size_t)i << page_shift()),
			.done = write_done, .arg = job,
		};
		job->npending++;
		count(&e->core->counters.pageouts, 1);
		space_start(&e->core->space, e->aio, io);
	}
	transfer_ended(job);
}

/* ----------------------------------------------------------------- reading */

/* The read has failed: page by page, to find out which are good. */
static void
read_singly(struct emptier *e, struct job *job)
{
	for (unsigned i = 0; i < job->npieces; i++) {
		struct piece *piece = &job->piece[i];
		char *at = job->buf + ((size_t)piece->at << page_shift());
		int rc;

		/* Whoever stops this does not wait for a dying device. */
		if (e->rc == 0 && e->sweep->poll != NULL)
			e->rc = e->sweep->poll(e->sweep->arg);
		if (e->rc != 0)
			return;
		rc = space_read(&e->core->space, piece->block, at, 1);
		piece->read = rc == 0;
		piece->lost = rc < 0;
		if (rc < 0)
			job->rc = rc;
	}
}

static void
read_done(struct device_io *io, int rc)
{
	struct job *job = io->arg;

	job->rc = rc;
	transfer_ended(job);
}

/* A job's transfers have ended: what comes next. */
static void
job_step(struct emptier *e, struct job *job)
{
	unsigned good = 0;

	if (job->writing) {
		finish_blocks(e, job);
		return;
	}
	for (unsigned i = 0; i < job->npieces; i++)
		job->piece[i].read = job->rc == 0;
	if (job->rc < 0)
		read_singly(e, job);
	for (unsigned i = 0; i < job->npieces; i++)
		good += job->piece[i].read;
	count(&e->core->counters.pagein_pages, good);
	if (job->ram > 0) {
		finish_ram(e, job);
	} else if (good > 0 && e->rc == 0) {
		start_writes(e, job);
	} else {
		give_blocks(e, job, 0);
		finish_blocks(e, job);
	}
}

static void
start_read(struct emptier *e, struct job *job)
{
	const struct piece *last = &job->piece[job->npieces - 1];

	job->block = job->piece[0].block;
	for (unsigned i = 0; i < job->npieces; i++)
		job->piece[i].at = (unsigned)(job->piece[i].block -
					      job->block);
	job->writing = false;
	job->rc = 0;
	job->npending = 1;
	job->read = (struct device_io){
		.block = job->block, .n = last->block - job->block + 1,
		.buf = job->buf, .done = read_done, .arg = job,
	};
	count(&e->core->counters.pageins, 1);
	space_start(&e->core->space, e->aio, &job->read);
}

/* What was taken for more pages than are owned now. */
static void
give_room(struct emptier *e, struct job *job)
{
	if (job->ram > job->npieces) {
		budget_give(&e->core->budget, job->ram - job->npieces);
		job->ram = job->npieces;
	}
	if (job->nto > job->npieces)
		give_blocks(e, job, job->npieces);
}

/* Begin a job in a window.  1; 0: nothing is left there; -EAGAIN: no room. */
static int
start_job(struct emptier *e, unsigned i)
{
	struct pageback_window *w = &e->index.window[i];
	struct job *job = e->idle;
	unsigned npages;

	while (!e->device[i]->skip) {
		uint64_t n = next_span(e, w, &npages);

		if (n == 0)
			return 0;
		npages = take_room(e, job, npages);
		if (npages == 0)
			return -EAGAIN;
		n = own_pieces(e, job, w, n, npages);
		window_advance(w, n);
		give_room(e, job);
		if (job->npieces > 0)
			break;
	}
	if (e->device[i]->skip)
		return 0;
	job->device = e->device[i];
	pop(&e->idle);
	e->nidle--;
	start_read(e, job);
	return 1;
}

/* Begin one where it is next in turn.  As start_job(). */
static int
start_next(struct emptier *e)
{
	int rc = 0;

	for (unsigned i = 0; i < e->index.nwindows && rc == 0; i++) {
		e->turn = (e->turn + 1) % e->index.nwindows;
		rc = start_job(e, e->turn);
	}
	return rc;
}

/* ---------------------------------------------------------------- the loop */

static void
step_ended(struct emptier *e)
{
	struct job *job;

	while ((job = pop(&e->ended)) != NULL)
		job_step(e, job);
}

/* Start what can be started.  0: all has been. */
static int
start_all(struct emptier *e)
{
	int rc = 1;

	while (rc > 0 && e->rc == 0 && e->idle != NULL) {
		rc = start_next(e);
		step_ended(e);
	}
	return rc;
}

/* Empty the windows, as far as possible. */
static int
empty_windows(struct emptier *e)
{
	for (;;) {
		int rc = start_all(e);

		if (e->nidle == JOBS) {
			if (e->rc != 0 || rc == 0)
				return e->rc;
			if (rc == -EAGAIN)
				e->rc = wait_room(e);
			continue;
		}
		aio_wait(e->aio, WAIT_USEC);
		step_ended(e);
		if (e->rc == 0 && e->sweep->poll != NULL)
			e->rc = e->sweep->poll(e->sweep->arg);
	}
}

/*
 * The next window of each device, that share the index; @at is where they go
 * on.  False: there is none.
 */
static bool
next_windows(struct emptier *e, uint64_t at[])
{
	struct pageback_sweep *s = e->sweep;
	uint64_t share, used = 0;
	unsigned n = 0;

	for (unsigned i = 0; i < s->ndevices; i++)
		n += !s->device[i].skip && at[i] < s->device[i].hi;
	e->index.nwindows = 0;
	if (n == 0)
		return false;
	share = e->index.size / n;
	for (unsigned i = 0; i < s->ndevices; i++) {
		struct pageback_device *d = &s->device[i];
		struct pageback_window *w =
			&e->index.window[e->index.nwindows];

		if (d->skip || at[i] >= d->hi)
			continue;
		w->lo = at[i];
		w->hi = min_u64(at[i] + share, d->hi);
		w->word = e->index.word + used;
		used += w->hi - w->lo;
		at[i] = w->hi;
		e->device[e->index.nwindows++] = d;
	}
	return true;
}

static int
sweep_all(struct emptier *e)
{
	uint64_t at[SPACE_DEVICES_MAX];

	for (unsigned i = 0; i < e->sweep->ndevices; i++)
		at[i] = e->sweep->device[i].lo;
	while (e->rc == 0 && next_windows(e, at)) {
		e->rc = pageback_index_read(&e->index, e->core);
		if (e->rc == 0)
			empty_windows(e);
		/* What is left where a device is skipped. */
		for (unsigned i = 0; i < e->index.nwindows; i++)
			window_clear(&e->index.window[i]);
	}
	budget_give(&e->core->budget, e->ram);
	return e->rc;
}

static int
emptier_init(struct emptier *e, struct pageback_sweep *sweep)
{
	uint64_t nblocks = 0;
	char *buf;
	int rc;

	e->sweep = sweep;
	e->core = sweep->core;
	e->job_pages = JOB_BYTES >> page_shift();
	for (unsigned i = 0; i < sweep->ndevices; i++)
		nblocks += sweep->device[i].hi - sweep->device[i].lo;
	rc = aio_create(true, JOBS, &e->aio);
	if (rc < 0)
		return rc;
	rc = pageback_index_init(&e->index, nblocks);
	buf = rc == 0 ? pageio_buffer((uint64_t)JOBS * e->job_pages) : NULL;
	if (buf == NULL) {
		if (rc == 0)
			pageback_index_fini(&e->index);
		aio_destroy(e->aio);
		return -ENOMEM;
	}
	e->index.poll = sweep->poll;
	e->index.arg = sweep->arg;
	for (unsigned i = 0; i < JOBS; i++) {
		e->job[i].e = e;
		e->job[i].buf = buf + (size_t)i * JOB_BYTES;
		push(&e->idle, &e->job[i]);
	}
	e->nidle = JOBS;
	return 0;
}

int
pageback_blocks(struct pageback_sweep *sweep)
{
	struct emptier *e = calloc(1, sizeof(*e));
	int rc = e != NULL ? emptier_init(e, sweep) : -ENOMEM;

	if (rc == 0) {
		rc = sweep_all(e);
		aio_destroy(e->aio);
		pageback_index_fini(&e->index);
		pageio_buffer_free(e->job[0].buf,
				   (uint64_t)JOBS * e->job_pages);
	}
	free(e);
	return rc;
}
