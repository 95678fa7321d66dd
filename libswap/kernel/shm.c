/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shared memory and tmpfs files in swap.
 *
 * The swapped pages of shared memory stand in no page table: their file knows
 * where they are, and the kernel shows nothing of it.  But every such file can
 * be opened (through a process that has it mapped or open, or in its tmpfs),
 * and two calls together tell its swapped pages: lseek(SEEK_DATA) takes them
 * for data, and mincore(2) says that they are not in RAM.  Pages in the swap
 * cache are in RAM in this sense.
 *
 * Files are looked into once, however many processes share them: they are
 * told apart by device and inode.  A file of size without blocks is passed
 * over.  Nothing is written, and where permitted not even the time of access.
 *
 * Costs: for each process its maps and descriptors, for each file a byte of
 * mincore a page, in windows of 256 MiB.  Limits: System V segments that
 * nobody has attached and tmpfs mounts of other namespaces, unless a process
 * has the file, are not found; a mapped file of another user wants root.
 */
#include "kernel/shm.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "kernel/pages.h"
#include "util.h"

#define WINDOW_BYTES	(UINT64_C(256) << 20)
#define DEVICES_MAX	256u
#define SEEN_FIRST	1024u

/* What is done with a file that is found; another return than 0 ends it. */
typedef int found_fn(void *arg, int fd, const struct stat *st, int32_t pid,
		     const char *name);

struct search {
	const struct host *host;
	uint64_t	 device[DEVICES_MAX];	/* of shared memory */
	unsigned	 ndevices;
	uint64_t	(*seen)[2];		/* a hash set; inode 0: free */
	size_t		 nseen;
	size_t		 seen_room;		/* a power of two */
	unsigned	 nhidden;
	found_fn	*found;
	void		*arg;
};

/* ---------------------------------------------------------- seen before? */

static size_t
seen_place(const struct search *search, uint64_t device, uint64_t inode)
{
	size_t mask = search->seen_room - 1;
	size_t at = (size_t)((inode * UINT64_C(0x9e3779b97f4a7c15) ^ device *
			      UINT64_C(0xc2b2ae3d27d4eb4f)) >> 17) & mask;

	while (search->seen[at][1] != 0 &&
	       (search->seen[at][0] != device || search->seen[at][1] != inode))
		at = (at + 1) & mask;
	return at;
}

static int
seen_grow(struct search *search)
{
	uint64_t (*old)[2] = search->seen;
	size_t n = search->seen_room, at;

	search->seen_room = n > 0 ? 2 * n : SEEN_FIRST;
	search->seen = calloc(search->seen_room, sizeof(*search->seen));
	if (search->seen == NULL) {
		search->seen = old;
		search->seen_room = n;
		return -ENOMEM;
	}
	for (size_t i = 0; i < n; i++) {
		if (old[i][1] == 0)
			continue;
		at = seen_place(search, old[i][0], old[i][1]);
		memcpy(search->seen[at], old[i], sizeof(old[i]));
	}
	free(old);
	return 0;
}

/* 1: it is new, 0: it is not. */
static int
seen_first(struct search *search, uint64_t device, uint64_t inode)
{
	size_t at;

	if (2 * search->nseen >= search->seen_room && seen_grow(search) < 0)
		return -ENOMEM;
	at = seen_place(search, device, inode);
	if (search->seen[at][1] != 0)
		return 0;
	search->seen[at][0] = device;
	search->seen[at][1] = inode;
	search->nseen++;
	return 1;
}

static bool
is_shm_device(const struct search *search, uint64_t device)
{
	for (unsigned i = 0; i < search->ndevices; i++)
		if (search->device[i] == device)
			return true;
	return false;
}

/* ------------------------------------------------------------ to find files */

/* Open @path below /proc, or absolute, and hand the file on if it is one. */
static int
try_file(struct search *search, const char *path, int32_t pid,
	 const char *name)
{
	int fd = openat(search->host->proc, path,
			O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOATIME);
	struct stat st;
	int r = 0;

	if (fd < 0 && errno == EPERM)
		fd = openat(search->host->proc, path,
			    O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0) {
		if (errno == EACCES || errno == EPERM)
			search->nhidden++;
		return 0;
	}
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_blocks > 0)
		r = search->found(search->arg, fd, &st, pid, name);
	close(fd);
	return r;
}

static int
search_mapping(struct search *search, int32_t pid,
	       const struct page_mapping *mapping)
{
	uint64_t device = makedev(mapping->major, mapping->minor);
	char path[96];
	int r;

	if (mapping->inode == 0 || !is_shm_device(search, device))
		return 0;
	r = seen_first(search, device, mapping->inode);
	if (r <= 0)
		return r;
	format_cut(path, sizeof(path), "%d/map_files/%" PRIx64 "-%" PRIx64,
		   (int)pid, mapping->start, mapping->end);
	return try_file(search, path, pid, mapping->name);
}

static int
search_maps(struct search *search, int32_t pid)
{
	struct page_mapping mapping;
	char *maps, *cursor, *line;
	ssize_t n = host_read_pid(search->host, pid, "maps", &maps);
	int r = 0;

	if (n == -EACCES || n == -EPERM)
		search->nhidden++;
	if (n < 0)
		return n == -ENOMEM ? -ENOMEM : 0;
	cursor = maps;
	while (r == 0 && (line = text_line(&cursor)) != NULL)
		if (page_mapping_parse(line, &mapping))
			r = search_mapping(search, pid, &mapping);
	free(maps);
	return r;
}

static int
search_descriptor(struct search *search, int32_t pid, int dir,
		  const char *fd_name)
{
	char path[320], name[128];
	struct stat st;
	int r;

	if (fstatat(dir, fd_name, &st, 0) < 0 || !S_ISREG(st.st_mode) ||
	    !is_shm_device(search, st.st_dev) || st.st_blocks == 0)
		return 0;
	r = seen_first(search, st.st_dev, st.st_ino);
	if (r <= 0)
		return r;
	if (host_link(dir, fd_name, name, sizeof(name)) < 0)
		name[0] = '\0';
	format_cut(path, sizeof(path), "%d/fd/%s", (int)pid, fd_name);
	return try_file(search, path, pid, name);
}

static int
search_descriptors(struct search *search, int32_t pid)
{
	struct dirent *entry;
	char path[64];
	DIR *dir;
	int fd, r = 0;

	format_cut(path, sizeof(path), "%d/fd", (int)pid);
	fd = openat(search->host->proc, path,
		    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	dir = fdopendir(fd);
	if (dir == NULL) {
		close(fd);
		return -ENOMEM;
	}
	while (r == 0 && (entry = readdir(dir)) != NULL)
		if (entry->d_name[0] != '.')
			r = search_descriptor(search, pid, fd, entry->d_name);
	closedir(dir);
	return r;
}

static int
search_process(void *arg, int32_t pid)
{
	struct search *search = arg;
	int r = search_maps(search, pid);

	return r == 0 ? search_descriptors(search, pid) : r;
}

static int
search_tmpfs(struct search *search, char *mount)
{
	char *paths[] = { mount, NULL };
	FTS *fts = fts_open(paths, FTS_PHYSICAL | FTS_XDEV | FTS_NOCHDIR,
			    NULL);
	FTSENT *entry;
	int r = 0;

	if (fts == NULL)
		return errno == ENOMEM ? -ENOMEM : 0;
	while (r == 0 && (entry = fts_read(fts)) != NULL) {
		if (entry->fts_info != FTS_F ||
		    entry->fts_statp->st_blocks == 0)
			continue;
		r = seen_first(search, entry->fts_statp->st_dev,
			       entry->fts_statp->st_ino);
		if (r > 0)
			r = try_file(search, entry->fts_accpath, 0,
				     entry->fts_path);
	}
	fts_close(fts);
	return r;
}

/* "ID PARENT MAJOR:MINOR ROOT MOUNT ... - TYPE ...": the mount of a tmpfs. */
static char *
tmpfs_mount(char *line, uint64_t *ret_device)
{
	char *dash = strstr(line, " - "), *cursor = line, *word = NULL;
	unsigned major = 0, minor = 0;

	if (dash == NULL || strncmp(dash, " - tmpfs ", 9) != 0)
		return NULL;
	for (int i = 0; i < 5; i++) {
		word = text_word(&cursor);
		if (i == 2 && (word == NULL || sscanf(word, "%u:%u", &major,
						      &minor) != 2))
			return NULL;
	}
	if (word != NULL)
		text_unescape(word);
	*ret_device = makedev(major, minor);
	return word;
}

/* Learn the devices (@walk false), or look through the tmpfs mounts. */
static int
search_mounts(struct search *search, bool walk)
{
	char *text, *cursor, *line, *mount;
	ssize_t n = host_read(search->host->proc, "self/mountinfo", &text);
	uint64_t device;
	int r = 0;

	if (n < 0)
		return n == -ENOMEM ? -ENOMEM : 0;
	cursor = text;
	while (r == 0 && (line = text_line(&cursor)) != NULL) {
		mount = tmpfs_mount(line, &device);
		if (mount == NULL)
			continue;
		if (walk)
			r = search_tmpfs(search, mount);
		else if (search->ndevices < DEVICES_MAX)
			search->device[search->ndevices++] = device;
	}
	free(text);
	return r;
}

/* memfds, System V segments and shared anonymous memory have one device. */
static void
learn_inner_device(struct search *search)
{
	int fd = memfd_create("swapkit", MFD_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return;
	if (fstat(fd, &st) == 0)
		search->device[search->ndevices++] = st.st_dev;
	close(fd);
}

static int
search_all(struct search *search)
{
	int r;

	learn_inner_device(search);
	r = search_mounts(search, false);
	if (r == 0)
		r = host_each_pid(search->host, search_process, search);
	if (r == 0)
		r = search_mounts(search, true);
	free(search->seen);
	return r;
}

/* --------------------------------------------------------- to look into one */

/* Hand on the ranges of data in a window that are not in RAM. */
static int
window_ranges(char *window, const unsigned char *in_ram, uint64_t npages,
	      shm_range_fn *each, void *arg)
{
	uint64_t start = 0, page = page_bytes();
	int r = 0;

	for (uint64_t i = 0; i <= npages && r == 0; i++) {
		if (i < npages && !(in_ram[i] & 1))
			continue;
		if (i > start)
			r = each(arg, window + start * page,
				 (i - start) * page);
		start = i + 1;
	}
	return r;
}

static int
look_window(int fd, uint64_t offset, uint64_t length, shm_range_fn *each,
	    void *arg)
{
	uint64_t npages = (length + page_bytes() - 1) / page_bytes();
	unsigned char *in_ram = malloc(npages);
	void *window;
	int r = 0;

	if (in_ram == NULL)
		return -ENOMEM;
	window = mmap(NULL, length, PROT_READ, MAP_SHARED, fd, (off_t)offset);
	if (window != MAP_FAILED) {
		/* Without the right to know, everything is said to be in. */
		if (mincore(window, length, in_ram) == 0)
			r = window_ranges(window, in_ram, npages, each, arg);
		munmap(window, length);
	}
	free(in_ram);
	return r;
}

static int
look_file(int fd, shm_range_fn *each, void *arg)
{
	off_t data = 0, hole;
	int r = 0;

	while (r == 0) {
		data = lseek(fd, data, SEEK_DATA);
		if (data < 0)
			break;
		hole = lseek(fd, data, SEEK_HOLE);
		while (r == 0 && data < hole) {
			uint64_t n = min_u64((uint64_t)(hole - data),
					     WINDOW_BYTES);

			r = look_window(fd, (uint64_t)data, n, each, arg);
			data += (off_t)n;
		}
		if (hole < 0)
			break;
	}
	return r;
}

/* ------------------------------------------------------------------- survey */

static int
add_length(void *arg, void *address, uint64_t length)
{
	uint64_t *sum = arg;

	(void)address;
	*sum += length;
	return 0;
}

static int
survey_file(void *arg, int fd, const struct stat *st, int32_t pid,
	    const char *name)
{
	struct shm_files *files = arg;
	struct shm_file file = {
		.device = st->st_dev, .inode = st->st_ino, .pid = pid,
		.uid = st->st_uid, .size = (uint64_t)st->st_size,
	}, *more;
	int r = look_file(fd, add_length, &file.swapped);

	if (r < 0 || file.swapped == 0)
		return r;
	format_cut(file.name, sizeof(file.name), "%s", name);
	more = realloc(files->file, (files->n + 1) * sizeof(*more));
	if (more == NULL)
		return -ENOMEM;
	files->file = more;
	more[files->n++] = file;
	return 0;
}

int
shm_survey(const struct host *host, struct shm_files *ret_files)
{
	struct shm_files files = { 0 };
	struct search search = {
		.host = host, .found = survey_file, .arg = &files,
	};
	int r = search_all(&search);

	files.nhidden = search.nhidden;
	if (r < 0)
		shm_files_clear(&files);
	else
		*ret_files = files;
	return r;
}

void
shm_files_clear(struct shm_files *files)
{
	free(files->file);
	files->file = NULL;
	files->n = 0;
}

struct ranges {
	shm_range_fn	*each;
	void		*arg;
};

static int
range_file(void *arg, int fd, const struct stat *st, int32_t pid,
	   const char *name)
{
	struct ranges *ranges = arg;

	(void)st;
	(void)pid;
	(void)name;
	return look_file(fd, ranges->each, ranges->arg);
}

int
shm_each_range(const struct host *host, shm_range_fn *each, void *arg)
{
	struct ranges ranges = { each, arg };
	struct search search = {
		.host = host, .found = range_file, .arg = &ranges,
	};

	return search_all(&search);
}
