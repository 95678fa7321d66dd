/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * json.h - the statistics snapshot as JSON, both ways (floor 7)
 *
 * The members are those of type Snapshot in org.swapkit.Pager.varlink.
 */
#ifndef SWAP_IPC_JSON_H
#define SWAP_IPC_JSON_H

#include <jansson.h>
#include <stdbool.h>

#include "../compiler.h"
#include "../swap.h"

/* Which objects to show: all, or those for which this says so. */
typedef bool json_object_filter(void *arg,
				const struct swap_object_stats *object);

/*
 * @keep  NULL: all objects
 *
 * A new value, or NULL out of memory.  Numbers above INT64_MAX, which JSON
 * integers cannot be here, are written as INT64_MAX.
 */
json_t *json_from_stats(const struct swap_stats *stats,
			json_object_filter *keep, void *arg);

/* One device, one object: for commands that print only those. */
json_t *json_from_device_stats(const struct swap_device_stats *device);
json_t *json_from_object_stats(const struct swap_object_stats *object);

/*
 * Fill @ret_stats, whose arrays are to be freed with swap_stats_clear().
 * Members that are not known are skipped; -EPROTO: one is missing, of another
 * type, out of range, or too long.  -ENOMEM.
 */
int json_to_stats(const json_t *json, struct swap_stats *ret_stats)
	swap_must_check;

#endif
