/* SPDX-License-Identifier: BSD-2-Clause */
/* util.h - page size, checked parsing, whole reads and writes (floor 0) */
#ifndef SWAP_UTIL_H
#define SWAP_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "compiler.h"
#include "swap.h"

/* sysconf(_SC_PAGESIZE), looked up once. */
uint64_t page_bytes(void);
unsigned page_shift(void);

/*
 * Parse a size: digits and an optional unit K, M, G or T (powers of 1024,
 * either case, with an optional "iB" or "B").  -EINVAL, -ERANGE.
 */
int parse_size(const char *text, uint64_t *ret_bytes) swap_must_check;

/* Parse a whole decimal number within [min, max].  -EINVAL, -ERANGE. */
int parse_i64(const char *text, int64_t min, int64_t max, int64_t *ret_value)
	swap_must_check;

/* Format @bytes as "512 B", "1.5 MiB" and so on; returns @buf. */
char *format_size(uint64_t bytes, char *buf, size_t len);

/* Microseconds of CLOCK_MONOTONIC. */
uint64_t now_usec(void);

/*
 * Read or write all of @len bytes at @offset, going on after EINTR and short
 * transfers.  0, or the negative errno; reading beyond the end is -EIO.
 */
int pread_full(int fd, void *buf, size_t len, off_t offset) swap_must_check;
int pwrite_full(int fd, const void *buf, size_t len, off_t offset)
	swap_must_check;

/* snprintf that is allowed to cut; always terminated when len > 0. */
void format_cut(char *buf, size_t len, const char *fmt, ...) swap_printf(3, 4);

/*
 * Fill @error (may be NULL) with @code, a negative errno, and a sentence.
 * Returns @code, so that a failing function can end with it.
 */
int error_set(struct swap_error *error, int code, const char *fmt, ...)
	swap_printf(3, 4);

#endif
