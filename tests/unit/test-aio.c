/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Transfers that go on by themselves: by a ring as this kernel has it, by a
 * plain ring, and by threads.  Each test is run with all three.
 *
 * What the backends report passes through a hook, which can make a transfer
 * short, fail it, or keep it back.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "aio-impl.h"
#include "util.h"

#define CHUNK	16384u
#define CHUNKS	64u
#define DEPTH	8u
#define NOWAIT	0u
#define MINUTE	(60u * 1000000u)

/* ------------------------------------------------------------------- hooks */

static struct {
	int	init;		/* what making a ring gives */
	bool	plain;		/* the kernel knows no flags */
	bool	no_probe, no_enter; /* refused by a filter */
	size_t	most;		/* a transfer moves so much; 0: all */
	int64_t	fail;		/* so many times ... */
	unsigned fails;		/* ... it ends with this */
	unsigned ended;		/* reports */
	unsigned most_running;
	unsigned looks;		/* times the kernel was entered to look */
	atomic_bool hold;	/* pread waits for go */
	sem_t	held, go;
} hook;

void __real_aio_ended(struct aio *aio, struct aio_request *request,
		      int64_t res);
void __wrap_aio_ended(struct aio *aio, struct aio_request *request,
		      int64_t res);
int __real_io_uring_queue_init(unsigned entries, struct io_uring *ring,
			       unsigned flags);
int __wrap_io_uring_queue_init(unsigned entries, struct io_uring *ring,
			       unsigned flags);
struct io_uring_probe *__real_io_uring_get_probe_ring(struct io_uring *ring);
struct io_uring_probe *__wrap_io_uring_get_probe_ring(struct io_uring *ring);
int __real_io_uring_enter(unsigned fd, unsigned submit, unsigned wait,
			  unsigned flags, sigset_t *sig);
int __wrap_io_uring_enter(unsigned fd, unsigned submit, unsigned wait,
			  unsigned flags, sigset_t *sig);
int __real_io_uring_get_events(struct io_uring *ring);
int __wrap_io_uring_get_events(struct io_uring *ring);

void
__wrap_aio_ended(struct aio *aio, struct aio_request *request, int64_t res)
{
	hook.ended++;
	if (aio->running > hook.most_running)
		hook.most_running = aio->running;
	if (hook.fails > 0) {
		hook.fails--;
		res = hook.fail;
	} else if (hook.most != 0 && res > (int64_t)hook.most) {
		res = (int64_t)hook.most;
	}
	__real_aio_ended(aio, request, res);
}

int
__wrap_io_uring_queue_init(unsigned entries, struct io_uring *ring,
			   unsigned flags)
{
	if (hook.init < 0)
		return hook.init;
	if (hook.plain && flags != 0)
		return -EINVAL;
	return __real_io_uring_queue_init(entries, ring, flags);
}

struct io_uring_probe *
__wrap_io_uring_get_probe_ring(struct io_uring *ring)
{
	return hook.no_probe ? NULL : __real_io_uring_get_probe_ring(ring);
}

int
__wrap_io_uring_enter(unsigned fd, unsigned submit, unsigned wait,
		      unsigned flags, sigset_t *sig)
{
	return hook.no_enter ? -EPERM :
	       __real_io_uring_enter(fd, submit, wait, flags, sig);
}

int
__wrap_io_uring_get_events(struct io_uring *ring)
{
	hook.looks++;
	return __real_io_uring_get_events(ring);
}

/* Stands before libc's, for the threads. */
ssize_t
pread(int fd, void *buf, size_t len, off_t offset)
{
	if (hook.hold) {
		sem_post(&hook.held);
		sem_wait(&hook.go);
	}
	return syscall(SYS_pread64, fd, buf, len, offset);
}

/* ----------------------------------------------------------------- fixture */

enum variant { RING, PLAIN_RING, THREADS };

struct fixture {
	enum variant	 variant;
	struct aio	*aio;
	int		 fd;
	char		*mem;		/* CHUNKS of CHUNK bytes */
	unsigned	 ndone;
	int		 rc;		/* of the last one */
};

struct transfer {
	struct aio_request request;	/* first */
	struct fixture	*f;
	unsigned	 again;		/* start so many more */
};

static int
setup(void **state)
{
	char path[] = "/var/tmp/test-aio.XXXXXX";
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	memset(&hook, 0, sizeof(hook));
	sem_init(&hook.held, 0, 0);
	sem_init(&hook.go, 0, 0);
	f->variant = *(enum variant *)*state;
	hook.plain = f->variant == PLAIN_RING;
	f->fd = mkstemp(path);
	assert_true(f->fd >= 0);
	unlink(path);
	f->mem = aligned_alloc(4096, CHUNKS * CHUNK);
	assert_non_null(f->mem);
	assert_int_equal(aio_create(f->variant != THREADS, DEPTH, &f->aio), 0);
	if (f->variant != THREADS && aio_kind(f->aio) != AIO_URING) {
		print_message("[  REASON  ] io_uring is not allowed here\n");
		skip();
	}
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	if (f->aio != NULL)
		aio_destroy(f->aio);
	close(f->fd);
	free(f->mem);
	free(f);
	return 0;
}

static void
prepare(struct fixture *f, struct transfer *t, bool write, unsigned chunk,
	void (*done)(struct aio_request *request, int rc))
{
	*t = (struct transfer){
		.request = {
			.fd = f->fd,
			.write = write,
			.buf = f->mem + chunk * CHUNK,
			.len = CHUNK,
			.offset = (off_t)chunk * CHUNK,
			.done = done,
		},
		.f = f,
	};
}

static void
start(struct fixture *f, struct transfer *t, bool write, unsigned chunk,
      void (*done)(struct aio_request *request, int rc))
{
	prepare(f, t, write, chunk, done);
	aio_start(f->aio, &t->request);
}

static void
note(struct aio_request *request, int rc)
{
	struct fixture *f = ((struct transfer *)request)->f;

	f->ndone++;
	f->rc = rc;
}

static void
finish(struct fixture *f)
{
	unsigned n = 0, before = f->ndone;

	while (aio_inflight(f->aio) > 0)
		n += aio_wait(f->aio, MINUTE);
	assert_int_equal(n, f->ndone - before);
	assert_int_equal(aio_reap(f->aio), 0);
}

static void
fill(struct fixture *f, unsigned seed)
{
	uint32_t x = seed * 2654435761u + 1;

	for (size_t i = 0; i < CHUNKS * CHUNK; i++) {
		x = x * 1664525u + 1013904223u;
		f->mem[i] = (char)(x >> 24);
	}
}

/* Write all chunks in an order of its own, read them back in another. */
static void
write_and_read(struct fixture *f)
{
	struct transfer *t = calloc(CHUNKS, sizeof(*t));
	char *want = malloc(CHUNKS * CHUNK);

	assert_non_null(t);
	assert_non_null(want);
	fill(f, 7);
	memcpy(want, f->mem, CHUNKS * CHUNK);
	for (unsigned i = 0; i < CHUNKS; i++)
		start(f, &t[i], true, i * 37 % CHUNKS, note);
	assert_int_equal(aio_inflight(f->aio), CHUNKS);
	finish(f);
	assert_int_equal(f->ndone, CHUNKS);
	assert_int_equal(f->rc, 0);
	memset(f->mem, 0, CHUNKS * CHUNK);
	for (unsigned i = 0; i < CHUNKS; i++)
		start(f, &t[i], false, i * 23 % CHUNKS, note);
	finish(f);
	assert_int_equal(f->ndone, 2 * CHUNKS);
	assert_int_equal(f->rc, 0);
	assert_memory_equal(f->mem, want, CHUNKS * CHUNK);
	free(want);
	free(t);
}

/* ------------------------------------------------------------------- tests */

static void
test_every_byte_arrives(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(aio_kind(f->aio),
			 f->variant == THREADS ? AIO_THREADS : AIO_URING);
	write_and_read(f);
	assert_int_equal(hook.ended, 2 * CHUNKS);
}

static void
test_depth_is_kept_and_used(void **state)
{
	write_and_read(*state);
	assert_int_equal(hook.most_running, DEPTH);
}

static void
test_short_transfers_are_continued(void **state)
{
	hook.most = 4096;
	write_and_read(*state);
	/* Threads have done all of it before they report. */
	assert_int_equal(hook.ended, 2 * CHUNKS * CHUNK / 4096);
}

static void
test_interrupted_ones_are_repeated(void **state)
{
	hook.fail = -EINTR;
	hook.fails = 3 * CHUNKS;
	write_and_read(*state);
	hook.fail = -EAGAIN;
	hook.fails = 20;
	((struct fixture *)*state)->ndone = 0;
	write_and_read(*state);
}

static void
test_a_lasting_shortage_is_an_error(void **state)
{
	struct fixture *f = *state;
	struct transfer t;

	hook.fail = -EAGAIN;
	hook.fails = UINT32_MAX;
	start(f, &t, true, 0, note);
	finish(f);
	assert_int_equal(f->rc, -EAGAIN);
}

static void
test_errors_are_told(void **state)
{
	struct fixture *f = *state;
	struct transfer t;
	int fd = f->fd;

	hook.fail = -ENOSPC;
	hook.fails = 1;
	start(f, &t, true, 0, note);
	finish(f);
	assert_int_equal(f->rc, -ENOSPC);
	f->fd = -1;
	start(f, &t, true, 0, note);
	finish(f);
	assert_int_equal(f->rc, -EBADF);
	f->fd = fd;
	/* Half of it lies beyond the end. */
	assert_int_equal(ftruncate(fd, CHUNK / 2), 0);
	start(f, &t, false, 0, note);
	finish(f);
	assert_int_equal(f->rc, -EIO);
	assert_int_equal(f->ndone, 3);
}

static void
test_sync_is_an_fdatasync(void **state)
{
	struct fixture *f = *state;
	struct transfer t = {
		.request = { .fd = f->fd, .sync = true, .done = note },
		.f = f,
	};
	int ends[2];

	aio_start(f->aio, &t.request);
	finish(f);
	assert_int_equal(f->rc, 0);
	/* What cannot be synced says so. */
	assert_int_equal(pipe(ends), 0);
	t.request.fd = ends[1];
	aio_start(f->aio, &t.request);
	finish(f);
	assert_int_equal(f->rc, -EINVAL);
	close(ends[0]);
	close(ends[1]);
}

static void
note_and_go_on(struct aio_request *request, int rc)
{
	struct transfer *t = (struct transfer *)request;

	note(request, rc);
	if (t->again-- > 0)
		aio_start(t->f->aio, request);
}

static void
test_done_may_start_others(void **state)
{
	struct fixture *f = *state;
	struct transfer t[DEPTH];

	fill(f, 3);
	for (unsigned i = 0; i < DEPTH; i++) {
		start(f, &t[i], true, i, note_and_go_on);
		t[i].again = 49;
	}
	finish(f);
	assert_int_equal(f->ndone, DEPTH * 50);
	assert_int_equal(f->rc, 0);
}

/* Who only looks, and never waits, gets them all too. */
static void
test_looking_is_enough(void **state)
{
	struct fixture *f = *state;
	struct transfer t[4 * DEPTH];

	fill(f, 11);
	hook.most = f->variant == THREADS ? 0 : 4096;
	for (unsigned i = 0; i < 4 * DEPTH; i++)
		start(f, &t[i], true, i, note);
	aio_submit(f->aio);
	while (aio_inflight(f->aio) > 0)
		aio_reap(f->aio);
	assert_int_equal(f->ndone, 4 * DEPTH);
	assert_int_equal(f->rc, 0);
}

/* A read that ends when release() is called. */
static void
start_held(struct fixture *f, struct transfer *t, int ends[2])
{
	assert_int_equal(pipe(ends), 0);
	prepare(f, t, false, 0, note);
	if (f->variant != THREADS) {
		t->request.fd = ends[0];
		t->request.len = 8;
	}
	aio_start(f->aio, &t->request);
	aio_submit(f->aio);
	if (f->variant == THREADS)
		sem_wait(&hook.held);
}

static void
release(struct fixture *f, int ends[2])
{
	if (f->variant == THREADS)
		sem_post(&hook.go);
	else
		assert_int_equal(write(ends[1], "released", 8), 8);
}

struct later {
	struct fixture	*f;
	int		 ends[2];
	int		 tid;
};

static bool
sleeps(const char *path)
{
	char line[256] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	const char *name_end;

	assert_true(fd >= 0);
	assert_true(read(fd, line, sizeof(line) - 1) > 0);
	close(fd);
	name_end = strrchr(line, ')');
	return name_end != NULL && name_end[2] == 'S';
}

static bool
readable(struct fixture *f, int msec)
{
	struct pollfd pfd = { .fd = aio_fd(f->aio), .events = POLLIN };

	return poll(&pfd, 1, msec) == 1;
}

static void
test_looking_costs_no_call_and_no_wait(void **state)
{
	struct fixture *f = *state;
	struct transfer t;
	int ends[2];

	assert_int_equal(ftruncate(f->fd, CHUNK), 0);
	hook.hold = f->variant == THREADS;
	start_held(f, &t, ends);
	for (unsigned i = 0; i < 10000; i++)
		assert_int_equal(aio_reap(f->aio), 0);
	assert_int_equal(hook.looks, 0);
	assert_false(readable(f, 0));
	assert_int_equal(aio_wait(f->aio, 1000), 0);
	assert_int_equal(aio_inflight(f->aio), 1);
	release(f, ends);
	while (aio_reap(f->aio) == 0)
		;
	assert_int_equal(f->ndone, 1);
	assert_int_equal(f->rc, 0);
	close(ends[0]);
	close(ends[1]);
}

static void
test_descriptor_is_readable_until_reaped(void **state)
{
	struct fixture *f = *state;
	struct transfer t;
	int ends[2];

	assert_int_equal(ftruncate(f->fd, CHUNK), 0);
	hook.hold = f->variant == THREADS;
	start_held(f, &t, ends);
	assert_false(readable(f, 0));
	release(f, ends);
	assert_true(readable(f, 60000));
	assert_true(readable(f, 0));
	assert_int_equal(f->ndone, 0);
	assert_int_equal(aio_reap(f->aio), 1);
	assert_false(readable(f, 0));
	close(ends[0]);
	close(ends[1]);
}

static void *
release_later(void *arg)
{
	struct later *later = arg;
	char path[64];

	/* Until the owner sleeps: its state stands behind its name. */
	format_cut(path, sizeof(path), "/proc/self/task/%d/stat", later->tid);
	while (!sleeps(path))
		sched_yield();
	release(later->f, later->ends);
	return NULL;
}

static void
sleep_on(struct fixture *f, int ep)
{
	struct later later = { .f = f, .tid = gettid() };
	struct epoll_event event;
	pthread_t thread;
	struct transfer t;

	start_held(f, &t, later.ends);
	assert_int_equal(pthread_create(&thread, NULL, release_later, &later),
			 0);
	/* As a thread does that also waits for something else. */
	while (aio_reap(f->aio) == 0) {
		int n = epoll_wait(ep, &event, 1, 60000);

		assert_true(n == 1 || (n < 0 && errno == EINTR));
	}
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(f->rc, 0);
	close(later.ends[0]);
	close(later.ends[1]);
}

/*
 * The thread that sleeps on the descriptor wakes when something ends; each
 * time, since the first time the ring may wake it for reasons of its own.
 */
static void
test_descriptor_wakes_a_sleeper(void **state)
{
	struct fixture *f = *state;
	struct epoll_event event = { .events = EPOLLIN };
	int ep = epoll_create1(EPOLL_CLOEXEC);

	assert_int_equal(epoll_ctl(ep, EPOLL_CTL_ADD, aio_fd(f->aio), &event),
			 0);
	assert_int_equal(ftruncate(f->fd, CHUNK), 0);
	hook.hold = f->variant == THREADS;
	for (unsigned i = 0; i < 3; i++)
		sleep_on(f, ep);
	assert_int_equal(f->ndone, 3);
	close(ep);
}

static void
test_nothing_to_wait_for(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(aio_wait(f->aio, MINUTE), 0);
	assert_int_equal(aio_wait(f->aio, NOWAIT), 0);
	aio_submit(f->aio);
}

static void *
use(void *arg)
{
	write_and_read(arg);
	return NULL;
}

static void
test_belongs_to_the_thread_that_starts(void **state)
{
	struct fixture *f = *state;
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, use, f), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	aio_destroy(f->aio);
	f->aio = NULL;
}

static void
test_destroy_waits(void **state)
{
	struct fixture *f = *state;
	struct transfer t[3 * DEPTH];

	fill(f, 5);
	for (unsigned i = 0; i < 3 * DEPTH; i++)
		start(f, &t[i], true, i, note);
	aio_destroy(f->aio);
	f->aio = NULL;
	assert_int_equal(f->ndone, 3 * DEPTH);
}

static void
expect_threads(void)
{
	struct aio *aio;

	assert_int_equal(aio_create(true, DEPTH, &aio), 0);
	assert_int_equal(aio_kind(aio), AIO_THREADS);
	aio_destroy(aio);
}

static void
test_threads_where_uring_is_refused(void **state)
{
	(void)state;
	memset(&hook, 0, sizeof(hook));
	hook.init = -ENOSYS;
	expect_threads();
	hook.init = -EPERM;
	expect_threads();
	hook.init = -ENOMEM;
	expect_threads();
	hook.init = 0;
	hook.no_probe = true;
	expect_threads();
	hook.no_probe = false;
	hook.no_enter = true;
	expect_threads();
	hook.no_enter = false;
}

#define WITH(test, variant)						\
	{ #test " " #variant, test, setup, teardown, &variants[variant] }
#define WITH_ALL(test)							\
	WITH(test, RING), WITH(test, PLAIN_RING), WITH(test, THREADS)

int
main(void)
{
	static enum variant variants[] = { RING, PLAIN_RING, THREADS };
	const struct CMUnitTest tests[] = {
		WITH_ALL(test_every_byte_arrives),
		WITH_ALL(test_depth_is_kept_and_used),
		WITH(test_short_transfers_are_continued, RING),
		WITH(test_short_transfers_are_continued, PLAIN_RING),
		WITH_ALL(test_interrupted_ones_are_repeated),
		WITH_ALL(test_a_lasting_shortage_is_an_error),
		WITH_ALL(test_errors_are_told),
		WITH_ALL(test_sync_is_an_fdatasync),
		WITH_ALL(test_done_may_start_others),
		WITH_ALL(test_looking_is_enough),
		WITH_ALL(test_looking_costs_no_call_and_no_wait),
		WITH_ALL(test_descriptor_is_readable_until_reaped),
		WITH_ALL(test_descriptor_wakes_a_sleeper),
		WITH_ALL(test_nothing_to_wait_for),
		WITH_ALL(test_belongs_to_the_thread_that_starts),
		WITH_ALL(test_destroy_waits),
		cmocka_unit_test(test_threads_where_uring_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
