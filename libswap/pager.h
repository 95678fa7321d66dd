/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pager.h - one pager instance, as the rooms above it see it (floor 6)
 *
 * swap.h is what an embedder sees; this adds what a server needs to serve
 * memory that lives in other processes.
 */
#ifndef SWAP_PAGER_H
#define SWAP_PAGER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "swap.h"

/* Who asks: decides permission, and shows in the snapshot. */
struct pager_owner {
	uid_t	uid;
	pid_t	pid;
	char	command[16];
	uint64_t client;	/* number of a connection; 0: none */
	struct pool *pool;	/* NULL: no limits; see pager_client_limit() */
};

/*
 * How a region's process hears of what the pager cannot do from outside.  May
 * be called from any pager thread; must not block and must not call back.
 */
struct pager_notify {
	/*
	 * The page at @address is lost and this kernel has no UFFDIO_POISON:
	 * put something there that gives SIGBUS.
	 */
	void	(*poison)(void *arg, uint64_t address, uint64_t length);
	void	*arg;
};

/*
 * As swap_object_limit(), for all objects that are made, or copied, by this owner:
 * those that there are, by its number, and those to come.
 */
int pager_client_limit(struct swap_pager *pager, struct pager_owner *owner,
		       uint64_t ram_bytes, uint64_t swap_bytes,
		       struct swap_error *error);
/* The owner makes no more objects; what there is stays limited. */
void pager_client_end(struct swap_pager *pager, struct pager_owner *owner);

/* As swap_object_create() and swap_object_open(), for somebody else. */
int pager_object_create(struct swap_pager *pager,
			const struct pager_owner *owner, const char *name,
			uint64_t size, unsigned flags,
			struct swap_object **ret_object,
			struct swap_error *error);
/* -EACCES where the object belongs to another uid and @owner is not root. */
int pager_object_open(struct swap_pager *pager,
		      const struct pager_owner *owner, const char *name,
		      struct swap_object **ret_object,
		      struct swap_error *error);
/*
 * From still to not still, whoever writes to the object waits; a copy is to be
 * made in between.
 */
void pager_object_still(struct swap_object *object, bool still);
/* As swap_object_fork(), for somebody else; limited as all that he makes. */
int pager_object_copy(struct swap_object *source,
		      const struct pager_owner *owner,
		      struct swap_object **ret_copy, struct swap_error *error);

uint64_t pager_object_id(const struct swap_object *object);
/* The object's memfd; borrowed. */
int pager_object_memfd(const struct swap_object *object);

/*
 * Serve a mapping of another process (or of this one).
 *
 * @uffd     a userfaultfd with [address, address + length) registered for
 *	     missing and write-protect faults; owned by the region on success
 * @notify   copied; may be NULL
 *
 * When this returns 0 the address may be handed out.  swap_region_release(),
 * _wire() and _unwire() work on such a region; swap_region_unmap() does not.
 */
int pager_region_join(struct swap_object *object, int uffd, uint64_t address,
		      uint64_t offset, uint64_t length,
		      const struct pager_notify *notify,
		      struct swap_region **ret_region,
		      struct swap_error *error);
/*
 * Stop serving a region and free it.  When this returns, no operation on its
 * address range is in flight or will be started.
 */
void pager_region_leave(struct swap_region *region);

/*
 * Page everything back and make every mapping ordinary memory.  -ENOMEM: does
 * not fit, the sentence has the numbers, the pager goes on as before.
 */
int pager_handover(struct swap_pager *pager, struct swap_error *error);

/*
 * End the pager's threads and free it.  Without a handover before it, whoever
 * touches a page that is not in RAM waits for a successor, and the state
 * directory keeps what that successor needs.  All regions must have left and
 * all references must be dropped, or be abandoned with the process.
 */
void pager_stop(struct swap_pager *pager);

/*
 * Count a region as writable or not; a served one's mapping is for its process
 * to change.  As swap_region_set_writable() where the mapping is ours.
 */
int pager_region_set_writable(struct swap_region *region, bool writable);

/* The number of clients, for the snapshot. */
void pager_set_clients(struct swap_pager *pager, unsigned n);

/*
 * As swap_pager_stats(), with those events only that are numbered above
 * @after, and without objects where they are not wanted: all the sums
 * are the same.
 */
int pager_stats(struct swap_pager *pager, bool objects, uint64_t after,
		struct swap_stats *ret_stats);

/* An event of its own that a server has to tell; as events_add(). */
void pager_client_gone(struct swap_pager *pager,
		       const struct pager_owner *owner, unsigned nheld);

#endif
