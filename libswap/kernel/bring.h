/* SPDX-License-Identifier: BSD-2-Clause */
/* bring.h - threads that bring swapped pages back into RAM (floor 7) */
#ifndef SWAP_KERNEL_BRING_H
#define SWAP_KERNEL_BRING_H

#include "kernel/host.h"

#define BRING_THREADS_MAX	16u

/* A process whose pages come back; its descriptors stay its own. */
struct bring_task {
	int32_t		pid;
	int		pidfd;		/* -1: this process itself */
	int		mem;		/* /proc/PID/mem */
};

/* -ESRCH it has ended, or whatever opening gives. */
int bring_task_open(const struct host *host, int32_t pid,
		    struct bring_task *ret_task);
void bring_task_close(struct bring_task *task);

struct bring_page {
	uint64_t	slot;
	uint64_t	address;
	uint32_t	npages;
	uint32_t	task;		/* index */
	bool		touch;		/* read from, not advise */
};

struct bring;

/* Start @nthreads, 1..BRING_THREADS_MAX.  -EAGAIN, -ENOMEM. */
int bring_open(unsigned nthreads, struct bring **ret_bring);

/* End the threads; what is left of a batch is left. */
void bring_close(struct bring *bring);

/*
 * Give them a batch, in the order in which it is to be done; the last one must
 * have ended.  Nothing happens before there is credit.
 */
void bring_batch(struct bring *bring, const struct bring_task *tasks,
		 const struct bring_page *pages, size_t n);

/* What may be brought from now on, in bytes, in place of the last credit. */
void bring_credit(struct bring *bring, uint64_t bytes);

/* Leave the rest of the batch out. */
void bring_skip(struct bring *bring);

/* Wait until the batch has ended, or for @msec; has it ended? */
bool bring_wait(struct bring *bring, unsigned msec);

/* Bytes asked for so far, all batches together. */
uint64_t bring_done(struct bring *bring);

#endif
