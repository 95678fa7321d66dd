/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Words, and who refers to them.
 *
 * Memory that was filled with something but zeros is common: 0xff, a poison of
 * an allocator, a colour, pointers to the same nothing.  A page of it is known
 * when its word is.
 *
 *	X1  A word is in one entry at most, and an entry with references is in
 *	    the chain of its word's bucket; the others are in the free list.
 *	X2  A word's place is written before its number is given out, and left
 *	    alone while the number has a reference.  So who has one reads it
 *	    without the lock.
 *	X3  The file has the words alone.  References are those of the swap
 *	    maps, and a successor that reads these can count them.  A number
 *	    that a map has names the right word, whenever the process dies,
 *	    since its reference is taken before it is entered and dropped after.
 *
 * Buckets are by a multiplication with a number that is not known outside, so
 * that nobody makes the chains long on purpose.
 *
 * Costs: 32 KiB in the arena, 80 KiB beside; a lock held for a few
 * instructions.
 *
 * Limits: WORDS_MAX words; who finds the table full does without.
 */
#include "words.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

#define BUCKET_BITS	12u
#define BUCKETS		(1u << BUCKET_BITS)
#define NOBODY		UINT32_MAX
#define WORDS_BYTES	(WORDS_MAX * sizeof(uint64_t))

struct words_entry {
	uint64_t	refs;		/* 0: not in use */
	uint32_t	next;		/* in its chain, or in the free list */
};

/* Where the chain of a word begins. */
static uint32_t *
chain_of(const struct words *words, uint64_t word)
{
	return &words->bucket[(word * words->mix) >> (64 - BUCKET_BITS)];
}

static uint64_t
word_at(const struct words *words, uint64_t number)
{
	return atomic_load_explicit(&words->word[number],
				    memory_order_relaxed);
}

/* Odd, and nobody's guess. */
static uint64_t
make_mix(const struct words *words)
{
	uint64_t x = now_usec() ^ (uint64_t)(uintptr_t)words;

	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return (x ^ (x >> 31)) | 1;
}

static int
make_tables(struct words *words)
{
	words->entry = calloc(WORDS_MAX, sizeof(words->entry[0]));
	words->bucket = calloc(BUCKETS, sizeof(words->bucket[0]));
	if (words->entry == NULL || words->bucket == NULL) {
		free(words->entry);
		free(words->bucket);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < WORDS_MAX; i++)
		words->entry[i].next = i + 1 < WORDS_MAX ? i + 1 : NOBODY;
	for (uint32_t i = 0; i < BUCKETS; i++)
		words->bucket[i] = NOBODY;
	return 0;
}

int
words_init(struct words *words, int dirfd, const char *name)
{
	int rc;

	memset(words, 0, sizeof(*words));
	rc = arena_create(&words->arena, dirfd, name, WORDS_BYTES);
	if (rc < 0)
		return rc;
	rc = arena_grow(&words->arena, WORDS_BYTES);
	if (rc == 0)
		rc = make_tables(words);
	if (rc < 0) {
		arena_destroy(&words->arena);
		return rc;
	}
	words->word = (void *)words->arena.base;
	words->mix = make_mix(words);
	pthread_mutex_init(&words->lock, NULL);
	return 0;
}

void
words_fini(struct words *words)
{
	pthread_mutex_destroy(&words->lock);
	free(words->bucket);
	free(words->entry);
	arena_destroy(&words->arena);
}

/* Locked.  The link to the word's number, or to the end of its chain. */
static uint32_t *
link_to(struct words *words, uint64_t word)
{
	uint32_t *link = chain_of(words, word);

	while (*link != NOBODY && word_at(words, *link) != word)
		link = &words->entry[*link].next;
	return link;
}

/* Locked.  A number for a word that has none; NOBODY: all are in use. */
static uint32_t
add(struct words *words, uint64_t word)
{
	uint32_t i = words->free, *head = chain_of(words, word);

	if (i == NOBODY)
		return NOBODY;
	words->free = words->entry[i].next;
	atomic_store_explicit(&words->word[i], word, memory_order_relaxed);
	words->entry[i].next = *head;
	*head = i;
	words->nused++;
	return i;
}

int64_t
words_take(struct words *words, uint64_t word)
{
	uint32_t i;

	pthread_mutex_lock(&words->lock);
	i = *link_to(words, word);
	if (i == NOBODY)
		i = add(words, word);
	if (i != NOBODY) {
		words->entry[i].refs++;
		words->nrefs++;
	}
	pthread_mutex_unlock(&words->lock);
	return i != NOBODY ? (int64_t)i : -ENOSPC;
}

/* Locked.  Nobody has it any more. */
static void
forget(struct words *words, uint32_t i)
{
	*link_to(words, word_at(words, i)) = words->entry[i].next;
	words->entry[i].next = words->free;
	words->free = i;
	words->nused--;
}

int
words_drop(struct words *words, uint64_t number)
{
	int rc = -EINVAL;

	pthread_mutex_lock(&words->lock);
	if (number < WORDS_MAX && words->entry[number].refs > 0) {
		words->nrefs--;
		if (--words->entry[number].refs == 0)
			forget(words, (uint32_t)number);
		rc = 0;
	}
	pthread_mutex_unlock(&words->lock);
	return rc;
}

uint64_t
words_get(const struct words *words, uint64_t number)
{
	return word_at(words, number);
}

void
words_fill(void *page, uint64_t word)
{
	uint64_t *at = page;

	for (size_t i = 0; i < page_bytes() / sizeof(word); i++)
		at[i] = word;
}

uint32_t
words_count(struct words *words)
{
	uint32_t n;

	pthread_mutex_lock(&words->lock);
	n = words->nused;
	pthread_mutex_unlock(&words->lock);
	return n;
}

uint64_t
words_refs(struct words *words)
{
	uint64_t n;

	pthread_mutex_lock(&words->lock);
	n = words->nrefs;
	pthread_mutex_unlock(&words->lock);
	return n;
}

size_t
words_memory(const struct words *words)
{
	return words->arena.size + WORDS_MAX * sizeof(words->entry[0]) +
	       BUCKETS * sizeof(words->bucket[0]);
}
