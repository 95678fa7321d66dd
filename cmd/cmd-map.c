/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * swapctl map - how fragmented the devices of a pager are
 *
 * A device is asked for twice: once without cells, for its number of blocks,
 * which decides how many cells its strip has; a small device has fewer.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "device-name.h"
#include "ipc/client.h"
#include "ipc/json.h"
#include "kernel.h"
#include "map-draw.h"
#include "reach.h"
#include "say.h"
#include "terminal.h"
#include "util.h"

/* Cells of --json, and the most that a swapd gives. */
#define CELLS_JSON	256u
/* What a pipe gets. */
#define WIDTH_PIPE	80u

struct map_call {
	struct swap_client	*client;
	struct swap_stats	 stats;
	struct map_style	 style;
	size_t			 ncells;	/* for JSON */
	json_t			*array;		/* NULL: text */
	unsigned		 nshown;
	int			 status;
};

struct map_options {
	int64_t	cells;		/* -1: not given */
	bool	ascii;
};

static const struct swap_device_stats *
find_device(const struct swap_stats *stats, const char *path)
{
	for (size_t i = 0; i < stats->ndevices; i++)
		if (strcmp(stats->devices[i].path, path) == 0)
			return &stats->devices[i];
	return NULL;
}

static int
map_json(struct map_call *call, const struct swap_device_map *map)
{
	json_t *json = json_from_device_map(map);

	if (json_object_set_new(json, "block_bytes",
				json_integer(call->stats.page_bytes)) < 0 ||
	    json_array_append_new(call->array, json) < 0)
		return -ENOMEM;
	return 0;
}

static int
map_read(struct map_call *call, const char *name, struct swap_device_map *map,
	 struct swap_error *error)
{
	size_t ncells = call->ncells;
	int r;

	if (call->array == NULL) {
		r = swap_client_device_map(call->client, name, 0, map, error);
		if (r < 0)
			return r;
		ncells = map_draw_ncells(&call->style, map->nblocks);
		swap_device_map_clear(map);
	}
	return swap_client_device_map(call->client, name, ncells, map, error);
}

/* Show one device; what fails is told, and others go on. */
static void
map_one(struct map_call *call, const char *name)
{
	struct swap_error error = { 0 };
	struct swap_device_map map;
	int r = map_read(call, name, &map, &error);

	if (r < 0) {
		call->status = say_error(name, &error, r);
		return;
	}
	if (call->array != NULL) {
		if (map_json(call, &map) < 0)
			call->status = say_no_memory();
	} else {
		if (call->nshown++ > 0)
			putchar('\n');
		map_draw(stdout, &call->style, &map,
			 find_device(&call->stats, map.path));
	}
	swap_device_map_clear(&map);
}

static void
map_named(struct map_call *call, const char *typed)
{
	char *name;
	int r;

	if (typed[0] == '\0') {
		call->status = say_failure("the name of a device is empty");
		return;
	}
	r = device_name_absolute(typed, &name);
	if (r < 0) {
		call->status = say_failure("%s: %s", typed, strerror(-r));
		return;
	}
	map_one(call, name);
	free(name);
}

static int
map_devices(struct invocation *inv, struct map_call *call, int argc,
	    char **argv)
{
	if (inv->json) {
		call->array = json_array();
		if (call->array == NULL)
			return say_no_memory();
	}
	for (int i = 0; i < argc; i++)
		map_named(call, argv[i]);
	for (size_t i = 0; argc == 0 && i < call->stats.ndevices; i++)
		map_one(call, call->stats.devices[i].path);
	if (argc == 0 && call->stats.ndevices == 0 && !inv->json)
		puts("no swap devices configured");
	if (inv->json)
		(void)say_json(call->array, true);
	return call->status;
}

static int
map_run(struct invocation *inv, const struct map_options *options, int argc,
	char **argv)
{
	unsigned width = terminal_width(STDOUT_FILENO);
	struct map_call call = {
		.style = {
			.width = width > 0 ? width : WIDTH_PIPE,
			.utf8 = terminal_is_utf8() && !options->ascii,
			.color = terminal_can_color(STDOUT_FILENO),
		},
		.ncells = options->cells < 0 ? CELLS_JSON
					     : (size_t)options->cells,
		.status = EXIT_OK,
	};
	struct swap_error error = { 0 };
	int r = reach_connect(inv, &call.client);

	if (r != EXIT_OK)
		return r;
	r = swap_client_stats(call.client, &call.stats, &error);
	if (r < 0) {
		r = say_error("snapshot", &error, r);
	} else {
		call.style.page_bytes = call.stats.page_bytes;
		r = map_devices(inv, &call, argc, argv);
		swap_stats_clear(&call.stats);
	}
	swap_client_close(call.client);
	return r;
}

enum { OPTION_CELLS = 256, OPTION_ASCII };

static int
map_option(struct invocation *inv, int option, char **argv,
	   struct map_options *options)
{
	switch (option) {
	case OPTION_CELLS:
		if (parse_i64(optarg, 0, SWAP_MAP_CELLS_MAX,
			      &options->cells) < 0)
			return say_misuse(inv, "--cells '%s' is not a number "
					  "within 0..%u", optarg,
					  SWAP_MAP_CELLS_MAX);
		return COMMAND_GOES_ON;
	case OPTION_ASCII:
		options->ascii = true;
		return COMMAND_GOES_ON;
	default:
		return command_option(inv, option, argv);
	}
}

static int
run_map(struct invocation *inv, int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "cells", required_argument, NULL, OPTION_CELLS },
		{ "ascii", no_argument, NULL, OPTION_ASCII },
		COMMAND_OPTIONS,
	};
	struct map_options options = { .cells = -1 };
	int option, r;

	while ((option = getopt_long(argc, argv, ":p:h", long_options,
				     NULL)) != -1) {
		r = map_option(inv, option, argv, &options);
		if (r != COMMAND_GOES_ON)
			return r;
	}
	if (options.cells >= 0 && !inv->json)
		return say_misuse(inv, "--cells goes with --json; the width of "
				  "the terminal decides for text");
	return map_run(inv, &options, argc - optind, argv + optind);
}

const struct command cmd_map = {
	.name = "map",
	.synopsis = "[DEVICE...] [--ascii] [--cells N]",
	.summary = "Show how fragmented devices are",
	.help =
	"Without DEVICE it shows every device of the pager.\n"
	"\n"
	"      --ascii        draw without special characters\n"
	"      --cells N      with --json: cells of the map, 0..4096 (256)",
	.run = run_map,
	.run_kernel = kernel_run_map,
	.kernel_synopsis = "[DEVICE...] [--owners] [--ascii] [--cells N]",
	.kernel_help =
	"      --owners       list each run of slots with process and address",
};
