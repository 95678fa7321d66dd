/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * swappee SIZE [random|linear] [private|shared] [FILE] - memory to be swapped
 * out
 *
 * Fills SIZE bytes, anonymous or of FILE, in linear or in random order, prints
 * "PID ADDRESS", and obeys standard input, one word a line, answering "ok" or
 * "bad":
 *
 *	verify	every byte is what was written
 *	rewrite	write new contents into every page
 *	unmap	unmap the second half
 *	touch	read every second page
 *	fork	have a child that shares everything, until quit
 *	quit
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util.h"

/* A sanitizer's shadow of this memory would be in swap too. */
#define UNWATCHED	__attribute__((no_sanitize("thread", "address")))

struct memory {
	uint64_t	*words;
	size_t		 npages;
	size_t		 nwords;	/* a page */
	uint32_t	*order;
	uint64_t	 round;
};

/* Does not compress, and differs for every word. */
static uint64_t UNWATCHED
word_of(uint64_t round, uint64_t i)
{
	uint64_t x = (i + 1) * UINT64_C(0x9e3779b97f4a7c15) + round;

	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

static void UNWATCHED
fill(struct memory *memory)
{
	memory->round++;
	for (size_t i = 0; i < memory->npages; i++) {
		size_t at = memory->order[i] * memory->nwords;

		for (size_t k = 0; k < memory->nwords; k++)
			memory->words[at + k] = word_of(memory->round, at + k);
	}
}

static bool UNWATCHED
verify(const struct memory *memory)
{
	for (size_t i = 0; i < memory->npages * memory->nwords; i++)
		if (memory->words[i] != word_of(memory->round, i))
			return false;
	return true;
}

static void UNWATCHED
touch(const struct memory *memory)
{
	for (size_t i = 0; i < memory->npages; i += 2)
		(void)*(const volatile uint64_t *)(memory->words +
						   i * memory->nwords);
}

static void
make_order(struct memory *memory, bool random)
{
	for (size_t i = 0; i < memory->npages; i++)
		memory->order[i] = (uint32_t)i;
	for (size_t i = memory->npages; random && i > 1; i--) {
		size_t k = (size_t)(word_of(0, i) % i);
		uint32_t kept = memory->order[i - 1];

		memory->order[i - 1] = memory->order[k];
		memory->order[k] = kept;
	}
}

static bool
obey(struct memory *memory, const char *word, pid_t *child)
{
	if (strcmp(word, "verify\n") == 0)
		return verify(memory);
	if (strcmp(word, "rewrite\n") == 0) {
		fill(memory);
		return true;
	}
	if (strcmp(word, "unmap\n") == 0) {
		memory->npages /= 2;
		return munmap(memory->words + memory->npages * memory->nwords,
			      memory->npages * memory->nwords * 8) == 0;
	}
	if (strcmp(word, "touch\n") == 0) {
		touch(memory);
		return true;
	}
	if (strcmp(word, "fork\n") == 0) {
		*child = fork();
		if (*child == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			for (;;)
				pause();
		}
		return *child > 0;
	}
	return false;
}

/* NULL: anonymous. */
static uint64_t *
map(const char *path, size_t size, bool shared)
{
	int flags = shared ? MAP_SHARED : MAP_PRIVATE, fd = -1;
	void *at;

	if (path != NULL) {
		fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		if (fd < 0 || ftruncate(fd, (off_t)size) < 0)
			return MAP_FAILED;
	}
	at = mmap(NULL, size, PROT_READ | PROT_WRITE,
		  flags | (path != NULL ? 0 : MAP_ANONYMOUS), fd, 0);
	if (fd >= 0)
		close(fd);
	return at;
}

int
main(int argc, char **argv)
{
	bool random = argc > 2 && strcmp(argv[2], "random") == 0;
	bool shared = argc > 3 && strcmp(argv[3], "shared") == 0;
	struct memory memory = { .nwords = (size_t)page_bytes() / 8 };
	pid_t child = 0;
	char line[64];
	uint64_t size;

	if (argc < 2 || parse_size(argv[1], &size) < 0)
		return 2;
	memory.npages = (size_t)(size / page_bytes());
	memory.words = map(argc > 4 ? argv[4] : NULL, (size_t)size, shared);
	memory.order = malloc(memory.npages * sizeof(*memory.order));
	if ((void *)memory.words == MAP_FAILED || memory.order == NULL)
		return 1;
	/* Small pages, so that the order of filling is that of the pages. */
	(void)madvise(memory.words, (size_t)size, MADV_NOHUGEPAGE);
	make_order(&memory, random);
	fill(&memory);
	printf("%d %p\n", (int)getpid(), (void *)memory.words);
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin) != NULL &&
	       strcmp(line, "quit\n") != 0) {
		puts(obey(&memory, line, &child) ? "ok" : "bad");
		fflush(stdout);
	}
	if (child > 0) {
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
	}
	return 0;
}
