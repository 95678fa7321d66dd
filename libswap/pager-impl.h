/* SPDX-License-Identifier: BSD-2-Clause */
/* pager-impl.h - struct swap_pager, for this floor only (floor 6) */
#ifndef SWAP_PAGER_IMPL_H
#define SWAP_PAGER_IMPL_H

#include <pthread.h>

#include "fault.h"
#include "object.h"
#include "pageout.h"
#include "region.h"

#define RAM_DEFAULT	(UINT64_C(64) << 20)	/* bytes */
#define CLUSTER_DEFAULT	32u			/* pages */

struct swap_pager {
	struct core	 core;
	struct region_table regions;
	struct fault_pool faults;
	struct pageout	 pageout;
	pthread_t	 collapse;	/* copy-collapse.c */
	char		 name[64];
	bool		 served;	/* by a swapd, not embedded */
	uint64_t	 start_usec;
	_Atomic uint64_t ram_bytes;	/* the budget as configured, or tuned */
	uint64_t	 uffd_features;	/* what the kernel offers */
	_Atomic unsigned clients;
	pthread_mutex_t	 admin;		/* attach, start of detach, handover,
					   changes of a tunable */
	pthread_cond_t	 detached;	/* (admin) */
	unsigned	 ndetaching;	/* (admin) */
	_Atomic bool	 handed_over;	/* written under admin */
};

/*
 * Warn where the metadata budget cannot describe all of the swap space
 * (FreeBSD swapon_check_swzone).
 */
void pager_check_maps(struct swap_pager *pager);

/* Pages that are only in blocks, of all objects. */
uint64_t pager_count_swapped(struct core *core);

/*
 * The RAM budget, of which the cache is a part.  -EBUSY, with nothing changed:
 * see budget_set_limit(); pager_least_ram() tells how much that allows.
 */
int pager_set_ram(struct core *core, uint64_t ram_pages);
uint64_t pager_least_ram(struct core *core);

#endif
