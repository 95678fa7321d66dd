/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What becomes of copies that end, and of sources that nobody else uses.
 *
 * One thread of the pager does what need not be done at once:
 *
 *	leave	a copy that has no SOURCE page any more leaves its source;
 *	lift	an object that has lost its last copy is write-protected still;
 *		that is taken back for runs of pages, since each of them would
 *		cost its program a fault;
 *	trim	an orphan (C7) frees the pages on which no copy depends;
 *	collapse an orphan with one copy left gives that all that it needs (row
 *		F14: transfer, the destination wins, the source is destroyed):
 *		blocks change hands, pages in RAM are copied and freed.  Then the
 *		copy gets the orphan's own source instead, where it needs that
 *		(relink), and the orphan ends.
 *
 * So a chain is no longer than there are living processes in it, however often
 * a program forks and goes (daemon(3), double forks).  An orphan with several
 * copies stays until one of them is left.
 *
 *	K1  The thread owns at most a page of the copy and one of the orphan, or
 *	    a run of one object; it never waits for RAM: a page takes one at most
 *	    beyond the limits, since the orphan's is freed right after.
 *	K2  A relink is done under the locks of all three, the smallest number
 *	    first, when no page of the copy is both SOURCE and owned (C5), and
 *	    the orphan has nothing that the copy lacks.  Who was about to let the
 *	    orphan have a page finds that this does not need it any more.
 *	K3  It stops where core->frozen is set.
 *
 * Costs: a look at all objects at each call; for an orphan a look at its page
 * states, and those of its copies, and again each second, since what its copies
 * take meanwhile calls nobody.  Where no RAM can be had that is tried again, at
 * last each second, too.
 */
#include "copy.h"

#include <errno.h>
#include <stdlib.h>

#include "pageback.h"
#include "pageio.h"
#include "region.h"
#include "threads.h"
#include "util.h"

#define RUN_PAGES	512u	/* owned at a time */
#define LOOK_PAGES	1024u	/* looked at under one lock */
#define AGAIN_USEC	20000u	/* something could not be done just now */
#define ORPHAN_USEC	1000000u /* there are orphans */

struct collapse {
	struct core	*core;
	void		*buf;		/* a page */
	bool		 again;		/* something is left to do ... */
	bool		 orphans;	/* ... or may be, later */
	bool		 carried;	/* a page has come over */
	uint64_t	 again_usec;	/* longer, if that is of no use */
};

static bool
may_work(struct core *core)
{
	bool stop;

	pthread_mutex_lock(&core->copies_lock);
	stop = core->copies_stop;
	pthread_mutex_unlock(&core->copies_lock);
	return !stop && !atomic_load(&core->frozen);
}

/* ------------------------------------------------------------------- lift */

/*
 * Object locked.  Own the next run of DIRTY pages from *at on: how many.  0:
 * none, *at is how far it was looked.
 */
static uint64_t
own_dirty(struct swap_object *object, uint64_t *at)
{
	uint64_t stop = min_u64(object->used_end, *at + LOOK_PAGES), n = 0;

	while (*at < stop && (page_is_busy(object, *at) ||
			      page_state(object, *at) != PAGE_DIRTY))
		++*at;
	while (*at + n < stop && n < RUN_PAGES &&
	       !page_is_busy(object, *at + n) &&
	       page_state(object, *at + n) == PAGE_DIRTY)
		n++;
	object_busy(object, *at, n);
	return n;
}

/* Where that fails the program faults, as it would have anyway. */
static void
lift_run(struct swap_object *object, uint64_t page, uint64_t n)
{
	struct region_set *set;
	bool lift;

	object_lock(object);
	object_open(object);
	lift = object->copies == NULL;
	set = region_set_get(object);
	object_unlock(object);
	for (unsigned i = 0; lift && set != NULL && i < set->n; i++)
		(void)region_unprotect(set->region[i], page, n);
	region_set_put(set);
	object_lock(object);
	object_close(object);
	regions_unbusy(object, page, n);
}

static void
lift(struct collapse *c, struct swap_object *object)
{
	uint64_t page = 0, end = 1;

	object_lock(object);
	object->guarded = object->copies != NULL;
	object_unlock(object);
	while (page < end && may_work(c->core)) {
		uint64_t n = 0;

		object_lock(object);
		end = object->copies == NULL ? object->used_end : 0;
		if (page < end)
			n = own_dirty(object, &page);
		object_unlock(object);
		if (n > 0)
			lift_run(object, page, n);
		page += n;
	}
}

/* ------------------------------------------------------------------- trim */

/* Orphan locked.  Can the page go? */
static bool
is_waste(struct swap_object *orphan, uint64_t page)
{
	return !page_is_busy(orphan, page) &&
	       page_state(orphan, page) != PAGE_EMPTY &&
	       !copy_is_needed(orphan, page, 1);
}

/* Free what nobody needs of [page, end). */
static void
trim(struct collapse *c, struct swap_object *orphan, uint64_t page,
     uint64_t end)
{
	while (page < end && may_work(c->core)) {
		uint64_t stop, n = 0;

		object_lock(orphan);
		end = min_u64(end, orphan->used_end);
		stop = min_u64(end, page + LOOK_PAGES);
		while (page < stop && !is_waste(orphan, page))
			page++;
		while (page + n < stop && n < RUN_PAGES &&
		       is_waste(orphan, page + n))
			n++;
		object_busy(orphan, page, n);
		object_unlock(orphan);
		if (n == 0)
			continue;
		/* No new copies, and only this thread relinks. */
		if (pageback_free_owned(orphan, page, n) < 0)
			c->again = true;
		object_lock(orphan);
		regions_unbusy(orphan, page, n);
		page += n;
	}
}

/* --------------------------------------------------------------- collapse */

/* The next page that the copy needs and the orphan has itself; @end: none. */
static uint64_t
next_needed(struct swap_object *orphan, struct swap_object *copy,
	    uint64_t page, uint64_t end)
{
	bool found = false;

	while (page < end && !found) {
		uint64_t stop = min_u64(end, page + LOOK_PAGES);

		object_lock(orphan);
		object_lock(copy);
		while (page < stop && !found) {
			enum page_state state = page_state(orphan, page);

			found = page_state(copy, page) == PAGE_SOURCE &&
				state != PAGE_EMPTY && state != PAGE_SOURCE;
			page += !found;
		}
		object_unlock(copy);
		object_unlock(orphan);
	}
	return page;
}

/* A page that is in RAM, or cannot change hands.  False: not just now. */
static bool
carry(struct collapse *c, struct swap_object *orphan, struct swap_object *copy,
      uint64_t page)
{
	bool taken;
	int rc = -ENOMEM;

	object_lock(copy);
	taken = object_take_ram(copy, 1) || object_take_ram_extra(copy, 1);
	object_unlock(copy);
	if (taken) {
		rc = copy_take(copy, page, c->buf);
		if (rc <= 0)
			pageback_give_ram(copy, 1);
	}
	if (rc < 0)
		return false;
	c->carried = true;
	trim(c, orphan, page, page + 1);
	return true;
}

/* K2.  All of them locked; @above, the orphan's source, may be NULL. */
static bool
can_relink(const struct swap_object *above, const struct swap_object *orphan,
	   const struct swap_object *copy)
{
	if (orphan->dead || copy->dead || orphan->source != above ||
	    copy->source != orphan || orphan->ncopies != 1)
		return false;
	for (uint64_t i = 0; copy->nsource > 0 && i < copy->used_end; i++) {
		enum page_state state = page_state(orphan, i);

		if (page_state(copy, i) != PAGE_SOURCE)
			continue;
		if (page_is_busy(copy, i) || page_is_busy(orphan, i) ||
		    (state != PAGE_EMPTY &&
		     (state != PAGE_SOURCE || above == NULL)))
			return false;
	}
	return true;
}

/* The same. */
static void
relink_locked(struct swap_object *above, struct swap_object *orphan,
	      struct swap_object *copy)
{
	for (uint64_t i = 0; copy->nsource > 0 && i < copy->used_end; i++)
		if (page_state(copy, i) == PAGE_SOURCE &&
		    page_state(orphan, i) == PAGE_EMPTY)
			object_set_state(copy, i, PAGE_EMPTY);
	object_unlink_copy(orphan, copy);
	if (above != NULL) {
		object_unlink_copy(above, orphan);
		if (copy->nsource > 0)
			object_link_copy(above, copy);
	}
}

/* The copy takes the orphan's place, which then ends. */
static bool
relink(struct swap_object *orphan, struct swap_object *copy)
{
	struct swap_object *above;
	bool done, last = false;

	object_lock(orphan);
	above = orphan->source != NULL ? object_hold(orphan->source) : NULL;
	object_unlock(orphan);
	if (above != NULL)
		object_lock(above);
	object_lock(orphan);
	object_lock(copy);
	done = can_relink(above, orphan, copy);
	if (done) {
		relink_locked(above, orphan, copy);
		last = above != NULL && above->orphan && above->ncopies == 0;
	}
	object_unlock(copy);
	object_unlock(orphan);
	if (above != NULL)
		object_unlock(above);
	if (done)
		object_kill(orphan);
	if (last)
		object_kill(above);
	if (above != NULL)
		object_drop(above);
	return done;
}

static void
collapse(struct collapse *c, struct swap_object *orphan,
	 struct swap_object *copy)
{
	uint64_t page = 0, end;

	object_lock(copy);
	end = copy->used_end;
	object_unlock(copy);
	while (may_work(c->core)) {
		bool dead;

		page = next_needed(orphan, copy, page, end);
		if (page == end)
			break;
		object_lock(copy);
		dead = copy->dead;
		object_unlock(copy);
		if (dead)
			return;
		if (copy_move(orphan, copy, page) < 0 &&
		    !carry(c, orphan, copy, page)) {
			/* Nor can those behind it, most likely. */
			c->again = true;
			return;
		}
		page++;
	}
	if (may_work(c->core) && !relink(orphan, copy))
		c->again = true;
}

/* ----------------------------------------------------------------- thread */

static void
tend_orphan(struct collapse *c, struct swap_object *orphan)
{
	struct swap_object *copy = NULL;

	c->orphans = true;
	object_unreserve(orphan, 0, orphan->npages);
	trim(c, orphan, 0, orphan->npages);
	object_lock(orphan);
	if (orphan->ncopies == 1)
		copy = object_hold(orphan->copies);
	object_unlock(orphan);
	if (copy != NULL) {
		collapse(c, orphan, copy);
		object_drop(copy);
	}
}

static int
tend(struct swap_object *object, void *arg)
{
	struct collapse *c = arg;
	bool leave, orphan, guarded;

	object_lock(object);
	leave = object->source != NULL && object->nsource == 0;
	orphan = object->orphan && object->ncopies > 0;
	guarded = object->guarded && object->ncopies == 0;
	object_unlock(object);
	if (leave)
		object_leave_source(object);
	if (orphan)
		tend_orphan(c, object);
	else if (guarded)
		lift(c, object);
	return may_work(c->core) ? 0 : 1;
}

/* Locked.  Wait for work; false: the pager ends. */
static bool
wait_work(struct collapse *c)
{
	struct core *core = c->core;
	uint64_t usec = c->again ? c->again_usec : ORPHAN_USEC;
	uint64_t at = now_usec() + usec;
	int rc = 0;

	while (!core->copies_work && !core->copies_stop && rc != ETIMEDOUT) {
		if (c->again || c->orphans)
			rc = cond_wait_until(&core->copies_called,
					     &core->copies_lock, at);
		else
			pthread_cond_wait(&core->copies_called,
					  &core->copies_lock);
	}
	core->copies_work = false;
	return !core->copies_stop;
}

static void *
collapse_main(void *arg)
{
	struct collapse *c = arg;
	struct core *core = c->core;

	pthread_mutex_lock(&core->copies_lock);
	while (wait_work(c)) {
		pthread_mutex_unlock(&core->copies_lock);
		c->again = c->orphans = c->carried = false;
		(void)objects_each(core, tend, c);
		c->again_usec = !c->again || c->carried ? AGAIN_USEC :
				min_u64(2 * c->again_usec, ORPHAN_USEC);
		pthread_mutex_lock(&core->copies_lock);
	}
	pthread_mutex_unlock(&core->copies_lock);
	pageio_buffer_free(c->buf, 1);
	free(c);
	return NULL;
}

int
copy_collapse_start(struct core *core, pthread_t *ret_thread)
{
	struct collapse *c = calloc(1, sizeof(*c));
	int rc = -ENOMEM;

	if (c == NULL)
		return rc;
	c->core = core;
	c->again_usec = AGAIN_USEC;
	c->buf = pageio_buffer(1);
	if (c->buf != NULL)
		rc = thread_start(ret_thread, collapse_main, c);
	if (rc < 0) {
		pageio_buffer_free(c->buf, 1);
		free(c);
	}
	return rc;
}

void
copy_collapse_stop(struct core *core, pthread_t thread)
{
	pthread_mutex_lock(&core->copies_lock);
	core->copies_stop = true;
	pthread_cond_signal(&core->copies_called);
	pthread_mutex_unlock(&core->copies_lock);
	pthread_join(thread, NULL);
}
