/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Threads of the library.
 *
 * A new thread inherits the signal mask, so signals are blocked around its
 * creation: there is no moment at which one could be delivered to it.
 */
#include "threads.h"

#include <signal.h>
#include <stddef.h>
#include <time.h>

int
thread_start(pthread_t *ret_thread, void *(*fn)(void *arg), void *arg)
{
	sigset_t all, old;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = -pthread_create(ret_thread, NULL, fn, arg);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return rc;
}

void
cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(cond, &attr);
	pthread_condattr_destroy(&attr);
}

int
cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t usec)
{
	struct timespec until = {
		.tv_sec = (time_t)(usec / 1000000),
		.tv_nsec = (long)(usec % 1000000) * 1000,
	};

	return pthread_cond_timedwait(cond, lock, &until);
}
