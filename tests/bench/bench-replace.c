/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bench-replace.c - misses of the choice of victims, beside FIFO and true LRU
 *
 *	bench-replace [RAM_PAGES]
 *
 * The real queues, ghosts and cache, driven by traces (tests/unit/replace-sim.h)
 * over four times as much memory as RAM, which for all three of them is the
 * same: what the cache takes is missing for pages.  Shown are the misses of the
 * second half, in percent of the accesses; of ours also the faults that found a
 * copy in the cache, dirty pages written, and pages that were protected to be
 * watched.  And the time that an access takes here, which is mostly the choice.
 */
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"
#include "replace-sim.h"

struct line {
	uint64_t fifo, lru, ours, cached, n;
};

static double
percent(uint64_t part, const struct line *line)
{
	return 100.0 * (double)part / (double)line->n;
}

static void
play(enum trace trace, uint64_t ram, unsigned writes)
{
	uint64_t npages = 4 * ram, length = 200 * ram, ns;
	struct peer *fifo = peer_new(npages, ram, false);
	struct peer *lru = peer_new(npages, ram, true);
	struct sim *sim = sim_new(npages, ram);
	struct line line = { 0 };
	struct tracer t;

	tracer_init(&t, trace, npages, ram, length);
	ns = bench_now_ns();
	for (uint64_t i = 0; i < length; i++) {
		uint64_t page = tracer_next(&t);
		bool write = page * 2654435761u % 100 < writes;
		enum sim_result result = sim_access(sim, page, write);
		bool in_fifo = peer_access(fifo, page);
		bool in_lru = peer_access(lru, page);

		if (i < length / 2)
			continue;
		line.n++;
		line.fifo += !in_fifo;
		line.lru += !in_lru;
		line.ours += result == SIM_MISS;
		line.cached += result == SIM_CACHED;
	}
	ns = bench_now_ns() - ns;
	printf("%-22s %5u%% %8.2f %8.2f %8.2f %8.2f %9.2f %9.2f %6.0f\n",
	       trace_name[trace], writes, percent(line.fifo, &line),
	       percent(line.lru, &line), percent(line.ours, &line),
	       percent(line.cached, &line),
	       50.0 * (double)sim_written(sim) / (double)line.n,
	       50.0 * (double)sim_armed(sim) / (double)line.n,
	       (double)ns / (double)length);
	tracer_fini(&t);
	sim_free(sim);
	peer_free(fifo);
	peer_free(lru);
}

int
main(int argc, char *argv[])
{
	uint64_t ram = argc > 1 ? strtoull(argv[1], NULL, 10) : 4096;

	if (ram < 256) {
		fprintf(stderr, "usage: bench-replace [RAM_PAGES]\n");
		return 2;
	}
	printf("%-22s %6s %8s %8s %8s %8s %9s %9s %6s\n", "misses, %", "writes",
	       "FIFO", "LRU", "ours", "cached", "written", "armed", "ns");
	for (enum trace trace = 0; trace < NTRACES; trace++)
		for (unsigned writes = 0; writes <= 100; writes += 50)
			play(trace, ram, writes);
	return 0;
}
