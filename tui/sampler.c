/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The sampler
 *
 * A swapd that is stopped, or a kernel whose page tables are long, must not
 * keep a key from being answered: so a thread does the asking.  What it is to
 * ask for is set by the screen (wishes, delay), what has come is put down
 * until the screen takes it; a newer one replaces what was not taken.
 *
 * What takes long is asked for less often.  The histogram of a device, and
 * whose pages lie where, may take no more than one part in SHARE of the time,
 * whatever the size of the device; cells are cheap, and come each time.
 *
 * Owners come in pieces.  The first look after a wish goes on until it has
 * them all, LOOKS_FIRST pieces between two deliveries; what was found before is
 * shown until the next look is complete.
 */
#include "sampler.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "threads.h"
#include "util.h"

#define SHARE		30u
#define LOOKS_FIRST	16u
#define LOOKS_AGAIN	4u
#define STOP_WAIT_SEC	1

/* What is known of a device between two rounds. */
struct known {
	char		 path[256];
	bool		 has_map;
	struct swap_device_map map;
	uint64_t	 map_after;	/* when to ask again */
	uint64_t	 first, n;	/* of the owners */
	struct swap_owners_place place;
	struct swap_owner *look;	/* being gathered */
	size_t		 nlook;
	struct swap_owner *owners;	/* complete */
	size_t		 nowners;
	bool		 complete;
	uint64_t	 cost;		/* of this look so far */
	uint64_t	 look_after;
};

struct sampler {
	struct source	*source;
	pthread_t	 thread;
	pthread_mutex_t	 lock;
	pthread_cond_t	 changed;
	int		 fd;		/* eventfd */
	uint64_t	 delay;		/* (lock) */
	bool		 paused, stop, now; /* (lock) */
	struct wishes	 wishes;	/* (lock) */
	bool		 wished;	/* (lock) they have changed */
	uint64_t	 asking;	/* (lock) since when; 0: not */
	struct delivery	 delivery;	/* (lock) */
	struct known	 known[MAPS_MAX]; /* the thread's */
	struct swap_owner piece[SWAP_OWNERS_MAX]; /* the thread's */
};

/* ------------------------------------------------------------------- maps */

static void
known_clear(struct known *known)
{
	swap_device_map_clear(&known->map);
	free(known->look);
	free(known->owners);
	memset(known, 0, sizeof(*known));
}

/* What is known of a device; a place is found for one that is new. */
static struct known *
known_of(struct sampler *s, const char *path, const struct wishes *wishes)
{
	struct known *spare = NULL;

	for (size_t i = 0; i < MAPS_MAX; i++) {
		bool used = false;

		if (strcmp(s->known[i].path, path) == 0)
			return &s->known[i];
		for (size_t k = 0; k < wishes->n; k++)
			used = used || strcmp(wishes->maps[k].range.path,
					      s->known[i].path) == 0;
		if (!used)
			spare = &s->known[i];
	}
	/* There are as many as there can be wishes. */
	known_clear(spare);
	format_cut(spare->path, sizeof(spare->path), "%s", path);
	return spare;
}

static int
by_block(const void *left, const void *right)
{
	const struct swap_owner *a = left, *b = right;

	return (a->block > b->block) - (a->block < b->block);
}

static struct swap_owner *
owners_copy(const struct swap_owner *owners, size_t n)
{
	struct swap_owner *copy = calloc(n + 1, sizeof(*copy));

	if (copy != NULL && n > 0)
		memcpy(copy, owners, n * sizeof(*copy));
	return copy;
}

/* The look is complete: it becomes what is known. */
static void
look_ends(struct known *known)
{
	if (known->nlook > 1)
		qsort(known->look, known->nlook, sizeof(*known->look),
		      by_block);
	free(known->owners);
	known->owners = known->look;
	known->nowners = known->nlook;
	known->complete = true;
	known->look = NULL;
	known->nlook = 0;
	known->look_after = now_usec() + known->cost * SHARE;
	known->cost = 0;
	memset(&known->place, 0, sizeof(known->place));
}

static void
look_begins(struct known *known, const struct map_wish *wish)
{
	if (known->first == wish->owners_first && known->n == wish->owners_n)
		return;
	free(known->look);
	free(known->owners);
	known->look = known->owners = NULL;
	known->nlook = known->nowners = 0;
	known->complete = false;
	known->first = wish->owners_first;
	known->n = wish->owners_n;
	known->cost = known->look_after = 0;
	memset(&known->place, 0, sizeof(known->place));
}

/* Another piece.  0: it came; negative: why not. */
static int
look_on(struct source *source, struct known *known, struct swap_owner *piece,
	struct swap_error *error)
{
	uint64_t start = now_usec();
	int64_t n;

	if (known->look == NULL)
		known->look = calloc(OWNERS_MAX, sizeof(*known->look));
	if (known->look == NULL)
		return -ENOMEM;
	n = source->ops->owners(source, known->path, known->first, known->n,
				&known->place, piece, error);
	if (n < 0)
		return (int)n;
	if ((uint64_t)n > OWNERS_MAX - known->nlook)
		n = (int64_t)(OWNERS_MAX - known->nlook);
	if (n > 0)
		memcpy(known->look + known->nlook, piece,
		       (size_t)n * sizeof(*piece));
	known->nlook += (size_t)n;
	known->cost += now_usec() - start;
	if (known->place.done || known->nlook == OWNERS_MAX)
		look_ends(known);
	return 0;
}

/* True: the first look is not complete. */
static bool
fetch_owners(struct source *source, struct known *known,
	     const struct map_wish *wish, struct swap_owner *piece,
	     struct map_part *part)
{
	unsigned looks;
	int r = 0;

	if (wish->owners_n == 0)
		return false;
	look_begins(known, wish);
	looks = known->complete ? LOOKS_AGAIN : LOOKS_FIRST;
	if (now_usec() < known->look_after)
		looks = 0;
	for (unsigned i = 0; i < looks && r == 0; i++) {
		r = look_on(source, known, piece, &part->error);
		if (known->look == NULL)
			break;
	}
	if (r < 0)
		return false;
	part->owners_done = known->complete;
	part->nowners = known->complete ? known->nowners : known->nlook;
	part->owners = owners_copy(known->complete ? known->owners :
				   known->look, part->nowners);
	part->has_owners = part->owners != NULL;
	return !known->complete;
}

static void
fetch_map(struct source *source, struct known *known, struct map_part *part)
{
	uint64_t start = now_usec();

	if (start >= known->map_after) {
		swap_device_map_clear(&known->map);
		known->has_map = source->ops->map(source, known->path,
						  &known->map,
						  &part->error) == 0;
		known->map_after = now_usec() + (now_usec() - start) * SHARE;
	}
	part->has_map = known->has_map;
	part->map = known->map;
	part->map.cells = NULL;
	part->map.ncells = 0;
}

static void
fetch_cells(struct source *source, struct map_part *part)
{
	const struct range *range = &part->wish.range;

	if (range->ncells == 0)
		return;
	part->cells = calloc(range->ncells, sizeof(*part->cells));
	if (part->cells == NULL ||
	    source->ops->cells(source, range, part->cells,
			       &part->error) == 0)
		return;
	free(part->cells);
	part->cells = NULL;
}

/* True: there is more to come at once. */
static bool
fetch(struct source *source, struct known *known, const struct map_wish *wish,
      struct swap_owner *piece, struct map_part *part)
{
	memset(part, 0, sizeof(*part));
	part->wish = *wish;
	fetch_map(source, known, part);
	if (!part->has_map)
		return false;
	fetch_cells(source, part);
	return fetch_owners(source, known, wish, piece, part);
}

void
maps_fetch(struct source *source, const struct map_wish *wish,
	   struct map_part *ret)
{
	struct swap_owner *piece = calloc(SWAP_OWNERS_MAX, sizeof(*piece));
	struct known known = { .has_map = false };

	memset(ret, 0, sizeof(*ret));
	format_cut(known.path, sizeof(known.path), "%s", wish->range.path);
	if (piece != NULL)
		(void)fetch(source, &known, wish, piece, ret);
	known_clear(&known);
	free(piece);
}

/* ----------------------------------------------------------------- thread */

static void
delivery_clear(struct delivery *delivery)
{
	sample_clear(&delivery->sample);
	for (size_t i = 0; i < MAPS_MAX; i++)
		map_part_clear(&delivery->maps[i]);
	memset(delivery, 0, sizeof(*delivery));
}

static void
wake(struct sampler *s)
{
	const uint64_t one = 1;

	/* It cannot fail but for being readable already. */
	if (write(s->fd, &one, sizeof(one)) < 0)
		return;
}

/* Lock held.  Wait for something to do, at most until @due. */
static void
wait_for(struct sampler *s, uint64_t due)
{
	while (!s->stop && !s->now && !s->wished) {
		if (!s->paused && now_usec() >= due)
			return;
		if (s->paused) {
			pthread_cond_wait(&s->changed, &s->lock);
			continue;
		}
		cond_wait_until(&s->changed, &s->lock, due);
		/* Another delay counts from the last sample too. */
		if (due > now_usec() + s->delay)
			due = now_usec() + s->delay;
	}
}

static void
put_sample(struct sampler *s, struct sample *sample, int r,
	   const struct swap_error *error)
{
	pthread_mutex_lock(&s->lock);
	s->asking = 0;
	s->delivery.asked = true;
	s->delivery.trouble = *error;
	s->delivery.trouble.code = r;
	if (r == 0) {
		sample_clear(&s->delivery.sample);
		s->delivery.sample = *sample;
		s->delivery.has_sample = true;
	}
	pthread_mutex_unlock(&s->lock);
	wake(s);
}

static void
put_maps(struct sampler *s, struct map_part parts[], size_t n)
{
	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < MAPS_MAX; i++) {
		map_part_clear(&s->delivery.maps[i]);
		if (i < n)
			s->delivery.maps[i] = parts[i];
	}
	s->delivery.nmaps = n;
	s->delivery.has_maps = true;
	pthread_mutex_unlock(&s->lock);
	wake(s);
}

/* True: nobody answers.  The end of a recording is not that. */
static bool
ask_sample(struct sampler *s, bool objects)
{
	struct swap_error error = { 0 };
	struct sample sample = { .frame = 0 };
	int r;

	pthread_mutex_lock(&s->lock);
	s->asking = now_usec();
	pthread_mutex_unlock(&s->lock);
	r = s->source->ops->sample(s->source, objects, &sample, &error);
	put_sample(s, &sample, r, &error);
	return r < 0 && r != -ENODATA;
}

/* True: more is to come of them at once. */
static bool
ask_maps(struct sampler *s, const struct wishes *wishes)
{
	struct map_part parts[MAPS_MAX];
	bool more = false;

	for (size_t i = 0; i < wishes->n; i++) {
		const struct map_wish *wish = &wishes->maps[i];

		if (fetch(s->source, known_of(s, wish->range.path, wishes),
			  wish, s->piece, &parts[i]))
			more = true;
	}
	put_maps(s, parts, wishes->n);
	return more;
}

static void *
sampler_main(void *arg)
{
	struct sampler *s = arg;
	uint64_t due = now_usec() + s->delay;	/* one has been taken */
	bool more = false, lost = false;

	pthread_mutex_lock(&s->lock);
	while (!s->stop) {
		struct wishes wishes;
		bool sample;

		if (!more)
			wait_for(s, due);
		if (s->stop)
			break;
		sample = s->now || (!s->paused && now_usec() >= due);
		s->now = s->wished = false;
		wishes = s->wishes;
		if (sample)
			due = now_usec() + s->delay;
		pthread_mutex_unlock(&s->lock);
		if (sample)
			lost = ask_sample(s, wishes.objects);
		more = !lost && wishes.n > 0 && ask_maps(s, &wishes);
		pthread_mutex_lock(&s->lock);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

static void
sampler_free(struct sampler *s)
{
	for (size_t i = 0; i < MAPS_MAX; i++)
		known_clear(&s->known[i]);
	delivery_clear(&s->delivery);
	pthread_cond_destroy(&s->changed);
	pthread_mutex_destroy(&s->lock);
	if (s->fd >= 0)
		close(s->fd);
	free(s);
}

int
sampler_start(struct source *source, uint64_t delay_usec, struct sampler **ret)
{
	struct sampler *s = calloc(1, sizeof(*s));
	int r;

	if (s == NULL)
		return -ENOMEM;
	s->source = source;
	s->delay = delay_usec;
	s->wishes.objects = true;
	s->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pthread_mutex_init(&s->lock, NULL);
	cond_init(&s->changed);
	r = s->fd < 0 ? -errno :
	    -pthread_create(&s->thread, NULL, sampler_main, s);
	if (r < 0) {
		sampler_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

bool
sampler_stop(struct sampler *s)
{
	struct timespec until;

	pthread_mutex_lock(&s->lock);
	s->stop = true;
	pthread_cond_signal(&s->changed);
	pthread_mutex_unlock(&s->lock);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += STOP_WAIT_SEC;
	if (pthread_timedjoin_np(s->thread, NULL, &until) != 0)
		return false;
	sampler_free(s);
	return true;
}

/* ------------------------------------------------------------------ screen */

int
sampler_fd(const struct sampler *s)
{
	return s->fd;
}

bool
sampler_take(struct sampler *s, struct delivery *ret)
{
	uint64_t count;
	bool any;

	/* Nothing to read is nothing new. */
	if (read(s->fd, &count, sizeof(count)) < 0)
		count = 0;
	pthread_mutex_lock(&s->lock);
	any = s->delivery.asked || s->delivery.has_maps;
	if (any) {
		*ret = s->delivery;
		memset(&s->delivery, 0, sizeof(s->delivery));
	}
	pthread_mutex_unlock(&s->lock);
	return any;
}

uint64_t
sampler_waiting_usec(struct sampler *s)
{
	uint64_t since;

	pthread_mutex_lock(&s->lock);
	since = s->asking;
	pthread_mutex_unlock(&s->lock);
	return since == 0 ? 0 : now_usec() - since;
}

void
sampler_set_delay(struct sampler *s, uint64_t usec)
{
	pthread_mutex_lock(&s->lock);
	s->delay = usec;
	pthread_cond_signal(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

void
sampler_pause(struct sampler *s, bool paused)
{
	pthread_mutex_lock(&s->lock);
	s->paused = paused;
	pthread_cond_signal(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

void
sampler_now(struct sampler *s)
{
	pthread_mutex_lock(&s->lock);
	s->now = true;
	pthread_cond_signal(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

void
sampler_wish(struct sampler *s, const struct wishes *wishes)
{
	pthread_mutex_lock(&s->lock);
	if (memcmp(&s->wishes, wishes, sizeof(*wishes)) != 0) {
		/* Maps alone would not bring them. */
		s->now = s->now || (wishes->objects && !s->wishes.objects);
		s->wishes = *wishes;
		s->wished = true;
		pthread_cond_signal(&s->changed);
	}
	pthread_mutex_unlock(&s->lock);
}
