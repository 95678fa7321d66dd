/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Methods about the pager itself: hello, devices, the end.
 *
 * On, Off and Stop change the pager for everybody, so they are for root and
 * for the swapd's own user.  Off runs for as long as it takes, in its peer's
 * thread; the progress callback is where it notices that the peer has hung up
 * (or that the swapd is told to end) and stops, so that the device goes back
 * into service.
 */
#include "server-impl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../util.h"
#include "json.h"

#define OFF_DEVICES_MAX		256u	/* see swap_devices_detach() */

/* Names of devices that are not paths: <tag>=<value>. */
static const char *const device_tags[] = {
	"LABEL=", "UUID=", "PARTLABEL=", "PARTUUID=",
};

int
refuse_permission(struct request *request, const char *what)
{
	const struct server *s = request->conn->server;

	if (s->uid == 0)
		return reply_refused(request, -EPERM, "%s: only root may do "
				     "that, since this swapd is root's; try "
				     "again as root (you are uid %u)", what,
				     (unsigned)request->conn->owner.uid);
	return reply_refused(request, -EPERM, "%s: only root and uid %u, whose "
			     "swapd this is, may do that; try again as one of "
			     "them (you are uid %u)", what, (unsigned)s->uid,
			     (unsigned)request->conn->owner.uid);
}

/* ---------------------------------------------------------------- hello */

static int
method_hello(struct request *request)
{
	uint64_t protocol = 0;
	const struct varlink_param table[] = {
		{ "protocol", VARLINK_INT, false, &protocol },
	};
	struct swap_stats stats;
	json_t *answer;
	int r = request_params(request, table, ARRAY_SIZE(table));

	if (r <= 0)
		return r;
	if (protocol != VARLINK_PROTOCOL)
		return reply_refused(request, -EPROTO, "this swapd (%s) speaks "
				     "protocol version %d, the caller version "
				     "%" PRIu64 "; install the same version of "
				     "both", SWAP_VERSION, VARLINK_PROTOCOL,
				     protocol);
	r = pager_stats(request->conn->server->pager, false, UINT64_MAX,
			&stats);
	if (r < 0)
		return reply_refused(request, r, "no snapshot: %s",
				     strerror(-r));
	answer = json_pack("{s:i,s:s,s:i,s:I,s:I,s:I}",
			   "protocol", VARLINK_PROTOCOL,
			   "version", SWAP_VERSION, "pid", (int)getpid(),
			   "page_bytes", (json_int_t)page_bytes(),
			   "ram_bytes", (json_int_t)stats.ram_bytes,
			   "swap_bytes", (json_int_t)stats.swap_bytes);
	swap_stats_clear(&stats);
	return reply(request, answer);
}

/* ---------------------------------------------------------------- devices */

/* The caller's working directory is not ours. */
static bool
device_is_absolute(const char *spec)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(device_tags); i++)
		if (strncmp(spec, device_tags[i],
			    strlen(device_tags[i])) == 0)
			return true;
	return spec[0] == '/';
}

int
request_device(struct request *request, const char *device)
{
	if (device_is_absolute(device))
		return 1;
	return reply_refused(request, -EINVAL, "device '%.200s' is not an "
			     "absolute path, and not LABEL=, UUID=, PARTLABEL= "
			     "or PARTUUID= with a value", device);
}

static int
attach(struct request *request, const char *device,
       const struct swap_device_options *options)
{
	struct server *s = request->conn->server;
	struct swap_error error = { 0 };
	int r;

	r = swap_device_attach(s->pager, device, options, &error);
	if (r < 0) {
		error.code = r;
		return reply_failed(request, &error);
	}
	log_write(&s->log, SWAP_LOG_INFO, "%s attached for uid %u (pid %d)",
		  device, (unsigned)request->conn->owner.uid,
		  (int)request->conn->owner.pid);
	return reply(request, NULL);
}

/* Adds to @flags; -EINVAL: an unknown word. */
static int
discard_flags(const char *word, unsigned *flags)
{
	if (strcmp(word, "both") == 0)
		*flags |= SWAP_DEVICE_DISCARD_ONCE | SWAP_DEVICE_DISCARD_PAGES;
	else if (strcmp(word, "once") == 0)
		*flags |= SWAP_DEVICE_DISCARD_ONCE;
	else if (strcmp(word, "pages") == 0)
		*flags |= SWAP_DEVICE_DISCARD_PAGES;
	else
		return -EINVAL;
	return 0;
}

static int
method_on(struct request *request)
{
	const char *device = NULL, *discard = NULL;
	uint64_t priority = 0, create = 0;
	bool force = false;
	const struct varlink_param table[] = {
		{ "device", VARLINK_STRING, false, &device },
		{ "priority", VARLINK_INT, true, &priority },
		{ "create_bytes", VARLINK_INT, true, &create },
		{ "force", VARLINK_BOOL, true, &force },
		{ "discard", VARLINK_STRING, true, &discard },
	};
	struct swap_device_options options = { 0 };
	int r = request_params(request, table, ARRAY_SIZE(table));

	if (r <= 0)
		return r;
	if (!conn_is_master(request->conn))
		return refuse_permission(request, "attaching a device");
	r = request_device(request, device);
	if (r <= 0)
		return r;
	if (priority > SWAP_PRIORITY_MAX)
		return reply_refused(request, -EINVAL, "priority %" PRIu64
				     " is not within %d..%d", priority,
				     SWAP_PRIORITY_MIN, SWAP_PRIORITY_MAX);
	options.priority = (int)priority;
	options.create_bytes = create;
	options.flags = force ? SWAP_DEVICE_FORCE : 0;
	if (discard != NULL && discard_flags(discard, &options.flags) < 0)
		return reply_refused(request, -EINVAL, "discard is none of "
				     "\"once\", \"pages\", \"both\"");
	return attach(request, device, &options);
}

/* A detach; several: the caller has named a list of devices. */
struct off {
	struct request		*request;
	struct swap_detach	*detach;
	size_t			 n;
	bool			 several;
	int			 failed;	/* to send; the peer is gone */
};

static json_t *
progress_json(const struct swap_progress *p)
{
	return json_pack("{s:I,s:I,s:I}",
			 "done_bytes", (json_int_t)p->done_bytes,
			 "total_bytes", (json_int_t)p->total_bytes,
			 "elapsed_usec", (json_int_t)p->elapsed_usec);
}

static json_t *
detach_json(const struct swap_detach *detach)
{
	json_t *json = progress_json(&detach->progress);

	if (json == NULL)
		return NULL;
	json_object_set_new(json, "device", json_string(detach->spec));
	json_object_set_new(json, "finished",
			    json_boolean(detach->finished));
	if (detach->error.code == 0)
		return json;
	json_object_set_new(json, "errno", json_integer(detach->error.code));
	/* Not set where a name in it is not UTF-8. */
	json_object_set_new(json, "message",
			    json_string(detach->error.message));
	return json;
}

static json_t *
off_json(const struct off *off)
{
	json_t *list;

	if (!off->several)
		return progress_json(&off->detach->progress);
	list = json_array();
	for (size_t i = 0; i < off->n; i++)
		if (json_array_append_new(list,
					  detach_json(&off->detach[i])) < 0) {
			json_decref(list);
			return NULL;
		}
	return json_pack("{s:o}", "devices", list);
}

static int
off_progress(void *arg, const struct swap_detach detach[], size_t n)
{
	struct off *off = arg;

	(void)detach;
	(void)n;
	if (frame_gone(&off->request->conn->frame)) {
		off->failed = -ECANCELED;
		return 1;
	}
	if (off->request->more)
		off->failed = reply_more(off->request, off_json(off));
	return off->failed < 0;
}

/* What became of one device, for the log. */
static void
off_log(const struct off *off, const struct swap_detach *detach)
{
	const struct conn *conn = off->request->conn;
	const struct log *log = &conn->server->log;

	if (detach->error.code == 0)
		log_write(log, SWAP_LOG_INFO, "%s detached for uid %u (pid "
			  "%d)", detach->spec, (unsigned)conn->owner.uid,
			  (int)conn->owner.pid);
	else if (off->failed < 0)
		log_write(log, SWAP_LOG_NOTICE, "%s: detaching ended, since "
			  "the caller (pid %d) has gone; it is in service "
			  "again", detach->spec, (int)conn->owner.pid);
}

static int
off_run(struct off *off)
{
	struct swap_pager *pager = off->request->conn->server->pager;
	int r = swap_devices_detach(pager, off->detach, off->n, off_progress,
				    off);

	for (size_t i = 0; i < off->n; i++)
		off_log(off, &off->detach[i]);
	if (off->failed < 0)
		return off->failed;
	if (r < 0 && !off->several)
		return reply_failed(off->request, &off->detach->error);
	return reply(off->request, off_json(off));
}

/* The names of a list; the array is the caller's to free. */
static int
off_several(struct off *off, json_t *names)
{
	int r = 1;

	off->several = true;
	off->n = json_array_size(names);
	if (off->n == 0 || off->n > OFF_DEVICES_MAX)
		return reply_refused(off->request, -EINVAL, "%zu devices: must "
				     "be 1 to %u", off->n, OFF_DEVICES_MAX);
	off->detach = calloc(off->n, sizeof(*off->detach));
	if (off->detach == NULL)
		return reply_refused(off->request, -ENOMEM, "no memory for "
				     "%zu devices", off->n);
	for (size_t i = 0; i < off->n && r > 0; i++) {
		off->detach[i].spec = json_string_value(
			json_array_get(names, i));
		r = request_device(off->request, off->detach[i].spec);
	}
	if (r > 0)
		r = off_run(off);
	free(off->detach);
	return r;
}

static int
method_off(struct request *request)
{
	const char *device = NULL;
	json_t *devices = NULL;
	const struct varlink_param table[] = {
		{ "device", VARLINK_STRING, true, &device },
		{ "devices", VARLINK_STRINGS, true, &devices },
	};
	struct swap_detach detach = { 0 };
	struct off off = { .request = request, .detach = &detach, .n = 1 };
	int r = request_params(request, table, ARRAY_SIZE(table));

	if (r <= 0)
		return r;
	if ((device == NULL) == (devices == NULL))
		return reply_service_error(request, "InvalidParameter",
					   "parameter", "device");
	if (!conn_is_master(request->conn))
		return refuse_permission(request, "detaching a device");
	if (devices != NULL)
		return off_several(&off, devices);
	detach.spec = device;
	r = request_device(request, device);
	return r <= 0 ? r : off_run(&off);
}

/* ------------------------------------------------------------------ end */

static int
method_stop(struct request *request)
{
	bool force = false;
	const struct varlink_param table[] = {
		{ "force", VARLINK_BOOL, true, &force },
	};
	struct server *s = request->conn->server;
	struct swap_error error = { 0 };
	enum server_end how;
	int r = request_params(request, table, ARRAY_SIZE(table));

	if (r <= 0)
		return r;
	if (!conn_is_master(request->conn))
		return refuse_permission(request, "stopping the pager");
	server_keep_last(s, request->conn);
	r = server_end_prepare(s, force, &how, &error);
	if (r < 0) {
		/* Another end may be under way, with its own caller. */
		if (r != -EBUSY)
			server_keep_last(s, NULL);
		error.code = r;
		return reply_failed(request, &error);
	}
	r = reply(request, NULL);
	server_end_announce(s, how);
	return r;
}

static int
method_device(struct request *request)
{
	struct conn *conn = request->conn;
	int r = request_params(request, NULL, 0);

	if (r <= 0)
		return r;
	if (conn->server->device_fd < 0)
		return reply_refused(request, -ENOENT, "this swapd has no "
				     "access to /dev/userfaultfd that it could "
				     "pass on; run swapd as root, or set sysctl "
				     "vm.unprivileged_userfaultfd=1, or give "
				     "its user access to /dev/userfaultfd");
	return reply_fd(request, NULL, conn->server->device_fd);
}

const struct method control_methods[] = {
	{ "Hello", method_hello },
	{ "On", method_on },
	{ "Off", method_off },
	{ "Stop", method_stop },
	{ "GetUserfaultDevice", method_device },
	{ "Attend", attend },
	{ NULL, NULL },
};
