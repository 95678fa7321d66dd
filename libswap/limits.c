/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Limits of objects and clients.
 *
 * Who gets a limit gets a pool of its own (pool.h), and stays in it when the
 * limit is lifted: a pool without limits is as good as any.  So an object never
 * goes back to a pool in which it has been before.
 *
 *	object			alone		of a client with limits
 *	without limits		the core's	the client's
 *	with its own		one of its own	one of its own, in the client's
 *
 * Costs: an object that changes its pool is looked at page by page, once, at a
 * byte each.
 */
#include <errno.h>
#include <inttypes.h>

#include "fault.h"
#include "object.h"
#include "pager-impl.h"
#include "pager.h"
#include "util.h"

struct wish {
	uint64_t	ram, swap;	/* pages; 0: none */
};

static int
wish_read(uint64_t ram_bytes, uint64_t swap_bytes, struct wish *wish,
	  struct swap_error *error)
{
	char text[32];

	if (ram_bytes != 0 && ram_bytes < SWAP_RAM_MIN)
		return error_set(error, -EINVAL,
			"a RAM limit of %s is too small to page with; give at "
			"least 1 MiB, or 0 for none",
			format_size(ram_bytes, text, sizeof(text)));
	wish->ram = ram_bytes >> page_shift();
	/* Less than a page is not the same as no limit. */
	wish->swap = swap_bytes == 0 ? 0 :
		     max_u64(1, swap_bytes >> page_shift());
	return 0;
}

static int
set_limits(struct core *core, struct pool *pool, const struct wish *wish,
	   struct swap_error *error)
{
	char limit[32], wired[32];
	int rc = pool_set_limits(&core->pools, pool, wish->ram, wish->swap,
				 atomic_load(&core->cluster));

	if (rc < 0)
		return error_set(error, rc,
			"a RAM limit of %s is too small: %s are wired, and a "
			"quarter must stay free to page; give more, or unwire "
			"some",
			format_size(wish->ram << page_shift(), limit,
				    sizeof(limit)),
			format_size(atomic_load(&pool->wired) << page_shift(),
				    wired, sizeof(wired)));
	return 0;
}

/* Page-out works down to it, or faults go on. */
static void
tell(struct swap_pager *pager)
{
	budget_kick(&pager->core.budget);
	fault_wake_starved(&pager->core, &pager->regions, true);
}

/*
 * A pool for the object alone, in @parent.  Not locked; one that died meanwhile
 * is left where it is.
 */
static int
isolate(struct swap_object *object, struct pool *parent,
	const struct wish *wish)
{
	struct core *core = object->core;
	struct pool *pool;
	int rc = pool_create(&core->pools, parent, true, &pool);

	if (rc < 0)
		return rc;
	/* Nothing is wired in it yet. */
	rc = pool_set_limits(&core->pools, pool, wish->ram, wish->swap,
			     atomic_load(&core->cluster));
	object_lock(object);
	if (rc == 0 && !object->dead)
		object_set_pool(object, pool);
	object_unlock(object);
	pool_put(&core->pools, pool);
	return rc;
}

int
swap_object_limit(struct swap_object *object, uint64_t ram_bytes,
		  uint64_t swap_bytes, struct swap_error *error)
{
	struct swap_pager *pager = container_of(object->core,
						struct swap_pager, core);
	const struct wish none = { 0 };
	struct pool *pool;
	struct wish wish;
	int rc = wish_read(ram_bytes, swap_bytes, &wish, error);

	if (rc < 0)
		return rc;
	pthread_mutex_lock(&pager->admin);
	pool = object->pool;
	if (!object_is_limited(object) || !pool->of_object)
		rc = isolate(object, object_is_limited(object) ? pool : NULL,
			     &none);
	rc = rc < 0 ? error_set(error, rc, "no memory for a limit") :
	     set_limits(object->core, object->pool, &wish, error);
	pthread_mutex_unlock(&pager->admin);
	if (rc == 0)
		tell(pager);
	return rc;
}

/* ------------------------------------------------------------------ clients */

/* An object of the client comes into its pool. */
static int
join(struct swap_object *object, void *arg)
{
	const struct pager_owner *owner = arg;
	struct pool *pool = object->pool;
	struct wish wish;

	if (object->client != owner->client || pool == owner->pool ||
	    pool->parent == owner->pool)
		return 0;
	if (object_is_limited(object) && pool->of_object) {
		wish.ram = atomic_load(&pool->limit);
		wish.swap = atomic_load(&pool->swap_limit);
		return isolate(object, owner->pool, &wish);
	}
	object_lock(object);
	if (!object->dead)
		object_set_pool(object, owner->pool);
	object_unlock(object);
	return 0;
}

int
pager_client_limit(struct swap_pager *pager, struct pager_owner *owner,
		   uint64_t ram_bytes, uint64_t swap_bytes,
		   struct swap_error *error)
{
	struct core *core = &pager->core;
	struct wish wish;
	int rc = wish_read(ram_bytes, swap_bytes, &wish, error);

	if (rc < 0)
		return rc;
	pthread_mutex_lock(&pager->admin);
	if (owner->pool == NULL)
		rc = pool_create(&core->pools, NULL, false, &owner->pool);
	if (rc == 0)
		rc = objects_each(core, join, owner);
	rc = rc < 0 ? error_set(error, rc, "no memory for a limit") :
	     set_limits(core, owner->pool, &wish, error);
	pthread_mutex_unlock(&pager->admin);
	if (rc == 0)
		tell(pager);
	return rc;
}

void
pager_client_end(struct swap_pager *pager, struct pager_owner *owner)
{
	if (owner->pool != NULL)
		pool_put(&pager->core.pools, owner->pool);
	owner->pool = NULL;
}
