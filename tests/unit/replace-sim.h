/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * replace-sim.h - the choice of victims, driven by a trace of accesses; for
 * test-replace.c and bench-replace.c
 *
 * The object, its states, the queues, the ghosts and the cache are the real
 * ones.  Faults, page-out and protection are simulated: an access becomes known
 * to replace.c only where the kernel would have told a pager of it.
 */
#ifndef REPLACE_SIM_H
#define REPLACE_SIM_H

#include <stdbool.h>
#include <stdint.h>

/* What an access met. */
enum sim_result {
	SIM_HIT,	/* the page */
	SIM_CACHED,	/* a copy of its block: a fault, but no I/O */
	SIM_MISS,
};

struct sim;

/* @npages of memory on @ram pages of RAM, of which some are the cache. */
struct sim *sim_new(uint64_t npages, uint64_t ram);
void sim_free(struct sim *sim);
enum sim_result sim_access(struct sim *sim, uint64_t page, bool write);
/* Dirty pages that went out, and pages that were protected to watch them. */
uint64_t sim_written(const struct sim *sim);
uint64_t sim_armed(const struct sim *sim);

/* First in, first out; and least recently used, exactly. */
struct peer;

struct peer *peer_new(uint64_t npages, uint64_t ram, bool lru);
void peer_free(struct peer *peer);
/* A hit? */
bool peer_access(struct peer *peer, uint64_t page);

/* Traces.  Page @i of one that is made of @npages pages and @seed. */
enum trace {
	TRACE_SCAN,		/* one scan over a hot set of half the RAM */
	TRACE_ZIPF,		/* 0.99 */
	TRACE_LOOP,		/* round and round, a half more than RAM */
	TRACE_UNIFORM,
	TRACE_SHIFT,		/* a hot set that moves at half-time */
	NTRACES
};

struct tracer {
	enum trace	 trace;
	uint64_t	 npages, ram, length;
	uint64_t	 at, scan, seed;
	double		*cdf;		/* TRACE_ZIPF */
};

extern const char *const trace_name[NTRACES];

void tracer_init(struct tracer *t, enum trace trace, uint64_t npages,
		 uint64_t ram, uint64_t length);
void tracer_fini(struct tracer *t);
uint64_t tracer_next(struct tracer *t);

#endif
