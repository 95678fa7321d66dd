/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Copies of objects (swap_object_fork()): whoever writes, releases, pages out or
 * goes first, each has what it should.
 */
#include "pager-fixture.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "uffd.h"
#include "util.h"

static uint64_t
shared(struct env *env, const struct area *a)
{
	return stats_of_area(env, a).shared_bytes / PAGE;
}

/* Wait until there are so many objects, orphans among them. */
static void
wait_objects(struct env *env, uint64_t n)
{
	uint64_t have = 0;

	for (unsigned tries = 0; tries < 2000; tries++) {
		have = totals_of(env).nobjects_live;
		if (have == n)
			return;
		usleep(5000);
	}
	fail_msg("%" PRIu64 " objects, not %" PRIu64, have, n);
}

/* Each side writes; neither sees it from the other. */
static void
test_write(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct swap_counters before, after;
	struct area a, b, other;

	(void)state;
	must_attach(env, 0, 16 * MIB);
	a = area_new(env, 300, SWAP_OBJECT_EXACT);
	other = area_new(env, 600, 0);
	write_pages(&a, 0, 100, 1);
	push_out(&a, 0, 100, &other);
	write_pages(&a, 100, 100, 1);
	before = totals_of(env).counters;
	b = area_copy(a.object, a.id);
	/* Nothing was copied, and nothing is but by use. */
	assert_int_equal(shared(env, &b), 200);
	assert_int_equal(stats_of_area(env, &b).resident_bytes, 0);
	assert_int_equal(stats_of_area(env, &b).source_id,
			 pager_object_id(a.object));
	assert_int_equal(stats_of_area(env, &a).source_id, 0);
	assert_int_equal(stats_of_area(env, &a).copies, 1);
	write_pages(&a, 0, 50, 2);
	write_pages(&a, 150, 100, 2);
	after = totals_of(env).counters;
	assert_int_equal(after.copy_pushed_pages - before.copy_pushed_pages,
			 100);
	assert_int_equal(shared(env, &b), 100);
	write_pages(&b, 25, 50, 3);
	write_pages(&b, 250, 20, 3);
	check_pages(&a, 0, 50, 2);
	check_pages(&a, 50, 100, 1);
	check_pages(&a, 150, 100, 2);
	check_pages(&a, 250, 50, 0);
	check_pages(&b, 0, 25, 1);
	check_pages(&b, 25, 50, 3);
	check_pages(&b, 75, 125, 1);
	check_pages(&b, 200, 50, 0);
	check_pages(&b, 250, 20, 3);
	check_pages(&b, 270, 30, 0);
	/* All of it once more, from swap space. */
	push_out(&a, 0, 300, &other);
	push_out(&b, 0, 300, &other);
	check_pages(&a, 0, 50, 2);
	check_pages(&b, 0, 25, 1);
	check_pages(&b, 75, 125, 1);
	/* A copy that has all of it has no source any more. */
	for (unsigned tries = 0; tries < 2000 &&
	     stats_of_area(env, &b).source_id != 0; tries++)
		usleep(1000);
	assert_int_equal(stats_of_area(env, &b).source_id, 0);
	assert_int_equal(stats_of_area(env, &a).copies, 0);
	check_blocks(env);
	area_end(&a);
	area_end(&b);
	area_end(&other);
	env_end(env);
}

/* What the kernel writes and reads for a program counts as well. */
static void
test_kernel(void **state)
{
	struct env *env = env_new(MIB, 0);
	char page[PAGE];
	struct area a, b;
	int pipes[2];

	(void)state;
	must_attach(env, 0, 4 * MIB);
	a = area_new(env, 20, 0);
	write_pages(&a, 0, 20, 1);
	b = area_copy(a.object, a.id);
	assert_int_equal(pipe(pipes), 0);
	memset(page, 7, sizeof(page));
	for (uint64_t i = 0; i < 20; i++) {
		assert_int_equal(write(pipes[1], page, PAGE), PAGE);
		assert_int_equal(read(pipes[0], a.mem + i * WORDS, PAGE), PAGE);
	}
	check_pages(&b, 0, 20, 1);
	for (uint64_t i = 0; i < 20; i++)
		assert_memory_equal(a.mem + i * WORDS, page, PAGE);
	close(pipes[0]);
	close(pipes[1]);
	area_end(&a);
	area_end(&b);
	env_end(env);
}

#define CHAIN	4u

/* A chain, in which each link has written something, and ends in any order. */
static void
chain(const unsigned order[CHAIN])
{
	struct env *env = env_new(MIB, 0);
	struct area a[CHAIN], other;
	bool gone[CHAIN] = { false };

	must_attach(env, 0, 16 * MIB);
	other = area_new(env, 400, 0);
	a[0] = area_new(env, 80, 0);
	write_pages(&a[0], 0, 64, 1);
	for (unsigned i = 1; i < CHAIN; i++) {
		push_out(&a[i - 1], 0, 30, &other);
		a[i] = area_copy(a[i - 1].object, a[i - 1].id);
		/* Page i * 16 and so on is the link's own. */
		write_pages(&a[i], i * 16, 8, 1 + i);
	}
	/* The first changes all of it: seen by none of the others. */
	write_pages(&a[0], 0, 80, 9);
	for (unsigned k = 0; k < CHAIN; k++) {
		for (unsigned i = 0; i < CHAIN; i++) {
			if (gone[i])
				continue;
			if (i == 0) {
				check_pages(&a[0], 0, 80, 9);
				continue;
			}
			for (unsigned part = 0; part < 4; part++) {
				bool own = part > 0 && part <= i;

				check_pages(&a[i], part * 16, 8,
					    own ? 1 + part : 1);
				check_pages(&a[i], part * 16 + 8, 8, 1);
			}
			check_pages(&a[i], 64, 16, 0);
		}
		area_end(&a[order[k]]);
		gone[order[k]] = true;
		if (k % 2 == 1)
			push_out(&other, 0, 1, &other);
	}
	/* No orphan is left behind. */
	wait_objects(env, 1);
	area_end(&other);
	env_end(env);
}

static void
test_chain(void **state)
{
	unsigned order[CHAIN];

	(void)state;
	for (unsigned n = 0; n < 24; n++) {
		unsigned left[CHAIN] = { 0, 1, 2, 3 }, rest = n;

		for (unsigned k = 0; k < CHAIN; k++) {
			unsigned pick = rest % (CHAIN - k);

			rest /= CHAIN - k;
			order[k] = left[pick];
			memmove(&left[pick], &left[pick + 1],
				(CHAIN - k - pick - 1) * sizeof(left[0]));
		}
		chain(order);
	}
}

#define CHILDREN	5u

/* Several children of one parent, made at different times. */
static void
test_children(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct area a, child[CHILDREN], other;

	(void)state;
	must_attach(env, 0, 16 * MIB);
	a = area_new(env, 60, 0);
	other = area_new(env, 400, 0);
	for (unsigned i = 0; i < CHILDREN; i++) {
		write_pages(&a, i * 10, 20, 1 + i);
		if (i % 2 == 0)
			push_out(&a, 0, 60, &other);
		child[i] = area_copy(a.object, a.id);
		assert_int_equal(stats_of_area(env, &a).copies, 1 + i);
	}
	write_pages(&a, 0, 60, 50);
	for (unsigned i = 0; i < CHILDREN; i++) {
		for (unsigned k = 0; k <= i; k++)
			check_pages(&child[i], k * 10, 10, 1 + k);
		check_pages(&child[i], (i + 1) * 10, 10, 1 + i);
		if (i + 2 < 6)
			check_pages(&child[i], (i + 2) * 10, (4 - i) * 10, 0);
	}
	check_pages(&a, 0, 60, 50);
	area_end(&child[2]);
	area_end(&a);
	area_end(&child[0]);
	check_pages(&child[4], 30, 10, 4);
	check_pages(&child[1], 0, 10, 1);
	for (unsigned i = 1; i < CHILDREN; i++)
		if (i != 2)
			area_end(&child[i]);
	area_end(&other);
	env_end(env);
}

/*
 * The source gives pages back that its copies need: blocks change hands where
 * one copy needs them, pages in RAM are copied.
 */
static void
test_release(void **state)
{
	for (unsigned nchildren = 1; nchildren <= 2; nchildren++) {
		struct env *env = env_new(MIB, 0);
		struct swap_counters before, after;
		struct area a, b[2], other;

		(void)state;
		must_attach(env, 0, 16 * MIB);
		a = area_new(env, 300, 0);
		other = area_new(env, 600, 0);
		write_pages(&a, 0, 200, 1);
		push_out(&a, 0, 200, &other);
		write_pages(&a, 200, 50, 1);
		assert_int_equal(swap_region_release(other.region, 0,
						     600 * PAGE), 0);
		for (unsigned i = 0; i < nchildren; i++)
			b[i] = area_copy(a.object, a.id);
		before = totals_of(env).counters;
		assert_int_equal(swap_region_release(a.region, 0, 300 * PAGE),
				 0);
		after = totals_of(env).counters;
		if (nchildren == 1)
			assert_int_equal(after.pagein_pages,
					 before.pagein_pages);
		assert_int_equal(stats_of_area(env, &a).block_bytes, 0);
		assert_int_equal(stats_of_area(env, &a).resident_bytes, 0);
		check_pages(&a, 0, 300, 0);
		for (unsigned i = 0; i < nchildren; i++) {
			assert_int_equal(shared(env, &b[i]), 0);
			check_pages(&b[i], 0, 250, 1);
			check_pages(&b[i], 250, 50, 0);
		}
		write_pages(&a, 0, 300, 2);
		check_pages(&b[0], 0, 250, 1);
		check_blocks(env);
		for (unsigned i = 0; i < nchildren; i++)
			area_end(&b[i]);
		area_end(&a);
		area_end(&other);
		env_end(env);
	}
}

/* A wired page stops a release before the copy has got anything. */
static void
test_release_wired(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct area a, b;

	(void)state;
	must_attach(env, 0, 4 * MIB);
	a = area_new(env, 20, 0);
	write_pages(&a, 0, 20, 1);
	assert_int_equal(swap_region_wire(a.region, 10 * PAGE, PAGE, NULL), 0);
	b = area_copy(a.object, a.id);
	assert_int_equal(swap_region_release(a.region, 0, 20 * PAGE), -EBUSY);
	check_pages(&a, 0, 10, 0);
	check_pages(&a, 10, 10, 1);
	assert_int_equal(shared(env, &b), 10);
	check_pages(&b, 0, 20, 1);
	area_end(&a);
	area_end(&b);
	env_end(env);
}

/* Pages of zeros go out without a block: new ones there are new to both. */
static void
test_zeros(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct area a, b, c, other, by_second;
	struct swap_region *second;

	(void)state;
	must_attach(env, 0, 8 * MIB);
	a = area_new(env, 40, 0);
	other = area_new(env, 600, 0);
	/* Written, and all zeros. */
	for (uint64_t i = 0; i < 40; i++)
		put(a.mem + i * WORDS, a.id, i, 0);
	memset(a.mem, 0, 40 * PAGE);
	b = area_copy(a.object, a.id);
	assert_int_equal(shared(env, &b), 40);
	push_out(&a, 0, 40, &other);
	assert_int_equal(stats_of_area(env, &a).block_bytes, 0);
	c = area_copy(b.object, b.id);
	/* One that knows nothing of protection before. */
	assert_int_equal(swap_object_map(a.object, NULL, 0, 40 * PAGE,
					 &second, NULL), 0);
	by_second = a;
	by_second.mem = swap_region_address(second);
	write_pages(&a, 0, 10, 1);
	assert_int_equal(swap_object_get(a.object, 10 * PAGE, 10 * PAGE,
					 10 * PAGE, SWAP_GET_ALL, NULL, NULL),
			 10);
	write_pages(&by_second, 10, 10, 1);
	check_pages(&b, 0, 40, 0);
	write_pages(&b, 0, 40, 2);
	check_pages(&c, 0, 40, 0);
	check_pages(&a, 0, 20, 1);
	check_pages(&a, 20, 20, 0);
	assert_int_equal(swap_region_unmap(second), 0);
	area_end(&a);
	area_end(&b);
	area_end(&c);
	area_end(&other);
	env_end(env);
}

/* The device goes meanwhile, and pages that copies need come back protected. */
static void
test_detach(void **state)
{
	struct env *env = env_new(4 * MIB, 0);
	struct swap_region *second;
	struct area a, b, c, other, by_second;

	(void)state;
	must_attach(env, 0, 16 * MIB);
	a = area_new(env, 200, 0);
	other = area_new(env, 1500, 0);
	write_pages(&a, 0, 200, 1);
	push_out(&a, 0, 200, &other);
	/* One that knows nothing of protection before. */
	assert_int_equal(swap_object_map(a.object, NULL, 0, 200 * PAGE,
					 &second, NULL), 0);
	by_second = a;
	by_second.mem = swap_region_address(second);
	b = area_copy(a.object, a.id);
	c = area_copy(b.object, b.id);
	assert_int_equal(swap_region_release(other.region, 0, 1500 * PAGE), 0);
	assert_int_equal(swap_device_detach(env->pager, env->device[0], NULL,
					    NULL, NULL), 0);
	assert_int_equal(stats_of_area(env, &a).resident_bytes, 200 * PAGE);
	assert_int_equal(shared(env, &b), 200);
	assert_int_equal(shared(env, &c), 200);
	write_pages(&by_second, 0, 100, 2);
	write_pages(&a, 100, 100, 2);
	check_pages(&b, 0, 200, 1);
	write_pages(&b, 0, 200, 3);
	check_pages(&c, 0, 200, 1);
	check_pages(&a, 0, 200, 2);
	assert_int_equal(swap_region_unmap(second), 0);
	area_end(&b);
	area_end(&a);
	check_pages(&c, 0, 200, 1);
	area_end(&c);
	area_end(&other);
	env_end(env);
}

/* Pages that come in on request are protected where a copy needs them. */
static void
test_get(void **state)
{
	struct env *env = env_new(4 * MIB, 0);
	struct swap_region *second;
	struct area a, b, other, by_second;

	(void)state;
	must_attach(env, 0, 16 * MIB);
	a = area_new(env, 200, 0);
	other = area_new(env, 1500, 0);
	write_pages(&a, 0, 200, 1);
	push_out(&a, 0, 200, &other);
	assert_int_equal(swap_region_release(other.region, 0, 1500 * PAGE), 0);
	/* One that knows nothing of protection before. */
	assert_int_equal(swap_object_map(a.object, NULL, 0, 200 * PAGE,
					 &second, NULL), 0);
	by_second = a;
	by_second.mem = swap_region_address(second);
	b = area_copy(a.object, a.id);
	assert_int_equal(swap_object_get(a.object, 0, 100 * PAGE, 0,
					 SWAP_GET_ALL, NULL, NULL), 100);
	assert_int_equal(swap_region_wire(a.region, 100 * PAGE, 50 * PAGE,
					  NULL), 0);
	write_pages(&by_second, 0, 150, 2);
	write_pages(&a, 150, 50, 2);
	check_pages(&b, 0, 200, 1);
	assert_int_equal(swap_region_unmap(second), 0);
	/* The kernel does not let them be protected: they stay out. */
	push_out(&a, 0, 100, &other);
	area_end(&b);
	b = area_copy(a.object, a.id);
	fault.request = UFFDIO_WRITEPROTECT;
	fault.request_errno = ENOMEM;
	fault.request_times = 1000000;
	assert_int_equal(swap_object_get(a.object, 0, PAGE, 0, 0, NULL, NULL),
			 -ENOMEM);
	fault.request_times = 0;
	assert_false(in_ram(a.object, 0));
	write_pages(&a, 0, 200, 3);
	check_pages(&b, 0, 200, 2);
	area_end(&a);
	area_end(&b);
	area_end(&other);
	env_end(env);
}

/* RAM and swap space are nearly full, and both write all of it. */
static void
test_little_room(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct area a, b;

	(void)state;
	must_attach(env, 0, 3 * MIB);
	/* 400 twice in 256 and 766. */
	a = area_new(env, 400, 0);
	write_pages(&a, 0, 400, 1);
	b = area_copy(a.object, a.id);
	for (uint32_t round = 2; round < 5; round++) {
		write_pages(&a, 0, 400, round);
		check_pages(&b, 0, 400, round == 2 ? 1 : round - 1);
		write_pages(&b, 0, 400, round);
		check_pages(&a, 0, 400, round);
	}
	area_end(&a);
	area_end(&b);
	env_end(env);
}

/* Full, and programs fail then: the copy loses pages, the writer goes on. */
static void
test_full_fails(void **state)
{
	struct env *env = env_new(MIB, SWAP_PAGER_FULL_FAILS);
	struct area a, b;
	uint64_t lost = 0;

	(void)state;
	must_attach(env, 0, MIB);
	a = area_new(env, 450, 0);
	write_pages(&a, 0, 450, 1);
	b = area_copy(a.object, a.id);
	write_pages(&a, 0, 450, 2);
	check_pages(&a, 0, 450, 2);
	for (uint64_t i = 0; i < 450; i++)
		if (gives_bus(b.mem + i * WORDS, false))
			lost++;
		else
			check_pages(&b, i, 1, 1);
	assert_in_range(lost, 1, 450);
	check_pages(&a, 0, 450, 2);
	area_end(&a);
	area_end(&b);
	env_end(env);
}

/* A block that cannot be read is lost in the copy, at the latest. */
static void
test_poison(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct area a, b, c, other;

	(void)state;
	must_attach(env, 0, 8 * MIB);
	a = area_new(env, 100, 0);
	other = area_new(env, 600, 0);
	write_pages(&a, 0, 100, 1);
	push_out(&a, 0, 100, &other);
	fault.read_lo = block_of(&a, 50);
	fault.read_hi = fault.read_lo + 1;
	b = area_copy(a.object, a.id);
	check_pages(&b, 0, 50, 1);
	assert_true(gives_bus(b.mem + 50 * WORDS, false));
	check_pages(&b, 51, 49, 1);
	/* The source does not know yet; then it does, and its next copy. */
	assert_true(gives_bus(a.mem + 50 * WORDS, true));
	c = area_copy(a.object, a.id);
	assert_true(gives_bus(c.mem + 50 * WORDS, false));
	check_pages(&c, 51, 49, 1);
	area_end(&c);
	c = area_copy(a.object, a.id);
	/* Given up in the source it is as good as new there. */
	assert_int_equal(swap_region_release(a.region, 50 * PAGE, PAGE), 0);
	check_pages(&a, 50, 1, 0);
	assert_true(gives_bus(c.mem + 50 * WORDS, false));
	area_end(&a);
	assert_true(gives_bus(c.mem + 50 * WORDS, true));
	check_pages(&b, 0, 50, 1);
	area_end(&b);
	area_end(&c);
	area_end(&other);
	env_end(env);
}

/* The source ends: its copy gets what it needs, and nothing is left of it. */
static void
test_orphan(void **state)
{
	for (unsigned which = 0; which < 4; which++) {
		struct env *env = env_new(2 * MIB, 0);
		struct area a, b, other;
		struct swap_object *named;

		(void)state;
		must_attach(env, 0, 16 * MIB);
		a = area_new(env, 400, 0);
		other = area_new(env, 900, 0);
		write_pages(&a, 0, 300, 1);
		push_out(&a, 0, 300, &other);
		write_pages(&a, 300, 80, 1);
		check_pages(&a, 200, 50, 1);
		assert_int_equal(swap_object_reserve(a.object, 0, 50 * PAGE,
						     NULL), 0);
		if (which & 1)
			assert_int_equal(swap_region_wire(a.region, 60 * PAGE,
							  PAGE, NULL), 0);
		b = area_copy(a.object, a.id);
		if (which & 2)
			write_pages(&b, 100, 250, 2);
		area_end(&a);
		/* The orphan itself is not charged. */
		assert_int_equal(totals_of(env).charged_bytes,
				 (400 + 900) * PAGE);
		wait_objects(env, 2);
		assert_int_equal(shared(env, &b), 0);
		assert_int_equal(totals_of(env).wired_bytes, 0);
		check_reserved(env);
		check_blocks(env);
		check_pages(&b, 0, 100, 1);
		check_pages(&b, 100, 250, which & 2 ? 2 : 1);
		check_pages(&b, 350, 30, 1);
		check_pages(&b, 380, 20, 0);
		area_end(&b);
		area_end(&other);
		/* Its name is free at once. */
		check_ok(swap_object_create(env->pager, "x", PAGE, 0, &named,
					    NULL), NULL);
		swap_object_unref(named);
		env_end(env);
	}
}

/* A name is free when its object is an orphan, and does not find that. */
static void
test_orphan_name(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct swap_object *a, *b, *c, *again;
	struct swap_region *region;
	struct swap_error error = { 0 };

	(void)state;
	must_attach(env, 0, 4 * MIB);
	check_ok(swap_object_create(env->pager, "x", 10 * PAGE, 0, &a, &error),
		 &error);
	check_ok(swap_object_map(a, NULL, 0, 10 * PAGE, &region, &error),
		 &error);
	put(swap_region_address(region), 1, 0, 1);
	check_ok(swap_object_fork(a, &b, &error), &error);
	check_ok(swap_object_fork(a, &c, &error), &error);
	assert_int_equal(swap_region_unmap(region), 0);
	swap_object_unref(a);
	assert_int_equal(swap_object_open(env->pager, "x", &again, NULL),
			 -ENOENT);
	check_ok(swap_object_create(env->pager, "x", PAGE, 0, &again, &error),
		 &error);
	swap_object_unref(again);
	check_ok(swap_object_map(c, NULL, 0, 10 * PAGE, &region, &error),
		 &error);
	swap_object_unref(b);
	assert_int_equal(wrong(swap_region_address(region), 1, 0, 1), 0);
	assert_int_equal(swap_region_unmap(region), 0);
	swap_object_unref(c);
	env_end(env);
}

/* Generation after generation: no chain grows, and pages stay. */
static void
test_generations(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct area a, next, other;

	(void)state;
	must_attach(env, 0, 16 * MIB);
	a = area_new(env, 100, 0);
	other = area_new(env, 400, 0);
	write_pages(&a, 0, 80, 1);
	for (uint32_t i = 0; i < 60; i++) {
		next = area_copy(a.object, a.id);
		/* The parent goes, now and then after writing. */
		if (i % 3 == 0)
			write_pages(&a, 0, 20, 100 + i);
		area_end(&a);
		a = next;
		write_pages(&a, 80, 10, 2 + i);
		if (i % 10 == 5)
			push_out(&a, 0, 100, &other);
	}
	wait_objects(env, 2);
	check_pages(&a, 0, 80, 1);
	check_pages(&a, 80, 10, 61);
	check_pages(&a, 90, 10, 0);
	check_blocks(env);
	area_end(&a);
	area_end(&other);
	env_end(env);
}

/* A double fork: what is in the middle goes, the first and the last live on. */
static void
test_daemon(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct area a, b, c, other;

	(void)state;
	must_attach(env, 0, 16 * MIB);
	a = area_new(env, 200, 0);
	other = area_new(env, 400, 0);
	write_pages(&a, 0, 150, 1);
	push_out(&a, 0, 70, &other);
	b = area_copy(a.object, a.id);
	write_pages(&b, 10, 10, 2);
	c = area_copy(b.object, b.id);
	write_pages(&c, 100, 10, 3);
	area_end(&b);
	/* It is relinked, and has not copied what its grandparent has. */
	wait_objects(env, 3);
	assert_int_equal(stats_of_area(env, &c).source_id,
			 pager_object_id(a.object));
	assert_in_range(shared(env, &c), 100, 130);
	write_pages(&a, 0, 200, 9);
	check_pages(&c, 0, 10, 1);
	check_pages(&c, 10, 10, 2);
	check_pages(&c, 20, 80, 1);
	check_pages(&c, 100, 10, 3);
	check_pages(&c, 110, 40, 1);
	check_pages(&c, 150, 50, 0);
	check_pages(&a, 0, 200, 9);
	area_end(&a);
	area_end(&c);
	area_end(&other);
	env_end(env);
}

/* After the last copy a write costs no fault: the protection is lifted. */
static void
test_lift(void **state)
{
	struct env *env = env_new(4 * MIB, 0);
	struct swap_counters before, after;
	struct area a, b;

	(void)state;
	must_attach(env, 0, 4 * MIB);
	a = area_new(env, 500, 0);
	write_pages(&a, 0, 500, 1);
	b = area_copy(a.object, a.id);
	area_end(&b);
	for (unsigned tries = 0; tries < 2000; tries++) {
		bool guarded, busy = false;

		object_lock(a.object);
		guarded = a.object->guarded;
		for (uint64_t i = 0; i < 500; i++)
			busy |= page_is_busy(a.object, i);
		guarded |= a.object->opening > 0 || busy;
		object_unlock(a.object);
		if (!guarded)
			break;
		usleep(1000);
	}
	/* The last run may be on its way still. */
	usleep(20000);
	before = totals_of(env).counters;
	write_pages(&a, 0, 500, 2);
	after = totals_of(env).counters;
	assert_in_range(after.faults_write - before.faults_write, 0, 20);
	check_pages(&a, 0, 500, 2);
	/* And a new copy is protected from it again. */
	b = area_copy(a.object, a.id);
	write_pages(&a, 0, 500, 3);
	check_pages(&b, 0, 500, 2);
	area_end(&a);
	area_end(&b);
	env_end(env);
}

/* Everything is there after a handover, whatever was taken. */
static void
test_handover(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct swap_error error = { 0 };
	struct area a, b, c, d, other;
	struct swap_object *none;

	(void)state;
	must_attach(env, 0, 16 * MIB);
	a = area_new(env, 200, 0);
	other = area_new(env, 400, 0);
	write_pages(&a, 0, 150, 1);
	push_out(&a, 0, 70, &other);
	b = area_copy(a.object, a.id);
	write_pages(&b, 10, 10, 2);
	c = area_copy(b.object, b.id);
	d = area_copy(b.object, b.id);
	write_pages(&c, 100, 10, 3);
	/* An orphan with two copies. */
	area_end(&b);
	check_ok(swap_pager_close(env->pager, &error), &error);
	assert_int_equal(swap_object_fork(a.object, &none, &error),
			 -ESHUTDOWN);
	write_pages(&a, 0, 200, 9);
	check_pages(&c, 0, 10, 1);
	check_pages(&c, 10, 10, 2);
	check_pages(&c, 20, 80, 1);
	check_pages(&c, 100, 10, 3);
	check_pages(&c, 110, 40, 1);
	write_pages(&c, 0, 200, 8);
	check_pages(&d, 0, 10, 1);
	check_pages(&d, 10, 10, 2);
	check_pages(&d, 20, 130, 1);
	check_pages(&d, 150, 50, 0);
	area_end(&d);
	area_end(&a);
	area_end(&c);
	area_end(&other);
	env_free(env);
}

/* Two mappings of the source: a write through either is seen. */
static void
test_two_regions(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct swap_region *second, *third;
	struct area a, b, c, other;
	uint64_t *mem;

	(void)state;
	must_attach(env, 0, 16 * MIB);
	a = area_new(env, 100, 0);
	other = area_new(env, 600, 0);
	assert_int_equal(swap_object_map(a.object, NULL, 0, 100 * PAGE,
					 &second, NULL), 0);
	mem = swap_region_address(second);
	write_pages(&a, 0, 60, 1);
	push_out(&a, 0, 20, &other);
	/* Half of it was never touched through the second. */
	for (uint64_t i = 40; i < 80; i++)
		put(mem + i * WORDS, a.id, i, 1);
	b = area_copy(a.object, a.id);
	for (uint64_t i = 0; i < 100; i++)
		put(mem + i * WORDS, a.id, i, 2);
	check_pages(&b, 0, 80, 1);
	check_pages(&b, 80, 20, 0);
	check_pages(&a, 0, 100, 2);
	/* One that joins later. */
	c = area_copy(a.object, a.id);
	assert_int_equal(swap_object_map(a.object, NULL, 0, 100 * PAGE, &third,
					 NULL), 0);
	mem = swap_region_address(third);
	for (uint64_t i = 0; i < 100; i++)
		put(mem + i * WORDS, a.id, i, 3);
	check_pages(&c, 0, 100, 2);
	check_pages(&a, 0, 100, 3);
	assert_int_equal(swap_region_unmap(second), 0);
	assert_int_equal(swap_region_unmap(third), 0);
	area_end(&a);
	area_end(&b);
	area_end(&c);
	area_end(&other);
	env_end(env);
}

struct counter {
	struct env	*env;
	const struct area *a;
	_Atomic uint64_t n;
};

/* Counts in the first word of a page. */
static void *
counter_main(void *arg)
{
	struct counter *c = arg;

	while (!atomic_load(&c->env->stop)) {
		__atomic_store_n(c->a->mem, c->n + 1, __ATOMIC_RELAXED);
		c->n++;
	}
	return NULL;
}

/*
 * A page is about to become writable, by a decision that is older than the copy:
 * that waits for it.
 */
static void
test_opening(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct counter counter = { .env = env };
	struct area a, b, other;
	uint64_t n = 0;
	pthread_t thread;

	(void)state;
	must_attach(env, 0, 4 * MIB);
	a = area_new(env, 10, 0);
	other = area_new(env, 600, 0);
	counter.a = &a;
	for (unsigned round = 0; round < 3; round++) {
		bool opening = false;

		write_pages(&a, 0, 1, 1);
		push_out(&a, 0, 1, &other);
		check_pages(&a, 0, 1, 1);
		atomic_store(&env->stop, false);
		counter.n = 0;
		fault.unprotect_slow = 100000;
		pthread_create(&thread, NULL, counter_main, &counter);
		while (!opening) {
			object_lock(a.object);
			opening = a.object->opening > 0;
			object_unlock(a.object);
		}
		b = area_copy(a.object, a.id);
		n = counter.n;
		fault.unprotect_slow = 0;
		while (counter.n < n + 100)
			usleep(1000);
		assert_true(b.mem[0] <= n + 1 || wrong(b.mem, b.id, 0, 1) == 0);
		atomic_store(&env->stop, true);
		pthread_join(thread, NULL);
		area_end(&b);
	}
	area_end(&a);
	area_end(&other);
	env_end(env);
}

/* Nothing can be protected: there is no copy, and all else is as it was. */
static void
test_refused(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct swap_error error = { 0 };
	struct swap_object *none;
	struct area a;

	(void)state;
	must_attach(env, 0, 4 * MIB);
	a = area_new(env, 100, 0);
	write_pages(&a, 0, 100, 1);
	fault.request = UFFDIO_WRITEPROTECT;
	fault.request_errno = ENOMEM;
	fault.request_times = 1;
	assert_int_equal(swap_object_fork(a.object, &none, &error), -ENOMEM);
	assert_non_null(strstr(error.message, "protected"));
	fault.request_times = 0;
	wait_objects(env, 1);
	write_pages(&a, 0, 100, 2);
	check_pages(&a, 0, 100, 2);
	area_end(&a);
	env_end(env);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(write),
		TEST(kernel),
		TEST(chain),
		TEST(children),
		TEST(release),
		TEST(release_wired),
		TEST(zeros),
		TEST(detach),
		TEST(get),
		TEST(little_room),
		TEST(full_fails),
		TEST(poison),
		TEST(orphan),
		TEST(orphan_name),
		TEST(generations),
		TEST(daemon),
		TEST(lift),
		TEST(handover),
		TEST(two_regions),
		TEST(opening),
		TEST(refused),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
