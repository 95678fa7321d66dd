/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test-swapmap-hash.c - how a hash keeps its slots
 *
 * The source is included, so that chains can be looked at and faults be
 * planted; and malloc() fails when it is told to.
 */
#include "swapmap-fixture.h"

#include <stdlib.h>
#include <string.h>

static unsigned malloc_fails;	/* so many calls from now on */

static void *
scarce_malloc(size_t size)
{
	if (malloc_fails > 0) {
		malloc_fails--;
		return NULL;
	}
	return malloc(size);
}

#define malloc(size)	scarce_malloc(size)
#include "swapmap-hash.c"
#undef malloc

static struct swapmap *
hash(uint64_t npages)
{
	return create(SWAPMAP_HASH, npages, -1);
}

/* The longest chain, and how many clusters all have. */
static unsigned
longest_chain(const struct swapmap *map, uint64_t *ret_n)
{
	unsigned longest = 0;

	*ret_n = 0;
	for (uint32_t i = 0; i < map->hash.nbuckets; i++) {
		uint32_t index = *bucket_at(map, i);
		unsigned n = 0;

		for (; index != 0; index = cluster_at(map, index)->next)
			n++;
		longest = n > longest ? n : longest;
		*ret_n += n;
	}
	return longest;
}

/* Buckets grow with the clusters, so that chains stay short. */
static void
growth_of(uint64_t stride)
{
	struct swapmap *map = hash(SWAPMAP_PAGES_MAX);
	const unsigned n = 50000;
	uint64_t total;

	for (unsigned i = 0; i < n; i++) {
		set(map, i * stride, i);
		assert_true(map->hash.nbuckets + 1 >= i);
	}
	assert_true(longest_chain(map, &total) < 16);
	assert_int_equal(total, n);
	assert_int_equal(map->hash.nclusters, n);
	assert_int_equal(swapmap_check(map), 0);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(swapmap_get(map, i * stride), i);
	swapmap_destroy(map);
}

static void
test_growth(void **state)
{
	(void)state;
	growth_of(16);
	growth_of(16 * 64);
	growth_of(16 * 1024);
	growth_of(UINT64_C(1) << 24);
}

/* Without memory for buckets nothing fails, chains get longer. */
static void
test_no_buckets(void **state)
{
	struct swapmap *map = hash(1 << 20);
	size_t reserved = map->aside.reserved;
	uint64_t total;

	(void)state;
	map->aside.reserved = map->aside.size;
	for (uint64_t page = 0; page < 1 << 20; page += 16)
		set(map, page, page);
	assert_int_equal(map->hash.nbuckets, BUCKETS_FIRST);
	assert_true(longest_chain(map, &total) >= 64);
	assert_int_equal(total, 1 << 16);
	assert_int_equal(swapmap_get(map, 1600), 1600);
	/* When there is memory again, each new cluster makes up for two. */
	map->aside.reserved = reserved;
	assert_int_equal(swapmap_clear(map, 0, 16000, NULL, NULL), 1000);
	for (uint64_t page = 0; page < 16000; page += 16)
		set(map, page, page);
	assert_int_equal(map->hash.nbuckets, BUCKETS_FIRST + 2000);
	assert_int_equal(swapmap_check(map), 0);
	swapmap_destroy(map);
}

/* Empty clusters are freed and serve again. */
static void
test_reuse(void **state)
{
	struct swapmap *map = hash(UINT64_C(1) << 36);
	uint64_t fresh;

	(void)state;
	for (uint64_t i = 0; i < 3000; i++)
		set(map, i * 7777777, i);
	fresh = map->hash.fresh;
	assert_int_equal(swapmap_clear(map, 0, UINT64_MAX, NULL, NULL), 3000);
	assert_int_equal(map->hash.nfree, 3000);
	assert_int_equal(map->hash.nclusters, 0);
	for (uint64_t i = 0; i < 3000; i++)
		set(map, i * 5555555, i);
	assert_int_equal(map->hash.fresh, fresh);
	assert_int_equal(swapmap_check(map), 0);
	swapmap_destroy(map);
}

/* Asking never allocates. */
static void
test_lookups(void **state)
{
	struct swapmap *map = hash(UINT64_C(1) << 36);

	(void)state;
	for (uint64_t i = 0; i < 100000; i++)
		assert_int_equal(swapmap_get(map, i * 77777), NONE);
	assert_int_equal(swapmap_set(map, 5, NONE, NULL), 0);
	assert_int_equal(map->hash.fresh, 1);
	assert_int_equal(map->arena.size, SWAPMAP_START);
	swapmap_destroy(map);
}

/* ---------------------------------------------------------------- order */

#define NPAGES	1000u
#define STRIDE	1000003u

static struct swapmap *
spread_map(struct model *model)
{
	struct swapmap *map = hash(UINT64_C(1) << 36);

	for (unsigned i = 0; i < NPAGES; i++) {
		uint64_t page = (i * 617 % NPAGES) * (uint64_t)STRIDE;

		set(map, page, i);
		model_set(model, page, i);
	}
	return map;
}

static void
spread_set(struct swapmap *map, struct model *model, uint64_t page,
	   uint64_t block)
{
	set(map, page, block);
	model_set(model, page, block);
}

/* Small ranges and dense pages need no order; and few clusters do not. */
static void
test_order_unneeded(void **state)
{
	struct model *model = calloc(1, sizeof(*model));
	struct swapmap *map = spread_map(model);
	uint64_t page = 0, block;

	(void)state;
	assert_int_equal(swapmap_clear(map, 5 * STRIDE - 20, 40, NULL, NULL),
			 1);
	assert_int_equal(swapmap_clear(map, 5 * STRIDE - 20, 40, NULL, NULL),
			 0);
	assert_true(swapmap_find(map, 7 * STRIDE - 30, &page, &block));
	assert_int_equal(page, 7 * STRIDE);
	assert_null(map->hash.order->tag);
	assert_true(swapmap_find(map, 7 * STRIDE + 16, &page, &block));
	assert_int_equal(page, 8 * STRIDE);
	assert_non_null(map->hash.order->tag);
	swapmap_destroy(map);
	free(model);
}

/* Pages come and go while there is an order, more than its list can hold. */
static void
test_order_kept(void **state)
{
	struct model *model = calloc(1, sizeof(*model));
	struct swapmap *map = spread_map(model);
	uint64_t random = 7, made = 0;

	(void)state;
	compare(map, model);
	for (unsigned i = 0; i < scaled(5000); i++) {
		uint64_t page = below(&random, NPAGES) * STRIDE +
				below(&random, 3) * 160;
		const struct hash_order *order = map->hash.order;

		spread_set(map, model, page,
			   below(&random, 3) > 0 ? NONE : i);
		made += order->tag == NULL;
		if (i % 16 == 0)
			compare(map, model);
		else if (order->tag != NULL)
			assert_int_equal(swapmap_check(map), 0);
	}
	/* The list was full now and then, and the order made anew. */
	assert_true(made > 0);
	compare(map, model);
	assert_int_equal(swapmap_check(map), 0);
	swapmap_destroy(map);
	free(model);
}

/* Taking the least page again and again does not look at those that went. */
static void
test_order_front(void **state)
{
	struct model *model = calloc(1, sizeof(*model));
	struct swapmap *map = spread_map(model);
	uint64_t page = 0, block = 0, first = 100 * (uint64_t)STRIDE + 16;

	(void)state;
	for (uint64_t n = 101; n < NPAGES; n++) {
		assert_true(swapmap_find(map, first, &page, &block));
		assert_int_equal(page, n * STRIDE);
		set(map, page, NONE);
		if (n > 102)
			assert_true(order_live(map->hash.order, 101) + 1 >= n);
	}
	assert_false(swapmap_find(map, first, &page, &block));
	assert_int_equal(swapmap_count(map), 101);
	assert_int_equal(swapmap_check(map), 0);
	swapmap_destroy(map);
	free(model);
}

/* Without memory for an order all is as before, but slower. */
static void
test_order_refused(void **state)
{
	struct model *model = calloc(1, sizeof(*model));
	struct swapmap *map = spread_map(model);
	uint64_t page = 0, block;

	(void)state;
	for (unsigned n = 1; n <= 4; n++) {
		malloc_fails = n;
		assert_true(swapmap_find(map, STRIDE + 16, &page, &block));
		assert_int_equal(page, 2 * STRIDE);
		assert_null(map->hash.order->tag);
		malloc_fails = 0;
	}
	malloc_fails = UINT32_MAX;
	compare(map, model);
	assert_int_equal(swapmap_clear(map, 1, UINT64_MAX, NULL, NULL),
			 NPAGES - 1);
	malloc_fails = 0;
	assert_int_equal(swapmap_check(map), 0);
	swapmap_destroy(map);
	free(model);
}

/* ------------------------------------------------------- planted faults */

static void
plant_chains(struct swapmap *map)
{
	struct cluster *c = cluster_find(map, tag_of(0));
	struct cluster *last = cluster_find(map, tag_of(299));
	uint32_t *bucket = bucket_of(map, tag_of(0));

	/* H1 */
	PLANT(map, *bucket, 0u);
	PLANT(map, *bucket, (uint32_t)map->hash.fresh);
	PLANT(map, *bucket, UINT32_MAX);
	PLANT(map, c->next, *bucket);
	PLANT(map, c->next, map->hash.free_head);
	PLANT(map, map->hash.free_head, *bucket);
	PLANT(map, map->hash.nfree, UINT64_C(0));
	PLANT(map, map->hash.nfree, map->hash.nfree + 1);
	PLANT(map, map->hash.fresh, map->hash.fresh - 1);
	PLANT(map, map->hash.fresh, UINT64_C(0));
	PLANT(map, map->hash.fresh, UINT64_MAX / sizeof(struct cluster));
	PLANT(map, map->hash.nclusters, map->hash.nclusters + 1);
	PLANT(map, map->hash.nbuckets, 0u);
	PLANT(map, map->hash.nbuckets, 5u);
	PLANT(map, map->hash.mask, map->hash.mask >> 1);
	PLANT(map, cluster_at(map, map->hash.free_head)->tag, UINT64_C(9));
	PLANT(map, c->tag, UINT64_C(0));
	/* H2 */
	PLANT(map, last->tag, tag_of(0));
	/* H4 */
	PLANT(map, last->slot[299 % 16 + 1], UINT64_C(1));
	PLANT(map, last->slot[299 % 16 + 1], SWAPMAP_HELD);
	PLANT(map, map->npages, UINT64_C(299));
}

static void
plant_counts(struct swapmap *map)
{
	struct cluster *c = cluster_find(map, tag_of(0));

	/* H3 */
	PLANT(map, c->count, 2u);
	PLANT(map, c->count, 0u);
	PLANT(map, c->slot[0], UINT64_C(0));
	PLANT(map, c->slot[1], SWAPMAP_HELD);
	/* H5 */
	PLANT(map, map->count, map->count + 1);
	PLANT(map, c->slot[0], SWAPMAP_HELD);
}

static void
test_planted(void **state)
{
	struct swapmap *map = hash(300);

	(void)state;
	set(map, 0, 10);
	set(map, 40, 11);
	set(map, 299, 12);
	set(map, 200, 13);
	set(map, 250, 14);
	set(map, 200, NONE);
	plant_chains(map);
	plant_counts(map);
	swapmap_destroy(map);
}

static void
test_planted_order(void **state)
{
	struct model *model = calloc(1, sizeof(*model));
	struct swapmap *map = spread_map(model);
	struct hash_order *order = map->hash.order;
	uint64_t page, block;

	(void)state;
	assert_true(swapmap_find(map, STRIDE + 16, &page, &block));
	set(map, STRIDE + 160, 5);
	assert_int_equal(order->ncame, 1);
	/* H6 */
	PLANT(map, order->tag[7], order->tag[8]);
	PLANT(map, order->live[7], 8u);
	PLANT(map, order->ncame, 0u);
	PLANT(map, order->came[0], UINT64_C(4));
	swapmap_destroy(map);
	free(model);
}

/* --------------------------------------------------------- a successor */

static void
test_load(void **state)
{
	struct swapmap *map = create(SWAPMAP_HASH, 5000, dir_of(state));
	struct swapmap *other = NULL;
	struct cluster *c;

	for (uint64_t page = 0; page < 5000; page += 100)
		set(map, page, page);
	/* As if a process had died before it gave the cluster up. */
	c = cluster_find(map, tag_of(600));
	slot_store(&c->slot[slot_of(600)], 0);
	/* The same tag twice, a tag or a slot beyond the last page: refused. */
	c = cluster_find(map, tag_of(4900));
	c->tag = tag_of(100);
	assert_int_equal(swapmap_open(dir_of(state), NAME, NULL, &other),
			 -EBADMSG);
	c->tag = tag_of(5008);
	assert_int_equal(swapmap_open(dir_of(state), NAME, NULL, &other),
			 -EBADMSG);
	c->tag = tag_of(4999);
	c->slot[5000 % 16] = 5;
	assert_int_equal(swapmap_open(dir_of(state), NAME, NULL, &other),
			 -EBADMSG);
	c->slot[5000 % 16] = 0;
	c->tag = tag_of(4900);
	/* Whatever is in free clusters is not found when they are taken. */
	set(map, 300, NONE);
	memset(&cluster_at(map, map->hash.free_head)->slot, 0x55, 128);
	memset(&cluster_at(map, map->hash.fresh)->slot, 0x55, 128);
	swapmap_destroy(map);
	assert_int_equal(swapmap_open(dir_of(state), NAME, NULL, &map), 0);
	assert_int_equal(swapmap_check(map), 0);
	assert_int_equal(swapmap_count(map), 48);
	assert_int_equal(map->hash.nclusters, 48);
	assert_int_equal(map->hash.nfree, 2);
	for (uint64_t page = 16; page < 96; page += 16)
		set(map, page, page);
	assert_int_equal(swapmap_count(map), 53);
	assert_int_equal(swapmap_check(map), 0);
	swapmap_destroy(map);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_growth),
		TEST(test_no_buckets),
		TEST(test_reuse),
		TEST(test_lookups),
		TEST(test_order_unneeded),
		TEST(test_order_kept),
		TEST(test_order_front),
		TEST(test_order_refused),
		TEST(test_planted),
		TEST(test_planted_order),
		TEST(test_load),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
