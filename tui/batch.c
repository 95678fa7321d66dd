/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Without a screen
 *
 * The same views draw on a canvas that is as long as they want, and it is
 * printed.  A map's cells depend on how it is drawn, so it is drawn until what
 * it wishes for is what it has.
 */
#include "batch.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cmd/figures.h"
#include "cmd/terminal.h"
#include "record.h"
#include "util.h"

/* What a pipe gets: nothing is left out, nothing is cut. */
#define WIDTH_PIPE	200u
#define WIDTH_LEAST	40u
/* Tables are as wide as that, the rest as on an ordinary terminal. */
#define WIDTH_TEXT	80u
/* No map needs to be drawn oftener. */
#define DRAWINGS	4u

static void
pause_usec(uint64_t usec)
{
	struct timespec left = {
		.tv_sec = (time_t)(usec / 1000000),
		.tv_nsec = (long)(usec % 1000000 * 1000),
	};

	while (nanosleep(&left, &left) < 0 && errno == EINTR)
		continue;
}

static void
draw_title(const struct picture *picture, struct canvas *canvas)
{
	const struct swap_stats *now = &picture->now.stats;
	char up[FIGURE_LEN];

	(void)canvas_print(canvas, 0, 0, canvas->cols, STYLE_BAR,
			   "Pager %s: %s %s, process %" PRId32 ", up %s, "
			   "%u client%s", now->pager, now->provider,
			   now->version, now->pid,
			   figure_span(now->uptime_usec, up, sizeof(up)),
			   now->clients, now->clients == 1 ? "" : "s");
}

static void
fetch(struct source *source, struct picture *picture,
      const struct wishes *wishes)
{
	struct map_part parts[MAPS_MAX];

	for (size_t i = 0; i < wishes->n; i++)
		maps_fetch(source, &wishes->maps[i], &parts[i]);
	picture_maps(picture, parts, wishes->n);
}

/* Draw one view from @row on, until it has the maps that it wants. */
static int
draw_view(struct scene *scene, struct picture *picture, struct source *source,
	  const struct view *view, struct canvas *canvas, unsigned cols)
{
	struct wishes had, wishes;

	memset(&had, 0, sizeof(had));
	for (unsigned i = 0; i < DRAWINGS; i++) {
		struct area area = { 0, 0, CANVAS_ENDLESS / 2, cols };

		if (canvas_reset(canvas, CANVAS_ENDLESS, cols,
				 scene->utf8) < 0)
			return -ENOMEM;
		view->draw(scene, canvas, &area);
		memset(&wishes, 0, sizeof(wishes));
		if (view->wish != NULL)
			view->wish(scene, &wishes);
		if (memcmp(&had, &wishes, sizeof(had)) == 0)
			return 0;
		fetch(source, picture, &wishes);
		had = wishes;
	}
	return 0;
}

static int
print_views(const struct options *options, struct scene *scene,
	    struct picture *picture, struct source *source)
{
	unsigned cols = terminal_width(STDOUT_FILENO);
	struct canvas canvas = { .nrows = 0 };
	int r;

	if (cols == 0)
		cols = WIDTH_PIPE;
	cols = (unsigned)max_u64(cols, WIDTH_LEAST);
	r = canvas_reset(&canvas, CANVAS_ENDLESS, cols, scene->utf8);
	if (r == 0) {
		draw_title(picture, &canvas);
		canvas_write(&canvas, stdout);
	}
	for (unsigned i = 0; i < VIEWS && r == 0; i++) {
		if (options->views != 0 && (options->views & (1u << i)) == 0)
			continue;
		r = draw_view(scene, picture, source, views[i], &canvas,
			      i == VIEW_DEVICES || i == VIEW_OBJECTS ? cols :
			      (unsigned)min_u64(cols, WIDTH_TEXT));
		if (r == 0 && canvas.nrows > 0) {
			putchar('\n');
			canvas_write(&canvas, stdout);
		}
	}
	canvas_free(&canvas);
	return r;
}

/* One snapshot, in one of the two forms. */
static int
print_one(const struct options *options, struct scene *scene,
	  struct picture *picture, struct source *source, bool first,
	  struct swap_error *error)
{
	struct sample sample = { .frame = 0 };
	int r;

	if (options->json)
		return record_write(source, stdout, error);
	r = source->ops->sample(source, true, &sample, error);
	if (r < 0)
		return r;
	picture_add(picture, &sample);
	if (!first)
		putchar('\n');
	r = print_views(options, scene, picture, source);
	return r < 0 ? error_set(error, r, "out of memory") : 0;
}

static int
flush(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return 0;
	fprintf(stderr, "swaptop: cannot write to standard output: %s\n",
		strerror(errno));
	return -EIO;
}

int
batch_run(const struct options *options, struct source *source)
{
	struct picture *picture = calloc(1, sizeof(*picture));
	struct swap_error error = { 0 };
	struct scene scene;
	int r = picture != NULL ? 0 : -ENOMEM;

	scene_init(&scene, picture);
	scene.utf8 = terminal_is_utf8() && !options->ascii;
	for (int64_t i = 0; r == 0 && (options->count == 0 ||
				       i < options->count); i++) {
		if (i > 0 && options->replay == NULL)
			pause_usec(options->delay_usec);
		error.message[0] = '\0';
		r = print_one(options, &scene, picture, source, i == 0,
			      &error);
		/* The end of a recording is an end. */
		if (r == -ENODATA && i > 0)
			break;
		if (r < 0)
			fprintf(stderr, "swaptop: %s\n", error.message);
		else
			r = flush();
	}
	scene_free(&scene);
	if (picture != NULL)
		picture_clear(picture);
	free(picture);
	source_close(source);
	return r == 0 || r == -ENODATA ? EXIT_SUCCESS : EXIT_FAILURE;
}
