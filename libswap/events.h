/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * events.h - the last things that happened to a pager (floor 1)
 *
 * A ring of SWAP_EVENTS_MAX events under a leaf lock.  Adding one never waits
 * for a reader, allocates nothing, and forgets the oldest.
 */
#ifndef SWAP_EVENTS_H
#define SWAP_EVENTS_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "compiler.h"
#include "swap.h"

struct events {
	pthread_mutex_t	 lock;
	uint64_t	 last;		/* (lock) number of the newest; 0: none */
	struct swap_event ring[SWAP_EVENTS_MAX]; /* (lock) number n at n % MAX */
	swap_event_fn	*fn;		/* constant; NULL: nobody listens */
	void		*arg;
};

void events_init(struct events *events, swap_event_fn *fn, void *arg);
void events_fini(struct events *events);

/*
 * Keep one, and tell who listens; no lock may be held that a function of the
 * library needs.  @device "" or NULL: none; @object 0: none; @pid 0: none.
 * @events NULL: nothing happens.
 */
void events_add(struct events *events, enum swap_event_kind kind,
		const char *device, uint64_t object, int pid,
		const char *format, ...) swap_printf(6, 7);

/* As swap_pager_events(); *ret_last is the newest one's number. */
int events_after(struct events *events, uint64_t after,
		 struct swap_event **ret_events, size_t *ret_n,
		 uint64_t *ret_last);

#endif
