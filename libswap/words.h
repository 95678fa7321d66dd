/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * words.h - what pages of one repeated word need instead of a block (floor 1)
 *
 * A table of distinct 64-bit words.  Who has a page that is nothing but one of
 * them keeps the word's number in the place of a block: it is a copy of the
 * page, however many pages have it.
 */
#ifndef SWAP_WORDS_H
#define SWAP_WORDS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "arena.h"
#include "compiler.h"

/* Most words at a time; their numbers are below it. */
#define WORDS_MAX	4096u

struct words_entry;

struct words {
	pthread_mutex_t	 lock;		/* a leaf */
	struct arena	 arena;		/* the words alone, by number */
	_Atomic uint64_t *word;		/* (lock) to write; the same memory */
	struct words_entry *entry;	/* (lock) WORDS_MAX */
	uint32_t	*bucket;	/* (lock) chains by word */
	uint32_t	 free;		/* (lock) chain of numbers not in use */
	uint32_t	 nused;		/* (lock) */
	uint64_t	 nrefs;		/* (lock) of all words */
	uint64_t	 mix;		/* constant: of the hash */
};

/*
 * An empty table, in a file @name that is made in @dirfd; NULL: in memory.
 * -ENOMEM; -EEXIST, and whatever making the file gives.
 */
int words_init(struct words *words, int dirfd, const char *name)
	swap_must_check;
/* The file, if any, stays. */
void words_fini(struct words *words);

/*
 * The number of @word, with a reference; the same as long as there is one.
 * -ENOSPC: the table is full of other words.  O(1), about.
 */
int64_t words_take(struct words *words, uint64_t word);
/* Drop a reference.  -EINVAL, with nothing changed: it has none. */
int words_drop(struct words *words, uint64_t number);
/* The word of a number to which the caller has a reference.  No lock. */
uint64_t words_get(const struct words *words, uint64_t number);

/* Make a page of it. */
void words_fill(void *page, uint64_t word);

/* Words in the table; references to all of them. */
uint32_t words_count(struct words *words);
uint64_t words_refs(struct words *words);
size_t words_memory(const struct words *words);

#endif
