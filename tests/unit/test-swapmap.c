/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test-swapmap.c - swap maps of every kind, and arenas
 *
 * What all kinds have in common: random operations beside a model
 * (swapmap-fixture.h), and fixed cases.  How a kind keeps its slots is the
 * matter of test-swapmap-array.c and so on, crashes that of
 * test-swapmap-crash.c.
 */
#include "swapmap-fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "arena.h"
#include "compiler.h"
#include "util.h"

/* -------------------------------------------------- random operations */

/* A second map of another kind, or none. */
static enum swapmap_kind
other_kind(unsigned i)
{
	return i % (NKINDS + 1) == NKINDS ? SWAPMAP_NKINDS :
	       all_kinds[i % (NKINDS + 1)];
}

static void
test_model_small(void **state)
{
	static const uint64_t sizes[] = {
		1, 2, 15, 16, 17, 31, 100, 511, 512, 513, 700, 1023, 1024,
		1025, 1600, 5000,
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(sizes) * NKINDS; i++) {
		struct world *w = world_create(all_kinds[i % NKINDS],
					       other_kind(i / NKINDS + i),
					       sizes[i / NKINDS], -1, i);

		drive(w, scaled(sizes[i / NKINDS] < 600 ? 20000 : 4000));
		world_destroy(w);
	}
}

static void
test_model_sparse(void **state)
{
	static const uint64_t sizes[] = {
		5000, UINT64_C(1) << 20, UINT64_C(1) << 24,
		(UINT64_C(1) << 36) - 3, UINT64_C(1) << 36, SWAPMAP_PAGES_MAX,
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(sizes) * NKINDS; i++) {
		enum swapmap_kind kind = all_kinds[i % NKINDS];
		enum swapmap_kind other = other_kind(i / NKINDS + i);
		uint64_t npages = sizes[i / NKINDS];
		struct world *w;

		if (npages > UINT64_C(1) << 24 && kind == SWAPMAP_ARRAY)
			continue;
		if (npages > UINT64_C(1) << 24 && other == SWAPMAP_ARRAY)
			other = SWAPMAP_TRIE;
		w = world_create(kind, other, npages, -1, 100 + i);
		w->sparse = true;
		w->most = 250;
		drive(w, scaled(kind == SWAPMAP_ARRAY ? 3000 : 12000));
		world_destroy(w);
	}
}

/* With memory short, what is prepared succeeds, and the rest fails whole. */
static void
test_model_scarce(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4 * NKINDS; i++) {
		struct world *w = world_create(all_kinds[i % NKINDS],
					       other_kind(i / NKINDS + i),
					       UINT64_C(1) << 20, -1, 200 + i);

		w->sparse = w->scarce = true;
		w->most = 250;
		w->account.limit = w->account.used + (i % NKINDS == 1 ? 40960 :
						      8192);
		drive(w, scaled(4000));
		assert_true(w->nrefused > 100);
		assert_true(w->nfinished > 100);
		world_destroy(w);
	}
}

/* A map that chooses itself is of two kinds in turn as it fills and empties. */
static void
test_model_auto(void **state)
{
	struct world *w = world_create(SWAPMAP_AUTO, SWAPMAP_NKINDS, 17000, -1,
				       250);

	(void)state;
	w->most = MODEL_MAX;
	assert_int_equal(swapmap_kind(w->main.map), SWAPMAP_TRIE);
	for (unsigned i = 0; i < scaled(3); i++) {
		uint64_t n = w->main.map->many + 1;

		for (uint64_t k = 0; k < n; k++) {
			set(w->main.map, k * 2, k);
			model_set(&w->main.model, k * 2, k);
		}
		assert_int_equal(swapmap_kind(w->main.map), SWAPMAP_ARRAY);
		drive(w, 300);
		(void)swapmap_clear(w->main.map, 0, UINT64_MAX, NULL, NULL);
		w->main.model.n = 0;
		drive(w, 300);
		assert_int_equal(swapmap_kind(w->main.map), SWAPMAP_TRIE);
	}
	assert_true(w->nswitched >= scaled(3));
	world_destroy(w);
}

static void
reopen_steps(enum swapmap_kind kind, int dirfd, uint64_t npages, bool sparse,
	     uint64_t seed)
{
	struct world *w = world_create(kind, SWAPMAP_NKINDS, npages, dirfd,
				       seed);

	w->sparse = sparse;
	w->most = 250;
	for (unsigned i = 0; i < scaled(1000); i++) {
		struct swapmap *successor = NULL;

		step(w);
		if (below(&w->random, 8) == 0)
			continue;
		/* The file at another address; what was prepared is over. */
		assert_int_equal(swapmap_open(dirfd, NAME, &w->account,
					      &successor), 0);
		assert_true(successor->arena.base != w->main.map->arena.base);
		assert_int_equal(swapmap_check(successor), 0);
		assert_int_equal(swapmap_kind(successor),
				 swapmap_kind(w->main.map));
		compare(successor, &w->main.model);
		swapmap_destroy(w->main.map);
		w->main.map = successor;
		memset(w->prepared, 0, sizeof(w->prepared));
	}
	world_destroy(w);
	assert_int_equal(unlinkat(dirfd, NAME, 0), 0);
}

static void
test_reopen(void **state)
{
	FOR_EACH_KIND(kind) {
		reopen_steps(kind, dir_of(state), 40, false, 301);
		reopen_steps(kind, dir_of(state), 3000, false, 302);
		reopen_steps(kind, dir_of(state), UINT64_C(1) << 20, true, 303);
		if (kind != SWAPMAP_ARRAY)
			reopen_steps(kind, dir_of(state), UINT64_C(1) << 36,
				     true, 304);
	}
}

/* ---------------------------------------------------------- fixed cases */

static void
test_kinds(void **state)
{
	struct swapmap_spec spec = { .npages = 1, .dirfd = -1 };
	enum swapmap_kind kind = SWAPMAP_NKINDS;
	struct swapmap *map = NULL;

	(void)state;
	for (unsigned i = 0; i < SWAPMAP_NKINDS; i++) {
		assert_int_equal(swapmap_kind_parse(swapmap_kind_name(i),
						    &kind), 0);
		assert_int_equal(kind, i);
	}
	assert_string_equal(swapmap_kind_name(SWAPMAP_HASH), "hash");
	assert_int_equal(swapmap_kind_parse("tree", &kind), -EINVAL);
	assert_int_equal(swapmap_kind_parse("", &kind), -EINVAL);
	spec.kind = SWAPMAP_NKINDS;
	assert_int_equal(swapmap_create(&spec, &map), -EINVAL);
	/* An array has its own limit. */
	spec.kind = SWAPMAP_ARRAY;
	spec.npages = (UINT64_C(1) << 32) + 1;
	assert_int_equal(swapmap_create(&spec, &map), -EFBIG);
	assert_null(map);
}

static void
limits_of(enum swapmap_kind kind)
{
	char header[SWAPMAP_HEADER_MAX + 1] = "";
	struct swapmap *map = NULL;
	uint64_t old = 1, page, block;
	struct swapmap_spec spec = { .kind = kind, .dirfd = -1 };

	assert_int_equal(swapmap_create(&spec, &map), -EINVAL);
	spec.npages = SWAPMAP_PAGES_MAX + 1;
	assert_int_equal(swapmap_create(&spec, &map), -EFBIG);
	spec.npages = 1;
	spec.header = header;
	spec.header_len = sizeof(header);
	assert_int_equal(swapmap_create(&spec, &map), -EINVAL);
	assert_null(map);
	map = create(kind, 20, -1);
	assert_int_equal(swapmap_npages(map), 20);
	assert_int_equal(swapmap_set(map, 20, 1, &old), -ERANGE);
	assert_int_equal(swapmap_set(map, 20, NONE, &old), -ERANGE);
	assert_int_equal(swapmap_set(map, UINT64_MAX, 1, &old), -ERANGE);
	assert_int_equal(swapmap_set(map, 0, SWAPMAP_BLOCK_MAX + 1, &old),
			 -ERANGE);
	assert_int_equal(swapmap_prepare(map, 19, 2), -ERANGE);
	assert_int_equal(swapmap_prepare(map, 20, 1), -ERANGE);
	assert_int_equal(swapmap_prepare(map, 1, UINT64_MAX), -ERANGE);
	assert_int_equal(swapmap_prepare(map, 20, 0), 0);
	assert_int_equal(old, 1);
	assert_int_equal(swapmap_get(map, 20), NONE);
	assert_int_equal(swapmap_get(map, UINT64_MAX), NONE);
	assert_false(swapmap_find(map, 20, &page, &block));
	set(map, 19, SWAPMAP_BLOCK_MAX);
	set(map, 18, SWAPMAP_BLOCK_MAX - 1);
	set(map, 0, 0);
	set(map, 1, 1);
	assert_int_equal(swapmap_get(map, 19), SWAPMAP_BLOCK_MAX);
	assert_int_equal(swapmap_run(map, 18, UINT64_MAX), 2);
	assert_int_equal(swapmap_run(map, 18, 0), 0);
	assert_int_equal(swapmap_run(map, 20, 5), 0);
	assert_int_equal(swapmap_run_before(map, 1, UINT64_MAX), 1);
	assert_int_equal(swapmap_run_before(map, 0, 9), 0);
	assert_int_equal(swapmap_clear(map, 20, 9, NULL, NULL), 0);
	assert_int_equal(swapmap_clear(map, 1, UINT64_MAX, NULL, NULL), 3);
	assert_int_equal(swapmap_get(map, 0), 0);
	swapmap_destroy(map);
}

static void
test_limits(void **state)
{
	(void)state;
	FOR_EACH_KIND(kind)
		limits_of(kind);
	swapmap_destroy(NULL);
}

/* Poison is mapped and is not a block. */
static void
poison_of(enum swapmap_kind kind)
{
	struct swapmap *map = create(kind, 100, -1);
	struct report report = { 0 };
	uint64_t old = 0, page = 0, block = 0;

	set(map, 10, 70);
	set(map, 11, POISON);
	set(map, 12, 71);
	assert_int_equal(swapmap_get(map, 11), POISON);
	assert_int_equal(swapmap_run(map, 11, 4), 0);
	assert_int_equal(swapmap_run(map, 10, 4), 1);
	assert_true(swapmap_find(map, 11, &page, &block));
	assert_true(page == 11 && block == POISON);
	assert_int_equal(swapmap_count(map), 3);
	assert_int_equal(swapmap_clear(map, 0, 100, report_add, &report), 3);
	assert_true(report.nblocks == 2 && report.nranges == 1);
	set(map, 11, POISON);
	assert_int_equal(swapmap_set(map, 11, 5, &old), 0);
	assert_int_equal(old, POISON);
	swapmap_destroy(map);
}

static void
test_poison(void **state)
{
	(void)state;
	FOR_EACH_KIND(kind)
		poison_of(kind);
}

/* In the order they should come, and after their slots are clear. */
struct order {
	const struct swapmap *map;
	unsigned n;
	uint64_t first[8], length[8];
};

static void
order_add(void *arg, uint64_t first_block, uint64_t n)
{
	struct order *order = arg;

	assert_true(order->n < ARRAY_SIZE(order->first));
	order->first[order->n] = first_block;
	order->length[order->n++] = n;
	for (uint64_t i = 0; i < n; i++)
		assert_int_equal(swapmap_get(order->map,
					     first_block + i - 1000), NONE);
}

static void
coalesce_of(enum swapmap_kind kind)
{
	struct swapmap *map = create(kind, UINT64_C(1) << 24, -1);
	struct order order = { .map = map };

	/* Block 1000 + page: three leaves long, then a gap, then one more. */
	for (uint64_t page = 5; page < 50; page++)
		set(map, page, 1000 + page);
	set(map, 600, 1600);
	assert_int_equal(swapmap_clear(map, 6, 1000, order_add, &order), 45);
	assert_int_equal(order.n, 2);
	assert_true(order.first[0] == 1006 && order.length[0] == 44);
	assert_true(order.first[1] == 1600 && order.length[1] == 1);
	assert_int_equal(swapmap_count(map), 1);

	/* Blocks of distant pages that touch, upwards and downwards. */
	set(map, 5, NONE);
	set(map, 1, 1002);
	set(map, 1 << 20, 1003);
	set(map, (1 << 24) - 1, 1001);
	order.n = 0;
	assert_int_equal(swapmap_clear(map, 0, 1 << 24, order_add, &order), 3);
	assert_int_equal(order.n, 1);
	assert_true(order.first[0] == 1001 && order.length[0] == 3);
	swapmap_destroy(map);
}

static void
test_coalesce(void **state)
{
	(void)state;
	FOR_EACH_KIND(kind)
		coalesce_of(kind);
}

/* Take all that the map's memory can hold, on pages from 1000 on. */
static uint64_t
fill_up(struct swapmap *map)
{
	uint64_t n = 0;

	int r;

	starve(map);
	while ((r = swapmap_set(map, (n + 1) * 1000, n, NULL)) == 0)
		n++;
	assert_true(r == -ENOMEM ||
		    (r == -ERANGE && (n + 1) * 1000 >= swapmap_npages(map)));
	return n;
}

static void
prepare_of(enum swapmap_kind kind)
{
	struct swapmap *map = create(kind, 1 << 20, -1);
	uint64_t page = 9, block = 0, n;
	size_t memory;

	set(map, 99, 1);
	assert_int_equal(swapmap_prepare(map, 90, 16), 0);
	assert_false(swapmap_find(map, 100, &page, &block));
	assert_int_equal(page, 9);
	assert_int_equal(swapmap_get(map, 90), NONE);
	/* Use all the memory, then take the neighbours away. */
	n = fill_up(map);
	assert_int_equal(swapmap_clear(map, 90, 16, NULL, NULL), 1);
	assert_int_equal(swapmap_check(map), 0);
	memory = swapmap_memory(map);
	if (n > 0)
		assert_int_equal(swapmap_set(map, n * 1000, NONE, NULL), 0);
	/* A range that can be had in part is not prepared at all. */
	assert_int_equal(swapmap_prepare(map, 1000, 1 << 19), -ENOMEM);
	assert_int_equal(swapmap_check(map), 0);
	if (n > 0)
		set(map, n * 1000, n);
	/* Small and large blocks. */
	for (unsigned k = 0; k < 16; k++)
		set(map, 90 + k, k % 2 == 0 ? 500 + k : WIDE_BLOCK + k);
	assert_int_equal(swapmap_check(map), 0);
	assert_int_equal(swapmap_memory(map), memory);
	for (unsigned k = 0; k < 16; k++)
		assert_int_equal(swapmap_get(map, 90 + k),
				 k % 2 == 0 ? 500 + k : WIDE_BLOCK + k);
	assert_int_equal(swapmap_count(map), 16 + n);
	swapmap_destroy(map);
}

static void
test_prepare(void **state)
{
	(void)state;
	FOR_EACH_KIND(kind)
		prepare_of(kind);
}

/* Neighbours that are prepared apart need their promises apart. */
static void
test_prepare_neighbours(void **state)
{
	(void)state;
	FOR_EACH_KIND(kind) {
		struct swapmap *map = create(kind, 20000, -1);

		assert_int_equal(swapmap_prepare(map, 505, 5), 0);
		assert_int_equal(swapmap_prepare(map, 510, 10), 0);
		assert_int_equal(swapmap_prepare(map, 3000, 5), 0);
		swapmap_unprepare(map, 505, 5);
		(void)fill_up(map);
		for (uint64_t page = 510; page < 520; page++)
			set(map, page, WIDE_BLOCK + page);
		for (uint64_t page = 3000; page < 3005; page++)
			set(map, page, SWAPMAP_BLOCK_MAX);
		assert_int_equal(swapmap_run(map, 510, 99), 10);
		assert_int_equal(swapmap_check(map), 0);
		/* Nothing is held any more: all goes. */
		(void)swapmap_clear(map, 0, UINT64_MAX, NULL, NULL);
		swapmap_unprepare(map, 0, UINT64_MAX);
		assert_int_equal(swapmap_check(map), 0);
		set(map, 7000, WIDE_BLOCK);
		swapmap_destroy(map);
	}
}

/* ------------------------------------------------------------- two maps */

static void
transfer_of(enum swapmap_kind kind, enum swapmap_kind other)
{
	struct swapmap *to = create(kind, 3000, -1);
	struct swapmap *from = create(other, 2000, -1);
	struct report report = { 0 };
	uint64_t page = 0, block = 0;

	for (uint64_t k = 100; k < 200; k++)
		set(from, k, 5000 + k);
	set(from, 200, POISON);
	set(from, 201, POISON);
	set(to, 1110, 7);
	set(to, 1111, POISON);
	set(to, 1201, 8);
	assert_int_equal(swapmap_transfer(to, 1050, from, 50, 2000, NULL,
					  NULL), -ERANGE);
	assert_int_equal(swapmap_transfer(to, 1050, from, 50, 1951, NULL,
					  NULL), -ERANGE);
	assert_int_equal(swapmap_transfer(to, 50, to, 50, 9, NULL, NULL),
			 -EINVAL);
	assert_int_equal(swapmap_count(from), 102);
	/* The destination wins where it has something, poison too. */
	assert_int_equal(swapmap_transfer(to, 1050, from, 50, 1900,
					  report_add, &report), 0);
	assert_int_equal(report.nblocks, 2);
	assert_int_equal(report.nranges, 1);
	assert_true(report.block[0] == 5110 && report.block[1] == 5111);
	assert_int_equal(swapmap_count(from), 0);
	assert_int_equal(swapmap_count(to), 102);
	assert_int_equal(swapmap_get(to, 1110), 7);
	assert_int_equal(swapmap_get(to, 1111), POISON);
	assert_int_equal(swapmap_get(to, 1201), 8);
	assert_int_equal(swapmap_get(to, 1200), POISON);
	assert_int_equal(swapmap_run(to, 1100, 99), 10);
	assert_true(swapmap_find(to, 0, &page, &block));
	assert_true(page == 1100 && block == 5100);
	assert_int_equal(swapmap_check(to), 0);
	assert_int_equal(swapmap_check(from), 0);
	swapmap_destroy(to);
	swapmap_destroy(from);
}

/* Prepared pages of the destination stay prepared, with no memory left. */
static void
transfer_held(enum swapmap_kind kind, enum swapmap_kind other)
{
	struct swapmap *to = create(kind, 100000, -1);
	struct swapmap *from = create(other, 100000, -1);

	assert_int_equal(swapmap_prepare(to, 500, 20), 0);
	assert_int_equal(swapmap_prepare(to, 40500, 1), 0);
	for (uint64_t page = 500; page < 520; page += 2)
		set(from, page, page);
	set(from, 40500, 9);
	starve(to);
	assert_int_equal(swapmap_transfer(to, 500, from, 500, 50000, NULL,
					  NULL), 0);
	assert_int_equal(swapmap_count(to), 11);
	assert_int_equal(swapmap_clear(to, 0, UINT64_MAX, NULL, NULL), 11);
	(void)fill_up(to);
	set(to, 40500, WIDE_BLOCK);
	for (uint64_t page = 500; page < 520; page++)
		set(to, page, WIDE_BLOCK + page);
	assert_int_equal(swapmap_check(to), 0);
	/* No room: nothing has changed. */
	set(from, 1, 1);
	for (uint64_t page = 50500; page < 99999; page += 16)
		set(from, page, page);
	assert_int_equal(swapmap_transfer(to, 1, from, 1, 99999, report_add,
					  NULL), -ENOMEM);
	assert_int_equal(swapmap_count(from), (99999 - 50500 + 15) / 16 + 1);
	assert_int_equal(swapmap_get(to, 50500), NONE);
	assert_int_equal(swapmap_run(to, 500, 99), 20);
	assert_int_equal(swapmap_check(to), 0);
	assert_int_equal(swapmap_check(from), 0);
	swapmap_destroy(to);
	swapmap_destroy(from);
}

static void
test_transfer(void **state)
{
	(void)state;
	FOR_EACH_KIND(kind) {
		for (unsigned i = 0; i < NKINDS; i++) {
			transfer_of(kind, all_kinds[i]);
			transfer_held(kind, all_kinds[i]);
		}
	}
}

static void
copy_of(enum swapmap_kind kind, enum swapmap_kind other)
{
	struct swapmap *to = create(kind, 20000, -1);
	struct swapmap *from = create(other, 20000, -1);
	struct swapmap *longer = create(other, 20001, -1);

	for (uint64_t page = 0; page < 20000; page += 1 + page % 7)
		set(from, page, page == 8 ? POISON : page << 20);
	assert_int_equal(swapmap_prepare(from, 1, 600), 0);
	assert_int_equal(swapmap_copy(to, to), -EINVAL);
	assert_int_equal(swapmap_copy(longer, from), -EINVAL);
	assert_int_equal(swapmap_copy(to, from), 0);
	assert_int_equal(swapmap_count(to), swapmap_count(from));
	for (uint64_t page = 0; page < 20000; page++)
		assert_int_equal(swapmap_get(to, page),
				 swapmap_get(from, page));
	assert_int_equal(swapmap_check(to), 0);
	assert_int_equal(swapmap_copy(to, from), -EINVAL);
	swapmap_destroy(to);
	/* Half way there is no more room. */
	to = create(kind, 20000, -1);
	starve(to);
	assert_int_equal(swapmap_copy(to, from), -ENOMEM);
	assert_int_equal(swapmap_count(to), 0);
	assert_int_equal(swapmap_check(to), 0);
	swapmap_destroy(to);
	swapmap_destroy(from);
	swapmap_destroy(longer);
}

static void
test_copy(void **state)
{
	(void)state;
	FOR_EACH_KIND(kind) {
		for (unsigned i = 0; i < NKINDS; i++)
			copy_of(kind, all_kinds[i]);
	}
}

/* --------------------------------------------------------------- memory */

/* What a map holds is counted, and the limit is kept. */
static void
account_of(enum swapmap_kind kind, int dirfd)
{
	struct arena_account account = { .limit = 0 };
	struct swapmap *map = create_charged(kind, 1 << 20, dirfd, &account);
	struct swapmap_spec spec = {
		.kind = kind, .npages = 10, .dirfd = -1, .account = &account,
	};
	struct swapmap *other = NULL;
	uint64_t n = 0, used = account.used;
	int r;

	assert_int_equal(used + sizeof(*map), swapmap_memory(map));
	account.limit = used + 16384;
	assert_int_equal(swapmap_prepare(map, 1, 5), 0);
	do {
		n++;
		r = swapmap_set(map, n * 1000, n, NULL);
	} while (r == 0);
	assert_int_equal(r, -EDQUOT);
	assert_true(n > 2);
	assert_int_equal(swapmap_prepare(map, n * 1000, 1), -EDQUOT);
	account.limit = 1;
	assert_int_equal(swapmap_create(&spec, &other), -EDQUOT);
	assert_true(account.used > used && account.used <= used + 16384);
	assert_int_equal(account.used + sizeof(*map), swapmap_memory(map));
	assert_int_equal(swapmap_count(map), n - 1);
	for (uint64_t page = 1; page < 6; page++)
		set(map, page, WIDE_BLOCK + page);
	assert_int_equal(swapmap_check(map), 0);
	swapmap_destroy(map);
	assert_int_equal(account.used, 0);
	/* A successor's is counted too, though it is beyond the limit. */
	assert_int_equal(swapmap_open(dirfd, NAME, &account, &map), 0);
	assert_int_equal(account.used + sizeof(*map), swapmap_memory(map));
	assert_int_equal(swapmap_set(map, n * 1000, 1, NULL), -EDQUOT);
	assert_int_equal(swapmap_count(map), n + 4);
	swapmap_destroy(map);
	assert_int_equal(account.used, 0);
	assert_int_equal(unlinkat(dirfd, NAME, 0), 0);
}

static void
test_account(void **state)
{
	FOR_EACH_KIND(kind)
		account_of(kind, dir_of(state));
}

/* Growth number @fail_at fails from now on; UINT_MAX: none. */
static struct {
	unsigned count, fail_at;
} growth = { 0, UINT_MAX };

int __real_arena_grow(struct arena *arena, size_t size);
int __wrap_arena_grow(struct arena *arena, size_t size);

int
__wrap_arena_grow(struct arena *arena, size_t size)
{
	if (size > arena->size && growth.count++ >= growth.fail_at)
		return -ENOSPC;
	return __real_arena_grow(arena, size);
}

/* Something of everything, on pages of which each needs a node. */
static int
use_much(struct swapmap *map, uint64_t *pages, unsigned npages)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < npages; i++) {
		if (i % 5 == 4)
			r = swapmap_prepare(map, pages[i], 1);
		if (r < 0)
			break;
		r = swapmap_set(map, pages[i], i % 3 == 0 ? WIDE_BLOCK + i : i,
				NULL);
		/* A prepared page can be set; it was not counted before. */
		assert_true(i % 5 != 4 || r == 0);
	}
	return r;
}

/* Every growth fails once; the map stays sound and can go on afterwards. */
static void
growths_fail(enum swapmap_kind kind)
{
	uint64_t pages[60], random = 77;
	bool passed = false;

	for (unsigned i = 0; i < ARRAY_SIZE(pages); i++)
		pages[i] = (i < 40 ? i * 600 : 30000 + i) +
			   below(&random, 16);
	for (unsigned at = 0; !passed; at++) {
		struct swapmap_spec spec = {
			.kind = kind, .npages = 40000, .dirfd = -1,
		};
		struct swapmap *map = NULL;
		int r;

		growth.count = 0;
		growth.fail_at = at;
		r = swapmap_create(&spec, &map);
		if (r < 0) {
			assert_int_equal(r, -ENOSPC);
			assert_null(map);
			continue;
		}
		r = use_much(map, pages, ARRAY_SIZE(pages));
		assert_true(r == 0 || r == -ENOSPC);
		passed = growth.count <= at;
		assert_true(!passed || r == 0);
		growth.fail_at = UINT_MAX;
		assert_int_equal(swapmap_check(map), 0);
		assert_int_equal(use_much(map, pages, ARRAY_SIZE(pages)), 0);
		for (unsigned i = 0; i < ARRAY_SIZE(pages); i++)
			assert_true(swapmap_get(map, pages[i]) != NONE);
		assert_int_equal(swapmap_check(map), 0);
		swapmap_destroy(map);
		assert_true(at < 1000);
	}
}

static void
test_each_growth_fails(void **state)
{
	(void)state;
	FOR_EACH_KIND(kind)
		growths_fail(kind);
}

/* The file of an empty map of 1,000 pages. */
static rlim_t
start_bytes(enum swapmap_kind kind)
{
	struct swapmap *map = create(kind, 1000, -1);
	size_t size = map->arena.size;

	swapmap_destroy(map);
	return size;
}

/* A file that cannot grow: the error is the system's, the map is unharmed. */
static void
no_space_of(enum swapmap_kind kind, int dirfd)
{
	struct swapmap_spec spec = {
		.kind = kind, .npages = 1000, .name = NAME,
	};
	struct rlimit limit, small;
	struct swapmap *map = NULL;
	uint64_t page = 0;
	int r;

	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	small = limit;
	small.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	spec.dirfd = dirfd;
	assert_int_equal(swapmap_create(&spec, &map), -EFBIG);
	assert_int_equal(faccessat(dirfd, NAME, F_OK, 0), -1);
	small.rlim_cur = start_bytes(kind);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	map = create(kind, 1000, dirfd);
	/* What fits in the pages that it has. */
	for (r = 0; r == 0 && page < 1000; page++)
		r = swapmap_set(map, page, page, NULL);
	assert_int_equal(r, -EFBIG);
	assert_int_equal(swapmap_prepare(map, 900, 99), -EFBIG);
	assert_int_equal(swapmap_check(map), 0);
	assert_int_equal(swapmap_count(map), page - 1);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	set(map, page, 5);
	assert_int_equal(swapmap_get(map, page), 5);
	swapmap_destroy(map);
	assert_int_equal(unlinkat(dirfd, NAME, 0), 0);
	signal(SIGXFSZ, SIG_DFL);
}

static void
test_no_space(void **state)
{
	FOR_EACH_KIND(kind)
		no_space_of(kind, dir_of(state));
}

static void
header_of(enum swapmap_kind kind, int dirfd)
{
	unsigned char header[SWAPMAP_HEADER_MAX];
	struct swapmap *map = NULL, *other = NULL;
	struct swapmap_spec spec = {
		.kind = kind, .npages = 1000, .name = NAME,
		.header = header, .header_len = sizeof(header),
	};

	for (size_t i = 0; i < sizeof(header); i++)
		header[i] = (unsigned char)(i * 7);
	spec.dirfd = dirfd;
	assert_int_equal(swapmap_create(&spec, &map), 0);
	spec.header_len = 0;
	assert_int_equal(swapmap_create(&spec, &other), -EEXIST);
	set(map, 999, 1);
	((unsigned char *)swapmap_header(map))[3] = 99;
	swapmap_destroy(map);
	assert_int_equal(swapmap_open(dirfd, NAME, NULL, &map), 0);
	header[3] = 99;
	assert_memory_equal(swapmap_header(map), header, sizeof(header));
	assert_int_equal(swapmap_npages(map), 1000);
	assert_int_equal(swapmap_get(map, 999), 1);
	swapmap_destroy(map);
	assert_int_equal(unlinkat(dirfd, NAME, 0), 0);
}

static void
test_header(void **state)
{
	FOR_EACH_KIND(kind)
		header_of(kind, dir_of(state));
}

/* --------------------------------------------------------------- arenas */

static void
arena_cases(int dirfd, const char *name)
{
	struct arena arena;
	size_t page = page_bytes(), old;
	char *base;

	assert_int_equal(arena_create(&arena, dirfd, name, 40 * page), 0);
	assert_int_equal(arena.size, 0);
	base = arena.base;
	assert_int_equal(arena_grow(&arena, 1), 0);
	assert_int_equal(arena.size, page);
	memset(arena.base, 0xff, page);
	while (arena.size < arena.reserved) {
		old = arena.size;
		assert_int_equal(arena_grow(&arena, old + 1), 0);
		assert_true(arena.size > old && arena.size <= arena.reserved);
		assert_ptr_equal(arena.base, base);
		for (size_t i = old; i < arena.size; i++)
			assert_int_equal(base[i], 0);
		memset(base + old, 0xff, arena.size - old);
	}
	assert_int_equal(arena_grow(&arena, 40 * page), 0);
	assert_int_equal(arena_grow(&arena, 40 * page + 1), -ENOMEM);
	assert_int_equal(arena_grow(&arena, SIZE_MAX), -ENOMEM);
	arena_destroy(&arena);
}

static void
test_arena(void **state)
{
	struct arena arena = { .fd = 77 };
	size_t page = page_bytes();

	arena_cases(-1, NULL);
	arena_cases(dir_of(state), NAME);
	assert_int_equal(arena_create(&arena, dir_of(state), NAME, page),
			 -EEXIST);
	assert_int_equal(arena_create(&arena, dir_of(state), "copy", 0),
			 -EINVAL);
	assert_int_equal(faccessat(dir_of(state), "copy", F_OK, 0), -1);
	assert_int_equal(arena_open(&arena, dir_of(state), ".", page),
			 -EISDIR);
	assert_int_equal(arena.fd, 77);
	assert_int_equal(arena_open(&arena, dir_of(state), NAME, page), 0);
	assert_int_equal(arena.size, page);
	arena_destroy(&arena);
	assert_int_equal(arena_open(&arena, dir_of(state), NAME, 100 * page),
			 0);
	assert_int_equal(arena.size, 40 * page);
	assert_int_equal((unsigned char)arena.base[40 * page - 1], 0xff);
	assert_int_equal(arena_grow(&arena, 90 * page), 0);
	assert_int_equal(arena.base[90 * page - 1], 0);
	arena_destroy(&arena);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_arena),
		TEST(test_kinds),
		TEST(test_limits),
		TEST(test_poison),
		TEST(test_coalesce),
		TEST(test_prepare),
		TEST(test_prepare_neighbours),
		TEST(test_transfer),
		TEST(test_copy),
		TEST(test_account),
		TEST(test_each_growth_fails),
		TEST(test_no_space),
		TEST(test_header),
		TEST(test_model_small),
		TEST(test_model_sparse),
		TEST(test_model_scarce),
		TEST(test_model_auto),
		TEST(test_reopen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
