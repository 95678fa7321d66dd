/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Unit tests of NAME=VALUE: what is one, and that several are set in whatever
 * order works, or not at all.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cmd/settings.h"
#include "compiler.h"
#include "util.h"

static void
parsing(void **state)
{
	static const char *const bad[] = {
		"", "=", "name", "name=", "=1",
		"a_name_of_24_characters_=1",
	};
	struct setting s;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(setting_parse(bad[i], &s), -EINVAL);
	assert_int_equal(setting_parse("a=b=c", &s), 0);
	assert_string_equal(s.name, "a");
	assert_string_equal(s.value, "b=c");
	assert_int_equal(setting_parse("a_name_of_23_characters=1", &s), 0);
	assert_string_equal(s.name, "a_name_of_23_characters");
}

/* Two marks, of which "low" must not be above "high", and a word. */
struct marks {
	int64_t	low, high;
	char	word[8];
};

static int
set_mark(void *arg, const char *name, const char *value,
	 struct swap_error *error)
{
	struct marks *m = arg;
	int64_t n;

	if (strcmp(name, "word") == 0) {
		format_cut(m->word, sizeof(m->word), "%s", value);
		return 0;
	}
	if (parse_i64(value, 0, 1000, &n) < 0)
		return error_set(error, -EINVAL, "%s: no number", name);
	if (strcmp(name, "low") == 0 ? n > m->high : n < m->low)
		return error_set(error, -EINVAL, "%s: crossed", name);
	if (strcmp(name, "low") == 0)
		m->low = n;
	else
		m->high = n;
	return 0;
}

static size_t
apply(struct marks *m, struct setting *list, size_t n,
      const char *const *texts)
{
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(setting_parse(texts[i], &list[i]), 0);
		if (strcmp(list[i].name, "word") == 0)
			format_cut(list[i].old_value, 24, "%s", m->word);
		else
			format_cut(list[i].old_value, 24, "%d",
				   (int)(strcmp(list[i].name, "low") == 0
					 ? m->low : m->high));
	}
	return settings_apply(list, n, set_mark, m);
}

static void
any_order(void **state)
{
	const char *const up[] = { "low=50", "word=new", "high=60" };
	const char *const down[] = { "high=2", "low=1" };
	struct marks m = { 10, 20, "old" };
	struct setting list[3];

	(void)state;
	assert_int_equal(apply(&m, list, 3, up), 0);
	assert_int_equal(m.low, 50);
	assert_int_equal(m.high, 60);
	assert_string_equal(m.word, "new");
	assert_int_equal(apply(&m, list, 2, down), 0);
	assert_int_equal(m.low, 1);
	assert_int_equal(m.high, 2);
}

static void
all_or_none(void **state)
{
	const char *const texts[] = { "low=50", "word=new", "high=6O" };
	const char *const crossed[] = { "high=200", "low=300", "word=x" };
	struct marks m = { 10, 20, "old" };
	struct setting list[3];

	(void)state;
	assert_int_equal(apply(&m, list, 3, texts), 2);
	assert_string_equal(list[0].error.message, "low: crossed");
	assert_string_equal(list[2].error.message, "high: no number");
	assert_false(list[1].done);
	assert_int_equal(list[1].code, 0);
	assert_string_equal(m.word, "old");
	/* The rest goes back, too. */
	assert_int_equal(apply(&m, list, 3, crossed), 1);
	assert_string_equal(list[1].error.message, "low: crossed");
	assert_int_equal(m.low, 10);
	assert_int_equal(m.high, 20);
	assert_string_equal(m.word, "old");
}

static void
hints(void **state)
{
	struct swap_tunable tunables[2] = {
		{ .name = "low_water" }, { .name = "cluster" },
	};
	char hint[64];

	(void)state;
	assert_string_equal(setting_hint(tunables, 2, "clutser", hint, 64),
			    "; did you mean 'cluster'?");
	assert_string_equal(setting_hint(tunables, 2, "low-water", hint, 64),
			    "; did you mean 'low_water'?");
	assert_string_equal(setting_hint(tunables, 2, "elephant", hint, 64),
			    "");
	assert_ptr_equal(setting_find(tunables, 2, "cluster"), &tunables[1]);
	assert_null(setting_find(tunables, 2, "clutser"));
}

static void
values(void **state)
{
	static const char *const cases[][2] = {
		{ "0", "0" }, { "1", "1" }, { "1024", "1K" },
		{ "1536", "1536" }, { "1572864", "1536K" },
		{ "8388608", "8M" }, { "1099511627776", "1T" },
		{ "1152921504606846976", "1048576T" }, { "auto", "auto" },
	};
	const struct swap_tunable bytes = { .unit = "bytes" };
	const struct swap_tunable pages = { .unit = "pages" };
	uint64_t again, n;
	char buf[32];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_string_equal(setting_value(&bytes, cases[i][0], buf,
						  sizeof(buf)), cases[i][1]);
		if (parse_size(cases[i][0], &n) < 0)
			continue;
		assert_int_equal(parse_size(buf, &again), 0);
		assert_int_equal(again, n);
	}
	assert_string_equal(setting_value(&pages, "1024", buf, sizeof(buf)),
			    "1024");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parsing),
		cmocka_unit_test(any_order),
		cmocka_unit_test(all_or_none),
		cmocka_unit_test(hints),
		cmocka_unit_test(values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
