/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/ctl_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG VHOSTD_CTL_CLIENTS_MAX

static long read_pid(int fd)
{
	char text[32] = {0};

	if (pread(fd, text, sizeof(text) - 1, 0) <= 0)
		return 0;
	return strtol(text, NULL, 10);
}

/* The holder removes the file when it ends: what we have locked may be no longer what is there. */
static bool is_current(int fd, const char *path)
{
	struct stat ours, theirs;

	return fstat(fd, &ours) == 0 && stat(path, &theirs) == 0 && ours.st_dev == theirs.st_dev &&
	       ours.st_ino == theirs.st_ino;
}

static int write_pid(int fd)
{
	char text[32];
	int len = snprintf(text, sizeof(text), "%d\n", (int)getpid());

	return ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)len, 0) != len ? -1 : 0;
}

/* 1: locked; 0: try again; -1 with *err. */
static int try_lock(struct ctl_socket *sock, struct error *err)
{
	int fd =
		open(sock->lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);

	if (fd < 0)
		return error_set(err, VHOSTD_ERR_SOCKET, "%s: %s", sock->lock_path,
				 strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno == EWOULDBLOCK)
			error_set(err, VHOSTD_ERR_SOCKET,
				  "another vhostd, pid %ld, serves the control socket %s",
				  read_pid(fd), sock->path);
		else
			error_set(err, VHOSTD_ERR_SOCKET, "%s: %s", sock->lock_path,
				  strerror(errno));
		close(fd);
		return -1;
	}
	if (!is_current(fd, sock->lock_path)) {
		close(fd);
		return 0;
	}
	if (write_pid(fd)) {
		error_set(err, VHOSTD_ERR_SOCKET, "%s: %s", sock->lock_path, strerror(errno));
		close(fd);
		return -1;
	}
	sock->lock_fd = fd;
	return 1;
}

int ctl_socket_lock(struct ctl_socket *sock, const char *path, struct error *err)
{
	int rc;

	sock->lock_fd = -1;
	sock->fd = -1;
	snprintf(sock->path, sizeof(sock->path), "%s", path);
	snprintf(sock->lock_path, sizeof(sock->lock_path), "%s.lock", path);
	while ((rc = try_lock(sock, err)) == 0)
		;
	return rc < 0 ? -1 : 0;
}

static struct sockaddr_un address_of(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	return address;
}

/* We have the lock, so whoever answers is no vhostd that plays by it. */
static int check_nobody_answers(const char *path, struct error *err)
{
	struct sockaddr_un address = address_of(path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct ucred peer = {0};
	socklen_t len = sizeof(peer);
	int rc = 0;

	if (fd < 0)
		return error_set(err, VHOSTD_ERR_SOCKET, "%s: socket: %s", path, strerror(errno));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 || errno == EAGAIN) {
		getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len);
		rc = error_set(err, VHOSTD_ERR_SOCKET, "%s: another process, pid %d, answers there",
			       path, (int)peer.pid);
	}
	close(fd);
	return rc;
}

static int remove_stale(const char *path, struct error *err)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT
			       ? 0
			       : error_set(err, VHOSTD_ERR_SOCKET, "%s: %s", path, strerror(errno));
	if (!S_ISSOCK(st.st_mode))
		return error_set(err, VHOSTD_ERR_SOCKET, "%s: exists and is not a socket", path);
	if (check_nobody_answers(path, err))
		return -1;
	if (unlink(path) < 0 && errno != ENOENT)
		return error_set(err, VHOSTD_ERR_SOCKET, "%s: %s", path, strerror(errno));
	return 0;
}

/* Nobody can connect before listen(2), so mode and group are right from the first moment. */
static int make_socket(int fd, const char *path, mode_t mode, gid_t gid, struct error *err)
{
	struct sockaddr_un address = address_of(path);
	const char *step = "bind";
	int rc = bind(fd, (struct sockaddr *)&address, sizeof(address));

	if (rc == 0 && gid != (gid_t)-1) {
		step = "chown";
		rc = chown(path, (uid_t)-1, gid);
	}
	if (rc == 0) {
		step = "chmod";
		rc = chmod(path, mode);
	}
	if (rc == 0) {
		step = "listen";
		rc = listen(fd, BACKLOG);
	}
	if (rc < 0)
		return error_set(err, VHOSTD_ERR_SOCKET, "%s: %s: %s", path, step, strerror(errno));
	return 0;
}

int ctl_socket_listen(struct ctl_socket *sock, mode_t mode, gid_t gid, struct error *err)
{
	int fd;

	if (remove_stale(sock->path, err))
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return error_set(err, VHOSTD_ERR_SOCKET, "%s: socket: %s", sock->path,
				 strerror(errno));
	sock->fd = fd;
	return make_socket(fd, sock->path, mode, gid, err);
}

void ctl_socket_close(struct ctl_socket *sock)
{
	if (sock->fd >= 0) {
		unlink(sock->path);
		close(sock->fd);
		sock->fd = -1;
	}
	if (sock->lock_fd >= 0) {
		unlink(sock->lock_path);
		close(sock->lock_fd);
		sock->lock_fd = -1;
	}
}
