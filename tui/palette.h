/* SPDX-License-Identifier: BSD-2-Clause */
/* palette.h - how each style looks, without curses (floor 8) */
#ifndef SWAP_PALETTE_H
#define SWAP_PALETTE_H

#include "canvas.h"

enum scheme {
	SCHEME_DARK,	/* 256 colours on a dark background */
	SCHEME_LIGHT,	/* the same on a light one */
	SCHEME_EIGHT,	/* 8 colours */
	SCHEME_MONO,
	SCHEMES,
};

#define LOOK_BOLD	(1u << 0)
#define LOOK_DIM	(1u << 1)
#define LOOK_REVERSE	(1u << 2)
#define LOOK_UNDERLINE	(1u << 3)

struct look {
	short		fg, bg;		/* -1: the terminal's own */
	unsigned	attributes;
};

struct look palette_look(enum scheme scheme, enum style style);

/* "dark", "light", "8", "mono"; and back, -EINVAL. */
const char *scheme_name(enum scheme scheme);
int scheme_parse(const char *name, enum scheme *ret_scheme) swap_must_check;

/*
 * For a terminal of so many colours, by COLORFGBG and NO_COLOR.  What it
 * cannot show is not offered.
 */
enum scheme scheme_default(int ncolors);
bool scheme_is_possible(enum scheme scheme, int ncolors);

#endif
