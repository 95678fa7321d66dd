/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pool.h - pages that compete with one another for RAM (floor 1)
 *
 * Each object belongs to a pool, and page-out takes victims of one pool at a
 * time.  There is one for all objects; one with a limit of its own is for a
 * client whose pages shall only push out each other.
 *
 * The queues are those of S3-FIFO (Yang and others, 2023), see replace.h.  A
 * page has an entry in one of the first three at most (PAGE_QUEUED).
 */
#ifndef SWAP_POOL_H
#define SWAP_POOL_H

#include <stdatomic.h>
#include <stdint.h>

#include "pageq.h"

struct pool {
	struct pageq	 small;		/* new pages */
	struct pageq	 main;		/* pages that came back soon */
	struct pageq	 probed;	/* from the end of main: written again? */
	struct pageq	 cold;		/* hints: these go first */
	_Atomic uint64_t resident;	/* pages */
	_Atomic uint64_t limit;		/* the same, at most; 0: the budget */
};

void pool_init(struct pool *pool);
void pool_fini(struct pool *pool);
/* Entries of pages, the stale ones included; without the hints. */
size_t pool_queued(struct pool *pool);

#endif
