/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * arena.c - growing memory for metadata
 *
 * An arena maps its whole reservation once and never moves.  What is usable
 * grows from the start of it:
 *
 *   anonymous	the reservation is private memory without access; growing
 *		gives access to the next bytes, and a page of memory is spent
 *		when it is touched first
 *   in a file	the reservation is one shared mapping that reaches beyond the
 *		end of the file; growing makes the file longer, and the kernel
 *		then finds the new pages under the mapping that is there
 *
 * Invariants.
 *   A1  size is a multiple of the page size, and size <= reserved.
 *   A2  The bytes [base, base + size) can be read and written.  Those of a
 *	 file are allocated on its filesystem: a full filesystem is an error
 *	 from arena_grow(), never a SIGBUS at some later store.
 *   A3  Nobody touches bytes at or after base + size.
 *
 * Cost.  An arena grows by a quarter, and by GROW_MAX at most, so that a small
 * one wastes little and a step of a large one takes bounded time.  Where that
 * is refused it grows by what is needed alone: the last bytes that an account
 * allows are used.  A step of POPULATE_MIN or more is populated at once, which
 * is cheaper than a fault for each page; it is charged in any case.  The arena
 * does not shrink.
 *
 * Huge pages make random access to large maps twice as fast, but would make the
 * first byte cost 2 MiB.  So the mapping has none, until the arena has grown
 * past the end of an aligned 2 MiB: then those are collapsed into one, which
 * takes some 0.3 ms.  Each step of growth does that once at most, and only
 * while the system has memory to spare.
 *
 * Limits.  Under mlockall(MCL_FUTURE) the whole reservation counts against
 * RLIMIT_MEMLOCK, where the process is not exempt from it.
 */
#include "arena.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "util.h"

/* Since Linux 5.14 and 6.1. */
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE	23
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE		25
#endif

#define HUGE_BYTES	(UINT64_C(1) << 21)
#define HUGE_SPARE	(UINT64_C(1) << 26)	/* to be free besides */
#define POPULATE_MIN	(UINT64_C(1) << 16)
#define GROW_PART	4u
#define GROW_MAX	(UINT64_C(1) << 20)

/* @size <= SIZE_MAX - page size. */
static size_t
round_up(size_t size)
{
	size_t mask = (size_t)page_bytes() - 1;

	return (size + mask) & ~mask;
}

/* Map the reservation of an arena whose fd is set. */
static int
arena_map(struct arena *arena, size_t reserve)
{
	bool anonymous = arena->fd < 0;
	void *base;

	if (reserve == 0 || reserve > SIZE_MAX - page_bytes())
		return -EINVAL;
	arena->reserved = round_up(reserve);
	base = mmap(NULL, arena->reserved,
		    anonymous ? PROT_NONE : PROT_READ | PROT_WRITE,
		    MAP_NORESERVE |
		    (anonymous ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED),
		    arena->fd, 0);
	if (base == MAP_FAILED)
		return -errno;
	/* Fails where the kernel has no huge pages, and is not needed there. */
	(void)madvise(base, arena->reserved, MADV_NOHUGEPAGE);
	arena->base = base;
	return 0;
}

int
arena_create(struct arena *arena, int dirfd, const char *name, size_t reserve)
{
	struct arena new = { .fd = -1 };
	int r;

	if (name != NULL) {
		new.fd = openat(dirfd, name, O_RDWR | O_CREAT | O_EXCL |
				O_NOFOLLOW | O_CLOEXEC, 0600);
		if (new.fd < 0)
			return -errno;
	}
	r = arena_map(&new, reserve);
	if (r < 0) {
		if (name != NULL) {
			(void)unlinkat(dirfd, name, 0);
			close(new.fd);
		}
		return r;
	}
	*arena = new;
	return 0;
}

/* The whole pages of a file; a crash can leave a part of one at its end. */
static int
file_size(int fd, size_t most, size_t *ret_size)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	*ret_size = (size_t)min_u64((uint64_t)st.st_size, most) &
		    ~((size_t)page_bytes() - 1);
	return 0;
}

int
arena_open(struct arena *arena, int dirfd, const char *name, size_t reserve)
{
	struct arena new = { .fd = -1 };
	int r;

	new.fd = openat(dirfd, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK |
			O_CLOEXEC);
	if (new.fd < 0)
		return -errno;
	r = arena_map(&new, reserve);
	if (r == 0) {
		r = file_size(new.fd, new.reserved, &new.size);
		if (r < 0)
			(void)munmap(new.base, new.reserved);
	}
	if (r < 0) {
		close(new.fd);
		return r;
	}
	*arena = new;
	return 0;
}

static int
extend(struct arena *arena, size_t target)
{
	size_t n = target - arena->size;
	int r;

	if (arena->fd < 0) {
		if (mprotect(arena->base + arena->size, n,
			     PROT_READ | PROT_WRITE) < 0)
			return -errno;
	} else {
		do {
			r = posix_fallocate(arena->fd, (off_t)arena->size,
					    (off_t)n);
		} while (r == EINTR);
		if (r != 0)
			return -r;
	}
	arena->size = target;
	return 0;
}

void
arena_charge(struct arena *arena, struct arena_account *account)
{
	arena->account = account;
	atomic_fetch_add(&account->used, arena->size);
}

/* Count @n bytes more, if the account allows that. */
static int
account_take(struct arena_account *account, size_t n)
{
	uint64_t used, limit;

	if (account == NULL)
		return 0;
	used = atomic_load(&account->used);
	limit = atomic_load(&account->limit);
	do {
		if (limit != 0 && (used > limit || n > limit - used))
			return -EDQUOT;
	} while (!atomic_compare_exchange_weak(&account->used, &used,
					       used + n));
	return 0;
}

static void
account_give(struct arena_account *account, size_t n)
{
	if (account != NULL)
		atomic_fetch_sub(&account->used, n);
}

/* extend(), if the account allows it. */
static int
extend_charged(struct arena *arena, size_t target)
{
	size_t n = target - arena->size;
	int r = account_take(arena->account, n);

	if (r < 0)
		return r;
	r = extend(arena, target);
	if (r < 0)
		account_give(arena->account, n);
	return r;
}

static bool
memory_to_spare(void)
{
	struct sysinfo info;

	return sysinfo(&info) == 0 &&
	       (uint64_t)info.freeram * info.mem_unit >= HUGE_SPARE;
}

/*
 * Make the next 2 MiB huge, if they end below @used.  Errors do not matter: the
 * kernel has no huge pages (for this filesystem), or none at the moment.
 */
static void
settle(struct arena *arena, size_t used)
{
	uintptr_t base = (uintptr_t)arena->base;
	uintptr_t from = (base + arena->settled + HUGE_BYTES - 1) &
			 ~(uintptr_t)(HUGE_BYTES - 1);
	size_t start = from - base;

	if (start > used || used - start < HUGE_BYTES)
		return;
	arena->settled = start + HUGE_BYTES;
	if (memory_to_spare() &&
	    madvise(arena->base + start, HUGE_BYTES, MADV_HUGEPAGE) == 0)
		(void)madvise(arena->base + start, HUGE_BYTES, MADV_COLLAPSE);
}

int
arena_grow(struct arena *arena, size_t size)
{
	size_t old = arena->size;
	size_t least, step, target;
	int r;

	if (size <= arena->size)
		return 0;
	if (size > arena->reserved)
		return -ENOMEM;
	least = round_up(size);
	step = (size_t)min_u64(arena->size / GROW_PART, GROW_MAX) &
	       ~((size_t)page_bytes() - 1);
	target = (size_t)min_u64(max_u64(least, arena->size + step),
				 arena->reserved);
	r = extend_charged(arena, target);
	if (r < 0 && least < target)
		r = extend_charged(arena, least);
	if (r < 0)
		return r;
	if (arena->size - old >= POPULATE_MIN)
		(void)madvise(arena->base + old, arena->size - old,
			      MADV_POPULATE_WRITE);
	settle(arena, old);
	return 0;
}

void
arena_destroy(struct arena *arena)
{
	(void)munmap(arena->base, arena->reserved);
	account_give(arena->account, arena->size);
	if (arena->fd >= 0)
		close(arena->fd);
	*arena = (struct arena){ .fd = -1 };
}
