/* SPDX-License-Identifier: BSD-2-Clause */
/* groups.h - memory control groups, both versions (floor 7) */
#ifndef SWAP_KERNEL_GROUPS_H
#define SWAP_KERNEL_GROUPS_H

#include "kernel/host.h"

#define GROUP_UNLIMITED	UINT64_MAX

/* Figures include the groups below. */
struct kernel_group {
	char		*path;		/* below the mount: "/" and so on */
	uint64_t	 swapped;	/* bytes */
	uint64_t	 resident;
	uint64_t	 cache;		/* of that, files that can be dropped */
	uint64_t	 limit;		/* GROUP_UNLIMITED: none */
};

struct kernel_groups {
	int		 version;	/* 1, 2, or 0: there are none here */
	char		*mount;
	size_t		 n;
	struct kernel_group *group;	/* those with anything in swap */
};

/* Read all groups.  -ENOMEM. */
int kernel_groups(const struct host *host, struct kernel_groups *ret_groups);
void kernel_groups_clear(struct kernel_groups *groups);

/* How much more a group may take up before its limit. */
uint64_t kernel_group_room(const struct kernel_group *group);

/* The memory group of a process; "" where it cannot be told. */
void kernel_group_of(const struct host *host, int version, int32_t pid,
		     char *buf, size_t len);

/* Is @path the group @group, or below it? */
bool kernel_group_has(const char *group, const char *path);

#endif
