/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A first-in first-out queue in chunks.
 *
 * An entry is one word.  The queue grows and shrinks by chunks of 1022
 * entries and keeps one spare, so a queue of steady length never allocates.
 * Push and pop take constant time.
 */
#include "pageq.h"

#include <errno.h>
#include <stdlib.h>

#define CHUNK_ENTRIES	1022u

struct pageq_chunk {
	struct pageq_chunk *next;
	uint32_t	first, end;	/* used: [first, end) */
	uint64_t	entry[CHUNK_ENTRIES];
};

void
pageq_init(struct pageq *q)
{
	pthread_mutex_init(&q->lock, NULL);
	q->head = q->tail = q->spare = NULL;
	q->n = 0;
}

void
pageq_fini(struct pageq *q)
{
	struct pageq_chunk *chunk, *next;

	for (chunk = q->head; chunk != NULL; chunk = next) {
		next = chunk->next;
		free(chunk);
	}
	free(q->spare);
	pthread_mutex_destroy(&q->lock);
}

static struct pageq_chunk *
chunk_add(struct pageq *q)
{
	struct pageq_chunk *chunk = q->spare;

	if (chunk == NULL)
		chunk = malloc(sizeof(*chunk));
	if (chunk == NULL)
		return NULL;
	q->spare = NULL;
	chunk->next = NULL;
	chunk->first = chunk->end = 0;
	if (q->tail != NULL)
		q->tail->next = chunk;
	else
		q->head = chunk;
	q->tail = chunk;
	return chunk;
}

int
pageq_push(struct pageq *q, uint32_t slot, uint64_t page)
{
	struct pageq_chunk *chunk;
	int rc = 0;

	pthread_mutex_lock(&q->lock);
	chunk = q->tail;
	if (chunk == NULL || chunk->end == CHUNK_ENTRIES)
		chunk = chunk_add(q);
	if (chunk != NULL) {
		chunk->entry[chunk->end++] = (uint64_t)slot << 40 | page;
		q->n++;
	} else {
		rc = -ENOMEM;
	}
	pthread_mutex_unlock(&q->lock);
	return rc;
}

static void
chunk_remove_head(struct pageq *q)
{
	struct pageq_chunk *chunk = q->head;

	q->head = chunk->next;
	if (q->head == NULL)
		q->tail = NULL;
	if (q->spare == NULL)
		q->spare = chunk;
	else
		free(chunk);
}

/* Locked. */
static bool
pop(struct pageq *q, struct pageq_entry *ret)
{
	struct pageq_chunk *chunk = q->head;
	uint64_t entry;

	if (chunk == NULL)
		return false;
	entry = chunk->entry[chunk->first++];
	q->n--;
	if (chunk->first == chunk->end)
		chunk_remove_head(q);
	ret->slot = (uint32_t)(entry >> 40);
	ret->page = entry & PAGEQ_PAGE_MAX;
	return true;
}

bool
pageq_pop(struct pageq *q, uint32_t *ret_slot, uint64_t *ret_page)
{
	struct pageq_entry entry;

	if (pageq_pop_many(q, &entry, 1) == 0)
		return false;
	*ret_slot = entry.slot;
	*ret_page = entry.page;
	return true;
}

unsigned
pageq_pop_many(struct pageq *q, struct pageq_entry entry[], unsigned n)
{
	unsigned i = 0;

	pthread_mutex_lock(&q->lock);
	while (i < n && pop(q, &entry[i]))
		i++;
	pthread_mutex_unlock(&q->lock);
	return i;
}

size_t
pageq_count(struct pageq *q)
{
	size_t n;

	pthread_mutex_lock(&q->lock);
	n = q->n;
	pthread_mutex_unlock(&q->lock);
	return n;
}
