/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where a btrfs keeps what.
 *
 * A btrfs has one range of addresses for all its devices, divided into chunks;
 * each chunk is kept in its own way: once on a device, twice, in stripes.  The
 * kernel takes a swap file if all of it is in chunks of the first kind, and
 * those are on one device; how many devices there are does not matter.  The
 * tree of chunks can be searched with an ioctl, by root.
 *
 * Memory: 32 bytes a chunk.
 */
#include "kernel/btrfs.h"

#include <endian.h>
#include <errno.h>
#include <linux/btrfs.h>
#include <linux/btrfs_tree.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

static int
add_chunk(struct btrfs_places *places, uint64_t start,
	  const struct btrfs_chunk *chunk)
{
	struct btrfs_place *more;

	more = realloc(places->place, (places->n + 1) * sizeof(*more));
	if (more == NULL)
		return -ENOMEM;
	places->place = more;
	more[places->n++] = (struct btrfs_place){
		.start = start, .length = le64toh(chunk->length),
		.device = le64toh(chunk->stripe.devid),
		.single = (le64toh(chunk->type) &
			   BTRFS_BLOCK_GROUP_PROFILE_MASK) == 0,
	};
	return 0;
}

/* What one search found; moves the key behind it. */
static int
add_found(struct btrfs_places *places, struct btrfs_ioctl_search_args *args)
{
	struct btrfs_ioctl_search_header header;
	struct btrfs_chunk chunk;
	size_t at = 0;
	int r = 0;

	for (uint32_t i = 0; i < args->key.nr_items && r == 0; i++) {
		memcpy(&header, args->buf + at, sizeof(header));
		at += sizeof(header);
		if (header.type == BTRFS_CHUNK_ITEM_KEY &&
		    header.len >= sizeof(chunk)) {
			memcpy(&chunk, args->buf + at, sizeof(chunk));
			r = add_chunk(places, header.offset, &chunk);
		}
		at += header.len;
		args->key.min_offset = header.offset + 1;
	}
	return r;
}

int
btrfs_places(int fd, struct btrfs_places *ret_places)
{
	struct btrfs_ioctl_search_args args = { 0 };
	struct btrfs_places places = { 0 };
	int r = 0;

	args.key.tree_id = BTRFS_CHUNK_TREE_OBJECTID;
	args.key.min_objectid = BTRFS_FIRST_CHUNK_TREE_OBJECTID;
	args.key.max_objectid = BTRFS_FIRST_CHUNK_TREE_OBJECTID;
	args.key.max_offset = UINT64_MAX;
	args.key.max_transid = UINT64_MAX;
	args.key.min_type = BTRFS_CHUNK_ITEM_KEY;
	args.key.max_type = BTRFS_CHUNK_ITEM_KEY;
	while (r == 0) {
		args.key.nr_items = UINT32_MAX;
		if (ioctl(fd, BTRFS_IOC_TREE_SEARCH, &args) < 0)
			r = -errno;
		else if (args.key.nr_items == 0)
			break;
		else
			r = add_found(&places, &args);
	}
	if (r < 0)
		btrfs_places_clear(&places);
	else
		*ret_places = places;
	return r;
}

void
btrfs_places_clear(struct btrfs_places *places)
{
	free(places->place);
	places->place = NULL;
	places->n = 0;
}

const struct btrfs_place *
btrfs_place_of(const struct btrfs_places *places, uint64_t address)
{
	size_t low = 0, high = places->n, middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (places->place[middle].start <= address)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0 || address - places->place[low - 1].start >=
			places->place[low - 1].length)
		return NULL;
	return &places->place[low - 1];
}
