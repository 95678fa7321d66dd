/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Unit tests of events: the ring, its limit on floods, and the listener.  The
 * clock of the limit is the test's.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "events.h"
#include "util.h"

static _Atomic uint64_t clock_usec;

uint64_t __wrap_now_usec(void);
uint64_t
__wrap_now_usec(void)
{
	return clock_usec;
}

/* One that is kept, whatever was before it. */
static void
add_kept(struct events *events, uint64_t object)
{
	clock_usec += 1000000;
	events_add(events, SWAP_EVENT_PAGE_POISONED, NULL, object, 0, "page %d",
		   (int)object);
}

static void
ring(void **state)
{
	struct events events;
	struct swap_event *list;
	uint64_t last, first = SWAP_EVENTS_MAX / 2;
	size_t n;

	(void)state;
	events_init(&events, NULL, NULL);
	assert_int_equal(events_after(&events, 0, &list, &n, &last), 0);
	assert_int_equal(n + last, 0);
	free(list);
	for (uint64_t i = 1; i <= SWAP_EVENTS_MAX + first; i++) {
		add_kept(&events, i);
		assert_int_equal(events_after(&events, i - 1, &list, &n,
					      &last), 0);
		assert_int_equal(n, 1);
		assert_int_equal(last, i);
		free(list);
	}
	/* The oldest have gone, the others are there in order. */
	assert_int_equal(events_after(&events, 0, &list, &n, &last), 0);
	assert_int_equal(n, SWAP_EVENTS_MAX);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(list[i].number, first + i + 1);
		assert_int_equal(list[i].object, first + i + 1);
		assert_int_equal(list[i].kind, SWAP_EVENT_PAGE_POISONED);
		assert_string_equal(list[i].device, "");
	}
	assert_string_equal(list[n - 1].message, "page 384");
	free(list);
	/* A number that is not reached yet. */
	assert_int_equal(events_after(&events, 1000, &list, &n, &last), 0);
	assert_int_equal(n, 0);
	free(list);
	events_fini(&events);
	/* Who has no events loses nothing. */
	events_add(NULL, SWAP_EVENT_FULL, NULL, 0, 0, "nobody");
}

static void
limit(void **state)
{
	uint64_t counts[SWAP_EVENT_KINDS], last;
	struct events events;
	struct swap_event *list;
	char longest[300];
	size_t n;

	(void)state;
	events_init(&events, NULL, NULL);
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	clock_usec = 5000000;
	for (unsigned i = 0; i < SWAP_EVENTS_SECOND + 30; i++)
		events_add(&events, SWAP_EVENT_FULL, longest, 0, 7, "full");
	/* Other kinds are not concerned. */
	events_add(&events, SWAP_EVENT_ROOM, NULL, 0, 0, "%s", longest);
	clock_usec = 5999999;
	events_add(&events, SWAP_EVENT_FULL, NULL, 0, 0, "full");
	clock_usec = 6000000;
	events_add(&events, SWAP_EVENT_FULL, NULL, 0, 0, "full again");
	events_add(&events, SWAP_EVENT_FULL, NULL, 0, 0, "and again");
	assert_int_equal(events_after(&events, 0, &list, &n, &last), 0);
	assert_int_equal(n, SWAP_EVENTS_SECOND + 3);
	assert_int_equal(strlen(list[0].device), sizeof(list[0].device) - 1);
	assert_int_equal(list[0].pid, 7);
	assert_int_equal(list[n - 3].kind, SWAP_EVENT_ROOM);
	assert_int_equal(strlen(list[n - 3].message),
			 sizeof(list[0].message) - 1);
	assert_string_equal(list[n - 2].message,
			    "full again (31 more like it left out before)");
	assert_string_equal(list[n - 1].message, "and again");
	free(list);
	events_counts(&events, counts);
	assert_int_equal(counts[SWAP_EVENT_FULL], SWAP_EVENTS_SECOND + 33);
	assert_int_equal(counts[SWAP_EVENT_ROOM], 1);
	events_fini(&events);
}

static void
names(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SWAP_EVENT_KINDS_EVER; i++) {
		const char *name = swap_event_name((enum swap_event_kind)i);

		assert_non_null(name);
		for (unsigned k = 0; k < i; k++)
			assert_string_not_equal(name, swap_event_name(
				(enum swap_event_kind)k));
	}
	assert_null(swap_event_name(SWAP_EVENT_KINDS_EVER));
}

/* ----------------------------------------------------------- the listener */

struct heard {
	pthread_mutex_t	 lock;
	pthread_cond_t	 changed;
	uint64_t	 number[2 * SWAP_EVENTS_MAX];
	size_t		 n;
	bool		 stuck;		/* it does not come back */
};

static void
hear(void *arg, const struct swap_event *event)
{
	struct heard *heard = arg;

	pthread_mutex_lock(&heard->lock);
	heard->number[heard->n++] = event->number;
	pthread_cond_broadcast(&heard->changed);
	while (heard->stuck)
		pthread_cond_wait(&heard->changed, &heard->lock);
	pthread_mutex_unlock(&heard->lock);
}

static void
wait_heard(struct heard *heard, size_t n)
{
	pthread_mutex_lock(&heard->lock);
	while (heard->n < n)
		pthread_cond_wait(&heard->changed, &heard->lock);
	pthread_mutex_unlock(&heard->lock);
}

static void
unstick(struct heard *heard)
{
	pthread_mutex_lock(&heard->lock);
	heard->stuck = false;
	pthread_cond_broadcast(&heard->changed);
	pthread_mutex_unlock(&heard->lock);
}

/* A stuck one holds nobody up, and hears later what there still is. */
static void
listener(void **state)
{
	struct heard heard = {
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.changed = PTHREAD_COND_INITIALIZER,
		.stuck = true,
	};
	struct events events;

	(void)state;
	events_init(&events, hear, &heard);
	add_kept(&events, 1);
	assert_int_equal(events_start(&events), 0);
	wait_heard(&heard, 1);
	for (uint64_t i = 2; i <= SWAP_EVENTS_MAX + 10; i++)
		add_kept(&events, i);
	unstick(&heard);
	/* What there is to tell is told before the end. */
	events_stop(&events);
	assert_int_equal(heard.n, 1 + SWAP_EVENTS_MAX);
	assert_int_equal(heard.number[0], 1);
	for (size_t i = 1; i < heard.n; i++)
		assert_int_equal(heard.number[i], 10 + i);
	events_fini(&events);
}

static void *
adder(void *arg)
{
	for (uint64_t i = 0; i < 1000; i++) {
		struct swap_event *list;
		uint64_t last;
		size_t n;

		add_kept(arg, i);
		if (events_after(arg, 0, &list, &n, &last) == 0)
			free(list);
	}
	return NULL;
}

static void
from_many_threads(void **state)
{
	uint64_t counts[SWAP_EVENT_KINDS];
	struct events events;
	pthread_t thread[4];

	(void)state;
	events_init(&events, NULL, NULL);
	assert_int_equal(events_start(&events), 0);
	for (size_t i = 0; i < ARRAY_SIZE(thread); i++)
		assert_int_equal(pthread_create(&thread[i], NULL, adder,
						&events), 0);
	for (size_t i = 0; i < ARRAY_SIZE(thread); i++)
		pthread_join(thread[i], NULL);
	events_counts(&events, counts);
	assert_int_equal(counts[SWAP_EVENT_PAGE_POISONED],
			 1000 * ARRAY_SIZE(thread));
	events_fini(&events);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ring),
		cmocka_unit_test(limit),
		cmocka_unit_test(names),
		cmocka_unit_test(listener),
		cmocka_unit_test(from_many_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
