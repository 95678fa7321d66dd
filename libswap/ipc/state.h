/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * state.h - the state directory of a swapd: who waits for its memory, and what
 * a swapd that ended without handing over has left (floor 7)
 *
 * The pager keeps its maps and device table there; "clients" names the
 * processes that have regions, one "PID STARTTIME" a line (STARTTIME as in
 * /proc/PID/stat, so that a number used again is not mistaken for it).
 */
#ifndef SWAP_IPC_STATE_H
#define SWAP_IPC_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../compiler.h"
#include "../swap.h"

struct state_client {
	pid_t		pid;
	uint64_t	starttime;
};

/* When did this process start?  0: there is no such process. */
uint64_t state_starttime(pid_t pid);

/* Write the record anew, in one step.  @clients may name one twice. */
int state_write_clients(const char *dir, const struct state_client *clients,
			size_t n) swap_must_check;

/*
 * Is there something left that a process still waits for?  -EEXIST with a
 * sentence that names the processes; 0: nobody waits.
 */
int state_check(const char *dir, struct swap_error *error) swap_must_check;

/* Make an empty directory of it, mode 0700, removing what is in it. */
int state_reset(const char *dir, struct swap_error *error) swap_must_check;

/* Remove it; that it is not there is fine. */
int state_remove(const char *dir, struct swap_error *error) swap_must_check;

#endif
