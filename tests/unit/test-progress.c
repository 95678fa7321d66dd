/* SPDX-License-Identifier: BSD-2-Clause */
/* Unit tests of the progress of "off": the estimate, and the line drawn. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cmd/progress.h"

#define MIB	(UINT64_C(1) << 20)
#define SEC	UINT64_C(1000000)

static void
report(struct progress *progress, uint64_t done, uint64_t total,
       uint64_t elapsed_usec)
{
	const struct swap_progress r = {
		.done_bytes = done,
		.total_bytes = total,
		.elapsed_usec = elapsed_usec,
	};

	progress_update(progress, &r);
}

/* Seconds left, to the nearest. */
static uint64_t
left_sec(const struct progress *progress)
{
	return (progress_left_usec(progress) + SEC / 2) / SEC;
}

static void
test_steady(void **state)
{
	struct progress progress;

	(void)state;
	progress_init(&progress, "d", 4096);
	report(&progress, 0, 100 * MIB, 0);
	assert_int_equal(progress_left_usec(&progress), PROGRESS_UNKNOWN);
	for (uint64_t i = 1; i <= 40; i++)
		report(&progress, i * MIB, 100 * MIB, i * SEC / 10);
	/* 10 MiB/s, 60 MiB to go. */
	assert_int_equal(left_sec(&progress), 6);
	report(&progress, 100 * MIB, 100 * MIB, 10 * SEC);
	assert_int_equal(progress_left_usec(&progress), 0);
}

/* A burst from the cache must not promise what the disk cannot keep. */
static void
test_burst_then_slow(void **state)
{
	struct progress progress;
	uint64_t t = SEC / 10, done = 500 * MIB;

	(void)state;
	progress_init(&progress, "d", 4096);
	report(&progress, done, 1000 * MIB, t);
	for (int i = 0; i < 200; i++) {
		t += SEC / 10;
		done += MIB;
		report(&progress, done, 1000 * MIB, t);
	}
	/* 10 MiB/s now; the average since the start says 35, 9 s left. */
	assert_in_range(left_sec(&progress), 26, 31);
}

/* The same span in one report or in many weighs about the same. */
static void
test_weight_is_by_time(void **state)
{
	struct progress one, many;

	(void)state;
	progress_init(&one, "d", 4096);
	progress_init(&many, "d", 4096);
	report(&one, 1000 * MIB, 2000 * MIB, 100 * SEC);
	report(&many, 1000 * MIB, 2000 * MIB, 100 * SEC);
	report(&one, 1000 * MIB, 2000 * MIB, 103 * SEC);
	for (uint64_t i = 1; i <= 30; i++)
		report(&many, 1000 * MIB, 2000 * MIB,
		       100 * SEC + i * SEC / 10);
	assert_true(one.rate > 0.4 * 10 * (double)MIB);
	assert_true(one.rate < 0.6 * 10 * (double)MIB);
	assert_true(many.rate > 0.3 * 10 * (double)MIB);
	assert_true(many.rate < 0.6 * 10 * (double)MIB);
}

static void
test_stall(void **state)
{
	struct progress progress;

	(void)state;
	progress_init(&progress, "d", 4096);
	report(&progress, 10 * MIB, 100 * MIB, SEC);
	for (uint64_t i = 1; i <= 2000; i++)
		report(&progress, 10 * MIB, 100 * MIB, SEC + i * SEC / 10);
	assert_int_equal(progress_left_usec(&progress), PROGRESS_UNKNOWN);
}

/* What goes backwards, in time or in bytes, does no harm. */
static void
test_backwards(void **state)
{
	struct progress progress;

	(void)state;
	progress_init(&progress, "d", 4096);
	report(&progress, 50 * MIB, 100 * MIB, 5 * SEC);
	report(&progress, 40 * MIB, 100 * MIB, 5 * SEC);
	report(&progress, 40 * MIB, 100 * MIB, 4 * SEC);
	report(&progress, 30 * MIB, 100 * MIB, 6 * SEC);
	assert_true(progress.rate >= 0);
	assert_true(progress.rate <= 10 * (double)MIB);
	/* More was done than there was: programs gave pages up. */
	report(&progress, 120 * MIB, 100 * MIB, 7 * SEC);
	assert_int_equal(progress_left_usec(&progress), 0);
}

static size_t
columns(const char *text)
{
	size_t n = 0;

	for (; *text != '\0'; text++)
		n += (*text & 0xc0) != 0x80;
	return n;
}

static void
test_line_fits(void **state)
{
	static const char *const names[] = {
		"a", "/dev/loop0", "/var/lib/swapd/a/very/long/name.swap",
		"/\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9",
	};
	char line[1024];

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct progress progress;

		progress_init(&progress, names[i], 4096);
		report(&progress, 3000 * MIB, 123456 * MIB, 50 * SEC);
		for (unsigned width = 0; width < 300; width++) {
			size_t room = width > 3 ? width - 3 : 0;

			progress_line(&progress, width, true, line,
				      sizeof(line));
			assert_in_range(columns(line), 0, room);
			progress_line(&progress, width, false, line,
				      sizeof(line));
			assert_in_range(columns(line), 0, room);
		}
	}
}

static void
test_line_words(void **state)
{
	struct progress progress;
	char line[1024];

	(void)state;
	progress_init(&progress, "/dev/loop0", 4096);
	report(&progress, 25 * MIB, 100 * MIB, SEC);
	progress_line(&progress, 100, false, line, sizeof(line));
	assert_string_equal(line, "/dev/loop0 [#######......................."
			    "]  25%   6,400 of 25,600 pages    25.0 MiB/s  "
			    "0:03 left");
	/* Narrower: first the pages go, then the rate, then the bar. */
	progress_line(&progress, 60, false, line, sizeof(line));
	assert_null(strstr(line, "pages"));
	assert_non_null(strstr(line, "MiB/s"));
	progress_line(&progress, 45, false, line, sizeof(line));
	assert_null(strstr(line, "MiB/s"));
	assert_non_null(strstr(line, "/dev/loop0 [##"));
	progress_line(&progress, 34, false, line, sizeof(line));
	assert_string_equal(line, "/dev/loop0   25%  0:03 left");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_steady),
		cmocka_unit_test(test_burst_then_slow),
		cmocka_unit_test(test_weight_is_by_time),
		cmocka_unit_test(test_stall),
		cmocka_unit_test(test_backwards),
		cmocka_unit_test(test_line_fits),
		cmocka_unit_test(test_line_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
