/* SPDX-License-Identifier: BSD-2-Clause */
/* exporter-listen.h - the address that swap_exporter serves (floor 8) */
#ifndef SWAP_EXPORTER_LISTEN_H
#define SWAP_EXPORTER_LISTEN_H

#include <stddef.h>

#include "compiler.h"
#include "swap.h"

#define LISTEN_ADDRESS		"127.0.0.1"
#define LISTEN_PORT		"9877"
/* Size of "[ADDRESS]:PORT". */
#define LISTEN_NAME_SIZE	80u

/*
 * Split "ADDRESS:PORT", "[ADDRESS]:PORT", "ADDRESS", "[ADDRESS]" or ":PORT".
 * What is missing is LISTEN_ADDRESS or LISTEN_PORT; ":PORT" is loopback too.
 * -EINVAL with a sentence.
 */
int listen_parse(const char *text, char ret_address[static 64],
		 char ret_port[static 8], struct swap_error *error)
	swap_must_check;

/*
 * Listen at what listen_parse() takes; port 0 is any that is free.
 *
 * @ret_name  where that is: "127.0.0.1:9877", "[::1]:9877"
 *
 * Returns a socket.  Errors, with a sentence: -EINVAL, -EADDRINUSE,
 * -EADDRNOTAVAIL, -EACCES, -ENOENT no such host.
 */
int listen_open(const char *text, char ret_name[static LISTEN_NAME_SIZE],
		struct swap_error *error) swap_must_check;

#endif
