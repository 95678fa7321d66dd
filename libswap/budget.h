/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * budget.h - the RAM budget: how many pages may be resident (floor 1)
 *
 * Every resident page, and every page that is being brought in, is counted
 * before it gets memory and given back after it lost it.  When fewer than
 * `low` pages are free the page-out thread is called; it works until `high`
 * are.  All of it may change while it is used.
 */
#ifndef SWAP_BUDGET_H
#define SWAP_BUDGET_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "compiler.h"

struct budget {
	_Atomic uint64_t limit;		/* pages */
	_Atomic uint64_t used;		/* pages; may pass limit, see _force */
	_Atomic uint64_t wired;		/* pages of used that must stay */
	_Atomic uint64_t low, high;	/* marks, in free pages */
	pthread_mutex_t	lock;
	unsigned	cluster;	/* (lock) pages, for the marks */
	pthread_cond_t	needed;		/* page-out waits here */
	pthread_cond_t	freed;		/* who needs many pages waits here */
	uint64_t	ngiven;		/* (lock) times that somebody gave while
					   others waited */
	bool		kicked;		/* (lock) pages are needed */
	bool		urgent;		/* (lock) something has changed */
	_Atomic bool	waiting;	/* page-out is in budget_wait_needed */
	_Atomic unsigned takers;	/* threads in budget_wait */
	_Atomic unsigned starving;	/* regions with faults that wait for
					   free pages; page-out wakes them */
};

void budget_init(struct budget *b, uint64_t limit, unsigned cluster);
void budget_fini(struct budget *b);

/*
 * Change the limit: page-out is called to work down to a lower one, and who
 * waits for pages looks again at a higher one.  -EBUSY, with nothing changed:
 * the pages that are wired need more than three quarters of it.
 */
int budget_set_limit(struct budget *b, uint64_t limit) swap_must_check;
/* The least limit that the pages which are wired now allow. */
uint64_t budget_least(const struct budget *b);
/* The marks leave room for two clusters, as far as the limit does. */
void budget_set_cluster(struct budget *b, unsigned cluster);

uint64_t budget_free(const struct budget *b);

/* Take @n pages if they are free; calls page-out when few are left. */
bool budget_take(struct budget *b, uint64_t n);
/* Take one, up to @extra pages beyond the limit. */
bool budget_take_extra(struct budget *b, uint64_t extra);
/* Take them whatever the limit. */
void budget_force(struct budget *b, uint64_t n);
void budget_give(struct budget *b, uint64_t n);
/* As budget_take(), waiting up to @usec for pages to become free. */
bool budget_take_wait(struct budget *b, uint64_t n, uint64_t usec);
/*
 * Call page-out, and @try until that is true, whenever somebody has given
 * pages, up to @usec.  False: it never was.
 */
bool budget_wait(struct budget *b, bool (*try)(void *arg), void *arg,
		 uint64_t usec);

/* Count @n pages as wired: false when that left page-out too little room. */
bool budget_wire(struct budget *b, uint64_t n);
void budget_unwire(struct budget *b, uint64_t n);

/* Call the page-out thread: there is space again, or it shall end. */
void budget_kick(struct budget *b);
/* Call it because a page is needed, which is no news to one that is tired. */
void budget_need(struct budget *b);
/*
 * Page-out: wait until pages are needed or somebody kicks, at most @usec.
 * With @tired (the last round found nothing to do) only a kick counts.
 */
void budget_wait_needed(struct budget *b, uint64_t usec, bool tired);
bool budget_is_low(const struct budget *b);
bool budget_is_high(const struct budget *b);

#endif
