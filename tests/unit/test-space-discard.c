/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Blocks that are discarded before they are free again, and transfers that
 * take too long.
 *
 * Files stand for devices that discard: the calls are wrapped.  A discard
 * overwrites what is there, as a disk may, and can be held until the test lets
 * it go on; it checks that nobody has what is discarded.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "device-impl.h"
#include "space-impl.h"
#include "util.h"

#define LABEL	(DEVICE_LABEL_BYTES / page_bytes())
#define BLOCKS	4096u		/* of a device, behind its label */
#define WORKERS	4u
#define ROUNDS	300u
#define MOST	24u		/* blocks that a worker takes at once */

/* ------------------------------------------------------------------- hooks */

static struct {
	atomic_bool	hold;		/* discards wait for go */
	sem_t		held, go;
	_Atomic uint64_t discarded;	/* blocks, ever */
	_Atomic unsigned runs, shortest;
	atomic_bool	live;		/* something live was discarded */
	_Atomic uint8_t	owned[BLOCKS + 16];	/* by the block of the device */
	atomic_bool	first;		/* device_discard_first() was called */
	atomic_bool	cannot;		/* ... and found that it cannot */
} hook;

bool __wrap_device_discards(const struct device *device);
void __wrap_device_discard_first(struct device *device);
void __wrap_device_discard(struct device *device, uint64_t block, uint64_t n);

bool
__wrap_device_discards(const struct device *device)
{
	(void)device;
	return !hook.cannot;
}

void
__wrap_device_discard_first(struct device *device)
{
	(void)device;
	hook.first = true;
}

void
__wrap_device_discard(struct device *device, uint64_t block, uint64_t n)
{
	size_t len = (size_t)(n * page_bytes());
	void *junk = aligned_alloc(page_bytes(), len);

	assert_non_null(junk);
	memset(junk, 0xdd, len);
	if (hook.hold) {
		sem_post(&hook.held);
		sem_wait(&hook.go);
	}
	for (uint64_t i = block; i < block + n; i++)
		if (hook.owned[i] != 0)
			hook.live = true;
	assert_int_equal(device_write(device, block, junk, n), 0);
	hook.discarded += n;
	hook.runs++;
	if (hook.shortest == 0 || n < hook.shortest)
		hook.shortest = (unsigned)n;
	free(junk);
}

/* ----------------------------------------------------------------- fixture */

struct fixture {
	char		dir[64];
	struct space	s;
	struct events	events;
	struct cache	cache;
	_Atomic uint64_t wasted, slow;
	struct swap_error error;
};

/* It shows where a test fails. */
static void
say(void *arg, enum swap_log_level level, const char *message)
{
	(void)arg;
	if (level <= SWAP_LOG_ERR)
		print_message("%s\n", message);
}

static int
setup(void **state)
{
	static const struct log log = { .fn = say };
	struct fixture *f = calloc(1, sizeof(*f));
	const char *tmp = getenv("TMPDIR");

	assert_non_null(f);
	memset(&hook, 0, sizeof(hook));
	sem_init(&hook.held, 0, 0);
	sem_init(&hook.go, 0, 0);
	format_cut(f->dir, sizeof(f->dir), "%s/test-discard.XXXXXX",
		   tmp != NULL && strlen(tmp) < 40 ? tmp : "/var/tmp");
	assert_non_null(mkdtemp(f->dir));
	assert_int_equal(space_init(&f->s, &log, -1), 0);
	events_init(&f->events, NULL, NULL);
	f->s.events = &f->events;
	f->s.slow_transfers = &f->slow;
	*state = f;
	return 0;
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	space_fini(&f->s);
	events_fini(&f->events);
	nftw(f->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
	free(f);
	return 0;
}

static struct device *
attach_blocks(struct fixture *f, const char *name, uint64_t n)
{
	struct swap_device_options options = {
		.create_bytes = (LABEL + n) * page_bytes(),
	};
	struct device *device;
	char path[128];

	format_cut(path, sizeof(path), "%s/%s", f->dir, name);
	assert_int_equal(device_open(path, &options, NULL, &device,
				     &f->error), 0);
	assert_int_equal(space_attach(&f->s, device, &f->error), 0);
	return device;
}

static struct space_totals
totals(struct fixture *f)
{
	struct space_totals t;
	uint64_t avail = 0, held = 0, lost = 0;

	space_enter(&f->s);
	for (unsigned i = 0; i < f->s.ndev; i++) {
		const struct space_dev *dev = f->s.dev[i];
		uint64_t nfree = blist_nfree(dev->blist);
		uint64_t nheld = dev->held != NULL ? blist_nfree(dev->held) : 0;

		/* S2 */
		lost += space_dev_usable(dev) - dev->used - dev->bad - nfree -
			nheld - dev->discard_n;
		if (space_dev_serves(dev)) {
			avail += nfree;
			held += nheld;
		}
	}
	/* S3, H2 */
	lost += avail - f->s.avail + held - f->s.held;
	space_leave(&f->s);
	assert_int_equal(lost, 0);
	space_totals(&f->s, &t);
	return t;
}

static uint64_t
take(struct fixture *f, unsigned want)
{
	unsigned n = 0;
	uint64_t block = space_alloc(&f->s, want, &n);

	assert_true(block != SPACE_NONE);
	assert_int_equal(n, want);
	return block;
}

/* Allocate until these are among it, and give the others back. */
static void
take_again(struct fixture *f, uint64_t block, unsigned n)
{
	uint64_t got[BLOCKS / 16];
	unsigned ngot = 0;

	do {
		assert_true(ngot < ARRAY_SIZE(got));
		got[ngot] = take(f, n);
	} while (got[ngot++] != block);
	for (unsigned i = 0; i + 1 < ngot; i++)
		space_free(&f->s, got[i], n);
}

static void
wait_until_nothing_is_held(struct fixture *f)
{
	while (totals(f).held > 0)
		sched_yield();
}

/* ------------------------------------------------------------------- tests */

static void
test_freed_blocks_are_discarded(void **state)
{
	struct fixture *f = *state;
	uint64_t block;

	attach_blocks(f, "a", BLOCKS);
	assert_true(hook.first);
	block = take(f, 64);
	/* Page by page, in no order: one run in the end. */
	for (unsigned i = 0; i < 64; i++)
		space_free(&f->s, block + i * 27 % 64, 1);
	wait_until_nothing_is_held(f);
	assert_int_equal(totals(f).avail, BLOCKS);
	assert_int_equal(hook.discarded, 64);
	assert_int_equal(hook.runs, 1);
}

static void
test_short_runs_are_not(void **state)
{
	struct fixture *f = *state;
	uint64_t block;

	attach_blocks(f, "a", BLOCKS);
	block = take(f, 64);
	space_free(&f->s, block, 15);
	space_free(&f->s, block + 20, 16);
	wait_until_nothing_is_held(f);
	assert_int_equal(hook.discarded, 16);
	assert_int_equal(totals(f).used, 33);
}

static void
test_held_blocks_are_not_given_out(void **state)
{
	struct fixture *f = *state;
	uint64_t block, other;

	attach_blocks(f, "a", BLOCKS);
	hook.hold = true;
	block = take(f, 64);
	space_free(&f->s, block, 64);
	sem_wait(&hook.held);
	assert_int_equal(totals(f).held, 64);
	/* Freeing them again is refused, and so is one block of them. */
	space_free(&f->s, block, 64);
	space_free(&f->s, block + 63, 1);
	space_free_reserved(&f->s, block, 1);
	assert_int_equal(totals(f).held, 64);
	for (unsigned left = BLOCKS - 64; left >= 64; left -= 64) {
		other = take(f, 64);
		assert_true(other >= block + 64 || other + 64 <= block);
	}
	hook.hold = false;
	sem_post(&hook.go);
	wait_until_nothing_is_held(f);
	assert_int_equal(take(f, 64), block);
}

/* What was discarded once is no reason to refuse a larger run later. */
static void
test_discarded_is_forgotten(void **state)
{
	struct fixture *f = *state;
	uint64_t block;

	attach_blocks(f, "a", BLOCKS);
	block = take(f, 64);
	space_free(&f->s, block + 16, 16);
	wait_until_nothing_is_held(f);
	take_again(f, block + 16, 16);
	space_free(&f->s, block, 64);
	assert_int_equal(totals(f).used, 0);
	wait_until_nothing_is_held(f);
	assert_int_equal(totals(f).avail, BLOCKS);
}

static void
test_held_list_refuses_too(void **state)
{
	struct fixture *f = *state;
	uint64_t block;

	attach_blocks(f, "a", BLOCKS);
	hook.hold = true;
	block = take(f, 128);
	space_free(&f->s, block, 64);
	sem_wait(&hook.held);
	/* These wait behind the first. */
	space_free(&f->s, block + 64, 64);
	assert_int_equal(totals(f).held, 128);
	take(f, 64);
	space_free(&f->s, block + 70, 1);
	space_free_reserved(&f->s, block + 70, 1);
	assert_int_equal(totals(f).held, 128);
	assert_int_equal(totals(f).used, 64);
	hook.hold = false;
	sem_post(&hook.go);
	wait_until_nothing_is_held(f);
}

/* When few are free, those that wait are free at once, and undiscarded. */
static void
test_room_goes_before(void **state)
{
	struct fixture *f = *state;
	uint64_t block[BLOCKS / 64];

	attach_blocks(f, "a", BLOCKS);
	for (unsigned i = 0; i < BLOCKS / 64; i++)
		block[i] = take(f, 64);
	assert_int_equal(totals(f).avail, 0);
	for (unsigned i = 0; i < 4; i++)
		space_free(&f->s, block[i], 64);
	assert_int_equal(totals(f).held, 0);
	assert_int_equal(totals(f).avail, 256);
	take(f, 64);
	assert_int_equal(hook.runs, 0);
}

static void *
alloc_last(void *arg)
{
	struct fixture *f = arg;

	take(f, 1);
	return NULL;
}

/* Rather than fail, an allocation waits for the last blocks there are. */
static void
test_last_blocks_are_waited_for(void **state)
{
	struct fixture *f = *state;
	pthread_t thread;
	uint64_t block;
	unsigned n;

	attach_blocks(f, "a", BLOCKS);
	hook.hold = true;
	block = take(f, 64);
	space_free(&f->s, block, 64);
	sem_wait(&hook.held);
	while (totals(f).avail > 0)
		assert_true(space_alloc(&f->s, 64, &n) != SPACE_NONE);
	assert_false(space_is_full(&f->s));
	assert_int_equal(pthread_create(&thread, NULL, alloc_last, f), 0);
	hook.hold = false;
	sem_post(&hook.go);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_false(space_is_full(&f->s));
	assert_int_equal(totals(f).avail, 63);
}

static void
test_set_aside_is_not_held(void **state)
{
	struct fixture *f = *state;
	unsigned n;
	uint64_t block;

	attach_blocks(f, "a", BLOCKS);
	assert_int_equal(space_reserve(&f->s, 64), 0);
	block = space_alloc_reserved(&f->s, 64, &n);
	assert_int_equal(n, 64);
	space_free_reserved(&f->s, block, 64);
	assert_int_equal(totals(f).held, 0);
	assert_int_equal(totals(f).reserved, 64);
	assert_int_equal(space_alloc_reserved(&f->s, 64, &n) != SPACE_NONE, 1);
}

static void
test_a_wish_counts_what_is_held(void **state)
{
	struct fixture *f = *state;
	uint64_t block;
	unsigned n;

	attach_blocks(f, "a", BLOCKS);
	block = take(f, 1024);
	space_free(&f->s, block, 1024);
	assert_int_equal(totals(f).held, 1024);
	assert_int_equal(space_reserve(&f->s, BLOCKS + 1), -ENOSPC);
	assert_int_equal(space_reserve(&f->s, BLOCKS), 0);
	assert_int_equal(totals(f).held, 0);
	assert_true(space_alloc(&f->s, 1, &n) == SPACE_NONE);
}

static void
test_closing(void **state)
{
	struct fixture *f = *state;
	struct space_dev *dev;
	char path[128];
	uint64_t block;

	attach_blocks(f, "a", BLOCKS);
	block = take(f, 128);
	hook.hold = true;
	space_free(&f->s, block, 64);
	sem_wait(&hook.held);
	space_free(&f->s, block + 64, 63);
	format_cut(path, sizeof(path), "%s/a", f->dir);
	assert_int_equal(space_close_begin(&f->s, path, 0, 0, &dev,
					   &f->error), 0);
	assert_int_equal(totals(f).total, 0);
	assert_int_equal(totals(f).used, 1);
	/* Back into service, with a discard that ends meanwhile. */
	hook.hold = false;
	sem_post(&hook.go);
	space_discard_wait(&f->s, dev);
	space_close_cancel(&f->s, dev);
	assert_int_equal(totals(f).avail, BLOCKS - 1);
	space_free(&f->s, block + 127, 1);
	assert_int_equal(space_close_begin(&f->s, path, 0, 0, &dev,
					   &f->error), 0);
	space_close_finish(&f->s, dev);
	assert_int_equal(totals(f).total, 0);
}

static void *
finish_close(void *arg)
{
	struct fixture *f = arg;

	space_close_finish(&f->s, f->s.dev[0]);
	return NULL;
}

/* A device is not given up while it is being discarded. */
static void
test_close_waits_for_a_discard(void **state)
{
	struct fixture *f = *state;
	struct space_dev *dev;
	pthread_t thread;
	char path[128];
	uint64_t block;

	attach_blocks(f, "a", BLOCKS);
	hook.hold = true;
	block = take(f, 64);
	space_free(&f->s, block, 64);
	sem_wait(&hook.held);
	format_cut(path, sizeof(path), "%s/a", f->dir);
	assert_int_equal(space_close_begin(&f->s, path, 0, 0, &dev,
					   &f->error), 0);
	assert_int_equal(pthread_create(&thread, NULL, finish_close, f), 0);
	for (unsigned i = 0; i < 1000; i++)
		sched_yield();
	assert_int_equal(f->s.ndev, 1);
	hook.hold = false;
	sem_post(&hook.go);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(f->s.ndev, 0);
}

static void
test_one_that_cannot(void **state)
{
	struct fixture *f = *state;
	uint64_t block;

	hook.cannot = true;
	attach_blocks(f, "a", BLOCKS);
	block = take(f, 64);
	space_free(&f->s, block, 64);
	assert_int_equal(totals(f).held, 0);
	assert_int_equal(totals(f).avail, BLOCKS);
	/* And one that fails later: what it holds becomes free. */
	hook.cannot = false;
	attach_blocks(f, "b", BLOCKS);
	do
		block = take(f, 64);
	while (block < SPACE_FIRST + BLOCKS + LABEL);
	space_free(&f->s, block, 64);
	hook.cannot = true;
	wait_until_nothing_is_held(f);
	assert_int_equal(hook.runs, 0);
}

/* ------------------------------------------------------------- under load */

struct worker {
	struct fixture	*f;
	unsigned	 number;
	unsigned	 bad;
	pthread_t	 thread;
};

struct piece {
	uint64_t	block;
	unsigned	n;
	uint32_t	stamp;
};

static void
stamp_piece(struct worker *w, struct piece *piece, char *buf)
{
	uint64_t first = piece->block - SPACE_FIRST;

	for (unsigned i = 0; i < piece->n; i++) {
		hook.owned[first + i] = 1;
		for (size_t k = 0; k < page_bytes(); k += sizeof(uint32_t))
			memcpy(buf + i * page_bytes() + k, &piece->stamp,
			       sizeof(uint32_t));
	}
	if (space_write(&w->f->s, piece->block, buf, piece->n) < 0)
		w->bad++;
}

static void
check_piece(struct worker *w, const struct piece *piece, char *buf)
{
	uint32_t found;

	if (space_read(&w->f->s, piece->block, buf, piece->n) < 0)
		w->bad++;
	for (size_t k = 0; k < piece->n * page_bytes(); k += sizeof(found)) {
		memcpy(&found, buf + k, sizeof(found));
		if (found != piece->stamp)
			w->bad++;
	}
	for (unsigned i = 0; i < piece->n; i++)
		hook.owned[piece->block - SPACE_FIRST + i] = 0;
}

static void *
work(void *arg)
{
	struct worker *w = arg;
	struct piece piece[16] = { { 0 } };
	char *buf = aligned_alloc(page_bytes(), MOST * page_bytes());
	unsigned x = w->number * 77 + 1;

	for (unsigned i = 0; i < ROUNDS; i++) {
		struct piece *p = &piece[i % ARRAY_SIZE(piece)];

		x = x * 1103515245u + 12345u;
		if (p->n > 0) {
			check_piece(w, p, buf);
			space_free(&w->f->s, p->block, p->n);
		}
		p->n = 0;
		p->block = space_alloc(&w->f->s, 1 + x / 65536 % MOST, &p->n);
		p->stamp = w->number * 0x1000000u + i;
		if (p->block == SPACE_NONE)
			p->n = 0;
		else
			stamp_piece(w, p, buf);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(piece); i++) {
		if (piece[i].n == 0)
			continue;
		check_piece(w, &piece[i], buf);
		space_free(&w->f->s, piece[i].block, piece[i].n);
	}
	free(buf);
	return NULL;
}

/* Nobody's blocks are discarded, and everybody finds what he wrote. */
static void
under_load(struct fixture *f, uint64_t blocks)
{
	struct worker worker[WORKERS];

	attach_blocks(f, "a", blocks);
	for (unsigned i = 0; i < WORKERS; i++) {
		worker[i] = (struct worker){ .f = f, .number = i + 1 };
		assert_int_equal(pthread_create(&worker[i].thread, NULL, work,
						&worker[i]), 0);
	}
	for (unsigned i = 0; i < WORKERS; i++) {
		assert_int_equal(pthread_join(worker[i].thread, NULL), 0);
		assert_int_equal(worker[i].bad, 0);
	}
	wait_until_nothing_is_held(f);
	assert_false(hook.live);
	assert_int_equal(totals(f).avail, blocks);
	assert_int_equal(totals(f).used, 0);
	assert_int_equal(blist_check(f->s.dev[0]->blist), 0);
	assert_int_equal(blist_check(f->s.dev[0]->held), 0);
}

static void
test_load_with_much_room(void **state)
{
	under_load(*state, BLOCKS);
	assert_true(hook.discarded > 0);
	assert_true(hook.shortest >= 16);
}

static void
test_load_with_little_room(void **state)
{
	under_load(*state, 700);
}

/* -------------------------------------------------- transfers that are slow */

struct started {
	struct device_io io;
	unsigned	 ended;
	int		 rc;
};

static void
note_end(struct device_io *io, int rc)
{
	struct started *t = io->arg;

	t->ended++;
	t->rc = rc;
}

static void
test_slow_transfers_are_told_once(void **state)
{
	struct fixture *f = *state;
	struct device *device = attach_blocks(f, "a", BLOCKS);
	char *buf = aligned_alloc(page_bytes(), 2 * page_bytes());
	struct started t[2];
	struct swap_event *events;
	uint64_t block = take(f, 2), last;
	struct aio *aio;
	size_t n;

	assert_int_equal(aio_create(true, 4, &aio), 0);
	assert_non_null(buf);
	memset(buf, 1, 2 * page_bytes());
	/* Not reaped, so in flight. */
	for (unsigned i = 0; i < 2; i++) {
		t[i] = (struct started){ .io = {
			.block = block + i, .n = 1, .write = true,
			.buf = buf + i * page_bytes(), .done = note_end,
			.arg = &t[i],
		} };
		space_start(&f->s, aio, &t[i].io);
	}
	aio_submit(aio);
	space_watch(&f->s);
	assert_int_equal(f->slow, 0);
	device->slow_nsec = 0;
	f->s.next_watch = 0;
	space_watch(&f->s);
	assert_int_equal(f->slow, 2);
	f->s.next_watch = 0;
	space_watch(&f->s);
	assert_int_equal(f->slow, 2);
	assert_int_equal(events_after(&f->events, 0, &events, &n, &last), 0);
	assert_int_equal(n, 1);
	assert_int_equal(events[0].kind, SWAP_EVENT_IO_SLOW);
	assert_string_equal(events[0].device, device_path(device));
	free(events);
	aio_destroy(aio);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(t[i].ended, 1);
		assert_int_equal(t[i].rc, 0);
	}
	/* What waits for its turn to be looked at is not: once a second. */
	f->s.next_watch = UINT64_MAX;
	space_watch(&f->s);
	assert_int_equal(f->slow, 2);
	free(buf);
}

/* ------------------------------------------------------- copies of blocks */

/* C2 of cache.h: no copy outlives the owner of its block. */
static void
test_allocating_forgets_copies(void **state)
{
	struct fixture *f = *state;
	uint64_t block, again;
	uint32_t n;
	unsigned got;
	char *mem;

	hook.cannot = true;
	attach_blocks(f, "a", 64);
	assert_int_equal(cache_init(&f->cache, &f->wasted), 0);
	assert_int_equal(cache_resize(&f->cache, 64), 0);
	f->s.cache = &f->cache;
	block = take(f, 64);
	mem = cache_take(&f->cache, 2, &n);
	assert_non_null(mem);
	cache_keep(&f->cache, mem, n, block + 10, CACHE_OUT);
	assert_true(cache_has(&f->cache, block + 10));
	space_free(&f->s, block, 64);
	assert_true(cache_has(&f->cache, block + 10));
	again = take(f, 64);
	assert_int_equal(again, block);
	assert_false(cache_has(&f->cache, block + 10));
	/* The same for what was set aside. */
	mem = cache_take(&f->cache, 1, &n);
	cache_keep(&f->cache, mem, n, block + 20, CACHE_OUT);
	space_free(&f->s, block, 64);
	assert_int_equal(space_reserve(&f->s, 64), 0);
	assert_int_equal(space_alloc_reserved(&f->s, 64, &got), block);
	assert_false(cache_has(&f->cache, block + 20));
	f->s.cache = NULL;
	cache_fini(&f->cache);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_freed_blocks_are_discarded),
		TEST(test_short_runs_are_not),
		TEST(test_held_blocks_are_not_given_out),
		TEST(test_discarded_is_forgotten),
		TEST(test_held_list_refuses_too),
		TEST(test_room_goes_before),
		TEST(test_last_blocks_are_waited_for),
		TEST(test_set_aside_is_not_held),
		TEST(test_a_wish_counts_what_is_held),
		TEST(test_closing),
		TEST(test_close_waits_for_a_discard),
		TEST(test_one_that_cannot),
		TEST(test_load_with_much_room),
		TEST(test_load_with_little_room),
		TEST(test_slow_transfers_are_told_once),
		TEST(test_allocating_forgets_copies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
