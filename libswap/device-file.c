/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Regular files: making them, and refusing those that cannot work.
 *
 * A swap file must have all its space already, since paging out is what one
 * does when things run out.  Space that fallocate(2) reserved is "unwritten"
 * until it is first written; lseek(SEEK_HOLE) calls that a hole, FIEMAP does
 * not, so FIEMAP decides.  Where a filesystem lacks it, the number of blocks
 * in stat has to do.  FIEMAP also tells space that a write would have to
 * allocate anew (shared with another file, or compressed).
 *
 * The file is kept from other pagers by flock(2), which the kernel drops when
 * its holder dies.  It is not kept from everybody: the owner can still write
 * to it, truncate it or put a loop device over it.
 *
 * Cost: one FIEMAP entry an extent; without fallocate(2), making a file means
 * writing it.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "device-impl.h"
#include "util.h"

#define ZFS_SUPER_MAGIC		0x2fc12fc1
#define EXTENTS_AT_ONCE		64u
#define ZEROS_BYTES		(1024u * 1024u)

/* ------------------------------------------------------------- filesystems */

static const struct {
	uint32_t	magic;
	bool		never;		/* --force does not help */
	const char	*why;
} unfit[] = {
	{ TMPFS_MAGIC, false, "is on tmpfs, which is RAM (and may be swapped "
	  "out itself): paging to it frees nothing" },
	{ RAMFS_MAGIC, false, "is on ramfs, which is RAM: paging to it frees "
	  "nothing" },
	{ ZFS_SUPER_MAGIC, false, "is on ZFS, which writes every block anew, "
	  "so that writing fails when the disk is full" },
	{ HUGETLBFS_MAGIC, true, "is on hugetlbfs, which cannot be written" },
	{ PROC_SUPER_MAGIC, true, "is on procfs, which stores nothing" },
	{ SYSFS_MAGIC, true, "is on sysfs, which stores nothing" },
};

static int
check_btrfs(int fd, const char *path, struct swap_error *error)
{
	int attributes = 0;

	if (ioctl(fd, FS_IOC_GETFLAGS, &attributes) == 0 &&
	    (attributes & FS_NOCOW_FL) != 0)
		return 0;
	return error_set(error, -EINVAL, "%s: is copy-on-write on btrfs, so "
			 "that writing fails when the disk is full; make it "
			 "anew with 'swapctl on --create', which turns that "
			 "off, or use --force", path);
}

static int
check_filesystem(int fd, const char *path, unsigned flags,
		 struct swap_error *error)
{
	bool force = (flags & SWAP_DEVICE_FORCE) != 0;
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return error_set(error, -errno, "%s: cannot examine its "
				 "filesystem: %m", path);
	if ((uint32_t)fs.f_type == BTRFS_SUPER_MAGIC && !force)
		return check_btrfs(fd, path, error);
	for (size_t i = 0; i < ARRAY_SIZE(unfit); i++) {
		if ((uint32_t)fs.f_type != unfit[i].magic ||
		    (force && !unfit[i].never))
			continue;
		return error_set(error, -EINVAL, "%s: %s; use a file on a disk "
				 "filesystem%s", path, unfit[i].why,
				 unfit[i].never ? "" : ", or --force");
	}
	return 0;
}

/* ------------------------------------------------------------------- holes */

/*
 * Ask for the extents from *pos on.  Advances *pos to the end of what they
 * cover without a gap and collects their flags.
 */
static int
next_extents(int fd, struct fiemap *map, uint64_t *pos, uint64_t end,
	     uint32_t *flags)
{
	memset(map, 0, sizeof(*map));
	map->fm_start = *pos;
	map->fm_length = end - *pos;
	map->fm_flags = FIEMAP_FLAG_SYNC;	/* settle delayed allocation */
	map->fm_extent_count = EXTENTS_AT_ONCE;
	if (ioctl(fd, FS_IOC_FIEMAP, map) < 0)
		return -errno;
	for (uint32_t i = 0; i < map->fm_mapped_extents; i++) {
		const struct fiemap_extent *extent = &map->fm_extents[i];

		if (extent->fe_logical > *pos)
			break;
		*flags |= extent->fe_flags;
		*pos = max_u64(*pos, extent->fe_logical + extent->fe_length);
	}
	return 0;
}

/* 0 and the flags of all extents, 1 and *ret_hole, or negative: no FIEMAP. */
static int
find_hole(int fd, uint64_t bytes, uint64_t *ret_hole, uint32_t *ret_flags)
{
	struct fiemap *map = calloc(1, sizeof(*map) + EXTENTS_AT_ONCE *
				       sizeof(struct fiemap_extent));
	uint64_t pos = 0, from;
	int rc = 0;

	*ret_flags = 0;
	if (map == NULL)
		return -ENOMEM;
	while (rc == 0 && pos < bytes) {
		from = pos;
		rc = next_extents(fd, map, &pos, bytes, ret_flags);
		if (rc == 0 && pos == from)
			rc = 1;
	}
	free(map);
	*ret_hole = pos;
	return rc;
}

/* As find_hole(), by the number of blocks; the offset is a guess. */
static int
count_blocks(int fd, const struct stat *st, uint64_t bytes, uint64_t *ret_hole)
{
	off_t hole;

	if ((uint64_t)st->st_blocks * 512 >= bytes)
		return 0;
	hole = lseek(fd, 0, SEEK_HOLE);
	*ret_hole = hole > 0 && (uint64_t)hole < bytes ? (uint64_t)hole : 0;
	return 1;
}

/* @bytes as --create takes it. */
static char *
size_argument(uint64_t bytes, char *buf, size_t len)
{
	static const char units[] = "KMGT";
	char unit[2] = "";

	for (size_t i = 0; units[i] != '\0' && bytes % 1024 == 0; i++) {
		bytes /= 1024;
		unit[0] = units[i];
	}
	format_cut(buf, len, "%" PRIu64 "%s", bytes, unit);
	return buf;
}

static int
check_holes(int fd, const struct stat *st, const char *path, uint64_t bytes,
	    struct swap_error *error)
{
	uint64_t hole = 0;
	uint32_t extent_flags;
	char size[32];
	int rc = find_hole(fd, bytes, &hole, &extent_flags);

	if (rc < 0)
		rc = count_blocks(fd, st, bytes, &hole);
	size_argument(bytes, size, sizeof(size));
	if (rc > 0)
		return error_set(error, -EINVAL, "%s: has holes (one at byte "
				 "%" PRIu64 "), so that writing to it could "
				 "fail when the disk is full; make it anew "
				 "with 'swapctl on --create %s FILE', or fill "
				 "it with 'fallocate -l %s FILE' or dd(1)",
				 path, hole, size, size);
	if ((extent_flags & (FIEMAP_EXTENT_SHARED |
			     FIEMAP_EXTENT_ENCODED)) != 0)
		return error_set(error, -EINVAL, "%s: shares blocks with "
				 "another file or is compressed, so that "
				 "writing to it could fail when the disk is "
				 "full; make it anew with 'swapctl on "
				 "--create %s FILE'", path, size);
	return 0;
}

/* ------------------------------------------------------------------ in use */

/* Undo the octal escapes of /proc/swaps, in place. */
static void
unescape(char *name)
{
	char *to = name;

	for (const char *from = name; *from != '\0'; to++) {
		if (from[0] == '\\' && strspn(from + 1, "01234567") >= 3) {
			*to = (char)((from[1] - '0') * 64 +
				     (from[2] - '0') * 8 + (from[3] - '0'));
			from += 4;
		} else {
			*to = *from++;
		}
	}
	*to = '\0';
}

/* Does the kernel swap to this file? */
static bool
is_kernel_swap(const struct stat *st)
{
	FILE *swaps = fopen("/proc/swaps", "re");
	char *line = NULL;
	size_t room = 0;
	bool found = false;
	struct stat other;

	if (swaps == NULL)
		return false;
	while (!found && getline(&line, &room, swaps) > 0) {
		line[strcspn(line, " \t\n")] = '\0';
		unescape(line);
		found = line[0] == '/' && stat(line, &other) == 0 &&
			other.st_dev == st->st_dev &&
			other.st_ino == st->st_ino;
	}
	free(line);
	fclose(swaps);
	return found;
}

static int
check_unused(int fd, const struct stat *st, const char *path,
	     struct swap_error *error)
{
	char loop[32];

	if (is_kernel_swap(st))
		return error_set(error, -EBUSY, "%s: the kernel swaps to it; "
				 "run 'swapoff %s' first", path, path);
	if (device_loop_over(st->st_dev, st->st_ino, loop, sizeof(loop)) > 0)
		return error_set(error, -EBUSY, "%s: is in use under /dev/%s; "
				 "attach that, or run 'losetup -d /dev/%s' "
				 "first", path, loop, loop);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
		return error_set(error, -EBUSY, "%s: is attached already, or "
				 "locked by another program; 'swapctl status' "
				 "and lslocks(8) tell by whom", path);
	return 0;
}

/* ----------------------------------------------------------------- backend */

static int
check_owner(const struct stat *st, const char *path, struct swap_error *error)
{
	if (st->st_uid != 0 && st->st_uid != geteuid())
		return error_set(error, -EPERM, "%s: belongs to uid %u, who "
				 "could read what is paged to it; run 'chown "
				 "%u %s'", path, (unsigned)st->st_uid,
				 (unsigned)geteuid(), path);
	if ((st->st_mode & 07777) != 0600)
		return error_set(error, -EPERM, "%s: has mode %04o, but "
				 "nobody but its owner may read what is paged "
				 "to it; run 'chmod 0600 %s'", path,
				 (unsigned)st->st_mode & 07777, path);
	return 0;
}

static int
file_check(int fd, const char *path, unsigned flags, uint64_t *ret_bytes,
	   struct swap_error *error)
{
	struct stat st;
	uint64_t bytes;
	int rc;

	if (fstat(fd, &st) < 0)
		return error_set(error, -errno, "%s: cannot be examined: %m",
				 path);
	bytes = (uint64_t)st.st_size & ~(page_bytes() - 1);
	rc = check_owner(&st, path, error);
	if (rc == 0)
		rc = device_check_size(path, (uint64_t)st.st_size, error);
	if (rc == 0)
		rc = check_filesystem(fd, path, flags, error);
	if (rc == 0)
		rc = check_unused(fd, &st, path, error);
	if (rc == 0)
		rc = check_holes(fd, &st, path, bytes, error);
	if (rc == 0)
		*ret_bytes = bytes;
	return rc;
}

static int
file_identify(int fd, struct device_identity *identity)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	*identity = (struct device_identity){
		.dev = st.st_dev,
		.ino = st.st_ino,
		.end = UINT64_MAX,
	};
	return 0;
}

/* A file can lose blocks, but while it is open it does not disappear. */
static bool
file_gone(int fd)
{
	(void)fd;
	return false;
}

const struct device_ops device_file_ops = {
	.type = "file",
	.check = file_check,
	.identify = file_identify,
	.gone = file_gone,
};

/* ---------------------------------------------------------------- creation */

static int
write_zeros(int fd, uint64_t bytes)
{
	char *zeros = calloc(1, ZEROS_BYTES);
	int rc = zeros == NULL ? -ENOMEM : 0;

	for (uint64_t done = 0; rc == 0 && done < bytes; done += ZEROS_BYTES)
		rc = pwrite_full(fd, zeros,
				 (size_t)min_u64(ZEROS_BYTES, bytes - done),
				 (off_t)done);
	/* A filesystem that allocates late has its ENOSPC here. */
	if (rc == 0 && fsync(fd) < 0)
		rc = -errno;
	free(zeros);
	return rc;
}

/* Copy-on-write can only be turned off while a file is empty. */
static void
turn_off_cow(int fd)
{
	struct statfs fs;
	int attributes;

	if (fstatfs(fd, &fs) < 0 || (uint32_t)fs.f_type != BTRFS_SUPER_MAGIC ||
	    ioctl(fd, FS_IOC_GETFLAGS, &attributes) < 0)
		return;
	attributes |= FS_NOCOW_FL;
	/* Failure shows in check_btrfs(). */
	(void)ioctl(fd, FS_IOC_SETFLAGS, &attributes);
}

static int
fill_file(int fd, uint64_t bytes)
{
	int rc;

	/* The mode must not depend on the umask. */
	if (fchmod(fd, 0600) < 0)
		return -errno;
	turn_off_cow(fd);
	do {
		rc = fallocate(fd, 0, 0, (off_t)bytes) < 0 ? -errno : 0;
	} while (rc == -EINTR);
	if (rc == -EOPNOTSUPP || rc == -ENOSYS)
		rc = write_zeros(fd, bytes);
	return rc;
}

static int
create_failed(const char *path, uint64_t bytes, int rc,
	      struct swap_error *error)
{
	char size[32];

	format_size(bytes, size, sizeof(size));
	errno = -rc;
	switch (rc) {
	case -EEXIST:
		return error_set(error, rc, "%s: exists already; leave out "
				 "--create to attach it as it is, or choose "
				 "another name", path);
	case -ENOENT:
		return error_set(error, rc, "%s: its directory does not "
				 "exist; make that first", path);
	case -ENOSPC:
	case -EDQUOT:
	case -EFBIG:
		return error_set(error, rc, "%s: no room for %s: %m; nothing "
				 "was left behind, choose a smaller size or "
				 "another disk", path, size);
	default:
		return error_set(error, rc, "%s: cannot be made %s large: %m; "
				 "nothing was left behind", path, size);
	}
}

int
device_file_create(const char *path, uint64_t bytes, int *ret_fd,
		   struct swap_error *error)
{
	int rc = device_check_size(path, bytes, error);
	int fd;

	if (rc < 0)
		return rc;
	bytes &= ~(page_bytes() - 1);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		  0600);
	if (fd < 0)
		return create_failed(path, bytes, -errno, error);
	rc = fill_file(fd, bytes);
	if (rc < 0) {
		unlink(path);
		close(fd);
		return create_failed(path, bytes, rc, error);
	}
	*ret_fd = fd;
	return 0;
}
