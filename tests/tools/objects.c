/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * objects - a client that does to its objects what a script says
 *
 *	objects PAGER < SCRIPT
 *
 * Commands, one a line; NAME is a word, offsets and lengths are in pages.
 * Each is answered with a line: "ok" and what there is to say, or the errno's
 * name and the sentence.
 *
 *	create NAME PAGES [noswap] [exact]
 *	open NAME			an object that another process has
 *	fill NAME SEED OFFSET PAGES	write every word
 *	check NAME SEED OFFSET PAGES [AT]  verify every word, as "fill" wrote
 *					it at offset AT (without it: here)
 *	zero NAME OFFSET PAGES		verify that every byte is 0
 *	get NAME OFFSET PAGES WANTED [all] [nowait]
 *					count, and the states as "4r2a1r"
 *	flush NAME OFFSET PAGES [deactivate] [free]
 *	reserve NAME OFFSET PAGES
 *	unreserve NAME OFFSET PAGES
 *	haspage NAME OFFSET		has it, and pages before and after
 *	copy FROM OFFSET TO OFFSET PAGES [destroy]
 *	allow NAME
 *	wire NAME OFFSET PAGES
 *	unwire NAME OFFSET PAGES
 *	writable NAME yes|no
 *	unmap NAME
 *	close NAME
 *	quit				as does the end of the script
 *
 * An object is mapped when it is first touched.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compiler.h"
#include "swap.h"
#include "util.h"

#define ITEMS_MAX	64u

struct item {
	char		name[32];
	struct swap_client_object *object;
	struct swap_client_region *region;
};

struct script {
	struct swap_client *client;
	struct item	 items[ITEMS_MAX];
	char		*words[8];	/* of this line; "" beyond them */
	struct swap_error error;
};

static struct item *
find(struct script *s, const char *name)
{
	for (size_t i = 0; i < ITEMS_MAX; i++)
		if (strcmp(s->items[i].name, name) == 0)
			return &s->items[i];
	printf("there is no object '%s'\n", name);
	exit(2);
}

/* A number of pages, in bytes. */
static uint64_t
pages(const struct script *s, size_t word)
{
	return strtoull(s->words[word], NULL, 0) * page_bytes();
}

static bool
said(const struct script *s, const char *word)
{
	for (size_t i = 0; i < ARRAY_SIZE(s->words); i++)
		if (strcmp(s->words[i], word) == 0)
			return true;
	return false;
}

/* The address of a page of an object, which is mapped whole. */
static uint64_t *
address(struct script *s, struct item *item, uint64_t offset)
{
	if (item->region == NULL &&
	    swap_client_map(item->object, NULL, 0,
			    swap_client_object_size(item->object),
			    &item->region, &s->error) < 0) {
		printf("cannot map: %s\n", s->error.message);
		exit(2);
	}
	return (uint64_t *)(void *)((char *)swap_client_region_address(
					item->region) + offset);
}

static uint64_t
word(uint64_t seed, uint64_t i)
{
	return (i + 1) * UINT64_C(0x9e3779b97f4a7c15) ^ seed << 32;
}

/* ---------------------------------------------------------------- commands */

static int64_t
do_create(struct script *s)
{
	struct item *item = find(s, "");
	unsigned flags = (said(s, "noswap") ? SWAP_OBJECT_NOSWAP : 0) |
			 (said(s, "exact") ? SWAP_OBJECT_EXACT : 0);
	int r = swap_client_object_create(s->client, s->words[1], pages(s, 2),
					  flags, &item->object, &s->error);

	if (r == 0)
		format_cut(item->name, sizeof(item->name), "%s", s->words[1]);
	return r;
}

static int64_t
do_open(struct script *s)
{
	struct item *item = find(s, "");
	int r = swap_client_object_open(s->client, s->words[1], &item->object,
					&s->error);

	if (r == 0)
		format_cut(item->name, sizeof(item->name), "%s", s->words[1]);
	return r;
}

static int64_t
do_fill(struct script *s)
{
	uint64_t offset = pages(s, 3), n = pages(s, 4) / 8;
	uint64_t seed = strtoull(s->words[2], NULL, 0);
	uint64_t *p = address(s, find(s, s->words[1]), offset);

	for (uint64_t i = 0; i < n; i++)
		p[i] = word(seed, offset / 8 + i);
	return 0;
}

static int64_t
do_check(struct script *s)
{
	uint64_t offset = pages(s, 3), n = pages(s, 4) / 8;
	uint64_t seed = strtoull(s->words[2], NULL, 0), wrong = 0;
	uint64_t at = s->words[5][0] != '\0' ? pages(s, 5) : offset;
	const uint64_t *p = address(s, find(s, s->words[1]), offset);

	for (uint64_t i = 0; i < n; i++)
		wrong += p[i] != word(seed, at / 8 + i);
	if (wrong > 0)
		printf("WRONG %" PRIu64 " words\n", wrong);
	return wrong > 0 ? 1 : 0;
}

static int64_t
do_zero(struct script *s)
{
	uint64_t n = pages(s, 3) / 8, wrong = 0;
	const uint64_t *p = address(s, find(s, s->words[1]), pages(s, 2));

	for (uint64_t i = 0; i < n; i++)
		wrong += p[i] != 0;
	if (wrong > 0)
		printf("WRONG %" PRIu64 " words are not zero\n", wrong);
	return wrong > 0 ? 1 : 0;
}

static void
put_states(const uint8_t *states, uint64_t n)
{
	for (uint64_t i = 0, run; i < n; i += run) {
		for (run = 1; i + run < n && states[i + run] == states[i];)
			run++;
		printf("%" PRIu64 "%c", run, "arbl"[states[i]]);
	}
	putchar('\n');
}

static int64_t
do_get(struct script *s)
{
	uint64_t n = strtoull(s->words[3], NULL, 0);
	uint8_t *states = calloc(n + 1, 1);
	int64_t r;

	memset(states, SWAP_PAGE_ABSENT, n);
	r = swap_client_get(find(s, s->words[1])->object, pages(s, 2),
			    n * page_bytes(), pages(s, 4),
			    (said(s, "all") ? SWAP_GET_ALL : 0) |
			    (said(s, "nowait") ? SWAP_GET_NOWAIT : 0),
			    states, &s->error);
	if (r >= 0)
		printf("ok %" PRId64 " ", r);
	else
		printf("%s ", strerrorname_np((int)-r));
	put_states(states, n);
	free(states);
	return 1;
}

static int64_t
do_flush(struct script *s)
{
	return swap_client_flush(find(s, s->words[1])->object, pages(s, 2),
				 pages(s, 3),
				 (said(s, "deactivate") ? SWAP_FLUSH_DEACTIVATE
							: 0) |
				 (said(s, "free") ? SWAP_FLUSH_FREE : 0),
				 &s->error);
}

static int64_t
do_reserve(struct script *s)
{
	return swap_client_reserve(find(s, s->words[1])->object, pages(s, 2),
				   pages(s, 3), &s->error);
}

static int64_t
do_unreserve(struct script *s)
{
	return swap_client_unreserve(find(s, s->words[1])->object,
				     pages(s, 2), pages(s, 3));
}

static int64_t
do_haspage(struct script *s)
{
	uint64_t before = 0, after = 0;
	int r = swap_client_haspage(find(s, s->words[1])->object, pages(s, 2),
				    &before, &after);

	if (r < 0)
		return r;
	printf("ok %d %" PRIu64 " %" PRIu64 "\n", r, before / page_bytes(),
	       after / page_bytes());
	return 1;
}

static int64_t
do_copy(struct script *s)
{
	return swap_client_copy(find(s, s->words[1])->object, pages(s, 2),
				find(s, s->words[3])->object, pages(s, 4),
				pages(s, 5),
				said(s, "destroy") ? SWAP_COPY_DESTROY : 0,
				&s->error);
}

static int64_t
do_allow(struct script *s)
{
	return swap_client_allow_swap(find(s, s->words[1])->object);
}

static int64_t
do_wire(struct script *s)
{
	struct item *item = find(s, s->words[1]);

	(void)address(s, item, 0);
	return swap_client_wire(item->region, pages(s, 2), pages(s, 3),
				&s->error);
}

static int64_t
do_unwire(struct script *s)
{
	return swap_client_unwire(find(s, s->words[1])->region, pages(s, 2),
				  pages(s, 3));
}

static int64_t
do_writable(struct script *s)
{
	struct item *item = find(s, s->words[1]);

	(void)address(s, item, 0);
	return swap_client_set_writable(item->region, said(s, "yes"));
}

static int64_t
do_unmap(struct script *s)
{
	struct item *item = find(s, s->words[1]);
	int r = 0;

	if (item->region != NULL)
		r = swap_client_unmap(item->region);
	item->region = NULL;
	return r;
}

static int64_t
do_close(struct script *s)
{
	struct item *item = find(s, s->words[1]);
	int64_t r = do_unmap(s);

	swap_client_object_close(item->object);
	memset(item, 0, sizeof(*item));
	return r;
}

static const struct {
	const char	*name;
	int64_t		(*run)(struct script *s);
} commands[] = {
	{ "create", do_create }, { "open", do_open }, { "fill", do_fill },
	{ "check", do_check }, { "zero", do_zero }, { "get", do_get },
	{ "flush", do_flush }, { "reserve", do_reserve },
	{ "unreserve", do_unreserve }, { "haspage", do_haspage },
	{ "copy", do_copy }, { "allow", do_allow }, { "wire", do_wire },
	{ "unwire", do_unwire }, { "writable", do_writable },
	{ "unmap", do_unmap }, { "close", do_close },
};

static void
obey(struct script *s, char *line)
{
	static char nothing[] = "";
	char *save, *text = strtok_r(line, " \t\n", &save);
	int64_t r = -ENOSYS;

	for (size_t i = 0; i < ARRAY_SIZE(s->words); i++) {
		s->words[i] = text != NULL ? text : nothing;
		text = text != NULL ? strtok_r(NULL, " \t\n", &save) : NULL;
	}
	s->error.message[0] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (strcmp(commands[i].name, s->words[0]) == 0)
			r = commands[i].run(s);
	if (r == 0)
		puts("ok");
	else if (r < 0)
		printf("%s %s\n", strerrorname_np((int)-r),
		       s->error.message);
	fflush(stdout);
}

int
main(int argc, char **argv)
{
	struct script s = { 0 };
	char line[256];

	if (argc != 2)
		return 2;
	if (swap_client_connect(argv[1], &s.client, &s.error) < 0) {
		printf("objects: %s\n", s.error.message);
		return 1;
	}
	while (fgets(line, sizeof(line), stdin) != NULL &&
	       strcmp(line, "quit\n") != 0)
		if (line[0] != '\n' && line[0] != '#')
			obey(&s, line);
	for (size_t i = 0; i < ITEMS_MAX; i++) {
		if (s.items[i].region != NULL)
			swap_client_unmap(s.items[i].region);
		if (s.items[i].object != NULL)
			swap_client_object_close(s.items[i].object);
	}
	swap_client_close(s.client);
	return 0;
}
