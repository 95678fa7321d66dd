/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Following a thread.
 *
 * Field 39 of /proc/TID/stat is the core on which a thread ran last
 * (proc_pid_stat(5)): for one that waits in a page fault, where it faulted.
 * The number may be of another pid namespace, and so of a wrong thread or of
 * none: then the guess is bad, and nothing else.
 *
 * Costs: a policy or a binding is a system call of less than a microsecond,
 * unless the thread has to move; reading the core takes some microseconds.
 */
#include "follow.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/ioprio.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "threads.h"
#include "util.h"

#define STAT_CORE	39	/* the field */

int
follow_set_idle(const struct follow *follow, pid_t tid, bool idle)
{
	struct sched_param none = { .sched_priority = 0 };

	return sched_setscheduler(tid, idle ? SCHED_IDLE : follow->policy,
				  &none) < 0 ? -errno : 0;
}

void
follow_keep_io_priority(void)
{
	int now = (int)syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, 0);
	int level = (getpriority(PRIO_PROCESS, 0) + 20) / 5;

	/* One that somebody has chosen stays in any case. */
	if (now >= 0 && IOPRIO_PRIO_CLASS(now) == IOPRIO_CLASS_NONE)
		(void)syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0,
			      IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, level));
}

static int
set_cpus(pid_t tid, const cpu_set_t *cpus)
{
	return sched_setaffinity(tid, sizeof(*cpus), cpus) < 0 ? -errno : 0;
}

int
follow_bind(const struct follow *follow, pid_t tid, int cpu)
{
	cpu_set_t one;

	if (cpu < 0)
		return set_cpus(tid, &follow->cpus);
	if (cpu >= CPU_SETSIZE || !CPU_ISSET((unsigned)cpu, &follow->cpus))
		return -EINVAL;
	CPU_ZERO(&one);
	CPU_SET((unsigned)cpu, &one);
	return set_cpus(tid, &one);
}

int
follow_avoid(const struct follow *follow, pid_t tid, int cpu)
{
	cpu_set_t others = follow->cpus;

	if (cpu >= 0 && cpu < CPU_SETSIZE)
		CPU_CLR((unsigned)cpu, &others);
	return set_cpus(tid, &others);
}

static void *
try_main(void *arg)
{
	struct follow *follow = arg;
	int cpu = sched_getcpu();

	follow->able = cpu >= 0 && follow_set_idle(follow, 0, true) == 0 &&
		       follow_set_idle(follow, 0, false) == 0 &&
		       follow_bind(follow, 0, cpu) == 0 &&
		       follow_bind(follow, 0, -1) == 0;
	return NULL;
}

void
follow_init(struct follow *follow)
{
	pthread_t thread;

	memset(follow, 0, sizeof(*follow));
	follow->policy = sched_getscheduler(0);
	if (follow->policy != SCHED_OTHER && follow->policy != SCHED_BATCH)
		return;
	/* More cores than the set has room for: this is not for us. */
	if (sched_getaffinity(0, sizeof(follow->cpus), &follow->cpus) < 0 ||
	    CPU_COUNT(&follow->cpus) < 2)
		return;
	if (thread_start(&thread, try_main, follow) == 0)
		pthread_join(thread, NULL);
}

/* The number in field STAT_CORE; the name in field 2 may have anything. */
static int
parse_core(const char *text)
{
	const char *at = strrchr(text, ')');

	for (unsigned field = 2; at != NULL && field < STAT_CORE; field++) {
		at = strchr(at, ' ');
		at = at != NULL ? at + 1 : NULL;
	}
	return at != NULL && *at >= '0' && *at <= '9' ? atoi(at) : -1;
}

int
follow_cpu_of(pid_t tid, int *fd, pid_t *of)
{
	char path[64], text[1024];
	ssize_t n;

	if (*fd >= 0 && *of != tid) {
		close(*fd);
		*fd = -1;
	}
	if (*fd < 0) {
		format_cut(path, sizeof(path), "/proc/%d/task/%d/stat",
			   (int)tid, (int)tid);
		*fd = open(path, O_RDONLY | O_CLOEXEC);
		*of = tid;
	}
	if (*fd < 0)
		return -1;
	n = pread(*fd, text, sizeof(text) - 1, 0);
	if (n <= 0) {
		close(*fd);
		*fd = -1;
		return -1;
	}
	text[n] = '\0';
	return parse_core(text);
}
