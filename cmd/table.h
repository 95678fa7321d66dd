/* SPDX-License-Identifier: BSD-2-Clause */
/* table.h - tables on standard output, by libsmartcols (floor 8) */
#ifndef SWAP_TABLE_H
#define SWAP_TABLE_H

#include <stddef.h>

#include "compiler.h"

struct table;

enum table_kind {
	TABLE_NAME,	/* left; a long one goes on in the next line */
	TABLE_WORD,	/* left, whole */
	TABLE_CUT,	/* left, cut where the terminal is narrow */
	TABLE_NUMBER,	/* right, whole */
};

struct table_column {
	const char	*name;
	enum table_kind	kind;
	unsigned	rank;		/* where a terminal is too narrow, the
					   highest goes first; 0: it stays */
};

/* @columns outlives the table.  -ENOMEM. */
int table_new(const struct table_column *columns, size_t ncolumns,
	      struct table **ret_table) swap_must_check;

/* Add a row: one cell a column; the texts are copied.  -ENOMEM. */
int table_row(struct table *table, const char *const *cells) swap_must_check;

/* Let a cell of the last row stand out, where there is colour. */
void table_warn(struct table *table, size_t column);

/* Print it, as wide as the terminal; whole and plain where there is none. */
int table_print(struct table *table) swap_must_check;

void table_free(struct table *table);

#endif
