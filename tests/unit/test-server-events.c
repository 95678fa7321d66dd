/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Unit tests of events through a server: who hears of what, what is lost, and
 * a reader that does not read.  The pager is a fake one with a real ring.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "server-fixture.h"

/* Something happens; the limit on floods is not what is tested here. */
static void
happen(struct fixture *f, uint64_t object, const char *message)
{
	struct swap_event event = { .number = 0 };

	memset(f->pager.events.limit, 0, sizeof(f->pager.events.limit));
	events_add(&f->pager.events, object == 0 ? SWAP_EVENT_FULL :
		   SWAP_EVENT_PAGE_POISONED, NULL, object, 0, "%s", message);
	server_event(f->server, &event);
}

static int
follow(const char *params)
{
	char text[128];
	int fd = raw_open();

	snprintf(text, sizeof(text), "{\"method\":\"org.swapkit.Pager.Events\","
		 "\"more\":true,\"parameters\":{%s}}", params);
	raw_send(fd, text);
	return fd;
}

static void
once(void **state)
{
	struct fixture *f = *state;
	int fd = raw_open();
	const char *answer;

	expect(raw_call(fd, "Events", ""),
	       "{\"parameters\":{\"events\":[],\"lost\":0,\"last\":0}}");
	happen(f, 0, "one");
	happen(f, 5, "two \"\\");
	expect(raw_call(fd, "Events", ""), "\"message\":\"one\"");
	answer = raw_call(fd, "Events", "\"after\":1");
	expect(answer, "\"message\":\"two \\\"\\\\\"");
	expect(answer, "\"kind\":\"page-poisoned\",\"object\":5");
	expect(answer, "\"lost\":0,\"last\":2");
	assert_false(has(answer, "\"one\""));
	expect(raw_call(fd, "Events", "\"after\":-1"), "InvalidParameter");
	expect(raw_call(fd, "Status", "\"events_after\":1"),
	       "\"message\":\"two");
	assert_false(has(raw_call(fd, "Status", "\"events_after\":1"),
			 "\"one\""));
	close(fd);
}

static void
lost(void **state)
{
	struct fixture *f = *state;
	int fd = raw_open();

	for (unsigned i = 0; i < SWAP_EVENTS_MAX + 44; i++)
		happen(f, 0, "again");
	expect(raw_call(fd, "Events", "\"after\":4"),
	       "\"lost\":40,\"last\":300");
	expect(raw_call(fd, "Events", "\"after\":44"), "\"lost\":0");
	close(fd);
}

static void
stream(void **state)
{
	struct fixture *f = *state;
	int fd, other;

	happen(f, 0, "before");
	fd = follow("");
	expect(raw_answer(fd), "\"message\":\"before\"");
	other = follow("\"after\":1");
	/* One at once, even if there is nothing to tell. */
	expect(raw_answer(other), "\"events\":[],\"lost\":0,\"last\":1");
	for (int i = 0; i < 5; i++) {
		char message[16];

		snprintf(message, sizeof(message), "number %d", i);
		happen(f, 0, message);
		expect(raw_answer(fd), message);
		expect(raw_answer(other), message);
	}
	/* Nothing new is not told. */
	server_event(f->server, &(struct swap_event){ .number = 0 });
	happen(f, 0, "the end");
	expect(raw_answer(fd), "the end");
	close(fd);
	close(other);
	expect_alive();
}

/* Who holds something and goes is told of, who holds nothing is not. */
static void
client_gone(void **state)
{
	struct fixture *f = *state;
	int fd = follow(""), client = raw_open();

	expect(raw_answer(fd), "\"events\":[]");
	close(raw_open());
	expect(raw_call(client, "CreateObject", "\"size_bytes\":4096"),
	       "\"object\"");
	close(client);
	assert_true(fake_becomes(&f->pager, &f->pager.nobjects, 0));
	server_event(f->server, &(struct swap_event){ .number = 0 });
	expect(raw_answer(fd), "\"events\":[{\"number\":1,");
	close(fd);
}

static int
nobody_listens(void)
{
	int fd = raw_open();
	const char *answer = raw_call(fd, "Events", "");

	if (!has(answer, "of the pager") || has(answer, "of an object"))
		return 1;
	if (!has(answer, "\"lost\":0,\"last\":2"))
		return 2;
	answer = raw_call(fd, "Status", "");
	return !has(answer, "of the pager") || has(answer, "of an object");
}

static void
permission(void **state)
{
	struct fixture *f = *state;

	NEED_ROOT();
	happen(f, 0, "of the pager");
	happen(f, 9, "of an object");
	assert_int_equal(as_nobody(nobody_listens), 0);
}

/* It costs itself events, and nobody anything. */
static void
stuck_reader(void **state)
{
	struct fixture *f = *state;
	int stuck = follow(""), good = follow("");
	struct timespec start, end;
	char message[16];

	expect(raw_answer(good), "\"events\":[]");
	for (int i = 0; i < 3000; i++) {
		snprintf(message, sizeof(message), "number %d.", i);
		happen(f, 0, message);
		if (i % 100 == 99)
			while (!has(raw_answer(good), message))
				;
	}
	expect_alive();
	clock_gettime(CLOCK_MONOTONIC, &start);
	server_stop(f->server);
	clock_gettime(CLOCK_MONOTONIC, &end);
	assert_true(end.tv_sec - start.tv_sec <= 2);
	close(stuck);
	close(good);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(once),
		TEST(lost),
		TEST(stream),
		TEST(client_gone),
		TEST(permission),
		TEST(stuck_reader),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
