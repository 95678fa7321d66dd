/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory objects.
 *
 * The state machine, the invariants and the lock order are in object.h.
 *
 * Two counts keep an object: `refs` is its life (handles and regions), and
 * when the last one goes the object is killed: it leaves the table and all
 * it has is freed.  `holds` is the life of the structure: operations in
 * flight, and the pager's walks over the table.  A page that is busy when the
 * object is killed is freed by its owner, in object_unbusy().
 *
 * Costs: two bytes of address space a page, touched where pages are used; the
 * map beside.  Killing an object looks at one byte a page.
 */
#include "object.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "util.h"

/* ------------------------------------------------------------------ table */

int
object_table_init(struct object_table *table)
{
	memset(table, 0, sizeof(*table));
	table->next_id = 1;
	table->nheld = 1;
	pthread_mutex_init(&table->lock, NULL);
	return 0;
}

void
object_table_fini(struct object_table *table)
{
	free(table->slot);
	pthread_mutex_destroy(&table->lock);
}

/* Table locked. */
static int
table_add(struct object_table *table, struct swap_object *object)
{
	uint32_t i;

	for (i = 0; i < table->nslots && table->slot[i] != NULL; i++)
		;
	if (i == OBJECTS_MAX)
		return -EMFILE;
	if (i == table->nslots) {
		uint32_t n = table->nslots == 0 ? 64 : 2 * table->nslots;
		struct swap_object **slot;

		slot = realloc(table->slot, n * sizeof(struct swap_object *));
		if (slot == NULL)
			return -ENOMEM;
		memset(slot + table->nslots, 0,
		       (n - table->nslots) * sizeof(struct swap_object *));
		table->slot = slot;
		table->nslots = n;
	}
	table->slot[i] = object;
	table->nlive++;
	table->nheld++;
	object->slot = i;
	object->id = table->next_id++;
	return 0;
}

/* Table locked. */
static struct swap_object *
table_find(struct object_table *table, const char *name)
{
	for (uint32_t i = 0; i < table->nslots; i++) {
		struct swap_object *object = table->slot[i];

		if (object != NULL && strcmp(object->name, name) == 0)
			return object;
	}
	return NULL;
}

static void
table_remove(struct object_table *table, struct swap_object *object)
{
	pthread_mutex_lock(&table->lock);
	table->slot[object->slot] = NULL;
	table->nlive--;
	pthread_mutex_unlock(&table->lock);
}

static void
table_forget(struct object_table *table)
{
	bool unused;

	pthread_mutex_lock(&table->lock);
	unused = --table->nheld == 0;
	pthread_mutex_unlock(&table->lock);
	if (unused)
		table->unused(table->unused_arg);
}

void
object_table_close(struct object_table *table)
{
	table_forget(table);
}

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
	pthread_cond_destroy(&object->unbusy);
	pthread_mutex_destroy(&object->lock);
	free(object);
}

static struct swap_object *
object_alloc(struct core *core, const struct object_spec *spec)
{
	struct swap_object *object = calloc(1, sizeof(*object));
	pthread_condattr_t attr;

	if (object == NULL)
		return NULL;
	object->core = core;
	object->flags = spec->flags;
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
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&object->unbusy, &attr);
	pthread_condattr_destroy(&attr);
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
	if ((spec->flags & ~SWAP_OBJECT_NOSWAP) != 0)
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
	    table_find(&core->table, object->name) != NULL) {
		pthread_mutex_unlock(&core->table.lock);
		return error_set(error, -EEXIST,
			"object '%s' exists already; open it, or choose "
			"another name", object->name);
	}
	rc = table_add(&core->table, object);
	if (rc == 0) {
		rc = make_map(object);
		if (rc < 0) {
			core->table.slot[object->slot] = NULL;
			core->table.nlive--;
			core->table.nheld--;
		}
	}
	pthread_mutex_unlock(&core->table.lock);
	if (rc < 0)
		error_set(error, rc, "cannot make an object of %" PRIu64
			  " pages: %s", object->npages, strerror(-rc));
	return rc;
}

bool
object_wire_take(struct swap_object *object, uint64_t n)
{
	return (object->flags & SWAP_OBJECT_NOSWAP) ||
	       budget_wire(&object->core->budget, n);
}

void
object_wire_give(struct swap_object *object, uint64_t n)
{
	if (!(object->flags & SWAP_OBJECT_NOSWAP))
		budget_unwire(&object->core->budget, n);
}

/*
 * Pages that never leave RAM are wired pages: unless they are counted before
 * they come, they could fill the budget, and then nothing moves any more.
 */
static int
reserve_noswap(struct core *core, const struct object_spec *spec,
	       struct swap_error *error)
{
	char text[32];

	if (!(spec->flags & SWAP_OBJECT_NOSWAP) ||
	    budget_wire(&core->budget, spec->npages))
		return 0;
	return error_set(error, -ENOMEM,
		"an object of %s cannot be kept in RAM: a quarter of the RAM "
		"budget must stay free to page; raise the budget, or let the "
		"object be paged", format_size(spec->npages << page_shift(),
					       text, sizeof(text)));
}

static void
unreserve_noswap(struct core *core, uint64_t npages, unsigned flags)
{
	if (flags & SWAP_OBJECT_NOSWAP)
		budget_unwire(&core->budget, npages);
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
	if (spec->source != NULL) {
		object->source = object_hold(spec->source);
		object->copy = true;
	}
	rc = object_publish(core, object, error);
	if (rc < 0) {
		if (object->source != NULL)
			object_drop(object->source);
		object_free(object);
		return rc;
	}
	*ret_object = object;
	return 0;
}

int
object_create(struct core *core, const struct object_spec *spec,
	      struct swap_object **ret_object, struct swap_error *error)
{
	int rc = check_spec(spec, error);

	if (rc == 0)
		rc = reserve_noswap(core, spec, error);
	if (rc < 0)
		return rc;
	rc = object_make(core, spec, ret_object, error);
	if (rc < 0)
		unreserve_noswap(core, spec->npages, spec->flags);
	return rc;
}

struct swap_object *
object_find(struct core *core, const char *name)
{
	struct swap_object *object;

	if (name[0] == '\0')
		return NULL;
	pthread_mutex_lock(&core->table.lock);
	object = table_find(&core->table, name);
	if (object != NULL) {
		unsigned refs = atomic_load(&object->refs);

		/* One that is being killed is not found any more. */
		while (refs > 0 &&
		       !atomic_compare_exchange_weak(&object->refs, &refs,
						     refs + 1))
			;
		if (refs == 0)
			object = NULL;
	}
	pthread_mutex_unlock(&core->table.lock);
	return object;
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
	table_forget(table);
}

struct swap_object *
object_hold_slot(struct core *core, uint32_t slot)
{
	struct swap_object *object = NULL;

	pthread_mutex_lock(&core->table.lock);
	if (slot < core->table.nslots)
		object = core->table.slot[slot];
	if (object != NULL)
		object_hold(object);
	pthread_mutex_unlock(&core->table.lock);
	return object;
}

int
objects_each(struct core *core, object_fn *fn, void *arg)
{
	uint32_t nslots;
	int rc = 0;

	pthread_mutex_lock(&core->table.lock);
	nslots = core->table.nslots;
	pthread_mutex_unlock(&core->table.lock);
	for (uint32_t i = 0; i < nslots && rc == 0; i++) {
		struct swap_object *object = object_hold_slot(core, i);

		if (object == NULL)
			continue;
		rc = fn(object, arg);
		object_drop(object);
	}
	return rc;
}

/* Locked.  Free what a page of a dead object holds. */
static void
reap_page(struct swap_object *object, uint64_t page)
{
	if (page_is_resident(object, page))
		budget_give(&object->core->budget, 1);
	if (object->wire[page] > 0) {
		object->wire[page] = 0;
		object->nwired--;
		object_wire_give(object, 1);
	}
	object_set_state(object, page, PAGE_EMPTY);
}

static void
object_kill(struct swap_object *object)
{
	struct swap_object *source;
	uint64_t page = 0;

	table_remove(&object->core->table, object);
	object_lock(object);
	object->dead = true;
	source = object->source;
	object->source = NULL;
	while (page < object->npages) {
		uint64_t first = page;

		/* Runs of pages that are not busy, blocks in ranges. */
		for (; page < object->npages && !page_is_busy(object, page);
		     page++)
			if ((object->page[page] & PAGE_STATE) ||
			    (object->nwired > 0 && object->wire[page] > 0))
				reap_page(object, page);
		if (page > first)
			object_free_blocks(object, first, page - first);
		page++;
	}
	object_unlock(object);
	unreserve_noswap(object->core, object->npages, object->flags);
	if (source != NULL)
		object_drop(source);
	object_drop(object);
}

void
object_unref(struct swap_object *object)
{
	if (atomic_fetch_sub(&object->refs, 1) == 1)
		object_kill(object);
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
	if (object->dead)
		object_free_blocks(object, page, n);
	if (object->waiters > 0)
		pthread_cond_broadcast(&object->unbusy);
	return wanted;
}

void
object_wait_unbusy(struct swap_object *object)
{
	uint64_t at = now_usec() + 100000;
	struct timespec until = {
		.tv_sec = (time_t)(at / 1000000),
		.tv_nsec = (long)(at % 1000000) * 1000,
	};

	object->waiters++;
	pthread_cond_timedwait(&object->unbusy, &object->lock, &until);
	object->waiters--;
}

void
object_set_state(struct swap_object *object, uint64_t page,
		 enum page_state state)
{
	enum page_state old = page_state(object, page);

	object->nresident -= page_is_resident(object, page);
	object->nswapped -= old == PAGE_SWAPPED;
	object->npoison -= old == PAGE_POISON;
	object->page[page] = (uint8_t)((object->page[page] & ~PAGE_STATE) |
				       (unsigned)state);
	object->nresident += page_is_resident(object, page);
	object->nswapped += state == PAGE_SWAPPED;
	object->npoison += state == PAGE_POISON;
}

void
object_poison(struct swap_object *object, uint64_t page)
{
	if (swapmap_set(object->map, page, SWAPMAP_POISON, NULL) < 0)
		return;
	object_set_state(object, page, PAGE_POISON);
	count(&object->core->counters.poisoned_pages, 1);
}

static void
free_range(void *arg, uint64_t block, uint64_t n)
{
	space_free(arg, block, n);
}

void
object_free_blocks(struct swap_object *object, uint64_t page, uint64_t n)
{
	swapmap_clear(object->map, page, n, free_range,
		      &object->core->space);
}

void
object_enqueue(struct swap_object *object, uint64_t page)
{
	if (object->dead || (object->flags & SWAP_OBJECT_NOSWAP) ||
	    (object->page[page] & PAGE_QUEUED))
		return;
	/* On failure page-out finds the page when it sweeps the table. */
	if (pageq_push(&object->core->queue, object->slot, page) == 0)
		object->page[page] |= PAGE_QUEUED;
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
	bytes += object->nresident + object->nswapped + object->nwired;
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
	st->block_bytes = (swapmap_count(object->map) - object->npoison)
			  << shift;
	st->wired_bytes = object->nwired << shift;
	st->poisoned_bytes = object->npoison << shift;
	object_unlock(object);
}
