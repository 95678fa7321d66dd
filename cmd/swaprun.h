/* SPDX-License-Identifier: BSD-2-Clause */
/* swaprun.h - what the files of swaprun share (floor 8) */
#ifndef SWAP_SWAPRUN_H
#define SWAP_SWAPRUN_H

#include <limits.h>
#include <stddef.h>

#include "compiler.h"
#include "ipc/path.h"

/* As the shells have it: 126 found but not run, 127 not found. */
#define EXIT_FAILED	1
#define EXIT_MISUSED	2
#define EXIT_CANNOT	126
#define EXIT_MISSING	127

/* Most files and devices of a private swapd. */
#define PRIVATE_SWAP_MAX	32u

/* "swaprun: SENTENCE" on standard error; returns EXIT_FAILED. */
int run_say(const char *fmt, ...) swap_printf(1, 2);

/* The directory that this program was started from; 0 or a negative errno. */
int own_directory(char ret_path[PATH_MAX]);

/*
 * Find the program as execvp(3) would, and see whether it can have its heap in
 * a swapd: it must be linked dynamically, with this C library, and must not
 * run with other rights than ours.  0, or the exit status; then the user has
 * been told.
 */
int program_check(const char *name, char ret_path[PATH_MAX]);

/*
 * Start a swapd that ends with this process and all its clients, and wait
 * until it is ready.
 *
 * @ram   a size, or NULL: the swapd's default
 * @swap  FILE:SIZE to be made, or what is there already
 *
 * 0, or the exit status; then the user has been told.
 */
int private_start(const char *ram, const char *const *swap, size_t nswap,
		  char ret_socket[PAGER_PATH_SIZE]);

#endif
