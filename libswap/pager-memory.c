/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The pager's memory calls: objects and regions, for an embedder (swap.h) and
 * for a server on behalf of other processes (pager.h).  Arguments are checked
 * here; the rooms below trust them.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "copy.h"
#include "mapping.h"
#include "pageback.h"
#include "pageio.h"
#include "pager-impl.h"
#include "pager.h"
#include "uffd.h"
#include "util.h"

/* ---------------------------------------------------------------- objects */

static struct pager_owner
self(void)
{
	struct pager_owner owner = { .uid = geteuid(), .pid = getpid() };

	prctl(PR_GET_NAME, owner.command);
	return owner;
}

static int
create(struct swap_pager *pager, const struct pager_owner *owner,
       const char *name, uint64_t size, unsigned flags,
       struct swap_object *source, struct swap_object **ret_object,
       struct swap_error *error)
{
	struct object_spec spec = {
		.name = name,
		.npages = (size >> page_shift()) +
			  ((size & (page_bytes() - 1)) != 0),
		.flags = flags,
		.uid = owner->uid,
		.pid = owner->pid,
		.command = owner->command,
		.source = source,
	};

	return object_create(&pager->core, &spec, ret_object, error);
}

int
pager_object_create(struct swap_pager *pager, const struct pager_owner *owner,
		    const char *name, uint64_t size, unsigned flags,
		    struct swap_object **ret_object, struct swap_error *error)
{
	return create(pager, owner, name, size, flags, NULL, ret_object,
		      error);
}

int
pager_object_open(struct swap_pager *pager, const struct pager_owner *owner,
		  const char *name, struct swap_object **ret_object,
		  struct swap_error *error)
{
	struct swap_object *object = object_find(&pager->core, name);

	if (object == NULL)
		return error_set(error, -ENOENT,
			"object '%s': there is none; create it first, or see "
			"'swapctl objects'", name);
	if (owner->uid != 0 && owner->uid != object->uid) {
		object_unref(object);
		return error_set(error, -EACCES,
			"object '%s' belongs to another user; only its owner "
			"and root may open it", name);
	}
	*ret_object = object;
	return 0;
}

int
pager_object_copy(struct swap_object *source, const struct pager_owner *owner,
		  struct swap_object **ret_copy, struct swap_error *error)
{
	struct swap_pager *pager = container_of(source->core,
						struct swap_pager, core);

	return create(pager, owner, NULL, source->npages << page_shift(),
		      source->flags, source, ret_copy, error);
}

void
pager_object_cut(struct swap_object *copy)
{
	copy_cut(copy);
}

uint64_t
pager_object_id(const struct swap_object *object)
{
	return object->id;
}

int
pager_object_memfd(const struct swap_object *object)
{
	return object->memfd;
}

int
swap_object_create(struct swap_pager *pager, const char *name, uint64_t size,
		   unsigned flags, struct swap_object **ret_object,
		   struct swap_error *error)
{
	struct pager_owner owner = self();

	return pager_object_create(pager, &owner, name, size, flags,
				   ret_object, error);
}

int
swap_object_open(struct swap_pager *pager, const char *name,
		 struct swap_object **ret_object, struct swap_error *error)
{
	struct pager_owner owner = self();

	return pager_object_open(pager, &owner, name, ret_object, error);
}

struct swap_object *
swap_object_ref(struct swap_object *object)
{
	atomic_fetch_add(&object->refs, 1);
	return object;
}

void
swap_object_unref(struct swap_object *object)
{
	object_unref(object);
}

uint64_t
swap_object_size(const struct swap_object *object)
{
	return object->npages << page_shift();
}

/* ---------------------------------------------------------------- regions */

static int
check_range(uint64_t size, uint64_t offset, uint64_t length,
	    struct swap_error *error)
{
	uint64_t mask = page_bytes() - 1;

	if (((offset | length) & mask) != 0 || length == 0)
		return error_set(error, -EINVAL,
			"offset %" PRIu64 " and length %" PRIu64 ": must be "
			"multiples of the page size, and not empty", offset,
			length);
	if (offset > size || length > size - offset)
		return error_set(error, -EINVAL,
			"offset %" PRIu64 " and length %" PRIu64 ": beyond the "
			"end at %" PRIu64, offset, length, size);
	return 0;
}

int
pager_region_join(struct swap_object *object, int uffd, uint64_t address,
		  uint64_t offset, uint64_t length,
		  const struct pager_notify *notify,
		  struct swap_region **ret_region, struct swap_error *error)
{
	struct swap_pager *pager = container_of(object->core,
						struct swap_pager, core);
	struct region_spec spec = {
		.uffd = uffd,
		.address = address,
		.first_page = offset >> page_shift(),
		.npages = length >> page_shift(),
		.can_poison = (pager->uffd_features & UFFD_FEATURE_POISON) != 0,
		.poison = notify != NULL ? notify->poison : NULL,
		.poison_arg = notify != NULL ? notify->arg : NULL,
	};
	struct swap_region *region;
	int rc = check_range(swap_object_size(object), offset, length, error);

	if (rc < 0)
		return rc;
	if ((address & (page_bytes() - 1)) != 0 ||
	    address > UINT64_MAX - length)
		return error_set(error, -EINVAL,
			"address 0x%" PRIx64 ": must be page-aligned and leave "
			"room for the region", address);
	/* A fault thread must never sleep in a read. */
	if (fcntl(uffd, F_SETFL, O_NONBLOCK) < 0)
		return error_set(error, -errno, "userfaultfd: %s",
				 strerror(errno));
	rc = region_join(&pager->regions, object, &spec, &region);
	if (rc == 0 && atomic_load(&pager->handed_over)) {
		/* Nobody would answer its faults. */
		region->borrowed = true;
		region_leave(region);
		rc = -ESHUTDOWN;
	}
	if (rc < 0)
		return error_set(error, rc, "the region cannot be served: %s",
				 rc == -ESHUTDOWN ? "the pager has ended" :
				 strerror(-rc));
	*ret_region = region;
	return 0;
}

void
pager_region_leave(struct swap_region *region)
{
	region_leave(region);
}

static void
poison_local(void *arg, uint64_t address, uint64_t length)
{
	mapping_poison(arg, address, length);
}

int
swap_object_map(struct swap_object *object, void *address, uint64_t offset,
		uint64_t length, struct swap_region **ret_region,
		struct swap_error *error)
{
	struct mapping *mapping;
	struct pager_notify notify = { .poison = poison_local };
	struct swap_region *region;
	int rc, uffd;

	rc = check_range(swap_object_size(object), offset, length, error);
	if (rc < 0)
		return rc;
	mapping = malloc(sizeof(*mapping));
	if (mapping == NULL)
		return error_set(error, -ENOMEM, "no memory for a region");
	rc = mapping_create(object->memfd, address, offset, length, -1,
			    mapping, error);
	if (rc < 0) {
		free(mapping);
		return rc;
	}
	notify.arg = mapping;
	uffd = fcntl(mapping->uffd, F_DUPFD_CLOEXEC, 0);
	rc = uffd < 0 ? error_set(error, -errno, "userfaultfd: %s",
				  strerror(errno)) :
	     pager_region_join(object, uffd, (uint64_t)(uintptr_t)
			       mapping->address, offset, length, &notify,
			       &region, error);
	if (rc < 0) {
		if (uffd >= 0)
			close(uffd);
		mapping_destroy(mapping);
		free(mapping);
		return rc;
	}
	region->mapping = mapping;
	*ret_region = region;
	return 0;
}

void *
swap_region_address(const struct swap_region *region)
{
	return (void *)(uintptr_t)region->address;
}

int
swap_region_unmap(struct swap_region *region)
{
	struct mapping *mapping = region->mapping;

	if (mapping == NULL)
		return -EINVAL;
	pager_region_leave(region);
	mapping_destroy(mapping);
	free(mapping);
	return 0;
}

static int
check_in_region(const struct swap_region *region, uint64_t offset,
		uint64_t length, struct swap_error *error)
{
	return check_range(region->npages << page_shift(), offset, length,
			   error);
}

int
swap_region_release(struct swap_region *region, uint64_t offset,
		    uint64_t length)
{
	int rc = check_in_region(region, offset, length, NULL);

	if (rc < 0)
		return rc;
	return pageback_release(region->object,
				region->first_page + (offset >> page_shift()),
				length >> page_shift());
}

/* Count wires: pages from @page on, until one is at its limit. */
static uint64_t
wire_count(struct swap_object *object, uint64_t page, uint64_t n, bool *full)
{
	uint64_t i, fresh = 0;

	*full = false;
	object_lock(object);
	for (i = 0; i < n && object->wire[page + i] < UINT8_MAX; i++)
		if (object->wire[page + i]++ == 0)
			fresh++;
	object->nwired += fresh;
	if (i < n) {
		/* All or nothing. */
		*full = true;
		while (i-- > 0)
			if (--object->wire[page + i] == 0)
				object->nwired--;
		fresh = 0;
	}
	object_unlock(object);
	return fresh;
}

static void
wire_uncount(struct swap_object *object, uint64_t page, uint64_t n)
{
	uint64_t gone = 0;

	object_lock(object);
	for (uint64_t i = 0; i < n; i++)
		if (object->wire[page + i] > 0 &&
		    --object->wire[page + i] == 0)
			gone++;
	object->nwired -= gone;
	object_unlock(object);
	object_wire_give(object, gone);
}

int
swap_region_wire(struct swap_region *region, uint64_t offset, uint64_t length,
		 struct swap_error *error)
{
	struct swap_object *object = region->object;
	uint64_t page = region->first_page + (offset >> page_shift());
	uint64_t n = length >> page_shift(), fresh;
	struct pageback pb = { .core = object->core };
	bool full;
	int rc = check_in_region(region, offset, length, error);

	if (rc < 0)
		return rc;
	/* First counted against the budget as if all were new. */
	if (!object_wire_take(object, n))
		return error_set(error, -ENOMEM,
			"%" PRIu64 " pages cannot be wired: a quarter of the "
			"RAM budget must stay free to page; raise the budget "
			"or wire less", n);
	fresh = wire_count(object, page, n, &full);
	object_wire_give(object, n - fresh);
	if (full)
		return error_set(error, -EAGAIN,
			"a page is wired 255 times already; unwire it first");
	pb.buf = pageio_buffer(SWAP_CLUSTER_MAX);
	rc = pb.buf != NULL ? pageback_range(&pb, object, page, n) : -ENOMEM;
	pageio_buffer_free(pb.buf, SWAP_CLUSTER_MAX);
	if (rc < 0) {
		wire_uncount(object, page, n);
		error_set(error, rc, "pages cannot be brought in to be wired: "
			  "%s", strerror(-rc));
	}
	return rc;
}

int
swap_region_unwire(struct swap_region *region, uint64_t offset,
		   uint64_t length)
{
	int rc = check_in_region(region, offset, length, NULL);

	if (rc < 0)
		return rc;
	wire_uncount(region->object,
		     region->first_page + (offset >> page_shift()),
		     length >> page_shift());
	return 0;
}
