/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The screen: what stands around a view
 *
 *	Pager NAME: ...		which pager; what is unusual at the moment
 *	1 Overview ...		the views
 *	! ...			where the pager does not answer: why, and below
 *				it the last picture, dimmed
 *	(the view)
 *	F1 help ...		keys, those of the view too
 */
#include <inttypes.h>
#include <string.h>

#include "app.h"
#include "cmd/figures.h"
#include "util.h"

/* A swapd that has not answered for so long is told of. */
#define SILENT_USEC	UINT64_C(3000000)

static void
add_key(struct app *app, unsigned row, unsigned from, unsigned to,
	unsigned key)
{
	if (app->nkeys < KEYS_SHOWN)
		app->keys[app->nkeys++] = (struct spot_key){
			row, from, to, key,
		};
}

/* -------------------------------------------------------------------- top */

static void
state_words(const struct app *app, char *buf, size_t len)
{
	const struct sample *now = &app->picture.now;
	char clock[FIGURE_LEN], frame[2 * FIGURE_LEN] = "";

	if (now->nframes > 0)
		format_cut(frame, sizeof(frame), "recording %zu/%zu%s  ",
			   now->frame, now->nframes,
			   now->frame == now->nframes ? ", ended" : "");
	format_cut(buf, len, "%s%s%s%s%s  %gs ", frame,
		   app->paused ? "PAUSED  " : "",
		   app->options->readonly ? "read-only  " : "",
		   app->picture.trouble[0] != '\0' ? "LOST  " : "",
		   clock_text(now->time_usec, clock, sizeof(clock)),
		   (double)app->delay_usec / 1e6);
}

static void
draw_title(struct app *app)
{
	const struct swap_stats *now = &app->picture.now.stats;
	struct canvas *canvas = &app->canvas;
	const struct area line = { 0, 0, 1, canvas->cols };
	char words[160], up[FIGURE_LEN], clients[FIGURE_LEN] = "";
	unsigned tail;

	canvas_wipe(canvas, &line, STYLE_BAR);
	state_words(app, words, sizeof(words));
	tail = text_columns(words, canvas->utf8);
	if (strcmp(now->provider, "kernel") != 0)
		format_cut(clients, sizeof(clients), ", %u client%s",
			   now->clients, now->clients == 1 ? "" : "s");
	(void)canvas_print(canvas, 0, 0, canvas->cols > tail + 2 ?
			   canvas->cols - tail - 2 : canvas->cols, STYLE_BAR,
			   "Pager %s: %s %s, process %" PRId32 ", up %s%s",
			   now->pager, now->provider, now->version, now->pid,
			   figure_span(now->uptime_usec, up, sizeof(up)),
			   clients);
	canvas_right(canvas, 0, 0, canvas->cols, STYLE_BAR, words);
}

static void
draw_tabs(struct app *app)
{
	struct canvas *canvas = &app->canvas;
	const struct area line = { 1, 0, 1, canvas->cols };
	char words[100] = "";
	unsigned col = 0;

	canvas_wipe(canvas, &line, STYLE_TAB);
	for (unsigned i = 0; i < VIEWS; i++) {
		bool on = i == app->view;
		unsigned n = canvas_print(canvas, 1, col, canvas->cols - col,
					  on ? STYLE_TAB_ON : STYLE_TAB,
					  " %u %s ", i + 1, views[i]->title);

		add_key(app, 1, col, col + n, '1' + i);
		col += n;
	}
	if (app->view == VIEW_OBJECTS && app->scene.objects.filter[0] != '\0')
		format_cut(words, sizeof(words), "filter %s ",
			   app->scene.objects.filter);
	else if (app->view == VIEW_OBJECTS)
		format_cut(words, sizeof(words), "%" PRIu64 " ",
			   max_u64(app->picture.now.stats.nobjects,
				   app->picture.now.stats.nobjects_live));
	if (col + text_columns(words, canvas->utf8) + 2 < canvas->cols)
		canvas_right(canvas, 1, 0, canvas->cols, STYLE_TAB, words);
}

/* ----------------------------------------------------------------- bottom */

/* The key that a click on "KEY words" means. */
static unsigned
key_named(const char *words)
{
	if (strncmp(words, "F1 ", 3) == 0)
		return KEYS_F1;
	if (strncmp(words, "Enter ", 6) == 0)
		return KEYS_ENTER;
	if (strncmp(words, "Space ", 6) == 0)
		return ' ';
	if (strncmp(words, "Up/Dn ", 6) == 0)
		return KEYS_DOWN;
	return (unsigned char)words[0];
}

static unsigned
draw_key(struct app *app, unsigned col, const char *words)
{
	struct canvas *canvas = &app->canvas;
	unsigned row = canvas->nrows - 1;
	unsigned n = text_columns(words, canvas->utf8);
	char key[16];

	/* Half of one says nothing. */
	if (col + n > canvas->cols)
		return canvas->cols;
	format_cut(key, sizeof(key), "%.*s", (int)strcspn(words, " "), words);
	(void)canvas_text(canvas, row, col, n, STYLE_KEY_WORD, words);
	(void)canvas_text(canvas, row, col, n, STYLE_KEY, key);
	add_key(app, row, col, col + n, key_named(words));
	return col + n + 2;
}

static void
draw_keys(struct app *app)
{
	static const char *const first[] = { "F1 help", "q quit" };
	static const char *const last[] = {
		"Space pause", "d delay", "g units", "c colours",
	};
	const char *keys = views[app->view]->keys;
	unsigned col = 1;

	for (size_t i = 0; i < ARRAY_SIZE(first); i++)
		col = draw_key(app, col, first[i]);
	for (; keys != NULL && *keys != '\0'; keys += strlen(keys) + 1)
		col = draw_key(app, col, keys);
	for (size_t i = 0; i < ARRAY_SIZE(last); i++)
		col = draw_key(app, col, last[i]);
}

/* ---------------------------------------------------------------- trouble */

/* Returns the rows used. */
static unsigned
draw_trouble(struct app *app, unsigned row)
{
	struct canvas *canvas = &app->canvas;
	uint64_t silent = app->sampler != NULL ?
			  sampler_waiting_usec(app->sampler) : 0;
	char text[FIGURE_LEN];

	if (app->picture.trouble[0] != '\0')
		(void)canvas_print(canvas, row, 0, canvas->cols, STYLE_ALARM,
				   "! %s", app->picture.trouble);
	else if (silent >= SILENT_USEC)
		(void)canvas_print(canvas, row, 0, canvas->cols, STYLE_ALARM,
				   "! no answer for %s",
				   figure_span(silent, text, sizeof(text)));
	else
		return 0;
	(void)canvas_text(canvas, row + 1, 0, canvas->cols, STYLE_PLAIN,
			  "  Below is what was seen last; looking again.");
	return 2;
}

static void
draw_small(struct canvas *canvas)
{
	unsigned row = canvas->nrows / 2;

	(void)canvas_print(canvas, row > 0 ? row - 1 : 0, 0, canvas->cols,
			   STYLE_ALARM, "! The window is too small: %ux%u.",
			   canvas->cols, canvas->nrows);
	(void)canvas_print(canvas, row > 0 ? row : 1, 0, canvas->cols,
			   STYLE_PLAIN, "  swaptop needs %ux%u; q quits.",
			   APP_COLS, APP_ROWS);
}

static void
draw_view(struct app *app)
{
	struct canvas *canvas = &app->canvas;
	struct area area = { 2, 1, canvas->nrows - 3, canvas->cols - 2 };
	unsigned n = draw_trouble(app, area.row);
	const struct area whole = { area.row + n, 0, area.rows - n,
				    canvas->cols };

	area.row += n;
	area.rows -= n;
	views[app->view]->draw(&app->scene, canvas, &area);
	if (n > 0)
		canvas_restyle(canvas, &whole, STYLE_DIM);
}

void
screen_draw(struct app *app)
{
	struct canvas *canvas = &app->canvas;
	unsigned rows, cols;

	engine_size(app->engine, &rows, &cols);
	if (canvas_reset(canvas, rows, cols, app->scene.utf8) < 0)
		return;
	app->nkeys = 0;
	if (rows < APP_ROWS || cols < APP_COLS) {
		draw_small(canvas);
	} else {
		draw_view(app);
		draw_title(app);
		draw_tabs(app);
		draw_keys(app);
		dialog_draw(app);
	}
	engine_show(app->engine, canvas);
}
