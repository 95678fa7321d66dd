/* SPDX-License-Identifier: BSD-2-Clause */
/* See replace-sim.h. */
#include "replace-sim.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "pool.h"
#include "replace.h"
#include "util.h"

#define BATCH		32u
#define BLOCK		1000u		/* of page 0 */

static void *
must(void *p)
{
	if (p == NULL)
		abort();
	return p;
}

/* -------------------------------------------------------------------- ours */

struct sim {
	struct core	 core;
	struct replace	 replace;
	struct swap_object *object;
	uint64_t	 limit;		/* resident pages */
	uint64_t	 written;
};

/* Protected to be watched; one simulation at a time. */
static uint8_t *watched;
static uint64_t narmed;

static int
sim_arm(struct region_set *set, uint64_t page, uint64_t n)
{
	(void)set;
	memset(watched + page, 1, n);
	narmed += n;
	return 0;
}

static bool
sim_used(struct swap_object *object, uint64_t page)
{
	return replace_by_writes.used(object, page);
}

/* Costs nothing, so that a run does not depend on the time it takes. */
static const struct tracker sim_tracker = {
	.arm = sim_arm,
	.used = sim_used,
};

static void
core_make(struct core *core, uint64_t ram)
{
	core->state_dirfd = -1;
	if (space_init(&core->space, &core->log, -1) < 0 ||
	    cache_init(&core->cache, NULL) < 0 ||
	    cache_resize(&core->cache, cache_size_for(ram)) < 0 ||
	    ghost_init(&core->ghost) < 0 ||
	    object_table_init(&core->table) < 0)
		abort();
	/* There are no devices, but blocks are plenty. */
	core->space.full = false;
	atomic_init(&core->map_kind, SWAPMAP_AUTO);
	ghost_set_span(&core->ghost, ram);
	budget_init(&core->budget, ram, 1);
	charge_init(&core->charge, &core->log);
	pool_init(&core->pool);
	pools_init(&core->pools);
}

struct sim *
sim_new(uint64_t npages, uint64_t ram)
{
	struct sim *sim = must(calloc(1, sizeof(*sim)));
	struct object_spec spec = { .npages = npages };

	core_make(&sim->core, ram);
	sim->limit = ram - cache_size(&sim->core.cache);
	if (object_create(&sim->core, &spec, &sim->object, NULL) < 0 ||
	    replace_init(&sim->replace, &sim->core) < 0)
		abort();
	sim->replace.tracker = &sim_tracker;
	watched = must(calloc(1, npages));
	narmed = 0;
	return sim;
}

static void
nothing(void *arg, uint64_t block, uint64_t n)
{
	(void)arg;
	(void)block;
	(void)n;
}

static void
let_go(struct swap_object *object, uint64_t page)
{
	if (object_unbusy(object, page, 1))
		abort();
}

void
sim_free(struct sim *sim)
{
	struct swap_object *object = sim->object;
	struct core *core = &sim->core;

	/* The blocks are of no device. */
	object_lock(object);
	swapmap_clear(object->map, 0, object->npages, nothing, NULL);
	object->nblocks = 0;
	object->nram = object->nresident;
	object_unlock(object);
	budget_force(&core->budget, object->nresident);
	object_unref(object);
	replace_fini(&sim->replace);
	object_table_fini(&core->table);
	space_fini(&core->space);
	pools_fini(&core->pools);
	pool_fini(&core->pool);
	ghost_fini(&core->ghost);
	cache_fini(&core->cache);
	budget_fini(&core->budget);
	charge_fini(&core->charge);
	free(watched);
	free(sim);
}

static void
set_block(struct sim *sim, uint64_t page, uint64_t block)
{
	uint64_t old;

	if (swapmap_set(sim->object->map, page, block, &old) < 0)
		abort();
}

static void
evict_one(struct sim *sim, const struct victim *v)
{
	struct swap_object *object = sim->object;
	uint64_t block = BLOCK + v->page;
	uint32_t n;
	char *mem;

	object_lock(object);
	if (v->dirty)
		set_block(sim, v->page, block);
	sim->written += v->dirty;
	object_set_state(object, v->page, PAGE_SWAPPED);
	ghost_add(&sim->core.ghost, block);
	mem = cache_take(&sim->core.cache, 1, &n);
	cache_keep(&sim->core.cache, must(mem), 1, block, CACHE_OUT);
	object_end_leave(object, 1, v->dirty);
	let_go(object, v->page);
	object_unlock(object);
	object_drop(object);
}

static void
make_room(struct sim *sim)
{
	struct victim victim[BATCH];
	unsigned n;

	while (sim->object->nresident >= sim->limit) {
		n = replace_collect(&sim->replace, &sim->core.pool, victim,
				    BATCH);
		if (n > 0)
			replace_has_gone(&sim->replace);
		for (unsigned i = 0; i < n; i++)
			evict_one(sim, &victim[i]);
	}
}

/* The page is not there. */
static enum sim_result
miss(struct sim *sim, uint64_t page, bool write)
{
	struct swap_object *object = sim->object;
	enum sim_result result = SIM_MISS;
	uint64_t block = BLOCK + page;
	bool soon = false;
	enum cache_why why;
	uint32_t n;
	char *mem;

	make_room(sim);
	object_lock(object);
	if (page_state(object, page) == PAGE_SWAPPED) {
		soon = ghost_has(&sim->core.ghost, block);
		mem = cache_find(&sim->core.cache, block, 1, &n, &why);
		if (mem != NULL) {
			cache_give(&sim->core.cache, mem, 1);
			result = SIM_CACHED;
		}
	}
	if (page_state(object, page) != PAGE_SWAPPED || write) {
		set_block(sim, page, SWAPMAP_NONE);
		object_set_state(object, page, PAGE_DIRTY);
	} else {
		object_set_state(object, page, PAGE_CLEAN);
	}
	if (soon)
		object_enqueue_main(object, page);
	else
		object_enqueue(object, page);
	watched[page] = 0;
	object_unlock(object);
	return result;
}

enum sim_result
sim_access(struct sim *sim, uint64_t page, bool write)
{
	struct swap_object *object = sim->object;

	if (!page_is_resident(object, page))
		return miss(sim, page, write);
	if (!write)
		return SIM_HIT;
	if (page_state(object, page) == PAGE_CLEAN) {
		set_block(sim, page, SWAPMAP_NONE);
		object_set_state(object, page, PAGE_DIRTY);
		object->page[page] |= PAGE_REF;
	} else if (watched[page]) {
		object->page[page] |= PAGE_REF;
	}
	watched[page] = 0;
	return SIM_HIT;
}

uint64_t
sim_written(const struct sim *sim)
{
	return sim->written;
}

uint64_t
sim_armed(const struct sim *sim)
{
	(void)sim;
	return narmed;
}

/* ------------------------------------------------------------------- peers */

#define NONE	UINT64_MAX

/* A list of the pages that are in, the next to go first. */
struct peer {
	bool		 lru;
	uint64_t	 n, ram, head, tail;
	uint64_t	*next, *prev;
	uint8_t		*in;
};

struct peer *
peer_new(uint64_t npages, uint64_t ram, bool lru)
{
	struct peer *p = must(calloc(1, sizeof(*p)));

	p->lru = lru;
	p->ram = ram;
	p->head = p->tail = NONE;
	p->next = must(calloc(npages, sizeof(*p->next)));
	p->prev = must(calloc(npages, sizeof(*p->prev)));
	p->in = must(calloc(npages, 1));
	return p;
}

void
peer_free(struct peer *peer)
{
	free(peer->next);
	free(peer->prev);
	free(peer->in);
	free(peer);
}

static void
unlink_page(struct peer *p, uint64_t page)
{
	if (p->prev[page] != NONE)
		p->next[p->prev[page]] = p->next[page];
	else
		p->head = p->next[page];
	if (p->next[page] != NONE)
		p->prev[p->next[page]] = p->prev[page];
	else
		p->tail = p->prev[page];
	p->in[page] = 0;
	p->n--;
}

bool
peer_access(struct peer *p, uint64_t page)
{
	bool hit = p->in[page] != 0;

	if (hit && !p->lru)
		return true;
	if (hit)
		unlink_page(p, page);
	else if (p->n >= p->ram)
		unlink_page(p, p->head);
	p->prev[page] = p->tail;
	p->next[page] = NONE;
	if (p->tail != NONE)
		p->next[p->tail] = page;
	else
		p->head = page;
	p->tail = page;
	p->in[page] = 1;
	p->n++;
	return hit;
}

/* ------------------------------------------------------------------ traces */

const char *const trace_name[NTRACES] = {
	[TRACE_SCAN] = "scan over a hot set",
	[TRACE_ZIPF] = "zipf 0.99",
	[TRACE_LOOP] = "loop",
	[TRACE_UNIFORM] = "uniform",
	[TRACE_SHIFT] = "hot set that moves",
};

static uint64_t
below(uint64_t *seed, uint64_t n)
{
	*seed = *seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return (*seed >> 24) % n;
}

void
tracer_init(struct tracer *t, enum trace trace, uint64_t npages, uint64_t ram,
	    uint64_t length)
{
	double sum = 0;

	*t = (struct tracer){
		.trace = trace, .npages = npages, .ram = ram,
		.length = length, .seed = 12345,
	};
	if (trace != TRACE_ZIPF)
		return;
	t->cdf = must(calloc(npages, sizeof(*t->cdf)));
	for (uint64_t i = 0; i < npages; i++)
		t->cdf[i] = sum += 1 / pow((double)(i + 1), 0.99);
	for (uint64_t i = 0; i < npages; i++)
		t->cdf[i] /= sum;
}

void
tracer_fini(struct tracer *t)
{
	free(t->cdf);
}

/* Popular pages lie apart. */
static uint64_t
zipf(struct tracer *t)
{
	double u = (double)below(&t->seed, UINT64_C(1) << 32) / 4294967296.0;
	uint64_t lo = 0, hi = t->npages - 1;

	while (lo < hi) {
		uint64_t mid = (lo + hi) / 2;

		if (t->cdf[mid] < u)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo * UINT64_C(2654435761) % t->npages;
}

uint64_t
tracer_next(struct tracer *t)
{
	uint64_t hot = t->ram / 2, i = t->at++;

	switch (t->trace) {
	case TRACE_SCAN:
		if (i % 4 != 0)
			return below(&t->seed, hot);
		return hot + t->scan++ % (t->npages - hot);
	case TRACE_ZIPF:
		return zipf(t);
	case TRACE_LOOP:
		return i % (t->ram + t->ram / 2);
	case TRACE_SHIFT:
		if (i % 8 == 0)
			return below(&t->seed, t->npages);
		return below(&t->seed, hot) + (i > t->length / 2 ? hot : 0);
	default:
		return below(&t->seed, t->npages);
	}
}
