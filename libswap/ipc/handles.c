/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Handles.
 *
 * A handle is a slot's number and, above it, how often the slot has been used,
 * so that a handle that was given up does not silently mean the next item.
 * Looking up, adding and removing are O(1); a table grows by doubling up to
 * HANDLES_MAX slots and shrinks only when it is freed.
 */
#include "handles.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SLOT_BITS	17

_Static_assert(HANDLES_MAX < 1u << SLOT_BITS, "a slot number has to fit");

static int
handles_grow(struct handles *h)
{
	uint32_t n = h->nslots == 0 ? 8 : h->nslots * 2;
	struct handle_slot *slots;
	uint32_t i;

	if (n > HANDLES_MAX)
		return -ENOSPC;
	slots = realloc(h->slots, n * sizeof(*slots));
	if (slots == NULL)
		return -ENOMEM;
	memset(slots + h->nslots, 0, (n - h->nslots) * sizeof(*slots));
	for (i = n; i > h->nslots; i--) {
		slots[i - 1].next_free = h->free;
		h->free = i;
	}
	h->slots = slots;
	h->nslots = n;
	return 0;
}

int
handles_add(struct handles *h, void *item, uint64_t *ret_handle)
{
	struct handle_slot *slot;
	int r;

	if (h->free == 0) {
		r = handles_grow(h);
		if (r < 0)
			return r;
	}
	slot = &h->slots[h->free - 1];
	*ret_handle = (uint64_t)(slot->generation & 0x7fffffff) << SLOT_BITS |
		      h->free;
	h->free = slot->next_free;
	slot->item = item;
	h->count++;
	return 0;
}

static struct handle_slot *
handles_slot(const struct handles *h, uint64_t handle)
{
	uint64_t number = handle & ((UINT64_C(1) << SLOT_BITS) - 1);
	struct handle_slot *slot;

	if (number == 0 || number > h->nslots)
		return NULL;
	slot = &h->slots[number - 1];
	if (slot->item == NULL ||
	    handle >> SLOT_BITS != (slot->generation & 0x7fffffff))
		return NULL;
	return slot;
}

void *
handles_get(const struct handles *h, uint64_t handle)
{
	struct handle_slot *slot = handles_slot(h, handle);

	return slot == NULL ? NULL : slot->item;
}

static void *
handles_free_slot(struct handles *h, struct handle_slot *slot)
{
	void *item = slot->item;

	slot->item = NULL;
	slot->generation++;
	slot->next_free = h->free;
	h->free = (uint32_t)(slot - h->slots) + 1;
	h->count--;
	return item;
}

void *
handles_remove(struct handles *h, uint64_t handle)
{
	struct handle_slot *slot = handles_slot(h, handle);

	return slot == NULL ? NULL : handles_free_slot(h, slot);
}

void *
handles_pop(struct handles *h)
{
	/* From the end, so that emptying a table is O(slots) altogether. */
	while (h->nslots > 0 && h->slots[h->nslots - 1].item == NULL)
		h->nslots--;
	if (h->nslots == 0)
		return NULL;
	return handles_free_slot(h, &h->slots[h->nslots - 1]);
}

void
handles_clear(struct handles *h)
{
	free(h->slots);
	memset(h, 0, sizeof(*h));
}
