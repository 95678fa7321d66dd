/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * latency.h - how long something takes, counted by powers of two (floor 0)
 *
 * Any thread may count at any time; a reader gets numbers that are each right,
 * if not all of one moment.  Three relaxed atomic additions a count.
 */
#ifndef SWAP_LATENCY_H
#define SWAP_LATENCY_H

#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

#include "swap.h"

struct latency {
	_Atomic uint64_t count;
	_Atomic uint64_t sum_nsec;
	_Atomic uint64_t n[SWAP_LATENCY_CLASSES];
};

static inline uint64_t
now_nsec(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* Class i takes what is below 2^(i+10), and not in a lower one. */
static inline unsigned
latency_class(uint64_t nsec)
{
	unsigned bits = nsec < 1024 ? 10 : 64 - (unsigned)__builtin_clzll(nsec);

	return bits - 10 < SWAP_LATENCY_CLASSES ? bits - 10 :
	       SWAP_LATENCY_CLASSES - 1;
}

static inline void
latency_count(struct latency *l, uint64_t nsec)
{
	atomic_fetch_add_explicit(&l->count, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&l->sum_nsec, nsec, memory_order_relaxed);
	atomic_fetch_add_explicit(&l->n[latency_class(nsec)], 1,
				  memory_order_relaxed);
}

static inline void
latency_read(const struct latency *l, struct swap_latency *ret)
{
	ret->count = atomic_load_explicit(&l->count, memory_order_relaxed);
	ret->sum_nsec = atomic_load_explicit(&l->sum_nsec,
					     memory_order_relaxed);
	for (unsigned i = 0; i < SWAP_LATENCY_CLASSES; i++)
		ret->n[i] = atomic_load_explicit(&l->n[i],
						 memory_order_relaxed);
}

#endif
