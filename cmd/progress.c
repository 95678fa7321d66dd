/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Progress of an "off"
 *
 * A swapoff that says nothing for an hour is the first complaint about every
 * other one.  Reports come about ten times a second; each is drawn over the
 * last in one line of standard error, so that standard output stays clean for
 * the result.
 *
 * The rate is smoothed by time, not by report: a report of t seconds weighs
 * t / (t + 3s), and in the first seconds, where there is little to go by, its
 * share of the time so far, which makes the plain average.  A burst from a
 * cache therefore does not promise an end that a slow disk cannot keep, and a
 * stall shows within seconds.  The total is "done plus what is still there"
 * and moves while programs run, so the time left is worked out anew from each
 * report and never carried on.
 */
#include "progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "compiler.h"
#include "figures.h"
#include "terminal.h"
#include "util.h"

#define SMOOTH_SEC	3.0
#define BAR_MIN		10u
#define BAR_MAX		40u
#define BAR_FRAME	4u	/* the columns around it */
#define NAME_MIN	12u
#define NAME_WISH	30u	/* worth more than the rate */
#define LINE_LEN	1024u
/* Free at the right: the terminal echoes "^C", and must not wrap. */
#define ECHO_ROOM	3u

void
progress_init(struct progress *progress, const char *device,
	      uint64_t page_bytes)
{
	memset(progress, 0, sizeof(*progress));
	progress->device = device;
	progress->page_bytes = page_bytes;
}

/* The weight of a report of @sec seconds that ends @elapsed after the start. */
static double
report_weight(double sec, double elapsed)
{
	double smooth = sec / (sec + SMOOTH_SEC);
	double share = sec / elapsed;

	return smooth > share ? smooth : share;
}

void
progress_update(struct progress *progress, const struct swap_progress *report)
{
	const struct swap_progress *last = &progress->last;

	if (report->elapsed_usec > last->elapsed_usec) {
		double sec = (double)(report->elapsed_usec -
				      last->elapsed_usec) / 1e6;
		uint64_t moved = report->done_bytes > last->done_bytes ?
				 report->done_bytes - last->done_bytes : 0;

		progress->rate += report_weight(sec,
						(double)report->elapsed_usec /
						1e6) *
				  ((double)moved / sec - progress->rate);
		progress->started = true;
	}
	progress->last = *report;
}

uint64_t
progress_left_usec(const struct progress *progress)
{
	const struct swap_progress *last = &progress->last;
	double usec;

	if (last->done_bytes >= last->total_bytes)
		return 0;
	/* A byte a second is a stall; its "time left" would be a joke. */
	if (!progress->started || progress->rate < 1)
		return PROGRESS_UNKNOWN;
	usec = (double)(last->total_bytes - last->done_bytes) /
	       progress->rate * 1e6;
	return usec < 360000e6 ? (uint64_t)usec : PROGRESS_UNKNOWN;
}

/* "0:42 left", of constant width below an hour. */
static void
left_text(const struct progress *progress, char *buf, size_t len)
{
	uint64_t s = progress_left_usec(progress);

	if (s == PROGRESS_UNKNOWN) {
		format_cut(buf, len, " -:-- left");
		return;
	}
	s = (s + 500000) / 1000000;
	if (s < 3600)
		format_cut(buf, len, "%2" PRIu64 ":%02" PRIu64 " left", s / 60,
			   s % 60);
	else
		format_cut(buf, len, "%" PRIu64 ":%02" PRIu64 ":%02" PRIu64
			   " left", s / 3600, s % 3600 / 60, s % 60);
}

/* What stands right of the bar; @detail 2 says all, 0 the least. */
static void
tail_text(const struct progress *progress, int detail, char *buf, size_t len)
{
	const struct swap_progress *last = &progress->last;
	char done[FIGURE_LEN], total[FIGURE_LEN], pages[80] = "";
	char rate[FIGURE_LEN] = "", left[FIGURE_LEN];

	figure_count(last->done_bytes / progress->page_bytes, done,
		     sizeof(done));
	figure_count(last->total_bytes / progress->page_bytes, total,
		     sizeof(total));
	if (detail > 1)
		format_cut(pages, sizeof(pages), "  %*s of %s pages",
			   (int)strlen(total), done, total);
	if (detail > 0)
		format_cut(rate, sizeof(rate), "  %6.1f MiB/s",
			   progress->rate / 0x1p20);
	left_text(progress, left, sizeof(left));
	format_cut(buf, len, "%3u%%%s%s %s",
		   figure_percent(last->done_bytes, last->total_bytes), pages,
		   rate, left);
}

/* How wide a bar fits beside the tail; 0: the name would get too little. */
static unsigned
bar_columns(size_t room, size_t tail, size_t name, int detail)
{
	size_t least = min_u64(name, detail > 0 ? NAME_WISH : NAME_MIN);

	if (room < tail + BAR_FRAME + least + BAR_MIN)
		return 0;
	if (room < tail + BAR_FRAME + name + BAR_MIN)
		return BAR_MIN;
	return (unsigned)min_u64(room - tail - BAR_FRAME - name, BAR_MAX);
}

void
progress_line(const struct progress *progress, unsigned width, bool utf8,
	      char *buf, size_t len)
{
	char tail[160], bar[FIGURE_BAR_LEN], name[LINE_LEN / 2];
	size_t wish = strlen(progress->device);
	size_t room = width > ECHO_ROOM ? width - ECHO_ROOM : 0, used;
	unsigned columns = 0;

	for (int detail = 2; detail >= 0 && columns == 0; detail--) {
		tail_text(progress, detail, tail, sizeof(tail));
		columns = bar_columns(room, strlen(tail), wish, detail);
	}
	used = strlen(tail) + (columns > 0 ? columns + BAR_FRAME : 2);
	if (room <= used) {
		format_cut(buf, len, "%.*s", (int)room, tail);
		return;
	}
	figure_bar(progress->last.done_bytes, progress->last.total_bytes,
		   columns, utf8, bar);
	figure_name(progress->device, room - used, utf8, name, sizeof(name));
	if (columns == 0)
		format_cut(buf, len, "%s  %s", name, tail);
	else
		format_cut(buf, len, utf8 ? "%s  %s  %s" : "%s [%s] %s", name,
			   bar, tail);
}

void
progress_draw(struct progress *progress)
{
	char line[LINE_LEN];

	if (!terminal_can_redraw(STDERR_FILENO))
		return;
	progress_line(progress, terminal_width(STDERR_FILENO),
		      terminal_is_utf8(), line, sizeof(line));
	fprintf(stderr, "\r%s\033[K", line);
	fflush(stderr);
	progress->drawn = true;
}

void
progress_erase(struct progress *progress)
{
	if (!progress->drawn)
		return;
	fputs("\r\033[K", stderr);
	fflush(stderr);
	progress->drawn = false;
}
