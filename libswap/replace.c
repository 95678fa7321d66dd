/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * S3-FIFO with what userfaultfd can tell.
 *
 * One search takes victims in this order, until it has enough:
 *
 *	1. cold pages, whatever their place elsewhere;
 *	2. the head of `small', down to a tenth of the pool's entries;
 *	3. the head of `main'.  Clean pages go: their copies stay in the cache
 *	   for a while, and from there they are back in main without I/O.
 *	   Dirty ones, which would cost a write, are armed (struct tracker)
 *	   and move on to `probed', which holds an eighth of main;
 *	4. the head of `probed', beyond that eighth;
 *	5. where all that gave nothing, what is left of the queues, in the same
 *	   order and without more ado;
 *	6. where blocks are missing for all of it, some pages that may turn out
 *	   to need none, since they are nothing but one repeated word.
 *
 * A page that was used since somebody looked (PAGE_REF) gets a second chance in
 * main, at most CHANCES in a search, so that a search ends.
 *
 *	V1  PAGE_QUEUED is set while a page has an entry in small, main or
 *	    probed, and it has one there at most.  Which, nobody needs to know.
 *	V2  An entry is a hint.  Its page may have gone, its object too, and its
 *	    slot may belong to another object: the page's state decides.  Where
 *	    the object has another pool by now the entry says nothing: there is
 *	    one in that pool.
 *	V3  Sampling is bounded by its cost, not by its number: each armed page
 *	    and each page that is found used is paid for from an account into
 *	    which a fiftieth of the time goes.  With an empty account dirty
 *	    pages of main go as they come.
 *
 * Costs: an entry is popped under a lock taken once for many; a look costs the
 * object's lock, once for neighbours in the queue that are of one object.
 */
#include "replace.h"

#include <errno.h>
#include <stdlib.h>

#include "util.h"

#define SCAN_MAX	65536u	/* entries of a queue that a search looks at */
#define POP_MAX		64u	/* under one lock */
#define CHANCES		1024u	/* second ones in a search */
#define QUEUE_SLACK	4096u	/* entries that may be of dead objects */
#define SMALL_PART	10u	/* of the entries: what small keeps */
#define PROBED_PART	8u	/* of main */
#define SAMPLE_PART	50u	/* of one CPU's time */
#define FILL_MAX	128u	/* pages that are looked at for want of blocks */
#define CREDIT_MAX	20000u	/* microseconds: a fiftieth of a second */

enum queue { COLD, SMALL, MAIN, PROBED };

/* A dirty page that is being armed. */
struct probe {
	struct swap_object *object;	/* held */
	uint64_t	page;
};

struct search {
	struct replace	*r;
	struct pool	*pool;
	struct victim	*victim;
	unsigned	 n, max;
	uint64_t	 room;		/* blocks for dirty pages */
	unsigned	 chances;
	unsigned	 probes;	/* that may be made */
	bool		 no_room;	/* what would need a block, too */
};

/* ------------------------------------------------------------------ tracking */

static int
writes_arm(struct region_set *set, uint64_t page, uint64_t n)
{
	return regions_protect(set, NULL, page, n);
}

static bool
writes_used(struct swap_object *object, uint64_t page)
{
	uint8_t *p = &object->page[page];
	bool used = (*p & PAGE_REF) != 0;

	*p &= (uint8_t)~PAGE_REF;
	return used;
}

const struct tracker replace_by_writes = {
	.arm = writes_arm,
	.used = writes_used,
	.arm_cost = 1,
	.used_cost = 10,
};

static void
earn(struct replace *r)
{
	uint64_t now = now_usec();

	r->credit_usec = min_u64(CREDIT_MAX, r->credit_usec +
				 (now - r->credit_at) / SAMPLE_PART);
	r->credit_at = now;
}

static void
pay(struct replace *r, uint64_t usec)
{
	r->credit_usec -= min_u64(usec, r->credit_usec);
}

static int
compare_probes(const void *a, const void *b)
{
	const struct probe *x = a, *y = b;

	if (x->object != y->object)
		return (uintptr_t)x->object < (uintptr_t)y->object ? -1 : 1;
	return x->page < y->page ? -1 : x->page > y->page;
}

static void
arm_run(struct replace *r, const struct probe *probe, unsigned n)
{
	struct swap_object *object = probe->object;
	struct region_set *set;

	object_lock(object);
	set = region_set_get(object);
	object_unlock(object);
	/* Where it fails the page is taken for one that is not used. */
	(void)r->tracker->arm(set, probe->page, n);
	region_set_put(set);
}

/* Arm what was collected, neighbours in one go. */
static void
arm_all(struct replace *r)
{
	unsigned len;

	qsort(r->probe, r->nprobes, sizeof(r->probe[0]), compare_probes);
	for (unsigned i = 0; i < r->nprobes; i += len) {
		const struct probe *p = &r->probe[i];

		for (len = 1; i + len < r->nprobes &&
		     p[len].object == p->object &&
		     p[len].page == p->page + len; len++)
			;
		arm_run(r, p, len);
		for (unsigned k = 0; k < len; k++)
			object_drop(p[k].object);
	}
	pay(r, (uint64_t)r->nprobes * r->tracker->arm_cost);
	r->nprobes = 0;
}

/* -------------------------------------------------------------------- looks */

static struct pageq *
queue_of(struct pool *pool, enum queue queue)
{
	switch (queue) {
	case COLD:
		return &pool->cold;
	case SMALL:
		return &pool->small;
	case MAIN:
		return &pool->main;
	case PROBED:
		break;
	}
	return &pool->probed;
}

/* Object locked; the page has no entry. */
static void
requeue(struct swap_object *object, uint64_t page, struct pageq *queue)
{
	if (pageq_push(queue, object->slot, page) == 0)
		object->page[page] |= PAGE_QUEUED;
}

/*
 * Object locked.  While maps cannot grow: has the page a place in its map?  So
 * a search does not own pages in vain, and finds those that can go.
 */
static bool
has_place(struct search *s, struct swap_object *object, uint64_t page)
{
	if (!atomic_load(&s->r->core->maps_full))
		return true;
	if (swapmap_prepare(object->map, page, 1) < 0) {
		s->r->nmaps_full++;
		return false;
	}
	swapmap_unprepare(object->map, page, 1);
	return true;
}

/* Object locked.  Could the page go, were it not needed? */
static bool
may_go(struct search *s, struct swap_object *object, uint64_t page, bool dirty)
{
	uint8_t p = object->page[page];

	if ((p & PAGE_BUSY) || object->wire[page] > 0)
		return false;
	if (!dirty)
		return true;
	return (s->no_room || ((s->room > 0 || (p & PAGE_RESERVED)) &&
			       object_block_room(object) > 0)) &&
	       has_place(s, object, page);
}

/* Object locked.  Own the page; false: it has no block, and may not get one. */
static bool
claim(struct search *s, struct swap_object *object, uint64_t page,
      uint64_t block)
{
	struct victim *victim = &s->victim[s->n];
	bool dirty = block == SPACE_NONE;

	if (!object_begin_leave(object, dirty && !s->no_room))
		return false;
	s->n++;
	object_busy(object, page, 1);
	victim->object = object_hold(object);
	victim->page = page;
	victim->block = block;
	victim->dirty = dirty;
	victim->reserved = (object->page[page] & PAGE_RESERVED) != 0;
	victim->no_room = dirty && s->no_room;
	s->room -= dirty && !victim->reserved && !victim->no_room;
	return true;
}

/* Object locked.  A page of main that a write would cost: is it in use? */
static bool
probe(struct search *s, struct swap_object *object, uint64_t page)
{
	struct replace *r = s->r;

	if (s->probes == 0 || r->nprobes == REPLACE_MAX ||
	    r->credit_usec < r->nprobes + r->tracker->used_cost)
		return false;
	s->probes--;
	r->probe[r->nprobes].object = object_hold(object);
	r->probe[r->nprobes++].page = page;
	requeue(object, page, &s->pool->probed);
	return true;
}

/* Object locked.  Was the page used?  Then it is in main again. */
static bool
give_chance(struct search *s, struct swap_object *object, uint64_t page,
	    enum queue queue)
{
	if (!s->r->tracker->used(object, page) || s->chances == 0)
		return false;
	s->chances--;
	if (queue == PROBED)
		pay(s->r, s->r->tracker->used_cost);
	requeue(object, page, &s->pool->main);
	return true;
}

/*
 * Object locked.  The block of a clean page; else SPACE_NONE.  Where its device
 * has gone the page in RAM is all there is, and counts as dirty from now on.
 */
static uint64_t
clean_block(struct swap_object *object, uint64_t page)
{
	uint64_t block;

	if (page_state(object, page) != PAGE_CLEAN)
		return SPACE_NONE;
	block = swapmap_get(object->map, page);
	if (block > SWAPMAP_BLOCK_MAX)
		return SPACE_NONE;
	if (page_is_busy(object, page) ||
	    !space_is_gone(&object->core->space, block))
		return block;
	object_free_blocks(object, page, 1);
	object_set_state(object, page, PAGE_DIRTY);
	return SPACE_NONE;
}

/* Object locked.  It may not go now, and is looked at again. */
static void
put_back(struct search *s, struct swap_object *object, uint64_t page,
	 enum queue queue)
{
	s->pool->hopeless += queue != COLD;
	requeue(object, page, queue == MAIN || queue == PROBED ?
		&s->pool->main : &s->pool->small);
}

/* Object locked.  What becomes of the page of an entry. */
static void
look(struct search *s, struct swap_object *object, uint64_t page,
     enum queue queue)
{
	uint64_t block;
	bool dirty;

	/* Its object has gone to another pool, and its entry with it. */
	if (object->pool != s->pool)
		return;
	if (queue != COLD)
		object->page[page] &= (uint8_t)~PAGE_QUEUED;
	/* An entry may be of another object that had this slot before. */
	if (object->dead || (object->flags & SWAP_OBJECT_NOSWAP) ||
	    !page_is_resident(object, page))
		return;
	block = clean_block(object, page);
	dirty = block == SPACE_NONE;
	/* A cold one that may not go has its entry elsewhere still. */
	if (queue == COLD && (object->page[page] & PAGE_QUEUED) &&
	    ((object->page[page] & PAGE_REF) ||
	     !may_go(s, object, page, dirty)))
		return;
	if (!may_go(s, object, page, dirty)) {
		put_back(s, object, page, queue);
		return;
	}
	if (give_chance(s, object, page, queue))
		return;
	if (queue == MAIN && dirty && probe(s, object, page))
		return;
	if (!claim(s, object, page, block) &&
	    !(object->page[page] & PAGE_QUEUED))
		put_back(s, object, page, queue);
}

/* Entries of one object, one behind the other. */
static void
look_at(struct search *s, const struct pageq_entry entry[], unsigned n,
	enum queue queue)
{
	struct swap_object *object = object_hold_slot(s->r->core,
						      entry[0].slot);

	if (object == NULL)
		return;
	object_lock(object);
	for (unsigned i = 0; i < n; i++)
		if (entry[i].page < object->npages)
			look(s, object, entry[i].page, queue);
	object_unlock(object);
	object_drop(object);
}

/* Look at up to @most entries of a queue, until there are enough victims. */
static void
search_queue(struct search *s, enum queue queue, uint64_t most)
{
	struct pageq_entry entry[POP_MAX];
	unsigned n, len;

	while (s->n < s->max && most > 0) {
		n = (unsigned)min_u64(min_u64(POP_MAX, most), s->max - s->n);
		n = pageq_pop_many(queue_of(s->pool, queue), entry, n);
		if (n == 0)
			break;
		most -= n;
		for (unsigned i = 0; i < n; i += len) {
			for (len = 1; i + len < n &&
			     entry[i + len].slot == entry[i].slot; len++)
				;
			look_at(s, entry + i, len, queue);
		}
	}
}

/* ------------------------------------------------------------------- search */

/* Pages whose queue entry could not be made, or was lost with its object. */
static int
enqueue_all(struct swap_object *object, void *arg)
{
	object_lock(object);
	for (uint64_t page = 0;
	     object->pool == arg && page < object->npages; page++)
		if (page_is_resident(object, page))
			object_enqueue(object, page);
	object_unlock(object);
	return 0;
}

static uint64_t
scan(struct pool *pool, enum queue queue)
{
	return min_u64(pageq_count(queue_of(pool, queue)), SCAN_MAX);
}

/* Steps 3 and 4. */
static void
search_main(struct search *s)
{
	uint64_t probed = pageq_count(&s->pool->probed);
	uint64_t keep = (pageq_count(&s->pool->main) + probed) / PROBED_PART;
	uint64_t want = s->max - s->n;

	s->probes = (unsigned)min_u64(REPLACE_MAX, keep + want -
				      min_u64(probed, keep + want));
	search_queue(s, MAIN, min_u64(scan(s->pool, MAIN), 4 * REPLACE_MAX));
	s->probes = 0;
	arm_all(s->r);
	probed = pageq_count(&s->pool->probed);
	if (probed > keep)
		search_queue(s, PROBED, min_u64(probed - keep, SCAN_MAX));
}

/* Step 6.  Each time others, since those that stay go to the end. */
static void
search_for_fill(struct search *s)
{
	s->no_room = true;
	s->max = (unsigned)min_u64(s->max, FILL_MAX);
	for (enum queue q = SMALL; s->n < s->max && q <= PROBED; q++)
		search_queue(s, q, scan(s->pool, q));
}

unsigned
replace_collect(struct replace *r, struct pool *pool, struct victim victim[],
		unsigned max)
{
	struct search s = {
		.r = r, .pool = pool, .victim = victim,
		.max = (unsigned)min_u64(max, REPLACE_MAX),
		.room = space_room(&r->core->space), .chances = CHANCES,
	};
	uint64_t total = pool_queued(pool), small;

	if (pool->lap != r->lap)
		pool->hopeless = 0;
	pool->lap = r->lap;
	if (total == 0 && atomic_load(&pool->resident) > 0)
		objects_each(r->core, enqueue_all, pool);
	earn(r);
	search_queue(&s, COLD, SCAN_MAX);
	small = pageq_count(&pool->small);
	if (small > total / SMALL_PART)
		search_queue(&s, SMALL,
			     min_u64(small - total / SMALL_PART, SCAN_MAX));
	if (s.n < s.max)
		search_main(&s);
	for (enum queue q = SMALL; s.n == 0 && q <= PROBED; q++)
		search_queue(&s, q, scan(pool, q));
	if (s.n == 0 && replace_is_hopeless(r, pool))
		search_for_fill(&s);
	return s.n;
}

bool
replace_is_hopeless(const struct replace *r, struct pool *pool)
{
	uint64_t hopeless = pool->lap == r->lap ? pool->hopeless : 0;

	return hopeless >= pool_queued(pool);
}

void
replace_has_gone(struct replace *r)
{
	r->lap++;
}

/* ------------------------------------------------------------- housekeeping */

/* Forget an entry. */
static void
forget(struct core *core, const struct pool *pool,
       const struct pageq_entry *entry)
{
	struct swap_object *object = object_hold_slot(core, entry->slot);

	if (object == NULL)
		return;
	object_lock(object);
	if (entry->page < object->npages && object->pool == pool)
		object->page[entry->page] &= (uint8_t)~PAGE_QUEUED;
	object_unlock(object);
	object_drop(object);
}

void
replace_prune(struct replace *r, struct pool *pool)
{
	struct pageq_entry entry;

	if (pool_queued(pool) <=
	    2 * atomic_load(&r->core->budget.used) + QUEUE_SLACK)
		return;
	for (enum queue q = SMALL; q <= PROBED; q++)
		for (size_t n = pageq_count(queue_of(pool, q)); n > 0 &&
		     pageq_pop_many(queue_of(pool, q), &entry, 1) == 1; n--)
			forget(r->core, pool, &entry);
	objects_each(r->core, enqueue_all, pool);
}

int
replace_init(struct replace *r, struct core *core)
{
	*r = (struct replace){
		.core = core,
		.tracker = &replace_by_writes,
		.credit_usec = CREDIT_MAX,
		.credit_at = now_usec(),
	};
	r->probe = calloc(REPLACE_MAX, sizeof(*r->probe));
	return r->probe != NULL ? 0 : -ENOMEM;
}

void
replace_fini(struct replace *r)
{
	free(r->probe);
}
