/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * copy.h - a copy of an object, for fork(2) (floor 5)
 *
 * A copy starts empty; at the first access to a page it is taken from the
 * source.  That is right for as long as the source does not change, which its
 * process promises by waiting in fork() until the child has run exec or ended.
 * copy_cut() ends the dependence: after it no page is taken any more.
 */
#ifndef SWAP_COPY_H
#define SWAP_COPY_H

#include "object.h"

/*
 * Read a page of a copy's source into @buf.  The copy is locked and owns the
 * page; unlocked meanwhile.  0; 1: zeros, since nobody ever wrote it; -ESTALE
 * the copy was cut off; -EIO.
 */
int copy_fetch(struct swap_object *copy, uint64_t page, void *buf);

/* Returns when no read of the source is in flight any more. */
void copy_cut(struct swap_object *copy);

#endif
