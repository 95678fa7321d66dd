/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fingerprints of blocks whose pages went out.
 *
 * The table is an array of sets of four words.  A word is a fingerprint and the
 * number of evictions at which it was made, 32 bits each; a block's hash says
 * which set.  Who adds takes the place of the same fingerprint, or else of the
 * oldest word in the set.  With two words for each page of RAM few sets are full
 * of words that still count.
 *
 *	G1  A word is read and written whole.  Two threads that write the same
 *	    one at once lose one of both: a hint.
 *	G2  The number of evictions is compared within 32 bits, so a word that
 *	    is left alone for 2^32 evictions counts again for a while.
 *
 * Costs: eight bytes a word, of which a page is touched when a block falls into
 * it; adding and asking look at one line of the CPU's cache.
 */
#include "ghost.h"

#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>

#include "compiler.h"

#define WAYS		4u
#define SETS_MIN	64u
#define SETS_MAX	((uint32_t)(2 * GHOST_SPAN_MAX / WAYS))
#define TABLE_BYTES	((size_t)SETS_MAX * WAYS * sizeof(uint64_t))

int
ghost_init(struct ghost *ghost)
{
	void *table = mmap(NULL, TABLE_BYTES, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (table == MAP_FAILED)
		return -ENOMEM;
	ghost->table = table;
	ghost->entry = table;
	atomic_init(&ghost->nsets, SETS_MIN);
	atomic_init(&ghost->evictions, 0);
	atomic_init(&ghost->span, 0);
	return 0;
}

void
ghost_fini(struct ghost *ghost)
{
	munmap(ghost->table, TABLE_BYTES);
}

void
ghost_set_span(struct ghost *ghost, uint64_t pages)
{
	uint64_t span = min_u64(pages, GHOST_SPAN_MAX);
	uint32_t nsets = SETS_MIN;

	while ((uint64_t)nsets * WAYS < 2 * span)
		nsets *= 2;
	atomic_store(&ghost->nsets, nsets);
	atomic_store(&ghost->span, span);
}

/* The set of a block, and its fingerprint, which is never 0. */
static _Atomic uint64_t *
find_set(struct ghost *ghost, uint64_t block, uint32_t *ret_print)
{
	uint64_t hash = (block + 1) * UINT64_C(0x9e3779b97f4a7c15);
	uint32_t nsets = atomic_load_explicit(&ghost->nsets,
					      memory_order_relaxed);

	hash ^= hash >> 32;
	hash *= UINT64_C(0xd6e8feb86659fd93);
	*ret_print = (uint32_t)(hash >> 32) | 1;
	return &ghost->entry[(uint64_t)((uint32_t)hash & (nsets - 1)) * WAYS];
}

void
ghost_add(struct ghost *ghost, uint64_t block)
{
	uint32_t print, oldest = 0, oldest_age = 0;
	_Atomic uint64_t *set = find_set(ghost, block, &print);
	uint32_t now = (uint32_t)atomic_fetch_add_explicit(&ghost->evictions,
						1, memory_order_relaxed);

	for (uint32_t i = 0; i < WAYS; i++) {
		uint64_t word = atomic_load_explicit(&set[i],
						     memory_order_relaxed);
		uint32_t age = now - (uint32_t)word;

		if (word == 0 || (uint32_t)(word >> 32) == print) {
			oldest = i;
			break;
		}
		if (age >= oldest_age) {
			oldest = i;
			oldest_age = age;
		}
	}
	atomic_store_explicit(&set[oldest], (uint64_t)print << 32 | now,
			      memory_order_relaxed);
}

bool
ghost_has(struct ghost *ghost, uint64_t block)
{
	uint32_t print;
	_Atomic uint64_t *set = find_set(ghost, block, &print);
	uint32_t now = (uint32_t)atomic_load_explicit(&ghost->evictions,
						      memory_order_relaxed);
	uint64_t span = atomic_load_explicit(&ghost->span,
					     memory_order_relaxed);

	for (uint32_t i = 0; i < WAYS; i++) {
		uint64_t word = atomic_load_explicit(&set[i],
						     memory_order_relaxed);

		if ((uint32_t)(word >> 32) == print)
			return now - (uint32_t)word <= span;
	}
	return false;
}
