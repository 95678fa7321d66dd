/* SPDX-License-Identifier: BSD-2-Clause */
/* engine.h - the screen: the only room that knows curses (floor 8) */
#ifndef SWAP_ENGINE_H
#define SWAP_ENGINE_H

#include <stdbool.h>

#include "view.h"

struct engine;

enum engine_event {
	ENGINE_TIME,	/* the time is over */
	ENGINE_REDRAW,	/* the window has changed, or the user asks for it */
	ENGINE_QUIT,
};

/* -ENOMEM; -ENOTTY: this terminal cannot be drawn on. */
int engine_open(bool color, struct engine **ret_engine) swap_must_check;

/* Give the terminal back. */
void engine_close(struct engine *engine);

/* Begin an empty picture; the lines to put on it go to @ret_lines. */
void engine_begin(struct engine *engine, bool utf8, struct lines *ret_lines);

/* Show it, and wait for a key or the end of @msec. */
enum engine_event engine_show(struct engine *engine, int msec);

#endif
