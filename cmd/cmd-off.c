/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * swapctl off - page back what devices hold, and detach them
 *
 * The swapd does the work and reports about ten times a second.  To stop it
 * is to close the connection: the swapd then puts the device back into
 * service.  So an interrupt (Ctrl-C) is taken as a descriptor, which ends the
 * call at once even if the swapd is stuck; from then on a second one ends
 * swapctl the ordinary way, with the same result for the device.
 *
 * With -a, one device that cannot be turned off does not keep the others from
 * it (FreeBSD swap_pager.c, swapoff_all).
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

/* One "swapctl off". */
struct off {
	const struct invocation	*inv;
	struct interrupt	 interrupt;
};

static uint64_t
member_u64(const json_t *reply, const char *key)
{
	json_int_t value = json_integer_value(json_object_get(reply, key));

	return value > 0 ? (uint64_t)value : 0;
}

/* One report of the swapd; the last is the result and not drawn. */
static int
on_report(void *arg, json_t *reply, bool continues)
{
	struct progress *progress = arg;
	const struct swap_progress report = {
		.done_bytes = member_u64(reply, "done_bytes"),
		.total_bytes = member_u64(reply, "total_bytes"),
		.elapsed_usec = member_u64(reply, "elapsed_usec"),
	};

	progress_update(progress, &report);
	if (continues)
		progress_draw(progress);
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

static int
call_off(struct swap_client *client, struct progress *progress,
	 struct swap_error *error)
{
	json_t *params = json_pack("{s:s}", "device", progress->device);

	if (params == NULL)
		return error_set(error, -EINVAL, "%s: the name is not UTF-8; "
				 "reach the device by another path",
				 progress->device);
	return client_call_more(client, "Off", params, on_report, progress,
				error);
}

/* Turn one device off.  Its own connection: closing it is what stops it. */
static int
off_connected(struct off *off, const char *name, uint64_t page)
{
	struct swap_error error = { 0 };
	struct progress progress;
	struct swap_client *client;
	int r, status;

	interrupt_block(&off->interrupt, false);
	status = reach_connect(off->inv, &client);
	interrupt_block(&off->interrupt, true);
	if (status != EXIT_OK)
		return status;
	client_interrupt_fd(client, off->interrupt.fd);
	progress_init(&progress, name, page);
	r = call_off(client, &progress, &error);
	progress_erase(&progress);
	swap_client_close(client);
	if (r < 0 && interrupt_taken(&off->interrupt)) {
		r = -EINTR;
		status = say_stopped(off->inv, name, &progress.last, &error);
	} else if (r < 0) {
		status = say_error(name, &error, r);
	}
	if (off->inv->json)
		say_result(name, &error, r, &progress.last);
	else if (r >= 0)
		say_off(name, &progress.last, page);
	return status;
}

static int
off_device(struct off *off, const char *typed, uint64_t page)
{
	char *name;
	int r;

	if (typed[0] == '\0')
		return say_misuse(off->inv, "the name of a device is empty");
	r = device_name_absolute(typed, &name);
	if (r < 0)
		return say_failure("%s: %s", typed, strerror(-r));
	r = off_connected(off, name, page);
	free(name);
	/* Each line as it comes, whoever reads. */
	fflush(stdout);
	return r;
}

/* An interrupt between two devices leaves the rest alone, and is told. */
static int
say_left(size_t nleft)
{
	return say_failure("stopped; %zu %s left as %s", nleft,
			   nleft == 1 ? "device was" : "devices were",
			   nleft == 1 ? "it was" : "they were");
}

static int
off_all(struct off *off)
{
	struct swap_stats stats = { 0 };
	int status = reach_stats(off->inv, &stats);

	if (status != EXIT_OK)
		return status;
	if (stats.ndevices == 0 && !off->inv->json)
		puts("no swap devices configured");
	for (size_t i = 0; i < stats.ndevices; i++) {
		if (interrupt_taken(&off->interrupt)) {
			status = say_left(stats.ndevices - i);
			break;
		}
		if (off_device(off, stats.devices[i].path,
			       stats.page_bytes) != EXIT_OK)
			status = EXIT_FAILED;
	}
	swap_stats_clear(&stats);
	return status;
}

static int
off_named(struct off *off, int n, char **names)
{
	int status = EXIT_OK, r;

	for (int i = 0; i < n; i++) {
		if (interrupt_taken(&off->interrupt))
			return say_left((size_t)(n - i));
		r = off_device(off, names[i], page_bytes());
		if (r == EXIT_MISUSED)
			return r;
		if (r != EXIT_OK)
			status = r;
	}
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
		r = off_named(&off, argc - optind, argv + optind);
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
	"Ctrl-C stops it: the device goes back into service.",
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
