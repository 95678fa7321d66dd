/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * export.h - all that is known of a pager at one moment, and that as one JSON
 * document (floor 7)
 *
 *	struct export_snapshot *now = calloc(1, sizeof(*now));
 *
 *	export_take(client, EXPORT_MAPS | EXPORT_TUNABLES, now, &error);
 *	document = export_document(now);
 *	export_clear(now);
 *
 * The document is described by export.schema.json; openmetrics.h writes the
 * same for Prometheus.
 */
#ifndef SWAP_IPC_EXPORT_H
#define SWAP_IPC_EXPORT_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "../compiler.h"
#include "../kernel/host.h"
#include "../swap.h"

/* The version of the document: grows when a member changes or goes. */
#define EXPORT_SCHEMA		1

/* What export_take() fetches beside the snapshot without objects. */
#define EXPORT_OBJECTS		(1u << 0)	/* one by one */
#define EXPORT_MAPS		(1u << 1)	/* fragmentation */
#define EXPORT_TUNABLES		(1u << 2)

struct export_snapshot {
	uint64_t	 time_usec;	/* since 1970, UTC */
	unsigned	 what;		/* EXPORT_*: what was fetched */
	struct swap_stats stats;
	/*
	 * One for each device of stats, in their order; a device that could
	 * not be looked through has "" as its path.  NULL: none fetched.
	 */
	struct swap_device_map *maps;
	struct swap_tunable *tunables;
	size_t		 ntunables;
};

/*
 * Ask a swapd.  @ret_snapshot is overwritten; free what it holds with
 * export_clear().  Errors: as swap_client_stats(); nothing is held then.
 */
int export_take(struct swap_client *client, unsigned what,
		struct export_snapshot *ret_snapshot,
		struct swap_error *error) swap_must_check;

/*
 * The same of the kernel's own swap, which has no tunables; its maps need
 * rights that not everybody has, and are left out without them.
 */
int export_take_kernel(const struct host *host, unsigned what,
		       struct export_snapshot *ret_snapshot,
		       struct swap_error *error) swap_must_check;

void export_clear(struct export_snapshot *snapshot);

/* The document.  NULL: out of memory. */
json_t *export_document(const struct export_snapshot *snapshot);

/*
 * What has changed from @before to @now, of the same pager, with rates: the
 * form "delta" of the schema.  NULL: out of memory.
 */
json_t *export_delta(const struct export_snapshot *before,
		     const struct export_snapshot *now);

/*
 * Keep only the members that @fields names: "ram,devices.path,counters",
 * through lists too.  "schema", "kind", "time" and "pager.name" stay in any
 * case.  Errors, with a sentence: -ENOENT a name that is not in the document;
 * -EINVAL an empty name; -ENOMEM.
 */
int export_select(json_t *document, const char *fields,
		  struct swap_error *error) swap_must_check;

/* What export_take() has to fetch for these fields; NULL: everything. */
unsigned export_needs(const char *fields);

/* A time in @usec since 1970 as RFC 3339 has it, with microseconds, in UTC. */
#define EXPORT_TIME_LEN		32u
void export_time(uint64_t usec, char ret_text[EXPORT_TIME_LEN]);

/* An event as in the document. */
json_t *export_event(const struct swap_event *event);

#endif
