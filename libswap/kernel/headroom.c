/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * May more memory be filled just now?
 *
 * Bringing pages back takes memory at the speed of a disk.  Two things say
 * that it must wait:
 *
 *   room	what is available, less a reserve: half of that at most is
 *		given out until the next look, so that nobody else who needs
 *		memory meanwhile finds none
 *   pressure	tasks waited for memory for more than a fifth of the time, and
 *		reclaim was looking for pages to free
 *
 * Pressure alone is no sign: a task that waits for its own page from swap is
 * counted there too, and bringing pages back is what shortens that.  With
 * reclaim at work, however, what is brought in pushes other things out.
 *
 * A hold that lasts is the end: the answer is then HEADROOM_LOST.
 */
#include "kernel/headroom.h"

#include "util.h"

#define RESERVE_LEAST	(UINT64_C(64) << 20)
#define RESERVE_MOST	(UINT64_C(1) << 30)
#define RESERVE_SHARE	50u		/* a fiftieth of memory */
#define STALL_SHARE	5u		/* a fifth of the time */
#define PATIENCE_USEC	UINT64_C(10000000)

uint64_t
headroom_reserve(uint64_t total)
{
	return min_u64(max_u64(total / RESERVE_SHARE, RESERVE_LEAST),
		       RESERVE_MOST);
}

int
headroom_init(struct headroom *headroom, const struct host *host)
{
	*headroom = (struct headroom){ .host = host };
	headroom->last_usec = now_usec();
	int r = kernel_memory(host, &headroom->last);

	if (r == 0)
		headroom->reserve = headroom_reserve(headroom->last.total);
	return r;
}

static bool
is_pressed(const struct headroom *headroom, const struct kernel_memory *now,
	   uint64_t usec)
{
	const struct kernel_memory *last = &headroom->last;
	uint64_t stalled = now->some.total_usec - last->some.total_usec;

	return now->has_pressure && last->has_pressure &&
	       stalled > usec / STALL_SHARE &&
	       now->scanned_pages > last->scanned_pages;
}

static enum headroom_state
hold(struct headroom *headroom, uint64_t usec)
{
	if (headroom->held_since == 0)
		headroom->held_since = usec;
	return usec - headroom->held_since > PATIENCE_USEC ? HEADROOM_LOST :
							     HEADROOM_HOLD;
}

enum headroom_state
headroom_look(struct headroom *headroom, uint64_t *ret_bytes)
{
	struct kernel_memory now;
	uint64_t usec = now_usec();
	bool pressed;

	*ret_bytes = 0;
	if (kernel_memory(headroom->host, &now) < 0)
		return hold(headroom, usec);
	pressed = is_pressed(headroom, &now, usec - headroom->last_usec);
	headroom->last = now;
	headroom->last_usec = usec;
	if (pressed || now.available <= headroom->reserve)
		return hold(headroom, usec);
	headroom->held_since = 0;
	*ret_bytes = (now.available - headroom->reserve) / 2;
	return HEADROOM_GO;
}
