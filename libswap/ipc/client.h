/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * client.h - a connection to a swapd: what the commands and swaprun's heap use
 * beyond swap.h (floor 7)
 */
#ifndef SWAP_IPC_CLIENT_H
#define SWAP_IPC_CLIENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "../compiler.h"
#include "../swap.h"

#define CLIENT_TOKEN_SIZE	64

/* ------------------------------------------------------- for the commands */

/*
 * Call a method and wait for its answer.
 *
 * @method     full, or without its interface: then of org.swapkit.Pager
 * @params     given away; NULL: none
 * @ret_reply  the reply's parameters, to be decref'd; NULL: not wanted
 *
 * Errors: what Failed says, with its sentence; -EPERM, -EINVAL, -ENOSYS for
 * the errors of org.varlink.service; -ECONNRESET the swapd has gone.
 */
int client_call(struct swap_client *client, const char *method,
		json_t *params, json_t **ret_reply,
		struct swap_error *error);

/*
 * Called with the parameters of each reply; @continues: more will follow.
 * Non-zero: hang up.
 */
typedef int client_more_fn(void *arg, json_t *params, bool continues);

/*
 * As client_call() with "more": every reply goes to @each.  -EINTR: @each, or
 * what client_interrupt_fd() is about, ended it, and the connection is closed
 * with that, which is what stops an Off.
 */
int client_call_more(struct swap_client *client, const char *method,
		     json_t *params, client_more_fn *each, void *arg,
		     struct swap_error *error);

/*
 * While a descriptor is set (-1: none), a call ends with -EINTR as soon as it
 * is readable, and the connection is closed.  For a signalfd or a pipe.
 */
void client_interrupt_fd(struct swap_client *client, int fd);

/*
 * Wait until the swapd closes the connection, as it does at the end of what
 * Stop begins.  -ETIMEDOUT.
 */
int client_wait_closed(struct swap_client *client, int timeout_msec);

/*
 * As swap_client_stats(), with those events only that are numbered above
 * @events_after, and without objects where they are not wanted: all the sums
 * are the same.
 */
int client_stats(struct swap_client *client, bool objects,
		 uint64_t events_after, struct swap_stats *ret_stats,
		 struct swap_error *error);

/* Where it is connected to. */
const char *client_path(const struct swap_client *client);

/* ---------------------------------------------------------- for the heap */

/*
 * Of the functions for memory, none uses jansson; release, wire and unwire
 * allocate nothing at all.
 */

/*
 * A copy of an object as it is now, for a child to be forked.  Whoever writes to
 * either of them afterwards, the other does not change.  It goes with the
 * connection unless a child claims it.
 */
int client_copy_begin(struct swap_client_object *object,
		      char ret_token[CLIENT_TOKEN_SIZE]);
/*
 * The same, and from then on whoever writes to the object waits until
 * client_copy_go_on(), which does not wait for an answer; so nothing changes
 * between the copy and the fork.  The swapd does not keep anybody waiting for
 * more than 200 milliseconds.
 */
int client_copy_begin_still(struct swap_client_object *object,
			    char ret_token[CLIENT_TOKEN_SIZE]);
void client_copy_go_on(struct swap_client *client);
/* In the child, once: connect anew and take the copy. */
int client_copy_claim(const char *pager_socket_path, const char *token,
		      struct swap_client **ret_client,
		      struct swap_client_object **ret_object,
		      struct swap_error *error);

/*
 * The child will not claim it after all, for instance because the fork has
 * failed: it goes, unless it has been claimed.  0; -ENOENT there is no such token.
 */
int client_copy_drop(struct swap_client *client, const char *token);

/*
 * After a handover, the descriptor of the object's memory, which is all there
 * and nobody pages any more; borrowed.  -1: it is paged, or the swapd went
 * without handing it over.  Waits a moment if the swapd has just gone.
 */
int client_ordinary_memfd(const struct swap_client_object *object);

/*
 * In a forked child: close what was inherited, and touch nothing else; no lock
 * is taken, nothing is freed, and the client is not to be used any more.
 * Returns the connection, which is left to the caller to close: while it is
 * open the swapd takes the parent for alive, and keeps its copies.
 */
int client_forget(struct swap_client *client);

/*
 * The thread that hears of a handover has not been made, and will not be: ask
 * for it when it matters.
 */
void client_attend_here(struct swap_client *client);

#endif
