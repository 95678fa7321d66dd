/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Copies.
 *
 * Lock order: the copy's lock is let go of before the source's is taken, so
 * that two objects are never locked at once, however long the chain.  The
 * copy's page is busy meanwhile; `fetching` keeps copy_cut() waiting until the
 * source is not being read any more.
 *
 * Reading a source page waits while that page is being paged out or in: it is
 * this page's own contents that the fault waits for.
 *
 * In a chain (a copy of a copy) the page may come from far behind, and its
 * owner waits only for the copies next to it.  So what was read counts only if
 * all links between still stand when the read is done: as long as they do, the
 * owners behind them have not gone on.
 */
#include "copy.h"

#include <errno.h>
#include <string.h>

#include "pageio.h"
#include "region.h"
#include "util.h"

/* Source locked, its page not busy and holding something. */
static int
read_page(struct swap_object *source, uint64_t page, void *buf)
{
	bool resident = page_is_resident(source, page);
	uint64_t block = swapmap_get(source->map, page);
	int rc;

	object_busy(source, page, 1);
	object_unlock(source);
	if (resident)
		rc = pread_full(source->memfd, buf, page_bytes(),
				(off_t)(page << page_shift()));
	else
		rc = space_read(&source->core->space, block, buf, 1);
	object_lock(source);
	regions_unbusy(source, page, 1);
	object_lock(source);
	return rc;
}

static int
zeros(void *buf)
{
	memset(buf, 0, page_bytes());
	return 1;
}

/*
 * Read a page of @source, held by the caller.  When it is a copy itself and
 * has not taken the page, *ret_next is the object to ask, held.
 */
static int
ask(struct swap_object *source, uint64_t page, void *buf,
    struct swap_object **ret_next)
{
	int rc = 0;

	object_lock(source);
	while (page_is_busy(source, page))
		object_wait_unbusy(source);
	if (source->dead) {
		/* Its pages are gone, which is not the same as empty. */
		object_unlock(source);
		return -ESTALE;
	}
	switch (page_state(source, page)) {
	case PAGE_EMPTY:
		if (source->copy && source->source != NULL)
			*ret_next = object_hold(source->source);
		else if (source->cut)
			rc = -ESTALE;
		else
			rc = zeros(buf);
		break;
	case PAGE_ZERO:
		rc = zeros(buf);
		break;
	case PAGE_POISON:
		rc = -EIO;
		break;
	case PAGE_SWAPPED:
	case PAGE_CLEAN:
	case PAGE_DIRTY:
		rc = read_page(source, page, buf);
		break;
	}
	object_unlock(source);
	return rc;
}

/* The source of a copy, held; NULL: it has none any more. */
static struct swap_object *
link_of(struct swap_object *copy)
{
	struct swap_object *source = NULL;

	object_lock(copy);
	if (!copy->dead && copy->source != NULL)
		source = object_hold(copy->source);
	object_unlock(copy);
	return source;
}

/* Does the chain from @first still reach @last?  Drops @first. */
static bool
chain_stands(struct swap_object *first, const struct swap_object *last)
{
	struct swap_object *at = first, *next;

	while (at != NULL && at != last) {
		next = link_of(at);
		object_drop(at);
		at = next;
	}
	if (at != NULL)
		object_drop(at);
	return at != NULL;
}

/* Ask @first and those behind it, until one has the page.  Drops @first. */
static int
ask_chain(struct swap_object *first, uint64_t page, void *buf)
{
	struct swap_object *source = object_hold(first), *next = NULL;
	int rc;

	for (;;) {
		rc = ask(source, page, buf, &next);
		if (next == NULL)
			break;
		object_drop(source);
		source = next;
		next = NULL;
	}
	if (!chain_stands(first, source) && rc >= 0)
		rc = -ESTALE;
	object_drop(source);
	return rc;
}

int
copy_fetch(struct swap_object *copy, uint64_t page, void *buf)
{
	struct swap_object *source;
	int rc;

	if (copy->source == NULL)
		return -ESTALE;
	source = object_hold(copy->source);
	copy->fetching++;
	object_unlock(copy);
	rc = ask_chain(source, page, buf);
	object_lock(copy);
	copy->fetching--;
	pthread_cond_broadcast(&copy->unbusy);
	return rc;
}

void
copy_cut(struct swap_object *copy)
{
	struct swap_object *source;

	object_lock(copy);
	source = copy->source;
	copy->source = NULL;
	copy->cut = true;
	while (copy->fetching > 0)
		object_wait_unbusy(copy);
	object_unlock(copy);
	if (source != NULL)
		object_drop(source);
}
