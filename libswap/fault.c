/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Faults: what a page needs.
 *
 * A few threads (fault-pool.c) read the userfaultfds of all regions and bring
 * each faulting page into the state that its access needs.  What a message says
 * (missing, write-protect) is only a hint, since it may be old by the time it is
 * read: the page's state under the object's lock decides.  What is in its block
 * comes in by fault-in.c, the rest is here.
 *
 *	F1  A fault thread never waits for page-out: a busy page is marked
 *	    wanted, and who owns it wakes the faulting thread when done.
 *	F2  When no page of RAM is free, or none within the limit of the object's
 *	    pool, the fault is left unanswered, its region is marked starved,
 *	    and page-out wakes the region as soon as it has freed something
 *	    that helps: the threads fault again.  So no queue of
 *	    faults is kept, and nothing grows with their number.
 *	F3  A page goes in clean only after it was write-protected in all other
 *	    regions; if that fails it goes in dirty.
 *	F4  Every message that is read ends in exactly one of these: the page
 *	    is put in, poisoned, unprotected, marked wanted or its region
 *	    marked starved or stilled, or the thread is woken to fault again.
 *	    So where the kernel refuses a page nobody sleeps for ever.
 *	F5  A page is owned while its region gets the mark that gives SIGBUS.
 *	    Otherwise somebody could release it before, and never use it again.
 *	F6  A fault thread may own many pages whose reads are in flight, and
 *	    does not wait for a page that another one owns while it does: a copy
 *	    asks its source, and a source lets its copies have a page, only when
 *	    nothing is in flight.
 *	F7  Pages are put in, and protection is lifted, without waking anybody.
 *	    The faulting thread is woken as the last act, when all that was
 *	    owned has been let go of (fault-pool.c says why).
 *
 * A fault thread waits for one thing only: reads, its own, and for a copy, or the
 * source of one, those of whoever is busy with that page of the other, who waits
 * for I/O alone; and for copies that are being made, which takes an ioctl or
 * some (copy.c).
 *
 * New pages.  Where first touches go on page by page, some more pages of zeros
 * are put in at once: a fault costs ten times what a page does.  They are taken
 * from the budget like read-ahead, never the last free ones, and cost no I/O
 * when they go out untouched.
 */
#include "fault-impl.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "copy.h"
#include "pageback.h"
#include "pageio.h"
#include "util.h"

#define REFUSED_USEC	1000	/* before a page that the kernel refused */
#define ZEROS_MAX	64u	/* new pages at once */

/* ------------------------------------------------------------- starvation */

/*
 * Let go of busy pages.  Object locked; unlocks, and wakes who wanted them.  In
 * the faulting region that comes last, with the rest (F7).
 */
void
fault_let_go(struct fault *f, const struct piece *piece, unsigned n)
{
	struct region_set *set = NULL;
	uint64_t wanted = 0;

	for (unsigned i = 0; i < n; i++)
		if (object_unbusy(f->object, piece[i].page, piece[i].n))
			wanted |= UINT64_C(1) << i;
	if (wanted != 0)
		set = region_set_get(f->object);
	object_unlock(f->object);
	for (unsigned k = 0; set != NULL && k < set->n; k++)
		for (uint64_t w = wanted; w != 0; w &= w - 1) {
			const struct piece *p = &piece[__builtin_ctzll(w)];

			if (set->region[k] == f->region)
				fault_wake(f->t, f->region, p->page, p->n, 0,
					   NULL);
			else
				region_wake(set->region[k], p->page, p->n);
		}
	region_set_put(set);
}

static void
let_go_one(struct fault *f)
{
	struct piece one = { .page = f->page, .n = 1 };

	fault_let_go(f, &one, 1);
}

/* The faulting thread goes on. */
static void
wake(struct fault *f, struct latency *latency)
{
	fault_wake(f->t, f->region, f->page, 1, f->since, latency);
}

/* A lost page that nobody owns.  Object locked; unlocks.  See F5. */
static void
give_bus(struct fault *f)
{
	object_busy(f->object, f->page, 1);
	object_unlock(f->object);
	region_poison(f->region, f->page);
	object_lock(f->object);
	let_go_one(f);
}

/* No page is free for an object.  That is locked; unlocks. */
static void
starve_for(struct fault *f, struct swap_object *object)
{
	struct swap_region *region = f->region;
	struct core *core = f->core;
	bool limited = object_ram_room(object) == 0;
	bool tired = limited && pool_is_tired(object->pool);

	object_unlock(object);
	count(&core->counters.faults_starved, 1);
	count(&core->counters.limit_waits, limited);
	if (!atomic_exchange(&region->starved, true))
		atomic_fetch_add(&core->budget.starving, 1);
	/*
	 * No kick: page-out that has just found nothing would find nothing.
	 * Of a pool that is known for itself.
	 */
	if (!limited)
		budget_need(&core->budget);
	else if (!tired)
		budget_kick(&core->budget);
}

/* The same for the faulting one. */
void
fault_starve(struct fault *f)
{
	starve_for(f, f->object);
}

/* Can page-out write nothing, for want of blocks or of memory for maps? */
bool
fault_is_full(struct core *core)
{
	return space_is_full(&core->space) || atomic_load(&core->maps_full);
}

/* Object locked.  As configured: does a new page of it fail instead of wait? */
static bool
must_fail(const struct swap_object *object)
{
	struct core *core = object->core;

	if (!(core->flags & SWAP_PAGER_FULL_FAILS))
		return false;
	return (atomic_load(&core->stuck) && fault_is_full(core)) ||
	       (object_is_limited(object) && pool_is_stuck(object->pool));
}

/* The same for a page that is not on any device, and so is new to us. */
void
fault_starve_new(struct fault *f)
{
	struct core *core = f->core;

	if (!must_fail(f->object)) {
		fault_starve(f);
		return;
	}
	count(&core->counters.faults_starved, 1);
	object_free_blocks(f->object, f->page, 1);
	object_poison(f->object, f->page);
	give_bus(f);
}

/*
 * The kernel did not do what the fault needs.  Where the process is short of
 * memory that may pass, and where the page has been unmapped the thread gets
 * its SIGSEGV: let it fault again.
 */
void
fault_again(struct fault *f, int rc)
{
	if (rc == -ESRCH)
		return;
	if (rc != -ENOENT) {
		log_limited(&f->core->log, &f->core->limit_refused,
			    SWAP_LOG_WARNING, "object %" PRIu64 ": page %"
			    PRIu64 " cannot be given to its program: %s; "
			    "tried again", f->object->id, f->page,
			    strerror(-rc));
		fault_crowd(f->t);
		usleep(REFUSED_USEC);
	}
	region_wake(f->region, f->page, 1);
}

static bool
has_room(struct swap_object *object)
{
	bool room;

	object_lock(object);
	room = object_ram_room(object) > 0;
	object_unlock(object);
	return room;
}

static void
wake_all_starved(struct swap_region *region, void *arg)
{
	struct core *core = arg;

	if (!atomic_exchange(&region->starved, false))
		return;
	atomic_fetch_sub(&core->budget.starving, 1);
	region_wake(region, region->first_page, region->npages);
}

static void
wake_starved(struct swap_region *region, void *arg)
{
	if (atomic_load(&region->starved) && has_room(region->object))
		wake_all_starved(region, arg);
}

void
fault_wake_starved(struct core *core, struct region_table *regions, bool all)
{
	if (atomic_load(&core->budget.starving) > 0)
		regions_each(regions, all ? wake_all_starved : wake_starved,
			     core);
}

/* ----------------------------------------------------------- filling in */

/*
 * Somebody put a page where the map says that there is none: a mapping that
 * is not watched.  Our block is the truth; write it over whatever that was.
 */
static int
overwrite(struct fault *f, uint64_t page, const void *buf, bool clean)
{
	int rc;

	log_limited(&f->core->log, &f->core->limit_foreign, SWAP_LOG_WARNING,
		    "object %" PRIu64 ": page %" PRIu64 " was touched through "
		    "a mapping that is not watched; restored from its block",
		    f->object->id, page);
	rc = clean ? region_protect(f->region, page, 1) : 0;
	if (rc == 0)
		rc = pwrite_full(f->object->memfd, buf, page_bytes(),
				 (off_t)(page << page_shift()));
	region_wake(f->region, page, 1);
	return rc;
}

/* Put @n pages in through the faulting region; *ret_n is how many are in. */
int
fault_fill(struct fault *f, uint64_t page, uint64_t n, const void *buf,
	   bool clean, uint64_t *ret_n)
{
	uint64_t filled = 0;
	int rc = 0;

	while (filled < n) {
		const char *at = (const char *)buf + (filled << page_shift());
		uint64_t done;

		rc = region_copy(f->region, page + filled, n - filled, at,
				 clean, &done);
		filled += done;
		if (rc == 0)
			break;
		at += done << page_shift();
		if (rc == -EEXIST)
			rc = overwrite(f, page + filled, at, clean);
		if (rc < 0)
			break;
		filled++;
	}
	*ret_n = filled;
	return rc;
}

/* -------------------------------------------------------------- new pages */

/*
 * Pages around the faulting one that are as new, in its stream's direction:
 * how many with it, *ret_first the lowest.
 */
static uint64_t
new_pages(const struct fault *f, const struct ra_plan *plan,
	  uint64_t *ret_first)
{
	enum page_state state = page_state(f->object, f->page);
	uint64_t first = f->page, n = 1;

	while (n < plan->now && (plan->step == 1 || plan->step == -1)) {
		uint64_t next = plan->step > 0 ? f->page + n : first - 1;

		if (!region_has(f->region, next) ||
		    page_is_busy(f->object, next) ||
		    page_state(f->object, next) != state)
			break;
		first = plan->step > 0 ? first : next;
		n++;
	}
	*ret_first = first;
	return n;
}

/*
 * Put new pages in, the faulting one at all events; *in says which.  Returns
 * what kept that one out.
 */
static int
put_zeros(struct fault *f, uint64_t first, uint64_t n, uint64_t *ret_in)
{
	uint64_t at = f->page - first, done, in;
	int rc = region_zero(f->region, first, n, &done);

	in = done == 64 ? UINT64_MAX : (UINT64_C(1) << done) - 1;
	if (!(in >> at & 1)) {
		/* Others may be of another vma, which refuses the whole. */
		if (n > 1)
			rc = region_zero(f->region, f->page, 1, &done);
		/* Who filled a page that had no contents has given it some. */
		if (rc == 0 || rc == -EEXIST)
			in |= UINT64_C(1) << at;
	}
	*ret_in = in;
	return in >> at & 1 ? 0 : rc;
}

static void
fault_zero(struct fault *f)
{
	struct swap_object *object = f->object;
	struct core *core = f->core;
	struct ra_plan plan;
	struct piece piece;
	uint64_t n;
	int rc;

	ra_fault(&f->region->readahead, f->page,
		 fault_window(object, ZEROS_MAX), &plan);
	if (object->exact)
		plan.now = 1;
	n = new_pages(f, &plan, &piece.page);
	if (n > 1 && (copy_is_needed(object, piece.page, n) ||
		      !object_take_ram(object, n))) {
		piece.page = f->page;
		n = 1;
	}
	if (n == 1 && !object_take_ram(object, 1)) {
		fault_starve_new(f);
		return;
	}
	piece.n = (uint32_t)n;
	object_busy(object, piece.page, n);
	object_open(object);
	object_unlock(object);
	rc = put_zeros(f, piece.page, n, &piece.in);
	object_lock(object);
	for (uint64_t i = 0; i < n; i++) {
		if (!(piece.in >> i & 1))
			continue;
		object_set_state(object, piece.page + i, PAGE_DIRTY);
		object_enqueue(object, piece.page + i);
	}
	object_close(object);
	object_give_ram(object,
			n - (uint64_t)__builtin_popcountll(piece.in));
	count(&core->counters.faults_zero, rc == 0);
	fault_let_go(f, &piece, 1);
	if (rc < 0)
		fault_again(f, rc);
	else
		wake(f, &core->fault_zero_time);
}

/* ----------------------------------------------------------------- copies */

/*
 * Pages from the faulting one on that can be taken from the source with it: how
 * many.  Object locked.
 */
static uint64_t
source_pages(struct fault *f)
{
	struct swap_object *object = f->object;
	struct ra_plan plan;
	uint64_t n = 1;

	if (f->t->copied == NULL)
		f->t->copied = pageio_buffer(COPY_PAGES_MAX);
	if (f->t->copied == NULL)
		return 1;
	ra_fault(&f->region->readahead, f->page,
		 fault_window(object, COPY_PAGES_MAX), &plan);
	while (plan.step == 1 && n < plan.now &&
	       region_has(f->region, f->page + n) &&
	       !page_is_busy(object, f->page + n) &&
	       page_state(object, f->page + n) == PAGE_SOURCE)
		n++;
	return n;
}

/*
 * Put what was fetched in; protected where copies of this copy depend on it.
 * Object locked and open, unlocked meanwhile.  What kept the first one out.
 */
static int
fill_copy(struct fault *f, const void *buf, uint64_t n, uint64_t *ret_in)
{
	struct swap_object *object = f->object;
	bool guard = copy_is_needed(object, f->page, n);
	struct region_set *set = guard ? region_set_get(object) : NULL;
	int rc;

	object_unlock(object);
	rc = regions_protect(set, f->region, f->page, n);
	region_set_put(set);
	if (rc == 0) {
		rc = fault_fill(f, f->page, n, buf, guard, ret_in);
		/* Others may be of another vma, which refuses the whole. */
		if (rc < 0 && *ret_in == 0 && n > 1)
			rc = fault_fill(f, f->page, 1, buf, guard, ret_in);
	}
	object_lock(object);
	return *ret_in > 0 ? 0 : rc;
}

/* The first of the pages cannot be had: F5.  Object locked. */
static void
lose_copy(struct fault *f)
{
	if (f->object->dead)
		return;
	object_poison(f->object, f->page);
	object_unlock(f->object);
	region_poison(f->region, f->page);
	object_lock(f->object);
}

/* Pages of a copy that has not taken them from its source yet.  See F6. */
static void
fault_copy(struct fault *f)
{
	struct swap_object *object = f->object;
	struct piece piece = { .page = f->page };
	uint64_t n = source_pages(f), got, in = 0;
	char *buf = n > 1 ? f->t->copied : f->t->spare;
	int lost, rc = 0;

	if (n > 1 && !object_take_ram(object, n))
		n = 1;
	if (n == 1 && !object_take_ram(object, 1)) {
		fault_starve_new(f);
		return;
	}
	if (!copy_is_near(object, f->page))
		fault_crowd(f->t);
	piece.n = (uint32_t)n;
	object_busy(object, f->page, n);
	lost = copy_fetch(object, f->page, n, buf, &got);
	if (lost >= 0) {
		object_open(object);
		rc = fill_copy(f, buf, got, &in);
		for (uint64_t i = f->page; i < f->page + in; i++) {
			object_set_state(object, i, PAGE_DIRTY);
			object_enqueue(object, i);
		}
		object_close(object);
	} else {
		lose_copy(f);
	}
	object_give_ram(object, n - in);
	fault_let_go(f, &piece, 1);
	if (rc < 0)
		fault_again(f, rc);
	else if (lost >= 0)
		wake(f, NULL);
}

/* Object locked.  Is the fault one that changes what the page has? */
static bool
changes_page(const struct fault *f)
{
	enum page_state state = page_state(f->object, f->page);

	return state == PAGE_EMPTY ||
	       (f->protect && page_is_resident(f->object, f->page));
}

/* Object locked.  Does the fault have to wait?  See copy_still(). */
static bool
is_stilled(const struct fault *f)
{
	return swap_unlikely(f->object->still > 0) && changes_page(f) &&
	       !page_is_busy(f->object, f->page);
}

/* Left unanswered.  Object locked; unlocks. */
static void
wait_still(struct fault *f)
{
	atomic_store(&f->region->stilled, true);
	object_unlock(f->object);
}

/*
 * A copy, held, needs the page before it is changed.  0; 1: no RAM, and the
 * fault is answered; else what kept the copy from taking it.
 */
static int
push_to(struct fault *f, struct swap_object *copy)
{
	bool taken;
	int rc;

	object_lock(copy);
	if (page_is_busy(copy, f->page))
		fault_crowd(f->t);
	taken = object_take_ram(copy, 1);
	if (!taken && !must_fail(copy)) {
		starve_for(f, copy);
		return 1;
	}
	object_unlock(copy);
	if (!taken) {
		/* Who shares loses, not who writes. */
		copy_lose(copy, f->page, f->t->spare);
		return 0;
	}
	rc = copy_take(copy, f->page, f->t->spare);
	if (rc <= 0)
		pageback_give_ram(copy, 1);
	count(&f->core->counters.copy_pushed_pages, rc > 0);
	return rc < 0 ? rc : 0;
}

/*
 * C1 of copy.c: copies that depend on the page take it first.  Object locked.
 * True: none does any more, and it is locked still; false: the fault has been
 * answered, and it is not.
 */
static bool
settle_copies(struct fault *f)
{
	struct swap_object *object = f->object, *copy;
	uint64_t page;
	int rc;

	while (!page_is_busy(object, f->page) && changes_page(f) &&
	       (copy = copy_dependent(object, f->page, 1, &page)) != NULL) {
		object_unlock(object);
		/* The page is in RAM, or nowhere: that takes no time. */
		fault_drain(f->t);
		rc = push_to(f, copy);
		object_drop(copy);
		if (rc != 0) {
			if (rc < 0)
				fault_again(f, rc);
			return false;
		}
		object_lock(object);
		object_wait_forks(object);
	}
	return true;
}

/* --------------------------------------------------------- resident pages */

/* The first write to a clean page, or one through another region. */
static void
fault_write(struct fault *f)
{
	struct swap_object *object = f->object;
	int rc;

	/*
	 * The block goes first (FreeBSD swap_pager_unswapped): from here on
	 * the page counts as dirty, whether or not lifting the protection
	 * works, so that a successor that reads the map is right too.
	 */
	object_busy(object, f->page, 1);
	object_free_blocks(object, f->page, 1);
	object_set_state(object, f->page, PAGE_DIRTY);
	object->page[f->page] |= PAGE_REF;
	object_open(object);
	object_unlock(object);
	rc = region_unprotect(f->region, f->page, 1);
	object_lock(object);
	object_close(object);
	let_go_one(f);
	count(&f->core->counters.faults_write, 1);
	if (rc < 0)
		fault_again(f, rc);
	else
		wake(f, &f->core->fault_write_time);
}

/*
 * A missing fault on a page that should be there.  Nearly always the message
 * is old and the page came in meanwhile.  If there really is none, then the
 * program took it out itself (MADV_REMOVE, or a punch through its own
 * descriptor): a clean page still has its block, a dirty one reads as zeros,
 * which is what the program asked for.
 */
static void
fault_vanished(struct fault *f)
{
	struct swap_object *object = f->object;
	bool there;

	object_busy(object, f->page, 1);
	object_unlock(object);
	there = object_has_memory(object, f->page);
	object_lock(object);
	if (!there) {
		bool clean = page_state(object, f->page) == PAGE_CLEAN;

		object_set_state(object, f->page,
				 clean ? PAGE_SWAPPED : PAGE_EMPTY);
		object_give_ram(object, 1);
	}
	let_go_one(f);
	if (!there)
		log_limited(&f->core->log, &f->core->limit_foreign,
			    SWAP_LOG_WARNING, "object %" PRIu64 ": page %"
			    PRIu64 " was taken out by the program itself",
			    object->id, f->page);
	wake(f, NULL);
}

/* -------------------------------------------------------------- dispatch */

/* Object locked.  Would the fault have to ask another object? */
static bool
asks_source(const struct fault *f)
{
	return swap_unlikely(f->object->nsource > 0) &&
	       !page_is_busy(f->object, f->page) &&
	       page_state(f->object, f->page) == PAGE_SOURCE;
}

/* Object locked.  Wait until no copy of it is being made. */
static void
wait_forks(struct fault *f)
{
	if (swap_likely(f->object->forking == 0))
		return;
	fault_crowd(f->t);
	object_wait_forks(f->object);
}

/*
 * Object locked, unlocked meanwhile.  Then no copy of it is being made, and
 * where another object will be asked nothing is in flight (F6).
 */
static void
make_ready(struct fault *f)
{
	struct swap_object *object = f->object;

	wait_forks(f);
	/* By the time that it is locked again it may be another case. */
	while (asks_source(f) && atomic_load_explicit(&f->t->inflight,
						      memory_order_relaxed)) {
		object_unlock(object);
		fault_drain(f->t);
		object_lock(object);
		wait_forks(f);
	}
}

/* Somebody owns the page.  Object locked; unlocks. */
static void
fault_busy(struct fault *f)
{
	struct swap_object *object = f->object;

	object->page[f->page] |= PAGE_WANTED;
	count(&f->core->counters.faults_busy, 1);
	/* It may be on its way in: then what comes behind it should be, too. */
	if (page_state(object, f->page) == PAGE_SWAPPED)
		fault_in_ahead(f);
	else
		object_unlock(object);
}

void
fault_handle(struct fault *f)
{
	struct swap_object *object = f->object;

	count(&f->core->counters.faults, 1);
	fault_ready(f->t);
	object_lock(object);
	make_ready(f);
	/* From here to where the object is opened it stays locked. */
	if (swap_unlikely(object->copies != NULL) && !is_stilled(f) &&
	    !settle_copies(f))
		return;
	if (is_stilled(f)) {
		wait_still(f);
		return;
	}
	if (page_is_busy(object, f->page)) {
		fault_busy(f);
		return;
	}
	switch (page_state(object, f->page)) {
	case PAGE_EMPTY:
		fault_zero(f);
		break;
	case PAGE_SOURCE:
		fault_copy(f);
		break;
	case PAGE_SWAPPED:
		fault_in(f);
		break;
	case PAGE_CLEAN:
	case PAGE_DIRTY:
		if (f->protect)
			fault_write(f);
		else
			fault_vanished(f);
		break;
	case PAGE_POISON:
		give_bus(f);
		break;
	}
}
