/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * swapctl set - change tunables while the pager runs
 *
 * All that are named are changed, or none (settings.c).  The names are looked
 * at before anything is sent, so that a slip of the hand gets a hint.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "ipc/client.h"
#include "reach.h"
#include "say.h"
#include "settings.h"
#include "util.h"

struct set_call {
	const struct invocation	*inv;
	struct swap_client	*client;
	struct setting		*settings;
	size_t			 n;
};

static int
set_one(void *arg, const char *name, const char *value,
	struct swap_error *error)
{
	struct set_call *call = arg;

	return swap_client_tune(call->client, name, value, error);
}

/* The values before; a name that is none is told. */
static int
look_up(struct set_call *call, const struct swap_tunable *tunables, size_t n)
{
	int status = EXIT_OK;
	char hint[64];

	for (size_t i = 0; i < call->n; i++) {
		struct setting *s = &call->settings[i];
		const struct swap_tunable *found = setting_find(tunables, n,
								s->name);

		if (found != NULL)
			format_cut(s->old_value, sizeof(s->old_value), "%s",
				   found->value);
		else
			status = say_failure("there is no tunable '%s'%s",
					     s->name, setting_hint(tunables, n,
						s->name, hint, sizeof(hint)));
	}
	return status;
}

static int
read_tunables(struct set_call *call, struct swap_tunable **ret, size_t *ret_n)
{
	struct swap_error error = { 0 };
	int r = swap_client_tunables(call->client, ret, ret_n, &error);

	return r < 0 ? say_error("tunables", &error, r) : EXIT_OK;
}

/* ---------------------------------------------------------- what came of it */

static void
put_done(const struct set_call *call, const struct setting *s,
	 const struct swap_tunable *now)
{
	char value[32], old_value[32];

	if (call->inv->json) {
		(void)say_json(json_pack("{s:s,s:s,s:s,s:s}", "name", s->name,
					 "result", "ok", "old_value",
					 s->old_value, "value", now->value),
			       false);
		return;
	}
	setting_value(now, now->value, value, sizeof(value));
	setting_value(now, s->old_value, old_value, sizeof(old_value));
	if (strcmp(now->value, s->old_value) == 0)
		printf("%s is %s, as before\n", s->name, value);
	else
		printf("%s is %s; it was %s\n", s->name, value, old_value);
}

static void
put_refused(const struct set_call *call, const struct setting *s)
{
	const char *why = say_why(&s->error, s->code);

	if (call->inv->json)
		(void)say_json(json_pack("{s:s,s:s,s:i,s:s}", "name", s->name,
					 "result", "failed", "errno",
					 -s->code, "message", why), false);
	else
		say_failure("%s", why);
}

static int
put_results(struct set_call *call, size_t nrefused)
{
	const struct swap_tunable *now;
	struct swap_tunable *tunables;
	size_t n;
	int r;

	for (size_t i = 0; nrefused > 0 && i < call->n; i++)
		if (!call->settings[i].done && call->settings[i].code < 0)
			put_refused(call, &call->settings[i]);
	if (nrefused > 0)
		return EXIT_FAILED;
	r = read_tunables(call, &tunables, &n);
	if (r != EXIT_OK)
		return r;
	for (size_t i = 0; i < call->n; i++) {
		now = setting_find(tunables, n, call->settings[i].name);
		if (now != NULL)
			put_done(call, &call->settings[i], now);
	}
	free(tunables);
	return EXIT_OK;
}

static int
set_connected(struct set_call *call)
{
	struct swap_tunable *tunables;
	size_t n;
	int r = read_tunables(call, &tunables, &n);

	if (r != EXIT_OK)
		return r;
	r = look_up(call, tunables, n);
	free(tunables);
	if (r != EXIT_OK)
		return r;
	return put_results(call, settings_apply(call->settings, call->n,
						set_one, call));
}

static int
parse_settings(struct set_call *call, char **argv)
{
	for (size_t i = 0; i < call->n; i++)
		if (setting_parse(argv[i], &call->settings[i]) < 0)
			return say_misuse(call->inv, "'%.80s' is not of the "
					  "form NAME=VALUE", argv[i]);
	return EXIT_OK;
}

static int
run_set(struct invocation *inv, int argc, char **argv)
{
	struct set_call call = { .inv = inv };
	int r = command_operands(inv, argc, argv);

	if (r != COMMAND_GOES_ON)
		return r;
	if (optind == argc)
		return say_misuse(inv, "which tunable, and to what value?");
	call.n = (size_t)(argc - optind);
	call.settings = calloc(call.n, sizeof(*call.settings));
	if (call.settings == NULL)
		return say_no_memory();
	r = parse_settings(&call, argv + optind);
	if (r == EXIT_OK)
		r = reach_connect(inv, &call.client);
	if (r == EXIT_OK) {
		r = set_connected(&call);
		swap_client_close(call.client);
	}
	free(call.settings);
	return r;
}

const struct command cmd_set = {
	.name = "set",
	.synopsis = "NAME=VALUE...",
	.summary = "Change tunables of a pager",
	.help =
	"Sizes take K, M, G or T.  Where a value is refused, none is changed.",
	.run = run_set,
};
