/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Transfers that go on while their thread does something else.
 *
 * This is what both backends have in common: a transfer that is done only in
 * part is continued, one that was interrupted is repeated, and what is more
 * than the backend shall do at once waits in a queue.  Nothing here is shared
 * between threads, so nothing is locked.
 *
 *	A1  The backend has at most depth transfers; the queue is empty while it
 *	    has fewer.
 *	A2  done() is called once for each transfer, and aio.c does not touch it
 *	    afterwards.
 *	A3  Whatever aio.c itself pushes while it reaps, it also submits.
 *
 * io_uring is used where the kernel lets us: it may lack it, have it turned off
 * (kernel.io_uring_disabled), or a seccomp filter may refuse it, as container
 * engines do.  Then threads do the work.
 *
 * Files and memory are not registered with the ring.  Registered memory is
 * pinned, all of it, and each ring would have to follow the cache's size.  It
 * saves about 4 us of CPU in a transfer of 32 pages, and nothing that could be
 * measured in one of a single page; nor do registered files.
 */
#include "aio-impl.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>

/* The most that a ring or a set of threads is made for. */
#define DEPTH_MAX	4096u
/* So often EAGAIN is taken for a passing shortage. */
#define TRIES		1000u
#define SECOND		1000000u

int
aio_create(bool uring, unsigned depth, struct aio **ret_aio)
{
	struct aio *aio;
	int rc = -ENOSYS;

	if (depth == 0)
		depth = 1;
	if (depth > DEPTH_MAX)
		depth = DEPTH_MAX;
	if (uring)
		rc = aio_uring_create(depth, &aio);
	if (rc < 0)
		rc = aio_threads_create(depth, &aio);
	if (rc < 0)
		return rc;
	aio->depth = depth;
	aio->last = &aio->first;
	*ret_aio = aio;
	return 0;
}

void
aio_destroy(struct aio *aio)
{
	while (aio->inflight > 0)
		aio_wait(aio, SECOND);
	aio->backend->destroy(aio);
}

enum aio_kind
aio_kind(const struct aio *aio)
{
	return aio->backend->kind;
}

int
aio_fd(const struct aio *aio)
{
	return aio->backend->fd(aio);
}

unsigned
aio_inflight(const struct aio *aio)
{
	return aio->inflight;
}

static void
push(struct aio *aio, struct aio_request *request)
{
	aio->running++;
	aio->backend->push(aio, request);
}

void
aio_start(struct aio *aio, struct aio_request *request)
{
	assert(request->sync || request->len > 0);
	request->next = NULL;
	request->moved = 0;
	request->tries = 0;
	aio->inflight++;
	if (aio->running < aio->depth) {
		push(aio, request);
		return;
	}
	*aio->last = request;
	aio->last = &request->next;
}

void
aio_submit(struct aio *aio)
{
	aio->backend->submit(aio);
}

/*
 * Is it over?  Fills in its rc.  A transfer of no bytes is past the end of
 * something that has shrunk.
 */
static bool
is_over(struct aio_request *request, int64_t res)
{
	if (res == -EINTR || (res == -EAGAIN && ++request->tries < TRIES))
		return false;
	request->rc = res < 0 ? (int)res : 0;
	if (res < 0 || request->sync)
		return true;
	if (res == 0)
		request->rc = -EIO;
	request->moved += (size_t)res;
	return res == 0 || request->moved >= request->len;
}

/* The backend has room: it gets the one that has waited longest. */
static void
push_waiting(struct aio *aio)
{
	struct aio_request *request = aio->first;

	if (request == NULL)
		return;
	aio->first = request->next;
	if (aio->first == NULL)
		aio->last = &aio->first;
	aio->pushed = true;
	push(aio, request);
}

void
aio_ended(struct aio *aio, struct aio_request *request, int64_t res)
{
	aio->running--;
	if (!is_over(request, res)) {
		aio->pushed = true;
		push(aio, request);
		return;
	}
	aio->inflight--;
	aio->nended++;
	push_waiting(aio);
	request->done(request, request->rc);
}

unsigned
aio_reap(struct aio *aio)
{
	if (aio->running == 0)
		return 0;
	aio->nended = 0;
	aio->pushed = false;
	aio->backend->reap(aio);
	if (aio->pushed)
		aio->backend->submit(aio);
	return aio->nended;
}

unsigned
aio_wait(struct aio *aio, uint64_t usec)
{
	if (aio->running == 0)
		return 0;
	aio->backend->wait(aio, usec);
	return aio_reap(aio);
}
