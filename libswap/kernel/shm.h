/* SPDX-License-Identifier: BSD-2-Clause */
/* shm.h - shared memory and tmpfs files in swap (floor 7) */
#ifndef SWAP_KERNEL_SHM_H
#define SWAP_KERNEL_SHM_H

#include "kernel/host.h"

/* One file of shared memory: mapped, open, or in a tmpfs. */
struct shm_file {
	uint64_t	device;		/* as dev_t */
	uint64_t	inode;
	int32_t		pid;		/* that has it; 0: by its path */
	uint32_t	uid;		/* the file's owner */
	uint64_t	size;
	uint64_t	swapped;	/* bytes not in RAM, not holes */
	char		name[128];
};

struct shm_files {
	size_t		 n;
	struct shm_file	*file;		/* those with anything in swap */
	unsigned	 nhidden;	/* that could not be looked into */
};

/*
 * Find all that have pages in swap.  Cost: the maps and descriptors of every
 * process, every file of every tmpfs here, and a look at each page of them.
 * -ENOMEM.
 */
int shm_survey(const struct host *host, struct shm_files *ret_files);
void shm_files_clear(struct shm_files *files);

/*
 * Call @each with ranges that are swapped, mapped into this process at
 * @address while it is called; another return than 0 ends it.
 */
typedef int shm_range_fn(void *arg, void *address, uint64_t length);
int shm_each_range(const struct host *host, shm_range_fn *each, void *arg);

#endif
