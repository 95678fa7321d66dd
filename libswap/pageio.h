/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pageio.h - pages of objects to and from blocks (floor 4)
 */
#ifndef SWAP_PAGEIO_H
#define SWAP_PAGEIO_H

#include "object.h"

/* A page-aligned buffer of @npages; NULL: no memory. */
void *pageio_buffer(uint64_t npages);
void pageio_buffer_free(void *buf, uint64_t npages);

/*
 * Which pages around a swapped one can be read with it: SWAPPED, not busy,
 * blocks consecutive on one device (FreeBSD haspage and its clipping in
 * getpages).  Object locked.
 *
 * @behind, @ahead  most pages before and after
 * @lo, @hi         stay within [lo, hi)
 * Returns the number, and the first page in *ret_first.
 */
uint64_t pageio_cluster(const struct swap_object *object, uint64_t page,
			uint64_t behind, uint64_t ahead, uint64_t lo,
			uint64_t hi, uint64_t *ret_first);

/*
 * Read @n busy pages from consecutive blocks.  When the whole fails, page by
 * page: ok[i] says which are good.  Returns how many are; @ret_error is the
 * errno of the last failure.  Word blocks (space.h) are no I/O, and always good.
 */
uint64_t pageio_read(struct core *core, uint64_t block, uint64_t n, void *buf,
		     bool ok[], int *ret_error);

/*
 * Write @n pages to fresh blocks, in as few runs as space gives.  blocks[i]
 * is where page i went, or SPACE_NONE where there was no space or the write
 * failed (such blocks are never used again).  Returns how many were written.
 *
 * @set_aside  the pages are reserved: take blocks of those that are set aside.
 *	       For one that cannot be written another is set aside, or, where
 *	       none is free, blocks[i] is PAGEIO_UNRESERVED
 */
#define PAGEIO_UNRESERVED	(SPACE_NONE - 1)
uint64_t pageio_write(struct core *core, const void *buf, uint64_t n,
		      bool set_aside, uint64_t blocks[]);

/*
 * Is the page one word, repeated?  Which one is said in any case.  Of a page
 * that is not it mostly looks at three words.
 */
bool pageio_uniform(const void *page, uint64_t *ret_word);

/*
 * A page that cannot be read back: forget its block for good and say so.
 * Object locked, page owned.  The caller poisons it in the regions.
 */
void pageio_lost(struct swap_object *object, uint64_t page, int error);

#endif
