/* SPDX-License-Identifier: BSD-3-Clause */
#include "pure/blkreq.h"

#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <string.h>

#define BIT(n) (1ull << (n))

/* Flags of a struct virtio_blk_discard_write_zeroes: bit 0 is unmap, the rest reserved. */
#define RANGE_UNMAP VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP

uint64_t blk_features(const struct blk_disk *disk)
{
	uint64_t features = BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_RING_F_INDIRECT_DESC) |
			    BIT(VIRTIO_RING_F_EVENT_IDX) | BIT(VIRTIO_F_RING_PACKED) |
			    BIT(VIRTIO_BLK_F_SEG_MAX) | BIT(VIRTIO_BLK_F_BLK_SIZE) |
			    BIT(VIRTIO_BLK_F_TOPOLOGY) | BIT(VIRTIO_BLK_F_FLUSH) |
			    BIT(VIRTIO_BLK_F_CONFIG_WCE);

	if (disk->n_queues > 1)
		features |= BIT(VIRTIO_BLK_F_MQ);
	if (disk->readonly)
		return features | BIT(VIRTIO_BLK_F_RO);
	if (disk->max_discard_sectors)
		features |= BIT(VIRTIO_BLK_F_DISCARD);
	if (disk->max_write_zeroes_sectors)
		features |= BIT(VIRTIO_BLK_F_WRITE_ZEROES);
	return features;
}

void blk_config(const struct blk_disk *disk, uint8_t ret_config[BLK_CONFIG_BYTES])
{
	bool wce = atomic_load_explicit(&disk->write_cache, memory_order_relaxed);
	uint64_t capacity = atomic_load_explicit(&disk->capacity_sectors, memory_order_relaxed);
	struct virtio_blk_config c = {
		.capacity = htole64(capacity),
		.seg_max = htole32(BLK_SEG_MAX),
		.blk_size = htole32(disk->block_size_bytes),
		.min_io_size = htole16(1),
		.opt_io_size = htole32(disk->opt_io_blocks),
		.wce = wce,
		.num_queues = htole16(disk->n_queues),
		.max_discard_sectors = htole32(disk->max_discard_sectors),
		.max_discard_seg = htole32(disk->max_discard_sectors ? BLK_RANGES_MAX : 0),
		.discard_sector_alignment = htole32(disk->discard_alignment_sectors),
		.max_write_zeroes_sectors = htole32(disk->max_write_zeroes_sectors),
		.max_write_zeroes_seg =
			htole32(disk->max_write_zeroes_sectors ? BLK_RANGES_MAX : 0),
		.write_zeroes_may_unmap = disk->max_discard_sectors != 0,
	};

	memset(ret_config, 0, BLK_CONFIG_BYTES);
	memcpy(ret_config, &c, sizeof(c));
}

/* Moves n_bytes from the front of an iov to buf; the iov then begins behind them. */
static void iov_take_front(struct iovec **iov, uint16_t *n_iov, void *buf, size_t n_bytes)
{
	uint8_t *to = buf;

	while (n_bytes > 0) {
		size_t n = (*iov)->iov_len < n_bytes ? (*iov)->iov_len : n_bytes;

		memcpy(to, (*iov)->iov_base, n);
		to += n;
		n_bytes -= n;
		(*iov)->iov_base = (uint8_t *)(*iov)->iov_base + n;
		(*iov)->iov_len -= n;
		if ((*iov)->iov_len == 0) {
			(*iov)++;
			(*n_iov)--;
		}
	}
}

struct guest_words blk_header_gather(struct iovec **readable, uint16_t *n_readable)
{
	struct guest_words header;

	iov_take_front(readable, n_readable, &header, sizeof(header));
	__atomic_signal_fence(__ATOMIC_SEQ_CST); /* from here on only the copy is looked at */
	return header;
}

/* 5.2.6.2: unknown flags, and unmap in a discard, are UNSUPP. */
static uint8_t check_range(const struct virtio_blk_discard_write_zeroes *raw, bool discard,
			   const struct blk_disk *disk, struct blk_range *ret)
{
	uint32_t max = discard ? disk->max_discard_sectors : disk->max_write_zeroes_sectors;
	uint32_t flags = le32toh(raw->flags);

	if ((flags & ~(uint32_t)RANGE_UNMAP) || (discard && flags))
		return VIRTIO_BLK_S_UNSUPP;
	*ret = (struct blk_range){
		.sector = le64toh(raw->sector),
		.n_sectors = le32toh(raw->num_sectors),
		.unmap = flags & RANGE_UNMAP,
	};
	if (ret->n_sectors > max || !blk_range_ok(disk, ret->sector, ret->n_sectors))
		return VIRTIO_BLK_S_IOERR;
	return VIRTIO_BLK_S_OK;
}

static uint8_t check_ranges(struct blk_request *req, const struct blk_disk *disk,
			    struct blk_range *ret_ranges)
{
	bool discard = req->type == VIRTIO_BLK_T_DISCARD;
	struct virtio_blk_discard_write_zeroes raw;
	uint64_t n = req->payload_bytes / sizeof(raw);

	if ((discard ? disk->max_discard_sectors : disk->max_write_zeroes_sectors) == 0)
		return VIRTIO_BLK_S_UNSUPP;
	if (n == 0 || n > BLK_RANGES_MAX || req->payload_bytes % sizeof(raw))
		return VIRTIO_BLK_S_IOERR;
	for (uint64_t i = 0; i < n; i++) {
		uint8_t status;

		iov_take_front(&req->payload, &req->n_payload, &raw, sizeof(raw));
		status = check_range(&raw, discard, disk, &ret_ranges[i]);
		if (status != VIRTIO_BLK_S_OK)
			return status;
	}
	req->n_ranges = (uint16_t)n;
	return VIRTIO_BLK_S_OK;
}

uint8_t blk_request_check_other(struct blk_request *req, const struct blk_disk *disk,
				struct blk_range ret_ranges[BLK_RANGES_MAX])
{
	switch (req->type) {
	case VIRTIO_BLK_T_DISCARD:
	case VIRTIO_BLK_T_WRITE_ZEROES:
		return disk->readonly ? VIRTIO_BLK_S_IOERR : check_ranges(req, disk, ret_ranges);
	case VIRTIO_BLK_T_FLUSH:
	case VIRTIO_BLK_T_GET_ID:
		return VIRTIO_BLK_S_OK;
	default:
		return VIRTIO_BLK_S_UNSUPP;
	}
}

uint32_t blk_request_get_id(const struct blk_request *req, const struct blk_disk *disk)
{
	uint32_t done = 0;

	for (uint16_t i = 0; i < req->n_payload && done < VIRTIO_BLK_ID_BYTES; i++) {
		size_t n = req->payload[i].iov_len;

		if (n > VIRTIO_BLK_ID_BYTES - done)
			n = VIRTIO_BLK_ID_BYTES - done;
		memcpy(req->payload[i].iov_base, disk->serial + done, n);
		done += (uint32_t)n;
	}
	return done;
}
