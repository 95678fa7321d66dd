/* SPDX-License-Identifier: BSD-2-Clause */
/* threads.h - how threads are started, and wait for a while (floor 0) */
#ifndef SWAP_THREADS_H
#define SWAP_THREADS_H

#include <pthread.h>
#include <stdint.h>

#include "compiler.h"

/*
 * Start a thread that takes no signals.  A program's handler may touch paged
 * memory, and on a thread that pages it would wait for itself.  0 or a
 * negative errno.
 */
int thread_start(pthread_t *ret_thread, void *(*fn)(void *arg), void *arg)
	swap_must_check;

/* A condition that can be waited for until a time of now_usec(). */
void cond_init(pthread_cond_t *cond);
/* As pthread_cond_timedwait(3), for such a one: 0, or ETIMEDOUT. */
int cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock,
		    uint64_t usec);

#endif
