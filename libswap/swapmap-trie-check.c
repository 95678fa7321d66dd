/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * swapmap-trie-check.c - walks over a trie that believe nothing
 *
 * One walk serves two ends.  trie_load() takes over what another process left:
 * it refuses what is not a tree, tidies up what a crash may leave, counts, and
 * gives all units to the pool that the walk did not reach.  trie_check() is
 * for tests, and strict: it holds the invariants of swapmap-trie.c against what
 * the process believes.
 *
 * Cost: reads all nodes; a bit of memory for each unit of the arena, until the
 * end of the call.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "swapmap-trie.h"

struct audit {
	const struct swapmap	*map;
	uint64_t		 limit;		/* units are below it */
	unsigned char		*seen;		/* a bit for each of them */
	uint64_t		 end;		/* greatest unit seen, plus 1 */
	uint64_t		 nunits;	/* seen */
	uint64_t		 nmapped;
	bool			 strict;	/* what a crash leaves is wrong */
};

/* Mark @n units as seen, a multiple of as many; or -EBADMSG. */
static int
audit_mark(struct audit *audit, uint64_t unit, uint64_t n)
{
	if (unit < UNIT_FIRST || unit >= audit->limit ||
	    n > audit->limit - unit || unit % min_u64(n, LARGEST_UNITS) != 0)
		return -EBADMSG;
	for (uint64_t i = unit; i < unit + n; i++) {
		if ((audit->seen[i / 8] >> (i % 8) & 1) != 0)
			return -EBADMSG;
		audit->seen[i / 8] |= (unsigned char)(1u << (i % 8));
	}
	audit->end = max_u64(audit->end, unit + n);
	audit->nunits += n;
	return 0;
}

static int
audit_word(struct audit *audit, uint64_t word, uint64_t page)
{
	if (word != 0 && page >= audit->map->npages)
		return -EBADMSG;
	audit->nmapped += (word & SWAPMAP_VALUE) != 0;
	return 0;
}

static int
audit_leaf(struct audit *audit, const struct trie_leaf *leaf, uint64_t base)
{
	uint64_t any = 0;
	int r = 0;

	for (unsigned i = 0; r == 0 && i < NODE_ENTRIES; i++) {
		uint64_t word = slot_load(&leaf->slot[i]);

		any |= word;
		r = audit_word(audit, word, base + i);
	}
	return r == 0 && any == 0 && audit->strict ? -EBADMSG : r;
}

/* A pair's key: is it one, and is it the only one like it? */
static bool
key_is_good(const struct trie_bag *bag, unsigned i, unsigned shift)
{
	uint32_t key = bag->key[i];

	if (key >> shift != 0)
		return false;
	for (unsigned k = 0; k < i; k++) {
		if (bag->key[k] == key)
			return false;
	}
	return true;
}

static int
audit_bag(struct audit *audit, const struct trie_bag *bag, unsigned shift,
	  uint64_t base)
{
	unsigned npairs = 0;
	int r = 0;

	for (unsigned i = 0; r == 0 && i < bag_capacity(bag->class); i++) {
		uint64_t word = slot_load(&bag_words(bag)[i]);
		uint32_t key = bag->key[i];

		npairs += word != 0;
		if (key == KEY_NONE ? word != 0 :
		    !key_is_good(bag, i, shift) ||
		    (word == 0 && audit->strict))
			return -EBADMSG;
		if (key != KEY_NONE)
			r = audit_word(audit, word, base + key);
	}
	return r == 0 && npairs == 0 && audit->strict ? -EBADMSG : r;
}

static int audit_link(struct audit *audit, uint32_t link, unsigned shift,
		      uint64_t base);

static int
audit_inner(struct audit *audit, const struct trie_inner *inner,
	    unsigned shift, uint64_t base)
{
	unsigned below = shift - NODE_BITS;
	uint32_t any = 0;
	int r = 0;

	for (unsigned i = 0; r == 0 && i < NODE_ENTRIES; i++) {
		uint32_t link = link_load(&inner->link[i]);

		any |= link;
		r = audit_link(audit, link, below,
			       base + ((uint64_t)i << below));
	}
	return r == 0 && any == 0 && audit->strict ? -EBADMSG : r;
}

static int
audit_link(struct audit *audit, uint32_t link, unsigned shift, uint64_t base)
{
	bool is_bag = (link & LINK_BAG) != 0;
	unsigned class = shift == NODE_BITS ? CLASS_LEAF : CLASS_INNER;
	const void *node = node_of(audit->map, link);
	int r;

	if (link == 0)
		return 0;
	if (base >= audit->map->npages || link_unit(link) >= audit->limit)
		return -EBADMSG;
	if (is_bag) {
		class = ((const struct trie_bag *)node)->class;
		if (class > CLASS_BAG_MAX || shift > BAG_SHIFT_MAX)
			return -EBADMSG;
	}
	r = audit_mark(audit, link_unit(link), 1u << class);
	if (r < 0)
		return r;
	if (is_bag)
		return audit_bag(audit, node, shift, base);
	if (shift == NODE_BITS)
		return audit_leaf(audit, node, base);
	return audit_inner(audit, node, shift, base);
}

/* Walk the whole tree; the caller frees audit->seen, if it is not NULL. */
static int
audit_run(struct audit *audit)
{
	const struct swapmap *map = audit->map;
	unsigned shift = map->trie.shift;
	int r = 0;

	audit->end = UNIT_FIRST;
	audit->seen = calloc((size_t)(audit->limit / 8 + 1), 1);
	if (audit->seen == NULL)
		return -ENOMEM;
	if (map->trie.table_unit != 0)
		r = audit_mark(audit, map->trie.table_unit,
			       trie_table_units(map->trie.table_bits));
	for (uint64_t i = 0; r == 0 && i < table_links(map); i++)
		r = audit_link(audit, link_load(&map->trie.table[i]), shift,
			       i << shift);
	return r;
}

/* -------------------------------------------------------- taking over */

/* Give all units that were not seen, of 2^class from @unit. */
static void
give_unseen(struct swapmap *map, uint64_t unit, unsigned class, unsigned seen)
{
	unsigned half = 1u << class >> 1;

	if (seen == 0) {
		trie_give(map, (uint32_t)unit, class);
	} else if (class > 0) {
		give_unseen(map, unit + half, class - 1, seen >> half);
		give_unseen(map, unit, class - 1, seen & ((1u << half) - 1));
	}
}

static int
pool_open(struct swapmap *map, const struct audit *audit)
{
	uint64_t unit = (audit->end + LARGEST_UNITS - 1) / LARGEST_UNITS *
			LARGEST_UNITS;
	int r = trie_pool_open(map, unit);

	while (r == 0 && unit > UNIT_FIRST) {
		unsigned seen;

		unit -= LARGEST_UNITS;
		seen = audit->seen[unit / 8] |
		       (unsigned)audit->seen[unit / 8 + 1] << 8;
		give_unseen(map, unit, CLASS_LEAF, seen);
	}
	return r;
}

/* Find the table. */
static int
load_table(struct swapmap *map, uint64_t limit)
{
	uint64_t word = slot_load(&map->start->word), unit = word >> 8;
	unsigned all = trie_bits(map->npages), first = trie_first_bits(all);
	unsigned bits = (unsigned)(word & 0xff);

	if (word == 0) {
		trie_table_set(map, 0, first);
		return 0;
	}
	if (bits <= first || bits > TABLE_BITS_MAX || bits + NODE_BITS > all ||
	    (bits - first) % NODE_BITS != 0 || unit < UNIT_FIRST ||
	    unit >= limit || trie_table_units(bits) > limit - unit)
		return -EBADMSG;
	trie_table_set(map, unit, bits);
	return 0;
}

int
trie_load(struct swapmap *map)
{
	struct audit audit = {
		.map = map,
		.limit = min_u64(map->arena.size / LARGEST_BYTES *
				 LARGEST_UNITS, UNITS_MAX),
	};
	uint32_t expected[4];
	int r;

	trie_geometry(map, expected);
	if (memcmp(map->start->geometry, expected, sizeof(expected)) != 0)
		return -EPROTO;
	r = load_table(map, audit.limit);
	if (r == 0)
		r = audit_run(&audit);
	if (r == 0)
		r = pool_open(map, &audit);
	if (r == 0) {
		map->count = audit.nmapped;
		if (map->trie.table_unit != 0)
			memset(map->arena.base + TABLE_HERE, 0,
			       SWAPMAP_START - TABLE_HERE);
		trie_table_count(map);
		trie_unprepare(map, 0, map->npages);
	}
	free(audit.seen);
	return r;
}

/* ------------------------------------------------------------ for tests */

static int
check_free_lists(const struct swapmap *map, struct audit *audit)
{
	uint64_t nfree = 0;

	for (unsigned class = 0; class < SWAPMAP_TRIE_CLASSES; class++) {
		uint32_t unit = map->trie.free_head[class];

		while (unit != 0) {
			int r = audit_mark(audit, unit, 1u << class);

			if (r < 0)
				return r;
			nfree += 1u << class;
			unit = *(const uint32_t *)unit_at(map, unit);
		}
	}
	if (nfree != map->trie.nfree ||
	    audit->nunits != map->trie.fresh - UNIT_FIRST)
		return -EBADMSG;
	return trie_pool_check(map);
}

/* T8 and T9. */
static int
check_table(const struct swapmap *map)
{
	const struct swapmap_trie *trie = &map->trie;
	const _Atomic uint64_t *summary = table_summary(map);
	uint64_t word = slot_load(&map->start->word);
	uint32_t nlinks = 0, ninner = 0;

	for (uint32_t i = 0; i < table_links(map); i++) {
		uint32_t link = link_load(&trie->table[i]);
		uint64_t bit = slot_load(&summary[i / 64]) >> i % 64 & 1;

		if (bit != (link != 0))
			return -EBADMSG;
		nlinks += link != 0;
		ninner += link != 0 && (link & LINK_BAG) == 0 &&
			  trie->shift > NODE_BITS;
	}
	for (unsigned at = TABLE_HERE; trie->table_unit != 0 &&
				       at < SWAPMAP_START; at++) {
		if (map->arena.base[at] != 0)
			return -EBADMSG;
	}
	if (trie->table_unit != 0 ?
	    word != (trie->table_unit << 8 | trie->table_bits) : word != 0)
		return -EBADMSG;
	return nlinks == trie->nlinks && ninner == trie->ninner ? 0 : -EBADMSG;
}

int
trie_check(const struct swapmap *map)
{
	struct audit audit = {
		.map = map, .limit = map->trie.fresh, .strict = true,
	};
	int r;

	if (map->trie.fresh < UNIT_FIRST ||
	    map->trie.fresh > map->arena.size / UNIT_BYTES)
		return -EBADMSG;
	r = check_table(map);
	if (r == 0)
		r = audit_run(&audit);
	if (r == 0)
		r = check_free_lists(map, &audit);
	if (r == 0 && audit.nmapped != map->count)
		r = -EBADMSG;
	free(audit.seen);
	return r;
}
