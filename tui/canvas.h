/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * canvas.h - a grid of glyphs that views draw on (floor 8)
 *
 * The engine shows it on a screen, batch mode prints it.  Who draws knows
 * neither; a style says what something is, not how it looks.
 */
#ifndef SWAP_CANVAS_H
#define SWAP_CANVAS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "compiler.h"

enum style {
	STYLE_PLAIN,
	STYLE_DIM,
	STYLE_STRONG,	/* a figure that matters */
	STYLE_BAR,	/* the first line */
	STYLE_TAB,
	STYLE_TAB_ON,
	STYLE_HEADING,	/* of a section */
	STYLE_COLUMNS,	/* of a table */
	STYLE_RULE,
	STYLE_ALARM,	/* something to act on; begins with '!' */
	STYLE_KEY,	/* at the bottom: a key, and what it does */
	STYLE_KEY_WORD,
	STYLE_SELECTED,	/* the row with the cursor */
	STYLE_MATCH,	/* what was searched for */
	STYLE_IN,	/* into RAM: page-in, reads */
	STYLE_OUT,	/* out of it: page-out, writes */
	STYLE_BOTH,	/* faults and the like */
	STYLE_FREE,	/* cells of a map */
	STYLE_LOW,
	STYLE_MIDDLE,
	STYLE_HIGH,
	STYLE_FULL,
	STYLE_BAD,
	STYLE_DRAIN,
	STYLE_NOBODY,	/* in use without an object */
	STYLE_WRITTEN,	/* a moment ago */
	STYLE_FREED,
	STYLE_CURSOR,	/* of the map */
	STYLE_BOX,	/* a dialog: frame and text */
	STYLES,
};

/* A glyph: a character with what combines with it. */
struct glyph {
	char	text[15];	/* UTF-8; "": right half of the one before */
	uint8_t	style;
};

/* As many rows as are drawn on. */
#define CANVAS_ENDLESS	1000000u

struct canvas {
	unsigned	 cols;
	unsigned	 rows;		/* that there may be */
	unsigned	 nrows;		/* that there are */
	bool		 utf8;
	struct glyph	*glyphs;
};

struct area {
	unsigned	 row, col, rows, cols;
};

/* Empty, and of this size; -ENOMEM.  May be called again. */
int canvas_reset(struct canvas *canvas, unsigned rows, unsigned cols,
		 bool utf8) swap_must_check;
void canvas_free(struct canvas *canvas);

/*
 * Put text into at most @max columns; what cannot be printed, as a name may
 * hold it, becomes '?'.  Returns the columns used.  Beyond the canvas nothing
 * is drawn.
 */
unsigned canvas_text(struct canvas *canvas, unsigned row, unsigned col,
		     unsigned max, enum style style, const char *text);
unsigned canvas_print(struct canvas *canvas, unsigned row, unsigned col,
		      unsigned max, enum style style, const char *fmt, ...)
	swap_printf(6, 7);
/* Text that ends where the @max columns end. */
void canvas_right(struct canvas *canvas, unsigned row, unsigned col,
		  unsigned max, enum style style, const char *text);
/* The same glyph @n times. */
void canvas_fill(struct canvas *canvas, unsigned row, unsigned col, unsigned n,
		 enum style style, const char *glyph);
/* Give what is there another style; a blank where there is nothing. */
void canvas_restyle(struct canvas *canvas, const struct area *area,
		    enum style style);
/* Wipe an area. */
void canvas_wipe(struct canvas *canvas, const struct area *area,
		 enum style style);

/* Columns that a text takes. */
unsigned text_columns(const char *text, bool utf8);

/* Print it, without blanks at the ends of lines. */
void canvas_write(const struct canvas *canvas, FILE *out);

#endif
