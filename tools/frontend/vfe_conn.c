/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Typed vhost-user messages over vfe_msg: requests with replies, requests with acknowledgements,
 * and the checks on both (reply flag, version, request number, payload size).
 */
#include "vfe_conn.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

int vfe_conn_open(struct vfe_conn *conn, const char *path)
{
	int sock = vfe_msg_connect(path);

	if (sock < 0)
		return sock;
	*conn = (struct vfe_conn){.sock = sock, .timeout_ms = VFE_TIMEOUT_MS};
	return 0;
}

void vfe_conn_close(struct vfe_conn *conn)
{
	if (conn->sock >= 0)
		close(conn->sock);
	conn->sock = -1;
}

bool vfe_conn_has(const struct vfe_conn *conn, enum vfe_protocol_feature feature)
{
	return conn->protocol_features & (1ull << feature);
}

static int recv_reply(struct vfe_conn *conn, uint32_t request, uint32_t n_bytes,
		      struct vfe_msg *ret_reply)
{
	int rc = vfe_msg_recv(conn->sock, ret_reply, NULL, conn->timeout_ms);

	if (rc)
		return rc;
	if (ret_reply->request != request || ret_reply->size_bytes != n_bytes ||
	    (ret_reply->flags & (VFE_MSG_REPLY | 0x3u)) != (VFE_MSG_REPLY | VFE_MSG_VERSION))
		return -EPROTO;
	return 0;
}

/* Send a request that the specification gives a reply of its own. */
static int ask(struct vfe_conn *conn, struct vfe_msg *msg, uint32_t n_reply_bytes)
{
	uint32_t request = msg->request;
	int rc;

	msg->flags = VFE_MSG_VERSION;
	rc = vfe_msg_send(conn->sock, msg, NULL);
	return rc ? rc : recv_reply(conn, request, n_reply_bytes, msg);
}

static bool wants_ack(const struct vfe_conn *conn, uint32_t request)
{
	bool mem = request == VFE_SET_MEM_TABLE || request == VFE_ADD_MEM_REG;

	if (!vfe_conn_has(conn, VFE_PF_REPLY_ACK))
		return false;
	return conn->ack == VFE_ACK_ALL || (conn->ack == VFE_ACK_MEM_TABLE && mem);
}

/* Send a request without a reply of its own; with an acknowledgement if the connection is so. */
static int tell(struct vfe_conn *conn, struct vfe_msg *msg, const struct vfe_fds *fds)
{
	uint32_t request = msg->request;
	bool ack = wants_ack(conn, request);
	int rc;

	msg->flags = VFE_MSG_VERSION | (ack ? VFE_MSG_NEED_REPLY : 0);
	rc = vfe_msg_send(conn->sock, msg, fds);
	if (rc || !ack)
		return rc;
	rc = recv_reply(conn, request, sizeof(msg->u64), msg);
	if (rc)
		return rc;
	return msg->u64 ? -EREMOTEIO : 0;
}

int vfe_conn_get_u64(struct vfe_conn *conn, enum vfe_request request, uint64_t *ret_value)
{
	struct vfe_msg msg = {.request = request};
	int rc = ask(conn, &msg, sizeof(msg.u64));

	if (!rc)
		*ret_value = msg.u64;
	return rc;
}

int vfe_conn_set_u64(struct vfe_conn *conn, enum vfe_request request, uint64_t value)
{
	struct vfe_msg msg = {.request = request, .size_bytes = sizeof(msg.u64), .u64 = value};

	return tell(conn, &msg, NULL);
}

int vfe_conn_set_empty(struct vfe_conn *conn, enum vfe_request request)
{
	struct vfe_msg msg = {.request = request};

	return tell(conn, &msg, NULL);
}

int vfe_conn_set_vring(struct vfe_conn *conn, enum vfe_request request, uint32_t index,
		       uint32_t num)
{
	struct vfe_msg msg = {.request = request,
			      .size_bytes = sizeof(msg.state),
			      .state = {.index = index, .num = num}};

	return tell(conn, &msg, NULL);
}

int vfe_conn_get_vring_base(struct vfe_conn *conn, uint32_t index, uint32_t *ret_base)
{
	struct vfe_msg msg = {.request = VFE_GET_VRING_BASE,
			      .size_bytes = sizeof(msg.state),
			      .state = {.index = index}};
	int rc = ask(conn, &msg, sizeof(msg.state));

	if (rc)
		return rc;
	if (msg.state.index != index)
		return -EPROTO;
	*ret_base = msg.state.num;
	return 0;
}

int vfe_conn_set_vring_addr(struct vfe_conn *conn, const struct vhost_vring_addr *addr)
{
	struct vfe_msg msg = {
		.request = VFE_SET_VRING_ADDR, .size_bytes = sizeof(msg.addr), .addr = *addr};

	return tell(conn, &msg, NULL);
}

int vfe_conn_set_vring_fd(struct vfe_conn *conn, enum vfe_request request, uint32_t index, int fd)
{
	struct vfe_msg msg = {.request = request,
			      .size_bytes = sizeof(msg.u64),
			      .u64 = index | (fd < 0 ? VFE_VRING_NOFD : 0)};
	struct vfe_fds fds = {.fd = {fd}, .n = fd < 0 ? 0 : 1};

	return tell(conn, &msg, &fds);
}

static struct vfe_msg_region wire_region(const struct vfe_region *r)
{
	return (struct vfe_msg_region){.gpa = r->gpa,
				       .size_bytes = r->size_bytes,
				       .user_addr = r->user_addr,
				       .mmap_offset = r->mmap_offset};
}

int vfe_conn_set_mem_table(struct vfe_conn *conn, const struct vfe_mem *mem)
{
	struct vfe_msg msg = {.request = VFE_SET_MEM_TABLE};
	struct vfe_fds fds = {.n = mem->n_regions};
	unsigned int i;

	for (i = 0; i < mem->n_regions; i++) {
		msg.memory.region[i] = wire_region(&mem->region[i]);
		fds.fd[i] = mem->region[i].fd;
	}
	msg.memory.n_regions = mem->n_regions;
	msg.size_bytes = 8 + mem->n_regions * (uint32_t)sizeof(struct vfe_msg_region);
	return tell(conn, &msg, &fds);
}

int vfe_conn_add_mem_region(struct vfe_conn *conn, const struct vfe_region *region)
{
	struct vfe_msg msg = {.request = VFE_ADD_MEM_REG,
			      .size_bytes = sizeof(msg.one_region),
			      .one_region = {.region = wire_region(region)}};
	struct vfe_fds fds = {.fd = {region->fd}, .n = 1};

	return tell(conn, &msg, &fds);
}

int vfe_conn_set_backend_channel(struct vfe_conn *conn, int fd)
{
	struct vfe_msg msg = {.request = VFE_SET_SLAVE_REQ_FD};
	struct vfe_fds fds = {.fd = {fd}, .n = 1};

	return tell(conn, &msg, &fds);
}

int vfe_conn_get_config(struct vfe_conn *conn, uint32_t offset, void *ret_data, uint32_t n_bytes)
{
	struct vfe_msg msg = {.request = VFE_GET_CONFIG,
			      .size_bytes = VFE_MSG_CONFIG_HEADER_BYTES + n_bytes,
			      .config = {.offset = offset, .size_bytes = n_bytes}};
	int rc;

	if (n_bytes > VFE_CONFIG_BYTES_MAX)
		return -EINVAL;
	rc = ask(conn, &msg, msg.size_bytes);
	if (rc)
		return rc;
	if (msg.config.offset != offset || msg.config.size_bytes != n_bytes)
		return -EPROTO;
	memcpy(ret_data, msg.config.data, n_bytes);
	return 0;
}

int vfe_conn_set_config(struct vfe_conn *conn, uint32_t offset, const void *data, uint32_t n_bytes)
{
	struct vfe_msg msg = {.request = VFE_SET_CONFIG,
			      .size_bytes = VFE_MSG_CONFIG_HEADER_BYTES + n_bytes,
			      .config = {.offset = offset, .size_bytes = n_bytes}};

	if (n_bytes > VFE_CONFIG_BYTES_MAX)
		return -EINVAL;
	memcpy(msg.config.data, data, n_bytes);
	return tell(conn, &msg, NULL);
}

int vfe_conn_wait_backend_request(int channel, uint32_t *ret_request, int timeout_ms)
{
	struct vfe_msg msg;
	uint32_t request;
	int rc;

	rc = vfe_msg_recv(channel, &msg, NULL, timeout_ms);
	if (rc)
		return rc;
	request = msg.request;
	if (msg.flags & VFE_MSG_NEED_REPLY) {
		msg.flags = VFE_MSG_VERSION | VFE_MSG_REPLY;
		msg.size_bytes = sizeof(msg.u64);
		msg.u64 = 0;
		rc = vfe_msg_send(channel, &msg, NULL);
		if (rc)
			return rc;
	}
	*ret_request = request;
	return 0;
}
