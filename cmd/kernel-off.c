/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * swapctl -p kernel off, drain
 *
 * Both bring swapped pages back in bulk; off then turns the device off.  An
 * interrupt is read between two reports, and stops either cleanly.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "figures.h"
#include "interrupt.h"
#include "kernel.h"
#include "kernel/groups.h"
#include "kernel/off.h"
#include "progress.h"
#include "reach.h"
#include "say.h"
#include "util.h"

/* One "off" or "drain". */
struct work {
	const struct invocation	*inv;
	struct host		 host;
	struct interrupt	 interrupt;
	struct progress		 progress;
	struct kernel_off_options off;
};

static int
on_progress(void *arg, const struct swap_progress *report)
{
	struct work *work = arg;

	progress_update(&work->progress, report);
	progress_draw(&work->progress);
	return interrupt_taken(&work->interrupt);
}

/*
 * Should memory run out in spite of all care, then better for us than for a
 * program: what we stop leaves no harm.
 */
static void
volunteer(void)
{
	FILE *f = fopen("/proc/self/oom_score_adj", "we");

	if (f == NULL)
		return;
	fputs("1000", f);
	fclose(f);
}

static int
work_begin(struct work *work)
{
	int r = reach_host(&work->host);

	if (r != EXIT_OK)
		return r;
	volunteer();
	interrupt_watch(&work->interrupt);
	interrupt_block(&work->interrupt, true);
	return EXIT_OK;
}

static void
work_end(struct work *work)
{
	interrupt_block(&work->interrupt, false);
	interrupt_end(&work->interrupt);
	host_close(&work->host);
}

static double
mib_per_second(uint64_t bytes, uint64_t usec)
{
	return usec > 0 ? (double)bytes / 0x1p20 / ((double)usec / 1e6) : 0;
}

/* ----------------------------------------------------------------------- off */

static void
say_plan(const struct kernel_off_plan *plan)
{
	char used[FIGURE_LEN], have[FIGURE_LEN], keep[FIGURE_LEN];
	char elsewhere[FIGURE_LEN], placed[FIGURE_LEN];

	printf("%s holds %s.  Available: %s of memory, of which %s are kept "
	       "free; on other swap: %s.\n", plan->path,
	       format_size(plan->used, used, sizeof(used)),
	       format_size(plan->available, have, sizeof(have)),
	       format_size(plan->reserve, keep, sizeof(keep)),
	       format_size(plan->elsewhere, elsewhere, sizeof(elsewhere)));
	if (plan->drains)
		printf("First %s of programs%s would be brought back, then "
		       "swapoff(2) would finish.\n",
		       format_size(plan->placed, placed, sizeof(placed)),
		       plan->shm ? ", and shared memory," : "");
	else
		puts("swapoff(2) alone would do.");
	if (plan->group[0] != '\0')
		printf("It does not fit in memory group %s: %s are to come "
		       "back, and its limit leaves room for %s.\n",
		       plan->group,
		       format_size(plan->group_needs, used, sizeof(used)),
		       format_size(plan->group_room, have, sizeof(have)));
	else
		puts(plan->fits ? "It fits." : "It does not fit.");
}

static void
say_off(const struct kernel_off_result *result)
{
	const struct kernel_off_plan *plan = &result->plan;
	char used[FIGURE_LEN];

	if (plan->used == 0) {
		printf("%s is off; it held nothing\n", plan->path);
		return;
	}
	printf("%s is off; %s brought back in %.1f s, %.1f MiB/s\n",
	       plan->path, format_size(plan->used, used, sizeof(used)),
	       (double)result->usec / 1e6,
	       mib_per_second(plan->used, result->usec));
}

static json_t *
off_json(const char *name, const struct kernel_off_result *result, int r,
	 const struct swap_error *error)
{
	const struct kernel_off_plan *plan = &result->plan;
	json_t *json, *why;

	json = json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:b, s:b, s:b, "
			 "s:s, s:I, s:I, s:I, s:I}",
			 "device", plan->path[0] != '\0' ? plan->path : name,
			 "result", r < 0 ? "failed" : "ok",
			 "used_bytes", (json_int_t)plan->used,
			 "available_bytes", (json_int_t)plan->available,
			 "reserve_bytes", (json_int_t)plan->reserve,
			 "elsewhere_bytes", (json_int_t)plan->elsewhere,
			 "placed_bytes", (json_int_t)plan->placed,
			 "drains", plan->drains, "shared_memory", plan->shm,
			 "fits", plan->fits, "short_group", plan->group,
			 "drained_bytes", (json_int_t)result->drain.bytes,
			 "drain_usec", (json_int_t)result->drain.usec,
			 "swapoff_usec", (json_int_t)result->swapoff_usec,
			 "elapsed_usec", (json_int_t)result->usec);
	if (json == NULL || r >= 0)
		return json;
	why = json_pack("{s:i, s:s}", "errno", -r, "message",
			say_why(error, r));
	json_object_update(json, why);
	json_decref(why);
	return json;
}

static int
off_device(struct work *work, const char *name)
{
	struct kernel_off_result result;
	struct swap_error error = { 0 };
	int status = EXIT_OK, r;

	progress_init(&work->progress, name, page_bytes());
	r = kernel_off(&work->host, name, &work->off, &result, &error);
	progress_erase(&work->progress);
	if (r < 0)
		status = say_error(name, &error, r);
	if (work->inv->json)
		(void)say_json(off_json(name, &result, r, &error), false);
	else if (work->off.dry_run && result.plan.path[0] != '\0')
		say_plan(&result.plan);
	else if (r >= 0)
		say_off(&result);
	fflush(stdout);
	return status;
}

static int
off_named(struct work *work, int n, char **names)
{
	int status = EXIT_OK, r;

	for (int i = 0; i < n; i++) {
		if (interrupt_taken(&work->interrupt))
			return say_failure("stopped; %d of the devices were "
					   "left as they were", n - i);
		r = off_device(work, names[i]);
		if (r != EXIT_OK)
			status = r;
	}
	return status;
}

/* The emptiest first: what it gives back of memory helps the next ones. */
static int
by_used(const void *a, const void *b)
{
	const struct kernel_device *x = a, *y = b;

	return (x->stats.used_bytes > y->stats.used_bytes) -
	       (x->stats.used_bytes < y->stats.used_bytes);
}

static int
off_all(struct work *work)
{
	struct kernel_devices devices;
	char **names;
	int r = kernel_devices(&work->host, &devices);

	if (r < 0)
		return say_failure("/proc/swaps: %s", strerror(-r));
	names = calloc(devices.n + 1, sizeof(*names));
	if (names == NULL) {
		kernel_devices_clear(&devices);
		return say_no_memory();
	}
	if (devices.n == 0 && !work->inv->json)
		puts("no swap devices configured");
	else if (devices.n > 0)
		qsort(devices.device, devices.n, sizeof(*devices.device),
		      by_used);
	for (size_t i = 0; i < devices.n; i++)
		names[i] = devices.device[i].path;
	r = off_named(work, (int)devices.n, names);
	free(names);
	kernel_devices_clear(&devices);
	return r;
}

enum { OPTION_PLAIN = 256, OPTION_THREADS };

struct off_call {
	bool	all;
	int64_t	threads;
};

static int
off_option(struct work *work, struct invocation *inv, int option, char **argv,
	   struct off_call *call)
{
	switch (option) {
	case 'a':
		call->all = true;
		return COMMAND_GOES_ON;
	case 'f':
		work->off.force = true;
		return COMMAND_GOES_ON;
	case 'n':
		work->off.dry_run = true;
		return COMMAND_GOES_ON;
	case OPTION_PLAIN:
		work->off.plain = true;
		return COMMAND_GOES_ON;
	case OPTION_THREADS:
		if (parse_i64(optarg, 1, 16, &call->threads) < 0)
			return say_misuse(inv, "--threads '%s' is not a "
					  "number within 1..16", optarg);
		work->off.threads = (unsigned)call->threads;
		return COMMAND_GOES_ON;
	default:
		return command_option(inv, option, argv);
	}
}

int
kernel_run_off(struct invocation *inv, int argc, char **argv)
{
	static const struct option options[] = {
		{ "all", no_argument, NULL, 'a' },
		{ "force", no_argument, NULL, 'f' },
		{ "dry-run", no_argument, NULL, 'n' },
		{ "plain", no_argument, NULL, OPTION_PLAIN },
		{ "threads", required_argument, NULL, OPTION_THREADS },
		COMMAND_OPTIONS,
	};
	struct work work = { .inv = inv };
	struct off_call call = { 0 };
	int option, r;

	while ((option = getopt_long(argc, argv, ":p:hafn", options,
				     NULL)) != -1) {
		r = off_option(&work, inv, option, argv, &call);
		if (r != COMMAND_GOES_ON)
			return r;
	}
	if (call.all && optind < argc)
		return say_misuse(inv, "every device is meant already; leave "
				  "out '%s', or name devices only",
				  argv[optind]);
	if (!call.all && optind == argc)
		return say_misuse(inv, "which device?  -a is every one");
	r = work_begin(&work);
	if (r != EXIT_OK)
		return r;
	work.off.progress = on_progress;
	work.off.arg = &work;
	r = call.all ? off_all(&work) :
		       off_named(&work, argc - optind, argv + optind);
	work_end(&work);
	return r;
}

/* --------------------------------------------------------------------- drain */

static uint64_t
process_swap(const struct host *host, int32_t pid)
{
	uint64_t bytes = 0;
	char *status;

	if (host_read_pid(host, pid, "status", &status) < 0)
		return 0;
	bytes = text_kib(status, "VmSwap:");
	free(status);
	return bytes;
}

/* What a word means: a process by its number, or else a memory group. */
static int
drain_target(struct work *work, const char *word, struct kernel_groups *groups,
	     struct drain_request *request, struct swap_error *error)
{
	int64_t pid;

	request->number = DRAIN_ANY;
	if (parse_i64(word, 1, INT32_MAX, &pid) == 0) {
		char path[32];

		format_cut(path, sizeof(path), "%d", (int)pid);
		if (faccessat(work->host.proc, path, F_OK, 0) < 0)
			return error_set(error, -ESRCH, "there is no process "
					 "%s", word);
		request->pid = (int32_t)pid;
		request->total_bytes = process_swap(&work->host,
						    request->pid);
		return 0;
	}
	request->group = word;
	request->group_version = groups->version;
	for (size_t i = 0; i < groups->n; i++) {
		if (strcmp(groups->group[i].path, word) != 0)
			continue;
		request->total_bytes = groups->group[i].swapped;
		return 0;
	}
	return error_set(error, -ENOENT, "%s: neither a process number nor a "
			 "memory group with anything in swap; 'swapctl -p "
			 "kernel objects' lists both", word);
}

/* A group at its limit would push out what comes in. */
static int
check_group(const struct kernel_groups *groups, const char *path,
	    uint64_t bytes, struct swap_error *error)
{
	char needs[FIGURE_LEN], room[FIGURE_LEN];

	for (size_t i = 0; i < groups->n; i++) {
		const struct kernel_group *group = &groups->group[i];
		uint64_t left = kernel_group_room(group);

		if (!kernel_group_has(group->path, path) || bytes <= left)
			continue;
		return error_set(error, -ENOMEM, "the memory group %s has "
				 "room for %s, and %s would come back; raise "
				 "its limit first", group->path,
				 format_size(left, room, sizeof(room)),
				 format_size(bytes, needs, sizeof(needs)));
	}
	return 0;
}

static int
drain_check(struct work *work, const struct kernel_groups *groups,
	    const struct drain_request *request, struct swap_error *error)
{
	char group[1024];

	if (request->pid == 0)
		return check_group(groups, request->group,
				   request->total_bytes, error);
	kernel_group_of(&work->host, groups->version, request->pid, group,
			sizeof(group));
	return check_group(groups, group, request->total_bytes, error);
}

static void
say_drained(struct work *work, const char *word,
	    const struct drain_result *result, int r,
	    const struct swap_error *error)
{
	const struct swap_progress progress = {
		.done_bytes = result->bytes / 2,
		.total_bytes = work->progress.last.total_bytes,
		.elapsed_usec = result->usec,
	};
	char bytes[FIGURE_LEN];

	if (work->inv->json)
		say_result(word, error, r, &progress);
	else if (r >= 0)
		printf("%s: %s brought back in %.1f s\n", word,
		       format_size(progress.done_bytes, bytes, sizeof(bytes)),
		       (double)result->usec / 1e6);
}

static int
drain_one(struct work *work, const char *word, struct kernel_groups *groups)
{
	struct drain_request request = {
		.map = true, .progress = on_progress, .arg = work,
	};
	struct drain_result result = { 0 };
	struct swap_error error = { 0 };
	int r = drain_target(work, word, groups, &request, &error);

	progress_init(&work->progress, word, page_bytes());
	if (r == 0)
		r = drain_check(work, groups, &request, &error);
	work->progress.last.total_bytes = request.total_bytes;
	/* Each page is asked for, and then given to its process. */
	request.total_bytes *= 2;
	if (r == 0)
		r = drain_run(&work->host, &request, &result, &error);
	progress_erase(&work->progress);
	if (r == 0 && result.nhidden > 0)
		r = error_set(&error, -EPERM, "%s: %u process%s may not be "
			      "looked into; run this as root", word,
			      result.nhidden,
			      result.nhidden == 1 ? "" : "es");
	say_drained(work, word, &result, r, &error);
	return r < 0 ? say_error(word, &error, r) : EXIT_OK;
}

int
kernel_run_drain(struct invocation *inv, int argc, char **argv)
{
	struct work work = { .inv = inv };
	struct kernel_groups groups;
	int r = command_operands(inv, argc, argv), status = EXIT_OK;

	if (r != COMMAND_GOES_ON)
		return r;
	if (optind == argc)
		return say_misuse(inv, "which process, or memory group?");
	r = work_begin(&work);
	if (r != EXIT_OK)
		return r;
	if (kernel_groups(&work.host, &groups) < 0) {
		work_end(&work);
		return say_no_memory();
	}
	for (int i = optind; i < argc; i++) {
		r = drain_one(&work, argv[i], &groups);
		if (r != EXIT_OK)
			status = r;
	}
	kernel_groups_clear(&groups);
	work_end(&work);
	return status;
}
