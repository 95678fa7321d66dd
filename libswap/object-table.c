/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table of live objects.
 *
 * One list of all objects (NetBSD uao_list), as an array: an object's slot is
 * its short name in the page queues.  Those that have a name are found by its
 * hash (FreeBSD swap_pager_object_list, NOBJLIST); the chains grow with their
 * number.
 *
 *	T1  a live object is in exactly one slot, and in exactly one chain if
 *	    it has a name; no two of them have the same name;
 *	T2  no slot below free_hint is free.
 *
 * Costs: finding and removing by name look at about one object; a new object
 * takes the lowest free slot, which takes as many steps as slots were filled
 * since the last one became free.  Memory: 8 bytes a slot, and 8 to 16 a name.
 */
#include "object.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS_FIRST	64u
#define BUCKETS_FIRST	64u

/* Who writes must not wait for as long as somebody else copies. */
static void
moves_init(struct object_table *table)
{
	pthread_rwlockattr_t attr;

	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr,
		PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&table->moves, &attr);
	pthread_rwlockattr_destroy(&attr);
}

int
object_table_init(struct object_table *table)
{
	memset(table, 0, sizeof(*table));
	table->next_id = 1;
	table->nheld = 1;
	pthread_mutex_init(&table->lock, NULL);
	moves_init(table);
	return 0;
}

void
object_table_fini(struct object_table *table)
{
	free(table->slot);
	free(table->bucket);
	pthread_rwlock_destroy(&table->moves);
	pthread_mutex_destroy(&table->lock);
}

/* ------------------------------------------------------------------ names */

/* FNV-1a, 32 bits. */
static uint32_t
hash_of(const char *name)
{
	uint32_t hash = UINT32_C(2166136261);

	for (; *name != '\0'; name++)
		hash = (hash ^ (unsigned char)*name) * UINT32_C(16777619);
	return hash;
}

static struct swap_object **
chain(struct object_table *table, uint32_t hash)
{
	return &table->bucket[hash & (table->nbuckets - 1)];
}

/* Twice as many chains.  Without memory they just get longer. */
static void
names_grow(struct object_table *table)
{
	uint32_t nold = table->nbuckets;
	struct swap_object **old = table->bucket, **bucket;
	uint32_t n = nold == 0 ? BUCKETS_FIRST : 2 * nold;

	bucket = calloc(n, sizeof(struct swap_object *));
	if (bucket == NULL)
		return;
	table->bucket = bucket;
	table->nbuckets = n;
	for (uint32_t i = 0; i < nold; i++) {
		struct swap_object *object, *next;

		for (object = old[i]; object != NULL; object = next) {
			struct swap_object **at = chain(table, object->hash);

			next = object->next_named;
			object->next_named = *at;
			*at = object;
		}
	}
	free(old);
}

static int
name_add(struct object_table *table, struct swap_object *object)
{
	struct swap_object **at;

	if (object->name[0] == '\0')
		return 0;
	if (table->nnamed >= table->nbuckets)
		names_grow(table);
	if (table->nbuckets == 0)
		return -ENOMEM;
	object->hash = hash_of(object->name);
	at = chain(table, object->hash);
	object->next_named = *at;
	*at = object;
	object->is_named = true;
	table->nnamed++;
	return 0;
}

static void
name_remove(struct object_table *table, struct swap_object *object)
{
	struct swap_object **at;

	if (!object->is_named)
		return;
	object->is_named = false;
	at = chain(table, object->hash);
	while (*at != object)
		at = &(*at)->next_named;
	*at = object->next_named;
	table->nnamed--;
}

struct swap_object *
object_table_find(struct object_table *table, const char *name)
{
	uint32_t hash = hash_of(name);
	struct swap_object *object;

	if (table->nbuckets == 0)
		return NULL;
	object = *chain(table, hash);
	while (object != NULL && (object->hash != hash ||
				  strcmp(object->name, name) != 0))
		object = object->next_named;
	return object;
}

/* ------------------------------------------------------------------ slots */

/* The lowest free slot; -EMFILE, -ENOMEM. */
static int
find_slot(struct object_table *table, uint32_t *ret_slot)
{
	uint32_t i = table->free_hint, n;
	struct swap_object **slot;

	while (i < table->nslots && table->slot[i] != NULL)
		i++;
	if (i >= OBJECTS_MAX)
		return -EMFILE;
	if (i == table->nslots) {
		n = i == 0 ? SLOTS_FIRST : 2 * i;
		slot = realloc(table->slot, n * sizeof(struct swap_object *));
		if (slot == NULL)
			return -ENOMEM;
		memset(slot + i, 0, (n - i) * sizeof(struct swap_object *));
		table->slot = slot;
		table->nslots = n;
	}
	*ret_slot = i;
	return 0;
}

int
object_table_add(struct object_table *table, struct swap_object *object)
{
	uint32_t i;
	int rc = find_slot(table, &i);

	if (rc == 0)
		rc = name_add(table, object);
	if (rc < 0)
		return rc;
	table->slot[i] = object;
	table->free_hint = i + 1;
	table->nlive++;
	table->nheld++;
	object->slot = i;
	object->id = table->next_id++;
	return 0;
}

static void
leave(struct object_table *table, struct swap_object *object)
{
	name_remove(table, object);
	table->slot[object->slot] = NULL;
	if (object->slot < table->free_hint)
		table->free_hint = object->slot;
	table->nlive--;
}

void
object_table_undo(struct object_table *table, struct swap_object *object)
{
	leave(table, object);
	table->nheld--;
}

void
object_table_remove(struct object_table *table, struct swap_object *object)
{
	pthread_mutex_lock(&table->lock);
	leave(table, object);
	pthread_mutex_unlock(&table->lock);
}

void
object_table_unname(struct object_table *table, struct swap_object *object)
{
	pthread_mutex_lock(&table->lock);
	name_remove(table, object);
	pthread_mutex_unlock(&table->lock);
}

void
object_table_forget(struct object_table *table)
{
	bool unused;

	pthread_mutex_lock(&table->lock);
	unused = --table->nheld == 0;
	pthread_mutex_unlock(&table->lock);
	if (unused)
		table->unused(table->unused_arg);
}

void
object_table_close(struct object_table *table)
{
	object_table_forget(table);
}

/* ---------------------------------------------------------------- looking */

struct swap_object *
object_find(struct core *core, const char *name)
{
	struct swap_object *object;

	if (name[0] == '\0')
		return NULL;
	pthread_mutex_lock(&core->table.lock);
	object = object_table_find(&core->table, name);
	if (object != NULL) {
		unsigned refs = atomic_load(&object->refs);

		/* One that is being killed is not found any more. */
		while (refs > 0 &&
		       !atomic_compare_exchange_weak(&object->refs, &refs,
						     refs + 1))
			;
		if (refs == 0)
			object = NULL;
	}
	pthread_mutex_unlock(&core->table.lock);
	return object;
}

struct swap_object *
object_hold_slot(struct core *core, uint32_t slot)
{
	struct swap_object *object = NULL;

	pthread_mutex_lock(&core->table.lock);
	if (slot < core->table.nslots)
		object = core->table.slot[slot];
	if (object != NULL)
		object_hold(object);
	pthread_mutex_unlock(&core->table.lock);
	return object;
}

int
objects_each(struct core *core, object_fn *fn, void *arg)
{
	uint32_t nslots;
	int rc = 0;

	pthread_mutex_lock(&core->table.lock);
	nslots = core->table.nslots;
	pthread_mutex_unlock(&core->table.lock);
	for (uint32_t i = 0; i < nslots && rc == 0; i++) {
		struct swap_object *object = object_hold_slot(core, i);

		if (object == NULL)
			continue;
		rc = fn(object, arg);
		object_drop(object);
	}
	return rc;
}

void
objects_wait_moves(struct core *core)
{
	pthread_rwlock_wrlock(&core->table.moves);
	pthread_rwlock_unlock(&core->table.moves);
}
