/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A vhost-user message as librte_vhost hands it to its external handlers: the wire format of the
 * vhost-user specification ("Communication"), followed by the descriptors that came with it.
 * librte_vhost keeps the structure private but promises not to change it carelessly (vhost_user.h);
 * it is the same from DPDK 22.11 to 24.11.
 */
#ifndef DEVICE_VHOST_MSG_H
#define DEVICE_VHOST_MSG_H

#include <assert.h>
#include <rte_version.h>
#include <stddef.h>
#include <stdint.h>

#include "pure/guest_mem.h"

#if RTE_VERSION < RTE_VERSION_NUM(22, 11, 0, 0) || RTE_VERSION >= RTE_VERSION_NUM(25, 0, 0, 0)
#error "librte_vhost's message structure is known for DPDK 22.11 to 24.11 only"
#endif

#define VHOST_MSG_FDS_MAX       8
#define VHOST_MSG_PAYLOAD_BYTES 632 /* librte_vhost's largest, the crypto session */

/* X(NAME, name, request, payload bytes, most descriptors) of every message we take; -1: any size.
 */
#define VHOST_REQUESTS(X)                                                                          \
	X(GET_FEATURES, get_features, 1, -1, 0)                                                    \
	X(SET_FEATURES, set_features, 2, 8, 0)                                                     \
	X(SET_OWNER, set_owner, 3, -1, 0)                                                          \
	X(RESET_OWNER, reset_owner, 4, -1, 0)                                                      \
	X(SET_MEM_TABLE, set_mem_table, 5, -1, VHOST_MSG_FDS_MAX)                                  \
	X(SET_VRING_NUM, set_vring_num, 8, 8, 0)                                                   \
	X(SET_VRING_ADDR, set_vring_addr, 9, 40, 0)                                                \
	X(SET_VRING_BASE, set_vring_base, 10, 8, 0)                                                \
	X(GET_VRING_BASE, get_vring_base, 11, 8, 0)                                                \
	X(SET_VRING_KICK, set_vring_kick, 12, 8, 1)                                                \
	X(SET_VRING_CALL, set_vring_call, 13, 8, 1)                                                \
	X(SET_VRING_ERR, set_vring_err, 14, 8, 1)                                                  \
	X(GET_PROTOCOL_FEATURES, get_protocol_features, 15, -1, 0)                                 \
	X(SET_PROTOCOL_FEATURES, set_protocol_features, 16, 8, 0)                                  \
	X(GET_QUEUE_NUM, get_queue_num, 17, -1, 0)                                                 \
	X(SET_VRING_ENABLE, set_vring_enable, 18, 8, 0)                                            \
	X(SET_BACKEND_REQ_FD, set_backend_req_fd, 21, -1, 1)                                       \
	X(GET_CONFIG, get_config, 24, -1, 0)                                                       \
	X(SET_CONFIG, set_config, 25, -1, 0)

#define VHOST_REQUEST_ENUM(NAME, name, request, bytes, fds) VU_##NAME = (request),
enum vhost_request { VHOST_REQUESTS(VHOST_REQUEST_ENUM) };
#undef VHOST_REQUEST_ENUM

#define VHOST_MSG_VERSION    0x1u
#define VHOST_MSG_REPLY      0x4u
#define VHOST_MSG_NEED_REPLY 0x8u

#define VHOST_RING_INDEX_MASK 0xffu
#define VHOST_RING_NO_FD      0x100u

#define VHOST_CONFIG_MAX 256u

/* Bits of the protocol features. */
#define VHOST_PROTOCOL_MQ          0
#define VHOST_PROTOCOL_REPLY_ACK   3
#define VHOST_PROTOCOL_BACKEND_REQ 5
#define VHOST_PROTOCOL_CONFIG      9

#define VHOST_F_PROTOCOL_FEATURES 30 /* among the virtio feature bits */

/* Back-end channel. */
#define VHOST_BACKEND_CONFIG_CHANGE 2

struct vhost_header {
	uint32_t request;
	uint32_t flags;
	uint32_t size; /* of the payload */
} __attribute__((packed));

struct vhost_vring_state_msg {
	uint32_t index;
	uint32_t num;
} __attribute__((packed));

struct vhost_vring_addr_msg {
	uint32_t index;
	uint32_t flags;
	uint64_t desc;
	uint64_t used;
	uint64_t avail;
	uint64_t log;
} __attribute__((packed));

struct vhost_region_msg {
	uint64_t gpa;
	uint64_t size_bytes;
	uint64_t uva;
	uint64_t mmap_offset;
} __attribute__((packed));

struct vhost_memory_msg {
	uint32_t n_regions;
	uint32_t padding;
	struct vhost_region_msg regions[GUEST_MEM_REGIONS_MAX];
} __attribute__((packed));

struct vhost_config_msg {
	uint32_t offset;
	uint32_t size;
	uint32_t flags;
	uint8_t region[VHOST_CONFIG_MAX];
} __attribute__((packed));

struct vu_msg {
	struct vhost_header header;
	union {
		uint64_t u64;
		struct vhost_vring_state_msg state;
		struct vhost_vring_addr_msg addr;
		struct vhost_memory_msg memory;
		struct vhost_config_msg config;
		uint8_t bytes[VHOST_MSG_PAYLOAD_BYTES];
	} payload;
	int fds[VHOST_MSG_FDS_MAX];
	int n_fds;
} __attribute__((packed));

static_assert(offsetof(struct vu_msg, payload) == 12, "wire format");
static_assert(offsetof(struct vu_msg, fds) == 12 + VHOST_MSG_PAYLOAD_BYTES, "librte_vhost's");
static_assert(sizeof(struct vhost_vring_addr_msg) == 40, "wire format");
static_assert(sizeof(struct vhost_memory_msg) == 264, "wire format");
static_assert(sizeof(struct vhost_config_msg) == 268, "wire format");

#endif
