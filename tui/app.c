/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * swaptop on a screen
 *
 * One loop: draw what there is, tell the sampler what the view needs, wait for
 * a key or for something new.  The screen outlives the swapd: where that does
 * not answer, the last picture stays, and the sampler goes on asking.
 */
#include "app.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/terminal.h"
#include "util.h"

/* The title's clock of waiting goes on by itself. */
#define WAIT_MSEC	1000
/* So many cost nothing worth saving, in whatever view. */
#define FEW_OBJECTS	500u

/* ------------------------------------------------------------------ news */

static void
take(struct app *app)
{
	struct delivery news;

	if (!sampler_take(app->sampler, &news))
		return;
	if (news.has_sample)
		picture_add(&app->picture, &news.sample);
	if (news.has_maps)
		picture_maps(&app->picture, news.maps, news.nmaps);
	if (!news.asked)
		return;
	app->picture.trouble[0] = '\0';
	if (news.trouble.code == -ENODATA)
		app->picture.ended = true;
	else if (news.trouble.code < 0)
		format_cut(app->picture.trouble, sizeof(app->picture.trouble),
			   "%s", news.trouble.message);
}

static void
wish(struct app *app)
{
	const struct view *view = views[app->view];
	struct wishes wishes;

	memset(&wishes, 0, sizeof(wishes));
	wishes.objects = app->view == VIEW_OBJECTS ||
			 app->picture.now.stats.nobjects_live <= FEW_OBJECTS;
	if (view->wish != NULL && app->canvas.nrows >= APP_ROWS &&
	    app->canvas.cols >= APP_COLS)
		view->wish(&app->scene, &wishes);
	sampler_wish(app->sampler, &wishes);
}

/* ------------------------------------------------------------------- keys */

static void
next_scheme(struct app *app)
{
	int ncolors = engine_ncolors(app->engine);

	do
		app->scheme = (enum scheme)((app->scheme + 1) % SCHEMES);
	while (!scheme_is_possible(app->scheme, ncolors));
	engine_set_scheme(app->engine, app->scheme);
}

static void
go_to(struct app *app, unsigned view)
{
	app->view = (enum view_number)(view % VIEWS);
}

/* Keys for words to type go to the objects. */
static void
ask(struct app *app, enum prompt prompt)
{
	if (prompt != PROMPT_DELAY)
		go_to(app, VIEW_OBJECTS);
	dialog_prompt(app, prompt);
}

static bool
setting_key(struct app *app, unsigned key)
{
	switch (key) {
	case ' ':
		app->paused = !app->paused;
		sampler_pause(app->sampler, app->paused);
		return true;
	case 'r':
	case KEYS_F5:
		sampler_now(app->sampler);
		return true;
	case 'c':
		next_scheme(app);
		return true;
	case 'g':
		app->scene.units = (enum units)((app->scene.units + 1) %
						UNITS_KINDS);
		return true;
	case 'd':
		ask(app, PROMPT_DELAY);
		return true;
	case '/':
	case KEYS_F3:
		ask(app, PROMPT_SEARCH);
		return true;
	case '\\':
	case KEYS_F4:
		ask(app, PROMPT_FILTER);
		return true;
	case KEYS_REDRAW:
		engine_redraw(app->engine);
		return true;
	default:
		return false;
	}
}

static void
common_key(struct app *app, unsigned key)
{
	if (setting_key(app, key))
		return;
	if (key >= '1' && key < '1' + VIEWS)
		go_to(app, key - '1');
	else if (key == KEYS_TAB)
		go_to(app, app->view + 1);
	else if (key == KEYS_BACK_TAB)
		go_to(app, app->view + VIEWS - 1);
	else if (key == 'q' || key == 'Q')
		app->quit = true;
	else if (key == KEYS_F1 || key == 'h' || key == '?')
		dialog_help(app);
	else if (key == KEYS_ENTER)
		dialog_inspect(app);
	else if (key == 'o')
		dialog_off(app);
}

static bool
on_a_key(const struct app *app, const struct input *input, unsigned *ret_key)
{
	for (unsigned i = 0; i < app->nkeys; i++) {
		const struct spot_key *key = &app->keys[i];

		if (input->row == key->row && input->col >= key->from &&
		    input->col < key->to) {
			*ret_key = key->key;
			return true;
		}
	}
	return false;
}

static void
view_key(struct app *app, const struct input *input)
{
	const struct scene *scene = &app->scene;
	const struct list *list = app->view == VIEW_DEVICES ?
				  &scene->devices : &scene->objects.list;
	size_t row;

	if (!views[app->view]->key(&app->scene, input)) {
		common_key(app, input->key);
		return;
	}
	/* A click on a row shows all about it; the map has its panel. */
	if (input->key == KEYS_CLICK && (app->view == VIEW_DEVICES ||
					 app->view == VIEW_OBJECTS) &&
	    list_hit_row(list, input->row, input->col, &row))
		dialog_inspect(app);
}

static void
handle(struct app *app, const struct input *typed)
{
	struct input input = *typed;

	if (input.key == KEYS_F10) {
		app->quit = true;
		return;
	}
	/* Nothing that could be meant is to be seen. */
	if (app->canvas.nrows < APP_ROWS || app->canvas.cols < APP_COLS) {
		app->quit = input.key == 'q' || input.key == 'Q';
		return;
	}
	if (dialog_key(app, &input))
		return;
	if (input.key == KEYS_CLICK && on_a_key(app, &input, &input.key)) {
		input.row = input.col = 0;
		view_key(app, &input);
		return;
	}
	view_key(app, &input);
}

/* ------------------------------------------------------------------- loop */

static int
loop(struct app *app)
{
	const struct options *options = app->options;
	struct input input;
	int r = 0;

	while (!app->quit && r == 0) {
		int fds[] = { sampler_fd(app->sampler), -1 };

		screen_draw(app);
		wish(app);
		if (app->off != NULL)
			fds[1] = off_fd(app->off);
		r = engine_wait(app->engine, fds, ARRAY_SIZE(fds), WAIT_MSEC);
		while (!app->quit && engine_key(app->engine, &input))
			handle(app, &input);
		take(app);
		if (options->count > 0 &&
		    app->picture.nth > (uint64_t)options->count)
			break;
	}
	return r;
}

static int
open_screen(struct app *app)
{
	const struct options *options = app->options;
	int r = engine_open(&app->engine);

	if (r < 0) {
		fprintf(stderr, "swaptop: cannot draw on this terminal "
			"(TERM=%s); use --once or --batch\n",
			getenv("TERM") != NULL ? getenv("TERM") : "");
		return r;
	}
	app->scheme = scheme_default(engine_ncolors(app->engine));
	if (options->has_scheme &&
	    scheme_is_possible(options->scheme, engine_ncolors(app->engine)))
		app->scheme = options->scheme;
	engine_set_scheme(app->engine, app->scheme);
	return 0;
}

static void
set_up(struct app *app, const struct options *options, struct source *source)
{
	memset(app, 0, sizeof(*app));
	app->options = options;
	app->source = source;
	app->delay_usec = options->delay_usec;
	scene_init(&app->scene, &app->picture);
	app->scene.screen = true;
	app->scene.utf8 = terminal_is_utf8() && !options->ascii;
	app->scene.readonly = options->readonly;
	app->scene.is_swapd = source->is_swapd;
	while (options->views != 0 &&
	       (options->views & (1u << app->view)) == 0)
		app->view = (enum view_number)(app->view + 1);
}

/* A pager that is not there at all is told on the plain terminal. */
static int
first_sample(struct app *app)
{
	struct swap_error error = { 0 };
	struct sample sample = { .frame = 0 };

	if (app->source->ops->sample(app->source, true, &sample, &error) < 0) {
		fprintf(stderr, "swaptop: %s\n", error.message);
		return -EIO;
	}
	picture_add(&app->picture, &sample);
	return 0;
}

int
app_run(const struct options *options, struct source *source)
{
	struct app *app = calloc(1, sizeof(*app));
	bool stopped = true;
	int r;

	if (app == NULL)
		return EXIT_FAILURE;
	set_up(app, options, source);
	r = first_sample(app);
	if (r == 0)
		r = open_screen(app);
	if (r == 0) {
		r = sampler_start(source, app->delay_usec, &app->sampler);
		if (r == 0) {
			r = loop(app);
			stopped = sampler_stop(app->sampler);
		}
		engine_close(app->engine);
	}
	off_free(app->off);
	lines_clear(&app->message);
	canvas_free(&app->canvas);
	scene_free(&app->scene);
	picture_clear(&app->picture);
	free(app);
	/* A thread that hangs in a call still has the source. */
	if (stopped)
		source_close(source);
	return r == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
