/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Block devices, and loop devices, which are block devices over a file.
 *
 * The claim is O_EXCL, taken by device.c: with it held the kernel refuses to
 * mount the device, to swap on it or to build RAID or LVM of it, and while one
 * of these has it there is no claim to be had.  But a claim on a loop device
 * says nothing about what is under it.  If that is a block device, it must be
 * free as well when the loop device is attached; if it is a file, comparing
 * identities (device_same()) and device_loop_over() keep it from being used
 * twice.  A loop device covers a range of its file, and partitions of a loop
 * device cover disjoint ranges, so an identity has a range too.
 *
 * A device that was pulled out gives EIO, ENODEV, or, since its size is then
 * nought, end of file on a read and ENOSPC on a write.  So after a failure the
 * size is what tells.
 *
 * Limits: of loop devices over loop devices only one storey is followed.  A
 * loop device over a file with holes is not refused; its writes can fail.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <linux/major.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

#include "device-impl.h"
#include "util.h"

/* The first line of a file of sysfs; false where there is none. */
static bool
sysfs_line(const char *path, char *line, size_t len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, line, len - 1);
	close(fd);
	if (n <= 0)
		return false;
	line[n] = '\0';
	line[strcspn(line, "\n")] = '\0';
	return true;
}

/* Where on its disk a partition starts; 0 for a whole disk. */
static uint64_t
partition_start(dev_t rdev)
{
	char path[64], line[32];
	int64_t sectors;

	format_cut(path, sizeof(path), "/sys/dev/block/%u:%u/start",
		   major(rdev), minor(rdev));
	if (!sysfs_line(path, line, sizeof(line)) ||
	    parse_i64(line, 0, INT64_MAX / 512, &sectors) < 0)
		return 0;
	return (uint64_t)sectors * 512;
}

/* -------------------------------------------------------------- any device */

static int
block_identify(int fd, struct device_identity *identity)
{
	struct loop_info64 info;
	struct stat st;
	uint64_t bytes;

	if (fstat(fd, &st) < 0)
		return -errno;
	*identity = (struct device_identity){ .rdev = st.st_rdev };
	if (ioctl(fd, LOOP_GET_STATUS64, &info) < 0)
		return 0;
	if (ioctl(fd, BLKGETSIZE64, &bytes) < 0)
		return -errno;
	identity->backing_rdev = (dev_t)info.lo_rdevice;
	identity->dev = (dev_t)info.lo_device;
	identity->ino = (ino_t)info.lo_inode;
	identity->start = info.lo_offset + partition_start(st.st_rdev);
	identity->end = identity->start + bytes;
	return 0;
}

static int
block_check(int fd, const char *path, unsigned flags, uint64_t *ret_bytes,
	    struct swap_error *error)
{
	struct stat st;
	uint64_t bytes;
	int readonly = 0;
	int rc;

	(void)flags;
	if (ioctl(fd, BLKGETSIZE64, &bytes) < 0 || fstat(fd, &st) < 0)
		return error_set(error, -errno, "%s: cannot tell its size: "
				 "%m", path);
	if (bytes == 0 && major(st.st_rdev) == LOOP_MAJOR)
		return error_set(error, -ENXIO, "%s: is empty: there is no "
				 "file under it; attach one with losetup(8)",
				 path);
	rc = device_check_size(path, bytes, error);
	if (rc < 0)
		return rc;
	/* Opening it for writing succeeds; only writing would fail. */
	if (ioctl(fd, BLKROGET, &readonly) == 0 && readonly != 0)
		return error_set(error, -EACCES, "%s: is read-only; 'blockdev "
				 "--setrw %s' may change that", path, path);
	*ret_bytes = bytes;
	return 0;
}

static bool
block_gone(int fd)
{
	uint64_t bytes;

	return ioctl(fd, BLKGETSIZE64, &bytes) < 0 || bytes == 0;
}

static int
block_discard(int fd, uint64_t offset, uint64_t bytes)
{
	uint64_t range[2] = { offset, bytes };

	return ioctl(fd, BLKDISCARD, range) < 0 ? -errno : 0;
}

const struct device_ops device_block_ops = {
	.type = "block",
	.check = block_check,
	.identify = block_identify,
	.gone = block_gone,
	.discard = block_discard,
};

/* ------------------------------------------------------------ loop devices */

/* As block_identify(), but -ENOTTY for anything but a whole loop device. */
static int
loop_identify(int fd, struct device_identity *identity)
{
	struct device_identity found;
	int rc = block_identify(fd, &found);

	if (rc < 0)
		return rc;
	if (found.ino == 0 || major(found.rdev) != LOOP_MAJOR ||
	    partition_start(found.rdev) != 0)
		return -ENOTTY;
	*identity = found;
	return 0;
}

/* Nobody may have the block device under a loop device either. */
static int
check_backing(const char *path, const struct device_identity *identity,
	      struct swap_error *error)
{
	char name[64], backing[256];
	int fd;

	format_cut(name, sizeof(name), "/sys/dev/block/%u:%u/loop/backing_file",
		   major(identity->rdev), minor(identity->rdev));
	if (!sysfs_line(name, backing, sizeof(backing)))
		return 0;
	fd = open(backing, O_RDONLY | O_EXCL | O_NONBLOCK | O_CLOEXEC);
	if (fd >= 0) {
		close(fd);
		return 0;
	}
	if (errno != EBUSY)
		return 0;
	return error_set(error, -EBUSY, "%s: is over %s, which is mounted, in "
			 "use or attached; free that first", path, backing);
}

static int
loop_check(int fd, const char *path, unsigned flags, uint64_t *ret_bytes,
	   struct swap_error *error)
{
	struct device_identity identity;
	int rc;

	rc = block_check(fd, path, flags, ret_bytes, error);
	if (rc < 0)
		return rc;
	if (loop_identify(fd, &identity) < 0)
		return error_set(error, -ENXIO, "%s: lost the file under it; "
				 "attach one with losetup(8)", path);
	if (identity.backing_rdev == 0)
		return 0;
	return check_backing(path, &identity, error);
}

const struct device_ops device_loop_ops = {
	.type = "loop",
	.check = loop_check,
	.identify = loop_identify,
	.gone = block_gone,
	.discard = block_discard,
};

/* A regular file that is read and written by way of the page cache? */
static bool
loop_is_cached(const struct loop_info64 *info)
{
	return info->lo_rdevice == 0 &&
	       (info->lo_flags & LO_FLAGS_DIRECT_IO) == 0;
}

int
device_loop_under(int fd)
{
	char name[64], backing[4096];
	struct loop_info64 info;
	struct stat st;
	int under;

	if (ioctl(fd, LOOP_GET_STATUS64, &info) < 0 || !loop_is_cached(&info))
		return -1;
	format_cut(name, sizeof(name), "/sys/block/loop%u/loop/backing_file",
		   info.lo_number);
	if (!sysfs_line(name, backing, sizeof(backing)))
		return -1;
	under = open(backing, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (under < 0)
		return -1;
	/* The path may be another file's by now. */
	if (fstat(under, &st) < 0 || !S_ISREG(st.st_mode) ||
	    st.st_dev != (dev_t)info.lo_device ||
	    st.st_ino != (ino_t)info.lo_inode) {
		close(under);
		return -1;
	}
	/* What is not there shall not be read twice. */
	posix_fadvise(under, 0, 0, POSIX_FADV_RANDOM);
	return under;
}

/*
 * losetup(8) can change a loop device while it is in use.  So it is asked each
 * time what it is, which costs a tenth of what going through it does.
 */
bool
device_loop_read(const struct device *device, void *buf, size_t len,
		 off_t offset)
{
	const struct device_identity *identity = &device->identity;
	struct iovec iov = { .iov_base = buf, .iov_len = len };
	struct loop_info64 info;

	if (ioctl(device->fd, LOOP_GET_STATUS64, &info) < 0 ||
	    !loop_is_cached(&info) || info.lo_offset != identity->start ||
	    (dev_t)info.lo_device != identity->dev ||
	    (ino_t)info.lo_inode != identity->ino)
		return false;
	return preadv2(device->under_fd, &iov, 1,
		       (off_t)identity->start + offset,
		       RWF_NOWAIT) == (ssize_t)len;
}

/*
 * Is the bound loop device @name over this file?  The path that sysfs shows
 * needs no privilege, but can be out of date; the device itself knows.
 */
static bool
loop_is_over(const char *name, dev_t dev, ino_t ino)
{
	char path[300], backing[4096];
	struct device_identity identity;
	struct stat st;
	bool over;
	int fd;

	format_cut(path, sizeof(path), "/sys/block/%s/loop/backing_file", name);
	if (!sysfs_line(path, backing, sizeof(backing)))
		return false;
	if (stat(backing, &st) == 0 && st.st_dev == dev && st.st_ino == ino)
		return true;
	format_cut(path, sizeof(path), "/dev/%s", name);
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return false;
	over = loop_identify(fd, &identity) == 0 && identity.dev == dev &&
	       identity.ino == ino;
	close(fd);
	return over;
}

int
device_loop_over(dev_t dev, ino_t ino, char *name, size_t len)
{
	DIR *dir = opendir("/sys/block");
	const struct dirent *entry;
	int found = 0;

	if (dir == NULL)
		return 0;
	while (found == 0 && (entry = readdir(dir)) != NULL) {
		if (strncmp(entry->d_name, "loop", 4) != 0 ||
		    !loop_is_over(entry->d_name, dev, ino))
			continue;
		format_cut(name, len, "%s", entry->d_name);
		found = 1;
	}
	closedir(dir);
	return found;
}
