/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost-user messages as they stand on the wire (QEMU docs/interop/vhost-user), front-end side.
 * Sending and receiving have a deadline, so that a silent back end fails a test and never hangs it.
 * The raw functions send anything at all: half messages, wrong sizes, stray descriptors.
 */
#ifndef VFE_MSG_H
#define VFE_MSG_H

#include <stddef.h>
#include <stdint.h>

#include <linux/vhost_types.h>

/* Every wait of this library that is not given a time of its own. */
#define VFE_TIMEOUT_MS 10000

#define VFE_MSG_FDS_MAX      8
#define VFE_MSG_REGIONS_MAX  8
#define VFE_CONFIG_BYTES_MAX 256

/* Header flags: version in bits 0-1, reply in bit 2, "need_reply" in bit 3. */
#define VFE_MSG_VERSION    0x1u
#define VFE_MSG_REPLY      0x4u
#define VFE_MSG_NEED_REPLY 0x8u

/* Payload of the SET_VRING_{KICK,CALL,ERR} messages. */
#define VFE_VRING_INDEX_MASK 0xffu
#define VFE_VRING_NOFD       0x100u

enum vfe_request {
	VFE_GET_FEATURES = 1,
	VFE_SET_FEATURES = 2,
	VFE_SET_OWNER = 3,
	VFE_RESET_OWNER = 4,
	VFE_SET_MEM_TABLE = 5,
	VFE_SET_LOG_BASE = 6,
	VFE_SET_LOG_FD = 7,
	VFE_SET_VRING_NUM = 8,
	VFE_SET_VRING_ADDR = 9,
	VFE_SET_VRING_BASE = 10,
	VFE_GET_VRING_BASE = 11,
	VFE_SET_VRING_KICK = 12,
	VFE_SET_VRING_CALL = 13,
	VFE_SET_VRING_ERR = 14,
	VFE_GET_PROTOCOL_FEATURES = 15,
	VFE_SET_PROTOCOL_FEATURES = 16,
	VFE_GET_QUEUE_NUM = 17,
	VFE_SET_VRING_ENABLE = 18,
	VFE_SET_SLAVE_REQ_FD = 21,
	VFE_GET_CONFIG = 24,
	VFE_SET_CONFIG = 25,
	VFE_GET_INFLIGHT_FD = 31,
	VFE_SET_INFLIGHT_FD = 32,
	VFE_GET_MAX_MEM_SLOTS = 36,
	VFE_ADD_MEM_REG = 37,
};

/* Requests of the back end, on its own channel. */
#define VFE_BACKEND_CONFIG_CHANGE 2u

/* Bit of GET_FEATURES that says there are protocol features. */
#define VFE_F_PROTOCOL_FEATURES 30

enum vfe_protocol_feature {
	VFE_PF_MQ = 0,
	VFE_PF_LOG_SHMFD = 1,
	VFE_PF_REPLY_ACK = 3,
	VFE_PF_SLAVE_REQ = 5,
	VFE_PF_CONFIG = 9,
	VFE_PF_INFLIGHT_SHMFD = 12,
	VFE_PF_MEM_SLOTS = 15,
};

struct vfe_msg_region {
	uint64_t gpa;
	uint64_t size_bytes;
	uint64_t user_addr;
	uint64_t mmap_offset;
};

struct vfe_msg_memory {
	uint32_t n_regions;
	uint32_t padding;
	struct vfe_msg_region region[VFE_MSG_REGIONS_MAX + 1]; /* one more than allowed */
};

struct vfe_msg_one_region {
	uint64_t padding;
	struct vfe_msg_region region;
};

struct vfe_msg_config {
	uint32_t offset;
	uint32_t size_bytes;
	uint32_t flags;
	uint8_t data[VFE_CONFIG_BYTES_MAX];
};

#define VFE_MSG_CONFIG_HEADER_BYTES 12u

struct vfe_msg_inflight {
	uint64_t mmap_size;
	uint64_t mmap_offset;
	uint16_t n_queues;
	uint16_t queue_size;
};

struct vfe_msg {
	uint32_t request;
	uint32_t flags;
	uint32_t size_bytes; /* of the payload */
	union {
		uint64_t u64;
		struct vhost_vring_state state;
		struct vhost_vring_addr addr;
		struct vfe_msg_memory memory;
		struct vfe_msg_one_region one_region;
		struct vfe_msg_config config;
		struct vfe_msg_inflight inflight;
	};
} __attribute__((packed));

#define VFE_MSG_HEADER_BYTES offsetof(struct vfe_msg, u64)

struct vfe_fds {
	int fd[VFE_MSG_FDS_MAX + 1];
	unsigned int n;
};

/*
 * Send one whole message with `fds` (may be NULL). 0, -ETIMEDOUT, -EPIPE, another -errno; -EINVAL
 * for a size that struct vfe_msg does not have.
 */
int vfe_msg_send(int sock, const struct vfe_msg *msg, const struct vfe_fds *fds);

/*
 * Receive one whole message. Descriptors that come with it are the caller's afterwards; with
 * `ret_fds` NULL they are closed. 0, -ETIMEDOUT, -ECONNRESET when the peer has closed,
 * -EMSGSIZE when the payload is larger than struct vfe_msg holds.
 */
int vfe_msg_recv(int sock, struct vfe_msg *ret_msg, struct vfe_fds *ret_fds, int timeout_ms);

/* Send any bytes with any descriptors: for tests that play a hostile front end. */
int vfe_msg_send_raw(int sock, const void *bytes, size_t n_bytes, const struct vfe_fds *fds);

/* Connect to a Unix stream socket; the descriptor, or -errno. */
int vfe_msg_connect(const char *path);

/*
 * 1 when the peer closes the connection within `timeout_ms` (bytes that it sends before are thrown
 * away), 0 when it keeps it open.
 */
int vfe_msg_peer_closes(int sock, int timeout_ms);

/* Milliseconds of the monotonic clock: what deadlines are made of. */
int64_t vfe_now_ms(void);

#endif
