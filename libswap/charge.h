/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * charge.h - what users' objects may add up to (floor 2)
 *
 * An object is charged with its whole size when it is made, used or not, to
 * its owner (FreeBSD swap_reserve_by_cred).  Whether that is refused depends on
 * the policy: SWAP_OVERCOMMIT_*.  Locked inside.
 */
#ifndef SWAP_CHARGE_H
#define SWAP_CHARGE_H

#include <pthread.h>
#include <stdint.h>
#include <sys/types.h>

#include "compiler.h"
#include "log.h"
#include "swap.h"

struct charge_user;

struct charge {
	struct log	 log;
	pthread_mutex_t	 lock;
	unsigned	 overcommit;	/* (l) SWAP_OVERCOMMIT_* */
	uint64_t	 user_limit;	/* (l) bytes; 0: none */
	uint64_t	 total;		/* (l) bytes charged */
	uint64_t	 refused;	/* (l) how often */
	struct charge_user *users;	/* (l) only those who have something */
	size_t		 nusers;	/* (l) */
	size_t		 room;		/* (l) users that fit in the array */
	struct log_limit limit;		/* atomic inside */
};

void charge_init(struct charge *c, const struct log *log);
void charge_fini(struct charge *c);

/*
 * Charge @bytes to @uid; none are never refused.
 *
 * @chargeable  what the total is compared with, by SWAP_OVERCOMMIT_TOTAL
 * @force	no policy refuses it (FreeBSD swap_reserve_force)
 *
 * Root (uid 0) is refused neither by the total nor by the limit of a user
 * (FreeBSD PRIV_VM_SWAP_NOQUOTA, PRIV_VM_SWAP_NORLIMIT), but counted in both.
 *
 * Errors, each with a sentence, nothing being charged: -ENOMEM refused by the
 * policy, which is counted, and said in the log at most once a second;
 * -EOVERFLOW the sum of all; -ENOMEM no memory for another user.
 * Cost: a binary search; a user who comes or goes moves those with higher uids.
 */
int charge_take(struct charge *c, uid_t uid, uint64_t bytes,
		uint64_t chargeable, bool force, struct swap_error *error)
	swap_must_check;
/* Take back what was charged to @uid, or a part of it. */
void charge_give(struct charge *c, uid_t uid, uint64_t bytes);

/*
 * Change the policy; 0 @bytes: no limit.  What is charged already stays, even
 * where it would be refused now.  -EINVAL unknown bits.
 */
int charge_set_overcommit(struct charge *c, unsigned bits) swap_must_check;
void charge_set_user_limit(struct charge *c, uint64_t bytes);

struct charge_totals {
	uint64_t	total, refused, user_limit;
	unsigned	overcommit;
};
void charge_totals(struct charge *c, struct charge_totals *ret);
/*
 * Those who have something, in a malloc()ed array, by uid.  Each one's
 * limit_bytes is what would be enforced now: 0 for root, or without
 * SWAP_OVERCOMMIT_USER.  -ENOMEM.
 */
int charge_stats(struct charge *c, struct swap_user_stats **ret,
		 size_t *ret_n);

#endif
