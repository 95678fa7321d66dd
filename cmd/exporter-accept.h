/* SPDX-License-Identifier: BSD-2-Clause */
/* exporter-accept.h - which form of metrics an HTTP client wants (floor 8) */
#ifndef SWAP_EXPORTER_ACCEPT_H
#define SWAP_EXPORTER_ACCEPT_H

#include <stdbool.h>

/*
 * Does a client with this Accept header (NULL: it sent none) want OpenMetrics
 * 1.0, rather than Prometheus' text?  Only one that names it does, with no
 * lower a weight than it gives the text.  Cost: O(length).
 */
bool accept_openmetrics(const char *accept);

#endif
