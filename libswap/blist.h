/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * blist.h - radix bitmap block lists: which blocks are free (floor 1)
 *
 * Synopsis:
 *	blist_create(nblocks, &bl)	all blocks used
 *	blist_free(bl, first, n)	make them free
 *	blist_alloc(bl, min, max, &n)	a run of at least min, at most max
 *	blist_fill(bl, first, n)	mark used; says how many were free
 *	blist_destroy(bl)
 *
 * Behaviour: FreeBSD kern/subr_blist.c as swap_pager.c uses it.  Not locked:
 * the caller (space.c) holds its lock.
 */
#ifndef SWAP_BLIST_H
#define SWAP_BLIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BLIST_BLOCKS_MAX	(UINT64_C(1) << 40)
#define BLIST_ALLOC_MAX		1024u	/* longest run of one blist_alloc() */
#define BLIST_NONE		UINT64_MAX

struct blist;

/* All @nblocks (1..BLIST_BLOCKS_MAX) used.  -EINVAL, -ENOMEM. */
int blist_create(uint64_t nblocks, struct blist **ret_blist);
void blist_destroy(struct blist *bl);

/*
 * Change the number of blocks.  New ones are used; those that are cut off are
 * forgotten, whatever they were.  On failure nothing changes; shrinking never
 * fails.  The cost does not grow with the size, but for giving back the memory
 * of what is cut off.  -EINVAL, -ENOMEM.
 */
int blist_resize(struct blist *bl, uint64_t nblocks);

/*
 * Allocate as long a run as there is, of at least @min and at most @max blocks
 * (1 <= min <= max <= BLIST_ALLOC_MAX), next fit from a cursor: of the places
 * with that many free blocks in a row the first behind the last allocation, or
 * else the first from block 0.
 * Returns its first block and *ret_n its length; BLIST_NONE if no run of
 * @min is free (*ret_n is left alone).
 */
uint64_t blist_alloc(struct blist *bl, unsigned min, unsigned max,
		     unsigned *ret_n);

/*
 * Free @n blocks from @first; the cost does not grow with @n.  -EINVAL beyond
 * the end, -EEXIST one of them is free already (the structure is unharmed in
 * both cases).  Never fails for want of memory.
 */
int blist_free(struct blist *bl, uint64_t first, uint64_t n);

/*
 * Mark @n blocks from @first used, whatever they were.  *ret_nfree (may be
 * NULL) is how many were free.  The cost does not grow with @n.  -EINVAL
 * beyond the end.  Never fails for want of memory.
 */
int blist_fill(struct blist *bl, uint64_t first, uint64_t n,
	       uint64_t *ret_nfree);

uint64_t blist_nblocks(const struct blist *bl);
uint64_t blist_nfree(const struct blist *bl);
bool blist_is_free(const struct blist *bl, uint64_t block);

/*
 * The first free run at or after @from: true, and its start and length.
 * Adjacent free blocks are always reported as one run.
 */
bool blist_next_free(const struct blist *bl, uint64_t from,
		     uint64_t *ret_first, uint64_t *ret_n);

/* The same for used blocks.  The end of the list ends a run. */
bool blist_next_used(const struct blist *bl, uint64_t from,
		     uint64_t *ret_first, uint64_t *ret_n);

/* Length of the longest free run, as far as BLIST_ALLOC_MAX; O(1). */
unsigned blist_longest(const struct blist *bl);

/*
 * How the free space lies: runs of free blocks by power of two.  A histogram
 * is filled by one or several calls, so that a caller need not keep its lock
 * for a whole large device: begin with all zero bytes, add windows that follow
 * each other from low to high, then end.  A run that crosses from one window
 * into the next is counted once.  A free block outside all windows does not
 * count.  Cost: what is mixed in the window, at about memory speed.
 */
#define BLIST_CLASSES	41u

struct blist_histogram {
	uint64_t nfree;
	uint64_t nruns;
	uint64_t largest;		/* in blocks, not limited */
	uint64_t runs[BLIST_CLASSES];	/* of 2^i to 2^(i+1) - 1 blocks */
	uint64_t blocks[BLIST_CLASSES];	/* free blocks in them */
	uint64_t open;			/* a run that reaches the end of the
					   last window, not counted yet */
};

/* [lo, hi) within the list; what is beyond its end is left out. */
void blist_histogram_add(const struct blist *bl, uint64_t lo, uint64_t hi,
			 struct blist_histogram *hist);
void blist_histogram_end(struct blist_histogram *hist);

/*
 * Free blocks in [lo, hi), as far as the list goes.  Uniform parts and whole
 * groups of blocks are not looked into.
 */
uint64_t blist_count_free(const struct blist *bl, uint64_t lo, uint64_t hi);

/*
 * Bytes of memory that the structure holds: pages of 4 KiB that it has written
 * to, by a running count, which may be a few too many but not too few.
 */
size_t blist_memory(const struct blist *bl);

/* For tests: 0, or a negative errno where an invariant is broken. */
int blist_check(const struct blist *bl);

#endif
