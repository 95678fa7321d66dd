/* SPDX-License-Identifier: BSD-2-Clause */
/* What swap_exporter understands: Accept headers, and addresses. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "cmd/exporter-accept.h"
#include "cmd/exporter-listen.h"
#include "compiler.h"

#define OPEN	"application/openmetrics-text"

static const char *const wants_openmetrics[] = {
	OPEN,
	OPEN ";version=1.0.0",
	OPEN "; version=1.0.0; charset=utf-8",
	OPEN ";version=\"1.0.0\"",
	"APPLICATION/OpenMetrics-Text;VERSION=1.0.0",
	/* Prometheus 2.42 and 2.50. */
	OPEN ";version=1.0.0," OPEN ";version=0.0.1;q=0.75,"
	"text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
	OPEN ";version=1.0.0;q=0.5," OPEN ";version=0.0.1;q=0.4,"
	"text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
	"text/plain;q=0.2, " OPEN ";q=0.3",
	"text/html,, ," OPEN,
	OPEN ",text/plain",
	/* The text is of another version, and is not ours to offer. */
	"text/plain;version=9;q=1," OPEN ";q=0.1",
	/* Its last weight counts, and is as good as 1. */
	OPEN ";q=0.999,text/plain;q=0.998",
};

static const char *const wants_text[] = {
	NULL, "", "*/*", "text/plain", "text/*", "application/*",
	"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
	OPEN ";q=0", OPEN ";q=0.0", OPEN ";q=x", OPEN ";q=",
	OPEN ";version=2.0.0", OPEN ";version=0.0.1", OPEN ";version=",
	OPEN "x", "x" OPEN, "application/openmetrics",
	OPEN ";q=0.4,text/plain;q=0.5",
	OPEN ";q=0.4,text/plain;version=0.0.4;q=0.41",
	";", ",", ";;;,,,;", "q=1", ";q=1", OPEN ";q=0;", "\"" OPEN,
};

static void
test_accept(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(wants_openmetrics); i++)
		if (!accept_openmetrics(wants_openmetrics[i]))
			fail_msg("'%s' gets text", wants_openmetrics[i]);
	for (size_t i = 0; i < ARRAY_SIZE(wants_text); i++)
		if (accept_openmetrics(wants_text[i]))
			fail_msg("'%s' gets OpenMetrics", wants_text[i]);
}

static const struct {
	const char	*text, *address, *port;
} addresses[] = {
	{ "127.0.0.1:80", "127.0.0.1", "80" },
	{ "10.0.0.5", "10.0.0.5", LISTEN_PORT },
	{ "[::1]:0", "::1", "0" },
	{ "[::]", "::", LISTEN_PORT },
	{ "[fe80::1%lo]:65535", "fe80::1%lo", "65535" },
	{ ":9100", LISTEN_ADDRESS, "9100" },
	{ "localhost:1", "localhost", "1" },
	{ "7.example:1", "7.example", "1" },
};

static const struct {
	const char	*text, *why;
} bad_addresses[] = {
	{ "", "is no address" },
	{ ":", "has no port" },
	{ "9100", "is a port without an address" },
	{ "a:", "has no port" },
	{ "a:b", "has no port" },
	{ "a:65536", "has no port" },
	{ "a: 1", "has no port" },
	{ "a:+1", "has no port" },
	{ "a:1:2", "has more than one colon" },
	{ "::1", "has more than one colon" },
	{ "[::1", "has no closing bracket" },
	{ "[::1]:", "has no port" },
	{ "[::1]9100", "goes on behind its bracket" },
	{ "[]", "has an empty address" },
	{ "0123456789012345678901234567890123456789012345678901234567890123x"
	  ":1", "is too long" },
};

static void
test_addresses(void **state)
{
	char address[64], port[8];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(addresses); i++) {
		assert_int_equal(listen_parse(addresses[i].text, address, port,
					      NULL), 0);
		assert_string_equal(address, addresses[i].address);
		assert_string_equal(port, addresses[i].port);
	}
}

static void
test_bad_addresses(void **state)
{
	char address[64], port[8];
	struct swap_error error;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad_addresses); i++) {
		assert_int_equal(listen_parse(bad_addresses[i].text, address,
					      port, &error), -EINVAL);
		assert_int_equal(error.code, -EINVAL);
		if (strstr(error.message, bad_addresses[i].why) == NULL)
			fail_msg("'%s': %s", bad_addresses[i].text,
				 error.message);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accept),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_bad_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
