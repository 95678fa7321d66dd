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
#include "getpages.h"
#include "mapping.h"
#include "merge.h"
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

static struct object_spec
make_spec(const struct pager_owner *owner, const char *name, uint64_t size,
	  unsigned flags)
{
	return (struct object_spec){
		.name = name,
		.npages = (size >> page_shift()) +
			  ((size & (page_bytes() - 1)) != 0),
		.flags = flags,
		.uid = owner->uid,
		.pid = owner->pid,
		.command = owner->command,
		.client = owner->client,
		.pool = owner->pool,
	};
}

int
pager_object_create(struct swap_pager *pager, const struct pager_owner *owner,
		    const char *name, uint64_t size, unsigned flags,
		    struct swap_object **ret_object, struct swap_error *error)
{
	struct object_spec spec = make_spec(owner, name, size, flags);

	return object_create(&pager->core, &spec, ret_object, error);
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
	struct object_spec spec = make_spec(owner, NULL,
					    source->npages << page_shift(), 0);

	object_lock(source);
	spec.flags = source->flags;
	object_unlock(source);
	return copy_make(source, &spec, ret_copy, error);
}

void
pager_object_still(struct swap_object *object, bool still)
{
	copy_still(object, still);
}

int
swap_object_fork(struct swap_object *source, struct swap_object **ret_copy,
		 struct swap_error *error)
{
	struct pager_owner owner = self();

	return pager_object_copy(source, &owner, ret_copy, error);
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

/* ---------------------------------------------------------- pages, blocks */

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

static int
check_flags(unsigned flags, unsigned known, struct swap_error *error)
{
	if ((flags & ~known) == 0)
		return 0;
	return error_set(error, -EINVAL, "unknown flags 0x%x", flags & ~known);
}

static int
check_in_object(const struct swap_object *object, uint64_t offset,
		uint64_t length, struct swap_error *error)
{
	return check_range(swap_object_size(object), offset, length, error);
}

int
swap_object_allow_swap(struct swap_object *object)
{
	object_allow_swap(object);
	return 0;
}

static int
check_wanted(uint64_t offset, uint64_t length, uint64_t wanted,
	     struct swap_error *error)
{
	if (wanted >= offset && wanted - offset < length &&
	    (wanted & (page_bytes() - 1)) == 0)
		return 0;
	return error_set(error, -EINVAL,
		"wanted page at %" PRIu64 ": must be a page of the range",
		wanted);
}

int64_t
swap_object_get(struct swap_object *object, uint64_t offset, uint64_t length,
		uint64_t wanted, unsigned flags, uint8_t states[],
		struct swap_error *error)
{
	unsigned shift = page_shift();
	int64_t n;
	int rc = check_in_object(object, offset, length, error);

	if (rc == 0)
		rc = check_wanted(offset, length, wanted, error);
	if (rc == 0)
		rc = check_flags(flags, SWAP_GET_NOWAIT | SWAP_GET_ALL, error);
	if (rc < 0)
		return rc;
	n = getpages(object, offset >> shift, length >> shift, wanted >> shift,
		     flags, states);
	if (n == -EAGAIN)
		error_set(error, -EAGAIN, "not all that must come is there, "
			  "and to bring it takes time");
	else if (n == -EIO)
		error_set(error, -EIO, "a page is lost, or its block cannot "
			  "be read");
	else if (n < 0)
		error_set(error, (int)n, "pages cannot be brought in: %s",
			  strerror((int)-n));
	return n;
}

int
swap_object_flush(struct swap_object *object, uint64_t offset,
		  uint64_t length, unsigned flags, struct swap_error *error)
{
	uint64_t page = offset >> page_shift(), n = length >> page_shift();
	int rc = check_in_object(object, offset, length, error);

	if (rc == 0)
		rc = check_flags(flags, SWAP_FLUSH_DEACTIVATE | SWAP_FLUSH_FREE,
				 error);
	if (rc < 0)
		return rc;
	switch (flags) {
	case 0:
		return 0;
	case SWAP_FLUSH_DEACTIVATE:
		getpages_deactivate(object, page, n);
		return 0;
	case SWAP_FLUSH_FREE:
		rc = pageback_release(object, page, n);
		if (rc == -EBUSY)
			return error_set(error, rc, "a page is wired; unwire "
					 "it first");
		return rc < 0 ? error_set(error, rc, "pages cannot be freed: "
					  "%s", strerror(-rc)) : 0;
	default:
		return error_set(error, -EINVAL, "pages are flushed either to "
				 "go out first or to be freed, not both");
	}
}

int
swap_object_reserve(struct swap_object *object, uint64_t offset,
		    uint64_t length, struct swap_error *error)
{
	char text[32];
	int rc = check_in_object(object, offset, length, error);

	if (rc < 0)
		return rc;
	rc = object_reserve(object, offset >> page_shift(),
			    length >> page_shift());
	if (rc == -EPERM)
		return error_set(error, rc, "the object may not be swapped, so "
				 "there is nothing to reserve for");
	if (rc < 0)
		return error_set(error, rc, "%s of swap space cannot be set "
				 "aside: attach a device with 'swapctl on'",
				 format_size(length, text, sizeof(text)));
	return 0;
}

int
swap_object_unreserve(struct swap_object *object, uint64_t offset,
		      uint64_t length)
{
	int rc = check_in_object(object, offset, length, NULL);

	if (rc == 0)
		object_unreserve(object, offset >> page_shift(),
				 length >> page_shift());
	return rc;
}

int
swap_object_haspage(struct swap_object *object, uint64_t offset,
		    uint64_t *ret_before, uint64_t *ret_after)
{
	unsigned shift = page_shift();
	uint64_t before, after;
	bool has;

	if (offset >= swap_object_size(object) ||
	    (offset & (page_bytes() - 1)) != 0)
		return -EINVAL;
	has = getpages_haspage(object, offset >> shift,
			       ret_before != NULL ? &before : NULL,
			       ret_after != NULL ? &after : NULL);
	if (ret_before != NULL)
		*ret_before = before << shift;
	if (ret_after != NULL)
		*ret_after = after << shift;
	return has;
}

static int
copy_failed(int rc, struct swap_error *error)
{
	switch (rc) {
	case -EBUSY:
		return error_set(error, rc, "a page of the source is wired, so "
				 "it cannot be freed; unwire it first");
	case -EIO:
		return error_set(error, rc, "a page is lost, or its block "
				 "cannot be read; those before it have been "
				 "copied; release it to go on");
	case -ENOSPC:
		return error_set(error, rc, "no swap space is left to be set "
				 "aside instead of a reserved block of the "
				 "source");
	case -EDQUOT:
		return error_set(error, rc, "no room for the swap map of the "
				 "destination within tunable 'metadata_limit'");
	case -ESHUTDOWN:
		return error_set(error, rc, "the pager is ending");
	default:
		return error_set(error, rc, "pages cannot be copied: %s",
				 strerror(-rc));
	}
}

int
swap_object_copy(struct swap_object *from, uint64_t from_offset,
		 struct swap_object *to, uint64_t to_offset, uint64_t length,
		 unsigned flags, struct swap_error *error)
{
	unsigned shift = page_shift();
	int rc = check_in_object(from, from_offset, length, error);

	if (rc == 0)
		rc = check_in_object(to, to_offset, length, error);
	if (rc == 0)
		rc = check_flags(flags, SWAP_COPY_DESTROY, error);
	if (rc < 0)
		return rc;
	if (from == to || from->core != to->core)
		return error_set(error, -EINVAL, "source and destination %s",
				 from == to ? "are one object" :
				 "have different pagers");
	if (!to->exact)
		return error_set(error, -EINVAL, "the destination does not "
				 "know which of its pages were written; make "
				 "it with SWAP_OBJECT_EXACT");
	rc = merge(from, from_offset >> shift, to, to_offset >> shift,
		   length >> shift, flags);
	return rc < 0 ? copy_failed(rc, error) : 0;
}

/* ---------------------------------------------------------------- regions */

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

/*
 * Count wires, and those pages that had none against the budget, all or
 * nothing.  -EAGAIN: one is at its limit; -ENOMEM the budget.
 */
static int
wire_count(struct swap_object *object, uint64_t page, uint64_t n)
{
	uint64_t fresh = 0;
	int rc = 0;

	object_lock(object);
	for (uint64_t i = page; i < page + n && rc == 0; i++) {
		fresh += object->wire[i] == 0;
		if (object->wire[i] == UINT8_MAX)
			rc = -EAGAIN;
	}
	if (rc == 0 && !object_wire_take(object, fresh))
		rc = -ENOMEM;
	if (rc == 0) {
		object->nwired += fresh;
		for (uint64_t i = page; i < page + n; i++)
			object->wire[i]++;
	}
	object_unlock(object);
	return rc;
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
	object_wire_give(object, gone);
	object_unlock(object);
}

int
swap_region_wire(struct swap_region *region, uint64_t offset, uint64_t length,
		 struct swap_error *error)
{
	struct swap_object *object = region->object;
	uint64_t page = region->first_page + (offset >> page_shift());
	uint64_t n = length >> page_shift();
	struct pageback pb = { .core = object->core };
	int rc = check_in_region(region, offset, length, error);

	if (rc < 0)
		return rc;
	rc = wire_count(object, page, n);
	if (rc == -ENOMEM)
		return error_set(error, rc,
			"%" PRIu64 " pages cannot be wired: a quarter of the "
			"RAM budget must stay free to page; raise the budget "
			"or wire less", n);
	if (rc < 0)
		return error_set(error, rc,
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

int
swap_region_set_writable(struct swap_region *region, bool writable)
{
	if (region->mapping == NULL)
		return -EINVAL;
	return region_set_writable(region, writable);
}

int
pager_region_set_writable(struct swap_region *region, bool writable)
{
	return region_set_writable(region, writable);
}
