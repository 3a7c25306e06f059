/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Descriptors that came from a front end and are not wanted, or no longer. Closing one may take as
 * long as its peer likes (a socket that lingers, a file of a user-space file system): a JOB does
 * it.
 */
#ifndef DEVICE_STRAY_FDS_H
#define DEVICE_STRAY_FDS_H

#include "device/cleaner.h"
#include "device/vhost_msg.h"

/** Of an endpoint, waiting to be closed: then it is cut off, and nobody let in. */
#define STRAY_FDS_MAX 1024

struct stray_fds {
	struct msg msg; /* EVENT_STRAY_FDS */
	struct cleaner *cleaner;
	struct stray_fds *next; /* while they are gathered */
	struct cleanup cleanup;
	int fds[VHOST_MSG_FDS_MAX];
};

/** Has descriptors closed, in turn with others that `closer` has; -1 is none. */
void stray_fds_drop(const int *fds, int n, struct cleaner *closer, struct mbox *events) IN_VHOST;

/** The same, of CTRL's. */
void stray_fds_leave(const int *fds, int n, struct cleaner *closer, struct jobs *jobs) IN_CTRL;

/** The same, of VHOST's, for those that are left in the message. */
void stray_fds_drop_left(struct vu_msg *msg, struct cleaner *closer, struct mbox *events) IN_VHOST;

/** Do so many wait that no more are to come? Any thread. */
bool stray_fds_are_too_many(const struct cleaner *closer);

/** Has one descriptor closed, which waits for no other; -1 is none. */
void stray_fd_close(int fd, struct jobs *jobs) IN_CTRL;

/** EVENT_STRAY_FDS. */
void stray_fds_close(struct stray_fds *stray, struct jobs *jobs) IN_CTRL;

#endif
