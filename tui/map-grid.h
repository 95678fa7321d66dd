/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * map-grid.h - where a map stands: which blocks are shown, in which cells, and
 * the cursor (floor 8)
 *
 * Cell i of n covers span*i/n up to span*(i+1)/n from the first block shown.
 */
#ifndef SWAP_MAP_GRID_H
#define SWAP_MAP_GRID_H

#include "view.h"

/* Follow the devices of the snapshot; each keeps its place. */
void grid_sync(struct scene *scene);

/* The pane of the active place; NULL: there is none. */
const struct map_pane *grid_pane(const struct scene *scene);
struct map_place *grid_place(struct scene *scene);

/* The device has @nblocks, and there are @ncells to be had: put it right. */
void grid_fit(struct map_place *place, uint64_t nblocks, size_t ncells);

/* How many cells a place has in a grid of @ncells. */
size_t grid_ncells(const struct map_place *place, size_t ncells);
/* The first block of a cell; of cell n: behind the last one. */
uint64_t grid_block(const struct map_place *place, size_t ncells, size_t cell);
size_t grid_cell(const struct map_place *place, size_t ncells,
		 uint64_t block);

/* Keys that move, zoom, or choose a device; false: another one. */
bool grid_key(struct scene *scene, const struct input *input);

#endif
