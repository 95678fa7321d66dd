/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Settings through the public functions: each is set, read back and refused,
 * and those that change how memory is paged do so while it is used.
 *
 * Every test ends with nothing in use and nothing resident (env_end()).  An
 * argument selects tests by a pattern ("test_ram_*").
 */
#include "pager-fixture.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util.h"

#define RAM	(4 * MIB)	/* of a pager whose budget does not matter */

static void
tune(struct env *env, const char *name, const char *value)
{
	struct swap_error error = { 0 };

	check_ok(swap_pager_tune(env->pager, name, value, &error), &error);
}

static struct swap_tunable *
list(struct env *env, size_t *ret_n)
{
	struct swap_tunable *t;

	assert_int_equal(swap_pager_tunables(env->pager, &t, ret_n), 0);
	return t;
}

static struct swap_tunable
tunable(struct env *env, const char *name)
{
	struct swap_tunable *t, one = { .name = "" };
	size_t n;

	t = list(env, &n);
	for (size_t i = 0; i < n; i++)
		if (strcmp(t[i].name, name) == 0)
			one = t[i];
	free(t);
	assert_string_equal(one.name, name);
	return one;
}

static void
check_value(struct env *env, const char *name, const char *value)
{
	assert_string_equal(tunable(env, name).value, value);
}

/* -------------------------------------------------------------- all of them */

static void
test_list(void **state)
{
	static const char *const names[] = {
		"ram", "cluster", "swap_async_max", "low_water", "high_water",
		"overcommit", "user_limit", "metadata_limit", "map_kind", "full",
	};
	struct env *env = env_new(RAM, 0);
	struct swap_tunable *t;
	size_t n;

	(void)state;
	t = list(env, &n);
	assert_int_equal(n, sizeof(names) / sizeof(names[0]));
	for (size_t i = 0; i < n; i++) {
		assert_string_equal(t[i].name, names[i]);
		/* All but the budget are as they are by default. */
		if (i > 0)
			assert_string_equal(t[i].value, t[i].default_value);
		assert_true(strlen(t[i].summary) > 10);
		assert_true(strlen(t[i].range) > 0);
		/* Nothing is cut. */
		assert_true(strlen(t[i].summary) < sizeof(t[i].summary) - 1);
		assert_true(strlen(t[i].range) < sizeof(t[i].range) - 1);
	}
	assert_string_equal(t[0].value, "4194304");
	assert_string_equal(t[0].default_value, "67108864");
	assert_string_equal(t[0].range, "1048576..1152921504606846976");
	assert_string_equal(t[1].default_value, "32");
	assert_string_equal(t[1].range, "1..64");
	assert_string_equal(t[1].unit, "pages");
	assert_string_equal(t[2].default_value, "16");
	assert_string_equal(t[3].value, "0");
	assert_string_equal(t[5].range, "0..7");
	assert_string_equal(t[8].range, "auto|array|hash|trie");
	assert_string_equal(t[8].unit, "");
	assert_string_equal(t[9].range, "wait|fail");
	/* What is shown can be set, and changes nothing. */
	for (size_t i = 0; i < n; i++) {
		tune(env, t[i].name, t[i].value);
		check_value(env, t[i].name, t[i].value);
		tune(env, t[i].name, t[i].default_value);
		check_value(env, t[i].name, t[i].default_value);
	}
	assert_int_equal(logged(env, " now; it was "), 1);
	assert_int_equal(logged(env, "ram is 67108864 bytes now; it was "
				     "4194304"), 1);
	free(t);
	env_end(env);
}

/* What a pager was opened with is what its settings are. */
static void
test_configured(void **state)
{
	struct env *env;

	(void)state;
	cluster = 7;
	env = env_new(2 * MIB + 123, SWAP_PAGER_FULL_FAILS);
	cluster = 0;
	check_value(env, "ram", "2097275");
	check_value(env, "cluster", "7");
	check_value(env, "full", "fail");
	env_end(env);
}

struct setting {
	const char	*name, *value, *read;
};

static void
test_set(void **state)
{
	static const struct setting settings[] = {
		{ "ram", "2M", "2097152" },
		{ "ram", "1048577", "1048577" },
		{ "ram", "1024K", "1048576" },
		{ "ram", "1152921504606846976", "1152921504606846976" },
		{ "ram", "3MiB", "3145728" },
		{ "cluster", "1", "1" },
		{ "cluster", "64", "64" },
		{ "cluster", "32", "32" },
		{ "swap_async_max", "1", "1" },
		{ "swap_async_max", "64", "64" },
		{ "high_water", "1G", "1073741824" },
		{ "low_water", "1M", "1048576" },
		{ "low_water", "1", "4096" },		/* whole blocks */
		{ "low_water", "1G", "1073741824" },	/* the same is fine */
		{ "high_water", "0", "0" },
		{ "high_water", "1048576T", "1152921504606846976" },
		{ "low_water", "0", "0" },
		{ "high_water", "4097", "8192" },
		{ "overcommit", "7", "7" },
		{ "overcommit", "0", "0" },
		{ "overcommit", "3", "3" },
		{ "user_limit", "10G", "10737418240" },
		{ "user_limit", "12345", "12345" },
		{ "user_limit", "0", "0" },
		{ "metadata_limit", "1t", "1099511627776" },
		{ "metadata_limit", "0", "0" },
		{ "map_kind", "array", "array" },
		{ "map_kind", "hash", "hash" },
		{ "map_kind", "trie", "trie" },
		{ "map_kind", "auto", "auto" },
		{ "full", "fail", "fail" },
		{ "full", "wait", "wait" },
	};
	struct env *env = env_new(RAM, 0);

	(void)state;
	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
		const struct setting *s = &settings[i];
		struct swap_tunable before = tunable(env, s->name);
		char told[80];

		snprintf(told, sizeof(told), "%s is %s%s%s now; it was %s\n",
			 s->name, s->read, before.unit[0] != '\0' ? " " : "",
			 before.unit, before.value);
		assert_int_equal(logged(env, told), 0);
		tune(env, s->name, s->value);
		check_value(env, s->name, s->read);
		assert_int_equal(logged(env, told), 1);
	}
	env_end(env);
}

struct refusal {
	const char	*name, *value;
	int		 code;
	const char	*why;
};

static void
test_refused(void **state)
{
	static const struct refusal refusals[] = {
		{ "rum", "1M", -ENOENT, "there are ram, cluster" },
		{ "", "1M", -ENOENT, "metadata_limit" },
		{ "RAM", "1M", -ENOENT, "full" },
		{ "swap_async_max", "0", -EINVAL, "1..64 writes" },
		{ "swap_async_max", "65", -EINVAL, "1..64 writes" },
		{ "ram", "", -EINVAL, "not a size" },
		{ "ram", "much", -EINVAL, "not a size" },
		{ "ram", "-1", -EINVAL, "1048576..1152921504606846976 bytes" },
		{ "ram", "1048575", -EINVAL, "out of range" },
		{ "ram", "0", -EINVAL, "out of range" },
		{ "ram", "1152921504606846977", -EINVAL, "out of range" },
		{ "ram", "16777216T", -EINVAL, "out of range" },
		{ "ram", "2M ", -EINVAL, "K, M, G or T" },
		{ "cluster", "0", -EINVAL, "give 1..64 pages" },
		{ "cluster", "65", -EINVAL, "out of range" },
		{ "cluster", "1K", -EINVAL, "not a number" },
		{ "cluster", "4294967297", -EINVAL, "out of range" },
		{ "low_water", "2G", -EINVAL, "above high_water" },
		{ "high_water", "4K", -EINVAL, "below low_water" },
		{ "overcommit", "8", -EINVAL, "give 0..7" },
		{ "overcommit", "-1", -EINVAL, "out of range" },
		{ "overcommit", "4294967296", -EINVAL, "out of range" },
		{ "user_limit", "none", -EINVAL, "not a size" },
		{ "metadata_limit", "2097152T", -EINVAL, "out of range" },
		{ "map_kind", "tree", -EINVAL, "give auto|array|hash|trie" },
		{ "map_kind", "", -EINVAL, "not a choice" },
		{ "map_kind", "1", -EINVAL, "not a choice" },
		{ "full", "waits", -EINVAL, "give wait|fail" },
	};
	struct env *env = env_new(RAM, 0);
	struct swap_tunable *before, *after;
	size_t n;

	(void)state;
	tune(env, "high_water", "1G");
	tune(env, "low_water", "1M");
	tune(env, "cluster", "16");
	before = list(env, &n);
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		const struct refusal *r = &refusals[i];
		struct swap_error error = { 0 };

		assert_int_equal(swap_pager_tune(env->pager, r->name, r->value,
						 &error), r->code);
		assert_int_equal(error.code, r->code);
		if (strstr(error.message, r->why) == NULL)
			fail_msg("%s=%s: %s", r->name, r->value,
				 error.message);
		/* Whoever does not want the sentence gets the same. */
		assert_int_equal(swap_pager_tune(env->pager, r->name, r->value,
						 NULL), r->code);
	}
	after = list(env, &n);
	assert_memory_equal(before, after, n * sizeof(*before));
	assert_int_equal(logged(env, " now; it was "), 3);
	free(before);
	free(after);
	env_end(env);
}

static void
test_ended(void **state)
{
	struct env *env = env_new(RAM, 0);
	struct swap_error error = { 0 };

	(void)state;
	check_ok(pager_handover(env->pager, &error), &error);
	assert_int_equal(swap_pager_tune(env->pager, "ram", "8M", &error),
			 -ESHUTDOWN);
	check_value(env, "ram", "4194304");
	env_end(env);
}

/* ------------------------------------------------------------------ the RAM */

/* Wait until no more than that is resident. */
static void
wait_resident(struct env *env, uint64_t bytes)
{
	for (unsigned tries = 0; tries < 2000; tries++) {
		if (totals_of(env).resident_bytes <= bytes)
			return;
		usleep(5000);
	}
	fail_msg("%" PRIu64 " bytes stay resident",
		 totals_of(env).resident_bytes);
}

/* Pages and the cache. */
static uint64_t
all_ram(struct env *env)
{
	struct swap_stats stats = totals_of(env);

	return stats.resident_bytes + stats.cache_bytes;
}

static void
test_ram_lowered(void **state)
{
	struct env *env = env_new(8 * MIB, 0);
	struct area a;
	pthread_t sampler;

	(void)state;
	must_attach(env, 0, 16 * MIB);
	a = area_new(env, 1500, 0);
	write_pages(&a, 0, 1500, 1);
	assert_int_equal(totals_of(env).resident_bytes, 1500 * PAGE);
	watch(env, &a);
	tune(env, "ram", "1M");
	assert_int_equal(totals_of(env).ram_bytes, MIB);
	/* Nobody touches the memory: page-out does it by itself. */
	wait_resident(env, MIB);
	/* And from now on no more than that. */
	pthread_create(&sampler, NULL, sampler_main, env);
	check_pages(&a, 0, 1500, 1);
	write_pages(&a, 0, 1500, 2);
	check_pages(&a, 0, 1500, 2);
	atomic_store(&env->stop, true);
	pthread_join(sampler, NULL);
	check_budget(env, MIB);
	/* Up again: all of it comes in and stays. */
	tune(env, "ram", "8M");
	check_pages(&a, 0, 1500, 2);
	assert_int_equal(totals_of(env).resident_bytes, 1500 * PAGE);
	check_blocks(env);
	area_end(&a);
	env_end(env);
}

/* A program that waits for RAM goes on when there is more. */
static void
test_ram_raised(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct area a = area_new(env, 700, 0);
	struct filler filler = { .a = &a, .n = 700, .version = 1 };
	pthread_t thread;

	(void)state;
	must_attach(env, 0, 8192 + 64 * PAGE);
	pthread_create(&thread, NULL, filler_main, &filler);
	wait_full(env);
	assert_false(filler.done);
	tune(env, "ram", "2M");
	for (unsigned tries = 0; tries < 2000 &&
	     all_ram(env) < 2 * MIB; tries++)
		usleep(5000);
	assert_int_equal(all_ram(env), 2 * MIB);
	assert_false(filler.done);
	tune(env, "ram", "4M");
	pthread_join(thread, NULL);
	assert_int_equal(filler.nbus, 0);
	check_pages(&a, 0, 700, 1);
	assert_int_equal(totals_of(env).resident_bytes, 700 * PAGE);
	area_end(&a);
	env_end(env);
}

/* No less than what wired pages need, and these need no more than that. */
static void
test_ram_wired(void **state)
{
	struct env *env = env_new(4 * MIB, 0);
	struct swap_error error = { 0 };
	struct area a, b;

	(void)state;
	must_attach(env, 0, 16 * MIB);
	a = area_new(env, 1000, 0);
	write_pages(&a, 0, 1000, 1);
	check_ok(swap_region_wire(a.region, 0, 600 * PAGE, &error), &error);
	/* Of 852 pages 53 are the cache's; of the others 199 must stay. */
	assert_int_equal(swap_pager_tune(env->pager, "ram", "3489791", &error),
			 -EBUSY);
	assert_non_null(strstr(error.message, "2.3 MiB"));
	assert_non_null(strstr(error.message, "3.3 MiB"));
	check_value(env, "ram", "4194304");
	assert_int_equal(totals_of(env).ram_bytes, 4 * MIB);
	tune(env, "ram", "3489792");
	wait_resident(env, 799 * PAGE);
	for (uint64_t i = 0; i < 600; i++)
		assert_true(in_ram(a.object, i));
	check_pages(&a, 0, 1000, 1);
	assert_int_equal(swap_region_wire(a.region, 600 * PAGE, PAGE, NULL),
			 -ENOMEM);
	assert_int_equal(swap_region_unwire(a.region, 0, 600 * PAGE), 0);
	tune(env, "ram", "1M");
	wait_resident(env, MIB);
	check_pages(&a, 0, 1000, 1);
	/* What is never paged out counts whether or not it is used. */
	b = area_new(env, 100, SWAP_OBJECT_NOSWAP);
	tune(env, "ram", "2M");
	check_ok(swap_region_wire(a.region, 0, 200 * PAGE, &error), &error);
	assert_int_equal(swap_pager_tune(env->pager, "ram", "1M", &error),
			 -EBUSY);
	area_end(&b);
	check_ok(swap_region_unwire(a.region, 0, 200 * PAGE), &error);
	tune(env, "ram", "1M");
	area_end(&a);
	env_end(env);
}

/* ----------------------------------------------------- all at the same time */

#define WRITERS		3u
#define ROUNDS		12u

struct writer {
	struct area	 a;
	pthread_t	 thread;
	_Atomic unsigned *running;
};

static void *
writer_main(void *arg)
{
	struct writer *w = arg;

	for (uint32_t version = 1; version <= ROUNDS; version++) {
		write_pages(&w->a, 0, w->a.npages, version);
		check_pages(&w->a, 0, w->a.npages, version);
	}
	atomic_fetch_sub(w->running, 1);
	return NULL;
}

static void
tune_at_random(struct env *env, uint64_t *rng)
{
	static const struct setting settings[] = {
		{ "ram", "1M", NULL }, { "ram", "2M", NULL },
		{ "ram", "6M", NULL }, { "ram", "1500000", NULL },
		{ "cluster", "1", NULL }, { "cluster", "5", NULL },
		{ "cluster", "64", NULL }, { "cluster", "32", NULL },
		{ "low_water", "0", NULL }, { "low_water", "1M", NULL },
		{ "high_water", "2M", NULL }, { "high_water", "20M", NULL },
		{ "overcommit", "0", NULL }, { "overcommit", "7", NULL },
		{ "user_limit", "0", NULL }, { "user_limit", "1M", NULL },
		{ "metadata_limit", "0", NULL },
		{ "metadata_limit", "1G", NULL },
		{ "map_kind", "auto", NULL }, { "map_kind", "trie", NULL },
		{ "full", "fail", NULL }, { "full", "wait", NULL },
	};
	const struct setting *s = &settings[next_random(rng) %
		(sizeof(settings) / sizeof(settings[0]))];

	tune(env, s->name, s->value);
	check_value(env, s->name, tunable(env, s->name).value);
}

/*
 * Settings change while programs write and verify, and others look and make
 * objects.
 */
static void
test_under_load(void **state)
{
	struct env *env = env_new(2 * MIB, 0);
	struct writer w[WRITERS];
	_Atomic unsigned running = WRITERS;
	uint64_t rng = 4711, changes = 0;

	(void)state;
	must_attach(env, 0, 16 * MIB);
	must_attach(env, 1, 16 * MIB);
	for (unsigned i = 0; i < WRITERS; i++) {
		w[i].a = area_new(env, 500, 0);
		w[i].running = &running;
		pthread_create(&w[i].thread, NULL, writer_main, &w[i]);
	}
	while (atomic_load(&running) > 0) {
		struct area other;

		tune_at_random(env, &rng);
		other = area_new(env, 3, 0);
		write_pages(&other, 0, 3, 1);
		check_pages(&other, 0, 3, 1);
		area_end(&other);
		(void)totals_of(env);
		changes++;
	}
	assert_true(changes > 20);
	for (unsigned i = 0; i < WRITERS; i++) {
		pthread_join(w[i].thread, NULL);
		check_pages(&w[i].a, 0, 500, ROUNDS);
		area_end(&w[i].a);
	}
	env_end(env);
}

/* ---------------------------------------------------------- when it is full */

/* Wait until some more faults have found no page. */
static void
wait_starved(struct env *env)
{
	uint64_t before = totals_of(env).counters.faults_starved;

	for (unsigned tries = 0; tries < 2000; tries++) {
		if (totals_of(env).counters.faults_starved > before + 2)
			return;
		usleep(5000);
	}
	fail_msg("nobody waits");
}

static void
test_full(void **state)
{
	struct env *env = env_new(MIB, 0);
	const uint64_t room = (MIB - totals_of(env).cache_bytes) / PAGE + 64;
	struct area a = area_new(env, 1000, 0);
	struct filler waiting = { .a = &a, .n = 500, .version = 1 };
	struct filler more = { .a = &a, .first = 500, .n = 10, .version = 1 };
	pthread_t thread;

	(void)state;
	must_attach(env, 0, 8192 + 64 * PAGE);
	pthread_create(&thread, NULL, filler_main, &waiting);
	wait_full(env);
	assert_false(waiting.done);
	/* Who waits now fails, as all do who come. */
	tune(env, "full", "fail");
	pthread_join(thread, NULL);
	assert_int_equal(waiting.nbus, 500 - room);
	assert_true(gives_bus(a.mem + 600 * WORDS, true));
	check_pages(&a, 0, room, 1);
	/* And again they wait, until there is space. */
	tune(env, "full", "wait");
	pthread_create(&thread, NULL, filler_main, &more);
	wait_starved(env);
	assert_false(more.done);
	must_attach(env, 1, 8 * MIB);
	pthread_join(thread, NULL);
	assert_int_equal(more.nbus, 0);
	check_pages(&a, 500, 10, 1);
	check_pages(&a, 0, room, 1);
	/* What has failed stays so until it is released. */
	assert_true(gives_bus(a.mem + 600 * WORDS, false));
	assert_int_equal(swap_region_release(a.region, 0, 1000 * PAGE), 0);
	check_pages(&a, 0, 1000, 0);
	area_end(&a);
	env_end(env);
}

/* Marks that are set decide, not the size of the space. */
static void
test_water(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct swap_stats stats;
	struct area a;

	(void)state;
	must_attach(env, 0, 8 * MIB);
	a = area_new(env, 256 + 1024, 0);
	write_pages(&a, 0, 256 + 1024, 1);
	stats = totals_of(env);
	assert_false(stats.almost_full);
	assert_int_equal(stats.counters.almost_full_events, 0);
	/* About 4 MiB are free. */
	tune(env, "high_water", "7M");
	tune(env, "low_water", "6M");
	write_pages(&a, 0, 256 + 1024, 2);
	stats = totals_of(env);
	assert_true(stats.almost_full);
	assert_int_equal(stats.counters.almost_full_events, 1);
	assert_int_equal(stats.counters.full_events, 0);
	check_pages(&a, 0, 256 + 1024, 2);
	area_end(&a);
	for (unsigned tries = 0; tries < 500 &&
	     totals_of(env).swap_used_bytes > 0; tries++)
		usleep(10000);
	assert_false(totals_of(env).almost_full);
	env_end(env);
}

/* ----------------------------------------------------------------- the rest */

static void
test_map_kind(void **state)
{
	static const char *const kinds[] = { "array", "hash", "trie" };
	struct env *env = env_new(MIB, 0);
	struct area a[4];

	(void)state;
	must_attach(env, 0, 16 * MIB);
	a[3] = area_new(env, 400, 0);
	for (unsigned i = 0; i < 3; i++) {
		tune(env, "map_kind", kinds[i]);
		a[i] = area_new(env, 400, 0);
	}
	/* Each keeps what it was made with, and works. */
	for (uint32_t version = 1; version < 4; version++)
		for (unsigned i = 0; i < 4; i++) {
			write_pages(&a[i], 0, 400, version);
			check_pages(&a[(i + 1) % 4], 0, 400,
				    i < 3 ? version - 1 : version);
		}
	for (unsigned i = 0; i < 3; i++)
		assert_string_equal(stats_of_area(env, &a[i]).map_kind,
				    kinds[i]);
	/* "auto" is never what one is. */
	assert_string_not_equal(stats_of_area(env, &a[3]).map_kind, "auto");
	for (unsigned i = 0; i < 4; i++)
		area_end(&a[i]);
	env_end(env);
}

static void
test_reaches(void **state)
{
	struct env *env = env_new(RAM, 0);
	struct core *core = &env->pager->core;
	struct swap_stats stats;

	(void)state;
	tune(env, "metadata_limit", "1M");
	assert_int_equal(core->maps.limit, MIB);
	tune(env, "cluster", "3");
	tune(env, "overcommit", "5");
	stats = totals_of(env);
	assert_int_equal(stats.map_limit_bytes, MIB);
	assert_int_equal(stats.cluster_pages, 3);
	assert_int_equal(stats.overcommit, 5);
	/* 960 pages: one part in 32, which is more than two clusters. */
	assert_int_equal(core->budget.low, 30);
	assert_int_equal(core->budget.high, 60);
	tune(env, "cluster", "64");
	assert_int_equal(core->budget.low, 120);
	assert_int_equal(core->budget.high, 240);
	tune(env, "ram", "1M");
	assert_int_equal(core->budget.low, 28);
	/* Enough for some milliseconds, however much RAM there is. */
	tune(env, "ram", "1G");
	assert_int_equal(core->budget.low, 1024);
	env_end(env);
}

static void
test_maps_too_small(void **state)
{
	static const char warning[] =
		"32.0 MiB of swap space take 72.0 KiB of swap maps";
	struct env *env = env_new(RAM, 0);

	(void)state;
	tune(env, "metadata_limit", "72K");
	must_attach(env, 0, 32 * MIB + 8192);
	assert_int_equal(logged(env, "of swap space take"), 0);
	tune(env, "metadata_limit", "71K");
	assert_int_equal(logged(env, warning), 1);
	tune(env, "metadata_limit", "100K");
	assert_int_equal(logged(env, "of swap space take"), 1);
	must_attach(env, 1, 32 * MIB + 8192);
	assert_int_equal(logged(env, "of swap space take"), 2);
	tune(env, "metadata_limit", "0");
	assert_int_equal(logged(env, "of swap space take"), 2);
	env_end(env);
}

int
main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
		TEST(list),
		TEST(configured),
		TEST(set),
		TEST(refused),
		TEST(ended),
		TEST(ram_lowered),
		TEST(ram_raised),
		TEST(ram_wired),
		TEST(under_load),
		TEST(full),
		TEST(water),
		TEST(map_kind),
		TEST(reaches),
		TEST(maps_too_small),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	exact_ram = true;
	return cmocka_run_group_tests_name("tunables", tests, NULL, NULL);
}
