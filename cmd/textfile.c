/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Replacing a file as a whole
 *
 * node_exporter reads every *.prom of a directory whenever it is asked, so the
 * file must be complete at each moment, readable by another user, and what is
 * still being written must not end in .prom.  It is written beside the old one
 * and renamed over it.  It is not synced: after a power failure last minute's
 * figures are of no use to anybody.
 */
#include "textfile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util.h"

/* "DIRECTORY/.NAME.XXXXXX" for "DIRECTORY/NAME". */
static char *
name_beside(const char *path)
{
	const char *slash = strrchr(path, '/');
	size_t directory = slash != NULL ? (size_t)(slash - path) + 1 : 0;
	size_t size = strlen(path) + sizeof("..XXXXXX");
	char *name = malloc(size);

	if (name != NULL)
		format_cut(name, size, "%.*s.%s.XXXXXX", (int)directory, path,
			   path + directory);
	return name;
}

static int
fill(int fd, const char *bytes, size_t len)
{
	int r = pwrite_full(fd, bytes, len, 0);

	/* Whatever umask says: it is for others to read. */
	if (r == 0 && fchmod(fd, 0644) < 0)
		r = -errno;
	if (close(fd) < 0 && r == 0)
		r = -errno;
	return r;
}

static int
replace(const char *path, char *beside, const char *bytes, size_t len)
{
	int fd = mkostemp(beside, 0);
	int r;

	if (fd < 0)
		return -errno;
	r = fill(fd, bytes, len);
	if (r == 0 && rename(beside, path) < 0)
		r = -errno;
	if (r < 0)
		(void)unlink(beside);
	return r;
}

int
textfile_replace(const char *path, const char *bytes, size_t len,
		 struct swap_error *error)
{
	struct stat st;
	char *beside;
	int r;

	if (lstat(path, &st) == 0 && !S_ISREG(st.st_mode))
		return error_set(error, -EINVAL, "%s is no regular file, and "
				 "will not be replaced by one", path);
	beside = name_beside(path);
	if (beside == NULL)
		return error_set(error, -ENOMEM, "out of memory");
	r = replace(path, beside, bytes, len);
	free(beside);
	return r < 0 ? error_set(error, r, "cannot write %s: %s", path,
				 strerror(-r)) : 0;
}
