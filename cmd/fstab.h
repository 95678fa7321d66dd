/* SPDX-License-Identifier: BSD-2-Clause */
/* fstab.h - the swap lines of fstab(5), by libmount (floor 8) */
#ifndef SWAP_FSTAB_H
#define SWAP_FSTAB_H

#include <stdbool.h>
#include <stddef.h>

#include "compiler.h"
#include "kernel/on.h"

struct fstab_line {
	char		*source;	/* a path or a tag */
	bool		 noauto;
	bool		 nofail;
	int		 priority;	/* or ON_PRIORITY_ANY */
	enum on_discard	 discard;
	char		*wrong;		/* an option that is not understood */
};

/*
 * Read the swap lines of @path (NULL: the system's).  -ENOENT and so on;
 * -EINVAL it cannot be parsed; -ELIBACC libmount is not there; -ENOMEM.
 */
int fstab_read(const char *path, struct fstab_line **ret_lines,
	       size_t *ret_n) swap_must_check;
void fstab_free(struct fstab_line *lines, size_t n);

#endif
