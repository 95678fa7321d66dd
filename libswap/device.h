/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * device.h - a swap device: a regular file, loop device or block device that
 * has been checked, opened and can be read and written in blocks (floor 2)
 *
 * A device knows nothing of allocation.  Block 0 of a device starts at its
 * byte 0; the first DEVICE_LABEL_BYTES are never handed out by space.c
 * (FreeBSD swaponsomething keeps BBSIZE).
 *
 * Reads and writes may run from many threads at once.  They count a reference
 * while in flight; device_orphan() stops new ones with -ENXIO
 * (FreeBSD swapgeom_orphan).
 */
#ifndef SWAP_DEVICE_H
#define SWAP_DEVICE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "aio.h"
#include "latency.h"
#include "log.h"
#include "swap.h"

#define DEVICE_LABEL_BYTES	8192u
#define DEVICE_BLOCKS_MAX	(UINT64_C(1) << 40)

struct device;

/*
 * Which backing store is this?  Two devices with the same identity are the
 * same thing, through whatever path: for a file st_dev and st_ino, for a block
 * device st_rdev, and for a loop device (or a partition of one) the range of
 * its backing file or device too.
 */
struct device_identity {
	dev_t		rdev;		/* of a block device, else 0 */
	dev_t		backing_rdev;	/* of the device under a loop, else 0 */
	dev_t		dev;		/* of the file or backing file */
	ino_t		ino;		/* 0: there is none */
	uint64_t	start, end;	/* bytes of it that are covered */
};

/* What a kind of device does differently; one const instance a backend. */
struct device_ops {
	const char *type;			/* "file", "loop", "block" */
	/* Checks special to the backend, on the open @fd; fills size. */
	int (*check)(int fd, const char *path, unsigned flags,
		     uint64_t *ret_bytes, struct swap_error *error);
	/* Fills @identity, all of it, from the open @fd.  Negative errno. */
	int (*identify)(int fd, struct device_identity *identity);
	/* After a failed transfer: has the device disappeared? */
	bool (*gone)(int fd);
	/* Forget what is there.  NULL: never. */
	int (*discard)(int fd, uint64_t offset, uint64_t bytes);
};

/* A transfer in flight, in the order in which they began. */
struct device_wait {
	struct device_wait *next, *prev;
	uint64_t	 start_nsec;
	bool		 told;		/* by device_slow() */
};

struct device_counters {
	_Atomic uint64_t reads, read_bytes, read_errors;
	_Atomic uint64_t writes, write_bytes, write_errors;
	_Atomic uint64_t discards, discarded_bytes;
	_Atomic unsigned inflight;
	struct latency	 read_time, write_time;
};

/*
 * A transfer that goes on by itself; the caller's memory, left alone until
 * done() is called with 0 or what device_read() would return.
 */
struct device_io {
	struct aio_request request;	/* private to device-io.c */
	struct device	*device;	/* private */
	struct aio	*aio;		/* private */
	struct device_wait wait;	/* private */
	unsigned	 pair;		/* private */
	uint64_t	 base;		/* that the device's block 0 has in
					   `block': space_start() sets it */
	uint64_t	 block, n;
	bool		 write;
	void		*buf;		/* page-aligned */
	void		(*done)(struct device_io *io, int rc);
	void		*arg;
};

/*
 * Resolve, check and open.  Fails with a sentence as swap_device_attach() of
 * swap.h says.  The device is claimed as long as it is open (O_EXCL on a block
 * device, flock(2) on a file): the same path a second time is -EBUSY here, in
 * this process or another.  What a claim cannot see, such as a file and a loop
 * device made over it later, space.c finds with device_same().
 *
 * @options  NULL: priority 0, no flags; create_bytes makes a regular file,
 *	     which is removed again when anything fails
 * @log      kept; NULL: nobody listens
 */
int device_open(const char *spec, const struct swap_device_options *options,
		const struct log *log, struct device **ret_device,
		struct swap_error *error);

/* Waits until nothing is in flight, then closes and frees. */
void device_close(struct device *device);

/*
 * Canonical path, backend type ("file", "loop", "block"), size in whole blocks
 * from block 0 to the end, the label's blocks included.
 */
const char *device_path(const struct device *device);
const char *device_type(const struct device *device);
uint64_t device_nblocks(const struct device *device);
int device_priority(const struct device *device);
bool device_same(const struct device *a, const struct device *b);
/* The identity in three words, for a record of what was attached. */
void device_identity_words(const struct device *device, uint64_t *ret_rdev,
			   uint64_t *ret_dev, uint64_t *ret_ino);
/*
 * Does @spec name this device: the same path, or after resolving the same
 * identity?  The attached path still works when there is nothing at it any
 * more, and so does the tag that it was attached by.
 */
bool device_matches(const struct device *device, const char *spec);
const struct device_counters *device_counters(const struct device *device);

/*
 * Read or write @n blocks from @block, all of them.  @buf is page-aligned.
 * 0 means that the kernel has acknowledged the data as written, not that it
 * would survive a power failure.  Else -EINVAL (beyond the end, or a write to
 * the label), -ENXIO (orphaned, or has just gone), -EIO and whatever the
 * kernel says.  Counted either way: an operation, and its bytes or an error.
 */
int device_read(struct device *device, uint64_t block, void *buf, uint64_t n);
int device_write(struct device *device, uint64_t block, const void *buf,
		 uint64_t n);

/*
 * The same for the @n blocks from io->block - io->base, started on @aio.  Where
 * it cannot even begin, or has to be waited for, done() is called before this
 * returns.
 */
void device_start(struct device *device, struct aio *aio,
		  struct device_io *io);

/*
 * How many transfers have been in flight for more than 20 s (FreeBSD
 * swap_pager: "indefinite wait buffer") that were not counted before, and how
 * long the first of these.  Costs a look at the oldest one.
 */
unsigned device_slow(struct device *device, uint64_t *ret_nsec);

/*
 * Discard, as SWAP_DEVICE_DISCARD_ONCE and _PAGES say.  device_discard_first()
 * while nobody has a block: the whole device but its label, and it finds out
 * whether the device can.  device_discard() is for blocks that have become free
 * and are not given out meanwhile.  Best effort: a failure ends discarding,
 * with a message.  A regular file is never discarded (see device-io.c).
 */
void device_discard_first(struct device *device);
bool device_discards(const struct device *device);
void device_discard(struct device *device, uint64_t block, uint64_t n);

/*
 * The device has gone: no new I/O from now on.  The first time @fn of
 * device_on_gone() is called, without a lock, and while a transfer that has
 * found it out still counts as in flight.
 */
void device_orphan(struct device *device);
bool device_orphaned(const struct device *device);
/* Before the first transfer. */
void device_on_gone(struct device *device, void (*fn)(void *arg), void *arg);

/*
 * Make the regular file @path, mode 0600, of @bytes cut to whole pages, and
 * without holes.  *ret_fd is open for reading and writing.  On failure there
 * is no file, and a sentence.
 */
int device_file_create(const char *path, uint64_t bytes, int *ret_fd,
		       struct swap_error *error);

#endif
