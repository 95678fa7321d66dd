/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * source.h - where snapshots and maps come from (floor 8)
 *
 * A swapd, the kernel, or a recording.  One thread at a time uses a source.
 */
#ifndef SWAP_SOURCE_H
#define SWAP_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "compiler.h"
#include "swap.h"

/* A snapshot and when it was taken. */
struct sample {
	struct swap_stats stats;
	uint64_t	 time_usec;	/* since 1970, UTC */
	size_t		 frame;		/* of a recording, from 1; else 0 */
	size_t		 nframes;
};

void sample_clear(struct sample *sample);

/* A range of a device's blocks, in cells. */
struct range {
	char		 path[256];
	uint64_t	 first, nblocks;
	size_t		 ncells;
};

struct source;

struct source_ops {
	/* Without @objects, where there are many, they may be left out. */
	int	(*sample)(struct source *source, bool objects,
			  struct sample *ret, struct swap_error *error);
	/* The histogram of a device, without cells. */
	int	(*map)(struct source *source, const char *path,
		       struct swap_device_map *ret, struct swap_error *error);
	int	(*cells)(struct source *source, const struct range *range,
			 struct swap_range_cell cells[],
			 struct swap_error *error);
	/* As swap_client_owners(); -ENOSYS where nobody knows. */
	int64_t	(*owners)(struct source *source, const char *path,
			  uint64_t first, uint64_t nblocks,
			  struct swap_owners_place *place,
			  struct swap_owner owners[],
			  struct swap_error *error);
	void	(*close)(struct source *source);
};

struct source {
	const struct source_ops *ops;
	bool		 is_swapd;	/* devices can be turned off */
};

/* They do not connect yet; -ENOMEM. */
int source_swapd(const char *pager, struct source **ret) swap_must_check;
int source_kernel(struct source **ret) swap_must_check;
/* Reads the whole file; an error names it, with the line that is none. */
int source_replay(const char *file, struct source **ret,
		  struct swap_error *error) swap_must_check;
void source_close(struct source *source);

/*
 * Cells of a range out of those of a whole device, as if each of these were
 * the same all over.
 */
void cells_resample(const struct swap_device_map *map,
		    const struct range *range, struct swap_range_cell cells[]);

/* Microseconds since 1970. */
uint64_t wall_usec(void);

#endif
