/* SPDX-License-Identifier: BSD-2-Clause */
/* fault-impl.h - what the files of the fault threads share (floor 5) */
#ifndef SWAP_FAULT_IMPL_H
#define SWAP_FAULT_IMPL_H

#include "aio.h"
#include "fault.h"
#include "readahead.h"

#define FAULT_NO_PAGE	UINT64_MAX
#define PAGEINS_MAX	64u	/* reads in flight, a thread */
#define PIECES_MAX	64u	/* runs of pages that come in together */
#define WAKES_MAX	32u
#define MESSAGES_MAX	16u	/* read from one region at once */

/* One fault on its way through, or a read that nobody has asked for yet. */
struct fault {
	struct fault_thread *t;
	struct core	*core;
	struct swap_region *region;
	struct swap_object *object;
	uint64_t	 page;		/* FAULT_NO_PAGE: read ahead */
	uint64_t	 since;		/* nsec: when it was heard of */
	bool		 write;		/* the access was a write */
	bool		 protect;	/* it hit write protection */
};

/* Pages that come in together, from @mem. */
struct piece {
	uint64_t	 page;
	uint32_t	 n;		/* at most 64 */
	bool		 proved;	/* page-out took them too early */
	bool		 filled;	/* they have word blocks */
	uint64_t	 in;		/* bit i: page + i is in */
	char		*mem;
};

/* A read in flight. */
struct pagein {
	struct device_io io;
	struct fault	 f;		/* with a user of its region */
	struct region_set *set;
	char		*mem;		/* frames of the cache, or t->spare */
	uint64_t	 page;		/* that the first block belongs to */
	uint32_t	 n;		/* blocks, at most 64 */
	uint64_t	 owned;		/* bit i: page + i is busy by us ... */
	uint64_t	 put;		/* ... and comes in, in the budget */
	int		 rc;
	struct pagein	*next;		/* free, or done */
};

/* A thread of a program that is woken when everything else is settled. */
struct fault_wake {
	struct swap_region *region;	/* a user of it */
	uint64_t	 page, n;
	uint64_t	 since;
	struct latency	*latency;	/* NULL: nobody's */
};

struct fault_thread {
	struct fault_pool *pool;
	struct core	*core;
	pthread_t	 thread;
	_Atomic pid_t	 tid;
	struct aio	*aio;
	char		*spare;		/* one page, for when the cache has no
					   frame */
	bool		 spare_used;
	char		*copied;	/* COPY_PAGES_MAX, once they are needed */
	struct pagein	*pagein;	/* all, PAGEINS_MAX */
	struct pagein	*free, *done;
	_Atomic unsigned nasked;	/* in flight that a fault waits for */

	/* See fault-pool.c. */
	bool		 solo;		/* takes all faults, just now */
	bool		 idle;		/* SCHED_IDLE, unless `unbound' */
	unsigned	 nwakes;
	struct fault_wake wake[WAKES_MAX];
	_Atomic unsigned idle_turn;	/* odd: may be SCHED_IDLE */
	_Atomic unsigned inflight;	/* reads */
	_Atomic uint64_t key;		/* the region that is being read; 0:
					   none */
	_Atomic bool	 unbound;	/* by the watcher */
	int		 cpu;		/* bound to it; -1: not */
	int		 away;		/* the program was there, last time */
	int		 stat_fd;	/* of stat_tid */
	pid_t		 stat_tid;
	unsigned	 until_look;	/* faults before the core is looked up */
	unsigned	 misses;	/* nothing to read right after a wake */
	unsigned	 burst;		/* faults in quick succession */
	uint64_t	 last_nsec;	/* the last of them */
	uint64_t	 spin_nsec;	/* how long reads took that were looked
					   out for, about */
	int		 spin_luck;	/* below 0: they took too long */
};

/* fault.c */
void fault_handle(struct fault *f);
int fault_fill(struct fault *f, uint64_t page, uint64_t n, const void *buf,
	       bool clean, uint64_t *ret_n);
void fault_starve(struct fault *f);
void fault_starve_new(struct fault *f);
bool fault_is_full(struct core *core);
void fault_again(struct fault *f, int rc);
void fault_let_go(struct fault *f, const struct piece *piece, unsigned n);

/* fault-in.c */
/* Object locked; these unlock it. */
void fault_in(struct fault *f);
void fault_in_ahead(struct fault *f);
/* How many pages a window may have just now, up to @most. */
uint32_t fault_window(const struct swap_object *object, uint32_t most);
/* Wait until another fault can be begun. */
void fault_ready(struct fault_thread *t);
/* Finish what has ended; how many. */
unsigned fault_reap(struct fault_thread *t);
/* Wait for at least one to end, or for a while; finish it. */
void fault_wait(struct fault_thread *t);
/* Wait until nothing is in flight. */
void fault_drain(struct fault_thread *t);

/* fault-pool.c */
/*
 * Wake pages in a region when all is settled.  The caller has a user of it.
 * @latency is counted from @since on; NULL: none.
 */
void fault_wake(struct fault_thread *t, struct swap_region *region,
		uint64_t page, uint64_t n, uint64_t since,
		struct latency *latency);
/* The thread is about to wait: others shall take the faults meanwhile. */
void fault_crowd(struct fault_thread *t);

#endif
