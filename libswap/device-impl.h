/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * device-impl.h - what device.c and its backends share; nobody else includes
 * it (floor 2)
 */
#ifndef SWAP_DEVICE_IMPL_H
#define SWAP_DEVICE_IMPL_H

#include <stdint.h>

#include "device.h"

extern const struct device_ops device_file_ops;
extern const struct device_ops device_block_ops;
extern const struct device_ops device_loop_ops;

/* The backend of an open @fd, a regular file or block device; else NULL. */
const struct device_ops *device_ops_of(int fd);

/* -ENXIO empty or too small, -EFBIG, each with a sentence; else 0. */
int device_check_size(const char *path, uint64_t bytes,
		      struct swap_error *error);

/*
 * The bound loop device that has the file of @dev and @ino under it: its name
 * ("loop3") in @name, and 1; 0 if there is none.
 */
int device_loop_over(dev_t dev, ino_t ino, char *name, size_t len);

#endif
