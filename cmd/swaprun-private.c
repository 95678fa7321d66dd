/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A private swapd.
 *
 * It ends when the process that is swaprun now, and the program then, has
 * ended and no client is left.  It must not be the program's child: one that
 * waits for all its children would wait for it too.  So a keeper stands
 * between: a process in a session of its own, whose parent has gone, and which
 * removes the runtime directory when swapd has ended.
 *
 *	swaprun ---- fork ----> (ends at once)
 *	   |			   `-- fork --> keeper -- fork --> swapd
 *	   exec: the program
 *
 * swapd says READY=1 on a socket of ours (see sd_notify(3)); its end, or that
 * of the keeper, shows as the end of a pipe that it holds.  Making a large
 * swap file takes its time, so there is no limit to the wait but that.
 */
#include "swaprun.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util.h"

#ifndef SBINDIR
#error "SBINDIR says where swapd is installed"
#endif

#define NOTIFY		"ready"
#define READY		"READY=1"
/* swapd, its options, and three words for each --swap. */
#define ARGS_MAX	(16u + 4u * PRIVATE_SWAP_MAX)

struct private {
	char	dir[64];		/* ours, 0700 */
	char	swapd[PATH_MAX];
	char	name[32];
	char	until[16];
	char	*argv[ARGS_MAX];
	size_t	argc;
	int	notify_fd;
	int	alive[2];		/* a pipe; swapd holds the second */
};

/* --------------------------------------------------------------- directory */

/* Short, since a socket's path has to fit; gone with a restart. */
static int
make_directory(struct private *p)
{
	const char *own = getenv("XDG_RUNTIME_DIR");
	const char *const bases[] = { own, "/run", "/tmp" };

	for (size_t i = 0; i < ARRAY_SIZE(bases); i++) {
		if (bases[i] == NULL || bases[i][0] != '/' ||
		    strlen(bases[i]) > sizeof(p->dir) - 24)
			continue;
		format_cut(p->dir, sizeof(p->dir), "%s/swaprun.XXXXXX",
			   bases[i]);
		if (mkdtemp(p->dir) != NULL)
			return 0;
	}
	run_say("cannot make a directory for a private swapd in "
		"$XDG_RUNTIME_DIR, /run or /tmp: %s", strerror(errno));
	return EXIT_CANNOT;
}

/* The directory with what swapd leaves in it, such as its lock. */
static void
remove_directory(const struct private *p)
{
	const struct dirent *entry;
	DIR *dir = opendir(p->dir);

	if (dir == NULL)
		return;
	while ((entry = readdir(dir)) != NULL)
		unlinkat(dirfd(dir), entry->d_name, 0);
	closedir(dir);
	rmdir(p->dir);
}

static int
open_notify(struct private *p)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	format_cut(addr.sun_path, sizeof(addr.sun_path), "%s/" NOTIFY, p->dir);
	p->notify_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (p->notify_fd >= 0 &&
	    bind(p->notify_fd, (const struct sockaddr *)&addr,
		 sizeof(addr)) == 0 &&
	    pipe2(p->alive, O_CLOEXEC) == 0)
		return 0;
	run_say("cannot prepare a private swapd: %s", strerror(errno));
	return EXIT_CANNOT;
}

/* --------------------------------------------------------------- arguments */

/* Beside this program in the build tree, else where it is installed. */
static int
find_swapd(struct private *p)
{
	static const char *const places[] = { "/../swapd", "/swapd",
					      "/../sbin/swapd" };
	char dir[PATH_MAX];
	size_t i;

	if (own_directory(dir) == 0) {
		/* libtool's script is above what it runs. */
		i = strcmp(strrchr(dir, '/'), "/.libs") == 0 ? 0 : 1;
		for (; i < ARRAY_SIZE(places); i++) {
			format_cut(p->swapd, sizeof(p->swapd), "%s%s", dir,
				   places[i]);
			if (access(p->swapd, X_OK) == 0)
				return 0;
		}
	}
	format_cut(p->swapd, sizeof(p->swapd), "%s", SBINDIR "/swapd");
	if (access(p->swapd, X_OK) == 0)
		return 0;
	run_say("%s is not there, so there can be no private swapd; install "
		"swapkit as a whole, or start a swapd and name it with -p",
		p->swapd);
	return EXIT_CANNOT;
}

static int
add(struct private *p, const char *word)
{
	char *copy = word != NULL ? strdup(word) : NULL;

	/* The last one stays NULL. */
	if (copy == NULL || p->argc + 1 >= ARGS_MAX) {
		run_say("out of memory");
		return EXIT_CANNOT;
	}
	p->argv[p->argc++] = copy;
	return 0;
}

/* FILE:SIZE is to be made; what has no size behind a colon is there. */
static int
add_swap(struct private *p, const char *swap)
{
	const char *colon = strrchr(swap, ':');
	uint64_t bytes;
	char *file;
	int r;

	if (colon == NULL || parse_size(colon + 1, &bytes) < 0) {
		r = add(p, "--on");
		return r == 0 ? add(p, swap) : r;
	}
	r = add(p, "--create");
	if (r == 0)
		r = add(p, colon + 1);
	if (r == 0)
		r = add(p, "--on");
	if (r != 0)
		return r;
	file = strndup(swap, (size_t)(colon - swap));
	r = add(p, file);
	free(file);
	return r;
}

static int
make_arguments(struct private *p, const char *ram, const char *const *swap,
	       size_t nswap)
{
	const char *const first[] = { p->swapd, "--foreground", "--quiet",
				      "--name", p->name, "--until", p->until,
				      "--remove-created" };
	int r = 0;

	format_cut(p->until, sizeof(p->until), "%d", (int)getpid());
	format_cut(p->name, sizeof(p->name), "run-%s", p->until);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(first); i++)
		r = add(p, first[i]);
	if (r == 0 && ram != NULL) {
		r = add(p, "--ram");
		r = r == 0 ? add(p, ram) : r;
	}
	for (size_t i = 0; r == 0 && i < nswap; i++)
		r = add_swap(p, swap[i]);
	return r;
}

/* ----------------------------------------------------------------- process */

/* In the process that becomes swapd. */
__attribute__((noreturn)) static void
become_swapd(const struct private *p)
{
	char notify[sizeof(p->dir) + sizeof(NOTIFY) + 1];
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	format_cut(notify, sizeof(notify), "%s/" NOTIFY, p->dir);
	setenv("NOTIFY_SOCKET", notify, 1);
	setenv("SWAPD_RUNTIME_DIR", p->dir, 1);
	/* Its messages are for the user; the program's streams are not its. */
	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
	}
	/* What swaprun has inherited is for the program, but for the pipe. */
	dup2(p->alive[1], STDERR_FILENO + 1);
	closefrom(STDERR_FILENO + 2);
	execv(p->swapd, p->argv);
	run_say("cannot run %s: %s", p->swapd, strerror(errno));
	_exit(EXIT_CANNOT);
}

/* The keeper holds nothing that is the program's. */
static void
let_go(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null >= 0)
		for (int fd = 0; fd <= STDERR_FILENO; fd++)
			dup2(null, fd);
	if (chdir("/") < 0)
		_exit(EXIT_FAILED);
	closefrom(STDERR_FILENO + 1);
}

__attribute__((noreturn)) static void
keep(const struct private *p)
{
	int status = 0;
	pid_t pid;

	pid = fork();
	if (pid == 0)
		become_swapd(p);
	let_go();
	if (pid > 0)
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
	/* Of one that was killed a successor could take over its files. */
	if (!WIFSIGNALED(status))
		remove_directory(p);
	_exit(0);
}

static int
start_keeper(struct private *p)
{
	int status;
	pid_t pid;

	pid = fork();
	if (pid == 0) {
		/* A ^C is the program's. */
		setsid();
		pid = fork();
		if (pid == 0)
			keep(p);
		_exit(pid < 0);
	}
	if (pid > 0 && waitpid(pid, &status, 0) == pid && status == 0)
		return 0;
	run_say("cannot start a process for a private swapd: %s",
		strerror(pid < 0 ? errno : EAGAIN));
	remove_directory(p);
	return EXIT_CANNOT;
}

/* Has READY=1 come?  Anything else on that socket does not matter. */
static bool
is_ready(const struct private *p)
{
	char text[512];
	ssize_t n = recv(p->notify_fd, text, sizeof(text) - 1, MSG_DONTWAIT);

	if (n < 0)
		return false;
	text[n] = '\0';
	for (char *line = text; line != NULL; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, READY, strlen(READY)) == 0)
			return true;
	}
	return false;
}

static int
wait_ready(const struct private *p)
{
	struct pollfd fds[] = {
		{ .fd = p->notify_fd, .events = POLLIN },
		{ .fd = p->alive[0], .events = POLLIN },
	};

	for (;;) {
		if (poll(fds, ARRAY_SIZE(fds), -1) < 0 && errno != EINTR)
			break;
		if ((fds[0].revents & POLLIN) != 0 && is_ready(p))
			return 0;
		/* Ready and ended at once is ended. */
		if (fds[1].revents != 0)
			break;
		if ((fds[0].revents & ~POLLIN) != 0)
			break;
	}
	run_say("the private swapd has ended before it was ready");
	return EXIT_CANNOT;
}

int
private_start(const char *ram, const char *const *swap, size_t nswap,
	      char ret_socket[PAGER_PATH_SIZE])
{
	struct private p = { .notify_fd = -1, .alive = { -1, -1 } };
	int r;

	r = find_swapd(&p);
	if (r == 0)
		r = make_arguments(&p, ram, swap, nswap);
	if (r != 0)
		return r;
	r = make_directory(&p);
	if (r != 0)
		return r;
	r = open_notify(&p);
	if (r != 0) {
		remove_directory(&p);
		return r;
	}
	r = start_keeper(&p);
	close(p.alive[1]);
	if (r == 0)
		r = wait_ready(&p);
	close(p.notify_fd);
	close(p.alive[0]);
	format_cut(ret_socket, PAGER_PATH_SIZE, "%s/%s.sock", p.dir,
		   p.name);
	for (size_t i = 0; i < p.argc; i++)
		free(p.argv[i]);
	return r;
}
