/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * blist.c - radix bitmap block lists
 *
 * A block list says which blocks of a device are free, and finds runs of
 * free blocks quickly however large and however fragmented the device is.
 *
 * Layout.  Level 0 is a bitmap of 64-bit words, 1 for a free block.  Above it
 * stands a tree of fan-out 64: a node of level k covers 64^(k+1) blocks, and
 * the root, at level `top', covers all.  A node has two bits for each child:
 *
 *	some all
 *	  0   0		nothing in the child is free
 *	  1   1		everything in it is free
 *	  1   0		mixed: only now do the child's own bits count
 *
 * A child that is not mixed is never looked at, so what its memory holds does
 * not matter; it is written when the child becomes mixed (push_down()).  That
 * is why freeing or filling a huge range costs two paths through the tree
 * instead of a sweep over it, and why creation touches one page.
 *
 * The levels lie one after the other, top first, in one reservation of address
 * space made at creation.  Pages of it become real when they are written to
 * the first time; nothing is allocated afterwards, so freeing and filling
 * cannot fail for want of memory.
 *
 * Invariants, for the root and every mixed child (blist_check()):
 *
 * I1  A bit of `all' is set only where the bit of `some' is.
 * I2  A mixed child has at least one free and at least one used block: each
 *     set of free blocks has one representation.
 * I3  nfree is the number of free blocks below.
 * I4  For each block below, `longest' is at least the number of consecutive
 *     free blocks from that block on, counted up to BLIST_ALLOC_MAX and also
 *     beyond the end of the node.
 * I5  Blocks from nblocks on, which fill the last nodes up, are used.
 * I6  The cursor is a block of the device.
 *
 * Search.  `longest' is only a bound.  Freeing raises it on the paths where a
 * run has grown; allocating leaves it alone; a search that went through a
 * whole node in vain lowers it.  So a node is not searched again for a length
 * that it did not have until a free in it or right behind it makes a longer
 * run, and a wish that the whole device cannot satisfy is refused at the root.
 *
 * Policy: next fit.  From the cursor on, the first place with `min' free
 * blocks in a row is taken, and as many of them as there are up to `max'.
 * Failing that, the same from block 0.  The cursor then stands behind what was
 * taken.  A nearer run that is long enough wins over a longer one further
 * away: writes stay sequential, and a caller that would rather have the long
 * one asks for it first, which costs little.
 *
 * Cost, with d levels (d = 4 for 2^24 blocks, 7 for 2^40): free,
 * fill and lookups O(64 d) simple steps at the very worst; allocation the
 * same plus the nodes searched in vain.  Memory: one bit a block, and 1/16 of
 * that for the nodes, where the free space is fragmented; next to nothing
 * where it is not.
 *
 * Limits: 2^40 blocks; runs of 1,024.  A process that locks its memory with
 * mlockall() wants MCL_ONFAULT, otherwise the kernel fills the reservation.
 */
#include "blist.h"
#include "blist-private.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "compiler.h"

static uint64_t set_range(struct blist *bl, unsigned k, uint64_t i,
			  uint64_t lo, uint64_t hi, bool free);

/* ------------------------------------------------------- words and levels */

static inline uint64_t
bit(uint64_t i)
{
	return UINT64_C(1) << (i & 63);
}

/* The bits from @i on. */
static inline uint64_t
bits_from(uint64_t i)
{
	return UINT64_MAX << (i & 63);
}

static inline unsigned
lowest(uint64_t bits)
{
	return (unsigned)__builtin_ctzll(bits);
}

static inline unsigned
count(uint64_t bits)
{
	return (unsigned)__builtin_popcountll(bits);
}

/* How many ones @w has at its upper end. */
static inline unsigned
upper_ones(uint64_t w)
{
	return w == UINT64_MAX ? 64 : (unsigned)__builtin_clzll(~w);
}

/* Where in @w at least @n ones begin that all lie in @w. */
static uint64_t
run_starts(uint64_t w, uint64_t n)
{
	uint64_t have = 1, step;

	if (n > 64)
		return 0;
	while (have < n && w != 0) {
		step = min_u64(have, n - have);
		w &= w >> step;
		have += step;
	}
	return w;
}

/* log2 of the blocks that one thing of level @k covers. */
static inline unsigned
level_shift(unsigned k)
{
	return 6 * (k + 1);
}

static inline uint64_t
level_blocks(unsigned k)
{
	return UINT64_C(1) << level_shift(k);
}

/* How many things level @k has. */
static inline uint64_t
level_count(uint64_t nblocks, unsigned k)
{
	return (nblocks + level_blocks(k) - 1) >> level_shift(k);
}

/*
 * Children are numbered by their index in their own level, of which the lower
 * six bits are their bit in the parent.
 */
static inline bool
child_is_mixed(const struct blist_node *node, uint64_t c)
{
	return (node->some & ~node->all & bit(c)) != 0;
}

/* Free blocks of child @c of a node of level @k. */
static uint64_t
child_nfree(const struct blist *bl, unsigned k,
	    const struct blist_node *node, uint64_t c)
{
	if ((node->some & bit(c)) == 0)
		return 0;
	if ((node->all & bit(c)) != 0)
		return level_blocks(k - 1);
	return k == 1 ? count(bl->word[c]) : bl->node[k - 1][c].nfree;
}

/* Word @c as it would be if its memory always counted. */
static uint64_t
child_word(const struct blist *bl, const struct blist_node *node, uint64_t c)
{
	if ((node->some & bit(c)) == 0)
		return 0;
	return (node->all & bit(c)) != 0 ? UINT64_MAX : bl->word[c];
}

/* The same, from the root down. */
static uint64_t
word_at(const struct blist *bl, uint64_t w)
{
	const struct blist_node *node = bl->node[bl->top];
	uint64_t c;
	unsigned k;

	for (k = bl->top; k > 1; k--) {
		c = w >> (6 * (k - 1));
		if (!child_is_mixed(node, c))
			return (node->some & bit(c)) != 0 ? UINT64_MAX : 0;
		node = &bl->node[k - 1][c];
	}
	return child_word(bl, node, w);
}

/* -------------------------------------------------------- create, destroy */

/* Note that the page of @p is in use, for blist_memory(). */
static void
mark_touched(struct blist *bl, const void *p)
{
	size_t off_bytes = (size_t)((const char *)p - (const char *)bl);
	uint64_t page = off_bytes >> bl->page_shift;
	uint64_t *mark = &bl->touched[page / 64];

	if ((*mark & bit(page)) != 0)
		return;
	*mark |= bit(page);
	bl->touched_bytes += (size_t)1 << bl->page_shift;
	mark_touched(bl, mark);
}

/*
 * Where each level lies, in bytes from the start: off[0..top], then the
 * bitmap of touched pages at off[top + 1].  Returns the length of it all.
 */
static uint64_t
lay_out(uint64_t nblocks, unsigned top, unsigned page_shift, uint64_t *off)
{
	uint64_t bytes = sizeof(struct blist);
	unsigned k;

	bytes = (bytes + sizeof(struct blist_node) - 1) &
		~(uint64_t)(sizeof(struct blist_node) - 1);
	for (k = top; k > 0; k--) {
		off[k] = bytes;
		bytes += level_count(nblocks, k) * sizeof(struct blist_node);
	}
	off[0] = bytes;
	bytes += level_count(nblocks, 0) * sizeof(uint64_t);
	off[top + 1] = bytes;
	/* Two bits a page so far: enough for this bitmap's own pages too. */
	return bytes + ((bytes >> page_shift) / 32 + 1) * sizeof(uint64_t);
}

static void *
reserve(uint64_t bytes)
{
	void *base;

	if (bytes > SIZE_MAX)
		return NULL;
	base = mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (base == MAP_FAILED)
		return NULL;
	/*
	 * One small free must not cost a huge page.  A kernel that has no huge
	 * pages refuses the advice, which is as good.
	 */
	(void)madvise(base, (size_t)bytes, MADV_NOHUGEPAGE);
	return base;
}

int
blist_create(uint64_t nblocks, struct blist **ret_blist)
{
	unsigned page_shift = lowest((uint64_t)sysconf(_SC_PAGESIZE));
	uint64_t off[BLIST_LEVELS_MAX + 1], bytes;
	struct blist *bl;
	unsigned k, top = 1;
	char *base;

	if (nblocks == 0 || nblocks > BLIST_BLOCKS_MAX)
		return -EINVAL;
	while (level_blocks(top) < nblocks)
		top++;
	bytes = lay_out(nblocks, top, page_shift, off);
	base = reserve(bytes);
	if (base == NULL)
		return -ENOMEM;
	bl = (struct blist *)(void *)base;
	bl->nblocks = nblocks;
	bl->top = top;
	bl->page_shift = page_shift;
	bl->map_bytes = (size_t)bytes;
	bl->word = (uint64_t *)(void *)(base + off[0]);
	for (k = 1; k <= top; k++)
		bl->node[k] = (struct blist_node *)(void *)(base + off[k]);
	bl->touched = (uint64_t *)(void *)(base + off[top + 1]);
	mark_touched(bl, bl);
	mark_touched(bl, bl->node[top]);
	*ret_blist = bl;
	return 0;
}

void
blist_destroy(struct blist *bl)
{
	if (bl != NULL)
		(void)munmap(bl, bl->map_bytes);
}

/* --------------------------------------------------------- setting ranges */

/*
 * Write out thing @i of level @k, all of it used or all of it free, because
 * its parent is about to call it mixed.
 */
static void
push_down(struct blist *bl, unsigned k, uint64_t i, bool free)
{
	uint64_t bits = free ? UINT64_MAX : 0;
	struct blist_node *node;

	if (k == 0) {
		mark_touched(bl, &bl->word[i]);
		bl->word[i] = bits;
		return;
	}
	node = &bl->node[k][i];
	mark_touched(bl, node);
	node->some = bits;
	node->all = bits;
	node->nfree = free ? level_blocks(k) : 0;
	node->longest = free ? BLIST_ALLOC_MAX : 0;
}

/* Record in @node that child @c has @nfree free blocks of @size. */
static void
put_state(struct blist_node *node, uint64_t c, uint64_t nfree, uint64_t size)
{
	node->some &= ~bit(c);
	node->all &= ~bit(c);
	if (nfree > 0)
		node->some |= bit(c);
	if (nfree == size)
		node->all |= bit(c);
}

/* set_range() for the part of it that lies in child @c of a node. */
static uint64_t
set_child(struct blist *bl, unsigned k, struct blist_node *node, uint64_t c,
	  uint64_t lo, uint64_t hi, bool free)
{
	uint64_t size = level_blocks(k - 1);
	uint64_t old = child_nfree(bl, k, node, c);
	uint64_t target = free ? size : 0, changed;

	if (old == target)
		return 0;
	if (hi - lo == size) {
		put_state(node, c, target, size);
		return free ? size - old : old;
	}
	if (old == 0 || old == size)
		push_down(bl, k - 1, c, old == size);
	changed = set_range(bl, k - 1, c, lo, hi, free);
	put_state(node, c, free ? old + changed : old - changed, size);
	return changed;
}

/*
 * Make blocks lo..hi-1, which lie in thing @i of level @k, free or used.
 * Returns how many were not.  `longest' is left to the caller.
 */
static uint64_t
set_range(struct blist *bl, unsigned k, uint64_t i, uint64_t lo, uint64_t hi,
	  bool free)
{
	uint64_t c, size, mask, old, changed = 0;
	struct blist_node *node;

	if (k == 0) {
		mask = bits_from(lo) & (UINT64_MAX >> (63 - ((hi - 1) & 63)));
		old = bl->word[i];
		bl->word[i] = free ? old | mask : old & ~mask;
		return count(old ^ bl->word[i]);
	}
	node = &bl->node[k][i];
	size = level_blocks(k - 1);
	for (c = lo / size; c <= (hi - 1) / size; c++)
		changed += set_child(bl, k, node, c, max_u64(lo, c * size),
				     min_u64(hi, (c + 1) * size), free);
	node->nfree += free ? changed : -changed;
	return changed;
}

/* ---------------------------------------------------------------- looking */

/*
 * The first block from @from on, within thing @i of level @k, that is free
 * (or used); BLIST_NONE: there is none.
 */
static uint64_t
find(const struct blist *bl, unsigned k, uint64_t i, uint64_t from, bool free)
{
	uint64_t base = i << level_shift(k), bits, c, start, found;
	const struct blist_node *node;

	if (k == 0) {
		bits = free ? bl->word[i] : ~bl->word[i];
		if (from > base)
			bits &= bits_from(from);
		return bits == 0 ? BLIST_NONE : base + lowest(bits);
	}
	node = &bl->node[k][i];
	bits = free ? node->some : ~node->all;
	if (from > base)
		bits &= bits_from(from >> level_shift(k - 1));
	for (; bits != 0; bits &= bits - 1) {
		c = (i << 6) + lowest(bits);
		start = max_u64(from, c << level_shift(k - 1));
		if (!child_is_mixed(node, c))
			return start;
		found = find(bl, k - 1, c, start, free);
		if (found != BLIST_NONE)
			return found;
	}
	return BLIST_NONE;
}

static uint64_t
find_free(const struct blist *bl, uint64_t from)
{
	return find(bl, bl->top, 0, from, true);
}

/* The end of the device counts as used. */
static uint64_t
find_used(const struct blist *bl, uint64_t from)
{
	return min_u64(find(bl, bl->top, 0, from, false), bl->nblocks);
}

/*
 * How many blocks right before @block are free, up to BLIST_ALLOC_MAX - 1:
 * runs further back are long enough already.
 */
static uint64_t
free_before(const struct blist *bl, uint64_t block)
{
	uint64_t most = min_u64(block, BLIST_ALLOC_MAX - 1);
	uint64_t n = 0, last, used;

	while (n < most) {
		last = block - 1 - n;
		used = ~word_at(bl, last / 64) << (63 - (last & 63));
		if (used != 0)
			return min_u64(n + (unsigned)__builtin_clzll(used),
				       most);
		n += (last & 63) + 1;
	}
	return most;
}

/* -------------------------------------------------------------- searching */

/* search() in a node of level 1. */
static uint64_t
search_words(const struct blist *bl, uint64_t i, uint64_t from, uint64_t min)
{
	const struct blist_node *node = &bl->node[1][i];
	uint64_t base = i << level_shift(1), bits, c, w, starts, first;
	uint64_t at = max_u64(from, base);

	while (at < base + level_blocks(1)) {
		bits = node->some & bits_from(at / 64);
		if (bits == 0)
			break;
		c = (i << 6) + lowest(bits);
		at = max_u64(at, c * 64);
		w = child_word(bl, node, c) & bits_from(at);
		starts = run_starts(w, min);
		if (starts != 0)
			return c * 64 + lowest(starts);
		/* The last run in the word may go on behind it. */
		at = (c + 1) * 64;
		first = at - upper_ones(w);
		if (first == at)
			continue;
		at = find_used(bl, first);
		if (at - first >= min)
			return first;
	}
	return BLIST_NONE;
}

/*
 * The first block from @from on, within node @i of level @k, with which @min
 * free blocks begin; they may end behind the node.  Children are searched
 * from their first block on, even where a run that was too short reaches
 * into them, so that their bounds can be lowered.
 */
static uint64_t
search(struct blist *bl, unsigned k, uint64_t i, uint64_t from, uint64_t min)
{
	struct blist_node *node = &bl->node[k][i];
	uint64_t base = i << level_shift(k), bits = node->some, c, start;
	uint64_t found = BLIST_NONE;

	if (node->longest < min)
		return BLIST_NONE;
	if (k == 1) {
		found = search_words(bl, i, from, min);
		bits = 0;
	} else if (from > base) {
		bits &= bits_from(from >> level_shift(k - 1));
	}
	for (; bits != 0 && found == BLIST_NONE; bits &= bits - 1) {
		c = (i << 6) + lowest(bits);
		start = max_u64(from, c << level_shift(k - 1));
		if (child_is_mixed(node, c))
			found = search(bl, k - 1, c, start, min);
		else if (find_used(bl, start) - start >= min)
			found = start;
	}
	if (found == BLIST_NONE && from <= base)
		node->longest = min - 1;
	return found;
}

/* Let every node on the way to @block know of a run of @n. */
static void
raise_longest(struct blist *bl, uint64_t block, uint64_t n)
{
	struct blist_node *node = bl->node[bl->top];
	uint64_t c;
	unsigned k;

	for (k = bl->top;; k--) {
		node->longest = max_u64(node->longest, n);
		c = block >> level_shift(k - 1);
		if (k == 1 || !child_is_mixed(node, c))
			return;
		node = &bl->node[k - 1][c];
	}
}

uint64_t
blist_alloc(struct blist *bl, unsigned min, unsigned max, unsigned *ret_n)
{
	uint64_t first, n;

	assert(min >= 1 && min <= max && max <= BLIST_ALLOC_MAX);
	first = search(bl, bl->top, 0, bl->cursor, min);
	if (first == BLIST_NONE && bl->cursor > 0)
		first = search(bl, bl->top, 0, 0, min);
	if (first == BLIST_NONE)
		return BLIST_NONE;
	n = min_u64(find_used(bl, first) - first, max);
	set_range(bl, bl->top, 0, first, first + n, false);
	bl->cursor = first + n < bl->nblocks ? first + n : 0;
	*ret_n = (unsigned)n;
	return first;
}

/* ---------------------------------------------------------- free and fill */

static bool
range_is_valid(const struct blist *bl, uint64_t first, uint64_t n)
{
	return first <= bl->nblocks && n <= bl->nblocks - first;
}

int
blist_free(struct blist *bl, uint64_t first, uint64_t n)
{
	uint64_t start, run;

	if (!range_is_valid(bl, first, n))
		return -EINVAL;
	if (n == 0)
		return 0;
	if (find_free(bl, first) < first + n)
		return -EEXIST;
	set_range(bl, bl->top, 0, first, first + n, true);
	/*
	 * The run has grown for the free blocks before this range as well.
	 * A node between the two ends is all free and needs no bound.
	 */
	start = first - free_before(bl, first);
	run = min_u64(find_used(bl, start) - start, BLIST_ALLOC_MAX);
	raise_longest(bl, start, run);
	raise_longest(bl, first + n - 1, run);
	return 0;
}

int
blist_fill(struct blist *bl, uint64_t first, uint64_t n, uint64_t *ret_nfree)
{
	uint64_t nfree = 0;

	if (!range_is_valid(bl, first, n))
		return -EINVAL;
	if (n > 0)
		nfree = set_range(bl, bl->top, 0, first, first + n, false);
	if (ret_nfree != NULL)
		*ret_nfree = nfree;
	return 0;
}

/* ---------------------------------------------------------------- queries */

uint64_t
blist_nblocks(const struct blist *bl)
{
	return bl->nblocks;
}

uint64_t
blist_nfree(const struct blist *bl)
{
	return bl->node[bl->top]->nfree;
}

bool
blist_is_free(const struct blist *bl, uint64_t block)
{
	if (block >= bl->nblocks)
		return false;
	return (word_at(bl, block / 64) & bit(block)) != 0;
}

bool
blist_next_free(const struct blist *bl, uint64_t from, uint64_t *ret_first,
		uint64_t *ret_n)
{
	uint64_t first;

	if (from >= bl->nblocks)
		return false;
	first = find_free(bl, from);
	if (first == BLIST_NONE)
		return false;
	*ret_first = first;
	*ret_n = find_used(bl, first) - first;
	return true;
}

size_t
blist_memory(const struct blist *bl)
{
	return bl->touched_bytes;
}

/* ------------------------------------------------------------------ check */

/*
 * What a check learns of a node.  It goes from the last block to the first,
 * so that it always knows how far the free blocks ahead reach.
 */
struct tally {
	uint64_t nfree;
	uint64_t longest;
	uint64_t ahead;		/* free from here on, up to BLIST_ALLOC_MAX */
};

static void
tally_free(struct tally *tally, uint64_t n)
{
	tally->nfree += n;
	tally->ahead = min_u64(tally->ahead + n, BLIST_ALLOC_MAX);
	tally->longest = max_u64(tally->longest, tally->ahead);
}

static void
tally_word(struct tally *tally, uint64_t w)
{
	int i;

	for (i = 63; i >= 0; i--) {
		if ((w >> i & 1) != 0)
			tally_free(tally, 1);
		else
			tally->ahead = 0;
	}
}

static int check_node(const struct blist *bl, unsigned k, uint64_t i,
		      struct tally *tally);

/* A mixed child: I2, and I5 for words. */
static int
check_mixed(const struct blist *bl, unsigned k, uint64_t c,
	    struct tally *tally)
{
	struct tally below = { .ahead = tally->ahead };
	int err = 0;

	if (c >= level_count(bl->nblocks, k - 1))
		return -EUCLEAN;
	if (k == 1) {
		if (bl->nblocks / 64 == c &&
		    (bl->word[c] & bits_from(bl->nblocks)) != 0)
			return -EUCLEAN;
		tally_word(&below, bl->word[c]);
	} else {
		err = check_node(bl, k - 1, c, &below);
	}
	if (err == 0 &&
	    (below.nfree == 0 || below.nfree == level_blocks(k - 1)))
		err = -EUCLEAN;
	tally->nfree += below.nfree;
	tally->longest = max_u64(tally->longest, below.longest);
	tally->ahead = below.ahead;
	return err;
}

/* A child in any state: I1, I5. */
static int
check_child(const struct blist *bl, unsigned k, const struct blist_node *node,
	    uint64_t c, struct tally *tally)
{
	bool some = (node->some & bit(c)) != 0;
	bool all = (node->all & bit(c)) != 0;

	if (some && !all)
		return check_mixed(bl, k, c, tally);
	if (some) {
		tally_free(tally, level_blocks(k - 1));
		return (c + 1) << level_shift(k - 1) <= bl->nblocks ?
			0 : -EUCLEAN;
	}
	tally->ahead = 0;
	return all ? -EUCLEAN : 0;
}

/* A node: I3, I4. */
static int
check_node(const struct blist *bl, unsigned k, uint64_t i, struct tally *tally)
{
	const struct blist_node *node = &bl->node[k][i];
	unsigned c = 64;
	int err = 0;

	while (c-- > 0 && err == 0)
		err = check_child(bl, k, node, (i << 6) + c, tally);
	if (err != 0)
		return err;
	if (tally->nfree != node->nfree || tally->longest > node->longest ||
	    node->longest > BLIST_ALLOC_MAX)
		return -EUCLEAN;
	return 0;
}

int
blist_check(const struct blist *bl)
{
	struct tally tally = { 0 };

	if (bl->cursor >= bl->nblocks)
		return -EUCLEAN;
	return check_node(bl, bl->top, 0, &tally);
}
