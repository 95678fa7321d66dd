/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The server: a name, a socket, a thread for each connection.
 *
 * Whoever holds the lock file of a name owns its socket and its state
 * directory, so a socket that is there already is a dead one's and is
 * replaced, without a guess and without a race.
 *
 * Every connection has a thread of its own with a small stack.  A thread can
 * block (an Off takes minutes, a Wire waits for I/O) and hurts nobody but its
 * own peer; and it waits on three descriptors at once: the socket, the
 * server's stop event, and a pidfd of the peer, so that what a process held is
 * freed when the process ends, even if a child that it forked still holds the
 * socket.
 *
 * Bounds.  Threads, and what each can hold, are counted per user and
 * altogether (server-impl.h); a peer that does not read its replies is dropped
 * after SERVER_SEND_MSEC; a message is at most a megabyte.  Half a message
 * costs its peer one of its connections, and nobody else anything.
 *
 * The end.  Either the pager hands its memory over and everything is freed in
 * order, or (forced) the process is to exit with everything as it is: the
 * kernel keeps each mapping watched by its owner's own userfaultfd, so clients
 * wait, as after a crash.  To free regions then would be wrong: it would be
 * taken for the clients giving their memory up.
 */
#include "server-impl.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "../threads.h"
#include "../util.h"
#include "state.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD	77
#endif

/* How long to leave the socket alone when there are no descriptors. */
#define ACCEPT_PAUSE_MSEC	100

/* ------------------------------------------------------------------- name */

static int
failed(struct swap_error *error, int code, const char *what, const char *path)
{
	return error_set(error, code, "cannot %s %s: %s", what, path,
			 strerror(-code));
}

/*
 * The directory must be ours or root's: in somebody else's they could replace
 * the socket under our clients.
 */
static int
check_directory(const struct server *s, struct swap_error *error)
{
	const char *dir = s->paths.directory;
	struct stat st;

	if (stat(dir, &st) < 0)
		return failed(error, -errno, "use the directory", dir);
	if (!S_ISDIR(st.st_mode))
		return failed(error, -ENOTDIR, "use the directory", dir);
	if (st.st_uid != s->uid && st.st_uid != 0)
		return error_set(error, -EACCES, "the directory %s belongs to "
				 "uid %u; a swapd's socket must be in a "
				 "directory of its own user or of root", dir,
				 (unsigned)st.st_uid);
	return 0;
}

static int
make_directory(const struct server *s, struct swap_error *error)
{
	const char *dir = s->paths.directory;

	if (s->paths.make_directory &&
	    mkdir(dir, s->uid == 0 ? 0755 : 0700) == 0) {
		/* What umask took away, clients need. */
		if (s->uid == 0 && chmod(dir, 0755) < 0)
			return failed(error, -errno, "chmod", dir);
	} else if (s->paths.make_directory && errno != EEXIST) {
		return failed(error, -errno, "create the directory", dir);
	}
	return check_directory(s, error);
}

/* Who holds the lock, for the sentence. */
static int
lock_taken(int fd, const char *name, struct swap_error *error)
{
	char text[16] = "";
	int64_t pid;
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	text[n > 0 ? strcspn(text, "\n") : 0] = '\0';
	if (parse_i64(text, 1, INT32_MAX, &pid) < 0)
		return error_set(error, -EEXIST, "a swapd named '%s' is "
				 "running already", name);
	return error_set(error, -EEXIST, "a swapd named '%s' is running "
			 "already (pid %d); stop it with 'swapd --name %s "
			 "--stop', or choose another --name", name, (int)pid,
			 name);
}

static int
take_lock(struct server *s, struct swap_error *error)
{
	int fd;

	fd = open(s->paths.lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW,
		  0600);
	if (fd < 0)
		return failed(error, -errno, "open", s->paths.lock);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		int r = errno == EWOULDBLOCK
			? lock_taken(fd, s->paths.name, error)
			: failed(error, -errno, "lock", s->paths.lock);

		close(fd);
		return r;
	}
	s->lock_fd = fd;
	return 0;
}

/* For those who find the name taken. */
static int
write_pid(const struct server *s, struct swap_error *error)
{
	char text[16];
	int r;

	format_cut(text, sizeof(text), "%d\n", (int)getpid());
	if (ftruncate(s->lock_fd, 0) < 0)
		return failed(error, -errno, "write", s->paths.lock);
	r = pwrite_full(s->lock_fd, text, strlen(text), 0);
	return r < 0 ? failed(error, r, "write", s->paths.lock) : 0;
}

/* Readers that keep coming must not hold the handover up. */
static void
memory_lock_init(pthread_rwlock_t *lock)
{
	pthread_rwlockattr_t attr;

	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr,
			PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(lock, &attr);
	pthread_rwlockattr_destroy(&attr);
}

static struct server *
server_new(const struct log *log)
{
	struct server *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->log = *log;
	s->uid = geteuid();
	s->lock_fd = s->listen_fd = s->device_fd = s->last_fd = -1;
	s->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	s->ended_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pthread_mutex_init(&s->lock, NULL);
	pthread_mutex_init(&s->record, NULL);
	memory_lock_init(&s->memory);
	pthread_cond_init(&s->idle, NULL);
	cond_init(&s->claims);
	return s;
}

static void
close_if(int fd)
{
	if (fd >= 0)
		close(fd);
}

static void
server_destroy(struct server *s)
{
	close_if(s->device_fd);
	close_if(s->listen_fd);
	close_if(s->stop_fd);
	close_if(s->ended_fd);
	close_if(s->lock_fd);
	close_if(s->last_fd);
	pthread_cond_destroy(&s->claims);
	pthread_cond_destroy(&s->idle);
	pthread_rwlock_destroy(&s->memory);
	pthread_mutex_destroy(&s->record);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

int
server_claim(const char *pager, const struct log *log,
	     struct server **ret_server, struct swap_error *error)
{
	struct server *s = server_new(log);
	int r = 0;

	if (s == NULL)
		return error_set(error, -ENOMEM, "out of memory");
	if (s->stop_fd < 0 || s->ended_fd < 0)
		r = error_set(error, -EMFILE, "cannot create an eventfd: too "
			      "many open files");
	if (r == 0)
		r = path_server(pager, &s->paths, error);
	if (r == 0)
		r = make_directory(s, error);
	if (r == 0)
		r = take_lock(s, error);
	if (r == 0)
		r = write_pid(s, error);
	if (r < 0) {
		server_destroy(s);
		return r;
	}
	*ret_server = s;
	return 0;
}

const struct pager_paths *
server_paths(const struct server *s)
{
	return &s->paths;
}

/* -------------------------------------------------------------- accepting */

static int
bind_socket(struct server *s, int fd)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	memcpy(addr.sun_path, s->paths.socket, strlen(s->paths.socket) + 1);
	if (unlink(s->paths.socket) < 0 && errno != ENOENT)
		return -errno;
	if (bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0)
		return -errno;
	/* The uid of the peer decides what it may do, not who may connect. */
	if (chmod(s->paths.socket, s->uid == 0 ? 0666 : 0600) < 0)
		return -errno;
	return listen(fd, 1024) < 0 ? -errno : 0;
}

static int
open_socket(struct server *s, struct swap_error *error)
{
	int fd, r;

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return failed(error, -errno, "create the socket",
			      s->paths.socket);
	r = bind_socket(s, fd);
	if (r < 0) {
		close(fd);
		return failed(error, r, "listen at", s->paths.socket);
	}
	s->listen_fd = fd;
	return 0;
}

static struct user *
user_find(struct server *s, uid_t uid)
{
	struct user *user;

	for (user = s->users; user != NULL; user = user->next)
		if (user->uid == uid)
			return user;
	user = calloc(1, sizeof(*user));
	if (user == NULL)
		return NULL;
	user->uid = uid;
	user->next = s->users;
	s->users = user;
	return user;
}

static void
user_forget(struct server *s, struct user *user)
{
	struct user **p;

	if (user->nconns > 0)
		return;
	for (p = &s->users; *p != user; p = &(*p)->next)
		;
	*p = user->next;
	free(user);
}

/* Enter a connection into the books, if there is room for it. */
static int
conn_enter(struct server *s, struct conn *conn)
{
	struct user *user;
	int r = 0;

	pthread_mutex_lock(&s->lock);
	user = user_find(s, conn->owner.uid);
	if (user == NULL)
		r = -ENOMEM;
	else if (s->nconns >= SERVER_CONNECTIONS_MAX ||
		 (user->uid != 0 && user->nconns >= SERVER_USER_CONNECTIONS))
		r = -EUSERS;
	if (r == 0) {
		user->nconns++;
		conn->user = user;
		conn->owner.client = ++s->nclients_ever;
		conn->next = s->conns;
		conn->prev = &s->conns;
		if (s->conns != NULL)
			s->conns->prev = &conn->next;
		s->conns = conn;
		s->nconns++;
	} else if (user != NULL) {
		user_forget(s, user);
	}
	pthread_mutex_unlock(&s->lock);
	return r;
}

static void
conn_leave(struct server *s, struct conn *conn)
{
	pthread_mutex_lock(&s->lock);
	*conn->prev = conn->next;
	if (conn->next != NULL)
		conn->next->prev = conn->prev;
	conn->user->nconns--;
	user_forget(s, conn->user);
	free(conn);
	if (--s->nconns == 0)
		pthread_cond_broadcast(&s->idle);
	pthread_mutex_unlock(&s->lock);
}

static void *
conn_thread(void *arg)
{
	struct conn *conn = arg;
	struct server *s = conn->server;

	conn_run(conn);
	frame_close(&conn->frame);
	close_if(conn->pidfd);
	conn_leave(s, conn);
	return NULL;
}

static int
conn_start(struct conn *conn)
{
	pthread_attr_t attr;
	sigset_t all, old;
	pthread_t thread;
	int r;

	if (pthread_attr_init(&attr) != 0)
		return -ENOMEM;
	pthread_attr_setstacksize(&attr, SERVER_STACK_BYTES);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&thread, &attr, conn_thread, conn);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return -r;
}

/* What the kernel knows of the peer's process. */
static void
conn_command(struct conn *conn)
{
	char path[32];
	ssize_t n;
	int fd;

	format_cut(path, sizeof(path), "/proc/%d/comm", (int)conn->owner.pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	n = read(fd, conn->owner.command, sizeof(conn->owner.command) - 1);
	close(fd);
	if (n > 0)
		conn->owner.command[strcspn(conn->owner.command, "\n")] = '\0';
}

static int
conn_pidfd(int fd, pid_t pid)
{
	socklen_t len = sizeof(int);
	int pidfd;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &len) == 0)
		return pidfd;
	if (errno == ESRCH)
		return -ESRCH;
	/* A kernel without it, where a pid might be another's by now. */
	if (pid <= 0)
		return -1;
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd >= 0)
		return pidfd;
	return errno == ESRCH ? -ESRCH : -1;
}

/* Look at the peer; a process that has ended already gets no connection. */
static int
conn_identify(struct conn *conn, int fd)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return -errno;
	conn->owner.uid = cred.uid;
	conn->owner.pid = cred.pid;
	conn->pidfd = conn_pidfd(fd, cred.pid);
	if (conn->pidfd == -ESRCH) {
		conn->pidfd = -1;
		return -ESRCH;
	}
	conn->starttime = state_starttime(cred.pid);
	conn_command(conn);
	return 0;
}

static int
conn_charge_buffer(void *arg, int64_t more)
{
	struct conn *conn = arg;
	struct user *user = conn->user;
	int r = 0;

	pthread_mutex_lock(&conn->server->lock);
	if (more > 0 && user->uid != 0 &&
	    user->nbuffered + more > SERVER_USER_BUFFER)
		r = -ENOBUFS;
	else
		user->nbuffered += more;
	pthread_mutex_unlock(&conn->server->lock);
	return r;
}

/* Owns @fd. */
static void
server_connection(struct server *s, int fd)
{
	struct conn *conn = calloc(1, sizeof(*conn));
	int r;

	if (conn == NULL) {
		close(fd);
		return;
	}
	conn->server = s;
	conn->pidfd = -1;
	r = conn_identify(conn, fd);
	if (r < 0)
		close(fd);
	else
		r = frame_init(&conn->frame, fd, FRAME_SERVER_MAX);
	if (r < 0) {
		close_if(conn->pidfd);
		free(conn);
		return;
	}
	conn->frame.watch[FRAME_WATCH_STOP] = s->stop_fd;
	conn->frame.watch[FRAME_WATCH_PEER] = conn->pidfd;
	conn->frame.charge = conn_charge_buffer;
	conn->frame.charge_arg = conn;
	r = conn_enter(s, conn);
	if (r == 0) {
		r = conn_start(conn);
		if (r == 0)
			return;
	}
	log_limited(&s->log, &s->limit_refused, SWAP_LOG_WARNING,
		    "connection of uid %u (pid %d) refused: %s",
		    (unsigned)conn->owner.uid, (int)conn->owner.pid,
		    r == -EUSERS ? "too many connections" : strerror(-r));
	frame_close(&conn->frame);
	close_if(conn->pidfd);
	if (conn->user != NULL)
		conn_leave(s, conn);
	else
		free(conn);
}

static void *
accept_thread(void *arg)
{
	struct server *s = arg;
	struct pollfd p[2] = {
		{ .fd = s->stop_fd, .events = POLLIN },
		{ .fd = s->listen_fd, .events = POLLIN },
	};
	int fd;

	for (;;) {
		if (poll(p, 2, -1) < 0)
			continue;
		if (p[0].revents != 0)
			return NULL;
		fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0)
			server_connection(s, fd);
		else if (errno == EMFILE || errno == ENFILE ||
			 errno == ENOMEM || errno == ENOBUFS)
			(void)poll(p, 1, ACCEPT_PAUSE_MSEC);
	}
}

static int
start_acceptor(struct server *s, struct swap_error *error)
{
	sigset_t all, old;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&s->acceptor, NULL, accept_thread, s);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r != 0)
		return error_set(error, -r, "cannot start a thread: %s",
				 strerror(r));
	s->started = true;
	return 0;
}

/*
 * Each object and region costs descriptors: a user other than root gets no
 * more than a quarter of them.
 */
static unsigned
items_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 ||
	    limit.rlim_cur / 4 > SERVER_ITEMS_MAX)
		return SERVER_ITEMS_MAX;
	return (unsigned)(limit.rlim_cur / 4);
}

int
server_start(struct server *s, struct swap_pager *pager,
	     struct swap_error *error)
{
	int r;

	s->pager = pager;
	s->user_items_max = items_limit();
	s->device_fd = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
	r = open_socket(s, error);
	return r < 0 ? r : start_acceptor(s, error);
}

/* ---------------------------------------------------------------- clients */

/* The connections that serve memory, as records.  -ENOMEM. */
static int
collect_clients(struct server *s, struct state_client **ret_list, size_t *ret_n)
{
	struct state_client *list;
	struct conn *conn;
	size_t n = 0;

	pthread_mutex_lock(&s->lock);
	list = calloc(s->nconns + 1, sizeof(*list));
	for (conn = s->conns; list != NULL && conn != NULL; conn = conn->next) {
		if (!conn->serves)
			continue;
		list[n].pid = conn->owner.pid;
		list[n++].starttime = conn->starttime;
	}
	pthread_mutex_unlock(&s->lock);
	if (list == NULL)
		return -ENOMEM;
	*ret_list = list;
	*ret_n = n;
	return 0;
}

static int
client_compare(const void *a, const void *b)
{
	const struct state_client *x = a;
	const struct state_client *y = b;

	return x->pid < y->pid ? -1 : x->pid > y->pid;
}

void
server_record(struct server *s, struct conn *conn, bool serves)
{
	struct state_client *list;
	unsigned nprocesses = 0;
	size_t i, n;
	int r;

	pthread_mutex_lock(&s->record);
	pthread_mutex_lock(&s->lock);
	conn->serves = serves;
	pthread_mutex_unlock(&s->lock);
	r = collect_clients(s, &list, &n);
	if (r == 0) {
		qsort(list, n, sizeof(*list), client_compare);
		for (i = 0; i < n; i++)
			nprocesses += i == 0 || list[i].pid != list[i - 1].pid;
		pager_set_clients(s->pager, nprocesses);
		pthread_mutex_lock(&s->lock);
		s->nclients = nprocesses;
		pthread_mutex_unlock(&s->lock);
		r = state_write_clients(s->paths.state, list, n);
		free(list);
	}
	pthread_mutex_unlock(&s->record);
	if (r < 0)
		log_limited(&s->log, &s->limit_refused, SWAP_LOG_WARNING,
			    "cannot record the clients in %s: %s",
			    s->paths.state, strerror(-r));
}

unsigned
server_nclients(struct server *s)
{
	unsigned n;

	pthread_mutex_lock(&s->lock);
	n = s->nclients;
	pthread_mutex_unlock(&s->lock);
	return n;
}

/* ---------------------------------------------------------------- the end */

static void
raise_event(int fd)
{
	uint64_t one = 1;
	ssize_t n;

	/* It fails only where it is readable already. */
	do
		n = write(fd, &one, sizeof(one));
	while (n < 0 && errno == EINTR);
}

int
server_end_prepare(struct server *s, bool force, enum server_end *ret_how,
		   struct swap_error *error)
{
	bool already;
	int r = 0;

	memory_claims_stop(s);
	pthread_rwlock_wrlock(&s->memory);
	already = s->handed;
	if (!already) {
		r = pager_handover(s->pager, error);
		s->handed = r == 0 || force;
	}
	pthread_rwlock_unlock(&s->memory);
	memory_claims_resume(s);
	if (already)
		return error_set(error, -EBUSY, "swapd '%s' is ending already",
				 s->paths.name);
	if (r < 0 && !force)
		return r;
	*ret_how = r == 0 ? SERVER_HANDED_OVER : SERVER_ABANDONED;
	if (r == 0)
		attend_handover(s);
	return 0;
}

void
server_end_announce(struct server *s, enum server_end how)
{
	pthread_mutex_lock(&s->lock);
	s->ended = how;
	pthread_mutex_unlock(&s->lock);
	raise_event(s->ended_fd);
}

int
server_end(struct server *s, bool force, struct swap_error *error)
{
	enum server_end how;
	int r = server_end_prepare(s, force, &how, error);

	if (r == 0)
		server_end_announce(s, how);
	return r;
}

enum server_end
server_ended(struct server *s)
{
	enum server_end ended;

	pthread_mutex_lock(&s->lock);
	ended = s->ended;
	pthread_mutex_unlock(&s->lock);
	return ended;
}

int
server_ended_fd(const struct server *s)
{
	return s->ended_fd;
}

void
server_keep_last(struct server *s, const struct conn *conn)
{
	int fd = -1;

	if (conn != NULL)
		fd = fcntl(conn->frame.fd, F_DUPFD_CLOEXEC, 3);
	pthread_mutex_lock(&s->lock);
	close_if(s->last_fd);
	s->last_fd = fd;
	pthread_mutex_unlock(&s->lock);
}

void
server_stop(struct server *s)
{
	if (!s->started)
		return;
	raise_event(s->stop_fd);
	pthread_join(s->acceptor, NULL);
	s->started = false;
	pthread_mutex_lock(&s->lock);
	while (s->nconns > 0)
		pthread_cond_wait(&s->idle, &s->lock);
	pthread_mutex_unlock(&s->lock);
}

void
server_free(struct server *s)
{
	server_stop(s);
	if (s->listen_fd >= 0)
		(void)unlink(s->paths.socket);
	server_destroy(s);
}
