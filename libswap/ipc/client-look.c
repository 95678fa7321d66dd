/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What lies where on a device of a swapd.
 *
 * An answer must have what was asked for: another number of cells, or an
 * owner outside of the range, is another version's.
 */
#include <errno.h>
#include <string.h>

#include "../util.h"
#include "client.h"

static int
nonsense(struct swap_client *client, struct swap_error *error)
{
	return error_set(error, -EPROTO, "the answer of the swapd at %s makes "
			 "no sense; it may be of another version",
			 client_path(client));
}

/* Call with the name of a device in @params, given away. */
static int
call(struct swap_client *client, const char *method, json_t *params,
     json_t **ret_reply, struct swap_error *error)
{
	if (params == NULL)
		return error_set(error, -EINVAL, "a text that is not UTF-8, "
				 "or out of memory");
	return client_call(client, method, params, ret_reply, error);
}

/* A number that is not negative, and not above @max. */
static int
number(const json_t *json, uint64_t max, uint64_t *ret_value)
{
	json_int_t value = json_integer_value(json);

	if (!json_is_integer(json) || value < 0 || (uint64_t)value > max)
		return -EPROTO;
	*ret_value = (uint64_t)value;
	return 0;
}

static int
cells_read(const json_t *reply, uint64_t nblocks, size_t ncells,
	   struct swap_range_cell cells[])
{
	const json_t *nfree = json_object_get(reply, "free");
	const json_t *nbad = json_object_get(reply, "bad");
	bool bad = json_array_size(nbad) > 0;
	int r = 0;

	if (json_array_size(nfree) != ncells ||
	    (bad && json_array_size(nbad) != ncells))
		return -EPROTO;
	for (size_t i = 0; i < ncells && r == 0; i++) {
		cells[i].nbad = 0;
		r = number(json_array_get(nfree, i), nblocks,
			   &cells[i].nfree);
		if (r == 0 && bad)
			r = number(json_array_get(nbad, i), nblocks,
				   &cells[i].nbad);
	}
	return r;
}

int
swap_client_range(struct swap_client *client, const char *spec,
		  uint64_t first, uint64_t nblocks, size_t ncells,
		  struct swap_range_cell cells[], struct swap_error *error)
{
	json_t *reply;
	int r;

	if (first > INT64_MAX || nblocks > INT64_MAX ||
	    ncells > SWAP_RANGE_CELLS_MAX)
		return error_set(error, -EINVAL, "%s: no such range of blocks "
				 "or number of cells", spec);
	r = call(client, "Range",
		 json_pack("{s:s,s:I,s:I,s:I}", "device", spec,
			   "first", (json_int_t)first,
			   "blocks", (json_int_t)nblocks,
			   "cells", (json_int_t)ncells), &reply, error);
	if (r < 0)
		return r;
	r = cells_read(reply, nblocks, ncells, cells);
	json_decref(reply);
	return r < 0 ? nonsense(client, error) : 0;
}

static int
text_read(const json_t *json, char *place, size_t size)
{
	if (!json_is_string(json) || json_string_length(json) >= size)
		return -EPROTO;
	memset(place, 0, size);
	memcpy(place, json_string_value(json), json_string_length(json));
	return 0;
}

static int
owner_read(const json_t *json, uint64_t first, uint64_t nblocks,
	   struct swap_owner *owner)
{
	uint64_t uid = 0, pid = 0;
	int r = number(json_object_get(json, "block"), INT64_MAX,
		       &owner->block);

	if (r == 0)
		r = number(json_object_get(json, "blocks"), nblocks,
			   &owner->nblocks);
	if (r == 0)
		r = number(json_object_get(json, "object"), INT64_MAX,
			   &owner->object);
	if (r == 0)
		r = number(json_object_get(json, "page"), INT64_MAX,
			   &owner->page);
	if (r == 0)
		r = number(json_object_get(json, "uid"), UINT32_MAX, &uid);
	if (r == 0)
		r = number(json_object_get(json, "pid"), INT32_MAX, &pid);
	if (r == 0)
		r = text_read(json_object_get(json, "name"), owner->name,
			      sizeof(owner->name));
	if (r == 0)
		r = text_read(json_object_get(json, "command"),
			      owner->command, sizeof(owner->command));
	if (r < 0)
		return r;
	owner->uid = (uint32_t)uid;
	owner->pid = (int32_t)pid;
	return owner->block >= first && owner->block - first < nblocks &&
	       owner->nblocks <= nblocks - (owner->block - first) ? 0 :
	       -EPROTO;
}

static int64_t
owners_read(const json_t *reply, uint64_t first, uint64_t nblocks,
	    struct swap_owners_place *place, struct swap_owner owners[],
	    size_t max)
{
	const json_t *list = json_object_get(reply, "owners");
	const json_t *done = json_object_get(reply, "done");
	struct swap_owners_place next;
	size_t n = json_array_size(list);
	int r = json_is_array(list) && json_is_boolean(done) && n <= max ?
		0 : -EPROTO;

	for (size_t i = 0; i < n && r == 0; i++)
		r = owner_read(json_array_get(list, i), first, nblocks,
			       &owners[i]);
	if (r == 0)
		r = number(json_object_get(reply, "slot"), INT64_MAX,
			   &next.slot);
	if (r == 0)
		r = number(json_object_get(reply, "page"), INT64_MAX,
			   &next.page);
	if (r < 0)
		return r;
	next.done = json_is_true(done);
	*place = next;
	return (int64_t)n;
}

int64_t
swap_client_owners(struct swap_client *client, const char *spec,
		   uint64_t first, uint64_t nblocks,
		   struct swap_owners_place *place,
		   struct swap_owner owners[], size_t n,
		   struct swap_error *error)
{
	json_t *reply;
	int64_t found;
	int r;

	if (first > INT64_MAX || nblocks > INT64_MAX || n < SWAP_OWNERS_MAX)
		return error_set(error, -EINVAL, "%s: no such range of "
				 "blocks, or room for less than %u owners",
				 spec, SWAP_OWNERS_MAX);
	r = call(client, "Owners",
		 json_pack("{s:s,s:I,s:I,s:I,s:I}", "device", spec,
			   "first", (json_int_t)first,
			   "blocks", (json_int_t)nblocks,
			   "slot", (json_int_t)place->slot,
			   "page", (json_int_t)place->page), &reply, error);
	if (r < 0)
		return r;
	found = owners_read(reply, first, nblocks, place, owners, n);
	json_decref(reply);
	return found < 0 ? nonsense(client, error) : found;
}
