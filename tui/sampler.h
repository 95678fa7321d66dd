/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sampler.h - a thread that asks the source, so that the screen never waits
 * for it (floor 8)
 */
#ifndef SWAP_SAMPLER_H
#define SWAP_SAMPLER_H

#include "picture.h"

struct sampler;

/* What has come since the last sampler_take(). */
struct delivery {
	bool		 has_sample;
	struct sample	 sample;
	bool		 has_maps;
	struct map_part	 maps[MAPS_MAX];
	size_t		 nmaps;
	bool		 asked;		/* trouble is about the last sample */
	struct swap_error trouble;	/* code 0: it came */
};

/*
 * Its first sample comes after the delay.  The source is used by nobody else
 * until sampler_stop().
 */
int sampler_start(struct source *source, uint64_t delay_usec,
		  struct sampler **ret) swap_must_check;
/*
 * False: a call that does not return has the source, which must be left alone
 * until the program ends.
 */
bool sampler_stop(struct sampler *sampler) swap_must_check;

/* Readable when there is something to take. */
int sampler_fd(const struct sampler *sampler);
/* False: nothing new.  What it has is the caller's to free. */
bool sampler_take(struct sampler *sampler, struct delivery *ret);

void sampler_set_delay(struct sampler *sampler, uint64_t usec);
/* Paused, only maps come, and only where the wishes change. */
void sampler_pause(struct sampler *sampler, bool paused);
/* A sample now, paused or not. */
void sampler_now(struct sampler *sampler);
/* Other wishes than before are met at once. */
void sampler_wish(struct sampler *sampler, const struct wishes *wishes);

/* How long the sample that is being waited for has been; 0: none is. */
uint64_t sampler_waiting_usec(struct sampler *sampler);

/* For batch mode, without a thread: what @wish says. */
void maps_fetch(struct source *source, const struct map_wish *wish,
		struct map_part *ret);

#endif
