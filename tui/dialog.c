/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Dialogs: help, all about one thing, turning a device off; and the line at
 * the bottom where words are typed.
 *
 * What is inspected is asked for again at each picture, so that it is as new
 * as the view behind it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "app.h"
#include "cmd/figures.h"
#include "util.h"

#define BAR_MAX		50u

static const char *const help_lines[] = {
	"!Views",
	"1-5, Tab       overview, devices, map, objects, faults",
	"arrows, Alt-hjkl, PgUp, PgDn, Home, End",
	"               move the cursor, or scroll",
	"Enter          all about what the cursor is on",
	"!Map",
	"+ -            zoom in and out, down to single blocks",
	"[ ]            the device before, the next one",
	"v              one device alone, or all beside each other",
	"!Objects",
	"F6, < >        sort by another column; I inverts the order",
	"F3, /          search; n finds the next one",
	"F4, \\          show only what matches",
	"!Faults",
	"t              since the start, or in this interval",
	"!Everywhere",
	"Space          pause; r refreshes now",
	"d              the delay between two snapshots",
	"g              units: by 1024, by 1000, pages",
	"c              colours: dark, light, 8, none",
	"o              turn the selected device off",
	"Ctrl-L         draw the screen anew",
	"F10, q         quit",
	"!Mouse",
	"click          selects, inspects, sorts, presses a key",
	"wheel          scrolls, or zooms the map",
};

/* ---------------------------------------------------------------- contents */

static void
help_text(struct lines *text)
{
	lines_title(text, "Keys");
	for (size_t i = 0; i < ARRAY_SIZE(help_lines); i++) {
		bool heading = help_lines[i][0] == '!';

		lines_add(text, heading ? STYLE_KEY : STYLE_BOX, "%s",
			  help_lines[i] + heading);
	}
}

static const struct swap_device_stats *
find_device(const struct app *app)
{
	const struct swap_stats *now = &app->picture.now.stats;

	for (size_t i = 0; i < now->ndevices; i++)
		if (strcmp(now->devices[i].path, app->device) == 0)
			return &now->devices[i];
	return NULL;
}

static void
confirm_text(struct app *app, struct lines *text)
{
	const struct swap_stats *now = &app->picture.now.stats;
	const struct swap_device_stats *d = find_device(app);
	uint64_t others = stats_avail_bytes(now), ram;
	char a[FIGURE_LEN], b[FIGURE_LEN], c[FIGURE_LEN];

	lines_title(text, "Turn off %s?", app->device);
	if (d != NULL) {
		others -= min_u64(device_avail_bytes(d), others);
		ram = now->ram_bytes - min_u64(now->resident_bytes,
					       now->ram_bytes);
		lines_add(text, STYLE_BOX, "%s must come back; %s is free on "
			  "other devices, %s in RAM.",
			  amount(&app->scene, d->used_bytes, a, sizeof(a)),
			  amount(&app->scene, others, b, sizeof(b)),
			  amount(&app->scene, ram, c, sizeof(c)));
	}
	lines_add(text, STYLE_BOX, "Programs go on meanwhile, and it can be "
		  "stopped.");
	lines_add(text, STYLE_BOX, "%s", "");
	lines_add(text, STYLE_KEY, "y turns it off    n, Esc leave it on");
}

static void
off_text(struct app *app, struct lines *text)
{
	const struct off_state *state = &app->off_state;
	const struct swap_progress *last = &state->progress.last;
	uint64_t left = progress_left_usec(&state->progress);
	char a[FIGURE_LEN], b[FIGURE_LEN], c[FIGURE_LEN] = "-";

	lines_title(text, "%s %s", state->ended ? "Turned off:" :
		   "Turning off", app->device);
	/* The bar is drawn over this line. */
	lines_add(text, STYLE_BOX, "%*s", (int)BAR_MAX + 6, "");
	if (left != PROGRESS_UNKNOWN)
		figure_span(left, c, sizeof(c));
	lines_add(text, STYLE_BOX, "%s of %s paged back, %.1f MiB/s, %s left",
		  amount(&app->scene, last->done_bytes, a, sizeof(a)),
		  amount(&app->scene, last->total_bytes, b, sizeof(b)),
		  state->progress.rate / 0x1p20, c);
	lines_add(text, STYLE_BOX, "%s", "");
	lines_add(text, STYLE_KEY, "Esc stops it: the device goes back into "
		  "service");
}

/* How it ended, as a message. */
static void
off_ended(struct app *app)
{
	const struct off_state *state = &app->off_state;
	char a[FIGURE_LEN], words[640], title[300];

	amount(&app->scene, state->progress.last.done_bytes, a, sizeof(a));
	if (state->result == 0) {
		format_cut(title, sizeof(title), "%s is off", app->device);
		format_cut(words, sizeof(words), "%s paged back in %.1f s.",
			   a, (double)state->progress.last.elapsed_usec /
			   1e6);
	} else if (state->result == -EINTR) {
		format_cut(title, sizeof(title), "%s stays", app->device);
		format_cut(words, sizeof(words), "Stopped after %s; the "
			   "device goes back into service.", a);
	} else {
		format_cut(title, sizeof(title), "%s stays", app->device);
		format_cut(words, sizeof(words), "%s",
			   state->error.message[0] != '\0' ?
			   state->error.message : strerror(-state->result));
	}
	off_free(app->off);
	app->off = NULL;
	dialog_message(app, title, words);
	sampler_now(app->sampler);
}

/* What the open dialog says; false: it has nothing to say any more. */
static bool
fill(struct app *app, struct lines *text)
{
	const struct view *view = views[app->view];

	switch (app->dialog) {
	case DIALOG_HELP:
		help_text(text);
		return true;
	case DIALOG_INSPECT:
		return view->inspect != NULL &&
		       view->inspect(&app->scene, text);
	case DIALOG_CONFIRM:
		confirm_text(app, text);
		return true;
	case DIALOG_OFF:
		off_text(app, text);
		return true;
	case DIALOG_MESSAGE:
		lines_title(text, "%s", app->message.title);
		for (size_t i = 0; i < app->message.n; i++)
			lines_add(text, STYLE_BOX, "%s",
				  app->message.lines[i]);
		return true;
	default:
		return false;
	}
}

/* ---------------------------------------------------------------- drawing */

static void
draw_bar_line(struct app *app, unsigned row, unsigned col)
{
	const struct swap_progress *last = &app->off_state.progress.last;

	draw_gauge(&app->canvas, row, col, BAR_MAX, STYLE_BOX,
		   last->done_bytes, last->total_bytes);
	(void)canvas_print(&app->canvas, row, col + BAR_MAX + 1, 5, STYLE_BOX,
			   "%3u%%", figure_percent(last->done_bytes,
						   last->total_bytes));
}

static void
draw_text(struct app *app, const struct lines *text)
{
	struct canvas *canvas = &app->canvas;
	unsigned width = text_columns(text->title, canvas->utf8) + 6, rows;
	struct area box;

	for (size_t i = 0; i < text->n; i++)
		width = (unsigned)max_u64(width, text_columns(text->lines[i],
						canvas->utf8) + 4);
	width = (unsigned)min_u64(width, canvas->cols - 2);
	rows = (unsigned)min_u64(text->n + 2, canvas->nrows - 2);
	app->top = min_u64(app->top, text->n + 2 - rows);
	box = (struct area){ (canvas->nrows - rows) / 2,
			     (canvas->cols - width) / 2, rows, width };
	draw_box(canvas, &box, text->title);
	for (unsigned i = 0; i + 2 < rows; i++)
		(void)canvas_text(canvas, box.row + 1 + i, box.col + 2,
				  width - 4,
				  text->styles[app->top + i] == STYLE_KEY ?
				  STYLE_BAR : (enum style)
				  text->styles[app->top + i],
				  text->lines[app->top + i]);
	if (text->n + 2 > rows)
		(void)canvas_print(canvas, box.row + rows - 1, box.col + 2,
				   width - 4, STYLE_BOX, " %zu-%zu of %zu ",
				   app->top + 1, app->top + rows - 2, text->n);
	if (app->dialog == DIALOG_OFF)
		draw_bar_line(app, box.row + 1, box.col + 2);
}

static void
draw_prompt(struct app *app)
{
	static const char *const labels[] = {
		[PROMPT_SEARCH] = "Search: ", [PROMPT_FILTER] = "Filter: ",
		[PROMPT_DELAY] = "Delay in seconds, 0.1 to 3600: ",
	};
	struct canvas *canvas = &app->canvas;
	const struct area line = { canvas->nrows - 1, 0, 1, canvas->cols };
	unsigned n;

	canvas_wipe(canvas, &line, STYLE_PLAIN);
	n = canvas_text(canvas, line.row, 1, canvas->cols, STYLE_KEY,
			labels[app->prompt]);
	n += canvas_text(canvas, line.row, 1 + n, canvas->cols, STYLE_STRONG,
			 app->input);
	(void)canvas_text(canvas, line.row, 1 + n, 1, STYLE_CURSOR, " ");
	canvas_right(canvas, line.row, 0, canvas->cols - 1, STYLE_DIM,
		     "Enter  Esc");
}

void
dialog_draw(struct app *app)
{
	struct lines text = { .n = 0 };

	if (app->dialog == DIALOG_OFF && app->off != NULL) {
		off_look(app->off, &app->off_state);
		if (app->off_state.ended)
			off_ended(app);
	}
	if (app->dialog != DIALOG_NONE && fill(app, &text))
		draw_text(app, &text);
	else
		app->dialog = DIALOG_NONE;
	lines_clear(&text);
	if (app->prompt != PROMPT_NONE)
		draw_prompt(app);
}

/* ---------------------------------------------------------------- opening */

static void
open_dialog(struct app *app, enum dialog dialog)
{
	app->dialog = dialog;
	app->top = 0;
}

void
dialog_help(struct app *app)
{
	open_dialog(app, DIALOG_HELP);
}

void
dialog_inspect(struct app *app)
{
	const struct view *view = views[app->view];
	struct lines text = { .n = 0 };

	if (view->inspect != NULL && view->inspect(&app->scene, &text))
		open_dialog(app, DIALOG_INSPECT);
	lines_clear(&text);
}

/* Words are broken into lines of a length that can be read. */
void
dialog_message(struct app *app, const char *title, const char *words)
{
	lines_clear(&app->message);
	lines_title(&app->message, "%s", title);
	while (*words != '\0') {
		size_t n = strlen(words), most = 54;

		if (n > most) {
			for (n = most; n > 0 && words[n] != ' '; n--)
				continue;
			n = n > 0 ? n : most;
		}
		lines_add(&app->message, STYLE_BOX, "%.*s", (int)n, words);
		words += n;
		words += strspn(words, " ");
	}
	open_dialog(app, DIALOG_MESSAGE);
}

void
dialog_off(struct app *app)
{
	const struct swap_device_stats *d = scene_device(&app->scene);

	if (d == NULL) {
		dialog_message(app, "Nothing to turn off",
			       "There is no swap device.");
	} else if (app->options->readonly) {
		dialog_message(app, "Read-only", "swaptop was started with "
			       "--readonly: it turns no device off.");
	} else if (!app->source->is_swapd) {
		dialog_message(app, "Not from here", app->options->replay !=
			       NULL ? "This is a recording." : "The kernel's "
			       "devices are turned off with 'swapctl -p "
			       "kernel off DEVICE', which brings pages back "
			       "before and says whether they fit.");
	} else {
		format_cut(app->device, sizeof(app->device), "%s", d->path);
		open_dialog(app, DIALOG_CONFIRM);
	}
}

void
dialog_prompt(struct app *app, enum prompt prompt)
{
	const struct objects_scene *os = &app->scene.objects;

	app->prompt = prompt;
	app->input[0] = '\0';
	if (prompt == PROMPT_FILTER)
		memcpy(app->input, os->filter, sizeof(app->input));
	memcpy(app->before, app->input, sizeof(app->before));
}

/* ------------------------------------------------------------------- keys */

static void
begin_off(struct app *app)
{
	int r;

	memset(&app->off_state, 0, sizeof(app->off_state));
	r = off_start(app->options->pager, app->device,
		      app->picture.now.stats.page_bytes, &app->off);
	if (r < 0)
		dialog_message(app, "Not turned off", strerror(-r));
	else
		open_dialog(app, DIALOG_OFF);
}

static void
scroll(struct app *app, unsigned key)
{
	size_t page = app->canvas.nrows > 6 ? app->canvas.nrows - 6 : 1;

	switch (key) {
	case KEYS_UP:
	case KEYS_WHEEL_UP:
		app->top -= app->top > 0;
		break;
	case KEYS_DOWN:
	case KEYS_WHEEL_DOWN:
		app->top++;
		break;
	case KEYS_PAGE_UP:
		app->top -= min_u64(app->top, page);
		break;
	case KEYS_PAGE_DOWN:
		app->top += page;
		break;
	case KEYS_HOME:
		app->top = 0;
		break;
	case KEYS_END:
		app->top = LINES_MAX;
		break;
	default:
		app->dialog = DIALOG_NONE;
		break;
	}
}

static void
open_key(struct app *app, unsigned key)
{
	if (app->dialog == DIALOG_CONFIRM) {
		if (key == 'y' || key == 'Y')
			begin_off(app);
		else if (key != KEYS_NONE)
			app->dialog = DIALOG_NONE;
	} else if (app->dialog == DIALOG_OFF) {
		if (key == KEYS_ESCAPE)
			off_stop(app->off);
	} else if (key != KEYS_NONE) {
		scroll(app, key);
	}
}

static void
set_delay(struct app *app)
{
	char *end;
	double sec = strtod(app->input, &end);

	if (end == app->input || *end != '\0' ||
	    !(sec * 1e6 >= (double)DELAY_MIN_USEC &&
	      sec * 1e6 <= (double)DELAY_MAX_USEC)) {
		dialog_message(app, "Not a delay", "It is 0.1 to 3600 "
			       "seconds.");
		return;
	}
	app->delay_usec = (uint64_t)(sec * 1e6 + 0.5);
	sampler_set_delay(app->sampler, app->delay_usec);
}

/* What is typed takes effect at once, but for the delay. */
static void
apply(struct app *app)
{
	struct objects_scene *os = &app->scene.objects;
	const struct input next = { .key = 'n' };

	if (app->prompt == PROMPT_FILTER) {
		memcpy(os->filter, app->input, sizeof(os->filter));
	} else if (app->prompt == PROMPT_SEARCH) {
		memcpy(os->search, app->input, sizeof(os->search));
		(void)views[VIEW_OBJECTS]->key(&app->scene, &next);
	}
}

static void
prompt_key(struct app *app, unsigned key)
{
	size_t n = strlen(app->input);

	if (key == KEYS_ENTER) {
		enum prompt prompt = app->prompt;

		if (prompt == PROMPT_SEARCH)
			apply(app);
		app->prompt = PROMPT_NONE;
		if (prompt == PROMPT_DELAY)
			set_delay(app);
	} else if (key == KEYS_ESCAPE) {
		memcpy(app->input, app->before, sizeof(app->input));
		if (app->prompt == PROMPT_FILTER)
			apply(app);
		app->prompt = PROMPT_NONE;
	} else if (key == KEYS_ERASE && n > 0) {
		/* A whole character. */
		while (n > 1 && (app->input[n - 1] & 0xc0) == 0x80)
			n--;
		app->input[n - 1] = '\0';
		if (app->prompt == PROMPT_FILTER)
			apply(app);
	} else if (key < 0x100 && n + 1 < sizeof(app->input)) {
		app->input[n] = (char)key;
		app->input[n + 1] = '\0';
		if (app->prompt == PROMPT_FILTER)
			apply(app);
	}
}

bool
dialog_key(struct app *app, const struct input *input)
{
	if (app->dialog != DIALOG_NONE) {
		open_key(app, input->key);
		return true;
	}
	if (app->prompt == PROMPT_NONE)
		return false;
	prompt_key(app, input->key);
	return true;
}
