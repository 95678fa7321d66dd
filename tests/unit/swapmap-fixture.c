/* SPDX-License-Identifier: BSD-2-Clause */
/* swapmap-fixture.c - what the tests of swap maps have in common */
#include "swapmap-fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "compiler.h"

/* ------------------------------------------------------------- helpers */

uint64_t
next_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

uint64_t
below(uint64_t *state, uint64_t n)
{
	return next_random(state) % n;
}

uint64_t
below_log(uint64_t *state, uint64_t n)
{
	unsigned bits = 64 - (unsigned)__builtin_clzll(n | 1);

	return below(state, min_u64(n, UINT64_C(1) << below(state, bits + 1)));
}

unsigned
scaled(unsigned n)
{
	const char *scale = getenv("SWAPMAP_TEST_SCALE");

	return scale == NULL ? n : n * (unsigned)strtoul(scale, NULL, 10);
}

struct fixture {
	char	path[128];
	int	dirfd;
};

int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	const char *tmp = getenv("TMPDIR");

	if (f == NULL)
		return -1;
	snprintf(f->path, sizeof(f->path), "%.90s/test-swapmap.XXXXXX",
		 tmp != NULL ? tmp : "/tmp");
	if (mkdtemp(f->path) == NULL)
		return -1;
	f->dirfd = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*state = f;
	return f->dirfd < 0;
}

int
teardown(void **state)
{
	static const char *const names[] = {
		NAME, NAME ".new", "copy", "link",
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		(void)unlinkat(f->dirfd, names[i], 0);
	close(f->dirfd);
	rmdir(f->path);
	free(f);
	return 0;
}

int
dir_of(void **state)
{
	return ((struct fixture *)*state)->dirfd;
}

const enum swapmap_kind all_kinds[NKINDS] = {
	SWAPMAP_AUTO, SWAPMAP_ARRAY, SWAPMAP_HASH, SWAPMAP_TRIE,
};

struct swapmap *
create_charged(enum swapmap_kind kind, uint64_t npages, int dirfd,
	       struct arena_account *account)
{
	struct swapmap_spec spec = {
		.kind = kind,
		.npages = npages,
		.dirfd = dirfd,
		.name = dirfd < 0 ? NULL : NAME,
		.account = account,
	};
	struct swapmap *map = NULL;

	assert_int_equal(swapmap_create(&spec, &map), 0);
	if (kind != SWAPMAP_AUTO)
		assert_int_equal(swapmap_kind(map), kind);
	return map;
}

struct swapmap *
create(enum swapmap_kind kind, uint64_t npages, int dirfd)
{
	return create_charged(kind, npages, dirfd, NULL);
}

void
set(struct swapmap *map, uint64_t page, uint64_t block)
{
	assert_int_equal(swapmap_set(map, page, block, NULL), 0);
}

void
starve(struct swapmap *map)
{
	map->arena.reserved = map->arena.size;
	map->aside.reserved = map->aside.size;
}

/* --------------------------------------------------------------- model */

size_t
model_index(const struct model *model, uint64_t page)
{
	size_t low = 0, high = model->n;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (model->at[middle].page < page)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

uint64_t
model_get(const struct model *model, uint64_t page)
{
	size_t i = model_index(model, page);

	return i < model->n && model->at[i].page == page ?
	       model->at[i].block : NONE;
}

void
model_set(struct model *model, uint64_t page, uint64_t block)
{
	size_t i = model_index(model, page);
	bool there = i < model->n && model->at[i].page == page;
	size_t after = model->n - i;

	if (block == NONE && there) {
		memmove(&model->at[i], &model->at[i + 1],
			(after - 1) * sizeof(model->at[0]));
		model->n--;
	} else if (block != NONE) {
		if (!there) {
			assert_true(model->n < MODEL_MAX);
			memmove(&model->at[i + 1], &model->at[i],
				after * sizeof(model->at[0]));
			model->n++;
		}
		model->at[i].page = page;
		model->at[i].block = block;
	}
}

static uint64_t
model_run(const struct model *model, uint64_t page, uint64_t max)
{
	uint64_t n = 0, block = model_get(model, page);

	if (block == NONE || block == POISON)
		return 0;
	while (n < max && model_get(model, page + n) == block + n)
		n++;
	return n;
}

static uint64_t
model_run_before(const struct model *model, uint64_t page, uint64_t max)
{
	uint64_t n = 0, block = model_get(model, page);

	if (block == NONE || block == POISON)
		return 0;
	while (n < max && n < page && n < block &&
	       model_get(model, page - n - 1) == block - n - 1)
		n++;
	return n;
}

/* Compares what swapmap_each() visits; @at: the next one to come. */
struct visit {
	const struct model *model;
	size_t at;
	unsigned left;		/* stop when so many have been visited */
};

static int
visit_compare(void *arg, uint64_t page, uint64_t block)
{
	struct visit *visit = arg;

	assert_true(visit->at < visit->model->n);
	assert_int_equal(page, visit->model->at[visit->at].page);
	assert_int_equal(block, visit->model->at[visit->at].block);
	visit->at++;
	return --visit->left == 0 ? 77 : 0;
}

/* The first @left pages that are visited in a range are the model's. */
static void
compare_each(const struct swapmap *map, const struct model *model,
	     uint64_t page, uint64_t n, unsigned left)
{
	size_t first = model_index(model, page);
	size_t end = page + n < page ? model->n : model_index(model, page + n);
	struct visit visit = { .model = model, .at = first, .left = left };
	int r = swapmap_each(map, page, n, visit_compare, &visit);

	if (left > 0 && end - first >= left) {
		assert_int_equal(r, 77);
		assert_int_equal(visit.at, first + left);
	} else {
		assert_int_equal(r, 0);
		assert_int_equal(visit.at, end);
	}
}

void
compare(const struct swapmap *map, const struct model *model)
{
	uint64_t page = 0, block = 0, from = 0;

	assert_int_equal(swapmap_count(map), model->n);
	for (size_t i = 0; i < model->n; i++) {
		assert_true(swapmap_find(map, from, &page, &block));
		assert_int_equal(page, model->at[i].page);
		assert_int_equal(block, model->at[i].block);
		assert_int_equal(swapmap_get(map, page), block);
		from = page + 1;
	}
	assert_false(swapmap_find(map, from, &page, &block));
	compare_each(map, model, 0, UINT64_MAX, 0);
	if (swapmap_npages(map) > 6000)
		return;
	for (page = 0; page < swapmap_npages(map); page++)
		assert_int_equal(swapmap_get(map, page),
				 model_get(model, page));
}

/* --------------------------------------------------- reported blocks */

void
report_add(void *arg, uint64_t first_block, uint64_t n)
{
	struct report *report = arg;

	assert_true(n > 0);
	report->nranges++;
	for (uint64_t i = 0; i < n; i++) {
		assert_true(report->nblocks < MODEL_MAX);
		report->block[report->nblocks++] = first_block + i;
	}
}

/* One block more, of the next page: it lengthens the last range, or not. */
static void
report_block(struct report *report, uint64_t block, uint64_t *low,
	     uint64_t *high)
{
	if (block == POISON)
		return;
	if (report->nranges > 0 && block == *high + 1) {
		*high = block;
	} else if (report->nranges > 0 && block + 1 == *low) {
		*low = block;
	} else {
		*low = *high = block;
		report->nranges++;
	}
	report->block[report->nblocks++] = block;
}

/* What clearing the pages should report; clears the model.  The pages. */
static uint64_t
model_clear(struct model *model, uint64_t page, uint64_t n,
	    struct report *report)
{
	size_t first = model_index(model, page);
	size_t last = page + n < page ? model->n : model_index(model, page + n);
	uint64_t low = 0, high = 0;

	for (size_t i = first; i < last; i++)
		report_block(report, model->at[i].block, &low, &high);
	memmove(&model->at[first], &model->at[last],
		(model->n - last) * sizeof(model->at[0]));
	model->n -= last - first;
	return last - first;
}

static int
compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static bool
has_twins(const struct report *sorted)
{
	for (size_t i = 1; i < sorted->nblocks; i++) {
		if (sorted->block[i] == sorted->block[i - 1])
			return true;
	}
	return false;
}

/* The same blocks, and where each is there once in no more ranges. */
static void
compare_reports(struct report *got, struct report *expected)
{
	assert_int_equal(got->nblocks, expected->nblocks);
	qsort(got->block, got->nblocks, sizeof(uint64_t), compare_u64);
	qsort(expected->block, expected->nblocks, sizeof(uint64_t),
	      compare_u64);
	if (!has_twins(expected))
		assert_true(got->nranges <= expected->nranges);
	assert_memory_equal(got->block, expected->block,
			    got->nblocks * sizeof(uint64_t));
}

static void
reports_reset(struct world *w)
{
	w->got.nblocks = w->got.nranges = 0;
	w->expected.nblocks = w->expected.nranges = 0;
}

/* -------------------------------------------------- random operations */

static uint64_t
pick_page(struct world *w)
{
	unsigned i = (unsigned)below(&w->random, SPOTS);

	if (!w->sparse)
		return below(&w->random, w->npages);
	if (below(&w->random, 30) == 0)
		w->spot[i] = below_log(&w->random, w->npages);
	return min_u64(w->spot[i] + below(&w->random, 70), w->npages - 1);
}

static uint64_t
pick_block(struct world *w, uint64_t page)
{
	const struct model *model = &w->main.model;
	uint64_t before = page > 0 ? model_get(model, page - 1) : NONE;
	uint64_t after = model_get(model, page + 1);

	switch (below(&w->random, 9)) {
	case 0:
		return below(&w->random, 4);
	case 1:
		return SWAPMAP_BLOCK_MAX - below(&w->random, 4);
	case 2:
		return POISON;
	case 3:
		return WIDE_BLOCK - 3 + below(&w->random, 6);
	case 4:
		if (after - 1 < SWAPMAP_BLOCK_MAX)
			return after - 1;
		break;
	case 5:
		return below(&w->random, UINT64_C(1) << 40);
	default:
		if (before < SWAPMAP_BLOCK_MAX)
			return before + 1;
	}
	return below(&w->random, UINT64_C(1) << 30);
}

static bool
is_prepared(const struct world *w, uint64_t page, uint64_t n)
{
	for (unsigned i = 0; i < RANGES; i++) {
		if (page < w->prepared[i].page + w->prepared[i].n &&
		    w->prepared[i].page < page + n)
			return true;
	}
	return false;
}

/* May setting @block where @before is be refused for want of memory? */
static bool
may_refuse(const struct world *w, uint64_t before, uint64_t block)
{
	if (!w->scarce || block == NONE)
		return false;
	return before == NONE || (block != POISON && block >= WIDE_BLOCK);
}

static void
step_set(struct world *w, uint64_t page, uint64_t block)
{
	struct model *model = &w->main.model;
	uint64_t before = model_get(model, page), old = 12345;
	enum swapmap_kind kind = swapmap_kind(w->main.map);
	int r = swapmap_set(w->main.map, page, block, &old);

	if (r == -EDQUOT) {
		assert_true(may_refuse(w, before, block));
		assert_int_equal(old, 12345);
		w->nrefused++;
		return;
	}
	assert_int_equal(r, 0);
	assert_int_equal(old, before);
	model_set(model, page, block);
	w->nswitched += swapmap_kind(w->main.map) != kind;
}

static void
step_clear(struct world *w, struct side *side)
{
	uint64_t page = pick_page(w), nmapped;
	uint64_t n = below_log(&w->random, w->npages + 100);

	if (side->model.n > w->most) {
		page = below_log(&w->random, w->npages);
		n = UINT64_MAX;
	}
	reports_reset(w);
	nmapped = swapmap_clear(side->map, page, n, report_add, &w->got);
	assert_int_equal(nmapped, model_clear(&side->model, page, n,
					      &w->expected));
	compare_reports(&w->got, &w->expected);
}

/*
 * Prepared pages are set while nothing can be had.  A page that is set is no
 * longer prepared: set each, or give it up.
 */
static void
step_finish(struct world *w, unsigned i)
{
	uint64_t page = w->prepared[i].page, n = w->prepared[i].n;
	bool all = below(&w->random, 2) == 0;
	uint64_t limit = w->account.limit;

	w->account.limit = 1;
	for (uint64_t k = 0; k < n; k++) {
		uint64_t block = pick_block(w, page + k);
		unsigned nrefused = w->nrefused;

		if (!all && below(&w->random, 2) == 0)
			continue;
		step_set(w, page + k, block);
		assert_int_equal(w->nrefused, nrefused);
		w->nfinished++;
	}
	if (!all)
		swapmap_unprepare(w->main.map, page, n);
	w->prepared[i].n = 0;
	w->account.limit = limit;
}

static void
step_prepare(struct world *w)
{
	unsigned i = (unsigned)below(&w->random, RANGES);
	uint64_t page = pick_page(w);
	uint64_t n = 1 + below(&w->random, min_u64(50, w->npages - page));
	int r;

	if (w->prepared[i].n > 0) {
		step_finish(w, i);
		return;
	}
	if (is_prepared(w, page, n))
		return;
	r = swapmap_prepare(w->main.map, page, n);
	if (w->scarce && r == -EDQUOT) {
		w->nrefused++;
		return;
	}
	assert_int_equal(r, 0);
	w->prepared[i].page = page;
	w->prepared[i].n = n;
}

/* What a transfer does, in the models; reports what loses. */
static void
model_transfer(struct model *to, uint64_t to_page, struct model *from,
	       uint64_t from_page, uint64_t n, struct report *report)
{
	uint64_t low = 0, high = 0;
	size_t i;

	while ((i = model_index(from, from_page)) < from->n &&
	       from->at[i].page - from_page < n) {
		uint64_t page = from->at[i].page, block = from->at[i].block;
		uint64_t there = page - from_page + to_page;

		if (model_get(to, there) == NONE)
			model_set(to, there, block);
		else
			report_block(report, block, &low, &high);
		model_set(from, page, NONE);
	}
}

static void
step_transfer(struct world *w)
{
	bool out = below(&w->random, 2) == 0;
	struct side *to = out ? &w->other : &w->main;
	struct side *from = out ? &w->main : &w->other;
	uint64_t to_page = pick_page(w), from_page = pick_page(w);
	uint64_t n = 1 + below_log(&w->random, min_u64(w->npages - to_page,
						       w->npages - from_page));
	int r;

	if (to->model.n + from->model.n > MODEL_MAX)
		return;
	reports_reset(w);
	r = swapmap_transfer(to->map, to_page, from->map, from_page, n,
			     report_add, &w->got);
	if (r == -EDQUOT && w->scarce) {
		w->nrefused++;
		compare(to->map, &to->model);
		compare(from->map, &from->model);
	} else {
		assert_int_equal(r, 0);
		model_transfer(&to->model, to_page, &from->model, from_page, n,
			       &w->expected);
	}
	compare_reports(&w->got, &w->expected);
	assert_int_equal(swapmap_check(w->other.map), 0);
}

static void
step_copy(struct world *w)
{
	enum swapmap_kind kind = all_kinds[below(&w->random, NKINDS)];
	struct swapmap *copy;
	int r;

	if (kind == SWAPMAP_ARRAY && w->npages > UINT64_C(1) << 24)
		kind = SWAPMAP_HASH;
	copy = create(kind, w->npages, -1);
	if (below(&w->random, 8) == 0) {
		starve(copy);
		r = swapmap_copy(copy, w->main.map);
		if (r < 0) {
			assert_int_equal(r, -ENOMEM);
			assert_int_equal(swapmap_count(copy), 0);
		}
	} else {
		r = swapmap_copy(copy, w->main.map);
		assert_int_equal(r, 0);
	}
	assert_int_equal(swapmap_check(copy), 0);
	if (r == 0)
		compare(copy, &w->main.model);
	swapmap_destroy(copy);
}

static void
ask_find(struct world *w)
{
	const struct side *side = &w->main;
	uint64_t page = below_log(&w->random, w->npages + 10);
	uint64_t found = 1, block = 2;
	size_t i = model_index(&side->model, page);

	if (swapmap_find(side->map, page, &found, &block)) {
		assert_true(i < side->model.n);
		assert_int_equal(found, side->model.at[i].page);
		assert_int_equal(block, side->model.at[i].block);
	} else {
		assert_int_equal(i, side->model.n);
		assert_true(found == 1 && block == 2);
	}
}

static void
ask_find_in(struct world *w)
{
	const struct side *side = &w->main;
	uint64_t page = pick_page(w), n = below_log(&w->random, w->npages);
	uint64_t lo = below_log(&w->random, SWAPMAP_BLOCK_MAX);
	uint64_t hi = lo + below_log(&w->random, SWAPMAP_BLOCK_MAX);
	uint64_t found = 1, block = 2;
	size_t i = model_index(&side->model, page);

	while (i < side->model.n && side->model.at[i].page - page < n &&
	       (side->model.at[i].block < lo || side->model.at[i].block >= hi))
		i++;
	if (i < side->model.n && side->model.at[i].page - page < n) {
		assert_true(swapmap_find_in(side->map, page, n, lo, hi, &found,
					    &block));
		assert_int_equal(found, side->model.at[i].page);
		assert_int_equal(block, side->model.at[i].block);
	} else {
		assert_false(swapmap_find_in(side->map, page, n, lo, hi,
					     &found, &block));
		assert_true(found == 1 && block == 2);
	}
}

static void
step_ask(struct world *w)
{
	const struct side *side = &w->main;
	uint64_t page = pick_page(w), max = below_log(&w->random, 200);

	assert_int_equal(swapmap_get(side->map, page),
			 model_get(&side->model, page));
	assert_int_equal(swapmap_run(side->map, page, max),
			 model_run(&side->model, page, max));
	assert_int_equal(swapmap_run_before(side->map, page, max),
			 model_run_before(&side->model, page, max));
	assert_int_equal(swapmap_count(side->map), side->model.n);
	ask_find(w);
	ask_find_in(w);
	compare_each(side->map, &side->model, page,
		     below_log(&w->random, w->npages),
		     (unsigned)below(&w->random, 40));
}

void
step(struct world *w)
{
	uint64_t page = pick_page(w);
	unsigned what = (unsigned)below(&w->random, 40);

	if (what == 0 || w->main.model.n > w->most)
		step_clear(w, &w->main);
	else if (what < 4 && w->other.map != NULL)
		step_transfer(w);
	else if (what < 5 && w->other.map != NULL)
		step_clear(w, &w->other);
	else if (what < 10)
		step_set(w, page, NONE);
	else if (what < 16)
		step_prepare(w);
	else if (!is_prepared(w, page, 1))
		step_set(w, page, pick_block(w, page));
	step_ask(w);
	if (below(&w->random, 500) == 0)
		step_copy(w);
}

struct world *
world_create(enum swapmap_kind kind, enum swapmap_kind other, uint64_t npages,
	     int dirfd, uint64_t seed)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	w->main.map = create_charged(kind, npages, dirfd, &w->account);
	if (other != SWAPMAP_NKINDS)
		w->other.map = create_charged(other, npages, -1, &w->account);
	w->npages = npages;
	w->most = MODEL_MAX / 2;
	w->random = seed;
	return w;
}

static void
side_destroy(struct world *w, struct side *side)
{
	if (side->map == NULL)
		return;
	compare(side->map, &side->model);
	assert_int_equal(swapmap_check(side->map), 0);
	(void)swapmap_clear(side->map, 0, w->npages, NULL, NULL);
	assert_int_equal(swapmap_check(side->map), 0);
	swapmap_destroy(side->map);
}

void
world_destroy(struct world *w)
{
	for (unsigned i = 0; i < RANGES; i++)
		swapmap_unprepare(w->main.map, w->prepared[i].page,
				  w->prepared[i].n);
	side_destroy(w, &w->main);
	side_destroy(w, &w->other);
	/* All that was counted has come back. */
	assert_int_equal(w->account.used, 0);
	free(w);
}

void
drive(struct world *w, unsigned nsteps)
{
	for (unsigned i = 0; i < nsteps; i++) {
		step(w);
		assert_int_equal(swapmap_check(w->main.map), 0);
		if (i % 64 == 0)
			compare(w->main.map, &w->main.model);
	}
}
