/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * openmetrics.h - snapshots of pagers as OpenMetrics or Prometheus text
 * (floor 7)
 *
 * One exposition shows any number of pagers: the series of each family stand
 * together, as the format demands, told apart by the label "pager".  man
 * swapkit-metrics describes the families.
 */
#ifndef SWAP_IPC_OPENMETRICS_H
#define SWAP_IPC_OPENMETRICS_H

#include <stddef.h>
#include <stdio.h>

#include "../compiler.h"
#include "../swap.h"
#include "export.h"

/* Series for every object: as many as programs make. */
#define OPENMETRICS_OBJECTS	(1u << 0)
/* Prometheus' text format 0.0.4; without it OpenMetrics 1.0. */
#define OPENMETRICS_PROMETHEUS	(1u << 1)

#define OPENMETRICS_CONTENT_TYPE \
	"application/openmetrics-text; version=1.0.0; charset=utf-8"
#define OPENMETRICS_PROMETHEUS_TYPE \
	"text/plain; version=0.0.4; charset=utf-8"

struct openmetrics_pager {
	/*
	 * The label "pager".  No two of one exposition may have the same:
	 * where two sockets have one name, say their paths.
	 */
	const char		*label;
	/* NULL: it did not answer; it has only swapkit_up, which is 0. */
	const struct export_snapshot *snapshot;
};

/*
 * Write an exposition of @n pagers (0 is none at all, and valid) to @file, for
 * example one of open_memstream(3).  Objects are shown with the flag, if they
 * were fetched; fragmentation if maps were fetched.
 *
 * -errno of writing; -ENOMEM.  Cost: about 200 bytes a series, no system call
 * but the file's.
 */
int openmetrics_write(FILE *file, const struct openmetrics_pager pagers[],
		      size_t n, unsigned flags) swap_must_check;

/*
 * The same as malloc()ed text, ended by a NUL that @ret_len does not count.
 */
int openmetrics_text(const struct openmetrics_pager pagers[], size_t n,
		     unsigned flags, char **ret_text, size_t *ret_len)
	swap_must_check;

/*
 * The names of all families with their help, one a line ("NAME TYPE UNIT
 * HELP", UNIT "-" where there is none), in the order of an exposition: for the
 * manual page and the tests.
 */
int openmetrics_list(FILE *file) swap_must_check;

#endif
