/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Recordings: what --json prints, and --replay reads
 *
 * A map has as many cells as the device has blocks, up to CELLS of them, and
 * its owners come from a look that ends after LOOKS calls: a line stays below
 * some hundred kilobytes whatever it is about.
 */
#include "record.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/json.h"
#include "util.h"

#define CELLS		2048u
#define LOOKS		64u
#define OWNERS_MOST	4096u

/* Names are in word_json() of what a swapd sends, and here. */
static const struct {
	const char	*name;
	size_t		 offset;
} numbers[] = {
	{ "block", offsetof(struct swap_owner, block) },
	{ "blocks", offsetof(struct swap_owner, nblocks) },
	{ "object", offsetof(struct swap_owner, object) },
	{ "page", offsetof(struct swap_owner, page) },
};

void
record_clear(struct record *record)
{
	sample_clear(&record->sample);
	for (size_t i = 0; i < record->nmaps; i++) {
		swap_device_map_clear(&record->maps[i].map);
		free(record->maps[i].owners);
		free(record->maps[i].nbad);
	}
	free(record->maps);
	record->maps = NULL;
	record->nmaps = 0;
}

/* ---------------------------------------------------------------- reading */

static int
number_read(const json_t *json, int64_t most, int64_t *ret)
{
	if (!json_is_integer(json) || json_integer_value(json) < 0 ||
	    json_integer_value(json) > most)
		return -EPROTO;
	*ret = json_integer_value(json);
	return 0;
}

static int
text_read(const json_t *json, char *place, size_t size)
{
	if (!json_is_string(json) || json_string_length(json) >= size)
		return -EPROTO;
	memcpy(place, json_string_value(json), json_string_length(json));
	return 0;
}

/* @owner is all zero. */
static int
owner_read(const json_t *json, struct swap_owner *owner)
{
	int64_t value;
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(numbers) && r == 0; i++) {
		r = number_read(json_object_get(json, numbers[i].name),
				INT64_MAX, &value);
		if (r == 0)
			memcpy((char *)owner + numbers[i].offset, &value,
			       sizeof(value));
	}
	if (r == 0)
		r = number_read(json_object_get(json, "uid"), UINT32_MAX,
				&value);
	if (r < 0)
		return r;
	owner->uid = (uint32_t)value;
	r = number_read(json_object_get(json, "pid"), INT32_MAX, &value);
	if (r < 0)
		return r;
	owner->pid = (int32_t)value;
	r = text_read(json_object_get(json, "name"), owner->name,
		      sizeof(owner->name));
	return r < 0 ? r : text_read(json_object_get(json, "command"),
				     owner->command, sizeof(owner->command));
}

static int
bad_read(const json_t *list, struct record_map *map)
{
	size_t n = json_array_size(list);
	int64_t value;
	int r = 0;

	if (n == 0)
		return 0;
	if (n != map->map.ncells)
		return -EPROTO;
	map->nbad = calloc(n, sizeof(*map->nbad));
	if (map->nbad == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < n && r == 0; i++) {
		r = number_read(json_array_get(list, i), INT64_MAX, &value);
		map->nbad[i] = r == 0 ? (uint64_t)value : 0;
	}
	return r;
}

static int
map_read(const json_t *json, struct record_map *map)
{
	const json_t *owners = json_object_get(json, "owners");
	size_t n = json_array_size(owners);
	int r = json_to_device_map(json, &map->map);

	if (r == 0 && (map->map.nblocks == 0 ||
		       map->map.ncells > map->map.nblocks))
		r = -EPROTO;
	if (r == 0)
		r = bad_read(json_object_get(json, "bad"), map);
	if (r < 0 || n == 0)
		return r;
	map->owners = calloc(n, sizeof(*map->owners));
	if (map->owners == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < n && r == 0; i++)
		r = owner_read(json_array_get(owners, i), &map->owners[i]);
	map->nowners = n;
	return r;
}

static int
record_read(const json_t *json, struct record *record)
{
	const json_t *maps = json_object_get(json, "maps");
	size_t n = json_array_size(maps);
	int64_t value = 0;
	int r = json_to_stats(json, &record->sample.stats);

	if (r == 0 && json_object_get(json, "time_usec") != NULL)
		r = number_read(json_object_get(json, "time_usec"), INT64_MAX,
				&value);
	if (r < 0)
		return r;
	record->sample.time_usec = (uint64_t)value;
	if (n == 0)
		return 0;
	record->maps = calloc(n, sizeof(*record->maps));
	if (record->maps == NULL)
		return -ENOMEM;
	record->nmaps = n;
	for (size_t i = 0; i < n && r == 0; i++)
		r = map_read(json_array_get(maps, i), &record->maps[i]);
	return r;
}

int
record_parse(const char *line, size_t len, struct record *ret)
{
	struct record record = { .nmaps = 0 };
	json_t *json = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
	int r = -EPROTO;

	if (json != NULL)
		r = record_read(json, &record);
	json_decref(json);
	if (r < 0) {
		record_clear(&record);
		return r;
	}
	*ret = record;
	return 0;
}

/* ---------------------------------------------------------------- writing */

static json_t *
owner_json(const struct swap_owner *owner)
{
	json_t *json = json_object();
	int64_t value;

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		memcpy(&value, (const char *)owner + numbers[i].offset,
		       sizeof(value));
		(void)json_object_set_new(json, numbers[i].name,
					  json_integer(value));
	}
	(void)json_object_set_new(json, "uid", json_integer(owner->uid));
	(void)json_object_set_new(json, "pid", json_integer(owner->pid));
	(void)json_object_set_new(json, "name", json_string(owner->name));
	(void)json_object_set_new(json, "command",
				  json_string(owner->command));
	return json;
}

/* Whose the device's pages are, as far as that can be had. */
static json_t *
owners_json(struct source *source, const struct swap_device_map *map)
{
	struct swap_owner *owners = calloc(SWAP_OWNERS_MAX, sizeof(*owners));
	struct swap_owners_place place = { 0 };
	struct swap_error error = { 0 };
	json_t *list = json_array();
	int64_t n = 0;

	for (unsigned i = 0; owners != NULL && i < LOOKS && !place.done &&
	     n >= 0 && json_array_size(list) < OWNERS_MOST; i++) {
		n = source->ops->owners(source, map->path, 0, map->nblocks,
					&place, owners, &error);
		for (int64_t k = 0; k < n; k++)
			(void)json_array_append_new(list,
						    owner_json(&owners[k]));
	}
	free(owners);
	return list;
}

/* How many blocks of each cell are bad; NULL: none is. */
static json_t *
bad_json(const struct swap_range_cell *cells, size_t n)
{
	json_t *list = json_array();
	bool any = false;

	for (size_t i = 0; i < n; i++) {
		any = any || cells[i].nbad > 0;
		(void)json_array_append_new(list, json_integer(
					    (json_int_t)cells[i].nbad));
	}
	if (any)
		return list;
	json_decref(list);
	return NULL;
}

static json_t *
map_json(struct source *source, const char *path)
{
	struct swap_error error = { 0 };
	struct swap_device_map map;
	struct range range = { .first = 0 };
	struct swap_range_cell *cells;
	json_t *json, *bad = NULL;

	if (source->ops->map(source, path, &map, &error) < 0)
		return NULL;
	format_cut(range.path, sizeof(range.path), "%s", path);
	range.nblocks = map.nblocks;
	range.ncells = (size_t)min_u64(map.nblocks, CELLS);
	cells = calloc(range.ncells, sizeof(*cells));
	map.cells = calloc(range.ncells, sizeof(*map.cells));
	if (cells != NULL && map.cells != NULL &&
	    source->ops->cells(source, &range, cells, &error) == 0)
		map.ncells = range.ncells;
	for (size_t i = 0; i < map.ncells; i++) {
		map.cells[i].nblocks = map.nblocks * (i + 1) / map.ncells -
				       map.nblocks * i / map.ncells;
		map.cells[i].nfree = cells[i].nfree;
	}
	if (map.ncells > 0)
		bad = bad_json(cells, map.ncells);
	json = json_from_device_map(&map);
	if (bad != NULL)
		(void)json_object_set_new(json, "bad", bad);
	if (json_object_set_new(json, "owners",
				owners_json(source, &map)) < 0) {
		json_decref(json);
		json = NULL;
	}
	free(cells);
	swap_device_map_clear(&map);
	return json;
}

int
record_write(struct source *source, FILE *out, struct swap_error *error)
{
	struct sample sample = { .frame = 0 };
	json_t *json, *maps = json_array();
	int r = source->ops->sample(source, true, &sample, error);

	if (r < 0) {
		json_decref(maps);
		return r;
	}
	json = json_from_stats(&sample.stats, NULL, NULL);
	for (size_t i = 0; i < sample.stats.ndevices; i++) {
		json_t *map = map_json(source, sample.stats.devices[i].path);

		if (map != NULL)
			(void)json_array_append_new(maps, map);
	}
	if (json == NULL ||
	    json_object_set_new(json, "time_usec", json_integer(
				(json_int_t)sample.time_usec)) < 0 ||
	    json_object_set(json, "maps", maps) < 0 ||
	    json_dumpf(json, out, JSON_COMPACT) < 0 || fputc('\n', out) == EOF)
		r = error_set(error, -ENOMEM, "a snapshot as JSON: out of "
			      "memory, or it cannot be written");
	json_decref(json);
	json_decref(maps);
	sample_clear(&sample);
	return r;
}
