/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Objects charged to their owners, through the functions of a pager: what is
 * refused and what is not by each policy, that every charge is given back, and
 * what the snapshot says of it.
 */
#include "pager-fixture.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "space.h"

#define ROOT	0u
#define ANN	1001u
#define BOB	1002u

/* Its blocks are all for use but for the label. */
#define DEVICE(bytes)	((bytes) + 8192)

static void
tune(struct env *env, const char *name, const char *value)
{
	struct swap_error error = { 0 };

	check_ok(swap_pager_tune(env->pager, name, value, &error), &error);
}

static int
make(struct env *env, uid_t uid, const char *name, uint64_t bytes,
     unsigned flags, struct swap_object **ret)
{
	struct pager_owner owner = { .uid = uid, .pid = 77, .command = "x" };
	struct swap_error error = { 0 };
	int rc = pager_object_create(env->pager, &owner, name, bytes, flags,
				     ret, &error);

	assert_int_equal(error.code, rc);
	/* The sentence names the user. */
	if (rc == -ENOMEM && !(flags & SWAP_OBJECT_NOSWAP)) {
		char text[32];

		snprintf(text, sizeof(text), "uid %u", (unsigned)uid);
		assert_non_null(strstr(error.message, text));
	}
	return rc;
}

static struct swap_object *
must_make(struct env *env, uid_t uid, uint64_t bytes)
{
	struct swap_object *object;

	assert_int_equal(make(env, uid, NULL, bytes, 0, &object), 0);
	return object;
}

static void
must_refuse(struct env *env, uid_t uid, uint64_t bytes)
{
	struct swap_stats before = totals_of(env), after;
	struct swap_object *object;

	assert_int_equal(make(env, uid, NULL, bytes, 0, &object), -ENOMEM);
	after = totals_of(env);
	assert_int_equal(after.counters.charges_refused,
			 before.counters.charges_refused + 1);
	assert_int_equal(after.charged_bytes, before.charged_bytes);
}

/* -1: the user is not among them. */
static int64_t
charged(struct env *env, uid_t uid, uint64_t *ret_limit)
{
	struct swap_stats stats = stats_of(env);
	uint64_t sum = 0;
	int64_t bytes = -1;

	for (size_t i = 0; i < stats.nusers; i++) {
		assert_true(i == 0 || stats.users[i - 1].uid <
				      stats.users[i].uid);
		sum += stats.users[i].charged_bytes;
		if (stats.users[i].uid != uid)
			continue;
		bytes = (int64_t)stats.users[i].charged_bytes;
		if (ret_limit != NULL)
			*ret_limit = stats.users[i].limit_bytes;
	}
	assert_int_equal(sum, stats.charged_bytes);
	swap_stats_clear(&stats);
	assert_null(stats.users);
	assert_int_equal(stats.nusers, 0);
	return bytes;
}

/* ----------------------------------------------------------------- policies */

/* Without a policy everything is counted, and nothing refused. */
static void
test_counted(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct swap_object *a, *b, *c;

	(void)state;
	a = must_make(env, ANN, 5 * MIB);
	b = must_make(env, BOB, 1);
	c = must_make(env, ANN, MIB << 20);
	assert_int_equal(charged(env, ANN, NULL), (MIB << 20) + 5 * MIB);
	assert_int_equal(charged(env, BOB, NULL), PAGE);
	assert_int_equal(charged(env, ROOT, NULL), -1);
	swap_object_unref(b);
	assert_int_equal(charged(env, BOB, NULL), -1);
	swap_object_unref(c);
	assert_int_equal(charged(env, ANN, NULL), 5 * MIB);
	swap_object_unref(a);
	assert_int_equal(totals_of(env).charged_bytes, 0);
	env_end(env);
}

static void
test_total(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct swap_error error = { 0 };
	struct swap_object *a, *b, *root;

	(void)state;
	must_attach(env, 0, DEVICE(8 * MIB));
	tune(env, "overcommit", "1");
	assert_int_equal(totals_of(env).chargeable_bytes, 8 * MIB);
	a = must_make(env, ANN, 5 * MIB);
	must_refuse(env, ANN, 3 * MIB + 1);
	must_refuse(env, BOB, 4 * MIB);
	assert_int_equal(logged(env, "uid 1001: an object of"), 1);
	b = must_make(env, BOB, 3 * MIB);
	must_refuse(env, BOB, 1);
	root = must_make(env, ROOT, 100 * MIB);
	assert_int_equal(totals_of(env).charged_bytes, 108 * MIB);
	/* Each device counts, as long as it is there. */
	must_attach(env, 1, DEVICE(102 * MIB));
	swap_object_unref(b);
	b = must_make(env, BOB, 5 * MIB);
	must_refuse(env, ANN, 1);
	check_ok(swap_device_detach(env->pager, env->device[1], NULL, NULL,
				    &error), &error);
	swap_object_unref(b);
	must_refuse(env, BOB, 5 * MIB);
	swap_object_unref(root);
	b = must_make(env, BOB, 3 * MIB);
	/* The other bits alone refuse nothing of this kind. */
	tune(env, "overcommit", "6");
	root = must_make(env, ANN, 100 * MIB);
	swap_object_unref(root);
	swap_object_unref(a);
	swap_object_unref(b);
	env_end(env);
}

/* RAM that is not wired counts, where the policy says so. */
static void
test_ram(void **state)
{
	struct env *env = env_new(2 * MIB, 0);
	struct swap_error error = { 0 };
	struct swap_object *b;
	struct area a;
	char ram[24];

	(void)state;
	must_attach(env, 0, DEVICE(4 * MIB));
	tune(env, "overcommit", "5");
	assert_int_equal(totals_of(env).chargeable_bytes, 6 * MIB);
	must_refuse(env, ANN, 6 * MIB + 1);
	b = must_make(env, ANN, 6 * MIB);
	swap_object_unref(b);
	a = area_new(env, 256, 0);
	check_ok(swap_region_wire(a.region, 0, MIB, &error), &error);
	assert_int_equal(totals_of(env).chargeable_bytes, 5 * MIB);
	must_refuse(env, ANN, 4 * MIB + 1);
	b = must_make(env, ANN, 4 * MIB);
	swap_object_unref(b);
	assert_int_equal(swap_region_unwire(a.region, 0, MIB), 0);
	b = must_make(env, ANN, 5 * MIB);
	swap_object_unref(b);
	/* A budget that changes counts as it is now. */
	snprintf(ram, sizeof(ram), "%" PRIu64, ram_for(3 * MIB));
	tune(env, "ram", ram);
	assert_int_equal(totals_of(env).chargeable_bytes, 7 * MIB);
	b = must_make(env, ANN, 6 * MIB);
	swap_object_unref(b);
	tune(env, "overcommit", "1");
	assert_int_equal(totals_of(env).chargeable_bytes, 4 * MIB);
	must_refuse(env, ANN, 4 * MIB);
	area_end(&a);
	env_end(env);
}

static void
test_user(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct swap_object *a, *b, *root;
	uint64_t limit = 0;

	(void)state;
	tune(env, "user_limit", "3M");
	a = must_make(env, ANN, 4 * MIB);
	assert_int_equal(charged(env, ANN, &limit), 4 * MIB);
	assert_int_equal(limit, 0);
	tune(env, "overcommit", "2");
	assert_int_equal(charged(env, ANN, &limit), 4 * MIB);
	assert_int_equal(limit, 3 * MIB);
	/* What was there stays; the next one is refused. */
	must_refuse(env, ANN, 1);
	b = must_make(env, BOB, 2 * MIB);
	must_refuse(env, BOB, MIB + 1);
	root = must_make(env, ROOT, 10 * MIB);
	assert_int_equal(charged(env, ROOT, &limit), 10 * MIB);
	assert_int_equal(limit, 0);
	swap_object_unref(a);
	a = must_make(env, ANN, 3 * MIB);
	tune(env, "user_limit", "0");
	swap_object_unref(a);
	a = must_make(env, ANN, 30 * MIB);
	swap_object_unref(a);
	swap_object_unref(b);
	swap_object_unref(root);
	env_end(env);
}

/* -------------------------------------------------------------- giving back */

/* Whatever else keeps an object from being made: it is not charged. */
static void
test_not_made(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct swap_object *a, *b;

	(void)state;
	assert_int_equal(make(env, ANN, "name", MIB, 0, &a), 0);
	assert_int_equal(make(env, ANN, "name", MIB, 0, &b), -EEXIST);
	assert_int_equal(make(env, ANN, "", MIB, 0, &b), -EINVAL);
	assert_int_equal(make(env, ANN, NULL, 0, 0, &b), -EINVAL);
	assert_int_equal(make(env, ANN, NULL, UINT64_MAX, 0, &b), -EFBIG);
	/* No room to wire it. */
	assert_int_equal(make(env, ANN, NULL, MIB, SWAP_OBJECT_NOSWAP, &b),
			 -ENOMEM);
	assert_int_equal(charged(env, ANN, NULL), MIB);
	assert_int_equal(totals_of(env).counters.charges_refused, 0);
	swap_object_unref(a);
	env_end(env);
}

/* A region keeps its object, and so the charge; a copy is charged anew. */
static void
test_life(void **state)
{
	struct pager_owner bob = { .uid = BOB, .pid = 78 };
	struct env *env = env_new(MIB, 0);
	struct swap_error error = { 0 };
	struct swap_region *region;
	struct swap_object *a, *copy;

	(void)state;
	a = must_make(env, ANN, MIB);
	check_ok(swap_object_map(a, NULL, 0, MIB, &region, &error), &error);
	swap_object_unref(a);
	assert_int_equal(charged(env, ANN, NULL), MIB);
	check_ok(pager_object_copy(a, &bob, &copy, &error), &error);
	assert_int_equal(charged(env, BOB, NULL), MIB);
	tune(env, "overcommit", "2");
	tune(env, "user_limit", "1M");
	assert_int_equal(pager_object_copy(a, &bob, &copy, &error), -ENOMEM);
	assert_int_equal(swap_region_unmap(region), 0);
	assert_int_equal(charged(env, ANN, NULL), -1);
	assert_int_equal(charged(env, BOB, NULL), MIB);
	swap_object_unref(copy);
	assert_int_equal(totals_of(env).charged_bytes, 0);
	env_end(env);
}

/* ----------------------------------------------------------------- together */

#define MAKERS		4u
#define ROUNDS		300u

struct maker {
	struct env	*env;
	uint64_t	 rng;
	unsigned	 made, refused;
	pthread_t	 thread;
};

static void *
maker_main(void *arg)
{
	struct maker *m = arg;
	struct swap_object *object[3] = { NULL };

	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t r = next_random(&m->rng);
		struct swap_object **o = &object[i % 3];
		struct pager_owner owner = { .uid = ANN + (uid_t)(r % 3) };
		int rc;

		if (*o != NULL)
			swap_object_unref(*o);
		*o = NULL;
		rc = pager_object_create(m->env->pager, &owner, NULL,
					 (1 + (r >> 8) % 512) * PAGE, 0, o,
					 NULL);
		m->made += rc == 0;
		m->refused += rc == -ENOMEM;
	}
	for (unsigned i = 0; i < 3; i++)
		if (object[i] != NULL)
			swap_object_unref(object[i]);
	return NULL;
}

static void
test_threads(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct maker m[MAKERS];
	unsigned made = 0, refused = 0;

	(void)state;
	must_attach(env, 0, DEVICE(4 * MIB));
	tune(env, "overcommit", "3");
	tune(env, "user_limit", "2M");
	for (unsigned i = 0; i < MAKERS; i++) {
		m[i] = (struct maker){ .env = env, .rng = 99 + i };
		pthread_create(&m[i].thread, NULL, maker_main, &m[i]);
	}
	for (unsigned i = 0; i < 100; i++) {
		assert_true(totals_of(env).charged_bytes <= 4 * MIB);
		assert_true(charged(env, ANN, NULL) <= (int64_t)(2 * MIB));
	}
	for (unsigned i = 0; i < MAKERS; i++) {
		pthread_join(m[i].thread, NULL);
		made += m[i].made;
		refused += m[i].refused;
	}
	assert_int_equal(made + refused, MAKERS * ROUNDS);
	assert_true(made > 0 && refused > 0);
	assert_int_equal(totals_of(env).counters.charges_refused, refused);
	assert_int_equal(totals_of(env).charged_bytes, 0);
	env_end(env);
}

/* ----------------------------------------------------------------- snapshot */

/* Memory for metadata: its parts are the whole, and none is in it twice. */
static void
test_metadata(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct core *core = &env->pager->core;
	struct swap_stats stats;
	uint64_t objects = 0, maps = 0;
	struct area a[3];

	(void)state;
	must_attach(env, 0, 32 * MIB);
	for (unsigned i = 0; i < 3; i++) {
		a[i] = area_new(env, 600, 0);
		write_pages(&a[i], 0, 600, 1);
	}
	check_blocks(env);
	/* Nothing moves: page-out is stopped. */
	atomic_store(&core->frozen, true);
	pageout_wait_idle(&env->pager->pageout);
	stats = stats_of(env);
	assert_int_equal(stats.nobjects, 3);
	for (size_t i = 0; i < 3; i++) {
		assert_true(stats.objects[i].map_bytes >=
			    400 * sizeof(uint32_t));
		maps += stats.objects[i].map_bytes;
		objects += object_memory(a[i].object);
	}
	/* A byte a page beside the maps, and what does not depend on it. */
	assert_in_range(objects, maps + 3 * 600, maps + 3 * 600 + 3 * PAGE);
	assert_int_equal(stats.metadata_bytes,
			 objects + space_memory(&core->space));
	/* The account has the maps' memory, not their small structures. */
	assert_int_equal(stats.map_bytes, core->maps.used);
	assert_in_range(stats.map_bytes, maps - 3 * 1024, maps);
	swap_stats_clear(&stats);
	atomic_store(&core->frozen, false);
	for (unsigned i = 0; i < 3; i++) {
		check_pages(&a[i], 0, 600, 1);
		area_end(&a[i]);
	}
	env_end(env);
}

/* What space and page-out say, each figure in its place. */
static const struct space_totals planted = {
	.total = 1, .avail = 2, .used = 3, .reserved = 4,
	.free_deferred = 5, .free_completed = 6,
	.almost_full_events = 7, .full_events = 8,
	.almost_full = true,
};
static bool plant;

void __real_space_totals(struct space *, struct space_totals *);
void __wrap_space_totals(struct space *, struct space_totals *);

void
__wrap_space_totals(struct space *s, struct space_totals *ret)
{
	if (plant)
		*ret = planted;
	else
		__real_space_totals(s, ret);
}

static void
test_figures(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct core *core = &env->pager->core;
	struct swap_stats stats;

	(void)state;
	stats = totals_of(env);
	assert_false(stats.metadata_full);
	assert_int_equal(stats.counters.metadata_full_events, 0);
	plant = true;
	atomic_store(&core->maps_full, true);
	atomic_store(&core->maps_full_events, 9);
	stats = totals_of(env);
	plant = false;
	atomic_store(&core->maps_full, false);
	assert_true(stats.metadata_full);
	assert_int_equal(stats.counters.metadata_full_events, 9);
	assert_int_equal(stats.swap_bytes, 1 * PAGE);
	assert_int_equal(stats.chargeable_bytes, 1 * PAGE);
	assert_int_equal(stats.swap_used_bytes, 3 * PAGE);
	assert_int_equal(stats.set_aside_bytes, 4 * PAGE);
	assert_int_equal(stats.counters.free_deferred, 5);
	assert_int_equal(stats.counters.free_completed, 6);
	assert_int_equal(stats.counters.almost_full_events, 7);
	assert_int_equal(stats.counters.full_events, 8);
	assert_true(stats.almost_full);
	assert_false(stats.full);
	env_end(env);
}

/* What is set aside is free still, and shown. */
static void
test_set_aside(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct swap_error error = { 0 };
	struct swap_object *a;

	(void)state;
	must_attach(env, 0, DEVICE(8 * MIB));
	a = must_make(env, ANN, 4 * MIB);
	assert_int_equal(totals_of(env).set_aside_bytes, 0);
	check_ok(swap_object_reserve(a, 0, 2 * MIB, &error), &error);
	assert_int_equal(totals_of(env).set_aside_bytes, 2 * MIB);
	assert_int_equal(totals_of(env).swap_used_bytes, 0);
	assert_int_equal(swap_object_unreserve(a, 0, MIB), 0);
	assert_int_equal(totals_of(env).set_aside_bytes, MIB);
	swap_object_unref(a);
	assert_int_equal(totals_of(env).set_aside_bytes, 0);
	env_end(env);
}

int
main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
		TEST(counted),
		TEST(total),
		TEST(ram),
		TEST(user),
		TEST(not_made),
		TEST(life),
		TEST(threads),
		TEST(metadata),
		TEST(figures),
		TEST(set_aside),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests_name("overcommit", tests, NULL, NULL);
}
