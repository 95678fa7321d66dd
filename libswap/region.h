/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * region.h - one mapping of an object into one address space, and what can be
 * done to it through its userfaultfd (floor 5)
 *
 * The regions of an object form a set.  A set never changes: who joins or
 * leaves makes a new one.  An operation takes a reference to the set when it
 * makes its pages busy and uses that until it lets go of them; leaving waits
 * until no operation uses a set with the region in it.
 */
#ifndef SWAP_REGION_H
#define SWAP_REGION_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "mapping.h"
#include "object.h"
#include "readahead.h"

struct region_table;

/*
 * (c) constant; (a) atomic; (l) under the object's lock; (t) under the region
 * table's lock; (w) under writable_lock, the count of them in the object under
 * that object's lock too.
 */
struct swap_region {
	struct region_table *table;	/* (c) */
	struct swap_object *object;	/* (c) one reference */
	uint64_t	 key;		/* (c) name in epoll, never reused */
	int		 uffd;		/* (c) owned, unless borrowed */
	bool		 borrowed;	/* (c) joining failed: the caller's */
	bool		 can_poison;	/* (c) the kernel has UFFDIO_POISON */
	uint64_t	 address;	/* (c) of first_page, in its process */
	uint64_t	 first_page, npages; /* (c) */
	void		(*poison)(void *arg, uint64_t address, uint64_t len);
	void		*poison_arg;	/* (c) see struct pager_notify */
	unsigned	 users;		/* (t) sets, fault threads, and page-ins
					   in flight */
	_Atomic bool	 starved;	/* (a) faults wait for free pages */
	_Atomic bool	 stilled;	/* (a) writes wait: see copy_still() */
	_Atomic bool	 gone;		/* (a) its process has ended */
	pthread_mutex_t	 writable_lock;
	bool		 writable;	/* (w) */
	struct readahead readahead;	/* (l) */
	struct mapping	*mapping;	/* (c) in-process regions only */
};

struct region_set {
	_Atomic unsigned refs;
	unsigned	n;
	struct swap_region *region[];
};

/* All regions of a pager, for the fault threads. */
struct region_table {
	pthread_mutex_t	 lock;
	pthread_cond_t	 unused;	/* (lock) some region lost a user */
	struct swap_region **slot;	/* (lock) */
	uint32_t	 nslots;	/* (lock) */
	uint64_t	 next_serial;	/* (lock) */
	int		 epoll;		/* (c) watches all userfaultfds, by
					   edges: who hears of one reads it
					   until it is empty */
};

int region_table_init(struct region_table *table);
void region_table_fini(struct region_table *table);

struct region_spec {
	int		 uffd;
	uint64_t	 address, first_page, npages;
	bool		 can_poison;
	void		(*poison)(void *arg, uint64_t address, uint64_t len);
	void		*poison_arg;
};

/*
 * Join an object's set, write-protected wherever a page is clean or on its
 * way (DESIGN: a region that joins starts write-protected), and be watched.
 * Takes a reference of the object; owns uffd on success.
 */
int region_join(struct region_table *table, struct swap_object *object,
		const struct region_spec *spec,
		struct swap_region **ret_region);
/* Leave, wait until nothing is in flight, close the descriptor, free. */
void region_leave(struct swap_region *region);

/* The region of an epoll key, with a user counted; NULL: it has left. */
struct swap_region *region_enter(struct region_table *table, uint64_t key);
void region_exit(struct swap_region *region);
/* One more user of a region that has one. */
void region_hold(struct swap_region *region);
/* Let somebody else hear of what is still to be read from it. */
void region_rewatch(struct swap_region *region);

/* Call @fn for each region, users counted, no lock held. */
void regions_each(struct region_table *table,
		  void (*fn)(struct swap_region *region, void *arg),
		  void *arg);

/* The object's set, with a reference; object locked.  NULL: no regions. */
struct region_set *region_set_get(struct swap_object *object);
void region_set_put(struct region_set *set);

/*
 * On one region, pages of its object; those outside of the region are left
 * out, as are, for protecting, those that its process has unmapped.  0, -ESRCH
 * its process has gone (which is success for protecting), or another negative
 * errno.
 */
int region_protect(struct swap_region *region, uint64_t page, uint64_t n);
/*
 * These three wake nobody.  @ret_done: pages filled before an error; EEXIST
 * stops at that page.
 */
int region_unprotect(struct swap_region *region, uint64_t page, uint64_t n);
int region_zero(struct swap_region *region, uint64_t page, uint64_t n,
		uint64_t *ret_done);
int region_copy(struct swap_region *region, uint64_t page, uint64_t n,
		const void *buf, bool protect, uint64_t *ret_done);
void region_wake(struct swap_region *region, uint64_t page, uint64_t n);
void region_poison(struct swap_region *region, uint64_t page);
/*
 * Take the poison of an owned page, which has no memory, out of all regions.
 * Where the kernel has no UFFDIO_POISON the page stays as it is.
 */
void regions_heal(struct region_set *set, const struct swap_object *object,
		  uint64_t page);
/* Make it ordinary memory. */
void region_unregister(struct swap_region *region);

/* On every region of a set (NULL: none); @except may be NULL. */
int regions_protect(struct region_set *set, const struct swap_region *except,
		    uint64_t page, uint64_t n);
void regions_wake(struct region_set *set, uint64_t page, uint64_t n);
void regions_poison(struct region_set *set, uint64_t page);

/*
 * Let go of busy pages (object_unbusy()), unlock the object, and wake whoever
 * wanted them, in the regions that there are now.
 */
void regions_unbusy(struct swap_object *object, uint64_t page, uint64_t n);

/*
 * Count the region as writable or not, after doing so to its mapping where that
 * is in this process.  0, or what mprotect(2) gives.
 */
int region_set_writable(struct swap_region *region, bool writable);

/* Is the page within the region? */
static inline bool
region_has(const struct swap_region *region, uint64_t page)
{
	return page - region->first_page < region->npages;
}

#endif
