/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * swapmap-auto.c - swap maps that choose their kind, and change it
 *
 * Which kind is the best follows from the size of the object and from how much
 * of it is mapped:
 *
 *	array	to SMALL pages, whatever is mapped
 *	trie	above that, at first
 *	array	to LARGE pages, once one page in 2^DENSE_BITS is mapped
 *	trie	again, when fewer than one in 2^SPARSE_BITS is left
 *
 * The hash is never chosen: it is not the best at anything.
 *
 * A switch builds the new map beside the old one and then puts it in its
 * place.  Slots that are held stay so, and the caller's header goes along.  A
 * map in a file is built under a temporary name, which is renamed over the old
 * one when all is in it: a successor finds one or the other, complete.  If
 * there is no memory for both at a time the old map simply stays, and another
 * attempt is made when a quarter more, or fewer, pages are mapped.
 *
 * When.  Setting a page may switch, for that may allocate; clearing and asking
 * never do.  A switch costs one pass over the map, under the object's lock, and
 * LARGE is chosen so that this takes less than 10 ms.  The two limits are a
 * factor of 2^(SPARSE_BITS - DENSE_BITS) apart, so between two switches there
 * are as many calls as there are pages to copy, about, and each pays for a
 * constant part.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compiler.h"
#include "swapmap-impl.h"

#define SMALL		(UINT64_C(1) << 14)
#define LARGE		(UINT64_C(1) << 20)
#define DENSE_BITS	3u
#define SPARSE_BITS	6u

const struct swapmap_ops *
swapmap_auto_first(uint64_t npages)
{
	return npages <= SMALL ? &swapmap_array_ops : &swapmap_trie_ops;
}

void
swapmap_auto_watch(struct swapmap *map)
{
	map->few = 0;
	map->many = UINT64_MAX;
	if (!map->is_auto || map->npages <= SMALL || map->npages > LARGE)
		return;
	if (map->ops == &swapmap_array_ops)
		map->few = map->npages >> SPARSE_BITS;
	else
		map->many = map->npages >> DENSE_BITS;
}

/* Copies slots into a map of another kind. */
struct refill {
	struct swapmap *map;
	int error;
};

static int
refill_visit(void *arg, uint64_t page, uint64_t word)
{
	struct refill *refill = arg;
	struct swapmap *map = refill->map;
	uint64_t old;
	int r = 0;

	if ((word & SWAPMAP_VALUE) != 0) {
		r = map->ops->set(map, page, word & SWAPMAP_VALUE, &old);
		map->count += r == 0;
	}
	if (r == 0 && (word & SWAPMAP_HELD) != 0)
		r = map->ops->prepare(map, page, 1);
	refill->error = r;
	return r < 0;
}

/* Build in *new what @map has, in a file with @name (NULL: in memory). */
static int
rebuild(struct swapmap *map, struct swapmap *new, const char *name)
{
	struct swapmap_spec spec = {
		.npages = map->npages,
		.dirfd = map->dirfd,
		.name = name,
		.header = map->start->caller,
		.header_len = SWAPMAP_HEADER_MAX,
		.account = map->arena.account,
	};
	struct refill refill = { .map = new };
	int r = swapmap_build(new, &spec);

	if (r < 0)
		return r;
	(void)map->ops->each(map, 0, map->npages, true, refill_visit, &refill);
	r = refill.error;
	if (r == 0 && name != NULL &&
	    renameat(map->dirfd, name, map->dirfd, map->name) < 0)
		r = -errno;
	if (r < 0) {
		if (name != NULL)
			(void)unlinkat(map->dirfd, name, 0);
		swapmap_release(new);
	}
	return r;
}

static int
temporary_name(const struct swapmap *map, char **ret_name)
{
	return asprintf(ret_name, "%s.new", map->name) < 0 ? -ENOMEM : 0;
}

void
swapmap_auto_tidy(struct swapmap *map)
{
	char *temporary;

	if (map->name != NULL && temporary_name(map, &temporary) == 0) {
		(void)unlinkat(map->dirfd, temporary, 0);
		free(temporary);
	}
}

static int
switch_to(struct swapmap *map, const struct swapmap_ops *ops)
{
	struct swapmap new = {
		.ops = ops, .is_auto = true,
		.dirfd = map->dirfd, .name = map->name,
	};
	char *temporary = NULL;
	int r = map->name == NULL ? 0 : temporary_name(map, &temporary);

	/* Another process may have left one, under this name. */
	if (temporary != NULL)
		(void)unlinkat(map->dirfd, temporary, 0);
	if (r == 0)
		r = rebuild(map, &new, temporary);
	free(temporary);
	if (r < 0)
		return r;
	swapmap_release(map);
	*map = new;
	return 0;
}

void
swapmap_auto_consider(struct swapmap *map)
{
	const struct swapmap_ops *ops = map->ops == &swapmap_array_ops ?
					&swapmap_trie_ops : &swapmap_array_ops;
	int r = switch_to(map, ops);

	swapmap_auto_watch(map);
	if (r >= 0)
		return;
	if (map->few > 0)
		map->few = map->count - map->count / 4;
	else
		map->many = map->count + map->count / 4;
}
