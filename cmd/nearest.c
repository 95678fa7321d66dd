/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The nearest word
 *
 * A slip of the hand leaves out a letter, adds one, takes the wrong one or
 * swaps two: each counts one (optimal string alignment).  A word is near when
 * the slips are at most a third of its length, but always when there is one;
 * or when what was typed is its beginning ("stat" is "status").  A guess that
 * is far off helps less than none, so then there is none.
 *
 * Limits: words longer than WORD_MAX bytes are nobody's command.
 */
#include "nearest.h"

#include <string.h>

#define WORD_MAX	24u

static unsigned
min3(unsigned a, unsigned b, unsigned c)
{
	unsigned least = a < b ? a : b;

	return least < c ? least : c;
}

static unsigned
distance(const char *a, size_t na, const char *b, size_t nb)
{
	unsigned d[WORD_MAX + 1][WORD_MAX + 1];

	for (unsigned i = 0; i <= na; i++)
		d[i][0] = i;
	for (unsigned j = 0; j <= nb; j++)
		d[0][j] = j;
	for (size_t i = 1; i <= na; i++) {
		for (size_t j = 1; j <= nb; j++) {
			unsigned differs = a[i - 1] != b[j - 1];

			d[i][j] = min3(d[i - 1][j] + 1, d[i][j - 1] + 1,
				       d[i - 1][j - 1] + differs);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
			    a[i - 2] == b[j - 1])
				d[i][j] = min3(d[i][j], d[i - 2][j - 2] + 1,
					       d[i][j]);
		}
	}
	return d[na][nb];
}

const char *
nearest_word(const char *typed, const char *const *words, size_t n)
{
	size_t length = strlen(typed);
	const char *best = NULL;
	unsigned least = WORD_MAX;

	if (length == 0 || length > WORD_MAX)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		size_t word = strlen(words[i]);
		unsigned slips, allowed = word < 6 ? 1 : (unsigned)word / 3;

		if (word > WORD_MAX)
			continue;
		if (length > 1 && strncmp(typed, words[i], length) == 0)
			return words[i];
		slips = distance(typed, length, words[i], word);
		/* Half of a two-letter word is no resemblance. */
		if (slips <= allowed && slips < length && slips < least) {
			least = slips;
			best = words[i];
		}
	}
	return best;
}
