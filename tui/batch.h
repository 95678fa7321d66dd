/* SPDX-License-Identifier: BSD-2-Clause */
/* batch.h - the views as text, and snapshots as JSON (floor 8) */
#ifndef SWAP_BATCH_H
#define SWAP_BATCH_H

#include "app.h"

/* Print, as often as the options say; the exit status. */
int batch_run(const struct options *options, struct source *source);

#endif
