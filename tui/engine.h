/* SPDX-License-Identifier: BSD-2-Clause */
/* engine.h - the screen: the only room that knows curses (floor 8) */
#ifndef SWAP_ENGINE_H
#define SWAP_ENGINE_H

#include "canvas.h"
#include "palette.h"
#include "view.h"

struct engine;

/* -ENOMEM; -ENOTTY: this terminal cannot be drawn on. */
int engine_open(struct engine **ret_engine) swap_must_check;

/* Give the terminal back. */
void engine_close(struct engine *engine);

/* How many colours the terminal has; 0: none. */
int engine_ncolors(const struct engine *engine);
void engine_set_scheme(struct engine *engine, enum scheme scheme);

void engine_size(const struct engine *engine, unsigned *ret_rows,
		 unsigned *ret_cols);

/* Show a canvas; curses sends only what has changed. */
void engine_show(struct engine *engine, const struct canvas *canvas);
/* Draw everything anew at the next engine_show(). */
void engine_redraw(struct engine *engine);

/*
 * Wait until there is a key, one of @fds (at most 4; -1: none) is readable, or
 * @msec are over.  Negative errno: the terminal is gone.
 */
int engine_wait(struct engine *engine, const int fds[], unsigned n, int msec);

/* The next key; false: there is none. */
bool engine_key(struct engine *engine, struct input *ret_input);

#endif
