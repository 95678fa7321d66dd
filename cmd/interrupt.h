/* SPDX-License-Identifier: BSD-2-Clause */
/* interrupt.h - Ctrl-C as something to read (floor 8) */
#ifndef SWAP_INTERRUPT_H
#define SWAP_INTERRUPT_H

#include <stdbool.h>

struct interrupt {
	int	fd;		/* -1: nothing to watch */
	bool	taken;
};

/* Begin: SIGINT can be read where it is blocked. */
void interrupt_watch(struct interrupt *interrupt);
void interrupt_end(struct interrupt *interrupt);

/*
 * Is SIGINT read, or does it end us the ordinary way?  Once there has been
 * one, it always does.
 */
void interrupt_block(const struct interrupt *interrupt, bool block);

/* Has there been one?  If so, the next one ends us. */
bool interrupt_taken(struct interrupt *interrupt);

#endif
