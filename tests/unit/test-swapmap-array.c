/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test-swapmap-array.c - how an array keeps its slots
 *
 * The source is included, so that units can be counted and faults be planted.
 */
#include "swapmap-fixture.h"

#include <stdlib.h>
#include <string.h>

#include "swapmap-array.c"

static struct swapmap *
array(uint64_t npages)
{
	return create(SWAPMAP_ARRAY, npages, -1);
}

static bool
is_wide(const struct swapmap *map, uint64_t page)
{
	return half_at(map, page / HALF_SLOTS).wide;
}

/* Units that the directory names. */
static uint64_t
units_used(const struct swapmap *map)
{
	return map->array.fresh - 1 - map->array.nfree;
}

/* ---------------------------------------------------------------- width */

/* The largest block that fits a narrow slot, and the first that does not. */
static void
test_border(void **state)
{
	struct swapmap *map = array(5000);

	(void)state;
	set(map, 0, 0);
	set(map, 1, WIDE_BLOCK - 1);
	set(map, 2, POISON);
	assert_false(is_wide(map, 0));
	assert_int_equal(swapmap_get(map, 1), WIDE_BLOCK - 1);
	assert_int_equal(swapmap_get(map, 2), POISON);
	set(map, 511, WIDE_BLOCK);
	assert_true(is_wide(map, 0));
	assert_int_equal(swapmap_get(map, 0), 0);
	assert_int_equal(swapmap_get(map, 1), WIDE_BLOCK - 1);
	assert_int_equal(swapmap_get(map, 2), POISON);
	assert_int_equal(swapmap_get(map, 511), WIDE_BLOCK);
	assert_int_equal(swapmap_run(map, 1, 9), 1);
	/* A half that is wide from its first block on. */
	set(map, 4999, SWAPMAP_BLOCK_MAX);
	assert_true(is_wide(map, 4999));
	assert_int_equal(swapmap_get(map, 4999), SWAPMAP_BLOCK_MAX);
	assert_int_equal(swapmap_check(map), 0);
	swapmap_destroy(map);
}

/* Blocks that follow one another, up to poison and across the width. */
static void
test_border_runs(void **state)
{
	struct swapmap *map = array(5000);
	struct report report = { 0 };

	(void)state;
	set(map, 1, WIDE_BLOCK - 2);
	set(map, 2, WIDE_BLOCK - 1);
	set(map, 3, POISON);
	set(map, 4, POISON);
	assert_false(is_wide(map, 0));
	assert_int_equal(swapmap_clear(map, 0, 10, report_add, &report), 4);
	assert_true(report.nblocks == 2 && report.nranges == 1);
	for (uint64_t page = 510; page < 514; page++)
		set(map, page, WIDE_BLOCK - 512 + page);
	assert_false(is_wide(map, 511));
	assert_true(is_wide(map, 512));
	assert_int_equal(swapmap_run(map, 510, 9), 4);
	memset(&report, 0, sizeof(report));
	assert_int_equal(swapmap_clear(map, 0, 5000, report_add, &report), 4);
	assert_true(report.nblocks == 4 && report.nranges == 1);
	/* The largest of all, and poison behind it. */
	set(map, 1, SWAPMAP_BLOCK_MAX - 1);
	set(map, 2, SWAPMAP_BLOCK_MAX);
	set(map, 3, POISON);
	set(map, 4, POISON);
	set(map, 5, 7);
	memset(&report, 0, sizeof(report));
	assert_int_equal(swapmap_clear(map, 0, 5000, report_add, &report), 5);
	assert_true(report.nblocks == 3 && report.nranges == 2);
	swapmap_destroy(map);
}

/* Two halves share a unit; one after the other gets its own. */
static void
test_halves(void **state)
{
	struct swapmap *map = array(2000);

	(void)state;
	for (uint64_t page = 0; page < 1024; page++)
		set(map, page, page);
	assert_int_equal(units_used(map), 1);
	set(map, 512, WIDE_BLOCK);
	assert_int_equal(units_used(map), 2);
	assert_false(is_wide(map, 511));
	set(map, 511, WIDE_BLOCK);
	assert_int_equal(units_used(map), 2);
	for (uint64_t page = 0; page < 1024; page++)
		assert_int_equal(swapmap_get(map, page), page == 511 ||
				 page == 512 ? WIDE_BLOCK : page);
	assert_int_equal(swapmap_check(map), 0);
	/* A wide half that was cleared is narrow when it comes back. */
	assert_int_equal(swapmap_clear(map, 512, 512, NULL, NULL), 512);
	assert_int_equal(units_used(map), 1);
	set(map, 600, 1);
	assert_int_equal(units_used(map), 2);
	assert_false(is_wide(map, 600));
	assert_int_equal(swapmap_check(map), 0);
	swapmap_destroy(map);
}

/* What a half had before it went wide is not found when it comes back. */
static void
test_no_ghosts(void **state)
{
	struct swapmap *map = array(1024);

	(void)state;
	for (uint64_t page = 0; page < 1024; page++)
		set(map, page, page);
	set(map, 7, WIDE_BLOCK);
	assert_int_equal(swapmap_clear(map, 0, 512, NULL, NULL), 512);
	set(map, 100, 5);
	assert_int_equal(units_used(map), 1);
	assert_int_equal(swapmap_count(map), 513);
	for (uint64_t page = 0; page < 512; page++)
		assert_int_equal(swapmap_get(map, page),
				 page == 100 ? 5 : NONE);
	assert_int_equal(swapmap_check(map), 0);
	swapmap_destroy(map);
}

/* ------------------------------------------------------------- promises */

/* One unit is kept back for each narrow half with prepared pages. */
static void
test_promises(void **state)
{
	struct swapmap *map = array(4096);

	(void)state;
	assert_int_equal(swapmap_prepare(map, 500, 24), 0);
	assert_int_equal(map->array.npromised, 2);
	assert_int_equal(units_used(map), 1);
	assert_int_equal(swapmap_prepare(map, 0, 10), 0);
	assert_int_equal(map->array.npromised, 2);
	set(map, 505, WIDE_BLOCK);
	assert_int_equal(map->array.npromised, 1);
	assert_true(is_wide(map, 0));
	swapmap_unprepare(map, 500, 24);
	assert_int_equal(map->array.npromised, 0);
	/* The second half is empty now; the first has held pages and one. */
	assert_int_equal(units_used(map), 1);
	assert_int_equal(swapmap_clear(map, 0, 4096, NULL, NULL), 1);
	assert_int_equal(units_used(map), 1);
	swapmap_unprepare(map, 0, 10);
	assert_int_equal(units_used(map), 0);
	/* To set the last prepared page ends the promise too. */
	assert_int_equal(swapmap_prepare(map, 1, 2), 0);
	set(map, 1, 1);
	assert_int_equal(map->array.npromised, 1);
	set(map, 2, POISON);
	assert_int_equal(map->array.npromised, 0);
	/* What cannot be prepared as a whole is not in part. */
	starve(map);
	assert_int_equal(swapmap_prepare(map, 0, 4096), -ENOMEM);
	assert_int_equal(map->array.npromised, 0);
	assert_int_equal(units_used(map), 1);
	assert_int_equal(swapmap_check(map), 0);
	swapmap_destroy(map);
}

/* A mapped page that is not prepared may need room for a large block. */
static void
test_widen_refused(void **state)
{
	struct swapmap *map = array(4096);
	uint64_t old = 1234;

	(void)state;
	for (uint64_t page = 0; page < 4096; page++)
		set(map, page, page);
	starve(map);
	while (units_ensure(map, 1) == 0)
		(void)unit_take(map);
	assert_int_equal(swapmap_set(map, 9, WIDE_BLOCK, &old), -ENOMEM);
	assert_int_equal(old, 1234);
	assert_int_equal(swapmap_get(map, 9), 9);
	set(map, 9, POISON);
	set(map, 10, WIDE_BLOCK - 1);
	assert_int_equal(swapmap_count(map), 4096);
	swapmap_destroy(map);
}

/* ----------------------------------------------------------------- cost */

static void
test_cost(void **state)
{
	struct swapmap *map = array(1 << 20);
	size_t empty = swapmap_memory(map);

	(void)state;
	/* Memory follows use, wherever that begins. */
	set(map, (1 << 20) - 1, 5);
	assert_true(swapmap_memory(map) <= empty + 3 * sizeof(struct unit));
	for (uint64_t page = 0; page < 1 << 20; page++)
		set(map, page, page);
	assert_int_equal(units_used(map), 1024);
	assert_true(units_used(map) * sizeof(struct unit) < (42u << 20) / 10);
	assert_true(swapmap_memory(map) < (48u << 20) / 10);
	/* What is cleared serves again. */
	assert_int_equal(swapmap_clear(map, 0, 1 << 19, NULL, NULL), 1 << 19);
	assert_int_equal(map->array.nfree, 512);
	swapmap_destroy(map);

	/* Small objects: no longer than they need. */
	map = array(64);
	set(map, 5, 5);
	set(map, 6, WIDE_BLOCK);
	assert_true(map->arena.size <= 2 * SWAPMAP_START);
	swapmap_destroy(map);
}

/* ------------------------------------------------------- planted faults */

/* Pages in three halves, a wide one among them, and one that is held. */
static struct swapmap *
planted_map(void)
{
	struct swapmap *map = array(1700);

	set(map, 0, 10);
	set(map, 600, 11);
	set(map, 1600, WIDE_BLOCK);
	assert_int_equal(swapmap_prepare(map, 20, 1), 0);
	set(map, 1100, 3);
	set(map, 1100, NONE);
	return map;
}

static void
test_planted(void **state)
{
	struct swapmap *map = planted_map();
	struct half h = half_at(map, 0), wide = half_at(map, 3);
	_Atomic uint32_t *entry = map->array.entry;

	(void)state;
	/* A1 */
	PLANT(map, entry[1], (uint32_t)entry[3]);
	PLANT(map, entry[2], (uint32_t)(entry[0] & ~WIDE));
	PLANT(map, entry[2], (uint32_t)entry[3]);
	PLANT(map, entry[1], (uint32_t)map->array.fresh << 1);
	PLANT(map, entry[1], UINT32_MAX);
	PLANT(map, entry[1], 1u);
	/* A2 */
	PLANT(map, entry[3], 0u);
	PLANT(map, map->array.nfree, map->array.nfree + 1);
	PLANT(map, map->array.nfree, UINT64_C(0));
	PLANT(map, map->array.free_head, (uint32_t)entry[0] >> 1);
	PLANT(map, map->array.fresh, map->array.fresh + 1);
	PLANT(map, map->array.fresh, UINT64_C(0));
	PLANT(map, map->array.fresh, UINT64_MAX / sizeof(struct unit));
	/* A3 */
	PLANT(map, h.unit->nused[0], (uint16_t)2);
	PLANT(map, h.unit->nheld[0], (uint16_t)0);
	PLANT(map, h.unit->held[0], UINT64_C(3) << 20);
	PLANT(map, h.unit->narrow[600], 0u);
	PLANT(map, wide.unit->held[7], UINT64_C(1) << 63);
	/* A4 */
	PLANT(map, map->array.npromised, UINT64_C(0));
	PLANT(map, map->array.npromised, UINT64_C(2));
	/* A5 */
	PLANT(map, map->count, map->count + 1);
	PLANT(map, h.unit->narrow[1], 1u);
	/* A6 */
	PLANT(map, wide.unit->wide[1600 - 1536], SWAPMAP_HELD | 5);
	PLANT(map, map->npages, UINT64_C(1699));
	swapmap_destroy(map);
}

/* Halves that a crash left without values are free for the successor. */
static void
test_load_frees(void **state)
{
	struct swapmap *map = create(SWAPMAP_ARRAY, 5000, dir_of(state));

	set(map, 0, 1);
	set(map, 600, 1);
	set(map, 1100, 1);
	set(map, 1600, WIDE_BLOCK);
	set(map, 2100, 1);
	/* As if a process had died before it pruned the half. */
	for (uint64_t page = 600; page <= 1600; page += 500) {
		struct half h = half_at(map, page / HALF_SLOTS);

		slot_store(h.unit, h.wide, side_slot(h) + page % HALF_SLOTS,
			   0);
	}
	assert_int_equal(swapmap_check(map), -EBADMSG);
	swapmap_destroy(map);
	assert_int_equal(swapmap_open(dir_of(state), NAME, NULL, &map), 0);
	assert_int_equal(swapmap_check(map), 0);
	assert_int_equal(swapmap_count(map), 2);
	assert_int_equal(units_used(map), 2);
	assert_int_equal(map->array.nfree, 2);
	assert_int_equal(entry_load(map, 1), 0);
	swapmap_destroy(map);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_border),
		TEST(test_border_runs),
		TEST(test_halves),
		TEST(test_no_ghosts),
		TEST(test_promises),
		TEST(test_widen_refused),
		TEST(test_cost),
		TEST(test_planted),
		TEST(test_load_frees),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
