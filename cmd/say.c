/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How swapctl speaks
 *
 * A failure is one sentence on standard error that says what failed, on what,
 * why, and what to do.  Results go to standard output, and a result that could
 * not be written (a full disk behind a pipe) is a failure too.
 */
#include "say.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void
say(const char *fmt, va_list args)
{
	fflush(stdout);
	fputs("swapctl: ", stderr);
	vfprintf(stderr, fmt, args);
	fputc('\n', stderr);
}

int
say_failure(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	say(fmt, args);
	va_end(args);
	return EXIT_FAILED;
}

int
say_misuse(const struct invocation *inv, const char *fmt, ...)
{
	const char *command = inv->command != NULL ? inv->command->name : NULL;
	va_list args;

	va_start(args, fmt);
	say(fmt, args);
	va_end(args);
	fprintf(stderr, "Try 'swapctl help%s%s'.\n",
		command != NULL ? " " : "", command != NULL ? command : "");
	return EXIT_MISUSED;
}

int
say_no_memory(void)
{
	return say_failure("out of memory; nothing more was done");
}

const char *
say_why(const struct swap_error *error, int r)
{
	return error->message[0] != '\0' ? error->message : strerror(-r);
}

int
say_error(const char *thing, const struct swap_error *error, int r)
{
	if (error->message[0] != '\0')
		return say_failure("%s", error->message);
	return say_failure("%s: %s", thing, strerror(-r));
}

static void
put_string(json_t *json, const char *key, const char *text)
{
	json_t *value = json_string(text);

	/* Bytes that are no UTF-8 cannot be told in JSON. */
	json_object_set_new(json, key, value != NULL ? value : json_null());
}

static void
put_size(json_t *json, const char *key, uint64_t size)
{
	json_object_set_new(json, key, json_integer((json_int_t)size));
}

void
say_result(const char *name, const struct swap_error *error, int r,
	   const struct swap_progress *progress)
{
	json_t *json = json_object();

	put_string(json, "device", name);
	put_string(json, "result", r < 0 ? "failed" : "ok");
	if (r < 0) {
		json_object_set_new(json, "errno", json_integer(-r));
		put_string(json, "message", say_why(error, r));
	}
	if (progress != NULL) {
		put_size(json, "done_bytes", progress->done_bytes);
		put_size(json, "total_bytes", progress->total_bytes);
		put_size(json, "elapsed_usec", progress->elapsed_usec);
	}
	(void)say_json(json, false);
}

int
say_json(json_t *json, bool indent)
{
	size_t flags = indent ? JSON_INDENT(2) : JSON_COMPACT;

	if (json == NULL)
		return say_no_memory();
	/* A write error stays in the stream's flag, for say_end(). */
	(void)json_dumpf(json, stdout, flags | JSON_ENCODE_ANY);
	fputc('\n', stdout);
	json_decref(json);
	return EXIT_OK;
}

int
say_end(int status)
{
	errno = 0;
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	return say_failure("cannot write the result to standard output: %s",
			   errno != 0 ? strerror(errno) : "write error");
}
