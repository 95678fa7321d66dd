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
