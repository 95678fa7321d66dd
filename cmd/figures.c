/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Figures: numbers as people read them
 *
 * swapctl's tables and swaptop's views show the same snapshot, so what they
 * work out from it, and how they write it, is here once: a size in a narrow
 * column, a percentage, a bar, what is left on a device.
 *
 * Two rules.  A percentage never says 0 or 100 of something that is not
 * quite empty or full, since those are the two that people act on.  And a
 * device that is leaving has no room: its free blocks are out of the count
 * (FreeBSD swap_pager.c, swapoff_one), whatever its size says.
 *
 * Everything writes into the caller's buffer; nothing here allocates, prints
 * or depends on the locale.  (A user's name is looked up by the C library, in
 * its own way.)
 */
#include "figures.h"

#include <inttypes.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "compiler.h"
#include "util.h"

char *
figure_size(uint64_t bytes, char *buf, size_t len)
{
	static const char units[] = "BKMGTPE";
	double value = (double)bytes;
	const char *unit = units;

	while (value >= 1023.5 && unit[1] != '\0') {
		value /= 1024;
		unit++;
	}
	if (unit == units || value >= 99.95)
		format_cut(buf, len, "%.0f%c", value, *unit);
	else if ((uint64_t)(value * 10 + 0.5) % 10 == 0)
		format_cut(buf, len, "%.0f%c", value, *unit);
	else
		format_cut(buf, len, "%.1f%c", value, *unit);
	return buf;
}

char *
figure_count(uint64_t count, char *buf, size_t len)
{
	char digits[FIGURE_LEN];
	size_t n, at = 0;

	format_cut(digits, sizeof(digits), "%" PRIu64, count);
	n = strlen(digits);
	for (size_t i = 0; i < n && at + 2 < len; i++) {
		if (i > 0 && (n - i) % 3 == 0)
			buf[at++] = ',';
		buf[at++] = digits[i];
	}
	if (len > 0)
		buf[at] = '\0';
	return buf;
}

char *
figure_span(uint64_t usec, char *buf, size_t len)
{
	uint64_t s = usec / 1000000;

	if (s < 60)
		format_cut(buf, len, "%" PRIu64 "s", s);
	else if (s < 3600)
		format_cut(buf, len, "%" PRIu64 "m %" PRIu64 "s", s / 60,
			   s % 60);
	else if (s < 86400)
		format_cut(buf, len, "%" PRIu64 "h %" PRIu64 "m", s / 3600,
			   s % 3600 / 60);
	else
		format_cut(buf, len, "%" PRIu64 "d %" PRIu64 "h", s / 86400,
			   s % 86400 / 3600);
	return buf;
}

unsigned
figure_percent(uint64_t part, uint64_t whole)
{
	unsigned percent;

	if (part == 0 || whole == 0)
		return 0;
	if (part >= whole)
		return 100;
	percent = (unsigned)((double)part * 100 / (double)whole + 0.5);
	if (percent == 0)
		return 1;
	return percent > 99 ? 99 : percent;
}

char *
figure_bar(uint64_t part, uint64_t whole, unsigned width, bool utf8, char *buf)
{
	const char *full = utf8 ? "\u2588" : "#";
	const char *empty = utf8 ? "\u2591" : ".";
	unsigned filled;
	size_t at = 0;

	if (width > FIGURE_BAR_MAX)
		width = FIGURE_BAR_MAX;
	filled = figure_percent(part, whole) * width / 100;
	for (unsigned i = 0; i < width; i++) {
		const char *glyph = i < filled ? full : empty;

		memcpy(buf + at, glyph, strlen(glyph));
		at += strlen(glyph);
	}
	buf[at] = '\0';
	return buf;
}

char *
figure_name(const char *name, size_t room, bool utf8, char *buf, size_t len)
{
	const char *mark = utf8 ? "\u2026" : "..";
	size_t n = strlen(name), columns = utf8 ? 1 : 2;

	if (n <= room || room <= columns) {
		format_cut(buf, len, "%.*s", (int)room, name);
		return buf;
	}
	name += n - (room - columns);
	/* Not into the middle of a character. */
	while ((*name & 0xc0) == 0x80)
		name++;
	format_cut(buf, len, "%s%s", mark, name);
	return buf;
}

char *
figure_user(uint32_t uid, char *buf, size_t len)
{
	const struct passwd *entry = getpwuid((uid_t)uid);

	if (entry != NULL)
		format_cut(buf, len, "%s", entry->pw_name);
	else
		format_cut(buf, len, "%" PRIu32, uid);
	return buf;
}

uint64_t
device_avail_bytes(const struct swap_device_stats *device)
{
	uint64_t taken = device->used_bytes + device->bad_bytes;

	if (device->flags & (SWAP_DEVICE_CLOSING | SWAP_DEVICE_GONE))
		return 0;
	return taken < device->size_bytes ? device->size_bytes - taken : 0;
}

char *
device_flag_words(const struct swap_device_stats *device, char *buf,
		  size_t len)
{
	static const struct {
		unsigned	flag;
		const char	*word;
	} words[] = {
		{ SWAP_DEVICE_CLOSING, "closing" },
		{ SWAP_DEVICE_DEGRADED, "degraded" },
		{ SWAP_DEVICE_GONE, "gone" },
		{ SWAP_DEVICE_DISCARDS, "discards" },
	};
	size_t at = 0;

	format_cut(buf, len, "-");
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (!(device->flags & words[i].flag) || at >= len)
			continue;
		format_cut(buf + at, len - at, "%s%s", at > 0 ? "," : "",
			   words[i].word);
		at = strlen(buf);
	}
	return buf;
}

uint64_t
stats_avail_bytes(const struct swap_stats *stats)
{
	uint64_t avail = 0;

	for (size_t i = 0; i < stats->ndevices; i++)
		avail += device_avail_bytes(&stats->devices[i]);
	return avail;
}

static int
descending(uint64_t a, uint64_t b)
{
	return (a < b) - (a > b);
}

static int
compare_objects(const void *left, const void *right)
{
	const struct swap_object_stats *a = left, *b = right;
	int order = descending(a->swapped_bytes, b->swapped_bytes);

	if (order == 0)
		order = descending(a->resident_bytes, b->resident_bytes);
	return order != 0 ? order : descending(b->id, a->id);
}

void
stats_sort_objects(struct swap_stats *stats)
{
	if (stats->nobjects > 1)
		qsort(stats->objects, stats->nobjects,
		      sizeof(stats->objects[0]), compare_objects);
}
