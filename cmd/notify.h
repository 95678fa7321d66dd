/* SPDX-License-Identifier: BSD-2-Clause */
/* notify.h - what a service manager is told, as sd_notify(3) (floor 8) */
#ifndef SWAP_NOTIFY_H
#define SWAP_NOTIFY_H

/* Send lines such as "READY=1"; nothing happens where nobody listens. */
void notify_manager(const char *text);

#endif
