/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Swap devices on real files, loop devices and zram, and the probing of what
 * they carry.
 *
 * Each test has a directory of its own, on whatever $TMPDIR (else /var/tmp) is
 * on.  Loop devices are made with autoclear and mounts in a mount namespace of
 * this process, so that neither outlives it, however it ends.  Faults come
 * from pread, pwrite and the like below, which stand before libc's.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/fsuid.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "device.h"
#include "probe.h"
#include "util.h"

#define MIB		(1024u * 1024u)
#define NEED(what, cond) do {						\
	if (!(cond)) {							\
		print_message("[  REASON  ] %s\n", what);		\
		skip();							\
	}								\
} while (0)

/* ------------------------------------------------------------------ faults */

static struct {
	_Atomic int	fail;		/* next transfers fail with this */
	atomic_bool	refuse_flag;	/* O_DIRECT cannot be set */
	atomic_bool	refuse_direct;	/* direct transfers give EINVAL */
	atomic_bool	no_fallocate;
	_Atomic int	sync;		/* fdatasync fails with this */
	_Atomic size_t	most;		/* bytes of one transfer; 0: all */
	_Atomic int	transfers;
	atomic_bool	hold;		/* reads wait for go */
	sem_t		held, go;
} fault;

static int
real_fcntl(int fd, int cmd, long arg)
{
	return (int)syscall(SYS_fcntl, fd, cmd, arg);
}

int
fcntl(int fd, int cmd, ...)
{
	va_list args;
	long arg;

	va_start(args, cmd);
	arg = va_arg(args, long);
	va_end(args);
	if (fault.refuse_flag && cmd == F_SETFL && (arg & O_DIRECT) != 0) {
		errno = EINVAL;
		return -1;
	}
	return real_fcntl(fd, cmd, arg);
}

/* How much of @len to transfer; 0: not at all, errno is set. */
static size_t
planned(int fd, size_t len)
{
	bool direct = (real_fcntl(fd, F_GETFL, 0) & O_DIRECT) != 0;

	fault.transfers++;
	if (fault.fail != 0 || (direct && fault.refuse_direct)) {
		errno = fault.fail != 0 ? fault.fail : EINVAL;
		return 0;
	}
	return fault.most != 0 && len > fault.most ? fault.most : len;
}

ssize_t
pread(int fd, void *buf, size_t len, off_t offset)
{
	if (fault.hold) {
		sem_post(&fault.held);
		sem_wait(&fault.go);
	}
	len = planned(fd, len);
	return len == 0 ? -1 : syscall(SYS_pread64, fd, buf, len, offset);
}

ssize_t
pwrite(int fd, const void *buf, size_t len, off_t offset)
{
	len = planned(fd, len);
	return len == 0 ? -1 : syscall(SYS_pwrite64, fd, buf, len, offset);
}

int
fallocate(int fd, int mode, off_t offset, off_t len)
{
	if (fault.no_fallocate) {
		errno = EOPNOTSUPP;
		return -1;
	}
	return (int)syscall(SYS_fallocate, fd, mode, offset, len);
}

int
fdatasync(int fd)
{
	if (fault.sync != 0) {
		errno = fault.sync;
		return -1;
	}
	return (int)syscall(SYS_fdatasync, fd);
}

static void
faults_off(void)
{
	fault.sync = 0;
	fault.fail = 0;
	fault.refuse_flag = false;
	fault.refuse_direct = false;
	fault.no_fallocate = false;
	fault.most = 0;
	fault.hold = false;
	fault.transfers = 0;
}

/* ---------------------------------------------------------------- fixtures */

struct fixture {
	char		dir[64];
	char		mnt[128];	/* "": nothing is mounted */
	int		loops[4];
	unsigned	nloops;
	bool		readonly;	/* make loop devices so */
	struct device	*devices[4];	/* what a failed test left open */
	char		swapping[128];	/* "": the kernel does not swap to it */
	bool		zram;
	struct swap_error error;
};

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	const char *tmp = getenv("TMPDIR");

	if (f == NULL)
		return -1;
	faults_off();
	format_cut(f->dir, sizeof(f->dir), "%s/test-device.XXXXXX",
		   tmp != NULL && strlen(tmp) < 40 ? tmp : "/var/tmp");
	if (mkdtemp(f->dir) == NULL) {
		free(f);
		return -1;
	}
	*state = f;
	return 0;
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static void
sysfs_put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	faults_off();
	for (size_t i = 0; i < ARRAY_SIZE(f->devices); i++)
		if (f->devices[i] != NULL)
			device_close(f->devices[i]);
	if (f->swapping[0] != '\0')
		swapoff(f->swapping);
	if (f->mnt[0] != '\0')
		umount2(f->mnt, MNT_DETACH);
	while (f->nloops > 0)
		close(f->loops[--f->nloops]);
	if (f->zram)
		sysfs_put("/sys/block/zram0/reset", "1");
	nftw(f->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
	free(f);
	return 0;
}

/* A name in the test's directory; sixteen of them live at a time. */
static const char *
in_dir(const struct fixture *f, const char *name)
{
	static char paths[16][256];
	static unsigned next;
	char *path = paths[next++ % ARRAY_SIZE(paths)];

	format_cut(path, sizeof(paths[0]), "%s/%s", f->dir, name);
	return path;
}

static int
plain_file(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);

	assert_true(fd >= 0);
	assert_int_equal(fchmod(fd, 0600), 0);
	return fd;
}

static void
sparse_file(const char *path, uint64_t bytes)
{
	int fd = plain_file(path);

	assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
	close(fd);
}

/* A file of zeros that were all written. */
static void
full_file(const char *path, size_t bytes)
{
	int fd = plain_file(path);
	char *zeros = calloc(1, bytes);

	assert_non_null(zeros);
	assert_int_equal(pwrite_full(fd, zeros, bytes, 0), 0);
	free(zeros);
	close(fd);
}

static void
put(const char *path, off_t offset, const void *bytes, size_t len)
{
	int fd = open(path, O_WRONLY);

	assert_true(fd >= 0);
	assert_int_equal(pwrite_full(fd, bytes, len, offset), 0);
	close(fd);
}

static bool
run(const char *tool, const char *path)
{
	char command[512];

	format_cut(command, sizeof(command), "PATH=$PATH:/sbin:/usr/sbin; "
		   "exec >/dev/null 2>&1; %s '%s'", tool, path);
	return system(command) == 0;
}

static bool
try_loop(int control, const struct loop_config *config, char *name, size_t len,
	 int *ret_fd)
{
	int n = ioctl(control, LOOP_CTL_GET_FREE);
	int fd;

	if (n < 0)
		return false;
	format_cut(name, len, "/dev/loop%d", n);
	fd = open(name, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return false;
	if (ioctl(fd, LOOP_CONFIGURE, config) < 0) {
		close(fd);
		return false;
	}
	*ret_fd = fd;
	return true;
}

/* Bind a free loop device to @path; others may be after the same one. */
static bool
make_loop(struct fixture *f, const char *path, uint64_t offset, uint64_t limit,
	  char *name, size_t len)
{
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	struct loop_config config = {
		.info = {
			.lo_flags = LO_FLAGS_AUTOCLEAR |
				    (f->readonly ? LO_FLAGS_READ_ONLY : 0u),
			.lo_offset = offset,
			.lo_sizelimit = limit,
		},
	};
	int fd = open(path, O_RDWR | O_CLOEXEC);
	bool done = false;

	if (control < 0 || fd < 0 || f->nloops == ARRAY_SIZE(f->loops))
		goto out;
	config.fd = (uint32_t)fd;
	for (int i = 0; i < 20 && !done; i++)
		done = try_loop(control, &config, name, len,
				&f->loops[f->nloops]);
	f->nloops += done;
out:
	if (fd >= 0)
		close(fd);
	if (control >= 0)
		close(control);
	return done;
}

/* Mount in this process's own namespace, seen by nobody else. */
static bool
private_mount(struct fixture *f, const char *source, const char *type,
	      const char *options)
{
	static bool unshared;

	if (!unshared) {
		if (unshare(CLONE_NEWNS) < 0 ||
		    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
			return false;
		unshared = true;
	}
	format_cut(f->mnt, sizeof(f->mnt), "%s/mnt", f->dir);
	if (mkdir(f->mnt, 0700) == 0 &&
	    mount(source, f->mnt, type, 0, options) == 0)
		return true;
	f->mnt[0] = '\0';
	return false;
}

/* The first device slot of the fixture is the usual one. */
static int
attach(struct fixture *f, const char *path, unsigned flags)
{
	struct swap_device_options options = { .flags = flags };

	memset(&f->error, 0, sizeof(f->error));
	return device_open(path, &options, NULL, &f->devices[0], &f->error);
}

static void
detach(struct fixture *f, unsigned slot)
{
	device_close(f->devices[slot]);
	f->devices[slot] = NULL;
}

/* Attaching fails with @code and a sentence that has the path and @words. */
static void
refused(struct fixture *f, const char *path, unsigned flags, int code,
	const char *words)
{
	int rc = attach(f, path, flags);

	if (rc != code || f->error.code != code ||
	    strstr(f->error.message, words) == NULL ||
	    strstr(f->error.message, path) == NULL)
		fail_msg("%s: %d (wanted %d, \"%s\"), error %d: %s", path, rc,
			 code, words, f->error.code, f->error.message);
	assert_null(f->devices[0]);
}

static void
accepted(struct fixture *f, const char *path, unsigned flags)
{
	int rc = attach(f, path, flags);

	if (rc != 0)
		fail_msg("%s: %d: %s", path, rc, f->error.message);
}

static void *
pages(uint64_t n)
{
	void *buf = aligned_alloc(page_bytes(), n * page_bytes());

	assert_non_null(buf);
	return buf;
}

/* Write @n blocks from @block with a pattern, read them back, compare. */
static void
exchange(struct device *device, uint64_t block, uint64_t n)
{
	size_t len = n * page_bytes();
	unsigned char *out = pages(n), *in = pages(n);

	for (size_t i = 0; i < len; i++)
		out[i] = (unsigned char)(i / 512 + i + block * 7);
	memset(in, 0, len);
	assert_int_equal(device_write(device, block, out, n), 0);
	assert_int_equal(device_read(device, block, in, n), 0);
	assert_memory_equal(in, out, len);
	free(out);
	free(in);
}

/* ------------------------------------------------------------ what is what */

static void
test_not_a_device(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	const char *fifo = in_dir(f, "fifo");
	int fd;

	refused(f, in_dir(f, "missing"), 0, -ENOENT, "no such file");
	refused(f, in_dir(f, "no/such/dir"), 0, -ENOENT, "no such file");
	refused(f, f->dir, 0, -ENOTBLK, "directory");
	refused(f, "/dev/null", SWAP_DEVICE_FORCE, -ENOTBLK,
		"character device");
	assert_int_equal(mkfifo(fifo, 0600), 0);
	alarm(10);			/* a hang is a failure */
	refused(f, fifo, SWAP_DEVICE_FORCE, -ENOTBLK, "fifo");
	alarm(0);
	format_cut(addr.sun_path, sizeof(addr.sun_path), "%s/socket", f->dir);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (void *)&addr, sizeof(addr)), 0);
	refused(f, addr.sun_path, 0, -ENOTBLK, "socket");
	close(fd);
	assert_int_equal(symlink("loop-of-links", in_dir(f, "loop-of-links")),
			 0);
	refused(f, in_dir(f, "loop-of-links"), 0, -ELOOP, "symbolic links");
	assert_int_equal(device_open("", NULL, NULL, &f->devices[0],
				     &f->error), -ENOENT);
	assert_non_null(strstr(f->error.message, "empty"));
	assert_int_equal(device_open("", NULL, NULL, &f->devices[0], NULL),
			 -ENOENT);
}

static void
test_options(void **state)
{
	struct fixture *f = *state;
	struct swap_device_options options = { .priority = -1 };
	const char *path = in_dir(f, "swap");
	struct device **device = &f->devices[0];

	full_file(path, MIB);
	assert_int_equal(device_open(path, &options, NULL, device, &f->error),
			 -EINVAL);
	options.priority = SWAP_PRIORITY_MAX + 1;
	assert_int_equal(device_open(path, &options, NULL, device, &f->error),
			 -EINVAL);
	assert_non_null(strstr(f->error.message, "32767"));
	options = (struct swap_device_options){ .flags = 1u << 9 };
	assert_int_equal(device_open(path, &options, NULL, device, &f->error),
			 -EINVAL);
	options = (struct swap_device_options){ .create_bytes = MIB };
	assert_int_equal(device_open("LABEL=x", &options, NULL, device,
				     &f->error), -EINVAL);
	options = (struct swap_device_options){ .priority = 77 };
	assert_int_equal(device_open(path, &options, NULL, device, NULL), 0);
	assert_int_equal(device_priority(*device), 77);
}

static void
test_sizes(void **state)
{
	struct fixture *f = *state;
	size_t page = page_bytes();
	size_t label = (DEVICE_LABEL_BYTES + page - 1) / page;
	const char *path = in_dir(f, "odd");

	full_file(in_dir(f, "empty"), 0);
	refused(f, in_dir(f, "empty"), 0, -ENXIO, "is empty");
	full_file(in_dir(f, "short"), page - 1);
	refused(f, in_dir(f, "short"), 0, -ENXIO, "too small");
	full_file(in_dir(f, "page"), page);
	refused(f, in_dir(f, "page"), 0, -ENXIO, "too small");
	full_file(in_dir(f, "label"), label * page);
	refused(f, in_dir(f, "label"), 0, -ENXIO, "too small");
	full_file(path, (label + 1) * page + 511);
	accepted(f, path, 0);
	assert_int_equal(device_nblocks(f->devices[0]), label + 1);
	assert_string_equal(device_type(f->devices[0]), "file");
	exchange(f->devices[0], label, 1);
}

static void
test_too_large(void **state)
{
	struct fixture *f = *state;
	uint64_t bytes = (DEVICE_BLOCKS_MAX + 1) * page_bytes();
	char loop[32], path[256];

	NEED("needs root to mount tmpfs", geteuid() == 0);
	NEED("cannot mount tmpfs",
	     private_mount(f, "none", "tmpfs", "size=16m"));
	format_cut(path, sizeof(path), "%s/mnt/vast", f->dir);
	sparse_file(path, bytes);
	refused(f, path, SWAP_DEVICE_FORCE, -EFBIG, "too large");
	NEED("no loop device is free",
	     make_loop(f, path, 0, 0, loop, sizeof(loop)));
	refused(f, loop, SWAP_DEVICE_FORCE, -EFBIG, "too large");
}

static void
test_owner_and_mode(void **state)
{
	struct fixture *f = *state;
	const char *path = in_dir(f, "swap");
	static const mode_t bad[] = { 0644, 0640, 0602, 0700, 04600 };

	full_file(path, MIB);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(chmod(path, bad[i]), 0);
		refused(f, path, SWAP_DEVICE_FORCE, -EPERM, "chmod 0600");
	}
	assert_int_equal(chmod(path, 0600), 0);
	NEED("needs root to give a file away", geteuid() == 0);
	assert_int_equal(chown(path, 65534, 65534), 0);
	refused(f, path, SWAP_DEVICE_FORCE, -EPERM, "uid 65534");
	assert_int_equal(chown(path, 0, 65534), 0);
	accepted(f, path, 0);
}

static void
test_unprivileged(void **state)
{
	struct fixture *f = *state;
	const char *path = in_dir(f, "swap"), *own = in_dir(f, "own");
	int mine, closed, roots;

	NEED("needs root to become another uid", geteuid() == 0);
	full_file(path, MIB);
	full_file(own, MIB);
	assert_int_equal(chown(own, 65534, 65534), 0);
	assert_int_equal(chmod(f->dir, 0755), 0);
	assert_int_equal(seteuid(65534), 0);
	closed = attach(f, path, 0);
	mine = attach(f, own, 0);
	setfsuid(0);		/* may open root's file, but is not root */
	roots = device_open(path, NULL, NULL, &f->devices[1], NULL);
	assert_int_equal(seteuid(0), 0);
	assert_int_equal(closed, -EACCES);
	assert_int_equal(mine, 0);
	assert_int_equal(roots, 0);
}

/* ------------------------------------------------------------------- holes */

static void
test_holes(void **state)
{
	struct fixture *f = *state;
	const char *path = in_dir(f, "sparse");
	size_t page = page_bytes();
	int fd;

	sparse_file(path, MIB);
	refused(f, path, SWAP_DEVICE_FORCE, -EINVAL, "holes");
	assert_non_null(strstr(f->error.message, "--create 1M"));
	path = in_dir(f, "punched");
	full_file(path, 4 * MIB);
	fd = open(path, O_RDWR);
	NEED("this filesystem cannot punch holes",
	     fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		       (off_t)(100 * page), (off_t)page) == 0);
	refused(f, path, 0, -EINVAL, "holes (one at byte 409600)");
	close(fd);
	path = in_dir(f, "tail");
	full_file(path, MIB);
	assert_int_equal(truncate(path, MIB + (off_t)page), 0);
	refused(f, path, 0, -EINVAL, "holes (one at byte 1048576)");
}

/* Blocks beyond the end make up for a hole in number, but not in fact. */
static void
test_hole_made_up_for(void **state)
{
	struct fixture *f = *state;
	const char *path = in_dir(f, "swap");
	struct stat st;
	int fd;

	full_file(path, MIB);
	fd = open(path, O_RDWR);
	NEED("this filesystem cannot punch holes, or reserve beyond the end",
	     fallocate(fd, FALLOC_FL_KEEP_SIZE, MIB, MIB) == 0 &&
	     fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		       MIB / 2, MIB / 16) == 0);
	assert_int_equal(fstat(fd, &st), 0);
	close(fd);
	assert_int_equal(st.st_size, MIB);
	assert_true(st.st_blocks * 512 >= MIB);
	refused(f, path, 0, -EINVAL, "holes (one at byte 524288)");
}

/* More holes and extents than one question to the kernel can answer. */
static void
test_late_hole(void **state)
{
	struct fixture *f = *state;
	const char *path = in_dir(f, "swap");
	size_t page = page_bytes();
	void *buf = pages(1);
	int fd = plain_file(path);

	memset(buf, 1, page);
	NEED("this filesystem has no fallocate",
	     fallocate(fd, 0, 0, (off_t)(1024 * page)) == 0);
	/* Written and unwritten extents take turns. */
	for (size_t i = 0; i < 1024; i += 2)
		assert_int_equal(pwrite_full(fd, buf, page, (off_t)(i * page)),
				 0);
	free(buf);
	accepted(f, path, 0);
	detach(f, 0);
	assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE |
				   FALLOC_FL_KEEP_SIZE, (off_t)(1001 * page),
				   (off_t)page), 0);
	refused(f, path, 0, -EINVAL, "holes");
	close(fd);
}

/* What fallocate reserved is not a hole, whatever lseek says. */
static void
test_unwritten(void **state)
{
	struct fixture *f = *state;
	const char *path = in_dir(f, "swap");
	int fd = plain_file(path);

	NEED("this filesystem has no fallocate",
	     fallocate(fd, 0, 0, MIB) == 0);
	print_message("lseek(SEEK_HOLE) says %ld\n",
		      (long)lseek(fd, 0, SEEK_HOLE));
	accepted(f, path, 0);
	exchange(f->devices[0], 2, 254);
	close(fd);
}

/* ------------------------------------------------------------------ in use */

static void
test_attached_twice(void **state)
{
	struct fixture *f = *state;
	const char *path = in_dir(f, "swap"), *link_ = in_dir(f, "link");

	full_file(path, MIB);
	assert_int_equal(link(path, link_), 0);
	accepted(f, path, 0);
	assert_int_equal(device_open(link_, NULL, NULL, &f->devices[1],
				     &f->error), -EBUSY);
	assert_non_null(strstr(f->error.message, "attached already"));
	detach(f, 0);
	accepted(f, link_, 0);
}

static void
test_kernel_swap(void **state)
{
	struct fixture *f = *state;
	const char *path = in_dir(f, "a b\\c");

	NEED("needs root for swapon", geteuid() == 0);
	full_file(path, MIB);
	NEED("there is no mkswap", run("mkswap", path));
	NEED("the kernel does not swap to a file here",
	     swapon(path, 0) == 0);
	format_cut(f->swapping, sizeof(f->swapping), "%s", path);
	refused(f, path, SWAP_DEVICE_FORCE, -EBUSY, "the kernel swaps to it");
	assert_int_equal(swapoff(path), 0);
	f->swapping[0] = '\0';
	accepted(f, path, 0);
}

static void
test_loop_and_its_file(void **state)
{
	struct fixture *f = *state;
	const char *path = in_dir(f, "img"), *other = in_dir(f, "other");
	char loop[32];

	NEED("needs root for loop devices", geteuid() == 0);
	full_file(path, 4 * MIB);
	full_file(other, 4 * MIB);
	accepted(f, path, 0);
	NEED("no loop device is free",
	     make_loop(f, path, 0, 0, loop, sizeof(loop)));

	/* The file first: only the identity tells. */
	assert_int_equal(device_open(loop, NULL, NULL, &f->devices[1], NULL),
			 0);
	assert_int_equal(device_open(other, NULL, NULL, &f->devices[2], NULL),
			 0);
	assert_true(device_same(f->devices[0], f->devices[1]));
	assert_true(device_same(f->devices[1], f->devices[0]));
	assert_false(device_same(f->devices[1], f->devices[2]));
	assert_false(device_same(f->devices[0], f->devices[2]));
	assert_true(device_matches(f->devices[0], loop));
	assert_true(device_matches(f->devices[1], path));
	assert_false(device_matches(f->devices[2], loop));
	detach(f, 0);

	/* The loop device first: the file is refused, by any name. */
	refused(f, path, SWAP_DEVICE_FORCE, -EBUSY, loop);
	assert_int_equal(link(path, in_dir(f, "hard")), 0);
	assert_int_equal(unlink(path), 0);
	refused(f, in_dir(f, "hard"), SWAP_DEVICE_FORCE, -EBUSY, loop);
}

static void
test_loops_of_one_file(void **state)
{
	struct fixture *f = *state;
	const char *path = in_dir(f, "img");
	char low[32], high[32], across[32];

	NEED("needs root for loop devices", geteuid() == 0);
	full_file(path, 4 * MIB);
	NEED("no loop devices are free",
	     make_loop(f, path, 0, 2 * MIB, low, sizeof(low)) &&
	     make_loop(f, path, 2 * MIB, 0, high, sizeof(high)) &&
	     make_loop(f, path, MIB, 2 * MIB, across, sizeof(across)));
	accepted(f, low, 0);
	assert_int_equal(device_nblocks(f->devices[0]),
			 2 * MIB / page_bytes());
	assert_int_equal(device_open(high, NULL, NULL, &f->devices[1], NULL),
			 0);
	assert_int_equal(device_open(across, NULL, NULL, &f->devices[2], NULL),
			 0);
	assert_false(device_same(f->devices[0], f->devices[1]));
	assert_true(device_same(f->devices[0], f->devices[2]));
	assert_true(device_same(f->devices[2], f->devices[1]));
}

static void
test_loop_over_loop(void **state)
{
	struct fixture *f = *state;
	const char *path = in_dir(f, "img");
	char lower[32], upper[32];

	NEED("needs root for loop devices", geteuid() == 0);
	full_file(path, 4 * MIB);
	NEED("no loop devices are free",
	     make_loop(f, path, 0, 0, lower, sizeof(lower)) &&
	     make_loop(f, lower, 0, 0, upper, sizeof(upper)));
	accepted(f, upper, 0);
	assert_int_equal(device_open(lower, NULL, NULL, &f->devices[1], NULL),
			 0);
	assert_true(device_same(f->devices[0], f->devices[1]));
	assert_true(device_same(f->devices[1], f->devices[0]));
	detach(f, 0);
	refused(f, upper, SWAP_DEVICE_FORCE, -EBUSY, lower);
}

static void
test_mounted(void **state)
{
	struct fixture *f = *state;
	const char *path = in_dir(f, "img");
	char loop[32];

	NEED("needs root for mounts", geteuid() == 0);
	full_file(path, 4 * MIB);
	NEED("there is no mkfs.ext4", run("mkfs.ext4 -q -F", path));
	NEED("no loop device is free",
	     make_loop(f, path, 0, 0, loop, sizeof(loop)));
	NEED("cannot mount ext4", private_mount(f, loop, "ext4", NULL));
	refused(f, loop, SWAP_DEVICE_FORCE, -EBUSY, "mounted");
	refused(f, path, SWAP_DEVICE_FORCE, -EBUSY, loop);
	assert_int_equal(umount(f->mnt), 0);
	refused(f, loop, 0, -EEXIST, "ext4 filesystem");
	accepted(f, loop, SWAP_DEVICE_FORCE);
}

static void
test_tmpfs(void **state)
{
	struct fixture *f = *state;
	char path[256];

	NEED("needs root to mount tmpfs", geteuid() == 0);
	NEED("cannot mount tmpfs",
	     private_mount(f, "none", "tmpfs", "size=8m"));
	format_cut(path, sizeof(path), "%s/swap", f->mnt);
	full_file(path, MIB);
	refused(f, path, 0, -EINVAL, "which is RAM");
	accepted(f, path, SWAP_DEVICE_FORCE);
	exchange(f->devices[0], 2, 30);
	detach(f, 0);

	/* No FIEMAP there: the number of blocks has to tell. */
	format_cut(path, sizeof(path), "%s/sparse", f->mnt);
	sparse_file(path, MIB);
	refused(f, path, SWAP_DEVICE_FORCE, -EINVAL, "holes");
}

static void
test_btrfs(void **state)
{
	struct fixture *f = *state;
	struct swap_device_options options = { .create_bytes = 4 * MIB };
	const char *image = in_dir(f, "img");
	char loop[32], path[256], copy[256];
	int from, to;

	NEED("needs root for mounts", geteuid() == 0);
	sparse_file(image, 128 * MIB);
	NEED("there is no mkfs.btrfs", run("mkfs.btrfs -q", image));
	NEED("no loop device is free",
	     make_loop(f, image, 0, 0, loop, sizeof(loop)));
	NEED("cannot mount btrfs", private_mount(f, loop, "btrfs", NULL));
	format_cut(path, sizeof(path), "%s/cow", f->mnt);
	full_file(path, MIB);
	refused(f, path, 0, -EINVAL, "copy-on-write");
	format_cut(path, sizeof(path), "%s/swap", f->mnt);
	assert_int_equal(device_open(path, &options, NULL, &f->devices[0],
				     &f->error), 0);
	exchange(f->devices[0], 2, 100);
	detach(f, 0);
	/* A snapshot or reflink makes it copy-on-write again. */
	format_cut(copy, sizeof(copy), "%s/copy", f->mnt);
	to = plain_file(copy);
	from = FS_NOCOW_FL;
	assert_int_equal(ioctl(to, FS_IOC_SETFLAGS, &from), 0);
	from = open(path, O_RDONLY);
	assert_int_equal(ioctl(to, FICLONE, from), 0);
	close(from);
	close(to);
	refused(f, path, 0, -EINVAL, "shares blocks");
}

/* ----------------------------------------------------------------- creation */

static int
create(struct fixture *f, const char *path, uint64_t bytes, unsigned flags)
{
	struct swap_device_options options = {
		.create_bytes = bytes,
		.flags = flags,
	};

	memset(&f->error, 0, sizeof(f->error));
	return device_open(path, &options, NULL, &f->devices[0], &f->error);
}

static void
test_create(void **state)
{
	struct fixture *f = *state;
	const char *path = in_dir(f, "swap");
	mode_t mask = umask(0777);
	struct stat st;
	int rc = create(f, path, MIB + 100, 0);

	umask(mask);
	if (rc != 0)
		fail_msg("%d: %s", rc, f->error.message);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_size, MIB);
	assert_true(st.st_blocks * 512 >= MIB);
	assert_int_equal(device_nblocks(f->devices[0]), MIB / page_bytes());
	exchange(f->devices[0], 2, 16);
	detach(f, 0);
	assert_int_equal(create(f, path, MIB, SWAP_DEVICE_FORCE), -EEXIST);
	assert_non_null(strstr(f->error.message, "exists already"));
	assert_int_equal(access(path, F_OK), 0);
	accepted(f, path, 0);		/* and as it is */
}

static void
test_create_fails(void **state)
{
	struct fixture *f = *state;
	const char *path = in_dir(f, "swap"), *link_ = in_dir(f, "link");

	assert_int_equal(create(f, in_dir(f, "no/swap"), MIB, 0), -ENOENT);
	assert_non_null(strstr(f->error.message, "directory"));
	assert_int_equal(create(f, path, page_bytes(), 0), -ENXIO);
	assert_int_equal(create(f, path, UINT64_MAX, 0), -EFBIG);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(symlink(path, link_), 0);
	assert_int_equal(create(f, link_, MIB, 0), -EEXIST);
	assert_int_equal(access(path, F_OK), -1);

	/* A failure after the file was made: it does not stay. */
	fault.fail = EIO;
	assert_int_equal(create(f, path, MIB, 0), -EIO);
	assert_non_null(strstr(f->error.message, "cannot be read"));
	fault.fail = 0;
	assert_int_equal(access(path, F_OK), -1);
}

static void
test_create_by_writing(void **state)
{
	struct fixture *f = *state;
	const char *path = in_dir(f, "swap");
	uint64_t bytes = 2 * MIB + 3 * page_bytes();

	fault.no_fallocate = true;
	assert_int_equal(create(f, path, bytes, 0), 0);
	assert_int_equal(device_nblocks(f->devices[0]), bytes / page_bytes());
	detach(f, 0);
	assert_int_equal(unlink(path), 0);
	fault.fail = ENOSPC;
	assert_int_equal(create(f, path, bytes, 0), -ENOSPC);
	assert_non_null(strstr(f->error.message, "no room for 2.0 MiB"));
	assert_int_equal(access(path, F_OK), -1);
}

/* ext2 has no fallocate; a full one says so late. */
static void
test_create_without_room(void **state)
{
	struct fixture *f = *state;
	const char *image = in_dir(f, "img");
	char loop[32], path[256];

	NEED("needs root for mounts", geteuid() == 0);
	full_file(image, 8 * MIB);
	NEED("there is no mkfs.ext2", run("mkfs.ext2 -q -F", image));
	NEED("no loop device is free",
	     make_loop(f, image, 0, 0, loop, sizeof(loop)));
	NEED("cannot mount ext2", private_mount(f, loop, "ext2", NULL));
	format_cut(path, sizeof(path), "%s/swap", f->mnt);
	assert_int_equal(create(f, path, 64 * MIB, 0), -ENOSPC);
	assert_non_null(strstr(f->error.message, "no room for 64.0 MiB"));
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(create(f, path, 2 * MIB, 0), 0);
	exchange(f->devices[0], 2, 100);
	detach(f, 0);
	assert_int_equal(umount(f->mnt), 0);
	f->mnt[0] = '\0';
	assert_int_equal(rmdir(in_dir(f, "mnt")), 0);

	NEED("cannot mount tmpfs",
	     private_mount(f, "none", "tmpfs", "size=1m"));
	assert_int_equal(create(f, path, 4 * MIB, SWAP_DEVICE_FORCE),
			 -ENOSPC);
	assert_int_equal(access(path, F_OK), -1);
	/* Refused only once it is there: it goes again. */
	assert_int_equal(create(f, path, MIB / 2, 0), -EINVAL);
	assert_int_equal(access(path, F_OK), -1);
}

/* ------------------------------------------------------------------ naming */

static void
test_matches(void **state)
{
	struct fixture *f = *state;
	const char *path = in_dir(f, "swap"), *other = in_dir(f, "other");
	char cwd[PATH_MAX], twisted[256], canonical[PATH_MAX];

	full_file(path, MIB);
	full_file(other, MIB);
	assert_int_equal(symlink(path, in_dir(f, "link")), 0);
	accepted(f, in_dir(f, "link"), 0);
	assert_non_null(realpath(path, canonical));
	assert_string_equal(device_path(f->devices[0]), canonical);
	assert_true(device_matches(f->devices[0], path));
	assert_true(device_matches(f->devices[0], in_dir(f, "link")));
	assert_int_equal(link(path, in_dir(f, "hard")), 0);
	assert_true(device_matches(f->devices[0], in_dir(f, "hard")));
	assert_false(device_matches(f->devices[0], other));
	assert_false(device_matches(f->devices[0], in_dir(f, "missing")));
	assert_false(device_matches(f->devices[0], f->dir));
	assert_false(device_matches(f->devices[0], ""));
	assert_false(device_matches(f->devices[0], "LABEL=no-such-label"));

	assert_int_equal(unlink(path), 0);
	assert_int_equal(unlink(in_dir(f, "hard")), 0);
	format_cut(twisted, sizeof(twisted), "%s/./../%s/swap", f->dir,
		   strrchr(f->dir, '/') + 1);
	assert_true(device_matches(f->devices[0], path));
	assert_true(device_matches(f->devices[0], twisted));
	assert_non_null(getcwd(cwd, sizeof(cwd)));
	assert_int_equal(chdir(f->dir), 0);
	assert_true(device_matches(f->devices[0], "swap"));
	assert_false(device_matches(f->devices[0], "swap2"));
	assert_int_equal(chdir(cwd), 0);
	assert_false(device_matches(f->devices[0], in_dir(f, "swap2")));
	exchange(f->devices[0], 2, 8);		/* deleted, but in service */
}

static void
test_tags(void **state)
{
	struct fixture *f = *state;
	const char *path = in_dir(f, "img");
	char loop[32], label[32], spec[64];

	NEED("needs root for loop devices", geteuid() == 0);
	full_file(path, 4 * MIB);
	format_cut(label, sizeof(label), "swapkit%d", (int)getpid() % 100000);
	format_cut(spec, sizeof(spec), "mkswap -L %s", label);
	NEED("there is no mkswap", run(spec, path));
	NEED("no loop device is free",
	     make_loop(f, path, 0, 0, loop, sizeof(loop)));
	format_cut(spec, sizeof(spec), "LABEL=%s", label);
	accepted(f, spec, 0);
	assert_string_equal(device_path(f->devices[0]), loop);
	assert_string_equal(device_type(f->devices[0]), "loop");
	assert_true(device_matches(f->devices[0], spec));
	assert_true(device_matches(f->devices[0], loop));

	/* The tag it came by names it still when no device has that tag. */
	put(path, 0, (char [4096]){ 0 }, 4096);
	assert_int_equal(ioctl(f->loops[0], BLKFLSBUF, 0), 0);
	assert_int_equal(probe_resolve(spec, &(char *){ NULL }, NULL),
			 -ENOENT);
	assert_true(device_matches(f->devices[0], spec));
	detach(f, 0);
	refused(f, "UUID=00000000-1111-2222-3333-444444444444", 0, -ENOENT,
		"no device has the UUID");
	refused(f, "PARTLABEL=", 0, -ENOENT, "partition label");
}

/* --------------------------------------------------------------- transfers */

static void
test_counters(void **state)
{
	struct fixture *f = *state;
	const struct device_counters *c;
	uint64_t page = page_bytes();
	uint64_t label = (DEVICE_LABEL_BYTES + page - 1) / page;
	uint64_t end = 2 * MIB / page;
	char *buf = pages(8);

	full_file(in_dir(f, "swap"), 2 * MIB);
	accepted(f, in_dir(f, "swap"), 0);
	c = device_counters(f->devices[0]);
	assert_int_equal(c->reads, 0);
	exchange(f->devices[0], end - 8, 8);
	exchange(f->devices[0], label, 1);
	assert_int_equal(c->reads, 2);
	assert_int_equal(c->writes, 2);
	assert_int_equal(c->read_bytes, 9 * page);
	assert_int_equal(c->write_bytes, 9 * page);

	/* Never beyond the end, nothing at all, never the label. */
	memset(buf, 0, 8 * page);
	assert_int_equal(device_read(f->devices[0], end - 7, buf, 8), -EINVAL);
	assert_int_equal(device_read(f->devices[0], end, buf, 1), -EINVAL);
	assert_int_equal(device_read(f->devices[0], UINT64_MAX, buf, 2),
			 -EINVAL);
	assert_int_equal(device_read(f->devices[0], 1, buf, UINT64_MAX),
			 -EINVAL);
	assert_int_equal(device_read(f->devices[0], 0, buf, 0), -EINVAL);
	assert_int_equal(device_write(f->devices[0], label - 1, buf, 2),
			 -EINVAL);
	assert_int_equal(device_write(f->devices[0], end - 7, buf, 8),
			 -EINVAL);
	assert_int_equal(device_read(f->devices[0], 0, buf, label), 0);
	assert_int_equal(c->read_errors, 5);
	assert_int_equal(c->write_errors, 2);
	assert_int_equal(c->reads, 8);
	assert_int_equal(c->read_bytes, (9 + label) * page);
	fault.fail = EIO;
	assert_int_equal(device_write(f->devices[0], label, buf, 1), -EIO);
	assert_int_equal(c->write_errors, 3);
	assert_int_equal(c->write_bytes, 9 * page);
	assert_false(device_orphaned(f->devices[0]));
	free(buf);
}

static void
test_short_transfers(void **state)
{
	struct fixture *f = *state;

	full_file(in_dir(f, "swap"), MIB);
	accepted(f, in_dir(f, "swap"), 0);
	fault.most = page_bytes();
	fault.transfers = 0;
	exchange(f->devices[0], 2, 16);
	assert_int_equal(fault.transfers, 32);
}

static void
test_buffered(void **state)
{
	struct fixture *f = *state;
	const char *path = in_dir(f, "swap");
	void *buf = pages(1);

	full_file(path, MIB);
	fault.refuse_flag = true;
	accepted(f, path, 0);
	exchange(f->devices[0], 2, 16);
	/* Only the sync tells whether a buffered write has arrived. */
	memset(buf, 0, page_bytes());
	fault.sync = EIO;
	assert_int_equal(device_write(f->devices[0], 2, buf, 1), -EIO);
	fault.sync = 0;
	assert_int_equal(device_write(f->devices[0], 2, buf, 1), 0);
	free(buf);
	detach(f, 0);
	fault.refuse_flag = false;
	fault.refuse_direct = true;	/* the flag is taken, reads fail */
	accepted(f, path, 0);
	exchange(f->devices[0], 2, 16);
}

/* A file cut short under us: an error, not zeros and not a lost device. */
static void
test_truncated(void **state)
{
	struct fixture *f = *state;
	const char *path = in_dir(f, "swap");
	void *buf = pages(1);

	full_file(path, MIB);
	accepted(f, path, 0);
	assert_int_equal(truncate(path, MIB / 2), 0);
	assert_int_equal(device_read(f->devices[0], 200, buf, 1), -EIO);
	assert_int_equal(device_read(f->devices[0], 20, buf, 1), 0);
	assert_false(device_orphaned(f->devices[0]));
	free(buf);
}

static void
count_message(void *arg, enum swap_log_level level, const char *message)
{
	unsigned *n = arg;

	if (level == SWAP_LOG_ERR && strstr(message, "disappeared") != NULL)
		++*n;
}

static void
test_orphan(void **state)
{
	struct fixture *f = *state;
	const char *path = in_dir(f, "swap");
	unsigned told = 0;
	struct log log = { .fn = count_message, .arg = &told };
	static const int codes[] = { ENXIO, ENODEV };
	void *buf = pages(1);

	full_file(path, MIB);
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		told = 0;
		assert_int_equal(device_open(path, NULL, &log, &f->devices[0],
					     NULL), 0);
		fault.fail = codes[i];
		assert_int_equal(device_read(f->devices[0], 2, buf, 1),
				 -ENXIO);
		fault.fail = 0;
		fault.transfers = 0;
		assert_true(device_orphaned(f->devices[0]));
		assert_int_equal(device_read(f->devices[0], 2, buf, 1),
				 -ENXIO);
		assert_int_equal(device_write(f->devices[0], 2, buf, 1),
				 -ENXIO);
		assert_int_equal(fault.transfers, 0);
		device_orphan(f->devices[0]);
		assert_int_equal(told, 1);
		assert_int_equal(device_counters(f->devices[0])->read_errors,
				 2);
		detach(f, 0);
	}
	free(buf);
}

/* The kernel gives a device that was pulled out the size nought. */
static void
test_gone(void **state)
{
	struct fixture *f = *state;
	const char *path = in_dir(f, "img");
	void *buf = pages(1);
	char loop[32];

	NEED("needs root for loop devices", geteuid() == 0);
	full_file(path, 4 * MIB);
	NEED("no loop device is free",
	     make_loop(f, path, 0, 0, loop, sizeof(loop)));
	accepted(f, loop, 0);
	assert_int_equal(truncate(path, 2 * MIB), 0);
	assert_int_equal(ioctl(f->loops[0], LOOP_SET_CAPACITY, 0), 0);
	assert_int_equal(device_read(f->devices[0], 900, buf, 1), -EIO);
	assert_false(device_orphaned(f->devices[0]));
	assert_int_equal(truncate(path, 0), 0);
	assert_int_equal(ioctl(f->loops[0], LOOP_SET_CAPACITY, 0), 0);
	assert_int_equal(device_read(f->devices[0], 2, buf, 1), -ENXIO);
	assert_true(device_orphaned(f->devices[0]));
	free(buf);
}

struct held_io {
	struct device	*device;
	void		*buf;
	int		rc;
	atomic_bool	closed;
};

static void *
read_held(void *arg)
{
	struct held_io *io = arg;

	io->rc = device_read(io->device, 2, io->buf, 1);
	return NULL;
}

static void *
close_held(void *arg)
{
	struct held_io *io = arg;

	device_close(io->device);
	io->closed = true;
	return NULL;
}

static void
test_close_waits(void **state)
{
	struct fixture *f = *state;
	struct held_io io = { .buf = pages(1), .rc = 1 };
	pthread_t reader, closer;

	full_file(in_dir(f, "swap"), MIB);
	accepted(f, in_dir(f, "swap"), 0);
	io.device = f->devices[0];
	fault.hold = true;
	assert_int_equal(pthread_create(&reader, NULL, read_held, &io), 0);
	sem_wait(&fault.held);
	assert_int_equal(pthread_create(&closer, NULL, close_held, &io), 0);
	f->devices[0] = NULL;
	while (!device_orphaned(io.device))
		sched_yield();
	poll(NULL, 0, 50);	/* time to close too early, if it would */
	assert_false(io.closed);
	fault.hold = false;
	sem_post(&fault.go);
	pthread_join(reader, NULL);
	pthread_join(closer, NULL);
	assert_int_equal(io.rc, 0);
	assert_true(io.closed);
	free(io.buf);
}

struct worker {
	struct device	*device;
	uint64_t	first;
	pthread_t	thread;
	bool		bad;
};

static void *
work(void *arg)
{
	struct worker *w = arg;
	size_t len = 4 * page_bytes();
	unsigned char *out = pages(4), *in = pages(4);

	for (unsigned i = 0; i < 40; i++) {
		memset(out, (int)(w->first + i) & 0xff, len);
		if (device_write(w->device, w->first, out, 4) != 0 ||
		    device_read(w->device, w->first, in, 4) != 0 ||
		    memcmp(in, out, len) != 0)
			w->bad = true;
	}
	free(out);
	free(in);
	return NULL;
}

static void
test_threads(void **state)
{
	struct fixture *f = *state;
	const char *path = in_dir(f, "swap");
	struct worker workers[4];

	full_file(path, MIB);
	for (int buffered = 0; buffered < 2; buffered++) {
		fault.refuse_flag = buffered;
		accepted(f, path, 0);
		for (unsigned i = 0; i < ARRAY_SIZE(workers); i++) {
			workers[i] = (struct worker){
				.device = f->devices[0],
				.first = 2 + 4 * i,
			};
			assert_int_equal(pthread_create(&workers[i].thread,
							NULL, work,
							&workers[i]), 0);
		}
		for (unsigned i = 0; i < ARRAY_SIZE(workers); i++) {
			pthread_join(workers[i].thread, NULL);
			assert_false(workers[i].bad);
		}
		assert_int_equal(device_counters(f->devices[0])->writes, 160);
		detach(f, 0);
	}
}

/* ----------------------------------------------------------- block devices */

static void
test_loop(void **state)
{
	struct fixture *f = *state;
	const char *path = in_dir(f, "img");
	char loop[32];

	NEED("needs root for loop devices", geteuid() == 0);
	full_file(path, 4 * MIB + 512);
	NEED("no loop device is free",
	     make_loop(f, path, 0, 0, loop, sizeof(loop)));
	accepted(f, loop, 0);
	assert_string_equal(device_type(f->devices[0]), "loop");
	assert_int_equal(device_nblocks(f->devices[0]),
			 4 * MIB / page_bytes());
	assert_true(device_matches(f->devices[0], loop));
	exchange(f->devices[0], 2, 64);
	assert_int_equal(device_open(loop, NULL, NULL, &f->devices[1],
				     &f->error), -EBUSY);
	assert_non_null(strstr(f->error.message, "attached already"));
}

static void
test_loop_unfit(void **state)
{
	struct fixture *f = *state;
	const char *path = in_dir(f, "img");
	char loop[32];

	NEED("needs root for loop devices", geteuid() == 0);
	full_file(path, MIB);
	NEED("no loop device is free",
	     make_loop(f, path, 0, page_bytes(), loop, sizeof(loop)));
	refused(f, loop, 0, -ENXIO, "too small");
	close(f->loops[--f->nloops]);
	f->readonly = true;
	NEED("no loop device is free",
	     make_loop(f, path, 0, 0, loop, sizeof(loop)));
	refused(f, loop, SWAP_DEVICE_FORCE, -EACCES, "read-only");
	close(f->loops[--f->nloops]);
	/* Free again, unless somebody took it in the meantime. */
	if (attach(f, loop, 0) == -ENXIO)
		assert_non_null(strstr(f->error.message, "losetup"));
}

static void
test_zram(void **state)
{
	struct fixture *f = *state;
	char size[32] = "";
	int fd = open("/sys/block/zram0/disksize", O_RDWR);
	bool usable = fd >= 0 && read(fd, size, sizeof(size) - 1) > 0 &&
		      strcmp(size, "0\n") == 0;

	if (usable) {
		format_cut(size, sizeof(size), "%u", 16 * MIB);
		usable = write(fd, size, strlen(size)) > 0;
	}
	if (fd >= 0)
		close(fd);
	f->zram = usable;
	NEED("/dev/zram0 is not there, in use, or not ours to set up",
	     usable);
	accepted(f, "/dev/zram0", 0);
	assert_string_equal(device_type(f->devices[0]), "block");
	assert_int_equal(device_nblocks(f->devices[0]),
			 16 * MIB / page_bytes());
	exchange(f->devices[0], 2, 256);
	assert_true(device_same(f->devices[0], f->devices[0]));
	assert_true(device_matches(f->devices[0], "/dev/../dev/zram0"));
	assert_int_equal(device_open("/dev/zram0", NULL, NULL,
				     &f->devices[1], NULL), -EBUSY);
	detach(f, 0);
	NEED("there is no mkfs.ext4", run("mkfs.ext4 -q -F", "/dev/zram0"));
	refused(f, "/dev/zram0", 0, -EEXIST, "ext4 filesystem");
}

/* ----------------------------------------------------------------- probing */

static int
contents(const char *path, char *what, size_t len)
{
	int fd = open(path, O_RDONLY);
	int rc;

	assert_true(fd >= 0);
	what[0] = '\0';
	rc = probe_contents(fd, what, len);
	close(fd);
	return rc;
}

static void
carries(struct fixture *f, const char *path, const char *wanted)
{
	char what[128];

	assert_int_equal(contents(path, what, sizeof(what)), 1);
	assert_string_equal(what, wanted);
	refused(f, path, 0, -EEXIST, wanted);
	accepted(f, path, SWAP_DEVICE_FORCE);
	detach(f, 0);
}

static void
test_probe_nothing(void **state)
{
	struct fixture *f = *state;
	const char *path = in_dir(f, "zeros");
	char what[128];
	int fd;

	full_file(path, 4 * MIB);
	assert_int_equal(contents(path, what, sizeof(what)), 0);
	NEED("there is no mkswap", run("mkswap -L old", path));
	assert_int_equal(contents(path, what, sizeof(what)), 0);
	accepted(f, path, 0);
	fd = open(path, O_WRONLY);
	assert_true(probe_contents(fd, what, sizeof(what)) < 0);
	close(fd);
}

static void
test_probe_filesystem(void **state)
{
	struct fixture *f = *state;
	const char *path = in_dir(f, "img"), *plain = in_dir(f, "plain");

	full_file(path, 4 * MIB);
	full_file(plain, 4 * MIB);
	NEED("there is no mkfs.ext4",
	     run("mkfs.ext4 -q -F -E nodiscard -L data", path) &&
	     run("mkfs.ext4 -q -F -E nodiscard", plain));
	carries(f, path, "an ext4 filesystem labelled data");
	carries(f, plain, "an ext4 filesystem");
}

/* A superblock whose checksum is wrong may be all that is left of data. */
static void
put_lvm_label(const char *path)
{
	static const char label[] = "LABELONE\1\0\0\0\0\0\0\0"
				    "\xde\xad\xbe\xef\x20\0\0\0LVM2 001"
				    "abcdefghijklmnopqrstuvwxyz012345";

	put(path, 512, label, sizeof(label));
}

static void
test_probe_member(void **state)
{
	struct fixture *f = *state;
	const char *path = in_dir(f, "img");

	full_file(path, 4 * MIB);
	put_lvm_label(path);
	carries(f, path, "an LVM2 member");
}


static void
test_probe_hibernation(void **state)
{
	struct fixture *f = *state;
	const char *path = in_dir(f, "img");

	full_file(path, 4 * MIB);
	put(path, (off_t)page_bytes() - 10, "S1SUSPEND\0", 10);
	carries(f, path, "a hibernation image");
}

static void
put_dos_table(const char *path)
{
	/* One partition of type 83, from sector 2048, 4096 sectors. */
	static const unsigned char entry[16] = {
		0, 0, 2, 0, 0x83, 0, 2, 0, 0, 8, 0, 0, 0, 16, 0, 0,
	};

	put(path, 446, entry, sizeof(entry));
	put(path, 510, "\x55\xaa", 2);
}

static void
test_probe_dos(void **state)
{
	struct fixture *f = *state;
	const char *path = in_dir(f, "img");

	full_file(path, 4 * MIB);
	put_dos_table(path);
	carries(f, path, "a DOS partition table");
}

/* Swap and something else: found after swap, and found before it. */
static void
test_probe_ambivalent(void **state)
{
	struct fixture *f = *state;
	const char *path = in_dir(f, "img");
	char what[128];

	full_file(path, 4 * MIB);
	NEED("there is no mkswap", run("mkswap", path));
	assert_int_equal(contents(path, what, sizeof(what)), 0);
	put_dos_table(path);
	carries(f, path, "a DOS partition table");
	put_lvm_label(path);
	carries(f, path, "an LVM2 member");
}

static uint32_t
crc32(const unsigned char *p, size_t len)
{
	uint32_t crc = UINT32_MAX;

	while (len-- > 0) {
		crc ^= *p++;
		for (int i = 0; i < 8; i++)
			crc = (crc >> 1) ^ (0xedb88320u & -(crc & 1));
	}
	return ~crc;
}

static void
put_le(unsigned char *p, uint64_t value, unsigned len)
{
	for (unsigned i = 0; i < len; i++)
		p[i] = (unsigned char)(value >> (8 * i));
}

/* The primary header and 128 empty entries; no protective MBR. */
static void
test_probe_gpt(void **state)
{
	struct fixture *f = *state;
	const char *path = in_dir(f, "img");
	uint64_t sectors = 4 * MIB / 512;
	unsigned char entries[128 * 128] = { 0 };
	unsigned char header[512] = "EFI PART";

	put_le(header + 8, 0x10000, 4);
	put_le(header + 12, 92, 4);
	put_le(header + 24, 1, 8);
	put_le(header + 32, sectors - 1, 8);
	put_le(header + 40, 34, 8);
	put_le(header + 48, sectors - 34, 8);
	memset(header + 56, 0x5a, 16);
	put_le(header + 72, 2, 8);
	put_le(header + 80, 128, 4);
	put_le(header + 84, 128, 4);
	put_le(header + 88, crc32(entries, sizeof(entries)), 4);
	put_le(header + 16, crc32(header, 92), 4);
	full_file(path, 4 * MIB);
	put(path, 512, header, sizeof(header));
	carries(f, path, "a GPT partition table");
}

static void
test_probe_resolve(void **state)
{
	struct swap_error error;
	char *path = NULL;

	(void)state;
	assert_int_equal(probe_resolve("../x/./LABEL=y", &path, NULL), 0);
	assert_string_equal(path, "../x/./LABEL=y");
	free(path);
	path = NULL;
	assert_int_equal(probe_resolve("LABEL=", &path, &error), -ENOENT);
	assert_int_equal(probe_resolve("LABEL=not here", &path, &error),
			 -ENOENT);
	assert_non_null(strstr(error.message, "'not here'"));
	assert_null(path);
	assert_true(probe_is_tag("PARTUUID=1"));
	assert_false(probe_is_tag("partuuid=1"));
}

#define TEST(name)	cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_not_a_device),
		TEST(test_options),
		TEST(test_sizes),
		TEST(test_too_large),
		TEST(test_owner_and_mode),
		TEST(test_unprivileged),
		TEST(test_holes),
		TEST(test_hole_made_up_for),
		TEST(test_late_hole),
		TEST(test_unwritten),
		TEST(test_attached_twice),
		TEST(test_kernel_swap),
		TEST(test_loop_and_its_file),
		TEST(test_loops_of_one_file),
		TEST(test_loop_over_loop),
		TEST(test_mounted),
		TEST(test_tmpfs),
		TEST(test_btrfs),
		TEST(test_create),
		TEST(test_create_fails),
		TEST(test_create_by_writing),
		TEST(test_create_without_room),
		TEST(test_matches),
		TEST(test_tags),
		TEST(test_counters),
		TEST(test_short_transfers),
		TEST(test_buffered),
		TEST(test_truncated),
		TEST(test_orphan),
		TEST(test_gone),
		TEST(test_close_waits),
		TEST(test_threads),
		TEST(test_loop),
		TEST(test_loop_unfit),
		TEST(test_zram),
		TEST(test_probe_nothing),
		TEST(test_probe_filesystem),
		TEST(test_probe_member),
		TEST(test_probe_hibernation),
		TEST(test_probe_dos),
		TEST(test_probe_ambivalent),
		TEST(test_probe_gpt),
		TEST(test_probe_resolve),
	};

	sem_init(&fault.held, 0, 0);
	sem_init(&fault.go, 0, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
