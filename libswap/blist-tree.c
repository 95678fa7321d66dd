/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * blist-tree.c - lines, states and paths of a block list
 *
 * What keeps the invariants of blist.c, B1 to B6, and what finds runs with
 * their help.  Up the tree states follow from lengths; down the tree uniform
 * things are written out because somebody is about to change a part of them.
 */
#include "blist-private.h"

#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "compiler.h"

/* --------------------------------------------------- states in a row of 64 */

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

int16_t
blist_node_state(const struct blist_node *node)
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

/* ---------------------------------------------------------- runs of blocks */

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

uint64_t
blist_run_before(const struct blist *bl, uint64_t block, uint64_t most)
{
	uint64_t at = block, low = block - min_u64(block, most);
	uint64_t g, used, start, last;
	int16_t state;
	unsigned k;

	while (at > low) {
		g = (at - 1) >> BLIST_GROUP_SHIFT;
		start = max_u64(low, g << BLIST_GROUP_SHIFT);
		k = blist_uniform(bl, g, &state);
		if (k > 0 && state == BLIST_ALL_USED)
			break;
		while (at > start && k == 0) {
			last = at - 1;
			used = ~bl->word[last / 64] << (63 - (last & 63));
			if (used != 0) {
				at -= (unsigned)__builtin_clzll(used);
				return block - max_u64(at, low);
			}
			at = last & ~UINT64_C(63);
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

int16_t
blist_line_longest(const struct blist *bl, uint64_t l, unsigned most)
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

/* ------------------------------------------------------------- up the tree */

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

void
blist_climb(struct blist *bl, uint64_t g)
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
		state = blist_node_state(&bl->node[k + 1][i]);
	}
}

void
blist_climb_with(struct blist *bl, uint64_t g, int16_t n)
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

/* ----------------------------------------------------------- down the tree */

void
blist_touch(struct blist *bl, unsigned k, uint64_t i)
{
	uint64_t *touched = blist_touched_of(bl, k, i);

	if ((*touched & blist_bit(i)) != 0)
		return;
	bl->touched_bytes += BLIST_PAGE;
	if (k == 1 && (*touched & blist_page_mates(i)) == 0)
		bl->touched_bytes += BLIST_PAGE;
	*touched |= blist_bit(i);
}

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

	blist_touch(bl, k, i);
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

void
blist_open_path(struct blist *bl, uint64_t g)
{
	int16_t state;
	unsigned k = blist_uniform(bl, g, &state);

	for (; k > 0; k--)
		push_down(bl, k, g >> (BLIST_FAN_SHIFT * (k - 1)));
}

/* ------------------------------------------------------------- long ranges */

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
		blist_write_bits(bl, lo, hi, free);
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
		*blist_state_of(bl, k + 1, i) =
			blist_node_state(&bl->node[k + 1][i]);
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
			bl->line[l] = blist_line_longest(bl, l,
						   BLIST_ALLOC_MAX);
	}
	climb_all(bl, g);
}

uint64_t
blist_change_range(struct blist *bl, uint64_t lo, uint64_t hi, bool free)
{
	uint64_t changed = set_range(bl, bl->top, 0, lo, hi, free);
	uint64_t first = lo >> BLIST_GROUP_SHIFT;
	uint64_t last = (hi - 1) >> BLIST_GROUP_SHIFT;

	blist_forget_places(bl);
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
