/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The privileges of this process, asked before something is tried: the kernel
 * shows half of the truth to whoever lacks them, without an error.
 */
#include "kernel/caps.h"

#include <stdlib.h>
#include <string.h>

bool
caps_have(const struct host *host, unsigned capability)
{
	static const char key[] = "\nCapEff:";
	unsigned long long caps = 0;
	char *text, *line;

	if (host_read(host->proc, "self/status", &text) < 0)
		return false;
	line = strstr(text, key);
	if (line != NULL)
		caps = strtoull(line + strlen(key), NULL, 16);
	free(text);
	return caps >> capability & 1;
}
