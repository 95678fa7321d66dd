/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Lines of a view
 *
 * A name of an object is whatever a program chose, escape sequences included,
 * and a wide character takes two columns: so a line is looked at character by
 * character before it goes out, here and nowhere else.
 */
#include "view.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>
#include <wctype.h>

#include "util.h"

#define LINE_LEN	2048u

/* Columns of the character at @text; its length goes to @ret_len. */
static unsigned
character(const char *text, size_t *ret_len)
{
	mbstate_t state = { 0 };
	wchar_t wide;
	size_t n = mbrtowc(&wide, text, strlen(text), &state);
	int columns;

	if (n == 0 || n > strlen(text) || !iswprint((wint_t)wide)) {
		*ret_len = 0;
		return 1;
	}
	columns = wcwidth(wide);
	*ret_len = n;
	return columns > 0 ? (unsigned)columns : 0;
}

/* Copy what can be printed of @from, up to @width columns (0: all). */
static void
clean(const char *from, unsigned width, char *to, size_t len)
{
	unsigned at = 0;
	size_t n = 0;

	while (*from != '\0') {
		size_t bytes;
		unsigned columns = character(from, &bytes);
		bool known = bytes > 0;

		if (!known)
			bytes = 1;
		if ((width > 0 && at + columns > width) || n + bytes >= len)
			break;
		if (known)
			memcpy(to + n, from, bytes);
		else
			to[n] = '?';
		n += bytes;
		at += columns;
		from += bytes;
	}
	to[n] = '\0';
}

void
lines_put(struct lines *lines, enum line_style style, const char *fmt, ...)
{
	char text[LINE_LEN], cleaned[LINE_LEN];
	va_list args;

	if (lines->left == 0)
		return;
	if (lines->left != LINES_ENDLESS)
		lines->left--;
	va_start(args, fmt);
	if (vsnprintf(text, sizeof(text), fmt, args) < 0)
		text[0] = '\0';
	va_end(args);
	clean(text, lines->width, cleaned, sizeof(cleaned));
	lines->emit(lines->arg, style, cleaned);
}

uint64_t
view_interval(const struct swap_stats *now, const struct swap_stats *before)
{
	/* Another process has other counters, whatever its name. */
	if (before == NULL || before->pid != now->pid ||
	    before->uptime_usec >= now->uptime_usec)
		return 0;
	return now->uptime_usec - before->uptime_usec;
}

uint64_t
view_rate(uint64_t now, uint64_t before, uint64_t interval_usec)
{
	if (interval_usec == 0 || now <= before)
		return 0;
	return (uint64_t)((double)(now - before) * 1e6 /
			  (double)interval_usec + 0.5);
}

size_t
view_name_width(const struct lines *lines, size_t longest, size_t others,
		size_t least)
{
	size_t room = lines->width > others ? lines->width - others : 0;

	if (lines->width > 0 && longest > room)
		longest = room;
	return longest > least ? longest : least;
}
