/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test-swapmap-trie.c - how a trie keeps its slots
 *
 * The sources are included, so that nodes can be looked at and faults be
 * planted; and so that a successor can open a copy of the file after each
 * store to a link or to a slot.
 */
#include "swapmap-fixture.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define link_store	plain_link_store
#define slot_store	plain_slot_store
#include "swapmap-trie.h"
#undef link_store
#undef slot_store

/* Called after each store, if it is not NULL. */
static void (*after_store)(void *arg);
static void *after_store_arg;

static void
link_store(_Atomic uint32_t *link, uint32_t value)
{
	plain_link_store(link, value);
	if (after_store != NULL)
		after_store(after_store_arg);
}

static void
slot_store(_Atomic uint64_t *slot, uint64_t word)
{
	plain_slot_store(slot, word);
	if (after_store != NULL)
		after_store(after_store_arg);
}

#include "swapmap-trie-build.c"
#include "swapmap-trie-check.c"
#include "swapmap-trie.c"

#include "util.h"

static struct swapmap *
trie(uint64_t npages)
{
	return create(SWAPMAP_TRIE, npages, -1);
}

/* The link of a page in the node that is found after @depth steps. */
static _Atomic uint32_t *
link_of(const struct swapmap *map, uint64_t page, unsigned depth)
{
	unsigned shift = map->trie.shift;
	_Atomic uint32_t *link = &map->trie.table[page >> shift];

	for (; depth > 0; depth--) {
		struct trie_inner *inner = node_of(map, link_load(link));

		assert_true(link_load(link) != 0);
		assert_int_equal(link_load(link) & LINK_BAG, 0);
		shift -= NODE_BITS;
		link = &inner->link[entry_of(page, shift)];
	}
	return link;
}

static struct trie_bag *
bag_of(const struct swapmap *map, uint64_t page, unsigned depth)
{
	uint32_t link = link_load(link_of(map, page, depth));

	assert_true((link & LINK_BAG) != 0);
	return node_of(map, link);
}

/* All that was ever used is free, but for the table. */
static void
expect_empty(const struct swapmap *map)
{
	uint64_t table = map->trie.table_unit == 0 ? 0 :
			 trie_table_units(map->trie.table_bits);

	assert_int_equal(swapmap_check(map), 0);
	assert_int_equal(swapmap_count(map), 0);
	assert_int_equal(map->trie.nfree + table,
			 map->trie.fresh - UNIT_FIRST);
	assert_int_equal(map->trie.nlinks, 0);
}

/* --------------------------------------------------------------- shapes */

/* A bag grows by its sizes, and bursts into a leaf where a leaf can be. */
static void
test_bag_to_leaf(void **state)
{
	static const unsigned capacity[] = { 2, 5, 10, 21 };
	struct swapmap *map = trie(64 * 64);
	unsigned class = 0;

	(void)state;
	assert_int_equal(map->trie.shift, NODE_BITS);
	for (unsigned i = 0; i < 21; i++) {
		set(map, 64 + i * 3, i);
		class += i == capacity[class];
		assert_int_equal(bag_of(map, 64, 0)->class, class);
		assert_int_equal(swapmap_check(map), 0);
	}
	set(map, 64 + 63, 21);
	assert_int_equal(link_load(link_of(map, 64, 0)) & LINK_BAG, 0);
	assert_int_equal(swapmap_check(map), 0);
	for (unsigned i = 0; i < 22; i++)
		assert_int_equal(swapmap_get(map, 64 + i * 3), i);
	assert_int_equal(swapmap_get(map, 65), NONE);
	assert_int_equal(swapmap_clear(map, 0, 64 * 64, NULL, NULL), 22);
	expect_empty(map);
	swapmap_destroy(map);
}

/* A pair that was cleared leaves its place to another page. */
static void
test_bag_reuse(void **state)
{
	struct swapmap *map = trie(UINT64_C(1) << 36);
	uint64_t fresh;

	(void)state;
	set(map, 1000000, 1);
	set(map, 1000001, 2);
	fresh = map->trie.fresh;
	for (uint64_t page = 0; page < 500; page++) {
		set(map, 2000000 + page * 7, page);
		set(map, 2000000 + page * 7, NONE);
		assert_int_equal(swapmap_check(map), 0);
	}
	assert_int_equal(map->trie.fresh, fresh);
	assert_int_equal(swapmap_run(map, 1000000, 9), 2);
	swapmap_destroy(map);
}

/* Pages that are near each other burst through several levels at once. */
static void
test_burst_deep(void **state)
{
	struct swapmap *map = trie(UINT64_C(1) << 36);
	const uint64_t page = UINT64_C(0x123456789);

	(void)state;
	for (uint64_t i = 0; i < 21; i++)
		set(map, page + i, i);
	assert_int_equal(bag_of(map, page, 0)->class, CLASS_BAG_MAX);
	set(map, page + 21, 21);
	assert_int_equal(map->trie.ninner, 1);
	/* 2^36 pages: 6 bits of table, 4 inner nodes, a leaf. */
	assert_int_equal(link_load(link_of(map, page, 4)) & LINK_BAG, 0);
	assert_int_equal(swapmap_check(map), 0);
	assert_int_equal(swapmap_run(map, page, 99), 22);
	assert_int_equal(swapmap_clear(map, page, 22, NULL, NULL), 22);
	expect_empty(map);
	swapmap_destroy(map);
}

/* The largest maps have levels that are too wide for a bag. */
static void
test_no_bag_so_high(void **state)
{
	struct swapmap *map = trie(SWAPMAP_PAGES_MAX);

	(void)state;
	assert_true(map->trie.shift > BAG_SHIFT_MAX);
	set(map, 0, 7);
	set(map, SWAPMAP_PAGES_MAX - 1, 8);
	assert_int_equal(bag_of(map, 0, 1)->class, 0);
	assert_int_equal(swapmap_get(map, SWAPMAP_PAGES_MAX - 1), 8);
	assert_int_equal(swapmap_get(map, UINT64_C(1) << 32), NONE);
	assert_int_equal(swapmap_check(map), 0);
	assert_int_equal(swapmap_clear(map, 0, UINT64_MAX, NULL, NULL), 2);
	expect_empty(map);
	swapmap_destroy(map);
}

/* What fills in order gets leaves at once, and what is prepared in a row. */
static void
test_in_order(void **state)
{
	struct swapmap *map = trie(1 << 20);

	(void)state;
	for (uint64_t page = 0; page <= 4096; page++)
		set(map, page, page);
	for (uint64_t page = 4096; page < 4097 + 64; page++)
		set(map, page, page);
	assert_int_equal(link_load(link_of(map, 4160, 1)) & LINK_BAG, 0);
	assert_int_equal(swapmap_prepare(map, 70016, 32), 0);
	assert_int_equal(link_load(link_of(map, 70016, 1)) & LINK_BAG, 0);
	assert_int_equal(swapmap_check(map), 0);
	swapmap_unprepare(map, 70016, 32);
	assert_int_equal(link_load(link_of(map, 70016, 0)), 0);
	assert_int_equal(swapmap_check(map), 0);
	swapmap_destroy(map);
}

/* Half of the table's links lead to inner nodes: there is a larger table. */
static void
test_table_grows(void **state)
{
	struct swapmap *map = trie(1 << 20);
	unsigned bits = map->trie.table_bits;

	(void)state;
	assert_int_equal(map->trie.table_unit, 0);
	set(map, (1 << 20) - 1, 77);
	for (uint64_t page = 0; page < 1 << 19; page++)
		set(map, page, page * 2);
	assert_int_equal(map->trie.table_bits, bits + NODE_BITS);
	assert_true(map->trie.table_unit != 0);
	assert_int_equal(map->trie.ninner, 0);
	assert_int_equal(swapmap_check(map), 0);
	for (uint64_t page = 0; page < 1 << 19; page++)
		assert_int_equal(swapmap_get(map, page), page * 2);
	assert_int_equal(swapmap_get(map, (1 << 20) - 1), 77);
	assert_true((map->trie.fresh - map->trie.nfree) * UNIT_BYTES <
		    (1 << 19) * 84 / 10);
	assert_int_equal(swapmap_clear(map, 0, 1 << 20, NULL, NULL),
			 (1 << 19) + 1);
	expect_empty(map);
	swapmap_destroy(map);
}

/* Pages far apart: the bytes that each costs. */
static void
test_sparse_cost(void **state)
{
	struct swapmap *map = trie(UINT64_C(1) << 36);
	const uint64_t n = 200000;
	uint64_t random = 71;

	(void)state;
	for (uint64_t i = 0; i < n; i++)
		set(map, below(&random, UINT64_C(1) << 36), i);
	assert_true(map->trie.table_unit != 0);
	assert_true(swapmap_memory(map) < n * 40);
	assert_int_equal(swapmap_check(map), 0);
	(void)swapmap_clear(map, 0, UINT64_MAX, NULL, NULL);
	expect_empty(map);
	swapmap_destroy(map);
}

/* ---------------------------------------------------------------- memory */

/* What was bags becomes leaves where no more memory can be had. */
static void
test_buddies(void **state)
{
	struct swapmap *map = trie(UINT64_C(1) << 36);
	uint64_t leaves, page;

	(void)state;
	for (uint64_t i = 0; i < 4000; i++)
		set(map, i << 20, i);
	starve(map);
	(void)swapmap_clear(map, 0, UINT64_MAX, NULL, NULL);
	expect_empty(map);
	for (page = 0; swapmap_set(map, page, page, NULL) == 0; page++)
		continue;
	leaves = (map->trie.fresh - UNIT_FIRST) / LARGEST_UNITS;
	assert_true(page / 64 > leaves * 9 / 10);
	assert_int_equal(swapmap_check(map), 0);
	swapmap_destroy(map);
}

/* A prepared page finds its slot when its bag bursts, and nothing is free. */
static void
test_prepared_bursts(void **state)
{
	struct swapmap *map = trie(UINT64_C(1) << 36);
	uint64_t i, page, block;

	(void)state;
	assert_int_equal(swapmap_prepare(map, 5, 1), 0);
	assert_int_equal(swapmap_prepare(map, 1 << 20, 3), 0);
	for (i = 0; i < 50; i++)
		set(map, 100 + i * 5, i);
	assert_int_equal(swapmap_check(map), 0);
	starve(map);
	for (; swapmap_set(map, 100 + i * 5, i, NULL) == 0; i++)
		continue;
	(void)swapmap_clear(map, 0, UINT64_MAX, NULL, NULL);
	assert_int_equal(swapmap_check(map), 0);
	assert_int_equal(trie_get(map, 5), SWAPMAP_HELD);
	for (i = 0; i < 3; i++)
		assert_int_equal(trie_get(map, (1 << 20) + i), SWAPMAP_HELD);
	for (i = 0; swapmap_set(map, 100000 + i * 5000, i, NULL) == 0; i++)
		continue;
	assert_int_equal(swapmap_check(map), 0);
	set(map, 5, 1);
	for (i = 0; i < 3; i++)
		set(map, (1 << 20) + i, 2 + i);
	assert_true(swapmap_find(map, 0, &page, &block));
	assert_true(page == 5 && block == 1);
	assert_int_equal(swapmap_run(map, 1 << 20, 9), 3);
	swapmap_destroy(map);
}

/* A page that cannot be set leaves nothing on the way to it. */
static void
test_refused_whole(void **state)
{
	struct swapmap *map = trie(SWAPMAP_PAGES_MAX);
	const uint64_t far = UINT64_C(5) << 36;
	uint32_t unit[4096];
	unsigned n = 0;

	(void)state;
	set(map, 0, 1);
	starve(map);
	while (pool_take(map, 0, &unit[n]) == 0)
		assert_true(++n < ARRAY_SIZE(unit));
	/* One inner node can be had, and no bag below it. */
	for (unsigned i = 0; i < n && map->trie.nfree == 0; i++) {
		if (unit[i] % 8 != 0 || i + 7 >= n ||
		    unit[i + 7] != unit[i] + 7)
			continue;
		trie_give(map, unit[i], CLASS_INNER);
		memmove(&unit[i], &unit[i + 8], (n - i - 8) * 4);
		n -= 8;
	}
	assert_int_equal(map->trie.nfree, 8);
	assert_int_equal(swapmap_set(map, far, 1, NULL), -ENOMEM);
	assert_int_equal(map->trie.nfree, 8);
	assert_int_equal(swapmap_prepare(map, far, 30), -ENOMEM);
	assert_int_equal(map->trie.nfree, 8);
	while (n > 0)
		trie_give(map, unit[--n], 0);
	assert_int_equal(swapmap_check(map), 0);
	set(map, far, 1);
	assert_int_equal(swapmap_check(map), 0);
	swapmap_destroy(map);
}

#define FEW_PAGES	(4096 / 22)

/* Half the links lead to bags, and inner nodes are about to be as many. */
static struct swapmap *
brink_map(struct arena_account *account, uint64_t *ret_page)
{
	struct swapmap *map = create_charged(SWAPMAP_TRIE, UINT64_C(1) << 18,
					     -1, account);
	uint64_t page = 0;

	for (uint64_t i = 32; i < 64; i++) {
		for (uint64_t k = 0; k < 21; k++)
			set(map, i * 4096 + k * 64, k);
	}
	for (; map->trie.ninner < 31; page += FEW_PAGES)
		set(map, page, page);
	*ret_page = page;
	return map;
}

/*
 * A larger table that cannot be had, or what belongs below it, is done
 * without, and comes when there is memory.
 */
static void
test_table_refused(void **state)
{
	unsigned nrefused = 0, ngrown = 0;

	(void)state;
	for (unsigned i = 1; i < 20; i++) {
		struct arena_account account = { 0 };
		uint64_t page, used;
		struct swapmap *map = brink_map(&account, &page);

		used = account.used;
		atomic_store(&account.limit, used + i * 4096);
		while (map->trie.ninner > 0 && map->trie.ninner < 32 &&
		       swapmap_set(map, page, page, NULL) == 0)
			page += FEW_PAGES;
		assert_int_equal(swapmap_check(map), 0);
		if (map->trie.table_unit == 0)
			nrefused++;
		else
			ngrown++;
		atomic_store(&account.limit, 0);
		for (; page < 32 * 4096; page += FEW_PAGES)
			set(map, page, page);
		for (uint64_t k = 32; map->trie.table_unit == 0; k++)
			set(map, k * 4096 + 1, 1);
		assert_int_equal(swapmap_check(map), 0);
		for (page = 0; page < 32 * 4096; page += FEW_PAGES)
			assert_int_equal(swapmap_get(map, page), page);
		swapmap_destroy(map);
		assert_int_equal(account.used, 0);
	}
	assert_true(nrefused > 4 && ngrown > 0);
}

/* --------------------------------------------------------------- crashes */

/* The pages that are expected in any copy; @doubtful may have either value. */
struct crash {
	struct swapmap	*map;
	int		 dirfd;
	uint64_t	 stride, npages;
	uint64_t	 doubtful, old, new;
	unsigned	 nstores, every, ncopies;
};

static void
copy_file(const struct crash *crash)
{
	int fd = openat(crash->dirfd, "copy", O_WRONLY | O_CREAT | O_TRUNC,
			0600);

	assert_true(fd >= 0);
	assert_int_equal(pwrite_full(fd, crash->map->arena.base,
				     crash->map->arena.size, 0), 0);
	close(fd);
}

static void
crash_look(void *arg)
{
	struct crash *crash = arg;
	struct swapmap *map = NULL;
	uint64_t block;

	if (crash->nstores++ % crash->every != 0)
		return;
	crash->ncopies++;
	after_store = NULL;
	copy_file(crash);
	assert_int_equal(swapmap_open(crash->dirfd, "copy", NULL, &map), 0);
	assert_int_equal(swapmap_check(map), 0);
	for (uint64_t page = 0; page < crash->npages; page += crash->stride) {
		if (page != crash->doubtful)
			assert_int_equal(swapmap_get(map, page), page);
	}
	block = swapmap_get(map, crash->doubtful);
	assert_true(block == crash->old || block == crash->new);
	swapmap_destroy(map);
	after_store = crash_look;
}

/* Set one page, and look after every so many stores. */
static void
crash_set(struct crash *crash, uint64_t page, uint64_t old, uint64_t new)
{
	crash->doubtful = page;
	crash->old = old;
	crash->new = new;
	after_store_arg = crash;
	after_store = crash_look;
	set(crash->map, page, new);
	after_store = NULL;
}

/* While the table is replaced, and bags and inner nodes with it. */
static void
test_crash_in_growth(void **state)
{
	const uint64_t npages = UINT64_C(1) << 18, stride = 4096 / 22;
	struct crash crash = {
		.map = create(SWAPMAP_TRIE, npages, dir_of(state)),
		.dirfd = dir_of(state), .stride = stride, .every = 31,
	};
	uint64_t page = 0;

	/* Something in a bag, too. */
	set(crash.map, npages - 1, 5);
	set(crash.map, npages - 2, 6);
	for (; crash.map->trie.ninner < 31; page += stride)
		set(crash.map, page, page);
	while (crash.map->trie.table_unit == 0) {
		crash.npages = page;
		crash_set(&crash, page, NONE, page);
		page += stride;
	}
	assert_true(crash.ncopies > 50);
	assert_int_equal(swapmap_get(crash.map, npages - 1), 5);
	assert_int_equal(swapmap_check(crash.map), 0);
	swapmap_destroy(crash.map);
}

/* While bags grow and burst, to leaves and through several levels. */
static void
test_crash_in_bursts(void **state)
{
	struct crash crash = {
		.map = create(SWAPMAP_TRIE, UINT64_C(1) << 36, dir_of(state)),
		.dirfd = dir_of(state), .stride = 3, .every = 1,
	};

	for (uint64_t page = 0; page < 3 * 70; page += 3) {
		crash.npages = page;
		crash_set(&crash, page, NONE, page);
	}
	assert_true(crash.map->trie.ninner == 1);
	/* And when they become empty. */
	for (uint64_t page = 3 * 69; page > 0; page -= 3) {
		crash.npages = page;
		crash_set(&crash, page, page, NONE);
	}
	assert_true(crash.ncopies >= 2 * 69);
	assert_int_equal(swapmap_count(crash.map), 1);
	set(crash.map, 0, NONE);
	expect_empty(crash.map);
	swapmap_destroy(crash.map);
}

/* ------------------------------------------------------- planted faults */

/* A page in a leaf below an inner node, two pages in a bag, a free node. */
static struct swapmap *
planted_map(void)
{
	struct swapmap *map = trie((1 << 18) - 5);

	for (uint64_t page = 0; page < 30; page++)
		set(map, page, 100 + page);
	set(map, 64, 1);
	set(map, 70000, 2);
	set(map, 70001, 3);
	set(map, (1 << 18) - 6, 4);
	assert_int_equal(map->trie.ninner, 1);
	return map;
}

static void
test_planted_links(void **state)
{
	struct swapmap *map = planted_map();
	struct trie_inner *inner = node_of(map, link_load(link_of(map, 0, 0)));
	_Atomic uint32_t *table = map->trie.table;
	uint32_t leaf = inner->link[0], bag = inner->link[1];

	(void)state;
	/* T1: twice, nowhere, of another kind, in the start. */
	PLANT(map, inner->link[5], bag);
	PLANT(map, inner->link[5], leaf);
	PLANT(map, inner->link[1], link_to((uint32_t)map->trie.fresh, 0));
	PLANT(map, inner->link[1], UINT32_MAX);
	PLANT(map, inner->link[0], leaf | LINK_BAG);
	PLANT(map, inner->link[1], link_to(2, LINK_BAG));
	PLANT(map, inner->link[1], bag + 2);
	/* T3 */
	PLANT(map, inner->link[0], 0u);
	/* T4 */
	PLANT(map, map->npages, UINT64_C(1) << 17);
	/* T8: and the link is one too many, or not counted. */
	PLANT(map, table[9], bag);
	PLANT(map, map->trie.nlinks, map->trie.nlinks + 1);
	PLANT(map, map->trie.ninner, 0u);
	PLANT(map, table_summary(map)[0], UINT64_C(1));
	PLANT(map, table_summary(map)[0], table_summary(map)[0] | 256);
	/* T9 */
	PLANT(map, map->start->word, UINT64_C(77));
	swapmap_destroy(map);
}

static void
test_planted_slots(void **state)
{
	struct swapmap *map = planted_map();
	struct trie_leaf *leaf = node_of(map, link_load(link_of(map, 0, 1)));
	struct trie_bag *bag = bag_of(map, 70000, 0);
	struct trie_bag *last = bag_of(map, (1 << 18) - 6, 0);
	_Atomic uint64_t *words = bag_words(bag);

	(void)state;
	/* T4: pages beyond the last. */
	PLANT(map, last->key[0], last->key[0] + 1);
	/* T5 */
	PLANT(map, map->count, map->count + 1);
	PLANT(map, leaf->slot[3], UINT64_C(0));
	PLANT(map, leaf->slot[60], UINT64_C(9));
	/* T7 */
	PLANT(map, bag->key[0], KEY_NONE);
	PLANT(map, bag->key[0], (uint32_t)bag->key[1]);
	PLANT(map, bag->key[0], UINT32_C(1) << 12);
	PLANT(map, words[0], UINT64_C(0));
	PLANT(map, bag->class, 4u);
	PLANT(map, bag->class, 1u);
	swapmap_destroy(map);
}

static void
test_planted_pool(void **state)
{
	struct swapmap *map = planted_map();
	uint32_t unit = 0;
	unsigned class = 0;

	(void)state;
	while (unit == 0)
		unit = map->trie.free_head[class++];
	class--;
	/* T2 */
	PLANT(map, map->trie.free_head[class], 0u);
	PLANT(map, map->trie.free_head[class],
	      link_unit(link_load(link_of(map, 70000, 0))));
	PLANT(map, map->trie.nfree, map->trie.nfree + 1);
	PLANT(map, map->trie.fresh, map->trie.fresh + LARGEST_UNITS);
	PLANT(map, map->trie.fresh, UINT64_MAX / UNIT_BYTES);
	PLANT(map, ((struct free_node *)unit_at(map, unit))->prev, unit);
	PLANT(map, mask_of(map, unit)[0], (uint16_t)0);
	PLANT(map, mask_of(map, unit)[0], (uint16_t)UINT16_MAX);
	swapmap_destroy(map);
}

/* --------------------------------------------------------- damaged files */

static int
reopen(int dirfd)
{
	struct swapmap *map = NULL;
	int r = swapmap_open(dirfd, NAME, NULL, &map);

	if (r == 0) {
		assert_int_equal(swapmap_check(map), 0);
		swapmap_destroy(map);
	}
	return r;
}

/* A table's place that cannot be one. */
static void
test_damaged_table(void **state)
{
	static const uint64_t bad[] = {
		1, 6, 6 << 8, 200 << 8 | 12, 144 << 8 | 13, 145 << 8 | 12,
		144 << 8 | 18, UINT64_MAX, UINT64_C(1) << 60 | 12,
	};
	struct swapmap *map = create(SWAPMAP_TRIE, 1 << 18, dir_of(state));

	for (uint64_t page = 0; page < 5000; page++)
		set(map, page, page);
	assert_int_equal(map->trie.table_unit, 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		map->start->word = bad[i];
		assert_int_equal(reopen(dir_of(state)), -EBADMSG);
	}
	map->start->word = 0;
	map->start->geometry[2]++;
	assert_int_equal(reopen(dir_of(state)), -EPROTO);
	map->start->geometry[2]--;
	assert_int_equal(reopen(dir_of(state)), 0);
	swapmap_destroy(map);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_bag_to_leaf),
		TEST(test_bag_reuse),
		TEST(test_burst_deep),
		TEST(test_no_bag_so_high),
		TEST(test_in_order),
		TEST(test_table_grows),
		TEST(test_sparse_cost),
		TEST(test_buddies),
		TEST(test_prepared_bursts),
		TEST(test_refused_whole),
		TEST(test_table_refused),
		TEST(test_crash_in_growth),
		TEST(test_crash_in_bursts),
		TEST(test_planted_links),
		TEST(test_planted_slots),
		TEST(test_planted_pool),
		TEST(test_damaged_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
