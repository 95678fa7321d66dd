/* SPDX-License-Identifier: BSD-2-Clause */
/* figures.h - numbers as people read them, out of a snapshot (floor 8) */
#ifndef SWAP_FIGURES_H
#define SWAP_FIGURES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "swap.h"

/* Room for any one figure with its final NUL. */
#define FIGURE_LEN	32u
/* Widest bar, in columns, and the bytes that it needs in UTF-8. */
#define FIGURE_BAR_MAX	120u
#define FIGURE_BAR_LEN	(3u * FIGURE_BAR_MAX + 1u)

/*
 * A size in at most five characters, for columns: "0B", "1.5G", "310M".
 * Powers of 1024, rounded to the nearest.  Returns @buf, as all of these do.
 */
char *figure_size(uint64_t bytes, char *buf, size_t len);

/* A count with its thousands apart: "12,345". */
char *figure_count(uint64_t count, char *buf, size_t len);

/* A span of time by its two largest units: "42s", "3m 5s", "2h 10m". */
char *figure_span(uint64_t usec, char *buf, size_t len);

/*
 * Percent, rounded to the nearest; 0 and 100 are said only when they are
 * exact, so that "0%" is empty and "100%" is full.  0 of 0 is 0.
 */
unsigned figure_percent(uint64_t part, uint64_t whole);

/*
 * A bar of @width columns (cut to FIGURE_BAR_MAX): blocks in UTF-8, else '#'
 * and '.'.  @buf has FIGURE_BAR_LEN bytes.
 */
char *figure_bar(uint64_t part, uint64_t whole, unsigned width, bool utf8,
		 char *buf);

/*
 * A name in @room columns.  A cut one keeps its end, which is what tells paths
 * apart, behind a mark.  Columns are counted in bytes: never too many.
 */
char *figure_name(const char *name, size_t room, bool utf8, char *buf,
		  size_t len);

/* A user's name, or the number where it has none here. */
char *figure_user(uint32_t uid, char *buf, size_t len);

/* What can still be written to a device; nothing if it is leaving. */
uint64_t device_avail_bytes(const struct swap_device_stats *device);

/* Its flags in words, separated by commas; "-" if there are none. */
char *device_flag_words(const struct swap_device_stats *device, char *buf,
			size_t len);

/* What can still be written to all devices of a pager. */
uint64_t stats_avail_bytes(const struct swap_stats *stats);

/*
 * Sort the objects: largest swapped first, then largest resident, then the
 * oldest.  Cost: O(n log n).
 */
void stats_sort_objects(struct swap_stats *stats);

#endif
