/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test-swapmap.c - arenas and swap maps
 *
 * The map is driven with random operations beside a naive model, a sorted
 * array, and every value it returns is compared.  Crashes are tried in two
 * ways: SIGKILL at a random moment, and a process that is stepped instruction
 * by instruction, with a successor opening a copy of the file after each
 * instruction that changed it.  The sources are included so that faults can be
 * planted, and memory be made scarce.
 *
 * SWAPMAP_TEST_SCALE=N multiplies the number of random steps.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "arena.c"
#include "swapmap.c"
#include "swapmap-trie.c"

#define NAME	"map"
#define NONE	SWAPMAP_NONE
#define POISON	SWAPMAP_POISON

/* ------------------------------------------------------------- helpers */

static uint64_t
next_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static uint64_t
below(uint64_t *state, uint64_t n)
{
	return next_random(state) % n;
}

/* All magnitudes up to @n alike. */
static uint64_t
below_log(uint64_t *state, uint64_t n)
{
	unsigned bits = 64 - (unsigned)__builtin_clzll(n | 1);

	return below(state, min_u64(n, UINT64_C(1) << below(state, bits + 1)));
}

static unsigned
scaled(unsigned n)
{
	const char *scale = getenv("SWAPMAP_TEST_SCALE");

	return scale == NULL ? n : n * (unsigned)strtoul(scale, NULL, 10);
}

/* Every test has a directory of its own. */
struct fixture {
	char	path[128];
	int	dirfd;
};

static int
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

static int
teardown(void **state)
{
	static const char *const names[] = { NAME, "copy", "link" };
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		(void)unlinkat(f->dirfd, names[i], 0);
	close(f->dirfd);
	rmdir(f->path);
	free(f);
	return 0;
}

static int
dir_of(void **state)
{
	return ((struct fixture *)*state)->dirfd;
}

static struct swapmap *
create(uint64_t npages, int dirfd)
{
	struct swapmap_spec spec = {
		.kind = SWAPMAP_TRIE,
		.npages = npages,
		.dirfd = dirfd,
		.name = dirfd < 0 ? NULL : NAME,
	};
	struct swapmap *map = NULL;

	assert_int_equal(swapmap_create(&spec, &map), 0);
	return map;
}

static void
set(struct swapmap *map, uint64_t page, uint64_t block)
{
	assert_int_equal(swapmap_set(map, page, block, NULL), 0);
}

/* --------------------------------------------------------------- model */

#define MODEL_MAX	8192

/* Mapped pages in order. */
struct model {
	size_t	 n;
	struct {
		uint64_t page;
		uint64_t block;
	} at[MODEL_MAX];
};

static size_t
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

static uint64_t
model_get(const struct model *model, uint64_t page)
{
	size_t i = model_index(model, page);

	return i < model->n && model->at[i].page == page ?
	       model->at[i].block : NONE;
}

static void
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

/* The map says what the model says, from the first page to the last. */
static void
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
	if (swapmap_npages(map) > 20000)
		return;
	for (page = 0; page < swapmap_npages(map); page++)
		assert_int_equal(swapmap_get(map, page),
				 model_get(model, page));
}

/* --------------------------------------------------- reported blocks */

struct report {
	size_t	 nblocks;
	size_t	 nranges;
	uint64_t block[MODEL_MAX];
};

static void
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

/* What clearing the pages should report; clears the model.  The pages. */
static uint64_t
model_clear(struct model *model, uint64_t page, uint64_t n,
	    struct report *report)
{
	size_t first = model_index(model, page);
	size_t last = page + n < page ? model->n : model_index(model, page + n);
	uint64_t low = 1, high = 0;	/* the range so far: empty */

	for (size_t i = first; i < last; i++) {
		uint64_t block = model->at[i].block;

		if (block == POISON)
			continue;
		report->block[report->nblocks++] = block;
		if (low <= high && block == high + 1) {
			high = block;
		} else if (low <= high && block + 1 == low) {
			low = block;
		} else {
			low = high = block;
			report->nranges++;
		}
	}
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

static void
compare_reports(struct report *got, struct report *expected)
{
	assert_int_equal(got->nblocks, expected->nblocks);
	assert_int_equal(got->nranges, expected->nranges);
	qsort(got->block, got->nblocks, sizeof(uint64_t), compare_u64);
	qsort(expected->block, expected->nblocks, sizeof(uint64_t),
	      compare_u64);
	assert_memory_equal(got->block, expected->block,
			    got->nblocks * sizeof(uint64_t));
}

/* -------------------------------------------------- random operations */

#define RANGES	4
#define SPOTS	6

struct world {
	struct swapmap	*map;
	uint64_t	 random;
	uint64_t	 npages;
	bool		 sparse;	/* pages near a few spots only */
	bool		 scarce;	/* -ENOMEM is to be expected */
	uint64_t	 spot[SPOTS];
	struct {
		uint64_t page, n;	/* n 0: none */
	} prepared[RANGES];
	unsigned	 nrefused;	/* operations without memory */
	unsigned	 nsaved;	/* prepared ones when there was none */
	struct model	 model;
	struct report	 got, expected;
};

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
	uint64_t before = page > 0 ? model_get(&w->model, page - 1) : NONE;
	uint64_t after = model_get(&w->model, page + 1);

	switch (below(&w->random, 8)) {
	case 0:
		return below(&w->random, 4);
	case 1:
		return SWAPMAP_BLOCK_MAX - below(&w->random, 4);
	case 2:
		return POISON;
	case 3:
	case 4:
		if (after - 1 < SWAPMAP_BLOCK_MAX)
			return after - 1;
		break;
	default:
		if (before < SWAPMAP_BLOCK_MAX)
			return before + 1;
	}
	return below(&w->random, UINT64_C(1) << 40);
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

/* No node is free, and none can be had. */
static bool
exhausted(const struct swapmap *map)
{
	return map->trie.nfree == 0 &&
	       (map->trie.fresh + 1) * NODE_BYTES > map->arena.reserved;
}

static void
step_set(struct world *w, uint64_t page, uint64_t block)
{
	uint64_t before = model_get(&w->model, page), old = 12345;
	bool none_left = exhausted(w->map);
	int r = swapmap_set(w->map, page, block, &old);

	if (r == -ENOMEM) {
		assert_true(w->scarce);
		assert_true(block != NONE && before == NONE);
		assert_int_equal(old, 12345);
		w->nrefused++;
		return;
	}
	assert_int_equal(r, 0);
	assert_int_equal(old, before);
	model_set(&w->model, page, block);
	if (none_left && before == NONE && block != NONE)
		w->nsaved++;
}

static void
step_clear(struct world *w)
{
	uint64_t page = pick_page(w);
	uint64_t n = below_log(&w->random, w->npages + 100);
	uint64_t nmapped;

	if (w->model.n > MODEL_MAX - 100 || (w->sparse && w->model.n > 250)) {
		page = below_log(&w->random, w->npages);
		n = UINT64_MAX;
	}
	w->got.nblocks = w->got.nranges = 0;
	w->expected.nblocks = w->expected.nranges = 0;
	nmapped = swapmap_clear(w->map, page, n, report_add, &w->got);
	assert_int_equal(nmapped, model_clear(&w->model, page, n,
					      &w->expected));
	compare_reports(&w->got, &w->expected);
}

/* A page that is set is no longer prepared: set each, or give it up. */
static void
step_finish(struct world *w, unsigned i)
{
	uint64_t page = w->prepared[i].page, n = w->prepared[i].n;
	bool all = below(&w->random, 2) == 0;

	for (uint64_t k = 0; k < n; k++) {
		uint64_t block = pick_block(w, page + k);
		unsigned nrefused = w->nrefused;

		if (!all && below(&w->random, 2) == 0)
			continue;
		step_set(w, page + k, block);
		assert_int_equal(w->nrefused, nrefused);
	}
	if (!all)
		swapmap_unprepare(w->map, page, n);
	w->prepared[i].n = 0;
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
	r = swapmap_prepare(w->map, page, n);
	if (w->scarce && r == -ENOMEM) {
		w->nrefused++;
		return;
	}
	assert_int_equal(r, 0);
	w->prepared[i].page = page;
	w->prepared[i].n = n;
}

static void
step_ask(struct world *w)
{
	uint64_t page = pick_page(w), max = below_log(&w->random, 200);
	uint64_t found = 1, block = 2;
	size_t i;

	assert_int_equal(swapmap_get(w->map, page),
			 model_get(&w->model, page));
	assert_int_equal(swapmap_run(w->map, page, max),
			 model_run(&w->model, page, max));
	assert_int_equal(swapmap_run_before(w->map, page, max),
			 model_run_before(&w->model, page, max));
	page = below_log(&w->random, w->npages + 10);
	i = model_index(&w->model, page);
	if (swapmap_find(w->map, page, &found, &block)) {
		assert_true(i < w->model.n);
		assert_int_equal(found, w->model.at[i].page);
		assert_int_equal(block, w->model.at[i].block);
	} else {
		assert_int_equal(i, w->model.n);
		assert_true(found == 1 && block == 2);
	}
	assert_int_equal(swapmap_count(w->map), w->model.n);
}

static void
step(struct world *w, bool prepare)
{
	uint64_t page = pick_page(w);
	unsigned what = (unsigned)below(&w->random, 20);

	if (what == 0)
		step_clear(w);
	else if (what < 4)
		step_set(w, page, NONE);
	else if (what < 7 && prepare)
		step_prepare(w);
	else if (!is_prepared(w, page, 1))
		step_set(w, page, pick_block(w, page));
	step_ask(w);
}

static struct world *
world_create(uint64_t npages, int dirfd, uint64_t seed)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	w->map = create(npages, dirfd);
	w->npages = npages;
	w->random = seed;
	return w;
}

static void
world_destroy(struct world *w)
{
	compare(w->map, &w->model);
	for (unsigned i = 0; i < RANGES; i++)
		swapmap_unprepare(w->map, w->prepared[i].page,
				  w->prepared[i].n);
	assert_int_equal(swapmap_check(w->map), 0);
	(void)swapmap_clear(w->map, 0, w->npages, NULL, NULL);
	assert_int_equal(swapmap_check(w->map), 0);
	/* Every node is free again. */
	assert_int_equal(w->map->trie.nfree, w->map->trie.fresh - NODE_FIRST);
	swapmap_destroy(w->map);
	free(w);
}

static void
drive(struct world *w, unsigned nsteps)
{
	for (unsigned i = 0; i < nsteps; i++) {
		step(w, true);
		assert_int_equal(swapmap_check(w->map), 0);
		if (i % 64 == 0)
			compare(w->map, &w->model);
	}
}

static void
test_model_small(void **state)
{
	static const uint64_t sizes[] = {
		1, 2, 15, 16, 17, 31, 100, 512, 513, 1000, 5000,
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct world *w = world_create(sizes[i], -1, i);

		drive(w, scaled(1500));
		world_destroy(w);
	}
}

static void
test_model_sparse(void **state)
{
	static const uint64_t sizes[] = {
		5000, UINT64_C(1) << 20, (UINT64_C(1) << 36) - 3,
		UINT64_C(1) << 36, SWAPMAP_PAGES_MAX,
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct world *w = world_create(sizes[i], -1, 100 + i);

		w->sparse = true;
		drive(w, scaled(2500));
		world_destroy(w);
	}
}

/* With memory short, what is prepared succeeds, and the rest fails whole. */
static void
test_model_scarce(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		struct world *w = world_create(UINT64_C(1) << 20, -1, 200 + i);

		w->sparse = w->scarce = true;
		w->map->arena.reserved = 2 * SWAPMAP_START;
		drive(w, scaled(3000));
		assert_true(w->nrefused > 100);
		assert_true(w->nsaved > 20);
		world_destroy(w);
	}
}

/* ------------------------------------------------------------- reopened */

static void
reopen_steps(int dirfd, uint64_t npages, bool sparse, uint64_t seed)
{
	struct world *w = world_create(npages, dirfd, seed);

	w->sparse = sparse;
	for (unsigned i = 0; i < scaled(1000); i++) {
		struct swapmap *successor = NULL;

		step(w, true);
		if (below(&w->random, 8) == 0)
			continue;
		/* The file at another address; what was prepared is over. */
		assert_int_equal(swapmap_open(dirfd, NAME, NULL, &successor), 0);
		assert_true(successor->arena.base != w->map->arena.base);
		assert_int_equal(swapmap_check(successor), 0);
		compare(successor, &w->model);
		swapmap_destroy(w->map);
		w->map = successor;
		memset(w->prepared, 0, sizeof(w->prepared));
	}
	world_destroy(w);
	assert_int_equal(unlinkat(dirfd, NAME, 0), 0);
}

static void
test_reopen(void **state)
{
	reopen_steps(dir_of(state), 40, false, 301);
	reopen_steps(dir_of(state), 3000, false, 302);
	reopen_steps(dir_of(state), UINT64_C(1) << 36, true, 303);
}

/* What was prepared is over with the process, and its nodes are free. */
static void
test_reopen_prepared(void **state)
{
	struct swapmap *map = create(100000, dir_of(state));
	uint64_t page, block;

	set(map, 5, 50);
	assert_int_equal(swapmap_prepare(map, 1, 20), 0);
	assert_int_equal(swapmap_prepare(map, 70000, 100), 0);
	assert_int_equal(swapmap_count(map), 1);
	assert_false(swapmap_find(map, 6, &page, &block));
	swapmap_destroy(map);

	assert_int_equal(swapmap_open(dir_of(state), NAME, NULL, &map), 0);
	assert_int_equal(swapmap_check(map), 0);
	assert_int_equal(swapmap_count(map), 1);
	assert_int_equal(swapmap_get(map, 5), 50);
	assert_int_equal(map->trie.fresh - NODE_FIRST - map->trie.nfree, map->trie.top + 1);
	set(map, 5, NONE);
	assert_int_equal(map->trie.fresh - NODE_FIRST, map->trie.nfree);
	swapmap_destroy(map);
}

/* -------------------------------------------------------------- crashes */

#define CRASH_PAGES	3000u

/* An operation that follows from the random state alone. */
struct op {
	enum { OP_SET, OP_CLEAR, OP_PREPARE, OP_UNPREPARE } kind;
	uint64_t page, n, block;
};

static struct op
op_next(uint64_t *random)
{
	struct op op = { .kind = OP_SET, .n = 1 };
	unsigned what = (unsigned)below(random, 8);

	/* A few leaves in two distant places, so that nodes come and go. */
	op.page = below(random, 3) * 16 + below(random, 2) +
		  below(random, 2) * 2896;
	op.block = below(random, 3) == 0 ? NONE : below(random, 1000);
	if (what < 3) {
		op.kind = what == 0 ? OP_CLEAR :
			  what == 1 ? OP_PREPARE : OP_UNPREPARE;
		op.n = 1 + below(random, 40);
	}
	return op;
}

static void
op_do(const struct op *op, struct swapmap *map)
{
	switch (op->kind) {
	case OP_SET:
		(void)swapmap_set(map, op->page, op->block, NULL);
		break;
	case OP_CLEAR:
		(void)swapmap_clear(map, op->page, op->n, NULL, NULL);
		break;
	case OP_PREPARE:
		(void)swapmap_prepare(map, op->page, op->n);
		break;
	case OP_UNPREPARE:
		swapmap_unprepare(map, op->page, op->n);
		break;
	}
}

static void
op_expect(const struct op *op, uint64_t *blocks)
{
	for (uint64_t i = 0; i < op->n && op->page + i < CRASH_PAGES; i++) {
		if (op->kind == OP_SET)
			blocks[op->page + i] = op->block;
		else if (op->kind == OP_CLEAR)
			blocks[op->page + i] = NONE;
	}
}

/* Says where the child is: op number @progress may be under way. */
static _Atomic uint64_t *
progress_create(void)
{
	void *p = mmap(NULL, sizeof(uint64_t), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_true(p != MAP_FAILED);
	return p;
}

/* In the child. */
static void
child_run(struct swapmap *map, uint64_t random, uint64_t nops,
	  _Atomic uint64_t *progress)
{
	for (uint64_t i = 0; i < nops; i++) {
		struct op op = op_next(&random);

		atomic_store(progress, i);
		op_do(&op, map);
	}
	atomic_store(progress, nops);
}

/* What the operations should have left, as far as the child came. */
struct witness {
	uint64_t random;
	uint64_t done;
	uint64_t before[CRASH_PAGES];
	uint64_t after[CRASH_PAGES];	/* with the one under way */
};

static void
witness_init(struct witness *witness, uint64_t random)
{
	witness->random = random;
	witness->done = 0;
	for (unsigned i = 0; i < CRASH_PAGES; i++)
		witness->before[i] = witness->after[i] = NONE;
	struct op op = op_next(&witness->random);
	op_expect(&op, witness->after);
}

static void
witness_advance(struct witness *witness, uint64_t done)
{
	for (; witness->done < done; witness->done++) {
		struct op op = op_next(&witness->random);

		memcpy(witness->before, witness->after,
		       sizeof(witness->before));
		op_expect(&op, witness->after);
	}
}

/* A successor opens the file, finds old or new values, and can go on. */
static void
crash_check(const struct witness *witness, int dirfd, const char *name)
{
	struct swapmap *map = NULL;
	uint64_t count = 0;

	assert_int_equal(swapmap_open(dirfd, name, NULL, &map), 0);
	assert_int_equal(swapmap_check(map), 0);
	for (uint64_t page = 0; page < CRASH_PAGES; page++) {
		uint64_t block = swapmap_get(map, page);

		if (block != witness->before[page])
			assert_int_equal(block, witness->after[page]);
		count += block != NONE;
	}
	assert_int_equal(swapmap_count(map), count);
	set(map, 1500, 7);
	assert_int_equal(swapmap_clear(map, 0, CRASH_PAGES, NULL, NULL),
			 count + 1);
	assert_int_equal(swapmap_check(map), 0);
	assert_int_equal(map->trie.nfree, map->trie.fresh - NODE_FIRST);
	swapmap_destroy(map);
}

static void
test_kill(void **state)
{
	const uint64_t nops = 200000;
	_Atomic uint64_t *progress = progress_create();
	struct witness *witness = malloc(sizeof(*witness));
	uint64_t random = 401, early = 0;

	assert_non_null(witness);
	for (unsigned i = 0; i < scaled(60); i++) {
		uint64_t seed = next_random(&random);
		uint64_t target = below_log(&random, 20000);
		struct swapmap *map = create(CRASH_PAGES, dir_of(state));
		pid_t pid;

		atomic_store(progress, 0);
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			child_run(map, seed, nops, progress);
			_exit(0);
		}
		while (atomic_load(progress) < target)
			sched_yield();
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		early += atomic_load(progress) < nops;
		swapmap_destroy(map);
		witness_init(witness, seed);
		witness_advance(witness, atomic_load(progress));
		crash_check(witness, dir_of(state), NAME);
		assert_int_equal(unlinkat(dir_of(state), NAME, 0), 0);
	}
	assert_true(early > 0);
	munmap(progress, sizeof(uint64_t));
	free(witness);
}

#define STEP_BYTES	(64 * 1024)

/* Thread sanitizer's code is very long to step through. */
#ifdef __SANITIZE_THREAD__
#define STEPPED_OPS	4u
#else
#define STEPPED_OPS	50u
#endif

/* The file as it was seen last. */
struct image {
	int	fd;
	char	*now;			/* mapped, beyond its end too */
	size_t	size;
	char	last[STEP_BYTES];
};

static bool
image_changed(struct image *image)
{
	struct stat st;
	size_t size;

	assert_int_equal(fstat(image->fd, &st), 0);
	size = (size_t)st.st_size;
	assert_true(size <= STEP_BYTES);
	if (size == image->size && memcmp(image->now, image->last, size) == 0)
		return false;
	memcpy(image->last, image->now, size);
	image->size = size;
	return true;
}

static void
image_copy(const struct image *image, int dirfd)
{
	int fd = openat(dirfd, "copy", O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(pwrite_full(fd, image->last, image->size, 0), 0);
	close(fd);
}

static pid_t
stepped_child(struct swapmap *map, uint64_t seed, uint64_t nops,
	      _Atomic uint64_t *progress)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
			_exit(77);
		raise(SIGSTOP);
		child_run(map, seed, nops, progress);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status)) {
		print_message("no ptrace here\n");
		skip();
	}
	assert_true(WIFSTOPPED(status));
	return pid;
}

/* Step the child to its end; how often its file changed. */
static unsigned
step_through(pid_t pid, struct image *image, struct witness *witness,
	     _Atomic uint64_t *progress, int dirfd)
{
	unsigned nchanges = 0;
	int status;

	for (;;) {
		assert_int_equal(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL),
				 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (!WIFSTOPPED(status))
			break;
		if (!image_changed(image))
			continue;
		nchanges++;
		image_copy(image, dirfd);
		witness_advance(witness, atomic_load(progress));
		crash_check(witness, dirfd, "copy");
	}
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	return nchanges;
}

static void
test_every_instruction(void **state)
{
	const uint64_t nops = scaled(STEPPED_OPS), seed = 501;
	_Atomic uint64_t *progress = progress_create();
	struct witness *witness = malloc(sizeof(*witness));
	struct image *image = calloc(1, sizeof(*image));
	struct swapmap *map = create(CRASH_PAGES, dir_of(state));
	unsigned nchanges;
	pid_t pid;

	assert_non_null(witness);
	assert_non_null(image);
	witness_init(witness, seed);
	image->fd = map->arena.fd;
	image->now = map->arena.base;
	pid = stepped_child(map, seed, nops, progress);
	nchanges = step_through(pid, image, witness, progress, dir_of(state));
	print_message("%u states of the file\n", nchanges);
	assert_true(nchanges > 2 * nops);
	assert_int_equal(atomic_load(progress), nops);
	swapmap_destroy(map);
	munmap(progress, sizeof(uint64_t));
	free(witness);
	free(image);
}

/* ---------------------------------------------------------- fixed cases */

static void
test_limits(void **state)
{
	char header[SWAPMAP_HEADER_MAX + 1] = "";
	struct swapmap *map = NULL;
	uint64_t old = 1, page, block;
	struct swapmap_spec spec = { .kind = SWAPMAP_TRIE, .dirfd = -1 };

	(void)state;
	assert_int_equal(swapmap_create(&spec, &map), -EINVAL);
	spec.npages = SWAPMAP_PAGES_MAX + 1;
	assert_int_equal(swapmap_create(&spec, &map), -EFBIG);
	spec.npages = 1;
	spec.header = header;
	spec.header_len = sizeof(header);
	assert_int_equal(swapmap_create(&spec, &map), -EINVAL);
	assert_null(map);
	map = create(20, -1);
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
	swapmap_destroy(NULL);
}

/* Poison is mapped and is not a block. */
static void
test_poison(void **state)
{
	struct swapmap *map = create(100, -1);
	struct report report = { 0 };
	uint64_t old = 0, page = 0, block = 0;

	(void)state;
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
		assert_int_equal(trie_get(order->map, first_block + i - 1000),
				 0);
}

static void
test_coalesce(void **state)
{
	struct swapmap *map = create(UINT64_C(1) << 30, -1);
	struct order order = { .map = map };

	(void)state;
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
	set(map, (1 << 30) - 1, 1001);
	order.n = 0;
	assert_int_equal(swapmap_clear(map, 0, 1 << 30, order_add, &order), 3);
	assert_int_equal(order.n, 1);
	assert_true(order.first[0] == 1001 && order.length[0] == 3);
	swapmap_destroy(map);
}

/* An unused map costs a page; a cleared one gives its nodes back. */
static void
test_cost(void **state)
{
	struct swapmap *map = create(SWAPMAP_PAGES_MAX, dir_of(state));
	uint64_t fresh, page = 0, block = 0;
	struct stat st;

	assert_int_equal(fstatat(dir_of(state), NAME, &st, 0), 0);
	assert_true(st.st_size == SWAPMAP_START && st.st_blocks <= 8);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(swapmap_memory(map), sizeof(*map) + SWAPMAP_START);

	/* Far apart: no time is spent on what lies between. */
	set(map, 3, 30);
	set(map, SWAPMAP_PAGES_MAX - 1, 31);
	assert_true(swapmap_find(map, 4, &page, &block));
	assert_int_equal(page, SWAPMAP_PAGES_MAX - 1);
	assert_int_equal(swapmap_clear(map, 0, SWAPMAP_PAGES_MAX, NULL, NULL),
			 2);
	assert_int_equal(map->start->root, 0);
	fresh = map->trie.fresh;
	for (uint64_t i = 0; i < 2000; i++) {
		set(map, i * 77777777, i);
		assert_int_equal(swapmap_set(map, i * 77777777, NONE, NULL),
				 0);
	}
	assert_int_equal(map->trie.fresh, fresh);

	/* Dense: 8.3 bytes a page, and growth of the file is in bounds. */
	for (uint64_t i = 0; i < 200000; i++)
		set(map, i, i);
	assert_true((map->trie.fresh - NODE_FIRST) * NODE_BYTES < 200000 * 83 / 10);
	assert_true(swapmap_memory(map) <
		    sizeof(*map) + map->trie.fresh * NODE_BYTES + GROW_MAX + 4096);
	assert_int_equal(swapmap_run(map, 0, UINT64_MAX), 200000);
	swapmap_destroy(map);
}

static void
test_prepare(void **state)
{
	struct swapmap *map = create(1 << 20, -1);
	uint64_t page = 9, block, free_before;
	unsigned i;

	(void)state;
	map->arena.reserved = 2 * SWAPMAP_START;
	set(map, 99, 1);
	assert_int_equal(swapmap_prepare(map, 90, 16), 0);
	/* Use all the memory, then take the neighbours away. */
	for (i = 1; swapmap_set(map, i * 1000, i, NULL) == 0; i++)
		continue;
	assert_int_equal(swapmap_set(map, i * 1000, i, NULL), -ENOMEM);
	assert_int_equal(swapmap_clear(map, 90, 16, NULL, NULL), 1);
	assert_int_equal(swapmap_check(map), 0);
	assert_int_equal(swapmap_clear(map, (i - 1) * 1000, 1, NULL, NULL), 1);
	free_before = map->trie.nfree;
	/* A range that can be had in part is not prepared at all. */
	assert_int_equal(swapmap_prepare(map, 1000, 60000), -ENOMEM);
	assert_int_equal(map->trie.nfree, free_before);
	assert_true(free_before > 0);
	assert_int_equal(swapmap_check(map), 0);
	for (unsigned k = 0; k < 16; k++)
		set(map, 90 + k, 500 + k);
	assert_int_equal(swapmap_run(map, 90, 99), 16);

	/* Setting ends it: clearing frees the nodes now. */
	assert_int_equal(swapmap_clear(map, 0, 1 << 20, NULL, NULL), 14 + i);
	assert_int_equal(map->start->root, 0);
	/* And so does giving it up. */
	assert_int_equal(swapmap_prepare(map, 90, 16), 0);
	assert_false(swapmap_find(map, 0, &page, &block));
	assert_int_equal(page, 9);
	assert_true(map->start->root != 0);
	swapmap_unprepare(map, 90, UINT64_MAX);
	assert_int_equal(map->start->root, 0);
	swapmap_destroy(map);
}

/* A file that cannot grow: the error is the system's, the map is unharmed. */
static void
test_no_space(void **state)
{
	struct swapmap_spec spec = {
		.kind = SWAPMAP_TRIE, .npages = 1000, .name = NAME,
	};
	struct rlimit limit, small;
	struct swapmap *map = NULL;

	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	small = limit;
	small.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	spec.dirfd = dir_of(state);
	assert_int_equal(swapmap_create(&spec, &map), -EFBIG);
	assert_int_equal(faccessat(dir_of(state), NAME, F_OK, 0), -1);
	small.rlim_cur = SWAPMAP_START;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	map = create(1000, dir_of(state));
	assert_int_equal(swapmap_set(map, 5, 5, NULL), -EFBIG);
	assert_int_equal(swapmap_prepare(map, 5, 5), -EFBIG);
	assert_int_equal(swapmap_check(map), 0);
	assert_int_equal(swapmap_count(map), 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	set(map, 5, 5);
	assert_int_equal(swapmap_get(map, 5), 5);
	swapmap_destroy(map);
	signal(SIGXFSZ, SIG_DFL);
}

static void
test_header(void **state)
{
	unsigned char header[SWAPMAP_HEADER_MAX];
	struct swapmap *map = NULL, *other = NULL;
	struct swapmap_spec spec = {
		.kind = SWAPMAP_TRIE, .npages = 1000, .name = NAME,
		.header = header, .header_len = sizeof(header),
	};

	for (size_t i = 0; i < sizeof(header); i++)
		header[i] = (unsigned char)(i * 7);
	spec.dirfd = dir_of(state);
	assert_int_equal(swapmap_create(&spec, &map), 0);
	spec.header_len = 0;
	assert_int_equal(swapmap_create(&spec, &other), -EEXIST);
	set(map, 999, 1);
	((unsigned char *)swapmap_header(map))[3] = 99;
	swapmap_destroy(map);
	assert_int_equal(swapmap_open(dir_of(state), NAME, NULL, &map), 0);
	header[3] = 99;
	assert_memory_equal(swapmap_header(map), header, sizeof(header));
	assert_int_equal(swapmap_npages(map), 1000);
	assert_int_equal(swapmap_get(map, 999), 1);
	swapmap_destroy(map);
}

/* ------------------------------------------------------- damaged files */

static int
open_and_close(int dirfd)
{
	struct swapmap *map = NULL;
	int r = swapmap_open(dirfd, NAME, NULL, &map);

	if (r == 0) {
		assert_int_equal(swapmap_check(map), 0);
		(void)swapmap_clear(map, 0, UINT64_MAX, NULL, NULL);
		assert_int_equal(swapmap_check(map), 0);
		swapmap_destroy(map);
	} else {
		assert_null(map);
	}
	return r;
}

static void
test_not_a_map(void **state)
{
	int dirfd = dir_of(state);
	struct swapmap *map;
	int fd;

	assert_int_equal(open_and_close(dirfd), -ENOENT);
	assert_int_equal(symlinkat("link", dirfd, NAME), 0);
	assert_int_equal(open_and_close(dirfd), -ELOOP);
	assert_int_equal(unlinkat(dirfd, NAME, 0), 0);
	assert_int_equal(mkfifoat(dirfd, NAME, 0600), 0);
	assert_true(open_and_close(dirfd) < 0);
	assert_int_equal(unlinkat(dirfd, NAME, 0), 0);
	fd = openat(dirfd, NAME, O_RDWR | O_CREAT, 0600);
	assert_true(fd >= 0);
	assert_int_equal(open_and_close(dirfd), -EBADMSG);
	assert_int_equal(ftruncate(fd, 8191), 0);
	assert_int_equal(open_and_close(dirfd), -EBADMSG);
	close(fd);
	assert_int_equal(unlinkat(dirfd, NAME, 0), 0);

	map = create(50000, dirfd);
	set(map, 49999, 1);
	map->start->version++;
	assert_int_equal(open_and_close(dirfd), -EPROTO);
	map->start->version--;
	map->start->kind += 77;
	assert_int_equal(open_and_close(dirfd), -EPROTO);
	map->start->kind -= 77;
	map->start->geometry[1]++;
	assert_int_equal(open_and_close(dirfd), -EPROTO);
	map->start->geometry[1]--;
	map->start->npages = 40000;
	assert_int_equal(open_and_close(dirfd), -EBADMSG);
	map->start->npages = 0;
	assert_int_equal(open_and_close(dirfd), -EBADMSG);
	map->start->npages = SWAPMAP_PAGES_MAX + 1;
	assert_int_equal(open_and_close(dirfd), -EBADMSG);
	map->start->npages = 50000;
	/* An empty node, but where there are no pages. */
	node_at(map, map->start->root)->child[20] = (uint32_t)map->trie.fresh;
	assert_int_equal(open_and_close(dirfd), -EBADMSG);
	node_at(map, map->start->root)->child[20] = 0;
	assert_int_equal(ftruncate(map->arena.fd, SWAPMAP_START), 0);
	assert_int_equal(open_and_close(dirfd), -EBADMSG);
	swapmap_destroy(map);
}

/* Whatever bytes are in the file: refused, or a sound map; never a crash. */
static void
test_random_damage(void **state)
{
	uint64_t random = 601;
	unsigned ngood = 0, nbad = 0;

	for (unsigned i = 0; i < scaled(200); i++) {
		struct swapmap *map = create(700, dir_of(state));
		size_t end;

		for (unsigned k = 0; k < 40; k++)
			set(map, below(&random, 700), k);
		end = map->trie.fresh * NODE_BYTES;
		for (unsigned k = 0; k < 3; k++) {
			size_t at = below(&random, 4) == 0 ?
				    below(&random, 64) : SWAPMAP_START +
				    below(&random, end - SWAPMAP_START);

			map->arena.base[at] = (char)below(&random, 256);
		}
		swapmap_destroy(map);
		if (open_and_close(dir_of(state)) == 0)
			ngood++;
		else
			nbad++;
		assert_int_equal(unlinkat(dir_of(state), NAME, 0), 0);
	}
	assert_true(ngood > 0 && nbad > 0);
}

/* ------------------------------------------------------- planted faults */

/* The check sees a @variable with a wrong @value, and not when it is undone. */
#define PLANT(map, variable, value) do {				\
	__typeof__(value) saved = (variable);				\
									\
	assert_int_equal(swapmap_check(map), 0);			\
	(variable) = (value);						\
	assert_int_equal(swapmap_check(map), -EBADMSG);			\
	(variable) = saved;						\
	assert_int_equal(swapmap_check(map), 0);			\
} while (0)

static void
test_planted(void **state)
{
	struct swapmap *map = create(300, -1);	/* a root and leaves */
	union node *root, *leaf;
	uint32_t free_leaf;

	(void)state;
	set(map, 0, 10);
	set(map, 40, 11);
	set(map, 50, 13);
	set(map, 299, 12);
	free_leaf = node_at(map, map->start->root)->child[3];
	set(map, 50, NONE);
	assert_int_equal(map->trie.free_head, free_leaf);
	root = node_at(map, map->start->root);
	leaf = node_at(map, root->child[18]);

	/* T1 */
	PLANT(map, root->child[5], (uint32_t)root->child[2]);
	PLANT(map, root->child[5], (uint32_t)map->start->root);
	PLANT(map, root->child[2], (uint32_t)map->trie.fresh);
	PLANT(map, root->child[2], UINT32_MAX);
	PLANT(map, root->child[2], 1u);
	/* T2 */
	PLANT(map, map->trie.free_head, (uint32_t)root->child[2]);
	PLANT(map, map->trie.nfree, map->trie.nfree - 1);
	PLANT(map, map->trie.fresh, map->trie.fresh + 1);
	PLANT(map, map->trie.fresh, UINT64_MAX / NODE_BYTES);
	/* T3 */
	PLANT(map, leaf->slot[299 % 16], UINT64_C(0));
	/* T4 */
	PLANT(map, leaf->slot[300 % 16], UINT64_C(1));
	PLANT(map, leaf->slot[300 % 16], SWAPMAP_HELD);
	PLANT(map, map->npages, UINT64_C(299));
	/* T5 */
	PLANT(map, map->count, map->count + 1);
	PLANT(map, leaf->slot[298 % 16], UINT64_C(1));
	swapmap_destroy(map);
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

#define TEST(name)	cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_arena),
		TEST(test_limits),
		TEST(test_poison),
		TEST(test_coalesce),
		TEST(test_cost),
		TEST(test_prepare),
		TEST(test_no_space),
		TEST(test_header),
		TEST(test_not_a_map),
		TEST(test_random_damage),
		TEST(test_planted),
		TEST(test_model_small),
		TEST(test_model_sparse),
		TEST(test_model_scarce),
		TEST(test_reopen),
		TEST(test_reopen_prepared),
		TEST(test_kill),
		TEST(test_every_instruction),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
