/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Detaching devices, one or several together (floor 6).
 *
 * All of them are closed first, under the admin lock: from then on they take no
 * allocations, so that nothing can go from one to another.  Whether what they
 * hold has room elsewhere is looked at as each is closed, together with those
 * that are closed already.  Then they are emptied (pageback-blocks.c) without
 * the lock, since that may take long and another device may be attached
 * meanwhile.
 *
 * A pass leaves out pages that are busy, and page-outs in flight still hold
 * blocks that no map has yet; so passes are repeated until the devices hold
 * nothing.  Each device ends by itself: it is given up as soon as it is empty,
 * and is in service again where some of its blocks cannot be read.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "pageback.h"
#include "pager-impl.h"
#include "util.h"

#define DETACH_RESCANS	100	/* without progress; FreeBSD gives up too */
#define DETACH_PAUSE	10000000L /* nanoseconds between them */
#define REPORT_USEC	100000

/* A detach under way; devices by their place in the caller's array. */
struct detach {
	struct swap_pager *pager;
	struct swap_detach *result;
	unsigned	 n, nopen;	/* devices; not finished yet */
	struct space_dev *dev[SPACE_DEVICES_MAX]; /* NULL: finished */
	uint64_t	 start_used[SPACE_DEVICES_MAX];
	struct pageback_device device[SPACE_DEVICES_MAX];
	swap_detach_fn	*progress;
	void		*arg;
	uint64_t	 start_usec, next_usec;
};

static void
measure(struct detach *d, unsigned i, uint64_t now)
{
	struct swap_progress *p = &d->result[i].progress;
	uint64_t left = space_dev_used(&d->pager->core.space, d->dev[i]);

	p->total_bytes = max_u64(d->start_used[i], left) << page_shift();
	p->done_bytes = p->total_bytes - (left << page_shift());
	p->elapsed_usec = now - d->start_usec;
}

static int
report(struct detach *d)
{
	uint64_t now = now_usec();

	d->next_usec = now + REPORT_USEC;
	for (unsigned i = 0; i < d->n; i++)
		if (d->dev[i] != NULL)
			measure(d, i, now);
	if (d->progress == NULL)
		return 0;
	return d->progress(d->arg, d->result, d->n) != 0 ? -EINTR : 0;
}

static int
detach_poll(void *arg)
{
	struct detach *d = arg;

	if (atomic_load(&d->pager->core.frozen))
		return -ECANCELED;
	return d->progress == NULL || now_usec() < d->next_usec ?
	       0 : report(d);
}

static int
detach_failed(const char *spec, int rc, uint64_t failed,
	      struct swap_error *error)
{
	switch (rc) {
	case -EINTR:
		return error_set(error, rc,
			"%s: stopped; it is in service again", spec);
	case -ENOMEM:
		return error_set(error, rc,
			"%s: no RAM became free to page back into; it is in "
			"service again; attach another device or raise the "
			"RAM budget", spec);
	case -EIO:
		return error_set(error, rc,
			"%s: %" PRIu64 " pages cannot be read and stay on it "
			"(the log names the object of each when it is "
			"touched); it is in service again", spec, failed);
	case -ECANCELED:
		return error_set(error, rc,
			"%s: stopped, since the pager is ending", spec);
	default:
		return error_set(error, rc,
			"%s: cannot be turned off: %s; it is in service again",
			spec, strerror(-rc));
	}
}

/* One device ends: it is given up, or in service again. */
static void
finish(struct detach *d, unsigned i, int rc)
{
	struct core *core = &d->pager->core;
	struct swap_detach *result = &d->result[i];
	char path[256];

	measure(d, i, now_usec());
	format_cut(path, sizeof(path), "%s", space_dev_path(d->dev[i]));
	if (rc == 0) {
		space_close_finish(&core->space, d->dev[i]);
		events_add(&core->events, SWAP_EVENT_DEVICE_OFF, path, 0, 0,
			   "is turned off");
		log_write(&core->log, SWAP_LOG_DEBUG, "%s: turned off",
			  result->spec);
	} else {
		space_close_cancel(&core->space, d->dev[i]);
		events_add(&core->events, SWAP_EVENT_DEVICE_OFF_STOPPED, path,
			   0, 0, "is in service again");
		detach_failed(result->spec, rc, d->device[i].failed,
			      &result->error);
	}
	d->dev[i] = NULL;
	d->device[i].skip = true;
	result->finished = 1;
	d->nopen--;
}

/* Those that are empty end; so do those that cannot be emptied. */
static void
finish_some(struct detach *d)
{
	for (unsigned i = 0; i < d->n; i++) {
		if (d->dev[i] == NULL)
			continue;
		if (space_dev_used(&d->pager->core.space, d->dev[i]) == 0)
			finish(d, i, 0);
		else if (d->device[i].failed > 0)
			finish(d, i, -EIO);
	}
}

static void
detach_run(struct detach *d)
{
	struct timespec pause = { .tv_nsec = DETACH_PAUSE };
	struct pageback_sweep sweep = {
		.core = &d->pager->core,
		.device = d->device,
		.ndevices = d->n,
		.poll = detach_poll,
		.arg = d,
	};
	unsigned rescans = 0;
	int rc = detach_poll(d);

	while (rc == 0) {
		uint64_t before = sweep.done;

		finish_some(d);
		if (d->nopen == 0)
			break;
		rc = pageback_blocks(&sweep);
		finish_some(d);
		if (rc != 0 || d->nopen == 0)
			break;
		/* Page-outs and releases in flight still hold blocks. */
		if (sweep.done == before && ++rescans > DETACH_RESCANS)
			rc = -EBUSY;
		else
			nanosleep(&pause, NULL);
		if (rc == 0)
			rc = detach_poll(d);
	}
	for (unsigned i = 0; i < d->n; i++)
		if (d->dev[i] != NULL)
			finish(d, i, rc);
	(void)report(d);	/* the last word */
}

/* Close device @i of the array, if it may be closed. */
static void
detach_begin(struct detach *d, unsigned i)
{
	struct core *core = &d->pager->core;
	struct swap_detach *result = &d->result[i];
	int rc = space_close_begin(&core->space, result->spec,
				   pager_count_swapped(core),
				   budget_free(&core->budget), &d->dev[i],
				   &result->error);

	d->device[i].skip = rc < 0;
	result->finished = rc < 0;
	if (rc < 0)
		return;
	events_add(&core->events, SWAP_EVENT_DEVICE_OFF_STARTED,
		   space_dev_path(d->dev[i]), 0, 0, "is being turned off");
	d->device[i].lo = space_dev_first(d->dev[i]);
	d->device[i].hi = space_dev_end(d->dev[i]);
	d->start_used[i] = space_dev_used(&core->space, d->dev[i]);
	d->nopen++;
}

static int
detach_all(struct detach *d)
{
	struct swap_pager *pager = d->pager;

	pthread_mutex_lock(&pager->admin);
	for (unsigned i = 0; i < d->n; i++)
		detach_begin(d, i);
	pager->ndetaching++;
	pthread_mutex_unlock(&pager->admin);
	if (d->nopen > 0)
		detach_run(d);
	pthread_mutex_lock(&pager->admin);
	pager->ndetaching--;
	pthread_cond_broadcast(&pager->detached);
	pthread_mutex_unlock(&pager->admin);
	for (unsigned i = 0; i < d->n; i++)
		if (d->result[i].error.code != 0)
			return d->result[i].error.code;
	return 0;
}

int
swap_devices_detach(struct swap_pager *pager, struct swap_detach detach[],
		    size_t n, swap_detach_fn *progress, void *arg)
{
	struct detach *d;
	int rc;

	for (size_t i = 0; i < n; i++)
		detach[i] = (struct swap_detach){ .spec = detach[i].spec };
	if (n == 0 || n > SPACE_DEVICES_MAX)
		return -EINVAL;
	d = calloc(1, sizeof(*d));
	if (d == NULL) {
		for (size_t i = 0; i < n; i++)
			detach_failed(detach[i].spec, -ENOMEM, 0,
				      &detach[i].error);
		return -ENOMEM;
	}
	d->pager = pager;
	d->result = detach;
	d->n = (unsigned)n;
	d->progress = progress;
	d->arg = arg;
	d->start_usec = now_usec();
	rc = detach_all(d);
	free(d);
	return rc;
}

/* The progress of the only one. */
struct single {
	swap_progress_fn *progress;
	void		*arg;
};

static int
report_single(void *arg, const struct swap_detach detach[], size_t n)
{
	const struct single *single = arg;

	(void)n;
	/* The last word is of one that is all done. */
	if (detach->error.code != 0)
		return 0;
	return single->progress(single->arg, &detach->progress);
}

int
swap_device_detach(struct swap_pager *pager, const char *spec,
		   swap_progress_fn *progress, void *arg,
		   struct swap_error *error)
{
	struct single single = { .progress = progress, .arg = arg };
	struct swap_detach detach = { .spec = spec };
	int rc = swap_devices_detach(pager, &detach, 1, progress != NULL ?
				     report_single : NULL, &single);

	if (rc < 0 && error != NULL)
		*error = detach.error;
	return rc;
}
