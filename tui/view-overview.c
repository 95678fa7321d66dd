/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The overview: room, rates over the last minutes, and what has happened
 *
 * From the top: meters; what needs attention; charts, as high as there is room
 * for and two beside each other where it is wide enough; events, the newest
 * first.  A column of a chart is one or more intervals, so that the width shows
 * some minutes; which intervals stand together does not change as time goes on.
 */
#include <inttypes.h>
#include <string.h>

#include "cmd/figures.h"
#include "util.h"
#include "view.h"

#define LABEL		7u
/* What the words beside a bar need. */
#define BESIDE		44u
/* What a chart should show, if the history is so long. */
#define CHART_SECONDS	180u
#define CHARTS		4u
/* Rows of events that charts leave. */
#define EVENTS_LEAST	3u
#define WIDE		100u

static void
draw_meter(struct canvas *canvas, const struct area *area, unsigned row,
	   const char *label, uint64_t part, uint64_t whole, const char *words)
{
	unsigned bar = area->cols > LABEL + BESIDE + 10 ?
		       area->cols - LABEL - BESIDE : 0;
	unsigned col = area->col;

	bar = (unsigned)min_u64(bar, 80);
	(void)canvas_text(canvas, row, col, LABEL, STYLE_HEADING, label);
	col += LABEL;
	if (bar > 0) {
		draw_gauge(canvas, row, col, bar, part >= whole - whole / 20 ?
			   STYLE_OUT : STYLE_IN, part, whole);
		col += bar + 1;
	}
	(void)canvas_print(canvas, row, col, 4, STYLE_STRONG, "%3u%%",
			   figure_percent(part, whole));
	(void)canvas_text(canvas, row, col + 6, area->cols, STYLE_PLAIN,
			  words);
}

static void
maps_words(const struct scene *scene, char *buf, size_t len)
{
	const struct swap_stats *now = &scene->picture->now.stats;
	char a[FIGURE_LEN], b[FIGURE_LEN], c[FIGURE_LEN];

	if (now->map_limit_bytes > 0)
		format_cut(buf, len, "%s of %s in maps, %s in all",
			   amount(scene, now->map_bytes, a, sizeof(a)),
			   amount(scene, now->map_limit_bytes, b, sizeof(b)),
			   amount(scene, now->metadata_bytes, c, sizeof(c)));
	else
		format_cut(buf, len, "%s of RAM, %s of it maps",
			   amount(scene, now->metadata_bytes, c, sizeof(c)),
			   amount(scene, now->map_bytes, a, sizeof(a)));
}

/* Returns the rows used. */
static unsigned
draw_meters(const struct scene *scene, struct canvas *canvas,
	    const struct area *area)
{
	const struct swap_stats *now = &scene->picture->now.stats;
	char a[FIGURE_LEN], b[FIGURE_LEN], c[FIGURE_LEN];
	char words[6 * FIGURE_LEN];
	unsigned row = area->row;
	size_t n;

	format_cut(words, sizeof(words), "%s of %s, %s wired",
		   amount(scene, now->resident_bytes, a, sizeof(a)),
		   amount(scene, now->ram_bytes, b, sizeof(b)),
		   amount(scene, now->wired_bytes, c, sizeof(c)));
	draw_meter(canvas, area, row++, "RAM", now->resident_bytes,
		   now->ram_bytes, words);
	format_cut(words, sizeof(words), "%s of %s, %s available",
		   amount(scene, now->swap_used_bytes, a, sizeof(a)),
		   amount(scene, now->swap_bytes, b, sizeof(b)),
		   amount(scene, stats_avail_bytes(now), c, sizeof(c)));
	n = strlen(words);
	if (now->set_aside_bytes > 0)
		format_cut(words + n, sizeof(words) - n, ", %s set aside",
			   amount(scene, now->set_aside_bytes, a, sizeof(a)));
	draw_meter(canvas, area, row++, "Swap", now->swap_used_bytes,
		   now->swap_bytes, words);
	if (now->metadata_bytes > 0) {
		maps_words(scene, words, sizeof(words));
		draw_meter(canvas, area, row++, "Maps",
			   now->map_limit_bytes > 0 ? now->map_bytes :
			   now->metadata_bytes,
			   now->map_limit_bytes > 0 ? now->map_limit_bytes :
			   now->ram_bytes, words);
	}
	return row - area->row;
}

/* --------------------------------------------------------------- attention */

struct alarms {
	struct canvas	*canvas;
	const struct area *area;
	unsigned	 row;
};

static void
put_alarm(struct alarms *alarms, const char *text, const char *name)
{
	if (alarms->row < alarms->area->row + alarms->area->rows)
		(void)canvas_print(alarms->canvas, alarms->row++,
				   alarms->area->col, alarms->area->cols,
				   STYLE_ALARM, "! %s%s", name, text);
}

static void
device_alarms(const struct swap_device_stats *device, struct alarms *alarms)
{
	if (device->flags & SWAP_DEVICE_GONE)
		put_alarm(alarms, " has disappeared.", device->path);
	else if (device->flags & SWAP_DEVICE_DEGRADED)
		put_alarm(alarms, " is degraded: transfers have failed.",
			  device->path);
}

static unsigned
draw_alarms(const struct scene *scene, struct canvas *canvas,
	    const struct area *area)
{
	const struct swap_stats *now = &scene->picture->now.stats;
	struct alarms alarms = { canvas, area, area->row };

	if (now->ndevices == 0)
		put_alarm(&alarms, "There is no swap device: attach one with "
			  "'swapctl on DEVICE'.", "");
	else if (now->full)
		put_alarm(&alarms, "Swap space is full: attach another device "
			  "with 'swapctl on DEVICE'.", "");
	else if (now->almost_full)
		put_alarm(&alarms, "Swap space is almost full: attach another "
			  "device with 'swapctl on DEVICE'.", "");
	if (now->metadata_full)
		put_alarm(&alarms, "The memory for swap maps is used up: see "
			  "metadata_limit in 'swapctl get'.", "");
	for (size_t i = 0; i < now->ndevices; i++)
		device_alarms(&now->devices[i], &alarms);
	return alarms.row - area->row;
}

/* ----------------------------------------------------------------- charts */

struct chart {
	const char	*title;
	enum style	 style;
	size_t		 offset;	/* in struct rates */
	bool		 is_count;
};

static const struct chart charts[CHARTS] = {
	{ "Page-in", STYLE_IN, offsetof(struct rates, in_bytes), false },
	{ "Page-out", STYLE_OUT, offsetof(struct rates, out_bytes), false },
	{ "Faults", STYLE_BOTH, offsetof(struct rates, faults), true },
	{ "Written to devices", STYLE_OUT,
	  offsetof(struct rates, written_bytes), false },
};

static uint64_t
value_at(const struct history *history, const struct chart *chart, uint64_t i)
{
	uint64_t value;

	memcpy(&value, (const char *)&history->ring[i % HISTORY_MAX] +
	       chart->offset, sizeof(value));
	return value;
}

/* The values of a chart's columns, oldest first; how many. */
static size_t
columns_of(const struct history *history, const struct chart *chart,
	   uint64_t step, unsigned cols, uint64_t values[], uint64_t *ret_most)
{
	uint64_t last = history->n > 0 ? (history->n - 1) / step : 0;
	uint64_t first = last >= cols ? last - cols + 1 : 0;
	uint64_t oldest = history->n > HISTORY_MAX ?
			  history->n - HISTORY_MAX : 0;
	size_t n = 0;

	*ret_most = 0;
	if (history->n == 0)
		return 0;
	for (uint64_t c = first; c <= last; c++) {
		values[n] = 0;
		for (uint64_t i = max_u64(c * step, oldest);
		     i < (c + 1) * step && i < history->n; i++)
			values[n] = max_u64(values[n],
					    value_at(history, chart, i));
		*ret_most = max_u64(*ret_most, values[n++]);
	}
	return n;
}

static void
draw_one_chart(const struct scene *scene, struct canvas *canvas,
	       const struct area *area, const struct chart *chart)
{
	const struct picture *picture = scene->picture;
	const struct history *history = &picture->history;
	const struct area body = { area->row + 1, area->col, area->rows - 1,
				   area->cols };
	uint64_t usec = max_u64(picture_interval(picture), 100000);
	uint64_t step = CHART_SECONDS * UINT64_C(1000000) / usec / area->cols;
	uint64_t values[HISTORY_MAX], most, now;
	char a[FIGURE_LEN], b[FIGURE_LEN], words[3 * FIGURE_LEN];
	size_t n;

	n = columns_of(history, chart, max_u64(step, 1),
		       (unsigned)min_u64(area->cols, HISTORY_MAX), values,
		       &most);
	now = n > 0 ? value_at(history, chart, history->n - 1) : 0;
	if (n == 0)
		format_cut(words, sizeof(words), "no rate yet");
	else if (chart->is_count)
		format_cut(words, sizeof(words), "%s/s  peak %s/s",
			   short_count(now, a, sizeof(a)),
			   short_count(most, b, sizeof(b)));
	else
		format_cut(words, sizeof(words), "%s/s  peak %s/s",
			   amount(scene, now, a, sizeof(a)),
			   amount(scene, most, b, sizeof(b)));
	draw_heading(canvas, area->row, area->col, area->cols, chart->style,
		     chart->title, words);
	if (body.rows > 0)
		draw_chart(canvas, &body, chart->style, values, n, most);
}

/* In text there is no history: one line says the rates, or the sums. */
static unsigned
draw_rates_line(const struct scene *scene, struct canvas *canvas,
		const struct area *area)
{
	const struct picture *picture = scene->picture;
	const struct swap_counters *c = &picture->now.stats.counters;
	uint64_t page = max_u64(picture->now.stats.page_bytes, 1);
	struct rates rates = picture_rates(picture);
	bool known = picture_interval(picture) > 0;
	char text[3][FIGURE_LEN];

	figure_count(known ? rates.in_bytes / page : c->pagein_pages, text[0],
		     FIGURE_LEN);
	figure_count(known ? rates.out_bytes / page : c->pageout_pages,
		     text[1], FIGURE_LEN);
	figure_count(known ? rates.faults : c->faults, text[2], FIGURE_LEN);
	(void)canvas_text(canvas, area->row, area->col, LABEL, STYLE_HEADING,
			  known ? "Rates" : "Sums");
	(void)canvas_print(canvas, area->row, area->col + LABEL, area->cols,
			   STYLE_PLAIN, "%s pages in, %s pages out, %s faults"
			   "%s", text[0], text[1], text[2],
			   known ? " a second" : "");
	return 1;
}

static unsigned
draw_charts(const struct scene *scene, struct canvas *canvas,
	    const struct area *area)
{
	bool wide = area->cols >= WIDE;
	unsigned n = wide ? CHARTS : 3, lines = wide ? CHARTS / 2 : n;
	unsigned high = area->rows / lines;

	if (!scene->screen)
		return draw_rates_line(scene, canvas, area);
	/* Low ones leave room, high ones would say no more. */
	high = (unsigned)min_u64(high, 20);
	if (high == 0)
		return 0;
	for (unsigned i = 0; i < n; i++) {
		unsigned half = wide ? (area->cols - 3) / 2 : area->cols;
		const struct area one = {
			area->row + (wide ? i / 2 : i) * high,
			area->col + (wide && i % 2 ? half + 3 : 0), high,
			half,
		};

		draw_one_chart(scene, canvas, &one, &charts[i]);
	}
	return high * lines;
}

/* ----------------------------------------------------------------- events */

static bool
is_alarming(enum swap_event_kind kind)
{
	switch (kind) {
	case SWAP_EVENT_DEVICE_OFF_STOPPED:
	case SWAP_EVENT_DEVICE_DEGRADED:
	case SWAP_EVENT_DEVICE_ORPHANED:
	case SWAP_EVENT_ALMOST_FULL:
	case SWAP_EVENT_FULL:
	case SWAP_EVENT_METADATA_FULL:
	case SWAP_EVENT_PAGE_POISONED:
	case SWAP_EVENT_IO_SLOW:
		return true;
	default:
		return false;
	}
}

static void
draw_event(struct canvas *canvas, const struct area *area, unsigned row,
	   const struct swap_event *event)
{
	bool alarm = is_alarming(event->kind);
	const char *name = swap_event_name(event->kind);
	char text[FIGURE_LEN];
	unsigned n;

	n = canvas_print(canvas, row, area->col, area->cols, STYLE_DIM, "%s ",
			 clock_text(event->time_usec, text, sizeof(text)));
	n += canvas_print(canvas, row, area->col + n, area->cols - n,
			  alarm ? STYLE_ALARM : STYLE_PLAIN, "%s%-18s ",
			  alarm ? "! " : "  ", name != NULL ? name : "");
	if (event->device[0] != '\0')
		n += canvas_print(canvas, row, area->col + n, area->cols - n,
				  STYLE_STRONG, "%s ", event->device);
	else if (event->object != 0)
		n += canvas_print(canvas, row, area->col + n, area->cols - n,
				  STYLE_STRONG, "object %" PRIu64 " ",
				  event->object);
	else if (event->pid != 0)
		n += canvas_print(canvas, row, area->col + n, area->cols - n,
				  STYLE_STRONG, "process %" PRId32 " ",
				  event->pid);
	(void)canvas_text(canvas, row, area->col + n, area->cols - n,
			  STYLE_PLAIN, event->message);
}

static void
draw_events(struct scene *scene, struct canvas *canvas,
	    const struct area *area)
{
	const struct swap_stats *now = &scene->picture->now.stats;
	unsigned rows = area->rows > 1 ? area->rows - 1 : 0;
	size_t top;
	char words[FIGURE_LEN];

	if (rows == 0 || (now->nevents == 0 && !scene->screen))
		return;
	top = now->nevents > rows ? now->nevents - rows : 0;
	scene->events_top = (unsigned)min_u64(scene->events_top, top);
	top = scene->screen ? scene->events_top : 0;
	format_cut(words, sizeof(words), "%" PRIu64, now->nevents_ever);
	draw_heading(canvas, area->row, area->col, area->cols, STYLE_HEADING,
		     "Events", words);
	if (now->nevents == 0)
		(void)canvas_text(canvas, area->row + 1, area->col, area->cols,
				  STYLE_DIM, "none yet");
	for (size_t i = top; i < now->nevents && i - top < rows; i++)
		draw_event(canvas, area, area->row + 1 + (unsigned)(i - top),
			   &now->events[now->nevents - 1 - i]);
}

/* ------------------------------------------------------------------- view */

static void
overview_draw(struct scene *scene, struct canvas *canvas,
	      const struct area *area)
{
	const struct swap_stats *now = &scene->picture->now.stats;
	struct area left = *area;
	unsigned n, events;

	n = draw_meters(scene, canvas, &left);
	left.row += n;
	left.rows -= n;
	n = draw_alarms(scene, canvas, &left);
	left.row += n;
	left.rows -= (unsigned)min_u64(n, left.rows);
	if (scene->screen && left.rows > 13) {
		left.row++;
		left.rows--;
	}
	events = (unsigned)min_u64(max_u64(now->nevents, 1) + 1,
				   max_u64(left.rows / 3, EVENTS_LEAST));
	if (scene->screen && left.rows > events)
		left.rows -= events;
	else
		events = 0;
	n = draw_charts(scene, canvas, &left);
	left.row += n;
	left.rows = scene->screen ? left.rows - n + events : area->rows;
	draw_events(scene, canvas, &left);
}

static bool
overview_key(struct scene *scene, const struct input *input)
{
	unsigned *top = &scene->events_top;

	switch (input->key) {
	case KEYS_UP:
	case KEYS_WHEEL_UP:
		*top -= *top > 0;
		return true;
	case KEYS_DOWN:
	case KEYS_WHEEL_DOWN:
		++*top;
		return true;
	case KEYS_PAGE_UP:
		*top -= (unsigned)min_u64(*top, 10);
		return true;
	case KEYS_PAGE_DOWN:
		*top += 10;
		return true;
	case KEYS_HOME:
		*top = 0;
		return true;
	case KEYS_END:
		*top = SWAP_EVENTS_MAX;
		return true;
	default:
		return false;
	}
}

const struct view view_overview = {
	.name = "overview",
	.title = "Overview",
	.keys = "Up/Dn events\0",
	.draw = overview_draw,
	.key = overview_key,
};
