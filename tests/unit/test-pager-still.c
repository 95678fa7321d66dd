/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Objects that are kept still around a copy (pager_object_still()): who writes
 * waits, whatever the page was, who reads does not, and the copy has what was
 * there before.
 */
#include "pager-fixture.h"

#include <stdlib.h>
#include <unistd.h>

#include "region.h"

#define WRITERS	3u

struct writer {
	pthread_t	thread;
	uint64_t	*at;
	atomic_bool	done;
};

static void *
writer_main(void *arg)
{
	struct writer *w = arg;

	*(volatile uint64_t *)w->at = 77;
	atomic_store(&w->done, true);
	return NULL;
}

static void
wait_faults(struct env *env, uint64_t n)
{
	for (unsigned tries = 0; tries < 2000; tries++) {
		if (totals_of(env).counters.faults >= n)
			return;
		usleep(1000);
	}
	fail_msg("not as many faults");
}

static void
check_waiting(struct writer *w)
{
	for (unsigned i = 0; i < WRITERS; i++)
		assert_false(atomic_load(&w[i].done));
}

/* A page in RAM, one that is swapped, and a new one. */
static void
test_writers(void **state)
{
	static const uint64_t pages[WRITERS] = { 0, 40, 80 };
	struct env *env = env_new(MIB, 0);
	struct writer w[WRITERS] = { 0 };
	struct area a, b, other;
	uint64_t faults;

	(void)state;
	must_attach(env, 0, 8 * MIB);
	a = area_new(env, 100, SWAP_OBJECT_EXACT);
	other = area_new(env, 600, 0);
	write_pages(&a, 40, 10, 1);
	push_out(&a, 40, 10, &other);
	write_pages(&a, 0, 10, 1);
	pager_object_still(a.object, true);
	b = area_copy(a.object, a.id);
	faults = totals_of(env).counters.faults;
	for (unsigned i = 0; i < WRITERS; i++) {
		w[i].at = a.mem + pages[i] * WORDS;
		assert_int_equal(pthread_create(&w[i].thread, NULL,
						writer_main, &w[i]), 0);
	}
	/* The swapped one comes in first, and faults again. */
	wait_faults(env, faults + WRITERS + 1);
	check_pages(&a, 1, 9, 1);
	check_pages(&a, 41, 9, 1);
	assert_true(atomic_load(&a.region->stilled));
	check_waiting(w);
	/* Pairs nest. */
	pager_object_still(a.object, true);
	pager_object_still(a.object, false);
	check_waiting(w);
	check_pages(&b, 0, 10, 1);
	pager_object_still(a.object, false);
	for (unsigned i = 0; i < WRITERS; i++) {
		assert_int_equal(pthread_join(w[i].thread, NULL), 0);
		assert_int_equal(*w[i].at, 77);
	}
	check_pages(&a, 1, 9, 1);
	check_pages(&b, 0, 10, 1);
	check_pages(&b, 40, 10, 1);
	check_pages(&b, 80, 1, 0);
	area_end(&b);
	area_end(&a);
	area_end(&other);
	env_end(env);
}

/* The region goes while somebody could wait; nothing is left of it. */
static void
test_end(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct area a;

	(void)state;
	a = area_new(env, 10, 0);
	write_pages(&a, 0, 10, 1);
	pager_object_still(a.object, true);
	swap_object_ref(a.object);
	check_pages(&a, 0, 10, 1);
	swap_region_unmap(a.region);
	pager_object_still(a.object, false);
	swap_object_unref(a.object);
	swap_object_unref(a.object);
	env_end(env);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(writers),
		TEST(end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
