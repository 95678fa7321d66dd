/* SPDX-License-Identifier: BSD-2-Clause */
/* The ring of frames: what is found is what was kept last. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

#include "cache.h"
#include "util.h"

#define NTHREADS	4u
#define BLOCKS		300u		/* of one thread */
#define TAKES_MAX	12u

static uint64_t *
word_of(char *mem, uint32_t i)
{
	return (uint64_t *)(void *)(mem + ((uint64_t)i << page_shift()));
}

static uint64_t
rnd(uint64_t *seed)
{
	*seed = *seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return *seed >> 33;
}

static void
cache_of(struct cache *c, uint32_t nframes, _Atomic uint64_t *wasted)
{
	assert_int_equal(cache_init(c, wasted), 0);
	assert_int_equal(cache_resize(c, nframes), 0);
	assert_int_equal(cache_size(c), nframes);
}

/* Take @n, write @value to the first word of each, keep them. */
static void
put(struct cache *c, uint64_t block, uint32_t n, uint64_t value,
    enum cache_why why)
{
	uint32_t got;
	char *mem = cache_take(c, n, &got);

	assert_non_null(mem);
	assert_int_equal(got, n);
	for (uint32_t i = 0; i < n; i++)
		*word_of(mem, i) = value + i;
	cache_keep(c, mem, n, block, why);
}

static void
test_keep_find(void **state)
{
	enum cache_why why;
	struct cache c;
	uint32_t n;
	char *mem;

	(void)state;
	cache_of(&c, 64, NULL);
	put(&c, 1000, 8, 70, CACHE_OUT);
	put(&c, 1008, 4, 78, CACHE_AHEAD);
	assert_true(cache_has(&c, 1000));
	assert_true(cache_has(&c, 1011));
	assert_false(cache_has(&c, 1012));
	assert_null(cache_find(&c, 999, 4, &n, &why));
	/* From the middle of one, on into what lies behind in memory. */
	mem = cache_find(&c, 1006, 100, &n, &why);
	assert_non_null(mem);
	assert_int_equal(n, 6);
	assert_int_equal(why, CACHE_OUT);
	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(*word_of(mem, i), 76 + i);
	assert_false(cache_has(&c, 1006));
	cache_keep(&c, mem, 6, 1006, CACHE_AHEAD);
	mem = cache_find(&c, 1006, 1, &n, &why);
	assert_int_equal(n, 1);
	assert_int_equal(why, CACHE_AHEAD);
	cache_give(&c, mem, n);
	assert_false(cache_has(&c, 1006));
	/* The same block again: the new copy counts. */
	put(&c, 1000, 1, 4242, CACHE_OUT);
	mem = cache_find(&c, 1000, 2, &n, &why);
	assert_int_equal(n, 1);
	assert_int_equal(*word_of(mem, 0), 4242);
	cache_give(&c, mem, n);
	assert_true(cache_has(&c, 1001));
	cache_forget(&c, 1001, 2);
	assert_false(cache_has(&c, 1001));
	assert_false(cache_has(&c, 1002));
	assert_true(cache_has(&c, 1003));
	cache_forget(&c, 0, UINT64_MAX);
	assert_null(cache_find(&c, 1003, 1, &n, &why));
	cache_fini(&c);
}

/* The oldest copies go first; frames that hold nothing before them. */
static void
test_order(void **state)
{
	_Atomic uint64_t wasted = 0;
	enum cache_why why;
	struct cache c;
	uint32_t n;
	char *mem;

	(void)state;
	cache_of(&c, 32, &wasted);
	put(&c, 100, 16, 0, CACHE_OUT);
	put(&c, 200, 16, 0, CACHE_AHEAD);
	for (int i = 0; i < 20; i++) {
		/* Takes what it gave back. */
		mem = cache_take(&c, 4, &n);
		assert_int_equal(n, 4);
		cache_give(&c, mem, n);
	}
	for (uint64_t b = 0; b < 16; b++) {
		assert_int_equal(cache_has(&c, 100 + b), b >= 4);
		assert_true(cache_has(&c, 200 + b));
	}
	mem = cache_take(&c, 16, &n);
	assert_int_equal(n, 16);
	assert_true(cache_has(&c, 204 + 11));
	cache_give(&c, mem, n);
	cache_forget(&c, 210, 2);
	assert_false(cache_has(&c, 210));
	mem = cache_find(&c, 212, 4, &n, &why);
	assert_int_equal(n, 4);
	cache_give(&c, mem, n);
	cache_forget(&c, 0, 1000);
	/* All but those four, which somebody found, were read in vain. */
	assert_int_equal(wasted, 12);
	cache_fini(&c);
}

/* All frames are given out once; with all of them out there are no more. */
static void
test_all(void **state)
{
	char *mem[16];
	struct cache c;
	uint32_t n, left = 50;

	(void)state;
	cache_of(&c, 50, NULL);
	for (unsigned i = 0; i < 7; i++) {
		mem[i] = cache_take(&c, 8, &n);
		assert_int_equal(n, min_u64(8, left));
		left -= n;
		for (uint32_t k = 0; k < n; k++)
			*word_of(mem[i], k) = i;
	}
	assert_null(cache_take(&c, 1, &n));
	for (unsigned i = 0; i < 7; i++)
		for (uint32_t k = 0; k < (i < 6 ? 8 : 2); k++)
			assert_int_equal(*word_of(mem[i], k), i);
	/* One hole of eight: as much of the wish as there is. */
	cache_give(&c, mem[3], 3);
	cache_give(&c, mem[3] + (3 << page_shift()), 5);
	mem[3] = cache_take(&c, 20, &n);
	assert_int_equal(n, 8);
	assert_null(cache_take(&c, 1, &n));
	cache_fini(&c);
}

static void
test_resize(void **state)
{
	_Atomic uint64_t wasted = 0;
	unsigned char in[8];
	struct cache c;
	uint32_t n;
	char *mem;

	(void)state;
	cache_of(&c, 8, &wasted);
	mem = cache_take(&c, 6, &n);
	put(&c, 10, 2, 0, CACHE_AHEAD);
	assert_int_equal(cache_resize(&c, 4), 0);
	assert_false(cache_has(&c, 10));
	assert_int_equal(wasted, 2);
	/* What is taken stays until it is given, then its memory goes. */
	*word_of(mem, 5) = 5;
	assert_int_equal(mincore(mem, 8 * page_bytes(), in), 0);
	assert_true(in[5] & 1);
	assert_false(in[6] & 1);
	cache_keep(&c, mem, 6, 20, CACHE_OUT);
	assert_true(cache_has(&c, 23));
	assert_false(cache_has(&c, 24));
	assert_int_equal(mincore(mem, 8 * page_bytes(), in), 0);
	assert_true(in[3] & 1);
	assert_false(in[4] & 1);
	assert_false(in[5] & 1);
	/* A copy that has no place takes the older one with it. */
	assert_int_equal(cache_resize(&c, 8), 0);
	cache_forget(&c, 20, 4);
	mem = cache_take(&c, 8, &n);
	assert_int_equal(n, 8);
	assert_int_equal(cache_resize(&c, 4), 0);
	cache_keep(&c, mem, 4, 20, CACHE_OUT);
	cache_keep(&c, mem + 4 * page_bytes(), 4, 22, CACHE_OUT);
	assert_true(cache_has(&c, 21));
	assert_false(cache_has(&c, 22));
	/* What is kept survives growing, and its memory does not move. */
	*word_of(mem, 1) = 77;
	assert_int_equal(cache_resize(&c, CACHE_FRAMES_MAX / 64), 0);
	assert_true(cache_has(&c, 21));
	assert_int_equal(*word_of(mem, 1), 77);
	mem = cache_take(&c, 512, &n);
	assert_int_equal(n, 512);
	assert_int_equal(cache_resize(&c, 0), 0);
	cache_give(&c, mem, n);
	assert_null(cache_take(&c, 1, &n));
	cache_fini(&c);
}

static void
test_size(void **state)
{
	(void)state;
	assert_in_range(cache_size_for(256), 1, 64);
	assert_in_range(cache_size_for(UINT64_MAX), 1, CACHE_FRAMES_MAX);
	assert_true(cache_size_for(1 << 14) > cache_size_for(1 << 12));
}

/* --------------------------------------------------------------------- model */

struct take {
	char		*mem;
	uint32_t	 n;
	uint64_t	 mark;
};

struct player {
	struct cache	*cache;
	pthread_t	 thread;
	uint64_t	 seed, base, found;
	bool		 alone;
	uint64_t	 version[BLOCKS]; /* kept under each; 0: none may be */
	struct take	 take[TAKES_MAX];
	unsigned	 ntakes;
};

static void
fill(struct take *t, uint32_t from, uint64_t mark)
{
	t->mark = mark;
	for (uint32_t i = from; i < t->n; i++)
		*word_of(t->mem, i) = mark + i;
}

/* Nobody else has written to what we have. */
static void
check(const struct take *t)
{
	for (uint32_t i = 0; i < t->n; i++)
		if (*word_of(t->mem, i) != t->mark + i)
			abort();
}

static void
play_take(struct player *p, uint32_t n)
{
	struct take *t = &p->take[p->ntakes];

	t->mem = cache_take(p->cache, n, &t->n);
	if (t->mem == NULL)
		return;
	if (t->n < 1 || t->n > n)
		abort();
	fill(t, 0, p->base << 32 | rnd(&p->seed) << 8);
	p->ntakes++;
}

/* Ends one of ours, kept as copies or not. */
static void
play_give(struct player *p, uint64_t block, bool keep)
{
	unsigned which = (unsigned)(rnd(&p->seed) % p->ntakes);
	struct take t = p->take[which];

	p->take[which] = p->take[--p->ntakes];
	check(&t);
	if (!keep || block + t.n > BLOCKS) {
		cache_give(p->cache, t.mem, t.n);
		return;
	}
	for (uint32_t i = 0; i < t.n; i++)
		p->version[block + i] = t.mark + i;
	cache_keep(p->cache, t.mem, t.n, p->base + block,
		   rnd(&p->seed) & 1 ? CACHE_OUT : CACHE_AHEAD);
}

static void
play_find(struct player *p, uint64_t block, uint32_t n)
{
	struct take *t = &p->take[p->ntakes];
	enum cache_why why = CACHE_OUT;
	bool has = cache_has(p->cache, p->base + block);

	t->mem = cache_find(p->cache, p->base + block, n, &t->n, &why);
	if (p->alone && has != (t->mem != NULL))
		abort();
	if (t->mem == NULL)
		return;
	if (t->n < 1 || t->n > n)
		abort();
	for (uint32_t i = 0; i < t->n; i++) {
		if (*word_of(t->mem, i) != p->version[block + i])
			abort();
		p->version[block + i] = 0;
	}
	p->found += t->n;
	fill(t, 0, p->base << 32 | rnd(&p->seed) << 8);
	p->ntakes++;
}

static void *
play(void *arg)
{
	struct player *p = arg;

	for (int i = 0; i < 60000; i++) {
		uint64_t block = rnd(&p->seed) % BLOCKS, what;
		uint32_t n = 1 + (uint32_t)(rnd(&p->seed) % 16);

		what = rnd(&p->seed) % 8;
		if (what < 3 && p->ntakes < TAKES_MAX) {
			play_take(p, n);
		} else if (what < 5 && p->ntakes > 0) {
			play_give(p, block, what == 3 || n > 2);
		} else if (what < 7 && p->ntakes < TAKES_MAX) {
			play_find(p, block, (uint32_t)min_u64(n,
							BLOCKS - block));
		} else if (what == 7) {
			n = (uint32_t)min_u64(i % 64 == 0 ? BLOCKS : n,
					      BLOCKS - block);
			cache_forget(p->cache, p->base + block, n);
			memset(&p->version[block], 0,
			       n * sizeof(p->version[0]));
		}
	}
	for (; p->ntakes > 0; p->ntakes--) {
		check(&p->take[p->ntakes - 1]);
		cache_give(p->cache, p->take[p->ntakes - 1].mem,
			   p->take[p->ntakes - 1].n);
	}
	return NULL;
}

/* All frames are there to be taken in the end, once each. */
static void
check_all_free(struct cache *c)
{
	uint32_t n, all = 0;
	char *mem;

	while ((mem = cache_take(c, 7, &n)) != NULL) {
		for (uint32_t i = 0; i < n; i++)
			*word_of(mem, i) = 1;
		all += n;
	}
	assert_int_equal(all, cache_size(c));
}

static void
test_model(void **state)
{
	struct player *p = calloc(1, sizeof(*p));
	struct cache c;

	(void)state;
	cache_of(&c, 96, NULL);
	p->cache = &c;
	p->seed = 7;
	p->base = 5000;
	p->alone = true;
	play(p);
	assert_true(p->found > 2000);
	check_all_free(&c);
	cache_fini(&c);
	free(p);
}

static void
test_threads(void **state)
{
	struct player *p = calloc(NTHREADS, sizeof(*p));
	_Atomic uint64_t wasted = 0;
	uint64_t found = 0, seed = 3;
	struct cache c;

	(void)state;
	cache_of(&c, 256, &wasted);
	for (unsigned i = 0; i < NTHREADS; i++) {
		p[i].cache = &c;
		p[i].seed = i + 1;
		p[i].base = (i + 1) * UINT64_C(100000);
		assert_int_equal(pthread_create(&p[i].thread, NULL, play,
						&p[i]), 0);
	}
	for (int i = 0; i < 200; i++)
		assert_int_equal(cache_resize(&c,
			(uint32_t)(rnd(&seed) % 500)), 0);
	assert_int_equal(cache_resize(&c, 300), 0);
	for (unsigned i = 0; i < NTHREADS; i++) {
		assert_int_equal(pthread_join(p[i].thread, NULL), 0);
		found += p[i].found;
	}
	assert_true(found > 1000);
	check_all_free(&c);
	cache_fini(&c);
	free(p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keep_find),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_all),
		cmocka_unit_test(test_resize),
		cmocka_unit_test(test_size),
		cmocka_unit_test(test_model),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
