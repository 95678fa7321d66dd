/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fault.h - the threads that answer faults in regions (floor 5)
 */
#ifndef SWAP_FAULT_H
#define SWAP_FAULT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "object.h"
#include "region.h"

struct fault_thread;

struct fault_pool {
	struct core	*core;
	struct region_table *regions;
	int		 stop_fd;	/* eventfd: readable when ending */
	unsigned	 nthreads;
	struct fault_thread *thread;
};

int fault_pool_start(struct fault_pool *pool, struct core *core,
		     struct region_table *regions, unsigned nthreads);
void fault_pool_stop(struct fault_pool *pool);

/* Wake the regions whose faults wait for free pages. */
void fault_wake_starved(struct core *core, struct region_table *regions);

#endif
