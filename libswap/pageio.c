/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Page I/O.
 *
 * The rooms above own pages (BUSY) and ask for their contents to be read or
 * written; here it is decided in what pieces.  No lock is held during I/O.
 *
 *	I1  A block is entered into a map only after the write to it is known
 *	    good; until then nobody but the writer knows it.
 *	I2  A block whose write or read failed is never allocated again.
 */
#include "pageio.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "util.h"

void *
pageio_buffer(uint64_t npages)
{
	void *buf = mmap(NULL, npages << page_shift(), PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	return buf == MAP_FAILED ? NULL : buf;
}

void
pageio_buffer_free(void *buf, uint64_t npages)
{
	if (buf != NULL)
		munmap(buf, npages << page_shift());
}

static bool
can_join(const struct swap_object *object, uint64_t page, uint64_t block)
{
	return page_state(object, page) == PAGE_SWAPPED &&
	       !page_is_busy(object, page) &&
	       swapmap_get(object->map, page) == block;
}

uint64_t
pageio_cluster(const struct swap_object *object, uint64_t page,
	       uint64_t behind, uint64_t ahead, uint64_t lo, uint64_t hi,
	       uint64_t *ret_first)
{
	uint64_t block = swapmap_get(object->map, page);
	uint64_t first = page, end = page + 1;

	/* Devices lie apart: consecutive blocks are on one device. */
	while (first > lo && page - first < behind && block > page - first &&
	       can_join(object, first - 1, block - (page - first) - 1))
		first--;
	while (end < hi && end - page <= ahead &&
	       can_join(object, end, block + (end - page)))
		end++;
	*ret_first = first;
	return end - first;
}

uint64_t
pageio_read(struct core *core, uint64_t block, uint64_t n, void *buf,
	    bool ok[], int *ret_error)
{
	uint64_t good = 0;
	int rc = space_read(&core->space, block, buf, n);

	if (space_is_word(block)) {
		memset(ok, true, n * sizeof(ok[0]));
		count(&core->counters.pagein_fill, n);
		return n;
	}
	count(&core->counters.pageins, 1);
	for (uint64_t i = 0; i < n; i++) {
		char *at = (char *)buf + (i << page_shift());

		if (rc < 0 && n > 1) {
			int one = space_read(&core->space, block + i, at, 1);

			ok[i] = one == 0;
			if (one < 0)
				*ret_error = one;
		} else {
			ok[i] = rc == 0;
		}
		good += ok[i];
	}
	if (rc < 0 && n == 1)
		*ret_error = rc;
	count(&core->counters.pagein_pages, good);
	return good;
}

/* One run of blocks; a failure is narrowed down to the bad ones. */
static uint64_t
write_run(struct core *core, uint64_t block, const char *buf, uint64_t n,
	  bool set_aside, uint64_t blocks[])
{
	uint64_t good = n;
	int rc = space_write(&core->space, block, buf, n);

	for (uint64_t i = 0; i < n; i++) {
		blocks[i] = block + i;
		if (rc < 0 && (n == 1 ||
		    space_write(&core->space, block + i,
				buf + (i << page_shift()), 1) < 0)) {
			space_bad(&core->space, block + i, 1);
			blocks[i] = SPACE_NONE;
			if (set_aside && space_reserve(&core->space, 1) < 0)
				blocks[i] = PAGEIO_UNRESERVED;
			good--;
		}
	}
	count(&core->counters.pageouts, 1);
	count(&core->counters.pageout_pages, good);
	return good;
}

uint64_t
pageio_write(struct core *core, const void *buf, uint64_t n, bool set_aside,
	     uint64_t blocks[])
{
	uint64_t done = 0, good = 0;

	while (done < n) {
		unsigned want = (unsigned)min_u64(n - done, core->cluster);
		unsigned got;
		uint64_t block;

		block = set_aside ?
			space_alloc_reserved(&core->space, want, &got) :
			space_alloc(&core->space, want, &got);
		if (block == SPACE_NONE)
			break;
		good += write_run(core, block,
				  (const char *)buf + (done << page_shift()),
				  got, set_aside, blocks + done);
		done += got;
	}
	for (; done < n; done++)
		blocks[done] = SPACE_NONE;
	return good;
}

bool
pageio_uniform(const void *page, uint64_t *ret_word)
{
	const uint64_t *word = page;
	size_t n = page_bytes() / sizeof(*word);

	*ret_word = word[0];
	if (word[n - 1] != word[0] || word[n / 2 + 1] != word[0])
		return false;
	/* Each word is as the one before it. */
	return memcmp(word, word + 1, (n - 1) * sizeof(*word)) == 0;
}

void
pageio_lost(struct swap_object *object, uint64_t page, int error)
{
	struct core *core = object->core;
	uint64_t block = SWAPMAP_NONE;

	/* The slot exists, so that setting it cannot fail. */
	if (swapmap_set(object->map, page, SWAPMAP_POISON, &block) == 0 &&
	    block <= SWAPMAP_BLOCK_MAX) {
		assert(!space_is_word(block));
		object_uncount_blocks(object, 1);
		space_bad(&core->space, block, 1);
		if ((object->page[page] & PAGE_RESERVED) &&
		    space_reserve(&core->space, 1) < 0)
			object_lose_reservation(object, page);
	}
	object_set_state(object, page, PAGE_POISON);
	count(&core->counters.poisoned_pages, 1);
	events_add(&core->events, SWAP_EVENT_PAGE_POISONED, NULL, object->id,
		   (int)object->pid, "page %" PRIu64 " cannot be read (%s)",
		   page, strerror(-error));
	log_limited(&core->log, &core->limit_read, SWAP_LOG_ERR,
		    "object %" PRIu64 "%s%s%s of process %d (%s): page %" PRIu64
		    " cannot be read from block %" PRIu64 " (%s): whoever "
		    "touches it gets SIGBUS",
		    object->id, object->name[0] != '\0' ? " '" : "",
		    object->name, object->name[0] != '\0' ? "'" : "",
		    (int)object->pid, object->command, page, block,
		    strerror(-error));
}
