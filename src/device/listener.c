/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/listener.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"

#define BACKLOG 128

static int new_socket(const char *path, struct sockaddr_un *ret_addr)
{
	*ret_addr = (struct sockaddr_un){.sun_family = AF_UNIX};
	snprintf(ret_addr->sun_path, sizeof(ret_addr->sun_path), "%s", path);
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

/* What connecting to it says: ECONNREFUSED when nobody listens, 0 or EAGAIN when somebody does. */
static int knock(const char *path)
{
	struct sockaddr_un addr;
	int fd = new_socket(path, &addr);
	int error = fd < 0 || connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) ? errno : 0;

	if (fd >= 0)
		close(fd);
	return error;
}

/* A socket file that nobody listens on is a dead daemon's; any other file is not ours to remove. */
static int remove_stale(const char *path, struct error *err)
{
	struct stat st;
	int error;

	if (lstat(path, &st))
		return errno == ENOENT
			       ? 0
			       : error_set(err, VHOSTD_ERR_SOCKET, "%s: %s", path, strerror(errno));
	if (!S_ISSOCK(st.st_mode))
		return error_set(err, VHOSTD_ERR_SOCKET,
				 "%s is there and is not a socket: remove it", path);
	error = knock(path);
	if (error == 0 || error == EAGAIN)
		return error_set(
			err, VHOSTD_ERR_SOCKET,
			"%s: another process listens on it; use another name or socket_dir", path);
	if (error == ENOENT || (error == ECONNREFUSED && unlink(path) == 0))
		return 0;
	return error_set(err, VHOSTD_ERR_SOCKET, "%s: can't remove the stale socket: %s", path,
			 strerror(error == ECONNREFUSED ? errno : error));
}

static void set_owner_and_mode(const struct listener_params *p)
{
	if (chmod(p->path, p->mode))
		log_warning(p->name, "%s: can't set mode %o: %s", p->path, p->mode,
			    strerror(errno));
	if (p->gid != (gid_t)-1 && chown(p->path, (uid_t)-1, p->gid))
		log_warning(p->name, "%s: can't set group %u: %s", p->path, p->gid,
			    strerror(errno));
}

int listener_new(const struct listener_params *p, struct error *err)
{
	struct sockaddr_un addr;
	int fd;

	if (remove_stale(p->path, err))
		return -1;
	fd = new_socket(p->path, &addr);
	if (fd < 0)
		return error_set(err, VHOSTD_ERR_SOCKET, "%s: can't make a socket: %s", p->path,
				 strerror(errno));
	if (bind(fd, (const struct sockaddr *)&addr, sizeof(addr))) {
		error_set(err, VHOSTD_ERR_SOCKET, "%s: can't make the socket: %s", p->path,
			  strerror(errno));
		close(fd);
		return -1;
	}
	set_owner_and_mode(p);
	if (listen(fd, BACKLOG)) {
		error_set(err, VHOSTD_ERR_SOCKET, "%s: can't listen on it: %s", p->path,
			  strerror(errno));
		unlink(p->path);
		close(fd);
		return -1;
	}
	return fd;
}

void listener_unlink(const char *path, const char *name)
{
	if (unlink(path) && errno != ENOENT)
		log_warning(name, "%s: can't remove the socket: %s", path, strerror(errno));
}
