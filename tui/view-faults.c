/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Faults: how many of each kind, how long programs waited, and what reading
 * ahead was good for
 */
#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "cmd/figures.h"
#include "util.h"
#include "view.h"

#define LABEL		20u
#define KIND_WIDTH	38u
#define WIDE		90u

struct kind {
	const char	*label;
	size_t		 offset;	/* in struct swap_counters */
};

static const struct kind kinds[] = {
	{ "all", offsetof(struct swap_counters, faults) },
	{ "new page", offsetof(struct swap_counters, faults_zero) },
	{ "from its block", offsetof(struct swap_counters, faults_in) },
	{ "first write", offsetof(struct swap_counters, faults_write) },
	{ "page was paged", offsetof(struct swap_counters, faults_busy) },
	{ "no page free", offsetof(struct swap_counters, faults_starved) },
	{ "held by a limit", offsetof(struct swap_counters, limit_waits) },
	{ "came back soon", offsetof(struct swap_counters, refaults) },
	{ "still had a copy", offsetof(struct swap_counters, cache_hits) },
};

static uint64_t
counter(const struct swap_counters *counters, size_t offset)
{
	uint64_t value;

	memcpy(&value, (const char *)counters + offset, sizeof(value));
	return value;
}

static void
draw_kind(const struct scene *scene, struct canvas *canvas, unsigned row,
	  unsigned col, const struct kind *kind)
{
	const struct picture *picture = scene->picture;
	uint64_t now = counter(&picture->now.stats.counters, kind->offset);
	uint64_t before = counter(&picture->before.stats.counters,
				  kind->offset);
	uint64_t usec = picture_interval(picture);
	char text[FIGURE_LEN];

	(void)canvas_text(canvas, row, col, LABEL - 3, STYLE_PLAIN,
			  kind->label);
	canvas_right(canvas, row, col + LABEL - 4, 7, usec > 0 ?
		     STYLE_STRONG : STYLE_DIM, usec > 0 ?
		     short_count(rate_of(now, before, usec), text,
				 sizeof(text)) : "-");
	canvas_right(canvas, row, col + LABEL + 3, 15, STYLE_DIM,
		     figure_count(now, text, sizeof(text)));
}

/* In one column or two.  Returns the rows used. */
static unsigned
draw_kinds(const struct scene *scene, struct canvas *canvas,
	   const struct area *area)
{
	unsigned columns = area->cols >= 2 * KIND_WIDTH + 2 ? 2 : 1;
	unsigned lines = ((unsigned)ARRAY_SIZE(kinds) + columns - 1) /
			 columns;
	unsigned width = (area->cols - (columns - 1) * 3) / columns;

	for (unsigned i = 0; i < columns; i++) {
		unsigned col = area->col + i * (width + 3);

		const struct area line = { area->row, col, 1, width };

		canvas_restyle(canvas, &line, STYLE_COLUMNS);
		(void)canvas_text(canvas, area->row, col, width,
				  STYLE_COLUMNS, i == 0 ? "FAULTS" : "");
		canvas_right(canvas, area->row, col + LABEL - 5, 8,
			     STYLE_COLUMNS, "PER SEC");
		canvas_right(canvas, area->row, col + LABEL + 3, 15,
			     STYLE_COLUMNS, "IN ALL");
	}
	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++)
		draw_kind(scene, canvas, area->row + 1 + i % lines,
			  area->col + i / lines * (width + 3), &kinds[i]);
	return lines + 1;
}

/* What reading ahead was good for, of what is decided. */
static unsigned
draw_ahead(const struct scene *scene, struct canvas *canvas,
	   const struct area *area)
{
	const struct swap_counters *c = &scene->picture->now.stats.counters;
	uint64_t decided = c->readahead_used + c->readahead_wasted;
	unsigned bar = area->cols > 60 ? (unsigned)min_u64(area->cols - 60, 40)
				       : 0;
	char a[FIGURE_LEN], b[FIGURE_LEN], d[FIGURE_LEN];
	unsigned col = area->col + 12;

	(void)canvas_text(canvas, area->row, area->col, 12, STYLE_IN,
			  "Read-ahead");
	if (c->readahead_pages == 0) {
		(void)canvas_text(canvas, area->row, col, area->cols,
				  STYLE_DIM, "no page yet");
		return 1;
	}
	draw_gauge(canvas, area->row, col, bar, STYLE_IN, c->readahead_used,
		   decided);
	col += bar > 0 ? bar + 1 : 0;
	(void)canvas_print(canvas, area->row, col, area->cols, STYLE_PLAIN,
			   "%3u%% used: %s of %s pages, %s in vain",
			   figure_percent(c->readahead_used, decided),
			   short_count(c->readahead_used, a, sizeof(a)),
			   short_count(c->readahead_pages, b, sizeof(b)),
			   short_count(c->readahead_wasted, d, sizeof(d)));
	return 1;
}

/* How long programs waited, in columns beside each other, or below. */
static void
draw_times(const struct scene *scene, struct canvas *canvas,
	   const struct area *area)
{
	const struct swap_stats *now = &scene->picture->now.stats;
	const struct swap_stats *was = scene->faults_now &&
		picture_interval(scene->picture) > 0 ?
		&scene->picture->before.stats : NULL;
	const struct swap_latency times[] = {
		latency_since(&now->fault_in_time, was != NULL ?
			      &was->fault_in_time : NULL),
		latency_since(&now->fault_zero_time, was != NULL ?
			      &was->fault_zero_time : NULL),
		latency_since(&now->fault_write_time, was != NULL ?
			      &was->fault_write_time : NULL),
	};
	static const char *const titles[] = {
		"From its block", "New page", "First write",
	};
	static const enum style styles[] = {
		STYLE_IN, STYLE_BOTH, STYLE_OUT,
	};
	bool wide = area->cols >= WIDE || scene->screen;
	struct area one = *area;

	if (wide)
		one.cols = (area->cols - 4) / 3;
	for (unsigned i = 0; i < ARRAY_SIZE(times); i++) {
		unsigned used = draw_latency(canvas, &one, styles[i],
					     titles[i], &times[i]);

		if (wide)
			one.col += one.cols + 2;
		else
			one.row += used;
	}
}

static void
faults_draw(struct scene *scene, struct canvas *canvas,
	    const struct area *area)
{
	struct area left = *area;
	unsigned n = draw_kinds(scene, canvas, &left);

	left.row += n;
	left.rows -= (unsigned)min_u64(n, left.rows);
	if (left.rows == 0)
		return;
	n = draw_ahead(scene, canvas, &left);
	left.row += n;
	left.rows -= n;
	if (scene->screen && left.rows > 8) {
		left.row++;
		left.rows--;
	}
	if (left.rows < 2)
		return;
	draw_heading(canvas, left.row, left.col, left.cols, STYLE_HEADING,
		     "Time until the program goes on", scene->faults_now ?
		     "this interval (t: since the start)" :
		     scene->screen ? "since the start (t: this interval)" :
		     "since the start");
	left.row++;
	left.rows--;
	draw_times(scene, canvas, &left);
}

static bool
faults_key(struct scene *scene, const struct input *input)
{
	if (input->key != 't')
		return false;
	scene->faults_now = !scene->faults_now;
	return true;
}

const struct view view_faults = {
	.name = "faults",
	.title = "Faults",
	.keys = "t now/since start\0",
	.draw = faults_draw,
	.key = faults_key,
};
