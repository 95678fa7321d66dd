/* SPDX-License-Identifier: BSD-2-Clause */
/* devices.h - the kernel's swap devices (floor 7) */
#ifndef SWAP_KERNEL_DEVICES_H
#define SWAP_KERNEL_DEVICES_H

#include "kernel/header.h"
#include "kernel/host.h"

/* What a zram device says of itself, in bytes. */
struct kernel_zram {
	uint64_t	logical;	/* stored in it */
	uint64_t	compressed;
	uint64_t	physical;	/* what it takes of RAM, all told */
	uint64_t	same_bytes;	/* logical: pages of one value */
	char		algorithm[24];
};

struct kernel_device {
	/*
	 * type: "partition", "block" (a whole disk, a mapped one), "loop",
	 * "zram" or "file".  Bytes read and written are the block device's,
	 * for whatever purpose; of a file they are 0.
	 */
	struct swap_device_stats stats;
	char		*path;		/* whole, as /proc/swaps has it */
	bool		 deleted;	/* the file has no name any more */
	/* "" where the header cannot be read: that wants privilege. */
	char		 uuid[HEADER_UUID_LEN];
	char		 label[HEADER_LABEL_MAX + 1];
	bool		 is_zram;
	struct kernel_zram zram;
	bool		 can_discard;	/* whether it is told to is not known */
	/*
	 * Its number in page tables; -1: not known, see slots.h.
	 */
	int		 number;
};

struct kernel_devices {
	size_t		 n;
	struct kernel_device *device;	/* in the order of their numbers */
};

/* Read the table.  -errno, -ENOMEM; -EPROTO a table of another form. */
int kernel_devices(const struct host *host,
		   struct kernel_devices *ret_devices);
void kernel_devices_clear(struct kernel_devices *devices);

/*
 * The same from /proc/swaps alone: without what sysfs and the headers say, and
 * with the types "partition" and "file" only.
 */
int kernel_devices_table(const struct host *host,
			 struct kernel_devices *ret_devices);

/*
 * The device meant by @spec: a path by any name, or a tag.  NULL, with a
 * sentence: it is not on.
 */
struct kernel_device *kernel_device_find(struct kernel_devices *devices,
					 const char *spec,
					 struct swap_error *error);

/* Bytes in slots of this device now; 0 where it is not on.  -errno. */
int kernel_device_used(const struct host *host, const char *path,
		       uint64_t *ret_bytes);

#endif
