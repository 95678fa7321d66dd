/* SPDX-License-Identifier: BSD-2-Clause */
/* The swap devices, with what they read and write a second */
#include <inttypes.h>
#include <string.h>

#include "cmd/figures.h"
#include "util.h"
#include "view.h"

#define NAME_LEN	512u
#define NAME_LEAST	10u
/* All columns but the name, with the blanks between them. */
#define OTHERS		63u

/* The same device in an earlier snapshot, or NULL. */
static const struct swap_device_stats *
find_before(const struct swap_stats *before, const char *path)
{
	for (size_t i = 0; i < before->ndevices; i++) {
		if (strcmp(before->devices[i].path, path) == 0)
			return &before->devices[i];
	}
	return NULL;
}

static void
rate_text(uint64_t now, const uint64_t *before, uint64_t usec, char *buf)
{
	if (before == NULL || usec == 0)
		format_cut(buf, FIGURE_LEN, "-");
	else
		figure_size(view_rate(now, *before, usec), buf, FIGURE_LEN);
}

static void
put_device(const struct swap_device_stats *device,
	   const struct swap_device_stats *before, uint64_t usec,
	   size_t name_width, struct lines *lines)
{
	char name[NAME_LEN], size[FIGURE_LEN], used[FIGURE_LEN];
	char avail[FIGURE_LEN], read[FIGURE_LEN], written[FIGURE_LEN];
	char flags[FIGURE_LEN];

	rate_text(device->read_bytes,
		  before != NULL ? &before->read_bytes : NULL, usec, read);
	rate_text(device->written_bytes,
		  before != NULL ? &before->written_bytes : NULL, usec,
		  written);
	/* printf counts bytes; figure_name() keeps the columns right. */
	figure_name(device->path, name_width, false, name, sizeof(name));
	lines_put(lines, device->flags & ~SWAP_DEVICE_CLOSING ? LINE_ALARM :
		  LINE_PLAIN,
		  "%-*s %-5s %5s %5s %5s %3u%% %5d %6s %7s %s",
		  (int)name_width, name, device->type,
		  figure_size(device->size_bytes, size, sizeof(size)),
		  figure_size(device->used_bytes, used, sizeof(used)),
		  figure_size(device_avail_bytes(device), avail,
			      sizeof(avail)),
		  figure_percent(device->used_bytes, device->size_bytes),
		  device->priority, read, written,
		  device_flag_words(device, flags, sizeof(flags)));
}

void
view_devices(const struct swap_stats *now, const struct swap_stats *before,
	     struct lines *lines)
{
	uint64_t usec = view_interval(now, before);
	size_t width = strlen("DEVICE");

	if (now->ndevices == 0)
		return;
	for (size_t i = 0; i < now->ndevices; i++)
		width = max_u64(width, strlen(now->devices[i].path));
	width = view_name_width(lines, width, OTHERS, NAME_LEAST);
	lines_put(lines, LINE_PLAIN, "%s", "");
	lines_put(lines, LINE_HEADING,
		  "%-*s %-5s %5s %5s %5s %4s %5s %6s %7s %s", (int)width,
		  "DEVICE", "TYPE", "SIZE", "USED", "AVAIL", "USE%", "PRIO",
		  "READ/s", "WRITE/s", "FLAGS");
	for (size_t i = 0; i < now->ndevices; i++) {
		const struct swap_device_stats *device = &now->devices[i];

		put_device(device, usec > 0 ?
			   find_before(before, device->path) : NULL, usec,
			   width, lines);
	}
}
