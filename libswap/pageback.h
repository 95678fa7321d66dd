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
	bool		 force;		/* whatever the RAM budget */
	void		*buf;		/* SWAP_CLUSTER_MAX pages */
	bool		 clean;		/* pages of a range keep their blocks */
	uint64_t	 most;		/* pages in one read; 0: all that fit */
	uint64_t	 failed_page;	/* by the last read: first of these that
					   is not before the page asked for */
};

/*
 * RAM for @n pages of an object, or for fewer, at least one.  The caller owns no
 * page, and has not locked it.  -ENOMEM none became free for a long time.
 */
int pageback_take_ram(struct pageback *pb, struct swap_object *object,
		      uint64_t n, uint64_t *ret_n);
/* Not locked.  What is left of it. */
void pageback_give_ram(struct swap_object *object, uint64_t n);

/*
 * Make [page, page + n) of an object resident; new pages get memory.
 * -EIO: one is lost or cannot be read; -ENOMEM; -ESTALE: the object has ended.
 */
int pageback_range(struct pageback *pb, struct swap_object *object,
		   uint64_t page, uint64_t n);
/*
 * Make one page resident, and what lies consecutively around its block within
 * pages [lo, hi).  *ret_next is the first page behind it that was not looked
 * at.  Errors as above: of this page alone.
 */
int pageback_page(struct pageback *pb, struct swap_object *object,
		  uint64_t page, uint64_t lo, uint64_t hi,
		  uint64_t *ret_next);

/* A device that is being emptied. */
struct pageback_device {
	uint64_t	 lo, hi;	/* its blocks: [lo, hi) */
	uint64_t	 failed;	/* pages that could not be read */
	bool		 skip;		/* leave it alone from now on */
};

struct pageback_sweep {
	struct core	*core;
	struct pageback_device *device;
	unsigned	 ndevices;	/* at most SPACE_DEVICES_MAX */
	bool		 force;		/* to RAM, whatever the budget */
	bool		 poison;	/* lose what cannot be read, rather than
					   leave it where it is */
	uint64_t	 done;		/* pages that have left the devices */
	/* Called now and then; non-zero stops with that. */
	int		(*poll)(void *arg);
	void		*arg;
};

/*
 * Take every page off these devices, which take no allocations any more: into
 * RAM, or to blocks of other devices where RAM is short.  Resident pages give
 * their block up.  Goes through the devices once; busy pages are left out, so
 * the caller looks, and repeats.
 *
 * 0; what poll returned; -ENOMEM neither RAM nor blocks became free for a long
 * time, or no memory; -EAGAIN no thread for transfers; what the memfd says.
 */
int pageback_blocks(struct pageback_sweep *sweep);

/*
 * Every page of an object that has a word block gives it up: into RAM, whatever
 * is there already just so.  Waits for busy ones.  -ENOMEM; -ESTALE: the object
 * has ended; what the memfd says.
 */
int pageback_words(struct pageback *pb, struct swap_object *object);

/* Memory for owned pages that have none; zeros are in them then. */
int pageback_fill_hole(const struct swap_object *object, uint64_t page,
		       uint64_t n);

/*
 * Owned pages that have got memory are dirty from now on; not locked, but open.
 * Where
 * giving it to them failed midway, @filled false, those are as far as there are
 * any: they stay, since a program may have written into them.  How many.
 */
uint64_t pageback_enter_new(struct swap_object *object, uint64_t page,
			    uint64_t n, bool filled);

/*
 * Give pages up: no memory, no block, zeros from now on.  Waits for busy
 * pages, and where copies depend on pages in RAM for room for these.  -EBUSY:
 * one is wired; -ENOMEM no RAM became free; those before it are gone.
 */
int pageback_release(struct swap_object *object, uint64_t page, uint64_t n);
/*
 * The same for pages that the caller owns, and goes on owning; not locked, and
 * open, unless it is an orphan.  No copy depends on them.
 */
int pageback_free_owned(struct swap_object *object, uint64_t page, uint64_t n);

#endif
