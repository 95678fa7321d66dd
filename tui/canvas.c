/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A grid of glyphs
 *
 * A name of an object is whatever a program chose, escape sequences included,
 * and a wide character takes two columns: so text is looked at character by
 * character before it is put anywhere, here and nowhere else.  On a canvas
 * that is not UTF-8 only ASCII is left.
 *
 *	C1  what is drawn beyond the canvas is not drawn;
 *	C2  the right half of a wide character is an empty glyph, and a wide
 *	    character that does not fit is left out.
 */
#include "canvas.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>
#include <wctype.h>

#include "util.h"

#define TEXT_LEN	4096u
#define ROWS_STEP	64u

int
canvas_reset(struct canvas *canvas, unsigned rows, unsigned cols, bool utf8)
{
	unsigned n = rows == CANVAS_ENDLESS ? ROWS_STEP : rows;
	struct glyph *glyphs = calloc((size_t)n * cols + 1, sizeof(*glyphs));

	if (glyphs == NULL)
		return -ENOMEM;
	free(canvas->glyphs);
	*canvas = (struct canvas){
		.cols = cols, .rows = rows, .utf8 = utf8, .glyphs = glyphs,
		.nrows = rows == CANVAS_ENDLESS ? 0 : rows,
	};
	return 0;
}

void
canvas_free(struct canvas *canvas)
{
	free(canvas->glyphs);
	canvas->glyphs = NULL;
	canvas->nrows = 0;
}

/* An endless canvas gets longer, ROWS_STEP at a time. */
static bool
reach_row(struct canvas *canvas, unsigned row)
{
	unsigned have = (canvas->nrows + ROWS_STEP - 1) / ROWS_STEP * ROWS_STEP;
	unsigned want = (row / ROWS_STEP + 1) * ROWS_STEP;
	struct glyph *glyphs;

	if (row < canvas->nrows)
		return true;
	if (canvas->rows != CANVAS_ENDLESS || row >= CANVAS_ENDLESS)
		return false;
	if (have == 0)
		have = ROWS_STEP;
	if (want > have) {
		glyphs = realloc(canvas->glyphs, (size_t)want * canvas->cols *
				 sizeof(*glyphs));
		if (glyphs == NULL)
			return false;
		memset(glyphs + (size_t)have * canvas->cols, 0,
		       (size_t)(want - have) * canvas->cols * sizeof(*glyphs));
		canvas->glyphs = glyphs;
	}
	canvas->nrows = row + 1;
	return true;
}

static struct glyph *
at(const struct canvas *canvas, unsigned row, unsigned col)
{
	return &canvas->glyphs[(size_t)row * canvas->cols + col];
}

/* Columns of the character at @text; its length, or 0, goes to @ret_len. */
static unsigned
character(const char *text, bool utf8, size_t *ret_len)
{
	unsigned char byte = (unsigned char)*text;
	mbstate_t state = { 0 };
	wchar_t wide;
	size_t n;
	int columns;

	*ret_len = 0;
	if (byte < 0x80) {
		*ret_len = byte >= 0x20 && byte != 0x7f;
		return 1;
	}
	if (!utf8)
		return 1;
	n = mbrtowc(&wide, text, strlen(text), &state);
	if (n == 0 || n > strlen(text) || !iswprint((wint_t)wide))
		return 1;
	columns = wcwidth(wide);
	*ret_len = n;
	return columns > 0 ? (unsigned)columns : 0;
}

unsigned
text_columns(const char *text, bool utf8)
{
	unsigned sum = 0;

	while (*text != '\0') {
		size_t len;

		sum += character(text, utf8, &len);
		text += len > 0 ? len : 1;
	}
	return sum;
}

/* What combines with the glyph before it. */
static void
combine(struct glyph *glyph, const char *text, size_t len)
{
	size_t n = strlen(glyph->text);

	if (n > 0 && n + len < sizeof(glyph->text)) {
		memcpy(glyph->text + n, text, len);
		glyph->text[n + len] = '\0';
	}
}

unsigned
canvas_text(struct canvas *canvas, unsigned row, unsigned col, unsigned max,
	    enum style style, const char *text)
{
	unsigned start = col, end;

	if (!reach_row(canvas, row) || col >= canvas->cols)
		return 0;
	end = (unsigned)min_u64((uint64_t)col + max, canvas->cols);
	while (*text != '\0') {
		size_t len;
		unsigned columns = character(text, canvas->utf8, &len);
		struct glyph *glyph = at(canvas, row, col);

		if (columns == 0) {
			if (col > start)
				combine(glyph - 1, text, len);
		} else {
			if (col + columns > end)
				break;
			memset(glyph, 0, columns * sizeof(*glyph));
			memcpy(glyph->text, len > 0 ? text : "?",
			       len > 0 ? len : 1);
			glyph->style = glyph[columns - 1].style =
				(uint8_t)style;
			col += columns;
		}
		text += len > 0 ? len : 1;
	}
	return col - start;
}

unsigned
canvas_print(struct canvas *canvas, unsigned row, unsigned col, unsigned max,
	     enum style style, const char *fmt, ...)
{
	char text[TEXT_LEN];
	va_list args;

	va_start(args, fmt);
	if (vsnprintf(text, sizeof(text), fmt, args) < 0)
		text[0] = '\0';
	va_end(args);
	return canvas_text(canvas, row, col, max, style, text);
}

void
canvas_right(struct canvas *canvas, unsigned row, unsigned col, unsigned max,
	     enum style style, const char *text)
{
	unsigned columns = text_columns(text, canvas->utf8);

	if (columns < max)
		col += max - columns;
	(void)canvas_text(canvas, row, col, max, style, text);
}

void
canvas_fill(struct canvas *canvas, unsigned row, unsigned col, unsigned n,
	    enum style style, const char *glyph)
{
	for (unsigned i = 0; i < n; i++)
		(void)canvas_text(canvas, row, col + i, 1, style, glyph);
}

void
canvas_restyle(struct canvas *canvas, const struct area *area,
	       enum style style)
{
	for (unsigned row = area->row; row < area->row + area->rows; row++) {
		if (!reach_row(canvas, row))
			return;
		for (unsigned col = area->col; col < area->col + area->cols &&
		     col < canvas->cols; col++) {
			struct glyph *glyph = at(canvas, row, col);

			glyph->style = (uint8_t)style;
			if (glyph->text[0] == '\0' &&
			    (col == 0 || glyph[-1].text[0] == '\0' ||
			     (unsigned char)glyph[-1].text[0] < 0x80))
				memcpy(glyph->text, " ", 2);
		}
	}
}

void
canvas_wipe(struct canvas *canvas, const struct area *area, enum style style)
{
	for (unsigned row = 0; row < area->rows; row++)
		canvas_fill(canvas, area->row + row, area->col, area->cols,
			    style, " ");
}

void
canvas_write(const struct canvas *canvas, FILE *out)
{
	for (unsigned row = 0; row < canvas->nrows; row++) {
		unsigned blanks = 0;

		for (unsigned col = 0; col < canvas->cols; col++) {
			const struct glyph *glyph = at(canvas, row, col);
			bool half = glyph->text[0] == '\0' && col > 0 &&
				    text_columns(glyph[-1].text,
						 canvas->utf8) > 1;

			if (half)
				continue;
			if (glyph->text[0] == '\0' ||
			    strcmp(glyph->text, " ") == 0) {
				blanks++;
				continue;
			}
			fprintf(out, "%*s%s", (int)blanks, "", glyph->text);
			blanks = 0;
		}
		fputc('\n', out);
	}
}
