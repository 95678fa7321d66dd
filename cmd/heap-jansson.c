/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The heap's own copy of jansson.
 *
 * A program may use jansson too, and hands its own allocations to it: the copy
 * in a preloaded module must not be the program's.  So the module takes in
 * libjansson.a, with hidden symbols.  Debian compiles that for programs, not
 * for shared objects; its only reference that a shared object cannot have is
 * to the variable stdin, which jansson compares to name a stream in messages.
 * The module is linked with --wrap=stdin, so jansson compares with this
 * variable.  Nothing else in the module may use stdin.
 */
#include <stdio.h>

extern FILE *__wrap_stdin __attribute__((visibility("hidden")));
FILE *__wrap_stdin;
