/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ring of frames.
 *
 * What the frames are for, and the rules C1 and C2 for those who use them, is in
 * cache.h.  Inside:
 *
 *	K1  A frame is in the chain of its block exactly while it is KEPT; a
 *	    block has one frame at most.
 *	K2  Only a KEPT or a FREE frame in [0, nframes) is given out.
 *	K3  A frame at nframes or above is TAKEN or holds no memory.
 *
 * Where frames come from: first what was given back lately and is long enough,
 * since it holds nothing and is warm in the CPU's cache; else the hand goes on,
 * and takes the next piece of the ring, the oldest copies with it.  It passes by
 * frames that are taken, and pieces that are too short, to some extent.
 *
 * Costs: sixteen bytes a frame; a lock held for a few instructions a frame.
 * Resizing makes the chains anew.
 */
#include "cache.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "util.h"

#define RAM_PART	16u	/* of RAM is for frames, */
#define FRAMES_MIN	32u	/* but not less than this, */
#define FRAMES_MANY	16384u	/* and not more than this */
#define NO_FRAME	UINT32_MAX

enum state {
	FREE,			/* also: memory that nobody has touched */
	TAKEN,
	KEPT,
};

struct cache_frame {
	uint64_t	block;		/* KEPT: whose copy it is */
	uint32_t	next;		/* KEPT: in the chain */
	uint32_t	why;		/* KEPT */
};

/* ------------------------------------------------------------------- chains */

static uint32_t *
chain_of(struct cache *cache, uint64_t block)
{
	uint64_t hash = block * UINT64_C(0x9e3779b97f4a7c15);

	return &cache->bucket[(hash >> 40) & (cache->nbuckets - 1)];
}

/* The link that leads to the block's frame, or to the end of its chain. */
static uint32_t *
link_to(struct cache *cache, uint64_t block)
{
	uint32_t *link = chain_of(cache, block);

	while (*link != NO_FRAME && cache->frame[*link].block != block)
		link = &cache->frame[*link].next;
	return link;
}

static void
chain_add(struct cache *cache, uint32_t i)
{
	uint32_t *head = chain_of(cache, cache->frame[i].block);

	cache->frame[i].next = *head;
	*head = i;
}

/* Take the frame at @link out of its chain.  It is FREE then. */
static void
chain_remove(struct cache *cache, uint32_t *link)
{
	uint32_t i = *link;

	*link = cache->frame[i].next;
	cache->state[i] = FREE;
	cache->nkept--;
}

/* The copy goes, and nobody has found it. */
static void
lose(struct cache *cache, uint32_t *link)
{
	if (cache->frame[*link].why == CACHE_AHEAD && cache->wasted != NULL)
		atomic_fetch_add_explicit(cache->wasted, 1,
					  memory_order_relaxed);
	chain_remove(cache, link);
}

static void
lose_frame(struct cache *cache, uint32_t i)
{
	lose(cache, link_to(cache, cache->frame[i].block));
}

/* ------------------------------------------------------------------- memory */

static char *
address_of(struct cache *cache, uint32_t i)
{
	return cache->memory + ((uint64_t)i << page_shift());
}

static uint32_t
index_of(struct cache *cache, const char *mem)
{
	return (uint32_t)((uint64_t)(mem - cache->memory) >> page_shift());
}

/* Give frames their memory; locked, where the system allows it. */
static int
memory_get(struct cache *cache, uint32_t first, uint32_t n)
{
	char *at = address_of(cache, first);
	size_t len = (size_t)n << page_shift();

	if (mprotect(at, len, PROT_READ | PROT_WRITE) < 0)
		return -ENOMEM;
	if (madvise(at, len, MADV_POPULATE_WRITE) < 0)
		return -ENOMEM;
	(void)mlock(at, len);
	return 0;
}

static void
memory_put(struct cache *cache, uint32_t first, uint32_t n)
{
	char *at = address_of(cache, first);
	size_t len = (size_t)n << page_shift();

	munlock(at, len);
	(void)madvise(at, len, MADV_DONTNEED);
}

/* Locked.  Memory of frames at @first and above that nobody has. */
static void
trim(struct cache *cache, uint32_t first, uint32_t end)
{
	while (first < end) {
		uint32_t n = 0;

		while (first < end && cache->state[first] == TAKEN)
			first++;
		while (first + n < end && cache->state[first + n] != TAKEN)
			n++;
		if (n > 0)
			memory_put(cache, first, n);
		first += n;
	}
}

/* ------------------------------------------------------------- life, size */

int
cache_init(struct cache *cache, _Atomic uint64_t *wasted)
{
	void *memory;

	memset(cache, 0, sizeof(*cache));
	memory = mmap(NULL, (size_t)CACHE_FRAMES_MAX << page_shift(),
		      PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		      -1, 0);
	if (memory == MAP_FAILED)
		return -ENOMEM;
	cache->memory = memory;
	/* Large enough that their memory comes only where it is used. */
	cache->frame = calloc(CACHE_FRAMES_MAX, sizeof(*cache->frame));
	cache->state = calloc(CACHE_FRAMES_MAX, sizeof(*cache->state));
	cache->bucket = calloc(CACHE_FRAMES_MAX, sizeof(*cache->bucket));
	cache->wasted = wasted;
	pthread_mutex_init(&cache->lock, NULL);
	if (cache->frame == NULL || cache->state == NULL ||
	    cache->bucket == NULL) {
		cache_fini(cache);
		return -ENOMEM;
	}
	cache->nbuckets = 1;
	cache->bucket[0] = NO_FRAME;
	return 0;
}

void
cache_fini(struct cache *cache)
{
	pthread_mutex_destroy(&cache->lock);
	munmap(cache->memory, (size_t)CACHE_FRAMES_MAX << page_shift());
	free(cache->frame);
	free(cache->state);
	free(cache->bucket);
}

uint32_t
cache_size_for(uint64_t ram_pages)
{
	long all = sysconf(_SC_PHYS_PAGES);
	uint64_t pages = all > 0 ? min_u64(ram_pages, (uint64_t)all) :
				   ram_pages;

	return (uint32_t)min_u64(max_u64(pages / RAM_PART, FRAMES_MIN),
				 FRAMES_MANY);
}

uint32_t
cache_size(struct cache *cache)
{
	return atomic_load_explicit(&cache->nframes, memory_order_relaxed);
}

/* Locked.  Chains for @nframes frames. */
static void
rehash(struct cache *cache, uint32_t nframes)
{
	uint32_t n = 1;

	while (n < nframes)
		n *= 2;
	for (uint32_t i = 0; i < n; i++)
		cache->bucket[i] = NO_FRAME;
	cache->nbuckets = n;
	for (uint32_t i = 0; i < nframes; i++)
		if (cache->state[i] == KEPT)
			chain_add(cache, i);
}

static uint32_t
count_taken(const struct cache *cache, uint32_t nframes)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < nframes; i++)
		n += cache->state[i] == TAKEN;
	return n;
}

int
cache_resize(struct cache *cache, uint32_t nframes)
{
	uint32_t old = cache_size(cache);
	int rc = 0;

	assert(nframes <= CACHE_FRAMES_MAX);
	if (nframes > old)
		rc = memory_get(cache, old, nframes - old);
	pthread_mutex_lock(&cache->lock);
	for (uint32_t i = nframes; i < old; i++)
		if (cache->state[i] == KEPT)
			lose_frame(cache, i);
	if (rc == 0) {
		cache->nframes = nframes;
		cache->ntaken = count_taken(cache, nframes);
		cache->hand = cache->nspans = 0;
		rehash(cache, nframes);
	}
	/* Also what has grown in part. */
	if (nframes < old || rc < 0)
		trim(cache, cache_size(cache), nframes > old ? nframes : old);
	pthread_mutex_unlock(&cache->lock);
	return rc;
}

/* ------------------------------------------------------------- take and give */

/* Locked.  How many frames from @first on are free, up to @n. */
static uint32_t
count_free(const struct cache *cache, uint32_t first, uint32_t n)
{
	uint32_t i = 0;

	while (i < n && cache->state[first + i] == FREE)
		i++;
	return i;
}

/* Locked.  Remember frames that have just become free. */
static void
span_add(struct cache *cache, uint32_t first, uint32_t n)
{
	struct cache_span *last = NULL;

	if (cache->nspans > 0)
		last = &cache->span[cache->nspans - 1];
	if (last != NULL && last->first + last->n == first) {
		last->n += n;
		return;
	}
	if (last != NULL && first + n == last->first) {
		last->first = first;
		last->n += n;
		return;
	}
	if (cache->nspans == CACHE_SPANS) {
		memmove(cache->span, cache->span + 1,
			(CACHE_SPANS - 1) * sizeof(cache->span[0]));
		cache->nspans--;
	}
	cache->span[cache->nspans++] =
		(struct cache_span){ .first = first, .n = n };
}

/* Locked.  @n frames of one of these; NO_FRAME: none is as long. */
static uint32_t
span_take(struct cache *cache, uint32_t n)
{
	for (uint32_t i = cache->nspans; i-- > 0;) {
		struct cache_span *span = &cache->span[i];
		uint32_t first = span->first;

		if (span->n < n)
			continue;
		if (count_free(cache, first, n) == n) {
			span->first += n;
			span->n -= n;
			if (span->n > 0)
				return first;
		} else {
			first = NO_FRAME;	/* the hand has been here */
		}
		cache->nspans--;
		memmove(span, span + 1,
			(cache->nspans - i) * sizeof(*span));
		if (first != NO_FRAME)
			return first;
	}
	return NO_FRAME;
}

/* Locked.  Frames from @first on that are not taken, up to @n. */
static uint32_t
count_open(const struct cache *cache, uint32_t first, uint32_t n)
{
	uint32_t i = 0;

	while (i < n && first + i < cache->nframes &&
	       cache->state[first + i] != TAKEN)
		i++;
	return i;
}

/*
 * Locked; not all are taken.  The next piece of @n frames on the ring.  When
 * there is none near the hand, the longest that was met.
 */
static uint32_t
ring_find(struct cache *cache, uint32_t n, uint32_t *ret_n)
{
	uint32_t look = 4 * n + 64, looked = 0, best = 0, best_n = 0;
	uint32_t at = cache->hand;

	while (best_n < n && looked < cache->nframes &&
	       (best_n == 0 || looked < look)) {
		uint32_t len;

		if (at >= cache->nframes)
			at = 0;
		len = count_open(cache, at, n);
		if (len > best_n) {
			best = at;
			best_n = len;
		}
		at += len + 1;
		looked += len + 1;
	}
	/* The hand was amid the only piece that there is: at its beginning. */
	while (best_n == 0) {
		if (at >= cache->nframes)
			at = 0;
		best = at++;
		best_n = count_open(cache, best, n);
	}
	*ret_n = best_n;
	return best;
}

char *
cache_take(struct cache *cache, uint32_t n, uint32_t *ret_n)
{
	uint32_t first;

	assert(n > 0);
	pthread_mutex_lock(&cache->lock);
	if (cache->ntaken >= cache->nframes) {
		pthread_mutex_unlock(&cache->lock);
		return NULL;
	}
	first = span_take(cache, n);
	if (first == NO_FRAME) {
		first = ring_find(cache, n, &n);
		cache->hand = first + n;
	}
	for (uint32_t i = first; i < first + n; i++) {
		if (cache->state[i] == KEPT)
			lose_frame(cache, i);
		cache->state[i] = TAKEN;
	}
	cache->ntaken += n;
	pthread_mutex_unlock(&cache->lock);
	*ret_n = n;
	return address_of(cache, first);
}

/*
 * Locked.  Frames that are taken become free.  Those of a cache that has shrunk
 * meanwhile lose their memory.  How many of them are in the cache.
 */
static uint32_t
release(struct cache *cache, uint32_t first, uint32_t n)
{
	uint32_t in = first < cache->nframes ?
		(uint32_t)min_u64(n, cache->nframes - first) : 0;

	for (uint32_t i = first; i < first + n; i++) {
		assert(cache->state[i] == TAKEN);
		cache->state[i] = FREE;
	}
	if (in < n)
		memory_put(cache, first + in, n - in);
	cache->ntaken -= in;
	return in;
}

void
cache_give(struct cache *cache, const char *mem, uint32_t n)
{
	uint32_t first = index_of(cache, mem);

	if (n == 0)
		return;
	pthread_mutex_lock(&cache->lock);
	n = release(cache, first, n);
	if (n > 0)
		span_add(cache, first, n);
	pthread_mutex_unlock(&cache->lock);
}

void
cache_keep(struct cache *cache, const char *mem, uint32_t n, uint64_t block,
	   enum cache_why why)
{
	uint32_t first = index_of(cache, mem), in;

	if (n == 0)
		return;
	pthread_mutex_lock(&cache->lock);
	in = release(cache, first, n);
	/* An older copy goes even where this one has no place. */
	for (uint32_t i = 0; i < n; i++) {
		uint32_t *link = link_to(cache, block + i);

		if (*link != NO_FRAME)
			lose(cache, link);
		if (i >= in)
			continue;
		cache->frame[first + i].block = block + i;
		cache->frame[first + i].why = (uint32_t)why;
		cache->state[first + i] = KEPT;
		cache->nkept++;
		chain_add(cache, first + i);
	}
	pthread_mutex_unlock(&cache->lock);
}

/* --------------------------------------------------------------- find, forget */

char *
cache_find(struct cache *cache, uint64_t block, uint32_t n, uint32_t *ret_n,
	   enum cache_why *ret_why)
{
	uint32_t first, found = 0;

	if (cache->nkept == 0)
		return NULL;
	pthread_mutex_lock(&cache->lock);
	first = *link_to(cache, block);
	if (first != NO_FRAME)
		*ret_why = (enum cache_why)cache->frame[first].why;
	while (first != NO_FRAME && found < n &&
	       first + found < cache->nframes &&
	       cache->state[first + found] == KEPT &&
	       cache->frame[first + found].block == block + found) {
		chain_remove(cache, link_to(cache, block + found));
		cache->state[first + found] = TAKEN;
		found++;
	}
	cache->ntaken += found;
	pthread_mutex_unlock(&cache->lock);
	*ret_n = found;
	return found > 0 ? address_of(cache, first) : NULL;
}

bool
cache_has(struct cache *cache, uint64_t block)
{
	bool has;

	if (cache->nkept == 0)
		return false;
	pthread_mutex_lock(&cache->lock);
	has = *link_to(cache, block) != NO_FRAME;
	pthread_mutex_unlock(&cache->lock);
	return has;
}

/* Locked.  More blocks than there are frames: look at these instead. */
static void
forget_many(struct cache *cache, uint64_t block, uint64_t n)
{
	for (uint32_t i = 0; i < cache->nframes; i++)
		if (cache->state[i] == KEPT &&
		    cache->frame[i].block - block < n)
			lose_frame(cache, i);
}

void
cache_forget(struct cache *cache, uint64_t block, uint64_t n)
{
	/* What is kept for these was kept before they came to us. */
	if (cache->nkept == 0)
		return;
	pthread_mutex_lock(&cache->lock);
	if (n > cache->nframes) {
		forget_many(cache, block, n);
		n = 0;
	}
	for (uint64_t i = 0; i < n; i++) {
		uint32_t *link = link_to(cache, block + i);

		if (*link != NO_FRAME)
			lose(cache, link);
	}
	pthread_mutex_unlock(&cache->lock);
}
