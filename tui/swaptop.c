/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * swaptop - watch a swap pager
 *
 * Each round takes one snapshot and lets the views put their lines, on the
 * engine's screen or, with --once and --batch, on standard output: the same
 * lines, so that what can be seen can also be read, sent and searched.
 *
 * The screen outlives the swapd: where the pager does not answer it says so
 * and tries again each round.  In batch mode that is a failure.
 */
#include <errno.h>
#include <getopt.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cmd/figures.h"
#include "cmd/reach.h"
#include "cmd/terminal.h"
#include "engine.h"
#include "kernel/kernel.h"
#include "swap.h"
#include "util.h"
#include "view.h"

#define EXIT_OK		0
#define EXIT_FAILED	1
#define EXIT_MISUSED	2

#define DELAY_MIN_SEC	0.1
#define DELAY_MAX_SEC	3600.0

static const char usage_text[] =
	"Usage: swaptop [-p PAGER] [-d SECONDS] [-n COUNT] [--once | --batch]\n"
	"\n"
	"Watch a swap pager: room, rates, devices, objects.\n"
	"\n"
	"  -p, --pager PAGER    a name, or the path of a socket\n"
	"  -d, --delay SECONDS  between two snapshots, 0.1 to 3600 "
	"(default 1)\n"
	"  -n, --count COUNT    end after so many snapshots\n"
	"      --once           print one snapshot and end\n"
	"  -b, --batch          print snapshots, one after the other\n"
	"      --help           print this\n"
	"      --version        print the version\n"
	"\n"
	"Keys: q quits, space refreshes.\n";

struct options {
	const char	*pager;
	double		 delay_sec;
	int64_t		 count;		/* 0: endless */
	bool		 batch;
};

/* The last two snapshots, and the connection that they come from. */
struct watch {
	const struct options	*options;
	struct swap_client	*client;	/* NULL: not connected */
	struct swap_stats	 now;
	struct swap_stats	 before;
	unsigned		 nstats;	/* of the two that are filled */
};

static void
watch_end(struct watch *watch)
{
	if (watch->client != NULL)
		swap_client_close(watch->client);
	swap_stats_clear(&watch->now);
	swap_stats_clear(&watch->before);
}

/* The kernel's own swap needs no connection. */
static int
kernel_next(struct swap_stats *stats, struct swap_error *error)
{
	struct host host;
	int r = host_open(NULL, NULL, &host, error);

	if (r < 0)
		return r;
	r = kernel_stats(&host, stats);
	host_close(&host);
	return r < 0 ? error_set(error, r, "the kernel's swap: %s",
				 strerror(-r)) : 0;
}

/* From a new connection where there is none. */
static int
pager_next(struct watch *watch, struct swap_stats *stats,
	   struct swap_error *error)
{
	const struct invocation inv = { .pager = watch->options->pager };
	int r = 0;

	if (reach_is_kernel(&inv, 0, NULL))
		return kernel_next(stats, error);
	if (watch->client == NULL)
		r = swap_client_connect(watch->options->pager, &watch->client,
					error);
	if (r == 0)
		r = swap_client_stats(watch->client, stats, error);
	return r;
}

/* Take the next snapshot. */
static int
watch_next(struct watch *watch, struct swap_error *error)
{
	struct swap_stats stats = { 0 };
	int r;

	error->message[0] = '\0';
	r = pager_next(watch, &stats, error);
	if (r < 0) {
		if (watch->client != NULL)
			swap_client_close(watch->client);
		watch->client = NULL;
		if (error->message[0] == '\0')
			error_set(error, r, "the pager does not answer: %s",
				  strerror(-r));
		return r;
	}
	stats_sort_objects(&stats);
	swap_stats_clear(&watch->before);
	watch->before = watch->now;
	watch->now = stats;
	if (watch->nstats < 2)
		watch->nstats++;
	return 0;
}

static void
show(const struct watch *watch, struct lines *lines)
{
	static view_fn *const views[] = {
		view_summary, view_devices, view_objects,
	};

	for (size_t i = 0; i < ARRAY_SIZE(views); i++)
		views[i](&watch->now,
			 watch->nstats > 1 ? &watch->before : NULL, lines);
}

/* ------------------------------------------------------------------ batch */

static void
print_line(void *arg, enum line_style style, const char *text)
{
	(void)arg;
	(void)style;
	puts(text);
}

static void
pause_sec(double sec)
{
	struct timespec left = {
		.tv_sec = (time_t)sec,
		.tv_nsec = (long)((sec - (double)(time_t)sec) * 1e9),
	};

	while (nanosleep(&left, &left) < 0 && errno == EINTR)
		continue;
}

static int
run_batch(struct watch *watch)
{
	const struct options *options = watch->options;
	struct swap_error error = { 0 };

	for (int64_t i = 0; options->count == 0 || i < options->count; i++) {
		struct lines lines = {
			.width = terminal_width(STDOUT_FILENO),
			.left = LINES_ENDLESS,
			.utf8 = terminal_is_utf8(),
			.emit = print_line,
		};

		if (i > 0) {
			pause_sec(options->delay_sec);
			putchar('\n');
		}
		if (watch_next(watch, &error) < 0) {
			fprintf(stderr, "swaptop: %s\n", error.message);
			return EXIT_FAILED;
		}
		show(watch, &lines);
		if (fflush(stdout) != 0) {
			fprintf(stderr, "swaptop: cannot write to standard "
				"output: %s\n", strerror(errno));
			return EXIT_FAILED;
		}
	}
	return EXIT_OK;
}

/* ----------------------------------------------------------------- screen */

static void
draw(const struct watch *watch, struct engine *engine,
     const struct swap_error *error)
{
	struct lines lines;

	engine_begin(engine, terminal_is_utf8(), &lines);
	if (error->message[0] != '\0') {
		lines_put(&lines, LINE_ALARM, "! %s", error->message);
		lines_put(&lines, LINE_PLAIN, "  Below is what was seen last; "
			  "looking again.");
	}
	/* What was true last is better than nothing, below those lines. */
	if (watch->nstats > 0)
		show(watch, &lines);
}

static int
run_screen(struct watch *watch)
{
	const struct options *options = watch->options;
	struct swap_error error = { 0 };
	struct engine *engine;
	enum engine_event event = ENGINE_TIME;

	/* A pager that is not there at all is told on the plain terminal. */
	if (watch_next(watch, &error) < 0) {
		fprintf(stderr, "swaptop: %s\n", error.message);
		return EXIT_FAILED;
	}
	if (engine_open(terminal_can_color(STDOUT_FILENO), &engine) < 0) {
		fprintf(stderr, "swaptop: cannot draw on this terminal "
			"(TERM=%s); use --once or --batch\n",
			getenv("TERM") != NULL ? getenv("TERM") : "");
		return EXIT_FAILED;
	}
	for (int64_t i = 1; event != ENGINE_QUIT; i++) {
		draw(watch, engine, &error);
		event = engine_show(engine, (int)(options->delay_sec * 1000));
		if (options->count > 0 && i >= options->count)
			break;
		if (event != ENGINE_QUIT)
			(void)watch_next(watch, &error);
	}
	engine_close(engine);
	return EXIT_OK;
}

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
parse_delay(const char *text, double *ret_sec)
{
	char *end;
	double sec = strtod(text, &end);

	if (end == text || *end != '\0' ||
	    !(sec >= DELAY_MIN_SEC && sec <= DELAY_MAX_SEC))
		return -EINVAL;
	*ret_sec = sec;
	return 0;
}

enum { OPTION_ONCE = 256, OPTION_HELP, OPTION_VERSION };

/* -1: go on; otherwise what swaptop returns. */
static int
take_option(struct options *options, int option, char **argv)
{
	switch (option) {
	case 'p':
		options->pager = optarg;
		return -1;
	case 'd':
		if (parse_delay(optarg, &options->delay_sec) < 0)
			return misuse("the delay is 0.1 to 3600 seconds, not",
				      optarg);
		return -1;
	case 'n':
		if (parse_i64(optarg, 1, INT64_MAX, &options->count) < 0)
			return misuse("the count is a whole number above "
				      "zero, not", optarg);
		return -1;
	case OPTION_ONCE:
		options->count = 1;
		options->batch = true;
		return -1;
	case 'b':
		options->batch = true;
		return -1;
	case OPTION_HELP:
		fputs(usage_text, stdout);
		return EXIT_OK;
	case OPTION_VERSION:
		printf("swaptop (swapkit) %s\n", SWAP_VERSION);
		return EXIT_OK;
	case ':':
		return misuse("no value follows", argv[optind - 1]);
	default:
		return misuse("there is no option", argv[optind - 1]);
	}
}

static int
parse_options(int argc, char **argv, struct options *options)
{
	static const struct option long_options[] = {
		{ "pager", required_argument, NULL, 'p' },
		{ "delay", required_argument, NULL, 'd' },
		{ "count", required_argument, NULL, 'n' },
		{ "once", no_argument, NULL, OPTION_ONCE },
		{ "batch", no_argument, NULL, 'b' },
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
	return -1;
}

int
main(int argc, char **argv)
{
	struct options options = { .delay_sec = 1 };
	struct watch watch = { .options = &options };
	int r;

	setlocale(LC_CTYPE, "");
	r = parse_options(argc, argv, &options);
	if (r >= 0)
		return r;
	if (options.batch)
		r = run_batch(&watch);
	else if (isatty(STDIN_FILENO) && isatty(STDOUT_FILENO))
		r = run_screen(&watch);
	else
		r = misuse("the screen needs a terminal; use --once or --batch",
			   NULL);
	watch_end(&watch);
	return r;
}
