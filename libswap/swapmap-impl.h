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
	/* SWAPMAP_NONE gives 0, and SWAPMAP_POISON all ones. */
	return (block + 1) & SWAPMAP_VALUE;
}

static inline uint64_t
swapmap_block(uint64_t word)
{
	word &= SWAPMAP_VALUE;
	/* 0 gives SWAPMAP_NONE. */
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
	uint32_t	 is_auto;	/* may change its kind */
	_Atomic uint64_t word;		/* the kind's */
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

/* The same for @n consecutive blocks from that of @word; neither is poison. */
void swapmap_batch_add_run(struct swapmap_batch *batch, uint64_t word,
			   uint64_t n);

struct swapmap_ops;

/* What each kind keeps in the process; zero in a new map. */
struct swapmap_array {
	_Atomic uint32_t *entry;	/* the directory, in the arena */
	char		*unit_0;	/* where unit 0 would be */
	uint32_t	 nentries;
	uint32_t	 unit_bytes;
	uint32_t	 free_head;	/* units; 0: none */
	uint64_t	 nfree;
	uint64_t	 fresh;		/* from here on: never used */
	uint64_t	 npromised;	/* free units that prepare() needs */
};

struct hash_order;

struct swapmap_hash {
	uint32_t	 nbuckets;
	uint32_t	 mask;		/* a power of 2, less 1; >= nbuckets-1 */
	uint32_t	 free_head;	/* clusters; 0: none */
	uint64_t	 nfree;
	uint64_t	 fresh;		/* from here on: never used */
	uint64_t	 nclusters;	/* in chains */
	struct hash_order *order;	/* clusters by page; may be NULL */
};

#define SWAPMAP_TRIE_CLASSES	5u

struct swapmap_trie {
	_Atomic uint32_t *table;	/* links of the highest level */
	unsigned	 shift;		/* log2 of the pages under each */
	unsigned	 table_bits;	/* log2 of the links */
	uint64_t	 table_unit;	/* its place; 0: in the start */
	uint32_t	 nlinks;	/* of the table: not 0 */
	uint32_t	 ninner;	/* of the table: to inner nodes */
	uint32_t	 grow_at;	/* try a larger one at so many, */
	uint64_t	 grow_count;	/* or at so many mapped pages */
	uint32_t	 free_head[SWAPMAP_TRIE_CLASSES]; /* units; 0: none */
	uint64_t	 nfree;		/* units in these lists */
	uint64_t	 fresh;		/* from this unit on: never used */
};

struct swapmap {
	const struct swapmap_ops *ops;
	struct swapmap_start	*start;
	uint64_t		 npages;
	uint64_t		 count;		/* mapped pages */
	struct arena		 arena;
	/*
	 * Anonymous memory of the process alone, if the kind wants some: its
	 * format() and load() create it, and charge it to arena.account if
	 * that is set.  swapmap.c counts it in swapmap_memory(), charges it
	 * in swapmap_open(), and destroys it.  base NULL: there is none.
	 */
	struct arena		 aside;
	/* Of a map that chooses its kind itself, see swapmap-auto.c. */
	bool			 is_auto;
	int			 dirfd;		/* -1: none */
	char			*name;		/* of the file; NULL: none */
	uint64_t		 few;		/* mapped pages: fewer, or */
	uint64_t		 many;		/* more: consider a switch */
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
	/* A slot with a value may come with SWAPMAP_HELD or without it. */
	uint64_t (*get)(const struct swapmap *map, uint64_t page);
	int	 (*set)(struct swapmap *map, uint64_t page, uint64_t word,
			uint64_t *ret_old);
	int	 (*prepare)(struct swapmap *map, uint64_t page, uint64_t n);
	void	 (*unprepare)(struct swapmap *map, uint64_t page, uint64_t n);
	bool	 (*find)(const struct swapmap *map, uint64_t page,
			 uint64_t *ret_page, uint64_t *ret_word);
	/*
	 * Visit slots in page order, as far as the first call that returns
	 * non-zero, and return that.  @raw: all slots that are not all zero
	 * bits, those that are only held too, and @fn gets their words.  Not
	 * @raw: those with a value, and @fn gets swapmap_block() of it.
	 */
	int	 (*each)(const struct swapmap *map, uint64_t page, uint64_t n,
			 bool raw, swapmap_each_fn *fn, void *arg);
	/* @batch NULL: nobody wants to know the blocks. */
	uint64_t (*clear)(struct swapmap *map, uint64_t page, uint64_t n,
			  struct swapmap_batch *batch);
	int	 (*check)(const struct swapmap *map);
};

/*
 * Set up an empty map of a kind in *map; only ops, is_auto, few and many of it
 * are used.  The rest is as with swapmap_create().
 */
int swapmap_build(struct swapmap *map, const struct swapmap_spec *spec);

/* Free all that a map holds, but not the structure, nor the file. */
void swapmap_release(struct swapmap *map);

/*
 * What a map that chooses itself is at first; remove what a switch left that a
 * crash interrupted; when to consider a switch from now on; and consider one.
 */
const struct swapmap_ops *swapmap_auto_first(uint64_t npages);
void swapmap_auto_tidy(struct swapmap *map);
void swapmap_auto_watch(struct swapmap *map);
void swapmap_auto_consider(struct swapmap *map);

extern const struct swapmap_ops swapmap_array_ops;
extern const struct swapmap_ops swapmap_hash_ops;
extern const struct swapmap_ops swapmap_trie_ops;

#endif
