/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Transfers by io_uring.
 *
 * The ring is made for one thread (IORING_SETUP_SINGLE_ISSUER).  What the
 * kernel has to do for a completion it does when this thread enters it anyway
 * (IORING_SETUP_COOP_TASKRUN): no interrupt between processors stops a thread
 * that is looking by itself.  Until then the kernel says in the ring's memory
 * that there is something to do (IORING_SETUP_TASKRUN_FLAG), so looking costs
 * two loads, and entering the kernel happens only where it has something.  A
 * thread that sleeps in epoll_wait(2) is woken: either the ring's descriptor is
 * readable, or the call is interrupted (EINTR) and it will be.  With
 * IORING_SETUP_DEFER_TASKRUN, meant for the same, it would not be woken at all
 * (Linux 6.18), and gained nothing that could be measured.
 *
 * The ring starts disabled, and belongs to the thread that enables it by its
 * first transfer.  A kernel that does not know all of this gets a plain ring.
 *
 *	U1  A transfer has one entry in the submission queue, and one in the
 *	    completion queue.  At most depth are with us, and the queues hold
 *	    depth and twice that: neither can overflow.
 *	U2  Once enabled, only the thread that enabled it enters the kernel.
 *
 * Costs: a system call for all that is submitted together, and at most one for
 * what is reaped together.
 */
#include "aio-impl.h"

#include <assert.h>
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NSEC_PER_USEC	1000u
#define USEC_PER_SEC	1000000u

struct aio_uring {
	struct aio	 aio;		/* first */
	struct io_uring	 ring;
	bool		 disabled;	/* until the first transfer */
};

static struct aio_uring *
of_aio(struct aio *aio)
{
	return (struct aio_uring *)aio;
}

/*
 * The ring belongs to this thread from now on.  (liburing 2.3 declares, but
 * does not export, io_uring_enable_rings().)
 */
static void
enable(struct aio_uring *u)
{
	int rc = io_uring_register((unsigned)u->ring.ring_fd,
				   IORING_REGISTER_ENABLE_RINGS, NULL, 0);

	assert(rc == 0);
	(void)rc;
	u->disabled = false;
	/* Saves a look-up in the table of files with each call, or does not. */
	(void)io_uring_register_ring_fd(&u->ring);
}

static void
uring_push(struct aio *aio, struct aio_request *request)
{
	struct aio_uring *u = of_aio(aio);
	struct io_uring_sqe *sqe;
	char *buf = (char *)request->buf + request->moved;
	unsigned len = (unsigned)(request->len - request->moved);
	uint64_t offset = (uint64_t)request->offset + request->moved;

	if (u->disabled)
		enable(u);
	sqe = io_uring_get_sqe(&u->ring);
	assert(sqe != NULL);
	if (request->sync)
		io_uring_prep_fsync(sqe, request->fd, IORING_FSYNC_DATASYNC);
	else if (request->write)
		io_uring_prep_write(sqe, request->fd, buf, len, offset);
	else
		io_uring_prep_read(sqe, request->fd, buf, len, offset);
	io_uring_sqe_set_data(sqe, request);
}

static void
nap(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 100000 }, NULL);
}

/* It fails only where the kernel is short of memory: then it has to wait. */
static void
uring_submit(struct aio *aio)
{
	struct aio_uring *u = of_aio(aio);

	while (io_uring_sq_ready(&u->ring) > 0) {
		int rc = io_uring_submit(&u->ring);

		/* It would be another thread's. */
		assert(rc != -EEXIST);
		if (rc < 0 && rc != -EINTR)
			nap();
	}
}

static void
uring_reap(struct aio *aio)
{
	struct aio_uring *u = of_aio(aio);
	unsigned n = io_uring_cq_ready(&u->ring);

	if (n == 0) {
		if ((IO_URING_READ_ONCE(*u->ring.sq.kflags) &
		     IORING_SQ_TASKRUN) == 0)
			return;
		(void)io_uring_get_events(&u->ring);
		n = io_uring_cq_ready(&u->ring);
	}
	for (; n > 0; n--) {
		struct io_uring_cqe *cqe;
		struct aio_request *request;
		int res;

		if (io_uring_peek_cqe(&u->ring, &cqe) < 0)
			return;
		request = io_uring_cqe_get_data(cqe);
		res = cqe->res;
		io_uring_cqe_seen(&u->ring, cqe);
		aio_ended(aio, request, res);
	}
}

static void
uring_wait(struct aio *aio, uint64_t usec)
{
	struct aio_uring *u = of_aio(aio);
	struct io_uring_cqe *cqe;
	struct __kernel_timespec ts = {
		.tv_sec = (long long)(usec / USEC_PER_SEC),
		.tv_nsec = (long long)(usec % USEC_PER_SEC * NSEC_PER_USEC),
	};

	if (io_uring_cq_ready(&u->ring) > 0) {
		uring_submit(aio);
		return;
	}
	/* What was not submitted, for want of memory, comes next time. */
	if (io_uring_submit_and_wait_timeout(&u->ring, &cqe, 1, &ts,
					     NULL) < 0 &&
	    io_uring_sq_ready(&u->ring) > 0)
		nap();
}

static int
uring_fd(const struct aio *aio)
{
	return ((const struct aio_uring *)aio)->ring.ring_fd;
}

static void
uring_destroy(struct aio *aio)
{
	struct aio_uring *u = of_aio(aio);

	io_uring_queue_exit(&u->ring);
	free(u);
}

static const struct aio_backend uring = {
	.kind = AIO_URING,
	.push = uring_push,
	.submit = uring_submit,
	.reap = uring_reap,
	.wait = uring_wait,
	.fd = uring_fd,
	.destroy = uring_destroy,
};

/* May we use it, and has it all that we need?  A filter may refuse any call. */
static int
check(struct aio_uring *u)
{
	struct io_uring_probe *probe;
	bool ok;
	int rc;

	if ((u->ring.features & IORING_FEAT_EXT_ARG) == 0)
		return -ENOSYS;
	probe = io_uring_get_probe_ring(&u->ring);
	if (probe == NULL)
		return -EPERM;
	ok = io_uring_opcode_supported(probe, IORING_OP_READ) &&
	     io_uring_opcode_supported(probe, IORING_OP_WRITE) &&
	     io_uring_opcode_supported(probe, IORING_OP_FSYNC);
	io_uring_free_probe(probe);
	if (!ok)
		return -ENOSYS;
	/* On a disabled ring the kernel answers that it is disabled. */
	rc = io_uring_enter((unsigned)u->ring.ring_fd, 0, 0, 0, NULL);
	return rc == 0 || rc == -EBADFD ? 0 : -EPERM;
}

static int
ring_init(struct aio_uring *u, unsigned depth)
{
	int rc = io_uring_queue_init(depth, &u->ring,
				     IORING_SETUP_R_DISABLED |
				     IORING_SETUP_SINGLE_ISSUER |
				     IORING_SETUP_COOP_TASKRUN |
				     IORING_SETUP_TASKRUN_FLAG);

	u->disabled = rc == 0;
	return rc == -EINVAL ? io_uring_queue_init(depth, &u->ring, 0) : rc;
}

int
aio_uring_create(unsigned depth, struct aio **ret_aio)
{
	struct aio_uring *u = calloc(1, sizeof(*u));
	int rc;

	if (u == NULL)
		return -ENOMEM;
	u->aio.backend = &uring;
	rc = ring_init(u, depth);
	if (rc < 0) {
		free(u);
		return rc;
	}
	rc = check(u);
	if (rc < 0) {
		uring_destroy(&u->aio);
		return rc;
	}
	*ret_aio = &u->aio;
	return 0;
}
