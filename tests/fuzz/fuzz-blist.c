/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz-blist.c - bytes are operations on a block list beside its model
 *
 * The first byte chooses the device, the rest are what the model draws from;
 * when they are used up, zeros follow.  All is checked after every step.
 */
#include <stdio.h>
#include <stdlib.h>

#include "blist-model.h"
#include "compiler.h"
#include "fuzz.h"

/* A huge window would make each step slow. */
static const struct model_case cases[] = {
	{ 1, 0, 1, false }, { 64, 0, 64, false }, { 130, 0, 130, false },
	{ 1025, 0, 1025, false }, { 4097, 0, 4097, false },
	{ 70000, (1 << 15) - 1200, 2400, false },
	{ 70000, (1 << 15) - 1200, 2400, true },
	{ 1 << 22, (1 << 21) - 300, 600, false },
	{ 1 << 22, (1 << 21) - 1200, 2400, true },
	{ UINT64_C(1) << 28, (1 << 27) - 1200, 2400, true },
	{ (1 << 18) + 37, (1 << 18) - 700, 737, true },
};

struct bytes {
	const uint8_t *data;
	size_t len, at;
};

static uint64_t
draw(void *arg, uint64_t below)
{
	struct bytes *bytes = arg;
	uint64_t value = 0, most = below - 1;

	for (; most > 0; most >>= 8) {
		value = value << 8;
		if (bytes->at < bytes->len)
			value |= bytes->data[bytes->at++];
	}
	return value % below;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct bytes bytes = { data, len, 1 };
	const struct model_case *how;
	struct model m;
	uint64_t step;

	if (len == 0)
		return 0;
	how = &cases[data[0] % ARRAY_SIZE(cases)];
	model_open(&m, how, draw, &bytes);
	for (step = 0; bytes.at < len; step++) {
		model_step(&m, step);
		if (blist_check(m.bl) != 0 || !model_agrees(&m)) {
			fprintf(stderr, "fuzz-blist: step %llu\n",
				(unsigned long long)step);
			abort();
		}
	}
	model_close(&m);
	return 0;
}
