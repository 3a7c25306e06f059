/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The message orders. The pieces that they share come first, then each order's connect, announce,
 * start and stop, then the table. docs: vfe_blk.h has each order as a list of message numbers.
 */
#include "vfe_order.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

static int get_features(struct vfe_blk *blk)
{
	return vfe_conn_get_u64(&blk->conn, VFE_GET_FEATURES, &blk->device_features);
}

static int set_features(struct vfe_blk *blk)
{
	uint64_t wanted = blk->opts.features;

	if (blk->opts.order != VFE_ORDER_MINIMAL)
		wanted |= 1ull << VFE_F_PROTOCOL_FEATURES;
	blk->features = blk->device_features & wanted;
	return vfe_conn_set_u64(&blk->conn, VFE_SET_FEATURES, blk->features);
}

static int negotiate_protocol(struct vfe_blk *blk, uint64_t mask)
{
	uint64_t offered;
	int rc;

	if (!(blk->device_features & (1ull << VFE_F_PROTOCOL_FEATURES)))
		return -ENOTSUP;
	rc = vfe_conn_get_u64(&blk->conn, VFE_GET_PROTOCOL_FEATURES, &offered);
	if (rc)
		return rc;
	offered &= blk->opts.protocol_features & mask;
	rc = vfe_conn_set_u64(&blk->conn, VFE_SET_PROTOCOL_FEATURES, offered);
	if (!rc)
		blk->conn.protocol_features = offered;
	return rc;
}

static int get_queue_num(struct vfe_blk *blk)
{
	if (!vfe_conn_has(&blk->conn, VFE_PF_MQ))
		return 0;
	return vfe_conn_get_u64(&blk->conn, VFE_GET_QUEUE_NUM, &blk->n_device_queues);
}

static int open_backend_channel(struct vfe_blk *blk)
{
	int pair[2], rc;

	if (!vfe_conn_has(&blk->conn, VFE_PF_SLAVE_REQ))
		return 0;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	rc = vfe_conn_set_backend_channel(&blk->conn, pair[1]);
	close(pair[1]);
	if (rc)
		close(pair[0]);
	else
		blk->backend_channel = pair[0];
	return rc;
}

static int read_config(struct vfe_blk *blk, uint32_t n_bytes)
{
	uint8_t config[VFE_CONFIG_BYTES_MAX];

	if (!vfe_conn_has(&blk->conn, VFE_PF_CONFIG))
		return 0;
	return vfe_conn_get_config(&blk->conn, 0, config, n_bytes);
}

static uint16_t n_to_start(const struct vfe_blk *blk)
{
	return blk->opts.n_started ? blk->opts.n_started : blk->n_rings;
}

/* Call `send` for the queues below `n`. */
static int for_queues(struct vfe_blk *blk, uint16_t n, int (*send)(struct vfe_blk *blk, uint16_t q))
{
	uint16_t q;
	int rc = 0;

	for (q = 0; q < n && !rc; q++)
		rc = send(blk, q);
	return rc;
}

static int send_call(struct vfe_blk *blk, uint16_t q)
{
	return vfe_conn_set_vring_fd(&blk->conn, VFE_SET_VRING_CALL, q, blk->ring[q].call_fd);
}

static int send_err(struct vfe_blk *blk, uint16_t q)
{
	return vfe_conn_set_vring_fd(&blk->conn, VFE_SET_VRING_ERR, q, blk->err_fd);
}

static int send_enable(struct vfe_blk *blk, uint16_t q)
{
	return vfe_conn_set_vring(&blk->conn, VFE_SET_VRING_ENABLE, q, 1);
}

static int send_disable(struct vfe_blk *blk, uint16_t q)
{
	return vfe_conn_set_vring(&blk->conn, VFE_SET_VRING_ENABLE, q, 0);
}

static int send_mem_table(struct vfe_blk *blk)
{
	return vfe_conn_set_mem_table(&blk->conn, &blk->mem);
}

static int send_mem_table_and_sync(struct vfe_blk *blk)
{
	int rc = send_mem_table(blk);

	return rc ? rc : get_features(blk);
}

static int get_base(struct vfe_blk *blk, uint16_t q)
{
	uint32_t base;
	int rc;

	rc = vfe_conn_get_vring_base(&blk->conn, q, &base);
	if (rc)
		return rc;
	if (!vfe_ring_base_ok(&blk->ring[q], base))
		return -EPROTO;
	blk->base[q] = base;
	return 0;
}

/* QEMU 7.2 */

static int qemu_announce(struct vfe_blk *blk, uint16_t q)
{
	int rc = send_call(blk, q);

	return rc ? rc : send_err(blk, q);
}

static int qemu_connect(struct vfe_blk *blk)
{
	int rc = get_features(blk);

	blk->conn.ack = VFE_ACK_MEM_TABLE;
	if (!rc)
		rc = negotiate_protocol(blk, ~0ull);
	if (!rc)
		rc = get_queue_num(blk);
	if (!rc)
		rc = open_backend_channel(blk);
	if (!rc)
		rc = vfe_conn_set_empty(&blk->conn, VFE_SET_OWNER);
	if (!rc)
		rc = get_features(blk);
	return rc;
}

/* The rest of QEMU's connect needs the rings' descriptors. */
static int qemu_announce_all(struct vfe_blk *blk)
{
	int rc = for_queues(blk, blk->n_rings, qemu_announce);

	/* QEMU 7.2 reads up to write_zeroes_may_unmap. */
	return rc ? rc : read_config(blk, 57);
}

static int qemu_start(struct vfe_blk *blk)
{
	int rc = set_features(blk);

	if (!rc)
		rc = for_queues(blk, blk->n_rings, send_call);
	if (!rc)
		rc = set_features(blk);
	if (!rc)
		rc = send_mem_table(blk);
	if (!rc)
		rc = for_queues(blk, n_to_start(blk), vfe_blk_setup_queue);
	if (!rc)
		rc = for_queues(blk, blk->n_rings, send_enable);
	return rc;
}

static int qemu_stop(struct vfe_blk *blk)
{
	int rc = for_queues(blk, blk->n_rings, send_disable);

	return rc ? rc : for_queues(blk, blk->n_active, get_base);
}

/* SPDK's virtio-user initiator */

static int spdk_connect(struct vfe_blk *blk)
{
	const uint64_t known = (1ull << VFE_PF_MQ) | (1ull << VFE_PF_CONFIG);
	int rc = vfe_conn_set_empty(&blk->conn, VFE_SET_OWNER);

	if (!rc)
		rc = get_features(blk);
	if (!rc)
		rc = set_features(blk);
	if (!rc)
		rc = negotiate_protocol(blk, known);
	return rc;
}

static int spdk_announce(struct vfe_blk *blk)
{
	/* SPDK reads all 256 bytes; a back end whose space is smaller may say no, and SPDK goes on.
	 */
	int rc = read_config(blk, VFE_CONFIG_BYTES_MAX);

	return rc == -EPROTO ? 0 : rc;
}

static int spdk_start(struct vfe_blk *blk)
{
	int rc = for_queues(blk, blk->n_rings, send_enable);

	if (!rc)
		rc = get_queue_num(blk);
	if (!rc)
		rc = for_queues(blk, blk->n_rings, send_call);
	if (!rc)
		rc = send_mem_table_and_sync(blk);
	if (!rc)
		rc = for_queues(blk, n_to_start(blk), vfe_blk_setup_queue);
	return rc;
}

static int spdk_stop(struct vfe_blk *blk)
{
	int rc = for_queues(blk, blk->n_active, get_base);

	return rc ? rc : send_mem_table_and_sync(blk);
}

/* libblkio */

static int blkio_connect(struct vfe_blk *blk)
{
	uint64_t n_slots;
	int rc = vfe_conn_set_empty(&blk->conn, VFE_SET_OWNER);

	if (!rc)
		rc = get_features(blk);
	if (!rc)
		rc = set_features(blk);
	if (!rc)
		rc = negotiate_protocol(blk, ~0ull);
	blk->conn.ack = VFE_ACK_ALL;
	if (!rc)
		rc = get_queue_num(blk);
	if (!rc && vfe_conn_has(&blk->conn, VFE_PF_MEM_SLOTS))
		rc = vfe_conn_get_u64(&blk->conn, VFE_GET_MAX_MEM_SLOTS, &n_slots);
	return rc;
}

static int blkio_announce(struct vfe_blk *blk)
{
	return read_config(blk, 60);
}

static int send_regions(struct vfe_blk *blk)
{
	unsigned int i;
	int rc = 0;

	if (!vfe_conn_has(&blk->conn, VFE_PF_MEM_SLOTS))
		return send_mem_table(blk);
	for (i = 0; i < blk->mem.n_regions && !rc && !blk->regions_sent; i++)
		rc = vfe_conn_add_mem_region(&blk->conn, &blk->mem.region[i]);
	blk->regions_sent = true;
	return rc;
}

static int blkio_start_queue(struct vfe_blk *blk, uint16_t q)
{
	int rc = vfe_blk_setup_queue(blk, q);

	if (!rc)
		rc = send_call(blk, q);
	if (!rc)
		rc = send_enable(blk, q);
	return rc;
}

static int blkio_start(struct vfe_blk *blk)
{
	int rc = send_regions(blk);

	return rc ? rc : for_queues(blk, n_to_start(blk), blkio_start_queue);
}

static int plain_stop(struct vfe_blk *blk)
{
	return for_queues(blk, blk->n_active, get_base);
}

/* Minimal: nothing but what a vhost device needs */

static int minimal_connect(struct vfe_blk *blk)
{
	int rc = vfe_conn_set_empty(&blk->conn, VFE_SET_OWNER);

	return rc ? rc : get_features(blk);
}

static int minimal_announce(struct vfe_blk *blk)
{
	(void)blk;
	return 0;
}

static int minimal_start_queue(struct vfe_blk *blk, uint16_t q)
{
	int rc = vfe_blk_setup_queue(blk, q);

	return rc ? rc : send_call(blk, q);
}

static int minimal_start(struct vfe_blk *blk)
{
	int rc = set_features(blk);

	if (!rc)
		rc = send_mem_table(blk);
	if (!rc)
		rc = for_queues(blk, n_to_start(blk), minimal_start_queue);
	return rc;
}

const struct vfe_order_steps vfe_order_steps[] = {
	[VFE_ORDER_QEMU] = {"qemu", qemu_connect, qemu_announce_all, qemu_start, qemu_stop},
	[VFE_ORDER_SPDK] = {"spdk", spdk_connect, spdk_announce, spdk_start, spdk_stop},
	[VFE_ORDER_BLKIO] = {"blkio", blkio_connect, blkio_announce, blkio_start, plain_stop},
	[VFE_ORDER_MINIMAL] = {"minimal", minimal_connect, minimal_announce, minimal_start,
			       plain_stop},
};
