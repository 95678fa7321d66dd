/* SPDX-License-Identifier: BSD-2-Clause */
/* say.h - how swapctl speaks: sentences and JSON (floor 8) */
#ifndef SWAP_SAY_H
#define SWAP_SAY_H

#include <jansson.h>

#include "command.h"
#include "compiler.h"
#include "swap.h"

/* "swapctl: SENTENCE" on standard error; returns EXIT_FAILED. */
int say_failure(const char *fmt, ...) swap_printf(1, 2);

/* The same, and where the usage can be read; returns EXIT_MISUSED. */
int say_misuse(const struct invocation *inv, const char *fmt, ...)
	swap_printf(2, 3);

/* No memory: the failure that every command can have. */
int say_no_memory(void);

/* The sentence in @error, or else that of @r, the negative errno. */
const char *say_why(const struct swap_error *error, int r);

/* Say it, with @thing in front where no sentence names it; EXIT_FAILED. */
int say_error(const char *thing, const struct swap_error *error, int r);

/*
 * What became of a device, as one line of JSON:
 *	{"device":NAME,"result":"ok"}
 *	{"device":NAME,"result":"failed","errno":N,"message":WHY}
 * @r         0: all went well; else @error says why not
 * @progress  NULL, or what was moved: "done_bytes", "total_bytes" and
 *	      "elapsed_usec" are added
 */
void say_result(const char *name, const struct swap_error *error, int r,
		const struct swap_progress *progress);

/*
 * Print @json, which is given away (NULL: there was no memory for it): an
 * object in one line, or with @indent over several.
 */
int say_json(json_t *json, bool indent);

/* Was everything written?  EXIT_FAILED instead of @status if not. */
int say_end(int status);

#endif
