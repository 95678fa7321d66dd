/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * blist-model.h - a block list beside a naive model of it
 *
 * The model is an array of bytes that is searched from one end to the other.
 * It predicts every answer exactly, also which blocks an allocation gets.
 * Where the block list differs, the program is aborted.  For the unit test
 * and for the fuzz target, which draw their numbers from different sources.
 */
#ifndef SWAP_BLIST_MODEL_H
#define SWAP_BLIST_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "blist-private.h"

/*
 * A window of @n blocks from @base of a device.  What lies outside it is all
 * used or all free; operations change the window only.
 */
struct model {
	struct blist *bl;
	uint64_t base;
	uint64_t cursor;
	uint64_t nfree;
	unsigned n;
	unsigned room;			/* greatest n */
	unsigned greed;			/* per cent of allocations and fills */
	bool outside_free;
	unsigned char *free;		/* a byte a block of the window */
	uint64_t (*draw)(void *arg, uint64_t below);	/* 0..below - 1 */
	void *arg;
};

struct model_case {
	uint64_t nblocks, base;
	unsigned n;
	bool outside_free;
};

void model_open(struct model *m, const struct model_case *how,
		uint64_t (*draw)(void *arg, uint64_t below), void *arg);
void model_close(struct model *m);

/* One operation, and the comparison of all that it answers. */
void model_step(struct model *m, uint64_t step);

/* The block list and the model have the same blocks free. */
bool model_agrees(const struct model *m);

#endif
