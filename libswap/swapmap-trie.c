/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * swapmap-trie.c - swap maps of kind trie
 *
 * A radix tree over page numbers.  Leaves hold 16 slots of 8 bytes, inner
 * nodes hold the indices of 32 children of 4 bytes; both take NODE_BYTES, so
 * that there is one pool of nodes, and a node that is freed anywhere serves
 * anywhere.  A node's index is its place in the arena in units of NODE_BYTES;
 * the start of the arena takes the first NODE_FIRST of them, which leaves 0
 * for "none".  The height follows from the number of pages and does not change:
 *
 *	pages	16	512	16Ki	512Ki	16Mi	512Mi	...	2^40
 *	top	0	1	2	3	4	5		8
 *
 * Which nodes are free is known to the process alone: a list through the free
 * nodes below `fresh', and all nodes from there on.  A successor finds it out
 * by walking the tree.
 *
 * Invariants.
 *   T1  Every index in the tree is in [NODE_FIRST, fresh), and no node is
 *	 reached twice.
 *   T2  A node below `fresh' is in the tree or in the free list, not in both.
 *   T3  No node of the tree is empty, and so the empty tree has no root.
 *   T4  No slot and no child stands for pages beyond the last.
 *   T5  count is the number of slots with a value.
 *   T6  The way to a slot with SWAPMAP_HELD exists: the bit makes its leaf
 *	 not empty, and swapmap_clear() leaves it alone.  So whoever prepared
 *	 a page finds its slot, and needs no node to set it.
 *
 * Crashes.  A process can die between any two instructions; its stores up to
 * there are in the file, in program order.  A node is zeroed before it is
 * linked, and unlinked before it is used for anything else, so a successor
 * always finds a tree: T1, T4, and in every slot the old word or the new.  What
 * it may find besides is empty nodes, and held slots that nobody holds any
 * more; trie_load() frees them.
 *
 * Cost.  get and set: one node a level.  Memory: 8.3 bytes a page where pages
 * are dense, at most 128 bytes times the depth for a page alone.  Nodes are
 * reused, the arena does not shrink.  Address space: what a full tree needs,
 * at most 512 GiB (2^32 nodes, or 2^36 mapped pages).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "compiler.h"
#include "swapmap-impl.h"

#define LEAF_BITS	4u
#define INNER_BITS	5u
#define LEAF_SLOTS	(1u << LEAF_BITS)
#define INNER_SLOTS	(1u << INNER_BITS)
#define NODE_BYTES	128u
#define NODE_FIRST	(SWAPMAP_START / NODE_BYTES)
#define NODES_MAX	(UINT64_C(1) << 32)

union node {
	_Atomic uint64_t slot[LEAF_SLOTS];	/* level 0 */
	_Atomic uint32_t child[INNER_SLOTS];	/* the levels above */
	uint32_t	 next_free;		/* in the free list */
};
_Static_assert(sizeof(union node) == NODE_BYTES, "a node's size is wrong");

/* ---------------------------------------------------------- arithmetic */

/* log2 of the pages under a node at @level. */
static unsigned
span_bits(unsigned level)
{
	return LEAF_BITS + INNER_BITS * level;
}

/* log2 of the pages under one entry, slot or child, of a node at @level. */
static unsigned
entry_bits(unsigned level)
{
	return level == 0 ? 0 : span_bits(level - 1);
}

static unsigned
entries(unsigned level)
{
	return level == 0 ? LEAF_SLOTS : INNER_SLOTS;
}

/* The entry of a node at @level that leads to @page. */
static unsigned
entry_of(unsigned level, uint64_t page)
{
	return (unsigned)(page >> entry_bits(level)) & (entries(level) - 1);
}

/* The first page under an entry of a node that begins with page @base. */
static uint64_t
entry_page(unsigned level, uint64_t base, unsigned entry)
{
	return base + ((uint64_t)entry << entry_bits(level));
}

/* The first entry of the node at @base that reaches @page or what follows. */
static unsigned
entry_from(unsigned level, uint64_t base, uint64_t page)
{
	return page <= base ? 0 : (unsigned)((page - base) >>
					     entry_bits(level));
}

/* The last entry that reaches @page or what precedes; @page >= @base. */
static unsigned
entry_to(unsigned level, uint64_t base, uint64_t page)
{
	return (unsigned)min_u64((page - base) >> entry_bits(level),
				 entries(level) - 1);
}

/* The level of the root. */
static unsigned
top_level(uint64_t npages)
{
	unsigned level = 0;

	while ((npages - 1) >> span_bits(level) != 0)
		level++;
	return level;
}

static size_t
trie_reserve(uint64_t npages)
{
	uint64_t nodes = NODE_FIRST;

	for (unsigned level = 0; level <= top_level(npages); level++)
		nodes += ((npages - 1) >> span_bits(level)) + 1;
	return (size_t)min_u64(nodes, NODES_MAX) * NODE_BYTES;
}

/* --------------------------------------------------------------- nodes */

static union node *
node_at(const struct swapmap *map, uint64_t index)
{
	return (void *)(map->arena.base + index * NODE_BYTES);
}

static uint32_t
link_load(const _Atomic uint32_t *link)
{
	return atomic_load_explicit(link, memory_order_acquire);
}

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

/* Both kinds of node are empty when all their bytes are zero. */
static bool
node_is_empty(const union node *node)
{
	uint64_t any = 0;

	for (unsigned i = 0; i < LEAF_SLOTS; i++)
		any |= slot_load(&node->slot[i]);
	return any == 0;
}

/* Make sure that @n nodes can be taken. */
static int
nodes_ensure(struct swapmap *map, uint64_t n)
{
	if (n <= map->trie.nfree)
		return 0;
	return arena_grow(&map->arena, (size_t)(map->trie.fresh + n - map->trie.nfree) *
			  NODE_BYTES);
}

/* Take a node, zeroed; the caller has ensured that there is one. */
static uint32_t
node_take(struct swapmap *map)
{
	uint32_t index;

	if (map->trie.nfree > 0) {
		index = map->trie.free_head[0];
		map->trie.free_head[0] = node_at(map, index)->next_free;
		map->trie.nfree--;
	} else {
		index = (uint32_t)map->trie.fresh++;
	}
	memset(node_at(map, index), 0, NODE_BYTES);
	return index;
}

static void
node_give(struct swapmap *map, uint32_t index)
{
	node_at(map, index)->next_free = map->trie.free_head[0];
	map->trie.free_head[0] = index;
	map->trie.nfree++;
}

/* Free the node behind @link if it is empty. */
static void
node_prune(struct swapmap *map, _Atomic uint32_t *link)
{
	uint32_t index = link_load(link);

	if (!node_is_empty(node_at(map, index)))
		return;
	atomic_store_explicit(link, 0, memory_order_release);
	/* The node must not change before it is out of the tree. */
	atomic_signal_fence(memory_order_seq_cst);
	node_give(map, index);
}

/* -------------------------------------------------------------- leaves */

/* The leaf of @page; NULL: there is none. */
static union node *
leaf_find(const struct swapmap *map, uint64_t page)
{
	uint32_t index = link_load(&map->start->root);

	for (unsigned level = map->trie.top; level > 0 && index != 0; level--)
		index = link_load(&node_at(map, index)->
				  child[entry_of(level, page)]);
	return index == 0 ? NULL : node_at(map, index);
}

/* The leaf of @page, with the nodes on the way to it made if need be. */
static int
leaf_make(struct swapmap *map, uint64_t page, union node **ret_leaf)
{
	_Atomic uint32_t *link = &map->start->root;
	unsigned level = map->trie.top;

	for (;; level--) {
		uint32_t index = link_load(link);

		if (index == 0) {
			/* All levels below are missing as well. */
			int r = nodes_ensure(map, level + 1);

			if (r < 0)
				return r;
			index = node_take(map);
			atomic_store_explicit(link, index,
					      memory_order_release);
		}
		if (level == 0) {
			*ret_leaf = node_at(map, index);
			return 0;
		}
		link = &node_at(map, index)->child[entry_of(level, page)];
	}
}

/* -------------------------------------------------------------- sweeps */

/* Does something to all slots of a range, and frees what gets empty. */
struct sweep {
	struct swapmap		*map;
	uint64_t		 first;
	uint64_t		 last;
	void			 (*slot)(struct sweep *sweep,
					 _Atomic uint64_t *slot);
	struct swapmap_batch	*batch;		/* NULL: not wanted */
	uint64_t		 nmapped;
};

static void
sweep_node(struct sweep *sweep, _Atomic uint32_t *link, unsigned level,
	   uint64_t base)
{
	uint32_t index = link_load(link);
	unsigned i, last;
	union node *node;

	if (index == 0)
		return;
	node = node_at(sweep->map, index);
	last = entry_to(level, base, sweep->last);
	for (i = entry_from(level, base, sweep->first); i <= last; i++) {
		if (level == 0)
			sweep->slot(sweep, &node->slot[i]);
		else
			sweep_node(sweep, &node->child[i], level - 1,
				   entry_page(level, base, i));
	}
	node_prune(sweep->map, link);
}

static void
sweep_run(struct sweep *sweep)
{
	struct swapmap *map = sweep->map;

	sweep_node(sweep, &map->start->root, map->trie.top, 0);
}

static void
slot_clear(struct sweep *sweep, _Atomic uint64_t *slot)
{
	uint64_t word = slot_load(slot);

	if ((word & SWAPMAP_VALUE) == 0)
		return;
	slot_store(slot, word & SWAPMAP_HELD);
	sweep->nmapped++;
	if (sweep->batch != NULL)
		swapmap_batch_add(sweep->batch, word);
}

static void
slot_unhold(struct sweep *sweep, _Atomic uint64_t *slot)
{
	uint64_t word = slot_load(slot);

	(void)sweep;
	if ((word & SWAPMAP_HELD) != 0)
		slot_store(slot, word & SWAPMAP_VALUE);
}

/* ---------------------------------------------------------- operations */

static void
geometry(const struct swapmap *map, uint32_t ret_geometry[4])
{
	ret_geometry[0] = NODE_BYTES;
	ret_geometry[1] = LEAF_SLOTS;
	ret_geometry[2] = INNER_SLOTS;
	ret_geometry[3] = map->trie.top;
}

static int
trie_format(struct swapmap *map)
{
	map->trie.top = top_level(map->npages);
	map->trie.fresh = NODE_FIRST;
	geometry(map, map->start->geometry);
	return 0;
}

static uint64_t
trie_get(const struct swapmap *map, uint64_t page)
{
	const union node *leaf = leaf_find(map, page);

	return leaf == NULL ? 0 : slot_load(&leaf->slot[entry_of(0, page)]);
}

static uint64_t
trie_clear(struct swapmap *map, uint64_t page, uint64_t n,
	   struct swapmap_batch *batch)
{
	struct sweep sweep = {
		.map = map, .first = page, .last = page + n - 1,
		.slot = slot_clear, .batch = batch,
	};

	sweep_run(&sweep);
	return sweep.nmapped;
}

static int
trie_set(struct swapmap *map, uint64_t page, uint64_t word, uint64_t *ret_old)
{
	_Atomic uint64_t *slot;
	union node *leaf;
	int r;

	if (word == 0) {
		*ret_old = trie_get(map, page);
		(void)trie_clear(map, page, 1, NULL);
		return 0;
	}
	r = leaf_make(map, page, &leaf);
	if (r < 0)
		return r;
	slot = &leaf->slot[entry_of(0, page)];
	*ret_old = slot_load(slot);
	slot_store(slot, word);
	return 0;
}

static void
trie_unprepare(struct swapmap *map, uint64_t page, uint64_t n)
{
	struct sweep sweep = {
		.map = map, .first = page, .last = page + n - 1,
		.slot = slot_unhold,
	};

	sweep_run(&sweep);
}

static int
trie_prepare(struct swapmap *map, uint64_t page, uint64_t n)
{
	union node *leaf = NULL;

	for (uint64_t i = 0; i < n; i++) {
		unsigned entry = entry_of(0, page + i);
		_Atomic uint64_t *slot;

		if (i == 0 || entry == 0) {
			int r = leaf_make(map, page + i, &leaf);

			if (r < 0) {
				if (i > 0)
					trie_unprepare(map, page, i);
				return r;
			}
		}
		slot = &leaf->slot[entry];
		slot_store(slot, slot_load(slot) | SWAPMAP_HELD);
	}
	return 0;
}

/* The first slot with a value at or after @from, under one node. */
static bool
find_node(const struct swapmap *map, uint32_t index, unsigned level,
	  uint64_t base, uint64_t from, uint64_t *ret_page,
	  uint64_t *ret_word)
{
	const union node *node = node_at(map, index);

	for (unsigned i = entry_from(level, base, from); i < entries(level);
	     i++) {
		uint64_t page = entry_page(level, base, i);
		uint32_t child;

		if (level == 0) {
			uint64_t word = slot_load(&node->slot[i]);

			if ((word & SWAPMAP_VALUE) == 0)
				continue;
			*ret_page = page;
			*ret_word = word;
			return true;
		}
		child = link_load(&node->child[i]);
		if (child != 0 && find_node(map, child, level - 1, page, from,
					    ret_page, ret_word))
			return true;
	}
	return false;
}

static bool
trie_find(const struct swapmap *map, uint64_t page, uint64_t *ret_page,
	  uint64_t *ret_word)
{
	uint32_t root = link_load(&map->start->root);

	return root != 0 && find_node(map, root, map->trie.top, 0, page, ret_page,
				      ret_word);
}

static int
each_node(const struct swapmap *map, uint32_t index, unsigned level,
	  uint64_t base, uint64_t first, uint64_t last, bool raw,
	  swapmap_each_fn *fn, void *arg)
{
	const union node *node = node_at(map, index);
	unsigned to = entry_to(level, base, last);
	int r = 0;

	for (unsigned i = entry_from(level, base, first); r == 0 && i <= to;
	     i++) {
		uint64_t page = entry_page(level, base, i);

		if (level == 0) {
			uint64_t word = slot_load(&node->slot[i]);

			if (raw ? word != 0 : (word & SWAPMAP_VALUE) != 0)
				r = fn(arg, page,
				       raw ? word : swapmap_block(word));
		} else {
			uint32_t child = link_load(&node->child[i]);

			if (child != 0)
				r = each_node(map, child, level - 1, page,
					      first, last, raw, fn, arg);
		}
	}
	return r;
}

static int
trie_each(const struct swapmap *map, uint64_t page, uint64_t n, bool raw,
	  swapmap_each_fn *fn, void *arg)
{
	uint32_t root = link_load(&map->start->root);

	return root == 0 ? 0 : each_node(map, root, map->trie.top, 0, page,
					 page + n - 1, raw, fn, arg);
}

/* -------------------------------------------------------------- audits */

/* A walk that believes nothing. */
struct audit {
	const struct swapmap	*map;
	uint64_t		 limit;		/* indices are below it */
	unsigned char		*seen;		/* a bit for each of them */
	uint64_t		 end;		/* greatest index seen, plus 1 */
	uint64_t		 nnodes;
	uint64_t		 nmapped;
	bool			 strict;	/* T3 is to hold */
};

static bool
audit_seen(const struct audit *audit, uint64_t index)
{
	return (audit->seen[index / 8] >> (index % 8) & 1) != 0;
}

/* Mark a node as seen; no such node, or seen before: -EBADMSG. */
static int
audit_mark(struct audit *audit, uint64_t index)
{
	if (index < NODE_FIRST || index >= audit->limit ||
	    audit_seen(audit, index))
		return -EBADMSG;
	audit->seen[index / 8] |= (unsigned char)(1u << (index % 8));
	audit->end = max_u64(audit->end, index + 1);
	return 0;
}

static int
audit_slot(struct audit *audit, uint64_t word, uint64_t page)
{
	if (word != 0 && page >= audit->map->npages)
		return -EBADMSG;
	audit->nmapped += (word & SWAPMAP_VALUE) != 0;
	return 0;
}

static int
audit_node(struct audit *audit, uint32_t index, unsigned level, uint64_t base)
{
	const union node *node;
	int r;

	if (index == 0)
		return 0;
	r = audit_mark(audit, index);
	if (r < 0)
		return r;
	node = node_at(audit->map, index);
	audit->nnodes++;
	if (base >= audit->map->npages ||
	    (audit->strict && node_is_empty(node)))
		return -EBADMSG;
	for (unsigned i = 0; r == 0 && i < entries(level); i++) {
		uint64_t page = entry_page(level, base, i);

		if (level == 0)
			r = audit_slot(audit, slot_load(&node->slot[i]), page);
		else
			r = audit_node(audit, link_load(&node->child[i]),
				       level - 1, page);
	}
	return r;
}

/* Walk the whole tree; the caller frees audit->seen, if it is not NULL. */
static int
audit_run(struct audit *audit)
{
	audit->end = NODE_FIRST;
	audit->seen = calloc((size_t)(audit->limit / 8 + 1), 1);
	if (audit->seen == NULL)
		return -ENOMEM;
	return audit_node(audit, link_load(&audit->map->start->root),
			  audit->map->trie.top, 0);
}

/* Put what the walk did not reach into the free list. */
static void
free_list_build(struct swapmap *map, const struct audit *audit)
{
	map->trie.fresh = audit->end;
	map->trie.free_head[0] = 0;
	map->trie.nfree = 0;
	for (uint64_t index = audit->end; index-- > NODE_FIRST;) {
		if (!audit_seen(audit, index))
			node_give(map, (uint32_t)index);
	}
}

static int
trie_load(struct swapmap *map)
{
	struct audit audit = {
		.map = map, .limit = map->arena.size / NODE_BYTES,
	};
	uint32_t expected[4];
	int r;

	map->trie.top = top_level(map->npages);
	geometry(map, expected);
	if (memcmp(map->start->geometry, expected, sizeof(expected)) != 0)
		return -EPROTO;
	r = audit_run(&audit);
	if (r == 0) {
		map->count = audit.nmapped;
		free_list_build(map, &audit);
		trie_unprepare(map, 0, map->npages);
	}
	free(audit.seen);
	return r;
}

static int
check_free_list(const struct swapmap *map, struct audit *audit)
{
	uint32_t index = map->trie.free_head[0];

	for (uint64_t i = 0; i < map->trie.nfree; i++) {
		int r = audit_mark(audit, index);

		if (r < 0)
			return r;
		index = node_at(map, index)->next_free;
	}
	return 0;
}

static int
trie_check(const struct swapmap *map)
{
	struct audit audit = {
		.map = map, .limit = map->trie.fresh, .strict = true,
	};
	int r;

	if (map->trie.fresh < NODE_FIRST ||
	    map->trie.fresh > map->arena.size / NODE_BYTES)
		return -EBADMSG;
	r = audit_run(&audit);
	if (r == 0)
		r = check_free_list(map, &audit);
	if (r == 0 && (audit.nmapped != map->count ||
		       audit.nnodes + map->trie.nfree != map->trie.fresh - NODE_FIRST))
		r = -EBADMSG;
	free(audit.seen);
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
