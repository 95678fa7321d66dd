/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A part of a device, looked at closely.
 *
 * As space-map.c does with a whole device: in windows that follow each other,
 * with the lock released in between, and the device looked up again by its
 * serial number.  Each cell costs one count of free blocks, which skips what is
 * uniform, and one look at each place that is known to be bad: at most
 * SPACE_BAD_MAX of them, since nothing is allocated where a block goes bad.
 */
#include "space-impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

#define WINDOW_BLOCKS	(UINT64_C(1) << 16)
#define WINDOW_CELLS	256u

struct look {
	struct swap_range_cell *cells;
	size_t		 ncells;
	uint64_t	 first, nblocks;
	uint64_t	 serial;
	size_t		 cell;		/* that comes next */
	uint64_t	 at;		/* the block in it that comes next */
};

/* The first block of a cell. */
static uint64_t
cell_start(const struct look *look, size_t cell)
{
	return look->first + (uint64_t)((unsigned __int128)look->nblocks *
					cell / look->ncells);
}

/* Lock held. */
static uint64_t
count_bad(const struct space_dev *dev, uint64_t from, uint64_t to)
{
	uint64_t nbad = 0;

	for (unsigned i = 0; i < dev->nbad_at; i++) {
		const struct space_bad *bad = &dev->bad_at[i];
		uint64_t lo = max_u64(bad->block, from);
		uint64_t hi = min_u64(bad->block + bad->n, to);

		nbad += lo < hi ? hi - lo : 0;
	}
	return nbad;
}

/* Lock held.  One window. */
static void
count_cells(struct look *look, const struct space_dev *dev)
{
	uint64_t end = look->at + WINDOW_BLOCKS;

	for (unsigned i = 0; i < WINDOW_CELLS && look->at < end &&
	     look->cell < look->ncells; i++) {
		struct swap_range_cell *cell = &look->cells[look->cell];
		uint64_t next = cell_start(look, look->cell + 1);
		uint64_t to = min_u64(next, end);

		cell->nfree += blist_count_free(dev->blist, look->at, to);
		cell->nbad += count_bad(dev, look->at, to);
		look->at = to;
		look->cell += to == next;
	}
}

static struct space_dev *
find_serial(const struct space *s, uint64_t serial)
{
	for (unsigned i = 0; i < s->ndev; i++)
		if (s->dev[i]->serial == serial)
			return s->dev[i];
	return NULL;
}

/* The device, its first block in the space and how many it has. */
static int
find_device(struct space *s, const char *spec, uint64_t *ret_serial,
	    uint64_t *ret_first, uint64_t *ret_nblocks)
{
	char *resolved = space_resolve(spec);
	const struct space_dev *dev;

	space_enter(s);
	dev = space_find(s, spec, resolved);
	if (dev != NULL) {
		*ret_serial = dev->serial;
		*ret_first = dev->first;
		*ret_nblocks = dev->end - dev->first;
	}
	space_leave(s);
	free(resolved);
	return dev != NULL ? 0 : -ENXIO;
}

static int
check_range(const char *spec, uint64_t first, uint64_t n, uint64_t nblocks,
	    struct swap_error *error)
{
	if (n > 0 && first < nblocks && n <= nblocks - first)
		return 0;
	return error_set(error, -EINVAL,
		"%s: has %llu blocks; %llu from %llu on are no part of them",
		spec, (unsigned long long)nblocks, (unsigned long long)n,
		(unsigned long long)first);
}

int
space_range_find(struct space *s, const char *spec, uint64_t first,
		 uint64_t nblocks, uint64_t *ret_block,
		 struct swap_error *error)
{
	uint64_t serial, begin, n;
	int r;

	if (find_device(s, spec, &serial, &begin, &n) < 0)
		return space_not_attached(spec, error);
	r = check_range(spec, first, nblocks, n, error);
	if (r == 0)
		*ret_block = begin;
	return r;
}

int
space_range(struct space *s, const char *spec, uint64_t first,
	    uint64_t nblocks, size_t ncells, struct swap_range_cell cells[],
	    struct swap_error *error)
{
	struct look look = {
		.cells = cells, .ncells = ncells, .first = first,
		.nblocks = nblocks, .at = first,
	};
	const struct space_dev *dev;
	uint64_t begin, n;
	int r;

	if (find_device(s, spec, &look.serial, &begin, &n) < 0)
		return space_not_attached(spec, error);
	r = check_range(spec, first, nblocks, n, error);
	if (r < 0)
		return r;
	if (ncells == 0 || ncells > SWAP_RANGE_CELLS_MAX || ncells > nblocks)
		return error_set(error, -EINVAL, "%s: %zu cells wanted; there "
			"can be 1 to %u, and not more than blocks", spec,
			ncells, SWAP_RANGE_CELLS_MAX);
	memset(cells, 0, ncells * sizeof(cells[0]));
	while (look.cell < ncells) {
		space_enter(s);
		dev = find_serial(s, look.serial);
		if (dev != NULL)
			count_cells(&look, dev);
		space_leave(s);
		if (dev == NULL)
			return space_not_attached(spec, error);
	}
	return 0;
}
