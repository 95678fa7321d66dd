/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Blocks of swap space: given out, taken back, set aside, and how few are
 * left.  The invariants are in space.c.
 *
 * Freeing does not wait for the lock.  A page fault frees the block of a clean
 * page that is written to, under its object's lock, and should not stand in a
 * queue for it.  Who finds the lock taken notes the range down in a small
 * table, which has a leaf lock of its own.  The range is freed by whoever has
 * the lock next: nobody takes it but by space_enter(), which empties the table
 * first.  And it is not left there when nobody comes:
 *
 *	D1  who has noted down a range then tries the lock, and who has released
 *	    the lock looks whether something is noted down, and tries it too;
 *	D2  both do so by adding to nlate atomically, 1 or 0.  So one of the two
 *	    comes second: either the holder, who then sees the range, or the
 *	    one with the range, who then sees the lock released.
 *
 * What there is to say (the log, refilled()) is collected under the lock and
 * said without it.
 *
 * On a device that discards, freed blocks go by way of space-discard.c.
 *
 * Costs: a free and an allocation walk the device table and then the blist;
 * who has the lock may free SPACE_LATE_MAX ranges for others.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "space-impl.h"
#include "util.h"

/* Blocks that a device may be behind the others of its priority. */
#define LAG_MAX		SWAP_CLUSTER_MAX

/* Bits of news. */
#define NEWS_REFILLED	(1u << 0)	/* space after being full */
#define NEWS_ROOM	(1u << 1)	/* above the high-water mark */
#define NEWS_ALMOST	(1u << 2)	/* below the low-water mark */
#define NEWS_FULL	(1u << 3)	/* a wish was refused */
#define NEWS_REFUSED	(1u << 4)	/* a free of what is not in use */
#define NEWS_UNRESERVED	(1u << 5)	/* given back, but not set aside */

/* ------------------------------------------------------------ water marks */

/* FreeBSD: nswap_lowat 128 and nswap_hiwat 512 pages; less on small space. */
static uint64_t
low_by_size(const struct space *s)
{
	return min_u64(128, s->total / 32);
}

static uint64_t
low_water(const struct space *s)
{
	if (s->low != 0)
		return s->low;
	return s->high != 0 ? min_u64(low_by_size(s), s->high) :
			      low_by_size(s);
}

static uint64_t
high_by_size(const struct space *s)
{
	return min_u64(512, s->total / 8);
}

static uint64_t
high_water(const struct space *s)
{
	return s->high != 0 ? s->high : max_u64(high_by_size(s), low_water(s));
}

/* Space without any device is no event, and nobody needs to be told. */
static void
set_almost_full(struct space *s)
{
	if (s->almost_full)
		return;
	s->almost_full = true;
	if (s->total == 0)
		return;
	s->almost_full_events++;
	s->said = true;
	s->news.what |= NEWS_ALMOST;
}

static void
clear_almost_full(struct space *s)
{
	s->almost_full = false;
	s->warned = false;
	if (s->said)
		s->news.what |= NEWS_ROOM;
	s->said = false;
}

/*
 * Hysteresis (FreeBSD swp_sizecheck).  FreeBSD ends "full" at the low-water
 * mark.  So do we, but not later than at the mark that goes with the size:
 * full means that programs wait, and a mark set very high, to be warned early,
 * would let them wait for nothing.
 */
void
space_size_check(struct space *s)
{
	uint64_t low = low_water(s), room;

	if (s->held > 0 && space_plain(s) < high_by_size(s))
		space_unhold_all(s);
	room = space_plain_held(s);
	if (s->full && room > 0 && room >= min_u64(low, low_by_size(s))) {
		s->full = false;
		s->news.what |= NEWS_REFILLED;
	}
	if (room < low)
		set_almost_full(s);
	else if (room > high_water(s) && s->almost_full)
		clear_almost_full(s);
}

/* Lock held: an allocation has found nothing. */
static void
note_full(struct space *s)
{
	if (!s->full)
		s->full_events++;
	s->full = true;
	set_almost_full(s);
	if (!s->warned)
		s->news.what |= NEWS_FULL;
	s->warned = true;
}

int
space_set_water(struct space *s, uint64_t low, uint64_t high)
{
	if (low != 0 && high != 0 && low > high)
		return -EINVAL;
	space_enter(s);
	s->low = low;
	s->high = high;
	space_size_check(s);
	space_leave(s);
	return 0;
}

void
space_water(struct space *s, uint64_t *ret_low, uint64_t *ret_high)
{
	space_enter(s);
	*ret_low = s->low;
	*ret_high = s->high;
	space_leave(s);
}

/* ------------------------------------------------------------------- news */

static void
tell_water(struct space *s, const struct space_news *news)
{
	char left[32], total[32];

	format_size(news->room * page_bytes(), left, sizeof(left));
	format_size(news->total * page_bytes(), total, sizeof(total));
	if (news->what & NEWS_ROOM)
		log_limited(&s->log, &s->limit_room, SWAP_LOG_NOTICE,
			    "swap space is no longer almost full: %s of %s "
			    "left", left, total);
	if (news->what & NEWS_FULL)
		log_limited(&s->log, &s->limit_full, SWAP_LOG_WARNING,
			    "out of swap space: programs that need new memory "
			    "wait; attach a device with 'swapctl on'");
	else if (news->what & NEWS_ALMOST)
		log_limited(&s->log, &s->limit_almost, SWAP_LOG_WARNING,
			    "swap space is almost full: %s of %s left; attach "
			    "a device with 'swapctl on'", left, total);
}

static void
tell_event(struct space *s, const struct space_news *news)
{
	char left[32], total[32];

	format_size(news->room * page_bytes(), left, sizeof(left));
	format_size(news->total * page_bytes(), total, sizeof(total));
	if (news->what & NEWS_ROOM)
		events_add(s->events, SWAP_EVENT_ROOM, NULL, 0, 0,
			   "swap space is no longer almost full: %s of %s left",
			   left, total);
	if (news->what & NEWS_ALMOST)
		events_add(s->events, SWAP_EVENT_ALMOST_FULL, NULL, 0, 0,
			   "swap space is almost full: %s of %s left", left,
			   total);
	if (news->what & NEWS_FULL)
		events_add(s->events, SWAP_EVENT_FULL, NULL, 0, 0,
			   "out of swap space: programs that need new memory "
			   "wait");
}

static void
tell(struct space *s, const struct space_news *news)
{
	if (news->what & (NEWS_ROOM | NEWS_FULL | NEWS_ALMOST)) {
		tell_water(s, news);
		tell_event(s, news);
	}
	if (news->what & NEWS_REFUSED)
		log_write(&s->log, SWAP_LOG_ERR,
			  "blocks %" PRIu64 "+%" PRIu64 " freed that were not "
			  "in use: refused (%s)", news->block, news->n,
			  strerror(-news->error));
	if (news->what & NEWS_UNRESERVED)
		log_write(&s->log, SWAP_LOG_ERR,
			  "%" PRIu64 " blocks given back that were not set "
			  "aside: refused", news->over);
	if ((news->what & NEWS_REFILLED) && s->refilled != NULL)
		s->refilled(s->refilled_arg);
}

static void
unlock_and_tell(struct space *s)
{
	struct space_news news = s->news;

	news.room = space_plain_held(s);
	news.total = s->total;
	s->news.what = 0;
	pthread_mutex_unlock(&s->lock);
	if (news.what != 0)
		tell(s, &news);
}

/* ------------------------------------------------------- freed while busy */

/*
 * Lock held.  Into the free list, or where it is to be discarded into the held
 * one.  What is set aside again must be there at once.
 */
static int
put_back_dev(struct space *s, struct space_dev *dev, uint64_t first,
	     uint64_t n, bool reserve)
{
	int rc;

	if (first < dev->label || n > dev->used)
		return -EINVAL;
	if (space_is_held(dev, first, n))
		return -EEXIST;
	if (!reserve && space_dev_serves(dev) && dev->held != NULL &&
	    device_discards(dev->device))
		return space_hold(s, dev, first, n);
	rc = blist_free(dev->blist, first, n);
	if (rc == 0 && space_dev_serves(dev))
		s->avail += n;
	return rc;
}

/* Lock held.  When it fails, nothing has changed but the news. */
static int
put_back(struct space *s, uint64_t block, uint64_t n, bool reserve)
{
	struct space_dev *dev = space_dev_of(s, block);
	int rc = -EINVAL;

	if (dev != NULL)
		rc = put_back_dev(s, dev, block - dev->first, n, reserve);
	if (rc < 0) {
		s->news.what |= NEWS_REFUSED;
		s->news.block = block;
		s->news.n = n;
		s->news.error = rc;
		return rc;
	}
	dev->used -= n;
	if (reserve)
		s->reserved += n;
	space_size_check(s);
	return 0;
}

/* Lock held. */
static void
free_late(struct space *s)
{
	struct space_late late[SPACE_LATE_MAX];
	unsigned n;

	if (atomic_load(&s->nlate) == 0)
		return;
	pthread_mutex_lock(&s->late_lock);
	n = atomic_exchange(&s->nlate, 0);
	memcpy(late, s->late, n * sizeof(late[0]));
	pthread_mutex_unlock(&s->late_lock);
	for (unsigned i = 0; i < n; i++)
		if (put_back(s, late[i].block, late[i].n,
			     late[i].reserve) == 0)
			s->free_completed += late[i].n;
}

/* False when the table is full. */
static bool
note_late(struct space *s, uint64_t block, uint64_t n, bool reserve)
{
	unsigned at;

	pthread_mutex_lock(&s->late_lock);
	at = atomic_load(&s->nlate);
	if (at < SPACE_LATE_MAX) {
		s->late[at].block = block;
		s->late[at].n = n;
		s->late[at].reserve = reserve;
		s->free_deferred += n;
		atomic_fetch_add(&s->nlate, 1);
	}
	pthread_mutex_unlock(&s->late_lock);
	return at < SPACE_LATE_MAX;
}

/* Without the lock: leave nothing noted down unless somebody has the lock. */
static void
settle(struct space *s)
{
	while (atomic_fetch_add(&s->nlate, 0) > 0 &&
	       pthread_mutex_trylock(&s->lock) == 0) {
		free_late(s);
		unlock_and_tell(s);
	}
}

void
space_enter(struct space *s)
{
	pthread_mutex_lock(&s->lock);
	free_late(s);
}

void
space_leave(struct space *s)
{
	unlock_and_tell(s);
	settle(s);
}

/* ------------------------------------------------------ allocate and free */

/* Where round-robin goes on within devices [from, to) of one priority. */
static unsigned
robin_start(const struct space *s, unsigned from, unsigned to)
{
	for (unsigned i = from; i < to; i++)
		if (s->dev[i] == s->last)
			return i + 1 < to ? i + 1 : from;
	return from;
}

/*
 * Devices [from, to) have one priority: of those that have the longest run, up
 * to @want, the one that was given the least, or else the first in turn.
 * *ret_n is how long it is.  NULL: all full.
 */
static struct space_dev *
class_best(const struct space *s, unsigned from, unsigned to, unsigned want,
	   unsigned *ret_n)
{
	unsigned start = robin_start(s, from, to), best = 0;
	struct space_dev *found = NULL;

	for (unsigned k = 0; k < to - from; k++) {
		unsigned i = from + (start - from + k) % (to - from);
		struct space_dev *dev = s->dev[i];
		unsigned n = (unsigned)min_u64(blist_longest(dev->blist), want);

		if (n == 0 || !space_dev_serves(dev))
			continue;
		if (n > best || (n == best && dev->given < found->given)) {
			best = n;
			found = dev;
		}
	}
	*ret_n = best;
	return found;
}

/*
 * Runs have many lengths, so taking turns alone would not share the load.  Who
 * had no room for a while does not get all of it back: that would drive one
 * device where several could work.
 */
static void
note_given(struct space *s, unsigned from, unsigned to, struct space_dev *dev,
	   unsigned n)
{
	uint64_t most = 0;

	dev->given += n;
	for (unsigned i = from; i < to; i++)
		most = max_u64(most, s->dev[i]->given);
	for (unsigned i = from; i < to; i++)
		if (s->dev[i]->given + LAG_MAX < most)
			s->dev[i]->given = most - LAG_MAX;
}

/*
 * FreeBSD asks the devices in turn for the whole wish, then for half of it or
 * more, and so on, and searches each block list for each of these.  Here a
 * block list knows its longest run, so that the only search made is one that
 * succeeds, and the run is as long as the priority has one, not half of it.
 */
static struct space_dev *
find_run(struct space *s, unsigned want, uint64_t *ret_block, unsigned *ret_n)
{
	unsigned from = 0, to, n;

	for (; from < s->ndev; from = to) {
		struct space_dev *dev;

		for (to = from; to < s->ndev &&
		     s->dev[to]->priority == s->dev[from]->priority; to++)
			;
		dev = class_best(s, from, to, want, &n);
		if (dev == NULL)
			continue;
		*ret_block = blist_alloc(dev->blist, n, n, ret_n);
		assert(*ret_block != BLIST_NONE);
		note_given(s, from, to, dev, *ret_n);
		return dev;
	}
	return NULL;
}

/* Lock held.  Up to @want blocks, whatever they are for; SPACE_NONE. */
static uint64_t
take(struct space *s, uint64_t want, unsigned *ret_n)
{
	struct space_dev *dev = NULL;
	uint64_t block;

	want = min_u64(want, BLIST_ALLOC_MAX);
	if (want > 0)
		dev = find_run(s, (unsigned)want, &block, ret_n);
	if (dev == NULL)
		return SPACE_NONE;
	dev->used += *ret_n;
	s->avail -= *ret_n;
	s->last = dev;
	return dev->first + block;
}

/* What the cache has of them is of their last owner (C2 of cache.h). */
static uint64_t
forget_old(struct space *s, uint64_t block, unsigned n)
{
	if (block != SPACE_NONE && s->cache != NULL)
		cache_forget(s->cache, block, n);
	return block;
}

uint64_t
space_alloc(struct space *s, unsigned want, unsigned *ret_n)
{
	uint64_t block;
	bool again;

	do {
		again = false;
		space_enter(s);
		block = take(s, min_u64(want, space_plain(s)), ret_n);
		if (block != SPACE_NONE)
			space_size_check(s);
		else if (want > 0)
			again = space_discarding(s);
		if (block == SPACE_NONE && want > 0 && !again)
			note_full(s);
		space_leave(s);
		if (again)
			space_discard_wait_any(s);
	} while (again);
	return forget_old(s, block, block != SPACE_NONE ? *ret_n : 0);
}

uint64_t
space_alloc_reserved(struct space *s, unsigned want, unsigned *ret_n)
{
	uint64_t block;

	space_enter(s);
	block = take(s, min_u64(want, s->reserved), ret_n);
	if (block != SPACE_NONE) {
		s->reserved -= *ret_n;
		space_size_check(s);
	} else if (want > 0 && s->avail == 0) {
		note_full(s);
	}
	space_leave(s);
	return forget_old(s, block, block != SPACE_NONE ? *ret_n : 0);
}

uint64_t
space_word(struct space *s, uint64_t word)
{
	int64_t number = words_take(&s->words, word);

	return number >= 0 ? (uint64_t)number : SPACE_NONE;
}

static void
free_words(struct space *s, uint64_t block, uint64_t n)
{
	for (uint64_t i = block; i < block + n; i++)
		if (words_drop(&s->words, i) < 0)
			log_write(&s->log, SWAP_LOG_ERR,
				  "word block %" PRIu64 " freed that was not in "
				  "use: refused", i);
}

static void
free_blocks(struct space *s, uint64_t block, uint64_t n, bool reserve)
{
	if (n == 0)
		return;
	if (space_is_word(block)) {
		free_words(s, block, n);
		return;
	}
	if (pthread_mutex_trylock(&s->lock) == 0) {
		free_late(s);
	} else if (note_late(s, block, n, reserve)) {
		settle(s);
		return;
	} else {
		space_enter(s);
	}
	put_back(s, block, n, reserve);
	space_leave(s);
}

void
space_free(struct space *s, uint64_t block, uint64_t n)
{
	free_blocks(s, block, n, false);
}

void
space_free_reserved(struct space *s, uint64_t block, uint64_t n)
{
	free_blocks(s, block, n, true);
}

int
space_reserve(struct space *s, uint64_t n)
{
	int rc = 0;
	bool again;

	do {
		space_enter(s);
		if (n > space_plain(s))
			space_unhold_all(s);
		again = n > space_plain(s) && space_discarding(s);
		if (n > space_plain(s)) {
			rc = -ENOSPC;
		} else {
			s->reserved += n;
			rc = 0;
		}
		space_size_check(s);
		space_leave(s);
		if (again)
			space_discard_wait_any(s);
	} while (again);
	return rc;
}

void
space_unreserve(struct space *s, uint64_t n)
{
	space_enter(s);
	if (n > s->reserved) {
		s->news.what |= NEWS_UNRESERVED;
		s->news.over = n;
	} else {
		s->reserved -= n;
		space_size_check(s);
	}
	space_leave(s);
}

/* Lock held.  More places than there is room for are only counted. */
static void
remember_bad(struct space_dev *dev, uint64_t block, uint64_t n)
{
	struct space_bad *last = dev->nbad_at > 0 ?
				 &dev->bad_at[dev->nbad_at - 1] : NULL;

	if (last != NULL && last->block + last->n == block)
		last->n += n;
	else if (dev->nbad_at < SPACE_BAD_MAX)
		dev->bad_at[dev->nbad_at++] = (struct space_bad){ block, n };
}

void
space_bad(struct space *s, uint64_t block, uint64_t n)
{
	char path[256];
	struct space_dev *dev;
	bool news = false;

	space_enter(s);
	dev = space_dev_of(s, block);
	if (dev != NULL) {
		/* It may hold nothing any more, and be gone at once. */
		format_cut(path, sizeof(path), "%s", device_path(dev->device));
		news = (dev->flags & SWAP_DEVICE_DEGRADED) == 0;
		dev->flags |= SWAP_DEVICE_DEGRADED;
		dev->used -= n;
		dev->bad += n;
		remember_bad(dev, block - dev->first, n);
	}
	space_leave(s);
	if (!news)
		return;
	log_write(&s->log, SWAP_LOG_ERR,
		  "%s: has blocks that cannot be read or written; they are not "
		  "used again; replace the device and turn it off", path);
	events_add(s->events, SWAP_EVENT_DEVICE_DEGRADED, path, 0, 0,
		   "has blocks that cannot be read or written");
}
