/* SPDX-License-Identifier: BSD-2-Clause */
/* Parsing, formatting, errors, and the log that does not flood. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "available.h"
#include "log.h"
#include "util.h"

static void
test_sizes(void **state)
{
	static const struct {
		const char *text;
		int rc;
		uint64_t bytes;
	} cases[] = {
		{ "0", 0, 0 },
		{ "4096", 0, 4096 },
		{ "4096B", 0, 4096 },
		{ "1k", 0, 1024 },
		{ "1K", 0, 1024 },
		{ "1KB", 0, 1024 },
		{ "1KiB", 0, 1024 },
		{ "3m", 0, UINT64_C(3) << 20 },
		{ "2GiB", 0, UINT64_C(2) << 30 },
		{ "16777215T", 0, UINT64_C(16777215) << 40 },
		{ "16777216T", -ERANGE, 0 },
		{ "18446744073709551615", 0, UINT64_MAX },
		{ "18446744073709551616", -ERANGE, 0 },
		{ "", -EINVAL, 0 },
		{ "-1", -EINVAL, 0 },
		{ "+1", -EINVAL, 0 },
		{ " 1", -EINVAL, 0 },
		{ "1 M", -EINVAL, 0 },
		{ "1 ", -EINVAL, 0 },
		{ "1MM", -EINVAL, 0 },
		{ "1P", -EINVAL, 0 },
		{ "0x10", -EINVAL, 0 },
		{ "1.5G", -EINVAL, 0 },
		{ "M", -EINVAL, 0 },
		{ "1\x0b", -EINVAL, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t bytes = 0;
		int rc = parse_size(cases[i].text, &bytes);

		if (rc != cases[i].rc || bytes != cases[i].bytes)
			fail_msg("'%s': %d, %llu", cases[i].text, rc,
				 (unsigned long long)bytes);
	}
}

static void
test_numbers(void **state)
{
	int64_t value = 0;

	(void)state;
	assert_int_equal(parse_i64("32767", 0, 32767, &value), 0);
	assert_int_equal(value, 32767);
	assert_int_equal(parse_i64("-5", -10, 10, &value), 0);
	assert_int_equal(value, -5);
	assert_int_equal(parse_i64("32768", 0, 32767, &value), -ERANGE);
	assert_int_equal(parse_i64("99999999999999999999", 0, INT64_MAX,
				   &value), -ERANGE);
	assert_int_equal(parse_i64("", 0, 9, &value), -EINVAL);
	assert_int_equal(parse_i64("-", -9, 9, &value), -EINVAL);
	assert_int_equal(parse_i64("5x", 0, 9, &value), -EINVAL);
	assert_int_equal(parse_i64(" 5", 0, 9, &value), -EINVAL);
	assert_int_equal(value, -5);
}

static void
test_format(void **state)
{
	char text[16];

	(void)state;
	assert_string_equal(format_size(0, text, sizeof(text)), "0 B");
	assert_string_equal(format_size(1023, text, sizeof(text)), "1023 B");
	assert_string_equal(format_size(1536, text, sizeof(text)), "1.5 KiB");
	assert_string_equal(format_size(UINT64_C(1) << 20, text, sizeof(text)),
			    "1.0 MiB");
	/* Not "1024.0 KiB". */
	assert_string_equal(format_size((1 << 20) - 1, text, sizeof(text)),
			    "1.0 MiB");
	assert_string_equal(format_size(UINT64_MAX, text, sizeof(text)),
			    "16.0 EiB");
}

static void
test_whole_io(void **state)
{
	char path[] = "/tmp/swk-util.XXXXXX", buf[8];
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	unlink(path);
	assert_int_equal(pwrite_full(fd, "abcdef", 6, 2), 0);
	assert_int_equal(pread_full(fd, buf, 6, 2), 0);
	assert_memory_equal(buf, "abcdef", 6);
	assert_int_equal(pread_full(fd, buf, 8, 2), -EIO);
	close(fd);
	assert_int_equal(pread_full(fd, buf, 1, 0), -EBADF);
}

static void
count_message(void *arg, enum swap_log_level level, const char *message)
{
	unsigned *n = arg;

	(void)level;
	assert_non_null(strstr(message, "page"));
	(*n)++;
}

static void
test_log_limit(void **state)
{
	unsigned n = 0;
	struct log log = { .fn = count_message, .arg = &n };
	struct log_limit limit = { 0 };
	struct swap_error error;

	(void)state;
	for (int i = 0; i < 100000; i++)
		log_limited(&log, &limit, SWAP_LOG_ERR, "page %d", i);
	/* One, or a few on a machine that stalls for seconds. */
	assert_in_range(n, 1, 5);
	assert_int_equal(error_set(&error, -EIO, "%s: page", "x"), -EIO);
	assert_string_equal(error.message, "x: page");
	assert_int_equal(error.code, -EIO);
	assert_int_equal(error_set(NULL, -EIO, "x"), -EIO);
}

static void
test_available(void **state)
{
	uint64_t bytes = memory_available();

	(void)state;
	assert_true(bytes > 0);
	if (bytes != UINT64_MAX)
		assert_true(bytes <= (uint64_t)sysconf(_SC_PHYS_PAGES) *
			    page_bytes());
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_format),
		cmocka_unit_test(test_whole_io),
		cmocka_unit_test(test_log_limit),
		cmocka_unit_test(test_available),
	};

	return cmocka_run_group_tests_name("util", tests, NULL, NULL);
}
