/* SPDX-License-Identifier: BSD-2-Clause */
/* progress.h - the progress of an "off" on the terminal (floor 8) */
#ifndef SWAP_PROGRESS_H
#define SWAP_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "swap.h"

/* No estimate can be given yet. */
#define PROGRESS_UNKNOWN	UINT64_MAX

struct progress {
	const char		*device;
	uint64_t		 page_bytes;
	struct swap_progress	 last;
	double			 rate;		/* bytes a second, smoothed */
	bool			 started;
	bool			 drawn;		/* there is a line to erase */
};

void progress_init(struct progress *progress, const char *device,
		   uint64_t page_bytes);

/* Take in a report; one that is no later than the last changes no rate. */
void progress_update(struct progress *progress,
		     const struct swap_progress *report);

/* Microseconds until the end at this rate, or PROGRESS_UNKNOWN. */
uint64_t progress_left_usec(const struct progress *progress);

/*
 * The line for a terminal of @width columns, at most @width - 3 of them, so
 * that not even the "^C" that it echoes wraps.  What does not fit is left out:
 * first the pages, then the rate, then the bar; then the device's name is cut
 * on the left.
 */
void progress_line(const struct progress *progress, unsigned width, bool utf8,
		   char *buf, size_t len);

/* Draw it in place on standard error, if that is a terminal; and erase it. */
void progress_draw(struct progress *progress);
void progress_erase(struct progress *progress);

#endif
