/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * merge.h - give one object the pages of another (floor 5)
 */
#ifndef SWAP_MERGE_H
#define SWAP_MERGE_H

#include "object.h"

/*
 * As swap_object_copy(), in pages; two objects of one pager.  -ESHUTDOWN: the
 * pager is ending.
 */
int merge(struct swap_object *from, uint64_t from_page,
	  struct swap_object *to, uint64_t to_page, uint64_t n,
	  unsigned flags);

#endif
