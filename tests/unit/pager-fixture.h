/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pager-fixture.h - a pager in the test's own process, its devices, memory
 * with known contents, and faults on demand; for test-pager*.c
 *
 * A page is filled with numbers made from what it is, so that a lost, stale,
 * crossed or torn page cannot look right.  Devices are files in $TMPDIR, else
 * /var/tmp.  Faults come from device_read, device_write, pwrite_full, madvise
 * and ioctl of pager-fixture.c, which the linker puts before the real ones (--wrap).
 */
#ifndef PAGER_FIXTURE_H
#define PAGER_FIXTURE_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "pager-impl.h"
#include "pager.h"
#include "swap.h"

#define MIB		(UINT64_C(1) << 20)
#define PAGE		4096u
#define WORDS		(PAGE / sizeof(uint64_t))
#define THREADS		3u		/* fault threads */

/* ------------------------------------------------------------------ faults */

/* Blocks are those of the device, pages of 4096 bytes. */
struct fault {
	_Atomic uint64_t read_lo, read_hi;	/* reads of these fail */
	_Atomic uint64_t write_lo, write_hi;	/* writes to these fail */
	_Atomic unsigned write_hits;		/* that touched such a block */
	_Atomic unsigned read_slow, write_slow;	/* microseconds each */
	atomic_bool	 vanish;		/* the next I/O finds no device */
	_Atomic int	 put_errno;		/* writes to a memfd fail */
	_Atomic int	 populate_errno;	/* and giving it pages, ... */
	_Atomic unsigned first_pages;		/* ... behind so many, ... */
	void		(*meanwhile)(void);	/* ... after this */
	_Atomic unsigned long request;		/* this ioctl fails ... */
	_Atomic int	 request_errno;		/* ... with this, ... */
	_Atomic int	 request_times;		/* ... so many times */
	_Atomic unsigned unprotect_slow;	/* microseconds, before it is
						   lifted */
	atomic_bool	 one_vma;		/* an older kernel, and every
						   page is a vma of its own */
	_Atomic unsigned chaos;			/* seed of random refusals */
};

extern struct fault fault;

uint64_t next_random(uint64_t *state);
/* A random number of the calling thread; 0 where there is no chaos. */
uint64_t chaos(void);

/* Touch a page: does it give SIGBUS, or SIGSEGV? */
bool gives_bus(const void *at, bool write);
/* The same as a thread: @at, or NULL if it does not. */
void *bus_main(void *at);

/* -------------------------------------------------------------- environment */

#define DEVICES		4u
#define OBJECTS		16u

struct env {
	struct swap_pager *pager;
	char		dir[64];
	char		device[DEVICES][80];
	pthread_mutex_t	lock;
	char		log[16384];	/* (lock) all messages, newlines */
	int		memfd[OBJECTS];	/* watched by the sampler */
	_Atomic unsigned nmemfds;
	_Atomic uint64_t most_pages;	/* that the sampler has seen */
	atomic_bool	stop;
};

extern unsigned cluster;	/* pages, of the next pager; 0: as it likes */

/* The RAM of which the cache leaves @bytes to pages. */
uint64_t ram_for(uint64_t bytes);
/* Is the next pager's RAM just that?  Else it is what its pages have. */
extern bool exact_ram;

struct env *env_new(uint64_t ram, unsigned flags);
/* All objects must have gone by now: is anything left behind?  Then end. */
void env_end(struct env *env);
/* What is left when the pager itself has ended. */
void env_free(struct env *env);

/* How often the log has @text. */
unsigned logged(struct env *env, const char *text);
/* Fail with the sentence. */
void check_ok(int rc, const struct swap_error *error);

int attach(struct env *env, unsigned i, uint64_t bytes,
	   struct swap_error *error);
void must_attach(struct env *env, unsigned i, uint64_t bytes);

struct swap_stats stats_of(struct env *env);
/* The statistics alone, without what must be freed. */
struct swap_stats totals_of(struct env *env);
/*
 * Bytes in use on devices and held by maps must be the same, once quiet, and so
 * must references to words.
 */
void check_blocks(struct env *env);
/* As much is set aside as reserved pages have no block, once quiet (P6). */
void check_reserved(struct env *env);

/* ------------------------------------------------------ objects and memory */

struct area {
	struct swap_object *object;
	struct swap_region *region;
	uint64_t	*mem;
	uint64_t	 npages;
	uint64_t	 id;		/* goes into the pattern */
};

struct area area_new(struct env *env, uint64_t npages, unsigned flags);
/* A copy; the pattern in it has the number @id. */
struct area area_copy(struct swap_object *source, uint64_t id);
void area_end(struct area *a);
struct swap_object_stats stats_of_area(struct env *env, const struct area *a);
/* Pages that a fork copy has in its source alone. */
uint64_t pages_shared(const struct area *a);

/*
 * The pattern: version 0 is zeros.  With one of these bits a version is one
 * word, repeated: the page's own, or one of SHARED_WORDS for all pages.
 */
#define VERSION_OWN	(1u << 31)
#define VERSION_SHARED	(1u << 30)
#define SHARED_WORDS	6u
/* In one of three cases one of them, for those who do not mind. */
uint32_t random_version(uint64_t random, uint32_t version);
void put(uint64_t *at, uint64_t id, uint64_t page, uint32_t version);
/* Words that are not as they were written. */
uint64_t wrong(const uint64_t *at, uint64_t id, uint64_t page,
	       uint32_t version);
void write_pages(const struct area *a, uint64_t page, uint64_t n,
		 uint32_t version);
void check_pages(const struct area *a, uint64_t page, uint64_t n,
		 uint32_t version);

/*
 * The block of a page, counted from the beginning of the only device, or what
 * the map says instead.
 */
uint64_t block_of(const struct area *a, uint64_t page);
bool in_ram(const struct swap_object *object, uint64_t page);
/* Wait until none of these is in RAM, with @other to push them out. */
void push_out(const struct area *a, uint64_t page, uint64_t n,
	      const struct area *other);

/* ------------------------------------------------------------------ budget */

/* A thread that looks how many pages the watched memfds have. */
void *sampler_main(void *env);
void watch(struct env *env, const struct area *a);
/* A page is counted before it gets memory, so the budget holds always. */
void check_budget(struct env *env, uint64_t ram);

/* -------------------------------------------------------------- full space */

/* A thread that writes pages; those that give SIGBUS are counted. */
struct filler {
	const struct area *a;
	uint64_t	 first, n;
	uint32_t	 version;
	unsigned	 nbus;
	atomic_bool	 done;
};

void *filler_main(void *filler);
/* Wait until page-out has nowhere to go, and somebody waits for it. */
void wait_full(struct env *env);

/* ------------------------------------------------------------------- group */

/* Setup of every test: skip with the reason, or start a watchdog. */
int start_watchdog(void **state);

#define TEST(name) cmocka_unit_test_setup(test_##name, start_watchdog)

#endif
