/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Text that grows.
 *
 * The buffer doubles, so that a text of n bytes costs O(n).  A failure is kept
 * and asked for once, at the end: who writes a snapshot need not look at each
 * of its thousands of values.
 */
#include "text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_BYTES	((size_t)4096)

/* Room for @n more bytes; false: none. */
static bool
make_room(struct text *t, size_t n)
{
	size_t cap = t->cap > 0 ? t->cap : FIRST_BYTES;
	char *buf;

	if (t->failed)
		return false;
	while (cap - t->len < n && cap <= SIZE_MAX / 2)
		cap *= 2;
	if (cap == t->cap)
		return true;
	buf = cap - t->len >= n ? realloc(t->buf, cap) : NULL;
	if (buf == NULL) {
		t->failed = true;
		return false;
	}
	t->buf = buf;
	t->cap = cap;
	return true;
}

void
text_put(struct text *t, const char *bytes, size_t n)
{
	/* An empty text has no buffer to copy nothing into. */
	if (n == 0 || (t->cap - t->len < n && !make_room(t, n)))
		return;
	memcpy(t->buf + t->len, bytes, n);
	t->len += n;
}

void
text_string(struct text *t, const char *string)
{
	text_put(t, string, strlen(string));
}

void
text_u64(struct text *t, uint64_t value)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + value % 10);
		value /= 10;
	} while (value != 0);
	text_put(t, digits + at, sizeof(digits) - at);
}

void
text_i64(struct text *t, int64_t value)
{
	if (value < 0)
		text_put(t, "-", 1);
	text_u64(t, value < 0 ? -(uint64_t)value : (uint64_t)value);
}

/* The length of the character that begins here; 0: it is none. */
static size_t
utf8_length(const unsigned char *s, size_t n)
{
	unsigned low = 0x80, high = 0xbf;
	size_t len, i;

	if (s[0] < 0x80)
		return 1;
	if (s[0] < 0xc2 || s[0] > 0xf4)
		return 0;
	len = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	/* What is written too long, is a surrogate, or beyond 10ffff. */
	if (s[0] == 0xe0)
		low = 0xa0;
	else if (s[0] == 0xed)
		high = 0x9f;
	else if (s[0] == 0xf0)
		low = 0x90;
	else if (s[0] == 0xf4)
		high = 0x8f;
	if (len > n || s[1] < low || s[1] > high)
		return 0;
	for (i = 2; i < len; i++)
		if (s[i] < 0x80 || s[i] > 0xbf)
			return 0;
	return len;
}

bool
text_is_utf8(const char *bytes, size_t n)
{
	size_t at, len;

	for (at = 0; at < n; at += len) {
		len = utf8_length((const unsigned char *)bytes + at, n - at);
		if (len == 0)
			return false;
	}
	return true;
}

static void
put_escaped(struct text *t, unsigned char c)
{
	static const char hex[] = "0123456789abcdef";
	const char code[] = { '\\', 'u', '0', '0', hex[c >> 4], hex[c & 15] };
	const char quoted[] = { '\\', (char)c };

	if (c < 0x20)
		text_put(t, code, sizeof(code));
	else
		text_put(t, quoted, sizeof(quoted));
}

void
text_json(struct text *t, const char *bytes, size_t n)
{
	size_t len = strnlen(bytes, n), from = 0, i;
	bool utf8 = text_is_utf8(bytes, len);

	text_put(t, "\"", 1);
	for (i = 0; i < len; i++) {
		unsigned char c = (unsigned char)bytes[i];
		bool cut = !utf8 && c >= 0x80;

		if (c >= 0x20 && c != '"' && c != '\\' && !cut)
			continue;
		text_put(t, bytes + from, i - from);
		if (cut)
			text_put(t, "?", 1);
		else
			put_escaped(t, c);
		from = i + 1;
	}
	text_put(t, bytes + from, len - from);
	text_put(t, "\"", 1);
}

int
text_end(struct text *t)
{
	text_put(t, "", 1);
	if (t->failed)
		return -ENOMEM;
	t->len--;
	return 0;
}

void
text_clear(struct text *t)
{
	free(t->buf);
	memset(t, 0, sizeof(*t));
}
