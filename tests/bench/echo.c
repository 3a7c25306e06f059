/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench-echo SOCKET CPU QUEUES: a vhost-user-blk back end that only echoes rings. Whatever is made
 * available is used at once, with a status of 0 and nothing else done: how fast a front end gets
 * here is the front end's own ceiling on this machine.
 *
 * For vhostperf --wait poll alone, whose chains never change: the address of a status byte is
 * looked up when a chain is first seen, and kept by its head or buffer id. It trusts its front end,
 * sends no interrupts, and serves one connection after another until it is killed.
 *
 * One thread does it all. It looks at the connection once in a while.
 */
#include <errno.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "vfe_msg.h"

#define QUEUES_MAX     64
#define RING_MAX       1024
#define TURNS_PER_LOOK 16384 /* at the connection */
#define CAPACITY_BYTES (1ull << 30)
#define AVAIL          (1u << VRING_PACKED_DESC_F_AVAIL)
#define USED           (1u << VRING_PACKED_DESC_F_USED)

#define FEATURES                                                                                   \
	(1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_F_RING_PACKED |                               \
	 1ull << VIRTIO_RING_F_INDIRECT_DESC | 1ull << VIRTIO_BLK_F_MQ |                           \
	 1ull << VFE_F_PROTOCOL_FEATURES)
#define PROTOCOL_FEATURES (1ull << VFE_PF_MQ | 1ull << VFE_PF_CONFIG | 1ull << VFE_PF_REPLY_ACK)

struct region {
	struct vfe_msg_region wire;
	uint8_t *map; /* of the whole descriptor */
	size_t map_bytes;
};

struct ring {
	struct vhost_vring_addr addr; /* user addresses */
	uint16_t size;
	uint16_t idx; /* next to take and to use */
	bool wrap;    /* packed */
	bool runs;
	union {
		struct vring_desc *desc;
		struct vring_packed_desc *packed;
	};
	struct vring_avail *avail;
	struct vring_used *used;
	/* by head or id, as soon as it is known */
	uint8_t *status[RING_MAX];
	uint16_t n_descs[RING_MAX];
};

struct echo {
	int sock;
	bool packed;
	unsigned int n_queues;
	unsigned int n_regions;
	struct region region[VFE_MSG_REGIONS_MAX];
	struct ring ring[QUEUES_MAX];
};

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "bench-echo: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* Guest memory */

static void unmap(struct echo *e)
{
	for (unsigned int i = 0; i < e->n_regions; i++)
		munmap(e->region[i].map, e->region[i].map_bytes);
	e->n_regions = 0;
}

static void map(struct echo *e, const struct vfe_msg *msg, const struct vfe_fds *fds)
{
	unmap(e);
	for (unsigned int i = 0; i < msg->memory.n_regions && i < fds->n; i++) {
		struct region *r = &e->region[i];

		r->wire = msg->memory.region[i];
		r->map_bytes = r->wire.mmap_offset + r->wire.size_bytes;
		r->map = mmap(NULL, r->map_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
			      fds->fd[i], 0);
		if (r->map == MAP_FAILED)
			die("mmap of guest memory");
		e->n_regions = i + 1;
	}
}

/* The host's address of a guest-physical one, or of a user address. */
static void *host_of(const struct echo *e, uint64_t address, bool is_user)
{
	for (unsigned int i = 0; i < e->n_regions; i++) {
		const struct region *r = &e->region[i];
		uint64_t start = is_user ? r->wire.user_addr : r->wire.gpa;

		if (address >= start && address - start < r->wire.size_bytes)
			return r->map + r->wire.mmap_offset + (address - start);
	}
	errno = EFAULT;
	die("an address that is in no region");
}

/* Split rings */

static void learn_split(const struct echo *e, struct ring *r, uint16_t head)
{
	const struct vring_desc *table = r->desc, *d = &table[head];

	if (d->flags & VRING_DESC_F_INDIRECT) {
		table = host_of(e, d->addr, false);
		d = table;
	}
	while (d->flags & VRING_DESC_F_NEXT)
		d = &table[d->next];
	r->status[head] = host_of(e, d->addr, false);
}

static bool turn_split(const struct echo *e, struct ring *r)
{
	uint16_t mask = (uint16_t)(r->size - 1);
	uint16_t idx = __atomic_load_n(&r->avail->idx, __ATOMIC_ACQUIRE);

	if (idx == r->idx)
		return false;
	for (; r->idx != idx; r->idx++) {
		uint16_t head = r->avail->ring[r->idx & mask] & mask;

		if (!r->status[head])
			learn_split(e, r, head);
		*r->status[head] = VIRTIO_BLK_S_OK;
		r->used->ring[r->idx & mask] = (struct vring_used_elem){.id = head, .len = 4097};
	}
	__atomic_store_n(&r->used->idx, idx, __ATOMIC_RELEASE);
	return true;
}

/* Packed rings */

static uint16_t learn_packed(const struct echo *e, struct ring *r)
{
	uint16_t at = r->idx, n = 1;
	const struct vring_packed_desc *d = &r->packed[at];

	while (d->flags & VRING_DESC_F_NEXT) {
		at = (uint16_t)(at + 1 < r->size ? at + 1 : 0);
		d = &r->packed[at];
		n++;
	}
	uint16_t id = d->id;
	if (d->flags & VRING_DESC_F_INDIRECT) {
		const struct vring_packed_desc *table = host_of(e, d->addr, false);

		d = &table[d->len / sizeof(*table) - 1];
	}
	r->status[id] = host_of(e, d->addr, false);
	r->n_descs[id] = n;
	return id;
}

static bool turn_packed(const struct echo *e, struct ring *r)
{
	bool any = false;

	for (;;) {
		struct vring_packed_desc *d = &r->packed[r->idx];
		uint16_t flags = __atomic_load_n(&d->flags, __ATOMIC_ACQUIRE), id;

		if ((flags & (AVAIL | USED)) != (r->wrap ? AVAIL : USED))
			return any;
		id = d->id; /* vhostperf writes it into all of a chain */
		if (id >= RING_MAX || !r->status[id])
			id = learn_packed(e, r);
		*r->status[id] = VIRTIO_BLK_S_OK;
		d->len = 4097;
		__atomic_store_n(&d->flags, r->wrap ? AVAIL | USED : 0, __ATOMIC_RELEASE);
		r->idx = (uint16_t)(r->idx + r->n_descs[id]);
		if (r->idx >= r->size) {
			r->idx = (uint16_t)(r->idx - r->size);
			r->wrap = !r->wrap;
		}
		any = true;
	}
}

static void start(const struct echo *e, struct ring *r)
{
	r->desc = host_of(e, r->addr.desc_user_addr, true);
	r->avail = host_of(e, r->addr.avail_user_addr, true);
	r->used = host_of(e, r->addr.used_user_addr, true);
	memset(r->status, 0, sizeof(r->status));
	/* No kicks. The device's event suppression is where a split ring has its used ring. */
	if (e->packed)
		((struct vring_packed_desc_event *)(void *)r->used)->flags =
			VRING_PACKED_EVENT_FLAG_DISABLE;
	else
		r->used->flags = VRING_USED_F_NO_NOTIFY;
	r->runs = true;
}

/* The connection */

static void reply(const struct echo *e, struct vfe_msg *msg, uint32_t size_bytes)
{
	msg->flags = VFE_MSG_VERSION | VFE_MSG_REPLY;
	msg->size_bytes = size_bytes;
	if (vfe_msg_send(e->sock, msg, NULL))
		die("reply");
}

static void reply_u64(const struct echo *e, struct vfe_msg *msg, uint64_t value)
{
	msg->u64 = value;
	reply(e, msg, sizeof(msg->u64));
}

static void reply_config(const struct echo *e, struct vfe_msg *msg)
{
	struct virtio_blk_config config = {.capacity = CAPACITY_BYTES / 512,
					   .num_queues = (uint16_t)e->n_queues};

	memset(msg->config.data, 0, sizeof(msg->config.data));
	memcpy(msg->config.data, &config, sizeof(config));
	reply(e, msg, msg->size_bytes);
}

static struct ring *ring_of(struct echo *e, uint32_t index)
{
	errno = EINVAL;
	if (index >= e->n_queues)
		die("a queue's number");
	return &e->ring[index];
}

/* All that it was told of: base is where a ring goes on, kick that it does. */
static void set_vring(struct echo *e, const struct vfe_msg *msg)
{
	struct ring *r = ring_of(e, (uint32_t)msg->u64 & VFE_VRING_INDEX_MASK);

	switch (msg->request) {
	case VFE_SET_VRING_NUM:
		r->size = (uint16_t)msg->state.num;
		break;
	case VFE_SET_VRING_BASE:
		r->idx = (uint16_t)(e->packed ? msg->state.num & 0x7fff : msg->state.num);
		r->wrap = msg->state.num >> 15 & 1;
		break;
	case VFE_SET_VRING_ADDR:
		r->addr = msg->addr;
		break;
	case VFE_SET_VRING_KICK:
		start(e, r);
		break;
	default: /* call and error descriptors: nobody is told anything */
		break;
	}
}

static void stop(struct echo *e, struct vfe_msg *msg)
{
	struct ring *r = ring_of(e, msg->state.index);
	uint32_t at = r->idx | (uint32_t)r->wrap << 15;

	r->runs = false;
	msg->state.num = e->packed ? at | at << 16 : r->idx;
	reply(e, msg, sizeof(msg->state));
}

/* Messages without an answer of their own. */
static void obey(struct echo *e, struct vfe_msg *msg, const struct vfe_fds *fds)
{
	switch (msg->request) {
	case VFE_SET_FEATURES:
		e->packed = msg->u64 >> VIRTIO_F_RING_PACKED & 1;
		break;
	case VFE_SET_MEM_TABLE:
		map(e, msg, fds);
		break;
	case VFE_SET_VRING_NUM:
	case VFE_SET_VRING_ADDR:
	case VFE_SET_VRING_BASE:
	case VFE_SET_VRING_KICK:
		set_vring(e, msg);
		break;
	default:
		break;
	}
	if (msg->flags & VFE_MSG_NEED_REPLY)
		reply_u64(e, msg, 0);
}

static void handle(struct echo *e, struct vfe_msg *msg, const struct vfe_fds *fds)
{
	switch (msg->request) {
	case VFE_GET_FEATURES:
		reply_u64(e, msg, FEATURES);
		break;
	case VFE_GET_PROTOCOL_FEATURES:
		reply_u64(e, msg, PROTOCOL_FEATURES);
		break;
	case VFE_GET_QUEUE_NUM:
		reply_u64(e, msg, e->n_queues);
		break;
	case VFE_GET_CONFIG:
		reply_config(e, msg);
		break;
	case VFE_GET_VRING_BASE:
		stop(e, msg);
		break;
	default:
		obey(e, msg, fds);
	}
}

/* False: the front end has hung up. */
static bool look_at_connection(struct echo *e, int timeout_ms)
{
	struct pollfd pollfd = {.fd = e->sock, .events = POLLIN};
	struct vfe_msg msg;
	struct vfe_fds fds;

	while (poll(&pollfd, 1, timeout_ms) > 0) {
		if (vfe_msg_recv(e->sock, &msg, &fds, VFE_TIMEOUT_MS))
			return false;
		handle(e, &msg, &fds);
		for (unsigned int i = 0; i < fds.n; i++)
			close(fds.fd[i]);
		timeout_ms = 0;
	}
	return true;
}

/* One turn of each ring; how many run. */
static unsigned int turn(struct echo *e)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < e->n_queues; i++) {
		struct ring *r = &e->ring[i];

		if (!r->runs)
			continue;
		n++;
		if (!(e->packed ? turn_packed(e, r) : turn_split(e, r)))
			__builtin_ia32_pause();
	}
	return n;
}

static void serve(struct echo *e)
{
	unsigned int n_running = 0;

	while (look_at_connection(e, n_running ? 0 : -1)) {
		for (unsigned int i = 0; i < TURNS_PER_LOOK; i++)
			n_running = turn(e);
	}
	unmap(e);
	memset(e->ring, 0, sizeof(e->ring));
}

static int listen_at(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(addr.sun_path)) {
		errno = ENAMETOOLONG;
		die(path);
	}
	strcpy(addr.sun_path, path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) || listen(fd, 1))
		die(path);
	return fd;
}

int main(int argc, char **argv)
{
	static struct echo e;
	cpu_set_t set;
	int listener;

	if (argc != 4 || atoi(argv[3]) < 1 || atoi(argv[3]) > QUEUES_MAX) {
		fprintf(stderr, "usage: bench-echo SOCKET CPU QUEUES\n");
		return 2;
	}
	CPU_ZERO(&set);
	CPU_SET((unsigned int)atoi(argv[2]), &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("CPU");
	e.n_queues = (unsigned int)atoi(argv[3]);
	listener = listen_at(argv[1]);
	for (;;) {
		e.sock = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (e.sock < 0)
			die("accept");
		serve(&e);
		close(e.sock);
	}
}
