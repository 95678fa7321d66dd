/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * json.h - snapshots, events, tunables and maps of devices as JSON, both
 * ways (floor 7)
 *
 * The members are those of the types in org.swapkit.Pager.varlink.
 */
#ifndef SWAP_IPC_JSON_H
#define SWAP_IPC_JSON_H

#include <jansson.h>
#include <stdbool.h>

#include "../compiler.h"
#include "../swap.h"
#include "text.h"

/*
 * Whose objects and charges to show: of those for whom this says so.  Events
 * about objects and processes are shown to whom root's objects are.
 */
typedef bool json_user_filter(void *arg, uint32_t uid);

/*
 * @keep  NULL: those of all users
 *
 * A new value, or NULL out of memory.  Numbers above INT64_MAX, which JSON
 * integers cannot be here, are written as INT64_MAX.
 */
json_t *json_from_stats(const struct swap_stats *stats,
			json_user_filter *keep, void *arg);

/* The same as text, for a swapd: about 10 ns a value. */
void json_write_stats(struct text *text, const struct swap_stats *stats,
		      json_user_filter *keep, void *arg);
void json_write_events(struct text *text, const struct swap_event events[],
		       size_t n, json_user_filter *keep, void *arg);
void json_write_device_map(struct text *text,
			   const struct swap_device_map *map);

/* One of a kind, for commands that print only those. */
json_t *json_from_device_stats(const struct swap_device_stats *device);
json_t *json_from_object_stats(const struct swap_object_stats *object);
json_t *json_from_user_stats(const struct swap_user_stats *user);
json_t *json_from_counters(const struct swap_counters *counters);
json_t *json_from_event(const struct swap_event *event);
json_t *json_from_tunable(const struct swap_tunable *tunable);

/* An array of type Tunable; a value of type DeviceMap.  NULL: no memory. */
json_t *json_from_tunables(const struct swap_tunable *tunables, size_t n);
json_t *json_from_device_map(const struct swap_device_map *map);

/*
 * Fill @ret_stats, whose arrays are to be freed with swap_stats_clear().
 * Members that are not known are skipped; -EPROTO: one is missing, of another
 * type, out of range, or too long.  -ENOMEM.
 */
int json_to_stats(const json_t *json, struct swap_stats *ret_stats)
	swap_must_check;

/*
 * Read the objects out of the text of a reply to Status into a malloc()ed
 * array, and leave an empty list in their place, so that what is left to be
 * parsed is small.  Only where they are all valid, and as json_write_stats()
 * writes them.  Whether the rest is valid has still to be seen, and with it,
 * whether this was a snapshot.
 *
 * @len  the length of the text, which ends with a NUL; and what is left
 *
 * false: there are none, or not in that form, or memory is short; the text is
 * as it was, and json_to_stats() has to read it all.  About 0.5 us an object.
 */
bool json_take_objects(char *text, size_t *len,
		       struct swap_object_stats **ret_objects, size_t *ret_n)
	swap_must_check;

/* The same: into a malloc()ed array, and for swap_device_map_clear(). */
int json_to_tunables(const json_t *json, struct swap_tunable **ret_tunables,
		     size_t *ret_n) swap_must_check;
int json_to_events(const json_t *json, struct swap_event **ret_events,
		   size_t *ret_n) swap_must_check;
int json_to_device_map(const json_t *json, struct swap_device_map *ret_map)
	swap_must_check;

#endif
