/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pools: queues of pages that compete for RAM, and their limits, see pool.h.
 *
 * Taking and giving are one atomic operation a level, and what was taken from
 * the inner pool is given back where the outer one has none.  The pool of all
 * objects without limits is in no list, and nothing is counted in it but what
 * is resident.
 *
 * Costs: the queues of a pool, which are empty at first; page-out looks at all
 * pools that may have limits whenever it is called.
 */
#include "pool.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "util.h"

#define LOW_MAX		1024u	/* pages of a low mark, as in budget.c */
#define TIGHT_PART	16u	/* of the swap limit, ... */
#define TIGHT_MAX	1024u	/* ... and so many blocks at most */

void
pools_init(struct pools *pools)
{
	pthread_mutex_init(&pools->lock, NULL);
	pools->first = NULL;
}

void
pools_fini(struct pools *pools)
{
	assert(pools->first == NULL);
	pthread_mutex_destroy(&pools->lock);
}

void
pool_init(struct pool *pool)
{
	*pool = (struct pool){ .refs = 1 };
	pageq_init(&pool->small);
	pageq_init(&pool->main);
	pageq_init(&pool->probed);
	pageq_init(&pool->cold);
}

void
pool_fini(struct pool *pool)
{
	pageq_fini(&pool->small);
	pageq_fini(&pool->main);
	pageq_fini(&pool->probed);
	pageq_fini(&pool->cold);
}

size_t
pool_queued(struct pool *pool)
{
	return pageq_count(&pool->small) + pageq_count(&pool->main) +
	       pageq_count(&pool->probed);
}

/* --------------------------------------------------------------------- life */

int
pool_create(struct pools *pools, struct pool *parent, bool of_object,
	    struct pool **ret_pool)
{
	struct pool *pool = malloc(sizeof(*pool));

	if (pool == NULL)
		return -ENOMEM;
	pool_init(pool);
	pool->parent = parent;
	pool->of_object = of_object;
	pthread_mutex_lock(&pools->lock);
	if (parent != NULL)
		parent->refs++;
	pool->next = pools->first;
	pools->first = pool;
	pthread_mutex_unlock(&pools->lock);
	*ret_pool = pool;
	return 0;
}

void
pool_get(struct pools *pools, struct pool *pool)
{
	pthread_mutex_lock(&pools->lock);
	pool->refs++;
	pthread_mutex_unlock(&pools->lock);
}

/* Locked.  One reference less; true: it has left the list. */
static bool
drop_ref(struct pools *pools, struct pool *pool)
{
	struct pool **at = &pools->first;

	if (--pool->refs > 0)
		return false;
	while (*at != pool)
		at = &(*at)->next;
	*at = pool->next;
	return true;
}

void
pool_put(struct pools *pools, struct pool *pool)
{
	while (pool != NULL) {
		struct pool *parent = pool->parent;
		bool last;

		pthread_mutex_lock(&pools->lock);
		last = drop_ref(pools, pool);
		pthread_mutex_unlock(&pools->lock);
		if (!last)
			break;
		pool_fini(pool);
		free(pool);
		pool = parent;
	}
}

struct pool *
pool_next(struct pools *pools, struct pool *pool)
{
	struct pool *next;

	pthread_mutex_lock(&pools->lock);
	next = pool != NULL ? pool->next : pools->first;
	if (next != NULL)
		next->refs++;
	pthread_mutex_unlock(&pools->lock);
	if (pool != NULL)
		pool_put(pools, pool);
	return next;
}

/* ------------------------------------------------------------------- limits */

/* Page-out and page-in need pages to move: a quarter at least. */
static bool
may_wire(uint64_t wired, uint64_t limit)
{
	return limit == 0 || wired <= limit - limit / 4;
}

int
pool_set_limits(struct pools *pools, struct pool *pool, uint64_t limit,
		uint64_t swap_limit, unsigned cluster)
{
	uint64_t low = max_u64(min_u64(limit / 32, LOW_MAX),
			       min_u64(2 * (uint64_t)cluster, limit / 8));
	bool fits;

	pthread_mutex_lock(&pools->lock);
	fits = may_wire(atomic_load(&pool->wired), limit);
	if (fits) {
		atomic_store(&pool->limit, limit);
		atomic_store(&pool->swap_limit, swap_limit);
		atomic_store(&pool->low, low);
		atomic_store(&pool->high, 2 * low);
		/* What page-out has found out held for the others. */
		atomic_store(&pool->stuck, false);
		atomic_store(&pool->changed, true);
	}
	pthread_mutex_unlock(&pools->lock);
	return fits ? 0 : -EBUSY;
}

static uint64_t
room(const _Atomic uint64_t *used, const _Atomic uint64_t *limit)
{
	uint64_t most = atomic_load(limit), n = atomic_load(used);

	if (most == 0)
		return UINT64_MAX;
	return n < most ? most - n : 0;
}

static bool
add(_Atomic uint64_t *used, const _Atomic uint64_t *limit, uint64_t n,
    uint64_t extra)
{
	uint64_t now = atomic_load(used), most;

	do {
		most = atomic_load(limit);
		if (most != 0 && now + n > most + extra)
			return false;
	} while (!atomic_compare_exchange_weak(used, &now, now + n));
	return true;
}

bool
pool_take(struct pool *pool, uint64_t n, uint64_t extra)
{
	for (struct pool *p = pool; p != NULL; p = p->parent) {
		if (add(&p->used, &p->limit, n, extra))
			continue;
		for (struct pool *q = pool; q != p; q = q->parent)
			atomic_fetch_sub(&q->used, n);
		return false;
	}
	return true;
}

void
pool_force(struct pool *pool, uint64_t n)
{
	for (struct pool *p = pool; p != NULL; p = p->parent)
		atomic_fetch_add(&p->used, n);
}

void
pool_give(struct pool *pool, uint64_t n)
{
	for (struct pool *p = pool; p != NULL; p = p->parent)
		atomic_fetch_sub(&p->used, n);
}

uint64_t
pool_room(const struct pool *pool)
{
	uint64_t least = UINT64_MAX;

	for (const struct pool *p = pool; p != NULL; p = p->parent)
		least = min_u64(least, room(&p->used, &p->limit));
	return least;
}

uint64_t
pool_room_above(const struct pool *pool)
{
	uint64_t least = UINT64_MAX;

	for (const struct pool *p = pool; p != NULL; p = p->parent) {
		uint64_t left = room(&p->used, &p->limit);

		if (left != UINT64_MAX)
			left -= min_u64(left, atomic_load(&p->low));
		least = min_u64(least, left);
	}
	return least;
}

bool
pool_take_blocks(struct pool *pool, uint64_t n)
{
	for (struct pool *p = pool; p != NULL; p = p->parent) {
		if (add(&p->blocks, &p->swap_limit, n, 0))
			continue;
		for (struct pool *q = pool; q != p; q = q->parent)
			atomic_fetch_sub(&q->blocks, n);
		return false;
	}
	return true;
}

void
pool_force_blocks(struct pool *pool, uint64_t n)
{
	for (struct pool *p = pool; p != NULL; p = p->parent)
		atomic_fetch_add(&p->blocks, n);
}

bool
pool_give_blocks(struct pool *pool, uint64_t n)
{
	for (struct pool *p = pool; p != NULL; p = p->parent)
		atomic_fetch_sub(&p->blocks, n);
	return pool_note_change(pool);
}

uint64_t
pool_block_room(const struct pool *pool)
{
	uint64_t least = UINT64_MAX;

	for (const struct pool *p = pool; p != NULL; p = p->parent)
		least = min_u64(least, room(&p->blocks, &p->swap_limit));
	return least;
}

bool
pool_blocks_tight(const struct pool *pool)
{
	for (const struct pool *p = pool; p != NULL; p = p->parent)
		if (room(&p->blocks, &p->swap_limit) <=
		    min_u64(atomic_load(&p->swap_limit) / TIGHT_PART,
			    TIGHT_MAX))
			return true;
	return false;
}

/* Locked. */
static bool
wire_fits(const struct pool *pool, uint64_t n)
{
	for (const struct pool *p = pool; p != NULL; p = p->parent) {
		uint64_t limit = atomic_load(&p->limit);

		if (limit != 0 &&
		    (n > limit ||
		     !may_wire(atomic_load(&p->wired) + n, limit)))
			return false;
	}
	return true;
}

bool
pool_wire(struct pools *pools, struct pool *pool, uint64_t n, bool force)
{
	bool fits;

	/* Locked: a limit must not sink between the look and the count. */
	pthread_mutex_lock(&pools->lock);
	fits = force || wire_fits(pool, n);
	for (struct pool *p = pool; p != NULL && fits; p = p->parent)
		atomic_fetch_add(&p->wired, n);
	pthread_mutex_unlock(&pools->lock);
	return fits;
}

void
pool_unwire(struct pools *pools, struct pool *pool, uint64_t n)
{
	pthread_mutex_lock(&pools->lock);
	for (struct pool *p = pool; p != NULL; p = p->parent)
		atomic_fetch_sub(&p->wired, n);
	pthread_mutex_unlock(&pools->lock);
}

void
pool_count_leaving(struct pool *pool, uint64_t n)
{
	for (struct pool *p = pool; p != NULL; p = p->parent)
		atomic_fetch_add(&p->leaving, n);
}

void
pool_count_left(struct pool *pool, uint64_t n)
{
	for (struct pool *p = pool; p != NULL; p = p->parent)
		atomic_fetch_sub(&p->leaving, n);
}

bool
pool_note_change(struct pool *pool)
{
	bool tired = false;

	for (struct pool *p = pool; p != NULL; p = p->parent) {
		if (!atomic_load(&p->tired))
			continue;
		atomic_store(&p->changed, true);
		tired = true;
	}
	return tired;
}

bool
pool_is_tired(const struct pool *pool)
{
	for (const struct pool *p = pool; p != NULL; p = p->parent)
		if (atomic_load(&p->tired))
			return true;
	return false;
}

bool
pool_is_stuck(const struct pool *pool)
{
	for (const struct pool *p = pool; p != NULL; p = p->parent)
		if (atomic_load(&p->stuck) && room(&p->used, &p->limit) == 0)
			return true;
	return false;
}

/* The lesser of two limits, of which 0 is none. */
static uint64_t
stricter(uint64_t a, uint64_t b)
{
	return a == 0 || (b != 0 && b < a) ? b : a;
}

uint64_t
pool_least_limit(const struct pool *pool)
{
	uint64_t limit = 0;

	for (const struct pool *p = pool; p != NULL; p = p->parent)
		limit = stricter(limit, atomic_load(&p->limit));
	return limit;
}

uint64_t
pool_least_swap_limit(const struct pool *pool)
{
	uint64_t limit = 0;

	for (const struct pool *p = pool; p != NULL; p = p->parent)
		limit = stricter(limit, atomic_load(&p->swap_limit));
	return limit;
}

/* ------------------------------------------------------------- for page-out */

uint64_t
pool_missing(const struct pool *pool)
{
	uint64_t limit = atomic_load(&pool->limit);
	uint64_t need = atomic_load(&pool->used) + atomic_load(&pool->high);
	uint64_t have = limit + atomic_load(&pool->leaving);

	return limit != 0 && need > have ? need - have : 0;
}

bool
pool_is_low(const struct pool *pool)
{
	return room(&pool->used, &pool->limit) < atomic_load(&pool->low);
}
