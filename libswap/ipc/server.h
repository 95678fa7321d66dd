/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * server.h - a pager behind a socket (floor 7)
 *
 *	server_claim("default", &log, &server, &error);
 *	... open a pager with server_paths(server)->state as state_dir ...
 *	server_start(server, pager, &error);
 *	... poll server_ended_fd(server), or call server_end() ...
 *	server_stop(server);
 *	... pager_stop(pager) ...
 *	server_free(server);
 */
#ifndef SWAP_IPC_SERVER_H
#define SWAP_IPC_SERVER_H

#include <stdbool.h>

#include "../log.h"
#include "../pager.h"
#include "path.h"

struct server;

/*
 * Take a name for this process: make its directory if it is a standard one,
 * and hold its lock until server_free().
 *
 * @pager  as path_server(); NULL: the default
 * @log    copied
 *
 * Errors, with a sentence: -EEXIST another swapd has it (its pid is named);
 * -EACCES; those of path_server().
 */
int server_claim(const char *pager, const struct log *log,
		 struct server **ret_server, struct swap_error *error)
	swap_must_check;

const struct pager_paths *server_paths(const struct server *server);

/*
 * Listen, and answer from now on, one thread a connection.  A socket that a
 * dead swapd has left is replaced.
 *
 * @pager  must live until server_stop() has returned
 */
int server_start(struct server *server, struct swap_pager *pager,
		 struct swap_error *error) swap_must_check;

enum server_end {
	SERVER_RUNNING,
	SERVER_HANDED_OVER,	/* memory is ordinary: stop, and end */
	SERVER_ABANDONED,	/* does not fit, and forced: end at once,
				   freeing nothing; clients wait */
};

/*
 * Hand all memory over to the clients.  Where it does not fit: with @force
 * abandon it, else -ENOMEM with a sentence, and everything goes on.  -EBUSY:
 * that has been done, or is being done.
 */
int server_end(struct server *server, bool force, struct swap_error *error)
	swap_must_check;

/* How far that is, whoever asked for it; the descriptor is readable then. */
enum server_end server_ended(struct server *server);
int server_ended_fd(const struct server *server);

/*
 * The listener that the pager's config has to name, with the server as its
 * argument: it wakes those who stream events.
 */
swap_event_fn server_event;

/* Processes that have regions, now. */
unsigned server_nclients(struct server *server);

/*
 * Tell the clients what there is to tell, close every connection and free what
 * they held.  Waits for operations in progress.
 */
void server_stop(struct server *server);

/* Remove the socket and give up the name. */
void server_free(struct server *server);

#endif
