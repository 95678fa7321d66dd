/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A client's connection.
 *
 * One request at a time, by whichever thread holds the lock.  The side that
 * deals with memory may run inside of malloc(3) of a program whose heap it
 * serves, so requests are written by hand into a buffer on the stack and
 * answers are scanned where they were read: no jansson, and no allocation for
 * release, wire and unwire.  A thread that holds the lock cannot be cancelled.
 *
 * A connection that failed once in the middle of a message is broken for good:
 * what would come next could not be told apart from an old answer.
 */
#include "client-impl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../util.h"
#include "scan.h"
#include "varlink.h"

/* ------------------------------------------------------- requests, answers */

int
client_format(char buf[CLIENT_REQUEST_MAX], const char *method,
	      const char *params_fmt, ...)
{
	size_t used;
	va_list args;
	int n;

	n = snprintf(buf, CLIENT_REQUEST_MAX, "{\"method\":\"%s.%s\","
		     "\"parameters\":{", VARLINK_PAGER, method);
	if (n < 0 || (size_t)n >= CLIENT_REQUEST_MAX)
		return -ENOBUFS;
	used = (size_t)n;
	va_start(args, params_fmt);
	n = vsnprintf(buf + used, CLIENT_REQUEST_MAX - used, params_fmt, args);
	va_end(args);
	if (n < 0 || (size_t)n + 3 > CLIENT_REQUEST_MAX - used)
		return -ENOBUFS;
	memcpy(buf + used + (size_t)n, "}}", 3);
	return 0;
}

/* The errors of org.varlink.service, which have no number. */
static int
service_error(const char *name, const char *answer, struct swap_error *error)
{
	char what[128] = "";

	if (strcmp(name, VARLINK_SERVICE ".InvalidParameter") == 0) {
		if (scan_text(answer, "parameter", what, sizeof(what)) < 0)
			what[0] = '\0';
		return error_set(error, -EINVAL, "swapd does not accept the "
				 "parameter '%s'", what);
	}
	if (strcmp(name, VARLINK_SERVICE ".PermissionDenied") == 0)
		return error_set(error, -EPERM, "swapd does not permit that");
	if (strcmp(name, VARLINK_SERVICE ".MethodNotFound") == 0 ||
	    strcmp(name, VARLINK_SERVICE ".InterfaceNotFound") == 0)
		return error_set(error, -ENOSYS, "this swapd cannot do that; "
				 "it may be of another version");
	return error_set(error, -EPROTO, "swapd answers '%.100s'", name);
}

int
client_answer_error(const char *answer, struct swap_error *error)
{
	struct swap_error failed = { 0 };
	char name[128];
	int64_t code;
	int r;

	r = scan_text(answer, "error", name, sizeof(name));
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return error_set(error, -EPROTO, "swapd's answer makes no "
				 "sense; it may be of another version");
	if (strcmp(name, VARLINK_PAGER ".Failed") != 0)
		return service_error(name, answer, error);
	if (scan_int(answer, "errno", &code) < 0 || code >= 0 || code < -4095)
		return error_set(error, -EPROTO, "swapd's answer makes no "
				 "sense; it may be of another version");
	/* One that does not fit is cut. */
	r = scan_text(answer, "message", failed.message,
		      sizeof(failed.message));
	if (r < 0 && r != -ENOBUFS)
		failed.message[0] = '\0';
	failed.code = (int)code;
	if (error != NULL)
		*error = failed;
	return (int)code;
}

int
client_lost(struct swap_client *client, int code, struct swap_error *error)
{
	client->broken = true;
	if (code == -ECANCELED)
		return error_set(error, -EINTR, "interrupted");
	if (code == -ENODATA || code == -EPIPE || code == -EPROTO ||
	    code == -ECONNRESET)
		return error_set(error, -ECONNRESET, "the swapd at %s has "
				 "closed the connection", client->path);
	return error_set(error, code, "talking to the swapd at %s: %s",
			 client->path, strerror(-code));
}

void
client_begin(struct swap_client *client)
{
	int state;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	pthread_mutex_lock(&client->lock);
	client->cancel_state = state;
}

void
client_end(struct swap_client *client)
{
	int state = client->cancel_state;

	frame_drop_fds(&client->frame);
	pthread_mutex_unlock(&client->lock);
	pthread_setcancelstate(state, &state);
}

int
client_ask(struct swap_client *client, const char *request, int fd,
	   struct swap_error *error)
{
	int r;

	if (client->broken)
		return client_lost(client, -ECONNRESET, error);
	r = frame_send(&client->frame, request, &fd, fd >= 0 ? 1 : 0, -1);
	if (r == 0)
		r = frame_read(&client->frame, -1);
	if (r < 0)
		return client_lost(client, r, error);
	return client_answer_error(client->frame.buf, error);
}

int
client_tell(struct swap_client *client, const char *request,
	    struct swap_error *error)
{
	int r;

	client_begin(client);
	r = client_ask(client, request, -1, error);
	client_end(client);
	return r;
}

void
client_interrupt_fd(struct swap_client *client, int fd)
{
	client->frame.watch[FRAME_WATCH_STOP] = fd;
}

const char *
client_path(const struct swap_client *client)
{
	return client->path;
}

/* -------------------------------------------------------------- connecting */

static int
connect_failed(const char *path, int code, struct swap_error *error)
{
	if (code == -ENOENT || code == -ECONNREFUSED || code == -ENOTDIR)
		return error_set(error, code, "no swapd is listening at %s; "
				 "start one, for instance with 'swapd --on "
				 "DEVICE', or name another with -p or "
				 "SWAPCTL_PAGER", path);
	return error_set(error, code, "cannot connect to the swapd at %s: %s",
			 path, strerror(-code));
}

int
client_socket(const char *path, struct swap_error *error)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd, r;

	if (strlen(path) >= sizeof(addr.sun_path))
		return error_set(error, -ENAMETOOLONG, "the socket path '%s' "
				 "is longer than %zu bytes", path,
				 sizeof(addr.sun_path) - 1);
	memcpy(addr.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return connect_failed(path, -errno, error);
	do
		r = connect(fd, (const struct sockaddr *)&addr, sizeof(addr));
	while (r < 0 && errno == EINTR);
	if (r < 0) {
		r = connect_failed(path, -errno, error);
		close(fd);
		return r;
	}
	return fd;
}

static int
client_hello(struct swap_client *client, struct swap_error *error)
{
	char request[CLIENT_REQUEST_MAX];
	int64_t protocol;
	int r;

	r = client_format(request, "Hello", "\"protocol\":%d",
			  VARLINK_PROTOCOL);
	if (r < 0)
		return r;
	client_begin(client);
	r = client_ask(client, request, -1, error);
	if (r == 0 && (scan_int(client->frame.buf, "protocol",
				&protocol) < 0 ||
		       protocol != VARLINK_PROTOCOL))
		r = error_set(error, -EPROTO, "what listens at %s is no swapd "
			      "of protocol version %d; install the same "
			      "version of both", client->path,
			      VARLINK_PROTOCOL);
	client_end(client);
	return r;
}

static struct swap_client *
client_new(const char *path)
{
	struct swap_client *client = calloc(1, sizeof(*client));

	if (client == NULL)
		return NULL;
	client->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (client->stop_fd < 0) {
		free(client);
		return NULL;
	}
	format_cut(client->path, sizeof(client->path), "%s", path);
	client->device_fd = -1;
	client->frame.fd = -1;
	client->attend_frame.fd = -1;
	pthread_mutex_init(&client->lock, NULL);
	pthread_mutex_init(&client->list, NULL);
	pthread_cond_init(&client->changed, NULL);
	return client;
}

static void
client_free(struct swap_client *client)
{
	frame_close(&client->frame);
	if (client->device_fd >= 0)
		close(client->device_fd);
	close(client->stop_fd);
	pthread_cond_destroy(&client->changed);
	pthread_mutex_destroy(&client->list);
	pthread_mutex_destroy(&client->lock);
	free(client);
}

int
swap_client_connect(const char *pager, struct swap_client **ret_client,
		    struct swap_error *error)
{
	char path[PAGER_PATH_SIZE];
	struct swap_client *client;
	int fd, r;

	r = path_client(pager, path, error);
	if (r < 0)
		return r;
	fd = client_socket(path, error);
	if (fd < 0)
		return fd;
	client = client_new(path);
	if (client == NULL) {
		close(fd);
		return error_set(error, -ENOMEM, "out of memory or "
				 "descriptors");
	}
	r = frame_init(&client->frame, fd, FRAME_CLIENT_MAX);
	if (r == 0)
		r = client_hello(client, error);
	else
		error_set(error, r, "out of memory");
	if (r < 0) {
		client_free(client);
		return r;
	}
	*ret_client = client;
	return 0;
}

void
swap_client_close(struct swap_client *client)
{
	/* Nobody may touch what is left, and nobody hangs who does. */
	while (client->regions != NULL)
		(void)swap_client_unmap(client->regions);
	while (client->objects != NULL)
		swap_client_object_close(client->objects);
	client_attend_end(client);
	client_free(client);
}

static void
forget_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

int
client_forget(struct swap_client *client)
{
	const struct swap_client_object *object;
	const struct swap_client_region *region;

	for (object = client->objects; object != NULL; object = object->next)
		forget_fd(object->memfd);
	for (region = client->regions; region != NULL; region = region->next)
		forget_fd(region->mapping.uffd);
	forget_fd(client->attend_frame.fd);
	forget_fd(client->stop_fd);
	forget_fd(client->device_fd);
	return client->frame.fd;
}
