/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * swapctl objects - who holds what in a pager, the most swapped first
 *
 * Object by object, or added up by process or by user; what a user is charged
 * stands beside the limit that it is held to.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "command.h"
#include "figures.h"
#include "ipc/json.h"
#include "kernel.h"
#include "object-tree.h"
#include "reach.h"
#include "say.h"
#include "sums.h"
#include "table.h"
#include "util.h"

static const struct table_column columns[] = {
	{ "ID", TABLE_NUMBER, 0 }, { "NAME", TABLE_NAME, 0 },
	{ "OWNER", TABLE_CUT, 3 }, { "PID", TABLE_NUMBER, 2 },
	{ "COMMAND", TABLE_CUT, 1 }, { "SIZE", TABLE_NUMBER, 4 },
	{ "RESIDENT", TABLE_NUMBER, 0 }, { "SWAPPED", TABLE_NUMBER, 0 },
	{ "BLOCKS", TABLE_NUMBER, 6 }, { "WIRED", TABLE_NUMBER, 5 },
	{ "RESERVED", TABLE_NUMBER, 8 }, { "REGIONS", TABLE_NUMBER, 7 },
	{ "WRITERS", TABLE_NUMBER, 10 }, { "MAP", TABLE_WORD, 9 },
	/* Where there are copies: */
	{ "SHARED", TABLE_NUMBER, 3 },
};

static int
put_object(struct table *table, const struct swap_object_stats *object,
	   unsigned depth)
{
	char text[ARRAY_SIZE(columns)][FIGURE_LEN];
	char name[OBJECT_LABEL_LEN];
	const char *cells[ARRAY_SIZE(columns)];

	for (size_t i = 0; i < ARRAY_SIZE(cells); i++)
		cells[i] = text[i];
	format_cut(text[0], FIGURE_LEN, "%" PRIu64, object->id);
	cells[1] = object_label(object, depth, name, sizeof(name));
	figure_user(object->uid, text[2], FIGURE_LEN);
	format_cut(text[3], FIGURE_LEN, "%" PRId32, object->pid);
	cells[4] = object->command;
	figure_size(object->size_bytes, text[5], FIGURE_LEN);
	figure_size(object->resident_bytes, text[6], FIGURE_LEN);
	figure_size(object->swapped_bytes, text[7], FIGURE_LEN);
	figure_size(object->block_bytes, text[8], FIGURE_LEN);
	figure_size(object->wired_bytes, text[9], FIGURE_LEN);
	figure_size(object->reserved_bytes, text[10], FIGURE_LEN);
	format_cut(text[11], FIGURE_LEN, "%" PRIu32, object->regions);
	format_cut(text[12], FIGURE_LEN, "%" PRIu32, object->writers);
	cells[13] = object->map_kind[0] != '\0' ? object->map_kind : "-";
	figure_size(object->shared_bytes, text[14], FIGURE_LEN);
	return table_row(table, cells);
}

static bool
has_copies(const struct swap_stats *stats)
{
	for (size_t i = 0; i < stats->nobjects; i++)
		if (stats->objects[i].source_id != 0)
			return true;
	return false;
}

/* The most swapped first, each with its copies behind it. */
struct listing {
	size_t		*order;
	unsigned	*depths;
};

static int
listing_make(struct swap_stats *stats, struct listing *listing)
{
	size_t n = stats->nobjects;

	stats_sort_objects(stats);
	listing->order = calloc(n + 1, sizeof(*listing->order));
	listing->depths = calloc(n + 1, sizeof(*listing->depths));
	if (listing->order == NULL || listing->depths == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		listing->order[i] = i;
	return object_tree(stats->objects, listing->order, listing->depths, n);
}

static int
put_objects(const struct swap_stats *stats, const struct listing *listing)
{
	struct table *table;
	int r;

	if (stats->nobjects == 0) {
		puts("no objects");
		return EXIT_OK;
	}
	r = table_new(columns, ARRAY_SIZE(columns) - !has_copies(stats),
		      &table);
	if (r < 0)
		return say_no_memory();
	for (size_t i = 0; i < stats->nobjects && r == 0; i++)
		r = put_object(table, &stats->objects[listing->order[i]],
			       listing->depths[i]);
	if (r == 0)
		r = table_print(table);
	table_free(table);
	return r < 0 ? say_no_memory() : EXIT_OK;
}

static json_t *
objects_json(const struct swap_stats *stats, const struct listing *listing)
{
	json_t *array = json_array();
	int r = array != NULL ? 0 : -1;

	for (size_t i = 0; i < stats->nobjects && r == 0; i++)
		r = json_array_append_new(array, json_from_object_stats(
				&stats->objects[listing->order[i]]));
	if (r == 0)
		return array;
	json_decref(array);
	return NULL;
}

static int
show_objects(const struct invocation *inv, struct swap_stats *stats)
{
	struct listing listing = { 0 };
	int r;

	if (listing_make(stats, &listing) < 0)
		r = say_no_memory();
	else if (inv->json)
		r = say_json(objects_json(stats, &listing), true);
	else
		r = put_objects(stats, &listing);
	free(listing.order);
	free(listing.depths);
	return r;
}

/* ------------------------------------------------------------------- sums */

static const struct table_column process_columns[] = {
	{ "PID", TABLE_NUMBER, 0 }, { "COMMAND", TABLE_CUT, 0 },
	{ "OWNER", TABLE_CUT, 1 }, { "OBJECTS", TABLE_NUMBER, 2 },
	{ "SIZE", TABLE_NUMBER, 0 }, { "RESIDENT", TABLE_NUMBER, 0 },
	{ "SWAPPED", TABLE_NUMBER, 0 }, { "BLOCKS", TABLE_NUMBER, 4 },
	{ "WIRED", TABLE_NUMBER, 3 }, { "RESERVED", TABLE_NUMBER, 5 },
};

static int
put_process(struct table *table, const struct sum *sum)
{
	char text[ARRAY_SIZE(process_columns)][FIGURE_LEN];
	const char *cells[ARRAY_SIZE(process_columns)];

	for (size_t i = 0; i < ARRAY_SIZE(cells); i++)
		cells[i] = text[i];
	format_cut(text[0], FIGURE_LEN, "%" PRId32, sum->pid);
	cells[1] = sum->command;
	figure_user(sum->uid, text[2], FIGURE_LEN);
	figure_count(sum->nobjects, text[3], FIGURE_LEN);
	figure_size(sum->size_bytes, text[4], FIGURE_LEN);
	figure_size(sum->resident_bytes, text[5], FIGURE_LEN);
	figure_size(sum->swapped_bytes, text[6], FIGURE_LEN);
	figure_size(sum->block_bytes, text[7], FIGURE_LEN);
	figure_size(sum->wired_bytes, text[8], FIGURE_LEN);
	figure_size(sum->reserved_bytes, text[9], FIGURE_LEN);
	return table_row(table, cells);
}

static const struct table_column user_columns[] = {
	{ "USER", TABLE_CUT, 0 }, { "OBJECTS", TABLE_NUMBER, 1 },
	{ "CHARGED", TABLE_NUMBER, 0 }, { "LIMIT", TABLE_NUMBER, 0 },
	{ "USE%", TABLE_NUMBER, 0 }, { "RESIDENT", TABLE_NUMBER, 0 },
	{ "SWAPPED", TABLE_NUMBER, 0 }, { "BLOCKS", TABLE_NUMBER, 3 },
	{ "WIRED", TABLE_NUMBER, 2 }, { "RESERVED", TABLE_NUMBER, 4 },
};
#define COLUMN_USE	4u

static int
put_user(struct table *table, const struct sum *sum)
{
	char text[ARRAY_SIZE(user_columns)][FIGURE_LEN];
	const char *cells[ARRAY_SIZE(user_columns)];
	bool limited = sum->limit_bytes > 0;
	unsigned percent = figure_percent(sum->charged_bytes,
					  sum->limit_bytes);
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(cells); i++)
		cells[i] = text[i];
	figure_user(sum->uid, text[0], FIGURE_LEN);
	figure_count(sum->nobjects, text[1], FIGURE_LEN);
	figure_size(sum->charged_bytes, text[2], FIGURE_LEN);
	format_cut(text[3], FIGURE_LEN, "-");
	format_cut(text[COLUMN_USE], FIGURE_LEN, "-");
	if (limited) {
		figure_size(sum->limit_bytes, text[3], FIGURE_LEN);
		format_cut(text[COLUMN_USE], FIGURE_LEN, "%u%%", percent);
	}
	figure_size(sum->resident_bytes, text[5], FIGURE_LEN);
	figure_size(sum->swapped_bytes, text[6], FIGURE_LEN);
	figure_size(sum->block_bytes, text[7], FIGURE_LEN);
	figure_size(sum->wired_bytes, text[8], FIGURE_LEN);
	figure_size(sum->reserved_bytes, text[9], FIGURE_LEN);
	r = table_row(table, cells);
	if (r == 0 && limited && percent >= 90)
		table_warn(table, COLUMN_USE);
	return r;
}

static int
put_sums(const struct sum *sums, size_t n, enum sum_by by)
{
	struct table *table;
	int r;

	if (n == 0) {
		puts("no objects");
		return EXIT_OK;
	}
	if (by == SUM_BY_PROCESS)
		r = table_new(process_columns, ARRAY_SIZE(process_columns),
			      &table);
	else
		r = table_new(user_columns, ARRAY_SIZE(user_columns), &table);
	if (r < 0)
		return say_no_memory();
	for (size_t i = 0; i < n && r == 0; i++)
		r = by == SUM_BY_PROCESS ? put_process(table, &sums[i])
					 : put_user(table, &sums[i]);
	if (r == 0)
		r = table_print(table);
	table_free(table);
	return r < 0 ? say_no_memory() : EXIT_OK;
}

static json_t *
sum_json(const struct sum *sum, enum sum_by by)
{
	json_t *json, *more;

	json = json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}",
			 "uid", (json_int_t)sum->uid,
			 "objects", (json_int_t)sum->nobjects,
			 "size_bytes", (json_int_t)sum->size_bytes,
			 "resident_bytes", (json_int_t)sum->resident_bytes,
			 "swapped_bytes", (json_int_t)sum->swapped_bytes,
			 "block_bytes", (json_int_t)sum->block_bytes,
			 "wired_bytes", (json_int_t)sum->wired_bytes,
			 "reserved_bytes", (json_int_t)sum->reserved_bytes);
	if (by == SUM_BY_PROCESS)
		more = json_pack("{s:i,s:s}", "pid", (int)sum->pid,
				 "command", sum->command);
	else
		more = json_pack("{s:I,s:I}", "charged_bytes",
				 (json_int_t)sum->charged_bytes, "limit_bytes",
				 (json_int_t)sum->limit_bytes);
	if (json_object_update(json, more) < 0) {
		json_decref(json);
		json = NULL;
	}
	json_decref(more);
	return json;
}

static json_t *
sums_json(const struct sum *sums, size_t n, enum sum_by by)
{
	json_t *array = json_array();
	int r = array != NULL ? 0 : -1;

	for (size_t i = 0; i < n && r == 0; i++)
		r = json_array_append_new(array, sum_json(&sums[i], by));
	if (r == 0)
		return array;
	json_decref(array);
	return NULL;
}

static int
show_sums(const struct invocation *inv, const struct swap_stats *stats,
	  enum sum_by by)
{
	struct sum *sums;
	size_t n;
	int r;

	if (sums_make(stats, by, &sums, &n) < 0)
		return say_no_memory();
	r = inv->json ? say_json(sums_json(sums, n, by), true)
		      : put_sums(sums, n, by);
	free(sums);
	return r;
}

/* ---------------------------------------------------------------- options */

enum { OPTION_BY_PROCESS = 256, OPTION_BY_USER };

struct objects_options {
	bool	by_process, by_user;
};

static int
parse(struct invocation *inv, int argc, char **argv,
      struct objects_options *options)
{
	static const struct option long_options[] = {
		{ "by-process", no_argument, NULL, OPTION_BY_PROCESS },
		{ "by-user", no_argument, NULL, OPTION_BY_USER },
		COMMAND_OPTIONS,
	};
	int option, r = COMMAND_GOES_ON;

	while (r == COMMAND_GOES_ON &&
	       (option = getopt_long(argc, argv, ":p:h", long_options,
				     NULL)) != -1) {
		if (option == OPTION_BY_PROCESS)
			options->by_process = true;
		else if (option == OPTION_BY_USER)
			options->by_user = true;
		else
			r = command_option(inv, option, argv);
	}
	if (r == COMMAND_GOES_ON && optind < argc)
		return say_misuse(inv, "'%s' is one word too many",
				  argv[optind]);
	if (r == COMMAND_GOES_ON && options->by_process && options->by_user)
		return say_misuse(inv, "--by-process and --by-user do not go "
				  "together");
	return r;
}

static int
run_objects(struct invocation *inv, int argc, char **argv)
{
	struct objects_options options = { 0 };
	struct swap_stats stats = { 0 };
	int r = parse(inv, argc, argv, &options);

	if (r != COMMAND_GOES_ON)
		return r;
	r = reach_stats(inv, &stats);
	if (r != EXIT_OK)
		return r;
	if (options.by_process || options.by_user)
		r = show_sums(inv, &stats, options.by_user ? SUM_BY_USER
							   : SUM_BY_PROCESS);
	else
		r = show_objects(inv, &stats);
	swap_stats_clear(&stats);
	return r;
}

const struct command cmd_objects = {
	.name = "objects",
	.synopsis = "[--by-process | --by-user]",
	.summary = "Show who holds what, the most swapped first",
	.help =
	"      --by-process   add up what each process has made\n"
	"      --by-user      add up by user, with charges and limits",
	.run = run_objects,
	.run_kernel = kernel_run_objects,
	.kernel_synopsis = "[--by-group] [--user USER] [--group GROUP]\n"
			   "               [--least SIZE]",
	.kernel_help =
	"      --by-group     memory control groups, not processes\n"
	"      --user USER    processes of this user only\n"
	"      --group GROUP  processes of this memory group only\n"
	"      --least SIZE   processes with this much or more",
};
