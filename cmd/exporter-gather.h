/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * exporter-gather.h - the figures of all pagers that swap_exporter shows
 * (floor 8)
 *
 *	gather_new(&config, &gather, &error);
 *	...
 *	picture = gather_picture(gather, now);
 *	if (picture == NULL)
 *		... wait until config.done has been called, and ask again ...
 *	picture_unref(picture);
 *	...
 *	gather_free(gather);
 */
#ifndef SWAP_EXPORTER_GATHER_H
#define SWAP_EXPORTER_GATHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "compiler.h"
#include "ipc/export.h"
#include "swap.h"

/* Most pagers that one swap_exporter asks. */
#define GATHER_PAGERS_MAX	64u
/* Size of the sentence that says why a pager is away. */
#define GATHER_WHY_SIZE		sizeof(((struct swap_error *)NULL)->message)

struct gather;

/* Called after each round, with no lock held; it must not block. */
typedef void gather_done_fn(void *arg);
/* A pager went away (@why says how), or answers again (@why is NULL). */
typedef void gather_change_fn(void *arg, const char *label, const char *why);

struct gather_config {
	const char *const *pagers;	/* names, paths, or "kernel" */
	const char *const *labels;	/* how they are called; all different */
	size_t		 npagers;	/* 1..GATHER_PAGERS_MAX */
	bool		 objects;	/* fetch them too */
	uint64_t	 cache_usec;	/* how old a picture may be */
	uint64_t	 timeout_usec;	/* how long a pager may take */
	gather_done_fn	*done;
	gather_change_fn *change;
	void		*arg;
};

/* One pager in a picture. */
struct picture_pager {
	const char	*label;		/* as configured */
	struct export_snapshot *snapshot;	/* NULL: away */
	char		 why[GATHER_WHY_SIZE];	/* "" unless away */
};

/* All pagers, asked at one time. */
struct picture {
	_Atomic unsigned refs;
	uint64_t	 begun_usec;	/* of CLOCK_MONOTONIC */
	size_t		 n;
	struct picture_pager pager[];	/* in the order of the command line */
};

/*
 * Start the threads.  @config and what it points to, but for itself, must
 * live until gather_free().  -ENOMEM, -EAGAIN: no thread, with a sentence.
 */
int gather_new(const struct gather_config *config, struct gather **ret_gather,
	       struct swap_error *error) swap_must_check;

/*
 * A reference to a picture that was begun at most cache_usec before
 * @asked_usec.  NULL: there is none yet; a round that makes one has been
 * ordered, and done() comes after every round.  Never waits.
 */
struct picture *gather_picture(struct gather *gather, uint64_t asked_usec);

/* From any thread. */
void picture_unref(struct picture *picture);

/*
 * No more rounds: returns when done() will not be called any more.  A thread
 * that waits for a pager that hangs is left to the end of the process, and so
 * is @gather then.
 */
void gather_free(struct gather *gather);

#endif
