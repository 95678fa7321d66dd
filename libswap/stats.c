/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The statistics snapshot of a pager.
 *
 * Devices, objects, users and counters are each consistent in themselves, not
 * with each other: no lock is held over the whole, so that taking a picture
 * never stops the paging that it shows.
 *
 * Memory for metadata is what the block lists hold, and what each object does,
 * its swap map included.  What all maps have in their account, which is what
 * the limit is compared with, is shown beside it and not added.
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
	COPY(readahead_pages);
	COPY(readahead_used);
	COPY(readahead_wasted);
	COPY(cache_hits);
	COPY(refaults);
	COPY(pageout_fill);
	COPY(pagein_fill);
	COPY(limit_waits);
	COPY(async_waits);
	COPY(slow_transfers);
	COPY(copy_pages);
	COPY(copy_pushed_pages);
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

/* What an object adds to the sums. */
static void
add_object(struct swap_object *object, const struct swap_object_stats *st,
	   struct swap_stats *stats)
{
	stats->nobjects_live++;
	stats->swapped_bytes += st->swapped_bytes;
	stats->metadata_bytes += object_memory(object);
}

static int
sum_object(struct swap_object *object, void *arg)
{
	struct swap_object_stats st;

	object_stats(object, &st);
	add_object(object, &st, arg);
	return 0;
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
	add_object(object, st, stats);
	return 0;
}

static void
fill_name(struct swap_pager *pager, struct swap_stats *stats)
{
	format_cut(stats->provider, sizeof(stats->provider), "%s",
		   pager->served ? "swapd" : "embed");
	format_cut(stats->pager, sizeof(stats->pager), "%s", pager->name);
	format_cut(stats->version, sizeof(stats->version), "%s", SWAP_VERSION);
	stats->pid = getpid();
	stats->page_bytes = (uint32_t)page_bytes();
	stats->uptime_usec = now_usec() - pager->start_usec;
	stats->clients = atomic_load(&pager->clients);
}

static void
fill_space(struct core *core, struct swap_stats *stats)
{
	unsigned shift = page_shift();
	struct space_totals space;

	space_totals(&core->space, &space);
	stats->swap_bytes = space.total << shift;
	stats->swap_used_bytes = space.used << shift;
	stats->set_aside_bytes = space.reserved << shift;
	stats->almost_full = space.almost_full;
	stats->full = space.full;
	stats->counters.free_deferred = space.free_deferred;
	stats->counters.free_completed = space.free_completed;
	stats->counters.almost_full_events = space.almost_full_events;
	stats->counters.full_events = space.full_events;
}

static void
fill_metadata(struct core *core, struct swap_stats *stats)
{
	stats->map_bytes = atomic_load(&core->maps.used);
	stats->map_limit_bytes = atomic_load(&core->maps.limit);
	stats->metadata_full = atomic_load(&core->maps_full);
	stats->counters.metadata_full_events =
		atomic_load(&core->maps_full_events);
	/* The objects' part comes with the objects. */
	stats->metadata_bytes = space_memory(&core->space);
}

static void
fill_charge(struct core *core, struct swap_stats *stats)
{
	struct charge_totals charge;

	charge_totals(&core->charge, &charge);
	stats->overcommit = charge.overcommit;
	stats->chargeable_bytes = core_chargeable(core);
	stats->counters.charges_refused = charge.refused;
}

static void
fill_latencies(struct core *core, struct swap_stats *stats)
{
	latency_read(&core->fault_zero_time, &stats->fault_zero_time);
	latency_read(&core->fault_in_time, &stats->fault_in_time);
	latency_read(&core->fault_write_time, &stats->fault_write_time);
}

static void
fill_totals(struct swap_pager *pager, struct swap_stats *stats)
{
	struct core *core = &pager->core;
	unsigned shift = page_shift();

	fill_name(pager, stats);
	stats->ram_bytes = atomic_load(&pager->ram_bytes);
	stats->resident_bytes = atomic_load(&core->budget.used) << shift;
	stats->wired_bytes = atomic_load(&core->budget.wired) << shift;
	stats->cache_bytes = (uint64_t)cache_size(&core->cache) << shift;
	stats->cluster_pages = atomic_load(&core->cluster);
	stats->async_writes = atomic_load(&core->async_writes);
	format_cut(stats->io, sizeof(stats->io), "%s",
		   aio_kind(pager->pageout.aio) == AIO_URING ? "uring" :
		   "threads");
	fill_counters(&core->counters, &stats->counters);
	fill_space(core, stats);
	fill_metadata(core, stats);
	fill_charge(core, stats);
	fill_latencies(core, stats);
}

static int
fill_events(struct core *core, uint64_t after, struct swap_stats *stats)
{
	events_counts(&core->events, stats->event_counts);
	return events_after(&core->events, after, &stats->events,
			    &stats->nevents, &stats->nevents_ever);
}

/* Those that are shown add up to what is shown. */
static int
fill_users(struct core *core, struct swap_stats *stats)
{
	int rc = charge_stats(&core->charge, &stats->users, &stats->nusers);

	for (size_t i = 0; i < stats->nusers; i++)
		stats->charged_bytes += stats->users[i].charged_bytes;
	return rc;
}

int
pager_stats(struct swap_pager *pager, bool objects, uint64_t after,
	    struct swap_stats *ret_stats)
{
	struct swap_stats stats;
	int rc;

	memset(&stats, 0, sizeof(stats));
	fill_totals(pager, &stats);
	rc = objects_each(&pager->core, objects ? fill_object : sum_object,
			  &stats);
	if (rc == 0)
		rc = space_stats(&pager->core.space, &stats.devices,
				 &stats.ndevices);
	if (rc == 0)
		rc = fill_users(&pager->core, &stats);
	if (rc == 0)
		rc = fill_events(&pager->core, after, &stats);
	if (rc < 0) {
		swap_stats_clear(&stats);
		return rc;
	}
	*ret_stats = stats;
	return 0;
}

int
swap_pager_stats(struct swap_pager *pager, struct swap_stats *ret_stats)
{
	return pager_stats(pager, true, 0, ret_stats);
}

int
swap_pager_events(struct swap_pager *pager, uint64_t after,
		  struct swap_event **ret_events, size_t *ret_n)
{
	uint64_t last;

	return events_after(&pager->core.events, after, ret_events, ret_n,
			    &last);
}

void
pager_client_gone(struct swap_pager *pager, const struct pager_owner *owner,
		  unsigned nheld)
{
	events_add(&pager->core.events, SWAP_EVENT_CLIENT_GONE, NULL, 0,
		   (int)owner->pid, "process %d (%s) of uid %u has gone, and "
		   "%u objects and regions that it held with it",
		   (int)owner->pid, owner->command, (unsigned)owner->uid,
		   nheld);
}

void
swap_stats_clear(struct swap_stats *stats)
{
	free(stats->devices);
	free(stats->objects);
	free(stats->users);
	free(stats->events);
	stats->devices = NULL;
	stats->objects = NULL;
	stats->users = NULL;
	stats->events = NULL;
	stats->ndevices = stats->nobjects = stats->nusers = 0;
	stats->nevents = 0;
}
