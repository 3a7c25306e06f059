/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Descriptors that came from a front end and are not wanted. Closing one may take as long as its
 * peer likes (a socket that lingers, a file of a user-space file system): a JOB does it.
 */
#ifndef DEVICE_STRAY_FDS_H
#define DEVICE_STRAY_FDS_H

#include "device/job.h"
#include "device/vhost_msg.h"

struct stray_fds {
	struct msg msg; /* EVENT_STRAY_FDS */
	struct job job;
	int fds[VHOST_MSG_FDS_MAX];
};

/** Takes all descriptors that are left in the message and has them closed. */
void stray_fds_drop(struct vu_msg *msg, struct mbox *events) IN_VHOST;

/** Has one descriptor closed; -1 is none. */
void stray_fd_close(int fd, struct jobs *jobs) IN_CTRL;

/** EVENT_STRAY_FDS. */
void stray_fds_close(struct stray_fds *stray, struct jobs *jobs) IN_CTRL;

#endif
