/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * blist.c - radix bitmap block lists
 */
#include "blist.h"
#include "blist-private.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "compiler.h"

#define PAGE_BYTES	4096u	/* what blist_memory() counts in */
/* How far a slow allocation looks beyond the blocks it takes. */
#define LOOK_AHEAD	(8 * UINT64_C(1024))

/* ----------------------------------------------------- states in a row of 64 */

/* The first of @v[from..63] that is at least @want; 64: none. */
static unsigned
next_at_least(const int16_t *v, unsigned from, unsigned want)
{
#ifdef __SSE2__
	const __m128i less = _mm_set1_epi16((short)(want - 1));
	unsigned at = from & ~15u, mask = 0xffffu << (from & 15);
	const __m128i *p;

	for (; at < BLIST_FAN; at += 16, mask = 0xffff) {
		p = (const __m128i *)(const void *)&v[at];
		mask &= (unsigned)_mm_movemask_epi8(_mm_packs_epi16(
			_mm_cmpgt_epi16(_mm_load_si128(p), less),
			_mm_cmpgt_epi16(_mm_load_si128(p + 1), less)));
		if (mask != 0)
			return at + (unsigned)__builtin_ctz(mask);
	}
	return BLIST_FAN;
#else
	while (from < BLIST_FAN && v[from] < (int)want)
		from++;
	return from;
#endif
}

static int16_t
greatest(const int16_t *v)
{
#ifdef __SSE2__
	const __m128i *p = (const __m128i *)(const void *)v;
	__m128i m = _mm_load_si128(p);
	unsigned i;

	for (i = 1; i < BLIST_FAN / 8; i++)
		m = _mm_max_epi16(m, _mm_load_si128(p + i));
	m = _mm_max_epi16(m, _mm_srli_si128(m, 8));
	m = _mm_max_epi16(m, _mm_srli_si128(m, 4));
	m = _mm_max_epi16(m, _mm_srli_si128(m, 2));
	return (int16_t)_mm_extract_epi16(m, 0);
#else
	int16_t m = v[0];
	unsigned i;

	for (i = 1; i < BLIST_FAN; i++)
		m = v[i] > m ? v[i] : m;
	return m;
#endif
}

/* What the states of its children make of a node. */
static int16_t
node_state(const struct blist_node *node)
{
	int16_t m = greatest(node->state);
	unsigned i;

	if (m != BLIST_ALL_FREE)
		return m;
	for (i = 0; i < BLIST_FAN; i++)
		if (node->state[i] != BLIST_ALL_FREE)
			return BLIST_ALLOC_MAX;
	return BLIST_ALL_FREE;
}

/* ------------------------------------------------------------ runs of blocks */

uint64_t
blist_run_end(const struct blist *bl, uint64_t from, uint64_t limit)
{
	uint64_t at = from, g, end, used;
	int16_t state;
	unsigned k;

	limit = min_u64(limit, bl->nblocks);
	while (at < limit) {
		g = at >> BLIST_GROUP_SHIFT;
		k = blist_uniform(bl, g, &state);
		if (k > 0) {
			if (state == BLIST_ALL_USED)
				return at;
			at = ((at >> blist_shift(k)) + 1) << blist_shift(k);
			continue;
		}
		end = min_u64(limit, (g + 1) << BLIST_GROUP_SHIFT);
		while (at < end) {
			used = ~bl->word[at / 64] >> (at & 63);
			if (used != 0)
				return at + blist_lowest(used);
			at = (at | 63) + 1;
		}
	}
	return at;
}

/* How many blocks right before @block are free; counts up to @most. */
static uint64_t
run_before(const struct blist *bl, uint64_t block, uint64_t most)
{
	uint64_t at = block, low = block - min_u64(block, most), g, used, start;
	int16_t state;
	unsigned k;

	while (at > low) {
		g = (at - 1) >> BLIST_GROUP_SHIFT;
		start = max_u64(low, g << BLIST_GROUP_SHIFT);
		k = blist_uniform(bl, g, &state);
		if (k > 0 && state == BLIST_ALL_USED)
			break;
		while (at > start && k == 0) {
			used = ~bl->word[(at - 1) / 64] << (63 - ((at - 1) & 63));
			if (used != 0) {
				at -= (unsigned)__builtin_clzll(used);
				return block - max_u64(at, low);
			}
			at = (at - 1) & ~UINT64_C(63);
		}
		at = min_u64(at, start);
	}
	return block - max_u64(at, low);
}

/* ------------------------------------------------------------------- lines */

/* Where in @w at least @n ones begin that all lie in @w. */
static inline uint64_t
run_starts(uint64_t w, unsigned n)
{
	unsigned have = 1, step;

	if (n > 64)
		return 0;
	while (have < n && w != 0) {
		step = have < n - have ? have : n - have;
		w &= w >> step;
		have += step;
	}
	return w;
}

/*
 * The first block from @from on in its line, whose group is mixed, with which
 * @want free blocks begin.
 */
static uint64_t
find_in_line(const struct blist *bl, uint64_t from, unsigned want)
{
	uint64_t i = from / 64, end = (i | (BLIST_LINE_WORDS - 1)) + 1;
	uint64_t w = bl->word[i] & blist_bits_from(from), starts;
	unsigned before = 0, head;	/* free blocks before this word */

	for (;;) {
		head = w == UINT64_MAX ? 64 : blist_lowest(~w);
		if (before + head >= want)
			return i * 64 - before;
		starts = run_starts(w, want);
		if (starts != 0)
			return i * 64 + blist_lowest(starts);
		before = head == 64 ? before + 64 : blist_upper_ones(w);
		if (++i == end)
			break;
		w = bl->word[i];
	}
	from = end * 64 - before;
	if (before > 0 && blist_run_end(bl, end * 64, from + want) >=
	    from + want)
		return from;
	return BLIST_NONE;
}

/* Runs of 64 and more: they cross the border of a word. */
static unsigned
longest_of_words(const uint64_t *w)
{
	unsigned i, run = 0, best = 0;

	for (i = 0; i < BLIST_LINE_WORDS; i++) {
		if (w[i] == UINT64_MAX) {
			run += 64;
			continue;
		}
		run += blist_lowest(~w[i]);
		best = run > best ? run : best;
		run = blist_upper_ones(w[i]);
	}
	return run > best ? run : best;
}

/* y = where in x a one stands, and another @by bits on.  Returns if any. */
static inline uint64_t
thin_out(uint64_t *restrict y, const uint64_t *restrict x, unsigned by)
{
	uint64_t any = 0;
	unsigned i;

	for (i = 0; i < BLIST_LINE_WORDS; i++) {
		y[i] = x[i] & (x[i] >> by | x[i + 1] << (64 - by));
		any |= y[i];
	}
	return any;
}

/* The longest run of ones in the words of a line; it is at most @most. */
static unsigned
longest_in_words(const uint64_t *w, unsigned most)
{
	uint64_t bufs[2][BLIST_LINE_WORDS + 1], any = 0;
	uint64_t *x = bufs[0], *y = bufs[1], *t;
	unsigned i, n = 1, step = 1;

	if (most >= 64) {
		n = longest_of_words(w);
		if (n >= 64)
			return n;
		most = 63;
		n = 1;
	}
	for (i = 0; i < BLIST_LINE_WORDS; i++)
		any |= x[i] = w[i];
	x[i] = y[i] = 0;
	if (any == 0)
		return 0;
	/* x: where at least n ones begin. */
	while (n < most) {
		step = n < most - n ? n : most - n;
		if (thin_out(y, x, step) == 0)
			break;
		t = x, x = y, y = t;
		n += step;
		step = 1;
	}
	/* And nowhere n + step. */
	while (step > 1) {
		i = step / 2;
		if (thin_out(y, x, i) == 0) {
			step = i;
			continue;
		}
		t = x, x = y, y = t;
		n += i;
		step -= i;
	}
	return n;
}

/*
 * The longest run that begins in line @l, whose group is mixed; it is known to
 * be at most @most.
 */
static int16_t
line_longest(const struct blist *bl, uint64_t l, unsigned most)
{
	const uint64_t *w = &bl->word[l * BLIST_LINE_WORDS];
	uint64_t end = (l + 1) << BLIST_LINE_SHIFT, n, first;
	unsigned i = BLIST_LINE_WORDS - 1, tail = blist_upper_ones(w[i]);

	if (tail == 0)
		return (int16_t)longest_in_words(w, most);
	while (i > 0 && w[i] == UINT64_MAX)
		tail += blist_upper_ones(w[--i]);
	first = end - tail;
	n = blist_run_end(bl, end, first + BLIST_ALLOC_MAX) - first;
	if (n >= most)
		return (int16_t)most;
	if (tail < BLIST_LINE)
		n = max_u64(n, longest_in_words(w, most));
	return (int16_t)n;
}

/* ------------------------------------------------------------ up the tree */

/* Group @g is no longer mixed. */
static void
close_group(struct blist *bl, uint64_t g)
{
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(bl->open); i++)
		if (bl->open[i] == g)
			bl->open[i] = BLIST_NONE;
}

/* Group @g is mixed: what its lines make of it. */
static int16_t
group_state(struct blist *bl, uint64_t g)
{
	int16_t state = greatest(&bl->line[g * BLIST_FAN]);

	if (*blist_nfree_of(bl, 1, g) == BLIST_GROUP)
		state = BLIST_ALL_FREE;
	if (!blist_is_mixed(state)) {
		bl->node[2][g / BLIST_FAN].clean |= blist_bit(g);
		close_group(bl, g);
	}
	return state;
}

/* The lines of mixed group @g have changed: tell those above. */
static void
climb(struct blist *bl, uint64_t g)
{
	int16_t state = group_state(bl, g), *old;
	uint64_t i = g;
	unsigned k;

	for (k = 1; ; k++) {
		old = blist_state_of(bl, k, i);
		if (*old == state)
			return;
		*old = state;
		if (k == bl->top)
			return;
		i /= BLIST_FAN;
		state = node_state(&bl->node[k + 1][i]);
	}
}

/* The same where a run of @n has come and nothing else. */
static void
climb_with(struct blist *bl, uint64_t g, int16_t n)
{
	uint64_t i = g;
	int16_t *old;
	unsigned k;

	for (k = 1; k <= bl->top; k++, i /= BLIST_FAN) {
		old = blist_state_of(bl, k, i);
		if (*old >= n)
			return;
		*old = n;
	}
}

/* ---------------------------------------------------- create, resize, destroy */

/* What was known of places is known no longer. */
static void
forget_places(struct blist *bl)
{
	bl->run_end = 0;
	bl->open[0] = bl->open[1] = BLIST_NONE;
	bl->freed_end = BLIST_NONE;
}

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
		base = mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
			    -1, 0);
	if (base == MAP_FAILED)
		return -ENOMEM;
	/*
	 * One small free must not cost a huge page.  A kernel that has no huge
	 * pages refuses the advice, which is as good.
	 */
	if (bl->map_bytes[k] == 0)
		(void)madvise(base, (size_t)bytes, MADV_NOHUGEPAGE);
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
	bl = calloc(1, sizeof(*bl));
	if (bl == NULL)
		return -ENOMEM;
	bl->nblocks = nblocks;
	bl->top = top_for(nblocks);
	forget_places(bl);
	bl->touched_bytes = sizeof(*bl);
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
	free(bl);
}

static uint64_t *
touched_of(struct blist *bl, unsigned k, uint64_t i)
{
	return k == bl->top ? &bl->touched :
		&bl->node[k + 1][i / BLIST_FAN].touched;
}

/* Of the groups whose lines share a page with those of group @g. */
static uint64_t
page_mates(uint64_t g)
{
	return UINT64_C(0xffffffff) << (g & 32);
}

/* Thing @i of level @k is about to be written to: count its memory. */
static void
touch(struct blist *bl, unsigned k, uint64_t i)
{
	uint64_t *touched = touched_of(bl, k, i);

	if ((*touched & blist_bit(i)) != 0)
		return;
	bl->touched_bytes += PAGE_BYTES;
	if (k == 1 && (*touched & page_mates(i)) == 0)
		bl->touched_bytes += PAGE_BYTES;
	*touched |= blist_bit(i);
}

/* The opposite, for thing @i and all below it as far as it lies behind @end. */
static void
forget(struct blist *bl, unsigned k, uint64_t i, uint64_t end)
{
	uint64_t *touched = touched_of(bl, k, i), bits, base;

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
	bl->touched_bytes -= PAGE_BYTES;
	if (k > 1)
		return;
	if ((*touched & page_mates(i)) == 0)
		bl->touched_bytes -= PAGE_BYTES;
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
	bl->state = node_state(node);
	bl->top++;
	bl->touched = 0;
	touch(bl, bl->top, 0);
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
		bl->touched_bytes -= PAGE_BYTES;
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
	forget_places(bl);
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

/* ------------------------------------------------------------ down the tree */

static void
open_group(struct blist *bl, uint64_t g, bool free)
{
	uint64_t *clean = &bl->node[2][g / BLIST_FAN].clean;
	uint64_t end = (g + 1) << BLIST_GROUP_SHIFT, ahead;
	int16_t *line = &bl->line[g * BLIST_FAN];
	unsigned i;

	if ((*clean & blist_bit(g)) == 0)
		memset(&bl->word[g * BLIST_GROUP_WORDS], free ? 0xff : 0,
		       BLIST_GROUP / 8);
	for (i = 0; i < BLIST_FAN; i++)
		line[i] = free ? BLIST_ALLOC_MAX : 0;
	if (!free)
		return;
	ahead = blist_run_end(bl, end, end + BLIST_LINE) - end;
	line[BLIST_FAN - 1] = (int16_t)min_u64(BLIST_LINE + ahead,
					       BLIST_ALLOC_MAX);
}

/*
 * Write out thing @i of level @k, which is uniform, and call it mixed.  The
 * caller makes it so, and its state exact.
 */
static void
push_down(struct blist *bl, unsigned k, uint64_t i)
{
	int16_t *state = blist_state_of(bl, k, i);
	bool free = *state == BLIST_ALL_FREE;
	struct blist_node *node;
	unsigned c;

	touch(bl, k, i);
	if (k == 1) {
		open_group(bl, i, free);
	} else {
		node = &bl->node[k][i];
		for (c = 0; c < BLIST_FAN; c++) {
			node->state[c] = *state;
			node->nfree[c] = free ?
				UINT64_C(1) << blist_shift(k - 1) : 0;
		}
		node->clean = 0;
	}
	*state = free ? BLIST_ALLOC_MAX : 1;
}

/* Make group @g mixed, and so all that it is in. */
static void
open_path(struct blist *bl, uint64_t g)
{
	int16_t state;
	unsigned k = blist_uniform(bl, g, &state);

	for (; k > 0; k--)
		push_down(bl, k, g >> (BLIST_FAN_SHIFT * (k - 1)));
}

/* Blocks @lo to @hi - 1 of one mixed group.  Bits only. */
static inline void
write_bits(struct blist *bl, uint64_t lo, uint64_t hi, bool free)
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
add_free(struct blist *bl, uint64_t g, uint64_t n)
{
	uint64_t i = g;
	unsigned k;

	for (k = 2; k <= bl->top; k++, i /= BLIST_FAN)
		bl->node[k][i / BLIST_FAN].nfree[i % BLIST_FAN] += n;
	bl->nfree += n;
}

/* ------------------------------------------------------------ long ranges */

/*
 * Make blocks @lo to @hi - 1 of thing @i of level @k, whose parent is mixed,
 * free or used.  Returns how many were not.  Counts become right, lines and
 * states only where something is uniform.
 */
static uint64_t
set_range(struct blist *bl, unsigned k, uint64_t i, uint64_t lo, uint64_t hi,
	  bool free)
{
	uint64_t *nfree = blist_nfree_of(bl, k, i), old = *nfree, size, c;
	int16_t *state = blist_state_of(bl, k, i);
	int16_t target = free ? BLIST_ALL_FREE : BLIST_ALL_USED;
	unsigned shift;

	size = UINT64_C(1) << blist_shift(k);
	if (*state == target)
		return 0;
	if (hi - lo == size) {
		*state = target;
		*nfree = free ? size : 0;
		if (k == 1)
			bl->node[2][i / BLIST_FAN].clean &= ~blist_bit(i);
		return free ? size - old : old;
	}
	if (!blist_is_mixed(*state))
		push_down(bl, k, i);
	if (k == 1) {
		old = blist_count_free(bl, lo, hi);
		write_bits(bl, lo, hi, free);
		*nfree += free ? hi - lo - old : -old;
		return free ? hi - lo - old : old;
	}
	shift = blist_shift(k - 1);
	for (c = lo >> shift, old = 0; c <= (hi - 1) >> shift; c++)
		old += set_range(bl, k - 1, c, max_u64(lo, c << shift),
				 min_u64(hi, (c + 1) << shift), free);
	*nfree += free ? old : -old;
	return old;
}

/* The exact states of all that group @g is in. */
static void
climb_all(struct blist *bl, uint64_t g)
{
	int16_t state;
	unsigned k = blist_uniform(bl, g, &state);
	uint64_t i;

	if (k == 0) {
		*blist_state_of(bl, 1, g) = group_state(bl, g);
		k = 1;
	}
	for (i = g >> (BLIST_FAN_SHIFT * (k - 1)); k < bl->top; k++) {
		i /= BLIST_FAN;
		*blist_state_of(bl, k + 1, i) = node_state(&bl->node[k + 1][i]);
	}
}

/* set_range() has set a range: set right group @g at one of its ends. */
static void
refresh_group(struct blist *bl, uint64_t g, uint64_t lo, uint64_t hi)
{
	uint64_t begin = g << BLIST_GROUP_SHIFT, l, last;
	int16_t state;

	if (blist_uniform(bl, g, &state) == 0) {
		/* Blocks so far before it may begin a run that has changed. */
		l = max_u64(begin, lo - min_u64(lo, BLIST_ALLOC_MAX - 1));
		last = min_u64(begin + BLIST_GROUP, hi) - 1;
		last >>= BLIST_LINE_SHIFT;
		for (l >>= BLIST_LINE_SHIFT; l <= last; l++)
			bl->line[l] = line_longest(bl, l,
						   BLIST_ALLOC_MAX);
	}
	climb_all(bl, g);
}

/* Any range.  Returns how many blocks were not so before. */
static uint64_t
change_range(struct blist *bl, uint64_t lo, uint64_t hi, bool free)
{
	uint64_t changed = set_range(bl, bl->top, 0, lo, hi, free);
	uint64_t first = lo >> BLIST_GROUP_SHIFT;
	uint64_t last = (hi - 1) >> BLIST_GROUP_SHIFT;

	forget_places(bl);
	if (changed == 0)
		return 0;
	if (last != first)
		refresh_group(bl, last, lo, hi);
	refresh_group(bl, first, lo, hi);
	if ((lo & (BLIST_GROUP - 1)) < BLIST_ALLOC_MAX - 1 && first > 0)
		refresh_group(bl, first - 1, lo, hi);
	return changed;
}

/* --------------------------------------------------------------- searching */

/* Thing @i of level @k has a run of @want: the first. */
static uint64_t
descend(const struct blist *bl, unsigned k, uint64_t i, unsigned want)
{
	const struct blist_node *node;

	for (; k > 1; k--) {
		node = &bl->node[k][i];
		i = i * BLIST_FAN + next_at_least(node->state, 0, want);
		if (node->state[i % BLIST_FAN] == BLIST_ALL_FREE)
			return i << blist_shift(k - 1);
	}
	i = i * BLIST_FAN + next_at_least(&bl->line[i * BLIST_FAN], 0, want);
	return find_in_line(bl, i << BLIST_LINE_SHIFT, want);
}

/* find_run() in mixed group @g, as far as runs begin in it. */
static uint64_t
find_in_group(const struct blist *bl, uint64_t g, uint64_t from, unsigned want)
{
	const int16_t *line = &bl->line[g * BLIST_FAN];
	unsigned l = (from >> BLIST_LINE_SHIFT) % BLIST_FAN;
	uint64_t at;

	if (line[l] >= (int)want) {
		at = find_in_line(bl, from, want);
		if (at != BLIST_NONE)
			return at;
	}
	l = next_at_least(line, l + 1, want);
	if (l == BLIST_FAN)
		return BLIST_NONE;
	return find_in_line(bl, (g * BLIST_FAN + l) << BLIST_LINE_SHIFT, want);
}

uint64_t
blist_find_run(const struct blist *bl, uint64_t from, unsigned want)
{
	uint64_t g = from >> BLIST_GROUP_SHIFT, i, at;
	const struct blist_node *node;
	int16_t state;
	unsigned k, c;

	if (from >= bl->nblocks)
		return BLIST_NONE;
	k = blist_uniform(bl, g, &state);
	if (k == 0) {
		at = find_in_group(bl, g, from, want);
		if (at != BLIST_NONE)
			return at;
		k = 1;
	} else if (state == BLIST_ALL_FREE &&
		   blist_run_end(bl, from, from + want) >= from + want) {
		return from;
	}
	for (i = g >> (BLIST_FAN_SHIFT * (k - 1)); k < bl->top; k++) {
		node = &bl->node[k + 1][i / BLIST_FAN];
		c = next_at_least(node->state, (unsigned)(i % BLIST_FAN) + 1,
				  want);
		i /= BLIST_FAN;
		if (c == BLIST_FAN)
			continue;
		i = i * BLIST_FAN + c;
		if (node->state[c] == BLIST_ALL_FREE)
			return i << blist_shift(k);
		return descend(bl, k, i, want);
	}
	return BLIST_NONE;
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
			bl->line[l] = line_longest(bl, l, (unsigned)had);
		}
		if (begin == low)
			break;
	}
	if (was >= (uint64_t)*blist_state_of(bl, 1, g))
		climb(bl, g);
}

/* Take @n blocks from @first on, which are free. */
static void
take(struct blist *bl, uint64_t first, unsigned n)
{
	uint64_t last = first + n - 1, start, end, middle;
	uint64_t g = first >> BLIST_GROUP_SHIFT;
	uint64_t g_last = last >> BLIST_GROUP_SHIFT, g_start;

	start = first - run_before(bl, first, BLIST_ALLOC_MAX - 1);
	end = first == bl->cursor ? bl->run_end : 0;
	if (end < last + 1 + BLIST_ALLOC_MAX)
		end = blist_run_end(bl, last + 1, last + 1 + LOOK_AHEAD);
	open_path(bl, g);
	middle = last + 1;
	if (g_last != g) {
		open_path(bl, g_last);
		middle = g_last << BLIST_GROUP_SHIFT;
		write_bits(bl, middle, last + 1, false);
		add_free(bl, g_last, -(last + 1 - middle));
	}
	write_bits(bl, first, middle, false);
	add_free(bl, g, -(middle - first));
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
		write_bits(bl, first, end, false);
	add_free(bl, g, -(uint64_t)n);
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
	add_free(bl, g, -(uint64_t)n);
	bl->run_end = 0;
	if (bl->line[l] != (int16_t)had)
		return true;
	bl->line[l] = line_longest(bl, l, had);
	if (*blist_state_of(bl, 1, g) <= (int16_t)had)
		climb(bl, g);
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

/* ---------------------------------------------------------- free and fill */

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
		climb(bl, g);
	else if (node->state[g % BLIST_FAN] < longest)
		climb_with(bl, g, longest);
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
	return lo - run_before(bl, lo, BLIST_ALLOC_MAX - 1);
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
	add_free(bl, g, hi - lo);
	n = hi % BLIST_LINE;
	line[0] = line[0] > (int16_t)n ? line[0] : (int16_t)n;
	n += BLIST_LINE;
	line[-1] = line[-1] > (int16_t)n ? line[-1] : (int16_t)n;
	state = &bl->node[2][g / BLIST_FAN].state[g % BLIST_FAN];
	if (swap_unlikely(*state < (int16_t)n))
		climb_with(bl, g, (int16_t)n);
	bl->freed_end = hi;
	if (bl->cursor - lo - 1 < hi - lo)
		bl->run_end = 0;
	return true;
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
	w = *word;
	if (blist_uniform(bl, g, &n) > 0)
		return false;
	/* The used blocks on both sides. */
	below = ~w & ~blist_bits_from(lo);
	above = ~w & ~mask & blist_bits_from(lo);
	if ((w & mask) != 0 || below == 0 || above == 0)
		return false;
	start = 64 - (unsigned)__builtin_clzll(below);
	end = blist_lowest(above);
	n = (int16_t)(end - start);
	*word = w | mask;
	/* Nobody can predict this: a store is cheaper than a branch. */
	*line = *line > n ? *line : n;
	add_free(bl, g, hi - lo);
	state = &bl->node[2][g / BLIST_FAN].state[g % BLIST_FAN];
	if (swap_unlikely(*state < n))
		climb_with(bl, g, n);
	bl->open[1] = g;
	bl->freed_first = (lo & ~UINT64_C(63)) + start;
	bl->freed_end = (lo & ~UINT64_C(63)) + end;
	if (bl->cursor - lo - 1 < hi - lo)
		bl->run_end = 0;
	return true;
}

/* Free blocks @lo to @hi - 1 of one group. */
static int
free_in_group(struct blist *bl, uint64_t lo, uint64_t hi)
{
	uint64_t g = lo >> BLIST_GROUP_SHIFT, start, end;
	uint64_t begin = g << BLIST_GROUP_SHIFT;
	int16_t state;

	if (blist_uniform(bl, g, &state) > 0) {
		if (state == BLIST_ALL_FREE)
			return -EEXIST;
		open_path(bl, g);
	} else if (!are_used(bl, lo, hi)) {
		return -EEXIST;
	}
	bl->open[1] = g;
	write_bits(bl, lo, hi, true);
	add_free(bl, g, hi - lo);
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
	if (blist_find_run(bl, first, 1) <= last)
		return -EEXIST;
	(void)change_range(bl, first, last + 1, true);
	return 0;
}

int
blist_fill(struct blist *bl, uint64_t first, uint64_t n, uint64_t *ret_nfree)
{
	uint64_t nfree = 0;

	if (!range_is_valid(bl, first, n))
		return -EINVAL;
	if (n > 0)
		nfree = change_range(bl, first, first + n, false);
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
