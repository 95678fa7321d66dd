/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * copy.h - copies of objects, as fork(2) makes them (floor 5)
 *
 * A copy has the contents that its source had when it was made; pages are taken
 * when they are first used in the copy, or before they are changed in the
 * source.  See copy.c.
 */
#ifndef SWAP_COPY_H
#define SWAP_COPY_H

#include "object.h"
#include "threads.h"

/* Pages that come from a source together. */
#define COPY_PAGES_MAX	16u

/*
 * Make an object by @spec, as large as @source, that is a copy of it.  The caller
 * has a reference of @source.  As swap_object_fork().
 */
int copy_make(struct swap_object *source, const struct object_spec *spec,
	      struct swap_object **ret_copy, struct swap_error *error);

/*
 * From still to not still, nobody's write changes pages of the object that were
 * not writable before: the fault is left unanswered.  So after a copy has been
 * made in between, the object stays what the copy is.  Pairs nest.
 */
void copy_still(struct swap_object *object, bool still);

bool copy_look(struct swap_object *object, uint64_t page, uint64_t n);
/*
 * Object locked.  Does a copy depend on one of these pages?  That does not begin
 * to be so while the object is open.
 */
static inline bool
copy_is_needed(struct swap_object *object, uint64_t page, uint64_t n)
{
	return swap_unlikely(object->copies != NULL) &&
	       copy_look(object, page, n);
}

/*
 * Object locked.  A copy, held, that depends on one of these pages, and
 * *ret_page, the first of them on which any does.  NULL: none.
 */
struct swap_object *copy_dependent(struct swap_object *object, uint64_t page,
				   uint64_t n, uint64_t *ret_page);

/*
 * Read pages of a copy's source into @buf.  The copy is locked and owns the @n
 * pages, all SOURCE; unlocked meanwhile.  0, and *ret_n of them, from the first
 * on, have been read; 1: the same, and they are all zeros; -ESTALE the copy has
 * died; -EIO the first is lost, or cannot be read.
 */
int copy_fetch(struct swap_object *copy, uint64_t page, uint64_t n, void *buf,
	       uint64_t *ret_n);

/*
 * Locked.  Is a SOURCE page of a copy in its source's RAM, and nobody owns it
 * there?  A hint: then to fetch it takes no time.
 */
bool copy_is_near(struct swap_object *copy, uint64_t page);

/*
 * Let a copy have a page of its own, if it depends on its source there.  Nothing
 * is locked or owned; RAM for the page has been taken.  May wait for I/O.
 *
 * @buf  room for a page
 * 1: it is in RAM now; 0: the RAM was not needed; -ENOMEM, or what else the
 * memfd or the protection says, with nothing changed.
 */
int copy_take(struct swap_object *copy, uint64_t page, void *buf);
/*
 * There is no room for it (SWAP_PAGER_FULL_FAILS): the copy loses it, unless it
 * reads as zeros.
 */
void copy_lose(struct swap_object *copy, uint64_t page, void *buf);

/*
 * Let all copies that depend on these pages have them, waiting for RAM and I/O.
 * Nothing is locked or owned.  With @empty that is only done where the object
 * itself has nothing; with @away its blocks go where only one copy depends,
 * and the page is empty then.  Copies that are made meanwhile may be left out.
 * -ENOMEM no RAM became free.
 */
int copy_settle(struct swap_object *object, uint64_t page, uint64_t n,
		bool empty, bool away);
/*
 * Hand the block of a page over to the only copy that depends on it.  Nothing is
 * locked or owned.  0; -EAGAIN there is no such block or copy, or it may not
 * have it; -ESHUTDOWN.
 */
int copy_move(struct swap_object *source, struct swap_object *copy,
	      uint64_t page);

/* copy-collapse.c: its thread. */
int copy_collapse_start(struct core *core, pthread_t *ret_thread);
void copy_collapse_stop(struct core *core, pthread_t thread);

#endif
