/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One connection.
 *
 *	reading --whole message--> dispatch --answered--> reading
 *	   |                          |
 *	   +--- end, stop, nonsense --+---> releasing ---> closed
 *
 * A message that is no varlink call has no answer: the connection is closed.
 * Everything else is answered, with an error where the method, a parameter or
 * the peer's permission is wrong, and the conversation goes on.  A call with
 * "oneway" is done and not answered.
 */
#include "server-impl.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "../util.h"

static const char pager_description[] =
#include "ipc/org.swapkit.Pager.varlink.h"
;

static const char service_description[] =
	"# Every varlink service answers these (varlink.org).\n"
	"interface org.varlink.service\n"
	"\n"
	"method GetInfo() -> (vendor: string, product: string, version: "
	"string, url: string, interfaces: []string)\n"
	"method GetInterfaceDescription(interface: string) -> (description: "
	"string)\n"
	"\n"
	"error InterfaceNotFound (interface: string)\n"
	"error MethodNotFound (method: string)\n"
	"error MethodNotImplemented (method: string)\n"
	"error InvalidParameter (parameter: string)\n"
	"error PermissionDenied ()\n"
	"error ExpectedMore ()\n";

/* ---------------------------------------------------------------- answers */

static int
answer(struct request *request, json_t *message, int fd)
{
	struct frame *frame = &request->conn->frame;

	if (request->oneway) {
		json_decref(message);
		return 0;
	}
	return varlink_send(frame, message, &fd, fd >= 0 ? 1 : 0,
			    SERVER_SEND_MSEC);
}

int
reply(struct request *request, json_t *params)
{
	return answer(request, varlink_reply(params, false), -1);
}

void
reply_begin(struct text *text, bool continues)
{
	text_string(text, continues ? "{\"continues\":true,\"parameters\":{" :
				      "{\"parameters\":{");
}

int
reply_text(struct request *request, struct text *text)
{
	int r;

	text_string(text, "}}");
	r = text_end(text);
	if (r == 0 && !request->oneway)
		r = frame_send(&request->conn->frame, text->buf, NULL, 0,
			       SERVER_SEND_MSEC);
	text_clear(text);
	return r;
}

int
reply_fd(struct request *request, json_t *params, int fd)
{
	return answer(request, varlink_reply(params, false), fd);
}

int
reply_more(struct request *request, json_t *params)
{
	return answer(request, varlink_reply(params, true), -1);
}

/*
 * The sentence may hold a file name in any encoding; bytes that are not ASCII
 * give way where it is not UTF-8.
 */
int
reply_failed(struct request *request, const struct swap_error *error)
{
	const char *text = error->message[0] != '\0' ? error->message
						    : strerror(-error->code);
	json_t *message = json_string(text);
	char copy[sizeof(error->message)];
	size_t i;

	if (message == NULL) {
		format_cut(copy, sizeof(copy), "%s", text);
		for (i = 0; copy[i] != '\0'; i++)
			if ((unsigned char)copy[i] >= 0x80)
				copy[i] = '?';
		message = json_string(copy);
	}
	return answer(request,
		      varlink_error(VARLINK_PAGER ".Failed",
				    json_pack("{s:i,s:o}", "errno",
					      error->code, "message",
					      message)), -1);
}

int
reply_refused(struct request *request, int code, const char *fmt, ...)
{
	struct swap_error error = { .code = code };
	va_list args;

	va_start(args, fmt);
	if (vsnprintf(error.message, sizeof(error.message), fmt, args) < 0)
		error.message[0] = '\0';
	va_end(args);
	return reply_failed(request, &error);
}

int
reply_service_error(struct request *request, const char *error,
		    const char *name, const char *value)
{
	char full[VARLINK_NAME_MAX + 1];

	format_cut(full, sizeof(full), "%s.%s", VARLINK_SERVICE, error);
	return answer(request,
		      varlink_error(full, name == NULL ? NULL :
				    json_pack("{s:s}", name, value)), -1);
}

int
request_params(struct request *request, const struct varlink_param *table,
	       size_t n)
{
	const char *bad = NULL;

	if (varlink_params_read(request->params, table, n, &bad) == 0)
		return 1;
	return reply_service_error(request, "InvalidParameter", "parameter",
				   bad);
}

bool
conn_is_master(const struct conn *conn)
{
	return conn->owner.uid == 0 || conn->owner.uid == conn->server->uid;
}

int
conn_charge_item(struct conn *conn)
{
	struct server *s = conn->server;
	int r = 0;

	pthread_mutex_lock(&s->lock);
	if (s->nitems >= SERVER_ITEMS_MAX ||
	    (conn->owner.uid != 0 &&
	     conn->user->nitems >= s->user_items_max)) {
		r = -ENOSPC;
	} else {
		s->nitems++;
		conn->user->nitems++;
	}
	pthread_mutex_unlock(&s->lock);
	return r;
}

void
conn_uncharge_locked(struct conn *conn)
{
	conn->server->nitems--;
	conn->user->nitems--;
}

void
conn_uncharge_item(struct conn *conn)
{
	pthread_mutex_lock(&conn->server->lock);
	conn_uncharge_locked(conn);
	pthread_mutex_unlock(&conn->server->lock);
}

/* ---------------------------------------------------- org.varlink.service */

static int
service_get_info(struct request *request)
{
	int r = request_params(request, NULL, 0);

	if (r <= 0)
		return r;
	return reply(request, json_pack("{s:s,s:s,s:s,s:s,s:[s,s]}",
					"vendor", "swapkit",
					"product", "swapd",
					"version", SWAP_VERSION,
					"url", "",
					"interfaces", VARLINK_SERVICE,
					VARLINK_PAGER));
}

static int
service_get_description(struct request *request)
{
	const char *interface = NULL;
	const char *text = NULL;
	const struct varlink_param table[] = {
		{ "interface", VARLINK_STRING, false, &interface },
	};
	int r = request_params(request, table, ARRAY_SIZE(table));

	if (r <= 0)
		return r;
	if (strcmp(interface, VARLINK_PAGER) == 0)
		text = pager_description;
	else if (strcmp(interface, VARLINK_SERVICE) == 0)
		text = service_description;
	if (text == NULL)
		return reply_service_error(request, "InterfaceNotFound",
					   "interface", interface);
	return reply(request, json_pack("{s:s}", "description", text));
}

static const struct method service_methods[] = {
	{ "GetInfo", service_get_info },
	{ "GetInterfaceDescription", service_get_description },
	{ NULL, NULL },
};

/* --------------------------------------------------------------- dispatch */

static method_fn *
method_find(const struct method *table, const char *name)
{
	for (; table->name != NULL; table++)
		if (strcmp(table->name, name) == 0)
			return table->fn;
	return NULL;
}

static method_fn *
pager_method_find(const char *name)
{
	static const struct method *const tables[] = {
		control_methods, event_methods, tune_methods, look_methods,
		memory_methods, object_methods,
	};
	method_fn *fn = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(tables) && fn == NULL; i++)
		fn = method_find(tables[i], name);
	return fn;
}

static int
dispatch(struct request *request, const char *method)
{
	char interface[VARLINK_NAME_MAX + 1];
	const char *dot = strrchr(method, '.');
	method_fn *fn = NULL;

	if (dot == NULL)
		return reply_service_error(request, "InvalidParameter",
					   "parameter", "method");
	format_cut(interface, sizeof(interface), "%.*s", (int)(dot - method),
		   method);
	if (strcmp(interface, VARLINK_PAGER) == 0) {
		fn = pager_method_find(dot + 1);
	} else if (strcmp(interface, VARLINK_SERVICE) == 0) {
		fn = method_find(service_methods, dot + 1);
	} else {
		return reply_service_error(request, "InterfaceNotFound",
					   "interface", interface);
	}
	if (fn == NULL)
		return reply_service_error(request, "MethodNotFound", "method",
					   method);
	return fn(request);
}

static int
conn_message(struct conn *conn)
{
	struct request request = { .conn = conn };
	struct varlink_call call;
	int r;

	r = varlink_call_parse(conn->frame.buf, conn->frame.len, &call);
	if (r < 0)
		return r;
	request.params = call.params;
	request.more = call.more;
	request.oneway = call.oneway;
	if (call.upgrade)
		r = reply_service_error(&request, "InvalidParameter",
					"parameter", "upgrade");
	else
		r = dispatch(&request, call.method);
	varlink_call_clear(&call);
	return r;
}

void
conn_run(struct conn *conn)
{
	int r;

	do {
		r = frame_read(&conn->frame, conn->still != NULL ?
			       SERVER_STILL_MSEC : -1);
		if (r == 0)
			r = conn_message(conn);
		else if (r == -ETIMEDOUT && conn->still != NULL)
			r = memory_go_on(conn);
	} while (r == 0);
	if (conn->objects.count + conn->regions.count > 0)
		pager_client_gone(conn->server->pager, &conn->owner,
				  conn->objects.count + conn->regions.count);
	memory_release_all(conn);
	pager_client_end(conn->server->pager, &conn->owner);
	handles_clear(&conn->objects);
	handles_clear(&conn->regions);
}
