/* SPDX-License-Identifier: BSD-2-Clause */
/* memory.h - the machine's memory, paging and pressure figures (floor 7) */
#ifndef SWAP_KERNEL_MEMORY_H
#define SWAP_KERNEL_MEMORY_H

#include "kernel/host.h"

/* A line of /proc/pressure/memory. */
struct kernel_pressure {
	double		avg10;		/* per cent of the last 10 s, ... */
	double		avg60;
	double		avg300;
	uint64_t	total_usec;	/* stalled since the start */
};

/* Everything in bytes, unless a name says otherwise. */
struct kernel_memory {
	uint64_t	total;
	uint64_t	available;
	uint64_t	unevictable;
	uint64_t	shmem;		/* in RAM */
	uint64_t	swap_total;
	uint64_t	swap_free;
	uint64_t	swap_cached;	/* in RAM and in a slot */
	uint64_t	zswap_physical;	/* what zswap's pool takes */
	uint64_t	zswap_logical;	/* what is compressed in it */
	bool		zswap_enabled;
	char		zswap_compressor[24];
	uint64_t	in_pages;	/* pswpin, since the start */
	uint64_t	out_pages;	/* pswpout */
	uint64_t	zswap_in_pages;
	uint64_t	zswap_out_pages;
	uint64_t	scanned_pages;	/* looked at by reclaim */
	uint64_t	faults;
	uint64_t	major_faults;
	bool		has_pressure;
	struct kernel_pressure some;	/* at least one task waited */
	struct kernel_pressure full;	/* all that could run waited */
};

/* Fill in what the kernel says; the rest is 0.  -errno of /proc/meminfo. */
int kernel_memory(const struct host *host, struct kernel_memory *ret_memory);

/* The same of what /proc/meminfo says alone: zswap's too, but no counts. */
int kernel_memory_sizes(const struct host *host,
			struct kernel_memory *ret_memory);

#endif
