/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The swap lines of fstab(5).
 *
 * A line is of swap by its type, "swap" or the BSDs' "sw".  The options are
 * swapon(8)'s: noauto, nofail, pri=N, discard, discard=once, discard=pages;
 * of the BSDs' own, priority=N and trimonce.  Others are for systemd and the
 * like and are passed over.
 */
#include "fstab.h"

#include <errno.h>
#include <libmount/libmount.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

static int
parse_priority(const char *value, size_t len, struct fstab_line *line)
{
	char text[16];
	int64_t priority;

	format_cut(text, sizeof(text), "%.*s", (int)len, value);
	/* -1, "the kernel's choice", is what mount(8) takes too. */
	if (len >= sizeof(text) ||
	    parse_i64(text, ON_PRIORITY_ANY, SWAP_PRIORITY_MAX,
		      &priority) < 0)
		return -EINVAL;
	line->priority = (int)priority;
	return 0;
}

static int
parse_discard(const char *value, size_t len, struct fstab_line *line)
{
	if (value == NULL || len == 0)
		line->discard = ON_DISCARD_BOTH;
	else if (len == 4 && strncmp(value, "once", len) == 0)
		line->discard = ON_DISCARD_ONCE;
	else if (len == 5 && strncmp(value, "pages", len) == 0)
		line->discard = ON_DISCARD_PAGES;
	else
		return -EINVAL;
	return 0;
}

static bool
is_word(const char *name, size_t len, const char *word)
{
	return strlen(word) == len && strncmp(name, word, len) == 0;
}

static int
parse_option(const char *name, size_t nname, const char *value, size_t nvalue,
	     struct fstab_line *line)
{
	if (is_word(name, nname, "noauto"))
		line->noauto = true;
	else if (is_word(name, nname, "nofail"))
		line->nofail = true;
	else if (is_word(name, nname, "trimonce"))
		line->discard = ON_DISCARD_ONCE;
	else if (is_word(name, nname, "discard"))
		return parse_discard(value, nvalue, line);
	else if (is_word(name, nname, "pri") ||
		 is_word(name, nname, "priority"))
		return value != NULL ? parse_priority(value, nvalue, line) :
				       -EINVAL;
	return 0;
}

static int
parse_options(const char *options, struct fstab_line *line)
{
	char *cursor = NULL, *copy, *name, *value;
	size_t nname, nvalue;
	int r = 0;

	if (options == NULL)
		return 0;
	copy = strdup(options);
	if (copy == NULL)
		return -ENOMEM;
	cursor = copy;
	while (r == 0 && mnt_optstr_next_option(&cursor, &name, &nname,
						&value, &nvalue) == 0) {
		if (parse_option(name, nname, value, nvalue, line) == 0)
			continue;
		line->wrong = strndup(name, (size_t)(cursor - name));
		if (line->wrong == NULL)
			r = -ENOMEM;
		else
			line->wrong[strcspn(line->wrong, ",")] = '\0';
		break;
	}
	free(copy);
	return r;
}

static int
add_line(struct libmnt_fs *fs, struct fstab_line **lines, size_t *n)
{
	struct fstab_line line = { .priority = ON_PRIORITY_ANY }, *more;
	const char *source = mnt_fs_get_source(fs);
	int r;

	if (source == NULL)
		return 0;
	more = realloc(*lines, (*n + 1) * sizeof(*more));
	if (more == NULL)
		return -ENOMEM;
	*lines = more;
	line.source = strdup(source);
	if (line.source == NULL)
		return -ENOMEM;
	r = parse_options(mnt_fs_get_options(fs), &line);
	more[(*n)++] = line;
	return r;
}

static bool
is_swap(struct libmnt_fs *fs)
{
	const char *type = mnt_fs_get_fstype(fs);

	return type != NULL && (strcmp(type, "swap") == 0 ||
				strcmp(type, "sw") == 0);
}

static int
collect(struct libmnt_table *table, struct fstab_line **lines, size_t *n)
{
	struct libmnt_iter *iter = mnt_new_iter(MNT_ITER_FORWARD);
	struct libmnt_fs *fs;
	int r = iter != NULL ? 0 : -ENOMEM;

	while (r == 0 && mnt_table_next_fs(table, iter, &fs) == 0)
		if (is_swap(fs))
			r = add_line(fs, lines, n);
	mnt_free_iter(iter);
	return r;
}

int
fstab_read(const char *path, struct fstab_line **ret_lines, size_t *ret_n)
{
	struct libmnt_table *table = mnt_new_table();
	struct fstab_line *lines = NULL;
	size_t n = 0;
	int r;

	if (table == NULL)
		return -ENOMEM;
	r = mnt_table_parse_fstab(table, path);
	if (r > 0)
		r = -EINVAL;
	if (r == 0)
		r = collect(table, &lines, &n);
	mnt_unref_table(table);
	if (r < 0) {
		fstab_free(lines, n);
		return r;
	}
	*ret_lines = lines;
	*ret_n = n;
	return 0;
}

void
fstab_free(struct fstab_line *lines, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(lines[i].source);
		free(lines[i].wrong);
	}
	free(lines);
}
