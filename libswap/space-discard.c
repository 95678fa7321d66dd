/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Telling devices which blocks have become free.
 *
 * A freed block of a device that discards is held back: it is neither used nor
 * free, and lies in a second block list of the device, where neighbours become
 * one run.  A thread takes the longest runs out of that list, discards them
 * with no lock held, and makes them free then.  So nothing is discarded that
 * has been given out again, and neither a fault nor page-out waits for it.
 *
 * The thread begins when something has been held back for a second, or at once
 * when it is a lot.  Runs shorter than RUN_MIN are not worth a command to the
 * device and become free without (Linux discards only whole clusters of swap).
 *
 * Room goes before discarding.  When few blocks are free, all that are held
 * back become free at once, as they are.  What is being discarded at that
 * moment, at most one run and at most a quarter of what was free when it began,
 * is only waited for by an allocation that would fail otherwise.  Blocks that
 * are freed to be set aside again are never held back.
 *
 *	H1  A block is in at most one of: use, the device's free list, its held
 *	    list, the run being discarded.
 *	H2  s->held counts the held lists of the devices in service.  No other
 *	    device has anything in its held list.
 *	H3  At most one run is being discarded, and only by the thread; its
 *	    device is not given up meanwhile.
 *
 * Costs: one bit a block of a device that discards, and two more operations of
 * a block list for each range that is freed there.  No allocation.
 */
#include "space-impl.h"

#include <assert.h>
#include <errno.h>

#include "threads.h"
#include "util.h"

#define RUN_MIN		16u	/* blocks */
#define ENOUGH		4096u	/* blocks held back: begin at once */
#define DELAY_SEC	1

void
space_discard_init(struct space *s)
{
	struct space_discard *d = &s->discard;

	pthread_mutex_init(&d->lock, NULL);
	cond_init(&d->work);
	pthread_cond_init(&d->done, NULL);
}

/* ------------------------------------------------ held back, and free again */

bool
space_is_held(const struct space_dev *dev, uint64_t block, uint64_t n)
{
	if (dev->held == NULL)
		return false;
	if (dev->discard_n > 0 &&
	    block < dev->discard_first + dev->discard_n &&
	    dev->discard_first < block + n)
		return true;
	return blist_count_free(dev->held, block, block + n) > 0;
}

/* The thread has something to do. */
static void
wake(struct space *s)
{
	struct space_discard *d = &s->discard;

	pthread_mutex_lock(&d->lock);
	d->held = true;
	d->enough = s->held >= ENOUGH;
	pthread_cond_signal(&d->work);
	pthread_mutex_unlock(&d->lock);
}

int
space_hold(struct space *s, struct space_dev *dev, uint64_t block, uint64_t n)
{
	uint64_t before = s->held;
	int rc;

	if (blist_count_free(dev->blist, block, block + n) > 0)
		return -EEXIST;
	rc = blist_free(dev->held, block, n);
	if (rc < 0)
		return rc;
	s->held += n;
	if (before == 0 || (before < ENOUGH && s->held >= ENOUGH))
		wake(s);
	return 0;
}

/* Lock held.  Blocks that are neither used nor held back any more. */
static void
make_free(struct space *s, struct space_dev *dev, uint64_t first, uint64_t n)
{
	int rc = blist_free(dev->blist, first, n);

	assert(rc == 0);
	(void)rc;
	if (space_dev_serves(dev))
		s->avail += n;
}

void
space_unhold(struct space *s, struct space_dev *dev)
{
	uint64_t first, n;

	if (dev->held == NULL)
		return;
	while (blist_next_free(dev->held, 0, &first, &n)) {
		blist_fill(dev->held, first, n, NULL);
		s->held -= n;
		make_free(s, dev, first, n);
	}
}

void
space_unhold_all(struct space *s)
{
	for (unsigned i = 0; i < s->ndev && s->held > 0; i++)
		space_unhold(s, s->dev[i]);
}

/* ------------------------------------------------------------- the thread */

/* Lock held.  The device with the longest run that is held back, or NULL. */
static struct space_dev *
longest_held(const struct space *s)
{
	struct space_dev *found = NULL;
	unsigned best = 0;

	for (unsigned i = 0; i < s->ndev; i++) {
		struct space_dev *dev = s->dev[i];
		unsigned n = dev->held != NULL ? blist_longest(dev->held) : 0;

		if (n > best) {
			best = n;
			found = dev;
		}
	}
	return found;
}

/*
 * Lock held.  Take a run of @dev out, to be discarded.  False: none is worth
 * it, or there is too little room; nothing is held back then.
 */
static bool
take_run(struct space *s, struct space_dev *dev)
{
	unsigned most = (unsigned)min_u64(space_plain(s) / 4, BLIST_ALLOC_MAX);

	if (!device_discards(dev->device) || most < RUN_MIN ||
	    blist_longest(dev->held) < RUN_MIN) {
		space_unhold(s, dev);
		space_size_check(s);
		return false;
	}
	dev->discard_first = blist_alloc(dev->held, RUN_MIN, most,
					 &dev->discard_n);
	s->held -= dev->discard_n;
	return true;
}

/* Discard one run, or make some free without.  False: nothing is left. */
static bool
discard_one(struct space *s)
{
	struct space_discard *d = &s->discard;
	struct space_dev *dev;
	bool taken;

	space_enter(s);
	dev = longest_held(s);
	taken = dev != NULL && take_run(s, dev);
	space_leave(s);
	if (!taken)
		return dev != NULL;
	device_discard(dev->device, dev->discard_first, dev->discard_n);
	space_enter(s);
	make_free(s, dev, dev->discard_first, dev->discard_n);
	dev->discard_n = 0;
	space_size_check(s);
	space_leave(s);
	/* The device may be gone by now. */
	pthread_mutex_lock(&d->lock);
	d->ndone++;
	pthread_cond_broadcast(&d->done);
	pthread_mutex_unlock(&d->lock);
	return true;
}

/* Wait until there is enough to do, or some for a while; false: the end. */
static bool
wait_for_work(struct space_discard *d)
{
	uint64_t until;
	bool quit;

	pthread_mutex_lock(&d->lock);
	while (!d->held && !d->quit)
		pthread_cond_wait(&d->work, &d->lock);
	until = now_usec() + DELAY_SEC * UINT64_C(1000000);
	while (!d->enough && !d->quit &&
	       cond_wait_until(&d->work, &d->lock, until) == 0)
		;
	d->held = d->enough = false;
	quit = d->quit;
	pthread_mutex_unlock(&d->lock);
	return !quit;
}

static bool
wants_end(struct space_discard *d)
{
	bool quit;

	pthread_mutex_lock(&d->lock);
	quit = d->quit;
	pthread_mutex_unlock(&d->lock);
	return quit;
}

static void *
discard_thread(void *arg)
{
	struct space *s = arg;

	while (wait_for_work(&s->discard))
		while (discard_one(s) && !wants_end(&s->discard))
			;
	return NULL;
}

int
space_discard_start(struct space *s, struct space_dev *dev)
{
	struct space_discard *d = &s->discard;
	struct blist *held;
	int rc;

	rc = blist_create(dev->end - dev->first, &held);
	if (rc < 0)
		return rc;
	pthread_mutex_lock(&d->lock);
	if (!d->started)
		rc = thread_start(&d->thread, discard_thread, s);
	d->started = rc == 0;
	pthread_mutex_unlock(&d->lock);
	if (rc < 0) {
		blist_destroy(held);
		return rc;
	}
	space_enter(s);
	dev->held = held;
	space_leave(s);
	return 0;
}

void
space_discard_fini(struct space *s)
{
	struct space_discard *d = &s->discard;

	pthread_mutex_lock(&d->lock);
	d->quit = true;
	pthread_cond_signal(&d->work);
	pthread_mutex_unlock(&d->lock);
	if (d->started)
		pthread_join(d->thread, NULL);
	pthread_cond_destroy(&d->done);
	pthread_cond_destroy(&d->work);
	pthread_mutex_destroy(&d->lock);
}

/* ----------------------------------------------------------------- waiting */

/* Wait until more runs have been discarded than @ndone. */
static void
wait_done(struct space_discard *d, uint64_t ndone)
{
	pthread_mutex_lock(&d->lock);
	while (d->ndone == ndone)
		pthread_cond_wait(&d->done, &d->lock);
	pthread_mutex_unlock(&d->lock);
}

static uint64_t
ndone_now(struct space_discard *d)
{
	uint64_t ndone;

	pthread_mutex_lock(&d->lock);
	ndone = d->ndone;
	pthread_mutex_unlock(&d->lock);
	return ndone;
}

void
space_discard_wait(struct space *s, const struct space_dev *dev)
{
	uint64_t ndone;
	bool busy;

	do {
		ndone = ndone_now(&s->discard);
		space_enter(s);
		busy = dev->discard_n > 0;
		space_leave(s);
		if (busy)
			wait_done(&s->discard, ndone);
	} while (busy);
}

bool
space_discarding(const struct space *s)
{
	for (unsigned i = 0; i < s->ndev; i++)
		if (s->dev[i]->discard_n > 0)
			return true;
	return false;
}

void
space_discard_wait_any(struct space *s)
{
	uint64_t ndone = ndone_now(&s->discard);
	bool busy;

	space_enter(s);
	busy = space_discarding(s);
	space_leave(s);
	if (busy)
		wait_done(&s->discard, ndone);
}
