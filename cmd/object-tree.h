/* SPDX-License-Identifier: BSD-2-Clause */
/* object-tree.h - copies of objects beneath their sources (floor 8) */
#ifndef SWAP_OBJECT_TREE_H
#define SWAP_OBJECT_TREE_H

#include <stddef.h>

#include "compiler.h"
#include "swap.h"

/*
 * Reorder @order, indices into @objects in the order that is wanted, so that
 * each copy comes right behind its source, and those of one source in the order
 * they had; a copy whose source is not there counts as none.
 *
 * @depths  how deep each is, by place in @order
 *
 * -ENOMEM, with nothing changed.  O(n log n).
 */
int object_tree(const struct swap_object_stats *objects, size_t *order,
		unsigned *depths, size_t n) swap_must_check;

/* "heap", "copy of 12" for a copy without a name, or "-"; indented. */
const char *object_label(const struct swap_object_stats *object,
			 unsigned depth, char *buf, size_t len);
/* The longest that this makes, with a name. */
#define OBJECT_LABEL_LEN	(SWAP_NAME_MAX + 64u)

#endif
