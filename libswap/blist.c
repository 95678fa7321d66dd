/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * blist.c - radix bitmap block lists
 *
 * A block list says which blocks of a device are free, and finds runs of
 * free blocks quickly however large and however fragmented the device is.
 *
 * Layout.  One contiguous bitmap, 1 for a free block.  512 blocks are a line:
 * one cache line of bitmap.  64 lines are a group, a page of bitmap.  Beside
 * the bitmap stand, for each line, a length (B2), and above the groups a tree
 * of fan-out 64, whose nodes keep for each child its state and its number of
 * free blocks.  Levels count from 1, the groups; the root, at level `top',
 * covers all.  A state is one number:
 *
 *	0		all used: nothing below counts, or is ever looked at
 *	1..1024		mixed: the longest run that begins in it
 *	1025		all free: nothing below counts
 *
 * What a uniform thing holds in memory does not matter; it is written when it
 * becomes mixed (blist_open_path()).  So a huge range is freed or filled by
 * setting the states on the paths to its two ends, and creation writes
 * nothing.  Lengths and states in rows of 64 numbers of 16 bits are compared
 * with vector instructions, a group or a node in a few steps.
 *
 * Each level is one reservation of address space; growth moves or extends it.
 * Pages become real when they are written to the first time.  Nothing else is
 * allocated, so freeing and filling cannot fail for want of memory.
 *
 * Invariants (blist_check()), for each thing whose parent is mixed:
 *
 * B1  It is all used if and only if none of its blocks is free, and all free
 *     if and only if all are: each set of blocks has one representation.
 * B2  The length of a line in a mixed group is exactly that of the longest
 *     run of free blocks that begins at any of its blocks, counted up to
 *     BLIST_ALLOC_MAX and also beyond the line's end.
 * B3  A mixed state is exactly the greatest of the lengths below it.
 * B4  nfree is exactly the number of free blocks in it.
 * B5  Where a level-2 node calls a uniform group clean, the group's bitmap is
 *     all ones or all zeros, as its state says.
 * B6  Blocks from nblocks on, which fill the last things up, are used.
 *
 * And of what is remembered between calls:
 *
 * B7  The cursor is a block of the device; groups in `open' are mixed.
 * B8  If run_end is behind the cursor, all blocks between them are free and
 *     the one before the cursor is used.  If freed_end is not NONE, all from
 *     freed_first to freed_end are free, and the one before them is used
 *     unless they are at least BLIST_ALLOC_MAX.
 *
 * Search.  As B2 and B3 are exact, the root alone tells how long a run can be
 * had, and a wish that cannot be met costs one comparison.  Otherwise the place
 * is found without a vain step: the rest of the cursor's line, then the first
 * line or thing whose length suffices, up the tree and down again.
 *
 * Policy: next fit for the longest run.  The run is as long as the device has
 * one, up to `max'; of all places where so many blocks are free in a row, the
 * first from the cursor on is taken, or else the first from block 0.  The
 * cursor then stands behind what was taken.
 *
 * Updates.  A free makes one run longer: the lengths of the lines in which
 * that run begins or goes on rise, at most 1,023 blocks back, and with them
 * the states above until one is great enough already.  An allocation lowers a
 * length only where the run that was taken from was the line's longest; then
 * the line is measured again, bit-parallel, and the states above follow as far
 * as they change.  Allocations and frees in order touch one or two words and
 * lengths, because the ends of the run at hand are remembered (B8).
 *
 * Costs, with d levels (d = 2 for 2^21 blocks, 3 for 2^27, 6 for 2^40):
 *
 *	allocate, free up to a group	O(d) and a few cache lines; at worst
 *					d rows of 64 and some lines of bitmap
 *	free and fill of any range	as many rows for each of its two ends,
 *					and the bitmap of two groups
 *	longest, nfree, a vain request	O(1)
 *	make a group mixed		a page of bitmap is written, once
 *	grow				a few system calls; the kernel may move
 *					page tables
 *	shrink				the same, and giving back the pages of
 *					what is cut off
 *
 * Memory: a bit a block and a twentieth more where the free space is mixed, a
 * page or two a level where it is not.
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

/* How far a slow allocation looks beyond the blocks it takes. */
#define LOOK_AHEAD	(8 * UINT64_C(1024))

/* ------------------------------------------------- create, resize, destroy */

static uint64_t
things(uint64_t nblocks, unsigned k)
{
	return ((nblocks - 1) >> blist_shift(k)) + 1;
}

/* Bytes of bitmap (0), of lines (1), of nodes of level @k. */
static uint64_t
level_bytes(uint64_t nblocks, unsigned k)
{
	uint64_t mask = (uint64_t)sysconf(_SC_PAGESIZE) - 1, bytes;

	if (k == 0)
		bytes = things(nblocks, 1) * (BLIST_GROUP / 8);
	else if (k == 1)
		bytes = things(nblocks, 1) * BLIST_FAN * sizeof(int16_t);
	else
		bytes = things(nblocks, k) * sizeof(struct blist_node);
	return (bytes + mask) & ~mask;
}

static void *
level_base(const struct blist *bl, unsigned k)
{
	if (k == 0)
		return bl->word;
	return k == 1 ? (void *)bl->line : (void *)bl->node[k];
}

static void
level_set_base(struct blist *bl, unsigned k, void *base)
{
	if (k == 0)
		bl->word = base;
	else if (k == 1)
		bl->line = base;
	else
		bl->node[k] = base;
}

/* Address space, zeros where it is touched; or MAP_FAILED. */
static void *
reserve(size_t bytes)
{
	void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	/*
	 * One small free must not cost a huge page.  A kernel that has no huge
	 * pages refuses the advice, which is as good.
	 */
	if (base != MAP_FAILED)
		(void)madvise(base, bytes, MADV_NOHUGEPAGE);
	return base;
}

/* Reserve address space for level @k, or more of it, or less. */
static int
level_map(struct blist *bl, unsigned k, uint64_t nblocks)
{
	uint64_t bytes = level_bytes(nblocks, k);
	void *base;

	if (bytes > SIZE_MAX)
		return -ENOMEM;
	if (bl->map_bytes[k] == bytes)
		return 0;
	if (bl->map_bytes[k] > 0)
		base = mremap(level_base(bl, k), bl->map_bytes[k],
			      (size_t)bytes, MREMAP_MAYMOVE);
	else
		base = reserve((size_t)bytes);
	if (base == MAP_FAILED)
		return -ENOMEM;
	level_set_base(bl, k, base);
	bl->map_bytes[k] = (size_t)bytes;
	return 0;
}

static unsigned
top_for(uint64_t nblocks)
{
	unsigned top = 2;

	while (UINT64_C(1) << blist_shift(top) < nblocks)
		top++;
	return top;
}

int
blist_create(uint64_t nblocks, struct blist **ret_blist)
{
	struct blist *bl;
	unsigned k;
	int rc = 0;

	if (nblocks == 0 || nblocks > BLIST_BLOCKS_MAX)
		return -EINVAL;
	bl = reserve(sizeof(*bl));
	if (bl == MAP_FAILED)
		return -ENOMEM;
	bl->nblocks = nblocks;
	bl->top = top_for(nblocks);
	blist_forget_places(bl);
	bl->touched_bytes = BLIST_PAGE;
	for (k = 0; k <= bl->top && rc == 0; k++)
		rc = level_map(bl, k, nblocks);
	if (rc < 0) {
		blist_destroy(bl);
		return rc;
	}
	*ret_blist = bl;
	return 0;
}

void
blist_destroy(struct blist *bl)
{
	unsigned k;

	if (bl == NULL)
		return;
	for (k = 0; k <= BLIST_TOP_MAX; k++)
		if (bl->map_bytes[k] > 0)
			(void)munmap(level_base(bl, k), bl->map_bytes[k]);
	(void)munmap(bl, sizeof(*bl));
}

/* The opposite, for thing @i and all below it as far as it lies behind @end. */
static void
forget(struct blist *bl, unsigned k, uint64_t i, uint64_t end)
{
	uint64_t *touched = blist_touched_of(bl, k, i), bits, base;

	base = i << blist_shift(k);
	if ((*touched & blist_bit(i)) == 0 ||
	    ((i + 1) << blist_shift(k)) <= end)
		return;
	if (k > 1)
		for (bits = bl->node[k][i].touched; bits != 0; bits &= bits - 1)
			forget(bl, k - 1, i * BLIST_FAN + blist_lowest(bits),
			       end);
	if (base < end)
		return;
	*touched &= ~blist_bit(i);
	bl->touched_bytes -= BLIST_PAGE;
	if (k > 1)
		return;
	if ((*touched & blist_page_mates(i)) == 0)
		bl->touched_bytes -= BLIST_PAGE;
	bl->node[2][i / BLIST_FAN].clean &= ~blist_bit(i);
}

/* Put a root above the root. */
static void
add_level(struct blist *bl)
{
	struct blist_node *node = bl->node[bl->top + 1];

	memset(node, 0, sizeof(*node));
	node->state[0] = bl->state;
	node->nfree[0] = bl->nfree;
	node->touched = bl->touched;
	bl->state = blist_node_state(node);
	bl->top++;
	bl->touched = 0;
	blist_touch(bl, bl->top, 0);
}

/* The reverse; the root has nothing free but in its first child. */
static void
remove_level(struct blist *bl)
{
	struct blist_node *node = bl->node[bl->top];

	if (blist_is_mixed(bl->state))
		bl->state = node->state[0];
	if (bl->touched != 0) {
		bl->touched = node->touched & 1;
		bl->touched_bytes -= BLIST_PAGE;
	}
	bl->top--;
}

static void
shrink(struct blist *bl, uint64_t nblocks)
{
	unsigned top = top_for(nblocks), k;

	(void)blist_fill(bl, nblocks, bl->nblocks - nblocks, NULL);
	forget(bl, bl->top, 0, nblocks);
	while (bl->top > top)
		remove_level(bl);
	bl->nblocks = nblocks;
	if (bl->cursor >= nblocks)
		bl->cursor = 0;
	/* A kernel that cannot take memory back leaves it to a later growth. */
	for (k = 0; k <= BLIST_TOP_MAX; k++)
		if (bl->map_bytes[k] > 0)
			(void)level_map(bl, k, nblocks);
}

int
blist_resize(struct blist *bl, uint64_t nblocks)
{
	unsigned top, k;
	int rc = 0;

	if (nblocks == 0 || nblocks > BLIST_BLOCKS_MAX)
		return -EINVAL;
	blist_forget_places(bl);
	if (nblocks <= bl->nblocks) {
		if (nblocks < bl->nblocks)
			shrink(bl, nblocks);
		return 0;
	}
	top = top_for(nblocks);
	for (k = 0; k <= top && rc == 0; k++)
		rc = level_map(bl, k, nblocks);
	if (rc < 0)
		return rc;
	while (bl->top < top)
		add_level(bl);
	bl->nblocks = nblocks;
	return 0;
}

/* -------------------------------------------------------------- allocation */

/*
 * Blocks @first to @last of the run from @start to @end - 1 are used now: set
 * right the lines of group @g that the run touches, and what is above them.
 */
static void
lower_group(struct blist *bl, uint64_t g, uint64_t start, uint64_t first,
	    uint64_t last, uint64_t end)
{
	uint64_t low = max_u64(start, g << BLIST_GROUP_SHIFT), l, begin, had;
	uint64_t rest = min_u64(end - last - 1, BLIST_ALLOC_MAX), has;
	uint64_t was = 0;
	int16_t state;

	if (blist_uniform(bl, g, &state) > 0)
		return;
	l = min_u64(last, low | (BLIST_GROUP - 1)) >> BLIST_LINE_SHIFT;
	for (;; l--) {
		begin = max_u64(low, l << BLIST_LINE_SHIFT);
		had = min_u64(end - begin, BLIST_ALLOC_MAX);
		has = begin < first ? min_u64(first - begin, had) : 0;
		if (last + 1 < (l + 1) << BLIST_LINE_SHIFT)
			has = max_u64(has, rest);
		/* Was it the longest, and is what is left of it shorter? */
		if ((uint64_t)bl->line[l] == had && has < had) {
			was = max_u64(was, had);
			bl->line[l] = blist_line_longest(bl, l, (unsigned)had);
		}
		if (begin == low)
			break;
	}
	if (was >= (uint64_t)*blist_state_of(bl, 1, g))
		blist_climb(bl, g);
}

/* Take @n blocks from @first on, which are free. */
static void
take(struct blist *bl, uint64_t first, unsigned n)
{
	uint64_t last = first + n - 1, start, end, middle;
	uint64_t g = first >> BLIST_GROUP_SHIFT;
	uint64_t g_last = last >> BLIST_GROUP_SHIFT, g_start;

	start = first - blist_run_before(bl, first, BLIST_ALLOC_MAX - 1);
	end = first == bl->cursor ? bl->run_end : 0;
	if (end < last + 1 + BLIST_ALLOC_MAX)
		end = blist_run_end(bl, last + 1, last + 1 + LOOK_AHEAD);
	blist_open_path(bl, g);
	middle = last + 1;
	if (g_last != g) {
		blist_open_path(bl, g_last);
		middle = g_last << BLIST_GROUP_SHIFT;
		blist_write_bits(bl, middle, last + 1, false);
		blist_add_free(bl, g_last, -(last + 1 - middle));
	}
	blist_write_bits(bl, first, middle, false);
	blist_add_free(bl, g, -(middle - first));
	g_start = start >> BLIST_GROUP_SHIFT;
	bl->open[0] = g_last;
	for (g = g_last; ; g--) {
		lower_group(bl, g, start, first, last, end);
		if (g == g_start)
			break;
	}
	bl->run_end = end;
}

/*
 * Take @n blocks at the cursor, if they lie in one line, and after them as
 * long a run as counts goes on in it: then no line's longest run changes.
 */
static inline bool
take_next(struct blist *bl, unsigned n)
{
	uint64_t first = bl->cursor, end = first + n;
	uint64_t g = first >> BLIST_GROUP_SHIFT;

	if (g != bl->open[0] || bl->run_end < end + BLIST_ALLOC_MAX ||
	    first % BLIST_LINE + n >= BLIST_LINE)
		return false;
	if (first % 64 + n <= 64)
		bl->word[first / 64] &= ~blist_mask(first, end);
	else
		blist_write_bits(bl, first, end, false);
	blist_add_free(bl, g, -(uint64_t)n);
	return true;
}

/*
 * Take @n blocks from @first on, if the run that begins there lies in one word
 * and its group is open.
 */
static inline bool
take_in_word(struct blist *bl, uint64_t first, unsigned n)
{
	uint64_t g = first >> BLIST_GROUP_SHIFT, *word = &bl->word[first / 64];
	uint64_t l = first >> BLIST_LINE_SHIFT, used;
	unsigned at = first % 64, had;

	if (g != bl->open[0] || at == 0 || at + n > 63 ||
	    (*word >> (at - 1) & 1) != 0)
		return false;
	used = ~*word >> at;
	if (used == 0)
		return false;
	had = blist_lowest(used);
	*word &= ~blist_mask(first, first + n);
	blist_add_free(bl, g, -(uint64_t)n);
	bl->run_end = 0;
	if (bl->line[l] != (int16_t)had)
		return true;
	bl->line[l] = blist_line_longest(bl, l, had);
	if (*blist_state_of(bl, 1, g) <= (int16_t)had)
		blist_climb(bl, g);
	return true;
}

uint64_t
blist_alloc(struct blist *bl, unsigned min, unsigned max, unsigned *ret_n)
{
	uint64_t first = bl->cursor;
	unsigned want = blist_longest(bl);

	assert(min >= 1 && min <= max && max <= BLIST_ALLOC_MAX);
	want = want < max ? want : max;
	if (want < min)
		return BLIST_NONE;
	if (!take_next(bl, want)) {
		first = blist_find_run(bl, first, want);
		if (first == BLIST_NONE)
			first = blist_find_run(bl, 0, want);
		if (!take_in_word(bl, first, want))
			take(bl, first, want);
	}
	bl->freed_end = BLIST_NONE;
	bl->cursor = first + want;
	if (bl->cursor == bl->nblocks) {
		bl->cursor = 0;
		bl->run_end = 0;
	}
	*ret_n = want;
	return first;
}

/* ----------------------------------------------------------- free and fill */

static bool
range_is_valid(const struct blist *bl, uint64_t first, uint64_t n)
{
	return first <= bl->nblocks && n <= bl->nblocks - first;
}

/* Are blocks @lo to @hi - 1 of a mixed group all used? */
static bool
are_used(const struct blist *bl, uint64_t lo, uint64_t hi)
{
	uint64_t first = lo / 64, last = (hi - 1) / 64, i, any;

	if (first == last)
		return (bl->word[first] & blist_mask(lo, hi)) == 0;
	any = bl->word[first] & blist_bits_from(lo);
	for (i = first + 1; i < last; i++)
		any |= bl->word[i];
	any |= bl->word[last] & (UINT64_MAX >> (63 - ((hi - 1) & 63)));
	return any == 0;
}

/*
 * The run from @start to @end - 1 has become free, or longer: set right the
 * lines of mixed group @g in which it begins or goes on, as far as block
 * @last, and what is above them.
 */
static inline void
raise_group(struct blist *bl, uint64_t g, uint64_t start, uint64_t last,
	    uint64_t end)
{
	struct blist_node *node = &bl->node[2][g / BLIST_FAN];
	uint64_t l, l_last, n = min_u64(end - start, BLIST_ALLOC_MAX);
	int16_t longest = (int16_t)n;

	l = start >> BLIST_LINE_SHIFT;
	l_last = last >> BLIST_LINE_SHIFT;
	for (;;) {
		/* Nobody can predict this: a store is cheaper than a branch. */
		bl->line[l] = bl->line[l] > (int16_t)n ? bl->line[l] :
			(int16_t)n;
		if (++l > l_last)
			break;
		n = min_u64(end - (l << BLIST_LINE_SHIFT), BLIST_ALLOC_MAX);
	}
	if (swap_unlikely(node->nfree[g % BLIST_FAN] == BLIST_GROUP))
		blist_climb(bl, g);
	else if (node->state[g % BLIST_FAN] < longest)
		blist_climb_with(bl, g, longest);
}

/* Where the run begins that block @lo, which is free, is in; 1,023 back. */
static inline uint64_t
run_start(const struct blist *bl, uint64_t lo)
{
	uint64_t used;

	if (lo == bl->freed_end)
		return bl->freed_first;
	if (lo % 64 > 0) {
		used = ~bl->word[lo / 64] << (64 - lo % 64);
		if (used != 0)
			return lo - (unsigned)__builtin_clzll(used);
	}
	return lo - blist_run_before(bl, lo, BLIST_ALLOC_MAX - 1);
}

/* Where the free run ends that goes on, if at all, at @hi; not always all. */
static inline uint64_t
run_rest(const struct blist *bl, uint64_t hi)
{
	uint64_t used;

	if (hi % BLIST_GROUP > 0) {
		used = ~bl->word[hi / 64] >> hi % 64;
		if (used != 0)
			return hi + blist_lowest(used);
	}
	return blist_run_end(bl, hi, hi + BLIST_ALLOC_MAX);
}

/*
 * Free blocks @lo to @hi - 1 of one word, where the last free made a run that
 * ends at @lo and has all lines before the last one at their greatest already,
 * and where a used block of the same line follows.
 */
static inline bool
free_next(struct blist *bl, uint64_t lo, uint64_t hi)
{
	uint64_t g = lo >> BLIST_GROUP_SHIFT, l = lo >> BLIST_LINE_SHIFT;
	uint64_t *word = &bl->word[lo / 64], mask = blist_mask(lo, hi), n;
	int16_t *line = &bl->line[l], *state;

	if (lo != bl->freed_end || g != bl->open[1] || l % BLIST_FAN == 0 ||
	    lo - bl->freed_first < BLIST_ALLOC_MAX || hi % BLIST_LINE == 0 ||
	    (*word & mask) != 0 || (bl->word[hi / 64] >> hi % 64 & 1) != 0)
		return false;
	*word |= mask;
	blist_add_free(bl, g, hi - lo);
	n = hi % BLIST_LINE;
	line[0] = line[0] > (int16_t)n ? line[0] : (int16_t)n;
	n += BLIST_LINE;
	line[-1] = line[-1] > (int16_t)n ? line[-1] : (int16_t)n;
	state = &bl->node[2][g / BLIST_FAN].state[g % BLIST_FAN];
	if (swap_unlikely(*state < (int16_t)n))
		blist_climb_with(bl, g, (int16_t)n);
	bl->freed_end = hi;
	if (bl->cursor - lo - 1 < hi - lo)
		bl->run_end = 0;
	return true;
}

/*
 * Count @n blocks of group @g as free, on the way down to it; false, and
 * nothing counted, if something on the way is uniform.
 */
static inline bool
count_on_path(struct blist *bl, uint64_t g, uint64_t n)
{
	unsigned k, shift = BLIST_FAN_SHIFT * (bl->top - 1), c;
	struct blist_node *node;

	if (!blist_is_mixed(bl->state))
		return false;
	for (k = bl->top; k > 1; k--, shift -= BLIST_FAN_SHIFT) {
		node = &bl->node[k][g >> shift];
		c = (unsigned)(g >> (shift - BLIST_FAN_SHIFT)) % BLIST_FAN;
		if (swap_unlikely(!blist_is_mixed(node->state[c])))
			break;
		node->nfree[c] += n;
	}
	if (swap_likely(k == 1)) {
		bl->nfree += n;
		return true;
	}
	while (k++ < bl->top) {
		shift += BLIST_FAN_SHIFT;
		c = (unsigned)(g >> (shift - BLIST_FAN_SHIFT)) % BLIST_FAN;
		bl->node[k][g >> shift].nfree[c] -= n;
	}
	return false;
}

/*
 * Free blocks @lo to @hi - 1 of one word, if its group is mixed, they are used,
 * and the run that they make lies in the word and does not reach its ends.
 */
static inline bool
free_in_word(struct blist *bl, uint64_t lo, uint64_t hi)
{
	uint64_t g = lo >> BLIST_GROUP_SHIFT, *word = &bl->word[lo / 64];
	uint64_t mask = blist_mask(lo, hi), w, below, above;
	unsigned start, end;
	int16_t *line = &bl->line[lo >> BLIST_LINE_SHIFT], *state, n;

	/* They are far apart: fetch both before one is waited for. */
	__builtin_prefetch(line, 1);
	/* The used blocks on both sides, if the word counts at all. */
	w = *word;
	below = ~w & ~blist_bits_from(lo);
	above = ~w & ~mask & blist_bits_from(lo);
	if ((w & mask) != 0 || below == 0 || above == 0 ||
	    !count_on_path(bl, g, hi - lo))
		return false;
	start = 64 - (unsigned)__builtin_clzll(below);
	end = blist_lowest(above);
	n = (int16_t)(end - start);
	*word = w | mask;
	/* Nobody can predict this: a store is cheaper than a branch. */
	*line = *line > n ? *line : n;
	state = &bl->node[2][g / BLIST_FAN].state[g % BLIST_FAN];
	if (swap_unlikely(*state < n))
		blist_climb_with(bl, g, n);
	bl->open[1] = g;
	bl->freed_first = (lo & ~UINT64_C(63)) + start;
	bl->freed_end = (lo & ~UINT64_C(63)) + end;
	if (bl->cursor - lo - 1 < hi - lo)
		bl->run_end = 0;
	return true;
}

/* Free blocks @lo to @hi - 1 of one group. */
static __attribute__((noinline)) int
free_in_group(struct blist *bl, uint64_t lo, uint64_t hi)
{
	uint64_t g = lo >> BLIST_GROUP_SHIFT, start, end;
	uint64_t begin = g << BLIST_GROUP_SHIFT;
	int16_t state;

	if (blist_uniform(bl, g, &state) > 0) {
		if (state == BLIST_ALL_FREE)
			return -EEXIST;
		blist_open_path(bl, g);
	} else if (!are_used(bl, lo, hi)) {
		return -EEXIST;
	}
	bl->open[1] = g;
	blist_write_bits(bl, lo, hi, true);
	blist_add_free(bl, g, hi - lo);
	start = run_start(bl, lo);
	end = run_rest(bl, hi);
	bl->freed_first = start;
	bl->freed_end = end;
	/* The cursor is no longer where a run begins. */
	if (bl->cursor - lo - 1 < hi - lo)
		bl->run_end = 0;
	/* Blocks further back have runs that are long enough already. */
	start = max_u64(start, lo - min_u64(lo, BLIST_ALLOC_MAX - 1));
	raise_group(bl, g, max_u64(start, begin), hi - 1, end);
	if (start < begin && blist_uniform(bl, g - 1, &state) == 0)
		raise_group(bl, g - 1, start, begin - 1, end);
	return 0;
}

/* Free blocks @lo to @hi - 1 of several groups. */
static __attribute__((noinline)) int
free_groups(struct blist *bl, uint64_t lo, uint64_t hi)
{
	if (blist_find_run(bl, lo, 1) < hi)
		return -EEXIST;
	(void)blist_change_range(bl, lo, hi, true);
	return 0;
}

int
blist_free(struct blist *bl, uint64_t first, uint64_t n)
{
	uint64_t last = first + n - 1;

	if (!range_is_valid(bl, first, n))
		return -EINVAL;
	if (n == 0)
		return 0;
	if (last / 64 == first / 64 &&
	    (first == bl->freed_end ? free_next(bl, first, last + 1) :
	     free_in_word(bl, first, last + 1)))
		return 0;
	if (last >> BLIST_GROUP_SHIFT == first >> BLIST_GROUP_SHIFT)
		return free_in_group(bl, first, last + 1);
	return free_groups(bl, first, last + 1);
}

int
blist_fill(struct blist *bl, uint64_t first, uint64_t n, uint64_t *ret_nfree)
{
	uint64_t nfree = 0;

	if (!range_is_valid(bl, first, n))
		return -EINVAL;
	if (n > 0)
		nfree = blist_change_range(bl, first, first + n, false);
	if (ret_nfree != NULL)
		*ret_nfree = nfree;
	return 0;
}

/* ----------------------------------------------------------------- queries */

uint64_t
blist_nblocks(const struct blist *bl)
{
	return bl->nblocks;
}

uint64_t
blist_nfree(const struct blist *bl)
{
	return bl->nfree;
}

unsigned
blist_longest(const struct blist *bl)
{
	return (unsigned)min_u64((uint64_t)bl->state, BLIST_ALLOC_MAX);
}

bool
blist_is_free(const struct blist *bl, uint64_t block)
{
	return block < bl->nblocks && blist_run_end(bl, block, block + 1) >
		block;
}

bool
blist_next_free(const struct blist *bl, uint64_t from, uint64_t *ret_first,
		uint64_t *ret_n)
{
	uint64_t first = blist_find_run(bl, from, 1);

	if (first == BLIST_NONE)
		return false;
	*ret_first = first;
	*ret_n = blist_run_end(bl, first, bl->nblocks) - first;
	return true;
}

bool
blist_next_used(const struct blist *bl, uint64_t from, uint64_t *ret_first,
		uint64_t *ret_n)
{
	uint64_t first = blist_run_end(bl, from, bl->nblocks);

	if (first >= bl->nblocks)
		return false;
	*ret_first = first;
	*ret_n = min_u64(blist_find_run(bl, first, 1), bl->nblocks) - first;
	return true;
}

size_t
blist_memory(const struct blist *bl)
{
	return bl->touched_bytes;
}
