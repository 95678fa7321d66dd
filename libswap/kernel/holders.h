/* SPDX-License-Identifier: BSD-2-Clause */
/* holders.h - who is in the kernel's swap (floor 7) */
#ifndef SWAP_KERNEL_HOLDERS_H
#define SWAP_KERNEL_HOLDERS_H

#include "kernel/devices.h"
#include "kernel/groups.h"
#include "kernel/memory.h"
#include "kernel/shm.h"

struct kernel_holder {
	int32_t		pid;
	uint32_t	uid;
	char		command[16];
	uint64_t	size;		/* address space; all in bytes */
	uint64_t	resident;
	uint64_t	swapped;	/* private pages, shared ones whole */
	uint64_t	share;		/* the same, shared ones divided */
	bool		share_known;	/* else share is swapped */
	char		*group;		/* "" where it cannot be told */
};

#define HOLDERS_SHARES	(1u << 0)	/* find the shares: a look at all its
					   pages for each process */
#define HOLDERS_GROUPS	(1u << 1)
#define HOLDERS_SHM	(1u << 2)	/* see shm_survey() */

struct kernel_holders {
	size_t		 n;
	struct kernel_holder *holder;	/* those with anything in swap */
	unsigned	 nhidden;	/* processes whose share is not shown */
	struct kernel_groups groups;
	struct shm_files shm;
};

int kernel_holders(const struct host *host, unsigned flags,
		   struct kernel_holders *ret_holders);
void kernel_holders_clear(struct kernel_holders *holders);

/* Where what is in use went: processes + shm + cached + other = used. */
struct kernel_books {
	uint64_t	used;
	uint64_t	processes;	/* shares */
	uint64_t	shm;
	uint64_t	cached;		/* in RAM as well, held by nobody above */
	int64_t		other;		/* below 0: it moved meanwhile */
};

/* Needs shares and shm. */
void kernel_books(const struct kernel_holders *holders,
		  const struct kernel_devices *devices,
		  const struct kernel_memory *memory,
		  struct kernel_books *ret_books);

#endif
