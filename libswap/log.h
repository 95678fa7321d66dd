/* SPDX-License-Identifier: BSD-2-Clause */
/* log.h - the context's log: a callback, and a limit on floods (floor 0) */
#ifndef SWAP_LOG_H
#define SWAP_LOG_H

#include <stdatomic.h>

#include "compiler.h"
#include "swap.h"

struct log {
	swap_log_fn	*fn;	/* NULL: nobody listens */
	void		*arg;
};

/* One message source that must not flood: at most one a second. */
struct log_limit {
	_Atomic uint64_t next_usec;
	_Atomic uint64_t dropped;
};

void log_write(const struct log *log, enum swap_log_level level,
	       const char *fmt, ...) swap_printf(3, 4);

/* As log_write(), but says at most one message a second for this @limit. */
void log_limited(const struct log *log, struct log_limit *limit,
		 enum swap_log_level level, const char *fmt, ...)
	swap_printf(4, 5);

#endif
