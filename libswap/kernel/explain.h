/* SPDX-License-Identifier: BSD-2-Clause */
/* explain.h - can this file or device be swap, and if not, why? (floor 7) */
#ifndef SWAP_KERNEL_EXPLAIN_H
#define SWAP_KERNEL_EXPLAIN_H

#include "kernel/host.h"

enum explain_verdict {
	EXPLAIN_GOOD,
	EXPLAIN_NOTE,		/* worth knowing */
	EXPLAIN_FORCE,		/* --force overrides it, and loses what is there */
	EXPLAIN_BAD,		/* must be mended first */
};

struct explain_finding {
	enum explain_verdict verdict;
	char	topic[16];	/* "holes", "owner", ... */
	char	text[200];	/* what is so */
	char	remedy[240];	/* what to do; "" where there is nothing */
};

#define EXPLAIN_MAX	24u

struct explain {
	char		*path;		/* that was meant by a tag */
	uint64_t	 bytes;		/* its size */
	bool		 is_file;
	bool		 has_header;	/* one that fits the kernel */
	enum explain_verdict worst;
	unsigned	 n;
	struct explain_finding finding[EXPLAIN_MAX];
};

/* Look for the kernel's swap, or else for a swapd's. */
#define EXPLAIN_FOR_KERNEL	(1u << 0)

/*
 * Look at everything that decides, changing nothing.  -ENOMEM; -ENOENT a tag
 * that no device has, with a sentence.  A path that is not there is a finding.
 * Cost: FIEMAP of a file, and what probing reads.
 */
int explain(const struct host *host, const char *spec, unsigned flags,
	    struct explain *ret_explain, struct swap_error *error);
void explain_clear(struct explain *explain);

#endif
