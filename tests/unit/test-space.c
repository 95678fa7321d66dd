/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Swap space on real files: who gets which blocks, what is set aside, what is
 * freed late, what is said when little is left, and the map of a device.
 *
 * A device can be made to look larger than its file (look_large): its blocks
 * are then counted, not written.  What happens between two windows of a map
 * is decided by a hook behind the histogram of a window, and the lock can be
 * made to seem taken.
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
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "device.h"
#include "space-impl.h"
#include "util.h"

#define LABEL	(DEVICE_LABEL_BYTES / page_bytes())
#define FIRST	(SPACE_FIRST + LABEL)	/* block of the only device */
#define PLENTY	(UINT64_C(1) << 40)

/* ---------------------------------------------------------------- fixture */

struct fixture {
	char		dir[64];
	struct space	s;
	atomic_uint	refilled;
	atomic_uint	refilled_locked; /* ... while the lock was held */
	pthread_mutex_t	lock;
	char		log[16384];	/* (lock) all messages, newlines */
	struct swap_error error;
};

/* What the wrappers below do; set up by a test, cleared by setup(). */
static struct {
	uint64_t look_large;	/* blocks of the devices attached next */
	void	(*window)(struct fixture *f, uint64_t nblocks);
	struct fixture *f;
	unsigned nwindows;
	uint64_t largest;	/* window */
	unsigned most_counts;	/* cells in one window */
	unsigned counts;
	unsigned refuse_lock;	/* so often, the lock seems taken */
} hook;

uint64_t __real_device_nblocks(const struct device *device);
uint64_t __wrap_device_nblocks(const struct device *device);
void __real_blist_histogram_add(const struct blist *bl, uint64_t lo,
				uint64_t hi, struct blist_histogram *hist);
void __wrap_blist_histogram_add(const struct blist *bl, uint64_t lo,
				uint64_t hi, struct blist_histogram *hist);
int __real_pthread_mutex_trylock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_trylock(pthread_mutex_t *mutex);
uint64_t __real_blist_count_free(const struct blist *bl, uint64_t lo,
				 uint64_t hi);
uint64_t __wrap_blist_count_free(const struct blist *bl, uint64_t lo,
				 uint64_t hi);

uint64_t
__wrap_device_nblocks(const struct device *device)
{
	return hook.look_large != 0 ? hook.look_large :
				      __real_device_nblocks(device);
}

void
__wrap_blist_histogram_add(const struct blist *bl, uint64_t lo, uint64_t hi,
			   struct blist_histogram *hist)
{
	__real_blist_histogram_add(bl, lo, hi, hist);
	if (hook.f == NULL)
		return;
	hook.nwindows++;
	if (hi - lo > hook.largest)
		hook.largest = hi - lo;
	if (hook.counts > hook.most_counts)
		hook.most_counts = hook.counts;
	hook.counts = 0;
	if (hook.window != NULL)
		hook.window(hook.f, hi);
}

uint64_t
__wrap_blist_count_free(const struct blist *bl, uint64_t lo, uint64_t hi)
{
	if (hook.f != NULL)
		hook.counts++;
	return __real_blist_count_free(bl, lo, hi);
}

int
__wrap_pthread_mutex_trylock(pthread_mutex_t *mutex)
{
	if (hook.refuse_lock > 0) {
		hook.refuse_lock--;
		return EBUSY;
	}
	return __real_pthread_mutex_trylock(mutex);
}

static void
keep_message(void *arg, enum swap_log_level level, const char *message)
{
	struct fixture *f = arg;
	size_t used;

	(void)level;
	pthread_mutex_lock(&f->lock);
	used = strlen(f->log);
	format_cut(f->log + used, sizeof(f->log) - used, "%s\n", message);
	pthread_mutex_unlock(&f->lock);
}

/* How often the log has @text. */
static unsigned
logged(struct fixture *f, const char *text)
{
	unsigned n = 0;

	pthread_mutex_lock(&f->lock);
	for (const char *p = f->log; (p = strstr(p, text)) != NULL; p++)
		n++;
	pthread_mutex_unlock(&f->lock);
	return n;
}

static void
refilled(void *arg)
{
	struct fixture *f = arg;

	f->refilled++;
	if (pthread_mutex_trylock(&f->s.lock) == 0)
		pthread_mutex_unlock(&f->s.lock);
	else
		f->refilled_locked++;
}

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct log log = { .fn = keep_message, .arg = f };
	const char *tmp = getenv("TMPDIR");

	memset(&hook, 0, sizeof(hook));
	if (f == NULL)
		return -1;
	pthread_mutex_init(&f->lock, NULL);
	format_cut(f->dir, sizeof(f->dir), "%s/test-space.XXXXXX",
		   tmp != NULL && strlen(tmp) < 40 ? tmp : "/var/tmp");
	if (mkdtemp(f->dir) == NULL || space_init(&f->s, &log, -1) < 0) {
		free(f);
		return -1;
	}
	f->s.refilled = refilled;
	f->s.refilled_arg = f;
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
	nftw(f->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
	pthread_mutex_destroy(&f->lock);
	free(f);
	return 0;
}

/* A name in the test's directory; sixteen of them live at a time. */
static const char *
in_dir(const struct fixture *f, const char *name)
{
	static _Thread_local char paths[16][256];
	static _Thread_local unsigned next;
	char *path = paths[next++ % ARRAY_SIZE(paths)];

	format_cut(path, sizeof(paths[0]), "%s/%s", f->dir, name);
	return path;
}

/* Attach a file, made where there is none, with @n blocks behind the label. */
static struct device *
attach(struct fixture *f, const char *name, uint64_t n, int priority)
{
	const char *path = in_dir(f, name);
	struct swap_device_options options = { .priority = priority };
	struct device *device;

	if (access(path, F_OK) != 0)
		options.create_bytes = (LABEL + n) * page_bytes();
	assert_int_equal(device_open(path, &options, NULL, &device,
				     &f->error), 0);
	assert_int_equal(space_attach(&f->s, device, &f->error), 0);
	return device;
}

static struct space_dev *
dev_named(struct fixture *f, const char *name)
{
	const char *path = in_dir(f, name);
	struct space_dev *found = NULL;

	space_enter(&f->s);
	for (unsigned i = 0; i < f->s.ndev; i++)
		if (strcmp(space_dev_path(f->s.dev[i]), path) == 0)
			found = f->s.dev[i];
	space_leave(&f->s);
	return found;
}

static struct space_dev *
close_begin(struct fixture *f, const char *name)
{
	struct space_dev *dev;

	assert_int_equal(space_close_begin(&f->s, in_dir(f, name), 0, 0, &dev,
					   &f->error), 0);
	return dev;
}

static struct space_totals
totals(struct fixture *f)
{
	struct space_totals t;

	space_totals(&f->s, &t);
	return t;
}

/* Allocate @want blocks, which must be there in one piece. */
static uint64_t
take(struct fixture *f, unsigned want)
{
	unsigned n = 0;
	uint64_t block = space_alloc(&f->s, want, &n);

	assert_true(block != SPACE_NONE);
	assert_int_equal(n, want);
	return block;
}

/* Allocate @want blocks, wherever they are. */
static void
take_pieces(struct fixture *f, unsigned want)
{
	unsigned n = 0;

	for (; want > 0; want -= n)
		assert_true(space_alloc(&f->s, want, &n) != SPACE_NONE);
}

/* On which device is it? */
static bool
lies_on(struct fixture *f, uint64_t block, const char *name)
{
	struct space_dev *dev = dev_named(f, name);

	return block >= space_dev_first(dev) + LABEL &&
	       block < space_dev_end(dev);
}

static void
assert_full(struct fixture *f)
{
	unsigned n = 77;

	assert_true(space_alloc(&f->s, 1, &n) == SPACE_NONE);
	assert_int_equal(n, 77);
}

static uint64_t
next_random(uint64_t *state)
{
	uint64_t x = *state;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	*state = x;
	return x * UINT64_C(0x2545f4914f6cdd1d) >> 16;
}

/* --------------------------------------------------------- order of devices */

static void
test_addresses(void **state)
{
	struct fixture *f = *state;
	struct space_dev *a, *b, *c;
	void *buf = mmap(NULL, 4 * page_bytes(), PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_true(buf != MAP_FAILED);
	attach(f, "a", 10, 0);
	attach(f, "b", 20, 0);
	a = dev_named(f, "a");
	b = dev_named(f, "b");
	assert_true(space_dev_end(a) < space_dev_first(b));
	/* A block between them is nobody's, and nothing crosses it. */
	assert_int_equal(space_read(&f->s, space_dev_end(a), buf, 1), -ENXIO);
	assert_int_equal(space_read(&f->s, space_dev_end(a) - 1, buf, 2),
			 -ENXIO);
	assert_int_equal(space_read(&f->s, space_dev_end(a) - 1, buf, 1), 0);
	assert_int_equal(space_write(&f->s, space_dev_end(b), buf, 1), -ENXIO);
	/* Addresses of a device that has gone are used again. */
	space_close_finish(&f->s, close_begin(f, "a"));
	attach(f, "c", 10, 0);
	c = dev_named(f, "c");
	assert_int_equal(space_dev_first(c), SPACE_FIRST);
	attach(f, "d", 11, 0);
	assert_true(space_dev_first(dev_named(f, "d")) > space_dev_end(b));
	munmap(buf, 4 * page_bytes());
}

static void
test_round_robin(void **state)
{
	struct fixture *f = *state;
	static const char *const names[] = { "a", "b", "c" };

	for (unsigned i = 0; i < 3; i++)
		attach(f, names[i], 40, 5);
	for (unsigned i = 0; i < 9; i++)
		assert_true(lies_on(f, take(f, 4), names[i % 3]));
}

static void
test_priorities(void **state)
{
	struct fixture *f = *state;
	unsigned n = 0;
	uint64_t block;

	attach(f, "low", 64, 1);
	attach(f, "high", 8, 7);
	attach(f, "high2", 8, 7);
	assert_true(lies_on(f, take(f, 6), "high"));
	assert_true(lies_on(f, take(f, 6), "high2"));
	/* A short run of a higher priority before a long one of a lower. */
	block = space_alloc(&f->s, 6, &n);
	assert_true(lies_on(f, block, "high"));
	assert_int_equal(n, 2);
	assert_true(lies_on(f, take(f, 2), "high2"));
	assert_true(lies_on(f, take(f, 6), "low"));
}

/* The longest run that a priority has, wherever it is its turn. */
static void
test_longest(void **state)
{
	struct fixture *f = *state;
	unsigned n = 0;
	uint64_t block;

	attach(f, "a", 12, 0);
	attach(f, "b", 29, 0);
	attach(f, "c", 29, 0);
	block = space_alloc(&f->s, 32, &n);
	assert_true(lies_on(f, block, "b"));
	assert_int_equal(n, 29);
	/* c has what b had, and is next. */
	space_free(&f->s, block, n);
	block = space_alloc(&f->s, 1024, &n);
	assert_true(lies_on(f, block, "c"));
	assert_int_equal(n, 29);
	/* Of two that have the whole wish, the first in turn. */
	block = space_alloc(&f->s, 12, &n);
	assert_true(lies_on(f, block, "a"));
	assert_int_equal(n, 12);
	space_alloc(&f->s, UINT32_MAX, &n);
	assert_int_equal(n, 29);
	assert_full(f);
}

static void
test_label_and_nonsense(void **state)
{
	struct fixture *f = *state;
	uint64_t block;

	attach(f, "a", 10, 0);
	block = take(f, 10);
	assert_int_equal(block, FIRST);
	assert_full(f);
	space_free(&f->s, SPACE_FIRST, LABEL);	/* the label */
	space_free(&f->s, FIRST + 1000, 1);	/* nobody's */
	space_free(&f->s, block + 5, 6);	/* beyond the end */
	space_free(&f->s, block, 0);
	assert_int_equal(logged(f, "not in use"), 3);
	assert_int_equal(totals(f).used, 10);
	space_free(&f->s, block, 10);
	space_free(&f->s, block + 3, 1);
	assert_int_equal(logged(f, "not in use"), 4);
	assert_int_equal(totals(f).used, 0);
	assert_int_equal(totals(f).avail, 10);
}

/* ------------------------------------------------------------ word blocks */

static atomic_uint nread;

static void
count_done(struct device_io *io, int rc)
{
	(void)io;
	assert_int_equal(rc, 0);
	nread++;
}

/* Numbers that are on no device: read at once, shared, and never counted. */
static void
test_words(void **state)
{
	struct fixture *f = *state;
	size_t n = page_bytes() / sizeof(uint64_t);
	uint64_t *buf = aligned_alloc(page_bytes(), 2 * page_bytes());
	struct device_io io = { .n = 2, .buf = buf, .done = count_done };
	uint64_t a, b;

	assert_non_null(buf);
	nread = 0;
	/* There need not be a device. */
	a = space_word(&f->s, 1111);
	b = space_word(&f->s, UINT64_MAX);
	assert_true(space_is_word(a) && space_is_word(b) && a != b);
	assert_int_equal(space_word(&f->s, 1111), a);
	attach(f, "a", 10, 0);
	assert_false(space_is_word(take(f, 10)));
	assert_full(f);
	memset(buf, 1, 2 * page_bytes());
	assert_int_equal(space_read(&f->s, b, buf, 1), 0);
	assert_int_equal(space_read(&f->s, a, buf + n, 1), 0);
	for (size_t i = 0; i < n; i++)
		assert_true(buf[i] == UINT64_MAX && buf[n + i] == 1111);
	/* Consecutive ones in one go. */
	assert_int_equal(b, a + 1);
	io.block = a;
	space_start(&f->s, NULL, &io);
	assert_int_equal(nread, 1);
	for (size_t i = 0; i < n; i++)
		assert_true(buf[i] == 1111 && buf[n + i] == UINT64_MAX);
	/* Not beyond them, and never written. */
	assert_int_equal(space_read(&f->s, WORDS_MAX - 1, buf, 2), -ENXIO);
	assert_int_equal(space_read(&f->s, WORDS_MAX, buf, 1), -ENXIO);
	assert_int_equal(space_write(&f->s, a, buf, 1), -ENXIO);
	assert_false(space_is_leaving(&f->s, a));
	assert_false(space_is_gone(&f->s, a));
	/* Each reference is dropped by itself; nothing is set aside. */
	assert_int_equal(totals(f).used, 10);
	space_free(&f->s, a, 2);
	assert_int_equal(words_count(&f->s.words), 1);
	space_free_reserved(&f->s, a, 1);
	assert_int_equal(words_count(&f->s.words), 0);
	assert_int_equal(totals(f).reserved, 0);
	assert_int_equal(totals(f).free_completed, 0);
	assert_int_equal(logged(f, "not in use"), 0);
	space_free(&f->s, a, 1);
	assert_int_equal(logged(f, "not in use"), 1);
	/* No more than there is room for. */
	for (uint64_t i = 0; i < WORDS_MAX; i++)
		assert_true(space_is_word(space_word(&f->s, i)));
	assert_true(space_word(&f->s, WORDS_MAX) == SPACE_NONE);
	space_free(&f->s, 0, WORDS_MAX);
	assert_int_equal(words_count(&f->s.words), 0);
	free(buf);
}

/* -------------------------------------------------------------- set aside */

static void
test_reserve(void **state)
{
	struct fixture *f = *state;
	unsigned n = 0;
	uint64_t block;

	attach(f, "a", 60, 0);
	attach(f, "b", 40, 0);
	assert_int_equal(space_reserve(&f->s, 101), -ENOSPC);
	assert_int_equal(space_reserve(&f->s, UINT64_MAX), -ENOSPC);
	assert_int_equal(totals(f).reserved, 0);
	assert_int_equal(space_reserve(&f->s, 0), 0);
	assert_int_equal(space_reserve(&f->s, 95), 0);
	assert_int_equal(space_reserve(&f->s, 6), -ENOSPC);
	assert_int_equal(totals(f).reserved, 95);
	assert_int_equal(totals(f).avail, 100);

	/* Five are left for others, however long a run there would be. */
	block = space_alloc(&f->s, 32, &n);
	assert_int_equal(n, 5);
	assert_full(f);
	assert_true(space_is_full(&f->s));
	assert_int_equal(space_room(&f->s), 0);

	/* All that is set aside can be had. */
	for (uint64_t got = 0; got < 95; got += n) {
		assert_true(space_alloc_reserved(&f->s, 16, &n) !=
			    SPACE_NONE);
		assert_int_equal(totals(f).reserved, 95 - got - n);
	}
	assert_int_equal(totals(f).avail, 0);
	assert_true(space_alloc_reserved(&f->s, 1, &n) == SPACE_NONE);
	space_free(&f->s, block, 5);
	/* Not by one who has nothing set aside. */
	assert_true(space_alloc_reserved(&f->s, 1, &n) == SPACE_NONE);
	assert_int_equal(totals(f).avail, 5);
}

static void
test_reserve_again(void **state)
{
	struct fixture *f = *state;
	unsigned n = 0;
	uint64_t block;

	attach(f, "a", 50, 0);
	assert_int_equal(space_reserve(&f->s, 50), 0);
	block = space_alloc_reserved(&f->s, 10, &n);
	assert_int_equal(n, 10);
	space_free_reserved(&f->s, block, 4);
	assert_int_equal(totals(f).reserved, 44);
	assert_full(f);
	space_free(&f->s, block + 4, 6);
	assert_int_equal(totals(f).reserved, 44);
	take(f, 6);
	assert_full(f);
	space_unreserve(&f->s, 44);
	assert_int_equal(totals(f).reserved, 0);
	take_pieces(f, 44);
	space_unreserve(&f->s, 1);
	assert_int_equal(logged(f, "not set aside"), 1);
	assert_int_equal(totals(f).reserved, 0);
}

/* Devices go; what was set aside stays so, and nothing wraps around. */
static void
test_reserve_and_close(void **state)
{
	struct fixture *f = *state;
	struct space_dev *dev;
	unsigned n = 0;
	uint64_t block;

	attach(f, "a", 100, 1);
	attach(f, "b", 30, 0);
	block = take(f, 20);
	assert_true(lies_on(f, block, "a"));
	assert_int_equal(space_reserve(&f->s, 80), 0);
	dev = close_begin(f, "a");
	assert_int_equal(totals(f).total, 30);
	assert_int_equal(totals(f).avail, 30);
	assert_int_equal(totals(f).reserved, 30);	/* of avail */
	assert_full(f);
	assert_int_equal(space_room(&f->s), 0);
	assert_int_equal(space_reserve(&f->s, 1), -ENOSPC);
	/* A free on a closing device is nobody's gain yet. */
	space_free_reserved(&f->s, block, 20);
	assert_int_equal(totals(f).avail, 30);
	assert_true(space_alloc_reserved(&f->s, 64, &n) != SPACE_NONE);
	assert_int_equal(n, 30);
	assert_true(space_alloc_reserved(&f->s, 64, &n) == SPACE_NONE);
	assert_int_equal(space_dev_used(&f->s, dev), 0);
	space_close_cancel(&f->s, dev);
	assert_int_equal(totals(f).avail, 100);
	assert_int_equal(totals(f).reserved, 70);	/* 80 + 20 - 30 */
	take_pieces(f, 30);
	assert_full(f);
	space_unreserve(&f->s, 70);
	assert_int_equal(totals(f).reserved, 0);
	take_pieces(f, 70);
}

static void
test_close_check(void **state)
{
	struct fixture *f = *state;
	struct space_dev *dev;
	const char *a;

	attach(f, "a", 100, 1);
	attach(f, "b", 60, 0);
	a = in_dir(f, "a");
	take(f, 50);
	/* 50 on a; b has 60, of which 30 are set aside. */
	assert_int_equal(space_reserve(&f->s, 30), 0);
	assert_int_equal(space_close_begin(&f->s, a, 50, 19, &dev, &f->error),
			 -ENOMEM);
	assert_non_null(strstr(f->error.message, a));
	assert_int_equal(space_close_begin(&f->s, a, 49, 19, &dev, &f->error),
			 0);
	space_close_cancel(&f->s, dev);
	/* More set aside than b has: that is nothing, not less. */
	assert_int_equal(space_reserve(&f->s, 70), 0);
	assert_int_equal(space_close_begin(&f->s, a, 50, 49, &dev, &f->error),
			 -ENOMEM);
	assert_int_equal(space_close_begin(&f->s, a, 50, 50, &dev, &f->error),
			 0);
	assert_int_equal(space_close_begin(&f->s, a, 0, 0, &dev, &f->error),
			 -EBUSY);
	assert_int_equal(space_close_begin(&f->s, in_dir(f, "x"), 0, 0, &dev,
					   &f->error), -ENXIO);
	space_close_cancel(&f->s, dev);
}

static void
test_gone(void **state)
{
	struct fixture *f = *state;
	void *buf = mmap(NULL, page_bytes(), PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct device *a;
	unsigned n = 0;
	uint64_t block;

	assert_true(buf != MAP_FAILED);
	a = attach(f, "a", 100, 1);
	attach(f, "b", 40, 0);
	block = take(f, 30);
	assert_int_equal(space_reserve(&f->s, 60), 0);
	device_orphan(a);
	assert_int_equal(space_read(&f->s, block, buf, 1), -ENXIO);
	assert_int_equal(logged(f, "has disappeared"), 1);
	assert_int_equal(totals(f).total, 40);
	assert_int_equal(totals(f).avail, 40);
	assert_int_equal(totals(f).reserved, 40);
	assert_full(f);
	block = space_alloc_reserved(&f->s, 64, &n);
	assert_int_equal(n, 40);
	space_free_reserved(&f->s, block, 40);
	space_unreserve(&f->s, 60);
	take(f, 40);
	munmap(buf, page_bytes());
}

/* ------------------------------------------------------------- freed late */

static unsigned
noted(struct fixture *f)
{
	return atomic_load(&f->s.nlate);
}

static void
test_late(void **state)
{
	struct fixture *f = *state;
	struct space_totals t;
	uint64_t block;

	attach(f, "a", 100, 0);
	block = take(f, 50);
	pthread_mutex_lock(&f->s.lock);
	space_free(&f->s, block, 10);
	space_free(&f->s, block + 20, 5);
	space_free_reserved(&f->s, block + 40, 3);
	assert_int_equal(noted(f), 3);
	pthread_mutex_unlock(&f->s.lock);
	t = totals(f);
	assert_int_equal(t.used, 32);
	assert_int_equal(t.avail, 68);
	assert_int_equal(t.reserved, 3);
	assert_int_equal(t.free_deferred, 18);
	assert_int_equal(t.free_completed, 18);
	assert_int_equal(noted(f), 0);
	/* With the lock at hand nothing is late. */
	space_free(&f->s, block + 10, 10);
	assert_int_equal(totals(f).free_deferred, 18);
}

/* Each way to take the lock sees what was freed before. */
static void
test_late_is_seen(void **state)
{
	struct fixture *f = *state;
	struct swap_device_stats *stats;
	struct space_dev *dev;
	unsigned n = 0;
	size_t nstats;

	attach(f, "a", 8, 1);
	attach(f, "b", 100, 0);
	dev = dev_named(f, "a");
	for (unsigned way = 0; way < 6; way++) {
		uint64_t block = take(f, 8);

		assert_true(lies_on(f, block, "a"));
		pthread_mutex_lock(&f->s.lock);
		space_free(&f->s, block, 8);
		pthread_mutex_unlock(&f->s.lock);
		switch (way) {
		case 0:
			assert_int_equal(space_dev_used(&f->s, dev), 0);
			break;
		case 1:
			assert_int_equal(space_stats(&f->s, &stats, &nstats),
					 0);
			assert_int_equal(stats[0].used_bytes, 0);
			free(stats);
			break;
		case 2:
			space_free(&f->s, take(f, 8), 8);
			break;
		case 3:
			assert_int_equal(space_reserve(&f->s, 108), 0);
			space_unreserve(&f->s, 108);
			break;
		case 4:
			assert_int_equal(space_reserve(&f->s, 1), 0);
			space_alloc_reserved(&f->s, 1, &n);
			space_free(&f->s, FIRST, 1);
			break;
		default:
			close_begin(f, "a");
			assert_int_equal(totals(f).avail, 100);
			space_close_finish(&f->s, dev);
		}
		assert_int_equal(noted(f), 0);
		assert_int_equal(totals(f).used, 0);
	}
	assert_int_equal(totals(f).free_completed, 48);
	assert_int_equal(logged(f, "not in use"), 0);
}

/* Who releases the lock looks behind, and tells the others without it. */
static void
test_late_by_holder(void **state)
{
	struct fixture *f = *state;
	unsigned before;

	attach(f, "a", 64, 0);
	take(f, 64);
	assert_full(f);
	before = f->refilled;
	space_enter(&f->s);
	space_free(&f->s, FIRST, 64);
	assert_int_equal(noted(f), 1);
	assert_int_equal(f->refilled, before);
	space_leave(&f->s);
	assert_int_equal(noted(f), 0);
	assert_int_equal(f->refilled, before + 1);
	assert_int_equal(f->refilled_locked, 0);
	assert_false(space_is_full(&f->s));
}

/* The holder has looked behind, and the range is noted down after that. */
static void
test_late_by_freer(void **state)
{
	struct fixture *f = *state;
	uint64_t block;

	attach(f, "a", 64, 0);
	block = take(f, 64);
	hook.refuse_lock = 1;
	space_free(&f->s, block, 64);
	assert_int_equal(hook.refuse_lock, 0);
	assert_int_equal(f->s.free_deferred, 64);
	assert_int_equal(noted(f), 0);
	assert_int_equal(totals(f).free_completed, 64);
}

/* What is refused late is refused alone. */
static void
test_late_refused(void **state)
{
	struct fixture *f = *state;
	struct space_totals t;
	uint64_t block;

	attach(f, "a", 100, 0);
	block = take(f, 20);
	pthread_mutex_lock(&f->s.lock);
	space_free(&f->s, block, 10);
	space_free(&f->s, block + 9, 2);
	space_free_reserved(&f->s, FIRST + 5000, 2);
	space_free(&f->s, block + 10, 10);
	pthread_mutex_unlock(&f->s.lock);
	t = totals(f);
	assert_int_equal(t.used, 0);
	assert_int_equal(t.avail, 100);
	assert_int_equal(t.reserved, 0);
	assert_int_equal(t.free_deferred, 24);
	assert_int_equal(t.free_completed, 20);
	assert_int_equal(logged(f, "not in use"), 1);
}

struct freer {
	struct fixture	*f;
	uint64_t	block;
	_Atomic int	tid;
};

static void *
free_one(void *arg)
{
	struct freer *freer = arg;

	freer->tid = (int)syscall(SYS_gettid);
	space_free(&freer->f->s, freer->block, 1);
	return NULL;
}

/* Until the thread sleeps in the kernel. */
static void
wait_asleep(struct freer *freer)
{
	char path[64], text[256], *p;
	ssize_t n;
	int fd;

	while (freer->tid == 0)
		sched_yield();
	format_cut(path, sizeof(path), "/proc/self/task/%d/stat", freer->tid);
	do {
		sched_yield();
		fd = open(path, O_RDONLY);
		assert_true(fd >= 0);
		n = read(fd, text, sizeof(text) - 1);
		close(fd);
		assert_true(n > 0);
		text[n] = '\0';
		p = strrchr(text, ')');
		assert_non_null(p);
	} while (p[2] != 'S');
}

/* A full table: the next one waits, and is not counted as deferred. */
static void
test_late_table_full(void **state)
{
	struct fixture *f = *state;
	struct freer freer = { .f = f };
	struct space_totals t;
	pthread_t thread;
	uint64_t block;

	attach(f, "a", 200, 0);
	block = take(f, 200);
	pthread_mutex_lock(&f->s.lock);
	for (unsigned i = 0; i < SPACE_LATE_MAX; i++)
		space_free(&f->s, block + 2 * i, 1);
	freer.block = block + 199;
	assert_int_equal(pthread_create(&thread, NULL, free_one, &freer), 0);
	wait_asleep(&freer);
	pthread_mutex_unlock(&f->s.lock);
	pthread_join(thread, NULL);
	assert_int_equal(noted(f), 0);
	t = totals(f);
	assert_int_equal(t.free_deferred, SPACE_LATE_MAX);
	assert_int_equal(t.free_completed, SPACE_LATE_MAX);
	assert_int_equal(t.used, 200 - SPACE_LATE_MAX - 1);
}

/* A free returns while another thread has the lock. */
static void
test_late_does_not_wait(void **state)
{
	struct fixture *f = *state;
	struct freer freer = { .f = f };
	pthread_t thread;

	attach(f, "a", 10, 0);
	freer.block = take(f, 10);
	pthread_mutex_lock(&f->s.lock);
	assert_int_equal(pthread_create(&thread, NULL, free_one, &freer), 0);
	pthread_join(thread, NULL);
	assert_int_equal(noted(f), 1);
	pthread_mutex_unlock(&f->s.lock);
	assert_int_equal(totals(f).free_completed, 1);
	assert_int_equal(totals(f).used, 9);
}

/* ------------------------------------------------------------ water marks */

/* 1,000 blocks: by their number the marks are 31 and 125. */
static void
test_water(void **state)
{
	struct fixture *f = *state;
	unsigned first;

	attach(f, "a", 1000, 0);
	first = f->refilled;
	assert_false(space_is_tight(&f->s));
	take(f, 969);
	assert_false(totals(f).almost_full);
	take(f, 1);
	assert_true(totals(f).almost_full);
	assert_int_equal(totals(f).almost_full_events, 1);
	assert_int_equal(logged(f, "almost full"), 1);
	space_free(&f->s, FIRST, 95);		/* 125 are free */
	assert_true(totals(f).almost_full);
	space_free(&f->s, FIRST + 95, 1);
	assert_false(totals(f).almost_full);
	assert_int_equal(logged(f, "no longer almost full"), 1);
	assert_int_equal(totals(f).full_events, 0);

	take(f, 96);
	take(f, 30);
	assert_full(f);
	assert_full(f);
	assert_true(space_is_full(&f->s));
	assert_int_equal(totals(f).full_events, 1);
	assert_int_equal(totals(f).almost_full_events, 2);
	assert_int_equal(logged(f, "out of swap space"), 1);
	assert_int_equal(space_room(&f->s), 0);
	space_free(&f->s, FIRST, 30);
	assert_true(space_is_full(&f->s));
	assert_int_equal(space_room(&f->s), 30);
	assert_int_equal(f->refilled, first);
	space_free(&f->s, FIRST + 30, 1);
	assert_false(space_is_full(&f->s));
	assert_true(space_is_tight(&f->s));
	assert_true(space_room(&f->s) == UINT64_MAX);
	assert_int_equal(f->refilled, first + 1);
	assert_int_equal(f->refilled_locked, 0);
}

static void
test_set_water(void **state)
{
	struct fixture *f = *state;
	uint64_t low = 1, high = 1;

	attach(f, "a", 1000, 0);
	space_water(&f->s, &low, &high);
	assert_int_equal(low, 0);
	assert_int_equal(high, 0);
	assert_int_equal(space_set_water(&f->s, 301, 300), -EINVAL);
	assert_int_equal(space_set_water(&f->s, 200, 300), 0);
	space_water(&f->s, &low, &high);
	assert_int_equal(low, 200);
	assert_int_equal(high, 300);
	take(f, 800);
	assert_false(space_is_tight(&f->s));
	take(f, 1);
	assert_true(space_is_tight(&f->s));
	/* What is set aside counts as gone; 199 are left. */
	assert_int_equal(space_set_water(&f->s, 100, 198), 0);
	assert_false(space_is_tight(&f->s));
	assert_int_equal(space_reserve(&f->s, 100), 0);
	assert_true(space_is_tight(&f->s));
	space_unreserve(&f->s, 100);
	assert_false(space_is_tight(&f->s));
	assert_int_equal(totals(f).almost_full_events, 2);
	/* One mark alone: the other one follows the size, up to it. */
	assert_int_equal(space_set_water(&f->s, 200, 0), 0);
	assert_true(space_is_tight(&f->s));
	space_free(&f->s, FIRST, 2);		/* 201 */
	assert_false(space_is_tight(&f->s));
	assert_int_equal(space_set_water(&f->s, 0, 5), 0);
	take_pieces(f, 196);			/* 5 */
	assert_false(space_is_tight(&f->s));
	take(f, 1);
	assert_true(space_is_tight(&f->s));
	/* A mark that can never be reached: full does not last for ever. */
	assert_int_equal(space_set_water(&f->s, PLENTY, PLENTY), 0);
	take_pieces(f, 4);
	assert_full(f);
	space_free(&f->s, FIRST + 10, 31);
	assert_false(space_is_full(&f->s));
	assert_true(space_is_tight(&f->s));
}

/* No device, or the last one turned off, is no event and no news. */
static void
test_water_without_devices(void **state)
{
	struct fixture *f = *state;

	assert_full(f);
	assert_int_equal(totals(f).full_events, 0);
	assert_int_equal(space_set_water(&f->s, 10, 20), 0);
	attach(f, "a", 100, 0);
	assert_false(totals(f).almost_full);
	space_close_finish(&f->s, close_begin(f, "a"));
	assert_full(f);
	assert_int_equal(totals(f).almost_full_events, 0);
	assert_int_equal(totals(f).full_events, 0);
	assert_string_equal(f->log, "");
}

/* -------------------------------------------------------------------- map */

static unsigned
floor_log2(uint64_t n)
{
	unsigned k = 0;

	while (n >>= 1)
		k++;
	return k;
}

static void
naive_run(struct swap_device_map *map, uint64_t n)
{
	if (n == 0)
		return;
	map->nruns++;
	map->largest = max_u64(map->largest, n);
	map->runs[floor_log2(n)]++;
	map->blocks[floor_log2(n)] += n;
}

/* Block by block. */
static void
naive_map(const struct blist *bl, size_t ncells, unsigned cluster,
	  struct swap_device_map *map)
{
	uint64_t run = 0, in_short = 0;

	memset(map, 0, sizeof(*map));
	map->nblocks = blist_nblocks(bl);
	map->cells = calloc(ncells + 1, sizeof(map->cells[0]));
	assert_non_null(map->cells);
	for (uint64_t b = 0, cell = 0; b < map->nblocks; b++) {
		bool is_free = blist_is_free(bl, b);

		while (cell < ncells && map->nblocks * (cell + 1) / ncells <= b)
			cell++;
		map->cells[cell].nblocks++;
		map->cells[cell].nfree += is_free;
		map->nfree += is_free;
		if (is_free) {
			run++;
			continue;
		}
		naive_run(map, run);
		run = 0;
	}
	naive_run(map, run);
	for (unsigned i = 0; i < floor_log2(cluster); i++)
		in_short += map->blocks[i];
	if (map->nfree > 0)
		map->fragmentation = (unsigned)(in_short * 1000 / map->nfree);
}

static void
check_map(struct fixture *f, const char *name, size_t ncells, unsigned cluster)
{
	struct swap_device_map map, naive;

	memset(&map, 0xa5, sizeof(map));
	assert_int_equal(space_map(&f->s, in_dir(f, name), ncells, cluster,
				   &map, &f->error), 0);
	naive_map(dev_named(f, name)->blist, ncells, cluster, &naive);
	assert_string_equal(map.path, in_dir(f, name));
	assert_int_equal(map.nblocks, naive.nblocks);
	assert_int_equal(map.nfree, naive.nfree);
	assert_int_equal(map.nruns, naive.nruns);
	assert_int_equal(map.largest, naive.largest);
	assert_memory_equal(map.runs, naive.runs, sizeof(map.runs));
	assert_memory_equal(map.blocks, naive.blocks, sizeof(map.blocks));
	assert_int_equal(map.cluster_pages, cluster);
	assert_int_equal(map.fragmentation, naive.fragmentation);
	assert_int_equal(map.ncells, ncells);
	if (ncells > 0)
		assert_memory_equal(map.cells, naive.cells,
				    ncells * sizeof(map.cells[0]));
	else
		assert_null(map.cells);
	swap_device_map_clear(&map);
	assert_null(map.cells);
	swap_device_map_clear(&naive);
}

/* Take all but @left blocks of 1000, and free them again here and there. */
static void
fragment(struct fixture *f, uint64_t first, uint64_t n, unsigned left,
	 uint64_t seed)
{
	unsigned got = 0;

	for (uint64_t done = 0; done < n; done += got)
		assert_true(space_alloc(&f->s, 1024, &got) != SPACE_NONE);
	for (uint64_t b = 0; b < n; ) {
		uint64_t r = next_random(&seed);
		uint64_t len = min_u64(1 + r / 1000 % (r % 50 == 0 ? 900 : 9),
				       n - b);

		if (r % 1000 < left)
			space_free(&f->s, first + b, len);
		b += len;
	}
}

static void
test_map(void **state)
{
	static const size_t cells[] = { 0, 1, 2, 7, 80, 1023, 1024, 2999, 3000,
					3001, SWAP_MAP_CELLS_MAX };
	static const unsigned clusters[] = { 1, 2, 3, 32, 63, 64, 1024 };
	struct fixture *f = *state;

	attach(f, "b", 64, 2);
	attach(f, "a", 3000 - LABEL, 1);
	check_map(f, "a", 10, 32);	/* nothing but the label is used */
	take(f, 64);
	for (unsigned left = 0; left <= 1000; left += 250) {
		struct space_dev *dev = dev_named(f, "a");

		fragment(f, space_dev_first(dev) + LABEL, 3000 - LABEL, left,
			 left + 1);
		for (size_t i = 0; i < ARRAY_SIZE(cells); i++)
			check_map(f, "a", cells[i],
				  clusters[i % ARRAY_SIZE(clusters)]);
		for (size_t i = 0; i < ARRAY_SIZE(clusters); i++)
			check_map(f, "a", 3, clusters[i]);
		/* Start over with everything in use. */
		while (space_room(&f->s) != 0) {
			unsigned n;

			space_alloc(&f->s, 1024, &n);
		}
		space_free(&f->s, space_dev_first(dev) + LABEL, 3000 - LABEL);
	}
	/* The smallest device that there can be, in many cells. */
	check_map(f, "b", 1000, 32);
	check_map(f, "b", SWAP_MAP_CELLS_MAX, 32);
}

/* A block that is bad is used, on a device that is closing as well. */
static void
test_map_bad(void **state)
{
	struct fixture *f = *state;
	struct swap_device_map map;
	struct space_dev *dev;
	uint64_t block;

	attach(f, "a", 98, 0);
	block = take(f, 10);
	space_bad(&f->s, block + 3, 1);
	space_free(&f->s, block, 3);
	space_free(&f->s, block + 4, 6);
	dev = close_begin(f, "a");
	assert_int_equal(space_map(&f->s, in_dir(f, "a"), 2, 4, &map,
				   &f->error), 0);
	assert_int_equal(map.nblocks, 98 + LABEL);
	assert_int_equal(map.nfree, 97);
	assert_int_equal(map.nruns, 2);
	assert_int_equal(map.largest, 94);
	assert_int_equal(map.fragmentation, 3 * 1000 / 97);
	swap_device_map_clear(&map);
	space_close_cancel(&f->s, dev);
}

static void
test_map_errors(void **state)
{
	struct fixture *f = *state;
	struct swap_device_map map, before;

	memset(&map, 0xa5, sizeof(map));
	before = map;
	attach(f, "a", 50, 0);
	assert_int_equal(space_map(&f->s, in_dir(f, "x"), 10, 32, &map,
				   &f->error), -ENXIO);
	assert_non_null(strstr(f->error.message, in_dir(f, "x")));
	assert_int_equal(space_map(&f->s, in_dir(f, "a"),
				   SWAP_MAP_CELLS_MAX + 1, 32, &map,
				   &f->error), -EINVAL);
	assert_int_equal(space_map(&f->s, "LABEL=no-such-label-anywhere", 10,
				   32, &map, NULL), -ENXIO);
	assert_memory_equal(&map, &before, sizeof(map));
}

/* A device of several windows: each is short, and all of them are right. */
static void
test_map_windows(void **state)
{
	struct fixture *f = *state;
	uint64_t n = 3 * (UINT64_C(1) << 16) + 4711;

	hook.look_large = n;
	attach(f, "a", 50, 0);
	fragment(f, FIRST, n - LABEL, 400, 5);
	hook.f = f;
	check_map(f, "a", 0, 32);
	assert_int_equal(hook.nwindows, 4);
	check_map(f, "a", 100, 32);
	check_map(f, "a", SWAP_MAP_CELLS_MAX, 32);
	assert_true(hook.largest <= 65536);
	assert_int_equal(hook.most_counts, 256);
}

/* 256 TiB, untouched. */
static void
test_map_huge(void **state)
{
	struct fixture *f = *state;
	struct swap_device_map map;
	uint64_t nfree = 0, n = UINT64_C(1) << 36;

	hook.look_large = n;
	attach(f, "a", 50, 0);
	assert_int_equal(space_map(&f->s, in_dir(f, "a"), SWAP_MAP_CELLS_MAX,
				   32, &map, &f->error), 0);
	assert_int_equal(map.nruns, 1);
	assert_int_equal(map.largest, n - LABEL);
	assert_int_equal(map.runs[35], 1);
	for (size_t i = 0; i < map.ncells; i++) {
		assert_int_equal(map.cells[i].nblocks,
				 n / SWAP_MAP_CELLS_MAX);
		nfree += map.cells[i].nfree;
	}
	assert_int_equal(nfree, map.nfree);
	swap_device_map_clear(&map);
}

/*
 * The lock is held here, behind the second window; from here on it is as if
 * the device had been detached, and perhaps attached again, right behind it.
 */
static void
detach_behind(struct fixture *f, uint64_t end)
{
	(void)end;
	if (hook.nwindows != 2)
		return;
	pthread_mutex_unlock(&f->s.lock);
	space_close_finish(&f->s, close_begin(f, "a"));
	hook.look_large = 0;
	attach(f, "a", 50, 0);
	pthread_mutex_lock(&f->s.lock);
}

static void
test_map_detached_meanwhile(void **state)
{
	struct fixture *f = *state;
	struct swap_device_map map;

	hook.look_large = UINT64_C(1) << 20;
	attach(f, "a", 50, 0);
	hook.f = f;
	hook.window = detach_behind;
	assert_int_equal(space_map(&f->s, in_dir(f, "a"), 10, 32, &map,
				   &f->error), -ENXIO);
	assert_int_equal(hook.nwindows, 2);
	assert_non_null(strstr(f->error.message, in_dir(f, "a")));
	hook.f = NULL;
	check_map(f, "a", 10, 32);
}

/* Blocks change hands between two windows: the sums still agree. */
static void
change_behind(struct fixture *f, uint64_t end)
{
	pthread_mutex_unlock(&f->s.lock);
	if (hook.nwindows % 2 == 0)
		take(f, 250);
	else
		space_free(&f->s, end - 500, 500);
	pthread_mutex_lock(&f->s.lock);
}

static void
test_map_changes_meanwhile(void **state)
{
	struct fixture *f = *state;
	struct swap_device_map map;
	uint64_t n = UINT64_C(1) << 20, in_cells = 0, in_runs = 0, runs = 0;

	hook.look_large = n;
	attach(f, "a", 50, 0);
	for (unsigned i = 0; i < 1020; i++)
		take(f, 1024);
	hook.f = f;
	hook.window = change_behind;
	assert_int_equal(space_map(&f->s, in_dir(f, "a"), 999, 32, &map,
				   &f->error), 0);
	for (size_t i = 0; i < map.ncells; i++)
		in_cells += map.cells[i].nfree;
	for (unsigned i = 0; i < SWAP_RUN_CLASSES; i++) {
		in_runs += map.blocks[i];
		runs += map.runs[i];
	}
	assert_int_equal(in_cells, map.nfree);
	assert_int_equal(in_runs, map.nfree);
	assert_int_equal(runs, map.nruns);
	swap_device_map_clear(&map);
}

/* ------------------------------------------------------------------ model */

#define MODEL_DEVICES	6u
#define MODEL_BLOCKS	320u

enum { FREE, USED, BAD };

struct model_dev {
	char		name[8];
	uint64_t	n;		/* blocks behind the label */
	int		priority;
	bool		attached, closing, gone;
	uint64_t	given;		/* blocks, to share the load */
	uint8_t		state[MODEL_BLOCKS];
	struct device	*device;
	struct space_dev *dev;
};

struct model {
	struct fixture	*f;
	struct model_dev dev[MODEL_DEVICES];
	unsigned	order[MODEL_DEVICES], norder;	/* as the table */
	int		last;		/* used last, or -1 */
	uint64_t	reserved, low, high, deferred;
	bool		almost_full, full;
	uint64_t	almost_full_events, full_events, refilled;
	uint64_t	seed;
};

static uint64_t
pick(struct model *m, uint64_t n)
{
	return next_random(&m->seed) % n;
}

static bool
model_serves(const struct model_dev *d)
{
	return d->attached && !d->closing && !d->gone;
}

static uint64_t
model_count(const struct model_dev *d, unsigned state)
{
	uint64_t sum = 0;

	for (uint64_t i = 0; i < d->n; i++)
		sum += d->state[i] == state;
	return sum;
}

static uint64_t
model_avail(const struct model *m)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < MODEL_DEVICES; i++)
		if (model_serves(&m->dev[i]))
			sum += model_count(&m->dev[i], FREE);
	return sum;
}

static uint64_t
model_total(const struct model *m)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < MODEL_DEVICES; i++)
		if (model_serves(&m->dev[i]))
			sum += m->dev[i].n;
	return sum;
}

static uint64_t
model_room(const struct model *m)
{
	uint64_t avail = model_avail(m);

	return avail > m->reserved ? avail - m->reserved : 0;
}

static void
model_marks(const struct model *m, uint64_t *low, uint64_t *high)
{
	uint64_t total = model_total(m);

	*low = m->low != 0 ? m->low : min_u64(128, total / 32);
	*high = m->high != 0 ? m->high : min_u64(512, total / 8);
	if (m->low == 0)
		*low = m->high != 0 ? min_u64(*low, m->high) : *low;
	if (m->high == 0)
		*high = max_u64(*low, *high);
}

static void
model_settle(struct model *m)
{
	uint64_t room = model_room(m), total = model_total(m), low, high;

	model_marks(m, &low, &high);
	if (m->full && room > 0 &&
	    (room >= low || room >= min_u64(128, total / 32))) {
		m->full = false;
		m->refilled++;
	}
	if (room < low) {
		m->almost_full_events += !m->almost_full && total > 0;
		m->almost_full = true;
	} else if (room > high) {
		m->almost_full = false;
	}
}

/*
 * Which device has the longest run up to @want, was given least, and is first
 * in turn?
 */
static int
model_choose(const struct model *m, uint64_t want, uint64_t *ret_n)
{
	int found = -1;

	*ret_n = 0;
	for (unsigned from = 0, to; from < m->norder && found < 0; from = to) {
		unsigned start = from;

		for (to = from; to < m->norder &&
		     m->dev[m->order[to]].priority ==
		     m->dev[m->order[from]].priority; to++)
			if ((int)m->order[to] == m->last)
				start = to + 1;
		for (unsigned k = 0; k < to - from; k++) {
			unsigned at = from + (start - from + k) % (to - from);
			const struct model_dev *d = &m->dev[m->order[at]];
			uint64_t run = 0, best = 0;

			for (uint64_t i = 0; i < d->n; i++) {
				run = d->state[i] == FREE ? run + 1 : 0;
				best = max_u64(best, min_u64(run, want));
			}
			if (!model_serves(d) || best < *ret_n || best == 0 ||
			    (found >= 0 && best == *ret_n &&
			     d->given >= m->dev[found].given))
				continue;
			*ret_n = best;
			found = (int)m->order[at];
		}
	}
	return found;
}

/* Equals are given equally much, and nobody is far behind. */
static void
model_given(struct model *m, struct model_dev *d, uint64_t n)
{
	uint64_t most = 0;

	d->given += n;
	for (unsigned i = 0; i < MODEL_DEVICES; i++)
		if (m->dev[i].attached && m->dev[i].priority == d->priority)
			most = max_u64(most, m->dev[i].given);
	for (unsigned i = 0; i < MODEL_DEVICES; i++)
		if (m->dev[i].attached && m->dev[i].priority == d->priority)
			m->dev[i].given = max_u64(m->dev[i].given, most < 64 ?
						  0 : most - 64);
}

static void
model_alloc(struct model *m, bool reserved)
{
	struct space *s = &m->f->s;
	unsigned want = (unsigned)pick(m, 40) + 1, n = 0;
	uint64_t most = reserved ? m->reserved : model_room(m);
	uint64_t len, block;
	int i = model_choose(m, min_u64(want, most), &len);
	struct model_dev *d;

	block = reserved ? space_alloc_reserved(s, want, &n) :
			   space_alloc(s, want, &n);
	if (i < 0) {
		assert_true(block == SPACE_NONE);
		if (reserved && model_avail(m) > 0)
			return;
		m->full_events += !m->full;
		m->almost_full_events += !m->almost_full &&
					 model_total(m) > 0;
		m->full = m->almost_full = true;
		return;
	}
	d = &m->dev[i];
	assert_int_equal(n, len);
	assert_true(block >= space_dev_first(d->dev) + LABEL);
	assert_true(block + n <= space_dev_end(d->dev));
	block -= space_dev_first(d->dev) + LABEL;
	for (unsigned k = 0; k < n; k++) {
		assert_int_equal(d->state[block + k], FREE);
		d->state[block + k] = USED;
	}
	m->last = i;
	model_given(m, d, n);
	if (reserved)
		m->reserved -= n;
	model_settle(m);
}

/* Find some used blocks. */
static struct model_dev *
model_used(struct model *m, uint64_t *ret_first, uint64_t *ret_n)
{
	struct model_dev *d = &m->dev[pick(m, MODEL_DEVICES)];
	uint64_t first = pick(m, d->n), most = pick(m, 30) + 1, n = 0;

	if (!d->attached)
		return NULL;
	while (first < d->n && d->state[first] != USED)
		first++;
	while (first + n < d->n && n < most && d->state[first + n] == USED)
		n++;
	*ret_first = first;
	*ret_n = n;
	return n > 0 ? d : NULL;
}

static uint64_t
model_free(struct model *m)
{
	uint64_t first, n;
	struct model_dev *d = model_used(m, &first, &n);
	bool reserve = pick(m, 4) == 0;
	uint64_t block;

	if (d == NULL)
		return 0;
	memset(d->state + first, FREE, n);
	block = space_dev_first(d->dev) + LABEL + first;
	if (reserve) {
		m->reserved += n;
		space_free_reserved(&m->f->s, block, n);
	} else {
		space_free(&m->f->s, block, n);
	}
	model_settle(m);
	return n;
}

static void
model_free_late(struct model *m)
{
	uint64_t n = pick(m, 12);

	pthread_mutex_lock(&m->f->s.lock);
	for (uint64_t i = 0; i < n; i++)
		m->deferred += model_free(m);
	pthread_mutex_unlock(&m->f->s.lock);
}

static void
model_bad(struct model *m)
{
	uint64_t first, n;
	struct model_dev *d = model_used(m, &first, &n);

	if (d == NULL)
		return;
	d->state[first] = BAD;
	space_bad(&m->f->s, space_dev_first(d->dev) + LABEL + first, 1);
}

static void
model_reserve(struct model *m)
{
	uint64_t n = pick(m, 60);
	bool fits = n <= model_room(m);

	assert_int_equal(space_reserve(&m->f->s, n), fits ? 0 : -ENOSPC);
	if (!fits)
		return;
	m->reserved += n;
	model_settle(m);
}

static void
model_unreserve(struct model *m)
{
	uint64_t n = pick(m, m->reserved + 1);

	space_unreserve(&m->f->s, n);
	m->reserved -= n;
	model_settle(m);
}

static void
model_water(struct model *m)
{
	uint64_t low = pick(m, 3) * pick(m, 100);
	uint64_t high = pick(m, 3) * pick(m, 200);
	bool wrong = low > high && high != 0;

	assert_int_equal(space_set_water(&m->f->s, low, high),
			 wrong ? -EINVAL : 0);
	if (wrong)
		return;
	m->low = low;
	m->high = high;
	model_settle(m);
}

static void
model_attach(struct model *m, unsigned i)
{
	struct model_dev *d = &m->dev[i];
	unsigned at = m->norder++;

	d->priority = (int)pick(m, 3);
	d->device = attach(m->f, d->name, d->n, d->priority);
	d->dev = dev_named(m->f, d->name);
	d->attached = true;
	d->closing = d->gone = false;
	d->given = 0;
	memset(d->state, FREE, d->n);
	for (; at > 0 &&
	     m->dev[m->order[at - 1]].priority < d->priority; at--)
		m->order[at] = m->order[at - 1];
	m->order[at] = i;
	model_settle(m);
}

static void
model_close(struct model *m, unsigned i)
{
	struct model_dev *d = &m->dev[i];
	uint64_t swapped = pick(m, 2) * pick(m, 400), spare = pick(m, 200);
	uint64_t others = model_avail(m), need;
	struct space_dev *dev = NULL;
	int rc;

	if (model_serves(d))
		others -= model_count(d, FREE);
	others = others > m->reserved ? others - m->reserved : 0;
	need = model_count(d, USED);
	for (unsigned k = 0; k < MODEL_DEVICES; k++)
		if (m->dev[k].attached && m->dev[k].closing)
			need += model_count(&m->dev[k], USED);
	need = min_u64(swapped, need);
	rc = space_close_begin(&m->f->s, in_dir(m->f, d->name), swapped, spare,
			       &dev, &m->f->error);
	if (need > spare + others) {
		assert_int_equal(rc, -ENOMEM);
		return;
	}
	assert_int_equal(rc, 0);
	assert_ptr_equal(dev, d->dev);
	d->closing = true;
	model_settle(m);
}

static void
model_closing(struct model *m, unsigned i)
{
	struct model_dev *d = &m->dev[i];
	unsigned at = 0;

	if (model_count(d, USED) > 0) {
		if (pick(m, 3) == 0) {
			space_close_cancel(&m->f->s, d->dev);
			d->closing = false;
			model_settle(m);
		}
		return;
	}
	space_close_finish(&m->f->s, d->dev);
	d->attached = d->closing = false;
	while (m->order[at] != i)
		at++;
	m->norder--;
	for (; at < m->norder; at++)
		m->order[at] = m->order[at + 1];
	if (m->last == (int)i)
		m->last = -1;
	if (m->norder == 0)
		m->full = m->almost_full = true;
}

static void
model_orphan(struct model *m, unsigned i)
{
	struct model_dev *d = &m->dev[i];
	static char page[1 << 16] __attribute__((aligned(1 << 16)));

	device_orphan(d->device);
	assert_int_equal(space_read(&m->f->s, space_dev_first(d->dev) + LABEL,
				    page, 1), -ENXIO);
	d->gone = true;
	model_settle(m);
}

static void
model_device(struct model *m)
{
	unsigned i = (unsigned)pick(m, MODEL_DEVICES);
	struct model_dev *d = &m->dev[i];

	if (!d->attached)
		model_attach(m, i);
	else if (d->closing)
		model_closing(m, i);
	else if (!d->gone && pick(m, 8) == 0)
		model_orphan(m, i);
	else
		model_close(m, i);
}

static void
model_check_dev(struct model *m, const struct model_dev *d)
{
	assert_int_equal(space_dev_used(&m->f->s, d->dev),
			 model_count(d, USED));
	assert_int_equal(blist_nfree(d->dev->blist), model_count(d, FREE));
	assert_int_equal(d->dev->bad, model_count(d, BAD));
	for (unsigned i = 0; i < MODEL_DEVICES; i++) {
		const struct model_dev *other = &m->dev[i];

		if (!other->attached || other == d)
			continue;
		assert_true(space_dev_end(d->dev) <
			    space_dev_first(other->dev) ||
			    space_dev_end(other->dev) <
			    space_dev_first(d->dev));
	}
}

static void
model_check(struct model *m)
{
	struct space_totals t = totals(m->f);
	uint64_t avail = model_avail(m), used = 0;

	for (unsigned i = 0; i < MODEL_DEVICES; i++) {
		if (!m->dev[i].attached)
			continue;
		used += model_count(&m->dev[i], USED);
		model_check_dev(m, &m->dev[i]);
	}
	assert_int_equal(t.total, model_total(m));
	assert_int_equal(t.avail, avail);
	assert_int_equal(t.used, used);
	assert_int_equal(t.reserved, min_u64(m->reserved, avail));
	assert_int_equal(t.free_deferred, m->deferred);
	assert_int_equal(t.free_completed, m->deferred);
	assert_int_equal(t.almost_full, m->almost_full && m->norder > 0);
	assert_int_equal(t.full, m->full && m->norder > 0);
	assert_int_equal(t.almost_full_events, m->almost_full_events);
	assert_int_equal(t.full_events, m->full_events);
	assert_int_equal(m->f->refilled, m->refilled);
	assert_true(space_room(&m->f->s) ==
		    (m->full ? model_room(m) : UINT64_MAX));
}

static void
model_step(struct model *m)
{
	switch (pick(m, 16)) {
	case 0: case 1: case 2: case 3: case 4:
		model_alloc(m, false);
		break;
	case 5:
		model_alloc(m, true);
		break;
	case 6: case 7: case 8: case 9:
		model_free(m);
		break;
	case 10: case 11:
		model_free_late(m);
		break;
	case 12:
		model_reserve(m);
		break;
	case 13:
		model_unreserve(m);
		break;
	default:
		switch (pick(m, 8)) {
		case 0:
			model_bad(m);
			break;
		case 1:
			model_water(m);
			break;
		default:
			model_device(m);
		}
	}
}

/* Random operations on devices that come and go, every figure compared. */
static void
test_model(void **state)
{
	struct fixture *f = *state;
	struct model m = {
		.f = f,
		.last = -1,
		.almost_full = true,
		.full = true,
		.seed = 20260101,
	};

	for (unsigned i = 0; i < MODEL_DEVICES; i++) {
		format_cut(m.dev[i].name, sizeof(m.dev[i].name), "dev%u", i);
		m.dev[i].n = i == 0 ? 1 : 10 + pick(&m, MODEL_BLOCKS - 10);
	}
	for (unsigned step = 0; step < 30000; step++) {
		model_step(&m);
		model_check(&m);
		for (unsigned i = 0; step % 64 == 0 && i < f->s.ndev; i++)
			assert_int_equal(blist_check(f->s.dev[i]->blist), 0);
	}
	/* It has been everywhere. */
	assert_true(m.full_events > 10 && m.almost_full_events > 10);
	assert_true(m.refilled > 10 && m.deferred > 1000);
	assert_int_equal(f->refilled_locked, 0);
	assert_int_equal(logged(f, "not in use"), 0);
	assert_int_equal(logged(f, "not set aside"), 0);
}

/* ---------------------------------------------------------------- threads */

#define WORKERS		4u
#define ADDRESSES	4096u

struct crowd {
	struct fixture	*f;
	_Atomic uint8_t	owner[ADDRESSES];
	atomic_uint	working;
};

struct holding {
	uint64_t	block[64];
	unsigned	n[64];
	bool		reserved[64];	/* allocated from what was set aside */
	uint64_t	set_aside;
};

static _Atomic uint8_t *
owner_of(struct crowd *c, uint64_t block)
{
	return &c->owner[block - SPACE_FIRST];
}

static void
crowd_take(struct crowd *c, struct holding *h, unsigned i, bool reserved,
	   uint64_t r)
{
	unsigned want = (unsigned)(r % 20) + 1;
	struct space *s = &c->f->s;
	uint64_t block;

	h->n[i] = 0;
	if (reserved)
		block = space_alloc_reserved(s, (unsigned)min_u64(want,
					     h->set_aside), &h->n[i]);
	else
		block = space_alloc(s, want, &h->n[i]);
	if (block == SPACE_NONE) {
		assert_int_equal(h->n[i], 0);
		return;
	}
	h->block[i] = block;
	h->reserved[i] = reserved;
	if (reserved)
		h->set_aside -= h->n[i];
	for (unsigned k = 0; k < h->n[i]; k++)
		assert_int_equal(atomic_exchange(owner_of(c, block + k), 1),
				 0);
}

static void
crowd_give(struct crowd *c, struct holding *h, unsigned i, bool reserve)
{
	for (unsigned k = 0; k < h->n[i]; k++)
		assert_int_equal(atomic_exchange(owner_of(c, h->block[i] + k),
						 0), 1);
	if (reserve) {
		space_free_reserved(&c->f->s, h->block[i], h->n[i]);
		h->set_aside += h->n[i];
	} else {
		space_free(&c->f->s, h->block[i], h->n[i]);
	}
	h->n[i] = 0;
}

static void
crowd_step(struct crowd *c, struct holding *h, uint64_t r)
{
	unsigned i = (unsigned)(r >> 8) % 64;

	if (h->n[i] > 0) {
		crowd_give(c, h, i, h->reserved[i] && r % 2 == 0);
	} else if (r % 8 == 0) {
		if (h->set_aside > 20) {
			space_unreserve(&c->f->s, h->set_aside);
			h->set_aside = 0;
		} else if (space_reserve(&c->f->s, r % 10) == 0) {
			h->set_aside += r % 10;
		}
	} else {
		crowd_take(c, h, i, h->set_aside > 0 && r % 8 == 1, r >> 16);
	}
}

static void *
crowd_work(void *arg)
{
	static atomic_uint nthreads;
	struct crowd *c = arg;
	struct holding h = { .set_aside = 0 };
	uint64_t seed = UINT64_C(0x9e3779b97f4a7c15) * ++nthreads;

	for (unsigned step = 0; step < 30000; step++) {
		crowd_step(c, &h, next_random(&seed));
		if (step % 256 == 255)
			for (unsigned i = 0; i < 64; i++)
				if (space_is_leaving(&c->f->s, h.block[i]) &&
				    h.n[i] > 0)
					crowd_give(c, &h, i, false);
	}
	for (unsigned i = 0; i < 64; i++)
		if (h.n[i] > 0)
			crowd_give(c, &h, i, false);
	space_unreserve(&c->f->s, h.set_aside);
	c->working--;
	return NULL;
}

/* Turns one device off and on. */
static void *
crowd_detach(void *arg)
{
	struct crowd *c = arg;
	struct fixture *f = c->f;

	while (c->working > 0) {
		struct space_dev *dev = close_begin(f, "b");

		while (space_dev_used(&f->s, dev) > 0)
			sched_yield();
		space_close_finish(&f->s, dev);
		attach(f, "b", 150, 0);
	}
	return NULL;
}

/* Looks on, and sees sums that are right at every moment. */
static void *
crowd_watch(void *arg)
{
	struct crowd *c = arg;
	struct fixture *f = c->f;
	struct swap_device_map map;
	struct space_totals t;

	while (c->working > 0) {
		int rc = space_map(&f->s, in_dir(f, "b"), 600, 32, &map,
				   &f->error);

		assert_true(rc == 0 || rc == -ENXIO);
		if (rc == 0) {
			assert_true(map.nfree <= map.nblocks - LABEL);
			swap_device_map_clear(&map);
		}
		space_totals(&f->s, &t);
		assert_true(t.avail <= t.total && t.reserved <= t.avail);
		assert_true(t.free_completed <= t.free_deferred);
		assert_true(space_memory(&f->s) > 0);
	}
	return NULL;
}

static void
test_threads(void **state)
{
	struct fixture *f = *state;
	struct crowd *c = calloc(1, sizeof(*c));
	pthread_t thread[WORKERS + 2];
	struct space_totals t;

	assert_non_null(c);
	c->f = f;
	c->working = WORKERS;
	attach(f, "a", 400, 0);
	attach(f, "b", 150, 0);
	attach(f, "c", 300, 1);
	for (unsigned i = 0; i < WORKERS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, crowd_work,
						c), 0);
	assert_int_equal(pthread_create(&thread[WORKERS], NULL, crowd_detach,
					c), 0);
	assert_int_equal(pthread_create(&thread[WORKERS + 1], NULL,
					crowd_watch, c), 0);
	for (unsigned i = 0; i < WORKERS + 2; i++)
		pthread_join(thread[i], NULL);
	/* Without anybody taking the lock once more. */
	assert_int_equal(noted(f), 0);
	t = totals(f);
	assert_int_equal(t.used, 0);
	assert_int_equal(t.total, 850);
	assert_int_equal(t.avail, 850);
	assert_int_equal(t.reserved, 0);
	assert_int_equal(t.free_deferred, t.free_completed);
	assert_int_equal(logged(f, "not in use"), 0);
	assert_int_equal(logged(f, "not set aside"), 0);
	free(c);
}

#define TEST(name)	cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_addresses),
		TEST(test_round_robin),
		TEST(test_priorities),
		TEST(test_longest),
		TEST(test_label_and_nonsense),
		TEST(test_words),
		TEST(test_reserve),
		TEST(test_reserve_again),
		TEST(test_reserve_and_close),
		TEST(test_close_check),
		TEST(test_gone),
		TEST(test_late),
		TEST(test_late_is_seen),
		TEST(test_late_by_holder),
		TEST(test_late_by_freer),
		TEST(test_late_refused),
		TEST(test_late_table_full),
		TEST(test_late_does_not_wait),
		TEST(test_water),
		TEST(test_set_water),
		TEST(test_water_without_devices),
		TEST(test_map),
		TEST(test_map_bad),
		TEST(test_map_errors),
		TEST(test_map_windows),
		TEST(test_map_huge),
		TEST(test_map_detached_meanwhile),
		TEST(test_map_changes_meanwhile),
		TEST(test_model),
		TEST(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
