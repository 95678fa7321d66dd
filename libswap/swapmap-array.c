/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * swapmap-array.c - swap maps of kind array
 *
 * One slot a page, in units that are taken from the arena when their pages are
 * used first.  The arena holds, behind the start, a directory with one word
 * for each half, that is 512 pages, and then the units:
 *
 *	narrow	1,024 slots of 4 bytes: the two halves of an even number of
 *		the directory, which both name it
 *	wide	512 slots of 8 bytes: one half
 *
 * A narrow slot holds every block below 2^32 - 2, and poison; the first larger
 * one makes its half wide.  A map of no more than 512 pages has units that are
 * as long as it needs.  Beside the slots a unit has a bit for each slot that is
 * prepared, and counts: they are the process's own, and a successor makes them
 * anew.  So are the list of free units and `fresh', the first never used.
 *
 * Invariants.
 *   A1  A word of the directory is 0, or names a unit in [1, fresh).  Two
 *	 words name the same unit only where they are the two halves of a
 *	 narrow one.
 *   A2  A unit below `fresh' is named by the directory or is in the free
 *	 list, not both.
 *   A3  A half that has a unit has a slot with a value or a prepared one;
 *	 nused and nheld say how many.
 *   A4  npromised is the number of narrow halves with prepared slots, and so
 *	 many units can be taken without growing the arena.  So a prepared page
 *	 can be set to any block: making its half wide needs one unit.
 *   A5  count is the number of slots with a value.
 *   A6  No wide slot has SWAPMAP_HELD.
 *
 * Crashes.  A half's slots are zeroed, or copied, before its word is stored in
 * the directory, and that word is one atomic store: a successor finds a half
 * either as it was or wide with the same values.  When a narrow half has gone
 * wide its old slots keep what they had; nobody looks at them, and they are
 * zeroed should the half come back to the unit.  A word is cleared when all
 * slots are; a crash before that leaves a half without values, which
 * array_load() frees.  What is not named by the directory is free.
 *
 * Cost.  get and set: a word of the directory, then the slot.  Making a unit or
 * widening a half touches 4 KiB.  find and each look at every word of the
 * directory in between, four bytes for 512 pages: 3 ms where 2^32 pages are
 * empty.  Memory: 4.2 bytes a page where pages are dense, 8.4 where blocks are
 * large, and 4.3 KiB for a page alone; a half with prepared pages keeps one
 * unit back.  The directory is there from the start, 8 bytes for 1,024 pages.
 * Units are reused, the arena does not shrink.
 *
 * Limits.  2^32 pages.  A mapped page of a narrow half that is not prepared
 * needs a unit, and can fail, when it is set to a block that is too large.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "compiler.h"
#include "swapmap-impl.h"

#define HALF_BITS	9u
#define HALF_SLOTS	(1u << HALF_BITS)
#define UNIT_SLOTS	(2 * HALF_SLOTS)	/* of a narrow unit */
#define ARRAY_PAGES_MAX	(UINT64_C(1) << 32)

#define WIDE		1u			/* in a word of the directory */
#define NARROW_POISON	UINT32_MAX
#define HELD_WORDS	(UNIT_SLOTS / 64)

struct unit {
	/* Of a narrow unit's two halves; a wide one uses the first. */
	uint16_t	nused[2];
	uint16_t	nheld[2];
	uint32_t	next_free;		/* in the free list */
	uint32_t	unused[13];
	uint64_t	held[HELD_WORDS];	/* a bit for each slot */
	union {
		_Atomic uint32_t narrow[UNIT_SLOTS];
		_Atomic uint64_t wide[HALF_SLOTS];
	};
};
_Static_assert(sizeof(struct unit) == 4288, "a unit's size is wrong");

/* A half that has a unit. */
struct half {
	struct unit	*unit;
	bool		 wide;
	unsigned	 side;		/* of the unit's counts */
};

/* ---------------------------------------------------------- arithmetic */

static uint64_t
round_64(uint64_t n)
{
	return (n + 63) & ~UINT64_C(63);
}

static uint64_t
halves_of(uint64_t npages)
{
	return (npages + HALF_SLOTS - 1) >> HALF_BITS;
}

/* Where the units begin. */
static uint64_t
units_offset(uint64_t npages)
{
	return SWAPMAP_START + round_64(halves_of(npages) * sizeof(uint32_t));
}

static uint32_t
unit_size(uint64_t npages)
{
	uint64_t slots = min_u64(npages, HALF_SLOTS) * sizeof(uint64_t);

	return (uint32_t)(offsetof(struct unit, wide) + round_64(slots));
}

/* Two narrow halves share a unit, and may need one each to become wide. */
static size_t
array_reserve(uint64_t npages)
{
	uint64_t pairs = (halves_of(npages) + 1) / 2;

	return (size_t)(units_offset(npages) + 3 * pairs * unit_size(npages));
}

/* Pages of a half: fewer in the last. */
static unsigned
half_slots(const struct swapmap *map, uint64_t half)
{
	return (unsigned)min_u64(HALF_SLOTS,
				 map->npages - half * HALF_SLOTS);
}

/* The first slot of a half in its unit. */
static unsigned
side_slot(struct half h)
{
	return h.side * HALF_SLOTS;
}

/* --------------------------------------------------------------- slots */

static bool
fits_narrow(uint64_t word)
{
	return word < NARROW_POISON || word == SWAPMAP_VALUE;
}

static inline uint64_t
slot_load(const struct unit *unit, bool wide, unsigned slot)
{
	uint32_t value;

	if (wide)
		return atomic_load_explicit(&unit->wide[slot],
					    memory_order_acquire);
	value = atomic_load_explicit(&unit->narrow[slot],
				     memory_order_acquire);
	return value == NARROW_POISON ? SWAPMAP_VALUE : value;
}

static inline void
slot_store(struct unit *unit, bool wide, unsigned slot, uint64_t word)
{
	if (wide)
		atomic_store_explicit(&unit->wide[slot], word,
				      memory_order_release);
	else
		atomic_store_explicit(&unit->narrow[slot], (uint32_t)word,
				      memory_order_release);
}

static bool
slot_is_held(const struct unit *unit, unsigned slot)
{
	return (unit->held[slot / 64] >> (slot % 64) & 1) != 0;
}

/* Set or clear the bits of @n slots; how many that changes. */
static unsigned
slots_hold(struct unit *unit, unsigned slot, unsigned n, bool held)
{
	unsigned nchanged = 0;

	for (unsigned end = slot + n; slot < end;) {
		unsigned bit = slot % 64;
		unsigned nbits = (unsigned)min_u64(64 - bit, end - slot);
		uint64_t mask = (UINT64_MAX >> (64 - nbits)) << bit;
		uint64_t *word = &unit->held[slot / 64];
		uint64_t changed = (held ? ~*word : *word) & mask;

		*word ^= changed;
		nchanged += (unsigned)__builtin_popcountll(changed);
		slot += nbits;
	}
	return nchanged;
}

/* --------------------------------------------------------------- units */

static struct unit *
unit_at(const struct swapmap *map, uint64_t index)
{
	return (void *)(map->array.unit_0 + index * map->array.unit_bytes);
}

/* Make sure that @n units can be taken, beside those that are promised. */
static int
units_ensure(struct swapmap *map, uint64_t n)
{
	const struct swapmap_array *array = &map->array;

	n += array->npromised;
	if (n <= array->nfree)
		return 0;
	return arena_grow(&map->arena, (size_t)(units_offset(map->npages) +
			  (array->fresh - 1 + n - array->nfree) *
			  array->unit_bytes));
}

/* Take a unit; its slots hold anything.  The caller has ensured it. */
static uint32_t
unit_take(struct swapmap *map)
{
	struct swapmap_array *array = &map->array;
	uint32_t index;

	if (array->nfree > 0) {
		index = array->free_head;
		array->free_head = unit_at(map, index)->next_free;
		array->nfree--;
	} else {
		index = (uint32_t)array->fresh++;
	}
	memset(unit_at(map, index), 0, offsetof(struct unit, narrow));
	return index;
}

static void
unit_give(struct swapmap *map, uint32_t index)
{
	unit_at(map, index)->next_free = map->array.free_head;
	map->array.free_head = index;
	map->array.nfree++;
}

/* -------------------------------------------------------------- halves */

static inline uint32_t
entry_load(const struct swapmap *map, uint64_t half)
{
	return atomic_load_explicit(&map->array.entry[half],
				    memory_order_acquire);
}

static void
entry_store(struct swapmap *map, uint64_t half, uint32_t entry)
{
	/* The slots are as they shall be found before this, and not used for
	   anything else before a unit is out of the directory. */
	atomic_store_explicit(&map->array.entry[half], entry,
			      memory_order_release);
	atomic_signal_fence(memory_order_seq_cst);
}

/* The word of the other half of a narrow unit; 0: none. */
static uint32_t
entry_sibling(const struct swapmap *map, uint64_t half)
{
	half ^= 1;
	return half < map->array.nentries ? entry_load(map, half) : 0;
}

static struct half
half_at(const struct swapmap *map, uint64_t half)
{
	uint32_t entry = entry_load(map, half);
	bool wide = (entry & WIDE) != 0;

	return (struct half){
		.unit = entry == 0 ? NULL : unit_at(map, entry >> 1),
		.wide = wide,
		.side = wide ? 0 : (unsigned)half & 1,
	};
}

/* Could it be in the unit that the other half has? */
static bool
half_shares(const struct swapmap *map, uint64_t half, bool wide)
{
	uint32_t sibling = entry_sibling(map, half);

	return !wide && sibling != 0 && (sibling & WIDE) == 0;
}

/* Units that half_attach() takes. */
static unsigned
half_needs(const struct swapmap *map, uint64_t half, bool wide)
{
	return half_shares(map, half, wide) ? 0 : 1;
}

/* Give a half that has no unit an empty one. */
static void
half_attach(struct swapmap *map, uint64_t half, bool wide)
{
	uint32_t index = half_shares(map, half, wide) ?
			 entry_sibling(map, half) >> 1 : unit_take(map);
	unsigned nslots = half_slots(map, half);
	struct unit *unit = unit_at(map, index);

	if (wide)
		memset(unit->wide, 0, nslots * sizeof(unit->wide[0]));
	else
		memset(&unit->narrow[(half & 1) * HALF_SLOTS], 0,
		       nslots * sizeof(unit->narrow[0]));
	entry_store(map, half, index << 1 | (wide ? WIDE : 0));
}

/* Its unit is free, unless the other half is in it. */
static void
half_leave(struct swapmap *map, uint64_t half, uint32_t entry)
{
	if (entry_sibling(map, half) != entry)
		unit_give(map, entry >> 1);
}

/* Free a half that has become empty. */
static void
half_prune(struct swapmap *map, uint64_t half)
{
	struct half h = half_at(map, half);
	uint32_t entry;

	if (h.unit->nused[h.side] > 0 || h.unit->nheld[h.side] > 0)
		return;
	entry = entry_load(map, half);
	entry_store(map, half, 0);
	half_leave(map, half, entry);
}

/* Copy a narrow half's slots, bits and counts to a unit that will be wide. */
static void
half_copy(const struct swapmap *map, uint64_t half, struct unit *to)
{
	struct half h = half_at(map, half);
	unsigned first = side_slot(h), nslots = half_slots(map, half);

	for (unsigned i = 0; i < nslots; i++)
		slot_store(to, true, i, slot_load(h.unit, false, first + i));
	memcpy(to->held, &h.unit->held[first / 64],
	       HALF_SLOTS / 64 * sizeof(to->held[0]));
	to->nused[0] = h.unit->nused[h.side];
	to->nheld[0] = h.unit->nheld[h.side];
}

/* Make a narrow half wide. */
static int
half_widen(struct swapmap *map, uint64_t half)
{
	struct half h = half_at(map, half);
	uint32_t entry = entry_load(map, half), index;

	if (h.unit->nheld[h.side] > 0) {
		map->array.npromised--;	/* the one that is promised */
	} else {
		int r = units_ensure(map, 1);

		if (r < 0)
			return r;
	}
	index = unit_take(map);
	half_copy(map, half, unit_at(map, index));
	entry_store(map, half, index << 1 | WIDE);
	h.unit->nused[h.side] = h.unit->nheld[h.side] = 0;
	memset(&h.unit->held[side_slot(h) / 64], 0,
	       HALF_SLOTS / 64 * sizeof(h.unit->held[0]));
	half_leave(map, half, entry);
	return 0;
}

/* Give a half slots that can hold @word. */
static int
half_make(struct swapmap *map, uint64_t half, uint64_t word)
{
	bool wide = !fits_narrow(word);
	uint32_t entry = entry_load(map, half);
	int r;

	if (entry != 0)
		return wide && (entry & WIDE) == 0 ? half_widen(map, half) : 0;
	r = units_ensure(map, half_needs(map, half, wide));
	if (r == 0)
		half_attach(map, half, wide);
	return r;
}

/* Count @n slots of a half as prepared, or no longer. */
static void
half_hold(struct swapmap *map, struct half h, unsigned slot, unsigned n,
	  bool held)
{
	uint16_t *nheld = &h.unit->nheld[h.side];
	bool before = *nheld > 0;
	unsigned nchanged = slots_hold(h.unit, slot, n, held);

	*nheld = (uint16_t)(held ? *nheld + nchanged : *nheld - nchanged);
	if (h.wide)
		return;
	map->array.npromised += *nheld > 0;
	map->array.npromised -= before;
}

/* -------------------------------------------------------------- ranges */

/* What of a range of pages lies in one half. */
struct piece {
	uint64_t	half;
	unsigned	first, end;	/* slots, from the half's first on */
};

/* The piece that begins with @page, of a range that ends before @end. */
static struct piece
piece_of(uint64_t page, uint64_t end)
{
	uint64_t half = page >> HALF_BITS;
	uint64_t base = half << HALF_BITS;

	return (struct piece){
		.half = half,
		.first = (unsigned)(page - base),
		.end = (unsigned)min_u64(end - base, HALF_SLOTS),
	};
}

static uint64_t
piece_next(struct piece piece)
{
	return (piece.half << HALF_BITS) + piece.end;
}

/* The first half from @half on that has a unit; at most @end. */
static uint64_t
half_next(const struct swapmap *map, uint64_t half, uint64_t end)
{
	while (half < end && entry_load(map, half) == 0)
		half++;
	return half;
}

/* Go on to the first piece that has a unit; false: there is none. */
static bool
piece_find(const struct swapmap *map, uint64_t *page, uint64_t end,
	   struct piece *ret_piece)
{
	uint64_t half;

	if (*page >= end)
		return false;
	half = half_next(map, *page >> HALF_BITS, halves_of(end));
	*page = max_u64(*page, half << HALF_BITS);
	if (*page >= end)
		return false;
	*ret_piece = piece_of(*page, end);
	return true;
}

/* ---------------------------------------------------------- operations */

static void
geometry(const struct swapmap *map, uint32_t ret_geometry[4])
{
	ret_geometry[0] = HALF_SLOTS;
	ret_geometry[1] = map->array.unit_bytes;
	ret_geometry[2] = map->array.nentries;
	/* Nothing else tells which of the last slots are beyond the end. */
	ret_geometry[3] = (uint32_t)map->npages;
}

static void
array_init(struct swapmap *map)
{
	map->array.entry = (void *)(map->arena.base + SWAPMAP_START);
	map->array.nentries = (uint32_t)halves_of(map->npages);
	map->array.unit_bytes = unit_size(map->npages);
	map->array.unit_0 = map->arena.base + units_offset(map->npages) -
			    map->array.unit_bytes;
	map->array.fresh = 1;
}

static int
array_format(struct swapmap *map)
{
	array_init(map);
	geometry(map, map->start->geometry);
	return arena_grow(&map->arena, (size_t)units_offset(map->npages));
}

static uint64_t
array_get(const struct swapmap *map, uint64_t page)
{
	uint32_t entry = entry_load(map, page >> HALF_BITS);
	const struct unit *unit = unit_at(map, entry >> 1);
	unsigned slot = page % UNIT_SLOTS;
	uint64_t word;

	if (entry == 0)
		return 0;
	if (swap_likely((entry & WIDE) == 0)) {
		word = slot_load(unit, false, slot);
	} else {
		slot %= HALF_SLOTS;
		word = slot_load(unit, true, slot);
	}
	if (word == 0 && slot_is_held(unit, slot))
		return SWAPMAP_HELD;
	return word;
}

static void
run_flush(struct swapmap_batch *batch, uint64_t word, uint64_t n)
{
	if (batch != NULL && n > 0)
		swapmap_batch_add_run(batch, word, n);
}

/* Clear [slot, end) of a unit and report what was there; how many were. */
static inline unsigned
slots_clear(struct unit *unit, bool wide, unsigned slot, unsigned end,
	    struct swapmap_batch *batch)
{
	uint64_t first = 0, n = 0;	/* consecutive blocks so far */
	unsigned nmapped = 0;

	for (; slot < end; slot++) {
		uint64_t word = slot_load(unit, wide, slot);

		if (word == 0)
			continue;
		slot_store(unit, wide, slot, 0);
		nmapped++;
		if (word != first + n) {
			run_flush(batch, first, n);
			first = word;
			n = 0;
		}
		if (word != SWAPMAP_VALUE)
			n++;
	}
	run_flush(batch, first, n);
	return nmapped;
}

static uint64_t
array_clear(struct swapmap *map, uint64_t page, uint64_t n,
	    struct swapmap_batch *batch)
{
	uint64_t end = page + n, nmapped = 0;
	struct piece piece;

	for (; piece_find(map, &page, end, &piece); page = piece_next(piece)) {
		struct half h = half_at(map, piece.half);
		unsigned base = side_slot(h), ncleared;

		if (h.wide)
			ncleared = slots_clear(h.unit, true, piece.first,
					       piece.end, batch);
		else
			ncleared = slots_clear(h.unit, false,
					       base + piece.first,
					       base + piece.end, batch);
		h.unit->nused[h.side] = (uint16_t)(h.unit->nused[h.side] -
						   ncleared);
		nmapped += ncleared;
		half_prune(map, piece.half);
	}
	return nmapped;
}

/* The short way to set a slot: it is narrow and there, and nothing is held. */
static inline bool
set_at_once(struct swapmap *map, uint64_t page, uint64_t word,
	    uint64_t *ret_old)
{
	uint64_t half = page >> HALF_BITS, old;
	uint32_t entry = entry_load(map, half);
	struct unit *unit = unit_at(map, entry >> 1);

	if (word == 0 || !fits_narrow(word) || entry == 0 ||
	    (entry & WIDE) != 0 || unit->nheld[half & 1] > 0)
		return false;
	old = slot_load(unit, false, page % UNIT_SLOTS);
	slot_store(unit, false, page % UNIT_SLOTS, word);
	unit->nused[half & 1] = (uint16_t)(unit->nused[half & 1] +
					   (old == 0));
	*ret_old = old;
	return true;
}

/* All other cases; kept apart, so that the short way saves no registers. */
static __attribute__((noinline)) int
set_slot(struct swapmap *map, uint64_t page, uint64_t word, uint64_t *ret_old)
{
	uint64_t half = page >> HALF_BITS;
	struct half h;
	unsigned slot;
	int r;

	if (word == 0) {
		*ret_old = array_get(map, page);
		(void)array_clear(map, page, 1, NULL);
		return 0;
	}
	r = half_make(map, half, word);
	if (r < 0)
		return r;
	h = half_at(map, half);
	slot = side_slot(h) + page % HALF_SLOTS;
	*ret_old = slot_load(h.unit, h.wide, slot);
	slot_store(h.unit, h.wide, slot, word);
	h.unit->nused[h.side] = (uint16_t)(h.unit->nused[h.side] +
					   (*ret_old == 0));
	if (h.unit->nheld[h.side] > 0)
		half_hold(map, h, slot, 1, false);
	return 0;
}

static int
array_set(struct swapmap *map, uint64_t page, uint64_t word,
	  uint64_t *ret_old)
{
	if (swap_likely(set_at_once(map, page, word, ret_old)))
		return 0;
	return set_slot(map, page, word, ret_old);
}

static void
array_unprepare(struct swapmap *map, uint64_t page, uint64_t n)
{
	uint64_t end = page + n;
	struct piece piece;

	for (; piece_find(map, &page, end, &piece); page = piece_next(piece)) {
		struct half h = half_at(map, piece.half);

		half_hold(map, h, side_slot(h) + piece.first,
			  piece.end - piece.first, false);
		half_prune(map, piece.half);
	}
}

/* Prepare what of a range is in one half. */
static int
piece_prepare(struct swapmap *map, struct piece piece)
{
	struct half h = half_at(map, piece.half);
	unsigned nunits = 0;
	int r;

	/* One to make the half, and the one that A4 promises. */
	if (h.unit == NULL)
		nunits = half_needs(map, piece.half, false) + 1;
	else if (!h.wide && h.unit->nheld[h.side] == 0)
		nunits = 1;
	r = nunits == 0 ? 0 : units_ensure(map, nunits);
	if (r < 0)
		return r;
	if (h.unit == NULL) {
		half_attach(map, piece.half, false);
		h = half_at(map, piece.half);
	}
	half_hold(map, h, side_slot(h) + piece.first,
		  piece.end - piece.first, true);
	return 0;
}

static int
array_prepare(struct swapmap *map, uint64_t page, uint64_t n)
{
	uint64_t first = page, end = page + n;

	while (page < end) {
		struct piece piece = piece_of(page, end);
		int r = piece_prepare(map, piece);

		if (r < 0) {
			array_unprepare(map, first, page - first);
			return r;
		}
		page = piece_next(piece);
	}
	return 0;
}

static bool
array_find(const struct swapmap *map, uint64_t page, uint64_t *ret_page,
	   uint64_t *ret_word)
{
	struct piece piece;

	for (; piece_find(map, &page, map->npages, &piece);
	     page = piece_next(piece)) {
		struct half h = half_at(map, piece.half);

		if (h.unit->nused[h.side] == 0)
			continue;
		for (unsigned i = piece.first; i < piece.end; i++) {
			uint64_t word = slot_load(h.unit, h.wide,
						  side_slot(h) + i);

			if (word == 0)
				continue;
			*ret_page = (piece.half << HALF_BITS) + i;
			*ret_word = word;
			return true;
		}
	}
	return false;
}

/* Visit the slots of a piece; @raw: as swapmap_ops says. */
static inline int
piece_each(struct piece piece, struct half h, bool wide, bool raw,
	   swapmap_each_fn *fn, void *arg)
{
	uint64_t page = piece.half << HALF_BITS;
	unsigned base = side_slot(h);

	for (unsigned i = piece.first; i < piece.end; i++) {
		uint64_t word = slot_load(h.unit, wide, base + i);
		int r;

		if (raw && slot_is_held(h.unit, base + i))
			word |= SWAPMAP_HELD;
		if (word == 0)
			continue;
		r = fn(arg, page + i, raw ? word : swapmap_block(word));
		if (r != 0)
			return r;
	}
	return 0;
}

static int
array_each(const struct swapmap *map, uint64_t page, uint64_t n, bool raw,
	   swapmap_each_fn *fn, void *arg)
{
	uint64_t end = page + n;
	struct piece piece;
	int r = 0;

	for (; r == 0 && piece_find(map, &page, end, &piece);
	     page = piece_next(piece)) {
		struct half h = half_at(map, piece.half);

		if (raw)
			r = piece_each(piece, h, h.wide, true, fn, arg);
		else if (h.wide)
			r = piece_each(piece, h, true, false, fn, arg);
		else
			r = piece_each(piece, h, false, false, fn, arg);
	}
	return r;
}

/* -------------------------------------------------------------- audits */

/* A walk over the directory that believes nothing. */
struct audit {
	const struct swapmap	*map;
	uint64_t		 limit;		/* units are below it */
	unsigned char		*seen;		/* a byte for each of them */
	uint64_t		 end;		/* greatest unit seen, plus 1 */
	uint64_t		 nseen;
	uint64_t		 nmapped;
	uint64_t		 nheld_narrow;	/* halves */
};

/* A unit that a half may name, or -EBADMSG. */
static int
audit_mark(struct audit *audit, uint64_t half, uint32_t entry)
{
	uint32_t index = entry >> 1;
	bool shared = (entry & WIDE) == 0 && (half & 1) != 0 &&
		      entry_load(audit->map, half - 1) == entry;

	if (index == 0 || index >= audit->limit)
		return -EBADMSG;
	if (audit->seen[index] != 0)
		return shared ? 0 : -EBADMSG;
	audit->seen[index] = 1;
	audit->nseen++;
	audit->end = max_u64(audit->end, index + UINT64_C(1));
	return 0;
}

/* How many slots of a half have a value; -EBADMSG: a value that is none. */
static int
audit_slots(const struct audit *audit, uint64_t half)
{
	struct half h = half_at(audit->map, half);
	unsigned nslots = half_slots(audit->map, half);
	int nused = 0;

	for (unsigned i = 0; i < nslots; i++) {
		uint64_t word = slot_load(h.unit, h.wide, side_slot(h) + i);

		if ((word & SWAPMAP_HELD) != 0)
			return -EBADMSG;
		nused += word != 0;
	}
	return nused;
}

/* A3 for one half. */
static int
audit_counts(struct audit *audit, uint64_t half, unsigned nused)
{
	struct half h = half_at(audit->map, half);
	unsigned nheld = 0;

	for (unsigned i = 0; i < HALF_SLOTS; i++) {
		bool held = slot_is_held(h.unit, side_slot(h) + i);

		if (held && i >= half_slots(audit->map, half))
			return -EBADMSG;
		nheld += held;
	}
	if (nused != h.unit->nused[h.side] || nheld != h.unit->nheld[h.side] ||
	    nused + nheld == 0)
		return -EBADMSG;
	audit->nheld_narrow += nheld > 0 && !h.wide;
	return 0;
}

static int
audit_half(struct audit *audit, uint64_t half, bool counts)
{
	uint32_t entry = entry_load(audit->map, half);
	int r;

	if (entry == 0)
		return 0;
	r = audit_mark(audit, half, entry);
	if (r == 0)
		r = audit_slots(audit, half);
	if (r < 0)
		return r;
	audit->nmapped += (unsigned)r;
	return counts ? audit_counts(audit, half, (unsigned)r) : 0;
}

/* Look at every half; the caller frees audit->seen, if it is not NULL. */
static int
audit_run(struct audit *audit, bool counts)
{
	int r = 0;

	audit->end = 1;
	audit->seen = calloc((size_t)audit->limit, 1);
	if (audit->seen == NULL)
		return -ENOMEM;
	for (uint64_t i = 0; r == 0 && i < audit->map->array.nentries; i++)
		r = audit_half(audit, i, counts);
	return r;
}

/* Count what a successor found, and free halves without values. */
static void
counts_build(struct swapmap *map, struct audit *audit)
{
	for (uint64_t half = 0; half < map->array.nentries; half++) {
		uint32_t entry = entry_load(map, half);
		struct half h = half_at(map, half);
		int nused;

		if (entry == 0)
			continue;
		if (audit->seen[entry >> 1] == 1) {
			memset(h.unit, 0, offsetof(struct unit, narrow));
			audit->seen[entry >> 1]++;
		}
		nused = audit_slots(audit, half);
		h.unit->nused[h.side] = (uint16_t)nused;
		if (nused > 0)
			continue;
		entry_store(map, half, 0);
		if (entry_sibling(map, half) != entry)
			audit->seen[entry >> 1] = 0;
	}
}

static void
free_list_build(struct swapmap *map, const struct audit *audit)
{
	map->array.fresh = audit->end;
	for (uint64_t index = audit->end; index-- > 1;) {
		if (audit->seen[index] == 0)
			unit_give(map, (uint32_t)index);
	}
}

static int
array_load(struct swapmap *map)
{
	struct audit audit = { .map = map };
	uint32_t expected[4];
	int r;

	array_init(map);
	geometry(map, expected);
	if (memcmp(map->start->geometry, expected, sizeof(expected)) != 0)
		return -EPROTO;
	if (map->arena.size < units_offset(map->npages))
		return -EBADMSG;
	audit.limit = (map->arena.size - units_offset(map->npages)) /
		      map->array.unit_bytes + 1;
	r = audit_run(&audit, false);
	if (r == 0) {
		map->count = audit.nmapped;
		counts_build(map, &audit);
		free_list_build(map, &audit);
	}
	free(audit.seen);
	return r;
}

static int
check_free_list(const struct swapmap *map, struct audit *audit)
{
	uint32_t index = map->array.free_head;

	for (uint64_t i = 0; i < map->array.nfree; i++) {
		if (index == 0 || index >= audit->limit ||
		    audit->seen[index] != 0)
			return -EBADMSG;
		audit->seen[index] = 1;
		audit->nseen++;
		index = unit_at(map, index)->next_free;
	}
	return 0;
}

/* A2, A4 and A5, after the walk. */
static int
check_sums(const struct swapmap *map, const struct audit *audit)
{
	const struct swapmap_array *array = &map->array;
	uint64_t room = (map->arena.size - units_offset(map->npages)) /
			array->unit_bytes + 1 - array->fresh;

	if (audit->nseen != array->fresh - 1 ||
	    audit->nmapped != map->count ||
	    audit->nheld_narrow != array->npromised ||
	    array->npromised > array->nfree + room)
		return -EBADMSG;
	return 0;
}

static int
array_check(const struct swapmap *map)
{
	struct audit audit = { .map = map, .limit = map->array.fresh };
	uint64_t limit = (map->arena.size - units_offset(map->npages)) /
			 map->array.unit_bytes + 1;
	int r;

	if (map->array.fresh < 1 || map->array.fresh > limit)
		return -EBADMSG;
	r = audit_run(&audit, true);
	if (r == 0)
		r = check_free_list(map, &audit);
	if (r == 0)
		r = check_sums(map, &audit);
	free(audit.seen);
	return r;
}

const struct swapmap_ops swapmap_array_ops = {
	.kind = SWAPMAP_ARRAY,
	.name = "array",
	.pages_max = ARRAY_PAGES_MAX,
	.reserve = array_reserve,
	.format = array_format,
	.load = array_load,
	.get = array_get,
	.set = array_set,
	.prepare = array_prepare,
	.unprepare = array_unprepare,
	.find = array_find,
	.each = array_each,
	.clear = array_clear,
	.check = array_check,
};
