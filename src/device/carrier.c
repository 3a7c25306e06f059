/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/carrier.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
static int path_fd = -1; /* of the socket's file; it has no name any more */

int carriers_init(const char *socket_dir, struct error *err)
{
	int n = snprintf(path, sizeof(path), "%s/.%d.sock", socket_dir, (int)getpid());

	if (n < 0 || (size_t)n >= sizeof(path))
		return error_set(err, VHOSTD_ERR_PARAMS,
				 "socket_dir: \"%s\" is too long for a socket's path", socket_dir);
	return 0;
}

const char *carriers_path(void)
{
	return path;
}

int carriers_hide_path(struct error *err)
{
	path_fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (path_fd < 0 || unlink(path))
		return error_set(err, VHOSTD_ERR_SOCKET, "%s: %s", path, strerror(errno));
	return 0;
}

int carrier_new(int *ret_likely)
{
	int carrier = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int likely;

	if (carrier < 0)
		return -1;
	likely = fcntl(carrier, F_DUPFD_CLOEXEC, 0);
	if (likely < 0) {
		int error = errno;

		close(carrier);
		errno = error;
		return -1;
	}
	close(likely);
	*ret_likely = likely;
	return carrier;
}

int carrier_send(int carrier)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	snprintf(addr.sun_path, sizeof(addr.sun_path), "/proc/self/fd/%d", path_fd);
	return connect(carrier, (const struct sockaddr *)&addr, sizeof(addr));
}

/* Is it a connection of ours, accepted on the private socket? Once it has become a front end's, it
 * is not: there is never more than one. A path alone proves nothing: in a mount namespace of its
 * own a front end can make another socket of this name, and send us a connection. */
static bool is_accepted(int fd)
{
	struct sockaddr_un addr = {0};
	socklen_t n_bytes = sizeof(addr);
	int listening = 0;
	socklen_t n_int = sizeof(listening);
	struct ucred peer = {0};
	socklen_t n_peer = sizeof(peer);

	return getsockname(fd, (struct sockaddr *)&addr, &n_bytes) == 0 &&
	       addr.sun_family == AF_UNIX && strcmp(addr.sun_path, path) == 0 &&
	       getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &n_int) == 0 && !listening &&
	       getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n_peer) == 0 && peer.pid == getpid();
}

/* Numbers are given out from the lowest free one on, so it is not far beyond those in use. */
int carrier_arrived(int likely)
{
	long n = sysconf(_SC_OPEN_MAX);

	if (is_accepted(likely))
		return likely;
	for (int fd = 0; fd < n; fd++)
		if (is_accepted(fd))
			return fd;
	return -1;
}
