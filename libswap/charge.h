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
	struct log_limit limit;		/* (l) */
};

void charge_init(struct charge *c, const struct log *log);
void charge_fini(struct charge *c);

/*
 * Charge @bytes to @uid.
 *
 * @chargeable  what the total is compared with, by SWAP_OVERCOMMIT_TOTAL
 * @force	never refuse (FreeBSD swap_reserve_force); root is not refused
 *		by the total, nor by the limit of a user
 *
 * -ENOMEM with a sentence, and rate-limited in the log; -EOVERFLOW.
 */
int charge_take(struct charge *c, uid_t uid, uint64_t bytes,
		uint64_t chargeable, bool force, struct swap_error *error)
	swap_must_check;
void charge_give(struct charge *c, uid_t uid, uint64_t bytes);

/* -EINVAL unknown bits. */
int charge_set_overcommit(struct charge *c, unsigned bits);
void charge_set_user_limit(struct charge *c, uint64_t bytes);

struct charge_totals {
	uint64_t	total, refused, user_limit;
	unsigned	overcommit;
};
void charge_totals(struct charge *c, struct charge_totals *ret);
/* A malloc()ed array, by uid.  -ENOMEM. */
int charge_stats(struct charge *c, struct swap_user_stats **ret,
		 size_t *ret_n);

#endif
