/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * aio.h - transfers that go on while their thread does something else
 * (floor 2)
 *
 * An aio belongs to one thread: only that thread may call any of these
 * functions on it, and done() is called by that thread, from aio_reap() or
 * aio_wait().  Behind it is an io_uring, or where that is not allowed a few
 * threads with pread(2) and pwrite(2); the same code above.
 */
#ifndef SWAP_AIO_H
#define SWAP_AIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "compiler.h"

struct aio;

/* A transfer.  The caller's memory; left alone until done() is called. */
struct aio_request {
	int		 fd;
	bool		 write;
	bool		 sync;		/* no transfer but an fdatasync(2) */
	void		*buf;
	size_t		 len;		/* bytes, not 0; below 2 GiB */
	off_t		 offset;
	/*
	 * 0: all of it; else a negative errno.  May start other transfers, but
	 * neither reap nor wait.
	 */
	void		(*done)(struct aio_request *request, int rc);
	/* Private to aio*.c from here on. */
	struct aio_request *next;
	size_t		 moved;		/* a short transfer is continued */
	unsigned	 tries;
	int		 rc;
};

enum aio_kind {
	AIO_URING,
	AIO_THREADS,
};

/*
 * The thread that starts the first transfer is the one that it belongs to.
 *
 * @uring  false: threads in any case
 * @depth  transfers in flight that it should do at once; more may be started,
 *	   and wait their turn
 * -ENOMEM, -EAGAIN no thread.
 */
int aio_create(bool uring, unsigned depth, struct aio **ret_aio)
	swap_must_check;
/* Waits until nothing is in flight.  Where nothing is, any thread may do it. */
void aio_destroy(struct aio *aio);
enum aio_kind aio_kind(const struct aio *aio);

/* Start one.  The kernel may hear of it only at aio_submit(). */
void aio_start(struct aio *aio, struct aio_request *request);
void aio_submit(struct aio *aio);
/*
 * Call done() of what has ended; never waits.  How many.  While nothing has
 * ended it costs a few loads and no system call.
 */
unsigned aio_reap(struct aio *aio);
/*
 * Submit, then wait for at least one to end, at most @usec; as aio_reap().  At
 * once where nothing is in flight, and maybe early, with 0, after a signal.
 */
unsigned aio_wait(struct aio *aio, uint64_t usec);
/*
 * Readable (epoll, level-triggered) while something has ended and not been
 * reaped.  To the owner, waiting for it can end with EINTR: reap then, too.
 */
int aio_fd(const struct aio *aio);
unsigned aio_inflight(const struct aio *aio);

#endif
