/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel's swap devices, from /proc/swaps.
 *
 * A row is: path, type, size and use in KiB, priority.  The rows stand in the
 * order of the devices' numbers, but the numbers themselves are not told.
 * White space in a path is written in octal, and a file that has been removed
 * since has " (deleted)" behind it.  What a device is (zram, loop, ...) is
 * found in sysfs by its name's last part.
 *
 * Costs: one read of the table, a few small files and one page of each
 * device's start.  Limits: paths over 255 bytes are cut in the snapshot.
 */
#include "kernel/devices.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "probe.h"
#include "util.h"

#define DELETED		" (deleted)"
#define SECTOR		512u

/* -------------------------------------------------------- what sysfs says */

/* "class/block/NAME" of a block device; "" of a file. */
static void
block_folder(const struct kernel_device *device, char *buf, size_t len)
{
	const char *name = strrchr(device->path, '/');
	char real[PATH_MAX];
	struct stat st;

	buf[0] = '\0';
	if (strcmp(device->stats.type, "file") == 0)
		return;
	/* /dev/mapper/NAME is a link to /dev/dm-N. */
	if (stat(device->path, &st) == 0 && S_ISBLK(st.st_mode) &&
	    realpath(device->path, real) != NULL)
		name = strrchr(real, '/');
	if (name != NULL)
		format_cut(buf, len, "class/block%s", name);
}

static bool
host_has(int dir, const char *folder, const char *file)
{
	char path[512];

	format_cut(path, sizeof(path), "%s/%s", folder, file);
	return faccessat(dir, path, F_OK, 0) == 0;
}

static void
set_type(const struct host *host, struct kernel_device *device,
	 const char *folder)
{
	const char *type = "block";

	if (host_has(host->sys, folder, "mm_stat"))
		type = "zram";
	else if (host_has(host->sys, folder, "loop"))
		type = "loop";
	else if (host_has(host->sys, folder, "partition"))
		type = "partition";
	format_cut(device->stats.type, sizeof(device->stats.type), "%s", type);
}

/* reads, merged, sectors, msec, writes, merged, sectors, ... */
static void
read_traffic(const struct host *host, struct kernel_device *device,
	     const char *folder)
{
	uint64_t figure[7] = { 0 };
	char path[512], *text;

	format_cut(path, sizeof(path), "%s/stat", folder);
	if (host_read(host->sys, path, &text) < 0)
		return;
	if (sscanf(text, " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
		   " %" SCNu64 " %" SCNu64 " %" SCNu64, &figure[0],
		   &figure[1], &figure[2], &figure[3], &figure[4],
		   &figure[5], &figure[6]) == 7) {
		device->stats.reads = figure[0];
		device->stats.read_bytes = figure[2] * SECTOR;
		device->stats.writes = figure[4];
		device->stats.written_bytes = figure[6] * SECTOR;
	}
	free(text);
}

/* "lzo [lzo-rle] lz4": the one in use has brackets. */
static void
read_algorithm(const struct host *host, struct kernel_zram *zram,
	       const char *folder)
{
	char path[512], *text, *start;

	format_cut(path, sizeof(path), "%s/comp_algorithm", folder);
	if (host_read(host->sys, path, &text) < 0)
		return;
	start = strchr(text, '[');
	if (start != NULL) {
		start++;
		start[strcspn(start, "]\n")] = '\0';
		format_cut(zram->algorithm, sizeof(zram->algorithm), "%s",
			   start);
	}
	free(text);
}

static void
read_zram(const struct host *host, struct kernel_device *device,
	  const char *folder)
{
	uint64_t orig, compr, used, limit, max, same;
	char path[512], *text;

	format_cut(path, sizeof(path), "%s/mm_stat", folder);
	if (host_read(host->sys, path, &text) < 0)
		return;
	device->is_zram = true;
	if (sscanf(text, " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
		   " %" SCNu64 " %" SCNu64, &orig, &compr, &used, &limit,
		   &max, &same) == 6) {
		device->zram.logical = orig;
		device->zram.compressed = compr;
		device->zram.physical = used;
		device->zram.same_bytes = same << page_shift();
	}
	free(text);
	read_algorithm(host, &device->zram, folder);
}

/*
 * Can the device be told what is free?  Of a file: the one under its
 * filesystem.  A partition has no queue of its own: its disk's is one folder
 * up.
 */
static bool
can_discard(const struct host *host, const struct kernel_device *device,
	    const char *folder)
{
	char under[64], path[512];
	uint64_t bytes = 0;
	struct stat st;

	if (folder[0] == '\0') {
		if (device->deleted || stat(device->path, &st) < 0)
			return false;
		format_cut(under, sizeof(under), "dev/block/%u:%u",
			   major(st.st_dev), minor(st.st_dev));
		folder = under;
	}
	format_cut(path, sizeof(path), "%s/queue/discard_max_bytes", folder);
	if (host_number(host->sys, path, &bytes) < 0) {
		format_cut(path, sizeof(path),
			   "%s/../queue/discard_max_bytes", folder);
		if (host_number(host->sys, path, &bytes) < 0)
			return false;
	}
	return bytes > 0;
}

static void
read_sysfs(const struct host *host, struct kernel_device *device)
{
	char folder[300];

	block_folder(device, folder, sizeof(folder));
	device->can_discard = can_discard(host, device, folder);
	if (folder[0] == '\0')
		return;
	set_type(host, device, folder);
	read_traffic(host, device, folder);
	read_zram(host, device, folder);
}

static void
read_header(struct kernel_device *device)
{
	struct header header;
	int fd;

	if (device->deleted)
		return;
	fd = open(device->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return;
	if (header_read(fd, &header) == 0 && header.kind == HEADER_SWAP) {
		memcpy(device->uuid, header.uuid, sizeof(device->uuid));
		memcpy(device->label, header.label, sizeof(device->label));
	}
	close(fd);
}

/* --------------------------------------------------------------- the table */

static int
parse_kib(char **cursor, uint64_t *ret_bytes)
{
	const char *word = text_word(cursor);
	int64_t kib;

	if (word == NULL || parse_i64(word, 0, INT64_MAX >> 10, &kib) < 0)
		return -EPROTO;
	*ret_bytes = (uint64_t)kib << 10;
	return 0;
}

static void
take_path(struct kernel_device *device, char *path)
{
	size_t len;

	text_unescape(path);
	len = strlen(path);
	if (len > strlen(DELETED) &&
	    strcmp(path + len - strlen(DELETED), DELETED) == 0) {
		path[len - strlen(DELETED)] = '\0';
		device->deleted = true;
	}
	format_cut(device->stats.path, sizeof(device->stats.path), "%s", path);
}

static int
parse_row(char *line, struct kernel_device *device)
{
	char *cursor = line, *path = text_word(&cursor);
	const char *type = text_word(&cursor), *word;
	int64_t priority;
	int r;

	memset(device, 0, sizeof(*device));
	device->number = -1;
	if (path == NULL || type == NULL)
		return -EPROTO;
	format_cut(device->stats.type, sizeof(device->stats.type), "%s", type);
	r = parse_kib(&cursor, &device->stats.size_bytes);
	if (r == 0)
		r = parse_kib(&cursor, &device->stats.used_bytes);
	word = text_word(&cursor);
	if (r < 0 || word == NULL ||
	    parse_i64(word, INT32_MIN, INT32_MAX, &priority) < 0)
		return -EPROTO;
	device->stats.priority = (int)priority;
	take_path(device, path);
	device->path = strdup(path);
	return device->path != NULL ? 0 : -ENOMEM;
}

static int
add_row(struct kernel_devices *devices, char *line)
{
	struct kernel_device *more;
	int r;

	more = realloc(devices->device, (devices->n + 1) * sizeof(*more));
	if (more == NULL)
		return -ENOMEM;
	devices->device = more;
	r = parse_row(line, &more[devices->n]);
	if (r == 0)
		devices->n++;
	return r;
}

int
kernel_devices_table(const struct host *host,
		     struct kernel_devices *ret_devices)
{
	char *text, *cursor, *line;
	int r = 0;
	ssize_t n = host_read(host->proc, "swaps", &text);

	ret_devices->n = 0;
	ret_devices->device = NULL;
	/* A kernel without swap has no such file. */
	if (n < 0)
		return n == -ENOENT ? 0 : (int)n;
	cursor = text;
	text_line(&cursor);
	while (r == 0 && (line = text_line(&cursor)) != NULL)
		r = add_row(ret_devices, line);
	free(text);
	if (r < 0)
		kernel_devices_clear(ret_devices);
	return r;
}

int
kernel_devices(const struct host *host, struct kernel_devices *ret_devices)
{
	int r = kernel_devices_table(host, ret_devices);

	for (size_t i = 0; r == 0 && i < ret_devices->n; i++) {
		read_sysfs(host, &ret_devices->device[i]);
		read_header(&ret_devices->device[i]);
	}
	return r;
}

void
kernel_devices_clear(struct kernel_devices *devices)
{
	for (size_t i = 0; i < devices->n; i++)
		free(devices->device[i].path);
	free(devices->device);
	devices->device = NULL;
	devices->n = 0;
}

int
kernel_device_used(const struct host *host, const char *path,
		   uint64_t *ret_bytes)
{
	struct kernel_devices devices;
	int r = kernel_devices_table(host, &devices);

	if (r < 0)
		return r;
	*ret_bytes = 0;
	for (size_t i = 0; i < devices.n; i++)
		if (strcmp(devices.device[i].path, path) == 0)
			*ret_bytes = devices.device[i].stats.used_bytes;
	kernel_devices_clear(&devices);
	return 0;
}

/* ------------------------------------------------------------ which is meant */

static bool
same_tag(const struct kernel_device *device, const char *spec)
{
	if (strncmp(spec, "LABEL=", 6) == 0)
		return strcmp(spec + 6, device->label) == 0;
	if (strncmp(spec, "UUID=", 5) == 0)
		return strcasecmp(spec + 5, device->uuid) == 0;
	return false;
}

static bool
same_file(const struct kernel_device *device, const struct stat *meant)
{
	struct stat st;

	if (device->deleted || stat(device->path, &st) < 0)
		return false;
	if (S_ISBLK(meant->st_mode))
		return S_ISBLK(st.st_mode) && st.st_rdev == meant->st_rdev;
	return st.st_dev == meant->st_dev && st.st_ino == meant->st_ino;
}

static struct kernel_device *
find_path(struct kernel_devices *devices, const char *path)
{
	struct stat meant;

	for (size_t i = 0; i < devices->n; i++)
		if (strcmp(devices->device[i].path, path) == 0)
			return &devices->device[i];
	if (stat(path, &meant) < 0)
		return NULL;
	for (size_t i = 0; i < devices->n; i++)
		if (same_file(&devices->device[i], &meant))
			return &devices->device[i];
	return NULL;
}

struct kernel_device *
kernel_device_find(struct kernel_devices *devices, const char *spec,
		   struct swap_error *error)
{
	struct kernel_device *found;
	char *path;

	/* A swap file has a label too, and libblkid looks at devices only. */
	for (size_t i = 0; i < devices->n; i++)
		if (same_tag(&devices->device[i], spec))
			return &devices->device[i];
	if (probe_resolve(spec, &path, error) < 0)
		return NULL;
	found = find_path(devices, path);
	if (found == NULL && access(path, F_OK) < 0)
		error_set(error, -ENOENT, "%s: %s", path, strerror(errno));
	else if (found == NULL)
		error_set(error, -ENXIO, "%s: the kernel does not use it as "
			  "swap; 'swapctl -p kernel status' lists what it "
			  "uses", path);
	free(path);
	return found;
}
