/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Read-ahead.
 *
 * Streams.  A fault next to an earlier one begins a stream by one page up or
 * down, and a fault that makes three in equal steps one by that step.  From
 * then on the outcome decides: as long as each fault comes where the window
 * before it ended, the window doubles, up to what the caller allows; and after
 * the second such fault the next window is asked for, too, before its time, then
 * the next two, up to RA_WINDOWS of them: a device that can do several things at
 * once is then given several.  A stream whose next fault does not come costs its
 * last window and what was ahead of it, and is forgotten when its place is
 * needed.
 *
 * At random.  A single page is read.  Now and then a probe reads a small group
 * around the fault, which is kept apart: how many of these pages are asked for
 * later tells whether to go on so, with larger groups, or to probe less often.
 *
 *	A1  A window is never more than the caller allows, and what is ahead of
 *	    it never more than RA_WINDOWS times that.
 *	A2  A fault that is asked about again (it found no page free, say) gets
 *	    the same window, and asks for nothing ahead.
 *
 * Cost: a look at RA_STREAMS streams, and where none matches at RA_HISTORY
 * squared pairs of numbers.
 */
#include "readahead.h"

#include <stdbool.h>
#include <string.h>

#include "compiler.h"

#define GAP		8	/* pages that a sequential reader may skip */
#define STEPS_GAP	2	/* the same, in larger steps */
#define PROBE_PAGES	4u
#define PROBE_MIN	31u	/* faults between two probes */
#define PROBE_MAX	1024u
#define TRIED_MIN	36u	/* pages before judging */
#define WORTH		8u	/* pages read for one that is touched */

static uint32_t
min_u32(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* ---------------------------------------------------------------- streams */

/*
 * The fault came @skipped steps behind where it was expected: the stream goes
 * on.
 */
static void
advance(struct ra_stream *s, int64_t page, uint32_t skipped, uint32_t most,
	struct ra_plan *plan)
{
	plan->used = s->window > 0 ? s->window - 1 : 0;
	s->hits++;
	s->size = min_u32(2 * s->size, most);
	/* What has been read already comes in as a whole. */
	s->window = s->ahead > skipped ? min_u32(s->ahead - skipped, s->size) :
		    s->size;
	s->page = page;
	s->next = page + (int64_t)s->window * s->step;
	s->ahead = s->hits >= 2 && most > 1 ?
		   s->size * min_u32(s->hits - 1, RA_WINDOWS) : 0;
	plan->now = s->window;
	plan->ahead = s->ahead;
}

/* Does the fault belong to this stream?  If so the plan is made. */
static bool
follows(struct ra_stream *s, int64_t page, uint32_t most,
	struct ra_plan *plan)
{
	int64_t by = page - s->next;
	int64_t steps = by / s->step;

	if (page == s->page) {
		plan->now = min_u32(s->window, most);
	} else if (steps * s->step != by) {
		return false;
	} else if (steps >= 0 &&
		   steps < (s->step == 1 || s->step == -1 ? GAP : STEPS_GAP)) {
		advance(s, page, (uint32_t)steps, most, plan);
	} else if (steps < 0 && -steps < (int64_t)s->window) {
		/* In the window, but it was not there: the rest of it. */
		plan->now = min_u32((uint32_t)-steps, most);
	} else {
		return false;
	}
	plan->step = s->step;
	return true;
}

static bool
remembered(const struct readahead *ra, int64_t page)
{
	for (unsigned i = 0; i < RA_HISTORY; i++)
		if (page >= 0 && ra->history[i] == page + 1)
			return true;
	return false;
}

/* The step by which this fault makes a new stream; 0: none. */
static int64_t
new_step(const struct readahead *ra, int64_t page)
{
	int64_t found = 0;

	for (unsigned i = 0; i < RA_HISTORY; i++) {
		int64_t step = page - (ra->history[i] - 1);

		if (ra->history[i] == 0 || step == 0)
			continue;
		if (step == 1 || step == -1)
			return step;
		if (remembered(ra, page - 2 * step))
			found = step;
	}
	return found;
}

/* The place of a new stream: that of the one which was of no use longest. */
static struct ra_stream *
oldest(struct readahead *ra)
{
	struct ra_stream *s = &ra->stream[0];

	for (unsigned i = 1; i < RA_STREAMS; i++)
		if (ra->stream[i].turn < s->turn)
			s = &ra->stream[i];
	return s;
}

static void
begin(struct readahead *ra, int64_t page, int64_t step, uint32_t most,
      struct ra_plan *plan)
{
	struct ra_stream *s = oldest(ra);

	plan->wasted = s->window > 0 ? s->window - 1 : 0;
	s->page = page;
	s->step = step;
	s->window = s->size = min_u32(2, most);
	s->next = page + (int64_t)s->window * step;
	s->ahead = s->hits = 0;
	s->turn = ra->turn;
	plan->step = step;
	plan->now = s->window;
}

/* -------------------------------------------------------------- at random */

static void
judge(struct readahead *ra)
{
	if (WORTH * ra->found >= ra->tried) {
		ra->around = min_u32(ra->around == 0 ? PROBE_PAGES :
				     2 * ra->around, RA_AROUND_MAX);
		ra->interval = PROBE_MIN;
	} else {
		ra->around = 0;
		ra->interval = min_u32(2 * ra->interval, PROBE_MAX);
	}
	ra->tried = ra->found = 0;
}

static void
at_random(struct readahead *ra, uint32_t most, struct ra_plan *plan)
{
	plan->now = 1;
	if (ra->interval == 0)
		ra->wait = ra->interval = PROBE_MIN;
	if (ra->tried >= TRIED_MIN)
		judge(ra);
	if (ra->around > 0) {
		plan->around = ra->around;
	} else if (--ra->wait == 0) {
		plan->around = PROBE_PAGES;
		ra->wait = ra->interval;
	}
	plan->around = most > 1 ? min_u32(plan->around, most) : 0;
}

void
ra_around_read(struct readahead *ra, uint32_t n)
{
	ra->tried += n;
}

void
ra_around_used(struct readahead *ra)
{
	ra->found++;
}

/* ------------------------------------------------------------------ a fault */

void
ra_fault(struct readahead *ra, uint64_t page, uint32_t most,
	 struct ra_plan *ret_plan)
{
	int64_t at = (int64_t)page, step;

	memset(ret_plan, 0, sizeof(*ret_plan));
	most = most > 1 ? most : 1;
	ra->turn++;
	for (unsigned i = 0; i < RA_STREAMS; i++) {
		struct ra_stream *s = &ra->stream[i];

		if (s->step != 0 && follows(s, at, most, ret_plan)) {
			s->turn = ra->turn;
			return;
		}
	}
	step = new_step(ra, at);
	if (step != 0)
		begin(ra, at, step, most, ret_plan);
	else
		at_random(ra, most, ret_plan);
	ra->history[ra->nhistory++ % RA_HISTORY] = at + 1;
}
