/* SPDX-License-Identifier: BSD-2-Clause */
/* headroom.h - may more memory be filled just now? (floor 7) */
#ifndef SWAP_KERNEL_HEADROOM_H
#define SWAP_KERNEL_HEADROOM_H

#include "kernel/memory.h"

struct headroom {
	const struct host *host;
	uint64_t	 reserve;	/* bytes that stay available */
	struct kernel_memory last;
	uint64_t	 last_usec;
	uint64_t	 held_since;	/* 0: going on */
};

enum headroom_state {
	HEADROOM_GO,
	HEADROOM_HOLD,		/* for now; look again */
	HEADROOM_LOST,		/* it has been so for long */
};

/* What must stay available of a machine with @total bytes. */
uint64_t headroom_reserve(uint64_t total);

/* First look; -errno of /proc/meminfo. */
int headroom_init(struct headroom *headroom, const struct host *host);

/*
 * Look again, about ten times a second.  @ret_bytes is what may be filled
 * before the next look, 0 while held.
 */
enum headroom_state headroom_look(struct headroom *headroom,
				  uint64_t *ret_bytes);

#endif
