/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Scanning.
 *
 * The memory side of a client runs under programs whose heap is itself paged
 * through that client, and its helper thread must never touch paged memory.  So
 * it can use nothing that allocates, and its messages are flat and small: a
 * walk over the text that knows strings from everything else finds a member.
 * A member name inside of a string value is not one, since only a string
 * followed by a colon is a name.
 *
 * The walk is linear, keeps no state but a pointer, and stops at the NUL
 * whatever the text is.
 */
#include "scan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Behind the closing quote of the string that starts at @p (its quote). */
static const char *
string_end(const char *p)
{
	for (p++; *p != '\0' && *p != '"'; p++)
		if (*p == '\\' && p[1] != '\0')
			p++;
	return *p == '"' ? p + 1 : p;
}

static const char *
skip_space(const char *p)
{
	return p + strspn(p, " \t\r\n");
}

/* The value of the first member @key, or NULL. */
static const char *
scan_find(const char *json, const char *key)
{
	size_t len = strlen(key);
	const char *p = json;

	while (*p != '\0') {
		const char *start = p;

		if (*p != '"') {
			p++;
			continue;
		}
		p = string_end(p);
		if ((size_t)(p - start) != len + 2 ||
		    memcmp(start + 1, key, len) != 0)
			continue;
		start = skip_space(p);
		if (*start == ':')
			return skip_space(start + 1);
	}
	return NULL;
}

/*
 * One level of the text only: strings and brackets are all that matters, and
 * which bracket it is does not, since what is no JSON has no members.
 */
const char *
scan_member(const char *json, const char *key)
{
	size_t len = strlen(key);
	unsigned depth = 0;
	const char *p = skip_space(json);

	if (*p != '{')
		return NULL;
	for (p++; *p != '\0'; ) {
		const char *start = p;

		if (*p == '"') {
			p = string_end(p);
			if (depth == 0 && (size_t)(p - start) == len + 2 &&
			    memcmp(start + 1, key, len) == 0 &&
			    *skip_space(p) == ':')
				return skip_space(skip_space(p) + 1);
			continue;
		}
		if (*p == '{' || *p == '[')
			depth++;
		else if ((*p == '}' || *p == ']') && depth-- == 0)
			return NULL;
		p++;
	}
	return NULL;
}

/*
 * Digits by hand: strtoll(3) looks into the program's locale, which may lie in
 * memory that only the caller's work brings back.
 */
int
scan_number(const char *p, const char **ret_end, int64_t *ret_value)
{
	bool negative = *p == '-';
	int64_t value = 0;

	p += negative;
	if (*p < '0' || *p > '9')
		return -EINVAL;
	/* Downwards, since there is one negative number more. */
	for (; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_sub_overflow(value, *p - '0', &value))
			return -EINVAL;
	if (!negative && __builtin_sub_overflow(0, value, &value))
		return -EINVAL;
	*ret_end = p;
	*ret_value = value;
	return 0;
}

int
scan_int(const char *json, const char *key, int64_t *ret_value)
{
	const char *p = scan_find(json, key), *end;
	int64_t value;

	if (p == NULL)
		return -ENOENT;
	if (scan_number(p, &end, &value) < 0)
		return -EINVAL;
	/* What follows ends the value: not a fraction, not the text's end. */
	if (*end == '\0' || strchr(",}] \t\r\n", *end) == NULL)
		return -EINVAL;
	*ret_value = value;
	return 0;
}

int
scan_bool(const char *json, const char *key, bool *ret_value)
{
	const char *p = scan_find(json, key);

	if (p == NULL)
		return -ENOENT;
	if (strncmp(p, "true", 4) == 0)
		*ret_value = true;
	else if (strncmp(p, "false", 5) == 0)
		*ret_value = false;
	else
		return -EINVAL;
	return 0;
}

/* ----------------------------------------------------------------- UTF-8 */

static int
hex4(const char *p, unsigned *ret_code)
{
	unsigned code = 0;
	int i;

	for (i = 0; i < 4; i++) {
		unsigned c = (unsigned char)p[i];

		if (c >= '0' && c <= '9')
			code = code * 16 + (c - '0');
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			code = code * 16 + ((c | 0x20) - 'a') + 10;
		else
			return -EINVAL;
	}
	*ret_code = code;
	return 0;
}

/* At most three bytes: surrogates are written one by one, as they came. */
static size_t
utf8_put(unsigned code, char out[4])
{
	if (code < 0x80) {
		out[0] = (char)code;
		return 1;
	}
	if (code < 0x800) {
		out[0] = (char)(0xc0 | code >> 6);
		out[1] = (char)(0x80 | (code & 0x3f));
		return 2;
	}
	out[0] = (char)(0xe0 | code >> 12);
	out[1] = (char)(0x80 | (code >> 6 & 0x3f));
	out[2] = (char)(0x80 | (code & 0x3f));
	return 3;
}

size_t
scan_char(const char **p, char out[4])
{
	static const char names[] = "\"\\/bfnrt";
	static const char values[] = "\"\\/\b\f\n\r\t";
	const char *s = *p;
	const char *found;
	unsigned code;

	if (*s != '\\') {
		out[0] = *s;
		*p = s + 1;
		return 1;
	}
	if (s[1] == 'u' && hex4(s + 2, &code) == 0 && code != 0) {
		*p = s + 6;
		return utf8_put(code, out);
	}
	found = s[1] == '\0' ? NULL : strchr(names, s[1]);
	if (found == NULL)
		return 0;
	out[0] = values[found - names];
	*p = s + 2;
	return 1;
}

int
scan_text(const char *json, const char *key, char *buf, size_t size)
{
	const char *p = scan_find(json, key);
	size_t used = 0;
	char out[4];

	if (p == NULL)
		return -ENOENT;
	if (*p != '"' || size == 0)
		return -EINVAL;
	for (p++; *p != '"'; ) {
		size_t n = *p == '\0' ? 0 : scan_char(&p, out);

		buf[used] = '\0';
		if (n == 0)
			return -EINVAL;
		if (n >= size - used)
			return -ENOBUFS;
		memcpy(buf + used, out, n);
		used += n;
	}
	buf[used] = '\0';
	return 0;
}

/* Bytes of the UTF-8 character at @p; 0: it is none. */
static size_t
utf8_length(const unsigned char *p)
{
	size_t i, n;

	if (p[0] < 0x80)
		return 1;
	n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	for (i = 1; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	/* Overlong forms, surrogates, and beyond U+10FFFF. */
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
	    (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return n;
}

/* The escape of @c into @out, or nothing where it needs none. */
static size_t
escape(unsigned char c, char out[6])
{
	static const char hex[] = "0123456789abcdef";

	if (c == '"' || c == '\\') {
		out[0] = '\\';
		out[1] = (char)c;
		return 2;
	}
	if (c >= 0x20)
		return 0;
	memcpy(out, "\\u00", 4);
	out[4] = hex[c >> 4];
	out[5] = hex[c & 15];
	return 6;
}

int
scan_quote(char *buf, size_t size, const char *text)
{
	size_t used = 1;
	char out[6];

	if (size < 3)
		return -ENOBUFS;
	buf[0] = '"';
	while (*text != '\0') {
		size_t len = utf8_length((const unsigned char *)text);
		size_t n = escape((unsigned char)*text, out);

		if (len == 0)
			return -EINVAL;
		if (used + (n > len ? n : len) + 2 > size)
			return -ENOBUFS;
		memcpy(buf + used, n > 0 ? out : text, n > 0 ? n : len);
		used += n > 0 ? n : len;
		text += len;
	}
	buf[used++] = '"';
	buf[used] = '\0';
	return 0;
}

void
scan_measure(const char *json, unsigned *ret_depth, size_t *ret_nvalues)
{
	unsigned depth = 0, deepest = 0;
	size_t nvalues = 1;
	const char *p = json;

	while (*p != '\0') {
		if (*p == '"') {
			p = string_end(p);
			continue;
		}
		if (*p == '{' || *p == '[') {
			nvalues++;
			if (++depth > deepest)
				deepest = depth;
		} else if ((*p == '}' || *p == ']') && depth > 0) {
			depth--;
		} else if (*p == ',') {
			nvalues++;
		}
		p++;
	}
	*ret_depth = deepest;
	*ret_nvalues = nvalues;
}
