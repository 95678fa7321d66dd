/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * swapmap.c - swap maps: what all kinds have in common
 *
 * A map is an arena that begins with struct swapmap_start: what the map is,
 * and SWAPMAP_HEADER_MAX bytes of the caller's.  The slots follow in a form
 * that is the kind's own (swapmap-trie.c).
 *
 * Creation.  The magic number is stored last.  A process that dies while it
 * creates a map leaves a file that swapmap_open() refuses with -EBADMSG, and
 * that holds nothing.
 *
 * Order.  A page's slot is clear before its block is reported as free: were it
 * the other way round, a crash in between could leave one block with two
 * owners.  The crash that does fall in between leaves a block without an owner,
 * and whoever rebuilds the block lists from the maps finds it free.
 */
#include "swapmap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compiler.h"
#include "swapmap-impl.h"

static const struct swapmap_ops *const kinds[] = {
	&swapmap_trie_ops,
};

static void
batch_flush(struct swapmap_batch *batch)
{
	if (batch->n > 0 && batch->fn != NULL)
		batch->fn(batch->arg, batch->first_block, batch->n);
	batch->n = 0;
}

void
swapmap_batch_add(struct swapmap_batch *batch, uint64_t word)
{
	uint64_t block = swapmap_block(word);

	if (block > SWAPMAP_BLOCK_MAX)
		return;
	if (batch->n > 0 && block == batch->first_block + batch->n) {
		batch->n++;
		return;
	}
	if (batch->n > 0 && block + 1 == batch->first_block) {
		batch->first_block--;
		batch->n++;
		return;
	}
	batch_flush(batch);
	batch->first_block = block;
	batch->n = 1;
}

/* Make the start usable and fill it; the arena is new. */
static int
start_format(struct swapmap *map, const void *header, size_t header_len)
{
	struct swapmap_start *start;
	int r = arena_grow(&map->arena, SWAPMAP_START);

	if (r < 0)
		return r;
	start = map->start = (void *)map->arena.base;
	start->version = SWAPMAP_VERSION;
	start->kind = map->ops->kind;
	start->npages = map->npages;
	if (header_len > 0)
		memcpy(start->caller, header, header_len);
	r = map->ops->format(map);
	if (r < 0)
		return r;
	atomic_store_explicit(&start->magic, SWAPMAP_MAGIC,
			      memory_order_release);
	return 0;
}

static int
map_create(struct swapmap *map, const struct swapmap_spec *spec)
{
	int r = arena_create(&map->arena, spec->dirfd, spec->name,
			     map->ops->reserve(map->npages));

	if (r < 0)
		return r;
	if (spec->account != NULL)
		arena_charge(&map->arena, spec->account);
	r = start_format(map, spec->header, spec->header_len);
	if (r < 0) {
		if (spec->name != NULL)
			(void)unlinkat(spec->dirfd, spec->name, 0);
		arena_destroy(&map->arena);
	}
	return r;
}

int
swapmap_create(const struct swapmap_spec *spec, struct swapmap **ret_map)
{
	struct swapmap *map;
	int r;

	if (spec->npages == 0 || spec->header_len > SWAPMAP_HEADER_MAX)
		return -EINVAL;
	if (spec->npages > SWAPMAP_PAGES_MAX)
		return -EFBIG;
	map = calloc(1, sizeof(*map));
	if (map == NULL)
		return -ENOMEM;
	map->ops = &swapmap_trie_ops;
	map->npages = spec->npages;
	r = map_create(map, spec);
	if (r < 0) {
		free(map);
		return r;
	}
	*ret_map = map;
	return 0;
}

/* Believe nothing: the bytes come from a file. */
static int
start_check(struct swapmap *map)
{
	struct swapmap_start *start = (void *)map->arena.base;

	if (map->arena.size < SWAPMAP_START ||
	    atomic_load_explicit(&start->magic, memory_order_acquire) !=
	    SWAPMAP_MAGIC)
		return -EBADMSG;
	if (start->version != SWAPMAP_VERSION)
		return -EPROTO;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (kinds[i]->kind == start->kind)
			map->ops = kinds[i];
	}
	if (map->ops == NULL)
		return -EPROTO;
	if (start->npages == 0 || start->npages > SWAPMAP_PAGES_MAX)
		return -EBADMSG;
	map->start = start;
	map->npages = start->npages;
	return 0;
}

/* Map the file far enough to hold @reserve bytes, and check its start. */
static int
map_start(struct swapmap *map, int dirfd, const char *name, size_t reserve)
{
	int r = arena_open(&map->arena, dirfd, name, reserve);

	if (r < 0)
		return r;
	r = start_check(map);
	if (r < 0)
		arena_destroy(&map->arena);
	return r;
}

static int
map_open(struct swapmap *map, int dirfd, const char *name)
{
	size_t reserve;
	int r;

	/* How much to reserve is known when the start has been read. */
	r = map_start(map, dirfd, name, SWAPMAP_START);
	if (r < 0)
		return r;
	reserve = map->ops->reserve(map->npages);
	arena_destroy(&map->arena);
	r = map_start(map, dirfd, name, reserve);
	if (r < 0)
		return r;
	r = map->ops->load(map);
	if (r < 0)
		arena_destroy(&map->arena);
	return r;
}

int
swapmap_open(int dirfd, const char *name, struct arena_account *account,
	     struct swapmap **ret_map)
{
	struct swapmap *map;
	int r;

	map = calloc(1, sizeof(*map));
	if (map == NULL)
		return -ENOMEM;
	r = map_open(map, dirfd, name);
	if (r < 0) {
		free(map);
		return r;
	}
	if (account != NULL)
		arena_charge(&map->arena, account);
	*ret_map = map;
	return 0;
}

void *
swapmap_header(struct swapmap *map)
{
	return map->start->caller;
}

void
swapmap_destroy(struct swapmap *map)
{
	if (map == NULL)
		return;
	arena_destroy(&map->arena);
	free(map);
}

uint64_t
swapmap_npages(const struct swapmap *map)
{
	return map->npages;
}

uint64_t
swapmap_get(const struct swapmap *map, uint64_t page)
{
	if (page >= map->npages)
		return SWAPMAP_NONE;
	return swapmap_block(map->ops->get(map, page));
}

int
swapmap_set(struct swapmap *map, uint64_t page, uint64_t block,
	    uint64_t *ret_old)
{
	uint64_t old;
	int r;

	if (page >= map->npages)
		return -ERANGE;
	if (block > SWAPMAP_BLOCK_MAX && block != SWAPMAP_NONE &&
	    block != SWAPMAP_POISON)
		return -ERANGE;
	r = map->ops->set(map, page, swapmap_word(block), &old);
	if (r < 0)
		return r;
	old = swapmap_block(old);
	map->count += (block != SWAPMAP_NONE);
	map->count -= (old != SWAPMAP_NONE);
	if (ret_old != NULL)
		*ret_old = old;
	return 0;
}

/* As much of [page, page + n) as there is; 0: nothing. */
static uint64_t
clip(const struct swapmap *map, uint64_t page, uint64_t n)
{
	return page < map->npages ? min_u64(n, map->npages - page) : 0;
}

int
swapmap_prepare(struct swapmap *map, uint64_t page, uint64_t n)
{
	if (n == 0)
		return 0;
	if (clip(map, page, n) != n)
		return -ERANGE;
	return map->ops->prepare(map, page, n);
}

void
swapmap_unprepare(struct swapmap *map, uint64_t page, uint64_t n)
{
	n = clip(map, page, n);
	if (n > 0)
		map->ops->unprepare(map, page, n);
}

bool
swapmap_find(const struct swapmap *map, uint64_t page, uint64_t *ret_page,
	     uint64_t *ret_block)
{
	uint64_t word;

	if (page >= map->npages || map->count == 0 ||
	    !map->ops->find(map, page, ret_page, &word))
		return false;
	*ret_block = swapmap_block(word);
	return true;
}

uint64_t
swapmap_run(const struct swapmap *map, uint64_t page, uint64_t max)
{
	uint64_t block = swapmap_get(map, page);
	uint64_t n = 1;

	if (block > SWAPMAP_BLOCK_MAX || max == 0)
		return 0;
	while (n < max && swapmap_get(map, page + n) == block + n)
		n++;
	return n;
}

uint64_t
swapmap_run_before(const struct swapmap *map, uint64_t page, uint64_t max)
{
	uint64_t block = swapmap_get(map, page);
	uint64_t n = 0;

	if (block > SWAPMAP_BLOCK_MAX)
		return 0;
	max = min_u64(max, min_u64(page, block));
	while (n < max && swapmap_get(map, page - n - 1) == block - n - 1)
		n++;
	return n;
}

uint64_t
swapmap_clear(struct swapmap *map, uint64_t page, uint64_t n,
	      swapmap_free_fn *fn, void *arg)
{
	struct swapmap_batch batch = { .fn = fn, .arg = arg };
	uint64_t nmapped;

	n = clip(map, page, n);
	if (n == 0 || map->count == 0)
		return 0;
	nmapped = map->ops->clear(map, page, n, &batch);
	map->count -= nmapped;
	batch_flush(&batch);
	return nmapped;
}

uint64_t
swapmap_count(const struct swapmap *map)
{
	return map->count;
}

size_t
swapmap_memory(const struct swapmap *map)
{
	return sizeof(*map) + map->arena.size;
}

int
swapmap_check(const struct swapmap *map)
{
	if (map->npages != map->start->npages)
		return -EBADMSG;
	return map->ops->check(map);
}
