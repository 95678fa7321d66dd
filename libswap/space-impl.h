/* SPDX-License-Identifier: BSD-2-Clause */
/* space-impl.h - a device in service, for space*.c (floor 3) */
#ifndef SWAP_SPACE_IMPL_H
#define SWAP_SPACE_IMPL_H

#include "blist.h"
#include "space.h"

/* Places of bad blocks that are remembered, for those who look. */
#define SPACE_BAD_MAX	32u

struct space_bad {
	uint64_t	block, n;	/* of the device */
};

struct space_dev {
	struct space	*space;
	struct device	*device;
	struct blist	*blist;		/* (l) */
	uint64_t	 serial;	/* never used again */
	uint64_t	 first, end;	/* addresses, constant */
	uint64_t	 label;		/* blocks kept for a label */
	uint64_t	 used, bad;	/* (l) */
	uint64_t	 given;		/* (l) blocks, to share the load */
	struct blist	*held;		/* (l) held back, to be discarded; NULL:
					   it does not discard (constant) */
	uint64_t	 discard_first;	/* (l) being discarded, of the device */
	unsigned	 discard_n;	/* (l) 0: nothing is */
	bool		 entering;	/* (l) in the table, not yet in use */
	struct space_bad bad_at[SPACE_BAD_MAX];	/* (l) */
	unsigned	 nbad_at;	/* (l) */
	unsigned	 flags;		/* (l) SWAP_DEVICE_* */
	int		 priority;
	struct space_record *record;
};

static inline bool
space_dev_closing(const struct space_dev *dev)
{
	return (dev->flags & SWAP_DEVICE_CLOSING) != 0;
}

/* Does it take allocations? */
static inline bool
space_dev_serves(const struct space_dev *dev)
{
	return (dev->flags & (SWAP_DEVICE_CLOSING | SWAP_DEVICE_GONE)) == 0 &&
	       !dev->entering;
}

static inline uint64_t
space_dev_usable(const struct space_dev *dev)
{
	return dev->end - dev->first - dev->label;
}

/* What a plain allocation can have.  Lock held. */
static inline uint64_t
space_plain(const struct space *s)
{
	return s->avail > s->reserved ? s->avail - s->reserved : 0;
}

/* What allocations could have, were all of it given out that is held back. */
static inline uint64_t
space_plain_held(const struct space *s)
{
	uint64_t room = s->avail + s->held;

	return room > s->reserved ? room - s->reserved : 0;
}

/* ------------------------------------------------------- space-discard.c */

void space_discard_init(struct space *s);
/* Ends the thread; what is held back is not discarded any more. */
void space_discard_fini(struct space *s);
/* A device that discards: -ENOMEM, or no thread. */
int space_discard_start(struct space *s, struct space_dev *dev);
/*
 * Lock held.  Take back @n used blocks that shall be discarded before they are
 * free again.  -EINVAL, -EEXIST: they are not in use.
 */
int space_hold(struct space *s, struct space_dev *dev, uint64_t block,
	       uint64_t n);
/* Lock held.  Are any of these held back, or being discarded? */
bool space_is_held(const struct space_dev *dev, uint64_t block, uint64_t n);
/* Lock held.  Make free, as they are, what is held back; of one or all. */
void space_unhold(struct space *s, struct space_dev *dev);
void space_unhold_all(struct space *s);
/* Lock not held.  Wait until nothing of the device is being discarded. */
void space_discard_wait(struct space *s, const struct space_dev *dev);
/* Lock held.  Is a run being discarded?  Lock not held: wait for its end. */
bool space_discarding(const struct space *s);
void space_discard_wait_any(struct space *s);

/*
 * Take the lock, and free what was noted down; release it, and say what there
 * is to say.  Nobody takes the lock in any other way, so that whoever has it
 * sees every block that was freed before.
 */
void space_enter(struct space *s);
void space_leave(struct space *s);

/*
 * Lock held: avail, total, reserved or a mark have changed.  Keep the flags,
 * events and news straight.
 */
void space_size_check(struct space *s);

/* Lock held.  The device that has @block, or NULL. */
struct space_dev *space_dev_of(const struct space *s, uint64_t block);

/*
 * What @spec names, looked up in the file system without a lock; free() it.
 * NULL: nothing that can be found.
 */
char *space_resolve(const char *spec);
/*
 * Lock held.  The device attached as @spec, or else the one that @resolved,
 * from space_resolve(), is.  NULL.
 */
struct space_dev *space_find(const struct space *s, const char *spec,
			     const char *resolved);
int space_not_attached(const char *spec, struct swap_error *error);

#endif
