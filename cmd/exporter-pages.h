/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * exporter-pages.h - what swap_exporter answers, as text (floor 8)
 *
 * Each returns 0 and malloc()ed text, or -ENOMEM.
 */
#ifndef SWAP_EXPORTER_PAGES_H
#define SWAP_EXPORTER_PAGES_H

#include <stdbool.h>
#include <stddef.h>

#include "compiler.h"
#include "exporter-gather.h"

struct page {
	char		*text;
	size_t		 len;
};

/* All pagers; @flags as of openmetrics_write(). */
int page_metrics(const struct picture *picture, unsigned flags,
		 struct page *ret_page) swap_must_check;

/*
 * {"schema":1,"pagers":[DOCUMENT...],
 *  "away":[{"pager":LABEL,"message":WHY}...]}
 */
int page_json(const struct picture *picture, struct page *ret_page)
	swap_must_check;

/* The document of one pager, which is not away. */
int page_document(const struct picture_pager *pager, struct page *ret_page)
	swap_must_check;

/* What is where, for people; @labels are @n pagers. */
int page_index(const char *const labels[], size_t n, struct page *ret_page)
	swap_must_check;

#endif
