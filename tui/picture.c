/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The picture: two snapshots, what they say together, and maps.
 *
 * Counters of another process start anew, whatever its name: nothing is worked
 * out across the two.
 */
#include "picture.h"

#include <stdlib.h>
#include <string.h>

#include "util.h"

void
map_part_clear(struct map_part *part)
{
	swap_device_map_clear(&part->map);
	free(part->cells);
	free(part->owners);
	memset(part, 0, sizeof(*part));
}

void
picture_clear(struct picture *picture)
{
	sample_clear(&picture->now);
	sample_clear(&picture->before);
	for (size_t i = 0; i < MAPS_MAX; i++) {
		map_part_clear(&picture->maps[i]);
		map_part_clear(&picture->earlier[i]);
	}
	memset(picture, 0, sizeof(*picture));
}

uint64_t
picture_interval(const struct picture *picture)
{
	const struct swap_stats *now = &picture->now.stats;
	const struct swap_stats *before = &picture->before.stats;

	if (picture->nsamples < 2 || before->pid != now->pid ||
	    before->uptime_usec >= now->uptime_usec)
		return 0;
	return now->uptime_usec - before->uptime_usec;
}

uint64_t
rate_of(uint64_t now, uint64_t before, uint64_t interval_usec)
{
	if (interval_usec == 0 || now <= before)
		return 0;
	return (uint64_t)((double)(now - before) * 1e6 /
			  (double)interval_usec + 0.5);
}

const struct swap_device_stats *
device_before(const struct picture *picture, const char *path)
{
	const struct swap_stats *before = &picture->before.stats;

	if (picture_interval(picture) == 0)
		return NULL;
	for (size_t i = 0; i < before->ndevices; i++)
		if (strcmp(before->devices[i].path, path) == 0)
			return &before->devices[i];
	return NULL;
}

static struct rates
rates_between(const struct picture *picture, uint64_t usec)
{
	const struct swap_stats *now = &picture->now.stats;
	const struct swap_counters *c = &now->counters;
	const struct swap_counters *b = &picture->before.stats.counters;
	struct rates rates = {
		.in_bytes = rate_of(c->pagein_pages, b->pagein_pages, usec) *
			    now->page_bytes,
		.out_bytes = rate_of(c->pageout_pages, b->pageout_pages,
				     usec) * now->page_bytes,
		.faults = rate_of(c->faults, b->faults, usec),
	};

	for (size_t i = 0; i < now->ndevices; i++) {
		const struct swap_device_stats *d = &now->devices[i];
		const struct swap_device_stats *was =
			device_before(picture, d->path);

		if (was == NULL)
			continue;
		rates.read_bytes += rate_of(d->read_bytes, was->read_bytes,
					    usec);
		rates.written_bytes += rate_of(d->written_bytes,
					       was->written_bytes, usec);
	}
	return rates;
}

void
picture_add(struct picture *picture, struct sample *sample)
{
	struct history *history = &picture->history;
	uint64_t usec;

	sample_clear(&picture->before);
	picture->before = picture->now;
	picture->now = *sample;
	memset(sample, 0, sizeof(*sample));
	picture->nth++;
	if (picture->nsamples < 2)
		picture->nsamples++;
	usec = picture_interval(picture);
	if (usec > 0)
		history->ring[history->n++ % HISTORY_MAX] =
			rates_between(picture, usec);
}

struct rates
picture_rates(const struct picture *picture)
{
	const struct history *history = &picture->history;
	const struct rates none = { 0 };

	if (history->n == 0 || picture_interval(picture) == 0)
		return none;
	return history->ring[(history->n - 1) % HISTORY_MAX];
}

/* ------------------------------------------------------------------- maps */

static bool
same_range(const struct range *a, const struct range *b)
{
	return strcmp(a->path, b->path) == 0 && a->first == b->first &&
	       a->nblocks == b->nblocks && a->ncells == b->ncells;
}

void
picture_maps(struct picture *picture, struct map_part parts[], size_t n)
{
	/* Earlier is as of the sample before, however often maps come. */
	bool newer = picture->maps_nth != picture->nth;

	for (size_t i = 0; i < MAPS_MAX; i++) {
		if (newer) {
			map_part_clear(&picture->earlier[i]);
			picture->earlier[i] = picture->maps[i];
		} else {
			map_part_clear(&picture->maps[i]);
		}
		memset(&picture->maps[i], 0, sizeof(picture->maps[i]));
		if (i >= n)
			continue;
		picture->maps[i] = parts[i];
		memset(&parts[i], 0, sizeof(parts[i]));
	}
	picture->nmaps = n;
	picture->maps_nth = picture->nth;
}

const struct map_part *
picture_map(const struct picture *picture, const char *path)
{
	for (size_t i = 0; i < picture->nmaps; i++)
		if (strcmp(picture->maps[i].wish.range.path, path) == 0)
			return &picture->maps[i];
	return NULL;
}

const struct swap_range_cell *
picture_cells_before(const struct picture *picture,
		     const struct map_part *part)
{
	for (size_t i = 0; i < MAPS_MAX; i++) {
		const struct map_part *was = &picture->earlier[i];

		if (was->cells != NULL &&
		    same_range(&was->wish.range, &part->wish.range))
			return was->cells;
	}
	return NULL;
}
