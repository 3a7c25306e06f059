/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Puts a front end's messages together ("Communication" of the vhost-user specification), without
 * ever waiting for the rest of one. Whatever comes is received with its descriptors, so that none
 * is left to the kernel or to librte_vhost to close.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "device/conn.h"
#include "device/endpoint.h"
#include "device/stray_fds.h"

#define SCM_FDS_MAX 253 /* the kernel's SCM_MAX_FD: more cannot come at a time */

#define HEADER_BYTES ((uint32_t)sizeof(struct vhost_header))

static uint32_t n_bytes_left(const struct incoming *in)
{
	uint32_t n_bytes = HEADER_BYTES;

	if (in->n_bytes >= HEADER_BYTES)
		n_bytes += in->msg.header.size;
	return n_bytes - in->n_bytes;
}

/* Gives the message the descriptors that came with a part of it; false if they are too many. */
static bool add_fds(struct conn *conn, const int *fds, int n) IN_VHOST
{
	struct vu_msg *msg = &conn->in.msg;

	if (n > VHOST_MSG_FDS_MAX - msg->n_fds) {
		stray_fds_drop(fds, n, conn->endpoint->closer, conn->endpoint->events);
		return false;
	}
	memcpy(&msg->fds[msg->n_fds], fds, (size_t)n * sizeof(*fds));
	msg->n_fds += n;
	return true;
}

/* The kernel gives all of a part's descriptors with its first byte. */
static bool take_fds(struct conn *conn, struct msghdr *mh) IN_VHOST
{
	bool ok = !(mh->msg_flags & MSG_CTRUNC);

	for (struct cmsghdr *c = CMSG_FIRSTHDR(mh); c; c = CMSG_NXTHDR(mh, c)) {
		int fds[SCM_FDS_MAX];
		size_t n_bytes = c->cmsg_len - CMSG_LEN(0);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		memcpy(fds, CMSG_DATA(c), n_bytes);
		if (!add_fds(conn, fds, (int)(n_bytes / sizeof(int))))
			ok = false;
	}
	if (!ok)
		conn_complain(conn,
			      "a message with more than %d descriptors, or than we have room for",
			      VHOST_MSG_FDS_MAX);
	return ok;
}

/* Receives what there is of the rest. The number of bytes; 0: the end, or nothing is to follow; -1
 * with errno. */
static ssize_t receive_part(struct conn *conn) IN_VHOST
{
	struct incoming *in = &conn->in;
	union {
		char bytes[CMSG_SPACE(SCM_FDS_MAX * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = {(uint8_t *)&in->msg + in->n_bytes, n_bytes_left(in)};
	struct msghdr mh = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	ssize_t n = recvmsg(conn->sock, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n < 0)
		return -1;
	if (!take_fds(conn, &mh))
		return 0;
	in->n_bytes += (uint32_t)n;
	return n;
}

enum received conn_receive(struct conn *conn)
{
	struct vu_msg *msg = &conn->in.msg;

	while (n_bytes_left(&conn->in) > 0) {
		ssize_t n = receive_part(conn);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return RECEIVED_PART;
		if (n <= 0)
			return RECEIVED_END;
		if (conn->in.n_bytes >= HEADER_BYTES && msg->header.size > sizeof(msg->payload)) {
			conn_complain(conn, "message %u of %u bytes; %zu at most",
				      msg->header.request, msg->header.size, sizeof(msg->payload));
			return RECEIVED_END;
		}
	}
	return RECEIVED_WHOLE;
}

bool conn_take_message(struct conn *conn, struct vu_msg *ret_msg)
{
	if (n_bytes_left(&conn->in) > 0)
		return false;
	*ret_msg = conn->in.msg;
	conn->in = (struct incoming){0};
	return true;
}

void conn_drop_message(struct conn *conn)
{
	stray_fds_drop_left(&conn->in.msg, conn->endpoint->closer, conn->endpoint->events);
	conn->in = (struct incoming){0};
}
