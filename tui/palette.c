/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How each style looks
 *
 * How full a cell is goes from dark blue over grey to yellow (on a light
 * background the other way round): a scale that is told apart by everybody who
 * tells light from dark, whatever colours they see.  What must stand out takes
 * from the colours of Okabe and Ito: orange and sky blue for out and in,
 * vermilion for what is bad, purple for what drains.  No red stands against
 * green.  Without colour, attributes tell apart what glyphs do not.
 *
 * Colours are those of the 256 that xterm has; numbers below 8 are the eight
 * of every terminal.
 */
#include "palette.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct look dark[STYLES] = {
	[STYLE_PLAIN] = { -1, -1, 0 },
	[STYLE_DIM] = { 245, -1, 0 },
	[STYLE_STRONG] = { 255, -1, LOOK_BOLD },
	[STYLE_BAR] = { 255, 24, LOOK_BOLD },
	[STYLE_TAB] = { 250, 236, 0 },
	[STYLE_TAB_ON] = { 16, 221, LOOK_BOLD },
	[STYLE_HEADING] = { 117, -1, LOOK_BOLD },
	[STYLE_COLUMNS] = { 252, 238, LOOK_BOLD },
	[STYLE_RULE] = { 239, -1, 0 },
	[STYLE_ALARM] = { 215, -1, LOOK_BOLD },
	[STYLE_KEY] = { 221, -1, LOOK_BOLD },
	[STYLE_KEY_WORD] = { 250, -1, 0 },
	[STYLE_SELECTED] = { 16, 117, 0 },
	[STYLE_MATCH] = { 16, 221, 0 },
	[STYLE_IN] = { 75, -1, 0 },
	[STYLE_OUT] = { 214, -1, 0 },
	[STYLE_BOTH] = { 79, -1, 0 },
	[STYLE_FREE] = { 239, -1, 0 },
	[STYLE_LOW] = { 61, -1, 0 },
	[STYLE_MIDDLE] = { 103, -1, 0 },
	[STYLE_HIGH] = { 143, -1, 0 },
	[STYLE_FULL] = { 221, -1, 0 },
	[STYLE_BAD] = { 231, 160, LOOK_BOLD },
	[STYLE_DRAIN] = { 175, -1, 0 },
	[STYLE_NOBODY] = { 252, -1, LOOK_BOLD },
	[STYLE_WRITTEN] = { 208, -1, LOOK_BOLD },
	[STYLE_FREED] = { 51, -1, LOOK_BOLD },
	[STYLE_CURSOR] = { 16, 231, LOOK_BOLD },
	[STYLE_BOX] = { 255, 236, 0 },
};

static const struct look light[STYLES] = {
	[STYLE_PLAIN] = { -1, -1, 0 },
	[STYLE_DIM] = { 242, -1, 0 },
	[STYLE_STRONG] = { 16, -1, LOOK_BOLD },
	[STYLE_BAR] = { 231, 25, LOOK_BOLD },
	[STYLE_TAB] = { 238, 253, 0 },
	[STYLE_TAB_ON] = { 231, 18, LOOK_BOLD },
	[STYLE_HEADING] = { 25, -1, LOOK_BOLD },
	[STYLE_COLUMNS] = { 16, 252, LOOK_BOLD },
	[STYLE_RULE] = { 249, -1, 0 },
	[STYLE_ALARM] = { 130, -1, LOOK_BOLD },
	[STYLE_KEY] = { 18, -1, LOOK_BOLD },
	[STYLE_KEY_WORD] = { 238, -1, 0 },
	[STYLE_SELECTED] = { 231, 25, 0 },
	[STYLE_MATCH] = { 16, 221, 0 },
	[STYLE_IN] = { 26, -1, 0 },
	[STYLE_OUT] = { 166, -1, 0 },
	[STYLE_BOTH] = { 29, -1, 0 },
	[STYLE_FREE] = { 250, -1, 0 },
	[STYLE_LOW] = { 179, -1, 0 },
	[STYLE_MIDDLE] = { 101, -1, 0 },
	[STYLE_HIGH] = { 60, -1, 0 },
	[STYLE_FULL] = { 18, -1, 0 },
	[STYLE_BAD] = { 231, 160, LOOK_BOLD },
	[STYLE_DRAIN] = { 132, -1, 0 },
	[STYLE_NOBODY] = { 16, -1, LOOK_BOLD },
	[STYLE_WRITTEN] = { 202, -1, LOOK_BOLD },
	[STYLE_FREED] = { 37, -1, LOOK_BOLD },
	[STYLE_CURSOR] = { 231, 16, LOOK_BOLD },
	[STYLE_BOX] = { 16, 254, 0 },
};

static const struct look eight[STYLES] = {
	[STYLE_PLAIN] = { -1, -1, 0 },
	[STYLE_DIM] = { -1, -1, LOOK_DIM },
	[STYLE_STRONG] = { -1, -1, LOOK_BOLD },
	[STYLE_BAR] = { 7, 4, LOOK_BOLD },
	[STYLE_TAB] = { -1, -1, 0 },
	[STYLE_TAB_ON] = { 0, 3, 0 },
	[STYLE_HEADING] = { 6, -1, LOOK_BOLD },
	[STYLE_COLUMNS] = { -1, -1, LOOK_BOLD | LOOK_UNDERLINE },
	[STYLE_RULE] = { -1, -1, LOOK_DIM },
	[STYLE_ALARM] = { 3, -1, LOOK_BOLD },
	[STYLE_KEY] = { 3, -1, LOOK_BOLD },
	[STYLE_KEY_WORD] = { -1, -1, 0 },
	[STYLE_SELECTED] = { 0, 6, 0 },
	[STYLE_MATCH] = { 0, 3, 0 },
	[STYLE_IN] = { 6, -1, 0 },
	[STYLE_OUT] = { 3, -1, 0 },
	[STYLE_BOTH] = { 2, -1, 0 },
	[STYLE_FREE] = { -1, -1, LOOK_DIM },
	[STYLE_LOW] = { 4, -1, LOOK_BOLD },
	[STYLE_MIDDLE] = { 6, -1, 0 },
	[STYLE_HIGH] = { 3, -1, 0 },
	[STYLE_FULL] = { 3, -1, LOOK_BOLD },
	[STYLE_BAD] = { 7, 1, LOOK_BOLD },
	[STYLE_DRAIN] = { 5, -1, 0 },
	[STYLE_NOBODY] = { -1, -1, LOOK_BOLD },
	[STYLE_WRITTEN] = { 1, -1, LOOK_BOLD },
	[STYLE_FREED] = { 6, -1, LOOK_BOLD },
	[STYLE_CURSOR] = { 0, 7, 0 },
	[STYLE_BOX] = { 7, 4, 0 },
};

static const struct look mono[STYLES] = {
	[STYLE_PLAIN] = { -1, -1, 0 },
	[STYLE_DIM] = { -1, -1, LOOK_DIM },
	[STYLE_STRONG] = { -1, -1, LOOK_BOLD },
	[STYLE_BAR] = { -1, -1, LOOK_REVERSE },
	[STYLE_TAB] = { -1, -1, 0 },
	[STYLE_TAB_ON] = { -1, -1, LOOK_REVERSE | LOOK_BOLD },
	[STYLE_HEADING] = { -1, -1, LOOK_BOLD },
	[STYLE_COLUMNS] = { -1, -1, LOOK_BOLD | LOOK_UNDERLINE },
	[STYLE_RULE] = { -1, -1, LOOK_DIM },
	[STYLE_ALARM] = { -1, -1, LOOK_BOLD },
	[STYLE_KEY] = { -1, -1, LOOK_BOLD },
	[STYLE_KEY_WORD] = { -1, -1, 0 },
	[STYLE_SELECTED] = { -1, -1, LOOK_REVERSE },
	[STYLE_MATCH] = { -1, -1, LOOK_BOLD | LOOK_UNDERLINE },
	[STYLE_IN] = { -1, -1, 0 },
	[STYLE_OUT] = { -1, -1, LOOK_BOLD },
	[STYLE_BOTH] = { -1, -1, 0 },
	[STYLE_FREE] = { -1, -1, LOOK_DIM },
	[STYLE_LOW] = { -1, -1, 0 },
	[STYLE_MIDDLE] = { -1, -1, 0 },
	[STYLE_HIGH] = { -1, -1, 0 },
	[STYLE_FULL] = { -1, -1, 0 },
	[STYLE_BAD] = { -1, -1, LOOK_REVERSE | LOOK_BOLD },
	[STYLE_DRAIN] = { -1, -1, LOOK_BOLD },
	[STYLE_NOBODY] = { -1, -1, LOOK_BOLD },
	[STYLE_WRITTEN] = { -1, -1, LOOK_BOLD },
	[STYLE_FREED] = { -1, -1, LOOK_UNDERLINE },
	[STYLE_CURSOR] = { -1, -1, LOOK_REVERSE },
	[STYLE_BOX] = { -1, -1, 0 },
};

static const struct look *const palettes[SCHEMES] = {
	[SCHEME_DARK] = dark, [SCHEME_LIGHT] = light,
	[SCHEME_EIGHT] = eight, [SCHEME_MONO] = mono,
};

static const char *const names[SCHEMES] = {
	[SCHEME_DARK] = "dark", [SCHEME_LIGHT] = "light",
	[SCHEME_EIGHT] = "8", [SCHEME_MONO] = "mono",
};

struct look
palette_look(enum scheme scheme, enum style style)
{
	return palettes[scheme][style];
}

const char *
scheme_name(enum scheme scheme)
{
	return names[scheme];
}

int
scheme_parse(const char *name, enum scheme *ret_scheme)
{
	for (unsigned i = 0; i < SCHEMES; i++) {
		if (strcmp(names[i], name) == 0) {
			*ret_scheme = (enum scheme)i;
			return 0;
		}
	}
	return -EINVAL;
}

bool
scheme_is_possible(enum scheme scheme, int ncolors)
{
	switch (scheme) {
	case SCHEME_DARK:
	case SCHEME_LIGHT:
		return ncolors >= 256;
	case SCHEME_EIGHT:
		return ncolors >= 8;
	default:
		return true;
	}
}

/* COLORFGBG is "15;0" or "0;default;15": the last number is the background. */
static bool
background_is_light(void)
{
	const char *text = getenv("COLORFGBG"), *last;

	if (text == NULL)
		return false;
	last = strrchr(text, ';');
	last = last != NULL ? last + 1 : text;
	return strcmp(last, "7") == 0 || strcmp(last, "15") == 0;
}

enum scheme
scheme_default(int ncolors)
{
	const char *refused = getenv("NO_COLOR");

	if ((refused != NULL && refused[0] != '\0') || ncolors < 8)
		return SCHEME_MONO;
	if (ncolors < 256)
		return SCHEME_EIGHT;
	return background_is_light() ? SCHEME_LIGHT : SCHEME_DARK;
}
