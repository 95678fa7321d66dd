/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Paths.
 *
 * Names are short and cannot leave their directory: no slash, no dot first.
 * The address of a Unix socket has room for 107 bytes, and a path that does
 * not fit is refused with both numbers instead of being cut.
 */
#include "path.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../util.h"

#define ROOT_DIRECTORY	"/run/swapd"
#define SUFFIX		".sock"
/* More pagers than this in one directory are not looked at. */
#define LIST_MAX	4096u

static const char *
environment(const char *name)
{
	const char *value = secure_getenv(name);

	return value != NULL && value[0] != '\0' ? value : NULL;
}

static int
check_name(const char *name, struct swap_error *error)
{
	const char *p;

	if (strlen(name) > PAGER_NAME_MAX)
		return error_set(error, -EINVAL, "pager name '%.80s%s' is "
				 "longer than %u bytes; choose a shorter one",
				 name, strlen(name) > 80 ? "..." : "",
				 PAGER_NAME_MAX);
	if (name[0] == '\0' || name[0] == '.')
		return error_set(error, -EINVAL, "pager name '%s': a name is "
				 "not empty and does not begin with a dot",
				 name);
	for (p = name; *p != '\0'; p++)
		if ((unsigned char)*p <= ' ' || *p == 0x7f)
			return error_set(error, -EINVAL, "a pager name has no "
					 "blanks or control characters");
	return 0;
}

static int
put_path(char *buf, size_t size, const char *directory, const char *name,
	 const char *suffix, struct swap_error *error)
{
	int n = snprintf(buf, size, "%s%s%s%s", directory,
			 directory[0] != '\0' ? "/" : "", name, suffix);

	if (n >= 0 && (size_t)n < size)
		return 0;
	return error_set(error, -ENAMETOOLONG, "the socket path "
			 "'%.100s%s%.80s%s%s' is %d bytes long, a Unix socket "
			 "can have %u; choose a shorter name or directory "
			 "(SWAPD_RUNTIME_DIR)", directory,
			 directory[0] != '\0' ? "/" : "", name,
			 strlen(name) > 80 ? "..." : "", suffix, n,
			 PAGER_PATH_SIZE - 1);
}

/*
 * The directory of this user's own pagers.
 */
static int
own_directory(char *buf, size_t size, struct swap_error *error)
{
	const char *dir = environment("SWAPD_RUNTIME_DIR");
	const char *suffix = "";
	int n;

	if (dir == NULL && geteuid() == 0) {
		dir = ROOT_DIRECTORY;
	} else if (dir == NULL) {
		dir = environment("XDG_RUNTIME_DIR");
		suffix = "/swapd";
	}
	if (dir == NULL)
		return error_set(error, -ENOENT, "XDG_RUNTIME_DIR is not set, "
				 "so there is no place for a socket; set it, "
				 "or SWAPD_RUNTIME_DIR");
	n = snprintf(buf, size, "%s%s", dir, suffix);
	if (n < 0 || (size_t)n >= size)
		return error_set(error, -ENAMETOOLONG, "the directory "
				 "'%.200s%s' for sockets is %d bytes long, a "
				 "Unix socket's path can have %u; set "
				 "SWAPD_RUNTIME_DIR to a shorter one", dir,
				 suffix, n, PAGER_PATH_SIZE - 1);
	return 0;
}

static const char *
default_name(const char *pager)
{
	if (pager == NULL)
		pager = environment("SWAPCTL_PAGER");
	return pager != NULL ? pager : PAGER_NAME_DEFAULT;
}

/* Is root's directory to be looked into as well? */
static bool
falls_back(void)
{
	return geteuid() != 0 && environment("SWAPD_RUNTIME_DIR") == NULL;
}

int
path_client(const char *pager, char ret_path[PAGER_PATH_SIZE],
	    struct swap_error *error)
{
	char dir[PAGER_PATH_SIZE];
	int r;

	pager = default_name(pager);
	if (strchr(pager, '/') != NULL)
		return put_path(ret_path, PAGER_PATH_SIZE, "", pager, "",
				error);
	r = check_name(pager, error);
	if (r < 0)
		return r;
	r = own_directory(dir, sizeof(dir), error);
	if (r < 0 && !falls_back())
		return r;
	if (r == 0)
		r = put_path(ret_path, PAGER_PATH_SIZE, dir, pager, SUFFIX,
			     error);
	if (falls_back() && (r < 0 || access(ret_path, F_OK) < 0))
		r = put_path(ret_path, PAGER_PATH_SIZE, ROOT_DIRECTORY, pager,
			     SUFFIX, error);
	return r;
}

/* ----------------------------------------------------------------- server */

/* Cut the path of a socket into directory and name. */
static int
split_path(const char *path, struct pager_paths *p, struct swap_error *error)
{
	const char *slash = strrchr(path, '/');
	size_t len = strlen(slash + 1);
	char name[PAGER_PATH_SIZE];

	if (strlen(path) >= PAGER_PATH_SIZE)
		return put_path(p->socket, PAGER_PATH_SIZE, "", path, "",
				error);
	if (len > strlen(SUFFIX) &&
	    strcmp(slash + 1 + len - strlen(SUFFIX), SUFFIX) == 0)
		len -= strlen(SUFFIX);
	format_cut(name, sizeof(name), "%.*s", (int)len, slash + 1);
	if (check_name(name, error) < 0)
		return -EINVAL;
	format_cut(p->name, sizeof(p->name), "%s", name);
	format_cut(p->directory, sizeof(p->directory), "%.*s",
		   slash == path ? 1 : (int)(slash - path), path);
	return put_path(p->socket, sizeof(p->socket), "", path, "", error);
}

static int
standard_paths(const char *pager, struct pager_paths *p,
	       struct swap_error *error)
{
	int r;

	r = check_name(pager, error);
	if (r < 0)
		return r;
	r = own_directory(p->directory, sizeof(p->directory), error);
	if (r < 0)
		return r;
	format_cut(p->name, sizeof(p->name), "%s", pager);
	p->make_directory = true;
	return put_path(p->socket, sizeof(p->socket), p->directory, pager,
			SUFFIX, error);
}

int
path_server(const char *pager, struct pager_paths *ret_paths,
	    struct swap_error *error)
{
	struct pager_paths p;
	int r;

	memset(&p, 0, sizeof(p));
	pager = default_name(pager);
	r = strchr(pager, '/') != NULL ? split_path(pager, &p, error)
				       : standard_paths(pager, &p, error);
	if (r < 0)
		return r;
	r = put_path(p.lock, sizeof(p.lock), p.directory, p.name, ".lock",
		     error);
	if (r == 0)
		r = put_path(p.state, sizeof(p.state), p.directory, p.name,
			     ".state", error);
	if (r == 0)
		*ret_paths = p;
	return r;
}

/* ---------------------------------------------------------------- listing */

struct list {
	struct pager_entry	*entries;
	size_t			 n;
	size_t			 room;
};

static bool
list_has(const struct list *list, const char *name)
{
	size_t i;

	for (i = 0; i < list->n; i++)
		if (strcmp(list->entries[i].name, name) == 0)
			return true;
	return false;
}

static int
list_add(struct list *list, const char *dir, const char *name)
{
	struct pager_entry *e;

	if (list->n == list->room) {
		size_t room = list->room == 0 ? 8 : list->room * 2;

		e = realloc(list->entries, room * sizeof(*e));
		if (e == NULL)
			return -ENOMEM;
		list->entries = e;
		list->room = room;
	}
	e = &list->entries[list->n];
	if (put_path(e->path, sizeof(e->path), dir, name, SUFFIX, NULL) < 0)
		return 0;
	format_cut(e->name, sizeof(e->name), "%s", name);
	list->n++;
	return 0;
}

/* A file NAME.sock with a valid name that is not in the list yet. */
static int
list_file(struct list *list, const char *dir, const char *file)
{
	char name[PAGER_NAME_MAX + 1];
	size_t len = strlen(file);

	if (len <= strlen(SUFFIX) || len - strlen(SUFFIX) > PAGER_NAME_MAX ||
	    strcmp(file + len - strlen(SUFFIX), SUFFIX) != 0)
		return 0;
	format_cut(name, sizeof(name), "%.*s", (int)(len - strlen(SUFFIX)),
		   file);
	if (check_name(name, NULL) < 0 || list_has(list, name))
		return 0;
	return list_add(list, dir, name);
}

static int
list_directory(struct list *list, const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *entry;
	int r = 0;

	if (d == NULL)
		return errno == ENOMEM || errno == EMFILE ? -errno : 0;
	while (r == 0 && list->n < LIST_MAX && (entry = readdir(d)) != NULL)
		r = list_file(list, dir, entry->d_name);
	closedir(d);
	return r;
}

static int
entry_compare(const void *a, const void *b)
{
	const struct pager_entry *x = a;
	const struct pager_entry *y = b;

	return strcmp(x->name, y->name);
}

int
pager_list(struct pager_entry **ret_entries, size_t *ret_n)
{
	struct list list = { NULL, 0, 0 };
	char dir[PAGER_PATH_SIZE];
	int r = 0;

	if (own_directory(dir, sizeof(dir), NULL) == 0)
		r = list_directory(&list, dir);
	if (r == 0 && falls_back())
		r = list_directory(&list, ROOT_DIRECTORY);
	if (r < 0) {
		free(list.entries);
		return r;
	}
	if (list.n > 1)
		qsort(list.entries, list.n, sizeof(list.entries[0]),
		      entry_compare);
	*ret_entries = list.entries;
	*ret_n = list.n;
	return 0;
}

void
pager_list_free(struct pager_entry *entries, size_t n)
{
	(void)n;
	free(entries);
}
