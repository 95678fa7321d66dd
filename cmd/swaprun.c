/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * swaprun: run a program with its heap in a swapd.
 *
 * It looks whether the program can have its heap there at all, finds a swapd
 * or starts a private one (swaprun-private.c), tries once what the program is
 * going to do, sets the environment and becomes the program.  So the exit
 * status is the program's, and nothing stands between it and its parent.
 *
 *	LD_PRELOAD	libswapheap.so and mimalloc, before what is there
 *	SWAPRUN_PAGER	the socket
 *	SWAPRUN_HEAP	bytes of address space; they cost nothing until touched
 *	SWAPRUN_PID	whom a failure must stop; see heap.c
 *	SWAPRUN_RAM_LIMIT, SWAPRUN_SWAP_LIMIT  bytes, where there are limits
 *	PYTHONMALLOC	Python has an allocator of its own above mmap(2)
 */
#include "swaprun.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ipc/path.h"
#include "swap.h"
#include "util.h"

#ifndef PKGLIBDIR
#error "PKGLIBDIR says where libswapheap.so is installed"
#endif

#define MODULE		"libswapheap.so"
#define MIMALLOC	"libmimalloc.so.2"

/* The heap is a whole number of segments of mimalloc's. */
#define HEAP_UNIT	((uint64_t)32 << 20)
#define HEAP_LEAST	(2 * HEAP_UNIT)
#define HEAP_DEFAULT_MIN ((uint64_t)1 << 30)
#define HEAP_DEFAULT_MAX ((uint64_t)1 << 40)
/* How many times what the pager has a program may use in address space. */
#define HEAP_FACTOR	4u

static const char usage_text[] =
	"usage: swaprun [-p PAGER] [--ram SIZE] [--swap SIZE] [--heap SIZE] [--]\n"
	"               PROGRAM [ARG]...\n"
	"       swaprun [--ram SIZE] --swap FILE[:SIZE]... [--heap SIZE] [--]\n"
	"               PROGRAM [ARG]...\n";

static const char help_text[] =
	"Run a program with its heap paged by a swapd.\n"
	"\n"
	"  -p, --pager PAGER     a running swapd: its name, or its socket's "
	"path\n"
	"      --ram SIZE        the most RAM that the program may have of it, "
	"and\n"
	"      --swap SIZE       the most swap space\n"
	"      --swap FILE:SIZE  start a private swapd, with swap space in a "
	"new file,\n"
	"                        which is removed afterwards; may be given "
	"several\n"
	"                        times; --ram is its RAM then\n"
	"      --swap DEVICE     ... or in a file or device that is there\n"
	"      --heap SIZE       address space of the heap\n"
	"  -h, --help\n"
	"  -V, --version\n";

struct options {
	const char	*pager;
	const char	*ram;		/* of a private pager, ... */
	uint64_t	 ram_bytes;	/* ... or the limit; 0: none */
	const char	*swap[PRIVATE_SWAP_MAX];
	size_t		 nswap;
	const char	*swap_limit;	/* as given */
	uint64_t	 swap_bytes;	/* 0: no limit */
	uint64_t	 heap_bytes;	/* 0: choose */
	char		**argv;		/* the program's */
};

int
run_say(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	fputs("swaprun: ", stderr);
	vfprintf(stderr, fmt, args);
	fputc('\n', stderr);
	va_end(args);
	return EXIT_FAILED;
}

static int
misuse(void)
{
	fputs(usage_text, stderr);
	return EXIT_MISUSED;
}

/* ---------------------------------------------------------------- options */

static int
parse_heap(const char *text, struct options *o)
{
	if (parse_size(text, &o->heap_bytes) < 0 ||
	    o->heap_bytes < HEAP_LEAST || o->heap_bytes > INT64_MAX) {
		run_say("--heap '%s': not a size of at least 64 MiB; for "
			"instance 8G", text);
		return EXIT_MISUSED;
	}
	return 0;
}

static int
parse_ram(const char *text, struct options *o)
{
	uint64_t bytes;

	if (parse_size(text, &bytes) < 0 || bytes < SWAP_RAM_MIN) {
		run_say("--ram '%s': not a size of at least 1 MiB; for "
			"instance 256M", text);
		return EXIT_MISUSED;
	}
	o->ram = text;
	o->ram_bytes = bytes;
	return 0;
}

/* A limit, when it is a size and nothing else: a file "1G" is "./1G". */
static int
parse_swap_limit(const char *text, uint64_t bytes, struct options *o)
{
	if (bytes == 0) {
		run_say("--swap '%s': a limit of nothing; for instance 1G",
			text);
		return EXIT_MISUSED;
	}
	o->swap_limit = text;
	o->swap_bytes = bytes;
	return 0;
}

static int
parse_swap(const char *text, struct options *o)
{
	uint64_t bytes;

	if (parse_size(text, &bytes) == 0)
		return parse_swap_limit(text, bytes, o);
	if (o->nswap == PRIVATE_SWAP_MAX) {
		run_say("--swap '%s': more than %u are not possible", text,
			PRIVATE_SWAP_MAX);
		return EXIT_MISUSED;
	}
	if (text[0] == '\0' || text[0] == ':') {
		run_say("--swap '%s': no file is named; for instance "
			"/var/tmp/swap:2G", text);
		return EXIT_MISUSED;
	}
	o->swap[o->nswap++] = text;
	return 0;
}

/* What one option alone cannot tell. */
static int
check_options(const struct options *o)
{
	if (o->argv[0] == NULL)
		return misuse();
	if (o->nswap > 0 && o->swap_limit != NULL) {
		run_say("--swap '%s' limits what the program may have of a "
			"running swapd, and --swap '%s' starts another; give "
			"one of them (a file of that name is './%s')",
			o->swap_limit, o->swap[0], o->swap_limit);
		return EXIT_MISUSED;
	}
	if (o->nswap > 0 && o->pager != NULL) {
		run_say("-p names a running swapd, and --swap starts another; "
			"give one of them (or attach a device to the first: "
			"swapctl -p %s on DEVICE)", o->pager);
		return EXIT_MISUSED;
	}
	return 0;
}

static int
parse_options(int argc, char **argv, struct options *o)
{
	enum { OPT_RAM = 256, OPT_SWAP, OPT_HEAP };
	static const struct option longs[] = {
		{ "pager", required_argument, NULL, 'p' },
		{ "ram", required_argument, NULL, OPT_RAM },
		{ "swap", required_argument, NULL, OPT_SWAP },
		{ "heap", required_argument, NULL, OPT_HEAP },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	int c, r = 0;

	/* "+": what follows the program is the program's. */
	while (r == 0 &&
	       (c = getopt_long(argc, argv, "+p:hV", longs, NULL)) != -1) {
		if (c == 'h') {
			printf("%s\n%s", usage_text, help_text);
			exit(fflush(stdout) == 0 ? 0 : EXIT_FAILED);
		} else if (c == 'V') {
			printf("swaprun (swapkit) %s\n", SWAP_VERSION);
			exit(fflush(stdout) == 0 ? 0 : EXIT_FAILED);
		} else if (c == 'p') {
			o->pager = optarg;
		} else if (c == OPT_RAM) {
			r = parse_ram(optarg, o);
		} else if (c == OPT_SWAP) {
			r = parse_swap(optarg, o);
		} else if (c == OPT_HEAP) {
			r = parse_heap(optarg, o);
		} else {
			r = misuse();
		}
	}
	o->argv = argv + optind;
	return r == 0 ? check_options(o) : r;
}

/* ------------------------------------------------------------------ pager */

static const char *
why(const struct swap_error *error, int r)
{
	return error->message[0] != '\0' ? error->message : strerror(-r);
}

static int
no_pager(const struct swap_error *error, int r)
{
	run_say("%s%s", why(error, r), r == -ENOENT || r == -ECONNREFUSED ?
		"; or let swaprun start a private one: 'swaprun --ram 256M "
		"--swap /var/tmp/swap:2G -- PROGRAM'" : "");
	return EXIT_CANNOT;
}

/* Do once what the program is going to do: map a page, and touch it. */
static int
try_to_map(struct swap_client *client)
{
	struct swap_error error = { 0 };
	struct swap_client_object *object;
	struct swap_client_region *region;
	int r;

	r = swap_client_object_create(client, NULL, page_bytes(), 0, &object,
				      &error);
	if (r == 0)
		r = swap_client_map(object, NULL, 0, page_bytes(), &region,
				    &error);
	if (r == 0) {
		*(volatile char *)swap_client_region_address(region) = 1;
		(void)swap_client_unmap(region);
	}
	if (r == -EPERM)
		return run_say("the system does not let a program's heap be "
			       "paged: faults that happen in the kernel (in "
			       "read(2), say) could not be served.  One of "
			       "these helps: run swapd as root; set "
			       "'sysctl vm.unprivileged_userfaultfd=1'; give "
			       "this user access to /dev/userfaultfd.");
	if (r < 0)
		return run_say("%s", why(&error, r));
	return 0;
}

static int
choose_heap(struct swap_client *client, uint64_t *heap_bytes)
{
	struct swap_error error = { 0 };
	struct swap_stats stats = { 0 };
	uint64_t bytes;
	int r;

	if (*heap_bytes == 0) {
		r = swap_client_stats(client, &stats, &error);
		if (r < 0)
			return run_say("%s", why(&error, r));
		if (__builtin_add_overflow(stats.ram_bytes, stats.swap_bytes,
					   &bytes) ||
		    __builtin_mul_overflow(bytes, HEAP_FACTOR, &bytes))
			bytes = HEAP_DEFAULT_MAX;
		swap_stats_clear(&stats);
		*heap_bytes = min_u64(max_u64(bytes, HEAP_DEFAULT_MIN),
				      HEAP_DEFAULT_MAX);
	}
	*heap_bytes = (*heap_bytes + HEAP_UNIT - 1) / HEAP_UNIT * HEAP_UNIT;
	return 0;
}

/* Limits that the program is going to have. */
static int
try_limits(struct swap_client *client, const struct options *o)
{
	struct swap_error error = { 0 };
	int r;

	if (o->nswap > 0 || (o->ram_bytes == 0 && o->swap_bytes == 0))
		return 0;
	r = swap_client_limit(client, o->ram_bytes, o->swap_bytes, &error);
	return r < 0 ? run_say("the program cannot be limited: %s",
			       why(&error, r)) : 0;
}

static int
check_pager(const char *path, const struct options *o, uint64_t *heap_bytes)
{
	struct swap_error error = { 0 };
	struct swap_client *client;
	int r;

	r = swap_client_connect(path, &client, &error);
	if (r < 0)
		return no_pager(&error, r);
	r = try_limits(client, o);
	if (r == 0)
		r = try_to_map(client);
	if (r == 0)
		r = choose_heap(client, heap_bytes);
	swap_client_close(client);
	return r == 0 ? 0 : EXIT_CANNOT;
}

/* ------------------------------------------------------------ environment */

/*
 * The module: beside this program in the build tree, where libtool keeps what
 * it has built in .libs; else in the library directory of the prefix.
 */
static int
find_module(char path[PATH_MAX])
{
	static const char *const places[] = { "", "/.libs", "/../lib/swapkit" };
	char dir[PATH_MAX];

	if (own_directory(dir) == 0) {
		for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
			format_cut(path, PATH_MAX, "%s%s/" MODULE, dir,
				   places[i]);
			if (access(path, R_OK) == 0)
				return 0;
		}
	}
	format_cut(path, PATH_MAX, "%s/" MODULE, PKGLIBDIR);
	if (access(path, R_OK) == 0)
		return 0;
	return run_say("the module %s is not there (%s); swapkit is not "
		       "installed as a whole, or was built without mimalloc",
		       path, strerror(errno));
}

static int
set_preload(void)
{
	char module[PATH_MAX], *value;
	const char *before = getenv("LD_PRELOAD");
	int n;

	if (find_module(module) != 0)
		return EXIT_CANNOT;
	/* The loader takes both as ends of a name. */
	if (strpbrk(module, " :") != NULL) {
		run_say("the path of %s has a blank or a colon in it, which "
			"LD_PRELOAD cannot name", module);
		return EXIT_CANNOT;
	}
	n = asprintf(&value, "%s:" MIMALLOC "%s%s", module,
		     before != NULL && before[0] != '\0' ? ":" : "",
		     before != NULL ? before : "");
	if (n < 0 || setenv("LD_PRELOAD", value, 1) < 0) {
		run_say("out of memory");
		return EXIT_CANNOT;
	}
	free(value);
	return 0;
}

/* 0: none, whatever was there. */
static int
set_limit(const char *name, uint64_t bytes)
{
	char number[32];

	if (bytes == 0)
		return unsetenv(name);
	format_cut(number, sizeof(number), "%" PRIu64, bytes);
	return setenv(name, number, 1);
}

static int
set_environment(const char *pager, const struct options *o)
{
	char number[32], pid[32];
	bool limits = o->nswap == 0;

	format_cut(number, sizeof(number), "%" PRIu64, o->heap_bytes);
	format_cut(pid, sizeof(pid), "%d", (int)getpid());
	if (set_limit("SWAPRUN_RAM_LIMIT", limits ? o->ram_bytes : 0) < 0 ||
	    set_limit("SWAPRUN_SWAP_LIMIT", o->swap_bytes) < 0 ||
	    setenv("SWAPRUN_PAGER", pager, 1) < 0 ||
	    setenv("SWAPRUN_HEAP", number, 1) < 0 ||
	    setenv("SWAPRUN_PID", pid, 1) < 0 ||
	    setenv("PYTHONMALLOC", "malloc", 0) < 0) {
		run_say("out of memory");
		return EXIT_CANNOT;
	}
	return set_preload();
}

/* Where the pager listens; a private one is started. */
static int
find_pager(const struct options *o, char path[PAGER_PATH_SIZE])
{
	struct swap_error error = { 0 };
	int r;

	if (o->nswap > 0)
		return private_start(o->ram, o->swap, o->nswap, path);
	r = path_client(o->pager, path, &error);
	if (r < 0)
		return no_pager(&error, r);
	return 0;
}

/* A relative path would mean something else after chdir(2). */
static int
make_absolute(char path[PAGER_PATH_SIZE])
{
	char whole[PATH_MAX];

	if (path[0] == '/')
		return 0;
	if (realpath(path, whole) == NULL ||
	    strlen(whole) >= PAGER_PATH_SIZE) {
		run_say("the socket %s: %s", path, errno == 0 ?
			"its path is too long" : strerror(errno));
		return EXIT_CANNOT;
	}
	format_cut(path, PAGER_PATH_SIZE, "%s", whole);
	return 0;
}

int
main(int argc, char **argv)
{
	struct options o = { 0 };
	char program[PATH_MAX], pager[PAGER_PATH_SIZE];
	int r;

	r = parse_options(argc, argv, &o);
	if (r == 0)
		r = program_check(o.argv[0], program);
	if (r == 0)
		r = find_pager(&o, pager);
	if (r == 0)
		r = make_absolute(pager);
	if (r == 0)
		r = check_pager(pager, &o, &o.heap_bytes);
	if (r == 0)
		r = set_environment(pager, &o);
	if (r != 0)
		return r;
	execv(program, o.argv);
	r = errno;
	run_say("cannot run %s: %s", program, strerror(r));
	return r == ENOENT ? EXIT_MISSING : EXIT_CANNOT;
}
