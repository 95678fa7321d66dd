/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bench.h - what the benchmarks share: a meter, medians, fixed seeds
 *
 *	meter_open(&meter);
 *	for (k = 0; k < n; k++) {
 *		prepare();
 *		meter_start(&meter);
 *		...nops operations...
 *		meter_stop(&meter, nops, &sample[k]);
 *	}
 *	row = bench_median(sample, n);
 */
#ifndef SWAP_BENCH_H
#define SWAP_BENCH_H

#include <stdbool.h>
#include <stdint.h>

/* Time, and user-space instructions where the kernel lets us count them. */
struct meter {
	int	 fd;		/* of perf_event_open(2); -1: not allowed */
	uint64_t start_ns;
};

struct sample {
	double	ns;		/* an operation */
	double	instructions;	/* an operation; negative: not counted */
};

void meter_open(struct meter *meter);
void meter_close(struct meter *meter);
bool meter_counts(const struct meter *meter);
void meter_start(struct meter *meter);
void meter_stop(struct meter *meter, uint64_t nops, struct sample *ret);

uint64_t bench_now_ns(void);

/* The medians of both figures; reorders the samples.  n >= 1. */
struct sample bench_median(struct sample *sample, unsigned n);

/* Numbers that are the same in every run: *state is the seed, not 0. */
uint64_t bench_random(uint64_t *state);
/* 0..n-1 */
uint64_t bench_below(uint64_t *state, uint64_t n);

#endif
