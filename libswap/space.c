/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Swap space.
 *
 * A table of devices, each with a blist, and one block address space over
 * them.  Invariants, under the lock:
 *
 *	S1  device ranges [first, end) do not overlap, and at least one block
 *	    between two of them belongs to nobody;
 *	S2  for each device: used + bad + free = usable blocks, where usable
 *	    leaves out the label at its start;
 *	S3  avail is the sum of the free blocks of the devices in service, that
 *	    is neither closing nor gone; total the sum of their usable ones.
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
#include "space.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "blist.h"
#include "util.h"

struct space_dev {
	struct device	*device;
	struct blist	*blist;
	uint64_t	 first, end;	/* addresses, constant */
	uint64_t	 label;		/* blocks kept for a label */
	uint64_t	 used, bad;	/* (l) */
	unsigned	 flags;		/* (l) SWAP_DEVICE_* */
	int		 priority;
	struct space_record *record;
};

#define TABLE_BYTES	(SPACE_DEVICES_MAX * sizeof(struct space_record))

/* FreeBSD: nswap_lowat 128 and nswap_hiwat 512 pages; less on small space. */
static uint64_t
low_water(const struct space *s)
{
	return min_u64(128, s->total / 32);
}

static uint64_t
high_water(const struct space *s)
{
	return min_u64(512, s->total / 8);
}

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
	pthread_mutex_init(&s->lock, NULL);
	s->almost_full = s->full = true;
	s->warned = true;	/* no device yet is no news */
	return 0;
}

static void
dev_free(struct space_dev *dev)
{
	device_close(dev->device);
	blist_destroy(dev->blist);
	free(dev);
}

void
space_fini(struct space *s)
{
	for (unsigned i = 0; i < s->ndev; i++)
		dev_free(s->dev[i]);
	arena_destroy(&s->table);
	pthread_mutex_destroy(&s->lock);
}

static bool
closing(const struct space_dev *dev)
{
	return (dev->flags & SWAP_DEVICE_CLOSING) != 0;
}

/* Does it take allocations? */
static bool
in_service(const struct space_dev *dev)
{
	return (dev->flags & (SWAP_DEVICE_CLOSING | SWAP_DEVICE_GONE)) == 0;
}

static uint64_t
nfree(const struct space_dev *dev)
{
	return blist_nfree(dev->blist);
}

static uint64_t
usable(const struct space_dev *dev)
{
	return dev->end - dev->first - dev->label;
}

/*
 * Keep the warnings straight, with hysteresis (FreeBSD swp_sizecheck).
 * Returns true when space has come back after being full.
 */
static bool
size_check(struct space *s)
{
	bool was_full = s->full;

	if (s->avail < low_water(s)) {
		s->almost_full = true;
		return false;
	}
	if (s->avail > 0)
		s->full = false;
	if (s->avail > high_water(s)) {
		s->almost_full = false;
		s->warned = false;
	}
	return was_full && !s->full;
}

static void
tell_refilled(struct space *s, bool refilled)
{
	if (refilled && s->refilled != NULL)
		s->refilled(s->refilled_arg);
}

static struct space_dev *
dev_of(struct space *s, uint64_t block)
{
	for (unsigned i = 0; i < s->ndev; i++) {
		struct space_dev *dev = s->dev[i];

		if (block >= dev->first && block < dev->end)
			return dev;
	}
	return NULL;
}

/* --------------------------------------------------------------- attach */

/* The lowest gap that holds @nblocks and a block of nobody behind them. */
static uint64_t
find_gap(const struct space *s, uint64_t nblocks)
{
	uint64_t at = 0;
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
dev_create(struct device *device, struct space_dev **ret_dev)
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

int
space_attach(struct space *s, struct device *device, struct swap_error *error)
{
	struct space_dev *dev;
	uint64_t nblocks = device_nblocks(device);
	bool refilled = false;
	int rc = dev_create(device, &dev);

	if (rc < 0)
		return error_set(error, rc, "%s: no memory for its block list",
				 device_path(device));
	pthread_mutex_lock(&s->lock);
	rc = attach_check(s, device, error);
	if (rc == 0) {
		dev->first = find_gap(s, nblocks);
		dev->end = dev->first + nblocks;
		record_set(s, dev);
		insert_by_priority(s, dev);
		s->total += usable(dev);
		s->avail += nfree(dev);
		refilled = size_check(s);
	}
	pthread_mutex_unlock(&s->lock);
	if (rc < 0) {
		blist_destroy(dev->blist);
		free(dev);
		return rc;
	}
	tell_refilled(s, refilled);
	return 0;
}

/* --------------------------------------------------------------- detach */

static struct space_dev *
find_spec(struct space *s, const char *spec)
{
	for (unsigned i = 0; i < s->ndev; i++)
		if (device_matches(s->dev[i]->device, spec))
			return s->dev[i];
	return NULL;
}

/* Lock held. */
static int
close_check(struct space *s, struct space_dev *dev, const char *spec,
	    uint64_t swapped_pages, uint64_t spare_pages,
	    struct swap_error *error)
{
	uint64_t others, need;
	char holds[32], fits[32];

	if (dev == NULL)
		return error_set(error, -ENXIO,
			"%s: is not in use as swap here; 'swapctl status' "
			"shows what is", spec);
	if (closing(dev))
		return error_set(error, -EBUSY,
			"%s: is being turned off already; 'swapctl status' "
			"shows how far it is", spec);
	others = s->avail - (in_service(dev) ? nfree(dev) : 0);
	/*
	 * FreeBSD compares the device's whole size; people complain about
	 * that on Linux too.  What counts is what it holds that is not in
	 * RAM as well.
	 */
	need = min_u64(dev->used, swapped_pages);
	if (need == 0 || need <= spare_pages + others)
		return 0;
	return error_set(error, -ENOMEM,
		"%s: holds %s, and only %s fit in free RAM and the other "
		"devices; attach another device or raise the RAM budget first",
		spec, format_size(need * page_bytes(), holds, sizeof(holds)),
		format_size((spare_pages + others) * page_bytes(), fits,
			    sizeof(fits)));
}

/* Lock held. */
static void
leave_service(struct space *s, struct space_dev *dev, unsigned why)
{
	if (in_service(dev)) {
		s->total -= usable(dev);
		s->avail -= nfree(dev);
	}
	dev->flags |= why;
	size_check(s);
}

int
space_close_begin(struct space *s, const char *spec,
		  uint64_t swapped_pages, uint64_t spare_pages,
		  struct space_dev **ret_dev, struct swap_error *error)
{
	struct space_dev *dev;
	int rc;

	pthread_mutex_lock(&s->lock);
	dev = find_spec(s, spec);
	rc = close_check(s, dev, spec, swapped_pages, spare_pages, error);
	if (rc == 0) {
		leave_service(s, dev, SWAP_DEVICE_CLOSING);
		*ret_dev = dev;
	}
	pthread_mutex_unlock(&s->lock);
	return rc;
}

void
space_close_cancel(struct space *s, struct space_dev *dev)
{
	bool refilled;

	pthread_mutex_lock(&s->lock);
	dev->flags &= ~SWAP_DEVICE_CLOSING;
	if (in_service(dev)) {
		s->total += usable(dev);
		s->avail += nfree(dev);
	}
	refilled = size_check(s);
	pthread_mutex_unlock(&s->lock);
	tell_refilled(s, refilled);
}

void
space_close_finish(struct space *s, struct space_dev *dev)
{
	unsigned i;

	pthread_mutex_lock(&s->lock);
	for (i = 0; s->dev[i] != dev; i++)
		;
	s->ndev--;
	memmove(&s->dev[i], &s->dev[i + 1],
		(s->ndev - i) * sizeof(s->dev[0]));
	if (s->last == dev)
		s->last = NULL;
	atomic_store(&dev->record->in_use, 0);
	if (s->ndev == 0) {
		s->full = s->almost_full = true;
		s->warned = true;
	}
	pthread_mutex_unlock(&s->lock);
	dev_free(dev);
}

uint64_t
space_dev_used(struct space *s, struct space_dev *dev)
{
	uint64_t used;

	pthread_mutex_lock(&s->lock);
	used = dev->used;
	pthread_mutex_unlock(&s->lock);
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

const char *
space_dev_path(const struct space_dev *dev)
{
	return device_path(dev->device);
}

/* ------------------------------------------------------ allocate and free */

/* Where round-robin goes on within devices [from, to) of one priority. */
static unsigned
robin_start(const struct space *s, unsigned from, unsigned to)
{
	for (unsigned i = from; i < to; i++)
		if (s->dev[i] == s->last)
			return i + 1 < to ? i + 1 : from;
	return from;
}

/* Devices [from, to) have one priority: find a run of @min to @want there. */
static struct space_dev *
class_alloc(struct space *s, unsigned from, unsigned to, unsigned min,
	    unsigned want, uint64_t *ret_block, unsigned *ret_n)
{
	unsigned start = robin_start(s, from, to);

	for (unsigned k = 0; k < to - from; k++) {
		unsigned i = from + (start - from + k) % (to - from);
		struct space_dev *dev = s->dev[i];

		if (!in_service(dev) || nfree(dev) < min)
			continue;
		*ret_block = blist_alloc(dev->blist, min, want, ret_n);
		if (*ret_block != BLIST_NONE)
			return dev;
	}
	return NULL;
}

static struct space_dev *
find_run(struct space *s, unsigned want, uint64_t *ret_block, unsigned *ret_n)
{
	unsigned from = 0, to;

	for (; from < s->ndev; from = to) {
		unsigned max = want;

		for (to = from; to < s->ndev &&
		     s->dev[to]->priority == s->dev[from]->priority; to++)
			;
		for (unsigned min = want; min >= 1; min >>= 1) {
			struct space_dev *dev;

			dev = class_alloc(s, from, to, min, max, ret_block,
					  ret_n);
			if (dev != NULL)
				return dev;
			max = min > 1 ? min - 1 : 1;
		}
	}
	return NULL;
}

/* Lock held; true once until space is back. */
static bool
note_full(struct space *s)
{
	bool news = !s->warned;

	s->full = s->almost_full = true;
	s->warned = true;
	return news;
}

uint64_t
space_alloc(struct space *s, unsigned want, unsigned *ret_n)
{
	struct space_dev *dev;
	uint64_t block = SPACE_NONE;
	bool news = false;

	if (want > BLIST_ALLOC_MAX)
		want = BLIST_ALLOC_MAX;
	pthread_mutex_lock(&s->lock);
	dev = find_run(s, want, &block, ret_n);
	if (dev != NULL) {
		block += dev->first;
		dev->used += *ret_n;
		s->avail -= *ret_n;
		s->last = dev;
		size_check(s);
	} else {
		block = SPACE_NONE;
		news = note_full(s);
	}
	pthread_mutex_unlock(&s->lock);
	if (news)
		log_write(&s->log, SWAP_LOG_WARNING,
			  "out of swap space: programs that need new memory "
			  "wait; attach a device with 'swapctl on'");
	return block;
}

void
space_free(struct space *s, uint64_t block, uint64_t n)
{
	struct space_dev *dev;
	bool refilled = false;
	int rc = -EINVAL;

	if (n == 0)
		return;
	pthread_mutex_lock(&s->lock);
	dev = dev_of(s, block);
	if (dev != NULL)
		rc = blist_free(dev->blist, block - dev->first, n);
	if (rc == 0) {
		dev->used -= n;
		if (in_service(dev)) {
			s->avail += n;
			refilled = size_check(s);
		}
	}
	pthread_mutex_unlock(&s->lock);
	if (rc < 0)
		log_write(&s->log, SWAP_LOG_ERR,
			  "blocks %" PRIu64 "+%" PRIu64 " freed that were not "
			  "in use: refused (%s)", block, n, strerror(-rc));
	tell_refilled(s, refilled);
}

void
space_bad(struct space *s, uint64_t block, uint64_t n)
{
	struct space_dev *dev;
	bool news = false;

	pthread_mutex_lock(&s->lock);
	dev = dev_of(s, block);
	if (dev != NULL) {
		news = (dev->flags & SWAP_DEVICE_DEGRADED) == 0;
		dev->flags |= SWAP_DEVICE_DEGRADED;
		dev->used -= n;
		dev->bad += n;
	}
	pthread_mutex_unlock(&s->lock);
	if (news)
		log_write(&s->log, SWAP_LOG_ERR,
			  "%s: has blocks that cannot be read or written; they "
			  "are not used again; replace the device and turn it "
			  "off", device_path(dev->device));
}

/* -------------------------------------------------------------------- I/O */

static struct space_dev *
dev_for_io(struct space *s, uint64_t block, uint64_t n)
{
	struct space_dev *dev;

	pthread_mutex_lock(&s->lock);
	dev = dev_of(s, block);
	if (dev != NULL && block + n > dev->end)
		dev = NULL;
	pthread_mutex_unlock(&s->lock);
	return dev;
}

/* A device that says it has gone is not asked for blocks again. */
static void
note_gone(struct space *s, struct space_dev *dev)
{
	bool news = false;

	if (!device_orphaned(dev->device))
		return;
	pthread_mutex_lock(&s->lock);
	news = (dev->flags & SWAP_DEVICE_GONE) == 0;
	leave_service(s, dev, SWAP_DEVICE_GONE);
	pthread_mutex_unlock(&s->lock);
	if (news)
		log_write(&s->log, SWAP_LOG_ERR,
			  "%s: has disappeared; pages that were on it only "
			  "are lost, and their programs get SIGBUS",
			  device_path(dev->device));
}

int
space_read(struct space *s, uint64_t block, void *buf, uint64_t n)
{
	struct space_dev *dev = dev_for_io(s, block, n);
	int rc;

	if (dev == NULL)
		return -ENXIO;
	rc = device_read(dev->device, block - dev->first, buf, n);
	if (rc < 0)
		note_gone(s, dev);
	return rc;
}

int
space_write(struct space *s, uint64_t block, const void *buf, uint64_t n)
{
	struct space_dev *dev = dev_for_io(s, block, n);
	int rc;

	if (dev == NULL)
		return -ENXIO;
	rc = device_write(dev->device, block - dev->first, buf, n);
	if (rc < 0)
		note_gone(s, dev);
	return rc;
}

/* ----------------------------------------------------------------- status */

bool
space_is_closing(struct space *s, uint64_t block)
{
	struct space_dev *dev;
	bool result;

	pthread_mutex_lock(&s->lock);
	dev = dev_of(s, block);
	result = dev != NULL && closing(dev);
	pthread_mutex_unlock(&s->lock);
	return result;
}

bool
space_is_tight(struct space *s)
{
	bool result;

	pthread_mutex_lock(&s->lock);
	result = s->almost_full;
	pthread_mutex_unlock(&s->lock);
	return result;
}

bool
space_is_full(struct space *s)
{
	bool result;

	pthread_mutex_lock(&s->lock);
	result = s->full;
	pthread_mutex_unlock(&s->lock);
	return result;
}

uint64_t
space_room(struct space *s)
{
	uint64_t room;

	pthread_mutex_lock(&s->lock);
	room = s->full ? s->avail : UINT64_MAX;
	pthread_mutex_unlock(&s->lock);
	return room;
}

void
space_totals(struct space *s, struct space_totals *ret)
{
	pthread_mutex_lock(&s->lock);
	memset(ret, 0, sizeof(*ret));
	ret->total = s->total;
	ret->avail = s->avail;
	for (unsigned i = 0; i < s->ndev; i++)
		ret->used += s->dev[i]->used;
	ret->almost_full = s->ndev > 0 && s->almost_full;
	ret->full = s->ndev > 0 && s->full;
	pthread_mutex_unlock(&s->lock);
}

static void
dev_stats(const struct space_dev *dev, struct swap_device_stats *st)
{
	const struct device_counters *io = device_counters(dev->device);

	format_cut(st->path, sizeof(st->path), "%s", device_path(dev->device));
	format_cut(st->type, sizeof(st->type), "%s", device_type(dev->device));
	st->priority = dev->priority;
	st->flags = dev->flags;
	st->first_block = dev->first;
	st->size_bytes = usable(dev) * page_bytes();
	st->used_bytes = dev->used * page_bytes();
	st->bad_bytes = dev->bad * page_bytes();
	st->read_bytes = atomic_load(&io->read_bytes);
	st->written_bytes = atomic_load(&io->write_bytes);
	st->reads = atomic_load(&io->reads);
	st->writes = atomic_load(&io->writes);
	st->read_errors = atomic_load(&io->read_errors);
	st->write_errors = atomic_load(&io->write_errors);
}

int
space_stats(struct space *s, struct swap_device_stats **ret, size_t *ret_n)
{
	struct swap_device_stats *st;

	pthread_mutex_lock(&s->lock);
	st = calloc(s->ndev + 1, sizeof(*st));
	if (st != NULL) {
		for (unsigned i = 0; i < s->ndev; i++)
			dev_stats(s->dev[i], &st[i]);
		*ret = st;
		*ret_n = s->ndev;
	}
	pthread_mutex_unlock(&s->lock);
	return st != NULL ? 0 : -ENOMEM;
}

size_t
space_memory(struct space *s)
{
	size_t bytes = sizeof(*s) + s->table.size;

	pthread_mutex_lock(&s->lock);
	for (unsigned i = 0; i < s->ndev; i++)
		bytes += sizeof(*s->dev[i]) + blist_memory(s->dev[i]->blist);
	pthread_mutex_unlock(&s->lock);
	return bytes;
}
