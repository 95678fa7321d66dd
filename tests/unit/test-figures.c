/* SPDX-License-Identifier: BSD-2-Clause */
/* Unit tests of the figures that swapctl and swaptop print. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cmd/figures.h"
#include "cmd/object-tree.h"
#include "compiler.h"

static void
test_size(void **state)
{
	static const struct {
		uint64_t	bytes;
		const char	*text;
	} cases[] = {
		{ 0, "0B" }, { 1023, "1023B" }, { 1024, "1K" },
		{ 1536, "1.5K" }, { 10240, "10K" },
		{ UINT64_C(101888), "99.5K" },		/* 99.50 */
		{ UINT64_C(102348), "99.9K" },		/* 99.9492 */
		{ UINT64_C(102400), "100K" },
		{ UINT64_C(1048063), "1023K" },		/* 1023.499 */
		{ UINT64_C(1048064), "1M" },		/* 1023.5 */
		{ (UINT64_C(1) << 30) - 8192, "1G" },
		{ UINT64_C(3) << 29, "1.5G" },
		{ UINT64_MAX, "16E" },
	};
	char buf[FIGURE_LEN];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_string_equal(figure_size(cases[i].bytes, buf,
						sizeof(buf)), cases[i].text);
}

/* Whatever the size, a column of five holds it. */
static void
test_size_is_narrow(void **state)
{
	char buf[FIGURE_LEN];
	uint64_t bytes = 1;

	(void)state;
	for (int shift = 0; shift < 64; shift++, bytes <<= 1) {
		for (uint64_t part = 0; part < 1024; part++) {
			uint64_t more = shift < 10 ? 0 :
					(bytes >> 10) * part;

			figure_size(bytes + more, buf, sizeof(buf));
			assert_in_range(strlen(buf), 2, 5);
			assert_null(strstr(buf, ".0"));
		}
	}
}

static void
test_count(void **state)
{
	char buf[FIGURE_LEN], tiny[5];

	(void)state;
	assert_string_equal(figure_count(0, buf, sizeof(buf)), "0");
	assert_string_equal(figure_count(999, buf, sizeof(buf)), "999");
	assert_string_equal(figure_count(1000, buf, sizeof(buf)), "1,000");
	assert_string_equal(figure_count(123456, buf, sizeof(buf)),
			    "123,456");
	assert_string_equal(figure_count(UINT64_MAX, buf, sizeof(buf)),
			    "18,446,744,073,709,551,615");
	assert_in_range(strlen(figure_count(123456, tiny, sizeof(tiny))), 1,
			4);
}

static void
test_span(void **state)
{
	char buf[FIGURE_LEN];
	const uint64_t sec = 1000000;

	(void)state;
	assert_string_equal(figure_span(59 * sec, buf, sizeof(buf)), "59s");
	assert_string_equal(figure_span(60 * sec, buf, sizeof(buf)), "1m 0s");
	assert_string_equal(figure_span(3599 * sec, buf, sizeof(buf)),
			    "59m 59s");
	assert_string_equal(figure_span(7800 * sec, buf, sizeof(buf)),
			    "2h 10m");
	assert_string_equal(figure_span(90000 * sec, buf, sizeof(buf)),
			    "1d 1h");
}

static void
test_percent(void **state)
{
	(void)state;
	assert_int_equal(figure_percent(0, 0), 0);
	assert_int_equal(figure_percent(5, 0), 0);
	assert_int_equal(figure_percent(0, 10), 0);
	assert_int_equal(figure_percent(10, 10), 100);
	assert_int_equal(figure_percent(11, 10), 100);
	/* Not quite empty, not quite full. */
	assert_int_equal(figure_percent(1, UINT64_MAX), 1);
	assert_int_equal(figure_percent(999999, 1000000), 99);
	assert_int_equal(figure_percent(1, 3), 33);
	assert_int_equal(figure_percent(2, 3), 67);
}

static void
test_bar(void **state)
{
	char buf[FIGURE_BAR_LEN];

	(void)state;
	assert_string_equal(figure_bar(1, 2, 8, false, buf), "####....");
	assert_string_equal(figure_bar(0, 2, 4, false, buf), "....");
	assert_string_equal(figure_bar(2, 2, 4, false, buf), "####");
	/* One page short of the end is not the end. */
	assert_string_equal(figure_bar(999, 1000, 4, false, buf), "###.");
	assert_string_equal(figure_bar(1, 2, 2, true, buf),
			    "\u2588\u2591");
	assert_int_equal(strlen(figure_bar(1, 2, 10000, true, buf)),
			 FIGURE_BAR_LEN - 1);
	assert_string_equal(figure_bar(1, 2, 0, true, buf), "");
}

static void
test_name(void **state)
{
	char buf[64];

	(void)state;
	assert_string_equal(figure_name("/dev/sda", 8, false, buf,
					sizeof(buf)), "/dev/sda");
	assert_string_equal(figure_name("/dev/sda1", 8, false, buf,
					sizeof(buf)), "..v/sda1");
	assert_string_equal(figure_name("/dev/sda1", 8, true, buf,
					sizeof(buf)), "\u2026ev/sda1");
	/* The cut would fall into the middle of the first "\u00e9". */
	assert_string_equal(figure_name("/a/\u00e9\u00e9z", 4, false, buf,
					sizeof(buf)), "..z");
	assert_string_equal(figure_name("/dev/sda1", 0, false, buf,
					sizeof(buf)), "");
}

static void
test_device(void **state)
{
	struct swap_device_stats device = {
		.size_bytes = 100, .used_bytes = 60, .bad_bytes = 10,
	};
	char buf[FIGURE_LEN];

	(void)state;
	assert_int_equal(device_avail_bytes(&device), 30);
	assert_string_equal(device_flag_words(&device, buf, sizeof(buf)),
			    "-");
	device.flags = SWAP_DEVICE_DEGRADED;
	assert_int_equal(device_avail_bytes(&device), 30);
	device.flags = SWAP_DEVICE_CLOSING;
	assert_int_equal(device_avail_bytes(&device), 0);
	device.flags = SWAP_DEVICE_GONE;
	assert_int_equal(device_avail_bytes(&device), 0);
	device.flags |= SWAP_DEVICE_CLOSING | SWAP_DEVICE_DEGRADED;
	assert_string_equal(device_flag_words(&device, buf, sizeof(buf)),
			    "closing,degraded,gone");
	device.flags = 0;
	device.bad_bytes = 50;
	assert_int_equal(device_avail_bytes(&device), 0);
}

static void
test_sort(void **state)
{
	struct swap_object_stats objects[] = {
		{ .id = 1, .swapped_bytes = 5, .resident_bytes = 1 },
		{ .id = 2, .swapped_bytes = 9 },
		{ .id = 4, .swapped_bytes = 5, .resident_bytes = 7 },
		{ .id = 3, .swapped_bytes = 5, .resident_bytes = 1 },
	};
	static const uint64_t order[] = { 2, 4, 1, 3 };
	struct swap_stats stats = { .nobjects = 4, .objects = objects };

	(void)state;
	stats_sort_objects(&stats);
	for (size_t i = 0; i < ARRAY_SIZE(order); i++)
		assert_int_equal(objects[i].id, order[i]);
}

/* Copies come behind their sources, at any depth; nonsense is a root. */
static void
test_tree(void **state)
{
	static const struct swap_object_stats objects[] = {
		{ .id = 4, .source_id = 2 },
		{ .id = 9, .source_id = 4, .name = "named" },
		{ .id = 1 },
		{ .id = 2, .orphan = true, .name = "heap" },
		{ .id = 5, .source_id = 2 },
		{ .id = 7, .source_id = 6 },
		{ .id = 8, .source_id = 8 },
		{ .id = 3, .source_id = 9 },
	};
	static const uint64_t wanted[] = { 1, 2, 4, 9, 5, 7, 8, 3 };
	static const unsigned deep[] = { 0, 0, 1, 2, 1, 0, 0, 0 };
	size_t order[] = { 0, 1, 2, 3, 4, 5, 6, 7 };
	unsigned depths[ARRAY_SIZE(order)];
	char buf[OBJECT_LABEL_LEN];

	(void)state;
	assert_int_equal(object_tree(objects, order, depths, 0), 0);
	assert_int_equal(object_tree(objects, order, depths,
				     ARRAY_SIZE(order)), 0);
	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		assert_int_equal(objects[order[i]].id, wanted[i]);
		assert_int_equal(depths[i], deep[i]);
	}
	assert_string_equal(object_label(&objects[0], 1, buf, sizeof(buf)),
			    "  copy of 2");
	assert_string_equal(object_label(&objects[1], 2, buf, sizeof(buf)),
			    "    named");
	assert_string_equal(object_label(&objects[2], 0, buf, sizeof(buf)),
			    "-");
	assert_string_equal(object_label(&objects[3], 0, buf, sizeof(buf)),
			    "heap (gone)");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_size),
		cmocka_unit_test(test_size_is_narrow),
		cmocka_unit_test(test_count),
		cmocka_unit_test(test_span),
		cmocka_unit_test(test_percent),
		cmocka_unit_test(test_bar),
		cmocka_unit_test(test_name),
		cmocka_unit_test(test_device),
		cmocka_unit_test(test_sort),
		cmocka_unit_test(test_tree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
