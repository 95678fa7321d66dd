/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * swapctl export - everything about a pager, for programs
 *
 * One round asks each pager that was named for a whole snapshot, writes all of
 * them in one of three formats, and forgets those of the round before.  A pager
 * that does not answer ends it where it is the only one; of several, it is told
 * of on standard error, and shown as down where the format can.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "command.h"
#include "ipc/client.h"
#include "ipc/export.h"
#include "ipc/openmetrics.h"
#include "kernel/host.h"
#include "reach.h"
#include "say.h"
#include "textfile.h"
#include "util.h"

#define INTERVAL_MIN_USEC	UINT64_C(100000)
#define INTERVAL_MAX_USEC	(UINT64_C(86400) * 1000000)
#define INTERVAL_USEC		UINT64_C(1000000)
/* Digits that tell every microsecond of a time apart. */
#define REAL_DIGITS		16

enum format { FORMAT_JSON, FORMAT_OPENMETRICS, FORMAT_PROMETHEUS };

struct export_options {
	bool		 follow, delta, all, objects;
	uint64_t	 interval_usec;
	int64_t		 count;		/* of rounds; 0: for ever */
	const char	*fields;	/* NULL: all */
	enum format	 format;
	bool		 format_given;
	const char	*textfile;	/* NULL: standard output */
};

/* One pager in one round. */
struct source {
	char		 label[PAGER_NAME_MAX + 1];
	bool		 up;		/* it answered */
	struct export_snapshot snapshot;
};

struct round {
	struct source	*source;
	size_t		 n;
};

struct export_run {
	struct invocation *inv;
	struct export_options options;
	struct swap_client *client;	/* of the only pager */
	bool		 kernel;	/* which is the kernel */
	struct round	 now, before;
	int		 status;	/* the worst so far */
};

/* --------------------------------------------------------------- a round */

static unsigned
needs(const struct export_options *options)
{
	if (options->format == FORMAT_JSON)
		return export_needs(options->fields);
	return EXPORT_MAPS | (options->objects ? EXPORT_OBJECTS : 0);
}

static void
round_clear(struct round *round)
{
	for (size_t i = 0; i < round->n; i++)
		if (round->source[i].up)
			export_clear(&round->source[i].snapshot);
	free(round->source);
	round->source = NULL;
	round->n = 0;
}

static int
take_kernel(const struct export_run *run, struct source *source)
{
	struct swap_error error = { 0 };
	struct host host;
	int r = reach_host(&host);

	format_cut(source->label, sizeof(source->label), "kernel");
	if (r != EXIT_OK)
		return r;
	r = export_take_kernel(&host, needs(&run->options), &source->snapshot,
			       &error);
	host_close(&host);
	source->up = r == 0;
	return r < 0 ? say_error("kernel", &error, r) : EXIT_OK;
}

static int
take_client(const struct export_run *run, struct swap_client *client,
	    struct source *source)
{
	struct swap_error error = { 0 };
	int r = export_take(client, needs(&run->options), &source->snapshot,
			    &error);

	if (r < 0)
		return say_error(client_path(client), &error, r);
	source->up = true;
	if (source->label[0] == '\0')
		format_cut(source->label, sizeof(source->label), "%s",
			   source->snapshot.stats.pager);
	return EXIT_OK;
}

/* A socket that nobody listens on is what a killed swapd leaves: not shown. */
static int
take_entry(struct export_run *run, const struct pager_entry *entry)
{
	struct source *source = &run->now.source[run->now.n];
	struct swap_error error = { 0 };
	struct swap_client *client;
	int r = swap_client_connect(entry->path, &client, &error);

	if (r == -ENOENT || r == -ECONNREFUSED)
		return EXIT_OK;
	run->now.n++;
	format_cut(source->label, sizeof(source->label), "%s", entry->name);
	if (r < 0)
		return say_error(entry->path, &error, r);
	r = take_client(run, client, source);
	swap_client_close(client);
	return r;
}

static void
note(struct export_run *run, int status)
{
	if (status != EXIT_OK)
		run->status = status;
}

static int
take_all(struct export_run *run)
{
	struct pager_entry *entries;
	size_t n;
	int r = pager_list(&entries, &n);

	if (r < 0)
		return say_failure("cannot look for running pagers: %s",
				   strerror(-r));
	run->now.source = calloc(n + 1, sizeof(*run->now.source));
	for (size_t i = 0; run->now.source != NULL && i < n; i++)
		note(run, take_entry(run, &entries[i]));
	pager_list_free(entries, n);
	if (run->now.source == NULL)
		return say_no_memory();
	note(run, take_kernel(run, &run->now.source[run->now.n++]));
	return EXIT_OK;
}

static int
take_one(struct export_run *run)
{
	run->now.source = calloc(1, sizeof(*run->now.source));
	if (run->now.source == NULL)
		return say_no_memory();
	run->now.n = 1;
	return run->kernel ? take_kernel(run, run->now.source) :
	       take_client(run, run->client, run->now.source);
}

/* ------------------------------------------------------------------ JSON */

static const struct source *
source_before(const struct export_run *run, const char *label)
{
	for (size_t i = 0; i < run->before.n; i++)
		if (run->before.source[i].up &&
		    strcmp(run->before.source[i].label, label) == 0)
			return &run->before.source[i];
	return NULL;
}

static int
document_write(const struct export_run *run, json_t *json, FILE *out)
{
	bool one = !run->options.follow && !run->options.all;
	struct swap_error error = { 0 };
	int r = json == NULL ? -ENOMEM : 0;

	if (r == 0 && run->options.fields != NULL)
		r = export_select(json, run->options.fields, &error);
	if (r == 0)
		(void)json_dumpf(json, out, JSON_REAL_PRECISION(REAL_DIGITS) |
				 (one ? JSON_INDENT(2) : JSON_COMPACT));
	json_decref(json);
	if (r == -ENOMEM)
		return say_no_memory();
	if (r < 0) {
		say_failure("%s", error.message);
		return EXIT_MISUSED;
	}
	fputc('\n', out);
	return EXIT_OK;
}

static int
json_write(const struct export_run *run, FILE *out)
{
	int status = EXIT_OK;

	for (size_t i = 0; i < run->now.n && status == EXIT_OK; i++) {
		const struct source *now = &run->now.source[i], *before;

		before = source_before(run, now->label);
		if (!now->up || (run->options.delta && before == NULL))
			continue;
		status = document_write(run, run->options.delta ?
			export_delta(&before->snapshot, &now->snapshot) :
			export_document(&now->snapshot), out);
	}
	return status;
}

/* --------------------------------------------------------------- writing */

static int
metrics_write(const struct export_run *run, FILE *out)
{
	const struct round *now = &run->now;
	struct openmetrics_pager *pagers = calloc(now->n + 1, sizeof(*pagers));
	unsigned flags = run->options.objects ? OPENMETRICS_OBJECTS : 0;
	int r;

	if (pagers == NULL)
		return say_no_memory();
	for (size_t i = 0; i < now->n; i++) {
		pagers[i].label = now->source[i].label;
		if (now->source[i].up)
			pagers[i].snapshot = &now->source[i].snapshot;
	}
	if (run->options.format == FORMAT_PROMETHEUS)
		flags |= OPENMETRICS_PROMETHEUS;
	r = openmetrics_write(out, pagers, now->n, flags);
	free(pagers);
	/* A write error stays in the stream's flag, for say_end(). */
	return r == -ENOMEM ? say_no_memory() : EXIT_OK;
}

static int
round_write(const struct export_run *run, FILE *out)
{
	return run->options.format == FORMAT_JSON ? json_write(run, out) :
	       metrics_write(run, out);
}

static int
file_write(const struct export_run *run)
{
	struct swap_error error = { 0 };
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	int status;

	if (out == NULL)
		return say_no_memory();
	status = round_write(run, out);
	if (fclose(out) != 0 && status == EXIT_OK)
		status = say_no_memory();
	if (status == EXIT_OK &&
	    textfile_replace(run->options.textfile, text, len, &error) < 0)
		status = say_failure("%s", error.message);
	free(text);
	return status;
}

static int
one_round(struct export_run *run)
{
	int status;

	round_clear(&run->before);
	run->before = run->now;
	run->now = (struct round){ NULL, 0 };
	status = run->options.all ? take_all(run) : take_one(run);
	/* A delta has nothing to say at first. */
	if (status != EXIT_OK ||
	    (run->options.delta && run->before.source == NULL))
		return status;
	status = run->options.textfile != NULL ? file_write(run) :
		 round_write(run, stdout);
	/* Who reads a line as it comes must not wait for a full buffer. */
	if (fflush(stdout) != 0)
		return EXIT_FAILED;
	return status;
}

/* Rounds begin at equal distances, however long each takes. */
static void
wait_until(uint64_t *next_usec, uint64_t interval_usec)
{
	uint64_t now = now_usec();
	struct timespec at;

	*next_usec = max_u64(*next_usec + interval_usec, now);
	at.tv_sec = (time_t)(*next_usec / 1000000);
	at.tv_nsec = (long)(*next_usec % 1000000) * 1000;
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at,
			       NULL) == EINTR)
		;
}

static int
rounds(struct export_run *run)
{
	const struct export_options *o = &run->options;
	int64_t left = o->follow ? o->count : 1;
	uint64_t next = now_usec();
	int status = o->delta ? one_round(run) : EXIT_OK;

	if (o->delta && status == EXIT_OK)
		wait_until(&next, o->interval_usec);
	while (status == EXIT_OK) {
		status = one_round(run);
		if (left == 1)
			break;
		left -= left > 0;
		if (status == EXIT_OK)
			wait_until(&next, o->interval_usec);
	}
	return status != EXIT_OK ? status : run->status;
}

/* ---------------------------------------------------------------- options */

enum {
	OPTION_FOLLOW = 256, OPTION_DELTA, OPTION_FIELDS, OPTION_FORMAT,
	OPTION_TEXTFILE, OPTION_OBJECTS, OPTION_ALL, OPTION_COUNT,
};

/* "10", "0.5"; at most six digits behind the point. */
static int
parse_interval(const char *text, uint64_t *ret_usec)
{
	uint64_t usec = 0, unit = 1000000;
	bool point = false, digits = false;

	for (; *text != '\0'; text++) {
		if (*text == '.' && !point) {
			point = true;
			continue;
		}
		if (*text < '0' || *text > '9' || (point && unit == 1) ||
		    usec > INTERVAL_MAX_USEC)
			return -EINVAL;
		digits = true;
		if (point)
			unit /= 10;
		usec = point ? usec + (uint64_t)(*text - '0') * unit :
		       usec * 10 + (uint64_t)(*text - '0') * 1000000;
	}
	if (!digits || usec < INTERVAL_MIN_USEC || usec > INTERVAL_MAX_USEC)
		return -EINVAL;
	*ret_usec = usec;
	return 0;
}

static int
take_interval(struct invocation *inv, const char *name,
	      struct export_options *o)
{
	if (optarg == NULL || parse_interval(optarg, &o->interval_usec) == 0)
		return COMMAND_GOES_ON;
	return say_misuse(inv, "%s '%s' is not a number of seconds from 0.1 "
			  "to 86400", name, optarg);
}

static int
take_format(struct invocation *inv, struct export_options *o)
{
	static const char *const names[] = {
		"json", "openmetrics", "prometheus",
	};

	o->format_given = true;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(optarg, names[i]) != 0)
			continue;
		o->format = (enum format)i;
		return COMMAND_GOES_ON;
	}
	return say_misuse(inv, "--format '%s' is not json, openmetrics or "
			  "prometheus", optarg);
}

static int
take_option(struct invocation *inv, int option, char **argv,
	    struct export_options *o)
{
	switch (option) {
	case OPTION_FOLLOW:
		o->follow = true;
		return take_interval(inv, "--follow", o);
	case OPTION_DELTA:
		o->delta = true;
		return take_interval(inv, "--delta", o);
	case OPTION_FIELDS:
		o->fields = optarg;
		return COMMAND_GOES_ON;
	case OPTION_FORMAT:
		return take_format(inv, o);
	case OPTION_TEXTFILE:
		o->textfile = optarg;
		return COMMAND_GOES_ON;
	case OPTION_OBJECTS:
		o->objects = true;
		return COMMAND_GOES_ON;
	case OPTION_ALL:
		o->all = true;
		return COMMAND_GOES_ON;
	case OPTION_COUNT:
		if (parse_i64(optarg, 1, INT32_MAX, &o->count) == 0)
			return COMMAND_GOES_ON;
		return say_misuse(inv, "--count '%s' is not a number from 1",
				  optarg);
	default:
		return command_option(inv, option, argv);
	}
}

/* What does not go together. */
static int
check(struct invocation *inv, struct export_options *o)
{
	if (o->textfile != NULL && !o->format_given)
		o->format = FORMAT_PROMETHEUS;
	if (inv->json && o->format_given && o->format != FORMAT_JSON)
		return say_misuse(inv, "--json and --format do not go "
				  "together");
	if (inv->json)
		o->format = FORMAT_JSON;
	if (o->format != FORMAT_JSON && (o->delta || o->fields != NULL))
		return say_misuse(inv, "--delta and --fields are for JSON; "
				  "Prometheus makes rates itself");
	if (o->format == FORMAT_JSON && o->objects)
		return say_misuse(inv, "--objects is for metrics; JSON has "
				  "them, or see --fields");
	if (o->format != FORMAT_JSON && o->follow && o->textfile == NULL)
		return say_misuse(inv, "--follow with metrics wants a "
				  "--textfile to write again and again");
	if (o->count > 0 && !o->follow)
		return say_misuse(inv, "--count goes with --follow");
	if (o->all && inv->pager != NULL)
		return say_misuse(inv, "--all and -p do not go together");
	return COMMAND_GOES_ON;
}

static int
parse(struct invocation *inv, int argc, char **argv,
      struct export_options *o)
{
	static const struct option long_options[] = {
		{ "follow", optional_argument, NULL, OPTION_FOLLOW },
		{ "delta", optional_argument, NULL, OPTION_DELTA },
		{ "fields", required_argument, NULL, OPTION_FIELDS },
		{ "format", required_argument, NULL, OPTION_FORMAT },
		{ "textfile", required_argument, NULL, OPTION_TEXTFILE },
		{ "objects", no_argument, NULL, OPTION_OBJECTS },
		{ "all", no_argument, NULL, OPTION_ALL },
		{ "count", required_argument, NULL, OPTION_COUNT },
		COMMAND_OPTIONS,
	};
	int option, r = COMMAND_GOES_ON;

	while (r == COMMAND_GOES_ON &&
	       (option = getopt_long(argc, argv, ":p:h", long_options,
				     NULL)) != -1)
		r = take_option(inv, option, argv, o);
	if (r == COMMAND_GOES_ON && optind < argc)
		return say_misuse(inv, "'%s' is one word too many",
				  argv[optind]);
	return r == COMMAND_GOES_ON ? check(inv, o) : r;
}

static int
run_export(struct invocation *inv, int argc, char **argv)
{
	struct export_run run = { .inv = inv };
	int r;

	run.options.interval_usec = INTERVAL_USEC;
	r = parse(inv, argc, argv, &run.options);
	if (r != COMMAND_GOES_ON)
		return r;
	run.kernel = reach_is_kernel(inv, 0, NULL);
	if (!run.options.all && !run.kernel) {
		r = reach_connect(inv, &run.client);
		if (r != EXIT_OK)
			return r;
	}
	r = rounds(&run);
	round_clear(&run.before);
	round_clear(&run.now);
	if (run.client != NULL)
		swap_client_close(run.client);
	return r;
}

const struct command cmd_export = {
	.name = "export",
	.synopsis = "[--fields LIST] [--delta[=SECONDS]] [--follow[=SECONDS]]\n"
		    "       [--count N] [--format FORMAT] [--objects] "
		    "[--textfile PATH] [--all]",
	.summary = "Write all figures for other programs: JSON, metrics",
	.help =
	"      --fields LIST      only these: ram,devices.path,counters.faults\n"
	"      --delta[=SECS]     what changed in so long, with rates\n"
	"      --follow[=SECS]    again and again, one document a line\n"
	"      --count N          stop after so many\n"
	"      --format FORMAT    json, openmetrics or prometheus\n"
	"      --objects          metrics of each object and user, too\n"
	"      --textfile PATH    replace this file, for node_exporter\n"
	"      --all              every pager that answers, and the kernel's\n"
	"                         swap; JSON is one document a line then",
	.run = run_export,
	.run_kernel = run_export,
	.kernel_synopsis = "[the same options]",
	.kernel_help = "What the kernel does not tell is left out.",
};
