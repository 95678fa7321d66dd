/* SPDX-License-Identifier: BSD-2-Clause */
/* Pools: the queues of pages that compete for RAM, see pool.h. */
#include "pool.h"

void
pool_init(struct pool *pool)
{
	pageq_init(&pool->small);
	pageq_init(&pool->main);
	pageq_init(&pool->probed);
	pageq_init(&pool->cold);
	atomic_init(&pool->resident, 0);
	atomic_init(&pool->limit, 0);
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
