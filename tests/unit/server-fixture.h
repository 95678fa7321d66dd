/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * server-fixture.h - a server over a fake pager, and peers for it
 *
 * Include after <cmocka.h>.  Every test has a server named "unit" in a
 * directory of its own; when it is over, nothing may be held any more.
 */
#ifndef TEST_SERVER_FIXTURE_H
#define TEST_SERVER_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake-pager.h"
#include "ipc/client.h"
#include "ipc/server.h"

#define PAGE	4096

struct fixture {
	char		 dir[32];
	struct swap_pager pager;
	struct server	*server;
};

int fixture_setup(void **state);
int fixture_teardown(void **state);

#define TEST(f)	\
	cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)
#define NEED_UFFD()	do { if (no_userfaultfd()) skip(); } while (0)
#define NEED_ROOT()	do { if (geteuid() != 0) skip(); } while (0)
bool no_userfaultfd(void);

/* A peer without the client library. */
int raw_open(void);
int raw_send(int fd, const char *text);
/* One answer; NULL: the connection was closed.  Waits at most 5 seconds. */
const char *raw_answer(int fd);
const char *raw_call(int fd, const char *method, const char *params);
/* Does an answer contain that?  expect() fails the test where it does not. */
bool has(const char *answer, const char *part);
void expect(const char *answer, const char *part);
/* The server still answers. */
void expect_alive(void);

/* A peer with it; they fail the test. */
struct swap_client *connected(void);
struct swap_client_object *created(struct swap_client *client,
				   const char *name, uint64_t size);
struct swap_client_region *mapped(struct swap_client_object *object);

/* Run as uid 65534 in a child; its exit status is what went wrong. */
int as_nobody(int (*run)(void));

#endif
