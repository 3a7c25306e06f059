/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A vhost-user-blk session, front-end side: connection, negotiation, guest memory, rings, start and
 * stop of the device. The order of the messages is selectable, because real front ends differ. By
 * message number, "n x" for each queue:
 *
 * VFE_ORDER_QEMU: QEMU 7.2's vhost-user-blk-pci.
 *   connect 1 15 16 17 21 3 1, n x (13 14), 24
 *   start   2, n x 13, 2, 5 (need_reply), for each started queue (8 10 9 12), n x 18
 *   stop    n x 18 with 0, for each started queue 11
 * VFE_ORDER_SPDK: SPDK's virtio-user initiator, without REPLY_ACK.
 *   connect 3 1 2 15 16 24
 *   start   n x 18 before all else, 17, n x 13, 5 and a 1 to wait for it, n x (8 10 9 12)
 *   stop    n x 11, then the same 5 and 1 again
 * VFE_ORDER_BLKIO: libblkio's virtio-blk-vhost-user, need_reply on everything after 16.
 *   connect 3 1 2 15 16 17 (36) 24
 *   start   37 for each region (5, where the back end has no memory slots), n x (8 10 9 12 13 18)
 *   stop    n x 11, which libblkio itself never sends
 * VFE_ORDER_MINIMAL: no protocol features; rings are enabled from the start; no configuration.
 *   connect 3 1
 *   start   2, 5, n x (8 10 9 12 13)
 *   stop    n x 11
 *
 * Whoever wants another order calls the functions of vfe_conn.h on `conn`.
 */
#ifndef VFE_BLK_H
#define VFE_BLK_H

#include <stdbool.h>
#include <stdint.h>

#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>

#include "vfe_conn.h"
#include "vfe_mem.h"
#include "vfe_ring.h"

#define VFE_QUEUES_MAX 128

enum vfe_order { VFE_ORDER_QEMU, VFE_ORDER_SPDK, VFE_ORDER_BLKIO, VFE_ORDER_MINIMAL };

/* Every feature of virtio 1.2 that this front end knows how to use, but for RING_PACKED, which is
 * another ring and not one more thing that a ring can do. */
#define VFE_FEATURES_ALL                                                                           \
	((1ull << VIRTIO_F_VERSION_1) | (1ull << VIRTIO_RING_F_INDIRECT_DESC) |                    \
	 (1ull << VIRTIO_RING_F_EVENT_IDX) | (1ull << VIRTIO_BLK_F_SIZE_MAX) |                     \
	 (1ull << VIRTIO_BLK_F_SEG_MAX) | (1ull << VIRTIO_BLK_F_GEOMETRY) |                        \
	 (1ull << VIRTIO_BLK_F_RO) | (1ull << VIRTIO_BLK_F_BLK_SIZE) |                             \
	 (1ull << VIRTIO_BLK_F_FLUSH) | (1ull << VIRTIO_BLK_F_TOPOLOGY) |                          \
	 (1ull << VIRTIO_BLK_F_CONFIG_WCE) | (1ull << VIRTIO_BLK_F_MQ) |                           \
	 (1ull << VIRTIO_BLK_F_DISCARD) | (1ull << VIRTIO_BLK_F_WRITE_ZEROES))

#define VFE_PROTOCOL_FEATURES_ALL                                                                  \
	((1ull << VFE_PF_MQ) | (1ull << VFE_PF_REPLY_ACK) | (1ull << VFE_PF_SLAVE_REQ) |           \
	 (1ull << VFE_PF_CONFIG) | (1ull << VFE_PF_MEM_SLOTS))

struct vfe_blk_opts {
	const char *socket_path;
	enum vfe_order order;
	uint64_t features;          /* wanted; what the device lacks is left out */
	uint64_t protocol_features; /* likewise */
	uint16_t n_queues;          /* that the driver side has */
	uint16_t n_started;         /* the first so many are started; 0: all */
	uint16_t queue_size;
	uint16_t n_indirect;                   /* longest indirect table */
	unsigned int ring_region;              /* memory region that the rings lie in */
	uint16_t ring_align;                   /* struct vfe_ring_opts, align */
	const struct vfe_region_spec *regions; /* read by vfe_blk_make_rings() */
	unsigned int n_regions;
};

struct vfe_blk {
	struct vfe_blk_opts opts;
	struct vfe_conn conn;
	int backend_channel;      /* our end of it; -1 without VFE_PF_SLAVE_REQ */
	uint64_t device_features; /* offered */
	uint64_t features;        /* negotiated */
	uint64_t n_device_queues; /* GET_QUEUE_NUM; 0 when it was not asked */
	struct vfe_mem mem;
	struct vfe_ring ring[VFE_QUEUES_MAX];
	uint16_t n_rings;              /* made */
	uint16_t n_active;             /* started at this moment */
	uint32_t base[VFE_QUEUES_MAX]; /* for the next start; what the last stop was given */
	bool regions_sent;             /* by ADD_MEM_REG, which is not repeated at a restart */
	int err_fd;
};

/* One queue of 128, one region of 64 MiB, every feature, QEMU's order. */
void vfe_blk_opts_init(struct vfe_blk_opts *opts, const char *socket_path);

/*
 * The steps, in this order. Each returns 0 or -errno (see vfe_conn.h); after a failure
 * vfe_blk_close() is still due. _start also works after _stop: it sends the bases that _stop was
 * given.
 */
int vfe_blk_connect(struct vfe_blk *blk, const struct vfe_blk_opts *opts);
int vfe_blk_make_rings(struct vfe_blk *blk);
int vfe_blk_start(struct vfe_blk *blk);

/* All three. */
int vfe_blk_open(struct vfe_blk *blk, const struct vfe_blk_opts *opts);

/*
 * Stop the started queues. The back end answers with the next avail index of each, which must be
 * what the used ring stands at once all requests have ended: -EPROTO if it lies outside of [used,
 * avail]. `ret_base` may be NULL, else it has room for the started queues.
 */
int vfe_blk_stop(struct vfe_blk *blk, uint32_t *ret_base);

/* Hang up and free everything; `blk` may be used again. Also right after a failed step. */
void vfe_blk_close(struct vfe_blk *blk);

/* Hang up without a word, but keep memory and rings, so that a test can look at them. */
void vfe_blk_hang_up(struct vfe_blk *blk);

bool vfe_blk_has(const struct vfe_blk *blk, unsigned int feature);

/* SET_VRING_{NUM,BASE,ADDR,KICK} of queue `q` from its ring as it stands. */
int vfe_blk_setup_queue(struct vfe_blk *blk, uint16_t q);
void vfe_blk_ring_addr(const struct vfe_blk *blk, uint16_t q, struct vhost_vring_addr *ret_addr);

/* Send the memory table again, as it is or as `mem` has it (same bytes at the same GPAs). */
int vfe_blk_set_mem_table(struct vfe_blk *blk, const struct vfe_mem *mem);

#define VFE_BLK_CONFIG_BYTES 57 /* up to write_zeroes_may_unmap, 5.2.4 */

/* The first `n_bytes` of the configuration space. */
int vfe_blk_get_config(struct vfe_blk *blk, void *ret_config, uint32_t n_bytes);
int vfe_blk_set_wce(struct vfe_blk *blk, uint8_t wce);

/* Wait for CONFIG_CHANGE_MSG on the back-end channel; other requests there are ignored. */
int vfe_blk_wait_config_change(struct vfe_blk *blk, int timeout_ms);

#endif
