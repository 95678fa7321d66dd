/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * swapctl status - one pager, or all of them, at a glance
 *
 * First what a person asks first: is there room?  Then what the pager has
 * done, then its devices, and last, in words, what needs attention.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "figures.h"
#include "ipc/json.h"
#include "kernel.h"
#include "reach.h"
#include "say.h"
#include "table.h"
#include "terminal.h"
#include "util.h"

#define LABEL_WIDTH	11u
#define BAR_WIDTH	20u
/* The least that the words beside a bar need. */
#define BESIDE_BAR	45u

/* ----------------------------------------------------- the block on top */

static void
put_heading(const struct swap_stats *stats)
{
	bool bold = terminal_can_color(STDOUT_FILENO);
	char span[FIGURE_LEN];

	printf("%sPager %s%s: %s %s, process %" PRId32 ", up %s, %u client%s\n",
	       bold ? "\033[1m" : "", stats->pager, bold ? "\033[0m" : "",
	       stats->provider, stats->version, stats->pid,
	       figure_span(stats->uptime_usec, span, sizeof(span)),
	       stats->clients, stats->clients == 1 ? "" : "s");
}

/* "RAM        ████░░  75%  " with a bar only where somebody looks at it. */
static void
put_gauge(const char *label, uint64_t part, uint64_t whole)
{
	unsigned width = terminal_width(STDOUT_FILENO);
	bool utf8 = terminal_is_utf8();
	char bar[FIGURE_BAR_LEN];

	printf("%-*s", (int)LABEL_WIDTH, label);
	if (width >= LABEL_WIDTH + BAR_WIDTH + BESIDE_BAR) {
		figure_bar(part, whole, BAR_WIDTH, utf8, bar);
		printf(utf8 ? "%s  " : "[%s]  ", bar);
	}
	printf("%3u%%  ", figure_percent(part, whole));
}

/* What is set aside, if anything; what objects are charged of what they may. */
static void
put_charges(const struct swap_stats *stats)
{
	char a[FIGURE_LEN], b[FIGURE_LEN];

	if (stats->set_aside_bytes > 0) {
		put_gauge("Set aside", stats->set_aside_bytes,
			  stats->swap_bytes);
		printf("%s of %s, kept free for objects\n",
		       figure_size(stats->set_aside_bytes, a, sizeof(a)),
		       figure_size(stats->swap_bytes, b, sizeof(b)));
	}
	/* A share of what nobody enforces may be any. */
	if (stats->overcommit & SWAP_OVERCOMMIT_TOTAL)
		put_gauge("Charged", stats->charged_bytes,
			  stats->chargeable_bytes);
	else
		printf("%-*s", (int)LABEL_WIDTH, "Charged");
	printf("%s of %s to objects%s\n",
	       figure_size(stats->charged_bytes, a, sizeof(a)),
	       figure_size(stats->chargeable_bytes, b, sizeof(b)),
	       stats->overcommit & SWAP_OVERCOMMIT_TOTAL ? ""
	       : ", not enforced");
}

/* Against its budget; where it has none, only the sums. */
static void
put_metadata(const struct swap_stats *stats)
{
	char a[FIGURE_LEN], b[FIGURE_LEN], c[FIGURE_LEN];

	figure_size(stats->map_bytes, a, sizeof(a));
	figure_size(stats->metadata_bytes, c, sizeof(c));
	if (stats->map_limit_bytes == 0) {
		printf("%-*s%s for maps, %s in all\n", (int)LABEL_WIDTH,
		       "Metadata", a, c);
		return;
	}
	put_gauge("Metadata", stats->map_bytes, stats->map_limit_bytes);
	printf("%s of %s for maps, %s in all\n", a,
	       figure_size(stats->map_limit_bytes, b, sizeof(b)), c);
}

static void
put_space(const struct swap_stats *stats)
{
	char a[FIGURE_LEN], b[FIGURE_LEN], c[FIGURE_LEN];

	put_gauge("RAM", stats->resident_bytes, stats->ram_bytes);
	printf("%s of %s resident, %s wired\n",
	       figure_size(stats->resident_bytes, a, sizeof(a)),
	       figure_size(stats->ram_bytes, b, sizeof(b)),
	       figure_size(stats->wired_bytes, c, sizeof(c)));
	put_gauge("Swap", stats->swap_used_bytes, stats->swap_bytes);
	printf("%s of %s used, %s available\n",
	       figure_size(stats->swap_used_bytes, a, sizeof(a)),
	       figure_size(stats->swap_bytes, b, sizeof(b)),
	       figure_size(stats_avail_bytes(stats), c, sizeof(c)));
	put_charges(stats);
	put_metadata(stats);
}

/* Items in one paragraph, behind a label and wrapped below one another. */
struct paragraph {
	unsigned	width;		/* to wrap at; 0: never */
	unsigned	at;		/* columns written in this line */
	unsigned	nitems;
};

static void swap_printf(2, 3)
put_item(struct paragraph *paragraph, const char *fmt, ...)
{
	char item[96];
	va_list args;
	unsigned n;

	va_start(args, fmt);
	vsnprintf(item, sizeof(item), fmt, args);
	va_end(args);
	n = (unsigned)strlen(item);
	if (paragraph->nitems++ > 0) {
		fputs(",", stdout);
		paragraph->at++;
		if (paragraph->width > 0 &&
		    paragraph->at + 1 + n >= paragraph->width) {
			printf("\n%*s", (int)LABEL_WIDTH, "");
			paragraph->at = LABEL_WIDTH;
		} else {
			fputs(" ", stdout);
			paragraph->at++;
		}
	}
	fputs(item, stdout);
	paragraph->at += n;
}

static void
put_label(struct paragraph *paragraph, const char *label)
{
	if (paragraph->at > 0)
		putchar('\n');
	printf("%-*s", (int)LABEL_WIDTH, label);
	paragraph->at = LABEL_WIDTH;
	paragraph->nitems = 0;
}

static void
put_count(struct paragraph *paragraph, uint64_t count, const char *what)
{
	char text[FIGURE_LEN];

	put_item(paragraph, "%s %s", figure_count(count, text, sizeof(text)),
		 what);
}

/* For what is rare: said only when it has happened. */
static void
put_rare(struct paragraph *paragraph, uint64_t count, const char *what)
{
	if (count > 0)
		put_count(paragraph, count, what);
}

/* What has gone short since the start; nothing where nothing has. */
static void
put_events(const struct swap_counters *c)
{
	struct paragraph p = { .width = terminal_width(STDOUT_FILENO) };

	if (c->almost_full_events + c->full_events +
	    c->metadata_full_events + c->charges_refused == 0)
		return;
	put_label(&p, "Shortages");
	put_rare(&p, c->almost_full_events, "times almost full");
	put_rare(&p, c->full_events, "times full");
	put_rare(&p, c->metadata_full_events, "times no map memory");
	put_rare(&p, c->charges_refused, "objects refused");
	putchar('\n');
}

static void
put_counters(const struct swap_counters *c)
{
	struct paragraph p = { .width = terminal_width(STDOUT_FILENO) };

	put_label(&p, "Faults");
	put_count(&p, c->faults_zero, "new pages");
	put_count(&p, c->faults_in, "from swap");
	put_count(&p, c->faults_write, "first writes");
	put_rare(&p, c->faults_busy, "met paging");
	put_rare(&p, c->faults_starved, "waited for a free page");
	put_label(&p, "Paged in");
	put_count(&p, c->pagein_pages, "pages");
	put_count(&p, c->pageins, "reads");
	put_rare(&p, c->pageback_pages, "pages back for off");
	put_label(&p, "Paged out");
	put_count(&p, c->pageout_pages, "pages");
	put_count(&p, c->pageouts, "writes");
	put_rare(&p, c->pageout_clean, "dropped clean");
	put_rare(&p, c->pageout_rescued, "wanted back under way");
	put_rare(&p, c->poisoned_pages, "lost");
	if (c->copy_pages + c->copy_pushed_pages > 0) {
		put_label(&p, "Copied");
		put_count(&p, c->copy_pages, "pages when copies used them");
		put_count(&p, c->copy_pushed_pages, "before a write");
	}
	putchar('\n');
	put_events(c);
}

/* ------------------------------------------------------------- the devices */

static const struct table_column device_columns[] = {
	{ "NAME", TABLE_NAME, 0 }, { "TYPE", TABLE_WORD, 5 },
	{ "SIZE", TABLE_NUMBER, 1 }, { "USED", TABLE_NUMBER, 0 },
	{ "AVAIL", TABLE_NUMBER, 2 }, { "USE%", TABLE_NUMBER, 0 },
	{ "PRIO", TABLE_NUMBER, 4 }, { "FLAGS", TABLE_WORD, 0 },
	{ "READ", TABLE_NUMBER, 6 }, { "WRITTEN", TABLE_NUMBER, 6 },
	{ "ERRORS", TABLE_NUMBER, 3 },
};
#define COLUMN_FLAGS	7u
#define COLUMN_ERRORS	10u

static int
put_device(struct table *table, const struct swap_device_stats *device)
{
	char text[ARRAY_SIZE(device_columns)][FIGURE_LEN];
	const char *cells[ARRAY_SIZE(device_columns)];
	uint64_t errors = device->read_errors + device->write_errors;
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(cells); i++)
		cells[i] = text[i];
	cells[0] = device->path;
	cells[1] = device->type;
	figure_size(device->size_bytes, text[2], FIGURE_LEN);
	figure_size(device->used_bytes, text[3], FIGURE_LEN);
	figure_size(device_avail_bytes(device), text[4], FIGURE_LEN);
	format_cut(text[5], FIGURE_LEN, "%u%%",
		   figure_percent(device->used_bytes, device->size_bytes));
	format_cut(text[6], FIGURE_LEN, "%d", device->priority);
	device_flag_words(device, text[COLUMN_FLAGS], FIGURE_LEN);
	figure_size(device->read_bytes, text[8], FIGURE_LEN);
	figure_size(device->written_bytes, text[9], FIGURE_LEN);
	format_cut(text[COLUMN_ERRORS], FIGURE_LEN, "%" PRIu64, errors);
	r = table_row(table, cells);
	if (r == 0 && device->flags != 0)
		table_warn(table, COLUMN_FLAGS);
	if (r == 0 && errors > 0)
		table_warn(table, COLUMN_ERRORS);
	return r;
}

static int
put_devices(const struct swap_stats *stats)
{
	struct table *table;
	int r;

	if (stats->ndevices == 0)
		return 0;
	putchar('\n');
	r = table_new(device_columns, ARRAY_SIZE(device_columns), &table);
	if (r < 0)
		return r;
	for (size_t i = 0; i < stats->ndevices && r == 0; i++)
		r = put_device(table, &stats->devices[i]);
	if (r == 0)
		r = table_print(table);
	table_free(table);
	return r;
}

/* ---------------------------------------------------- what needs attention */

/* "! SENTENCE": something to act on, seen without colour too. */
static void swap_printf(1, 2)
put_alarm(const char *fmt, ...)
{
	bool color = terminal_can_color(STDOUT_FILENO);
	va_list args;

	fputs(color ? "\033[1;33m!\033[0m " : "! ", stdout);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
}

static void
put_device_notice(const struct swap_device_stats *device)
{
	char bad[FIGURE_LEN];

	format_size(device->bad_bytes, bad, sizeof(bad));
	if (device->flags & SWAP_DEVICE_GONE)
		put_alarm("%s has disappeared:\n"
			  "  pages that were only there are lost.\n",
			  device->path);
	else if (device->flags & SWAP_DEVICE_DEGRADED)
		put_alarm("%s is degraded:\n"
			  "  writes have failed, and %s will not be used "
			  "again.\n"
			  "  Turn it off and look into the kernel's log.\n",
			  device->path, bad);
	if (device->flags & SWAP_DEVICE_CLOSING)
		printf("  %s is closing:\n  it is being paged back.\n",
		       device->path);
}

static void
put_notices(const struct swap_stats *stats)
{
	static const char remedy[] =
		"  Attach another device with 'swapctl on DEVICE'.";
	bool any = stats->ndevices == 0 || stats->full ||
		   stats->almost_full || stats->metadata_full;

	for (size_t i = 0; i < stats->ndevices; i++)
		any = any || stats->devices[i].flags != 0;
	if (any)
		putchar('\n');
	if (stats->ndevices == 0)
		puts("  There is no swap device: RAM is all there is.\n"
		     "  Attach one with 'swapctl on DEVICE'.");
	else if (stats->full)
		put_alarm("Swap space is full: nothing more can be paged "
			  "out.\n%s\n", remedy);
	else if (stats->almost_full)
		put_alarm("Swap space is almost full.\n%s\n", remedy);
	if (stats->metadata_full)
		put_alarm("The memory for swap maps is used up: nothing more "
			  "can be paged out.\n"
			  "  Give it more with 'swapctl set "
			  "metadata_limit=SIZE'.\n");
	for (size_t i = 0; i < stats->ndevices; i++)
		put_device_notice(&stats->devices[i]);
}

static int
put_status(const struct swap_stats *stats)
{
	int r;

	put_heading(stats);
	putchar('\n');
	put_space(stats);
	put_counters(&stats->counters);
	r = put_devices(stats);
	if (r < 0)
		return say_no_memory();
	put_notices(stats);
	return EXIT_OK;
}

/* ----------------------------------------------------------- one, or every */

struct all {
	json_t		*array;		/* NULL: for people */
	unsigned	 nseen;
};

static int
status_each(void *arg, const struct pager_entry *entry,
	    struct swap_stats *stats)
{
	struct all *all = arg;

	(void)entry;
	if (all->array != NULL) {
		all->nseen++;
		if (json_array_append_new(all->array,
					  json_from_stats(stats, NULL,
							  NULL)) < 0)
			return say_no_memory();
		return EXIT_OK;
	}
	if (all->nseen++ > 0)
		putchar('\n');
	return put_status(stats);
}

/* The machine's own swap comes last. */
static int
status_kernel(struct all *all, bool failed)
{
	if (all->array != NULL)
		return kernel_json_status(all->array);
	if (all->nseen == 0 && !failed)
		puts("No swapd is running that this user can reach; "
		     "swapd(8) starts one.");
	if (all->nseen > 0 || !failed)
		putchar('\n');
	return kernel_put_status();
}

static int
status_all(const struct invocation *inv)
{
	struct all all = { .array = inv->json ? json_array() : NULL };
	int status, r;

	if (inv->json && all.array == NULL)
		return say_no_memory();
	status = reach_all(status_each, &all);
	r = status_kernel(&all, status != EXIT_OK);
	status = status == EXIT_OK ? r : status;
	if (inv->json) {
		r = say_json(all.array, true);
		status = status == EXIT_OK ? r : status;
	}
	return status;
}

static int
run_status(struct invocation *inv, int argc, char **argv)
{
	struct swap_stats stats = { 0 };
	int r = command_plain_options(inv, argc, argv);

	if (r != COMMAND_GOES_ON)
		return r;
	if (!reach_is_named(inv))
		return status_all(inv);
	r = reach_stats(inv, &stats);
	if (r != EXIT_OK)
		return r;
	if (inv->json)
		r = say_json(json_from_stats(&stats, NULL, NULL), true);
	else
		r = put_status(&stats);
	swap_stats_clear(&stats);
	return r;
}

const struct command cmd_status = {
	.name = "status",
	.synopsis = "",
	.summary = "Show pagers at a glance: RAM, swap space, paging, devices",
	.help =
	"Without -p and $SWAPCTL_PAGER it shows every pager that answers, and\n"
	"the kernel's own swap.",
	.run = run_status,
	.run_kernel = kernel_run_status,
	.kernel_synopsis = "[--rates SECONDS]",
	.kernel_help =
	"      --rates SECS   watch for so long, and say how much was paged",
};
