/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * driver.c - main() of a fuzz target without libFuzzer
 *
 *	fuzz-NAME [-n INPUTS] [-s SEED] [-l LENGTH] [FILE...]
 *
 * Runs the files, or so many inputs made from the seed: random bytes, and
 * changed copies of the one before.  A target stops the program where it finds
 * something wrong; then the input is in the file ./crash.  With
 * `configure --enable-fuzzing CC=clang` libFuzzer takes the place of this.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"

#define LENGTH_MAX	65536u

/* For the signal handler: the input that is being run. */
static const uint8_t *volatile current;
static volatile size_t current_len;

static void
save_crash(int sig)
{
	int fd = open("crash", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd >= 0 && write(fd, current, current_len) >= 0)
		(void)!write(STDERR_FILENO, "input is in ./crash\n", 20);
	signal(sig, SIG_DFL);
	raise(sig);
}

static void
run(const uint8_t *data, size_t len)
{
	current = data;
	current_len = len;
	(void)LLVMFuzzerTestOneInput(data, len);
}

static uint64_t
next_random(uint64_t *state)
{
	uint64_t x = *state;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	*state = x;
	return x * UINT64_C(0x2545F4914F6CDD1D);
}

/* Change an input; one in four is made anew. */
static size_t
make_input(uint64_t *state, uint8_t *data, size_t len, size_t max)
{
	uint64_t r = next_random(state);
	size_t nchanges;

	if (len == 0 || (r & 3) == 0) {
		len = 1 + (size_t)(next_random(state) % max);
		for (size_t i = 0; i < len; i++)
			data[i] = (uint8_t)(next_random(state) >> 56);
		return len;
	}
	nchanges = 1 + (size_t)(r >> 32) % 8;
	for (size_t i = 0; i < nchanges; i++) {
		r = next_random(state);
		data[(r >> 8) % len] = (uint8_t)r;
	}
	return len;
}

static int
run_file(const char *path)
{
	uint8_t *data = malloc(LENGTH_MAX);
	FILE *file = fopen(path, "rb");
	size_t len;

	if (data == NULL || file == NULL) {
		perror(path);
		free(data);
		if (file != NULL)
			fclose(file);
		return 1;
	}
	len = fread(data, 1, LENGTH_MAX, file);
	fclose(file);
	run(data, len);
	free(data);
	return 0;
}

static void
run_inputs(uint64_t n, uint64_t seed, size_t max)
{
	uint8_t *data = malloc(max);
	size_t len = 0;

	if (data == NULL)
		abort();
	for (uint64_t i = 0; i < n; i++) {
		len = make_input(&seed, data, len, max);
		run(data, len);
	}
	free(data);
}

int
main(int argc, char **argv)
{
	uint64_t n = 1000, seed = 1;
	size_t max = 4096;
	int option, failed = 0;

	while ((option = getopt(argc, argv, "n:s:l:")) != -1) {
		switch (option) {
		case 'n':
			n = strtoull(optarg, NULL, 0);
			break;
		case 's':
			seed = strtoull(optarg, NULL, 0) | 1;
			break;
		case 'l':
			max = strtoull(optarg, NULL, 0);
			break;
		default:
			return 2;
		}
	}
	if (max == 0 || max > LENGTH_MAX) {
		fprintf(stderr, "%s: a length is 1 to %u\n", argv[0],
			LENGTH_MAX);
		return 2;
	}
	signal(SIGABRT, save_crash);
	signal(SIGSEGV, save_crash);
	signal(SIGBUS, save_crash);
	for (int i = optind; i < argc; i++)
		failed |= run_file(argv[i]);
	if (optind == argc)
		run_inputs(n, seed, max);
	return failed;
}
