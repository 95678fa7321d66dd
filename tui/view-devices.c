/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The devices: a row each, and below them, where there is room, all about the
 * selected one: how long its transfers take, and what it has done so far.
 */
#include <inttypes.h>
#include <string.h>

#include "cmd/figures.h"
#include "lines.h"
#include "util.h"
#include "view.h"

#define DETAIL_ROWS	8u

enum {
	COLUMN_DEVICE, COLUMN_TYPE, COLUMN_SIZE, COLUMN_USED, COLUMN_AVAIL,
	COLUMN_USE, COLUMN_BAR, COLUMN_PRIO, COLUMN_READ, COLUMN_WRITE,
	COLUMN_READ_TIME, COLUMN_WRITE_TIME, COLUMN_INFLIGHT, COLUMN_ERRORS,
	COLUMN_FLAGS,
};

static const struct column columns[] = {
	[COLUMN_DEVICE] = { "DEVICE", 12, true, false, 0 },
	[COLUMN_TYPE] = { "TYPE", 5, false, false, 7 },
	[COLUMN_SIZE] = { "SIZE", 5, false, true, 0 },
	[COLUMN_USED] = { "USED", 5, false, true, 0 },
	[COLUMN_AVAIL] = { "AVAIL", 5, false, true, 4 },
	[COLUMN_USE] = { "USE%", 4, false, true, 0 },
	[COLUMN_BAR] = { "", 10, false, false, 9 },
	[COLUMN_PRIO] = { "PRIO", 5, false, true, 5 },
	[COLUMN_READ] = { "READ/s", 6, false, true, 0 },
	[COLUMN_WRITE] = { "WRITE/s", 7, false, true, 0 },
	[COLUMN_READ_TIME] = { "R-99%", 6, false, true, 10 },
	[COLUMN_WRITE_TIME] = { "W-99%", 6, false, true, 10 },
	[COLUMN_INFLIGHT] = { "INFL", 4, false, true, 11 },
	[COLUMN_ERRORS] = { "ERRORS", 6, false, true, 3 },
	[COLUMN_FLAGS] = { "FLAGS", 8, false, false, 2 },
};

struct rows {
	const struct scene *scene;
	bool		 utf8;
};

static void
rate_cell(const struct rows *rows, uint64_t now, const uint64_t *before,
	  char *buf, size_t len)
{
	uint64_t usec = picture_interval(rows->scene->picture);

	if (before == NULL || usec == 0)
		format_cut(buf, len, "-");
	else
		amount(rows->scene, rate_of(now, *before, usec), buf, len);
}

static void
time_cell(const struct swap_latency *latency, char *buf, size_t len)
{
	if (latency->count == 0)
		format_cut(buf, len, "-");
	else
		duration(latency_quantile(latency, 990), buf, len);
}

/* A bar in text: the list knows no canvas. */
static void
bar_cell(const struct rows *rows, const struct swap_device_stats *device,
	 unsigned width, char *buf, size_t len)
{
	const struct glyphs *g = glyphs_of(rows->utf8);
	uint64_t n = device->size_bytes == 0 ? 0 :
		     (uint64_t)((unsigned __int128)device->used_bytes * width *
				8 / device->size_bytes);

	buf[0] = '\0';
	if (n == 0 && device->used_bytes > 0)
		n = rows->utf8 ? 1 : 8;
	for (unsigned i = 0; i < width; i++, n -= min_u64(n, 8)) {
		const char *part = n == 0 ? g->rest :
				   g->eighth[min_u64(n, 8)];

		if (part[0] == '\0')
			part = g->rest;
		if (strlen(buf) + strlen(part) < len)
			strcat(buf, part);
	}
}

static void
device_cell(void *arg, size_t row, unsigned column, unsigned width, char *buf,
	    size_t len, enum style *style)
{
	const struct rows *rows = arg;
	const struct scene *scene = rows->scene;
	const struct swap_device_stats *d =
		&scene->picture->now.stats.devices[row];
	const struct swap_device_stats *was =
		device_before(scene->picture, d->path);

	if (d->flags & (SWAP_DEVICE_DEGRADED | SWAP_DEVICE_GONE))
		*style = STYLE_ALARM;
	switch (column) {
	case COLUMN_DEVICE:
		figure_name(d->path, width, rows->utf8, buf, len);
		break;
	case COLUMN_TYPE:
		format_cut(buf, len, "%s", d->type);
		break;
	case COLUMN_SIZE:
		amount(scene, d->size_bytes, buf, len);
		break;
	case COLUMN_USED:
		amount(scene, d->used_bytes, buf, len);
		break;
	case COLUMN_AVAIL:
		amount(scene, device_avail_bytes(d), buf, len);
		break;
	case COLUMN_USE:
		format_cut(buf, len, "%u%%", figure_percent(d->used_bytes,
							    d->size_bytes));
		break;
	case COLUMN_BAR:
		*style = STYLE_IN;
		bar_cell(rows, d, width, buf, len);
		break;
	case COLUMN_PRIO:
		format_cut(buf, len, "%d", d->priority);
		break;
	case COLUMN_READ:
		rate_cell(rows, d->read_bytes, was != NULL ?
			  &was->read_bytes : NULL, buf, len);
		break;
	case COLUMN_WRITE:
		rate_cell(rows, d->written_bytes, was != NULL ?
			  &was->written_bytes : NULL, buf, len);
		break;
	case COLUMN_READ_TIME:
		time_cell(&d->read_time, buf, len);
		break;
	case COLUMN_WRITE_TIME:
		time_cell(&d->write_time, buf, len);
		break;
	case COLUMN_INFLIGHT:
		format_cut(buf, len, "%u", d->inflight);
		break;
	case COLUMN_ERRORS:
		short_count(d->read_errors + d->write_errors, buf, len);
		break;
	default:
		device_flag_words(d, buf, len);
		break;
	}
}

/* ----------------------------------------------------------------- detail */

/* What it has done since the pager began to use it. */
static void
device_text(const struct scene *scene, const struct swap_device_stats *d,
	    struct lines *text)
{
	char a[FIGURE_LEN], b[FIGURE_LEN], c[FIGURE_LEN];

	lines_add(text, STYLE_BOX, "%s, priority %d, %s", d->type,
		  d->priority, d->flags == 0 ? "in service" :
		  device_flag_words(d, a, sizeof(a)));
	lines_add(text, STYLE_BOX, "%s usable, %s used, %s bad",
		  amount(scene, d->size_bytes, a, sizeof(a)),
		  amount(scene, d->used_bytes, b, sizeof(b)),
		  amount(scene, d->bad_bytes, c, sizeof(c)));
	lines_add(text, STYLE_BOX, "Read       %s in %s transfers, %s failed",
		  amount(scene, d->read_bytes, a, sizeof(a)),
		  figure_count(d->reads, b, sizeof(b)),
		  figure_count(d->read_errors, c, sizeof(c)));
	lines_add(text, STYLE_BOX, "Written    %s in %s transfers, %s failed",
		  amount(scene, d->written_bytes, a, sizeof(a)),
		  figure_count(d->writes, b, sizeof(b)),
		  figure_count(d->write_errors, c, sizeof(c)));
	lines_add(text, STYLE_BOX, "Discarded  %s in %s transfers; freed "
		  "blocks are%s discarded",
		  amount(scene, d->discarded_bytes, a, sizeof(a)),
		  figure_count(d->discards, b, sizeof(b)),
		  d->flags & SWAP_DEVICE_DISCARDS ? "" : " not");
	lines_add(text, STYLE_BOX, "In flight  %u", d->inflight);
}

static bool
devices_inspect(struct scene *scene, struct lines *text)
{
	const struct swap_device_stats *d = scene_device(scene);

	if (d == NULL)
		return false;
	lines_title(text, "%s", d->path);
	device_text(scene, d, text);
	return true;
}

static void
draw_detail(const struct scene *scene, struct canvas *canvas,
	    const struct area *area)
{
	const struct swap_device_stats *d = scene_device(scene);
	unsigned half = (area->cols - 3) / 2, used = 0;
	struct area left, right;

	if (d == NULL || area->rows < DETAIL_ROWS)
		return;
	draw_heading(canvas, area->row, area->col, area->cols, STYLE_HEADING,
		     d->path, "");
	if (area->rows >= DETAIL_ROWS + 6) {
		struct lines text = { .n = 0 };

		device_text(scene, d, &text);
		for (size_t i = 0; i < text.n; i++)
			(void)canvas_text(canvas, area->row + 1 + (unsigned)i,
					  area->col, area->cols, STYLE_PLAIN,
					  text.lines[i]);
		used = (unsigned)text.n + 1;
		lines_clear(&text);
	}
	left = (struct area){ area->row + 1 + used, area->col,
			      area->rows - 1 - used, half };
	right = left;
	right.col += half + 3;
	(void)draw_latency(canvas, &left, STYLE_IN, "Reads", &d->read_time);
	(void)draw_latency(canvas, &right, STYLE_OUT, "Writes",
			   &d->write_time);
}

/* ------------------------------------------------------------------- view */

/* The cursor follows the device, not the row. */
static void
find_selected(struct scene *scene)
{
	const struct swap_stats *now = &scene->picture->now.stats;
	const struct swap_device_stats *device = scene_device(scene);

	if (device != NULL)
		scene->devices.selected = (size_t)(device - now->devices);
}

static void
keep_selected(struct scene *scene)
{
	const struct swap_stats *now = &scene->picture->now.stats;

	if (scene->devices.selected < now->ndevices)
		format_cut(scene->device, sizeof(scene->device), "%s",
			   now->devices[scene->devices.selected].path);
}

static void
devices_draw(struct scene *scene, struct canvas *canvas,
	     const struct area *area)
{
	const struct swap_stats *now = &scene->picture->now.stats;
	struct rows rows = { scene, canvas->utf8 };
	struct area list = *area, detail = *area;
	unsigned longest = 0;

	scene->devices.columns = columns;
	scene->devices.ncolumns = ARRAY_SIZE(columns);
	scene->devices.sort = LIST_COLUMNS_MAX;
	for (size_t i = 0; i < now->ndevices; i++)
		longest = (unsigned)max_u64(longest, text_columns(
				now->devices[i].path, canvas->utf8));
	if (now->ndevices == 0) {
		(void)canvas_text(canvas, area->row, area->col, area->cols,
				  STYLE_ALARM, "! There is no swap device: "
				  "attach one with 'swapctl on DEVICE'.");
		scene->devices.n = 0;
		return;
	}
	find_selected(scene);
	if (scene->screen)
		list.rows = (unsigned)min_u64(now->ndevices + 1,
			area->rows > DETAIL_ROWS + 4 ?
			area->rows - DETAIL_ROWS : area->rows);
	list_draw(&scene->devices, canvas, &list, now->ndevices, longest,
		  scene->screen, device_cell, &rows);
	if (!scene->screen || area->rows < list.rows + 1)
		return;
	detail.row += list.rows + 1;
	detail.rows -= list.rows + 1;
	draw_detail(scene, canvas, &detail);
}

static bool
devices_key(struct scene *scene, const struct input *input)
{
	size_t row;

	if (input->key == KEYS_CLICK) {
		if (!list_hit_row(&scene->devices, input->row, input->col,
				  &row))
			return false;
		scene->devices.selected = row;
	} else if (!list_move(&scene->devices, input->key)) {
		return false;
	}
	keep_selected(scene);
	return true;
}

const struct view view_devices = {
	.name = "devices",
	.title = "Devices",
	.keys = "Enter inspect\0o off\0",
	.draw = devices_draw,
	.key = devices_key,
	.inspect = devices_inspect,
};
