/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory that devices write to.
 *
 * Page-out punches pages out of the heap's object, pinned or not.  What is
 * registered with io_uring stays pinned, and completions arrive without any
 * fault, so these buffers are wired in the pager for as long as they are
 * registered.  A table says which ring has wired what, since a ring is told to
 * drop its buffers by number, or just closed.
 *
 * A request in flight keeps the buffer that it began with, even if its slot is
 * given another one; so the buffer before the present one stays wired too.
 *
 * Cost: a request to swapd for each buffer; the table is searched from end to
 * end, and has as many rows as there are buffers.
 */
#include "heap.h"

#include <errno.h>
#include <linux/io_uring.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

/* The fixed buffers of a ring; other groups are those of buffer rings. */
#define GROUP_FIXED	UINT32_MAX

#define PBUF_ENTRY_BYTES	16u
/* The kernel allocates it, and maps it elsewhere. */
#define PBUF_BY_KERNEL		1u

struct wired {
	uintptr_t	 ring;
	uint32_t	 group;
	uint32_t	 slot;
	bool		 replaced;	/* the slot has another buffer now */
	const void	*address;
	size_t		 length;
};

/* One table for the process: rings are the process's.  [t] = lock. */
static struct {
	pthread_mutex_t	 lock;
	struct wired	*rows;		/* [t] */
	size_t		 n, capacity;	/* [t] */
} table = { .lock = PTHREAD_MUTEX_INITIALIZER };

int
heap_wire(const void *address, size_t length)
{
	struct swap_client_region *region = heap_service()->region;
	uintptr_t start, end;

	if (!heap_clip(address, length, &start, &end))
		return 0;
	if (region == NULL)
		return -EFAULT;
	return swap_client_wire(region, heap_offset(start), end - start, NULL);
}

void
heap_unwire(const void *address, size_t length)
{
	struct swap_client_region *region = heap_service()->region;
	uintptr_t start, end;

	if (region != NULL && heap_clip(address, length, &start, &end))
		(void)swap_client_unwire(region, heap_offset(start),
					 end - start);
}

static int
table_add(const struct wired *row)
{
	size_t capacity;
	void *rows;

	if (table.n == table.capacity) {
		capacity = table.capacity == 0 ? 16 : 2 * table.capacity;
		rows = realloc(table.rows, capacity * sizeof(*table.rows));
		if (rows == NULL)
			return -ENOMEM;
		table.rows = rows;
		table.capacity = capacity;
	}
	table.rows[table.n++] = *row;
	return 0;
}

static void
table_drop(size_t i)
{
	heap_unwire(table.rows[i].address, table.rows[i].length);
	table.rows[i] = table.rows[--table.n];
}

static int
wire_row(const struct wired *row)
{
	uintptr_t start, end;
	int r;

	if (!heap_clip(row->address, row->length, &start, &end))
		return 0;
	r = heap_wire(row->address, row->length);
	if (r < 0)
		return r;
	r = table_add(row);
	if (r < 0)
		heap_unwire(row->address, row->length);
	return r;
}

/* All rows of @ring from number @first on, of @group if that is not NULL. */
static void
drop_rows(uintptr_t ring, const uint32_t *group, size_t first)
{
	for (size_t i = table.n; i-- > first;)
		if (table.rows[i].ring == ring &&
		    (group == NULL || table.rows[i].group == *group))
			table_drop(i);
}

/* The slots of the rows from @first on have these buffers now. */
static void
replace_rows(size_t first)
{
	struct wired *new, *old;

	for (size_t i = first; i < table.n; i++) {
		new = &table.rows[i];
		for (size_t j = first; j-- > 0;) {
			old = &table.rows[j];
			if (old->ring != new->ring ||
			    old->group != new->group || old->slot != new->slot)
				continue;
			if (old->replaced) {
				/* Nothing may move that is yet to be seen. */
				heap_unwire(old->address, old->length);
				old->ring = 0;
			}
			old->replaced = true;
		}
	}
	for (size_t i = table.n; i-- > 0;)
		if (table.rows[i].ring == 0)
			table.rows[i] = table.rows[--table.n];
}

/* Wire @n buffers for the slots from @slot on, call, and undo on failure. */
static int
register_buffers(uintptr_t ring, uint32_t slot, const struct iovec *buffers,
		 unsigned n, heap_uring_call *call, void *arg)
{
	struct wired row = { .ring = ring, .group = GROUP_FIXED };
	size_t first;
	int r = 0;

	pthread_mutex_lock(&table.lock);
	first = table.n;
	for (unsigned i = 0; r == 0 && buffers != NULL && i < n; i++) {
		row.slot = slot + i;
		row.address = buffers[i].iov_base;
		row.length = buffers[i].iov_len;
		r = wire_row(&row);
	}
	if (r == 0)
		r = call(arg);
	if (r < 0)
		drop_rows(ring, NULL, first);
	else
		replace_rows(first);
	pthread_mutex_unlock(&table.lock);
	return r;
}

static int
register_buffer_ring(uintptr_t ring, const struct heap_pbuf_ring *b,
		     heap_uring_call *call, void *arg)
{
	struct wired row = { .ring = ring, .group = b->bgid };
	size_t first;
	int r = 0;

	pthread_mutex_lock(&table.lock);
	first = table.n;
	if ((b->flags & PBUF_BY_KERNEL) == 0) {
		row.address = (const void *)(uintptr_t)b->ring_addr;
		row.length = (size_t)b->ring_entries * PBUF_ENTRY_BYTES;
		r = wire_row(&row);
	}
	if (r == 0)
		r = call(arg);
	if (r < 0)
		drop_rows(ring, NULL, first);
	pthread_mutex_unlock(&table.lock);
	return r;
}

static int
unregister(uintptr_t ring, uint32_t group, heap_uring_call *call, void *arg)
{
	int r = call(arg);

	if (r < 0)
		return r;
	pthread_mutex_lock(&table.lock);
	drop_rows(ring, &group, 0);
	pthread_mutex_unlock(&table.lock);
	return r;
}

static const struct iovec *
pointer(uint64_t address)
{
	return (const struct iovec *)(uintptr_t)address;
}

int
heap_uring_register(uintptr_t ring, unsigned opcode, const void *arg,
		    unsigned nr, heap_uring_call *call, void *call_arg)
{
	const struct io_uring_rsrc_register *more = arg;
	const struct io_uring_rsrc_update2 *update = arg;
	const struct heap_pbuf_ring *pbuf = arg;

	/* What has no argument is left to the kernel to refuse. */
	if (arg == NULL && opcode != IORING_UNREGISTER_BUFFERS)
		return call(call_arg);
	switch (opcode) {
	case IORING_REGISTER_BUFFERS:
		return register_buffers(ring, 0, arg, nr, call, call_arg);
	case IORING_REGISTER_BUFFERS2:
		return register_buffers(ring, 0, pointer(more->data),
					more->nr, call, call_arg);
	case IORING_REGISTER_BUFFERS_UPDATE:
		return register_buffers(ring, update->offset,
					pointer(update->data), update->nr,
					call, call_arg);
	case HEAP_REGISTER_PBUF_RING:
		return register_buffer_ring(ring, pbuf, call, call_arg);
	case IORING_UNREGISTER_BUFFERS:
		return unregister(ring, GROUP_FIXED, call, call_arg);
	case HEAP_UNREGISTER_PBUF_RING:
		return unregister(ring, pbuf->bgid, call, call_arg);
	default:
		return call(call_arg);
	}
}

void
heap_uring_closed(uintptr_t ring)
{
	/* Read without the lock: a ring is not closed while it registers. */
	if (swap_likely(__atomic_load_n(&table.n, __ATOMIC_RELAXED) == 0))
		return;
	pthread_mutex_lock(&table.lock);
	drop_rows(ring, NULL, 0);
	pthread_mutex_unlock(&table.lock);
}

/* The rings work on the parent's memory; another thread may have the lock. */
void
heap_wire_child(void)
{
	pthread_mutex_init(&table.lock, NULL);
	table.n = 0;
	table.capacity = 0;
	table.rows = NULL;
}
