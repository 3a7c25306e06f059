/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The virtio block device, virtio 1.2 section 5.2: its configuration space, and what one request
 * asks for. Knows descriptor chains, but no ring format and no store.
 */
#ifndef PURE_BLKREQ_H
#define PURE_BLKREQ_H

#include <endian.h>
#include <linux/virtio_blk.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/compiler.h"
#include "pure/chain.h"
#include "pure/guest_words.h"

#define SECTOR_BYTES    512u
#define BLK_SEG_MAX     126u /* data segments of a request: two of a 128-entry ring's for the rest */
#define BLK_PAYLOAD_MAX (1ull << 30) /* bytes; more is no request, but buffers that overlap */
#define BLK_RANGES_MAX  32u          /* max_discard_seg and max_write_zeroes_seg */
#define BLK_CONFIG_BYTES                                                                           \
	256u /* what GET_CONFIG may ask for; the specification's part is shorter                   \
	      */

/** What a disk looks like to its guests. Constant while the disk exists but for the atomics. */
struct blk_disk {
	_Atomic uint64_t capacity_sectors; /* of 512 bytes; written by CTRL */
	/* CONFIG_WCE's writeback; written by VHOST. It outlives a connection: no message tells a
	 * reset (5.2.5.2) from a front end that reconnects, whose guest may rely on write-through.
	 */
	atomic_bool write_cache;
	uint32_t block_size_bytes;
	uint32_t max_discard_sectors; /* 0: no DISCARD */
	uint32_t discard_alignment_sectors;
	uint32_t max_write_zeroes_sectors; /* 0: no WRITE_ZEROES */
	uint32_t opt_io_blocks;            /* suggested I/O size in blocks; 0 unknown */
	uint16_t n_queues;
	bool readonly;
	char serial[VIRTIO_BLK_ID_BYTES]; /* padded with NUL */
};

/** The device-specific feature bits and VERSION_1, INDIRECT_DESC, EVENT_IDX, RING_PACKED that we
 * offer. */
uint64_t blk_features(const struct blk_disk *disk);

/** The configuration space, 5.2.4, padded with zeroes. */
void blk_config(const struct blk_disk *disk, uint8_t ret_config[BLK_CONFIG_BYTES]);

struct blk_request {
	uint32_t type; /* VIRTIO_BLK_T_* */
	uint64_t sector;
	struct iovec *payload; /* what follows the header, or precedes the status */
	uint16_t n_payload;
	uint64_t payload_bytes;
	uint8_t *status;
	uint16_t n_ranges; /* DISCARD and WRITE_ZEROES, after blk_request_check() */
};

/** One segment of a DISCARD or WRITE_ZEROES request. */
struct blk_range {
	uint64_t sector;
	uint32_t n_sectors;
	bool unmap;
};

/** Takes a chain apart: header, payload, status, however they are spread over descriptors. Changes
 *  the chain's iov. NULL, or what is wrong with it in words: there is no place for a status. */
static ALWAYS_INLINE const char *blk_request_parse(struct chain *chain, struct blk_request *ret);

/** Checks a request against the disk, and reads the segments of a DISCARD or WRITE_ZEROES into
 *  ret_ranges. VIRTIO_BLK_S_OK: go on; else the status to answer with. */
static ALWAYS_INLINE uint8_t blk_request_check(struct blk_request *req, const struct blk_disk *disk,
					       struct blk_range ret_ranges[BLK_RANGES_MAX]);

/** Answers GET_ID into the payload; returns how many bytes were written. */
uint32_t blk_request_get_id(const struct blk_request *req, const struct blk_disk *disk);

/* The rarer halves: a header that is spread over pieces, and what is neither IN nor OUT. */
struct guest_words blk_header_gather(struct iovec **readable, uint16_t *n_readable)
	__attribute__((cold));
uint8_t blk_request_check_other(struct blk_request *req, const struct blk_disk *disk,
				struct blk_range ret_ranges[BLK_RANGES_MAX]);

/** Does [sector, sector + n_sectors) lie on the disk, in whole blocks? */
static ALWAYS_INLINE bool blk_range_ok(const struct blk_disk *disk, uint64_t sector,
				       uint64_t n_sectors)
{
	uint64_t capacity = atomic_load_explicit(&disk->capacity_sectors, memory_order_acquire);
	uint32_t block_sectors = disk->block_size_bytes / SECTOR_BYTES;

	return n_sectors <= capacity && sector <= capacity - n_sectors &&
	       ((sector | n_sectors) & (block_sectors - 1)) == 0;
}

static ALWAYS_INLINE const char *blk_request_parse(struct chain *c, struct blk_request *ret)
{
	struct iovec *readable = c->iov, *writable = c->iov + c->n_readable;
	uint16_t n_readable = c->n_readable, n_writable = c->n_writable;
	struct guest_words header;

	if (unlikely(c->readable_bytes < sizeof(header)))
		return "a request's header is shorter than 16 bytes";
	if (unlikely(!c->last_writable))
		return "a request has no device-writable byte for its status";
	if (likely(readable->iov_len == sizeof(header))) { /* as every driver makes it */
		header = guest_words_read(readable->iov_base);
		readable++;
		n_readable--;
	} else {
		struct iovec *rest = readable;
		uint16_t n_rest = n_readable;

		header = blk_header_gather(&rest, &n_rest);
		readable = rest;
		n_readable = n_rest;
	}
	*ret = (struct blk_request){
		.type = (uint32_t)le64toh(header.first),
		.sector = le64toh(header.second),
		.status = c->last_writable,
	};
	if (unlikely(c->too_long))
		return NULL; /* blk_request_check() isn't asked: the caller answers IOERR */
	if (--writable[n_writable - 1].iov_len == 0)
		n_writable--;
	if (ret->type == VIRTIO_BLK_T_IN || ret->type == VIRTIO_BLK_T_GET_ID) {
		ret->payload = writable;
		ret->n_payload = n_writable;
		ret->payload_bytes = c->writable_bytes - 1;
	} else {
		ret->payload = readable;
		ret->n_payload = n_readable;
		ret->payload_bytes = c->readable_bytes - sizeof(header);
	}
	return NULL;
}

static ALWAYS_INLINE uint8_t blk_request_check(struct blk_request *req, const struct blk_disk *disk,
					       struct blk_range ret_ranges[BLK_RANGES_MAX])
{
	if (unlikely(req->type > VIRTIO_BLK_T_OUT)) {
		struct blk_request copy = *req; /* the request itself stays in registers */
		uint8_t status = blk_request_check_other(&copy, disk, ret_ranges);

		*req = copy;
		return status;
	}
	if (unlikely(req->payload_bytes % SECTOR_BYTES || req->payload_bytes > BLK_PAYLOAD_MAX ||
		     !blk_range_ok(disk, req->sector, req->payload_bytes / SECTOR_BYTES)))
		return VIRTIO_BLK_S_IOERR;
	if (unlikely(disk->readonly) && req->type == VIRTIO_BLK_T_OUT)
		return VIRTIO_BLK_S_IOERR;
	return VIRTIO_BLK_S_OK;
}

#endif
