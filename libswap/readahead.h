/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * readahead.h - which pages a region's next faults will ask for (floor 4)
 *
 * Pure decisions, made from nothing but the pages at which faults came: no
 * I/O, no lock of its own.  One struct readahead belongs to one region and is
 * used under the lock of the region's object.
 */
#ifndef SWAP_READAHEAD_H
#define SWAP_READAHEAD_H

#include <stdint.h>

#define RA_STREAMS	8u	/* followed at once */
#define RA_HISTORY	8u	/* faults that were part of none */
#define RA_WINDOWS	4u	/* most windows read ahead of a stream */
#define RA_AROUND_MAX	8u	/* most pages around a fault at random */

/*
 * Faults that go on by equal steps.  A fault brings a window of pages in, so
 * the next one is expected behind it.
 */
struct ra_stream {
	int64_t		page;		/* of its last fault */
	int64_t		next;		/* where the next one should come */
	int64_t		step;		/* pages; 0: not in use */
	uint32_t	window;		/* pages from `page' to `next' */
	uint32_t	size;		/* that the next window should have */
	uint32_t	ahead;		/* pages asked for behind `next' */
	uint32_t	hits;		/* faults that came as expected */
	uint64_t	turn;		/* when it was last of use */
};

/* All zeros: nothing is known. */
struct readahead {
	struct ra_stream stream[RA_STREAMS];
	int64_t		history[RA_HISTORY]; /* page + 1; 0: none */
	uint32_t	nhistory;	/* ever; the next place */
	uint64_t	turn;
	uint32_t	around;		/* pages to read around; 0: one */
	uint32_t	wait;		/* faults until the next probe */
	uint32_t	interval;	/* between two probes; 0: the shortest */
	uint32_t	tried, found;	/* pages around, and those touched */
};

struct ra_plan {
	int64_t		step;		/* 0: at random */
	uint32_t	now;		/* pages by `step', from the faulting
					   one on, to bring in with it */
	uint32_t	ahead;		/* pages to read behind these before
					   they are asked for; 0: none */
	uint32_t	around;		/* at random: pages of the group around
					   the faulting one to read; 0: one */
	uint32_t	used;		/* of an earlier plan: pages beyond the
					   faulting one that were used ... */
	uint32_t	wasted;		/* ... and that nobody knows to be */
};

/*
 * A fault at @page: what should be brought in, what read ahead?  @most pages
 * in a window, and up to RA_WINDOWS times that ahead: 0 and 1 are no read-ahead
 * at all.  O(1).
 */
void ra_fault(struct readahead *ra, uint64_t page, uint32_t most,
	      struct ra_plan *ret_plan);

/* @n pages were read around a fault at random; one of these was asked for. */
void ra_around_read(struct readahead *ra, uint32_t n);
void ra_around_used(struct readahead *ra);

#endif
