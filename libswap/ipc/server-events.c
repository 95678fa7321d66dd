/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Methods for those who watch: the snapshot, and events.
 *
 * Both are written as text, without a jansson value in between, and may be
 * asked for often.  Nothing of the pager is locked meanwhile: what is sent was
 * copied before.
 *
 * Who streams events waits on an eventfd that the pager's listener raises, and
 * then reads from the pager's ring what is above the last number that it has
 * sent.  So a reader that is slow costs its own thread and connection, misses
 * what has left the ring (and is told how many), and is dropped when it does
 * not read at all.
 *
 * Events about objects and processes are other users' affairs: they are for
 * root and the pager's own user.
 */
#include "server-impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "../util.h"
#include "json.h"

/* Between two snapshots of one stream. */
#define INTERVAL_MIN_USEC	UINT64_C(10000)
#define INTERVAL_MAX_USEC	(UINT64_C(86400) * 1000000)

static bool
shows_user(void *arg, uint32_t uid)
{
	const struct conn *conn = arg;

	return conn_is_master(conn) || uid == conn->owner.uid;
}

/* ------------------------------------------------------------- snapshots */

/* What a caller of Status wants. */
struct wish {
	uint64_t	interval_usec;	/* 0: one */
	bool		objects;
	uint64_t	events_after;
};

/* 0: sent; else the connection is to be closed, or the peer was told why. */
static int
send_snapshot(struct request *request, const struct wish *wish, bool continues)
{
	struct conn *conn = request->conn;
	struct text text = { 0 };
	struct swap_stats stats;
	int r;

	r = pager_stats(conn->server->pager, wish->objects,
			wish->events_after, &stats);
	if (r < 0)
		return reply_refused(request, r, "no snapshot: %s",
				     strerror(-r));
	reply_begin(&text, continues);
	text_string(&text, "\"snapshot\":");
	json_write_stats(&text, &stats, shows_user, conn);
	swap_stats_clear(&stats);
	return reply_text(request, &text);
}

/* One snapshot after another until the peer goes, which is not an error. */
static int
status_stream(struct request *request, const struct wish *wish)
{
	int r;

	for (;;) {
		r = send_snapshot(request, wish, true);
		if (r < 0)
			return r;
		r = frame_wait(&request->conn->frame, -1,
			       (int64_t)(wish->interval_usec / 1000));
		if (r != -ETIMEDOUT)
			return r < 0 ? r : -ECANCELED;
	}
}

static int
method_status(struct request *request)
{
	struct wish wish = { .objects = true };
	const struct varlink_param table[] = {
		{ "interval_usec", VARLINK_INT, true, &wish.interval_usec },
		{ "objects", VARLINK_BOOL, true, &wish.objects },
		{ "events_after", VARLINK_INT, true, &wish.events_after },
	};
	int r = request_params(request, table, ARRAY_SIZE(table));

	if (r <= 0)
		return r;
	if (wish.interval_usec != 0 &&
	    (wish.interval_usec < INTERVAL_MIN_USEC ||
	     wish.interval_usec > INTERVAL_MAX_USEC))
		return reply_service_error(request, "InvalidParameter",
					   "parameter", "interval_usec");
	if (request->more && wish.interval_usec != 0)
		return status_stream(request, &wish);
	return send_snapshot(request, &wish, false);
}

/* ---------------------------------------------------------------- events */

void
server_event(void *arg, const struct swap_event *event)
{
	struct server *s = arg;
	uint64_t one = 1;

	(void)event;
	pthread_mutex_lock(&s->lock);
	for (struct listener *l = s->listeners; l != NULL; l = l->next)
		/* A failure means that it is readable already. */
		if (write(l->event_fd, &one, sizeof(one)) < 0)
			continue;
	pthread_mutex_unlock(&s->lock);
}

/* Send what is above *@after, and count on; @always: even if it is nothing. */
static int
send_events(struct request *request, uint64_t *after, bool always)
{
	struct conn *conn = request->conn;
	struct text text = { 0 };
	struct swap_event *events;
	uint64_t lost = 0;
	size_t n;
	int r;

	r = swap_pager_events(conn->server->pager, *after, &events, &n);
	if (r < 0)
		return reply_refused(request, r, "no events: %s",
				     strerror(-r));
	if (n > 0) {
		lost = events[0].number - *after - 1;
		*after = events[n - 1].number;
	}
	reply_begin(&text, request->more);
	text_string(&text, "\"events\":");
	json_write_events(&text, events, n, shows_user, conn);
	text_string(&text, ",\"lost\":");
	text_u64(&text, lost);
	text_string(&text, ",\"last\":");
	text_u64(&text, *after);
	free(events);
	if (n > 0 || always)
		return reply_text(request, &text);
	text_clear(&text);
	return 0;
}

static void
listener_remove(struct server *s, const struct listener *listener)
{
	struct listener **p;

	pthread_mutex_lock(&s->lock);
	for (p = &s->listeners; *p != listener; p = &(*p)->next)
		;
	*p = listener->next;
	pthread_mutex_unlock(&s->lock);
}

static int
events_loop(struct request *request, int event_fd, uint64_t after)
{
	uint64_t n;
	int r;

	r = send_events(request, &after, true);
	while (r == 0) {
		r = frame_wait(&request->conn->frame, event_fd, -1);
		/* Cleared first: what comes now raises it again. */
		if (r == 0 && read(event_fd, &n, sizeof(n)) < 0 &&
		    errno != EAGAIN)
			r = -errno;
		if (r == 0)
			r = send_events(request, &after, false);
	}
	return r;
}

static int
events_stream(struct request *request, uint64_t after)
{
	struct server *s = request->conn->server;
	struct listener listener;
	int r;

	listener.event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (listener.event_fd < 0)
		return reply_refused(request, -EMFILE, "too many open files");
	pthread_mutex_lock(&s->lock);
	listener.next = s->listeners;
	s->listeners = &listener;
	pthread_mutex_unlock(&s->lock);
	r = events_loop(request, listener.event_fd, after);
	listener_remove(s, &listener);
	close(listener.event_fd);
	return r;
}

static int
method_events(struct request *request)
{
	uint64_t after = 0;
	const struct varlink_param table[] = {
		{ "after", VARLINK_INT, true, &after },
	};
	int r = request_params(request, table, ARRAY_SIZE(table));

	if (r <= 0)
		return r;
	if (request->more)
		return events_stream(request, after);
	return send_events(request, &after, true);
}

const struct method event_methods[] = {
	{ "Status", method_status },
	{ "Events", method_events },
	{ NULL, NULL },
};
