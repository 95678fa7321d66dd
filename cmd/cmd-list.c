/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * swapctl list - the devices of a pager as the BSDs list them
 *
 * The columns and the line of -s are those of NetBSD's and OpenBSD's
 * swapctl(8), so that scripts find what they know.  Blocks are 1 KiB where
 * neither an option nor BLOCKSIZE says otherwise.  Priorities are Linux's:
 * the higher one is used first, where on the BSDs it is the lower one.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "figures.h"
#include "ipc/json.h"
#include "reach.h"
#include "say.h"
#include "table.h"
#include "util.h"

struct unit {
	uint64_t	bytes;		/* 0: as people read it, "1.5G" */
	char		header[FIGURE_LEN];
};

struct list_options {
	struct unit	unit;
	bool		unit_given;
	bool		devices;	/* -l was given */
	bool		total;		/* -s was given */
	bool		pagers;
};

static void
unit_set(struct unit *unit, uint64_t bytes, const char *header)
{
	unit->bytes = bytes;
	format_cut(unit->header, sizeof(unit->header), "%s", header);
}

/* The default: BLOCKSIZE, which the BSDs know, or else 1 KiB. */
static void
unit_default(struct unit *unit)
{
	const char *wish = getenv("BLOCKSIZE");
	uint64_t bytes;

	unit_set(unit, 1024, "1K-blocks");
	if (wish == NULL || parse_size(wish, &bytes) < 0 || bytes < 512)
		return;
	if (bytes != 1024) {
		unit->bytes = bytes;
		format_cut(unit->header, sizeof(unit->header),
			   "%" PRIu64 "-blocks", bytes);
	}
}

static char *
unit_figure(const struct unit *unit, uint64_t bytes, char *buf, size_t len)
{
	if (unit->bytes == 0)
		return figure_size(bytes, buf, len);
	format_cut(buf, len, "%" PRIu64, bytes / unit->bytes);
	return buf;
}

/* ------------------------------------------------------------ the devices */

struct row {
	const char	*name;
	uint64_t	 size_bytes;
	uint64_t	 used_bytes;
	uint64_t	 avail_bytes;
	const int	*priority;	/* NULL: the row of the totals */
};

static int
put_row(struct table *table, const struct unit *unit, const struct row *row)
{
	char size[FIGURE_LEN], used[FIGURE_LEN], avail[FIGURE_LEN];
	char capacity[FIGURE_LEN], priority[FIGURE_LEN] = "";
	const char *const cells[] = {
		row->name, size, used, avail, capacity, priority,
	};

	unit_figure(unit, row->size_bytes, size, sizeof(size));
	unit_figure(unit, row->used_bytes, used, sizeof(used));
	unit_figure(unit, row->avail_bytes, avail, sizeof(avail));
	format_cut(capacity, sizeof(capacity), "%u%%",
		   figure_percent(row->used_bytes, row->size_bytes));
	if (row->priority != NULL)
		format_cut(priority, sizeof(priority), "%d", *row->priority);
	return table_row(table, cells);
}

static struct row
total_row(const struct swap_stats *stats)
{
	struct row total = { .name = "Total" };

	for (size_t i = 0; i < stats->ndevices; i++) {
		total.size_bytes += stats->devices[i].size_bytes;
		total.used_bytes += stats->devices[i].used_bytes;
	}
	total.avail_bytes = stats_avail_bytes(stats);
	return total;
}

static int
put_rows(struct table *table, const struct unit *unit,
	 const struct swap_stats *stats)
{
	struct row total = total_row(stats);
	int r = 0;

	for (size_t i = 0; i < stats->ndevices && r == 0; i++) {
		const struct swap_device_stats *device = &stats->devices[i];
		const struct row row = {
			.name = device->path,
			.size_bytes = device->size_bytes,
			.used_bytes = device->used_bytes,
			.avail_bytes = device_avail_bytes(device),
			.priority = &device->priority,
		};

		r = put_row(table, unit, &row);
	}
	if (r == 0 && stats->ndevices > 1)
		r = put_row(table, unit, &total);
	return r == 0 ? table_print(table) : r;
}

static int
put_list(const struct unit *unit, const struct swap_stats *stats)
{
	const struct table_column columns[] = {
		{ "Device", TABLE_NAME, 0 },
		{ unit->header, TABLE_NUMBER, 0 },
		{ "Used", TABLE_NUMBER, 0 }, { "Avail", TABLE_NUMBER, 0 },
		{ "Capacity", TABLE_NUMBER, 2 },
		{ "Priority", TABLE_NUMBER, 1 },
	};
	struct table *table;
	int r = table_new(columns, ARRAY_SIZE(columns), &table);

	if (r < 0)
		return say_no_memory();
	r = put_rows(table, unit, stats);
	table_free(table);
	return r < 0 ? say_no_memory() : EXIT_OK;
}

static void
put_total(const struct unit *unit, const struct swap_stats *stats)
{
	char size[FIGURE_LEN], used[FIGURE_LEN], avail[FIGURE_LEN];
	struct row total = total_row(stats);

	printf("total: %s%s%s allocated, %s used, %s available\n",
	       unit_figure(unit, total.size_bytes, size, sizeof(size)),
	       unit->bytes > 0 ? " " : "",
	       unit->bytes > 0 ? unit->header : "",
	       unit_figure(unit, total.used_bytes, used, sizeof(used)),
	       unit_figure(unit, total.avail_bytes, avail, sizeof(avail)));
}

static json_t *
devices_json(const struct swap_stats *stats)
{
	json_t *array = json_array();
	int r = array != NULL ? 0 : -1;

	for (size_t i = 0; i < stats->ndevices && r == 0; i++)
		r = json_array_append_new(array, json_from_device_stats(
						 &stats->devices[i]));
	if (r == 0)
		return array;
	json_decref(array);
	return NULL;
}

static int
list_devices(const struct invocation *inv, const struct list_options *options)
{
	struct swap_stats stats = { 0 };
	int r = reach_stats(inv, &stats);

	if (r != EXIT_OK)
		return r;
	if (inv->json)
		r = say_json(devices_json(&stats), true);
	else if (stats.ndevices == 0)
		puts("no swap devices configured");
	else if (options->devices || !options->total)
		r = put_list(&options->unit, &stats);
	if (!inv->json && options->total && stats.ndevices > 0)
		put_total(&options->unit, &stats);
	swap_stats_clear(&stats);
	return r;
}

/* ------------------------------------------------------------- the pagers */

struct pagers {
	struct table	*table;		/* one of the two is NULL */
	json_t		*array;
	const struct unit *unit;
	unsigned	nseen;
};

static int
pager_row(const struct pagers *pagers, const struct pager_entry *entry,
	  const struct swap_stats *stats)
{
	char text[6][FIGURE_LEN];
	const char *const cells[] = {
		stats->pager, text[0], text[1], text[2], text[3], text[4],
		text[5], entry->path,
	};

	format_cut(text[0], FIGURE_LEN, "%" PRId32, stats->pid);
	unit_figure(pagers->unit, stats->ram_bytes, text[1], FIGURE_LEN);
	unit_figure(pagers->unit, stats->resident_bytes, text[2], FIGURE_LEN);
	unit_figure(pagers->unit, stats->swap_bytes, text[3], FIGURE_LEN);
	unit_figure(pagers->unit, stats->swap_used_bytes, text[4],
		    FIGURE_LEN);
	format_cut(text[5], FIGURE_LEN, "%u", stats->clients);
	return table_row(pagers->table, cells) < 0 ? say_no_memory() : EXIT_OK;
}

static int
pager_each(void *arg, const struct pager_entry *entry,
	   struct swap_stats *stats)
{
	struct pagers *pagers = arg;
	json_t *json;

	pagers->nseen++;
	if (pagers->table != NULL)
		return pager_row(pagers, entry, stats);
	json = json_pack("{s:s, s:s, s:i, s:I, s:I, s:I, s:I, s:i}",
			 "pager", stats->pager, "socket", entry->path,
			 "pid", (int)stats->pid,
			 "ram_bytes", (json_int_t)stats->ram_bytes,
			 "resident_bytes", (json_int_t)stats->resident_bytes,
			 "swap_bytes", (json_int_t)stats->swap_bytes,
			 "swap_used_bytes", (json_int_t)stats->swap_used_bytes,
			 "clients", (int)stats->clients);
	if (json_array_append_new(pagers->array, json) < 0)
		return say_no_memory();
	return EXIT_OK;
}

static int
list_pagers(const struct invocation *inv, const struct list_options *options)
{
	static const struct table_column columns[] = {
		{ "Pager", TABLE_NAME, 0 }, { "Process", TABLE_NUMBER, 2 },
		{ "RAM", TABLE_NUMBER, 0 }, { "Resident", TABLE_NUMBER, 0 },
		{ "Swap", TABLE_NUMBER, 0 }, { "Used", TABLE_NUMBER, 0 },
		{ "Clients", TABLE_NUMBER, 1 }, { "Socket", TABLE_NAME, 0 },
	};
	struct pagers pagers = { .unit = &options->unit };
	int status, r = 0;

	if (inv->json)
		pagers.array = json_array();
	else
		r = table_new(columns, ARRAY_SIZE(columns), &pagers.table);
	if (r < 0 || (pagers.array == NULL && pagers.table == NULL))
		return say_no_memory();
	status = reach_all(pager_each, &pagers);
	if (inv->json)
		r = say_json(pagers.array, true);
	else if (pagers.nseen == 0 && status == EXIT_OK)
		puts("no pagers are running");
	else if (table_print(pagers.table) < 0)
		r = say_no_memory();
	table_free(pagers.table);
	return status != EXIT_OK ? status : r;
}

/* ------------------------------------------------------------ the options */

enum { OPTION_BYTES = 256, OPTION_PAGERS };

static int
list_option(struct invocation *inv, int option, char **argv,
	    struct list_options *options)
{
	struct unit *unit = &options->unit;

	if (option == OPTION_BYTES ||
	    (option < OPTION_BYTES && strchr("kmgh", option) != NULL))
		options->unit_given = true;
	switch (option) {
	case 'l':
		options->devices = true;
		break;
	case 's':
		options->total = true;
		break;
	case 'k':
		unit_set(unit, UINT64_C(1) << 10, "1K-blocks");
		break;
	case 'm':
		unit_set(unit, UINT64_C(1) << 20, "1M-blocks");
		break;
	case 'g':
		unit_set(unit, UINT64_C(1) << 30, "1G-blocks");
		break;
	case 'h':
		unit_set(unit, 0, "Size");
		break;
	case OPTION_BYTES:
		unit_set(unit, 1, "Bytes");
		break;
	case OPTION_PAGERS:
		options->pagers = true;
		break;
	default:
		return command_option(inv, option == 'H' ? 'h' : option, argv);
	}
	return COMMAND_GOES_ON;
}

static int
run_list(struct invocation *inv, int argc, char **argv)
{
	/* Here -h is a unit, as on the BSDs; only --help helps. */
	static const struct option long_options[] = {
		{ "human", no_argument, NULL, 'h' },
		{ "bytes", no_argument, NULL, OPTION_BYTES },
		{ "pagers", no_argument, NULL, OPTION_PAGERS },
		{ "total", no_argument, NULL, 's' },
		{ "help", no_argument, NULL, 'H' },
		COMMAND_OPTIONS,
	};
	struct list_options options = { 0 };
	int option, r;

	unit_default(&options.unit);
	while ((option = getopt_long(argc, argv, ":p:lskmgh", long_options,
				     NULL)) != -1) {
		r = list_option(inv, option, argv, &options);
		if (r != COMMAND_GOES_ON)
			return r;
	}
	if (optind < argc)
		return say_misuse(inv, "'%s' is one word too many",
				  argv[optind]);
	/* A table with both RAM and swap has no column that says "blocks". */
	if (options.pagers && !options.unit_given)
		unit_set(&options.unit, 0, "Size");
	if (options.pagers)
		return list_pagers(inv, &options);
	return list_devices(inv, &options);
}

const struct command cmd_list = {
	.name = "list",
	.synopsis = "[-k | -m | -g | -h | --bytes] [-s]\n"
		    "               [--pagers]",
	.summary = "List the devices plainly, as the BSDs do",
	.help =
	"  -k, -m, -g         sizes in blocks of 1 KiB, 1 MiB, 1 GiB\n"
	"  -h, --human        sizes as people read them\n"
	"      --bytes        sizes in bytes\n"
	"  -s, --total        one line with the sums\n"
	"      --pagers       the pagers that answer, not their devices",
	.run = run_list,
};
