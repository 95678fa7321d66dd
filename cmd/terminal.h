/* SPDX-License-Identifier: BSD-2-Clause */
/* terminal.h - what a stream can show (floor 8) */
#ifndef SWAP_TERMINAL_H
#define SWAP_TERMINAL_H

#include <stdbool.h>

/* Columns of the terminal on @fd; 0: it is not a terminal. */
unsigned terminal_width(int fd);

/* Can it draw in place?  False for a "dumb" one too. */
bool terminal_can_redraw(int fd);

/* A terminal, not a dumb one, and the user has not set NO_COLOR. */
bool terminal_can_color(int fd);

/* Does the locale write UTF-8?  After setlocale(LC_CTYPE, ""). */
bool terminal_is_utf8(void);

#endif
