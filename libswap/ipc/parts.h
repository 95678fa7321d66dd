/* SPDX-License-Identifier: BSD-2-Clause */
/* parts.h - a get of many pages in several calls (floor 7) */
#ifndef SWAP_IPC_PARTS_H
#define SWAP_IPC_PARTS_H

#include <stdint.h>

#include "../compiler.h"
#include "../swap.h"

/* What swap_object_get() takes. */
struct parts_get {
	uint64_t	offset;
	uint64_t	length;
	uint64_t	wanted;		/* within the range */
	unsigned	flags;		/* SWAP_GET_* */
};

/*
 * One part, as swap_object_get(); @states has room for each page of it.
 * Anything but a count, -EIO, -EAGAIN and -ENOMEM ends the whole at once.
 */
typedef int64_t parts_get_fn(void *arg, const struct parts_get *part,
			     uint8_t states[], struct swap_error *error);

/*
 * As swap_object_get(), in parts of at most @part_bytes (whole pages), each
 * done by @get.  @states may not be NULL.
 */
int64_t parts_get(const struct parts_get *whole, uint64_t part_bytes,
		  parts_get_fn *get, void *arg, uint8_t states[],
		  struct swap_error *error) swap_must_check;

#endif
