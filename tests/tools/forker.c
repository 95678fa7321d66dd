/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * forker SCENARIO [SIZE] - ways to fork, to be run by swaprun
 *
 * Fills SIZE bytes of malloc(3), makes children, and has each process verify
 * that it sees its own contents and nobody else's: "NAME ok", or "NAME bad" and
 * where, a line for each.  Whoever reads the output to its end has waited for
 * all of them.  The scenarios are in the table at the end.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <pty.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "util.h"

#define DEPTH		5u
#define CHILDREN	100u
#define FORKS		20u
/* Some pages are enough, where there are many children. */
#define MANY_STEP	(32u * 512)
#define WRITERS		3u
#define COROUTINE_BYTES	((size_t)1 << 20)

struct image {
	uint64_t	*words;
	size_t		 n;
};

static struct image image;

static uint64_t
word_of(uint64_t round, uint64_t i)
{
	uint64_t x = (i + 1) * UINT64_C(0x9e3779b97f4a7c15) + round;

	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	return x ^ x >> 31;
}

static void
fill(uint64_t round)
{
	for (size_t i = 0; i < image.n; i++)
		image.words[i] = word_of(round, i);
}

static void swap_printf(1, 2)
say(const char *fmt, ...)
{
	char line[200];
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	if (n > 0 && write(STDOUT_FILENO, line, (size_t)n) < n)
		_exit(3);
}

/* In a process whose end nobody waits for, the line is what counts. */
static bool
verify(const char *name, uint64_t round)
{
	for (size_t i = 0; i < image.n; i++) {
		if (image.words[i] == word_of(round, i))
			continue;
		say("%s bad: word %zu is %#lx, not %#lx\n", name, i,
		    (unsigned long)image.words[i],
		    (unsigned long)word_of(round, i));
		return false;
	}
	say("%s ok\n", name);
	return true;
}

static int
failed(const char *what)
{
	say("%s: %s\n", what, strerror(errno));
	return 1;
}

/* Wait for all children; did all of them end with @wanted? */
static bool
ended(int wanted)
{
	int got;
	bool good = true;

	while (wait(&got) > 0) {
		if (WIFEXITED(got) && WEXITSTATUS(got) == wanted)
			continue;
		say("child bad: %s %d\n", WIFEXITED(got) ? "status"
		    : "signal", WIFEXITED(got) ? WEXITSTATUS(got)
		    : WTERMSIG(got));
		good = false;
	}
	return good;
}

/* Both are done, whatever the first comes to. */
static int
status(bool first, bool second)
{
	return first && second ? 0 : 1;
}

/* Wait for a byte, or for all writers to be gone. */
static void
wait_for(int fd)
{
	char byte;

	while (read(fd, &byte, 1) < 0 && errno == EINTR)
		;
}

/* --------------------------------------------------------------- who goes */

/* The child reads everything after its parent has rewritten it and ended. */
static int
outlive(void)
{
	int gone[2];
	pid_t pid;

	if (pipe(gone) < 0)
		return failed("pipe");
	fill(1);
	pid = fork();
	if (pid < 0)
		return failed("fork");
	if (pid == 0) {
		close(gone[1]);
		wait_for(gone[0]);
		if (!verify("child", 1))
			return 1;
		fill(3);
		return !verify("child alone", 3);
	}
	fill(2);
	return !verify("parent", 2);
}

/* The same the other way round: the child goes, with its changes. */
static int
outlived(void)
{
	pid_t pid;

	fill(1);
	pid = fork();
	if (pid < 0)
		return failed("fork");
	if (pid == 0) {
		fill(2);
		return !verify("child", 2);
	}
	return status(ended(0), verify("parent", 1));
}

/* The parent gives its memory back while the child reads. */
static int
frees(void)
{
	size_t bytes = image.n * sizeof(uint64_t);
	int freed[2];
	pid_t pid;

	if (pipe(freed) < 0)
		return failed("pipe");
	fill(1);
	pid = fork();
	if (pid < 0)
		return failed("fork");
	if (pid == 0) {
		bool good;

		close(freed[1]);
		good = verify("child meanwhile", 1);
		wait_for(freed[0]);
		return status(good, verify("child after", 1));
	}
	/* Every second page range at once, the rest as malloc(3) likes. */
	for (size_t at = 0; at + 65536 <= bytes; at += 131072)
		if (madvise((char *)image.words + at, 65536,
			    MADV_DONTNEED) < 0)
			return failed("madvise");
	for (size_t at = 0; at + 65536 <= bytes; at += 131072)
		if (image.words[at / 8] != 0)
			say("parent bad: not zero at %zu\n", at);
	free(image.words);
	close(freed[0]);
	close(freed[1]);
	return !ended(0);
}

static int
daemonize(void)
{
	fill(1);
	if (daemon(1, 1) < 0)
		return failed("daemon");
	if (!verify("daemon", 1))
		return 1;
	fill(2);
	return !verify("daemon later", 2);
}

/* Each has a child with what it has just written, and does not wait for it. */
static int
generations(void)
{
	char name[32];
	pid_t pid = 0;

	fill(0);
	for (unsigned depth = 1; pid == 0 && depth <= DEPTH; depth++) {
		pid = fork();
		if (pid < 0)
			return failed("fork");
		snprintf(name, sizeof(name), "level %u", depth);
		if (pid == 0) {
			if (!verify(name, depth - 1))
				return 1;
			fill(depth);
		}
	}
	return 0;
}

/* More children at once than a pager would copy for in the old days. */
static int
many(void)
{
	int go[2];

	if (pipe(go) < 0)
		return failed("pipe");
	for (uint64_t i = 0; i < CHILDREN; i++) {
		pid_t pid;

		for (size_t k = 0; k < image.n; k += MANY_STEP)
			image.words[k] = word_of(i, k);
		pid = fork();
		if (pid < 0)
			return failed("fork");
		if (pid > 0)
			continue;
		close(go[1]);
		wait_for(go[0]);
		for (size_t k = 0; k < image.n; k += MANY_STEP)
			if (image.words[k] != word_of(i, k))
				return 1;
		return 0;
	}
	close(go[0]);
	close(go[1]);
	if (!ended(0))
		return 1;
	say("all ok\n");
	return 0;
}

/* A child and its child, until the end of standard input. */
static int
hold(void)
{
	pid_t pid;
	int r;

	fill(1);
	pid = fork();
	if (pid == 0)
		pid = fork();
	if (pid < 0)
		return failed("fork");
	/* Half of it becomes its own. */
	for (size_t i = 0; i < image.n / 2; i++)
		image.words[i] = word_of(1, i);
	say("holding\n");
	wait_for(STDIN_FILENO);
	r = !verify("process", 1);
	/* Also where the pager has ended meanwhile. */
	pid = fork();
	if (pid < 0)
		return failed("fork");
	if (pid == 0)
		return !verify("another child", 1);
	memset(image.words, 0, image.n * sizeof(uint64_t));
	return status(r == 0, ended(0));
}

/* Children that execute a program at once; the parent writes on. */
static int
execs(void)
{
	for (uint64_t i = 0; i < CHILDREN; i++) {
		pid_t pid = fork();

		if (pid < 0)
			return failed("fork");
		if (pid == 0) {
			execlp("true", "true", (char *)NULL);
			_exit(127);
		}
		for (size_t k = 0; k < image.n; k += MANY_STEP)
			image.words[k] = word_of(i, k);
	}
	if (!ended(0))
		return 1;
	for (size_t k = 0; k < image.n; k += MANY_STEP)
		if (image.words[k] != word_of(CHILDREN - 1, k))
			return 1;
	say("parent ok\n");
	return 0;
}

/* ---------------------------------------------------------------- threads */

/*
 * Each writer goes through its part again and again, in order.  So at any
 * moment a part is N from its start to somewhere, and N - 1 from there on.
 */
static struct part {
	uint64_t	*words;
	size_t		 n;
	pthread_t	 thread;
} parts[WRITERS];

/* Heap first, then this: nobody may see it before the heap. */
static _Atomic uint64_t published[WRITERS];
static atomic_bool stop;

/* A word in the heap, and then one outside of it, as fast as can be. */
static uint64_t *inside;
static _Atomic uint64_t outside;

static void *
count_on(void *arg)
{
	for (uint64_t n = 1; !atomic_load(&stop); n++) {
		__atomic_store_n(inside, n, __ATOMIC_SEQ_CST);
		atomic_store(&outside, n);
	}
	return arg;
}

static void *
write_on(void *arg)
{
	struct part *part = arg;

	for (uint64_t n = 2; !atomic_load(&stop); n++) {
		for (size_t i = 0; i < part->n; i += 64)
			__atomic_store_n(&part->words[i], n, __ATOMIC_RELEASE);
		atomic_store(&published[part - parts], n);
	}
	return NULL;
}

static bool
verify_part(const struct part *part, uint64_t least)
{
	uint64_t first = part->words[0], expected = first;

	if (first < least) {
		say("part bad: is of round %lu, and %lu had been seen\n",
		    (unsigned long)first, (unsigned long)least);
		return false;
	}
	for (size_t i = 0; i < part->n; i += 64) {
		if (part->words[i] != expected && expected == first)
			expected = first - 1;
		if (part->words[i] == expected)
			continue;
		say("part bad: word %zu is %lu, before it was %lu\n", i,
		    (unsigned long)part->words[i], (unsigned long)expected);
		return false;
	}
	return true;
}

static int
verify_parts(void)
{
	for (unsigned i = 0; i < WRITERS; i++)
		if (!verify_part(&parts[i], atomic_load(&published[i])))
			return 1;
	return 0;
}

static int
verify_counter(void)
{
	if (*inside == atomic_load(&outside) ||
	    *inside == atomic_load(&outside) + 1)
		return 0;
	say("counter bad: %lu in the heap, %lu outside\n",
	    (unsigned long)*inside, (unsigned long)atomic_load(&outside));
	return 1;
}

/* The heap and the rest of the memory are of the same moment. */
static int
moment(void)
{
	pthread_t counter;

	inside = calloc(1, sizeof(*inside));
	if (inside == NULL ||
	    pthread_create(&counter, NULL, count_on, NULL) != 0)
		return failed("pthread_create");
	for (unsigned i = 0; i < 10 * FORKS; i++) {
		pid_t pid = fork();

		if (pid < 0)
			return failed("fork");
		if (pid == 0)
			_exit(verify_counter());
		if (!ended(0))
			return 1;
	}
	atomic_store(&stop, true);
	pthread_join(counter, NULL);
	say("moment ok\n");
	return 0;
}

static int
threads(void)
{
	for (size_t i = 0; i < image.n; i++)
		image.words[i] = 1;
	for (unsigned i = 0; i < WRITERS; i++) {
		parts[i].n = image.n / WRITERS;
		parts[i].words = image.words + i * parts[i].n;
		if (pthread_create(&parts[i].thread, NULL, write_on,
				   &parts[i]) != 0)
			return failed("pthread_create");
	}
	for (unsigned i = 0; i < FORKS; i++) {
		pid_t pid = fork();

		if (pid < 0)
			return failed("fork");
		if (pid == 0)
			_exit(verify_parts());
	}
	atomic_store(&stop, true);
	for (unsigned i = 0; i < WRITERS; i++)
		pthread_join(parts[i].thread, NULL);
	if (!ended(0))
		return 1;
	say("threads ok\n");
	return 0;
}

/*
 * Blocks go from this thread, which allocates them, to another, which frees
 * them: what malloc(3) keeps about them is in the heap and outside of it.
 */
#define QUEUE	1024u
static _Atomic(char *) queue[QUEUE];

static void *
free_on(void *arg)
{
	char *block;

	for (unsigned i = 0; !atomic_load(&stop); i = (i + 7) % QUEUE) {
		block = atomic_exchange(&queue[i], NULL);
		free(block);
	}
	return arg;
}

static void
allocate(unsigned count, bool used)
{
	for (unsigned i = 0; i < count; i++) {
		size_t size = 16 + word_of(i, count) % 500;
		char *block = malloc(size);

		if (block == NULL)
			_exit(4);
		memset(block, 0xa5, size);
		if (used)
			block = atomic_exchange(&queue[i % QUEUE], block);
		free(block);
	}
}

static int
allocators(void)
{
	pthread_t thread[WRITERS];

	for (unsigned i = 0; i < WRITERS; i++)
		if (pthread_create(&thread[i], NULL, free_on, NULL) != 0)
			return failed("pthread_create");
	for (unsigned i = 0; i < 10 * FORKS; i++) {
		pid_t pid;

		allocate(20000, true);
		pid = fork();
		if (pid < 0)
			return failed("fork");
		if (pid == 0) {
			allocate(20000, true);
			_exit(0);
		}
	}
	atomic_store(&stop, true);
	for (unsigned i = 0; i < WRITERS; i++)
		pthread_join(thread[i], NULL);
	if (!ended(0)) {
		say("allocators bad\n");
		return 1;
	}
	say("allocators ok\n");
	return 0;
}

/* ------------------------------------------------------------------ calls */

/* What both sides do after any call that forks. */
static int
both_sides(pid_t pid)
{
	if (pid < 0)
		return failed("fork");
	if (pid == 0) {
		if (!verify("child", 1))
			return 1;
		fill(3);
		return !verify("child later", 3);
	}
	fill(2);
	return status(ended(0), verify("parent", 2));
}

static int
bare(void)
{
	fill(1);
	return both_sides(_Fork());
}

static int
by_number(void)
{
	fill(1);
	return both_sides((pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
}

static int
pty(void)
{
	char text[512];
	ssize_t n;
	int fd = -1;
	pid_t pid;

	fill(1);
	pid = forkpty(&fd, NULL, NULL, NULL);
	if (pid <= 0)
		return both_sides(pid);
	/* What the child says comes here; both lines, until it hangs up. */
	while ((n = read(fd, text, sizeof(text) - 1)) > 0) {
		text[n] = '\0';
		say("%s", text);
	}
	return both_sides(pid);
}

static int
cloned(void *arg)
{
	pid_t *tid = arg;

	if (tid != NULL && *tid != (pid_t)syscall(SYS_gettid))
		say("child bad: its number is %d\n", (int)*tid);
	return both_sides(0) == 0 ? 7 : 1;
}

/* The child's stack, and what the kernel writes, are in the heap. */
static int
clones(void)
{
	char *stack = malloc(COROUTINE_BYTES);
	pid_t *tid = malloc(sizeof(*tid));
	pid_t pid;

	if (stack == NULL || tid == NULL)
		return failed("malloc");
	*tid = 0;
	fill(1);
	pid = clone(cloned, stack + COROUTINE_BYTES,
		    SIGCHLD | CLONE_CHILD_SETTID, tid, NULL, NULL, tid);
	if (pid < 0)
		return failed("clone");
	fill(2);
	memset(stack, 0x5a, COROUTINE_BYTES);
	return status(ended(7), verify("parent", 2));
}

/* With CLONE_VM it is the same memory, and nothing is copied. */
static int
shared(void *arg)
{
	*(int *)arg = 1;
	return 7;
}

static int
clones_sharing(void)
{
	char *stack = malloc(COROUTINE_BYTES);
	int *word = calloc(1, sizeof(*word));

	if (stack == NULL || word == NULL)
		return failed("malloc");
	if (clone(shared, stack + COROUTINE_BYTES, SIGCHLD | CLONE_VM |
		  CLONE_VFORK, word) < 0)
		return failed("clone");
	if (!ended(7) || *word != 1)
		return 1;
	say("parent ok\n");
	return 0;
}

static ucontext_t main_context, coroutine_context;
static int coroutine_result;

static bool
is_whole(const volatile uint64_t *local, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (local[i] != word_of(9, i))
			return false;
	return true;
}

/* Frames on a stack in the heap, that both sides go back through. */
static int
deeper(unsigned depth)
{
	volatile uint64_t local[100];
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(local); i++)
		local[i] = word_of(9, i);
	r = depth > 0 ? deeper(depth - 1) : both_sides(fork());
	if (!is_whole(local, ARRAY_SIZE(local))) {
		say("stack bad: depth %u\n", depth);
		return 1;
	}
	return r;
}

static void
run_coroutine(void)
{
	coroutine_result = deeper(20);
}

static int
coroutine(void)
{
	char *stack = malloc(COROUTINE_BYTES);

	if (stack == NULL || getcontext(&coroutine_context) < 0)
		return failed("coroutine");
	fill(1);
	coroutine_context.uc_stack.ss_sp = stack;
	coroutine_context.uc_stack.ss_size = COROUTINE_BYTES;
	coroutine_context.uc_link = &main_context;
	makecontext(&coroutine_context, run_coroutine, 0);
	if (swapcontext(&main_context, &coroutine_context) < 0)
		return failed("swapcontext");
	return coroutine_result;
}

/* As programs do that want to say where they crashed. */
static int
signal_stack(void)
{
	stack_t now, stack = {
		.ss_sp = malloc(COROUTINE_BYTES),
		.ss_size = COROUTINE_BYTES,
	};
	int r;

	if (stack.ss_sp == NULL || sigaltstack(&stack, NULL) < 0)
		return failed("sigaltstack");
	fill(1);
	r = both_sides(fork());
	if (sigaltstack(NULL, &now) < 0 || now.ss_sp != stack.ss_sp ||
	    now.ss_flags != 0) {
		say("stack bad\n");
		return 1;
	}
	return r;
}

/* --------------------------------------------------------------- failures */

/* Let every fork(2) fail from now on. */
static int
forbid(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAGAIN),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {
		.len = ARRAY_SIZE(filter),
		.filter = filter,
	};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		return failed("seccomp");
	return 0;
}

/* Fails again and again; then says so, and waits for a word. */
static int
fails(void)
{
	fill(1);
	if (forbid() != 0)
		return 1;
	for (unsigned i = 0; i < CHILDREN; i++) {
		errno = 0;
		if (fork() != -1 || errno != EAGAIN ||
		    _Fork() != -1 || errno != EAGAIN ||
		    daemon(1, 1) != -1 || errno != EAGAIN) {
			say("fork has not failed\n");
			return 1;
		}
	}
	say("failed\n");
	wait_for(STDIN_FILENO);
	fill(2);
	return !verify("parent", 2);
}

/* The pager refuses; so does fork(), and no child is left. */
static int
refused(void)
{
	fill(1);
	errno = 0;
	if (fork() != -1 || errno != ENOMEM) {
		say("fork has not failed\n");
		return 1;
	}
	if (wait(NULL) != -1 || errno != ECHILD) {
		say("there is a child\n");
		return 1;
	}
	return !verify("parent", 1);
}

static const struct scenario {
	const char	*name;
	int		(*run)(void);
} scenarios[] = {
	{ "outlive", outlive },
	{ "outlived", outlived },
	{ "frees", frees },
	{ "daemon", daemonize },
	{ "generations", generations },
	{ "many", many },
	{ "execs", execs },
	{ "hold", hold },
	{ "threads", threads },
	{ "moment", moment },
	{ "allocators", allocators },
	{ "bare", bare },
	{ "number", by_number },
	{ "pty", pty },
	{ "clone", clones },
	{ "clone-vm", clones_sharing },
	{ "coroutine", coroutine },
	{ "signal-stack", signal_stack },
	{ "fails", fails },
	{ "refused", refused },
};

int
main(int argc, char **argv)
{
	uint64_t size = 32 << 20;

	if (argc < 2 || (argc > 2 && parse_size(argv[2], &size) < 0))
		return 2;
	/* The C library looks at each FILE in a child, and it is in the heap. */
	if (fopen("/dev/null", "r") == NULL)
		return failed("/dev/null");
	image.n = (size_t)(size / sizeof(uint64_t));
	image.words = malloc((size_t)size);
	if (image.words == NULL)
		return failed("malloc");
	for (size_t i = 0; i < ARRAY_SIZE(scenarios); i++)
		if (strcmp(argv[1], scenarios[i].name) == 0)
			return scenarios[i].run();
	return 2;
}
