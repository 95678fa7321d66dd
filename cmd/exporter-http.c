/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The HTTP side of swap_exporter
 *
 * libmicrohttpd serves all connections in one thread, which never waits: a
 * request that needs a new picture is suspended, and resumed when a round of
 * gathering is over (http_done()).
 *
 * What a client can do is bounded, so that no other is harmed:
 *
 *  H1	One request a connection, GET or HEAD; what else comes is not read.  A
 *	request with its headers fits REQUEST_BYTES or is refused.
 *  H2	A connection without traffic is closed after IDLE_SEC.
 *  H3	There are at most CONNECTIONS_MAX.  One more closes the oldest of those
 *	that are being answered, if they are more than half, and else of those
 *	whose request is not there yet.  So who holds connections open, or
 *	dribbles bytes to keep them, or does not read answers, loses those;
 *	a client that says at once what it wants, and takes it, is served.
 *  H4	A picture is made at most once in the time that it may be cached, and
 *	each form of it is written once and shared, however many ask.
 *  H5	At most WAITING_MAX requests wait for a picture; more are told to come
 *	back.
 *  H6	The kernel's buffers for a connection are small (exporter-listen.c).
 *
 * Locks: http.lock guards the list of connections and who waits.  It is taken
 * before those of the gatherer and of libmicrohttpd.  Suspending is done with
 * it, so that a round cannot end between the decision to wait and the wait.
 * The cache of forms belongs to the one thread of libmicrohttpd.
 */
#include "exporter-http.h"

#include <errno.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "exporter-accept.h"
#include "exporter-pages.h"
#include "ipc/openmetrics.h"
#include "util.h"

/*
 * So many that, where thousands a second come, a client has some tens of
 * milliseconds to send its request before it is the oldest.
 */
#define CONNECTIONS_MAX	512u
/* Room in libmicrohttpd for those that are being closed. */
#define CONNECTIONS_ROOM (CONNECTIONS_MAX + 128u)
#define WAITING_MAX	256u
#define IDLE_SEC	5u
#define REQUEST_BYTES	((size_t)16384)
/* Rounds that a request waits for: with nothing cached, it may see two. */
#define ROUNDS_MAX	4u

#define TYPE_TEXT	"text/plain; charset=utf-8"
#define TYPE_HTML	"text/html; charset=utf-8"
#define TYPE_JSON	"application/json"

/* The forms of a picture that are kept; documents follow, one a pager. */
enum form {
	FORM_OPENMETRICS,
	FORM_TEXT,
	FORM_JSON,
	FORM_DOCUMENT,
};
#define NFORMS		((unsigned)FORM_DOCUMENT + GATHER_PAGERS_MAX)

struct connection {
	struct connection *next, **prev;	/* youngest first */
	struct MHD_Connection *mhd;
	int		 fd;		/* libmicrohttpd's */
	bool		 waiting;	/* suspended */
	uint64_t	 asked_usec;	/* when; 0: no request yet */
	unsigned	 nrounds;
};

struct http {
	struct MHD_Daemon *daemon;
	struct gather	*gather;
	const char *const *labels;
	size_t		 nlabels;
	bool		 objects;
	struct MHD_Response *index, *healthy, *unknown, *method, *busy,
			*failure, *no_pager;

	pthread_mutex_t	 lock;
	struct connection *connections;
	unsigned	 nconnections;
	unsigned	 nwaiting;
	bool		 ending;

	/* Of libmicrohttpd's thread. */
	struct picture	*picture;	/* what the forms show */
	struct MHD_Response *forms[NFORMS];
};

/* ---------------------------------------------------------------- responses */

static bool
add_header(struct MHD_Response *response, const char *name, const char *value)
{
	return MHD_add_response_header(response, name, value) == MHD_YES;
}

/* @text is given away if @owned; NULL: no memory. */
static struct MHD_Response *
response_new(const char *type, char *text, size_t len, bool owned)
{
	struct MHD_Response *response;

	response = MHD_create_response_from_buffer(
			len, text, owned ? MHD_RESPMEM_MUST_FREE :
					   MHD_RESPMEM_PERSISTENT);
	if (response == NULL) {
		if (owned)
			free(text);
		return NULL;
	}
	if (add_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type) &&
	    add_header(response, MHD_HTTP_HEADER_CONNECTION, "close") &&
	    add_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store") &&
	    add_header(response, "X-Content-Type-Options", "nosniff") &&
	    add_header(response, "Content-Security-Policy",
		       "default-src 'none'"))
		return response;
	MHD_destroy_response(response);
	return NULL;
}

static struct MHD_Response *
response_text(char *text)
{
	return response_new(TYPE_TEXT, text, strlen(text), false);
}

static void
response_free(struct MHD_Response **response)
{
	if (*response != NULL)
		MHD_destroy_response(*response);
	*response = NULL;
}

static int
make_index(struct http *http)
{
	struct page page;

	if (page_index(http->labels, http->nlabels, &page) < 0)
		return -ENOMEM;
	http->index = response_new(TYPE_HTML, page.text, page.len, true);
	return http->index == NULL ? -ENOMEM : 0;
}

/* What can always be said. */
static int
make_responses(struct http *http)
{
	static char ok[] = "ok\n", unknown[] = "There is no such page; / says "
		"what is where.\n", method[] = "Only GET and HEAD are "
		"answered here.\n", busy[] = "Too many requests wait for "
		"figures; come back in a second.\n", failure[] = "Out of "
		"memory; come back in a second.\n", no_pager[] = "This "
		"program does not ask a pager of that name; / says which.\n";

	http->healthy = response_text(ok);
	http->unknown = response_text(unknown);
	http->method = response_text(method);
	http->busy = response_text(busy);
	http->failure = response_text(failure);
	http->no_pager = response_text(no_pager);
	if (http->healthy == NULL || http->unknown == NULL ||
	    http->method == NULL || http->busy == NULL ||
	    http->failure == NULL || http->no_pager == NULL ||
	    !add_header(http->method, MHD_HTTP_HEADER_ALLOW, "GET, HEAD") ||
	    !add_header(http->busy, MHD_HTTP_HEADER_RETRY_AFTER, "1") ||
	    !add_header(http->failure, MHD_HTTP_HEADER_RETRY_AFTER, "1"))
		return -ENOMEM;
	return make_index(http);
}

static void
free_responses(struct http *http)
{
	for (unsigned i = 0; i < NFORMS; i++)
		response_free(&http->forms[i]);
	response_free(&http->index);
	response_free(&http->healthy);
	response_free(&http->unknown);
	response_free(&http->method);
	response_free(&http->busy);
	response_free(&http->failure);
	response_free(&http->no_pager);
}

/* -------------------------------------------------------------------- forms */

/* Take over a reference to the picture that is shown from now on. */
static void
show_picture(struct http *http, struct picture *picture)
{
	if (picture != http->picture)
		for (unsigned i = 0; i < NFORMS; i++)
			response_free(&http->forms[i]);
	picture_unref(http->picture);
	http->picture = picture;
}

static int
write_form(const struct http *http, unsigned form, struct page *ret_page,
	   const char **ret_type)
{
	unsigned flags = http->objects ? OPENMETRICS_OBJECTS : 0;

	switch (form) {
	case FORM_OPENMETRICS:
		*ret_type = OPENMETRICS_CONTENT_TYPE;
		return page_metrics(http->picture, flags, ret_page);
	case FORM_TEXT:
		*ret_type = OPENMETRICS_PROMETHEUS_TYPE;
		return page_metrics(http->picture,
				    flags | OPENMETRICS_PROMETHEUS, ret_page);
	case FORM_JSON:
		*ret_type = TYPE_JSON;
		return page_json(http->picture, ret_page);
	default:
		*ret_type = TYPE_JSON;
		return page_document(
			&http->picture->pager[form - FORM_DOCUMENT], ret_page);
	}
}

/* The picture in one form; NULL: no memory. */
static struct MHD_Response *
form_response(struct http *http, unsigned form)
{
	struct MHD_Response *response;
	struct page page;
	const char *type;

	if (http->forms[form] != NULL)
		return http->forms[form];
	if (write_form(http, form, &page, &type) < 0)
		return NULL;
	response = response_new(type, page.text, page.len, true);
	/* Caches between us and a client must know why answers differ. */
	if (response != NULL && form <= FORM_TEXT)
		(void)add_header(response, MHD_HTTP_HEADER_VARY,
				 MHD_HTTP_HEADER_ACCEPT);
	http->forms[form] = response;
	return response;
}

/* -------------------------------------------------------------- connections */

/* Its thread sees the end and closes it. */
static void
close_oldest(struct http *http)
{
	struct connection *victim = NULL, *c;
	unsigned nasked = 0;

	for (c = http->connections; c != NULL; c = c->next)
		nasked += c->fd >= 0 && c->asked_usec != 0;
	for (c = http->connections; c != NULL; c = c->next)
		if (c->fd >= 0 && (c->asked_usec != 0) ==
				  (nasked > CONNECTIONS_MAX / 2))
			victim = c;
	if (victim == NULL)
		return;
	(void)shutdown(victim->fd, SHUT_RDWR);
	victim->fd = -1;
	http->nconnections--;
}

static void
connection_open(struct http *http, struct MHD_Connection *mhd,
		void **ret_context)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(
			mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct connection *c = calloc(1, sizeof(*c));

	*ret_context = c;
	/* Without memory: every request of it is refused. */
	if (c == NULL)
		return;
	c->mhd = mhd;
	c->fd = info != NULL ? info->connect_fd : -1;
	pthread_mutex_lock(&http->lock);
	if (http->nconnections >= CONNECTIONS_MAX)
		close_oldest(http);
	c->next = http->connections;
	c->prev = &http->connections;
	if (c->next != NULL)
		c->next->prev = &c->next;
	http->connections = c;
	http->nconnections += c->fd >= 0;
	pthread_mutex_unlock(&http->lock);
}

static void
connection_closed(struct http *http, struct connection *c)
{
	if (c == NULL)
		return;
	pthread_mutex_lock(&http->lock);
	*c->prev = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
	http->nconnections -= c->fd >= 0;
	http->nwaiting -= c->waiting;
	pthread_mutex_unlock(&http->lock);
	free(c);
}

static void
on_connection(void *arg, struct MHD_Connection *mhd, void **context,
	      enum MHD_ConnectionNotificationCode what)
{
	if (what == MHD_CONNECTION_NOTIFY_STARTED)
		connection_open(arg, mhd, context);
	else
		connection_closed(arg, *context);
}

static struct connection *
connection_of(struct MHD_Connection *mhd)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(
			mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info != NULL ? info->socket_context : NULL;
}

/* ----------------------------------------------------------------- requests */

static enum MHD_Result
answer(const struct connection *c, unsigned status,
       struct MHD_Response *response)
{
	return MHD_queue_response(c->mhd, status, response);
}

static const char *
argument(const struct connection *c, const char *name)
{
	return MHD_lookup_connection_value(c->mhd, MHD_GET_ARGUMENT_KIND,
					   name);
}

static const char *
header(const struct connection *c, const char *name)
{
	return MHD_lookup_connection_value(c->mhd, MHD_HEADER_KIND, name);
}

static enum MHD_Result
answer_form(struct http *http, const struct connection *c, unsigned form)
{
	struct MHD_Response *response = form_response(http, form);

	if (response == NULL)
		return answer(c, MHD_HTTP_SERVICE_UNAVAILABLE, http->failure);
	return answer(c, MHD_HTTP_OK, response);
}

/* Why it is away, as text. */
static enum MHD_Result
answer_away(const struct http *http, const struct connection *c,
	    const struct picture_pager *pager)
{
	char text[GATHER_WHY_SIZE + 2], *copy;
	struct MHD_Response *response = NULL;
	enum MHD_Result r;

	format_cut(text, sizeof(text), "%s\n", pager->why);
	copy = strdup(text);
	if (copy != NULL)
		response = response_new(TYPE_TEXT, copy, strlen(copy), true);
	if (response == NULL)
		return answer(c, MHD_HTTP_SERVICE_UNAVAILABLE, http->failure);
	r = answer(c, MHD_HTTP_SERVICE_UNAVAILABLE, response);
	MHD_destroy_response(response);
	return r;
}

static enum MHD_Result
answer_document(struct http *http, const struct connection *c,
		const char *label)
{
	size_t i;

	for (i = 0; i < http->nlabels; i++)
		if (strcmp(http->labels[i], label) == 0)
			break;
	if (i == http->nlabels)
		return answer(c, MHD_HTTP_NOT_FOUND, http->no_pager);
	if (http->picture->pager[i].snapshot == NULL)
		return answer_away(http, c, &http->picture->pager[i]);
	return answer_form(http, c, (unsigned)(FORM_DOCUMENT + i));
}

static enum MHD_Result
answer_picture(struct http *http, const struct connection *c, const char *url)
{
	const char *label = argument(c, "pager");

	if (strcmp(url, "/metrics") == 0)
		return answer_form(http, c, accept_openmetrics(
				header(c, MHD_HTTP_HEADER_ACCEPT)) ?
				FORM_OPENMETRICS : FORM_TEXT);
	return label != NULL ? answer_document(http, c, label) :
			       answer_form(http, c, FORM_JSON);
}

/*
 * Get a picture that is young enough, or wait for one.  1: show http.picture;
 * 0: suspended; -EBUSY.
 */
static int
get_picture(struct http *http, struct connection *c)
{
	struct picture *picture;
	int r = 1;

	pthread_mutex_lock(&http->lock);
	picture = gather_picture(http->gather, c->asked_usec);
	if (picture != NULL) {
		show_picture(http, picture);
	} else if (http->ending || http->nwaiting >= WAITING_MAX ||
		   c->nrounds >= ROUNDS_MAX) {
		r = -EBUSY;
	} else {
		c->waiting = true;
		http->nwaiting++;
		MHD_suspend_connection(c->mhd);
		r = 0;
	}
	pthread_mutex_unlock(&http->lock);
	return r;
}

static enum MHD_Result
on_picture(struct http *http, struct connection *c, const char *url)
{
	int r = get_picture(http, c);

	if (r == 0)
		return MHD_YES;
	if (r < 0)
		return answer(c, MHD_HTTP_SERVICE_UNAVAILABLE, http->busy);
	return answer_picture(http, c, url);
}

/*
 * Called with the headers, again when a suspended request is resumed, and,
 * where there is a body, with that: by then it has its answer.
 */
static enum MHD_Result
on_request(void *arg, struct MHD_Connection *mhd, const char *url,
	   const char *method, const char *version, const char *upload,
	   size_t *upload_len, void **context)
{
	struct http *http = arg;
	struct connection *c = connection_of(mhd);

	(void)version;
	(void)upload;
	(void)upload_len;
	(void)context;
	if (c == NULL)
		return MHD_NO;
	if (c->asked_usec == 0)
		c->asked_usec = now_usec();
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 &&
	    strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
		return answer(c, MHD_HTTP_METHOD_NOT_ALLOWED, http->method);
	if (strcmp(url, "/metrics") == 0 || strcmp(url, "/stats.json") == 0)
		return on_picture(http, c, url);
	if (strcmp(url, "/healthz") == 0)
		return answer(c, MHD_HTTP_OK, http->healthy);
	if (strcmp(url, "/") == 0)
		return answer(c, MHD_HTTP_OK, http->index);
	return answer(c, MHD_HTTP_NOT_FOUND, http->unknown);
}

void
http_done(struct http *http)
{
	struct connection *c;

	pthread_mutex_lock(&http->lock);
	for (c = http->connections; c != NULL; c = c->next) {
		if (!c->waiting)
			continue;
		c->waiting = false;
		c->nrounds++;
		http->nwaiting--;
		MHD_resume_connection(c->mhd);
	}
	pthread_mutex_unlock(&http->lock);
}

/* ------------------------------------------------------ beginning and end */

int
http_new(const char *const labels[], size_t n, struct http **ret_http,
	 struct swap_error *error)
{
	struct http *http = calloc(1, sizeof(*http));

	if (http == NULL)
		return error_set(error, -ENOMEM, "out of memory");
	pthread_mutex_init(&http->lock, NULL);
	http->labels = labels;
	http->nlabels = n;
	if (make_responses(http) < 0) {
		http_free(http);
		return error_set(error, -ENOMEM, "out of memory");
	}
	*ret_http = http;
	return 0;
}

/* What clients do wrong is their business, and must not fill our log. */
static void
no_log(void *arg, const char *fmt, va_list args)
{
	(void)arg;
	(void)fmt;
	(void)args;
}

int
http_start(struct http *http, struct gather *gather, int fd, bool objects,
	   struct swap_error *error)
{
	http->gather = gather;
	http->objects = objects;
	http->daemon = MHD_start_daemon(
		MHD_USE_POLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME |
		MHD_USE_ERROR_LOG, 0, NULL, NULL, on_request, http,
		MHD_OPTION_EXTERNAL_LOGGER, no_log, NULL,
		MHD_OPTION_LISTEN_SOCKET, fd,
		MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_ROOM,
		MHD_OPTION_CONNECTION_TIMEOUT, IDLE_SEC,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, REQUEST_BYTES,
		MHD_OPTION_NOTIFY_CONNECTION, on_connection, http,
		MHD_OPTION_STRICT_FOR_CLIENT, 1,
		MHD_OPTION_END);
	if (http->daemon != NULL)
		return 0;
	close(fd);
	return error_set(error, -EIO, "the HTTP server does not start: %s",
			 strerror(errno));
}

void
http_stop(struct http *http)
{
	pthread_mutex_lock(&http->lock);
	http->ending = true;
	pthread_mutex_unlock(&http->lock);
	/* libmicrohttpd does not stop with somebody suspended. */
	http_done(http);
	if (http->daemon != NULL)
		MHD_stop_daemon(http->daemon);
	http->daemon = NULL;
}

void
http_free(struct http *http)
{
	free_responses(http);
	picture_unref(http->picture);
	pthread_mutex_destroy(&http->lock);
	free(http);
}
