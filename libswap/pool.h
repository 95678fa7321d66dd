/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pool.h - pages that compete with one another for RAM (floor 1)
 *
 * Each object belongs to a pool, and page-out takes victims of one pool at a
 * time.  There is one for all objects that have no limits.  A client or an
 * object with a limit has one of its own, whose pages push out each other.
 *
 * The queues are those of S3-FIFO (Yang and others, 2023), see replace.h.  A
 * page has an entry in one of the first three at most (PAGE_QUEUED).
 *
 * Pools nest, two deep: that of an object with limits of its own stands in that
 * of its client.  What is counted in a pool is counted in the one around it,
 * too, and the stricter limit holds.
 *
 *	L1  used <= limit, but for what is forced (a handover, an evacuation, a
 *	    limit that was lowered), and for the pages that a full swap lets in
 *	    (`extra' of pool_take);
 *	L2  blocks <= swap_limit, but for a limit that was lowered;
 *	L3  what is counted is what objects say of themselves (object.h), so it
 *	    moves with them from pool to pool.
 */
#ifndef SWAP_POOL_H
#define SWAP_POOL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "pageq.h"

struct pool {
	struct pageq	 small;		/* new pages */
	struct pageq	 main;		/* pages that came back soon */
	struct pageq	 probed;	/* from the end of main: written again? */
	struct pageq	 cold;		/* hints: these go first */
	_Atomic uint64_t resident;	/* pages, without those of inner pools */

	/* Only in pools that may have limits; all in pages. */
	struct pool	*parent;	/* (c) around it; NULL: none */
	struct pool	*next;		/* (pools) */
	unsigned	 refs;		/* (pools) */
	bool		 of_object;	/* (c) of one object alone */
	_Atomic uint64_t limit;		/* of used; 0: none */
	_Atomic uint64_t used;		/* resident, or on their way in */
	_Atomic uint64_t low, high;	/* marks, as those of the budget */
	_Atomic uint64_t wired;		/* (written: pools) that must stay */
	_Atomic uint64_t swap_limit;	/* of blocks; 0: none */
	_Atomic uint64_t blocks;	/* that objects have, or get from
					   page-out just now */
	_Atomic uint64_t leaving;	/* owned by page-out */
	_Atomic bool	 tired;		/* page-out found nothing to do */
	_Atomic bool	 changed;	/* ... and there may be something now */
	_Atomic bool	 stuck;		/* ... for want of blocks */

	/* Page-out's own. */
	uint64_t	 tired_until;	/* usec */
	uint64_t	 tired_usec;	/* how long it was, last time */
	uint64_t	 nvain;		/* pages that stayed since one went */
	uint64_t	 hopeless, lap;	/* see replace.c */
};

/* Those that may have limits. */
struct pools {
	pthread_mutex_t	 lock;
	struct pool	*first;		/* (lock) */
};

void pools_init(struct pools *pools);
void pools_fini(struct pools *pools);

void pool_init(struct pool *pool);
void pool_fini(struct pool *pool);
/* Entries of pages, the stale ones included; without the hints. */
size_t pool_queued(struct pool *pool);

/*
 * A pool without limits, with one reference.  @parent gets one more; it may be
 * NULL.  -ENOMEM.
 */
int pool_create(struct pools *pools, struct pool *parent, bool of_object,
		struct pool **ret_pool);
void pool_get(struct pools *pools, struct pool *pool);
/* The last one frees it. */
void pool_put(struct pools *pools, struct pool *pool);
/*
 * The one after @pool, or the first one where that is NULL, with a reference;
 * that of @pool is given back.  NULL: there are no more.  One that is made
 * meanwhile may be left out.
 */
struct pool *pool_next(struct pools *pools, struct pool *pool);

/*
 * -EBUSY, with nothing changed: the pages that are wired need more than three
 * quarters of @limit.  @cluster is for the marks.
 */
int pool_set_limits(struct pools *pools, struct pool *pool, uint64_t limit,
		    uint64_t swap_limit, unsigned cluster);

/* The following work on a pool and those around it. */

/* Take @n pages where no limit is passed by more than @extra. */
bool pool_take(struct pool *pool, uint64_t n, uint64_t extra);
void pool_force(struct pool *pool, uint64_t n);
void pool_give(struct pool *pool, uint64_t n);
/* Pages that the limits leave; UINT64_MAX: there are none. */
uint64_t pool_room(const struct pool *pool);
/* The same above the mark at which page-out is called. */
uint64_t pool_room_above(const struct pool *pool);
/* The same for blocks. */
bool pool_take_blocks(struct pool *pool, uint64_t n);
void pool_force_blocks(struct pool *pool, uint64_t n);
/* True: page-out did not know what to do, and should look again. */
bool pool_give_blocks(struct pool *pool, uint64_t n);
uint64_t pool_block_room(const struct pool *pool);
/* Is hardly a block left, so that each is wanted back at once? */
bool pool_blocks_tight(const struct pool *pool);
/* Count pages as wired; false where that would leave too little. */
bool pool_wire(struct pools *pools, struct pool *pool, uint64_t n, bool force);
void pool_unwire(struct pools *pools, struct pool *pool, uint64_t n);
void pool_count_leaving(struct pool *pool, uint64_t n);
void pool_count_left(struct pool *pool, uint64_t n);
/* Tell page-out's next look that something has changed; was it tired? */
bool pool_note_change(struct pool *pool);
/* Does page-out find nothing to do? */
bool pool_is_tired(const struct pool *pool);
/* ... for want of blocks, in a pool that has no room? */
bool pool_is_stuck(const struct pool *pool);
/* The least of the limits; 0: none. */
uint64_t pool_least_limit(const struct pool *pool);
uint64_t pool_least_swap_limit(const struct pool *pool);

/* This pool alone: pages that have to go, those that leave left out. */
uint64_t pool_missing(const struct pool *pool);
bool pool_is_low(const struct pool *pool);

#endif
