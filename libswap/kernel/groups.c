/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory control groups.
 *
 * Version 1 has a mount of its own for memory, version 2 one for everything;
 * where both are mounted, memory is version 1's if that mount is there.  What
 * a group has in swap: version 2 says memory.swap.current, version 1 a line of
 * memory.stat.  A page that comes back is charged to the group that it was
 * swapped out of, whoever reads it: so a group at its limit cannot take its
 * pages back, however much memory the machine has.
 *
 * Costs: some small files a group.  Limits: 64 levels; in a container only
 * what is mounted there is seen.
 */
#include "kernel/groups.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util.h"

#define DEEPEST		64u

/* --------------------------------------------------------------- the mount */

static bool
has_option(const char *options, const char *wanted)
{
	size_t len = strlen(wanted);

	for (const char *at = options; at != NULL; ) {
		if (strncmp(at, wanted, len) == 0 &&
		    (at[len] == ',' || at[len] == '\0'))
			return true;
		at = strchr(at, ',');
		if (at != NULL)
			at++;
	}
	return false;
}

/* "ID PARENT DEV ROOT MOUNT OPTIONS [...] - TYPE SOURCE OPTIONS": version. */
static int
mount_version(char *line, char **ret_mount)
{
	char *cursor = line, *dash = strstr(line, " - "), *mount = NULL;
	const char *type, *options;

	if (dash == NULL)
		return 0;
	for (int i = 0; i < 5; i++)
		mount = text_word(&cursor);
	dash += 3;
	type = text_word(&dash);
	text_word(&dash);
	options = text_word(&dash);
	if (mount == NULL || type == NULL)
		return 0;
	*ret_mount = mount;
	if (strcmp(type, "cgroup") == 0 && options != NULL &&
	    has_option(options, "memory"))
		return 1;
	return strcmp(type, "cgroup2") == 0 ? 2 : 0;
}

static int
find_mount(const struct host *host, struct kernel_groups *groups)
{
	char *text, *cursor, *line, *mount, *copy;
	ssize_t r = host_read(host->proc, "self/mountinfo", &text);
	int version;

	if (r < 0)
		return r == -ENOMEM ? -ENOMEM : 0;
	cursor = text;
	r = 0;
	while ((line = text_line(&cursor)) != NULL && groups->version != 1) {
		version = mount_version(line, &mount);
		if (version == 0 || (version == 2 && groups->version == 2))
			continue;
		text_unescape(mount);
		copy = strdup(mount);
		if (copy == NULL) {
			r = -ENOMEM;
			break;
		}
		free(groups->mount);
		groups->mount = copy;
		groups->version = version;
	}
	free(text);
	return (int)r;
}

/* ------------------------------------------------------------------ groups */

static uint64_t
figure(int dir, const char *file, uint64_t otherwise)
{
	uint64_t value;

	return host_number(dir, file, &value) < 0 ? otherwise : value;
}

static void
read_v1(int dir, const char *stat, struct kernel_group *group)
{
	uint64_t value = 0;

	if (text_number(stat, "total_swap", &value))
		group->swapped = value;
	group->resident = figure(dir, "memory.usage_in_bytes", 0);
	group->limit = figure(dir, "memory.limit_in_bytes", GROUP_UNLIMITED);
	/* "No limit" is a number near 2^63. */
	if (group->limit >= INT64_MAX / 2)
		group->limit = GROUP_UNLIMITED;
	if (text_number(stat, "total_inactive_file", &value))
		group->cache = value;
	if (text_number(stat, "total_active_file", &value))
		group->cache += value;
}

/* memory.high does not fail a charge, but what is above it is pushed out. */
static void
read_v2(int dir, const char *stat, struct kernel_group *group)
{
	uint64_t value = 0;

	group->swapped = figure(dir, "memory.swap.current", 0);
	group->resident = figure(dir, "memory.current", 0);
	group->limit = min_u64(figure(dir, "memory.max", GROUP_UNLIMITED),
			       figure(dir, "memory.high", GROUP_UNLIMITED));
	if (text_number(stat, "inactive_file", &value))
		group->cache = value;
	if (text_number(stat, "active_file", &value))
		group->cache += value;
}

static int
add_group(struct kernel_groups *groups, int dir, const char *path)
{
	struct kernel_group group = { .limit = GROUP_UNLIMITED }, *more;
	char *stat;

	if (host_read(dir, "memory.stat", &stat) < 0)
		return 0;
	if (groups->version == 1)
		read_v1(dir, stat, &group);
	else
		read_v2(dir, stat, &group);
	free(stat);
	if (group.swapped == 0)
		return 0;
	group.path = strdup(path[0] != '\0' ? path : "/");
	more = realloc(groups->group, (groups->n + 1) * sizeof(*more));
	if (more != NULL)
		groups->group = more;
	if (group.path == NULL || more == NULL) {
		free(group.path);
		return -ENOMEM;
	}
	more[groups->n++] = group;
	return 0;
}

static int walk_groups(struct kernel_groups *groups, int dir, char *path,
		       unsigned depth);

static int
walk_below(struct kernel_groups *groups, DIR *dir, char *path, unsigned depth)
{
	size_t len = strlen(path);
	struct dirent *entry;
	int r = 0, fd;

	while (r == 0 && (entry = readdir(dir)) != NULL) {
		if (entry->d_type != DT_DIR || entry->d_name[0] == '.' ||
		    len + strlen(entry->d_name) + 2 > PATH_MAX)
			continue;
		fd = openat(dirfd(dir), entry->d_name,
			    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0)
			continue;
		format_cut(path + len, PATH_MAX - len, "/%s", entry->d_name);
		r = walk_groups(groups, fd, path, depth + 1);
		path[len] = '\0';
	}
	return r;
}

/* Takes @dir over. */
static int
walk_groups(struct kernel_groups *groups, int dir, char *path, unsigned depth)
{
	DIR *stream = fdopendir(dir);
	int r;

	if (stream == NULL) {
		close(dir);
		return -ENOMEM;
	}
	r = add_group(groups, dir, path);
	if (r == 0 && depth < DEEPEST)
		r = walk_below(groups, stream, path, depth);
	closedir(stream);
	return r;
}

int
kernel_groups(const struct host *host, struct kernel_groups *ret_groups)
{
	struct kernel_groups groups = { 0 };
	char *path = calloc(1, PATH_MAX);
	int r = path != NULL ? find_mount(host, &groups) : -ENOMEM, fd;

	if (r == 0 && groups.mount != NULL) {
		fd = open(groups.mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd >= 0)
			r = walk_groups(&groups, fd, path, 0);
	}
	free(path);
	if (r < 0)
		kernel_groups_clear(&groups);
	else
		*ret_groups = groups;
	return r;
}

void
kernel_groups_clear(struct kernel_groups *groups)
{
	for (size_t i = 0; i < groups->n; i++)
		free(groups->group[i].path);
	free(groups->group);
	free(groups->mount);
	memset(groups, 0, sizeof(*groups));
}

uint64_t
kernel_group_room(const struct kernel_group *group)
{
	uint64_t kept = group->resident > group->cache ?
			group->resident - group->cache : 0;

	if (group->limit == GROUP_UNLIMITED)
		return GROUP_UNLIMITED;
	return group->limit > kept ? group->limit - kept : 0;
}

/* "ID:CONTROLLERS:PATH"; its path if it is the memory group's. */
static const char *
group_line(char *line, int version)
{
	char *controllers = strchr(line, ':'), *path;

	if (controllers == NULL)
		return NULL;
	path = strchr(++controllers, ':');
	if (path == NULL)
		return NULL;
	*path++ = '\0';
	if (version == 1 ? has_option(controllers, "memory") :
			   controllers[0] == '\0')
		return path;
	return NULL;
}

void
kernel_group_of(const struct host *host, int version, int32_t pid, char *buf,
		size_t len)
{
	char *text, *cursor, *line;
	const char *path = NULL;

	buf[0] = '\0';
	if (version == 0 || host_read_pid(host, pid, "cgroup", &text) < 0)
		return;
	cursor = text;
	while (path == NULL && (line = text_line(&cursor)) != NULL)
		path = group_line(line, version);
	if (path != NULL)
		format_cut(buf, len, "%s", path);
	free(text);
}

bool
kernel_group_has(const char *group, const char *path)
{
	size_t len = strlen(group);

	if (strcmp(group, "/") == 0)
		return true;
	return strncmp(group, path, len) == 0 &&
	       (path[len] == '/' || path[len] == '\0');
}
