/* SPDX-License-Identifier: BSD-2-Clause */
/* What the benchmarks share; see bench.h. */
#include "bench.h"

#include <linux/perf_event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

uint64_t
bench_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

void
meter_open(struct meter *meter)
{
	struct perf_event_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.type = PERF_TYPE_HARDWARE;
	attr.size = sizeof(attr);
	attr.config = PERF_COUNT_HW_INSTRUCTIONS;
	attr.disabled = 1;
	attr.exclude_kernel = 1;
	attr.exclude_hv = 1;
	meter->fd = (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1,
				 PERF_FLAG_FD_CLOEXEC);
}

void
meter_close(struct meter *meter)
{
	if (meter->fd >= 0)
		close(meter->fd);
	meter->fd = -1;
}

bool
meter_counts(const struct meter *meter)
{
	return meter->fd >= 0;
}

void
meter_start(struct meter *meter)
{
	if (meter->fd >= 0) {
		ioctl(meter->fd, PERF_EVENT_IOC_RESET, 0);
		ioctl(meter->fd, PERF_EVENT_IOC_ENABLE, 0);
	}
	meter->start_ns = bench_now_ns();
}

void
meter_stop(struct meter *meter, uint64_t nops, struct sample *ret)
{
	uint64_t ns = bench_now_ns() - meter->start_ns;
	uint64_t instructions;

	ret->ns = (double)ns / (double)nops;
	ret->instructions = -1;
	if (meter->fd < 0)
		return;
	ioctl(meter->fd, PERF_EVENT_IOC_DISABLE, 0);
	if (read(meter->fd, &instructions, sizeof(instructions)) ==
	    (ssize_t)sizeof(instructions))
		ret->instructions = (double)instructions / (double)nops;
}

static int
compare_double(double a, double b)
{
	return a < b ? -1 : a > b;
}

static int
compare_ns(const void *a, const void *b)
{
	return compare_double(((const struct sample *)a)->ns,
			      ((const struct sample *)b)->ns);
}

static int
compare_instructions(const void *a, const void *b)
{
	return compare_double(((const struct sample *)a)->instructions,
			      ((const struct sample *)b)->instructions);
}

struct sample
bench_median(struct sample *sample, unsigned n)
{
	struct sample median;

	qsort(sample, n, sizeof(*sample), compare_ns);
	median.ns = sample[n / 2].ns;
	qsort(sample, n, sizeof(*sample), compare_instructions);
	median.instructions = sample[n / 2].instructions;
	return median;
}

/* xorshift64* (Vigna). */
uint64_t
bench_random(uint64_t *state)
{
	uint64_t x = *state;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	*state = x;
	return x * UINT64_C(0x2545F4914F6CDD1D);
}

uint64_t
bench_below(uint64_t *state, uint64_t n)
{
	return (uint64_t)(((unsigned __int128)bench_random(state) * n) >> 64);
}
