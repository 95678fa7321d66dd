/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * swaptop - watch a swap pager
 *
 *	app	the loop on a screen; screen and dialog draw around the view
 *	batch	the same views as text, and snapshots as JSON
 *	engine	curses, and nobody else knows it
 *	view-*	what is shown, over a picture, onto a canvas
 *	sampler	a thread that asks the source
 *	source	a swapd, the kernel, or a recording
 */
#include <errno.h>
#include <getopt.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app.h"
#include "batch.h"
#include "cmd/reach.h"
#include "util.h"

#define EXIT_OK		0
#define EXIT_FAILED	1
#define EXIT_MISUSED	2

static const char usage_text[] =
	"Usage: swaptop [-p PAGER | --replay FILE] [-d SECONDS] [-n COUNT]\n"
	"               [--view VIEW,...] [--once | --batch | --json]\n"
	"               [--ascii] [--colors SCHEME] [--readonly]\n"
	"\n"
	"Watch a swap pager: room, rates, devices, maps, objects, faults.\n"
	"\n"
	"  -p, --pager PAGER    a name, the path of a socket, or kernel\n"
	"      --replay FILE    show what --json has written to a file\n"
	"  -d, --delay SECONDS  between two snapshots, 0.1 to 3600 "
	"(default 1)\n"
	"  -n, --count COUNT    end after so many snapshots\n"
	"      --view VIEW,...  overview, devices, map, objects, faults\n"
	"      --once           print one snapshot and end\n"
	"  -b, --batch          print snapshots, one after the other\n"
	"      --json           print a snapshot as JSON; with -b or -n more\n"
	"      --ascii          draw with ASCII only\n"
	"      --colors SCHEME  dark, light, 8 or mono\n"
	"      --readonly       turn no device off\n"
	"      --help           print this\n"
	"      --version        print the version\n"
	"\n"
	"On the screen F1 tells the keys, and q quits.\n";

/* ---------------------------------------------------------------- options */

static int
misuse(const char *what, const char *given)
{
	fprintf(stderr, "swaptop: %s%s%s%s\nTry 'swaptop --help'.\n", what,
		given != NULL ? " '" : "", given != NULL ? given : "",
		given != NULL ? "'" : "");
	return EXIT_MISUSED;
}

static int
parse_delay(const char *text, uint64_t *ret_usec)
{
	char *end;
	double usec = strtod(text, &end) * 1e6;

	if (end == text || *end != '\0' || !(usec >= (double)DELAY_MIN_USEC &&
					     usec <= (double)DELAY_MAX_USEC))
		return -EINVAL;
	*ret_usec = (uint64_t)(usec + 0.5);
	return 0;
}

static int
parse_views(const char *text, unsigned *ret_views)
{
	unsigned set = 0;

	while (*text != '\0') {
		size_t n = strcspn(text, ",");
		unsigned i = 0;

		while (i < VIEWS && (strlen(views[i]->name) != n ||
				     strncmp(views[i]->name, text, n) != 0))
			i++;
		if (i == VIEWS)
			return -EINVAL;
		set |= 1u << i;
		text += n + (text[n] == ',');
	}
	*ret_views = set;
	return set != 0 ? 0 : -EINVAL;
}

enum {
	OPTION_ONCE = 256, OPTION_JSON, OPTION_REPLAY, OPTION_VIEW,
	OPTION_ASCII, OPTION_COLORS, OPTION_READONLY, OPTION_HELP,
	OPTION_VERSION,
};

/* Those with a value.  -1: go on; otherwise what swaptop returns. */
static int
take_value(struct options *options, int option)
{
	switch (option) {
	case 'p':
		options->pager = optarg;
		return -1;
	case 'd':
		if (parse_delay(optarg, &options->delay_usec) < 0)
			return misuse("the delay is 0.1 to 3600 seconds, not",
				      optarg);
		return -1;
	case 'n':
		if (parse_i64(optarg, 1, INT64_MAX, &options->count) < 0)
			return misuse("the count is a whole number above "
				      "zero, not", optarg);
		return -1;
	case OPTION_REPLAY:
		options->replay = optarg;
		return -1;
	case OPTION_VIEW:
		if (parse_views(optarg, &options->views) < 0)
			return misuse("views are overview, devices, map, "
				      "objects and faults, not", optarg);
		return -1;
	default:
		options->has_scheme = true;
		if (scheme_parse(optarg, &options->scheme) < 0)
			return misuse("colours are dark, light, 8 or mono, "
				      "not", optarg);
		return -1;
	}
}

static int
take_option(struct options *options, int option, char **argv)
{
	switch (option) {
	case OPTION_ONCE:
		options->count = 1;
		options->batch = true;
		return -1;
	case 'b':
		options->batch = true;
		return -1;
	case OPTION_JSON:
		options->json = true;
		return -1;
	case OPTION_ASCII:
		options->ascii = true;
		return -1;
	case OPTION_READONLY:
		options->readonly = true;
		return -1;
	case OPTION_HELP:
		fputs(usage_text, stdout);
		return EXIT_OK;
	case OPTION_VERSION:
		printf("swaptop (swapkit) %s\n", SWAP_VERSION);
		return EXIT_OK;
	case ':':
		return misuse("no value follows", argv[optind - 1]);
	case '?':
		return misuse("there is no option", argv[optind - 1]);
	default:
		return take_value(options, option);
	}
}

static int
parse_options(int argc, char **argv, struct options *options)
{
	static const struct option long_options[] = {
		{ "pager", required_argument, NULL, 'p' },
		{ "delay", required_argument, NULL, 'd' },
		{ "count", required_argument, NULL, 'n' },
		{ "replay", required_argument, NULL, OPTION_REPLAY },
		{ "view", required_argument, NULL, OPTION_VIEW },
		{ "once", no_argument, NULL, OPTION_ONCE },
		{ "batch", no_argument, NULL, 'b' },
		{ "json", no_argument, NULL, OPTION_JSON },
		{ "ascii", no_argument, NULL, OPTION_ASCII },
		{ "colors", required_argument, NULL, OPTION_COLORS },
		{ "readonly", no_argument, NULL, OPTION_READONLY },
		{ "help", no_argument, NULL, OPTION_HELP },
		{ "version", no_argument, NULL, OPTION_VERSION },
		{ NULL, 0, NULL, 0 },
	};
	int option, r;

	while ((option = getopt_long(argc, argv, ":p:d:n:b", long_options,
				     NULL)) != -1) {
		r = take_option(options, option, argv);
		if (r >= 0)
			return r;
	}
	if (optind < argc)
		return misuse("one word too many:", argv[optind]);
	if (options->replay != NULL && options->pager != NULL)
		return misuse("a pager or a recording, not both", NULL);
	/* JSON alone is one snapshot; --batch or a count make it more. */
	if (options->json && !options->batch && options->count == 0)
		options->count = 1;
	options->batch = options->batch || options->json;
	if (!options->batch && (!isatty(STDIN_FILENO) ||
				!isatty(STDOUT_FILENO)))
		return misuse("the screen needs a terminal; use --once or "
			      "--batch", NULL);
	return -1;
}

static int
open_source(const struct options *options, struct source **ret)
{
	const struct invocation inv = { .pager = options->pager };
	struct swap_error error = { 0 };
	int r;

	if (options->replay != NULL)
		r = source_replay(options->replay, ret, &error);
	else if (reach_is_kernel(&inv, 0, NULL))
		r = source_kernel(ret);
	else
		r = source_swapd(options->pager, ret);
	if (r < 0)
		fprintf(stderr, "swaptop: %s\n", error.message[0] != '\0' ?
			error.message : strerror(-r));
	return r;
}

int
main(int argc, char **argv)
{
	struct options options = { .delay_usec = 1000000 };
	struct source *source;
	int r;

	setlocale(LC_CTYPE, "");
	r = parse_options(argc, argv, &options);
	if (r >= 0)
		return r;
	if (open_source(&options, &source) < 0)
		return EXIT_FAILED;
	return options.batch ? batch_run(&options, source) :
			       app_run(&options, source);
}
