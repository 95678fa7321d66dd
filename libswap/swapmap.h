/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * swapmap.h - an object's swap map: page index -> block (floor 1)
 *
 * One small interface; kinds stand behind it.  A slot holds a block number, or
 * SWAPMAP_NONE for no block.  Slots are atomic 64-bit words in an arena: a
 * successor that opens the arena after a crash sees for every page either the
 * old value or the new one, never a torn one.  (A crash of the process: what
 * a crash of the machine leaves in the file is not defined.)
 *
 * Behaviour: FreeBSD swap_pager.c swp_pager_meta_*, NetBSD uvm_aobj.c
 * uao_set_swslot.  Not locked: the caller holds the object's lock.
 */
#ifndef SWAP_SWAPMAP_H
#define SWAP_SWAPMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SWAPMAP_NONE		UINT64_MAX
#define SWAPMAP_POISON		(UINT64_MAX - 1)  /* the page is lost */
#define SWAPMAP_BLOCK_MAX	((UINT64_C(1) << 63) - 3)  /* largest block */
#define SWAPMAP_PAGES_MAX	(UINT64_C(1) << 40)  /* most pages of a map */

struct swapmap;
struct arena_account;

/*
 * How a map keeps its slots.  The first is what a map is created with when it
 * shall choose by itself, and change as it fills: it never is of that kind.
 */
enum swapmap_kind {
	SWAPMAP_AUTO,
	SWAPMAP_ARRAY,		/* one slot a page */
	SWAPMAP_HASH,		/* clusters of 16 slots (NetBSD uvm_aobj) */
	SWAPMAP_TRIE,		/* a radix tree (FreeBSD swap_pager) */
	SWAPMAP_NKINDS
};

/* "auto", "array", ...; and back: -EINVAL no such kind. */
const char *swapmap_kind_name(enum swapmap_kind kind);
int swapmap_kind_parse(const char *name, enum swapmap_kind *ret_kind);

/*
 * Called with coalesced ranges of blocks that the map no longer refers to.
 * Must not use the map.
 */
typedef void swapmap_free_fn(void *arg, uint64_t first_block, uint64_t n);

/*
 * Create a map for pages 0..npages-1, all without a block.
 *
 * Errors: -EINVAL no pages, no such kind, or too long a header; -EFBIG too many
 * pages (for this kind); -EEXIST; -EDQUOT the account; -ENOMEM, -ENOSPC and
 * whatever creating the file gives.
 */
#define SWAPMAP_HEADER_MAX	1024u

struct swapmap_spec {
	enum swapmap_kind kind;
	uint64_t	npages;		/* 1..SWAPMAP_PAGES_MAX */
	int		dirfd;		/* the map keeps a duplicate */
	const char	*name;		/* of the file that holds it (mode
					   0600); NULL: anonymous memory */
	const void	*header;	/* caller's bytes, see swapmap_header() */
	size_t		header_len;	/* at most SWAPMAP_HEADER_MAX */
	struct arena_account *account;	/* what it holds counts there; NULL */
};

int swapmap_create(const struct swapmap_spec *spec, struct swapmap **ret_map);

/*
 * Open a map that another process left, however it ended: check it, count its
 * entries, drop what was prepared and free nodes that a crash left empty.  This
 * writes to the file: whoever had the map before must not use it any more, not
 * even to look something up.
 *
 * Errors: -EBADMSG not a map, not completely created, or damaged; -EPROTO made
 * by another version; -ENOMEM; what openat(2) and mmap(2) give.
 * Cost: reads all nodes of the map.
 */
int swapmap_open(int dirfd, const char *name, struct arena_account *account,
		 struct swapmap **ret_map);

/* What it is at present: not SWAPMAP_AUTO. */
enum swapmap_kind swapmap_kind(const struct swapmap *map);

/*
 * The caller's SWAPMAP_HEADER_MAX bytes at the start of the arena.  The pointer
 * is good until the map changes.
 */
void *swapmap_header(struct swapmap *map);

/* Free the structure (not the blocks, and not the file).  NULL: nothing. */
void swapmap_destroy(struct swapmap *map);

uint64_t swapmap_npages(const struct swapmap *map);

/* Never allocates.  SWAPMAP_NONE: no block, or beyond the last page. */
uint64_t swapmap_get(const struct swapmap *map, uint64_t page);

/*
 * Set a slot to a block, SWAPMAP_POISON or SWAPMAP_NONE; *ret_old (may be
 * NULL) gets what was there.  Clearing (SWAPMAP_NONE) never allocates, and
 * frees nodes that become empty.
 *
 * Errors, with nothing changed: -ERANGE no such page, or a block beyond
 * SWAPMAP_BLOCK_MAX; -ENOMEM, -ENOSPC, -EDQUOT no room for nodes (never for a
 * prepared page, nor where a page that has a block gets poison or another one
 * below 2^32 - 2; the array may need room for the first that is larger).
 */
int swapmap_set(struct swapmap *map, uint64_t page, uint64_t block,
		uint64_t *ret_old);

/*
 * Make sure that setting any of @n pages from @page cannot fail: the way to
 * their slots is built and held.  Each page stays prepared until it is set to
 * a block or to SWAPMAP_POISON, or unprepared, whatever happens to the map in
 * between: other ranges may be prepared, other pages set, and any page be
 * cleared, the prepared ones too.  To everybody else the pages look as before.
 *
 * swapmap_unprepare() ends it for those of the pages that were not set (their
 * write failed, or they were rescued); it may be called for the whole range in
 * any case, and never fails.  A page must not be prepared twice at a time.
 * What is never unprepared costs memory alone, at most a leaf for 16 pages.
 *
 * Errors, with nothing prepared: -ERANGE; -ENOMEM, -ENOSPC, -EDQUOT no room for
 * nodes.
 */
int swapmap_prepare(struct swapmap *map, uint64_t page, uint64_t n);
void swapmap_unprepare(struct swapmap *map, uint64_t page, uint64_t n);

/*
 * Least mapped page at or after @page, and its block or SWAPMAP_POISON; false:
 * none, nothing is stored.  Cost: the depth, plus the nodes between.
 */
bool swapmap_find(const struct swapmap *map, uint64_t page,
		  uint64_t *ret_page, uint64_t *ret_block);

/*
 * The same among the @n pages from @page, for a block in [lo, hi): what one
 * device holds.  Poison is no block.
 */
bool swapmap_find_in(const struct swapmap *map, uint64_t page, uint64_t n,
		     uint64_t lo, uint64_t hi, uint64_t *ret_page,
		     uint64_t *ret_block);

/*
 * Call @fn for each mapped page among the @n from @page, in page order; poison
 * too.  Stops at the first that returns non-zero, and returns that.  @fn must
 * not change the map.
 */
typedef int swapmap_each_fn(void *arg, uint64_t page, uint64_t block);
int swapmap_each(const struct swapmap *map, uint64_t page, uint64_t n,
		 swapmap_each_fn *fn, void *arg);

/*
 * How many pages from @page (itself included) have consecutive blocks, at
 * most @max: 0 if @page has none.  And backwards: how many before it, itself
 * not included, have the blocks before its own.  Poison is no block.
 * Cost: one swapmap_get() for each page counted.
 */
uint64_t swapmap_run(const struct swapmap *map, uint64_t page, uint64_t max);
uint64_t swapmap_run_before(const struct swapmap *map, uint64_t page,
			    uint64_t max);

/*
 * Clear @n pages from @page, as far as there are so many.  @fn (may be NULL)
 * gets the blocks in coalesced ranges, in page order, after their slots are
 * clear; poison marks are cleared but not reported.  Returns how many pages
 * were mapped, poison marks included.  Never fails.
 * Cost: the nodes in the range; what is not there is skipped.
 */
uint64_t swapmap_clear(struct swapmap *map, uint64_t page, uint64_t n,
		       swapmap_free_fn *fn, void *arg);

/*
 * Move what @from has for the @n pages from @from_page to @to, at @to_page.
 * Where @to has something already, that wins, and the block of @from goes to
 * @fn in coalesced ranges (FreeBSD swap_pager_copy).  @from has none of these
 * pages afterwards.  A block is entered into @to before it leaves @from: after
 * a crash in between two maps name it, for the same contents.
 *
 * Errors: -EINVAL the same map on both sides; -ERANGE; -ENOMEM, -ENOSPC,
 * -EDQUOT no room in @to: then nothing has changed.
 */
int swapmap_transfer(struct swapmap *to, uint64_t to_page,
		     struct swapmap *from, uint64_t from_page, uint64_t n,
		     swapmap_free_fn *fn, void *arg);

/*
 * Enter all that @from has into @to, which must be empty and have as many
 * pages; what is prepared is not copied.  -EINVAL; -ENOMEM, -ENOSPC, -EDQUOT:
 * then @to is empty again.
 */
int swapmap_copy(struct swapmap *to, const struct swapmap *from);

/*
 * Mapped pages, poison marks included; bytes of memory or file that are held
 * (they are kept for reuse when pages are cleared).
 */
uint64_t swapmap_count(const struct swapmap *map);
size_t swapmap_memory(const struct swapmap *map);

/* For tests: 0, or a negative errno where an invariant is broken. */
int swapmap_check(const struct swapmap *map);

#endif
