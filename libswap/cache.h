/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cache.h - copies of blocks in the pager's own memory (floor 3)
 *
 * All that is read from a device or written to one passes through here, and
 * stays for a while: what page-out has just taken away comes back without I/O
 * (the second segment of Turner and Levy's segmented FIFO), and read-ahead
 * waits here until it is touched.
 *
 * The frames are a ring, given out in order, so that a cluster gets memory in
 * one piece and the oldest copy goes first.
 *
 *	C1  A key is given only by the owner (BUSY) of the page that has the
 *	    block, and only to what is known to be in the block.
 *	C2  Who allocates blocks forgets what the cache had of them, before he
 *	    writes them (space.c does it).
 *
 * From these: a copy that is found under the block that a SWAPPED page has now
 * is that page's contents.
 *
 * A frame is FREE, TAKEN (somebody fills, writes or copies it; without a key,
 * or found) or KEPT (has a key, may be found or given to somebody else).
 * Frames of the ring are locked in memory and count in the RAM budget.
 */
#ifndef SWAP_CACHE_H
#define SWAP_CACHE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "compiler.h"

/* Frames of all; resizing never moves memory. */
#define CACHE_FRAMES_MAX	65536u

/* Frames that were given back not long ago: they are taken again first. */
#define CACHE_SPANS	16u

struct cache_frame;

struct cache_span {
	uint32_t	first, n;
};

struct cache {
	pthread_mutex_t	 lock;		/* a leaf */
	char		*memory;	/* constant: CACHE_FRAMES_MAX pages */
	struct cache_frame *frame;	/* (lock) */
	uint8_t		*state;		/* (lock) of each frame */
	uint32_t	*bucket;	/* (lock) chains by block */
	uint32_t	 nbuckets;	/* (lock) a power of two */
	_Atomic uint32_t nframes;	/* (lock) in use: [0, nframes) */
	_Atomic uint32_t nkept;		/* (lock) frames with a key; read
					   without the lock by who only needs
					   to know that there are none */
	uint32_t	 ntaken;	/* (lock) of those in use */
	uint32_t	 hand;		/* (lock) the next to give out */
	uint32_t	 nspans;	/* (lock) */
	struct cache_span span[CACHE_SPANS]; /* (lock) hints, newest last */
	_Atomic uint64_t *wasted;	/* counts read-ahead that goes untouched */
};

/* Why a copy is kept. */
enum cache_why {
	CACHE_OUT,	/* page-out took the page away */
	CACHE_AHEAD,	/* read ahead, not asked for yet */
};

/*
 * A cache without frames.
 *
 * @wasted  counts copies of CACHE_AHEAD that went without being found; may be
 *	    NULL
 * -ENOMEM.
 */
int cache_init(struct cache *cache, _Atomic uint64_t *wasted) swap_must_check;
/* Nobody uses it any more. */
void cache_fini(struct cache *cache);
/* Frames that a pager with @ram_pages should have. */
uint32_t cache_size_for(uint64_t ram_pages);
/*
 * More or fewer, up to CACHE_FRAMES_MAX; one thread at a time.  What is kept in
 * those that go is forgotten, those that are taken go when they are given back.
 * -ENOMEM: could not grow, and has not.
 */
int cache_resize(struct cache *cache, uint32_t nframes) swap_must_check;
/* Frames that there are; a hint while somebody resizes. */
uint32_t cache_size(struct cache *cache);

/*
 * Take @n frames in one piece, or as many as there are in one piece, at least
 * one; *ret_n.  NULL: all are taken.  O(@n), unless most frames are taken.
 */
char *cache_take(struct cache *cache, uint32_t n, uint32_t *ret_n);
/* Give @n frames from @mem back, without keeping anything.  Any part of what
 * was taken may be given or kept by itself. */
void cache_give(struct cache *cache, const char *mem, uint32_t n);
/* Give them back, but keep them as copies of @block and following (C1). */
void cache_keep(struct cache *cache, const char *mem, uint32_t n,
		uint64_t block, enum cache_why why);

/*
 * The copies of @block and of up to @n - 1 blocks behind it that lie behind one
 * another in memory, too: taken.  *ret_n is how many, *ret_why what the first
 * was kept for.  NULL: there is none.  They are copies of nothing from then on:
 * who wants them found again keeps them again.
 */
char *cache_find(struct cache *cache, uint64_t block, uint32_t n,
		 uint32_t *ret_n, enum cache_why *ret_why);
/* Is there one?  A hint. */
bool cache_has(struct cache *cache, uint64_t block);
/* Nobody shall find these blocks any more. */
void cache_forget(struct cache *cache, uint64_t block, uint64_t n);

#endif
