/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a stream can show
 *
 * Asked again at each use, since a window is resized while a progress bar
 * runs.  A terminal that does not know its width (a serial line) counts as 80
 * columns.  NO_COLOR follows no-color.org: set and not empty means no colour.
 */
#include "terminal.h"

#include <langinfo.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

unsigned
terminal_width(int fd)
{
	struct winsize size;

	if (!isatty(fd))
		return 0;
	if (ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
		return 80;
	return size.ws_col;
}

bool
terminal_can_redraw(int fd)
{
	const char *term = getenv("TERM");

	return isatty(fd) && term != NULL && strcmp(term, "dumb") != 0;
}

bool
terminal_can_color(int fd)
{
	const char *refused = getenv("NO_COLOR");

	return terminal_can_redraw(fd) &&
	       (refused == NULL || refused[0] == '\0');
}

bool
terminal_is_utf8(void)
{
	return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}
