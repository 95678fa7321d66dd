/* SPDX-License-Identifier: BSD-2-Clause */
/* caps.h - the privileges of this process (floor 7) */
#ifndef SWAP_KERNEL_CAPS_H
#define SWAP_KERNEL_CAPS_H

#include "kernel/host.h"

/* As in <linux/capability.h>. */
#define CAPS_SYS_PTRACE	19u
#define CAPS_SYS_ADMIN	21u
#define CAPS_SYS_NICE	23u

/* Does this process have the capability in effect? */
bool caps_have(const struct host *host, unsigned capability);

#endif
