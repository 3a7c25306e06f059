/* SPDX-License-Identifier: BSD-3-Clause
 *
 * librte_vhost's event thread sleeps in poll() for up to a second, and a socket that is registered
 * does not wake it: front ends that connect would wait. What happens on a socket that it polls
 * already does: one of ours is registered before all others, and connected to.
 */
#ifndef DEVICE_EVENT_THREAD_H
#define DEVICE_EVENT_THREAD_H

#include "base/error.h"

/** Chooses the path of our socket; it is to be registered with librte_vhost. */
int event_thread_init(const char *socket_dir, struct error *err);

/** Of our socket. */
const char *event_thread_wake_path(void);

/** Right after the first socket, ours, has been registered: the thread has just gone to sleep
 *  without it. Returns when it polls our socket; after a second at the latest. */
void event_thread_settle(void);

/** It looks at what it polls, and so at all sockets registered by now. Never blocks. */
void event_thread_wake(void);

#endif
