/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * space.h - swap space: the device table and the only door to blocks (floor 3)
 *
 * Blocks are numbered in one 64-bit space over all devices; between two
 * devices one block belongs to nobody, so that no I/O can cross from one to
 * the next (FreeBSD swaponsomething).
 *
 * The numbers below WORDS_MAX are *word blocks*: they are on no device, and
 * hold a page of one repeated word each (words.h).  Any number of pages may
 * have the same one, each with a reference of its own; it is read without I/O,
 * never written, never allocated but by space_word(), and counts as no block
 * anywhere.  Nothing is kept in a cache under its number.
 */
#ifndef SWAP_SPACE_H
#define SWAP_SPACE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "arena.h"
#include "cache.h"
#include "device.h"
#include "events.h"
#include "log.h"
#include "swap.h"
#include "words.h"

#define SPACE_NONE		UINT64_MAX
/* Numbers of devices begin here: one behind the word blocks is nobody's. */
#define SPACE_FIRST		(UINT64_C(1) + WORDS_MAX)
#define SPACE_DEVICES_MAX	256u
#define SPACE_LATE_MAX		64u

struct space_dev;

/* The thread that discards; see space-discard.c. */
struct space_discard {
	pthread_mutex_t	 lock;		/* a leaf */
	pthread_cond_t	 work;		/* (lock) held or quit has changed */
	pthread_cond_t	 done;		/* (lock) rounds has changed */
	bool		 started;	/* (lock) */
	bool		 held;		/* (lock) something is held back */
	bool		 enough;	/* (lock) so much that it starts now */
	bool		 quit;		/* (lock) */
	uint64_t	 ndone;		/* (lock) runs discarded */
	pthread_t	 thread;
};

/* Blocks that were freed while somebody else had the lock. */
struct space_late {
	uint64_t	block, n;
	bool		reserve;	/* set aside again */
};

/* What is said once the lock is released. */
struct space_news {
	unsigned	what;		/* bits of space-alloc.c */
	uint64_t	room, total;	/* blocks */
	uint64_t	block, n;	/* a refused free */
	int		error;		/* of it */
	uint64_t	over;		/* given back, but not set aside */
};

/* Who needs both locks takes (l) first. */
struct space {
	struct log	 log;
	struct events	*events;	/* NULL: nobody listens */
	struct cache	*cache;		/* forgets what is allocated anew (C2);
					   NULL: there is none */
	pthread_mutex_t	 lock;		/* (l) */
	struct space_dev *dev[SPACE_DEVICES_MAX]; /* (l) by priority, high
						      first */
	unsigned	 ndev;		/* (l) */
	struct space_dev *last;		/* (l) round-robin: used last */
	uint64_t	 total;		/* (l) blocks of devices in service */
	uint64_t	 avail;		/* (l) free ones of these */
	_Atomic unsigned ngone;		/* (l) devices; read without it */
	bool		 almost_full;	/* (l) */
	bool		 full;		/* (l) an allocation has failed */
	bool		 warned;	/* (l) said so, until space is back */
	bool		 said;		/* (l) a warning is out */
	struct arena	 table;		/* (l) device table for a successor */
	uint64_t	 serial;	/* (l) of the device attached last */
	uint64_t	 reserved;	/* (l) blocks set aside, S4 */
	uint64_t	 held;		/* (l) blocks held back, S6 */
	uint64_t	 low, high;	/* (l) water marks; 0: by the size */
	uint64_t	 almost_full_events, full_events; /* (l) */
	uint64_t	 free_completed; /* (l) blocks */
	struct space_news news;		/* (l) */
	void		(*refilled)(void *arg);	/* space after being full */
	void		*refilled_arg;
	struct log_limit limit_almost, limit_full, limit_room, limit_slow;
	struct space_discard discard;
	_Atomic uint64_t *slow_transfers; /* counts them; NULL: nobody does */
	_Atomic uint64_t next_watch;	/* usec */

	struct words	 words;		/* has a lock of its own, a leaf */

	pthread_mutex_t	 late_lock;	/* (f) a leaf */
	_Atomic unsigned nlate;		/* (f); read without it */
	uint64_t	 free_deferred;	/* (f) blocks */
	struct space_late late[SPACE_LATE_MAX]; /* (f) */
};

/* @state_dirfd: where the device table lives, or -1 for memory only. */
int space_init(struct space *s, const struct log *log, int state_dirfd);
void space_fini(struct space *s);

/*
 * Put an open device into service; owned by the space on success.  What is to
 * be discarded before (SWAP_DEVICE_DISCARD_ONCE) is waited for.  -EBUSY:
 * the same thing is attached already; -ENOSPC: table or addresses full.
 */
int space_attach(struct space *s, struct device *device,
		 struct swap_error *error);

/*
 * Find an attached device and mark it closing: it takes no allocations any
 * more and its free blocks leave the count (FreeBSD swapoff_one).
 *
 * @swapped_pages  pages that are only in blocks, on any device
 * @spare_pages    free RAM
 *
 * -ENXIO not attached; -EBUSY closing already; -ENOMEM: what must come back
 * from it, and from others that are closing already, is more than fits in free
 * RAM and the free blocks of the devices that stay.
 */
int space_close_begin(struct space *s, const char *spec,
		      uint64_t swapped_pages, uint64_t spare_pages,
		      struct space_dev **ret_dev, struct swap_error *error);
/* Back into service. */
void space_close_cancel(struct space *s, struct space_dev *dev);
/* Give the device up; it must hold nothing. */
void space_close_finish(struct space *s, struct space_dev *dev);

/* Blocks in use on a device, its address range, its path. */
uint64_t space_dev_used(struct space *s, struct space_dev *dev);
uint64_t space_dev_first(const struct space_dev *dev);
uint64_t space_dev_end(const struct space_dev *dev);
const char *space_dev_path(const struct space_dev *dev);
/*
 * The address range of the device at place @i, below SPACE_DEVICES_MAX; false:
 * there are not so many.  Devices change places when others come and go.
 */
bool space_dev_range(struct space *s, unsigned i, uint64_t *ret_first,
		     uint64_t *ret_end);

/*
 * Allocate up to @want contiguous blocks; *ret_n is how many.  Devices of
 * the highest priority that have room are walked round-robin (FreeBSD
 * swp_pager_getswapspace), so that they get equally many.  Where none of them
 * has a run that long, FreeBSD halves the wish and walks again; here the first
 * one with the longest run is taken.  SPACE_NONE: nothing is free that is not
 * set aside, said once in the log.  O(devices), and one blist_alloc().
 */
uint64_t space_alloc(struct space *s, unsigned want, unsigned *ret_n);

/*
 * Set @n blocks aside, which space_alloc() then leaves alone, and give them
 * back: all or nothing, -ENOSPC.  space_alloc_reserved() allocates out of what
 * is set aside, which then is *ret_n less; it finds blocks unless devices have
 * gone since, or nothing is set aside.  Giving back more than is set aside is
 * refused, with a message in the log.
 *
 * What is set aside is a number, not particular blocks.  It does not change
 * when a device closes or disappears, even where fewer blocks are left: plain
 * allocations then find nothing until there are more again.
 */
int space_reserve(struct space *s, uint64_t n);
void space_unreserve(struct space *s, uint64_t n);
uint64_t space_alloc_reserved(struct space *s, unsigned want,
			      unsigned *ret_n);

static inline bool
space_is_word(uint64_t block)
{
	return block < WORDS_MAX;
}

/*
 * The word block of a page of which every word is @word, with a reference.
 * SPACE_NONE: there are WORDS_MAX other words.  No lock but a leaf.
 */
uint64_t space_word(struct space *s, uint64_t word);
/* What a word block has, to which the caller has a reference. */
static inline uint64_t
space_word_of(const struct space *s, uint64_t block)
{
	return words_get(&s->words, block);
}

/*
 * Free blocks, all of one device, which nobody reads or writes any more.  Does
 * not wait for the lock: while somebody else has it, the range is noted down
 * and freed by the next who has it (FreeBSD swap_pager_unswapped:
 * free_deferred, free_completed).  Only when SPACE_LATE_MAX ranges are noted
 * down already does it wait.
 *
 * Blocks that are not in use are refused, with a message in the log.  Of @n
 * word blocks a reference is dropped, each; nothing is set aside for them.
 */
void space_free(struct space *s, uint64_t block, uint64_t n);
/* Free them in the same way, and set them aside again. */
void space_free_reserved(struct space *s, uint64_t block, uint64_t n);
/* A write or read of them failed: never use them again. */
void space_bad(struct space *s, uint64_t block, uint64_t n);

/*
 * I/O on @n blocks of one device.  0 or a negative errno.  Word blocks, to
 * which the caller has references, are read at once and never fail.
 */
int space_read(struct space *s, uint64_t block, void *buf, uint64_t n);
int space_write(struct space *s, uint64_t block, const void *buf, uint64_t n);

/*
 * Start a transfer of io->n blocks from io->block, all of one device; io->base
 * and what is private are set here.  See device_start().
 */
void space_start(struct space *s, struct aio *aio, struct device_io *io);

/*
 * Look for transfers that take over 20 s, and tell of each of them once: log,
 * event, and *slow_transfers.  Whoever comes by regularly calls it; it looks
 * once a second, and else costs one reading of the clock.
 */
void space_watch(struct space *s);

/* Is the block on a device that is closing, or has gone? */
bool space_is_leaving(struct space *s, uint64_t block);
/* Has its device gone?  Costs no lock while none has. */
bool space_is_gone(struct space *s, uint64_t block);
/* Is there so little left that blocks of clean pages should be given back? */
bool space_is_tight(struct space *s);
bool space_is_full(struct space *s);
/*
 * Once space has been full: the blocks that are free and not set aside.  Else
 * UINT64_MAX.
 */
uint64_t space_room(struct space *s);

/*
 * The low- and high-water marks in blocks; 0: by the size of the space, and
 * then never on the wrong side of the other one.  They are compared with what
 * is free and not set aside: below low, space is almost full until it is above
 * high.  space_water() tells what was set.
 * -EINVAL where low is above high, neither being 0, with nothing changed.
 */
int space_set_water(struct space *s, uint64_t low, uint64_t high);
void space_water(struct space *s, uint64_t *ret_low, uint64_t *ret_high);

struct space_totals {
	uint64_t	total, avail, used;	/* blocks */
	uint64_t	reserved;		/* of avail: set aside */
	uint64_t	held;			/* free, but to be discarded */
	uint64_t	free_deferred, free_completed;	/* blocks, ever */
	uint64_t	almost_full_events, full_events;
	bool		almost_full, full;
};
void space_totals(struct space *s, struct space_totals *ret);

/* Fill a malloc()ed array of device statistics.  -ENOMEM. */
int space_stats(struct space *s, struct swap_device_stats **ret, size_t *ret_n);
size_t space_memory(struct space *s);

/*
 * As swap_pager_map().  The lock is held for one window of the device at a
 * time: at most 65,536 blocks, or 256 cells.
 */
int space_map(struct space *s, const char *spec, size_t ncells,
	      unsigned cluster, struct swap_device_map *ret_map,
	      struct swap_error *error);

/*
 * As swap_pager_range(), under the lock for one window at a time too.
 */
int space_range(struct space *s, const char *spec, uint64_t first,
		uint64_t nblocks, size_t ncells,
		struct swap_range_cell cells[], struct swap_error *error);
/*
 * Where a device's blocks are in the space; as space_range() otherwise, with
 * its errors.
 */
int space_range_find(struct space *s, const char *spec, uint64_t first,
		     uint64_t nblocks, uint64_t *ret_block,
		     struct swap_error *error);

/* The device table as a successor finds it: one record a device. */
struct space_record {
	_Atomic uint32_t in_use;	/* set last, cleared first */
	int32_t		priority;
	uint64_t	first, nblocks;
	uint64_t	rdev, dev, ino;
	char		path[208];
};

#endif
