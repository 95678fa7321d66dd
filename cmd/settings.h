/* SPDX-License-Identifier: BSD-2-Clause */
/* settings.h - NAME=VALUE: tunables as people set them (floor 8) */
#ifndef SWAP_SETTINGS_H
#define SWAP_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>

#include "compiler.h"
#include "swap.h"

struct setting {
	char			 name[24];
	const char		*value;		/* in what was parsed */
	char			 old_value[24];	/* "": not known */
	bool			 done;
	int			 code;		/* why not: a negative errno */
	struct swap_error	 error;
};

/* Split "NAME=VALUE".  -EINVAL: it is not that. */
int setting_parse(const char *text, struct setting *ret_setting)
	swap_must_check;

/* As swap_pager_tune(). */
typedef int setting_fn(void *arg, const char *name, const char *value,
		       struct swap_error *error);

/*
 * Set all of them, or none: where some are refused in the end, those that had
 * been set get their old values back.  Two that depend on one another may come
 * in any order.  Returns how many were refused; these are not done and say
 * why.  Cost: at most n * n calls.
 */
size_t settings_apply(struct setting *settings, size_t n, setting_fn *set,
		      void *arg);

/* The tunable of that name, or NULL. */
const struct swap_tunable *setting_find(const struct swap_tunable *tunables,
					size_t n, const char *name);

/*
 * A value as people read and type it: "8M" for 8388608 where the tunable is in
 * bytes.  Nothing is rounded.  Returns @buf.
 */
char *setting_value(const struct swap_tunable *tunable, const char *value,
		    char *buf, size_t len);

/* "; did you mean 'NAME'?", or "", in @buf. */
char *setting_hint(const struct swap_tunable *tunables, size_t n,
		   const char *typed, char *buf, size_t len);

#endif
