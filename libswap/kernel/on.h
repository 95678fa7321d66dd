/* SPDX-License-Identifier: BSD-2-Clause */
/* on.h - put files and devices into the kernel's swap (floor 7) */
#ifndef SWAP_KERNEL_ON_H
#define SWAP_KERNEL_ON_H

#include "kernel/host.h"

#define ON_PRIORITY_ANY	(-1)	/* the kernel's choice, below all others */

enum on_discard {
	ON_DISCARD_NO,
	ON_DISCARD_ONCE,	/* all of it, now */
	ON_DISCARD_PAGES,	/* freed ones, in clusters */
	ON_DISCARD_BOTH,
};

struct kernel_on_options {
	int		 priority;	/* 0..32767, or ON_PRIORITY_ANY */
	enum on_discard	 discard;
	uint64_t	 create_bytes;	/* make a file of this size; 0: no */
	const char	*label;		/* of a header that is written */
	bool		 force;		/* write one over what is there */
};

/* What was done. */
struct kernel_on_result {
	char	path[256];
	bool	created;
	bool	header_written;
};

/*
 * Put @spec in service.  A header is written where there is none and nothing
 * to lose, or with force; a file that was made and could not be used is
 * removed again.
 *
 * Errors, with a sentence that says why and what to do: -EEXIST it carries
 * data; -EINVAL anything else that explain() finds, or an option; -EPERM;
 * -EBUSY; -ENOSPC; whatever swapon(2) gives.
 */
int kernel_on(const struct host *host, const char *spec,
	      const struct kernel_on_options *options,
	      struct kernel_on_result *ret_result, struct swap_error *error);

#endif
