/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fake-pager.h - a pager without paging, for tests of what stands above it
 *
 * Objects are plain memfds, and a region that joins becomes ordinary memory at
 * once.  It counts what is held, and can be told to fail.
 */
#ifndef TEST_FAKE_PAGER_H
#define TEST_FAKE_PAGER_H

#include <pthread.h>
#include <stdbool.h>

#include "events.h"
#include "pager.h"

struct swap_pager {
	pthread_mutex_t	 lock;
	struct swap_object *objects;
	unsigned	 nobjects, nregions, nclients;
	unsigned	 nattached, nreleased, nwired;
	_Atomic unsigned extra_objects;	/* that the snapshot pretends */
	_Atomic bool	 handover_fails;
	_Atomic bool	 handed_over;
	_Atomic bool	 detach_ends;	/* else only when it is stopped */
	unsigned	 ndetaching, nstopped;
	unsigned	 nallowed, nflushed, nreadonly, ntuned;
	_Atomic unsigned nparts;	/* calls of get, flush and copy */
	_Atomic bool	 slow;		/* each of them takes its time */
	unsigned	 nstill;	/* objects that are kept still */
	uint64_t	 reserved, copied; /* bytes */
	uint64_t	 reserve_max;	/* bytes */
	/* Pages of every object, by number; UINT64_MAX: none. */
	uint64_t	 swapped_from;	/* reading them costs I/O */
	uint64_t	 lost_page;	/* cannot be read */
	uint64_t	 no_ram_from;	/* no RAM becomes free for them */
	unsigned	 last_flags;	/* of flush and copy */
	uint64_t	 ram_limit, swap_limit; /* the last ones, ... */
	uint64_t	 limit_client;	/* ... and whose: 0: an object's */
	unsigned	 nended;	/* clients that were limited */
	char		 tuned[24];	/* the value of the one tunable */
	struct pager_notify last_notify;
	uint64_t	 last_address;
	struct events	 events;
};

void fake_init(struct swap_pager *pager);
void fake_fini(struct swap_pager *pager);

/* Wait up to two seconds for a count to have a value. */
bool fake_becomes(struct swap_pager *pager, const unsigned *count,
		  unsigned value);

#endif
