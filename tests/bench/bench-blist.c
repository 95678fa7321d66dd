/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bench-blist.c - block lists beside a plain bitmap with next-fit
 *
 *	bench-blist [-q] [ROW...]
 *
 * Each row does the same operations to both, with numbers from the same seed.
 * -q takes small devices and few repetitions.  The peer is a good one of its
 * kind: 64-bit words, whole words skipped at once, the same checks of a free.
 * It has no counts and no tree, so what looks at much of it is slow: where it
 * would take minutes the row says so and leaves it out.
 *
 * Figures are medians of several repetitions.  A time includes the page faults
 * of memory that is touched the first time.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench.h"
#include "blist-private.h"
#include "compiler.h"

#define GIB_BLOCKS	(UINT64_C(1) << 18)	/* of 4 KiB */
#define TIB_BLOCKS	(UINT64_C(1) << 28)
#define REPEATS_MAX	31u
#define BATCH		4096u

struct bench {
	struct meter meter;
	bool quick;
	uint64_t seed;
};

static void
must(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "bench-blist: %s\n", what);
	exit(1);
}

/* --------------------------------------------------------------- the peer */

struct peer {
	uint64_t *word;		/* 1 for a free block */
	uint64_t nblocks, cursor;
};

static void
peer_open(struct peer *p, uint64_t nblocks)
{
	p->nblocks = nblocks;
	p->cursor = 0;
	p->word = mmap(NULL, nblocks / 8 + 64, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	must(p->word != MAP_FAILED, "no memory for the plain bitmap");
	(void)madvise(p->word, nblocks / 8 + 64, MADV_NOHUGEPAGE);
}

static void
peer_close(struct peer *p)
{
	(void)munmap(p->word, p->nblocks / 8 + 64);
}

/* The first block from @from on that is free, or used; at most @end. */
static uint64_t
peer_next(const struct peer *p, uint64_t from, uint64_t end, bool free)
{
	uint64_t flip = free ? 0 : UINT64_MAX, at = from, bits;

	while (at < end) {
		bits = (p->word[at / 64] ^ flip) >> (at & 63);
		if (bits != 0)
			return min_u64(at + blist_lowest(bits), end);
		at = (at | 63) + 1;
	}
	return end;
}

/* @n blocks in [from, end). */
static uint64_t
peer_find(const struct peer *p, uint64_t from, uint64_t end, unsigned n)
{
	uint64_t at = from, used;

	while ((at = peer_next(p, at, end, true)) < end) {
		used = peer_next(p, at, min_u64(at + n, end), false);
		if (used - at >= n)
			return at;
		at = used;
	}
	return BLIST_NONE;
}

static void
peer_set(struct peer *p, uint64_t first, uint64_t n, bool free)
{
	uint64_t at, to, mask;

	for (at = first; at < first + n; at = to) {
		to = min_u64((at | 63) + 1, first + n);
		mask = blist_mask(at, to);
		if (free)
			p->word[at / 64] |= mask;
		else
			p->word[at / 64] &= ~mask;
	}
}

static uint64_t
peer_alloc(struct peer *p, unsigned n)
{
	uint64_t at = peer_find(p, p->cursor, p->nblocks, n);

	if (at == BLIST_NONE)
		at = peer_find(p, 0, p->nblocks, n);
	if (at == BLIST_NONE)
		return at;
	peer_set(p, at, n, false);
	p->cursor = at + n;
	return at;
}

/* What the swap pagers do: ask for less and less. */
static uint64_t
peer_alloc_halving(struct peer *p, unsigned max, unsigned *ret_n)
{
	uint64_t at;

	for (; max > 0; max /= 2) {
		at = peer_alloc(p, max);
		if (at != BLIST_NONE) {
			*ret_n = max;
			return at;
		}
	}
	return BLIST_NONE;
}

static int
peer_free(struct peer *p, uint64_t first, uint64_t n)
{
	if (first + n > p->nblocks ||
	    peer_next(p, first, first + n, true) < first + n)
		return -EEXIST;
	peer_set(p, first, n, true);
	return 0;
}

/* ---------------------------------------------------------------- printing */

static void
print_unit(double ns)
{
	if (ns < 1e3)
		printf("%9.1f ns", ns);
	else if (ns < 1e6)
		printf("%9.2f us", ns / 1e3);
	else
		printf("%9.2f ms", ns / 1e6);
}

static void
print_row(const char *name, struct sample ours, const struct sample *peer)
{
	printf("%-44s", name);
	print_unit(ours.ns);
	if (ours.instructions >= 0)
		printf(" %9.1f instr", ours.instructions);
	if (peer != NULL) {
		printf("   plain");
		print_unit(peer->ns);
		printf("   ratio %.2f", ours.ns / peer->ns);
	}
	printf("\n");
	fflush(stdout);
}

static void
print_note(const char *note)
{
	printf("    %s\n", note);
}

/* ------------------------------------------------------------------ set-up */

static struct blist *
create(uint64_t nblocks)
{
	struct blist *bl;

	must(blist_create(nblocks, &bl) == 0, "no memory for the block list");
	return bl;
}

/* Make one block in @one_in free, at random, singly. */
static void
fragment(struct blist *bl, struct peer *p, uint64_t *random, unsigned one_in)
{
	uint64_t want = blist_nblocks(bl) / one_in, block;

	while (blist_nfree(bl) < want) {
		block = bench_below(random, blist_nblocks(bl));
		if (blist_free(bl, block, 1) == 0 && p != NULL)
			(void)peer_free(p, block, 1);
	}
}

/* @n different used blocks; they are marked with the help of @seen. */
static void
pick_used(const struct blist *bl, uint64_t *random, uint64_t *seen,
	  uint64_t *block, unsigned n)
{
	unsigned i = 0;

	while (i < n) {
		block[i] = bench_below(random, blist_nblocks(bl));
		if (blist_is_free(bl, block[i]) ||
		    (seen[block[i] / 64] & blist_bit(block[i])) != 0)
			continue;
		seen[block[i] / 64] |= blist_bit(block[i]);
		i++;
	}
	for (i = 0; i < n; i++)
		seen[block[i] / 64] = 0;
}

/* The same in the peer. */
static void
pick_used_peer(const struct peer *p, uint64_t *random, uint64_t *seen,
	       uint64_t *block, unsigned n)
{
	unsigned i = 0;

	while (i < n) {
		block[i] = bench_below(random, p->nblocks);
		if (((p->word[block[i] / 64] | seen[block[i] / 64]) &
		     blist_bit(block[i])) != 0)
			continue;
		seen[block[i] / 64] |= blist_bit(block[i]);
		i++;
	}
	for (i = 0; i < n; i++)
		seen[block[i] / 64] = 0;
}

static uint64_t *
bitmap(uint64_t nbits)
{
	uint64_t *bits = calloc(nbits / 64 + 1, sizeof(*bits));

	must(bits != NULL, "no memory");
	return bits;
}

/* -------------------------------------------------------------------- rows */

static void
row_sequential(struct bench *b)
{
	uint64_t n = b->quick ? 16 * GIB_BLOCKS : TIB_BLOCKS, i;
	unsigned repeats = b->quick ? 3 : 5, k, got = 0;
	struct sample alloc[2][REPEATS_MAX], freed[2][REPEATS_MAX], peer;
	struct peer p;

	for (k = 0; k < repeats; k++) {
		struct blist *bl = create(n);

		peer_open(&p, n);
		(void)blist_free(bl, 0, n);
		peer_set(&p, 0, n, true);
		meter_start(&b->meter);
		for (i = 0; i < n; i += 32)
			if (blist_alloc(bl, 1, 32, &got) != i)
				break;
		meter_stop(&b->meter, n / 32, &alloc[0][k]);
		must(i == n && blist_nfree(bl) == 0, "not in order");
		meter_start(&b->meter);
		for (i = 0; i < n; i += 32)
			if (blist_free(bl, i, 32) != 0)
				break;
		meter_stop(&b->meter, n / 32, &freed[0][k]);
		must(i == n && blist_nfree(bl) == n, "not freed");
		meter_start(&b->meter);
		for (i = 0; i < n; i += 32)
			if (peer_alloc(&p, 32) != i)
				break;
		meter_stop(&b->meter, n / 32, &alloc[1][k]);
		must(i == n, "peer: not in order");
		meter_start(&b->meter);
		for (i = 0; i < n; i += 32)
			if (peer_free(&p, i, 32) != 0)
				break;
		meter_stop(&b->meter, n / 32, &freed[1][k]);
		must(i == n, "peer: not freed");
		peer_close(&p);
		blist_destroy(bl);
	}
	peer = bench_median(alloc[1], repeats);
	print_row("allocate 32 in order", bench_median(alloc[0], repeats),
		  &peer);
	peer = bench_median(freed[1], repeats);
	print_row("free 32 in order", bench_median(freed[0], repeats), &peer);
}

/*
 * So many are picked before they are freed that the caches have forgotten most
 * of what picking has looked at.
 */
#define SINGLES	65536u

static void
row_singles(struct bench *b)
{
	uint64_t n = b->quick ? 16 * GIB_BLOCKS : TIB_BLOCKS, random = b->seed;
	struct sample alloc[2][REPEATS_MAX], freed[2][REPEATS_MAX], peer;
	uint64_t *seen = bitmap(n), *block = bitmap(SINGLES * 64);
	unsigned repeats = b->quick ? 5 : 15, k, i, got, bad = 0;
	struct blist *bl = create(n);
	struct peer p;

	peer_open(&p, n);
	fragment(bl, &p, &random, 10);
	printf("%-44s%9.3f\n", "bits a block where touched",
	       8.0 * (double)blist_memory(bl) / (double)n);
	for (k = 0; k < repeats; k++) {
		pick_used(bl, &random, seen, block, SINGLES);
		meter_start(&b->meter);
		for (i = 0; i < SINGLES; i++)
			bad += blist_free(bl, block[i], 1) != 0;
		meter_stop(&b->meter, SINGLES, &freed[0][k]);
		meter_start(&b->meter);
		for (i = 0; i < SINGLES; i++)
			bad += blist_alloc(bl, 1, 1, &got) == BLIST_NONE;
		meter_stop(&b->meter, SINGLES, &alloc[0][k]);
		pick_used_peer(&p, &random, seen, block, SINGLES);
		meter_start(&b->meter);
		for (i = 0; i < SINGLES; i++)
			bad += peer_free(&p, block[i], 1) != 0;
		meter_stop(&b->meter, SINGLES, &freed[1][k]);
		meter_start(&b->meter);
		for (i = 0; i < SINGLES; i++)
			bad += peer_alloc(&p, 1) == BLIST_NONE;
		meter_stop(&b->meter, SINGLES, &alloc[1][k]);
	}
	must(bad == 0, "singles: an operation failed");
	peer = bench_median(alloc[1], repeats);
	print_row("90 % full: allocate one", bench_median(alloc[0], repeats),
		  &peer);
	peer = bench_median(freed[1], repeats);
	print_row("90 % full: free one at random",
		  bench_median(freed[0], repeats), &peer);
	peer_close(&p);
	blist_destroy(bl);
	free(seen);
	free(block);
}

/* Requests for 1..32 where single frees have left holes. */
static void
fragmented(struct bench *b, uint64_t n, bool with_peer, const char *name)
{
	struct sample ours[REPEATS_MAX], theirs[REPEATS_MAX], peer;
	uint64_t random = b->seed, *seen = bitmap(n), block[BATCH];
	uint64_t sum[2] = { 0, 0 }, batch_sum;
	struct blist *bl = create(n);
	unsigned k, i, got = 0, nreq = 256;
	struct peer p;

	peer_open(&p, n);
	fragment(bl, &p, &random, 10);
	for (k = 0; k < REPEATS_MAX; k++) {
		batch_sum = 0;
		meter_start(&b->meter);
		for (i = 0; i < nreq; i++)
			if (blist_alloc(bl, 1, 1 + i % 32, &got) != BLIST_NONE)
				batch_sum += got;
		meter_stop(&b->meter, nreq, &ours[k]);
		pick_used(bl, &random, seen, block, (unsigned)batch_sum);
		for (i = 0; i < batch_sum; i++)
			must(blist_free(bl, block[i], 1) == 0, "not freed");
		sum[0] += batch_sum;
		if (!with_peer)
			continue;
		batch_sum = 0;
		meter_start(&b->meter);
		for (i = 0; i < nreq; i++)
			if (peer_alloc_halving(&p, 1 + i % 32, &got) !=
			    BLIST_NONE)
				batch_sum += got;
		meter_stop(&b->meter, nreq, &theirs[k]);
		pick_used_peer(&p, &random, seen, block, (unsigned)batch_sum);
		for (i = 0; i < batch_sum; i++)
			must(peer_free(&p, block[i], 1) == 0, "not freed");
		sum[1] += batch_sum;
	}
	if (with_peer)
		peer = bench_median(theirs, REPEATS_MAX);
	print_row(name, bench_median(ours, REPEATS_MAX),
		  with_peer ? &peer : NULL);
	printf("    average run obtained %.2f", (double)sum[0] /
	       (nreq * REPEATS_MAX));
	if (with_peer)
		printf("; halving in the plain bitmap %.2f",
		       (double)sum[1] / (nreq * REPEATS_MAX));
	printf("\n");
	if (!with_peer)
		print_note("plain bitmap left out: each vain request reads "
			   "all of it");
	peer_close(&p);
	blist_destroy(bl);
	free(seen);
}

static void
row_fragmented(struct bench *b)
{
	fragmented(b, 4 * GIB_BLOCKS, true,
		   "fragmented, 1..32 as long as can be, 4 GiB");
}

static void
row_fragmented_tib(struct bench *b)
{
	fragmented(b, b->quick ? 16 * GIB_BLOCKS : TIB_BLOCKS, false,
		   "fragmented, 1..32 as long as can be, 1 TiB");
}

static void
row_unmeetable(struct bench *b)
{
	uint64_t n = b->quick ? 16 * GIB_BLOCKS : TIB_BLOCKS, i;
	struct blist *bl = create(n);
	struct sample first, later, peer;
	unsigned got;
	struct peer p;

	peer_open(&p, n);
	for (i = 0; i < n; i += 2)
		must(blist_free(bl, i, 1) == 0, "not freed");
	memset(p.word, 0x55, n / 8);
	meter_start(&b->meter);
	must(blist_alloc(bl, 2, 32, &got) == BLIST_NONE, "met");
	meter_stop(&b->meter, 1, &first);
	meter_start(&b->meter);
	for (i = 0; i < BATCH; i++)
		must(blist_alloc(bl, 2, 32, &got) == BLIST_NONE, "met");
	meter_stop(&b->meter, BATCH, &later);
	meter_start(&b->meter);
	must(peer_alloc(&p, 2) == BLIST_NONE, "met");
	meter_stop(&b->meter, 1, &peer);
	print_row("unmeetable on a checkerboard, first time", first, &peer);
	print_row("the same again", later, NULL);
	peer_close(&p);
	blist_destroy(bl);
}

/* Its own page, and those of its levels that the kernel has in RAM. */
static size_t
resident_bytes(const struct blist *bl)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), n = 1, len, i, at;
	static unsigned char vec[1 << 16];
	unsigned k;

	for (k = 0; k <= bl->top; k++) {
		char *base = k == 0 ? (void *)bl->word :
			k == 1 ? (void *)bl->line : (void *)bl->node[k];

		for (at = 0; at < bl->map_bytes[k]; at += len) {
			len = bl->map_bytes[k] - at;
			len = len < sizeof(vec) * page ? len :
				sizeof(vec) * page;
			must(mincore(base + at, len, vec) == 0, "mincore");
			for (i = 0; i < len / page; i++)
				n += vec[i] & 1;
		}
	}
	return n * page;
}

static void
row_create(struct bench *b)
{
	uint64_t n = 16 * TIB_BLOCKS;
	struct sample ours[REPEATS_MAX];
	size_t resident = 0;
	struct blist *bl;
	unsigned k;

	for (k = 0; k < REPEATS_MAX; k++) {
		meter_start(&b->meter);
		bl = create(n);
		must(blist_free(bl, 1, n - 1) == 0, "not freed");
		meter_stop(&b->meter, 1, &ours[k]);
		resident = resident_bytes(bl);
		blist_destroy(bl);
	}
	print_row("create 16 TiB, all free but a label",
		  bench_median(ours, REPEATS_MAX), NULL);
	printf("    in memory %zu KiB\n", resident >> 10);
}

static void
row_fill(struct bench *b)
{
	uint64_t n = 4 * GIB_BLOCKS, nfree = 0;
	struct sample fill[2][REPEATS_MAX], freed[REPEATS_MAX];
	struct sample theirs[REPEATS_MAX], peer;
	struct blist *bl = create(3 * n);
	struct peer p;
	unsigned k;

	peer_open(&p, 3 * n);
	(void)blist_free(bl, 0, 3 * n);
	for (k = 0; k < REPEATS_MAX; k++) {
		meter_start(&b->meter);
		(void)blist_fill(bl, n, n, &nfree);
		meter_stop(&b->meter, 1, &fill[0][k]);
		must(nfree == n, "not free");
		(void)blist_free(bl, n, n);
		meter_start(&b->meter);
		(void)blist_fill(bl, n / 2 + 77, n, &nfree);
		meter_stop(&b->meter, 1, &fill[1][k]);
		must(nfree == n, "not free");
		meter_start(&b->meter);
		must(blist_free(bl, n / 2 + 77, n) == 0, "not freed");
		meter_stop(&b->meter, 1, &freed[k]);
		peer_set(&p, 0, 3 * n, true);
		meter_start(&b->meter);
		peer_set(&p, n / 2 + 77, n, false);
		meter_stop(&b->meter, 1, &theirs[k]);
	}
	peer = bench_median(theirs, REPEATS_MAX);
	print_row("fill 2^20 free blocks",
		  bench_median(fill[0], REPEATS_MAX), &peer);
	print_row("the same at an odd place",
		  bench_median(fill[1], REPEATS_MAX), &peer);
	print_row("free 2^20 blocks at an odd place",
		  bench_median(freed, REPEATS_MAX), &peer);
	peer_close(&p);
	blist_destroy(bl);
}

static void
row_histogram(struct bench *b)
{
	uint64_t n = b->quick ? 16 * GIB_BLOCKS : TIB_BLOCKS;
	uint64_t random = b->seed, first, len;
	struct sample ours[REPEATS_MAX], peer;
	struct blist *bl = create(n);
	struct blist_histogram hist;
	unsigned k;

	fragment(bl, NULL, &random, 10);
	for (k = 0; k < REPEATS_MAX; k++) {
		memset(&hist, 0, sizeof(hist));
		meter_start(&b->meter);
		blist_histogram_add(bl, 0, n, &hist);
		blist_histogram_end(&hist);
		meter_stop(&b->meter, 1, &ours[k]);
		must(hist.nfree == blist_nfree(bl), "miscounted");
	}
	meter_start(&b->meter);
	for (first = 0, len = 0;
	     blist_next_free(bl, first + len, &first, &len); )
		hist.nruns--;
	meter_stop(&b->meter, 1, &peer);
	must(hist.nruns == 0, "runs miscounted");
	print_row("histogram, 90 % full at random",
		  bench_median(ours, REPEATS_MAX), &peer);
	print_note("here \"plain\" is a walk from run to run");
	blist_destroy(bl);
}

/* The k-th operation of a long random run.  Returns its nanoseconds. */
static uint64_t
random_operation(struct blist *bl, uint64_t *random, uint64_t *block,
		 unsigned *len, unsigned *nheld)
{
	uint64_t r = bench_random(random), start, first;
	unsigned i, got = 0;

	if (*nheld > 0 && ((r & 1) != 0 || *nheld == BATCH * 64)) {
		i = (unsigned)bench_below(random, *nheld);
		start = bench_now_ns();
		(void)blist_free(bl, block[i], len[i]);
		start = bench_now_ns() - start;
		*nheld -= 1;
		block[i] = block[*nheld];
		len[i] = len[*nheld];
		return start;
	}
	if ((r & 0xff00) == 0) {
		/* Somewhere else, so that much of the device is visited. */
		first = bench_below(random, blist_nblocks(bl) - 4096);
		start = bench_now_ns();
		(void)blist_fill(bl, first, 1 + (r >> 16) % 4096, NULL);
		return bench_now_ns() - start;
	}
	start = bench_now_ns();
	first = blist_alloc(bl, 1, 1 + (unsigned)(r >> 16) % 1024, &got);
	start = bench_now_ns() - start;
	if (first != BLIST_NONE) {
		block[*nheld] = first;
		len[*nheld] = got;
		*nheld += 1;
	}
	return start;
}

/*
 * The machine interrupts anybody: the same operations are done several times,
 * and the least time of each counts.
 */
static void
row_worst(struct bench *b)
{
	unsigned nops = b->quick ? 200000 : 2000000, times = 5, i, t, nheld;
	uint64_t n = 16 * TIB_BLOCKS, random, ns, worst = 0, sum = 0;
	uint64_t *block = calloc(BATCH * 64, sizeof(*block));
	unsigned *len = calloc(BATCH * 64, sizeof(*len));
	uint32_t *least = malloc(nops * sizeof(*least));
	struct blist *bl;

	must(block != NULL && len != NULL && least != NULL, "no memory");
	memset(least, 0xff, nops * sizeof(*least));
	for (t = 0; t < times; t++) {
		bl = create(n);
		(void)blist_free(bl, 1, n - 1);
		random = b->seed;
		nheld = 0;
		for (i = 0; i < nops; i++) {
			/* The device fills up half way. */
			if (i == nops / 2)
				(void)blist_fill(bl, n / 8, n / 8 * 7, NULL);
			ns = random_operation(bl, &random, block, len, &nheld);
			if (ns < least[i])
				least[i] = (uint32_t)ns;
		}
		blist_destroy(bl);
	}
	for (i = 0; i < nops; i++) {
		sum += least[i];
		worst = max_u64(worst, least[i]);
	}
	print_row("worst single operation, 16 TiB, random",
		  (struct sample){ (double)worst, -1 }, NULL);
	print_row("average of them",
		  (struct sample){ (double)sum / nops, -1 }, NULL);
	free(block);
	free(len);
	free(least);
}

static const struct row {
	const char *name;
	void (*run)(struct bench *b);
} rows[] = {
	{ "sequential", row_sequential },
	{ "singles", row_singles },
	{ "fragmented", row_fragmented },
	{ "fragmented-tib", row_fragmented_tib },
	{ "unmeetable", row_unmeetable },
	{ "create", row_create },
	{ "fill", row_fill },
	{ "histogram", row_histogram },
	{ "worst", row_worst },
};

static bool
is_row(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(rows); i++)
		if (strcmp(name, rows[i].name) == 0)
			return true;
	return false;
}

static bool
is_chosen(const char *name, char **chosen, int n)
{
	int i;

	for (i = 0; i < n; i++)
		if (strcmp(name, chosen[i]) == 0)
			return true;
	return n == 0;
}

static int
usage(const char *program)
{
	size_t i;

	fprintf(stderr, "usage: %s [-q] [ROW...]\nrows:", program);
	for (i = 0; i < ARRAY_SIZE(rows); i++)
		fprintf(stderr, " %s", rows[i].name);
	fprintf(stderr, "\n");
	return 2;
}

int
main(int argc, char **argv)
{
	struct bench b = { .seed = UINT64_C(0x5eed) };
	int option;
	size_t i;

	while ((option = getopt(argc, argv, "q")) != -1) {
		if (option != 'q')
			return usage(argv[0]);
		b.quick = true;
	}
	for (int k = optind; k < argc; k++)
		if (!is_row(argv[k]))
			return usage(argv[0]);
	meter_open(&b.meter);
	printf("%s; %s\n", b.quick ? "quick: small devices" :
	       "1 TiB where nothing else is said, blocks of 4 KiB",
	       meter_counts(&b.meter) ? "instructions in user space" :
	       "instructions not counted: perf_event_open is not allowed");
	for (i = 0; i < ARRAY_SIZE(rows); i++)
		if (is_chosen(rows[i].name, argv + optind, argc - optind))
			rows[i].run(&b);
	meter_close(&b.meter);
	return 0;
}
