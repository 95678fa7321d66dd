/* SPDX-License-Identifier: BSD-2-Clause */
/* host.h - reading the kernel's /proc and /sys (floor 7) */
#ifndef SWAP_KERNEL_HOST_H
#define SWAP_KERNEL_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "compiler.h"
#include "swap.h"

/* The two trees; descriptors, so that a test can put others in their place. */
struct host {
	int	proc;
	int	sys;
};

/* @proc, @sys  NULL: "/proc" and "/sys".  -ENOENT and so on, a sentence. */
int host_open(const char *proc, const char *sys, struct host *ret_host,
	      struct swap_error *error);
void host_close(struct host *host);

/*
 * The whole of a small file, with a NUL behind it, malloc()ed.  Returns its
 * length; -errno of opening or reading it; -ENOMEM.
 */
ssize_t host_read(int dir, const char *path, char **ret_text);

/* host_read() below /proc/PID; @file such as "status". */
ssize_t host_read_pid(const struct host *host, int32_t pid, const char *file,
		      char **ret_text);

/* A file that is one number. */
int host_number(int dir, const char *path, uint64_t *ret_value);

/* What a symbolic link says, cut to @len; -errno. */
int host_link(int dir, const char *path, char *buf, size_t len);

/*
 * Call @each with the number of every process, in no order; a return other
 * than 0 ends the walk and is returned.
 */
typedef int host_pid_fn(void *arg, int32_t pid);
int host_each_pid(const struct host *host, host_pid_fn *each, void *arg);

/*
 * The number behind @key at the start of a line of @text: "VmSwap:  12 kB",
 * "pswpin 7".  False: no such line.  @key has its colon, where it has one.
 */
bool text_number(const char *text, const char *key, uint64_t *ret_value);

/* As text_number(), of figures in KiB; 0 where there is no such line. */
uint64_t text_kib(const char *text, const char *key);

/*
 * The line at *@cursor, cut off with a NUL; moves on behind it.  NULL at the
 * end.  Changes the text.
 */
char *text_line(char **cursor);

/* The next word of a line, likewise; NULL where there is none. */
char *text_word(char **cursor);

/* Undo the kernel's \040 and so on, in place. */
void text_unescape(char *text);

#endif
