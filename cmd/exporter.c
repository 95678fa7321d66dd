/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * swap_exporter - figures of swap pagers over HTTP
 *
 * A program of its own, since nothing that speaks HTTP belongs into the process
 * that holds people's memory: it asks pagers through their sockets, as swapctl
 * does, and needs no privilege.  Whatever becomes of it, no pager notices.
 *
 * The order of things: the command line is checked to its end; then it listens;
 * then it becomes another user, if that was asked for; only then are there
 * threads, and somebody who may send us something.
 */
#include <errno.h>
#include <getopt.h>
#include <grp.h>
#include <inttypes.h>
#include <jansson.h>
#include <locale.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "compiler.h"
#include "exporter-gather.h"
#include "exporter-http.h"
#include "exporter-listen.h"
#include "ipc/openmetrics.h"
#include "ipc/path.h"
#include "notify.h"
#include "swap.h"
#include "util.h"

#define EXIT_USAGE	2

#define SECONDS_MAX	60
#define TIMEOUT_USEC	UINT64_C(5000000)
#define CACHE_USEC	UINT64_C(1000000)
#define LABEL_SIZE	PAGER_PATH_SIZE

struct exporter {
	/* The command line. */
	const char	*pagers[GATHER_PAGERS_MAX];
	char		 labels[GATHER_PAGERS_MAX][LABEL_SIZE];
	const char	*label[GATHER_PAGERS_MAX];	/* these */
	size_t		 npagers;
	const char	*listen;
	const char	*user;		/* NULL: stay who we are */
	bool		 objects;
	uint64_t	 cache_usec;
	uint64_t	 timeout_usec;

	struct http	*http;
	struct gather	*gather;
};

static const char usage_text[] =
"usage: swap_exporter [-p PAGER]... [--listen ADDRESS:PORT] [--objects]\n"
"                     [--cache SECONDS] [--timeout SECONDS] [--user NAME]\n"
"       swap_exporter --list | --help | --version\n";

static const char help_text[] =
"\n"
"Serves the figures of swap pagers over HTTP: /metrics for Prometheus,\n"
"/stats.json, /healthz, and a page at / that says what is where.\n"
"\n"
"  -p, --pager PAGER    a name, or the path of a socket, or \"kernel\" for\n"
"                       the kernel's own swap; several times for several\n"
"                       ($SWAPCTL_PAGER, else \"default\")\n"
"  --listen ADDRESS:PORT\n"
"                       where to serve (" LISTEN_ADDRESS ":" LISTEN_PORT
"); port 0: any\n"
"  --objects            series for each object, too\n"
"  --cache SECONDS      how old figures may be: 0..60 (1)\n"
"  --timeout SECONDS    how long a pager may take to answer: 1..60 (5)\n"
"  --user NAME          become this user once it listens; for root\n"
"  --list               print what is measured: name, type, unit, meaning\n";

static void swap_printf(1, 2)
say(const char *fmt, ...)
{
	char message[1024];
	va_list args;

	va_start(args, fmt);
	if (vsnprintf(message, sizeof(message), fmt, args) < 0)
		message[0] = '\0';
	va_end(args);
	fprintf(stderr, "swap_exporter: %s\n", message);
}

/* ----------------------------------------------------------------- options */

static void
misused(void)
{
	fputs("Try 'swap_exporter --help'.\n", stderr);
	exit(EXIT_USAGE);
}

static void
usage_error(const char *option, const char *value, const char *why)
{
	say("%s %.100s: %s", option, value, why);
	misused();
}

/* "2" or "0.5", in microseconds. */
static uint64_t
seconds_option(const char *option, const char *value, double min)
{
	char why[64], *end;
	double seconds;

	errno = 0;
	seconds = strtod(value, &end);
	if (errno == 0 && end != value && *end == '\0' && seconds >= min &&
	    seconds <= SECONDS_MAX)
		return (uint64_t)(seconds * 1e6);
	format_cut(why, sizeof(why), "is not a number of seconds within "
		   "%g..%d", min, SECONDS_MAX);
	usage_error(option, value, why);
	return 0;
}

/* A pager need not run, but its name must be one. */
static void
check_pager(const char *value)
{
	struct swap_error error = { 0 };
	char path[PAGER_PATH_SIZE];
	json_t *text = json_string(value);
	int r;

	if (text == NULL)
		usage_error("-p", "(this one)", "is not UTF-8");
	json_decref(text);
	if (value[0] == '\0')
		usage_error("-p", "''", "is not the name of a pager, nor the "
			    "path of its socket");
	if (strcmp(value, "kernel") == 0)
		return;
	r = path_client(value, path, &error);
	if (r == -EINVAL || r == -ENAMETOOLONG)
		usage_error("-p", value, error.message);
}

static void
pager_option(struct exporter *e, const char *value)
{
	check_pager(value);
	if (e->npagers == GATHER_PAGERS_MAX) {
		say("-p: there are more than %u pagers", GATHER_PAGERS_MAX);
		misused();
	}
	for (size_t i = 0; i < e->npagers; i++)
		if (strcmp(e->pagers[i], value) == 0)
			usage_error("-p", value, "is given twice");
	e->pagers[e->npagers++] = value;
}

static void
listen_option(struct exporter *e, const char *value)
{
	struct swap_error error = { 0 };
	char address[64], port[8];

	if (listen_parse(value, address, port, &error) < 0) {
		say("--listen: %s", error.message);
		misused();
	}
	e->listen = value;
}

enum option_code {
	OPT_LISTEN = 256, OPT_OBJECTS, OPT_CACHE, OPT_TIMEOUT, OPT_USER,
	OPT_LIST, OPT_VERSION, OPT_HELP,
};

static const struct option long_options[] = {
	{ "pager", required_argument, NULL, 'p' },
	{ "listen", required_argument, NULL, OPT_LISTEN },
	{ "objects", no_argument, NULL, OPT_OBJECTS },
	{ "cache", required_argument, NULL, OPT_CACHE },
	{ "timeout", required_argument, NULL, OPT_TIMEOUT },
	{ "user", required_argument, NULL, OPT_USER },
	{ "list", no_argument, NULL, OPT_LIST },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ "help", no_argument, NULL, OPT_HELP },
	{ NULL, 0, NULL, 0 },
};

static int
list_families(void)
{
	int r = openmetrics_list(stdout);

	if (r == 0 && fflush(stdout) != 0)
		r = -errno;
	if (r == 0)
		return EXIT_SUCCESS;
	say("cannot write the list: %s", strerror(-r));
	return EXIT_FAILURE;
}

static void
take_option(struct exporter *e, int option, const char *value)
{
	switch (option) {
	case 'p':
		pager_option(e, value);
		break;
	case OPT_LISTEN:
		listen_option(e, value);
		break;
	case OPT_OBJECTS:
		e->objects = true;
		break;
	case OPT_CACHE:
		e->cache_usec = seconds_option("--cache", value, 0);
		break;
	case OPT_TIMEOUT:
		e->timeout_usec = seconds_option("--timeout", value, 1);
		break;
	case OPT_USER:
		e->user = value;
		break;
	case OPT_LIST:
		exit(list_families());
	case OPT_VERSION:
		printf("swap_exporter %s\n", SWAP_VERSION);
		exit(EXIT_SUCCESS);
	case OPT_HELP:
		fputs(usage_text, stdout);
		fputs(help_text, stdout);
		exit(EXIT_SUCCESS);
	default:
		/* getopt_long() has told what is wrong. */
		misused();
	}
}

static void
parse_options(struct exporter *e, int argc, char **argv)
{
	const char *pager = getenv("SWAPCTL_PAGER");
	int option;

	while ((option = getopt_long(argc, argv, "p:", long_options,
				     NULL)) != -1)
		take_option(e, option, optarg);
	if (optind < argc)
		usage_error("argument", argv[optind],
			    "is not expected (a pager is given with -p)");
	if (e->npagers == 0)
		pager_option(e, pager != NULL && pager[0] != '\0' ? pager :
							PAGER_NAME_DEFAULT);
}

/* ------------------------------------------------------------------ labels */

/* The name of a pager that is given by the path of its socket. */
static void
short_label(const char *pager, char label[static LABEL_SIZE])
{
	const char *slash = strrchr(pager, '/');
	const char *base = slash != NULL ? slash + 1 : pager;
	size_t len = strlen(base);

	if (slash != NULL && len > 5 && strcmp(base + len - 5, ".sock") == 0)
		len -= 5;
	format_cut(label, LABEL_SIZE, "%.*s", (int)len, base);
}

static bool
is_taken(const struct exporter *e, size_t i)
{
	for (size_t j = 0; j < e->npagers; j++)
		if (j != i && strcmp(e->labels[j], e->labels[i]) == 0)
			return true;
	return false;
}

/*
 * Two sockets may have one name: then both are called by what was given, which
 * differs.  A label never depends on whether a pager answers.
 */
static void
make_labels(struct exporter *e)
{
	bool taken[GATHER_PAGERS_MAX];
	size_t i;

	for (i = 0; i < e->npagers; i++)
		short_label(e->pagers[i], e->labels[i]);
	for (i = 0; i < e->npagers; i++)
		taken[i] = is_taken(e, i);
	for (i = 0; i < e->npagers; i++) {
		if (taken[i])
			format_cut(e->labels[i], LABEL_SIZE, "%s",
				   e->pagers[i]);
		e->label[i] = e->labels[i];
	}
}

/* ----------------------------------------------------------------- service */

static void
on_done(void *arg)
{
	struct exporter *e = arg;

	http_done(e->http);
}

static void
on_change(void *arg, const char *label, const char *why)
{
	(void)arg;
	if (why != NULL)
		say("pager '%s' is away: %s", label, why);
	else
		say("pager '%s' answers again", label);
}

/* Give root up for good; what was opened stays. */
static int
become(const char *name)
{
	const struct passwd *user;

	errno = 0;
	user = getpwnam(name);
	if (user == NULL) {
		say("--user %s: %s", name, errno != 0 ? strerror(errno) :
		    "there is no such user");
		return -ENOENT;
	}
	if (initgroups(name, user->pw_gid) == 0 &&
	    setgid(user->pw_gid) == 0 && setuid(user->pw_uid) == 0)
		return 0;
	say("--user %s: cannot become that user: %s; only root can", name,
	    strerror(errno));
	return -EPERM;
}

/* Both own their part from then on, also where the other fails. */
static int
start_parts(struct exporter *e, int fd, struct swap_error *error)
{
	const struct gather_config config = {
		.pagers = e->pagers,
		.labels = e->label,
		.npagers = e->npagers,
		.objects = e->objects,
		.cache_usec = e->cache_usec,
		.timeout_usec = e->timeout_usec,
		.done = on_done,
		.change = on_change,
		.arg = e,
	};
	int r = http_new(e->label, e->npagers, &e->http, error);

	if (r == 0)
		r = gather_new(&config, &e->gather, error);
	if (r < 0) {
		close(fd);
		return r;
	}
	return http_start(e->http, e->gather, fd, e->objects, error);
}

static int
start(struct exporter *e)
{
	struct swap_error error = { 0 };
	char name[LISTEN_NAME_SIZE];
	int fd = listen_open(e->listen, name, &error);

	if (fd < 0) {
		say("%s", error.message);
		return fd;
	}
	if (e->user != NULL && become(e->user) < 0) {
		close(fd);
		return -EPERM;
	}
	/* Nothing that is run from here could gain more. */
	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (start_parts(e, fd, &error) < 0) {
		say("%s", error.message);
		return -EIO;
	}
	say("serving at http://%s/", name);
	return 0;
}

static int
serve(struct exporter *e)
{
	sigset_t set;
	int sig;

	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	/* Threads inherit it: the signal is for sigwait(). */
	sigprocmask(SIG_BLOCK, &set, NULL);
	if (start(e) < 0)
		return EXIT_FAILURE;
	notify_manager("READY=1");
	while (sigwait(&set, &sig) != 0)
		;
	notify_manager("STOPPING=1");
	http_stop(e->http);
	gather_free(e->gather);
	http_free(e->http);
	return EXIT_SUCCESS;
}

int
main(int argc, char **argv)
{
	struct exporter e = {
		.listen = LISTEN_ADDRESS ":" LISTEN_PORT,
		.cache_usec = CACHE_USEC,
		.timeout_usec = TIMEOUT_USEC,
	};

	setlocale(LC_CTYPE, "");
	parse_options(&e, argc, argv);
	make_labels(&e);
	return serve(&e);
}
