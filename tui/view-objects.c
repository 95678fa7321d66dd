/* SPDX-License-Identifier: BSD-2-Clause */
/* The objects, in the snapshot's order; what does not fit is counted */
#include <inttypes.h>
#include <string.h>

#include "cmd/figures.h"
#include "util.h"
#include "view.h"

#define NAME_LEAST	8u
/* All columns but the name, with the blanks between them. */
#define OTHERS		67u

static void
put_object(const struct swap_object_stats *object, size_t name_width,
	   struct lines *lines)
{
	char name[SWAP_NAME_MAX + 8], size[FIGURE_LEN], resident[FIGURE_LEN];
	char swapped[FIGURE_LEN], wired[FIGURE_LEN];

	figure_name(object->name[0] != '\0' ? object->name : "-", name_width,
		    false, name, sizeof(name));
	lines_put(lines, object->poisoned_bytes > 0 ? LINE_ALARM : LINE_PLAIN,
		  "%6" PRIu64 " %-*s %7" PRId32 " %-15s %5s %8s %7s %3u%% %5s",
		  object->id, (int)name_width, name, object->pid,
		  object->command,
		  figure_size(object->size_bytes, size, sizeof(size)),
		  figure_size(object->resident_bytes, resident,
			      sizeof(resident)),
		  figure_size(object->swapped_bytes, swapped,
			      sizeof(swapped)),
		  figure_percent(object->swapped_bytes, object->size_bytes),
		  figure_size(object->wired_bytes, wired, sizeof(wired)));
}

void
view_objects(const struct swap_stats *now, const struct swap_stats *before,
	     struct lines *lines)
{
	size_t width = NAME_LEAST, shown = now->nobjects;

	(void)before;
	/* A heading without a row below it says nothing. */
	if (now->nobjects == 0 || lines->left < 3)
		return;
	for (size_t i = 0; i < now->nobjects; i++)
		width = max_u64(width, strlen(now->objects[i].name));
	width = view_name_width(lines, width, OTHERS, NAME_LEAST);
	lines_put(lines, LINE_PLAIN, "%s", "");
	lines_put(lines, LINE_HEADING,
		  "%6s %-*s %7s %-15s %5s %8s %7s %4s %5s", "ID", (int)width,
		  "NAME", "PID", "COMMAND", "SIZE", "RESIDENT", "SWAPPED",
		  "OUT%", "WIRED");
	/* The last line tells how many more there are. */
	if (shown > lines->left)
		shown = lines->left > 0 ? lines->left - 1 : 0;
	for (size_t i = 0; i < shown; i++)
		put_object(&now->objects[i], width, lines);
	if (shown < now->nobjects)
		lines_put(lines, LINE_PLAIN, "%6s and %zu more", "",
			  now->nobjects - shown);
}
