/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Methods about what lies where on a device.
 *
 * Everybody may see which blocks are free; whose pages the others hold is told
 * as the snapshot tells of objects: to their user, to root and to the pager's
 * own user.
 */
#include "server-impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../util.h"

static int
bad_parameter(struct request *request, const char *name)
{
	return reply_service_error(request, "InvalidParameter", "parameter",
				   name);
}

static int
look_failed(struct request *request, int r, struct swap_error *error)
{
	error->code = r;
	return reply_failed(request, error);
}

/* ------------------------------------------------------------------ range */

static bool
any_bad(const struct swap_range_cell *cells, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (cells[i].nbad > 0)
			return true;
	return false;
}

static json_t *
range_json(const struct swap_range_cell *cells, size_t n)
{
	json_t *nfree = json_array(), *nbad = json_array();
	bool bad = any_bad(cells, n);

	for (size_t i = 0; i < n; i++) {
		(void)json_array_append_new(nfree, json_integer(
					    (json_int_t)cells[i].nfree));
		if (bad)
			(void)json_array_append_new(nbad, json_integer(
						(json_int_t)cells[i].nbad));
	}
	/* Short of memory, a list is shorter than it should be. */
	if (json_array_size(nfree) != n ||
	    json_array_size(nbad) != (bad ? n : 0)) {
		json_decref(nfree);
		json_decref(nbad);
		return NULL;
	}
	return json_pack("{s:o,s:o}", "free", nfree, "bad", nbad);
}

static int
range(struct request *request, const char *device, uint64_t first,
      uint64_t blocks, size_t ncells)
{
	struct swap_range_cell *cells = calloc(ncells, sizeof(*cells));
	struct swap_error error = { 0 };
	int r;

	if (cells == NULL)
		return reply_refused(request, -ENOMEM, "swapd is out of "
				     "memory");
	r = swap_pager_range(request->conn->server->pager, device, first,
			     blocks, ncells, cells, &error);
	if (r < 0)
		r = look_failed(request, r, &error);
	else
		r = reply(request, range_json(cells, ncells));
	free(cells);
	return r;
}

static int
method_range(struct request *request)
{
	const char *device = NULL;
	uint64_t first = 0, blocks = 0, cells = 0;
	const struct varlink_param table[] = {
		{ "device", VARLINK_STRING, false, &device },
		{ "first", VARLINK_INT, false, &first },
		{ "blocks", VARLINK_INT, false, &blocks },
		{ "cells", VARLINK_INT, false, &cells },
	};
	int r = request_params(request, table, ARRAY_SIZE(table));

	if (r <= 0)
		return r;
	if (cells == 0 || cells > SWAP_RANGE_CELLS_MAX)
		return bad_parameter(request, "cells");
	r = request_device(request, device);
	if (r <= 0)
		return r;
	return range(request, device, first, blocks, (size_t)cells);
}

/* ----------------------------------------------------------------- owners */

/* What is not UTF-8 is left out: a process can have any name. */
static json_t *
word_json(const char *text)
{
	json_t *json = json_string(text);

	return json != NULL ? json : json_string("?");
}

static json_t *
owner_json(const struct swap_owner *owner)
{
	return json_pack("{s:I,s:I,s:I,s:I,s:I,s:i,s:o,s:o}",
			 "block", (json_int_t)owner->block,
			 "blocks", (json_int_t)owner->nblocks,
			 "object", (json_int_t)owner->object,
			 "page", (json_int_t)owner->page,
			 "uid", (json_int_t)owner->uid,
			 "pid", (int)owner->pid,
			 "name", word_json(owner->name),
			 "command", word_json(owner->command));
}

/* Those that this peer may see. */
static json_t *
owners_json(const struct conn *conn, const struct swap_owner *owners,
	    int64_t n)
{
	json_t *list = json_array();
	bool all = conn_is_master(conn);

	for (int64_t i = 0; i < n; i++) {
		if (!all && owners[i].uid != conn->owner.uid)
			continue;
		if (json_array_append_new(list, owner_json(&owners[i])) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static int
owners(struct request *request, const char *device, uint64_t first,
       uint64_t blocks, struct swap_owners_place *place)
{
	struct conn *conn = request->conn;
	struct swap_owner *list = calloc(SWAP_OWNERS_MAX, sizeof(*list));
	struct swap_error error = { 0 };
	int64_t n;
	int r;

	if (list == NULL)
		return reply_refused(request, -ENOMEM, "swapd is out of "
				     "memory");
	n = swap_pager_owners(conn->server->pager, device, first, blocks,
			      place, list, SWAP_OWNERS_MAX, &error);
	if (n < 0)
		r = look_failed(request, (int)n, &error);
	else
		r = reply(request, json_pack("{s:o,s:I,s:I,s:b}",
				"owners", owners_json(conn, list, n),
				"slot", (json_int_t)place->slot,
				"page", (json_int_t)place->page,
				"done", place->done));
	free(list);
	return r;
}

static int
method_owners(struct request *request)
{
	struct swap_owners_place place = { 0 };
	const char *device = NULL;
	uint64_t first = 0, blocks = 0;
	const struct varlink_param table[] = {
		{ "device", VARLINK_STRING, false, &device },
		{ "first", VARLINK_INT, false, &first },
		{ "blocks", VARLINK_INT, false, &blocks },
		{ "slot", VARLINK_INT, true, &place.slot },
		{ "page", VARLINK_INT, true, &place.page },
	};
	int r = request_params(request, table, ARRAY_SIZE(table));

	if (r <= 0)
		return r;
	r = request_device(request, device);
	if (r <= 0)
		return r;
	return owners(request, device, first, blocks, &place);
}

const struct method look_methods[] = {
	{ "Range", method_range },
	{ "Owners", method_owners },
	{ NULL, NULL },
};
