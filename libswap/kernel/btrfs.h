/* SPDX-License-Identifier: BSD-2-Clause */
/* btrfs.h - where a btrfs keeps what (floor 7) */
#ifndef SWAP_KERNEL_BTRFS_H
#define SWAP_KERNEL_BTRFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "compiler.h"

/* A stretch of the addresses that FIEMAP tells. */
struct btrfs_place {
	uint64_t	start;
	uint64_t	length;
	uint64_t	device;		/* btrfs's number of it */
	bool		single;		/* one copy, on one device */
};

struct btrfs_places {
	size_t		 n;
	struct btrfs_place *place;	/* by start */
};

/*
 * Of the filesystem that @fd is on.  -EPERM without CAP_SYS_ADMIN; -ENOTTY it
 * is no btrfs; -ENOMEM.  Cost: a look at each of its chunks, which are of some
 * hundred MiB.
 */
int btrfs_places(int fd, struct btrfs_places *ret_places) swap_must_check;
void btrfs_places_clear(struct btrfs_places *places);

/* The place of an address; NULL: it is in none. */
const struct btrfs_place *btrfs_place_of(const struct btrfs_places *places,
					 uint64_t address);

#endif
