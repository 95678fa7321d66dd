/* SPDX-License-Identifier: BSD-2-Clause */
/* The pager as a whole: room, rates, and what needs attention */
#include <inttypes.h>
#include <stdio.h>

#include "cmd/figures.h"
#include "util.h"
#include "view.h"

#define BAR_WIDTH	30u
/* The least that the words beside a bar need. */
#define BESIDE_BAR	48u

static void
put_gauge(struct lines *lines, const char *label, uint64_t part,
	  uint64_t whole, const char *words)
{
	char bar[FIGURE_BAR_LEN] = "";
	unsigned width = 0;

	if (lines->width > BESIDE_BAR + 10)
		width = (unsigned)min_u64(lines->width - BESIDE_BAR,
					  BAR_WIDTH);
	figure_bar(part, whole, width, lines->utf8, bar);
	lines_put(lines, LINE_PLAIN,
		  width == 0 || lines->utf8 ? "%-7s%s%s%3u%%  %s" :
		  "%-7s[%s]%s%3u%%  %s", label, bar, width > 0 ? " " : "",
		  figure_percent(part, whole), words);
}

static void
put_space(const struct swap_stats *now, struct lines *lines)
{
	char a[FIGURE_LEN], b[FIGURE_LEN], c[FIGURE_LEN];
	char aside[FIGURE_LEN + 16] = "", words[5 * FIGURE_LEN];

	format_cut(words, sizeof(words), "%s of %s, %s wired",
		   figure_size(now->resident_bytes, a, sizeof(a)),
		   figure_size(now->ram_bytes, b, sizeof(b)),
		   figure_size(now->wired_bytes, c, sizeof(c)));
	put_gauge(lines, "RAM", now->resident_bytes, now->ram_bytes, words);
	if (now->set_aside_bytes > 0)
		format_cut(aside, sizeof(aside), ", %s set aside",
			   figure_size(now->set_aside_bytes, a, sizeof(a)));
	format_cut(words, sizeof(words), "%s of %s, %s available%s",
		   figure_size(now->swap_used_bytes, a, sizeof(a)),
		   figure_size(now->swap_bytes, b, sizeof(b)),
		   figure_size(stats_avail_bytes(now), c, sizeof(c)), aside);
	put_gauge(lines, "Swap", now->swap_used_bytes, now->swap_bytes,
		  words);
}

/* Counts a second, or the counts so far while nothing is known of rates. */
static void
put_rates(const struct swap_stats *now, const struct swap_stats *before,
	  struct lines *lines)
{
	static const struct swap_counters none;
	const struct swap_counters *c = &now->counters, *b = &none;
	uint64_t usec = view_interval(now, before), in, out, faults;
	char text[4][FIGURE_LEN];

	if (usec > 0)
		b = &before->counters;
	/* Without an interval, "a second" is the sum since the start. */
	in = view_rate(c->pagein_pages, b->pagein_pages,
		       usec > 0 ? usec : 1000000);
	out = view_rate(c->pageout_pages, b->pageout_pages,
			usec > 0 ? usec : 1000000);
	faults = view_rate(c->faults, b->faults, usec > 0 ? usec : 1000000);
	figure_count(in, text[0], FIGURE_LEN);
	figure_count(out, text[1], FIGURE_LEN);
	figure_count(faults, text[2], FIGURE_LEN);
	lines_put(lines, LINE_PLAIN, "%-7s%s pages in, %s pages out, "
		  "%s faults%s", usec > 0 ? "Rates" : "Sums", text[0],
		  text[1], text[2], usec > 0 ? " a second" : "");
}

static void
put_alarms(const struct swap_stats *now, struct lines *lines)
{
	if (now->ndevices == 0)
		lines_put(lines, LINE_ALARM, "! There is no swap device: "
			  "attach one with 'swapctl on DEVICE'.");
	else if (now->full)
		lines_put(lines, LINE_ALARM, "! Swap space is full: attach "
			  "another device with 'swapctl on DEVICE'.");
	else if (now->almost_full)
		lines_put(lines, LINE_ALARM, "! Swap space is almost full: "
			  "attach another device with 'swapctl on DEVICE'.");
	if (now->metadata_full)
		lines_put(lines, LINE_ALARM, "! The memory for swap maps is "
			  "used up: see metadata_limit in 'swapctl get'.");
	for (size_t i = 0; i < now->ndevices; i++) {
		const struct swap_device_stats *device = &now->devices[i];

		if (device->flags & SWAP_DEVICE_GONE)
			lines_put(lines, LINE_ALARM, "! %s has disappeared.",
				  device->path);
		else if (device->flags & SWAP_DEVICE_DEGRADED)
			lines_put(lines, LINE_ALARM, "! %s is degraded: "
				  "writes have failed.", device->path);
	}
}

void
view_summary(const struct swap_stats *now, const struct swap_stats *before,
	     struct lines *lines)
{
	char up[FIGURE_LEN];

	lines_put(lines, LINE_TITLE, "Pager %s: %s %s, process %" PRId32
		  ", up %s, %u client%s", now->pager, now->provider,
		  now->version, now->pid,
		  figure_span(now->uptime_usec, up, sizeof(up)), now->clients,
		  now->clients == 1 ? "" : "s");
	lines_put(lines, LINE_PLAIN, "%s", "");
	put_space(now, lines);
	put_rates(now, before, lines);
	put_alarms(now, lines);
}
