/* SPDX-License-Identifier: BSD-2-Clause */
#include "log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "util.h"

static void
log_va(const struct log *log, enum swap_log_level level, const char *fmt,
       va_list args)
{
	char message[1024];

	if (vsnprintf(message, sizeof(message), fmt, args) < 0)
		return;
	log->fn(log->arg, level, message);
}

void
log_write(const struct log *log, enum swap_log_level level, const char *fmt,
	  ...)
{
	va_list args;

	if (log->fn == NULL)
		return;
	va_start(args, fmt);
	log_va(log, level, fmt, args);
	va_end(args);
}

void
log_limited(const struct log *log, struct log_limit *limit,
	    enum swap_log_level level, const char *fmt, ...)
{
	uint64_t now = now_usec();
	uint64_t next = atomic_load(&limit->next_usec);
	uint64_t dropped;
	va_list args;

	if (log->fn == NULL)
		return;
	if (now < next || !atomic_compare_exchange_strong(&limit->next_usec,
							  &next,
							  now + 1000000)) {
		atomic_fetch_add(&limit->dropped, 1);
		return;
	}
	va_start(args, fmt);
	log_va(log, level, fmt, args);
	va_end(args);
	dropped = atomic_exchange(&limit->dropped, 0);
	if (dropped > 0)
		log_write(log, level, "(%" PRIu64 " more like it left out)",
			  dropped);
}
