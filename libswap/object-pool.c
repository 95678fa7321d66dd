/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What an object has of its pool: RAM and blocks.
 *
 * Whoever takes RAM for a page takes it from the object's pool first, then from
 * the budget.  What has been taken, and what page-out has in hand, is counted in
 * the object, under its lock: so all of it moves when the object gets another
 * pool, and nobody need remember where a page in flight was taken from.
 *
 * An object without limits is in the pool of the core, where none of this is
 * counted: then only the budget decides.
 *
 *	A1  nram is the number of pages that are resident, or on their way in.
 *	A2  nleaving is the number of pages that page-out owns, ngoing that of
 *	    the dirty ones of these: each may get a block.
 *
 * During a handover nothing waits: limits hold no more.
 */
#include "object.h"

#include "util.h"

bool
object_is_limited(const struct swap_object *object)
{
	return object->pool != &object->core->pool;
}

/* Do the limits of its pool count now? */
static bool
must_ask(const struct swap_object *object)
{
	return object_is_limited(object) &&
	       !atomic_load(&object->core->frozen);
}

/* ---------------------------------------------------------------------- RAM */

/* Page-out should know that a pool has few pages left. */
static void
call_if_low(const struct swap_object *object)
{
	struct budget *budget = &object->core->budget;

	if (pool_room_above(object->pool) == 0 &&
	    atomic_load(&budget->waiting) && !pool_is_tired(object->pool))
		budget_need(budget);
}

static bool
take(struct swap_object *object, uint64_t n, uint64_t extra)
{
	struct budget *budget = &object->core->budget;
	bool ask = must_ask(object), limited = object_is_limited(object);

	if (ask && !pool_take(object->pool, n, extra))
		return false;
	if (!ask && limited)
		pool_force(object->pool, n);
	if (extra > 0 ? !budget_take_extra(budget, extra)
		      : !budget_take(budget, n)) {
		if (limited)
			pool_give(object->pool, n);
		return false;
	}
	object->nram += n;
	if (ask)
		call_if_low(object);
	return true;
}

bool
object_take_ram(struct swap_object *object, uint64_t n)
{
	return take(object, n, 0);
}

bool
object_take_ram_extra(struct swap_object *object, uint64_t extra)
{
	return take(object, 1, extra);
}

void
object_count_ram(struct swap_object *object, uint64_t n)
{
	if (object_is_limited(object))
		pool_force(object->pool, n);
	object->nram += n;
}

void
object_give_ram(struct swap_object *object, uint64_t n)
{
	struct budget *budget = &object->core->budget;
	bool tired = false;

	if (n == 0)
		return;
	object->nram -= n;
	if (object_is_limited(object)) {
		pool_give(object->pool, n);
		tired = pool_note_change(object->pool);
	}
	budget_give(budget, n);
	if (tired)
		budget_kick(budget);
}

uint64_t
object_ram_room(const struct swap_object *object)
{
	return must_ask(object) ? pool_room(object->pool) : UINT64_MAX;
}

uint64_t
object_ram_spare(const struct swap_object *object)
{
	return must_ask(object) ? pool_room_above(object->pool) : UINT64_MAX;
}

/* ------------------------------------------------------------------- blocks */

void
object_count_block(struct swap_object *object)
{
	object->nblocks++;
	if (object_is_limited(object))
		pool_force_blocks(object->pool, 1);
}

void
object_uncount_blocks(struct swap_object *object, uint64_t n)
{
	object->nblocks -= n;
	if (object_is_limited(object) && pool_give_blocks(object->pool, n))
		budget_kick(&object->core->budget);
}

uint64_t
object_block_room(const struct swap_object *object)
{
	return object_is_limited(object) ? pool_block_room(object->pool) :
	       UINT64_MAX;
}

bool
object_blocks_tight(const struct swap_object *object)
{
	return object_is_limited(object) && pool_blocks_tight(object->pool);
}

bool
object_begin_leave(struct swap_object *object, bool dirty)
{
	if (object_is_limited(object)) {
		if (dirty && !pool_take_blocks(object->pool, 1))
			return false;
		pool_count_leaving(object->pool, 1);
	}
	object->nleaving++;
	object->ngoing += dirty;
	return true;
}

void
object_end_leave(struct swap_object *object, uint64_t n, bool dirty)
{
	object->nleaving -= n;
	object->ngoing -= dirty ? n : 0;
	if (!object_is_limited(object))
		return;
	pool_count_left(object->pool, n);
	/* This is page-out itself, that is not tired now. */
	if (dirty)
		(void)pool_give_blocks(object->pool, n);
}

/* -------------------------------------------------------------------- wired */

bool
object_wire_take(struct swap_object *object, uint64_t n)
{
	struct core *core = object->core;

	if (object->flags & SWAP_OBJECT_NOSWAP)
		return true;
	if (!budget_wire(&core->budget, n))
		return false;
	if (object_is_limited(object) &&
	    !pool_wire(&core->pools, object->pool, n, false)) {
		budget_unwire(&core->budget, n);
		return false;
	}
	return true;
}

void
object_unwire(struct swap_object *object, uint64_t n)
{
	struct core *core = object->core;

	budget_unwire(&core->budget, n);
	if (object_is_limited(object))
		pool_unwire(&core->pools, object->pool, n);
}

void
object_wire_give(struct swap_object *object, uint64_t n)
{
	if (!(object->flags & SWAP_OBJECT_NOSWAP))
		object_unwire(object, n);
}

/* ------------------------------------------------------------ another pool */

/* All that counts, into one pool or out of it. */
static void
count_into(const struct swap_object *object, struct pool *pool)
{
	struct core *core = object->core;

	atomic_fetch_add(&pool->resident, object->nresident);
	if (pool == &core->pool)
		return;
	pool_force(pool, object->nram);
	pool_force_blocks(pool, object->nblocks + object->ngoing);
	pool_count_leaving(pool, object->nleaving);
	(void)pool_wire(&core->pools, pool, object->flags & SWAP_OBJECT_NOSWAP ?
			object->npages : object->nwired, true);
}

static void
count_out_of(const struct swap_object *object, struct pool *pool)
{
	struct core *core = object->core;

	atomic_fetch_sub(&pool->resident, object->nresident);
	if (pool == &core->pool)
		return;
	pool_give(pool, object->nram);
	(void)pool_give_blocks(pool, object->nblocks + object->ngoing);
	pool_count_left(pool, object->nleaving);
	pool_unwire(&core->pools, pool, object->flags & SWAP_OBJECT_NOSWAP ?
		    object->npages : object->nwired);
}

/*
 * Where there is no memory for an entry page-out finds the page when it sweeps
 * the table.
 */
static void
queue_again(struct swap_object *object)
{
	for (uint64_t page = 0; page < object->npages; page++) {
		uint8_t *p = &object->page[page];

		if (!(*p & PAGE_QUEUED))
			continue;
		*p &= (uint8_t)~PAGE_QUEUED;
		if (page_is_resident(object, page))
			object_enqueue(object, page);
	}
}

void
object_set_pool(struct swap_object *object, struct pool *pool)
{
	struct core *core = object->core;
	struct pool *old = object->pool;

	if (pool != &core->pool)
		pool_get(&core->pools, pool);
	count_into(object, pool);
	object->pool = pool;
	count_out_of(object, old);
	queue_again(object);
	if (old != &core->pool)
		pool_put(&core->pools, old);
}
