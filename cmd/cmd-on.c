/* SPDX-License-Identifier: BSD-2-Clause */
/* swapctl on - attach devices to a pager */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "device-name.h"
#include "ipc/client.h"
#include "kernel.h"
#include "reach.h"
#include "say.h"
#include "util.h"

struct on_options {
	int64_t		priority;
	uint64_t	create_bytes;	/* 0: the file is there already */
	bool		force;
	const char	*discard;	/* as method On has it; NULL: no */
};

static json_t *
on_params(const char *name, const struct on_options *options)
{
	return json_pack("{s:s, s:I, s:I, s:b, s:s*}", "device", name,
			 "priority", (json_int_t)options->priority,
			 "create_bytes", (json_int_t)options->create_bytes,
			 "force", (int)options->force,
			 "discard", options->discard);
}

/* Attach @name; 0, or the failure with its sentence in @error. */
static int
attach(struct swap_client *client, const char *name,
       const struct on_options *options, struct swap_error *error)
{
	json_t *params = on_params(name, options);

	if (params == NULL)
		return error_set(error, -EINVAL, "%s: the name is not UTF-8; "
				 "reach the device by another path", name);
	return client_call(client, "On", params, NULL, error);
}

static int
on_device(const struct invocation *inv, struct swap_client *client,
	  const char *typed, const struct on_options *options)
{
	struct swap_error error = { 0 };
	int status = EXIT_OK, r;
	char *name;

	if (typed[0] == '\0')
		return say_misuse(inv, "the name of a device is empty");
	r = device_name_absolute(typed, &name);
	if (r < 0)
		return say_failure("%s: %s", typed, strerror(-r));
	r = attach(client, name, options, &error);
	if (r < 0)
		status = say_error(name, &error, r);
	if (inv->json)
		say_result(name, &error, r, NULL);
	else if (r >= 0)
		printf("%s is on\n", name);
	free(name);
	return status;
}

static int
set_discard(const struct invocation *inv, struct on_options *options)
{
	options->discard = optarg != NULL ? optarg : "both";
	if (optarg != NULL && strcmp(optarg, "once") != 0 &&
	    strcmp(optarg, "pages") != 0)
		return say_misuse(inv, "--discard '%s' is neither 'once' nor "
				  "'pages'", optarg);
	return COMMAND_GOES_ON;
}

static int
on_option(struct invocation *inv, int option, char **argv,
	  struct on_options *options)
{
	int r;

	switch (option) {
	case 'P':
		r = parse_i64(optarg, SWAP_PRIORITY_MIN, SWAP_PRIORITY_MAX,
			      &options->priority);
		if (r < 0)
			return say_misuse(inv, "priority '%s' is not a whole "
					  "number from %d to %d", optarg,
					  SWAP_PRIORITY_MIN,
					  SWAP_PRIORITY_MAX);
		return COMMAND_GOES_ON;
	case 'c':
		r = parse_size(optarg, &options->create_bytes);
		if (r < 0 || options->create_bytes == 0 ||
		    options->create_bytes > INT64_MAX)
			return say_misuse(inv, "'%s' is not the size of a "
					  "file; say 512M or 4G", optarg);
		return COMMAND_GOES_ON;
	case 'd':
		return set_discard(inv, options);
	case 'f':
		options->force = true;
		return COMMAND_GOES_ON;
	default:
		return command_option(inv, option, argv);
	}
}

static int
run_on(struct invocation *inv, int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "priority", required_argument, NULL, 'P' },
		{ "create", required_argument, NULL, 'c' },
		{ "discard", optional_argument, NULL, 'd' },
		{ "force", no_argument, NULL, 'f' },
		COMMAND_OPTIONS,
	};
	struct on_options options = { 0 };
	struct swap_client *client;
	int option, r, status = EXIT_OK;

	while ((option = getopt_long(argc, argv, ":p:hf", long_options,
				     NULL)) != -1) {
		r = on_option(inv, option, argv, &options);
		if (r != COMMAND_GOES_ON)
			return r;
	}
	if (optind == argc)
		return say_misuse(inv, "which device?");
	r = reach_connect(inv, &client);
	if (r != EXIT_OK)
		return r;
	for (int i = optind; i < argc; i++) {
		r = on_device(inv, client, argv[i], &options);
		if (r != EXIT_OK)
			status = r;
	}
	swap_client_close(client);
	return status;
}

const struct command cmd_on = {
	.name = "on",
	.synopsis = "DEVICE... [--priority N] [--create SIZE]\n"
		    "               [--discard[=once|pages]] [--force]",
	.summary = "Attach files, loop devices or block devices as swap space",
	.help =
	"  DEVICE             a path, LABEL=, UUID=, PARTLABEL= or PARTUUID=\n"
	"      --priority N   0 to 32767, higher is used first (default 0)\n"
	"      --create SIZE  make a file of this size: 512M, 4G\n"
	"      --discard      tell the device what is free: all of it now, and\n"
	"                     blocks when they become free; =once, =pages: one\n"
	"                     of these\n"
	"  -f, --force        attach a device that carries data; it is lost",
	.run = run_on,
	.run_kernel = kernel_run_on,
	.kernel_synopsis = "DEVICE... | -a [--priority N] [--create SIZE]\n"
			   "               [--discard[=once|pages]] "
			   "[--label NAME]\n"
			   "               [--fstab FILE] [--force]",
	.kernel_help =
	"  -a, --all          the swap lines of fstab(5)\n"
	"      --fstab FILE   of another one\n"
	"      --discard      tell the device what is free: at once, and pages\n"
	"      --label NAME   of a header that is written\n"
	"  -f, --force        write a header over what is there",
};
