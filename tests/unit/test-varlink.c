/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Unit tests of what is below the server and the client: frames and their
 * descriptors, scanning, varlink messages, paths, handles, and the record of
 * clients.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "ipc/frame.h"
#include "ipc/handles.h"
#include "ipc/path.h"
#include "ipc/scan.h"
#include "ipc/state.h"
#include "ipc/varlink.h"
#include "util.h"

/* ----------------------------------------------------------------- frames */

struct pair {
	struct frame	frame;
	int		peer;
};

static int
pair_setup(void **state)
{
	struct pair *p = calloc(1, sizeof(*p));
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
				    fds), 0);
	p->peer = fds[1];
	assert_int_equal(frame_init(&p->frame, fds[0], 65536), 0);
	*state = p;
	return 0;
}

static int
pair_teardown(void **state)
{
	struct pair *p = *state;

	frame_close(&p->frame);
	close(p->peer);
	free(p);
	return 0;
}

static void
put(const struct pair *p, const void *bytes, size_t len)
{
	assert_int_equal(send(p->peer, bytes, len, MSG_NOSIGNAL),
			 (ssize_t)len);
}

/* Send bytes with @n copies of a descriptor. */
static void
put_fds(const struct pair *p, const void *bytes, size_t len, int fd, int n)
{
	char control[CMSG_SPACE(16 * sizeof(int))] = "";
	char copy[256];
	struct iovec iov = { .iov_base = copy, .iov_len = len };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
		.msg_controllen = CMSG_SPACE((size_t)n * sizeof(int)),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	memcpy(copy, bytes, len);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN((size_t)n * sizeof(int));
	for (int i = 0; i < n; i++)
		memcpy(CMSG_DATA(c) + (size_t)i * sizeof(int), &fd,
		       sizeof(fd));
	assert_int_equal(sendmsg(p->peer, &msg, 0), (ssize_t)len);
}

static int
open_files(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void
frame_several(void **state)
{
	struct pair *p = *state;

	/* Three in one go, one of them empty. */
	put(p, "one\0\0three\0fo", 13);
	assert_int_equal(frame_read(&p->frame, 1000), 0);
	assert_string_equal(p->frame.buf, "one");
	assert_int_equal(frame_read(&p->frame, 1000), 0);
	assert_int_equal(p->frame.len, 0);
	assert_int_equal(frame_read(&p->frame, 1000), 0);
	assert_string_equal(p->frame.buf, "three");
	/* The half one is kept until the rest comes. */
	assert_int_equal(frame_read(&p->frame, 10), -ETIMEDOUT);
	assert_int_equal(frame_read(&p->frame, 10), -ETIMEDOUT);
	put(p, "ur", 3);
	assert_int_equal(frame_read(&p->frame, 1000), 0);
	assert_string_equal(p->frame.buf, "four");
	assert_int_equal(p->frame.len, 4);
}

static void
frame_end(void **state)
{
	struct pair *p = *state;

	shutdown(p->peer, SHUT_WR);
	assert_int_equal(frame_read(&p->frame, 1000), -ENODATA);
}

static void
frame_end_in_message(void **state)
{
	struct pair *p = *state;

	put(p, "half", 4);
	shutdown(p->peer, SHUT_WR);
	assert_int_equal(frame_read(&p->frame, 1000), -EPROTO);
}

static void *
send_thread(void *arg)
{
	const struct pair *p = arg;
	static char zeros[70000];

	memset(zeros, 'x', sizeof(zeros));
	for (size_t done = 0; done < sizeof(zeros); ) {
		ssize_t n = send(p->peer, zeros + done, sizeof(zeros) - done,
				 MSG_NOSIGNAL);

		if (n <= 0)
			break;
		done += (size_t)n;
	}
	return NULL;
}

static void
frame_oversized(void **state)
{
	struct pair *p = *state;
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, send_thread, p), 0);
	assert_int_equal(frame_read(&p->frame, 5000), -EMSGSIZE);
	assert_true(p->frame.cap <= 65536);
	shutdown(p->frame.fd, SHUT_RDWR);
	pthread_join(thread, NULL);
}

/* The longest message that fits, and the buffer shrinks after it. */
static void
frame_longest(void **state)
{
	struct pair *p = *state;
	char *text = malloc(65536);

	memset(text, 'y', 65535);
	text[65535] = '\0';
	put(p, text, 65536);
	put(p, "next", 5);
	assert_int_equal(frame_read(&p->frame, 1000), 0);
	assert_int_equal(p->frame.len, 65535);
	assert_string_equal(p->frame.buf, text);
	assert_int_equal(frame_read(&p->frame, 1000), 0);
	assert_string_equal(p->frame.buf, "next");
	assert_int_equal(p->frame.cap, FRAME_BUFFER_KEPT);
	free(text);
}

static int
charge_little(void *arg, int64_t more)
{
	int64_t *sum = arg;

	if (*sum + more > 10000)
		return -1;
	*sum += more;
	return 0;
}

static void
frame_charged(void **state)
{
	struct pair *p = *state;
	int64_t sum = 0;
	static char text[40000];

	p->frame.charge = charge_little;
	p->frame.charge_arg = &sum;
	memset(text, 'z', sizeof(text));
	text[6000] = '\0';
	put(p, text, 6001);
	assert_int_equal(frame_read(&p->frame, 1000), 0);
	assert_int_equal(sum, 4096);
	text[6000] = 'z';
	put(p, text, sizeof(text));
	assert_int_equal(frame_read(&p->frame, 1000), -ENOBUFS);
	frame_close(&p->frame);
	assert_int_equal(sum, 0);
}

static void
frame_fds(void **state)
{
	struct pair *p = *state;
	int before = open_files();
	int fd;

	/* The first message has none, though it is read when they are there. */
	put(p, "a\0", 2);
	put_fds(p, "b\0c\0", 4, p->peer, 2);
	put(p, "d\0", 2);
	assert_int_equal(frame_read(&p->frame, 1000), 0);
	assert_string_equal(p->frame.buf, "a");
	assert_int_equal(p->frame.nfds, 0);
	assert_int_equal(frame_read(&p->frame, 1000), 0);
	assert_string_equal(p->frame.buf, "b");
	assert_int_equal(p->frame.nfds, 2);
	fd = frame_take_fd(&p->frame);
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	close(fd);
	assert_int_equal(open_files(), before + 1);
	assert_int_equal(frame_read(&p->frame, 1000), 0);
	assert_string_equal(p->frame.buf, "c");
	assert_int_equal(p->frame.nfds, 0);
	assert_int_equal(open_files(), before);
}

static void
frame_too_many_fds(void **state)
{
	struct pair *p = *state;
	int before = open_files();

	put_fds(p, "many", 4, p->peer, 10);
	put_fds(p, "more\0", 5, p->peer, 3);
	assert_int_equal(frame_read(&p->frame, 1000), 0);
	assert_string_equal(p->frame.buf, "manymore");
	assert_int_equal(p->frame.nfds, FRAME_FDS_MAX);
	assert_int_equal(open_files(), before + (int)FRAME_FDS_MAX);
	frame_drop_fds(&p->frame);
	assert_int_equal(open_files(), before);
}

static void
frame_watched(void **state)
{
	struct pair *p = *state;
	int stop = eventfd(1, EFD_CLOEXEC);

	put(p, "there", 6);
	p->frame.watch[FRAME_WATCH_STOP] = stop;
	assert_int_equal(frame_read(&p->frame, 1000), -ECANCELED);
	assert_true(frame_gone(&p->frame));
	p->frame.watch[FRAME_WATCH_STOP] = -1;
	assert_false(frame_gone(&p->frame));
	assert_int_equal(frame_wait(&p->frame, -1, 5), -ETIMEDOUT);
	assert_int_equal(frame_wait(&p->frame, stop, 1000), 0);
	shutdown(p->peer, SHUT_WR);
	assert_true(frame_gone(&p->frame));
	close(stop);
}

static void
frame_slow_reader(void **state)
{
	struct pair *p = *state;
	char *text = malloc(4 << 20);

	memset(text, 'x', (4 << 20) - 1);
	text[(4 << 20) - 1] = '\0';
	assert_int_equal(frame_send(&p->frame, text, NULL, 0, 50),
			 -ETIMEDOUT);
	close(p->peer);
	assert_int_equal(frame_send(&p->frame, "x", NULL, 0, 50), -EPIPE);
	p->peer = -1;
	free(text);
}

/* --------------------------------------------------------------- scanning */

static void
scan_values(void **state)
{
	static const char text[] =
		"{\"a\":{\"n\" : -5,\"t\":\"x\\\"n\\\":7\\u00e9\\n\"},"
		"\"big\":9223372036854775807,\"over\":9223372036854775808,"
		"\"frac\":1.5,\"yes\":true,\"no\": false}";
	char buf[16];
	int64_t n;
	bool b;

	(void)state;
	assert_int_equal(scan_int(text, "n", &n), 0);
	assert_int_equal(n, -5);
	assert_int_equal(scan_int(text, "big", &n), 0);
	assert_true(n == INT64_MAX);
	assert_int_equal(scan_int(text, "over", &n), -EINVAL);
	assert_int_equal(scan_int(text, "frac", &n), -EINVAL);
	assert_int_equal(scan_int(text, "t", &n), -EINVAL);
	assert_int_equal(scan_int(text, "none", &n), -ENOENT);
	assert_int_equal(scan_text(text, "t", buf, sizeof(buf)), 0);
	assert_string_equal(buf, "x\"n\":7\xc3\xa9\n");
	assert_int_equal(scan_text(text, "t", buf, 4), -ENOBUFS);
	assert_string_equal(buf, "x\"n");
	assert_int_equal(scan_bool(text, "yes", &b), 0);
	assert_true(b);
	assert_int_equal(scan_bool(text, "no", &b), 0);
	assert_false(b);
	assert_int_equal(scan_bool(text, "n", &b), -EINVAL);
}

/* Any beginning of a text is walked without leaving it. */
static void
scan_cut(void **state)
{
	static const char text[] = "{\"k\":\"a\\u00e9\\\\\",\"n\":12}";
	unsigned depth;
	size_t values;
	char buf[16];
	int64_t n;

	(void)state;
	for (size_t len = 0; len < sizeof(text); len++) {
		char *copy = strndup(text, len);

		(void)!scan_text(copy, "k", buf, sizeof(buf));
		(void)!scan_int(copy, "n", &n);
		scan_measure(copy, &depth, &values);
		assert_true(depth <= 1 && values <= 3);
		free(copy);
	}
}

static void
scan_quoting(void **state)
{
	char buf[32];

	(void)state;
	assert_int_equal(scan_quote(buf, sizeof(buf), "a\"\\\x01\xc3\xa9"), 0);
	assert_string_equal(buf, "\"a\\\"\\\\\\u0001\xc3\xa9\"");
	assert_int_equal(scan_quote(buf, sizeof(buf), "\xff"), -EINVAL);
	assert_int_equal(scan_quote(buf, sizeof(buf), "\xc3"), -EINVAL);
	assert_int_equal(scan_quote(buf, sizeof(buf), "\xc0\xaf"), -EINVAL);
	assert_int_equal(scan_quote(buf, sizeof(buf), "\xed\xa0\x80"),
			 -EINVAL);
	assert_int_equal(scan_quote(buf, 5, "ab"), 0);
	assert_int_equal(scan_quote(buf, 4, "ab"), -ENOBUFS);
}

/* --------------------------------------------------------------- messages */

static int
parse_call(const char *text)
{
	struct varlink_call call;
	int r = varlink_call_parse(text, strlen(text), &call);

	if (r == 0)
		varlink_call_clear(&call);
	return r;
}

static void
call_good(void **state)
{
	static const char text[] = "{\"method\":\"a.B\",\"parameters\":"
		"{\"x\":1},\"more\":true,\"other\":[{}]}";
	struct varlink_call call;

	(void)state;
	assert_int_equal(varlink_call_parse(text, strlen(text), &call), 0);
	assert_string_equal(call.method, "a.B");
	assert_true(call.more && !call.oneway && !call.upgrade);
	assert_int_equal(json_integer_value(json_object_get(call.params,
							    "x")), 1);
	varlink_call_clear(&call);
	assert_int_equal(parse_call("{\"method\":\"a.B\",\"parameters\":null,"
				    "\"oneway\":null}"), 0);
}

static void
call_bad(void **state)
{
	static const char *const texts[] = {
		"", "x", "[]", "1", "null", "\"s\"", "{", "{}",
		"{\"method\":1}", "{\"method\":null}",
		"{\"method\":\"a.B\",\"method\":\"a.C\"}",
		"{\"method\":\"a.B\"} x", "{\"method\":\"a.B\",}",
		"{\"method\":\"a.B\",\"parameters\":[]}",
		"{\"method\":\"a.B\",\"parameters\":1}",
		"{\"method\":\"a.B\",\"more\":1}",
		"{\"method\":\"a.B\",\"oneway\":\"x\"}",
		"{\"method\":\"a.B\",\"more\":true,\"oneway\":true}",
		"{\"method\":\"a\\u0000B\"}", "{\"method\":\"\xff\"}",
		"{\"method\":\"a.B\",\"parameters\":{\"x\":1e999}}",
		"{\"method\":\"a.B\",\"parameters\":"
		"{\"x\":99999999999999999999}}",
		"{\"a\":[[[[[[[[1]]]]]]]],\"method\":\"a.B\"}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		if (parse_call(texts[i]) != -EPROTO)
			fail_msg("accepted: %s", texts[i]);
}

static void
call_bombs(void **state)
{
	enum { n = 500000 };
	static char text[2 * n + 64];
	char *p = text;

	(void)state;
	/* Deep: jansson recurses. */
	p = stpcpy(p, "{\"method\":\"a.B\",\"parameters\":{\"x\":");
	memset(p, '[', n);
	memset(p + n, ']', n);
	strcpy(p + 2 * n, "}}");
	assert_int_equal(parse_call(text), -EPROTO);
	/* Wide: each value costs a hundred times its bytes. */
	*p++ = '[';
	for (int i = 0; i < n / 2; i++, p += 3)
		memcpy(p, "{},", 3);
	strcpy(p, "1]}}");
	assert_int_equal(parse_call(text), -EPROTO);
}

static void
call_params(void **state)
{
	uint64_t n = 7;
	bool flag = true;
	const char *text = NULL, *bad = NULL;
	const struct varlink_param table[] = {
		{ "n", VARLINK_INT, false, &n },
		{ "flag", VARLINK_BOOL, true, &flag },
		{ "text", VARLINK_STRING, true, &text },
	};
	static const struct {
		const char *json, *bad;
	} cases[] = {
		{ "{\"n\":5}", NULL },
		{ "{\"n\":5,\"flag\":false,\"text\":\"t\"}", NULL },
		{ "{\"n\":5,\"text\":null}", NULL },
		{ "{}", "n" },
		{ "{\"n\":null}", "n" },
		{ "{\"n\":-1}", "n" },
		{ "{\"n\":\"5\"}", "n" },
		{ "{\"n\":5.0}", "n" },
		{ "{\"n\":true}", "n" },
		{ "{\"n\":5,\"flag\":1}", "flag" },
		{ "{\"n\":5,\"text\":[]}", "text" },
		{ "{\"n\":5,\"stray\":1}", "stray" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		json_t *json = json_loads(cases[i].json, 0, NULL);
		int r = varlink_params_read(json, table, 3, &bad);

		assert_int_equal(r, cases[i].bad == NULL ? 0 : -EINVAL);
		if (r < 0)
			assert_string_equal(bad, cases[i].bad);
		json_decref(json);
	}
	assert_int_equal(n, 5);
	assert_false(flag);
	/* No parameters at all are fine where none is needed. */
	assert_int_equal(varlink_params_read(NULL, table, 0, &bad), 0);
	assert_int_equal(varlink_params_read(NULL, table, 1, &bad), -EINVAL);
}

/* ------------------------------------------------------------------ paths */

static int
path_setup(void **state)
{
	char *dir = strdup("/tmp/swap-unit-XXXXXX");

	assert_non_null(mkdtemp(dir));
	setenv("SWAPD_RUNTIME_DIR", dir, 1);
	unsetenv("SWAPCTL_PAGER");
	*state = dir;
	return 0;
}

static int
path_teardown(void **state)
{
	char command[128];

	unsetenv("SWAPD_RUNTIME_DIR");
	snprintf(command, sizeof(command), "rm -rf %s", (char *)*state);
	assert_int_equal(system(command), 0);
	free(*state);
	return 0;
}

static void
path_names(void **state)
{
	static const char *const bad[] = {
		"", ".x", "a b", "a\nb",
		"n123456789012345678901234567890123456789012345678901234567890"
		"1234",
	};
	char path[PAGER_PATH_SIZE], expect[PAGER_PATH_SIZE];
	struct swap_error error = { 0 };
	struct pager_paths paths;
	char deep[200];

	assert_int_equal(path_client(NULL, path, &error), 0);
	snprintf(expect, sizeof(expect), "%s/default.sock", (char *)*state);
	assert_string_equal(path, expect);
	setenv("SWAPCTL_PAGER", "other", 1);
	assert_int_equal(path_client(NULL, path, &error), 0);
	assert_non_null(strstr(path, "/other.sock"));
	assert_int_equal(path_client("/x/y.sock", path, &error), 0);
	assert_string_equal(path, "/x/y.sock");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(path_client(bad[i], path, &error), -EINVAL);
		assert_true(error.message[0] != '\0');
		assert_int_equal(path_server(bad[i], &paths, &error),
				 -EINVAL);
	}
	memset(deep, 'd', sizeof(deep) - 1);
	deep[0] = '/';
	deep[sizeof(deep) - 1] = '\0';
	assert_int_equal(path_client(deep, path, &error), -ENAMETOOLONG);
	assert_non_null(strstr(error.message, "107"));
	assert_int_equal(path_server(deep, &paths, &error), -ENAMETOOLONG);
	setenv("SWAPD_RUNTIME_DIR", deep, 1);
	assert_int_equal(path_client("n", path, &error), -ENAMETOOLONG);
	setenv("SWAPD_RUNTIME_DIR", *state, 1);
}

/* The longest path that fits is accepted, one byte more is not. */
static void
path_limit(void **state)
{
	char dir[PAGER_PATH_SIZE], path[PAGER_PATH_SIZE];

	(void)state;
	memset(dir, 'd', sizeof(dir));
	dir[0] = '/';
	dir[107 - strlen("/n.sock")] = '\0';
	setenv("SWAPD_RUNTIME_DIR", dir, 1);
	assert_int_equal(path_client("n", path, NULL), 0);
	assert_int_equal(strlen(path), 107);
	assert_int_equal(path_client("nn", path, NULL), -ENAMETOOLONG);
	setenv("SWAPD_RUNTIME_DIR", *state, 1);
}

static void
path_files(void **state)
{
	struct pager_paths p;

	(void)state;
	assert_int_equal(path_server("/x/y.sock", &p, NULL), 0);
	assert_string_equal(p.name, "y");
	assert_string_equal(p.directory, "/x");
	assert_string_equal(p.socket, "/x/y.sock");
	assert_string_equal(p.lock, "/x/y.lock");
	assert_string_equal(p.state, "/x/y.state");
	assert_false(p.make_directory);
}

static void
path_listing(void **state)
{
	static const char *const files[] = {
		"b.sock", "a.sock", "a.lock", ".h.sock", "sock", ".sock",
	};
	struct pager_entry *entries;
	char path[128];
	size_t n;

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		snprintf(path, sizeof(path), "%s/%s", (char *)*state,
			 files[i]);
		close(open(path, O_CREAT | O_WRONLY, 0600));
	}
	assert_int_equal(pager_list(&entries, &n), 0);
	assert_int_equal(n, 2);
	assert_string_equal(entries[0].name, "a");
	assert_string_equal(entries[1].name, "b");
	assert_non_null(strstr(entries[0].path, "/a.sock"));
	pager_list_free(entries, n);
}

/* ---------------------------------------------------------------- handles */

static void
handles_model(void **state)
{
	struct handles h = { 0 };
	static uint64_t handle[3000];
	static int item[3000];
	size_t i, n = 0;

	(void)state;
	assert_null(handles_get(&h, 0));
	for (i = 0; i < 3000; i++)
		assert_int_equal(handles_add(&h, &item[i], &handle[i]), 0);
	for (i = 0; i < 3000; i += 2)
		assert_ptr_equal(handles_remove(&h, handle[i]), &item[i]);
	for (i = 0; i < 3000; i += 2) {
		uint64_t old = handle[i];

		assert_null(handles_get(&h, old));
		assert_null(handles_remove(&h, old));
		assert_int_equal(handles_add(&h, &item[i], &handle[i]), 0);
		assert_true(handle[i] != old && handle[i] > 0);
	}
	for (i = 0; i < 3000; i++)
		assert_ptr_equal(handles_get(&h, handle[i]), &item[i]);
	assert_null(handles_get(&h, UINT64_MAX));
	assert_null(handles_get(&h, 3001));
	while (handles_pop(&h) != NULL)
		n++;
	assert_int_equal(n, 3000);
	handles_clear(&h);
}

static void
handles_limit(void **state)
{
	struct handles h = { 0 };
	uint64_t handle;
	int item;

	(void)state;
	for (size_t i = 0; i < HANDLES_MAX; i++)
		assert_int_equal(handles_add(&h, &item, &handle), 0);
	assert_int_equal(handles_add(&h, &item, &handle), -ENOSPC);
	assert_non_null(handles_remove(&h, handle));
	assert_int_equal(handles_add(&h, &item, &handle), 0);
	while (handles_pop(&h) != NULL)
		;
	handles_clear(&h);
}

/* ----------------------------------------------------------------- record */

static void
record_of_clients(void **state)
{
	struct swap_error error = { 0 };
	struct state_client list[2];
	char dir[128], pid[16];
	pid_t child;

	snprintf(dir, sizeof(dir), "%s/x.state", (char *)*state);
	assert_int_equal(state_check(dir, &error), 0);
	assert_int_equal(state_reset(dir, &error), 0);
	assert_int_equal(state_check(dir, &error), 0);
	child = fork();
	if (child == 0) {
		alarm(20);
		pause();
		_exit(0);
	}
	list[0].pid = child;
	list[0].starttime = state_starttime(child);
	assert_true(list[0].starttime > 0);
	/* A number that another process has by now does not count. */
	list[1].pid = getpid();
	list[1].starttime = state_starttime(getpid()) + 1;
	assert_int_equal(state_write_clients(dir, list, 2), 0);
	assert_int_equal(state_check(dir, &error), -EEXIST);
	snprintf(pid, sizeof(pid), "pid %d)", (int)child);
	assert_non_null(strstr(error.message, pid));
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	assert_int_equal(state_check(dir, &error), 0);
	assert_int_equal(state_reset(dir, &error), 0);
	assert_int_equal(state_remove(dir, &error), 0);
	assert_int_equal(state_remove(dir, &error), 0);
	assert_int_equal(access(dir, F_OK), -1);
}

#define FRAME_TEST(f) \
	cmocka_unit_test_setup_teardown(f, pair_setup, pair_teardown)
#define PATH_TEST(f) \
	cmocka_unit_test_setup_teardown(f, path_setup, path_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		FRAME_TEST(frame_several),
		FRAME_TEST(frame_end),
		FRAME_TEST(frame_end_in_message),
		FRAME_TEST(frame_oversized),
		FRAME_TEST(frame_longest),
		FRAME_TEST(frame_charged),
		FRAME_TEST(frame_fds),
		FRAME_TEST(frame_too_many_fds),
		FRAME_TEST(frame_watched),
		FRAME_TEST(frame_slow_reader),
		cmocka_unit_test(scan_values),
		cmocka_unit_test(scan_cut),
		cmocka_unit_test(scan_quoting),
		cmocka_unit_test(call_good),
		cmocka_unit_test(call_bad),
		cmocka_unit_test(call_bombs),
		cmocka_unit_test(call_params),
		PATH_TEST(path_names),
		PATH_TEST(path_limit),
		PATH_TEST(path_files),
		PATH_TEST(path_listing),
		cmocka_unit_test(handles_model),
		cmocka_unit_test(handles_limit),
		PATH_TEST(record_of_clients),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
