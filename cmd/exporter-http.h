/* SPDX-License-Identifier: BSD-2-Clause */
/* exporter-http.h - the HTTP side of swap_exporter (floor 8) */
#ifndef SWAP_EXPORTER_HTTP_H
#define SWAP_EXPORTER_HTTP_H

#include <stdbool.h>
#include <stddef.h>

#include "compiler.h"
#include "exporter-gather.h"
#include "swap.h"

struct http;

/* @labels must live until http_free().  -ENOMEM. */
int http_new(const char *const labels[], size_t n, struct http **ret_http,
	     struct swap_error *error) swap_must_check;

/*
 * Serve at a listening socket, which is owned from now on, in a thread.
 * -EIO with a sentence.
 */
int http_start(struct http *http, struct gather *gather, int fd,
	       bool objects, struct swap_error *error) swap_must_check;

/* A gather_done_fn: a round is over, so go on with who waits for one. */
void http_done(struct http *http);

/* Close all connections; the gatherer is not used any more. */
void http_stop(struct http *http);

/* After http_stop(), and gather_free(), which is the end of http_done(). */
void http_free(struct http *http);

#endif
