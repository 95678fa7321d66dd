/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * object.h - memory objects: references, page states, swap map (floor 4)
 *
 * The page-state machine.  A page of an object is in one of these states,
 * and may be BUSY on top, while one thread moves it to the next:
 *
 *	EMPTY	 never written: no memory, no block, reads as zeros
 *	SWAPPED	 its only copy is its block, which may be a word block
 *	CLEAN	 in the memfd, write-protected in every region; its block, if
 *		 it has one, holds the same
 *	DIRTY	 in the memfd, no block; may be written at any time
 *	POISON	 lost: whoever touches it gets SIGBUS.  Also what a copy could
 *		 not take from its source, and what did not fit (FULL_FAILS)
 *	SOURCE	 in a copy: its contents are those of the source's page of that
 *		 number, whatever that is (copy.c)
 *
 *	        fault_zero, getpages        fault_write
 *	EMPTY ------------> DIRTY <------------------------- CLEAN
 *	  ^                  ^ |  pageout writes               | ^
 *	  | release          | +-----------------+   pageout   | |
 *	  | (from any)       |                   |   drops     | | fault_in
 *	  |    write fault,  |                   v             | | (read),
 *	  +--- pageback -----+---------------- SWAPPED <-------+ | getpages
 *	                                         | |             |
 *	                      read error: POISON + +-------------+
 *
 * Two arrows join pages of two objects (merge.c), one at the same place of
 * each, both owned: EMPTY -> DIRTY in the one takes what is in the other, and
 * EMPTY -> SWAPPED takes the block of a page that is SWAPPED in the other, and
 * EMPTY there from then on.
 *
 * A page of a copy begins as SOURCE, where its source has anything there, and
 * never comes back to that: it becomes DIRTY with what was fetched, SWAPPED by
 * taking the source's block, EMPTY where the source reads as zeros, or POISON.
 * While it is SOURCE the copy *depends* on the source's page.
 *
 * Invariants, at any moment when a page is not BUSY:
 *
 *	P1  SWAPPED: the map has its block and the memfd has a hole there.  A
 *	    block of a device has one page at most; a word block (space.h) has
 *	    any number, and each entry of a map holds a reference to it;
 *	P2  CLEAN: in the memfd, and no region lets it be written;
 *	P3  DIRTY: in the memfd, and the map has no block; no region lets it be
 *	    written while a copy depends on it;
 *	P4  EMPTY and SOURCE: a hole in the memfd, and no block;
 *	P5  POISON: the map says SWAPMAP_POISON, unless it had no memory for
 *	    that;
 *	P6  RESERVED, a mark beside the state: one block is guaranteed to the
 *	    page.  It is the one that the map has, or else one that is set
 *	    aside in space.  A word block is none in this sense.
 *
 * So for P6 a block that such a page loses is set aside again
 * (object_free_blocks), and what was set aside becomes free when the page gets
 * a block from elsewhere (object_enter_block).  Between these page-out may have
 * a block in hand that it took from what is set aside; it enters it, or gives
 * it back to there.  The mark changes while the page is not busy, or by its
 * owner; it may be set, but not cleared, on a page that another thread owns,
 * unless that is moved to another object (the lock `moves').
 * It stays when a page is released.  Where a guaranteed block goes bad and
 * nothing is left to set aside instead, the mark goes, with a message.
 *
 * Who sets BUSY owns the page: nobody else changes its state, its map entry
 * or its memory until it clears BUSY.  A fault on a busy page never waits: it
 * marks the page WANTED and leaves the faulting thread asleep; who clears
 * BUSY wakes the page in every region, and the thread faults again.
 *
 * Order of owning.  Who owns pages may wait for another one only if that comes
 * later: pages of an object with a larger number before those of one with a
 * smaller, and within an object the smaller index first.  A copy is made after
 * its source, so taking a page from there is in order.  Who owns a page never
 * waits for RAM.
 *
 * Opening.  Who makes a page of an object writable, or puts one into its memfd,
 * or takes its contents away, does that between object_open() and
 * object_close(), and looks in between whether copies depend on it.  Copies are
 * made while nobody has the object open.  Who has it open waits for nothing but
 * another object with a smaller number that he opens, too, or locks for as long
 * as these are held: so making a copy takes no longer than an ioctl or a
 * transfer (merge.c) does.
 *
 * Lock order (a thread that holds one takes only those below it):
 *
 *	admin		pager: one attach, detach or handover at a time
 *	table		object table: slots and names
 *	moves		pages between two objects: many at a time, or a handover
 *			or a reservation
 *	writable	one region: its protection
 *	object		page states, map, region set; of two, which only copies
 *			need (copy.c), the one with the smaller number first
 *	space		device table and block lists
 *	late		blocks freed while somebody else had space
 *	queue, budget	leaf locks, as are the region table's, the pools', the
 *			charges', the words' and the log's
 *
 * No lock is held across I/O, an ioctl on a userfaultfd or a punch, but for
 * `moves' and `writable', which nobody needs for any of these: BUSY protects
 * the pages meanwhile.
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
#include "cache.h"
#include "events.h"
#include "ghost.h"
#include "latency.h"
#include "log.h"
#include "pageq.h"
#include "pool.h"
#include "space.h"
#include "swap.h"
#include "swapmap.h"

enum page_state {
	PAGE_EMPTY,
	PAGE_SWAPPED,
	PAGE_CLEAN,
	PAGE_DIRTY,
	PAGE_POISON,
	PAGE_SOURCE,	/* in a copy: ask its source */
};

#define PAGE_STATE	0x07u	/* mask of enum page_state */
#define PAGE_BUSY	0x08u	/* owned by a thread, see above */
#define PAGE_WANTED	0x10u	/* somebody waits for BUSY to go */
#define PAGE_REF	0x20u	/* used again since page-out last looked */
#define PAGE_QUEUED	0x40u	/* has an entry in the page queue */
#define PAGE_RESERVED	0x80u	/* one block is guaranteed, see P6 */

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
	_Atomic uint64_t readahead_pages, readahead_used, readahead_wasted;
	_Atomic uint64_t cache_hits, refaults, pageout_fill, pagein_fill;
	_Atomic uint64_t limit_waits, async_waits, slow_transfers;
	_Atomic uint64_t copy_pages, copy_pushed_pages;
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
	uint32_t	 free_hint;	/* (lock) no slot below it is free */
	uint32_t	 nlive;		/* (lock) */
	struct swap_object **bucket;	/* (lock) chains of named objects */
	uint32_t	 nbuckets;	/* (lock) a power of two, or 0 */
	uint32_t	 nnamed;	/* (lock) */
	uint64_t	 next_id;	/* (lock) */
	uint32_t	 nheld;		/* (lock) live, or dead but still held;
					   and one for the pager itself */
	void		(*unused)(void *arg);	/* (c) nheld became 0 */
	void		*unused_arg;	/* (c) */
	pthread_rwlock_t moves;		/* read: between two objects; written:
					   to see the last of these end, and to
					   reserve */
};

/* What all objects of a pager share. */
struct core {
	struct log	 log;
	struct events	 events;
	struct counters	 counters;
	struct latency	 fault_zero_time, fault_in_time, fault_write_time;
	struct budget	 budget;
	struct pool	 pool;		/* of all objects without limits */
	struct pools	 pools;		/* of those that may have some */
	struct space	 space;
	struct cache	 cache;		/* copies of blocks */
	struct ghost	 ghost;
	struct object_table table;
	struct charge	 charge;
	struct arena_account maps;	/* what all swap maps hold */
	_Atomic unsigned map_kind;	/* of new objects: enum swapmap_kind */
	_Atomic bool	 maps_full;	/* page-out waits for map memory */
	_Atomic uint64_t maps_full_events;
	_Atomic unsigned cluster;	/* most pages in one I/O */
	_Atomic unsigned async_max;	/* most writes in flight */
	_Atomic unsigned async_writes;	/* those that there are */
	_Atomic pid_t	 pageout_tid;	/* 0: page-out has not begun */
	_Atomic unsigned flags;		/* SWAP_PAGER_* */
	int		 state_dirfd;	/* -1: none */
	_Atomic bool	 frozen;	/* handing over: no more page-out */
	_Atomic bool	 stuck;		/* space or the maps are full, and
					   page-out has looked at all pages in
					   vain */
	struct log_limit limit_foreign, limit_read, limit_protect;
	struct log_limit limit_refused, limit_maps, limit_room;
	struct log_limit limit_reserve;
	/* Work for copy-collapse.c. */
	pthread_mutex_t	 copies_lock;	/* a leaf */
	pthread_cond_t	 copies_called;
	bool		 copies_work;	/* (copies_lock) there is some */
	bool		 copies_stop;	/* (copies_lock) */
};

/*
 * Fields marked (l) are under the object's lock, (c) constant after creation,
 * (a) atomic.
 */
struct swap_object {
	struct core	*core;		/* (c) */
	struct pool	*pool;		/* (l) a reference, unless the core's */
	uint64_t	 client;	/* (c) number of a connection; 0: none */
	uint64_t	 id;		/* (c) */
	uint32_t	 slot;		/* (c) in the table */
	struct swap_object *next_named;	/* (table) in its chain ... */
	bool		 is_named;	/* (table) ... if it is in one */
	uint32_t	 hash;		/* (c) of the name */
	unsigned	 flags;		/* (l) SWAP_OBJECT_* */
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
	uint64_t	 nreserved;	/* (l) pages */
	uint64_t	 nblocks;	/* (l) that the map has, ... */
	uint64_t	 nwords;	/* (l) ... and word blocks (space.h) */
	uint64_t	 nram;		/* (l) pages taken from the budget */
	uint64_t	 nleaving;	/* (l) pages that page-out owns, ... */
	uint64_t	 ngoing;	/* (l) ... and those that are dirty */
	_Atomic uint64_t pagein_pages, pageout_pages; /* (a) ever */
	uint32_t	 nwriters;	/* (l) regions that are writable */
	uint64_t	 charged;	/* bytes; creation, then (l) */
	bool		 exact;		/* (c) SWAP_OBJECT_EXACT */
	uint64_t	 used_end;	/* (l) no page from here on was ever
					   anything but EMPTY */

	/* Copies: see copy.c. */
	struct swap_object *source;	/* (l) NULL: none; lives while this is
					   in its list */
	uint64_t	 nsource;	/* (l) pages that are SOURCE */
	struct swap_object *copies;	/* (l) the largest number first */
	struct swap_object *next_copy;	/* (the source's l) */
	unsigned	 ncopies;	/* (l) */
	unsigned	 opening;	/* (l) between open and close */
	unsigned	 forking;	/* (l) copies that are being made */
	unsigned	 still;		/* (l) see copy_still() */
	bool		 orphan;	/* (l) refs are gone, copies are not */
	bool		 guarded;	/* (l) pages may be protected that no
					   copy depends on any more */
};

int object_table_init(struct object_table *table);
void object_table_fini(struct object_table *table);

/* For object.c; the table is locked but for the last.  -EMFILE; -ENOMEM. */
int object_table_add(struct object_table *table, struct swap_object *object);
/* The new one leaves again: it was never seen. */
void object_table_undo(struct object_table *table, struct swap_object *object);
struct swap_object *object_table_find(struct object_table *table,
				      const char *name);
/* One that is killed; its memory is counted until object_table_forget(). */
void object_table_remove(struct object_table *table,
			 struct swap_object *object);
/* It is not found by its name any more. */
void object_table_unname(struct object_table *table,
			 struct swap_object *object);
void object_table_forget(struct object_table *table);

struct object_spec {
	const char	*name;		/* NULL or "": anonymous */
	uint64_t	 npages;
	unsigned	 flags;
	uid_t		 uid;
	pid_t		 pid;
	const char	*command;
	uint64_t	 client;	/* who makes it; 0: nobody in particular */
	struct pool	*pool;		/* NULL: the core's */
};

/*
 * Create with one reference, charged to its owner.  Errors as
 * swap_object_create(); -EDQUOT the maps' memory.
 */
int object_create(struct core *core, const struct object_spec *spec,
		  struct swap_object **ret_object, struct swap_error *error);
/* Find by name and take a reference; NULL: none. */
struct swap_object *object_find(struct core *core, const char *name);
/*
 * The last one kills the object: pages and blocks are freed at once, those of
 * busy pages when they stop being busy (NetBSD uao_detach, KILLME).  One that
 * has copies becomes an orphan, and is killed when the last of them leaves it.
 */
void object_unref(struct swap_object *object);
/*
 * Not locked.  The copy needs its source no more: no page of it is SOURCE, or it
 * is dead.
 */
void object_leave_source(struct swap_object *copy);
/* Locked.  Into or out of the list of copies; @copy is locked as well. */
void object_link_copy(struct swap_object *source, struct swap_object *copy);
void object_unlink_copy(struct swap_object *source, struct swap_object *copy);
/* The same; returns the source, where that is to be killed now. */
struct swap_object *object_part(struct swap_object *copy) swap_must_check;
/* An orphan that has no copies any more. */
void object_kill(struct swap_object *object);
/* There is work for copy-collapse.c. */
void object_call_collapse(struct core *core);

/*
 * What the sum of all objects is compared with (tunable "overcommit"): bytes of
 * swap space, and of RAM that is not wired where the policy says so.
 */
uint64_t core_chargeable(struct core *core);
/* Nothing moves between two objects when this returns and core->frozen is. */
void objects_wait_moves(struct core *core);

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

/*
 * Begin to open pages, see above; waits for copies that are being made, and then
 * unlocks meanwhile: pages that are owned stay so.
 */
void object_open(struct swap_object *object);
void object_close(struct swap_object *object);
/* Wait until no copy is being made. */
void object_wait_forks(struct swap_object *object);

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
 * Count @n more of its pages as wired, false where there is no room, and take
 * it back.  All pages of a NOSWAP object count, for as long as it is one: here
 * there is nothing to do for it.
 */
bool object_wire_take(struct swap_object *object, uint64_t n);
void object_wire_give(struct swap_object *object, uint64_t n);
/* The same for pages of a NOSWAP object that ceases to be one, or to be. */
void object_unwire(struct swap_object *object, uint64_t n);

/*
 * RAM for its pages: from its pool and from the budget (object-pool.c).  False:
 * one of them has not that much, and nothing was taken.
 */
bool object_take_ram(struct swap_object *object, uint64_t n);
/* One page, up to @extra beyond each limit. */
bool object_take_ram_extra(struct swap_object *object, uint64_t extra);
/* Count @n pages as its own that are taken from the budget already. */
void object_count_ram(struct swap_object *object, uint64_t n);
void object_give_ram(struct swap_object *object, uint64_t n);
/* What its pool leaves it, the budget left out; UINT64_MAX: no limit. */
uint64_t object_ram_room(const struct swap_object *object);
/* The same above the mark at which page-out is called. */
uint64_t object_ram_spare(const struct swap_object *object);

/* It has one block more, or @n less; word blocks are none. */
void object_count_block(struct swap_object *object);
void object_uncount_blocks(struct swap_object *object, uint64_t n);
/* Blocks that its pool leaves it; UINT64_MAX: no limit. */
uint64_t object_block_room(const struct swap_object *object);
/* Has it hardly any left? */
bool object_blocks_tight(const struct swap_object *object);
/*
 * Page-out owns a page of it.  A dirty one may get a block: false, with nothing
 * changed, where its pool allows no more of them.
 */
bool object_begin_leave(struct swap_object *object, bool dirty);
void object_end_leave(struct swap_object *object, uint64_t n, bool dirty);

bool object_is_limited(const struct swap_object *object);
/*
 * Give it another pool; the object gets a reference of its own.  Never one that
 * it had before: entries that are left there would be taken for good ones.
 */
void object_set_pool(struct swap_object *object, struct pool *pool);

/* Change the state of a page that the caller owns, and the counts with it. */
void object_set_state(struct swap_object *object, uint64_t page,
		      enum page_state state);
/*
 * A page that has no contents, and must not be taken for an empty one, becomes
 * POISON.
 */
void object_poison(struct swap_object *object, uint64_t page);

/* A block of a device in the map?  Poison is none, nor is a word block. */
static inline bool
page_has_block(const struct swap_object *object, uint64_t page)
{
	uint64_t block = swapmap_get(object->map, page);

	return block <= SWAPMAP_BLOCK_MAX && !space_is_word(block);
}

/*
 * The only way by which a block comes into a map.  The page has none, and the
 * caller owns it.
 *
 * @set_aside  the block comes from what is set aside (P6); else what is set
 *	       aside for the page becomes free, unless it is a word block
 * -EPERM, with nothing changed: the object may not be swapped (NetBSD
 * uao_set_swslot); -ENOMEM, -ENOSPC, -EDQUOT as swapmap_set().
 */
int object_enter_block(struct swap_object *object, uint64_t page,
		       uint64_t block, bool set_aside);
/* Clear map entries and free their blocks; those of reserved pages by P6. */
void object_free_blocks(struct swap_object *object, uint64_t page, uint64_t n);
/*
 * Take the block of an owned page out of the map, whoever has it now.  What a
 * reserved page needs instead has been set aside.
 */
void object_forget_block(struct swap_object *object, uint64_t page);
/* The guaranteed block of an owned page is gone and cannot be had again. */
void object_lose_reservation(struct swap_object *object, uint64_t page);
/* Remember a resident page for page-out. */
void object_enqueue(struct swap_object *object, uint64_t page);
/* The same for one that has proved to be needed: it came back soon. */
void object_enqueue_main(struct swap_object *object, uint64_t page);
/* The same for one that shall go before all others. */
void object_enqueue_cold(struct swap_object *object, uint64_t page);

/* Not locked.  See swap_object_allow_swap(), _reserve(), _unreserve(). */
void object_allow_swap(struct swap_object *object);
int object_reserve(struct swap_object *object, uint64_t page, uint64_t n);
void object_unreserve(struct swap_object *object, uint64_t page, uint64_t n);

/* Not locked.  Is there a page in the memfd, by the kernel's word? */
bool object_has_memory(const struct swap_object *object, uint64_t page);
/* Not locked.  Take @n pages out of the memfd. */
int object_punch(const struct swap_object *object, uint64_t page, uint64_t n);

/* Bytes of memory for states and map. */
size_t object_memory(struct swap_object *object);
void object_stats(struct swap_object *object, struct swap_object_stats *st);

/* What a successor finds in the header of an object's map file. */
#define OBJECT_RECORD_MAGIC	UINT64_C(0x32304a4253504157)
struct object_record {
	uint64_t	magic;
	uint64_t	id, npages;
	uint32_t	uid, flags;
	int32_t		pid;
	uint32_t	unused;
	char		name[SWAP_NAME_MAX + 1];
	/*
	 * A copy's source, whose pages it has where it has neither memory nor a
	 * block nor ever had: a successor cannot take that for zeros.  0: none.
	 */
	uint64_t	source;
};

#endif
