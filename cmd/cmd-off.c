/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * swapctl off - page back what devices hold, and detach them
 *
 * The swapd does the work, for all devices together, and reports about ten
 * times a second.  To stop it is to close the connection: the swapd then puts
 * the devices back into service.  So an interrupt (Ctrl-C) is taken as a
 * descriptor, which ends the call at once even if the swapd is stuck; from then
 * on a second one ends swapctl the ordinary way, with the same result for the
 * devices.
 *
 * One device that cannot be turned off does not keep the others from it
 * (FreeBSD swap_pager.c, swapoff_all).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "command.h"
#include "device-name.h"
#include "figures.h"
#include "interrupt.h"
#include "ipc/client.h"
#include "kernel.h"
#include "progress.h"
#include "reach.h"
#include "say.h"
#include "util.h"

/* How long to watch a device go back into service, and how often to look. */
#define RESTORE_WAIT_MSEC	3000
#define RESTORE_POLL_MSEC	50

/* A device to be turned off. */
struct target {
	char		*name;		/* ours; NULL: left out */
	struct progress	 progress;
	bool		 finished;	/* the swapd has said what became of it */
	struct swap_error error;	/* code 0: it is off */
};

/* One "swapctl off". */
struct off {
	const struct invocation	*inv;
	struct interrupt	 interrupt;
	struct target		*target;
	size_t			 n;
	uint64_t		 page;		/* bytes */
	struct progress		 sum;		/* of all; what is drawn */
	char			 title[32];	/* of that */
};

static uint64_t
member_u64(const json_t *reply, const char *key)
{
	json_int_t value = json_integer_value(json_object_get(reply, key));

	return value > 0 ? (uint64_t)value : 0;
}

/* What the swapd says of one device. */
static void
target_update(struct target *target, const json_t *report)
{
	const char *message = json_string_value(json_object_get(report,
								"message"));
	const struct swap_progress progress = {
		.done_bytes = member_u64(report, "done_bytes"),
		.total_bytes = member_u64(report, "total_bytes"),
		.elapsed_usec = member_u64(report, "elapsed_usec"),
	};

	progress_update(&target->progress, &progress);
	target->finished = json_is_true(json_object_get(report, "finished"));
	target->error.code = (int)json_integer_value(json_object_get(report,
								     "errno"));
	format_cut(target->error.message, sizeof(target->error.message), "%s",
		   message != NULL ? message : "");
}

/* One report of the swapd; the last is the result and not drawn. */
static int
on_report(void *arg, json_t *reply, bool continues)
{
	const json_t *list = json_object_get(reply, "devices");
	struct off *off = arg;
	struct swap_progress sum = { 0 };
	size_t at = 0;

	for (size_t i = 0; i < off->n; i++) {
		struct target *target = &off->target[i];
		const struct swap_progress *last = &target->progress.last;

		if (target->name == NULL)
			continue;
		target_update(target, json_array_get(list, at++));
		sum.elapsed_usec = max_u64(sum.elapsed_usec,
					   last->elapsed_usec);
		if (target->error.code != 0)
			continue;
		sum.done_bytes += last->done_bytes;
		sum.total_bytes += last->total_bytes;
	}
	progress_update(&off->sum, &sum);
	if (continues)
		progress_draw(&off->sum);
	return 0;
}

static bool
is_meant(const struct swap_device_stats *device, const char *name)
{
	char *real = realpath(name, NULL);
	/* What a LABEL= means only the swapd knows: any device may be it. */
	bool meant = device_name_is_tag(name) ||
		     strcmp(device->path, name) == 0 ||
		     (real != NULL && strcmp(device->path, real) == 0);

	free(real);
	return meant;
}

/* 1: the device is in service, 0: not yet, negative: nobody can tell. */
static int
look_restored(const struct invocation *inv, const char *name)
{
	struct swap_stats stats = { 0 };
	int restored = 0;

	if (reach_stats(inv, &stats) != EXIT_OK)
		return -EIO;
	for (size_t i = 0; i < stats.ndevices; i++) {
		if (!is_meant(&stats.devices[i], name))
			continue;
		if (stats.devices[i].flags & SWAP_DEVICE_CLOSING) {
			restored = 0;
			break;
		}
		restored = 1;
	}
	swap_stats_clear(&stats);
	return restored;
}

/* Tell what became of a device whose detaching was stopped. */
static int
say_stopped(const struct invocation *inv, const char *name,
	    const struct swap_progress *last, struct swap_error *error)
{
	const struct timespec pause = {
		.tv_nsec = RESTORE_POLL_MSEC * 1000000L,
	};
	char back[FIGURE_LEN];
	int restored = 0;

	for (int msec = 0; msec < RESTORE_WAIT_MSEC && restored == 0;
	     msec += RESTORE_POLL_MSEC) {
		restored = look_restored(inv, name);
		if (restored == 0)
			nanosleep(&pause, NULL);
	}
	format_size(last->done_bytes, back, sizeof(back));
	if (restored > 0)
		error_set(error, -EINTR, "%s: stopped after %s; the device is "
			  "in service again", name, back);
	else
		error_set(error, -EINTR, "%s: stopped after %s; the device "
			  "should go back into service, look with 'swapctl "
			  "status'", name, back);
	return say_error(name, error, -EINTR);
}

static void
say_off(const char *name, const struct swap_progress *last,
	uint64_t page)
{
	char size[FIGURE_LEN], rate[FIGURE_LEN], pages[FIGURE_LEN];
	double sec = (double)last->elapsed_usec / 1e6;

	if (last->done_bytes == 0) {
		printf("%s is off; it held nothing\n", name);
		return;
	}
	figure_count(last->done_bytes / page, pages, sizeof(pages));
	format_size(last->done_bytes, size, sizeof(size));
	format_cut(rate, sizeof(rate), "%.1f MiB/s", sec > 0 ?
		   (double)last->done_bytes / 0x1p20 / sec : 0);
	printf("%s is off; %s pages (%s) paged back in %.1f s, %s\n", name,
	       pages, size, sec, rate);
}

/* The names; those that cannot be sent fail here.  NULL: there are none. */
static json_t *
call_names(struct off *off)
{
	json_t *names = json_array();

	for (size_t i = 0; i < off->n; i++) {
		struct target *target = &off->target[i];

		if (target->name == NULL ||
		    json_array_append_new(names,
					  json_string(target->name)) == 0)
			continue;
		say_failure("%s: the name is not UTF-8; reach the device by "
			    "another path", target->name);
		free(target->name);
		target->name = NULL;
	}
	if (json_array_size(names) > 0)
		return names;
	json_decref(names);
	return NULL;
}

/* The call has failed for all; what is known of a target is kept. */
static void
call_failed(struct off *off, int r, const struct swap_error *error)
{
	for (size_t i = 0; i < off->n; i++) {
		struct target *target = &off->target[i];

		if (target->name == NULL || target->finished)
			continue;
		target->error = *error;
		target->error.code = r;
	}
}

/* Tell what became of one. */
static int
say_target(struct off *off, struct target *target, bool stopped)
{
	int status = EXIT_OK;

	if (stopped && !target->finished)
		status = say_stopped(off->inv, target->name,
				     &target->progress.last, &target->error);
	else if (target->error.code < 0)
		status = say_error(target->name, &target->error,
				   target->error.code);
	if (off->inv->json)
		say_result(target->name, &target->error, target->error.code,
			   &target->progress.last);
	else if (status == EXIT_OK)
		say_off(target->name, &target->progress.last, off->page);
	return status;
}

static int
say_targets(struct off *off, bool stopped)
{
	const char *said = NULL;
	int status = EXIT_OK;

	for (size_t i = 0; i < off->n; i++) {
		struct target *target = &off->target[i];
		bool same = said != NULL && !target->finished && !stopped &&
			    strcmp(said, target->error.message) == 0;

		/* One sentence about all of them is enough. */
		if (target->name == NULL || (same && !off->inv->json))
			continue;
		if (say_target(off, target, stopped) != EXIT_OK)
			status = EXIT_FAILED;
		if (!target->finished && target->error.message[0] != '\0')
			said = target->error.message;
	}
	return status;
}

/* Its own connection: closing it is what stops it. */
static int
off_connected(struct off *off, json_t *names)
{
	struct swap_error error = { 0 };
	struct swap_client *client;
	int r, status;

	interrupt_block(&off->interrupt, false);
	status = reach_connect(off->inv, &client);
	interrupt_block(&off->interrupt, true);
	if (status != EXIT_OK) {
		json_decref(names);
		return status;
	}
	client_interrupt_fd(client, off->interrupt.fd);
	r = client_call_more(client, "Off", json_pack("{s:o}", "devices",
						      names),
			     on_report, off, &error);
	progress_erase(&off->sum);
	swap_client_close(client);
	if (r < 0)
		call_failed(off, r, &error);
	return say_targets(off, r < 0 && interrupt_taken(&off->interrupt));
}

/* Turn off what the targets name. */
static int
off_targets(struct off *off)
{
	json_t *names = call_names(off);
	size_t n = json_array_size(names);
	int status = EXIT_OK, r;

	if (n > 1)
		format_cut(off->title, sizeof(off->title), "%zu devices", n);
	for (size_t i = 0; i < off->n; i++)
		if (off->target[i].name == NULL)
			status = EXIT_FAILED;
		else
			progress_init(&off->sum, n > 1 ? off->title :
				      off->target[i].name, off->page);
	if (names == NULL)
		return status;
	for (size_t i = 0; i < off->n; i++)
		progress_init(&off->target[i].progress, off->target[i].name,
			      off->page);
	r = off_connected(off, names);
	return r != EXIT_OK ? r : status;
}

static int
targets_make(struct off *off, size_t n)
{
	off->n = n;
	off->target = calloc(n, sizeof(*off->target));
	return off->target != NULL ? EXIT_OK : say_no_memory();
}

static void
targets_free(struct off *off)
{
	for (size_t i = 0; i < off->n; i++)
		free(off->target[i].name);
	free(off->target);
}

static int
off_all(struct off *off)
{
	struct swap_stats stats = { 0 };
	int status = reach_stats(off->inv, &stats);

	if (status != EXIT_OK)
		return status;
	off->page = stats.page_bytes;
	if (stats.ndevices == 0 && !off->inv->json)
		puts("no swap devices configured");
	if (stats.ndevices > 0)
		status = targets_make(off, stats.ndevices);
	for (size_t i = 0; status == EXIT_OK && i < off->n; i++) {
		off->target[i].name = strdup(stats.devices[i].path);
		if (off->target[i].name == NULL)
			status = say_no_memory();
	}
	swap_stats_clear(&stats);
	if (status == EXIT_OK && off->n > 0)
		status = off_targets(off);
	targets_free(off);
	return status;
}

static int
off_named(struct off *off, size_t n, char **names)
{
	int status;

	for (size_t i = 0; i < n; i++)
		if (names[i][0] == '\0')
			return say_misuse(off->inv, "the name of a device is "
					  "empty");
	off->page = page_bytes();
	status = targets_make(off, n);
	if (status != EXIT_OK)
		return status;
	for (size_t i = 0; i < n; i++) {
		int r = device_name_absolute(names[i], &off->target[i].name);

		if (r < 0)
			say_failure("%s: %s", names[i], strerror(-r));
	}
	status = off_targets(off);
	targets_free(off);
	return status;
}

static int
run_off(struct invocation *inv, int argc, char **argv)
{
	static const struct option options[] = {
		{ "all", no_argument, NULL, 'a' },
		COMMAND_OPTIONS,
	};
	struct off off = { .inv = inv };
	bool all = false;
	int option, r;

	while ((option = getopt_long(argc, argv, ":p:ha", options,
				     NULL)) != -1) {
		if (option == 'a') {
			all = true;
			continue;
		}
		r = command_option(inv, option, argv);
		if (r != COMMAND_GOES_ON)
			return r;
	}
	if (all && optind < argc)
		return say_misuse(inv, "every device is meant already; leave "
				  "out '%s', or name devices only",
				  argv[optind]);
	if (!all && optind == argc)
		return say_misuse(inv, "which device?  -a is every one");
	interrupt_watch(&off.interrupt);
	if (all)
		r = off_all(&off);
	else
		r = off_named(&off, (size_t)(argc - optind), argv + optind);
	interrupt_end(&off.interrupt);
	return r;
}

const struct command cmd_off = {
	.name = "off",
	.synopsis = "DEVICE... | -a",
	.summary = "Page back what devices hold, and detach them",
	.help =
	"  DEVICE             a path, LABEL=, UUID=, PARTLABEL= or PARTUUID=\n"
	"  -a, --all          every device of the pager\n"
	"\n"
	"Ctrl-C stops it: the devices go back into service.",
	.run = run_off,
	.run_kernel = kernel_run_off,
	.kernel_synopsis = "DEVICE... | -a [--dry-run] [--force]\n"
			   "               [--plain] [--threads N]",
	.kernel_help =
	"  -n, --dry-run      say what would come back, and whether it fits\n"
	"  -f, --force        try even if it does not fit\n"
	"      --plain        swapoff(2) alone, nothing brought back before\n"
	"      --threads N    that bring pages back, 1 to 16",
};
