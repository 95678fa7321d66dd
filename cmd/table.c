/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tables
 *
 * The only room that knows libsmartcols.  It gives us what is tedious to get
 * right: column widths from the contents, wide characters, a terminal that is
 * too narrow, and control characters in a name, which it escapes.
 *
 * Numbers are never cut or wrapped: half a number is a wrong number.  Names
 * of devices and objects are wrapped, since people copy them; commands are
 * cut.  Where that is not enough, whole columns are left out, those of the
 * highest rank first, until the rest fits.  What goes to a pipe is whole and
 * has every column, whatever the width of the terminal.
 */
#include "table.h"

#include <errno.h>
#include <libsmartcols.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "terminal.h"

/* Names and commands may become as narrow as this. */
#define NAME_WIDTH	14u
#define CUT_WIDTH	8u

struct table {
	struct libscols_table		*smart;
	struct libscols_line		*last;
	const struct table_column	*columns;
	size_t				 ncolumns;
	size_t				*widths;	/* of the contents */
};

static int
add_column(struct libscols_table *smart, const struct table_column *column)
{
	static const int flags[] = {
		[TABLE_NAME] = SCOLS_FL_WRAP,
		[TABLE_WORD] = 0,
		[TABLE_CUT] = SCOLS_FL_TRUNC,
		[TABLE_NUMBER] = SCOLS_FL_RIGHT,
	};
	/* Too narrow a terminal takes its columns from the wide ones. */
	static const double hints[] = {
		[TABLE_NAME] = 0.2, [TABLE_WORD] = 1, [TABLE_CUT] = 0.1,
		[TABLE_NUMBER] = 1,
	};

	if (scols_table_new_column(smart, column->name, hints[column->kind],
				   flags[column->kind]) == NULL)
		return -ENOMEM;
	return 0;
}

int
table_new(const struct table_column *columns, size_t ncolumns,
	  struct table **ret_table)
{
	struct table *table = calloc(1, sizeof(*table));
	int r = 0;

	if (table == NULL)
		return -ENOMEM;
	table->columns = columns;
	table->ncolumns = ncolumns;
	table->widths = calloc(ncolumns, sizeof(*table->widths));
	table->smart = scols_new_table();
	if (table->smart == NULL || table->widths == NULL)
		r = -ENOMEM;
	for (size_t i = 0; i < ncolumns && r == 0; i++) {
		table->widths[i] = strlen(columns[i].name);
		r = add_column(table->smart, &columns[i]);
	}
	if (r < 0) {
		table_free(table);
		return r;
	}
	scols_table_enable_colors(table->smart,
				  terminal_can_color(STDOUT_FILENO));
	*ret_table = table;
	return 0;
}

int
table_row(struct table *table, const char *const *cells)
{
	table->last = scols_table_new_line(table->smart, NULL);
	if (table->last == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < table->ncolumns; i++) {
		if (scols_line_set_data(table->last, i, cells[i]) != 0)
			return -ENOMEM;
		/* In bytes: for characters beyond ASCII a safe guess. */
		if (strlen(cells[i]) > table->widths[i])
			table->widths[i] = strlen(cells[i]);
	}
	return 0;
}

void
table_warn(struct table *table, size_t column)
{
	struct libscols_cell *cell;

	if (table->last == NULL)
		return;
	cell = scols_line_get_cell(table->last, column);
	if (cell != NULL)
		(void)scols_cell_set_color(cell, "yellow");
}

/* The least width of a column: that of its contents, unless it gives way. */
static size_t
least_width(const struct table *table, size_t i)
{
	size_t width = table->widths[i];

	if (table->columns[i].kind == TABLE_NAME)
		return min_u64(width, NAME_WIDTH);
	if (table->columns[i].kind == TABLE_CUT)
		return min_u64(width, CUT_WIDTH);
	return width;
}

static struct libscols_column *
shown(const struct table *table, size_t i)
{
	struct libscols_column *column =
		scols_table_get_column(table->smart, i);

	return scols_column_is_hidden(column) ? NULL : column;
}

/* Hide the columns of the highest rank; false: there are none to hide. */
static bool
hide_some(struct table *table, size_t *total)
{
	unsigned rank = 0;

	for (size_t i = 0; i < table->ncolumns; i++) {
		if (shown(table, i) != NULL && table->columns[i].rank > rank)
			rank = table->columns[i].rank;
	}
	for (size_t i = 0; i < table->ncolumns && rank > 0; i++) {
		struct libscols_column *column = shown(table, i);

		if (column == NULL || table->columns[i].rank != rank)
			continue;
		scols_column_set_flags(column, SCOLS_FL_HIDDEN);
		*total -= least_width(table, i) + 1;
	}
	return rank > 0;
}

static void
fit(struct table *table, size_t room)
{
	size_t total = 0;

	for (size_t i = 0; i < table->ncolumns; i++)
		total += least_width(table, i) + 1;
	/* The last column has no blank behind it. */
	while (total > room + 1 && hide_some(table, &total))
		continue;
}

int
table_print(struct table *table)
{
	unsigned width = terminal_width(STDOUT_FILENO);

	if (width > 0)
		fit(table, width);
	return scols_print_table(table->smart) < 0 ? -EIO : 0;
}

void
table_free(struct table *table)
{
	if (table == NULL)
		return;
	scols_unref_table(table->smart);
	free(table->widths);
	free(table);
}
