/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Events.
 *
 * FreeBSD tells whoever has registered of swapon and swapoff
 * (EVENTHANDLER_INVOKE).  Here what happens to a pager is numbered, kept in a
 * ring for those who ask later, and given to one listener.
 *
 * Things happen where locks are held and where nothing may wait: in the middle
 * of a fault, or of freeing a block.  So adding is a copy under a leaf lock, and
 * the listener has a thread of its own, which reads the ring like anybody else.
 *
 *	E1  Event n lies at n % SWAP_EVENTS_MAX until n + SWAP_EVENTS_MAX comes.
 *	E2  The listener hears of events in their order, each once, but for those
 *	    that were forgotten before their turn.
 *	E3  Of one kind at most SWAP_EVENTS_SECOND are kept in a second: a device
 *	    that dies with a million pages does not drive out the event that
 *	    says so.  The counts have all of them.
 *
 * Costs: one copy of half a kilobyte an event.  Limits: who asks less often
 * than the ring is filled misses some, and can tell by the numbers.
 */
#include "events.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "threads.h"
#include "util.h"

static const char *const names[] = {
	[SWAP_EVENT_DEVICE_ON] = "device-on",
	[SWAP_EVENT_DEVICE_OFF_STARTED] = "device-off-started",
	[SWAP_EVENT_DEVICE_OFF_STOPPED] = "device-off-stopped",
	[SWAP_EVENT_DEVICE_OFF] = "device-off",
	[SWAP_EVENT_DEVICE_DEGRADED] = "device-degraded",
	[SWAP_EVENT_DEVICE_ORPHANED] = "device-orphaned",
	[SWAP_EVENT_ALMOST_FULL] = "almost-full",
	[SWAP_EVENT_FULL] = "full",
	[SWAP_EVENT_ROOM] = "room",
	[SWAP_EVENT_METADATA_FULL] = "metadata-full",
	[SWAP_EVENT_METADATA_ROOM] = "metadata-room",
	[SWAP_EVENT_PAGE_POISONED] = "page-poisoned",
	[SWAP_EVENT_IO_SLOW] = "io-slow",
	[SWAP_EVENT_CLIENT_GONE] = "client-gone",
	[SWAP_EVENT_DEVICE_PRIORITY] = "device-priority",
	[SWAP_EVENT_PRESSURE_HIGH] = "pressure-high",
	[SWAP_EVENT_PRESSURE_OVER] = "pressure-over",
};

_Static_assert(ARRAY_SIZE(names) == SWAP_EVENT_KINDS_EVER,
	       "each has a name");

const char *
swap_event_name(enum swap_event_kind kind)
{
	return (unsigned)kind < SWAP_EVENT_KINDS_EVER ? names[kind] : NULL;
}

void
events_init(struct events *events, swap_event_fn *fn, void *arg)
{
	memset(events, 0, sizeof(*events));
	pthread_mutex_init(&events->lock, NULL);
	pthread_cond_init(&events->added, NULL);
	events->fn = fn;
	events->arg = arg;
}

void
events_fini(struct events *events)
{
	events_stop(events);
	pthread_cond_destroy(&events->added);
	pthread_mutex_destroy(&events->lock);
}

/* ----------------------------------------------------------- the listener */

/* Locked: the number of the oldest one that is still kept, above @after. */
static uint64_t
first_after(const struct events *events, uint64_t after)
{
	if (events->last > SWAP_EVENTS_MAX)
		after = max_u64(after, events->last - SWAP_EVENTS_MAX);
	return after + 1;
}

static void *
listener_thread(void *arg)
{
	struct events *events = arg;
	struct swap_event event;
	uint64_t told = 0;

	pthread_mutex_lock(&events->lock);
	for (;;) {
		while (told == events->last && !events->stopping)
			pthread_cond_wait(&events->added, &events->lock);
		if (told == events->last)
			break;
		told = first_after(events, told);
		event = events->ring[told % SWAP_EVENTS_MAX];
		pthread_mutex_unlock(&events->lock);
		events->fn(events->arg, &event);
		pthread_mutex_lock(&events->lock);
	}
	pthread_mutex_unlock(&events->lock);
	return NULL;
}

int
events_start(struct events *events)
{
	int rc;

	if (events->fn == NULL)
		return 0;
	rc = thread_start(&events->thread, listener_thread, events);
	events->started = rc == 0;
	return rc;
}

void
events_stop(struct events *events)
{
	if (!events->started)
		return;
	pthread_mutex_lock(&events->lock);
	events->stopping = true;
	pthread_cond_signal(&events->added);
	pthread_mutex_unlock(&events->lock);
	pthread_join(events->thread, NULL);
	events->started = false;
}

/* ----------------------------------------------------------------- adding */

static uint64_t
wall_usec(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

/* Locked (E3): is this one kept?  *ret_left_out: since the last one. */
static bool
within_limit(struct events *events, enum swap_event_kind kind,
	     uint64_t *ret_left_out)
{
	struct events_limit *limit = &events->limit[kind];
	uint64_t second = now_usec() / 1000000u;

	if (limit->second != second) {
		limit->second = second;
		limit->nkept = 0;
	}
	if (limit->nkept == SWAP_EVENTS_SECOND) {
		limit->nleft_out++;
		return false;
	}
	limit->nkept++;
	*ret_left_out = limit->nleft_out;
	limit->nleft_out = 0;
	return true;
}

static void
keep(struct events *events, struct swap_event *event, uint64_t left_out)
{
	size_t len = strlen(event->message);

	if (left_out > 0)
		format_cut(event->message + len, sizeof(event->message) - len,
			   " (%" PRIu64 " more like it left out before)",
			   left_out);
	event->number = ++events->last;
	events->ring[event->number % SWAP_EVENTS_MAX] = *event;
	pthread_cond_signal(&events->added);
}

void
events_add(struct events *events, enum swap_event_kind kind,
	   const char *device, uint64_t object, int pid,
	   const char *format, ...)
{
	struct swap_event event = {
		.time_usec = wall_usec(),
		.kind = kind,
		.object = object,
		.pid = pid,
	};
	uint64_t left_out = 0;
	va_list ap;

	if (events == NULL)
		return;
	format_cut(event.device, sizeof(event.device), "%s",
		   device != NULL ? device : "");
	va_start(ap, format);
	if (vsnprintf(event.message, sizeof(event.message), format, ap) < 0)
		event.message[0] = '\0';
	va_end(ap);
	pthread_mutex_lock(&events->lock);
	events->counts[kind]++;
	if (within_limit(events, kind, &left_out))
		keep(events, &event, left_out);
	pthread_mutex_unlock(&events->lock);
}

/* ----------------------------------------------------------------- asking */

/* Locked: how many above @after are still kept. */
static size_t
nkept_after(const struct events *events, uint64_t after)
{
	uint64_t n = events->last > after ? events->last - after : 0;

	return (size_t)min_u64(n, SWAP_EVENTS_MAX);
}

int
events_after(struct events *events, uint64_t after,
	     struct swap_event **ret_events, size_t *ret_n, uint64_t *ret_last)
{
	struct swap_event *out;
	size_t room, n;

	pthread_mutex_lock(&events->lock);
	room = nkept_after(events, after);
	pthread_mutex_unlock(&events->lock);
	/* Those that come now are for the next who asks. */
	out = calloc(room + 1, sizeof(*out));
	if (out == NULL)
		return -ENOMEM;
	pthread_mutex_lock(&events->lock);
	n = (size_t)min_u64(room, nkept_after(events, after));
	for (size_t i = 0; i < n; i++)
		out[i] = events->ring[(first_after(events, after) + i) %
				      SWAP_EVENTS_MAX];
	*ret_last = n > 0 ? out[n - 1].number : events->last;
	pthread_mutex_unlock(&events->lock);
	*ret_events = out;
	*ret_n = n;
	return 0;
}

void
events_counts(struct events *events, uint64_t ret_counts[SWAP_EVENT_KINDS])
{
	pthread_mutex_lock(&events->lock);
	memcpy(ret_counts, events->counts, sizeof(events->counts));
	pthread_mutex_unlock(&events->lock);
}
