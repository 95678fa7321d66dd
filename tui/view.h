/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * view.h - what swaptop shows, as lines (floor 8)
 *
 * A view is a function over a snapshot that puts lines somewhere: on a screen
 * that the engine draws, or on standard output.  It does not know which.
 */
#ifndef SWAP_VIEW_H
#define SWAP_VIEW_H

#include <stdbool.h>
#include <stddef.h>

#include "compiler.h"
#include "swap.h"

enum line_style {
	LINE_PLAIN,
	LINE_TITLE,	/* of the whole picture */
	LINE_HEADING,	/* of a table */
	LINE_ALARM,	/* something to act on; begins with '!' */
	LINE_STYLES,
};

typedef void line_fn(void *arg, enum line_style style, const char *text);

struct lines {
	unsigned	 width;		/* columns; 0: as many as wanted */
	unsigned	 left;		/* lines that still fit */
	bool		 utf8;
	line_fn		*emit;
	void		*arg;
};

/* No limit of lines. */
#define LINES_ENDLESS	(~0u)

/*
 * Put one line, cut at the width.  What cannot be printed, as a name may hold
 * it, becomes '?'.
 */
void lines_put(struct lines *lines, enum line_style style, const char *fmt,
	       ...) swap_printf(3, 4);

/*
 * The views.  @before is an earlier snapshot of the same pager, for rates;
 * NULL: there is none yet.
 */
typedef void view_fn(const struct swap_stats *now,
		     const struct swap_stats *before, struct lines *lines);
view_fn view_summary;
view_fn view_devices;
view_fn view_objects;

/* Microseconds between the two; 0: nothing can be said about rates. */
uint64_t view_interval(const struct swap_stats *now,
		       const struct swap_stats *before);

/* How much a second a counter grew; 0 where the interval is 0. */
uint64_t view_rate(uint64_t now, uint64_t before, uint64_t interval_usec);

/*
 * Columns for names: @longest, or less where @others columns of the width are
 * taken, but never less than @least.
 */
size_t view_name_width(const struct lines *lines, size_t longest,
		       size_t others, size_t least);

#endif
