/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Copies where something else happens at the same moment: ends, handovers, full
 * space.
 */
#include "pager-fixture.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util.h"

static struct area
fork_of(const struct area *a)
{
	struct swap_error error = { 0 };
	struct area copy = *a;

	check_ok(swap_object_fork(a->object, &copy.object, &error), &error);
	check_ok(swap_object_map(copy.object, NULL, 0, copy.npages * PAGE,
				 &copy.region, &error), &error);
	copy.mem = swap_region_address(copy.region);
	return copy;
}

/* Pages that a copy has in its source alone. */
static uint64_t
shared(const struct area *a)
{
	uint64_t n;

	object_lock(a->object);
	n = a->object->nsource;
	object_unlock(a->object);
	return n;
}

/* -------------------------------------------------------------------- ends */

static void *
close_main(void *arg)
{
	struct env *env = arg;
	struct swap_error error = { 0 };

	check_ok(swap_pager_close(env->pager, &error), &error);
	return NULL;
}

/* A copy ends while a handover takes its pages for it. */
static void
test_end_in_handover(void **state)
{
	const uint64_t n = 8000;

	(void)state;
	for (unsigned round = 0; round < 3; round++) {
		struct env *env = env_new(64 * MIB, 0);
		struct area a = area_new(env, n, 0), b;
		pthread_t thread;

		write_pages(&a, 0, n, 1);
		b = fork_of(&a);
		assert_int_equal(shared(&b), n);
		pthread_create(&thread, NULL, close_main, env);
		while (shared(&b) > n - 100)
			;
		area_end(&b);
		pthread_join(thread, NULL);
		check_pages(&a, 0, n, 1);
		area_end(&a);
		env_free(env);
	}
}

/* ------------------------------------------------------------------- room */

/*
 * Pages of zeros that went out need no room in the copy, where everything is
 * full and the source is written.
 */
static void
test_zeros_full(void **state)
{
	struct env *env = env_new(MIB, SWAP_PAGER_FULL_FAILS);
	struct area a = area_new(env, 8, 0), b, other, more;
	struct filler filler;
	unsigned nbus = 0;

	(void)state;
	must_attach(env, 0, MIB);
	other = area_new(env, 300, 0);
	more = area_new(env, 600, SWAP_OBJECT_EXACT);
	check_pages(&a, 0, 8, 0);
	b = fork_of(&a);
	push_out(&a, 0, 8, &other);
	assert_int_equal(shared(&b), 8);
	filler = (struct filler){ .a = &more, .n = 600, .version = 1 };
	filler_main(&filler);
	assert_true(filler.nbus > 0);
	for (uint64_t i = 0; i < 8; i++)
		nbus += gives_bus(a.mem + i * WORDS, true);
	assert_true(nbus > 0);
	area_end(&more);
	area_end(&other);
	for (uint64_t i = 0; i < 8; i++)
		assert_false(gives_bus(b.mem + i * WORDS, false));
	check_pages(&b, 0, 8, 0);
	area_end(&b);
	area_end(&a);
	env_end(env);
}

/* -------------------------------------------------------------------- main */

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(end_in_handover),
		TEST(zeros_full),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
