/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Snapshots as OpenMetrics and as Prometheus' older text.
 *
 * Everything is a table: a family has a name, a type, a unit, a sentence, and a
 * function that puts its samples for one pager.  The two formats differ in the
 * lines above the samples only.
 *
 *	M1  a family's samples stand together, whatever pager they are of;
 *	M2  a family without a sample is not mentioned;
 *	M3  values are in base units (bytes, seconds), and a sum over the labels
 *	    of a family means something, except where its help says otherwise;
 *	M4  no label is a process or the number of anything that comes and goes,
 *	    but in the families of objects and users, which are off by default;
 *	M5  what the kernel's swap does not count is left out for it, not zero.
 *
 * Numbers are written without printf, which would take the decimal point of
 * the user's language.
 *
 * A bucket of a histogram ends where the next one begins, while "le" includes
 * its bound: what took exactly a power of two of nanoseconds is one bucket too
 * high.
 */
#include "openmetrics.h"

#include <errno.h>
#include <string.h>

#include "../util.h"
#include "text.h"

enum type { GAUGE, COUNTER, HISTOGRAM, INFO };

static const char *const type_names[] = {
	"gauge", "counter", "histogram", "info",
};

struct out;
struct family;

typedef void put_fn(struct out *out, const struct swap_stats *stats);

struct family {
	const char	*name;		/* without _total and _info */
	enum type	 type;
	const char	*unit;		/* NULL: none */
	bool		 kernel;	/* the kernel's swap has it, too (M5) */
	put_fn		*put;
	size_t		 offset;	/* for functions that many share */
	const char	*help;
};

struct out {
	struct text	 text;
	unsigned	 flags;
	const struct family *family;
	bool		 begun;		/* its first lines are written */
	const struct openmetrics_pager *pager;
};

/* -------------------------------------------------------------- the lines */

static void
put_name(struct out *o, bool sample)
{
	enum type type = o->family->type;
	bool prometheus = (o->flags & OPENMETRICS_PROMETHEUS) != 0;

	text_string(&o->text, o->family->name);
	/* OpenMetrics names the family without, Prometheus with it. */
	if (!sample && !prometheus)
		return;
	if (type == COUNTER)
		text_string(&o->text, "_total");
	else if (type == INFO)
		text_string(&o->text, "_info");
}

static void
put_line(struct out *o, const char *what, const char *value)
{
	text_string(&o->text, "# ");
	text_string(&o->text, what);
	text_string(&o->text, " ");
	put_name(o, false);
	text_string(&o->text, " ");
	text_string(&o->text, value);
	text_string(&o->text, "\n");
}

static void
put_head(struct out *o)
{
	const struct family *f = o->family;
	bool prometheus = (o->flags & OPENMETRICS_PROMETHEUS) != 0;

	o->begun = true;
	put_line(o, "HELP", f->help);
	put_line(o, "TYPE", prometheus && f->type == INFO ? "gauge" :
			    type_names[f->type]);
	if (f->unit != NULL && !prometheus)
		put_line(o, "UNIT", f->unit);
}

/* What is not UTF-8 shows its bytes above 127 as "?", as in JSON. */
static void
put_escaped(struct out *o, const char *value)
{
	bool utf8 = text_is_utf8(value, strlen(value));

	for (; *value != '\0'; value++) {
		if (*value == '\n')
			text_string(&o->text, "\\n");
		else if (!utf8 && (unsigned char)*value >= 0x80)
			text_string(&o->text, "?");
		else if (*value == '"' || *value == '\\')
			text_put(&o->text, (const char[]){ '\\', *value }, 2);
		else
			text_put(&o->text, value, 1);
	}
}

static void
label(struct out *o, const char *name, const char *value)
{
	text_string(&o->text, ",");
	text_string(&o->text, name);
	text_string(&o->text, "=\"");
	put_escaped(o, value);
	text_string(&o->text, "\"");
}

static void
label_number(struct out *o, const char *name, uint64_t value)
{
	text_string(&o->text, ",");
	text_string(&o->text, name);
	text_string(&o->text, "=\"");
	text_u64(&o->text, value);
	text_string(&o->text, "\"");
}

/* A sample: begin, its labels beside "pager", and one of the ends. */
static void
begin(struct out *o, const char *suffix)
{
	if (!o->begun)
		put_head(o);
	put_name(o, true);
	text_string(&o->text, suffix);
	text_string(&o->text, "{pager=\"");
	put_escaped(o, o->pager->label);
	text_string(&o->text, "\"");
}

static void
end(struct out *o, uint64_t value)
{
	text_string(&o->text, "} ");
	text_u64(&o->text, value);
	text_string(&o->text, "\n");
}

/* @nano in units of 10^-9. */
static void
put_nano(struct out *o, uint64_t nano)
{
	char digits[10] = ".000000000";
	uint64_t rest = nano % 1000000000u;
	size_t n = sizeof(digits);

	text_u64(&o->text, nano / 1000000000u);
	for (size_t i = sizeof(digits) - 1; i > 0; i--, rest /= 10)
		digits[i] = (char)('0' + rest % 10);
	while (n > 1 && digits[n - 1] == '0')
		n--;
	if (n > 1)
		text_put(&o->text, digits, n);
}

static void
end_nano(struct out *o, uint64_t nano)
{
	text_string(&o->text, "} ");
	put_nano(o, nano);
	text_string(&o->text, "\n");
}

/* ------------------------------------------------------ of a whole pager */

static uint64_t
u64_at(const void *base, size_t offset)
{
	uint64_t value;

	memcpy(&value, (const char *)base + offset, sizeof(value));
	return value;
}

static void
put_up(struct out *o, const struct swap_stats *stats)
{
	begin(o, "");
	end(o, stats != NULL);
}

static void
put_info(struct out *o, const struct swap_stats *stats)
{
	begin(o, "");
	label(o, "provider", stats->provider);
	label(o, "version", stats->version);
	label(o, "io", stats->io);
	end(o, 1);
}

static void
put_uptime(struct out *o, const struct swap_stats *stats)
{
	begin(o, "");
	end_nano(o, stats->uptime_usec * 1000);
}

static void
put_u64(struct out *o, const struct swap_stats *stats)
{
	begin(o, "");
	end(o, u64_at(stats, o->family->offset));
}

/* What is counted in pages. */
static void
put_pages(struct out *o, const struct swap_stats *stats)
{
	begin(o, "");
	end(o, u64_at(stats, o->family->offset) * stats->page_bytes);
}

static void
put_unsigned(struct out *o, const struct swap_stats *stats)
{
	unsigned value;

	memcpy(&value, (const char *)stats + o->family->offset, sizeof(value));
	begin(o, "");
	end(o, value);
}

static void
put_flag(struct out *o, const struct swap_stats *stats)
{
	bool value;

	memcpy(&value, (const char *)stats + o->family->offset, sizeof(value));
	begin(o, "");
	end(o, value);
}

static void
put_ndevices(struct out *o, const struct swap_stats *stats)
{
	begin(o, "");
	end(o, stats->ndevices);
}

/* One of several values of a family, told apart by a label. */
static void
put_kind(struct out *o, const char *name, const char *kind, uint64_t value)
{
	begin(o, "");
	label(o, name, kind);
	end(o, value);
}

static void
put_faults(struct out *o, const struct swap_stats *stats)
{
	const struct swap_counters *c = &stats->counters;

	put_kind(o, "kind", "zero", c->faults_zero);
	put_kind(o, "kind", "in", c->faults_in);
	put_kind(o, "kind", "write", c->faults_write);
}

static void
put_delays(struct out *o, const struct swap_stats *stats)
{
	const struct swap_counters *c = &stats->counters;

	put_kind(o, "reason", "busy", c->faults_busy);
	put_kind(o, "reason", "starved", c->faults_starved);
	put_kind(o, "reason", "limit", c->limit_waits);
}

static void
put_shortages(struct out *o, const struct swap_stats *stats)
{
	const struct swap_counters *c = &stats->counters;

	put_kind(o, "kind", "almost_full", c->almost_full_events);
	put_kind(o, "kind", "full", c->full_events);
	put_kind(o, "kind", "metadata_full", c->metadata_full_events);
}

static void
put_events(struct out *o, const struct swap_stats *stats)
{
	for (unsigned i = 0; i < SWAP_EVENT_KINDS; i++)
		put_kind(o, "kind", swap_event_name((enum swap_event_kind)i),
			 stats->event_counts[i]);
}

/* ------------------------------------------------------------- histograms */

/* The label that tells one from another of the same pager; NULL: none. */
struct series {
	const char	*device;
	const char	*name, *value;
};

static void
begin_series(struct out *o, const char *suffix, const struct series *s)
{
	begin(o, suffix);
	if (s->device != NULL)
		label(o, "device", s->device);
	label(o, s->name, s->value);
}

static void
put_histogram(struct out *o, const struct series *s,
	      const struct swap_latency *latency)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < SWAP_LATENCY_CLASSES; i++) {
		/* Not latency->count, which is read at another moment. */
		sum += latency->n[i];
		begin_series(o, "_bucket", s);
		text_string(&o->text, ",le=\"");
		if (i + 1 < SWAP_LATENCY_CLASSES)
			put_nano(o, UINT64_C(1) << (i + 10));
		else
			text_string(&o->text, "+Inf");
		text_string(&o->text, "\"");
		end(o, sum);
	}
	begin_series(o, "_sum", s);
	end_nano(o, latency->sum_nsec);
	begin_series(o, "_count", s);
	end(o, sum);
}

static void
put_fault_times(struct out *o, const struct swap_stats *stats)
{
	put_histogram(o, &(struct series){ NULL, "kind", "zero" },
		      &stats->fault_zero_time);
	put_histogram(o, &(struct series){ NULL, "kind", "in" },
		      &stats->fault_in_time);
	put_histogram(o, &(struct series){ NULL, "kind", "write" },
		      &stats->fault_write_time);
}

static void
put_device_times(struct out *o, const struct swap_stats *stats)
{
	for (size_t i = 0; i < stats->ndevices; i++) {
		const struct swap_device_stats *d = &stats->devices[i];

		put_histogram(o, &(struct series){ d->path, "operation",
						   "read" }, &d->read_time);
		put_histogram(o, &(struct series){ d->path, "operation",
						   "write" }, &d->write_time);
	}
}

/* ------------------------------------------------------------- of devices */

static void
begin_device(struct out *o, const struct swap_device_stats *device)
{
	begin(o, "");
	label(o, "device", device->path);
}

static void
put_device_info(struct out *o, const struct swap_stats *stats)
{
	for (size_t i = 0; i < stats->ndevices; i++) {
		begin_device(o, &stats->devices[i]);
		label(o, "type", stats->devices[i].type);
		end(o, 1);
	}
}

static void
put_device_u64(struct out *o, const struct swap_stats *stats)
{
	for (size_t i = 0; i < stats->ndevices; i++) {
		begin_device(o, &stats->devices[i]);
		end(o, u64_at(&stats->devices[i], o->family->offset));
	}
}

static void
put_device_priority(struct out *o, const struct swap_stats *stats)
{
	for (size_t i = 0; i < stats->ndevices; i++) {
		begin_device(o, &stats->devices[i]);
		text_string(&o->text, "} ");
		text_i64(&o->text, stats->devices[i].priority);
		text_string(&o->text, "\n");
	}
}

static void
put_device_inflight(struct out *o, const struct swap_stats *stats)
{
	for (size_t i = 0; i < stats->ndevices; i++) {
		begin_device(o, &stats->devices[i]);
		end(o, stats->devices[i].inflight);
	}
}

static void
put_state(struct out *o, const struct swap_device_stats *device,
	  const char *state, bool is)
{
	begin_device(o, device);
	label(o, "state", state);
	end(o, is);
}

static void
put_device_states(struct out *o, const struct swap_stats *stats)
{
	for (size_t i = 0; i < stats->ndevices; i++) {
		const struct swap_device_stats *d = &stats->devices[i];
		unsigned out = SWAP_DEVICE_CLOSING | SWAP_DEVICE_GONE;

		put_state(o, d, "active", (d->flags & out) == 0);
		put_state(o, d, "draining",
			  (d->flags & SWAP_DEVICE_CLOSING) != 0);
		put_state(o, d, "degraded",
			  (d->flags & SWAP_DEVICE_DEGRADED) != 0);
		put_state(o, d, "gone", (d->flags & SWAP_DEVICE_GONE) != 0);
	}
}

static void
put_device_kind(struct out *o, const struct swap_device_stats *device,
		const char *operation, uint64_t value)
{
	begin_device(o, device);
	label(o, "operation", operation);
	end(o, value);
}

static void
put_device_operations(struct out *o, const struct swap_stats *stats)
{
	bool kernel = strcmp(stats->provider, "kernel") == 0;

	for (size_t i = 0; i < stats->ndevices; i++) {
		const struct swap_device_stats *d = &stats->devices[i];

		put_device_kind(o, d, "read", d->reads);
		put_device_kind(o, d, "write", d->writes);
		if (!kernel)
			put_device_kind(o, d, "discard", d->discards);
	}
}

static void
put_device_errors(struct out *o, const struct swap_stats *stats)
{
	for (size_t i = 0; i < stats->ndevices; i++) {
		const struct swap_device_stats *d = &stats->devices[i];

		put_device_kind(o, d, "read", d->read_errors);
		put_device_kind(o, d, "write", d->write_errors);
	}
}

/* ---------------------------------------------------------- fragmentation */

/* The map of device @i; NULL: it was not looked through. */
static const struct swap_device_map *
map_of(const struct out *o, size_t i)
{
	const struct swap_device_map *maps = o->pager->snapshot->maps;

	return maps != NULL && maps[i].path[0] != '\0' ? &maps[i] : NULL;
}

static void
begin_map(struct out *o, const struct swap_stats *stats, size_t i)
{
	begin_device(o, &stats->devices[i]);
}

static void
put_free(struct out *o, const struct swap_stats *stats)
{
	for (size_t i = 0; i < stats->ndevices; i++) {
		if (map_of(o, i) == NULL)
			continue;
		begin_map(o, stats, i);
		end(o, map_of(o, i)->nfree * stats->page_bytes);
	}
}

/* All orders that the device can have, so that no series comes and goes. */
static void
put_free_runs(struct out *o, const struct swap_stats *stats)
{
	for (size_t i = 0; i < stats->ndevices; i++) {
		const struct swap_device_map *map = map_of(o, i);

		for (unsigned k = 0; map != NULL && k < SWAP_RUN_CLASSES &&
		     map->nblocks >> k != 0; k++) {
			begin_map(o, stats, i);
			label_number(o, "order", k);
			end(o, map->runs[k]);
		}
	}
}

static void
put_largest(struct out *o, const struct swap_stats *stats)
{
	for (size_t i = 0; i < stats->ndevices; i++) {
		if (map_of(o, i) == NULL)
			continue;
		begin_map(o, stats, i);
		end(o, map_of(o, i)->largest * stats->page_bytes);
	}
}

static void
put_fragmentation(struct out *o, const struct swap_stats *stats)
{
	for (size_t i = 0; i < stats->ndevices; i++) {
		if (map_of(o, i) == NULL)
			continue;
		begin_map(o, stats, i);
		end_nano(o, map_of(o, i)->fragmentation * UINT64_C(1000000));
	}
}

/* --------------------------------------------------- of objects and users */

static bool
shows_objects(const struct out *o)
{
	return (o->flags & OPENMETRICS_OBJECTS) != 0;
}

static void
begin_object(struct out *o, const struct swap_object_stats *object)
{
	begin(o, "");
	label_number(o, "object", object->id);
}

static void
put_object_info(struct out *o, const struct swap_stats *stats)
{
	for (size_t i = 0; shows_objects(o) && i < stats->nobjects; i++) {
		begin_object(o, &stats->objects[i]);
		label(o, "name", stats->objects[i].name);
		label(o, "command", stats->objects[i].command);
		label_number(o, "uid", stats->objects[i].uid);
		end(o, 1);
	}
}

static void
put_object_u64(struct out *o, const struct swap_stats *stats)
{
	for (size_t i = 0; shows_objects(o) && i < stats->nobjects; i++) {
		begin_object(o, &stats->objects[i]);
		end(o, u64_at(&stats->objects[i], o->family->offset));
	}
}

static void
put_object_pages(struct out *o, const struct swap_stats *stats)
{
	for (size_t i = 0; shows_objects(o) && i < stats->nobjects; i++) {
		begin_object(o, &stats->objects[i]);
		end(o, u64_at(&stats->objects[i], o->family->offset) *
		    stats->page_bytes);
	}
}

static void
put_user_u64(struct out *o, const struct swap_stats *stats)
{
	for (size_t i = 0; shows_objects(o) && i < stats->nusers; i++) {
		begin(o, "");
		label_number(o, "uid", stats->users[i].uid);
		end(o, u64_at(&stats->users[i], o->family->offset));
	}
}

/* -------------------------------------------------------------- the table */

#define S(m)	offsetof(struct swap_stats, m)
#define C(m)	offsetof(struct swap_stats, counters.m)
#define D(m)	offsetof(struct swap_device_stats, m)
#define O(m)	offsetof(struct swap_object_stats, m)
#define U(m)	offsetof(struct swap_user_stats, m)

static const struct family families[] = {
	{ "swapkit_up", GAUGE, NULL, true, put_up, 0,
	  "Whether the pager answered: 1 or 0." },
	{ "swapkit_pager", INFO, NULL, true, put_info, 0,
	  "What kind of pager this is, its version and how it does I/O." },
	{ "swapkit_uptime_seconds", GAUGE, "seconds", true, put_uptime, 0,
	  "How long the pager, or the machine, has been running." },

	{ "swapkit_ram_budget_bytes", GAUGE, "bytes", true, put_u64,
	  S(ram_bytes), "RAM that pages may take." },
	{ "swapkit_ram_resident_bytes", GAUGE, "bytes", true, put_u64,
	  S(resident_bytes), "RAM that pages take." },
	{ "swapkit_ram_wired_bytes", GAUGE, "bytes", true, put_u64,
	  S(wired_bytes), "RAM of pages that may not be paged out." },
	{ "swapkit_ram_cache_bytes", GAUGE, "bytes", false, put_u64,
	  S(cache_bytes), "RAM of copies of blocks; part of the budget." },
	{ "swapkit_swapped_bytes", GAUGE, "bytes", true, put_u64,
	  S(swapped_bytes), "Pages that are out of RAM." },
	{ "swapkit_swap_size_bytes", GAUGE, "bytes", true, put_u64,
	  S(swap_bytes), "Swap space of all devices in service." },
	{ "swapkit_swap_used_bytes", GAUGE, "bytes", true, put_u64,
	  S(swap_used_bytes), "Swap space that holds a page." },
	{ "swapkit_swap_set_aside_bytes", GAUGE, "bytes", false, put_u64,
	  S(set_aside_bytes), "Free swap space that is reserved." },
	{ "swapkit_swap_almost_full", GAUGE, NULL, false, put_flag,
	  S(almost_full), "Whether free swap space is below the low-water "
	  "mark." },
	{ "swapkit_swap_full", GAUGE, NULL, false, put_flag, S(full),
	  "Whether page-out found no block." },
	{ "swapkit_metadata_bytes", GAUGE, "bytes", false, put_u64,
	  S(metadata_bytes), "Memory for maps, block lists and page states." },
	{ "swapkit_map_bytes", GAUGE, "bytes", false, put_u64, S(map_bytes),
	  "Of the metadata, swap maps." },
	{ "swapkit_map_limit_bytes", GAUGE, "bytes", false, put_u64,
	  S(map_limit_bytes), "What swap maps may take; 0 is no limit." },
	{ "swapkit_metadata_full", GAUGE, NULL, false, put_flag,
	  S(metadata_full), "Whether page-out waits for memory for maps." },
	{ "swapkit_charged_bytes", GAUGE, "bytes", false, put_u64,
	  S(charged_bytes), "Sizes of all objects." },
	{ "swapkit_chargeable_bytes", GAUGE, "bytes", false, put_u64,
	  S(chargeable_bytes), "What overcommit compares the sizes with." },
	{ "swapkit_clients", GAUGE, NULL, false, put_unsigned, S(clients),
	  "Programs that have memory here." },
	{ "swapkit_objects", GAUGE, NULL, false, put_u64, S(nobjects_live),
	  "Memory objects." },
	{ "swapkit_devices", GAUGE, NULL, true, put_ndevices, 0,
	  "Swap devices." },
	{ "swapkit_writes_in_flight", GAUGE, NULL, false, put_unsigned,
	  S(async_writes), "Writes of page-out at this moment." },

	{ "swapkit_fault_messages", COUNTER, NULL, true, put_u64, C(faults),
	  "Page faults that were handled, of any kind." },
	{ "swapkit_faults", COUNTER, NULL, false, put_faults, 0,
	  "Page faults that brought a new page, brought one in, or were the "
	  "first write to one." },
	{ "swapkit_faults_delayed", COUNTER, NULL, false, put_delays, 0,
	  "Page faults that had to wait: for paging of that page, for a free "
	  "page, for a limit." },
	{ "swapkit_fault_duration_seconds", HISTOGRAM, "seconds", false,
	  put_fault_times, 0,
	  "From a fault's message until its program goes on." },
	{ "swapkit_pagein_operations", COUNTER, NULL, false, put_u64,
	  C(pageins), "Reads that brought pages in." },
	{ "swapkit_pagein_bytes", COUNTER, "bytes", true, put_pages,
	  C(pagein_pages), "Pages that were brought in." },
	{ "swapkit_pageout_operations", COUNTER, NULL, false, put_u64,
	  C(pageouts), "Writes that took pages out." },
	{ "swapkit_pageout_bytes", COUNTER, "bytes", true, put_pages,
	  C(pageout_pages), "Pages that were written out." },
	{ "swapkit_pageout_clean_bytes", COUNTER, "bytes", false, put_pages,
	  C(pageout_clean), "Pages that went without a write." },
	{ "swapkit_pageout_rescued_bytes", COUNTER, "bytes", false, put_pages,
	  C(pageout_rescued), "Pages that were wanted back on their way." },
	{ "swapkit_pageout_fill_bytes", COUNTER, "bytes", false, put_pages,
	  C(pageout_fill), "Pages of one repeated word, which take no block." },
	{ "swapkit_pagein_fill_bytes", COUNTER, "bytes", false, put_pages,
	  C(pagein_fill), "The same, brought back; zeros come as new pages." },
	{ "swapkit_pageback_bytes", COUNTER, "bytes", false, put_pages,
	  C(pageback_pages), "Pages brought back to empty a device." },
	{ "swapkit_released_bytes", COUNTER, "bytes", false, put_pages,
	  C(released_pages), "Pages that programs gave up." },
	{ "swapkit_poisoned_bytes", COUNTER, "bytes", false, put_pages,
	  C(poisoned_pages), "Pages that were lost." },
	{ "swapkit_readahead_bytes", COUNTER, "bytes", false, put_pages,
	  C(readahead_pages), "Pages read beyond what was asked for." },
	{ "swapkit_readahead_used_bytes", COUNTER, "bytes", false, put_pages,
	  C(readahead_used), "Of these, touched." },
	{ "swapkit_readahead_wasted_bytes", COUNTER, "bytes", false,
	  put_pages, C(readahead_wasted), "Of these, given up untouched." },
	{ "swapkit_cache_hits", COUNTER, NULL, false, put_u64, C(cache_hits),
	  "Faults that needed no I/O, since there was still a copy." },
	{ "swapkit_refaults", COUNTER, NULL, false, put_u64, C(refaults),
	  "Pages that came back soon after they went out." },
	{ "swapkit_blocks_freed_late_bytes", COUNTER, "bytes", false,
	  put_pages, C(free_deferred),
	  "Blocks that were noted down to be freed." },
	{ "swapkit_write_waits", COUNTER, NULL, false, put_u64,
	  C(async_waits), "Times page-out waited for its own writes." },
	{ "swapkit_slow_transfers", COUNTER, NULL, false, put_u64,
	  C(slow_transfers), "Transfers that took over 20 seconds." },
	{ "swapkit_copy_taken_bytes", COUNTER, "bytes", false, put_pages,
	  C(copy_pages), "Pages that copies have taken from their sources." },
	{ "swapkit_copy_pushed_bytes", COUNTER, "bytes", false, put_pages,
	  C(copy_pushed_pages),
	  "Pages that copies were given before their source changed." },
	{ "swapkit_shortages", COUNTER, NULL, false, put_shortages, 0,
	  "Times that swap space or memory for maps ran short." },
	{ "swapkit_charges_refused", COUNTER, NULL, false, put_u64,
	  C(charges_refused), "Objects that overcommit did not allow." },
	{ "swapkit_events", COUNTER, NULL, false, put_events, 0,
	  "Events by kind." },

	{ "swapkit_device", INFO, NULL, true, put_device_info, 0,
	  "What kind of device this is." },
	{ "swapkit_device_size_bytes", GAUGE, "bytes", true, put_device_u64,
	  D(size_bytes), "Swap space of a device." },
	{ "swapkit_device_used_bytes", GAUGE, "bytes", true, put_device_u64,
	  D(used_bytes), "What of it holds a page; of a device that is being "
	  "turned off, what is still to be paged back." },
	{ "swapkit_device_bad_bytes", GAUGE, "bytes", false, put_device_u64,
	  D(bad_bytes), "What of it is never used again." },
	{ "swapkit_device_priority", GAUGE, NULL, true, put_device_priority, 0,
	  "Devices with a higher one are used first; a sum means nothing." },
	{ "swapkit_device_state", GAUGE, NULL, true, put_device_states, 0,
	  "1 for the states that the device is in: active, draining (being "
	  "turned off), degraded, gone." },
	{ "swapkit_device_in_flight", GAUGE, NULL, false, put_device_inflight,
	  0, "Transfers at this moment." },
	{ "swapkit_device_read_bytes", COUNTER, "bytes", true, put_device_u64,
	  D(read_bytes), "Bytes read from a device." },
	{ "swapkit_device_written_bytes", COUNTER, "bytes", true,
	  put_device_u64, D(written_bytes), "Bytes written to a device." },
	{ "swapkit_device_discarded_bytes", COUNTER, "bytes", false,
	  put_device_u64, D(discarded_bytes), "Bytes discarded." },
	{ "swapkit_device_operations", COUNTER, NULL, true,
	  put_device_operations, 0, "Transfers and discards." },
	{ "swapkit_device_errors", COUNTER, NULL, false, put_device_errors, 0,
	  "Transfers that failed." },
	{ "swapkit_device_io_duration_seconds", HISTOGRAM, "seconds", false,
	  put_device_times, 0, "How long transfers took." },
	{ "swapkit_device_free_bytes", GAUGE, "bytes", true, put_free, 0,
	  "Free blocks of a device." },
	{ "swapkit_device_free_runs", GAUGE, NULL, true, put_free_runs, 0,
	  "Runs of free blocks, of 2^order to 2^(order+1)-1 blocks." },
	{ "swapkit_device_largest_free_run_bytes", GAUGE, "bytes", true,
	  put_largest, 0, "The longest run of free blocks." },
	{ "swapkit_device_fragmentation_ratio", GAUGE, "ratio", true,
	  put_fragmentation, 0, "The share of the free blocks in runs too "
	  "short for a cluster; a sum means nothing." },

	{ "swapkit_object", INFO, NULL, true, put_object_info, 0,
	  "An object, by its number, and whose it is." },
	{ "swapkit_object_size_bytes", GAUGE, "bytes", true, put_object_u64,
	  O(size_bytes), "The size of an object." },
	{ "swapkit_object_resident_bytes", GAUGE, "bytes", true,
	  put_object_u64, O(resident_bytes), "What of it is in RAM." },
	{ "swapkit_object_swapped_bytes", GAUGE, "bytes", true,
	  put_object_u64, O(swapped_bytes), "What of it is out of RAM." },
	{ "swapkit_object_wired_bytes", GAUGE, "bytes", false, put_object_u64,
	  O(wired_bytes), "What of it may not be paged out." },
	{ "swapkit_object_poisoned_bytes", GAUGE, "bytes", false,
	  put_object_u64, O(poisoned_bytes), "What of it is lost." },
	{ "swapkit_object_ram_limit_bytes", GAUGE, "bytes", false,
	  put_object_u64, O(ram_limit_bytes), "Its RAM limit; 0 is none." },
	{ "swapkit_object_swap_limit_bytes", GAUGE, "bytes", false,
	  put_object_u64, O(swap_limit_bytes), "Its swap limit; 0 is none." },
	{ "swapkit_object_pagein_bytes", COUNTER, "bytes", false,
	  put_object_pages, O(pagein_pages), "Pages of it brought in." },
	{ "swapkit_object_pageout_bytes", COUNTER, "bytes", false,
	  put_object_pages, O(pageout_pages), "Pages of it written out." },
	{ "swapkit_object_copies", GAUGE, NULL, false, put_object_u64,
	  O(copies), "Copies of it, as a fork makes them." },
	{ "swapkit_object_shared_bytes", GAUGE, "bytes", false,
	  put_object_u64, O(shared_bytes),
	  "What a copy has in its source and not itself." },
	{ "swapkit_user_charged_bytes", GAUGE, "bytes", false, put_user_u64,
	  U(charged_bytes), "Sizes of a user's objects." },
	{ "swapkit_user_limit_bytes", GAUGE, "bytes", false, put_user_u64,
	  U(limit_bytes), "What a user may be charged; 0 is no limit." },
};

/* ------------------------------------------------------------- exposition */

static void
put_family(struct out *o, const struct openmetrics_pager pagers[], size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct export_snapshot *snapshot = pagers[i].snapshot;
		const struct swap_stats *stats = NULL;

		o->pager = &pagers[i];
		if (snapshot != NULL)
			stats = &snapshot->stats;
		else if (o->family->put != put_up)
			continue;
		if (stats != NULL && !o->family->kernel &&
		    strcmp(stats->provider, "kernel") == 0)
			continue;
		o->family->put(o, stats);
	}
}

int
openmetrics_text(const struct openmetrics_pager pagers[], size_t n,
		 unsigned flags, char **ret_text, size_t *ret_len)
{
	struct out o = { .flags = flags };

	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		o.family = &families[i];
		o.begun = false;
		put_family(&o, pagers, n);
	}
	if (!(flags & OPENMETRICS_PROMETHEUS))
		text_string(&o.text, "# EOF\n");
	if (text_end(&o.text) < 0) {
		text_clear(&o.text);
		return -ENOMEM;
	}
	*ret_text = o.text.buf;
	*ret_len = o.text.len;
	return 0;
}

static int
write_all(FILE *file, const struct text *text)
{
	errno = 0;
	if (fwrite(text->buf, 1, text->len, file) == text->len)
		return 0;
	return errno != 0 ? -errno : -EIO;
}

int
openmetrics_write(FILE *file, const struct openmetrics_pager pagers[],
		  size_t n, unsigned flags)
{
	struct text text = { 0 };
	int r = openmetrics_text(pagers, n, flags, &text.buf, &text.len);

	if (r == 0)
		r = write_all(file, &text);
	text_clear(&text);
	return r;
}

int
openmetrics_list(FILE *file)
{
	struct out o = { .flags = OPENMETRICS_PROMETHEUS };
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		const struct family *f = o.family = &families[i];

		put_name(&o, true);
		text_string(&o.text, " ");
		text_string(&o.text, type_names[f->type]);
		text_string(&o.text, " ");
		text_string(&o.text, f->unit != NULL ? f->unit : "-");
		text_string(&o.text, " ");
		text_string(&o.text, f->help);
		text_string(&o.text, "\n");
	}
	r = text_end(&o.text) < 0 ? -ENOMEM : write_all(file, &o.text);
	text_clear(&o.text);
	return r;
}
