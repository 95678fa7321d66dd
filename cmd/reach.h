/* SPDX-License-Identifier: BSD-2-Clause */
/* reach.h - how a command reaches its pager (floor 8) */
#ifndef SWAP_REACH_H
#define SWAP_REACH_H

#include "command.h"
#include "ipc/path.h"
#include "kernel/host.h"
#include "swap.h"

/* Does this call name a pager, by -p or SWAPCTL_PAGER? */
bool reach_is_named(const struct invocation *inv);

/*
 * Is the kernel's own swap meant, by -p (in @argv too, which is not yet
 * parsed) or SWAPCTL_PAGER?
 */
bool reach_is_kernel(const struct invocation *inv, int argc, char **argv);

/* The kernel's /proc and /sys; as reach_connect(). */
int reach_host(struct host *ret_host);

/*
 * Connect to the pager of this call.  EXIT_OK, or what the command returns;
 * then the user has been told.
 */
int reach_connect(const struct invocation *inv, struct swap_client **ret);

/*
 * Connect, take one snapshot, and close; or the kernel's.  As
 * reach_connect().
 */
int reach_stats(const struct invocation *inv, struct swap_stats *ret_stats);

/*
 * Call @each with a snapshot of every pager that answers, in the order of
 * their names.  Those that fail are told of, and make it EXIT_FAILED.
 */
typedef int reach_fn(void *arg, const struct pager_entry *entry,
		     struct swap_stats *stats);
int reach_all(reach_fn *each, void *arg);

#endif
