/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * device-impl.h - what device.c and its backends share; nobody else includes
 * it (floor 2)
 */
#ifndef SWAP_DEVICE_IMPL_H
#define SWAP_DEVICE_IMPL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "device.h"

/* Buffered writes that go on by themselves, at once. */
#define DEVICE_PAIRS	8u

/* A transfer that takes longer is slow. */
#define DEVICE_SLOW_NSEC	UINT64_C(20000000000)

/*
 * Locks: (c) constant after device_open()
 *	  (l) lock
 *	  (a) atomic
 */
struct device {
	const struct device_ops	*ops;		/* (c) */
	const struct log	*log;		/* (c) */
	char			*spec;		/* (c) as attached */
	char			*path;		/* (c) canonical */
	int			 fd;		/* (c) */
	int			 priority;	/* (c) */
	bool			 created;	/* (c) the file is our making */
	bool			 direct;	/* (c) O_DIRECT is on */
	int			 under_fd;	/* (c) the file under a loop
						   device; -1: not known */
	uint64_t		 nblocks;	/* (c) */
	struct device_identity	 identity;	/* (c) */
	struct device_counters	 counters;	/* (a) */
	atomic_bool		 orphaned;	/* (a) set under lock */
	void			(*gone)(void *arg); /* (c) once in use */
	void			*gone_arg;	/* (c) */
	pthread_mutex_t		 lock;
	pthread_cond_t		 idle;		/* inflight became 0 */
	uint64_t		 inflight;	/* (l) discards too */
	struct device_wait	*oldest, *newest; /* (l) transfers in flight */
	uint64_t		 slow_nsec;	/* (c) DEVICE_SLOW_NSEC */
	_Atomic unsigned	 discard;	/* (a) SWAP_DEVICE_DISCARD_* */
	pthread_mutex_t		 sync;		/* one buffered write a time */
	int			 pair_fd[DEVICE_PAIRS];	/* (c) -1: none */
	_Atomic unsigned	 pairs_free;	/* (a) bits of these */
};

extern const struct device_ops device_file_ops;
extern const struct device_ops device_block_ops;
extern const struct device_ops device_loop_ops;

/* The backend of an open @fd, a regular file or block device; else NULL. */
const struct device_ops *device_ops_of(int fd);

/* -ENXIO empty or too small, -EFBIG, each with a sentence; else 0. */
int device_check_size(const char *path, uint64_t bytes,
		      struct swap_error *error);

/*
 * The file under a loop device, to read from what the page cache has of it.  A
 * descriptor, or -1: it cannot be had, or the device does not go through the page
 * cache.
 */
int device_loop_under(int fd);
/*
 * Read so; false: not all of it is there, or the loop device has another file,
 * or another part of it, than it had when it was attached.  Never waits.
 */
bool device_loop_read(const struct device *device, void *buf, size_t len,
		      off_t offset);

/*
 * The bound loop device that has the file of @dev and @ino under it: its name
 * ("loop3") in @name, and 1; 0 if there is none.
 */
int device_loop_over(dev_t dev, ino_t ino, char *name, size_t len);

#endif
