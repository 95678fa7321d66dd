/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Being a daemon.
 *
 * The process that was started waits, on a pipe, until its child serves, so
 * that whoever starts a swapd knows from the exit status whether there is one.
 * Until then messages go to the terminal, from then on to syslog.
 *
 * Locking memory.  A pager whose own pages are swapped out can wait for itself.
 * MCL_ONFAULT locks what is touched, so that address space reserved for maps
 * costs nothing.  With a finite RLIMIT_MEMLOCK, MCL_FUTURE would make later
 * allocations fail instead, which is worse; so then nothing is locked, and the
 * log says so.
 */
#include "daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include "notify.h"
#include "util.h"

void
daemon_say(const char *fmt, ...)
{
	char message[1024];
	va_list args;

	va_start(args, fmt);
	if (vsnprintf(message, sizeof(message), fmt, args) < 0)
		message[0] = '\0';
	va_end(args);
	fprintf(stderr, "swapd: %s\n", message);
}

static int
syslog_priority(enum swap_log_level level)
{
	switch (level) {
	case SWAP_LOG_ERR:
		return LOG_ERR;
	case SWAP_LOG_WARNING:
		return LOG_WARNING;
	case SWAP_LOG_NOTICE:
		return LOG_NOTICE;
	case SWAP_LOG_INFO:
		return LOG_INFO;
	case SWAP_LOG_DEBUG:
		break;
	}
	return LOG_DEBUG;
}

void
daemon_log(void *arg, enum swap_log_level level, const char *message)
{
	const struct daemon *daemon = arg;

	if (daemon->quiet && level > SWAP_LOG_WARNING)
		return;
	if (daemon->use_syslog)
		syslog(syslog_priority(level), "%s", message);
	else if (level < SWAP_LOG_DEBUG)
		daemon_say("%s", message);
}

/* ------------------------------------------------------------- background */

/* The parent: what the child has to say is its exit status. */
static void
wait_ready(int fd, pid_t child)
{
	int status = 0;
	char byte;
	ssize_t n;

	do
		n = read(fd, &byte, 1);
	while (n < 0 && errno == EINTR);
	if (n == 1)
		_exit(EXIT_SUCCESS);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFSIGNALED(status))
		daemon_say("ended by signal %d while starting",
			   WTERMSIG(status));
	_exit(WIFEXITED(status) && WEXITSTATUS(status) != 0
	      ? WEXITSTATUS(status) : EXIT_FAILURE);
}

int
daemon_start(struct daemon *daemon)
{
	int fds[2];
	pid_t child;

	if (daemon->foreground)
		return 0;
	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	child = fork();
	if (child < 0) {
		int r = -errno;

		close(fds[0]);
		close(fds[1]);
		return r;
	}
	if (child > 0) {
		close(fds[1]);
		wait_ready(fds[0], child);
	}
	close(fds[0]);
	daemon->ready_fd = fds[1];
	setsid();
	return chdir("/") < 0 ? -errno : 0;
}

static void
leave_terminal(struct daemon *daemon)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	openlog("swapd", LOG_PID, LOG_DAEMON);
	daemon->use_syslog = true;
	if (null < 0)
		return;
	for (int fd = 0; fd < 3; fd++)
		(void)!dup2(null, fd);
	if (null > 2)
		close(null);
}

void
daemon_ready(struct daemon *daemon)
{
	char text[64];

	format_cut(text, sizeof(text), "READY=1\nMAINPID=%d", (int)getpid());
	notify_manager(text);
	if (daemon->foreground)
		return;
	leave_terminal(daemon);
	(void)!write(daemon->ready_fd, "R", 1);
	close(daemon->ready_fd);
	daemon->ready_fd = -1;
}

void
daemon_stopping(void)
{
	notify_manager("STOPPING=1");
}

/* ----------------------------------------------------------------- limits */

void
daemon_raise_limits(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
}

/* The capability that makes the limit meaningless. */
static bool
has_ipc_lock(void)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &header, data) < 0)
		return false;
	return (data[0].effective & 1u << CAP_IPC_LOCK) != 0;
}

/* May everything be locked, whatever is allocated later? */
static bool
may_lock(struct rlimit *limit)
{
	const struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };

	if (getrlimit(RLIMIT_MEMLOCK, limit) < 0)
		return false;
	return limit->rlim_cur == RLIM_INFINITY || has_ipc_lock() ||
	       setrlimit(RLIMIT_MEMLOCK, &all) == 0;
}

static void
protect_from_killer(void)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	/* Not permitted without CAP_SYS_RESOURCE. */
	(void)!write(fd, "-1000", 5);
	close(fd);
}

void
daemon_lock_memory(struct daemon *daemon)
{
	char message[256], size[32];
	struct rlimit limit = { 0 };

	protect_from_killer();
	if (!may_lock(&limit))
		format_cut(message, sizeof(message), "RLIMIT_MEMLOCK is %s",
			   format_size(limit.rlim_cur, size, sizeof(size)));
	else if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) < 0)
		format_cut(message, sizeof(message), "%s (see RLIMIT_MEMLOCK)",
			   strerror(errno));
	else
		return;
	format_cut(message + strlen(message), sizeof(message) - strlen(message),
		   "; cannot lock swapd's own memory, which may be swapped out "
		   "by the kernel; raise the limit (ulimit -l, or LimitMEMLOCK= "
		   "of its unit) to unlimited");
	daemon_log(daemon, SWAP_LOG_WARNING, message);
}
