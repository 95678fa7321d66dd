/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The fragmentation of a device as text
 *
 *	heading		what device, and how much of it is free
 *	strip		where it is free: rows of cells from its first block
 *			to its last, each with its offset in front
 *	sums		how much, in how many runs, and the index
 *	histogram	runs of free blocks by power of two; a rule divides
 *			those that are shorter than a cluster from the rest,
 *			since that is what the index is about
 *
 * A cell shows by its glyph how much of it is used; that it is quite free or
 * quite full is said only when it is.  Colours repeat what the glyphs say, for
 * those who see them.  Bars are as long as a class's share of the free space,
 * the largest as long as there is room.
 *
 * Everything fits the width down to 56 columns (but for a long path); below
 * that, lines wrap.
 */
#include "map-draw.h"

#include <inttypes.h>
#include <string.h>

#include "compiler.h"
#include "figures.h"
#include "util.h"

#define WIDTH_LEAST	56u
#define WIDTH_MOST	1000u
#define ROWS		4u
/* "  512M " in front of a row, and the last column stays empty. */
#define OFFSET_WIDTH	8u
/* The histogram's columns before the bar. */
#define FIGURES_WIDTH	44u

enum shade {
	SHADE_FREE,
	SHADE_LOW,	/* partly used */
	SHADE_MIDDLE,
	SHADE_HIGH,
	SHADE_FULL,
	SHADES,
};

static const char *const shades_utf8[SHADES] = {
	"\u00b7", "\u2591", "\u2592", "\u2593", "\u2588",
};
static const char *const shades_ascii[SHADES] = { ".", "-", "=", "%", "#" };

/* Dim, yellow, cyan: told apart by all who see colours at all. */
static const char *const shade_colors[SHADES] = {
	"\033[2m", "\033[33m", "\033[33m", "\033[33m", "\033[36m",
};
#define COLOR_BOLD	"\033[1m"
#define COLOR_END	"\033[0m"

static unsigned
style_width(const struct map_style *style)
{
	return (unsigned)max_u64(WIDTH_LEAST,
				 min_u64(style->width, WIDTH_MOST));
}

static unsigned
row_cells(const struct map_style *style)
{
	return style_width(style) - OFFSET_WIDTH;
}

size_t
map_draw_ncells(const struct map_style *style, uint64_t nblocks)
{
	return (size_t)min_u64(nblocks, (uint64_t)row_cells(style) * ROWS);
}

/* ---------------------------------------------------------------- heading */

static void
put_heading(FILE *out, const struct map_style *style,
	    const struct swap_device_map *map,
	    const struct swap_device_stats *device)
{
	uint64_t size = map->nblocks * style->page_bytes;
	uint64_t used = size - map->nfree * style->page_bytes;
	char text[FIGURE_LEN];

	if (device != NULL) {
		size = device->size_bytes;
		used = device->used_bytes;
	}
	fprintf(out, "%s%s%s: ", style->color ? COLOR_BOLD : "", map->path,
		style->color ? COLOR_END : "");
	fprintf(out, "%s, ", figure_size(size, text, sizeof(text)));
	fprintf(out, "%s used (%u%%), ", figure_size(used, text, sizeof(text)),
		figure_percent(used, size));
	fprintf(out, "%s free", figure_size(map->nfree * style->page_bytes,
					    text, sizeof(text)));
	if (device != NULL && device->bad_bytes > 0)
		fprintf(out, ", %s bad", figure_size(device->bad_bytes, text,
						     sizeof(text)));
	if (device != NULL && device->flags != 0)
		fprintf(out, ", %s", device_flag_words(device, text,
						       sizeof(text)));
	fputs("\n\n", out);
}

/* ------------------------------------------------------------------ strip */

static enum shade
cell_shade(const struct swap_map_cell *cell)
{
	uint64_t used = cell->nblocks - cell->nfree;

	if (cell->nfree >= cell->nblocks)
		return SHADE_FREE;
	if (cell->nfree == 0)
		return SHADE_FULL;
	if (used <= cell->nblocks / 3)
		return SHADE_LOW;
	return used <= cell->nblocks / 3 * 2 ? SHADE_MIDDLE : SHADE_HIGH;
}

static const char *
shade_glyph(const struct map_style *style, enum shade shade)
{
	return style->utf8 ? shades_utf8[shade] : shades_ascii[shade];
}

/* One glyph, its colour begun where the one before it had another. */
static void
put_glyph(FILE *out, const struct map_style *style, enum shade shade,
	  const char **color)
{
	if (style->color && *color != shade_colors[shade]) {
		fprintf(out, "%s%s", *color != NULL ? COLOR_END : "",
			shade_colors[shade]);
		*color = shade_colors[shade];
	}
	fputs(shade_glyph(style, shade), out);
}

static void
put_row(FILE *out, const struct map_style *style,
	const struct swap_device_map *map, size_t first, size_t n)
{
	const char *color = NULL;
	char text[FIGURE_LEN];
	uint64_t block = (uint64_t)((unsigned __int128)map->nblocks * first /
				    map->ncells);

	fprintf(out, "%6s ", figure_size(block * style->page_bytes, text,
					 sizeof(text)));
	for (size_t i = first; i < first + n; i++)
		put_glyph(out, style, cell_shade(&map->cells[i]), &color);
	fprintf(out, "%s\n", color != NULL ? COLOR_END : "");
}

static void
put_legend(FILE *out, const struct map_style *style,
	   const struct swap_device_map *map)
{
	const char *color = NULL;
	char text[FIGURE_LEN];

	fprintf(out, "%6s ", "");
	put_glyph(out, style, SHADE_FREE, &color);
	fprintf(out, "%s free  ", color != NULL ? COLOR_END : "");
	color = NULL;
	for (int shade = SHADE_LOW; shade <= SHADE_HIGH; shade++)
		put_glyph(out, style, (enum shade)shade, &color);
	fprintf(out, "%s partly used  ", color != NULL ? COLOR_END : "");
	color = NULL;
	put_glyph(out, style, SHADE_FULL, &color);
	fprintf(out, "%s full", color != NULL ? COLOR_END : "");
	fprintf(out, "  (%s each)\n\n",
		figure_size(map->nblocks * style->page_bytes / map->ncells,
			    text, sizeof(text)));
}

static void
put_strip(FILE *out, const struct map_style *style,
	  const struct swap_device_map *map)
{
	size_t in_row = row_cells(style);

	if (map->ncells == 0)
		return;
	for (size_t i = 0; i < map->ncells; i += in_row)
		put_row(out, style, map, i, min_u64(in_row, map->ncells - i));
	put_legend(out, style, map);
}

/* ------------------------------------------------------- sums, histogram */

static uint64_t
cluster_bytes(const struct map_style *style, const struct swap_device_map *map)
{
	uint64_t pages = 1;

	while (pages * 2 <= map->cluster_pages)
		pages *= 2;
	return pages * style->page_bytes;
}

static void
put_sums(FILE *out, const struct map_style *style,
	 const struct swap_device_map *map)
{
	char text[2][FIGURE_LEN];
	uint64_t longest = map->largest * style->page_bytes;
	uint64_t nfree = map->nfree * style->page_bytes;

	if (map->nfree == 0) {
		fputs("Free space     none\n", out);
		return;
	}
	fprintf(out, "Free space     %s in %s run%s\n",
		figure_size(nfree, text[0], FIGURE_LEN),
		figure_count(map->nruns, text[1], FIGURE_LEN),
		map->nruns == 1 ? "" : "s");
	fprintf(out, "Longest run    %s, %u%% of it\n",
		figure_size(longest, text[0], FIGURE_LEN),
		figure_percent(longest, nfree));
	fprintf(out, "Fragmentation  %u.%u%% of it in runs shorter than %s\n",
		map->fragmentation / 10, map->fragmentation % 10,
		figure_size(cluster_bytes(style, map), text[0], FIGURE_LEN));
}

/* A bar in eighths of a column; what is not nothing shows. */
static void
put_bar(FILE *out, const struct map_style *style, uint64_t part,
	uint64_t largest, unsigned width)
{
	static const char *const eighths[] = {
		"", "\u258f", "\u258e", "\u258d", "\u258c", "\u258b",
		"\u258a", "\u2589",
	};
	uint64_t n = (uint64_t)((unsigned __int128)part * width * 8 / largest);

	if (!style->utf8)
		n = n / 8 * 8;
	if (n == 0)
		n = style->utf8 ? 1 : 8;
	for (uint64_t i = 0; i < n / 8; i++)
		fputs(style->utf8 ? "\u2588" : "#", out);
	fputs(eighths[n % 8], out);
}

static void
put_rule(FILE *out, const struct map_style *style,
	 const struct swap_device_map *map)
{
	const char *dash = style->utf8 ? "\u2500" : "-";
	char words[64], size[FIGURE_LEN];
	unsigned room = style_width(style) - 3;

	format_cut(words, sizeof(words), " %s: a cluster ",
		   figure_size(cluster_bytes(style, map), size, sizeof(size)));
	fputs("  ", out);
	for (unsigned i = 0; i < 4; i++)
		fputs(dash, out);
	fputs(words, out);
	for (unsigned i = 4 + (unsigned)strlen(words); i < room; i++)
		fputs(dash, out);
	fputc('\n', out);
}

static void
put_class(FILE *out, const struct map_style *style,
	  const struct swap_device_map *map, unsigned i, uint64_t largest)
{
	uint64_t from = (UINT64_C(1) << i) * style->page_bytes;
	char text[4][FIGURE_LEN];
	bool is_short = from < cluster_bytes(style, map);

	fprintf(out, "%6s %6s %12s %7s %5u%%  ",
		figure_size(from, text[0], FIGURE_LEN),
		figure_size(from * 2, text[1], FIGURE_LEN),
		figure_count(map->runs[i], text[2], FIGURE_LEN),
		figure_size(map->blocks[i] * style->page_bytes, text[3],
			    FIGURE_LEN),
		figure_percent(map->blocks[i], map->nfree));
	if (style->color)
		fputs(shade_colors[is_short ? SHADE_LOW : SHADE_FULL], out);
	put_bar(out, style, map->blocks[i], largest,
		style_width(style) - FIGURES_WIDTH);
	fprintf(out, "%s\n", style->color ? COLOR_END : "");
}

static void
put_histogram(FILE *out, const struct map_style *style,
	      const struct swap_device_map *map)
{
	uint64_t largest = 0, cluster = cluster_bytes(style, map);
	bool any_short = false, ruled = false;

	for (unsigned i = 0; i < SWAP_RUN_CLASSES; i++)
		largest = max_u64(largest, map->blocks[i]);
	if (largest == 0)
		return;
	fprintf(out, "\n%s%6s %6s %12s %7s %6s%s\n",
		style->color ? COLOR_BOLD : "", "FROM", "BELOW", "RUNS",
		"FREE", "SHARE", style->color ? COLOR_END : "");
	for (unsigned i = 0; i < SWAP_RUN_CLASSES; i++) {
		if (map->runs[i] == 0)
			continue;
		/* Only between two rows does it divide anything. */
		if ((UINT64_C(1) << i) * style->page_bytes < cluster)
			any_short = true;
		else if (any_short && !ruled) {
			put_rule(out, style, map);
			ruled = true;
		}
		put_class(out, style, map, i, largest);
	}
}

void
map_draw(FILE *out, const struct map_style *style,
	 const struct swap_device_map *map,
	 const struct swap_device_stats *device)
{
	put_heading(out, style, map, device);
	put_strip(out, style, map);
	put_sums(out, style, map);
	put_histogram(out, style, map);
}
