/* SPDX-License-Identifier: BSD-2-Clause */
/* Unit tests of the picture that "swapctl map" draws of a device. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cmd/map-draw.h"
#include "compiler.h"

#define PAGE	4096u

/*
 * The map of a device from its blocks: 'u' used, '.' free.  What a swapd
 * answers, worked out in the plainest way.
 */
static void
make_map(const char *blocks, size_t ncells, struct swap_device_map *map)
{
	uint64_t n = strlen(blocks), run = 0, in_short = 0;

	memset(map, 0, sizeof(*map));
	strcpy(map->path, "/dev/x");
	map->nblocks = n;
	map->cluster_pages = 5;	/* counts as 4 */
	for (uint64_t i = 0; i <= n; i++) {
		unsigned order = 0;

		if (i < n && blocks[i] == '.') {
			run++;
			continue;
		}
		if (run == 0)
			continue;
		while (run >> (order + 1) != 0)
			order++;
		map->runs[order]++;
		map->blocks[order] += run;
		map->nruns++;
		map->nfree += run;
		map->largest = max_u64(map->largest, run);
		in_short += run < 4 ? run : 0;
		run = 0;
	}
	if (map->nfree > 0)
		map->fragmentation = (unsigned)(in_short * 1000 / map->nfree);
	map->ncells = ncells;
	map->cells = calloc(ncells + 1, sizeof(*map->cells));
	for (size_t c = 0; c < ncells; c++) {
		uint64_t end = n * (c + 1) / ncells;

		for (uint64_t i = n * c / ncells; i < end; i++) {
			map->cells[c].nblocks++;
			map->cells[c].nfree += blocks[i] == '.';
		}
	}
}

/* The picture, to be freed. */
static char *
draw(const struct map_style *style, const char *blocks,
     const struct swap_device_stats *device)
{
	struct swap_device_map map;
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	make_map(blocks, map_draw_ncells(style, strlen(blocks)), &map);
	map_draw(out, style, &map, device);
	fclose(out);
	free(map.cells);
	return text;
}

static void
small_device(void **state)
{
	const struct map_style style = { 60, false, false, PAGE };
	struct swap_device_stats device = {
		.size_bytes = 38 * PAGE, .used_bytes = 20 * PAGE,
		.bad_bytes = PAGE, .flags = SWAP_DEVICE_CLOSING,
	};
	char *text = draw(&style, "uuu.u..uuuuuuuu...uuuuu........uuuuu...u",
			  &device);

	(void)state;
	/* A cell a block; nothing of it is only partly used. */
	assert_string_equal(text,
"/dev/x: 152K, 80K used (53%), 68K free, 4K bad, closing\n"
"\n"
"    0B ###.#..########...#####........#####...#\n"
"       . free  -=% partly used  # full  (4K each)\n"
"\n"
"Free space     68K in 5 runs\n"
"Longest run    32K, 47% of it\n"
"Fragmentation  52.9% of it in runs shorter than 16K\n"
"\n"
"  FROM  BELOW         RUNS    FREE  SHARE\n"
"    4K     8K            1      4K     6%  ##\n"
"    8K    16K            3     32K    47%  ################\n"
"  ---- 16K: a cluster -------------------------------------\n"
"   32K    64K            1     32K    47%  ################\n");
	free(text);
}

static void
full_and_empty(void **state)
{
	const struct map_style style = { 60, true, false, PAGE };
	char *text;

	(void)state;
	text = draw(&style, "uuuuuuuu", NULL);
	assert_non_null(strstr(text, "32K used (100%), 0B free\n"));
	assert_non_null(strstr(text, "    0B ████████\n"));
	assert_non_null(strstr(text, "Free space     none\n"));
	assert_null(strstr(text, "Fragmentation"));
	assert_null(strstr(text, "FROM"));
	free(text);
	text = draw(&style, "........", NULL);
	assert_non_null(strstr(text, "    0B ········\n"));
	assert_non_null(strstr(text, "Longest run    32K, 100% of it\n"));
	/* No rule where it would divide nothing. */
	assert_null(strstr(text, "a cluster"));
	free(text);
}

/* Only what is quite free or quite full is shown so, by glyphs alone. */
static void
shades(void **state)
{
	const struct map_style style = { 56, false, false, PAGE };
	char blocks[48 * 2 * 6 + 1] = "";
	struct swap_device_map map;
	char *text = NULL;
	size_t size;
	FILE *out;

	(void)state;
	/* The n-th six blocks have n % 7 used ones. */
	for (size_t i = 0; i < sizeof(blocks) - 1; i++)
		blocks[i] = i % 6 < i / 6 % 7 ? 'u' : '.';
	make_map(blocks, 96, &map);
	out = open_memstream(&text, &size);
	map_draw(out, &style, &map, NULL);
	fclose(out);
	free(map.cells);
	assert_non_null(strstr(text,
"    0B .--==%#.--==%#.--==%#.--==%#.--==%#.--==%#.--==%\n"
"  1.1M #.--==%#.--==%#.--==%#.--==%#.--==%#.--==%#.--==\n"));
	assert_non_null(strstr(text, "(24K each)"));
	free(text);
}

/* Columns of a line, escape sequences left out. */
static size_t
columns(const char *line, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		if (line[i] == '\033') {
			while (line[i] != 'm')
				i++;
			continue;
		}
		n += (line[i] & 0xc0) != 0x80;
	}
	return n;
}

/* Whatever the width and the style, no line is longer than that. */
static void
fits(void **state)
{
	char blocks[5001] = "";

	(void)state;
	for (size_t i = 0; i < sizeof(blocks) - 1; i++)
		blocks[i] = i * i % 97 < 40 + i / 200 ? 'u' : '.';
	for (unsigned i = 0; i < 8 * 300; i++) {
		const struct map_style style = {
			i / 8, i & 1, i & 2, i & 4 ? PAGE : UINT64_C(1) << 40,
		};
		char *text = draw(&style, blocks, NULL), *line = text;

		while (*line != '\0') {
			size_t len = strcspn(line, "\n");

			if (columns(line, len) > max_u64(style.width, 56))
				fail_msg("width %u: %.*s", style.width,
					 (int)len, line);
			line += len + (line[len] == '\n');
		}
		/* Colours come in pairs, and only where they are wanted. */
		assert_int_equal(strchr(text, '\033') != NULL, style.color);
		free(text);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(small_device),
		cmocka_unit_test(full_and_empty),
		cmocka_unit_test(shades),
		cmocka_unit_test(fits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
