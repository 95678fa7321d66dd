/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The map: the blocks of devices as grids of cells
 *
 *	panes	beside each other, one a device: a heading, and rows of cells
 *		with the offset of each row in front
 *	panel	about the cursor, the free runs of its device, the glyphs; on
 *		the right where it is wide enough, else a few lines below
 *
 * What the server has is a little older than what the user has just zoomed to.
 * Until the cells for that come, those that are there are drawn at the places
 * where they belong.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "cmd/figures.h"
#include "map-grid.h"
#include "lines.h"
#include "util.h"
#include "view.h"

#define OFFSET_WIDTH	7u
#define PANE_LEAST	26u
#define PANEL_WIDTH	32u
#define PANEL_FROM	80u	/* columns of the window */
#define PANEL_LINES	3u	/* where it stands below */
#define TEXT_ROWS	4u	/* of a grid in text */
#define LEGEND_ROWS	5u

/* --------------------------------------------------------------- the panes */

static void
lay_out_pane(struct map_scene *map, unsigned place, const struct area *area)
{
	struct map_pane *pane = &map->panes[map->npanes++];

	pane->place = place;
	pane->grid = (struct area){
		area->row + 1, area->col + OFFSET_WIDTH,
		area->rows > 1 ? area->rows - 1 : 0,
		area->cols > OFFSET_WIDTH ? area->cols - OFFSET_WIDTH : 0,
	};
	pane->ncells = (size_t)pane->grid.rows * pane->grid.cols;
}

static void
lay_out(struct scene *scene, const struct area *area)
{
	struct map_scene *map = &scene->map;
	unsigned n = (unsigned)max_u64(1, min_u64(map->nplaces, (area->cols +
						2) / (PANE_LEAST + 2)));
	unsigned first = 0, width;

	map->npanes = 0;
	if (map->nplaces == 0)
		return;
	if (map->alone)
		n = 1;
	if (map->active >= n)
		first = map->active - n + 1;
	width = (area->cols - (n - 1) * 2) / n;
	for (unsigned i = 0; i < n; i++) {
		const struct area one = {
			area->row, area->col + i * (width + 2), area->rows,
			width,
		};

		lay_out_pane(map, first + i, &one);
	}
}

/* ------------------------------------------------------------------ cells */

/* Free and bad blocks of a cell that is drawn; false: nothing is known. */
static bool
cell_of(const struct map_part *part, const struct map_place *place, size_t n,
	size_t i, struct swap_range_cell *ret_cell, uint64_t *ret_nblocks)
{
	const struct range *range = &part->wish.range;
	uint64_t from = grid_block(place, n, i), at;
	size_t k = i;

	if (part->cells == NULL)
		return false;
	if (range->first != place->first || range->nblocks != place->span ||
	    range->ncells != n) {
		if (from < range->first ||
		    from - range->first >= range->nblocks)
			return false;
		at = from - range->first;
		k = (size_t)((((unsigned __int128)at + 1) * range->ncells -
			      1) / range->nblocks);
	}
	*ret_cell = part->cells[k];
	*ret_nblocks = range->nblocks * (k + 1) / range->ncells -
		       range->nblocks * k / range->ncells;
	return true;
}

/* The first owner that reaches beyond @block; nowners: none. */
static size_t
owner_after(const struct map_part *part, uint64_t block)
{
	size_t lo = 0, hi = part->nowners;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (part->owners[mid].block + part->owners[mid].nblocks <=
		    block)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* Whose is a block?  NULL: nobody's, or nobody knows. */
static const struct swap_owner *
owner_of(const struct map_part *part, uint64_t block)
{
	size_t i;

	/* Only a complete look is in order. */
	if (!part->owners_done)
		return NULL;
	i = owner_after(part, block);
	return i < part->nowners && part->owners[i].block <= block ?
	       &part->owners[i] : NULL;
}

static bool
owners_cover(const struct map_part *part, uint64_t block)
{
	return part->owners_done && part->nowners < OWNERS_MAX &&
	       block >= part->wish.owners_first &&
	       block - part->wish.owners_first < part->wish.owners_n;
}

struct look {
	const struct map_part *part;
	const struct map_place *place;
	const struct swap_range_cell *before;	/* NULL: none */
	bool		 draining;
	uint64_t	 object;	/* under the cursor; 0: none */
	size_t		 n;
};

static const char *
cell_glyph(const struct look *look, const struct glyphs *g, size_t i,
	   enum style *ret_style)
{
	uint64_t block = grid_block(look->place, look->n, i), nblocks;
	struct swap_range_cell cell;
	const struct swap_owner *owner;
	enum shade shade;

	*ret_style = STYLE_DIM;
	if (!cell_of(look->part, look->place, look->n, i, &cell, &nblocks))
		return " ";
	shade = shade_of(nblocks, cell.nfree);
	*ret_style = shade_style(shade);
	if (cell.nbad > 0) {
		*ret_style = STYLE_BAD;
		return g->bad;
	}
	if (look->before != NULL && look->before[i].nfree > cell.nfree) {
		*ret_style = STYLE_WRITTEN;
		return g->written;
	}
	if (look->before != NULL && look->before[i].nfree < cell.nfree) {
		*ret_style = STYLE_FREED;
		return g->freed;
	}
	if (shade == SHADE_FREE)
		return g->shade[shade];
	if (look->draining) {
		*ret_style = STYLE_DRAIN;
		return g->drain;
	}
	if (nblocks > 1 || !owners_cover(look->part, block))
		return g->shade[shade];
	owner = owner_of(look->part, block);
	if (owner == NULL) {
		*ret_style = STYLE_NOBODY;
		return g->nobody;
	}
	if (look->object != 0 && owner->object == look->object)
		*ret_style = STYLE_IN;
	return g->shade[shade];
}

static void
draw_cells(const struct scene *scene, struct canvas *canvas,
	   const struct map_pane *pane, const struct look *look)
{
	const struct glyphs *g = glyphs_of(canvas->utf8);
	uint64_t page = scene->picture->now.stats.page_bytes;
	const struct area *grid = &pane->grid;
	char text[FIGURE_LEN];

	for (size_t i = 0; i < look->n; i++) {
		unsigned row = grid->row + (unsigned)(i / grid->cols);
		unsigned col = grid->col + (unsigned)(i % grid->cols);
		enum style style;
		const char *glyph = cell_glyph(look, g, i, &style);

		if (i % grid->cols == 0)
			canvas_right(canvas, row, grid->col - OFFSET_WIDTH,
				     OFFSET_WIDTH - 1, STYLE_DIM,
				     amount(scene, grid_block(look->place,
							      look->n, i) *
					    page, text, sizeof(text)));
		(void)canvas_text(canvas, row, col, 1, style, glyph);
	}
}

static void
draw_cursor(struct canvas *canvas, const struct map_pane *pane,
	    const struct map_place *place, size_t n)
{
	size_t cell = grid_cell(place, n, place->cursor);
	const struct area at = {
		pane->grid.row + (unsigned)(cell / pane->grid.cols),
		pane->grid.col + (unsigned)(cell % pane->grid.cols), 1, 1,
	};

	canvas_restyle(canvas, &at, STYLE_CURSOR);
}

static const struct swap_device_stats *
device_of(const struct scene *scene, const char *path)
{
	const struct swap_stats *now = &scene->picture->now.stats;

	for (size_t i = 0; i < now->ndevices; i++)
		if (strcmp(now->devices[i].path, path) == 0)
			return &now->devices[i];
	return NULL;
}

static void
draw_pane_heading(const struct scene *scene, struct canvas *canvas,
		  const struct map_pane *pane, const struct map_place *place,
		  bool active)
{
	const struct swap_device_stats *d = device_of(scene, place->path);
	unsigned col = pane->grid.col - OFFSET_WIDTH;
	unsigned cols = pane->grid.cols + OFFSET_WIDTH;
	char words[FIGURE_LEN * 3], zoom[FIGURE_LEN] = "", name[256];
	char which[FIGURE_LEN] = "";

	if (place->span > 0 && place->span < place->nblocks)
		format_cut(zoom, sizeof(zoom), " %s%" PRIu64,
			   glyphs_of(canvas->utf8)->times,
			   (place->nblocks + place->span / 2) / place->span);
	if (scene->screen && scene->map.npanes < scene->map.nplaces)
		format_cut(which, sizeof(which), "  %u/%u", pane->place + 1,
			   scene->map.nplaces);
	format_cut(words, sizeof(words), "%u%%%s%s", d == NULL ? 0 :
		   figure_percent(d->used_bytes, d->size_bytes), zoom, which);
	figure_name(place->path, cols > strlen(words) + 6 ?
		    cols - strlen(words) - 6 : 4, canvas->utf8, name,
		    sizeof(name));
	draw_heading(canvas, pane->grid.row - 1, col, cols,
		     active && scene->screen ? STYLE_SELECTED : STYLE_HEADING,
		     name, words);
}

static void
draw_pane(struct scene *scene, struct canvas *canvas,
	  const struct map_pane *pane)
{
	const struct picture *picture = scene->picture;
	struct map_place *place = &scene->map.places[pane->place];
	const struct map_part *part = picture_map(picture, place->path);
	const struct swap_device_stats *d = device_of(scene, place->path);
	const struct swap_owner *owner;
	bool active = pane->place == scene->map.active;
	struct look look = { .part = part, .place = place };

	if (part != NULL && part->has_map && pane->ncells > 0)
		grid_fit(place, part->map.nblocks, pane->ncells);
	draw_pane_heading(scene, canvas, pane, place, active);
	if (part == NULL || !part->has_map || pane->ncells == 0) {
		if (part != NULL && part->error.code < 0)
			(void)canvas_print(canvas, pane->grid.row,
					   pane->grid.col - OFFSET_WIDTH,
					   pane->grid.cols + OFFSET_WIDTH,
					   STYLE_ALARM, "! %s",
					   part->error.message);
		return;
	}
	look.n = grid_ncells(place, pane->ncells);
	look.before = picture_cells_before(picture, part);
	/* Only cells that cover the same can be compared. */
	if (part->wish.range.first != place->first ||
	    part->wish.range.nblocks != place->span ||
	    part->wish.range.ncells != look.n)
		look.before = NULL;
	look.draining = d != NULL && (d->flags & SWAP_DEVICE_CLOSING) != 0;
	owner = active ? owner_of(part, place->cursor) : NULL;
	look.object = owner != NULL ? owner->object : 0;
	draw_cells(scene, canvas, pane, &look);
	if (active && scene->screen)
		draw_cursor(canvas, pane, place, look.n);
}

/* --------------------------------------------------------------- the panel */

/* The cell under the cursor: its blocks, and what is known of them. */
struct spot {
	const struct map_part *part;
	uint64_t	 from, to;
	struct swap_range_cell cell;
	uint64_t	 nblocks;	/* 0: nothing is known */
	uint64_t	 label;		/* blocks at the start of the device */
	size_t		 owner;		/* the first one there */
	size_t		 nowners;
};

/* What the pager leaves alone, for a label or a swap header. */
static uint64_t
label_of(const struct scene *scene, const struct map_place *place)
{
	const struct swap_device_stats *d = device_of(scene, place->path);
	uint64_t page = max_u64(scene->picture->now.stats.page_bytes, 1);

	return d == NULL ? 0 : place->nblocks - min_u64(place->nblocks,
							d->size_bytes / page);
}

static bool
find_spot(struct scene *scene, struct spot *spot)
{
	const struct map_pane *pane = grid_pane(scene);
	const struct map_place *place = grid_place(scene);
	size_t n, cell;

	memset(spot, 0, sizeof(*spot));
	if (pane == NULL || place == NULL || place->span == 0)
		return false;
	spot->part = picture_map(scene->picture, place->path);
	spot->label = label_of(scene, place);
	n = grid_ncells(place, pane->ncells);
	if (spot->part == NULL || n == 0)
		return false;
	cell = grid_cell(place, n, place->cursor);
	spot->from = grid_block(place, n, cell);
	spot->to = grid_block(place, n, cell + 1);
	if (!cell_of(spot->part, place, n, cell, &spot->cell, &spot->nblocks))
		spot->nblocks = 0;
	if (!spot->part->owners_done)
		return true;
	spot->owner = owner_after(spot->part, spot->from);
	for (size_t i = spot->owner; i < spot->part->nowners &&
	     spot->part->owners[i].block < spot->to; i++)
		spot->nowners++;
	return true;
}

/* "build (cc1 123)", "object 5 (cc1 123)" */
static char *
owner_name(const struct swap_owner *owner, char *buf, size_t len)
{
	if (owner->name[0] != '\0')
		format_cut(buf, len, "%s (%s %" PRId32 ")", owner->name,
			   owner->command, owner->pid);
	else
		format_cut(buf, len, "object %" PRIu64 " (%s %" PRId32 ")",
			   owner->object, owner->command, owner->pid);
	return buf;
}

static char *
owner_words(const struct spot *spot, char *buf, size_t len)
{
	const struct map_part *part = spot->part;

	if (spot->nowners > 0)
		return owner_name(&part->owners[spot->owner], buf, len);
	if (spot->nblocks > 0 && spot->cell.nfree >= spot->nblocks)
		format_cut(buf, len, "free");
	else if (spot->to <= spot->label)
		format_cut(buf, len, "a label: never written");
	else if (part->wish.owners_n == 0 || part->error.code == -ENOSYS)
		format_cut(buf, len, "not known");
	else if (!owners_cover(part, spot->from))
		format_cut(buf, len, "looking...");
	else
		format_cut(buf, len, "nobody that may be seen");
	return buf;
}

static char *
pages_words(const struct spot *spot, char *buf, size_t len)
{
	const struct swap_owner *owner = &spot->part->owners[spot->owner];
	uint64_t from = max_u64(owner->block, spot->from);
	uint64_t to = min_u64(owner->block + owner->nblocks, spot->to);
	uint64_t page = owner->page + (from - owner->block);
	char a[FIGURE_LEN], b[FIGURE_LEN], more[FIGURE_LEN] = "";

	if (spot->nowners > 1)
		format_cut(more, sizeof(more), ", %zu runs more",
			   spot->nowners - 1);
	if (to - from == 1)
		format_cut(buf, len, "page %s%s", figure_count(page, a,
							       sizeof(a)),
			   more);
	else
		format_cut(buf, len, "pages %s-%s%s",
			   figure_count(page, a, sizeof(a)),
			   figure_count(page + (to - from) - 1, b, sizeof(b)),
			   more);
	return buf;
}

static char *
blocks_words(const struct spot *spot, char *buf, size_t len)
{
	char a[FIGURE_LEN], b[FIGURE_LEN];

	if (spot->to - spot->from == 1)
		format_cut(buf, len, "%s", figure_count(spot->from, a,
							sizeof(a)));
	else
		format_cut(buf, len, "%s-%s",
			   figure_count(spot->from, a, sizeof(a)),
			   figure_count(spot->to - 1, b, sizeof(b)));
	return buf;
}

static char *
fill_words(const struct scene *scene, const struct spot *spot, char *buf,
	   size_t len)
{
	uint64_t page = scene->picture->now.stats.page_bytes;
	char a[FIGURE_LEN], b[FIGURE_LEN], bad[FIGURE_LEN + 16] = "";

	if (spot->cell.nbad > 0)
		format_cut(bad, sizeof(bad), ", %s bad",
			   short_count(spot->cell.nbad, a, sizeof(a)));
	format_cut(buf, len, "%s of %s free%s",
		   amount(scene, spot->cell.nfree * page, a, sizeof(a)),
		   amount(scene, spot->nblocks * page, b, sizeof(b)), bad);
	return buf;
}

static unsigned
draw_spot(struct scene *scene, struct canvas *canvas, const struct area *area)
{
	uint64_t page = scene->picture->now.stats.page_bytes;
	char text[256], a[FIGURE_LEN];
	unsigned row = area->row;
	struct spot spot;

	if (!find_spot(scene, &spot))
		return 0;
	draw_heading(canvas, row++, area->col, area->cols, STYLE_HEADING,
		     "Cursor", amount(scene, spot.from * page, a, sizeof(a)));
	(void)canvas_print(canvas, row++, area->col, area->cols, STYLE_PLAIN,
			   "Block  %s", blocks_words(&spot, text,
						     sizeof(text)));
	if (spot.nblocks > 0)
		(void)canvas_print(canvas, row, area->col, area->cols,
				   STYLE_PLAIN, "       %s",
				   fill_words(scene, &spot, text,
					      sizeof(text)));
	row++;
	(void)canvas_print(canvas, row++, area->col, area->cols, STYLE_PLAIN,
			   "Owner  %s", owner_words(&spot, text,
						    sizeof(text)));
	if (spot.nowners > 0)
		(void)canvas_print(canvas, row, area->col, area->cols,
				   STYLE_PLAIN, "       %s",
				   pages_words(&spot, text, sizeof(text)));
	row++;
	return row - area->row;
}

/* Runs shorter than a cluster are what fragmentation is about. */
static uint64_t
cluster_blocks(const struct swap_device_map *map)
{
	uint64_t n = 1;

	while (n * 2 <= map->cluster_pages)
		n *= 2;
	return n;
}

static unsigned
draw_sums(const struct scene *scene, struct canvas *canvas,
	  const struct area *area, const struct swap_device_map *map)
{
	uint64_t page = scene->picture->now.stats.page_bytes;
	char a[FIGURE_LEN], b[FIGURE_LEN];

	(void)canvas_print(canvas, area->row, area->col, area->cols,
			   STYLE_PLAIN, "%s in %s run%s",
			   amount(scene, map->nfree * page, a, sizeof(a)),
			   figure_count(map->nruns, b, sizeof(b)),
			   map->nruns == 1 ? "" : "s");
	(void)canvas_print(canvas, area->row + 1, area->col, area->cols,
			   STYLE_PLAIN, "Longest  %s, %u%% of it",
			   amount(scene, map->largest * page, a, sizeof(a)),
			   figure_percent(map->largest, map->nfree));
	(void)canvas_print(canvas, area->row + 2, area->col, area->cols,
			   STYLE_PLAIN, "Below %s  %u.%u%% of it",
			   amount(scene, cluster_blocks(map) * page, a,
				  sizeof(a)), map->fragmentation / 10,
			   map->fragmentation % 10);
	return 3;
}

static uint64_t
class_blocks(const struct swap_device_map *map, unsigned from, unsigned n,
	     uint64_t *ret_runs)
{
	uint64_t blocks = 0;

	*ret_runs = 0;
	for (unsigned i = from; i < from + n && i < SWAP_RUN_CLASSES; i++) {
		blocks += map->blocks[i];
		*ret_runs += map->runs[i];
	}
	return blocks;
}

/* A row a class, or more classes a row. */
static unsigned
draw_runs(const struct scene *scene, struct canvas *canvas,
	  const struct area *area, const struct swap_device_map *map)
{
	uint64_t page = scene->picture->now.stats.page_bytes;
	uint64_t most = 0, runs, blocks;
	unsigned lo = SWAP_RUN_CLASSES, hi = 0, step = 1, row = area->row;
	char a[FIGURE_LEN];

	for (unsigned i = 0; i < SWAP_RUN_CLASSES; i++) {
		if (map->runs[i] == 0)
			continue;
		lo = (unsigned)min_u64(lo, i);
		hi = i;
	}
	if (lo > hi || area->rows == 0)
		return 0;
	while ((hi - lo) / step + 1 > area->rows)
		step++;
	for (unsigned i = lo; i <= hi; i += step)
		most = max_u64(most, class_blocks(map, i, step, &runs));
	for (unsigned i = lo; i <= hi; i += step) {
		bool is_short = UINT64_C(1) << i < cluster_blocks(map);

		blocks = class_blocks(map, i, step, &runs);
		canvas_right(canvas, row, area->col, 5, STYLE_PLAIN,
			     amount(scene, page << i, a, sizeof(a)));
		canvas_right(canvas, row, area->col + 6, 6,
			     runs > 0 ? STYLE_PLAIN : STYLE_DIM,
			     short_count(runs, a, sizeof(a)));
		if (blocks > 0)
			draw_bar(canvas, row, area->col + 13, area->cols - 13,
				 is_short ? STYLE_OUT : STYLE_IN, blocks,
				 most);
		row++;
	}
	return row - area->row;
}

/* A glyph and what it says, as far as there is room. */
static unsigned
draw_sign(struct canvas *canvas, unsigned row, unsigned col, unsigned end,
	  enum style style, const char *glyph, const char *words)
{
	unsigned n;

	if (col + text_columns(words, canvas->utf8) + 2 > end)
		return col;
	n = canvas_text(canvas, row, col, end - col, style, glyph);
	return col + n + 1 + canvas_text(canvas, row, col + n + 1, end,
					 STYLE_DIM, words) + 2;
}

static void
draw_legend(struct canvas *canvas, const struct area *area)
{
	const struct glyphs *g = glyphs_of(canvas->utf8);
	unsigned row = area->row, col = area->col, end = col + area->cols;

	col = draw_sign(canvas, row, col, end, STYLE_FREE,
			g->shade[SHADE_FREE], "free");
	for (int i = SHADE_LOW; i < SHADE_HIGH; i++)
		col += canvas_text(canvas, row, col, 1, shade_style(
				   (enum shade)i), g->shade[i]);
	col = draw_sign(canvas, row, col, end, STYLE_HIGH,
			g->shade[SHADE_HIGH], "partly");
	(void)draw_sign(canvas, row, col, end, STYLE_FULL,
			g->shade[SHADE_FULL], "full");
	row++;
	col = draw_sign(canvas, row, area->col, end, STYLE_BAD, g->bad, "bad");
	col = draw_sign(canvas, row, col, end, STYLE_DRAIN, g->drain,
			"draining");
	(void)draw_sign(canvas, row, col, end, STYLE_NOBODY, g->nobody,
			"nobody's");
	row++;
	col = draw_sign(canvas, row, area->col, end, STYLE_WRITTEN,
			g->written, "just written");
	(void)draw_sign(canvas, row, col, end, STYLE_FREED, g->freed,
			"freed");
}

static void
draw_panel(struct scene *scene, struct canvas *canvas,
	   const struct area *area)
{
	const struct map_place *place = grid_place(scene);
	const struct map_part *part;
	struct area left = *area;
	char words[FIGURE_LEN];
	unsigned n = draw_spot(scene, canvas, area);

	if (place == NULL)
		return;
	part = picture_map(scene->picture, place->path);
	left.row += n + 1;
	left.rows -= (unsigned)min_u64(n + 1, left.rows);
	if (part != NULL && part->has_map && left.rows > LEGEND_ROWS + 4) {
		left.rows -= LEGEND_ROWS;
		format_cut(words, sizeof(words), "%u%%",
			   figure_percent(part->map.nfree,
					  part->map.nblocks));
		draw_heading(canvas, left.row++, left.col, left.cols,
			     STYLE_HEADING, "Free runs", words);
		left.rows--;
		n = draw_sums(scene, canvas, &left, &part->map);
		left.row += n;
		left.rows -= (unsigned)min_u64(n, left.rows);
		(void)draw_runs(scene, canvas, &left, &part->map);
	}
	left = *area;
	left.row += area->rows - (unsigned)min_u64(LEGEND_ROWS - 1,
						   area->rows);
	if (area->rows < LEGEND_ROWS + 8)
		return;
	draw_heading(canvas, left.row++, left.col, left.cols, STYLE_HEADING,
		     "Cells", "");
	draw_legend(canvas, &left);
}

/* Where there is no room beside the grid. */
static void
draw_lines(struct scene *scene, struct canvas *canvas, const struct area *area)
{
	uint64_t page = scene->picture->now.stats.page_bytes;
	char a[256], b[256], c[FIGURE_LEN];
	struct spot spot;

	if (!find_spot(scene, &spot))
		return;
	draw_heading(canvas, area->row, area->col, area->cols, STYLE_HEADING,
		     "Cursor", amount(scene, spot.from * page, c, sizeof(c)));
	(void)canvas_print(canvas, area->row + 1, area->col, area->cols,
			   STYLE_PLAIN, "Block %s: %s",
			   blocks_words(&spot, a, sizeof(a)),
			   spot.nblocks > 0 ? fill_words(scene, &spot, b,
							 sizeof(b)) : "");
	(void)canvas_print(canvas, area->row + 2, area->col, area->cols,
			   STYLE_PLAIN, "Owner %s%s%s",
			   owner_words(&spot, a, sizeof(a)),
			   spot.nowners > 0 ? ", " : "",
			   spot.nowners > 0 ? pages_words(&spot, b,
							  sizeof(b)) : "");
}

/* ------------------------------------------------------------------- view */

/* In text: a strip of each device, and its free runs below. */
static void
draw_text(struct scene *scene, struct canvas *canvas, const struct area *area)
{
	struct map_scene *map = &scene->map;
	unsigned row = area->row;

	map->npanes = 0;
	for (unsigned i = 0; i < map->nplaces; i++) {
		const struct map_part *part = picture_map(scene->picture,
						map->places[i].path);
		struct area strip = { row, area->col, TEXT_ROWS + 1,
				      area->cols };
		size_t n;

		lay_out_pane(map, i, &strip);
		draw_pane(scene, canvas, &map->panes[i]);
		if (part == NULL || !part->has_map) {
			row += 3;
			continue;
		}
		/* A small device has less rows. */
		n = grid_ncells(&map->places[i], map->panes[i].ncells);
		row += 1 + (unsigned)((n + map->panes[i].grid.cols - 1) /
				      map->panes[i].grid.cols);
		strip.row = row;
		row += draw_sums(scene, canvas, &strip, &part->map);
		strip.row = row;
		strip.rows = SWAP_RUN_CLASSES;
		strip.cols = (unsigned)min_u64(area->cols, 60);
		row += draw_runs(scene, canvas, &strip, &part->map) + 1;
	}
	if (map->nplaces > 0)
		draw_legend(canvas, &(struct area){ row, area->col, 3,
						    area->cols });
}

static void
map_draw_view(struct scene *scene, struct canvas *canvas,
	      const struct area *area)
{
	bool beside = area->cols >= PANEL_FROM - 2;
	struct area grid = *area, panel = *area;

	grid_sync(scene);
	if (scene->map.nplaces == 0) {
		(void)canvas_text(canvas, area->row, area->col, area->cols,
				  STYLE_ALARM, "! There is no swap device: "
				  "attach one with 'swapctl on DEVICE'.");
		return;
	}
	if (!scene->screen) {
		draw_text(scene, canvas, area);
		return;
	}
	if (beside) {
		grid.cols -= PANEL_WIDTH + 2;
		panel.col += grid.cols + 2;
		panel.cols = PANEL_WIDTH;
	} else {
		grid.rows -= (unsigned)min_u64(PANEL_LINES, area->rows);
		panel.row += grid.rows;
		panel.rows = PANEL_LINES;
	}
	lay_out(scene, &grid);
	for (unsigned i = 0; i < scene->map.npanes; i++)
		draw_pane(scene, canvas, &scene->map.panes[i]);
	if (beside)
		draw_panel(scene, canvas, &panel);
	else
		draw_lines(scene, canvas, &panel);
}

/* Cells of each pane, and whose pages are where they can be seen. */
static void
map_wish(struct scene *scene, struct wishes *wishes)
{
	const struct map_scene *map = &scene->map;

	for (unsigned i = 0; i < map->npanes; i++) {
		const struct map_pane *pane = &map->panes[i];
		const struct map_place *place = &map->places[pane->place];
		struct map_wish *wish = &wishes->maps[wishes->n++];
		size_t n = grid_ncells(place, pane->ncells), cell;

		memcpy(wish->range.path, place->path,
		       sizeof(wish->range.path));
		if (n == 0)
			continue;
		wish->range.first = place->first;
		wish->range.nblocks = place->span;
		wish->range.ncells = n;
		if (!scene->screen)
			continue;
		if (place->span == n) {
			wish->owners_first = place->first;
			wish->owners_n = place->span;
		} else if (pane->place == map->active) {
			cell = grid_cell(place, n, place->cursor);
			wish->owners_first = grid_block(place, n, cell);
			wish->owners_n = grid_block(place, n, cell + 1) -
					 wish->owners_first;
		}
	}
}

static bool
map_inspect(struct scene *scene, struct lines *text)
{
	uint64_t page = scene->picture->now.stats.page_bytes;
	char a[256], b[FIGURE_LEN], c[FIGURE_LEN];
	struct spot spot;

	if (!find_spot(scene, &spot))
		return false;
	lines_title(text, "%s, block %s", spot.part->wish.range.path,
		   blocks_words(&spot, a, sizeof(a)));
	lines_add(text, STYLE_BOX, "Offset     %s, %s",
		  amount(scene, spot.from * page, b, sizeof(b)),
		  spot.nblocks > 0 ? fill_words(scene, &spot, a, sizeof(a)) :
		  "");
	if (spot.nowners == 0)
		lines_add(text, STYLE_BOX, "Owner      %s",
			  owner_words(&spot, a, sizeof(a)));
	for (size_t i = 0; i < spot.nowners; i++) {
		const struct swap_owner *o =
			&spot.part->owners[spot.owner + i];

		lines_add(text, STYLE_BOX, "%10" PRIu64 "  %5s  %s, page %s",
			  o->block, amount(scene, o->nblocks * page, b,
					   sizeof(b)),
			  owner_name(o, a, sizeof(a)),
			  figure_count(o->page, c, sizeof(c)));
	}
	return true;
}

const struct view view_map = {
	.name = "map",
	.title = "Map",
	.keys = "Enter inspect\0+- zoom\0[] device\0v one/all\0",
	.draw = map_draw_view,
	.key = grid_key,
	.wish = map_wish,
	.inspect = map_inspect,
};
