/* SPDX-License-Identifier: BSD-2-Clause */
/* list.h - a table with a cursor, sorted by any column (floor 8) */
#ifndef SWAP_LIST_H
#define SWAP_LIST_H

#include "canvas.h"

#define LIST_COLUMNS_MAX 20u

struct column {
	const char	*name;
	unsigned	 width;		/* the least; the flexible one gets
					   what is left */
	bool		 flexible;
	bool		 right;		/* figures */
	unsigned	 drop;		/* where room is short, the highest
					   goes first; 0: never */
};

/*
 * What stands in a row and column.  @width: of the column.  *style is the
 * row's; it may be changed.
 */
typedef void list_cell_fn(void *arg, size_t row, unsigned column,
			  unsigned width, char *buf, size_t len,
			  enum style *style);

struct list {
	const struct column *columns;
	unsigned	 ncolumns;
	unsigned	 sort;		/* column */
	bool		 inverted;
	size_t		 selected;	/* row */
	size_t		 top;		/* first row that is shown */
	/* As it was drawn last: */
	struct area	 body;		/* rows, without the heading */
	unsigned	 at[LIST_COLUMNS_MAX], wide[LIST_COLUMNS_MAX];
	size_t		 n;
};

/*
 * Draw heading and rows.  @cursor: mark the selected row, and scroll to it;
 * without it all rows are drawn.  @longest: columns that the flexible one
 * could use.
 */
void list_draw(struct list *list, struct canvas *canvas,
	       const struct area *area, size_t n, unsigned longest,
	       bool cursor, list_cell_fn *cell, void *arg);

/* Up, down, pages, Home, End.  True: the cursor may have moved. */
bool list_move(struct list *list, unsigned key);
/* What is at a place: a row, or the heading of a column. */
bool list_hit_row(const struct list *list, unsigned row, unsigned col,
		  size_t *ret_row);
bool list_hit_heading(const struct list *list, unsigned row, unsigned col,
		      unsigned *ret_column);
/* The next shown column on either side becomes the one to sort by. */
void list_sort_next(struct list *list, bool right);

#endif
