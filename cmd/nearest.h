/* SPDX-License-Identifier: BSD-2-Clause */
/* nearest.h - what somebody meant to type (floor 8) */
#ifndef SWAP_NEAREST_H
#define SWAP_NEAREST_H

#include <stddef.h>

/*
 * The one of @n words that @typed is most likely meant to be, or NULL where
 * none is near.  Cost: O(n * length * length).
 */
const char *nearest_word(const char *typed, const char *const *words,
			 size_t n);

#endif
