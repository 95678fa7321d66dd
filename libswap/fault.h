/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fault.h - the threads that answer faults in regions (floor 5)
 */
#ifndef SWAP_FAULT_H
#define SWAP_FAULT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "follow.h"
#include "object.h"
#include "region.h"

struct fault_thread;

/* (l) under lock; (a) atomic; (c) constant; (w) the watcher's own. */
struct fault_pool {
	struct core	*core;
	struct region_table *regions;
	struct follow	 follow;	/* (c) what is allowed */
	int		 stop_fd;	/* eventfd: readable when ending */
	_Atomic unsigned nthreads;	/* (a) */
	struct fault_thread *thread;
	pthread_mutex_t	 lock;
	pthread_cond_t	 crowd;		/* (l) there is no solo thread any more */
	pthread_cond_t	 watch;		/* (l) there is something to watch */
	_Atomic bool	 stop;		/* (a) */
	bool		 unwatch;	/* (l) the watcher shall end */
	_Atomic(struct fault_thread *) solo; /* (a) who takes all faults */
	_Atomic int	 tid;		/* (a) the thread that faults, ... */
	_Atomic int	 score;		/* (a) ... how surely alone */
	_Atomic uint64_t crowd_until;	/* (a) no solo before, nsec */
	_Atomic unsigned listeners;	/* (a) threads that wait for faults */
	pthread_t	 watcher;
	_Atomic bool	 watching;	/* (a) it looks now and then */
	struct fault_thread *seen;	/* (w) who was solo at its last look, */
	unsigned	 seen_idle;	/* (w) ... and its idle_turn, ... */
	unsigned	 seen_times;	/* (w) ... looks that found the same */
	uint64_t	 hold_nsec;	/* (w) of the last takeover, ... */
	uint64_t	 taken_nsec;	/* (w) ... and when */
};

int fault_pool_start(struct fault_pool *pool, struct core *core,
		     struct region_table *regions, unsigned nthreads);
void fault_pool_stop(struct fault_pool *pool);

/*
 * Wake the regions whose faults wait for free pages; with @all also those whose
 * pool has none.
 */
void fault_wake_starved(struct core *core, struct region_table *regions,
			bool all);

#endif
