/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test-blist.c - block lists: fixed cases, a naive model, planted faults
 *
 *	test-blist [STEPS [SEED]]	or BLIST_STEPS, BLIST_SEED
 *
 * The model is in blist-model.c.
 */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "blist-model.h"
#include "compiler.h"

#define DEFAULT_STEPS	1000000u
#define DEFAULT_SEED	1u

static uint64_t steps = DEFAULT_STEPS, seed = DEFAULT_SEED;

/* ---------------------------------------------------------------- helpers */

static struct blist *
create(uint64_t nblocks)
{
	struct blist *bl = NULL;

	assert_int_equal(blist_create(nblocks, &bl), 0);
	assert_int_equal(blist_check(bl), 0);
	return bl;
}

static void
free_ok(struct blist *bl, uint64_t first, uint64_t n)
{
	assert_int_equal(blist_free(bl, first, n), 0);
	assert_int_equal(blist_check(bl), 0);
}

/* Allocate and expect @n blocks at @first. */
static void
alloc_is(struct blist *bl, unsigned min, unsigned max, uint64_t first,
	 unsigned n)
{
	unsigned got = 0;

	assert_int_equal(blist_alloc(bl, min, max, &got), first);
	assert_int_equal(got, n);
	assert_int_equal(blist_check(bl), 0);
}

static void
alloc_fails(struct blist *bl, unsigned min, unsigned max)
{
	uint64_t nfree = blist_nfree(bl);
	unsigned got = 12345;

	assert_true(blist_alloc(bl, min, max, &got) == BLIST_NONE);
	assert_int_equal(got, 12345);
	assert_int_equal(blist_nfree(bl), nfree);
	assert_int_equal(blist_check(bl), 0);
}

static void
next_is(struct blist *bl, uint64_t from, uint64_t first, uint64_t n)
{
	uint64_t got_first = 0, got_n = 0;

	assert_true(blist_next_free(bl, from, &got_first, &got_n));
	assert_int_equal(got_first, first);
	assert_int_equal(got_n, n);
}

static void
fill_is(struct blist *bl, uint64_t first, uint64_t n, uint64_t nfree)
{
	uint64_t got = UINT64_MAX;

	assert_int_equal(blist_fill(bl, first, n, &got), 0);
	assert_int_equal(got, nfree);
	assert_int_equal(blist_check(bl), 0);
}

/* ------------------------------------------------------------ fixed cases */

static void
test_create_refuses(void **state)
{
	struct blist *bl = NULL;

	(void)state;
	assert_int_equal(blist_create(0, &bl), -EINVAL);
	assert_int_equal(blist_create(BLIST_BLOCKS_MAX + 1, &bl), -EINVAL);
	assert_int_equal(blist_create(UINT64_MAX, &bl), -EINVAL);
	assert_null(bl);
	blist_destroy(NULL);
}

static void
test_create_without_memory(void **state)
{
	struct rlimit before, tight;
	struct blist *bl = NULL;
	int err;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
	tight = before;
	tight.rlim_cur = 1 << 20;
	assert_int_equal(setrlimit(RLIMIT_AS, &tight), 0);
	err = blist_create(UINT64_C(1) << 28, &bl);
	assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
	assert_int_equal(err, -ENOMEM);
	assert_null(bl);
}

static void
starts_used(struct blist *bl, uint64_t n)
{
	uint64_t first, run;

	assert_int_equal(blist_nblocks(bl), n);
	assert_int_equal(blist_nfree(bl), 0);
	assert_false(blist_is_free(bl, 0));
	assert_false(blist_is_free(bl, n - 1));
	assert_false(blist_next_free(bl, 0, &first, &run));
	alloc_fails(bl, 1, BLIST_ALLOC_MAX);
	fill_is(bl, 0, n, 0);
}

static void
refuses_to_free_twice(struct blist *bl, uint64_t n)
{
	assert_int_equal(blist_free(bl, 0, n), -EEXIST);
	assert_int_equal(blist_free(bl, 0, 1), -EEXIST);
	assert_int_equal(blist_free(bl, n - 1, 1), -EEXIST);
	assert_int_equal(blist_nfree(bl), n);
	assert_int_equal(blist_check(bl), 0);
}

static void
refuses_beyond_the_end(struct blist *bl, uint64_t n)
{
	uint64_t got = 77, run;

	assert_int_equal(blist_free(bl, n, 1), -EINVAL);
	assert_int_equal(blist_free(bl, n - 1, 2), -EINVAL);
	assert_int_equal(blist_free(bl, 0, n + 1), -EINVAL);
	assert_int_equal(blist_free(bl, 1, UINT64_MAX), -EINVAL);
	assert_int_equal(blist_free(bl, UINT64_MAX, 1), -EINVAL);
	assert_int_equal(blist_free(bl, UINT64_MAX, UINT64_MAX), -EINVAL);
	assert_int_equal(blist_fill(bl, n, 1, &got), -EINVAL);
	assert_int_equal(blist_fill(bl, 0, n + 1, &got), -EINVAL);
	assert_int_equal(blist_fill(bl, UINT64_MAX, 2, &got), -EINVAL);
	assert_false(blist_next_free(bl, n, &got, &run));
	assert_false(blist_next_free(bl, UINT64_MAX, &got, &run));
	assert_int_equal(got, 77);
	assert_false(blist_is_free(bl, n));
	assert_false(blist_is_free(bl, UINT64_MAX));
	assert_int_equal(blist_free(bl, n, 0), 0);
	assert_int_equal(blist_fill(bl, n, 0, NULL), 0);
	assert_int_equal(blist_check(bl), 0);
}

static void
hands_out_everything(struct blist *bl, uint64_t n)
{
	uint64_t at, len;

	for (at = 0; at < n; at += len) {
		len = min_u64(n - at, BLIST_ALLOC_MAX);
		alloc_is(bl, 1, BLIST_ALLOC_MAX, at, (unsigned)len);
	}
	assert_int_equal(blist_nfree(bl), 0);
	alloc_fails(bl, 1, 1);
}

static void
test_sizes(void **state)
{
	static const uint64_t sizes[] = {
		1, 2, 63, 64, 65, 1023, 1024, 1025, 4095, 4096, 4097,
		262143, 262144, 262145,
	};
	struct blist *bl;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		bl = create(sizes[i]);
		starts_used(bl, sizes[i]);
		refuses_beyond_the_end(bl, sizes[i]);
		free_ok(bl, 0, sizes[i]);
		next_is(bl, 0, 0, sizes[i]);
		next_is(bl, sizes[i] - 1, sizes[i] - 1, 1);
		refuses_to_free_twice(bl, sizes[i]);
		refuses_beyond_the_end(bl, sizes[i]);
		hands_out_everything(bl, sizes[i]);
		free_ok(bl, sizes[i] - 1, 1);
		alloc_is(bl, 1, 9, sizes[i] - 1, 1);
		free_ok(bl, 0, sizes[i]);
		fill_is(bl, 0, sizes[i], sizes[i]);
		blist_destroy(bl);
	}
}

/* Runs that cross the borders of words, lines, groups and nodes. */
static void
test_crossing(void **state)
{
	static const unsigned shifts[] = { 6, 9, 15, 21, 27, 30 };
	struct blist *bl = create(UINT64_C(1) << 31);
	unsigned i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(shifts); i++) {
		uint64_t first = (UINT64_C(1) << shifts[i]) - 20;

		free_ok(bl, first, 20);
		free_ok(bl, first + 20, 30);
		next_is(bl, 0, first, 50);
		alloc_fails(bl, 51, 60);
		alloc_is(bl, 50, 60, first, 50);
		if (shifts[i] < 15)
			continue;
		free_ok(bl, first - 1000, 2000);
		alloc_is(bl, 1024, 1024, first - 1000, 1024);
		alloc_fails(bl, 977, 1024);
		alloc_is(bl, 976, 1024, first + 24, 976);
	}
	assert_int_equal(blist_nfree(bl), 0);
	blist_destroy(bl);
}

static void
test_next_fit(void **state)
{
	struct blist *bl = create(10000);

	(void)state;
	free_ok(bl, 100, 10);
	free_ok(bl, 200, 40);
	free_ok(bl, 9990, 10);
	alloc_is(bl, 2, 4, 100, 4);	/* the first that fits, up to max */
	alloc_is(bl, 16, 32, 200, 32);	/* too short ones are passed over */
	alloc_is(bl, 4, 32, 9990, 10);	/* so is 232, of eight: as many as
					   there are in a row, to the end */
	alloc_is(bl, 1, 5, 104, 5);	/* round to the start */
	alloc_is(bl, 5, 5, 232, 5);
	alloc_is(bl, 1, 2, 237, 2);
	alloc_is(bl, 1, 1, 239, 1);
	alloc_is(bl, 1, 1, 109, 1);
	assert_int_equal(blist_nfree(bl), 0);
	blist_destroy(bl);
}

/* A run that the cursor stands in. */
static void
test_around_cursor(void **state)
{
	struct blist *bl = create(10000);

	(void)state;
	free_ok(bl, 100, 20);
	alloc_is(bl, 10, 10, 100, 10);
	free_ok(bl, 104, 6);
	alloc_is(bl, 8, 8, 110, 8);	/* what is behind it is enough */
	alloc_is(bl, 1, 8, 104, 6);
	free_ok(bl, 104, 14);
	assert_int_equal(blist_longest(bl), 16);
	alloc_is(bl, 16, 16, 104, 16);	/* whole the second time */
	blist_destroy(bl);
}

/* The cursor stands in a node that is all free, but too near its end. */
static void
test_cursor_in_free_node(void **state)
{
	struct blist *bl = create(20000);

	(void)state;
	free_ok(bl, 0, 4096);
	alloc_is(bl, 1024, 1024, 0, 1024);
	alloc_is(bl, 1024, 1024, 1024, 1024);
	alloc_is(bl, 1024, 1024, 2048, 1024);
	alloc_is(bl, 1018, 1018, 3072, 1018);
	free_ok(bl, 0, 4090);
	free_ok(bl, 12000, 100);
	alloc_is(bl, 7, 50, 12000, 50);
	blist_destroy(bl);
}

/* A run of just the greatest length, made from either side. */
static void
test_longest_run(void **state)
{
	struct blist *bl = create(20000);

	(void)state;
	free_ok(bl, 5000, BLIST_ALLOC_MAX - 1);
	alloc_fails(bl, BLIST_ALLOC_MAX, BLIST_ALLOC_MAX);
	free_ok(bl, 5000 + BLIST_ALLOC_MAX - 1, 1);
	alloc_is(bl, BLIST_ALLOC_MAX, BLIST_ALLOC_MAX, 5000, BLIST_ALLOC_MAX);
	free_ok(bl, 5001, BLIST_ALLOC_MAX - 1);
	alloc_fails(bl, BLIST_ALLOC_MAX, BLIST_ALLOC_MAX);
	free_ok(bl, 5000, 1);
	alloc_is(bl, BLIST_ALLOC_MAX, BLIST_ALLOC_MAX, 5000, BLIST_ALLOC_MAX);
	blist_destroy(bl);
}

static void
test_refused_free_harms_nothing(void **state)
{
	struct blist *bl = create(20000);

	(void)state;
	free_ok(bl, 5000, 100);
	assert_int_equal(blist_free(bl, 4990, 11), -EEXIST);
	assert_int_equal(blist_free(bl, 5099, 5000), -EEXIST);
	assert_int_equal(blist_free(bl, 5050, 1), -EEXIST);
	assert_int_equal(blist_free(bl, 0, 20000), -EEXIST);
	assert_int_equal(blist_check(bl), 0);
	assert_int_equal(blist_nfree(bl), 100);
	next_is(bl, 0, 5000, 100);
	free_ok(bl, 4990, 10);
	free_ok(bl, 5100, 5000);
	next_is(bl, 0, 4990, 5110);
	blist_destroy(bl);
}

static void
test_fill(void **state)
{
	struct blist *bl = create(300000);

	(void)state;
	free_ok(bl, 0, 300000);
	fill_is(bl, 63, 2, 2);
	fill_is(bl, 60, 10, 8);
	fill_is(bl, 4000, 270000, 270000);
	next_is(bl, 0, 0, 60);
	next_is(bl, 60, 70, 3930);
	next_is(bl, 4000, 274000, 26000);
	assert_int_equal(blist_fill(bl, 0, 1, NULL), 0);
	assert_int_equal(blist_nfree(bl), 59 + 3930 + 26000);
	fill_is(bl, 0, 300000, 59 + 3930 + 26000);
	assert_int_equal(blist_nfree(bl), 0);
	blist_destroy(bl);
}

/* What is done in order takes short cuts: @n blocks at a time. */
static void
in_order(unsigned n, bool backwards)
{
	const uint64_t nblocks = 70000 / n * n;
	struct blist *bl = create(nblocks);
	uint64_t at;

	free_ok(bl, 0, nblocks);
	for (at = 0; at < nblocks; at += n) {
		/* One that is in the way of the next but one. */
		if (at % 8192 < n && at + 3 * n < nblocks) {
			fill_is(bl, at + 2 * n, 1, 1);
			free_ok(bl, at + 2 * n, 1);
		}
		alloc_is(bl, n, n, at, n);
	}
	assert_int_equal(blist_nfree(bl), 0);
	for (at = 0; at < nblocks; at += n) {
		free_ok(bl, backwards ? nblocks - n - at : at, n);
		assert_int_equal(blist_longest(bl),
				 min_u64(at + n, BLIST_ALLOC_MAX));
	}
	/* And with some that are free already. */
	fill_is(bl, 0, nblocks, nblocks);
	for (at = 0; at < nblocks; at += 4 * n)
		free_ok(bl, at, n);
	for (at = 0; at < nblocks; at += n)
		if (at / n % 4 != 0)
			free_ok(bl, at, n);
	refuses_to_free_twice(bl, nblocks);
	blist_destroy(bl);
}

static void
test_in_order(void **state)
{
	static const unsigned lengths[] = { 7, 32, 33, 64, 100, 700 };
	unsigned i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(lengths); i++) {
		in_order(lengths[i], false);
		in_order(lengths[i], true);
	}
}

/* The greatest length is known at any time, and on every level. */
static void
test_exact(void **state)
{
	const uint64_t n = 300000;
	struct blist *bl = create(n);
	uint64_t i;

	(void)state;
	for (i = 0; i < n; i += 2)
		assert_int_equal(blist_free(bl, i, 1), 0);
	assert_int_equal(blist_longest(bl), 1);
	assert_int_equal(blist_fill(bl, 0, n, NULL), 0);
	assert_int_equal(blist_longest(bl), 0);
	free_ok(bl, 0, n);
	assert_int_equal(blist_longest(bl), BLIST_ALLOC_MAX);
	for (i = 1; i < n; i += 2)
		assert_int_equal(blist_fill(bl, i, 1, NULL), 0);
	assert_int_equal(blist_longest(bl), 1);
	alloc_fails(bl, 2, 64);
	for (i = 0; i < n / 512; i++)
		assert_int_equal(bl->line[i], 1);
	free_ok(bl, 32767, 1);
	assert_int_equal(blist_longest(bl), 3);
	assert_int_equal(bl->line[63], 3);
	assert_int_equal(bl->line[64], 1);
	assert_int_equal(bl->node[2][0].state[0], 3);
	assert_int_equal(bl->node[2][0].state[1], 1);
	alloc_is(bl, 2, 9, 32766, 3);
	assert_int_equal(blist_longest(bl), 1);
	blist_destroy(bl);
}

static void
test_resize(void **state)
{
	struct blist *bl = create(1000);
	uint64_t first, n;

	(void)state;
	free_ok(bl, 900, 100);
	assert_int_equal(blist_resize(bl, 0), -EINVAL);
	assert_int_equal(blist_resize(bl, BLIST_BLOCKS_MAX + 1), -EINVAL);
	assert_int_equal(blist_nblocks(bl), 1000);
	assert_int_equal(blist_resize(bl, UINT64_C(1) << 33), 0);
	assert_int_equal(blist_check(bl), 0);
	assert_int_equal(blist_nfree(bl), 100);	/* new blocks are used */
	free_ok(bl, 1000, (UINT64_C(1) << 33) - 1000);
	next_is(bl, 0, 900, (UINT64_C(1) << 33) - 900);
	assert_int_equal(blist_resize(bl, 950), 0);
	assert_int_equal(blist_check(bl), 0);
	next_is(bl, 0, 900, 50);
	alloc_is(bl, 1, 1024, 900, 50);
	/* What was cut off is forgotten, though it was free. */
	assert_int_equal(blist_resize(bl, 70000), 0);
	assert_int_equal(blist_check(bl), 0);
	assert_int_equal(blist_nfree(bl), 0);
	assert_true(blist_next_used(bl, 0, &first, &n));
	assert_int_equal(first, 0);
	assert_int_equal(n, 70000);
	free_ok(bl, 0, 70000);
	assert_int_equal(blist_resize(bl, 65536), 0);
	assert_int_equal(blist_check(bl), 0);
	assert_int_equal(blist_nfree(bl), 65536);
	blist_destroy(bl);
}

/* All or nothing: no address space, nothing changes. */
static void
test_resize_without_memory(void **state)
{
	struct rlimit before, tight;
	struct blist *bl = create(1000);
	int err;

	(void)state;
	free_ok(bl, 10, 900);
	assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
	tight = before;
	tight.rlim_cur = 1 << 20;
	assert_int_equal(setrlimit(RLIMIT_AS, &tight), 0);
	err = blist_resize(bl, UINT64_C(1) << 28);
	assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
	assert_int_equal(err, -ENOMEM);
	assert_int_equal(blist_check(bl), 0);
	assert_int_equal(blist_nblocks(bl), 1000);
	assert_int_equal(blist_free(bl, 1000, 1), -EINVAL);
	next_is(bl, 0, 10, 900);
	blist_destroy(bl);
}

static void
test_histogram(void **state)
{
	struct blist *bl = create(UINT64_C(1) << 30);
	struct blist_histogram hist = { 0 };
	uint64_t at;

	(void)state;
	free_ok(bl, 0, 1);
	free_ok(bl, 10, 3);
	free_ok(bl, 100, 63);
	free_ok(bl, 200, 64);
	free_ok(bl, 1000, UINT64_C(1) << 28);
	/* Windows that end in all of these. */
	for (at = 0; at < 400; at += 7)
		blist_histogram_add(bl, at, at + 7, &hist);
	blist_histogram_add(bl, at, 1 << 20, &hist);
	blist_histogram_add(bl, 1 << 20, 1 << 20, &hist);
	blist_histogram_add(bl, 1 << 20, UINT64_MAX, &hist);
	blist_histogram_end(&hist);
	assert_int_equal(hist.nfree, 131 + (1 << 28));
	assert_int_equal(hist.nruns, 5);
	assert_int_equal(hist.largest, 1 << 28);
	assert_int_equal(hist.runs[0], 1);
	assert_int_equal(hist.runs[1], 1);
	assert_int_equal(hist.runs[5], 1);
	assert_int_equal(hist.runs[6], 1);
	assert_int_equal(hist.runs[28], 1);
	assert_int_equal(hist.blocks[28], 1 << 28);
	/* A run is counted as far as the windows go. */
	memset(&hist, 0, sizeof(hist));
	blist_histogram_add(bl, 150, 210, &hist);
	blist_histogram_end(&hist);
	assert_int_equal(hist.nfree, 23);
	assert_int_equal(hist.largest, 13);
	assert_int_equal(hist.runs[3], 2);
	assert_int_equal(blist_count_free(bl, 150, 210), 23);
	blist_destroy(bl);
}

/* -------------------------------------------------------- a huge device */

static uint64_t
resident_bytes(void)
{
	unsigned long total, resident;
	FILE *f = fopen("/proc/self/statm", "re");

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%lu %lu", &total, &resident), 2);
	(void)fclose(f);
	return (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void
use_here_and_there(struct blist *bl)
{
	uint64_t n = blist_nblocks(bl), i, at;

	for (i = 0; i < 16; i++) {
		at = n / 16 * i + 4090;
		free_ok(bl, at, 10);
		alloc_is(bl, 10, 10, at, 10);
		free_ok(bl, at, 1);
	}
	assert_int_equal(blist_nfree(bl), 16);
	for (i = 0; i < 16; i++)
		next_is(bl, n / 16 * i, n / 16 * i + 4090, 1);
}

static void
test_huge(void **state)
{
	uint64_t n = BLIST_BLOCKS_MAX, before = resident_bytes();
	struct blist *bl;

	(void)state;
	if (blist_create(n, &bl) == -ENOMEM) {
		print_message("no address space for 2^40 blocks here\n");
		skip();
	}
	starts_used(bl, n);
	use_here_and_there(bl);
	fill_is(bl, 0, n, 16);
	free_ok(bl, 0, n);
	assert_int_equal(blist_nfree(bl), n);
	next_is(bl, 0, 0, n);
	next_is(bl, n - 1, n - 1, 1);
	alloc_is(bl, 1024, 1024, n / 16 * 15 + 4100, 1024);
	fill_is(bl, n - 5000, 5000, 5000);
	refuses_beyond_the_end(bl, n);
	assert_int_equal(blist_free(bl, 0, n), -EEXIST);
	fill_is(bl, 0, n, n - 5000 - 1024);
	assert_in_range(blist_memory(bl), 1, 1 << 20);
	assert_in_range(resident_bytes(), 0, before + (2 << 20));
	blist_destroy(bl);
}

/* Pages of one mapping that are in RAM, by the kernel's count. */
static size_t
mincore_bytes(void *base, size_t bytes)
{
	size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE), i, n = 0;
	size_t npages = bytes / page_bytes;
	unsigned char *vec = malloc(npages);

	assert_non_null(vec);
	assert_int_equal(mincore(base, bytes, vec), 0);
	for (i = 0; i < npages; i++)
		n += vec[i] & 1;
	free(vec);
	return n * page_bytes;
}

static size_t
resident_of(const struct blist *bl)
{
	size_t bytes = mincore_bytes(bl->word, bl->map_bytes[0]) +
		mincore_bytes(bl->line, bl->map_bytes[1]);
	unsigned k;

	for (k = 2; k <= bl->top; k++)
		bytes += mincore_bytes(bl->node[k], bl->map_bytes[k]);
	return bytes;
}

/* What blist_memory() says is what was written to: nothing else is used. */
static void
test_memory(void **state)
{
	const uint64_t n = UINT64_C(1) << 28;
	struct blist *bl = create(n);
	size_t bytes;
	uint64_t i;

	(void)state;
	assert_in_range(resident_of(bl), 0, 4096);
	assert_in_range(blist_memory(bl), 1, 4096);
	free_ok(bl, 1, n - 1);
	assert_in_range(resident_of(bl), 1, blist_memory(bl));
	assert_in_range(blist_memory(bl), 1, 1 << 16);
	for (i = 0; i < 1000; i++)
		fill_is(bl, i * 268435 + 7, 1, 1);
	bytes = blist_memory(bl);
	assert_in_range(resident_of(bl), 1, bytes);
	assert_in_range(bytes, 1000 * 4096, 1600 * 4096);
	/* Half of it goes with half of the device. */
	assert_int_equal(blist_resize(bl, n / 2 + 1000), 0);
	assert_in_range(resident_of(bl), 1, blist_memory(bl));
	assert_in_range(blist_memory(bl), bytes / 2 - 65536,
			bytes / 2 + 65536);
	blist_destroy(bl);
}

/* ------------------------------------------------------------- the model */

static uint64_t
draw(void *arg, uint64_t below)
{
	uint64_t *state = arg, z;

	z = *state += UINT64_C(0x9e3779b97f4a7c15);
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return (z ^ (z >> 31)) % below;
}

/* Each step is checked; of a large window that is dear, so every 16th. */
static void
run_model(const struct model_case *how, uint64_t nsteps)
{
	unsigned often = how->n <= 5000 ? 1 : 16;
	uint64_t random = seed, step;
	struct model m;

	model_open(&m, how, draw, &random);
	for (step = 0; step < nsteps; step++) {
		model_step(&m, step);
		if (step % often == 0)
			assert_int_equal(blist_check(m.bl), 0);
		if (step % 32 == 0)
			assert_true(model_agrees(&m));
	}
	assert_int_equal(blist_check(m.bl), 0);
	assert_true(model_agrees(&m));
	model_close(&m);
}

static void
test_model(void **state)
{
	static const struct model_case cases[] = {
		{ 1, 0, 1, false }, { 2, 0, 2, false }, { 63, 0, 63, false },
		{ 64, 0, 64, false }, { 65, 0, 65, false },
		{ 130, 0, 130, false }, { 511, 0, 511, false },
		{ 513, 0, 513, false }, { 1000, 0, 1000, false },
		{ 2500, 0, 2500, false }, { 4097, 0, 4097, false },
		{ 40000, 0, 40000, false },
		/* around the borders of groups and of nodes of each level */
		{ 1 << 19, (1 << 15) - 300, 600, false },
		{ 1 << 19, (1 << 15) - 300, 600, true },
		{ 1 << 19, (1 << 18) - 1500, 3000, true },
		{ 1 << 25, (1 << 21) - 1500, 3000, false },
		{ 1 << 25, (1 << 21) - 90, 180, true },
		{ 1 << 25, (1 << 24) - 1500, 3000, true },
		{ UINT64_C(1) << 31, (1 << 27) - 1100, 2200, false },
		{ UINT64_C(1) << 31, (1 << 27) - 1100, 2200, true },
		{ UINT64_C(1) << 34, (UINT64_C(1) << 33) - 1100, 2200, true },
		/* several groups, and whole ones among them */
		{ 1 << 18, (1 << 17) - 50000, 100000, false },
		{ 1 << 18, (1 << 17) - 50000, 100000, true },
		/* at the very end, which is in the midst of a word */
		{ (1 << 18) + 37, (1 << 18) - 700, 737, false },
		{ (1 << 18) + 37, (1 << 18) - 700, 737, true },
	};
	uint64_t nsteps = steps / ARRAY_SIZE(cases);
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(cases); i++)
		run_model(&cases[i], cases[i].n > 5000 ? nsteps / 64 : nsteps);
}

/* --------------------------------------------------------- planted faults */

/* Put @value where @field is: the check must see it.  Then put it back. */
static void
plant(struct blist *bl, uint64_t *field, uint64_t value)
{
	uint64_t good = *field;

	*field = value;
	assert_int_equal(blist_check(bl), -EUCLEAN);
	*field = good;
}

static void
plant_each_bit(struct blist *bl, uint64_t *field)
{
	unsigned i;

	for (i = 0; i < 64; i++)
		plant(bl, field, *field ^ UINT64_C(1) << i);
}

static void
plant_length(struct blist *bl, int16_t *field)
{
	static const int16_t values[] = {
		-1, BLIST_ALL_USED, 1, BLIST_ALLOC_MAX - 1, BLIST_ALLOC_MAX,
		BLIST_ALL_FREE, BLIST_ALL_FREE + 1,
	};
	int16_t good = *field, value;
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(values) + 2; i++) {
		value = i < ARRAY_SIZE(values) ? values[i] :
			(int16_t)(i == ARRAY_SIZE(values) ? good - 1 :
				  good + 1);
		if (value == good)
			continue;
		*field = value;
		assert_int_equal(blist_check(bl), -EUCLEAN);
		*field = good;
	}
}

/* All that counts below thing @i of level @k; returns how many places. */
static unsigned
plant_below(struct blist *bl, unsigned k, uint64_t i)
{
	struct blist_node *node;
	unsigned c, n = 0;

	if (k == 1) {
		for (c = 0; c < 64; c++)
			plant_length(bl, &bl->line[i * 64 + c]);
		for (c = 0; c < BLIST_GROUP_WORDS; c++)
			if (bl->word[i * BLIST_GROUP_WORDS + c] != 0 ||
			    c % 16 == 0)
				plant_each_bit(bl, &bl->word[
					i * BLIST_GROUP_WORDS + c]);
		return 1;
	}
	node = &bl->node[k][i];
	for (c = 0; c < 64; c++) {
		plant_length(bl, &node->state[c]);
		plant_each_bit(bl, &node->nfree[c]);
		if (blist_is_mixed(node->state[c]))
			n += plant_below(bl, k - 1, i * 64 + c);
	}
	return n;
}

static void
test_planted_faults(void **state)
{
	struct blist *bl = create((UINT64_C(1) << 21) + 300001);
	unsigned i;

	(void)state;
	for (i = 0; i < 60; i++)
		free_ok(bl, 32768 - 1500 + i * 50, 1 + i % 49);
	free_ok(bl, 100000, 131072);
	free_ok(bl, (UINT64_C(1) << 21) - 100, 164);
	free_ok(bl, (UINT64_C(1) << 21) + 300001 - 40, 40);
	plant_length(bl, &bl->state);
	plant_each_bit(bl, &bl->nfree);
	assert_int_equal(plant_below(bl, bl->top, 0), 7);
	assert_int_equal(blist_check(bl), 0);
	blist_destroy(bl);
}

/* What is remembered of places, wrongly. */
static void
test_planted_places(void **state)
{
	struct blist *bl = create(300000);

	(void)state;
	free_ok(bl, 1000, 20000);
	alloc_is(bl, 10, 10, 1000, 10);
	free_ok(bl, 50000, 10);
	assert_int_equal(bl->open[0], 0);
	assert_int_equal(bl->open[1], 1);
	assert_int_equal(bl->freed_end, 50010);
	plant(bl, &bl->cursor, bl->nblocks);
	plant(bl, &bl->open[0], 2);
	plant(bl, &bl->open[1], UINT64_C(1) << 50);
	plant(bl, &bl->run_end, 21001);
	plant(bl, &bl->run_end, UINT64_MAX);
	plant(bl, &bl->cursor, 1011);	/* free before it */
	plant(bl, &bl->freed_first, 49999);
	plant(bl, &bl->freed_first, 50001);
	plant(bl, &bl->freed_end, 50011);
	/* A group's bitmap that is called clean and is not. */
	assert_false(blist_is_mixed(bl->node[2][0].state[5]));
	bl->word[5 * BLIST_GROUP_WORDS + 77] = 1;
	assert_int_equal(blist_check(bl), 0);
	plant(bl, &bl->node[2][0].clean, bl->node[2][0].clean | 1 << 5);
	blist_destroy(bl);
}

/* Faults of several fields that agree: only the rule that is broken sees it. */
static void
test_planted_plots(void **state)
{
	struct blist *bl = create(100);
	struct blist_node *node = bl->node[2];

	(void)state;
	free_ok(bl, 0, 64);
	bl->word[1] |= UINT64_C(1) << (110 - 64);	/* B6: a bit */
	node->nfree[0]++;
	bl->nfree++;
	assert_int_equal(blist_check(bl), -EUCLEAN);
	bl->word[1] = 0;
	node->nfree[0]--;
	bl->nfree--;
	assert_int_equal(blist_check(bl), 0);

	node->state[1] = BLIST_ALL_FREE;		/* B6: a group */
	node->nfree[1] = BLIST_GROUP;
	bl->nfree += BLIST_GROUP;
	bl->state = BLIST_ALLOC_MAX;
	assert_int_equal(blist_check(bl), -EUCLEAN);
	blist_destroy(bl);

	bl = create(32768);			/* B1: mixed, all free */
	free_ok(bl, 0, 32000);
	memset(bl->word, 0xff, 4096);
	bl->node[2]->nfree[0] = bl->nfree = 32768;
	bl->line[61] = bl->line[62] = BLIST_ALLOC_MAX;
	bl->line[63] = 512;
	assert_int_equal(blist_check(bl), -EUCLEAN);
	blist_destroy(bl);
}

/* The comparison with the model sees a block that differs. */
static void
test_planted_model(void **state)
{
	static const struct model_case how = { 5000, 0, 5000, false };
	uint64_t random = seed;
	struct model m;
	unsigned i;

	(void)state;
	model_open(&m, &how, draw, &random);
	for (i = 0; i < 500; i++)
		model_step(&m, i);
	assert_true(model_agrees(&m));
	for (i = 0; i < m.n; i += 17) {
		m.free[i] ^= 1;
		assert_false(model_agrees(&m));
		m.free[i] ^= 1;
	}
	assert_true(model_agrees(&m));
	model_close(&m);
}

static uint64_t
number(const char *arg, const char *name, uint64_t otherwise)
{
	const char *text = arg != NULL ? arg : getenv(name);
	char *end;
	uint64_t value;

	if (text == NULL)
		return otherwise;
	errno = 0;
	value = strtoull(text, &end, 0);
	if (errno != 0 || end == text || *end != '\0') {
		(void)fprintf(stderr, "%s: not a number: %s\n", name, text);
		exit(2);
	}
	return value;
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_create_refuses),
		cmocka_unit_test(test_create_without_memory),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_crossing),
		cmocka_unit_test(test_next_fit),
		cmocka_unit_test(test_around_cursor),
		cmocka_unit_test(test_cursor_in_free_node),
		cmocka_unit_test(test_longest_run),
		cmocka_unit_test(test_refused_free_harms_nothing),
		cmocka_unit_test(test_fill),
		cmocka_unit_test(test_in_order),
		cmocka_unit_test(test_exact),
		cmocka_unit_test(test_resize),
		cmocka_unit_test(test_resize_without_memory),
		cmocka_unit_test(test_histogram),
		cmocka_unit_test(test_huge),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_model),
		cmocka_unit_test(test_planted_faults),
		cmocka_unit_test(test_planted_places),
		cmocka_unit_test(test_planted_plots),
		cmocka_unit_test(test_planted_model),
	};

	steps = number(argc > 1 ? argv[1] : NULL, "BLIST_STEPS",
		       DEFAULT_STEPS);
	seed = number(argc > 2 ? argv[2] : NULL, "BLIST_SEED", DEFAULT_SEED);
	print_message("steps %" PRIu64 ", seed %" PRIu64 "\n", steps, seed);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
