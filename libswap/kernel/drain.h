/* SPDX-License-Identifier: BSD-2-Clause */
/* drain.h - bring swapped pages back in bulk (floor 7) */
#ifndef SWAP_KERNEL_DRAIN_H
#define SWAP_KERNEL_DRAIN_H

#include "kernel/host.h"
#include "kernel/pages.h"

#define DRAIN_ANY	PAGES_NUMBERS	/* from every device */

struct drain_request {
	unsigned	 number;	/* of the device, or DRAIN_ANY */
	int32_t		 pid;		/* 0: all processes */
	const char	*group;		/* NULL: of all memory groups */
	int		 group_version;
	/*
	 * Give the pages to their processes as well, by reading a byte of
	 * each; otherwise they stay in the swap cache for swapoff(2).
	 */
	bool		 map;
	bool		 shm;		/* shared memory too */
	unsigned	 threads;	/* 0: as many as there are cores, to 4 */
	uint64_t	 total_bytes;	/* for the progress */
	swap_progress_fn *progress;	/* about ten times a second; or NULL */
	void		*arg;
};

struct drain_result {
	uint64_t	 bytes;		/* asked for */
	uint64_t	 usec;
	unsigned	 nprocesses;
	unsigned	 nhidden;	/* that may not be looked into */
};

/*
 * Bring back what is wanted.  No page is written, no process stopped.
 *
 * Errors: -EINTR stopped by @progress; -ENOMEM memory got scarce and stayed so
 * for ten seconds, or none for ourselves.  What has come back stays, and
 * @ret_result is filled in any case.
 */
int drain_run(const struct host *host, const struct drain_request *request,
	      struct drain_result *ret_result, struct swap_error *error);

#endif
