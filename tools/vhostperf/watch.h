/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the main thread does while the workers run: it waits for the end of the time, lines of
 * standard input, signals, the back end's hanging up, and tells a terminal how it goes. It sleeps
 * in between.
 */
#ifndef VHOSTPERF_WATCH_H
#define VHOSTPERF_WATCH_H

#include "run.h"

/** Starts the load of an open run and sees to it until it has ended; prints the results. Takes
 * SIGINT and SIGTERM from here on. */
enum exit_code watch_run(struct run *run);

#endif
