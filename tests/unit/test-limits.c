/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Limits of objects and clients: whoever is limited pages against itself, what
 * fits in both limits goes on, and nobody else is pushed out.
 */
#include "pager-fixture.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LIMIT		(2 * MIB)
#define LIMIT_PAGES	(LIMIT / PAGE)

static void
limit(const struct area *a, uint64_t ram, uint64_t swap)
{
	struct swap_error error = { 0 };

	check_ok(swap_object_limit(a->object, ram, swap, &error), &error);
}

/* Wait until a pool has at most so many pages in RAM, all that count. */
static void
wait_pool(const struct area *a, uint64_t most)
{
	for (unsigned tries = 0; tries < 4000; tries++) {
		struct pool *pool = a->object->pool;

		if (atomic_load(&pool->used) <= most &&
		    atomic_load(&pool->leaving) == 0)
			return;
		usleep(5000);
	}
	fail_msg("the pool has %" PRIu64 " pages, and may have %" PRIu64,
		 (uint64_t)atomic_load(&a->object->pool->used), most);
}

/* Wait until page-out can do nothing for it, and somebody waits. */
static void
wait_stuck(const struct area *a)
{
	for (unsigned tries = 0; tries < 4000; tries++) {
		if (atomic_load(&a->object->pool->stuck) &&
		    atomic_load(&a->region->starved))
			return;
		usleep(5000);
	}
	fail_msg("the pool does not get full");
}

/* What the pool counts is what its only object has, once quiet. */
static void
check_counts(const struct area *a)
{
	struct swap_object *object = a->object;
	bool same = false;

	for (unsigned tries = 0; tries < 4000 && !same; tries++) {
		object_lock(object);
		same = object->nram == object->nresident &&
		       object->nleaving == 0 && object->ngoing == 0 &&
		       object->pool->used == object->nram &&
		       object->pool->resident == object->nresident &&
		       object->pool->blocks == object->nblocks &&
		       object->pool->leaving == 0;
		object_unlock(object);
		if (!same)
			usleep(1000);
	}
	assert_true(same);
}

/* ------------------------------------------------------------------ watching */

/* A thread that looks how much an object has, as the kernel and blocks say. */
struct watch {
	struct swap_object *object;
	pthread_t	 thread;
	atomic_bool	 stop;
	uint64_t	 most_pages, most_blocks;
};

static void *
watch_main(void *arg)
{
	struct watch *w = arg;
	struct stat st;

	while (!atomic_load(&w->stop)) {
		uint64_t blocks;

		if (fstat(w->object->memfd, &st) == 0 &&
		    (uint64_t)st.st_blocks * 512 / PAGE > w->most_pages)
			w->most_pages = (uint64_t)st.st_blocks * 512 / PAGE;
		object_lock(w->object);
		blocks = w->object->nblocks;
		object_unlock(w->object);
		if (blocks > w->most_blocks)
			w->most_blocks = blocks;
		usleep(200);
	}
	return NULL;
}

static void
watch_begin(struct watch *w, const struct area *a)
{
	*w = (struct watch){ .object = a->object };
	assert_int_equal(pthread_create(&w->thread, NULL, watch_main, w), 0);
}

static void
watch_end(struct watch *w, uint64_t pages, uint64_t blocks)
{
	atomic_store(&w->stop, true);
	pthread_join(w->thread, NULL);
	assert_in_range(w->most_pages, 1, pages);
	if (blocks > 0)
		assert_in_range(w->most_blocks, 0, blocks);
}

/* ---------------------------------------------------------------------- RAM */

/* A hungry object beside another one, whose pages all stay. */
static void
test_beside(void **state)
{
	struct env *env = env_new(16 * MIB, 0);
	struct area hungry, victim;
	struct swap_object_stats st;
	uint64_t seed = 1;
	struct watch w;

	(void)state;
	must_attach(env, 0, 64 * MIB);
	hungry = area_new(env, 5000, 0);
	victim = area_new(env, 2000, 0);
	limit(&hungry, LIMIT, 0);
	write_pages(&victim, 0, 2000, 1);
	watch_begin(&w, &hungry);
	write_pages(&hungry, 0, 5000, 1);
	check_pages(&hungry, 0, 5000, 1);
	for (unsigned i = 0; i < 20000; i++) {
		uint64_t page = next_random(&seed) % 5000;

		check_pages(&hungry, page, 1, 1);
		if (i % 3 == 0)
			write_pages(&hungry, page, 1, 1);
	}
	watch_end(&w, LIMIT_PAGES, 0);
	st = stats_of_area(env, &victim);
	assert_int_equal(st.resident_bytes, 2000 * PAGE);
	assert_int_equal(st.pageout_pages, 0);
	assert_int_equal(st.pagein_pages, 0);
	assert_int_equal(st.ram_limit_bytes, 0);
	st = stats_of_area(env, &hungry);
	assert_int_equal(st.ram_limit_bytes, LIMIT);
	assert_int_equal(st.swap_limit_bytes, 0);
	assert_true(st.resident_bytes <= LIMIT);
	assert_true(st.pageout_pages > 4000);
	check_pages(&victim, 0, 2000, 1);
	check_counts(&hungry);
	area_end(&hungry);
	check_pages(&victim, 0, 2000, 1);
	area_end(&victim);
	env_end(env);
}

/* Lowered, raised and lifted while pages are used. */
static void
test_lower(void **state)
{
	struct env *env = env_new(16 * MIB, 0);
	struct filler f;
	pthread_t thread;
	struct area a;

	(void)state;
	must_attach(env, 0, 64 * MIB);
	a = area_new(env, 3000, 0);
	write_pages(&a, 0, 3000, 1);
	assert_int_equal(stats_of_area(env, &a).resident_bytes, 3000 * PAGE);
	/* What is in RAM already goes, down to the new limit. */
	limit(&a, 4 * LIMIT, 0);
	wait_pool(&a, 4 * LIMIT_PAGES);
	check_pages(&a, 0, 3000, 1);
	f = (struct filler){ .a = &a, .n = 3000, .version = 2 };
	assert_int_equal(pthread_create(&thread, NULL, filler_main, &f), 0);
	for (unsigned i = 0; i < 50; i++) {
		limit(&a, MIB << (i % 4), 0);
		usleep(2000);
	}
	pthread_join(thread, NULL);
	assert_int_equal(f.nbus, 0);
	limit(&a, MIB, 0);
	wait_pool(&a, MIB / PAGE);
	check_pages(&a, 0, 3000, 2);
	assert_true(stats_of_area(env, &a).resident_bytes <= MIB);
	check_counts(&a);
	/* Without a limit all of it comes in. */
	limit(&a, 0, 0);
	check_pages(&a, 0, 3000, 2);
	check_pages(&a, 0, 3000, 2);
	assert_true(stats_of_area(env, &a).resident_bytes > 2 * MIB);
	assert_int_equal(stats_of_area(env, &a).ram_limit_bytes, 0);
	check_counts(&a);
	area_end(&a);
	env_end(env);
}

/* Where the budget is short all give, in proportion to what they have. */
static void
test_share(void **state)
{
	struct env *env = env_new(8 * MIB, 0);
	struct area small, large, other;

	(void)state;
	must_attach(env, 0, 64 * MIB);
	small = area_new(env, 300, 0);
	large = area_new(env, 1500, 0);
	other = area_new(env, 4000, 0);
	limit(&small, 4 * MIB, 0);
	write_pages(&small, 0, 300, 1);
	write_pages(&large, 0, 1500, 1);
	write_pages(&other, 0, 4000, 1);
	assert_true(stats_of_area(env, &small).pageout_pages > 0);
	assert_true(stats_of_area(env, &large).pageout_pages > 0);
	check_pages(&small, 0, 300, 1);
	check_pages(&large, 0, 1500, 1);
	check_pages(&other, 0, 4000, 1);
	check_counts(&small);
	area_end(&small);
	area_end(&large);
	area_end(&other);
	env_end(env);
}

static void
test_bad(void **state)
{
	struct env *env = env_new(16 * MIB, 0);
	struct swap_error error = { 0 };
	struct area a;

	(void)state;
	a = area_new(env, 1000, 0);
	assert_int_equal(swap_object_limit(a.object, MIB - 1, 0, &error),
			 -EINVAL);
	assert_non_null(strstr(error.message, "1 MiB"));
	assert_int_equal(stats_of_area(env, &a).ram_limit_bytes, 0);
	check_ok(swap_region_wire(a.region, 0, 300 * PAGE, &error), &error);
	assert_int_equal(swap_object_limit(a.object, MIB, 0, &error), -EBUSY);
	assert_non_null(strstr(error.message, "wired"));
	assert_int_equal(stats_of_area(env, &a).ram_limit_bytes, 0);
	limit(&a, LIMIT, 1);
	assert_int_equal(stats_of_area(env, &a).swap_limit_bytes, PAGE);
	/* And no more than three quarters can be wired. */
	assert_int_equal(swap_region_wire(a.region, 300 * PAGE, 100 * PAGE,
					  &error), -ENOMEM);
	check_ok(swap_region_wire(a.region, 300 * PAGE, 84 * PAGE, &error),
		 &error);
	assert_int_equal(swap_region_unwire(a.region, 0, 384 * PAGE), 0);
	limit(&a, MIB, 0);
	area_end(&a);
	env_end(env);
}

/* getpages, page-back of ranges and copies ask the limit, too. */
static void
test_ways(void **state)
{
	struct env *env = env_new(16 * MIB, 0);
	struct swap_error error = { 0 };
	uint8_t states[4096];
	struct area a, b;
	struct watch w;

	(void)state;
	must_attach(env, 0, 64 * MIB);
	a = area_new(env, 2000, SWAP_OBJECT_EXACT);
	b = area_new(env, 2000, SWAP_OBJECT_EXACT);
	limit(&a, LIMIT, 0);
	watch_begin(&w, &a);
	write_pages(&b, 0, 2000, 1);
	check_ok(swap_object_copy(b.object, 0, a.object, 0, 2000 * PAGE, 0,
				  &error), &error);
	for (uint64_t i = 0; i < 2000; i++)
		assert_int_equal(wrong(a.mem + i * WORDS, b.id, i, 1), 0);
	assert_true(swap_object_get(a.object, 0, 2000 * PAGE, 0, SWAP_GET_ALL,
				    states, &error) <= (int64_t)LIMIT_PAGES);
	assert_int_equal(swap_region_release(a.region, 0, 2000 * PAGE), 0);
	assert_true(swap_object_get(a.object, 0, 2000 * PAGE, 0, SWAP_GET_ALL,
				    states, &error) <= (int64_t)LIMIT_PAGES);
	watch_end(&w, LIMIT_PAGES, 0);
	check_pages(&a, 0, 2000, 0);
	check_pages(&b, 0, 2000, 1);
	check_counts(&a);
	area_end(&a);
	area_end(&b);
	env_end(env);
}

/* --------------------------------------------------------------------- swap */

/*
 * RAM and swap are full; pages that need no block still make way: zeros that were
 * read, and pages of one word.
 */
static void
test_swap_not_needed(void **state)
{
	struct env *env = env_new(16 * MIB, 0);
	struct area a;

	(void)state;
	must_attach(env, 0, 4 * MIB);
	for (unsigned exact = 0; exact < 2; exact++) {
		a = area_new(env, 3000, exact ? SWAP_OBJECT_EXACT : 0);
		limit(&a, LIMIT, 16 * PAGE);
		write_pages(&a, 0, LIMIT_PAGES, 1);
		check_pages(&a, 1000, 1000, 0);
		for (uint64_t i = 2000; i < 3000; i++)
			memset(a.mem + i * WORDS, (int)i, PAGE);
		check_pages(&a, 0, LIMIT_PAGES, 1);
		check_pages(&a, 1000, 1000, 0);
		for (uint64_t i = 0; i < 1000 * PAGE; i++)
			assert_int_equal(((uint8_t *)(a.mem + 2000 *
						      WORDS))[i],
					 (uint8_t)(2000 + i / PAGE));
		check_counts(&a);
		area_end(&a);
	}
	env_end(env);
}

/* The same where it is the space that is full. */
static void
test_space_not_needed(void **state)
{
	struct env *env = env_new(2 * MIB, 0);
	struct area a;

	(void)state;
	must_attach(env, 0, MIB / 4);
	a = area_new(env, 3000, 0);
	write_pages(&a, 0, LIMIT_PAGES, 1);
	check_pages(&a, 1000, 1000, 0);
	for (uint64_t i = 2000; i < 3000; i++)
		memset(a.mem + i * WORDS, 1, PAGE);
	check_pages(&a, 0, LIMIT_PAGES, 1);
	check_pages(&a, 1000, 1000, 0);
	area_end(&a);
	env_end(env);
}

/* With both limits reached a fault waits, until there is room again. */
static void
test_swap_waits(void **state)
{
	struct env *env = env_new(16 * MIB, 0);
	struct area a, victim;
	uint64_t seed = 2;
	struct filler f;
	pthread_t thread;
	struct watch w;

	(void)state;
	must_attach(env, 0, 64 * MIB);
	a = area_new(env, 1500, 0);
	victim = area_new(env, 1000, 0);
	write_pages(&victim, 0, 1000, 1);
	limit(&a, LIMIT, LIMIT);
	watch_begin(&w, &a);
	f = (struct filler){ .a = &a, .n = 1200, .version = 1 };
	assert_int_equal(pthread_create(&thread, NULL, filler_main, &f), 0);
	wait_stuck(&a);
	assert_false(atomic_load(&f.done));
	assert_true(totals_of(env).counters.limit_waits > 0);
	/* Others go on meanwhile. */
	write_pages(&victim, 0, 1000, 2);
	check_pages(&victim, 0, 1000, 2);
	/* Released pages make room for as many. */
	assert_int_equal(swap_region_release(a.region, 0, 400 * PAGE), 0);
	pthread_join(thread, NULL);
	assert_int_equal(f.nbus, 0);
	check_pages(&a, 400, 800, 1);
	/* What just fits in both goes on, at random. */
	write_pages(&a, 0, 224, 1);
	for (unsigned i = 0; i < 3000; i++) {
		uint64_t page = next_random(&seed) % (2 * LIMIT_PAGES);

		page += page < 224 ? 0 : 176;
		check_pages(&a, page, 1, 1);
		write_pages(&a, page, 1, 1);
	}
	watch_end(&w, LIMIT_PAGES + 32, LIMIT_PAGES);
	/* Full again, and it goes on when the limit is lifted. */
	f = (struct filler){ .a = &a, .n = 1500, .version = 3 };
	assert_int_equal(pthread_create(&thread, NULL, filler_main, &f), 0);
	wait_stuck(&a);
	assert_false(atomic_load(&f.done));
	limit(&a, LIMIT, 0);
	pthread_join(thread, NULL);
	check_pages(&a, 0, 1500, 3);
	check_pages(&victim, 0, 1000, 2);
	assert_int_equal(stats_of_area(env, &victim).pageout_pages, 0);
	check_counts(&a);
	area_end(&a);
	area_end(&victim);
	env_end(env);
}

/* The same with SIGBUS instead of waiting: that one object's. */
static void
test_swap_fails(void **state)
{
	struct env *env = env_new(16 * MIB, SWAP_PAGER_FULL_FAILS);
	struct area a, victim;
	struct filler f;

	(void)state;
	must_attach(env, 0, 64 * MIB);
	a = area_new(env, 1500, 0);
	victim = area_new(env, 1000, 0);
	limit(&a, LIMIT, MIB);
	f = (struct filler){ .a = &a, .n = 1500, .version = 1 };
	filler_main(&f);
	assert_in_range(f.nbus, 1500 - LIMIT_PAGES - MIB / PAGE, 1000);
	f = (struct filler){ .a = &victim, .n = 1000, .version = 1 };
	filler_main(&f);
	assert_int_equal(f.nbus, 0);
	check_pages(&victim, 0, 1000, 1);
	check_counts(&a);
	area_end(&a);
	area_end(&victim);
	env_end(env);
}

/* A lower swap limit keeps what there is, and lets nothing more out. */
static void
test_swap_lower(void **state)
{
	struct env *env = env_new(16 * MIB, 0);
	struct area a, b;

	(void)state;
	must_attach(env, 0, 64 * MIB);
	a = area_new(env, 2000, SWAP_OBJECT_EXACT);
	b = area_new(env, 2000, SWAP_OBJECT_EXACT);
	limit(&a, LIMIT, 0);
	write_pages(&a, 0, 2000, 1);
	check_pages(&a, 0, 2000, 1);
	assert_true(stats_of_area(env, &a).block_bytes > MIB);
	limit(&a, 4 * LIMIT, MIB);
	/*
	 * As pages come in they give blocks up, for as long as it is too much;
	 * those that were there already do when they are written.
	 */
	check_pages(&a, 0, 2000, 1);
	write_pages(&a, 0, 2000, 1);
	assert_in_range(stats_of_area(env, &a).block_bytes, 0, MIB);
	/* Blocks that change hands are blocks of who gets them. */
	limit(&b, LIMIT, MIB);
	write_pages(&b, 0, 100, 2);
	swap_object_flush(b.object, 0, 100 * PAGE, SWAP_FLUSH_FREE, NULL);
	assert_int_equal(swap_object_copy(a.object, 0, b.object, 0,
					  600 * PAGE, SWAP_COPY_DESTROY, NULL),
			 0);
	assert_in_range(stats_of_area(env, &b).block_bytes, 0, MIB);
	for (uint64_t i = 0; i < 600; i++)
		assert_int_equal(wrong(b.mem + i * WORDS, a.id, i, 1), 0);
	check_pages(&a, 0, 600, 0);
	check_pages(&a, 600, 1400, 1);
	check_counts(&a);
	check_counts(&b);
	area_end(&a);
	area_end(&b);
	env_end(env);
}

/* ------------------------------------------------------- forks, clients, end */

static struct area
area_of(struct env *env, const struct pager_owner *owner, uint64_t npages)
{
	static uint64_t id = 1000;
	struct swap_error error = { 0 };
	struct area a = { .npages = npages, .id = id++ };

	check_ok(pager_object_create(env->pager, owner, NULL, npages * PAGE, 0,
				     &a.object, &error), &error);
	check_ok(swap_object_map(a.object, NULL, 0, npages * PAGE, &a.region,
				 &error), &error);
	a.mem = swap_region_address(a.region);
	return a;
}

static struct area
copy_of(const struct area *source, const struct pager_owner *owner)
{
	struct swap_error error = { 0 };
	struct area a = *source;

	check_ok(pager_object_copy(source->object, owner, &a.object, &error),
		 &error);
	check_ok(swap_object_map(a.object, NULL, 0, a.npages * PAGE, &a.region,
				 &error), &error);
	a.mem = swap_region_address(a.region);
	return a;
}

/* All that a client has counts together; others are left alone. */
static void
test_client(void **state)
{
	struct env *env = env_new(16 * MIB, 0);
	struct pager_owner owner = { .client = 7 }, other = { .client = 8 };
	struct swap_error error = { 0 };
	struct area a, b, c, copy, victim;
	struct pool *pool;

	(void)state;
	must_attach(env, 0, 64 * MIB);
	victim = area_of(env, &other, 1000);
	a = area_of(env, &owner, 1000);
	b = area_of(env, &owner, 1000);
	write_pages(&victim, 0, 1000, 1);
	write_pages(&a, 0, 1000, 1);
	write_pages(&b, 0, 500, 1);
	limit(&b, MIB, 0);
	assert_int_equal(pager_client_limit(env->pager, &owner, MIB - 1, 0,
					    &error), -EINVAL);
	check_ok(pager_client_limit(env->pager, &owner, LIMIT, 32 * MIB,
				    &error), &error);
	pool = owner.pool;
	c = area_of(env, &owner, 1000);
	write_pages(&c, 0, 1000, 1);
	wait_pool(&a, LIMIT_PAGES);
	assert_ptr_equal(a.object->pool, pool);
	assert_ptr_equal(c.object->pool, pool);
	assert_ptr_equal(b.object->pool->parent, pool);
	assert_ptr_equal(victim.object->pool, &env->pager->core.pool);
	copy = copy_of(&a, &owner);
	write_pages(&copy, 0, 500, 2);
	check_pages(&copy, 500, 500, 1);
	write_pages(&b, 500, 500, 1);
	wait_pool(&a, LIMIT_PAGES);
	assert_in_range(atomic_load(&b.object->pool->used), 0, MIB / PAGE);
	assert_int_equal(stats_of_area(env, &b).ram_limit_bytes, MIB);
	assert_int_equal(stats_of_area(env, &b).swap_limit_bytes, 32 * MIB);
	assert_int_equal(stats_of_area(env, &copy).ram_limit_bytes, LIMIT);
	check_pages(&a, 0, 1000, 1);
	check_pages(&b, 0, 1000, 1);
	check_pages(&c, 0, 1000, 1);
	check_pages(&copy, 0, 500, 2);
	check_pages(&copy, 500, 500, 1);
	assert_in_range(atomic_load(&pool->used), 1, LIMIT_PAGES);
	/* A stricter limit of an object, made afterwards, stands inside. */
	limit(&c, MIB, 0);
	wait_pool(&c, MIB / PAGE);
	assert_ptr_equal(c.object->pool->parent, pool);
	assert_int_equal(stats_of_area(env, &victim).pageout_pages, 0);
	check_pages(&victim, 0, 1000, 1);
	/* The client goes, one of its objects stays. */
	area_end(&a);
	area_end(&b);
	area_end(&c);
	pager_client_end(env->pager, &owner);
	write_pages(&copy, 0, 1000, 3);
	check_pages(&copy, 0, 1000, 3);
	assert_int_equal(stats_of_area(env, &copy).ram_limit_bytes, LIMIT);
	check_counts(&copy);
	area_end(&copy);
	area_end(&victim);
	assert_null(env->pager->core.pools.first);
	env_end(env);
}

/* A device is emptied, where RAM is limited and where nothing else is left. */
static void
test_detach(void **state)
{
	struct env *env = env_new(16 * MIB, 0);
	struct swap_error error = { 0 };
	struct swap_object_stats st;
	struct area a;

	(void)state;
	must_attach(env, 0, 32 * MIB);
	a = area_new(env, 2000, 0);
	limit(&a, LIMIT, 8 * MIB);
	write_pages(&a, 0, 2000, 1);
	must_attach(env, 1, 32 * MIB);
	check_ok(swap_device_detach(env->pager, env->device[0], NULL, NULL,
				    &error), &error);
	st = stats_of_area(env, &a);
	assert_true(st.resident_bytes <= LIMIT);
	assert_true(st.swapped_bytes >= 1000 * PAGE);
	check_pages(&a, 0, 2000, 1);
	check_counts(&a);
	/* With no other device all of it comes in, over the limit. */
	check_ok(swap_device_detach(env->pager, env->device[1], NULL, NULL,
				    &error), &error);
	assert_int_equal(stats_of_area(env, &a).resident_bytes, 2000 * PAGE);
	check_pages(&a, 0, 2000, 1);
	check_counts(&a);
	/* And it is worked down to when that can be. */
	must_attach(env, 0, 32 * MIB);
	wait_pool(&a, LIMIT_PAGES);
	check_pages(&a, 0, 2000, 1);
	area_end(&a);
	env_end(env);
}

/* Limits do not keep a handover from making all memory ordinary. */
static void
test_handover(void **state)
{
	struct env *env = env_new(16 * MIB, 0);
	struct swap_error error = { 0 };
	struct area a;

	(void)state;
	must_attach(env, 0, 64 * MIB);
	a = area_new(env, 4000, 0);
	limit(&a, MIB, 0);
	write_pages(&a, 0, 3000, 1);
	check_ok(swap_pager_close(env->pager, &error), &error);
	check_pages(&a, 0, 3000, 1);
	check_pages(&a, 3000, 1000, 0);
	write_pages(&a, 3000, 1000, 1);
	check_pages(&a, 0, 4000, 1);
	area_end(&a);
	env_free(env);
}

/* Objects that die while they are paged, and get limits. */
static void
test_death(void **state)
{
	struct env *env = env_new(16 * MIB, 0);

	(void)state;
	must_attach(env, 0, 64 * MIB);
	for (unsigned i = 0; i < 40; i++) {
		struct area a = area_new(env, 800, 0);

		write_pages(&a, 0, 300, i + 1);
		limit(&a, MIB, i % 2 == 0 ? MIB : 0);
		write_pages(&a, 300, 200, i + 1);
		check_pages(&a, 0, 500, i + 1);
		area_end(&a);
	}
	env_end(env);
}

/* -------------------------------------------------------------------- main */

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(beside),
		TEST(lower),
		TEST(share),
		TEST(bad),
		TEST(ways),
		TEST(swap_not_needed),
		TEST(space_not_needed),
		TEST(swap_waits),
		TEST(swap_fails),
		TEST(swap_lower),
		TEST(client),
		TEST(detach),
		TEST(handover),
		TEST(death),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
