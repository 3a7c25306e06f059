/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the main thread does while the workers run: it waits for the end of the time, lines of
 * standard input, signals, the back end's hanging up, and tells a terminal how it goes. It sleeps
 * in between.
 */
#ifndef VHOSTPERF_WATCH_H
#define VHOSTPERF_WATCH_H

#include "run.h"

struct watch;

/** Takes SIGINT and SIGTERM from now on, for this thread and those that it starts. NULL, with the
 *  reason printed, if it can't. */
struct watch *watch_new(void);
void watch_free(struct watch *watch);

/** Until the load has ended, results printed. */
enum exit_code watch_run(struct watch *watch, struct run *run);

#endif
