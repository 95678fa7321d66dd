/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * getpages.h - pages into RAM on request, and first out on request (floor 5)
 */
#ifndef SWAP_GETPAGES_H
#define SWAP_GETPAGES_H

#include "object.h"

/*
 * As swap_object_get(), in pages: [page, page + n) and @wanted among them.  The
 * number that are in RAM; -EAGAIN, -EIO, -ENOMEM.
 */
int64_t getpages(struct swap_object *object, uint64_t page, uint64_t n,
		 uint64_t wanted, unsigned flags, uint8_t states[]);

/* Resident pages, but for wired ones, go out before all others. */
void getpages_deactivate(struct swap_object *object, uint64_t page,
			 uint64_t n);

/* As swap_object_haspage(), in pages. */
bool getpages_haspage(struct swap_object *object, uint64_t page,
		      uint64_t *ret_before, uint64_t *ret_after);

#endif
