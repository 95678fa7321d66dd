/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The C library behind the heap.
 *
 * The client of swapd is part of this module and must stay out of the memory
 * that it serves: it is called where mimalloc gives memory back, and it must
 * be able to work while a page of the heap waits for swapd.  Therefore the
 * module is linked with --wrap for the functions below: its own calls do not go
 * through its overrides of close() and others, and what it allocates is mapped,
 * piece by piece.  That is what a child needs whose heap is to be brought back
 * in the middle of fork(), where the C library's allocator is locked; a client
 * has a handful of pieces, so whole pages for each are no waste.
 *
 * Descriptors.  A program that closes descriptors that it has not opened, as
 * daemons do, or puts a file on a number of its choice, as shells do, would
 * lose its memory with the connection to swapd.  Those of the client are
 * moved to high numbers as they appear, and are known here; the overrides of
 * close() and its like do as if they were not open.
 *
 * Cost: one table look-up for each close() of a high number.
 */
#include "heap.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "uffd.h"
#include "util.h"

/* The linker's names for what the module would call otherwise. */
int __real_socket(int domain, int type, int protocol);
int __real_eventfd(unsigned count, int flags);
int __real_epoll_create1(int flags);
int __real_memfd_create(const char *name, unsigned flags);
int __real_pipe2(int fds[2], int flags);
int __real_ioctl(int fd, unsigned long request, ...);
ssize_t __real_recvmsg(int fd, struct msghdr *msg, int flags);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
			  void *(*run)(void *), void *arg);

#pragma GCC visibility push(hidden)

/* Descriptors of the heap: a handful, and some to spare. */
#define FDS_MAX		64u
/* Where their numbers begin, below the limit: out of reach of select(). */
#define FDS_CEILING	1024u

/* What a client with one object and one region allocates, and more. */
#define POOL_BYTES	((size_t)64 << 10)

/*
 * Overrides have no context to be handed, so these are the process's.
 */
static struct heap_libc real;
static atomic_bool real_ready;

/* A slot holds a descriptor plus one; 0: free. */
static _Atomic int owned[FDS_MAX];

/* A thread to be made later; there is one in a client. */
static struct {
	bool	 deferring;
	void	*(*run)(void *);
	void	*arg;
} thread_later;

static void *
find(const char *name)
{
	void *function = dlsym(RTLD_NEXT, name);

	if (function == NULL)
		abort();
	return function;
}

/* A data pointer is a function pointer here, as POSIX wants of dlsym(). */
#define FIND(member) (*(void **)(void *)&real.member = find(#member))

/*
 * The first caller is mimalloc, on its way to being able to allocate: nothing
 * here may.  Others may override these functions too, and are asked in turn.
 */
const struct heap_libc *
heap_libc(void)
{
	if (swap_likely(atomic_load_explicit(&real_ready,
					     memory_order_acquire)))
		return &real;
	FIND(open);
	FIND(openat);
	FIND(fcntl);
	FIND(close);
	FIND(syscall);
	atomic_store_explicit(&real_ready, true, memory_order_release);
	return &real;
}

/* ------------------------------------------------------------ descriptors */

bool
heap_owns_fd(int fd)
{
	for (unsigned i = 0; i < FDS_MAX; i++)
		if (atomic_load_explicit(&owned[i], memory_order_relaxed) ==
		    fd + 1)
			return fd >= 0;
	return false;
}

int
heap_next_fd(unsigned first, unsigned last)
{
	int fd, best = -1;

	for (unsigned i = 0; i < FDS_MAX; i++) {
		fd = atomic_load_explicit(&owned[i], memory_order_relaxed) - 1;
		if (fd >= 0 && (unsigned)fd >= first && (unsigned)fd <= last &&
		    (best < 0 || fd < best))
			best = fd;
	}
	return best;
}

static void
disown_fd(int fd)
{
	int expected;

	for (unsigned i = 0; i < FDS_MAX; i++) {
		expected = fd + 1;
		if (atomic_compare_exchange_strong(&owned[i], &expected, 0))
			return;
	}
}

static int
own_fd_min(void)
{
	struct rlimit limit;
	rlim_t top = FDS_CEILING;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < top)
		top = limit.rlim_cur;
	return top > FDS_MAX ? (int)(top - FDS_MAX) : 0;
}

/* Move @fd up and know it from now on; returns its new number. */
static int
own_fd(int fd)
{
	int expected, high;

	if (fd < 0)
		return fd;
	high = heap_libc()->fcntl(fd, F_DUPFD_CLOEXEC, own_fd_min());
	if (high >= 0) {
		heap_libc()->close(fd);
		fd = high;
	}
	for (unsigned i = 0; i < FDS_MAX; i++) {
		expected = 0;
		if (atomic_compare_exchange_strong(&owned[i], &expected,
						   fd + 1))
			break;
	}
	return fd;
}

/* ----------------------------------------- what the module itself calls */

/* The linker's names for calls from within the module; see --wrap in ld(1). */
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
void __wrap_free(void *p);
char *__wrap_strdup(const char *s);
char *__wrap_strndup(const char *s, size_t n);
int __wrap_vasprintf(char **ret, const char *fmt, va_list args)
	swap_printf(2, 0);
int __wrap_asprintf(char **ret, const char *fmt, ...) swap_printf(2, 3);
int __wrap___vasprintf_chk(char **ret, int flag, const char *fmt,
			   va_list args) swap_printf(3, 0);
int __wrap___asprintf_chk(char **ret, int flag, const char *fmt, ...)
	swap_printf(3, 4);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);
int __wrap_openat(int dir, const char *path, int flags, ...);
int __wrap_openat64(int dir, const char *path, int flags, ...);
int __wrap_fcntl(int fd, int command, ...);
int __wrap_fcntl64(int fd, int command, ...);
int __wrap_close(int fd);
int __wrap_socket(int domain, int type, int protocol);
int __wrap_eventfd(unsigned count, int flags);
int __wrap_epoll_create1(int flags);
int __wrap_memfd_create(const char *name, unsigned flags);
int __wrap_pipe2(int fds[2], int flags);
int __wrap_ioctl(int fd, unsigned long request, ...);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
			  void *(*run)(void *), void *arg);
long __wrap_syscall(long number, ...);
ssize_t __wrap_recvmsg(int fd, struct msghdr *msg, int flags);
void *__wrap_mmap(void *address, size_t length, int prot, int flags, int fd,
		  off_t offset);
void *__wrap_mmap64(void *address, size_t length, int prot, int flags, int fd,
		    off_t offset);
int __wrap_munmap(void *address, size_t length);
int __wrap_madvise(void *address, size_t length, int advice);
int __wrap_mprotect(void *address, size_t length, int prot);

/* What stands before each piece; keeps it aligned as malloc(3) promises. */
union piece {
	size_t		bytes;		/* mapped, or taken from the pool */
	max_align_t	align;
};

/*
 * A child that maps its heap where its parent's was must not find something
 * there that has been mapped meanwhile: then pieces come from here.
 */
static struct {
	union piece	memory[POOL_BYTES / sizeof(union piece)];
	size_t		used;		/* of them */
	bool		open;
} pool;

void
heap_pool_open(void)
{
	pool.used = 0;
	pool.open = true;
}

void
heap_pool_close(void)
{
	pool.open = false;
}

static bool
in_pool(const union piece *piece)
{
	return piece >= pool.memory &&
	       piece < pool.memory + ARRAY_SIZE(pool.memory);
}

static union piece *
take_from_pool(size_t size)
{
	size_t n = 1 + (size + sizeof(union piece) - 1) / sizeof(union piece);
	union piece *piece = &pool.memory[pool.used];

	if (!pool.open || size > POOL_BYTES ||
	    n > ARRAY_SIZE(pool.memory) - pool.used)
		return NULL;
	pool.used += n;
	memset(piece, 0, n * sizeof(*piece));
	piece->bytes = n * sizeof(*piece);
	return piece + 1;
}

static size_t
piece_bytes(size_t size)
{
	size_t mask = page_bytes() - 1;

	if (size > SIZE_MAX / 2)
		return 0;
	return (size + sizeof(union piece) + mask) & ~mask;
}

void *
__wrap_malloc(size_t size)
{
	size_t bytes = piece_bytes(size);
	union piece *piece = take_from_pool(size);

	if (piece != NULL)
		return piece;
	piece = bytes == 0 ? MAP_FAILED
			   : __wrap_mmap(NULL, bytes, PROT_READ | PROT_WRITE,
					 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (piece == MAP_FAILED) {
		errno = ENOMEM;
		return NULL;
	}
	piece->bytes = bytes;
	return piece + 1;
}

void *
__wrap_calloc(size_t n, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(n, size, &bytes))
		bytes = SIZE_MAX;
	return __wrap_malloc(bytes);
}

static void *
move_piece(union piece *piece, size_t size)
{
	void *copy = __wrap_malloc(size);

	if (copy != NULL) {
		memcpy(copy, piece + 1,
		       min_u64(size, piece->bytes - sizeof(*piece)));
		__wrap_free(piece + 1);
	}
	return copy;
}

void *
__wrap_realloc(void *p, size_t size)
{
	union piece *piece = p;

	if (p == NULL)
		return __wrap_malloc(size);
	piece--;
	if (size <= piece->bytes - sizeof(*piece))
		return p;
	return move_piece(piece, size);
}

void *
__wrap_reallocarray(void *p, size_t n, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(n, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	return __wrap_realloc(p, bytes);
}

void
__wrap_free(void *p)
{
	union piece *piece = p;
	int saved = errno;

	if (p == NULL)
		return;
	piece--;
	if (!in_pool(piece))
		__wrap_munmap(piece, piece->bytes);
	errno = saved;
}

char *
__wrap_strndup(const char *s, size_t n)
{
	size_t len = strnlen(s, n);
	char *copy = __wrap_malloc(len + 1);

	if (copy != NULL) {
		memcpy(copy, s, len);
		copy[len] = '\0';
	}
	return copy;
}

char *
__wrap_strdup(const char *s)
{
	return __wrap_strndup(s, strlen(s));
}

int
__wrap_vasprintf(char **ret, const char *fmt, va_list args)
{
	va_list again;
	int n;

	va_copy(again, args);
	n = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	if (n < 0)
		return -1;
	*ret = __wrap_malloc((size_t)n + 1);
	if (*ret == NULL)
		return -1;
	return vsnprintf(*ret, (size_t)n + 1, fmt, args);
}

int
__wrap_asprintf(char **ret, const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = __wrap_vasprintf(ret, fmt, args);
	va_end(args);
	return n;
}

int
__wrap___vasprintf_chk(char **ret, int flag, const char *fmt, va_list args)
{
	(void)flag;
	return __wrap_vasprintf(ret, fmt, args);
}

int
__wrap___asprintf_chk(char **ret, int flag, const char *fmt, ...)
{
	va_list args;
	int n;

	(void)flag;
	va_start(args, fmt);
	n = __wrap_vasprintf(ret, fmt, args);
	va_end(args);
	return n;
}

/* Opened files are owned: among them is /dev/userfaultfd. */
int
__wrap_openat(int dir, const char *path, int flags, ...)
{
	va_list args;
	mode_t mode;

	va_start(args, flags);
	mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(args, mode_t) : 0;
	va_end(args);
	return own_fd(heap_libc()->openat(dir, path, flags, mode));
}

int
__wrap_openat64(int dir, const char *path, int flags, ...)
{
	va_list args;
	mode_t mode;

	va_start(args, flags);
	mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(args, mode_t) : 0;
	va_end(args);
	return __wrap_openat(dir, path, flags, mode);
}

int
__wrap_open(const char *path, int flags, ...)
{
	va_list args;
	mode_t mode;

	va_start(args, flags);
	mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(args, mode_t) : 0;
	va_end(args);
	return __wrap_openat(AT_FDCWD, path, flags, mode);
}

int
__wrap_open64(const char *path, int flags, ...)
{
	va_list args;
	mode_t mode;

	va_start(args, flags);
	mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(args, mode_t) : 0;
	va_end(args);
	return __wrap_openat(AT_FDCWD, path, flags, mode);
}

int
__wrap_fcntl(int fd, int command, ...)
{
	va_list args;
	void *arg;
	int r;

	va_start(args, command);
	arg = va_arg(args, void *);
	va_end(args);
	r = heap_libc()->fcntl(fd, command, arg);
	return command == F_DUPFD || command == F_DUPFD_CLOEXEC ? own_fd(r)
								 : r;
}

int
__wrap_fcntl64(int fd, int command, ...)
{
	va_list args;
	void *arg;

	va_start(args, command);
	arg = va_arg(args, void *);
	va_end(args);
	return __wrap_fcntl(fd, command, arg);
}

int
__wrap_close(int fd)
{
	disown_fd(fd);
	return heap_libc()->close(fd);
}

int
__wrap_socket(int domain, int type, int protocol)
{
	return own_fd(__real_socket(domain, type, protocol));
}

int
__wrap_eventfd(unsigned count, int flags)
{
	return own_fd(__real_eventfd(count, flags));
}

int
__wrap_epoll_create1(int flags)
{
	return own_fd(__real_epoll_create1(flags));
}

int
__wrap_memfd_create(const char *name, unsigned flags)
{
	return own_fd(__real_memfd_create(name, flags));
}

int
__wrap_pipe2(int fds[2], int flags)
{
	int r = __real_pipe2(fds, flags);

	if (r == 0) {
		fds[0] = own_fd(fds[0]);
		fds[1] = own_fd(fds[1]);
	}
	return r;
}

int
__wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list args;
	void *arg;
	int r;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	r = __real_ioctl(fd, request, arg);
	return request == USERFAULTFD_IOC_NEW ? own_fd(r) : r;
}

long
__wrap_syscall(long number, ...)
{
	va_list args;
	long a[6], r;

	va_start(args, number);
	for (unsigned i = 0; i < ARRAY_SIZE(a); i++)
		a[i] = va_arg(args, long);
	va_end(args);
	r = heap_libc()->syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
	return number == SYS_userfaultfd ? own_fd((int)r) : r;
}

ssize_t
__wrap_recvmsg(int fd, struct msghdr *msg, int flags)
{
	ssize_t n = __real_recvmsg(fd, msg, flags);
	struct cmsghdr *c;
	int received;

	if (n < 0 || (flags & MSG_PEEK) != 0)
		return n;
	for (c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (unsigned char *p = CMSG_DATA(c);
		     p + sizeof(received) <=
		     (unsigned char *)c + c->cmsg_len;
		     p += sizeof(received)) {
			memcpy(&received, p, sizeof(received));
			received = own_fd(received);
			memcpy(p, &received, sizeof(received));
		}
	}
	return n;
}

/* ---------------------------------------------------------------- threads */

/*
 * The C library allocates a thread's table of local storage with malloc(),
 * that is, in the heap; while the heap is not there yet, none can be made.
 */
void
heap_threads_defer(void)
{
	thread_later.deferring = true;
}

int
heap_threads_start(void)
{
	void *(*run)(void *) = thread_later.run;
	pthread_t thread;

	thread_later.deferring = false;
	thread_later.run = NULL;
	if (run == NULL)
		return 0;
	return -__real_pthread_create(&thread, NULL, run, thread_later.arg);
}

int
__wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
		      void *(*run)(void *), void *arg)
{
	if (!thread_later.deferring)
		return __real_pthread_create(thread, attr, run, arg);
	thread_later.run = run;
	thread_later.arg = arg;
	*thread = pthread_self();
	return 0;
}

/* ----------------------------------------------------------------- memory */

/* System calls that are no cancellation points need no C library. */
void *
__wrap_mmap(void *address, size_t length, int prot, int flags, int fd,
	    off_t offset)
{
	long r = heap_libc()->syscall(SYS_mmap, address, length, (long)prot,
				      (long)flags, (long)fd, offset);

	return (void *)r;
}

void *
__wrap_mmap64(void *address, size_t length, int prot, int flags, int fd,
	      off_t offset)
{
	return __wrap_mmap(address, length, prot, flags, fd, offset);
}

int
__wrap_munmap(void *address, size_t length)
{
	return (int)heap_libc()->syscall(SYS_munmap, address, length);
}

int
__wrap_madvise(void *address, size_t length, int advice)
{
	return (int)heap_libc()->syscall(SYS_madvise, address, length,
					 (long)advice);
}

int
__wrap_mprotect(void *address, size_t length, int prot)
{
	return (int)heap_libc()->syscall(SYS_mprotect, address, length,
					 (long)prot);
}

#pragma GCC visibility pop
