/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel's swap as read from /proc and /sys, with trees that this test
 * writes: what the kernel of this machine happens to say decides nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "kernel/caps.h"
#include "kernel/devices.h"
#include "kernel/groups.h"
#include "kernel/header.h"
#include "kernel/headroom.h"
#include "kernel/holders.h"
#include "kernel/kernel.h"
#include "kernel/slots.h"
#include "kernel/watch.h"
#include "util.h"

struct tree {
	char		dir[64];
	struct host	host;
};

static void
make_folders(const char *path)
{
	char copy[512];

	format_cut(copy, sizeof(copy), "%s", path);
	for (char *at = strchr(copy + 1, '/'); at != NULL;
	     at = strchr(at + 1, '/')) {
		*at = '\0';
		(void)mkdir(copy, 0755);
		*at = '/';
	}
}

static void
put_bytes(const struct tree *tree, const char *name, const void *data,
	  size_t len)
{
	char path[512];
	int fd;

	format_cut(path, sizeof(path), "%s/%s", tree->dir, name);
	make_folders(path);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(pwrite_full(fd, data, len, 0), 0);
	close(fd);
}

static void
put(const struct tree *tree, const char *name, const char *text)
{
	put_bytes(tree, name, text, strlen(text));
}

static int
setup(void **state)
{
	struct tree *tree = calloc(1, sizeof(*tree));
	char proc[80], sys[80];

	format_cut(tree->dir, sizeof(tree->dir), "/tmp/swk-kernel.XXXXXX");
	assert_non_null(mkdtemp(tree->dir));
	format_cut(proc, sizeof(proc), "%s/proc/", tree->dir);
	format_cut(sys, sizeof(sys), "%s/sys/", tree->dir);
	make_folders(proc);
	make_folders(sys);
	assert_int_equal(host_open(proc, sys, &tree->host, NULL), 0);
	*state = tree;
	return 0;
}

static int
teardown(void **state)
{
	struct tree *tree = *state;
	char command[128];

	host_close(&tree->host);
	format_cut(command, sizeof(command), "rm -rf %s", tree->dir);
	assert_int_equal(system(command), 0);
	free(tree);
	return 0;
}

/* -------------------------------------------------------------------- host */

static void
test_text(void **state)
{
	char text[] = "a\\040b\\134\\011c\\8 \\04", line[] = "one  two\t3";
	static const char figures[] = "Ab: 1 kB\nAbc: 2 kB\nnone:\n x 4\n"
				      "x 5\n";
	char *cursor = line;
	uint64_t value = 0;

	(void)state;
	text_unescape(text);
	assert_string_equal(text, "a b\\\tc\\8 \\04");
	assert_string_equal(text_word(&cursor), "one");
	assert_string_equal(text_word(&cursor), "two");
	assert_string_equal(text_word(&cursor), "3");
	assert_null(text_word(&cursor));
	assert_true(text_number(figures, "Abc:", &value));
	assert_int_equal(value, 2);
	assert_int_equal(text_kib(figures, "Ab:"), 1024);
	assert_true(text_number(figures, "x", &value));
	assert_int_equal(value, 5);
	assert_false(text_number(figures, "A", &value));
	assert_int_equal(text_kib(figures, "nothing:"), 0);
}

static void
test_long_file(void **state)
{
	struct tree *tree = *state;
	size_t len = 300000;
	char *data = malloc(len), *text;

	memset(data, 'x', len);
	put_bytes(tree, "proc/long", data, len);
	assert_int_equal(host_read(tree->host.proc, "long", &text), len);
	assert_memory_equal(text, data, len);
	assert_int_equal(text[len], 0);
	free(text);
	free(data);
	assert_int_equal(host_read(tree->host.proc, "gone", &text), -ENOENT);
}

static int
add_pid(void *arg, int32_t pid)
{
	*(int64_t *)arg += pid;
	return pid == 1000 ? 77 : 0;
}

static void
test_pids(void **state)
{
	struct tree *tree = *state;
	int64_t sum = 0;

	put(tree, "proc/7/status", "");
	put(tree, "proc/12/status", "");
	put(tree, "proc/12x/status", "");
	put(tree, "proc/self/status", "");
	put(tree, "proc/0/status", "");
	assert_int_equal(host_each_pid(&tree->host, add_pid, &sum), 0);
	assert_int_equal(sum, 19);
	put(tree, "proc/1000/status", "");
	assert_int_equal(host_each_pid(&tree->host, add_pid, &sum), 77);
}

/* ----------------------------------------------------------------- devices */

static const char swaps[] =
	"Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
	"/dev/zram9                              partition\t1024\t\t512\t\t100\n"
	"/srv/a\\040b\\134c                        file\t\t8192\t\t4096\t\t-2\n"
	"/gone/x\\040(deleted)                    file\t\t64\t\t0\t\t5\n";

static void
test_devices(void **state)
{
	struct tree *tree = *state;
	struct kernel_devices devices;

	put(tree, "proc/swaps", swaps);
	put(tree, "sys/class/block/zram9/mm_stat",
	    "  524288 131072 147456 0 200000 3 0 0 0\n");
	put(tree, "sys/class/block/zram9/comp_algorithm", "lzo [zstd] lz4\n");
	put(tree, "sys/class/block/zram9/stat",
	    " 10 0 80 1 20 0 160 2 0 0 0\n");
	put(tree, "sys/class/block/zram9/queue/discard_max_bytes", "4096\n");
	assert_int_equal(kernel_devices(&tree->host, &devices), 0);
	assert_int_equal(devices.n, 3);
	assert_string_equal(devices.device[0].stats.type, "zram");
	assert_int_equal(devices.device[0].stats.size_bytes, 1 << 20);
	assert_int_equal(devices.device[0].stats.used_bytes, 1 << 19);
	assert_int_equal(devices.device[0].stats.priority, 100);
	assert_int_equal(devices.device[0].stats.read_bytes, 80 * 512);
	assert_int_equal(devices.device[0].stats.writes, 20);
	assert_true(devices.device[0].can_discard);
	assert_false(devices.device[1].can_discard);
	assert_int_equal(devices.device[0].zram.logical, 524288);
	assert_int_equal(devices.device[0].zram.physical, 147456);
	assert_string_equal(devices.device[0].zram.algorithm, "zstd");
	assert_string_equal(devices.device[1].path, "/srv/a b\\c");
	assert_int_equal(devices.device[1].stats.priority, -2);
	assert_false(devices.device[1].deleted);
	assert_string_equal(devices.device[2].path, "/gone/x");
	assert_true(devices.device[2].deleted);
	assert_ptr_equal(kernel_device_find(&devices, "/srv/a b\\c", NULL),
			 &devices.device[1]);
	assert_null(kernel_device_find(&devices, "/srv/other", NULL));
	kernel_devices_clear(&devices);
}

static void
test_bad_tables(void **state)
{
	static const char *const bad[] = {
		"head\n/dev/a\n", "head\n/dev/a partition\n",
		"head\n/dev/a partition 12\n",
		"head\n/dev/a partition 12 1\n",
		"head\n/dev/a partition x 1 1\n",
		"head\n/dev/a partition 12 -1 1\n",
		"head\n/dev/a partition 99999999999999999999 1 1\n",
	};
	struct tree *tree = *state;
	struct kernel_devices devices;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		put(tree, "proc/swaps", bad[i]);
		assert_int_equal(kernel_devices(&tree->host, &devices),
				 -EPROTO);
	}
	put(tree, "proc/swaps", "");
	assert_int_equal(kernel_devices(&tree->host, &devices), 0);
	assert_int_equal(devices.n, 0);
	kernel_devices_clear(&devices);
}

static void
test_no_swap_file(void **state)
{
	struct tree *tree = *state;
	struct kernel_devices devices;
	uint64_t used = 7;

	/* A kernel that was built without swap. */
	assert_int_equal(kernel_devices(&tree->host, &devices), 0);
	assert_int_equal(devices.n, 0);
	kernel_devices_clear(&devices);
	assert_int_equal(kernel_device_used(&tree->host, "/x", &used), 0);
	assert_int_equal(used, 0);
}

/* ------------------------------------------------------------------ memory */

static void
put_memory(const struct tree *tree, uint64_t available_mib, uint64_t stall,
	   uint64_t scanned)
{
	char text[512];

	format_cut(text, sizeof(text), "MemTotal: 4194304 kB\n"
		   "MemAvailable: %" PRIu64 " kB\nSwapCached: 8 kB\n"
		   "Zswap: 100 kB\nZswapped: 300 kB\n", available_mib << 10);
	put(tree, "proc/meminfo", text);
	format_cut(text, sizeof(text),
		   "some avg10=1.50 avg60=0.25 avg300=0.00 total=%" PRIu64
		   "\nfull avg10=0.50 avg60=0.00 avg300=0.00 total=9\n",
		   stall);
	put(tree, "proc/pressure/memory", text);
	format_cut(text, sizeof(text), "pswpin 11\npswpout 22\n"
		   "pgscan_kswapd 0\npgscan_direct %" PRIu64 "\n", scanned);
	put(tree, "proc/vmstat", text);
}

static void
test_memory(void **state)
{
	struct tree *tree = *state;
	struct kernel_memory memory;

	assert_int_equal(kernel_memory(&tree->host, &memory), -ENOENT);
	put_memory(tree, 1000, 12345, 6);
	put(tree, "sys/module/zswap/parameters/enabled", "Y\n");
	put(tree, "sys/module/zswap/parameters/compressor", "zstd\n");
	assert_int_equal(kernel_memory(&tree->host, &memory), 0);
	assert_int_equal(memory.total, UINT64_C(4) << 30);
	assert_int_equal(memory.available, UINT64_C(1000) << 20);
	assert_int_equal(memory.zswap_physical, 100 << 10);
	assert_int_equal(memory.zswap_logical, 300 << 10);
	assert_int_equal(memory.in_pages, 11);
	assert_int_equal(memory.out_pages, 22);
	assert_int_equal(memory.scanned_pages, 6);
	assert_true(memory.has_pressure);
	assert_int_equal(memory.some.total_usec, 12345);
	assert_true(memory.some.avg10 == 1.5);
	assert_int_equal(memory.full.total_usec, 9);
	assert_true(memory.zswap_enabled);
	assert_string_equal(memory.zswap_compressor, "zstd");
}

static void
test_headroom(void **state)
{
	struct tree *tree = *state;
	struct headroom headroom;
	uint64_t bytes;

	assert_int_equal(headroom_reserve(UINT64_C(4) << 30),
			 (UINT64_C(4) << 30) / 50);
	assert_int_equal(headroom_reserve(1 << 20), 64 << 20);
	assert_int_equal(headroom_reserve(UINT64_C(1) << 40), 1 << 30);
	put_memory(tree, 1000, 0, 0);
	assert_int_equal(headroom_init(&headroom, &tree->host), 0);
	assert_int_equal(headroom_look(&headroom, &bytes), HEADROOM_GO);
	assert_int_equal(bytes, ((UINT64_C(1000) << 20) - headroom.reserve) /
			 2);
	/* No room. */
	put_memory(tree, 80, 0, 0);
	assert_int_equal(headroom_look(&headroom, &bytes), HEADROOM_HOLD);
	assert_int_equal(bytes, 0);
	/* It lasts. */
	headroom.held_since -= 11000000;
	assert_int_equal(headroom_look(&headroom, &bytes), HEADROOM_LOST);
	/* Room again: all is forgotten. */
	put_memory(tree, 1000, 0, 0);
	assert_int_equal(headroom_look(&headroom, &bytes), HEADROOM_GO);
	/* Stalls without reclaim are our own reads; with it they are not. */
	put_memory(tree, 1000, 3600000000, 0);
	assert_int_equal(headroom_look(&headroom, &bytes), HEADROOM_GO);
	put_memory(tree, 1000, 7200000000, 1);
	assert_int_equal(headroom_look(&headroom, &bytes), HEADROOM_HOLD);
	put_memory(tree, 1000, 7200000000, 2);
	assert_int_equal(headroom_look(&headroom, &bytes), HEADROOM_GO);
}

/* ------------------------------------------------------------------ groups */

static void
put_mountinfo(const struct tree *tree, const char *type, const char *options)
{
	char text[512];

	format_cut(text, sizeof(text),
		   "20 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
		   "30 20 0:30 / %s/cg rw shared:4 - %s cgroup %s\n",
		   tree->dir, type, options);
	put(tree, "proc/self/mountinfo", text);
}

static const struct kernel_group *
group_named(const struct kernel_groups *groups, const char *path)
{
	for (size_t i = 0; i < groups->n; i++)
		if (strcmp(groups->group[i].path, path) == 0)
			return &groups->group[i];
	return NULL;
}

static void
test_groups_v2(void **state)
{
	struct tree *tree = *state;
	const struct kernel_group *group;
	struct kernel_groups groups;
	char path[64];

	put_mountinfo(tree, "cgroup2", "rw");
	put(tree, "cg/memory.stat", "anon 0\n");
	put(tree, "cg/a/memory.stat", "inactive_file 1000\nactive_file 24\n");
	put(tree, "cg/a/memory.swap.current", "5000\n");
	put(tree, "cg/a/memory.current", "3024\n");
	put(tree, "cg/a/memory.max", "max\n");
	put(tree, "cg/a/memory.high", "6000\n");
	put(tree, "cg/a/b/memory.stat", "\n");
	put(tree, "cg/a/b/memory.swap.current", "77\n");
	put(tree, "proc/42/cgroup", "0::/a/b\n");
	assert_int_equal(kernel_groups(&tree->host, &groups), 0);
	assert_int_equal(groups.version, 2);
	assert_int_equal(groups.n, 2);
	group = group_named(&groups, "/a");
	assert_non_null(group);
	assert_int_equal(group->swapped, 5000);
	assert_int_equal(kernel_group_room(group), 6000 - (3024 - 1024));
	group = group_named(&groups, "/a/b");
	assert_non_null(group);
	assert_true(kernel_group_room(group) == GROUP_UNLIMITED);
	kernel_group_of(&tree->host, 2, 42, path, sizeof(path));
	assert_string_equal(path, "/a/b");
	kernel_groups_clear(&groups);
}

static void
test_groups_v1(void **state)
{
	struct tree *tree = *state;
	const struct kernel_group *group;
	struct kernel_groups groups;
	char path[64];

	put_mountinfo(tree, "cgroup", "rw,cpu,memory");
	put(tree, "cg/x/memory.stat", "swap 1\ntotal_swap 900\n"
	    "total_inactive_file 0\ntotal_active_file 0\n");
	put(tree, "cg/x/memory.usage_in_bytes", "500\n");
	put(tree, "cg/x/memory.limit_in_bytes", "9223372036854771712\n");
	put(tree, "cg/y/memory.stat", "total_swap 10\n");
	put(tree, "cg/y/memory.usage_in_bytes", "500\n");
	put(tree, "cg/y/memory.limit_in_bytes", "400\n");
	put(tree, "proc/42/cgroup", "5:cpu:/no\n3:memory:/x\n0::/other\n");
	assert_int_equal(kernel_groups(&tree->host, &groups), 0);
	assert_int_equal(groups.version, 1);
	assert_int_equal(groups.n, 2);
	group = group_named(&groups, "/x");
	assert_int_equal(group->swapped, 900);
	assert_true(group->limit == GROUP_UNLIMITED);
	group = group_named(&groups, "/y");
	assert_int_equal(kernel_group_room(group), 0);
	kernel_group_of(&tree->host, 1, 42, path, sizeof(path));
	assert_string_equal(path, "/x");
	kernel_groups_clear(&groups);
}

static void
test_group_below(void **state)
{
	(void)state;
	assert_true(kernel_group_has("/", "/a"));
	assert_true(kernel_group_has("/a", "/a"));
	assert_true(kernel_group_has("/a", "/a/b"));
	assert_false(kernel_group_has("/a", "/ab"));
	assert_false(kernel_group_has("/a/b", "/a"));
	assert_false(kernel_group_has("/a", ""));
}

/* ------------------------------------------------------------------ header */

static int
open_file(const struct tree *tree, uint64_t bytes)
{
	char path[128];
	int fd;

	format_cut(path, sizeof(path), "%s/file", tree->dir);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
	return fd;
}

static void
test_header(void **state)
{
	struct tree *tree = *state;
	int fd = open_file(tree, 1 << 20);
	struct header header, again;
	char boot[1024], kept[1024];

	memset(boot, 'b', sizeof(boot));
	assert_int_equal(pwrite_full(fd, boot, sizeof(boot), 0), 0);
	assert_int_equal(header_read(fd, &header), 0);
	assert_int_equal(header.kind, HEADER_NONE);
	assert_int_equal(header_write(fd, 256, "sixteen bytes ok"), 0);
	assert_int_equal(header_read(fd, &header), 0);
	assert_int_equal(header.kind, HEADER_SWAP);
	assert_int_equal(header.page_bytes, page_bytes());
	assert_int_equal(header.last_page, 255);
	assert_int_equal(header.nbad, 0);
	assert_string_equal(header.label, "sixteen bytes ok");
	assert_int_equal(strlen(header.uuid), 36);
	/* Version 4, variant 1. */
	assert_int_equal(header.uuid[14], '4');
	assert_non_null(strchr("89ab", header.uuid[19]));
	assert_int_equal(pread_full(fd, kept, sizeof(kept), 0), 0);
	assert_memory_equal(kept, boot, sizeof(boot));
	assert_int_equal(header_write(fd, 256, NULL), 0);
	assert_int_equal(header_read(fd, &again), 0);
	assert_string_not_equal(again.uuid, header.uuid);
	assert_string_equal(again.label, "");
	assert_int_equal(header_write(fd, 9, NULL), -EINVAL);
	assert_int_equal(header_write(fd, 256, "seventeen bytes.."), -EINVAL);
	assert_int_equal(header_write(fd, UINT64_C(1) << 33, NULL), -EFBIG);
	close(fd);
}

static void
test_foreign_headers(void **state)
{
	static const struct {
		const char	*magic;
		off_t		end;
		enum header_kind kind;
	} cases[] = {
		{ "SWAPSPACE2", 4096, HEADER_SWAP_FOREIGN },
		{ "SWAPSPACE2", 65536, HEADER_SWAP_FOREIGN },
		{ "SWAP-SPACE", 4096, HEADER_SWAP_OLD },
		{ "S1SUSPEND\0", 8192, HEADER_HIBERNATED },
		{ "LINHIB0001", 4096, HEADER_HIBERNATED },
		{ "NOTHINGAT1", 4096, HEADER_NONE },
	};
	static const unsigned char big_endian[8] = { 0, 0, 0, 1, 0, 0, 1, 0 };
	struct tree *tree = *state;
	struct header header;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int fd = open_file(tree, 1 << 20);

		assert_int_equal(pwrite_full(fd, cases[i].magic, 10,
					     cases[i].end - 10), 0);
		if (cases[i].kind == HEADER_SWAP_FOREIGN)
			assert_int_equal(pwrite_full(fd, big_endian, 8, 1024),
					 0);
		assert_int_equal(header_read(fd, &header), 0);
		assert_int_equal(header.kind, cases[i].kind);
		if (header.kind == HEADER_SWAP_FOREIGN)
			assert_int_equal(header.last_page, 256);
		if (header.kind != HEADER_NONE)
			assert_int_equal(header.page_bytes, cases[i].end);
		close(fd);
	}
}

/* ------------------------------------------------------------------- slots */

static uint64_t
entry(unsigned number, uint64_t slot)
{
	return UINT64_C(1) << 62 | slot << 5 | number;
}

/*
 * A process of @npages pages from address 0x1000 on, with these entries of its
 * pagemap; a regular file knows no PAGEMAP_SCAN, as an older kernel.
 */
static void
put_process(const struct tree *tree, int pid, const uint64_t *entries,
	    size_t npages, const char *more_maps)
{
	uint64_t *pagemap = calloc(npages + 1, sizeof(*pagemap));
	char name[64], text[512];

	memcpy(pagemap + 1, entries, npages * sizeof(*entries));
	format_cut(name, sizeof(name), "proc/%d/pagemap", pid);
	put_bytes(tree, name, pagemap, (npages + 1) * sizeof(*pagemap));
	free(pagemap);
	format_cut(name, sizeof(name), "proc/%d/maps", pid);
	format_cut(text, sizeof(text), "%s1000-%zx rw-p 00000000 00:00 0 \n",
		   more_maps, 0x1000 * (npages + 1));
	put(tree, name, text);
	format_cut(name, sizeof(name), "proc/%d/status", pid);
	format_cut(text, sizeof(text), "Name:\tp%d\nUid:\t1000 0 0 0\n"
		   "VmSize: 64 kB\nVmRSS: 8 kB\nVmSwap: 40 kB\n", pid);
	put(tree, name, text);
	format_cut(name, sizeof(name), "proc/%d/smaps_rollup", pid);
	put(tree, name, "head\nSwapPss: 20 kB\n");
}

static void
put_caps(const struct tree *tree, const char *caps)
{
	char text[128];

	format_cut(text, sizeof(text), "Name:\tx\nCapEff:\t%s\n", caps);
	put(tree, "proc/self/status", text);
}

static void
test_survey(void **state)
{
	/* Two runs, a page in RAM, a moving page, and a marker. */
	const uint64_t entries[] = {
		entry(0, 1), entry(0, 2), entry(0, 3), UINT64_C(1) << 63,
		entry(0, 7), entry(30, 5), entry(27, 1 << 20), 0,
	};
	/* Shares slot 7; bit 55 (soft-dirty) is no part of a slot. */
	const uint64_t others[] = {
		entry(0, 7), 0, entry(0, 8) | UINT64_C(1) << 55,
	};
	struct tree *tree = *state;
	struct kernel_devices devices;
	struct swap_device_map map;
	struct slot_survey survey;
	struct slot_run *runs;
	uint64_t unplaced;
	size_t n;

	put_caps(tree, "0000000000200000");
	/* 15 pages and the header; 7 in use, one of which nobody names. */
	put(tree, "proc/swaps", "head\n/dev/t partition 60 28 1\n");
	put_process(tree, 10, entries, ARRAY_SIZE(entries), "");
	put_process(tree, 11, others, ARRAY_SIZE(others), "");
	assert_int_equal(kernel_devices(&tree->host, &devices), 0);
	assert_int_equal(slot_survey(&tree->host, &devices, &survey, NULL), 0);
	assert_int_equal(devices.device[0].number, 0);
	assert_int_equal(survey.distinct[0], 5);
	assert_int_equal(survey.entries[0], 6);
	assert_int_equal(survey.top[0], 8);
	assert_true(slot_survey_has(&survey, 0, 7));
	assert_false(slot_survey_has(&survey, 0, 4));
	assert_false(slot_survey_has(&survey, 0, 1 << 20));
	assert_int_equal(slot_survey_map(&survey, &devices.device[0], 4, &map,
					 &unplaced), 0);
	assert_int_equal(map.nblocks, 16);
	assert_int_equal(map.nfree, 10);	/* the header is not */
	assert_int_equal(unplaced, 2);
	assert_int_equal(map.nruns, 2);
	assert_int_equal(map.largest, 7);
	assert_int_equal(map.runs[1], 1);	/* 4, 5, 6 */
	assert_int_equal(map.cells[0].nfree, 0);
	assert_int_equal(map.cells[1].nfree, 3);
	assert_int_equal(map.cells[3].nfree, 4);
	swap_device_map_clear(&map);
	assert_int_equal(slot_survey_map(&survey, &devices.device[0],
					 SWAP_MAP_CELLS_MAX + 1, &map,
					 &unplaced), -EINVAL);
	assert_int_equal(slot_runs(&tree->host, 0, &runs, &n), 0);
	assert_int_equal(n, 4);
	assert_int_equal(runs[0].slot, 1);
	assert_int_equal(runs[0].npages, 3);
	assert_int_equal(runs[0].address, 0x1000);
	assert_int_equal(runs[1].slot, 7);
	assert_int_equal(runs[1].pid, 10);
	assert_int_equal(runs[1].address, 0x5000);
	assert_int_equal(runs[2].pid, 11);
	assert_int_equal(runs[2].npages, 1);
	/* The next slot, but not the next page. */
	assert_int_equal(runs[3].slot, 8);
	assert_int_equal(runs[3].address, 0x3000);
	free(runs);
	slot_survey_clear(&survey);
	kernel_devices_clear(&devices);
}

static void
test_survey_privilege(void **state)
{
	struct tree *tree = *state;
	struct swap_error error = { 0 };
	struct kernel_devices devices;
	struct slot_survey survey;

	put(tree, "proc/swaps", "head\n/dev/t partition 60 28 1\n");
	put_caps(tree, "ffffffffffdfffff");
	assert_false(caps_have(&tree->host, CAPS_SYS_ADMIN));
	assert_true(caps_have(&tree->host, CAPS_SYS_NICE));
	assert_int_equal(kernel_devices(&tree->host, &devices), 0);
	assert_int_equal(slot_survey(&tree->host, &devices, &survey, &error),
			 -EPERM);
	assert_non_null(strstr(error.message, "CAP_SYS_ADMIN"));
	kernel_devices_clear(&devices);
}

/* Which numbers the rows of @table get where these are named. */
static void
expect_numbers(const struct tree *tree, const char *table,
	       const uint64_t *entries, size_t n, const int *numbers)
{
	struct kernel_devices devices;
	struct slot_survey survey;

	put_caps(tree, "0000000000200000");
	put(tree, "proc/swaps", table);
	put_process(tree, 10, entries, n, "");
	assert_int_equal(kernel_devices(&tree->host, &devices), 0);
	assert_int_equal(slot_survey(&tree->host, &devices, &survey, NULL), 0);
	for (size_t i = 0; i < devices.n; i++)
		assert_int_equal(devices.device[i].number, numbers[i]);
	slot_survey_clear(&survey);
	kernel_devices_clear(&devices);
}

static void
test_numbers(void **state)
{
	struct tree *tree = *state;
	/* Number 0 was turned off: the only device is number 1. */
	const uint64_t gap[] = { entry(1, 1), entry(1, 2) };
	const int one[] = { 1 };
	/* Numbers 1 and 3, of three pages and of one; row 1 holds none. */
	const uint64_t three[] = {
		entry(1, 4), entry(1, 5), entry(1, 6), entry(3, 9),
	};
	const int of_three[] = { 1, -1, 3 };
	/* What lies beyond a device's end cannot be on it. */
	const uint64_t far[] = { entry(1, 900) };
	const int of_far[] = { -1, 1 };
	/* The second row is not number 0. */
	const uint64_t low[] = { entry(0, 3) };
	const int of_low[] = { 0, -1 };

	expect_numbers(tree, "head\n/dev/a partition 400 8 1\n", gap, 2, one);
	expect_numbers(tree, "head\n/dev/a partition 400 12 1\n"
		       "/dev/b partition 400 0 1\n"
		       "/dev/c partition 400 4 1\n", three, 4, of_three);
	expect_numbers(tree, "head\n/dev/a partition 400 4 1\n"
		       "/dev/b partition 8000 4 1\n", far, 1, of_far);
	expect_numbers(tree, "head\n/dev/a partition 400 0 1\n"
		       "/dev/b partition 400 4 1\n", low, 1, of_low);
}

struct heard {
	unsigned	nruns;
	uint64_t	npages;
	unsigned	nof_file;
	uint64_t	first;
};

static int
hear(void *arg, const struct page_run *run)
{
	struct heard *heard = arg;

	if (heard->nruns++ == 0)
		heard->first = run->address;
	heard->npages += run->npages;
	heard->nof_file += run->of_file;
	return 0;
}

static void
test_pages(void **state)
{
	const uint64_t entries[] = {
		entry(0, 1), entry(0, 2), entry(1, 3), entry(0, 4),
	};
	struct tree *tree = *state;
	struct heard heard = { 0 };

	/* Shared mappings and the kernel's half are passed over. */
	put_process(tree, 10, entries, 4,
		    "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0 "
		    "[vsyscall]\n1000-3000 rw-s 00000000 00:01 5 /dev/zero\n"
		    "2000-3000 rw-p 00000000 08:01 77 /lib/x\nnonsense\n");
	assert_int_equal(pages_each(&tree->host, 10, 0, hear, &heard), 0);
	/* The mapping of the file, then the whole: 2, 1 and 1 in a run. */
	assert_int_equal(heard.nruns, 4);
	assert_int_equal(heard.nof_file, 1);
	assert_int_equal(heard.npages, 5);
	assert_int_equal(heard.first, 0x2000);
	/* To go on where a batch was full. */
	memset(&heard, 0, sizeof(heard));
	assert_int_equal(pages_each(&tree->host, 10, 0x3000, hear, &heard), 0);
	assert_int_equal(heard.npages, 2);
	assert_int_equal(pages_each(&tree->host, 99, 0, hear, &heard), -ESRCH);
}

/* ----------------------------------------------------------------- holders */

static void
test_holders(void **state)
{
	const uint64_t entries[] = { entry(0, 1) };
	const struct kernel_memory memory = { .swap_cached = 100 << 10 };
	struct tree *tree = *state;
	struct kernel_devices devices;
	struct kernel_holders holders;
	struct kernel_books books;
	struct swap_stats stats;

	put(tree, "proc/swaps", "head\n/dev/t partition 600 100 1\n");
	put_memory(tree, 100, 0, 0);
	put_process(tree, 10, entries, 1, "");
	put_process(tree, 11, entries, 1, "");
	put(tree, "proc/12/status", "Name:\tdry\nVmSwap: 0 kB\n");
	put(tree, "proc/13/status", "Name:\tthread\n");
	put(tree, "proc/self/mountinfo", "");
	assert_int_equal(kernel_holders(&tree->host, HOLDERS_SHARES, &holders),
			 0);
	assert_int_equal(holders.n, 2);
	assert_int_equal(holders.nhidden, 0);
	assert_int_equal(holders.holder[0].swapped, 40 << 10);
	assert_int_equal(holders.holder[0].share, 20 << 10);
	assert_int_equal(holders.holder[0].uid, 1000);
	assert_string_equal(holders.holder[0].command, "p10");
	assert_int_equal(kernel_devices(&tree->host, &devices), 0);
	kernel_books(&holders, &devices, &memory, &books);
	assert_int_equal(books.used, 100 << 10);
	assert_int_equal(books.processes, 40 << 10);
	assert_int_equal(books.cached, 60 << 10);
	assert_int_equal(books.other, 0);
	/* More named than used: it moved. */
	devices.device[0].stats.used_bytes = 10 << 10;
	kernel_books(&holders, &devices, &memory, &books);
	assert_int_equal(books.cached, 0);
	assert_int_equal(books.other, -(30 << 10));
	kernel_holders_clear(&holders);
	kernel_devices_clear(&devices);
	assert_int_equal(kernel_stats(&tree->host, &stats), 0);
	assert_string_equal(stats.provider, "kernel");
	assert_int_equal(stats.nobjects, 2);
	assert_int_equal(stats.swap_bytes, 600 << 10);
	assert_int_equal(stats.swap_used_bytes, 100 << 10);
	assert_int_equal(stats.swapped_bytes, 92 << 10);
	assert_int_equal(stats.counters.pagein_pages, 11);
	swap_stats_clear(&stats);
}

/* ------------------------------------------------------------------- watch */

/* What was told since the last expect(), "kind device; kind device; ". */
struct told {
	struct watch	*watch;
	char		 text[512];
	char		 message[200];	/* the last one's */
	uint64_t	 number;
};

static void
take_event(void *arg, const struct swap_event *event)
{
	struct told *told = arg;
	size_t len = strlen(told->text);

	assert_int_equal(event->number, ++told->number);
	assert_true(event->time_usec > 0);
	format_cut(told->text + len, sizeof(told->text) - len, "%s %s;",
		   swap_event_name(event->kind), event->device);
	format_cut(told->message, sizeof(told->message), "%s",
		   event->message);
}

/* SwapTotal and SwapFree, in KiB, and how much of the time somebody waited. */
static void
put_swap(const struct tree *tree, unsigned total, unsigned room,
	 const char *avg10)
{
	char text[256];

	format_cut(text, sizeof(text), "MemTotal: 4194304 kB\n"
		   "SwapTotal: %u kB\nSwapFree: %u kB\n", total, room);
	put(tree, "proc/meminfo", text);
	format_cut(text, sizeof(text), "some avg10=%s avg60=0.00 avg300=0.00 "
		   "total=7\n", avg10);
	put(tree, "proc/pressure/memory", text);
}

static void
expect_told(struct told *told, const char *text)
{
	told->text[0] = '\0';
	assert_int_equal(watch_look(told->watch), 0);
	assert_string_equal(told->text, text);
}

static void
test_watch_devices(void **state)
{
	struct tree *tree = *state;
	struct told told = { 0 };

	put(tree, "proc/swaps", "head\n/dev/a partition 1000 400 -2\n");
	put_swap(tree, 1000, 600, "0.00");
	assert_int_equal(watch_open(&tree->host, take_event, &told,
				    &told.watch), 0);
	expect_told(&told, "device-on /dev/a;");
	assert_non_null(strstr(told.message, "does not tell since when"));
	expect_told(&told, "");
	/* Another one comes, and the first one gets another priority. */
	put(tree, "proc/swaps", "head\n/dev/a partition 1000 400 -1\n"
	    "/srv/b file 2000 0 5\n");
	put_swap(tree, 3000, 2600, "0.00");
	expect_told(&told, "device-priority /dev/a;device-on /srv/b;");
	assert_string_equal(told.message,
			    "is on: file of 2.0 MiB, 0 B used, priority 5");
	/* A look that fails forgets nothing. */
	put(tree, "proc/swaps", "head\nnonsense\n");
	assert_int_equal(watch_look(told.watch), -EPROTO);
	put(tree, "proc/swaps", "head\n/srv/b\\040(deleted) file 2000 0 5\n");
	put_swap(tree, 2000, 2000, "0.00");
	expect_told(&told, "device-off /dev/a;device-orphaned /srv/b;");
	put(tree, "proc/swaps", "head\n");
	put_swap(tree, 0, 0, "0.00");
	expect_told(&told, "device-off /srv/b;");
	watch_close(told.watch);
}

static void
test_watch_closing(void **state)
{
	struct tree *tree = *state;
	struct told told = { 0 };

	/* SwapTotal has /dev/a with what it still holds. */
	put(tree, "proc/swaps", "head\n/dev/a partition 1000 400 1\n"
	    "/dev/b partition 3000 100 1\n");
	put_swap(tree, 3400, 2900, "0.00");
	assert_int_equal(watch_open(&tree->host, take_event, &told,
				    &told.watch), 0);
	expect_told(&told, "device-on /dev/a;device-off-started /dev/a;"
		    "device-on /dev/b;");
	/* It goes on, and the second one begins. */
	put(tree, "proc/swaps", "head\n/dev/a partition 1000 300 1\n"
	    "/dev/b partition 3000 100 1\n");
	put_swap(tree, 3300, 2900, "0.00");
	expect_told(&told, "");
	put_swap(tree, 400, 0, "0.00");
	expect_told(&told, "device-off-started /dev/b;");
	put_swap(tree, 1100, 700, "0.00");
	expect_told(&told, "device-off-stopped /dev/a;");
	put_swap(tree, 4000, 3600, "0.00");
	expect_told(&told, "device-off-stopped /dev/b;");
	/* A container's own SwapTotal explains nothing. */
	put_swap(tree, 1234, 1234, "0.00");
	expect_told(&told, "");
	watch_close(told.watch);
}

static void
test_watch_room(void **state)
{
	struct tree *tree = *state;
	struct told told = { 0 };

	put(tree, "proc/swaps", "head\n/dev/a partition 16000 0 1\n");
	put_swap(tree, 16000, 900, "30.00");
	assert_int_equal(watch_open(&tree->host, take_event, &told,
				    &told.watch), 0);
	expect_told(&told, "device-on /dev/a;almost-full ;pressure-high ;");
	/* Neither ends where it began. */
	put_swap(tree, 16000, 1100, "15.00");
	expect_told(&told, "");
	put_swap(tree, 16000, 60, "15.00");
	expect_told(&told, "full ;");
	put_swap(tree, 16000, 600, "9.00");
	expect_told(&told, "pressure-over ;");
	put_swap(tree, 16000, 2100, "9.00");
	expect_told(&told, "room ;");
	put_swap(tree, 16000, 0, "0.00");
	expect_told(&told, "full ;");
	/* Without swap nothing is short. */
	put(tree, "proc/swaps", "head\n");
	put_swap(tree, 0, 0, "0.00");
	expect_told(&told, "device-off /dev/a;");
	watch_close(told.watch);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_text), TEST(test_long_file), TEST(test_pids),
		TEST(test_devices), TEST(test_bad_tables),
		TEST(test_no_swap_file), TEST(test_memory),
		TEST(test_headroom), TEST(test_groups_v2),
		TEST(test_groups_v1), TEST(test_group_below),
		TEST(test_header), TEST(test_foreign_headers),
		TEST(test_survey), TEST(test_survey_privilege),
		TEST(test_numbers), TEST(test_pages), TEST(test_holders),
		TEST(test_watch_devices), TEST(test_watch_closing),
		TEST(test_watch_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
