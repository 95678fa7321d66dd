/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * forktime SIZE HOT ROUNDS - what a fork of a large heap costs
 *
 * Says "ready", waits for a line, fills SIZE bytes of malloc(3), and then in
 * each of ROUNDS reads HOT bytes of it, so that these are in RAM, and forks.
 * Prints "NAME NANOSECONDS" a line:
 *
 *	fork		from the call until the parent goes on
 *	child		from the call until the child goes on
 *	resident	the child's first read of a page that is in RAM
 *	swapped		... of one that was not touched for long
 *	again		the child's second read of one of these
 *	write		the parent's first write to a page, while the child lives
 *	exec		fork, exec of a program that does nothing, and its end
 *
 * The last five are averages over PAGES pages a round.  Each page that is read
 * is verified; a wrong one ends it all with exit status 3.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "util.h"

#define PAGES	1000u

struct heap {
	char		*start;
	uint64_t	 npages, nhot;
	uint32_t	*written;	/* how often, of each page */
	uint64_t	 random;
};

/* What a child tells its parent, and when they may go on. */
struct shared {
	uint64_t	began_ns;
	double		resident, swapped, again;
};

_Noreturn static void
die(const char *what)
{
	fprintf(stderr, "forktime: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t *
page_of(const struct heap *h, uint64_t page)
{
	return (uint64_t *)(void *)(h->start + page * page_bytes());
}

static uint64_t
word_of(const struct heap *h, uint64_t page)
{
	return (page + 1) * UINT64_C(0x9e3779b97f4a7c15) + h->written[page];
}

static void
write_page(struct heap *h, uint64_t page)
{
	h->written[page]++;
	page_of(h, page)[0] = word_of(h, page);
}

static void
read_page(const struct heap *h, uint64_t page)
{
	if (*(volatile uint64_t *)page_of(h, page) == word_of(h, page))
		return;
	fprintf(stderr, "forktime: page %lu is wrong\n", (unsigned long)page);
	_exit(3);
}

/* The pages that are not hot come round once in a long time. */
static void
choose(struct heap *h, uint64_t *pages, bool hot)
{
	uint64_t first = hot ? 0 : h->nhot;
	uint64_t n = hot ? h->nhot : h->npages - h->nhot;

	for (unsigned i = 0; i < PAGES; i++)
		pages[i] = first + bench_below(&h->random, n);
}

static double
read_pages(const struct heap *h, const uint64_t *pages)
{
	uint64_t start = bench_now_ns();

	for (unsigned i = 0; i < PAGES; i++)
		read_page(h, pages[i]);
	return (double)(bench_now_ns() - start) / PAGES;
}

static double
write_pages(struct heap *h, const uint64_t *pages)
{
	uint64_t start = bench_now_ns();

	for (unsigned i = 0; i < PAGES; i++)
		write_page(h, pages[i]);
	return (double)(bench_now_ns() - start) / PAGES;
}

static void
report(const char *name, double ns)
{
	printf("%s %.0f\n", name, ns);
}

static void
end_child(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) ||
	    WEXITSTATUS(status) != 0) {
		fprintf(stderr, "forktime: the child has failed\n");
		exit(3);
	}
}

/* The child reads, then the parent writes, then the child ends. */
static void
round_of_pages(struct heap *h, struct shared *shared)
{
	static uint64_t hot[PAGES], cold[PAGES], others[PAGES];
	int up[2], down[2];
	uint64_t start, forked;
	char byte = 0;
	pid_t pid;

	choose(h, hot, true);
	choose(h, cold, false);
	choose(h, others, true);
	if (pipe(up) < 0 || pipe(down) < 0)
		die("pipe");
	start = bench_now_ns();
	pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0) {
		shared->began_ns = bench_now_ns();
		close(down[1]);
		shared->resident = read_pages(h, hot);
		shared->swapped = read_pages(h, cold);
		shared->again = read_pages(h, hot);
		_exit(write(up[1], &byte, 1) != 1 || read(down[0], &byte, 1));
	}
	forked = bench_now_ns();
	if (read(up[0], &byte, 1) != 1)
		die("the child");
	report("fork", (double)(forked - start));
	report("child", (double)(shared->began_ns - start));
	report("resident", shared->resident);
	report("swapped", shared->swapped);
	report("again", shared->again);
	report("write", write_pages(h, others));
	for (unsigned i = 0; i < 2; i++) {
		close(down[1 - i]);
		close(up[i]);
	}
	end_child(pid);
}

static void
round_of_exec(void)
{
	uint64_t start = bench_now_ns();
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	if (pid == 0) {
		/* Not with a heap of its own. */
		unsetenv("LD_PRELOAD");
		execlp("true", "true", (char *)NULL);
		_exit(127);
	}
	end_child(pid);
	report("exec", (double)(bench_now_ns() - start));
}

int
main(int argc, char **argv)
{
	struct heap h = { .random = 7 };
	uint64_t size, hot;
	int64_t rounds;
	struct shared *shared;

	if (argc != 4 || parse_size(argv[1], &size) < 0 ||
	    parse_size(argv[2], &hot) < 0 || hot >= size ||
	    parse_i64(argv[3], 1, 1000000, &rounds) < 0)
		return 2;
	h.npages = size / page_bytes();
	h.nhot = hot / page_bytes();
	h.start = malloc(size + page_bytes());
	shared = mmap(NULL, page_bytes(), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	h.written = mmap(NULL, h.npages * sizeof(*h.written),
			 PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (h.start == NULL || shared == MAP_FAILED || h.written == MAP_FAILED)
		die("memory");
	h.start += page_bytes() - (uintptr_t)h.start % page_bytes();
	/* Small pages on both sides. */
	(void)madvise(h.start, size, MADV_NOHUGEPAGE);
	puts("ready");
	fflush(stdout);
	if (getchar() == EOF)
		return 1;
	for (uint64_t i = 0; i < h.npages; i++)
		write_page(&h, i);
	for (int64_t i = 0; i < rounds; i++) {
		for (unsigned k = 0; k < 2; k++)
			for (uint64_t p = 0; p < h.nhot; p++)
				read_page(&h, p);
		round_of_pages(&h, shared);
		round_of_exec();
	}
	return fflush(stdout) == 0 ? 0 : 1;
}
