/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The control socket's file, and that no two daemons have the same one: PATH.lock is locked with
 * flock(2) for as long as the daemon lives and holds its pid. Whoever has the lock may replace a
 * socket file that nobody answers on.
 */
#ifndef CONTROL_CTL_SOCKET_H
#define CONTROL_CTL_SOCKET_H

#include <sys/types.h>

#include "base/error.h"
#include "control/settings.h"

struct ctl_socket {
	char path[SUN_PATH_BYTES];
	char lock_path[SUN_PATH_BYTES + 8];
	int lock_fd; /* -1: not ours */
	int fd;      /* listening; -1: no socket yet */
};

/** Takes the lock; before anything else that a second daemon shouldn't do. 0, or -1 with *err. */
int ctl_socket_lock(struct ctl_socket *sock, const char *path, struct error *err);

/** Makes the socket, with mode and group (-1: leave) before anybody can connect. 0, or -1 with
 *  *err set. */
int ctl_socket_listen(struct ctl_socket *sock, mode_t mode, gid_t gid, struct error *err);

/** Removes socket and lock file. */
void ctl_socket_close(struct ctl_socket *sock);

#endif
