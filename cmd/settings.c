/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Settings
 *
 * "swapctl set" and "swapd --set" take several tunables at once.  Some are
 * refused as long as another has its old value (a low-water mark above the old
 * high one), and nobody wants to think about their order: so what is refused
 * is tried again as long as another one could be set meanwhile.  What is
 * refused then is wrong, and half of what was asked for is worth nothing: the
 * rest gets its old values back.
 */
#include "settings.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "nearest.h"
#include "util.h"

#define NAMES_MAX	64u

int
setting_parse(const char *text, struct setting *ret_setting)
{
	const char *equals = strchr(text, '=');
	size_t len = equals != NULL ? (size_t)(equals - text) : 0;

	if (len == 0 || len >= sizeof(ret_setting->name) ||
	    equals[1] == '\0')
		return -EINVAL;
	memset(ret_setting, 0, sizeof(*ret_setting));
	memcpy(ret_setting->name, text, len);
	ret_setting->value = equals + 1;
	return 0;
}

/* One round over those that are not as wanted; how many it has changed. */
static size_t
one_round(struct setting *settings, size_t n, bool back, setting_fn *set,
	  void *arg)
{
	size_t nchanged = 0;

	for (size_t i = 0; i < n; i++) {
		struct setting *s = &settings[i];

		if (s->done != back || (back && s->old_value[0] == '\0'))
			continue;
		memset(&s->error, 0, sizeof(s->error));
		s->code = set(arg, s->name, back ? s->old_value : s->value,
			      &s->error);
		if (s->code < 0)
			continue;
		s->done = !back;
		nchanged++;
	}
	return nchanged;
}

size_t
settings_apply(struct setting *settings, size_t n, setting_fn *set, void *arg)
{
	size_t nrefused = n, changed;

	while (nrefused > 0) {
		changed = one_round(settings, n, false, set, arg);
		if (changed == 0)
			break;
		nrefused -= changed;
	}
	if (nrefused == 0)
		return 0;
	while (one_round(settings, n, true, set, arg) > 0)
		;
	return nrefused;
}

const struct swap_tunable *
setting_find(const struct swap_tunable *tunables, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(tunables[i].name, name) == 0)
			return &tunables[i];
	return NULL;
}

char *
setting_value(const struct swap_tunable *tunable, const char *value, char *buf,
	      size_t len)
{
	static const char units[] = "\0KMGT";
	const char *unit = units;
	uint64_t bytes;

	if (strcmp(tunable->unit, "bytes") != 0 ||
	    parse_size(value, &bytes) < 0) {
		format_cut(buf, len, "%s", value);
		return buf;
	}
	while (bytes > 0 && bytes % 1024 == 0 && unit[1] != '\0') {
		bytes /= 1024;
		unit++;
	}
	format_cut(buf, len, "%" PRIu64 "%.1s", bytes, unit);
	return buf;
}

char *
setting_hint(const struct swap_tunable *tunables, size_t n, const char *typed,
	     char *buf, size_t len)
{
	const char *names[NAMES_MAX];
	const char *meant;
	size_t i;

	for (i = 0; i < n && i < NAMES_MAX; i++)
		names[i] = tunables[i].name;
	meant = nearest_word(typed, names, i);
	if (meant != NULL)
		format_cut(buf, len, "; did you mean '%s'?", meant);
	else
		format_cut(buf, len, "%s", "");
	return buf;
}
