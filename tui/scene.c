/* SPDX-License-Identifier: BSD-2-Clause */
/* What views share: the scene, and figures in its units. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cmd/figures.h"
#include "util.h"
#include "view.h"

const struct view *const views[VIEWS] = {
	[VIEW_OVERVIEW] = &view_overview,
	[VIEW_DEVICES] = &view_devices,
	[VIEW_MAP] = &view_map,
	[VIEW_OBJECTS] = &view_objects,
	[VIEW_FAULTS] = &view_faults,
};

void
scene_init(struct scene *scene, const struct picture *picture)
{
	memset(scene, 0, sizeof(*scene));
	scene->picture = picture;
}

void
scene_free(struct scene *scene)
{
	free(scene->objects.order);
	scene->objects.order = NULL;
}

/* At most five characters: "999", "12.3k", "310M", by 1000. */
static char *
by_thousands(double value, const char *units, char *buf, size_t len)
{
	const char *unit = units;

	while (value >= 999.5 && unit[1] != '\0') {
		value /= 1000;
		unit++;
	}
	if (unit == units)
		format_cut(buf, len, "%.0f%.*s", value, *unit == ' ' ? 0 : 1,
			   unit);
	else if (value >= 99.95 || (uint64_t)(value * 10 + 0.5) % 10 == 0)
		format_cut(buf, len, "%.0f%c", value, *unit);
	else
		format_cut(buf, len, "%.1f%c", value, *unit);
	return buf;
}

char *
short_count(uint64_t n, char *buf, size_t len)
{
	return by_thousands((double)n, " kMGTPE", buf, len);
}

char *
amount(const struct scene *scene, uint64_t bytes, char *buf, size_t len)
{
	uint64_t page = scene->picture->now.stats.page_bytes;
	char text[FIGURE_LEN];

	switch (scene->units) {
	case UNITS_DECIMAL:
		return by_thousands((double)bytes, "BkMGTPE", buf, len);
	case UNITS_PAGES:
		format_cut(buf, len, "%sp", short_count(bytes / max_u64(page,
							1), text,
							sizeof(text)));
		return buf;
	default:
		return figure_size(bytes, buf, len);
	}
}

char *
amount_rate(const struct scene *scene, uint64_t bytes, char *buf, size_t len)
{
	if (picture_interval(scene->picture) == 0) {
		format_cut(buf, len, "-");
		return buf;
	}
	return amount(scene, bytes, buf, len);
}

char *
duration(uint64_t nsec, char *buf, size_t len)
{
	static const char *const units[] = { "ns", "us", "ms", "s" };
	double value = (double)nsec;
	size_t unit = 0;

	while (value >= 999.5 && unit + 1 < ARRAY_SIZE(units)) {
		value /= 1000;
		unit++;
	}
	if (unit == 0 || value >= 99.95 ||
	    (uint64_t)(value * 10 + 0.5) % 10 == 0)
		format_cut(buf, len, "%.0f%s", value, units[unit]);
	else
		format_cut(buf, len, "%.1f%s", value, units[unit]);
	return buf;
}

char *
clock_text(uint64_t usec, char *buf, size_t len)
{
	time_t sec = (time_t)(usec / 1000000);
	struct tm tm;

	if (localtime_r(&sec, &tm) == NULL)
		format_cut(buf, len, "--:--:--");
	else
		format_cut(buf, len, "%02d:%02d:%02d", tm.tm_hour, tm.tm_min,
			   tm.tm_sec);
	return buf;
}

uint64_t
latency_quantile(const struct swap_latency *latency, unsigned permille)
{
	uint64_t sum = 0, total = 0;

	for (unsigned i = 0; i < SWAP_LATENCY_CLASSES; i++)
		total += latency->n[i];
	for (unsigned i = 0; i < SWAP_LATENCY_CLASSES; i++) {
		sum += latency->n[i];
		if (total > 0 && (unsigned __int128)sum * 1000 >=
		    (unsigned __int128)total * permille)
			return UINT64_C(1) << (i + 10);
	}
	return 0;
}

struct swap_latency
latency_since(const struct swap_latency *now, const struct swap_latency *before)
{
	struct swap_latency since = *now;

	if (before == NULL || before->count > now->count)
		return since;
	since.count -= before->count;
	since.sum_nsec -= min_u64(before->sum_nsec, now->sum_nsec);
	for (unsigned i = 0; i < SWAP_LATENCY_CLASSES; i++)
		since.n[i] -= min_u64(before->n[i], now->n[i]);
	return since;
}

const struct swap_device_stats *
scene_device(const struct scene *scene)
{
	const struct swap_stats *now = &scene->picture->now.stats;

	for (size_t i = 0; i < now->ndevices; i++)
		if (strcmp(now->devices[i].path, scene->device) == 0)
			return &now->devices[i];
	return now->ndevices > 0 ? &now->devices[0] : NULL;
}

/* ------------------------------------------------- histograms of latencies */

/* The classes that anything is in. */
static bool
used_classes(const struct swap_latency *latency, unsigned *ret_lo,
	     unsigned *ret_hi)
{
	bool any = false;

	for (unsigned i = 0; i < SWAP_LATENCY_CLASSES; i++) {
		if (latency->n[i] == 0)
			continue;
		if (!any)
			*ret_lo = i;
		*ret_hi = i;
		any = true;
	}
	return any;
}

static uint64_t
class_sum(const struct swap_latency *latency, unsigned from, unsigned n)
{
	uint64_t sum = 0;

	for (unsigned i = from; i < from + n && i < SWAP_LATENCY_CLASSES; i++)
		sum += latency->n[i];
	return sum;
}

static void
draw_class(struct canvas *canvas, const struct area *area, unsigned row,
	   enum style style, const struct swap_latency *latency, unsigned from,
	   unsigned n, uint64_t most)
{
	uint64_t count = class_sum(latency, from, n);
	bool last = from + n >= SWAP_LATENCY_CLASSES;
	char below[FIGURE_LEN], text[FIGURE_LEN];
	unsigned bar = area->cols > 16 ? area->cols - 16 : 0;

	/* Class i is what is below 2^(i+10) ns. */
	duration(UINT64_C(1) << ((last ? from : from + n) + 9), below,
		 sizeof(below));
	(void)canvas_print(canvas, row, area->col, area->cols, STYLE_PLAIN,
			   "%s%6s", last ? ">" : "<", below);
	canvas_right(canvas, row, area->col + 8, 6,
		     count > 0 ? STYLE_PLAIN : STYLE_DIM,
		     short_count(count, text, sizeof(text)));
	if (count > 0 && bar > 0)
		draw_bar(canvas, row, area->col + 15, bar, style, count, most);
}

unsigned
draw_latency(struct canvas *canvas, const struct area *area, enum style style,
	     const char *title, const struct swap_latency *latency)
{
	char text[3][FIGURE_LEN], words[3 * FIGURE_LEN + 32];
	unsigned lo = 0, hi = 0, step = 1, row = area->row;
	uint64_t most = 0;

	if (area->rows == 0)
		return 0;
	if (!used_classes(latency, &lo, &hi)) {
		draw_heading(canvas, row, area->col, area->cols, style, title,
			     "none");
		return 1;
	}
	format_cut(words, sizeof(words), area->cols < 36 ? "%.0s%s, 99%% <%s" :
		   "%s, mean %s, 99%% <%s",
		   short_count(latency->count, text[0], FIGURE_LEN),
		   duration(latency->sum_nsec / max_u64(latency->count, 1),
			    text[1], FIGURE_LEN),
		   duration(latency_quantile(latency, 990), text[2],
			    FIGURE_LEN));
	draw_heading(canvas, row++, area->col, area->cols, style, title,
		     words);
	while ((hi - lo) / step + 1 > area->rows - 1 && step < 24)
		step++;
	for (unsigned i = lo; i <= hi; i += step)
		most = max_u64(most, class_sum(latency, i, step));
	for (unsigned i = lo; i <= hi && row < area->row + area->rows;
	     i += step)
		draw_class(canvas, area, row++, style, latency, i, step, most);
	return row - area->row;
}
