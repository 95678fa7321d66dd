/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fork(), and faults that need a sentence.
 *
 * The heap is MADV_DONTFORK: a child of fork() has nothing at its address.
 * vfork() and posix_spawn() share the parent's memory and need no help.  For
 * fork(), whose child nearly always runs exec() at once:
 *
 *	prepare		the pager makes a copy, taken page by page as the child
 *			touches it, and names it with a token
 *	child		connects, claims the copy, and maps it where the heap
 *			was, before any code of the program runs
 *	parent		waits until the child has run exec() or ended, so that
 *			what it copies from stays; after COPY_SECONDS the copy
 *			is cut off, and pages not taken by then give SIGBUS
 *
 * The C library touches FILEs, which are in the heap, in the child before it
 * calls any handler.  So while a fork is under way SIGSEGV is handled here, and
 * the first fault in the child claims the copy.  The kernel does not fault for
 * the addresses in a system call but fails it; hence the handler in the child
 * claims anyway, and does not wait for a fault.
 *
 * What the parent waits for is the end of a pipe that the child holds, and not
 * the pager's WaitCopy, during which no other thread could talk to it.  A fork
 * that has failed leaves nobody to hold the pipe.
 *
 *	    prepare            claim ok
 *	OWN -------> (child) ------------> COPY   may fork in its turn
 *			 |   handed over
 *			 |---------------> PRIVATE  forks as any process does
 *			 |   claim failed
 *			 `---------------> LOST   message, and death on touch
 *
 * After a handover by the pager the heap is shared memory that is all there.
 * A child maps it privately and writes to every page before its parent goes on,
 * which costs what the heap holds, but needs nobody.
 *
 * Signals are blocked from prepare until the fork is over: a handler of the
 * program could find no heap, or change what the child is copying.
 *
 * Limits: a child made by clone(2) or _Fork() gets no copy, but the message.
 * In a LOST child the kernel fails system calls with EFAULT and says nothing,
 * therefore the message comes at once.
 */
#include "heap.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "ipc/client.h"
#include "util.h"

/* How long a parent waits for its child's exec(). */
#define COPY_SECONDS	2u
/* The pager hears of the child's end a moment after we do. */
#define END_USEC	50000u
#define TOKEN_BYTES	64u
#define STACK_BYTES	((size_t)64 << 10)

enum state {
	STATE_OWN,		/* the heap of the program itself */
	STATE_COPY,		/* a fork, with a copy */
	STATE_PRIVATE,		/* a fork, whose heap is private memory */
	STATE_LOST,		/* a fork without */
};

static const int faults[] = { SIGSEGV, SIGBUS };

/* [f] = lock, held from prepare to the end of the handlers. */
static struct {
	pthread_mutex_t		 lock;
	_Atomic enum state	 state;
	_Atomic pid_t		 owner;		/* whose state that is */
	atomic_bool		 forking;	/* prepare has been called */
	atomic_bool		 claiming;	/* in the child, for once */
	int			 began;		/* [f] 0: there is a token */
	char			 token[TOKEN_BYTES];	/* [f] */
	sigset_t		 mask;		/* [f] the forking thread's */
	int			 alive[2];	/* [f] the pipe; -1: none */
	int			 held;		/* in a child: its end of it */
	int			 ordinary;	/* [f] handed over: its memfd */
	bool			 own_stack;	/* [f] fault_stack in use */
	struct sigaction	 previous[ARRAY_SIZE(faults)];
	locale_t		 plain;		/* the C locale */
} f = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.alive = { -1, -1 },
	.held = -1,
	.ordinary = -1,
};

/* [f] For a thread whose own stack is in the heap; malloc() made it. */
static char fault_stack[STACK_BYTES];

/* ----------------------------------------------------------------- claim */

static void
tell_lost(const char *why)
{
	heap_say("process %d is a fork of '%s' and has no copy of its heap "
		 "(%s): it cannot go on; run '%s' without swaprun, or make it "
		 "use posix_spawn(3)", (int)getpid(), heap_program(), why,
		 heap_program());
}

/* Where the heap was, nothing else may come to be before the copy does. */
static bool
keep_place(void *start, size_t length)
{
	return mmap(start, length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS |
		    MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0) != MAP_FAILED;
}

static int
map_copy(struct heap_service *s, struct swap_error *error)
{
	uintptr_t start, end;
	bool kept;
	int r;

	if (f.began < 0)
		return f.began;
	heap_range(&start, &end);
	kept = keep_place((void *)start, end - start);
	r = client_copy_claim(heap_pager(), f.token, &s->client, &s->object,
			      error);
	if (kept)
		munmap((void *)start, end - start);
	if (r < 0)
		return r;
	heap_pool_open();
	r = swap_client_map(s->object, (void *)start, 0, end - start,
			    &s->region, error);
	heap_pool_close();
	if (r == 0)
		madvise((void *)start, end - start, MADV_DONTDUMP);
	return r;
}

/* Make every page of the file that is mapped at @start private. */
static void
take_pages(char *start, int memfd)
{
	off_t at = 0, end;
	volatile char *p;

	while ((at = lseek(memfd, at, SEEK_DATA)) >= 0 &&
	       (end = lseek(memfd, at, SEEK_HOLE)) > at)
		for (; at < end; at += (off_t)page_bytes()) {
			p = start + at;
			*p = *p;
		}
}

static int
map_private(void)
{
	uintptr_t start, end;
	void *p;

	heap_range(&start, &end);
	p = mmap((void *)start, end - start, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_NORESERVE | MAP_FIXED_NOREPLACE, f.ordinary,
		 0);
	if (p == MAP_FAILED)
		return -errno;
	take_pages(p, f.ordinary);
	return 0;
}

/* As it is served, or as it is. */
static int
map_heap(struct swap_error *error)
{
	struct heap_service *s = heap_service(), before = *s;
	int r = 0;

	memset(s, 0, sizeof(*s));
	if (f.ordinary >= 0)
		r = map_private();
	if (before.client != NULL)
		client_forget(before.client);
	return f.ordinary >= 0 ? r : map_copy(s, error);
}

/*
 * In the child, once: its heap is the copy from now on, or lost.  The locale of
 * the program is in the heap, and the C library looks into it for little
 * things such as what a digit is.
 */
static void
claim(void)
{
	struct swap_error error = { 0 };
	locale_t locale;
	int r = 0;

	atomic_store(&f.claiming, true);
	locale = uselocale(f.plain);
	heap_threads_defer();
	if (atomic_load(&f.state) != STATE_PRIVATE)
		r = map_heap(&error);
	if (r == 0) {
		uselocale(locale);
	} else {
		heap_service()->region = NULL;
		tell_lost(error.message[0] != '\0' ? error.message
						   : strerror(-r));
	}
	if (r < 0)
		atomic_store(&f.state, STATE_LOST);
	else if (heap_service()->region != NULL)
		atomic_store(&f.state, STATE_COPY);
	else
		atomic_store(&f.state, STATE_PRIVATE);
	atomic_store(&f.owner, getpid());
	atomic_store(&f.claiming, false);
}

/* ---------------------------------------------------------------- faults */

static struct sigaction *
previous(int sig)
{
	return &f.previous[sig == SIGSEGV ? 0 : 1];
}

static void
set_default(int sig)
{
	struct sigaction action = { .sa_handler = SIG_DFL };

	sigaction(sig, &action, NULL);
}

/* Not ours: do what would have happened without us. */
static void
pass_on(int sig, siginfo_t *info, void *context)
{
	const struct sigaction *p = previous(sig);

	if ((p->sa_flags & SA_SIGINFO) != 0) {
		p->sa_sigaction(sig, info, context);
	} else if (p->sa_handler == SIG_DFL) {
		set_default(sig);
		/* A fault happens again by itself, a signal sent does not. */
		if (info->si_code <= 0)
			syscall(SYS_tgkill, (long)getpid(),
				syscall(SYS_gettid), (long)sig);
	} else if (p->sa_handler != SIG_IGN) {
		p->sa_handler(sig);
	}
}

/* A fault in the heap.  True: go on, the access will be tried again. */
static bool
heap_fault(int sig)
{
	bool mine = atomic_load(&f.owner) == getpid();
	enum state state = atomic_load(&f.state);

	if (!mine && atomic_load(&f.claiming)) {
		tell_lost("asking for one has failed");
	} else if (!mine && atomic_load(&f.forking)) {
		claim();
		return atomic_load(&f.state) != STATE_LOST;
	} else if (!mine)
		tell_lost("it was not made by fork(3)");
	else if (sig == SIGBUS && state == STATE_COPY)
		heap_say("process %d is a fork of '%s', and its copy of the "
			 "heap was cut off after %u s: a child must run "
			 "exec(3) by then; run '%s' without swaprun, or make "
			 "it use posix_spawn(3)", (int)getpid(), heap_program(),
			 COPY_SECONDS, heap_program());
	else if (sig == SIGBUS)
		heap_say("process %d ('%s') has lost a page of its heap, which "
			 "could not be read back from swap; the log of swapd "
			 "says more", (int)getpid(), heap_program());
	else if (state != STATE_LOST)
		return false;
	/* The program's handler would need the heap too. */
	if (!mine || state != STATE_OWN)
		set_default(sig);
	return !mine || state != STATE_OWN;
}

static void
on_fault(int sig, siginfo_t *info, void *context)
{
	uintptr_t start, end;
	int saved = errno;

	if (info->si_code <= 0 || !heap_clip(info->si_addr, 1, &start, &end) ||
	    !heap_fault(sig))
		pass_on(sig, info, context);
	errno = saved;
}

static void
install(int sig)
{
	struct sigaction action = {
		.sa_sigaction = on_fault,
		.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER,
	}, now;

	if (sigaction(sig, NULL, &now) == 0 &&
	    (now.sa_flags & SA_SIGINFO) != 0 && now.sa_sigaction == on_fault)
		return;
	sigaction(sig, &action, previous(sig));
}

/* Give the program its own handlers back; without one, ours stays. */
static void
restore(int sig)
{
	struct sigaction *p = previous(sig);

	if ((p->sa_flags & SA_SIGINFO) == 0 && p->sa_handler == SIG_DFL)
		return;
	sigaction(sig, p, NULL);
	memset(p, 0, sizeof(*p));
}

/* --------------------------------------------------------------- handlers */

static void
use_stack(void)
{
	stack_t stack = {
		.ss_sp = fault_stack,
		.ss_size = sizeof(fault_stack),
	}, now;
	uintptr_t start, end;

	f.own_stack = heap_clip(&now, 1, &start, &end) &&
		      sigaltstack(NULL, &now) == 0 &&
		      (now.ss_flags & SS_DISABLE) != 0 &&
		      sigaltstack(&stack, NULL) == 0;
}

static void
leave_stack(void)
{
	stack_t none = { .ss_flags = SS_DISABLE };

	if (f.own_stack)
		sigaltstack(&none, NULL);
}

static void
prepare(void)
{
	struct heap_service *s = heap_service();
	int saved = errno;
	sigset_t most, mask;

	sigfillset(&most);
	for (unsigned i = 0; i < ARRAY_SIZE(faults); i++)
		sigdelset(&most, faults[i]);
	pthread_sigmask(SIG_SETMASK, &most, &mask);
	pthread_mutex_lock(&f.lock);
	f.mask = mask;
	heap_release_prepare();
	f.began = s->region == NULL ? -EFAULT
				    : client_copy_begin(s->object, f.token);
	f.ordinary = s->region != NULL && f.began < 0
		     ? client_ordinary_memfd(s->object) : -1;
	if (s->region == NULL || pipe2(f.alive, O_CLOEXEC) < 0)
		f.alive[0] = f.alive[1] = -1;
	use_stack();
	for (unsigned i = 0; i < ARRAY_SIZE(faults); i++)
		install(faults[i]);
	atomic_store(&f.forking, true);
	errno = saved;
}

/* Until the child has run exec() or ended, or never was; then end the copy. */
static void
wait_for_child(int alive, const char *token)
{
	struct pollfd end = { .fd = alive, .events = POLLIN };
	bool over, cut;

	/* Without a pipe the pager waits for us. */
	over = alive >= 0 && poll(&end, 1, COPY_SECONDS * 1000) > 0;
	(void)client_copy_wait(heap_service()->client, token,
			       over ? END_USEC :
			       alive >= 0 ? 0 : COPY_SECONDS * 1000000, &cut);
}

/* Until the child has taken what there is, or has ended. */
static void
wait_for_copy(int alive)
{
	struct pollfd end = { .fd = alive, .events = POLLIN };

	if (alive >= 0)
		(void)poll(&end, 1, -1);
}

static void
close_pipe_end(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void
parent(void)
{
	int saved = errno, alive = f.alive[0];
	bool due = f.began == 0, ordinary = f.ordinary >= 0;
	char token[TOKEN_BYTES];
	sigset_t mask = f.mask;

	atomic_store(&f.forking, false);
	for (unsigned i = 0; i < ARRAY_SIZE(faults); i++)
		restore(faults[i]);
	leave_stack();
	memcpy(token, f.token, sizeof(token));
	close_pipe_end(&f.alive[1]);
	heap_release_parent();
	pthread_mutex_unlock(&f.lock);
	if (due)
		wait_for_child(alive, token);
	else if (ordinary)
		wait_for_copy(alive);
	close_pipe_end(&alive);
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
	errno = saved;
}

/*
 * The client's helper is for pages that are lost on kernels that cannot poison
 * them.  A child is single-threaded, and may rely on it (unshare(2) does), so
 * where the helper is not needed for that it is left out.
 */
static void
start_thread(void)
{
	struct utsname name;
	unsigned major, minor;

	if (uname(&name) == 0 &&
	    sscanf(name.release, "%u.%u", &major, &minor) == 2 &&
	    (major > 6 || (major == 6 && minor >= 6)))
		return;
	if (atomic_load(&f.state) == STATE_COPY)
		(void)heap_threads_start();
}

static void
child(void)
{
	int saved = errno;

	if (atomic_load(&f.owner) != getpid())
		claim();
	atomic_store(&f.forking, false);
	heap_release_child();
	start_thread();
	if (atomic_load(&f.state) != STATE_LOST)
		for (unsigned i = 0; i < ARRAY_SIZE(faults); i++)
			restore(faults[i]);
	leave_stack();
	pthread_mutex_init(&f.lock, NULL);
	/* Our own parent waits for this process, not for those it forks. */
	close_pipe_end(&f.held);
	close_pipe_end(&f.alive[0]);
	if (atomic_load(&f.state) == STATE_COPY)
		f.held = f.alive[1];
	else
		close_pipe_end(&f.alive[1]);
	pthread_sigmask(SIG_SETMASK, &f.mask, NULL);
	errno = saved;
}

int
heap_fork_start(void)
{
	int r = pthread_atfork(prepare, parent, child);

	if (r != 0)
		return -r;
	f.plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
	for (unsigned i = 0; i < ARRAY_SIZE(faults); i++) {
		struct sigaction now;

		/* A program that handles these has the first word. */
		if (sigaction(faults[i], NULL, &now) == 0 &&
		    (now.sa_flags & SA_SIGINFO) == 0 &&
		    now.sa_handler == SIG_DFL)
			install(faults[i]);
	}
	atomic_store(&f.owner, getpid());
	return 0;
}
