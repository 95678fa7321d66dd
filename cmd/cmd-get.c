/* SPDX-License-Identifier: BSD-2-Clause */
/* swapctl get - the tunables of a pager, with what each of them may be */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "figures.h"
#include "ipc/json.h"
#include "reach.h"
#include "say.h"
#include "settings.h"
#include "table.h"
#include "util.h"

static const struct table_column columns[] = {
	{ "NAME", TABLE_WORD, 0 }, { "VALUE", TABLE_NUMBER, 0 },
	{ "UNIT", TABLE_WORD, 1 }, { "RANGE", TABLE_WORD, 3 },
	{ "DEFAULT", TABLE_NUMBER, 2 }, { "SUMMARY", TABLE_WORD, 4 },
};

/* A range of sizes, "A..B", as people read it: rounded, its ends are huge. */
static const char *
human_range(const struct swap_tunable *tunable, char *buf, size_t len)
{
	char from[FIGURE_LEN], to[FIGURE_LEN], first[sizeof(tunable->range)];
	const char *dots = strstr(tunable->range, "..");
	uint64_t a, b;

	if (dots == NULL || strcmp(tunable->unit, "bytes") != 0)
		return tunable->range;
	format_cut(first, sizeof(first), "%.*s", (int)(dots - tunable->range),
		   tunable->range);
	if (parse_size(first, &a) < 0 || parse_size(dots + 2, &b) < 0)
		return tunable->range;
	format_cut(buf, len, "%s..%s",
		   a > 0 ? figure_size(a, from, sizeof(from)) : "0",
		   figure_size(b, to, sizeof(to)));
	return buf;
}

static int
put_tunable(struct table *table, const struct swap_tunable *tunable)
{
	char value[FIGURE_LEN], standard[FIGURE_LEN], range[2 * FIGURE_LEN];
	const char *const cells[] = {
		tunable->name,
		setting_value(tunable, tunable->value, value, sizeof(value)),
		tunable->unit[0] != '\0' ? tunable->unit : "-",
		human_range(tunable, range, sizeof(range)),
		setting_value(tunable, tunable->default_value, standard,
			      sizeof(standard)),
		tunable->summary,
	};

	return table_row(table, cells);
}

/* What to show: all, or those with the names in @argv, in their order. */
struct selection {
	const struct swap_tunable **list;
	size_t	n;
};

static int
put_table(const struct selection *selection)
{
	struct table *table;
	int r = table_new(columns, ARRAY_SIZE(columns), &table);

	if (r < 0)
		return say_no_memory();
	for (size_t i = 0; i < selection->n && r == 0; i++)
		r = put_tunable(table, selection->list[i]);
	if (r == 0)
		r = table_print(table);
	table_free(table);
	return r < 0 ? say_no_memory() : EXIT_OK;
}

static int
put_json(const struct selection *selection)
{
	json_t *array = json_array();
	int r = array != NULL ? 0 : -1;

	for (size_t i = 0; i < selection->n && r == 0; i++)
		r = json_array_append_new(array, json_from_tunable(
						 selection->list[i]));
	if (r < 0) {
		json_decref(array);
		return say_no_memory();
	}
	return say_json(array, true);
}

static int
select_named(const struct swap_tunable *tunables, size_t n, int argc,
	     char **argv, struct selection *selection)
{
	int status = EXIT_OK;
	char hint[64];

	for (int i = 0; i < argc; i++) {
		const struct swap_tunable *found = setting_find(tunables, n,
								argv[i]);

		if (found != NULL)
			selection->list[selection->n++] = found;
		else
			status = say_failure("there is no tunable '%.80s'%s",
					     argv[i], setting_hint(tunables, n,
						argv[i], hint, sizeof(hint)));
	}
	return status;
}

static int
show(const struct invocation *inv, const struct swap_tunable *tunables,
     size_t n, int argc, char **argv)
{
	struct selection selection = { 0 };
	int r = EXIT_OK;

	selection.list = calloc(n + (size_t)argc + 1,
				sizeof(const struct swap_tunable *));
	if (selection.list == NULL)
		return say_no_memory();
	if (argc > 0)
		r = select_named(tunables, n, argc, argv, &selection);
	for (size_t i = 0; argc == 0 && i < n; i++)
		selection.list[selection.n++] = &tunables[i];
	/* Part of an answer is none. */
	if (r == EXIT_OK)
		r = inv->json ? put_json(&selection) : put_table(&selection);
	free(selection.list);
	return r;
}

static int
run_get(struct invocation *inv, int argc, char **argv)
{
	struct swap_error error = { 0 };
	struct swap_tunable *tunables;
	struct swap_client *client;
	size_t n;
	int r = command_operands(inv, argc, argv);

	if (r != COMMAND_GOES_ON)
		return r;
	r = reach_connect(inv, &client);
	if (r != EXIT_OK)
		return r;
	r = swap_client_tunables(client, &tunables, &n, &error);
	if (r < 0) {
		r = say_error("tunables", &error, r);
	} else {
		r = show(inv, tunables, n, argc - optind, argv + optind);
		free(tunables);
	}
	swap_client_close(client);
	return r;
}

const struct command cmd_get = {
	.name = "get",
	.synopsis = "[NAME...]",
	.summary = "Show the tunables of a pager",
	.help = "Without NAME it shows all of them; 'set' changes them.",
	.run = run_get,
};
