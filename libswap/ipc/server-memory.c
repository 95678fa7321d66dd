/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Methods about memory: objects, regions, and copies for forked children.
 *
 * What a connection makes belongs to it, under numbers that mean nothing on
 * any other, and goes when it goes: regions first, since each is served
 * through its object.
 *
 * A copy for a forked child is offered by its parent's connection, under a
 * token, until another connection of the same user claims it: from then on it
 * is that one's, and nothing of the parent's.  An offer goes with the parent's
 * connection, or when the parent drops it; a child that has inherited the
 * connection keeps it open for that.  Where the parent asks for it, the
 * object is still until it says that it goes on (or its time is over, so that
 * nobody can stop others): between copy and fork its memory does not change.
 */
#include "server-impl.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "../threads.h"
#include "../util.h"

/* Addresses and offsets stay below this: user space has no more. */
#define ADDRESS_END	(UINT64_C(1) << 56)

static int
out_of_memory(struct request *request)
{
	return reply_refused(request, -ENOMEM, "swapd is out of memory");
}

static int
too_many(struct request *request)
{
	return reply_refused(request, -ENOSPC, "this user or this swapd has "
			     "too many objects and regions; close some");
}

static int
bad_handle(struct request *request, const char *name)
{
	return reply_service_error(request, "InvalidParameter", "parameter",
				   name);
}

static int
refuse_ending(struct request *request)
{
	return reply_refused(request, -ESHUTDOWN, "swapd '%s' is ending and "
			     "takes no more memory; connect to another one",
			     request->conn->server->paths.name);
}

/* ---------------------------------------------------------------- objects */

static void
object_item_free(struct conn *conn, struct object_item *item)
{
	swap_object_unref(item->object);
	conn_uncharge_item(conn);
	free(item);
}

/* Enter an object, whose reference is given away, also on failure. */
static int
object_enter(struct conn *conn, struct swap_object *object,
	     uint64_t *ret_handle)
{
	struct object_item *item = calloc(1, sizeof(*item));
	int r = -ENOMEM;

	if (item != NULL) {
		item->object = object;
		item->size = swap_object_size(object);
		r = conn_charge_item(conn);
		if (r == 0) {
			r = handles_add(&conn->objects, item, ret_handle);
			if (r < 0)
				conn_uncharge_item(conn);
		}
	}
	if (r < 0) {
		free(item);
		swap_object_unref(object);
	}
	return r;
}

static int
object_reply(struct request *request, uint64_t handle)
{
	struct object_item *item = handles_get(&request->conn->objects,
					       handle);

	return reply_fd(request,
			json_pack("{s:I,s:I}", "object", (json_int_t)handle,
				  "size_bytes", (json_int_t)item->size),
			pager_object_memfd(item->object));
}

static int
object_answer(struct request *request, struct swap_object *object)
{
	uint64_t handle;
	int r = object_enter(request->conn, object, &handle);

	if (r == -ENOMEM)
		return out_of_memory(request);
	if (r < 0)
		return too_many(request);
	return object_reply(request, handle);
}

static int
method_create(struct request *request)
{
	const char *name = NULL;
	uint64_t size = 0;
	bool noswap = false, exact = false;
	const struct varlink_param table[] = {
		{ "name", VARLINK_STRING, true, &name },
		{ "size_bytes", VARLINK_INT, false, &size },
		{ "noswap", VARLINK_BOOL, true, &noswap },
		{ "exact", VARLINK_BOOL, true, &exact },
	};
	struct server *s = request->conn->server;
	struct swap_error error = { 0 };
	struct swap_object *object;
	bool handed;
	int r = request_params(request, table, ARRAY_SIZE(table));

	if (r <= 0)
		return r;
	pthread_rwlock_rdlock(&s->memory);
	handed = s->handed;
	r = handed ? -ESHUTDOWN
		   : pager_object_create(s->pager, &request->conn->owner, name,
					 size,
					 (noswap ? SWAP_OBJECT_NOSWAP : 0) |
					 (exact ? SWAP_OBJECT_EXACT : 0),
					 &object, &error);
	pthread_rwlock_unlock(&s->memory);
	if (handed)
		return refuse_ending(request);
	error.code = r;
	return r < 0 ? reply_failed(request, &error)
		     : object_answer(request, object);
}

static int
method_open(struct request *request)
{
	const char *name = NULL;
	const struct varlink_param table[] = {
		{ "name", VARLINK_STRING, false, &name },
	};
	struct server *s = request->conn->server;
	struct swap_error error = { 0 };
	struct swap_object *object;
	int r = request_params(request, table, ARRAY_SIZE(table));

	if (r <= 0)
		return r;
	r = pager_object_open(s->pager, &request->conn->owner, name, &object,
			      &error);
	error.code = r;
	return r < 0 ? reply_failed(request, &error)
		     : object_answer(request, object);
}

static int
method_close(struct request *request)
{
	uint64_t handle = 0;
	const struct varlink_param table[] = {
		{ "object", VARLINK_INT, false, &handle },
	};
	struct object_item *item;
	int r = request_params(request, table, ARRAY_SIZE(table));

	if (r <= 0)
		return r;
	item = handles_remove(&request->conn->objects, handle);
	if (item == NULL)
		return bad_handle(request, "object");
	object_item_free(request->conn, item);
	return reply(request, NULL);
}

/* ---------------------------------------------------------------- regions */

static bool
is_userfaultfd(int fd)
{
	char path[32], target[64];
	ssize_t n;

	format_cut(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		return false;
	target[n] = '\0';
	return strcmp(target, "anon_inode:[userfaultfd]") == 0;
}

/* Is [start, start + length) whole pages, not empty, and within @end? */
static bool
is_range(uint64_t start, uint64_t length, uint64_t end)
{
	return ((start | length) & (page_bytes() - 1)) == 0 && length > 0 &&
	       length <= end && start <= end - length;
}

struct map_params {
	uint64_t object, address, offset, length;
};

/* NULL: the parameter is fine; else the name of the one that is not. */
static const char *
map_check(const struct object_item *item, const struct map_params *p)
{
	if (item == NULL)
		return "object";
	if (!is_range(p->offset, p->length, item->size))
		return (p->offset & (page_bytes() - 1)) != 0 ||
		       p->offset >= item->size ? "offset_bytes"
					       : "length_bytes";
	if (p->address == 0 || !is_range(p->address, p->length, ADDRESS_END))
		return "address";
	return NULL;
}

/* Serve the region; @uffd is given away. */
static int
map_join(struct conn *conn, struct swap_object *object, int uffd,
	 const struct map_params *p, struct region_item *item,
	 struct swap_error *error)
{
	const struct pager_notify notify = { attend_poison, conn };
	struct server *s = conn->server;
	int r;

	pthread_rwlock_rdlock(&s->memory);
	if (s->handed)
		r = error_set(error, -ESHUTDOWN, "swapd '%s' is ending and "
			      "takes no more memory; connect to another one",
			      s->paths.name);
	else
		r = pager_region_join(object, uffd, p->address, p->offset,
				      p->length, &notify, &item->region,
				      error);
	pthread_rwlock_unlock(&s->memory);
	item->length = p->length;
	if (r < 0)
		close(uffd);
	return r;
}

static void
region_item_free(struct conn *conn, struct region_item *item)
{
	pager_region_leave(item->region);
	conn_uncharge_item(conn);
	free(item);
}

static int
map_reply(struct request *request, struct region_item *item)
{
	struct conn *conn = request->conn;
	uint64_t handle;

	if (handles_add(&conn->regions, item, &handle) < 0) {
		region_item_free(conn, item);
		return too_many(request);
	}
	/* Before the process may use the memory, it is on record. */
	if (conn->regions.count == 1)
		server_record(conn->server, conn, true);
	return reply(request, json_pack("{s:I}", "region",
					(json_int_t)handle));
}

static int
map_region(struct request *request, struct object_item *object, int uffd,
	   const struct map_params *p)
{
	struct region_item *item = calloc(1, sizeof(*item));
	struct swap_error error = { 0 };
	int r;

	if (item == NULL || conn_charge_item(request->conn) < 0) {
		r = item == NULL ? out_of_memory(request) : too_many(request);
		free(item);
		close(uffd);
		return r;
	}
	r = map_join(request->conn, object->object, uffd, p, item, &error);
	if (r < 0) {
		error.code = r;
		conn_uncharge_item(request->conn);
		free(item);
		return reply_failed(request, &error);
	}
	return map_reply(request, item);
}

/*
 * The one descriptor of the call, non-blocking (a fault thread reads it); the
 * kernel says whether it is what it should be.
 */
static int
map_uffd(struct request *request)
{
	int fd;

	if (request->conn->frame.nfds != 1)
		return -EINVAL;
	fd = frame_take_fd(&request->conn->frame);
	if (!is_userfaultfd(fd) || fcntl(fd, F_SETFL, O_NONBLOCK) < 0) {
		close(fd);
		return -EINVAL;
	}
	return fd;
}

/* -------------------------------------------- copies on their way to a child */

void
memory_claims_stop(struct server *s)
{
	uint64_t end = now_usec() + SERVER_CLAIM_MSEC * UINT64_C(1000);
	int rc = 0;

	pthread_mutex_lock(&s->lock);
	s->ending = true;
	while (s->nclaims > 0 && rc == 0)
		rc = cond_wait_until(&s->claims, &s->lock, end);
	pthread_mutex_unlock(&s->lock);
}

void
memory_claims_resume(struct server *s)
{
	pthread_mutex_lock(&s->lock);
	s->ending = false;
	pthread_cond_broadcast(&s->claims);
	pthread_mutex_unlock(&s->lock);
}

static void
claim_begin(struct server *s)
{
	pthread_mutex_lock(&s->lock);
	while (s->ending)
		pthread_cond_wait(&s->claims, &s->lock);
	s->nclaims++;
	pthread_mutex_unlock(&s->lock);
}

static void
claim_end(struct server *s)
{
	pthread_mutex_lock(&s->lock);
	s->nclaims--;
	pthread_cond_broadcast(&s->claims);
	pthread_mutex_unlock(&s->lock);
}

/* The copy that this connection has claimed is mapped, or will never be. */
static void
claim_done(struct conn *conn)
{
	if (conn->claims)
		claim_end(conn->server);
	conn->claims = false;
}

static int
method_map(struct request *request)
{
	struct map_params p = { 0 };
	const struct varlink_param table[] = {
		{ "object", VARLINK_INT, false, &p.object },
		{ "address", VARLINK_INT, false, &p.address },
		{ "offset_bytes", VARLINK_INT, false, &p.offset },
		{ "length_bytes", VARLINK_INT, false, &p.length },
	};
	struct object_item *item;
	const char *bad;
	int uffd, r = request_params(request, table, ARRAY_SIZE(table));

	if (r <= 0)
		return r;
	item = handles_get(&request->conn->objects, p.object);
	bad = map_check(item, &p);
	if (bad != NULL)
		return bad_handle(request, bad);
	uffd = map_uffd(request);
	if (uffd < 0)
		return reply_refused(request, -EBADF, "MapRegion comes with "
				     "one descriptor, a userfaultfd");
	r = map_region(request, item, uffd, &p);
	claim_done(request->conn);
	return r;
}

static int
method_unmap(struct request *request)
{
	uint64_t handle = 0;
	const struct varlink_param table[] = {
		{ "region", VARLINK_INT, false, &handle },
	};
	struct conn *conn = request->conn;
	struct region_item *item;
	int r = request_params(request, table, ARRAY_SIZE(table));

	if (r <= 0)
		return r;
	item = handles_remove(&conn->regions, handle);
	if (item == NULL)
		return bad_handle(request, "region");
	region_item_free(conn, item);
	if (conn->regions.count == 0)
		server_record(conn->server, conn, false);
	return reply(request, NULL);
}

/* The three methods on a part of a region. */
enum range_operation {
	RANGE_RELEASE,
	RANGE_WIRE,
	RANGE_UNWIRE,
};

static int
range_do(enum range_operation what, struct swap_region *region,
	 uint64_t offset, uint64_t length, struct swap_error *error)
{
	int r = 0;

	switch (what) {
	case RANGE_RELEASE:
		r = swap_region_release(region, offset, length);
		break;
	case RANGE_WIRE:
		return swap_region_wire(region, offset, length, error);
	case RANGE_UNWIRE:
		r = swap_region_unwire(region, offset, length);
		break;
	}
	return r < 0 ? error_set(error, r, "%s", strerror(-r)) : 0;
}

static int
method_range(struct request *request, enum range_operation what)
{
	uint64_t handle = 0, offset = 0, length = 0;
	const struct varlink_param table[] = {
		{ "region", VARLINK_INT, false, &handle },
		{ "offset_bytes", VARLINK_INT, false, &offset },
		{ "length_bytes", VARLINK_INT, false, &length },
	};
	struct swap_error error = { 0 };
	struct region_item *item;
	int r = request_params(request, table, ARRAY_SIZE(table));

	if (r <= 0)
		return r;
	item = handles_get(&request->conn->regions, handle);
	if (item == NULL)
		return bad_handle(request, "region");
	if (!is_range(offset, length, item->length))
		return bad_handle(request, offset >= item->length
				  ? "offset_bytes" : "length_bytes");
	r = range_do(what, item->region, offset, length, &error);
	error.code = r;
	return r < 0 ? reply_failed(request, &error) : reply(request, NULL);
}

static int
method_release(struct request *request)
{
	return method_range(request, RANGE_RELEASE);
}

static int
method_wire(struct request *request)
{
	return method_range(request, RANGE_WIRE);
}

static int
method_unwire(struct request *request)
{
	return method_range(request, RANGE_UNWIRE);
}

/* ----------------------------------------------------------------- copies */

/* Locked.  Take an offer out of the list; its object is the caller's. */
static struct swap_object *
copy_unlink(struct server *s, struct copy *copy)
{
	struct swap_object *object = copy->object;
	struct copy **p;

	for (p = &s->copies; *p != copy; p = &(*p)->next)
		;
	*p = copy->next;
	copy->parent->ncopies--;
	conn_uncharge_locked(copy->parent);
	free(copy);
	return object;
}

static int
token_make(char token[TOKEN_BYTES])
{
	unsigned char bytes[(TOKEN_BYTES - 1) / 2];
	size_t i;

	if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
		return -EIO;
	for (i = 0; i < sizeof(bytes); i++)
		format_cut(token + 2 * i, 3, "%02x", bytes[i]);
	return 0;
}

/* Offer a copy, whose reference is given away, also on failure. */
static int
copy_offer(struct conn *conn, struct swap_object *object, char *ret_token)
{
	struct copy *copy = calloc(1, sizeof(*copy));

	if (copy == NULL || token_make(copy->token) < 0) {
		free(copy);
		swap_object_unref(object);
		return -ENOMEM;
	}
	copy->object = object;
	copy->uid = conn->owner.uid;
	copy->parent = conn;
	if (conn_charge_item(conn) < 0) {
		free(copy);
		swap_object_unref(object);
		return -ENOSPC;
	}
	memcpy(ret_token, copy->token, TOKEN_BYTES);
	pthread_mutex_lock(&conn->server->lock);
	copy->next = conn->server->copies;
	conn->server->copies = copy;
	conn->ncopies++;
	pthread_mutex_unlock(&conn->server->lock);
	return 0;
}

static int
make_copy(struct conn *conn, struct swap_object *source,
	  struct swap_object **ret_copy, struct swap_error *error)
{
	struct server *s = conn->server;
	int r;

	pthread_rwlock_rdlock(&s->memory);
	r = s->handed
		? error_set(error, -ESHUTDOWN, "swapd '%s' is ending",
			    s->paths.name)
		: pager_object_copy(source, &conn->owner, ret_copy, error);
	pthread_rwlock_unlock(&s->memory);
	return r;
}

static unsigned
count_copies(struct conn *conn)
{
	unsigned n;

	pthread_mutex_lock(&conn->server->lock);
	n = conn->ncopies;
	pthread_mutex_unlock(&conn->server->lock);
	return n;
}

int
memory_go_on(struct conn *conn)
{
	if (conn->still != NULL) {
		pager_object_still(conn->still, false);
		swap_object_unref(conn->still);
	}
	conn->still = NULL;
	return 0;
}

static void
keep_still(struct conn *conn, struct swap_object *object)
{
	(void)memory_go_on(conn);
	swap_object_ref(object);
	pager_object_still(object, true);
	conn->still = object;
}

static int
method_copy(struct request *request)
{
	uint64_t handle = 0;
	bool still = false;
	const struct varlink_param table[] = {
		{ "object", VARLINK_INT, false, &handle },
		{ "still", VARLINK_BOOL, true, &still },
	};
	struct conn *conn = request->conn;
	struct swap_error error = { 0 };
	char token[TOKEN_BYTES] = "";
	struct object_item *item;
	struct swap_object *copy;
	int r = request_params(request, table, ARRAY_SIZE(table));

	if (r <= 0)
		return r;
	item = handles_get(&conn->objects, handle);
	if (item == NULL)
		return bad_handle(request, "object");
	if (count_copies(conn) >= SERVER_COPIES_MAX)
		return too_many(request);
	claim_begin(conn->server);
	if (still)
		keep_still(conn, item->object);
	r = make_copy(conn, item->object, &copy, &error);
	if (r < 0) {
		claim_end(conn->server);
		(void)memory_go_on(conn);
		error.code = r;
		return reply_failed(request, &error);
	}
	if (copy_offer(conn, copy, token) < 0) {
		claim_end(conn->server);
		(void)memory_go_on(conn);
		return too_many(request);
	}
	return reply(request, json_pack("{s:s}", "token", token));
}

static int
method_go_on(struct request *request)
{
	int r = request_params(request, NULL, 0);

	if (r <= 0)
		return r;
	(void)memory_go_on(request->conn);
	return reply(request, NULL);
}

/* Locked. */
static struct copy *
copy_find(struct server *s, const char *token)
{
	struct copy *copy;

	for (copy = s->copies; copy != NULL; copy = copy->next)
		if (strcmp(copy->token, token) == 0)
			return copy;
	return NULL;
}

/* A copy that @conn may claim; NULL: there is none. */
static struct swap_object *
copy_claim(struct conn *conn, const char *token)
{
	struct server *s = conn->server;
	struct swap_object *object = NULL;
	struct copy *copy;

	pthread_mutex_lock(&s->lock);
	copy = copy_find(s, token);
	if (copy != NULL && copy->uid == conn->owner.uid)
		object = copy_unlink(s, copy);
	pthread_mutex_unlock(&s->lock);
	return object;
}

static int
method_claim(struct request *request)
{
	const char *token = NULL;
	const struct varlink_param table[] = {
		{ "token", VARLINK_STRING, false, &token },
	};
	struct swap_object *object;
	int r = request_params(request, table, ARRAY_SIZE(table));

	if (r <= 0)
		return r;
	object = copy_claim(request->conn, token);
	if (object == NULL)
		return reply_refused(request, -ENOENT, "there is no such copy "
				     "to claim: it has been claimed or "
				     "dropped, or its parent has gone");
	claim_done(request->conn);	/* of another one */
	request->conn->claims = true;
	return object_answer(request, object);
}

/* An offer of the parent's with that token, or with any; NULL: none. */
static struct swap_object *
copy_withdraw(struct conn *parent, const char *token)
{
	struct server *s = parent->server;
	struct swap_object *object = NULL;
	struct copy *copy;

	pthread_mutex_lock(&s->lock);
	for (copy = s->copies; copy != NULL; copy = copy->next)
		if (copy->parent == parent &&
		    (token == NULL || strcmp(copy->token, token) == 0))
			break;
	if (copy != NULL) {
		object = copy_unlink(s, copy);
		s->nclaims--;
		pthread_cond_broadcast(&s->claims);
	}
	pthread_mutex_unlock(&s->lock);
	return object;
}

static int
method_drop(struct request *request)
{
	const char *token = NULL;
	const struct varlink_param table[] = {
		{ "token", VARLINK_STRING, false, &token },
	};
	struct swap_object *object;
	int r = request_params(request, table, ARRAY_SIZE(table));

	if (r <= 0)
		return r;
	object = copy_withdraw(request->conn, token);
	if (object == NULL)
		return reply_refused(request, -ENOENT, "this connection offers "
				     "no copy with that token: it has been "
				     "claimed or dropped");
	swap_object_unref(object);
	return reply(request, NULL);
}

/* -------------------------------------------------------------------- end */

/*
 * The process has ended, and a child that it had just made, as a daemon's first
 * one does, may have its end of the connection still, and come for its copy.
 */
static void
wait_for_claims(struct conn *conn)
{
	struct frame *frame = &conn->frame;
	uint64_t end = now_usec() + SERVER_CLAIM_MSEC * UINT64_C(1000);

	frame->watch[FRAME_WATCH_PEER] = -1;
	while (count_copies(conn) > 0 && now_usec() < end &&
	       frame_wait(frame, -1, 5) == -ETIMEDOUT)
		;
}

void
memory_release_all(struct conn *conn)
{
	bool served = conn->regions.count > 0;
	struct region_item *region;
	struct object_item *object;
	struct swap_object *copy;

	(void)memory_go_on(conn);
	claim_done(conn);
	while ((region = handles_pop(&conn->regions)) != NULL)
		region_item_free(conn, region);
	while ((object = handles_pop(&conn->objects)) != NULL)
		object_item_free(conn, object);
	wait_for_claims(conn);
	while ((copy = copy_withdraw(conn, NULL)) != NULL)
		swap_object_unref(copy);
	if (served)
		server_record(conn->server, conn, false);
}

const struct method memory_methods[] = {
	{ "CreateObject", method_create },
	{ "OpenObject", method_open },
	{ "CloseObject", method_close },
	{ "MapRegion", method_map },
	{ "UnmapRegion", method_unmap },
	{ "Release", method_release },
	{ "Wire", method_wire },
	{ "Unwire", method_unwire },
	{ "CopyObject", method_copy },
	{ "GoOn", method_go_on },
	{ "ClaimCopy", method_claim },
	{ "DropCopy", method_drop },
	{ NULL, NULL },
};
