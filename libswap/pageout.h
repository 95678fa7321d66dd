/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pageout.h - the thread that keeps pages free within the budget (floor 5)
 */
#ifndef SWAP_PAGEOUT_H
#define SWAP_PAGEOUT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "object.h"
#include "region.h"

#define PAGEOUT_BATCH	128u	/* most pages in one round */

struct victim;

struct pageout {
	struct core	*core;
	struct region_table *regions;
	pthread_t	 thread;
	_Atomic bool	 stop;
	pthread_mutex_t	 working;	/* held during a round */
	size_t		 fruitless;	/* pages looked at since one could go */
	struct victim	*victim;	/* PAGEOUT_BATCH */
	void		*buf;		/* PAGEOUT_BATCH pages */
	uint64_t	 nmaps_full;	/* of this round: pages and runs without
					   room in their maps, */
	uint64_t	 nstaged;	/* and pages that have some */
	bool		 refused;	/* by maps, since it was tired last */
};

int pageout_start(struct pageout *po, struct core *core,
		  struct region_table *regions);
void pageout_stop(struct pageout *po);

/*
 * Returns when nothing is being paged out, nor moved between two objects;
 * core->frozen keeps it that way.
 */
void pageout_wait_idle(struct pageout *po);

#endif
