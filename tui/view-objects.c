/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The objects, largest swapped first, or by any other column
 *
 * Ten thousand of them are sorted at each refresh: an index is, since the
 * snapshot stays as it is.  Rates come from the snapshot before, whose objects
 * are found by an index by their ids.  As long as they are sorted by what is
 * swapped, or by their numbers, copies stand beneath their sources.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cmd/figures.h"
#include "cmd/object-tree.h"
#include "lines.h"
#include "util.h"
#include "view.h"

enum {
	COLUMN_ID, COLUMN_NAME, COLUMN_OWNER, COLUMN_PID, COLUMN_COMMAND,
	COLUMN_SIZE, COLUMN_RESIDENT, COLUMN_SWAPPED, COLUMN_OUT,
	COLUMN_IN_RATE, COLUMN_OUT_RATE, COLUMN_WIRED, COLUMN_MAP,
	COLUMN_SHARED,		/* where there are copies */
};

static const struct column columns[] = {
	[COLUMN_ID] = { "ID", 6, false, true, 4 },
	[COLUMN_NAME] = { "NAME", 14, true, false, 0 },
	[COLUMN_OWNER] = { "OWNER", 8, false, false, 7 },
	[COLUMN_PID] = { "PID", 7, false, true, 2 },
	[COLUMN_COMMAND] = { "COMMAND", 15, false, false, 5 },
	[COLUMN_SIZE] = { "SIZE", 6, false, true, 0 },
	[COLUMN_RESIDENT] = { "RESIDENT", 9, false, true, 0 },
	[COLUMN_SWAPPED] = { "SWAPPED", 8, false, true, 0 },
	[COLUMN_OUT] = { "OUT%", 5, false, true, 3 },
	[COLUMN_IN_RATE] = { "IN/s", 5, false, true, 6 },
	[COLUMN_OUT_RATE] = { "OUT/s", 6, false, true, 6 },
	[COLUMN_WIRED] = { "WIRED", 6, false, true, 8 },
	[COLUMN_MAP] = { "MAP", 5, false, false, 9 },
	[COLUMN_SHARED] = { "SHARED", 7, false, true, 4 },
};

/* Page rates of an object. */
struct pace {
	uint64_t	in, out;
};

/* One refresh's work, and whoever compares needs all of it. */
struct work {
	const struct scene *scene;
	const struct swap_object_stats *objects;
	struct pace	*paces;		/* by object; NULL: none known */
	unsigned	*depths;	/* by row; NULL: no tree */
	bool		 utf8;
	uint32_t	 uid;		/* the last name looked up */
	bool		 has_user;
	char		 user[FIGURE_LEN];
};

/* ------------------------------------------------------------------ rates */

static int
by_id(const void *left, const void *right)
{
	const struct swap_object_stats *const *a = left, *const *b = right;

	return ((*a)->id > (*b)->id) - ((*a)->id < (*b)->id);
}

static const struct swap_object_stats **
index_by_id(const struct swap_stats *stats)
{
	const struct swap_object_stats **index =
		calloc(stats->nobjects + 1,
		       sizeof(const struct swap_object_stats *));

	for (size_t i = 0; index != NULL && i < stats->nobjects; i++)
		index[i] = &stats->objects[i];
	if (index != NULL && stats->nobjects > 1)
		qsort(index, stats->nobjects,
		      sizeof(const struct swap_object_stats *), by_id);
	return index;
}

static struct pace *
work_out_paces(const struct picture *picture)
{
	const struct swap_stats *now = &picture->now.stats;
	uint64_t usec = picture_interval(picture);
	const struct swap_object_stats **index;
	struct pace *paces;

	if (usec == 0)
		return NULL;
	index = index_by_id(&picture->before.stats);
	paces = calloc(now->nobjects + 1, sizeof(*paces));
	for (size_t i = 0; index != NULL && paces != NULL &&
	     i < now->nobjects; i++) {
		const struct swap_object_stats *o = &now->objects[i];
		const struct swap_object_stats *const *was =
			bsearch(&o, index, picture->before.stats.nobjects,
				sizeof(const struct swap_object_stats *),
				by_id);

		if (was == NULL)
			continue;
		paces[i].in = rate_of(o->pagein_pages, (*was)->pagein_pages,
				      usec) * now->page_bytes;
		paces[i].out = rate_of(o->pageout_pages,
				       (*was)->pageout_pages, usec) *
			       now->page_bytes;
	}
	free(index);
	return paces;
}

/* ------------------------------------------------------------------ order */

static int
descending(uint64_t a, uint64_t b)
{
	return (a < b) - (a > b);
}

static uint64_t
sort_value(const struct work *work, unsigned column, size_t i)
{
	const struct swap_object_stats *o = &work->objects[i];

	switch (column) {
	case COLUMN_ID:
		return o->id;
	case COLUMN_PID:
		return (uint64_t)o->pid;
	case COLUMN_SIZE:
		return o->size_bytes;
	case COLUMN_RESIDENT:
		return o->resident_bytes;
	case COLUMN_OUT:
		return o->size_bytes == 0 ? 0 :
		       (uint64_t)((double)o->swapped_bytes * 1e6 /
				  (double)o->size_bytes);
	case COLUMN_IN_RATE:
		return work->paces != NULL ? work->paces[i].in : 0;
	case COLUMN_OUT_RATE:
		return work->paces != NULL ? work->paces[i].out : 0;
	case COLUMN_WIRED:
		return o->wired_bytes;
	case COLUMN_SHARED:
		return o->shared_bytes;
	default:
		return o->swapped_bytes;
	}
}

/* Words from a to z, figures the largest first; then what is swapped. */
static int
compare(const void *left, const void *right, void *arg)
{
	const struct work *work = arg;
	const struct list *list = &work->scene->objects.list;
	size_t i = *(const size_t *)left, k = *(const size_t *)right;
	const struct swap_object_stats *a = &work->objects[i];
	const struct swap_object_stats *b = &work->objects[k];
	int order;

	switch (list->sort) {
	case COLUMN_NAME:
		order = strcmp(a->name, b->name);
		break;
	case COLUMN_COMMAND:
		order = strcmp(a->command, b->command);
		break;
	case COLUMN_MAP:
		order = strcmp(a->map_kind, b->map_kind);
		break;
	case COLUMN_OWNER:
		order = descending(b->uid, a->uid);
		break;
	default:
		order = descending(sort_value(work, list->sort, i),
				   sort_value(work, list->sort, k));
		break;
	}
	if (list->inverted)
		order = -order;
	if (order == 0)
		order = descending(a->swapped_bytes, b->swapped_bytes);
	if (order == 0)
		order = descending(a->resident_bytes, b->resident_bytes);
	return order != 0 ? order : descending(b->id, a->id);
}

static const char *
user_of(struct work *work, uint32_t uid)
{
	if (!work->has_user || work->uid != uid)
		figure_user(uid, work->user, sizeof(work->user));
	work->has_user = true;
	work->uid = uid;
	return work->user;
}

static bool
matches(struct work *work, const struct swap_object_stats *o,
	const char *wanted)
{
	char number[FIGURE_LEN];

	format_cut(number, sizeof(number), "%" PRId32, o->pid);
	return strcasestr(o->name, wanted) != NULL ||
	       strcasestr(o->command, wanted) != NULL ||
	       strcmp(number, wanted) == 0 ||
	       strcasestr(user_of(work, o->uid), wanted) != NULL;
}

/* Copies go beneath their sources; NULL: nothing has moved. */
static unsigned *
make_tree(const struct objects_scene *os,
	  const struct swap_object_stats *objects)
{
	unsigned *depths;

	if (os->list.sort != COLUMN_SWAPPED && os->list.sort != COLUMN_ID)
		return NULL;
	depths = calloc(os->n + 1, sizeof(*depths));
	if (depths != NULL &&
	    object_tree(objects, os->order, depths, os->n) < 0) {
		free(depths);
		depths = NULL;
	}
	return depths;
}

/* Which objects are shown, in their order. */
static void
make_order(struct scene *scene, struct work *work)
{
	struct objects_scene *os = &scene->objects;
	const struct swap_stats *now = &scene->picture->now.stats;
	size_t *order = realloc(os->order, (now->nobjects + 1) *
				sizeof(*order));

	os->n = 0;
	if (order == NULL)
		return;
	os->order = order;
	for (size_t i = 0; i < now->nobjects; i++)
		if (os->filter[0] == '\0' ||
		    matches(work, &now->objects[i], os->filter))
			order[os->n++] = i;
	if (os->n > 1)
		qsort_r(order, os->n, sizeof(*order), compare, work);
	work->depths = make_tree(os, now->objects);
}

/* ------------------------------------------------------------------ cells */

static void
pace_cell(const struct work *work, uint64_t pace, char *buf, size_t len)
{
	if (work->paces == NULL)
		format_cut(buf, len, "-");
	else
		amount(work->scene, pace, buf, len);
}

static unsigned
depth_of(const struct work *work, size_t row)
{
	return work->depths != NULL ? work->depths[row] : 0;
}

static void
object_cell(void *arg, size_t row, unsigned column, unsigned width, char *buf,
	    size_t len, enum style *style)
{
	struct work *work = arg;
	const struct scene *scene = work->scene;
	size_t i = scene->objects.order[row];
	const struct swap_object_stats *o = &work->objects[i];
	char label[OBJECT_LABEL_LEN];

	if (o->poisoned_bytes > 0)
		*style = STYLE_ALARM;
	switch (column) {
	case COLUMN_ID:
		format_cut(buf, len, "%" PRIu64, o->id);
		break;
	case COLUMN_NAME:
		if (o->name[0] == '\0')
			*style = STYLE_DIM;
		figure_name(object_label(o, depth_of(work, row), label,
					 sizeof(label)), width, work->utf8,
			    buf, len);
		break;
	case COLUMN_OWNER:
		format_cut(buf, len, "%s", user_of(work, o->uid));
		break;
	case COLUMN_PID:
		format_cut(buf, len, "%" PRId32, o->pid);
		break;
	case COLUMN_COMMAND:
		format_cut(buf, len, "%s", o->command);
		break;
	case COLUMN_SIZE:
		amount(scene, o->size_bytes, buf, len);
		break;
	case COLUMN_RESIDENT:
		amount(scene, o->resident_bytes, buf, len);
		break;
	case COLUMN_SWAPPED:
		*style = *style == STYLE_PLAIN ? STYLE_STRONG : *style;
		amount(scene, o->swapped_bytes, buf, len);
		break;
	case COLUMN_OUT:
		format_cut(buf, len, "%u%%", figure_percent(o->swapped_bytes,
							    o->size_bytes));
		break;
	case COLUMN_IN_RATE:
		*style = STYLE_IN;
		pace_cell(work, work->paces != NULL ? work->paces[i].in : 0,
			  buf, len);
		break;
	case COLUMN_OUT_RATE:
		*style = STYLE_OUT;
		pace_cell(work, work->paces != NULL ? work->paces[i].out : 0,
			  buf, len);
		break;
	case COLUMN_WIRED:
		amount(scene, o->wired_bytes, buf, len);
		break;
	case COLUMN_SHARED:
		amount(scene, o->shared_bytes, buf, len);
		break;
	default:
		format_cut(buf, len, "%s", o->map_kind);
		break;
	}
}

/* ------------------------------------------------------------------- view */

/* The cursor stays on its object, wherever that has gone. */
static void
find_selected(struct scene *scene)
{
	struct objects_scene *os = &scene->objects;
	const struct swap_stats *now = &scene->picture->now.stats;

	if (os->selected == 0)
		return;
	for (size_t i = 0; i < os->n; i++) {
		if (now->objects[os->order[i]].id != os->selected)
			continue;
		os->list.selected = i;
		return;
	}
}

static void
keep_selected(struct scene *scene)
{
	struct objects_scene *os = &scene->objects;

	os->selected = 0;
	if (os->list.selected > 0 && os->list.selected < os->n)
		os->selected = scene->picture->now.stats.objects[
			os->order[os->list.selected]].id;
}

static void
choose_columns(struct objects_scene *os, const struct swap_stats *now)
{
	bool copies = false;

	for (size_t i = 0; i < now->nobjects && !copies; i++)
		copies = now->objects[i].source_id != 0;
	if (os->list.columns == NULL ||
	    (!copies && os->list.sort == COLUMN_SHARED))
		os->list.sort = COLUMN_SWAPPED;
	os->list.columns = columns;
	os->list.ncolumns = ARRAY_SIZE(columns) - !copies;
}

static void
objects_draw(struct scene *scene, struct canvas *canvas,
	     const struct area *area)
{
	struct objects_scene *os = &scene->objects;
	const struct swap_stats *now = &scene->picture->now.stats;
	struct work work = {
		.scene = scene, .objects = now->objects,
		.utf8 = canvas->utf8,
	};
	char label[OBJECT_LABEL_LEN];
	unsigned longest = 4;

	choose_columns(os, now);
	work.paces = work_out_paces(scene->picture);
	make_order(scene, &work);
	for (size_t i = 0; i < os->n; i++)
		longest = (unsigned)max_u64(longest, text_columns(object_label(
			&now->objects[os->order[i]], depth_of(&work, i),
			label, sizeof(label)), canvas->utf8));
	find_selected(scene);
	list_draw(&os->list, canvas, area, os->n, longest, scene->screen,
		  object_cell, &work);
	if (os->n == 0)
		(void)canvas_text(canvas, area->row + 1, area->col,
				  area->cols, STYLE_DIM, now->nobjects > 0 ?
				  "no object matches the filter; \\ changes "
				  "it" : now->nobjects_live > 0 ?
				  "looking..." : "no objects");
	free(work.paces);
	free(work.depths);
}

/* Put the cursor on the next object that matches, from the one behind it. */
static void
search(struct scene *scene)
{
	struct objects_scene *os = &scene->objects;
	struct work work = { .scene = scene };

	if (os->search[0] == '\0')
		return;
	for (size_t k = 1; k <= os->n; k++) {
		size_t i = (os->list.selected + k) % os->n;

		if (!matches(&work, &scene->picture->now.stats.objects[
			     os->order[i]], os->search))
			continue;
		os->list.selected = i;
		keep_selected(scene);
		return;
	}
}

static bool
objects_click(struct scene *scene, const struct input *input)
{
	struct list *list = &scene->objects.list;
	unsigned column;
	size_t row;

	if (list_hit_heading(list, input->row, input->col, &column)) {
		list->inverted = list->sort == column && !list->inverted;
		list->sort = column;
		return true;
	}
	if (list_hit_row(list, input->row, input->col, &row)) {
		list->selected = row;
		keep_selected(scene);
		return true;
	}
	return false;
}

static bool
objects_key(struct scene *scene, const struct input *input)
{
	struct list *list = &scene->objects.list;

	switch (input->key) {
	case KEYS_CLICK:
		return objects_click(scene, input);
	case '<':
	case ',':
		list_sort_next(list, false);
		return true;
	case '>':
	case '.':
	case KEYS_F6:
		list_sort_next(list, true);
		return true;
	case 'I':
		list->inverted = !list->inverted;
		return true;
	case 'n':
		search(scene);
		return true;
	default:
		if (!list_move(list, input->key))
			return false;
		keep_selected(scene);
		return true;
	}
}

static void
object_text(struct work *work, const struct swap_object_stats *o,
	    struct lines *text)
{
	const struct scene *scene = work->scene;
	char a[FIGURE_LEN], b[FIGURE_LEN], c[FIGURE_LEN];

	lines_add(text, STYLE_BOX, "Made by    %s, process %" PRId32 " (%s)",
		  o->command, o->pid, user_of(work, o->uid));
	lines_add(text, STYLE_BOX, "Size       %s; %s resident, %s swapped",
		  amount(scene, o->size_bytes, a, sizeof(a)),
		  amount(scene, o->resident_bytes, b, sizeof(b)),
		  amount(scene, o->swapped_bytes, c, sizeof(c)));
	lines_add(text, STYLE_BOX, "Blocks     %s held, %s reserved",
		  amount(scene, o->block_bytes, a, sizeof(a)),
		  amount(scene, o->reserved_bytes, b, sizeof(b)));
	lines_add(text, STYLE_BOX, "Wired      %s%s",
		  amount(scene, o->wired_bytes, a, sizeof(a)),
		  o->flags & SWAP_OBJECT_NOSWAP ? "; never paged out" : "");
	lines_add(text, STYLE_BOX, "Limits     RAM %s, swap %s",
		  o->ram_limit_bytes == 0 ? "none" :
		  amount(scene, o->ram_limit_bytes, a, sizeof(a)),
		  o->swap_limit_bytes == 0 ? "none" :
		  amount(scene, o->swap_limit_bytes, b, sizeof(b)));
	lines_add(text, STYLE_BOX, "Paged      %s pages in, %s out",
		  figure_count(o->pagein_pages, a, sizeof(a)),
		  figure_count(o->pageout_pages, b, sizeof(b)));
	if (o->source_id != 0)
		lines_add(text, STYLE_BOX, "Copy       of %" PRIu64
			  ", with which it shares %s", o->source_id,
			  amount(scene, o->shared_bytes, a, sizeof(a)));
	if (o->copies > 0)
		lines_add(text, STYLE_BOX, "Copies     %s%s",
			  figure_count(o->copies, a, sizeof(a)), o->orphan ?
			  "; it is there for these alone" : "");
	lines_add(text, STYLE_BOX, "Regions    %" PRIu32 ", %" PRIu32
		  " of them writable", o->regions, o->writers);
	lines_add(text, STYLE_BOX, "Map        %s, %s", o->map_kind,
		  amount(scene, o->map_bytes, a, sizeof(a)));
	if (o->poisoned_bytes > 0)
		lines_add(text, STYLE_ALARM, "! Lost     %s: its pages could "
			  "not be read back", amount(scene, o->poisoned_bytes,
						     a, sizeof(a)));
}

static bool
objects_inspect(struct scene *scene, struct lines *text)
{
	struct objects_scene *os = &scene->objects;
	struct work work = { .scene = scene };
	const struct swap_object_stats *o;

	if (os->list.selected >= os->n)
		return false;
	o = &scene->picture->now.stats.objects[os->order[os->list.selected]];
	lines_title(text, "Object %" PRIu64 "%s%s", o->id,
		   o->name[0] != '\0' ? ": " : "", o->name);
	object_text(&work, o, text);
	return true;
}

const struct view view_objects = {
	.name = "objects",
	.title = "Objects",
	.keys = "Enter inspect\0/ search\0\\ filter\0<> sort\0I invert\0",
	.draw = objects_draw,
	.key = objects_key,
	.inspect = objects_inspect,
};
