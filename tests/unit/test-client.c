/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The client over a server with a fake pager: memory from the first call to the
 * last, copies for children, and what it hears from the swapd.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

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
		TEST(copy_claim_outlives_handle),
		TEST(copy_of_another_user),
		TEST(poison),
		TEST(handover),
		TEST(gone_without_handover),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
