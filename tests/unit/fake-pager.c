/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The fake pager: just enough of pager.h and swap.h for a server.
 */
#include "fake-pager.h"

#include <errno.h>
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
};

struct swap_region {
	struct swap_object *object;
	int		 uffd;
};

void
fake_init(struct swap_pager *pager)
{
	memset(pager, 0, sizeof(*pager));
	pthread_mutex_init(&pager->lock, NULL);
}

void
fake_fini(struct swap_pager *pager)
{
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

	(void)flags;
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
pager_object_cut(struct swap_object *copy)
{
	change(copy->pager, &copy->pager->ncut, 1);
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

int
swap_device_detach(struct swap_pager *pager, const char *spec,
		   swap_progress_fn *progress, void *arg,
		   struct swap_error *error)
{
	struct swap_progress p = { .total_bytes = 100 };

	(void)spec;
	change(pager, &pager->ndetaching, 1);
	while (p.done_bytes < 100) {
		if (progress(arg, &p) != 0) {
			change(pager, &pager->ndetaching, -1);
			change(pager, &pager->nstopped, 1);
			return error_set(error, -EINTR, "stopped");
		}
		p.done_bytes += pager->detach_ends ? 50 : 0;
		nap();
	}
	change(pager, &pager->ndetaching, -1);
	return 0;
}

int
swap_pager_stats(struct swap_pager *pager, struct swap_stats *ret_stats)
{
	struct swap_object *o;
	size_t i = 0;

	memset(ret_stats, 0, sizeof(*ret_stats));
	strcpy(ret_stats->provider, "swapd");
	pthread_mutex_lock(&pager->lock);
	ret_stats->clients = pager->nclients;
	ret_stats->objects = calloc(pager->nobjects + pager->extra_objects + 1,
				    sizeof(*ret_stats->objects));
	for (o = pager->objects; o != NULL; o = o->next, i++) {
		ret_stats->objects[i].uid = o->owner.uid;
		memcpy(ret_stats->objects[i].name, o->name, sizeof(o->name));
	}
	ret_stats->nobjects = i + pager->extra_objects;
	pthread_mutex_unlock(&pager->lock);
	return 0;
}

void
swap_stats_clear(struct swap_stats *stats)
{
	free(stats->devices);
	free(stats->objects);
	stats->devices = NULL;
	stats->objects = NULL;
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
