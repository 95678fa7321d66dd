/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Overrides of the calls that make a process.
 *
 * fork() and its like work without these, by the handlers in heap-fork.c.
 * What is added here:
 *
 *   - What came of it.  A copy is dropped when the fork has failed; and where
 *     the pager refuses a copy (overcommit, say), fork() fails, as it does
 *     where the kernel has no memory for it.  Nothing can keep the C library
 *     from making the child, which therefore ends at once and is waited for;
 *     the parent may see a SIGCHLD that belongs to no child of its own.
 *   - A stack.  A program that runs on a stack in the heap (a coroutine) would
 *     change that after it has been copied, in the calls that lead to the
 *     system call.  So these are made on a stack of our own.
 *   - Calls without handlers: _Fork(), clone() without CLONE_VM, and the system
 *     calls by number.  The child of clone() runs on a stack that the caller
 *     has allocated; where that is in the heap it begins on one of our own, and
 *     goes over to the other when the heap is there.
 *
 * Whatever shares the parent's memory (CLONE_VM: threads, vfork(),
 * posix_spawn()) is left alone.
 *
 * Limits: a thread whose control block is in the heap cannot fork.  The C
 * library puts it on the thread's stack, and nothing can run without it, also
 * not what brings the heap back.  With CLONE_FILES the child's own descriptors
 * are its parent's too, and so the copy stays until both have gone.
 */
#include "heap.h"

#include <dlfcn.h>
#include <errno.h>
#include <linux/sched.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "util.h"

/* Other libraries' handlers run on the first of these. */
#define FORK_STACK_BYTES	((size_t)256 << 10)
#define CLONE_STACK_BYTES	((size_t)64 << 10)

/* As in <sched.h> and <pty.h>, which would declare what is defined here. */
struct termios;
struct winsize;
int clone(int (*fn)(void *), void *stack, int flags, void *arg, ...);
int __clone(int (*fn)(void *), void *stack, int flags, void *arg, ...);
pid_t __fork(void);
int forkpty(int *ret_fd, char *name, const struct termios *termios,
	    const struct winsize *winsize);

/* The calls, by the names of their functions. */
struct call {
	enum {
		CALL_FORK,
		CALL_BARE,		/* _Fork() */
		CALL_DAEMON,
		CALL_PTY,
		CALL_NUMBER,		/* a system call */
	}		 what;
	bool		 shares_files;
	long		 number;
	const long	*a;		/* arguments of that */
	int		 no_chdir, no_close;	/* of daemon() */
	int		*fd;		/* of forkpty() */
	char		*name;
	const struct termios *termios;
	const struct winsize *winsize;
	long		 result;
	int		 error;
};

/* What a child of clone() begins with; written by its parent. */
struct start {
	int	(*fn)(void *);
	void	*arg;
	void	*stack;			/* NULL: it is there already */
	pid_t	*tid;			/* where the kernel could not put it */
};

/* [s] = lock: one thread at a time that comes from a stack in the heap. */
static struct {
	pthread_mutex_t	 lock;
	ucontext_t	 there, back;	/* [s] */
	struct call	*call;		/* [s] */
} moved = { .lock = PTHREAD_MUTEX_INITIALIZER };
static char fork_stack[FORK_STACK_BYTES] __attribute__((aligned(64)));

/* Used from heap_fork_prepare() on, and so by one thread at a time. */
static struct start start;
static struct {
	ucontext_t	 there, back;
	int		 status;
} begun;
static char clone_stack[CLONE_STACK_BYTES] __attribute__((aligned(64)));

static bool
in_heap(const void *address)
{
	uintptr_t low, high;

	return heap_clip(address, 1, &low, &high);
}

/* A function of the C library, or of whoever else overrides it. */
#define NEXT(name, function) \
	(*(void **)(void *)&(function) = dlsym(RTLD_NEXT, name))

static long
no_such_call(void)
{
	errno = ENOSYS;
	return -1;
}

/* ------------------------------------------------------------------ calls */

static long
call_fork(void)
{
	pid_t (*next)(void);

	NEXT("fork", next);
	return next != NULL ? next() : no_such_call();
}

static long
call_daemon(const struct call *call)
{
	int (*next)(int, int);

	NEXT("daemon", next);
	return next != NULL ? next(call->no_chdir, call->no_close)
			    : no_such_call();
}

static long
call_pty(const struct call *call)
{
	int (*next)(int *, char *, const struct termios *,
		    const struct winsize *);

	NEXT("forkpty", next);
	return next != NULL ? next(call->fd, call->name, call->termios,
				   call->winsize) : no_such_call();
}

/* Without handlers: ours are called here, and nothing else in between. */
static long
call_plain(const struct call *call)
{
	long (*by_number)(long, ...) = heap_libc()->syscall;
	const long *a = call->a;
	pid_t (*next)(void);
	long r;

	NEXT("_Fork", next);
	if (call->what == CALL_BARE && next == NULL)
		return no_such_call();
	heap_fork_prepare(call->shares_files);
	if (call->what == CALL_BARE)
		r = next();
	else
		r = by_number(call->number, a[0], a[1], a[2], a[3], a[4],
			      a[5]);
	if (r == 0)
		heap_fork_child();
	else
		heap_fork_parent();
	return r;
}

static void
make_call(struct call *call)
{
	switch (call->what) {
	case CALL_FORK:
		call->result = call_fork();
		break;
	case CALL_DAEMON:
		call->result = call_daemon(call);
		break;
	case CALL_PTY:
		call->result = call_pty(call);
		break;
	default:
		call->result = call_plain(call);
		break;
	}
	call->error = errno;
}

static void
make_moved_call(void)
{
	make_call(moved.call);
}

/*
 * On a stack of our own.  The caller's is as it was when the copy is made, and
 * in the child what has been copied of it is gone back to.
 */
static void
move_call(struct call *call)
{
	pthread_mutex_lock(&moved.lock);
	moved.call = call;
	if (getcontext(&moved.there) == 0) {
		moved.there.uc_stack.ss_sp = fork_stack;
		moved.there.uc_stack.ss_size = sizeof(fork_stack);
		moved.there.uc_link = &moved.back;
		makecontext(&moved.there, make_moved_call, 0);
		swapcontext(&moved.back, &moved.there);
	}
	pthread_mutex_unlock(&moved.lock);
}

static bool
can_fork(void)
{
	if (!in_heap((const void *)pthread_self()))
		return true;
	heap_say("process %d ('%s') cannot fork from a thread whose stack is "
		 "memory of malloc(3)", (int)getpid(), heap_program());
	errno = EAGAIN;
	return false;
}

static long
run(struct call *call)
{
	int r;

	if (heap_service()->region == NULL) {
		make_call(call);
		errno = call->error;
		return call->result;
	}
	if (!can_fork())
		return -1;
	call->result = -1;
	call->error = EAGAIN;
	heap_fork_enter();
	if (in_heap(__builtin_frame_address(0)))
		move_call(call);
	else
		make_call(call);
	r = heap_fork_leave((pid_t)call->result);
	if (r < 0) {
		call->result = -1;
		call->error = -r;
	}
	errno = call->error;
	return call->result;
}

HEAP_EXPORT pid_t
fork(void)
{
	struct call call = { .what = CALL_FORK };

	return (pid_t)run(&call);
}

HEAP_EXPORT pid_t
__fork(void)
{
	struct call call = { .what = CALL_FORK };

	return (pid_t)run(&call);
}

HEAP_EXPORT pid_t
_Fork(void)
{
	struct call call = { .what = CALL_BARE };

	return (pid_t)run(&call);
}

HEAP_EXPORT int
daemon(int no_chdir, int no_close)
{
	struct call call = {
		.what = CALL_DAEMON,
		.no_chdir = no_chdir,
		.no_close = no_close,
	};

	return (int)run(&call);
}

HEAP_EXPORT int
forkpty(int *ret_fd, char *name, const struct termios *termios,
	const struct winsize *winsize)
{
	struct call call = {
		.what = CALL_PTY,
		.fd = ret_fd,
		.name = name,
		.termios = termios,
		.winsize = winsize,
	};

	return (int)run(&call);
}

/* ------------------------------------------------------------------ clone */

static void
run_on_stack(void)
{
	begun.status = start.fn(start.arg);
}

/* The end of the stack is all that counts. */
static int
go_to_stack(void)
{
	char *end = start.stack;

	if (getcontext(&begun.there) < 0)
		return -1;
	begun.there.uc_stack.ss_sp = end - CLONE_STACK_BYTES;
	begun.there.uc_stack.ss_size = CLONE_STACK_BYTES;
	begun.there.uc_link = &begun.back;
	makecontext(&begun.there, run_on_stack, 0);
	swapcontext(&begun.back, &begun.there);
	return begun.status;
}

static int
run_child(void *arg)
{
	(void)arg;
	heap_fork_child();
	if (start.tid != NULL)
		*start.tid = (pid_t)syscall(SYS_gettid);
	return start.stack != NULL ? go_to_stack() : start.fn(start.arg);
}

typedef int clone_function(int (*fn)(void *), void *stack, int flags,
			   void *arg, ...);

/* What follows the flags in clone(). */
struct clone_rest {
	void	*arg;
	pid_t	*parent_tid;
	void	*tls;
	pid_t	*child_tid;
};

static int
clone_process(clone_function *next, int (*fn)(void *), void *stack, int flags,
	      const struct clone_rest *rest)
{
	int r, refused, error;

	heap_fork_enter();
	heap_fork_prepare((flags & CLONE_FILES) != 0);
	start = (struct start){ .fn = fn, .arg = rest->arg };
	if (in_heap(stack) || in_heap((char *)stack - 1)) {
		start.stack = stack;
		stack = clone_stack + sizeof(clone_stack);
	}
	if ((flags & CLONE_CHILD_SETTID) != 0 && in_heap(rest->child_tid))
		start.tid = rest->child_tid;
	r = next(run_child, stack, flags, NULL, rest->parent_tid, rest->tls,
		 rest->child_tid);
	error = errno;
	heap_fork_parent();
	refused = heap_fork_leave(r);
	if (refused < 0)
		r = -1;
	errno = refused < 0 ? -refused : error;
	return r;
}

static int
clone_any(int (*fn)(void *), void *stack, int flags,
	  const struct clone_rest *rest)
{
	clone_function *next;

	NEXT("clone", next);
	if (next == NULL)
		return (int)no_such_call();
	if ((flags & CLONE_VM) != 0 || fn == NULL || stack == NULL ||
	    heap_service()->region == NULL)
		return next(fn, stack, flags, rest->arg, rest->parent_tid,
			    rest->tls, rest->child_tid);
	if (!can_fork())
		return -1;
	return clone_process(next, fn, stack, flags, rest);
}

/* Those that the flags do not ask for are never looked at. */
#define CLONE_REST(rest, first)						\
	do {								\
		va_list args_;						\
									\
		(rest).arg = (first);					\
		va_start(args_, first);					\
		(rest).parent_tid = va_arg(args_, pid_t *);		\
		(rest).tls = va_arg(args_, void *);			\
		(rest).child_tid = va_arg(args_, pid_t *);		\
		va_end(args_);						\
	} while (0)

HEAP_EXPORT int
clone(int (*fn)(void *), void *stack, int flags, void *arg, ...)
{
	struct clone_rest rest;

	CLONE_REST(rest, arg);
	return clone_any(fn, stack, flags, &rest);
}

HEAP_EXPORT int
__clone(int (*fn)(void *), void *stack, int flags, void *arg, ...)
{
	struct clone_rest rest;

	CLONE_REST(rest, arg);
	return clone_any(fn, stack, flags, &rest);
}

/* -------------------------------------------------------------- by number */

/* Flags and stack of a system call that makes a process; false: it is none. */
static bool
process_call(long number, const long a[6], uint64_t *flags, uint64_t *stack)
{
	const struct clone_args *args;

	*flags = *stack = 0;
	switch (number) {
#ifdef SYS_fork
	case SYS_fork:
		return true;
#endif
	case SYS_clone:
		*flags = (uint64_t)a[0];
		*stack = (uint64_t)a[1];
		return true;
	case SYS_clone3:
		args = (const struct clone_args *)a[0];
		if (args == NULL || (uint64_t)a[1] < CLONE_ARGS_SIZE_VER0)
			return false;
		*flags = args->flags;
		*stack = args->stack;
		return true;
	default:
		return false;
	}
}

long
heap_clone_syscall(long number, const long a[6])
{
	struct call call = { .what = CALL_NUMBER, .number = number, .a = a };
	uint64_t flags, stack;

	if (!process_call(number, a, &flags, &stack) || stack != 0 ||
	    (flags & CLONE_VM) != 0 || heap_service()->region == NULL)
		return heap_libc()->syscall(number, a[0], a[1], a[2], a[3],
					    a[4], a[5]);
	call.shares_files = (flags & CLONE_FILES) != 0;
	return run(&call);
}
