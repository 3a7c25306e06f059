/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Results on standard output: for people, or as one JSON object on one line.
 */
#ifndef VHOSTPERF_REPORT_H
#define VHOSTPERF_REPORT_H

#include "run.h"

/** `phase` is the name of the phase, or NULL where there are none. Flushes. */
void report_print(const struct run *run, const struct stats *stats, const char *phase);

#endif
