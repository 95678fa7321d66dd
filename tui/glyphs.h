/* SPDX-License-Identifier: BSD-2-Clause */
/* glyphs.h - what things are drawn with, and bars and charts (floor 8) */
#ifndef SWAP_GLYPHS_H
#define SWAP_GLYPHS_H

#include <stdint.h>

#include "canvas.h"

/* How full a cell of a map is, by a third of what is neither. */
enum shade {
	SHADE_FREE,
	SHADE_LOW,
	SHADE_MIDDLE,
	SHADE_HIGH,
	SHADE_FULL,
	SHADES,
};

struct glyphs {
	const char	*shade[SHADES];
	const char	*bad, *drain, *nobody, *written, *freed;
	const char	*level[9];	/* of a chart: empty to full */
	const char	*eighth[9];	/* of a bar: empty to full */
	const char	*rest;		/* of a bar */
	const char	*across, *down;	/* lines */
	const char	*corner[4];	/* top left, top right, bottom ... */
	const char	*more;		/* a name that was cut */
	const char	*falls, *rises;	/* order of a column */
	const char	*dot;		/* between words */
	const char	*times;		/* between figures of a size */
};

const struct glyphs *glyphs_of(bool utf8);

enum shade shade_of(uint64_t nblocks, uint64_t nfree);
enum style shade_style(enum shade shade);

/*
 * A bar of at most @width columns; what is not nothing shows.  A meter shows
 * the rest of the whole too.
 */
void draw_bar(struct canvas *canvas, unsigned row, unsigned col,
	      unsigned width, enum style style, uint64_t part,
	      uint64_t whole);
void draw_gauge(struct canvas *canvas, unsigned row, unsigned col,
		unsigned width, enum style style, uint64_t part,
		uint64_t whole);

/* A heading with a line behind it, as wide as @cols, and words at its end. */
void draw_heading(struct canvas *canvas, unsigned row, unsigned col,
		  unsigned cols, enum style style, const char *title,
		  const char *words);

/*
 * A chart of @n values, the last one rightmost, in @area; the highest is
 * @most.
 */
void draw_chart(struct canvas *canvas, const struct area *area,
		enum style style, const uint64_t *values, size_t n,
		uint64_t most);

/* A frame around an area, wiped inside. */
void draw_box(struct canvas *canvas, const struct area *area,
	      const char *title);

#endif
