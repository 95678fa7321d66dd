/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Names of devices
 *
 * The swapd stands in another working directory, so a path that is relative
 * here means another file there.  Links are left to the swapd: it has to look
 * through them anyway, and what the user typed is what the tables then show.
 */
#include "device-name.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool
device_name_is_tag(const char *name)
{
	static const char *const tags[] = {
		"LABEL=", "UUID=", "PARTLABEL=", "PARTUUID=",
	};

	for (size_t i = 0; i < ARRAY_SIZE(tags); i++) {
		if (strncmp(name, tags[i], strlen(tags[i])) == 0)
			return true;
	}
	return false;
}

int
device_name_absolute(const char *typed, char **ret_name)
{
	char *folder, *name;
	int r;

	if (typed[0] == '/' || device_name_is_tag(typed)) {
		name = strdup(typed);
		if (name == NULL)
			return -ENOMEM;
		*ret_name = name;
		return 0;
	}
	while (strncmp(typed, "./", 2) == 0)
		typed += 2;
	folder = getcwd(NULL, 0);
	if (folder == NULL)
		return -errno;
	r = asprintf(&name, "%s/%s", strcmp(folder, "/") == 0 ? "" : folder,
		     typed);
	free(folder);
	if (r < 0)
		return -ENOMEM;
	*ret_name = name;
	return 0;
}
