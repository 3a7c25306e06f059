/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The control thread: runs the daemon's loop on the CPUs that no lcore has, then stops the lcores.
 */
#ifndef CONTROL_CTRL_THREAD_H
#define CONTROL_CTRL_THREAD_H

#include <pthread.h>
#include <sched.h>

#include "base/error.h"
#include "control/daemon.h"

/** Starts it. `cpus`: what the process may use. Its JOBs inherit its CPUs, and the
 *  helper threads get them. 0, or -1 with *err.
 */
int ctrl_thread_start(struct daemon *daemon, const cpu_set_t *cpus, pthread_t *ret_thread,
		      struct error *err);

#endif
