/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Framing.
 *
 * A message is text and a NUL byte.  Descriptors belong to the message whose
 * bytes carry them; since a stream socket glues messages together, a reader
 * that takes what there is could not say to which of two messages a descriptor
 * belongs.  So every read is first done with MSG_PEEK, to find the NUL, and
 * then for good up to it: a frame never holds a byte of the next message.
 * Each byte is peeked once, so that costs one more system call and copy.
 *
 * Invariants:
 *
 *   F1	buf[0 .. len) is the message so far; cap > len.
 *   F2	cap never exceeds max, nor twice what the peer has sent.  What it takes
 *	beyond FRAME_BUFFER_KEPT is charged first and given back with the next
 *	message.
 *   F3	fds[0 .. nfds) came with this message, are ours, and close on exec.
 *
 * Nothing here allocates after frame_init() for messages that fit the kept
 * buffer: a heap that is itself paged through this connection relies on it.
 */
#include "frame.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../util.h"

#define CONTROL_BYTES	CMSG_SPACE(FRAME_FDS_MAX * sizeof(int))

union control {
	struct cmsghdr	header;		/* for its alignment */
	char		bytes[CONTROL_BYTES];
};

int
frame_init(struct frame *f, int fd, size_t max)
{
	memset(f, 0, sizeof(*f));
	f->fd = fd;
	f->watch[FRAME_WATCH_STOP] = -1;
	f->watch[FRAME_WATCH_PEER] = -1;
	f->max = max;
	f->cap = min_u64(FRAME_BUFFER_KEPT, max);
	f->buf = malloc(f->cap);
	if (f->buf == NULL) {
		close(fd);
		f->fd = -1;
		return -ENOMEM;
	}
	f->buf[0] = '\0';
	return 0;
}

int
frame_take_fd(struct frame *f)
{
	int fd;

	if (f->nfds == 0)
		return -1;
	fd = f->fds[0];
	f->nfds--;
	memmove(&f->fds[0], &f->fds[1], f->nfds * sizeof(f->fds[0]));
	return fd;
}

void
frame_drop_fds(struct frame *f)
{
	while (f->nfds > 0)
		close(f->fds[--f->nfds]);
}

static int
frame_charge(struct frame *f, int64_t more)
{
	return f->charge == NULL ? 0 : f->charge(f->charge_arg, more);
}

static void
frame_shrink(struct frame *f)
{
	char *buf;

	if (f->cap <= FRAME_BUFFER_KEPT)
		return;
	buf = realloc(f->buf, FRAME_BUFFER_KEPT);
	if (buf == NULL)
		return;
	(void)frame_charge(f, (int64_t)FRAME_BUFFER_KEPT - (int64_t)f->cap);
	f->buf = buf;
	f->cap = FRAME_BUFFER_KEPT;
}

void
frame_close(struct frame *f)
{
	frame_drop_fds(f);
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
	if (f->cap > FRAME_BUFFER_KEPT)
		(void)frame_charge(f, (int64_t)FRAME_BUFFER_KEPT -
				   (int64_t)f->cap);
	free(f->buf);
	f->buf = NULL;
	f->cap = f->len = 0;
}

static int
frame_grow(struct frame *f)
{
	size_t cap = min_u64(f->cap * 2, f->max);
	int64_t more = (int64_t)(cap - f->cap);
	char *buf;

	if (f->cap >= f->max)
		return -EMSGSIZE;
	if (frame_charge(f, more) != 0)
		return -ENOBUFS;
	buf = realloc(f->buf, cap);
	if (buf == NULL) {
		(void)frame_charge(f, -more);
		return -ENOMEM;
	}
	f->buf = buf;
	f->cap = cap;
	return 0;
}

/* ---------------------------------------------------------------- waiting */

/* 0: @events on @fd; -ECANCELED, -ETIMEDOUT, or poll's own failure. */
static int
frame_poll(const struct frame *f, int fd, short events, int64_t deadline_usec)
{
	struct pollfd p[3] = {
		{ .fd = f->watch[FRAME_WATCH_STOP], .events = POLLIN },
		{ .fd = f->watch[FRAME_WATCH_PEER], .events = POLLIN },
		{ .fd = fd, .events = events },
	};
	int64_t left = -1;
	int n;

	do {
		if (deadline_usec >= 0) {
			left = (deadline_usec - (int64_t)now_usec() + 999) /
			       1000;
			left = left < 0 ? 0 : left;
			left = left > 3600000 ? 3600000 : left;
		}
		n = poll(p, ARRAY_SIZE(p), (int)left);
	} while ((n < 0 && errno == EINTR) || (n == 0 && left == 3600000));
	if (n < 0)
		return -errno;
	if (n == 0)
		return -ETIMEDOUT;
	return p[0].revents != 0 || p[1].revents != 0 ? -ECANCELED : 0;
}

static int64_t
deadline_after(int64_t timeout_msec)
{
	if (timeout_msec < 0)
		return -1;
	if (timeout_msec > INT64_MAX / 2000)
		timeout_msec = INT64_MAX / 2000;
	return (int64_t)now_usec() + timeout_msec * 1000;
}

int
frame_gone(const struct frame *f)
{
	return frame_wait(f, -1, 0) == -ECANCELED;
}

int
frame_wait(const struct frame *f, int event_fd, int64_t timeout_msec)
{
	struct pollfd p[4] = {
		{ .fd = f->watch[FRAME_WATCH_STOP], .events = POLLIN },
		{ .fd = f->watch[FRAME_WATCH_PEER], .events = POLLIN },
		{ .fd = f->fd, .events = POLLRDHUP },
		{ .fd = event_fd, .events = POLLIN },
	};
	int64_t deadline = deadline_after(timeout_msec);
	int64_t left = -1;
	int n;

	do {
		if (deadline >= 0)
			left = (deadline - (int64_t)now_usec() + 999) / 1000;
		left = deadline >= 0 && left < 0 ? 0 : left;
		left = left > 3600000 ? 3600000 : left;
		n = poll(p, ARRAY_SIZE(p), (int)left);
	} while ((n < 0 && errno == EINTR) || (n == 0 && left == 3600000));
	if (n < 0)
		return -errno;
	/* What there is to tell goes before the end of the conversation. */
	if (p[3].revents != 0)
		return 0;
	return n == 0 ? -ETIMEDOUT : -ECANCELED;
}

/* ---------------------------------------------------------------- reading */

static void
frame_keep_fd(struct frame *f, int fd)
{
	if (f->nfds < FRAME_FDS_MAX)
		f->fds[f->nfds++] = fd;
	else
		close(fd);
}

static void
frame_keep_control(struct frame *f, struct msghdr *msg)
{
	struct cmsghdr *c;
	size_t i, n;
	int fd;

	for (c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (i = 0; i < n; i++) {
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
			frame_keep_fd(f, fd);
		}
	}
}

/* Take up to @take bytes, which have been peeked already. */
static ssize_t
frame_take(struct frame *f, size_t take)
{
	union control control;
	struct iovec iov = { .iov_base = f->buf + f->len, .iov_len = take };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	ssize_t n;

	n = recvmsg(f->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n < 0)
		return -errno;
	frame_keep_control(f, &msg);
	return n;
}

/*
 * Add bytes of this message.  1: it is whole; 0: more is needed; -EAGAIN:
 * there is nothing to read now.
 */
static int
frame_add(struct frame *f)
{
	size_t take;
	const char *nul;
	ssize_t n;

	if (f->cap - f->len < 2) {
		int r = frame_grow(f);

		if (r < 0)
			return r;
	}
	n = recv(f->fd, f->buf + f->len, f->cap - f->len,
		 MSG_PEEK | MSG_DONTWAIT);
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	if (n == 0)
		return f->len == 0 ? -ENODATA : -EPROTO;
	nul = memchr(f->buf + f->len, '\0', (size_t)n);
	take = nul != NULL ? (size_t)(nul - f->buf) - f->len + 1 : (size_t)n;
	n = frame_take(f, take);
	if (n < 0)
		return n == -EINTR ? 0 : (int)n;
	if (n == 0)
		return -EPROTO;
	f->len += (size_t)n;
	if (nul == NULL || (size_t)n != take)
		return 0;
	f->len--;
	return 1;
}

int
frame_read(struct frame *f, int timeout_msec)
{
	int64_t deadline = deadline_after(timeout_msec);
	bool watched = f->watch[FRAME_WATCH_STOP] >= 0 ||
		       f->watch[FRAME_WATCH_PEER] >= 0;
	int r;

	if (!f->half) {
		frame_drop_fds(f);
		frame_shrink(f);
		f->len = 0;
	}
	do {
		/* A peer that never pauses must not hide a stop. */
		r = watched ? -EAGAIN : frame_add(f);
		if (r == -EAGAIN) {
			r = frame_poll(f, f->fd, POLLIN, deadline);
			if (r == 0)
				r = frame_add(f);
			if (r == -EAGAIN)
				r = 0;
		}
	} while (r == 0);
	f->half = r == -ETIMEDOUT && f->len > 0;
	if (r > 0)
		return 0;
	return r == -ECONNRESET ? -ENODATA : r;
}

/* ---------------------------------------------------------------- sending */

static void
control_fill(struct msghdr *msg, union control *control, const int *fds,
	     unsigned nfds)
{
	struct cmsghdr *c;

	if (nfds == 0)
		return;
	memset(control, 0, sizeof(*control));
	msg->msg_control = control->bytes;
	msg->msg_controllen = CMSG_SPACE(nfds * sizeof(int));
	c = CMSG_FIRSTHDR(msg);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(nfds * sizeof(int));
	memcpy(CMSG_DATA(c), fds, nfds * sizeof(int));
}

static ssize_t
frame_send_some(struct frame *f, const char *text, size_t len, const int *fds,
		unsigned nfds)
{
	union control control;
	char *bytes;
	struct iovec iov = { .iov_len = len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	/* struct iovec has no const; sendmsg(2) does not write. */
	memcpy(&bytes, &text, sizeof(bytes));
	iov.iov_base = bytes;
	control_fill(&msg, &control, fds, nfds);
	n = sendmsg(f->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	return n < 0 ? -errno : n;
}

int
frame_send(struct frame *f, const char *text, const int *fds, unsigned nfds,
	   int timeout_msec)
{
	int64_t deadline = deadline_after(timeout_msec);
	size_t left = strlen(text) + 1;
	int r;

	if (nfds > FRAME_FDS_MAX)
		return -EINVAL;
	while (left > 0) {
		ssize_t n = frame_send_some(f, text, left, fds, nfds);

		if (n == -EAGAIN) {
			r = frame_poll(f, f->fd, POLLOUT, deadline);
			if (r < 0)
				return r;
			continue;
		}
		if (n == -EINTR)
			continue;
		if (n < 0)
			return (int)n;
		text += n;
		left -= (size_t)n;
		nfds = 0;
	}
	return 0;
}
