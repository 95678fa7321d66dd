/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pageout.h - the thread that keeps pages free within the budget (floor 5)
 */
#ifndef SWAP_PAGEOUT_H
#define SWAP_PAGEOUT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "aio.h"
#include "object.h"
#include "region.h"
#include "replace.h"

#define PAGEOUT_ASYNC_MAX	64u	/* most writes in flight */
#define PAGEOUT_ASYNC_DEFAULT	16u
#define PAGEOUT_SPARE		16u	/* frames for when all are taken */

struct pageout_write;

/* Dirty pages on their way into one write. */
struct pageout_stage {
	struct victim	 page[SWAP_CLUSTER_MAX];
	unsigned	 n;
	char		*mem;		/* NULL: nothing is staged */
	unsigned	 most;		/* frames there */
	bool		 reserved;	/* as all of the pages */
};

struct pageout {
	struct core	*core;
	struct region_table *regions;
	pthread_t	 thread;
	_Atomic bool	 stop;
	pthread_mutex_t	 working;	/* held while pages are owned */

	/* The thread's own from here on. */
	struct replace	 replace;
	struct victim	*victim;	/* REPLACE_MAX */
	struct aio	*aio;
	struct pageout_write *write;	/* PAGEOUT_ASYNC_MAX */
	struct pageout_write *idle;	/* those that are not in use, */
	struct pageout_write *ended, **ended_tail; /* and those to finish */
	struct pageout_stage stage;
	void		*spare;		/* PAGEOUT_SPARE pages */
	unsigned	 nspare;	/* of these in use */
	unsigned	 nframes;	/* of the cache, in stage and writes */
	uint64_t	 npending;	/* pages being written */
	uint64_t	 nvain;		/* pages that stayed since one went */
	uint64_t	 nstaged;	/* of this round: pages with a place */
	bool		 refused;	/* by maps, since it was tired last */
	bool		 gone;		/* pages, since somebody was told */
	uint64_t	 ncopied;	/* clean pages, since copying was */
	uint64_t	 hits_then;	/* reckoned, and the cache's hits then */
	bool		 copy_few;	/* what is kept is not asked for */
	unsigned	 turn;
};

int pageout_start(struct pageout *po, struct core *core,
		  struct region_table *regions);
void pageout_stop(struct pageout *po);

/*
 * Returns when nothing is being paged out, writes in flight included, nor moved
 * between two objects; core->frozen keeps it that way.
 */
void pageout_wait_idle(struct pageout *po);

/* ------------------------------ pageout-write.c, for pageout.c */

/* 0, or -ENOMEM. */
int pageout_write_init(struct pageout *po);
void pageout_write_fini(struct pageout *po);

/*
 * What the thread does with its sorted victims, @n of them: clean ones go at
 * once; dirty ones that are reserved, or are not, are staged and their writes
 * started.  May wait for writes in flight to end.  Whatever stays is let go of.
 */
void pageout_drop_clean(struct pageout *po, unsigned n);
void pageout_write_dirty(struct pageout *po, unsigned n, bool reserved);
/* Finish writes that have ended; wait for one where @wait and any is in flight. */
void pageout_reap(struct pageout *po, bool wait);

#endif
