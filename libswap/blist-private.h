/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * blist-private.h - the layout of a block list (floor 1)
 *
 * For blist.c, whose essay explains it, blist-tree.c, blist-stats.c, and the
 * unit test, which plants faults to prove that blist_check() sees them.
 */
#ifndef SWAP_BLIST_PRIVATE_H
#define SWAP_BLIST_PRIVATE_H

#include "blist.h"

#include "compiler.h"

#define BLIST_LINE_SHIFT	9u	/* 512 blocks: 64 bytes of bitmap */
#define BLIST_GROUP_SHIFT	15u	/* 64 lines: 4 KiB of bitmap */
#define BLIST_FAN_SHIFT		6u	/* children of a node */
#define BLIST_FAN		(1u << BLIST_FAN_SHIFT)
#define BLIST_LINE		(UINT64_C(1) << BLIST_LINE_SHIFT)
#define BLIST_LINE_WORDS	((unsigned)(BLIST_LINE / 64))
#define BLIST_GROUP		(UINT64_C(1) << BLIST_GROUP_SHIFT)
#define BLIST_GROUP_WORDS	((unsigned)(BLIST_GROUP / 64))
#define BLIST_TOP_MAX		6u	/* 2^45 blocks */
#define BLIST_PAGE		4096u	/* what blist_memory() counts in */

/* States of things that are uniform; everything between them is mixed. */
#define BLIST_ALL_USED		((int16_t)0)
#define BLIST_ALL_FREE		((int16_t)(BLIST_ALLOC_MAX + 1))

/* Level 2 and above: what is known of 64 things of the level below. */
struct blist_node {
	int16_t state[BLIST_FAN];	/* ALL_USED, longest run, ALL_FREE */
	uint64_t touched;		/* bit: its memory was written once */
	uint64_t clean;			/* level 2, bit: the group's bitmap is
					   as its uniform state says */
	uint64_t nfree[BLIST_FAN];
} __attribute__((aligned(64)));

struct blist {
	uint64_t nblocks;
	uint64_t nfree;			/* the root's */
	uint64_t cursor;		/* where the next search begins */
	uint64_t run_end;		/* if > cursor: free from the cursor up
					   to here, and used before it */
	uint64_t open[2];		/* groups known to be mixed, or NONE:
					   the last one allocated from, and
					   the last one freed in */
	uint64_t freed_first;		/* the run that the last free made */
	uint64_t freed_end;		/* its end, or NONE */
	int16_t state;			/* the root's */
	unsigned top;			/* level of the root, >= 2 */
	uint64_t *word;			/* bitmap, 1 for a free block */
	int16_t *line;			/* longest run that begins in a line */
	struct blist_node *node[BLIST_TOP_MAX + 1]; /* levels 2..top */
	uint64_t touched;		/* bit 0: the root was written */
	size_t touched_bytes;
	size_t map_bytes[BLIST_TOP_MAX + 1];	/* bitmap, lines, levels 2.. */
};

static inline uint64_t
blist_bit(uint64_t i)
{
	return UINT64_C(1) << (i & 63);
}

/* The bits from @i on. */
static inline uint64_t
blist_bits_from(uint64_t i)
{
	return UINT64_MAX << (i & 63);
}

/* The bits of blocks @lo to @hi - 1, which lie in one word. */
static inline uint64_t
blist_mask(uint64_t lo, uint64_t hi)
{
	return blist_bits_from(lo) & (UINT64_MAX >> (63 - ((hi - 1) & 63)));
}

static inline unsigned
blist_lowest(uint64_t bits)
{
	return (unsigned)__builtin_ctzll(bits);
}

/* How many ones @w has at its upper end. */
static inline unsigned
blist_upper_ones(uint64_t w)
{
	return w == UINT64_MAX ? 64 : (unsigned)__builtin_clzll(~w);
}

/* log2 of the blocks that a thing of level @k >= 1 covers. */
static inline unsigned
blist_shift(unsigned k)
{
	return BLIST_LINE_SHIFT + BLIST_FAN_SHIFT * k;
}

static inline bool
blist_is_mixed(int16_t state)
{
	return state > BLIST_ALL_USED && state < BLIST_ALL_FREE;
}

/* The state of thing @i of level @k >= 1; it counts if its parent is mixed. */
static inline int16_t *
blist_state_of(struct blist *bl, unsigned k, uint64_t i)
{
	if (k == bl->top)
		return &bl->state;
	return &bl->node[k + 1][i / BLIST_FAN].state[i % BLIST_FAN];
}

static inline uint64_t *
blist_nfree_of(struct blist *bl, unsigned k, uint64_t i)
{
	if (k == bl->top)
		return &bl->nfree;
	return &bl->node[k + 1][i / BLIST_FAN].nfree[i % BLIST_FAN];
}

/*
 * The level of the uppermost uniform thing around group @g, and its state;
 * 0 if the group is mixed.
 */
static inline unsigned
blist_uniform(const struct blist *bl, uint64_t g, int16_t *ret_state)
{
	int16_t state = bl->state;
	unsigned k = bl->top;

	if (g == bl->open[0] || g == bl->open[1])
		return 0;
	for (;;) {
		if (!blist_is_mixed(state)) {
			*ret_state = state;
			return k;
		}
		if (--k == 0)
			return 0;
		const uint64_t i = g >> (BLIST_FAN_SHIFT * (k - 1));

		state = bl->node[k + 1][i / BLIST_FAN].state[i % BLIST_FAN];
	}
}

/* What was known of places is known no longer. */
static inline void
blist_forget_places(struct blist *bl)
{
	bl->run_end = 0;
	bl->open[0] = bl->open[1] = BLIST_NONE;
	bl->freed_end = BLIST_NONE;
}

static inline uint64_t *
blist_touched_of(struct blist *bl, unsigned k, uint64_t i)
{
	return k == bl->top ? &bl->touched :
		&bl->node[k + 1][i / BLIST_FAN].touched;
}

/* Of the groups whose lines share a page with those of group @g. */
static inline uint64_t
blist_page_mates(uint64_t g)
{
	return UINT64_C(0xffffffff) << (g & 32);
}

/* Blocks @lo to @hi - 1 of one mixed group.  Bits only. */
static inline void
blist_write_bits(struct blist *bl, uint64_t lo, uint64_t hi, bool free)
{
	uint64_t i = lo / 64, last = (hi - 1) / 64;
	uint64_t mask = blist_bits_from(lo);

	for (;; i++, mask = UINT64_MAX) {
		if (i == last)
			mask &= UINT64_MAX >> (63 - ((hi - 1) & 63));
		if (free)
			bl->word[i] |= mask;
		else
			bl->word[i] &= ~mask;
		if (i == last)
			break;
	}
}

/* @n blocks of group @g are free that were not; -n: the other way round. */
static inline void
blist_add_free(struct blist *bl, uint64_t g, uint64_t n)
{
	uint64_t i = g;
	unsigned k;

	for (k = 2; k <= bl->top; k++, i /= BLIST_FAN)
		bl->node[k][i / BLIST_FAN].nfree[i % BLIST_FAN] += n;
	bl->nfree += n;
}

/* ------------------------------------------------------------ blist-tree.c */

/* What the states of its children make of a node. */
int16_t blist_node_state(const struct blist_node *node);

/*
 * The first used block from @from on.  Looks as far as @limit: if all blocks
 * up to there are free, some block from @limit on, up to which they are.
 */
uint64_t blist_run_end(const struct blist *bl, uint64_t from, uint64_t limit);

/* How many blocks right before @block are free; counts up to @most. */
uint64_t blist_run_before(const struct blist *bl, uint64_t block,
			  uint64_t most);

/* The first block from @from on with which @want free ones begin, or NONE. */
uint64_t blist_find_run(const struct blist *bl, uint64_t from, unsigned want);

/*
 * The longest run that begins in line @l, whose group is mixed; it is known to
 * be at most @most.
 */
int16_t blist_line_longest(const struct blist *bl, uint64_t l, unsigned most);

/* The lengths of mixed group @g have changed: tell those above. */
void blist_climb(struct blist *bl, uint64_t g);

/* The same where a run of @n has come and nothing else. */
void blist_climb_with(struct blist *bl, uint64_t g, int16_t n);

/* Thing @i of level @k is about to be written to: count its memory. */
void blist_touch(struct blist *bl, unsigned k, uint64_t i);

/*
 * Make group @g mixed, and so all that it is in.  The caller is about to change
 * some of its blocks, and makes the states exact.
 */
void blist_open_path(struct blist *bl, uint64_t g);

/* Free or fill any range.  Returns how many blocks were not so before. */
uint64_t blist_change_range(struct blist *bl, uint64_t lo, uint64_t hi,
			    bool free);

/* ----------------------------------------------------------- blist-stats.c */

/* Ones in @n words. */
uint64_t blist_count_words(const uint64_t *w, size_t n);

#endif
