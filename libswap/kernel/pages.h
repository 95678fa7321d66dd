/* SPDX-License-Identifier: BSD-2-Clause */
/* pages.h - the swapped pages of one process (floor 7) */
#ifndef SWAP_KERNEL_PAGES_H
#define SWAP_KERNEL_PAGES_H

#include "kernel/host.h"

/* Device numbers in page tables; above stand the kernel's own markers. */
#define PAGES_NUMBERS	32u

/* Consecutive pages in consecutive slots of one device. */
struct page_run {
	unsigned	number;		/* of the device: PAGES_NUMBERS */
	bool		of_file;	/* private pages of a mapped file */
	uint64_t	slot;
	uint64_t	address;
	uint64_t	npages;
};

/* A return other than 0 ends the walk and is returned. */
typedef int page_run_fn(void *arg, const struct page_run *run);

/*
 * Call @each for what is swapped of process @pid, by address, from address
 * @from on.  Pages that are shared memory are not in it: they are swapped by
 * their file, not by a page table.
 *
 * What the process does meanwhile is seen or not seen.  Errors: -ESRCH no such
 * process, or it has ended; -EACCES, -EPERM it may not be looked into;
 * -ENOMEM.  Cost: a look at its page tables; with PAGEMAP_SCAN (Linux 6.7)
 * only at what is in use, otherwise 8 bytes a page of address space.
 */
int pages_each(const struct host *host, int32_t pid, uint64_t from,
	       page_run_fn *each, void *arg);

/* One mapping, as /proc/PID/maps has it. */
struct page_mapping {
	uint64_t	start;
	uint64_t	end;
	uint64_t	offset;
	unsigned	major;
	unsigned	minor;
	uint64_t	inode;		/* 0: of no file */
	bool		shared;
	const char	*name;		/* within the line */
};

/* Parse a line of maps or smaps; cuts it up.  False: it is none. */
bool page_mapping_parse(char *line, struct page_mapping *ret_mapping);

#endif
