/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * heap.h - what the files of libswapheap.so share (floor 8)
 *
 * Nothing here is visible to the program that the module is preloaded into;
 * what it overrides is marked HEAP_EXPORT and listed in libswapheap.map.
 */
#ifndef SWAP_HEAP_H
#define SWAP_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "compiler.h"
#include "swap.h"

#define HEAP_EXPORT	__attribute__((visibility("default")))

#pragma GCC visibility push(hidden)

/* The C library's own functions, behind whatever overrides them. */
struct heap_libc {
	int	 (*open)(const char *, int, ...);
	int	 (*openat)(int, const char *, int, ...);
	int	 (*fcntl)(int, int, ...);
	int	 (*close)(int);
	long	 (*syscall)(long, ...);
};

/* Found at the first call, which does not allocate. */
const struct heap_libc *heap_libc(void);

/* Is this one of the descriptors that the heap depends on? */
bool heap_owns_fd(int fd);
/* The next one of [first, last], or -1. */
int heap_next_fd(unsigned first, unsigned last);

/*
 * From open to close, the module allocates from a pool; what was allocated
 * from it before is gone.
 */
void heap_pool_open(void);
void heap_pool_close(void);

/*
 * From defer to start, a thread that the client makes is not made, but noted.
 * 0, or a negative errno.
 */
void heap_threads_defer(void);
int heap_threads_start(void);

/* ------------------------------------------------------------------ arena */

/*
 * The part of [address, address + length) that lies in the heap's object,
 * widened to whole pages; false if none does.
 */
bool heap_clip(const void *address, size_t length, uintptr_t *ret_start,
	       uintptr_t *ret_end);

/* The arena as a whole: true once there is one. */
bool heap_range(uintptr_t *ret_start, uintptr_t *ret_end);

/* Is this code address within mimalloc? */
bool heap_is_mimalloc(const void *code);

/* Offset in the region of an address in the arena. */
uint64_t heap_offset(uintptr_t address);

/* The region, the object and the connection that serve the arena now. */
struct heap_service {
	struct swap_client		*client;
	struct swap_client_object	*object;
	struct swap_client_region	*region;	/* NULL: none */
};

struct heap_service *heap_service(void);

/* "swaprun: SENTENCE" on standard error, without stdio or allocation. */
void heap_say(const char *fmt, ...) swap_printf(1, 2);

/* The program's name, and its pager's socket. */
const char *heap_program(void);
const char *heap_pager(void);

/* ---------------------------------------------------------------- release */

/* Start the thread that gives freed memory back; 0 or a negative errno. */
int heap_release_start(void);

/* mimalloc does not need what is in this range any more. */
void heap_release_later(uintptr_t start, uintptr_t end);

/* mimalloc is about to use this range again. */
void heap_release_forget(uintptr_t start, uintptr_t end);

/* Give up now; the range reads as zeros when this returns. */
void heap_release_now(uintptr_t start, uintptr_t end);

/* Around fork(): no release is under way from one to the other. */
void heap_release_prepare(void);
void heap_release_parent(void);
void heap_release_child(void);

/* ------------------------------------------------------------------- fork */

/* Handlers for fork(), and for faults that need a sentence. */
int heap_fork_start(void);

/*
 * What these handlers do, for whoever makes a child without them: prepare,
 * then the system call, then one of the others, on the same thread and not on
 * a stack in the heap.  @shares_files: the child has its parent's descriptors
 * (CLONE_FILES).
 */
void heap_fork_prepare(bool shares_files);
void heap_fork_parent(void);
void heap_fork_child(void);

/*
 * Around a call that forks, on the same thread.  @pid: what it returned.  0, or
 * a negative errno in the parent if there could be no copy: then the child has
 * ended and been waited for.
 */
void heap_fork_enter(void);
int heap_fork_leave(pid_t pid);

/* ------------------------------------------------------------------ clone */

/*
 * fork(2), clone(2) or clone3(2) by number, whose child returns here; another
 * system call, or one whose child does not, is just made.
 */
long heap_clone_syscall(long number, const long a[6]);

/* ------------------------------------------------------------------- wire */

/*
 * Keep the part of [address, address + length) in RAM that is in the heap.
 * Pairs of calls nest.  0, or a negative errno.
 */
int heap_wire(const void *address, size_t length);
void heap_unwire(const void *address, size_t length);

/*
 * io_uring_register(2) and those of its operations that pin memory.  @key
 * names the ring among all others; @call is made once all is wired, and returns
 * a negative errno on failure, as this does.
 */
typedef int heap_uring_call(void *arg);

#define HEAP_REGISTER_PBUF_RING		22u
#define HEAP_UNREGISTER_PBUF_RING	23u

/* Rings of buffers, of Linux 5.19 and later; older headers lack them. */
struct heap_pbuf_ring {
	uint64_t	ring_addr;
	uint32_t	ring_entries;
	uint16_t	bgid;
	uint16_t	flags;
	uint64_t	reserved[3];
};

int heap_uring_register(uintptr_t key, unsigned opcode, const void *arg,
			unsigned nr, heap_uring_call *call, void *call_arg);
/* The ring of this key has been closed. */
void heap_uring_closed(uintptr_t key);

/* In a forked child, which has none of all that. */
void heap_wire_child(void);

#pragma GCC visibility pop

#endif
