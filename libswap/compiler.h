/* SPDX-License-Identifier: BSD-2-Clause */
/* compiler.h - attributes, the page size, and small arithmetic (floor 0) */
#ifndef SWAP_COMPILER_H
#define SWAP_COMPILER_H

#include <stddef.h>
#include <stdint.h>

#define swap_printf(fmt, args)	__attribute__((format(printf, fmt, args)))
#define swap_must_check		__attribute__((warn_unused_result))
#define swap_unlikely(x)	__builtin_expect(!!(x), 0)
#define swap_likely(x)		__builtin_expect(!!(x), 1)

#define ARRAY_SIZE(a)		(sizeof(a) / sizeof((a)[0]))

/* The member's structure. */
#define container_of(ptr, type, member) \
	((type *)(void *)((char *)(ptr) - offsetof(type, member)))

static inline uint64_t
min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t
max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

#endif
