/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * swapmap.c - swap maps: what all kinds have in common
 *
 * A map is an arena that begins with struct swapmap_start: what the map is,
 * and SWAPMAP_HEADER_MAX bytes of the caller's.  The slots follow in a form
 * that is the kind's own (swapmap-array.c, swapmap-hash.c, swapmap-trie.c).  A
 * map may choose its kind by itself (swapmap-auto.c).
 *
 * Creation.  The magic number is stored last.  A process that dies while it
 * creates a map leaves a file that swapmap_open() refuses with -EBADMSG, and
 * that holds nothing.
 *
 * Order.  A page's slot is clear before its block is reported as free: were it
 * the other way round, a crash in between could leave one block with two
 * owners.  The crash that does fall in between leaves a block without an owner,
 * and whoever rebuilds the block lists from the maps finds it free.
 *
 * Two maps.  swapmap_transfer() first prepares the slots in the destination,
 * which is all that can fail, and then moves.  It allocates only to remember
 * those pages of the destination that somebody else has prepared, so that they
 * stay so.
 */
#include "swapmap.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compiler.h"
#include "swapmap-impl.h"

static const struct swapmap_ops *const kinds[] = {
	&swapmap_array_ops,
	&swapmap_hash_ops,
	&swapmap_trie_ops,
};

static const struct swapmap_ops *
ops_of(uint64_t kind)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (kinds[i]->kind == kind)
			return kinds[i];
	}
	return NULL;
}

const char *
swapmap_kind_name(enum swapmap_kind kind)
{
	const struct swapmap_ops *ops = ops_of(kind);

	return ops == NULL ? "auto" : ops->name;
}

int
swapmap_kind_parse(const char *name, enum swapmap_kind *ret_kind)
{
	for (unsigned kind = 0; kind < SWAPMAP_NKINDS; kind++) {
		if (strcmp(name, swapmap_kind_name(kind)) == 0) {
			*ret_kind = kind;
			return 0;
		}
	}
	return -EINVAL;
}

/* ------------------------------------------------------------- batches */

static void
batch_flush(struct swapmap_batch *batch)
{
	if (batch->n > 0 && batch->fn != NULL)
		batch->fn(batch->arg, batch->first_block, batch->n);
	batch->n = 0;
}

void
swapmap_batch_add_run(struct swapmap_batch *batch, uint64_t word, uint64_t n)
{
	uint64_t block = swapmap_block(word);

	if (batch->n > 0 && block == batch->first_block + batch->n) {
		batch->n += n;
		return;
	}
	if (batch->n > 0 && block + n == batch->first_block) {
		batch->first_block = block;
		batch->n += n;
		return;
	}
	batch_flush(batch);
	batch->first_block = block;
	batch->n = n;
}

void
swapmap_batch_add(struct swapmap_batch *batch, uint64_t word)
{
	if (swapmap_block(word) <= SWAPMAP_BLOCK_MAX)
		swapmap_batch_add_run(batch, word, 1);
}

/* ------------------------------------------------- creation and opening */

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
	start->is_auto = map->is_auto;
	if (header_len > 0)
		memcpy(start->caller, header, header_len);
	r = map->ops->format(map);
	if (r < 0)
		return r;
	atomic_store_explicit(&start->magic, SWAPMAP_MAGIC,
			      memory_order_release);
	return 0;
}

int
swapmap_build(struct swapmap *map, const struct swapmap_spec *spec)
{
	int r;

	map->npages = spec->npages;
	r = arena_create(&map->arena, spec->dirfd, spec->name,
			 map->ops->reserve(map->npages));
	if (r < 0)
		return r;
	if (spec->account != NULL)
		arena_charge(&map->arena, spec->account);
	r = start_format(map, spec->header, spec->header_len);
	if (r < 0) {
		if (spec->name != NULL)
			(void)unlinkat(spec->dirfd, spec->name, 0);
		swapmap_release(map);
	}
	return r;
}

void
swapmap_release(struct swapmap *map)
{
	if (map->ops->release != NULL)
		map->ops->release(map);
	if (map->aside.base != NULL)
		arena_destroy(&map->aside);
	arena_destroy(&map->arena);
}

/* Free a map that holds nothing any more. */
static void
map_free(struct swapmap *map)
{
	if (map->dirfd >= 0)
		close(map->dirfd);
	free(map->name);
	free(map);
}

static struct swapmap *
map_new(void)
{
	struct swapmap *map = calloc(1, sizeof(*map));

	if (map != NULL)
		map->dirfd = -1;
	return map;
}

/* A map that may switch must find its file again. */
static int
map_remember(struct swapmap *map, int dirfd, const char *name)
{
	if (!map->is_auto || name == NULL)
		return 0;
	map->name = strdup(name);
	if (map->name == NULL)
		return -ENOMEM;
	map->dirfd = openat(dirfd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return map->dirfd < 0 ? -errno : 0;
}

static int
spec_check(const struct swapmap_spec *spec, const struct swapmap_ops *ops)
{
	if (spec->npages == 0 || spec->header_len > SWAPMAP_HEADER_MAX ||
	    ops == NULL)
		return -EINVAL;
	return spec->npages > ops->pages_max ? -EFBIG : 0;
}

int
swapmap_create(const struct swapmap_spec *spec, struct swapmap **ret_map)
{
	const struct swapmap_ops *ops = spec->kind == SWAPMAP_AUTO ?
					swapmap_auto_first(spec->npages) :
					ops_of(spec->kind);
	struct swapmap *map;
	int r = spec_check(spec, ops);

	if (r < 0)
		return r;
	map = map_new();
	if (map == NULL)
		return -ENOMEM;
	map->ops = ops;
	map->is_auto = spec->kind == SWAPMAP_AUTO;
	r = map_remember(map, spec->dirfd, spec->name);
	if (r == 0)
		r = swapmap_build(map, spec);
	if (r < 0) {
		map_free(map);
		return r;
	}
	swapmap_auto_watch(map);
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
	map->ops = ops_of(start->kind);
	if (map->ops == NULL)
		return -EPROTO;
	if (start->npages == 0 || start->npages > map->ops->pages_max)
		return -EBADMSG;
	map->is_auto = start->is_auto != 0;
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
	if (r == 0)
		r = map_remember(map, dirfd, name);
	if (r < 0)
		swapmap_release(map);
	return r;
}

int
swapmap_open(int dirfd, const char *name, struct arena_account *account,
	     struct swapmap **ret_map)
{
	struct swapmap *map = map_new();
	int r;

	if (map == NULL)
		return -ENOMEM;
	r = map_open(map, dirfd, name);
	if (r < 0) {
		map_free(map);
		return r;
	}
	if (account != NULL) {
		arena_charge(&map->arena, account);
		if (map->aside.base != NULL)
			arena_charge(&map->aside, account);
	}
	swapmap_auto_tidy(map);
	swapmap_auto_watch(map);
	*ret_map = map;
	return 0;
}

enum swapmap_kind
swapmap_kind(const struct swapmap *map)
{
	return map->ops->kind;
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
	swapmap_release(map);
	map_free(map);
}

/* ----------------------------------------------------------- one map */

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
	uint64_t word = swapmap_word(block), old;
	int r;

	/* The largest two are SWAPMAP_POISON and SWAPMAP_NONE. */
	if (page >= map->npages ||
	    (block > SWAPMAP_BLOCK_MAX && block < SWAPMAP_POISON))
		return -ERANGE;
	r = map->ops->set(map, page, word, &old);
	if (swap_unlikely(r < 0))
		return r;
	map->count += (uint64_t)(word != 0) -
		      (uint64_t)((old & SWAPMAP_VALUE) != 0);
	if (ret_old != NULL)
		*ret_old = swapmap_block(old);
	if (word != 0 &&
	    swap_unlikely(map->count > map->many || map->count < map->few))
		swapmap_auto_consider(map);
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

int
swapmap_each(const struct swapmap *map, uint64_t page, uint64_t n,
	     swapmap_each_fn *fn, void *arg)
{
	n = clip(map, page, n);
	if (n == 0 || map->count == 0)
		return 0;
	return map->ops->each(map, page, n, false, fn, arg);
}

struct search {
	uint64_t lo, hi;
	uint64_t page, block;
};

static int
search_visit(void *arg, uint64_t page, uint64_t block)
{
	struct search *search = arg;

	if (block < search->lo || block >= search->hi ||
	    block == SWAPMAP_POISON)
		return 0;
	search->page = page;
	search->block = block;
	return 1;
}

bool
swapmap_find_in(const struct swapmap *map, uint64_t page, uint64_t n,
		uint64_t lo, uint64_t hi, uint64_t *ret_page,
		uint64_t *ret_block)
{
	struct search search = { .lo = lo, .hi = hi };

	if (swapmap_each(map, page, n, search_visit, &search) == 0)
		return false;
	*ret_page = search.page;
	*ret_block = search.block;
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

/* ----------------------------------------------------------- two maps */

struct transfer {
	struct swapmap	*to, *from;
	uint64_t	 to_page, from_page;
	/* Prepared by somebody else, in the destination; in order. */
	uint64_t	*held;
	size_t		 nheld;
	size_t		 at;		/* of these: the next to come */
	uint64_t	 stop;		/* page of @from: undo ends there */
	int		 error;
};

static uint64_t
to_page(const struct transfer *t, uint64_t from_page)
{
	return from_page - t->from_page + t->to_page;
}

static int
remember_held(struct transfer *t, uint64_t page)
{
	/* Powers of two are full. */
	if ((t->nheld & (t->nheld - 1)) == 0) {
		uint64_t *held = realloc(t->held, sizeof(*held) *
					 (t->nheld == 0 ? 1 : 2 * t->nheld));

		if (held == NULL)
			return -ENOMEM;
		t->held = held;
	}
	t->held[t->nheld++] = page;
	return 0;
}

/* Is @page the next of those that somebody else holds? */
static bool
was_held(struct transfer *t, uint64_t page)
{
	if (t->at == t->nheld || t->held[t->at] != page)
		return false;
	t->at++;
	return true;
}

static int
transfer_prepare(void *arg, uint64_t page, uint64_t block)
{
	struct transfer *t = arg;
	uint64_t to = to_page(t, page), word = t->to->ops->get(t->to, to);

	(void)block;
	if ((word & SWAPMAP_VALUE) != 0)
		return 0;
	t->stop = page;
	t->error = (word & SWAPMAP_HELD) != 0 ? remember_held(t, to) :
		   t->to->ops->prepare(t->to, to, 1);
	return t->error < 0;
}

static int
transfer_undo(void *arg, uint64_t page, uint64_t block)
{
	struct transfer *t = arg;
	uint64_t to = to_page(t, page);

	(void)block;
	if (page >= t->stop)
		return 1;
	if (t->to->ops->get(t->to, to) == SWAPMAP_HELD && !was_held(t, to))
		t->to->ops->unprepare(t->to, to, 1);
	return 0;
}

/* Enter a block into the destination.  Does it win?  Its slot is prepared. */
static bool
transfer_enter(struct transfer *t, uint64_t page, uint64_t block)
{
	uint64_t to = to_page(t, page), word = t->to->ops->get(t->to, to), old;
	int r;

	if ((word & SWAPMAP_VALUE) != 0)
		return false;
	r = t->to->ops->set(t->to, to, swapmap_word(block), &old);
	assert(r == 0);
	t->to->count++;
	if (was_held(t, to)) {
		/* It has a slot, and so this does not fail either. */
		r = t->to->ops->prepare(t->to, to, 1);
		assert(r == 0);
	}
	(void)r;
	return true;
}

/*
 * Enter the pages from @page that follow one another and fare alike; returns
 * how many, and in *ret_won how they fared.
 */
static uint64_t
transfer_run(struct transfer *t, uint64_t page, uint64_t end, bool *ret_won)
{
	uint64_t n = 0;

	while (page + n < end) {
		uint64_t block = swapmap_get(t->from, page + n);
		uint64_t to = to_page(t, page + n);
		bool free_slot;

		if (block == SWAPMAP_NONE)
			break;
		free_slot = swapmap_get(t->to, to) == SWAPMAP_NONE;
		if (n > 0 && free_slot != *ret_won)
			break;
		*ret_won = transfer_enter(t, page + n, block);
		n++;
	}
	return n;
}

/* All is prepared: move. */
static void
transfer_move(struct transfer *t, uint64_t n, struct swapmap_batch *batch)
{
	uint64_t page = t->from_page, end = page + n, block;

	t->at = 0;
	while (swapmap_find(t->from, page, &page, &block) && page < end) {
		bool won = false;
		uint64_t run = transfer_run(t, page, end, &won);

		t->from->count -= t->from->ops->clear(t->from, page, run,
						      won ? NULL : batch);
		page += run;
	}
}

int
swapmap_transfer(struct swapmap *to, uint64_t to_first, struct swapmap *from,
		 uint64_t from_first, uint64_t n, swapmap_free_fn *fn,
		 void *arg)
{
	struct swapmap_batch batch = { .fn = fn, .arg = arg };
	struct transfer t = {
		.to = to, .from = from,
		.to_page = to_first, .from_page = from_first,
	};

	if (to == from)
		return -EINVAL;
	if (clip(to, to_first, n) != n || clip(from, from_first, n) != n)
		return -ERANGE;
	(void)swapmap_each(from, from_first, n, transfer_prepare, &t);
	if (t.error < 0)
		(void)swapmap_each(from, from_first, n, transfer_undo, &t);
	else
		transfer_move(&t, n, &batch);
	batch_flush(&batch);
	free(t.held);
	if (to->count > to->many)
		swapmap_auto_consider(to);
	return t.error;
}

struct copy {
	struct swapmap *to;
	int error;
};

static int
copy_visit(void *arg, uint64_t page, uint64_t block)
{
	struct copy *copy = arg;
	uint64_t old;

	copy->error = copy->to->ops->set(copy->to, page, swapmap_word(block),
					 &old);
	if (copy->error < 0)
		return 1;
	copy->to->count++;
	return 0;
}

int
swapmap_copy(struct swapmap *to, const struct swapmap *from)
{
	struct copy copy = { .to = to };

	if (to == from || to->count != 0 || to->npages != from->npages)
		return -EINVAL;
	(void)swapmap_each(from, 0, from->npages, copy_visit, &copy);
	if (copy.error < 0)
		(void)swapmap_clear(to, 0, to->npages, NULL, NULL);
	else if (to->count > to->many)
		swapmap_auto_consider(to);
	return copy.error;
}

/* ---------------------------------------------------------- what it is */

uint64_t
swapmap_count(const struct swapmap *map)
{
	return map->count;
}

size_t
swapmap_memory(const struct swapmap *map)
{
	return sizeof(*map) + map->arena.size + map->aside.size;
}

int
swapmap_check(const struct swapmap *map)
{
	if (map->npages != map->start->npages)
		return -EBADMSG;
	return map->ops->check(map);
}
