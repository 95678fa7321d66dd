/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Calls with jansson: what the commands use.
 *
 * Here allocation does not matter, and replies are large (a snapshot).  A reply
 * is parsed once and checked: a swapd of another version, or something else
 * that listens there, gives -EPROTO and a sentence.  The objects of a snapshot,
 * which may be ten thousand, are taken out before that, where they can be.
 */
#include "client-impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../util.h"
#include "json.h"
#include "varlink.h"

static int
nonsense(struct swap_client *client, struct swap_error *error)
{
	client->broken = true;
	return error_set(error, -EPROTO, "the answer of the swapd at %s makes "
			 "no sense; it may be of another version",
			 client->path);
}

static int
send_call(struct swap_client *client, const char *method, json_t *params,
	  bool more, struct swap_error *error)
{
	char full[VARLINK_NAME_MAX + 1];
	int r;

	format_cut(full, sizeof(full), "%s%s",
		   strchr(method, '.') == NULL ? VARLINK_PAGER "." : "",
		   method);
	if (client->broken) {
		json_decref(params);
		return client_lost(client, -ECONNRESET, error);
	}
	r = varlink_send(&client->frame, varlink_request(full, params, more),
			 NULL, 0, -1);
	if (r == -ENOMEM)
		return error_set(error, r, "out of memory, or a text that is "
				 "not UTF-8");
	return r < 0 ? client_lost(client, r, error) : 0;
}

/* Who gets the replies of a call. */
struct listener {
	client_more_fn	*each;
	void		*arg;
	/* The objects of a snapshot, taken out before the rest is parsed. */
	bool		 takes_objects;
	struct swap_object_stats *objects;	/* NULL: they are not */
	size_t		 nobjects;
};

static void
take_objects(struct frame *frame, struct listener *listener)
{
	/* Those of the reply before, if that was not the last one. */
	free(listener->objects);
	listener->objects = NULL;
	if (!listener->takes_objects ||
	    !json_take_objects(frame->buf, &frame->len, &listener->objects,
			       &listener->nobjects))
		listener->nobjects = 0;
}

/* 1: more replies follow; 0: this was the last one. */
static int
read_reply(struct swap_client *client, struct listener *listener,
	   json_t **ret_params, struct swap_error *error)
{
	json_t *root, *params;
	int r;

	r = frame_read(&client->frame, -1);
	if (r < 0)
		return client_lost(client, r, error);
	take_objects(&client->frame, listener);
	if (varlink_parse(client->frame.buf, client->frame.len,
			  VARLINK_REPLY_DEPTH, VARLINK_REPLY_VALUES,
			  &root) < 0)
		return nonsense(client, error);
	if (json_object_get(root, "error") != NULL) {
		json_decref(root);
		r = client_answer_error(client->frame.buf, error);
		return r < 0 ? r : nonsense(client, error);
	}
	r = json_is_true(json_object_get(root, "continues"));
	params = json_object_get(root, "parameters");
	*ret_params = params != NULL ? json_incref(params) : json_object();
	json_decref(root);
	if (!json_is_object(*ret_params)) {
		json_decref(*ret_params);
		return nonsense(client, error);
	}
	return r;
}

static int
read_replies(struct swap_client *client, struct listener *listener,
	     struct swap_error *error)
{
	json_t *params = NULL;
	int r, stop;

	do {
		r = read_reply(client, listener, &params, error);
		if (r < 0)
			return r;
		stop = listener->each(listener->arg, params, r == 1);
		json_decref(params);
		if (stop != 0 && r == 1)
			return client_lost(client, -ECANCELED, error);
	} while (r == 1);
	return 0;
}

/* The peer has to see the end of a call that is given up. */
static void
hang_up(struct swap_client *client)
{
	if (client->frame.fd >= 0)
		frame_close(&client->frame);
}

static int
call(struct swap_client *client, const char *method, json_t *params, bool more,
     struct listener *listener, struct swap_error *error)
{
	int r;

	client_begin(client);
	r = send_call(client, method, params, more, error);
	if (r == 0)
		r = read_replies(client, listener, error);
	if (client->broken)
		hang_up(client);
	client_end(client);
	return r;
}

/* Keep the one reply of a call, for whoever wants it. */
static int
keep_reply(void *arg, json_t *params, bool continues)
{
	json_t **reply = arg;

	if (reply != NULL && !continues)
		*reply = json_incref(params);
	return 0;
}

int
client_call(struct swap_client *client, const char *method, json_t *params,
	    json_t **ret_reply, struct swap_error *error)
{
	struct listener listener = { .each = keep_reply, .arg = ret_reply };

	return call(client, method, params, false, &listener, error);
}

int
client_call_more(struct swap_client *client, const char *method,
		 json_t *params, client_more_fn *each, void *arg,
		 struct swap_error *error)
{
	struct listener listener = { .each = each, .arg = arg };

	return call(client, method, params, true, &listener, error);
}

int
client_wait_closed(struct swap_client *client, int timeout_msec)
{
	int r;

	client_begin(client);
	do
		r = client->broken ? -ENODATA
				   : frame_read(&client->frame, timeout_msec);
	while (r == 0);
	client->broken = true;
	client_end(client);
	return r == -ETIMEDOUT ? r : 0;
}

/* What came of reading @what out of a reply, which is given away. */
static int
reply_read(struct swap_client *client, json_t *reply, int r, const char *what,
	   struct swap_error *error)
{
	json_decref(reply);
	if (r == -ENOMEM)
		return error_set(error, r, "out of memory");
	if (r < 0)
		return error_set(error, r, "%s of the swapd at %s makes no "
				 "sense; it may be of another version", what,
				 client->path);
	return 0;
}

/* json_to_stats(), with the objects that were taken out. */
static int
snapshot_read(const json_t *snapshot, struct listener *listener,
	      struct swap_stats *ret_stats)
{
	int r = json_to_stats(snapshot, ret_stats);

	if (r < 0 || listener->objects == NULL)
		return r;
	/* An empty list was left in their place. */
	free(ret_stats->objects);
	ret_stats->objects = listener->objects;
	ret_stats->nobjects = listener->nobjects;
	listener->objects = NULL;
	return 0;
}

int
client_stats(struct swap_client *client, bool objects, uint64_t events_after,
	     struct swap_stats *ret_stats, struct swap_error *error)
{
	json_t *reply = NULL;
	struct listener listener = {
		.each = keep_reply, .arg = &reply, .takes_objects = true,
	};
	int r;

	r = call(client, "Status",
		 json_pack("{s:b,s:I}", "objects", (int)objects,
			   "events_after", (json_int_t)events_after),
		 false, &listener, error);
	if (r == 0) {
		r = snapshot_read(json_object_get(reply, "snapshot"),
				  &listener, ret_stats);
		r = reply_read(client, reply, r, "the snapshot", error);
	}
	free(listener.objects);
	return r;
}

int
swap_client_stats(struct swap_client *client, struct swap_stats *ret_stats,
		  struct swap_error *error)
{
	return client_stats(client, true, 0, ret_stats, error);
}

/* As client_call(), with @params that hold texts of the caller. */
static int
call_texts(struct swap_client *client, const char *method, json_t *params,
	   json_t **ret_reply, struct swap_error *error)
{
	if (params == NULL)
		return error_set(error, -EINVAL, "a text that is not UTF-8, "
				 "or out of memory");
	return client_call(client, method, params, ret_reply, error);
}

int
swap_client_tunables(struct swap_client *client,
		     struct swap_tunable **ret_tunables, size_t *ret_n,
		     struct swap_error *error)
{
	json_t *reply;
	int r;

	r = client_call(client, "GetTunables", NULL, &reply, error);
	if (r < 0)
		return r;
	r = json_to_tunables(json_object_get(reply, "tunables"), ret_tunables,
			     ret_n);
	return reply_read(client, reply, r, "the list of tunables", error);
}

int
swap_client_tune(struct swap_client *client, const char *name,
		 const char *value, struct swap_error *error)
{
	return call_texts(client, "SetTunable",
			  json_pack("{s:s,s:s}", "name", name, "value",
				    value), NULL, error);
}

int
swap_client_device_map(struct swap_client *client, const char *spec,
		       size_t ncells, struct swap_device_map *ret_map,
		       struct swap_error *error)
{
	json_t *reply;
	int r;

	if (ncells > SWAP_MAP_CELLS_MAX)
		return error_set(error, -EINVAL, "%zu cells are more than %u",
				 ncells, SWAP_MAP_CELLS_MAX);
	r = call_texts(client, "Map",
		       json_pack("{s:s,s:I}", "device", spec, "cells",
				 (json_int_t)ncells), &reply, error);
	if (r < 0)
		return r;
	r = json_to_device_map(json_object_get(reply, "map"), ret_map);
	return reply_read(client, reply, r, "the map", error);
}
