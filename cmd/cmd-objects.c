/* SPDX-License-Identifier: BSD-2-Clause */
/* swapctl objects - who holds what in a pager, the most swapped first */
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>

#include "command.h"
#include "figures.h"
#include "ipc/json.h"
#include "reach.h"
#include "say.h"
#include "table.h"
#include "util.h"

static const struct table_column columns[] = {
	{ "ID", TABLE_NUMBER, 0 }, { "NAME", TABLE_NAME, 0 },
	{ "OWNER", TABLE_CUT, 3 }, { "PID", TABLE_NUMBER, 2 },
	{ "COMMAND", TABLE_CUT, 1 }, { "SIZE", TABLE_NUMBER, 4 },
	{ "RESIDENT", TABLE_NUMBER, 0 }, { "SWAPPED", TABLE_NUMBER, 0 },
	{ "BLOCKS", TABLE_NUMBER, 6 }, { "WIRED", TABLE_NUMBER, 5 },
	{ "REGIONS", TABLE_NUMBER, 7 },
};

/* The user's name, or the number where it has none here. */
static const char *
owner(uint32_t uid, char *buf, size_t len)
{
	const struct passwd *entry = getpwuid((uid_t)uid);

	if (entry != NULL)
		format_cut(buf, len, "%s", entry->pw_name);
	else
		format_cut(buf, len, "%" PRIu32, uid);
	return buf;
}

static int
put_object(struct table *table, const struct swap_object_stats *object)
{
	char text[ARRAY_SIZE(columns)][FIGURE_LEN];
	const char *cells[ARRAY_SIZE(columns)];

	for (size_t i = 0; i < ARRAY_SIZE(cells); i++)
		cells[i] = text[i];
	format_cut(text[0], FIGURE_LEN, "%" PRIu64, object->id);
	cells[1] = object->name[0] != '\0' ? object->name : "-";
	owner(object->uid, text[2], FIGURE_LEN);
	format_cut(text[3], FIGURE_LEN, "%" PRId32, object->pid);
	cells[4] = object->command;
	figure_size(object->size_bytes, text[5], FIGURE_LEN);
	figure_size(object->resident_bytes, text[6], FIGURE_LEN);
	figure_size(object->swapped_bytes, text[7], FIGURE_LEN);
	figure_size(object->block_bytes, text[8], FIGURE_LEN);
	figure_size(object->wired_bytes, text[9], FIGURE_LEN);
	format_cut(text[10], FIGURE_LEN, "%" PRIu32, object->regions);
	return table_row(table, cells);
}

static int
put_objects(const struct swap_stats *stats)
{
	struct table *table;
	int r;

	if (stats->nobjects == 0) {
		puts("no objects");
		return EXIT_OK;
	}
	r = table_new(columns, ARRAY_SIZE(columns), &table);
	if (r < 0)
		return say_no_memory();
	for (size_t i = 0; i < stats->nobjects && r == 0; i++)
		r = put_object(table, &stats->objects[i]);
	if (r == 0)
		r = table_print(table);
	table_free(table);
	return r < 0 ? say_no_memory() : EXIT_OK;
}

static json_t *
objects_json(const struct swap_stats *stats)
{
	json_t *array = json_array();
	int r = array != NULL ? 0 : -1;

	for (size_t i = 0; i < stats->nobjects && r == 0; i++)
		r = json_array_append_new(array, json_from_object_stats(
						 &stats->objects[i]));
	if (r == 0)
		return array;
	json_decref(array);
	return NULL;
}

static int
run_objects(struct invocation *inv, int argc, char **argv)
{
	struct swap_stats stats = { 0 };
	int r = command_plain_options(inv, argc, argv);

	if (r != COMMAND_GOES_ON)
		return r;
	r = reach_stats(inv, &stats);
	if (r != EXIT_OK)
		return r;
	stats_sort_objects(&stats);
	if (inv->json)
		r = say_json(objects_json(&stats), true);
	else
		r = put_objects(&stats);
	swap_stats_clear(&stats);
	return r;
}

const struct command cmd_objects = {
	.name = "objects",
	.synopsis = "",
	.summary = "Show who holds what, the most swapped first",
	.help = "",
	.run = run_objects,
};
