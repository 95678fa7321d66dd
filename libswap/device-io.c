/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Transfers from and to a swap device: waited for, or going on by themselves.
 *
 * Invariants D2 to D5 of device.c are kept here.  A transfer counts as in
 * flight from io_begin() to io_end(); what came of it is settled in between,
 * while the device is certainly still there.
 *
 * Transfers are direct (O_DIRECT), past the page cache: paging something out
 * into the page cache would free no memory.  Where that is refused they are
 * buffered.  A buffered write is followed by fdatasync(2), since only that says
 * whether it reached the device, and what was buffered is dropped from the
 * cache.  The kernel reports a failed write-back once to each open file, so a
 * file is used for one such pair at a time: a pair that is waited for takes the
 * device's own under a lock, and one that goes on by itself takes one of
 * DEVICE_PAIRS others, or is waited for where all of them are taken.  So the
 * failure of one write may be told to several; none is told less than the
 * truth.
 *
 * A loop device over a file that is cached is the exception for reads: what the
 * page cache has of that file is copied from there, without waiting.  Nothing
 * comes into the page cache by that.
 *
 * Discarding tells a block device that what some blocks hold is not needed any
 * more.  A flash disk then has less to move about, and a loop device makes
 * holes in the file under it.  A regular file could be given holes too, but a
 * write into one allocates, and fails when the disk is full: paging something
 * out is done when things run out, and must not depend on that.  So a file is
 * left alone; for a loop device whoever asks for it has decided.
 *
 * Costs: one mutex taken twice, two readings of the clock and one system call a
 * transfer (a loop device: two to read).  No allocation.
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "device-impl.h"
#include "util.h"

#define NO_PAIR		UINT32_MAX

void
device_on_gone(struct device *device, void (*fn)(void *arg), void *arg)
{
	device->gone = fn;
	device->gone_arg = arg;
}

void
device_orphan(struct device *device)
{
	bool was;

	pthread_mutex_lock(&device->lock);
	was = atomic_exchange(&device->orphaned, true);
	pthread_mutex_unlock(&device->lock);
	if (was)
		return;
	log_write(device->log, SWAP_LOG_ERR,
		  "%s: has disappeared; no more transfers to it",
		  device->path);
	if (device->gone != NULL)
		device->gone(device->gone_arg);
}

bool
device_orphaned(const struct device *device)
{
	return atomic_load(&device->orphaned);
}

/* Locked. */
static void
wait_add(struct device *device, struct device_wait *wait)
{
	wait->next = NULL;
	wait->prev = device->newest;
	wait->told = false;
	if (device->newest != NULL)
		device->newest->next = wait;
	else
		device->oldest = wait;
	device->newest = wait;
}

/* Locked. */
static void
wait_remove(struct device *device, struct device_wait *wait)
{
	if (wait->prev != NULL)
		wait->prev->next = wait->next;
	else
		device->oldest = wait->next;
	if (wait->next != NULL)
		wait->next->prev = wait->prev;
	else
		device->newest = wait->prev;
}

static int
io_begin(struct device *device, uint64_t first, uint64_t block, uint64_t n,
	 struct device_wait *wait)
{
	int rc = 0;

	if (n == 0 || block < first || block >= device->nblocks ||
	    n > device->nblocks - block)
		return -EINVAL;
	wait->start_nsec = now_nsec();
	pthread_mutex_lock(&device->lock);
	if (atomic_load(&device->orphaned)) {
		rc = -ENXIO;
	} else {
		device->inflight++;
		wait_add(device, wait);
		atomic_fetch_add_explicit(&device->counters.inflight, 1,
					  memory_order_relaxed);
	}
	pthread_mutex_unlock(&device->lock);
	return rc;
}

unsigned
device_slow(struct device *device, uint64_t *ret_nsec)
{
	const struct device_wait *first = NULL;
	struct device_wait *wait;
	uint64_t now;
	unsigned n = 0;

	pthread_mutex_lock(&device->lock);
	now = now_nsec();
	for (wait = device->oldest; wait != NULL; wait = wait->next) {
		if (now - wait->start_nsec <= device->slow_nsec)
			break;
		if (wait->told)
			continue;
		wait->told = true;
		if (n++ == 0)
			first = wait;
	}
	if (first != NULL)
		*ret_nsec = now - first->start_nsec;
	pthread_mutex_unlock(&device->lock);
	return n;
}

/* What the failure of a transfer means: has the device gone? */
static int
io_settle(struct device *device, int rc)
{
	if (rc == -ENODEV || (rc < 0 && device->ops->gone(device->fd)))
		rc = -ENXIO;
	if (rc == -ENXIO)
		device_orphan(device);
	return rc;
}

/* The last touch of the device: it may be freed as soon as this is done. */
static void
io_end(struct device *device, struct device_wait *wait)
{
	pthread_mutex_lock(&device->lock);
	wait_remove(device, wait);
	atomic_fetch_sub_explicit(&device->counters.inflight, 1,
				  memory_order_relaxed);
	if (--device->inflight == 0)
		pthread_cond_broadcast(&device->idle);
	pthread_mutex_unlock(&device->lock);
}

static void
count_up(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static void
count(_Atomic uint64_t *operations, _Atomic uint64_t *bytes,
      _Atomic uint64_t *errors, uint64_t nbytes, int rc)
{
	count_up(operations, 1);
	if (rc == 0)
		count_up(bytes, nbytes);
	else
		count_up(errors, 1);
}

static void
count_transfer(struct device *device, bool write, uint64_t nbytes, int rc)
{
	struct device_counters *counters = &device->counters;

	if (write)
		count(&counters->writes, &counters->write_bytes,
		      &counters->write_errors, nbytes, rc);
	else
		count(&counters->reads, &counters->read_bytes,
		      &counters->read_errors, nbytes, rc);
}

/* For buffered I/O: the page cache need not keep what the pager keeps. */
static void
drop_cached(const struct device *device, off_t offset, size_t len)
{
	if (!device->direct)
		posix_fadvise(device->fd, offset, (off_t)len,
			      POSIX_FADV_DONTNEED);
}

static int
write_blocks(struct device *device, const void *buf, size_t len, off_t offset)
{
	int rc;

	if (device->direct)
		return pwrite_full(device->fd, buf, len, offset);
	pthread_mutex_lock(&device->sync);
	rc = pwrite_full(device->fd, buf, len, offset);
	if (rc == 0 && fdatasync(device->fd) < 0)
		rc = -errno;
	pthread_mutex_unlock(&device->sync);
	return rc;
}

/*
 * A loop device reads its file through the page cache, by a thread of the
 * kernel, and waking that costs more than the copying.  What is in the page cache
 * is taken from there at once, with the file's own descriptor.
 */
static bool
read_under(const struct device *device, void *buf, size_t len, off_t offset)
{
	return device->under_fd >= 0 &&
	       device_loop_read(device, buf, len, offset);
}

/* The first block that may be read or written: a write respects the label. */
static uint64_t
first_block(bool write)
{
	uint64_t page = page_bytes();

	return write ? (DEVICE_LABEL_BYTES + page - 1) / page : 0;
}

/* All that is done once the kernel has spoken.  The device may go then. */
static int
io_finish(struct device *device, bool write, off_t offset, size_t len,
	  struct device_wait *wait, int rc)
{
	struct latency *time = write ? &device->counters.write_time :
				       &device->counters.read_time;

	latency_count(time, now_nsec() - wait->start_nsec);
	drop_cached(device, offset, len);
	rc = io_settle(device, rc);
	count_transfer(device, write, len, rc);
	io_end(device, wait);
	return rc;
}

/* ------------------------------------------------------------- waited for */

/* The buffer of a write is only read. */
static int
transfer(struct device *device, bool write, uint64_t block, void *buf,
	 uint64_t n)
{
	size_t len = (size_t)(n << page_shift());
	off_t offset = (off_t)(block << page_shift());
	struct device_wait wait;
	int rc = io_begin(device, first_block(write), block, n, &wait);

	if (rc < 0) {
		count_transfer(device, write, len, rc);
		return rc;
	}
	if (write)
		rc = write_blocks(device, buf, len, offset);
	else if (!read_under(device, buf, len, offset))
		rc = pread_full(device->fd, buf, len, offset);
	return io_finish(device, write, offset, len, &wait, rc);
}

int
device_read(struct device *device, uint64_t block, void *buf, uint64_t n)
{
	return transfer(device, false, block, buf, n);
}

int
device_write(struct device *device, uint64_t block, const void *buf,
	     uint64_t n)
{
	union {
		const void *in;
		void *out;
	} pun = { .in = buf };

	return transfer(device, true, block, pun.out, n);
}

/* --------------------------------------------------- going on by themselves */

/* A file for a buffered write that goes on by itself; NO_PAIR: none is free. */
static unsigned
pair_take(struct device *device)
{
	unsigned free = atomic_load(&device->pairs_free);

	while (free != 0)
		if (atomic_compare_exchange_weak(&device->pairs_free, &free,
						 free & (free - 1)))
			return (unsigned)__builtin_ctz(free);
	return NO_PAIR;
}

static void
pair_give(struct device *device, unsigned pair)
{
	atomic_fetch_or(&device->pairs_free, 1u << pair);
}

static void
start_finish(struct device_io *io, int rc)
{
	struct aio_request *request = &io->request;

	if (io->pair != NO_PAIR)
		pair_give(io->device, io->pair);
	rc = io_finish(io->device, io->write, request->offset, request->len,
		       &io->wait, rc);
	io->done(io, rc);
}

static void
start_ended(struct aio_request *request, int rc)
{
	struct device_io *io = (struct device_io *)((char *)request -
				offsetof(struct device_io, request));

	if (rc < 0 || io->pair == NO_PAIR || request->sync) {
		start_finish(io, rc);
		return;
	}
	request->sync = true;
	aio_start(io->aio, request);
	aio_submit(io->aio);
}

void
device_start(struct device *device, struct aio *aio, struct device_io *io)
{
	struct aio_request *request = &io->request;
	uint64_t block = io->block - io->base;
	int rc = io_begin(device, first_block(io->write), block, io->n,
			  &io->wait);

	if (rc < 0) {
		count_transfer(device, io->write, io->n << page_shift(), rc);
		io->done(io, rc);
		return;
	}
	io->device = device;
	io->aio = aio;
	io->pair = io->write && !device->direct ? pair_take(device) : NO_PAIR;
	*request = (struct aio_request){
		.fd = io->pair != NO_PAIR ? device->pair_fd[io->pair] :
					    device->fd,
		.write = io->write,
		.buf = io->buf,
		.len = (size_t)(io->n << page_shift()),
		.offset = (off_t)(block << page_shift()),
		.done = start_ended,
	};
	if (!io->write && read_under(device, io->buf, request->len,
				     request->offset))
		start_finish(io, 0);
	else if (io->write && !device->direct && io->pair == NO_PAIR)
		start_finish(io, write_blocks(device, io->buf, request->len,
					      request->offset));
	else
		aio_start(aio, request);
}

/* ----------------------------------------------------------------- discard */

/* At once, so that a device that disappears meanwhile is soon noticed. */
#define DISCARD_BYTES	(UINT64_C(1) << 30)
/* To find out whether it can. */
#define TRY_BYTES	(UINT64_C(1) << 20)

static void
discard_failed(struct device *device, int rc)
{
	if (atomic_exchange(&device->discard, 0) == 0)
		return;
	if (rc == -EOPNOTSUPP)
		log_write(device->log, SWAP_LOG_NOTICE,
			  "%s: cannot discard; used without", device->path);
	else
		log_write(device->log, SWAP_LOG_WARNING,
			  "%s: discarding has failed (%s); used without from "
			  "now on", device->path, strerror(-rc));
}

static int
discard(struct device *device, uint64_t block, uint64_t n)
{
	struct device_wait wait;
	int rc = io_begin(device, first_block(true), block, n, &wait);

	if (rc < 0)
		return rc;
	rc = device->ops->discard(device->fd, block << page_shift(),
				  n << page_shift());
	if (rc == 0) {
		count_up(&device->counters.discards, 1);
		count_up(&device->counters.discarded_bytes, n << page_shift());
	} else {
		discard_failed(device, rc);
		rc = io_settle(device, rc);
	}
	io_end(device, &wait);
	return rc;
}

bool
device_discards(const struct device *device)
{
	return (atomic_load(&device->discard) &
		SWAP_DEVICE_DISCARD_PAGES) != 0;
}

void
device_discard(struct device *device, uint64_t block, uint64_t n)
{
	if (device_discards(device))
		(void)discard(device, block, n);
}

void
device_discard_first(struct device *device)
{
	bool all = atomic_load(&device->discard) & SWAP_DEVICE_DISCARD_ONCE;
	uint64_t most = (all ? DISCARD_BYTES : TRY_BYTES) >> page_shift();
	uint64_t at = first_block(true), n;

	if (atomic_load(&device->discard) == 0)
		return;
	do {
		n = min_u64(most, device->nblocks - at);
		if (discard(device, at, n) < 0)
			return;
		at += n;
	} while (all && at < device->nblocks);
}
