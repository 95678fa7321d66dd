/* SPDX-License-Identifier: BSD-2-Clause */
/* Lines of a dialog */
#include "lines.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
lines_title(struct lines *text, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text->title, sizeof(text->title), fmt, args);
	va_end(args);
}

void
lines_add(struct lines *text, enum style style, const char *fmt, ...)
{
	va_list args;
	char *line = NULL;

	if (text->n == LINES_MAX)
		return;
	va_start(args, fmt);
	if (vasprintf(&line, fmt, args) < 0)
		line = NULL;
	va_end(args);
	if (line == NULL)
		return;
	text->styles[text->n] = (uint8_t)style;
	text->lines[text->n++] = line;
}

void
lines_clear(struct lines *text)
{
	for (size_t i = 0; i < text->n; i++)
		free(text->lines[i]);
	memset(text, 0, sizeof(*text));
}
