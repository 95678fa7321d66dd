/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * swapmap-hash.c - swap maps of kind hash
 *
 * Clusters of 16 slots, each with a tag that says for which pages, found by
 * way of buckets in which they are chained: the layout of NetBSD uvm_aobj.c.
 * That has 256 buckets at most, so chains get longer as an object grows and a
 * range is removed by a walk over the whole table.  Neither is kept: here the
 * buckets grow with the clusters, and a range touches the clusters in it.
 *
 * Clusters lie in the arena one behind the other, and are all that a successor
 * needs.  Their chains, the list of free ones, `fresh' (the first never used)
 * and the buckets, in an arena beside the map's, are the process's own.
 *
 * Growth is linear hashing: each new cluster splits at most two buckets, in
 * turn, so there is no moment at which all is hashed anew.  Without memory for
 * more buckets chains get longer and nothing else happens.  Neighbours hash to
 * neighbouring buckets, 64 clusters at a time; each such group is scattered.
 *
 * Order.  Chains know no order, and whoever wants the least page at or after
 * another probes for the next PROBES clusters first: where pages are dense,
 * that is enough.  Else the order helps, a sorted list of the tags that there
 * were at some time.  A tag that went since is skipped (and what a skip has
 * found is remembered, so that the next one need not look at each); those that
 * came since are in a short list beside it; when that is full all is dropped,
 * and made anew when it is wanted again.  A few clusters need no order.
 *
 * Invariants.
 *   H1  A cluster in [1, fresh) is in the chain of its tag's bucket, once, or
 *	 in the free list, and then its tag is 0.
 *   H2  No two clusters have the same tag.
 *   H3  A cluster in a chain has a slot that is not all zero bits; count says
 *	 how many.
 *   H4  No tag and no slot stands for pages beyond the last.
 *   H5  The map's count is the number of slots with a value.
 *   H6  A tag in a chain is in the order, if there is one, or in its list of
 *	 those that came since.
 *   H7  A cluster with a slot that has SWAPMAP_HELD is not freed: whoever
 *	 prepared a page needs no cluster to set it.
 *
 * Crashes.  A cluster is free if and only if its tag is 0.  It is taken by
 * zeroing its slots and then storing its tag, and given up, when all its slots
 * are zero, by storing 0 there: each a single atomic store.  So a successor
 * sees every tag once, with the old or the new word in each slot.  What it may
 * find besides is clusters without values, and held slots that nobody holds
 * any more; hash_load() frees them.
 *
 * Cost.  get and set: a bucket, and the clusters in its chain, one on average.
 * find, where it cannot probe: the order's log2 n, after a few passes over the
 * n clusters to make it; without memory for that, a pass over all each time.
 * Clearing a range, or visiting one: a find for each cluster in it.  Memory: 9
 * bytes a page where pages are dense, 144 for a page alone, 4 for each bucket.
 * The order takes 12 bytes a cluster for as long as it is there, from malloc(),
 * which no account counts.  Clusters are reused; neither they nor the buckets
 * shrink.
 *
 * Limits.  2^28 clusters, which is 2^32 pages where they are dense: address
 * space for more (36 GiB a map) is not reserved.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "compiler.h"
#include "swapmap-impl.h"

#define CLUSTER_BITS	4u
#define CLUSTER_SLOTS	(1u << CLUSTER_BITS)
#define CLUSTERS_MAX	(UINT64_C(1) << 28)
#define GROUP_BITS	6u	/* clusters that are hashed side by side */
#define BUCKETS_FIRST	1024u	/* a page of them */
#define PROBES		4u
#define CAME_MAX	512u
#define SCAN_MAX	64u	/* so many clusters need no order */

/* A tag is the cluster's number among all of the object's, plus 1. */
struct cluster {
	_Atomic uint64_t tag;
	/* The process's own. */
	uint32_t	 next;		/* in its chain, or the free list */
	uint32_t	 count;		/* slots that are not zero */
	_Atomic uint64_t slot[CLUSTER_SLOTS];
};
_Static_assert(sizeof(struct cluster) == 144, "a cluster's size is wrong");

/* The tags of a map in order, at the time when it was made. */
struct hash_order {
	uint64_t	*tag;		/* NULL: not made */
	/* live[i]: tags from i on, up to that place, have gone. */
	uint32_t	*live;
	uint64_t	 n;
	uint64_t	 last;		/* the place found last */
	uint64_t	*came;		/* since it was made; no order */
	unsigned	 ncame;
};

/* ---------------------------------------------------------- arithmetic */

static uint64_t
tag_of(uint64_t page)
{
	return (page >> CLUSTER_BITS) + 1;
}

/* The first page of a cluster. */
static uint64_t
tag_page(uint64_t tag)
{
	return (tag - 1) << CLUSTER_BITS;
}

static unsigned
slot_of(uint64_t page)
{
	return (unsigned)page & (CLUSTER_SLOTS - 1);
}

static size_t
hash_reserve(uint64_t npages)
{
	uint64_t clusters = min_u64(tag_of(npages - 1), CLUSTERS_MAX - 1);

	return SWAPMAP_START + (size_t)clusters * sizeof(struct cluster);
}

static uint32_t
hash_of(uint64_t tag)
{
	uint64_t group = (tag >> GROUP_BITS) * UINT64_C(0x9e3779b97f4a7c15);

	return (uint32_t)(group >> 32) + (uint32_t)tag;
}

/* --------------------------------------------------------------- slots */

static uint64_t
slot_load(const _Atomic uint64_t *slot)
{
	return atomic_load_explicit(slot, memory_order_acquire);
}

static void
slot_store(_Atomic uint64_t *slot, uint64_t word)
{
	atomic_store_explicit(slot, word, memory_order_release);
}

/* ------------------------------------------------------------- buckets */

static struct cluster *
cluster_at(const struct swapmap *map, uint64_t index)
{
	return (struct cluster *)(void *)(map->arena.base + SWAPMAP_START) +
	       (index - 1);
}

static uint32_t *
bucket_at(const struct swapmap *map, uint32_t bucket)
{
	return (uint32_t *)(void *)map->aside.base + bucket;
}

/* The bucket of a tag, as many as there are now. */
static uint32_t *
bucket_of(const struct swapmap *map, uint64_t tag)
{
	uint32_t bucket = hash_of(tag) & map->hash.mask;

	if (bucket >= map->hash.nbuckets)
		bucket &= map->hash.mask >> 1;
	return bucket_at(map, bucket);
}

/* Make the first buckets, in a map that has no cluster in a chain. */
static int
buckets_create(struct swapmap *map)
{
	uint64_t most = min_u64(map->arena.reserved / sizeof(struct cluster) +
				BUCKETS_FIRST, CLUSTERS_MAX - 1);
	int r = arena_create(&map->aside, -1, NULL,
			     (size_t)most * sizeof(uint32_t));

	if (r < 0)
		return r;
	if (map->arena.account != NULL)
		arena_charge(&map->aside, map->arena.account);
	map->hash.nbuckets = BUCKETS_FIRST;
	map->hash.mask = BUCKETS_FIRST - 1;
	return arena_grow(&map->aside, BUCKETS_FIRST * sizeof(uint32_t));
}

/* One bucket more: what belongs into it now moves there. */
static int
bucket_split(struct swapmap *map)
{
	struct swapmap_hash *hash = &map->hash;
	uint32_t new = hash->nbuckets, *from, *to;
	int r = arena_grow(&map->aside,
			   ((size_t)new + 1) * sizeof(uint32_t));

	if (r < 0)
		return r;
	if (new > hash->mask)
		hash->mask = hash->mask << 1 | 1;
	hash->nbuckets++;
	from = bucket_at(map, new & hash->mask >> 1);
	to = bucket_at(map, new);
	while (*from != 0) {
		struct cluster *cluster = cluster_at(map, *from);
		uint32_t index = *from;

		if ((hash_of(slot_load(&cluster->tag)) & hash->mask) != new) {
			from = &cluster->next;
			continue;
		}
		*from = cluster->next;
		cluster->next = *to;
		*to = index;
	}
	return 0;
}

/* After a cluster has come: as many buckets as clusters, if there is memory. */
static void
buckets_grow(struct swapmap *map)
{
	for (unsigned i = 0; i < 2; i++) {
		if (map->hash.nclusters <= map->hash.nbuckets ||
		    bucket_split(map) < 0)
			return;
	}
}

/* ------------------------------------------------------------ clusters */

static struct cluster *
cluster_find(const struct swapmap *map, uint64_t tag)
{
	uint32_t index = *bucket_of(map, tag);

	while (index != 0) {
		struct cluster *cluster = cluster_at(map, index);

		if (slot_load(&cluster->tag) == tag)
			return cluster;
		index = cluster->next;
	}
	return NULL;
}

/* --------------------------------------------------------------- order */

static void
order_drop(struct hash_order *order)
{
	free(order->tag);
	free(order->live);
	free(order->came);
	*order = (struct hash_order){ 0 };
}

/* Sort by one byte of the tags, from one array to the other. */
static void
sort_byte(const uint64_t *from, uint64_t *to, uint64_t n, unsigned shift)
{
	uint64_t at[256] = { 0 }, sum = 0;

	for (uint64_t i = 0; i < n; i++)
		at[from[i] >> shift & 0xff]++;
	for (unsigned byte = 0; byte < 256; byte++) {
		uint64_t count = at[byte];

		at[byte] = sum;
		sum += count;
	}
	for (uint64_t i = 0; i < n; i++)
		to[at[from[i] >> shift & 0xff]++] = from[i];
}

/* Sort tags up to @most, with as much room again in *other. */
static void
sort_tags(uint64_t **tag, uint64_t **other, uint64_t n, uint64_t most)
{
	for (unsigned shift = 0; shift < 64 && most >> shift != 0;
	     shift += 8) {
		uint64_t *from = *tag;

		sort_byte(from, *other, n, shift);
		*tag = *other;
		*other = from;
	}
}

/* All tags that there are; @tag has room for them. */
static void
collect_tags(const struct swapmap *map, uint64_t *tag)
{
	for (uint64_t index = 1; index < map->hash.fresh; index++) {
		uint64_t t = slot_load(&cluster_at(map, index)->tag);

		if (t != 0)
			*tag++ = t;
	}
}

/* Make the order if need be; false: no memory. */
static bool
order_make(const struct swapmap *map, struct hash_order *order)
{
	uint64_t n = map->hash.nclusters, *other;

	if (order->tag != NULL)
		return true;
	order->tag = malloc(n * sizeof(*order->tag));
	order->live = malloc((n + 1) * sizeof(*order->live));
	order->came = malloc(CAME_MAX * sizeof(*order->came));
	other = malloc(n * sizeof(*other));
	if (order->tag == NULL || order->live == NULL ||
	    order->came == NULL || other == NULL) {
		free(other);
		order_drop(order);
		return false;
	}
	collect_tags(map, order->tag);
	sort_tags(&order->tag, &other, n, tag_of(map->npages - 1));
	free(other);
	for (uint64_t i = 0; i <= n; i++)
		order->live[i] = (uint32_t)i;
	order->n = n;
	return true;
}

/* The place of the first tag that is not below @tag; n: none. */
static uint64_t
order_place(struct hash_order *order, uint64_t tag)
{
	uint64_t low = 0, n = order->n, next = order->last + 1;

	/* Whoever goes on in order wants the next one. */
	if (next < n && order->tag[next - 1] < tag && tag <= order->tag[next])
		return order->last = next;
	while (n > 0) {
		uint64_t half = n / 2;

		if (order->tag[low + half] < tag) {
			low += half + 1;
			n -= half + 1;
		} else {
			n = half;
		}
	}
	return order->last = low;
}

/* Where to look instead of at @i; makes the way there shorter. */
static uint64_t
order_live(struct hash_order *order, uint64_t i)
{
	while (order->live[i] != i) {
		order->live[i] = order->live[order->live[i]];
		i = order->live[i];
	}
	return i;
}

/* A cluster has come. */
static void
order_add(struct hash_order *order, uint64_t tag)
{
	uint64_t i;

	if (order->tag == NULL)
		return;
	i = order_place(order, tag);
	if (i < order->n && order->tag[i] == tag && order->live[i] == i)
		return;
	if (order->ncame == CAME_MAX)
		order_drop(order);
	else
		order->came[order->ncame++] = tag;
}

/* The least tag of a cluster from @tag on; 0: none. */
static uint64_t
order_least(const struct swapmap *map, struct hash_order *order, uint64_t tag)
{
	uint64_t least = 0, i = order_live(order, order_place(order, tag));

	while (i < order->n && cluster_find(map, order->tag[i]) == NULL) {
		order->live[i] = (uint32_t)i + 1;
		i = order_live(order, i + 1);
	}
	if (i < order->n)
		least = order->tag[i];
	for (i = 0; i < order->ncame; i++) {
		uint64_t came = order->came[i];

		if (came >= tag && (least == 0 || came < least) &&
		    cluster_find(map, came) != NULL)
			least = came;
	}
	return least;
}

/* The same by looking at all clusters. */
static uint64_t
scan_least(const struct swapmap *map, uint64_t tag)
{
	uint64_t least = 0;

	for (uint64_t index = 1; index < map->hash.fresh; index++) {
		uint64_t t = slot_load(&cluster_at(map, index)->tag);

		if (t >= tag && (least == 0 || t < least))
			least = t;
	}
	return least;
}

/* The cluster with the least tag in [@tag, @last]; NULL: none. */
static struct cluster *
cluster_next(const struct swapmap *map, uint64_t tag, uint64_t last)
{
	struct hash_order *order = map->hash.order;

	for (unsigned i = 0; i < PROBES && tag <= last; i++, tag++) {
		struct cluster *cluster = cluster_find(map, tag);

		if (cluster != NULL)
			return cluster;
	}
	if (tag > last || map->hash.nclusters == 0)
		return NULL;
	if (map->hash.fresh > SCAN_MAX && order_make(map, order))
		tag = order_least(map, order, tag);
	else
		tag = scan_least(map, tag);
	return tag == 0 || tag > last ? NULL : cluster_find(map, tag);
}

/* ------------------------------------------------- taking and giving up */

static void
cluster_chain(struct swapmap *map, uint32_t index)
{
	struct cluster *cluster = cluster_at(map, index);
	uint32_t *bucket = bucket_of(map, slot_load(&cluster->tag));

	cluster->next = *bucket;
	*bucket = index;
	map->hash.nclusters++;
	buckets_grow(map);
}

/* A free cluster, out of the list; 0 and an error: there is none. */
static int
cluster_take(struct swapmap *map, uint32_t *ret_index)
{
	struct swapmap_hash *hash = &map->hash;
	int r;

	if (hash->nfree > 0) {
		*ret_index = hash->free_head;
		hash->free_head = cluster_at(map, *ret_index)->next;
		hash->nfree--;
		return 0;
	}
	r = arena_grow(&map->arena, SWAPMAP_START + (size_t)hash->fresh *
				    sizeof(struct cluster));
	if (r < 0)
		return r;
	*ret_index = (uint32_t)hash->fresh++;
	return 0;
}

static void
cluster_give(struct swapmap *map, uint32_t index)
{
	cluster_at(map, index)->next = map->hash.free_head;
	map->hash.free_head = index;
	map->hash.nfree++;
}

/* The cluster of a tag, made if need be. */
static int
cluster_make(struct swapmap *map, uint64_t tag, struct cluster **ret_cluster)
{
	struct cluster *cluster = cluster_find(map, tag);
	uint32_t index;
	int r;

	if (cluster != NULL) {
		*ret_cluster = cluster;
		return 0;
	}
	r = cluster_take(map, &index);
	if (r < 0)
		return r;
	cluster = cluster_at(map, index);
	cluster->count = 0;
	for (unsigned i = 0; i < CLUSTER_SLOTS; i++)
		slot_store(&cluster->slot[i], 0);
	slot_store(&cluster->tag, tag);
	cluster_chain(map, index);
	order_add(map->hash.order, tag);
	*ret_cluster = cluster;
	return 0;
}

/* Free a cluster that has become empty. */
static void
cluster_prune(struct swapmap *map, struct cluster *cluster)
{
	uint32_t *link = bucket_of(map, slot_load(&cluster->tag)), index;

	if (cluster->count > 0)
		return;
	while (cluster_at(map, *link) != cluster)
		link = &cluster_at(map, *link)->next;
	index = *link;
	*link = cluster->next;
	slot_store(&cluster->tag, 0);
	map->hash.nclusters--;
	cluster_give(map, index);
}

/* Store a word, and keep count. */
static void
cluster_store(struct cluster *cluster, unsigned slot, uint64_t word)
{
	uint64_t old = slot_load(&cluster->slot[slot]);

	slot_store(&cluster->slot[slot], word);
	cluster->count += (word != 0);
	cluster->count -= (old != 0);
}

/* ---------------------------------------------------------- operations */

static void
geometry(uint32_t ret_geometry[4])
{
	ret_geometry[0] = CLUSTER_SLOTS;
	ret_geometry[1] = sizeof(struct cluster);
	ret_geometry[2] = 0;
	ret_geometry[3] = 0;
}

static int
hash_init(struct swapmap *map)
{
	map->hash.fresh = 1;
	map->hash.order = calloc(1, sizeof(*map->hash.order));
	if (map->hash.order == NULL)
		return -ENOMEM;
	return buckets_create(map);
}

static int
hash_format(struct swapmap *map)
{
	geometry(map->start->geometry);
	return hash_init(map);
}

static void
hash_release(struct swapmap *map)
{
	if (map->hash.order != NULL)
		order_drop(map->hash.order);
	free(map->hash.order);
}

static uint64_t
hash_get(const struct swapmap *map, uint64_t page)
{
	const struct cluster *cluster = cluster_find(map, tag_of(page));

	return cluster == NULL ? 0 : slot_load(&cluster->slot[slot_of(page)]);
}

/* The part of a cluster that lies in a range of pages. */
struct piece {
	struct cluster	*cluster;
	uint64_t	 base;		/* the page of slot 0 */
	unsigned	 first, last;	/* slots */
};

/*
 * The first cluster that reaches into the pages from *page to @last, and what
 * of it does; *page is the one behind that.  False: none.
 */
static bool
piece_next(const struct swapmap *map, uint64_t *page, uint64_t last,
	   struct piece *ret_piece)
{
	struct piece piece;
	uint64_t tag;

	if (*page > last)
		return false;
	piece.cluster = cluster_next(map, tag_of(*page), tag_of(last));
	if (piece.cluster == NULL)
		return false;
	tag = slot_load(&piece.cluster->tag);
	piece.base = tag_page(tag);
	piece.first = *page <= piece.base ? 0 :
		      (unsigned)(*page - piece.base);
	piece.last = (unsigned)min_u64(last - piece.base, CLUSTER_SLOTS - 1);
	*page = tag_page(tag + 1);
	*ret_piece = piece;
	return true;
}

static uint64_t
hash_clear(struct swapmap *map, uint64_t page, uint64_t n,
	   struct swapmap_batch *batch)
{
	uint64_t last = page + n - 1, nmapped = 0;
	struct piece piece;

	while (piece_next(map, &page, last, &piece)) {
		for (unsigned i = piece.first; i <= piece.last; i++) {
			uint64_t word = slot_load(&piece.cluster->slot[i]);

			if ((word & SWAPMAP_VALUE) == 0)
				continue;
			cluster_store(piece.cluster, i, word & SWAPMAP_HELD);
			nmapped++;
			if (batch != NULL)
				swapmap_batch_add(batch, word);
		}
		cluster_prune(map, piece.cluster);
	}
	return nmapped;
}

static int
hash_set(struct swapmap *map, uint64_t page, uint64_t word, uint64_t *ret_old)
{
	struct cluster *cluster;
	int r;

	if (word == 0) {
		*ret_old = hash_get(map, page);
		(void)hash_clear(map, page, 1, NULL);
		return 0;
	}
	r = cluster_make(map, tag_of(page), &cluster);
	if (r < 0)
		return r;
	*ret_old = slot_load(&cluster->slot[slot_of(page)]);
	cluster_store(cluster, slot_of(page), word);
	return 0;
}

static void
hash_unprepare(struct swapmap *map, uint64_t page, uint64_t n)
{
	uint64_t last = page + n - 1;
	struct piece piece;

	while (piece_next(map, &page, last, &piece)) {
		for (unsigned i = piece.first; i <= piece.last; i++) {
			uint64_t word = slot_load(&piece.cluster->slot[i]);

			if ((word & SWAPMAP_HELD) != 0)
				cluster_store(piece.cluster, i,
					      word & SWAPMAP_VALUE);
		}
		cluster_prune(map, piece.cluster);
	}
}

static int
hash_prepare(struct swapmap *map, uint64_t page, uint64_t n)
{
	struct cluster *cluster = NULL;

	for (uint64_t i = 0; i < n; i++) {
		unsigned slot = slot_of(page + i);

		if (i == 0 || slot == 0) {
			int r = cluster_make(map, tag_of(page + i), &cluster);

			if (r < 0) {
				if (i > 0)
					hash_unprepare(map, page, i);
				return r;
			}
		}
		cluster_store(cluster, slot, SWAPMAP_HELD |
			      slot_load(&cluster->slot[slot]));
	}
	return 0;
}

static bool
hash_find(const struct swapmap *map, uint64_t page, uint64_t *ret_page,
	  uint64_t *ret_word)
{
	struct piece piece;

	while (piece_next(map, &page, map->npages - 1, &piece)) {
		for (unsigned i = piece.first; i <= piece.last; i++) {
			uint64_t word = slot_load(&piece.cluster->slot[i]);

			if ((word & SWAPMAP_VALUE) == 0)
				continue;
			*ret_page = piece.base + i;
			*ret_word = word;
			return true;
		}
	}
	return false;
}

static int
hash_each(const struct swapmap *map, uint64_t page, uint64_t n, bool raw,
	  swapmap_each_fn *fn, void *arg)
{
	uint64_t last = page + n - 1, mask = raw ? UINT64_MAX : SWAPMAP_VALUE;
	struct piece piece;

	while (piece_next(map, &page, last, &piece)) {
		for (unsigned i = piece.first; i <= piece.last; i++) {
			uint64_t word = slot_load(&piece.cluster->slot[i]);
			int r;

			if ((word & mask) == 0)
				continue;
			r = fn(arg, piece.base + i,
			       raw ? word : swapmap_block(word));
			if (r != 0)
				return r;
		}
	}
	return 0;
}

/* -------------------------------------------------------------- audits */

/* H4 for one cluster that is not free. */
static bool
cluster_fits(const struct swapmap *map, const struct cluster *cluster)
{
	uint64_t tag = slot_load(&cluster->tag);

	if (tag > tag_of(map->npages - 1))
		return false;
	for (unsigned i = 0; i < CLUSTER_SLOTS; i++) {
		if (slot_load(&cluster->slot[i]) != 0 &&
		    tag_page(tag) + i >= map->npages)
			return false;
	}
	return true;
}

/* Drop what is held, count; true: there is nothing. */
static bool
cluster_recount(struct swapmap *map, struct cluster *cluster)
{
	cluster->count = 0;
	for (unsigned i = 0; i < CLUSTER_SLOTS; i++) {
		uint64_t word = slot_load(&cluster->slot[i]);

		if ((word & SWAPMAP_HELD) != 0)
			slot_store(&cluster->slot[i], word & SWAPMAP_VALUE);
		cluster->count += (word & SWAPMAP_VALUE) != 0;
	}
	map->count += cluster->count;
	return cluster->count == 0;
}

/* Put the clusters in [1, @limit), which are sound, into chains. */
static int
chains_build(struct swapmap *map, uint64_t limit)
{
	for (uint64_t index = 1; index < limit; index++) {
		struct cluster *cluster = cluster_at(map, index);
		uint64_t tag = slot_load(&cluster->tag);

		if (tag == 0)
			continue;
		if (cluster_find(map, tag) != NULL)
			return -EBADMSG;
		if (cluster_recount(map, cluster)) {
			slot_store(&cluster->tag, 0);
			continue;
		}
		cluster_chain(map, (uint32_t)index);
		map->hash.fresh = index + 1;
	}
	for (uint64_t index = map->hash.fresh; index-- > 1;) {
		if (slot_load(&cluster_at(map, index)->tag) == 0)
			cluster_give(map, (uint32_t)index);
	}
	return 0;
}

static int
hash_load(struct swapmap *map)
{
	uint64_t limit = (map->arena.size - SWAPMAP_START) /
			 sizeof(struct cluster) + 1;
	uint32_t expected[4];
	int r;

	geometry(expected);
	if (memcmp(map->start->geometry, expected, sizeof(expected)) != 0)
		return -EPROTO;
	for (uint64_t index = 1; index < limit; index++) {
		const struct cluster *cluster = cluster_at(map, index);

		if (slot_load(&cluster->tag) != 0 &&
		    !cluster_fits(map, cluster))
			return -EBADMSG;
	}
	r = hash_init(map);
	return r < 0 ? r : chains_build(map, limit);
}

/* A walk that believes nothing. */
struct audit {
	const struct swapmap	*map;
	unsigned char		*seen;		/* a byte for each cluster */
	uint64_t		 nseen;
	uint64_t		 nmapped;
};

static int
audit_mark(struct audit *audit, uint64_t index)
{
	if (index == 0 || index >= audit->map->hash.fresh ||
	    audit->seen[index] != 0)
		return -EBADMSG;
	audit->seen[index] = 1;
	audit->nseen++;
	return 0;
}

/* H6 for one tag. */
static bool
audit_order(const struct swapmap *map, uint64_t tag)
{
	struct hash_order *order = map->hash.order;
	uint64_t i;

	if (order->tag == NULL)
		return true;
	i = order_place(order, tag);
	if (i < order->n && order->tag[i] == tag && order->live[i] == i)
		return true;
	for (i = 0; i < order->ncame; i++) {
		if (order->came[i] == tag)
			return true;
	}
	return false;
}

/* All that is to be true of a cluster in a chain. */
static int
audit_cluster(struct audit *audit, const uint32_t *bucket, uint32_t index)
{
	const struct cluster *cluster = cluster_at(audit->map, index);
	uint64_t tag = slot_load(&cluster->tag);
	unsigned count = 0;

	if (tag == 0 || bucket_of(audit->map, tag) != bucket ||
	    cluster_find(audit->map, tag) != cluster ||
	    !cluster_fits(audit->map, cluster) ||
	    !audit_order(audit->map, tag))
		return -EBADMSG;
	for (unsigned i = 0; i < CLUSTER_SLOTS; i++) {
		uint64_t word = slot_load(&cluster->slot[i]);

		count += word != 0;
		audit->nmapped += (word & SWAPMAP_VALUE) != 0;
	}
	return count == 0 || count != cluster->count ? -EBADMSG : 0;
}

static int
audit_chains(struct audit *audit)
{
	const struct swapmap *map = audit->map;
	int r;

	for (uint32_t i = 0; i < map->hash.nbuckets; i++) {
		const uint32_t *bucket = bucket_at(map, i);

		for (uint32_t index = *bucket; index != 0;
		     index = cluster_at(map, index)->next) {
			r = audit_mark(audit, index);
			if (r == 0)
				r = audit_cluster(audit, bucket, index);
			if (r < 0)
				return r;
		}
	}
	return audit->nseen == map->hash.nclusters ? 0 : -EBADMSG;
}

static int
audit_free_list(struct audit *audit)
{
	const struct swapmap *map = audit->map;
	uint32_t index = map->hash.free_head;

	for (uint64_t i = 0; i < map->hash.nfree; i++) {
		int r = audit_mark(audit, index);

		if (r < 0)
			return r;
		if (slot_load(&cluster_at(map, index)->tag) != 0)
			return -EBADMSG;
		index = cluster_at(map, index)->next;
	}
	return audit->nseen == map->hash.fresh - 1 &&
	       audit->nmapped == map->count ? 0 : -EBADMSG;
}

static int
hash_check(const struct swapmap *map)
{
	const struct swapmap_hash *hash = &map->hash;
	struct audit audit = { .map = map };
	int r;

	if (hash->fresh < 1 ||
	    hash->fresh - 1 > hash->nclusters + hash->nfree ||
	    SWAPMAP_START + (hash->fresh - 1) * sizeof(struct cluster) >
	    map->arena.size || hash->nbuckets == 0 ||
	    hash->nbuckets > map->aside.size / sizeof(uint32_t) ||
	    (hash->mask & (hash->mask + 1)) != 0 ||
	    hash->nbuckets - 1 > hash->mask ||
	    hash->nbuckets <= hash->mask >> 1)
		return -EBADMSG;
	audit.seen = calloc((size_t)hash->fresh, 1);
	if (audit.seen == NULL)
		return -ENOMEM;
	r = audit_chains(&audit);
	if (r == 0)
		r = audit_free_list(&audit);
	free(audit.seen);
	return r;
}

const struct swapmap_ops swapmap_hash_ops = {
	.kind = SWAPMAP_HASH,
	.name = "hash",
	.pages_max = SWAPMAP_PAGES_MAX,
	.reserve = hash_reserve,
	.format = hash_format,
	.load = hash_load,
	.release = hash_release,
	.get = hash_get,
	.set = hash_set,
	.prepare = hash_prepare,
	.unprepare = hash_unprepare,
	.find = hash_find,
	.each = hash_each,
	.clear = hash_clear,
	.check = hash_check,
};
