/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One document of everything.
 *
 * The members come from the tables of json.c where these have them, so that a
 * device looks alike here and in the snapshot; what is added is an order that
 * people can read, times, fragmentation, and latencies with their bounds.
 *
 *	X1  the order of members is always the same;
 *	X2  whole numbers are counts, or carry their unit in the name; spans and
 *	    times are seconds, as real numbers;
 *	X3  what a provider does not know is left out, not zero: the kernel's swap
 *	    has no RAM budget for maps and measures no faults.
 *
 * The form "delta" has the same shape.  What only grows is there an object of
 * what was added and how much that is a second; latencies have only what came
 * since; everything else is as it is now.  Where the pager has been started
 * anew, what came since is all there is.
 */
#include "export.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../util.h"
#include "json.h"

/* What a document is made of. */
struct making {
	const struct export_snapshot *now;
	const struct swap_stats *stats;	/* of now */
	/* Before it; NULL: not a delta.  All zero: the pager is another one. */
	const struct swap_stats *before;
	double		 seconds;	/* between them */
	bool		 kernel;
};

/* What only grows. */
static const char *const device_counters[] = {
	"read_bytes", "written_bytes", "reads", "writes", "read_errors",
	"write_errors", "discards", "discarded_bytes", NULL,
};
static const char *const object_counters[] = {
	"pagein_pages", "pageout_pages", NULL,
};

/* What the kernel tells of its devices and of processes. */
static const char *const kernel_device[] = {
	"path", "type", "priority", "size_bytes", "used_bytes", "read_bytes",
	"written_bytes", "reads", "writes", NULL,
};
static const char *const kernel_object[] = {
	"id", "uid", "pid", "command", "size_bytes", "resident_bytes",
	"swapped_bytes", NULL,
};
static const char *const kernel_counters[] = {
	"faults", "pagein_pages", "pageout_pages", NULL,
};

static bool
is_among(const char *const names[], const char *name)
{
	for (; *names != NULL; names++)
		if (strcmp(*names, name) == 0)
			return true;
	return false;
}

/* -------------------------------------------------------------- the values */

static json_t *
integer(uint64_t value)
{
	return json_integer(value > INT64_MAX ? INT64_MAX :
			    (json_int_t)value);
}

static json_t *
seconds_of(uint64_t usec)
{
	return json_real((double)usec / 1e6);
}

void
export_time(uint64_t usec, char ret_text[EXPORT_TIME_LEN])
{
	time_t seconds = (time_t)(usec / 1000000u);
	char day[24] = "";
	struct tm tm;

	if (gmtime_r(&seconds, &tm) != NULL)
		strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm);
	format_cut(ret_text, EXPORT_TIME_LEN, "%s.%06uZ", day,
		   (unsigned)(usec % 1000000u));
}

static json_t *
time_of(uint64_t usec)
{
	char text[EXPORT_TIME_LEN];

	export_time(usec, text);
	return json_string(text);
}

/* A list, with @item, which is given away, added.  NULL: no memory. */
static json_t *
list_with(json_t *list, json_t *item)
{
	if (json_array_append_new(list, item) == 0)
		return list;
	json_decref(list);
	return NULL;
}

/* The same for an object and a member. */
static json_t *
object_with(json_t *object, const char *name, json_t *value)
{
	if (json_object_set_new(object, name, value) == 0)
		return object;
	json_decref(object);
	return NULL;
}

/* Keep only those members whose names are in the list. */
static void
keep_members(json_t *object, const char *const names[])
{
	const char *name;
	json_t *value;
	void *next;

	json_object_foreach_safe(object, next, name, value) {
		if (!is_among(names, name))
			json_object_del(object, name);
	}
}

/* --------------------------------------------------------------- a delta */

/* Never less than nothing: a device can have been turned off and on again. */
static uint64_t
added(uint64_t now, uint64_t before)
{
	return now >= before ? now - before : now;
}

static json_t *
rate(const struct making *m, uint64_t count)
{
	return json_pack("{s:o,s:f}", "delta", integer(count), "per_second",
			 m->seconds > 0 ? (double)count / m->seconds : 0.0);
}

/*
 * In a delta, put rates in place of counters: of all members, or with @names
 * of those only.  @before, which is given away, has the same members, or is
 * NULL for zeros.  NULL: no memory.
 */
static json_t *
with_rates(const struct making *m, json_t *now, json_t *before,
	   const char *const names[])
{
	const char *name;
	json_t *value;
	void *next;

	if (m->before == NULL)
		return now;
	json_object_foreach_safe(now, next, name, value) {
		json_int_t old = json_integer_value(json_object_get(before,
								    name));

		if (names != NULL && !is_among(names, name))
			continue;
		now = object_with(now, name, rate(m, added(
			(uint64_t)json_integer_value(value), (uint64_t)old)));
		if (now == NULL)
			break;
	}
	json_decref(before);
	return now;
}

/* ------------------------------------------------------------- latencies */

static json_t *
bucket(unsigned class, uint64_t count)
{
	if (class + 1 == SWAP_LATENCY_CLASSES)
		return json_pack("{s:n,s:o}", "below_seconds", "count",
				 integer(count));
	return json_pack("{s:f,s:o}", "below_seconds",
			 (double)(UINT64_C(1) << (class + 10)) / 1e9,
			 "count", integer(count));
}

/* @before NULL: none. */
static json_t *
latency(const struct swap_latency *now, const struct swap_latency *before)
{
	static const struct swap_latency none;
	json_t *buckets = json_array();
	uint64_t count = 0, sum;

	if (before == NULL || now->count < before->count)
		before = &none;
	for (unsigned i = 0; i < SWAP_LATENCY_CLASSES; i++) {
		uint64_t n = added(now->n[i], before->n[i]);

		count += n;
		if (n > 0)
			buckets = list_with(buckets, bucket(i, n));
	}
	sum = added(now->sum_nsec, before->sum_nsec);
	return json_pack("{s:o,s:f,s:o*,s:o}", "count", integer(count),
			 "sum_seconds", (double)sum / 1e9, "mean_seconds",
			 count > 0 ? json_real((double)sum / 1e9 /
					       (double)count) : NULL,
			 "buckets", buckets);
}

static json_t *
latencies(const struct making *m)
{
	const struct swap_stats *a = m->before, *b = m->stats;

	return json_pack("{s:o,s:o,s:o}",
			 "fault_zero", latency(&b->fault_zero_time, a == NULL ?
					       NULL : &a->fault_zero_time),
			 "fault_in", latency(&b->fault_in_time, a == NULL ?
					     NULL : &a->fault_in_time),
			 "fault_write", latency(&b->fault_write_time,
						a == NULL ? NULL :
						&a->fault_write_time));
}

/* ---------------------------------------------------------------- devices */

static const struct swap_device_stats *
device_before(const struct making *m, const char *path)
{
	for (size_t i = 0; m->before != NULL && i < m->before->ndevices; i++)
		if (strcmp(m->before->devices[i].path, path) == 0)
			return &m->before->devices[i];
	return NULL;
}

static json_t *
fragmentation(const struct making *m, const struct swap_device_map *map)
{
	uint64_t page = m->stats->page_bytes;
	json_t *histogram = json_array();

	for (unsigned i = 0; i < SWAP_RUN_CLASSES; i++)
		if (map->runs[i] > 0)
			histogram = list_with(histogram, json_pack(
				"{s:i,s:o,s:o}", "order", (int)i, "runs",
				integer(map->runs[i]), "free_bytes",
				integer(map->blocks[i] * page)));
	return json_pack("{s:o,s:o,s:o,s:i,s:f,s:o}",
			 "free_bytes", integer(map->nfree * page),
			 "runs", integer(map->nruns),
			 "largest_run_bytes", integer(map->largest * page),
			 "cluster_pages", (int)map->cluster_pages,
			 "short_run_ratio", (double)map->fragmentation / 1e3,
			 "histogram", histogram);
}

/* What json.c does not have. */
static json_t *
device_more(const struct making *m, json_t *json, size_t i,
	    const struct swap_device_stats *before)
{
	const struct swap_device_stats *now = &m->stats->devices[i];
	const struct swap_device_map *maps = m->now->maps;

	json_object_del(json, "read_time");
	json_object_del(json, "write_time");
	if (!m->kernel) {
		json = object_with(json, "read_latency",
				   latency(&now->read_time, before == NULL ?
					   NULL : &before->read_time));
		json = object_with(json, "write_latency",
				   latency(&now->write_time, before == NULL ?
					   NULL : &before->write_time));
	}
	if (maps != NULL && maps[i].path[0] != '\0')
		json = object_with(json, "fragmentation",
				   fragmentation(m, &maps[i]));
	return json;
}

static json_t *
device(const struct making *m, size_t i)
{
	const struct swap_device_stats *now = &m->stats->devices[i];
	const struct swap_device_stats *before = device_before(m, now->path);
	json_t *json = json_from_device_stats(now);

	if (m->kernel)
		keep_members(json, kernel_device);
	json = with_rates(m, json, before == NULL ? NULL :
			  json_from_device_stats(before), device_counters);
	return device_more(m, json, i, before);
}

static json_t *
devices(const struct making *m)
{
	json_t *list = json_array();

	for (size_t i = 0; i < m->stats->ndevices; i++)
		list = list_with(list, device(m, i));
	return list;
}

/* ---------------------------------------------------------------- objects */

/* Both are in the order of slots, so that the same one is mostly at @i. */
static const struct swap_object_stats *
object_before(const struct making *m, uint64_t id, size_t i)
{
	const struct swap_stats *before = m->before;

	if (before == NULL)
		return NULL;
	if (i < before->nobjects && before->objects[i].id == id)
		return &before->objects[i];
	for (i = 0; i < before->nobjects; i++)
		if (before->objects[i].id == id)
			return &before->objects[i];
	return NULL;
}

static json_t *
object(const struct making *m, size_t i)
{
	const struct swap_object_stats *now = &m->stats->objects[i];
	const struct swap_object_stats *before = object_before(m, now->id, i);
	json_t *json = json_from_object_stats(now);

	if (m->kernel)
		keep_members(json, kernel_object);
	return with_rates(m, json, before == NULL ? NULL :
			  json_from_object_stats(before), object_counters);
}

static json_t *
objects(const struct making *m)
{
	json_t *list = json_array();

	for (size_t i = 0; i < m->stats->nobjects; i++)
		list = list_with(list, object(m, i));
	return list;
}

/* ----------------------------------------------------------------- events */

json_t *
export_event(const struct swap_event *event)
{
	json_t *json = json_from_event(event), *value;

	/* The number of microseconds gives way to what people read. */
	json_object_del(json, "time_usec");
	json = object_with(json, "time", time_of(event->time_usec));
	json = object_with(json, "time_seconds", seconds_of(event->time_usec));
	value = json_object_get(json, "object");
	if (json_integer_value(value) == 0)
		json_object_set_new(json, "object", json_null());
	if (event->pid == 0)
		json_object_set_new(json, "pid", json_null());
	if (event->device[0] == '\0')
		json_object_set_new(json, "device", json_null());
	return json;
}

static json_t *
event_counts(const struct making *m)
{
	json_t *json = json_object();

	for (unsigned i = 0; i < SWAP_EVENT_KINDS; i++) {
		uint64_t n = m->stats->event_counts[i];

		json = object_with(json, swap_event_name(
			(enum swap_event_kind)i), m->before == NULL ?
			integer(n) : rate(m, added(n,
						   m->before->event_counts[i])));
	}
	return json;
}

static json_t *
events(const struct making *m)
{
	uint64_t after = m->before != NULL ? m->before->nevents_ever : 0;
	json_t *list = json_array();

	for (size_t i = 0; i < m->stats->nevents; i++)
		if (m->stats->events[i].number > after)
			list = list_with(list,
					 export_event(&m->stats->events[i]));
	return json_pack("{s:o,s:o,s:o}", "last_number",
			 integer(m->stats->nevents_ever), "counts",
			 event_counts(m), "list", list);
}

/* --------------------------------------------------------------- sections */

static json_t *
pager(const struct making *m)
{
	const struct swap_stats *s = m->stats;
	json_t *json = json_pack("{s:s,s:s,s:s,s:o,s:i,s:o}",
				 "name", s->pager, "provider", s->provider,
				 "version", s->version, "uptime_seconds",
				 seconds_of(s->uptime_usec), "page_bytes",
				 (int)s->page_bytes, "objects",
				 integer(s->nobjects_live));

	if (m->kernel || json == NULL)
		return json;
	if (json_object_update_new(json, json_pack(
		"{s:i,s:i,s:i,s:i,s:s}", "pid", (int)s->pid, "clients",
		(int)s->clients, "cluster_pages", (int)s->cluster_pages,
		"writes_in_flight", (int)s->async_writes, "io", s->io)) == 0)
		return json;
	json_decref(json);
	return NULL;
}

static json_t *
ram(const struct making *m)
{
	const struct swap_stats *s = m->stats;
	json_t *json = json_pack("{s:o,s:o,s:o}", "budget_bytes",
				 integer(s->ram_bytes), "resident_bytes",
				 integer(s->resident_bytes), "wired_bytes",
				 integer(s->wired_bytes));

	return m->kernel ? json :
	       object_with(json, "cache_bytes", integer(s->cache_bytes));
}

static json_t *
swap(const struct making *m)
{
	const struct swap_stats *s = m->stats;
	json_t *json = json_pack("{s:o,s:o,s:o}", "size_bytes",
				 integer(s->swap_bytes), "used_bytes",
				 integer(s->swap_used_bytes), "swapped_bytes",
				 integer(s->swapped_bytes));

	if (m->kernel)
		return json;
	json = object_with(json, "set_aside_bytes",
			   integer(s->set_aside_bytes));
	json = object_with(json, "almost_full", json_boolean(s->almost_full));
	return object_with(json, "full", json_boolean(s->full));
}

static json_t *
metadata(const struct making *m)
{
	const struct swap_stats *s = m->stats;

	return json_pack("{s:o,s:o,s:o,s:b}", "total_bytes",
			 integer(s->metadata_bytes), "map_bytes",
			 integer(s->map_bytes), "map_limit_bytes",
			 integer(s->map_limit_bytes), "full",
			 (int)s->metadata_full);
}

static json_t *
charge(const struct making *m)
{
	const struct swap_stats *s = m->stats;
	json_t *users = json_array();

	for (size_t i = 0; i < s->nusers; i++)
		users = list_with(users, json_from_user_stats(&s->users[i]));
	return json_pack("{s:o,s:o,s:b,s:b,s:b,s:o}",
			 "charged_bytes", integer(s->charged_bytes),
			 "chargeable_bytes", integer(s->chargeable_bytes),
			 "enforces_total",
			 (s->overcommit & SWAP_OVERCOMMIT_TOTAL) != 0,
			 "enforces_users",
			 (s->overcommit & SWAP_OVERCOMMIT_USER) != 0,
			 "counts_ram",
			 (s->overcommit & SWAP_OVERCOMMIT_RAM) != 0,
			 "users", users);
}

static json_t *
counters(const struct making *m)
{
	json_t *json = json_from_counters(&m->stats->counters);

	if (m->kernel)
		keep_members(json, kernel_counters);
	return with_rates(m, json, m->before == NULL ? NULL :
			  json_from_counters(&m->before->counters), NULL);
}

/* ------------------------------------------------------------ the document */

static json_t *
head(const struct making *m)
{
	return json_pack("{s:i,s:s,s:o,s:o}", "schema", EXPORT_SCHEMA, "kind",
			 m->before != NULL ? "delta" : "snapshot", "time",
			 time_of(m->now->time_usec), "time_seconds",
			 seconds_of(m->now->time_usec));
}

static json_t *
document(const struct making *m)
{
	const struct export_snapshot *now = m->now;
	json_t *json = head(m);

	if (m->before != NULL)
		json = object_with(json, "interval_seconds",
				   json_real(m->seconds));
	json = object_with(json, "pager", pager(m));
	json = object_with(json, "ram", ram(m));
	json = object_with(json, "swap", swap(m));
	if (!m->kernel) {
		json = object_with(json, "metadata", metadata(m));
		json = object_with(json, "charge", charge(m));
	}
	if (now->what & EXPORT_TUNABLES)
		json = object_with(json, "tunables", json_from_tunables(
			now->tunables, now->ntunables));
	json = object_with(json, "devices", devices(m));
	if (now->what & EXPORT_OBJECTS)
		json = object_with(json, "objects", objects(m));
	json = object_with(json, "counters", counters(m));
	if (!m->kernel) {
		json = object_with(json, "latencies", latencies(m));
		json = object_with(json, "events", events(m));
	}
	return json;
}

static struct making
making(const struct export_snapshot *now)
{
	return (struct making){
		.now = now,
		.stats = &now->stats,
		.kernel = strcmp(now->stats.provider, "kernel") == 0,
	};
}

json_t *
export_document(const struct export_snapshot *snapshot)
{
	struct making m = making(snapshot);

	return document(&m);
}

json_t *
export_delta(const struct export_snapshot *before,
	     const struct export_snapshot *now)
{
	static const struct swap_stats nothing;
	struct making m = making(now);
	bool same = before->stats.pid == now->stats.pid &&
		    before->stats.uptime_usec <= now->stats.uptime_usec;

	m.before = same ? &before->stats : &nothing;
	m.seconds = (double)(now->stats.uptime_usec - m.before->uptime_usec) /
		    1e6;
	return document(&m);
}

/* ------------------------------------------------------------------ fields */

/*
 * What is wanted, as a tree: an object has the names below one another, true
 * is everything below.  @path is cut up here.
 */
static int
want(json_t *tree, char *path)
{
	char *name = path, *dot = strchr(path, '.');
	json_t *below;

	if (dot != NULL)
		*dot = '\0';
	if (name[0] == '\0')
		return -EINVAL;
	below = json_object_get(tree, name);
	if (json_is_true(below))
		return 0;
	if (dot == NULL)
		return json_object_set_new(tree, name, json_true()) < 0 ?
		       -ENOMEM : 0;
	if (below == NULL) {
		if (json_object_set_new(tree, name, json_object()) < 0)
			return -ENOMEM;
		below = json_object_get(tree, name);
	}
	return want(below, dot + 1);
}

static int
want_all(json_t *tree, const char *fields, struct swap_error *error)
{
	char *copy = strdup(fields), *rest = copy, *path;
	int r = copy != NULL ? 0 : -ENOMEM;

	while (r == 0 && (path = strsep(&rest, ",")) != NULL)
		r = want(tree, path);
	free(copy);
	if (r == -EINVAL)
		return error_set(error, r, "--fields %s: a name is empty",
				 fields);
	return r < 0 ? error_set(error, r, "out of memory, or no UTF-8") : 0;
}

static int
has_all(const json_t *json, json_t *tree, struct swap_error *error)
{
	const char *name;
	json_t *below;

	json_object_foreach(tree, name, below) {
		if (json_object_get(json, name) == NULL)
			return error_set(error, -ENOENT, "there is no field "
					 "'%s' here; without --fields all are "
					 "shown", name);
	}
	return 0;
}

static int
select_in(json_t *json, json_t *tree, struct swap_error *error)
{
	const char *name;
	json_t *value;
	void *next;
	size_t i;
	int r = 0;

	if (json_is_true(tree))
		return 0;
	if (json_is_array(json)) {
		json_array_foreach(json, i, value) {
			r = select_in(value, tree, error);
			if (r < 0)
				return r;
		}
		return 0;
	}
	r = has_all(json, tree, error);
	if (r < 0)
		return r;
	json_object_foreach_safe(json, next, name, value) {
		json_t *below = json_object_get(tree, name);

		if (below == NULL)
			json_object_del(json, name);
		else
			r = select_in(value, below, error);
		if (r < 0)
			return r;
	}
	return 0;
}

int
export_select(json_t *document, const char *fields, struct swap_error *error)
{
	json_t *tree = json_pack("{s:b,s:b,s:b,s:{s:b}}", "schema", 1, "kind",
				 1, "time", 1, "pager", "name", 1);
	int r;

	if (tree == NULL)
		return error_set(error, -ENOMEM, "out of memory");
	r = want_all(tree, fields, error);
	if (r == 0)
		r = select_in(document, tree, error);
	json_decref(tree);
	return r;
}

/* Does @field mean what is at @path, or something above or below it? */
static bool
concerns(const char *field, size_t len, const char *path)
{
	size_t n = strlen(path), least = len < n ? len : n;

	return strncmp(field, path, least) == 0 &&
	       (len == n || (len < n ? path : field)[least] == '.');
}

unsigned
export_needs(const char *fields)
{
	unsigned needs = 0;

	if (fields == NULL)
		return EXPORT_OBJECTS | EXPORT_MAPS | EXPORT_TUNABLES;
	for (;; fields++) {
		size_t len = strcspn(fields, ",");

		if (concerns(fields, len, "objects"))
			needs |= EXPORT_OBJECTS;
		if (concerns(fields, len, "devices.fragmentation"))
			needs |= EXPORT_MAPS;
		if (concerns(fields, len, "tunables"))
			needs |= EXPORT_TUNABLES;
		fields += len;
		if (*fields == '\0')
			return needs;
	}
}
