/* SPDX-License-Identifier: BSD-2-Clause */
/* Unit tests of the guess at a mistyped command. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cmd/device-name.h"
#include "cmd/nearest.h"
#include "compiler.h"

static const char *const words[] = {
	"on", "off", "status", "objects", "list", "help",
};

static const char *
nearest(const char *typed)
{
	return nearest_word(typed, words, ARRAY_SIZE(words));
}

static void
test_near(void **state)
{
	(void)state;
	assert_string_equal(nearest("stauts"), "status");	/* swapped */
	assert_string_equal(nearest("statuss"), "status");	/* added */
	assert_string_equal(nearest("tatus"), "status");	/* left out */
	assert_string_equal(nearest("lost"), "list");		/* wrong */
	assert_string_equal(nearest("obejcst"), "objects");	/* two */
	assert_string_equal(nearest("onn"), "on");
	assert_string_equal(nearest("of"), "off");
	assert_string_equal(nearest("stat"), "status");		/* begun */
	assert_string_equal(nearest("obj"), "objects");
}

static void
test_far(void **state)
{
	(void)state;
	assert_null(nearest(""));
	assert_null(nearest("x"));
	assert_null(nearest("xyz"));
	assert_null(nearest("remove"));
	assert_null(nearest("stxxxs"));
	assert_null(nearest("a-word-that-is-longer-than-any-command-is"));
	assert_null(nearest_word("on", words, 0));
}

static void
test_device_name(void **state)
{
	char *name;

	(void)state;
	assert_true(device_name_is_tag("PARTUUID=1-2"));
	assert_false(device_name_is_tag("./LABEL=x"));
	assert_false(device_name_is_tag("label=x"));
	assert_int_equal(device_name_absolute("LABEL=x", &name), 0);
	assert_string_equal(name, "LABEL=x");
	free(name);
	assert_int_equal(device_name_absolute("/dev/../x", &name), 0);
	assert_string_equal(name, "/dev/../x");
	free(name);
	assert_int_equal(device_name_absolute("././a/b", &name), 0);
	assert_int_equal(name[0], '/');
	assert_non_null(strstr(name, "/a/b"));
	assert_null(strstr(name, "./"));
	free(name);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_near),
		cmocka_unit_test(test_far),
		cmocka_unit_test(test_device_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
