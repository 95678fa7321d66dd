/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * picture.h - all that views look at: snapshots, rates over time, maps
 * (floor 8)
 */
#ifndef SWAP_PICTURE_H
#define SWAP_PICTURE_H

#include "source.h"

/* Rates of one interval, a second. */
struct rates {
	uint64_t	in_bytes, out_bytes;
	uint64_t	faults;
	uint64_t	read_bytes, written_bytes;	/* all devices */
};

#define HISTORY_MAX	1024u

struct history {
	struct rates	 ring[HISTORY_MAX];
	uint64_t	 n;		/* ever; number i is at i % MAX */
};

/* Devices whose maps are shown at a time, and owners of each. */
#define MAPS_MAX	8u
#define OWNERS_MAX	8192u

/* What is wanted of one device. */
struct map_wish {
	struct range	 range;		/* its cells; ncells 0: none */
	uint64_t	 owners_first;	/* whose pages lie there */
	uint64_t	 owners_n;	/* 0: not wanted */
};

struct wishes {
	struct map_wish	 maps[MAPS_MAX];
	size_t		 n;
	bool		 objects;	/* each of them, however many */
};

/* What has come of it. */
struct map_part {
	struct map_wish	 wish;
	bool		 has_map;	/* the histogram */
	struct swap_device_map map;
	struct swap_range_cell *cells;	/* NULL: none */
	bool		 has_owners;	/* as far as they are known */
	bool		 owners_done;	/* that is all of them */
	struct swap_owner *owners;	/* by block */
	size_t		 nowners;
	struct swap_error error;	/* why there are none; code 0 */
};

struct picture {
	struct sample	 now, before;
	unsigned	 nsamples;	/* of the two that are filled */
	struct history	 history;
	struct map_part	 maps[MAPS_MAX];
	size_t		 nmaps;
	/* Cells as they were, for what has changed since. */
	struct map_part	 earlier[MAPS_MAX];
	uint64_t	 nth;		/* samples that came */
	uint64_t	 maps_nth;	/* the one that maps are from */
	char		 trouble[512];	/* "": none */
	bool		 ended;		/* a recording */
};

void picture_clear(struct picture *picture);
void map_part_clear(struct map_part *part);

/* A sample, given away, becomes the newest. */
void picture_add(struct picture *picture, struct sample *sample);
/* Maps, given away, become the ones that are shown. */
void picture_maps(struct picture *picture, struct map_part parts[], size_t n);

/* The part of a device; NULL: none. */
const struct map_part *picture_map(const struct picture *picture,
				   const char *path);
/* The cells of a part as they were before, if they cover the same; NULL. */
const struct swap_range_cell *picture_cells_before(
	const struct picture *picture, const struct map_part *part);

/* Microseconds between the two snapshots; 0: nothing is known of rates. */
uint64_t picture_interval(const struct picture *picture);

/* How much a second a counter grew; 0 where the interval is 0. */
uint64_t rate_of(uint64_t now, uint64_t before, uint64_t interval_usec);

/* The newest rates; all 0 before there are any. */
struct rates picture_rates(const struct picture *picture);

/* The same device and object in the snapshot before; NULL: none. */
const struct swap_device_stats *device_before(const struct picture *picture,
					      const char *path);

#endif
