/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A client's objects and regions.
 *
 * A region is mapped and watched here, in the process whose memory it is to
 * be; then its userfaultfd goes to the swapd, and only when the swapd has said
 * that it serves it is the address handed out.  Our own duplicate of the
 * userfaultfd stays open as long as the mapping, so that with the swapd dead an
 * access waits instead of reading zeros.
 *
 * On the way back the swapd first stops serving, then the mapping is taken
 * down.  A swapd that is gone does not keep a mapping from being taken down.
 *
 * After a handover the memory is ordinary shared memory and this process is on
 * its own: release becomes a punch into the object, wire and unwire have
 * nothing to do.
 */
#include "client-impl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../util.h"
#include "scan.h"
#include "varlink.h"

/* Every byte may become six ("\u001f"), in quotes. */
#define QUOTED_NAME_SIZE	(6u * SWAP_NAME_MAX + 3u)

static int
nonsense(struct swap_error *error)
{
	return error_set(error, -EPROTO, "swapd's answer makes no sense; it "
			 "may be of another version");
}

/* ---------------------------------------------------------------- objects */

static void
object_link(struct swap_client_object *object)
{
	struct swap_client *client = object->client;

	pthread_mutex_lock(&client->list);
	object->next = client->objects;
	object->prev = &client->objects;
	if (object->next != NULL)
		object->next->prev = &object->next;
	client->objects = object;
	pthread_mutex_unlock(&client->list);
}

static void
object_unlink(struct swap_client_object *object)
{
	pthread_mutex_lock(&object->client->list);
	*object->prev = object->next;
	if (object->next != NULL)
		object->next->prev = object->prev;
	pthread_mutex_unlock(&object->client->list);
}

/* What the answer and its descriptor say. */
static int
object_fill(struct swap_client_object *object, struct swap_error *error)
{
	struct frame *frame = &object->client->frame;
	int64_t handle, size;

	if (scan_int(frame->buf, "object", &handle) < 0 || handle <= 0 ||
	    scan_int(frame->buf, "size_bytes", &size) < 0 || size <= 0)
		return nonsense(error);
	object->memfd = frame_take_fd(frame);
	if (object->memfd < 0)
		return error_set(error, -EMFILE, "the object's descriptor did "
				 "not arrive: too many open files in this "
				 "process");
	object->handle = (uint64_t)handle;
	object->size = (uint64_t)size;
	return 0;
}

/* Ask for an object with a request that is answered with one. */
static int
object_ask(struct swap_client *client, const char *request,
	   struct swap_client_object **ret_object, struct swap_error *error)
{
	struct swap_client_object *object = calloc(1, sizeof(*object));
	int r;

	if (object == NULL)
		return error_set(error, -ENOMEM, "out of memory");
	object->client = client;
	client_begin(client);
	r = client_ask(client, request, -1, error);
	if (r == 0)
		r = object_fill(object, error);
	client_end(client);
	if (r < 0) {
		free(object);
		return r;
	}
	object_link(object);
	*ret_object = object;
	return 0;
}

static int
quote_name(const char *name, char quoted[QUOTED_NAME_SIZE],
	   struct swap_error *error)
{
	int r;

	if (strlen(name) > SWAP_NAME_MAX)
		return error_set(error, -EINVAL, "object name '%.80s' is "
				 "longer than %d bytes", name, SWAP_NAME_MAX);
	r = scan_quote(quoted, QUOTED_NAME_SIZE, name);
	if (r < 0)
		return error_set(error, -EINVAL, "the name of an object has "
				 "to be UTF-8");
	return 0;
}

int
swap_client_object_create(struct swap_client *client, const char *name,
			  uint64_t size, unsigned flags,
			  struct swap_client_object **ret_object,
			  struct swap_error *error)
{
	char request[CLIENT_REQUEST_MAX], quoted[QUOTED_NAME_SIZE] = "null";
	int r;

	if ((flags & ~(SWAP_OBJECT_NOSWAP | SWAP_OBJECT_EXACT)) != 0)
		return error_set(error, -EINVAL, "unknown object flags %#x",
				 flags);
	if (size == 0)
		return error_set(error, -EINVAL, "an object of 0 bytes");
	if (size > INT64_MAX)
		return error_set(error, -EFBIG, "an object of %" PRIu64
				 " bytes is larger than any memory", size);
	if (name != NULL) {
		r = quote_name(name, quoted, error);
		if (r < 0)
			return r;
	}
	r = client_format(request, "CreateObject", "\"name\":%s,"
			  "\"size_bytes\":%" PRIu64 ",\"noswap\":%s,"
			  "\"exact\":%s", quoted, size,
			  flags & SWAP_OBJECT_NOSWAP ? "true" : "false",
			  flags & SWAP_OBJECT_EXACT ? "true" : "false");
	if (r < 0)
		return r;
	return object_ask(client, request, ret_object, error);
}

int
swap_client_object_open(struct swap_client *client, const char *name,
			struct swap_client_object **ret_object,
			struct swap_error *error)
{
	char request[CLIENT_REQUEST_MAX], quoted[QUOTED_NAME_SIZE];
	int r;

	r = quote_name(name, quoted, error);
	if (r == 0)
		r = client_format(request, "OpenObject", "\"name\":%s",
				  quoted);
	if (r < 0)
		return r;
	return object_ask(client, request, ret_object, error);
}

void
swap_client_object_close(struct swap_client_object *object)
{
	char request[CLIENT_REQUEST_MAX];

	object_unlink(object);
	/* With the swapd gone there is nothing left to close. */
	if (client_format(request, "CloseObject", "\"object\":%" PRIu64,
			  object->handle) == 0)
		(void)client_tell(object->client, request, NULL);
	close(object->memfd);
	free(object);
}

uint64_t
swap_client_object_size(const struct swap_client_object *object)
{
	return object->size;
}

int
swap_client_limit(struct swap_client *client, uint64_t ram_bytes,
		  uint64_t swap_bytes, struct swap_error *error)
{
	char request[CLIENT_REQUEST_MAX];
	int r;

	/* More than any memory is no limit. */
	if (ram_bytes > INT64_MAX)
		ram_bytes = INT64_MAX;
	if (swap_bytes > INT64_MAX)
		swap_bytes = INT64_MAX;
	r = client_format(request, "Limit", "\"ram_bytes\":%" PRIu64
			  ",\"swap_bytes\":%" PRIu64, ram_bytes, swap_bytes);
	return r < 0 ? r : client_tell(client, request, error);
}

/* ---------------------------------------------------------------- mapping */

/* The swapd's /dev/userfaultfd, for a process that may not open one. */
static int
device_ask(struct swap_client *client)
{
	char request[CLIENT_REQUEST_MAX];
	int r;

	if (client->device_fd >= 0)
		return 0;
	/* No parameters; written so that the format is not empty. */
	r = client_format(request, "GetUserfaultDevice", "%s", "");
	if (r == 0)
		r = client_ask(client, request, -1, NULL);
	if (r < 0)
		return r;
	client->device_fd = frame_take_fd(&client->frame);
	return client->device_fd < 0 ? -ENOENT : 0;
}

/* With our own means, else with the swapd's help. */
static int
map_here(struct swap_client_object *object, void *address, uint64_t offset,
	 uint64_t length, struct mapping *ret_mapping,
	 struct swap_error *error)
{
	struct swap_client *client = object->client;
	int r;

	r = mapping_create(object->memfd, address, offset, length,
			   client->device_fd, ret_mapping, error);
	if (r != -EPERM || client->device_fd >= 0)
		return r;
	if (device_ask(client) < 0)
		return r;
	return mapping_create(object->memfd, address, offset, length,
			      client->device_fd, ret_mapping, error);
}

/* Have the swapd serve the mapping. */
static int
map_there(struct swap_client_object *object, const struct mapping *m,
	  uint64_t offset, uint64_t *ret_handle, struct swap_error *error)
{
	struct swap_client *client = object->client;
	char request[CLIENT_REQUEST_MAX];
	int64_t handle;
	int r;

	r = client_format(request, "MapRegion", "\"object\":%" PRIu64
			  ",\"address\":%" PRIu64 ",\"offset_bytes\":%" PRIu64
			  ",\"length_bytes\":%" PRIu64, object->handle,
			  (uint64_t)(uintptr_t)m->address, offset, m->length);
	if (r == 0)
		r = client_ask(client, request, m->uffd, error);
	if (r < 0)
		return r;
	if (scan_int(client->frame.buf, "region", &handle) < 0 || handle <= 0)
		return nonsense(error);
	*ret_handle = (uint64_t)handle;
	return 0;
}

static void
region_link(struct swap_client_region *region)
{
	struct swap_client *client = region->client;

	pthread_mutex_lock(&client->list);
	region->next = client->regions;
	region->prev = &client->regions;
	if (region->next != NULL)
		region->next->prev = &region->next;
	client->regions = region;
	pthread_mutex_unlock(&client->list);
}

static void
region_unlink(struct swap_client_region *region)
{
	pthread_mutex_lock(&region->client->list);
	*region->prev = region->next;
	if (region->next != NULL)
		region->next->prev = region->prev;
	pthread_mutex_unlock(&region->client->list);
}

static void
region_free(struct swap_client_region *region)
{
	pthread_mutex_destroy(&region->writable);
	free(region);
}

/*
 * With the client held.  The region is on the list before the swapd knows of
 * it, since a "poison" may come at once.
 */
static int
map_region(struct swap_client_object *object, void *address, uint64_t offset,
	   uint64_t length, struct swap_client_region *region,
	   struct swap_error *error)
{
	int r;

	r = client_attend(object->client, error);
	if (r == 0)
		r = map_here(object, address, offset, length,
			     &region->mapping, error);
	if (r < 0)
		return r;
	region_link(region);
	r = map_there(object, &region->mapping, offset, &region->handle,
		      error);
	if (r < 0) {
		region_unlink(region);
		mapping_destroy(&region->mapping);
	}
	return r;
}

int
swap_client_map(struct swap_client_object *object, void *address,
		uint64_t offset, uint64_t length,
		struct swap_client_region **ret_region,
		struct swap_error *error)
{
	struct swap_client_region *region;
	int r;

	if (length > object->size || offset > object->size - length)
		return error_set(error, -EINVAL, "%" PRIu64 " bytes at %"
				 PRIu64 " reach beyond the object's %" PRIu64,
				 length, offset, object->size);
	region = calloc(1, sizeof(*region));
	if (region == NULL)
		return error_set(error, -ENOMEM, "out of memory");
	region->client = object->client;
	pthread_mutex_init(&region->writable, NULL);
	client_begin(object->client);
	r = map_region(object, address, offset, length, region, error);
	client_end(object->client);
	if (r < 0) {
		region_free(region);
		return r;
	}
	*ret_region = region;
	return 0;
}

void *
swap_client_region_address(const struct swap_client_region *region)
{
	return region->mapping.address;
}

int
swap_client_unmap(struct swap_client_region *region)
{
	char request[CLIENT_REQUEST_MAX];
	int r;

	r = client_format(request, "UnmapRegion", "\"region\":%" PRIu64,
			  region->handle);
	if (r == 0)
		r = client_tell(region->client, request, NULL);
	region_unlink(region);
	mapping_destroy(&region->mapping);
	region_free(region);
	return r == -ECONNRESET ? 0 : r;
}

/* ----------------------------------------------------------------- ranges */

static int
range_tell(struct swap_client_region *region, const char *method,
	   uint64_t offset, uint64_t length, struct swap_error *error)
{
	char request[CLIENT_REQUEST_MAX];
	int r;

	r = client_format(request, method, "\"region\":%" PRIu64
			  ",\"offset_bytes\":%" PRIu64 ",\"length_bytes\":%"
			  PRIu64, region->handle, offset, length);
	if (r < 0)
		return r;
	return client_tell(region->client, request, error);
}

/* Is the range within the region, in whole pages? */
static int
range_check(const struct swap_client_region *region, uint64_t offset,
	    uint64_t length)
{
	const struct mapping *m = &region->mapping;

	if (length == 0 || length > m->length || offset > m->length - length ||
	    ((offset | length) & (page_bytes() - 1)) != 0)
		return -EINVAL;
	return 0;
}

/*
 * 0: done by the swapd; 1: the memory is ordinary, so it is up to us; else the
 * error.
 */
static int
range_do(struct swap_client_region *region, const char *method,
	 uint64_t offset, uint64_t length, struct swap_error *error)
{
	int r;

	r = range_check(region, offset, length);
	if (r < 0)
		return error_set(error, r, "offset and length must be whole "
				 "pages within the region");
	if (client_handed_over(region->client, false))
		return 1;
	r = range_tell(region, method, offset, length, error);
	if (r == -ECONNRESET && client_handed_over(region->client, true))
		return 1;
	return r;
}

int
swap_client_release(struct swap_client_region *region, uint64_t offset,
		    uint64_t length)
{
	char *address = region->mapping.address;
	int r = range_do(region, "Release", offset, length, NULL);

	if (r <= 0)
		return r;
	return madvise(address + offset, (size_t)length, MADV_REMOVE) < 0
		? -errno : 0;
}

int
swap_client_wire(struct swap_client_region *region, uint64_t offset,
		 uint64_t length, struct swap_error *error)
{
	int r = range_do(region, "Wire", offset, length, error);

	return r > 0 ? 0 : r;
}

int
swap_client_unwire(struct swap_client_region *region, uint64_t offset,
		   uint64_t length)
{
	int r = range_do(region, "Unwire", offset, length, NULL);

	return r > 0 ? 0 : r;
}

/* ----------------------------------------------------------------- copies */

static int
copy_begin(struct swap_client_object *object, bool still,
	   char ret_token[CLIENT_TOKEN_SIZE])
{
	struct swap_client *client = object->client;
	char request[CLIENT_REQUEST_MAX], token[CLIENT_TOKEN_SIZE];
	int r;

	r = client_format(request, "CopyObject", "\"object\":%" PRIu64
			  ",\"still\":%s", object->handle,
			  still ? "true" : "false");
	if (r < 0)
		return r;
	client_begin(client);
	r = client_ask(client, request, -1, NULL);
	if (r == 0 && scan_text(client->frame.buf, "token", token,
				sizeof(token)) < 0)
		r = nonsense(NULL);
	client_end(client);
	if (r == 0)
		memcpy(ret_token, token, sizeof(token));
	return r;
}

int
client_copy_begin(struct swap_client_object *object,
		  char ret_token[CLIENT_TOKEN_SIZE])
{
	return copy_begin(object, false, ret_token);
}

int
client_copy_begin_still(struct swap_client_object *object,
			char ret_token[CLIENT_TOKEN_SIZE])
{
	return copy_begin(object, true, ret_token);
}

void
client_copy_go_on(struct swap_client *client)
{
	static const char request[] = "{\"method\":\"" VARLINK_PAGER
				      ".GoOn\",\"oneway\":true}";

	client_begin(client);
	if (!client->broken &&
	    frame_send(&client->frame, request, NULL, 0, -1) < 0)
		client->broken = true;
	client_end(client);
}

int
client_copy_claim(const char *pager_socket_path, const char *token,
		  struct swap_client **ret_client,
		  struct swap_client_object **ret_object,
		  struct swap_error *error)
{
	char request[CLIENT_REQUEST_MAX], quoted[6 * CLIENT_TOKEN_SIZE];
	struct swap_client *client;
	int r;

	r = scan_quote(quoted, sizeof(quoted), token);
	if (r == 0)
		r = client_format(request, "ClaimCopy", "\"token\":%s",
				  quoted);
	if (r < 0)
		return error_set(error, -EINVAL, "not a token");
	r = swap_client_connect(pager_socket_path, &client, error);
	if (r < 0)
		return r;
	r = object_ask(client, request, ret_object, error);
	if (r < 0) {
		swap_client_close(client);
		return r;
	}
	*ret_client = client;
	return 0;
}

int
client_copy_drop(struct swap_client *client, const char *token)
{
	char request[CLIENT_REQUEST_MAX], quoted[6 * CLIENT_TOKEN_SIZE];
	int r;

	r = scan_quote(quoted, sizeof(quoted), token);
	if (r == 0)
		r = client_format(request, "DropCopy", "\"token\":%s", quoted);
	if (r < 0)
		return -EINVAL;
	client_begin(client);
	r = client_ask(client, request, -1, NULL);
	client_end(client);
	return r > 0 ? 0 : r;
}

int
client_ordinary_memfd(const struct swap_client_object *object)
{
	return client_handed_over(object->client, true) ? object->memfd : -1;
}
