/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The fragmentation of a device (FreeBSD sysctl_swap_fragmentation).
 *
 * A device is looked through in windows that follow each other, with the lock
 * released in between, so that paging does not wait for a viewer however large
 * the device is.  A window is limited in blocks, and in cells as well, since
 * each cell costs something however small it is.  Each window is seen at one
 * moment: the cells, the runs and the totals add up to the same number of free
 * blocks, even where blocks change hands between two windows.
 *
 * The device may be gone when the lock is taken again.  It is looked up by its
 * serial number, which nobody else ever gets.
 */
#include "space-impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

/* Measured: 9 to 12 us where half of the blocks are free, at random. */
#define WINDOW_BLOCKS	(UINT64_C(1) << 16)
#define WINDOW_CELLS	256u

_Static_assert(SWAP_RUN_CLASSES == BLIST_CLASSES, "classes of runs");

struct walk {
	struct swap_device_map *map;
	struct blist_histogram hist;
	uint64_t	serial;
	uint64_t	at;	/* the block that comes next */
};

/* At most 2^40 blocks and 2^16 cells. */
static uint64_t
cell_start(const struct swap_device_map *map, size_t cell)
{
	return map->nblocks * cell / map->ncells;
}

/* The cell with @block: the last one that begins at or before it. */
static size_t
cell_of(const struct swap_device_map *map, uint64_t block)
{
	return (size_t)(((block + 1) * map->ncells - 1) / map->nblocks);
}

/* Lock held.  One window: where it ends, and its part of the cells. */
static uint64_t
count_cells(struct walk *w, const struct blist *bl)
{
	struct swap_device_map *map = w->map;
	uint64_t end = min_u64(w->at + WINDOW_BLOCKS, map->nblocks);
	uint64_t at = w->at;

	if (map->ncells == 0)
		return end;
	for (unsigned i = 0; i < WINDOW_CELLS && at < end; i++) {
		size_t cell = cell_of(map, at);
		uint64_t to = min_u64(cell_start(map, cell + 1), end);

		map->cells[cell].nfree += blist_count_free(bl, at, to);
		at = to;
	}
	return at;
}

/* Lock held. */
static struct space_dev *
find_serial(const struct space *s, uint64_t serial)
{
	for (unsigned i = 0; i < s->ndev; i++)
		if (s->dev[i]->serial == serial)
			return s->dev[i];
	return NULL;
}

/* False: the device has been detached. */
static bool
walk_window(struct space *s, struct walk *w)
{
	struct space_dev *dev;
	uint64_t end;

	space_enter(s);
	dev = find_serial(s, w->serial);
	if (dev != NULL) {
		end = count_cells(w, dev->blist);
		blist_histogram_add(dev->blist, w->at, end, &w->hist);
		w->at = end;
	}
	space_leave(s);
	return dev != NULL;
}

/* Which device; its path and its size. */
static bool
walk_begin(struct space *s, const char *spec, struct walk *w)
{
	struct swap_device_map *map = w->map;
	char *resolved = space_resolve(spec);
	struct space_dev *dev;

	space_enter(s);
	dev = space_find(s, spec, resolved);
	if (dev != NULL) {
		w->serial = dev->serial;
		map->nblocks = dev->end - dev->first;
		format_cut(map->path, sizeof(map->path), "%s",
			   device_path(dev->device));
	}
	space_leave(s);
	free(resolved);
	return dev != NULL;
}

static int
make_cells(struct swap_device_map *map, size_t ncells)
{
	if (ncells == 0)
		return 0;
	map->cells = calloc(ncells, sizeof(map->cells[0]));
	if (map->cells == NULL)
		return -ENOMEM;
	map->ncells = ncells;
	for (size_t i = 0; i < ncells; i++)
		map->cells[i].nblocks = cell_start(map, i + 1) -
					cell_start(map, i);
	return 0;
}

/* The free blocks in runs too short for a cluster, in a thousand. */
static unsigned
fragmentation(const struct swap_device_map *map)
{
	uint64_t nshort = 0;

	for (unsigned i = 0; i + 1 < SWAP_RUN_CLASSES &&
	     map->cluster_pages >> (i + 1) != 0; i++)
		nshort += map->blocks[i];
	return map->nfree == 0 ? 0 : (unsigned)(nshort * 1000 / map->nfree);
}

static void
walk_end(struct walk *w, unsigned cluster)
{
	struct swap_device_map *map = w->map;

	blist_histogram_end(&w->hist);
	map->nfree = w->hist.nfree;
	map->nruns = w->hist.nruns;
	map->largest = w->hist.largest;
	memcpy(map->runs, w->hist.runs, sizeof(map->runs));
	memcpy(map->blocks, w->hist.blocks, sizeof(map->blocks));
	map->cluster_pages = cluster;
	map->fragmentation = fragmentation(map);
}

int
space_map(struct space *s, const char *spec, size_t ncells, unsigned cluster,
	  struct swap_device_map *ret_map, struct swap_error *error)
{
	struct swap_device_map map = { .nblocks = 0 };
	struct walk w = { .map = &map };

	if (ncells > SWAP_MAP_CELLS_MAX)
		return error_set(error, -EINVAL,
			"%s: %zu cells wanted; at most %u can be had", spec,
			ncells, SWAP_MAP_CELLS_MAX);
	if (!walk_begin(s, spec, &w))
		return space_not_attached(spec, error);
	if (make_cells(&map, ncells) < 0)
		return error_set(error, -ENOMEM,
			"%s: no memory for a map of %zu cells", spec, ncells);
	while (w.at < map.nblocks) {
		if (walk_window(s, &w))
			continue;
		free(map.cells);
		return error_set(error, -ENXIO,
			"%s: was turned off while it was looked through; "
			"'swapctl status' shows what is in use", spec);
	}
	walk_end(&w, cluster);
	*ret_map = map;
	return 0;
}
