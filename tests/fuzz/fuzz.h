/* SPDX-License-Identifier: BSD-2-Clause */
/* fuzz.h - what a fuzz target defines: one input, 0 is returned */
#ifndef SWAP_FUZZ_H
#define SWAP_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#endif
