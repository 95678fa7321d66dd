/* SPDX-License-Identifier: BSD-2-Clause */
/* device-name.h - a device as the swapd is told of it (floor 8) */
#ifndef SWAP_DEVICE_NAME_H
#define SWAP_DEVICE_NAME_H

#include <stdbool.h>

#include "compiler.h"

/*
 * What to send for the @typed device: a path is made absolute, LABEL= and the
 * like stay as they are.  A new string.  -ENOMEM; what getcwd(3) gives.
 */
int device_name_absolute(const char *typed, char **ret_name) swap_must_check;

/* Is it LABEL=, UUID=, PARTLABEL= or PARTUUID= and a value? */
bool device_name_is_tag(const char *name);

#endif
