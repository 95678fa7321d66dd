/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What swap.h promises of an object's pages and blocks on request: lifting
 * NOSWAP, getting and flushing pages, reserving blocks, looking for them; of
 * names, of writable regions, and of maps that may not grow.
 *
 * Copies between objects have a file of their own.
 */
#include "pager-fixture.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "mapping.h"
#include "util.h"

/* ------------------------------------------------------------ allow to swap */

static void
test_allow_swap(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct swap_stats stats;
	struct area a, other;

	(void)state;
	must_attach(env, 0, 8 * MIB);
	a = area_new(env, 150, SWAP_OBJECT_NOSWAP);
	other = area_new(env, 600, 0);
	write_pages(&a, 0, 150, 1);
	assert_int_equal(swap_region_wire(a.region, 0, 10 * PAGE, NULL), 0);
	write_pages(&other, 0, 600, 1);
	for (uint64_t i = 0; i < 150; i++)
		assert_true(in_ram(a.object, i));
	assert_int_equal(totals_of(env).wired_bytes, 150 * PAGE);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(swap_object_allow_swap(a.object), 0);
		/* What was wired by somebody still is. */
		assert_int_equal(totals_of(env).wired_bytes, 10 * PAGE);
	}
	stats = stats_of(env);
	assert_int_equal(stats.objects[0].flags, 0);
	swap_stats_clear(&stats);
	push_out(&a, 10, 140, &other);
	for (uint64_t i = 0; i < 10; i++)
		assert_true(in_ram(a.object, i));
	assert_int_equal(swap_region_unwire(a.region, 0, 10 * PAGE), 0);
	assert_int_equal(totals_of(env).wired_bytes, 0);
	push_out(&a, 0, 10, &other);
	check_pages(&a, 0, 150, 1);
	area_end(&a);
	area_end(&other);
	env_end(env);
}

/* Setting a slot of such an object is an error, clearing is not. */
static void
test_noswap_slot(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct area a = area_new(env, 4, SWAP_OBJECT_NOSWAP);

	(void)state;
	object_lock(a.object);
	assert_int_equal(object_enter_block(a.object, 1, 5, false), -EPERM);
	assert_int_equal(swapmap_count(a.object->map), 0);
	object_free_blocks(a.object, 0, 4);
	object_unlock(a.object);
	area_end(&a);
	env_end(env);
}

/* -------------------------------------------------------------------- get */

static int64_t
get(const struct area *a, uint64_t page, uint64_t n, uint64_t wanted,
    unsigned flags, uint8_t states[])
{
	memset(states, 99, n);
	return swap_object_get(a->object, page * PAGE, n * PAGE, wanted * PAGE,
			       flags, states, NULL);
}

static void
check_states(const uint8_t states[], uint64_t n, uint8_t state)
{
	for (uint64_t i = 0; i < n; i++)
		assert_int_equal(states[i], state);
}

static void
test_get_new(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct swap_error error = { 0 };
	uint8_t states[256];
	struct area a, b;

	(void)state;
	a = area_new(env, 256, 0);
	assert_int_equal(swap_object_get(a.object, 0, 0, 0, 0, NULL, &error),
			 -EINVAL);
	assert_int_equal(swap_object_get(a.object, PAGE, PAGE, 0, 0, NULL,
					 &error), -EINVAL);
	assert_int_equal(swap_object_get(a.object, 0, PAGE, PAGE, 0, NULL,
					 &error), -EINVAL);
	assert_int_equal(swap_object_get(a.object, 0, 257 * PAGE, 0, 0, NULL,
					 &error), -EINVAL);
	assert_int_equal(swap_object_get(a.object, 0, PAGE, 0, 4, NULL,
					 &error), -EINVAL);
	/* New pages cost nothing, as long as nothing is pushed out. */
	assert_int_equal(get(&a, 8, 32, 10, SWAP_GET_NOWAIT, states), 32);
	check_states(states, 32, SWAP_PAGE_RESIDENT);
	assert_false(in_ram(a.object, 7));
	for (uint64_t i = 8; i < 40; i++)
		assert_true(in_ram(a.object, i));
	assert_int_equal(totals_of(env).resident_bytes, 32 * PAGE);
	assert_true(get(&a, 0, 256, 200, SWAP_GET_NOWAIT, states) < 256);
	assert_int_equal(states[200], SWAP_PAGE_RESIDENT);
	assert_int_equal(states[255], SWAP_PAGE_ABSENT);
	assert_true(totals_of(env).resident_bytes < 240 * PAGE);
	check_pages(&a, 0, 200, 0);
	write_pages(&a, 8, 32, 3);
	check_pages(&a, 8, 32, 3);
	/* No device, and no RAM but for pages that would need a block. */
	write_pages(&a, 0, 256, 4);
	assert_int_equal(get(&a, 0, 256, 0, SWAP_GET_ALL, states), 256);
	b = area_new(env, 8, 0);
	assert_int_equal(get(&b, 0, 8, 3, SWAP_GET_NOWAIT, states), -EAGAIN);
	check_states(states, 8, SWAP_PAGE_ABSENT);
	assert_int_equal(get(&b, 0, 8, 3, SWAP_GET_NOWAIT | SWAP_GET_ALL,
			     states), -EAGAIN);
	area_end(&a);
	area_end(&b);
	env_end(env);
}

static void
test_get_swapped(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct swap_region *region;
	uint64_t written, used, *mem;
	uint8_t states[100];
	struct area a, other;

	(void)state;
	must_attach(env, 0, 16 * MIB);
	a = area_new(env, 100, 0);
	other = area_new(env, 600, 0);
	write_pages(&a, 0, 100, 1);
	push_out(&a, 0, 100, &other);
	assert_int_equal(swap_object_map(a.object, NULL, 0, 100 * PAGE,
					 &region, NULL), 0);
	mem = swap_region_address(region);
	assert_int_equal(get(&a, 0, 100, 50, SWAP_GET_NOWAIT, states), -EAGAIN);
	check_states(states, 100, SWAP_PAGE_ABSENT);
	assert_int_equal(swap_region_release(other.region, 0, 600 * PAGE), 0);
	used = totals_of(env).swap_used_bytes;
	assert_true(get(&a, 40, 30, 50, 0, states) > 1);
	assert_int_equal(states[10], SWAP_PAGE_RESIDENT);
	assert_int_equal(get(&a, 0, 100, 50, SWAP_GET_ALL, states), 100);
	check_states(states, 100, SWAP_PAGE_RESIDENT);
	assert_int_equal(get(&a, 0, 100, 0, SWAP_GET_NOWAIT | SWAP_GET_ALL,
			     states), 100);
	/* They are clean: they have their blocks, and go without a write. */
	assert_int_equal(totals_of(env).swap_used_bytes, used);
	written = totals_of(env).counters.pageout_clean;
	push_out(&a, 0, 100, &other);
	assert_int_equal(totals_of(env).counters.pageout_clean - written, 100);
	assert_int_equal(swap_region_release(other.region, 0, 600 * PAGE), 0);
	assert_int_equal(get(&a, 0, 100, 0, SWAP_GET_ALL, states), 100);
	/* And they are dirty once somebody writes, through any region. */
	for (uint64_t i = 0; i < 100; i++)
		put((i & 1 ? mem : a.mem) + i * WORDS, a.id, i, 2);
	assert_int_equal(totals_of(env).swap_used_bytes, used - 100 * PAGE);
	push_out(&a, 0, 100, &other);
	check_pages(&a, 0, 100, 2);
	assert_int_equal(swap_region_unmap(region), 0);
	area_end(&a);
	area_end(&other);
	env_end(env);
}

static const struct area *meanwhile_area;

static void
write_first(void)
{
	put(meanwhile_area->mem, meanwhile_area->id, 0, 5);
}

/* Some get memory, and a program writes into it before the others do not. */
static void
test_get_new_little(void **state)
{
	struct env *env = env_new(MIB, 0);
	uint8_t states[64];
	struct area a;

	(void)state;
	a = area_new(env, 64, 0);
	meanwhile_area = &a;
	fault.first_pages = 3;
	fault.meanwhile = write_first;
	fault.populate_errno = ENOMEM;
	assert_int_equal(get(&a, 0, 32, 0, SWAP_GET_ALL, states), 32);
	fault.meanwhile = NULL;
	fault.first_pages = 0;
	assert_int_equal(get(&a, 0, 64, 0, SWAP_GET_ALL, states), -ENOMEM);
	check_states(states, 32, SWAP_PAGE_RESIDENT);
	check_states(states + 32, 32, SWAP_PAGE_ABSENT);
	fault.populate_errno = 0;
	assert_int_equal(totals_of(env).resident_bytes, 32 * PAGE);
	check_pages(&a, 0, 1, 5);
	check_pages(&a, 1, 63, 0);
	area_end(&a);
	env_end(env);
}

static void
test_get_error(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct area a, other;
	uint8_t states[64];
	uint64_t block;

	(void)state;
	must_attach(env, 0, 16 * MIB);
	a = area_new(env, 64, 0);
	other = area_new(env, 600, 0);
	write_pages(&a, 0, 64, 1);
	push_out(&a, 0, 64, &other);
	assert_int_equal(swap_region_release(other.region, 0, 600 * PAGE), 0);
	block = block_of(&a, 20);
	fault.read_lo = block;
	fault.read_hi = block + 1;
	assert_int_equal(get(&a, 0, 64, 20, 0, states), -EIO);
	assert_int_equal(states[20], SWAP_PAGE_LOST);
	assert_int_equal(get(&a, 0, 64, 5, SWAP_GET_ALL, states), -EIO);
	assert_int_equal(states[20], SWAP_PAGE_LOST);
	assert_int_equal(states[5], SWAP_PAGE_RESIDENT);
	/* Its neighbours come without it, and it is as it was. */
	assert_true(get(&a, 0, 64, 19, 0, states) > 0);
	assert_int_equal(states[20], SWAP_PAGE_ABSENT);
	assert_int_equal(totals_of(env).counters.poisoned_pages, 0);
	fault.read_hi = fault.read_lo = 0;
	assert_int_equal(get(&a, 0, 64, 5, SWAP_GET_ALL, states), 64);
	check_pages(&a, 0, 64, 1);
	/* A page that a program has met is lost for good. */
	push_out(&a, 0, 64, &other);
	fault.read_lo = block_of(&a, 33);
	fault.read_hi = fault.read_lo + 1;
	assert_true(gives_bus(a.mem + 33 * WORDS, false));
	/* Who told it owns the page for a moment. */
	while (get(&a, 33, 1, 33, SWAP_GET_NOWAIT, states) == -EAGAIN)
		usleep(100);
	assert_int_equal(get(&a, 33, 1, 33, SWAP_GET_NOWAIT, states), -EIO);
	assert_int_equal(states[0], SWAP_PAGE_LOST);
	assert_int_equal(get(&a, 33, 1, 33, 0, states), -EIO);
	area_end(&a);
	area_end(&other);
	env_end(env);
}

/* A page that a copy has not taken must come from its source: that may take. */
static void
test_get_copy(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct area a, b, other;
	uint8_t states[40];

	(void)state;
	must_attach(env, 0, 8 * MIB);
	a = area_new(env, 40, 0);
	other = area_new(env, 600, 0);
	write_pages(&a, 0, 30, 1);
	push_out(&a, 0, 30, &other);
	assert_int_equal(swap_region_release(other.region, 0, 600 * PAGE), 0);
	b = area_copy(a.object, a.id);
	assert_int_equal(get(&b, 0, 40, 3, SWAP_GET_NOWAIT, states), -EAGAIN);
	/* With the new ones, which cost nothing. */
	assert_int_equal(get(&b, 0, 40, 3, 0, states), 11);
	assert_int_equal(states[3], SWAP_PAGE_RESIDENT);
	assert_int_equal(get(&b, 0, 40, 0, SWAP_GET_ALL, states), 40);
	check_pages(&b, 0, 30, 1);
	check_pages(&b, 30, 10, 0);
	area_end(&b);
	area_end(&a);
	area_end(&other);
	env_end(env);
}

/* ------------------------------------------------------------------ flush */

static uint64_t
count_in(const struct area *a)
{
	uint64_t n = 0;

	for (uint64_t i = 0; i < a->npages; i++)
		n += in_ram(a->object, i);
	return n;
}

static void
test_flush_deactivate(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct area old, cold, new;

	(void)state;
	must_attach(env, 0, 8 * MIB);
	old = area_new(env, 80, 0);
	cold = area_new(env, 140, SWAP_OBJECT_EXACT);
	new = area_new(env, 20, 0);
	write_pages(&old, 0, 80, 1);
	write_pages(&cold, 0, 130, 1);
	assert_int_equal(swap_object_flush(cold.object, 0, 130 * PAGE, 0, NULL),
			 0);
	assert_int_equal(swap_object_flush(cold.object, 0, 140 * PAGE,
					   SWAP_FLUSH_DEACTIVATE, NULL), 0);
	assert_int_equal(count_in(&cold), 130);
	/* Now some must go. */
	write_pages(&new, 0, 20, 1);
	for (unsigned tries = 0; tries < 1000 && count_in(&cold) > 100; tries++)
		usleep(5000);
	assert_in_range(count_in(&cold), 2, 100);
	assert_int_equal(count_in(&old), 80);
	check_pages(&cold, 0, 130, 1);
	check_pages(&old, 0, 80, 1);
	area_end(&old);
	area_end(&cold);
	area_end(&new);
	env_end(env);
}

/* Hints do not pile up, and count for nothing where a page is wired. */
static void
test_flush_often(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct area a, other;

	(void)state;
	must_attach(env, 0, 8 * MIB);
	a = area_new(env, 100, 0);
	other = area_new(env, 600, 0);
	write_pages(&a, 0, 100, 1);
	for (unsigned i = 0; i < 100; i++) {
		assert_int_equal(swap_object_flush(a.object, 0, 100 * PAGE,
						   SWAP_FLUSH_DEACTIVATE, NULL),
				 0);
		assert_in_range(pageq_count(&env->pager->core.pool.cold), 1, 4400);
	}
	assert_int_equal(swap_region_wire(a.region, 0, 20 * PAGE, NULL), 0);
	for (uint32_t i = 2; i < 6; i++) {
		write_pages(&other, 0, 600, i);
		for (uint64_t k = 0; k < 20; k++)
			assert_true(in_ram(a.object, k));
		swap_object_flush(a.object, 0, 100 * PAGE,
				  SWAP_FLUSH_DEACTIVATE, NULL);
		swap_object_flush(other.object, 0, 600 * PAGE,
				  SWAP_FLUSH_DEACTIVATE, NULL);
		check_pages(&other, 0, 600, i);
		check_pages(&a, 0, 100, 1);
	}
	assert_int_equal(swap_region_unwire(a.region, 0, 20 * PAGE), 0);
	area_end(&a);
	area_end(&other);
	env_end(env);
}

static void
test_flush_free(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct swap_error error = { 0 };
	struct area a;

	(void)state;
	must_attach(env, 0, 8 * MIB);
	a = area_new(env, 512, 0);
	write_pages(&a, 0, 512, 1);
	assert_int_equal(swap_object_flush(a.object, 0, PAGE, 3, &error),
			 -EINVAL);
	assert_int_equal(swap_object_flush(a.object, 0, PAGE, 4, &error),
			 -EINVAL);
	assert_int_equal(swap_object_flush(a.object, 0, 513 * PAGE, 0, &error),
			 -EINVAL);
	assert_int_equal(swap_region_wire(a.region, 100 * PAGE, PAGE, NULL), 0);
	assert_int_equal(swap_object_flush(a.object, 0, 512 * PAGE,
					   SWAP_FLUSH_FREE, &error), -EBUSY);
	assert_int_equal(swap_region_unwire(a.region, 100 * PAGE, PAGE), 0);
	check_pages(&a, 100, 412, 1);
	assert_int_equal(swap_object_flush(a.object, 64 * PAGE, 448 * PAGE,
					   SWAP_FLUSH_FREE, &error), 0);
	check_pages(&a, 64, 448, 0);
	assert_int_equal(swap_object_flush(a.object, 0, 512 * PAGE,
					   SWAP_FLUSH_FREE, &error), 0);
	assert_int_equal(totals_of(env).swap_used_bytes, 0);
	assert_int_equal(totals_of(env).resident_bytes, 0);
	area_end(&a);
	env_end(env);
}

/* ---------------------------------------------------------------- haspage */

static void
test_haspage(void **state)
{
	struct env *env = env_new(MIB, 0);
	uint64_t before, after, nruns = 0;
	struct area a, other;
	bool none = false;

	(void)state;
	must_attach(env, 0, 4 * MIB);
	must_attach(env, 1, 4 * MIB);
	a = area_new(env, 300, 0);
	other = area_new(env, 600, 0);
	write_pages(&a, 0, 100, 1);
	write_pages(&a, 150, 150, 1);
	push_out(&a, 0, 300, &other);
	for (uint64_t i = 0; i < 300; i++) {
		uint64_t block = block_of(&a, i), b = 0, n = 0;
		bool has = i < 100 || i >= 150;

		while (has && b < i && block_of(&a, i - b - 1) == block - b - 1)
			b++;
		while (has && i + n + 1 < 300 &&
		       block_of(&a, i + n + 1) == block + n + 1)
			n++;
		assert_int_equal(swap_object_haspage(a.object, i * PAGE,
						     &before, &after), has);
		assert_int_equal(before, b * PAGE);
		assert_int_equal(after, n * PAGE);
		assert_int_equal(swap_object_haspage(a.object, i * PAGE, NULL,
						     NULL), has);
		nruns += has && b == 0;
	}
	assert_in_range(nruns, 2, 40);
	assert_int_equal(swap_object_haspage(a.object, 300 * PAGE, NULL, NULL),
			 -EINVAL);
	assert_int_equal(swap_object_haspage(a.object, 1, NULL, NULL), -EINVAL);
	/* One that is written has none, until page-out gives it another. */
	for (unsigned tries = 0; tries < 100 && !none; tries++) {
		a.mem[7 * WORDS]++;
		none = swap_object_haspage(a.object, 7 * PAGE, &before,
					   &after) == 0;
	}
	assert_true(none);
	assert_int_equal(before + after, 0);
	area_end(&a);
	area_end(&other);
	env_end(env);
}

/* ---------------------------------------------------------------- reserve */

static uint64_t
reserved_of(struct env *env)
{
	struct swap_stats stats = stats_of(env);
	uint64_t n = 0;

	for (size_t i = 0; i < stats.nobjects; i++)
		n += stats.objects[i].reserved_bytes;
	swap_stats_clear(&stats);
	return n / PAGE;
}

static uint64_t
aside_of(struct env *env)
{
	return totals_of(env).set_aside_bytes / PAGE;
}

static void
test_reserve(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct swap_error error = { 0 };
	struct area a, b, big, other;

	(void)state;
	a = area_new(env, 100, 0);
	assert_int_equal(swap_object_reserve(a.object, 0, PAGE, &error),
			 -ENOSPC);
	must_attach(env, 0, 2 * MIB);
	other = area_new(env, 300, 0);
	big = area_new(env, 600, 0);
	b = area_new(env, 10, SWAP_OBJECT_NOSWAP);
	assert_int_equal(swap_object_reserve(b.object, 0, PAGE, &error),
			 -EPERM);
	assert_int_equal(swap_object_reserve(a.object, PAGE, 100 * PAGE,
					     &error), -EINVAL);
	assert_int_equal(swap_object_unreserve(a.object, PAGE, 100 * PAGE),
			 -EINVAL);
	/* All or nothing. */
	assert_int_equal(swap_object_reserve(big.object, 0, 600 * PAGE,
					     &error), -ENOSPC);
	assert_int_equal(aside_of(env), 0);
	assert_int_equal(reserved_of(env), 0);
	check_ok(swap_object_reserve(a.object, 0, 60 * PAGE, &error), &error);
	check_ok(swap_object_reserve(a.object, 50 * PAGE, 50 * PAGE, &error),
		 &error);
	assert_int_equal(aside_of(env), 100);
	assert_int_equal(reserved_of(env), 100);
	/* A page with a block has what it needs, one without has it aside. */
	write_pages(&a, 0, 100, 1);
	check_reserved(env);
	push_out(&a, 0, 100, &other);
	assert_int_equal(reserved_of(env), 100);
	assert_int_equal(aside_of(env), 0);
	check_pages(&a, 0, 100, 1);
	write_pages(&a, 0, 30, 2);
	check_reserved(env);
	assert_int_equal(swap_region_release(a.region, 0, 100 * PAGE), 0);
	assert_int_equal(aside_of(env), 100);
	assert_int_equal(swap_object_unreserve(a.object, 20 * PAGE, 10 * PAGE),
			 0);
	assert_int_equal(swap_object_unreserve(a.object, 20 * PAGE, 10 * PAGE),
			 0);
	assert_int_equal(aside_of(env), 90);
	/* Blocks that are there already count. */
	write_pages(&a, 0, 100, 3);
	push_out(&a, 0, 100, &other);
	check_ok(swap_object_reserve(a.object, 0, 100 * PAGE, &error), &error);
	assert_int_equal(aside_of(env), 0);
	check_pages(&a, 0, 100, 3);
	write_pages(&a, 0, 10, 4);
	assert_in_range(aside_of(env), 10, 100);
	area_end(&a);
	assert_int_equal(reserved_of(env), 0);
	check_reserved(env);
	area_end(&b);
	area_end(&big);
	area_end(&other);
	env_end(env);
}

/* What is set aside is for those who have it, to the last block. */
static void
test_reserve_full(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct filler filler;
	struct area a, b;
	pthread_t thread;

	(void)state;
	must_attach(env, 0, MIB);	/* 254 blocks */
	a = area_new(env, 100, 0);
	b = area_new(env, 500, 0);
	assert_int_equal(swap_object_reserve(a.object, 0, 100 * PAGE, NULL), 0);
	filler = (struct filler){ &b, 0, 500, 1, 0, false };
	pthread_create(&thread, NULL, filler_main, &filler);
	wait_full(env);
	assert_int_equal(totals_of(env).swap_used_bytes, 154 * PAGE);
	assert_int_equal(aside_of(env), 100);
	assert_int_equal(swap_object_unreserve(a.object, 0, 100 * PAGE), 0);
	pthread_join(thread, NULL);
	check_pages(&b, 0, 500, 1);
	area_end(&b);
	/*
	 * 256 pages of RAM and 254 blocks: all of it is only enough if those
	 * go out that have blocks set aside.
	 */
	b = area_new(env, 405, 0);
	assert_int_equal(swap_object_reserve(a.object, 0, 100 * PAGE, NULL), 0);
	for (uint32_t version = 1; version < 6; version++) {
		write_pages(&a, 0, 100, version);
		write_pages(&b, 0, 405, version);
		check_pages(&a, 0, 100, version);
		check_pages(&b, 0, 405, version);
		check_reserved(env);
	}
	area_end(&a);
	area_end(&b);
	env_end(env);
}

/* Blocks that go bad; and devices that come and go. */
static void
test_reserve_devices(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct swap_error error = { 0 };
	struct area a, other;

	(void)state;
	must_attach(env, 0, MIB);
	must_attach(env, 1, 4 * MIB);
	a = area_new(env, 300, 0);
	other = area_new(env, 400, 0);
	check_ok(swap_object_reserve(a.object, 0, 300 * PAGE, &error), &error);
	fault.write_lo = 20;
	fault.write_hi = 24;
	for (uint32_t version = 1; version < 4; version++) {
		write_pages(&a, 0, 300, version);
		push_out(&a, 0, 300, &other);
		check_pages(&a, 0, 300, version);
		check_reserved(env);
	}
	assert_true(fault.write_hits > 0);
	assert_int_equal(reserved_of(env), 300);
	check_ok(swap_device_detach(env->pager, env->device[0], NULL, NULL,
				    &error), &error);
	check_reserved(env);
	check_pages(&a, 0, 300, 3);
	push_out(&a, 0, 300, &other);
	check_pages(&a, 0, 300, 3);
	assert_int_equal(reserved_of(env), 300);
	assert_int_equal(swap_object_unreserve(a.object, 0, 300 * PAGE), 0);
	assert_int_equal(aside_of(env), 0);
	area_end(&a);
	area_end(&other);
	env_end(env);
}

/* A page that is lost has another block set aside, for its next contents. */
static void
test_reserve_lost(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct area a, other;

	(void)state;
	must_attach(env, 0, 4 * MIB);
	a = area_new(env, 50, 0);
	other = area_new(env, 300, 0);
	assert_int_equal(swap_object_reserve(a.object, 0, 50 * PAGE, NULL), 0);
	write_pages(&a, 0, 50, 1);
	push_out(&a, 0, 50, &other);
	assert_int_equal(aside_of(env), 0);
	fault.read_lo = block_of(&a, 20);
	fault.read_hi = fault.read_lo + 1;
	assert_true(gives_bus(a.mem + 20 * WORDS, false));
	assert_int_equal(reserved_of(env), 50);
	check_reserved(env);
	assert_int_equal(swap_region_release(a.region, 20 * PAGE, PAGE), 0);
	write_pages(&a, 0, 50, 2);
	push_out(&a, 0, 50, &other);
	check_pages(&a, 0, 50, 2);
	check_reserved(env);
	area_end(&a);
	area_end(&other);
	env_end(env);
}

/* The last block goes bad: the page stays, and what it had no longer counts. */
static void
test_reserve_bad(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct area a, other;

	(void)state;
	must_attach(env, 0, MIB);
	a = area_new(env, 254, 0);
	other = area_new(env, 200, 0);
	assert_int_equal(swap_object_reserve(a.object, 0, 254 * PAGE, NULL), 0);
	fault.write_lo = 100;
	fault.write_hi = 103;
	write_pages(&a, 0, 254, 1);
	write_pages(&other, 0, 200, 1);
	write_pages(&a, 0, 254, 2);
	check_pages(&other, 0, 200, 1);
	check_pages(&a, 0, 254, 2);
	check_reserved(env);
	assert_int_equal(reserved_of(env), 251);
	assert_true(logged(env, "no swap space set aside any more") > 0);
	area_end(&a);
	check_reserved(env);
	area_end(&other);
	env_end(env);
}

/* ------------------------------------------------------------------ names */

#define NAMES	3000u

static void
test_names(void **state)
{
	static struct swap_object *object[NAMES];
	struct env *env = env_new(MIB, 0);
	struct swap_object *found;
	char name[32];

	(void)state;
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < NAMES; i++) {
			if (object[i] != NULL)
				continue;
			snprintf(name, sizeof(name), "name %u", i);
			assert_int_equal(swap_object_create(env->pager, name,
					 PAGE, 0, &object[i], NULL), 0);
			assert_int_equal(swap_object_create(env->pager, name,
					 PAGE, 0, &found, NULL), -EEXIST);
		}
		for (unsigned i = round; i < NAMES; i += 3) {
			swap_object_unref(object[i]);
			object[i] = NULL;
		}
		for (unsigned i = 0; i < NAMES; i++) {
			int rc;

			snprintf(name, sizeof(name), "name %u", i);
			rc = swap_object_open(env->pager, name, &found, NULL);
			if (object[i] == NULL) {
				assert_int_equal(rc, -ENOENT);
				continue;
			}
			assert_int_equal(rc, 0);
			assert_ptr_equal(found, object[i]);
			swap_object_unref(found);
		}
	}
	for (unsigned i = 0; i < NAMES; i++) {
		if (object[i] != NULL)
			swap_object_unref(object[i]);
		object[i] = NULL;
	}
	env_end(env);
}

/* ---------------------------------------------------------------- charges */

static void
test_charged(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct swap_object *object;
	struct area a, b;

	(void)state;
	must_attach(env, 0, 4 * MIB);
	a = area_new(env, 100, 0);
	assert_int_equal(totals_of(env).charged_bytes, 100 * PAGE);
	b = area_copy(a.object, a.id);
	assert_int_equal(totals_of(env).charged_bytes, 200 * PAGE);
	/* What is not made is not charged. */
	assert_int_equal(swap_object_create(env->pager, NULL, 300 * PAGE,
					    SWAP_OBJECT_NOSWAP, &object, NULL),
			 -ENOMEM);
	assert_int_equal(totals_of(env).charged_bytes, 200 * PAGE);
	/* A region keeps its object. */
	swap_object_unref(b.object);
	assert_int_equal(totals_of(env).charged_bytes, 200 * PAGE);
	assert_int_equal(swap_region_unmap(b.region), 0);
	assert_int_equal(totals_of(env).charged_bytes, 100 * PAGE);
	area_end(&a);
	assert_int_equal(totals_of(env).charged_bytes, 0);
	env_end(env);
}

/* --------------------------------------------------------------- writable */

static uint32_t
writers_of(struct env *env)
{
	struct swap_stats stats = stats_of(env);
	uint32_t n = stats.objects[0].writers;

	swap_stats_clear(&stats);
	return n;
}

/* Pages come into a read-only mapping from blocks, as zeros, from a source. */
static void
test_writable(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct swap_region *region;
	struct area a, other, copy;
	uint64_t *mem;

	(void)state;
	must_attach(env, 0, 8 * MIB);
	a = area_new(env, 100, 0);
	other = area_new(env, 600, 0);
	assert_int_equal(swap_object_map(a.object, NULL, 0, 100 * PAGE,
					 &region, NULL), 0);
	mem = swap_region_address(region);
	assert_int_equal(writers_of(env), 2);
	write_pages(&a, 0, 50, 1);
	push_out(&a, 0, 50, &other);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(swap_region_set_writable(region, false), 0);
		assert_int_equal(writers_of(env), 1);
	}
	for (uint64_t i = 0; i < 100; i++)
		assert_int_equal(wrong(mem + i * WORDS, a.id, i, i < 50), 0);
	for (uint64_t i = 0; i < 100; i++)
		assert_true(gives_bus(mem + i * WORDS, true));
	/* The other region writes, and page-out goes on. */
	write_pages(&a, 0, 100, 2);
	push_out(&a, 0, 100, &other);
	for (uint64_t i = 0; i < 100; i++)
		assert_int_equal(wrong(mem + i * WORDS, a.id, i, 2), 0);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(swap_region_set_writable(region, true), 0);
		assert_int_equal(writers_of(env), 2);
	}
	for (uint64_t i = 0; i < 100; i++)
		put(mem + i * WORDS, a.id, i, 3);
	check_pages(&a, 0, 100, 3);
	push_out(&a, 0, 100, &other);
	check_pages(&a, 0, 100, 3);
	copy = area_copy(a.object, a.id);
	assert_int_equal(swap_region_set_writable(copy.region, false), 0);
	check_pages(&copy, 0, 100, 3);
	area_end(&copy);
	assert_int_equal(swap_region_set_writable(region, false), 0);
	assert_int_equal(swap_region_unmap(region), 0);
	assert_int_equal(writers_of(env), 1);
	area_end(&a);
	area_end(&other);
	env_end(env);
}

/* A region of another process: its mapping is not ours, its count is. */
static void
test_writable_served(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct swap_error error = { 0 };
	struct swap_region *region;
	struct mapping mapping;
	struct area a;

	(void)state;
	a = area_new(env, 10, 0);
	check_ok(mapping_create(pager_object_memfd(a.object), NULL, 0,
				10 * PAGE, -1, &mapping, &error), &error);
	check_ok(pager_region_join(a.object, dup(mapping.uffd),
				   (uint64_t)(uintptr_t)mapping.address, 0,
				   10 * PAGE, NULL, &region, &error), &error);
	assert_int_equal(writers_of(env), 2);
	assert_int_equal(swap_region_set_writable(region, false), -EINVAL);
	assert_int_equal(pager_region_set_writable(region, false), 0);
	assert_int_equal(writers_of(env), 1);
	assert_int_equal(pager_region_set_writable(region, true), 0);
	assert_int_equal(writers_of(env), 2);
	pager_region_leave(region);
	mapping_destroy(&mapping);
	assert_int_equal(writers_of(env), 1);
	area_end(&a);
	env_end(env);
}

/* ------------------------------------------------------- maps that are full */

static void
tune(struct env *env, const char *name, uint64_t value)
{
	struct swap_error error = { 0 };
	char text[32];

	snprintf(text, sizeof(text), "%" PRIu64, value);
	check_ok(swap_pager_tune(env->pager, name, text, &error), &error);
}

static double
cpu_seconds(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* Wait until page-out has found no room in the maps for all it looked at. */
static void
wait_maps_full(struct env *env)
{
	for (unsigned tries = 0; tries < 2000; tries++) {
		struct swap_stats stats = totals_of(env);

		if (stats.metadata_full && stats.counters.faults_starved > 0 &&
		    atomic_load(&env->pager->core.stuck))
			return;
		usleep(5000);
	}
	fail_msg("the maps do not get full");
}

#define WIDE	(UINT64_C(1) << 24)	/* pages */

/* Every page of it has a node of its own. */
static uint64_t
wide_page(uint64_t i)
{
	return i * (WIDE / 1024);
}

struct wide {
	const struct area *a;
	uint64_t	 n;
	uint32_t	 version;
	unsigned	 nbus;
	atomic_bool	 done;
};

static void *
wide_main(void *arg)
{
	struct wide *w = arg;

	for (uint64_t i = 0; i < w->n; i++) {
		uint64_t page = wide_page(i);

		if (gives_bus(w->a->mem + page * WORDS, true))
			w->nbus++;
		else
			write_pages(w->a, page, 1, w->version);
	}
	atomic_store(&w->done, true);
	return NULL;
}

static void
check_wide(const struct area *a, uint64_t n, uint32_t version)
{
	for (uint64_t i = 0; i < n; i++)
		check_pages(a, wide_page(i), 1, version);
}

static void
test_maps_full(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct area a, b, other;
	struct wide wide;
	pthread_t thread;
	double cpu;

	(void)state;
	must_attach(env, 0, 16 * MIB);
	b = area_new(env, 100, 0);
	other = area_new(env, 400, 0);
	write_pages(&b, 0, 100, 1);
	push_out(&b, 0, 100, &other);
	a = area_new(env, WIDE, 0);
	tune(env, "metadata_limit", totals_of(env).map_bytes);
	wide = (struct wide){ &a, 600, 1, 0, false };
	pthread_create(&thread, NULL, wide_main, &wide);
	wait_maps_full(env);
	/* Nobody spins, and one sentence is enough. */
	cpu = cpu_seconds();
	usleep(500000);
	assert_true(cpu_seconds() - cpu < 0.2);
	assert_false(atomic_load(&wide.done));
	assert_int_equal(logged(env, "swap maps have all the memory"), 1);
	assert_int_equal(totals_of(env).counters.metadata_full_events, 1);
	/* Pages with a place in their map come and go as before. */
	for (uint32_t version = 2; version < 5; version++) {
		write_pages(&b, 0, 100, version);
		check_pages(&b, 0, 100, version);
	}
	tune(env, "metadata_limit", 0);
	pthread_join(thread, NULL);
	check_wide(&a, 600, 1);
	check_pages(&b, 0, 100, 4);
	for (unsigned tries = 0; tries < 1000 &&
	     totals_of(env).metadata_full; tries++)
		usleep(5000);
	assert_false(totals_of(env).metadata_full);
	assert_int_equal(logged(env, "maps have room again"), 1);
	area_end(&a);
	area_end(&b);
	area_end(&other);
	env_end(env);
}

/* Who ends gives what the others wait for. */
static void
test_maps_full_end(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct wide first, wide;
	struct area a, b;
	pthread_t thread;

	(void)state;
	must_attach(env, 0, 16 * MIB);
	a = area_new(env, WIDE, 0);
	first = (struct wide){ &a, 900, 1, 0, false };
	wide_main(&first);
	b = area_new(env, WIDE, 0);
	tune(env, "metadata_limit", totals_of(env).map_bytes);
	wide = (struct wide){ &b, 600, 1, 0, false };
	pthread_create(&thread, NULL, wide_main, &wide);
	wait_maps_full(env);
	area_end(&a);
	pthread_join(thread, NULL);
	check_wide(&b, 600, 1);
	area_end(&b);
	env_end(env);
}

static void
test_maps_full_fails(void **state)
{
	struct env *env = env_new(MIB, SWAP_PAGER_FULL_FAILS);
	struct swap_error error = { 0 };
	struct swap_object *object;
	struct wide wide;
	struct area a;

	(void)state;
	must_attach(env, 0, 16 * MIB);
	a = area_new(env, WIDE, 0);
	tune(env, "metadata_limit", totals_of(env).map_bytes);
	wide = (struct wide){ &a, 900, 1, 0, false };
	wide_main(&wide);
	assert_in_range(wide.nbus, 100, 700);
	assert_true(gives_bus(a.mem + wide_page(899) * WORDS, false));
	assert_int_equal(swap_object_create(env->pager, NULL, WIDE * PAGE, 0,
					    &object, &error), -EDQUOT);
	assert_non_null(strstr(error.message, "metadata_limit"));
	assert_int_equal(swap_region_release(a.region, 0, WIDE * PAGE), 0);
	tune(env, "metadata_limit", 0);
	wide = (struct wide){ &a, 900, 2, 0, false };
	wide_main(&wide);
	assert_int_equal(wide.nbus, 0);
	check_wide(&a, 900, 2);
	area_end(&a);
	env_end(env);
}

/* -------------------------------------------------------------------- main */

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(allow_swap),
		TEST(noswap_slot),
		TEST(get_new),
		TEST(get_new_little),
		TEST(get_swapped),
		TEST(get_error),
		TEST(get_copy),
		TEST(flush_deactivate),
		TEST(flush_often),
		TEST(flush_free),
		TEST(haspage),
		TEST(reserve),
		TEST(reserve_full),
		TEST(reserve_devices),
		TEST(reserve_lost),
		TEST(reserve_bad),
		TEST(names),
		TEST(charged),
		TEST(writable),
		TEST(writable_served),
		TEST(maps_full),
		TEST(maps_full_end),
		TEST(maps_full_fails),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
