/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libswapheap.so: a program's heap in a swapd.
 *
 * swaprun preloads this module, and mimalloc behind it, into a program.  Its
 * constructor connects to the pager, creates an object of the heap's size and
 * gives the mapping to mimalloc as an arena; from then on malloc() and its
 * like, and C++'s operator new, take their memory from there and nowhere else.
 *
 *	heap.c		the arena, and the way to mimalloc
 *	heap-libc.c	the C library behind the overrides; descriptors
 *	heap-release.c	memory that is freed goes back to the pager
 *	heap-calls.c	overrides of calls that name memory or descriptors
 *	heap-wire.c	memory that devices write to
 *	heap-fork.c	what a forked child has of the heap, and faults that
 *			need a sentence
 *	heap-clone.c	overrides of calls that make a process
 *
 * The order of symbols: the program, this module, (the program's libraries,)
 * and mimalloc, which must be preloaded by name too: as a mere dependency of
 * this module it would come after the C library, and malloc() would be that
 * one's.  mimalloc reaches madvise() and mprotect() through the dynamic linker
 * and so meets the overrides here.
 *
 * Facts of mimalloc 2.0.9 that this relies on:
 *
 *   M1	An arena gives memory back (src/arena.c, allow_decommit) only if it was
 *	not committed when it was handed over.
 *   M2	Segments are 32 MiB and so aligned; blocks of up to 16 MiB share them.
 *   M3	With limit_os_alloc no segment comes from the system.  What each thread
 *	needs to know its segments (one page) does.
 *   M4	Memory is never expected to be zero because it has been given back.
 *
 * What is allocated before the constructor runs lies in a segment of system
 * memory, whose free part is used up on purpose: see use_up_system_memory().
 *
 * Limits: alignments above 16 MiB get no memory (they would need M3 undone).
 * A core dump does not have the heap in it, because writing it would read
 * everything back, and the mapping is many times larger than its contents.
 */
#include "heap.h"

#include <errno.h>
#include <link.h>
#include <mimalloc.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ipc/path.h"
#include "util.h"

/* M2 */
#define SEGMENT_BYTES	((size_t)32 << 20)
#define BLOCK_MAX	((size_t)16 << 20)
/* The smallest that needs a span of its own kind (MI_SMALL_OBJ_SIZE_MAX). */
#define BLOCK_MIN	((size_t)16 << 10)
/* No class of blocks has more of them in one segment. */
#define BLOCKS_MAX	4096u
#define RESERVE_TRIES	8u

/* What an exec() of something that cannot run gives in a shell. */
#define EXIT_CANNOT	126

/*
 * The overrides have no context to be handed: this is the process's heap.
 * Written by the constructor and in a forked child, before other threads.
 */
static struct {
	_Atomic uintptr_t	start;		/* 0: no heap */
	uintptr_t		end;
	uintptr_t		code_start;	/* mimalloc's text */
	uintptr_t		code_end;
	struct heap_service	service;
	char			program[64];
	char			pager[PAGER_PATH_SIZE];
} heap;

struct heap_service *
heap_service(void)
{
	return &heap.service;
}

const char *
heap_program(void)
{
	return heap.program;
}

const char *
heap_pager(void)
{
	return heap.pager;
}

bool
heap_range(uintptr_t *ret_start, uintptr_t *ret_end)
{
	*ret_start = atomic_load_explicit(&heap.start, memory_order_acquire);
	*ret_end = heap.end;
	return *ret_start != 0;
}

uint64_t
heap_offset(uintptr_t address)
{
	return address -
	       atomic_load_explicit(&heap.start, memory_order_relaxed);
}

bool
heap_is_mimalloc(const void *code)
{
	return (uintptr_t)code >= heap.code_start &&
	       (uintptr_t)code < heap.code_end;
}

bool
heap_clip(const void *address, size_t length, uintptr_t *ret_start,
	  uintptr_t *ret_end)
{
	uintptr_t low = (uintptr_t)address, high, start, end;
	uintptr_t mask = page_bytes() - 1;

	if (!heap_range(&start, &end) || low >= end)
		return false;
	if (__builtin_add_overflow(low, length, &high) ||
	    __builtin_add_overflow(high, mask, &high))
		high = UINTPTR_MAX;
	low &= ~mask;
	high &= ~mask;
	if (high <= start || length == 0)
		return false;
	*ret_start = low < start ? start : low;
	*ret_end = high > end ? end : high;
	return true;
}

void
heap_say(const char *fmt, ...)
{
	char line[1200];
	va_list args;
	size_t len;

	/* In one write, so that lines of several processes stay whole. */
	va_start(args, fmt);
	format_cut(line, sizeof(line), "swaprun: ");
	len = strlen(line);
	vsnprintf(line + len, sizeof(line) - len - 1, fmt, args);
	va_end(args);
	len = strlen(line);
	line[len++] = '\n';
	if (write(STDERR_FILENO, line, len) < 0)
		return;
}

/* --------------------------------------------------------------- mimalloc */

static int
note_code(struct dl_phdr_info *info, size_t size, void *arg)
{
	/* Its address in the library, not that of a stub here. */
	uintptr_t inside = (uintptr_t)&mi_manage_os_memory, low, high;
	const ElfW(Phdr) *p;

	(void)size;
	(void)arg;
	for (unsigned i = 0; i < info->dlpi_phnum; i++) {
		p = &info->dlpi_phdr[i];
		low = info->dlpi_addr + p->p_vaddr;
		high = low + p->p_memsz;
		if (p->p_type != PT_LOAD || inside < low || inside >= high)
			continue;
		heap.code_start = low;
		heap.code_end = high;
		return 1;
	}
	return 0;
}

static void
set_options(void)
{
	/* Freed memory is given back; the delay is in heap-release.c. */
	mi_option_set(mi_option_allow_decommit, 1);
	mi_option_set(mi_option_decommit_delay, 0);
	mi_option_set(mi_option_segment_decommit_delay, 0);
	mi_option_set(mi_option_abandoned_page_decommit, 1);
	/* What the environment may have set and would work against it. */
	mi_option_set(mi_option_eager_commit, 1);
	mi_option_set(mi_option_page_reset, 0);
	mi_option_set(mi_option_large_os_pages, 0);
	mi_option_set(mi_option_destroy_on_exit, 0);
	mi_option_set(mi_option_limit_os_alloc, 1);
}

/*
 * mimalloc fills a segment before it asks for another.  One that it got before
 * there was a heap would go on serving the program, up to 32 MiB of it, with
 * memory that is not paged.  So take blocks from it, largest first, until none
 * is left; they are never written to, and so cost next to nothing.
 */
static void
use_up_system_memory(void)
{
	uintptr_t start, end;
	void *block;

	for (size_t size = BLOCK_MAX; size >= BLOCK_MIN; size /= 2) {
		for (unsigned i = 0; i < BLOCKS_MAX; i++) {
			block = mi_malloc(size);
			if (block == NULL)
				return;
			if (!heap_clip(block, 1, &start, &end))
				continue;
			mi_free(block);
			break;
		}
	}
}

static int
give_to_mimalloc(struct swap_error *error)
{
	uintptr_t start, end;

	heap_range(&start, &end);
	dl_iterate_phdr(note_code, NULL);
	set_options();
	/* M1: not committed.  Not large pages, zero, of no certain node. */
	if (!mi_manage_os_memory((void *)start, end - start, false, false,
				 true, -1))
		return error_set(error, -ENOMEM, "mimalloc does not take the "
				 "heap: no memory for its tables");
	use_up_system_memory();
	return 0;
}

/* ------------------------------------------------------------------ arena */

/* A place for @size bytes, aligned for mimalloc; nothing is mapped there. */
static void *
find_place(size_t size)
{
	uintptr_t low, place;
	void *p;

	p = mmap(NULL, size + SEGMENT_BYTES, PROT_NONE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return NULL;
	low = (uintptr_t)p;
	place = (low + SEGMENT_BYTES - 1) & ~(SEGMENT_BYTES - 1);
	munmap(p, size + SEGMENT_BYTES);
	return (void *)place;
}

static int
map_object(size_t size, struct swap_error *error)
{
	void *place;
	int r = -ENOMEM;

	for (unsigned try = 0; try < RESERVE_TRIES; try++) {
		place = find_place(size);
		if (place == NULL)
			return error_set(error, -ENOMEM, "no address space for "
					 "a heap of %zu MiB: ask for less with "
					 "--heap, or raise the limit (ulimit "
					 "-v)", size >> 20);
		/* Another thread may have been faster. */
		r = swap_client_map(heap.service.object, place, 0, size,
				    &heap.service.region, error);
		if (r != -EEXIST)
			break;
	}
	if (r < 0)
		return r;
	heap.end = (uintptr_t)place + size;
	atomic_store_explicit(&heap.start, (uintptr_t)place,
			      memory_order_release);
	madvise(place, size, MADV_DONTDUMP);
	return 0;
}

/* Nothing has been allocated in it yet. */
static void
close_heap(void)
{
	atomic_store(&heap.start, 0);
	if (heap.service.region != NULL)
		swap_client_unmap(heap.service.region);
	heap.service.region = NULL;
	swap_client_close(heap.service.client);
}

/* What swaprun has been told of limits. */
static int
read_limit(const char *name, uint64_t *bytes, struct swap_error *error)
{
	const char *text = getenv(name);

	*bytes = 0;
	if (text != NULL && parse_size(text, bytes) < 0)
		return error_set(error, -EINVAL, "%s is '%s': not a size",
				 name, text);
	return 0;
}

static int
set_limits(struct swap_client *client, struct swap_error *error)
{
	uint64_t ram, swap;
	int r = read_limit("SWAPRUN_RAM_LIMIT", &ram, error);

	if (r == 0)
		r = read_limit("SWAPRUN_SWAP_LIMIT", &swap, error);
	if (r < 0 || (ram == 0 && swap == 0))
		return r;
	return swap_client_limit(client, ram, swap, error);
}

static int
open_heap(const char *pager, size_t size, struct swap_error *error)
{
	int r;

	r = path_client(pager, heap.pager, error);
	if (r == 0)
		r = swap_client_connect(heap.pager, &heap.service.client,
					error);
	if (r < 0)
		return r;
	r = set_limits(heap.service.client, error);
	if (r == 0)
		r = swap_client_object_create(heap.service.client, NULL, size,
					      0, &heap.service.object, error);
	if (r == 0)
		r = map_object(size, error);
	/*
	 * Threads are made before mimalloc has the arena, so that what the C
	 * library allocates for them is not in it.
	 */
	if (r == 0)
		r = heap_release_start();
	if (r == 0)
		r = heap_fork_start();
	if (r == 0)
		r = give_to_mimalloc(error);
	if (r < 0)
		close_heap();
	return r;
}

/* Whom swaprun has started, or a program that this one has executed? */
static bool
is_first(void)
{
	const char *first = getenv("SWAPRUN_PID");
	int64_t pid;

	return first != NULL && parse_i64(first, 1, INT32_MAX, &pid) == 0 &&
	       pid == getpid();
}

/*
 * Nothing may use ordinary memory unnoticed: the program that was asked for
 * does not run then.  What it executes in its turn does, or it would fail in
 * ways that nobody understands when its swapd has ended before it.
 */
static void
fail(const struct swap_error *error, int r)
{
	const char *why = error->message[0] != '\0' ? error->message
						    : strerror(-r);

	if (is_first()) {
		heap_say("cannot run '%s': %s", heap.program, why);
		_exit(EXIT_CANNOT);
	}
	heap_say("the heap of '%s' (process %d) is ordinary memory: %s",
		 heap.program, (int)getpid(), why);
}

__attribute__((constructor)) static void
start(void)
{
	struct swap_error error = { 0 };
	const char *pager = getenv("SWAPRUN_PAGER");
	const char *text = getenv("SWAPRUN_HEAP");
	sigset_t all, before;
	int saved = errno, r;
	uint64_t size;

	heap_libc();
	format_cut(heap.program, sizeof(heap.program), "%s",
		   program_invocation_short_name);
	if (pager == NULL || text == NULL)
		return;
	/* Threads are born with this; signals are for the program's own. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = parse_size(text, &size);
	if (r < 0 || size < 2 * SEGMENT_BYTES)
		r = error_set(&error, -EINVAL, "SWAPRUN_HEAP is '%s': not a "
			      "size, or less than 64 MiB", text);
	else
		r = open_heap(pager, size & ~(SEGMENT_BYTES - 1), &error);
	if (r < 0)
		fail(&error, r);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	errno = saved;
}
