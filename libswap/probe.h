/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * probe.h - what does a device carry, and which device is meant?  The only
 * room that talks to libblkid (floor 2).
 */
#ifndef SWAP_PROBE_H
#define SWAP_PROBE_H

#include <stdbool.h>
#include <stddef.h>

#include "swap.h"

/* Is @spec a tag (LABEL= and so on), not a path?  "./LABEL=x" is a path. */
bool probe_is_tag(const char *spec);

/*
 * Turn @spec (a path, LABEL=, UUID=, PARTLABEL=, PARTUUID=) into a malloc()ed
 * path.  Symbolic links stay as typed.  -ENOENT with a sentence.
 */
int probe_resolve(const char *spec, char **ret_path, struct swap_error *error);

/*
 * Look for signatures on an open device or file.
 *
 * Returns 0 when there is nothing to lose (nothing at all, or swap), 1 with
 * @what filled ("an ext4 filesystem labelled data", "a GPT partition table",
 * "an LVM2 member", ...) when there is.  Negative errno on I/O errors.
 */
int probe_contents(int fd, char *what, size_t len);

/* Erase every signature that probe_contents() would find.  -errno. */
int probe_wipe(int fd);

#endif
