/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * daemon.h - what makes a process a daemon: background, readiness, log,
 * locked memory (floor 8)
 */
#ifndef SWAP_DAEMON_H
#define SWAP_DAEMON_H

#include <stdbool.h>
#include <sys/types.h>

#include "compiler.h"
#include "swap.h"

/* "swapd: ..." on stderr. */
void daemon_say(const char *fmt, ...) swap_printf(1, 2);

/* A swap_log_fn; messages go to stderr, after daemon_ready() to syslog. */
struct daemon {
	bool	foreground;
	bool	quiet;		/* nothing below a warning */
	_Atomic bool use_syslog;	
	int	ready_fd;	/* to the parent that waits; -1: none */
};
void daemon_log(void *arg, enum swap_log_level level, const char *message);

/*
 * Go to the background, unless @daemon says foreground.  Returns in the child;
 * the parent waits for daemon_ready() and exits 0, or 1 if the child ends
 * before that.  Must come before any thread.  -errno.
 */
int daemon_start(struct daemon *daemon) swap_must_check;

/* All is set up: tell the parent, and the service manager (sd_notify(3)). */
void daemon_ready(struct daemon *daemon);
void daemon_stopping(void);

/*
 * As many descriptors as allowed; never swapped out itself; the last one to be
 * killed when memory is out.  What is not permitted is logged, if it matters.
 */
void daemon_raise_limits(void);
void daemon_lock_memory(struct daemon *daemon);

#endif
