/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * server-impl.h - what the rooms of the server share (floor 7)
 *
 *	server.c	name, socket, accepting, the end
 *	server-conn.c	one connection: reading, dispatch, what it holds
 *	server-control.c methods for devices, snapshot and end
 *	server-tune.c	methods for tunables and maps of devices
 *	server-look.c	methods for what lies where on a device
 *	server-memory.c	methods for objects, regions and copies
 *	server-objects.c methods on ranges of objects
 *	server-attend.c	telling processes about their own mappings
 *	server-events.c	methods for the snapshot and for events
 *
 * Locks, outermost first; the letter is behind each field they guard:
 *
 *	m  server.memory, read by whoever makes objects or regions, written by
 *	   the handover, so that nothing new appears under it
 *	r  server.record, for writing the record of clients
 *	l  server.lock, a leaf: nothing blocks under it
 *	o  only the connection's own thread
 *	c  constant once the server or connection runs
 */
#ifndef SWAP_IPC_SERVER_IMPL_H
#define SWAP_IPC_SERVER_IMPL_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "frame.h"
#include "handles.h"
#include "server.h"
#include "text.h"
#include "varlink.h"

/* Bounds of what peers can make a swapd hold. */
#define SERVER_CONNECTIONS_MAX	4096u
#define SERVER_USER_CONNECTIONS	1024u	/* of one uid, root excepted */
#define SERVER_USER_BUFFER	((int64_t)16 << 20)	/* the same, bytes */
#define SERVER_ITEMS_MAX	131072u	/* objects and regions, all */
#define SERVER_COPIES_MAX	64u	/* unclaimed, of one connection */
/* For so long a client can have everybody wait who writes to its object. */
#define SERVER_STILL_MSEC	200
/* For so long the copies of one that has ended wait for its children. */
#define SERVER_CLAIM_MSEC	5000
#define SERVER_NOTES_MAX	256u	/* waiting, of one attendant */
#define SERVER_STACK_BYTES	((size_t)256 << 10)
/* A peer that does not read for so long is dropped. */
#define SERVER_SEND_MSEC	10000

/* One uid and what it uses. */
struct user {
	struct user	*next;			/* l */
	uid_t		 uid;			/* c */
	unsigned	 nconns;		/* l freed at 0 */
	unsigned	 nitems;		/* l */
	int64_t		 nbuffered;		/* l bytes */
};

/* What a process has to hear. */
struct note {
	const char	*kind;
	uint64_t	 address;
	uint64_t	 length;
};

/* A connection that attends; its pid is the connection's. */
struct attendant {
	struct attendant *next;			/* l */
	pid_t		 pid;			/* c */
	int		 event_fd;		/* c readable: notes */
	unsigned	 head, count;		/* l */
	struct note	 notes[SERVER_NOTES_MAX]; /* l a ring */
};

/* A connection that waits for events. */
struct listener {
	struct listener	*next;			/* l */
	int		 event_fd;		/* c readable: there are some */
};

#define TOKEN_BYTES	33u	/* 128 bits in hexadecimal, and a NUL */

/* A copy for a forked child, that nobody has claimed yet. */
struct copy {
	struct copy	*next;			/* l */
	char		 token[TOKEN_BYTES];	/* c */
	uid_t		 uid;			/* c */
	struct swap_object *object;		/* c one reference */
	struct conn	*parent;		/* c who offers it */
};

struct server {
	struct log	 log;			/* c */
	struct pager_paths paths;		/* c */
	struct swap_pager *pager;		/* c */
	uid_t		 uid;			/* c */
	int		 lock_fd;		/* c */
	int		 listen_fd;		/* c */
	int		 stop_fd;		/* c readable: stop */
	int		 ended_fd;		/* c readable: ended */
	int		 device_fd;		/* c /dev/userfaultfd, or -1 */
	bool		 started;		/* c */
	pthread_t	 acceptor;		/* c */
	pthread_rwlock_t memory;
	pthread_mutex_t	 record;
	pthread_mutex_t	 lock;
	pthread_cond_t	 idle;			/* l nconns became 0 */
	struct conn	*conns;			/* l */
	unsigned	 nconns;		/* l */
	unsigned	 nitems;		/* l */
	unsigned	 nclients;		/* l processes with regions */
	uint64_t	 nclients_ever;		/* l the number of the last one */
	unsigned	 user_items_max;	/* c */
	struct user	*users;			/* l */
	struct attendant *attendants;		/* l */
	struct listener	*listeners;		/* l */
	struct copy	*copies;		/* l */
	unsigned	 nclaims;		/* l copies on their way: from when
						   they are asked for to when a
						   child has mapped them */
	bool		 ending;		/* l no new ones of these, until
						   it is known whether `handed' */
	pthread_cond_t	 claims;		/* l one of these two changed */
	enum server_end	 ended;			/* l */
	bool		 handed;		/* m no new memory */
	int		 last_fd;		/* l closed at the very end */
	struct log_limit limit_refused;
	struct log_limit limit_notes;
};

struct object_item {
	struct swap_object *object;		/* one reference */
	uint64_t	 size;
};

struct region_item {
	struct swap_region *region;
	uint64_t	 length;
};

struct conn {
	struct conn	*next, **prev;		/* l */
	struct server	*server;		/* c */
	struct user	*user;			/* c */
	struct pager_owner owner;		/* c its pool: o */
	uint64_t	 starttime;		/* c of the process */
	int		 pidfd;			/* c -1: not known */
	struct frame	 frame;			/* o */
	struct handles	 objects;		/* o */
	struct handles	 regions;		/* o */
	unsigned	 ncopies;		/* l offered */
	bool		 claims;		/* o has one that is not mapped */
	struct swap_object *still;		/* o NULL; a reference: whoever
						   writes to it waits */
	bool		 serves;		/* l it has regions */
};

/*
 * A handover waits for copies that are on their way, and those that are asked
 * for wait for it: memory_claims_stop() and _resume() around it.  A copy that
 * nobody comes for delays it by SERVER_CLAIM_MSEC at most.
 */
void memory_claims_stop(struct server *s);
void memory_claims_resume(struct server *s);

/* A call being answered. */
struct request {
	struct conn	*conn;
	json_t		*params;
	bool		 more;
	bool		 oneway;
};

/*
 * A method reads its parameters, does its work and answers with one of the
 * functions below.  0, or a negative errno: the connection is to be closed.
 */
typedef int method_fn(struct request *request);

struct method {
	const char	*name;
	method_fn	*fn;
};

/* The methods of org.swapkit.Pager, ended by a NULL name. */
extern const struct method event_methods[];
extern const struct method control_methods[];
extern const struct method memory_methods[];
extern const struct method object_methods[];
extern const struct method tune_methods[];
extern const struct method look_methods[];

/*
 * Answer with a text that reply_begin() began and the parameters follow; it is
 * ended and cleared here.
 */
void reply_begin(struct text *text, bool continues);
int reply_text(struct request *request, struct text *text) swap_must_check;
/* Answers.  @params is given away. */
int reply(struct request *request, json_t *params) swap_must_check;
int reply_fd(struct request *request, json_t *params, int fd) swap_must_check;
int reply_more(struct request *request, json_t *params) swap_must_check;
/* org.swapkit.Pager.Failed */
int reply_failed(struct request *request, const struct swap_error *error)
	swap_must_check;
int reply_refused(struct request *request, int code, const char *fmt, ...)
	swap_printf(3, 4) swap_must_check;
/* Errors of org.varlink.service: one parameter, @name with @value. */
int reply_service_error(struct request *request, const char *error,
			const char *name, const char *value) swap_must_check;

/*
 * Read the parameters.  1: they are there; else what the method returns, the
 * peer has been told.
 */
int request_params(struct request *request, const struct varlink_param *table,
		   size_t n) swap_must_check;

/* May this peer do what changes the pager? */
bool conn_is_master(const struct conn *conn);
/* server-control.c: answer that it may not do that, @what. */
int refuse_permission(struct request *request, const char *what)
	swap_must_check;
/*
 * 1: @device means the same here as to the caller; else what the method
 * returns, the peer has been told.
 */
int request_device(struct request *request, const char *device)
	swap_must_check;
/* Count one more object or region of this peer; -ENOSPC. */
int conn_charge_item(struct conn *conn) swap_must_check;
void conn_uncharge_item(struct conn *conn);
/* The server is locked. */
void conn_uncharge_locked(struct conn *conn);

/* server-conn.c: the thread of a connection, whose peer has been looked at. */
void conn_run(struct conn *conn);

/* server-memory.c: free all that a connection holds. */
void memory_release_all(struct conn *conn);
/* Who writes to the object that was still goes on.  0. */
int memory_go_on(struct conn *conn);

/* server-attend.c */
int attend(struct request *request);
void attend_poison(void *arg, uint64_t address, uint64_t length);
void attend_handover(struct server *server);

/* server.c: write the record of clients and count them. */
void server_record(struct server *server, struct conn *conn, bool serves);
/* server_end() in two steps, so that who asked hears of it in between. */
int server_end_prepare(struct server *server, bool force,
		       enum server_end *ret_how, struct swap_error *error)
	swap_must_check;
void server_end_announce(struct server *server, enum server_end how);
/* Keep this connection open until the server is freed; NULL: none. */
void server_keep_last(struct server *server, const struct conn *conn);

#endif
