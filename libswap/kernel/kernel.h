/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kernel.h - the host kernel's swap as a provider of the snapshot (floor 7)
 */
#ifndef SWAP_KERNEL_KERNEL_H
#define SWAP_KERNEL_KERNEL_H

#include "kernel/host.h"

/*
 * Fill the snapshot that a swapd fills too; free it with swap_stats_clear().
 * RAM is the machine's; an object is a process with anything in swap, as
 * VmSwap counts it, with its process number as id.
 * -errno of /proc/swaps and /proc/meminfo; -ENOMEM.
 */
int kernel_stats(const struct host *host, struct swap_stats *ret_stats);

/*
 * The map of a device; free it with swap_device_map_clear().  @ret_unplaced
 * (may be NULL) as for slot_survey_map().  Errors, with a sentence: those of
 * kernel_device_find() and slot_survey().
 */
int kernel_map(const struct host *host, const char *spec, size_t ncells,
	       struct swap_device_map *ret_map, uint64_t *ret_unplaced,
	       struct swap_error *error);

#endif
