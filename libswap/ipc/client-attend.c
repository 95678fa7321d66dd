/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The helper thread of a client.
 *
 * It waits on a connection of its own for what only this process can do about
 * its mappings (see Attend in org.swapkit.Pager.varlink).  It touches no memory
 * of regions, not even by chance through malloc(3) of a program whose heap is a
 * region: its stack is its own, its buffer was allocated before, and it scans
 * instead of parsing.  Signals are blocked, so that no handler of the program
 * runs on its small stack.
 *
 * The address in a "poison" message is looked up among the regions, under the
 * lock with which a region is taken off the list before it is unmapped: what
 * the program has mapped there since is never touched.
 */
#include "client-impl.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../util.h"
#include "scan.h"
#include "varlink.h"

#define HELPER_STACK_BYTES	((size_t)128 << 10)
/* An answer of a swapd that has ended may be on its way for so long. */
#define LOST_WAIT_SEC		2

static const char attend_request[] =
	"{\"method\":\"" VARLINK_PAGER ".Attend\",\"more\":true}";

static void
attend_set(struct swap_client *client, enum attend_state state)
{
	pthread_mutex_lock(&client->list);
	client->attend = state;
	pthread_cond_broadcast(&client->changed);
	pthread_mutex_unlock(&client->list);
}

static void
attend_poison(struct swap_client *client, const char *message)
{
	const struct swap_client_region *region;
	int64_t address, length;

	if (scan_int(message, "address", &address) < 0 ||
	    scan_int(message, "length_bytes", &length) < 0 || address <= 0 ||
	    length <= 0)
		return;
	pthread_mutex_lock(&client->list);
	for (region = client->regions; region != NULL; region = region->next)
		if (mapping_poison(&region->mapping, (uint64_t)address,
				   (uint64_t)length) == 0)
			break;
	pthread_mutex_unlock(&client->list);
}

/* Take the next message.  False: it was the last, or none came in time. */
static bool
attend_next(struct swap_client *client, int timeout_msec)
{
	const char *message;
	char kind[16];
	int r;

	r = frame_read(&client->attend_frame, timeout_msec);
	if (r == -ETIMEDOUT)
		return false;
	message = client->attend_frame.buf;
	if (r < 0 || scan_text(message, "kind", kind, sizeof(kind)) < 0) {
		attend_set(client, ATTEND_GONE);
		return false;
	}
	if (strcmp(kind, "poison") == 0)
		attend_poison(client, message);
	if (strcmp(kind, "handover") != 0)
		return true;
	attend_set(client, ATTEND_HANDED_OVER);
	return false;
}

static void *
helper_thread(void *arg)
{
	while (attend_next(arg, -1))
		;
	return NULL;
}

/* A small stack, unless the program's thread-local data alone fills it. */
static int
helper_create(struct swap_client *client)
{
	pthread_attr_t attr;
	int r;

	r = pthread_attr_init(&attr);
	if (r != 0)
		return -r;
	pthread_attr_setstacksize(&attr, HELPER_STACK_BYTES);
	r = pthread_create(&client->helper, &attr, helper_thread, client);
	pthread_attr_destroy(&attr);
	if (r == EINVAL)
		r = pthread_create(&client->helper, NULL, helper_thread,
				   client);
	return -r;
}

static int
helper_start(struct swap_client *client, struct swap_error *error)
{
	sigset_t all, old;
	int r;

	client->attend = ATTEND_READY;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = helper_create(client);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r < 0)
		return error_set(error, r, "cannot start a thread: %s",
				 strerror(-r));
	client->has_helper = true;
	return 0;
}

/* Ask, and wait until the swapd says that it has us on its list. */
static int
attend_begin(struct swap_client *client, struct swap_error *error)
{
	struct frame *frame = &client->attend_frame;
	int fd, r;

	fd = client_socket(client->path, error);
	if (fd < 0)
		return fd;
	r = frame_init(frame, fd, FRAME_BUFFER_KEPT);
	if (r == 0)
		r = frame_send(frame, attend_request, NULL, 0, -1);
	if (r == 0)
		r = frame_read(frame, -1);
	if (r < 0)
		return error_set(error, r, "talking to the swapd at %s: %s",
				 client->path, strerror(-r));
	frame->watch[FRAME_WATCH_STOP] = client->stop_fd;
	return client_answer_error(frame->buf, error);
}

int
client_attend(struct swap_client *client, struct swap_error *error)
{
	int r;

	if (client->has_helper)
		return 0;
	r = attend_begin(client, error);
	if (r == 0)
		r = helper_start(client, error);
	if (r < 0) {
		frame_close(&client->attend_frame);
		client->attend = ATTEND_NONE;
	}
	return r;
}

void
client_attend_end(struct swap_client *client)
{
	uint64_t one = 1;

	if (!client->has_helper)
		return;
	while (write(client->stop_fd, &one, sizeof(one)) < 0 &&
	       errno == EINTR)
		;
	if (!client->attends_here)
		pthread_join(client->helper, NULL);
	client->has_helper = false;
	frame_close(&client->attend_frame);
}

void
client_attend_here(struct swap_client *client)
{
	client->attends_here = true;
}

static enum attend_state
attend_state(struct swap_client *client)
{
	enum attend_state state;

	pthread_mutex_lock(&client->list);
	state = client->attend;
	pthread_mutex_unlock(&client->list);
	return state;
}

/* What the helper would do, where there is none. */
static void
attend_look(struct swap_client *client, int timeout_msec)
{
	client_begin(client);
	if (attend_state(client) == ATTEND_READY)
		while (attend_next(client, timeout_msec))
			;
	client_end(client);
}

static void
wait_for_helper(struct swap_client *client)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += LOST_WAIT_SEC;
	pthread_mutex_lock(&client->list);
	while (client->attend == ATTEND_READY &&
	       pthread_cond_timedwait(&client->changed, &client->list,
				      &until) == 0)
		;
	pthread_mutex_unlock(&client->list);
}

bool
client_handed_over(struct swap_client *client, bool lost)
{
	if (client->attends_here)
		attend_look(client, lost ? LOST_WAIT_SEC * 1000 : 0);
	else if (lost)
		wait_for_helper(client);
	return attend_state(client) == ATTEND_HANDED_OVER;
}
