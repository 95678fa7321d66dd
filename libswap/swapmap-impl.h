/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * swapmap-impl.h - between swapmap.c and the kinds behind it (floor 1)
 *
 * swapmap.c checks arguments, translates blocks to slot words and keeps the
 * header; a kind finds slots.  Only swapmap*.c may include this.
 */
#ifndef SWAP_SWAPMAP_IMPL_H
#define SWAP_SWAPMAP_IMPL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arena.h"
#include "swapmap.h"

/*
 * A slot's word.  All bits zero is "no block, not prepared", so that fresh
 * memory is a valid empty slot.  The top bit says that the page is prepared;
 * the others are a block plus one, or all ones for poison.
 */
#define SWAPMAP_HELD		(UINT64_C(1) << 63)
#define SWAPMAP_VALUE		(SWAPMAP_HELD - 1)

static inline uint64_t
swapmap_word(uint64_t block)
{
	if (block == SWAPMAP_NONE)
		return 0;
	return block == SWAPMAP_POISON ? SWAPMAP_VALUE : block + 1;
}

static inline uint64_t
swapmap_block(uint64_t word)
{
	word &= SWAPMAP_VALUE;
	if (word == 0)
		return SWAPMAP_NONE;
	return word == SWAPMAP_VALUE ? SWAPMAP_POISON : word - 1;
}

/* The first bytes of the arena; SWAPMAP_START bytes are set aside for it. */
#define SWAPMAP_MAGIC		UINT64_C(0x737761706d61700a)
#define SWAPMAP_VERSION		2u
#define SWAPMAP_START		4096u

struct swapmap_start {
	_Atomic uint64_t magic;		/* stored last: creation is complete */
	uint32_t	 version;
	uint32_t	 kind;
	uint64_t	 npages;
	uint32_t	 geometry[4];	/* the kind's, to be found equal */
	_Atomic uint32_t root;		/* the kind's */
	uint32_t	 unused[3];
	unsigned char	 caller[SWAPMAP_HEADER_MAX];
};
_Static_assert(sizeof(struct swapmap_start) <= SWAPMAP_START, "start too long");

/* Collects cleared blocks into ranges. */
struct swapmap_batch {
	swapmap_free_fn	*fn;		/* NULL: nobody wants them */
	void		*arg;
	uint64_t	 first_block;
	uint64_t	 n;		/* 0: empty */
};

/* Add the block of a slot that is already clear; @word is what it was. */
void swapmap_batch_add(struct swapmap_batch *batch, uint64_t word);

struct swapmap_ops;

/* What each kind keeps in the process; zero in a new map. */
struct swapmap_array {
	unsigned	 slot_bytes;	/* 4 or 8 */
	uint64_t	 ntouched;	/* slots that the arena has grown to */
};

struct swapmap_hash {
	uint32_t	*bucket;	/* heads of chains; malloc()ed */
	unsigned	 bucket_bits;	/* log2 of their number */
	uint32_t	 free_head;	/* clusters; 0: none */
	uint64_t	 nfree;
	uint64_t	 fresh;
	uint64_t	 nclusters;	/* in chains */
};

struct swapmap_trie {
	unsigned	 top;		/* level of the root */
	uint32_t	 free_head;	/* nodes; 0: none */
	uint64_t	 nfree;		/* length of the free list */
	uint64_t	 fresh;		/* from here on: never used */
};

struct swapmap {
	const struct swapmap_ops *ops;
	struct swapmap_start	*start;
	uint64_t		 npages;
	uint64_t		 count;		/* mapped pages */
	struct arena		 arena;
	bool			 is_auto;	/* may change its kind */
	int			 dirfd;		/* -1: none */
	char			*name;		/* of the file; NULL: none */
	union {
		struct swapmap_array array;
		struct swapmap_hash  hash;
		struct swapmap_trie  trie;
	};
};

/*
 * A kind.  Pages are within the map, n >= 1, and words have no SWAPMAP_HELD.
 * swapmap_set(), _clear() and so on say what the functions do.
 */
struct swapmap_ops {
	enum swapmap_kind kind;		/* also what is in the file */
	const char *name;
	uint64_t pages_max;
	/* Most bytes of arena for so many pages, SWAPMAP_START included. */
	size_t	 (*reserve)(uint64_t npages);
	/* Set up an empty map in a zeroed start.  -ENOMEM. */
	int	 (*format)(struct swapmap *map);
	/* Check, repair and count what another process left. */
	int	 (*load)(struct swapmap *map);
	/* Free what the process keeps beside the arena; NULL: nothing. */
	void	 (*release)(struct swapmap *map);
	uint64_t (*get)(const struct swapmap *map, uint64_t page);
	int	 (*set)(struct swapmap *map, uint64_t page, uint64_t word,
			uint64_t *ret_old);
	int	 (*prepare)(struct swapmap *map, uint64_t page, uint64_t n);
	void	 (*unprepare)(struct swapmap *map, uint64_t page, uint64_t n);
	bool	 (*find)(const struct swapmap *map, uint64_t page,
			 uint64_t *ret_page, uint64_t *ret_word);
	/*
	 * Visit the slots that are not all zero bits, in page order: slots
	 * that are only held too.  Stops at the first non-zero.
	 */
	int	 (*each)(const struct swapmap *map, uint64_t page, uint64_t n,
			 int (*fn)(void *arg, uint64_t page, uint64_t word),
			 void *arg);
	uint64_t (*clear)(struct swapmap *map, uint64_t page, uint64_t n,
			  struct swapmap_batch *batch);
	int	 (*check)(const struct swapmap *map);
};

extern const struct swapmap_ops swapmap_array_ops;
extern const struct swapmap_ops swapmap_hash_ops;
extern const struct swapmap_ops swapmap_trie_ops;

#endif
