/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The methods of the control socket: a handler for each row of VHOSTD_METHODS.
 */
#ifndef CONTROL_CTL_CMDS_H
#define CONTROL_CTL_CMDS_H

#include "base/thread_role.h"
#include "control/ctl_request.h"

struct daemon;

/** Finds the method, checks the parameters, and has the request answered, now or later. */
void ctl_cmds_serve(struct daemon *daemon, struct ctl_request *request) IN_CTRL;

#endif
