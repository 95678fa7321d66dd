/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pages of one repeated word: they go out and come back without a block and
 * without I/O, whatever is done to them meanwhile.
 */
#include "pager-fixture.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "util.h"

/* Versions of pages: of their own word, of one that others have too. */
#define OWN(v)		((v) | VERSION_OWN)
#define SHARED(v)	((uint32_t)(v) | VERSION_SHARED)

static uint64_t
nwords(const struct area *a)
{
	uint64_t n;

	object_lock(a->object);
	n = a->object->nwords;
	object_unlock(a->object);
	return n;
}

/* Words in use, of all objects. */
static uint32_t
count_words(struct env *env)
{
	return words_count(&env->pager->core.space.words);
}

/* A page that page-out has in hand is settled soon. */
static void
wait_words(const struct area *a, uint64_t n)
{
	for (unsigned tries = 0; tries < 2000 && nwords(a) != n; tries++)
		usleep(5000);
	assert_int_equal(nwords(a), n);
}

/* The same for pages of objects that have ended. */
static void
wait_no_words(struct env *env)
{
	for (unsigned tries = 0; tries < 2000 && count_words(env) > 0; tries++)
		usleep(5000);
	assert_int_equal(count_words(env), 0);
}

/* No bytes have been read or written, nor are any blocks in use. */
static void
check_idle(struct env *env)
{
	struct swap_stats stats = stats_of(env);

	for (size_t i = 0; i < stats.ndevices; i++) {
		assert_int_equal(stats.devices[i].reads, 0);
		assert_int_equal(stats.devices[i].writes, 0);
		assert_int_equal(stats.devices[i].used_bytes, 0);
	}
	assert_int_equal(stats.counters.pageins, 0);
	assert_int_equal(stats.counters.pagein_pages, 0);
	assert_int_equal(stats.counters.pageouts, 0);
	assert_int_equal(stats.counters.pageout_pages, 0);
	assert_int_equal(stats.counters.cache_hits, 0);
	assert_int_equal(stats.cache_bytes == 0, 0);
	for (size_t i = 0; i < stats.nobjects; i++) {
		assert_int_equal(stats.objects[i].block_bytes, 0);
		assert_int_equal(stats.objects[i].pagein_pages, 0);
		assert_int_equal(stats.objects[i].pageout_pages, 0);
	}
	swap_stats_clear(&stats);
}

/* ------------------------------------------------------------- out and in */

/* 16 MiB of a thousand words, with 1 MiB of RAM and as much of swap space. */
static void
test_no_blocks(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct swap_object_stats st;
	struct swap_counters c;
	struct area a;

	(void)state;
	must_attach(env, 0, MIB);
	a = area_new(env, 4096, 0);
	/* The page's number decides which word; pages a thousand apart share. */
	for (uint64_t i = 0; i < 4096; i++)
		put(a.mem + i * WORDS, a.id, i % 1000, OWN(1));
	check_idle(env);
	st = stats_of_area(env, &a);
	assert_true(st.swapped_bytes > 4096 * PAGE - 2 * MIB);
	assert_in_range(count_words(env), 900, 1000);
	c = totals_of(env).counters;
	assert_in_range(c.pageout_fill, 4096 - 512, 4096);
	assert_int_equal(c.pagein_fill, 0);
	for (unsigned round = 0; round < 2; round++)
		for (uint64_t i = 0; i < 4096; i++)
			assert_int_equal(wrong(a.mem + i * WORDS, a.id,
					       i % 1000, OWN(1)), 0);
	/* Once written, each page went out without any more ado. */
	c = totals_of(env).counters;
	assert_in_range(c.pagein_fill, 2 * (4096 - 512), 2 * 4096);
	assert_true(c.pageout_clean >= 4096);
	assert_int_equal(c.refaults, 0);
	check_idle(env);
	check_blocks(env);
	area_end(&a);
	wait_no_words(env);
	env_end(env);
}

/* Anywhere, at random, and written in between, with other pages beside. */
static void
test_mixed(void **state)
{
	struct env *env = env_new(MIB, 0);
	static uint32_t version[2048];
	uint64_t random = 4711;
	struct area a;

	(void)state;
	must_attach(env, 0, 16 * MIB);
	a = area_new(env, 2048, 0);
	memset(version, 0, sizeof(version));
	for (unsigned step = 1; step < 20000; step++) {
		uint64_t page = next_random(&random) % 2048;

		check_pages(&a, page, 1, version[page]);
		if (next_random(&random) % 3 != 0)
			continue;
		version[page] = random_version(next_random(&random), step);
		write_pages(&a, page, 1, version[page]);
	}
	for (uint64_t page = 0; page < 2048; page++)
		check_pages(&a, page, 1, version[page]);
	assert_true(nwords(&a) > 300);
	assert_true(totals_of(env).counters.pagein_fill > 1000);
	check_blocks(env);
	area_end(&a);
	env_end(env);
}

static uint32_t
stream_version(uint64_t page)
{
	return page % 3 == 0 ? OWN(1) : SHARED(1);
}

/* All of them in this order, each with those that come along. */
static void
check_stream(struct env *env, const struct area *a, int64_t step)
{
	struct swap_counters before = totals_of(env).counters, c;
	uint64_t page = step > 0 ? 0 : a->npages - 1;

	for (; page < a->npages; page += (uint64_t)step)
		check_pages(a, page, 1, stream_version(page));
	c = totals_of(env).counters;
	assert_int_equal(c.pageins, before.pageins);
	assert_int_equal(c.readahead_pages, before.readahead_pages);
	assert_true(c.pagein_fill > before.pagein_fill);
	assert_true(c.faults_in - before.faults_in < a->npages / 4);
}

/* Upwards, downwards, by steps, and through another mapping. */
static void
test_streams(void **state)
{
	struct env *env = env_new(8 * MIB, 0);
	struct swap_region *second;
	struct area a, other;
	uint64_t *mem;

	(void)state;
	must_attach(env, 0, 16 * MIB);
	a = area_new(env, 600, 0);
	other = area_new(env, 2400, 0);
	assert_int_equal(swap_object_map(a.object, NULL, 0, 600 * PAGE,
					 &second, NULL), 0);
	mem = swap_region_address(second);
	for (uint64_t i = 0; i < 600; i++)
		write_pages(&a, i, 1, stream_version(i));
	for (int64_t step = -1; step < 4; step += 2) {
		push_out(&a, 0, 600, &other);
		/* Plenty of RAM is free, so windows are as they should be. */
		assert_int_equal(swap_region_release(other.region, 0,
						     2400 * PAGE), 0);
		check_stream(env, &a, step);
	}
	for (uint64_t i = 0; i < 600; i++)
		assert_int_equal(wrong(mem + i * WORDS, a.id, i,
				       stream_version(i)), 0);
	assert_int_equal(nwords(&a), 600);
	check_blocks(env);
	swap_region_unmap(second);
	area_end(&a);
	area_end(&other);
	env_end(env);
}

/* The first write after a page has come back: it has its own truth then. */
static void
test_write_after(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct area a, other;

	(void)state;
	must_attach(env, 0, 16 * MIB);
	a = area_new(env, 200, 0);
	other = area_new(env, 600, 0);
	write_pages(&a, 0, 200, SHARED(1));
	push_out(&a, 0, 200, &other);
	assert_int_equal(nwords(&a), 200);
	/* Read, then written; written at once; not at all. */
	check_pages(&a, 0, 50, SHARED(1));
	assert_int_equal(nwords(&a), 200);
	write_pages(&a, 0, 100, 2);
	assert_int_equal(nwords(&a), 100);
	check_pages(&a, 0, 100, 2);
	check_pages(&a, 100, 100, SHARED(1));
	push_out(&a, 0, 200, &other);
	wait_words(&a, 100);
	assert_int_equal(stats_of_area(env, &a).block_bytes, 100 * PAGE);
	check_pages(&a, 0, 100, 2);
	check_pages(&a, 100, 100, SHARED(1));
	/* One byte of a page, and back. */
	push_out(&a, 0, 200, &other);
	((char *)(a.mem + 150 * WORDS))[4095] ^= 1;
	push_out(&a, 0, 200, &other);
	assert_int_equal(wrong(a.mem + 150 * WORDS, a.id, 150, SHARED(1)), 1);
	((char *)(a.mem + 150 * WORDS))[4095] ^= 1;
	push_out(&a, 0, 200, &other);
	wait_words(&a, 100);
	check_pages(&a, 100, 100, SHARED(1));
	check_blocks(env);
	area_end(&a);
	area_end(&other);
	env_end(env);
}

/* More words than the table has: the rest gets blocks, and nothing is lost. */
static void
test_many_words(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct area a, b;

	(void)state;
	must_attach(env, 0, 32 * MIB);
	a = area_new(env, 6000, 0);
	write_pages(&a, 0, 6000, OWN(1));
	assert_int_equal(count_words(env), WORDS_MAX);
	assert_true(stats_of_area(env, &a).block_bytes >=
		    (6000 - WORDS_MAX - 512) * PAGE);
	check_pages(&a, 0, 6000, OWN(1));
	/* Words that nobody has any more make room. */
	assert_int_equal(swap_region_release(a.region, 0, 6000 * PAGE), 0);
	assert_int_equal(count_words(env), 0);
	b = area_new(env, 4000, 0);
	write_pages(&b, 0, 4000, OWN(2));
	assert_true(count_words(env) > 3000);
	assert_int_equal(stats_of_area(env, &b).block_bytes, 0);
	check_pages(&b, 0, 4000, OWN(2));
	check_pages(&a, 0, 6000, 0);
	check_blocks(env);
	area_end(&a);
	area_end(&b);
	env_end(env);
}

static void
test_release(void **state)
{
	struct env *env = env_new(MIB, 0);
	uint64_t before = 1, after = 1;
	struct area a, other;

	(void)state;
	must_attach(env, 0, 8 * MIB);
	a = area_new(env, 300, 0);
	other = area_new(env, 600, 0);
	write_pages(&a, 0, 300, OWN(1));
	push_out(&a, 0, 300, &other);
	assert_int_equal(nwords(&a), 300);
	/* There is a copy, but its neighbours are nobody's. */
	assert_int_equal(swap_object_haspage(a.object, 100 * PAGE, &before,
					     &after), 1);
	assert_int_equal(before + after, 0);
	assert_int_equal(swap_region_release(a.region, 50 * PAGE, 100 * PAGE),
			 0);
	assert_int_equal(nwords(&a), 200);
	assert_int_equal(count_words(env), 200);
	assert_int_equal(swap_object_haspage(a.object, 100 * PAGE, NULL, NULL),
			 0);
	check_pages(&a, 0, 50, OWN(1));
	check_pages(&a, 50, 100, 0);
	check_pages(&a, 150, 150, OWN(1));
	assert_int_equal(swap_object_flush(a.object, 0, 300 * PAGE,
					   SWAP_FLUSH_FREE, NULL), 0);
	assert_int_equal(count_words(env), 0);
	check_pages(&a, 0, 300, 0);
	area_end(&a);
	area_end(&other);
	env_end(env);
}

/* By request and wired, which is not a fault. */
static void
test_get_and_wire(void **state)
{
	struct env *env = env_new(2 * MIB, 0);
	struct area a, other;
	int64_t rc;

	(void)state;
	must_attach(env, 0, 16 * MIB);
	a = area_new(env, 200, 0);
	other = area_new(env, 1200, 0);
	for (uint64_t i = 0; i < 200; i++)
		write_pages(&a, i, 1, i % 20 < 10 ? SHARED(1) : OWN(1));
	push_out(&a, 0, 200, &other);
	rc = swap_object_get(a.object, 0, 100 * PAGE, 0, SWAP_GET_ALL, NULL,
			     NULL);
	assert_int_equal(rc, 100);
	for (uint64_t i = 0; i < 100; i++)
		assert_true(in_ram(a.object, i));
	/* Clean: they keep what they had. */
	assert_int_equal(nwords(&a), 200);
	assert_int_equal(swap_region_wire(a.region, 100 * PAGE, 100 * PAGE,
					  NULL), 0);
	assert_int_equal(nwords(&a), 100);
	for (uint64_t i = 0; i < 200; i++)
		check_pages(&a, i, 1, i % 20 < 10 ? SHARED(1) : OWN(1));
	assert_int_equal(swap_region_unwire(a.region, 100 * PAGE, 100 * PAGE),
			 0);
	assert_int_equal(totals_of(env).counters.pagein_fill, 200);
	assert_int_equal(stats_of_area(env, &a).pagein_pages, 0);
	push_out(&a, 0, 200, &other);
	for (uint64_t i = 0; i < 200; i++)
		check_pages(&a, i, 1, i % 20 < 10 ? SHARED(1) : OWN(1));
	check_blocks(env);
	area_end(&a);
	area_end(&other);
	env_end(env);
}

/* ----------------------------------------------------- exact, and reserved */

/* It is known of each page that it was written, zeros or not. */
static void
test_exact(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct area from, to, other;

	(void)state;
	must_attach(env, 0, 8 * MIB);
	from = area_new(env, 100, 0);
	to = area_new(env, 100, SWAP_OBJECT_EXACT);
	other = area_new(env, 600, 0);
	memset(to.mem, 0, 50 * PAGE);
	write_pages(&from, 0, 100, 1);
	push_out(&to, 0, 50, &other);
	assert_int_equal(nwords(&to), 50);
	assert_int_equal(count_words(env), 1);
	assert_int_equal(stats_of_area(env, &to).block_bytes, 0);
	/* What the destination has wins. */
	assert_int_equal(swap_object_copy(from.object, 0, to.object, 0,
					  100 * PAGE, 0, NULL), 0);
	check_pages(&to, 0, 50, 0);
	to.id = from.id;
	check_pages(&to, 50, 50, 1);
	area_end(&from);
	area_end(&to);
	area_end(&other);
	env_end(env);
}

/* A page with a word changes hands, with its reference and without a block. */
static void
test_copy(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct area from, to, other;

	(void)state;
	must_attach(env, 0, 8 * MIB);
	from = area_new(env, 120, 0);
	to = area_new(env, 120, SWAP_OBJECT_EXACT);
	other = area_new(env, 600, 0);
	write_pages(&from, 0, 120, OWN(1));
	push_out(&from, 0, 120, &other);
	assert_int_equal(nwords(&from), 120);
	/* Those of reserved pages on either side stay set aside. */
	assert_int_equal(swap_object_reserve(from.object, 0, 30 * PAGE, NULL),
			 0);
	assert_int_equal(swap_object_reserve(to.object, 20 * PAGE, 30 * PAGE,
					     NULL), 0);
	check_reserved(env);
	assert_int_equal(swap_object_copy(from.object, 0, to.object, 0,
					  100 * PAGE, SWAP_COPY_DESTROY,
					  NULL), 0);
	assert_int_equal(nwords(&from), 20);
	assert_int_equal(nwords(&to), 100);
	assert_int_equal(count_words(env), 120);
	assert_int_equal(totals_of(env).set_aside_bytes, 60 * PAGE);
	check_reserved(env);
	check_blocks(env);
	/* And read, where the source stays. */
	assert_int_equal(swap_object_copy(from.object, 100 * PAGE, to.object,
					  100 * PAGE, 20 * PAGE, 0, NULL), 0);
	check_pages(&from, 0, 100, 0);
	check_pages(&from, 100, 20, OWN(1));
	to.id = from.id;
	check_pages(&to, 0, 120, OWN(1));
	push_out(&to, 0, 120, &other);
	check_reserved(env);
	check_blocks(env);
	check_pages(&to, 0, 120, OWN(1));
	area_end(&from);
	area_end(&to);
	area_end(&other);
	env_end(env);
}

/* A page that is promised a block gets one, or keeps its promise (P6). */
static void
test_reserved(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct area a, other;

	(void)state;
	must_attach(env, 0, 8 * MIB);
	a = area_new(env, 200, 0);
	other = area_new(env, 600, 0);
	/* Reserved first: blocks. */
	assert_int_equal(swap_object_reserve(a.object, 0, 100 * PAGE, NULL),
			 0);
	write_pages(&a, 0, 200, SHARED(1));
	push_out(&a, 0, 200, &other);
	wait_words(&a, 100);
	assert_int_equal(stats_of_area(env, &a).block_bytes, 100 * PAGE);
	check_reserved(env);
	/* Words first: a block is set aside for each. */
	assert_int_equal(swap_object_reserve(a.object, 0, 200 * PAGE, NULL),
			 0);
	assert_int_equal(totals_of(env).set_aside_bytes, 100 * PAGE);
	check_reserved(env);
	check_pages(&a, 0, 200, SHARED(1));
	check_reserved(env);
	write_pages(&a, 0, 200, 2);
	check_reserved(env);
	push_out(&a, 0, 200, &other);
	check_reserved(env);
	check_pages(&a, 0, 200, 2);
	assert_int_equal(swap_object_unreserve(a.object, 50 * PAGE,
					       100 * PAGE), 0);
	write_pages(&a, 0, 200, OWN(3));
	push_out(&a, 0, 200, &other);
	wait_words(&a, 100);
	assert_int_equal(swap_object_reserve(a.object, 0, 200 * PAGE, NULL),
			 0);
	check_reserved(env);
	assert_int_equal(swap_object_unreserve(a.object, 0, 200 * PAGE), 0);
	assert_int_equal(totals_of(env).set_aside_bytes, 0);
	check_pages(&a, 0, 200, OWN(3));
	check_blocks(env);
	/* The end of one that has both. */
	push_out(&a, 0, 200, &other);
	assert_int_equal(swap_object_reserve(a.object, 0, 200 * PAGE, NULL),
			 0);
	area_end(&a);
	area_end(&other);
	env_end(env);
}

/* --------------------------------------------------------- limits and space */

/* Only what is in blocks counts in a swap limit. */
static void
test_limits(void **state)
{
	struct env *env = env_new(4 * MIB, 0);
	struct area a;

	(void)state;
	must_attach(env, 0, 16 * MIB);
	a = area_new(env, 3000, 0);
	assert_int_equal(swap_object_limit(a.object, MIB, 2 * MIB, NULL), 0);
	/* 2,600 pages of words and 400 others, of which 256 stay in RAM. */
	for (uint64_t i = 0; i < 3000; i++)
		write_pages(&a, i, 1, i % 15 < 2 ? 1 : OWN(1));
	for (unsigned round = 0; round < 2; round++)
		for (uint64_t i = 0; i < 3000; i++)
			check_pages(&a, i, 1, i % 15 < 2 ? 1 : OWN(1));
	assert_true(stats_of_area(env, &a).block_bytes <= 2 * MIB);
	check_blocks(env);
	area_end(&a);
	env_end(env);
}

/*
 * What is in blocks and in RAM fills both: pages of words come and go all the
 * same, since they stay clean.
 */
static void
test_full(void **state)
{
	struct env *env = env_new(MIB, 0);
	uint64_t nreal = MIB / PAGE + 200;
	struct area words, real;

	(void)state;
	must_attach(env, 0, MIB);
	words = area_new(env, 2000, 0);
	real = area_new(env, nreal, 0);
	write_pages(&words, 0, 2000, OWN(1));
	write_pages(&real, 0, nreal, 1);
	for (unsigned round = 0; round < 3; round++) {
		check_pages(&words, 0, 2000, OWN(1));
		check_pages(&real, 0, nreal, 1);
	}
	check_blocks(env);
	area_end(&words);
	area_end(&real);
	env_end(env);
}

/* A full pager that lets programs fail does so for these as for new pages. */
static void
test_full_fails(void **state)
{
	struct env *env = env_new(MIB, SWAP_PAGER_FULL_FAILS);
	struct area words, real;
	struct filler filler;
	pthread_t thread;
	unsigned nbus = 0;

	(void)state;
	must_attach(env, 0, MIB);
	words = area_new(env, 1000, 0);
	real = area_new(env, 1000, 0);
	write_pages(&words, 0, 1000, OWN(1));
	filler = (struct filler){ .a = &real, .n = 1000, .version = 1 };
	assert_int_equal(pthread_create(&thread, NULL, filler_main, &filler),
			 0);
	pthread_join(thread, NULL);
	assert_true(filler.nbus > 0);
	for (uint64_t i = 0; i < 1000; i++) {
		if (gives_bus(words.mem + i * WORDS, true))
			nbus++;
		else
			check_pages(&words, i, 1, OWN(1));
	}
	assert_true(nbus > 0);
	check_blocks(env);
	area_end(&real);
	/* What is lost is usable again when it is released. */
	assert_int_equal(swap_region_release(words.region, 0, 1000 * PAGE), 0);
	write_pages(&words, 0, 1000, OWN(2));
	check_pages(&words, 0, 1000, OWN(2));
	area_end(&words);
	env_end(env);
}

/* ------------------------------------------------------------ fork copies */

/* Copies take words from a source that changes, and that goes. */
static void
test_fork(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct area a, b, c, other;

	(void)state;
	must_attach(env, 0, 16 * MIB);
	a = area_new(env, 400, 0);
	other = area_new(env, 600, 0);
	write_pages(&a, 0, 400, OWN(1));
	push_out(&a, 0, 400, &other);
	b = area_copy(a.object, a.id);
	c = area_copy(b.object, a.id);
	assert_int_equal(nwords(&a), 400);
	/* The source writes: both copies keep what was there. */
	write_pages(&a, 0, 100, 2);
	check_pages(&b, 50, 100, OWN(1));
	check_pages(&c, 0, 200, OWN(1));
	/* The middle one changes, and goes; then the first. */
	write_pages(&b, 200, 50, OWN(3));
	check_pages(&c, 200, 50, OWN(1));
	push_out(&c, 0, 400, &other);
	check_pages(&b, 0, 200, OWN(1));
	area_end(&b);
	push_out(&a, 0, 400, &other);
	check_pages(&a, 0, 100, 2);
	check_pages(&a, 100, 300, OWN(1));
	area_end(&a);
	/* All that the sources had for it is its own, without I/O. */
	for (unsigned tries = 0; tries < 2000; tries++) {
		if (stats_of_area(env, &c).shared_bytes == 0)
			break;
		usleep(5000);
	}
	assert_int_equal(stats_of_area(env, &c).shared_bytes, 0);
	push_out(&c, 0, 400, &other);
	wait_words(&c, 400);
	assert_int_equal(count_words(env), 400);
	assert_int_equal(stats_of_area(env, &c).block_bytes, 0);
	check_pages(&c, 0, 400, OWN(1));
	check_blocks(env);
	area_end(&c);
	area_end(&other);
	env_end(env);
}

/* As push_out(), with nothing that would need frames of the cache. */
static void
push_quietly(const struct area *a, const struct area *other)
{
	uint64_t nin = 1;

	for (uint32_t tries = 0; tries < 100 && nin > 0; tries++) {
		swap_object_flush(a->object, 0, a->npages * PAGE,
				  SWAP_FLUSH_DEACTIVATE, NULL);
		write_pages(other, 0, other->npages, SHARED(1 + tries % 5));
		nin = 0;
		for (uint64_t i = 0; i < a->npages; i++)
			nin += in_ram(a->object, i);
	}
	assert_int_equal(nin, 0);
}

/* A number that gets another word: nothing is left of the first one. */
static void
test_reuse(void **state)
{
	struct env *env = env_new(4 * MIB, 0);
	struct area a, b, other;

	(void)state;
	must_attach(env, 0, 8 * MIB);
	a = area_new(env, 40, 0);
	other = area_new(env, 1500, 0);
	for (uint32_t round = 1; round < 6; round++) {
		write_pages(&a, 0, 40, OWN(round));
		push_quietly(&a, &other);
		/* A copy asks the cache first. */
		b = area_copy(a.object, a.id);
		check_pages(&b, 0, 40, OWN(round));
		area_end(&b);
		/* Clean, and out again. */
		check_pages(&a, 0, 40, OWN(round));
		push_quietly(&a, &other);
		assert_int_equal(nwords(&a), 40);
	}
	assert_true(count_words(env) <= 45);
	check_blocks(env);
	area_end(&a);
	area_end(&other);
	env_end(env);
}

/* ---------------------------------------------------------- detach and end */

/* They are on no device, so they stay where they are. */
static void
test_detach(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct area words, real;
	struct swap_error error = { 0 };

	(void)state;
	must_attach(env, 0, 16 * MIB);
	words = area_new(env, 3000, 0);
	real = area_new(env, 25, 0);
	write_pages(&real, 0, 25, 1);
	write_pages(&words, 0, 3000, OWN(1));
	assert_true(nwords(&words) > 2000);
	/* Page-out works ahead: what is on the device fits then. */
	for (unsigned tries = 0; tries < 2000; tries++) {
		if (budget_free(&env->pager->core.budget) >= 40)
			break;
		usleep(5000);
	}
	check_ok(swap_device_detach(env->pager, env->device[0], NULL, NULL,
				    &error), &error);
	assert_true(nwords(&words) > 2000);
	/* Nor do they need one. */
	check_pages(&words, 0, 3000, OWN(1));
	check_pages(&real, 0, 25, 1);
	assert_int_equal(stats_of_area(env, &words).block_bytes, 0);
	must_attach(env, 1, 4 * MIB);
	write_pages(&real, 0, 25, 2);
	check_pages(&words, 0, 3000, OWN(1));
	check_pages(&real, 0, 25, 2);
	check_blocks(env);
	area_end(&words);
	area_end(&real);
	env_end(env);
}

/* A device that goes takes none of them along. */
static void
test_gone(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct area words, real;

	(void)state;
	must_attach(env, 0, 16 * MIB);
	words = area_new(env, 1000, 0);
	real = area_new(env, 400, 0);
	write_pages(&words, 0, 1000, OWN(1));
	write_pages(&real, 0, 400, 1);
	write_pages(&real, 0, 1, 1);
	fault.vanish = true;
	for (uint64_t i = 0; i < 400 && fault.vanish; i++)
		(void)gives_bus(real.mem + i * WORDS, false);
	assert_false(fault.vanish);
	check_pages(&words, 0, 1000, OWN(1));
	area_end(&words);
	area_end(&real);
	wait_no_words(env);
	swap_pager_close(env->pager, NULL);
	env_free(env);
}

/* The end of the pager: all memory is ordinary, and as it was. */
static void
test_close(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct swap_error error = { 0 };
	struct area a, b, copy, orphan;

	(void)state;
	must_attach(env, 0, 16 * MIB);
	a = area_new(env, 1500, 0);
	b = area_new(env, 1500, SWAP_OBJECT_EXACT);
	orphan = area_new(env, 300, 0);
	for (uint64_t i = 0; i < 300; i++)
		write_pages(&orphan, i, 1, SHARED(1));
	for (uint64_t i = 0; i < 1500; i++) {
		write_pages(&a, i, 1, i % 10 == 0 ? 1 : OWN(1));
		write_pages(&b, i, 1, SHARED(i % 12));
	}
	copy = area_copy(a.object, a.id);
	assert_int_equal(swap_region_unmap(orphan.region), 0);
	write_pages(&a, 0, 20, OWN(2));
	/* Some are clean. */
	check_pages(&a, 100, 1, 1);
	for (uint64_t i = 101; i < 110; i++)
		check_pages(&a, i, 1, OWN(1));
	check_ok(swap_pager_close(env->pager, &error), &error);
	check_pages(&a, 0, 20, OWN(2));
	for (uint64_t i = 0; i < 1500; i++) {
		if (i >= 20)
			check_pages(&a, i, 1, i % 10 == 0 ? 1 : OWN(1));
		check_pages(&copy, i, 1, i % 10 == 0 ? 1 : OWN(1));
		check_pages(&b, i, 1, SHARED(i % 12));
	}
	assert_int_equal(nwords(&a), 0);
	assert_int_equal(nwords(&b), 0);
	/* It can be written, and nobody is needed for that. */
	write_pages(&a, 0, 1500, 3);
	check_pages(&a, 0, 1500, 3);
	swap_object_unref(orphan.object);
	area_end(&a);
	area_end(&b);
	area_end(&copy);
	env_free(env);
}

/* ------------------------------------------------------------- no frames */

/* While all frames of the cache are taken pages come in one by one. */
static void
test_no_frames(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct cache *cache = &env->pager->core.cache;
	struct area a, other;
	char *mem[4096];
	uint32_t n[4096];
	uint64_t pageins;
	unsigned i = 0;

	(void)state;
	must_attach(env, 0, 8 * MIB);
	a = area_new(env, 200, 0);
	other = area_new(env, 600, 0);
	for (uint64_t page = 0; page < 200; page++)
		write_pages(&a, page, 1, OWN(1));
	push_out(&a, 0, 200, &other);
	assert_int_equal(nwords(&a), 200);
	while (i < 4096 && (mem[i] = cache_take(cache, 1, &n[i])) != NULL)
		i++;
	assert_in_range(i, 1, 4095);
	pageins = totals_of(env).counters.pageins;
	check_pages(&a, 0, 200, OWN(1));
	assert_int_equal(totals_of(env).counters.pageins, pageins);
	write_pages(&a, 0, 100, OWN(2));
	while (i-- > 0)
		cache_give(cache, mem[i], n[i]);
	push_out(&a, 0, 200, &other);
	check_pages(&a, 0, 100, OWN(2));
	check_pages(&a, 100, 100, OWN(1));
	assert_true(totals_of(env).counters.pagein_fill >= 400);
	assert_int_equal(stats_of_area(env, &a).pagein_pages, 0);
	check_blocks(env);
	area_end(&a);
	area_end(&other);
	env_end(env);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(no_blocks),
		TEST(mixed),
		TEST(streams),
		TEST(write_after),
		TEST(many_words),
		TEST(release),
		TEST(get_and_wire),
		TEST(exact),
		TEST(copy),
		TEST(reserved),
		TEST(limits),
		TEST(full),
		TEST(full_fails),
		TEST(fork),
		TEST(reuse),
		TEST(detach),
		TEST(gone),
		TEST(close),
		TEST(no_frames),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
