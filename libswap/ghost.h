/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ghost.h - which blocks' pages went out not long ago (floor 1)
 *
 * S3-FIFO's ghost list: a page that comes back while its block is still
 * remembered here was evicted too early, and goes to the main queue.  A table
 * of fingerprints with the number of evictions at which each was made; a wrong
 * "yes" (two blocks with one fingerprint) costs a place in a queue, nothing
 * else.  No lock: each entry is one atomic word.
 */
#ifndef SWAP_GHOST_H
#define SWAP_GHOST_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "compiler.h"

/* Most evictions that are remembered: 16 GiB of pages of 4 KiB. */
#define GHOST_SPAN_MAX	(UINT64_C(1) << 22)

struct ghost {
	void		*table;		/* the same as entry, for munmap(2) */
	_Atomic uint64_t *entry;
	_Atomic uint32_t nsets;		/* a power of two */
	_Atomic uint64_t evictions;	/* so far */
	_Atomic uint64_t span;		/* remembered for so many evictions */
};

/* It remembers nothing before a span is set.  -ENOMEM. */
int ghost_init(struct ghost *ghost) swap_must_check;
void ghost_fini(struct ghost *ghost);
/*
 * Remember for as many evictions as there are pages of RAM; GHOST_SPAN_MAX at
 * most.  Where the table changes its size some of what it knows is lost.
 */
void ghost_set_span(struct ghost *ghost, uint64_t pages);
/* The page that has @block goes out. */
void ghost_add(struct ghost *ghost, uint64_t block);
/* It comes in: did it go out within the span? */
bool ghost_has(struct ghost *ghost, uint64_t block);

#endif
