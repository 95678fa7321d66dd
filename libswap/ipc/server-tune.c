/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Methods about tunables and the fragmentation of devices.
 *
 * Everybody may look; setting changes the pager for all, so it is for root and
 * for the swapd's own user.  The pager logs what has changed, and what is here
 * who wanted that.
 */
#include "server-impl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "../util.h"
#include "json.h"

static int
tunables_read(struct request *request, struct swap_tunable **ret_tunables,
	      size_t *ret_n)
{
	return swap_pager_tunables(request->conn->server->pager, ret_tunables,
				   ret_n);
}

static const struct swap_tunable *
tunable_find(const struct swap_tunable *tunables, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(tunables[i].name, name) == 0)
			return &tunables[i];
	return NULL;
}

static int
tunables_reply(struct request *request, const struct swap_tunable *tunables,
	       size_t n, const char *name)
{
	const struct swap_tunable *one = tunables;

	if (name != NULL) {
		one = tunable_find(tunables, n, name);
		n = 1;
	}
	if (one == NULL)
		return reply_refused(request, -ENOENT, "there is no tunable "
				     "'%.80s'; 'swapctl get' lists them",
				     name);
	return reply(request, json_pack("{s:o}", "tunables",
					json_from_tunables(one, n)));
}

static int
method_get_tunables(struct request *request)
{
	const char *name = NULL;
	const struct varlink_param table[] = {
		{ "name", VARLINK_STRING, true, &name },
	};
	struct swap_tunable *tunables;
	size_t n;
	int r = request_params(request, table, ARRAY_SIZE(table));

	if (r <= 0)
		return r;
	r = tunables_read(request, &tunables, &n);
	if (r < 0)
		return reply_refused(request, r, "no tunables: %s",
				     strerror(-r));
	r = tunables_reply(request, tunables, n, name);
	free(tunables);
	return r;
}

static int
tune(struct request *request, const char *name, const char *value)
{
	struct conn *conn = request->conn;
	struct server *s = conn->server;
	struct swap_error error = { 0 };
	int r;

	r = swap_pager_tune(s->pager, name, value, &error);
	if (r < 0) {
		error.code = r;
		return reply_failed(request, &error);
	}
	log_write(&s->log, SWAP_LOG_INFO, "%s set for uid %u (pid %d)", name,
		  (unsigned)conn->owner.uid, (int)conn->owner.pid);
	return reply(request, NULL);
}

static int
method_set_tunable(struct request *request)
{
	const char *name = NULL, *value = NULL;
	const struct varlink_param table[] = {
		{ "name", VARLINK_STRING, false, &name },
		{ "value", VARLINK_STRING, false, &value },
	};
	int r = request_params(request, table, ARRAY_SIZE(table));

	if (r <= 0)
		return r;
	if (!conn_is_master(request->conn))
		return refuse_permission(request, "setting a tunable");
	return tune(request, name, value);
}

static int
method_map(struct request *request)
{
	const char *device = NULL;
	uint64_t cells = 0;
	const struct varlink_param table[] = {
		{ "device", VARLINK_STRING, false, &device },
		{ "cells", VARLINK_INT, true, &cells },
	};
	struct swap_device_map map;
	struct swap_error error = { 0 };
	struct text text = { 0 };
	int r = request_params(request, table, ARRAY_SIZE(table));

	if (r <= 0)
		return r;
	if (cells > SWAP_MAP_CELLS_MAX)
		return reply_service_error(request, "InvalidParameter",
					   "parameter", "cells");
	r = request_device(request, device);
	if (r <= 0)
		return r;
	r = swap_pager_map(request->conn->server->pager, device,
			   (size_t)cells, &map, &error);
	if (r < 0) {
		error.code = r;
		return reply_failed(request, &error);
	}
	reply_begin(&text, false);
	text_string(&text, "\"map\":");
	json_write_device_map(&text, &map);
	swap_device_map_clear(&map);
	return reply_text(request, &text);
}

const struct method tune_methods[] = {
	{ "GetTunables", method_get_tunables },
	{ "SetTunable", method_set_tunable },
	{ "Map", method_map },
	{ NULL, NULL },
};
