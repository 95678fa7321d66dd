/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ctrl-C as something to read.
 *
 * An operation that can be stopped cleanly takes the first interrupt as a
 * descriptor that becomes readable, and stops; from then on another one ends
 * the program the ordinary way, should stopping be stuck.
 */
#include "interrupt.h"

#include <signal.h>
#include <stddef.h>
#include <sys/signalfd.h>
#include <unistd.h>

void
interrupt_block(const struct interrupt *interrupt, bool block)
{
	sigset_t set;

	if (interrupt->fd < 0 || interrupt->taken)
		return;
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	pthread_sigmask(block ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
}

void
interrupt_watch(struct interrupt *interrupt)
{
	struct sigaction action;
	sigset_t set;

	interrupt->fd = -1;
	interrupt->taken = false;
	/* One that is ignored (nohup, a shell's "&") stays ignored. */
	if (sigaction(SIGINT, NULL, &action) < 0 ||
	    action.sa_handler == SIG_IGN)
		return;
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	interrupt->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

bool
interrupt_taken(struct interrupt *interrupt)
{
	struct signalfd_siginfo info;

	if (interrupt->taken || interrupt->fd < 0)
		return interrupt->taken;
	if (read(interrupt->fd, &info, sizeof(info)) <= 0)
		return false;
	interrupt_block(interrupt, false);
	interrupt->taken = true;
	return true;
}

void
interrupt_end(struct interrupt *interrupt)
{
	if (interrupt->fd >= 0)
		close(interrupt->fd);
}
