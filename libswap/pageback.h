/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pageback.h - bring pages back into RAM without a fault: for detaching a
 * device, for handing memory over, for wiring; and giving pages up (floor 5)
 */
#ifndef SWAP_PAGEBACK_H
#define SWAP_PAGEBACK_H

#include "object.h"
#include "region.h"

struct pageback {
	struct core	*core;
	uint64_t	 lo, hi;	/* blocks to bring back: [lo, hi) */
	bool		 force;		/* whatever the RAM budget */
	bool		 poison;	/* lose what cannot be read, rather than
					   stop at it */
	void		*buf;		/* SWAP_CLUSTER_MAX pages */
	uint64_t	 done;		/* pages brought back */
	uint64_t	 failed;	/* pages that could not be read */
	/* Called between reads; non-zero stops with that. */
	int		(*poll)(struct pageback *pb);
	void		*arg;
};

/*
 * Bring back every page that has a block in [lo, hi): resident pages give
 * their block up, swapped ones are read.  Scans all objects once; pages whose
 * page-out is in flight may be missed, so the caller looks and repeats.
 *
 * 0; what poll returned; -ENOMEM no RAM became free for a long time.
 */
int pageback_blocks(struct pageback *pb);

/*
 * Make [page, page + n) of an object resident; new pages get memory.
 * -EIO: one is lost or cannot be read; -ENOMEM.
 */
int pageback_range(struct pageback *pb, struct swap_object *object,
		   uint64_t page, uint64_t n);

/*
 * Give pages up: no memory, no block, zeros from now on.  Waits for busy
 * pages.  -EBUSY: one is wired; those before it are gone.
 */
int pageback_release(struct swap_object *object, uint64_t page, uint64_t n);

#endif
