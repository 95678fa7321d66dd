/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A server over a fake pager in a directory of its own, and peers for it.
 */
#include "server-fixture.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ipc/state.h"
#include "mapping.h"

static int
remove_tree(const char *dir)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

int
fixture_setup(void **state)
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

int
fixture_teardown(void **state)
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

bool
no_userfaultfd(void)
{
	uint64_t features;
	int fd = uffd_open(-1, &features, NULL);

	if (fd >= 0)
		close(fd);
	return fd < 0;
}

/* -------------------------------------------------------------- raw peers */

int
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

int
raw_send(int fd, const char *text)
{
	size_t len = strlen(text) + 1;

	return send(fd, text, len, MSG_NOSIGNAL) == (ssize_t)len ? 0 : -1;
}

/* One answer; NULL: the connection was closed.  Fails after 5 seconds. */
const char *
raw_answer(int fd)
{
	static char buf[2 * 65536];
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

const char *
raw_call(int fd, const char *method, const char *params)
{
	char text[1024];

	snprintf(text, sizeof(text), "{\"method\":\"org.swapkit.Pager.%s\","
		 "\"parameters\":{%s}}", method, params);
	if (raw_send(fd, text) < 0)
		return NULL;
	return raw_answer(fd);
}

void
expect(const char *answer, const char *part)
{
	if (answer == NULL || strstr(answer, part) == NULL)
		fail_msg("answer '%s' has no '%s'",
			 answer == NULL ? "(closed)" : answer, part);
}

/* The server still answers. */
void
expect_alive(void)
{
	int fd = raw_open();

	expect(raw_call(fd, "Hello", "\"protocol\":1"), "\"pid\"");
	close(fd);
}

struct swap_client *
connected(void)
{
	struct swap_error error = { 0 };
	struct swap_client *client;

	if (swap_client_connect("unit", &client, &error) < 0)
		fail_msg("%s", error.message);
	return client;
}

struct swap_client_object *
created(struct swap_client *client, const char *name, uint64_t size)
{
	struct swap_error error = { 0 };
	struct swap_client_object *object;

	if (swap_client_object_create(client, name, size, 0, &object,
				      &error) < 0)
		fail_msg("%s", error.message);
	return object;
}

struct swap_client_region *
mapped(struct swap_client_object *object)
{
	struct swap_error error = { 0 };
	struct swap_client_region *region;

	if (swap_client_map(object, NULL, 0, swap_client_object_size(object),
			    &region, &error) < 0)
		fail_msg("%s", error.message);
	return region;
}

/* ------------------------------------------------------------ other users */

int
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

bool
has(const char *answer, const char *part)
{
	return answer != NULL && strstr(answer, part) != NULL;
}
