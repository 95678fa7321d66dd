/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mapping.h - a watched mapping of an object's memfd into this process, and
 * how it is taken down; only userfaultfd and mmap (floor 2)
 */
#ifndef SWAP_MAPPING_H
#define SWAP_MAPPING_H

#include <stdbool.h>
#include <stdint.h>

#include "compiler.h"
#include "swap.h"

struct mapping {
	void		*address;
	uint64_t	 length;	/* bytes */
	uint64_t	 features;	/* UFFD_FEATURE_* in force */
	int		 uffd;		/* ours for the mapping's whole life */
};

/*
 * Open a full userfaultfd (one that also sees kernel-mode faults), close on
 * exec and non-blocking, with UFFD_FEATURES_NEEDED and what the kernel has of
 * UFFD_FEATURES_WANTED in force.
 *
 * @uffd_device   a descriptor of /dev/userfaultfd to make it from, borrowed;
 *		  -1: the system call, then an own open of /dev/userfaultfd
 * @ret_features  the features in force
 *
 * Returns the descriptor.  Errors: -EPERM not allowed (the sentence names the
 * remedies); -ENOSYS a kernel without what is needed; -EMFILE, -ENOMEM.
 */
int uffd_open(int uffd_device, uint64_t *ret_features,
	      struct swap_error *error) swap_must_check;

/*
 * Map [offset, offset + length) of @memfd, shared, read-write and watched for
 * missing and write-protect faults.  It has no access until it is watched and
 * never reaches a forked child, so nobody can see an unwatched page.
 *
 * @memfd    borrowed
 * @address  where, over nothing else; NULL: the kernel chooses
 *
 * Errors: as uffd_open(); -EEXIST @address is taken; -EINVAL not aligned;
 * -ENOMEM.
 */
int mapping_create(int memfd, void *address, uint64_t offset, uint64_t length,
		   int uffd_device, struct mapping *ret_mapping,
		   struct swap_error *error) swap_must_check;

/*
 * Unmap, once nobody serves it any more: a thread that still waits in it or
 * touches it gets SIGSEGV.  Closes the userfaultfd.
 */
void mapping_destroy(struct mapping *mapping);

/*
 * Make the whole of it read-only, or writable again, whatever the program has
 * made of parts of it.  0, or what mprotect(2) gives.
 */
int mapping_set_writable(const struct mapping *mapping, bool writable);

/*
 * Make pages of the mapping give SIGBUS to whoever touches them, those who
 * wait for them included.  Touches no page.  -EINVAL: outside of the mapping.
 */
int mapping_poison(const struct mapping *mapping, uint64_t address,
		   uint64_t length);

#endif
