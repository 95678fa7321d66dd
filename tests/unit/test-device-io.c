/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Transfers of a device that go on by themselves, by io_uring and by threads;
 * a device that is pulled out under them; and what a loop device makes of a
 * discard.
 *
 * What the kernel answers passes through hooks, which can fail it, cut it
 * short, or keep completions back (nobody reaps).
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/loop.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "aio-impl.h"
#include "device-impl.h"
#include "util.h"

#define LABEL	(DEVICE_LABEL_BYTES / page_bytes())
#define BLOCKS	1024u
#define AT_ONCE	16u
#define MINUTE	(60u * 1000000u)
#define NEED(what, cond) do {						\
	if (!(cond)) {							\
		print_message("[  REASON  ] %s\n", what);		\
		skip();							\
	}								\
} while (0)

/* ------------------------------------------------------------------- hooks */

static struct {
	int64_t	fail;		/* the next ... */
	unsigned fails;		/* ... so many reports are this */
	unsigned pass;		/* after so many good ones */
	size_t	most;		/* bytes that one transfer moves; 0: all */
	bool	buffered;	/* O_DIRECT is refused */
	bool	log_file;	/* said that a file is not discarded */
	unsigned syncs;
} hook;

void __real_aio_ended(struct aio *aio, struct aio_request *request,
		      int64_t res);
void __wrap_aio_ended(struct aio *aio, struct aio_request *request,
		      int64_t res);

void
__wrap_aio_ended(struct aio *aio, struct aio_request *request, int64_t res)
{
	if (request->sync)
		hook.syncs++;
	if (hook.pass > 0)
		hook.pass--;
	else if (hook.fails > 0 && hook.fails--)
		res = hook.fail;
	if (hook.most != 0 && res > (int64_t)hook.most)
		res = (int64_t)hook.most;
	__real_aio_ended(aio, request, res);
}

int
fcntl(int fd, int cmd, ...)
{
	va_list args;
	long arg;

	va_start(args, cmd);
	arg = va_arg(args, long);
	va_end(args);
	if (hook.buffered && cmd == F_SETFL && (arg & O_DIRECT) != 0) {
		errno = EINVAL;
		return -1;
	}
	return (int)syscall(SYS_fcntl, fd, cmd, arg);
}

/* ----------------------------------------------------------------- fixture */

struct transfer {
	struct device_io io;
	struct fixture	*f;
	unsigned	 ended;
	int		 rc;
};

struct fixture {
	bool		 uring;
	char		 dir[64];
	int		 loop_fd;
	char		 loop[32];
	struct device	*device;
	struct aio	*aio;
	char		*mem;		/* BLOCKS pages */
	struct transfer	 t[BLOCKS];
	unsigned	 nended;
	_Atomic unsigned ngone;
	struct swap_error error;
};

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	const char *tmp = getenv("TMPDIR");

	assert_non_null(f);
	memset(&hook, 0, sizeof(hook));
	f->uring = *(bool *)*state;
	f->loop_fd = -1;
	format_cut(f->dir, sizeof(f->dir), "%s/test-device-io.XXXXXX",
		   tmp != NULL && strlen(tmp) < 40 ? tmp : "/var/tmp");
	assert_non_null(mkdtemp(f->dir));
	f->mem = aligned_alloc(page_bytes(), BLOCKS * page_bytes());
	assert_non_null(f->mem);
	assert_int_equal(aio_create(f->uring, AT_ONCE, &f->aio), 0);
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

	aio_destroy(f->aio);
	if (f->device != NULL)
		device_close(f->device);
	if (f->loop_fd >= 0)
		close(f->loop_fd);
	nftw(f->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
	free(f->mem);
	free(f);
	return 0;
}

static void
keep_message(void *arg, enum swap_log_level level, const char *message)
{
	(void)arg, (void)level;
	if (strstr(message, "a file is not discarded") != NULL)
		hook.log_file = true;
}

static const struct log listener = { .fn = keep_message };

static const char *
image(const struct fixture *f)
{
	static char path[128];

	format_cut(path, sizeof(path), "%s/image", f->dir);
	return path;
}

static void
open_file(struct fixture *f, unsigned flags)
{
	struct swap_device_options options = {
		.create_bytes = BLOCKS * page_bytes(),
		.flags = flags,
	};

	assert_int_equal(device_open(image(f), &options, &listener,
				     &f->device, &f->error), 0);
}

static void
gone(void *arg)
{
	((struct fixture *)arg)->ngone++;
}

/* A loop device over a file that is written to the end; false: none free. */
static bool
open_loop(struct fixture *f, unsigned flags)
{
	struct swap_device_options options = { .flags = flags };
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC), fd, n;
	struct loop_config config = {
		.info = { .lo_flags = LO_FLAGS_AUTOCLEAR },
	};

	fd = open(image(f), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	memset(f->mem, 0x5a, BLOCKS * page_bytes());
	assert_int_equal(pwrite_full(fd, f->mem, BLOCKS * page_bytes(), 0), 0);
	assert_int_equal(fsync(fd), 0);
	config.fd = (uint32_t)fd;
	for (unsigned tries = 0; control >= 0 && tries < 16; tries++) {
		n = ioctl(control, LOOP_CTL_GET_FREE);
		format_cut(f->loop, sizeof(f->loop), "/dev/loop%d", n);
		f->loop_fd = n < 0 ? -1 : open(f->loop, O_RDWR | O_CLOEXEC);
		if (f->loop_fd >= 0 &&
		    ioctl(f->loop_fd, LOOP_CONFIGURE, &config) == 0)
			break;
		if (f->loop_fd >= 0)
			close(f->loop_fd);
		f->loop_fd = -1;
	}
	close(control);
	close(fd);
	if (f->loop_fd < 0)
		return false;
	assert_int_equal(device_open(f->loop, &options, &listener, &f->device,
				     &f->error), 0);
	device_on_gone(f->device, gone, f);
	return true;
}

static void
note_end(struct device_io *io, int rc)
{
	struct transfer *t = io->arg;

	t->ended++;
	t->rc = rc;
	t->f->nended++;
}

/* Blocks are numbered from 5000 by whoever starts. */
static struct transfer *
start(struct fixture *f, bool write, uint64_t block, uint64_t n)
{
	struct transfer *t = &f->t[block % BLOCKS];

	*t = (struct transfer){
		.io = {
			.base = 5000,
			.block = 5000 + block,
			.n = n,
			.write = write,
			.buf = f->mem + block % BLOCKS * page_bytes(),
			.done = note_end,
			.arg = t,
		},
		.f = f,
	};
	device_start(f->device, f->aio, &t->io);
	return t;
}

static void
finish(struct fixture *f)
{
	while (aio_inflight(f->aio) > 0)
		aio_wait(f->aio, MINUTE);
	assert_int_equal(atomic_load(&device_counters(f->device)->inflight),
			 0);
}

static void
fill(struct fixture *f)
{
	uint32_t x = 99;

	for (size_t i = 0; i < BLOCKS * page_bytes(); i++) {
		x = x * 1664525u + 1013904223u;
		f->mem[i] = (char)(x >> 24);
	}
}

/* All blocks but the label's, four at a time, out and in again. */
static void
out_and_in(struct fixture *f)
{
	size_t label = LABEL * page_bytes(), all = BLOCKS * page_bytes();
	char *want = malloc(all);
	unsigned n = (BLOCKS - (unsigned)LABEL) / 2;
	const struct device_counters *io = device_counters(f->device);

	assert_non_null(want);
	fill(f);
	memcpy(want, f->mem, all);
	for (uint64_t b = LABEL; b < BLOCKS; b += 2)
		start(f, true, b, 2);
	finish(f);
	memset(f->mem, 0, all);
	for (uint64_t b = LABEL; b < BLOCKS; b += 2)
		start(f, false, b, 2);
	finish(f);
	assert_int_equal(f->nended, 2 * n);
	for (uint64_t b = LABEL; b < BLOCKS; b += 2)
		assert_int_equal(f->t[b].rc, 0);
	assert_memory_equal(f->mem + label, want + label, all - label);
	assert_int_equal(io->writes, n);
	assert_int_equal(io->write_bytes, all - label);
	assert_int_equal(io->write_time.count, n);
	assert_int_equal(io->reads, n);
	assert_int_equal(io->read_bytes, all - label);
	assert_int_equal(io->read_time.count, n);
	assert_int_equal(io->read_errors + io->write_errors, 0);
	free(want);
}

/* ------------------------------------------------------------------- tests */

static void
test_file(void **state)
{
	open_file(*state, 0);
	out_and_in(*state);
	assert_int_equal(hook.syncs, 0);
}

static void
test_short(void **state)
{
	open_file(*state, 0);
	hook.most = page_bytes();
	out_and_in(*state);
}

/* A buffered write is acknowledged by the device, not by the page cache. */
static void
test_buffered(void **state)
{
	struct fixture *f = *state;

	hook.buffered = true;
	open_file(f, 0);
	assert_false(f->device->direct);
	out_and_in(f);
	assert_true(hook.syncs > 0);
	assert_int_equal(f->device->pairs_free, (1u << DEVICE_PAIRS) - 1);
}

static void
test_buffered_sync_fails(void **state)
{
	struct fixture *f = *state;
	struct transfer *t;

	hook.buffered = true;
	open_file(f, 0);
	hook.pass = 1;
	hook.fails = 1;
	hook.fail = -EIO;
	t = start(f, true, 10, 1);
	finish(f);
	assert_int_equal(t->rc, -EIO);
	assert_int_equal(hook.syncs, 1);
	assert_int_equal(device_counters(f->device)->write_errors, 1);
	assert_int_equal(f->device->pairs_free, (1u << DEVICE_PAIRS) - 1);
}

static void
test_bounds(void **state)
{
	struct fixture *f = *state;

	open_file(f, 0);
	assert_int_equal(start(f, true, LABEL - 1, 1)->rc, -EINVAL);
	assert_int_equal(start(f, true, LABEL - 1, 2)->rc, -EINVAL);
	assert_int_equal(start(f, false, BLOCKS - 1, 2)->rc, -EINVAL);
	assert_int_equal(start(f, false, BLOCKS, 1)->rc, -EINVAL);
	assert_int_equal(start(f, false, 5, 0)->rc, -EINVAL);
	assert_int_equal(f->nended, 5);
	assert_int_equal(aio_inflight(f->aio), 0);
	/* The label may be read. */
	start(f, false, 0, 1);
	finish(f);
	assert_int_equal(f->t[0].rc, 0);
	assert_int_equal(device_counters(f->device)->write_errors, 2);
	assert_int_equal(device_counters(f->device)->read_errors, 3);
}

static void
test_errors(void **state)
{
	struct fixture *f = *state;

	open_file(f, 0);
	hook.fails = 1;
	hook.fail = -EIO;
	start(f, true, 10, 1);
	finish(f);
	assert_int_equal(f->t[10].rc, -EIO);
	assert_false(device_orphaned(f->device));
	hook.fails = 1;
	hook.fail = -ENODEV;
	start(f, false, 10, 1);
	finish(f);
	assert_int_equal(f->t[10].rc, -ENXIO);
	assert_true(device_orphaned(f->device));
	/* Nothing is started any more. */
	assert_int_equal(start(f, false, 11, 1)->rc, -ENXIO);
	assert_int_equal(aio_inflight(f->aio), 0);
	device_orphan(f->device);
}

/* What is under a loop device is another part of its file from now on. */
static void
move_loop(const struct fixture *f, uint64_t offset)
{
	struct loop_info64 info;

	assert_int_equal(ioctl(f->loop_fd, LOOP_GET_STATUS64, &info), 0);
	info.lo_offset = offset;
	assert_int_equal(ioctl(f->loop_fd, LOOP_SET_STATUS64, &info), 0);
}

/* Start a read of what @block must hold; was it over at once? */
static bool
reads_at_once(struct fixture *f, uint64_t block, int fill)
{
	struct transfer *t;
	bool once;

	memset(f->mem + block * page_bytes(), 0, page_bytes());
	t = start(f, false, block, 1);
	once = t->ended == 1;
	finish(f);
	assert_int_equal(t->rc, 0);
	for (uint64_t i = 0; i < page_bytes(); i++)
		assert_int_equal(f->mem[block * page_bytes() + i], fill);
	return once;
}

static void
write_fill(struct fixture *f, uint64_t block, int fill)
{
	memset(f->mem + block * page_bytes(), fill, page_bytes());
	start(f, true, block, 1);
	finish(f);
	assert_int_equal(f->t[block].rc, 0);
}

/* The page cache has nothing of that block of the file from now on. */
static void
drop_block(const struct fixture *f, uint64_t block)
{
	int fd = open(image(f), O_RDONLY | O_CLOEXEC);
	void *mem = mmap(NULL, page_bytes(), PROT_READ, MAP_SHARED, fd,
			 (off_t)(block * page_bytes()));
	unsigned char cached = 1;

	assert_ptr_not_equal(mem, MAP_FAILED);
	assert_int_equal(fdatasync(fd), 0);
	while (cached & 1) {
		assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED),
				 0);
		assert_int_equal(mincore(mem, page_bytes(), &cached), 0);
	}
	munmap(mem, page_bytes());
	close(fd);
}

/*
 * A loop device's blocks come out of the page cache without waiting, as they
 * were written last (unless somebody else empties it just now); what is not there
 * comes by the device.
 */
static void
test_loop_cached(void **state)
{
	struct fixture *f = *state;
	unsigned nonce = 0;

	NEED("needs root for loop devices", geteuid() == 0);
	NEED("no loop device is free", open_loop(f, 0));
	for (int round = 1; round < 50; round++) {
		write_fill(f, 20, round);
		nonce += reads_at_once(f, 20, round);
	}
	assert_in_range(nonce, 25, 49);
	drop_block(f, 20);
	assert_false(reads_at_once(f, 20, 49));
}

/* It is moved while it is in use: what it says is what counts. */
static void
test_loop_moved(void **state)
{
	struct fixture *f = *state;

	NEED("needs root for loop devices", geteuid() == 0);
	NEED("no loop device is free", open_loop(f, 0));
	write_fill(f, 20, 1);
	write_fill(f, 21, 2);
	(void)reads_at_once(f, 20, 1);
	move_loop(f, page_bytes());
	assert_false(reads_at_once(f, 20, 2));
	write_fill(f, 20, 3);
	assert_false(reads_at_once(f, 20, 3));
	move_loop(f, 0);
	(void)reads_at_once(f, 21, 3);
}

/* One that reads and writes past the page cache is read by itself. */
static void
test_loop_direct(void **state)
{
	struct fixture *f = *state;

	NEED("needs root for loop devices", geteuid() == 0);
	NEED("no loop device is free", open_loop(f, 0));
	NEED("its file cannot be read directly",
	     ioctl(f->loop_fd, LOOP_SET_DIRECT_IO, 1UL) == 0);
	write_fill(f, 20, 1);
	assert_false(reads_at_once(f, 20, 1));
}

/*
 * It begins behind the end of its file: the kernel gives it the size nought, as
 * it does to a disk that was pulled out.
 */
static void
pull_out(const struct fixture *f)
{
	move_loop(f, UINT64_C(1) << 40);
}

/*
 * Pulled out with transfers in flight: those that had begun end, one way or the
 * other; it is noticed once; nothing more is started; and it can be closed.
 */
static void
test_pulled_out(void **state)
{
	struct fixture *f = *state;

	NEED("needs root for loop devices", geteuid() == 0);
	NEED("no loop device is free", open_loop(f, 0));
	fill(f);
	for (uint64_t b = LABEL; b < BLOCKS / 2; b++)
		start(f, true, b, 1);
	aio_submit(f->aio);
	pull_out(f);
	for (uint64_t b = BLOCKS / 2; b < BLOCKS; b++)
		start(f, b % 2 == 0, b, 1);
	finish(f);
	assert_int_equal(f->nended, BLOCKS - LABEL);
	for (uint64_t b = LABEL; b < BLOCKS; b++) {
		assert_int_equal(f->t[b].ended, 1);
		if (b < BLOCKS / 2)
			assert_true(f->t[b].rc == 0 || f->t[b].rc == -ENXIO);
		else
			assert_int_equal(f->t[b].rc, -ENXIO);
	}
	assert_true(device_orphaned(f->device));
	assert_int_equal(f->ngone, 1);
	assert_int_equal(start(f, true, 10, 1)->rc, -ENXIO);
	device_close(f->device);
	f->device = NULL;
}

struct closing {
	struct device	*device;
	atomic_bool	 closed;
};

static void *
close_it(void *arg)
{
	struct closing *c = arg;

	device_close(c->device);
	c->closed = true;
	return NULL;
}

static void
test_close_waits(void **state)
{
	struct fixture *f = *state;
	struct closing c = { .closed = false };
	pthread_t thread;

	open_file(f, 0);
	start(f, false, 10, 1);
	aio_submit(f->aio);
	c.device = f->device;
	f->device = NULL;
	assert_int_equal(pthread_create(&thread, NULL, close_it, &c), 0);
	while (!device_orphaned(c.device))
		sched_yield();
	assert_false(c.closed);
	while (aio_inflight(f->aio) > 0)
		aio_wait(f->aio, MINUTE);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_true(c.closed);
	assert_int_equal(f->t[10].rc, 0);
}

/* ----------------------------------------------------------------- discard */

static uint64_t
bytes_on_disk(const struct fixture *f)
{
	struct stat st;

	assert_int_equal(stat(image(f), &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

static void
test_discard_makes_holes(void **state)
{
	struct fixture *f = *state;
	size_t page = page_bytes();
	uint64_t before;

	NEED("needs root for loop devices", geteuid() == 0);
	NEED("no loop device is free",
	     open_loop(f, SWAP_DEVICE_DISCARD_PAGES));
	device_discard_first(f->device);
	NEED("this loop device cannot discard", device_discards(f->device));
	before = bytes_on_disk(f);
	device_discard(f->device, 600, 100);
	assert_true(bytes_on_disk(f) <= before - 100 * page);
	assert_int_equal(device_counters(f->device)->discarded_bytes,
			 (256 + 100) * page);
	assert_int_equal(device_read(f->device, 599, f->mem, 102), 0);
	assert_int_equal(f->mem[0], 0x5a);
	assert_int_equal(f->mem[page], 0);
	assert_int_equal(f->mem[100 * page], 0);
	assert_int_equal(f->mem[101 * page], 0x5a);
}

static void
test_discard_once_leaves_the_label(void **state)
{
	struct fixture *f = *state;
	size_t page = page_bytes();

	NEED("needs root for loop devices", geteuid() == 0);
	NEED("no loop device is free",
	     open_loop(f, SWAP_DEVICE_DISCARD_ONCE));
	device_discard_first(f->device);
	assert_false(device_discards(f->device));
	NEED("this loop device cannot discard",
	     device_counters(f->device)->discards > 0);
	assert_int_equal(device_counters(f->device)->discarded_bytes,
			 (BLOCKS - LABEL) * page);
	assert_true(bytes_on_disk(f) < 16 * page);
	assert_int_equal(device_read(f->device, 0, f->mem, BLOCKS), 0);
	for (size_t i = 0; i < BLOCKS * page; i++)
		if (f->mem[i] != (i < DEVICE_LABEL_BYTES ? 0x5a : 0))
			fail_msg("byte %zu is %d", i, f->mem[i]);
	/* Not asked for pages: nothing happens. */
	device_discard(f->device, 600, 100);
	assert_int_equal(device_counters(f->device)->discards, 1);
}

static void
test_a_file_is_not_discarded(void **state)
{
	struct fixture *f = *state;
	uint64_t before;

	open_file(f, SWAP_DEVICE_DISCARD_ONCE | SWAP_DEVICE_DISCARD_PAGES);
	assert_true(hook.log_file);
	before = bytes_on_disk(f);
	assert_false(device_discards(f->device));
	device_discard_first(f->device);
	device_discard(f->device, 600, 100);
	assert_int_equal(bytes_on_disk(f), before);
	assert_int_equal(device_counters(f->device)->discards, 0);
}

#define WITH(test, which)						\
	{ #test " " #which, test, setup, teardown, &which }
#define BOTH(test) WITH(test, uring), WITH(test, threads)

int
main(void)
{
	static bool uring = true, threads = false;
	const struct CMUnitTest tests[] = {
		BOTH(test_file),
		WITH(test_short, uring),
		BOTH(test_buffered),
		BOTH(test_buffered_sync_fails),
		BOTH(test_bounds),
		BOTH(test_errors),
		BOTH(test_loop_cached),
		BOTH(test_loop_moved),
		BOTH(test_loop_direct),
		BOTH(test_pulled_out),
		BOTH(test_close_waits),
		WITH(test_discard_makes_holes, threads),
		WITH(test_discard_once_leaves_the_label, threads),
		WITH(test_a_file_is_not_discarded, threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
