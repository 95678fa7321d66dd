/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bench-scrape PAGER NOBJECTS SECONDS ROUNDS - what it costs to watch a pager
 *
 * Makes NOBJECTS objects of one page, and one of 64 MiB that is paged.  First,
 * with the pager idle, it takes snapshots of each kind, and prints the CPU time
 * that the pager spends on one.  Then, in turn for SECONDS each, it reads and
 * writes random pages with nobody watching, and with snapshots each 100 ms
 * (without objects but with fragmentation, as an exporter takes them; then with
 * objects), and prints how long an access took, by percentiles.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "compiler.h"
#include "ipc/export.h"
#include "latency.h"
#include "swap.h"
#include "util.h"

#define PAGED_BYTES	(UINT64_C(64) << 20)
#define SCRAPES		20
#define INTERVAL_NSEC	100000000L
/* Accesses by their time: 64 steps for each power of two of nanoseconds. */
#define STEPS		64u
#define CLASSES		(40u * STEPS)

struct kind {
	const char	*name;
	unsigned	 what;
	bool		 none;		/* nobody watches */
};

static const struct kind kinds[] = {
	{ "nobody", 0, true },
	{ "without objects", 0, false },
	{ "and fragmentation", EXPORT_MAPS, false },
	{ "with objects", EXPORT_OBJECTS, false },
};

struct bench {
	const char	*pager;
	clockid_t	 clock;		/* the pager's CPU time */
	volatile uint64_t *memory;
	uint64_t	 seed;
	_Atomic bool	 stop;
	unsigned	 what;
	unsigned	 nscrapes;
	uint64_t	 longest_nsec;	/* one scrape, as it was waited for */
	uint64_t	 n[ARRAY_SIZE(kinds)][CLASSES];
	uint64_t	 cpu_nsec[ARRAY_SIZE(kinds)];
};

static void
die(const char *what, const struct swap_error *error)
{
	fprintf(stderr, "bench-scrape: %s: %s\n", what, error->message);
	exit(1);
}

static uint64_t
cpu_nsec(const struct bench *b)
{
	struct timespec ts = { 0 };

	clock_gettime(b->clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static struct swap_client *
connected(const char *pager)
{
	struct swap_client *client;
	struct swap_error error = { 0 };

	if (swap_client_connect(pager, &client, &error) < 0)
		die("connect", &error);
	return client;
}

static void
scrape(struct swap_client *client, unsigned what)
{
	struct export_snapshot *s = malloc(sizeof(*s));
	struct swap_error error = { 0 };

	if (s == NULL || export_take(client, what, s, &error) < 0)
		die("scrape", &error);
	export_clear(s);
	free(s);
}

/* ------------------------------------------------------------------- idle */

static void
idle(const struct bench *b)
{
	struct swap_client *client = connected(b->pager);

	printf("%-20s %12s %12s\n", "one scrape", "CPU ms", "waited ms");
	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
		uint64_t cpu, start;

		if (kinds[k].none)
			continue;
		scrape(client, kinds[k].what);
		cpu = cpu_nsec(b);
		start = now_nsec();
		for (int i = 0; i < SCRAPES; i++)
			scrape(client, kinds[k].what);
		printf("%-20s %12.3f %12.3f\n", kinds[k].name,
		       (double)(cpu_nsec(b) - cpu) / SCRAPES / 1e6,
		       (double)(now_nsec() - start) / SCRAPES / 1e6);
	}
	swap_client_close(client);
}

/* -------------------------------------------------------- paging under way */

static void *
scraper(void *arg)
{
	struct bench *b = arg;
	struct swap_client *client = connected(b->pager);
	const struct timespec pause = { .tv_nsec = INTERVAL_NSEC };

	while (!b->stop) {
		uint64_t start = now_nsec(), took;

		scrape(client, b->what);
		took = now_nsec() - start;
		b->longest_nsec = max_u64(b->longest_nsec, took);
		b->nscrapes++;
		nanosleep(&pause, NULL);
	}
	swap_client_close(client);
	return NULL;
}

static unsigned
class_of(uint64_t nsec)
{
	unsigned bits = nsec < STEPS ? 0 :
			63 - (unsigned)__builtin_clzll(nsec) - 6;

	return bits * STEPS + (unsigned)(nsec >> bits) % (2 * STEPS);
}

static uint64_t
class_start(unsigned class)
{
	unsigned bits = class < 2 * STEPS ? 0 : class / STEPS - 1;

	return (uint64_t)(class - bits * STEPS) << bits;
}

static void
access_pages(struct bench *b, size_t kind, uint64_t seconds)
{
	uint64_t end = now_nsec() + seconds * 1000000000u;
	uint64_t words = page_bytes() / 8, npages = PAGED_BYTES / page_bytes();
	uint64_t now = now_nsec();

	while (now < end) {
		volatile uint64_t *word;
		uint64_t start = now;

		b->seed = b->seed * 6364136223846793005u + 1442695040888963407u;
		word = b->memory + (b->seed >> 33) % npages * words;
		if (b->seed >> 63)
			*word = start;
		else
			(void)*word;
		now = now_nsec();
		b->n[kind][class_of(now - start)]++;
	}
}

static void
turn(struct bench *b, size_t kind, uint64_t seconds)
{
	uint64_t cpu = cpu_nsec(b);
	pthread_t thread;

	b->what = kinds[kind].what;
	b->stop = false;
	if (!kinds[kind].none &&
	    pthread_create(&thread, NULL, scraper, b) != 0)
		exit(1);
	access_pages(b, kind, seconds);
	b->stop = true;
	if (!kinds[kind].none)
		pthread_join(thread, NULL);
	b->cpu_nsec[kind] += cpu_nsec(b) - cpu;
}

/* In microseconds: where @share of the accesses are faster. */
static double
percentile(const uint64_t n[], double share)
{
	uint64_t total = 0, sum = 0;
	unsigned i;

	for (i = 0; i < CLASSES; i++)
		total += n[i];
	for (i = 0; i + 1 < CLASSES; i++) {
		sum += n[i];
		if ((double)sum >= share * (double)total)
			break;
	}
	return (double)class_start(i) / 1e3;
}

static void
report(const struct bench *b, uint64_t seconds, uint64_t rounds)
{
	printf("\n%-20s %9s %9s %9s %9s %9s %9s\n", "watched by", "accesses",
	       "50% us", "90%", "99%", "99.9%", "CPU %");
	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
		uint64_t total = 0;

		for (unsigned i = 0; i < CLASSES; i++)
			total += b->n[k][i];
		printf("%-20s %9" PRIu64 " %9.1f %9.1f %9.1f %9.1f %9.1f\n",
		       kinds[k].name, total, percentile(b->n[k], 0.5),
		       percentile(b->n[k], 0.9), percentile(b->n[k], 0.99),
		       percentile(b->n[k], 0.999), (double)b->cpu_nsec[k] /
		       1e7 / (double)(seconds * rounds));
	}
	printf("\n%u scrapes, the longest was waited for %.1f ms\n",
	       b->nscrapes, (double)b->longest_nsec / 1e6);
}

/* ------------------------------------------------------------------- setup */

static void
make_objects(struct swap_client *client, uint64_t n)
{
	struct swap_client_object *object;
	struct swap_error error = { 0 };

	for (uint64_t i = 0; i < n; i++)
		if (swap_client_object_create(client, NULL, page_bytes(), 0,
					      &object, &error) < 0)
			die("object", &error);
}

static void
setup(struct bench *b, struct swap_client *client)
{
	struct swap_client_object *object;
	struct swap_client_region *region;
	struct swap_error error = { 0 };
	struct swap_stats stats;

	if (swap_client_object_create(client, NULL, PAGED_BYTES, 0, &object,
				      &error) < 0 ||
	    swap_client_map(object, NULL, 0, PAGED_BYTES, &region, &error) < 0)
		die("object", &error);
	b->memory = swap_client_region_address(region);
	for (uint64_t i = 0; i < PAGED_BYTES / 8; i += 512)
		b->memory[i] = i + 1;
	if (swap_client_stats(client, &stats, &error) < 0)
		die("snapshot", &error);
	printf("%zu devices, %zu objects\n\n", stats.ndevices, stats.nobjects);
	if (clock_getcpuclockid(stats.pid, &b->clock) != 0)
		exit(1);
	swap_stats_clear(&stats);
}

int
main(int argc, char **argv)
{
	static struct bench b = { .seed = 1 };
	struct rlimit limit;
	struct swap_client *client;
	int64_t nobjects, seconds, rounds;

	if (argc != 5 || parse_i64(argv[2], 0, 1000000, &nobjects) < 0 ||
	    parse_i64(argv[3], 1, 3600, &seconds) < 0 ||
	    parse_i64(argv[4], 1, 1000, &rounds) < 0)
		return 2;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
	b.pager = argv[1];
	client = connected(argv[1]);
	make_objects(client, (uint64_t)nobjects);
	setup(&b, client);
	idle(&b);
	for (int64_t i = 0; i < rounds; i++)
		for (size_t k = 0; k < ARRAY_SIZE(kinds); k++)
			turn(&b, k, (uint64_t)seconds);
	report(&b, (uint64_t)seconds, (uint64_t)rounds);
	/* The memory goes with the process. */
	return 0;
}
