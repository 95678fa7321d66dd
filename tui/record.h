/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * record.h - a snapshot with its maps as a line of JSON, both ways (floor 8)
 *
 * The line is type Snapshot of org.swapkit.Pager, with two members more:
 * "time_usec", and "maps": a DeviceMap for each device, with "owners" in it,
 * an array of type Owner, and where blocks are bad "bad": how many are of each
 * cell.
 */
#ifndef SWAP_RECORD_H
#define SWAP_RECORD_H

#include <stdio.h>

#include "source.h"

struct record_map {
	struct swap_device_map map;
	uint64_t	*nbad;		/* of each cell; NULL: none is */
	struct swap_owner *owners;
	size_t		 nowners;
};

struct record {
	struct sample	 sample;
	struct record_map *maps;
	size_t		 nmaps;
};

void record_clear(struct record *record);

/* -EPROTO: it is none; -ENOMEM. */
int record_parse(const char *line, size_t len, struct record *ret)
	swap_must_check;

/*
 * Take a sample and the maps of its devices from @source and write them to
 * @out as one line.  A device that cannot be looked through has no map.
 */
int record_write(struct source *source, FILE *out, struct swap_error *error)
	swap_must_check;

#endif
