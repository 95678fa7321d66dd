/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of words: a model, a full one, and what a successor finds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util.h"
#include "words.h"

static uint64_t seed = 1;

static uint64_t
rnd(uint64_t n)
{
	seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return (seed >> 33) % n;
}

/* ------------------------------------------------------------------- model */

#define MODEL_WORDS	6000u	/* different ones: more than there is room for */
#define STEPS		400000u

struct model {
	uint64_t	refs[MODEL_WORDS];
	int64_t		number[MODEL_WORDS];	/* while refs > 0 */
	unsigned	owner[WORDS_MAX];	/* word + 1 */
	unsigned	nused;
	uint64_t	nrefs;
};

/* Small ones, large ones, and some that differ in the low or high bits. */
static uint64_t
word_of(unsigned i)
{
	switch (i % 4) {
	case 0:
		return i / 4;
	case 1:
		return (uint64_t)i << 40;
	case 2:
		return UINT64_MAX - i;
	}
	return i * UINT64_C(0x0101010101010101);
}

static void
model_take(struct model *m, struct words *words, unsigned i)
{
	int64_t number = words_take(words, word_of(i));

	if (m->refs[i] == 0 && m->nused == WORDS_MAX) {
		assert_int_equal(number, -ENOSPC);
		return;
	}
	assert_in_range(number, 0, WORDS_MAX - 1);
	if (m->refs[i] == 0) {
		assert_int_equal(m->owner[number], 0);
		m->owner[number] = i + 1;
		m->number[i] = number;
		m->nused++;
	}
	assert_int_equal(number, m->number[i]);
	m->refs[i]++;
	m->nrefs++;
}

static void
model_drop(struct model *m, struct words *words, unsigned i)
{
	if (m->refs[i] == 0)
		return;
	assert_true(words_get(words, (uint64_t)m->number[i]) == word_of(i));
	assert_int_equal(words_drop(words, (uint64_t)m->number[i]), 0);
	m->nrefs--;
	if (--m->refs[i] > 0)
		return;
	m->owner[m->number[i]] = 0;
	m->nused--;
	assert_int_equal(words_drop(words, (uint64_t)m->number[i]), -EINVAL);
}

static void
model_check(const struct model *m, struct words *words)
{
	assert_int_equal(words_count(words), m->nused);
	assert_int_equal(words_refs(words), m->nrefs);
	for (unsigned i = 0; i < WORDS_MAX; i++)
		if (m->owner[i] != 0)
			assert_true(words_get(words, i) ==
				    word_of(m->owner[i] - 1));
}

static void
test_model(void **state)
{
	struct model *m = calloc(1, sizeof(*m));
	struct words words;
	unsigned most = 0;

	(void)state;
	assert_non_null(m);
	assert_int_equal(words_init(&words, -1, NULL), 0);
	for (unsigned step = 0; step < STEPS; step++) {
		/* It fills, overflows, and empties, by turns. */
		bool fills = step / (STEPS / 8) % 2 == 0;
		unsigned i = (unsigned)rnd(MODEL_WORDS);

		if (rnd(8) < (fills ? 6 : 1))
			model_take(m, &words, i);
		else
			model_drop(m, &words, i);
		most = m->nused > most ? m->nused : most;
		if (step % (STEPS / 16) == 0)
			model_check(m, &words);
	}
	assert_int_equal(most, WORDS_MAX);
	for (unsigned i = 0; i < MODEL_WORDS; i++)
		while (m->refs[i] > 0)
			model_drop(m, &words, i);
	model_check(m, &words);
	assert_int_equal(words_count(&words), 0);
	words_fini(&words);
	free(m);
}

static void
test_full(void **state)
{
	struct words words;

	(void)state;
	assert_int_equal(words_init(&words, -1, NULL), 0);
	for (uint64_t i = 0; i < WORDS_MAX; i++)
		assert_true(words_take(&words, i * i) >= 0);
	assert_int_equal(words_take(&words, 7), -ENOSPC);
	/* What is there can be had all the same. */
	assert_true(words_take(&words, 49) >= 0);
	assert_int_equal(words_drop(&words, (uint64_t)words_take(&words, 0)),
			 0);
	assert_int_equal(words_take(&words, 7), -ENOSPC);
	/* One goes, with both of its references: there is room for one. */
	assert_int_equal(words_drop(&words, (uint64_t)words_take(&words, 49)),
			 0);
	for (unsigned k = 0; k < 2; k++) {
		uint64_t number = (uint64_t)words_take(&words, 49);

		assert_int_equal(words_drop(&words, number), 0);
		assert_int_equal(words_drop(&words, number), 0);
	}
	assert_int_equal(words_count(&words), WORDS_MAX - 1);
	assert_true(words_take(&words, 7) >= 0);
	assert_int_equal(words_take(&words, 49), -ENOSPC);
	assert_int_equal(words_drop(&words, WORDS_MAX), -EINVAL);
	assert_int_equal(words_drop(&words, UINT64_MAX), -EINVAL);
	words_fini(&words);
}

static void
test_fill(void **state)
{
	size_t n = page_bytes() / sizeof(uint64_t);
	uint64_t *page = calloc(n + 1, sizeof(*page));

	(void)state;
	assert_non_null(page);
	words_fill(page, UINT64_C(0x0123456789abcdef));
	for (size_t i = 0; i < n; i++)
		assert_true(page[i] == UINT64_C(0x0123456789abcdef));
	assert_int_equal(page[n], 0);
	free(page);
}

/* ------------------------------------------------------------- a successor */

static void
test_file(void **state)
{
	const char *tmp = getenv("TMPDIR");
	char dir[64], path[80];
	struct words words, other;
	int64_t number;
	uint64_t word;
	int fd, dirfd;

	(void)state;
	snprintf(dir, sizeof(dir), "%.40s/test-words.XXXXXX",
		 tmp != NULL ? tmp : "/var/tmp");
	assert_non_null(mkdtemp(dir));
	dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(dirfd >= 0);
	assert_int_equal(words_init(&words, dirfd, "words"), 0);
	assert_int_equal(words_init(&other, dirfd, "words"), -EEXIST);
	for (uint64_t i = 0; i < 100; i++)
		assert_true(words_take(&words, i) >= 0);
	number = words_take(&words, UINT64_C(0xfeedfacecafebeef));
	assert_true(number >= 0);
	/* The word is at its number's place, as soon as that is known. */
	snprintf(path, sizeof(path), "%s/words", dir);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &word, sizeof(word),
			       (off_t)((size_t)number * sizeof(word))),
			 sizeof(word));
	assert_true(word == UINT64_C(0xfeedfacecafebeef));
	close(fd);
	words_fini(&words);
	assert_int_equal(unlink(path), 0);
	close(dirfd);
	assert_int_equal(rmdir(dir), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_model),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_fill),
		cmocka_unit_test(test_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
