/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is decided from where faults come.  A program's reads are played against
 * a set of pages that are there: those that a plan brings in.  Only the others
 * fault.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "compiler.h"
#include "readahead.h"

#define PAGES		65536u
#define MOST		64u

struct play {
	struct readahead ra;
	bool		 in[PAGES];	/* no fault */
	bool		 asked[PAGES];	/* being read ahead, or around */
	unsigned	 faults, waits;	/* of these: not even asked for */
	unsigned	 read, largest;
	uint32_t	 most;
};

static struct play *
play_new(uint32_t most)
{
	struct play *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	p->most = most;
	return p;
}

static void
bring(struct play *p, int64_t page, bool in)
{
	if (page < 0 || page >= PAGES)
		return;
	if (!p->in[page] && !p->asked[page])
		p->read++;
	p->asked[page] = true;
	if (in)
		p->in[page] = true;
}

static void
touch(struct play *p, uint64_t page)
{
	struct ra_plan plan;
	int64_t at = (int64_t)page;

	if (p->in[page])
		return;
	p->faults++;
	ra_fault(&p->ra, page, p->most, &plan);
	assert_in_range(plan.now, 1, p->most > 1 ? p->most : 1);
	assert_true(plan.ahead <= RA_WINDOWS * p->most);
	if (p->asked[page]) {
		/* Read before, and kept: no read, and none around it. */
		plan.around = 0;
		if (plan.step == 0)
			ra_around_used(&p->ra);
	} else {
		p->waits++;
	}
	for (uint32_t i = 0; i < plan.now; i++, at += plan.step)
		bring(p, at, true);
	for (uint32_t i = 0; i < plan.ahead; i++, at += plan.step)
		bring(p, at, false);
	at = (int64_t)(plan.around > 1 ? page - page % plan.around : 0);
	for (uint32_t i = 0; i < plan.around; i++)
		bring(p, at + i, false);
	if (plan.around > 1)
		ra_around_read(&p->ra, plan.around - 1);
	p->largest = plan.now > p->largest ? plan.now : p->largest;
}

/* Every page is faulted for once at most, and the device is soon ahead. */
static void
sequence(int64_t first, int64_t step, unsigned n)
{
	struct play *p = play_new(MOST);

	for (unsigned i = 0; i < n; i++)
		touch(p, (uint64_t)(first + i * step));
	assert_int_equal(p->largest, MOST);
	assert_in_range(p->faults, n / MOST, n / MOST + 12);
	/* The first ones; from then on all is asked for before. */
	assert_in_range(p->waits, 2, 6);
	assert_true(p->read <= n + (RA_WINDOWS + 2) * MOST);
	free(p);
}

static void
test_up(void **state)
{
	(void)state;
	sequence(0, 1, 4096);
	sequence(1000, 1, 4096);
}

static void
test_down(void **state)
{
	(void)state;
	sequence(PAGES - 1, -1, 4096);
	/* Down to the very first page. */
	sequence(4095, -1, 4096);
}

static void
test_steps(void **state)
{
	(void)state;
	sequence(5, 3, 4096);
	sequence(0, 16, 4096);
	sequence(PAGES - 1, -15, 4096);
}

/* As many streams as are followed, taking turns. */
static void
test_together(void **state)
{
	struct play *p = play_new(MOST);
	const unsigned n = 4096;

	(void)state;
	for (unsigned i = 0; i < n; i++)
		for (unsigned k = 0; k < RA_STREAMS; k++)
			touch(p, k % 2 == 0 ? k * 8192 + i :
				 k * 8192 + n - i);
	assert_in_range(p->waits, 2, RA_STREAMS * 8);
	assert_in_range(p->faults, 1, RA_STREAMS * (n / MOST + 12));
	free(p);
}

/* Pages that are there already do not end a stream, nor do small gaps. */
static void
test_gaps(void **state)
{
	struct play *p = play_new(MOST);

	(void)state;
	for (unsigned i = 0; i < 4096; i++)
		p->in[i] = i % 64 >= 60;
	for (unsigned i = 0; i < 4096; i++)
		if (i % 100 < 95)
			touch(p, i);
	assert_in_range(p->faults, 1, 4096 / MOST + 24);
	free(p);
}

static uint64_t
next_random(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	return *seed >> 33;
}

/* At random nearly nothing is read but what is asked for. */
static void
test_random(void **state)
{
	struct play *p = play_new(MOST);
	uint64_t seed = 1;

	(void)state;
	for (unsigned i = 0; i < 10000; i++) {
		/* Nothing stays, as with very little RAM. */
		memset(p->in, 0, sizeof(p->in));
		memset(p->asked, 0, sizeof(p->asked));
		touch(p, next_random(&seed) % PAGES);
	}
	assert_int_equal(p->faults, 10000);
	assert_in_range(p->read, 10000, 10400);
	free(p);
}

/* Small groups of pages at random places: found out by the probes. */
static void
test_groups(void **state)
{
	struct play *p = play_new(MOST);
	uint64_t seed = 1;

	(void)state;
	for (unsigned i = 0; i < 4000; i++) {
		static const unsigned order[] = { 0, 5, 2, 7 };
		uint64_t group = next_random(&seed) % (PAGES / 8) * 8;

		for (unsigned k = 0; k < 8; k++) {
			p->in[group + k] = false;
			p->asked[group + k] = false;
		}
		for (unsigned k = 0; k < 4; k++)
			touch(p, group + order[k]);
		if (i == 2000)
			p->waits = 0;
	}
	/* Of four pages about one is waited for. */
	assert_in_range(p->waits, 1999, 2300);
	/* And when there are no such groups any more, that ends. */
	p->read = 0;
	for (unsigned i = 0; i < 10000; i++) {
		memset(p->in, 0, sizeof(p->in));
		memset(p->asked, 0, sizeof(p->asked));
		touch(p, next_random(&seed) % PAGES);
	}
	assert_in_range(p->read, 10000, 10600);
	free(p);
}

/* A fault that is asked about again gets the same, and nothing ahead. */
static void
test_again(void **state)
{
	struct readahead ra = { 0 };
	struct ra_plan plan, same;

	(void)state;
	for (uint64_t page = 0; page < 1024;) {
		ra_fault(&ra, page, MOST, &plan);
		if (plan.step != 0) {
			ra_fault(&ra, page, MOST, &same);
			assert_int_equal(same.now, plan.now);
			assert_int_equal(same.step, plan.step);
			assert_int_equal(same.ahead, 0);
		}
		page += plan.now;
	}
	assert_int_equal(plan.now, MOST);
}

/* Windows shrink with what is allowed, at once. */
static void
test_short(void **state)
{
	struct readahead ra = { 0 };
	struct ra_plan plan;
	uint64_t page = 0;

	(void)state;
	while (page < 1024) {
		ra_fault(&ra, page, MOST, &plan);
		page += plan.now;
	}
	for (uint32_t most = 5; most-- > 0;) {
		ra_fault(&ra, page, most, &plan);
		assert_int_equal(plan.now, most > 1 ? most : 1);
		assert_true(plan.ahead <= RA_WINDOWS * most);
		assert_true(most > 1 || plan.ahead == 0);
		page += plan.now;
	}
}

/* What a stream has brought in counts as used when it goes on, once. */
static void
test_outcome(void **state)
{
	struct readahead ra = { 0 };
	struct ra_plan plan;
	uint64_t used = 0, wasted = 0, now = 0, page = 0;

	(void)state;
	while (page < 1024) {
		ra_fault(&ra, page, MOST, &plan);
		used += plan.used;
		assert_int_equal(plan.wasted, 0);
		now += plan.now - 1;
		page += plan.now;
	}
	assert_int_equal(used + plan.now - 1, now);
	/* Other streams take its place. */
	for (uint64_t i = 1; i <= RA_STREAMS; i++)
		for (uint64_t k = 0; k < 3; k++) {
			ra_fault(&ra, 100000 * i + k, MOST, &plan);
			wasted += plan.wasted;
		}
	assert_int_equal(wasted, MOST - 1);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_up),
		cmocka_unit_test(test_down),
		cmocka_unit_test(test_steps),
		cmocka_unit_test(test_together),
		cmocka_unit_test(test_gaps),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_groups),
		cmocka_unit_test(test_again),
		cmocka_unit_test(test_short),
		cmocka_unit_test(test_outcome),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests_name("readahead", tests, NULL, NULL);
}
