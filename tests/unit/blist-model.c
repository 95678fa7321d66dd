/* SPDX-License-Identifier: BSD-2-Clause */
/* A block list beside a naive model of it; see blist-model.h. */
#include "blist-model.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compiler.h"

#define MUST(what)	must((what), #what, __LINE__)

static void
must(bool holds, const char *what, int line)
{
	if (holds)
		return;
	fprintf(stderr, "blist-model.c:%d: not so: %s\n", line, what);
	abort();
}

static unsigned
draw(struct model *m, uint64_t below)
{
	return (unsigned)m->draw(m->arg, below);
}

static void
set(struct model *m, unsigned at, unsigned n, unsigned char value)
{
	unsigned i;

	for (i = at; i < at + n; i++) {
		m->nfree += value;
		m->nfree -= m->free[i];
		m->free[i] = value;
	}
}

static unsigned
run_at(const struct model *m, unsigned at)
{
	unsigned n = 0;

	while (at + n < m->n && m->free[at + n])
		n++;
	return n;
}

/* Free blocks right behind the window. */
static uint64_t
behind(const struct model *m)
{
	return m->outside_free ? blist_nblocks(m->bl) - m->base - m->n : 0;
}

static unsigned
longest(const struct model *m)
{
	unsigned at, run, best = 0;

	for (at = 0; at < m->n; at += run + 1) {
		run = run_at(m, at);
		best = run > best ? run : best;
	}
	return best < BLIST_ALLOC_MAX ? best : BLIST_ALLOC_MAX;
}

/* The first place from @from on with @want free blocks; false: none. */
static bool
find(const struct model *m, unsigned from, unsigned want, unsigned *ret)
{
	unsigned at, run;

	for (at = from; at < m->n; at += run + 1) {
		run = run_at(m, at);
		if (run + (at + run == m->n ? behind(m) : 0) >= want) {
			*ret = at;
			return true;
		}
	}
	*ret = m->n;
	return behind(m) >= want;
}

/* What blist_next_free() must say from @at on, which may be m->n. */
static bool
next_free(const struct model *m, unsigned at, uint64_t *first, uint64_t *n)
{
	while (at < m->n && !m->free[at])
		at++;
	*first = m->base + at;
	*n = run_at(m, at);
	if (at + *n == m->n)
		*n += behind(m);
	return *n > 0;
}

static bool
next_used(const struct model *m, unsigned at, uint64_t *first, uint64_t *n)
{
	uint64_t beyond = blist_nblocks(m->bl) - m->base - m->n - behind(m);
	unsigned end;

	while (at < m->n && m->free[at])
		at++;
	for (end = at; end < m->n && !m->free[end]; end++)
		;
	*first = m->base + at;
	*n = end - at + (end == m->n ? beyond : 0);
	return *n > 0;
}

bool
model_agrees(const struct model *m)
{
	uint64_t first, n, got_first, got_n;
	unsigned at = 0;
	bool more;

	do {
		more = next_free(m, at, &first, &n);
		if (blist_next_free(m->bl, m->base + at, &got_first,
				    &got_n) != more)
			return false;
		if (more && (got_first != first || got_n != n))
			return false;
		at = (unsigned)min_u64(first + n - m->base, m->n);
	} while (more && at < m->n);
	for (at = 0; at < m->n; at++)
		if (blist_is_free(m->bl, m->base + at) != m->free[at])
			return false;
	return blist_nfree(m->bl) == m->nfree;
}

/* ------------------------------------------------------------- operations */

static void
step_alloc(struct model *m)
{
	static const unsigned wishes[] = { 1, 4, 32, 100, BLIST_ALLOC_MAX };
	unsigned max = 1 + draw(m, wishes[draw(m, 5)]);
	unsigned min = 1 + draw(m, max), want = longest(m), at, got = 0;
	unsigned from = (unsigned)(m->cursor > m->base ?
				   m->cursor - m->base : 0);
	uint64_t first = blist_alloc(m->bl, min, max, &got);

	want = want < max ? want : max;
	if (want < min) {
		MUST(first == BLIST_NONE);
		MUST(got == 0);
		return;
	}
	MUST(find(m, from, want, &at) || find(m, 0, want, &at));
	MUST(first == m->base + at);
	MUST(got == want);
	set(m, at, want, 0);
	m->cursor = (first + want) % blist_nblocks(m->bl);
}

/*
 * The same where all is free outside.  The cursor would go out there for good:
 * put it into the window, and give back what came from outside.
 */
static void
step_alloc_outside(struct model *m)
{
	unsigned max = 1 + draw(m, draw(m, 2) != 0 ? 40 : BLIST_ALLOC_MAX);
	unsigned from = draw(m, m->n), at, got = 0, inside;
	uint64_t first;

	if (behind(m) < max)
		return;
	m->bl->cursor = m->base + from;
	m->bl->run_end = 0;
	first = blist_alloc(m->bl, 1 + draw(m, max), max, &got);
	MUST(find(m, from, max, &at));
	MUST(first == m->base + at);
	MUST(got == max);
	MUST(blist_check(m->bl) == 0);
	inside = (unsigned)min_u64(max, m->n - at);
	if (inside < max)
		MUST(blist_free(m->bl, first + inside, max - inside) == 0);
	set(m, at, inside, 0);
}

/* A range within the window: mostly short, sometimes long. */
static unsigned
draw_range(struct model *m, unsigned *ret_n)
{
	unsigned at = draw(m, m->n), most = m->n - at;

	if (draw(m, 16) != 0)
		most = (unsigned)min_u64(most, draw(m, 3) ? 8 : 100);
	*ret_n = 1 + draw(m, most);
	return at;
}

static void
step_free(struct model *m)
{
	unsigned n, used = 0, at = draw_range(m, &n);

	while (used < n && !m->free[at + used])
		used++;
	/* Mostly what may be freed, so that something is. */
	if (used > 0 && draw(m, 4) != 0)
		n = used;
	MUST(blist_free(m->bl, m->base + at, n) == (used < n ? -EEXIST : 0));
	if (used >= n)
		set(m, at, n, 1);
}

static void
step_fill(struct model *m)
{
	unsigned n, at = draw_range(m, &n);
	uint64_t before = m->nfree, got = UINT64_MAX;

	MUST(blist_fill(m->bl, m->base + at, n, &got) == 0);
	set(m, at, n, 0);
	MUST(got == before - m->nfree);
}

static void
step_next(struct model *m)
{
	unsigned at = draw(m, m->n);
	uint64_t first, n, got_first = 0, got_n = 0;
	bool more = next_free(m, at, &first, &n);

	MUST(blist_next_free(m->bl, m->base + at, &got_first, &got_n) == more);
	MUST(got_first == (more ? first : 0));
	MUST(got_n == (more ? n : 0));
	MUST(blist_is_free(m->bl, m->base + at) == m->free[at]);
	got_first = got_n = 0;
	more = next_used(m, at, &first, &n);
	MUST(blist_next_used(m->bl, m->base + at, &got_first, &got_n) == more);
	MUST(got_first == (more ? first : 0));
	MUST(got_n == (more ? n : 0));
}

static void
step_beyond(struct model *m)
{
	uint64_t end = blist_nblocks(m->bl), at = m->draw(m->arg, end + 2);

	MUST(blist_free(m->bl, at, end - at + 1 + (at > end)) == -EINVAL);
	MUST(blist_fill(m->bl, at, UINT64_MAX - draw(m, 99), NULL) ==
	     -EINVAL);
}

/* Is block @at of the device free? */
static bool
is_free(const struct model *m, uint64_t at)
{
	if (at < m->base || at >= m->base + m->n)
		return m->outside_free && at < blist_nblocks(m->bl);
	return m->free[at - m->base] != 0;
}

static void
close_run(struct blist_histogram *hist, uint64_t n)
{
	unsigned i = 0;

	if (n == 0)
		return;
	while (n >> (i + 1) != 0)
		i++;
	hist->nfree += n;
	hist->nruns++;
	hist->largest = max_u64(hist->largest, n);
	hist->runs[i]++;
	hist->blocks[i] += n;
}

/* A histogram in several windows, and the counts of each. */
static void
step_histogram(struct model *m)
{
	uint64_t lo, hi, at, margin = draw(m, 3) == 0 ? 0 : 100, n, run = 0;
	struct blist_histogram got = { 0 }, want = { 0 };
	unsigned most = draw(m, 4) == 0 ? 200 : m->n + 200;

	lo = m->base - min_u64(m->base, margin);
	if (draw(m, 2) == 0)
		lo += draw(m, m->n);
	blist_histogram_add(m->bl, lo, lo, &got);	/* of nothing */
	while (lo < m->base + m->n + margin) {
		hi = lo + 1 + draw(m, most);
		blist_histogram_add(m->bl, lo, hi, &got);
		for (n = 0, at = lo; at < hi; at++) {
			n += is_free(m, at);
			run += is_free(m, at);
			if (!is_free(m, at)) {
				close_run(&want, run);
				run = 0;
			}
		}
		MUST(blist_count_free(m->bl, lo, hi) == n);
		lo = hi;
	}
	blist_histogram_end(&got);
	close_run(&want, run);
	MUST(memcmp(&got, &want, sizeof(got)) == 0);
}

/* All of the device in one window, which may be huge. */
static void
step_histogram_all(struct model *m)
{
	uint64_t end = blist_nblocks(m->bl), at, run;
	struct blist_histogram got = { 0 }, want = { 0 };

	blist_histogram_add(m->bl, 0, UINT64_MAX, &got);
	blist_histogram_end(&got);
	run = m->outside_free ? m->base : 0;
	for (at = m->base; at < m->base + m->n; at++) {
		run += is_free(m, at);
		if (!is_free(m, at)) {
			close_run(&want, run);
			run = 0;
		}
	}
	close_run(&want, run + behind(m));
	MUST(memcmp(&got, &want, sizeof(got)) == 0);
	MUST(blist_count_free(m->bl, 0, UINT64_MAX) == m->nfree);
	MUST(blist_count_free(m->bl, end, UINT64_MAX) == 0);
}

/* The window is the device: both get another size. */
static void
resize_window(struct model *m)
{
	unsigned n = 1 + draw(m, m->room);

	if (n < m->n)
		set(m, n, m->n - n, 0);
	else
		memset(&m->free[m->n], 0, n - m->n);
	MUST(blist_resize(m->bl, n) == 0);
	m->n = n;
	if (m->cursor >= n)
		m->cursor = 0;
}

/* Everything behind the window comes and goes. */
static void
resize_outside(struct model *m)
{
	uint64_t old = blist_nblocks(m->bl), end = m->base + m->n, n;

	/* As far as two levels more; often small. */
	n = end + m->draw(m->arg, (UINT64_C(1) << (1 + draw(m, 36))) - 1);
	MUST(blist_resize(m->bl, n) == 0);
	if (m->cursor >= n)
		m->cursor = 0;
	if (!m->outside_free)
		return;
	m->nfree += n - old;
	if (n > old)
		MUST(blist_free(m->bl, old, n - old) == 0);
}

static void
step_resize(struct model *m)
{
	MUST(blist_resize(m->bl, 0) == -EINVAL);
	MUST(blist_resize(m->bl, BLIST_BLOCKS_MAX + 1) == -EINVAL);
	if (m->base == 0)
		resize_window(m);
	else
		resize_outside(m);
	MUST(m->bl->cursor < blist_nblocks(m->bl));
}

static void
step_other(struct model *m)
{
	switch (draw(m, 16)) {
	case 0:
	case 1:
		step_beyond(m);
		break;
	case 2:
		step_histogram(m);
		break;
	case 3:
		step_histogram_all(m);
		break;
	case 4:
		step_resize(m);
		break;
	default:
		step_next(m);
		break;
	}
}

void
model_step(struct model *m, uint64_t step)
{
	unsigned what = draw(m, 100);

	/* Times of plenty and of want. */
	if (step % 256 == 0)
		m->greed = 20 + draw(m, 50);
	if (what >= 90)
		step_other(m);
	else if (what >= m->greed)
		step_free(m);
	else if (what < 6)
		step_fill(m);
	else if (m->outside_free)
		step_alloc_outside(m);
	else
		step_alloc(m);
	MUST(blist_nfree(m->bl) == m->nfree);
	if (!m->outside_free)
		MUST(blist_longest(m->bl) == longest(m));
}

void
model_open(struct model *m, const struct model_case *how,
	   uint64_t (*draw_from)(void *arg, uint64_t below), void *arg)
{
	memset(m, 0, sizeof(*m));
	m->draw = draw_from;
	m->arg = arg;
	m->base = how->base;
	m->n = how->n;
	m->room = how->n;
	m->greed = 50;
	m->outside_free = how->outside_free;
	m->free = calloc(how->n, 1);
	MUST(m->free != NULL);
	MUST(blist_create(how->nblocks, &m->bl) == 0);
	MUST(blist_check(m->bl) == 0);
	if (!m->outside_free)
		return;
	MUST(blist_free(m->bl, 0, how->nblocks) == 0);
	memset(m->free, 1, m->n);
	m->nfree = how->nblocks;
}

void
model_close(struct model *m)
{
	blist_destroy(m->bl);
	free(m->free);
}
