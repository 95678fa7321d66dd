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
 * Costs: one mutex taken twice, two readings of the clock and one system call a
 * transfer.  No allocation.
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
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

static int
io_begin(struct device *device, uint64_t first, uint64_t block, uint64_t n)
{
	int rc = 0;

	if (n == 0 || block < first || block >= device->nblocks ||
	    n > device->nblocks - block)
		return -EINVAL;
	pthread_mutex_lock(&device->lock);
	if (atomic_load(&device->orphaned)) {
		rc = -ENXIO;
	} else {
		device->inflight++;
		atomic_fetch_add_explicit(&device->counters.inflight, 1,
					  memory_order_relaxed);
	}
	pthread_mutex_unlock(&device->lock);
	return rc;
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
io_end(struct device *device)
{
	atomic_fetch_sub_explicit(&device->counters.inflight, 1,
				  memory_order_relaxed);
	pthread_mutex_lock(&device->lock);
	if (--device->inflight == 0)
		pthread_cond_broadcast(&device->idle);
	pthread_mutex_unlock(&device->lock);
}

static void
count(_Atomic uint64_t *operations, _Atomic uint64_t *bytes,
      _Atomic uint64_t *errors, uint64_t nbytes, int rc)
{
	atomic_fetch_add_explicit(operations, 1, memory_order_relaxed);
	if (rc == 0)
		atomic_fetch_add_explicit(bytes, nbytes, memory_order_relaxed);
	else
		atomic_fetch_add_explicit(errors, 1, memory_order_relaxed);
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
	  uint64_t start_nsec, int rc)
{
	struct latency *time = write ? &device->counters.write_time :
				       &device->counters.read_time;

	latency_count(time, now_nsec() - start_nsec);
	drop_cached(device, offset, len);
	rc = io_settle(device, rc);
	count_transfer(device, write, len, rc);
	io_end(device);
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
	int rc = io_begin(device, first_block(write), block, n);
	uint64_t start;

	if (rc < 0) {
		count_transfer(device, write, len, rc);
		return rc;
	}
	start = now_nsec();
	rc = write ? write_blocks(device, buf, len, offset) :
		     pread_full(device->fd, buf, len, offset);
	return io_finish(device, write, offset, len, start, rc);
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
		       io->start_nsec, rc);
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
	int rc = io_begin(device, first_block(io->write), block, io->n);

	if (rc < 0) {
		count_transfer(device, io->write, io->n << page_shift(), rc);
		io->done(io, rc);
		return;
	}
	io->device = device;
	io->aio = aio;
	io->start_nsec = now_nsec();
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
	if (io->write && !device->direct && io->pair == NO_PAIR)
		start_finish(io, write_blocks(device, io->buf, request->len,
					      request->offset));
	else
		aio_start(aio, request);
}
