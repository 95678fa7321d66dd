/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How freed memory goes back to the pager.
 *
 * mimalloc gives a span up with madvise(MADV_DONTNEED) and takes it into use
 * again with mprotect(PROT_READ | PROT_WRITE); it never relies on zeros in
 * between (2.0.9: src/segment.c, src/arena.c).  Its own delays end only when
 * the program allocates or frees again, so a program that frees all it has
 * and then sleeps would keep its blocks.  Therefore mimalloc runs without
 * delays, and the delay is here: a span given up is noted in a bitmap, and a
 * thread gives back, in long runs, what has stayed there for a moment.  What
 * is taken into use again before costs nothing, and swapd is never called from
 * within mimalloc.
 *
 * Invariants:
 *
 *   R1	A bit is set only for a granule that mimalloc has given up as a whole
 *	and not taken into use again.
 *   R2	A run being released is [busy_start, busy_end), and its bits are clear.
 *	Whoever takes part of it into use waits until it has been released.
 *   R3	The program's own madvise() does not come here: it promises zeros at
 *	its return, and is done at once.
 *
 * A child made by fork() has no such thread, and starting one inside a handler
 * of fork() is asking for trouble: it releases in place, in larger portions.
 *
 * Memory: one bit for 64 KiB, touched only where used.  Cost of a note: one
 * uncontended lock.
 */
#include "heap.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

/* The unit in which mimalloc gives up (MI_COMMIT_SIZE). */
#define GRANULE_SHIFT	16
#define GRANULE_BYTES	((uint64_t)1 << GRANULE_SHIFT)
#define WORD_BITS	64u
/* What one request gives back at most, so that nobody waits long for it. */
#define RUN_GRANULES	1024u
/* How long a span stays before it is given back. */
#define DELAY_NSEC	50000000L
/* Without a thread: how much is noted before it is given back in place. */
#define INLINE_GRANULES	64u

/* [r] = lock.  The process has one heap, so one of these. */
static struct {
	pthread_mutex_t	 lock;
	pthread_cond_t	 work;		/* noted has left 0 */
	pthread_cond_t	 done;		/* a run has been released */
	uint64_t	*bits;		/* [r] R1; NULL: not started */
	uint64_t	 ngranules;
	uint64_t	 noted;		/* [r] bits set */
	uint64_t	 low, high;	/* [r] they are in [low, high) */
	uint64_t	 busy_start;	/* [r] R2, in granules */
	uint64_t	 busy_end;
	bool		 has_thread;
} release = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.work = PTHREAD_COND_INITIALIZER,
	.done = PTHREAD_COND_INITIALIZER,
};

static bool
bit_get(uint64_t granule)
{
	return (release.bits[granule / WORD_BITS] >>
		(granule % WORD_BITS) & 1) != 0;
}

/* The bits of [first, end) that are in the word of @first. */
static uint64_t
word_mask(uint64_t first, uint64_t end)
{
	uint64_t in_word = min_u64(end - first, WORD_BITS - first % WORD_BITS);

	return (in_word == WORD_BITS ? UINT64_MAX
				     : ((uint64_t)1 << in_word) - 1)
	       << first % WORD_BITS;
}

/* Set or clear the bits of [first, end); returns how many changed. */
static uint64_t
bits_assign(uint64_t first, uint64_t end, bool set)
{
	uint64_t *word, mask, changed = 0;

	while (first < end) {
		word = &release.bits[first / WORD_BITS];
		mask = word_mask(first, end);
		mask &= set ? ~*word : *word;
		*word ^= mask;
		changed += (uint64_t)__builtin_popcountll(mask);
		first += WORD_BITS - first % WORD_BITS;
	}
	return changed;
}

static void
forget_bits(uint64_t first, uint64_t end)
{
	release.noted -= bits_assign(first, end, false);
	if (release.noted == 0)
		release.low = release.high = 0;
}

/*
 * Take the next run at or after @from out of the bitmap and make it busy.
 */
static bool
take_run(uint64_t from)
{
	uint64_t first, end;

	first = max_u64(from, release.low);
	while (first < release.high && !bit_get(first))
		first += release.bits[first / WORD_BITS] >>
				 first % WORD_BITS == 0
			 ? WORD_BITS - first % WORD_BITS : 1;
	if (first >= release.high)
		return false;
	end = first + 1;
	while (end < release.high && end - first < RUN_GRANULES &&
	       bit_get(end))
		end++;
	forget_bits(first, end);
	release.busy_start = first;
	release.busy_end = end;
	return true;
}

/* Release all that is noted.  The lock is held, but not while waiting. */
static void
sweep(void)
{
	uint64_t at = 0, first, end;

	/* A sweep in another thread does our work. */
	if (release.busy_start != release.busy_end)
		return;
	while (release.noted > 0 && take_run(at)) {
		first = release.busy_start;
		end = release.busy_end;
		pthread_mutex_unlock(&release.lock);
		/*
		 * If it fails, swapd keeps blocks that nobody needs; there is
		 * nobody to tell.
		 */
		(void)swap_client_release(heap_service()->region,
					  first << GRANULE_SHIFT,
					  (end - first) << GRANULE_SHIFT);
		pthread_mutex_lock(&release.lock);
		release.busy_start = release.busy_end = 0;
		pthread_cond_broadcast(&release.done);
		at = end;
	}
}

static void *
release_thread(void *arg)
{
	static const struct timespec delay = { 0, DELAY_NSEC };

	pthread_mutex_lock(&release.lock);
	for (;;) {
		while (release.noted == 0)
			pthread_cond_wait(&release.work, &release.lock);
		pthread_mutex_unlock(&release.lock);
		nanosleep(&delay, NULL);
		pthread_mutex_lock(&release.lock);
		sweep();
	}
	return arg;
}

void
heap_release_later(uintptr_t start, uintptr_t end)
{
	uint64_t first = heap_offset(start), last = heap_offset(end), before;

	first = (first + GRANULE_BYTES - 1) >> GRANULE_SHIFT;
	last >>= GRANULE_SHIFT;
	if (first >= last || release.bits == NULL ||
	    heap_service()->region == NULL)
		return;
	pthread_mutex_lock(&release.lock);
	before = release.noted;
	if (before == 0) {
		release.low = first;
		release.high = last;
	}
	release.low = min_u64(release.low, first);
	release.high = max_u64(release.high, last);
	release.noted += bits_assign(first, last, true);
	if (!release.has_thread && release.noted >= INLINE_GRANULES)
		sweep();
	else if (before == 0)
		pthread_cond_signal(&release.work);
	pthread_mutex_unlock(&release.lock);
}

void
heap_release_forget(uintptr_t start, uintptr_t end)
{
	uint64_t first = heap_offset(start) >> GRANULE_SHIFT;
	uint64_t last = (heap_offset(end) + GRANULE_BYTES - 1) >> GRANULE_SHIFT;

	if (release.bits == NULL)
		return;
	pthread_mutex_lock(&release.lock);
	if (release.noted > 0)
		forget_bits(first, min_u64(last, release.ngranules));
	while (release.busy_start < last && first < release.busy_end)
		pthread_cond_wait(&release.done, &release.lock);
	pthread_mutex_unlock(&release.lock);
}

void
heap_release_now(uintptr_t start, uintptr_t end)
{
	struct heap_service *s = heap_service();

	if (s->region == NULL ||
	    swap_client_release(s->region, heap_offset(start),
				end - start) < 0)
		memset((void *)start, 0, end - start);
}

/* ------------------------------------------------------------------- fork */

void
heap_release_prepare(void)
{
	pthread_mutex_lock(&release.lock);
	while (release.busy_start != release.busy_end)
		pthread_cond_wait(&release.done, &release.lock);
}

void
heap_release_parent(void)
{
	pthread_mutex_unlock(&release.lock);
}

void
heap_release_child(void)
{
	/* Other threads may have waited on these; they are not here. */
	pthread_mutex_init(&release.lock, NULL);
	pthread_cond_init(&release.work, NULL);
	pthread_cond_init(&release.done, NULL);
	release.has_thread = false;
}

int
heap_release_start(void)
{
	uintptr_t start, end;
	pthread_t thread;
	uint64_t nwords;
	void *bits;
	int r;

	if (!heap_range(&start, &end))
		return -EINVAL;
	release.ngranules = (end - start) >> GRANULE_SHIFT;
	nwords = (release.ngranules + WORD_BITS - 1) / WORD_BITS;
	bits = mmap(NULL, nwords * sizeof(uint64_t), PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (bits == MAP_FAILED)
		return -errno;
	release.bits = bits;
	r = pthread_create(&thread, NULL, release_thread, NULL);
	release.has_thread = r == 0;
	return -r;
}
