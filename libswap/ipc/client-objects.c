/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a client does to ranges of its objects, and with writable regions.
 *
 * Requests are written by hand and answers scanned, as in client-memory.c; only
 * a get allocates, for the letters that name the states of its pages.
 *
 * How many of an object's regions are writable is the swapd's count of what
 * this process says, so it is told in an order in which the count is never too
 * small: before a mapping becomes writable, and after it has ceased to be.
 *
 * After a handover these objects are paged no more, and the calls fail; only
 * set_writable goes on, since it is about this process's own mapping.
 */
#include "client-impl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "../util.h"
#include "parts.h"
#include "scan.h"

/* Most pages that one Get answers for. */
#define GET_PAGES_MAX	UINT64_C(65536)

static int
not_a_range(struct swap_error *error)
{
	return error_set(error, -EINVAL, "offset and length must be whole "
			 "pages within the object");
}

/* Is the range within the object, in whole pages? */
static bool
is_range(const struct swap_client_object *object, uint64_t offset,
	 uint64_t length)
{
	return length > 0 && length <= object->size &&
	       offset <= object->size - length &&
	       ((offset | length) & (page_bytes() - 1)) == 0;
}

static const char *
yes_no(bool flag)
{
	return flag ? "true" : "false";
}

/* Call @method on a range, with @more members; nothing comes back. */
static int
range_tell(struct swap_client_object *object, const char *method,
	   uint64_t offset, uint64_t length, const char *more,
	   struct swap_error *error)
{
	char request[CLIENT_REQUEST_MAX];
	int r;

	if (!is_range(object, offset, length))
		return not_a_range(error);
	r = client_format(request, method, "\"object\":%" PRIu64
			  ",\"offset_bytes\":%" PRIu64 ",\"length_bytes\":%"
			  PRIu64 "%s", object->handle, offset, length, more);
	if (r < 0)
		return r;
	return client_tell(object->client, request, error);
}

int
swap_client_allow_swap(struct swap_client_object *object)
{
	char request[CLIENT_REQUEST_MAX];
	int r;

	r = client_format(request, "AllowSwap", "\"object\":%" PRIu64,
			  object->handle);
	return r < 0 ? r : client_tell(object->client, request, NULL);
}

int
swap_client_flush(struct swap_client_object *object, uint64_t offset,
		  uint64_t length, unsigned flags, struct swap_error *error)
{
	char more[64];

	if ((flags & ~(SWAP_FLUSH_DEACTIVATE | SWAP_FLUSH_FREE)) != 0)
		return error_set(error, -EINVAL, "unknown flags %#x", flags);
	format_cut(more, sizeof(more), ",\"deactivate\":%s,\"free\":%s",
		   yes_no(flags & SWAP_FLUSH_DEACTIVATE),
		   yes_no(flags & SWAP_FLUSH_FREE));
	return range_tell(object, "Flush", offset, length, more, error);
}

int
swap_client_reserve(struct swap_client_object *object, uint64_t offset,
		    uint64_t length, struct swap_error *error)
{
	return range_tell(object, "Reserve", offset, length, "", error);
}

int
swap_client_unreserve(struct swap_client_object *object, uint64_t offset,
		      uint64_t length)
{
	return range_tell(object, "Unreserve", offset, length, "", NULL);
}

/* -------------------------------------------------------------------- get */

static int
states_decode(const char *letters, uint64_t n, uint8_t *states)
{
	static const char known[] = "arbl";

	if (strlen(letters) != n)
		return -EPROTO;
	for (uint64_t i = 0; i < n; i++) {
		const char *letter = strchr(known, letters[i]);

		if (letter == NULL)
			return -EPROTO;
		states[i] = (uint8_t)(letter - known);
	}
	return 0;
}

static int
nonsense(struct swap_error *error)
{
	return error_set(error, -EPROTO, "swapd's answer makes no sense; it "
			 "may be of another version");
}

/* What a Get has answered, with room for @n letters and their NUL. */
static int64_t
get_read(const char *answer, uint64_t n, char *letters, uint8_t *states,
	 struct swap_error *error)
{
	char message[sizeof(error->message)] = "";
	int64_t code, count;
	int r;

	if (scan_int(answer, "errno", &code) < 0 || code > 0 || code < -4095 ||
	    scan_int(answer, "count", &count) < 0 || count < 0 ||
	    (uint64_t)count > n ||
	    scan_text(answer, "states", letters, (size_t)n + 1) < 0 ||
	    states_decode(letters, n, states) < 0)
		return nonsense(error);
	if (code == 0)
		return count;
	/* One that does not fit is cut. */
	r = scan_text(answer, "message", message, sizeof(message));
	if (r < 0 && r != -ENOBUFS)
		message[0] = '\0';
	return error_set(error, (int)code, "%s", message);
}

/* Of at most GET_PAGES_MAX pages. */
static int64_t
get_part(void *arg, const struct parts_get *part, uint8_t states[],
	 struct swap_error *error)
{
	struct swap_client_object *object = arg;
	struct swap_client *client = object->client;
	uint64_t n = part->length / page_bytes();
	char request[CLIENT_REQUEST_MAX];
	char *letters;
	int64_t r;

	r = client_format(request, "Get", "\"object\":%" PRIu64
			  ",\"offset_bytes\":%" PRIu64 ",\"length_bytes\":%"
			  PRIu64 ",\"wanted_bytes\":%" PRIu64
			  ",\"nowait\":%s,\"all\":%s", object->handle,
			  part->offset, part->length, part->wanted,
			  yes_no(part->flags & SWAP_GET_NOWAIT),
			  yes_no(part->flags & SWAP_GET_ALL));
	if (r < 0)
		return -EINVAL;
	letters = malloc((size_t)n + 1);
	if (letters == NULL)
		return error_set(error, -ENOBUFS, "out of memory");
	client_begin(client);
	r = client_ask(client, request, -1, error);
	if (r == 0)
		r = get_read(client->frame.buf, n, letters, states, error);
	client_end(client);
	free(letters);
	return r;
}

int64_t
swap_client_get(struct swap_client_object *object, uint64_t offset,
		uint64_t length, uint64_t wanted, unsigned flags,
		uint8_t states[], struct swap_error *error)
{
	const struct parts_get whole = { offset, length, wanted, flags };
	uint8_t *own = NULL;
	int64_t r;

	if (!is_range(object, offset, length))
		return not_a_range(error);
	if (wanted < offset || wanted - offset >= length ||
	    (wanted & (page_bytes() - 1)) != 0)
		return error_set(error, -EINVAL, "the wanted page must be "
				 "within the range");
	if ((flags & ~(SWAP_GET_NOWAIT | SWAP_GET_ALL)) != 0)
		return error_set(error, -EINVAL, "unknown flags %#x", flags);
	if (states == NULL) {
		own = malloc((size_t)(length / page_bytes()));
		if (own == NULL)
			return error_set(error, -ENOMEM, "out of memory");
		states = own;
	}
	memset(states, SWAP_PAGE_ABSENT, (size_t)(length / page_bytes()));
	r = parts_get(&whole, GET_PAGES_MAX * page_bytes(), get_part, object,
		      states, error);
	free(own);
	return r;
}

/* ---------------------------------------------------------- haspage, copy */

int
swap_client_haspage(struct swap_client_object *object, uint64_t offset,
		    uint64_t *ret_before, uint64_t *ret_after)
{
	struct swap_client *client = object->client;
	char request[CLIENT_REQUEST_MAX];
	int64_t before, after;
	bool has;
	int r;

	if (!is_range(object, offset, page_bytes()))
		return -EINVAL;
	r = client_format(request, "HasPage", "\"object\":%" PRIu64
			  ",\"offset_bytes\":%" PRIu64, object->handle,
			  offset);
	if (r < 0)
		return r;
	client_begin(client);
	r = client_ask(client, request, -1, NULL);
	if (r == 0 && (scan_bool(client->frame.buf, "has", &has) < 0 ||
		       scan_int(client->frame.buf, "before_bytes",
				&before) < 0 || before < 0 ||
		       scan_int(client->frame.buf, "after_bytes",
				&after) < 0 || after < 0))
		r = -EPROTO;
	client_end(client);
	if (r < 0)
		return r;
	if (ret_before != NULL)
		*ret_before = (uint64_t)before;
	if (ret_after != NULL)
		*ret_after = (uint64_t)after;
	return has;
}

int
swap_client_copy(struct swap_client_object *from, uint64_t from_offset,
		 struct swap_client_object *to, uint64_t to_offset,
		 uint64_t length, unsigned flags, struct swap_error *error)
{
	char request[CLIENT_REQUEST_MAX];
	int r;

	if (from->client != to->client)
		return error_set(error, -EINVAL, "objects of two connections "
				 "cannot be copied into one another; open "
				 "both by their names on one");
	if (!is_range(from, from_offset, length) ||
	    !is_range(to, to_offset, length))
		return not_a_range(error);
	if ((flags & ~SWAP_COPY_DESTROY) != 0)
		return error_set(error, -EINVAL, "unknown flags %#x", flags);
	r = client_format(request, "Copy", "\"from\":%" PRIu64
			  ",\"from_offset_bytes\":%" PRIu64 ",\"to\":%" PRIu64
			  ",\"to_offset_bytes\":%" PRIu64
			  ",\"length_bytes\":%" PRIu64 ",\"destroy\":%s",
			  from->handle, from_offset, to->handle, to_offset,
			  length, yes_no(flags & SWAP_COPY_DESTROY));
	return r < 0 ? r : client_tell(from->client, request, error);
}

/* ---------------------------------------------------------------- regions */

static int
writable_tell(struct swap_client_region *region, bool writable)
{
	char request[CLIENT_REQUEST_MAX];
	int r;

	r = client_format(request, "SetWritable", "\"region\":%" PRIu64
			  ",\"writable\":%s", region->handle,
			  yes_no(writable));
	if (r == 0)
		r = client_tell(region->client, request, NULL);
	/* The memory is ordinary now, and nobody counts any more. */
	if (r == -ECONNRESET && client_handed_over(region->client, true))
		return 0;
	return r;
}

int
swap_client_set_writable(struct swap_client_region *region, bool writable)
{
	int r = 0;

	pthread_mutex_lock(&region->writable);
	if (writable)
		r = writable_tell(region, true);
	/* One that fails may have changed a part: it stays counted. */
	if (r == 0)
		r = mapping_set_writable(&region->mapping, writable);
	if (r == 0 && !writable)
		r = writable_tell(region, false);
	pthread_mutex_unlock(&region->writable);
	return r;
}
