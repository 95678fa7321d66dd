/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Varlink messages (varlink.org).
 *
 *	call	{"method": "I.M", "parameters": {...},
 *		 "more": true, "oneway": true}
 *	reply	{"parameters": {...}, "continues": true}
 *	error	{"error": "I.E", "parameters": {...}}
 *
 * jansson does the parsing, after a walk over the text has shown that it is
 * neither deep (jansson recurses) nor full of tiny values (each costs a
 * hundred times its bytes).  A NUL cannot be in a message, so the texts that
 * come out of here have none inside; jansson refuses "\u0000" by itself.
 */
#include "varlink.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "scan.h"

int
varlink_parse(const char *text, size_t len, unsigned max_depth,
	      size_t max_values, json_t **ret_object)
{
	unsigned depth;
	size_t nvalues;
	json_t *object;

	scan_measure(text, &depth, &nvalues);
	if (depth > max_depth || nvalues > max_values)
		return -EPROTO;
	object = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	if (object == NULL)
		return -EPROTO;
	if (!json_is_object(object)) {
		json_decref(object);
		return -EPROTO;
	}
	*ret_object = object;
	return 0;
}

/* An optional flag of a call. */
static int
call_flag(json_t *root, const char *name, bool *ret_flag)
{
	json_t *value = json_object_get(root, name);

	*ret_flag = false;
	if (value == NULL || json_is_null(value))
		return 0;
	if (!json_is_boolean(value))
		return -EPROTO;
	*ret_flag = json_is_true(value);
	return 0;
}

static int
call_fill(struct varlink_call *call)
{
	call->method = json_string_value(json_object_get(call->root,
							 "method"));
	if (call->method == NULL || strlen(call->method) > VARLINK_NAME_MAX)
		return -EPROTO;
	call->params = json_object_get(call->root, "parameters");
	if (json_is_null(call->params))
		call->params = NULL;
	if (call->params != NULL && !json_is_object(call->params))
		return -EPROTO;
	if (call_flag(call->root, "more", &call->more) < 0 ||
	    call_flag(call->root, "oneway", &call->oneway) < 0 ||
	    call_flag(call->root, "upgrade", &call->upgrade) < 0)
		return -EPROTO;
	/* An endless stream of replies that nobody gets is not a call. */
	return call->more && call->oneway ? -EPROTO : 0;
}

int
varlink_call_parse(const char *text, size_t len, struct varlink_call *ret_call)
{
	struct varlink_call call = { 0 };
	int r;

	r = varlink_parse(text, len, VARLINK_CALL_DEPTH, VARLINK_CALL_VALUES,
			  &call.root);
	if (r < 0)
		return r;
	r = call_fill(&call);
	if (r < 0) {
		json_decref(call.root);
		return r;
	}
	*ret_call = call;
	return 0;
}

void
varlink_call_clear(struct varlink_call *call)
{
	json_decref(call->root);
	memset(call, 0, sizeof(*call));
}

int
varlink_send(struct frame *frame, json_t *object, const int *fds,
	     unsigned nfds, int timeout_msec)
{
	char *text;
	int r;

	if (object == NULL)
		return -ENOMEM;
	text = json_dumps(object, JSON_COMPACT);
	json_decref(object);
	if (text == NULL)
		return -ENOMEM;
	r = frame_send(frame, text, fds, nfds, timeout_msec);
	free(text);
	return r;
}

/* Finish a message: @params as its member, or nothing at all. */
static json_t *
message_with(json_t *message, json_t *params)
{
	if (params == NULL)
		params = json_object();
	/* Steals @params in any case, also where message is NULL. */
	if (json_object_set_new(message, "parameters", params) < 0) {
		json_decref(message);
		return NULL;
	}
	return message;
}

json_t *
varlink_request(const char *method, json_t *params, bool more)
{
	json_t *message = json_pack("{s:s}", "method", method);

	if (more && message != NULL &&
	    json_object_set_new(message, "more", json_true()) < 0) {
		json_decref(message);
		message = NULL;
	}
	return message_with(message, params);
}

json_t *
varlink_reply(json_t *params, bool continues)
{
	json_t *message = json_object();

	if (continues && message != NULL &&
	    json_object_set_new(message, "continues", json_true()) < 0) {
		json_decref(message);
		message = NULL;
	}
	return message_with(message, params);
}

json_t *
varlink_error(const char *error, json_t *params)
{
	return message_with(json_pack("{s:s}", "error", error), params);
}

/* ------------------------------------------------------------- parameters */

static bool
is_strings(const json_t *value)
{
	if (!json_is_array(value))
		return false;
	for (size_t i = 0; i < json_array_size(value); i++)
		if (!json_is_string(json_array_get(value, i)))
			return false;
	return true;
}

static int
param_store(const struct varlink_param *param, json_t *value)
{
	switch (param->type) {
	case VARLINK_INT:
		if (!json_is_integer(value) || json_integer_value(value) < 0)
			return -EINVAL;
		*(uint64_t *)param->value =
			(uint64_t)json_integer_value(value);
		return 0;
	case VARLINK_BOOL:
		if (!json_is_boolean(value))
			return -EINVAL;
		*(bool *)param->value = json_is_true(value);
		return 0;
	case VARLINK_STRING:
		if (!json_is_string(value))
			return -EINVAL;
		*(const char **)param->value = json_string_value(value);
		return 0;
	case VARLINK_STRINGS:
		if (!is_strings(value))
			return -EINVAL;
		*(json_t **)param->value = value;
		return 0;
	}
	return -EINVAL;
}

static bool
param_known(const struct varlink_param *table, size_t n, const char *name)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (strcmp(table[i].name, name) == 0)
			return true;
	return false;
}

int
varlink_params_read(json_t *params, const struct varlink_param *table,
		    size_t n, const char **ret_bad)
{
	const char *name;
	json_t *value;
	size_t i;

	for (i = 0; i < n; i++) {
		*ret_bad = table[i].name;
		value = json_object_get(params, table[i].name);
		if (value == NULL || json_is_null(value)) {
			if (!table[i].optional)
				return -EINVAL;
			continue;
		}
		if (param_store(&table[i], value) < 0)
			return -EINVAL;
	}
	json_object_foreach(params, name, value) {
		*ret_bad = name;
		if (!param_known(table, n, name))
			return -EINVAL;
	}
	return 0;
}
