/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Methods on ranges of objects: what swap_object_*() of swap.h does, for
 * whoever has a handle.
 *
 * The parameters are checked here, so that one that is wrong is named; what is
 * possible is for the pager to say.
 *
 * Reading and writing many pages takes time.  It is time of this connection's
 * thread alone, and what can take long is done in parts: between two of them
 * it is seen that the peer has gone, or that the swapd ends, and nothing more
 * is done.  Each part holds server.memory for reading.  A handover waits for
 * that, and nothing is paged out or changes hands behind its back.
 *
 * What is all or nothing (reserving) or as quick as the map that it walks
 * (freeing, giving back) is one part.
 */
#include "server-impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../util.h"
#include "parts.h"

/* Most pages that one Get answers for: each is a letter of its answer. */
#define GET_PAGES_MAX	UINT64_C(65536)
/* Pages of a part: where all of them have to come, and where most move. */
#define GET_PART_PAGES	UINT64_C(1024)
#define PART_PAGES	UINT64_C(16384)

/* By enum swap_page_state. */
static const char state_letters[] = "arbl";

static int
bad_parameter(struct request *request, const char *name)
{
	return reply_service_error(request, "InvalidParameter", "parameter",
				   name);
}

/* Answer what has become of a call; -ECANCELED: nobody is there to hear it. */
static int
reply_done(struct request *request, int r, struct swap_error *error)
{
	if (r == -ECANCELED)
		return r;
	if (r < 0) {
		error->code = r;
		return reply_failed(request, error);
	}
	return reply(request, NULL);
}

/* Where a call goes: an object that this connection has, and a range of it. */
struct target {
	struct request		*request;
	struct swap_object	*object;
	uint64_t		 offset, length;
};

/* NULL: the range is fine; else the parameter that is not. */
static const char *
range_check(const struct object_item *item, uint64_t offset, uint64_t length)
{
	uint64_t mask = page_bytes() - 1;

	if ((offset & mask) != 0 || offset >= item->size)
		return "offset_bytes";
	if ((length & mask) != 0 || length == 0 ||
	    length > item->size - offset)
		return "length_bytes";
	return NULL;
}

/* 1: @t is filled; else what the method returns. */
static int
target_find(struct target *t, struct request *request, uint64_t handle,
	    uint64_t offset, uint64_t length)
{
	const struct object_item *item;
	const char *bad = "object";

	item = handles_get(&request->conn->objects, handle);
	if (item != NULL)
		bad = range_check(item, offset, length);
	if (bad != NULL)
		return bad_parameter(request, bad);
	t->request = request;
	t->object = item->object;
	t->offset = offset;
	t->length = length;
	return 1;
}

/* Before a part.  0: go on, with the memory lock held for reading. */
static int
part_begin(struct request *request, struct swap_error *error)
{
	struct server *s = request->conn->server;

	if (frame_gone(&request->conn->frame))
		return -ECANCELED;
	pthread_rwlock_rdlock(&s->memory);
	if (!s->handed)
		return 0;
	pthread_rwlock_unlock(&s->memory);
	return error_set(error, -ESHUTDOWN, "swapd '%s' is ending, and its "
			 "memory is ordinary now", s->paths.name);
}

static void
part_end(struct request *request)
{
	pthread_rwlock_unlock(&request->conn->server->memory);
}

/* ------------------------------------------------------------ whole objects */

static int
method_allow_swap(struct request *request)
{
	uint64_t handle = 0;
	const struct varlink_param table[] = {
		{ "object", VARLINK_INT, false, &handle },
	};
	const struct object_item *item;
	struct swap_error error = { 0 };
	int r = request_params(request, table, ARRAY_SIZE(table));

	if (r <= 0)
		return r;
	item = handles_get(&request->conn->objects, handle);
	if (item == NULL)
		return bad_parameter(request, "object");
	r = part_begin(request, &error);
	if (r == 0) {
		r = swap_object_allow_swap(item->object);
		part_end(request);
	}
	return reply_done(request, r, &error);
}

static int
method_limit_object(struct request *request)
{
	uint64_t handle = 0, ram = 0, swap = 0;
	const struct varlink_param table[] = {
		{ "object", VARLINK_INT, false, &handle },
		{ "ram_bytes", VARLINK_INT, true, &ram },
		{ "swap_bytes", VARLINK_INT, true, &swap },
	};
	const struct object_item *item;
	struct swap_error error = { 0 };
	int r = request_params(request, table, ARRAY_SIZE(table));

	if (r <= 0)
		return r;
	item = handles_get(&request->conn->objects, handle);
	if (item == NULL)
		return bad_parameter(request, "object");
	r = part_begin(request, &error);
	if (r == 0) {
		r = swap_object_limit(item->object, ram, swap, &error);
		part_end(request);
	}
	return reply_done(request, r, &error);
}

/* For all that this connection has made and makes. */
static int
method_limit(struct request *request)
{
	uint64_t ram = 0, swap = 0;
	const struct varlink_param table[] = {
		{ "ram_bytes", VARLINK_INT, true, &ram },
		{ "swap_bytes", VARLINK_INT, true, &swap },
	};
	struct conn *conn = request->conn;
	struct swap_error error = { 0 };
	int r = request_params(request, table, ARRAY_SIZE(table));

	if (r <= 0)
		return r;
	r = part_begin(request, &error);
	if (r == 0) {
		r = pager_client_limit(conn->server->pager, &conn->owner, ram,
				       swap, &error);
		part_end(request);
	}
	return reply_done(request, r, &error);
}

/* -------------------------------------------------------------------- get */

static int64_t
get_part(void *arg, const struct parts_get *part, uint8_t states[],
	 struct swap_error *error)
{
	const struct target *t = arg;
	int64_t r = part_begin(t->request, error);

	if (r < 0)
		return r;
	r = swap_object_get(t->object, part->offset, part->length,
			    part->wanted, part->flags, states, error);
	part_end(t->request);
	return r;
}

static int64_t
count_resident(const uint8_t *states, uint64_t n)
{
	int64_t count = 0;

	for (uint64_t i = 0; i < n; i++)
		count += states[i] == SWAP_PAGE_RESIDENT;
	return count;
}

/* The states become letters where they are. */
static int
get_reply(struct request *request, int64_t r, const struct swap_error *error,
	  uint8_t *states, uint64_t n)
{
	const char *why = r >= 0 ? "" : error->message[0] != '\0'
			? error->message : strerror((int)-r);
	int64_t count = r < 0 ? count_resident(states, n) : r;

	for (uint64_t i = 0; i < n; i++)
		states[i] = states[i] < sizeof(state_letters) - 1
			? (uint8_t)state_letters[states[i]] : 'a';
	return reply(request, json_pack("{s:i,s:s,s:I,s:s#}", "errno",
					r < 0 ? (int)r : 0, "message", why,
					"count", (json_int_t)count, "states",
					(const char *)states, (int)n));
}

/*
 * Where only one page has to come, it takes one read, and no parts: each of
 * them would bring its first page, whatever goes out for it.
 */
static int
get(struct target *t, const struct parts_get *whole)
{
	uint64_t n = whole->length / page_bytes();
	uint64_t part = whole->flags & SWAP_GET_ALL ? GET_PART_PAGES : n;
	struct swap_error error = { 0 };
	uint8_t *states = calloc(n, 1);
	int64_t count;
	int r;

	if (states == NULL)
		return reply_refused(t->request, -ENOMEM, "swapd is out of "
				     "memory");
	count = parts_get(whole, part * page_bytes(), get_part, t, states,
			  &error);
	if (count == -ECANCELED)
		r = -ECANCELED;
	else
		r = get_reply(t->request, count, &error, states, n);
	free(states);
	return r;
}

static int
method_get(struct request *request)
{
	uint64_t handle = 0;
	struct parts_get whole = { 0 };
	bool nowait = false, all = false;
	const struct varlink_param table[] = {
		{ "object", VARLINK_INT, false, &handle },
		{ "offset_bytes", VARLINK_INT, false, &whole.offset },
		{ "length_bytes", VARLINK_INT, false, &whole.length },
		{ "wanted_bytes", VARLINK_INT, false, &whole.wanted },
		{ "nowait", VARLINK_BOOL, true, &nowait },
		{ "all", VARLINK_BOOL, true, &all },
	};
	struct target t;
	int r = request_params(request, table, ARRAY_SIZE(table));

	if (r <= 0)
		return r;
	r = target_find(&t, request, handle, whole.offset, whole.length);
	if (r <= 0)
		return r;
	if (whole.length > GET_PAGES_MAX * page_bytes())
		return bad_parameter(request, "length_bytes");
	if ((whole.wanted & (page_bytes() - 1)) != 0 ||
	    whole.wanted < whole.offset ||
	    whole.wanted - whole.offset >= whole.length)
		return bad_parameter(request, "wanted_bytes");
	whole.flags = (nowait ? SWAP_GET_NOWAIT : 0) |
		      (all ? SWAP_GET_ALL : 0);
	return get(&t, &whole);
}

/* --------------------------------------------------- flush, reserve, copy */

/* One part of a range; offsets are the target's. */
typedef int part_fn(const struct target *t, void *arg, uint64_t offset,
		    uint64_t length, struct swap_error *error);

/* Do a range in parts of @npages, or the rest of it. */
static int
in_parts(const struct target *t, uint64_t npages, part_fn *fn, void *arg,
	 struct swap_error *error)
{
	uint64_t done, n;
	int r = 0;

	for (done = 0; r == 0 && done < t->length; done += n) {
		n = min_u64(t->length - done, npages * page_bytes());
		r = part_begin(t->request, error);
		if (r < 0)
			return r;
		r = fn(t, arg, t->offset + done, n, error);
		part_end(t->request);
	}
	return r;
}

static int
flush_part(const struct target *t, void *arg, uint64_t offset, uint64_t length,
	   struct swap_error *error)
{
	const unsigned *flags = arg;

	return swap_object_flush(t->object, offset, length, *flags, error);
}

static int
method_flush(struct request *request)
{
	uint64_t handle = 0, offset = 0, length = 0;
	bool deactivate = false, give_up = false;
	const struct varlink_param table[] = {
		{ "object", VARLINK_INT, false, &handle },
		{ "offset_bytes", VARLINK_INT, false, &offset },
		{ "length_bytes", VARLINK_INT, false, &length },
		{ "deactivate", VARLINK_BOOL, true, &deactivate },
		{ "free", VARLINK_BOOL, true, &give_up },
	};
	struct swap_error error = { 0 };
	struct target t;
	unsigned flags;
	int r = request_params(request, table, ARRAY_SIZE(table));

	if (r <= 0)
		return r;
	r = target_find(&t, request, handle, offset, length);
	if (r <= 0)
		return r;
	if (deactivate && give_up)
		return bad_parameter(request, "free");
	flags = (deactivate ? SWAP_FLUSH_DEACTIVATE : 0) |
		(give_up ? SWAP_FLUSH_FREE : 0);
	r = in_parts(&t, deactivate ? PART_PAGES : UINT64_MAX / page_bytes(),
		     flush_part, &flags, &error);
	return reply_done(request, r, &error);
}

static int
reserve_part(const struct target *t, void *arg, uint64_t offset,
	     uint64_t length, struct swap_error *error)
{
	const bool *reserve = arg;
	int r;

	if (*reserve)
		return swap_object_reserve(t->object, offset, length, error);
	r = swap_object_unreserve(t->object, offset, length);
	return r < 0 ? error_set(error, r, "%s", strerror(-r)) : 0;
}

static int
reserve(struct request *request, bool reserves)
{
	uint64_t handle = 0, offset = 0, length = 0;
	const struct varlink_param table[] = {
		{ "object", VARLINK_INT, false, &handle },
		{ "offset_bytes", VARLINK_INT, false, &offset },
		{ "length_bytes", VARLINK_INT, false, &length },
	};
	struct swap_error error = { 0 };
	struct target t;
	int r = request_params(request, table, ARRAY_SIZE(table));

	if (r <= 0)
		return r;
	r = target_find(&t, request, handle, offset, length);
	if (r <= 0)
		return r;
	r = in_parts(&t, UINT64_MAX / page_bytes(), reserve_part, &reserves,
		     &error);
	return reply_done(request, r, &error);
}

static int
method_reserve(struct request *request)
{
	return reserve(request, true);
}

static int
method_unreserve(struct request *request)
{
	return reserve(request, false);
}

static int
method_has_page(struct request *request)
{
	uint64_t handle = 0, offset = 0, before = 0, after = 0;
	const struct varlink_param table[] = {
		{ "object", VARLINK_INT, false, &handle },
		{ "offset_bytes", VARLINK_INT, false, &offset },
	};
	struct swap_error error = { 0 };
	struct target t;
	int has, r = request_params(request, table, ARRAY_SIZE(table));

	if (r <= 0)
		return r;
	r = target_find(&t, request, handle, offset, page_bytes());
	if (r <= 0)
		return r;
	has = swap_object_haspage(t.object, offset, &before, &after);
	if (has < 0)
		return reply_done(request, has, &error);
	return reply(request,
		     json_pack("{s:b,s:I,s:I}", "has", has,
			       "before_bytes", (json_int_t)before,
			       "after_bytes", (json_int_t)after));
}

struct copy_to {
	struct swap_object *object;
	uint64_t	 offset;
	unsigned	 flags;
};

static int
copy_part(const struct target *t, void *arg, uint64_t offset, uint64_t length,
	  struct swap_error *error)
{
	const struct copy_to *to = arg;

	return swap_object_copy(t->object, offset, to->object,
				to->offset + (offset - t->offset), length,
				to->flags, error);
}

struct copy_params {
	uint64_t from, from_offset, to, to_offset, length;
	bool	 destroy;
};

/* NULL: all are fine; else the one that is not. */
static const char *
copy_check(const struct conn *conn, const struct copy_params *p,
	   struct target *ret_from, struct copy_to *ret_to)
{
	const struct object_item *from, *to;
	const char *bad;

	from = handles_get(&conn->objects, p->from);
	to = handles_get(&conn->objects, p->to);
	if (from == NULL)
		return "from";
	if (to == NULL || to->object == from->object)
		return "to";
	bad = range_check(from, p->from_offset, p->length);
	if (bad != NULL)
		return bad[0] == 'o' ? "from_offset_bytes" : bad;
	bad = range_check(to, p->to_offset, p->length);
	if (bad != NULL)
		return bad[0] == 'o' ? "to_offset_bytes" : bad;
	ret_from->object = from->object;
	ret_from->offset = p->from_offset;
	ret_from->length = p->length;
	ret_to->object = to->object;
	ret_to->offset = p->to_offset;
	ret_to->flags = p->destroy ? SWAP_COPY_DESTROY : 0;
	return NULL;
}

static int
method_copy(struct request *request)
{
	struct copy_params p = { 0 };
	const struct varlink_param table[] = {
		{ "from", VARLINK_INT, false, &p.from },
		{ "from_offset_bytes", VARLINK_INT, false, &p.from_offset },
		{ "to", VARLINK_INT, false, &p.to },
		{ "to_offset_bytes", VARLINK_INT, false, &p.to_offset },
		{ "length_bytes", VARLINK_INT, false, &p.length },
		{ "destroy", VARLINK_BOOL, true, &p.destroy },
	};
	struct target from = { .request = request };
	struct swap_error error = { 0 };
	struct copy_to to;
	const char *bad;
	int r = request_params(request, table, ARRAY_SIZE(table));

	if (r <= 0)
		return r;
	bad = copy_check(request->conn, &p, &from, &to);
	if (bad != NULL)
		return bad_parameter(request, bad);
	r = in_parts(&from, PART_PAGES, copy_part, &to, &error);
	return reply_done(request, r, &error);
}

/* ---------------------------------------------------------------- regions */

static int
method_set_writable(struct request *request)
{
	uint64_t handle = 0;
	bool writable = false;
	const struct varlink_param table[] = {
		{ "region", VARLINK_INT, false, &handle },
		{ "writable", VARLINK_BOOL, false, &writable },
	};
	const struct region_item *item;
	struct swap_error error = { 0 };
	int r = request_params(request, table, ARRAY_SIZE(table));

	if (r <= 0)
		return r;
	item = handles_get(&request->conn->regions, handle);
	if (item == NULL)
		return bad_parameter(request, "region");
	r = pager_region_set_writable(item->region, writable);
	return reply_done(request, r, &error);
}

const struct method object_methods[] = {
	{ "AllowSwap", method_allow_swap },
	{ "Limit", method_limit },
	{ "LimitObject", method_limit_object },
	{ "Get", method_get },
	{ "Flush", method_flush },
	{ "Reserve", method_reserve },
	{ "Unreserve", method_unreserve },
	{ "HasPage", method_has_page },
	{ "Copy", method_copy },
	{ "SetWritable", method_set_writable },
	{ NULL, NULL },
};
