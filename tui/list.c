/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A table with a cursor
 *
 * Columns that do not fit are left out, the least needed first; what room is
 * left goes to the flexible one.  A column is at[] columns from the left edge
 * and wide[] columns wide, 0: not shown.
 */
#include "list.h"

#include <stdio.h>

#include "glyphs.h"
#include "util.h"
#include "view.h"

#define CELL_LEN	1024u

static unsigned
sum_of_widths(const struct list *list)
{
	unsigned sum = 0;

	for (unsigned i = 0; i < list->ncolumns; i++)
		sum += list->wide[i] > 0 ? list->wide[i] + 1 : 0;
	return sum > 0 ? sum - 1 : 0;
}

static void
drop_one(struct list *list)
{
	unsigned worst = list->ncolumns;

	for (unsigned i = 0; i < list->ncolumns; i++) {
		if (list->wide[i] == 0 || list->columns[i].drop == 0)
			continue;
		if (worst == list->ncolumns ||
		    list->columns[i].drop > list->columns[worst].drop)
			worst = i;
	}
	if (worst < list->ncolumns)
		list->wide[worst] = 0;
}

static bool
can_drop(const struct list *list)
{
	for (unsigned i = 0; i < list->ncolumns; i++)
		if (list->wide[i] > 0 && list->columns[i].drop > 0)
			return true;
	return false;
}

static void
lay_out(struct list *list, unsigned cols, unsigned longest)
{
	unsigned sum, at = 0;

	for (unsigned i = 0; i < list->ncolumns; i++)
		list->wide[i] = list->columns[i].width;
	while (sum_of_widths(list) > cols && can_drop(list))
		drop_one(list);
	sum = sum_of_widths(list);
	for (unsigned i = 0; i < list->ncolumns; i++) {
		if (list->columns[i].flexible && sum < cols &&
		    longest > list->wide[i])
			list->wide[i] = (unsigned)min_u64(longest,
						list->wide[i] + cols - sum);
		list->at[i] = at;
		at += list->wide[i] > 0 ? list->wide[i] + 1 : 0;
	}
}

static void
draw_heading_row(const struct list *list, struct canvas *canvas,
		 const struct area *area, bool cursor)
{
	const struct glyphs *g = glyphs_of(canvas->utf8);
	const struct area row = { area->row, area->col, 1, area->cols };
	char text[64];

	canvas_restyle(canvas, &row, STYLE_COLUMNS);
	for (unsigned i = 0; i < list->ncolumns; i++) {
		const struct column *column = &list->columns[i];
		unsigned col = area->col + list->at[i];
		bool sorted = cursor && i == list->sort;
		unsigned width = list->wide[i];

		if (width == 0)
			continue;
		format_cut(text, sizeof(text), "%s%s", column->name, !sorted ?
			   "" : list->inverted ? g->rises : g->falls);
		/* The mark may stand in the gap on the left. */
		if (column->right && text_columns(text, canvas->utf8) > width &&
		    list->at[i] > 0) {
			col--;
			width++;
		}
		if (column->right)
			canvas_right(canvas, area->row, col, width,
				     STYLE_COLUMNS, text);
		else
			(void)canvas_text(canvas, area->row, col, width,
					  STYLE_COLUMNS, text);
	}
}

static void
draw_row(const struct list *list, struct canvas *canvas, unsigned row,
	 const struct area *area, size_t number, bool selected,
	 list_cell_fn *cell, void *arg)
{
	const struct area whole = { row, area->col, 1, area->cols };
	char text[CELL_LEN];

	for (unsigned i = 0; i < list->ncolumns; i++) {
		enum style style = STYLE_PLAIN;

		if (list->wide[i] == 0)
			continue;
		text[0] = '\0';
		cell(arg, number, i, list->wide[i], text, sizeof(text),
		     &style);
		if (list->columns[i].right)
			canvas_right(canvas, row, area->col + list->at[i],
				     list->wide[i], style, text);
		else
			(void)canvas_text(canvas, row,
					  area->col + list->at[i],
					  list->wide[i], style, text);
	}
	if (selected)
		canvas_restyle(canvas, &whole, STYLE_SELECTED);
}

static void
scroll(struct list *list, size_t n, unsigned rows)
{
	if (list->selected >= n)
		list->selected = n > 0 ? n - 1 : 0;
	if (list->top > list->selected)
		list->top = list->selected;
	if (list->selected >= list->top + rows)
		list->top = list->selected - rows + 1;
	if (list->top + rows > n)
		list->top = n > rows ? n - rows : 0;
}

void
list_draw(struct list *list, struct canvas *canvas, const struct area *area,
	  size_t n, unsigned longest, bool cursor, list_cell_fn *cell,
	  void *arg)
{
	unsigned rows = area->rows > 1 ? area->rows - 1 : 0;

	lay_out(list, area->cols, longest);
	list->n = n;
	list->body = (struct area){ area->row + 1, area->col, rows,
				    area->cols };
	if (area->rows == 0)
		return;
	draw_heading_row(list, canvas, area, cursor);
	if (cursor)
		scroll(list, n, rows);
	else
		list->top = 0;
	for (size_t i = list->top; i < n && i - list->top < rows; i++)
		draw_row(list, canvas, area->row + 1 +
			 (unsigned)(i - list->top), area, i,
			 cursor && i == list->selected, cell, arg);
}

bool
list_move(struct list *list, unsigned key)
{
	size_t page = list->body.rows > 1 ? list->body.rows - 1 : 1;
	size_t last = list->n > 0 ? list->n - 1 : 0;
	size_t at = list->selected;

	switch (key) {
	case KEYS_UP:
		at = at > 0 ? at - 1 : 0;
		break;
	case KEYS_DOWN:
		at++;
		break;
	case KEYS_PAGE_UP:
		at = at > page ? at - page : 0;
		break;
	case KEYS_PAGE_DOWN:
		at += page;
		break;
	case KEYS_WHEEL_UP:
		at = at > 3 ? at - 3 : 0;
		break;
	case KEYS_WHEEL_DOWN:
		at += 3;
		break;
	case KEYS_HOME:
		at = 0;
		break;
	case KEYS_END:
		at = last;
		break;
	default:
		return false;
	}
	list->selected = at < last ? at : last;
	return true;
}

bool
list_hit_row(const struct list *list, unsigned row, unsigned col,
	     size_t *ret_row)
{
	const struct area *body = &list->body;
	size_t number;

	if (row < body->row || row - body->row >= body->rows ||
	    col < body->col || col - body->col >= body->cols)
		return false;
	number = list->top + row - body->row;
	if (number >= list->n)
		return false;
	*ret_row = number;
	return true;
}

bool
list_hit_heading(const struct list *list, unsigned row, unsigned col,
		 unsigned *ret_column)
{
	if (row + 1 != list->body.row || col < list->body.col)
		return false;
	for (unsigned i = 0; i < list->ncolumns; i++) {
		unsigned at = list->body.col + list->at[i];

		if (list->wide[i] > 0 && col >= at && col <= at +
		    list->wide[i]) {
			*ret_column = i;
			return true;
		}
	}
	return false;
}

void
list_sort_next(struct list *list, bool right)
{
	unsigned i = list->sort;

	do
		i = (i + (right ? 1 : list->ncolumns - 1)) % list->ncolumns;
	while (list->wide[i] == 0 && i != list->sort);
	list->sort = i;
	list->inverted = false;
}
