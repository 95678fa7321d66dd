/* SPDX-License-Identifier: BSD-2-Clause */
/* The ghost list: what went out not long ago. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "ghost.h"

#define SPAN	1000u

static uint64_t seed = 1;

static uint64_t
rnd(void)
{
	seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return seed >> 24;
}

static void
test_span(void **state)
{
	struct ghost g;
	unsigned here = 0;

	(void)state;
	assert_int_equal(ghost_init(&g), 0);
	ghost_set_span(&g, SPAN);
	assert_false(ghost_has(&g, 0));
	for (uint64_t block = 0; block < 10 * SPAN; block++)
		ghost_add(&g, block);
	/* Nearly all within the span are remembered, and none before it. */
	for (uint64_t block = 0; block < 10 * SPAN; block++) {
		bool has = ghost_has(&g, block);

		if (block + SPAN < 10 * SPAN)
			assert_false(has);
		here += has;
	}
	assert_in_range(here, SPAN * 9 / 10, SPAN);
	/* Who goes out again is young again. */
	ghost_add(&g, 5);
	assert_true(ghost_has(&g, 5));
	assert_false(ghost_has(&g, 6));
	ghost_fini(&g);
}

/* Against a list of the last SPAN blocks. */
static void
test_model(void **state)
{
	static uint64_t last_out[8 * SPAN];
	unsigned missed = 0, wrong = 0;
	struct ghost g;

	(void)state;
	assert_int_equal(ghost_init(&g), 0);
	ghost_set_span(&g, SPAN);
	for (uint64_t now = 1; now <= 100 * SPAN; now++) {
		uint64_t out = rnd() % (8 * SPAN), in = rnd() % (8 * SPAN);
		bool should = last_out[in] != 0 && now - last_out[in] <= SPAN;
		bool has = ghost_has(&g, in << 20 | 7);

		missed += should && !has;
		wrong += has && !should;
		last_out[out] = now;
		ghost_add(&g, out << 20 | 7);
	}
	/* A hint: right in nearly all cases. */
	assert_in_range(missed, 0, 100 * SPAN / 100);
	assert_in_range(wrong, 0, 100 * SPAN / 1000);
	ghost_fini(&g);
}

static void
test_resize(void **state)
{
	struct ghost g;

	(void)state;
	assert_int_equal(ghost_init(&g), 0);
	ghost_set_span(&g, UINT64_MAX);
	ghost_add(&g, UINT64_MAX - 1);
	assert_true(ghost_has(&g, UINT64_MAX - 1));
	ghost_set_span(&g, 0);
	ghost_add(&g, 1);
	ghost_add(&g, 2);
	ghost_add(&g, 3);
	assert_false(ghost_has(&g, 1));
	ghost_set_span(&g, 64);
	ghost_add(&g, 1);
	assert_true(ghost_has(&g, 1));
	ghost_fini(&g);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_span),
		cmocka_unit_test(test_model),
		cmocka_unit_test(test_resize),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
