/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * json-impl.h - tables of members, and the fast reading of lists (floor 7)
 *
 *	json.c		the tables; writing, and reading of jansson's values
 *	json-scan.c	reading of text that json.c has written
 */
#ifndef SWAP_IPC_JSON_IMPL_H
#define SWAP_IPC_JSON_IMPL_H

#include <stddef.h>

#include "json.h"

enum kind {
	KIND_U64,
	KIND_U32,
	KIND_I32,
	KIND_BOOL,
	KIND_TEXT,	/* aux: size of the array */
	KIND_FLAG,	/* aux: the bit in an unsigned */
	KIND_LATENCY,	/* a struct swap_latency */
	KIND_EVENT,	/* an enum swap_event_kind */
};

/*
 * aux of a KIND_U64 or KIND_BOOL that came later than the rest: where it is
 * missing, in what an older version has written, it is 0 or false.
 */
#define MEMBER_LATER	1u

struct member {
	const char	*name;
	enum kind	 kind;
	unsigned	 aux;
	size_t		 offset;
};

/*
 * Read the list of structures of @size bytes that begins at @text (its
 * bracket) into a new array: what lies behind it, or NULL, where it is empty,
 * not valid, or in another form than json.c writes, or memory is short.
 */
const char *json_list_scan(const char *text, const struct member *m,
			   size_t nmembers, size_t size, void **ret_list,
			   size_t *ret_n) swap_must_check;

#endif
