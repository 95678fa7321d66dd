/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading the kernel's /proc and /sys.
 *
 * Files there have no size, and change while they are read: a file is read
 * whole, in as few reads as it takes, before anything in it is believed.  What
 * is in it is the kernel's word but not always in the form of this year's
 * kernel: a figure that is missing is missing, never an error.
 *
 * Costs: one buffer a file, doubled as it grows.  Limits: 256 MiB a file.
 */
#include "kernel/host.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util.h"

#define FIRST_ROOM	4096u
#define MOST_ROOM	((size_t)256 << 20)

static int
open_tree(const char *path, int *ret_fd, struct swap_error *error)
{
	int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return error_set(error, -errno, "%s: %s; it must be mounted",
				 path, strerror(errno));
	*ret_fd = fd;
	return 0;
}

int
host_open(const char *proc, const char *sys, struct host *ret_host,
	  struct swap_error *error)
{
	struct host host = { -1, -1 };
	int r = open_tree(proc != NULL ? proc : "/proc", &host.proc, error);

	if (r == 0)
		r = open_tree(sys != NULL ? sys : "/sys", &host.sys, error);
	if (r < 0)
		host_close(&host);
	else
		*ret_host = host;
	return r;
}

void
host_close(struct host *host)
{
	if (host->proc >= 0)
		close(host->proc);
	if (host->sys >= 0)
		close(host->sys);
	host->proc = host->sys = -1;
}

static ssize_t
read_all(int fd, char **ret_text)
{
	size_t room = FIRST_ROOM, len = 0;
	char *text = malloc(room), *more;
	ssize_t n = text != NULL ? 1 : -ENOMEM;

	while (n > 0) {
		if (len + 1 == room) {
			more = room < MOST_ROOM ? realloc(text, 2 * room) :
						  NULL;
			if (more == NULL) {
				n = -ENOMEM;
				break;
			}
			text = more;
			room *= 2;
		}
		n = read(fd, text + len, room - len - 1);
		if (n < 0 && errno == EINTR)
			n = 1;
		else if (n < 0)
			n = -errno;
		else
			len += (size_t)n;
	}
	if (n < 0) {
		free(text);
		return n;
	}
	text[len] = '\0';
	*ret_text = text;
	return (ssize_t)len;
}

ssize_t
host_read(int dir, const char *path, char **ret_text)
{
	int fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t r;

	if (fd < 0)
		return -errno;
	r = read_all(fd, ret_text);
	close(fd);
	return r;
}

ssize_t
host_read_pid(const struct host *host, int32_t pid, const char *file,
	      char **ret_text)
{
	char path[64];

	format_cut(path, sizeof(path), "%d/%s", (int)pid, file);
	return host_read(host->proc, path, ret_text);
}

int
host_number(int dir, const char *path, uint64_t *ret_value)
{
	unsigned long long value;
	char *text, *end;
	ssize_t r = host_read(dir, path, &text);

	if (r < 0)
		return (int)r;
	errno = 0;
	value = strtoull(text, &end, 10);
	r = end == text || errno != 0 ? -EINVAL : 0;
	free(text);
	if (r == 0)
		*ret_value = value;
	return (int)r;
}

int
host_link(int dir, const char *path, char *buf, size_t len)
{
	ssize_t n = readlinkat(dir, path, buf, len - 1);

	if (n < 0)
		return -errno;
	buf[n] = '\0';
	return 0;
}

/* The number that a folder's name is; 0: it is none. */
static int32_t
pid_of(const char *name)
{
	int64_t pid;

	if (!isdigit((unsigned char)*name) ||
	    parse_i64(name, 1, INT32_MAX, &pid) < 0)
		return 0;
	return (int32_t)pid;
}

int
host_each_pid(const struct host *host, host_pid_fn *each, void *arg)
{
	int fd = openat(host->proc, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *entry;
	int32_t pid;
	DIR *dir;
	int r = 0;

	if (fd < 0)
		return -errno;
	dir = fdopendir(fd);
	if (dir == NULL) {
		close(fd);
		return -ENOMEM;
	}
	while (r == 0 && (entry = readdir(dir)) != NULL) {
		pid = pid_of(entry->d_name);
		if (pid > 0)
			r = each(arg, pid);
	}
	closedir(dir);
	return r;
}

bool
text_number(const char *text, const char *key, uint64_t *ret_value)
{
	size_t len = strlen(key);
	unsigned long long value;
	char *end;

	while (text != NULL && *text != '\0') {
		if (strncmp(text, key, len) == 0 &&
		    (text[len] == ' ' || text[len] == '\t')) {
			value = strtoull(text + len, &end, 10);
			if (end == text + len)
				return false;
			*ret_value = value;
			return true;
		}
		text = strchr(text, '\n');
		if (text != NULL)
			text++;
	}
	return false;
}

uint64_t
text_kib(const char *text, const char *key)
{
	uint64_t kib;

	return text_number(text, key, &kib) ? kib << 10 : 0;
}

char *
text_line(char **cursor)
{
	char *line = *cursor, *end;

	if (line == NULL || *line == '\0')
		return NULL;
	end = strchr(line, '\n');
	if (end != NULL)
		*end++ = '\0';
	*cursor = end;
	return line;
}

char *
text_word(char **cursor)
{
	char *word = *cursor;

	if (word == NULL)
		return NULL;
	word += strspn(word, " \t");
	if (*word == '\0')
		return NULL;
	*cursor = word + strcspn(word, " \t");
	if (**cursor != '\0')
		*(*cursor)++ = '\0';
	return word;
}

static bool
is_octal(const char *text)
{
	for (int i = 0; i < 3; i++)
		if (text[i] < '0' || text[i] > '7')
			return false;
	return true;
}

void
text_unescape(char *text)
{
	char *to = text;

	while (*text != '\0') {
		if (*text == '\\' && is_octal(text + 1)) {
			*to++ = (char)((text[1] - '0') << 6 |
				       (text[2] - '0') << 3 |
				       (text[3] - '0'));
			text += 4;
		} else {
			*to++ = *text++;
		}
	}
	*to = '\0';
}
