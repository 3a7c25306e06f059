/* SPDX-License-Identifier: BSD-3-Clause
 *
 * SIGHUP: reads the configuration file again and takes over the log level.
 */
#ifndef CONTROL_RELOAD_H
#define CONTROL_RELOAD_H

#include "base/thread_role.h"
#include "control/notify.h"
#include "control/options.h"

/** Starts a JOB that does it, for reading a file may block. `path` NULL: there is no file. A level
 *  on the command line wins here too. What it points to lives as long as the process. */
void reload_start(const char *path, const struct options *options,
		  const struct notify *notify) IN_CTRL;

#endif
