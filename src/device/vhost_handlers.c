/* SPDX-License-Identifier: BSD-3-Clause
 *
 * One function for each vhost-user message, by the vhost-user specification's "Front-end message
 * types". The front end is not trusted: sizes, indices and descriptors are checked here, and a bad
 * message costs its sender the connection (or an error reply where it asked for one).
 */
#include <linux/virtio_config.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "device/conn.h"
#include "device/endpoint.h"
#include "device/events.h"
#include "device/stray_fds.h"

#include <stdlib.h>

#define BIT(n) (1ull << (n))

#define PROTOCOL_FEATURES                                                                          \
	(BIT(VHOST_PROTOCOL_MQ) | BIT(VHOST_PROTOCOL_REPLY_ACK) |                                  \
	 BIT(VHOST_PROTOCOL_BACKEND_REQ) | BIT(VHOST_PROTOCOL_CONFIG))

static enum handled reply_u64(struct vu_msg *msg, uint64_t value)
{
	msg->payload.u64 = value;
	msg->header.size = sizeof(value);
	return HANDLED_REPLY;
}

static int take_fd(struct vu_msg *msg)
{
	int fd = msg->n_fds > 0 ? msg->fds[0] : -1;

	msg->fds[0] = -1;
	return fd;
}

static enum handled on_get_features(struct conn *conn, struct vu_msg *msg)
{
	return reply_u64(msg, conn->endpoint->features);
}

static enum handled on_set_features(struct conn *conn, struct vu_msg *msg)
{
	uint64_t unknown = msg->payload.u64 & ~conn->endpoint->features;

	if (unknown) {
		conn_complain(conn, "SET_FEATURES with bits that were not offered: 0x%llx",
			      (unsigned long long)unknown);
		return HANDLED_ERROR;
	}
	conn->features = msg->payload.u64;
	atomic_store_explicit(&conn->features_view, conn->features, memory_order_relaxed);
	return HANDLED_OK;
}

static enum handled on_set_owner(struct conn *conn, struct vu_msg *msg)
{
	(void)conn;
	(void)msg;
	return HANDLED_OK;
}

/* Deprecated; back ends are told to ignore it or to disable all rings. */
static enum handled on_reset_owner(struct conn *conn, struct vu_msg *msg)
{
	return on_set_owner(conn, msg);
}

static enum handled on_set_mem_table(struct conn *conn, struct vu_msg *msg) IN_VHOST
{
	const struct vhost_memory_msg *m = &msg->payload.memory;
	struct guest_map_region regions[GUEST_MEM_REGIONS_MAX];
	struct guest_map *map;
	const char *fault;

	if (msg->header.size < 8 || m->n_regions > GUEST_MEM_REGIONS_MAX ||
	    msg->header.size < 8 + m->n_regions * sizeof(m->regions[0]) ||
	    msg->n_fds != (int)m->n_regions) {
		conn_complain(conn,
			      "SET_MEM_TABLE of %u bytes, %u regions, %d descriptors; at most %u "
			      "regions, with a descriptor each",
			      msg->header.size, m->n_regions, msg->n_fds, GUEST_MEM_REGIONS_MAX);
		return HANDLED_ERROR;
	}
	for (uint32_t i = 0; i < m->n_regions; i++)
		regions[i] = (struct guest_map_region){
			m->regions[i].gpa, m->regions[i].size_bytes,
			m->regions[i].uva, m->regions[i].mmap_offset,
			msg->fds[i],
		};
	map = guest_map_new(regions, m->n_regions, conn->map, conn->endpoint->unmapper, &fault);
	if (!map) {
		conn_complain(conn, "SET_MEM_TABLE: %s", fault);
		return HANDLED_ERROR;
	}
	if (!conn_set_map(conn, map)) {
		mbox_send(conn->endpoint->events, &map->drop_msg);
		return HANDLED_ERROR;
	}
	for (uint16_t i = 0; i < conn->endpoint->n_queues; i++)
		if (!conn_ring_start(conn, i))
			return HANDLED_ERROR;
	return HANDLED_OK;
}

/* The ring a message is about, if it may be set up now; else NULL. */
static struct ring *ring_at_rest(struct conn *conn, uint32_t index, const char *what)
{
	if (!conn->rings[index].run)
		return &conn->rings[index];
	conn_complain(conn,
		      "%s of virtqueue %u, which is running: stop it with GET_VRING_BASE first",
		      what, index);
	return NULL;
}

static enum handled started(struct conn *conn, uint32_t index) IN_VHOST
{
	return conn_ring_start(conn, (uint16_t)index) ? HANDLED_OK : HANDLED_ERROR;
}

static bool is_packed(const struct conn *conn)
{
	return conn->features & BIT(VIRTIO_F_RING_PACKED);
}

static enum handled on_set_vring_num(struct conn *conn, struct vu_msg *msg) IN_VHOST
{
	uint32_t index = msg->payload.state.index, num = msg->payload.state.num;
	struct ring *ring = ring_at_rest(conn, index, "SET_VRING_NUM");

	if (!ring)
		return HANDLED_ERROR;
	if (!virtq_size_ok(is_packed(conn), num)) {
		conn_complain(conn, "SET_VRING_NUM of virtqueue %u: %u; %s up to %u", index, num,
			      is_packed(conn) ? "1" : "a power of two", VRING_SIZE_MAX);
		return HANDLED_ERROR;
	}
	ring->size = (uint16_t)num;
	return started(conn, index);
}

static enum handled on_set_vring_addr(struct conn *conn, struct vu_msg *msg) IN_VHOST
{
	const struct vhost_vring_addr_msg a = msg->payload.addr;
	const struct vring_addr addr = {a.desc, a.avail, a.used};
	struct ring *ring = &conn->rings[a.index];

	if (ring->run && memcmp(&ring->addr, &addr, sizeof(addr)) == 0)
		return HANDLED_OK; /* QEMU repeats it to change the flags */
	ring = ring_at_rest(conn, a.index, "SET_VRING_ADDR");
	if (!ring)
		return HANDLED_ERROR;
	ring->addr = addr;
	return started(conn, a.index);
}

static enum handled on_set_vring_base(struct conn *conn, struct vu_msg *msg)
{
	uint32_t index = msg->payload.state.index, num = msg->payload.state.num;
	struct ring *ring = ring_at_rest(conn, index, "SET_VRING_BASE");

	if (!ring)
		return HANDLED_ERROR;
	if (!is_packed(conn) && num > UINT16_MAX) {
		conn_complain(conn, "SET_VRING_BASE of virtqueue %u: %u; an index of 16 bits",
			      index, num);
		return HANDLED_ERROR;
	}
	ring->base = num;
	return HANDLED_OK;
}

static enum handled on_get_vring_base(struct conn *conn, struct vu_msg *msg) IN_VHOST
{
	uint32_t index = msg->payload.state.index;
	struct ring *ring = &conn->rings[index];

	if (conn_ring_stop(conn, (uint16_t)index, true)) {
		msg->header.flags &= ~VHOST_MSG_NEED_REPLY; /* CTRL answers when it has drained */
		return HANDLED_OK;
	}
	if (ring->base != VIRTQ_BASE_UNKNOWN)
		msg->payload.state.num = (uint32_t)ring->base;
	else
		msg->payload.state.num = is_packed(conn) ? VRING_PACKED_BASE_START : 0;
	msg->header.size = sizeof(msg->payload.state);
	return HANDLED_REPLY;
}

/* The lcore writes to it: only an eventfd takes that without waiting for somebody. */
static bool is_eventfd(int fd)
{
	char link[64], target[32] = "";

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	return readlink(link, target, sizeof(target) - 1) > 0 &&
	       strcmp(target, "anon_inode:[eventfd]") == 0;
}

/* The descriptor of SET_VRING_KICK or SET_VRING_CALL, -1 when it says that there is none. */
static bool ring_fd(struct conn *conn, struct vu_msg *msg, const char *what, int *ret_fd)
{
	bool none = msg->payload.u64 & VHOST_RING_NO_FD;
	int fd = take_fd(msg);

	if (none ? fd < 0 : is_eventfd(fd)) {
		*ret_fd = fd;
		return true;
	}
	conn_complain(conn, "%s wants %s", what, none ? "no descriptor" : "an eventfd");
	msg->fds[0] = fd;
	return false;
}

static enum handled on_set_vring_kick(struct conn *conn, struct vu_msg *msg) IN_VHOST
{
	uint32_t index = msg->payload.u64 & VHOST_RING_INDEX_MASK;
	int fd;

	if (!ring_fd(conn, msg, "SET_VRING_KICK", &fd))
		return HANDLED_ERROR;
	conn_ring_set_kick(conn, (uint16_t)index, fd);
	return started(conn, index);
}

static enum handled on_set_vring_call(struct conn *conn, struct vu_msg *msg) IN_VHOST
{
	uint32_t index = msg->payload.u64 & VHOST_RING_INDEX_MASK;
	int fd;

	if (!ring_fd(conn, msg, "SET_VRING_CALL", &fd))
		return HANDLED_ERROR;
	conn_ring_set_call(conn, (uint16_t)index, fd);
	return HANDLED_OK;
}

static enum handled on_set_vring_err(struct conn *conn, struct vu_msg *msg)
{
	return on_set_owner(conn, msg); /* we have nothing to say through it */
}

static enum handled on_get_protocol_features(struct conn *conn, struct vu_msg *msg)
{
	(void)conn;
	return reply_u64(msg, PROTOCOL_FEATURES);
}

static enum handled on_set_protocol_features(struct conn *conn, struct vu_msg *msg)
{
	uint64_t unknown = msg->payload.u64 & ~PROTOCOL_FEATURES;

	if (unknown) {
		conn_complain(conn, "SET_PROTOCOL_FEATURES with bits that were not offered: 0x%llx",
			      (unsigned long long)unknown);
		return HANDLED_ERROR;
	}
	conn->protocol_features = msg->payload.u64;
	return HANDLED_OK;
}

static enum handled on_get_queue_num(struct conn *conn, struct vu_msg *msg)
{
	return reply_u64(msg, conn->endpoint->n_queues);
}

static enum handled on_set_vring_enable(struct conn *conn, struct vu_msg *msg) IN_VHOST
{
	uint32_t index = msg->payload.state.index, num = msg->payload.state.num;

	if (num > 1) {
		conn_complain(conn, "SET_VRING_ENABLE of virtqueue %u: %u; 0 or 1", index, num);
		return HANDLED_ERROR;
	}
	conn_ring_set_enabled(conn, (uint16_t)index, num);
	return HANDLED_OK;
}

/* CTRL writes to it: only such a socket takes that without waiting. */
static bool is_unix_stream(int fd)
{
	int domain = 0, type = 0;
	socklen_t n_domain = sizeof(domain), n_type = sizeof(type);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &n_domain) == 0 &&
	       getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n_type) == 0 && domain == AF_UNIX &&
	       type == SOCK_STREAM;
}

static enum handled on_set_backend_req_fd(struct conn *conn, struct vu_msg *msg)
{
	struct backend_fd *b;

	if (msg->n_fds != 1 || !is_unix_stream(msg->fds[0]) || conn->has_backend_fd) {
		conn_complain(conn, "SET_BACKEND_REQ_FD wants a Unix stream socket, once");
		return HANDLED_ERROR;
	}
	b = malloc(sizeof(*b));
	if (!b)
		return HANDLED_ERROR;
	msg_init(&b->msg, EVENT_BACKEND_FD);
	b->conn = conn;
	b->fd = take_fd(msg);
	b->config_changes = conn->protocol_features & BIT(VHOST_PROTOCOL_CONFIG);
	conn->has_backend_fd = true;
	mbox_send(conn->endpoint->events, &b->msg);
	return HANDLED_OK;
}

static bool config_range_ok(const struct vu_msg *msg)
{
	const struct vhost_config_msg *c = &msg->payload.config;

	return msg->header.size >= 12 && c->size <= VHOST_CONFIG_MAX &&
	       c->offset <= VHOST_CONFIG_MAX - c->size && msg->header.size >= 12 + c->size;
}

static enum handled on_get_config(struct conn *conn, struct vu_msg *msg)
{
	struct vhost_config_msg *c = &msg->payload.config;
	uint8_t config[BLK_CONFIG_BYTES];

	if (!config_range_ok(msg)) {
		conn_complain(conn, "GET_CONFIG of more than the %u bytes there are",
			      VHOST_CONFIG_MAX);
		msg->header.size = 0; /* how the specification says no */
		return HANDLED_REPLY;
	}
	blk_config(conn->endpoint->disk, config);
	memcpy(c->region, config + c->offset, c->size);
	msg->header.size = 12 + c->size;
	return HANDLED_REPLY;
}

/* The driver may write only `writeback` (5.2.5.1); other bytes must be what they are. */
static enum handled on_set_config(struct conn *conn, struct vu_msg *msg)
{
	const uint32_t wce = offsetof(struct virtio_blk_config, wce);
	const struct vhost_config_msg *c = &msg->payload.config;

	if (!config_range_ok(msg) || c->offset != wce || c->size != 1 || c->region[0] > 1) {
		conn_complain(conn, "SET_CONFIG of other than writeback (1 byte at %u, 0 or 1)",
			      wce);
		return HANDLED_ERROR;
	}
	atomic_store_explicit(&conn->endpoint->disk->write_cache, c->region[0] != 0,
			      memory_order_relaxed);
	return HANDLED_OK;
}

struct handler {
	const char *name;
	enum handled (*handle)(struct conn *conn, struct vu_msg *msg);
	int32_t n_bytes; /* of the payload; -1: checked by the handler */
	int n_fds_max;
};

static const struct handler handlers[] = {
#define HANDLER(NAME, name, request, bytes, fds) [request] = {#NAME, on_##name, bytes, fds},
	VHOST_REQUESTS(HANDLER)
#undef HANDLER
};

/* Does the message name a virtqueue that we have? */
static bool ring_index_ok(const struct conn *conn, const struct vu_msg *msg)
{
	uint64_t index;

	switch ((enum vhost_request)msg->header.request) {
	case VU_SET_VRING_KICK:
	case VU_SET_VRING_CALL:
	case VU_SET_VRING_ERR:
		index = msg->payload.u64 & VHOST_RING_INDEX_MASK;
		break;
	case VU_SET_VRING_NUM:
	case VU_SET_VRING_ADDR:
	case VU_SET_VRING_BASE:
	case VU_GET_VRING_BASE:
	case VU_SET_VRING_ENABLE:
		index = msg->payload.state.index;
		break;
	default:
		return true;
	}
	return index < conn->endpoint->n_queues;
}

static enum handled check_and_handle(struct conn *conn, struct vu_msg *msg)
{
	uint32_t request = msg->header.request;
	const struct handler *h = request < ARRAY_LEN(handlers) ? &handlers[request] : NULL;

	if (!h || !h->handle) {
		conn_complain(conn, "message %u, which was not offered", request);
		return HANDLED_ERROR;
	}
	if ((h->n_bytes >= 0 && msg->header.size != (uint32_t)h->n_bytes) ||
	    msg->n_fds > h->n_fds_max) {
		conn_complain(conn, "%s of %u bytes with %d descriptors", h->name, msg->header.size,
			      msg->n_fds);
		return HANDLED_ERROR;
	}
	if (!ring_index_ok(conn, msg)) {
		conn_complain(conn, "%s of a virtqueue that is not there; 0 to %u are", h->name,
			      conn->endpoint->n_queues - 1u);
		return HANDLED_ERROR;
	}
	return h->handle(conn, msg);
}

enum handled conn_handle(struct conn *conn, struct vu_msg *msg)
{
	bool acked = conn->protocol_features & BIT(VHOST_PROTOCOL_REPLY_ACK);
	enum handled result;

	result = check_and_handle(conn, msg);
	stray_fds_drop_left(msg, conn->endpoint->closer, conn->endpoint->events);
	if (stray_fds_are_too_many(conn->endpoint->closer)) {
		conn_complain(conn, "more than %d descriptors, which wait to be closed",
			      STRAY_FDS_MAX);
		result = HANDLED_ERROR;
	}
	if (!acked)
		msg->header.flags &= ~VHOST_MSG_NEED_REPLY;
	return result;
}
