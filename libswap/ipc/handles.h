/* SPDX-License-Identifier: BSD-2-Clause */
/* handles.h - numbers for what one connection holds (floor 7) */
#ifndef SWAP_IPC_HANDLES_H
#define SWAP_IPC_HANDLES_H

#include <stddef.h>
#include <stdint.h>

#include "../compiler.h"

struct handle_slot {
	void		*item;		/* NULL: free */
	uint32_t	 generation;
	uint32_t	 next_free;
};

/* All zeros is an empty table. */
struct handles {
	struct handle_slot *slots;
	uint32_t	 nslots;
	uint32_t	 free;		/* 1 + index of the first free; 0: none */
	uint32_t	 count;
};

/* Most items in one table. */
#define HANDLES_MAX	65536u

/* A new number, 1 .. 2^48, for @item.  -ENOSPC, -ENOMEM. */
int handles_add(struct handles *handles, void *item, uint64_t *ret_handle)
	swap_must_check;
/* The item, or NULL: never given out, or removed since. */
void *handles_get(const struct handles *handles, uint64_t handle);
/* As handles_get(), and the number is void from now on. */
void *handles_remove(struct handles *handles, uint64_t handle);
/*
 * Remove some item; NULL: there is none left.  Once this has been called,
 * nothing may be added any more.
 */
void *handles_pop(struct handles *handles);
/* Free an empty table. */
void handles_clear(struct handles *handles);

#endif
