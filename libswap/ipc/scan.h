/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * scan.h - small JSON messages without allocating: take a value out of one,
 * quote a text for one (floor 7)
 */
#ifndef SWAP_IPC_SCAN_H
#define SWAP_IPC_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../compiler.h"

/*
 * Find the first member named @key, at whatever depth, of a JSON text that
 * has been written by a program (it is not validated as a whole).
 *
 * 0; -ENOENT there is none; -EINVAL it is of another type or out of range;
 * -ENOBUFS it does not fit (the buffer then holds the beginning).
 */
int scan_int(const char *json, const char *key, int64_t *ret_value)
	swap_must_check;
int scan_text(const char *json, const char *key, char *buf, size_t size)
	swap_must_check;
int scan_bool(const char *json, const char *key, bool *ret_value)
	swap_must_check;

/*
 * The value of the first member named @key of the object that begins at @json
 * itself; NULL: there is none.  Names with escapes are not recognized.
 */
const char *scan_member(const char *json, const char *key) swap_must_check;

/*
 * The number at @p; @ret_end is behind its digits.  -EINVAL: none there, or
 * beyond an int64_t.
 */
int scan_number(const char *p, const char **ret_end, int64_t *ret_value)
	swap_must_check;

/*
 * One character of a string at *@p, or one byte of it, moving on: its bytes go
 * to @out, their number is returned; 0: not a valid escape.  Halves of
 * surrogate pairs come one by one, each as three bytes that are not UTF-8.
 */
size_t scan_char(const char **p, char out[4]) swap_must_check;

/*
 * Write @text as a JSON string with its quotes.  -EINVAL: not UTF-8;
 * -ENOBUFS.
 */
int scan_quote(char *buf, size_t size, const char *text) swap_must_check;

/*
 * How deep @json nests and an upper bound of the number of its values, before
 * anybody spends memory on parsing it.
 */
void scan_measure(const char *json, unsigned *ret_depth, size_t *ret_nvalues);

#endif
