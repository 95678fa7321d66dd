/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * object.h - memory objects: references, page states, swap map (floor 4)
 *
 * The page-state machine.  A page of an object is in one of these states,
 * and may be BUSY on top, while one thread moves it to the next:
 *
 *	EMPTY	 never written: no memory, no block, reads as zeros
 *	SWAPPED	 its only copy is its block
 *	CLEAN	 in the memfd, write-protected in every region; its block, if
 *		 it has one, holds the same
 *	DIRTY	 in the memfd, no block; may be written at any time
 *	POISON	 lost: whoever touches it gets SIGBUS.  Also what a copy could
 *		 not take from its source, and what did not fit (FULL_FAILS)
 *
 *	        fault_zero                  fault_write
 *	EMPTY ------------> DIRTY <------------------------- CLEAN
 *	  ^                  ^ |  pageout writes               | ^
 *	  | release          | +-----------------+   pageout   | |
 *	  | (from any)       |                   |   drops     | | fault_in
 *	  |    write fault,  |                   v             | | (read)
 *	  +--- pageback -----+---------------- SWAPPED <-------+ |
 *	                                         | |             |
 *	                      read error: POISON + +-------------+
 *
 * Invariants, at any moment when a page is not BUSY:
 *
 *	P1  SWAPPED: the map has its block and the memfd has a hole there;
 *	P2  CLEAN: in the memfd, and no region lets it be written;
 *	P3  DIRTY: in the memfd, and the map has no block;
 *	P4  EMPTY: a hole in the memfd, and no block;
 *	P5  POISON: the map says SWAPMAP_POISON.
 *
 * Who sets BUSY owns the page: nobody else changes its state, its map entry
 * or its memory until it clears BUSY.  A fault on a busy page never waits: it
 * marks the page WANTED and leaves the faulting thread asleep; who clears
 * BUSY wakes the page in every region, and the thread faults again.
 *
 * Lock order (a thread that holds one takes only those below it):
 *
 *	admin		pager: one attach, detach or handover at a time
 *	table		object table: slots and names
 *	object		page states, map, region set; one object at a time
 *	space		device table and block lists
 *	late		blocks freed while somebody else had space
 *	queue, budget	leaf locks, as are the region table's and the log's
 *
 * No lock is held across I/O, an ioctl on a userfaultfd or a punch: BUSY
 * protects the pages meanwhile.
 */
#ifndef SWAP_OBJECT_H
#define SWAP_OBJECT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "arena.h"
#include "budget.h"
#include "charge.h"
#include "log.h"
#include "pageq.h"
#include "space.h"
#include "swap.h"
#include "swapmap.h"

enum page_state {
	PAGE_EMPTY,
	PAGE_SWAPPED,
	PAGE_CLEAN,
	PAGE_DIRTY,
	PAGE_POISON,
	PAGE_ZERO,	/* EMPTY, in a copy that does not ask its source */
};

#define PAGE_STATE	0x07u	/* mask of enum page_state */
#define PAGE_BUSY	0x08u	/* owned by a thread, see above */
#define PAGE_WANTED	0x10u	/* somebody waits for BUSY to go */
#define PAGE_REF	0x20u	/* used again since page-out last looked */
#define PAGE_QUEUED	0x40u	/* has an entry in the page queue */

#define OBJECTS_MAX	PAGEQ_SLOT_MAX
#define OBJECT_PAGES_MAX PAGEQ_PAGE_MAX

struct region_set;

/* Counters of struct swap_counters, updated from any thread. */
struct counters {
	_Atomic uint64_t faults, faults_zero, faults_in, faults_write;
	_Atomic uint64_t faults_busy, faults_starved;
	_Atomic uint64_t pageins, pagein_pages, pageouts, pageout_pages;
	_Atomic uint64_t pageout_clean, pageout_rescued, pageback_pages;
	_Atomic uint64_t released_pages, poisoned_pages;
	_Atomic uint64_t free_deferred, free_completed;
};

static inline void
count(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

/* The live objects. */
struct object_table {
	pthread_mutex_t	 lock;
	struct swap_object **slot;	/* (lock) NULL: free */
	uint32_t	 nslots;	/* (lock) length of slot */
	uint32_t	 nlive;		/* (lock) */
	uint64_t	 next_id;	/* (lock) */
	uint32_t	 nheld;		/* (lock) live, or dead but still held;
					   and one for the pager itself */
	void		(*unused)(void *arg);	/* (c) nheld became 0 */
	void		*unused_arg;	/* (c) */
};

/* What all objects of a pager share. */
struct core {
	struct log	 log;
	struct counters	 counters;
	struct budget	 budget;
	struct pageq	 queue;
	struct space	 space;
	struct object_table table;
	struct charge	 charge;
	struct arena_account maps;	/* what all swap maps hold */
	_Atomic unsigned map_kind;	/* of new objects: enum swapmap_kind */
	_Atomic bool	 maps_full;	/* page-out waits for map memory */
	_Atomic uint64_t maps_full_events;
	_Atomic unsigned cluster;	/* most pages in one I/O */
	unsigned	 flags;		/* SWAP_PAGER_* */
	int		 state_dirfd;	/* -1: none */
	_Atomic bool	 frozen;	/* handing over: no more page-out */
	_Atomic bool	 stuck;		/* space is full, and page-out has
					   looked at all pages in vain */
	struct log_limit limit_foreign, limit_read, limit_protect;
	struct log_limit limit_refused;
};

/*
 * Fields marked (l) are under the object's lock, (c) constant after creation,
 * (a) atomic.
 */
struct swap_object {
	struct core	*core;		/* (c) */
	uint64_t	 id;		/* (c) */
	uint32_t	 slot;		/* (c) in the table */
	unsigned	 flags;		/* (c) SWAP_OBJECT_* */
	uint64_t	 npages;	/* (c) */
	int		 memfd;		/* (c) */
	uid_t		 uid;		/* (c) owner */
	pid_t		 pid;		/* (c) */
	char		 command[16];	/* (c) */
	char		 name[SWAP_NAME_MAX + 1]; /* (c) */
	_Atomic unsigned refs;		/* (a) handles and regions: life */
	_Atomic unsigned holds;		/* (a) operations: the memory of this */
	pthread_mutex_t	 lock;
	pthread_cond_t	 unbusy;	/* (l) some page stopped being busy */
	unsigned	 waiters;	/* (l) in unbusy */
	bool		 dead;		/* (l) last reference has gone */
	uint8_t		*page;		/* (l) states, npages */
	uint8_t		*wire;		/* (l) wire counts, npages */
	struct swapmap	*map;		/* (l) */
	struct region_set *regions;	/* (l) may be NULL: none */
	uint64_t	 nresident, nswapped, nwired, npoison; /* (l) pages */
	struct swap_object *source;	/* (l) a copy asks it for EMPTY pages */
	bool		 copy;		/* (c) was made as a copy */
	bool		 cut;		/* (l) a copy that lost its source */
	unsigned	 fetching;	/* (l) reads of source in flight */
};

int object_table_init(struct object_table *table);
void object_table_fini(struct object_table *table);

struct object_spec {
	const char	*name;		/* NULL or "": anonymous */
	uint64_t	 npages;
	unsigned	 flags;
	uid_t		 uid;
	pid_t		 pid;
	const char	*command;
	struct swap_object *source;	/* make a copy of this */
};

/* Create with one reference.  Errors as swap_object_create(). */
int object_create(struct core *core, const struct object_spec *spec,
		  struct swap_object **ret_object, struct swap_error *error);
/* Find by name and take a reference; NULL: none. */
struct swap_object *object_find(struct core *core, const char *name);
/* The last one kills the object: pages and blocks are freed at once, those
 * of busy pages when they stop being busy (NetBSD uao_detach, KILLME). */
void object_unref(struct swap_object *object);

/* The pager itself stops using the table: unused() when nobody else does. */
void object_table_close(struct object_table *table);

/* Keep the structure alive during an operation. */
struct swap_object *object_hold(struct swap_object *object);
void object_drop(struct swap_object *object);
/* The object in a slot, held; NULL: none. */
struct swap_object *object_hold_slot(struct core *core, uint32_t slot);
/*
 * Call @fn for each live object, held, with no lock held.  Stops at the first
 * that returns non-zero, and returns that.  One that is made meanwhile may be
 * left out.
 */
typedef int object_fn(struct swap_object *object, void *arg);
int objects_each(struct core *core, object_fn *fn, void *arg);

void object_lock(struct swap_object *object);
void object_unlock(struct swap_object *object);

/* All of the following are called with the object locked. */

static inline enum page_state
page_state(const struct swap_object *object, uint64_t page)
{
	return (enum page_state)(object->page[page] & PAGE_STATE);
}

static inline bool
page_is_resident(const struct swap_object *object, uint64_t page)
{
	enum page_state state = page_state(object, page);

	return state == PAGE_CLEAN || state == PAGE_DIRTY;
}

static inline bool
page_is_busy(const struct swap_object *object, uint64_t page)
{
	return (object->page[page] & PAGE_BUSY) != 0;
}

/* Own @n pages, none of which is busy. */
void object_busy(struct swap_object *object, uint64_t page, uint64_t n);
/*
 * Let go of them.  True: some were wanted, and they must be woken in every
 * region after unlocking: regions_unbusy() does both.  On a dead object frees
 * what the pages hold.
 */
bool object_unbusy(struct swap_object *object, uint64_t page, uint64_t n)
	swap_must_check;
/* Wait for some page to stop being busy, at most 100 ms. */
void object_wait_unbusy(struct swap_object *object);

/*
 * Not locked.  Count @n more of its pages as wired, false where there is no
 * room, and take it back.  The pages of a NOSWAP object count from its
 * creation to its end, all of them: here there is nothing to do for it.
 */
bool object_wire_take(struct swap_object *object, uint64_t n);
void object_wire_give(struct swap_object *object, uint64_t n);

/* Change the state of a page that the caller owns, and the counts with it. */
void object_set_state(struct swap_object *object, uint64_t page,
		      enum page_state state);
/*
 * A page that has no contents, and must not be taken for an empty one, becomes
 * POISON.  Without memory for its map entry it stays as it is.
 */
void object_poison(struct swap_object *object, uint64_t page);
/* Clear map entries and free their blocks. */
void object_free_blocks(struct swap_object *object, uint64_t page, uint64_t n);
/* Remember a resident page for page-out. */
void object_enqueue(struct swap_object *object, uint64_t page);

/* Not locked.  Is there a page in the memfd, by the kernel's word? */
bool object_has_memory(const struct swap_object *object, uint64_t page);
/* Not locked.  Take @n pages out of the memfd. */
int object_punch(const struct swap_object *object, uint64_t page, uint64_t n);

/* Bytes of memory for states and map. */
size_t object_memory(struct swap_object *object);
void object_stats(struct swap_object *object, struct swap_object_stats *st);

/* What a successor finds in the header of an object's map file. */
#define OBJECT_RECORD_MAGIC	UINT64_C(0x31304a4253504157)
struct object_record {
	uint64_t	magic;
	uint64_t	id, npages;
	uint32_t	uid, flags;
	int32_t		pid;
	uint32_t	unused;
	char		name[SWAP_NAME_MAX + 1];
};

#endif
