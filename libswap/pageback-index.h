/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pageback-index.h - which page has which block, for some blocks of the
 * devices that are being emptied (floor 5)
 *
 * Swap maps go from pages to blocks.  Who wants to read a device from its
 * beginning to its end needs the other direction; this makes it from the maps,
 * for a window of each device at a time, so that its memory is bounded however
 * large the devices are.
 *
 * What it says was true when the map was read.  The reader looks again, under
 * the object's lock.
 */
#ifndef SWAP_PAGEBACK_INDEX_H
#define SWAP_PAGEBACK_INDEX_H

#include <stdbool.h>
#include <stdint.h>

#include "object.h"

/* Blocks of all windows together: 32 MiB of words. */
#define PAGEBACK_INDEX_BLOCKS	(UINT64_C(1) << 22)

/* A window of one device. */
struct pageback_window {
	uint64_t	 lo, hi;	/* blocks [lo, hi) */
	uint64_t	*word;		/* hi - lo of them; 0: nobody's */
};

struct pageback_index {
	uint64_t	*word;
	uint64_t	 size;		/* words */
	struct pageback_window window[SPACE_DEVICES_MAX];
	unsigned	 nwindows;
	unsigned	 last;		/* window of the last block: a guess */
	/* Called now and then while maps are read; non-zero stops with that. */
	int		(*poll)(void *arg);
	void		*arg;
};

/*
 * For up to @nblocks blocks at a time, or fewer where memory is short.
 * -ENOMEM.
 */
int pageback_index_init(struct pageback_index *index, uint64_t nblocks);
void pageback_index_fini(struct pageback_index *index);

/*
 * Read all maps: every page with a block in one of the windows gets its name
 * into the word of its block; the words must be 0 before.  An object is locked
 * for a few thousand pages at a time.  0, or what poll returned.
 * Cost: reads all maps.
 */
int pageback_index_read(struct pageback_index *index, struct core *core);

/* A word, not 0, names a page of the object in this slot. */
static inline uint32_t
pageback_index_slot(uint64_t word)
{
	return (uint32_t)((word - 1) >> 40);
}

static inline uint64_t
pageback_index_page(uint64_t word)
{
	return (word - 1) & PAGEQ_PAGE_MAX;
}

#endif
