/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * swapmap-trie.h - the nodes of a trie, among its files (floor 1)
 *
 * What it all means is told in swapmap-trie.c.  Only swapmap-trie*.c may
 * include this.
 */
#ifndef SWAP_SWAPMAP_TRIE_H
#define SWAP_SWAPMAP_TRIE_H

#include "compiler.h"
#include "swapmap-impl.h"

/* Places in the arena are counted in units. */
#define UNIT_BYTES	32u
#define UNIT_FIRST	(SWAPMAP_START / UNIT_BYTES)
#define UNITS_MAX	(UINT64_C(1) << 31)

/* A node of class c takes 2^c units, and its place is a multiple of that. */
#define CLASS_INNER	3u
#define CLASS_LEAF	4u
#define CLASS_BAG_MAX	3u
#define LARGEST_UNITS	(1u << CLASS_LEAF)
#define LARGEST_BYTES	(LARGEST_UNITS * UNIT_BYTES)

#define NODE_BITS	6u		/* log2 of a node's entries */
#define NODE_ENTRIES	(1u << NODE_BITS)
#define LINK_BAG	1u		/* in a link: it leads to a bag */

struct trie_inner {
	_Atomic uint32_t link[NODE_ENTRIES];
};

struct trie_leaf {
	_Atomic uint64_t slot[NODE_ENTRIES];
};

/* The words are at its end: bag_word(). */
struct trie_bag {
	uint32_t	 class;
	_Atomic uint32_t key[];
};

_Static_assert(sizeof(struct trie_inner) == UNIT_BYTES << CLASS_INNER, "size");
_Static_assert(sizeof(struct trie_leaf) == UNIT_BYTES << CLASS_LEAF, "size");

#define BAG_MAX		21u		/* capacity of the largest */
#define BAG_SHIFT_MAX	31u		/* log2 of the pages that it may serve */
#define KEY_NONE	UINT32_MAX	/* an entry without a page */

/*
 * The table: links, then a bit for each that is set where the link is not 0
 * (and may be set where it is).
 */
#define TABLE_BITS_MAX	19u
#define TABLE_HERE	1920u		/* the first one, in the start */
#define TABLE_HERE_BITS	9u		/* and the most that it can have */

_Static_assert(sizeof(struct swapmap_start) <= TABLE_HERE, "start too long");
_Static_assert(TABLE_HERE + (4u << TABLE_HERE_BITS) +
	       (1u << TABLE_HERE_BITS) / 8 <= SWAPMAP_START, "table too long");

/* A page and its word, taken out of a bag. */
struct trie_pair {
	uint32_t key;
	uint64_t word;
};

/* ---------------------------------------------------------- arithmetic */

/* log2 of the pages under a link of the table. */
static inline unsigned
table_shift(const struct swapmap *map)
{
	return map->trie.shift;
}

static inline uint32_t
table_links(const struct swapmap *map)
{
	return UINT32_C(1) << map->trie.table_bits;
}

static inline _Atomic uint64_t *
table_summary(const struct swapmap *map)
{
	/* A table of one link is followed by a gap, to align it. */
	return (void *)((uintptr_t)map->trie.table +
			4 * max_u64(table_links(map), UINT64_C(2)));
}

static inline uint64_t
table_bytes(unsigned bits)
{
	return (UINT64_C(4) << bits) + (UINT64_C(1) << bits) / 8;
}

/* The entry of a node for @page; 2^shift pages are under each entry. */
static inline unsigned
entry_of(uint64_t page, unsigned shift)
{
	return (unsigned)(page >> shift) & (NODE_ENTRIES - 1);
}

static inline uint32_t
key_of(uint64_t page, unsigned shift)
{
	return (uint32_t)(page & ((UINT64_C(1) << shift) - 1));
}

/* ------------------------------------------------------- loads and stores */

static inline void *
unit_at(const struct swapmap *map, uint64_t unit)
{
	return map->arena.base + unit * UNIT_BYTES;
}

static inline uint32_t
link_unit(uint32_t link)
{
	return link >> 1;
}

static inline uint32_t
link_to(uint32_t unit, uint32_t flag)
{
	return unit << 1 | flag;
}

static inline void *
node_of(const struct swapmap *map, uint32_t link)
{
	return map->arena.base + (size_t)(link >> 1) * UNIT_BYTES;
}

/* The same where the link is known not to lead to a bag. */
static inline void *
plain_node_of(const struct swapmap *map, uint32_t link)
{
	return map->arena.base + (size_t)link * (UNIT_BYTES / 2);
}

static inline uint32_t
link_load(const _Atomic uint32_t *link)
{
	return atomic_load_explicit(link, memory_order_acquire);
}

static inline void
link_store(_Atomic uint32_t *link, uint32_t value)
{
	atomic_store_explicit(link, value, memory_order_release);
}

static inline uint64_t
slot_load(const _Atomic uint64_t *slot)
{
	return atomic_load_explicit(slot, memory_order_acquire);
}

static inline void
slot_store(_Atomic uint64_t *slot, uint64_t word)
{
	atomic_store_explicit(slot, word, memory_order_release);
}

/* What follows in the program comes later in memory as well. */
static inline void
store_barrier(void)
{
	atomic_signal_fence(memory_order_seq_cst);
}

static inline unsigned
bag_capacity(unsigned class)
{
	return ((UNIT_BYTES << class) - 4) / 12;
}

static inline _Atomic uint64_t *
bag_words(const struct trie_bag *bag)
{
	unsigned size = UNIT_BYTES << bag->class;
	uintptr_t end = (uintptr_t)bag + size;

	return (void *)(end - 8 * bag_capacity(bag->class));
}

/* ------------------------------------------------- swapmap-trie-build.c */

/*
 * The pool of a new map; of one in which units below @fresh were used, where
 * what is free must be given; and does it agree with itself?
 */
int trie_pool_create(struct swapmap *map);
int trie_pool_open(struct swapmap *map, uint64_t fresh);
int trie_pool_check(const struct swapmap *map);

/* Give a node back; nothing leads to it. */
void trie_give(struct swapmap *map, uint32_t unit, unsigned class);

/* Units in a table with that many bits; and back they go. */
uint64_t trie_table_units(unsigned bits);
void trie_table_give(struct swapmap *map, uint64_t unit, uint64_t n);

/* A zeroed leaf or inner node, and a link to it.  What arena_grow() gives. */
int trie_node_make(struct swapmap *map, unsigned class, uint32_t *ret_link);

/*
 * Build what holds @n pairs (to BAG_MAX + 1) under a link with @shift, and say
 * how to link it.  -ENOMEM and so on, with nothing used.
 */
int trie_build(struct swapmap *map, const struct trie_pair *pair, unsigned n,
	       unsigned shift, uint32_t *ret_link);

/* The pairs of a bag that have a word that is not 0, as they come. */
unsigned trie_bag_pairs(const struct trie_bag *bag, struct trie_pair *pair);

/* The same, by key, and of those from @first to @last. */
unsigned trie_bag_sorted(const struct trie_bag *bag, uint32_t first,
			 uint32_t last, struct trie_pair *pair);

/* Change a link, which may be one of the table, and keep count. */
void trie_link(struct swapmap *map, _Atomic uint32_t *link, unsigned shift,
	       uint32_t value);

/* The table that @map->trie.table_unit and table_bits say. */
void trie_table_set(struct swapmap *map, uint64_t unit, unsigned bits);

/* Count the table's links, correct its summary, and say when to grow. */
void trie_table_count(struct swapmap *map);

/* Take a larger table if it is time; without memory for that, leave it. */
void trie_table_consider(struct swapmap *map);

/* ------------------------------------------------- swapmap-trie-check.c */

int trie_load(struct swapmap *map);
int trie_check(const struct swapmap *map);

/* ------------------------------------------------------- swapmap-trie.c */

void trie_geometry(const struct swapmap *map, uint32_t ret_geometry[4]);
void trie_unprepare(struct swapmap *map, uint64_t page, uint64_t n);
unsigned trie_bits(uint64_t npages);
unsigned trie_first_bits(unsigned bits);

#endif
