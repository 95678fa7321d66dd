/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test-swapmap-crash.c - what a successor finds in a map's file
 *
 * Crashes are tried in two ways: SIGKILL at a random moment, and a process that
 * is stepped instruction by instruction, with a successor opening a copy of the
 * file after each instruction that changed it.  And a file may hold anything:
 * it is refused, or it is a sound map.
 *
 * SWAPMAP_TEST_SCALE=N multiplies the number of random steps.
 */
#include "swapmap-fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "arena.h"
#include "compiler.h"
#include "util.h"

/* What was prepared is over with the process, and its nodes are free. */
static void
test_reopen_prepared(void **state)
{
	FOR_EACH_KIND(kind) {
		struct swapmap *map = create(kind, 100000, dir_of(state));
		uint64_t page, block;
		size_t memory;

		set(map, 5, 50);
		assert_int_equal(swapmap_prepare(map, 1, 20), 0);
		assert_int_equal(swapmap_prepare(map, 70000, 100), 0);
		assert_int_equal(swapmap_count(map), 1);
		assert_false(swapmap_find(map, 6, &page, &block));
		swapmap_destroy(map);

		assert_int_equal(swapmap_open(dir_of(state), NAME, NULL, &map),
				 0);
		assert_int_equal(swapmap_check(map), 0);
		assert_int_equal(swapmap_count(map), 1);
		assert_int_equal(swapmap_get(map, 5), 50);
		/* Their room serves other pages. */
		memory = swapmap_memory(map);
		assert_int_equal(swapmap_prepare(map, 30000, 100), 0);
		assert_int_equal(swapmap_memory(map), memory);
		assert_int_equal(swapmap_check(map), 0);
		swapmap_destroy(map);
		assert_int_equal(unlinkat(dir_of(state), NAME, 0), 0);
	}
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
	/* And halves of an array become wide. */
	if (op.block != NONE && below(random, 12) == 0)
		op.block += WIDE_BLOCK;
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
	set(map, 1501, WIDE_BLOCK);
	assert_int_equal(swapmap_clear(map, 0, CRASH_PAGES, NULL, NULL),
			 count + 2);
	assert_int_equal(swapmap_check(map), 0);
	swapmap_destroy(map);
}

static void
kill_of(enum swapmap_kind kind, int dirfd)
{
	const uint64_t nops = 200000;
	_Atomic uint64_t *progress = progress_create();
	struct witness *witness = malloc(sizeof(*witness));
	uint64_t random = 401, early = 0;

	assert_non_null(witness);
	for (unsigned i = 0; i < scaled(15); i++) {
		uint64_t seed = next_random(&random);
		uint64_t target = below_log(&random, 20000);
		struct swapmap *map = create(kind, CRASH_PAGES, dirfd);
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
		crash_check(witness, dirfd, NAME);
		assert_int_equal(unlinkat(dirfd, NAME, 0), 0);
	}
	assert_true(early > 0);
	munmap(progress, sizeof(uint64_t));
	free(witness);
}

static void
test_kill(void **state)
{
	FOR_EACH_KIND(kind)
		kill_of(kind, dir_of(state));
}

/*
 * A map that chooses itself is killed around its switches: the successor finds
 * what had been set, in a map of one kind or the other.
 */
#define SWITCH_PAGES	17000u

static void
switch_run(struct swapmap *map, uint64_t nset, _Atomic uint64_t *progress)
{
	for (uint64_t round = 0;; round++) {
		for (uint64_t page = 0; page < nset; page++) {
			(void)swapmap_set(map, page, page, NULL);
			atomic_fetch_add(progress, 1);
		}
		(void)swapmap_clear(map, 100, UINT64_MAX, NULL, NULL);
		for (uint64_t page = 0; page < 100; page++)
			(void)swapmap_set(map, page, page, NULL);
	}
}

static void
switch_check(uint64_t nset, int dirfd)
{
	struct swapmap *map = NULL;
	uint64_t count = 0;

	assert_int_equal(swapmap_open(dirfd, NAME, NULL, &map), 0);
	assert_int_equal(swapmap_check(map), 0);
	for (uint64_t page = 0; page < SWITCH_PAGES; page++) {
		uint64_t block = swapmap_get(map, page);

		if (block != NONE || page < 100)
			assert_int_equal(block, page);
		count += block != NONE;
	}
	assert_int_equal(count, swapmap_count(map));
	/* It can go on, and what a switch has left is no hindrance. */
	for (uint64_t page = 0; page < nset; page++)
		set(map, page, page);
	assert_int_equal(swapmap_kind(map), SWAPMAP_ARRAY);
	assert_int_equal(faccessat(dirfd, NAME ".new", F_OK, 0), -1);
	swapmap_destroy(map);
}

static void
test_kill_switch(void **state)
{
	_Atomic uint64_t *progress = progress_create();
	uint64_t random = 402;

	for (unsigned i = 0; i < scaled(25); i++) {
		struct swapmap *map = create(SWAPMAP_AUTO, SWITCH_PAGES,
					     dir_of(state));
		/* Near the set that switches, in one of a few rounds. */
		uint64_t nset = map->many + 500;
		uint64_t target = below(&random, 3) * nset + map->many - 100 +
				  below(&random, 150);
		pid_t pid;

		for (uint64_t page = 0; page < 100; page++)
			set(map, page, page);
		atomic_store(progress, 0);
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0)
			switch_run(map, nset, progress);
		while (atomic_load(progress) < target)
			continue;
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		swapmap_destroy(map);
		switch_check(nset, dir_of(state));
		assert_int_equal(unlinkat(dir_of(state), NAME, 0), 0);
	}
	munmap(progress, sizeof(uint64_t));
}

/* What another process has left under that name is no hindrance either. */
static void
test_switch_leftover(void **state)
{
	struct swapmap *map = create(SWAPMAP_AUTO, SWITCH_PAGES,
				     dir_of(state));
	int fd = openat(dir_of(state), NAME ".new", O_CREAT | O_RDWR, 0600);

	assert_true(fd >= 0);
	close(fd);
	for (uint64_t page = 0; page < map->many + 500; page++)
		set(map, page, page);
	assert_int_equal(swapmap_kind(map), SWAPMAP_ARRAY);
	assert_int_equal(faccessat(dir_of(state), NAME ".new", F_OK, 0), -1);
	swapmap_destroy(map);
	assert_int_equal(unlinkat(dir_of(state), NAME, 0), 0);
}

#define STEP_BYTES	(64 * 1024)

/* Thread sanitizer's code is very long to step through. */
#ifdef __SANITIZE_THREAD__
#define STEPPED_OPS	4u
#else
#define STEPPED_OPS	30u
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
every_instruction_of(enum swapmap_kind kind, uint64_t seed, int dirfd)
{
	const uint64_t nops = scaled(STEPPED_OPS);
	_Atomic uint64_t *progress = progress_create();
	struct witness *witness = malloc(sizeof(*witness));
	struct image *image = calloc(1, sizeof(*image));
	struct swapmap *map = create(kind, CRASH_PAGES, dirfd);
	unsigned nchanges;
	pid_t pid;

	assert_non_null(witness);
	assert_non_null(image);
	witness_init(witness, seed);
	image->fd = map->arena.fd;
	image->now = map->arena.base;
	pid = stepped_child(map, seed, nops, progress);
	nchanges = step_through(pid, image, witness, progress, dirfd);
	print_message("%s: %u states of the file\n",
		      swapmap_kind_name(kind), nchanges);
	assert_true(nchanges > nops);
	assert_int_equal(atomic_load(progress), nops);
	swapmap_destroy(map);
	munmap(progress, sizeof(uint64_t));
	assert_int_equal(unlinkat(dirfd, NAME, 0), 0);
	free(witness);
	free(image);
}

static void
test_every_instruction(void **state)
{
	FOR_EACH_KIND(kind) {
		if (kind == SWAPMAP_AUTO)
			continue;
		for (uint64_t seed = 501; seed < 503; seed++)
			every_instruction_of(kind, seed, dir_of(state));
	}
}

/* ------------------------------------------------- one large operation */

/* The file with the map's name, whichever that is at present. */
struct named {
	int	dirfd, fd;
	ino_t	inode;
	size_t	size;
	char	*now, *last;
};

#define NAMED_BYTES	(1u << 20)

/*
 * Has the file changed since the last time?  Another one may have its name.
 * @quick: that cannot be, and what is beyond the end that was seen last does
 * not count as a change.
 */
static bool
named_changed(struct named *named, bool quick)
{
	struct stat st;
	size_t size;

	if (quick && named->now != NULL &&
	    memcmp(named->now, named->last, named->size) == 0)
		return false;
	assert_int_equal(fstatat(named->dirfd, NAME, &st, 0), 0);
	size = (size_t)st.st_size;
	assert_true(size <= NAMED_BYTES);
	if (st.st_ino != named->inode) {
		if (named->now != NULL) {
			munmap(named->now, NAMED_BYTES);
			close(named->fd);
		}
		named->fd = openat(named->dirfd, NAME, O_RDONLY | O_CLOEXEC);
		named->now = mmap(NULL, NAMED_BYTES, PROT_READ, MAP_SHARED,
				  named->fd, 0);
		assert_true(named->now != MAP_FAILED);
		named->inode = st.st_ino;
	} else if (size == named->size &&
		   memcmp(named->now, named->last, size) == 0) {
		return false;
	}
	memcpy(named->last, named->now, size);
	named->size = size;
	return true;
}

/* A successor finds the model, and in @page that or @block. */
static void
scene_check(const struct named *named, struct model *model, uint64_t page,
	    uint64_t block)
{
	uint64_t before = model_get(model, page), found;
	int fd = openat(named->dirfd, "copy", O_WRONLY | O_CREAT | O_TRUNC,
			0600);
	struct swapmap *map = NULL;

	assert_true(fd >= 0);
	assert_int_equal(pwrite_full(fd, named->last, named->size, 0), 0);
	close(fd);
	assert_int_equal(swapmap_open(named->dirfd, "copy", NULL, &map), 0);
	assert_int_equal(swapmap_check(map), 0);
	found = swapmap_get(map, page);
	assert_true(found == before || found == block);
	model_set(model, page, found);
	compare(map, model);
	model_set(model, page, before);
	swapmap_destroy(map);
}

/*
 * In a map that is as the model says, set @page to @block, step by step:
 * instructions, or system calls.  How often the file changed.
 */
static unsigned
scene_play(struct swapmap *map, struct model *model, uint64_t page,
	   uint64_t block, int dirfd, bool syscalls)
{
	struct named named = { .dirfd = dirfd, .last = malloc(NAMED_BYTES) };
	unsigned nchanges = 0;
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
			_exit(77);
		raise(SIGSTOP);
		_exit(swapmap_set(map, page, block, NULL) == 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status))
		skip();
	while (WIFSTOPPED(status)) {
		if (named_changed(&named, !syscalls)) {
			nchanges++;
			scene_check(&named, model, page, block);
		}
		assert_int_equal(ptrace(syscalls ? PTRACE_SYSCALL :
					PTRACE_SINGLESTEP, pid, NULL, NULL),
				 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
	}
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	nchanges += named_changed(&named, false);
	model_set(model, page, block);
	scene_check(&named, model, page, block);
	munmap(named.now, NAMED_BYTES);
	close(named.fd);
	free(named.last);
	return nchanges;
}

static void
scene_set(struct swapmap *map, struct model *model, uint64_t page,
	  uint64_t block)
{
	set(map, page, block);
	model_set(model, page, block);
}

/* Both halves of an array's unit become wide, one after the other. */
static void
test_step_widen(void **state)
{
	struct swapmap *map = create(SWAPMAP_ARRAY, 1024, dir_of(state));
	struct model *model = calloc(1, sizeof(*model));

	for (uint64_t page = 0; page < 1024; page++)
		scene_set(map, model, page, 1000 + page);
	assert_true(scene_play(map, model, 700, WIDE_BLOCK, dir_of(state),
			       false) > 500);
	swapmap_destroy(map);
	assert_int_equal(swapmap_open(dir_of(state), NAME, NULL, &map), 0);
	assert_true(scene_play(map, model, 5, WIDE_BLOCK, dir_of(state),
			       false) > 500);
	swapmap_destroy(map);
	free(model);
}

/* A half gets a unit that still has the slots of one that became wide. */
static void
test_step_reuse(void **state)
{
	struct swapmap *map = create(SWAPMAP_ARRAY, 5000, dir_of(state));
	struct model *model = calloc(1, sizeof(*model));

	for (uint64_t page = 0; page < 512; page++)
		scene_set(map, model, page, 1000 + page);
	scene_set(map, model, 0, WIDE_BLOCK);
	assert_int_equal(map->array.nfree, 1);
	assert_true(scene_play(map, model, 1030, 5, dir_of(state), false) >
		    5);
	swapmap_destroy(map);
	free(model);
}

/* The trie's table grows. */
static void
test_step_table(void **state)
{
	struct swapmap *map = create(SWAPMAP_TRIE, 1 << 18, dir_of(state));
	struct model *model = calloc(1, sizeof(*model));
	uint64_t page = 0;

	/* One page less than makes half of its links lead to inner nodes. */
	for (unsigned i = 0; i < 32 * 22 - 1; i++) {
		page = i / 22 * 4096 + i % 22 * 100;
		scene_set(map, model, page, 1000 + i);
	}
	assert_int_equal(atomic_load(&map->start->word), 0);
	assert_true(scene_play(map, model, page + 100, 5, dir_of(state),
			       false) > 20);
	assert_true(atomic_load(&map->start->word) != 0);
	swapmap_destroy(map);
	free(model);
}

/* A map that chooses itself becomes an array. */
static void
test_step_switch(void **state)
{
	struct swapmap *map = create(SWAPMAP_AUTO, SWITCH_PAGES,
				     dir_of(state));
	struct model *model = calloc(1, sizeof(*model));
	uint64_t page = 0;

	while (swapmap_count(map) < map->many) {
		scene_set(map, model, page, page + 1000);
		page += 3;
	}
	assert_int_equal(swapmap_kind(map), SWAPMAP_TRIE);
	assert_true(scene_play(map, model, page, 5, dir_of(state), true) > 1);
	swapmap_destroy(map);
	assert_int_equal(swapmap_open(dir_of(state), NAME, NULL, &map), 0);
	assert_int_equal(swapmap_kind(map), SWAPMAP_ARRAY);
	swapmap_destroy(map);
	free(model);
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
test_not_a_file(void **state)
{
	int dirfd = dir_of(state), fd;

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
}

/* The start says something that is not true. */
static void
damaged_start(enum swapmap_kind kind, int dirfd)
{
	struct swapmap *map = create(kind, 50000, dirfd);

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
	assert_true(open_and_close(dirfd) < 0);
	map->start->npages = 49999;
	assert_true(open_and_close(dirfd) < 0);
	map->start->npages = 0;
	assert_int_equal(open_and_close(dirfd), -EBADMSG);
	map->start->npages = SWAPMAP_PAGES_MAX + 1;
	assert_int_equal(open_and_close(dirfd), -EBADMSG);
	map->start->npages = UINT64_MAX;
	assert_int_equal(open_and_close(dirfd), -EBADMSG);
	map->start->npages = 50000;
	atomic_store(&map->start->magic, 0);
	assert_int_equal(open_and_close(dirfd), -EBADMSG);
	atomic_store(&map->start->magic, SWAPMAP_MAGIC);
	/* Nobody has written to it: it can still be opened. */
	assert_int_equal(swapmap_check(map), 0);
	swapmap_destroy(map);
	assert_int_equal(open_and_close(dirfd), 0);
	assert_int_equal(unlinkat(dirfd, NAME, 0), 0);
}

static void
test_damaged_start(void **state)
{
	FOR_EACH_KIND(kind)
		damaged_start(kind, dir_of(state));
}

/* A file that ends too early, at each page. */
static void
cut_short(enum swapmap_kind kind, int dirfd)
{
	struct swapmap *map = create(kind, 50000, dirfd);
	size_t size;

	for (uint64_t page = 0; page < 50000; page += 500)
		set(map, page, page);
	size = map->arena.size;
	assert_true(size > SWAPMAP_START);
	assert_int_equal(ftruncate(map->arena.fd, SWAPMAP_START), 0);
	assert_int_equal(open_and_close(dirfd), kind == SWAPMAP_HASH ? 0 :
						-EBADMSG);
	swapmap_destroy(map);
	assert_int_equal(unlinkat(dirfd, NAME, 0), 0);
}

static void
test_cut_short(void **state)
{
	FOR_EACH_KIND(kind)
		cut_short(kind, dir_of(state));
}

/* Whatever bytes are in the file: refused, or a sound map; never a crash. */
static void
damaged_at_random(enum swapmap_kind kind, int dirfd)
{
	uint64_t random = 601;
	unsigned ngood = 0, nbad = 0;

	for (unsigned i = 0; i < scaled(200); i++) {
		struct swapmap *map = create(kind, 700, dirfd);

		for (unsigned k = 0; k < 40; k++)
			set(map, below(&random, 700),
			    k + below(&random, 2) * WIDE_BLOCK);
		for (unsigned k = 0; k < 3; k++) {
			size_t at = below(&random, 4) == 0 ?
				    below(&random, 64) : SWAPMAP_START +
				    below_log(&random, map->arena.size -
					      SWAPMAP_START);

			map->arena.base[at] = (char)below(&random, 256);
		}
		swapmap_destroy(map);
		if (open_and_close(dirfd) == 0)
			ngood++;
		else
			nbad++;
		assert_int_equal(unlinkat(dirfd, NAME, 0), 0);
	}
	assert_true(ngood > 0 && nbad > 0);
}

static void
test_random_damage(void **state)
{
	FOR_EACH_KIND(kind)
		damaged_at_random(kind, dir_of(state));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_reopen_prepared),
		TEST(test_not_a_file),
		TEST(test_damaged_start),
		TEST(test_cut_short),
		TEST(test_random_damage),
		TEST(test_kill),
		TEST(test_kill_switch),
		TEST(test_switch_leftover),
		TEST(test_every_instruction),
		TEST(test_step_widen),
		TEST(test_step_reuse),
		TEST(test_step_table),
		TEST(test_step_switch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
