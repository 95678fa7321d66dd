/* SPDX-License-Identifier: BSD-2-Clause */
/* watch.h - what happens to the kernel's swap (floor 7) */
#ifndef SWAP_KERNEL_WATCH_H
#define SWAP_KERNEL_WATCH_H

#include "kernel/host.h"

struct watch;

/*
 * @fn is called for each event, numbered from 1, within watch_look().  -ENOMEM.
 */
int watch_open(const struct host *host, swap_event_fn *fn, void *arg,
	       struct watch **ret_watch) swap_must_check;
void watch_close(struct watch *watch);

/*
 * Look, and tell what has changed since the last look; the first one tells
 * what is.  -errno of /proc/swaps and /proc/meminfo, -ENOMEM: then nothing was
 * told, and the next look tells it.  Cost: a few small files.
 */
int watch_look(struct watch *watch);

/*
 * A descriptor that has POLLPRI once a device was turned on or off since it
 * was last asked; -1: there is none, look now and then.
 */
int watch_fd(const struct watch *watch);

#endif
