/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The client over a server with a fake pager: memory from the first call to the
 * last, copies for children, and what it hears from the swapd.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "ipc/frame.h"
#include "ipc/json.h"
#include "server-fixture.h"

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

/* --------------------------------------------------------------- calling */

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

/* ----------------------------------------------------------------- copies */

static void
copies(void **state)
{
	struct fixture *f = *state;
	struct swap_client *parent = connected(), *child, *other;
	struct swap_client_object *object = created(parent, NULL, PAGE);
	struct swap_client_object *copy;
	char token[CLIENT_TOKEN_SIZE], path[128];

	snprintf(path, sizeof(path), "%s", client_path(parent));
	/* Claimed once. */
	assert_int_equal(client_copy_begin(object, token), 0);
	assert_int_equal(strlen(token), 32);
	assert_int_equal(client_copy_claim(path, token, &child, &copy, NULL),
			 0);
	assert_int_equal(client_copy_claim(path, token, &other, &copy, NULL),
			 -ENOENT);
	assert_int_equal(client_copy_drop(parent, token), -ENOENT);
	assert_true(fake_becomes(&f->pager, &f->pager.nobjects, 2));
	swap_client_close(child);
	assert_true(fake_becomes(&f->pager, &f->pager.nobjects, 1));
	/* Nobody will claim it. */
	assert_int_equal(client_copy_begin(object, token), 0);
	assert_true(fake_becomes(&f->pager, &f->pager.nobjects, 2));
	assert_int_equal(client_copy_drop(parent, token), 0);
	assert_true(fake_becomes(&f->pager, &f->pager.nobjects, 1));
	assert_int_equal(client_copy_claim(path, token, &child, &copy, NULL),
			 -ENOENT);
	assert_int_equal(client_copy_drop(parent, token), -ENOENT);
	/* Another connection's offers are none of ours. */
	assert_int_equal(client_copy_begin(object, token), 0);
	other = connected();
	assert_int_equal(client_copy_drop(other, token), -ENOENT);
	swap_client_close(other);
	/* An offer dies with its parent. */
	swap_client_close(parent);
	assert_true(fake_becomes(&f->pager, &f->pager.nobjects, 0));
}

/* More than a connection may offer at a time; claimed ones do not count. */
static void
copies_many(void **state)
{
	struct fixture *f = *state;
	struct swap_client *parent = connected(), *child[70];
	struct swap_client_object *object = created(parent, NULL, PAGE);
	struct swap_client_object *copy;
	char token[CLIENT_TOKEN_SIZE], path[128];
	unsigned n = 0;

	snprintf(path, sizeof(path), "%s", client_path(parent));
	for (unsigned i = 0; i < 70; i++) {
		assert_int_equal(client_copy_begin(object, token), 0);
		assert_int_equal(client_copy_claim(path, token, &child[i],
						   &copy, NULL), 0);
	}
	while (client_copy_begin(object, token) == 0)
		n++;
	assert_int_equal(n, 64);
	/* The parent goes, what is claimed stays. */
	swap_client_close(parent);
	assert_true(fake_becomes(&f->pager, &f->pager.nobjects, 70));
	for (unsigned i = 0; i < 70; i++)
		swap_client_close(child[i]);
	assert_true(fake_becomes(&f->pager, &f->pager.nobjects, 0));
}

/* Until the client says so, or has gone, or has taken too long. */
static void
copies_still(void **state)
{
	struct fixture *f = *state;
	struct swap_client *parent = connected();
	struct swap_client_object *object = created(parent, NULL, PAGE);
	char token[CLIENT_TOKEN_SIZE];

	assert_int_equal(client_copy_begin(object, token), 0);
	assert_true(fake_becomes(&f->pager, &f->pager.nstill, 0));
	for (unsigned i = 0; i < 10; i++) {
		assert_int_equal(client_copy_begin_still(object, token), 0);
		client_copy_go_on(parent);
		/* What is asked for next is answered, and nothing else. */
		assert_int_equal(client_copy_drop(parent, token), 0);
		assert_true(fake_becomes(&f->pager, &f->pager.nstill, 0));
	}
	/* One at a time, and with a request in between. */
	assert_int_equal(client_copy_begin_still(object, token), 0);
	assert_int_equal(client_copy_begin_still(object, token), 0);
	assert_true(fake_becomes(&f->pager, &f->pager.nstill, 0));
	assert_int_equal(client_copy_drop(parent, token), 0);
	assert_true(fake_becomes(&f->pager, &f->pager.nstill, 0));
	assert_int_equal(client_copy_begin_still(object, token), 0);
	swap_client_close(parent);
	assert_true(fake_becomes(&f->pager, &f->pager.nobjects, 0));
	assert_true(fake_becomes(&f->pager, &f->pager.nstill, 0));
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

/* ------------------------------------------------------ ranges of objects */

static void
object_calls(void **state)
{
	struct fixture *f = *state;
	struct swap_client *client = connected();
	struct swap_client_object *a = created(client, NULL, 8 * PAGE), *b;
	struct swap_error error = { 0 };
	uint64_t before, after;

	assert_int_equal(swap_client_object_create(client, NULL, 4 * PAGE,
						   SWAP_OBJECT_NOSWAP, &b,
						   &error), 0);
	assert_int_equal(swap_client_reserve(b, 0, PAGE, &error), -EPERM);
	assert_int_equal(swap_client_allow_swap(b), 0);
	assert_int_equal(swap_client_allow_swap(b), 0);
	assert_int_equal(f->pager.nallowed, 1);
	assert_int_equal(swap_client_reserve(b, 0, 4 * PAGE, &error), 0);
	assert_int_equal(f->pager.reserved, 4 * PAGE);
	assert_int_equal(swap_client_unreserve(b, 0, PAGE), 0);
	assert_int_equal(f->pager.reserved, 3 * PAGE);
	f->pager.reserve_max = 3 * PAGE;
	assert_int_equal(swap_client_reserve(a, 0, PAGE, &error), -ENOSPC);
	assert_string_equal(error.message, "no space to set aside");
	assert_int_equal(swap_client_flush(a, PAGE, 7 * PAGE,
					   SWAP_FLUSH_DEACTIVATE, &error), 0);
	assert_int_equal(f->pager.nflushed, 7);
	assert_int_equal(f->pager.last_flags, SWAP_FLUSH_DEACTIVATE);
	assert_int_equal(swap_client_flush(a, 0, PAGE, SWAP_FLUSH_FREE,
					   &error), -EBUSY);
	assert_int_equal(swap_client_haspage(a, 2 * PAGE, &before, &after), 1);
	assert_int_equal(before, 2 * PAGE);
	assert_int_equal(after, 5 * PAGE);
	assert_int_equal(swap_client_haspage(a, PAGE, NULL, NULL), 0);
	assert_int_equal(swap_client_copy(a, PAGE, b, 0, 4 * PAGE,
					  SWAP_COPY_DESTROY, &error), 0);
	assert_int_equal(f->pager.copied, 4 * PAGE);
	assert_int_equal(f->pager.last_flags, SWAP_COPY_DESTROY);
	swap_client_close(client);
}

static void
object_calls_refused(void **state)
{
	struct swap_client *client = connected(), *other = connected();
	struct swap_client_object *a = created(client, NULL, 8 * PAGE);
	struct swap_client_object *b = created(other, NULL, 8 * PAGE);
	struct swap_error error = { 0 };
	uint64_t before;

	(void)state;
	assert_int_equal(swap_client_flush(a, 0, 9 * PAGE, 0, &error), -EINVAL);
	assert_int_equal(swap_client_flush(a, 0, PAGE, 4, &error), -EINVAL);
	assert_int_equal(swap_client_flush(a, 0, PAGE, 3, &error), -EINVAL);
	assert_int_equal(swap_client_reserve(a, 1, PAGE, &error), -EINVAL);
	assert_int_equal(swap_client_reserve(a, 8 * PAGE, PAGE, &error),
			 -EINVAL);
	assert_int_equal(swap_client_unreserve(a, 0, 0), -EINVAL);
	assert_int_equal(swap_client_haspage(a, 8 * PAGE, &before, NULL),
			 -EINVAL);
	assert_int_equal(swap_client_get(a, 0, PAGE, PAGE, 0, NULL, &error),
			 -EINVAL);
	assert_int_equal(swap_client_get(a, 0, PAGE, 0, 4, NULL, &error),
			 -EINVAL);
	assert_int_equal(swap_client_get(a, UINT64_MAX - PAGE + 1, PAGE, 0, 0,
					 NULL, &error), -EINVAL);
	assert_int_equal(swap_client_copy(a, 0, a, 0, PAGE, 0, &error),
			 -EINVAL);
	assert_int_equal(swap_client_copy(a, 0, b, 0, PAGE, 0, &error),
			 -EINVAL);
	assert_non_null(strstr(error.message, "two connections"));
	swap_client_close(client);
	swap_client_close(other);
}

/* More pages than one call answers for. */
static void
long_get(void **state)
{
	const uint64_t n = 2 * 65536 + 7;
	struct fixture *f = *state;
	struct swap_client *client = connected();
	struct swap_client_object *object = created(client, NULL, n * PAGE);
	struct swap_error error = { 0 };
	uint8_t *states = malloc(n);

	f->pager.swapped_from = 65535;
	/* What costs nothing comes: the wanted page, and the first 65535. */
	assert_int_equal(swap_client_get(object, 0, n * PAGE, 70000 * PAGE, 0,
					 states, &error), 65536);
	assert_int_equal(states[65534], SWAP_PAGE_RESIDENT);
	assert_int_equal(states[65535], SWAP_PAGE_ABSENT);
	assert_int_equal(states[70000], SWAP_PAGE_RESIDENT);
	assert_int_equal(states[n - 1], SWAP_PAGE_ABSENT);
	assert_int_equal(swap_client_get(object, 0, n * PAGE, 0,
					 SWAP_GET_NOWAIT | SWAP_GET_ALL,
					 states, &error), -EAGAIN);
	assert_int_equal(states[0], SWAP_PAGE_RESIDENT);
	assert_int_equal(states[n - 1], SWAP_PAGE_ABSENT);
	assert_int_equal(swap_client_get(object, 0, n * PAGE, 0, SWAP_GET_ALL,
					 NULL, &error), n);
	f->pager.lost_page = 131073;
	assert_int_equal(swap_client_get(object, PAGE, (n - 1) * PAGE, PAGE,
					 SWAP_GET_ALL, states, &error), -EIO);
	assert_string_equal(error.message, "page 131073 does not \"come\"");
	for (uint64_t i = 0; i < n - 1; i++)
		assert_int_equal(states[i], i + 1 == 131073
				 ? SWAP_PAGE_LOST : SWAP_PAGE_RESIDENT);
	free(states);
	swap_client_close(client);
}

static void
writable_regions(void **state)
{
	struct fixture *f = *state;
	struct swap_client *client = connected();
	struct swap_client_region *region;
	struct swap_client_object *object;
	int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	char *p;

	NEED_UFFD();
	object = created(client, NULL, 4 * PAGE);
	region = mapped(object);
	p = swap_client_region_address(region);
	p[0] = 'a';
	assert_int_equal(swap_client_set_writable(region, false), 0);
	assert_int_equal(f->pager.nreadonly, 1);
	assert_int_equal(p[0], 'a');
	/* The kernel writes there for nobody. */
	assert_int_equal(pread(zero, p, 1, 0), -1);
	assert_int_equal(errno, EFAULT);
	assert_int_equal(swap_client_set_writable(region, false), 0);
	assert_int_equal(f->pager.nreadonly, 1);
	assert_int_equal(swap_client_set_writable(region, true), 0);
	assert_int_equal(f->pager.nreadonly, 0);
	p[1] = 'b';
	/* With the swapd gone it is still this process's mapping. */
	server_stop(f->server);
	assert_int_equal(swap_client_set_writable(region, false), -ECONNRESET);
	assert_int_equal(swap_client_unmap(region), 0);
	swap_client_close(client);
	close(zero);
}

/* -------------------------------------------------------- tunables and maps */

static void
tunables_and_maps(void **state)
{
	struct fixture *f = *state;
	struct swap_client *client = connected();
	struct swap_error error = { 0 };
	struct swap_device_map map;
	struct swap_tunable *list;
	size_t n;

	assert_int_equal(swap_client_tunables(client, &list, &n, &error), 0);
	assert_int_equal(n, 2);
	assert_string_equal(list[0].name, "one");
	assert_string_equal(list[0].value, "first");
	free(list);
	assert_int_equal(swap_client_tune(client, "one", "second", &error), 0);
	assert_string_equal(f->pager.tuned, "second");
	assert_int_equal(swap_client_tune(client, "one", "x", &error), -EINVAL);
	assert_string_equal(error.message, "one: not a value");
	assert_int_equal(swap_client_tune(client, "none", "x", &error),
			 -ENOENT);
	assert_int_equal(swap_client_tune(client, "\xff", "x", &error),
			 -EINVAL);
	assert_non_null(strstr(error.message, "UTF-8"));
	assert_int_equal(swap_client_device_map(client, "/dev/fake", 4096,
						&map, &error), 0);
	assert_int_equal(map.ncells, 4096);
	assert_int_equal(map.cells[4095].nblocks, 4096);
	assert_int_equal(map.runs[6], 1);
	assert_int_equal(map.nblocks, UINT64_C(1) << 40);
	swap_device_map_clear(&map);
	assert_int_equal(swap_client_device_map(client, "/dev/fake", 65537,
						&map, &error), -EINVAL);
	assert_int_equal(swap_client_device_map(client, "/dev/none", 0, &map,
						&error), -ENXIO);
	swap_client_close(client);
}

static void
what_lies_where(void **state)
{
	struct swap_client *client = connected();
	struct swap_owners_place place = { 0 };
	struct swap_owner owners[SWAP_OWNERS_MAX];
	struct swap_range_cell cells[64];
	struct swap_error error = { 0 };

	(void)state;
	assert_int_equal(swap_client_range(client, "/dev/fake", 10, 100, 64,
					   cells, &error), 0);
	for (unsigned i = 0; i < 64; i++) {
		assert_int_equal(cells[i].nfree, 10 + i);
		assert_int_equal(cells[i].nbad, i % 3);
	}
	assert_int_equal(swap_client_range(client, "/dev/none", 0, 1, 1,
					   cells, &error), -ENXIO);
	assert_int_equal(swap_client_range(client, "/dev/fake", 0, 1,
					   SWAP_RANGE_CELLS_MAX + 1, cells,
					   &error), -EINVAL);
	/* The fake one ends at the second call. */
	for (unsigned i = 0; i < 2; i++) {
		assert_false(place.done);
		assert_int_equal(swap_client_owners(client, "/dev/fake", 50, 9,
						    &place, owners,
						    SWAP_OWNERS_MAX, &error),
				 2);
		assert_int_equal(owners[1].block, 51);
		assert_int_equal(owners[0].object, 7 + i);
		assert_int_equal(owners[0].page, i == 0 ? 0 : 5);
		assert_int_equal(owners[0].pid, 42);
		assert_string_equal(owners[0].name, "some");
		/* A name that is not UTF-8. */
		assert_string_equal(owners[0].command, "?");
	}
	assert_true(place.done);
	/* An answer that does not fit the question is none. */
	memset(&place, 0, sizeof(place));
	assert_int_equal(swap_client_owners(client, "/dev/fake", 50, 1, &place,
					    owners, SWAP_OWNERS_MAX, &error),
			 -EPROTO);
	assert_int_equal(swap_client_owners(client, "/dev/fake", 50, 9, &place,
					    owners, 5, &error), -EINVAL);
	swap_client_close(client);
}

/* ------------------------------------------------------------- snapshots */

/*
 * Something that listens like a swapd, and answers with what it was given:
 * one text for each call, and the next one at once where it continues.
 */
struct impostor {
	struct sockaddr_un address;
	int		 fd;
	const char	*answers[8];
	pthread_t	 thread;
};

static void *
impostor_run(void *arg)
{
	struct impostor *im = arg;
	struct frame frame;
	bool more = false;

	if (frame_init(&frame, accept(im->fd, NULL, NULL),
		       FRAME_SERVER_MAX) < 0)
		return NULL;
	for (size_t i = 0; im->answers[i] != NULL; i++) {
		if (!more && frame_read(&frame, -1) < 0)
			break;
		if (frame_send(&frame, im->answers[i], NULL, 0, -1) < 0)
			break;
		more = strstr(im->answers[i], "\"continues\":true") != NULL;
	}
	frame_close(&frame);
	return NULL;
}

static struct swap_client *
impostor_start(struct impostor *im, const char *dir)
{
	struct swap_error error = { 0 };
	struct swap_client *client;

	im->address.sun_family = AF_UNIX;
	snprintf(im->address.sun_path, sizeof(im->address.sun_path),
		 "%s/impostor", dir);
	im->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(im->fd >= 0);
	assert_int_equal(bind(im->fd, (void *)&im->address,
			      sizeof(im->address)), 0);
	assert_int_equal(listen(im->fd, 1), 0);
	im->answers[0] = "{\"parameters\":{\"protocol\":1}}";
	assert_int_equal(pthread_create(&im->thread, NULL, impostor_run, im),
			 0);
	if (swap_client_connect(im->address.sun_path, &client, &error) < 0)
		fail_msg("%s", error.message);
	return client;
}

static void
impostor_end(struct impostor *im, struct swap_client *client)
{
	swap_client_close(client);
	pthread_join(im->thread, NULL);
	close(im->fd);
	unlink(im->address.sun_path);
}

/* A reply with @n objects; @end is what follows the snapshot. */
static void
status_reply(struct text *t, size_t n, const char *start, const char *end)
{
	struct swap_object_stats objects[3] = { 0 };
	const struct swap_stats stats = {
		.objects = objects, .nobjects = n, .resident_bytes = n,
	};

	for (size_t i = 0; i < n; i++) {
		objects[i].id = i + 1;
		objects[i].pid = -1;
		objects[i].flags = SWAP_OBJECT_EXACT;
		strcpy(objects[i].name, "\"n\" \xc3\xa9");
	}
	text_string(t, start);
	text_string(t, "\"parameters\":{\"snapshot\":");
	json_write_stats(t, &stats, NULL, NULL);
	text_string(t, end);
	assert_int_equal(text_end(t), 0);
}

static void
snapshot_has(struct swap_client *client, size_t n)
{
	struct swap_error error = { 0 };
	struct swap_stats stats;

	if (swap_client_stats(client, &stats, &error) < 0)
		fail_msg("%s", error.message);
	assert_int_equal(stats.nobjects, n);
	assert_int_equal(stats.resident_bytes, n);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(stats.objects[i].id, i + 1);
		assert_int_equal(stats.objects[i].pid, -1);
		assert_int_equal(stats.objects[i].flags, SWAP_OBJECT_EXACT);
		assert_string_equal(stats.objects[i].name, "\"n\" \xc3\xa9");
	}
	swap_stats_clear(&stats);
}

static void
snapshots(void **state)
{
	struct fixture *f = *state;
	struct text some = { 0 }, none = { 0 }, more = { 0 };
	struct impostor im = { 0 };
	struct swap_client *client;

	status_reply(&some, 3, "{", "}}");
	status_reply(&none, 0, "{", "}}");
	status_reply(&more, 2, "{\"continues\":true,", "}}");
	im.answers[1] = some.buf;
	im.answers[2] = none.buf;
	/* Nobody asked for more than one; the last one counts. */
	im.answers[3] = more.buf;
	im.answers[4] = none.buf;
	im.answers[5] = more.buf;
	im.answers[6] = some.buf;
	client = impostor_start(&im, f->dir);
	snapshot_has(client, 3);
	snapshot_has(client, 0);
	snapshot_has(client, 0);
	snapshot_has(client, 3);
	impostor_end(&im, client);
	text_clear(&some);
	text_clear(&none);
	text_clear(&more);
}

/* What is wrong is among the objects, or behind them. */
static void
snapshots_refused(void **state)
{
	struct fixture *f = *state;
	struct text whole = { 0 }, wrong = { 0 }, object = { 0 }, cut = { 0 };
	struct impostor im = { 0 };
	struct swap_error error = { 0 };
	struct swap_client *client;
	struct swap_stats stats;

	status_reply(&whole, 3, "{", "}}");
	status_reply(&wrong, 3, "{", "}}");
	memcpy(strstr(wrong.buf, "\"users\""), "\"Users\"", 7);
	status_reply(&object, 3, "{", "}}");
	memcpy(strstr(object.buf, "\"exact\":true"), "\"exact\":1234", 12);
	status_reply(&cut, 3, "{", "}");
	im.answers[1] = wrong.buf;
	im.answers[2] = object.buf;
	im.answers[3] = whole.buf;
	im.answers[4] = cut.buf;
	client = impostor_start(&im, f->dir);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(swap_client_stats(client, &stats, &error),
				 -EPROTO);
		assert_non_null(strstr(error.message,
				       "the snapshot of the swapd"));
	}
	snapshot_has(client, 3);
	assert_int_equal(swap_client_stats(client, &stats, &error), -EPROTO);
	assert_non_null(strstr(error.message, "the answer of the swapd"));
	impostor_end(&im, client);
	text_clear(&whole);
	text_clear(&wrong);
	text_clear(&object);
	text_clear(&cut);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(memory),
		TEST(closing_with_regions),
		TEST(unprivileged_client),
		TEST(off_interrupted),
		TEST(off_interrupted_from_outside),
		TEST(copies),
		TEST(copies_many),
		TEST(copies_still),
		TEST(copy_of_another_user),
		TEST(poison),
		TEST(handover),
		TEST(gone_without_handover),
		TEST(object_calls),
		TEST(object_calls_refused),
		TEST(long_get),
		TEST(writable_regions),
		TEST(tunables_and_maps),
		TEST(what_lies_where),
		TEST(snapshots),
		TEST(snapshots_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
