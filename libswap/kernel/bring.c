/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Threads that bring swapped pages back into RAM.
 *
 * swapoff(2) reads page after page and waits for each.  Here several threads
 * ask for a few hundred pages at a time with process_madvise(MADV_WILLNEED),
 * which starts the reads and does not wait: a device has always something to
 * do, and since the batch is in the device's order, it does not seek.  The
 * pages arrive in the swap cache, where swapoff(2), or the process itself,
 * finds them without reading.
 *
 * What WILLNEED does not do (private pages of a mapped file, or a kernel that
 * refuses it) is done by reading a byte of each page through /proc/PID/mem.
 * That waits for each page.
 *
 * B1. A batch and its cursor belong to the lock; a piece that has been taken
 *     belongs to the thread that took it.
 * B2. A batch has ended when its cursor is at the end and no piece is out.
 * B3. No piece is taken without credit.
 *
 * Advice is nothing but advice: a process that has ended, or unmapped its
 * pages, or has them back already, costs one call.  The kernel holds the
 * process's map for reading while it goes through a piece, so pieces are
 * small: a process that wants to map something waits about a millisecond.
 */
#include "kernel/bring.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "threads.h"
#include "util.h"

#ifndef SYS_pidfd_open
#define SYS_pidfd_open		434
#endif
#ifndef SYS_process_madvise
#define SYS_process_madvise	440
#endif

#define PIECE_RUNS	256u
#define PIECE_PAGES	512u

struct piece {
	struct bring_task task;
	bool		touch;
	size_t		nruns;
	uint64_t	npages;
	struct iovec	run[PIECE_RUNS];
};

struct bring {
	pthread_mutex_t	 lock;
	pthread_cond_t	 work;		/* a batch, credit, or the end */
	pthread_cond_t	 rest;		/* the batch may have ended */
	pthread_t	 threads[BRING_THREADS_MAX];
	unsigned	 nthreads;
	uint64_t	 page;
	bool		 ending;
	const struct bring_task *tasks;
	const struct bring_page *pages;
	size_t		 n;
	size_t		 at;		/* the run to take next ... */
	uint32_t	 at_page;	/* ... and the page in it */
	unsigned	 nout;		/* pieces being done */
	uint64_t	 credit;
	_Atomic uint64_t done;
	_Atomic bool	 no_advice;	/* the kernel refuses */
};

int
bring_task_open(const struct host *host, int32_t pid,
		struct bring_task *ret_task)
{
	struct bring_task task = { .pid = pid, .mem = -1 };
	char path[64];
	int r = 0;

	task.pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (task.pidfd < 0 && errno != ENOSYS)
		return errno == EINVAL ? -ESRCH : -errno;
	format_cut(path, sizeof(path), "%d/mem", (int)pid);
	task.mem = openat(host->proc, path, O_RDONLY | O_CLOEXEC);
	if (task.mem < 0)
		r = errno == ENOENT ? -ESRCH : -errno;
	if (r < 0)
		bring_task_close(&task);
	else
		*ret_task = task;
	return r;
}

void
bring_task_close(struct bring_task *task)
{
	if (task->pidfd >= 0)
		close(task->pidfd);
	if (task->mem >= 0)
		close(task->mem);
	task->pidfd = task->mem = -1;
}

/* ------------------------------------------------------------------ pieces */

/* Under the lock. */
static bool
batch_is_over(const struct bring *bring)
{
	return bring->at == bring->n && bring->nout == 0;
}

/* Under the lock: take the next piece, all of one process. */
static void
piece_take(struct bring *bring, struct piece *piece)
{
	const struct bring_page *first = &bring->pages[bring->at], *run;
	uint64_t room, n;

	piece->task = bring->tasks[first->task];
	piece->touch = first->touch;
	piece->nruns = 0;
	piece->npages = 0;
	while (bring->at < bring->n && piece->nruns < PIECE_RUNS &&
	       piece->npages < PIECE_PAGES) {
		run = &bring->pages[bring->at];
		if (run->task != first->task || run->touch != first->touch)
			break;
		room = PIECE_PAGES - piece->npages;
		n = min_u64(run->npages - bring->at_page, room);
		/* An address of another process. */
		piece->run[piece->nruns].iov_base = (void *)(uintptr_t)
			(run->address + bring->at_page * bring->page);
		piece->run[piece->nruns++].iov_len = (size_t)(n * bring->page);
		piece->npages += n;
		bring->at_page += (uint32_t)n;
		if (bring->at_page == run->npages) {
			bring->at++;
			bring->at_page = 0;
		}
	}
	n = piece->npages * bring->page;
	bring->credit -= min_u64(n, bring->credit);
	bring->nout++;
}

/* Bytes advised; -errno if that is none of the first run. */
static ssize_t
advise(const struct bring_task *task, struct iovec *run, size_t n)
{
	long r;

	if (task->pidfd < 0)
		return madvise(run->iov_base, run->iov_len, MADV_WILLNEED) < 0 ?
		       -errno : (ssize_t)run->iov_len;
	r = syscall(SYS_process_madvise, task->pidfd, run, n, MADV_WILLNEED,
		    0);
	return r < 0 ? -errno : r;
}

/* Skip @bytes of runs; what is left of the first one is cut. */
static void
runs_skip(struct iovec **run, size_t *n, size_t bytes)
{
	while (*n > 0 && bytes >= (*run)->iov_len) {
		bytes -= (*run)->iov_len;
		++*run;
		--*n;
	}
	if (*n > 0) {
		(*run)->iov_base = (char *)(*run)->iov_base + bytes;
		(*run)->iov_len -= bytes;
	}
}

/* 0, or -errno where advice is not to be had. */
static int
piece_advise(struct piece *piece)
{
	struct iovec *run = piece->run;
	size_t n = piece->nruns;
	ssize_t r;

	while (n > 0) {
		r = advise(&piece->task, run, n);
		if (r == -EINTR || r == -EAGAIN)
			continue;
		if (r == -ESRCH)
			return 0;
		if (r == -EPERM || r == -ENOSYS || r == -EINVAL)
			return (int)r;
		/* What is unmapped fails for itself alone. */
		runs_skip(&run, &n, r > 0 ? (size_t)r : run->iov_len);
	}
	return 0;
}

static void
piece_touch(const struct piece *piece, uint64_t page)
{
	char byte;

	for (size_t i = 0; i < piece->nruns; i++) {
		uint64_t at = (uint64_t)(uintptr_t)piece->run[i].iov_base;
		uint64_t end = at + piece->run[i].iov_len;

		/* 0: the whole process is gone. */
		for (; at < end; at += page)
			if (pread(piece->task.mem, &byte, 1, (off_t)at) == 0)
				return;
	}
}

static void
piece_do(struct bring *bring, struct piece *piece)
{
	bool touch = piece->touch || atomic_load(&bring->no_advice);
	struct piece copy;

	if (!touch) {
		/* Advice cuts the runs up, and a refusal needs them whole. */
		copy = *piece;
		if (piece_advise(&copy) < 0) {
			atomic_store(&bring->no_advice, true);
			touch = true;
		}
	}
	if (touch)
		piece_touch(piece, bring->page);
	atomic_fetch_add(&bring->done, piece->npages * bring->page);
}

static void *
worker(void *arg)
{
	struct bring *bring = arg;
	struct piece piece;

	pthread_mutex_lock(&bring->lock);
	while (!bring->ending) {
		if (bring->at == bring->n || bring->credit == 0) {
			pthread_cond_wait(&bring->work, &bring->lock);
			continue;
		}
		piece_take(bring, &piece);
		pthread_mutex_unlock(&bring->lock);
		piece_do(bring, &piece);
		pthread_mutex_lock(&bring->lock);
		bring->nout--;
		if (batch_is_over(bring))
			pthread_cond_signal(&bring->rest);
	}
	pthread_mutex_unlock(&bring->lock);
	return NULL;
}

/* -------------------------------------------------------------- from outside */

int
bring_open(unsigned nthreads, struct bring **ret_bring)
{
	struct bring *bring = calloc(1, sizeof(*bring));
	int r = 0;

	assert(nthreads > 0 && nthreads <= BRING_THREADS_MAX);
	if (bring == NULL)
		return -ENOMEM;
	bring->page = page_bytes();
	pthread_mutex_init(&bring->lock, NULL);
	pthread_cond_init(&bring->work, NULL);
	cond_init(&bring->rest);
	while (bring->nthreads < nthreads && r == 0) {
		r = pthread_create(&bring->threads[bring->nthreads], NULL,
				   worker, bring);
		bring->nthreads += r == 0;
	}
	/* Fewer are slower, and enough. */
	if (bring->nthreads == 0) {
		bring_close(bring);
		return -r;
	}
	*ret_bring = bring;
	return 0;
}

void
bring_close(struct bring *bring)
{
	pthread_mutex_lock(&bring->lock);
	bring->ending = true;
	pthread_cond_broadcast(&bring->work);
	pthread_mutex_unlock(&bring->lock);
	for (unsigned i = 0; i < bring->nthreads; i++)
		pthread_join(bring->threads[i], NULL);
	pthread_cond_destroy(&bring->work);
	pthread_cond_destroy(&bring->rest);
	pthread_mutex_destroy(&bring->lock);
	free(bring);
}

void
bring_batch(struct bring *bring, const struct bring_task *tasks,
	    const struct bring_page *pages, size_t n)
{
	pthread_mutex_lock(&bring->lock);
	assert(batch_is_over(bring));
	bring->tasks = tasks;
	bring->pages = pages;
	bring->n = n;
	bring->at = 0;
	bring->at_page = 0;
	pthread_cond_broadcast(&bring->work);
	pthread_mutex_unlock(&bring->lock);
}

void
bring_credit(struct bring *bring, uint64_t bytes)
{
	pthread_mutex_lock(&bring->lock);
	bring->credit = bytes;
	if (bytes > 0)
		pthread_cond_broadcast(&bring->work);
	pthread_mutex_unlock(&bring->lock);
}

void
bring_skip(struct bring *bring)
{
	pthread_mutex_lock(&bring->lock);
	bring->at = bring->n;
	pthread_mutex_unlock(&bring->lock);
}

bool
bring_wait(struct bring *bring, unsigned msec)
{
	uint64_t until = now_usec() + UINT64_C(1000) * msec;
	bool over;

	pthread_mutex_lock(&bring->lock);
	while (!batch_is_over(bring) &&
	       cond_wait_until(&bring->rest, &bring->lock, until) == 0)
		;
	over = batch_is_over(bring);
	pthread_mutex_unlock(&bring->lock);
	return over;
}

uint64_t
bring_done(struct bring *bring)
{
	return atomic_load(&bring->done);
}
