/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * swapctl -p kernel objects - who is in the kernel's swap
 *
 * Processes by their share, then shared memory, then memory groups, then what
 * all of it comes to.  What this user may not see is told, not left out.
 */
#include <errno.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "figures.h"
#include "kernel.h"
#include "kernel/holders.h"
#include "reach.h"
#include "say.h"
#include "table.h"
#include "util.h"

struct filter {
	bool		 by_user;
	uint32_t	 uid;
	const char	*group;		/* NULL: any */
	uint64_t	 least;		/* bytes */
	bool		 groups;	/* show them, not processes */
};

struct view {
	const struct invocation	*inv;
	struct filter		 filter;
	struct kernel_holders	 holders;
	struct kernel_devices	 devices;
	struct kernel_memory	 memory;
	struct kernel_books	 books;
};

static bool
is_shown(const struct filter *filter, const struct kernel_holder *holder)
{
	if (filter->by_user && holder->uid != filter->uid)
		return false;
	if (filter->group != NULL &&
	    !kernel_group_has(filter->group, holder->group))
		return false;
	return holder->share >= filter->least;
}

/* ---------------------------------------------------------------------- text */

static const struct table_column process_columns[] = {
	{ "PID", TABLE_NUMBER, 0 }, { "COMMAND", TABLE_CUT, 0 },
	{ "OWNER", TABLE_CUT, 1 }, { "SHARE", TABLE_NUMBER, 0 },
	{ "SWAPPED", TABLE_NUMBER, 2 }, { "RESIDENT", TABLE_NUMBER, 3 },
	{ "GROUP", TABLE_NAME, 4 },
};

static int
put_process(struct table *table, const struct kernel_holder *holder)
{
	char pid[FIGURE_LEN], user[FIGURE_LEN], share[FIGURE_LEN];
	char swapped[FIGURE_LEN], resident[FIGURE_LEN];
	const char *const cells[] = {
		pid, holder->command, user, share, swapped, resident,
		holder->group[0] != '\0' ? holder->group : "-",
	};

	format_cut(pid, sizeof(pid), "%" PRId32, holder->pid);
	figure_user(holder->uid, user, sizeof(user));
	format_cut(share, sizeof(share), "?");
	if (holder->share_known)
		figure_size(holder->share, share, sizeof(share));
	figure_size(holder->swapped, swapped, sizeof(swapped));
	figure_size(holder->resident, resident, sizeof(resident));
	return table_row(table, cells);
}

static int
put_processes(const struct view *view)
{
	struct table *table;
	size_t nshown = 0;
	int r = table_new(process_columns, ARRAY_SIZE(process_columns),
			  &table);

	for (size_t i = 0; i < view->holders.n && r == 0; i++) {
		if (!is_shown(&view->filter, &view->holders.holder[i]))
			continue;
		nshown++;
		r = put_process(table, &view->holders.holder[i]);
	}
	if (r == 0 && nshown > 0)
		r = table_print(table);
	else if (r == 0)
		puts("no process is in swap");
	table_free(table);
	return r;
}

static const struct table_column shm_columns[] = {
	{ "SHARED MEMORY", TABLE_NAME, 0 }, { "PID", TABLE_NUMBER, 1 },
	{ "OWNER", TABLE_CUT, 2 }, { "SIZE", TABLE_NUMBER, 3 },
	{ "SWAPPED", TABLE_NUMBER, 0 },
};

static int
put_shm_file(struct table *table, const struct shm_file *file)
{
	char pid[FIGURE_LEN] = "-", user[FIGURE_LEN], size[FIGURE_LEN];
	char swapped[FIGURE_LEN];
	const char *const cells[] = {
		file->name, pid, user, size, swapped,
	};

	if (file->pid != 0)
		format_cut(pid, sizeof(pid), "%" PRId32, file->pid);
	figure_user(file->uid, user, sizeof(user));
	figure_size(file->size, size, sizeof(size));
	figure_size(file->swapped, swapped, sizeof(swapped));
	return table_row(table, cells);
}

static int
put_shm(const struct shm_files *files)
{
	struct table *table;
	int r;

	if (files->n == 0)
		return 0;
	putchar('\n');
	r = table_new(shm_columns, ARRAY_SIZE(shm_columns), &table);
	for (size_t i = 0; i < files->n && r == 0; i++)
		r = put_shm_file(table, &files->file[i]);
	if (r == 0)
		r = table_print(table);
	table_free(table);
	return r;
}

static const struct table_column group_columns[] = {
	{ "SWAPPED", TABLE_NUMBER, 0 }, { "RESIDENT", TABLE_NUMBER, 1 },
	{ "LIMIT", TABLE_NUMBER, 2 }, { "GROUP", TABLE_NAME, 0 },
};

static int
put_group(struct table *table, const struct kernel_group *group)
{
	char swapped[FIGURE_LEN], resident[FIGURE_LEN], limit[FIGURE_LEN];
	const char *const cells[] = { swapped, resident, limit, group->path };

	figure_size(group->swapped, swapped, sizeof(swapped));
	figure_size(group->resident, resident, sizeof(resident));
	format_cut(limit, sizeof(limit), "-");
	if (group->limit != GROUP_UNLIMITED)
		figure_size(group->limit, limit, sizeof(limit));
	return table_row(table, cells);
}

static int
put_groups(const struct kernel_groups *groups)
{
	struct table *table;
	int r;

	if (groups->n == 0) {
		puts("no memory group is in swap");
		return 0;
	}
	r = table_new(group_columns, ARRAY_SIZE(group_columns), &table);
	for (size_t i = 0; i < groups->n && r == 0; i++)
		r = put_group(table, &groups->group[i]);
	if (r == 0)
		r = table_print(table);
	table_free(table);
	return r;
}

static void
put_books(const struct view *view)
{
	const struct kernel_books *books = &view->books;
	char text[FIGURE_LEN];

	printf("\n%10s  used, of which\n",
	       format_size(books->used, text, sizeof(text)));
	printf("%10s  processes\n",
	       format_size(books->processes, text, sizeof(text)));
	printf("%10s  shared memory and tmpfs\n",
	       format_size(books->shm, text, sizeof(text)));
	printf("%10s  in RAM as well (the swap cache)\n",
	       format_size(books->cached, text, sizeof(text)));
	if (books->other >= 0)
		printf("%10s  not attributed\n",
		       format_size((uint64_t)books->other, text,
				   sizeof(text)));
	else
		printf("%9s-  moved while this was counted\n",
		       format_size((uint64_t)-books->other, text,
				   sizeof(text)));
}

static void
put_hidden(const struct kernel_holders *holders)
{
	if (holders->nhidden > 0)
		printf("\nOf %u process%s the share is not visible to this "
		       "user (\"?\"); root sees all.\n", holders->nhidden,
		       holders->nhidden == 1 ? "" : "es");
	if (holders->shm.nhidden > 0)
		printf("\n%u process%s may not be looked into by this user: "
		       "what they alone share is not seen.\n",
		       holders->shm.nhidden,
		       holders->shm.nhidden == 1 ? "" : "es");
}

static int
put_view(const struct view *view)
{
	int r;

	if (view->filter.groups)
		return put_groups(&view->holders.groups);
	r = put_processes(view);
	if (r == 0 && !view->filter.by_user && view->filter.group == NULL) {
		r = put_shm(&view->holders.shm);
		put_books(view);
	}
	if (view->books.used > 0)
		put_hidden(&view->holders);
	return r;
}

/* ---------------------------------------------------------------------- JSON */

static json_t *
process_json(const struct kernel_holder *holder)
{
	return json_pack("{s:i, s:s, s:I, s:I, s:I, s:b, s:I, s:I, s:s}",
			 "pid", (int)holder->pid, "command", holder->command,
			 "uid", (json_int_t)holder->uid,
			 "swapped_bytes", (json_int_t)holder->swapped,
			 "share_bytes", (json_int_t)holder->share,
			 "share_known", holder->share_known,
			 "resident_bytes", (json_int_t)holder->resident,
			 "size_bytes", (json_int_t)holder->size,
			 "group", holder->group);
}

static json_t *
shm_json(const struct shm_file *file)
{
	return json_pack("{s:s, s:i, s:I, s:I, s:I, s:I}",
			 "name", file->name, "pid", (int)file->pid,
			 "uid", (json_int_t)file->uid,
			 "inode", (json_int_t)file->inode,
			 "size_bytes", (json_int_t)file->size,
			 "swapped_bytes", (json_int_t)file->swapped);
}

static json_t *
group_json(const struct kernel_group *group)
{
	json_t *json = json_pack("{s:s, s:I, s:I}", "group", group->path,
				 "swapped_bytes", (json_int_t)group->swapped,
				 "resident_bytes",
				 (json_int_t)group->resident);

	json_object_set_new(json, "limit_bytes",
			    group->limit == GROUP_UNLIMITED ? json_null() :
			    json_integer((json_int_t)group->limit));
	return json;
}

static json_t *
view_json(const struct view *view)
{
	json_t *processes = json_array(), *shm = json_array();
	json_t *groups = json_array();
	const struct kernel_books *books = &view->books;

	for (size_t i = 0; i < view->holders.n; i++)
		if (is_shown(&view->filter, &view->holders.holder[i]))
			json_array_append_new(processes, process_json(
				&view->holders.holder[i]));
	for (size_t i = 0; i < view->holders.shm.n; i++)
		json_array_append_new(shm, shm_json(
				&view->holders.shm.file[i]));
	for (size_t i = 0; i < view->holders.groups.n; i++)
		json_array_append_new(groups, group_json(
				&view->holders.groups.group[i]));
	return json_pack("{s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:i}",
			 "processes", processes, "shared_memory", shm,
			 "groups", groups,
			 "used_bytes", (json_int_t)books->used,
			 "processes_bytes", (json_int_t)books->processes,
			 "shared_memory_bytes", (json_int_t)books->shm,
			 "cached_bytes", (json_int_t)books->cached,
			 "other_bytes", (json_int_t)books->other,
			 "hidden", (int)view->holders.nhidden);
}

/* ------------------------------------------------------------------- command */

static int
look(const struct host *host, struct view *view)
{
	unsigned flags = HOLDERS_SHARES | HOLDERS_GROUPS | HOLDERS_SHM;
	int r = kernel_memory(host, &view->memory);

	if (r == 0)
		r = kernel_devices(host, &view->devices);
	if (r == 0)
		r = kernel_holders(host, flags, &view->holders);
	if (r == 0)
		kernel_books(&view->holders, &view->devices, &view->memory,
			     &view->books);
	return r;
}

static int
show(struct view *view)
{
	struct host host;
	int r = reach_host(&host);

	if (r != EXIT_OK)
		return r;
	r = look(&host, view);
	host_close(&host);
	if (r < 0)
		r = say_failure("the kernel's swap: %s", strerror(-r));
	else if (view->inv->json)
		r = say_json(view_json(view), true);
	else
		r = put_view(view) < 0 ? say_no_memory() : EXIT_OK;
	kernel_holders_clear(&view->holders);
	kernel_devices_clear(&view->devices);
	return r;
}

enum { OPTION_USER = 256, OPTION_GROUP, OPTION_LEAST, OPTION_BY_GROUP };

static int
set_user(const struct invocation *inv, struct filter *filter)
{
	const struct passwd *entry = getpwnam(optarg);
	int64_t uid;

	filter->by_user = true;
	if (entry != NULL)
		filter->uid = (uint32_t)entry->pw_uid;
	else if (parse_i64(optarg, 0, UINT32_MAX, &uid) == 0)
		filter->uid = (uint32_t)uid;
	else
		return say_misuse(inv, "there is no user '%s'", optarg);
	return COMMAND_GOES_ON;
}

static int
objects_option(struct view *view, struct invocation *inv, int option,
	       char **argv)
{
	switch (option) {
	case OPTION_USER:
		return set_user(inv, &view->filter);
	case OPTION_GROUP:
		view->filter.group = optarg;
		break;
	case OPTION_LEAST:
		if (parse_size(optarg, &view->filter.least) < 0)
			return say_misuse(inv, "'%s' is not a size; say 10M",
					  optarg);
		break;
	case OPTION_BY_GROUP:
		view->filter.groups = true;
		break;
	default:
		return command_option(inv, option, argv);
	}
	return COMMAND_GOES_ON;
}

int
kernel_run_objects(struct invocation *inv, int argc, char **argv)
{
	static const struct option options[] = {
		{ "user", required_argument, NULL, OPTION_USER },
		{ "group", required_argument, NULL, OPTION_GROUP },
		{ "least", required_argument, NULL, OPTION_LEAST },
		{ "by-group", no_argument, NULL, OPTION_BY_GROUP },
		COMMAND_OPTIONS,
	};
	struct view view = { .inv = inv };
	int option, r;

	while ((option = getopt_long(argc, argv, ":p:h", options,
				     NULL)) != -1) {
		r = objects_option(&view, inv, option, argv);
		if (r != COMMAND_GOES_ON)
			return r;
	}
	if (optind < argc)
		return say_misuse(inv, "'%s' is one word too many",
				  argv[optind]);
	return show(&view);
}
