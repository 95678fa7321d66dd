/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * swapmap-trie.c - swap maps of kind trie
 *
 * A radix tree over page numbers, with a wide root and with small containers
 * where pages are few (a "burst trie"):
 *
 *	table	the root: one link for each 2^shift pages
 *	inner	64 links, for the next 6 bits of the page number
 *	leaf	64 slots, for the last 6 bits
 *	bag	(key, word) pairs in no order: all that there is under a link
 *		anywhere in the tree, as long as they are 21 at most
 *
 * A link is 32 bits: a place in the arena in units of 32 bytes, and whether a
 * bag is there; 0 is none.  What is not a bag is a leaf where 2^6 pages are
 * under the link, an inner node elsewhere.  A bag has room for 2, 5, 10 or 21
 * pairs in 32 to 256 bytes; it is replaced by a larger one when it is full, and
 * the largest bursts: into a leaf, or into an inner node with bags below.  So
 * a page alone costs some 20 bytes, wherever it is, and a dense range 8.1.  A
 * page behind a leaf that is used up to its end gets a leaf at once: that is
 * how maps fill in order.
 *
 * The table is in the start of the arena at first, with up to 512 links.  When
 * half of its links lead to inner nodes, or so many pages are mapped that it
 * hardly counts, a table with 64 times as many takes their place, up to 2^19.
 * So most lookups are a load from the table and one from a leaf or bag.  A
 * summary with a bit for each link lets searches skip what is not there.  The
 * table does not shrink.
 *
 * Which nodes are free is known to the process alone (swapmap-trie-build.c).
 * A successor finds it out by walking the tree (swapmap-trie-check.c).
 *
 * Invariants.
 *   T1  Every node of the tree is between the start and `fresh', at a multiple
 *	 of its size, and no unit belongs to two.
 *   T2  A unit below `fresh' is in the tree or in a free node, not in both; a
 *	 node is in the list of its size and has its bits in the masks.
 *   T3  No node of the tree is empty, except the table.
 *   T4  No slot, no pair and no link stands for pages beyond the last alone.
 *   T5  count is the number of slots and pairs with a value.
 *   T6  A slot or pair with SWAPMAP_HELD makes its node not empty, and
 *	 swapmap_clear() leaves it alone; whoever moves pairs moves these too.
 *	 So whoever prepared a page finds a slot, and needs no node to set it.
 *   T7  A pair has the key KEY_NONE just where its word is 0.  No two pairs of
 *	 a bag have the same key.
 *   T8  nlinks, ninner and the summary say what the links of the table say.
 *   T9  Where the table is not in the start, the start's place for it is zero.
 *
 * Crashes.  A process can die between any two instructions; its stores up to
 * there are in the file, in program order.  A node is filled before it is
 * linked, by one store, and unlinked before it is used for anything else.  A
 * key is stored before its word, and taken away after it.  A successor finds
 * a tree: T1, T4, and for every page the old word or the new.  What it may find
 * besides is empty nodes, keys without words, a summary with bits too many,
 * rests of the first table, and held slots that nobody holds any more;
 * trie_load() tidies up.
 *
 * Cost.  Memory: a bag is half to all full.  Nodes are reused, the arena does
 * not shrink.  A pair that grows its bag, or bursts it, costs the copying of at
 * most 21; growing the table is one pass over it, for 2^18 links some
 * milliseconds.  Limits: 64 GiB of arena (2^33 mapped pages in leaves).
 */
#include <errno.h>
#include <string.h>

#include "swapmap-trie.h"

/* log2 of the pages, rounded up, and at least a leaf. */
unsigned
trie_bits(uint64_t npages)
{
	unsigned bits = NODE_BITS;

	while ((npages - 1) >> bits != 0)
		bits++;
	return bits;
}

/* log2 of the links of the first table. */
unsigned
trie_first_bits(unsigned bits)
{
	unsigned first = (bits - NODE_BITS) % NODE_BITS;

	if (bits >= first + 2 * NODE_BITS &&
	    first + NODE_BITS <= TABLE_HERE_BITS)
		first += NODE_BITS;
	return first;
}

/*
 * Address space is cheap: more than the nodes need in the worst case that is
 * known, where all pages first are in small bags.
 */
static size_t
trie_reserve(uint64_t npages)
{
	return (size_t)min_u64(SWAPMAP_START + (UINT64_C(1) << 16) +
			       128 * npages, UNITS_MAX * UNIT_BYTES);
}

void
trie_geometry(const struct swapmap *map, uint32_t ret_geometry[4])
{
	ret_geometry[0] = UNIT_BYTES;
	ret_geometry[1] = NODE_ENTRIES;
	ret_geometry[2] = BAG_MAX;
	ret_geometry[3] = TABLE_HERE << 8 | trie_bits(map->npages);
}

static int
trie_format(struct swapmap *map)
{
	map->trie.fresh = UNIT_FIRST;
	trie_geometry(map, map->start->geometry);
	trie_table_set(map, 0, trie_first_bits(trie_bits(map->npages)));
	trie_table_count(map);
	return trie_pool_create(map);
}

/* --------------------------------------------------------------- slots */

static _Atomic uint64_t *
bag_find(const struct trie_bag *bag, uint32_t key)
{
	unsigned capacity = bag_capacity(bag->class);

	for (unsigned i = 0; i < capacity; i++) {
		if (atomic_load_explicit(&bag->key[i], memory_order_relaxed) ==
		    key)
			return &bag_words(bag)[i];
	}
	return NULL;
}

/* Does a link with so many pages under it lead to a leaf? */
static inline bool
is_leaf(uint32_t link, unsigned shift)
{
	return shift == NODE_BITS && link != 0 && (link & LINK_BAG) == 0;
}

static inline _Atomic uint64_t *
leaf_slot(const struct swapmap *map, uint32_t link, uint64_t page)
{
	struct trie_leaf *leaf = plain_node_of(map, link);

	return &leaf->slot[entry_of(page, 0)];
}

/* The slot of a page, in a leaf or a bag; NULL: it has none. */
static inline _Atomic uint64_t *
slot_find(const struct swapmap *map, uint64_t page)
{
	unsigned shift = map->trie.shift;
	uint32_t link = link_load(&map->trie.table[page >> shift]);
	const struct trie_inner *inner;

	/* The usual case in a dense map. */
	if (swap_likely(is_leaf(link, shift)))
		return leaf_slot(map, link, page);
	while (link != 0) {
		if ((link & LINK_BAG) != 0)
			return bag_find(node_of(map, link),
					key_of(page, shift));
		shift -= NODE_BITS;
		if (shift == 0)
			return leaf_slot(map, link, page);
		inner = plain_node_of(map, link);
		link = link_load(&inner->link[entry_of(page, shift)]);
	}
	return NULL;
}

/* The slot of a page if it is in a leaf; NULL: it is not. */
static inline _Atomic uint64_t *
slot_in_leaf(const struct swapmap *map, uint64_t page)
{
	unsigned shift = map->trie.shift;
	uint32_t link = link_load(&map->trie.table[page >> shift]);
	const struct trie_inner *inner;

	while (link != 0 && (link & LINK_BAG) == 0) {
		shift -= NODE_BITS;
		if (shift == 0)
			return leaf_slot(map, link, page);
		inner = plain_node_of(map, link);
		link = link_load(&inner->link[entry_of(page, shift)]);
	}
	return NULL;
}

/* Is the page before the first, or behind the last, of a new leaf in a leaf? */
static bool
goes_on(const struct swapmap *map, const _Atomic uint32_t *link, uint64_t page)
{
	const struct trie_leaf *leaf;
	uint32_t before;

	/* The first link of a node has its neighbour elsewhere. */
	if (entry_of(page, 0) != 0 || page == 0 ||
	    entry_of(page, NODE_BITS) == 0)
		return false;
	before = link_load(link - 1);
	if (before == 0 || (before & LINK_BAG) != 0)
		return false;
	leaf = node_of(map, before);
	return slot_load(&leaf->slot[NODE_ENTRIES - 1]) != 0;
}

/*
 * Something for @page where there is nothing; @n pages from it on will be set.
 */
static int
link_fill(struct swapmap *map, _Atomic uint32_t *link, unsigned shift,
	  uint64_t page, uint64_t n)
{
	struct trie_pair pair = { .key = key_of(page, shift) };
	uint64_t n_here = min_u64(n, NODE_ENTRIES - entry_of(page, 0));
	uint32_t made;
	int r;

	if (shift == NODE_BITS &&
	    (n_here > BAG_MAX || goes_on(map, link, page)))
		r = trie_node_make(map, CLASS_LEAF, &made);
	else if (shift > BAG_SHIFT_MAX || n_here > BAG_MAX)
		r = trie_node_make(map, CLASS_INNER, &made);
	else
		r = trie_build(map, &pair, 1, shift, &made);
	if (r == 0)
		trie_link(map, link, shift, made);
	return r;
}

/* Replace a full bag by something that has room for @page as well. */
static int
bag_enlarge(struct swapmap *map, _Atomic uint32_t *link, unsigned shift,
	    uint64_t page)
{
	struct trie_pair pair[BAG_MAX + 1];
	uint32_t old = link_load(link), made;
	const struct trie_bag *bag = node_of(map, old);
	unsigned n = trie_bag_pairs(bag, pair), class = bag->class;
	int r;

	pair[n].key = key_of(page, shift);
	pair[n].word = 0;
	r = trie_build(map, pair, n + 1, shift, &made);
	if (r < 0)
		return r;
	trie_link(map, link, shift, made);
	/* The bag must not change before it is out of the tree. */
	store_barrier();
	trie_give(map, link_unit(old), class);
	return 0;
}

/* Find or make the slot of a page in a bag; NULL: the bag is full. */
static _Atomic uint64_t *
bag_slot(struct trie_bag *bag, uint32_t key)
{
	_Atomic uint64_t *slot = bag_find(bag, key);
	unsigned capacity = bag_capacity(bag->class);

	if (slot != NULL)
		return slot;
	for (unsigned i = 0; i < capacity; i++) {
		if (bag->key[i] == KEY_NONE) {
			atomic_store_explicit(&bag->key[i], key,
					      memory_order_release);
			return &bag_words(bag)[i];
		}
	}
	return NULL;
}

/*
 * The slot of a page, made if need be: then it has no word, and must get one
 * at once.  The caller is going to set @n pages from @page.
 */
static int
slot_make(struct swapmap *map, uint64_t page, uint64_t n,
	  _Atomic uint64_t **ret_slot)
{
	unsigned shift = map->trie.shift;
	_Atomic uint32_t *at = &map->trie.table[page >> shift];

	for (;;) {
		uint32_t link = link_load(at);
		int r = 0;

		if (link == 0) {
			r = link_fill(map, at, shift, page, n);
		} else if ((link & LINK_BAG) != 0) {
			*ret_slot = bag_slot(node_of(map, link),
					     key_of(page, shift));
			if (*ret_slot != NULL)
				return 0;
			r = bag_enlarge(map, at, shift, page);
		} else if (shift == NODE_BITS) {
			*ret_slot = leaf_slot(map, link, page);
			return 0;
		} else {
			struct trie_inner *inner = node_of(map, link);

			shift -= NODE_BITS;
			at = &inner->link[entry_of(page, shift)];
		}
		if (r < 0)
			return r;
	}
}

/* -------------------------------------------------------------- sweeps */

/* Clears a range, or ends what is prepared there, and frees what gets empty. */
struct sweep {
	struct swapmap		*map;
	uint64_t		 first;
	uint64_t		 last;
	bool			 unhold;	/* do not clear */
	struct swapmap_batch	*batch;		/* NULL: not wanted */
	uint64_t		 nmapped;
};

/* The first page under a link that is in the range, less the link's @base. */
static uint64_t
sweep_first(const struct sweep *sweep, uint64_t base)
{
	return sweep->first > base ? sweep->first - base : 0;
}

/* The last, of 2^shift pages. */
static uint64_t
sweep_last(const struct sweep *sweep, uint64_t base, unsigned shift)
{
	return min_u64(sweep->last - base, (UINT64_C(1) << shift) - 1);
}

/* Is nothing in a leaf but in a range? */
static bool
rest_is_empty(const struct trie_leaf *leaf, unsigned first, unsigned last)
{
	/* What is next to the range that was swept is probably there. */
	for (unsigned i = last + 1; i < NODE_ENTRIES; i++) {
		if (slot_load(&leaf->slot[i]) != 0)
			return false;
	}
	for (unsigned i = first; i-- > 0;) {
		if (slot_load(&leaf->slot[i]) != 0)
			return false;
	}
	return true;
}

/* What is left of the slots, all together. */
static uint64_t
leaf_unhold(struct trie_leaf *leaf, unsigned first, unsigned last)
{
	uint64_t left = 0;

	for (unsigned i = first; i <= last; i++) {
		uint64_t word = slot_load(&leaf->slot[i]);

		if ((word & SWAPMAP_HELD) != 0)
			slot_store(&leaf->slot[i], word & SWAPMAP_VALUE);
		left |= word & SWAPMAP_VALUE;
	}
	return left;
}

/*
 * Clear the slot @at with @word, and what follows it with consecutive blocks
 * as far as @last; returns how many.
 */
static unsigned
leaf_clear_run(struct sweep *sweep, struct trie_leaf *leaf, unsigned at,
	       unsigned last, uint64_t word)
{
	uint64_t value = word & SWAPMAP_VALUE, next = value + 1;
	_Atomic uint64_t *slot = &leaf->slot[at + 1];
	const _Atomic uint64_t *end = &leaf->slot[last + 1];
	unsigned n;

	slot_store(&leaf->slot[at], word & SWAPMAP_HELD);
	if (value == SWAPMAP_VALUE)
		return 1;
	/* Neither held nor poison. */
	for (; slot < end && slot_load(slot) == next && next < SWAPMAP_VALUE;
	     slot++, next++)
		slot_store(slot, 0);
	n = (unsigned)(slot - &leaf->slot[at]);
	if (sweep->batch != NULL)
		swapmap_batch_add_run(sweep->batch, value, n);
	return n;
}

/* What is left of the slots, all together. */
static uint64_t
leaf_clear(struct sweep *sweep, struct trie_leaf *leaf, unsigned first,
	   unsigned last)
{
	uint64_t left = 0;

	for (unsigned i = first; i <= last;) {
		uint64_t word = slot_load(&leaf->slot[i]);
		unsigned n = 1;

		left |= word & SWAPMAP_HELD;
		if ((word & SWAPMAP_VALUE) != 0) {
			n = leaf_clear_run(sweep, leaf, i, last, word);
			sweep->nmapped += n;
		}
		i += n;
	}
	return left;
}

static bool
sweep_leaf(struct sweep *sweep, struct trie_leaf *leaf, uint64_t base)
{
	unsigned first = (unsigned)sweep_first(sweep, base);
	unsigned last = (unsigned)sweep_last(sweep, base, NODE_BITS);

	uint64_t left = sweep->unhold ? leaf_unhold(leaf, first, last) :
			leaf_clear(sweep, leaf, first, last);

	return left == 0 && rest_is_empty(leaf, first, last);
}

/* One pair of a bag. */
static void
pair_sweep(struct sweep *sweep, struct trie_bag *bag, unsigned i)
{
	_Atomic uint64_t *slot = &bag_words(bag)[i];
	uint64_t old = slot_load(slot);
	uint64_t word = old & (sweep->unhold ? SWAPMAP_VALUE : SWAPMAP_HELD);

	slot_store(slot, word);
	if (word == 0)
		atomic_store_explicit(&bag->key[i], KEY_NONE,
				      memory_order_release);
	if (sweep->unhold || (old & SWAPMAP_VALUE) == 0)
		return;
	sweep->nmapped++;
	if (sweep->batch != NULL)
		swapmap_batch_add(sweep->batch, old);
}

/* The entry of the least key from @first to @last; false: there is none. */
static bool
bag_next(const struct trie_bag *bag, uint64_t first, uint64_t last,
	 unsigned *ret_entry)
{
	unsigned capacity = bag_capacity(bag->class);
	uint64_t least = last + 1;

	for (unsigned i = 0; i < capacity; i++) {
		uint32_t key = bag->key[i];

		if (key >= first && key < least) {
			least = key;
			*ret_entry = i;
		}
	}
	return least <= last;
}

static bool
bag_is_empty(const struct trie_bag *bag)
{
	unsigned capacity = bag_capacity(bag->class);

	for (unsigned i = 0; i < capacity; i++) {
		if (bag->key[i] != KEY_NONE)
			return false;
	}
	return true;
}

/* Pages in their order; a crash left keys without words, which go too. */
static bool
sweep_bag(struct sweep *sweep, struct trie_bag *bag, uint64_t base,
	  unsigned shift)
{
	uint64_t first = sweep_first(sweep, base);
	uint64_t last = sweep_last(sweep, base, shift);
	unsigned i = 0;

	if (first == last) {
		const _Atomic uint64_t *slot = bag_find(bag, (uint32_t)first);

		if (slot != NULL)
			pair_sweep(sweep, bag,
				   (unsigned)(slot - bag_words(bag)));
		return bag_is_empty(bag);
	}
	while (bag_next(bag, first, last, &i)) {
		first = (uint64_t)bag->key[i] + 1;
		pair_sweep(sweep, bag, i);
	}
	return bag_is_empty(bag);
}

static bool
inner_is_empty(const struct trie_inner *inner)
{
	for (unsigned i = 0; i < NODE_ENTRIES; i++) {
		if (link_load(&inner->link[i]) != 0)
			return false;
	}
	return true;
}

static void sweep_link(struct sweep *sweep, _Atomic uint32_t *link,
		       unsigned shift, uint64_t base);

static bool
sweep_inner(struct sweep *sweep, struct trie_inner *inner, uint64_t base,
	    unsigned shift)
{
	unsigned below = shift - NODE_BITS;
	unsigned last = (unsigned)(sweep_last(sweep, base, shift) >> below);
	unsigned i = (unsigned)(sweep_first(sweep, base) >> below);

	for (; i <= last; i++)
		sweep_link(sweep, &inner->link[i], below,
			   base + ((uint64_t)i << below));
	return inner_is_empty(inner);
}

/* What is behind a link, which has 2^shift pages from @base under it. */
static void
sweep_link(struct sweep *sweep, _Atomic uint32_t *at, unsigned shift,
	   uint64_t base)
{
	uint32_t link = link_load(at);
	unsigned class = CLASS_LEAF;
	void *node;
	bool empty;

	if (link == 0)
		return;
	node = node_of(sweep->map, link);
	if ((link & LINK_BAG) != 0) {
		class = ((struct trie_bag *)node)->class;
		empty = sweep_bag(sweep, node, base, shift);
	} else if (shift == NODE_BITS) {
		empty = sweep_leaf(sweep, node, base);
	} else {
		class = CLASS_INNER;
		empty = sweep_inner(sweep, node, base, shift);
	}
	if (!empty)
		return;
	trie_link(sweep->map, at, shift, 0);
	/* The node must not change before it is out of the tree. */
	store_barrier();
	trie_give(sweep->map, link_unit(link), class);
}

/* The first link from @i on that may lead somewhere; beyond the last: none. */
static uint64_t
table_next(const struct swapmap *map, uint64_t i)
{
	const _Atomic uint64_t *summary = table_summary(map);
	uint64_t n = table_links(map), word;

	if (i >= n)
		return n;
	word = slot_load(&summary[i / 64]) >> (i % 64) << (i % 64);
	for (i &= ~UINT64_C(63); word == 0;) {
		i += 64;
		if (i >= n)
			return n;
		word = slot_load(&summary[i / 64]);
	}
	return i + (unsigned)__builtin_ctzll(word);
}

static void
sweep_run(struct sweep *sweep)
{
	struct swapmap *map = sweep->map;
	unsigned shift = map->trie.shift;
	uint64_t i = sweep->first >> shift, last = sweep->last >> shift;

	for (i = table_next(map, i); i <= last; i = table_next(map, i + 1))
		sweep_link(sweep, &map->trie.table[i], shift, i << shift);
}

/* ---------------------------------------------------------- operations */

static uint64_t
trie_get(const struct swapmap *map, uint64_t page)
{
	const _Atomic uint64_t *slot = slot_find(map, page);

	return slot == NULL ? 0 : slot_load(slot);
}

static uint64_t
trie_clear(struct swapmap *map, uint64_t page, uint64_t n,
	   struct swapmap_batch *batch)
{
	struct sweep sweep = {
		.map = map, .first = page, .last = page + n - 1,
		.batch = batch,
	};

	sweep_run(&sweep);
	return sweep.nmapped;
}

void
trie_unprepare(struct swapmap *map, uint64_t page, uint64_t n)
{
	struct sweep sweep = {
		.map = map, .first = page, .last = page + n - 1,
		.unhold = true,
	};

	sweep_run(&sweep);
}

/* Apart, so that the short way needs no stack. */
static __attribute__((noinline)) int
set_elsewhere(struct swapmap *map, uint64_t page, uint64_t word,
	      uint64_t *ret_old)
{
	_Atomic uint64_t *slot;
	int r;

	if (word == 0) {
		*ret_old = trie_get(map, page);
		(void)trie_clear(map, page, 1, NULL);
		return 0;
	}
	r = slot_make(map, page, 1, &slot);
	if (swap_unlikely(r < 0)) {
		/* There may be nodes on the way to no slot. */
		trie_unprepare(map, page, 1);
		return r;
	}
	*ret_old = slot_load(slot);
	slot_store(slot, word);
	trie_table_consider(map);
	return 0;
}

static int
trie_set(struct swapmap *map, uint64_t page, uint64_t word, uint64_t *ret_old)
{
	_Atomic uint64_t *slot = slot_in_leaf(map, page);

	if (swap_unlikely(slot == NULL || word == 0))
		return set_elsewhere(map, page, word, ret_old);
	*ret_old = slot_load(slot);
	slot_store(slot, word);
	return 0;
}

static int
trie_prepare(struct swapmap *map, uint64_t page, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++) {
		_Atomic uint64_t *slot;
		int r = slot_make(map, page + i, n - i, &slot);

		if (r < 0) {
			/* There may be nodes on the way to no slot. */
			trie_unprepare(map, page, i + 1);
			return r;
		}
		slot_store(slot, slot_load(slot) | SWAPMAP_HELD);
	}
	trie_table_consider(map);
	return 0;
}

/* ----------------------------------------------------------- questions */

struct find {
	const struct swapmap *map;
	uint64_t from;
	uint64_t page, word;	/* what was found */
};

static bool
find_leaf(struct find *find, const struct trie_leaf *leaf, uint64_t base)
{
	unsigned i = find->from > base ? (unsigned)(find->from - base) : 0;

	for (; i < NODE_ENTRIES; i++) {
		uint64_t word = slot_load(&leaf->slot[i]);

		if ((word & SWAPMAP_VALUE) != 0) {
			find->page = base + i;
			find->word = word;
			return true;
		}
	}
	return false;
}

static bool
find_bag(struct find *find, const struct trie_bag *bag, uint64_t base)
{
	uint64_t first = find->from > base ? find->from - base : 0;
	unsigned i = 0;

	while (bag_next(bag, first, KEY_NONE - 1, &i)) {
		uint64_t word = slot_load(&bag_words(bag)[i]);

		if ((word & SWAPMAP_VALUE) != 0) {
			find->page = base + bag->key[i];
			find->word = word;
			return true;
		}
		first = (uint64_t)bag->key[i] + 1;
	}
	return false;
}

/* The first page with a value under a link that reaches from @base. */
static bool
find_link(struct find *find, uint32_t link, unsigned shift, uint64_t base)
{
	unsigned below = shift - NODE_BITS, i = 0;
	const struct trie_inner *inner;

	if ((link & LINK_BAG) != 0)
		return find_bag(find, node_of(find->map, link), base);
	if (shift == NODE_BITS)
		return find_leaf(find, node_of(find->map, link), base);
	inner = node_of(find->map, link);
	if (find->from > base)
		i = (unsigned)((find->from - base) >> below);
	for (; i < NODE_ENTRIES; i++) {
		uint32_t child = link_load(&inner->link[i]);

		if (child != 0 && find_link(find, child, below,
					    base + ((uint64_t)i << below)))
			return true;
	}
	return false;
}

static bool
trie_find(const struct swapmap *map, uint64_t page, uint64_t *ret_page,
	  uint64_t *ret_word)
{
	struct find find = { .map = map, .from = page };
	unsigned shift = map->trie.shift;
	uint64_t i = table_next(map, page >> shift);

	for (; i < table_links(map); i = table_next(map, i + 1)) {
		uint32_t link = link_load(&map->trie.table[i]);

		if (link != 0 && find_link(&find, link, shift, i << shift)) {
			*ret_page = find.page;
			*ret_word = find.word;
			return true;
		}
	}
	return false;
}

struct each {
	const struct swapmap *map;
	uint64_t	 first, last;
	bool		 raw;
	swapmap_each_fn	*fn;
	void		*arg;
};

/* A word as the visitor wants it; false: it does not want it. */
static inline bool
each_value(uint64_t word, bool raw, uint64_t *ret_value)
{
	*ret_value = raw ? word : swapmap_block(word);
	return raw ? word != 0 : (word & SWAPMAP_VALUE) != 0;
}

static inline int
each_slots(const struct trie_leaf *leaf, uint64_t base, uint64_t first,
	   uint64_t last, bool raw, swapmap_each_fn *fn, void *arg)
{
	for (uint64_t i = first; i <= last; i++) {
		uint64_t value;
		int r;

		if (!each_value(slot_load(&leaf->slot[i]), raw, &value))
			continue;
		r = fn(arg, base + i, value);
		if (swap_unlikely(r != 0))
			return r;
	}
	return 0;
}

static int
each_leaf(const struct each *each, const struct trie_leaf *leaf, uint64_t base)
{
	uint64_t last = min_u64(each->last - base, NODE_ENTRIES - 1);
	uint64_t first = each->first > base ? each->first - base : 0;

	if (each->raw)
		return each_slots(leaf, base, first, last, true, each->fn,
				  each->arg);
	return each_slots(leaf, base, first, last, false, each->fn, each->arg);
}

static int
each_bag(const struct each *each, const struct trie_bag *bag, uint64_t base)
{
	uint64_t first = each->first > base ? each->first - base : 0;
	uint64_t last = min_u64(each->last - base, KEY_NONE - 1);
	struct trie_pair pair[BAG_MAX];
	unsigned n = trie_bag_sorted(bag, (uint32_t)first, (uint32_t)last,
				     pair);
	int r = 0;

	for (unsigned i = 0; r == 0 && i < n; i++) {
		uint64_t value;

		if (each_value(pair[i].word, each->raw, &value))
			r = each->fn(each->arg, base + pair[i].key, value);
	}
	return r;
}

static int
each_link(const struct each *each, uint32_t link, unsigned shift,
	  uint64_t base)
{
	unsigned below = shift - NODE_BITS;
	const struct trie_inner *inner;
	uint64_t i, last;
	int r = 0;

	if ((link & LINK_BAG) != 0)
		return each_bag(each, node_of(each->map, link), base);
	if (shift == NODE_BITS)
		return each_leaf(each, node_of(each->map, link), base);
	inner = node_of(each->map, link);
	i = each->first > base ? (each->first - base) >> below : 0;
	last = min_u64((each->last - base) >> below, NODE_ENTRIES - 1);
	for (; r == 0 && i <= last; i++) {
		uint32_t child = link_load(&inner->link[i]);

		if (child != 0)
			r = each_link(each, child, below, base + (i << below));
	}
	return r;
}

static int
trie_each(const struct swapmap *map, uint64_t page, uint64_t n, bool raw,
	  swapmap_each_fn *fn, void *arg)
{
	struct each each = {
		.map = map, .first = page, .last = page + n - 1, .raw = raw,
		.fn = fn, .arg = arg,
	};
	unsigned shift = map->trie.shift;
	uint64_t i = table_next(map, page >> shift);
	int r = 0;

	for (; r == 0 && i <= each.last >> shift; i = table_next(map, i + 1)) {
		uint32_t link = link_load(&map->trie.table[i]);

		if (link != 0)
			r = each_link(&each, link, shift, i << shift);
	}
	return r;
}

const struct swapmap_ops swapmap_trie_ops = {
	.kind = SWAPMAP_TRIE,
	.name = "trie",
	.pages_max = SWAPMAP_PAGES_MAX,
	.reserve = trie_reserve,
	.format = trie_format,
	.load = trie_load,
	.get = trie_get,
	.set = trie_set,
	.prepare = trie_prepare,
	.unprepare = trie_unprepare,
	.find = trie_find,
	.each = trie_each,
	.clear = trie_clear,
	.check = trie_check,
};
