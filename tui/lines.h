/* SPDX-License-Identifier: BSD-2-Clause */
/* lines.h - lines of a dialog (floor 8) */
#ifndef SWAP_LINES_H
#define SWAP_LINES_H

#include <stddef.h>

#include "canvas.h"

#define LINES_MAX	512u

struct lines {
	char		 title[128];
	char		*lines[LINES_MAX];
	uint8_t		 styles[LINES_MAX];
	size_t		 n;
};

void lines_title(struct lines *text, const char *fmt, ...) swap_printf(2, 3);
/* Without memory, or beyond LINES_MAX, a line is left out. */
void lines_add(struct lines *text, enum style style, const char *fmt, ...)
	swap_printf(3, 4);
void lines_clear(struct lines *text);

#endif
