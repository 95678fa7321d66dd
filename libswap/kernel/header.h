/* SPDX-License-Identifier: BSD-2-Clause */
/* header.h - the header of Linux swap space (floor 7) */
#ifndef SWAP_KERNEL_HEADER_H
#define SWAP_KERNEL_HEADER_H

#include <stdbool.h>
#include <stdint.h>

#include "compiler.h"

#define HEADER_LABEL_MAX	16u	/* bytes */
#define HEADER_UUID_LEN		37u	/* with the final NUL */

enum header_kind {
	HEADER_NONE,
	HEADER_SWAP,		/* version 2, this machine's */
	HEADER_SWAP_OLD,	/* version 1, which kernels refuse now */
	HEADER_SWAP_FOREIGN,	/* written by the other byte order */
	HEADER_HIBERNATED,	/* holds the image of a sleeping machine */
};

struct header {
	enum header_kind kind;
	uint32_t	page_bytes;	/* that it was made for */
	uint32_t	version;
	uint32_t	last_page;	/* pages 0..last_page, this one too */
	uint32_t	nbad;
	char		uuid[HEADER_UUID_LEN];	/* "" where it is all zeros */
	char		label[HEADER_LABEL_MAX + 1];
};

/*
 * Read what is at the start of an open device or file.  0, also for none;
 * -errno of reading.  Page sizes of 4 to 64 KiB are looked for.
 */
int header_read(int fd, struct header *ret_header) swap_must_check;

/*
 * Write the header for @npages pages, with a fresh UUID, and zeros over the
 * rest of the first page but its first KiB.  Waits until it is on the medium.
 * What stands there is lost: see probe_contents().  -EINVAL fewer than 10 pages
 * or a label over 16 bytes; -EFBIG more pages than the format can say; -errno
 * of writing.
 */
int header_write(int fd, uint64_t npages, const char *label)
	swap_must_check;

#endif
