/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Gathering the figures of pagers
 *
 * Each pager has a thread of its own that asks it, so that one that hangs
 * keeps nobody but its thread.  Another thread leads: in a round it tells all
 * askers to ask, waits until they have answered or the time is over, puts the
 * answers together as a picture, and calls done().
 *
 *  G1	At most one question to a pager is under way, however many people want
 *	a picture: who comes while a round runs waits for that one or the next.
 *  G2	A picture is never changed once it is published.  It owns its
 *	snapshots, and the last who has a reference frees it.
 *  G3	An asker that is late is away in the picture.  The rounds that follow
 *	do not wait for it at all, until its answer, which is thrown away, has
 *	come.  So a pager that hangs delays one round, once.
 *  G4	What an asker is told and answers is under the lock; a pager is asked
 *	without it.
 *
 * A pager is connected to anew in every round.  That costs little beside the
 * snapshot, and a swapd that was started again needs no special case.
 */
#include "exporter-gather.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kernel/host.h"
#include "threads.h"
#include "util.h"

#define KERNEL		"kernel"

enum asker_state {
	ASKER_IDLE,
	ASKER_ASKED,		/* to begin, or under way */
	ASKER_ANSWERED,		/* snapshot or error is there */
};

/* All under gather.lock, but for the constants. */
struct asker {
	struct gather	*gather;
	const char	*pager;
	const char	*label;
	enum asker_state state;
	bool		 late;		/* its answer is too late already */
	bool		 away;		/* in the last picture */
	struct export_snapshot *snapshot;
	struct swap_error error;
};

struct gather {
	struct gather_config config;
	pthread_mutex_t	 lock;
	pthread_cond_t	 ask;		/* to the askers */
	pthread_cond_t	 answered;	/* to the leader; CLOCK_MONOTONIC */
	uint64_t	 wanted_usec;	/* a picture begun then or later */
	struct picture	*picture;	/* the last one, or NULL */
	bool		 ending;
	unsigned	 nrunning;	/* threads of askers */
	pthread_t	 leader;
	struct asker	 asker[];
};

/* ---------------------------------------------------------------- pictures */

static void
snapshot_free(struct export_snapshot *snapshot)
{
	if (snapshot == NULL)
		return;
	export_clear(snapshot);
	free(snapshot);
}

void
picture_unref(struct picture *picture)
{
	if (picture == NULL || --picture->refs > 0)
		return;
	for (size_t i = 0; i < picture->n; i++)
		snapshot_free(picture->pager[i].snapshot);
	free(picture);
}

/* ------------------------------------------------------------------ asking */

static int
ask_kernel(unsigned what, struct export_snapshot *snapshot,
	   struct swap_error *error)
{
	struct host host;
	int r = host_open(NULL, NULL, &host, error);

	if (r < 0)
		return r;
	/* A map would cost a look through the page tables of everybody. */
	r = export_take_kernel(&host, what & ~EXPORT_MAPS, snapshot, error);
	host_close(&host);
	return r;
}

static int
ask_swapd(const char *pager, unsigned what, struct export_snapshot *snapshot,
	  struct swap_error *error)
{
	struct swap_client *client;
	int r = swap_client_connect(pager, &client, error);

	if (r < 0)
		return r;
	r = export_take(client, what, snapshot, error);
	swap_client_close(client);
	return r;
}

/* A new snapshot, or NULL and a sentence. */
static struct export_snapshot *
ask(const char *pager, bool objects, struct swap_error *error)
{
	unsigned what = EXPORT_MAPS | EXPORT_TUNABLES |
			(objects ? EXPORT_OBJECTS : 0);
	struct export_snapshot *snapshot = calloc(1, sizeof(*snapshot));
	int r;

	memset(error, 0, sizeof(*error));
	if (snapshot == NULL) {
		error_set(error, -ENOMEM, "out of memory");
		return NULL;
	}
	r = strcmp(pager, KERNEL) == 0 ?
	    ask_kernel(what, snapshot, error) :
	    ask_swapd(pager, what, snapshot, error);
	if (r == 0)
		return snapshot;
	if (error->message[0] == '\0')
		error_set(error, r, "%s: %s", pager, strerror(-r));
	free(snapshot);
	return NULL;
}

/* Hand the answer in, with the lock held; a late one is worth nothing. */
static void
asker_answer(struct asker *asker, struct export_snapshot *snapshot,
	     const struct swap_error *error)
{
	if (asker->late) {
		snapshot_free(snapshot);
		asker->late = false;
		asker->state = ASKER_IDLE;
		return;
	}
	asker->snapshot = snapshot;
	asker->error = *error;
	asker->state = ASKER_ANSWERED;
	pthread_cond_signal(&asker->gather->answered);
}

static void *
asker_main(void *arg)
{
	struct asker *asker = arg;
	struct gather *gather = asker->gather;
	struct export_snapshot *snapshot;
	struct swap_error error;

	pthread_mutex_lock(&gather->lock);
	for (;;) {
		while (asker->state != ASKER_ASKED && !gather->ending)
			pthread_cond_wait(&gather->ask, &gather->lock);
		if (gather->ending)
			break;
		pthread_mutex_unlock(&gather->lock);
		snapshot = ask(asker->pager, gather->config.objects, &error);
		pthread_mutex_lock(&gather->lock);
		asker_answer(asker, snapshot, &error);
	}
	gather->nrunning--;
	pthread_cond_signal(&gather->answered);
	pthread_mutex_unlock(&gather->lock);
	return NULL;
}

/* ----------------------------------------------------------------- leading */

static void
round_begin(struct gather *gather)
{
	for (size_t i = 0; i < gather->config.npagers; i++)
		if (gather->asker[i].state == ASKER_IDLE)
			gather->asker[i].state = ASKER_ASKED;
	pthread_cond_broadcast(&gather->ask);
}

static bool
round_complete(const struct gather *gather)
{
	for (size_t i = 0; i < gather->config.npagers; i++)
		if (gather->asker[i].state == ASKER_ASKED &&
		    !gather->asker[i].late)
			return false;
	return true;
}

static void
round_wait(struct gather *gather)
{
	uint64_t until = now_usec() + gather->config.timeout_usec;
	int r = 0;

	while (r == 0 && !gather->ending && !round_complete(gather))
		r = cond_wait_until(&gather->answered, &gather->lock, until);
}

/* Move what a pager has answered into the picture. */
static void
round_take(struct asker *asker, struct picture_pager *entry)
{
	entry->label = asker->label;
	if (asker->state != ASKER_ANSWERED) {
		asker->late = asker->state == ASKER_ASKED;
		format_cut(entry->why, sizeof(entry->why), "the pager does "
			   "not answer in time; look at its process");
		return;
	}
	entry->snapshot = asker->snapshot;
	if (entry->snapshot == NULL)
		format_cut(entry->why, sizeof(entry->why), "%s",
			   asker->error.message);
	asker->snapshot = NULL;
	asker->state = ASKER_IDLE;
}

/* Without memory for a new picture the old one stays: it is too old soon. */
static struct picture *
round_end(struct gather *gather, uint64_t begun)
{
	size_t n = gather->config.npagers;
	struct picture *picture = calloc(1, sizeof(*picture) +
					    n * sizeof(picture->pager[0]));

	if (picture == NULL)
		return NULL;
	picture->refs = 1;
	picture->begun_usec = begun;
	picture->n = n;
	for (size_t i = 0; i < n; i++)
		round_take(&gather->asker[i], &picture->pager[i]);
	return picture;
}

/* Tell of pagers that have come or gone since the last picture. */
static void
tell_changes(struct gather *gather, const struct picture *picture)
{
	for (size_t i = 0; i < picture->n; i++) {
		const struct picture_pager *entry = &picture->pager[i];
		struct asker *asker = &gather->asker[i];
		bool away = entry->snapshot == NULL;

		if (away != asker->away)
			gather->config.change(gather->config.arg, entry->label,
					      away ? entry->why : NULL);
		asker->away = away;
	}
}

static void
lead_round(struct gather *gather)
{
	uint64_t begun = now_usec();
	struct picture *picture, *old;

	round_begin(gather);
	round_wait(gather);
	if (gather->ending)
		return;
	picture = round_end(gather, begun);
	if (picture == NULL) {
		/* Whoever waits is told that there is none. */
		gather->wanted_usec = 0;
	} else {
		old = gather->picture;
		gather->picture = picture;
		picture->refs++;
		picture_unref(old);
	}
	pthread_mutex_unlock(&gather->lock);
	if (picture != NULL)
		tell_changes(gather, picture);
	picture_unref(picture);
	gather->config.done(gather->config.arg);
	pthread_mutex_lock(&gather->lock);
}

static bool
satisfies(const struct picture *picture, uint64_t wanted_usec)
{
	return picture != NULL && picture->begun_usec >= wanted_usec;
}

static void *
leader_main(void *arg)
{
	struct gather *gather = arg;

	pthread_mutex_lock(&gather->lock);
	while (!gather->ending) {
		if (gather->wanted_usec == 0 ||
		    satisfies(gather->picture, gather->wanted_usec))
			pthread_cond_wait(&gather->answered, &gather->lock);
		else
			lead_round(gather);
	}
	pthread_mutex_unlock(&gather->lock);
	return NULL;
}

struct picture *
gather_picture(struct gather *gather, uint64_t asked_usec)
{
	uint64_t cache = gather->config.cache_usec;
	uint64_t wanted = asked_usec > cache ? asked_usec - cache : 1;
	struct picture *picture = NULL;

	pthread_mutex_lock(&gather->lock);
	if (satisfies(gather->picture, wanted)) {
		picture = gather->picture;
		picture->refs++;
	} else {
		gather->wanted_usec = max_u64(gather->wanted_usec, wanted);
		pthread_cond_signal(&gather->answered);
	}
	pthread_mutex_unlock(&gather->lock);
	return picture;
}

/* ------------------------------------------------------- beginning and end */

static int
gather_start(struct gather *gather)
{
	pthread_t thread;
	int r;

	r = pthread_create(&gather->leader, NULL, leader_main, gather);
	if (r != 0)
		return -r;
	for (size_t i = 0; i < gather->config.npagers; i++) {
		r = pthread_create(&thread, NULL, asker_main,
				   &gather->asker[i]);
		if (r != 0)
			return -r;
		pthread_detach(thread);
		pthread_mutex_lock(&gather->lock);
		gather->nrunning++;
		pthread_mutex_unlock(&gather->lock);
	}
	return 0;
}

static void
gather_init(struct gather *gather, const struct gather_config *config)
{
	gather->config = *config;
	pthread_mutex_init(&gather->lock, NULL);
	pthread_cond_init(&gather->ask, NULL);
	cond_init(&gather->answered);
	for (size_t i = 0; i < config->npagers; i++) {
		gather->asker[i].gather = gather;
		gather->asker[i].pager = config->pagers[i];
		gather->asker[i].label = config->labels[i];
	}
}

int
gather_new(const struct gather_config *config, struct gather **ret_gather,
	   struct swap_error *error)
{
	struct gather *gather;
	int r;

	gather = calloc(1, sizeof(*gather) +
			   config->npagers * sizeof(gather->asker[0]));
	if (gather == NULL)
		return error_set(error, -ENOMEM, "out of memory");
	gather_init(gather, config);
	r = gather_start(gather);
	if (r < 0)
		/* The process is about to end. */
		return error_set(error, r, "cannot start a thread for each "
				 "pager: %s", strerror(-r));
	*ret_gather = gather;
	return 0;
}

static bool
is_under_way(const struct gather *gather)
{
	for (size_t i = 0; i < gather->config.npagers; i++)
		if (gather->asker[i].state == ASKER_ASKED)
			return true;
	return false;
}

void
gather_free(struct gather *gather)
{
	bool hangs;

	pthread_mutex_lock(&gather->lock);
	gather->ending = true;
	pthread_cond_broadcast(&gather->ask);
	pthread_cond_broadcast(&gather->answered);
	pthread_mutex_unlock(&gather->lock);
	pthread_join(gather->leader, NULL);

	pthread_mutex_lock(&gather->lock);
	while (gather->nrunning > 0 && !is_under_way(gather))
		pthread_cond_wait(&gather->answered, &gather->lock);
	hangs = gather->nrunning > 0;
	pthread_mutex_unlock(&gather->lock);
	if (hangs)
		return;
	for (size_t i = 0; i < gather->config.npagers; i++)
		snapshot_free(gather->asker[i].snapshot);
	picture_unref(gather->picture);
	pthread_cond_destroy(&gather->answered);
	pthread_cond_destroy(&gather->ask);
	pthread_mutex_destroy(&gather->lock);
	free(gather);
}
