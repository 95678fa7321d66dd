/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * blist-stats.c - how the free blocks of a block list lie, and its check
 *
 * Counting takes whole things from their parent's count, and looks into the
 * bitmap of two groups at most.
 *
 * A histogram must look at the bits of all that is mixed.  It does not go from
 * run to run, of which there may be hundreds of millions, but counts all runs
 * of a group at once (struct tally), with vectors of words: shifting the bitmap
 * over itself leaves the blocks that begin a run of at least L, and sums over
 * those say how many runs of at least L there are and how many blocks are in
 * them.  Only runs of 64 and more, of which a group cannot have many, and those
 * that touch a group's ends are measured one by one; the latter stay open, in
 * the caller's histogram, until the run's end is seen.  So uniform things cost
 * one step, and the rest about what reading it costs.
 *
 * blist_check() proves the invariants B1 to B8 of blist.c from the bits alone,
 * with code that shares nothing with what keeps them.
 */
#include "blist.h"
#include "blist-private.h"

#include <errno.h>
#include <string.h>

/* --------------------------------------------------------------- counting */

#define FIVES	UINT64_C(0x5555555555555555)
#define THREES	UINT64_C(0x3333333333333333)
#define NIBBLES	UINT64_C(0x0f0f0f0f0f0f0f0f)
#define SHORTS	UINT64_C(0x00ff00ff00ff00ff)

/* Put in each byte of @x how many ones it had; also for vectors. */
#define COUNT_IN_BYTES(x) do { \
	(x) -= (x) >> 1 & FIVES; \
	(x) = ((x) & THREES) + ((x) >> 2 & THREES); \
	(x) = ((x) + ((x) >> 4)) & NIBBLES; \
} while (0)

uint64_t
blist_count_words(const uint64_t *w, size_t n)
{
	uint64_t sum = 0, bytes, x;
	size_t i = 0, end;

	while (i < n) {
		/* 31 words cannot overflow a byte. */
		end = n - i < 31 ? n : i + 31;
		for (bytes = 0; i < end; i++) {
			x = w[i];
			COUNT_IN_BYTES(x);
			bytes += x;
		}
		bytes = (bytes & SHORTS) + (bytes >> 8 & SHORTS);
		sum += bytes * UINT64_C(0x0001000100010001) >> 48;
	}
	return sum;
}

/* Free blocks @lo to @hi - 1, which lie in a mixed group. */
static uint64_t
count_in_group(const struct blist *bl, uint64_t lo, uint64_t hi)
{
	uint64_t first = lo / 64, last = (hi - 1) / 64, ends[2];

	if (first == last) {
		ends[0] = bl->word[first] & blist_mask(lo, hi);
		return blist_count_words(ends, 1);
	}
	ends[0] = bl->word[first] & blist_bits_from(lo);
	ends[1] = bl->word[last] & (UINT64_MAX >> (63 - ((hi - 1) & 63)));
	return blist_count_words(ends, 2) +
		blist_count_words(&bl->word[first + 1], last - first - 1);
}

/* Free blocks of thing @i of level @k, in @state, from @lo to @hi - 1. */
static uint64_t
count_in(const struct blist *bl, unsigned k, uint64_t i, int16_t state,
	 uint64_t lo, uint64_t hi)
{
	const struct blist_node *node;
	uint64_t c, from, to, sum = 0;
	unsigned shift;

	if (!blist_is_mixed(state))
		return state == BLIST_ALL_FREE ? hi - lo : 0;
	if (k == 1)
		return count_in_group(bl, lo, hi);
	node = &bl->node[k][i];
	shift = blist_shift(k - 1);
	for (c = lo >> shift; c <= (hi - 1) >> shift; c++) {
		from = max_u64(lo, c << shift);
		to = min_u64(hi, (c + 1) << shift);
		sum += to - from == UINT64_C(1) << shift ?
			node->nfree[c % BLIST_FAN] :
			count_in(bl, k - 1, c, node->state[c % BLIST_FAN],
				 from, to);
	}
	return sum;
}

uint64_t
blist_count_free(const struct blist *bl, uint64_t lo, uint64_t hi)
{
	hi = min_u64(hi, bl->nblocks);
	if (lo >= hi)
		return 0;
	return count_in(bl, bl->top, 0, bl->state, lo, hi);
}

/* -------------------------------------------------------------- histogram */

/* As wide as the registers of most machines; loads need no alignment. */
#define VEC_WORDS	4u
typedef uint64_t vec __attribute__((vector_size(VEC_WORDS * 8)));
typedef uint64_t vec_of_words __attribute__((vector_size(VEC_WORDS * 8),
					     aligned(8), may_alias));

#define EIGHT		8u		/* vectors that are handled together */
#define SHORT_CLASSES	6u		/* runs of up to 63 blocks */

/*
 * Ones in a stream of vectors.  Carry-save adders add eight at a time, so that
 * only every eighth needs its bits summed.
 */
struct counter {
	vec ones, twos, fours;
	vec bytes;			/* eights, in each byte */
	unsigned nbytes;		/* times that something was added */
	uint64_t sum;			/* eights that had to leave bytes */
};

/*
 * What a pass over the bits finds.  For L = 2^i: blocks that begin a run of at
 * least L, and of more than L, a run being counted from the block to its end.
 * A run of at least L blocks has one block of the first kind more than of the
 * second.  Those of the first kind for L = 1 are the free blocks, and for
 * L = 2 the second kind for L = 1.
 */
struct tally {
	struct counter at_least[SHORT_CLASSES];
	struct counter more_than[SHORT_CLASSES];
	uint64_t nfree;			/* in all these runs */
	uint64_t nlong;			/* runs of 64 and more */
	uint64_t long_blocks;
	uint64_t largest;
	struct blist_histogram *hist;
};

/* Words, and in @n the words that follow each of them. */
struct eight {
	vec e[EIGHT];
	vec n[EIGHT];
};

static void
add_to_class(struct blist_histogram *hist, uint64_t n)
{
	unsigned i = 63 - (unsigned)__builtin_clzll(n);

	hist->runs[i]++;
	hist->blocks[i] += n;
	hist->largest = max_u64(hist->largest, n);
}

/* A run has come to its end. */
static void
close_run(struct blist_histogram *hist)
{
	if (hist->open == 0)
		return;
	hist->nruns++;
	hist->nfree += hist->open;
	add_to_class(hist, hist->open);
	hist->open = 0;
}

static uint64_t
sum_bytes(const vec *x)
{
	const unsigned char *bytes = (const unsigned char *)x;
	uint64_t sum = 0;
	unsigned i;

	for (i = 0; i < sizeof(*x); i++)
		sum += bytes[i];
	return sum;
}

static uint64_t
sum_bits(const vec *x)
{
	uint64_t words[VEC_WORDS];

	memcpy(words, x, sizeof(words));
	return blist_count_words(words, VEC_WORDS);
}

static void
empty_bytes(struct counter *count)
{
	count->sum += sum_bytes(&count->bytes);
	count->bytes = (vec){ 0 };
	count->nbytes = 0;
}

static uint64_t
counted(struct counter *count)
{
	empty_bytes(count);
	return count->sum * 8 + sum_bits(&count->fours) * 4 +
		sum_bits(&count->twos) * 2 + sum_bits(&count->ones);
}

#define always_inline	inline __attribute__((always_inline))

static always_inline void
load(vec *x, const uint64_t *w)
{
	*x = *(const vec_of_words *)(const void *)w;
}

static always_inline bool
any_bit(const vec *x)
{
	return ((*x)[0] | (*x)[1] | (*x)[2] | (*x)[3]) != 0;
}

/* *low becomes the sum bits of *low, @b and @c, *high the carries. */
static always_inline void
add_bits(vec *high, vec *low, const vec *b, const vec *c)
{
	vec u = *low ^ *b;

	*high = (*low & *b) | (u & *c);
	*low = u ^ *c;
}

static always_inline void
count_eight(struct counter *count, const vec *x)
{
	vec a, b, c, d;

	add_bits(&a, &count->ones, &x[0], &x[1]);
	add_bits(&b, &count->ones, &x[2], &x[3]);
	add_bits(&c, &count->twos, &a, &b);
	add_bits(&a, &count->ones, &x[4], &x[5]);
	add_bits(&b, &count->ones, &x[6], &x[7]);
	add_bits(&d, &count->twos, &a, &b);
	add_bits(&a, &count->fours, &c, &d);
	COUNT_IN_BYTES(a);
	count->bytes += a;
	/* A byte counts up to eight. */
	if (++count->nbytes == 31)
		empty_bytes(count);
}

/* The blocks in @x with which @by more of the same kind begin, @by on. */
#define REACH(x, next, by)	((x) & ((x) >> (by) | (next) << (64 - (by))))

/* Is there a run of @by more than those that @x is about? */
static always_inline bool
reaches(const struct eight *x, unsigned by)
{
	vec any = { 0 };
	unsigned l;

	for (l = 0; l < EIGHT; l++)
		any |= REACH(x->e[l], x->n[l], by);
	return any_bit(&any);
}

/* Go from runs of at least @n to runs of at least @n + @by, @by <= @n. */
static always_inline bool
go_on(struct eight *x, unsigned by)
{
	vec any = { 0 };
	unsigned l;

	for (l = 0; l < EIGHT; l++) {
		x->e[l] = REACH(x->e[l], x->n[l], by);
		x->n[l] &= x->n[l] >> by;
		any |= x->e[l];
	}
	return any_bit(&any);
}

/* @long_from: where in the words at @w runs of 64 and more blocks begin. */
static void
tally_long(struct tally *tally, const uint64_t *w, const vec *long_from)
{
	uint64_t from[EIGHT * VEC_WORDS], starts, n;
	const uint64_t *at;
	unsigned i;

	memcpy(from, long_from, sizeof(from));
	for (i = 0; i < ARRAY_SIZE(from); i++) {
		starts = from[i] & ~(w[i] << 1 | w[(int)i - 1] >> 63);
		if (starts == 0)
			continue;
		/* It goes on through the whole of the next word, or ends
		 * there: a second one cannot begin in this word. */
		n = 64 - blist_lowest(starts);
		for (at = &w[i + 1]; *at == UINT64_MAX; at++)
			n += 64;
		n += blist_lowest(~*at);
		tally->nlong++;
		tally->long_blocks += n;
		add_to_class(tally->hist, n);
	}
}

/* Runs of four and more in eight vectors. */
static always_inline void
tally_more(struct tally *tally, const uint64_t *w)
{
	struct eight x;
	vec more[EIGHT];
	unsigned l, i, n;

	for (l = 0; l < EIGHT; l++) {
		load(&x.e[l], &w[l * VEC_WORDS]);
		load(&x.n[l], &w[l * VEC_WORDS + 1]);
	}
	(void)go_on(&x, 1);
	(void)go_on(&x, 2);
	for (i = 2; i < SHORT_CLASSES; i++) {
		n = 1u << i;
		for (l = 0; l < EIGHT; l++)
			more[l] = REACH(x.e[l], x.n[l], 1);
		count_eight(&tally->at_least[i], x.e);
		count_eight(&tally->more_than[i], more);
		tally->largest = max_u64(tally->largest, n);
		while (tally->largest < 2 * n - 1 &&
		       reaches(&x, (unsigned)tally->largest + 1 - n))
			tally->largest++;
		if (n == 32)
			break;
		if (!go_on(&x, n))
			return;
	}
	for (l = 0; l < EIGHT; l++)
		more[l] = x.e[l] & (x.e[l] >> 32 | x.n[l] << 32);
	tally_long(tally, w, more);
}

/* Does @three, or only @two, lift the greatest length that was seen? */
static void
note_largest(struct tally *tally, const vec *two, const vec *three)
{
	unsigned l;

	for (l = 0; l < EIGHT; l++) {
		if (any_bit(&three[l]))
			tally->largest = max_u64(tally->largest, 3);
		else if (any_bit(&two[l]))
			tally->largest = max_u64(tally->largest, 2);
	}
}

/*
 * The runs of a group, of which none begins at its first block or goes on
 * behind its last: the words before and behind it are zero.  @next is what
 * will be read after this, which takes about as long to come as this to do.
 */
static always_inline void
tally_group(struct tally *tally, const uint64_t *w, const uint64_t *next)
{
	vec two[EIGHT], three[EIGHT], four, x, n;
	unsigned i, l;

	for (i = 0; i < BLIST_GROUP_WORDS; i += EIGHT * VEC_WORDS) {
		four = (vec){ 0 };
		for (l = 0; l < EIGHT * VEC_WORDS; l += BLIST_LINE_WORDS)
			__builtin_prefetch(&next[i + l]);
		for (l = 0; l < EIGHT; l++) {
			load(&x, &w[l * VEC_WORDS]);
			load(&n, &w[l * VEC_WORDS + 1]);
			two[l] = REACH(x, n, 1);
			n &= n >> 1;
			three[l] = REACH(two[l], n, 1);
			four |= REACH(two[l], n, 2);
		}
		count_eight(&tally->more_than[0], two);
		count_eight(&tally->more_than[1], three);
		if (tally->largest < 3)
			note_largest(tally, two, three);
		if (any_bit(&four))
			tally_more(tally, w);
		w += EIGHT * VEC_WORDS;
	}
}

#if defined(__x86_64__) && defined(__GNUC__)
__attribute__((target("avx2"))) static void
tally_group_avx2(struct tally *tally, const uint64_t *w, const uint64_t *next)
{
	tally_group(tally, w, next);
}
#endif

static void
tally_group_any(struct tally *tally, const uint64_t *w, const uint64_t *next)
{
#if defined(__x86_64__) && defined(__GNUC__)
	if (__builtin_cpu_supports("avx2")) {
		tally_group_avx2(tally, w, next);
		return;
	}
#endif
	tally_group(tally, w, next);
}

/* How many ones stand in a row from bit @at on, as far as bit @end. */
static unsigned
ones_from(const uint64_t *w, unsigned at, unsigned end)
{
	unsigned i = at;
	uint64_t zeros;

	while (i < end) {
		zeros = ~w[i / 64] >> (i % 64);
		if (zeros != 0)
			return (unsigned)min_u64(i + blist_lowest(zeros),
						 end) - at;
		i = (i | 63) + 1;
	}
	return end - at;
}

/* How many ones stand in a row right before bit @end, as far as bit @at. */
static unsigned
ones_before(const uint64_t *w, unsigned end, unsigned at)
{
	unsigned i = end;
	uint64_t zeros;

	while (i > at) {
		zeros = ~w[(i - 1) / 64] << (63 - (i - 1) % 64);
		if (zeros != 0) {
			i -= (unsigned)__builtin_clzll(zeros);
			break;
		}
		i = (i - 1) & ~63u;
	}
	return end - (unsigned)max_u64(i, at);
}

static void
clear_ones(uint64_t *w, unsigned at, unsigned end)
{
	unsigned to;

	for (; at < end; at = to) {
		to = (unsigned)min_u64((at | 63) + 1, end);
		w[at / 64] &= ~blist_mask(at, to);
	}
}

/* Blocks @lo to @hi - 1 of a mixed group. */
static void
tally_window(const struct blist *bl, struct tally *tally, uint64_t lo,
	     uint64_t hi)
{
	uint64_t buf[BLIST_GROUP_WORDS + 2 * BLIST_LINE_WORDS]
		__attribute__((aligned(64)));
	uint64_t *w = &buf[BLIST_LINE_WORDS], g = lo >> BLIST_GROUP_SHIFT;
	unsigned at = (unsigned)(lo % BLIST_GROUP), head, tail;
	unsigned end = (unsigned)((hi - 1) % BLIST_GROUP) + 1;

	memcpy(w, &bl->word[g * BLIST_GROUP_WORDS], BLIST_GROUP / 8);
	w[-1] = w[BLIST_GROUP_WORDS] = 0;
	clear_ones(w, 0, at);
	clear_ones(w, end, (unsigned)BLIST_GROUP);
	head = ones_from(w, at, end);
	tally->hist->open += head;
	if (head == end - at)
		return;
	close_run(tally->hist);
	tail = ones_before(w, end, at);
	clear_ones(w, at, at + head);
	clear_ones(w, end - tail, end);
	tally->nfree += blist_count_free(bl, lo, hi) - head - tail;
	tally_group_any(tally, w, &bl->word[(g + 1) * BLIST_GROUP_WORDS]);
	tally->hist->open = tail;
}

/* Blocks @lo to @hi - 1 of thing @i of level @k. */
static void
tally_thing(const struct blist *bl, struct tally *tally, unsigned k,
	    uint64_t i, int16_t state, uint64_t lo, uint64_t hi)
{
	unsigned shift;
	uint64_t c;

	if (state == BLIST_ALL_FREE) {
		tally->hist->open += hi - lo;
	} else if (state == BLIST_ALL_USED) {
		close_run(tally->hist);
	} else if (k == 1) {
		tally_window(bl, tally, lo, hi);
	} else {
		shift = blist_shift(k - 1);
		for (c = lo >> shift; c <= (hi - 1) >> shift; c++)
			tally_thing(bl, tally, k - 1, c,
				    bl->node[k][i].state[c % BLIST_FAN],
				    max_u64(lo, c << shift),
				    min_u64(hi, (c + 1) << shift));
	}
}

/* Turn what was tallied into classes. */
static void
tally_classes(struct tally *tally)
{
	uint64_t nruns[SHORT_CLASSES + 1], nblocks[SHORT_CLASSES + 1], n;
	struct blist_histogram *hist = tally->hist;
	unsigned i;

	for (i = 0, n = tally->nfree; i < SHORT_CLASSES; i++) {
		if (i > 1)
			n = counted(&tally->at_least[i]);
		nblocks[i] = n;
		n = counted(&tally->more_than[i]);
		nruns[i] = nblocks[i] - n;
		nblocks[i] += ((UINT64_C(1) << i) - 1) * nruns[i];
	}
	nruns[i] = tally->nlong;
	nblocks[i] = tally->long_blocks;
	for (i = 0; i < SHORT_CLASSES; i++) {
		hist->runs[i] += nruns[i] - nruns[i + 1];
		hist->blocks[i] += nblocks[i] - nblocks[i + 1];
	}
	hist->nruns += nruns[0];
	hist->nfree += tally->nfree;
	if (tally->nfree > 0)
		hist->largest = max_u64(hist->largest,
					max_u64(tally->largest, 1));
}

void
blist_histogram_add(const struct blist *bl, uint64_t lo, uint64_t hi,
		    struct blist_histogram *hist)
{
	struct tally tally;

	hi = min_u64(hi, bl->nblocks);
	if (lo >= hi)
		return;
	memset(&tally, 0, sizeof(tally));
	tally.hist = hist;
	tally.largest = hist->largest;
	tally_thing(bl, &tally, bl->top, 0, bl->state, lo, hi);
	tally_classes(&tally);
}

void
blist_histogram_end(struct blist_histogram *hist)
{
	close_run(hist);
}

/* ------------------------------------------------------------------ check */

/*
 * What a check learns of a thing.  It goes from the last block to the first,
 * so that it always knows how far the free blocks ahead reach.
 */
struct findings {
	uint64_t nfree;
	uint64_t longest;
	uint64_t ahead;		/* free from here on, up to BLIST_ALLOC_MAX */
};

static void
find_free_blocks(struct findings *f, uint64_t n)
{
	f->nfree += n;
	f->ahead = min_u64(f->ahead + n, BLIST_ALLOC_MAX);
	f->longest = max_u64(f->longest, f->ahead);
}

static void
find_word(struct findings *f, uint64_t w)
{
	unsigned i = 64;

	if (w == 0) {
		f->ahead = 0;
		return;
	}
	if (w == UINT64_MAX) {
		find_free_blocks(f, 64);
		return;
	}
	while (i-- > 0) {
		if ((w >> i & 1) != 0)
			find_free_blocks(f, 1);
		else
			f->ahead = 0;
	}
}

/* B6: a word of a mixed group has nothing free behind the end. */
static bool
check_end(const struct blist *bl, uint64_t i)
{
	if ((i + 1) * 64 <= bl->nblocks || bl->word[i] == 0)
		return true;
	return i * 64 < bl->nblocks &&
		(bl->word[i] & blist_bits_from(bl->nblocks)) == 0;
}

/* B2: mixed group @g. */
static int
check_group(const struct blist *bl, uint64_t g, struct findings *f)
{
	struct findings line;
	uint64_t l, i;
	unsigned n, c;

	for (n = 0; n < BLIST_FAN; n++) {
		l = g * BLIST_FAN + BLIST_FAN - 1 - n;
		line = (struct findings){ .ahead = f->ahead };
		for (c = BLIST_LINE_WORDS; c-- > 0; ) {
			i = l * BLIST_LINE_WORDS + c;
			if (!check_end(bl, i))
				return -EUCLEAN;
			find_word(&line, bl->word[i]);
		}
		if (bl->line[l] < 0 || (uint64_t)bl->line[l] != line.longest)
			return -EUCLEAN;
		f->nfree += line.nfree;
		f->longest = max_u64(f->longest, line.longest);
		f->ahead = line.ahead;
	}
	return 0;
}

/* B5: uniform group @g has a bitmap that is right already. */
static int
check_clean(const struct blist *bl, uint64_t g, int16_t state)
{
	uint64_t want = state == BLIST_ALL_FREE ? UINT64_MAX : 0;
	unsigned i;

	for (i = 0; i < BLIST_GROUP_WORDS; i++)
		if (bl->word[g * BLIST_GROUP_WORDS + i] != want)
			return -EUCLEAN;
	return 0;
}

static int check_thing(const struct blist *bl, unsigned k, uint64_t i,
		       int16_t state, uint64_t nfree, struct findings *f);

/* The children of mixed thing @i of level @k. */
static int
check_children(const struct blist *bl, unsigned k, uint64_t i,
	       struct findings *f)
{
	const struct blist_node *node = &bl->node[k][i];
	unsigned c = BLIST_FAN;
	int rc = 0;

	while (c-- > 0 && rc == 0) {
		rc = check_thing(bl, k - 1, i * BLIST_FAN + c, node->state[c],
				 node->nfree[c], f);
		if (rc == 0 && k == 2 && !blist_is_mixed(node->state[c]) &&
		    (node->clean & blist_bit(c)) != 0)
			rc = check_clean(bl, i * BLIST_FAN + c,
					 node->state[c]);
	}
	return rc;
}

/* B1, B3, B4, B6: any thing, which has @state and @nfree. */
static int
check_thing(const struct blist *bl, unsigned k, uint64_t i, int16_t state,
	    uint64_t nfree, struct findings *f)
{
	uint64_t size = UINT64_C(1) << blist_shift(k);
	struct findings in = { .ahead = f->ahead };
	int rc = 0;

	if (state == BLIST_ALL_FREE)
		find_free_blocks(&in, size);
	else if (state == BLIST_ALL_USED)
		in.ahead = 0;
	else if (state < BLIST_ALL_USED || state > BLIST_ALL_FREE ||
		 i << blist_shift(k) >= bl->nblocks)
		rc = -EUCLEAN;
	else if (k == 1)
		rc = check_group(bl, i, &in);
	else
		rc = check_children(bl, k, i, &in);
	if (rc < 0)
		return rc;
	if (in.nfree != nfree)
		return -EUCLEAN;
	if (state == BLIST_ALL_FREE && (i + 1) * size > bl->nblocks)
		return -EUCLEAN;
	if (blist_is_mixed(state) &&
	    (in.nfree == size || in.longest != (uint64_t)state))
		return -EUCLEAN;
	f->nfree += in.nfree;
	f->longest = max_u64(f->longest, in.longest);
	f->ahead = in.ahead;
	return 0;
}

/* Is group @g mixed?  From the states alone. */
static bool
check_mixed(const struct blist *bl, uint64_t g)
{
	int16_t state = bl->state;
	unsigned k = bl->top;
	uint64_t i;

	if (g > (bl->nblocks - 1) >> BLIST_GROUP_SHIFT)
		return false;
	while (blist_is_mixed(state) && --k > 0) {
		i = g >> (BLIST_FAN_SHIFT * (k - 1));
		state = bl->node[k + 1][i / BLIST_FAN].state[i % BLIST_FAN];
	}
	return k == 0;
}

/* B7, B8: what is remembered of places. */
static int
check_places(const struct blist *bl)
{
	unsigned i;

	if (bl->cursor >= bl->nblocks)
		return -EUCLEAN;
	for (i = 0; i < ARRAY_SIZE(bl->open); i++)
		if (bl->open[i] != BLIST_NONE &&
		    !check_mixed(bl, bl->open[i]))
			return -EUCLEAN;
	if (bl->freed_end != BLIST_NONE &&
	    (bl->freed_end > bl->nblocks || bl->freed_first >= bl->freed_end ||
	     blist_count_free(bl, bl->freed_first, bl->freed_end) !=
	     bl->freed_end - bl->freed_first ||
	     (bl->freed_first > 0 &&
	      bl->freed_end - bl->freed_first < BLIST_ALLOC_MAX &&
	      blist_is_free(bl, bl->freed_first - 1))))
		return -EUCLEAN;
	if (bl->run_end > bl->cursor &&
	    (bl->run_end > bl->nblocks ||
	     blist_count_free(bl, bl->cursor, bl->run_end) !=
	     bl->run_end - bl->cursor ||
	     (bl->cursor > 0 && blist_is_free(bl, bl->cursor - 1))))
		return -EUCLEAN;
	return 0;
}

int
blist_check(const struct blist *bl)
{
	struct findings f = { 0 };
	int rc = check_thing(bl, bl->top, 0, bl->state, bl->nfree, &f);

	return rc < 0 ? rc : check_places(bl);
}
