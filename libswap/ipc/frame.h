/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * frame.h - messages and descriptors over a Unix stream socket: text ended by
 * a NUL byte, with up to four descriptors (floor 7)
 *
 *	struct frame f;
 *
 *	frame_init(&f, fd, FRAME_CLIENT_MAX);
 *	while ((r = frame_read(&f, -1)) == 0) {
 *		... f.buf, f.len, frame_take_fd(&f) ...
 *		frame_send(&f, reply, NULL, 0, 10000);
 *	}
 *	frame_close(&f);
 */
#ifndef SWAP_IPC_FRAME_H
#define SWAP_IPC_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../compiler.h"

/* Longest message, in bytes with its NUL, that each side takes. */
#define FRAME_SERVER_MAX	((size_t)1 << 20)
#define FRAME_CLIENT_MAX	((size_t)64 << 20)
/* Most descriptors with one message; more are closed unseen. */
#define FRAME_FDS_MAX		4u
/* Size of the buffer that a frame keeps between messages. */
#define FRAME_BUFFER_KEPT	((size_t)4096)

/* The two descriptors besides the socket that end a wait. */
enum frame_watch {
	FRAME_WATCH_STOP,
	FRAME_WATCH_PEER,
	FRAME_NWATCH,
};

struct frame {
	int		 fd;
	int		 watch[FRAME_NWATCH];	/* -1: none */
	char		*buf;		/* the message, NUL-terminated */
	size_t		 len;		/* its bytes without the NUL */
	size_t		 cap;
	size_t		 max;
	bool		 half;		/* the last read timed out in a message */
	int		 fds[FRAME_FDS_MAX];
	unsigned	 nfds;
	/*
	 * Asked before the buffer takes @more bytes beyond what it keeps (told,
	 * with a negative number, when it gives them back); non-zero: no.
	 */
	int		(*charge)(void *arg, int64_t more);
	void		*charge_arg;
};

/*
 * Start with @fd, which is owned from now on (also on failure), and messages
 * of at most @max bytes.  -ENOMEM.
 */
int frame_init(struct frame *frame, int fd, size_t max) swap_must_check;

/* Close the socket and the descriptors not taken; free the buffer. */
void frame_close(struct frame *frame);

/*
 * Wait for one whole message and put it into buf; the one before it and its
 * descriptors go.  Bytes of the next message stay in the socket.
 *
 * @timeout_msec  -1: for ever
 *
 * Errors: -ENODATA the peer closed, between messages; -EPROTO in the middle of
 * one; -EMSGSIZE longer than max; -ECANCELED a watched descriptor became
 * readable; -ETIMEDOUT (call again: half a message is kept); -ENOBUFS, -ENOMEM.
 */
int frame_read(struct frame *frame, int timeout_msec) swap_must_check;

/*
 * Send @text and its NUL, with copies of @nfds descriptors.
 *
 * Errors: -ETIMEDOUT the peer does not read; -ECANCELED; -EPIPE and others
 * that the kernel gives.  After an error the stream is unusable.
 */
int frame_send(struct frame *frame, const char *text, const int *fds,
	       unsigned nfds, int timeout_msec) swap_must_check;

/* The next received descriptor, owned by the caller; -1: no more. */
int frame_take_fd(struct frame *frame);

/* Close the received descriptors that nobody took. */
void frame_drop_fds(struct frame *frame);

/* Has the peer hung up, or a watched descriptor become readable?  At once. */
int frame_gone(const struct frame *frame);

/*
 * Wait until @event_fd is readable (0), the time is over (-ETIMEDOUT), or the
 * peer has gone (-ECANCELED).  @event_fd -1: only the others.
 */
int frame_wait(const struct frame *frame, int event_fd, int64_t timeout_msec)
	swap_must_check;

#endif
