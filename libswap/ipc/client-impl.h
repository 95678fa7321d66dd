/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * client-impl.h - what the rooms of the client share (floor 7)
 *
 *	client.c	connecting, one request and its answer, closing
 *	client-memory.c	objects, regions, copies
 *	client-look.c	what lies where on a device
 *	client-objects.c ranges of objects, writable regions
 *	client-attend.c	the helper thread
 *	client-call.c	calls with jansson: the commands', snapshot, tunables
 *
 * Locks: client.lock is held through one request and its answer; client.list
 * is a leaf and guards what is marked (l).  Descriptors that a forked child has
 * to close can be found without a lock: an item is complete before it is
 * linked, and links are single words.
 */
#ifndef SWAP_IPC_CLIENT_IMPL_H
#define SWAP_IPC_CLIENT_IMPL_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "../mapping.h"
#include "client.h"
#include "frame.h"
#include "path.h"

/* Longest request that is written by hand. */
#define CLIENT_REQUEST_MAX	1024u

enum attend_state {
	ATTEND_NONE,		/* nobody asked for it yet */
	ATTEND_READY,
	ATTEND_HANDED_OVER,	/* the memory is ordinary now */
	ATTEND_GONE,		/* the swapd went without a word */
};

struct swap_client_object {
	struct swap_client_object *next, **prev;	/* (l) */
	struct swap_client *client;
	uint64_t	 handle;
	uint64_t	 size;
	int		 memfd;
};

struct swap_client_region {
	struct swap_client_region *next, **prev;	/* (l) */
	struct swap_client *client;
	uint64_t	 handle;
	struct mapping	 mapping;
	pthread_mutex_t	 writable;	/* changes of that, one at a time */
};

struct swap_client {
	pthread_mutex_t	 lock;
	struct frame	 frame;		/* lock */
	bool		 broken;	/* lock; the stream is unusable */
	int		 cancel_state;	/* lock; of the thread that has it */
	char		 path[PAGER_PATH_SIZE];
	int		 device_fd;	/* lock; of GetUserfaultDevice, or -1 */

	pthread_mutex_t	 list;
	pthread_cond_t	 changed;	/* attend */
	struct swap_client_object *objects;	/* (l) */
	struct swap_client_region *regions;	/* (l) */
	enum attend_state attend;	/* (l) */

	struct frame	 attend_frame;	/* the helper's once it runs */
	pthread_t	 helper;
	bool		 has_helper;	/* lock */
	bool		 attends_here;	/* a client of one thread; no helper */
	int		 stop_fd;	/* an eventfd that ends the helper */
};

/* A new connected socket, or a sentence. */
int client_socket(const char *path, struct swap_error *error)
	swap_must_check;

/*
 * Hold the client for one request.  client_ask() sends @request (made with
 * client_format()) and waits: 0, and the answer is frame.buf, its descriptors
 * frame.fds, until client_end(); else the error that it says.
 */
void client_begin(struct swap_client *client);
int client_ask(struct swap_client *client, const char *request, int fd,
	       struct swap_error *error) swap_must_check;
void client_end(struct swap_client *client);

/* Begin, ask with nothing expected in return, end. */
int client_tell(struct swap_client *client, const char *request,
		struct swap_error *error);

/* {"method":"org.swapkit.Pager.@method","parameters":{...}}; -ENOBUFS. */
int client_format(char buf[CLIENT_REQUEST_MAX], const char *method,
		  const char *params_fmt, ...)
	swap_printf(3, 4) swap_must_check;

/* What an answer's text says: 0, or the error in it. */
int client_answer_error(const char *answer, struct swap_error *error);

int client_lost(struct swap_client *client, int code,
		struct swap_error *error);

/* Start the helper thread, once.  Called with the client held. */
int client_attend(struct swap_client *client, struct swap_error *error)
	swap_must_check;
void client_attend_end(struct swap_client *client);
/*
 * Has the memory been handed over?  @lost: the connection has just ended, so
 * wait a moment for the helper to hear why.
 */
bool client_handed_over(struct swap_client *client, bool lost);

#endif
