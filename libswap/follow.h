/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * follow.h - being on the core of another thread, without taking it from
 * anybody (floor 1)
 *
 * A thread with policy SCHED_IDLE runs only where nobody else wants to.  The
 * scheduler regards a core that runs nothing else as idle, so a thread that is
 * woken from there starts there, at once, instead of waking another core.
 */
#ifndef SWAP_FOLLOW_H
#define SWAP_FOLLOW_H

#include <sched.h>
#include <stdbool.h>
#include <sys/types.h>

#include "compiler.h"

/* What the process had when it was looked at. */
struct follow {
	bool		 able;		/* more than one core, and all of the
					   below is allowed */
	int		 policy;	/* of normal life */
	cpu_set_t	 cpus;
};

/*
 * Look whether a thread may become SCHED_IDLE and come back from there (which
 * takes CAP_SYS_NICE or RLIMIT_NICE), and bind itself to a core.  Tries it on a
 * thread of its own.
 */
void follow_init(struct follow *follow);

/* A thread of this process by its id, 0 for the calling one: 0 or -errno. */
int follow_set_idle(const struct follow *follow, pid_t tid, bool idle);
/*
 * The calling thread's transfers keep the priority of normal life when it is
 * SCHED_IDLE.  Else the kernel lets them wait for everybody else's.
 */
void follow_keep_io_priority(void);
/* To one core; @cpu -1: to all that there were. */
int follow_bind(const struct follow *follow, pid_t tid, int cpu);
/* To all that there were but one; @cpu -1: to all. */
int follow_avoid(const struct follow *follow, pid_t tid, int cpu);

/*
 * Where a thread of any process ran last.  *fd is kept open from call to call,
 * for the thread *of; it is -1 at first, and the caller closes it.  -1: unknown.
 */
int follow_cpu_of(pid_t tid, int *fd, pid_t *of);

#endif
