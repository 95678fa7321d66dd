/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Overrides of the C library's calls.
 *
 * Memory.  The heap is a shared mapping watched by swapd, and looks like
 * private memory only as far as these functions make it: MADV_DONTNEED gives
 * zeros, unmapping gives the pages back.  What cannot be done (moving a part,
 * mapping something else over it) fails.
 *
 * Files.  Direct I/O writes into pages behind the page tables and would lose
 * data when such a page is paged out meanwhile.  So files are opened without
 * O_DIRECT: slower, and always right.  What io_uring pins is wired.
 *
 * Descriptors.  Those of the heap look as if they were not open.
 *
 * Each of these functions does what the C library's does for everything that
 * has nothing to do with the heap.  syscall() is among them for programs that
 * make these calls by number; a program with system call instructions of its
 * own is out of reach.
 */
#include "heap.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "util.h"

#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED	24
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE		25
#endif

#define READ_WRITE	(PROT_READ | PROT_WRITE)

/* Not all of these have a prototype in a header. */
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int dir, const char *path, int flags);
int __openat64_2(int dir, const char *path, int flags);

/* Has anybody but mimalloc changed the protection of a part of the heap? */
static atomic_bool protection_changed;

static long
failure(int error)
{
	errno = error;
	return -1;
}

/* ----------------------------------------------------------------- memory */

static int
raw_madvise(uintptr_t start, uintptr_t end, int advice)
{
	if (start >= end)
		return 0;
	return (int)heap_libc()->syscall(SYS_madvise, start, end - start,
					 (long)advice);
}

static int
raw_mprotect(uintptr_t start, uintptr_t end, int prot)
{
	return (int)heap_libc()->syscall(SYS_mprotect, start, end - start,
					 (long)prot);
}

/* The range holds [start, end) of the heap; let go of that, and advise. */
static int
discard(uintptr_t low, size_t length, uintptr_t start, uintptr_t end,
	int advice)
{
	if ((low & (page_bytes() - 1)) != 0)
		return (int)failure(EINVAL);
	heap_release_now(start, end);
	if (raw_madvise(low, start, advice) < 0)
		return -1;
	return raw_madvise(end, low + length, advice);
}

static int
advise(void *address, size_t length, int advice, const void *caller)
{
	uintptr_t low = (uintptr_t)address, start, end;

	if (!heap_clip(address, length, &start, &end))
		return (int)heap_libc()->syscall(SYS_madvise, address, length,
						 (long)advice);
	switch (advice) {
	case MADV_DONTNEED:
		if (heap_is_mimalloc(caller)) {
			heap_release_later(start, end);
			return 0;
		}
		return discard(low, length, start, end, advice);
	case MADV_FREE:
	case MADV_REMOVE:
	case MADV_DONTNEED_LOCKED:
		return discard(low, length, start, end, advice);
	case MADV_DOFORK:
	case MADV_WIPEONFORK:
		/* A child that touched a hole would make zeros of our page. */
		return (int)failure(EINVAL);
	case MADV_HUGEPAGE:
	case MADV_COLLAPSE:
		/* Pages are paged one by one. */
		return 0;
	default:
		return raw_madvise(low, low + length, advice);
	}
}

HEAP_EXPORT int
madvise(void *address, size_t length, int advice)
{
	return advise(address, length, advice, __builtin_return_address(0));
}

HEAP_EXPORT int
mprotect(void *address, size_t length, int prot)
{
	uintptr_t start, end;

	if (!heap_clip(address, length, &start, &end))
		return raw_mprotect((uintptr_t)address,
				    (uintptr_t)address + length, prot);
	if (!heap_is_mimalloc(__builtin_return_address(0))) {
		atomic_store(&protection_changed, true);
		return raw_mprotect((uintptr_t)address,
				    (uintptr_t)address + length, prot);
	}
	if (prot == READ_WRITE)
		heap_release_forget(start, end);
	if (prot == READ_WRITE && !atomic_load(&protection_changed))
		return 0;
	return raw_mprotect(start, end, prot);
}

/* The pages are given up, and whoever touches them gets SIGSEGV as usual. */
static int
unmap(void *address, size_t length)
{
	uintptr_t low = (uintptr_t)address, start, end;

	if (!heap_clip(address, length, &start, &end))
		return (int)heap_libc()->syscall(SYS_munmap, address, length);
	if ((low & (page_bytes() - 1)) != 0)
		return (int)failure(EINVAL);
	if (low < start)
		heap_libc()->syscall(SYS_munmap, low, start - low);
	if (end < low + length)
		heap_libc()->syscall(SYS_munmap, end, low + length - end);
	heap_release_now(start, end);
	atomic_store(&protection_changed, true);
	return raw_mprotect(start, end, PROT_NONE);
}

HEAP_EXPORT int
munmap(void *address, size_t length)
{
	return unmap(address, length);
}

static void *
map(void *address, size_t length, int prot, int flags, int fd, off_t offset)
{
	uintptr_t start, end;
	long r;

	if ((flags & MAP_FIXED) != 0 &&
	    heap_clip(address, length, &start, &end))
		return (void *)failure(ENOMEM);
	if (heap_owns_fd(fd))
		return (void *)failure(EBADF);
	r = heap_libc()->syscall(SYS_mmap, address, length, (long)prot,
				 (long)flags, (long)fd, offset);
	return (void *)r;
}

HEAP_EXPORT void *
mmap(void *address, size_t length, int prot, int flags, int fd, off_t offset)
{
	return map(address, length, prot, flags, fd, offset);
}

HEAP_EXPORT void *
mmap64(void *address, size_t length, int prot, int flags, int fd, off_t offset)
{
	return map(address, length, prot, flags, fd, offset);
}

static void *
remap(void *old, size_t old_length, size_t length, int flags, void *new)
{
	uintptr_t start, end;
	long r;

	if (heap_clip(old, old_length > 0 ? old_length : 1, &start, &end) ||
	    ((flags & MREMAP_FIXED) != 0 &&
	     heap_clip(new, length, &start, &end)))
		return (void *)failure(ENOMEM);
	r = heap_libc()->syscall(SYS_mremap, old, old_length, length,
				 (long)flags, new);
	return (void *)r;
}

HEAP_EXPORT void *
mremap(void *old, size_t old_length, size_t length, int flags, ...)
{
	va_list args;
	void *new;

	va_start(args, flags);
	new = (flags & MREMAP_FIXED) != 0 ? va_arg(args, void *) : NULL;
	va_end(args);
	return remap(old, old_length, length, flags, new);
}

/* The kernel copies through pages that it pins for that moment. */
static ssize_t
write_memory(pid_t pid, const struct iovec *local, unsigned long nlocal,
	     const struct iovec *remote, unsigned long nremote,
	     unsigned long flags)
{
	unsigned long wired = 0;
	ssize_t n = 0;

	while (pid == getpid() && wired < nremote && n == 0) {
		n = heap_wire(remote[wired].iov_base, remote[wired].iov_len);
		wired += n == 0;
	}
	if (n == 0)
		n = heap_libc()->syscall(SYS_process_vm_writev, (long)pid,
					 local, nlocal, remote, nremote, flags);
	else
		n = failure((int)-n);
	for (unsigned long i = 0; i < wired; i++)
		heap_unwire(remote[i].iov_base, remote[i].iov_len);
	return n;
}

HEAP_EXPORT ssize_t
process_vm_writev(pid_t pid, const struct iovec *local, unsigned long nlocal,
		  const struct iovec *remote, unsigned long nremote,
		  unsigned long flags)
{
	return write_memory(pid, local, nlocal, remote, nremote, flags);
}

/* ------------------------------------------------------------------ files */

static int
open_file(int dir, const char *path, int flags, mode_t mode)
{
	return heap_libc()->openat(dir, path, flags & ~O_DIRECT, mode);
}

/* The last argument is there if the flags say so. */
#define MODE_ARG(mode, flags, last)					\
	do {								\
		va_list args_;						\
									\
		va_start(args_, last);					\
		(mode) = ((flags) & (O_CREAT | __O_TMPFILE)) != 0	\
			 ? va_arg(args_, mode_t) : 0;			\
		va_end(args_);						\
	} while (0)

HEAP_EXPORT int
open(const char *path, int flags, ...)
{
	mode_t mode;

	MODE_ARG(mode, flags, flags);
	return heap_libc()->open(path, flags & ~O_DIRECT, mode);
}

HEAP_EXPORT int
open64(const char *path, int flags, ...)
{
	mode_t mode;

	MODE_ARG(mode, flags, flags);
	return heap_libc()->open(path, flags & ~O_DIRECT, mode);
}

HEAP_EXPORT int
openat(int dir, const char *path, int flags, ...)
{
	mode_t mode;

	MODE_ARG(mode, flags, flags);
	return open_file(dir, path, flags, mode);
}

HEAP_EXPORT int
openat64(int dir, const char *path, int flags, ...)
{
	mode_t mode;

	MODE_ARG(mode, flags, flags);
	return open_file(dir, path, flags, mode);
}

HEAP_EXPORT int
__open_2(const char *path, int flags)
{
	return heap_libc()->open(path, flags & ~O_DIRECT);
}

HEAP_EXPORT int
__open64_2(const char *path, int flags)
{
	return heap_libc()->open(path, flags & ~O_DIRECT);
}

HEAP_EXPORT int
__openat_2(int dir, const char *path, int flags)
{
	return open_file(dir, path, flags, 0);
}

HEAP_EXPORT int
__openat64_2(int dir, const char *path, int flags)
{
	return open_file(dir, path, flags, 0);
}

HEAP_EXPORT int
creat(const char *path, mode_t mode)
{
	return heap_libc()->open(path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

HEAP_EXPORT int
creat64(const char *path, mode_t mode)
{
	return heap_libc()->open(path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

static int
open_how(int dir, const char *path, const struct open_how *how, size_t size)
{
	struct open_how copy;

	/* A newer, longer structure is passed on as it is if nothing is new. */
	if (size < sizeof(copy) || (how->flags & O_DIRECT) == 0)
		return (int)heap_libc()->syscall(SYS_openat2, (long)dir, path,
						 how, size);
	memcpy(&copy, how, sizeof(copy));
	copy.flags &= ~(uint64_t)O_DIRECT;
	return (int)heap_libc()->syscall(SYS_openat2, (long)dir, path, &copy,
					 sizeof(copy));
}

/* On a pipe, O_DIRECT means packets. */
static bool
is_pipe(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode);
}

static int
control(int fd, int command, uintptr_t arg)
{
	if (heap_owns_fd(fd))
		return (int)failure(EBADF);
	if (command == F_SETFL && (arg & O_DIRECT) != 0 && !is_pipe(fd))
		arg &= ~(uintptr_t)O_DIRECT;
	return heap_libc()->fcntl(fd, command, arg);
}

HEAP_EXPORT int
fcntl(int fd, int command, ...)
{
	va_list args;
	uintptr_t arg;

	va_start(args, command);
	arg = va_arg(args, uintptr_t);
	va_end(args);
	return control(fd, command, arg);
}

HEAP_EXPORT int
fcntl64(int fd, int command, ...)
{
	va_list args;
	uintptr_t arg;

	va_start(args, command);
	arg = va_arg(args, uintptr_t);
	va_end(args);
	return control(fd, command, arg);
}

/* ------------------------------------------------------------ descriptors */

static int
close_one(int fd)
{
	if (heap_owns_fd(fd))
		return (int)failure(EBADF);
	if (fd >= 0)
		heap_uring_closed((uintptr_t)fd);
	return heap_libc()->close(fd);
}

HEAP_EXPORT int
close(int fd)
{
	return close_one(fd);
}

static int
duplicate(int fd, int wanted, int flags, long number)
{
	if (heap_owns_fd(fd))
		return (int)failure(EBADF);
	if (heap_owns_fd(wanted))
		return (int)failure(EBUSY);
	return (int)heap_libc()->syscall(number, (long)fd, (long)wanted,
					 (long)flags);
}

HEAP_EXPORT int
dup3(int fd, int wanted, int flags)
{
	return duplicate(fd, wanted, flags, SYS_dup3);
}

HEAP_EXPORT int
dup2(int fd, int wanted)
{
	/* Not every architecture has this system call. */
	if (fd == wanted)
		return control(fd, F_GETFD, 0) < 0 ? -1 : fd;
	return duplicate(fd, wanted, 0, SYS_dup3);
}

/* All of [first, last] but the heap's. */
static int
close_many(unsigned first, unsigned last, unsigned flags)
{
	int kept, r;

	if (first > last)
		return (int)failure(EINVAL);
	while ((kept = heap_next_fd(first, last)) >= 0) {
		if ((unsigned)kept > first) {
			r = (int)heap_libc()->syscall(SYS_close_range, first,
						      kept - 1, flags);
			if (r < 0)
				return r;
		}
		if ((unsigned)kept == last)
			return 0;
		first = (unsigned)kept + 1;
	}
	return (int)heap_libc()->syscall(SYS_close_range, first, last, flags);
}

HEAP_EXPORT int
close_range(unsigned first, unsigned last, int flags)
{
	return close_many(first, last, (unsigned)flags);
}

HEAP_EXPORT void
closefrom(int lowest)
{
	(void)close_many(lowest > 0 ? (unsigned)lowest : 0, UINT32_MAX, 0);
}

/* --------------------------------------------------------------- io_uring */

struct io_uring;

/* A call of liburing's, to be made when the memory is wired. */
struct uring_args {
	struct io_uring	*ring;
	const void	*arg;
	const uint64_t	*tags;
	unsigned	 off;
	unsigned	 nr;
};

int io_uring_register_buffers(struct io_uring *ring,
			      const struct iovec *iovecs, unsigned nr);
int io_uring_register_buffers_tags(struct io_uring *ring,
				   const struct iovec *iovecs,
				   const uint64_t *tags, unsigned nr);
int io_uring_register_buffers_update_tag(struct io_uring *ring, unsigned off,
					 const struct iovec *iovecs,
					 const uint64_t *tags, unsigned nr);
int io_uring_unregister_buffers(struct io_uring *ring);
int io_uring_register_buf_ring(struct io_uring *ring, void *reg,
			       unsigned flags);
int io_uring_unregister_buf_ring(struct io_uring *ring, int bgid);
int io_uring_register(unsigned fd, unsigned opcode, const void *arg,
		      unsigned nr);
void io_uring_queue_exit(struct io_uring *ring);

/* The program's own liburing; these overrides are called only if it has one. */
#define NEXT(name, function) \
	(*(void **)(void *)&(function) = dlsym(RTLD_NEXT, name))

static int
call_buffers(void *arg)
{
	const struct uring_args *a = arg;
	int (*next)(struct io_uring *, const void *, unsigned);

	NEXT("io_uring_register_buffers", next);
	return next != NULL ? next(a->ring, a->arg, a->nr) : -ENOSYS;
}

HEAP_EXPORT int
io_uring_register_buffers(struct io_uring *ring, const struct iovec *iovecs,
			  unsigned nr)
{
	struct uring_args a = { .ring = ring, .arg = iovecs, .nr = nr };

	return heap_uring_register((uintptr_t)ring, IORING_REGISTER_BUFFERS,
				   iovecs, nr, call_buffers, &a);
}

static int
call_tags(void *arg)
{
	const struct uring_args *a = arg;
	int (*next)(struct io_uring *, const void *, const uint64_t *,
		    unsigned);

	NEXT("io_uring_register_buffers_tags", next);
	return next != NULL ? next(a->ring, a->arg, a->tags, a->nr) : -ENOSYS;
}

HEAP_EXPORT int
io_uring_register_buffers_tags(struct io_uring *ring,
			       const struct iovec *iovecs,
			       const uint64_t *tags, unsigned nr)
{
	struct uring_args a = {
		.ring = ring, .arg = iovecs, .tags = tags, .nr = nr,
	};

	return heap_uring_register((uintptr_t)ring, IORING_REGISTER_BUFFERS,
				   iovecs, nr, call_tags, &a);
}

static int
call_update(void *arg)
{
	const struct uring_args *a = arg;
	int (*next)(struct io_uring *, unsigned, const void *,
		    const uint64_t *, unsigned);

	NEXT("io_uring_register_buffers_update_tag", next);
	return next != NULL ? next(a->ring, a->off, a->arg, a->tags, a->nr)
			    : -ENOSYS;
}

HEAP_EXPORT int
io_uring_register_buffers_update_tag(struct io_uring *ring, unsigned off,
				     const struct iovec *iovecs,
				     const uint64_t *tags, unsigned nr)
{
	struct uring_args a = {
		.ring = ring, .arg = iovecs, .tags = tags, .off = off, .nr = nr,
	};
	struct io_uring_rsrc_update2 update = {
		.offset = off, .data = (uintptr_t)iovecs, .nr = nr,
	};

	return heap_uring_register((uintptr_t)ring,
				   IORING_REGISTER_BUFFERS_UPDATE, &update, 0,
				   call_update, &a);
}

static int
call_unregister(void *arg)
{
	const struct uring_args *a = arg;
	int (*next)(struct io_uring *);

	NEXT("io_uring_unregister_buffers", next);
	return next != NULL ? next(a->ring) : -ENOSYS;
}

HEAP_EXPORT int
io_uring_unregister_buffers(struct io_uring *ring)
{
	struct uring_args a = { .ring = ring };

	return heap_uring_register((uintptr_t)ring, IORING_UNREGISTER_BUFFERS,
				   NULL, 0, call_unregister, &a);
}

static int
call_buf_ring(void *arg)
{
	const struct uring_args *a = arg;
	int (*next)(struct io_uring *, const void *, unsigned);

	NEXT("io_uring_register_buf_ring", next);
	return next != NULL ? next(a->ring, a->arg, a->nr) : -ENOSYS;
}

HEAP_EXPORT int
io_uring_register_buf_ring(struct io_uring *ring, void *reg, unsigned flags)
{
	struct uring_args a = { .ring = ring, .arg = reg, .nr = flags };

	return heap_uring_register((uintptr_t)ring, HEAP_REGISTER_PBUF_RING,
				   reg, 1, call_buf_ring, &a);
}

static int
call_no_buf_ring(void *arg)
{
	const struct uring_args *a = arg;
	int (*next)(struct io_uring *, int);

	NEXT("io_uring_unregister_buf_ring", next);
	return next != NULL ? next(a->ring, (int)a->nr) : -ENOSYS;
}

HEAP_EXPORT int
io_uring_unregister_buf_ring(struct io_uring *ring, int bgid)
{
	struct uring_args a = { .ring = ring, .nr = (unsigned)bgid };
	struct heap_pbuf_ring reg = { .bgid = (uint16_t)bgid };

	return heap_uring_register((uintptr_t)ring, HEAP_UNREGISTER_PBUF_RING,
				   &reg, 1, call_no_buf_ring, &a);
}

HEAP_EXPORT void
io_uring_queue_exit(struct io_uring *ring)
{
	void (*next)(struct io_uring *);

	NEXT("io_uring_queue_exit", next);
	if (next != NULL)
		next(ring);
	heap_uring_closed((uintptr_t)ring);
}

static int
call_raw(void *arg)
{
	const long *a = arg;
	long r = heap_libc()->syscall(SYS_io_uring_register, a[0], a[1], a[2],
				      a[3]);

	return r < 0 ? -errno : (int)r;
}

static int
register_raw(long fd, long opcode, long arg, long nr)
{
	long a[4] = { fd, opcode, arg, nr };

	return heap_uring_register((uintptr_t)fd, (unsigned)opcode,
				   (const void *)arg, (unsigned)nr, call_raw,
				   a);
}

HEAP_EXPORT int
io_uring_register(unsigned fd, unsigned opcode, const void *arg, unsigned nr)
{
	return register_raw((int)fd, opcode, (long)arg, nr);
}

/* -------------------------------------------------------- calls by number */

static long
memory_call(long number, const long *a)
{
	void *address = (void *)a[0];

	switch (number) {
	case SYS_madvise:
		return advise(address, (size_t)a[1], (int)a[2], NULL);
	case SYS_mprotect:
		return mprotect(address, (size_t)a[1], (int)a[2]);
	case SYS_munmap:
		return unmap(address, (size_t)a[1]);
	case SYS_mmap:
		return (long)map(address, (size_t)a[1], (int)a[2], (int)a[3],
				 (int)a[4], a[5]);
	case SYS_mremap:
		return (long)remap(address, (size_t)a[1], (size_t)a[2],
				   (int)a[3], (void *)a[4]);
	case SYS_process_vm_writev:
		return write_memory((pid_t)a[0], (const struct iovec *)a[1],
				    (unsigned long)a[2],
				    (const struct iovec *)a[3],
				    (unsigned long)a[4], (unsigned long)a[5]);
	default:
		return heap_clone_syscall(number, a);
	}
}

static long
file_call(long number, const long *a)
{
	int r;

	switch (number) {
	case SYS_openat:
		return open_file((int)a[0], (const char *)a[1], (int)a[2],
				 (mode_t)a[3]);
#ifdef SYS_open
	case SYS_open:
		return open_file(AT_FDCWD, (const char *)a[0], (int)a[1],
				 (mode_t)a[2]);
#endif
	case SYS_openat2:
		return open_how((int)a[0], (const char *)a[1],
				(const struct open_how *)a[2], (size_t)a[3]);
	case SYS_fcntl:
		return control((int)a[0], (int)a[1], (uintptr_t)a[2]);
	case SYS_close:
		return close_one((int)a[0]);
	case SYS_close_range:
		return close_many((unsigned)a[0], (unsigned)a[1],
				  (unsigned)a[2]);
#ifdef SYS_dup2
	case SYS_dup2:
		return dup2((int)a[0], (int)a[1]);
#endif
	case SYS_dup3:
		return duplicate((int)a[0], (int)a[1], (int)a[2], SYS_dup3);
	case SYS_io_uring_register:
		r = register_raw(a[0], a[1], a[2], a[3]);
		return r < 0 ? failure(-r) : r;
	default:
		return memory_call(number, a);
	}
}

HEAP_EXPORT long
syscall(long number, ...)
{
	va_list args;
	long a[6];

	va_start(args, number);
	for (unsigned i = 0; i < ARRAY_SIZE(a); i++)
		a[i] = va_arg(args, long);
	va_end(args);
	return file_call(number, a);
}
