/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * text.h - a text that grows, and JSON values put into it (floor 7)
 *
 *	struct text t = { 0 };
 *
 *	text_string(&t, "{\"n\":");
 *	text_u64(&t, 7);
 *	text_string(&t, "}");
 *	if (text_end(&t) == 0)
 *		... t.buf, t.len ...
 *	text_clear(&t);
 *
 * For what is written often and large: jansson spends a hundred nanoseconds on
 * each value before it writes the first byte.
 */
#ifndef SWAP_IPC_TEXT_H
#define SWAP_IPC_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../compiler.h"

/* All zeros is an empty one. */
struct text {
	char	*buf;
	size_t	 len, cap;
	bool	 failed;	/* out of memory: what follows is dropped */
};

void text_put(struct text *text, const char *bytes, size_t n);
void text_string(struct text *text, const char *string);
void text_u64(struct text *text, uint64_t value);
void text_i64(struct text *text, int64_t value);

/*
 * A JSON string of what is in @bytes up to a NUL or @n.  Text that is not
 * UTF-8, as a path can be, shows its bytes above 127 as "?".
 */
void text_json(struct text *text, const char *bytes, size_t n);

/* Is this UTF-8, as RFC 3629 has it? */
bool text_is_utf8(const char *bytes, size_t n);

/* Put a NUL behind it, which len does not count.  -ENOMEM. */
int text_end(struct text *text) swap_must_check;
void text_clear(struct text *text);

#endif
