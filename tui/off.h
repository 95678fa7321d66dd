/* SPDX-License-Identifier: BSD-2-Clause */
/* off.h - turning a device off while the screen goes on (floor 8) */
#ifndef SWAP_TUI_OFF_H
#define SWAP_TUI_OFF_H

#include <stdbool.h>

#include "cmd/progress.h"
#include "compiler.h"
#include "swap.h"

struct off;

struct off_state {
	struct progress	 progress;
	bool		 ended;
	int		 result;	/* once it has: 0, or -EINTR, ... */
	struct swap_error error;
};

/* Begins at once, over a connection of its own; -ENOMEM, -EMFILE, -EAGAIN. */
int off_start(const char *pager, const char *device, uint64_t page_bytes,
	      struct off **ret) swap_must_check;
/* Stop it: the device goes back into service.  off_look() tells the end. */
void off_stop(struct off *off);
void off_look(struct off *off, struct off_state *ret);
/* Readable when there is something new to look at. */
int off_fd(const struct off *off);
/* Stops it if it still runs. */
void off_free(struct off *off);

#endif
