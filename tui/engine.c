/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The engine
 *
 * The only file that knows curses.  It shows a canvas, a whole one each time:
 * curses compares it with what is on the screen and sends the difference, so
 * that nothing flickers.  It turns keys and the mouse into struct input.
 *
 * A change of the window's size comes as SIGWINCH, which is let through only
 * while engine_wait() waits: it cannot come between looking for a key and
 * waiting for one.
 *
 * Pairs of colours are made as styles need them, one for each style.
 */
#include "engine.h"

#include <curses.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util.h"

#define ESCAPE_MSEC	25	/* between ESC and what follows it */
#define ROW_LEN		8192u

struct engine {
	SCREEN	*screen;
	sigset_t waiting;	/* signals that are blocked while it waits */
	int	 ncolors;
	attr_t	 styles[STYLES];
};

int
engine_open(struct engine **ret_engine)
{
	struct engine *engine = calloc(1, sizeof(*engine));
	sigset_t winch;

	if (engine == NULL)
		return -ENOMEM;
	/* newterm() returns where initscr() would end the program. */
	engine->screen = newterm(NULL, stdout, stdin);
	if (engine->screen == NULL) {
		free(engine);
		return -ENOTTY;
	}
	sigemptyset(&winch);
	sigaddset(&winch, SIGWINCH);
	pthread_sigmask(SIG_BLOCK, &winch, &engine->waiting);
	sigdelset(&engine->waiting, SIGWINCH);
	cbreak();
	noecho();
	nonl();
	set_escdelay(ESCAPE_MSEC);
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	(void)curs_set(0);
	mouseinterval(0);
	(void)mousemask(BUTTON1_PRESSED | BUTTON4_PRESSED | BUTTON5_PRESSED,
			NULL);
	if (has_colors() && start_color() == OK && use_default_colors() == OK)
		engine->ncolors = COLORS;
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

int
engine_ncolors(const struct engine *engine)
{
	return engine->ncolors;
}

static attr_t
attributes_of(unsigned attributes)
{
	attr_t attr = A_NORMAL;

	if (attributes & LOOK_BOLD)
		attr |= A_BOLD;
	if (attributes & LOOK_DIM)
		attr |= A_DIM;
	if (attributes & LOOK_REVERSE)
		attr |= A_REVERSE;
	if (attributes & LOOK_UNDERLINE)
		attr |= A_UNDERLINE;
	return attr;
}

void
engine_set_scheme(struct engine *engine, enum scheme scheme)
{
	for (unsigned i = 0; i < STYLES; i++) {
		struct look look = palette_look(scheme, (enum style)i);

		engine->styles[i] = attributes_of(look.attributes);
		if ((look.fg >= 0 || look.bg >= 0) &&
		    init_pair((short)(i + 1), look.fg, look.bg) == OK)
			engine->styles[i] |= (attr_t)COLOR_PAIR(i + 1);
	}
	(void)clearok(curscr, TRUE);
}

void
engine_size(const struct engine *engine, unsigned *ret_rows,
	    unsigned *ret_cols)
{
	(void)engine;
	*ret_rows = LINES > 0 ? (unsigned)LINES : 1;
	*ret_cols = COLS > 0 ? (unsigned)COLS : 1;
}

/* Glyphs of one style go out together. */
static void
show_row(const struct engine *engine, const struct canvas *canvas,
	 unsigned row)
{
	const struct glyph *glyphs = canvas->glyphs +
				     (size_t)row * canvas->cols;
	char text[ROW_LEN];
	unsigned col = 0;

	while (col < canvas->cols) {
		unsigned start = col;
		size_t n = 0;

		for (; col < canvas->cols && n + sizeof(glyphs->text) <
		     sizeof(text) && glyphs[col].style ==
		     glyphs[start].style; col++) {
			const char *glyph = glyphs[col].text;
			bool half = glyph[0] == '\0' && col > 0 &&
				    text_columns(glyphs[col - 1].text,
						 canvas->utf8) > 1;

			if (half)
				continue;
			if (glyph[0] == '\0')
				glyph = " ";
			memcpy(text + n, glyph, strlen(glyph));
			n += strlen(glyph);
		}
		text[n] = '\0';
		(void)attrset((int)engine->styles[glyphs[start].style]);
		(void)mvaddstr((int)row, (int)start, text);
	}
}

void
engine_show(struct engine *engine, const struct canvas *canvas)
{
	(void)erase();
	for (unsigned row = 0; row < canvas->nrows; row++)
		show_row(engine, canvas, row);
	(void)attrset((int)A_NORMAL);
	(void)refresh();
}

void
engine_redraw(struct engine *engine)
{
	(void)engine;
	(void)clearok(curscr, TRUE);
}

int
engine_wait(struct engine *engine, const int fds[], unsigned n, int msec)
{
	const struct timespec time = {
		.tv_sec = msec / 1000, .tv_nsec = msec % 1000 * 1000000L,
	};
	struct pollfd polls[5] = {
		{ .fd = STDIN_FILENO, .events = POLLIN },
	};
	nfds_t npolls = 1;

	for (unsigned i = 0; i < n && npolls < ARRAY_SIZE(polls); i++)
		polls[npolls++] = (struct pollfd){
			.fd = fds[i], .events = POLLIN,
		};
	if (ppoll(polls, npolls, &time, &engine->waiting) < 0)
		return errno == EINTR ? 0 : -errno;
	if (polls[0].revents & (POLLHUP | POLLERR | POLLNVAL))
		return -EIO;
	return 0;
}

/* ------------------------------------------------------------------- keys */

static bool
take_mouse(struct input *input)
{
	MEVENT event;

	if (getmouse(&event) != OK || event.x < 0 || event.y < 0)
		return false;
	input->row = (unsigned)event.y;
	input->col = (unsigned)event.x;
	if (event.bstate & BUTTON1_PRESSED)
		input->key = KEYS_CLICK;
	else if (event.bstate & BUTTON4_PRESSED)
		input->key = KEYS_WHEEL_UP;
	else if (event.bstate & BUTTON5_PRESSED)
		input->key = KEYS_WHEEL_DOWN;
	else
		return false;
	return true;
}

/* Escape alone, or before h, j, k, l: Alt; other keys are the next ones. */
static unsigned
after_escape(void)
{
	int key = getch();

	switch (key) {
	case 'h':
		return KEYS_LEFT;
	case 'j':
		return KEYS_DOWN;
	case 'k':
		return KEYS_UP;
	case 'l':
		return KEYS_RIGHT;
	case ERR:
		return KEYS_ESCAPE;
	default:
		(void)ungetch(key);
		return KEYS_ESCAPE;
	}
}

static unsigned
key_of(int key)
{
	static const struct {
		int		curses;
		unsigned	key;
	} keys[] = {
		{ KEY_UP, KEYS_UP }, { KEY_DOWN, KEYS_DOWN },
		{ KEY_LEFT, KEYS_LEFT }, { KEY_RIGHT, KEYS_RIGHT },
		{ KEY_PPAGE, KEYS_PAGE_UP }, { KEY_NPAGE, KEYS_PAGE_DOWN },
		{ KEY_HOME, KEYS_HOME }, { KEY_END, KEYS_END },
		{ KEY_FIND, KEYS_HOME }, { KEY_SELECT, KEYS_END },
		{ '\t', KEYS_TAB }, { KEY_BTAB, KEYS_BACK_TAB },
		{ '\r', KEYS_ENTER }, { '\n', KEYS_ENTER },
		{ KEY_ENTER, KEYS_ENTER },
		{ KEY_BACKSPACE, KEYS_ERASE }, { 0x7f, KEYS_ERASE },
		{ '\b', KEYS_ERASE }, { '\f', KEYS_REDRAW },
		{ KEY_RESIZE, KEYS_NONE },
	};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (keys[i].curses == key)
			return keys[i].key;
	if (key >= KEY_F(1) && key <= KEY_F(10))
		return KEYS_F1 + (unsigned)(key - KEY_F(1));
	if (key == 27)
		return after_escape();
	return key >= ' ' && key < 0x100 ? (unsigned)key : KEYS_NONE;
}

bool
engine_key(struct engine *engine, struct input *ret_input)
{
	int key = getch();

	(void)engine;
	memset(ret_input, 0, sizeof(*ret_input));
	ret_input->key = KEYS_NONE;
	if (key == ERR)
		return false;
	if (key != KEY_MOUSE)
		ret_input->key = key_of(key);
	else if (!take_mouse(ret_input))
		ret_input->key = KEYS_NONE;
	return true;
}
