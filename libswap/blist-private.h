/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * blist-private.h - the layout of a block list (floor 1)
 *
 * For blist.c, and for its unit test, which plants faults to prove that
 * blist_check() sees them.  Nobody else includes this.
 */
#ifndef SWAP_BLIST_PRIVATE_H
#define SWAP_BLIST_PRIVATE_H

#include "blist.h"

/* 64^7 blocks are more than BLIST_BLOCKS_MAX. */
#define BLIST_LEVELS_MAX	7u

/* Thirty-two bytes, so that no node lies across two pages. */
struct blist_node {
	uint64_t some;		/* bit per child: something in it is free */
	uint64_t all;		/* bit per child: all of it is free */
	uint64_t nfree;		/* free blocks below */
	uint64_t longest;	/* bound on the runs that begin below */
};

struct blist {
	uint64_t nblocks;
	uint64_t cursor;	/* where the next search begins; < nblocks */
	unsigned top;		/* level of the root */
	unsigned page_shift;
	size_t map_bytes;	/* reserved, this structure included */
	size_t touched_bytes;	/* of these, in pages ever written to */
	uint64_t *touched;	/* bit per page of the reservation */
	uint64_t *word;		/* level 0 */
	struct blist_node *node[BLIST_LEVELS_MAX]; /* levels 1..top */
};

#endif
