/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The machine's memory, paging and pressure figures.
 *
 * Logical bytes are what programs would have to take back; physical bytes are
 * what that takes where it lies.  For a disk they are the same.  For zswap and
 * zram they are not, and /proc/swaps shows the logical ones only.
 *
 * A kernel without zswap, or without pressure figures, shows none: they are 0,
 * and has_pressure says so.
 */
#include "kernel/memory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

int
kernel_memory_sizes(const struct host *host, struct kernel_memory *ret_memory)
{
	char *text;
	ssize_t r = host_read(host->proc, "meminfo", &text);

	memset(ret_memory, 0, sizeof(*ret_memory));
	if (r < 0)
		return (int)r;
	ret_memory->total = text_kib(text, "MemTotal:");
	ret_memory->available = text_kib(text, "MemAvailable:");
	ret_memory->unevictable = text_kib(text, "Unevictable:");
	ret_memory->shmem = text_kib(text, "Shmem:");
	ret_memory->swap_total = text_kib(text, "SwapTotal:");
	ret_memory->swap_free = text_kib(text, "SwapFree:");
	ret_memory->swap_cached = text_kib(text, "SwapCached:");
	ret_memory->zswap_physical = text_kib(text, "Zswap:");
	ret_memory->zswap_logical = text_kib(text, "Zswapped:");
	free(text);
	return 0;
}

static void
read_vmstat(const struct host *host, struct kernel_memory *memory)
{
	const struct {
		const char	*key;
		uint64_t	*sum;
	} figures[] = {
		{ "pswpin", &memory->in_pages },
		{ "pswpout", &memory->out_pages },
		{ "zswpin", &memory->zswap_in_pages },
		{ "zswpout", &memory->zswap_out_pages },
		{ "pgfault", &memory->faults },
		{ "pgmajfault", &memory->major_faults },
		{ "pgscan_kswapd", &memory->scanned_pages },
		{ "pgscan_direct", &memory->scanned_pages },
	};
	uint64_t value;
	char *text;

	if (host_read(host->proc, "vmstat", &text) < 0)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(figures); i++)
		if (text_number(text, figures[i].key, &value))
			*figures[i].sum += value;
	free(text);
}

static bool
parse_pressure(const char *text, const char *kind,
	       struct kernel_pressure *pressure)
{
	const char *line = strstr(text, kind);
	unsigned long long total;

	if (line == NULL ||
	    sscanf(line + strlen(kind), " avg10=%lf avg60=%lf avg300=%lf "
		   "total=%llu", &pressure->avg10, &pressure->avg60,
		   &pressure->avg300, &total) != 4)
		return false;
	pressure->total_usec = total;
	return true;
}

static void
read_pressure(const struct host *host, struct kernel_memory *memory)
{
	char *text;

	if (host_read(host->proc, "pressure/memory", &text) < 0)
		return;
	memory->has_pressure = parse_pressure(text, "some", &memory->some);
	parse_pressure(text, "full", &memory->full);
	free(text);
}

static void
read_zswap(const struct host *host, struct kernel_memory *memory)
{
	char *text;

	if (host_read(host->sys, "module/zswap/parameters/enabled",
		      &text) >= 0) {
		memory->zswap_enabled = text[0] == 'Y' || text[0] == '1';
		free(text);
	}
	if (host_read(host->sys, "module/zswap/parameters/compressor",
		      &text) >= 0) {
		text[strcspn(text, "\n")] = '\0';
		format_cut(memory->zswap_compressor,
			   sizeof(memory->zswap_compressor), "%s", text);
		free(text);
	}
}

int
kernel_memory(const struct host *host, struct kernel_memory *ret_memory)
{
	int r = kernel_memory_sizes(host, ret_memory);

	if (r < 0)
		return r;
	read_vmstat(host, ret_memory);
	read_pressure(host, ret_memory);
	read_zswap(host, ret_memory);
	return 0;
}
