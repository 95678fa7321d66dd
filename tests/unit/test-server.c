/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The server and the client over a fake pager: what peers may do, what they
 * may not, and what is left of them when they go.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "fake-pager.h"
#include "ipc/client.h"
#include "ipc/frame.h"
#include "ipc/scan.h"
#include "ipc/server.h"
#include "ipc/state.h"
#include "mapping.h"
#include "util.h"

#define PAGE	4096

struct fixture {
	char		 dir[32];
	struct swap_pager pager;
	struct server	*server;
};

static int
remove_tree(const char *dir)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	const struct log log = { NULL, NULL };
	struct swap_error error = { 0 };

	strcpy(f->dir, "/tmp/swap-unit-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	assert_int_equal(chmod(f->dir, 0755), 0);
	setenv("SWAPD_RUNTIME_DIR", f->dir, 1);
	fake_init(&f->pager);
	if (server_claim("unit", &log, &f->server, &error) < 0)
		fail_msg("%s", error.message);
	assert_int_equal(state_reset(server_paths(f->server)->state, NULL), 0);
	assert_int_equal(server_start(f->server, &f->pager, &error), 0);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	server_free(f->server);
	/* Whatever a test did, nothing may be left. */
	assert_true(fake_becomes(&f->pager, &f->pager.nregions, 0));
	assert_true(fake_becomes(&f->pager, &f->pager.nobjects, 0));
	fake_fini(&f->pager);
	assert_int_equal(remove_tree(f->dir), 0);
	free(f);
	return 0;
}

static bool
no_userfaultfd(void)
{
	uint64_t features;
	int fd = uffd_open(-1, &features, NULL);

	if (fd >= 0)
		close(fd);
	return fd < 0;
}

#define NEED_UFFD()	do { if (no_userfaultfd()) skip(); } while (0)
#define NEED_ROOT()	do { if (geteuid() != 0) skip(); } while (0)

/* -------------------------------------------------------------- raw peers */

static int
raw_open(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/unit.sock",
		 getenv("SWAPD_RUNTIME_DIR"));
	if (connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static int
raw_send(int fd, const char *text)
{
	size_t len = strlen(text) + 1;

	return send(fd, text, len, MSG_NOSIGNAL) == (ssize_t)len ? 0 : -1;
}

/* One answer; NULL: the connection was closed.  Fails after 5 seconds. */
static const char *
raw_answer(int fd)
{
	static char buf[65536];
	size_t len = 0;

	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };

		if (poll(&p, 1, 5000) != 1)
			return "(no answer)";
		if (recv(fd, buf + len, 1, 0) != 1)
			return NULL;
		if (buf[len++] == '\0')
			return buf;
	}
}

static const char *
raw_call(int fd, const char *method, const char *params)
{
	char text[1024];

	snprintf(text, sizeof(text), "{\"method\":\"org.swapkit.Pager.%s\","
		 "\"parameters\":{%s}}", method, params);
	if (raw_send(fd, text) < 0)
		return NULL;
	return raw_answer(fd);
}

static void
expect(const char *answer, const char *part)
{
	if (answer == NULL || strstr(answer, part) == NULL)
		fail_msg("answer '%s' has no '%s'",
			 answer == NULL ? "(closed)" : answer, part);
}

/* The server still answers. */
static void
expect_alive(void)
{
	int fd = raw_open();

	expect(raw_call(fd, "Hello", "\"protocol\":1"), "\"pid\"");
	close(fd);
}

static struct swap_client *
connected(void)
{
	struct swap_error error = { 0 };
	struct swap_client *client;

	if (swap_client_connect("unit", &client, &error) < 0)
		fail_msg("%s", error.message);
	return client;
}

static struct swap_client_object *
created(struct swap_client *client, const char *name, uint64_t size)
{
	struct swap_error error = { 0 };
	struct swap_client_object *object;

	if (swap_client_object_create(client, name, size, 0, &object,
				      &error) < 0)
		fail_msg("%s", error.message);
	return object;
}

static struct swap_client_region *
mapped(struct swap_client_object *object)
{
	struct swap_error error = { 0 };
	struct swap_client_region *region;

	if (swap_client_map(object, NULL, 0, swap_client_object_size(object),
			    &region, &error) < 0)
		fail_msg("%s", error.message);
	return region;
}

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
		{ "WaitCopy", "\"token\":\"x\",\"timeout_usec\":0" },
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

static void
memory(void **state)
{
	struct fixture *f = *state;
	struct swap_client *client = connected();
	struct swap_client_object *object, *again;
	struct swap_client_region *region;
	struct swap_error error = { 0 };
	struct swap_stats stats;
	char *p;

	NEED_UFFD();
	object = created(client, "n \"q\" \xc3\xa9", 4 * PAGE);
	assert_int_equal(swap_client_object_size(object), 4 * PAGE);
	region = mapped(object);
	p = swap_client_region_address(region);
	p[0] = 'a';
	p[4 * PAGE - 1] = 'z';
	assert_int_equal(swap_client_object_open(client, "n \"q\" \xc3\xa9",
						 &again, &error), 0);
	assert_int_equal(swap_client_release(region, 0, PAGE), 0);
	assert_int_equal(swap_client_release(region, 0, 5 * PAGE), -EINVAL);
	assert_int_equal(swap_client_release(region, 1, PAGE), -EINVAL);
	assert_int_equal(swap_client_wire(region, 0, PAGE, &error), 0);
	assert_int_equal(swap_client_unwire(region, 0, PAGE), 0);
	assert_int_equal(swap_client_wire(region, PAGE, PAGE, &error),
			 -ENOMEM);
	assert_string_equal(error.message, "no room for \"wired pages\"");
	assert_true(fake_becomes(&f->pager, &f->pager.nreleased, 1));
	assert_int_equal(swap_client_stats(client, &stats, &error), 0);
	assert_int_equal(stats.nobjects, 1);
	assert_int_equal(stats.clients, 1);
	swap_stats_clear(&stats);
	assert_int_equal(swap_client_map(object, NULL, PAGE, 4 * PAGE, &region,
					 &error), -EINVAL);
	assert_int_equal(swap_client_map(object, p, 0, PAGE, &region, &error),
			 -EEXIST);
	assert_int_equal(swap_client_unmap(region), 0);
	assert_true(fake_becomes(&f->pager, &f->pager.nclients, 0));
	swap_client_object_close(again);
	swap_client_object_close(object);
	assert_true(fake_becomes(&f->pager, &f->pager.nobjects, 0));
	swap_client_close(client);
}

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

static void
closing_with_regions(void **state)
{
	struct fixture *f = *state;
	struct swap_client *client = connected();
	char path[160], text[64] = "", want[32];
	FILE *file;

	NEED_UFFD();
	mapped(created(client, NULL, PAGE));
	mapped(created(client, NULL, PAGE));
	assert_true(fake_becomes(&f->pager, &f->pager.nregions, 2));
	assert_true(fake_becomes(&f->pager, &f->pager.nclients, 1));
	/* Who has regions is on record. */
	snprintf(path, sizeof(path), "%s/clients",
		 server_paths(f->server)->state);
	file = fopen(path, "re");
	assert_non_null(file);
	assert_non_null(fgets(text, sizeof(text), file));
	fclose(file);
	snprintf(want, sizeof(want), "%d ", (int)getpid());
	assert_int_equal(strncmp(text, want, strlen(want)), 0);
	swap_client_close(client);
	assert_true(fake_becomes(&f->pager, &f->pager.nobjects, 0));
	assert_true(fake_becomes(&f->pager, &f->pager.nclients, 0));
	file = fopen(path, "re");
	assert_null(fgets(text, sizeof(text), file));
	fclose(file);
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

static int
count_reports(void *arg, json_t *params, bool continues)
{
	unsigned *n = arg;

	(void)params;
	assert_true(continues);
	return ++*n == 3;
}

static void
off_interrupted(void **state)
{
	struct fixture *f = *state;
	struct swap_client *client = connected();
	struct swap_error error = { 0 };
	unsigned n = 0;

	assert_int_equal(client_call_more(client, "Off",
					  json_pack("{s:s}", "device",
						    "/dev/x"),
					  count_reports, &n, &error), -EINTR);
	assert_int_equal(n, 3);
	assert_true(fake_becomes(&f->pager, &f->pager.nstopped, 1));
	assert_int_equal(client_call(client, "Status", NULL, NULL, &error),
			 -ECONNRESET);
	swap_client_close(client);
}

/* A descriptor that becomes readable interrupts a call that hangs. */
static void
off_interrupted_from_outside(void **state)
{
	struct fixture *f = *state;
	struct swap_client *client = connected();
	int pipes[2];

	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(write(pipes[1], "x", 1), 1);
	client_interrupt_fd(client, pipes[0]);
	assert_int_equal(client_call(client, "Off", json_pack("{s:s}",
							      "device", "/x"),
				     NULL, NULL), -EINTR);
	assert_true(fake_becomes(&f->pager, &f->pager.nstopped, 1));
	swap_client_close(client);
	close(pipes[0]);
	close(pipes[1]);
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

/* Run as uid 65534 in a child; its exit status is what went wrong. */
static int
as_nobody(int (*run)(void))
{
	int status;
	pid_t child = fork();

	if (child == 0) {
		if (setgid(65534) < 0 || setuid(65534) < 0)
			_exit(99);
		_exit(run());
	}
	waitpid(child, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 98;
}

static bool
has(const char *answer, const char *part)
{
	return answer != NULL && strstr(answer, part) != NULL;
}

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

static int
nobody_maps(void)
{
	struct swap_client *client;
	struct swap_client_object *object;
	struct swap_client_region *region;
	char *p;

	if (swap_client_connect("unit", &client, NULL) < 0)
		return 1;
	if (swap_client_object_create(client, NULL, PAGE, 0, &object, NULL) < 0)
		return 2;
	if (swap_client_map(object, NULL, 0, PAGE, &region, NULL) < 0)
		return 3;
	p = swap_client_region_address(region);
	p[0] = 1;
	if (swap_client_unmap(region) < 0)
		return 4;
	swap_client_close(client);
	return 0;
}

static void
unprivileged_client(void **state)
{
	(void)state;
	NEED_ROOT();
	if (access("/dev/userfaultfd", R_OK | W_OK) < 0)
		skip();
	assert_int_equal(as_nobody(nobody_maps), 0);
}

/* ----------------------------------------------------------------- copies */

static void
copies(void **state)
{
	struct fixture *f = *state;
	struct swap_client *parent = connected(), *child, *other;
	struct swap_client_object *object = created(parent, NULL, PAGE);
	struct swap_client_object *copy;
	char token[CLIENT_TOKEN_SIZE], path[128];
	bool cut;

	snprintf(path, sizeof(path), "%s", client_path(parent));
	/* Nobody claims it in time. */
	assert_int_equal(client_copy_begin(object, token), 0);
	assert_int_equal(strlen(token), 32);
	assert_int_equal(client_copy_wait(parent, token, 20000, &cut), 0);
	assert_true(cut);
	assert_true(fake_becomes(&f->pager, &f->pager.ncut, 1));
	assert_true(fake_becomes(&f->pager, &f->pager.nobjects, 1));
	assert_int_equal(client_copy_claim(path, token, &child, &copy, NULL),
			 -ENOENT);
	/* Claimed once, and given up. */
	assert_int_equal(client_copy_begin(object, token), 0);
	assert_int_equal(client_copy_claim(path, token, &child, &copy, NULL),
			 0);
	assert_int_equal(client_copy_claim(path, token, &other, &copy, NULL),
			 -ENOENT);
	swap_client_close(child);
	assert_int_equal(client_copy_wait(parent, token, 5000000, &cut), 0);
	assert_false(cut);
	assert_true(fake_becomes(&f->pager, &f->pager.nobjects, 1));
	/* Claimed, and kept longer than the parent waits. */
	assert_int_equal(client_copy_begin(object, token), 0);
	assert_int_equal(client_copy_claim(path, token, &child, &copy, NULL),
			 0);
	assert_int_equal(client_copy_wait(parent, token, 20000, &cut), 0);
	assert_true(cut);
	assert_true(fake_becomes(&f->pager, &f->pager.ncut, 2));
	assert_true(fake_becomes(&f->pager, &f->pager.nobjects, 2));
	/* Closing the object alone does not end a claim. */
	swap_client_object_close(copy);
	swap_client_close(child);
	assert_true(fake_becomes(&f->pager, &f->pager.nobjects, 1));
	/* An offer dies with its parent. */
	assert_int_equal(client_copy_begin(object, token), 0);
	swap_client_close(parent);
	assert_true(fake_becomes(&f->pager, &f->pager.nobjects, 0));
}

static void
copy_claim_outlives_handle(void **state)
{
	struct fixture *f = *state;
	struct swap_client *parent = connected(), *child;
	struct swap_client_object *object = created(parent, NULL, PAGE);
	struct swap_client_object *copy;
	char token[CLIENT_TOKEN_SIZE];
	bool cut = false;

	assert_int_equal(client_copy_begin(object, token), 0);
	assert_int_equal(client_copy_claim(client_path(parent), token, &child,
					   &copy, NULL), 0);
	swap_client_object_close(copy);
	/* The child's connection lives, so the parent waits. */
	assert_int_equal(client_copy_wait(parent, token, 20000, &cut), 0);
	assert_true(cut);
	swap_client_close(child);
	swap_client_close(parent);
	assert_true(fake_becomes(&f->pager, &f->pager.nobjects, 0));
}

static char offered[CLIENT_TOKEN_SIZE];

static int
nobody_claims(void)
{
	char text[128];

	snprintf(text, sizeof(text), "\"token\":\"%s\"", offered);
	return has(raw_call(raw_open(), "ClaimCopy", text), "\"errno\":-2")
		? 0 : 1;
}

static void
copy_of_another_user(void **state)
{
	struct swap_client *parent = connected();
	struct swap_client_object *object = created(parent, NULL, PAGE);

	(void)state;
	NEED_ROOT();
	assert_int_equal(client_copy_begin(object, offered), 0);
	assert_int_equal(as_nobody(nobody_claims), 0);
	swap_client_close(parent);
}

/* ---------------------------------------------------------- notifications */

/* A child of this threaded process makes threads of its own. */
const char *__tsan_default_options(void);
const char *
__tsan_default_options(void)
{
	return "die_after_fork=0";
}

static sigjmp_buf bus_jump;

static void
on_bus(int sig)
{
	siglongjmp(bus_jump, sig);
}

/* Does touching this address give SIGBUS, within two seconds?  A race. */
__attribute__((no_sanitize("thread")))
static bool
becomes_bus(const volatile char *p)
{
	struct sigaction act = { .sa_handler = on_bus }, old;
	volatile bool bus = false;
	volatile int i;

	sigaction(SIGBUS, &act, &old);
	for (i = 0; i < 1000 && !bus; i++) {
		const struct timespec t = { .tv_nsec = 2000000 };

		if (sigsetjmp(bus_jump, 1) == 0)
			(void)*p;
		else
			bus = true;
		nanosleep(&t, NULL);
	}
	sigaction(SIGBUS, &old, NULL);
	return bus;
}

static void
poison(void **state)
{
	struct fixture *f = *state;
	struct swap_client *client = connected();
	struct swap_client_region *region;
	struct pager_notify notify;
	char *p, *other;

	NEED_UFFD();
	region = mapped(created(client, NULL, 3 * PAGE));
	p = swap_client_region_address(region);
	memset(p, 'x', 3 * PAGE);
	notify = f->pager.last_notify;
	/* An address that is not of a region is left alone. */
	other = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	notify.poison(notify.arg, (uintptr_t)other, PAGE);
	notify.poison(notify.arg, (uintptr_t)p + PAGE, PAGE);
	assert_true(becomes_bus(p + PAGE));
	assert_int_equal(p[0], 'x');
	assert_int_equal(p[2 * PAGE], 'x');
	other[0] = 1;
	munmap(other, PAGE);
	/* More than fit the ring must not do harm. */
	for (int i = 0; i < 2000; i++)
		notify.poison(notify.arg, (uintptr_t)p + PAGE, PAGE);
	assert_int_equal(swap_client_unmap(region), 0);
	swap_client_close(client);
}

static void
handover(void **state)
{
	struct fixture *f = *state;
	struct swap_client *client = connected();
	struct swap_client_object *object, *none;
	struct swap_client_region *region;
	struct swap_error error = { 0 };
	char *p;

	NEED_UFFD();
	object = created(client, NULL, 2 * PAGE);
	region = mapped(object);
	p = swap_client_region_address(region);
	memset(p, 'x', 2 * PAGE);
	assert_int_equal(server_end(f->server, false, &error), 0);
	assert_true(f->pager.handed_over);
	assert_int_equal(server_ended(f->server), SERVER_HANDED_OVER);
	assert_int_equal(server_end(f->server, false, &error), -EBUSY);
	assert_int_equal(swap_client_object_create(client, NULL, PAGE, 0,
						   &none, &error), -ESHUTDOWN);
	assert_int_equal(swap_client_map(object, NULL, 0, PAGE, &region,
					 &error), -ESHUTDOWN);
	server_stop(f->server);
	/* On its own now, even if the news arrives only with the end. */
	assert_int_equal(swap_client_release(region, 0, PAGE), 0);
	assert_int_equal(p[0], 0);
	assert_int_equal(p[PAGE], 'x');
	assert_int_equal(swap_client_wire(region, 0, PAGE, &error), 0);
	assert_int_equal(swap_client_unwire(region, 0, PAGE), 0);
	assert_int_equal(swap_client_unmap(region), 0);
	swap_client_object_close(object);
	swap_client_close(client);
}

static void
gone_without_handover(void **state)
{
	struct fixture *f = *state;
	struct swap_client *client = connected();
	struct swap_client_region *region;

	NEED_UFFD();
	region = mapped(created(client, NULL, PAGE));
	server_stop(f->server);
	assert_int_equal(swap_client_release(region, 0, PAGE), -ECONNRESET);
	assert_int_equal(swap_client_unmap(region), 0);
	swap_client_close(client);
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

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(service),
		TEST(hostile_closed),
		TEST(hostile_answered),
		TEST(hostile_sizes),
		TEST(memory),
		TEST(map_refused),
		TEST(foreign_handles),
		TEST(surplus_fds),
		TEST(abrupt_close),
		TEST(closing_with_regions),
		TEST(death_with_child),
		TEST(devices),
		TEST(off_hang_up),
		TEST(off_interrupted),
		TEST(off_interrupted_from_outside),
		TEST(status_stream),
		TEST(permission),
		TEST(crowding),
		TEST(unprivileged_client),
		TEST(copies),
		TEST(copy_claim_outlives_handle),
		TEST(copy_of_another_user),
		TEST(poison),
		TEST(handover),
		TEST(gone_without_handover),
		TEST(stop_call),
		TEST(stop_with_slow_reader),
		TEST(second_of_a_name),
		TEST(stale_socket),
		TEST(foreign_directory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
