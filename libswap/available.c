/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Available memory.
 *
 * Before memory is handed over to its clients it must be known that it fits,
 * since what does not fit invites the kernel's OOM killer.  The machine says
 * in /proc/meminfo; a memory cgroup may say less, and so may any above it.
 * Files that are not there or not understood are taken to say nothing.
 */
#include "available.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compiler.h"
#include "util.h"

#define CGROUP_ROOT	"/sys/fs/cgroup"

static uint64_t
read_number(const char *dir, const char *file)
{
	char path[512], text[32];
	uint64_t value = UINT64_MAX;
	FILE *f;

	format_cut(path, sizeof(path), "%s/%s", dir, file);
	f = fopen(path, "re");
	if (f == NULL)
		return UINT64_MAX;
	if (fgets(text, sizeof(text), f) != NULL && text[0] != 'm')
		value = strtoull(text, NULL, 10);
	fclose(f);
	return value;
}

static uint64_t
left(uint64_t limit, uint64_t used)
{
	/* v1 says "no limit" as a number near 2^63. */
	if (limit >= INT64_MAX / 2 || used == UINT64_MAX)
		return UINT64_MAX;
	return used < limit ? limit - used : 0;
}

static uint64_t
group_left(const char *dir)
{
	uint64_t v2 = left(read_number(dir, "memory.max"),
			   read_number(dir, "memory.current"));
	uint64_t v1 = left(read_number(dir, "memory.limit_in_bytes"),
			   read_number(dir, "memory.usage_in_bytes"));

	return min_u64(v1, v2);
}

/* The least of a group and all those above it, up to the mount. */
static uint64_t
groups_left(const char *mount, const char *group)
{
	char dir[512];
	uint64_t least = UINT64_MAX;
	char *slash;

	format_cut(dir, sizeof(dir), "%s%s", mount, group);
	while (strlen(dir) > strlen(mount)) {
		least = min_u64(least, group_left(dir));
		slash = strrchr(dir, '/');
		if (slash == NULL)
			break;
		*slash = '\0';
	}
	return least;
}

/* One line of /proc/self/cgroup: "ID:CONTROLLERS:PATH". */
static uint64_t
line_left(char *line)
{
	char *controllers = strchr(line, ':');
	char *group;

	if (controllers == NULL)
		return UINT64_MAX;
	controllers++;
	group = strchr(controllers, ':');
	if (group == NULL)
		return UINT64_MAX;
	*group++ = '\0';
	group[strcspn(group, "\n")] = '\0';
	if (controllers[0] == '\0')
		return groups_left(CGROUP_ROOT, group);
	if (strcmp(controllers, "memory") == 0)
		return groups_left(CGROUP_ROOT "/memory", group);
	return UINT64_MAX;
}

static uint64_t
cgroup_available(void)
{
	uint64_t least = UINT64_MAX;
	char line[512];
	FILE *f = fopen("/proc/self/cgroup", "re");

	if (f == NULL)
		return least;
	while (fgets(line, sizeof(line), f) != NULL)
		least = min_u64(least, line_left(line));
	fclose(f);
	return least;
}

static uint64_t
machine_available(void)
{
	uint64_t kib = UINT64_MAX / 1024;
	char line[128];
	FILE *f = fopen("/proc/meminfo", "re");

	if (f == NULL)
		return UINT64_MAX;
	while (fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "MemAvailable: %" SCNu64, &kib) == 1)
			break;
	fclose(f);
	return kib * 1024;
}

uint64_t
memory_available(void)
{
	return min_u64(machine_available(), cgroup_available());
}
