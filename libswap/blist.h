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
 * Allocate a run of at least @min and at most @max blocks
 * (1 <= min <= max <= BLIST_ALLOC_MAX), next fit from a cursor: the first
 * place behind the last allocation, or else from block 0, with @min free
 * blocks in a row; then as many of them as there are, up to @max.
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

/* Bytes of memory that the structure holds, in pages it has written to. */
size_t blist_memory(const struct blist *bl);

/* For tests: 0, or a negative errno where an invariant is broken. */
int blist_check(const struct blist *bl);

#endif
