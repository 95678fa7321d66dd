/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A get in parts.
 *
 * A message holds the states of so many pages and no more, and between two
 * reads a swapd has to see whether its peer is still there.  So both sides
 * split a long get, and what it says must not depend on that:
 *
 *   - the part with the wanted page goes first: for its sake the call was made;
 *   - with SWAP_GET_ALL every part has to come, so each wants its first page;
 *   - without it the other parts cost nothing, so they are asked not to wait,
 *     and that they would have to is no error;
 *   - a page that cannot be read, or not without waiting, does not keep the
 *     rest from coming; where RAM is out, the rest is only looked at;
 *   - the first error is the one that is returned, with its sentence.
 */
#include "parts.h"

#include <errno.h>
#include <stdbool.h>

#include "../util.h"

struct parts {
	const struct parts_get *whole;
	parts_get_fn	*get;
	void		*arg;
	uint8_t		*states;
	struct swap_error *error;
	int64_t		 count;
	int		 failed;	/* the first error; 0: none so far */
	bool		 no_ram;	/* nothing more comes */
};

static bool
is_final(int64_t r)
{
	return r < 0 && r != -EIO && r != -EAGAIN && r != -ENOMEM;
}

/* 0, or what ends the whole. */
static int64_t
part_do(struct parts *p, uint64_t offset, uint64_t length)
{
	const struct parts_get *w = p->whole;
	bool has_wanted = w->wanted >= offset && w->wanted - offset < length;
	bool must = has_wanted || (w->flags & SWAP_GET_ALL) != 0;
	struct parts_get part = {
		offset, length, has_wanted ? w->wanted : offset, w->flags,
	};
	uint8_t *states = p->states + (offset - w->offset) / page_bytes();
	struct swap_error error = { 0 };
	int64_t r;

	if (p->no_ram || !must) {
		part.flags = SWAP_GET_NOWAIT;
		must = false;
	}
	r = p->get(p->arg, &part, states, &error);
	p->no_ram = p->no_ram || (r == -ENOMEM && must);
	if (is_final(r) || (r < 0 && must && p->failed == 0)) {
		p->failed = (int)r;
		if (p->error != NULL)
			*p->error = error;
	}
	/* A part that has failed says by its states what is there. */
	for (uint64_t i = 0; !is_final(r) && i < length / page_bytes(); i++)
		p->count += states[i] == SWAP_PAGE_RESIDENT;
	return is_final(r) ? r : 0;
}

int64_t
parts_get(const struct parts_get *whole, uint64_t part_bytes,
	  parts_get_fn *get, void *arg, uint8_t states[],
	  struct swap_error *error)
{
	struct parts p = {
		.whole = whole, .get = get, .arg = arg, .states = states,
		.error = error,
	};
	uint64_t end = whole->offset + whole->length;
	uint64_t first = (whole->wanted - whole->offset) / part_bytes *
			 part_bytes + whole->offset;
	uint64_t at;
	int64_t r;

	r = part_do(&p, first, min_u64(part_bytes, end - first));
	for (at = whole->offset; r == 0 && at < end; at += part_bytes)
		if (at != first)
			r = part_do(&p, at, min_u64(part_bytes, end - at));
	if (r < 0)
		return r;
	return p.failed < 0 ? p.failed : p.count;
}
