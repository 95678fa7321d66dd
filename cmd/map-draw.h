/* SPDX-License-Identifier: BSD-2-Clause */
/* map-draw.h - the fragmentation of a device as text (floor 8) */
#ifndef SWAP_MAP_DRAW_H
#define SWAP_MAP_DRAW_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "swap.h"

/* How wide it may be, and with what it is drawn. */
struct map_style {
	unsigned	width;		/* columns */
	bool		utf8;
	bool		color;
	uint64_t	page_bytes;
};

/* How many cells of a device of @nblocks blocks its strip has. */
size_t map_draw_ncells(const struct map_style *style, uint64_t nblocks);

/*
 * Draw a map.  Its cells have to be as many as map_draw_ncells() says, or
 * none: then there is no strip.
 *
 * @device  what the snapshot says of it, or NULL
 */
void map_draw(FILE *out, const struct map_style *style,
	      const struct swap_device_map *map,
	      const struct swap_device_stats *device);

#endif
