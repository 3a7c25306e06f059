/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A session's steps, whatever the order of their messages: that is the business of vfe_order.c.
 * Here are the resources (socket, memory, rings) and what holds for every order.
 */
#include "vfe_blk.h"
#include "vfe_order.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static const struct vfe_region_spec default_region = {
	.gpa = 0x100000, .size_bytes = 64u << 20, .mmap_offset = 0};

void vfe_blk_opts_init(struct vfe_blk_opts *opts, const char *socket_path)
{
	*opts = (struct vfe_blk_opts){
		.socket_path = socket_path,
		.order = VFE_ORDER_QEMU,
		.features = VFE_FEATURES_ALL,
		.protocol_features = VFE_PROTOCOL_FEATURES_ALL,
		.n_queues = 1,
		.queue_size = 128,
		.n_indirect = 130,
		.regions = &default_region,
		.n_regions = 1,
	};
}

bool vfe_blk_has(const struct vfe_blk *blk, unsigned int feature)
{
	return blk->features & (1ull << feature);
}

void vfe_blk_ring_addr(const struct vfe_blk *blk, uint16_t q, struct vhost_vring_addr *ret_addr)
{
	const struct vfe_ring *ring = &blk->ring[q];

	*ret_addr = (struct vhost_vring_addr){
		.index = q,
		.desc_user_addr = vfe_mem_user(&blk->mem, ring->desc_gpa),
		.avail_user_addr = vfe_mem_user(&blk->mem, ring->avail_gpa),
		.used_user_addr = vfe_mem_user(&blk->mem, ring->used_gpa),
	};
}

int vfe_blk_setup_queue(struct vfe_blk *blk, uint16_t q)
{
	struct vfe_ring *ring = &blk->ring[q];
	struct vhost_vring_addr addr;
	int rc;

	vfe_blk_ring_addr(blk, q, &addr);
	rc = vfe_conn_set_vring(&blk->conn, VFE_SET_VRING_NUM, q, ring->opts.size);
	if (!rc)
		rc = vfe_conn_set_vring(&blk->conn, VFE_SET_VRING_BASE, q, blk->base[q]);
	if (!rc)
		rc = vfe_conn_set_vring_addr(&blk->conn, &addr);
	if (!rc)
		rc = vfe_conn_set_vring_fd(&blk->conn, VFE_SET_VRING_KICK, q, ring->kick_fd);
	return rc;
}

int vfe_blk_connect(struct vfe_blk *blk, const struct vfe_blk_opts *opts)
{
	int rc;

	memset(blk, 0, sizeof(*blk));
	blk->opts = *opts;
	blk->backend_channel = -1;
	blk->conn.sock = -1;
	blk->err_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (blk->err_fd < 0)
		return -errno;
	if (opts->n_queues == 0 || opts->n_queues > VFE_QUEUES_MAX)
		return -EINVAL;
	rc = vfe_conn_open(&blk->conn, opts->socket_path);
	return rc ? rc : vfe_order_steps[opts->order].connect(blk);
}

int vfe_blk_make_rings(struct vfe_blk *blk)
{
	const uint64_t usable = blk->device_features & blk->opts.features;
	struct vfe_ring_opts ring_opts = {
		.size = blk->opts.queue_size,
		.n_indirect =
			usable & (1ull << VIRTIO_RING_F_INDIRECT_DESC) ? blk->opts.n_indirect : 0,
		.region = blk->opts.ring_region,
		.align = blk->opts.ring_align,
		.event_idx = usable & (1ull << VIRTIO_RING_F_EVENT_IDX),
		.packed = usable & (1ull << VIRTIO_F_RING_PACKED),
	};
	int rc;

	rc = vfe_mem_init(&blk->mem, blk->opts.regions, blk->opts.n_regions);
	while (!rc && blk->n_rings < blk->opts.n_queues) {
		rc = vfe_ring_init(&blk->ring[blk->n_rings], &blk->mem, &ring_opts);
		if (!rc) {
			blk->base[blk->n_rings] = vfe_ring_start_base(&blk->ring[blk->n_rings], 0);
			blk->n_rings++;
		}
	}
	return rc ? rc : vfe_order_steps[blk->opts.order].announce(blk);
}

int vfe_blk_start(struct vfe_blk *blk)
{
	uint16_t q;
	int rc;

	rc = vfe_order_steps[blk->opts.order].start(blk);
	if (rc)
		return rc;
	blk->n_active = blk->opts.n_started ? blk->opts.n_started : blk->n_rings;

	/* What was published before the start has nobody else who would announce it. */
	for (q = 0; q < blk->n_active; q++) {
		if (vfe_ring_in_flight(&blk->ring[q]) > 0)
			vfe_ring_kick_always(&blk->ring[q]);
	}
	return 0;
}

int vfe_blk_open(struct vfe_blk *blk, const struct vfe_blk_opts *opts)
{
	int rc = vfe_blk_connect(blk, opts);

	if (!rc)
		rc = vfe_blk_make_rings(blk);
	if (!rc)
		rc = vfe_blk_start(blk);
	return rc;
}

int vfe_blk_stop(struct vfe_blk *blk, uint32_t *ret_base)
{
	uint16_t n = blk->n_active;
	int rc = vfe_order_steps[blk->opts.order].stop(blk);

	if (rc)
		return rc;
	blk->n_active = 0;
	if (ret_base)
		memcpy(ret_base, blk->base, n * sizeof(*ret_base));
	return 0;
}

void vfe_blk_hang_up(struct vfe_blk *blk)
{
	vfe_conn_close(&blk->conn);
	if (blk->backend_channel >= 0)
		close(blk->backend_channel);
	blk->backend_channel = -1;
	blk->n_active = 0;
}

void vfe_blk_close(struct vfe_blk *blk)
{
	uint16_t q;

	vfe_blk_hang_up(blk);
	for (q = 0; q < blk->n_rings; q++)
		vfe_ring_fini(&blk->ring[q]);
	vfe_mem_fini(&blk->mem);
	if (blk->err_fd >= 0)
		close(blk->err_fd);
	blk->err_fd = -1;
	blk->n_rings = 0;
}

int vfe_blk_set_mem_table(struct vfe_blk *blk, const struct vfe_mem *mem)
{
	uint64_t features;
	int rc = vfe_conn_set_mem_table(&blk->conn, mem);

	/* A message with a reply stands in for the acknowledgement that wasn't asked for. */
	if (!rc && !vfe_conn_has(&blk->conn, VFE_PF_REPLY_ACK))
		rc = vfe_conn_get_u64(&blk->conn, VFE_GET_FEATURES, &features);
	return rc;
}

int vfe_blk_get_config(struct vfe_blk *blk, void *ret_config, uint32_t n_bytes)
{
	return vfe_conn_get_config(&blk->conn, 0, ret_config, n_bytes);
}

int vfe_blk_set_wce(struct vfe_blk *blk, uint8_t wce)
{
	return vfe_conn_set_config(&blk->conn, offsetof(struct virtio_blk_config, wce), &wce, 1);
}

int vfe_blk_wait_config_change(struct vfe_blk *blk, int timeout_ms)
{
	int64_t deadline_ms = vfe_now_ms() + timeout_ms;
	uint32_t request = 0;
	int64_t left_ms;
	int rc = 0;

	if (blk->backend_channel < 0)
		return -ENOTCONN;
	while (!rc && request != VFE_BACKEND_CONFIG_CHANGE) {
		left_ms = deadline_ms - vfe_now_ms();
		rc = vfe_conn_wait_backend_request(blk->backend_channel, &request,
						   left_ms > 0 ? (int)left_ms : 0);
	}
	return rc;
}
