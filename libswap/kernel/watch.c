/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What happens to the kernel's swap.
 *
 * The kernel tells nobody, and keeps no history: whoever wants to know looks
 * again and again, and compares.  It can be asked to wake a reader of
 * /proc/swaps when a device was turned on or off; the rest is seen at the next
 * look.  What comes and goes between two looks is not seen.
 *
 * A device that swapoff(2) empties stays in /proc/swaps like the others.  But
 * SwapTotal has it with what it still holds, not with its size, from the
 * moment on when it gets no more pages.  So the sum of the sizes in the table,
 * less SwapTotal, is what the devices that are being turned off have free; and
 * since such a device's use only falls, reading the table before and after
 * gives bounds for that.
 *
 * W1. An event is told when a state changes, never while it lasts.  States
 *     that are measured begin and end at different marks.
 * W2. A look that fails changes nothing.
 *
 * Costs: six small files a look.  Limits: where two devices are turned off at
 * once and have the same room, one can be taken for the other.  In a container
 * that is shown another SwapTotal, turning off is seen when it is done.
 */
#include "kernel/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "kernel/devices.h"
#include "kernel/memory.h"
#include "util.h"

/* Of all swap: almost full with less than this free, and over at twice that. */
#define LOW_SHARE	16u
/* Full: with less than this. */
#define FULL_SHARE	256u
/* Per cent of the last ten seconds in which somebody waited for memory. */
#define PRESSURE_HIGH	20.0
#define PRESSURE_OVER	10.0

struct row {
	const struct kernel_device *device;
	uint64_t	 low;		/* used, after SwapTotal was read */
	bool		 closing;
};

struct table {
	struct kernel_devices devices;
	struct row	*row;		/* devices.n of them */
};

struct watch {
	const struct host *host;
	swap_event_fn	*fn;
	void		*arg;
	int		 fd;		/* /proc/swaps */
	uint64_t	 number;	/* of the last event */
	uint64_t	 usec;		/* of the last look; 0: none yet */
	struct table	 table;
	struct kernel_memory memory;
	bool		 almost_full;
	bool		 full;
	bool		 pressed;
};

/* -------------------------------------------------------------------- table */

static void
table_clear(struct table *table)
{
	kernel_devices_clear(&table->devices);
	free(table->row);
	table->row = NULL;
}

static struct row *
table_row(const struct table *table, const char *path)
{
	for (size_t i = 0; i < table->devices.n; i++)
		if (strcmp(table->row[i].device->path, path) == 0)
			return &table->row[i];
	return NULL;
}

static uint64_t
used_in(const struct kernel_devices *devices, const char *path)
{
	for (size_t i = 0; i < devices->n; i++)
		if (strcmp(devices->device[i].path, path) == 0)
			return devices->device[i].stats.used_bytes;
	return 0;
}

/* The table and memory's figures, the latter between two reads of the table. */
static int
table_read(const struct host *host, struct table *table,
	   struct kernel_memory *memory)
{
	struct kernel_devices after;
	int r = kernel_devices_table(host, &table->devices);

	table->row = NULL;
	if (r < 0)
		return r;
	table->row = calloc(table->devices.n + 1, sizeof(*table->row));
	r = table->row != NULL ? kernel_memory(host, memory) : -ENOMEM;
	if (r == 0)
		r = kernel_devices_table(host, &after);
	if (r < 0) {
		table_clear(table);
		return r;
	}
	for (size_t i = 0; i < table->devices.n; i++) {
		struct row *row = &table->row[i];

		row->device = &table->devices.device[i];
		row->low = min_u64(used_in(&after, row->device->path),
				   row->device->stats.used_bytes);
	}
	kernel_devices_clear(&after);
	return 0;
}

/* ------------------------------------------------------------------- closing */

/* What SwapTotal lacks of the sum of the sizes. */
static uint64_t
lacking(const struct table *table, const struct kernel_memory *memory)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < table->devices.n; i++)
		sum += table->devices.device[i].stats.size_bytes;
	return sum > memory->swap_total ? sum - memory->swap_total : 0;
}

/* Is that the room of the rows that are marked as closing? */
static bool
explains(const struct table *table, uint64_t lack)
{
	uint64_t least = 0, most = 0;

	for (size_t i = 0; i < table->devices.n; i++) {
		const struct row *row = &table->row[i];
		uint64_t size = row->device->stats.size_bytes;

		if (!row->closing)
			continue;
		least += size - min_u64(row->device->stats.used_bytes, size);
		most += size - min_u64(row->low, size);
	}
	return least <= lack && lack <= most;
}

/* Mark those that are closing: as before, or else with one more, or less. */
static void
mark_closing(struct table *table, const struct table *before, uint64_t lack)
{
	const struct row *old;
	size_t n = table->devices.n;

	for (size_t i = 0; i < n; i++) {
		old = table_row(before, table->row[i].device->path);
		table->row[i].closing = old != NULL && old->closing;
	}
	for (size_t i = 0; i < n && !explains(table, lack); i++) {
		table->row[i].closing = !table->row[i].closing;
		if (explains(table, lack))
			return;
		table->row[i].closing = !table->row[i].closing;
	}
	for (size_t i = 0; i < n && lack == 0; i++)
		table->row[i].closing = false;
}

/* -------------------------------------------------------------------- events */

static uint64_t
wall_usec(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

static void swap_printf(4, 5)
tell(struct watch *watch, enum swap_event_kind kind, const char *device,
     const char *fmt, ...)
{
	struct swap_event event = {
		.number = ++watch->number, .time_usec = wall_usec(),
		.kind = kind,
	};
	va_list args;

	format_cut(event.device, sizeof(event.device), "%s", device);
	va_start(args, fmt);
	if (vsnprintf(event.message, sizeof(event.message), fmt, args) < 0)
		event.message[0] = '\0';
	va_end(args);
	watch->fn(watch->arg, &event);
}

static void
tell_on(struct watch *watch, const struct kernel_device *device)
{
	char size[32], used[32];

	tell(watch, SWAP_EVENT_DEVICE_ON, device->path,
	     "is on%s: %s of %s, %s used, priority %d",
	     watch->usec == 0 ? ", the kernel does not tell since when" : "",
	     device->stats.type,
	     format_size(device->stats.size_bytes, size, sizeof(size)),
	     format_size(device->stats.used_bytes, used, sizeof(used)),
	     device->stats.priority);
}

static void
tell_closing(struct watch *watch, const struct row *row)
{
	const struct kernel_device *device = row->device;
	char used[32];

	format_size(device->stats.used_bytes, used, sizeof(used));
	if (row->closing)
		tell(watch, SWAP_EVENT_DEVICE_OFF_STARTED, device->path,
		     "is being turned off: %s must come back", used);
	else
		tell(watch, SWAP_EVENT_DEVICE_OFF_STOPPED, device->path,
		     "is in service again, and holds %s", used);
}

/* @old is NULL for a device that was not there. */
static void
tell_row(struct watch *watch, const struct row *row, const struct row *old)
{
	const struct kernel_device *device = row->device;
	int priority = device->stats.priority;

	if (old == NULL)
		tell_on(watch, device);
	if (old != NULL && priority != old->device->stats.priority)
		tell(watch, SWAP_EVENT_DEVICE_PRIORITY, device->path,
		     "has priority %d, and had %d", priority,
		     old->device->stats.priority);
	if (device->deleted && (old == NULL || !old->device->deleted))
		tell(watch, SWAP_EVENT_DEVICE_ORPHANED, device->path,
		     "was removed while in use: its name is gone");
	if (row->closing != (old != NULL && old->closing))
		tell_closing(watch, row);
}

static void
tell_table(struct watch *watch, const struct table *now)
{
	const struct table *before = &watch->table;

	for (size_t i = 0; i < before->devices.n; i++)
		if (table_row(now, before->row[i].device->path) == NULL)
			tell(watch, SWAP_EVENT_DEVICE_OFF,
			     before->row[i].device->path, "is turned off");
	for (size_t i = 0; i < now->devices.n; i++)
		tell_row(watch, &now->row[i],
			 table_row(before, now->row[i].device->path));
}

/* The size of what takes pages; a container is told of its own limit. */
static uint64_t
open_bytes(const struct table *table, const struct kernel_memory *memory)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < table->devices.n; i++)
		if (!table->row[i].closing)
			sum += table->devices.device[i].stats.size_bytes;
	return min_u64(sum, memory->swap_total);
}

static void
tell_room(struct watch *watch, uint64_t total, uint64_t room)
{
	bool was = watch->almost_full || watch->full;
	char a[32], b[32];

	format_size(room, a, sizeof(a));
	format_size(total, b, sizeof(b));
	/* No swap is no shortage of it. */
	if (total == 0 || room > total / LOW_SHARE * 2) {
		watch->almost_full = watch->full = false;
		if (was && total > 0)
			tell(watch, SWAP_EVENT_ROOM, "", "%s of %s are free "
			     "again", a, b);
	} else if (!watch->full && room <= total / FULL_SHARE) {
		watch->almost_full = watch->full = true;
		tell(watch, SWAP_EVENT_FULL, "", "%s of %s are free: what is "
		     "not in swap stays in RAM", a, b);
	} else if (!watch->almost_full && room < total / LOW_SHARE) {
		watch->almost_full = true;
		tell(watch, SWAP_EVENT_ALMOST_FULL, "",
		     "%s of %s are free", a, b);
	} else if (room >= total / LOW_SHARE) {
		watch->full = false;
	}
}

/* MiB a second of pages, between two looks. */
static double
rate(uint64_t now, uint64_t before, uint64_t usec)
{
	return usec == 0 ? 0 : (double)(now - before) * (double)page_bytes() /
	       0x1p20 / ((double)usec / 1e6);
}

static void
tell_pressure(struct watch *watch, const struct kernel_memory *now,
	      uint64_t usec)
{
	const struct kernel_memory *before = &watch->memory;

	if (!now->has_pressure)
		return;
	if (!watch->pressed && now->some.avg10 >= PRESSURE_HIGH) {
		watch->pressed = true;
		tell(watch, SWAP_EVENT_PRESSURE_HIGH, "", "programs waited "
		     "for memory for %.0f %% of the last 10 s; %.1f MiB/s "
		     "come in, %.1f go out", now->some.avg10,
		     rate(now->in_pages, before->in_pages, usec),
		     rate(now->out_pages, before->out_pages, usec));
	} else if (watch->pressed && now->some.avg10 < PRESSURE_OVER) {
		watch->pressed = false;
		tell(watch, SWAP_EVENT_PRESSURE_OVER, "", "programs waited "
		     "for memory for %.0f %% of the last 10 s",
		     now->some.avg10);
	}
}

/* --------------------------------------------------------------------- whole */

int
watch_open(const struct host *host, swap_event_fn *fn, void *arg,
	   struct watch **ret_watch)
{
	struct watch *watch = calloc(1, sizeof(*watch));

	if (watch == NULL)
		return -ENOMEM;
	watch->host = host;
	watch->fn = fn;
	watch->arg = arg;
	/* Before the first look, so that nothing is missed. */
	watch->fd = openat(host->proc, "swaps", O_RDONLY | O_CLOEXEC);
	*ret_watch = watch;
	return 0;
}

void
watch_close(struct watch *watch)
{
	if (watch->fd >= 0)
		close(watch->fd);
	table_clear(&watch->table);
	free(watch);
}

int
watch_fd(const struct watch *watch)
{
	return watch->fd;
}

int
watch_look(struct watch *watch)
{
	uint64_t usec = now_usec(), since;
	struct kernel_memory memory;
	struct table table;
	int r = table_read(watch->host, &table, &memory);

	if (r < 0)
		return r;
	mark_closing(&table, &watch->table, lacking(&table, &memory));
	since = watch->usec != 0 ? usec - watch->usec : 0;
	tell_table(watch, &table);
	tell_room(watch, open_bytes(&table, &memory), memory.swap_free);
	tell_pressure(watch, &memory, since);
	table_clear(&watch->table);
	watch->table = table;
	watch->memory = memory;
	watch->usec = usec;
	return 0;
}
