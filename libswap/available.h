/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * available.h - how much memory this process may still use (floor 1)
 */
#ifndef SWAP_AVAILABLE_H
#define SWAP_AVAILABLE_H

#include <stdint.h>

/*
 * Bytes: MemAvailable of the machine, or less where a memory cgroup (v1 or v2)
 * of this process or one above it leaves less.  UINT64_MAX: cannot be told.
 */
uint64_t memory_available(void);

#endif
