/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A vhost-user connection seen from the front end: one function for each kind of message. Nothing
 * here knows an order; vfe_blk and the tests decide what is sent when.
 */
#ifndef VFE_CONN_H
#define VFE_CONN_H

#include <stdbool.h>
#include <stdint.h>

#include "vfe_mem.h"
#include "vfe_msg.h"

enum vfe_ack {
	VFE_ACK_NEVER,     /* send and go on */
	VFE_ACK_MEM_TABLE, /* need_reply on SET_MEM_TABLE, as QEMU 7.2 */
	VFE_ACK_ALL,       /* need_reply on every message without a reply of its own */
};

struct vfe_conn {
	int sock;
	int timeout_ms;
	uint64_t protocol_features; /* negotiated; without VFE_PF_REPLY_ACK nothing is acked */
	enum vfe_ack ack;
};

/* 0 or -errno; on success conn->sock is open until vfe_conn_close(). */
int vfe_conn_open(struct vfe_conn *conn, const char *path);
void vfe_conn_close(struct vfe_conn *conn);

bool vfe_conn_has(const struct vfe_conn *conn, enum vfe_protocol_feature feature);

/*
 * All of the following: 0, or -errno: -ETIMEDOUT, -ECONNRESET or -EPIPE when the back end hung up,
 * -EPROTO for a reply that is not what the specification says, -EREMOTEIO for an acknowledgement
 * that says no.
 */

/* Requests with a u64 reply: GET_FEATURES, GET_PROTOCOL_FEATURES, GET_QUEUE_NUM, ... */
int vfe_conn_get_u64(struct vfe_conn *conn, enum vfe_request request, uint64_t *ret_value);

/* Requests with a u64 or an empty payload. */
int vfe_conn_set_u64(struct vfe_conn *conn, enum vfe_request request, uint64_t value);
int vfe_conn_set_empty(struct vfe_conn *conn, enum vfe_request request);

/* SET_VRING_NUM, SET_VRING_BASE, SET_VRING_ENABLE. */
int vfe_conn_set_vring(struct vfe_conn *conn, enum vfe_request request, uint32_t index,
		       uint32_t num);
int vfe_conn_get_vring_base(struct vfe_conn *conn, uint32_t index, uint32_t *ret_base);
int vfe_conn_set_vring_addr(struct vfe_conn *conn, const struct vhost_vring_addr *addr);

/* SET_VRING_KICK, SET_VRING_CALL, SET_VRING_ERR; fd -1 sends the NOFD bit. */
int vfe_conn_set_vring_fd(struct vfe_conn *conn, enum vfe_request request, uint32_t index, int fd);

int vfe_conn_set_mem_table(struct vfe_conn *conn, const struct vfe_mem *mem);
int vfe_conn_add_mem_region(struct vfe_conn *conn, const struct vfe_region *region);
int vfe_conn_set_backend_channel(struct vfe_conn *conn, int fd);

/* 1..VFE_CONFIG_BYTES_MAX bytes of the configuration space, from `offset`. */
int vfe_conn_get_config(struct vfe_conn *conn, uint32_t offset, void *ret_data, uint32_t n_bytes);
int vfe_conn_set_config(struct vfe_conn *conn, uint32_t offset, const void *data, uint32_t n_bytes);

/*
 * Wait on the front end's side of the back-end channel for the next request there, and acknowledge
 * it if it asks for that. 0 and its number, or -errno.
 */
int vfe_conn_wait_backend_request(int channel, uint32_t *ret_request, int timeout_ms);

#endif
