/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * path.h - where the sockets of pagers are (floor 7)
 *
 *	$SWAPD_RUNTIME_DIR/NAME.sock		if that is set
 *	/run/swapd/NAME.sock			root's
 *	$XDG_RUNTIME_DIR/swapd/NAME.sock	anybody else's
 *
 * Whoever is not root and has no pager of that name uses root's.  A name with
 * a slash is the path of a socket itself.
 */
#ifndef SWAP_IPC_PATH_H
#define SWAP_IPC_PATH_H

#include <stdbool.h>
#include <stddef.h>

#include "../compiler.h"
#include "../swap.h"

#define PAGER_NAME_DEFAULT	"default"
#define PAGER_NAME_MAX		63u
/* Size of sun_path: what fits a socket's address, with its NUL. */
#define PAGER_PATH_SIZE		108u
/* For the files beside the socket, whose names are a little longer. */
#define PAGER_FILE_SIZE		(PAGER_PATH_SIZE + 16u)

/*
 * The socket to connect to.
 *
 * @pager  a name, or a path; NULL: $SWAPCTL_PAGER, else "default"
 *
 * Errors, with a sentence: -EINVAL a bad name; -ENAMETOOLONG; -ENOENT no
 * directory of one's own is known ($XDG_RUNTIME_DIR is not set).
 */
int path_client(const char *pager, char ret_path[PAGER_PATH_SIZE],
		struct swap_error *error) swap_must_check;

/* What a swapd keeps in its runtime directory. */
struct pager_paths {
	char	name[PAGER_NAME_MAX + 1];
	char	directory[PAGER_PATH_SIZE];
	char	socket[PAGER_PATH_SIZE];
	char	lock[PAGER_FILE_SIZE];
	char	state[PAGER_FILE_SIZE];
	bool	make_directory;		/* it is one of the standard ones */
};

/* The same for a swapd to be: never that of somebody else. */
int path_server(const char *pager, struct pager_paths *ret_paths,
		struct swap_error *error) swap_must_check;

struct pager_entry {
	char	name[PAGER_NAME_MAX + 1];
	char	path[PAGER_PATH_SIZE];	/* of its socket */
};

/*
 * The sockets that a client of this user would look for, by name; whether
 * somebody listens is for connect to find out.  Free with pager_list_free().
 */
int pager_list(struct pager_entry **ret_entries, size_t *ret_n)
	swap_must_check;
void pager_list_free(struct pager_entry *entries, size_t n);

#endif
