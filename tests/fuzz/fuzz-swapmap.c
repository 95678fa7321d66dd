/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz-swapmap.c - bytes as operations on maps of all kinds, and as a file
 *
 * The first byte says which.  Operations: each is done to a map of every kind
 * and to a naive model, and whatever one of them says must be what the model
 * says.  File: the bytes are written over parts of a file with a sound map, and
 * that is opened; what is accepted must pass swapmap_check() and be usable.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compiler.h"
#include "swapmap-impl.h"

#include "fuzz.h"

#define MUST(condition) do {						\
	if (!(condition)) {						\
		fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__,	\
			#condition);					\
		abort();						\
	}								\
} while (0)

static const enum swapmap_kind kinds[] = {
	SWAPMAP_AUTO, SWAPMAP_ARRAY, SWAPMAP_HASH, SWAPMAP_TRIE,
};
#define NKINDS	ARRAY_SIZE(kinds)

/* The bytes that are left; zeros behind them. */
struct input {
	const uint8_t	*data;
	size_t		 len;
};

static uint64_t
take(struct input *in, unsigned nbytes)
{
	uint64_t value = 0;

	for (; nbytes > 0; nbytes--) {
		value <<= 8;
		if (in->len > 0) {
			value |= *in->data++;
			in->len--;
		}
	}
	return value;
}

/* ----------------------------------------------------------- operations */

#define PAGES_MAX	2048u

struct world {
	struct swapmap	*map[NKINDS];
	uint64_t	 npages;
	uint64_t	 stride;	/* from one used page to the next */
	uint64_t	 block[PAGES_MAX];	/* the model */
	bool		 held[PAGES_MAX];
	uint64_t	 mapped;
};

static uint64_t
page_of(const struct world *w, uint64_t i)
{
	return i * w->stride;
}

/* A sum over what is reported as free, in which no order matters. */
struct freed {
	uint64_t n, sum;
};

static void
freed_add(void *arg, uint64_t first_block, uint64_t n)
{
	struct freed *freed = arg;

	MUST(n > 0);
	for (uint64_t i = 0; i < n; i++)
		freed->sum += (first_block + i) * UINT64_C(0x9e3779b97f4a7c15);
	freed->n += n;
}

static uint64_t
take_block(struct input *in)
{
	uint64_t what = take(in, 1);

	if (what < 16)
		return SWAPMAP_NONE;
	if (what < 32)
		return SWAPMAP_POISON;
	if (what < 40)
		return SWAPMAP_BLOCK_MAX - (what & 3);
	if (what < 56)
		return (UINT64_C(1) << 32) - 4 + (what & 7);
	return take(in, 1) + what;
}

static void
do_set(struct world *w, uint64_t i, uint64_t block)
{
	for (unsigned k = 0; k < NKINDS; k++) {
		uint64_t old = 1;

		MUST(swapmap_set(w->map[k], page_of(w, i), block, &old) == 0);
		MUST(old == w->block[i]);
	}
	w->mapped += block != SWAPMAP_NONE;
	w->mapped -= w->block[i] != SWAPMAP_NONE;
	w->block[i] = block;
	if (block != SWAPMAP_NONE)
		w->held[i] = false;
}

static void
do_clear(struct world *w, uint64_t i, uint64_t n)
{
	struct freed expected = { 0 };
	uint64_t nmapped = 0;

	for (uint64_t p = i; p < i + n && p < PAGES_MAX; p++) {
		nmapped += w->block[p] != SWAPMAP_NONE;
		if (w->block[p] <= SWAPMAP_BLOCK_MAX)
			freed_add(&expected, w->block[p], 1);
		w->block[p] = SWAPMAP_NONE;
	}
	for (unsigned k = 0; k < NKINDS; k++) {
		struct freed got = { 0 };

		MUST(swapmap_clear(w->map[k], page_of(w, i), n * w->stride,
				   freed_add, &got) == nmapped);
		MUST(got.n == expected.n && got.sum == expected.sum);
	}
	w->mapped -= nmapped;
}

static bool
any_held(const struct world *w, uint64_t i, uint64_t n)
{
	for (uint64_t p = i; p < i + n; p++) {
		if (w->held[p])
			return true;
	}
	return false;
}

/* Only pages that are next to each other are prepared by one call. */
static void
do_prepare(struct world *w, uint64_t i, uint64_t n)
{
	n = w->stride == 1 ? min_u64(n, PAGES_MAX - i) : 1;
	if (n == 0 || any_held(w, i, n))
		return;
	for (unsigned k = 0; k < NKINDS; k++)
		MUST(swapmap_prepare(w->map[k], page_of(w, i), n) == 0);
	memset(&w->held[i], true, n);
}

static void
do_unprepare(struct world *w, uint64_t i, uint64_t n)
{
	n = min_u64(n, PAGES_MAX - i);
	for (unsigned k = 0; k < NKINDS; k++)
		swapmap_unprepare(w->map[k], page_of(w, i), n * w->stride);
	memset(&w->held[i], false, n);
}

static void
ask(const struct world *w, uint64_t i)
{
	uint64_t first = i, run = 0;

	while (first < PAGES_MAX && w->block[first] == SWAPMAP_NONE)
		first++;
	while (w->stride == 1 && i + run < PAGES_MAX &&
	       w->block[i] <= SWAPMAP_BLOCK_MAX &&
	       w->block[i + run] == w->block[i] + run)
		run++;
	for (unsigned k = 0; k < NKINDS; k++) {
		uint64_t page = 1, block = 2;
		bool found = swapmap_find(w->map[k], page_of(w, i), &page,
					  &block);

		MUST(found == (first < PAGES_MAX));
		MUST(!found || (page == page_of(w, first) &&
				block == w->block[first]));
		MUST(swapmap_get(w->map[k], page_of(w, i)) == w->block[i]);
		MUST(swapmap_count(w->map[k]) == w->mapped);
		if (w->stride == 1)
			MUST(swapmap_run(w->map[k], i, UINT64_MAX) == run);
	}
}

/* Two maps of different kinds change hands, through a third. */
static void
do_transfer(struct world *w, unsigned k, uint64_t i)
{
	struct swapmap_spec spec = {
		.kind = kinds[k], .npages = w->npages, .dirfd = -1,
	};
	uint64_t page = page_of(w, i);
	struct swapmap *copy;

	MUST(swapmap_create(&spec, &copy) == 0);
	MUST(swapmap_copy(copy, w->map[(k + 1) % NKINDS]) == 0);
	MUST(swapmap_transfer(w->map[k], page, copy, page, w->npages - page,
			      NULL, NULL) == 0);
	MUST(swapmap_check(copy) == 0);
	swapmap_destroy(copy);
}

struct walk {
	const struct world *w;
	uint64_t i, n;
};

static int
walk_visit(void *arg, uint64_t page, uint64_t block)
{
	struct walk *walk = arg;
	const struct world *w = walk->w;

	while (walk->i < PAGES_MAX && w->block[walk->i] == SWAPMAP_NONE)
		walk->i++;
	MUST(walk->i < PAGES_MAX);
	MUST(page == page_of(w, walk->i) && block == w->block[walk->i]);
	walk->i++;
	walk->n++;
	return 0;
}

static void
check_all(const struct world *w)
{
	for (unsigned k = 0; k < NKINDS; k++) {
		struct walk walk = { .w = w };

		MUST(swapmap_check(w->map[k]) == 0);
		MUST(swapmap_each(w->map[k], 0, UINT64_MAX, walk_visit,
				  &walk) == 0);
		MUST(walk.n == w->mapped);
	}
}

static void
do_one(struct world *w, struct input *in)
{
	uint64_t what = take(in, 1), i = take(in, 2) % PAGES_MAX;

	if (what < 96) {
		do_set(w, i, take_block(in));
	} else if (what < 128) {
		/* Some in order, which is how maps fill. */
		for (uint64_t n = take(in, 1) % 80; n > 0 && i < PAGES_MAX;
		     n--, i++)
			do_set(w, i, what * 1000 + i);
	} else if (what < 144) {
		do_clear(w, i, take(in, 2) % PAGES_MAX + 1);
	} else if (what < 176) {
		do_prepare(w, i, take(in, 1) % 64);
	} else if (what < 200) {
		do_unprepare(w, i, take(in, 1) + 1);
	} else if (what < 208) {
		do_transfer(w, what % NKINDS, i);
	} else {
		ask(w, i);
	}
}

static void
run_operations(struct input *in)
{
	static const uint64_t strides[] = { 1, 1, 3, 16, 77, 500 };
	struct world *w = calloc(1, sizeof(*w));
	unsigned n = 0;

	if (w == NULL)
		return;
	w->stride = strides[take(in, 1) % ARRAY_SIZE(strides)];
	w->npages = page_of(w, PAGES_MAX - 1) + 1;
	for (unsigned i = 0; i < PAGES_MAX; i++)
		w->block[i] = SWAPMAP_NONE;
	for (unsigned k = 0; k < NKINDS; k++) {
		struct swapmap_spec spec = {
			.kind = kinds[k], .npages = w->npages, .dirfd = -1,
		};

		MUST(swapmap_create(&spec, &w->map[k]) == 0);
	}
	while (in->len > 0) {
		do_one(w, in);
		if (++n % 32 == 0)
			check_all(w);
	}
	check_all(w);
	do_unprepare(w, 0, PAGES_MAX);
	do_clear(w, 0, PAGES_MAX);
	check_all(w);
	for (unsigned k = 0; k < NKINDS; k++)
		swapmap_destroy(w->map[k]);
	free(w);
}

/* ---------------------------------------------------------------- files */

/* A file with a sound map of some pages. */
static void
make_file(const char *path, enum swapmap_kind kind, uint64_t npages,
	  uint64_t nmapped)
{
	struct swapmap_spec spec = {
		.kind = kind, .npages = npages, .dirfd = AT_FDCWD,
		.name = path,
	};
	struct swapmap *map;

	MUST(swapmap_create(&spec, &map) == 0);
	for (uint64_t i = 0; i < nmapped; i++)
		MUST(swapmap_set(map, i * i * 7 % npages, i % 5 == 4 ?
				 UINT64_C(1) << 40 : i, NULL) == 0);
	swapmap_destroy(map);
}

/* Where to write: the start of the file, what follows it, or anywhere. */
static off_t
take_place(struct input *in, bool start)
{
	uint64_t what = take(in, 1);
	off_t at = (off_t)take(in, 2);

	if (start && what < 128)
		return at % 80;
	return 4096 + (what < 192 ? at % 512 : at % 32768);
}

/* Write some bytes of the input over the file, and perhaps cut it. */
static void
damage_file(const char *path, struct input *in)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	uint64_t how = take(in, 1);

	MUST(fd >= 0);
	for (uint64_t i = how % 8; i > 0 && in->len > 0; i--) {
		off_t at = take_place(in, how >= 192);
		size_t n = (size_t)min_u64(1 + take(in, 1) % 12, in->len);

		MUST(pwrite(fd, in->data, n, at) == (ssize_t)n);
		in->data += n;
		in->len -= n;
	}
	if (how >= 240)
		MUST(ftruncate(fd, (off_t)take(in, 2)) == 0);
	close(fd);
}

/* A map that was accepted: whatever is in it, it works. */
static void
use_map(struct swapmap *map)
{
	uint64_t npages = swapmap_npages(map), page = 0, block, n = 0;

	MUST(swapmap_check(map) == 0);
	while (page < npages && swapmap_find(map, page, &page, &block)) {
		MUST(swapmap_get(map, page) == block);
		page++;
		n++;
	}
	MUST(n == swapmap_count(map));
	for (uint64_t i = 0; i < 40; i++) {
		page = i * i * 977 % npages;
		MUST(swapmap_set(map, page, i << i, NULL) == 0);
		MUST(swapmap_get(map, page) == i << i);
	}
	MUST(swapmap_prepare(map, 0, min_u64(npages, 100)) == 0);
	MUST(swapmap_check(map) == 0);
	swapmap_unprepare(map, 0, 100);
	(void)swapmap_clear(map, 0, npages, NULL, NULL);
	MUST(swapmap_count(map) == 0);
	MUST(swapmap_check(map) == 0);
}

static void
run_file(struct input *in)
{
	static const uint64_t sizes[] = { 1, 60, 700, 3000, 40000, 1 << 20 };
	enum swapmap_kind kind = kinds[take(in, 1) % NKINDS];
	uint64_t npages = sizes[take(in, 1) % ARRAY_SIZE(sizes)];
	struct swapmap *map = NULL;
	char path[64];
	int r;

	snprintf(path, sizeof(path), "/tmp/fuzz-swapmap.%ld", (long)getpid());
	(void)unlink(path);
	make_file(path, kind, npages, take(in, 1));
	damage_file(path, in);
	r = swapmap_open(AT_FDCWD, path, NULL, &map);
	if (r == 0) {
		use_map(map);
		swapmap_destroy(map);
	} else {
		MUST(map == NULL);
		MUST(r == -EBADMSG || r == -EPROTO || r == -ENOMEM);
	}
	(void)unlink(path);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct input in = { .data = data, .len = len };

	if (take(&in, 1) % 2 == 0)
		run_operations(&in);
	else
		run_file(&in);
	return 0;
}
