/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The host kernel's swap as a provider of the snapshot.
 *
 * What the snapshot has no word for is left 0: the kernel's swap has no
 * clients, no budget but the machine's memory, and counts no operations.  Pages
 * in and out are pswpin and pswpout.
 */
#include "kernel/kernel.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "kernel/holders.h"
#include "kernel/slots.h"
#include "util.h"

static uint64_t
uptime_usec(const struct host *host)
{
	unsigned long long sec = 0, hundredths = 0;
	char *text;

	if (host_read(host->proc, "uptime", &text) < 0)
		return 0;
	if (sscanf(text, "%llu.%llu", &sec, &hundredths) < 1)
		sec = 0;
	free(text);
	return sec * 1000000 + hundredths * 10000;
}

static void
fill_totals(const struct host *host, const struct kernel_memory *memory,
	    struct swap_stats *stats)
{
	struct utsname name;

	format_cut(stats->provider, sizeof(stats->provider), "kernel");
	format_cut(stats->pager, sizeof(stats->pager), "kernel");
	if (uname(&name) == 0)
		format_cut(stats->version, sizeof(stats->version), "%.*s",
			   (int)strcspn(name.release, "-"), name.release);
	stats->page_bytes = (uint32_t)page_bytes();
	stats->uptime_usec = uptime_usec(host);
	stats->ram_bytes = memory->total;
	stats->resident_bytes = memory->total > memory->available ?
				memory->total - memory->available : 0;
	stats->wired_bytes = memory->unevictable;
	stats->counters.faults = memory->faults;
	stats->counters.pagein_pages = memory->in_pages;
	stats->counters.pageout_pages = memory->out_pages;
}

static int
fill_devices(const struct host *host, struct swap_stats *stats)
{
	struct kernel_devices devices;
	uint64_t block = 0;
	int r = kernel_devices(host, &devices);

	if (r < 0)
		return r;
	stats->devices = calloc(devices.n + 1, sizeof(*stats->devices));
	if (stats->devices == NULL)
		r = -ENOMEM;
	for (size_t i = 0; r == 0 && i < devices.n; i++) {
		const struct swap_device_stats *st = &devices.device[i].stats;

		stats->devices[i] = *st;
		/* As the swap space of a pager: a block between two devices. */
		stats->devices[i].first_block = block;
		block += st->size_bytes / page_bytes() + 2;
		stats->swap_bytes += st->size_bytes;
		stats->swap_used_bytes += st->used_bytes;
		stats->ndevices++;
	}
	kernel_devices_clear(&devices);
	return r;
}

static void
fill_object(const struct kernel_holder *holder, struct swap_object_stats *st)
{
	st->id = (uint64_t)holder->pid;
	st->uid = holder->uid;
	st->pid = holder->pid;
	format_cut(st->command, sizeof(st->command), "%s", holder->command);
	st->size_bytes = holder->size;
	st->resident_bytes = holder->resident;
	st->swapped_bytes = st->block_bytes = holder->share;
}

static int
fill_objects(const struct host *host, struct swap_stats *stats)
{
	struct kernel_holders holders;
	int r = kernel_holders(host, 0, &holders);

	if (r < 0)
		return r;
	stats->objects = calloc(holders.n + 1, sizeof(*stats->objects));
	if (stats->objects == NULL)
		r = -ENOMEM;
	for (size_t i = 0; r == 0 && i < holders.n; i++)
		fill_object(&holders.holder[i],
			    &stats->objects[stats->nobjects++]);
	kernel_holders_clear(&holders);
	return r;
}

int
kernel_stats(const struct host *host, struct swap_stats *ret_stats)
{
	struct kernel_memory memory;
	struct swap_stats stats;
	int r = kernel_memory(host, &memory);

	if (r < 0)
		return r;
	memset(&stats, 0, sizeof(stats));
	fill_totals(host, &memory, &stats);
	r = fill_devices(host, &stats);
	if (r == 0)
		r = fill_objects(host, &stats);
	if (r < 0) {
		swap_stats_clear(&stats);
		return r;
	}
	/* In swap only: the swap cache is in RAM too. */
	stats.swapped_bytes = stats.swap_used_bytes > memory.swap_cached ?
			      stats.swap_used_bytes - memory.swap_cached : 0;
	*ret_stats = stats;
	return 0;
}

int
kernel_map(const struct host *host, const char *spec, size_t ncells,
	   struct swap_device_map *ret_map, uint64_t *ret_unplaced,
	   struct swap_error *error)
{
	const struct kernel_device *device;
	struct kernel_devices devices;
	struct slot_survey survey;
	struct swap_error why = { 0 };
	uint64_t unplaced;
	int r = kernel_devices(host, &devices);

	if (r < 0)
		return error_set(error, r, "/proc/swaps: %s", strerror(-r));
	device = kernel_device_find(&devices, spec, &why);
	if (device == NULL)
		r = error_set(error, why.code, "%s", why.message);
	else
		r = slot_survey(host, &devices, &survey, error);
	if (r == 0) {
		r = slot_survey_map(&survey, device, ncells, ret_map,
				    &unplaced);
		slot_survey_clear(&survey);
		if (r < 0)
			error_set(error, r, "%s: %s", spec, strerror(-r));
		else if (ret_unplaced != NULL)
			*ret_unplaced = unplaced;
	}
	kernel_devices_clear(&devices);
	return r;
}
