/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * varlink.h - varlink calls and replies as jansson values over a frame
 * (floor 7)
 */
#ifndef SWAP_IPC_VARLINK_H
#define SWAP_IPC_VARLINK_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../compiler.h"
#include "frame.h"

#define VARLINK_SERVICE		"org.varlink.service"
#define VARLINK_PAGER		"org.swapkit.Pager"
/* The version that Hello compares. */
#define VARLINK_PROTOCOL	1

/* Bounds of a call: no call of the interface comes near them. */
#define VARLINK_CALL_DEPTH	8u
#define VARLINK_CALL_VALUES	512u
/* Bounds of a reply, whose length is what limits it. */
#define VARLINK_REPLY_DEPTH	16u
#define VARLINK_REPLY_VALUES	((size_t)8 << 20)

/* Longest sentence of a method name. */
#define VARLINK_NAME_MAX	127

struct varlink_call {
	json_t		*root;		/* owned */
	json_t		*params;	/* in root; NULL: none were given */
	const char	*method;	/* in root */
	bool		 more;
	bool		 oneway;
	bool		 upgrade;
};

/*
 * Parse a text into an object.  Duplicate members, deep nesting and too many
 * values are refused before memory is spent on them.  -EPROTO, -ENOMEM.
 */
int varlink_parse(const char *text, size_t len, unsigned max_depth,
		  size_t max_values, json_t **ret_object) swap_must_check;

/* Parse a call; -EPROTO: it is none. */
int varlink_call_parse(const char *text, size_t len,
		       struct varlink_call *ret_call) swap_must_check;
void varlink_call_clear(struct varlink_call *call);

/* Send @object, which is given away; NULL (out of memory) is -ENOMEM. */
int varlink_send(struct frame *frame, json_t *object, const int *fds,
		 unsigned nfds, int timeout_msec) swap_must_check;

/* Messages; @params is given away and may be NULL.  NULL: out of memory. */
json_t *varlink_request(const char *method, json_t *params, bool more);
json_t *varlink_reply(json_t *params, bool continues);
json_t *varlink_error(const char *error, json_t *params);

/* What a parameter may be.  A null counts as not given. */
enum varlink_type {
	VARLINK_INT,		/* uint64_t; never negative */
	VARLINK_BOOL,		/* bool */
	VARLINK_STRING,		/* const char *, in the call */
	VARLINK_STRINGS,	/* json_t *, in the call: an array of strings */
};

struct varlink_param {
	const char		*name;
	enum varlink_type	 type;
	bool			 optional;	/* left alone if not given */
	void			*value;
};

/*
 * Read the parameters of a call.  -EINVAL: @ret_bad is the name of one that is
 * missing, unknown, or of another type.
 */
int varlink_params_read(json_t *params, const struct varlink_param *table,
			size_t n, const char **ret_bad) swap_must_check;

#endif
