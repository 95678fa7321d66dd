/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What users' objects may add up to.
 *
 * A pager promises memory when an object is made and must find RAM or a block
 * for it when it is used, which may be much later.  The charge is the sum of
 * the promises, for each user and for all, and the policy says when one more
 * is too much.  The rules are those of FreeBSD's swap_reserve_by_cred():
 *
 *	- everything is counted, whatever the policy: it can change at any time,
 *	  and the next decision is right;
 *	- the total is looked at first, then the user;
 *	- who is privileged passes both, and is counted in both;
 *	- a forced charge passes both as well.
 *
 * Unlike there, nothing is added first and taken back after a refusal: one
 * mutex covers all, so that nobody is refused for what a third one did not get.
 *
 * Invariants, with the lock held:
 *
 *	C1  users[] is sorted by uid, and each uid is there once;
 *	C2  every user there has more than zero bytes;
 *	C3  total is the sum over the users, so no sum of them overflows.
 *
 * Cost: 16 bytes a user.  A lookup is a binary search; a user who comes or goes
 * moves the records behind it, 160 KB for ten thousand users.
 *
 * Limits.  The array does not shrink before charge_fini().
 */
#include "charge.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

#define ROOM_MIN	16u	/* records in the first array */
#define OVERCOMMIT_ALL	(SWAP_OVERCOMMIT_TOTAL | SWAP_OVERCOMMIT_USER | \
			 SWAP_OVERCOMMIT_RAM)

struct charge_user {
	uint64_t	bytes;
	uid_t		uid;
};

void
charge_init(struct charge *c, const struct log *log)
{
	memset(c, 0, sizeof(*c));
	c->log = *log;
	pthread_mutex_init(&c->lock, NULL);
}

void
charge_fini(struct charge *c)
{
	free(c->users);
	pthread_mutex_destroy(&c->lock);
}

/* ------------------------------------------------------------------ users */

/* Locked.  Where @uid is, or belongs. */
static size_t
find(const struct charge *c, uid_t uid)
{
	size_t lo = 0, hi = c->nusers;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (c->users[mid].uid < uid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static bool
is_user(const struct charge *c, size_t i, uid_t uid)
{
	return i < c->nusers && c->users[i].uid == uid;
}

static uint64_t
user_bytes(const struct charge *c, uid_t uid)
{
	size_t i = find(c, uid);

	return is_user(c, i, uid) ? c->users[i].bytes : 0;
}

static int
make_room(struct charge *c)
{
	size_t room = c->room == 0 ? ROOM_MIN : 2 * c->room;
	struct charge_user *users;

	if (c->nusers < c->room)
		return 0;
	users = realloc(c->users, room * sizeof(*users));
	if (users == NULL)
		return -ENOMEM;
	c->users = users;
	c->room = room;
	return 0;
}

/* Locked.  The sum is known not to overflow. */
static int
add(struct charge *c, uid_t uid, uint64_t bytes)
{
	size_t i = find(c, uid);

	if (!is_user(c, i, uid)) {
		if (make_room(c) < 0)
			return -ENOMEM;
		memmove(&c->users[i + 1], &c->users[i],
			(c->nusers - i) * sizeof(c->users[0]));
		c->users[i] = (struct charge_user){ .uid = uid };
		c->nusers++;
	}
	c->users[i].bytes += bytes;
	c->total += bytes;
	return 0;
}

/* ----------------------------------------------------------- take and give */

/* Why a charge was refused, for sentences made without the lock. */
struct refusal {
	const char	*what;		/* NULL: it was not */
	uint64_t	 have, limit;
};

/* Locked. */
static struct refusal
judge(const struct charge *c, uid_t uid, uint64_t bytes, uint64_t chargeable)
{
	struct refusal no = { .what = NULL };

	if ((c->overcommit & SWAP_OVERCOMMIT_TOTAL) &&
	    c->total + bytes > chargeable) {
		no.what = "all objects together";
		no.have = c->total;
		no.limit = chargeable;
		return no;
	}
	no.have = user_bytes(c, uid);
	if ((c->overcommit & SWAP_OVERCOMMIT_USER) && c->user_limit != 0 &&
	    no.have + bytes > c->user_limit) {
		no.what = "the objects of this user";
		no.limit = c->user_limit;
	}
	return no;
}

static int
refuse(struct charge *c, uid_t uid, uint64_t bytes, const struct refusal *no,
       struct swap_error *error)
{
	char want[32], have[32], limit[32];

	format_size(bytes, want, sizeof(want));
	format_size(no->have, have, sizeof(have));
	format_size(no->limit, limit, sizeof(limit));
	log_limited(&c->log, &c->limit, SWAP_LOG_WARNING,
		    "uid %ju: an object of %s is refused: %s have %s of %s",
		    (uintmax_t)uid, want, no->what, have, limit);
	return error_set(error, -ENOMEM,
		"an object of %s for uid %ju is too much: %s have %s and may "
		"have %s; give something back, or see 'overcommit' among the "
		"pager's settings", want, (uintmax_t)uid, no->what, have,
		limit);
}

int
charge_take(struct charge *c, uid_t uid, uint64_t bytes, uint64_t chargeable,
	    bool force, struct swap_error *error)
{
	struct refusal no = { .what = NULL };
	int rc = 0;

	if (bytes == 0)
		return 0;
	pthread_mutex_lock(&c->lock);
	if (bytes > UINT64_MAX - c->total)
		rc = -EOVERFLOW;
	else if (!force && uid != 0)
		no = judge(c, uid, bytes, chargeable);
	if (no.what != NULL)
		c->refused++;
	else if (rc == 0)
		rc = add(c, uid, bytes);
	pthread_mutex_unlock(&c->lock);
	if (no.what != NULL)
		return refuse(c, uid, bytes, &no, error);
	if (rc == -EOVERFLOW)
		return error_set(error, rc,
			"%" PRIu64 " bytes for uid %ju: more than can be "
			"counted", bytes, (uintmax_t)uid);
	if (rc < 0)
		return error_set(error, rc, "no memory to count what uid %ju "
				 "has", (uintmax_t)uid);
	return 0;
}

void
charge_give(struct charge *c, uid_t uid, uint64_t bytes)
{
	size_t i;

	if (bytes == 0)
		return;
	pthread_mutex_lock(&c->lock);
	i = find(c, uid);
	assert(is_user(c, i, uid) && c->users[i].bytes >= bytes);
	c->total -= bytes;
	c->users[i].bytes -= bytes;
	if (c->users[i].bytes == 0) {
		c->nusers--;
		memmove(&c->users[i], &c->users[i + 1],
			(c->nusers - i) * sizeof(c->users[0]));
	}
	pthread_mutex_unlock(&c->lock);
}

/* -------------------------------------------------------- policy, totals */

int
charge_set_overcommit(struct charge *c, unsigned bits)
{
	if ((bits & ~OVERCOMMIT_ALL) != 0)
		return -EINVAL;
	pthread_mutex_lock(&c->lock);
	c->overcommit = bits;
	pthread_mutex_unlock(&c->lock);
	return 0;
}

void
charge_set_user_limit(struct charge *c, uint64_t bytes)
{
	pthread_mutex_lock(&c->lock);
	c->user_limit = bytes;
	pthread_mutex_unlock(&c->lock);
}

void
charge_totals(struct charge *c, struct charge_totals *ret)
{
	pthread_mutex_lock(&c->lock);
	ret->total = c->total;
	ret->refused = c->refused;
	ret->user_limit = c->user_limit;
	ret->overcommit = c->overcommit;
	pthread_mutex_unlock(&c->lock);
}

/* Locked. */
static void
fill_users(const struct charge *c, struct swap_user_stats *st)
{
	uint64_t limit = (c->overcommit & SWAP_OVERCOMMIT_USER) ?
			 c->user_limit : 0;

	for (size_t i = 0; i < c->nusers; i++) {
		st[i].uid = c->users[i].uid;
		st[i].charged_bytes = c->users[i].bytes;
		st[i].limit_bytes = c->users[i].uid != 0 ? limit : 0;
	}
}

int
charge_stats(struct charge *c, struct swap_user_stats **ret, size_t *ret_n)
{
	struct swap_user_stats *st;
	int rc = -ENOMEM;

	pthread_mutex_lock(&c->lock);
	st = calloc(c->nusers + 1, sizeof(*st));
	if (st != NULL) {
		fill_users(c, st);
		*ret = st;
		*ret_n = c->nusers;
		rc = 0;
	}
	pthread_mutex_unlock(&c->lock);
	return rc;
}
