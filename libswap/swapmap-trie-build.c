/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * swapmap-trie-build.c - memory for a trie's nodes, and nodes from pairs
 *
 * The pool hands out nodes of 1, 2, 4, 8 and 16 units, as buddies: it has a
 * list of free ones for each size, splits a larger one in halves where the
 * right list is empty, puts halves together again when both are free, and takes
 * the largest size from the end of what was ever used.  So what was bags once
 * can be leaves later.  Which units are free is also said by 16 bits for each
 * 16 units, which the process keeps aside.
 *
 * Whatever is built here is complete before a single store links it.
 */
#include <errno.h>
#include <string.h>

#include "swapmap-trie.h"

/* Mapped pages for each link of a larger table, to pay for it. */
#define GROW_PAGES	8u

/* ---------------------------------------------------------------- pool */

/* What a free node begins with. */
struct free_node {
	uint32_t next, prev;		/* units; 0: none */
};

/* The bits of 16 units, one for each that is free. */
static uint16_t *
mask_of(const struct swapmap *map, uint64_t unit)
{
	return &((uint16_t *)(void *)map->aside.base)[unit / LARGEST_UNITS];
}

/* Those of a node. */
static uint16_t
node_mask(uint32_t unit, unsigned class)
{
	return (uint16_t)(((1u << (1u << class)) - 1) <<
			  unit % LARGEST_UNITS);
}

static void
list_add(struct swapmap *map, uint32_t unit, unsigned class)
{
	struct free_node *node = unit_at(map, unit);
	uint32_t next = map->trie.free_head[class];

	node->next = next;
	node->prev = 0;
	if (next != 0)
		((struct free_node *)unit_at(map, next))->prev = unit;
	map->trie.free_head[class] = unit;
}

static void
list_remove(struct swapmap *map, uint32_t unit, unsigned class)
{
	const struct free_node *node = unit_at(map, unit);

	if (node->next != 0)
		((struct free_node *)unit_at(map, node->next))->prev =
			node->prev;
	if (node->prev != 0)
		((struct free_node *)unit_at(map, node->prev))->next =
			node->next;
	else
		map->trie.free_head[class] = node->next;
}

void
trie_give(struct swapmap *map, uint32_t unit, unsigned class)
{
	uint16_t *mask = mask_of(map, unit);

	map->trie.nfree += 1u << class;
	*mask |= node_mask(unit, class);
	for (; class < CLASS_LEAF; class++) {
		uint32_t buddy = unit ^ 1u << class;
		uint16_t needed = node_mask(buddy, class);

		if ((*mask & needed) != needed)
			break;
		/* All free, and so it is one node. */
		list_remove(map, buddy, class);
		unit &= ~(1u << class);
	}
	list_add(map, unit, class);
}

/* Make @n units at the end usable; the first of them. */
static int
pool_extend(struct swapmap *map, uint64_t n, uint64_t *ret_unit)
{
	uint64_t end = map->trie.fresh + n;
	int r;

	if (end > UNITS_MAX)
		return -ENOMEM;
	r = arena_grow(&map->aside, (size_t)(end / LARGEST_UNITS *
					     sizeof(uint16_t)));
	if (r == 0)
		r = arena_grow(&map->arena, (size_t)end * UNIT_BYTES);
	if (r < 0)
		return r;
	*ret_unit = map->trie.fresh;
	map->trie.fresh = end;
	return 0;
}

int
trie_pool_create(struct swapmap *map)
{
	int r = arena_create(&map->aside, -1, NULL,
			     map->arena.reserved / LARGEST_BYTES *
			     sizeof(uint16_t));

	if (r == 0 && map->arena.account != NULL)
		arena_charge(&map->aside, map->arena.account);
	return r;
}

int
trie_pool_open(struct swapmap *map, uint64_t fresh)
{
	int r = trie_pool_create(map);

	if (r == 0)
		r = arena_grow(&map->aside, (size_t)(fresh / LARGEST_UNITS *
						     sizeof(uint16_t)));
	map->trie.fresh = fresh;
	return r;
}

int
trie_pool_check(const struct swapmap *map)
{
	uint64_t nfree = 0;

	for (unsigned class = 0; class <= CLASS_LEAF; class++) {
		uint32_t unit = map->trie.free_head[class], before = 0;

		while (unit != 0) {
			const struct free_node *node = unit_at(map, unit);
			uint16_t mask = node_mask(unit, class);

			if (node->prev != before ||
			    (*mask_of(map, unit) & mask) != mask)
				return -EBADMSG;
			nfree += 1u << class;
			before = unit;
			unit = node->next;
		}
	}
	for (uint64_t i = UNIT_FIRST; i < map->trie.fresh; i += LARGEST_UNITS)
		nfree -= (unsigned)__builtin_popcount(*mask_of(map, i));
	return nfree == 0 ? 0 : -EBADMSG;
}

static int
pool_take(struct swapmap *map, unsigned class, uint32_t *ret_unit)
{
	unsigned larger = class;
	uint64_t unit;

	while (larger <= CLASS_LEAF && map->trie.free_head[larger] == 0)
		larger++;
	if (larger <= CLASS_LEAF) {
		unit = map->trie.free_head[larger];
		list_remove(map, (uint32_t)unit, larger);
		*mask_of(map, unit) &=
			(uint16_t)~node_mask((uint32_t)unit, larger);
		map->trie.nfree -= 1u << larger;
	} else {
		int r = pool_extend(map, LARGEST_UNITS, &unit);

		if (r < 0)
			return r;
		larger = CLASS_LEAF;
	}
	*ret_unit = (uint32_t)unit;
	while (larger > class) {
		larger--;
		trie_give(map, (uint32_t)unit + (1u << larger), larger);
	}
	return 0;
}

/* --------------------------------------------------------------- nodes */

int
trie_node_make(struct swapmap *map, unsigned class, uint32_t *ret_link)
{
	uint32_t unit;
	int r = pool_take(map, class, &unit);

	if (r < 0)
		return r;
	memset(unit_at(map, unit), 0, (size_t)UNIT_BYTES << class);
	*ret_link = link_to(unit, 0);
	return 0;
}

static int
bag_make(struct swapmap *map, const struct trie_pair *pair, unsigned n,
	 uint32_t *ret_link)
{
	unsigned class = 0, i;
	struct trie_bag *bag;
	uint32_t unit;
	int r;

	while (bag_capacity(class) < n)
		class++;
	r = pool_take(map, class, &unit);
	if (r < 0)
		return r;
	bag = unit_at(map, unit);
	bag->class = class;
	for (i = 0; i < n; i++) {
		bag->key[i] = pair[i].key;
		bag_words(bag)[i] = pair[i].word;
	}
	for (; i < bag_capacity(class); i++) {
		bag->key[i] = KEY_NONE;
		bag_words(bag)[i] = 0;
	}
	*ret_link = link_to(unit, LINK_BAG);
	return 0;
}

static int
leaf_make(struct swapmap *map, const struct trie_pair *pair, unsigned n,
	  uint32_t *ret_link)
{
	struct trie_leaf *leaf;
	int r = trie_node_make(map, CLASS_LEAF, ret_link);

	if (r < 0)
		return r;
	leaf = node_of(map, *ret_link);
	for (unsigned i = 0; i < n; i++)
		slot_store(&leaf->slot[pair[i].key], pair[i].word);
	return 0;
}

/* Give back what trie_build() made and nobody has linked. */
static void
unbuild(struct swapmap *map, uint32_t link, unsigned shift)
{
	if (link == 0)
		return;
	if ((link & LINK_BAG) != 0) {
		const struct trie_bag *bag = node_of(map, link);

		trie_give(map, link_unit(link), bag->class);
		return;
	}
	if (shift > NODE_BITS) {
		struct trie_inner *inner = node_of(map, link);

		for (unsigned i = 0; i < NODE_ENTRIES; i++)
			unbuild(map, link_load(&inner->link[i]),
				shift - NODE_BITS);
	}
	trie_give(map, link_unit(link),
		  shift > NODE_BITS ? CLASS_INNER : CLASS_LEAF);
}

/* Distribute pairs to the links below one with @shift; on failure to none. */
static int
spread(struct swapmap *map, const struct trie_pair *pair, unsigned n,
       unsigned shift, _Atomic uint32_t *link)
{
	unsigned below = shift - NODE_BITS;
	int r = 0;

	for (unsigned i = 0; r == 0 && i < n; i++) {
		unsigned entry = pair[i].key >> below, npart = 0;
		struct trie_pair part[BAG_MAX + 1];
		uint32_t made = 0;

		if (link_load(&link[entry]) != 0)
			continue;
		for (unsigned k = i; k < n; k++) {
			if (pair[k].key >> below != entry)
				continue;
			part[npart].key = key_of(pair[k].key, below);
			part[npart++].word = pair[k].word;
		}
		r = trie_build(map, part, npart, below, &made);
		link_store(&link[entry], made);
	}
	if (r == 0)
		return 0;
	for (unsigned entry = 0; entry < NODE_ENTRIES; entry++) {
		unbuild(map, link_load(&link[entry]), below);
		link_store(&link[entry], 0);
	}
	return r;
}

int
trie_build(struct swapmap *map, const struct trie_pair *pair, unsigned n,
	   unsigned shift, uint32_t *ret_link)
{
	struct trie_inner *inner;
	uint32_t link;
	int r;

	if (n <= BAG_MAX)
		return bag_make(map, pair, n, ret_link);
	if (shift == NODE_BITS)
		return leaf_make(map, pair, n, ret_link);
	r = trie_node_make(map, CLASS_INNER, &link);
	if (r < 0)
		return r;
	inner = node_of(map, link);
	r = spread(map, pair, n, shift, inner->link);
	if (r < 0)
		trie_give(map, link_unit(link), CLASS_INNER);
	else
		*ret_link = link;
	return r;
}

unsigned
trie_bag_pairs(const struct trie_bag *bag, struct trie_pair *pair)
{
	const _Atomic uint64_t *words = bag_words(bag);
	unsigned capacity = bag_capacity(bag->class), n = 0;

	for (unsigned i = 0; i < capacity; i++) {
		pair[n].key = bag->key[i];
		pair[n].word = slot_load(&words[i]);
		n += pair[n].word != 0;
	}
	return n;
}

unsigned
trie_bag_sorted(const struct trie_bag *bag, uint32_t first, uint32_t last,
		struct trie_pair *pair)
{
	const _Atomic uint64_t *words = bag_words(bag);
	unsigned capacity = bag_capacity(bag->class), n = 0;

	for (unsigned i = 0; i < capacity; i++) {
		uint32_t key = bag->key[i];
		unsigned at = n;

		if (key < first || key > last || slot_load(&words[i]) == 0)
			continue;
		for (; at > 0 && pair[at - 1].key > key; at--)
			pair[at] = pair[at - 1];
		pair[at].key = key;
		pair[at].word = slot_load(&words[i]);
		n++;
	}
	return n;
}

/* --------------------------------------------------------------- table */

static bool
is_inner(uint32_t link, unsigned shift)
{
	return link != 0 && (link & LINK_BAG) == 0 && shift > NODE_BITS;
}

void
trie_link(struct swapmap *map, _Atomic uint32_t *link, unsigned shift,
	  uint32_t value)
{
	struct swapmap_trie *trie = &map->trie;
	uint64_t at = (uint64_t)((uintptr_t)link - (uintptr_t)trie->table) / 4;
	uint32_t old = link_load(link);
	_Atomic uint64_t *summary;

	if (at >= table_links(map)) {
		link_store(link, value);
		return;
	}
	summary = &table_summary(map)[at / 64];
	if (old == 0)
		slot_store(summary, slot_load(summary) |
				    UINT64_C(1) << at % 64);
	link_store(link, value);
	if (value == 0)
		slot_store(summary, slot_load(summary) &
				    ~(UINT64_C(1) << at % 64));
	trie->nlinks += (uint32_t)(value != 0) - (uint32_t)(old != 0);
	trie->ninner += (uint32_t)is_inner(value, shift) -
			(uint32_t)is_inner(old, shift);
}

void
trie_table_set(struct swapmap *map, uint64_t unit, unsigned bits)
{
	map->trie.table = unit == 0 ?
			  (void *)(map->arena.base + TABLE_HERE) :
			  unit_at(map, unit);
	map->trie.table_unit = unit;
	map->trie.table_bits = bits;
	map->trie.shift = trie_bits(map->npages) - bits;
}

/* Say when a larger table is better. */
static void
grow_watch(struct swapmap *map)
{
	struct swapmap_trie *trie = &map->trie;

	trie->grow_at = UINT32_MAX;
	trie->grow_count = UINT64_MAX;
	if (trie->shift < 2 * NODE_BITS ||
	    trie->table_bits + NODE_BITS > TABLE_BITS_MAX)
		return;
	trie->grow_at = (table_links(map) + 1) / 2;
	trie->grow_count = (uint64_t)table_links(map) * NODE_ENTRIES *
			   GROW_PAGES;
}

void
trie_table_count(struct swapmap *map)
{
	struct swapmap_trie *trie = &map->trie;
	_Atomic uint64_t *summary = table_summary(map);

	trie->nlinks = trie->ninner = 0;
	for (uint32_t i = 0; i < table_links(map); i++) {
		uint32_t link = link_load(&trie->table[i]);

		if (i % 64 == 0)
			slot_store(&summary[i / 64], 0);
		if (link == 0)
			continue;
		trie->nlinks++;
		trie->ninner += is_inner(link, trie->shift);
		slot_store(&summary[i / 64], slot_load(&summary[i / 64]) |
					     UINT64_C(1) << i % 64);
	}
	grow_watch(map);
}

uint64_t
trie_table_units(unsigned bits)
{
	return (table_bytes(bits) + LARGEST_BYTES - 1) / LARGEST_BYTES *
	       LARGEST_UNITS;
}

void
trie_table_give(struct swapmap *map, uint64_t unit, uint64_t n)
{
	for (; n > 0; n -= LARGEST_UNITS) {
		trie_give(map, (uint32_t)unit, CLASS_LEAF);
		unit += LARGEST_UNITS;
	}
}

/* Fill the links of a new table that take the place of the old one's @i. */
static int
grow_link(struct swapmap *map, _Atomic uint32_t *table, uint32_t i)
{
	_Atomic uint32_t *part = table + (size_t)i * NODE_ENTRIES;
	uint32_t link = link_load(&map->trie.table[i]);
	struct trie_pair pair[BAG_MAX];

	if ((link & LINK_BAG) != 0)
		return spread(map, pair,
			      trie_bag_pairs(node_of(map, link), pair),
			      map->trie.shift, part);
	if (link != 0) {
		const struct trie_inner *inner = node_of(map, link);

		for (unsigned k = 0; k < NODE_ENTRIES; k++)
			link_store(&part[k], link_load(&inner->link[k]));
	}
	return 0;
}

/* Give back what the first @n links of the old table became. */
static void
grow_undo(struct swapmap *map, _Atomic uint32_t *table, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		_Atomic uint32_t *part = table + (size_t)i * NODE_ENTRIES;

		if ((link_load(&map->trie.table[i]) & LINK_BAG) == 0)
			continue;
		for (unsigned k = 0; k < NODE_ENTRIES; k++)
			unbuild(map, link_load(&part[k]),
				map->trie.shift - NODE_BITS);
	}
}

static int
grow_fill(struct swapmap *map, _Atomic uint32_t *table)
{
	for (uint32_t i = 0; i < table_links(map); i++) {
		int r = grow_link(map, table, i);

		if (r < 0) {
			grow_undo(map, table, i);
			return r;
		}
	}
	return 0;
}

/* Give back the old table and the nodes that are not used any more. */
static void
grow_finish(struct swapmap *map, _Atomic uint32_t *old, uint64_t unit,
	    unsigned bits)
{
	uint32_t n = UINT32_C(1) << bits;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t link = link_load(&old[i]);

		if ((link & LINK_BAG) != 0) {
			const struct trie_bag *bag = node_of(map, link);

			trie_give(map, link_unit(link), bag->class);
		} else if (link != 0) {
			trie_give(map, link_unit(link), CLASS_INNER);
		}
	}
	if (unit == 0)
		memset(map->arena.base + TABLE_HERE, 0,
		       SWAPMAP_START - TABLE_HERE);
	else
		trie_table_give(map, unit, trie_table_units(bits));
}

static int
grow(struct swapmap *map)
{
	struct swapmap_trie *trie = &map->trie;
	_Atomic uint32_t *old = trie->table;
	uint64_t old_unit = trie->table_unit, unit;
	unsigned old_bits = trie->table_bits, bits = old_bits + NODE_BITS;
	int r = pool_extend(map, trie_table_units(bits), &unit);

	if (r < 0)
		return r;
	memset(unit_at(map, unit), 0, (size_t)table_bytes(bits));
	r = grow_fill(map, unit_at(map, unit));
	if (r < 0) {
		trie_table_give(map, unit, trie_table_units(bits));
		return r;
	}
	slot_store(&map->start->word, unit << 8 | bits);
	/* The old nodes must not change before that. */
	store_barrier();
	trie_table_set(map, unit, bits);
	trie_table_count(map);
	grow_finish(map, old, old_unit, old_bits);
	return 0;
}

void
trie_table_consider(struct swapmap *map)
{
	struct swapmap_trie *trie = &map->trie;

	if (trie->ninner < trie->grow_at &&
	    (trie->ninner == 0 || map->count < trie->grow_count))
		return;
	if (grow(map) < 0) {
		trie->grow_at = trie->ninner + trie->ninner / 8 + 1;
		trie->grow_count = map->count + map->count / 8;
	}
}
