/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The server over a fake pager: what peers may do, what they may not, and what
 * is left of them when they go.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "server-fixture.h"

#include "ipc/frame.h"
#include "ipc/scan.h"
#include "ipc/state.h"
#include "mapping.h"
#include "util.h"

/* ------------------------------------------------------------ the service */

static void
service(void **state)
{
	int fd = raw_open();

	(void)state;
	raw_send(fd, "{\"method\":\"org.varlink.service.GetInfo\"}");
	expect(raw_answer(fd), "org.swapkit.Pager");
	raw_send(fd, "{\"method\":\"org.varlink.service."
		 "GetInterfaceDescription\",\"parameters\":{\"interface\":"
		 "\"org.swapkit.Pager\"}}");
	expect(raw_answer(fd), "interface org.swapkit.Pager");
	raw_send(fd, "{\"method\":\"org.varlink.service."
		 "GetInterfaceDescription\",\"parameters\":{\"interface\":"
		 "\"org.no\"}}");
	expect(raw_answer(fd), "service.InterfaceNotFound");
	raw_send(fd, "{\"method\":\"org.no.Such\"}");
	expect(raw_answer(fd), "service.InterfaceNotFound");
	raw_send(fd, "{\"method\":\"nodot\"}");
	expect(raw_answer(fd), "service.InvalidParameter");
	expect(raw_call(fd, "Nothing", ""), "service.MethodNotFound");
	expect(raw_call(fd, "Attend", ""), "service.ExpectedMore");
	expect(raw_call(fd, "Hello", "\"protocol\":2"), "version 2");
	/* Nobody answers a oneway call; the next answer is the next call's. */
	raw_send(fd, "{\"method\":\"org.swapkit.Pager.Status\","
		 "\"oneway\":true}");
	expect(raw_call(fd, "Hello", "\"protocol\":1"), "\"protocol\":1");
	close(fd);
}

static void
hostile_closed(void **state)
{
	static const char *const texts[] = {
		"", "garbage", "{", "[]", "{}", "{\"method\":7}", "\x80\xff",
		"{\"method\":\"a.B\",\"method\":\"a.B\"}",
		"{\"method\":\"org.swapkit.Pager.Status\",\"parameters\":[]}",
		"{\"method\":\"org.swapkit.Pager.Status\",\"more\":3}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		int fd = raw_open();

		raw_send(fd, texts[i]);
		if (raw_answer(fd) != NULL)
			fail_msg("still open after: %s", texts[i]);
		close(fd);
	}
	expect_alive();
}

static void
hostile_answered(void **state)
{
	static const struct {
		const char *method, *params;
	} calls[] = {
		{ "Status", "\"interval_usec\":-1" },
		{ "Status", "\"interval_usec\":1" },
		{ "Status", "\"interval_usec\":9223372036854775807" },
		{ "Status", "\"stray\":{}" },
		{ "CreateObject", "" },
		{ "CreateObject", "\"size_bytes\":-4096" },
		{ "CreateObject", "\"size_bytes\":1.5" },
		{ "CreateObject", "\"size_bytes\":\"4096\"" },
		{ "CreateObject", "\"size_bytes\":4096,\"name\":5" },
		{ "CreateObject", "\"size_bytes\":4096,\"noswap\":0" },
		{ "OpenObject", "\"name\":null" },
		{ "CloseObject", "\"object\":0" },
		{ "CloseObject", "\"object\":1" },
		{ "CloseObject", "\"object\":9223372036854775807" },
		{ "UnmapRegion", "\"region\":1" },
		{ "Release", "\"region\":1,\"offset_bytes\":0,"
			"\"length_bytes\":4096" },
		{ "MapRegion", "\"object\":1,\"address\":4096,"
			"\"offset_bytes\":0,\"length_bytes\":4096" },
		{ "CopyObject", "\"object\":1" },
		{ "DropCopy", "\"token\":1" },
		{ "On", "\"device\":[]" },
		{ "Hello", "\"protocol\":-1" },
	};
	int fd = raw_open();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		expect(raw_call(fd, calls[i].method, calls[i].params),
		       "service.InvalidParameter");
	expect(raw_call(fd, "CreateObject", "\"size_bytes\":"
			"9223372036854775807"), "\"errno\":-27");
	expect(raw_call(fd, "CreateObject", "\"size_bytes\":0"),
	       "\"errno\":-22");
	expect(raw_call(fd, "OpenObject", "\"name\":\"none\""),
	       "No such file");
	expect(raw_call(fd, "ClaimCopy", "\"token\":\"x\""), "\"errno\":-2");
	expect(raw_call(fd, "DropCopy", "\"token\":\"x\""), "\"errno\":-2");
	expect(raw_call(fd, "Hello", "\"protocol\":1"), "\"pid\"");
	close(fd);
}

static void
hostile_sizes(void **state)
{
	char *text = malloc(2 << 20);
	int fd = raw_open(), half = raw_open();
	ssize_t n;

	(void)state;
	memset(text, ' ', 2 << 20);
	/* Half a message may wait as long as it likes. */
	assert_int_equal(send(half, "{\"method\"", 9, 0), 9);
	/* A whole megabyte without an end is too much. */
	do
		n = send(fd, text, 65536, MSG_NOSIGNAL);
	while (n > 0);
	assert_int_equal(errno == EPIPE || errno == ECONNRESET, 1);
	expect_alive();
	raw_send(half, ":\"org.swapkit.Pager.Hello\",\"parameters\":"
		 "{\"protocol\":1}}");
	expect(raw_answer(half), "\"pid\"");
	close(fd);
	close(half);
	free(text);
}

/* ----------------------------------------------------------------- memory */

/* Send a call with one descriptor. */
static const char *
call_fd(int sock, const char *params, int fd)
{
	struct frame frame = { .fd = sock, .watch = { -1, -1 } };
	char text[512];

	snprintf(text, sizeof(text), "{\"method\":\"org.swapkit.Pager."
		 "MapRegion\",\"parameters\":{%s}}", params);
	assert_int_equal(frame_send(&frame, text, &fd, 1, 1000), 0);
	return raw_answer(sock);
}

#define MAP_PARAMS(address, offset, length)				\
	",\"address\":" address ",\"offset_bytes\":" offset		\
	",\"length_bytes\":" length

static void
map_refused(void **state)
{
	static const struct {
		const char *params, *expect;
	} calls[] = {
		{ MAP_PARAMS("4096", "0", "4096"), "\"object\"" },
		{ MAP_PARAMS("0", "0", "4096"), "\"address\"" },
		{ MAP_PARAMS("4097", "0", "4096"), "\"address\"" },
		{ MAP_PARAMS("9223372036854771712", "0", "4096"),
			"\"address\"" },
		{ MAP_PARAMS("4096", "1", "4096"), "\"offset_bytes\"" },
		{ MAP_PARAMS("4096", "8192", "4096"), "\"offset_bytes\"" },
		{ MAP_PARAMS("4096", "9223372036854771712", "4096"),
			"\"offset_bytes\"" },
		{ MAP_PARAMS("4096", "0", "0"), "\"length_bytes\"" },
		{ MAP_PARAMS("4096", "0", "4095"), "\"length_bytes\"" },
		{ MAP_PARAMS("4096", "4096", "8192"), "\"length_bytes\"" },
		{ MAP_PARAMS("4096", "4096", "9223372036854771712"),
			"\"length_bytes\"" },
	};
	int fd = raw_open();
	uint64_t features;
	char text[256];
	int64_t object;
	int uffd;

	(void)state;
	NEED_UFFD();
	expect(raw_call(fd, "CreateObject", "\"size_bytes\":8192"),
	       "\"object\"");
	assert_int_equal(scan_int(raw_call(fd, "CreateObject",
					   "\"size_bytes\":8192"),
				  "object", &object), 0);
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		/* The first with a handle that is none. */
		snprintf(text, sizeof(text), "\"object\":%d%s",
			 i == 0 ? 77 : (int)object, calls[i].params);
		expect(raw_call(fd, "MapRegion", text), calls[i].expect);
	}
	snprintf(text, sizeof(text), "\"object\":%d,\"address\":65536,"
		 "\"offset_bytes\":0,\"length_bytes\":4096", (int)object);
	/* None, one of the wrong kind, one that watches nothing. */
	expect(raw_call(fd, "MapRegion", text), "\"errno\":-9");
	expect(call_fd(fd, text, fd), "\"errno\":-9");
	uffd = uffd_open(-1, &features, NULL);
	expect(call_fd(fd, text, uffd), "nothing is watched");
	close(uffd);
	close(fd);
}

static void
foreign_handles(void **state)
{
	int a = raw_open(), b = raw_open();
	int64_t object;
	char text[64];

	(void)state;
	assert_int_equal(scan_int(raw_call(a, "CreateObject",
					   "\"size_bytes\":4096"),
				  "object", &object), 0);
	snprintf(text, sizeof(text), "\"object\":%d", (int)object);
	expect(raw_call(b, "CloseObject", text), "InvalidParameter");
	expect(raw_call(b, "CopyObject", text), "InvalidParameter");
	expect(raw_call(a, "CloseObject", text), "{}");
	expect(raw_call(a, "CloseObject", text), "InvalidParameter");
	close(a);
	close(b);
}

static int
open_files(void)
{
	int n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void
surplus_fds(void **state)
{
	int fd = raw_open(), before;

	(void)state;
	expect(raw_call(fd, "Hello", "\"protocol\":1"), "\"pid\"");
	before = open_files();
	for (int i = 0; i < 20; i++)
		expect(call_fd(fd, "", fd), "InvalidParameter");
	/* Those of the last message go with the next one. */
	expect(raw_call(fd, "Hello", "\"protocol\":1"), "\"pid\"");
	assert_int_equal(open_files(), before);
	close(fd);
}

static void
abrupt_close(void **state)
{
	struct fixture *f = *state;
	int fd = raw_open();

	for (int i = 0; i < 100; i++)
		expect(raw_call(fd, "CreateObject", "\"size_bytes\":4096"),
		       "\"object\"");
	assert_true(fake_becomes(&f->pager, &f->pager.nobjects, 100));
	close(fd);
	assert_true(fake_becomes(&f->pager, &f->pager.nobjects, 0));
}

/*
 * A process that is killed while a child of it holds the socket: what it held
 * is freed all the same.
 */
static void
death_with_child(void **state)
{
	struct fixture *f = *state;
	pid_t child, grandchild = 0;
	int pipes[2];

	assert_int_equal(pipe(pipes), 0);
	child = fork();
	if (child == 0) {
		int fd = raw_open();

		if (raw_call(fd, "CreateObject", "\"size_bytes\":4096") ==
		    NULL)
			_exit(1);
		grandchild = fork();
		/* Should the test fail, nobody stays behind. */
		alarm(20);
		if (grandchild > 0 &&
		    write(pipes[1], &grandchild, sizeof(grandchild)) < 0)
			_exit(1);
		for (;;)
			pause();
	}
	assert_int_equal(read(pipes[0], &grandchild, sizeof(grandchild)),
			 (ssize_t)sizeof(grandchild));
	assert_true(fake_becomes(&f->pager, &f->pager.nobjects, 1));
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	assert_true(fake_becomes(&f->pager, &f->pager.nobjects, 0));
	assert_int_equal(kill(grandchild, 0), 0);
	kill(grandchild, SIGKILL);
	close(pipes[0]);
	close(pipes[1]);
}

/* ---------------------------------------------------------------- devices */

static void
devices(void **state)
{
	struct fixture *f = *state;
	int fd = raw_open();

	expect(raw_call(fd, "On", "\"device\":\"/dev/x\",\"priority\":5,"
			"\"create_bytes\":4096,\"force\":true"), "{}");
	assert_true(fake_becomes(&f->pager, &f->pager.nattached, 1));
	expect(raw_call(fd, "On", "\"device\":\"/missing\""),
	       "no such device");
	expect(raw_call(fd, "On", "\"device\":\"relative\""),
	       "not an absolute path");
	expect(raw_call(fd, "On", "\"device\":\"/dev/x\","
			"\"priority\":32768"), "\"errno\":-22");
	f->pager.detach_ends = true;
	expect(raw_call(fd, "Off", "\"device\":\"/dev/x\""),
	       "\"done_bytes\":");
	raw_send(fd, "{\"method\":\"org.swapkit.Pager.Off\",\"more\":true,"
		 "\"parameters\":{\"device\":\"/dev/x\"}}");
	expect(raw_answer(fd), "\"continues\":true");
	expect(raw_answer(fd), "\"continues\":true");
	if (strstr(raw_answer(fd), "continues") != NULL)
		fail();
	close(fd);
}

/* Several together: each has its own result. */
static void
off_several(void **state)
{
	struct fixture *f = *state;
	int fd = raw_open();
	const char *text;

	f->pager.detach_ends = true;
	text = raw_call(fd, "Off", "\"devices\":[\"/dev/x\",\"/missing\"]");
	expect(text, "\"device\":\"/dev/x\"");
	expect(text, "\"device\":\"/missing\"");
	expect(text, "\"errno\":-6");
	expect(text, "is not in use");
	raw_send(fd, "{\"method\":\"org.swapkit.Pager.Off\",\"more\":true,"
		 "\"parameters\":{\"devices\":[\"/dev/x\",\"/dev/y\"]}}");
	expect(raw_answer(fd), "\"continues\":true");
	expect(raw_answer(fd), "\"continues\":true");
	if (strstr(raw_answer(fd), "continues") != NULL)
		fail();
	/* One or the other, and names. */
	expect(raw_call(fd, "Off", "\"device\":\"/x\",\"devices\":[]"),
	       "InvalidParameter");
	expect(raw_call(fd, "Off", ""), "InvalidParameter");
	expect(raw_call(fd, "Off", "\"devices\":[]"), "\"errno\":-22");
	expect(raw_call(fd, "Off", "\"devices\":[1]"), "InvalidParameter");
	expect(raw_call(fd, "Off", "\"devices\":[\"/x\",\"y\"]"),
	       "not an absolute path");
	close(fd);
}

static void
off_hang_up(void **state)
{
	struct fixture *f = *state;

	/* With progress, and without. */
	for (unsigned i = 0; i < 2; i++) {
		char text[256];
		int fd = raw_open();

		snprintf(text, sizeof(text), "{\"method\":\"org.swapkit.Pager."
			 "Off\",\"more\":%s,\"parameters\":{\"device\":"
			 "\"/dev/x\"}}", i == 0 ? "true" : "false");
		raw_send(fd, text);
		assert_true(fake_becomes(&f->pager, &f->pager.ndetaching, 1));
		close(fd);
		assert_true(fake_becomes(&f->pager, &f->pager.nstopped,
					 i + 1));
	}
}

static void
status_stream(void **state)
{
	int fd = raw_open();

	(void)state;
	raw_send(fd, "{\"method\":\"org.swapkit.Pager.Status\",\"more\":true,"
		 "\"parameters\":{\"interval_usec\":20000}}");
	for (int i = 0; i < 3; i++)
		expect(raw_answer(fd), "\"continues\":true");
	close(fd);
}

/* ------------------------------------------------------------- permission */

static int
nobody_tries(void)
{
	int fd = raw_open();

	if (!has(raw_call(fd, "On", "\"device\":\"/dev/x\""),
		 "\"errno\":-1,"))
		return 1;
	if (!has(raw_call(fd, "Off", "\"device\":\"/dev/x\""), "root"))
		return 2;
	if (!has(raw_call(fd, "Stop", "\"force\":true"), "\"errno\":-1,"))
		return 3;
	if (!has(raw_call(fd, "OpenObject", "\"name\":\"of root\""),
		 "\"errno\":-13"))
		return 4;
	if (!has(raw_call(fd, "CreateObject", "\"name\":\"of nobody\","
			  "\"size_bytes\":4096"), "\"object\""))
		return 5;
	if (has(raw_call(fd, "Status", ""), "of root"))
		return 6;
	if (!has(raw_call(fd, "Status", ""), "of nobody"))
		return 7;
	if (!has(raw_call(fd, "GetUserfaultDevice", ""), "{}"))
		return 8;
	return 0;
}

static void
permission(void **state)
{
	struct fixture *f = *state;
	struct swap_client *client = connected();
	struct swap_client_object *object;

	NEED_ROOT();
	object = created(client, "of root", PAGE);
	assert_int_equal(as_nobody(nobody_tries), 0);
	assert_true(fake_becomes(&f->pager, &f->pager.nattached, 0));
	assert_int_equal(server_ended(f->server), SERVER_RUNNING);
	swap_client_object_close(object);
	swap_client_close(client);
}

/* The longest chunks that it may buffer, on more and more connections. */
static int
nobody_hoards(void)
{
	static char text[1000000];
	int closed = 0;

	memset(text, ' ', sizeof(text));
	for (int i = 0; i < 24; i++) {
		int fd = raw_open();

		if (send(fd, text, sizeof(text), MSG_NOSIGNAL) !=
		    (ssize_t)sizeof(text))
			closed++;
	}
	return closed >= 6 && closed < 20 ? 0 : 1 + closed;
}

static int
nobody_crowds(void)
{
	int n = 0, refused = 0, fd;

	while (n < 1100 && (fd = raw_open()) >= 0)
		n++;
	if (n != 1100)
		return 1;
	/* The last ones have been closed without a word. */
	for (fd = 1090; fd < 1100; fd++)
		refused += raw_call(fd, "Hello", "\"protocol\":1") == NULL;
	return refused == 10 ? 0 : 2;
}

static void
crowding(void **state)
{
	struct rlimit old, limit;

	(void)state;
	NEED_ROOT();
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	limit = old;
	limit.rlim_cur = 8192;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		skip();
	assert_int_equal(as_nobody(nobody_crowds), 0);
	expect_alive();
	assert_int_equal(as_nobody(nobody_hoards), 0);
	expect_alive();
	setrlimit(RLIMIT_NOFILE, &old);
}

static void
stop_call(void **state)
{
	struct fixture *f = *state;
	struct pollfd p = { .fd = server_ended_fd(f->server),
			    .events = POLLIN };
	int fd = raw_open();

	f->pager.handover_fails = true;
	expect(raw_call(fd, "Stop", ""), "does not fit");
	assert_int_equal(poll(&p, 1, 0), 0);
	expect(raw_call(fd, "Hello", "\"protocol\":1"), "\"pid\"");
	expect(raw_call(fd, "Stop", "\"force\":true"), "{}");
	assert_int_equal(poll(&p, 1, 2000), 1);
	assert_int_equal(server_ended(f->server), SERVER_ABANDONED);
	/* The caller's connection ends last of all. */
	server_stop(f->server);
	p.fd = fd;
	assert_int_equal(poll(&p, 1, 20), 0);
	close(fd);
}

/* A peer that does not read holds nobody up, the end included. */
static void
stop_with_slow_reader(void **state)
{
	struct fixture *f = *state;
	struct timespec start, end;
	int fd = raw_open();

	f->pager.extra_objects = 3000;
	for (int i = 0; i < 4; i++)
		raw_send(fd, "{\"method\":\"org.swapkit.Pager.Status\"}");
	expect_alive();
	clock_gettime(CLOCK_MONOTONIC, &start);
	server_stop(f->server);
	clock_gettime(CLOCK_MONOTONIC, &end);
	assert_true(end.tv_sec - start.tv_sec <= 2);
	close(fd);
}

/* ------------------------------------------------------------------- name */

static void
second_of_a_name(void **state)
{
	const struct log log = { NULL, NULL };
	struct swap_error error = { 0 };
	struct server *second;
	char want[32];

	(void)state;
	assert_int_equal(server_claim("unit", &log, &second, &error),
			 -EEXIST);
	snprintf(want, sizeof(want), "pid %d", (int)getpid());
	assert_non_null(strstr(error.message, want));
	expect_alive();
}

static void
stale_socket(void **state)
{
	const struct log log = { NULL, NULL };
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct swap_error error = { 0 };
	struct swap_pager pager;
	struct swap_client *client;
	struct server *server;
	struct stat st;
	int fd;

	fake_init(&pager);
	/* What a swapd leaves that was killed: a socket nobody listens at. */
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/stale.sock",
		 ((struct fixture *)*state)->dir);
	assert_int_equal(bind(fd, (const struct sockaddr *)&addr,
			      sizeof(addr)), 0);
	close(fd);
	assert_int_equal(swap_client_connect("stale", &client, &error),
			 -ECONNREFUSED);
	assert_int_equal(server_claim("stale", &log, &server, &error), 0);
	assert_int_equal(server_start(server, &pager, &error), 0);
	assert_int_equal(stat(addr.sun_path, &st), 0);
	assert_int_equal(st.st_mode & 0777, geteuid() == 0 ? 0666 : 0600);
	assert_int_equal(swap_client_connect("stale", &client, &error), 0);
	swap_client_close(client);
	server_free(server);
	assert_int_equal(swap_client_connect("stale", &client, &error),
			 -ENOENT);
	assert_non_null(strstr(error.message, "swapd"));
	fake_fini(&pager);
}

/* A directory of somebody else is refused. */
static void
foreign_directory(void **state)
{
	const struct log log = { NULL, NULL };
	struct swap_error error = { 0 };
	struct server *server;
	char name[64];

	NEED_ROOT();
	snprintf(name, sizeof(name), "%s/sub", ((struct fixture *)*state)->dir);
	assert_int_equal(mkdir(name, 0755), 0);
	assert_int_equal(chown(name, 65534, 65534), 0);
	strcat(name, "/x.sock");
	assert_int_equal(server_claim(name, &log, &server, &error), -EACCES);
	assert_non_null(strstr(error.message, "65534"));
}

/* ------------------------------------------------- ranges of objects */

/* A handle of a new object of 8 pages on a raw connection. */
static int
raw_object(int fd)
{
	const char *answer = raw_call(fd, "CreateObject",
				      "\"size_bytes\":32768");
	int64_t handle = 0;

	expect(answer, "\"object\":");
	assert_int_equal(scan_int(answer, "object", &handle), 0);
	return (int)handle;
}

/* Parameters with handles in them: @ is one, # the other. */
static void
fill(char *buf, size_t size, const char *params, int a, int b)
{
	size_t len = 0;

	for (; *params != '\0' && len + 12 < size; params++) {
		if (*params == '@' || *params == '#')
			len += (size_t)snprintf(buf + len, size - len, "%d",
						*params == '@' ? a : b);
		else
			buf[len++] = *params;
	}
	buf[len] = '\0';
}

/* Each parameter of each call that is wrong is named, and nothing is done. */
static void
object_calls_refused(void **state)
{
	static const struct {
		const char	*method, *params, *bad;
	} cases[] = {
		{ "AllowSwap", "", "object" },
		{ "AllowSwap", "\"object\":99", "object" },
		{ "AllowSwap", "\"object\":@,\"x\":1", "x" },
		{ "Limit", "\"ram_bytes\":-1", "ram_bytes" },
		{ "Limit", "\"swap_bytes\":\"1G\"", "swap_bytes" },
		{ "LimitObject", "\"ram_bytes\":1048576", "object" },
		{ "LimitObject", "\"object\":99,\"ram_bytes\":0", "object" },
		{ "Get", "\"object\":@,\"offset_bytes\":0,"
		  "\"length_bytes\":4096", "wanted_bytes" },
		{ "Get", "\"object\":@,\"offset_bytes\":1,\"length_bytes\":"
		  "4096,\"wanted_bytes\":0", "offset_bytes" },
		{ "Get", "\"object\":@,\"offset_bytes\":4096,\"length_bytes\":"
		  "4096,\"wanted_bytes\":0", "wanted_bytes" },
		{ "Get", "\"object\":@,\"offset_bytes\":4096,\"length_bytes\":"
		  "4096,\"wanted_bytes\":8192", "wanted_bytes" },
		{ "Get", "\"object\":@,\"offset_bytes\":0,\"length_bytes\":"
		  "4096,\"wanted_bytes\":1", "wanted_bytes" },
		{ "Get", "\"object\":@,\"offset_bytes\":0,\"length_bytes\":"
		  "36864,\"wanted_bytes\":0", "length_bytes" },
		{ "Get", "\"object\":@,\"offset_bytes\":0,\"length_bytes\":"
		  "9223372036854771712,\"wanted_bytes\":0", "length_bytes" },
		{ "Get", "\"object\":@,\"offset_bytes\":9223372036854771712,"
		  "\"length_bytes\":4096,\"wanted_bytes\":0",
		  "offset_bytes" },
		{ "Get", "\"object\":@,\"offset_bytes\":0,\"length_bytes\":"
		  "4096,\"wanted_bytes\":0,\"all\":1", "all" },
		{ "Get", "\"object\":@,\"offset_bytes\":0,\"length_bytes\":"
		  "-4096,\"wanted_bytes\":0", "length_bytes" },
		{ "Flush", "\"object\":@,\"offset_bytes\":0,"
		  "\"length_bytes\":0", "length_bytes" },
		{ "Flush", "\"object\":@,\"offset_bytes\":0,\"length_bytes\":"
		  "4096,\"deactivate\":true,\"free\":true", "free" },
		{ "Reserve", "\"object\":@,\"offset_bytes\":0,"
		  "\"length_bytes\":40960", "length_bytes" },
		{ "Reserve", "\"object\":null,\"offset_bytes\":0,"
		  "\"length_bytes\":4096", "object" },
		{ "Unreserve", "\"object\":@,\"offset_bytes\":32768,"
		  "\"length_bytes\":4096", "offset_bytes" },
		{ "HasPage", "\"object\":@,\"offset_bytes\":32768",
		  "offset_bytes" },
		{ "HasPage", "\"object\":@,\"offset_bytes\":\"0\"",
		  "offset_bytes" },
		{ "Copy", "\"from\":@,\"from_offset_bytes\":0,\"to\":@,"
		  "\"to_offset_bytes\":0,\"length_bytes\":4096", "to" },
		{ "Copy", "\"from\":99,\"from_offset_bytes\":0,\"to\":@,"
		  "\"to_offset_bytes\":0,\"length_bytes\":4096", "from" },
		{ "Copy", "\"from\":@,\"from_offset_bytes\":1,\"to\":#,"
		  "\"to_offset_bytes\":0,\"length_bytes\":4096",
		  "from_offset_bytes" },
		{ "Copy", "\"from\":@,\"from_offset_bytes\":0,\"to\":#,"
		  "\"to_offset_bytes\":4097,\"length_bytes\":4096",
		  "to_offset_bytes" },
		{ "Copy", "\"from\":@,\"from_offset_bytes\":0,\"to\":#,"
		  "\"to_offset_bytes\":4096,\"length_bytes\":32768",
		  "length_bytes" },
		{ "SetWritable", "\"region\":@,\"writable\":true",
		  "region" },
		{ "SetWritable", "\"region\":1", "writable" },
	};
	struct fixture *f = *state;
	char params[256], want[64];
	int fd = raw_open(), a = raw_object(fd), b = raw_object(fd);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		fill(params, sizeof(params), cases[i].params, a, b);
		snprintf(want, sizeof(want), "\"parameter\":\"%s\"",
			 cases[i].bad);
		expect(raw_call(fd, cases[i].method, params), want);
	}
	assert_int_equal(f->pager.nparts, 0);
	assert_int_equal(f->pager.reserved, 0);
	close(fd);
	expect_alive();
}

/* A handle of one connection is nothing on another. */
static void
object_calls_foreign(void **state)
{
	int mine = raw_open(), other = raw_open(), handle = raw_object(other);
	char params[128];

	(void)state;
	snprintf(params, sizeof(params), "\"object\":%d,\"offset_bytes\":0,"
		 "\"length_bytes\":4096,\"free\":true", handle);
	expect(raw_call(mine, "Flush", params), "\"parameter\":\"object\"");
	close(mine);
	close(other);
}

/* Limits reach the pager, each with the number of its own connection. */
static void
limits(void **state)
{
	struct fixture *f = *state;
	struct swap_pager *pager = &f->pager;
	int fd = raw_open(), handle = raw_object(fd);
	struct swap_client *client;
	uint64_t first;
	char params[128];

	expect(raw_call(fd, "Limit", "\"ram_bytes\":4194304"), "{}");
	assert_int_equal(pager->ram_limit, 4194304);
	assert_int_equal(pager->swap_limit, 0);
	first = pager->limit_client;
	assert_true(first > 0);
	expect(raw_call(fd, "Limit", "\"ram_bytes\":4095"), "\"errno\":-22");
	snprintf(params, sizeof(params), "\"object\":%d,\"ram_bytes\":"
		 "2097152,\"swap_bytes\":8192", handle);
	expect(raw_call(fd, "LimitObject", params), "{}");
	assert_int_equal(pager->limit_client, 0);
	assert_int_equal(pager->ram_limit, 2097152);
	assert_int_equal(pager->swap_limit, 8192);
	assert_int_equal(swap_client_connect("unit", &client, NULL), 0);
	assert_int_equal(swap_client_limit(client, 1048575, 0, NULL), -EINVAL);
	assert_int_equal(swap_client_limit(client, UINT64_MAX, 4096, NULL), 0);
	assert_int_equal(pager->ram_limit, INT64_MAX);
	assert_int_equal(pager->swap_limit, 4096);
	assert_true(pager->limit_client > first);
	swap_client_close(client);
	assert_true(fake_becomes(pager, &pager->nended, 1));
	close(fd);
	assert_true(fake_becomes(pager, &pager->nended, 2));
}

static int
raw_large_object(int fd)
{
	int64_t handle = 0;

	/* 256 GiB. */
	assert_int_equal(scan_int(raw_call(fd, "CreateObject",
					   "\"size_bytes\":274877906944"),
				  "object", &handle), 0);
	return (int)handle;
}

static void
get_limits(void **state)
{
	struct fixture *f = *state;
	int fd = raw_open(), handle = raw_large_object(fd);
	char params[160];

	snprintf(params, sizeof(params), "\"object\":%d,\"offset_bytes\":0,"
		 "\"length_bytes\":268439552,\"wanted_bytes\":0", handle);
	expect(raw_call(fd, "Get", params), "\"parameter\":\"length_bytes\"");
	f->pager.lost_page = 3;
	snprintf(params, sizeof(params), "\"object\":%d,\"offset_bytes\":"
		 "4096,\"length_bytes\":20480,\"wanted_bytes\":4096,"
		 "\"all\":true", handle);
	/* The states come with the error. */
	expect(raw_call(fd, "Get", params), "\"states\":\"rrlrr\"");
	expect(raw_call(fd, "Get", params), "\"errno\":-5");
	expect(raw_call(fd, "Get", params), "page 3 does not \\\"come\\\"");
	expect(raw_call(fd, "Get", params), "\"count\":4");
	/* One page that has to come is one call, however long the range. */
	f->pager.nparts = 0;
	snprintf(params, sizeof(params), "\"object\":%d,\"offset_bytes\":0,"
		 "\"length_bytes\":268435456,\"wanted_bytes\":8192", handle);
	expect(raw_call(fd, "Get", params), "\"errno\":0");
	assert_int_equal(f->pager.nparts, 1);
	close(fd);
}

/* Who hangs up in the middle of a long call ends it; others go on meanwhile. */
static void
long_call_hang_up(void **state, const char *method, const char *params)
{
	struct fixture *f = *state;
	int fd = raw_open(), a = raw_large_object(fd), b = raw_large_object(fd);
	char text[512], filled[256];
	unsigned nparts;

	f->pager.slow = true;
	fill(filled, sizeof(filled), params, a, b);
	snprintf(text, sizeof(text), "{\"method\":\"org.swapkit.Pager.%s\","
		 "\"parameters\":{%s}}", method, filled);
	raw_send(fd, text);
	while (f->pager.nparts < 3)
		expect_alive();
	close(fd);
	/* The objects go when the thread has noticed. */
	assert_true(fake_becomes(&f->pager, &f->pager.nobjects, 0));
	nparts = f->pager.nparts;
	assert_in_range(nparts, 3, 60);
	f->pager.nparts = 0;
	f->pager.slow = false;
}

static void
long_calls(void **state)
{
	long_call_hang_up(state, "Get", "\"object\":@,\"offset_bytes\":0,"
			  "\"length_bytes\":268435456,\"wanted_bytes\":0,"
			  "\"all\":true");
	long_call_hang_up(state, "Flush", "\"object\":@,\"offset_bytes\":0,"
			  "\"length_bytes\":274877906944,"
			  "\"deactivate\":true");
	long_call_hang_up(state, "Copy", "\"from\":@,\"from_offset_bytes\":0,"
			  "\"to\":#,\"to_offset_bytes\":0,"
			  "\"length_bytes\":274877906944");
}

/* Nothing changes hands behind a handover's back. */
static void
object_calls_after_end(void **state)
{
	struct fixture *f = *state;
	int fd = raw_open(), a = raw_object(fd), b = raw_object(fd);
	struct swap_error error = { 0 };
	char params[160];

	assert_int_equal(server_end(f->server, false, &error), 0);
	snprintf(params, sizeof(params), "\"from\":%d,\"from_offset_bytes\":0,"
		 "\"to\":%d,\"to_offset_bytes\":0,\"length_bytes\":4096", a, b);
	expect(raw_call(fd, "Copy", params), "is ending");
	snprintf(params, sizeof(params), "\"object\":%d,\"offset_bytes\":0,"
		 "\"length_bytes\":4096,\"wanted_bytes\":0", a);
	expect(raw_call(fd, "Get", params), "is ending");
	snprintf(params, sizeof(params), "\"object\":%d,\"offset_bytes\":0,"
		 "\"length_bytes\":4096,\"deactivate\":true", a);
	expect(raw_call(fd, "Flush", params), "is ending");
	assert_int_equal(f->pager.nparts, 0);
	close(fd);
}

/* ------------------------------------------------------- tunables and maps */

static void
tunables(void **state)
{
	struct fixture *f = *state;
	int fd = raw_open();

	expect(raw_call(fd, "GetTunables", ""), "\"name\":\"other\"");
	expect(raw_call(fd, "GetTunables", "\"name\":\"one\""),
	       "{\"tunables\":[{\"name\":\"one\",\"value\":\"first\","
	       "\"default_value\":\"first\",\"unit\":\"words\","
	       "\"range\":\"first|second\",\"summary\":\"A word\"}]}");
	expect(raw_call(fd, "GetTunables", "\"name\":\"none\""),
	       "there is no tunable 'none'");
	expect(raw_call(fd, "GetTunables", "\"name\":7"),
	       "\"parameter\":\"name\"");
	expect(raw_call(fd, "SetTunable", "\"name\":\"one\",\"value\":"
			"\"second\""), "\"parameters\":{}");
	assert_true(fake_becomes(&f->pager, &f->pager.ntuned, 1));
	expect(raw_call(fd, "SetTunable", "\"name\":\"one\",\"value\":"
			"\"third\""), "one: not a value");
	expect(raw_call(fd, "SetTunable", "\"name\":\"no\",\"value\":\"1\""),
	       "\"errno\":-2");
	expect(raw_call(fd, "SetTunable", "\"name\":\"one\""),
	       "\"parameter\":\"value\"");
	expect(raw_call(fd, "SetTunable", "\"name\":\"one\",\"value\":2"),
	       "\"parameter\":\"value\"");
	expect(raw_call(fd, "GetTunables", "\"name\":\"one\""),
	       "\"value\":\"second\"");
	close(fd);
}

static void
device_maps(void **state)
{
	int fd = raw_open();

	(void)state;
	expect(raw_call(fd, "Map", "\"device\":\"/dev/fake\",\"cells\":2"),
	       "\"fragmentation\":30,\"histogram\":[{\"order\":0,\"runs\":2,"
	       "\"blocks\":2},{\"order\":6,\"runs\":1,\"blocks\":64}],"
	       "\"cells\":[{\"nblocks\":1,\"nfree\":0},{\"nblocks\":2,"
	       "\"nfree\":1}]");
	expect(raw_call(fd, "Map", "\"device\":\"/dev/fake\""),
	       "\"cells\":[]");
	expect(raw_call(fd, "Map", "\"device\":\"/dev/none\""),
	       "\"errno\":-6");
	expect(raw_call(fd, "Map", "\"device\":\"none\""), "absolute path");
	expect(raw_call(fd, "Map", "\"device\":\"/dev/fake\",\"cells\":4097"),
	       "\"parameter\":\"cells\"");
	expect(raw_call(fd, "Map", "\"cells\":1"),
	       "\"parameter\":\"device\"");
	close(fd);
}

static int
nobody_tunes(void)
{
	int fd = raw_open(), r = 0;

	if (!has(raw_call(fd, "GetTunables", ""), "\"one\""))
		r |= 1;
	if (!has(raw_call(fd, "SetTunable", "\"name\":\"one\",\"value\":"
			  "\"second\""), "only root may do that"))
		r |= 2;
	if (!has(raw_call(fd, "Map", "\"device\":\"/dev/fake\""), "histogram"))
		r |= 4;
	/* Its own objects and charges are all that it sees. */
	if (!has(raw_call(fd, "CreateObject", "\"size_bytes\":8192"),
		 "\"object\":"))
		r |= 8;
	if (!has(raw_call(fd, "Status", ""), "\"users\":[{\"uid\":65534,"
		 "\"charged_bytes\":8192,\"limit_bytes\":0}]"))
		r |= 16;
	return r;
}

static void
tunables_permission(void **state)
{
	struct fixture *f = *state;
	int fd = raw_open();

	NEED_ROOT();
	raw_object(fd);
	assert_int_equal(as_nobody(nobody_tunes), 0);
	assert_int_equal(f->pager.ntuned, 0);
	assert_true(fake_becomes(&f->pager, &f->pager.nobjects, 1));
	expect(raw_call(fd, "Status", ""), "\"users\":[{\"uid\":0,"
	       "\"charged_bytes\":32768,\"limit_bytes\":0}]");
	close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(service),
		TEST(hostile_closed),
		TEST(hostile_answered),
		TEST(hostile_sizes),
		TEST(map_refused),
		TEST(foreign_handles),
		TEST(surplus_fds),
		TEST(abrupt_close),
		TEST(death_with_child),
		TEST(devices),
		TEST(off_several),
		TEST(off_hang_up),
		TEST(status_stream),
		TEST(permission),
		TEST(crowding),
		TEST(stop_call),
		TEST(stop_with_slow_reader),
		TEST(second_of_a_name),
		TEST(stale_socket),
		TEST(foreign_directory),
		TEST(object_calls_refused),
		TEST(limits),
		TEST(object_calls_foreign),
		TEST(get_limits),
		TEST(long_calls),
		TEST(object_calls_after_end),
		TEST(tunables),
		TEST(device_maps),
		TEST(tunables_permission),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
