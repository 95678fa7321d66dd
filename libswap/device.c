/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Swap devices: resolve, check, open, transfer, orphan, close.
 *
 * What differs between files, loop devices and block devices is behind struct
 * device_ops, one const instance a backend.  device_open() goes from the
 * harmless to the costly: options, stat, claim, the backend's checks, what it
 * carries, and last a read of the first and of the last block.
 *
 * Invariants:
 *
 *  D1	An open device is claimed: O_EXCL keeps everybody else off a block
 *	device, flock(2) keeps other pagers off a file.
 *  D2	A transfer lies within the device, and a write beyond its label.
 *  D3	A write that returned 0 was acknowledged by the device (or by the
 *	filesystem, for a file with direct I/O refused: see below).
 *  D4	Once orphaned, a device starts no transfer any more.
 *  D5	device_close() frees nothing while a transfer is in flight.
 *
 * The transfers themselves are in device-io.c.
 */
#include "device.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blist.h"
#include "device-impl.h"
#include "probe.h"
#include "util.h"

_Static_assert(DEVICE_BLOCKS_MAX <= BLIST_BLOCKS_MAX,
	       "a block list cannot hold the largest device");

static const struct log no_log = { .fn = NULL };

#define DISCARD_FLAGS	(SWAP_DEVICE_DISCARD_ONCE | SWAP_DEVICE_DISCARD_PAGES)

/* Reopens a descriptor as a file of its own. */
#define SELF_FD		"/proc/self/fd/%d"

/* -------------------------------------------------------------- what it is */

const struct device_ops *
device_ops_of(int fd)
{
	struct device_identity identity;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return NULL;
	if (S_ISREG(st.st_mode))
		return &device_file_ops;
	if (!S_ISBLK(st.st_mode))
		return NULL;
	if (device_loop_ops.identify(fd, &identity) == 0)
		return &device_loop_ops;
	return &device_block_ops;
}

int
device_check_size(const char *path, uint64_t bytes, struct swap_error *error)
{
	uint64_t page = page_bytes();
	uint64_t label = (DEVICE_LABEL_BYTES + page - 1) / page;
	char size[32], limit[32];

	if (bytes == 0)
		return error_set(error, -ENXIO, "%s: is empty; make a file "
				 "anew with 'swapctl on --create 1G FILE', or "
				 "check that the device has its medium", path);
	if (bytes / page < label + 1)
		return error_set(error, -ENXIO, "%s: is too small (%" PRIu64
				 " bytes): it needs %u bytes for a label and "
				 "one page, at least %" PRIu64 " bytes", path,
				 bytes, DEVICE_LABEL_BYTES, (label + 1) * page);
	if (bytes / page > DEVICE_BLOCKS_MAX)
		return error_set(error, -EFBIG, "%s: is too large (%s): a "
				 "swap device has at most %s; use a smaller "
				 "one, or a partition of it", path,
				 format_size(bytes, size, sizeof(size)),
				 format_size(DEVICE_BLOCKS_MAX * page, limit,
					     sizeof(limit)));
	return 0;
}

static bool
identity_same(const struct device_identity *a, const struct device_identity *b)
{
	if (a->rdev != 0 &&
	    (a->rdev == b->rdev || a->rdev == b->backing_rdev))
		return true;
	if (b->rdev != 0 && b->rdev == a->backing_rdev)
		return true;
	return a->ino != 0 && a->ino == b->ino && a->dev == b->dev &&
	       a->start < b->end && b->start < a->end;
}

/* ----------------------------------------------------------------- opening */

static int
check_options(const char *spec, const struct swap_device_options *options,
	      struct swap_error *error)
{
	if (options->priority < SWAP_PRIORITY_MIN ||
	    options->priority > SWAP_PRIORITY_MAX)
		return error_set(error, -EINVAL, "%s: priority %d is out of "
				 "range; give one from %d to %d", spec,
				 options->priority, SWAP_PRIORITY_MIN,
				 SWAP_PRIORITY_MAX);
	if ((options->flags & ~(SWAP_DEVICE_FORCE | DISCARD_FLAGS)) != 0)
		return error_set(error, -EINVAL, "%s: unknown flags 0x%x",
				 spec, options->flags);
	if (options->create_bytes != 0 && probe_is_tag(spec))
		return error_set(error, -EINVAL, "%s: only a file can be "
				 "created; give a path", spec);
	return 0;
}

/* The errno of a failed stat or open of @path, as a sentence. */
static int
open_failed(const char *path, int err, struct swap_error *error)
{
	errno = err;
	switch (err) {
	case ENOENT:
		return error_set(error, -err, "%s: no such file or device; "
				 "'swapctl on --create 1G FILE' makes a file",
				 path);
	case EBUSY:
		return error_set(error, -err, "%s: is mounted, in use by "
				 "something else, or attached already; free it "
				 "first (umount, swapoff, losetup -d, swapctl "
				 "off)", path);
	case EACCES:
	case EPERM:
	case EROFS:
		return error_set(error, -err, "%s: cannot be opened for "
				 "reading and writing: %m; check that it is "
				 "not read-only and that you may write to it",
				 path);
	default:
		return error_set(error, -err, "%s: cannot be opened: %m",
				 path);
	}
}

static const char *
kind_name(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFDIR:
		return "directory";
	case S_IFCHR:
		return "character device";
	case S_IFIFO:
		return "fifo";
	case S_IFSOCK:
		return "socket";
	default:
		return "special file";
	}
}

/*
 * Open @path if it is a file or block device.  stat comes first since opening
 * something else can have effects; nothing rests on it being the same thing
 * that is opened after it.  O_EXCL means nothing on a file.
 */
static int
open_claimed(const char *path, int *ret_fd, struct swap_error *error)
{
	struct stat st;
	int fd;

	if (stat(path, &st) < 0)
		return open_failed(path, errno, error);
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return error_set(error, -ENOTBLK, "%s: is a %s; swap needs a "
				 "regular file or a block device", path,
				 kind_name(st.st_mode));
	fd = open(path, O_RDWR | O_EXCL | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return open_failed(path, errno, error);
	*ret_fd = fd;
	return 0;
}

/* Find or make what the spec names: fills fd, and path as it was given. */
static int
device_locate(struct device *device, uint64_t create_bytes,
	      struct swap_error *error)
{
	char *path;
	int rc;

	if (create_bytes == 0) {
		rc = probe_resolve(device->spec, &device->path, error);
		if (rc < 0)
			return rc;
		rc = open_claimed(device->path, &device->fd, error);
	} else {
		device->path = strdup(device->spec);
		if (device->path == NULL)
			return error_set(error, -ENOMEM, "%s: out of memory",
					 device->spec);
		rc = device_file_create(device->path, create_bytes,
					&device->fd, error);
		device->created = rc == 0;
	}
	if (rc < 0)
		return rc;
	path = realpath(device->path, NULL);
	if (path == NULL)
		return open_failed(device->path, errno, error);
	free(device->path);
	device->path = path;
	return 0;
}

static int
check_contents(const struct device *device, struct swap_error *error)
{
	char what[256];
	int rc = probe_contents(device->fd, what, sizeof(what));

	if (rc < 0) {
		errno = -rc;
		return error_set(error, rc, "%s: cannot find out whether it "
				 "carries data: %m; --force attaches it "
				 "unseen", device->path);
	}
	if (rc > 0)
		return error_set(error, -EEXIST, "%s: carries %s, which "
				 "would be destroyed; wipe it with wipefs(8), "
				 "or attach it all the same with --force",
				 device->path, what);
	return 0;
}

/* One block, to see whether the device can be read the way it is set. */
static int
try_read(const struct device *device, uint64_t block)
{
	size_t page = (size_t)page_bytes();
	void *buf = aligned_alloc(page, page);
	int rc;

	if (buf == NULL)
		return -ENOMEM;
	rc = pread_full(device->fd, buf, page, (off_t)(block * page));
	free(buf);
	return rc;
}

/*
 * Open it some more times, for buffered writes that go on by themselves (see
 * device-io.c).  Where that fails there are none of these.
 */
static void
open_pairs(struct device *device)
{
	char self[64];

	format_cut(self, sizeof(self), SELF_FD, device->fd);
	for (unsigned i = 0; i < DEVICE_PAIRS; i++) {
		device->pair_fd[i] = open(self, O_RDWR | O_CLOEXEC);
		if (device->pair_fd[i] >= 0)
			device->pairs_free |= 1u << i;
	}
}

/*
 * Leave O_NONBLOCK, take O_DIRECT where it works, and read both ends: a disk
 * that lies about its size, or cannot be read at all, shows here.
 */
static int
device_prime(struct device *device, struct swap_error *error)
{
	int rc = 0;

	device->direct = fcntl(device->fd, F_SETFL, O_DIRECT) == 0;
	if (device->direct && try_read(device, 0) == -EINVAL)
		device->direct = false;
	if (!device->direct && fcntl(device->fd, F_SETFL, 0) < 0)
		rc = -errno;
	if (rc == 0)
		rc = try_read(device, 0);
	if (rc == 0)
		rc = try_read(device, device->nblocks - 1);
	if (rc < 0) {
		errno = -rc;
		return error_set(error, rc, "%s: cannot be read: %m; check "
				 "the kernel log for errors of the device",
				 device->path);
	}
	if (!device->direct) {
		log_write(device->log, SWAP_LOG_DEBUG,
			  "%s: direct I/O is refused, using buffered I/O",
			  device->path);
		open_pairs(device);
	}
	return 0;
}

/* What there is to discard, if anything. */
static void
choose_discard(struct device *device, unsigned flags)
{
	flags &= DISCARD_FLAGS;
	if (flags != 0 && device->ops->discard == NULL) {
		flags = 0;
		log_write(device->log, SWAP_LOG_NOTICE,
			  "%s: a file is not discarded: a write into the hole "
			  "could fail when the disk is full; used without",
			  device->path);
	}
	device->discard = flags;
}

static int
device_examine(struct device *device, unsigned flags, struct swap_error *error)
{
	uint64_t bytes;
	int rc;

	device->ops = device_ops_of(device->fd);
	if (device->ops == NULL)
		return error_set(error, -ENOTBLK, "%s: was replaced while it "
				 "was being opened; try again", device->path);
	rc = device->ops->check(device->fd, device->path, flags, &bytes,
				error);
	if (rc < 0)
		return rc;
	device->nblocks = bytes >> page_shift();
	rc = device->ops->identify(device->fd, &device->identity);
	if (rc < 0)
		return open_failed(device->path, -rc, error);
	if ((flags & SWAP_DEVICE_FORCE) == 0) {
		rc = check_contents(device, error);
		if (rc < 0)
			return rc;
	}
	rc = device_prime(device, error);
	if (rc < 0)
		return rc;
	choose_discard(device, flags);
	if (device->ops == &device_loop_ops && device->direct)
		device->under_fd = device_loop_under(device->fd);
	return 0;
}

static void
device_free(struct device *device)
{
	if (device->fd >= 0)
		close(device->fd);
	if (device->under_fd >= 0)
		close(device->under_fd);
	for (unsigned i = 0; i < DEVICE_PAIRS; i++)
		if (device->pair_fd[i] >= 0)
			close(device->pair_fd[i]);
	pthread_mutex_destroy(&device->lock);
	pthread_mutex_destroy(&device->sync);
	pthread_cond_destroy(&device->idle);
	free(device->spec);
	free(device->path);
	free(device);
}

static struct device *
device_new(const char *spec, int priority, const struct log *log)
{
	struct device *device = calloc(1, sizeof(*device));

	if (device == NULL)
		return NULL;
	device->fd = device->under_fd = -1;
	memset(device->pair_fd, -1, sizeof(device->pair_fd));
	device->priority = priority;
	device->log = log != NULL ? log : &no_log;
	device->slow_nsec = DEVICE_SLOW_NSEC;
	pthread_mutex_init(&device->lock, NULL);
	pthread_mutex_init(&device->sync, NULL);
	pthread_cond_init(&device->idle, NULL);
	device->spec = strdup(spec);
	if (device->spec == NULL) {
		device_free(device);
		return NULL;
	}
	return device;
}

int
device_open(const char *spec, const struct swap_device_options *options,
	    const struct log *log, struct device **ret_device,
	    struct swap_error *error)
{
	static const struct swap_device_options defaults = { .priority = 0 };
	struct device *device;
	int rc;

	if (options == NULL)
		options = &defaults;
	rc = check_options(spec, options, error);
	if (rc < 0)
		return rc;
	device = device_new(spec, options->priority, log);
	if (device == NULL)
		return error_set(error, -ENOMEM, "%s: out of memory", spec);
	rc = device_locate(device, options->create_bytes, error);
	if (rc == 0)
		rc = device_examine(device, options->flags, error);
	if (rc < 0) {
		if (device->created)
			unlink(device->path);
		device_free(device);
		return rc;
	}
	*ret_device = device;
	return 0;
}

void
device_close(struct device *device)
{
	pthread_mutex_lock(&device->lock);
	atomic_store(&device->orphaned, true);
	while (device->inflight > 0)
		pthread_cond_wait(&device->idle, &device->lock);
	pthread_mutex_unlock(&device->lock);
	device_free(device);
}

/* ------------------------------------------------------------------ naming */

const char *
device_path(const struct device *device)
{
	return device->path;
}

const char *
device_type(const struct device *device)
{
	return device->ops->type;
}

uint64_t
device_nblocks(const struct device *device)
{
	return device->nblocks;
}

int
device_priority(const struct device *device)
{
	return device->priority;
}

const struct device_counters *
device_counters(const struct device *device)
{
	return &device->counters;
}

bool
device_same(const struct device *a, const struct device *b)
{
	return identity_same(&a->identity, &b->identity);
}

void
device_identity_words(const struct device *device, uint64_t *ret_rdev,
		      uint64_t *ret_dev, uint64_t *ret_ino)
{
	*ret_rdev = device->identity.rdev;
	*ret_dev = device->identity.dev;
	*ret_ino = device->identity.ino;
}

/* As realpath(), for a path whose last name no longer exists. */
static bool
same_lost_path(const char *path, const char *lost)
{
	const char *slash = strrchr(lost, '/');
	char dir[PATH_MAX], resolved[PATH_MAX + NAME_MAX + 2];
	size_t len;

	if (slash == NULL)
		format_cut(dir, sizeof(dir), ".");
	else
		format_cut(dir, sizeof(dir), "%.*s",
			   (int)(slash - lost) + 1, lost);
	if (realpath(dir, resolved) == NULL)
		return false;
	len = strlen(resolved);
	format_cut(resolved + len, sizeof(resolved) - len, "%s%s",
		   len > 1 ? "/" : "", slash == NULL ? lost : slash + 1);
	return strcmp(resolved, path) == 0;
}

/*
 * The identity of what is at @path.  Without the right to open it, what stat
 * tells is enough for a file and for a block device that is not a loop.
 */
static int
identity_of(const char *path, struct device_identity *identity)
{
	const struct device_ops *ops;
	struct stat st;
	int rc = -ENOTBLK;
	int fd;

	if (stat(path, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return -ENOTBLK;
	fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0) {
		*identity = (struct device_identity){ .end = UINT64_MAX };
		identity->rdev = S_ISBLK(st.st_mode) ? st.st_rdev : 0;
		identity->dev = S_ISREG(st.st_mode) ? st.st_dev : 0;
		identity->ino = S_ISREG(st.st_mode) ? st.st_ino : 0;
		return 0;
	}
	ops = device_ops_of(fd);
	if (ops != NULL)
		rc = ops->identify(fd, identity);
	close(fd);
	return rc;
}

bool
device_matches(const struct device *device, const char *spec)
{
	struct device_identity identity;
	bool lost, same;
	char *path;
	int rc;

	if (strcmp(spec, device->path) == 0)
		return true;
	if (probe_resolve(spec, &path, NULL) < 0)
		return probe_is_tag(spec) && strcmp(spec, device->spec) == 0;
	rc = identity_of(path, &identity);
	lost = rc < 0 && rc != -ENOTBLK;
	if (lost)
		same = same_lost_path(device->path, path);
	else
		same = rc == 0 && identity_same(&device->identity, &identity);
	free(path);
	return same;
}
