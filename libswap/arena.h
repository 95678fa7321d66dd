/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * arena.h - growing memory for metadata, anonymous or in a file (floor 1)
 *
 * Swap maps live in an arena and refer to their nodes by index, so that a
 * successor process can map the same file and read them, whatever address it
 * gets.  An arena reserves address space for its largest size at once and
 * never moves: pointers into it stay valid.
 */
#ifndef SWAP_ARENA_H
#define SWAP_ARENA_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* What several arenas may hold together. */
struct arena_account {
	_Atomic uint64_t used;		/* bytes */
	_Atomic uint64_t limit;		/* 0: none */
};

struct arena {
	char	*base;
	size_t	 size;		/* usable now, whole pages */
	size_t	 reserved;	/* address space, the most it can grow to */
	size_t	 settled;	/* made of huge pages, or tried, up to here */
	int	 fd;		/* -1: anonymous */
	struct arena_account *account;	/* NULL: none */
};

/*
 * Create an empty arena: nothing is usable before arena_grow().
 *
 * @dirfd, @name  the file to create (mode 0600, O_EXCL); NULL name: anonymous
 * @reserve       most bytes it may grow to, at least 1; costs address space
 *
 * Errors: -EEXIST and what openat(2) and mmap(2) give; no file is left then.
 */
int arena_create(struct arena *arena, int dirfd, const char *name,
		 size_t reserve);

/*
 * Map an existing file read-write as it is, at most @reserve bytes of it.
 * Errors: -EINVAL no regular file; what openat(2) and mmap(2) give.
 */
int arena_open(struct arena *arena, int dirfd, const char *name,
	       size_t reserve);

/*
 * Count what the arena holds, and will hold, in @account, which must live
 * longer than the arena.  Growing beyond the account's limit is refused with
 * -EDQUOT; what is held already stays, whatever the limit.
 */
void arena_charge(struct arena *arena, struct arena_account *account);

/*
 * Make at least @size bytes usable; those that the file did not have before
 * are zero.  May make more usable than asked for.  On failure nothing changes.
 * Errors: -ENOMEM beyond the reservation, or no memory; -EDQUOT the account;
 * -ENOSPC and whatever else extending the file gives.
 */
int arena_grow(struct arena *arena, size_t size);

/* Unmap and close; the file, if any, stays until it is unlinked. */
void arena_destroy(struct arena *arena);

#endif
