/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Events.
 *
 * FreeBSD tells whoever has registered of swapon and swapoff
 * (EVENTHANDLER_INVOKE).  Here what happens to a pager is numbered, kept in a
 * ring for those who ask later, and given to one listener.
 *
 *	E1  Event n lies at n % SWAP_EVENTS_MAX until n + SWAP_EVENTS_MAX comes.
 *	E2  The listener is called without the lock, so that two events may reach
 *	    it in another order than their numbers say.
 *
 * Costs: one copy of half a kilobyte an event.  Whoever may produce them
 * without end limits their rate himself.
 */
#include "events.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "util.h"

static const char *const names[SWAP_EVENT_KINDS] = {
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
};

const char *
swap_event_name(enum swap_event_kind kind)
{
	return (unsigned)kind < SWAP_EVENT_KINDS ? names[kind] : NULL;
}

void
events_init(struct events *events, swap_event_fn *fn, void *arg)
{
	memset(events, 0, sizeof(*events));
	pthread_mutex_init(&events->lock, NULL);
	events->fn = fn;
	events->arg = arg;
}

void
events_fini(struct events *events)
{
	pthread_mutex_destroy(&events->lock);
}

static uint64_t
wall_usec(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
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
	va_list ap;

	if (events == NULL)
		return;
	format_cut(event.device, sizeof(event.device), "%s",
		   device != NULL ? device : "");
	va_start(ap, format);
	vsnprintf(event.message, sizeof(event.message), format, ap);
	va_end(ap);
	pthread_mutex_lock(&events->lock);
	event.number = ++events->last;
	events->ring[event.number % SWAP_EVENTS_MAX] = event;
	pthread_mutex_unlock(&events->lock);
	if (events->fn != NULL)
		events->fn(events->arg, &event);
}

/* Locked: how many above @after are still kept. */
static size_t
kept_after(const struct events *events, uint64_t after)
{
	uint64_t n = events->last > after ? events->last - after : 0;

	return (size_t)min_u64(n, SWAP_EVENTS_MAX);
}

int
events_after(struct events *events, uint64_t after,
	     struct swap_event **ret_events, size_t *ret_n, uint64_t *ret_last)
{
	struct swap_event *out = calloc(SWAP_EVENTS_MAX, sizeof(*out));
	size_t n;

	if (out == NULL)
		return -ENOMEM;
	pthread_mutex_lock(&events->lock);
	n = kept_after(events, after);
	for (size_t i = 0; i < n; i++)
		out[i] = events->ring[(events->last - n + 1 + i) %
				      SWAP_EVENTS_MAX];
	*ret_last = events->last;
	pthread_mutex_unlock(&events->lock);
	*ret_events = out;
	*ret_n = n;
	return 0;
}
