/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory objects.
 *
 * The state machine, the invariants and the lock order are in object.h; how an
 * object and its copies hang together is in object-copies.c.
 *
 * Two counts keep an object: `refs` is its life (handles and regions), and
 * when the last one goes the object is killed: it leaves the table and all
 * it has is freed.  `holds` is the life of the structure: operations in
 * flight, and the pager's walks over the table.  A page that is busy when the
 * object is killed is freed by its owner, in object_unbusy().  An object that has
 * copies when the last of `refs' goes is not killed yet, but an orphan.
 *
 * An object is charged to its owner from its creation until it is killed, or,
 * where pages were busy then, until the last of these is free.
 *
 * Costs: two bytes of address space a page, touched where pages are used; the
 * map beside.  Killing an object, reserving and allowing to swap look at one
 * byte a page.
 */
#include "object.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "threads.h"
#include "util.h"

#define COLD_SLACK	4096u	/* cold pages beyond those that there are */

/* ---------------------------------------------------------- create, free */

static void *
lazy_alloc(uint64_t bytes)
{
	void *mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return mem == MAP_FAILED ? NULL : mem;
}

static int
make_memfd(const char *name, uint64_t bytes)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int rc;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)bytes) < 0 ||
	    fcntl(fd, F_ADD_SEALS,
		  F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
		rc = -errno;
		close(fd);
		return rc;
	}
	return fd;
}

static void
map_name(char *buf, size_t len, uint64_t id)
{
	format_cut(buf, len, "object-%" PRIu64 ".map", id);
}

static int
make_map(struct swap_object *object)
{
	struct object_record record = {
		.magic = OBJECT_RECORD_MAGIC,
		.id = object->id,
		.npages = object->npages,
		.uid = object->uid,
		.flags = object->flags,
		.pid = object->pid,
	};
	int dirfd = object->core->state_dirfd;
	char file[40];
	struct swapmap_spec spec = {
		.kind = atomic_load(&object->core->map_kind),
		.npages = object->npages,
		.dirfd = dirfd,
		.name = dirfd >= 0 ? file : NULL,
		.header = &record,
		.header_len = sizeof(record),
		.account = &object->core->maps,
	};

	format_cut(record.name, sizeof(record.name), "%s", object->name);
	map_name(file, sizeof(file), object->id);
	return swapmap_create(&spec, &object->map);
}

uint64_t
core_chargeable(struct core *core)
{
	uint64_t limit = min_u64(atomic_load(&core->budget.limit),
				 OBJECT_PAGES_MAX);
	uint64_t wired = atomic_load(&core->budget.wired);
	struct charge_totals charge;
	struct space_totals space;
	uint64_t npages;

	charge_totals(&core->charge, &charge);
	space_totals(&core->space, &space);
	npages = space.total;
	if ((charge.overcommit & SWAP_OVERCOMMIT_RAM) && wired < limit)
		npages += limit - wired;
	return npages << page_shift();
}

static void
give_charge(struct swap_object *object)
{
	if (object->charged > 0)
		charge_give(&object->core->charge, object->uid,
			    object->charged);
	object->charged = 0;
}

static void
object_free(struct swap_object *object)
{
	struct core *core = object->core;

	if (object->memfd >= 0)
		close(object->memfd);
	if (object->map != NULL) {
		char file[40];

		swapmap_destroy(object->map);
		map_name(file, sizeof(file), object->id);
		if (core->state_dirfd >= 0)
			unlinkat(core->state_dirfd, file, 0);
	}
	if (object->page != NULL)
		munmap(object->page, object->npages);
	if (object->wire != NULL)
		munmap(object->wire, object->npages);
	give_charge(object);
	assert(object->nram == 0 && object->nleaving == 0);
	if (object_is_limited(object))
		pool_put(&core->pools, object->pool);
	/* The map's memory may be what page-out waits for. */
	if (atomic_load(&core->maps_full))
		budget_kick(&core->budget);
	pthread_cond_destroy(&object->unbusy);
	pthread_mutex_destroy(&object->lock);
	free(object);
}

static struct swap_object *
object_alloc(struct core *core, const struct object_spec *spec)
{
	struct swap_object *object = calloc(1, sizeof(*object));

	if (object == NULL)
		return NULL;
	object->core = core;
	object->pool = &core->pool;
	object->client = spec->client;
	if (spec->pool != NULL) {
		pool_get(&core->pools, spec->pool);
		object->pool = spec->pool;
	}
	object->flags = spec->flags;
	object->exact = (spec->flags & SWAP_OBJECT_EXACT) != 0;
	object->npages = spec->npages;
	object->memfd = -1;
	object->uid = spec->uid;
	object->pid = spec->pid;
	format_cut(object->name, sizeof(object->name), "%s",
		   spec->name != NULL ? spec->name : "");
	format_cut(object->command, sizeof(object->command), "%s",
		   spec->command != NULL ? spec->command : "");
	atomic_init(&object->refs, 1);
	atomic_init(&object->holds, 1);
	pthread_mutex_init(&object->lock, NULL);
	cond_init(&object->unbusy);
	return object;
}

static int
object_fill(struct swap_object *object)
{
	uint64_t bytes = object->npages << page_shift();

	object->memfd = make_memfd(object->name[0] != '\0' ? object->name :
				   "swap-object", bytes);
	if (object->memfd < 0)
		return object->memfd;
	object->page = lazy_alloc(object->npages);
	object->wire = lazy_alloc(object->npages);
	if (object->page == NULL || object->wire == NULL)
		return -ENOMEM;
	return 0;
}

static int
check_name(const char *name, struct swap_error *error)
{
	if (strlen(name) > SWAP_NAME_MAX || name[0] == '\0')
		return error_set(error, -EINVAL,
			"object name '%.80s': must have 1 to %d bytes", name,
			SWAP_NAME_MAX);
	for (const char *p = name; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return error_set(error, -EINVAL, "object name: must "
				"not contain control characters");
	return 0;
}

static int
check_spec(const struct object_spec *spec, struct swap_error *error)
{
	if (spec->npages == 0)
		return error_set(error, -EINVAL,
			"an object of size 0: give it a size");
	if (spec->npages > OBJECT_PAGES_MAX)
		return error_set(error, -EFBIG,
			"an object of %" PRIu64 " pages: the limit is %" PRIu64,
			spec->npages, (uint64_t)OBJECT_PAGES_MAX);
	if ((spec->flags & ~(SWAP_OBJECT_NOSWAP | SWAP_OBJECT_EXACT)) != 0)
		return error_set(error, -EINVAL, "unknown object flags 0x%x",
				 spec->flags);
	return spec->name != NULL ? check_name(spec->name, error) : 0;
}

/* Enter the table, under a name that nobody else has. */
static int
object_publish(struct core *core, struct swap_object *object,
	       struct swap_error *error)
{
	int rc;

	pthread_mutex_lock(&core->table.lock);
	if (object->name[0] != '\0' &&
	    object_table_find(&core->table, object->name) != NULL) {
		pthread_mutex_unlock(&core->table.lock);
		return error_set(error, -EEXIST,
			"object '%s' exists already; open it, or choose "
			"another name", object->name);
	}
	rc = object_table_add(&core->table, object);
	if (rc == 0) {
		rc = make_map(object);
		if (rc < 0)
			object_table_undo(&core->table, object);
	}
	pthread_mutex_unlock(&core->table.lock);
	if (rc == -EDQUOT)
		error_set(error, rc, "no room for the swap map of an object of "
			  "%" PRIu64 " pages within tunable 'metadata_limit'; "
			  "raise it, or free objects", object->npages);
	else if (rc < 0)
		error_set(error, rc, "cannot make an object of %" PRIu64
			  " pages: %s", object->npages, strerror(-rc));
	return rc;
}

/*
 * Pages that never leave RAM are wired pages: unless they are counted before
 * they come, they could fill the budget, and then nothing moves any more.
 */
static int
reserve_noswap(struct core *core, const struct object_spec *spec,
	       struct swap_error *error)
{
	bool fits = false;
	char text[32];

	if (!(spec->flags & SWAP_OBJECT_NOSWAP))
		return 0;
	if (budget_wire(&core->budget, spec->npages)) {
		fits = spec->pool == NULL ||
		       pool_wire(&core->pools, spec->pool, spec->npages,
				 false);
		if (!fits)
			budget_unwire(&core->budget, spec->npages);
	}
	if (fits)
		return 0;
	return error_set(error, -ENOMEM,
		"an object of %s cannot be kept in RAM: a quarter of the RAM "
		"budget, or of the limit of its client, must stay free to "
		"page; raise it, or let the object be paged",
		format_size(spec->npages << page_shift(), text, sizeof(text)));
}

static void
unreserve_noswap(struct core *core, const struct object_spec *spec)
{
	if (!(spec->flags & SWAP_OBJECT_NOSWAP))
		return;
	budget_unwire(&core->budget, spec->npages);
	if (spec->pool != NULL)
		pool_unwire(&core->pools, spec->pool, spec->npages);
}

static int
object_make(struct core *core, const struct object_spec *spec,
	    struct swap_object **ret_object, struct swap_error *error)
{
	struct swap_object *object = object_alloc(core, spec);
	int rc;

	if (object == NULL)
		return error_set(error, -ENOMEM, "no memory for an object");
	rc = object_fill(object);
	if (rc < 0) {
		error_set(error, rc, "cannot make an object of %" PRIu64
			  " pages: %s", spec->npages, strerror(-rc));
		object_free(object);
		return rc;
	}
	rc = object_publish(core, object, error);
	if (rc < 0) {
		object_free(object);
		return rc;
	}
	*ret_object = object;
	return 0;
}

/* Both of what is counted for it, then the object. */
int
object_create(struct core *core, const struct object_spec *spec,
	      struct swap_object **ret_object, struct swap_error *error)
{
	uint64_t bytes = spec->npages << page_shift();
	int rc = check_spec(spec, error);

	if (rc == 0)
		rc = charge_take(&core->charge, spec->uid, bytes,
				 core_chargeable(core), false, error);
	if (rc < 0)
		return rc;
	rc = reserve_noswap(core, spec, error);
	if (rc == 0) {
		rc = object_make(core, spec, ret_object, error);
		if (rc < 0)
			unreserve_noswap(core, spec);
	}
	if (rc < 0)
		charge_give(&core->charge, spec->uid, bytes);
	else
		(*ret_object)->charged = bytes;
	return rc;
}

struct swap_object *
object_hold(struct swap_object *object)
{
	atomic_fetch_add(&object->holds, 1);
	return object;
}

void
object_drop(struct swap_object *object)
{
	struct object_table *table = &object->core->table;

	if (atomic_fetch_sub(&object->holds, 1) != 1)
		return;
	object_free(object);
	object_table_forget(table);
}

/* ------------------------------------------------------------ life and death */

/* Locked.  Free what a page of a dead object holds. */
static void
reap_page(struct swap_object *object, uint64_t page)
{
	if (page_is_resident(object, page))
		object_give_ram(object, 1);
	if (object->wire[page] > 0) {
		object->wire[page] = 0;
		object->nwired--;
		object_wire_give(object, 1);
	}
	object_set_state(object, page, PAGE_EMPTY);
}

/* Locked.  A dead object needs no blocks any more. */
static void
drop_reservations(struct swap_object *object, uint64_t page, uint64_t n)
{
	uint64_t set_aside = 0;

	for (uint64_t i = page; i < page + n && object->nreserved > 0; i++) {
		if (!(object->page[i] & PAGE_RESERVED))
			continue;
		object->page[i] &= (uint8_t)~PAGE_RESERVED;
		object->nreserved--;
		set_aside += !page_has_block(object, i);
	}
	if (set_aside > 0)
		space_unreserve(&object->core->space, set_aside);
}

/* Locked.  The whole of it but for busy pages; true: there are some. */
static bool
reap(struct swap_object *object)
{
	bool busy = false;
	uint64_t page = 0;

	while (page < object->npages) {
		uint64_t first = page;

		/* Runs of pages that are not busy, blocks in ranges. */
		for (; page < object->npages && !page_is_busy(object, page);
		     page++)
			if (page_state(object, page) != PAGE_EMPTY ||
			    (object->nwired > 0 && object->wire[page] > 0))
				reap_page(object, page);
		if (page > first) {
			drop_reservations(object, first, page - first);
			object_free_blocks(object, first, page - first);
		}
		busy |= page < object->npages;
		page++;
	}
	return busy;
}

/* Returns its source, if that is an orphan without copies now. */
static struct swap_object *
kill_one(struct swap_object *object)
{
	struct swap_object *orphan;

	object_table_remove(&object->core->table, object);
	object_lock(object);
	object->dead = true;
	if (!reap(object))
		give_charge(object);
	if (object->flags & SWAP_OBJECT_NOSWAP)
		object_unwire(object, object->npages);
	object_unlock(object);
	orphan = object_part(object);
	object_drop(object);
	return orphan;
}

void
object_kill(struct swap_object *object)
{
	while (object != NULL)
		object = kill_one(object);
}

/* Nobody uses it but its copies.  Locked. */
static void
become_orphan(struct swap_object *object)
{
	object->orphan = true;
	/* What it keeps its copies pay for: one of them lacks each page. */
	give_charge(object);
	for (uint64_t i = 0; i < object->npages && object->nwired > 0; i++) {
		if (object->wire[i] == 0)
			continue;
		object->wire[i] = 0;
		object->nwired--;
		object_wire_give(object, 1);
	}
}

void
object_unref(struct swap_object *object)
{
	struct core *core = object->core;
	bool orphan;

	if (atomic_fetch_sub(&object->refs, 1) != 1)
		return;
	object_hold(object);
	object_lock(object);
	orphan = object->ncopies > 0;
	if (orphan)
		become_orphan(object);
	object_unlock(object);
	if (orphan) {
		object_table_unname(&core->table, object);
		object_call_collapse(core);
	} else {
		object_kill(object);
	}
	object_drop(object);
}

void
object_lock(struct swap_object *object)
{
	pthread_mutex_lock(&object->lock);
}

void
object_unlock(struct swap_object *object)
{
	pthread_mutex_unlock(&object->lock);
}

/* ------------------------------------------------------------ page states */

void
object_busy(struct swap_object *object, uint64_t page, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		object->page[page + i] |= PAGE_BUSY;
}

bool
object_unbusy(struct swap_object *object, uint64_t page, uint64_t n)
{
	bool wanted = false;

	for (uint64_t i = 0; i < n; i++) {
		uint8_t *p = &object->page[page + i];

		if (*p & PAGE_WANTED)
			wanted = true;
		*p &= (uint8_t)~(PAGE_BUSY | PAGE_WANTED);
		if (object->dead)
			reap_page(object, page + i);
	}
	if (object->dead) {
		drop_reservations(object, page, n);
		object_free_blocks(object, page, n);
	}
	if (object->waiters > 0)
		pthread_cond_broadcast(&object->unbusy);
	return wanted;
}

void
object_wait_unbusy(struct swap_object *object)
{
	object->waiters++;
	cond_wait_until(&object->unbusy, &object->lock, now_usec() + 100000);
	object->waiters--;
}

void
object_set_state(struct swap_object *object, uint64_t page,
		 enum page_state state)
{
	enum page_state old = page_state(object, page);
	bool was_resident = page_is_resident(object, page), resident;

	object->nresident -= was_resident;
	object->nswapped -= old == PAGE_SWAPPED;
	object->npoison -= old == PAGE_POISON;
	object->nsource -= old == PAGE_SOURCE;
	object->page[page] = (uint8_t)((object->page[page] & ~PAGE_STATE) |
				       (unsigned)state);
	resident = page_is_resident(object, page);
	object->nresident += resident;
	if (resident != was_resident)
		atomic_fetch_add_explicit(&object->pool->resident,
					  resident ? 1 : UINT64_MAX,
					  memory_order_relaxed);
	object->nswapped += state == PAGE_SWAPPED;
	object->npoison += state == PAGE_POISON;
	object->nsource += state == PAGE_SOURCE;
	if (swap_unlikely(page >= object->used_end) && state != PAGE_EMPTY)
		object->used_end = page + 1;
	/* The last one: it needs its source no more. */
	if (swap_unlikely(old == PAGE_SOURCE) && object->nsource == 0)
		object_call_collapse(object->core);
}

void
object_poison(struct swap_object *object, uint64_t page)
{
	/* Without memory for the entry the state alone says it (P5). */
	(void)swapmap_set(object->map, page, SWAPMAP_POISON, NULL);
	object_set_state(object, page, PAGE_POISON);
	count(&object->core->counters.poisoned_pages, 1);
	events_add(&object->core->events, SWAP_EVENT_PAGE_POISONED, NULL,
		   object->id, (int)object->pid, "page %" PRIu64
		   " has no contents", page);
}

/* ---------------------------------------------------- blocks, reservations */

int
object_enter_block(struct swap_object *object, uint64_t page, uint64_t block,
		   bool set_aside)
{
	uint64_t old;
	int rc;

	if (object->flags & SWAP_OBJECT_NOSWAP)
		return -EPERM;
	rc = swapmap_set(object->map, page, block, &old);
	if (rc < 0)
		return rc;
	assert(old == SWAPMAP_NONE);
	if (space_is_word(block)) {
		object->nwords++;
		return 0;
	}
	object_count_block(object);
	if ((object->page[page] & PAGE_RESERVED) && !set_aside)
		space_unreserve(&object->core->space, 1);
	return 0;
}

struct freeing {
	struct swap_object *object;
	bool		 set_aside;	/* the blocks, again */
};

static void
free_range(void *arg, uint64_t block, uint64_t n)
{
	struct freeing *f = arg;
	struct space *space = &f->object->core->space;

	if (space_is_word(block)) {
		f->object->nwords -= n;
		space_free(space, block, n);
		return;
	}
	if (f->set_aside)
		space_free_reserved(space, block, n);
	else
		space_free(space, block, n);
	object_uncount_blocks(f->object, n);
}

/* How many pages from @page on are reserved, or are not, as it is. */
static uint64_t
alike(const struct swap_object *object, uint64_t page, uint64_t n)
{
	uint8_t first = object->page[page] & PAGE_RESERVED;
	uint64_t i = 1;

	if (object->nreserved == 0)
		return n;
	while (i < n && (object->page[page + i] & PAGE_RESERVED) == first)
		i++;
	return i;
}

void
object_free_blocks(struct swap_object *object, uint64_t page, uint64_t n)
{
	struct freeing f = { .object = object };

	for (uint64_t end = page + n, run; page < end; page += run) {
		run = alike(object, page, end - page);
		f.set_aside = (object->page[page] & PAGE_RESERVED) != 0;
		swapmap_clear(object->map, page, run, free_range, &f);
	}
}

void
object_forget_block(struct swap_object *object, uint64_t page)
{
	uint64_t old = SWAPMAP_NONE;

	/* Clearing never fails. */
	(void)swapmap_set(object->map, page, SWAPMAP_NONE, &old);
	assert(old <= SWAPMAP_BLOCK_MAX);
	if (space_is_word(old))
		object->nwords--;
	else
		object_uncount_blocks(object, 1);
}

void
object_lose_reservation(struct swap_object *object, uint64_t page)
{
	object->page[page] &= (uint8_t)~PAGE_RESERVED;
	object->nreserved--;
	log_limited(&object->core->log, &object->core->limit_reserve,
		    SWAP_LOG_WARNING, "object %" PRIu64 ": page %" PRIu64
		    " has no swap space set aside any more: its block is bad "
		    "and no other is free", object->id, page);
}

/* Locked.  Pages that have neither a block nor one set aside. */
static uint64_t
count_needy(const struct swap_object *object, uint64_t page, uint64_t n)
{
	uint64_t needy = 0;

	for (uint64_t i = page; i < page + n; i++) {
		enum page_state state = page_state(object, i);

		if (object->page[i] & PAGE_RESERVED)
			continue;
		/* Only these have one; or a busy page, just now. */
		if (state == PAGE_SWAPPED || state == PAGE_CLEAN ||
		    page_is_busy(object, i))
			needy += !page_has_block(object, i);
		else
			needy++;
	}
	return needy;
}

/*
 * Nothing moves meanwhile: a page whose block is on its way to another object
 * would be taken for one that has a block.
 */
int
object_reserve(struct swap_object *object, uint64_t page, uint64_t n)
{
	pthread_rwlock_t *moves = &object->core->table.moves;
	uint64_t needy;
	int rc = -EPERM;

	pthread_rwlock_wrlock(moves);
	object_lock(object);
	if (!(object->flags & SWAP_OBJECT_NOSWAP)) {
		needy = count_needy(object, page, n);
		rc = needy == 0 ? 0 : space_reserve(&object->core->space,
						    needy);
	}
	for (uint64_t i = page; rc == 0 && i < page + n; i++) {
		object->nreserved += !(object->page[i] & PAGE_RESERVED);
		object->page[i] |= PAGE_RESERVED;
	}
	object_unlock(object);
	pthread_rwlock_unlock(moves);
	return rc;
}

void
object_unreserve(struct swap_object *object, uint64_t page, uint64_t n)
{
	uint64_t end = page + n, set_aside = 0;

	object_lock(object);
	while (page < end && object->nreserved > 0) {
		if (!(object->page[page] & PAGE_RESERVED)) {
			page++;
			continue;
		}
		if (page_is_busy(object, page)) {
			object_wait_unbusy(object);
			continue;
		}
		object->page[page] &= (uint8_t)~PAGE_RESERVED;
		object->nreserved--;
		set_aside += !page_has_block(object, page);
		page++;
	}
	object_unlock(object);
	if (set_aside > 0)
		space_unreserve(&object->core->space, set_aside);
}

/* What a successor reads. */
static void
record_flags(struct swap_object *object)
{
	struct object_record *record = swapmap_header(object->map);

	record->flags = object->flags;
}

void
object_allow_swap(struct swap_object *object)
{
	object_lock(object);
	if (object->flags & SWAP_OBJECT_NOSWAP) {
		object->flags &= ~SWAP_OBJECT_NOSWAP;
		record_flags(object);
		/* From now on only those count that somebody wired. */
		object_unwire(object, object->npages - object->nwired);
		for (uint64_t i = 0; i < object->npages; i++)
			if (page_is_resident(object, i))
				object_enqueue(object, i);
	}
	object_unlock(object);
	budget_kick(&object->core->budget);
}

/* ----------------------------------------------------------------- queues */

static void
enqueue(struct swap_object *object, uint64_t page, struct pageq *queue)
{
	if (object->dead || (object->flags & SWAP_OBJECT_NOSWAP))
		return;
	if (object->page[page] & PAGE_QUEUED) {
		/*
		 * It went out by the queue of cold pages and is back: the old
		 * entry is older than the page, let it pass once.
		 */
		object->page[page] |= PAGE_REF;
		return;
	}
	/* On failure page-out finds the page when it sweeps the table. */
	if (pageq_push(queue, object->slot, page) == 0)
		object->page[page] |= PAGE_QUEUED;
}

void
object_enqueue(struct swap_object *object, uint64_t page)
{
	enqueue(object, page, &object->pool->small);
}

void
object_enqueue_main(struct swap_object *object, uint64_t page)
{
	enqueue(object, page, &object->pool->main);
}

void
object_enqueue_cold(struct swap_object *object, uint64_t page)
{
	struct pool *pool = object->pool;
	uint64_t most = atomic_load(&object->core->budget.used) + COLD_SLACK;
	uint64_t old_page;
	uint32_t old_slot;

	object->page[page] &= (uint8_t)~PAGE_REF;
	/* Nothing marks a page that is in it, so bound it: these are hints. */
	if (pageq_count(&pool->cold) >= most)
		(void)pageq_pop(&pool->cold, &old_slot, &old_page);
	(void)pageq_push(&pool->cold, object->slot, page);
}

bool
object_has_memory(const struct swap_object *object, uint64_t page)
{
	off_t at = (off_t)(page << page_shift());

	return lseek(object->memfd, at, SEEK_DATA) == at;
}

int
object_punch(const struct swap_object *object, uint64_t page, uint64_t n)
{
	int rc;

	do {
		rc = fallocate(object->memfd,
			       FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			       (off_t)(page << page_shift()),
			       (off_t)(n << page_shift()));
	} while (rc < 0 && errno == EINTR);
	return rc < 0 ? -errno : 0;
}

/* ------------------------------------------------------------- statistics */

size_t
object_memory(struct swap_object *object)
{
	size_t bytes;

	object_lock(object);
	bytes = sizeof(*object) + swapmap_memory(object->map);
	/* One byte of state for each page that was ever used, about. */
	bytes += object->nresident + object->nswapped + object->nwired +
		 object->nsource;
	object_unlock(object);
	return bytes;
}

void
object_stats(struct swap_object *object, struct swap_object_stats *st)
{
	unsigned shift = page_shift();

	object_lock(object);
	st->id = object->id;
	memcpy(st->name, object->name, sizeof(st->name));
	st->uid = object->uid;
	st->pid = object->pid;
	memcpy(st->command, object->command, sizeof(st->command));
	st->flags = object->flags;
	st->size_bytes = object->npages << shift;
	st->resident_bytes = object->nresident << shift;
	st->swapped_bytes = object->nswapped << shift;
	st->block_bytes = object->nblocks << shift;
	st->wired_bytes = object->nwired << shift;
	st->poisoned_bytes = object->npoison << shift;
	st->reserved_bytes = object->nreserved << shift;
	st->ram_limit_bytes = st->swap_limit_bytes = 0;
	if (object_is_limited(object)) {
		st->ram_limit_bytes = pool_least_limit(object->pool) << shift;
		st->swap_limit_bytes = pool_least_swap_limit(object->pool) <<
				       shift;
	}
	st->writers = object->nwriters;
	st->pagein_pages = atomic_load(&object->pagein_pages);
	st->pageout_pages = atomic_load(&object->pageout_pages);
	st->source_id = object->source != NULL ? object->source->id : 0;
	st->copies = object->ncopies;
	st->shared_bytes = object->nsource << shift;
	st->orphan = object->orphan;
	st->map_bytes = swapmap_memory(object->map);
	format_cut(st->map_kind, sizeof(st->map_kind), "%s",
		   swapmap_kind_name(swapmap_kind(object->map)));
	object_unlock(object);
}
