/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Copies of objects beneath their sources.
 *
 * A list of objects, sorted in some way, becomes a forest: the place of each
 * one's source is found by its number, each place is linked into the list of
 * its source's, and the lists are walked from the roots.  A source's number is
 * always smaller than its copy's; what says otherwise came from a socket, and
 * is taken for a root, so that no loop can be.
 */
#include "object-tree.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

#define NOWHERE		SIZE_MAX
/* Deeper ones are not indented further, where a name must be read, too. */
#define DEPTH_SHOWN	8u

struct place {
	uint64_t	 id;
	size_t		 at;		/* in the order */
};

/* By place in the order that came in; [n] is above all roots. */
struct node {
	size_t		 object;
	size_t		 parent;
	size_t		 first, next;	/* copies; of the same source */
};

static int
compare_places(const void *left, const void *right)
{
	const struct place *a = left, *b = right;

	return (a->id > b->id) - (a->id < b->id);
}

static size_t
find_source(const struct swap_object_stats *object, const struct place *places,
	    size_t n)
{
	const struct place wanted = { .id = object->source_id }, *found;

	if (object->source_id == 0 || object->source_id >= object->id)
		return n;
	found = bsearch(&wanted, places, n, sizeof(*places), compare_places);
	return found != NULL ? found->at : n;
}

static void
link_nodes(const struct swap_object_stats *objects, const size_t *order,
	   struct place *places, struct node *nodes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		places[i] = (struct place){ objects[order[i]].id, i };
	qsort(places, n, sizeof(*places), compare_places);
	for (size_t i = 0; i <= n; i++)
		nodes[i].first = NOWHERE;
	/* From the end, as each goes to the front of its list. */
	for (size_t i = n; i-- > 0;) {
		struct node *node = &nodes[i];

		node->object = order[i];
		node->parent = find_source(&objects[order[i]], places, n);
		node->next = nodes[node->parent].first;
		nodes[node->parent].first = i;
	}
}

static void
walk(const struct node *nodes, size_t *order, unsigned *depths, size_t n)
{
	size_t at = nodes[n].first, placed = 0;
	unsigned depth = 0;

	while (at != NOWHERE) {
		order[placed] = nodes[at].object;
		depths[placed++] = depth;
		if (nodes[at].first != NOWHERE) {
			at = nodes[at].first;
			depth++;
			continue;
		}
		while (at != n && nodes[at].next == NOWHERE) {
			at = nodes[at].parent;
			depth -= depth > 0;
		}
		at = at == n ? NOWHERE : nodes[at].next;
	}
}

int
object_tree(const struct swap_object_stats *objects, size_t *order,
	    unsigned *depths, size_t n)
{
	struct place *places;
	struct node *nodes;

	if (n == 0)
		return 0;
	places = calloc(n, sizeof(*places));
	nodes = calloc(n + 1, sizeof(*nodes));
	if (places != NULL && nodes != NULL) {
		link_nodes(objects, order, places, nodes, n);
		walk(nodes, order, depths, n);
	}
	free(places);
	free(nodes);
	return places != NULL && nodes != NULL ? 0 : -ENOMEM;
}

const char *
object_label(const struct swap_object_stats *object, unsigned depth, char *buf,
	     size_t len)
{
	char copy[32] = "-";
	const char *name = object->name;

	if (object->source_id != 0)
		format_cut(copy, sizeof(copy), "copy of %" PRIu64,
			   object->source_id);
	if (depth > DEPTH_SHOWN)
		depth = DEPTH_SHOWN;
	format_cut(buf, len, "%*s%s%s", (int)(2 * depth), "",
		   name[0] != '\0' ? name : copy,
		   object->orphan ? " (gone)" : "");
	return buf;
}
