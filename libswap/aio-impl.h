/* SPDX-License-Identifier: BSD-2-Clause */
/* aio-impl.h - what aio.c and its two backends share (floor 2) */
#ifndef SWAP_AIO_IMPL_H
#define SWAP_AIO_IMPL_H

#include "aio.h"

/* What a backend does; one const instance each.  Of the owner's thread. */
struct aio_backend {
	enum aio_kind kind;
	/* One transfer more; never more than aio->depth are with it. */
	void (*push)(struct aio *aio, struct aio_request *request);
	void (*submit)(struct aio *aio);
	/* Call aio_ended() for what has ended. */
	void (*reap)(struct aio *aio);
	/* Wait for at least one to have ended, at most @usec; do not reap. */
	void (*wait)(struct aio *aio, uint64_t usec);
	int (*fd)(const struct aio *aio);
	void (*destroy)(struct aio *aio);
};

struct aio {
	const struct aio_backend *backend;
	unsigned	 depth;		/* most that the backend has at once */
	unsigned	 running;	/* that it has */
	unsigned	 inflight;	/* these, and those that wait */
	unsigned	 nended;	/* in this reap */
	bool		 pushed;	/* by aio.c itself, in this reap */
	struct aio_request *first, **last; /* that wait for the backend */
};

/* @depth is set by aio.c; the backend fills in the rest that is its own. */
int aio_uring_create(unsigned depth, struct aio **ret_aio) swap_must_check;
int aio_threads_create(unsigned depth, struct aio **ret_aio) swap_must_check;

/* The backend is through with one: @res bytes, or a negative errno. */
void aio_ended(struct aio *aio, struct aio_request *request, int64_t res);

#endif
