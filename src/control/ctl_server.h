/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The clients of the control socket: takes connections, up to VHOSTD_CTL_CLIENTS_MAX of them.
 */
#ifndef CONTROL_CTL_SERVER_H
#define CONTROL_CTL_SERVER_H

#include <stdbool.h>

#include "control/ctl_request.h"
#include "control/loop.h"

struct ctl_server;

/** Serves a listening socket (which stays the caller's) from now on. 0, or -1 with *err set. */
int ctl_server_new(struct loop *loop, int listen_fd, ctl_serve_fn serve, void *arg,
		   struct ctl_server **ret_server, struct error *err);

/** Hangs up on all clients. */
void ctl_server_free(struct ctl_server *server) IN_CTRL;

/** Have the clients taken all answers? */
bool ctl_server_is_flushed(const struct ctl_server *server) IN_CTRL;

unsigned int ctl_server_n_clients(const struct ctl_server *server) IN_CTRL;

/** About once a second: tries again what failed for want of descriptors. */
void ctl_server_on_tick(struct ctl_server *server) IN_CTRL;

#endif
