/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The state directory.
 *
 * A swapd that hands its memory over removes its state directory at the end.
 * One that is there when a swapd starts comes from a crash (the caller holds
 * the lock of the name, so nobody is using it).  Processes with regions may
 * then be waiting for pages that only the old maps and devices can give back;
 * as long as one of them lives, throwing the maps away is for a person to
 * decide.
 *
 * The record is written to a new file that is renamed over the old one, so
 * that a crash at any moment leaves one or the other.
 */
#include "state.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../util.h"

#define CLIENTS_FILE	"clients"
#define CLIENTS_NEW	"clients.new"
/* A record that is longer than this was not written by a swapd. */
#define CLIENTS_BYTES	((size_t)1 << 20)
/* Processes named in one sentence. */
#define NAMED_MAX	10u

/* Read a small file whole; the number of bytes, without the final NUL. */
static ssize_t
read_file(int dirfd, const char *name, char *buf, size_t size)
{
	int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	size_t len = 0;
	ssize_t n;

	if (fd < 0)
		return -errno;
	do {
		n = read(fd, buf + len, size - 1 - len);
		if (n > 0)
			len += (size_t)n;
	} while (n > 0 && len < size - 1);
	n = n < 0 ? -errno : (ssize_t)len;
	close(fd);
	buf[len] = '\0';
	return n;
}

uint64_t
state_starttime(pid_t pid)
{
	char path[32], text[1024];
	uint64_t start;
	const char *p;
	int field;

	format_cut(path, sizeof(path), "/proc/%d/stat", (int)pid);
	if (read_file(AT_FDCWD, path, text, sizeof(text)) <= 0)
		return 0;
	/* The name, field 2, may hold blanks and parentheses. */
	p = strrchr(text, ')');
	if (p == NULL)
		return 0;
	if (strncmp(p, ") Z", 3) == 0 || strncmp(p, ") X", 3) == 0)
		return 0;
	for (field = 2; field < 22; field++) {
		p = strchr(p + 1, ' ');
		if (p == NULL)
			return 0;
	}
	if (sscanf(p, "%" SCNu64, &start) != 1)
		return 0;
	return start;
}

static int
write_new(int dirfd, const char *text, size_t len)
{
	int fd, r;

	fd = openat(dirfd, CLIENTS_NEW, O_WRONLY | O_CREAT | O_TRUNC |
		    O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	r = pwrite_full(fd, text, len, 0);
	close(fd);
	if (r == 0 && renameat(dirfd, CLIENTS_NEW, dirfd, CLIENTS_FILE) < 0)
		r = -errno;
	return r;
}

int
state_write_clients(const char *dir, const struct state_client *clients,
		    size_t n)
{
	const size_t line = sizeof("2147483647 18446744073709551615\n");
	size_t i, len = 0, size = n * line + 1;
	char *text;
	int dirfd, r;

	dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0)
		return -errno;
	text = malloc(size);
	if (text == NULL) {
		close(dirfd);
		return -ENOMEM;
	}
	text[0] = '\0';
	for (i = 0; i < n; i++) {
		format_cut(text + len, size - len, "%d %" PRIu64 "\n",
			   (int)clients[i].pid, clients[i].starttime);
		len += strlen(text + len);
	}
	r = write_new(dirfd, text, len);
	free(text);
	close(dirfd);
	return r;
}

/* --------------------------------------------------------------- leftover */

struct waiting {
	unsigned n;		/* processes that live */
	pid_t	 last;
	char	 pids[128];	/* the first of them, as text */
};

/* One line of the record; what is none is skipped. */
static void
waiting_line(struct waiting *w, const char *line)
{
	uint64_t start;
	size_t len = strlen(w->pids);
	pid_t pid;

	if (sscanf(line, "%d %" SCNu64, &pid, &start) != 2 || pid <= 0 ||
	    pid == w->last)
		return;
	if (state_starttime(pid) != start || start == 0)
		return;
	w->last = pid;
	if (w->n++ < NAMED_MAX)
		format_cut(w->pids + len, sizeof(w->pids) - len, "%s%d",
			   len == 0 ? "" : ", ", (int)pid);
	else if (w->n == NAMED_MAX + 1)
		format_cut(w->pids + len, sizeof(w->pids) - len, ", ...");
}

static int
waiting_read(int dirfd, struct waiting *w)
{
	char *text = malloc(CLIENTS_BYTES);
	char *line, *next;
	ssize_t n;

	if (text == NULL)
		return -ENOMEM;
	n = read_file(dirfd, CLIENTS_FILE, text, CLIENTS_BYTES);
	for (line = text; n > 0 && *line != '\0'; line = next) {
		next = strchr(line, '\n');
		if (next == NULL)
			break;
		*next++ = '\0';
		waiting_line(w, line);
	}
	free(text);
	return n < 0 && n != -ENOENT ? (int)n : 0;
}

static int
directory_failed(const char *dir, int code, struct swap_error *error)
{
	return error_set(error, code, "state directory %s: %s", dir,
			 strerror(-code));
}

int
state_check(const char *dir, struct swap_error *error)
{
	struct waiting w = { 0 };
	int dirfd, r;

	dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dirfd < 0 && errno == ENOENT)
		return 0;
	if (dirfd < 0)
		return directory_failed(dir, -errno, error);
	r = waiting_read(dirfd, &w);
	close(dirfd);
	if (r < 0)
		return directory_failed(dir, r, error);
	if (w.n == 0)
		return 0;
	return error_set(error, -EEXIST, "the last swapd of this name ended "
			 "without handing its memory over, and %u process%s "
			 "still wait%s for it (pid %s); end them, or give up "
			 "their memory with --force (state in %s)", w.n,
			 w.n == 1 ? "" : "es", w.n == 1 ? "s" : "", w.pids,
			 dir);
}

static bool
is_dot(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* Remove the files in a directory; it is flat. */
static int
directory_empty(const char *dir)
{
	int dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct dirent *entry;
	int r = 0;
	DIR *d;

	if (dirfd < 0)
		return -errno;
	d = fdopendir(dirfd);
	if (d == NULL) {
		r = -errno;
		close(dirfd);
		return r;
	}
	while (r == 0 && (entry = readdir(d)) != NULL)
		if (!is_dot(entry->d_name) &&
		    unlinkat(dirfd, entry->d_name, 0) < 0 && errno != ENOENT)
			r = -errno;
	closedir(d);
	return r;
}

int
state_remove(const char *dir, struct swap_error *error)
{
	int r = directory_empty(dir);

	if (r == 0 && rmdir(dir) < 0)
		r = -errno;
	return r == 0 || r == -ENOENT ? 0 : directory_failed(dir, r, error);
}

int
state_reset(const char *dir, struct swap_error *error)
{
	int r = state_remove(dir, error);

	if (r < 0)
		return r;
	return mkdir(dir, 0700) < 0 ? directory_failed(dir, -errno, error) : 0;
}
