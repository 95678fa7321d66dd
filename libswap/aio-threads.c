/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Transfers by threads, where io_uring is not to be had.
 *
 * Each set has threads of its own, started as they are needed and kept.  What
 * has ended goes onto a stack that takes one atomic exchange to add to or to
 * empty, so that looking whether something has ended costs one load; an
 * eventfd wakes the owner.
 *
 *	T1  The eventfd is written after something was added to an empty stack,
 *	    and read before the stack is emptied: while the stack has something,
 *	    the eventfd is readable or will be at once.
 *	T2  As long as there are fewer threads than may be, a transfer that no
 *	    idle thread takes gets a new one.
 *
 * Cost: two switches of threads a transfer.
 */
#include "aio-impl.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "threads.h"
#include "util.h"

#define THREADS_MAX	32u
#define USEC_PER_MSEC	1000u

struct aio_threads {
	struct aio	 aio;		/* first */
	int		 event;		/* constant */
	unsigned	 most;		/* constant: threads */
	_Atomic(struct aio_request *) ended;
	pthread_mutex_t	 lock;
	pthread_cond_t	 work;
	struct aio_request *first, **last; /* (lock) to do */
	unsigned	 ntodo;		/* (lock) of these */
	unsigned	 nidle;		/* (lock) threads that wait for work */
	bool		 quit;		/* (lock) */
	unsigned	 nthreads;	/* of the owner */
	pthread_t	 thread[THREADS_MAX];
};

static struct aio_threads *
of_aio(struct aio *aio)
{
	return (struct aio_threads *)aio;
}

/* ------------------------------------------------------------- the threads */

/* The next one to do; NULL: the end. */
static struct aio_request *
next_todo(struct aio_threads *t)
{
	struct aio_request *request;

	pthread_mutex_lock(&t->lock);
	t->nidle++;
	while (t->first == NULL && !t->quit)
		pthread_cond_wait(&t->work, &t->lock);
	t->nidle--;
	request = t->first;
	if (request != NULL) {
		t->first = request->next;
		if (t->first == NULL)
			t->last = &t->first;
		t->ntodo--;
	}
	pthread_mutex_unlock(&t->lock);
	return request;
}

static int
transfer(const struct aio_request *request)
{
	if (request->sync)
		return fdatasync(request->fd) < 0 ? -errno : 0;
	if (request->write)
		return pwrite_full(request->fd, request->buf, request->len,
				   request->offset);
	return pread_full(request->fd, request->buf, request->len,
			  request->offset);
}

static void
add_ended(struct aio_threads *t, struct aio_request *request)
{
	struct aio_request *head = atomic_load(&t->ended);
	uint64_t one = 1;

	do {
		request->next = head;
	} while (!atomic_compare_exchange_weak(&t->ended, &head, request));
	/* It cannot be full, and nothing else can go wrong with it. */
	if (head == NULL && write(t->event, &one, sizeof(one)) < 0)
		abort();
}

static void *
worker(void *arg)
{
	struct aio_threads *t = arg;
	struct aio_request *request;

	while ((request = next_todo(t)) != NULL) {
		request->rc = transfer(request);
		add_ended(t, request);
	}
	return NULL;
}

/* --------------------------------------------------------------- the owner */

static int
start_thread(struct aio_threads *t)
{
	int rc = thread_start(&t->thread[t->nthreads], worker, t);

	if (rc == 0)
		t->nthreads++;
	return rc;
}

static void
threads_push(struct aio *aio, struct aio_request *request)
{
	struct aio_threads *t = of_aio(aio);
	bool more;

	request->next = NULL;
	pthread_mutex_lock(&t->lock);
	*t->last = request;
	t->last = &request->next;
	t->ntodo++;
	more = t->ntodo > t->nidle && t->nthreads < t->most;
	pthread_cond_signal(&t->work);
	pthread_mutex_unlock(&t->lock);
	/* Without another one it takes longer, but it gets done. */
	if (more)
		(void)start_thread(t);
}

/* There is nothing that they have not heard of. */
static void
threads_submit(struct aio *aio)
{
	(void)aio;
}

static void
threads_reap(struct aio *aio)
{
	struct aio_threads *t = of_aio(aio);
	struct aio_request *request, *next, *list = NULL;
	uint64_t count;

	if (atomic_load(&t->ended) == NULL)
		return;
	/* Empty where who added to the stack has not written yet. */
	if (read(t->event, &count, sizeof(count)) < 0 && errno != EAGAIN)
		abort();
	request = atomic_exchange(&t->ended, NULL);
	for (; request != NULL; request = next) {
		next = request->next;
		request->next = list;
		list = request;
	}
	for (request = list; request != NULL; request = next) {
		next = request->next;
		aio_ended(aio, request, request->rc < 0 ? request->rc :
			  (int64_t)request->len);
	}
}

static void
threads_wait(struct aio *aio, uint64_t usec)
{
	struct aio_threads *t = of_aio(aio);
	struct pollfd pfd = { .fd = t->event, .events = POLLIN };
	uint64_t msec = min_u64((usec + USEC_PER_MSEC - 1) / USEC_PER_MSEC,
				3600000);

	if (atomic_load(&t->ended) == NULL)
		(void)poll(&pfd, 1, (int)msec);
}

static int
threads_fd(const struct aio *aio)
{
	return ((const struct aio_threads *)aio)->event;
}

static void
threads_destroy(struct aio *aio)
{
	struct aio_threads *t = of_aio(aio);

	pthread_mutex_lock(&t->lock);
	t->quit = true;
	pthread_cond_broadcast(&t->work);
	pthread_mutex_unlock(&t->lock);
	for (unsigned i = 0; i < t->nthreads; i++)
		pthread_join(t->thread[i], NULL);
	pthread_cond_destroy(&t->work);
	pthread_mutex_destroy(&t->lock);
	close(t->event);
	free(t);
}

static const struct aio_backend threads = {
	.kind = AIO_THREADS,
	.push = threads_push,
	.submit = threads_submit,
	.reap = threads_reap,
	.wait = threads_wait,
	.fd = threads_fd,
	.destroy = threads_destroy,
};

int
aio_threads_create(unsigned depth, struct aio **ret_aio)
{
	struct aio_threads *t = calloc(1, sizeof(*t));
	int rc;

	if (t == NULL)
		return -ENOMEM;
	t->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (t->event < 0) {
		rc = -errno;
		free(t);
		return rc;
	}
	t->aio.backend = &threads;
	t->most = depth < THREADS_MAX ? depth : THREADS_MAX;
	t->last = &t->first;
	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->work, NULL);
	rc = start_thread(t);
	if (rc < 0) {
		threads_destroy(&t->aio);
		return rc;
	}
	*ret_aio = &t->aio;
	return 0;
}
