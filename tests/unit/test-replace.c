/* SPDX-License-Identifier: BSD-2-Clause */
/* The choice of victims: misses beside FIFO's and true LRU's, by simulation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "replace-sim.h"

#define RAM	2048u
#define NPAGES	(4u * RAM)
#define LENGTH	400000u

struct score {
	uint64_t ours, fifo, lru;	/* misses in the second half */
};

static struct score
play(enum trace trace, unsigned writes)
{
	struct peer *fifo = peer_new(NPAGES, RAM, false);
	struct peer *lru = peer_new(NPAGES, RAM, true);
	struct sim *sim = sim_new(NPAGES, RAM);
	struct score s = { 0, 0, 0 };
	struct tracer t;

	tracer_init(&t, trace, NPAGES, RAM, LENGTH);
	for (uint64_t i = 0; i < LENGTH; i++) {
		uint64_t page = tracer_next(&t), late = i >= LENGTH / 2;
		bool write = page * 2654435761u % 100 < writes;

		s.ours += late & (sim_access(sim, page, write) == SIM_MISS);
		s.fifo += late & !peer_access(fifo, page);
		s.lru += late & !peer_access(lru, page);
	}
	tracer_fini(&t);
	sim_free(sim);
	peer_free(fifo);
	peer_free(lru);
	return s;
}

/* One scan, and a hot set of half the RAM. */
static void
test_scan(void **state)
{
	(void)state;
	for (unsigned writes = 0; writes <= 100; writes += 50) {
		struct score s = play(TRACE_SCAN, writes);

		assert_true(s.ours * 10 < s.fifo * 9);
		assert_true(s.ours * 20 < s.lru * 21);
	}
}

static void
test_zipf(void **state)
{
	(void)state;
	for (unsigned writes = 0; writes <= 100; writes += 50) {
		struct score s = play(TRACE_ZIPF, writes);

		assert_true(s.ours < s.fifo);
		assert_true(s.ours * 10 < s.lru * 11);
	}
}

/* What LRU does worst: nothing but misses. */
static void
test_loop(void **state)
{
	struct score s = play(TRACE_LOOP, 0);

	(void)state;
	assert_int_equal(s.lru, LENGTH / 2);
	assert_true(s.ours <= s.lru);
}

/* What was hot once goes, too. */
static void
test_shift(void **state)
{
	struct score s = play(TRACE_SHIFT, 50);

	(void)state;
	assert_true(s.ours * 10 < s.fifo * 11);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_scan),
		cmocka_unit_test(test_zipf),
		cmocka_unit_test(test_loop),
		cmocka_unit_test(test_shift),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
