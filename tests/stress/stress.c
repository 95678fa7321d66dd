/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stress - write and verify patterns in paged memory from many threads and
 * processes while devices come and go
 *
 *	stress --embed  [options] DEVICE DEVICE	a pager in this process
 *	stress --client PAGER [options] [DEVICE DEVICE]
 *						processes of a running swapd
 *
 * Every page belongs to one thread of one process, which keeps the version
 * that it wrote last in a shadow array in ordinary memory.  A page is filled
 * with numbers made from the object, the page and the version, so that a
 * lost, stale, crossed or torn page cannot look right.  Each process has a
 * private object; all share a named one, of which each owns a part.  At the
 * end everybody verifies every page of everything, and blocks are counted:
 * what devices say is used must be what the maps hold.
 *
 * Where two devices are named they are attached and detached in turn for as
 * long as the threads run.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ipc/client.h"
#include "swap.h"
#include "util.h"

#define PROCESSES_MAX	16u
#define WORDS		(4096 / sizeof(uint64_t))

struct options {
	const char	*pager;		/* NULL: embedded */
	unsigned	 processes, threads, seconds;
	uint64_t	 ram, size;	/* bytes; size of each object */
	unsigned	 seed;
	const char	*device[2];
	bool		 quiet;
};

/* What processes share in ordinary memory. */
struct shared {
	_Atomic uint64_t wrong;		/* words that were not as written */
	_Atomic uint64_t writes, checks, releases, wires, kernel;
	_Atomic uint64_t attaches, detaches;
	_Atomic bool	 stop;
	_Atomic unsigned finished;	/* processes done with their last check */
	_Atomic bool	 ready;		/* the common object is there */
};

/* An object as a worker sees it. */
struct area {
	uint64_t	 id;		/* goes into the pattern */
	uint64_t	*mem;
	uint64_t	 npages;
	_Atomic uint32_t *version;	/* shadow; 0: zeros */
	struct swap_object *object;
	struct swap_region *region;
	struct swap_client_object *client_object;
	struct swap_client_region *client_region;
};

struct process {
	const struct options *opt;
	struct shared	*shared;
	unsigned	 number;
	struct swap_pager *pager;
	struct swap_client *client;
	struct area	 own, common;
};

struct worker {
	struct process	*process;
	unsigned	 number;
	uint64_t	 random;
	pthread_t	 thread;
	int		 pipe[2];
};

static void
die(const char *what, const struct swap_error *error)
{
	fprintf(stderr, "stress: %s: %s\n", what,
		error != NULL ? error->message : strerror(errno));
	exit(1);
}

static uint64_t
next_random(uint64_t *state)
{
	uint64_t x = *state;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	*state = x;
	return x * UINT64_C(0x2545f4914f6cdd1d);
}

/* ---------------------------------------------------------------- pattern */

static uint64_t
word(uint64_t id, uint64_t page, uint32_t version, uint64_t i)
{
	uint64_t x;

	if (version == 0)
		return 0;
	x = id * UINT64_C(0x9e3779b97f4a7c15) ^
	    page * UINT64_C(0xbf58476d1ce4e5b9) ^
	    version * UINT64_C(0x94d049bb133111eb) ^ i;
	return (x ^ (x >> 29)) * UINT64_C(0xff51afd7ed558ccd);
}

static void
check_words(struct process *p, const struct area *a, uint64_t page,
	    uint32_t version, const uint64_t *words)
{
	uint64_t wrong = 0, at = 0;

	for (uint64_t i = 0; i < WORDS; i++) {
		if (words[i] == word(a->id, page, version, i))
			continue;
		if (wrong++ == 0)
			at = i;
	}
	if (wrong == 0)
		return;
	if (atomic_fetch_add(&p->shared->wrong, wrong) < 20 * WORDS)
		fprintf(stderr, "stress: process %u object %" PRIu64 " page %"
			PRIu64 " version %u: %" PRIu64 " words wrong, the "
			"first is %" PRIu64 ": %016" PRIx64 " instead of %016"
			PRIx64 "\n", p->number, a->id, page, version, wrong,
			at, words[at], word(a->id, page, version, at));
}

static void
check_page(struct process *p, const struct area *a, uint64_t page)
{
	check_words(p, a, page, a->version[page], a->mem + page * WORDS);
	atomic_fetch_add(&p->shared->checks, 1);
}

static void
write_page(struct process *p, struct area *a, uint64_t page)
{
	uint32_t version = a->version[page] + 1;
	uint64_t *mem = a->mem + page * WORDS;

	for (uint64_t i = 0; i < WORDS; i++)
		mem[i] = word(a->id, page, version, i);
	a->version[page] = version;
	atomic_fetch_add(&p->shared->writes, 1);
}

/* -------------------------------------------------------------- operations */

static void
release(struct process *p, struct area *a, uint64_t page, uint64_t n)
{
	int rc;

	for (uint64_t i = 0; i < n; i++)
		a->version[page + i] = 0;
	if (p->pager != NULL)
		rc = swap_region_release(a->region, page * 4096, n * 4096);
	else
		rc = swap_client_release(a->client_region, page * 4096,
					 n * 4096);
	if (rc < 0) {
		errno = -rc;
		die("release", NULL);
	}
	atomic_fetch_add(&p->shared->releases, 1);
}

static void
wire(struct process *p, struct area *a, uint64_t page)
{
	struct swap_error error;
	int rc;

	if (p->pager != NULL)
		rc = swap_region_wire(a->region, page * 4096, 4096, &error);
	else
		rc = swap_client_wire(a->client_region, page * 4096, 4096,
				      &error);
	if (rc < 0)
		die("wire", &error);
	check_page(p, a, page);
	write_page(p, a, page);
	check_page(p, a, page);
	if (p->pager != NULL)
		swap_region_unwire(a->region, page * 4096, 4096);
	else
		swap_client_unwire(a->client_region, page * 4096, 4096);
	atomic_fetch_add(&p->shared->wires, 1);
}

/* The page goes out and comes in through a pipe: the kernel touches it. */
static void
through_kernel(struct worker *w, struct area *a, uint64_t page)
{
	struct process *p = w->process;
	uint32_t version = a->version[page] + 1;
	uint64_t copy[WORDS];
	char *mem = (char *)(a->mem + page * WORDS);

	if (write(w->pipe[1], mem, 4096) != 4096 ||
	    read(w->pipe[0], copy, 4096) != 4096)
		die("write from paged memory", NULL);
	check_words(p, a, page, version - 1, copy);
	for (uint64_t i = 0; i < WORDS; i++)
		copy[i] = word(a->id, page, version, i);
	if (write(w->pipe[1], copy, 4096) != 4096 ||
	    read(w->pipe[0], mem, 4096) != 4096)
		die("read into paged memory", NULL);
	a->version[page] = version;
	atomic_fetch_add(&p->shared->kernel, 1);
}

/* A page of @a that belongs to this worker. */
static uint64_t
pick(struct worker *w, const struct area *a, bool common)
{
	const struct options *opt = w->process->opt;
	uint64_t owners = common ? opt->processes * opt->threads : opt->threads;
	uint64_t me = common ? w->process->number * opt->threads + w->number :
		      w->number;
	uint64_t groups = a->npages / (owners * 8);
	uint64_t r = next_random(&w->random);

	/* Ownership in runs of eight pages, so that clusters form. */
	return ((r >> 8) % groups * owners + me) * 8 + (r & 7);
}

static void
step(struct worker *w)
{
	struct process *p = w->process;
	uint64_t r = next_random(&w->random);
	bool common = (r & 1) != 0;
	struct area *a = common ? &p->common : &p->own;
	uint64_t page = pick(w, a, common);
	unsigned what = (unsigned)(r >> 8) % 100;

	if (what < 45) {
		check_page(p, a, page);
	} else if (what < 85) {
		check_page(p, a, page);
		write_page(p, a, page);
	} else if (what < 93) {
		through_kernel(w, a, page);
	} else if (what < 97) {
		/* A run of eight that is all ours. */
		release(p, a, page & ~UINT64_C(7), 8);
	} else {
		wire(p, a, page);
	}
}

static void *
worker_main(void *arg)
{
	struct worker *w = arg;

	if (pipe(w->pipe) < 0)
		die("pipe", NULL);
	while (!atomic_load(&w->process->shared->stop))
		step(w);
	close(w->pipe[0]);
	close(w->pipe[1]);
	return NULL;
}

/* ------------------------------------------------------------- a process */

static void
area_open(struct process *p, struct area *a, uint64_t id, const char *name,
	  _Atomic uint32_t *version, bool create)
{
	const struct options *opt = p->opt;
	struct swap_error error;
	int rc;

	a->id = id;
	a->npages = opt->size / 4096;
	a->version = version;
	if (p->pager != NULL) {
		rc = swap_object_create(p->pager, name, opt->size, 0,
					&a->object, &error);
		if (rc == 0)
			rc = swap_object_map(a->object, NULL, 0, opt->size,
					     &a->region, &error);
		if (rc < 0)
			die("object", &error);
		a->mem = swap_region_address(a->region);
		return;
	}
	rc = create ? swap_client_object_create(p->client, name, opt->size, 0,
						&a->client_object, &error) :
	     swap_client_object_open(p->client, name, &a->client_object,
				     &error);
	if (rc == 0)
		rc = swap_client_map(a->client_object, NULL, 0, opt->size,
				     &a->client_region, &error);
	if (rc < 0)
		die("object", &error);
	a->mem = swap_client_region_address(a->client_region);
}

static void
area_close(struct process *p, struct area *a)
{
	if (p->pager != NULL) {
		swap_region_unmap(a->region);
		swap_object_unref(a->object);
	} else {
		swap_client_unmap(a->client_region);
		swap_client_object_close(a->client_object);
	}
}

static void
run_workers(struct process *p)
{
	struct worker *w = calloc(p->opt->threads, sizeof(*w));

	if (w == NULL)
		die("memory", NULL);
	for (unsigned i = 0; i < p->opt->threads; i++) {
		w[i].process = p;
		w[i].number = i;
		w[i].random = (uint64_t)p->opt->seed * 1000003 +
			      p->number * 1009 + i + 1;
		if (pthread_create(&w[i].thread, NULL, worker_main, &w[i]))
			die("thread", NULL);
	}
	for (unsigned i = 0; i < p->opt->threads; i++)
		pthread_join(w[i].thread, NULL);
	free(w);
}

/* Everything that this process owns, once more. */
static void
check_all(struct process *p)
{
	for (uint64_t page = 0; page < p->own.npages; page++)
		check_page(p, &p->own, page);
	for (uint64_t page = 0; page < p->common.npages; page++)
		check_page(p, &p->common, page);
}

static int
client_process(struct process *p, _Atomic uint32_t *versions)
{
	const struct options *opt = p->opt;
	struct swap_error error;
	uint64_t npages = opt->size / 4096;

	while (!atomic_load(&p->shared->ready))
		usleep(1000);
	if (swap_client_connect(opt->pager, &p->client, &error) < 0)
		die("connect", &error);
	area_open(p, &p->own, p->number + 2, NULL,
		  versions + (p->number + 1) * npages, true);
	area_open(p, &p->common, 1, "stress-common", versions, false);
	run_workers(p);
	/* All writers must have stopped before the shared one is verified. */
	atomic_fetch_add(&p->shared->finished, 1);
	while (atomic_load(&p->shared->finished) < opt->processes)
		usleep(1000);
	check_all(p);
	area_close(p, &p->own);
	area_close(p, &p->common);
	swap_client_close(p->client);
	return atomic_load(&p->shared->wrong) != 0;
}

/* ---------------------------------------------------------------- devices */

static int
attach(struct process *p, const char *device, struct swap_error *error)
{
	if (p->pager != NULL)
		return swap_device_attach(p->pager, device, NULL, error);
	return client_call(p->client, "org.swapkit.Pager.On",
			   json_pack("{s:s}", "device", device), NULL, error);
}

static int
detach(struct process *p, const char *device, struct swap_error *error)
{
	if (p->pager != NULL)
		return swap_device_detach(p->pager, device, NULL, NULL, error);
	return client_call(p->client, "org.swapkit.Pager.Off",
			   json_pack("{s:s}", "device", device), NULL, error);
}

/* One device on, the other off, in turn, until time is up. */
static void
toggle_devices(struct process *p)
{
	uint64_t end = now_usec() + p->opt->seconds * UINT64_C(1000000);
	struct swap_error error;
	unsigned on = 0;

	while (now_usec() < end) {
		if (p->opt->device[1] == NULL) {
			usleep(10000);
			continue;
		}
		if (attach(p, p->opt->device[1 - on], &error) < 0)
			die("attach", &error);
		atomic_fetch_add(&p->shared->attaches, 1);
		usleep(100000);
		if (detach(p, p->opt->device[on], &error) < 0)
			die("detach", &error);
		atomic_fetch_add(&p->shared->detaches, 1);
		on = 1 - on;
	}
}

/* -------------------------------------------------------------- the report */

static void
get_stats(struct process *p, struct swap_stats *stats)
{
	struct swap_error error;
	int rc = p->pager != NULL ? swap_pager_stats(p->pager, stats) :
		 swap_client_stats(p->client, stats, &error);

	if (rc < 0)
		die("statistics", p->pager != NULL ? NULL : &error);
}

/* Blocks in use on devices and in maps; they move, so until they agree. */
static int
count_blocks(struct process *p, const char *when)
{
	uint64_t used = 0, held = 0;

	for (unsigned tries = 0; tries < 500; tries++) {
		struct swap_stats stats;

		get_stats(p, &stats);
		used = held = 0;
		for (size_t i = 0; i < stats.ndevices; i++)
			used += stats.devices[i].used_bytes;
		for (size_t i = 0; i < stats.nobjects; i++)
			held += stats.objects[i].block_bytes;
		swap_stats_clear(&stats);
		if (used == held)
			break;
		usleep(10000);
	}
	printf("blocks %s: devices %" PRIu64 " KiB, maps %" PRIu64 " KiB%s\n",
	       when, used >> 10, held >> 10, used == held ? "" : ": LEAK");
	return used == held ? 0 : 1;
}

static void
report(struct process *p)
{
	struct shared *s = p->shared;
	struct swap_stats stats;

	get_stats(p, &stats);
	printf("%u processes x %u threads, %u s: %" PRIu64 " writes, %" PRIu64
	       " checks, %" PRIu64 " through the kernel, %" PRIu64
	       " releases, %" PRIu64 " wires\n", p->opt->processes,
	       p->opt->threads, p->opt->seconds, s->writes, s->checks,
	       s->kernel, s->releases, s->wires);
	printf("devices: %" PRIu64 " attached, %" PRIu64 " detached; paged "
	       "out %" PRIu64 ", in %" PRIu64 ", back %" PRIu64 ", rescued %"
	       PRIu64 " pages\n", s->attaches, s->detaches,
	       stats.counters.pageout_pages, stats.counters.pagein_pages,
	       stats.counters.pageback_pages, stats.counters.pageout_rescued);
	printf("wrong words: %" PRIu64 "\n", s->wrong);
	swap_stats_clear(&stats);
}

/* --------------------------------------------------------------- two forms */

static void
log_message(void *arg, enum swap_log_level level, const char *message)
{
	(void)arg;
	if (level <= SWAP_LOG_WARNING)
		fprintf(stderr, "stress: pager: %s\n", message);
}

static void *
embed_workers(void *arg)
{
	run_workers(arg);
	return NULL;
}

static int
run_embedded(struct process *p, _Atomic uint32_t *versions)
{
	struct swap_pager_config config;
	struct swap_error error;
	pthread_t thread;
	int rc;

	swap_pager_config_init(&config);
	config.ram_bytes = p->opt->ram;
	config.log = log_message;
	if (swap_pager_open(&config, &p->pager, &error) < 0)
		die("pager", &error);
	if (attach(p, p->opt->device[0], &error) < 0)
		die("attach", &error);
	area_open(p, &p->common, 1, "stress-common", versions, true);
	area_open(p, &p->own, 2, NULL, versions + p->opt->size / 4096, true);
	if (pthread_create(&thread, NULL, embed_workers, p))
		die("thread", NULL);
	toggle_devices(p);
	atomic_store(&p->shared->stop, true);
	pthread_join(thread, NULL);
	check_all(p);
	report(p);
	rc = count_blocks(p, "at the end");
	area_close(p, &p->own);
	area_close(p, &p->common);
	rc |= count_blocks(p, "when all is closed");
	if (swap_pager_close(p->pager, &error) < 0)
		die("close", &error);
	return rc;
}

/* Before this process has threads, which a child would lack. */
static void
start_children(struct process *p, _Atomic uint32_t *versions, pid_t pid[])
{
	fflush(stdout);
	for (unsigned i = 0; i < p->opt->processes; i++) {
		struct process child = {
			.opt = p->opt, .shared = p->shared, .number = i,
		};

		pid[i] = fork();
		if (pid[i] < 0)
			die("fork", NULL);
		if (pid[i] == 0)
			exit(client_process(&child, versions));
	}
}

static int
run_clients(struct process *p, _Atomic uint32_t *versions)
{
	pid_t pid[PROCESSES_MAX];
	struct swap_error error;
	int rc = 0, status;

	start_children(p, versions, pid);
	if (swap_client_connect(p->opt->pager, &p->client, &error) < 0)
		die("connect", &error);
	if (p->opt->device[1] != NULL &&
	    attach(p, p->opt->device[0], &error) < 0)
		die("attach", &error);
	area_open(p, &p->common, 1, "stress-common", versions, true);
	atomic_store(&p->shared->ready, true);
	toggle_devices(p);
	atomic_store(&p->shared->stop, true);
	for (unsigned i = 0; i < p->opt->processes; i++) {
		waitpid(pid[i], &status, 0);
		rc |= status != 0;
	}
	report(p);
	rc |= count_blocks(p, "at the end");
	area_close(p, &p->common);
	rc |= count_blocks(p, "when all is closed");
	swap_client_close(p->client);
	return rc;
}

/* --------------------------------------------------------------- arguments */

static unsigned
number(const char *text)
{
	int64_t value;

	if (parse_i64(text, 1, 1000000, &value) < 0) {
		fprintf(stderr, "stress: '%s' is not a number from 1\n", text);
		exit(2);
	}
	return (unsigned)value;
}

static uint64_t
size(const char *text)
{
	uint64_t bytes;

	if (parse_size(text, &bytes) < 0) {
		fprintf(stderr, "stress: '%s' is not a size\n", text);
		exit(2);
	}
	return bytes;
}

static void
parse(int argc, char **argv, struct options *opt)
{
	static const struct option longs[] = {
		{ "embed", no_argument, NULL, 'e' },
		{ "client", required_argument, NULL, 'c' },
		{ "processes", required_argument, NULL, 'p' },
		{ "threads", required_argument, NULL, 't' },
		{ "seconds", required_argument, NULL, 's' },
		{ "ram", required_argument, NULL, 'r' },
		{ "size", required_argument, NULL, 'z' },
		{ "seed", required_argument, NULL, 'S' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	*opt = (struct options){ .processes = 1, .threads = 4, .seconds = 5,
				 .ram = 8 << 20, .size = 32 << 20, .seed = 1 };
	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (c) {
		case 'e': opt->pager = NULL; break;
		case 'c': opt->pager = optarg; break;
		case 'p': opt->processes = number(optarg); break;
		case 't': opt->threads = number(optarg); break;
		case 's': opt->seconds = number(optarg); break;
		case 'r': opt->ram = size(optarg); break;
		case 'z': opt->size = size(optarg); break;
		case 'S': opt->seed = number(optarg); break;
		default: exit(2);
		}
	}
	if (opt->processes > PROCESSES_MAX || argc - optind > 2) {
		fprintf(stderr, "stress: too many processes or devices\n");
		exit(2);
	}
	for (int i = 0; optind + i < argc; i++)
		opt->device[i] = argv[optind + i];
}

int
main(int argc, char **argv)
{
	struct options opt;
	struct process p = { .opt = &opt };
	_Atomic uint32_t *versions;
	size_t bytes;
	int rc;

	parse(argc, argv, &opt);
	bytes = (opt.processes + 1) * (opt.size / 4096) * sizeof(uint32_t);
	p.shared = mmap(NULL, sizeof(*p.shared), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	versions = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (p.shared == MAP_FAILED || versions == MAP_FAILED)
		die("memory", NULL);
	rc = opt.pager == NULL ? run_embedded(&p, versions) :
	     run_clients(&p, versions);
	if (p.shared->wrong != 0)
		rc = 1;
	printf("%s\n", rc == 0 ? "stress: all good" : "stress: FAILED");
	return rc;
}
