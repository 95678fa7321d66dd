/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The snapshot, tunables and maps of devices as JSON.
 *
 * Each structure is described by a table of its members (name, kind, place),
 * and two functions walk a table, one in each direction: a member that is
 * added to a table exists in both.  Lists are walked in the same way, so that
 * what differs between them is a table and a size.  Reading is strict, since
 * what is read comes from a socket: a number must fit its member, a text its
 * array.
 *
 * What a swapd sends is written as text at once, since a snapshot may have ten
 * thousand objects and is taken often; a jansson value of the same is that text
 * parsed.  The objects of such a text are read back without jansson, too
 * (json-scan.c).
 */
#include "json-impl.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "scan.h"
#include "text.h"

#define U64(s, m)	{ #m, KIND_U64, 0, offsetof(struct s, m) }
#define LATER_U64(s, m)	{ #m, KIND_U64, MEMBER_LATER, offsetof(struct s, m) }
#define LATER_BOOL(s, m) { #m, KIND_BOOL, MEMBER_LATER, offsetof(struct s, m) }
#define U32(s, m)	{ #m, KIND_U32, 0, offsetof(struct s, m) }
#define I32(s, m)	{ #m, KIND_I32, 0, offsetof(struct s, m) }
#define BOOL(s, m)	{ #m, KIND_BOOL, 0, offsetof(struct s, m) }
#define TEXT(s, m)	{ #m, KIND_TEXT, sizeof(((struct s *)0)->m), \
			  offsetof(struct s, m) }
#define LATENCY(s, m)	{ #m, KIND_LATENCY, 0, offsetof(struct s, m) }
#define FLAG(s, n, bit)	{ n, KIND_FLAG, bit, offsetof(struct s, flags) }

_Static_assert(sizeof(int) == sizeof(int32_t), "priority is a KIND_I32");
_Static_assert(sizeof(enum swap_event_kind) == sizeof(uint32_t),
	       "a kind is read as its number");
_Static_assert(sizeof(unsigned) == sizeof(uint32_t), "flags are KIND_U32");

static const struct member device_members[] = {
	TEXT(swap_device_stats, path),
	TEXT(swap_device_stats, type),
	I32(swap_device_stats, priority),
	FLAG(swap_device_stats, "closing", SWAP_DEVICE_CLOSING),
	FLAG(swap_device_stats, "degraded", SWAP_DEVICE_DEGRADED),
	FLAG(swap_device_stats, "gone", SWAP_DEVICE_GONE),
	FLAG(swap_device_stats, "discards_pages", SWAP_DEVICE_DISCARDS),
	U64(swap_device_stats, first_block),
	U64(swap_device_stats, size_bytes),
	U64(swap_device_stats, used_bytes),
	U64(swap_device_stats, bad_bytes),
	U64(swap_device_stats, read_bytes),
	U64(swap_device_stats, written_bytes),
	U64(swap_device_stats, reads),
	U64(swap_device_stats, writes),
	U64(swap_device_stats, read_errors),
	U64(swap_device_stats, write_errors),
	U64(swap_device_stats, discards),
	U64(swap_device_stats, discarded_bytes),
	U32(swap_device_stats, inflight),
	LATENCY(swap_device_stats, read_time),
	LATENCY(swap_device_stats, write_time),
};

static const struct member object_members[] = {
	U64(swap_object_stats, id),
	TEXT(swap_object_stats, name),
	U32(swap_object_stats, uid),
	I32(swap_object_stats, pid),
	TEXT(swap_object_stats, command),
	FLAG(swap_object_stats, "noswap", SWAP_OBJECT_NOSWAP),
	FLAG(swap_object_stats, "exact", SWAP_OBJECT_EXACT),
	TEXT(swap_object_stats, map_kind),
	U32(swap_object_stats, regions),
	U32(swap_object_stats, writers),
	U64(swap_object_stats, size_bytes),
	U64(swap_object_stats, resident_bytes),
	U64(swap_object_stats, swapped_bytes),
	U64(swap_object_stats, block_bytes),
	U64(swap_object_stats, wired_bytes),
	U64(swap_object_stats, poisoned_bytes),
	U64(swap_object_stats, reserved_bytes),
	U64(swap_object_stats, map_bytes),
	U64(swap_object_stats, ram_limit_bytes),
	U64(swap_object_stats, swap_limit_bytes),
	U64(swap_object_stats, pagein_pages),
	U64(swap_object_stats, pageout_pages),
	LATER_U64(swap_object_stats, source_id),
	LATER_U64(swap_object_stats, copies),
	LATER_U64(swap_object_stats, shared_bytes),
	LATER_BOOL(swap_object_stats, orphan),
};

static const struct member user_members[] = {
	U32(swap_user_stats, uid),
	U64(swap_user_stats, charged_bytes),
	U64(swap_user_stats, limit_bytes),
};

static const struct member counter_members[] = {
	U64(swap_counters, faults),
	U64(swap_counters, faults_zero),
	U64(swap_counters, faults_in),
	U64(swap_counters, faults_write),
	U64(swap_counters, faults_busy),
	U64(swap_counters, faults_starved),
	U64(swap_counters, pageins),
	U64(swap_counters, pagein_pages),
	U64(swap_counters, pageouts),
	U64(swap_counters, pageout_pages),
	U64(swap_counters, pageout_clean),
	U64(swap_counters, pageout_rescued),
	U64(swap_counters, pageback_pages),
	U64(swap_counters, released_pages),
	U64(swap_counters, poisoned_pages),
	U64(swap_counters, free_deferred),
	U64(swap_counters, free_completed),
	U64(swap_counters, almost_full_events),
	U64(swap_counters, full_events),
	U64(swap_counters, metadata_full_events),
	U64(swap_counters, charges_refused),
	U64(swap_counters, readahead_pages),
	U64(swap_counters, readahead_used),
	U64(swap_counters, readahead_wasted),
	U64(swap_counters, cache_hits),
	U64(swap_counters, refaults),
	U64(swap_counters, pageout_fill),
	U64(swap_counters, pagein_fill),
	U64(swap_counters, limit_waits),
	U64(swap_counters, async_waits),
	U64(swap_counters, slow_transfers),
	LATER_U64(swap_counters, copy_pages),
	LATER_U64(swap_counters, copy_pushed_pages),
};

_Static_assert(sizeof(struct swap_counters) ==
	       ARRAY_SIZE(counter_members) * sizeof(uint64_t),
	       "every counter has its row");

static const struct member stats_members[] = {
	TEXT(swap_stats, provider),
	TEXT(swap_stats, pager),
	TEXT(swap_stats, version),
	I32(swap_stats, pid),
	U32(swap_stats, page_bytes),
	U64(swap_stats, uptime_usec),
	U64(swap_stats, ram_bytes),
	U64(swap_stats, resident_bytes),
	U64(swap_stats, wired_bytes),
	U64(swap_stats, swapped_bytes),
	U64(swap_stats, swap_bytes),
	U64(swap_stats, swap_used_bytes),
	U64(swap_stats, metadata_bytes),
	U64(swap_stats, map_bytes),
	U64(swap_stats, map_limit_bytes),
	U64(swap_stats, charged_bytes),
	U64(swap_stats, chargeable_bytes),
	U64(swap_stats, set_aside_bytes),
	U64(swap_stats, cache_bytes),
	U32(swap_stats, clients),
	U32(swap_stats, cluster_pages),
	U32(swap_stats, async_writes),
	TEXT(swap_stats, io),
	BOOL(swap_stats, almost_full),
	BOOL(swap_stats, full),
	BOOL(swap_stats, metadata_full),
	U32(swap_stats, overcommit),
	LATENCY(swap_stats, fault_zero_time),
	LATENCY(swap_stats, fault_in_time),
	LATENCY(swap_stats, fault_write_time),
	U64(swap_stats, nobjects_live),
	U64(swap_stats, nevents_ever),
};

static const struct member event_members[] = {
	U64(swap_event, number),
	U64(swap_event, time_usec),
	{ "kind", KIND_EVENT, 0, offsetof(struct swap_event, kind) },
	U64(swap_event, object),
	I32(swap_event, pid),
	TEXT(swap_event, device),
	TEXT(swap_event, message),
};

/* How many events of a kind, as it goes over the wire. */
struct event_count {
	enum swap_event_kind kind;
	uint64_t	count;
};

static const struct member event_count_members[] = {
	{ "kind", KIND_EVENT, 0, offsetof(struct event_count, kind) },
	U64(event_count, count),
};

static const struct member tunable_members[] = {
	TEXT(swap_tunable, name),
	TEXT(swap_tunable, value),
	TEXT(swap_tunable, default_value),
	TEXT(swap_tunable, unit),
	TEXT(swap_tunable, range),
	TEXT(swap_tunable, summary),
};

static const struct member map_members[] = {
	TEXT(swap_device_map, path),
	U64(swap_device_map, nblocks),
	U64(swap_device_map, nfree),
	U64(swap_device_map, nruns),
	U64(swap_device_map, largest),
	U32(swap_device_map, cluster_pages),
	U32(swap_device_map, fragmentation),
};

static const struct member cell_members[] = {
	U64(swap_map_cell, nblocks),
	U64(swap_map_cell, nfree),
};

/* One line of a histogram, as it goes over the wire. */
struct runs {
	uint32_t	order;
	uint64_t	runs;
	uint64_t	blocks;
};

static const struct member runs_members[] = {
	U32(runs, order),
	U64(runs, runs),
	U64(runs, blocks),
};

/* ---------------------------------------------------------------- writing */

/* JSON integers have 64 bits with a sign here. */
static void
number_write(struct text *t, uint64_t value)
{
	text_u64(t, value > INT64_MAX ? INT64_MAX : value);
}

static void
latency_write(struct text *t, const struct swap_latency *latency)
{
	text_string(t, "{\"count\":");
	number_write(t, latency->count);
	text_string(t, ",\"sum_nsec\":");
	number_write(t, latency->sum_nsec);
	text_string(t, ",\"classes\":[");
	for (size_t i = 0; i < SWAP_LATENCY_CLASSES; i++) {
		text_string(t, i > 0 ? "," : "");
		number_write(t, latency->n[i]);
	}
	text_string(t, "]}");
}

static void
event_kind_write(struct text *t, uint32_t kind)
{
	const char *name = swap_event_name((enum swap_event_kind)kind);

	text_json(t, name != NULL ? name : "", SIZE_MAX);
}

static void
member_write(struct text *t, const struct member *m, const void *base)
{
	const char *place = (const char *)base + m->offset;
	struct swap_latency latency;
	uint64_t u64 = 0;
	uint32_t u32 = 0;
	int32_t i32 = 0;
	bool flag = false;

	switch (m->kind) {
	case KIND_U64:
		memcpy(&u64, place, sizeof(u64));
		number_write(t, u64);
		break;
	case KIND_I32:
		memcpy(&i32, place, sizeof(i32));
		text_i64(t, i32);
		break;
	case KIND_BOOL:
		memcpy(&flag, place, sizeof(flag));
		text_string(t, flag ? "true" : "false");
		break;
	case KIND_TEXT:
		text_json(t, place, m->aux);
		break;
	case KIND_LATENCY:
		memcpy(&latency, place, sizeof(latency));
		latency_write(t, &latency);
		break;
	case KIND_U32:
	case KIND_FLAG:
	case KIND_EVENT:
		memcpy(&u32, place, sizeof(u32));
		if (m->kind == KIND_U32)
			number_write(t, u32);
		else if (m->kind == KIND_EVENT)
			event_kind_write(t, u32);
		else
			text_string(t, u32 & m->aux ? "true" : "false");
		break;
	}
}

/* The members, one behind another, without the braces. */
static void
members_write(struct text *t, const struct member *m, size_t n,
	      const void *base)
{
	for (size_t i = 0; i < n; i++) {
		text_string(t, i > 0 ? ",\"" : "\"");
		text_string(t, m[i].name);
		text_string(t, "\":");
		member_write(t, &m[i], base);
	}
}

static void
object_write(struct text *t, const struct member *m, size_t n,
	     const void *base)
{
	text_string(t, "{");
	members_write(t, m, n, base);
	text_string(t, "}");
}

#define OBJECT_WRITE(t, members, base) \
	object_write(t, members, ARRAY_SIZE(members), base)

/* What comes between the values of a list. */
static void
comma_write(struct text *t, bool *any)
{
	text_string(t, *any ? "," : "");
	*any = true;
}

static void
devices_write(struct text *t, const struct swap_stats *stats)
{
	bool any = false;

	text_string(t, "[");
	for (size_t i = 0; i < stats->ndevices; i++) {
		comma_write(t, &any);
		OBJECT_WRITE(t, device_members, &stats->devices[i]);
	}
	text_string(t, "]");
}

static void
objects_write(struct text *t, const struct swap_stats *stats,
	      json_user_filter *keep, void *arg)
{
	bool any = false;

	text_string(t, "[");
	for (size_t i = 0; i < stats->nobjects; i++) {
		const struct swap_object_stats *object = &stats->objects[i];

		if (keep != NULL && !keep(arg, object->uid))
			continue;
		comma_write(t, &any);
		OBJECT_WRITE(t, object_members, object);
	}
	text_string(t, "]");
}

static void
users_write(struct text *t, const struct swap_stats *stats,
	    json_user_filter *keep, void *arg)
{
	bool any = false;

	text_string(t, "[");
	for (size_t i = 0; i < stats->nusers; i++) {
		const struct swap_user_stats *user = &stats->users[i];

		if (keep != NULL && !keep(arg, user->uid))
			continue;
		comma_write(t, &any);
		OBJECT_WRITE(t, user_members, user);
	}
	text_string(t, "]");
}

void
json_write_events(struct text *t, const struct swap_event events[], size_t n,
		  json_user_filter *keep, void *arg)
{
	bool any = false, all = keep == NULL || keep(arg, 0);

	text_string(t, "[");
	for (size_t i = 0; i < n; i++) {
		if (!all && (events[i].object != 0 || events[i].pid != 0))
			continue;
		comma_write(t, &any);
		OBJECT_WRITE(t, event_members, &events[i]);
	}
	text_string(t, "]");
}

static void
event_counts_write(struct text *t, const struct swap_stats *stats)
{
	bool any = false;

	text_string(t, "[");
	for (uint32_t i = 0; i < SWAP_EVENT_KINDS; i++) {
		const struct event_count count = {
			(enum swap_event_kind)i, stats->event_counts[i],
		};

		comma_write(t, &any);
		OBJECT_WRITE(t, event_count_members, &count);
	}
	text_string(t, "]");
}

void
json_write_stats(struct text *t, const struct swap_stats *stats,
		 json_user_filter *keep, void *arg)
{
	text_string(t, "{");
	members_write(t, stats_members, ARRAY_SIZE(stats_members), stats);
	text_string(t, ",\"counters\":");
	OBJECT_WRITE(t, counter_members, &stats->counters);
	text_string(t, ",\"devices\":");
	devices_write(t, stats);
	text_string(t, ",\"objects\":");
	objects_write(t, stats, keep, arg);
	text_string(t, ",\"users\":");
	users_write(t, stats, keep, arg);
	text_string(t, ",\"event_counts\":");
	event_counts_write(t, stats);
	text_string(t, ",\"events\":");
	json_write_events(t, stats->events, stats->nevents, keep, arg);
	text_string(t, "}");
}

/* -------------------------------------------------------- jansson's values */

/* The value of a text, which goes. */
static json_t *
text_value(struct text *t)
{
	json_t *json = NULL;

	if (text_end(t) == 0)
		json = json_loadb(t->buf, t->len, 0, NULL);
	text_clear(t);
	return json;
}

static json_t *
members_value(const struct member *m, size_t n, const void *base)
{
	struct text t = { 0 };

	object_write(&t, m, n, base);
	return text_value(&t);
}

#define MEMBERS_VALUE(members, base) \
	members_value(members, ARRAY_SIZE(members), base)

json_t *
json_from_device_stats(const struct swap_device_stats *device)
{
	return MEMBERS_VALUE(device_members, device);
}

json_t *
json_from_object_stats(const struct swap_object_stats *object)
{
	return MEMBERS_VALUE(object_members, object);
}

json_t *
json_from_user_stats(const struct swap_user_stats *user)
{
	return MEMBERS_VALUE(user_members, user);
}

json_t *
json_from_counters(const struct swap_counters *counters)
{
	return MEMBERS_VALUE(counter_members, counters);
}

json_t *
json_from_event(const struct swap_event *event)
{
	return MEMBERS_VALUE(event_members, event);
}

json_t *
json_from_tunable(const struct swap_tunable *tunable)
{
	return MEMBERS_VALUE(tunable_members, tunable);
}

json_t *
json_from_stats(const struct swap_stats *stats, json_user_filter *keep,
		void *arg)
{
	struct text t = { 0 };

	json_write_stats(&t, stats, keep, arg);
	return text_value(&t);
}

json_t *
json_from_tunables(const struct swap_tunable *tunables, size_t n)
{
	struct text t = { 0 };
	bool any = false;

	text_string(&t, "[");
	for (size_t i = 0; i < n; i++) {
		comma_write(&t, &any);
		OBJECT_WRITE(&t, tunable_members, &tunables[i]);
	}
	text_string(&t, "]");
	return text_value(&t);
}

static void
histogram_write(struct text *t, const struct swap_device_map *map)
{
	bool any = false;

	text_string(t, "[");
	for (uint32_t i = 0; i < SWAP_RUN_CLASSES; i++) {
		const struct runs runs = { i, map->runs[i], map->blocks[i] };

		if (runs.runs == 0)
			continue;
		comma_write(t, &any);
		OBJECT_WRITE(t, runs_members, &runs);
	}
	text_string(t, "]");
}

void
json_write_device_map(struct text *t, const struct swap_device_map *map)
{
	bool any = false;

	text_string(t, "{");
	members_write(t, map_members, ARRAY_SIZE(map_members), map);
	text_string(t, ",\"histogram\":");
	histogram_write(t, map);
	text_string(t, ",\"cells\":[");
	for (size_t i = 0; i < map->ncells; i++) {
		comma_write(t, &any);
		OBJECT_WRITE(t, cell_members, &map->cells[i]);
	}
	text_string(t, "]}");
}

json_t *
json_from_device_map(const struct swap_device_map *map)
{
	struct text t = { 0 };

	json_write_device_map(&t, map);
	return text_value(&t);
}

/* ---------------------------------------------------------------- reading */

static int
number_read(const json_t *json, int64_t min, int64_t max, int64_t *ret_value)
{
	int64_t value;

	if (!json_is_integer(json))
		return -EPROTO;
	value = json_integer_value(json);
	if (value < min || value > max)
		return -EPROTO;
	*ret_value = value;
	return 0;
}

static int
text_read(const json_t *json, char *place, size_t size)
{
	size_t len;

	if (!json_is_string(json))
		return -EPROTO;
	len = json_string_length(json);
	if (len >= size || strlen(json_string_value(json)) != len)
		return -EPROTO;
	memcpy(place, json_string_value(json), len);
	memset(place + len, 0, size - len);
	return 0;
}

static int
flag_read(const json_t *json, bool *ret_flag)
{
	if (!json_is_boolean(json))
		return -EPROTO;
	*ret_flag = json_is_true(json);
	return 0;
}

static int
integer_member_read(const struct member *m, const json_t *json, char *place)
{
	int64_t value = 0;
	uint64_t u64;
	uint32_t u32;
	int32_t i32;
	int r;

	if (m->kind == KIND_U64)
		r = number_read(json, 0, INT64_MAX, &value);
	else if (m->kind == KIND_U32)
		r = number_read(json, 0, UINT32_MAX, &value);
	else
		r = number_read(json, INT32_MIN, INT32_MAX, &value);
	if (r < 0)
		return r;
	u64 = (uint64_t)value;
	u32 = (uint32_t)value;
	i32 = (int32_t)value;
	if (m->kind == KIND_U64)
		memcpy(place, &u64, sizeof(u64));
	else if (m->kind == KIND_U32)
		memcpy(place, &u32, sizeof(u32));
	else
		memcpy(place, &i32, sizeof(i32));
	return 0;
}

static int
latency_read_json(const json_t *json, char *place)
{
	const json_t *list = json_object_get(json, "classes");
	struct swap_latency latency = { 0 };
	int64_t value;

	if (!json_is_object(json) || !json_is_array(list) ||
	    json_array_size(list) != SWAP_LATENCY_CLASSES ||
	    number_read(json_object_get(json, "count"), 0, INT64_MAX,
			&value) < 0)
		return -EPROTO;
	latency.count = (uint64_t)value;
	if (number_read(json_object_get(json, "sum_nsec"), 0, INT64_MAX,
			&value) < 0)
		return -EPROTO;
	latency.sum_nsec = (uint64_t)value;
	for (size_t i = 0; i < SWAP_LATENCY_CLASSES; i++) {
		if (number_read(json_array_get(list, i), 0, INT64_MAX,
				&value) < 0)
			return -EPROTO;
		latency.n[i] = (uint64_t)value;
	}
	memcpy(place, &latency, sizeof(latency));
	return 0;
}

static int
event_kind_read(const json_t *json, char *place)
{
	const char *name = json_string_value(json);

	for (uint32_t i = 0; name != NULL && i < SWAP_EVENT_KINDS; i++) {
		if (strcmp(name, swap_event_name((enum swap_event_kind)i)) != 0)
			continue;
		memcpy(place, &i, sizeof(i));
		return 0;
	}
	return -EPROTO;
}

static int
member_read(const struct member *m, const json_t *json, void *base)
{
	char *place = (char *)base + m->offset;
	uint32_t flags;
	bool flag = false;
	int r;

	switch (m->kind) {
	case KIND_U64:
	case KIND_U32:
	case KIND_I32:
		return integer_member_read(m, json, place);
	case KIND_TEXT:
		return text_read(json, place, m->aux);
	case KIND_LATENCY:
		return latency_read_json(json, place);
	case KIND_EVENT:
		return event_kind_read(json, place);
	case KIND_BOOL:
	case KIND_FLAG:
		break;
	}
	r = flag_read(json, &flag);
	if (r < 0)
		return r;
	if (m->kind == KIND_BOOL) {
		memcpy(place, &flag, sizeof(flag));
		return 0;
	}
	memcpy(&flags, place, sizeof(flags));
	flags = flag ? flags | m->aux : flags & ~m->aux;
	memcpy(place, &flags, sizeof(flags));
	return 0;
}

static bool
may_be_missing(const struct member *m)
{
	return (m->kind == KIND_U64 || m->kind == KIND_BOOL) &&
	       m->aux == MEMBER_LATER;
}

/* @base is all zeros. */
static int
members_read(const struct member *m, size_t n, const json_t *json, void *base)
{
	const json_t *value;
	size_t i;
	int r;

	if (!json_is_object(json))
		return -EPROTO;
	for (i = 0; i < n; i++) {
		value = json_object_get(json, m[i].name);
		if (value == NULL && may_be_missing(&m[i]))
			continue;
		r = member_read(&m[i], value, base);
		if (r < 0)
			return r;
	}
	return 0;
}

/* An array of objects into a new array of structures of @size bytes. */
static int
list_read(const json_t *json, const struct member *m, size_t nmembers,
	  size_t size, void **ret_list, size_t *ret_n)
{
	size_t i, n;
	char *list;
	int r;

	if (!json_is_array(json))
		return -EPROTO;
	n = json_array_size(json);
	list = calloc(n > 0 ? n : 1, size);
	if (list == NULL)
		return -ENOMEM;
	for (i = 0; i < n; i++) {
		r = members_read(m, nmembers, json_array_get(json, i),
				 list + i * size);
		if (r < 0) {
			free(list);
			return r;
		}
	}
	*ret_list = list;
	*ret_n = n;
	return 0;
}

/* As list_read(), of a member of @json. */
#define LIST_READ(json, name, members, type, ret_list, ret_n) \
	list_read(json_object_get(json, name), members, ARRAY_SIZE(members), \
		  sizeof(type), ret_list, ret_n)

static int
event_counts_read(const json_t *json, struct swap_stats *stats)
{
	const struct event_count *counts;
	void *list;
	size_t n;
	int r;

	r = LIST_READ(json, "event_counts", event_count_members,
		      struct event_count, &list, &n);
	if (r < 0)
		return r;
	counts = list;
	for (size_t i = 0; i < n; i++)
		stats->event_counts[counts[i].kind] = counts[i].count;
	free(list);
	return 0;
}

int
json_to_events(const json_t *json, struct swap_event **ret_events,
	       size_t *ret_n)
{
	void *list;
	int r;

	r = list_read(json, event_members, ARRAY_SIZE(event_members),
		      sizeof(struct swap_event), &list, ret_n);
	if (r == 0)
		*ret_events = list;
	return r;
}

bool
json_take_objects(char *text, size_t *len,
		  struct swap_object_stats **ret_objects, size_t *ret_n)
{
	static const char *const path[] = {
		"parameters", "snapshot", "objects",
	};
	const char *list = text, *end;
	void *objects;

	for (size_t i = 0; i < ARRAY_SIZE(path) && list != NULL; i++)
		list = scan_member(list, path[i]);
	if (list == NULL)
		return false;
	end = json_list_scan(list, object_members, ARRAY_SIZE(object_members),
			     sizeof(struct swap_object_stats), &objects, ret_n);
	if (end == NULL)
		return false;
	/* The bracket that ends the list comes behind the one that opens it. */
	memmove(text + (list - text) + 1, end - 1,
		*len - (size_t)(end - 1 - text) + 1);
	*len -= (size_t)(end - list) - 2;
	*ret_objects = objects;
	return true;
}

/* What was read before a failure stays in @stats. */
static int
lists_read(const json_t *json, struct swap_stats *stats)
{
	void *list = NULL;
	int r;

	r = LIST_READ(json, "devices", device_members,
		      struct swap_device_stats, &list, &stats->ndevices);
	if (r < 0)
		return r;
	stats->devices = list;
	r = LIST_READ(json, "objects", object_members,
		      struct swap_object_stats, &list, &stats->nobjects);
	if (r < 0)
		return r;
	stats->objects = list;
	r = LIST_READ(json, "users", user_members, struct swap_user_stats,
		      &list, &stats->nusers);
	if (r < 0)
		return r;
	stats->users = list;
	r = event_counts_read(json, stats);
	if (r == 0)
		r = json_to_events(json_object_get(json, "events"),
				   &stats->events, &stats->nevents);
	return r;
}

int
json_to_stats(const json_t *json, struct swap_stats *ret_stats)
{
	struct swap_stats stats;
	int r;

	memset(&stats, 0, sizeof(stats));
	r = members_read(stats_members, ARRAY_SIZE(stats_members), json,
			 &stats);
	if (r < 0)
		return r;
	r = members_read(counter_members, ARRAY_SIZE(counter_members),
			 json_object_get(json, "counters"), &stats.counters);
	if (r < 0)
		return r;
	r = lists_read(json, &stats);
	if (r < 0) {
		swap_stats_clear(&stats);
		return r;
	}
	*ret_stats = stats;
	return 0;
}

int
json_to_tunables(const json_t *json, struct swap_tunable **ret_tunables,
		 size_t *ret_n)
{
	void *list;
	size_t n;
	int r;

	r = list_read(json, tunable_members, ARRAY_SIZE(tunable_members),
		      sizeof(struct swap_tunable), &list, &n);
	if (r < 0)
		return r;
	*ret_tunables = list;
	*ret_n = n;
	return 0;
}

static int
histogram_read(const json_t *json, struct swap_device_map *map)
{
	const struct runs *runs;
	void *list;
	size_t i, n;
	int r;

	r = list_read(json, runs_members, ARRAY_SIZE(runs_members),
		      sizeof(*runs), &list, &n);
	if (r < 0)
		return r;
	runs = list;
	for (i = 0; i < n; i++) {
		if (runs[i].order >= SWAP_RUN_CLASSES) {
			r = -EPROTO;
			break;
		}
		map->runs[runs[i].order] = runs[i].runs;
		map->blocks[runs[i].order] = runs[i].blocks;
	}
	free(list);
	return r;
}

int
json_to_device_map(const json_t *json, struct swap_device_map *ret_map)
{
	struct swap_device_map map;
	void *cells = NULL;
	int r;

	memset(&map, 0, sizeof(map));
	r = members_read(map_members, ARRAY_SIZE(map_members), json, &map);
	if (r == 0)
		r = histogram_read(json_object_get(json, "histogram"), &map);
	if (r == 0)
		r = LIST_READ(json, "cells", cell_members,
			      struct swap_map_cell, &cells, &map.ncells);
	if (r < 0)
		return r;
	/* Who wanted none may put others there. */
	if (map.ncells == 0) {
		free(cells);
		cells = NULL;
	}
	map.cells = cells;
	*ret_map = map;
	return 0;
}
