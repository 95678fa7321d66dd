/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kernel-io - the kernel reads and writes paged memory on a program's behalf
 *
 *	kernel-io --client PAGER --file FILE [--ballast SIZE]
 *	kernel-io --heap --file FILE [--ballast SIZE]	(under swaprun)
 *
 * Buffers lie in paged memory (a region, or the heap under swaprun).  Before
 * each operation the ballast, several times the RAM budget, is written, so
 * that the buffers have been paged out, and for direct I/O a thread goes on
 * writing it meanwhile.  All bytes are checked against copies in ordinary
 * memory.  Prints a line for each kind of access.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <liburing.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "swap.h"
#include "util.h"

#define CHUNK	((size_t)64 * 4096)
#define ROUNDS	8

struct test {
	const char	*file;
	struct swap_client *client;	/* NULL: the heap */
	struct swap_client_region *region;
	char		*buf;		/* CHUNK, paged */
	char		*ballast;	/* paged */
	size_t		 ballast_len;
	_Atomic bool	 stop;
	unsigned	 version;
};

static char plain[CHUNK];	/* what is expected, in ordinary memory */
static char other[CHUNK];	/* the other side */

static void
die(const char *what)
{
	fprintf(stderr, "kernel-io: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void
wrong(const char *what)
{
	fprintf(stderr, "kernel-io: %s: WRONG BYTES\n", what);
	exit(1);
}

static void
pattern(struct test *t)
{
	unsigned x = ++t->version * 2654435761u;

	for (size_t i = 0; i < CHUNK; i++) {
		x = x * 1103515245 + 12345;
		plain[i] = (char)(x >> 16);
	}
}

static void
press(struct test *t, size_t step)
{
	for (size_t i = 0; i < t->ballast_len; i += step)
		t->ballast[i]++;
}

static void *
press_main(void *arg)
{
	struct test *t = arg;

	while (!atomic_load(&t->stop))
		press(t, 4096);
	return NULL;
}

static void
check(const void *a, const void *b, const char *what)
{
	if (memcmp(a, b, CHUNK) != 0)
		wrong(what);
}

static int
open_file(struct test *t, int flags)
{
	int fd = open(t->file, O_RDWR | O_CREAT | flags, 0600);

	if (fd < 0)
		die(t->file);
	return fd;
}

/* read(2), write(2): the kernel copies. */
static void
test_copies(struct test *t)
{
	int fd = open_file(t, 0);

	for (int i = 0; i < ROUNDS; i++) {
		pattern(t);
		memcpy(t->buf, plain, CHUNK);
		press(t, 4096);
		if (pwrite(fd, t->buf, CHUNK, 0) != (ssize_t)CHUNK ||
		    pread(fd, other, CHUNK, 0) != (ssize_t)CHUNK)
			die("write");
		check(plain, other, "write(2) from swapped memory");
		pattern(t);
		if (pwrite(fd, plain, CHUNK, 0) != (ssize_t)CHUNK)
			die("write");
		press(t, 4096);
		if (pread(fd, t->buf, CHUNK, 0) != (ssize_t)CHUNK)
			die("read");
		check(plain, t->buf, "read(2) into swapped memory");
	}
	close(fd);
	puts("read, write: ok");
}

static void *
send_main(void *arg)
{
	struct test *t = ((void **)arg)[0];
	int fd = *(int *)((void **)arg)[1];
	size_t done = 0;

	while (done < CHUNK) {
		/* Two pieces, to have a vector. */
		size_t half = (CHUNK - done) / 2;
		struct iovec iov[2] = {
			{ t->buf + done, half },
			{ t->buf + done + half, CHUNK - done - half },
		};
		struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };
		ssize_t n = sendmsg(fd, &msg, 0);

		if (n < 0)
			die("sendmsg");
		done += (size_t)n;
	}
	return NULL;
}

static void
test_messages(struct test *t)
{
	int pair[2];
	pthread_t thread;

	for (int i = 0; i < ROUNDS; i++) {
		void *arg[2] = { t, &pair[0] };
		size_t done = 0;

		if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
			die("socketpair");
		pattern(t);
		memcpy(t->buf, plain, CHUNK);
		press(t, 4096);
		if (pthread_create(&thread, NULL, send_main, arg))
			die("thread");
		while (done < CHUNK) {
			ssize_t n = recv(pair[1], other + done, CHUNK - done,
					 0);

			if (n <= 0)
				die("recv");
			done += (size_t)n;
		}
		pthread_join(thread, NULL);
		check(plain, other, "sendmsg(2) from swapped memory");
		close(pair[0]);
		close(pair[1]);
	}
	puts("sendmsg: ok");
}

static void *
wake_main(void *arg)
{
	struct test *t = arg;
	_Atomic uint32_t *word = (void *)t->buf;

	while (!atomic_load(&t->stop)) {
		press(t, 4096);
		atomic_fetch_add(word, 1);
		syscall(SYS_futex, word, FUTEX_WAKE, 100, NULL, NULL, 0);
	}
	return NULL;
}

/* The word that a futex waits on is in swapped memory. */
static void
test_futex(struct test *t)
{
	_Atomic uint32_t *word = (void *)t->buf;
	pthread_t thread;

	atomic_store(word, 7);
	press(t, 4096);
	if (syscall(SYS_futex, word, FUTEX_WAIT, 8, NULL, NULL, 0) != -1 ||
	    errno != EAGAIN)
		wrong("futex(2) on a swapped word");
	atomic_store(&t->stop, false);
	if (pthread_create(&thread, NULL, wake_main, t))
		die("thread");
	for (int i = 0; i < ROUNDS; i++) {
		uint32_t value = atomic_load(word);

		while (syscall(SYS_futex, word, FUTEX_WAIT, value, NULL, NULL,
			       0) == 0 && atomic_load(word) == value)
			;
		while (atomic_load(word) == value)
			;
	}
	atomic_store(&t->stop, true);
	pthread_join(thread, NULL);
	puts("futex: ok");
}

static void
wire(struct test *t, bool on)
{
	struct swap_error error;
	int rc;

	if (t->client == NULL)
		return;	/* swaprun's business */
	rc = on ? swap_client_wire(t->region, 0, CHUNK, &error) :
	     swap_client_unwire(t->region, 0, CHUNK);
	if (rc < 0) {
		fprintf(stderr, "kernel-io: wire: %s\n",
			on ? error.message : strerror(-rc));
		exit(1);
	}
}

/* Direct I/O from memory at any time, into memory while it is wired. */
static void
test_direct(struct test *t)
{
	int fd = open_file(t, O_DIRECT);
	int check_fd = open_file(t, 0);
	pthread_t thread;

	atomic_store(&t->stop, false);
	if (pthread_create(&thread, NULL, press_main, t))
		die("thread");
	for (int i = 0; i < 5 * ROUNDS; i++) {
		pattern(t);
		memcpy(t->buf, plain, CHUNK);
		if (pwrite(fd, t->buf, CHUNK, 0) != (ssize_t)CHUNK)
			die("direct write");
		if (fsync(fd) < 0 ||
		    pread(check_fd, other, CHUNK, 0) != (ssize_t)CHUNK)
			die("read");
		check(plain, other, "direct write from paged memory");
		pattern(t);
		if (pwrite(check_fd, plain, CHUNK, 0) != (ssize_t)CHUNK ||
		    fsync(check_fd) < 0)
			die("write");
		wire(t, true);
		if (pread(fd, t->buf, CHUNK, 0) != (ssize_t)CHUNK)
			die("direct read");
		check(plain, t->buf, "direct read into paged memory");
		wire(t, false);
		check(plain, t->buf, "direct read, after unwiring");
	}
	atomic_store(&t->stop, true);
	pthread_join(thread, NULL);
	close(fd);
	close(check_fd);
	puts("direct I/O: ok");
}

static void
ring_read(struct io_uring *ring, int fd, char *buf)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
	struct io_uring_cqe *cqe;

	io_uring_prep_read_fixed(sqe, fd, buf, CHUNK, 0, 0);
	if (io_uring_submit(ring) != 1 || io_uring_wait_cqe(ring, &cqe) < 0)
		die("io_uring");
	if (cqe->res != (int)CHUNK) {
		errno = -cqe->res;
		die("io_uring read");
	}
	io_uring_cqe_seen(ring, cqe);
}

/* A registered buffer stays pinned between reads. */
static void
test_fixed(struct test *t)
{
	struct iovec iov = { t->buf, CHUNK };
	int fd = open_file(t, 0);
	struct io_uring ring;
	pthread_t thread;

	if (io_uring_queue_init(4, &ring, 0) < 0) {
		puts("io_uring: not allowed here");
		return;
	}
	wire(t, true);
	if (io_uring_register_buffers(&ring, &iov, 1) < 0)
		die("io_uring_register_buffers");
	atomic_store(&t->stop, false);
	if (pthread_create(&thread, NULL, press_main, t))
		die("thread");
	for (int i = 0; i < 5 * ROUNDS; i++) {
		pattern(t);
		if (pwrite(fd, plain, CHUNK, 0) != (ssize_t)CHUNK)
			die("write");
		ring_read(&ring, fd, t->buf);
		check(plain, t->buf, "io_uring read into a fixed buffer");
		usleep(1000);
	}
	io_uring_unregister_buffers(&ring);
	wire(t, false);
	check(plain, t->buf, "fixed buffer, after unregistering");
	atomic_store(&t->stop, true);
	pthread_join(thread, NULL);
	io_uring_queue_exit(&ring);
	close(fd);
	puts("io_uring fixed buffers: ok");
}

static void
get_memory(struct test *t, const char *pager)
{
	struct swap_client_object *object;
	struct swap_error error;

	if (pager == NULL) {
		t->buf = aligned_alloc(4096, CHUNK);
		t->ballast = malloc(t->ballast_len);
		if (t->buf == NULL || t->ballast == NULL)
			die("malloc");
		return;
	}
	if (swap_client_connect(pager, &t->client, &error) < 0 ||
	    swap_client_object_create(t->client, NULL, CHUNK + t->ballast_len,
				      0, &object, &error) < 0 ||
	    swap_client_map(object, NULL, 0, CHUNK + t->ballast_len,
			    &t->region, &error) < 0) {
		fprintf(stderr, "kernel-io: %s\n", error.message);
		exit(1);
	}
	t->buf = swap_client_region_address(t->region);
	t->ballast = t->buf + CHUNK;
}

int
main(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "client", required_argument, NULL, 'c' },
		{ "heap", no_argument, NULL, 'h' },
		{ "file", required_argument, NULL, 'f' },
		{ "ballast", required_argument, NULL, 'b' },
		{ NULL, 0, NULL, 0 },
	};
	struct test t = { .ballast_len = 32 << 20 };
	const char *pager = NULL;
	uint64_t bytes;
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (c == 'c')
			pager = optarg;
		else if (c == 'f')
			t.file = optarg;
		else if (c == 'b' && parse_size(optarg, &bytes) == 0)
			t.ballast_len = bytes;
		else if (c != 'h')
			return 2;
	}
	if (t.file == NULL)
		return 2;
	get_memory(&t, pager);
	test_copies(&t);
	test_messages(&t);
	test_futex(&t);
	test_direct(&t);
	test_fixed(&t);
	puts("kernel-io: all good");
	return 0;
}
