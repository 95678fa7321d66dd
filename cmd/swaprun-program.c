/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Can this program have its heap in a swapd?
 *
 * LD_PRELOAD is ignored, without a word, for programs that gain rights and for
 * static ones; another C library's loader, or one of another architecture,
 * complains or crashes.  A program that would run with ordinary memory then is
 * refused with a sentence instead.
 *
 * A script is what its interpreter is, four deep as the kernel has it.
 */
#include "swaprun.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "util.h"

/* What execvp(3) takes when PATH is not set. */
#define PATH_DEFAULT	"/bin:/usr/bin"
#define SCRIPT_DEPTH	5u
#define SCRIPT_LINE	256u
/* Program headers stand in the first page. */
#define HEADERS_MAX	64u

int
own_directory(char ret_path[PATH_MAX])
{
	ssize_t n = readlink("/proc/self/exe", ret_path, PATH_MAX - 1);
	char *slash;

	if (n < 0)
		return -errno;
	ret_path[n] = '\0';
	slash = strrchr(ret_path, '/');
	if (slash == NULL)
		return -ENOENT;
	*slash = '\0';
	return 0;
}

/* ------------------------------------------------------------------- find */

static bool
is_program(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) &&
	       access(path, X_OK) == 0;
}

static int
search(const char *name, char ret_path[PATH_MAX])
{
	const char *dir = getenv("PATH"), *end;
	bool seen = false;

	if (dir == NULL)
		dir = PATH_DEFAULT;
	for (;; dir = end + 1) {
		end = strchrnul(dir, ':');
		/* An empty name is the current directory. */
		format_cut(ret_path, PATH_MAX, "%.*s%s%s", (int)(end - dir),
			   dir, end == dir ? "./" : "/", name);
		if (is_program(ret_path))
			return 0;
		seen = seen || access(ret_path, F_OK) == 0;
		if (*end == '\0')
			break;
	}
	if (seen) {
		run_say("%s: found in PATH, but not executable", name);
		return EXIT_CANNOT;
	}
	run_say("%s: no such program in PATH", name);
	return EXIT_MISSING;
}

static int
find(const char *name, char ret_path[PATH_MAX])
{
	struct stat st;

	if (strchr(name, '/') == NULL && name[0] != '\0')
		return search(name, ret_path);
	format_cut(ret_path, PATH_MAX, "%s", name);
	if (is_program(ret_path))
		return 0;
	if (stat(name, &st) < 0) {
		run_say("%s: %s", name, strerror(errno));
		return errno == ENOENT || errno == ENOTDIR ? EXIT_MISSING
							   : EXIT_CANNOT;
	}
	run_say("%s: %s", name, S_ISDIR(st.st_mode) ? "is a directory"
						    : "not executable");
	return EXIT_CANNOT;
}

/* -------------------------------------------------------------------- ELF */

struct elf {
	ElfW(Ehdr)	 header;
	char		 loader[PATH_MAX];	/* "": static */
};

static int
read_loader(int fd, const ElfW(Phdr) *p, struct elf *elf)
{
	if (p->p_filesz == 0 || p->p_filesz >= sizeof(elf->loader))
		return -ENOEXEC;
	if (pread_full(fd, elf->loader, p->p_filesz, (off_t)p->p_offset) < 0)
		return -ENOEXEC;
	elf->loader[p->p_filesz] = '\0';
	return 0;
}

/* -ENOEXEC: it is none, or one of another class. */
static int
read_elf(int fd, struct elf *elf)
{
	const ElfW(Ehdr) *h = &elf->header;
	ElfW(Phdr) p;

	memset(elf, 0, sizeof(*elf));
	if (pread_full(fd, &elf->header, sizeof(elf->header), 0) < 0 ||
	    memcmp(h->e_ident, ELFMAG, SELFMAG) != 0)
		return -ENOEXEC;
	if (h->e_ident[EI_CLASS] !=
	    (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32) ||
	    h->e_phentsize != sizeof(p) || h->e_phnum > HEADERS_MAX)
		return -EXDEV;
	for (unsigned i = 0; i < h->e_phnum; i++) {
		if (pread_full(fd, &p, sizeof(p),
			       (off_t)(h->e_phoff + i * sizeof(p))) < 0)
			return -ENOEXEC;
		if (p.p_type == PT_INTERP)
			return read_loader(fd, &p, elf);
	}
	return 0;
}

static int
read_own_elf(struct elf *elf)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	int r;

	if (fd < 0)
		return -errno;
	r = read_elf(fd, elf);
	close(fd);
	return r;
}

static const char *
base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}

static int
check_elf(const char *path, const struct elf *elf)
{
	struct elf own;

	if (read_own_elf(&own) < 0)
		return 0;
	if (elf->header.e_machine != own.header.e_machine) {
		run_say("%s is for another kind of processor; its heap cannot "
			"be paged", path);
		return EXIT_CANNOT;
	}
	if (elf->loader[0] == '\0') {
		run_say("%s is linked statically, so nothing can be preloaded "
			"into it, and its heap cannot be paged", path);
		return EXIT_CANNOT;
	}
	if (strcmp(base_name(elf->loader), base_name(own.loader)) != 0) {
		run_say("%s uses another C library (%s) than swaprun; its heap "
			"cannot be paged", path, elf->loader);
		return EXIT_CANNOT;
	}
	return 0;
}

/* ------------------------------------------------------------------ rights */

/* Would the kernel say AT_SECURE? */
static bool
gains_rights(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return false;
	if ((st.st_mode & S_ISUID) != 0 && st.st_uid != getuid())
		return true;
	if ((st.st_mode & S_ISGID) != 0 && (st.st_mode & S_IXGRP) != 0 &&
	    st.st_gid != getgid())
		return true;
	return getuid() != 0 &&
	       getxattr(path, "security.capability", NULL, 0) > 0;
}

/* ------------------------------------------------------------------ scripts */

/* The interpreter that "#!" names; empty: it names none. */
static int
read_script(int fd, char ret_path[PATH_MAX])
{
	char line[SCRIPT_LINE];
	ssize_t n = pread(fd, line, sizeof(line) - 1, 0);
	const char *start;

	ret_path[0] = '\0';
	if (n < 3 || line[0] != '#' || line[1] != '!')
		return -ENOEXEC;
	line[n] = '\0';
	line[strcspn(line, "\n")] = '\0';
	start = line + 2 + strspn(line + 2, " \t");
	format_cut(ret_path, PATH_MAX, "%.*s", (int)strcspn(start, " \t"),
		   start);
	return ret_path[0] != '\0' ? 0 : -ENOEXEC;
}

static int
other_class(const char *path)
{
	run_say("%s is for another kind of processor; its heap cannot be "
		"paged", path);
	return EXIT_CANNOT;
}

/* Look at @path; 0, an exit status, or -EAGAIN: look at @ret_next instead. */
static int
look(const char *path, char ret_next[PATH_MAX])
{
	struct elf elf;
	int fd, r;

	/* What may be run need not be readable: then exec() decides. */
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno == EACCES)
		return 0;
	if (fd < 0) {
		run_say("%s: %s", path, strerror(errno));
		return errno == ENOENT ? EXIT_MISSING : EXIT_CANNOT;
	}
	if (read_script(fd, ret_next) == 0) {
		close(fd);
		return -EAGAIN;
	}
	r = read_elf(fd, &elf);
	close(fd);
	if (r == -EXDEV)
		return other_class(path);
	if (r < 0) {
		run_say("%s: not a program, nor a script with an interpreter",
			path);
		return EXIT_CANNOT;
	}
	if (gains_rights(path)) {
		run_say("%s runs with other rights than yours (set-user-ID, "
			"set-group-ID or capabilities), so nothing can be "
			"preloaded into it, and its heap cannot be paged",
			path);
		return EXIT_CANNOT;
	}
	return check_elf(path, &elf);
}

int
program_check(const char *name, char ret_path[PATH_MAX])
{
	char path[PATH_MAX], next[PATH_MAX];
	int r;

	r = find(name, ret_path);
	if (r != 0)
		return r;
	format_cut(path, sizeof(path), "%s", ret_path);
	for (unsigned depth = 0; depth < SCRIPT_DEPTH; depth++) {
		r = look(path, next);
		if (r != -EAGAIN)
			return r;
		format_cut(path, sizeof(path), "%s", next);
	}
	run_say("%s: its interpreter is a script whose interpreter is a "
		"script, and so on", ret_path);
	return EXIT_CANNOT;
}
