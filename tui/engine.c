/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The engine
 *
 * The only file that knows curses.  It draws the lines that the views put, a
 * whole picture each time; curses itself sends only what has changed.  The
 * last row is the engine's own and tells the keys.  Every style differs in
 * more than its colour, and without colour in its attribute.
 *
 * A window below MIN_ROWS or MIN_COLUMNS says so instead of showing half.
 */
#include "engine.h"

#include <curses.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "util.h"

#define MIN_ROWS	8
#define MIN_COLUMNS	40
#define PAIR_ALARM	1

struct engine {
	SCREEN	*screen;
	int	 row;		/* the next to be drawn */
	attr_t	 styles[LINE_STYLES];
};

int
engine_open(bool color, struct engine **ret_engine)
{
	struct engine *engine = calloc(1, sizeof(*engine));

	if (engine == NULL)
		return -ENOMEM;
	/* newterm() returns where initscr() would end the program. */
	engine->screen = newterm(NULL, stdout, stdin);
	if (engine->screen == NULL) {
		free(engine);
		return -ENOTTY;
	}
	cbreak();
	noecho();
	nonl();
	keypad(stdscr, TRUE);
	(void)curs_set(0);
	engine->styles[LINE_TITLE] = A_REVERSE;
	engine->styles[LINE_HEADING] = A_BOLD;
	engine->styles[LINE_ALARM] = A_BOLD;
	if (color && has_colors() && start_color() == OK &&
	    use_default_colors() == OK &&
	    init_pair(PAIR_ALARM, COLOR_YELLOW, -1) == OK)
		engine->styles[LINE_ALARM] |= (attr_t)COLOR_PAIR(PAIR_ALARM);
	*ret_engine = engine;
	return 0;
}

void
engine_close(struct engine *engine)
{
	if (engine == NULL)
		return;
	(void)endwin();
	delscreen(engine->screen);
	free(engine);
}

static void
emit(void *arg, enum line_style style, const char *text)
{
	struct engine *engine = arg;

	(void)attrset((int)engine->styles[style]);
	/* The bar of a title goes from edge to edge. */
	if (style == LINE_TITLE)
		(void)mvhline(engine->row, 0, ' ', COLS);
	(void)mvaddstr(engine->row++, 0, text);
	(void)attrset((int)A_NORMAL);
}

void
engine_begin(struct engine *engine, bool utf8, struct lines *ret_lines)
{
	bool small = LINES < MIN_ROWS || COLS < MIN_COLUMNS;

	(void)erase();
	engine->row = 0;
	*ret_lines = (struct lines){
		.width = (unsigned)COLS,
		/* The last row tells the keys. */
		.left = LINES > 1 ? (unsigned)LINES - 1 : 0,
		.utf8 = utf8,
		.emit = emit,
		.arg = engine,
	};
	if (!small)
		return;
	lines_put(ret_lines, LINE_ALARM, "! The window is too small.");
	ret_lines->left = 0;
}

enum engine_event
engine_show(struct engine *engine, int msec)
{
	int key;

	(void)engine;
	(void)attrset((int)A_DIM);
	(void)mvaddnstr(LINES - 1, 0, "q quit   space refresh", COLS - 1);
	(void)attrset((int)A_NORMAL);
	(void)refresh();
	timeout(msec);
	key = getch();
	if (key == 'q' || key == 'Q' || key == KEY_F(10))
		return ENGINE_QUIT;
	if (key == ERR)
		return ENGINE_TIME;
	if (key == '\f')
		(void)clearok(curscr, TRUE);
	return ENGINE_REDRAW;
}
