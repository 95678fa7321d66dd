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

/*
 * The block of a SWAPPED page becomes that of a page which has nothing; both
 * are owned.  The caller has the lock `moves' and has seen that core->frozen is
 * not set.  -EAGAIN the swap limit; -ENOSPC; -EPERM, -ENOMEM, -EDQUOT the map.
 */
int merge_move_block(struct swap_object *from, uint64_t from_page,
		     struct swap_object *to, uint64_t to_page);

#endif
