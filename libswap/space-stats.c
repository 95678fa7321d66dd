/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What swap space has to tell: states, totals, and a line for each device.
 * All of it is one picture, taken under the lock.
 */
#include "space-impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

static bool
has_flags(struct space *s, uint64_t block, unsigned flags)
{
	struct space_dev *dev;
	bool result;

	space_enter(s);
	dev = space_dev_of(s, block);
	result = dev != NULL && (dev->flags & flags) != 0;
	space_leave(s);
	return result;
}

bool
space_is_leaving(struct space *s, uint64_t block)
{
	return has_flags(s, block, SWAP_DEVICE_CLOSING | SWAP_DEVICE_GONE);
}

bool
space_is_gone(struct space *s, uint64_t block)
{
	return atomic_load_explicit(&s->ngone, memory_order_relaxed) > 0 &&
	       has_flags(s, block, SWAP_DEVICE_GONE);
}

bool
space_is_tight(struct space *s)
{
	bool result;

	space_enter(s);
	result = s->almost_full;
	space_leave(s);
	return result;
}

bool
space_is_full(struct space *s)
{
	bool result;

	space_enter(s);
	result = s->full;
	space_leave(s);
	return result;
}

uint64_t
space_room(struct space *s)
{
	uint64_t room;

	space_enter(s);
	room = s->full ? space_plain(s) : UINT64_MAX;
	space_leave(s);
	return room;
}

void
space_totals(struct space *s, struct space_totals *ret)
{
	space_enter(s);
	memset(ret, 0, sizeof(*ret));
	ret->total = s->total;
	ret->avail = s->avail;
	ret->reserved = min_u64(s->reserved, s->avail);
	ret->free_completed = s->free_completed;
	ret->almost_full_events = s->almost_full_events;
	ret->full_events = s->full_events;
	ret->held = s->held;
	for (unsigned i = 0; i < s->ndev; i++) {
		ret->used += s->dev[i]->used;
		if (space_dev_serves(s->dev[i]))
			ret->held += s->dev[i]->discard_n;
	}
	ret->almost_full = s->ndev > 0 && s->almost_full;
	ret->full = s->ndev > 0 && s->full;
	pthread_mutex_lock(&s->late_lock);
	ret->free_deferred = s->free_deferred;
	pthread_mutex_unlock(&s->late_lock);
	space_leave(s);
}

/* The counters only grow, whoever reads them. */
static void
dev_io_stats(const struct device *device, struct swap_device_stats *st)
{
	const struct device_counters *io = device_counters(device);

	st->read_bytes = atomic_load(&io->read_bytes);
	st->written_bytes = atomic_load(&io->write_bytes);
	st->reads = atomic_load(&io->reads);
	st->writes = atomic_load(&io->writes);
	st->read_errors = atomic_load(&io->read_errors);
	st->write_errors = atomic_load(&io->write_errors);
	st->discards = atomic_load(&io->discards);
	st->discarded_bytes = atomic_load(&io->discarded_bytes);
	st->inflight = atomic_load(&io->inflight);
	latency_read(&io->read_time, &st->read_time);
	latency_read(&io->write_time, &st->write_time);
}

/* @to is zeros: what is cut ends well. */
static void
copy_text(char *to, size_t size, const char *from)
{
	memcpy(to, from, strnlen(from, size - 1));
}

static void
dev_stats(const struct space_dev *dev, struct swap_device_stats *st)
{
	copy_text(st->path, sizeof(st->path), device_path(dev->device));
	copy_text(st->type, sizeof(st->type), device_type(dev->device));
	st->priority = dev->priority;
	st->flags = dev->flags;
	if (device_discards(dev->device))
		st->flags |= SWAP_DEVICE_DISCARDS;
	st->first_block = dev->first;
	st->size_bytes = space_dev_usable(dev) * page_bytes();
	st->used_bytes = dev->used * page_bytes();
	st->bad_bytes = dev->bad * page_bytes();
	dev_io_stats(dev->device, st);
}

/* Page faults wait for this lock: nothing is allocated under it. */
int
space_stats(struct space *s, struct swap_device_stats **ret, size_t *ret_n)
{
	struct swap_device_stats *st;
	unsigned room, n;

	space_enter(s);
	room = s->ndev;
	space_leave(s);
	st = calloc(room + 1, sizeof(*st));
	if (st == NULL)
		return -ENOMEM;
	space_enter(s);
	/* One that comes now is for the next picture. */
	n = s->ndev < room ? s->ndev : room;
	for (unsigned i = 0; i < n; i++)
		dev_stats(s->dev[i], &st[i]);
	space_leave(s);
	*ret = st;
	*ret_n = n;
	return 0;
}

size_t
space_memory(struct space *s)
{
	size_t bytes = sizeof(*s) + s->table.size + words_memory(&s->words);

	space_enter(s);
	for (unsigned i = 0; i < s->ndev; i++) {
		const struct space_dev *dev = s->dev[i];

		bytes += sizeof(*dev) + blist_memory(dev->blist);
		if (dev->held != NULL)
			bytes += blist_memory(dev->held);
	}
	space_leave(s);
	return bytes;
}
