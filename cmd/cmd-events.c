/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * swapctl events - what happened to a pager
 *
 * The pager keeps the last few hundred.  With --follow it sends each one as it
 * comes, and says how many were forgotten where we were too slow.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "command.h"
#include "ipc/client.h"
#include "ipc/export.h"
#include "ipc/json.h"
#include "reach.h"
#include "say.h"
#include "util.h"

#define KIND_WIDTH	18

struct events_run {
	bool		 follow, json;
	int64_t		 after;		/* -1: not given */
	bool		 begun;		/* the first answer has come */
	int		 status;
};

static void
put_event(const struct swap_event *event)
{
	time_t seconds = (time_t)(event->time_usec / 1000000u);
	char when[32] = "";
	struct tm tm;

	if (localtime_r(&seconds, &tm) != NULL)
		strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &tm);
	printf("%s  %-*s  ", when, KIND_WIDTH, swap_event_name(event->kind));
	if (event->device[0] != '\0')
		printf("%s: ", event->device);
	if (event->object != 0)
		printf("object %" PRIu64 ": ", event->object);
	puts(event->message);
}

static void
put_lost(const struct events_run *run, json_int_t lost)
{
	/* What was there before anybody asked is no loss of ours. */
	if (lost == 0 || (!run->begun && run->after < 0))
		return;
	if (run->json)
		printf("{\"lost\":%" JSON_INTEGER_FORMAT "}\n", lost);
	else
		printf("(%" JSON_INTEGER_FORMAT " events were forgotten "
		       "unseen)\n", lost);
}

/* One answer of the pager; non-zero: hang up. */
static int
each(void *arg, json_t *params, bool continues)
{
	struct events_run *run = arg;
	struct swap_event *events;
	size_t n;

	(void)continues;
	if (json_to_events(json_object_get(params, "events"), &events,
			   &n) < 0) {
		run->status = say_failure("the events of the swapd make no "
					  "sense; it may be of another "
					  "version");
		return 1;
	}
	put_lost(run, json_integer_value(json_object_get(params, "lost")));
	for (size_t i = 0; i < n; i++) {
		if (run->json)
			(void)say_json(export_event(&events[i]), false);
		else
			put_event(&events[i]);
	}
	run->begun = true;
	free(events);
	/* Who reads a line as it comes must not wait for a full buffer. */
	return fflush(stdout) != 0;
}

static int
ask(const struct invocation *inv, struct events_run *run)
{
	struct swap_error error = { 0 };
	struct swap_client *client;
	json_t *params = json_pack("{s:I}", "after", run->after < 0 ? 0 :
				   (json_int_t)run->after), *reply = NULL;
	int r = reach_connect(inv, &client);

	if (r != EXIT_OK) {
		json_decref(params);
		return r;
	}
	if (run->follow)
		r = client_call_more(client, "Events", params, each, run,
				     &error);
	else
		r = client_call(client, "Events", params, &reply, &error);
	if (reply != NULL)
		(void)each(run, reply, false);
	json_decref(reply);
	swap_client_close(client);
	if (run->status != EXIT_OK)
		return run->status;
	return r < 0 ? say_failure("%s", say_why(&error, r)) : EXIT_OK;
}

enum { OPTION_FOLLOW = 256, OPTION_AFTER };

static int
run_events(struct invocation *inv, int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "follow", no_argument, NULL, OPTION_FOLLOW },
		{ "after", required_argument, NULL, OPTION_AFTER },
		COMMAND_OPTIONS,
	};
	struct events_run run = { .after = -1 };
	int option, r = COMMAND_GOES_ON;

	while (r == COMMAND_GOES_ON &&
	       (option = getopt_long(argc, argv, ":p:h", long_options,
				     NULL)) != -1) {
		if (option == OPTION_FOLLOW)
			run.follow = true;
		else if (option != OPTION_AFTER)
			r = command_option(inv, option, argv);
		else if (parse_i64(optarg, 0, INT64_MAX, &run.after) < 0)
			r = say_misuse(inv, "--after '%s' is not the number "
				       "of an event", optarg);
	}
	if (r == COMMAND_GOES_ON && optind < argc)
		r = say_misuse(inv, "'%s' is one word too many", argv[optind]);
	if (r != COMMAND_GOES_ON)
		return r;
	run.json = inv->json;
	return ask(inv, &run);
}

const struct command cmd_events = {
	.name = "events",
	.synopsis = "[--follow] [--after NUMBER]",
	.summary = "Show what happened: devices, shortages, losses",
	.help =
	"      --follow        go on, and show what happens as it does\n"
	"      --after NUMBER  only those with a higher number",
	.run = run_events,
};
