/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bench-swapmap.c - what swap maps cost, beside JudyL and a flat array
 *
 *	bench-swapmap [ROUNDS]
 *
 * Two loads: 2^20 pages in a row (dense), and 2^20 pages at random among 2^36
 * (sparse).  Each round takes every subject through both, so that a slow moment
 * of the machine hits all alike; the figures are medians over the rounds, and
 * the fastest round of each, which is what a busy machine leaves of the truth.
 * Maps are in anonymous memory.  "Remove" clears 32 pages a call and reports
 * their blocks, which lie in runs of 64.
 *
 * The goals are those that the project set itself, for the kind that is to
 * reach them; "auto" is to be near the best of the others.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#ifdef HAVE_JUDY
#include <Judy.h>
#endif

#include "bench.h"
#include "compiler.h"
#include "swapmap.h"

#define NPAGES		(UINT64_C(1) << 20)
#define SPARSE_SPACE	(UINT64_C(1) << 36)
#define RANGE		32u
#define ROUNDS_MAX	99u

enum row {
	DENSE_INSERT, DENSE_IN_ORDER, DENSE_AT_RANDOM, DENSE_ITERATE,
	DENSE_REMOVE, DENSE_BYTES,
	SPARSE_INSERT, SPARSE_HIT, SPARSE_MISS, SPARSE_ITERATE,
	SPARSE_REMOVE, SPARSE_BYTES,
	NROWS
};

static const struct {
	const char *name;
	double goal;		/* 0: none */
} rows[NROWS] = {
	[DENSE_INSERT] = { "dense: insert in order, ns", 10 },
	[DENSE_IN_ORDER] = { "dense: look up in order, ns", 3 },
	[DENSE_AT_RANDOM] = { "dense: look up at random, ns", 15 },
	[DENSE_ITERATE] = { "dense: iterate, ns a page", 1 },
	[DENSE_REMOVE] = { "dense: remove 32 pages, ns a call", 45 },
	[DENSE_BYTES] = { "dense: bytes a page", 8.5 },
	[SPARSE_INSERT] = { "sparse: insert, ns", 180 },
	[SPARSE_HIT] = { "sparse: look up, hit, ns", 100 },
	[SPARSE_MISS] = { "sparse: look up, miss, ns", 60 },
	[SPARSE_ITERATE] = { "sparse: iterate, ns a page", 60 },
	[SPARSE_REMOVE] = { "sparse: remove one page, ns", 0 },
	[SPARSE_BYTES] = { "sparse: bytes a page", 40 },
};

/* What is measured: all of them keep a block for a page. */
struct subject {
	const char *name;
	void	*(*create)(enum swapmap_kind kind, uint64_t npages);
	void	 (*destroy)(void *map);
	void	 (*set)(void *map, uint64_t page, uint64_t block);
	uint64_t (*get)(const void *map, uint64_t page);
	uint64_t (*iterate)(const void *map);	/* sum of the blocks */
	uint64_t (*remove)(void *map, uint64_t page, uint64_t n);
	double	 (*bytes)(const void *map);
	enum swapmap_kind kind;
	bool	 dense_only;
};

/* ----------------------------------------------------------- swap maps */

static void *
map_create(enum swapmap_kind kind, uint64_t npages)
{
	struct swapmap_spec spec = {
		.kind = kind, .npages = npages, .dirfd = -1,
	};
	struct swapmap *map = NULL;
	int r = swapmap_create(&spec, &map);

	if (r < 0) {
		fprintf(stderr, "bench-swapmap: %s\n", strerror(-r));
		exit(1);
	}
	return map;
}

static void
map_destroy(void *map)
{
	swapmap_destroy(map);
}

static inline void
map_set(void *map, uint64_t page, uint64_t block)
{
	if (swapmap_set(map, page, block, NULL) < 0)
		abort();
}

static inline uint64_t
map_get(const void *map, uint64_t page)
{
	return swapmap_get(map, page);
}

static int
map_visit(void *arg, uint64_t page, uint64_t block)
{
	(void)page;
	*(uint64_t *)arg += block;
	return 0;
}

static uint64_t
map_iterate(const void *map)
{
	uint64_t sum = 0;

	(void)swapmap_each(map, 0, UINT64_MAX, map_visit, &sum);
	return sum;
}

static void
map_freed(void *arg, uint64_t block, uint64_t n)
{
	*(uint64_t *)arg += block + n;
}

static inline uint64_t
map_remove(void *map, uint64_t page, uint64_t n)
{
	uint64_t sum = 0;

	(void)swapmap_clear(map, page, n, map_freed, &sum);
	return sum;
}

static double
map_bytes(const void *map)
{
	return (double)swapmap_memory(map);
}

#define MAP(kind_)							\
	.create = map_create, .destroy = map_destroy, .set = map_set,	\
	.get = map_get, .iterate = map_iterate, .remove = map_remove,	\
	.bytes = map_bytes, .kind = kind_

static const struct subject array = { "array", MAP(SWAPMAP_ARRAY),
				      .dense_only = true };
static const struct subject hash = { "hash", MAP(SWAPMAP_HASH) };
static const struct subject trie = { "trie", MAP(SWAPMAP_TRIE) };
static const struct subject automatic = { "auto", MAP(SWAPMAP_AUTO) };

/* --------------------------------------------------------- a flat array */

static void *
flat_create(enum swapmap_kind kind, uint64_t npages)
{
	void *map = mmap(NULL, npages * sizeof(uint64_t),
			 PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	(void)kind;
	if (map == MAP_FAILED)
		abort();
	return map;
}

static void
flat_destroy(void *map)
{
	munmap(map, NPAGES * sizeof(uint64_t));
}

/* Not to be merged with its neighbours: the others are calls as well. */
static __attribute__((noinline)) void
flat_set(void *map, uint64_t page, uint64_t block)
{
	((uint64_t *)map)[page] = block + 1;
}

static __attribute__((noinline)) uint64_t
flat_get(const void *map, uint64_t page)
{
	return ((const uint64_t *)map)[page] - 1;
}

static uint64_t
flat_iterate(const void *map)
{
	const uint64_t *slot = map;
	uint64_t sum = 0;

	for (uint64_t page = 0; page < NPAGES; page++) {
		if (slot[page] != 0)
			(void)map_visit(&sum, page, slot[page] - 1);
	}
	return sum;
}

static __attribute__((noinline)) uint64_t
flat_remove(void *map, uint64_t page, uint64_t n)
{
	uint64_t *slot = map, sum = 0, first = 0, run = 0;

	for (uint64_t i = page; i < page + n; i++) {
		uint64_t word = slot[i];

		if (word == 0)
			continue;
		slot[i] = 0;
		if (run > 0 && word == first + run) {
			run++;
			continue;
		}
		if (run > 0)
			map_freed(&sum, first - 1, run);
		first = word;
		run = 1;
	}
	if (run > 0)
		map_freed(&sum, first - 1, run);
	return sum;
}

static double
flat_bytes(const void *map)
{
	(void)map;
	return (double)(NPAGES * sizeof(uint64_t));
}

static const struct subject flat = {
	.name = "flat", .create = flat_create, .destroy = flat_destroy,
	.set = flat_set, .get = flat_get, .iterate = flat_iterate,
	.remove = flat_remove, .bytes = flat_bytes, .dense_only = true,
};

/* --------------------------------------------------------------- JudyL */

#ifdef HAVE_JUDY
static void *
judy_create(enum swapmap_kind kind, uint64_t npages)
{
	(void)kind;
	(void)npages;
	return calloc(1, sizeof(Pvoid_t));
}

static void
judy_destroy(void *map)
{
	(void)JudyLFreeArray(map, PJE0);
	free(map);
}

static inline void
judy_set(void *map, uint64_t page, uint64_t block)
{
	PPvoid_t value = JudyLIns(map, page, PJE0);

	if (value == PPJERR)
		abort();
	*(Word_t *)value = block + 1;
}

static inline uint64_t
judy_get(const void *map, uint64_t page)
{
	PPvoid_t value = JudyLGet(*(const Pvoid_t *)map, page, PJE0);

	return value == NULL ? SWAPMAP_NONE : *(Word_t *)value - 1;
}

static uint64_t
judy_iterate(const void *map)
{
	Pvoid_t judy = *(const Pvoid_t *)map;
	uint64_t sum = 0;
	Word_t page = 0;
	PPvoid_t value = JudyLFirst(judy, &page, PJE0);

	while (value != NULL) {
		(void)map_visit(&sum, page, *(Word_t *)value - 1);
		value = JudyLNext(judy, &page, PJE0);
	}
	return sum;
}

static uint64_t
judy_remove(void *map, uint64_t page, uint64_t n)
{
	Word_t at = page;
	PPvoid_t value = JudyLFirst(*(Pvoid_t *)map, &at, PJE0);
	uint64_t sum = 0, first = 0, run = 0;

	while (value != NULL && at < page + n) {
		uint64_t word = *(Word_t *)value;

		(void)JudyLDel(map, at, PJE0);
		value = JudyLNext(*(Pvoid_t *)map, &at, PJE0);
		if (run > 0 && word == first + run) {
			run++;
			continue;
		}
		if (run > 0)
			map_freed(&sum, first - 1, run);
		first = word;
		run = 1;
	}
	if (run > 0)
		map_freed(&sum, first - 1, run);
	return sum;
}

static double
judy_bytes(const void *map)
{
	return (double)JudyLMemUsed(*(const Pvoid_t *)map);
}

static const struct subject judy = {
	.name = "JudyL", .create = judy_create, .destroy = judy_destroy,
	.set = judy_set, .get = judy_get, .iterate = judy_iterate,
	.remove = judy_remove, .bytes = judy_bytes,
};
#endif

/* --------------------------------------------------------------- loads */

static uint64_t order[NPAGES];		/* the dense pages, shuffled */
static uint64_t sparse[NPAGES];		/* all different, at random */
static uint64_t again[NPAGES];		/* the same in another order */
static uint64_t missing[NPAGES];	/* none of these */

static void
shuffle(uint64_t *page, uint64_t *state)
{
	for (uint64_t i = NPAGES - 1; i > 0; i--) {
		uint64_t k = bench_below(state, i + 1), saved = page[i];

		page[i] = page[k];
		page[k] = saved;
	}
}

/* Random pages among 2^36: even ones are set, odd ones are missing. */
static void
loads_make(void)
{
	const uint64_t part = SPARSE_SPACE / NPAGES;
	uint64_t state = 20240917;

	for (uint64_t i = 0; i < NPAGES; i++) {
		/* Different by their place in 2^20 halves of 2^36. */
		uint64_t at = bench_below(&state, SPARSE_SPACE / 2) * 2;

		order[i] = i;
		sparse[i] = at;
		missing[i] = bench_below(&state, NPAGES) * part +
			     (bench_below(&state, part) | 1);
	}
	shuffle(order, &state);
	memcpy(again, sparse, sizeof(again));
	shuffle(again, &state);
}

/* Blocks in runs of 64, which do not touch. */
static inline uint64_t
block_of(uint64_t page)
{
	return page + page / 64 * 8;
}

/* So that lookups are not for nothing. */
static volatile uint64_t sink;

#define INLINE	static inline __attribute__((always_inline))

INLINE void
dense_run(const struct subject *s, struct meter *meter, struct sample *row)
{
	void *map = s->create(s->kind, NPAGES);
	uint64_t sum = 0;

	meter_start(meter);
	for (uint64_t i = 0; i < NPAGES; i++)
		s->set(map, i, block_of(i));
	meter_stop(meter, NPAGES, &row[DENSE_INSERT]);
	row[DENSE_BYTES].ns = s->bytes(map) / (double)NPAGES;
	meter_start(meter);
	for (uint64_t i = 0; i < NPAGES; i++)
		sum += s->get(map, i);
	meter_stop(meter, NPAGES, &row[DENSE_IN_ORDER]);
	meter_start(meter);
	for (uint64_t i = 0; i < NPAGES; i++)
		sum += s->get(map, order[i]);
	meter_stop(meter, NPAGES, &row[DENSE_AT_RANDOM]);
	meter_start(meter);
	sum += s->iterate(map);
	meter_stop(meter, NPAGES, &row[DENSE_ITERATE]);
	meter_start(meter);
	for (uint64_t i = 0; i < NPAGES; i += RANGE)
		sum += s->remove(map, i, RANGE);
	meter_stop(meter, NPAGES / RANGE, &row[DENSE_REMOVE]);
	sink = sum;
	s->destroy(map);
}

INLINE void
sparse_run(const struct subject *s, struct meter *meter, struct sample *row)
{
	void *map = s->create(s->kind, SPARSE_SPACE);
	uint64_t sum = 0;

	meter_start(meter);
	for (uint64_t i = 0; i < NPAGES; i++)
		s->set(map, sparse[i], i);
	meter_stop(meter, NPAGES, &row[SPARSE_INSERT]);
	row[SPARSE_BYTES].ns = s->bytes(map) / (double)NPAGES;
	meter_start(meter);
	for (uint64_t i = 0; i < NPAGES; i++)
		sum += s->get(map, again[i]);
	meter_stop(meter, NPAGES, &row[SPARSE_HIT]);
	meter_start(meter);
	for (uint64_t i = 0; i < NPAGES; i++)
		sum += s->get(map, missing[i]);
	meter_stop(meter, NPAGES, &row[SPARSE_MISS]);
	meter_start(meter);
	sum += s->iterate(map);
	meter_stop(meter, NPAGES, &row[SPARSE_ITERATE]);
	meter_start(meter);
	for (uint64_t i = 0; i < NPAGES; i++)
		sum += s->remove(map, again[i], 1);
	meter_stop(meter, NPAGES, &row[SPARSE_REMOVE]);
	sink = sum;
	s->destroy(map);
}

/*
 * One function for each implementation, in which its calls are direct: no
 * subject pays for being one of several.
 */
static void
map_run(const struct subject *s, struct meter *meter, struct sample *row)
{
	struct subject local = { MAP(s->kind) };

	dense_run(&local, meter, row);
	if (!s->dense_only)
		sparse_run(&local, meter, row);
}

static void
flat_run(const struct subject *s, struct meter *meter, struct sample *row)
{
	(void)s;
	dense_run(&flat, meter, row);
}

#ifdef HAVE_JUDY
static void
judy_run(const struct subject *s, struct meter *meter, struct sample *row)
{
	(void)s;
	dense_run(&judy, meter, row);
	sparse_run(&judy, meter, row);
}
#endif

static const struct {
	const struct subject *subject;
	void (*run)(const struct subject *s, struct meter *meter,
		    struct sample *row);
} subjects[] = {
	{ &flat, flat_run },
#ifdef HAVE_JUDY
	{ &judy, judy_run },
#endif
	{ &array, map_run },
	{ &hash, map_run },
	{ &trie, map_run },
	{ &automatic, map_run },
};
#define NSUBJECTS ARRAY_SIZE(subjects)

/* -------------------------------------------------------------- report */

static struct sample samples[NSUBJECTS][NROWS][ROUNDS_MAX];
static struct sample medians[NSUBJECTS][NROWS];
static struct sample fastest[NSUBJECTS][NROWS];

static void
round_run(unsigned round, struct meter *meter)
{
	for (size_t i = 0; i < NSUBJECTS; i++) {
		struct sample row[NROWS] = { 0 };

		subjects[i].run(subjects[i].subject, meter, row);
		for (unsigned k = 0; k < NROWS; k++)
			samples[i][k][round] = row[k];
	}
}

static struct sample
sample_least(const struct sample *sample, unsigned n)
{
	struct sample least = sample[0];

	for (unsigned i = 1; i < n; i++) {
		if (sample[i].ns < least.ns)
			least = sample[i];
	}
	return least;
}

static void
head_print(const char *title)
{
	printf("%-34s", title);
	for (size_t i = 0; i < NSUBJECTS; i++)
		printf(" %8s", subjects[i].subject->name);
}

static void
times_print(const char *title, struct sample figures[NSUBJECTS][NROWS])
{
	head_print(title);
	printf(" %8s\n", "goal");
	for (unsigned k = 0; k < NROWS; k++) {
		printf("%-34s", rows[k].name);
		for (size_t i = 0; i < NSUBJECTS; i++) {
			if (figures[i][k].ns > 0)
				printf(" %8.1f", figures[i][k].ns);
			else
				printf(" %8s", "-");
		}
		if (rows[k].goal > 0)
			printf(" %8.1f", rows[k].goal);
		printf("\n");
	}
}

/* How many times faster, or smaller, than the first peer that does this. */
static void
ratios_print(const struct subject *peer, size_t at)
{
	char title[60];

	snprintf(title, sizeof(title), "\ntimes better than %s", peer->name);
	head_print(title + 1);
	printf("\n");
	for (unsigned k = 0; k < NROWS; k++) {
		if (medians[at][k].ns <= 0)
			continue;
		printf("%-34s", rows[k].name);
		for (size_t i = 0; i < NSUBJECTS; i++) {
			if (medians[i][k].ns > 0)
				printf(" %8.2f", medians[at][k].ns /
				       medians[i][k].ns);
			else
				printf(" %8s", "-");
		}
		printf("\n");
	}
}

static void
instructions_print(void)
{
	head_print("instructions");
	printf("\n");
	for (unsigned k = 0; k < NROWS; k++) {
		if (k == DENSE_BYTES || k == SPARSE_BYTES)
			continue;
		printf("%-34s", rows[k].name);
		for (size_t i = 0; i < NSUBJECTS; i++)
			printf(" %8.1f", medians[i][k].instructions);
		printf("\n");
	}
}

int
main(int argc, char **argv)
{
	unsigned nrounds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 7;
	struct meter meter;

	if (nrounds < 1 || nrounds > ROUNDS_MAX) {
		fprintf(stderr, "usage: bench-swapmap [ROUNDS], 1 to %u\n",
			ROUNDS_MAX);
		return 2;
	}
	loads_make();
	meter_open(&meter);
	for (unsigned round = 0; round < nrounds; round++)
		round_run(round, &meter);
	for (size_t i = 0; i < NSUBJECTS; i++) {
		for (unsigned k = 0; k < NROWS; k++) {
			medians[i][k] = bench_median(samples[i][k], nrounds);
			fastest[i][k] = sample_least(samples[i][k], nrounds);
		}
	}
	printf("2^20 pages, %u rounds\n\n", nrounds);
	times_print("medians", medians);
	printf("\n");
	times_print("fastest rounds", fastest);
	for (size_t i = 0; i < NSUBJECTS; i++) {
		if (subjects[i].run != map_run) {
			printf("\n");
			ratios_print(subjects[i].subject, i);
		}
	}
	printf("\n");
	if (meter_counts(&meter))
		instructions_print();
	else
		printf("instructions: this machine does not let us count\n");
#ifndef HAVE_JUDY
	printf("JudyL: not in this build (libjudy-dev)\n");
#endif
	meter_close(&meter);
	return 0;
}
