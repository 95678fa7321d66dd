/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How a command reaches its pager
 *
 * -p comes before SWAPCTL_PAGER, which comes before "default".  The library
 * knows the last two; here is only what concerns a person: the name "kernel",
 * which is no swapd, and which other pagers there are when the one that was
 * meant is not.
 */
#include "reach.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/kernel.h"
#include "say.h"
#include "util.h"

#define KERNEL		"kernel"
#define OTHERS_MAX	200u

static const char *
wanted(const struct invocation *inv)
{
	const char *pager = inv->pager;

	if (pager == NULL)
		pager = getenv("SWAPCTL_PAGER");
	if (inv->pager == NULL && pager != NULL && pager[0] == '\0')
		return NULL;
	return pager;
}

bool
reach_is_named(const struct invocation *inv)
{
	return wanted(inv) != NULL;
}

/* A socket that nobody listens on is what a killed swapd leaves behind. */
static bool
is_absent(int r)
{
	return r == -ENOENT || r == -ECONNREFUSED;
}

/* "; these are running: NAME, NAME" or "", into @buf. */
static void
others(char *buf, size_t len)
{
	struct swap_client *client;
	struct pager_entry *entries;
	size_t n, at = 0;

	buf[0] = '\0';
	if (pager_list(&entries, &n) < 0)
		return;
	for (size_t i = 0; i < n && at + 1 < len; i++) {
		if (swap_client_connect(entries[i].path, &client, NULL) < 0)
			continue;
		swap_client_close(client);
		format_cut(buf + at, len - at, "%s%s",
			   at == 0 ? "; these are running: " : ", ",
			   entries[i].name);
		at = strlen(buf);
	}
	pager_list_free(entries, n);
}

static int
unreachable(const struct swap_error *error, int r)
{
	char running[OTHERS_MAX] = "";

	if (is_absent(r))
		others(running, sizeof(running));
	return say_failure("%s%s", say_why(error, r), running);
}

static int
snapshot(struct swap_client *client, struct swap_stats *ret_stats)
{
	struct swap_error error = { 0 };
	int r = swap_client_stats(client, ret_stats, &error);

	swap_client_close(client);
	if (r < 0)
		return say_failure("%s", say_why(&error, r));
	return EXIT_OK;
}

int
reach_connect(const struct invocation *inv, struct swap_client **ret)
{
	struct swap_error error = { 0 };
	const char *pager = wanted(inv);
	int r;

	if (pager != NULL && pager[0] == '\0')
		return say_misuse(inv, "-p wants the name of a pager or the "
				  "path of its socket");
	if (pager != NULL && strcmp(pager, KERNEL) == 0)
		return say_misuse(inv, "pager 'kernel': this command is for "
				  "a swapd's pager, and has no meaning for "
				  "the kernel's own swap");
	r = swap_client_connect(pager, ret, &error);
	return r < 0 ? unreachable(&error, r) : EXIT_OK;
}

/* -p and what it says may be one word or two. */
static const char *
pager_option(int argc, char **argv, int i)
{
	if (strcmp(argv[i], "-p") == 0 || strcmp(argv[i], "--pager") == 0)
		return i + 1 < argc ? argv[i + 1] : NULL;
	if (strncmp(argv[i], "--pager=", 8) == 0)
		return argv[i] + 8;
	if (strncmp(argv[i], "-p", 2) == 0)
		return argv[i] + 2;
	return NULL;
}

bool
reach_is_kernel(const struct invocation *inv, int argc, char **argv)
{
	const char *pager = wanted(inv), *option;

	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
		option = pager_option(argc, argv, i);
		if (option != NULL)
			pager = option;
	}
	return pager != NULL && strcmp(pager, KERNEL) == 0;
}

int
reach_host(struct host *ret_host)
{
	struct swap_error error = { 0 };
	int r = host_open(NULL, NULL, ret_host, &error);

	return r < 0 ? say_error("/proc", &error, r) : EXIT_OK;
}

static int
kernel_snapshot(struct swap_stats *ret_stats)
{
	struct host host;
	int r = reach_host(&host);

	if (r != EXIT_OK)
		return r;
	r = kernel_stats(&host, ret_stats);
	host_close(&host);
	return r < 0 ? say_failure("the kernel's swap: %s", strerror(-r)) :
		       EXIT_OK;
}

int
reach_stats(const struct invocation *inv, struct swap_stats *ret_stats)
{
	struct swap_client *client;
	int r;

	if (reach_is_kernel(inv, 0, NULL))
		return kernel_snapshot(ret_stats);
	r = reach_connect(inv, &client);

	return r == EXIT_OK ? snapshot(client, ret_stats) : r;
}

static int
reach_one(const struct pager_entry *entry, reach_fn *each, void *arg)
{
	struct swap_error error = { 0 };
	struct swap_stats stats = { 0 };
	struct swap_client *client;
	int r = swap_client_connect(entry->path, &client, &error);

	if (is_absent(r))
		return EXIT_OK;
	if (r < 0)
		return say_failure("%s: %s", entry->path, say_why(&error, r));
	r = snapshot(client, &stats);
	if (r != EXIT_OK)
		return r;
	r = each(arg, entry, &stats);
	swap_stats_clear(&stats);
	return r;
}

int
reach_all(reach_fn *each, void *arg)
{
	struct pager_entry *entries;
	int status = EXIT_OK, r;
	size_t n;

	r = pager_list(&entries, &n);
	if (r < 0)
		return say_failure("cannot look for running pagers: %s",
				   strerror(-r));
	for (size_t i = 0; i < n; i++) {
		r = reach_one(&entries[i], each, arg);
		if (r != EXIT_OK)
			status = r;
	}
	pager_list_free(entries, n);
	return status;
}
