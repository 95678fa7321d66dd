/* SPDX-License-Identifier: BSD-2-Clause */
/* threads.h - how the library starts its threads (floor 0) */
#ifndef SWAP_THREADS_H
#define SWAP_THREADS_H

#include <pthread.h>

#include "compiler.h"

/*
 * Start a thread that takes no signals.  A program's handler may touch paged
 * memory, and on a thread that pages it would wait for itself.  0 or a
 * negative errno.
 */
int thread_start(pthread_t *ret_thread, void *(*fn)(void *arg), void *arg)
	swap_must_check;

#endif
