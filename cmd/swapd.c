/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * swapd - host one pager behind a socket
 *
 * The order of things.  The name is claimed first, so that nobody else can use
 * its files; then it is looked whether processes still wait for the memory of
 * a swapd before us; then the pager and its devices; the socket comes last, so
 * that whoever can connect finds everything in service.
 *
 * Three things end it: SIGTERM or SIGINT, a Stop call (swapd --stop), or that
 * the process of --until has ended and no client is left.  Each hands the
 * memory over to the clients first.  Where that does not fit, it stays and says
 * what to do.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "daemon.h"
#include "device-name.h"
#include "ipc/client.h"
#include "ipc/path.h"
#include "ipc/server.h"
#include "ipc/state.h"
#include "pager.h"
#include "settings.h"
#include "swap.h"
#include "util.h"

#define EXIT_USAGE	2

/* How long "--stop" waits for the end after the handover. */
#define STOP_WAIT_MSEC	60000
/*
 * With --until: a client may be between exec(2) and its new connection, so
 * only as many looks in a row without a client mean that there is none.
 */
#define IDLE_LOOK_MSEC	100
#define IDLE_LOOKS	10u

struct attach {
	char			*path;
	struct swap_device_options options;
	bool			 created;
};

struct options {
	const char	*name;
	uint64_t	 ram_bytes;
	unsigned	 cluster_pages;
	unsigned	 flags;		/* SWAP_PAGER_* */
	struct attach	*devices;
	size_t		 ndevices;
	struct setting	*settings;
	size_t		 nsettings;
	pid_t		 until;		/* 0: no such process */
	bool		 foreground;
	bool		 quiet;
	bool		 force;
	bool		 stop;
	bool		 remove_created;
	/* For the --on to come. */
	struct swap_device_options next;
	bool		 for_start;	/* given what only a start can use */
};

struct swapd {
	struct options	 o;
	struct daemon	 daemon;
	struct log	 log;
	struct server	*server;
	struct swap_pager *pager;
	int		 signal_fd;
	int		 until_fd;	/* a pidfd, or -1 */
	bool		 until_over;
	unsigned	 idle_looks;
	int		 status;	/* where the start fails */
};

static const char usage_text[] =
"usage: swapd [--name NAME] [--ram SIZE] [--foreground] [--quiet]\n"
"             [[--priority N] [--create SIZE] [--discard[=once|pages]]\n"
"              [--force-device] --on DEVICE]...\n"
"             [--remove-created] [--cluster PAGES] [--full wait|fail]\n"
"             [--set NAME=VALUE]... [--until PID] [--force]\n"
"       swapd [--name NAME] --stop [--force]\n"
"       swapd --help | --version\n";

static const char help_text[] =
"\n"
"Keeps the memory that programs put into it within a budget of RAM, by\n"
"paging it to swap devices.\n"
"\n"
"  --name NAME       name of the pager, or path of its socket\n"
"  --ram SIZE        budget of RAM, as 512M or 4G (a quarter of all)\n"
"  --on DEVICE       attach a file or block device, or LABEL=, UUID=, ...\n"
"  --priority N      for each --on that follows: 0..32767, higher first\n"
"  --create SIZE     for the --on that follows: make a file of that size\n"
"  --discard         for the --on that follows: tell the device what is free,\n"
"                    all of it now, and pages as they become free; or one of\n"
"                    these: =once, =pages\n"
"  --force-device    for the --on that follows: even if it carries data\n"
"  --remove-created  remove the files of --create at the end\n"
"  --cluster PAGES   most pages in one I/O: 1..64 (32)\n"
"  --full wait|fail  a program that needs a page when RAM and swap are full\n"
"                    waits (which is the default), or gets SIGBUS\n"
"  --set NAME=VALUE  a tunable, as 'swapctl set' takes it\n"
"  --foreground      stay in the foreground, messages on stderr\n"
"  --quiet           only warnings and errors\n"
"  --until PID       end when this process and all clients have ended\n"
"  --stop            hand all memory over to the clients and end\n"
"  --force           at a start: give up memory that a swapd before left;\n"
"                    with --stop: end even where the memory does not fit,\n"
"                    and let clients wait\n";

/* ---------------------------------------------------------------- options */

static void
misused(void)
{
	fputs("Try 'swapd --help'.\n", stderr);
	exit(EXIT_USAGE);
}

/* @value is NULL where there is none to show. */
static void
usage_error(const char *what, const char *value, const char *why)
{
	daemon_say("%s%s%s: %s", what, value != NULL ? " " : "",
		   value != NULL ? value : "", why);
	misused();
}

static uint64_t
size_option(const char *option, const char *value)
{
	uint64_t bytes;
	int r = parse_size(value, &bytes);

	if (r == -ERANGE)
		usage_error(option, value, "is too large");
	if (r < 0)
		usage_error(option, value, "is not a size; write digits and, "
			    "if wanted, K, M, G or T");
	return bytes;
}

static int64_t
number_option(const char *option, const char *value, int64_t min, int64_t max)
{
	char why[80];
	int64_t n;

	format_cut(why, sizeof(why), "is not a number within %" PRId64
		   "..%" PRId64, min, max);
	if (parse_i64(value, min, max, &n) < 0)
		usage_error(option, value, why);
	return n;
}

static void
ram_option(struct options *o, const char *value)
{
	char why[64], min[16];

	o->ram_bytes = size_option("--ram", value);
	format_cut(why, sizeof(why), "is less than the minimum of %s",
		   format_size(SWAP_RAM_MIN, min, sizeof(min)));
	if (o->ram_bytes < SWAP_RAM_MIN)
		usage_error("--ram", value, why);
}

static void
on_option(struct options *o, const char *value)
{
	struct attach *a;

	if (value[0] == '\0')
		usage_error("--on", "''", "is not a device");
	a = realloc(o->devices, (o->ndevices + 1) * sizeof(*a));
	if (a == NULL) {
		daemon_say("out of memory");
		exit(EXIT_FAILURE);
	}
	o->devices = a;
	a += o->ndevices;
	memset(a, 0, sizeof(*a));
	/* A daemon's working directory is another. */
	if (device_name_absolute(value, &a->path) < 0) {
		daemon_say("--on %s: cannot tell the working directory",
			   value);
		exit(EXIT_FAILURE);
	}
	a->options = o->next;
	o->next.create_bytes = 0;
	o->next.flags = 0;
	o->ndevices++;
}

static void
set_option(struct options *o, const char *value)
{
	struct setting *s;

	s = realloc(o->settings, (o->nsettings + 1) * sizeof(*s));
	if (s == NULL) {
		daemon_say("out of memory");
		exit(EXIT_FAILURE);
	}
	o->settings = s;
	if (setting_parse(value, &s[o->nsettings]) < 0)
		usage_error("--set", value, "is not of the form NAME=VALUE");
	o->nsettings++;
}

static void
full_option(struct options *o, const char *value)
{
	if (strcmp(value, "fail") == 0)
		o->flags |= SWAP_PAGER_FULL_FAILS;
	else if (strcmp(value, "wait") == 0)
		o->flags &= ~SWAP_PAGER_FULL_FAILS;
	else
		usage_error("--full", value, "is neither 'wait' nor 'fail'");
}

static void
discard_option(struct options *o, const char *value)
{
	if (value == NULL)
		o->next.flags |= SWAP_DEVICE_DISCARD_ONCE |
				 SWAP_DEVICE_DISCARD_PAGES;
	else if (strcmp(value, "once") == 0)
		o->next.flags |= SWAP_DEVICE_DISCARD_ONCE;
	else if (strcmp(value, "pages") == 0)
		o->next.flags |= SWAP_DEVICE_DISCARD_PAGES;
	else
		usage_error("--discard", value,
			    "is neither 'once' nor 'pages'");
}

enum option_code {
	OPT_NAME = 256, OPT_RAM, OPT_ON, OPT_PRIORITY, OPT_CREATE,
	OPT_DISCARD, OPT_FORCE_DEVICE, OPT_REMOVE_CREATED, OPT_CLUSTER,
	OPT_FULL, OPT_SET, OPT_FOREGROUND, OPT_QUIET, OPT_UNTIL, OPT_STOP, OPT_FORCE,
	OPT_VERSION, OPT_HELP,
};

static const struct option long_options[] = {
	{ "name", required_argument, NULL, OPT_NAME },
	{ "ram", required_argument, NULL, OPT_RAM },
	{ "on", required_argument, NULL, OPT_ON },
	{ "priority", required_argument, NULL, OPT_PRIORITY },
	{ "create", required_argument, NULL, OPT_CREATE },
	{ "discard", optional_argument, NULL, OPT_DISCARD },
	{ "force-device", no_argument, NULL, OPT_FORCE_DEVICE },
	{ "remove-created", no_argument, NULL, OPT_REMOVE_CREATED },
	{ "cluster", required_argument, NULL, OPT_CLUSTER },
	{ "full", required_argument, NULL, OPT_FULL },
	{ "set", required_argument, NULL, OPT_SET },
	{ "foreground", no_argument, NULL, OPT_FOREGROUND },
	{ "quiet", no_argument, NULL, OPT_QUIET },
	{ "until", required_argument, NULL, OPT_UNTIL },
	{ "stop", no_argument, NULL, OPT_STOP },
	{ "force", no_argument, NULL, OPT_FORCE },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ "help", no_argument, NULL, OPT_HELP },
	{ NULL, 0, NULL, 0 },
};

/* Options that say what to do, not how to start. */
static bool
general_option(struct options *o, int opt, const char *value)
{
	switch (opt) {
	case OPT_NAME:
		o->name = value;
		return true;
	case OPT_STOP:
		o->stop = true;
		return true;
	case OPT_FORCE:
		o->force = true;
		return true;
	case OPT_VERSION:
		printf("swapd %s\n", SWAP_VERSION);
		exit(EXIT_SUCCESS);
	case OPT_HELP:
		fputs(usage_text, stdout);
		fputs(help_text, stdout);
		exit(EXIT_SUCCESS);
	}
	return false;
}

static void
start_option(struct options *o, int opt, const char *value)
{
	o->for_start = true;
	switch (opt) {
	case OPT_RAM:
		ram_option(o, value);
		break;
	case OPT_ON:
		on_option(o, value);
		break;
	case OPT_PRIORITY:
		o->next.priority = (int)number_option("--priority", value,
						      SWAP_PRIORITY_MIN,
						      SWAP_PRIORITY_MAX);
		break;
	case OPT_CREATE:
		o->next.create_bytes = size_option("--create", value);
		if (o->next.create_bytes == 0)
			usage_error("--create", value, "is not the size of a "
				    "file; say 512M or 4G");
		break;
	case OPT_DISCARD:
		discard_option(o, value);
		break;
	case OPT_FORCE_DEVICE:
		o->next.flags |= SWAP_DEVICE_FORCE;
		break;
	case OPT_REMOVE_CREATED:
		o->remove_created = true;
		break;
	case OPT_CLUSTER:
		o->cluster_pages = (unsigned)number_option("--cluster", value,
							   1,
							   SWAP_CLUSTER_MAX);
		break;
	case OPT_FULL:
		full_option(o, value);
		break;
	case OPT_SET:
		set_option(o, value);
		break;
	case OPT_FOREGROUND:
		o->foreground = true;
		break;
	case OPT_QUIET:
		o->quiet = true;
		break;
	case OPT_UNTIL:
		o->until = (pid_t)number_option("--until", value, 1, INT32_MAX);
		break;
	default:
		/* getopt_long() has told what is wrong. */
		misused();
	}
}

static void
parse_options(struct options *o, int argc, char **argv)
{
	int opt;

	while ((opt = getopt_long(argc, argv, "", long_options, NULL)) != -1)
		if (!general_option(o, opt, optarg))
			start_option(o, opt, optarg);
	if (optind < argc)
		usage_error("argument", argv[optind], "is not expected (a "
			    "device is given with --on)");
	if (o->stop && o->for_start)
		usage_error("--stop", NULL,
			    "goes only with --name and --force");
	if (o->next.create_bytes != 0)
		usage_error("--create", NULL, "needs an --on FILE after it");
	if (o->next.flags != 0)
		usage_error("--force-device", NULL,
			    "needs an --on DEVICE after it");
	if (o->ram_bytes == 0)
		o->ram_bytes = max_u64((uint64_t)sysconf(_SC_PHYS_PAGES) / 4 *
				       page_bytes(), SWAP_RAM_MIN);
}

/* ------------------------------------------------------------------- stop */

static int
stop_connected(struct swap_client *client, bool force)
{
	struct swap_error error = { 0 };
	int r;

	r = client_call(client, "Stop", json_pack("{s:b}", "force", force),
			NULL, &error);
	if (r < 0) {
		daemon_say("%s", error.message);
		return EXIT_FAILURE;
	}
	if (client_wait_closed(client, STOP_WAIT_MSEC) < 0) {
		daemon_say("the swapd at %s has handed its memory over, but "
			   "has not ended yet", client_path(client));
		return EXIT_FAILURE;
	}
	return EXIT_SUCCESS;
}

/* The name or path that the library connects to. */
static const char *
wanted_name(const struct options *o)
{
	const char *name = o->name != NULL ? o->name : getenv("SWAPCTL_PAGER");

	return name != NULL && name[0] != '\0' ? name : PAGER_NAME_DEFAULT;
}

static int
stop_other(const struct options *o)
{
	struct swap_error error = { 0 };
	struct swap_client *client;
	int status, r;

	r = swap_client_connect(o->name, &client, &error);
	if (r == -ENOENT || r == -ECONNREFUSED) {
		daemon_say("there is nothing to stop: no swapd has the name "
			   "'%s'; 'swapctl list --pagers' shows those that "
			   "run", wanted_name(o));
		return EXIT_FAILURE;
	}
	if (r < 0) {
		daemon_say("%s", error.message);
		return EXIT_FAILURE;
	}
	status = stop_connected(client, o->force);
	swap_client_close(client);
	return status;
}

/* ------------------------------------------------------------------ start */

static int
failed(const struct swap_error *error)
{
	daemon_say("%s", error->message);
	return error->code != 0 ? error->code : -EIO;
}

/* Claim the name, and the right to what a swapd before us has left. */
static int
claim(struct swapd *d)
{
	struct swap_error error = { 0 };
	const char *state;

	if (server_claim(d->o.name, &d->log, &d->server, &error) < 0)
		return failed(&error);
	state = server_paths(d->server)->state;
	if (!d->o.force && state_check(state, &error) < 0)
		return failed(&error);
	if (state_reset(state, &error) < 0)
		return failed(&error);
	return 0;
}

static int
open_pager(struct swapd *d)
{
	const struct pager_paths *paths = server_paths(d->server);
	struct swap_pager_config config;
	struct swap_error error = { 0 };

	swap_pager_config_init(&config);
	config.ram_bytes = d->o.ram_bytes;
	config.cluster_pages = d->o.cluster_pages;
	config.flags = d->o.flags;
	config.name = paths->name;
	config.state_dir = paths->state;
	config.log = daemon_log;
	config.log_arg = &d->daemon;
	config.event = server_event;
	config.event_arg = d->server;
	return swap_pager_open(&config, &d->pager, &error) < 0 ? failed(&error)
								: 0;
}

static int
tune(void *arg, const char *name, const char *value, struct swap_error *error)
{
	return swap_pager_tune(arg, name, value, error);
}

/* What was given with --set is refused: a wrong command line. */
static void
tuning_failed(struct swapd *d, const struct setting *s)
{
	struct swap_tunable *tunables;
	char hint[64] = "";
	size_t n;

	if (s->code == -ENOENT &&
	    swap_pager_tunables(d->pager, &tunables, &n) == 0) {
		setting_hint(tunables, n, s->name, hint, sizeof(hint));
		free(tunables);
	}
	daemon_say("--set %s=%.80s: %s%s", s->name, s->value,
		   s->error.message, hint);
}

static int
tune_pager(struct swapd *d)
{
	struct options *o = &d->o;
	size_t i;

	if (settings_apply(o->settings, o->nsettings, tune, d->pager) == 0)
		return 0;
	for (i = 0; i < o->nsettings; i++)
		if (!o->settings[i].done && o->settings[i].code < 0)
			tuning_failed(d, &o->settings[i]);
	d->status = EXIT_USAGE;
	return -EINVAL;
}

static int
attach_devices(struct swapd *d)
{
	struct swap_error error = { 0 };
	size_t i;
	int r;

	for (i = 0; i < d->o.ndevices; i++) {
		struct attach *a = &d->o.devices[i];

		r = swap_device_attach(d->pager, a->path, &a->options, &error);
		if (r == -EEXIST && a->options.create_bytes == 0)
			daemon_say("for swapd itself the option is "
				   "--force-device, before --on");
		if (r < 0)
			return failed(&error);
		a->created = a->options.create_bytes != 0;
	}
	return 0;
}

static int
watch_signals(struct swapd *d)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	d->signal_fd = signalfd(-1, &set, SFD_CLOEXEC);
	if (d->signal_fd < 0) {
		daemon_say("signalfd: %s", strerror(errno));
		return -errno;
	}
	return 0;
}

static int
watch_until(struct swapd *d)
{
	if (d->o.until == 0)
		return 0;
	d->until_fd = (int)syscall(SYS_pidfd_open, d->o.until, 0);
	if (d->until_fd < 0) {
		daemon_say("--until %d: %s", (int)d->o.until,
			   errno == ESRCH ? "there is no such process"
					  : strerror(errno));
		return -errno;
	}
	return 0;
}

static int
start(struct swapd *d)
{
	struct swap_error error = { 0 };
	int r;

	daemon_raise_limits();
	r = watch_signals(d);
	if (r == 0)
		r = watch_until(d);
	if (r == 0)
		r = claim(d);
	if (r == 0)
		r = open_pager(d);
	if (r == 0)
		r = tune_pager(d);
	if (r == 0)
		r = attach_devices(d);
	if (r < 0)
		return r;
	daemon_lock_memory(&d->daemon);
	return server_start(d->server, d->pager, &error) < 0 ? failed(&error)
							     : 0;
}

/* --------------------------------------------------------------- service */

static void
hand_over(struct swapd *d, const char *why)
{
	struct swap_error error = { 0 };
	int r;

	log_write(&d->log, SWAP_LOG_NOTICE, "%s: handing all memory over to "
		  "the clients", why);
	r = server_end(d->server, false, &error);
	if (r < 0 && r != -EBUSY)
		log_write(&d->log, SWAP_LOG_ERR, "staying: %s; free memory and "
			  "try again, or end it with 'swapd --name %s --stop "
			  "--force', and clients wait for a successor",
			  error.message, server_paths(d->server)->name);
}

static void
on_signal(struct swapd *d)
{
	struct signalfd_siginfo info;

	if (read(d->signal_fd, &info, sizeof(info)) == sizeof(info))
		hand_over(d, info.ssi_signo == SIGTERM ? "SIGTERM" : "SIGINT");
}

/* The process of --until has ended: is anybody left? */
static void
look_idle(struct swapd *d)
{
	d->idle_looks = server_nclients(d->server) == 0 ? d->idle_looks + 1
							: 0;
	if (d->idle_looks < IDLE_LOOKS)
		return;
	d->idle_looks = 0;
	hand_over(d, "the process of --until has ended");
}

static void
serve(struct swapd *d)
{
	struct pollfd p[3] = {
		{ .fd = server_ended_fd(d->server), .events = POLLIN },
		{ .fd = d->signal_fd, .events = POLLIN },
		{ .fd = d->until_fd, .events = POLLIN },
	};

	while (server_ended(d->server) == SERVER_RUNNING) {
		int n = poll(p, 3, d->until_over ? IDLE_LOOK_MSEC : -1);

		if (n < 0)
			continue;
		if (p[1].revents != 0)
			on_signal(d);
		if (p[2].revents != 0) {
			d->until_over = true;
			p[2].fd = -1;
		}
		if (d->until_over && n == 0)
			look_idle(d);
	}
}

/* -------------------------------------------------------------------- end */

static void
remove_created(const struct swapd *d)
{
	size_t i;

	for (i = 0; i < d->o.ndevices; i++)
		if (d->o.devices[i].created && d->o.remove_created)
			(void)unlink(d->o.devices[i].path);
}

static void
free_options(struct options *o)
{
	size_t i;

	for (i = 0; i < o->ndevices; i++)
		free(o->devices[i].path);
	free(o->devices);
	free(o->settings);
}

/*
 * Take down what has been set up, in the reverse order.  Nothing is swapped
 * any more: it has been handed over, or nobody could have connected yet.
 */
static void
finish(struct swapd *d)
{
	struct swap_error error = { 0 };

	if (d->server != NULL)
		server_stop(d->server);
	if (d->pager != NULL)
		pager_stop(d->pager);
	remove_created(d);
	if (d->pager != NULL &&
	    state_remove(server_paths(d->server)->state, &error) < 0)
		log_write(&d->log, SWAP_LOG_WARNING, "%s", error.message);
	if (d->server != NULL)
		server_free(d->server);
}

static int
run(struct swapd *d)
{
	if (start(d) < 0) {
		finish(d);
		return d->status;
	}
	daemon_ready(&d->daemon);
	log_write(&d->log, SWAP_LOG_INFO, "serving at %s",
		  server_paths(d->server)->socket);
	serve(d);
	daemon_stopping();
	if (server_ended(d->server) == SERVER_ABANDONED) {
		log_write(&d->log, SWAP_LOG_WARNING, "ended by force: clients "
			  "wait for a successor; the state is kept in %s",
			  server_paths(d->server)->state);
		/* Freeing anything now would be taken for its owner's wish. */
		_exit(EXIT_SUCCESS);
	}
	finish(d);
	return EXIT_SUCCESS;
}

int
main(int argc, char **argv)
{
	struct swapd d;
	int r;

	memset(&d, 0, sizeof(d));
	d.status = EXIT_FAILURE;
	d.signal_fd = d.until_fd = d.daemon.ready_fd = -1;
	parse_options(&d.o, argc, argv);
	if (d.o.stop)
		return stop_other(&d.o);
	d.daemon.foreground = d.o.foreground;
	d.daemon.quiet = d.o.quiet;
	d.log.fn = daemon_log;
	d.log.arg = &d.daemon;
	r = daemon_start(&d.daemon);
	if (r < 0) {
		daemon_say("cannot go to the background: %s", strerror(-r));
		return EXIT_FAILURE;
	}
	r = run(&d);
	free_options(&d.o);
	return r;
}
