/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The fake pager: just enough of pager.h and swap.h for a server.
 */
#include "fake-pager.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "uffd.h"
#include "util.h"

struct swap_object {
	struct swap_object *next;
	struct swap_pager *pager;
	struct pager_owner owner;
	char		 name[SWAP_NAME_MAX + 1];
	uint64_t	 size;
	unsigned	 refs;
	int		 memfd;
	bool		 noswap;
};

struct swap_region {
	struct swap_object *object;
	bool		 readonly;
	int		 uffd;
};

void
fake_init(struct swap_pager *pager)
{
	memset(pager, 0, sizeof(*pager));
	pager->reserve_max = UINT64_MAX;
	pager->swapped_from = pager->lost_page = UINT64_MAX;
	pager->no_ram_from = UINT64_MAX;
	strcpy(pager->tuned, "first");
	pthread_mutex_init(&pager->lock, NULL);
	events_init(&pager->events, NULL, NULL);
}

void
fake_fini(struct swap_pager *pager)
{
	events_fini(&pager->events);
	pthread_mutex_destroy(&pager->lock);
}

static void
nap(void)
{
	const struct timespec t = { .tv_nsec = 2000000 };

	nanosleep(&t, NULL);
}

bool
fake_becomes(struct swap_pager *pager, const unsigned *count, unsigned value)
{
	for (int i = 0; i < 1000; i++) {
		bool done;

		pthread_mutex_lock(&pager->lock);
		done = *count == value;
		pthread_mutex_unlock(&pager->lock);
		if (done)
			return true;
		nap();
	}
	return false;
}

static void
change(struct swap_pager *pager, unsigned *count, int by)
{
	pthread_mutex_lock(&pager->lock);
	*count += (unsigned)by;
	pthread_mutex_unlock(&pager->lock);
}

int
pager_object_create(struct swap_pager *pager, const struct pager_owner *owner,
		    const char *name, uint64_t size, unsigned flags,
		    struct swap_object **ret_object, struct swap_error *error)
{
	struct swap_object *object;

	if (size == 0 || size > UINT64_C(1) << 40)
		return error_set(error, size == 0 ? -EINVAL : -EFBIG,
				 "bad size");
	object = calloc(1, sizeof(*object));
	object->pager = pager;
	object->owner = *owner;
	snprintf(object->name, sizeof(object->name), "%s",
		 name == NULL ? "" : name);
	object->size = (size + page_bytes() - 1) & ~(page_bytes() - 1);
	object->refs = 1;
	object->noswap = flags == SWAP_OBJECT_NOSWAP;
	object->memfd = memfd_create("fake", MFD_CLOEXEC);
	if (object->memfd < 0 ||
	    ftruncate(object->memfd, (off_t)object->size) < 0) {
		free(object);
		return error_set(error, -EMFILE, "no memfd");
	}
	pthread_mutex_lock(&pager->lock);
	object->next = pager->objects;
	pager->objects = object;
	pager->nobjects++;
	pthread_mutex_unlock(&pager->lock);
	*ret_object = object;
	return 0;
}

int
pager_object_open(struct swap_pager *pager, const struct pager_owner *owner,
		  const char *name, struct swap_object **ret_object,
		  struct swap_error *error)
{
	struct swap_object *o;
	int r = -ENOENT;

	pthread_mutex_lock(&pager->lock);
	for (o = pager->objects; o != NULL; o = o->next)
		if (strcmp(o->name, name) == 0)
			break;
	if (o != NULL)
		r = owner->uid != 0 && owner->uid != o->owner.uid ? -EACCES
								  : 0;
	if (r == 0) {
		o->refs++;
		*ret_object = o;
	}
	pthread_mutex_unlock(&pager->lock);
	/* Without a sentence: the server has to find one. */
	(void)error;
	return r;
}

int
pager_object_copy(struct swap_object *source, const struct pager_owner *owner,
		  struct swap_object **ret_copy, struct swap_error *error)
{
	return pager_object_create(source->pager, owner, NULL, source->size, 0,
				   ret_copy, error);
}

void
pager_object_still(struct swap_object *object, bool still)
{
	struct swap_pager *pager = object->pager;

	pthread_mutex_lock(&pager->lock);
	if (still)
		pager->nstill++;
	else
		pager->nstill--;
	pthread_mutex_unlock(&pager->lock);
}

int
pager_object_memfd(const struct swap_object *object)
{
	return object->memfd;
}

uint64_t
swap_object_size(const struct swap_object *object)
{
	return object->size;
}

struct swap_object *
swap_object_ref(struct swap_object *object)
{
	change(object->pager, &object->refs, 1);
	return object;
}

void
swap_object_unref(struct swap_object *object)
{
	struct swap_pager *pager = object->pager;
	struct swap_object **p;
	bool last;

	pthread_mutex_lock(&pager->lock);
	last = --object->refs == 0;
	if (last) {
		for (p = &pager->objects; *p != object; p = &(*p)->next)
			;
		*p = object->next;
		pager->nobjects--;
	}
	pthread_mutex_unlock(&pager->lock);
	if (!last)
		return;
	close(object->memfd);
	free(object);
}

int
pager_region_join(struct swap_object *object, int uffd, uint64_t address,
		  uint64_t offset, uint64_t length,
		  const struct pager_notify *notify,
		  struct swap_region **ret_region, struct swap_error *error)
{
	struct uffdio_range range = { .start = address, .len = length };
	struct swap_region *region;

	(void)offset;
	if (ioctl(uffd, UFFDIO_UNREGISTER, &range) < 0)
		return error_set(error, -EINVAL, "nothing is watched there");
	region = calloc(1, sizeof(*region));
	region->object = swap_object_ref(object);
	region->uffd = uffd;
	pthread_mutex_lock(&object->pager->lock);
	object->pager->nregions++;
	object->pager->last_notify = *notify;
	object->pager->last_address = address;
	pthread_mutex_unlock(&object->pager->lock);
	*ret_region = region;
	return 0;
}

void
pager_region_leave(struct swap_region *region)
{
	change(region->object->pager, &region->object->pager->nregions, -1);
	(void)pager_region_set_writable(region, true);
	swap_object_unref(region->object);
	close(region->uffd);
	free(region);
}

int
swap_region_release(struct swap_region *region, uint64_t offset,
		    uint64_t length)
{
	(void)offset;
	(void)length;
	change(region->object->pager, &region->object->pager->nreleased, 1);
	return 0;
}

int
swap_region_wire(struct swap_region *region, uint64_t offset, uint64_t length,
		 struct swap_error *error)
{
	(void)length;
	if (offset != 0)
		return error_set(error, -ENOMEM, "no room for \"%s\"",
				 "wired pages");
	change(region->object->pager, &region->object->pager->nwired, 1);
	return 0;
}

int
swap_region_unwire(struct swap_region *region, uint64_t offset,
		   uint64_t length)
{
	(void)offset;
	(void)length;
	change(region->object->pager, &region->object->pager->nwired, -1);
	return 0;
}

int
pager_region_set_writable(struct swap_region *region, bool writable)
{
	if (region->readonly == writable)
		change(region->object->pager, &region->object->pager->nreadonly,
		       writable ? -1 : 1);
	region->readonly = !writable;
	return 0;
}

/* ---------------------------------------------------------------- objects */

int
swap_object_allow_swap(struct swap_object *object)
{
	change(object->pager, &object->pager->nallowed, object->noswap);
	object->noswap = false;
	return 0;
}

static int
note_limit(struct swap_pager *pager, uint64_t client, uint64_t ram_bytes,
	   uint64_t swap_bytes, struct swap_error *error)
{
	if (ram_bytes != 0 && ram_bytes < SWAP_RAM_MIN)
		return error_set(error, -EINVAL, "too small to page with");
	pager->limit_client = client;
	pager->ram_limit = ram_bytes;
	pager->swap_limit = swap_bytes;
	return 0;
}

int
swap_object_limit(struct swap_object *object, uint64_t ram_bytes,
		  uint64_t swap_bytes, struct swap_error *error)
{
	return note_limit(object->pager, 0, ram_bytes, swap_bytes, error);
}

int
pager_client_limit(struct swap_pager *pager, struct pager_owner *owner,
		   uint64_t ram_bytes, uint64_t swap_bytes,
		   struct swap_error *error)
{
	int rc = note_limit(pager, owner->client, ram_bytes, swap_bytes,
			    error);

	if (rc == 0)
		owner->pool = (struct pool *)pager;
	return rc;
}

void
pager_client_end(struct swap_pager *pager, struct pager_owner *owner)
{
	if (owner->pool != NULL)
		change(pager, &pager->nended, 1);
}

static void
part(struct swap_pager *pager)
{
	pager->nparts++;
	if (pager->slow)
		nap();
}

/* What becomes of one page of a get; the error that it is, if it must come. */
static int
get_page(const struct swap_pager *p, uint64_t page, bool must, bool nowait,
	 uint8_t *state)
{
	*state = SWAP_PAGE_ABSENT;
	if (page == p->lost_page) {
		*state = must && !nowait ? SWAP_PAGE_LOST : SWAP_PAGE_ABSENT;
		return nowait ? -EAGAIN : -EIO;
	}
	if (page >= p->swapped_from && (nowait || !must))
		return -EAGAIN;
	if (page >= p->no_ram_from)
		return -ENOMEM;
	*state = SWAP_PAGE_RESIDENT;
	return 0;
}

int64_t
swap_object_get(struct swap_object *object, uint64_t offset, uint64_t length,
		uint64_t wanted, unsigned flags, uint8_t states[],
		struct swap_error *error)
{
	const uint64_t page = page_bytes();
	int64_t count = 0;
	int failed = 0;

	part(object->pager);
	if (wanted < offset || wanted - offset >= length || flags > 3)
		return error_set(error, -EINVAL, "not a range");
	for (uint64_t at = offset; at < offset + length; at += page) {
		bool must = at == wanted || (flags & SWAP_GET_ALL) != 0;
		int r = get_page(object->pager, at / page, must,
				 flags & SWAP_GET_NOWAIT,
				 &states[(at - offset) / page]);

		count += r == 0;
		if (r < 0 && must && failed == 0)
			failed = error_set(error, r, "page %" PRIu64
					   " does not \"come\"", at / page);
	}
	return failed < 0 ? failed : count;
}

int
swap_object_flush(struct swap_object *object, uint64_t offset, uint64_t length,
		  unsigned flags, struct swap_error *error)
{
	struct swap_pager *pager = object->pager;

	part(pager);
	pager->last_flags = flags;
	change(pager, &pager->nflushed, (int)(length / page_bytes()));
	if (flags == SWAP_FLUSH_FREE && offset == 0)
		return error_set(error, -EBUSY, "page 0 is wired");
	return 0;
}

int
swap_object_reserve(struct swap_object *object, uint64_t offset,
		    uint64_t length, struct swap_error *error)
{
	struct swap_pager *pager = object->pager;
	int r = 0;

	(void)offset;
	pthread_mutex_lock(&pager->lock);
	if (object->noswap)
		r = error_set(error, -EPERM, "is not swapped");
	else if (pager->reserved + length > pager->reserve_max)
		r = error_set(error, -ENOSPC, "no space to set aside");
	else
		pager->reserved += length;
	pthread_mutex_unlock(&pager->lock);
	return r;
}

int
swap_object_unreserve(struct swap_object *object, uint64_t offset,
		      uint64_t length)
{
	struct swap_pager *pager = object->pager;

	(void)offset;
	pthread_mutex_lock(&pager->lock);
	pager->reserved -= length;
	pthread_mutex_unlock(&pager->lock);
	return 0;
}

/* Every second page has a block. */
int
swap_object_haspage(struct swap_object *object, uint64_t offset,
		    uint64_t *ret_before, uint64_t *ret_after)
{
	*ret_before = offset;
	*ret_after = object->size - offset - page_bytes();
	return offset / page_bytes() % 2 == 0;
}

int
swap_object_copy(struct swap_object *from, uint64_t from_offset,
		 struct swap_object *to, uint64_t to_offset, uint64_t length,
		 unsigned flags, struct swap_error *error)
{
	struct swap_pager *pager = from->pager;

	part(pager);
	if (from == to || from_offset + length > from->size ||
	    to_offset + length > to->size)
		return error_set(error, -EINVAL, "not a range");
	pthread_mutex_lock(&pager->lock);
	pager->last_flags = flags;
	pager->copied += length;
	pthread_mutex_unlock(&pager->lock);
	return 0;
}

/* ------------------------------------------------------ tunables, a device */

int
swap_pager_tunables(struct swap_pager *pager,
		    struct swap_tunable **ret_tunables, size_t *ret_n)
{
	struct swap_tunable *list = calloc(2, sizeof(*list));

	for (size_t i = 0; i < 2; i++) {
		strcpy(list[i].name, i == 0 ? "one" : "other");
		strcpy(list[i].default_value, "first");
		strcpy(list[i].unit, "words");
		strcpy(list[i].range, "first|second");
		strcpy(list[i].summary, "A word");
	}
	pthread_mutex_lock(&pager->lock);
	strcpy(list[0].value, pager->tuned);
	pthread_mutex_unlock(&pager->lock);
	strcpy(list[1].value, "first");
	*ret_tunables = list;
	*ret_n = 2;
	return 0;
}

int
swap_pager_tune(struct swap_pager *pager, const char *name, const char *value,
		struct swap_error *error)
{
	if (strcmp(name, "one") != 0)
		return error_set(error, -ENOENT, "no such tunable");
	if (strcmp(value, "first") != 0 && strcmp(value, "second") != 0)
		return error_set(error, -EINVAL, "one: not a value");
	pthread_mutex_lock(&pager->lock);
	strcpy(pager->tuned, value);
	pager->ntuned++;
	pthread_mutex_unlock(&pager->lock);
	return 0;
}

int
swap_pager_map(struct swap_pager *pager, const char *spec, size_t ncells,
	       struct swap_device_map *ret_map, struct swap_error *error)
{
	struct swap_device_map *map = ret_map;

	(void)pager;
	if (strcmp(spec, "/dev/fake") != 0)
		return error_set(error, -ENXIO, "%s: is not attached", spec);
	memset(map, 0, sizeof(*map));
	strcpy(map->path, spec);
	map->nblocks = UINT64_C(1) << 40;
	map->nfree = 66;
	map->nruns = 3;
	map->largest = 64;
	map->runs[0] = map->blocks[0] = 2;
	map->runs[6] = 1;
	map->blocks[6] = 64;
	map->cluster_pages = 32;
	map->fragmentation = 30;
	map->ncells = ncells;
	map->cells = calloc(ncells + 1, sizeof(*map->cells));
	for (size_t i = 0; i < ncells; i++) {
		map->cells[i].nblocks = i + 1;
		map->cells[i].nfree = i;
	}
	return 0;
}

void
swap_device_map_clear(struct swap_device_map *map)
{
	free(map->cells);
	map->cells = NULL;
	map->ncells = 0;
}

/* ---------------------------------------------------------------- devices */

int
swap_pager_range(struct swap_pager *pager, const char *spec, uint64_t first,
		 uint64_t nblocks, size_t ncells,
		 struct swap_range_cell cells[], struct swap_error *error)
{
	(void)pager;
	if (strcmp(spec, "/dev/fake") != 0)
		return error_set(error, -ENXIO, "%s: is not attached", spec);
	for (size_t i = 0; i < ncells; i++) {
		cells[i].nfree = min_u64(first + i, nblocks);
		cells[i].nbad = i % 2 && first == 0 ? 0 : i % 3;
	}
	return 0;
}

/* Two calls, with a run of another user's in between. */
int64_t
swap_pager_owners(struct swap_pager *pager, const char *spec, uint64_t first,
		  uint64_t nblocks, struct swap_owners_place *place,
		  struct swap_owner owners[], size_t n,
		  struct swap_error *error)
{
	(void)pager;
	if (strcmp(spec, "/dev/fake") != 0)
		return error_set(error, -ENXIO, "%s: is not attached", spec);
	memset(owners, 0, n * sizeof(owners[0]));
	for (unsigned i = 0; i < 2; i++) {
		owners[i].block = first + i;
		owners[i].nblocks = min_u64(nblocks, 1);
		owners[i].object = place->slot + 7;
		owners[i].page = place->page + i;
		owners[i].uid = (uint32_t)getuid() + i;
		owners[i].pid = 42;
		strcpy(owners[i].name, "some");
		strcpy(owners[i].command, "thing\xff");
	}
	place->done = place->slot > 0;
	place->slot++;
	place->page = 5;
	return 2;
}

int
swap_device_attach(struct swap_pager *pager, const char *spec,
		   const struct swap_device_options *options,
		   struct swap_error *error)
{
	if (strcmp(spec, "/missing") == 0)
		return error_set(error, -ENOENT, "/missing: no such device");
	if (options->priority != 5 || options->flags != SWAP_DEVICE_FORCE ||
	    options->create_bytes != 4096)
		return error_set(error, -EINVAL, "not the options of the test");
	change(pager, &pager->nattached, 1);
	return 0;
}

/* "/missing" cannot be detached, and the others do not mind. */
int
swap_devices_detach(struct swap_pager *pager, struct swap_detach detach[],
		    size_t n, swap_detach_fn *progress, void *arg)
{
	uint64_t done = 0;
	int rc = 0;

	change(pager, &pager->ndetaching, 1);
	for (size_t i = 0; i < n; i++) {
		detach[i].progress.total_bytes = 100;
		if (strcmp(detach[i].spec, "/missing") != 0)
			continue;
		detach[i].finished = 1;
		rc = error_set(&detach[i].error, -ENXIO, "/missing: is not "
			       "in use");
	}
	while (done < 100) {
		if (progress(arg, detach, n) != 0) {
			change(pager, &pager->ndetaching, -1);
			change(pager, &pager->nstopped, 1);
			for (size_t i = 0; i < n; i++)
				error_set(&detach[i].error, -EINTR, "stopped");
			return -EINTR;
		}
		done += pager->detach_ends ? 50 : 0;
		for (size_t i = 0; i < n; i++)
			detach[i].progress.done_bytes = done;
		nap();
	}
	change(pager, &pager->ndetaching, -1);
	return rc;
}

/* Each uid is charged what its objects are long. */
static void
charge_user(struct swap_stats *stats, const struct swap_object *object)
{
	size_t i;

	for (i = 0; i < stats->nusers; i++)
		if (stats->users[i].uid == object->owner.uid)
			break;
	stats->users[i].uid = object->owner.uid;
	stats->users[i].charged_bytes += object->size;
	stats->nusers += i == stats->nusers;
}

int
swap_pager_events(struct swap_pager *pager, uint64_t after,
		  struct swap_event **ret_events, size_t *ret_n)
{
	uint64_t last;

	return events_after(&pager->events, after, ret_events, ret_n, &last);
}

void
pager_client_gone(struct swap_pager *pager, const struct pager_owner *owner,
		  unsigned nheld)
{
	events_add(&pager->events, SWAP_EVENT_CLIENT_GONE, NULL, 0,
		   (int)owner->pid, "held %u", nheld);
}

int
pager_stats(struct swap_pager *pager, bool objects, uint64_t after,
	    struct swap_stats *ret_stats)
{
	struct swap_object *o;
	size_t i = 0;

	memset(ret_stats, 0, sizeof(*ret_stats));
	strcpy(ret_stats->provider, "swapd");
	pthread_mutex_lock(&pager->lock);
	ret_stats->clients = pager->nclients;
	ret_stats->objects = calloc(pager->nobjects + pager->extra_objects + 1,
				    sizeof(*ret_stats->objects));
	ret_stats->users = calloc(pager->nobjects + 1,
				  sizeof(*ret_stats->users));
	for (o = pager->objects; o != NULL; o = o->next, i++) {
		ret_stats->objects[i].uid = o->owner.uid;
		memcpy(ret_stats->objects[i].name, o->name, sizeof(o->name));
		charge_user(ret_stats, o);
	}
	ret_stats->nobjects = objects ? i + pager->extra_objects : 0;
	ret_stats->nobjects_live = i + pager->extra_objects;
	pthread_mutex_unlock(&pager->lock);
	return swap_pager_events(pager, after, &ret_stats->events,
				 &ret_stats->nevents);
}

void
swap_stats_clear(struct swap_stats *stats)
{
	free(stats->devices);
	free(stats->objects);
	free(stats->users);
	free(stats->events);
	stats->devices = NULL;
	stats->objects = NULL;
	stats->users = NULL;
	stats->events = NULL;
}

int
pager_handover(struct swap_pager *pager, struct swap_error *error)
{
	if (pager->handover_fails)
		return error_set(error, -ENOMEM, "does not fit");
	pager->handed_over = true;
	return 0;
}

void
pager_set_clients(struct swap_pager *pager, unsigned n)
{
	pthread_mutex_lock(&pager->lock);
	pager->nclients = n;
	pthread_mutex_unlock(&pager->lock);
}
