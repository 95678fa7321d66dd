/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * swapctl -p kernel status
 *
 * What a person asks of the machine's swap: is there room, is it busy, does
 * it hurt, who has it, and what do compressed devices really take?  With
 * --rates it watches for some seconds and tells what happened in them.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "figures.h"
#include "ipc/json.h"
#include "kernel.h"
#include "kernel/holders.h"
#include "kernel/kernel.h"
#include "reach.h"
#include "say.h"
#include "table.h"
#include "terminal.h"
#include "util.h"

#define LABEL_WIDTH	11
#define BAR_WIDTH	20u
#define BAR_SCREEN	76u

/* One look at everything. */
struct picture {
	struct swap_stats	 stats;
	struct kernel_memory	 memory;
	struct kernel_memory	 before;	/* with rates */
	uint64_t		 usec;		/* between the two; 0: none */
	struct kernel_devices	 devices;
	struct kernel_holders	 holders;
	struct kernel_books	 books;
	bool			 root;		/* the books can be told */
};

static void
picture_clear(struct picture *picture)
{
	swap_stats_clear(&picture->stats);
	kernel_devices_clear(&picture->devices);
	kernel_holders_clear(&picture->holders);
}

static int
picture_watch(const struct host *host, struct picture *picture, unsigned sec)
{
	const struct timespec pause = { .tv_sec = (time_t)sec };
	uint64_t start = now_usec();
	int r = kernel_memory(host, &picture->before);

	if (r < 0)
		return r;
	nanosleep(&pause, NULL);
	picture->usec = now_usec() - start;
	return 0;
}

/* Shared memory is looked for only where there is something to find. */
static unsigned
holders_flags(const struct picture *picture)
{
	if (picture->root &&
	    picture->memory.swap_total > picture->memory.swap_free)
		return HOLDERS_SHARES | HOLDERS_SHM;
	return HOLDERS_SHARES;
}

static int
picture_take(const struct host *host, unsigned sec, struct picture *picture)
{
	int r = 0;

	memset(picture, 0, sizeof(*picture));
	picture->root = geteuid() == 0;
	if (sec > 0)
		r = picture_watch(host, picture, sec);
	if (r == 0)
		r = kernel_stats(host, &picture->stats);
	if (r == 0)
		r = kernel_memory(host, &picture->memory);
	if (r == 0)
		r = kernel_devices(host, &picture->devices);
	if (r == 0)
		r = kernel_holders(host, holders_flags(picture),
				   &picture->holders);
	if (r == 0)
		kernel_books(&picture->holders, &picture->devices,
			     &picture->memory, &picture->books);
	else
		picture_clear(picture);
	return r;
}

/* ---------------------------------------------------------------------- text */

static void swap_printf(2, 3)
put_line(const char *label, const char *fmt, ...)
{
	va_list args;

	printf("%-*s", LABEL_WIDTH, label);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	putchar('\n');
}

static void
put_gauge(const char *label, uint64_t part, uint64_t whole)
{
	bool utf8 = terminal_is_utf8();
	char bar[FIGURE_BAR_LEN];

	printf("%-*s", LABEL_WIDTH, label);
	if (terminal_width(STDOUT_FILENO) >= BAR_SCREEN) {
		figure_bar(part, whole, BAR_WIDTH, utf8, bar);
		printf(utf8 ? "%s  " : "[%s]  ", bar);
	}
	printf("%3u%%  ", figure_percent(part, whole));
}

static void
put_space(const struct picture *picture)
{
	const struct swap_stats *stats = &picture->stats;
	char a[FIGURE_LEN], b[FIGURE_LEN], c[FIGURE_LEN];

	put_gauge("RAM", stats->resident_bytes, stats->ram_bytes);
	printf("%s of %s used, %s available\n",
	       figure_size(stats->resident_bytes, a, sizeof(a)),
	       figure_size(stats->ram_bytes, b, sizeof(b)),
	       figure_size(picture->memory.available, c, sizeof(c)));
	put_gauge("Swap", stats->swap_used_bytes, stats->swap_bytes);
	printf("%s of %s used, %s free\n",
	       figure_size(stats->swap_used_bytes, a, sizeof(a)),
	       figure_size(stats->swap_bytes, b, sizeof(b)),
	       figure_size(stats->swap_bytes - stats->swap_used_bytes, c,
			   sizeof(c)));
}

static void
put_paging(const struct picture *picture)
{
	const struct kernel_memory *now = &picture->memory;
	const struct kernel_memory *before = &picture->before;
	double sec = (double)picture->usec / 1e6;
	char in[FIGURE_LEN], out[FIGURE_LEN];

	figure_count(now->in_pages, in, sizeof(in));
	figure_count(now->out_pages, out, sizeof(out));
	if (picture->usec == 0) {
		put_line("Paged in", "%s pages since the start", in);
		put_line("Paged out", "%s pages", out);
		return;
	}
	put_line("Paged in", "%s pages, %.1f a second", in,
		 (double)(now->in_pages - before->in_pages) / sec);
	put_line("Paged out", "%s pages, %.1f a second", out,
		 (double)(now->out_pages - before->out_pages) / sec);
}

static void
put_pressure(const struct kernel_memory *memory)
{
	if (!memory->has_pressure) {
		put_line("Pressure", "this kernel does not measure it "
			 "(psi=1)");
		return;
	}
	put_line("Pressure", "some task waited for memory %.1f%% of the last "
		 "10 s, %.1f%% of 60 s;", memory->some.avg10,
		 memory->some.avg60);
	put_line("", "all did %.1f%% and %.1f%%", memory->full.avg10,
		 memory->full.avg60);
}

static void
put_zswap(const struct kernel_memory *memory)
{
	char a[FIGURE_LEN], b[FIGURE_LEN];

	if (memory->zswap_logical == 0) {
		if (memory->zswap_enabled)
			put_line("zswap", "on (%s), holds nothing",
				 memory->zswap_compressor);
		return;
	}
	put_line("zswap", "%s of what is used lie in %s of RAM (%s)",
		 figure_size(memory->zswap_logical, a, sizeof(a)),
		 figure_size(memory->zswap_physical, b, sizeof(b)),
		 memory->zswap_compressor);
}

static void
put_zram(const struct kernel_devices *devices)
{
	char a[FIGURE_LEN], b[FIGURE_LEN], c[FIGURE_LEN];

	for (size_t i = 0; i < devices->n; i++) {
		const struct kernel_device *device = &devices->device[i];

		if (!device->is_zram)
			continue;
		put_line("zram", "%s: %s lie in %s of RAM (%s, %s "
			 "compressed)", device->path,
			 figure_size(device->zram.logical, a, sizeof(a)),
			 figure_size(device->zram.physical, b, sizeof(b)),
			 device->zram.algorithm,
			 figure_size(device->zram.compressed, c, sizeof(c)));
	}
}

static void
put_books(const struct picture *picture)
{
	const struct kernel_books *books = &picture->books;
	char a[FIGURE_LEN], b[FIGURE_LEN], c[FIGURE_LEN], d[FIGURE_LEN];
	uint64_t other = (uint64_t)(books->other < 0 ? -books->other :
						       books->other);

	if (books->used == 0)
		return;
	if (!picture->root)
		put_line("Held by", "%s processes that are visible%s",
			 figure_size(books->processes, a, sizeof(a)),
			 "; root sees the rest");
	else
		put_line("Held by", "%s processes + %s shared memory + %s in "
			 "RAM as well %c %s other",
			 figure_size(books->processes, a, sizeof(a)),
			 figure_size(books->shm, b, sizeof(b)),
			 figure_size(books->cached, c, sizeof(c)),
			 books->other < 0 ? '-' : '+',
			 figure_size(other, d, sizeof(d)));
}

static const struct table_column device_columns[] = {
	{ "NAME", TABLE_NAME, 0 }, { "TYPE", TABLE_WORD, 4 },
	{ "SIZE", TABLE_NUMBER, 1 }, { "USED", TABLE_NUMBER, 0 },
	{ "AVAIL", TABLE_NUMBER, 2 }, { "USE%", TABLE_NUMBER, 0 },
	{ "PRIO", TABLE_NUMBER, 3 }, { "DISCARD", TABLE_WORD, 7 },
	{ "LABEL", TABLE_WORD, 5 }, { "UUID", TABLE_WORD, 6 },
};

static int
put_device(struct table *table, const struct kernel_device *device)
{
	const struct swap_device_stats *stats = &device->stats;
	char size[FIGURE_LEN], used[FIGURE_LEN], avail[FIGURE_LEN];
	char percent[FIGURE_LEN], priority[FIGURE_LEN];
	const char *const cells[] = {
		device->path, stats->type, size, used, avail, percent,
		priority, device->can_discard ? "can" : "-",
		device->label[0] != '\0' ? device->label : "-",
		device->uuid[0] != '\0' ? device->uuid : "-",
	};

	figure_size(stats->size_bytes, size, sizeof(size));
	figure_size(stats->used_bytes, used, sizeof(used));
	figure_size(stats->size_bytes - stats->used_bytes, avail,
		    sizeof(avail));
	format_cut(percent, sizeof(percent), "%u%%",
		   figure_percent(stats->used_bytes, stats->size_bytes));
	format_cut(priority, sizeof(priority), "%d", stats->priority);
	return table_row(table, cells);
}

static int
put_devices(const struct kernel_devices *devices)
{
	struct table *table;
	int r;

	putchar('\n');
	if (devices->n == 0) {
		puts("  There is no swap device: RAM is all there is.\n"
		     "  Turn one on with 'swapctl -p kernel on DEVICE'.");
		return 0;
	}
	r = table_new(device_columns, ARRAY_SIZE(device_columns), &table);
	if (r < 0)
		return r;
	for (size_t i = 0; i < devices->n && r == 0; i++)
		r = put_device(table, &devices->device[i]);
	if (r == 0)
		r = table_print(table);
	table_free(table);
	return r;
}

static void
put_deleted(const struct kernel_devices *devices)
{
	for (size_t i = 0; i < devices->n; i++)
		if (devices->device[i].deleted)
			printf("! %s was removed while in use; only a restart "
			       "frees it.\n", devices->device[i].path);
}

static int
put_picture(const struct picture *picture)
{
	bool bold = terminal_can_color(STDOUT_FILENO);
	char span[FIGURE_LEN];

	printf("%sPager kernel%s: Linux %s, up %s\n\n",
	       bold ? "\033[1m" : "", bold ? "\033[0m" : "",
	       picture->stats.version,
	       figure_span(picture->stats.uptime_usec, span, sizeof(span)));
	put_space(picture);
	put_paging(picture);
	put_pressure(&picture->memory);
	put_zswap(&picture->memory);
	put_zram(&picture->devices);
	put_books(picture);
	if (put_devices(&picture->devices) < 0)
		return say_no_memory();
	put_deleted(&picture->devices);
	return EXIT_OK;
}

/* ---------------------------------------------------------------------- JSON */

static json_t *
pressure_json(const struct kernel_pressure *pressure)
{
	return json_pack("{s:f, s:f, s:f, s:I}", "avg10", pressure->avg10,
			 "avg60", pressure->avg60, "avg300", pressure->avg300,
			 "total_usec", (json_int_t)pressure->total_usec);
}

static json_t *
device_json(const struct kernel_device *device)
{
	json_t *json = json_pack("{s:s, s:s, s:s, s:b, s:b}",
				 "path", device->path, "label", device->label,
				 "uuid", device->uuid, "can_discard",
				 (int)device->can_discard, "deleted",
				 (int)device->deleted);

	if (json != NULL && device->is_zram)
		json_object_set_new(json, "zram", json_pack(
			"{s:I, s:I, s:I, s:s}",
			"logical_bytes", (json_int_t)device->zram.logical,
			"compressed_bytes",
			(json_int_t)device->zram.compressed,
			"physical_bytes", (json_int_t)device->zram.physical,
			"algorithm", device->zram.algorithm));
	return json;
}

static json_t *
books_json(const struct kernel_books *books)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I}",
			 "used_bytes", (json_int_t)books->used,
			 "processes_bytes", (json_int_t)books->processes,
			 "shared_memory_bytes", (json_int_t)books->shm,
			 "cached_bytes", (json_int_t)books->cached,
			 "other_bytes", (json_int_t)books->other);
}

static json_t *
memory_json(const struct kernel_memory *memory)
{
	json_t *json = json_pack(
		"{s:I, s:I, s:I, s:I, s:I, s:b, s:s, s:I, s:I}",
		"available_bytes", (json_int_t)memory->available,
		"swap_total_bytes", (json_int_t)memory->swap_total,
		"swap_free_bytes", (json_int_t)memory->swap_free,
		"swap_cached_bytes", (json_int_t)memory->swap_cached,
		"shared_memory_bytes", (json_int_t)memory->shmem,
		"zswap_enabled", memory->zswap_enabled,
		"zswap_compressor", memory->zswap_compressor,
		"zswap_logical_bytes", (json_int_t)memory->zswap_logical,
		"zswap_physical_bytes", (json_int_t)memory->zswap_physical);

	if (json != NULL && memory->has_pressure) {
		json_object_set_new(json, "pressure_some",
				    pressure_json(&memory->some));
		json_object_set_new(json, "pressure_full",
				    pressure_json(&memory->full));
	}
	return json;
}

static json_t *
picture_json(const struct picture *picture)
{
	json_t *json = json_from_stats(&picture->stats, NULL, NULL), *kernel;
	json_t *devices = json_array();
	const struct kernel_memory *now = &picture->memory;
	double sec = (double)picture->usec / 1e6;

	kernel = memory_json(now);
	for (size_t i = 0; i < picture->devices.n; i++)
		json_array_append_new(devices, device_json(
					      &picture->devices.device[i]));
	json_object_set_new(kernel, "devices", devices);
	if (picture->root)
		json_object_set_new(kernel, "books",
				    books_json(&picture->books));
	if (picture->usec > 0)
		json_object_set_new(kernel, "rates", json_pack(
			"{s:f, s:f}", "in_pages_per_second",
			(double)(now->in_pages - picture->before.in_pages) /
			sec, "out_pages_per_second",
			(double)(now->out_pages - picture->before.out_pages) /
			sec));
	if (json == NULL || json_object_set_new(json, "kernel", kernel) < 0) {
		json_decref(json);
		return NULL;
	}
	return json;
}

/* ------------------------------------------------------------------- command */

/* With @array it goes there, with @json to standard output, else as text. */
static int
show(unsigned sec, json_t *array, bool json)
{
	struct picture picture;
	struct host host;
	int r = reach_host(&host);

	if (r != EXIT_OK)
		return r;
	r = picture_take(&host, sec, &picture);
	host_close(&host);
	if (r < 0)
		return say_failure("the kernel's swap: %s", strerror(-r));
	/* Beside others it is what they are: a Snapshot. */
	if (array != NULL)
		r = json_array_append_new(array, json_from_stats(
				&picture.stats, NULL, NULL)) < 0 ?
		    say_no_memory() : EXIT_OK;
	else if (json)
		r = say_json(picture_json(&picture), true);
	else
		r = put_picture(&picture);
	picture_clear(&picture);
	return r;
}

int
kernel_put_status(void)
{
	return show(0, NULL, false);
}

int
kernel_json_status(json_t *array)
{
	return show(0, array, false);
}

int
kernel_run_status(struct invocation *inv, int argc, char **argv)
{
	static const struct option options[] = {
		{ "rates", required_argument, NULL, 'r' },
		COMMAND_OPTIONS,
	};
	int64_t sec = 0;
	int option, r;

	while ((option = getopt_long(argc, argv, ":p:h", options,
				     NULL)) != -1) {
		if (option == 'r' && parse_i64(optarg, 1, 3600, &sec) < 0)
			return say_misuse(inv, "--rates '%s' is not a number "
					  "of seconds within 1..3600",
					  optarg);
		if (option == 'r')
			continue;
		r = command_option(inv, option, argv);
		if (r != COMMAND_GOES_ON)
			return r;
	}
	if (optind < argc)
		return say_misuse(inv, "'%s' is one word too many",
				  argv[optind]);
	return show((unsigned)sec, NULL, inv->json);
}
