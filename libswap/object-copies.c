/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Objects and their copies: who is whose source, and when a page may be opened.
 *
 * What that is for is in copy.c; here are the links and the counts, all of them
 * under the objects' locks, that of the source first.
 *
 *	L1  A copy is in the list of its source, by falling numbers, or has no
 *	    source.  The source lives for as long as it is there.
 *	L2  While `opening' is not 0 no copy is linked but by a relink, which
 *	    adds nothing that is needed; while `forking' is not 0 nobody opens.
 */
#include "object.h"

/* ------------------------------------------------------------------ links */

void
object_call_collapse(struct core *core)
{
	pthread_mutex_lock(&core->copies_lock);
	core->copies_work = true;
	pthread_cond_signal(&core->copies_called);
	pthread_mutex_unlock(&core->copies_lock);
}

/* What a successor reads.  The copy is locked, or not yet seen. */
static void
record_source(struct swap_object *copy)
{
	struct object_record *record = swapmap_header(copy->map);

	record->source = copy->source != NULL ? copy->source->id : 0;
}

void
object_link_copy(struct swap_object *source, struct swap_object *copy)
{
	struct swap_object **at = &source->copies;

	while (*at != NULL && (*at)->id > copy->id)
		at = &(*at)->next_copy;
	copy->next_copy = *at;
	*at = copy;
	source->ncopies++;
	source->guarded = true;
	copy->source = source;
	record_source(copy);
}

void
object_unlink_copy(struct swap_object *source, struct swap_object *copy)
{
	struct swap_object **at = &source->copies;

	while (*at != copy)
		at = &(*at)->next_copy;
	*at = copy->next_copy;
	source->ncopies--;
	copy->source = NULL;
	record_source(copy);
}

struct swap_object *
object_part(struct swap_object *copy)
{
	struct core *core = copy->core;
	struct swap_object *source;
	bool last, orphan;

	/* Locked in their order, so look first who it is. */
	for (;;) {
		object_lock(copy);
		source = copy->source;
		if (source != NULL)
			object_hold(source);
		object_unlock(copy);
		if (source == NULL)
			return NULL;
		object_lock(source);
		object_lock(copy);
		if (copy->source == source)
			break;
		object_unlock(copy);
		object_unlock(source);
		object_drop(source);
	}
	object_unlink_copy(source, copy);
	last = source->ncopies == 0;
	orphan = source->orphan;
	object_unlock(copy);
	object_unlock(source);
	/* To collapse one that has one left, or lift the protection. */
	object_call_collapse(core);
	/* An orphan is held by its life, too, which only we end now. */
	object_drop(source);
	return last && orphan ? source : NULL;
}

void
object_leave_source(struct swap_object *copy)
{
	struct swap_object *orphan = object_part(copy);

	if (orphan != NULL)
		object_kill(orphan);
}

/* ---------------------------------------------------------------- opening */

void
object_wait_forks(struct swap_object *object)
{
	while (object->forking > 0)
		object_wait_unbusy(object);
}

void
object_open(struct swap_object *object)
{
	object_wait_forks(object);
	object->opening++;
}

void
object_close(struct swap_object *object)
{
	object->opening--;
	if (object->opening == 0 && object->forking > 0)
		pthread_cond_broadcast(&object->unbusy);
}
