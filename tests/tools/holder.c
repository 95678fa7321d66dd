/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * holder - a client that holds paged memory and does what it is told
 *
 *	holder PAGER SIZE [NAME]
 *
 * Connects, creates (or opens, where it exists) an object, maps it, and then
 * reads commands from standard input, one a line, answering each with a line:
 *
 *	fill N		write a pattern made from N to every word
 *	check N		verify every word: "ok", or "WRONG n"
 *	zero		verify that all is zero
 *	release		give every page up
 *	touch PAGE	read one word of a page (may never return)
 *	wire N		wire the first N pages ("ok" or the sentence)
 *	unwire N
 *	quit
 *
 * SIGBUS is answered with "SIGBUS at page N" and ends it with status 7.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "swap.h"
#include "util.h"

static uint64_t *memory;
static uint64_t nwords;

static void
say(const char *text)
{
	printf("%s\n", text);
	fflush(stdout);
}

static void
on_sigbus(int sig, siginfo_t *info, void *context)
{
	char text[80];
	int n;

	(void)sig;
	(void)context;
	n = snprintf(text, sizeof(text), "SIGBUS at page %zd\n",
		     ((char *)info->si_addr - (char *)memory) / 4096);
	if (write(STDOUT_FILENO, text, (size_t)n) < 0)
		_exit(8);
	_exit(7);
}

static uint64_t
word(uint64_t n, uint64_t i)
{
	return (i + 1) * UINT64_C(0x9e3779b97f4a7c15) + n;
}

static void
check(uint64_t n, bool zero)
{
	uint64_t wrong = 0;
	char text[64];

	for (uint64_t i = 0; i < nwords; i++)
		wrong += memory[i] != (zero ? 0 : word(n, i));
	snprintf(text, sizeof(text), "WRONG %" PRIu64, wrong);
	say(wrong == 0 ? "ok" : text);
}

static void
say_result(int rc, const struct swap_error *error)
{
	if (rc == 0)
		say("ok");
	else
		say(error != NULL ? error->message : strerror(-rc));
}

static void
obey(struct swap_client_region *region, const char *line)
{
	struct swap_error error;
	uint64_t n = 0;
	char command[16] = "";

	sscanf(line, "%15s %" SCNu64, command, &n);
	if (strcmp(command, "fill") == 0) {
		for (uint64_t i = 0; i < nwords; i++)
			memory[i] = word(n, i);
		say("ok");
	} else if (strcmp(command, "check") == 0) {
		check(n, false);
	} else if (strcmp(command, "zero") == 0) {
		check(0, true);
	} else if (strcmp(command, "release") == 0) {
		say_result(swap_client_release(region, 0, nwords * 8), NULL);
	} else if (strcmp(command, "touch") == 0) {
		n = ((volatile uint64_t *)memory)[n * 512];
		say("touched");
	} else if (strcmp(command, "wire") == 0) {
		say_result(swap_client_wire(region, 0, n * 4096, &error),
			   &error);
	} else if (strcmp(command, "unwire") == 0) {
		say_result(swap_client_unwire(region, 0, n * 4096), NULL);
	} else {
		say("unknown command");
	}
}

static int
get_object(struct swap_client *client, const char *name, uint64_t size,
	   struct swap_client_object **object, struct swap_error *error)
{
	if (name != NULL &&
	    swap_client_object_open(client, name, object, error) == 0)
		return 0;
	return swap_client_object_create(client, name, size, 0, object, error);
}

int
main(int argc, char **argv)
{
	struct sigaction action = {
		.sa_sigaction = on_sigbus,
		.sa_flags = SA_SIGINFO,
	};
	struct swap_client *client;
	struct swap_client_object *object;
	struct swap_client_region *region;
	struct swap_error error;
	char line[128];
	uint64_t size;

	if (argc < 3 || parse_size(argv[2], &size) < 0)
		return 2;
	if (swap_client_connect(argv[1], &client, &error) < 0) {
		printf("holder: %s\n", error.message);
		return 1;
	}
	if (get_object(client, argv[3], size, &object, &error) < 0 ||
	    swap_client_map(object, NULL, 0, size, &region, &error) < 0) {
		printf("holder: %s\n", error.message);
		swap_client_close(client);
		return 1;
	}
	memory = swap_client_region_address(region);
	nwords = size / 8;
	sigaction(SIGBUS, &action, NULL);
	say("ready");
	while (fgets(line, sizeof(line), stdin) != NULL &&
	       strncmp(line, "quit", 4) != 0)
		obey(region, line);
	swap_client_unmap(region);
	swap_client_object_close(object);
	swap_client_close(client);
	return 0;
}
