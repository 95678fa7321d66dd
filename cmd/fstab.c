/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The swap lines of fstab(5).
 *
 * A line is of swap by its type, "swap" or the BSDs' "sw".  The options are
 * swapon(8)'s: noauto, nofail, pri=N, discard, discard=once, discard=pages;
 * of the BSDs' own, priority=N and trimonce.  Others are for systemd and the
 * like and are passed over.
 *
 * libmount brings three more libraries with it, and takes longer to load than
 * turning off an idle device may take; so it is loaded when it is needed, and
 * stays.
 */
#include "fstab.h"

#include <dlfcn.h>
#include <errno.h>
#include <libmount/libmount.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

/* What is called of libmount. */
struct mount_calls {
	__typeof__(mnt_new_table)		*new_table;
	__typeof__(mnt_unref_table)		*unref_table;
	__typeof__(mnt_table_parse_fstab)	*table_parse_fstab;
	__typeof__(mnt_table_next_fs)		*table_next_fs;
	__typeof__(mnt_new_iter)		*new_iter;
	__typeof__(mnt_free_iter)		*free_iter;
	__typeof__(mnt_fs_get_source)		*fs_get_source;
	__typeof__(mnt_fs_get_fstype)		*fs_get_fstype;
	__typeof__(mnt_fs_get_options)		*fs_get_options;
	__typeof__(mnt_optstr_next_option)	*optstr_next_option;
};

/* -ELIBACC: there is no libmount, or not the one that is known here. */
static int
mount_load(struct mount_calls *mnt)
{
	const struct {
		const char	*name;
		void		*call;	/* a pointer to a function, within */
	} names[] = {
		{ "mnt_new_table", &mnt->new_table },
		{ "mnt_unref_table", &mnt->unref_table },
		{ "mnt_table_parse_fstab", &mnt->table_parse_fstab },
		{ "mnt_table_next_fs", &mnt->table_next_fs },
		{ "mnt_new_iter", &mnt->new_iter },
		{ "mnt_free_iter", &mnt->free_iter },
		{ "mnt_fs_get_source", &mnt->fs_get_source },
		{ "mnt_fs_get_fstype", &mnt->fs_get_fstype },
		{ "mnt_fs_get_options", &mnt->fs_get_options },
		{ "mnt_optstr_next_option", &mnt->optstr_next_option },
	};
	void *library = dlopen("libmount.so.1", RTLD_LAZY | RTLD_NODELETE);
	void *at;

	if (library == NULL)
		return -ELIBACC;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		at = dlsym(library, names[i].name);
		if (at == NULL)
			return -ELIBACC;
		memcpy(names[i].call, &at, sizeof(at));
	}
	return 0;
}

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
parse_options(const struct mount_calls *mnt, const char *options,
	      struct fstab_line *line)
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
	while (r == 0 && mnt->optstr_next_option(&cursor, &name, &nname,
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
add_line(const struct mount_calls *mnt, struct libmnt_fs *fs,
	 struct fstab_line **lines, size_t *n)
{
	struct fstab_line line = { .priority = ON_PRIORITY_ANY }, *more;
	const char *source = mnt->fs_get_source(fs);
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
	r = parse_options(mnt, mnt->fs_get_options(fs), &line);
	more[(*n)++] = line;
	return r;
}

static bool
is_swap(const struct mount_calls *mnt, struct libmnt_fs *fs)
{
	const char *type = mnt->fs_get_fstype(fs);

	return type != NULL && (strcmp(type, "swap") == 0 ||
				strcmp(type, "sw") == 0);
}

static int
collect(const struct mount_calls *mnt, struct libmnt_table *table,
	struct fstab_line **lines, size_t *n)
{
	struct libmnt_iter *iter = mnt->new_iter(MNT_ITER_FORWARD);
	struct libmnt_fs *fs;
	int r = iter != NULL ? 0 : -ENOMEM;

	while (r == 0 && mnt->table_next_fs(table, iter, &fs) == 0)
		if (is_swap(mnt, fs))
			r = add_line(mnt, fs, lines, n);
	mnt->free_iter(iter);
	return r;
}

int
fstab_read(const char *path, struct fstab_line **ret_lines, size_t *ret_n)
{
	struct fstab_line *lines = NULL;
	struct libmnt_table *table;
	struct mount_calls mnt;
	size_t n = 0;
	int r = mount_load(&mnt);

	if (r < 0)
		return r;
	table = mnt.new_table();
	if (table == NULL)
		return -ENOMEM;
	r = mnt.table_parse_fstab(table, path);
	if (r > 0)
		r = -EINVAL;
	if (r == 0)
		r = collect(&mnt, table, &lines, &n);
	mnt.unref_table(table);
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
