/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * swapctl -p kernel on
 *
 * With -a the swap lines of fstab(5) are turned on, in their order, but those
 * that are noauto or on already; a failure of one does not keep the others
 * from it, and is none where the line says nofail.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fstab.h"
#include "kernel.h"
#include "kernel/devices.h"
#include "kernel/on.h"
#include "reach.h"
#include "say.h"
#include "util.h"

struct call {
	const struct invocation	*inv;
	struct host		 host;
	struct kernel_on_options options;
	const char		*fstab;		/* of --fstab */
	bool			 all;
};

static void
say_on(const struct kernel_on_result *result)
{
	printf("%s is on%s\n", result->path,
	       result->created ? "; the file was made" :
	       result->header_written ? "; a swap header was written" : "");
}

static int
on_device(const struct call *call, const char *spec,
	  const struct kernel_on_options *options, bool nofail)
{
	struct kernel_on_result result;
	struct swap_error error = { 0 };
	int r = kernel_on(&call->host, spec, options, &result, &error);

	if (call->inv->json)
		say_result(result.path[0] != '\0' ? result.path : spec,
			   &error, r, NULL);
	else if (r >= 0)
		say_on(&result);
	fflush(stdout);
	if (r >= 0 || nofail)
		return EXIT_OK;
	return say_error(spec, &error, r);
}

/* ------------------------------------------------------------------- fstab */

static bool
is_on(const struct host *host, const char *spec)
{
	struct kernel_devices devices;
	bool on;

	if (kernel_devices(host, &devices) < 0)
		return false;
	on = kernel_device_find(&devices, spec, NULL) != NULL;
	kernel_devices_clear(&devices);
	return on;
}

static int
on_line(const struct call *call, const struct fstab_line *line)
{
	struct kernel_on_options options = call->options;

	if (line->noauto)
		return EXIT_OK;
	if (line->wrong != NULL)
		return say_failure("%s: the option '%s' in fstab(5) is not "
				   "understood; pri=0 to 32767, discard, "
				   "discard=once and discard=pages are",
				   line->source, line->wrong);
	if (is_on(&call->host, line->source))
		return EXIT_OK;
	options.priority = line->priority;
	options.discard = line->discard;
	return on_device(call, line->source, &options, line->nofail);
}

static int
on_all(const struct call *call)
{
	struct fstab_line *lines;
	int status = EXIT_OK, r;
	size_t n;

	r = fstab_read(call->fstab, &lines, &n);
	if (r == -ELIBACC)
		return say_failure("fstab(5) is read by libmount.so.1 of "
				   "util-linux, which is not there");
	if (r < 0)
		return say_failure("%s: %s", call->fstab != NULL ?
				   call->fstab : "/etc/fstab", strerror(-r));
	if (n == 0 && !call->inv->json)
		puts("fstab(5) has no swap");
	for (size_t i = 0; i < n; i++) {
		r = on_line(call, &lines[i]);
		if (r != EXIT_OK)
			status = r;
	}
	fstab_free(lines, n);
	return status;
}

/* ----------------------------------------------------------------- options */

enum { OPTION_PRIORITY = 256, OPTION_CREATE, OPTION_DISCARD, OPTION_LABEL,
       OPTION_FSTAB };

static int
set_discard(const struct invocation *inv, struct kernel_on_options *options)
{
	if (optarg == NULL)
		options->discard = ON_DISCARD_BOTH;
	else if (strcmp(optarg, "once") == 0)
		options->discard = ON_DISCARD_ONCE;
	else if (strcmp(optarg, "pages") == 0)
		options->discard = ON_DISCARD_PAGES;
	else
		return say_misuse(inv, "--discard '%s' is neither 'once' nor "
				  "'pages'", optarg);
	return COMMAND_GOES_ON;
}

static int
set_priority(const struct invocation *inv, struct kernel_on_options *options)
{
	int64_t priority;

	if (parse_i64(optarg, SWAP_PRIORITY_MIN, SWAP_PRIORITY_MAX,
		      &priority) < 0)
		return say_misuse(inv, "priority '%s' is not a whole number "
				  "from %d to %d", optarg, SWAP_PRIORITY_MIN,
				  SWAP_PRIORITY_MAX);
	options->priority = (int)priority;
	return COMMAND_GOES_ON;
}

static int
on_option(struct call *call, struct invocation *inv, int option, char **argv)
{
	struct kernel_on_options *options = &call->options;

	switch (option) {
	case OPTION_PRIORITY:
		return set_priority(inv, options);
	case OPTION_CREATE:
		if (parse_size(optarg, &options->create_bytes) < 0 ||
		    options->create_bytes == 0 ||
		    options->create_bytes > INT64_MAX)
			return say_misuse(inv, "'%s' is not the size of a "
					  "file; say 512M or 4G", optarg);
		break;
	case OPTION_DISCARD:
		return set_discard(inv, options);
	case OPTION_LABEL:
		options->label = optarg;
		break;
	case OPTION_FSTAB:
		call->fstab = optarg;
		break;
	case 'f':
		options->force = true;
		break;
	case 'a':
		call->all = true;
		break;
	default:
		return command_option(inv, option, argv);
	}
	return COMMAND_GOES_ON;
}

static int
on_run(struct call *call, int n, char **names)
{
	int status = EXIT_OK, r = reach_host(&call->host);

	if (r != EXIT_OK)
		return r;
	if (call->all)
		status = on_all(call);
	for (int i = 0; i < n; i++) {
		r = on_device(call, names[i], &call->options, false);
		if (r != EXIT_OK)
			status = r;
	}
	host_close(&call->host);
	return status;
}

int
kernel_run_on(struct invocation *inv, int argc, char **argv)
{
	static const struct option options[] = {
		{ "priority", required_argument, NULL, OPTION_PRIORITY },
		{ "create", required_argument, NULL, OPTION_CREATE },
		{ "discard", optional_argument, NULL, OPTION_DISCARD },
		{ "label", required_argument, NULL, OPTION_LABEL },
		{ "fstab", required_argument, NULL, OPTION_FSTAB },
		{ "force", no_argument, NULL, 'f' },
		{ "all", no_argument, NULL, 'a' },
		COMMAND_OPTIONS,
	};
	struct call call = {
		.inv = inv, .options = { .priority = ON_PRIORITY_ANY },
	};
	int option, r;

	while ((option = getopt_long(argc, argv, ":p:hfa", options,
				     NULL)) != -1) {
		r = on_option(&call, inv, option, argv);
		if (r != COMMAND_GOES_ON)
			return r;
	}
	if (call.all && optind < argc)
		return say_misuse(inv, "-a turns on what fstab(5) names; "
				  "leave out '%s'", argv[optind]);
	if (call.all && (call.options.create_bytes > 0 || call.options.force))
		return say_misuse(inv, "--create and --force go with the name "
				  "of a device, not with -a");
	if (!call.all && optind == argc)
		return say_misuse(inv, "which device?  -a is all of fstab(5)");
	return on_run(&call, argc - optind, argv + optind);
}
