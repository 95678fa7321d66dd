/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a child of fork() has of its parent's heap, and faults that need a
 * sentence.
 *
 * The heap is MADV_DONTFORK: a child has nothing at its address.  vfork() and
 * posix_spawn() share the parent's memory and need no help.  For the others:
 *
 *	prepare		the pager makes a copy-on-write copy of the object, and
 *			names it with a token; other threads that write to the
 *			heap wait from now on
 *	child		connects, claims the copy, and maps it where the heap
 *			was, before any code of the program runs
 *	parent		goes on at once, and so do its threads
 *
 * fork() runs these three as handlers of pthread_atfork(), the first of all to
 * be registered: so the copy is made when every other handler has prepared, and
 * is there before they run in the child.  heap-clone.c runs them for calls that
 * know no handlers, and tells here what came of a fork.
 *
 * The C library touches FILEs, which are in the heap, in the child before it
 * calls any handler.  So while a fork is under way SIGSEGV is handled here, and
 * the first fault in the child claims the copy.  The kernel does not fault for
 * the addresses in a system call but fails it; hence the handler in the child
 * claims anyway, and does not wait for a fault.
 *
 *	    prepare            claim ok
 *	OWN -------> (child) ------------> COPY   may fork in its turn
 *			 |   handed over
 *			 |---------------> PRIVATE  forks as any process does
 *			 |   claim failed
 *			 |---------------> LOST   message, and death on touch
 *			 |   no copy was made
 *			 `---------------> ends; fork() fails in the parent
 *
 * Invariants:
 *
 *   K1	From the making of the copy until the kernel has made the child, the
 *	forking thread does not write to the heap: its stack is not there
 *	(heap-clone.c moves it), and what the C library does in between is not
 *	either.
 *   K2	Nor does another thread: so the heap that the child has is of the same
 *	moment as the rest of its memory.  It is not enough that the copy is of
 *	one moment: malloc(3) keeps the head of a list in its own data, and the
 *	list in the heap.
 *   K3	The child keeps its parent's connection open until it has claimed its
 *	copy: so a parent may end at once, as daemons do.
 *   K4	A copy that nobody will claim is dropped: here, where the fork has
 *	failed; by swapd, when the parent's connection closes.
 *
 * After a handover by the pager the heap is shared memory that is all there.
 * A child maps it privately and writes to every page before its parent goes on
 * (a pipe tells when), which costs what the heap holds, but needs nobody.
 *
 * Signals are blocked from prepare until the fork is over: a handler of the
 * program could find no heap, or write to what has been copied already.
 *
 * Cost: the pager's, see swap_object_fork(), and two requests of the parent
 * and a handful of the child.
 *
 * Limits: a thread whose control block is in the heap (pthread_attr_setstack()
 * with memory of malloc()) cannot fork, see heap-clone.c.  A child that is made
 * by a system call that a program makes with instructions of its own gets no
 * copy, but the message.  In a LOST child the kernel fails system calls with
 * EFAULT and says nothing, therefore the message comes at once.  Where a thread
 * that waits (K2) has a lock that the C library's fork() wants, the pager lets
 * it go on after 200 ms, and K2 does not hold; the one that is likely, of the
 * list of FILEs, is taken here before.
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
#include <sys/wait.h>
#include <unistd.h>

#include "ipc/client.h"
#include "util.h"

#define STACK_BYTES	((size_t)64 << 10)
/* Of a child whose parent's fork() fails; nobody sees it. */
#define EXIT_NO_COPY	127

enum state {
	STATE_OWN,		/* the heap of the program itself */
	STATE_COPY,		/* a fork, with a copy */
	STATE_PRIVATE,		/* a fork, whose heap is private memory */
	STATE_LOST,		/* a fork without */
};

static const int faults[] = { SIGSEGV, SIGBUS };

/* Of the C library: its recursive lock of the list of FILEs. */
void _IO_list_lock(void) __attribute__((weak));
void _IO_list_unlock(void) __attribute__((weak));
void _IO_list_resetlock(void) __attribute__((weak));

/* [f] = lock, held from prepare to the end of the handlers. */
static struct {
	pthread_mutex_t		 lock;
	_Atomic enum state	 state;
	_Atomic pid_t		 owner;		/* whose state that is */
	atomic_bool		 forking;	/* prepare has been called */
	atomic_bool		 claiming;	/* in the child, for once */
	bool			 shares_files;	/* [f] of its parent, as clone
						   can have it */
	int			 began;		/* [f] 0: there is a token */
	char			 token[CLIENT_TOKEN_SIZE];	/* [f] */
	sigset_t		 mask;		/* [f] the forking thread's */
	int			 ordinary;	/* [f] handed over: its memfd */
	int			 taken[2];	/* [f] a pipe for that; -1 */
	bool			 own_stack;	/* [f] fault_stack in use */
	stack_t			 stack;		/* [f] what it stands for */
	struct sigaction	 previous[ARRAY_SIZE(faults)];
	locale_t		 plain;		/* the C locale */
} f = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.taken = { -1, -1 },
	.ordinary = -1,
};

/* [f] For a thread whose signal stack is in the heap. */
static char fault_stack[STACK_BYTES];

/* What the thread's fork has come to, for heap_fork_leave(). */
static __thread struct {
	bool	 inside;	/* from enter to leave */
	int	 began;		/* as above */
	char	 token[CLIENT_TOKEN_SIZE];	/* "": none to be dropped */
} attempt __attribute__((tls_model("initial-exec")));

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
	int r = 0, connection = -1;

	memset(s, 0, sizeof(*s));
	if (f.ordinary >= 0)
		r = map_private();
	/* They are the parent's own, where a child shares them. */
	if (before.client != NULL && !f.shares_files)
		connection = client_forget(before.client);
	if (f.ordinary < 0)
		r = map_copy(s, error);
	if (connection >= 0)
		close(connection);	/* K3 */
	return r;
}

/* Is a copy due, and was none made? */
static bool
is_refused(void)
{
	return f.began < 0 && f.ordinary < 0 && f.began != -ESRCH;
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

	if (is_refused() && attempt.inside)
		_exit(EXIT_NO_COPY);
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
	else if (sig == SIGBUS)
		heap_say("process %d ('%s') has lost a page of its heap, which "
			 "could not be read back from swap; the log of swapd "
			 "says more", (int)getpid(), heap_program());
	else if (state != STATE_LOST)
		return false;
	/* The program's handler would need the heap too. */
	if (!mine || state == STATE_LOST)
		set_default(sig);
	return !mine || state == STATE_LOST;
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

/* The handler needs a stack that is there in the child. */
static void
use_stack(void)
{
	stack_t stack = {
		.ss_sp = fault_stack,
		.ss_size = sizeof(fault_stack),
	};
	uintptr_t start, end;
	const void *place;

	f.own_stack = false;
	if (sigaltstack(NULL, &f.stack) < 0)
		return;
	place = (f.stack.ss_flags & SS_DISABLE) != 0
		? __builtin_frame_address(0) : f.stack.ss_sp;
	if (heap_clip(place, 1, &start, &end))
		f.own_stack = sigaltstack(&stack, NULL) == 0;
}

static void
leave_stack(void)
{
	if (f.own_stack)
		sigaltstack(&f.stack, NULL);
}

static void
close_end(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* After a handover there is nothing to copy from but the memory itself. */
static void
prepare_ordinary(const struct heap_service *s)
{
	f.ordinary = client_ordinary_memfd(s->object);
	if (f.ordinary < 0 || pipe2(f.taken, O_CLOEXEC) < 0)
		f.taken[0] = f.taken[1] = -1;
}

void
heap_fork_prepare(bool shares_files)
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
	f.shares_files = shares_files;
	f.ordinary = -1;
	heap_release_prepare();
	use_stack();
	for (unsigned i = 0; i < ARRAY_SIZE(faults); i++)
		install(faults[i]);
	atomic_store(&f.forking, true);
	if (_IO_list_lock != NULL)
		_IO_list_lock();
	f.token[0] = '\0';
	f.began = s->region == NULL ? -ESRCH : client_copy_begin_still(
							s->object, f.token);
	if (s->region != NULL && f.began < 0)
		prepare_ordinary(s);
	errno = saved;
}

/* Until the child has taken what there is, or has ended, or never was. */
static void
wait_until_taken(int taken)
{
	struct pollfd end = { .fd = taken, .events = POLLIN };

	if (taken >= 0)
		(void)poll(&end, 1, -1);
}

void
heap_fork_parent(void)
{
	int saved = errno, taken = f.taken[0];
	sigset_t mask = f.mask;

	if (f.began == 0)
		client_copy_go_on(heap_service()->client);
	if (_IO_list_unlock != NULL)
		_IO_list_unlock();
	atomic_store(&f.forking, false);
	for (unsigned i = 0; i < ARRAY_SIZE(faults); i++)
		restore(faults[i]);
	leave_stack();
	attempt.began = is_refused() ? f.began : 0;
	memcpy(attempt.token, f.token, sizeof(attempt.token));
	close_end(&f.taken[1]);
	f.taken[0] = -1;
	heap_release_parent();
	pthread_mutex_unlock(&f.lock);
	wait_until_taken(taken);
	close_end(&taken);
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
	errno = saved;
}

/*
 * The client's helper is for pages that are lost on kernels that cannot poison
 * them.  A child is single-threaded, and may rely on it (unshare(2) does), so
 * where the helper is not needed for that it is left out, and the client looks
 * for itself whether its memory has been handed over.
 */
static void
start_thread(void)
{
	struct utsname name;
	unsigned major, minor;

	if (atomic_load(&f.state) != STATE_COPY)
		return;
	if (uname(&name) == 0 &&
	    sscanf(name.release, "%u.%u", &major, &minor) == 2 &&
	    (major > 6 || (major == 6 && minor >= 6)))
		client_attend_here(heap_service()->client);
	else
		(void)heap_threads_start();
}

void
heap_fork_child(void)
{
	int saved = errno;

	if (atomic_load(&f.owner) != getpid())
		claim();
	if (_IO_list_resetlock != NULL)
		_IO_list_resetlock();
	atomic_store(&f.forking, false);
	attempt.token[0] = '\0';
	attempt.began = 0;
	heap_release_child();
	heap_wire_child();
	start_thread();
	if (atomic_load(&f.state) != STATE_LOST)
		for (unsigned i = 0; i < ARRAY_SIZE(faults); i++)
			restore(faults[i]);
	leave_stack();
	pthread_mutex_init(&f.lock, NULL);
	if (!f.shares_files) {
		close_end(&f.taken[0]);
		close_end(&f.taken[1]);
	}
	pthread_sigmask(SIG_SETMASK, &f.mask, NULL);
	errno = saved;
}

/* ---------------------------------------------------------------- results */

void
heap_fork_enter(void)
{
	attempt.inside = true;
	attempt.began = 0;
	attempt.token[0] = '\0';
}

int
heap_fork_leave(pid_t pid)
{
	struct heap_service *s = heap_service();
	int r = attempt.began;

	attempt.inside = false;
	attempt.began = 0;
	/* K4.  It may be gone already, with the connection. */
	if (pid < 0 && attempt.token[0] != '\0' && s->client != NULL)
		(void)client_copy_drop(s->client, attempt.token);
	attempt.token[0] = '\0';
	if (r == 0 || pid <= 0)
		return 0;
	/* It has ended, or will, having run no code of the program's. */
	while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
		;
	return r == -ENOMEM ? r : -EAGAIN;
}

static void
prepare(void)
{
	heap_fork_prepare(false);
}

int
heap_fork_start(void)
{
	int r = pthread_atfork(prepare, heap_fork_parent, heap_fork_child);

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
