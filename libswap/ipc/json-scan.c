/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Lists read from text.
 *
 * Most of a snapshot is the list of its objects, and jansson makes a value on
 * the heap of each of the 26 members of each of them.  Here such a list goes
 * straight into the structures, by the same tables of members.
 *
 * 1. What is accepted is a subset of what jansson and members_read() accept:
 *    no spaces between values, every member of the table and no other, in the
 *    order of the table, which is what a swapd of this version writes.  The
 *    result is the same.
 * 2. What is not accepted is no error yet: the caller gives all of the text to
 *    jansson then, which finds the error or a form that is unusual.  So there
 *    is one judge of what is wrong, and what other versions send is read as
 *    ever, only slower.
 * 3. Nothing is read behind the NUL that ends the text, whatever it is.
 *
 * About half a microsecond for an object; ten with jansson.
 */
#include "json-impl.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "scan.h"
#include "text.h"

#define FIRST_ITEMS	((size_t)64)

/* Each of these moves *@p behind what it has read, or returns false. */

static bool
char_scan(const char **p, char c)
{
	if (**p != c)
		return false;
	++*p;
	return true;
}

static bool
word_scan(const char **p, const char *word)
{
	const char *s = *p;

	for (; *word != '\0'; word++, s++)
		if (*s != *word)
			return false;
	*p = s;
	return true;
}

static bool
integer_scan(const char **p, int64_t min, int64_t max, int64_t *ret_value)
{
	const char *digits = *p + (**p == '-');
	int64_t value;

	/* A fraction is found by what has to come next. */
	if (digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9')
		return false;
	if (scan_number(*p, p, &value) < 0 || value < min || value > max)
		return false;
	*ret_value = value;
	return true;
}

/* @place is all zeros. */
static bool
string_scan(const char **p, char *place, size_t size)
{
	size_t used = 0;
	char out[4];

	if (!char_scan(p, '"'))
		return false;
	while (**p != '"') {
		size_t n = 0;

		/* Also where the text ends. */
		if ((unsigned char)**p >= 0x20)
			n = scan_char(p, out);
		if (n == 0 || n >= size - used)
			return false;
		memcpy(place + used, out, n);
		used += n;
	}
	++*p;
	/* Half of a surrogate pair comes out of scan_char() as none. */
	return text_is_utf8(place, used);
}

static bool
flag_scan(const char **p, bool *ret_flag)
{
	*ret_flag = **p == 't';
	return word_scan(p, *ret_flag ? "true" : "false");
}

static bool
value_scan(const char **p, const struct member *m, char *place)
{
	int64_t value = 0;
	uint64_t u64;
	uint32_t u32;
	bool flag;

	switch (m->kind) {
	case KIND_U64:
		if (!integer_scan(p, 0, INT64_MAX, &value))
			return false;
		u64 = (uint64_t)value;
		memcpy(place, &u64, sizeof(u64));
		return true;
	case KIND_U32:
	case KIND_I32:
		if (!integer_scan(p, m->kind == KIND_U32 ? 0 : INT32_MIN,
				  m->kind == KIND_U32 ? UINT32_MAX : INT32_MAX,
				  &value))
			return false;
		/* The bits of a negative one are the same. */
		u32 = (uint32_t)value;
		memcpy(place, &u32, sizeof(u32));
		return true;
	case KIND_TEXT:
		return string_scan(p, place, m->aux);
	case KIND_FLAG:
		if (!flag_scan(p, &flag))
			return false;
		memcpy(&u32, place, sizeof(u32));
		u32 |= flag ? m->aux : 0;
		memcpy(place, &u32, sizeof(u32));
		return true;
	case KIND_BOOL:
		if (!flag_scan(p, &flag))
			return false;
		memcpy(place, &flag, sizeof(flag));
		return true;
	case KIND_LATENCY:
	case KIND_EVENT:
		break;		/* in no list that is long */
	}
	return false;
}

/* @base is all zeros. */
static bool
item_scan(const char **p, const struct member *m, size_t n, char *base)
{
	for (size_t i = 0; i < n; i++)
		if (!char_scan(p, i > 0 ? ',' : '{') || !char_scan(p, '"') ||
		    !word_scan(p, m[i].name) || !word_scan(p, "\":") ||
		    !value_scan(p, &m[i], base + m[i].offset))
			return false;
	return char_scan(p, '}');
}

/* Room for one item more, all zeros. */
static char *
item_room(char **list, size_t *cap, size_t n, size_t size)
{
	char *more;

	/* An item takes text, of which there is less than SIZE_MAX / 2. */
	if (n == *cap) {
		*cap = *cap > 0 ? 2 * *cap : FIRST_ITEMS;
		more = reallocarray(*list, *cap, size);
		if (more == NULL)
			return NULL;
		*list = more;
	}
	return memset(*list + n * size, 0, size);
}

const char *
json_list_scan(const char *text, const struct member *m, size_t nmembers,
	       size_t size, void **ret_list, size_t *ret_n)
{
	char *list = NULL, *item;
	size_t n = 0, cap = 0;

	while (char_scan(&text, n > 0 ? ',' : '[')) {
		item = item_room(&list, &cap, n, size);
		if (item == NULL || !item_scan(&text, m, nmembers, item)) {
			free(list);
			return NULL;
		}
		n++;
	}
	if (n == 0 || !char_scan(&text, ']')) {
		free(list);
		return NULL;
	}
	*ret_list = list;
	*ret_n = n;
	return text;
}
