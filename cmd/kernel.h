/* SPDX-License-Identifier: BSD-2-Clause */
/* kernel.h - the commands of swapctl on the kernel's own swap (floor 8) */
#ifndef SWAP_CMD_KERNEL_H
#define SWAP_CMD_KERNEL_H

#include <jansson.h>

#include "command.h"

/* Each is the run_kernel of its command. */
int kernel_run_map(struct invocation *inv, int argc, char **argv);
int kernel_run_objects(struct invocation *inv, int argc, char **argv);
int kernel_run_off(struct invocation *inv, int argc, char **argv);
int kernel_run_drain(struct invocation *inv, int argc, char **argv);
int kernel_run_on(struct invocation *inv, int argc, char **argv);
int kernel_run_status(struct invocation *inv, int argc, char **argv);

/* What status shows, as text; and as JSON, into @array. */
int kernel_put_status(void);
int kernel_json_status(json_t *array);

#endif
