/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * swapctl events - what happened to a pager
 *
 * The pager keeps the last few hundred.  With --follow it sends each one as it
 * comes, and says how many were forgotten where we were too slow.
 *
 * The kernel keeps none: what is so now is shown in the form of events, and
 * with --follow what is seen to change from then on.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "command.h"
#include "ipc/client.h"
#include "ipc/export.h"
#include "ipc/json.h"
#include "kernel/watch.h"
#include "reach.h"
#include "say.h"
#include "util.h"

#define KIND_WIDTH	18
/* Between two looks at the kernel's swap. */
#define LOOK_MSEC	1000

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
put(const struct events_run *run, const struct swap_event *event)
{
	if (run->json)
		(void)say_json(export_event(event), false);
	else
		put_event(event);
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
	for (size_t i = 0; i < n; i++)
		put(run, &events[i]);
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

/* ------------------------------------------------------------- the kernel's */

static void
on_event(void *arg, const struct swap_event *event)
{
	put(arg, event);
}

/* Until it is time to look again; false: nobody reads us any more. */
static bool
watch_wait(const struct watch *watch)
{
	struct pollfd fds[] = {
		{ .fd = watch_fd(watch), .events = POLLPRI },
		/* Of a pipe without a reader: POLLERR. */
		{ .fd = STDOUT_FILENO },
	};
	int n = poll(fds, ARRAY_SIZE(fds), LOOK_MSEC);

	return n <= 0 || !(fds[1].revents & (POLLERR | POLLHUP));
}

static int
watch_run(struct events_run *run, struct watch *watch)
{
	int r = watch_look(watch);

	while (r == 0 && fflush(stdout) == 0 && run->follow &&
	       watch_wait(watch))
		r = watch_look(watch);
	if (r < 0)
		return say_failure("the kernel's swap: %s", strerror(-r));
	if (!run->follow && !run->json)
		fputs("swapctl: the kernel keeps no history; that is what is "
		      "so now, and --follow goes on\n", stderr);
	return EXIT_OK;
}

static int
run_events_kernel(struct invocation *inv, int argc, char **argv)
{
	static const struct option options[] = {
		{ "follow", no_argument, NULL, OPTION_FOLLOW },
		COMMAND_OPTIONS,
	};
	struct events_run run = { .after = -1 };
	struct watch *watch;
	struct host host;
	int option, r;

	while ((option = getopt_long(argc, argv, ":p:h", options,
				     NULL)) != -1) {
		if (option == OPTION_FOLLOW) {
			run.follow = true;
			continue;
		}
		r = command_option(inv, option, argv);
		if (r != COMMAND_GOES_ON)
			return r;
	}
	if (optind < argc)
		return say_misuse(inv, "'%s' is one word too many",
				  argv[optind]);
	run.json = inv->json;
	r = reach_host(&host);
	if (r != EXIT_OK)
		return r;
	r = watch_open(&host, on_event, &run, &watch);
	if (r < 0) {
		r = say_no_memory();
	} else {
		r = watch_run(&run, watch);
		watch_close(watch);
	}
	host_close(&host);
	return r;
}

const struct command cmd_events = {
	.name = "events",
	.synopsis = "[--follow] [--after NUMBER]",
	.summary = "Show what happened: devices, shortages, losses",
	.help =
	"      --follow        go on, and show what happens as it does\n"
	"      --after NUMBER  only those with a higher number",
	.run = run_events,
	.run_kernel = run_events_kernel,
	.kernel_synopsis = "[--follow]",
	.kernel_help =
	"      --follow        go on, and show what changes\n"
	"The kernel keeps no history: what is so now comes first.",
};
