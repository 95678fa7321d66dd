/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where a map stands
 *
 *	G1  first + span <= nblocks, and the cursor is one of the blocks that
 *	    are shown;
 *	G2  span is not less than the cells there are, or all of the device:
 *	    a cell never covers less than a block.
 *
 * The cursor is a block, so that it stays where it is when the window, the
 * zoom or the number of cells changes.
 */
#include "map-grid.h"

#include <string.h>

#include "util.h"

/* One step of the zoom. */
#define ZOOM		4u

/* --------------------------------------------------------------- geometry */

size_t
grid_ncells(const struct map_place *place, size_t ncells)
{
	return (size_t)min_u64(min_u64(ncells, SWAP_RANGE_CELLS_MAX),
			       place->span);
}

uint64_t
grid_block(const struct map_place *place, size_t ncells, size_t cell)
{
	return place->first + (uint64_t)((unsigned __int128)place->span *
					 cell / ncells);
}

size_t
grid_cell(const struct map_place *place, size_t ncells, uint64_t block)
{
	uint64_t at = block - place->first;

	return (size_t)((((unsigned __int128)at + 1) * ncells - 1) /
			place->span);
}

/* G1, by moving what is shown as little as possible. */
static void
show_cursor(struct map_place *place)
{
	uint64_t last = place->nblocks - place->span;

	place->cursor = min_u64(place->cursor, place->nblocks - 1);
	if (place->cursor < place->first)
		place->first = place->cursor;
	if (place->cursor >= place->first + place->span)
		place->first = place->cursor - place->span + 1;
	place->first = min_u64(place->first, last);
}

void
grid_fit(struct map_place *place, uint64_t nblocks, size_t ncells)
{
	bool all = place->span == 0 || place->span >= place->nblocks;

	place->nblocks = nblocks;
	if (all || place->span > nblocks)
		place->span = nblocks;
	place->span = max_u64(place->span, min_u64(ncells, nblocks));
	show_cursor(place);
}

/* ---------------------------------------------------------------- devices */

static const struct map_place *
find_place(const struct map_scene *map, const char *path)
{
	for (unsigned i = 0; i < map->nplaces; i++)
		if (strcmp(map->places[i].path, path) == 0)
			return &map->places[i];
	return NULL;
}

/* The number of the selected device. */
static size_t
selected(const struct scene *scene)
{
	const struct swap_stats *now = &scene->picture->now.stats;
	const struct swap_device_stats *device = scene_device(scene);

	return device == NULL ? 0 : (size_t)(device - now->devices);
}

void
grid_sync(struct scene *scene)
{
	const struct swap_stats *now = &scene->picture->now.stats;
	const struct map_scene before = scene->map;
	struct map_scene *map = &scene->map;
	size_t at = selected(scene);
	size_t from = at >= MAPS_MAX ? at - MAPS_MAX + 1 : 0;

	map->nplaces = (unsigned)min_u64(now->ndevices - min_u64(from,
						now->ndevices), MAPS_MAX);
	map->active = (unsigned)(at - from);
	for (unsigned i = 0; i < map->nplaces; i++) {
		const char *path = now->devices[from + i].path;
		const struct map_place *known = find_place(&before, path);

		if (known != NULL) {
			map->places[i] = *known;
			continue;
		}
		memset(&map->places[i], 0, sizeof(map->places[i]));
		format_cut(map->places[i].path, sizeof(map->places[i].path),
			   "%s", path);
	}
}

struct map_place *
grid_place(struct scene *scene)
{
	struct map_scene *map = &scene->map;

	return map->active < map->nplaces ? &map->places[map->active] : NULL;
}

const struct map_pane *
grid_pane(const struct scene *scene)
{
	const struct map_scene *map = &scene->map;

	for (unsigned i = 0; i < map->npanes; i++)
		if (map->panes[i].place == map->active)
			return &map->panes[i];
	return NULL;
}

static void
choose(struct scene *scene, size_t number)
{
	const struct swap_stats *now = &scene->picture->now.stats;

	if (number < now->ndevices)
		format_cut(scene->device, sizeof(scene->device), "%s",
			   now->devices[number].path);
	grid_sync(scene);
}

/* -------------------------------------------------------------- movements */

/* Move the cursor by so many cells; beyond what is shown, that moves. */
static void
move(struct map_place *place, size_t ncells, unsigned cols, int64_t by)
{
	size_t n = grid_ncells(place, ncells);
	int64_t cell = (int64_t)grid_cell(place, n, place->cursor) + by;
	uint64_t per_row = max_u64(place->span * cols / n, 1);
	uint64_t step;

	if (cell >= 0 && cell < (int64_t)n) {
		place->cursor = grid_block(place, n, (size_t)cell);
		return;
	}
	step = (uint64_t)((unsigned __int128)place->span *
			  (uint64_t)(by < 0 ? -by : by) / n);
	if (by < 0)
		place->cursor -= min_u64(step, place->cursor);
	else
		place->cursor = min_u64(place->cursor + step,
					place->nblocks - 1);
	/* By whole rows, so that what stays keeps its column. */
	while (place->cursor < place->first && place->first > 0)
		place->first -= min_u64(per_row, place->first);
	while (place->cursor >= place->first + place->span)
		place->first += per_row;
	show_cursor(place);
}

static void
zoom(struct map_place *place, size_t ncells, bool in)
{
	uint64_t least = min_u64(ncells, place->nblocks);
	uint64_t span = place->span, at = place->cursor - place->first;

	if (in)
		place->span = max_u64(span / ZOOM, least);
	else
		place->span = span > place->nblocks / ZOOM ? place->nblocks :
			      span * ZOOM;
	/* The cursor stays where it is on the screen. */
	at = (uint64_t)((unsigned __int128)at * place->span / span);
	place->first = place->cursor > at ? place->cursor - at : 0;
	show_cursor(place);
}

/* The pane that a place of the screen is in, and the cell; false: none. */
static bool
hit(struct scene *scene, const struct input *input)
{
	struct map_scene *map = &scene->map;

	for (unsigned i = 0; i < map->npanes; i++) {
		const struct map_pane *pane = &map->panes[i];
		const struct area *grid = &pane->grid;
		struct map_place *place = &map->places[pane->place];
		size_t cell, n = grid_ncells(place, pane->ncells);

		if (input->row < grid->row || input->col < grid->col ||
		    input->row - grid->row >= grid->rows ||
		    input->col - grid->col >= grid->cols || n == 0)
			continue;
		cell = (size_t)(input->row - grid->row) * grid->cols +
		       input->col - grid->col;
		if (cell >= n)
			return false;
		place->cursor = grid_block(place, n, cell);
		map->active = pane->place;
		format_cut(scene->device, sizeof(scene->device), "%s",
			   place->path);
		return true;
	}
	return false;
}

static bool
move_key(struct map_place *place, const struct map_pane *pane, unsigned key)
{
	unsigned cols = pane->grid.cols;
	int64_t page = (int64_t)max_u64(pane->grid.rows / 2, 1) * cols;

	switch (key) {
	case KEYS_LEFT:
		move(place, pane->ncells, cols, -1);
		return true;
	case KEYS_RIGHT:
		move(place, pane->ncells, cols, 1);
		return true;
	case KEYS_UP:
		move(place, pane->ncells, cols, -(int64_t)cols);
		return true;
	case KEYS_DOWN:
		move(place, pane->ncells, cols, cols);
		return true;
	case KEYS_PAGE_UP:
		move(place, pane->ncells, cols, -page);
		return true;
	case KEYS_PAGE_DOWN:
		move(place, pane->ncells, cols, page);
		return true;
	case KEYS_HOME:
		place->cursor = 0;
		show_cursor(place);
		return true;
	case KEYS_END:
		place->cursor = place->nblocks - 1;
		show_cursor(place);
		return true;
	default:
		return false;
	}
}

bool
grid_key(struct scene *scene, const struct input *input)
{
	const struct map_pane *pane = grid_pane(scene);
	struct map_place *place = grid_place(scene);
	unsigned key = input->key;

	if (key == '[' || key == ']') {
		size_t at = selected(scene);

		choose(scene, key == ']' ? at + 1 : at > 0 ? at - 1 : 0);
		return true;
	}
	if (key == 'v') {
		scene->map.alone = !scene->map.alone;
		return true;
	}
	if (pane == NULL || place == NULL || place->span == 0)
		return false;
	if (key == KEYS_CLICK)
		return hit(scene, input);
	if (key == KEYS_WHEEL_UP || key == KEYS_WHEEL_DOWN) {
		if (!hit(scene, input))
			return false;
		place = grid_place(scene);
		pane = grid_pane(scene);
	}
	if (key == '+' || key == '=' || key == KEYS_WHEEL_UP)
		zoom(place, pane->ncells, true);
	else if (key == '-' || key == KEYS_WHEEL_DOWN)
		zoom(place, pane->ncells, false);
	else
		return move_key(place, pane, key);
	return true;
}
