/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The index from blocks to pages.
 *
 * A word for each block, at its place: nothing is sorted, and a block costs 8
 * bytes whether it is in use or not.  A block has at most one page, so no two
 * pages want the same word, but for one that moves to another object while the
 * maps are read: then either is good enough, since the reader looks again.
 */
#include "pageback-index.h"

#include <errno.h>
#include <sys/mman.h>

#include "util.h"

#define LOOK_PAGES	8192u	/* looked through under one lock */
#define INDEX_MIN	4096u	/* words; with fewer it is not worth it */

_Static_assert(PAGEQ_PAGE_MAX == (UINT64_C(1) << 40) - 1, "a word's parts");

int
pageback_index_init(struct pageback_index *index, uint64_t nblocks)
{
	uint64_t size = max_u64(min_u64(nblocks, PAGEBACK_INDEX_BLOCKS),
				INDEX_MIN);

	for (; size >= INDEX_MIN; size /= 2) {
		void *mem = mmap(NULL, size * sizeof(uint64_t),
				 PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (mem == MAP_FAILED)
			continue;
		*index = (struct pageback_index){ .word = mem, .size = size };
		return 0;
	}
	return -ENOMEM;
}

void
pageback_index_fini(struct pageback_index *index)
{
	munmap(index->word, index->size * sizeof(uint64_t));
}

/* The window that has @block, or NULL. */
static struct pageback_window *
window_of(struct pageback_index *index, uint64_t block)
{
	struct pageback_window *w = &index->window[index->last];

	if (block - w->lo < w->hi - w->lo)
		return w;
	for (unsigned i = 0; i < index->nwindows; i++) {
		w = &index->window[i];
		if (block - w->lo < w->hi - w->lo) {
			index->last = i;
			return w;
		}
	}
	return NULL;
}

/* An object that is being read. */
struct reader {
	struct pageback_index *index;
	uint64_t	 name;		/* of its page 0 */
};

static int
note(void *arg, uint64_t page, uint64_t block)
{
	const struct reader *r = arg;
	struct pageback_window *w = window_of(r->index, block);

	/* Poison lies beyond all windows. */
	if (w != NULL)
		w->word[block - w->lo] = r->name + page;
	return 0;
}

static int
read_map(struct swap_object *object, void *arg)
{
	struct pageback_index *index = arg;
	struct reader r = {
		.index = index,
		.name = ((uint64_t)object->slot << 40) + 1,
	};
	uint64_t page = 0, block;
	int rc = 0;

	while (rc == 0 && page < object->npages) {
		uint64_t n = min_u64(LOOK_PAGES, object->npages - page);

		object_lock(object);
		/* Objects that die free their own blocks. */
		if (object->dead ||
		    !swapmap_find(object->map, page, &page, &block)) {
			object_unlock(object);
			break;
		}
		swapmap_each(object->map, page, n, note, &r);
		object_unlock(object);
		page += n;
		if (index->poll != NULL)
			rc = index->poll(index->arg);
	}
	return rc;
}

int
pageback_index_read(struct pageback_index *index, struct core *core)
{
	index->last = 0;
	return objects_each(core, read_map, index);
}
