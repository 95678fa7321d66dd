/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A recording as a source
 *
 * The file is read as a whole when it is opened, so that what is wrong with
 * it is said at once.  Each sample is the next line; behind the last one it
 * stays.  Lines are parsed when their turn comes.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "record.h"
#include "util.h"

struct replay {
	struct source	 source;
	char		*text;
	size_t		 len;
	const char	**lines;	/* nlines + 1: the end, too */
	size_t		 nlines;
	size_t		 next;
	struct record	 record;	/* of the line before next */
};

static struct replay *
replay_of(struct source *source)
{
	return container_of(source, struct replay, source);
}

/* The record gives its snapshot away. */
static int
replay_sample(struct source *source, bool objects, struct sample *ret,
	      struct swap_error *error)
{
	struct replay *replay = replay_of(source);
	const char *line;
	int r;

	(void)objects;
	if (replay->next == replay->nlines)
		return error_set(error, -ENODATA, "the recording has ended");
	line = replay->lines[replay->next];
	record_clear(&replay->record);
	r = record_parse(line, (size_t)(replay->lines[replay->next + 1] -
					line), &replay->record);
	if (r < 0)
		return error_set(error, r, "line %zu of the recording is no "
				 "snapshot", replay->next + 1);
	replay->next++;
	*ret = replay->record.sample;
	memset(&replay->record.sample, 0, sizeof(replay->record.sample));
	ret->frame = replay->next;
	ret->nframes = replay->nlines;
	return 0;
}

static const struct record_map *
find_map(const struct replay *replay, const char *path,
	 struct swap_error *error)
{
	for (size_t i = 0; i < replay->record.nmaps; i++)
		if (strcmp(replay->record.maps[i].map.path, path) == 0)
			return &replay->record.maps[i];
	(void)error_set(error, -ENOENT, "the recording has no map of %s",
			path);
	return NULL;
}

static int
replay_map(struct source *source, const char *path,
	   struct swap_device_map *ret, struct swap_error *error)
{
	const struct record_map *map = find_map(replay_of(source), path,
						error);

	if (map == NULL)
		return -ENOENT;
	*ret = map->map;
	ret->cells = NULL;
	ret->ncells = 0;
	return 0;
}

/* Bad blocks of a recorded cell go to the one that has its first block. */
static void
put_bad(const struct record_map *map, size_t i, const struct range *range,
	struct swap_range_cell cells[])
{
	uint64_t block = (uint64_t)((unsigned __int128)map->map.nblocks * i /
				    map->map.ncells);
	uint64_t at = block - range->first;

	if (block < range->first || at >= range->nblocks)
		return;
	cells[((unsigned __int128)(at + 1) * range->ncells - 1) /
	      range->nblocks].nbad += map->nbad[i];
}

static int
replay_cells(struct source *source, const struct range *range,
	     struct swap_range_cell cells[], struct swap_error *error)
{
	const struct record_map *map = find_map(replay_of(source),
						range->path, error);

	if (map == NULL)
		return -ENOENT;
	cells_resample(&map->map, range, cells);
	for (size_t i = 0; map->nbad != NULL && i < map->map.ncells; i++)
		if (map->nbad[i] > 0)
			put_bad(map, i, range, cells);
	return 0;
}

static int64_t
replay_owners(struct source *source, const char *path, uint64_t first,
	      uint64_t nblocks, struct swap_owners_place *place,
	      struct swap_owner owners[], struct swap_error *error)
{
	const struct record_map *map = find_map(replay_of(source), path,
						error);
	size_t n = 0;

	if (map == NULL)
		return -ENOENT;
	for (; place->slot < map->nowners && n < SWAP_OWNERS_MAX;
	     place->slot++) {
		const struct swap_owner *from = &map->owners[place->slot];
		uint64_t lo = max_u64(from->block, first);
		uint64_t hi = min_u64(from->block + from->nblocks,
				      first + nblocks);

		if (lo >= hi)
			continue;
		owners[n] = *from;
		owners[n].page += lo - from->block;
		owners[n].block = lo;
		owners[n++].nblocks = hi - lo;
	}
	place->done = place->slot >= map->nowners;
	return (int64_t)n;
}

static void
replay_close(struct source *source)
{
	struct replay *replay = replay_of(source);

	record_clear(&replay->record);
	free(replay->lines);
	free(replay->text);
	free(replay);
}

static int
read_all(FILE *file, struct replay *replay)
{
	size_t room = 0, got;
	char *text;

	do {
		room = room * 2 + (1u << 16);
		text = realloc(replay->text, room);
		if (text == NULL)
			return -ENOMEM;
		replay->text = text;
		got = fread(text + replay->len, 1, room - replay->len, file);
		replay->len += got;
	} while (replay->len == room);
	return ferror(file) ? -EIO : 0;
}

/* Where lines begin that are not empty. */
static int
split(struct replay *replay)
{
	const char *at = replay->text, *end = at + replay->len, *next;
	size_t n = 0;

	for (size_t i = 0; i < replay->len; i++)
		n += replay->text[i] == '\n';
	replay->lines = calloc(n + 2, sizeof(*replay->lines));
	if (replay->lines == NULL)
		return -ENOMEM;
	for (; at < end; at = next) {
		next = memchr(at, '\n', (size_t)(end - at));
		next = next != NULL ? next + 1 : end;
		if (next - at > 1)
			replay->lines[replay->nlines++] = at;
	}
	replay->lines[replay->nlines] = end;
	return replay->nlines > 0 ? 0 : -ENODATA;
}

/* Read it, and look at the first line. */
static int
replay_fill(struct replay *replay, FILE *file, struct swap_error *error)
{
	struct sample first = { .frame = 0 };
	int r = read_all(file, replay);

	if (r == 0)
		r = split(replay);
	if (r < 0)
		return error_set(error, r, "%s", r == -ENODATA ?
				 "the recording is empty" : strerror(-r));
	r = replay_sample(&replay->source, true, &first, error);
	sample_clear(&first);
	replay->next = 0;
	return r;
}

int
source_replay(const char *path, struct source **ret, struct swap_error *error)
{
	static const struct source_ops ops = {
		.sample = replay_sample, .map = replay_map,
		.cells = replay_cells, .owners = replay_owners,
		.close = replay_close,
	};
	struct replay *replay = calloc(1, sizeof(*replay));
	struct swap_error why = { 0 };
	FILE *file;
	int r;

	if (replay == NULL)
		return error_set(error, -ENOMEM, "out of memory");
	replay->source.ops = &ops;
	file = fopen(path, "re");
	if (file == NULL) {
		r = -errno;
		error_set(&why, r, "%s", strerror(-r));
	} else {
		r = replay_fill(replay, file, &why);
		fclose(file);
	}
	if (r < 0) {
		replay_close(&replay->source);
		return error_set(error, r, "%s: %s", path, why.message);
	}
	*ret = &replay->source;
	return 0;
}
