/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Swap space.
 *
 * A table of devices, each with a blist, and one block address space over
 * them.  This is the table, attach, detach and I/O; blocks are given out and
 * taken back in space-alloc.c, counted in space-stats.c, and shown in
 * space-map.c.  Invariants, under the lock:
 *
 *	S1  device ranges [first, end) do not overlap, and at least one block
 *	    between two of them belongs to nobody, and between them and the word
 *	    blocks [0, WORDS_MAX);
 *	S2  for each device: used + bad + free + held + being discarded = usable
 *	    blocks, where usable leaves out the label at its start;
 *	S3  avail is the sum of the free blocks of the devices in service, that
 *	    is neither entering, closing nor gone, held that of their held ones;
 *	    total the sum of their usable ones;
 *	S4  reserved is what was set aside and not yet given back or allocated:
 *	    a number that devices do not change.  A plain allocation leaves
 *	    reserved blocks in avail, or as many as there are: it sees avail -
 *	    reserved, or nothing where devices have gone and left fewer;
 *	S5  a block that was freed is free, or it is noted down to be freed and
 *	    counts as used until the next one who takes the lock has done it;
 *	S6  on a device that discards, a block that was freed is held back before
 *	    it is free (space-discard.c): avail does not have it, but the water
 *	    marks look at both, and held is nothing while avail is small.
 *
 * A closing device takes no allocations and its free blocks are not counted.
 * Frees still go to its blist: FreeBSD drops them, since it never takes a
 * device back; we do, after a failed or interrupted detach, and then the
 * blist must be exact.
 *
 * Reads and writes find the device under the lock and run without it.  They
 * are safe against detach because a block that somebody reads or writes is
 * in use, and a device with blocks in use is not given up.
 *
 * Costs: allocation and free walk the device table and then the blist.
 */
#include "space-impl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "probe.h"
#include "util.h"

#define TABLE_BYTES	(SPACE_DEVICES_MAX * sizeof(struct space_record))

int
space_init(struct space *s, const struct log *log, int state_dirfd)
{
	int rc;

	memset(s, 0, sizeof(*s));
	s->log = *log;
	rc = arena_create(&s->table, state_dirfd,
			  state_dirfd >= 0 ? "devices" : NULL, TABLE_BYTES);
	if (rc < 0)
		return rc;
	rc = arena_grow(&s->table, TABLE_BYTES);
	if (rc < 0) {
		arena_destroy(&s->table);
		return rc;
	}
	rc = words_init(&s->words, state_dirfd,
			state_dirfd >= 0 ? "words" : NULL);
	if (rc < 0) {
		arena_destroy(&s->table);
		return rc;
	}
	pthread_mutex_init(&s->lock, NULL);
	pthread_mutex_init(&s->late_lock, NULL);
	space_discard_init(s);
	s->almost_full = s->full = true;
	s->warned = true;	/* no device yet is no news */
	return 0;
}

static void
dev_free(struct space_dev *dev)
{
	device_close(dev->device);
	blist_destroy(dev->blist);
	if (dev->held != NULL)
		blist_destroy(dev->held);
	free(dev);
}

void
space_fini(struct space *s)
{
	space_discard_fini(s);
	for (unsigned i = 0; i < s->ndev; i++)
		dev_free(s->dev[i]);
	words_fini(&s->words);
	arena_destroy(&s->table);
	pthread_mutex_destroy(&s->late_lock);
	pthread_mutex_destroy(&s->lock);
}

static uint64_t
nfree(const struct space_dev *dev)
{
	return blist_nfree(dev->blist);
}

struct space_dev *
space_dev_of(const struct space *s, uint64_t block)
{
	for (unsigned i = 0; i < s->ndev; i++) {
		struct space_dev *dev = s->dev[i];

		if (block >= dev->first && block < dev->end)
			return dev;
	}
	return NULL;
}

/* -------------------------------------------------------- out of service */

/* Lock held. */
static void
leave_service(struct space *s, struct space_dev *dev, unsigned why)
{
	if (space_dev_serves(dev)) {
		space_unhold(s, dev);
		s->total -= space_dev_usable(dev);
		s->avail -= nfree(dev);
	}
	if ((why & ~dev->flags & SWAP_DEVICE_GONE) != 0)
		atomic_fetch_add(&s->ngone, 1);
	dev->flags |= why;
	space_size_check(s);
}

/*
 * A device that has gone is not asked for blocks again.  Called while a
 * transfer of it is in flight, so that it is not given up meanwhile.
 */
static void
dev_gone(void *arg)
{
	struct space_dev *dev = arg;
	struct space *s = dev->space;

	space_enter(s);
	leave_service(s, dev, SWAP_DEVICE_GONE);
	space_leave(s);
	log_write(&s->log, SWAP_LOG_ERR,
		  "%s: has disappeared; pages that were on it only are lost, "
		  "and their programs get SIGBUS", device_path(dev->device));
	events_add(s->events, SWAP_EVENT_DEVICE_ORPHANED,
		   device_path(dev->device), 0, 0, "has disappeared; pages "
		   "that were on it only are lost");
}

/* --------------------------------------------------------------- attach */

/* The lowest gap that holds @nblocks and a block of nobody behind them. */
static uint64_t
find_gap(const struct space *s, uint64_t nblocks)
{
	uint64_t at = SPACE_FIRST;
	bool moved = true;

	while (moved) {
		moved = false;
		for (unsigned i = 0; i < s->ndev; i++) {
			const struct space_dev *dev = s->dev[i];

			if (at <= dev->end && dev->first <= at + nblocks) {
				at = dev->end + 1;
				moved = true;
			}
		}
	}
	return at;
}

static void
insert_by_priority(struct space *s, struct space_dev *dev)
{
	unsigned i = s->ndev;

	while (i > 0 && s->dev[i - 1]->priority < dev->priority) {
		s->dev[i] = s->dev[i - 1];
		i--;
	}
	s->dev[i] = dev;
	s->ndev++;
}

static void
record_set(struct space *s, struct space_dev *dev)
{
	struct space_record *rec = (void *)s->table.base;

	while (atomic_load(&rec->in_use) != 0)
		rec++;
	rec->priority = dev->priority;
	rec->first = dev->first;
	rec->nblocks = dev->end - dev->first;
	device_identity_words(dev->device, &rec->rdev, &rec->dev, &rec->ino);
	format_cut(rec->path, sizeof(rec->path), "%s",
		   device_path(dev->device));
	atomic_store_explicit(&rec->in_use, 1, memory_order_release);
	dev->record = rec;
}

static int
dev_create(struct space *s, struct device *device,
	   struct space_dev **ret_dev)
{
	struct space_dev *dev = calloc(1, sizeof(*dev));
	uint64_t nblocks = device_nblocks(device);
	int rc;

	if (dev == NULL)
		return -ENOMEM;
	dev->label = (DEVICE_LABEL_BYTES + page_bytes() - 1) / page_bytes();
	rc = blist_create(nblocks, &dev->blist);
	if (rc == 0)
		rc = blist_free(dev->blist, dev->label, nblocks - dev->label);
	if (rc < 0) {
		if (dev->blist != NULL)
			blist_destroy(dev->blist);
		free(dev);
		return rc;
	}
	dev->space = s;
	dev->device = device;
	dev->priority = device_priority(device);
	*ret_dev = dev;
	return 0;
}

/* Lock held: may this device join? */
static int
attach_check(struct space *s, struct device *device, struct swap_error *error)
{
	const char *path = device_path(device);

	for (unsigned i = 0; i < s->ndev; i++) {
		if (!device_same(s->dev[i]->device, device))
			continue;
		return error_set(error, -EBUSY,
			"%s: is in use as swap already, as %s; 'swapctl "
			"status' shows it", path,
			device_path(s->dev[i]->device));
	}
	if (s->ndev == SPACE_DEVICES_MAX)
		return error_set(error, -ENOSPC,
			"%s: %u devices are attached, and that is the limit; "
			"turn one off first", path, SPACE_DEVICES_MAX);
	return 0;
}

/* Into the table, so that nobody attaches the same thing, but not in use. */
static int
dev_enter(struct space *s, struct space_dev *dev, struct swap_error *error)
{
	uint64_t nblocks = device_nblocks(dev->device);
	int rc;

	space_enter(s);
	rc = attach_check(s, dev->device, error);
	if (rc == 0) {
		dev->entering = true;
		dev->first = find_gap(s, nblocks);
		dev->end = dev->first + nblocks;
		dev->serial = ++s->serial;
		record_set(s, dev);
		insert_by_priority(s, dev);
		device_on_gone(dev->device, dev_gone, dev);
	}
	space_leave(s);
	return rc;
}

/* Whole, and get ready to do it when blocks become free. */
static void
dev_discard(struct space *s, struct space_dev *dev)
{
	int rc;

	device_discard_first(dev->device);
	if (!device_discards(dev->device))
		return;
	rc = space_discard_start(s, dev);
	if (rc < 0)
		log_write(&s->log, SWAP_LOG_WARNING,
			  "%s: used without discarding: %s",
			  device_path(dev->device), strerror(-rc));
}

int
space_attach(struct space *s, struct device *device, struct swap_error *error)
{
	struct space_dev *dev;
	int rc = dev_create(s, device, &dev);

	if (rc < 0)
		return error_set(error, rc, "%s: no memory for its block list",
				 device_path(device));
	rc = dev_enter(s, dev, error);
	if (rc < 0) {
		blist_destroy(dev->blist);
		free(dev);
		return rc;
	}
	dev_discard(s, dev);
	space_enter(s);
	dev->entering = false;
	if (space_dev_serves(dev)) {
		s->total += space_dev_usable(dev);
		s->avail += nfree(dev);
	}
	space_size_check(s);
	space_leave(s);
	return 0;
}

/* --------------------------------------------------------------- detach */

char *
space_resolve(const char *spec)
{
	char *path = NULL;

	return probe_resolve(spec, &path, NULL) == 0 ? path : NULL;
}

struct space_dev *
space_find(const struct space *s, const char *spec, const char *resolved)
{
	for (unsigned i = 0; i < s->ndev; i++)
		if (strcmp(device_path(s->dev[i]->device), spec) == 0)
			return s->dev[i];
	if (resolved == NULL)
		resolved = spec;
	for (unsigned i = 0; i < s->ndev; i++)
		if (device_matches(s->dev[i]->device, resolved))
			return s->dev[i];
	return NULL;
}

int
space_not_attached(const char *spec, struct swap_error *error)
{
	return error_set(error, -ENXIO,
		"%s: is not in use as swap here; 'swapctl status' shows what "
		"is", spec);
}

/* Lock held.  What closing devices hold. */
static uint64_t
closing_used(const struct space *s)
{
	uint64_t used = 0;

	for (unsigned i = 0; i < s->ndev; i++)
		if (space_dev_closing(s->dev[i]))
			used += s->dev[i]->used;
	return used;
}

/* Lock held. */
static int
close_check(struct space *s, struct space_dev *dev, const char *spec,
	    uint64_t swapped_pages, uint64_t spare_pages,
	    struct swap_error *error)
{
	uint64_t others, need, also;
	char holds[32], fits[32];

	if (dev == NULL)
		return space_not_attached(spec, error);
	if (dev->entering)
		return error_set(error, -EBUSY,
			"%s: is just being turned on; try again", spec);
	if (space_dev_closing(dev))
		return error_set(error, -EBUSY,
			"%s: is being turned off already; 'swapctl status' "
			"shows how far it is", spec);
	others = s->avail - (space_dev_serves(dev) ? nfree(dev) : 0);
	others = others > s->reserved ? others - s->reserved : 0;
	/*
	 * FreeBSD compares the device's whole size; people complain about
	 * that on Linux too.  What counts is what it holds that is not in
	 * RAM as well.
	 */
	also = closing_used(s);
	need = min_u64(dev->used + also, swapped_pages);
	if (need == 0 || need <= spare_pages + others)
		return 0;
	return error_set(error, -ENOMEM,
		"%s: %s %s, and only %s fit in free RAM and the other "
		"devices; attach another device or raise the RAM budget first",
		spec, also == 0 ? "holds" :
		"together with what is being turned off already it holds",
		format_size(need * page_bytes(), holds, sizeof(holds)),
		format_size((spare_pages + others) * page_bytes(), fits,
			    sizeof(fits)));
}

int
space_close_begin(struct space *s, const char *spec,
		  uint64_t swapped_pages, uint64_t spare_pages,
		  struct space_dev **ret_dev, struct swap_error *error)
{
	char *resolved = space_resolve(spec);
	struct space_dev *dev;
	int rc;

	space_enter(s);
	dev = space_find(s, spec, resolved);
	space_unhold_all(s);
	rc = close_check(s, dev, spec, swapped_pages, spare_pages, error);
	if (rc == 0) {
		leave_service(s, dev, SWAP_DEVICE_CLOSING);
		*ret_dev = dev;
	}
	space_leave(s);
	free(resolved);
	return rc;
}

void
space_close_cancel(struct space *s, struct space_dev *dev)
{
	space_enter(s);
	dev->flags &= ~SWAP_DEVICE_CLOSING;
	if (space_dev_serves(dev)) {
		s->total += space_dev_usable(dev);
		s->avail += nfree(dev);
	}
	space_size_check(s);
	space_leave(s);
}

void
space_close_finish(struct space *s, struct space_dev *dev)
{
	unsigned i;

	space_discard_wait(s, dev);
	space_enter(s);
	for (i = 0; s->dev[i] != dev; i++)
		;
	s->ndev--;
	memmove(&s->dev[i], &s->dev[i + 1],
		(s->ndev - i) * sizeof(s->dev[0]));
	if (s->last == dev)
		s->last = NULL;
	if ((dev->flags & SWAP_DEVICE_GONE) != 0)
		atomic_fetch_sub(&s->ngone, 1);
	atomic_store(&dev->record->in_use, 0);
	if (s->ndev == 0) {
		s->full = s->almost_full = true;
		s->warned = true;
	}
	space_leave(s);
	dev_free(dev);
}

uint64_t
space_dev_used(struct space *s, struct space_dev *dev)
{
	uint64_t used;

	space_enter(s);
	used = dev->used;
	space_leave(s);
	return used;
}

uint64_t
space_dev_first(const struct space_dev *dev)
{
	return dev->first;
}

uint64_t
space_dev_end(const struct space_dev *dev)
{
	return dev->end;
}

bool
space_dev_range(struct space *s, unsigned i, uint64_t *ret_first,
		uint64_t *ret_end)
{
	bool found;

	space_enter(s);
	found = i < s->ndev;
	if (found) {
		*ret_first = s->dev[i]->first;
		*ret_end = s->dev[i]->end;
	}
	space_leave(s);
	return found;
}

const char *
space_dev_path(const struct space_dev *dev)
{
	return device_path(dev->device);
}

/* -------------------------------------------------------------------- I/O */

static struct space_dev *
dev_for_io(struct space *s, uint64_t block, uint64_t n)
{
	struct space_dev *dev;

	space_enter(s);
	dev = space_dev_of(s, block);
	if (dev != NULL && block + n > dev->end)
		dev = NULL;
	space_leave(s);
	return dev;
}

/* Word blocks: no I/O. */
static int
read_words(struct space *s, uint64_t block, void *buf, uint64_t n)
{
	char *at = buf;

	if (n > WORDS_MAX - block)
		return -ENXIO;
	for (uint64_t i = 0; i < n; i++, at += page_bytes())
		words_fill(at, words_get(&s->words, block + i));
	return 0;
}

int
space_read(struct space *s, uint64_t block, void *buf, uint64_t n)
{
	struct space_dev *dev;

	if (space_is_word(block))
		return read_words(s, block, buf, n);
	dev = dev_for_io(s, block, n);
	return dev != NULL ?
	       device_read(dev->device, block - dev->first, buf, n) : -ENXIO;
}

int
space_write(struct space *s, uint64_t block, const void *buf, uint64_t n)
{
	struct space_dev *dev = dev_for_io(s, block, n);

	return dev != NULL ?
	       device_write(dev->device, block - dev->first, buf, n) : -ENXIO;
}

void
space_start(struct space *s, struct aio *aio, struct device_io *io)
{
	struct space_dev *dev;

	if (space_is_word(io->block) && !io->write) {
		io->done(io, read_words(s, io->block, io->buf, io->n));
		return;
	}
	dev = dev_for_io(s, io->block, io->n);
	if (dev == NULL) {
		io->done(io, -ENXIO);
		return;
	}
	io->base = dev->first;
	device_start(dev->device, aio, io);
}

#define USEC_PER_SEC	1000000u

/* The device at place @i; false: there are not so many. */
static bool
watch_one(struct space *s, unsigned i)
{
	char path[256] = "";
	uint64_t nsec = 0;
	unsigned n = 0;
	bool found;

	space_enter(s);
	found = i < s->ndev;
	if (found)
		n = device_slow(s->dev[i]->device, &nsec);
	if (n > 0)
		format_cut(path, sizeof(path), "%s",
			   device_path(s->dev[i]->device));
	space_leave(s);
	if (n == 0)
		return found;
	if (s->slow_transfers != NULL)
		atomic_fetch_add(s->slow_transfers, n);
	log_limited(&s->log, &s->limit_slow, SWAP_LOG_WARNING,
		    "%s: %u more transfers are slow, one has taken %" PRIu64
		    " s and goes on; programs wait for them", path, n,
		    nsec / 1000000000u);
	events_add(s->events, SWAP_EVENT_IO_SLOW, path, 0, 0,
		   "%u more transfers are slow, one has taken %" PRIu64
		   " s and goes on", n, nsec / 1000000000u);
	return true;
}

void
space_watch(struct space *s)
{
	uint64_t now = now_usec(), next = atomic_load(&s->next_watch);

	if (now < next ||
	    !atomic_compare_exchange_strong(&s->next_watch, &next,
					    now + USEC_PER_SEC))
		return;
	for (unsigned i = 0; watch_one(s, i); i++)
		;
}
