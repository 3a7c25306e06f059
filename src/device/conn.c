/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/conn.h"

#include <errno.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "device/endpoint.h"
#include "device/events.h"
#include "device/stray_fds.h"
#include "device/vhost_msg.h"
#include "engine/lcore.h"

#define BIT(n) (1ull << (n))

struct conn *conn_new(struct endpoint *endpoint, int sock)
{
	struct conn *conn = calloc(1, sizeof(*conn));
	struct ucred peer = {0};
	socklen_t n_bytes = sizeof(peer);

	if (!conn)
		return NULL;
	getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &n_bytes);
	conn->endpoint = endpoint;
	conn->sock = sock;
	conn->pid = peer.pid;
	conn->uid = peer.uid;
	conn->backend_fd = -1;
	msg_init(&conn->closed_msg, EVENT_CONN_CLOSED);
	msg_init(&conn->gone_msg, EVENT_CONN_GONE);
	for (unsigned int i = 0; i < VHOSTD_QUEUES_MAX; i++) {
		conn->rings[i].call_fd = -1;
		conn->rings[i].kick_fd = -1;
		conn->rings[i].base = VIRTQ_BASE_UNKNOWN;
	}
	return conn;
}

bool conn_has_hung_up(const struct conn *conn)
{
	struct pollfd p = {.fd = conn->sock, .events = POLLRDHUP};

	return poll(&p, 1, 0) == 1 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR));
}

/* Even an eventfd may take long to close: everybody who watches it is told, and it is forgotten by
 * as many epolls as the front end has made. */
static void drop_fds(struct conn *conn, const int *fds, int n) IN_VHOST
{
	stray_fds_drop(fds, n, conn->endpoint->closer, conn->endpoint->events);
}

void conn_close(struct conn *conn)
{
	/* We keep the socket open; the peer is to see the end of it now. */
	shutdown(conn->sock, SHUT_RDWR);
	for (uint16_t i = 0; i < conn->endpoint->n_queues; i++) {
		struct ring *ring = &conn->rings[i];
		const int fds[] = {ring->call_fd, ring->kick_fd};

		conn_ring_stop(conn, i, false);
		drop_fds(conn, fds, ARRAY_LEN(fds));
		ring->call_fd = -1;
		ring->kick_fd = -1;
	}
	conn_drop_message(conn);
	mbox_send(conn->endpoint->events, &conn->closed_msg);
}

/* A socket may take its time to close: what is queued in it is closed, too. */
static void close_run(struct cleanup *cleanup)
{
	struct conn *conn = container_of(cleanup, struct conn, cleanup);

	if (conn->backend_fd >= 0)
		close(conn->backend_fd);
	close(conn->sock);
}

static void close_done(struct cleanup *cleanup)
{
	free(container_of(cleanup, struct conn, cleanup));
}

void conn_free(struct conn *conn, struct jobs *jobs)
{
	if (conn->map)
		guest_map_put(conn->map, jobs);
	conn->cleanup = (struct cleanup){close_run, close_done, .n = 2}; /* two descriptors */
	cleaner_count(conn->endpoint->closer, conn->cleanup.n, 0);
	cleaner_add(conn->endpoint->closer, &conn->cleanup, jobs);
}

void conn_reply_base(struct conn *conn, uint16_t index, uint32_t base)
{
	struct {
		struct vhost_header header;
		struct vhost_vring_state_msg state;
	} reply = {
		.header = {VU_GET_VRING_BASE, VHOST_MSG_VERSION | VHOST_MSG_REPLY,
			   sizeof(reply.state)},
		.state = {index, base},
	};

	if (send(conn->sock, &reply, sizeof(reply), MSG_DONTWAIT | MSG_NOSIGNAL) !=
	    (ssize_t)sizeof(reply))
		shutdown(conn->sock, SHUT_RDWR); /* it doesn't read: nobody waits for it */
}

void conn_config_changed(struct conn *conn)
{
	const struct vhost_header msg = {VHOST_BACKEND_CONFIG_CHANGE, VHOST_MSG_VERSION, 0};

	if (conn->backend_fd < 0 || !conn->config_changes)
		return;
	if (send(conn->backend_fd, &msg, sizeof(msg), MSG_DONTWAIT | MSG_NOSIGNAL) !=
	    (ssize_t)sizeof(msg))
		log_limited(&conn->endpoint->complaints, LOG_LEVEL_WARNING, conn->endpoint->name,
			    "front end (pid %d) does not read its back-end channel", conn->pid);
}

void conn_take_backend_fd(struct backend_fd *backend)
{
	backend->conn->backend_fd = backend->fd;
	backend->conn->config_changes = backend->config_changes;
	free(backend);
}

void ring_run_free(struct ring_run *run, struct jobs *jobs)
{
	const struct queue *queue = run->queue;
	const int fds[] = {queue->call_fd, queue->kick_fd, queue->relay.left};

	stray_fds_leave(fds, ARRAY_LEN(fds), run->conn->endpoint->closer, jobs);
	if (run->queue->map_use)
		guest_map_unuse(run->queue->map_use, jobs);
	queue_free(run->queue);
	free(run);
}

static struct queue *make_queue(struct conn *conn, uint16_t index, struct ring *ring) IN_VHOST
{
	struct endpoint *ep = conn->endpoint;
	struct queue_params params = {
		.lane = atomic_load_explicit(&ep->lanes[index], memory_order_acquire),
		.events = ep->events,
		.counters = &ep->counters[index],
		.map_use = guest_map_use(conn->map),
		.addr = ring->addr,
		.index = index,
		.ring_size = ring->size,
		.base = ring->base,
		.is_packed = conn->features & BIT(VIRTIO_F_RING_PACKED),
		.event_idx = conn->features & BIT(VIRTIO_RING_F_EVENT_IDX),
		.write_through = !(conn->features & BIT(VIRTIO_BLK_F_FLUSH)),
		.enabled = ring->enabled,
		.call_fd = ring->call_fd,
		.kick_fd = ring->kick_fd,
	};
	struct queue *queue = params.map_use ? queue_new(&params) : NULL;

	if (!queue && params.map_use)
		mbox_send(ep->events, &params.map_use->msg);
	return queue;
}

bool conn_ring_start(struct conn *conn, uint16_t index)
{
	struct ring *ring = &conn->rings[index];
	struct ring_run *run;

	if (ring->run || !ring->kicked || !ring->size || !ring->addr.desc_uva || !conn->map)
		return true;
	if (!(conn->features & BIT(VHOST_F_PROTOCOL_FEATURES)))
		ring->enabled = true;
	run = calloc(1, sizeof(*run));
	if (!run)
		return false;
	run->queue = make_queue(conn, index, ring);
	if (!run->queue) {
		free(run);
		return false;
	}
	run->queue->owner = run;
	run->conn = conn;
	msg_init(&run->start_msg, EVENT_RUN_START);
	msg_init(&run->stop_msg, EVENT_RUN_STOP);
	ring->call_fd = -1;
	ring->kick_fd = -1;
	ring->run = run;
	mbox_send(conn->endpoint->events, &run->start_msg);
	return true;
}

bool conn_ring_stop(struct conn *conn, uint16_t index, bool wants_base)
{
	struct ring *ring = &conn->rings[index];
	struct ring_run *run = ring->run;

	ring->kicked = false;
	if (!run)
		return false;
	ring->run = NULL;
	ring->base = VIRTQ_BASE_UNKNOWN;
	run->wants_base = wants_base;
	mbox_send(conn->endpoint->events, &run->stop_msg);
	return true;
}

/* Has the run's lcore do something, and waits for it: one turn. */
static void tell_queue(struct ring_run *run, struct queue_msg *m, enum lcore_msg kind)
{
	msg_init(&m->msg, kind);
	m->queue = run->queue;
	lcore_send(queue_home(run->queue), &m->msg);
	msg_wait(&m->msg);
}

/* Gives a descriptor to the run, which gives the old one back, or keeps it in *kept until there is
 * one. */
static void set_fd(struct conn *conn, uint16_t index, int *kept, enum lcore_msg kind,
		   int fd) IN_VHOST
{
	struct ring_run *run = conn->rings[index].run;
	struct queue_msg m = {.fd = fd};

	if (run) {
		tell_queue(run, &m, kind);
		drop_fds(conn, &m.fd, 1);
		return;
	}
	drop_fds(conn, kept, 1);
	*kept = fd;
}

void conn_ring_set_call(struct conn *conn, uint16_t index, int fd)
{
	struct ring *ring = &conn->rings[index];

	set_fd(conn, index, &ring->call_fd, LCORE_MSG_SET_CALL, fd);
}

void conn_ring_set_kick(struct conn *conn, uint16_t index, int fd)
{
	struct ring *ring = &conn->rings[index];

	ring->kicked = true;
	set_fd(conn, index, &ring->kick_fd, LCORE_MSG_SET_KICK, fd);
}

void conn_ring_set_enabled(struct conn *conn, uint16_t index, bool enabled)
{
	struct ring *ring = &conn->rings[index];
	struct queue_msg m = {.enabled = enabled};

	ring->enabled = enabled;
	if (ring->run)
		tell_queue(ring->run, &m, LCORE_MSG_SET_ENABLED);
}

bool conn_set_map(struct conn *conn, struct guest_map *map)
{
	struct queue_msg msgs[VHOSTD_QUEUES_MAX];
	struct guest_map *old = conn->map;
	uint16_t n = conn->endpoint->n_queues;

	for (uint16_t i = 0; i < n; i++) {
		msgs[i].map_use = conn->rings[i].run ? guest_map_use(map) : NULL;
		if (conn->rings[i].run && !msgs[i].map_use) {
			while (i-- > 0)
				if (msgs[i].map_use)
					mbox_send(conn->endpoint->events, &msgs[i].map_use->msg);
			return false;
		}
	}
	for (uint16_t i = 0; i < n; i++) {
		struct ring_run *run = conn->rings[i].run;

		if (!run)
			continue;
		msg_init(&msgs[i].msg, LCORE_MSG_SWAP_MAP);
		msgs[i].queue = run->queue;
		lcore_send(queue_home(msgs[i].queue), &msgs[i].msg);
	}
	for (uint16_t i = 0; i < n; i++)
		if (msgs[i].map_use)
			msg_wait(&msgs[i].msg);
	conn->map = map;
	if (conn->endpoint->wants_maps) {
		guest_map_get(map);
		map->conn = conn;
		mbox_send(conn->endpoint->events, &map->set_msg);
	}
	if (old)
		mbox_send(conn->endpoint->events, &old->drop_msg);
	return true;
}
