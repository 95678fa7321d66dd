/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What lies where on a device: cells of any range agree with what the device
 * counts, and owners with the objects' own maps, in pieces of any size.
 */
#include "pager-fixture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "space-impl.h"
#include "util.h"

#define BLOCKS_MAX	8192u

/* The device's map without cells: its path and its number of blocks. */
static uint64_t
blocks_of(struct env *env, unsigned i)
{
	struct swap_device_map map;
	uint64_t n;

	assert_int_equal(swap_pager_map(env->pager, env->device[i], 0, &map,
					NULL), 0);
	n = map.nblocks;
	swap_device_map_clear(&map);
	assert_in_range(n, 1, BLOCKS_MAX);
	return n;
}

static uint64_t
free_in(struct env *env, unsigned i, uint64_t first, uint64_t n, size_t ncells)
{
	struct swap_range_cell *cells = calloc(ncells, sizeof(*cells));
	struct swap_error error = { 0 };
	uint64_t sum = 0;

	assert_non_null(cells);
	check_ok(swap_pager_range(env->pager, env->device[i], first, n, ncells,
				  cells, &error), &error);
	for (size_t k = 0; k < ncells; k++) {
		assert_in_range(cells[k].nfree, 0, n * (k + 1) / ncells -
				n * k / ncells);
		sum += cells[k].nfree;
	}
	free(cells);
	return sum;
}

/* Every way of cutting a range into cells finds the same. */
static void
test_range(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct swap_stats stats;
	struct area a;
	uint64_t n, used;

	(void)state;
	must_attach(env, 0, 8 * MIB);
	a = area_new(env, 1024, 0);
	write_pages(&a, 0, 1024, 1);
	for (uint64_t i = 0; i < 1024; i += 3)
		assert_int_equal(swap_region_release(a.region, i * PAGE, PAGE),
				 0);
	/* Nothing goes in or out any more. */
	while (totals_of(env).resident_bytes > MIB)
		continue;
	n = blocks_of(env, 0);
	stats = stats_of(env);
	used = stats.devices[0].used_bytes / PAGE;
	assert_int_equal(n * PAGE - stats.devices[0].size_bytes, 8192);
	swap_stats_clear(&stats);
	assert_int_equal(free_in(env, 0, 0, n, n), n - 2 - used);
	for (size_t ncells = 1; ncells <= n; ncells = ncells * 2 + 1)
		assert_int_equal(free_in(env, 0, 0, n, ncells), n - 2 - used);
	for (uint64_t first = 0; first < n; first += 97) {
		uint64_t most = min_u64(n - first, 500), sum = 0;

		for (uint64_t k = 0; k < most; k++)
			sum += free_in(env, 0, first + k, 1, 1);
		assert_int_equal(free_in(env, 0, first, most, 1), sum);
		assert_int_equal(free_in(env, 0, first, most, most), sum);
	}
	/* The label is never free. */
	assert_int_equal(free_in(env, 0, 0, 2, 2), 0);
	check_pages(&a, 1, 2, 1);
	area_end(&a);
	env_end(env);
}

static void
test_refusals(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct swap_owners_place place = { 0 };
	struct swap_range_cell cells[8];
	struct swap_owner owners[2];
	struct swap_error error;
	const char *path;
	uint64_t n;

	(void)state;
	must_attach(env, 0, 4 * MIB);
	path = env->device[0];
	n = blocks_of(env, 0);
	assert_int_equal(swap_pager_range(env->pager, "/none", 0, 1, 1, cells,
					  &error), -ENXIO);
	assert_int_equal(swap_pager_range(env->pager, path, 0, 0, 1, cells,
					  &error), -EINVAL);
	assert_int_equal(swap_pager_range(env->pager, path, n, 1, 1, cells,
					  &error), -EINVAL);
	assert_int_equal(swap_pager_range(env->pager, path, 1, n, 1, cells,
					  &error), -EINVAL);
	assert_int_equal(swap_pager_range(env->pager, path, 1, UINT64_MAX, 1,
					  cells, &error), -EINVAL);
	assert_int_equal(swap_pager_range(env->pager, path, 0, n, 0, cells,
					  &error), -EINVAL);
	assert_int_equal(swap_pager_range(env->pager, path, 0, 4, 5, cells,
					  &error), -EINVAL);
	assert_int_equal(swap_pager_owners(env->pager, "/none", 0, 1, &place,
					   owners, 2, &error), -ENXIO);
	assert_int_equal(swap_pager_owners(env->pager, path, n, 1, &place,
					   owners, 2, &error), -EINVAL);
	assert_int_equal(swap_pager_owners(env->pager, path, 0, n, &place,
					   owners, 0, &error), -EINVAL);
	assert_false(place.done);
	assert_int_equal(swap_pager_owners(env->pager, path, 0, n, &place,
					   owners, 2, &error), 0);
	assert_true(place.done);
	env_end(env);
}

/* ----------------------------------------------------------------- owners */

static uint64_t
first_block(struct env *env, unsigned i)
{
	struct swap_stats stats = stats_of(env);
	uint64_t first = UINT64_MAX;

	for (size_t k = 0; k < stats.ndevices; k++)
		if (strcmp(stats.devices[k].path, env->device[i]) == 0)
			first = stats.devices[k].first_block;
	swap_stats_clear(&stats);
	assert_true(first != UINT64_MAX);
	return first;
}

/* The blocks of a range that @a has, by its own map. */
static uint64_t
mapped(const struct area *a, uint64_t begin, uint64_t first, uint64_t n)
{
	uint64_t sum = 0;

	object_lock(a->object);
	for (uint64_t page = 0; page < a->npages; page++) {
		uint64_t block = swapmap_get(a->object->map, page);

		sum += block >= begin + first && block < begin + first + n;
	}
	object_unlock(a->object);
	return sum;
}

static void
check_owner(const struct area *areas, const struct swap_owner *o,
	    uint64_t begin, uint8_t *seen)
{
	const struct area *a = areas;

	while (a->object->id != o->object)
		a++;
	assert_string_equal(o->name, a->object->name);
	assert_int_equal(o->pid, a->object->pid);
	for (uint64_t k = 0; k < o->nblocks; k++) {
		object_lock(a->object);
		assert_int_equal(swapmap_get(a->object->map, o->page + k),
				 begin + o->block + k);
		object_unlock(a->object);
		/* Each block once. */
		assert_int_equal(seen[o->block + k]++, 0);
	}
}

/* Look for the owners of a range with room for @room at a time. */
static void
check_owners(struct env *env, const struct area areas[2], unsigned device,
	     uint64_t first, uint64_t n, size_t room)
{
	struct swap_owner *owners = calloc(room, sizeof(*owners));
	uint8_t *seen = calloc(BLOCKS_MAX, 1);
	uint64_t begin = first_block(env, device), sum = 0;
	struct swap_owners_place place = { 0 };
	struct swap_error error = { 0 };

	assert_true(owners != NULL && seen != NULL);
	while (!place.done) {
		int64_t found = swap_pager_owners(env->pager,
				env->device[device], first, n, &place, owners,
				room, &error);

		assert_in_range(found, 0, room);
		for (int64_t i = 0; i < found; i++) {
			assert_true(owners[i].block >= first &&
				    owners[i].nblocks > 0);
			check_owner(areas, &owners[i], begin, seen);
			sum += owners[i].nblocks;
		}
	}
	assert_int_equal(sum, mapped(&areas[0], begin, first, n) +
			 mapped(&areas[1], begin, first, n));
	free(owners);
	free(seen);
}

static void
test_owners(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct area areas[2];
	uint64_t n;

	(void)state;
	must_attach(env, 0, 8 * MIB);
	must_attach(env, 1, 8 * MIB);
	areas[0] = area_new(env, 1500, 0);
	areas[1] = area_new(env, 900, 0);
	write_pages(&areas[0], 0, 1500, 1);
	write_pages(&areas[1], 0, 900, 1);
	for (uint64_t i = 0; i < 900; i += 4)
		assert_int_equal(swap_region_release(areas[1].region, i * PAGE,
						     PAGE), 0);
	/* Quiet: what is in RAM fits, so that nothing moves meanwhile. */
	while (totals_of(env).resident_bytes > MIB * 7 / 8)
		(void)swap_object_flush(areas[0].object, 0, 1500 * PAGE,
					SWAP_FLUSH_DEACTIVATE, NULL);
	for (unsigned device = 0; device < 2; device++) {
		n = blocks_of(env, device);
		check_owners(env, areas, device, 0, n, SWAP_OWNERS_MAX);
		check_owners(env, areas, device, 0, n, 7);
		check_owners(env, areas, device, 0, n, 1);
		check_owners(env, areas, device, 100, 333, 5);
		check_owners(env, areas, device, n - 1, 1, 1);
	}
	area_end(&areas[0]);
	area_end(&areas[1]);
	env_end(env);
}

/* ------------------------------------------------------------- bad blocks */

static void
test_bad(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct swap_range_cell cells[64];
	struct swap_stats stats;
	struct area a;
	uint64_t bad = 0;

	(void)state;
	must_attach(env, 0, 8 * MIB);
	a = area_new(env, 1200, 0);
	fault.write_lo = 32;
	fault.write_hi = 40;
	write_pages(&a, 0, 1200, 1);
	check_pages(&a, 0, 1200, 1);
	fault.write_lo = fault.write_hi = 0;
	assert_int_equal(swap_pager_range(env->pager, env->device[0], 0, 64,
					  64, cells, NULL), 0);
	for (unsigned i = 0; i < 64; i++) {
		assert_in_range(cells[i].nbad, 0, 1);
		/* What is bad is not free. */
		assert_true(cells[i].nbad == 0 || cells[i].nfree == 0);
		if (i >= 32 && i < 40)
			assert_int_equal(cells[i].nbad, 1);
		bad += cells[i].nbad;
	}
	stats = stats_of(env);
	assert_int_equal(stats.devices[0].bad_bytes, bad * PAGE);
	swap_stats_clear(&stats);
	area_end(&a);
	env_end(env);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(range),
		TEST(refusals),
		TEST(owners),
		TEST(bad),
	};

	return cmocka_run_group_tests_name("owners", tests, NULL, NULL);
}
