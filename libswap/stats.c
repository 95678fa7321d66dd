/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The statistics snapshot of a pager.
 *
 * Devices, objects and counters are each consistent in themselves, not with
 * each other: no lock is held over the whole, so that taking a picture never
 * stops the paging that it shows.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pager-impl.h"
#include "pager.h"
#include "util.h"

void
pager_set_clients(struct swap_pager *pager, unsigned n)
{
	atomic_store(&pager->clients, n);
}

static void
fill_counters(const struct counters *from, struct swap_counters *to)
{
#define COPY(name) to->name = atomic_load(&from->name)
	COPY(faults);
	COPY(faults_zero);
	COPY(faults_in);
	COPY(faults_write);
	COPY(faults_busy);
	COPY(faults_starved);
	COPY(pageins);
	COPY(pagein_pages);
	COPY(pageouts);
	COPY(pageout_pages);
	COPY(pageout_clean);
	COPY(pageout_rescued);
	COPY(pageback_pages);
	COPY(released_pages);
	COPY(poisoned_pages);
	COPY(free_deferred);
	COPY(free_completed);
#undef COPY
}

static uint32_t
count_regions(struct swap_object *object)
{
	uint32_t n;

	object_lock(object);
	n = object->regions != NULL ? object->regions->n : 0;
	object_unlock(object);
	return n;
}

static int
fill_object(struct swap_object *object, void *arg)
{
	struct swap_stats *stats = arg;
	struct swap_object_stats *st = stats->objects;

	/* Room for twice as many, when it is used up. */
	if ((stats->nobjects & (stats->nobjects - 1)) == 0) {
		st = realloc(st, (2 * stats->nobjects + 1) * sizeof(*st));
		if (st == NULL)
			return -ENOMEM;
		stats->objects = st;
	}
	st += stats->nobjects++;
	memset(st, 0, sizeof(*st));
	object_stats(object, st);
	st->regions = count_regions(object);
	stats->swapped_bytes += st->swapped_bytes;
	stats->metadata_bytes += object_memory(object);
	return 0;
}

static void
fill_totals(struct swap_pager *pager, struct swap_stats *stats)
{
	struct core *core = &pager->core;
	unsigned shift = page_shift();
	struct space_totals space;

	format_cut(stats->provider, sizeof(stats->provider), "%s",
		   pager->served ? "swapd" : "embed");
	format_cut(stats->pager, sizeof(stats->pager), "%s", pager->name);
	format_cut(stats->version, sizeof(stats->version), "%s", SWAP_VERSION);
	stats->pid = getpid();
	stats->page_bytes = (uint32_t)page_bytes();
	stats->uptime_usec = now_usec() - pager->start_usec;
	stats->ram_bytes = pager->ram_bytes;
	stats->resident_bytes = atomic_load(&core->budget.used) << shift;
	stats->wired_bytes = atomic_load(&core->budget.wired) << shift;
	space_totals(&core->space, &space);
	stats->swap_bytes = space.total << shift;
	stats->swap_used_bytes = space.used << shift;
	stats->almost_full = space.almost_full;
	stats->full = space.full;
	stats->metadata_bytes = space_memory(&core->space);
	stats->clients = atomic_load(&pager->clients);
	stats->cluster_pages = core->cluster;
	fill_counters(&core->counters, &stats->counters);
}

int
swap_pager_stats(struct swap_pager *pager, struct swap_stats *ret_stats)
{
	struct swap_stats stats;
	int rc;

	memset(&stats, 0, sizeof(stats));
	fill_totals(pager, &stats);
	rc = objects_each(&pager->core, fill_object, &stats);
	if (rc == 0)
		rc = space_stats(&pager->core.space, &stats.devices,
				 &stats.ndevices);
	if (rc < 0) {
		swap_stats_clear(&stats);
		return rc;
	}
	*ret_stats = stats;
	return 0;
}

void
swap_stats_clear(struct swap_stats *stats)
{
	free(stats->devices);
	free(stats->objects);
	stats->devices = NULL;
	stats->objects = NULL;
	stats->ndevices = stats->nobjects = 0;
}
