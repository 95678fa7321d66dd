/* SPDX-License-Identifier: BSD-2-Clause */
/* The page queue and the RAM budget. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "budget.h"
#include "pageq.h"
#include "util.h"

static void
test_order(void **state)
{
	struct pageq q;
	uint64_t page, popped = 0, pushed = 0, seed = 1;
	uint32_t slot;

	(void)state;
	pageq_init(&q);
	assert_false(pageq_pop(&q, &slot, &page));
	/* Random pushes and pops over many chunks: order and count hold. */
	for (int i = 0; i < 200000; i++) {
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		if ((seed >> 33) % 100 < (i < 100000 ? 60u : 40u)) {
			assert_int_equal(pageq_push(&q,
				(uint32_t)(pushed & PAGEQ_SLOT_MAX),
				pushed * 977 & PAGEQ_PAGE_MAX), 0);
			pushed++;
		} else if (popped < pushed) {
			assert_true(pageq_pop(&q, &slot, &page));
			assert_int_equal(slot, popped & PAGEQ_SLOT_MAX);
			assert_int_equal(page, popped * 977 & PAGEQ_PAGE_MAX);
			popped++;
		} else {
			assert_false(pageq_pop(&q, &slot, &page));
		}
		assert_int_equal(pageq_count(&q), pushed - popped);
	}
	pageq_fini(&q);
}

static void
test_extremes(void **state)
{
	struct pageq q;
	uint64_t page;
	uint32_t slot;

	(void)state;
	pageq_init(&q);
	pageq_push(&q, PAGEQ_SLOT_MAX, PAGEQ_PAGE_MAX);
	pageq_push(&q, 0, 0);
	assert_true(pageq_pop(&q, &slot, &page));
	assert_int_equal(slot, PAGEQ_SLOT_MAX);
	assert_int_equal(page, PAGEQ_PAGE_MAX);
	assert_true(pageq_pop(&q, &slot, &page));
	assert_int_equal(slot + page, 0);
	pageq_fini(&q);
}

static void
test_budget(void **state)
{
	struct budget b;

	(void)state;
	budget_init(&b, 1000, 32);
	assert_true(budget_is_high(&b));
	assert_true(budget_take(&b, 900));
	assert_int_equal(budget_free(&b), 100);
	assert_false(budget_take(&b, 101));
	assert_int_equal(budget_free(&b), 100);
	assert_true(budget_take(&b, 100));
	assert_true(budget_is_low(&b));
	assert_false(budget_take(&b, 1));
	/* Beyond the limit only as far as allowed. */
	assert_true(budget_take_extra(&b, 1));
	assert_false(budget_take_extra(&b, 1));
	budget_force(&b, 5);
	assert_int_equal(budget_free(&b), 0);
	budget_give(&b, 1006);
	assert_int_equal(budget_free(&b), 1000);
	/* A quarter must stay unwired. */
	assert_false(budget_wire(&b, 751));
	assert_true(budget_wire(&b, 750));
	assert_false(budget_wire(&b, 1));
	budget_unwire(&b, 750);
	budget_fini(&b);
}

static void
test_budget_limit(void **state)
{
	struct budget b;

	(void)state;
	budget_init(&b, 1000, 4);
	assert_int_equal(b.low, 31);
	assert_int_equal(b.high, 62);
	assert_true(budget_take(&b, 900));
	/* Below what is used: nothing is free before enough has gone. */
	assert_int_equal(budget_set_limit(&b, 400), 0);
	assert_int_equal(b.low, 12);
	assert_true(budget_is_low(&b));
	assert_int_equal(budget_free(&b), 0);
	assert_false(budget_take(&b, 1));
	budget_give(&b, 501);
	assert_int_equal(budget_free(&b), 1);
	assert_true(budget_take(&b, 1));
	assert_int_equal(budget_set_limit(&b, 500), 0);
	assert_int_equal(budget_free(&b), 100);
	budget_set_cluster(&b, 20);
	assert_int_equal(b.low, 40);
	assert_int_equal(b.high, 80);
	/* Wired pages hold it up, to the very page. */
	for (uint64_t wired = 0; wired <= 375; wired++) {
		uint64_t least = budget_least(&b);

		if (least > 0) {
			assert_int_equal(budget_set_limit(&b, least - 1),
					 -EBUSY);
			assert_int_equal(b.limit, 500);
		}
		assert_int_equal(budget_set_limit(&b, least), 0);
		assert_false(budget_wire(&b, 1));
		assert_int_equal(budget_set_limit(&b, 500), 0);
		assert_int_equal(budget_wire(&b, 1), wired < 375);
	}
	assert_int_equal(b.wired, 375);
	assert_false(budget_wire(&b, UINT64_MAX));
	budget_fini(&b);
}

static void *
raiser(void *arg)
{
	struct budget *b = arg;

	while (atomic_load(&b->takers) == 0)
		sched_yield();
	return budget_set_limit(b, 200) == 0 ? NULL : b;
}

/* Who waits for pages sees that the limit has risen. */
static void
test_raising(void **state)
{
	struct budget b;
	pthread_t thread;
	void *failed;

	(void)state;
	budget_init(&b, 100, 4);
	assert_true(budget_take(&b, 100));
	assert_int_equal(pthread_create(&thread, NULL, raiser, &b), 0);
	assert_true(budget_take_wait(&b, 100, 60000000));
	pthread_join(thread, &failed);
	assert_null(failed);
	assert_int_equal(budget_free(&b), 0);
	budget_fini(&b);
}

#define ROUNDS	20000u

static void *
wirer(void *arg)
{
	struct budget *b = arg;
	uint64_t wired = 0;

	for (unsigned i = 0; i < ROUNDS; i++) {
		if (wired == 0 && budget_wire(b, 90))
			wired = 90;
		/* While it is wired the limit leaves a quarter beside it. */
		if (wired > 0 && atomic_load(&b->limit) < 120)
			return b;
		if (i % 2 == 0) {
			budget_unwire(b, wired);
			wired = 0;
		}
	}
	budget_unwire(b, wired);
	return NULL;
}

/* The limit sinks while somebody wires: one of the two is refused. */
static void
test_wire_race(void **state)
{
	struct budget b;
	pthread_t thread;
	void *failed;

	(void)state;
	budget_init(&b, 120, 4);
	assert_int_equal(pthread_create(&thread, NULL, wirer, &b), 0);
	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t limit = i % 2 == 0 ? 100 : 120;
		int rc = budget_set_limit(&b, limit);

		assert_true(rc == 0 || limit == 100);
	}
	pthread_join(thread, &failed);
	assert_null(failed);
	assert_int_equal(b.wired, 0);
	budget_fini(&b);
}

static void *
giver(void *arg)
{
	struct budget *b = arg;

	/* Only once somebody waits for pages. */
	while (atomic_load(&b->takers) == 0)
		sched_yield();
	budget_give(b, 10);
	return NULL;
}

static void
test_waiting(void **state)
{
	struct budget b;
	pthread_t thread;

	(void)state;
	budget_init(&b, 100, 4);
	assert_true(budget_take(&b, 100));
	assert_false(budget_take_wait(&b, 1, 1000));
	assert_int_equal(pthread_create(&thread, NULL, giver, &b), 0);
	assert_true(budget_take_wait(&b, 10, 60000000));
	pthread_join(thread, NULL);
	assert_int_equal(budget_free(&b), 0);
	budget_fini(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_extremes),
		cmocka_unit_test(test_budget),
		cmocka_unit_test(test_budget_limit),
		cmocka_unit_test(test_raising),
		cmocka_unit_test(test_wire_race),
		cmocka_unit_test(test_waiting),
	};

	return cmocka_run_group_tests_name("pageq", tests, NULL, NULL);
}
