/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * workload - the same work on paged memory, of the kernel or of a swapd
 *
 *	workload [OPTION]... KIND
 *	--pager NAME	memory of that swapd; without it, anonymous memory
 *	--size SIZE	of the memory (512M)
 *	--ram SIZE	what of it fits in RAM (128M); the hot set is half of it
 *	--seconds N	how long random kinds are measured (2), after half of
 *			that to warm up
 *	--seed N
 *	--quick		no verification at the end
 *
 *	fill		write every page once, in order
 *	seqread		then read all of it twice
 *	stride		read every 3rd, 4th, 8th and 16th page, a pass each
 *	random		read and write pages at random, half and half
 *	zipf		the same, 0.99 of Zipf's law, scattered over the memory
 *	hotscan		sixteen accesses to the hot set for each page of a scan
 *	threads8	as random, by eight threads
 *	sort		merge sort of records of 64 bytes in half of the memory
 *	hold		fill at random, rewrite a quarter, and hold it
 *
 * It takes what memory it needs for itself, prints "ready" and waits for a
 * line: so the one who started it can limit its memory to what it has and
 * --ram.  "hold" says "held" and waits for another line before it verifies.
 * Then "NAME FIGURE" a line, "fill." and "work." before the names:
 *
 *	seconds, bytes, accesses
 *	busy		seconds of CPU of the whole machine
 *	user		of these, of this program itself
 *	in, out		pages moved
 *	p50 p99 p999	nanoseconds of an access that took over 1.5 us
 *	slow		how many did
 *
 * Every page is a function of its number and of how often it was written.  An
 * access checks or writes some words, a pass all of them.  A wrong one ends
 * the program with exit status 3.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench.h"
#include "compiler.h"
#include "swap.h"
#include "util.h"

#define swap_unused	__attribute__((unused))
#define STEP		UINT64_C(0x9e3779b97f4a7c15)
#define THREADS_MAX	8u
#define SLOW_NS		1500u
#define HOT_PER_SCAN	16u
#define ZIPF_THETA	0.99
/* Sixteen steps for each power of two. */
#define HISTOGRAM_SIZE	(61u * 16)

struct histogram {
	uint64_t	n[HISTOGRAM_SIZE];
	uint64_t	total;
};

struct zipf {
	double		alpha, eta, zeta, second;
};

struct work {
	const char	*pager;
	uint64_t	 size, ram, seed;
	double		 seconds;
	bool		 quick;
	uint64_t	*words;
	uint64_t	 npages;
	uint64_t	 nwords;	/* a page */
	uint32_t	*written;	/* how often, of each page */
	uint32_t	*order;		/* a permutation of all pages */
	struct zipf	 zipf;
	uint64_t	 scan;		/* where it has got to */
	struct swap_client *client;
};

/* What is counted over a time. */
struct counts {
	uint64_t	ns;
	double		busy, user;
	uint64_t	in, out;
};

struct thread {
	struct work	*work;
	unsigned	 number, nthreads;
	uint64_t	(*round)(struct thread *thread);
	uint64_t	 until_ns;
	uint64_t	 random;
	uint64_t	 naccesses;
	struct histogram histogram;
	pthread_t	 id;
};

struct kind {
	const char	*name;
	void		(*run)(struct work *work, const struct kind *kind);
	/* Of a random kind: some accesses; returns how many. */
	uint64_t	(*round)(struct thread *thread);
	unsigned	 nthreads;
};

_Noreturn static void
die(const char *what, const char *why)
{
	fprintf(stderr, "workload: %s: %s\n", what, why);
	exit(1);
}

/* ---------------------------------------------------------------- contents */

static uint64_t
mix(uint64_t x)
{
	x = (x + 1) * STEP;
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

/* Of the first and the last word; those between are never written again. */
static uint64_t
edge_of(const struct work *work, uint64_t page)
{
	return mix(page << 32 | work->written[page]);
}

static uint64_t
inner_of(uint64_t page, uint64_t word)
{
	return mix(~page) + word * STEP;
}

_Noreturn static void
wrong(const struct work *work, uint64_t page)
{
	fprintf(stderr, "workload: page %" PRIu64 ", written %" PRIu32
		" times, is wrong\n", page, work->written[page]);
	exit(3);
}

static void
write_page(struct work *work, uint64_t page)
{
	uint64_t *words = work->words + page * work->nwords;
	uint64_t x = inner_of(page, 0);

	work->written[page]++;
	for (uint64_t i = 0; i < work->nwords; i++, x += STEP)
		words[i] = x;
	words[0] = words[work->nwords - 1] = edge_of(work, page);
}

static void
check_page(const struct work *work, uint64_t page)
{
	const uint64_t *words = work->words + page * work->nwords;
	uint64_t x = inner_of(page, 1);
	uint64_t bad = words[0] ^ edge_of(work, page);

	bad |= words[work->nwords - 1] ^ edge_of(work, page);
	for (uint64_t i = 1; i < work->nwords - 1; i++, x += STEP)
		bad |= words[i] ^ x;
	if (bad != 0)
		wrong(work, page);
}

static void
write_some(struct work *work, uint64_t page)
{
	volatile uint64_t *words = work->words + page * work->nwords;
	uint64_t edge;

	work->written[page]++;
	edge = edge_of(work, page);
	words[0] = edge;
	words[work->nwords - 1] = edge;
}

static void
check_some(const struct work *work, uint64_t page, uint64_t random)
{
	const uint64_t *words = work->words + page * work->nwords;
	uint64_t i = 1 + random % (work->nwords - 2);

	if (words[0] != edge_of(work, page) || words[i] != inner_of(page, i))
		wrong(work, page);
}

static void
check_all(const struct work *work)
{
	for (uint64_t page = 0; page < work->npages; page++)
		check_page(work, page);
}

/* ---------------------------------------------------------------- counting */

/* User, nice, system, and both kinds of interrupt: not what was stolen. */
static double
busy_seconds(void)
{
	unsigned long long n[7] = { 0 };
	FILE *file = fopen("/proc/stat", "re");

	if (file == NULL ||
	    fscanf(file, "cpu %llu %llu %llu %llu %llu %llu %llu", &n[0],
		   &n[1], &n[2], &n[3], &n[4], &n[5], &n[6]) != 7)
		die("/proc/stat", "cannot be read");
	fclose(file);
	return (double)(n[0] + n[1] + n[2] + n[5] + n[6]) /
	       (double)sysconf(_SC_CLK_TCK);
}

static void
kernel_pages(struct counts *counts)
{
	FILE *file = fopen("/proc/vmstat", "re");
	unsigned long long n;
	char name[64];

	if (file == NULL)
		die("/proc/vmstat", strerror(errno));
	while (fscanf(file, "%63s %llu", name, &n) == 2) {
		if (strcmp(name, "pswpin") == 0)
			counts->in = n;
		else if (strcmp(name, "pswpout") == 0)
			counts->out = n;
	}
	fclose(file);
}

static void
swapd_pages(const struct work *work, struct counts *counts)
{
	struct swap_error error;
	struct swap_stats stats;

	if (swap_client_stats(work->client, &stats, &error) < 0)
		die("statistics", error.message);
	counts->in = stats.counters.pagein_pages;
	counts->out = stats.counters.pageout_pages;
	swap_stats_clear(&stats);
}

static void
count(const struct work *work, struct counts *ret)
{
	struct rusage usage;

	if (work->client != NULL)
		swapd_pages(work, ret);
	else
		kernel_pages(ret);
	getrusage(RUSAGE_SELF, &usage);
	ret->user = (double)usage.ru_utime.tv_sec +
		    (double)usage.ru_utime.tv_usec / 1e6;
	ret->busy = busy_seconds();
	ret->ns = bench_now_ns();
}

static void
print_counts(const struct work *work, const char *phase,
	     const struct counts *start, uint64_t bytes)
{
	uint64_t end_ns = bench_now_ns();
	struct counts end;

	count(work, &end);
	printf("%s.seconds %.6f\n", phase, (double)(end_ns - start->ns) / 1e9);
	printf("%s.bytes %" PRIu64 "\n", phase, bytes);
	printf("%s.busy %.3f\n", phase, end.busy - start->busy);
	printf("%s.user %.3f\n", phase, end.user - start->user);
	printf("%s.in %" PRIu64 "\n", phase, end.in - start->in);
	printf("%s.out %" PRIu64 "\n", phase, end.out - start->out);
	fflush(stdout);
}

static void
histogram_add(struct histogram *histogram, uint64_t ns)
{
	unsigned power;

	if (ns < 16) {
		histogram->n[ns]++;
	} else {
		power = 63 - (unsigned)__builtin_clzll(ns);
		histogram->n[(power - 3) * 16 + (ns >> (power - 4) & 15)]++;
	}
	histogram->total++;
}

/* The middle of a step; of those below 16 the number itself. */
static double
histogram_value(unsigned i)
{
	if (i < 16)
		return i;
	return (double)(UINT64_C(16) + i % 16) *
	       (double)(UINT64_C(1) << (i / 16 - 1)) +
	       (double)(UINT64_C(1) << (i / 16 - 1)) / 2;
}

static double
histogram_quantile(const struct histogram *histogram, double part)
{
	double left = part * (double)histogram->total;
	unsigned i;

	for (i = 0; i < HISTOGRAM_SIZE - 1; i++) {
		left -= (double)histogram->n[i];
		if (left < 0)
			break;
	}
	return histogram->total == 0 ? 0 : histogram_value(i);
}

/* ------------------------------------------------------------------ passes */

static void
fill(struct work *work)
{
	struct counts start;

	count(work, &start);
	for (uint64_t page = 0; page < work->npages; page++)
		write_page(work, page);
	print_counts(work, "fill", &start, work->size);
}

static void
run_fill(struct work *work, const struct kind *kind swap_unused)
{
	fill(work);
}

static void
run_seqread(struct work *work, const struct kind *kind swap_unused)
{
	struct counts start;

	fill(work);
	count(work, &start);
	check_all(work);
	check_all(work);
	print_counts(work, "work", &start, 2 * work->size);
}

static void
run_stride(struct work *work, const struct kind *kind swap_unused)
{
	static const uint64_t strides[] = { 3, 4, 8, 16 };
	struct counts start;
	uint64_t npages = 0;

	fill(work);
	count(work, &start);
	for (size_t i = 0; i < ARRAY_SIZE(strides); i++)
		for (uint64_t page = 0; page < work->npages;
		     page += strides[i], npages++)
			check_page(work, page);
	print_counts(work, "work", &start, npages * page_bytes());
}

static void
wait_for_line(const char *say)
{
	char line[64];

	puts(say);
	fflush(stdout);
	if (fgets(line, sizeof(line), stdin) == NULL)
		exit(1);
}

static void
run_hold(struct work *work, const struct kind *kind swap_unused)
{
	uint64_t random = work->seed;

	for (uint64_t i = 0; i < work->npages; i++)
		write_page(work, work->order[i]);
	for (uint64_t i = 0; i < work->npages / 4; i++)
		write_some(work, bench_below(&random, work->npages));
	wait_for_line("held");
}

/* ------------------------------------------------------------ random kinds */

/* A thread has pages of its own, so that each knows what is in its pages. */
static void
access_page(struct thread *thread, uint64_t page)
{
	uint64_t random = bench_random(&thread->random);
	uint64_t start = bench_now_ns();
	uint64_t ns;

	if (random & 1)
		write_some(thread->work, page);
	else
		check_some(thread->work, page, random >> 1);
	ns = bench_now_ns() - start;
	if (ns > SLOW_NS)
		histogram_add(&thread->histogram, ns);
}

static uint64_t
round_random(struct thread *thread)
{
	uint64_t n = thread->work->npages / thread->nthreads;

	access_page(thread, bench_below(&thread->random, n) *
			    thread->nthreads + thread->number);
	return 1;
}

/* As Gray et al. (Quickly generating billion-record synthetic databases). */
static uint64_t
zipf_rank(const struct zipf *zipf, uint64_t *random, uint64_t n)
{
	double u = (double)(bench_random(random) >> 11) * 0x1p-53;
	uint64_t rank;

	if (u * zipf->zeta < 1)
		return 0;
	if (u * zipf->zeta < zipf->second)
		return 1;
	rank = (uint64_t)((double)n *
			  pow(zipf->eta * u - zipf->eta + 1, zipf->alpha));
	return rank < n ? rank : n - 1;
}

static void
zipf_init(struct zipf *zipf, uint64_t n)
{
	zipf->zeta = 0;
	for (uint64_t i = n; i > 0; i--)
		zipf->zeta += pow((double)i, -ZIPF_THETA);
	zipf->second = 1 + pow(0.5, ZIPF_THETA);
	zipf->alpha = 1 / (1 - ZIPF_THETA);
	zipf->eta = (1 - pow(2.0 / (double)n, 1 - ZIPF_THETA)) /
		    (1 - zipf->second / zipf->zeta);
}

static uint64_t
round_zipf(struct thread *thread)
{
	struct work *work = thread->work;

	access_page(thread, work->order[zipf_rank(&work->zipf,
						  &thread->random,
						  work->npages)]);
	return 1;
}

/* The hot pages lie scattered; the scan goes over all that there is. */
static uint64_t
round_hotscan(struct thread *thread)
{
	struct work *work = thread->work;
	uint64_t nhot = work->ram / 2 / page_bytes();

	check_page(work, work->scan++ % work->npages);
	for (unsigned i = 0; i < HOT_PER_SCAN; i++)
		access_page(thread,
			    work->order[bench_below(&thread->random, nhot)]);
	return HOT_PER_SCAN + 1;
}

static void *
run_thread(void *arg)
{
	struct thread *thread = arg;

	while (bench_now_ns() < thread->until_ns)
		thread->naccesses += thread->round(thread);
	return NULL;
}

/* Run all of a kind's threads for a time. */
static void
run_threads(struct work *work, const struct kind *kind,
	    struct thread threads[], double seconds)
{
	uint64_t until_ns = bench_now_ns() + (uint64_t)(seconds * 1e9);

	for (unsigned i = 0; i < kind->nthreads; i++) {
		threads[i] = (struct thread){
			.work = work,
			.round = kind->round,
			.number = i,
			.nthreads = kind->nthreads,
			.until_ns = until_ns,
			.random = mix(work->seed++),
		};
		if (pthread_create(&threads[i].id, NULL, run_thread,
				   &threads[i]) != 0)
			die("a thread", "cannot be started");
	}
	for (unsigned i = 0; i < kind->nthreads; i++)
		pthread_join(threads[i].id, NULL);
}

static void
print_slow(const struct thread threads[], unsigned nthreads)
{
	struct histogram all = { 0 };
	uint64_t naccesses = 0;

	for (unsigned i = 0; i < nthreads; i++) {
		naccesses += threads[i].naccesses;
		all.total += threads[i].histogram.total;
		for (unsigned k = 0; k < HISTOGRAM_SIZE; k++)
			all.n[k] += threads[i].histogram.n[k];
	}
	printf("work.accesses %" PRIu64 "\n", naccesses);
	printf("work.slow %" PRIu64 "\n", all.total);
	printf("work.p50 %.0f\n", histogram_quantile(&all, 0.5));
	printf("work.p99 %.0f\n", histogram_quantile(&all, 0.99));
	printf("work.p999 %.0f\n", histogram_quantile(&all, 0.999));
}

static void
run_random(struct work *work, const struct kind *kind)
{
	struct thread *threads = calloc(kind->nthreads, sizeof(*threads));
	struct counts start;

	if (threads == NULL)
		die("threads", strerror(ENOMEM));
	fill(work);
	run_threads(work, kind, threads, work->seconds / 2);
	count(work, &start);
	run_threads(work, kind, threads, work->seconds);
	print_counts(work, "work", &start, 0);
	print_slow(threads, kind->nthreads);
	free(threads);
}

/* -------------------------------------------------------------------- sort */

struct record {
	uint64_t	key;
	uint64_t	number;
	uint64_t	rest[6];
};

static void
make_records(struct record records[], uint64_t n, uint64_t seed)
{
	for (uint64_t i = 0; i < n; i++) {
		records[i].key = mix(seed << 40 ^ i);
		records[i].number = i;
		for (uint64_t k = 0; k < ARRAY_SIZE(records[i].rest); k++)
			records[i].rest[k] = records[i].key + k * STEP;
	}
}

static int
compare_records(const void *a, const void *b)
{
	uint64_t x = ((const struct record *)a)->key;
	uint64_t y = ((const struct record *)b)->key;

	return x < y ? -1 : x > y;
}

static void
merge_records(const struct record from[], uint64_t half, uint64_t n,
	      struct record to[])
{
	uint64_t a = 0, b = half;

	for (uint64_t i = 0; i < n; i++) {
		if (b == n || (a < half && from[a].key <= from[b].key))
			to[i] = from[a++];
		else
			to[i] = from[b++];
	}
}

/* What is in @from gets sorted into @to, or with @in_place stays there. */
static void
sort_records(struct record from[], uint64_t n, struct record to[],
	     bool in_place)
{
	uint64_t half = n / 2;

	/* So small that it stays in the processor's cache. */
	if (n <= 8192) {
		qsort(from, n, sizeof(*from), compare_records);
		if (!in_place)
			memcpy(to, from, n * sizeof(*from));
		return;
	}
	sort_records(from, half, to, !in_place);
	sort_records(from + half, n - half, to + half, !in_place);
	if (in_place)
		merge_records(to, half, n, from);
	else
		merge_records(from, half, n, to);
}

static void
check_records(const struct record records[], uint64_t n, uint64_t seed)
{
	uint64_t sum = 0;

	for (uint64_t i = 0; i < n; i++) {
		const struct record *record = &records[i];

		sum += record->number;
		if ((i > 0 && record->key < records[i - 1].key) ||
		    record->key != mix(seed << 40 ^ record->number))
			die("sort", "a record is wrong");
		for (uint64_t k = 0; k < ARRAY_SIZE(record->rest); k++)
			if (record->rest[k] != record->key + k * STEP)
				die("sort", "a record's rest is wrong");
	}
	if (sum != n * (n - 1) / 2)
		die("sort", "a record is lost");
}

static void
run_sort(struct work *work, const struct kind *kind swap_unused)
{
	struct record *records = (struct record *)(void *)work->words;
	uint64_t n = work->size / 2 / sizeof(*records);
	struct counts start;

	make_records(records, n, work->seed);
	count(work, &start);
	sort_records(records, n, records + n, true);
	print_counts(work, "work", &start, work->size / 2);
	if (!work->quick)
		check_records(records, n, work->seed);
	/* These pages are not as check_all() wants them. */
	work->quick = true;
}

/* ------------------------------------------------------------------- start */

static const struct kind kinds[] = {
	{ "fill", run_fill, NULL, 1 },
	{ "seqread", run_seqread, NULL, 1 },
	{ "stride", run_stride, NULL, 1 },
	{ "random", run_random, round_random, 1 },
	{ "zipf", run_random, round_zipf, 1 },
	{ "hotscan", run_random, round_hotscan, 1 },
	{ "threads8", run_random, round_random, 8 },
	{ "sort", run_sort, NULL, 1 },
	{ "hold", run_hold, NULL, 1 },
};

static const struct kind *
find_kind(const char *name)
{
	for (size_t i = 0; name != NULL && i < ARRAY_SIZE(kinds); i++)
		if (strcmp(kinds[i].name, name) == 0)
			return &kinds[i];
	die(name != NULL ? name : "KIND", "there is no such kind");
}

/* Connect before the limit is set: the memory itself comes later. */
static void
connect_pager(struct work *work)
{
	struct swap_error error;

	if (work->pager != NULL &&
	    swap_client_connect(work->pager, &work->client, &error) < 0)
		die("swapd", error.message);
}

static void
map_swapd(struct work *work)
{
	struct swap_client_object *object;
	struct swap_client_region *region;
	struct swap_error error;

	if (swap_client_object_create(work->client, NULL, work->size, 0,
				      &object, &error) < 0 ||
	    swap_client_map(object, NULL, 0, work->size, &region, &error) < 0)
		die("swapd", error.message);
	work->words = swap_client_region_address(region);
}

static void
map_kernel(struct work *work)
{
	void *memory = mmap(NULL, work->size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		die("mmap", strerror(errno));
	/* Pages that are swapped one by one, as everybody's are after all. */
	(void)madvise(memory, work->size, MADV_NOHUGEPAGE);
	work->words = memory;
}

static void
make_tables(struct work *work)
{
	uint64_t random = mix(work->seed);

	work->npages = work->size / page_bytes();
	work->nwords = page_bytes() / sizeof(*work->words);
	work->written = malloc(work->npages * sizeof(*work->written));
	work->order = malloc(work->npages * sizeof(*work->order));
	if (work->written == NULL || work->order == NULL)
		die("tables", strerror(ENOMEM));
	memset(work->written, 0, work->npages * sizeof(*work->written));
	for (uint64_t i = 0; i < work->npages; i++)
		work->order[i] = (uint32_t)i;
	for (uint64_t i = work->npages; i > 1; i--) {
		uint64_t k = bench_below(&random, i);
		uint32_t kept = work->order[i - 1];

		work->order[i - 1] = work->order[k];
		work->order[k] = kept;
	}
	zipf_init(&work->zipf, work->npages);
}

static void
size_option(const char *name, const char *text, uint64_t *ret_bytes)
{
	if (parse_size(text, ret_bytes) < 0 || *ret_bytes == 0 ||
	    *ret_bytes % page_bytes() != 0)
		die(name, "is a size in whole pages");
}

static const struct kind *
parse_options(int argc, char **argv, struct work *work)
{
	static const struct option options[] = {
		{ "pager", required_argument, NULL, 'p' },
		{ "size", required_argument, NULL, 's' },
		{ "ram", required_argument, NULL, 'r' },
		{ "seconds", required_argument, NULL, 't' },
		{ "seed", required_argument, NULL, 'n' },
		{ "quick", no_argument, NULL, 'q' },
		{ NULL, 0, NULL, 0 },
	};
	int opt;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (opt) {
		case 'p': work->pager = optarg; break;
		case 's': size_option("--size", optarg, &work->size); break;
		case 'r': size_option("--ram", optarg, &work->ram); break;
		case 't': work->seconds = strtod(optarg, NULL); break;
		case 'n': work->seed = strtoull(optarg, NULL, 0); break;
		case 'q': work->quick = true; break;
		default: exit(2);
		}
	}
	return find_kind(argv[optind]);
}

int
main(int argc, char **argv)
{
	struct work work = {
		.size = UINT64_C(512) << 20,
		.ram = UINT64_C(128) << 20,
		.seconds = 2,
		.seed = 1,
	};
	const struct kind *kind = parse_options(argc, argv, &work);

	if (work.ram / 2 > work.size || work.seed == 0)
		die("--ram, --seed", "out of range");
	make_tables(&work);
	connect_pager(&work);
	/* The program itself stays in RAM, whatever the limit. */
	if (mlockall(MCL_CURRENT) < 0)
		die("mlockall", strerror(errno));
	wait_for_line("ready");
	if (work.client != NULL)
		map_swapd(&work);
	else
		map_kernel(&work);
	kind->run(&work, kind);
	if (!work.quick)
		check_all(&work);
	return 0;
}
