/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Transfers that go on by themselves, by io_uring and by threads: each test is
 * run with both.
 *
 * Faults come from hooks before pread, pwrite and fdatasync for the threads,
 * and for the ring from what its submission entries are changed to before the
 * kernel sees them (io_uring_submit is not ours to change, its wrapper is).
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "aio.h"
#include "util.h"

