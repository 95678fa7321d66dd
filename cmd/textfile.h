/* SPDX-License-Identifier: BSD-2-Clause */
/* textfile.h - replacing a file as a whole (floor 8) */
#ifndef SWAP_TEXTFILE_H
#define SWAP_TEXTFILE_H

#include <stddef.h>

#include "compiler.h"
#include "swap.h"

/*
 * Make @path a file of these bytes that everybody may read (mode 0644), so that
 * who opens it at any moment finds the old contents or the new, never half.
 * What is written meanwhile lies beside it under a name that begins with a dot.
 *
 * Errors, with a sentence and nothing changed: -EINVAL there is something at
 * @path that is no regular file; what writing and renaming give.
 */
int textfile_replace(const char *path, const char *bytes, size_t len,
		     struct swap_error *error) swap_must_check;

#endif
