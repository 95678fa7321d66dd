/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * swapctl -p kernel map - what lies where on the kernel's swap devices
 *
 * One look through all page tables draws every device.  With --owners the
 * slots themselves are listed, with the process and the address of each run.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "figures.h"
#include "ipc/json.h"
#include "kernel.h"
#include "kernel/slots.h"
#include "map-draw.h"
#include "reach.h"
#include "say.h"
#include "terminal.h"
#include "util.h"

#define CELLS_JSON	256
#define CELLS_MAX	4096
#define WIDTH_PIPE	80u

struct view {
	const struct invocation	*inv;
	struct host		 host;
	struct kernel_devices	 devices;
	struct slot_survey	 survey;
	struct map_style	 style;
	int64_t			 cells;
	bool			 owners;
	json_t			*array;		/* NULL: text */
	unsigned		 nshown;
};

/* ------------------------------------------------------------------- owners */

/*
 * Not a table of libsmartcols, which keeps every cell: a large device has
 * millions of rows.
 */
struct run_widths {
	int	slot;
	int	npages;
	int	pid;
	int	address;
};

static void
widen(int *width, int needed)
{
	if (*width < needed)
		*width = needed;
}

static struct run_widths
widths_of(const struct slot_run *runs, size_t n)
{
	struct run_widths w = { strlen("SLOT"), strlen("SLOTS"),
				strlen("PID"), strlen("ADDRESS") };
	struct slot_run most = { 0 };

	for (size_t i = 0; i < n; i++) {
		most.slot = max_u64(most.slot, runs[i].slot);
		most.npages = max_u64(most.npages, runs[i].npages);
		most.pid = runs[i].pid > most.pid ? runs[i].pid : most.pid;
		most.address = max_u64(most.address, runs[i].address);
	}
	widen(&w.slot, snprintf(NULL, 0, "%" PRIu64, most.slot));
	widen(&w.npages, snprintf(NULL, 0, "%" PRIu64, most.npages));
	widen(&w.pid, snprintf(NULL, 0, "%" PRId32, most.pid));
	widen(&w.address, snprintf(NULL, 0, "%#" PRIx64, most.address));
	return w;
}

static void
put_runs(const struct slot_run *runs, size_t n)
{
	struct run_widths w = widths_of(runs, n);

	if (n == 0) {
		puts("no slot has a visible owner");
		return;
	}
	printf("%*s %*s %*s %*s\n", w.slot, "SLOT", w.npages, "SLOTS", w.pid,
	       "PID", w.address, "ADDRESS");
	for (size_t i = 0; i < n; i++)
		printf("%*" PRIu64 " %*" PRIu64 " %*" PRId32 " %#*" PRIx64
		       "\n", w.slot, runs[i].slot, w.npages, runs[i].npages,
		       w.pid, runs[i].pid, w.address, runs[i].address);
}

static json_t *
runs_json(const struct slot_run *runs, size_t n)
{
	json_t *array = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(array, json_pack("{s:I,s:I,s:i,s:I}",
			"slot", (json_int_t)runs[i].slot,
			"slots", (json_int_t)runs[i].npages,
			"pid", (int)runs[i].pid,
			"address", (json_int_t)runs[i].address));
	return array;
}

/* Read the runs of @device, and print them or put them into @json. */
static int
show_runs(struct view *view, const struct kernel_device *device, json_t *json)
{
	struct slot_run *runs = NULL;
	size_t n = 0;
	int r = 0;

	if (device->number >= 0)
		r = slot_runs(&view->host, (unsigned)device->number, &runs,
			      &n);
	if (r == 0 && json != NULL)
		r = json_object_set_new(json, "owners", runs_json(runs, n)) <
		    0 ? -ENOMEM : 0;
	else if (r == 0)
		put_runs(runs, n);
	free(runs);
	return r;
}

/* ---------------------------------------------------------------------- map */

static int
map_json(struct view *view, const struct kernel_device *device,
	 const struct swap_device_map *map, uint64_t unplaced)
{
	json_t *json = json_from_device_map(map);
	int r = 0;

	if (json_object_set_new(json, "block_bytes",
				json_integer((json_int_t)page_bytes())) < 0 ||
	    json_object_set_new(json, "unplaced_blocks",
				json_integer((json_int_t)unplaced)) < 0)
		r = -ENOMEM;
	if (r == 0 && view->owners)
		r = show_runs(view, device, json);
	if (r < 0) {
		json_decref(json);
		return r;
	}
	return json_array_append_new(view->array, json) < 0 ? -ENOMEM : 0;
}

static int
map_text(struct view *view, const struct kernel_device *device,
	 const struct swap_device_map *map, uint64_t unplaced)
{
	char count[FIGURE_LEN];

	if (view->nshown++ > 0)
		putchar('\n');
	map_draw(stdout, &view->style, map, &device->stats);
	if (unplaced > 0)
		printf("%s blocks more are in use without a visible owner "
		       "(shared memory, pages that are\nin RAM as well); "
		       "where they lie cannot be told, and they are drawn as "
		       "free.\n", figure_count(unplaced, count,
					       sizeof(count)));
	if (view->survey.nhidden > 0)
		printf("%u processes may not be looked into.\n",
		       view->survey.nhidden);
	if (!view->owners)
		return 0;
	putchar('\n');
	return show_runs(view, device, NULL);
}

static int
map_device(struct view *view, const struct kernel_device *device)
{
	struct swap_device_map map;
	uint64_t unplaced, nblocks = device->stats.size_bytes /
				     page_bytes() + 1;
	size_t ncells = (size_t)view->cells;
	int r;

	if (view->array == NULL)
		ncells = map_draw_ncells(&view->style, nblocks);
	r = slot_survey_map(&view->survey, device, ncells, &map, &unplaced);
	if (r == 0) {
		r = view->array != NULL ?
		    map_json(view, device, &map, unplaced) :
		    map_text(view, device, &map, unplaced);
		swap_device_map_clear(&map);
	}
	return r < 0 ? say_failure("%s: %s", device->path, strerror(-r)) :
		       EXIT_OK;
}

static int
map_devices(struct view *view, int n, char **names)
{
	struct swap_error error = { 0 };
	const struct kernel_device *device;
	int status = EXIT_OK, r;

	for (size_t i = 0; n == 0 && i < view->devices.n; i++) {
		r = map_device(view, &view->devices.device[i]);
		status = r != EXIT_OK ? r : status;
	}
	for (int i = 0; i < n; i++) {
		device = kernel_device_find(&view->devices, names[i], &error);
		r = device != NULL ? map_device(view, device) :
				     say_error(names[i], &error, error.code);
		status = r != EXIT_OK ? r : status;
	}
	if (n == 0 && view->devices.n == 0 && view->array == NULL)
		puts("no swap devices configured");
	return status;
}

static int
map_all(struct view *view, int n, char **names)
{
	struct swap_error error = { 0 };
	int status, r = kernel_devices(&view->host, &view->devices);

	if (r < 0)
		return say_failure("/proc/swaps: %s", strerror(-r));
	r = slot_survey(&view->host, &view->devices, &view->survey, &error);
	if (r < 0) {
		status = say_error("map", &error, r);
	} else {
		status = map_devices(view, n, names);
		slot_survey_clear(&view->survey);
	}
	kernel_devices_clear(&view->devices);
	return status;
}

static int
map_run(struct view *view, int n, char **names)
{
	unsigned width = terminal_width(STDOUT_FILENO);
	int r = reach_host(&view->host);

	if (r != EXIT_OK)
		return r;
	view->style.width = width > 0 ? width : WIDTH_PIPE;
	view->style.color = terminal_can_color(STDOUT_FILENO);
	view->style.page_bytes = page_bytes();
	if (view->inv->json)
		view->array = json_array();
	r = map_all(view, n, names);
	if (view->inv->json)
		(void)say_json(view->array, true);
	host_close(&view->host);
	return r;
}

enum { OPTION_CELLS = 256, OPTION_ASCII, OPTION_OWNERS };

int
kernel_run_map(struct invocation *inv, int argc, char **argv)
{
	static const struct option options[] = {
		{ "cells", required_argument, NULL, OPTION_CELLS },
		{ "ascii", no_argument, NULL, OPTION_ASCII },
		{ "owners", no_argument, NULL, OPTION_OWNERS },
		COMMAND_OPTIONS,
	};
	struct view view = { .inv = inv, .cells = CELLS_JSON };
	bool ascii = false;
	int option, r;

	while ((option = getopt_long(argc, argv, ":p:h", options,
				     NULL)) != -1) {
		if (option == OPTION_CELLS &&
		    parse_i64(optarg, 0, CELLS_MAX, &view.cells) < 0)
			return say_misuse(inv, "--cells '%s' is not a number "
					  "within 0..%d", optarg, CELLS_MAX);
		ascii = ascii || option == OPTION_ASCII;
		view.owners = view.owners || option == OPTION_OWNERS;
		if (option >= OPTION_CELLS)
			continue;
		r = command_option(inv, option, argv);
		if (r != COMMAND_GOES_ON)
			return r;
	}
	view.style.utf8 = terminal_is_utf8() && !ascii;
	return map_run(&view, argc - optind, argv + optind);
}
