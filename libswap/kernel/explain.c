/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Can this file or device be swap, and if not, why?
 *
 * Of nearly everything that is wrong with a swap file swapon(2) says EINVAL,
 * and sometimes the kernel's log says more.  Here each reason is looked for
 * before anything is tried, and each has a sentence and a remedy.
 *
 * The kernel reads and writes a swap file's blocks behind its filesystem.  So
 * each block must exist (no holes), be the file's alone (no copy-on-write, no
 * snapshots), and hold the plain bytes (not compressed, inline or encrypted).
 * Space that fallocate(2) reserved is good.  A swapd goes through the
 * filesystem, and asks for less: space, and that nobody else can read it.
 *
 * Limits: a filesystem whose name is not known here is believed; what it
 * then refuses, swapon(2) tells.
 */
#include "kernel/explain.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "kernel/btrfs.h"
#include "kernel/caps.h"
#include "kernel/devices.h"
#include "probe.h"
#include "util.h"

#define LEAST_PAGES	10u
#define NEXTENTS	128u
#define START_BYTES	(64u << 10)
#define MOST_DEVICES	23u	/* that every kernel has room for */

struct look {
	const struct host *host;
	struct explain	*explain;
	unsigned	 flags;
	int		 fd;
	struct stat	 st;
};

static void swap_printf(5, 6)
find(struct look *look, enum explain_verdict verdict, const char *topic,
     const char *remedy, const char *fmt, ...)
{
	struct explain *explain = look->explain;
	struct explain_finding *finding;
	va_list args;

	if (verdict > explain->worst)
		explain->worst = verdict;
	if (explain->n == EXPLAIN_MAX)
		return;
	finding = &explain->finding[explain->n++];
	finding->verdict = verdict;
	format_cut(finding->topic, sizeof(finding->topic), "%s", topic);
	format_cut(finding->remedy, sizeof(finding->remedy), "%s", remedy);
	va_start(args, fmt);
	if (vsnprintf(finding->text, sizeof(finding->text), fmt, args) < 0)
		finding->text[0] = '\0';
	va_end(args);
}

static bool
for_kernel(const struct look *look)
{
	return (look->flags & EXPLAIN_FOR_KERNEL) != 0;
}

/* --------------------------------------------------------------- filesystem */

static const struct {
	uint32_t	magic;
	const char	*name;
	const char	*why;
} unfit[] = {
	{ TMPFS_MAGIC, "tmpfs", "is memory itself: nothing would be won" },
	{ RAMFS_MAGIC, "ramfs", "is memory itself: nothing would be won" },
	{ OVERLAYFS_SUPER_MAGIC, "overlay", "has no blocks of its own" },
	{ 0x65735546, "fuse", "is served by a program that may be swapped "
	  "out" },
	{ 0x2fc12fc1, "zfs", "has no swap files" },
	{ SQUASHFS_MAGIC, "squashfs", "is read-only" },
	{ ECRYPTFS_SUPER_MAGIC, "ecryptfs", "has no swap files" },
	{ PROC_SUPER_MAGIC, "proc", "stores nothing" },
	{ SYSFS_MAGIC, "sysfs", "stores nothing" },
};

/* A swapd writes like any program, and refuses memory only. */
static bool
is_unfit(const struct look *look, uint32_t magic, size_t i)
{
	return unfit[i].magic == magic &&
	       (for_kernel(look) || magic == TMPFS_MAGIC ||
		magic == RAMFS_MAGIC || magic == PROC_SUPER_MAGIC ||
		magic == SYSFS_MAGIC);
}

static void
look_attributes(struct look *look, bool btrfs)
{
	int attributes = 0;

	if (ioctl(look->fd, FS_IOC_GETFLAGS, &attributes) < 0)
		return;
	if (attributes & FS_IMMUTABLE_FL)
		find(look, EXPLAIN_BAD, "immutable", "chattr -i",
		     "it is immutable");
	if (!for_kernel(look))
		return;
	if (attributes & FS_COMPR_FL)
		find(look, EXPLAIN_BAD, "compressed",
		     "make it anew with 'on --create SIZE'",
		     "its contents are compressed");
	/* ext4 at least: swapon(2) takes it. */
	if (attributes & FS_ENCRYPT_FL)
		find(look, EXPLAIN_NOTE, "encrypted",
		     "use a device that is encrypted as a whole (dm-crypt)",
		     "its filesystem encrypts it, but the kernel writes swap "
		     "behind the filesystem: what is in swap is on the disk "
		     "in the clear");
	if (btrfs && !(attributes & FS_NOCOW_FL))
		find(look, EXPLAIN_BAD, "copy-on-write",
		     "make it anew with 'on --create SIZE', which turns that "
		     "off; it cannot be turned off in a file with contents",
		     "btrfs writes every block of it to a new place");
}

static void
look_filesystem(struct look *look)
{
	struct statfs fs;
	uint32_t magic;
	bool known_bad = false;

	if (fstatfs(look->fd, &fs) < 0)
		return;
	magic = (uint32_t)fs.f_type;
	for (size_t i = 0; i < ARRAY_SIZE(unfit); i++) {
		if (!is_unfit(look, magic, i))
			continue;
		known_bad = true;
		find(look, EXPLAIN_BAD, "filesystem",
		     "use a file on a disk's filesystem, or a partition",
		     "it is on %s, which %s", unfit[i].name, unfit[i].why);
	}
	if (fs.f_flags & 1 /* ST_RDONLY */)
		find(look, EXPLAIN_BAD, "read-only",
		     "remount it writable (mount -o remount,rw)",
		     "its filesystem is mounted read-only");
	look_attributes(look, magic == BTRFS_SUPER_MAGIC);
	if (!known_bad)
		find(look, EXPLAIN_GOOD, "filesystem", "",
		     "its filesystem can hold swap");
}

/* ------------------------------------------------------------------ extents */

#define NOT_PLAIN	(FIEMAP_EXTENT_ENCODED | FIEMAP_EXTENT_DATA_INLINE | \
			 FIEMAP_EXTENT_DATA_ENCRYPTED | \
			 FIEMAP_EXTENT_DATA_TAIL)

struct blocks {
	uint64_t	hole;		/* the first; UINT64_MAX: none */
	uint64_t	shared;
	uint64_t	not_plain;
	uint64_t	nextents;
	struct btrfs_places places;	/* none: it is no btrfs */
	uint64_t	not_single;
	uint64_t	device;		/* of btrfs: the first one; 0: none */
	bool		several;	/* devices */
};

/* An extent is in one chunk. */
static void
count_place(struct blocks *blocks, const struct fiemap_extent *extent)
{
	const struct btrfs_place *place =
		btrfs_place_of(&blocks->places, extent->fe_physical);

	if (place == NULL)
		return;
	if (!place->single)
		blocks->not_single += extent->fe_length;
	if (blocks->device == 0)
		blocks->device = place->device;
	blocks->several |= place->device != blocks->device;
}

static void
count_extent(struct blocks *blocks, const struct fiemap_extent *extent,
	     uint64_t *at)
{
	if (extent->fe_logical > *at)
		blocks->hole = min_u64(blocks->hole, *at);
	if (extent->fe_flags & FIEMAP_EXTENT_SHARED)
		blocks->shared += extent->fe_length;
	if (extent->fe_flags & NOT_PLAIN)
		blocks->not_plain += extent->fe_length;
	blocks->nextents++;
	count_place(blocks, extent);
	*at = extent->fe_logical + extent->fe_length;
}

/* 1: it was asked for all, 0: the filesystem does not answer. */
static int
map_extents(int fd, uint64_t bytes, struct blocks *blocks)
{
	struct fiemap *map = malloc(sizeof(*map) + NEXTENTS *
				    sizeof(map->fm_extents[0]));
	uint64_t at = 0;
	int r = map != NULL ? 1 : -ENOMEM;

	while (r == 1 && at < bytes) {
		memset(map, 0, sizeof(*map));
		map->fm_start = at;
		map->fm_length = bytes - at;
		map->fm_flags = FIEMAP_FLAG_SYNC;
		map->fm_extent_count = NEXTENTS;
		if (ioctl(fd, FS_IOC_FIEMAP, map) < 0)
			r = 0;
		else if (map->fm_mapped_extents == 0)
			break;
		for (unsigned i = 0; r == 1 &&
		     i < map->fm_mapped_extents; i++)
			count_extent(blocks, &map->fm_extents[i], &at);
	}
	if (r == 1 && at < bytes)
		blocks->hole = min_u64(blocks->hole, at);
	free(map);
	return r;
}

static void
find_places(struct look *look, const struct blocks *blocks)
{
	if (blocks->not_single > 0)
		find(look, EXPLAIN_BAD, "btrfs profile",
		     "make it anew after 'btrfs balance start "
		     "-dconvert=single', or on another filesystem",
		     "its btrfs keeps %" PRIu64 " bytes of it twice, or in "
		     "stripes", blocks->not_single);
	else if (blocks->several)
		find(look, EXPLAIN_BAD, "btrfs devices",
		     "make it smaller, or use a filesystem on one device",
		     "it lies on several devices of its btrfs");
}

static void
look_blocks(struct look *look)
{
	struct blocks blocks = { .hole = UINT64_MAX };
	uint64_t bytes = (uint64_t)look->st.st_size & ~(page_bytes() - 1);
	int r;

	if (for_kernel(look) && btrfs_places(look->fd, &blocks.places) < 0)
		blocks.places.n = 0;
	r = map_extents(look->fd, bytes, &blocks);
	if (r <= 0) {
		if ((uint64_t)look->st.st_blocks * 512 < bytes)
			blocks.hole = 0;
		else
			blocks.hole = UINT64_MAX;
	}
	if (blocks.hole != UINT64_MAX)
		find(look, EXPLAIN_BAD, "holes",
		     "fill them in ('fallocate -l SIZE FILE'), or make it "
		     "anew with 'on --create SIZE'",
		     "parts of it have no space on the disk, the first at "
		     "byte %" PRIu64, blocks.hole);
	else
		find(look, EXPLAIN_GOOD, "holes", "", "it has all its space "
		     "(%" PRIu64 " extent%s)", blocks.nextents,
		     blocks.nextents == 1 ? "" : "s");
	if (blocks.shared > 0)
		find(look, EXPLAIN_BAD, "shared",
		     "make it anew with 'on --create SIZE'; snapshots and "
		     "reflinks share blocks",
		     "%" PRIu64 " bytes of it are shared with other files",
		     blocks.shared);
	if (blocks.not_plain > 0 && for_kernel(look))
		find(look, EXPLAIN_BAD, "encoded",
		     "make it anew with 'on --create SIZE'",
		     "%" PRIu64 " bytes of it are compressed, encrypted or "
		     "kept in the inode", blocks.not_plain);
	find_places(look, &blocks);
	btrfs_places_clear(&blocks.places);
}

/* -------------------------------------------------------------- who and what */

static void
look_owner(struct look *look)
{
	unsigned mode = look->st.st_mode & 07777;

	if (mode & 077)
		find(look, EXPLAIN_BAD, "mode", "chmod 600",
		     "its mode is %04o: others could read what programs have "
		     "in memory", mode);
	else
		find(look, EXPLAIN_GOOD, "mode", "", "only its owner can open "
		     "it");
	if (look->st.st_uid != 0 && look->st.st_uid != geteuid())
		find(look, EXPLAIN_BAD, "owner", "chown root",
		     "it belongs to user %u, who could read what programs "
		     "have in memory", (unsigned)look->st.st_uid);
}

static void
look_size(struct look *look)
{
	uint64_t least = LEAST_PAGES * page_bytes(), rest;
	char size[32];

	rest = look->explain->bytes & (page_bytes() - 1);
	if (look->explain->bytes < least)
		find(look, EXPLAIN_BAD, "size", look->explain->is_file ?
		     "make it larger" :
		     "give it a size (zram: disksize; loop: a file)",
		     "it has %" PRIu64 " bytes, and the least is %" PRIu64,
		     look->explain->bytes, least);
	else
		find(look, EXPLAIN_GOOD, "size", "", "%s",
		     format_size(look->explain->bytes, size, sizeof(size)));
	if (look->explain->bytes >= least && rest > 0)
		find(look, EXPLAIN_NOTE, "size", "",
		     "its last %" PRIu64 " bytes make no page and stay unused",
		     rest);
}

static void
look_block_device(struct look *look)
{
	uint64_t bytes = 0;
	int ro = 0, fd;

	if (ioctl(look->fd, BLKGETSIZE64, &bytes) == 0)
		look->explain->bytes = bytes;
	if (ioctl(look->fd, BLKROGET, &ro) == 0 && ro)
		find(look, EXPLAIN_BAD, "read-only", "blockdev --setrw",
		     "the device is read-only");
	fd = open(look->explain->path, O_RDONLY | O_EXCL | O_CLOEXEC);
	if (fd >= 0)
		close(fd);
	else if (errno == EBUSY)
		find(look, EXPLAIN_BAD, "in use",
		     "unmount it, or release it; 'lsblk' and 'swapctl status' "
		     "tell who has it",
		     "it is mounted, or part of something (RAID, LVM, swap)");
}

static void
look_in_use(struct look *look)
{
	struct kernel_devices devices;

	if (kernel_devices(look->host, &devices) < 0)
		return;
	if (kernel_device_find(&devices, look->explain->path, NULL) != NULL)
		find(look, EXPLAIN_BAD, "in use",
		     for_kernel(look) ? "nothing is to be done" :
		     "swapctl -p kernel off",
		     "the kernel uses it as swap already");
	if (for_kernel(look) && devices.n >= MOST_DEVICES)
		find(look, EXPLAIN_NOTE, "table", "turn another one off",
		     "%zu devices are on, and the kernel has room for few "
		     "more", devices.n);
	kernel_devices_clear(&devices);
}

/* ----------------------------------------------------------------- contents */

static bool
starts_with_zeros(int fd)
{
	char *buf = calloc(1, START_BYTES);
	ssize_t n = buf != NULL ? pread(fd, buf, START_BYTES, 0) : -1;
	bool zeros = n >= 0;

	for (ssize_t i = 0; i < n && zeros; i++)
		zeros = buf[i] == '\0';
	free(buf);
	return zeros;
}

static void
look_no_header(struct look *look)
{
	if (starts_with_zeros(look->fd))
		find(look, EXPLAIN_NOTE, "signature", "",
		     "it has no swap header; 'on' writes one");
	else
		find(look, EXPLAIN_FORCE, "signature",
		     "--force, if nobody needs what is there",
		     "it has no swap header, and carries data of an unknown "
		     "kind");
}

static void
look_swap_header(struct look *look, const struct header *header)
{
	uint64_t need = ((uint64_t)header->last_page + 1) * page_bytes();

	if (header->page_bytes != page_bytes())
		find(look, EXPLAIN_FORCE, "page size",
		     "--force writes a new header",
		     "its swap header is for pages of %u bytes, and here they "
		     "have %" PRIu64, header->page_bytes, page_bytes());
	else if (header->version != 1 || header->last_page == 0)
		find(look, EXPLAIN_FORCE, "signature",
		     "--force writes a new header",
		     "its swap header is damaged");
	else if (need > look->explain->bytes && look->explain->is_file)
		find(look, EXPLAIN_FORCE, "signature",
		     "--force writes a new header",
		     "its swap header promises %" PRIu64 " bytes, and it has "
		     "%" PRIu64, need, look->explain->bytes);
	else if (header->nbad > 0 && look->explain->is_file)
		find(look, EXPLAIN_FORCE, "signature",
		     "--force writes a new header",
		     "its swap header names bad pages, which a file cannot "
		     "have");
	else {
		look->explain->has_header = true;
		find(look, EXPLAIN_GOOD, "signature", "",
		     "a swap header%s%s%s%s",
		     header->label[0] != '\0' ? ", label " : "",
		     header->label,
		     header->uuid[0] != '\0' ? ", UUID " : "", header->uuid);
	}
}

static void
look_header(struct look *look)
{
	struct header header;

	if (header_read(look->fd, &header) < 0)
		return;
	switch (header.kind) {
	case HEADER_NONE:
		look_no_header(look);
		break;
	case HEADER_SWAP:
	case HEADER_SWAP_FOREIGN:
		look_swap_header(look, &header);
		break;
	case HEADER_SWAP_OLD:
		find(look, EXPLAIN_FORCE, "signature",
		     "--force writes a new header",
		     "its swap header is of version 0, which kernels refuse");
		break;
	case HEADER_HIBERNATED:
		find(look, EXPLAIN_FORCE, "signature",
		     "resume from it; --force gives that up",
		     "it holds the image of a machine that was suspended");
		break;
	}
}

static void
look_contents(struct look *look)
{
	char what[128];
	int r = probe_contents(look->fd, what, sizeof(what));

	if (r < 0)
		find(look, EXPLAIN_BAD, "contents", "look at the kernel's log",
		     "it cannot be read: %s", strerror(-r));
	else if (r > 0)
		find(look, EXPLAIN_FORCE, "contents",
		     "--force, if nobody needs what is there",
		     "it carries %s", what);
	else if (for_kernel(look))
		look_header(look);
	else
		find(look, EXPLAIN_GOOD, "contents", "",
		     "it carries nothing that would be lost");
}

/* -------------------------------------------------------------------- whole */

static void
look_open(struct look *look)
{
	if (S_ISREG(look->st.st_mode)) {
		look->explain->is_file = true;
		look->explain->bytes = (uint64_t)look->st.st_size;
		look_filesystem(look);
		look_owner(look);
	} else {
		look_block_device(look);
	}
	look_size(look);
	if (look->explain->is_file && look->explain->bytes > 0)
		look_blocks(look);
	look_in_use(look);
	if (look->explain->bytes >= LEAST_PAGES * page_bytes())
		look_contents(look);
}

static void
look_path(struct look *look)
{
	const char *path = look->explain->path;

	if (for_kernel(look) && !caps_have(look->host, CAPS_SYS_ADMIN))
		find(look, EXPLAIN_BAD, "privilege", "run this as root",
		     "only root may turn the kernel's swap on "
		     "(CAP_SYS_ADMIN)");
	if (stat(path, &look->st) < 0) {
		find(look, EXPLAIN_BAD, "path", errno == ENOENT ?
		     "'on --create SIZE' makes a file" : "", "%s",
		     strerror(errno));
		return;
	}
	if (!S_ISREG(look->st.st_mode) && !S_ISBLK(look->st.st_mode)) {
		find(look, EXPLAIN_BAD, "kind", "use a file or a block device",
		     "it is a %s", S_ISDIR(look->st.st_mode) ? "directory" :
		     S_ISCHR(look->st.st_mode) ? "character device" :
		     "thing that holds no data");
		return;
	}
	look->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (look->fd < 0) {
		find(look, EXPLAIN_BAD, "path", errno == EACCES ?
		     "run this as root" : "", "it cannot be opened: %s",
		     strerror(errno));
		return;
	}
	look_open(look);
	close(look->fd);
}

int
explain(const struct host *host, const char *spec, unsigned flags,
	struct explain *ret_explain, struct swap_error *error)
{
	struct look look = { .host = host, .flags = flags, .fd = -1 };
	int r;

	memset(ret_explain, 0, sizeof(*ret_explain));
	r = probe_resolve(spec, &ret_explain->path, error);
	if (r < 0)
		return r;
	look.explain = ret_explain;
	look_path(&look);
	return 0;
}

void
explain_clear(struct explain *explain_)
{
	free(explain_->path);
	explain_->path = NULL;
}
