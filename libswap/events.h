/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * events.h - the last things that happened to a pager (floor 1)
 *
 * A ring of SWAP_EVENTS_MAX events under a leaf lock.  Adding one never waits
 * for a reader or listener, allocates nothing, and forgets the oldest.
 */
#ifndef SWAP_EVENTS_H
#define SWAP_EVENTS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "compiler.h"
#include "swap.h"

/* One kind of event in the present second. */
struct events_limit {
	uint64_t	 second;	/* of the monotonic clock */
	unsigned	 nkept;		/* in it */
	uint64_t	 nleft_out;	/* since one was kept */
};

struct events {
	pthread_mutex_t	 lock;
	pthread_cond_t	 added;		/* (lock) or stopping */
	uint64_t	 last;		/* (lock) number of the newest; 0: none */
	struct swap_event ring[SWAP_EVENTS_MAX]; /* (lock) number n at n % MAX */
	uint64_t	 counts[SWAP_EVENT_KINDS]; /* (lock) ever */
	struct events_limit limit[SWAP_EVENT_KINDS]; /* (lock) */
	bool		 stopping;	/* (lock) */
	bool		 started;	/* the listener's thread runs */
	pthread_t	 thread;
	swap_event_fn	*fn;		/* constant; NULL: nobody listens */
	void		*arg;
};

void events_init(struct events *events, swap_event_fn *fn, void *arg);
void events_fini(struct events *events);

/*
 * Start the thread that tells the listener, if there is one; and end it, once
 * it has told what there is to tell.  0 or a negative errno.
 */
int events_start(struct events *events) swap_must_check;
void events_stop(struct events *events);

/*
 * Keep one.  Any lock of the library may be held but this one's.  @device "" or
 * NULL: none; @object 0: none; @pid 0: none.  @events NULL: nothing happens.
 * O(1).
 */
void events_add(struct events *events, enum swap_event_kind kind,
		const char *device, uint64_t object, int pid,
		const char *format, ...) swap_printf(6, 7);

/* As swap_pager_events(); *ret_last is the newest one's number. */
int events_after(struct events *events, uint64_t after,
		 struct swap_event **ret_events, size_t *ret_n,
		 uint64_t *ret_last);

/* How many there have been of each kind. */
void events_counts(struct events *events,
		   uint64_t ret_counts[SWAP_EVENT_KINDS]);

#endif
