/* SPDX-License-Identifier: BSD-2-Clause */
/* off.h - take the kernel's swap devices out of service (floor 7) */
#ifndef SWAP_KERNEL_OFF_H
#define SWAP_KERNEL_OFF_H

#include "kernel/devices.h"
#include "kernel/drain.h"

/* What an off would do, and whether it would go well; bytes. */
struct kernel_off_plan {
	char		path[256];
	uint64_t	used;		/* must come back */
	uint64_t	available;	/* memory */
	uint64_t	reserve;	/* of that, kept free */
	uint64_t	elsewhere;	/* free on other devices */
	uint64_t	placed;		/* of used: named by page tables */
	bool		drains;		/* pages are brought back first */
	bool		shm;		/* shared memory among them */
	unsigned	number;		/* the device's, where it drains */
	bool		fits;
	/* The memory group that is shortest of room; "": none is. */
	char		group[256];
	uint64_t	group_needs;
	uint64_t	group_room;
};

struct kernel_off_options {
	bool		 force;		/* though it does not fit */
	bool		 dry_run;	/* fill the plan, and stop there */
	bool		 plain;		/* swapoff(2) alone */
	unsigned	 threads;	/* 0: as drain_run() */
	swap_progress_fn *progress;	/* about ten times a second; or NULL */
	void		*arg;
};

struct kernel_off_result {
	struct kernel_off_plan plan;
	struct drain_result drain;
	uint64_t	 usec;		/* all in all */
	uint64_t	 swapoff_usec;	/* of these, swapoff(2) */
};

/*
 * Bring back what a device holds, and take it out of service.
 *
 * Errors, with a sentence: -ENOENT, -ENXIO not in service; -EPERM; -ENOMEM it
 * does not fit, or memory got scarce on the way; -EINTR stopped by the
 * progress.  The device is then still in service, with its priority; what has
 * come back stays in RAM.  The plan is filled in any case but the first two.
 *
 * swapoff(2) runs in a child process: the kernel makes its caller the OOM
 * killer's first choice, and a child can be ended.  A caller that waits for
 * any child of its own must not do so meanwhile.
 */
int kernel_off(const struct host *host, const char *spec,
	       const struct kernel_off_options *options,
	       struct kernel_off_result *ret_result,
	       struct swap_error *error);

#endif
