/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The RAM budget.
 *
 * Taking and giving are single atomic operations; the mutex is for sleeping,
 * and for what is rare: wiring, and changes of the limit, which depend on each
 * other.  A giver looks at `takers`, and a taker that runs low at `waiting`,
 * after its own update: both are sequentially consistent, so one of two
 * threads that race always sees the other.
 *
 * A limit that sinks below what is used takes nothing away: no page is given
 * out until page-out has come below it.  The marks follow the limit; who reads
 * one of them while they change decides by the old one or by the new.
 */
#include "budget.h"

#include <errno.h>

#include "compiler.h"
#include "threads.h"
#include "util.h"

/*
 * Most pages of a low mark.  Free pages are a waste but for what is needed while
 * page-out wakes up and its first writes end: some milliseconds.
 */
#define LOW_MAX		1024u

/* Locked, or nobody else knows it yet. */
static void
set_marks(struct budget *b, uint64_t limit)
{
	uint64_t low = max_u64(min_u64(limit / 32, LOW_MAX),
			       min_u64(2 * (uint64_t)b->cluster, limit / 8));

	atomic_store(&b->low, low);
	atomic_store(&b->high, 2 * low);
}

void
budget_init(struct budget *b, uint64_t limit, unsigned cluster)
{
	atomic_init(&b->limit, limit);
	atomic_init(&b->used, 0);
	atomic_init(&b->wired, 0);
	b->cluster = cluster;
	set_marks(b, limit);
	b->kicked = b->urgent = false;
	b->ngiven = 0;
	atomic_init(&b->waiting, false);
	atomic_init(&b->takers, 0);
	atomic_init(&b->starving, 0);
	pthread_mutex_init(&b->lock, NULL);
	cond_init(&b->needed);
	cond_init(&b->freed);
}

void
budget_fini(struct budget *b)
{
	pthread_cond_destroy(&b->needed);
	pthread_cond_destroy(&b->freed);
	pthread_mutex_destroy(&b->lock);
}

/* Page-out and page-in need pages to move: a quarter at least. */
static bool
may_wire(uint64_t wired, uint64_t limit)
{
	return wired <= limit - limit / 4;
}

int
budget_set_limit(struct budget *b, uint64_t limit)
{
	bool fits;

	pthread_mutex_lock(&b->lock);
	fits = may_wire(atomic_load(&b->wired), limit);
	if (fits) {
		atomic_store(&b->limit, limit);
		set_marks(b, limit);
		b->kicked = b->urgent = true;
		b->ngiven++;
		pthread_cond_signal(&b->needed);
		pthread_cond_broadcast(&b->freed);
	}
	pthread_mutex_unlock(&b->lock);
	return fits ? 0 : -EBUSY;
}

uint64_t
budget_least(const struct budget *b)
{
	uint64_t wired = atomic_load(&b->wired);

	return wired == 0 ? 0 : 4 * (wired - 1) / 3 + 1;
}

void
budget_set_cluster(struct budget *b, unsigned cluster)
{
	pthread_mutex_lock(&b->lock);
	b->cluster = cluster;
	set_marks(b, atomic_load(&b->limit));
	pthread_mutex_unlock(&b->lock);
}

uint64_t
budget_free(const struct budget *b)
{
	uint64_t limit = atomic_load(&b->limit);
	uint64_t used = atomic_load(&b->used);

	return used < limit ? limit - used : 0;
}

bool
budget_is_low(const struct budget *b)
{
	return budget_free(b) < b->low;
}

bool
budget_is_high(const struct budget *b)
{
	return budget_free(b) >= b->high;
}

static void
call(struct budget *b, bool urgent)
{
	pthread_mutex_lock(&b->lock);
	b->kicked = true;
	b->urgent |= urgent;
	pthread_cond_signal(&b->needed);
	pthread_mutex_unlock(&b->lock);
}

void
budget_kick(struct budget *b)
{
	call(b, true);
}

void
budget_need(struct budget *b)
{
	call(b, false);
}

static bool
take(struct budget *b, uint64_t n, uint64_t extra)
{
	uint64_t used = atomic_load(&b->used);
	bool taken = true;

	do {
		if (used + n > atomic_load(&b->limit) + extra) {
			taken = false;
			break;
		}
	} while (!atomic_compare_exchange_weak(&b->used, &used, used + n));
	if (budget_is_low(b) && atomic_load(&b->waiting))
		call(b, false);
	return taken;
}

bool
budget_take(struct budget *b, uint64_t n)
{
	return take(b, n, 0);
}

bool
budget_take_extra(struct budget *b, uint64_t extra)
{
	return take(b, 1, extra);
}

void
budget_force(struct budget *b, uint64_t n)
{
	atomic_fetch_add(&b->used, n);
	if (budget_is_low(b) && atomic_load(&b->waiting))
		call(b, false);
}

void
budget_give(struct budget *b, uint64_t n)
{
	if (n == 0)
		return;
	atomic_fetch_sub(&b->used, n);
	if (atomic_load(&b->starving) > 0 && atomic_load(&b->waiting))
		call(b, true);
	if (atomic_load(&b->takers) == 0)
		return;
	pthread_mutex_lock(&b->lock);
	b->ngiven++;
	pthread_cond_broadcast(&b->freed);
	pthread_mutex_unlock(&b->lock);
}

bool
budget_wait(struct budget *b, bool (*try)(void *arg), void *arg,
	    uint64_t usec)
{
	uint64_t until = now_usec() + usec;
	bool taken = try(arg);
	int rc = 0;

	if (taken)
		return true;
	atomic_fetch_add(&b->takers, 1);
	call(b, true);
	pthread_mutex_lock(&b->lock);
	while (rc == 0) {
		uint64_t ngiven = b->ngiven;

		pthread_mutex_unlock(&b->lock);
		taken = try(arg);
		pthread_mutex_lock(&b->lock);
		if (taken)
			break;
		/* A give between the try and here must not be missed. */
		if (b->ngiven != ngiven)
			continue;
		rc = cond_wait_until(&b->freed, &b->lock, until);
	}
	pthread_mutex_unlock(&b->lock);
	atomic_fetch_sub(&b->takers, 1);
	return taken;
}

struct taking {
	struct budget	*budget;
	uint64_t	 n;
};

static bool
take_some(void *arg)
{
	struct taking *t = arg;

	return budget_take(t->budget, t->n);
}

bool
budget_take_wait(struct budget *b, uint64_t n, uint64_t usec)
{
	struct taking t = { .budget = b, .n = n };

	return budget_wait(b, take_some, &t, usec);
}

bool
budget_wire(struct budget *b, uint64_t n)
{
	uint64_t limit, wired;
	bool fits;

	/* Locked: the limit must not sink between the look and the count. */
	pthread_mutex_lock(&b->lock);
	limit = atomic_load(&b->limit);
	wired = atomic_load(&b->wired);
	fits = n <= limit && may_wire(wired + n, limit);
	if (fits)
		atomic_fetch_add(&b->wired, n);
	pthread_mutex_unlock(&b->lock);
	return fits;
}

void
budget_unwire(struct budget *b, uint64_t n)
{
	atomic_fetch_sub(&b->wired, n);
}

void
budget_wait_needed(struct budget *b, uint64_t usec, bool tired)
{
	uint64_t until = now_usec() + usec;
	int rc = 0;

	pthread_mutex_lock(&b->lock);
	atomic_store(&b->waiting, true);
	while (rc == 0 && !b->urgent &&
	       (tired || (!b->kicked && !budget_is_low(b))))
		rc = cond_wait_until(&b->needed, &b->lock, until);
	atomic_store(&b->waiting, false);
	b->kicked = b->urgent = false;
	pthread_mutex_unlock(&b->lock);
}
