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

#include "pager.h"

struct swap_pager {
	pthread_mutex_t	 lock;
	struct swap_object *objects;
	unsigned	 nobjects, nregions, nclients;
	unsigned	 nattached, ncut, nreleased, nwired;
	_Atomic unsigned extra_objects;	/* that the snapshot pretends */
	_Atomic bool	 handover_fails;
	_Atomic bool	 handed_over;
	_Atomic bool	 detach_ends;	/* else only when it is stopped */
	unsigned	 ndetaching, nstopped;
	struct pager_notify last_notify;
	uint64_t	 last_address;
};

void fake_init(struct swap_pager *pager);
void fake_fini(struct swap_pager *pager);

/* Wait up to two seconds for a count to have a value. */
bool fake_becomes(struct swap_pager *pager, const unsigned *count,
		  unsigned value);

#endif
