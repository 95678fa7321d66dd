/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * replace.h - which pages go out: S3-FIFO over the queues of a pool (floor 5)
 *
 * The kernel tells a pager of faults alone.  A program that reads a page that
 * is there is not seen, and one that writes a page which is there and not
 * protected is not either.  What can be known of use is this:
 *
 *	- a page that comes back soon after it went out (the ghost list, or
 *	  its copy is still in the cache): faults put it into `main';
 *	- a write to a clean page, or to one that was protected to find that
 *	  out: a fault marks it PAGE_REF.
 *
 * All other pages stand in `small', oldest first, and go when they come to its
 * head.  So a scan pushes out what it brought in itself, and not what is used.
 */
#ifndef SWAP_REPLACE_H
#define SWAP_REPLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "object.h"
#include "region.h"

#define REPLACE_MAX	256u	/* most victims, or probes, at a time */

/* A page that may go, owned (BUSY). */
struct victim {
	struct swap_object *object;	/* held */
	uint64_t	page;
	uint64_t	block;		/* of a clean one: where it is; of a
					   dirty one: where it goes, or
					   SPACE_NONE */
	bool		dirty;
	bool		reserved;	/* (P6) */
	bool		no_room;	/* there is no block for it: it goes if
					   it needs none, and else stays */
};

/*
 * How to find out whether pages are used.  arm() is asked for pages that nobody
 * need own; used() some time later, with the object locked, tells whether one
 * has been used since, and begins anew.  Today's only one (replace_by_writes)
 * protects pages from being written.
 */
struct tracker {
	int	(*arm)(struct region_set *set, uint64_t page, uint64_t n);
	bool	(*used)(struct swap_object *object, uint64_t page);
	unsigned arm_cost, used_cost;	/* microseconds, about: of a page that
					   is armed, and of one that is found
					   used */
};

extern const struct tracker replace_by_writes;

struct probe;

/* One thread uses it. */
struct replace {
	struct core	*core;
	const struct tracker *tracker;
	struct probe	*probe;		/* REPLACE_MAX */
	unsigned	 nprobes;
	uint64_t	 credit_usec;	/* that sampling may still cost */
	uint64_t	 credit_at;	/* when that was reckoned */
	uint64_t	 lap;		/* times that one could go; a pool
					   counts since its own one */
	uint64_t	 nmaps_full;	/* pages without room in their maps */
};

/* -ENOMEM. */
int replace_init(struct replace *r, struct core *core) swap_must_check;
void replace_fini(struct replace *r);

/*
 * Own up to @max (REPLACE_MAX at most) pages of the pool that may go, in no
 * order.  How many; 0: none of those that it has looked at, 65,536 of each
 * queue at most.  Not more dirty ones than there are blocks, and than the swap
 * limits allow.
 */
unsigned replace_collect(struct replace *r, struct pool *pool,
			 struct victim victim[], unsigned max);
/* Has it looked at all pages of the pool since one, of any, could go? */
bool replace_is_hopeless(const struct replace *r, struct pool *pool);
/* One could go. */
void replace_has_gone(struct replace *r);
/*
 * Entries of objects that have died go when they are met.  Where RAM is plenty
 * nobody meets them, and they would pile up: make the queues anew then.
 */
void replace_prune(struct replace *r, struct pool *pool);

#endif
