/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Copying from one object to another.
 *
 * What FreeBSD's swap_pager_copy does with blocks alone (its source has no page
 * in RAM) is done here with whatever a page has.  For each page of the range:
 *
 *	the source has		the destination has it	it has not
 *	nothing			-			-
 *	a lost page		freed, with DESTROY	-EIO
 *	a page in RAM		freed, with DESTROY	copied, then freed
 *	a block			freed, with DESTROY	handed over, or read
 *
 * A page that is lost does not arrive as zeros: the call fails there, and who
 * does not want that page releases it first.  One that the destination has
 * lost stays lost there; with DESTROY the call fails instead of freeing what
 * may be the last good one.
 *
 * A fork copy has what it would take from its source.  As a destination it takes
 * such a page before the page of the other object is freed: that may be its
 * source.  Where copies depend on a page that is to be freed, or filled, they
 * take it first (C1 of copy.c).
 *
 *	M1  Both pages are owned, so that no fault, no page-out and no other
 *	    copy changes one of them.  Of two objects the one with the larger
 *	    number is owned first (object.h), and asked for what it would take
 *	    from its source before the other is owned, which may be just that.
 *	M2  A page in RAM is write-protected in all regions of the source before
 *	    it is read: it arrives as it was at one moment.
 *	M3  A page is freed only after it has arrived; a block is entered into
 *	    the map of the destination before it leaves that of the source.
 *	M4  RAM is taken before any page is owned.
 *	M5  No page moves during a handover, which looks at each object once:
 *	    the lock `moves' and core->frozen see to that.
 *	M6  Both objects are open while pages of them change, that with the
 *	    larger number first.  So no copy of one of them is made meanwhile,
 *	    which may take a transfer of pages here.
 *
 * Costs: runs of pages that the source does not have are skipped at a byte
 * each.  A handed-over page takes two map operations and six uses of the locks,
 * one in RAM a protect and a read for each run and a write of its own.
 */
#include "merge.h"

#include <errno.h>
#include <string.h>

#include "copy.h"
#include "pageback.h"
#include "pageio.h"
#include "region.h"
#include "util.h"

#define SKIP_PAGES	65536u		/* looked at under one lock */
#define FETCH_PAGES	8u		/* owned while sources are asked */

enum what {
	NOTHING,	/* stays as it is, on both sides */
	DROP,		/* the destination has it */
	MOVE,		/* the block changes hands */
	READ,		/* from its block */
	TAKE,		/* from RAM */
	FETCHED,	/* from the source's source, in its slot */
	KEEP,		/* the destination's own, in its slot, before a DROP */
	LOST,
};

/* How the destination is. */
enum has {
	HAS_NOT,
	HAS,
	HAS_LOST,
	HAS_FETCHED,	/* from its source, in its own slot */
};

struct merge {
	struct swap_object *from, *to;
	uint64_t	 from_page, to_page;	/* the pages in hand: ... */
	uint64_t	 n;			/* ... so many */
	bool		 destroy;
	struct pageback	 pb;			/* its buffer: a slot a page */
	uint64_t	 ram;			/* pages taken */
	uint8_t		 what[SWAP_CLUSTER_MAX];	/* enum what */
	uint8_t		 has[SWAP_CLUSTER_MAX];		/* enum has */
};

/*
 * Behind the slots of what comes from the source, those of what is fetched for
 * the destination.
 */
#define SLOTS		(SWAP_CLUSTER_MAX + FETCH_PAGES)

static char *
slot(const struct merge *m, uint64_t i)
{
	return (char *)m->pb.buf + (i << page_shift());
}

static char *
to_slot(const struct merge *m, uint64_t i)
{
	return slot(m, SWAP_CLUSTER_MAX + i);
}

/* --------------------------------------------------------- looking ahead */

/* Object locked: certainly nothing, now. */
static bool
is_absent(const struct swap_object *object, uint64_t page)
{
	return !page_is_busy(object, page) &&
	       page_state(object, page) == PAGE_EMPTY;
}

/* How many of the next @n pages the source does not have. */
static uint64_t
skip(struct swap_object *from, uint64_t page, uint64_t n)
{
	uint64_t i = 0;

	n = min_u64(n, SKIP_PAGES);
	object_lock(from);
	while (i < n && is_absent(from, page + i))
		i++;
	object_unlock(from);
	return i;
}

/* Object locked.  Can blocks not change hands, @n at most? */
static bool
takes_no_blocks(const struct swap_object *to, uint64_t n)
{
	return (to->flags & SWAP_OBJECT_NOSWAP) || object_block_room(to) < n;
}

/* RAM that the next @n pages will need, as they are now. */
static uint64_t
ram_needed(const struct merge *m, uint64_t n)
{
	bool absent[SWAP_CLUSTER_MAX], moves[SWAP_CLUSTER_MAX];
	uint64_t need = 0;
	bool noswap;

	object_lock(m->from);
	for (uint64_t i = 0; i < n; i++) {
		uint64_t page = m->from_page + i;

		absent[i] = is_absent(m->from, page);
		moves[i] = m->destroy &&
			   page_state(m->from, page) == PAGE_SWAPPED;
	}
	object_unlock(m->from);
	object_lock(m->to);
	noswap = takes_no_blocks(m->to, n);
	for (uint64_t i = 0; i < n; i++) {
		enum page_state state = page_state(m->to, m->to_page + i);

		if (absent[i] ||
		    (state != PAGE_EMPTY && state != PAGE_SOURCE))
			continue;
		if (!moves[i] || noswap || state == PAGE_SOURCE)
			need++;
	}
	object_unlock(m->to);
	return need;
}

/* ----------------------------------------------------------------- owning */

/* Own the page, and those behind it that nobody owns; how many. */
static uint64_t
own(struct swap_object *object, uint64_t page, uint64_t n)
{
	uint64_t i = 1;

	object_lock(object);
	while (page_is_busy(object, page))
		object_wait_unbusy(object);
	while (i < n && !page_is_busy(object, page + i))
		i++;
	object_busy(object, page, i);
	object_unlock(object);
	return i;
}

static void
disown(struct swap_object *object, uint64_t page, uint64_t n)
{
	if (n == 0)
		return;
	object_lock(object);
	regions_unbusy(object, page, n);
}

/* An owned page of a fork copy: 0 taken from its source, 1 nothing, -EIO. */
static int
fetch(struct swap_object *copy, uint64_t page, void *buf)
{
	uint64_t n;
	int rc;

	object_lock(copy);
	rc = copy_fetch(copy, page, 1, buf, &n);
	object_unlock(copy);
	return rc;
}

/* What the owned pages of the source are, fetched where they must be. */
static void
look_from(struct merge *m)
{
	for (uint64_t i = 0; i < m->n; i++) {
		uint64_t page = m->from_page + i;
		enum page_state state;
		int rc;

		object_lock(m->from);
		state = page_state(m->from, page);
		object_unlock(m->from);
		switch (state) {
		case PAGE_EMPTY:
			m->what[i] = NOTHING;
			break;
		case PAGE_SOURCE:
			rc = fetch(m->from, page, slot(m, i));
			m->what[i] = rc < 0 ? LOST :
				     rc == 0 ? FETCHED : NOTHING;
			break;
		case PAGE_SWAPPED:
			m->what[i] = m->destroy ? MOVE : READ;
			break;
		case PAGE_CLEAN:
		case PAGE_DIRTY:
			m->what[i] = TAKE;
			break;
		case PAGE_POISON:
			m->what[i] = LOST;
			break;
		}
	}
}

/* Which of its owned pages the destination has. */
static void
look_to(struct merge *m)
{
	for (uint64_t i = 0; i < m->n; i++) {
		uint64_t page = m->to_page + i;
		enum page_state state;
		int rc;

		object_lock(m->to);
		state = page_state(m->to, page);
		object_unlock(m->to);
		m->has[i] = state == PAGE_POISON ? HAS_LOST :
			    state == PAGE_EMPTY ? HAS_NOT : HAS;
		if (state == PAGE_SOURCE) {
			rc = fetch(m->to, page, to_slot(m, i));
			m->has[i] = rc < 0 ? HAS_LOST : rc == 0 ? HAS_FETCHED :
				    HAS_NOT;
		}
	}
}

/* Might pages of it have to be fetched? */
static bool
has_source(struct swap_object *object)
{
	bool has;

	object_lock(object);
	has = object->nsource > 0;
	object_unlock(object);
	return has;
}

/* Own pages on both sides, at most @n; what is to be done is in m->what. */
static void
own_both(struct merge *m, uint64_t n)
{
	if (has_source(m->from) || has_source(m->to))
		n = min_u64(n, FETCH_PAGES);
	if (m->from->id > m->to->id) {
		uint64_t owned = own(m->from, m->from_page, n);

		m->n = owned;
		look_from(m);
		m->n = own(m->to, m->to_page, owned);
		disown(m->from, m->from_page + m->n, owned - m->n);
		look_to(m);
	} else {
		uint64_t owned = own(m->to, m->to_page, n);

		m->n = owned;
		look_to(m);
		m->n = own(m->from, m->from_page, owned);
		disown(m->to, m->to_page + m->n, owned - m->n);
		look_from(m);
	}
}

/* Both sides known: what is to be done with each page? */
static void
decide(struct merge *m)
{
	bool noswap;

	object_lock(m->to);
	noswap = takes_no_blocks(m->to, m->n);
	object_unlock(m->to);
	for (uint64_t i = 0; i < m->n; i++) {
		if (m->what[i] == NOTHING)
			continue;
		if (m->has[i] != HAS_NOT)
			m->what[i] = !m->destroy ? NOTHING :
				     m->has[i] == HAS_LOST ? LOST :
				     m->has[i] == HAS_FETCHED ? KEEP : DROP;
		if (m->what[i] == MOVE && noswap)
			m->what[i] = READ;
	}
}

/* ------------------------------------------------------------------ copies */

static void
open_one(struct swap_object *object)
{
	object_lock(object);
	object_open(object);
	object_unlock(object);
}

static void
close_one(struct swap_object *object)
{
	object_lock(object);
	object_close(object);
	object_unlock(object);
}

/* The pages in hand are owned.  M6. */
static void
open_both(struct merge *m)
{
	bool from_first = m->from->id > m->to->id;

	open_one(from_first ? m->from : m->to);
	open_one(from_first ? m->to : m->from);
}

/*
 * Copies that depend on pages that change take them first.  Nothing is owned;
 * who makes a copy now is found by may_change().
 */
static int
settle_both(struct merge *m, uint64_t n)
{
	int rc = 0;

	if (m->destroy)
		rc = copy_settle(m->from, m->from_page, n, false, false);
	return rc < 0 ? rc : copy_settle(m->to, m->to_page, n, true, false);
}

/* All is owned, open and decided.  Does no copy depend on what will change? */
static bool
may_change(struct merge *m)
{
	bool may = true;

	object_lock(m->from);
	for (uint64_t i = 0; may && m->destroy && i < m->n; i++)
		may = m->what[i] == NOTHING ||
		      !copy_is_needed(m->from, m->from_page + i, 1);
	object_unlock(m->from);
	object_lock(m->to);
	for (uint64_t i = 0; may && i < m->n; i++)
		may = m->what[i] == NOTHING || m->has[i] != HAS_NOT ||
		      !copy_is_needed(m->to, m->to_page + i, 1);
	object_unlock(m->to);
	return may;
}

/* -------------------------------------------------------------- one page */

/*
 * The reservations of both sides stay whole (P6): a page of the source that is
 * reserved gets one set aside for the block that leaves.  A word block, which
 * takes its reference along, is nobody's guarantee and counts in no limit.
 */
int
merge_move_block(struct swap_object *from, uint64_t from_page,
		 struct swap_object *to, uint64_t to_page)
{
	struct space *space = &from->core->space;
	bool from_reserved, to_reserved, is_word;
	uint64_t block;
	int rc = 0;

	object_lock(from);
	block = swapmap_get(from->map, from_page);
	is_word = space_is_word(block);
	from_reserved = !is_word && (from->page[from_page] & PAGE_RESERVED);
	object_unlock(from);
	object_lock(to);
	to_reserved = (to->page[to_page] & PAGE_RESERVED) != 0;
	if (!is_word && object_block_room(to) == 0)
		rc = -EAGAIN;
	else if (from_reserved && !to_reserved)
		rc = space_reserve(space, 1);
	if (rc == 0) {
		/* What was set aside for this one goes to the source's. */
		rc = object_enter_block(to, to_page, block, from_reserved);
		if (rc == 0)
			object_set_state(to, to_page, PAGE_SWAPPED);
		else if (from_reserved && !to_reserved)
			space_unreserve(space, 1);
	}
	object_unlock(to);
	if (rc < 0)
		return rc;
	object_lock(from);
	object_forget_block(from, from_page);
	object_set_state(from, from_page, PAGE_EMPTY);
	object_unlock(from);
	return 0;
}

/* Blocks of @n pages into their slots. */
static int
read_blocks(struct merge *m, uint64_t i, uint64_t n)
{
	bool ok[SWAP_CLUSTER_MAX];
	uint64_t done = 0;
	int error = 0;

	while (done < n) {
		uint64_t page = m->from_page + i + done, block, run;

		object_lock(m->from);
		block = swapmap_get(m->from->map, page);
		run = swapmap_run(m->from->map, page, n - done);
		object_unlock(m->from);
		if (pageio_read(m->from->core, block, run, slot(m, i + done),
				ok, &error) < run)
			return -EIO;
		done += run;
	}
	return 0;
}

/* Pages in RAM, as they are at one moment, into their slots (M2). */
static int
read_memory(struct merge *m, uint64_t i, uint64_t n)
{
	struct region_set *set;
	int rc;

	object_lock(m->from);
	set = region_set_get(m->from);
	object_unlock(m->from);
	rc = regions_protect(set, NULL, m->from_page + i, n);
	region_set_put(set);
	if (rc == 0)
		rc = pread_full(m->from->memfd, slot(m, i), n << page_shift(),
				(off_t)((m->from_page + i) << page_shift()));
	return rc;
}

/* What a copy needs of the destination itself comes in protected (KEEP). */
static int
guard(struct merge *m, uint64_t page, uint64_t n)
{
	struct region_set *set = NULL;
	int rc;

	object_lock(m->to);
	if (copy_is_needed(m->to, page, n))
		set = region_set_get(m->to);
	object_unlock(m->to);
	rc = regions_protect(set, NULL, page, n);
	region_set_put(set);
	return rc;
}

/*
 * What is in slots goes into the destination; RAM has been taken.  *ret_n pages
 * have arrived: fewer, and then at least one, where the memfd takes no more.
 */
static int
put(struct merge *m, uint64_t i, uint64_t n, uint64_t *ret_n)
{
	const char *buf = m->what[i] == KEEP ? to_slot(m, i) : slot(m, i);
	uint64_t page = m->to_page + i;
	int rc = guard(m, page, n);

	if (rc == 0)
		rc = pwrite_full(m->to->memfd, buf, n << page_shift(),
				 (off_t)(page << page_shift()));

	*ret_n = pageback_enter_new(m->to, page, n, rc == 0);
	m->ram -= *ret_n;
	return *ret_n > 0 ? 0 : rc;
}

/* ------------------------------------------------------------------- runs */

/* Pages from @i on that are alike. */
static uint64_t
run_length(const struct merge *m, uint64_t i)
{
	uint64_t n = 1;

	while (i + n < m->n && m->what[i + n] == m->what[i])
		n++;
	return n;
}

static bool
is_wired(struct merge *m, uint64_t i, uint64_t n)
{
	bool wired = false;

	object_lock(m->from);
	for (uint64_t k = i; k < i + n; k++)
		wired |= m->from->wire[m->from_page + k] > 0;
	object_unlock(m->from);
	return wired;
}

static int
read_run(struct merge *m, uint64_t i, uint64_t n)
{
	if (m->what[i] == READ)
		return read_blocks(m, i, n);
	if (m->what[i] == TAKE)
		return read_memory(m, i, n);
	return 0;
}

/* A run that arrives by way of the buffer: as much as there is RAM for. */
static int
bring(struct merge *m, uint64_t i, uint64_t n, uint64_t *ret_done)
{
	int rc;

	n = min_u64(n, m->ram);
	if (n == 0)
		return 0;
	rc = read_run(m, i, n);
	if (rc < 0 && n > 1) {
		/* Perhaps because of one of them: the first then, alone. */
		n = 1;
		rc = read_run(m, i, n);
	}
	if (rc == 0)
		rc = put(m, i, n, &n);
	if (rc == 0 && m->destroy)
		rc = pageback_free_owned(m->from, m->from_page + i, n);
	*ret_done = rc == 0 ? n : 0;
	return rc;
}

/* Do what is to be done with @n pages that are alike; *ret_done of them. */
static int
act(struct merge *m, uint64_t i, uint64_t n, uint64_t *ret_done)
{
	int rc = 0;

	*ret_done = 0;
	if (m->what[i] != NOTHING && m->destroy && is_wired(m, i, n)) {
		if (n > 1)	/* those before it can go */
			return act(m, i, n / 2, ret_done);
		return -EBUSY;
	}
	switch ((enum what)m->what[i]) {
	case NOTHING:
		break;
	case DROP:
		rc = pageback_free_owned(m->from, m->from_page + i, n);
		break;
	case MOVE:
		while (*ret_done < n && rc == 0) {
			rc = merge_move_block(m->from,
					      m->from_page + i + *ret_done,
					      m->to,
					      m->to_page + i + *ret_done);
			*ret_done += rc == 0;
		}
		/* The swap limit of the destination: the next step reads it. */
		return rc == -EAGAIN ? 0 : rc;
	case READ:
	case TAKE:
	case FETCHED:
	case KEEP:
		return bring(m, i, n, ret_done);
	case LOST:
		rc = -EIO;
		break;
	}
	if (rc == 0)
		*ret_done = n;
	return rc;
}

/* Pages in hand, in order; *ret_done of them, and the error of the next. */
static int
act_all(struct merge *m, uint64_t *ret_done)
{
	uint64_t i = 0, done = 0, n;
	int rc = 0;

	while (i < m->n && rc == 0) {
		n = run_length(m, i);
		rc = act(m, i, n, &done);
		i += done;
		if (done < n)
			break;
	}
	*ret_done = i;
	return rc;
}

/* Some pages from where we are, at most @n. */
static int
step(struct merge *m, uint64_t n, uint64_t *ret_done)
{
	struct core *core = m->from->core;
	uint64_t need;
	int rc = 0;

	*ret_done = skip(m->from, m->from_page, n);
	if (*ret_done > 0)
		return 0;
	n = min_u64(n, SWAP_CLUSTER_MAX);
	rc = settle_both(m, n);
	need = ram_needed(m, n);
	m->ram = 0;
	if (need > 0 && rc == 0)
		rc = pageback_take_ram(&m->pb, m->to, need, &m->ram);
	if (rc < 0)
		return rc;
	pthread_rwlock_rdlock(&core->table.moves);
	if (atomic_load(&core->frozen)) {
		rc = -ESHUTDOWN;
	} else {
		own_both(m, n);
		open_both(m);
		decide(m);
		if (may_change(m))
			rc = act_all(m, ret_done);
		close_one(m->from);
		close_one(m->to);
		disown(m->from, m->from_page, m->n);
		disown(m->to, m->to_page, m->n);
	}
	pthread_rwlock_unlock(&core->table.moves);
	pageback_give_ram(m->to, m->ram);
	return rc;
}

int
merge(struct swap_object *from, uint64_t from_page, struct swap_object *to,
      uint64_t to_page, uint64_t n, unsigned flags)
{
	struct merge m = {
		.from = from,
		.to = to,
		.from_page = from_page,
		.to_page = to_page,
		.destroy = (flags & SWAP_COPY_DESTROY) != 0,
		.pb = { .core = from->core,
			.buf = pageio_buffer(SLOTS) },
	};
	uint64_t done;
	int rc = m.pb.buf != NULL ? 0 : -ENOMEM;

	if (atomic_load(&from->core->frozen))
		rc = -ESHUTDOWN;
	while (n > 0 && rc == 0) {
		rc = step(&m, n, &done);
		m.from_page += done;
		m.to_page += done;
		n -= done;
	}
	pageio_buffer_free(m.pb.buf, SLOTS);
	return rc;
}
