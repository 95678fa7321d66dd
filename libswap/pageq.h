/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pageq.h - a queue of resident pages, oldest first (floor 1)
 *
 * Pages are named by the slot of their object in the object table and their
 * index.  The queue does not own pages: an entry may be stale by the time it
 * is popped, and the popper looks.  It has its own lock.
 */
#ifndef SWAP_PAGEQ_H
#define SWAP_PAGEQ_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGEQ_SLOT_MAX	((1u << 24) - 1)
#define PAGEQ_PAGE_MAX	((UINT64_C(1) << 40) - 1)

struct pageq_chunk;

struct pageq {
	pthread_mutex_t		 lock;
	struct pageq_chunk	*head;	/* popped from */
	struct pageq_chunk	*tail;	/* pushed to */
	struct pageq_chunk	*spare;	/* one kept, so that steady state does
					   not allocate */
	size_t			 n;
};

void pageq_init(struct pageq *q);
void pageq_fini(struct pageq *q);

/* -ENOMEM: the queue is as it was. */
int pageq_push(struct pageq *q, uint32_t slot, uint64_t page);
/* The oldest entry; false: empty. */
bool pageq_pop(struct pageq *q, uint32_t *ret_slot, uint64_t *ret_page);
/* The oldest @n at most, under one lock; how many. */
struct pageq_entry {
	uint64_t	page;
	uint32_t	slot;
};
unsigned pageq_pop_many(struct pageq *q, struct pageq_entry entry[],
			unsigned n);
size_t pageq_count(struct pageq *q);

#endif
