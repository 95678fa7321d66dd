/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The texts that swap_exporter answers
 *
 * Metrics and documents are written by the library, from the same picture; here
 * is only what stands around them, and the page for people.
 */
#include "exporter-pages.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/export.h"
#include "ipc/openmetrics.h"

int
page_metrics(const struct picture *picture, unsigned flags,
	     struct page *ret_page)
{
	struct openmetrics_pager pagers[GATHER_PAGERS_MAX];

	for (size_t i = 0; i < picture->n; i++) {
		pagers[i].label = picture->pager[i].label;
		pagers[i].snapshot = picture->pager[i].snapshot;
	}
	return openmetrics_text(pagers, picture->n, flags, &ret_page->text,
				&ret_page->len);
}

/* -------------------------------------------------------------------- JSON */

/* @json is given away; NULL: there was no memory for it. */
static int
dump(json_t *json, struct page *ret_page)
{
	char *text;

	if (json == NULL)
		return -ENOMEM;
	text = json_dumps(json, JSON_COMPACT);
	json_decref(json);
	if (text == NULL)
		return -ENOMEM;
	ret_page->text = text;
	ret_page->len = strlen(text);
	return 0;
}

static int
put_pager(const struct picture_pager *pager, json_t *pagers, json_t *away)
{
	if (pager->snapshot != NULL)
		return json_array_append_new(pagers,
					     export_document(pager->snapshot));
	return json_array_append_new(away, json_pack("{s:s, s:s}", "pager",
						     pager->label, "message",
						     pager->why));
}

int
page_json(const struct picture *picture, struct page *ret_page)
{
	json_t *pagers = json_array(), *away = json_array();
	json_t *json = json_object();
	int r = 0;

	for (size_t i = 0; i < picture->n && r == 0; i++)
		r = put_pager(&picture->pager[i], pagers, away);
	if (json_object_set_new(json, "schema",
				json_integer(EXPORT_SCHEMA)) < 0 ||
	    json_object_set(json, "pagers", pagers) < 0 ||
	    json_object_set(json, "away", away) < 0)
		r = -1;
	json_decref(pagers);
	json_decref(away);
	if (r == 0)
		return dump(json, ret_page);
	json_decref(json);
	return -ENOMEM;
}

int
page_document(const struct picture_pager *pager, struct page *ret_page)
{
	return dump(export_document(pager->snapshot), ret_page);
}

/* ----------------------------------------------------------------- people */

static const char index_head[] =
	"<!DOCTYPE html>\n"
	"<html lang=\"en\">\n"
	"<meta charset=\"utf-8\">\n"
	"<title>swap_exporter</title>\n"
	"<h1>swap_exporter</h1>\n"
	"<p>Figures of swap pagers, for monitoring; swapkit " SWAP_VERSION
	".</p>\n"
	"<ul>\n"
	"<li><a href=\"/metrics\">/metrics</a>: all of them, for Prometheus "
	"(OpenMetrics or text)</li>\n"
	"<li><a href=\"/stats.json\">/stats.json</a>: all of them, as JSON; "
	"?pager=NAME for one</li>\n"
	"<li><a href=\"/healthz\">/healthz</a>: \"ok\" while this program "
	"runs, whatever the pagers do</li>\n"
	"</ul>\n"
	"<p>Pagers:</p>\n"
	"<ul>\n";

/* A name of a pager may hold anything but blanks. */
static void
put_escaped(FILE *file, const char *text)
{
	for (; *text != '\0'; text++) {
		if (strchr("<>&\"'", *text) != NULL)
			fprintf(file, "&#%d;", *text);
		else
			fputc(*text, file);
	}
}

int
page_index(const char *const labels[], size_t n, struct page *ret_page)
{
	FILE *file = open_memstream(&ret_page->text, &ret_page->len);
	bool failed;

	if (file == NULL)
		return -ENOMEM;
	fputs(index_head, file);
	for (size_t i = 0; i < n; i++) {
		fputs("<li>", file);
		put_escaped(file, labels[i]);
		fputs("</li>\n", file);
	}
	fputs("</ul>\n", file);
	failed = ferror(file) != 0;
	if (fclose(file) == 0 && !failed)
		return 0;
	free(ret_page->text);
	return -ENOMEM;
}
