/* SPDX-License-Identifier: BSD-2-Clause */
/* sums.h - the objects of a pager added up, by process or by user (floor 8) */
#ifndef SWAP_SUMS_H
#define SWAP_SUMS_H

#include <stddef.h>
#include <stdint.h>

#include "compiler.h"
#include "swap.h"

struct sum {
	uint32_t	uid;
	int32_t		pid;		/* 0 where users are added up */
	char		command[16];
	uint64_t	nobjects;
	uint64_t	size_bytes;
	uint64_t	resident_bytes;
	uint64_t	swapped_bytes;
	uint64_t	block_bytes;
	uint64_t	wired_bytes;
	uint64_t	reserved_bytes;
	uint64_t	charged_bytes;	/* of users */
	uint64_t	limit_bytes;	/* of users; 0: none */
};

enum sum_by {
	SUM_BY_PROCESS,		/* that which made the objects */
	SUM_BY_USER,		/* and what each is charged */
};

/*
 * A malloc()ed array, sorted as stats_sort_objects() sorts.  -ENOMEM.
 * Cost: O(n log n) in the objects.
 */
int sums_make(const struct swap_stats *stats, enum sum_by by,
	      struct sum **ret_sums, size_t *ret_n) swap_must_check;

#endif
