/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What things are drawn with
 *
 * Two sets: one of Unicode block elements and box drawing, which every font
 * of a terminal has, and one of ASCII.  In each, no two things of a map have
 * the same glyph: colours only repeat what the glyphs say.
 */
#include "glyphs.h"

#include <string.h>

#include "util.h"

static const struct glyphs unicode = {
	.shade = { "\u00b7", "\u2591", "\u2592", "\u2593", "\u2588" },
	.bad = "\u00d7", .drain = "\u259a", .nobody = "?",
	.written = "\u25b2", .freed = "\u25bd",
	.level = { " ", "\u2581", "\u2582", "\u2583", "\u2584", "\u2585",
		   "\u2586", "\u2587", "\u2588" },
	.eighth = { "", "\u258f", "\u258e", "\u258d", "\u258c", "\u258b",
		    "\u258a", "\u2589", "\u2588" },
	.rest = "\u2591", .across = "\u2500", .down = "\u2502",
	.corner = { "\u256d", "\u256e", "\u2570", "\u256f" },
	.more = "\u2026", .falls = "\u25bc", .rises = "\u25b2",
	.dot = "\u00b7", .times = "\u00d7",
};

static const struct glyphs ascii = {
	.shade = { ".", "-", "=", "%", "#" },
	.bad = "X", .drain = "&", .nobody = "?",
	.written = "^", .freed = "v",
	.level = { " ", ".", ".", ":", ":", "|", "|", "#", "#" },
	.eighth = { "", "", "", "", "", "", "", "", "#" },
	.rest = ".", .across = "-", .down = "|",
	.corner = { "+", "+", "+", "+" },
	.more = "~", .falls = "v", .rises = "^", .dot = "-", .times = "x",
};

const struct glyphs *
glyphs_of(bool utf8)
{
	return utf8 ? &unicode : &ascii;
}

enum shade
shade_of(uint64_t nblocks, uint64_t nfree)
{
	uint64_t used = nblocks - min_u64(nfree, nblocks);

	if (used == 0)
		return SHADE_FREE;
	if (used == nblocks)
		return SHADE_FULL;
	if (used <= nblocks / 3)
		return SHADE_LOW;
	return used <= nblocks / 3 * 2 ? SHADE_MIDDLE : SHADE_HIGH;
}

enum style
shade_style(enum shade shade)
{
	static const enum style styles[SHADES] = {
		STYLE_FREE, STYLE_LOW, STYLE_MIDDLE, STYLE_HIGH, STYLE_FULL,
	};

	return styles[shade];
}

void
draw_bar(struct canvas *canvas, unsigned row, unsigned col, unsigned width,
	 enum style style, uint64_t part, uint64_t whole)
{
	const struct glyphs *g = glyphs_of(canvas->utf8);
	uint64_t n, most = (uint64_t)width * 8;

	if (whole == 0)
		n = 0;
	else
		n = (uint64_t)((unsigned __int128)min_u64(part, whole) * most /
			       whole);
	if (!canvas->utf8)
		n = n / 8 * 8;
	if (n == 0 && part > 0 && width > 0)
		n = canvas->utf8 ? 1 : 8;
	canvas_fill(canvas, row, col, (unsigned)(n / 8), style, g->eighth[8]);
	if (n % 8 > 0)
		(void)canvas_text(canvas, row, col + (unsigned)(n / 8), 1,
				  style, g->eighth[n % 8]);
}

void
draw_gauge(struct canvas *canvas, unsigned row, unsigned col, unsigned width,
	   enum style style, uint64_t part, uint64_t whole)
{
	canvas_fill(canvas, row, col, width, STYLE_FREE,
		    glyphs_of(canvas->utf8)->rest);
	draw_bar(canvas, row, col, width, style, part, whole);
}

void
draw_heading(struct canvas *canvas, unsigned row, unsigned col, unsigned cols,
	     enum style style, const char *title, const char *words)
{
	const struct glyphs *g = glyphs_of(canvas->utf8);
	unsigned n = canvas_text(canvas, row, col, cols, style, title);
	unsigned tail = text_columns(words, canvas->utf8);

	if (n + tail + 4 > cols)
		tail = 0;
	if (n + 1 < cols)
		canvas_fill(canvas, row, col + n + 1,
			    cols - n - 1 - (tail > 0 ? tail + 1 : 0),
			    STYLE_RULE, g->across);
	if (tail > 0)
		(void)canvas_text(canvas, row, col + cols - tail, tail,
				  STYLE_STRONG, words);
}

void
draw_chart(struct canvas *canvas, const struct area *area, enum style style,
	   const uint64_t *values, size_t n, uint64_t most)
{
	const struct glyphs *g = glyphs_of(canvas->utf8);
	uint64_t high = (uint64_t)area->rows * 8;
	unsigned last = area->row + area->rows - 1;

	/* The ground that bars stand on, where there is nothing. */
	canvas_fill(canvas, last, area->col, area->cols, STYLE_RULE, g->dot);
	for (unsigned i = 0; i < area->cols && i < n; i++) {
		uint64_t value = values[n - 1 - i], h;
		unsigned col = area->col + area->cols - 1 - i;

		h = most == 0 ? 0 : (uint64_t)((unsigned __int128)value *
					       high / most);
		if (h == 0 && value > 0)
			h = 1;
		for (unsigned k = 0; k < area->rows && h > 0; k++) {
			unsigned part = (unsigned)min_u64(h, 8);

			(void)canvas_text(canvas, last - k, col, 1, style,
					  g->level[part]);
			h -= part;
		}
	}
}

void
draw_box(struct canvas *canvas, const struct area *area, const char *title)
{
	const struct glyphs *g = glyphs_of(canvas->utf8);
	unsigned bottom = area->row + area->rows - 1;
	unsigned right = area->col + area->cols - 1;

	canvas_wipe(canvas, area, STYLE_BOX);
	canvas_fill(canvas, area->row, area->col, area->cols, STYLE_BOX,
		    g->across);
	canvas_fill(canvas, bottom, area->col, area->cols, STYLE_BOX,
		    g->across);
	for (unsigned row = area->row + 1; row < bottom; row++) {
		(void)canvas_text(canvas, row, area->col, 1, STYLE_BOX,
				  g->down);
		(void)canvas_text(canvas, row, right, 1, STYLE_BOX, g->down);
	}
	(void)canvas_text(canvas, area->row, area->col, 1, STYLE_BOX,
			  g->corner[0]);
	(void)canvas_text(canvas, area->row, right, 1, STYLE_BOX,
			  g->corner[1]);
	(void)canvas_text(canvas, bottom, area->col, 1, STYLE_BOX,
			  g->corner[2]);
	(void)canvas_text(canvas, bottom, right, 1, STYLE_BOX, g->corner[3]);
	(void)canvas_print(canvas, area->row, area->col + 2, area->cols - 4,
			   STYLE_BOX, " %s ", title);
}
