/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Wire format of vhost-user, with deadlines. The sockets stay blocking (the back end never sees the
 * difference): each call polls first and then moves bytes with MSG_DONTWAIT.
 */
#include "vfe_msg.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

_Static_assert(sizeof(struct vhost_vring_state) == 8, "vhost-user: vring state");
_Static_assert(sizeof(struct vhost_vring_addr) == 40, "vhost-user: vring address");
_Static_assert(sizeof(struct vfe_msg_region) == 32, "vhost-user: memory region");
_Static_assert(offsetof(struct vfe_msg, u64) == 12, "vhost-user: header");

int64_t vfe_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int wait_ready(int sock, short events, int64_t deadline_ms)
{
	struct pollfd pfd = {.fd = sock, .events = events};
	int64_t left_ms;
	int n;

	do {
		left_ms = deadline_ms - vfe_now_ms();
		n = poll(&pfd, 1, left_ms > 0 ? (int)left_ms : 0);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return n == 0 ? -ETIMEDOUT : 0;
}

static void attach_fds(struct msghdr *mh, void *control, const struct vfe_fds *fds)
{
	size_t n_bytes = fds->n * sizeof(int);
	struct cmsghdr *cmsg;

	mh->msg_control = control;
	mh->msg_controllen = CMSG_SPACE(n_bytes);
	cmsg = CMSG_FIRSTHDR(mh);
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(n_bytes);
	memcpy(CMSG_DATA(cmsg), fds->fd, n_bytes);
}

int vfe_msg_send_raw(int sock, const void *bytes, size_t n_bytes, const struct vfe_fds *fds)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE((VFE_MSG_FDS_MAX + 1) * sizeof(int))] = {
		0};
	int64_t deadline_ms = vfe_now_ms() + VFE_TIMEOUT_MS;
	uint8_t copy[sizeof(struct vfe_msg) + 256];
	struct iovec iov = {.iov_base = copy, .iov_len = n_bytes};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;
	int rc;

	if (n_bytes > sizeof(copy) || n_bytes == 0)
		return -EINVAL;
	memcpy(copy, bytes, n_bytes);
	if (fds && fds->n > 0)
		attach_fds(&mh, control, fds);

	while (iov.iov_len > 0) {
		rc = wait_ready(sock, POLLOUT, deadline_ms);
		if (rc)
			return rc;
		n = sendmsg(sock, &mh, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		if (n <= 0)
			continue;
		iov.iov_base = (uint8_t *)iov.iov_base + n;
		iov.iov_len -= (size_t)n;
		mh.msg_control = NULL; /* the descriptors went with the first bytes */
		mh.msg_controllen = 0;
	}
	return 0;
}

int vfe_msg_send(int sock, const struct vfe_msg *msg, const struct vfe_fds *fds)
{
	if (msg->size_bytes > sizeof(*msg) - VFE_MSG_HEADER_BYTES)
		return -EINVAL;
	return vfe_msg_send_raw(sock, msg, VFE_MSG_HEADER_BYTES + msg->size_bytes, fds);
}

static void take_fds(struct msghdr *mh, struct vfe_fds *fds)
{
	struct cmsghdr *cmsg;
	unsigned int i, n;
	int fd;

	for (cmsg = CMSG_FIRSTHDR(mh); cmsg; cmsg = CMSG_NXTHDR(mh, cmsg)) {
		if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
			continue;
		n = (unsigned int)((cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		for (i = 0; i < n; i++) {
			memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(int), sizeof(fd));
			if (fds->n < VFE_MSG_FDS_MAX)
				fds->fd[fds->n++] = fd;
			else
				close(fd);
		}
	}
}

static int recv_exactly(int sock, void *buf, size_t n_bytes, struct vfe_fds *fds,
			int64_t deadline_ms)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(VFE_MSG_FDS_MAX * sizeof(int))];
	struct iovec iov = {.iov_base = buf, .iov_len = n_bytes};
	struct msghdr mh;
	ssize_t n;
	int rc;

	while (iov.iov_len > 0) {
		rc = wait_ready(sock, POLLIN, deadline_ms);
		if (rc)
			return rc;
		mh = (struct msghdr){.msg_iov = &iov,
				     .msg_iovlen = 1,
				     .msg_control = control,
				     .msg_controllen = sizeof(control)};
		n = recvmsg(sock, &mh, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
		if (n == 0)
			return -ECONNRESET;
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		if (n < 0)
			continue;
		take_fds(&mh, fds);
		iov.iov_base = (uint8_t *)iov.iov_base + n;
		iov.iov_len -= (size_t)n;
	}
	return 0;
}

static void close_fds(struct vfe_fds *fds)
{
	while (fds->n > 0)
		close(fds->fd[--fds->n]);
}

int vfe_msg_recv(int sock, struct vfe_msg *ret_msg, struct vfe_fds *ret_fds, int timeout_ms)
{
	int64_t deadline_ms = vfe_now_ms() + timeout_ms;
	struct vfe_fds fds = {.n = 0};
	struct vfe_msg msg = {0};
	int rc;

	rc = recv_exactly(sock, &msg, VFE_MSG_HEADER_BYTES, &fds, deadline_ms);
	if (!rc && msg.size_bytes > sizeof(msg) - VFE_MSG_HEADER_BYTES)
		rc = -EMSGSIZE;
	if (!rc)
		rc = recv_exactly(sock, (uint8_t *)&msg + VFE_MSG_HEADER_BYTES, msg.size_bytes,
				  &fds, deadline_ms);
	if (rc) {
		close_fds(&fds);
		return rc;
	}

	*ret_msg = msg;
	if (ret_fds)
		*ret_fds = fds;
	else
		close_fds(&fds);
	return 0;
}

int vfe_msg_connect(const char *path)
{
	int64_t deadline_ms = vfe_now_ms() + VFE_TIMEOUT_MS;
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int sock, rc;

	if (strlen(path) >= sizeof(sun.sun_path))
		return -ENAMETOOLONG;
	memcpy(sun.sun_path, path, strlen(path));

	sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (sock < 0)
		return -errno;
	/* EAGAIN: the listener's queue is full; a blocking connect() would sleep without end. */
	while (connect(sock, (struct sockaddr *)&sun, sizeof(sun)) < 0) {
		rc = errno == EAGAIN && vfe_now_ms() >= deadline_ms ? -ETIMEDOUT : -errno;
		if (rc != -EAGAIN) {
			close(sock);
			return rc;
		}
		usleep(1000);
	}
	if (fcntl(sock, F_SETFL, 0) < 0) {
		rc = -errno;
		close(sock);
		return rc;
	}
	return sock;
}

int vfe_msg_peer_closes(int sock, int timeout_ms)
{
	int64_t deadline_ms = vfe_now_ms() + timeout_ms;
	uint8_t trash[256];
	ssize_t n;

	while (wait_ready(sock, POLLIN, deadline_ms) == 0) {
		n = recv(sock, trash, sizeof(trash), MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			return 1;
	}
	return 0;
}
