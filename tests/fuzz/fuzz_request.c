/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Block requests out of any pieces: taken apart, checked and answered. Each piece is an allocation
 * of its own length. What must come out is worked out a second time from the flattened bytes.
 *
 * Input: the disk, then pieces (length, writable?) until one has length 0, then the readable bytes.
 */
#include <string.h>

#include "input.h"
#include "pure/blkreq.h"

#define PIECES_MAX   40
#define READABLE_MAX (PIECES_MAX * 256)

struct expected {
	const char *fault; /* any text */
	uint32_t type;
	uint64_t sector;
	uint64_t payload_bytes;
	uint8_t status;
	uint32_t n_ranges;
};

static struct iovec pieces[PIECES_MAX], iov[PIECES_MAX];
static uint8_t readable[READABLE_MAX];

static struct blk_disk read_disk(struct input *in)
{
	uint8_t flags = input_u8(in);
	struct blk_disk disk = {
		.capacity_sectors = flags & 1 ? input_u64(in) : input_u16(in),
		.block_size_bytes = flags & 2 ? 4096 : 512,
		.readonly = flags & 4,
		.max_discard_sectors = flags & 8 ? input_u32(in) : 0,
		.max_write_zeroes_sectors = flags & 16 ? input_u32(in) : 0,
	};

	memset(disk.serial, 'S', sizeof(disk.serial));
	return disk;
}

static struct chain read_chain(struct input *in)
{
	struct chain c = {.iov = iov, .n_iov_max = PIECES_MAX};
	unsigned int n = 0, n_bytes;

	while (n < PIECES_MAX && (n_bytes = input_u8(in)) > 0) {
		uint8_t *piece = malloc(n_bytes);

		HOLDS(piece);
		memset(piece, 0xee, n_bytes);
		pieces[n] = iov[n] = (struct iovec){piece, n_bytes};
		n++;
		if (c.n_writable || input_u8(in) % 2) {
			c.n_writable++;
			c.writable_bytes += n_bytes;
			c.last_writable = piece + n_bytes - 1;
			continue;
		}
		c.n_readable++;
		c.readable_bytes += n_bytes;
	}
	return c;
}

static void fill_readable(struct input *in, const struct chain *c)
{
	size_t n = 0;

	for (uint16_t i = 0; i < c->n_readable; i++)
		for (size_t k = 0; k < pieces[i].iov_len; k++)
			((uint8_t *)pieces[i].iov_base)[k] = readable[n++] = input_u8(in);
}

static uint64_t number(const uint8_t *bytes, int n_bytes)
{
	uint64_t value = 0;

	for (int i = n_bytes - 1; i >= 0; i--)
		value = value << 8 | bytes[i];
	return value;
}

/* Bounds in 128 bits, where nothing wraps. */
static uint8_t expected_place(const struct blk_disk *disk, uint64_t sector, uint64_t n_bytes)
{
	unsigned __int128 end = (unsigned __int128)sector * 512 + n_bytes;

	if (end > (unsigned __int128)disk->capacity_sectors * 512)
		return VIRTIO_BLK_S_IOERR;
	if (n_bytes % disk->block_size_bytes || sector % (disk->block_size_bytes / 512))
		return VIRTIO_BLK_S_IOERR;
	return VIRTIO_BLK_S_OK;
}

static uint8_t expected_ranges(const struct blk_disk *disk, const struct expected *e)
{
	bool discard = e->type == VIRTIO_BLK_T_DISCARD;
	uint32_t max = discard ? disk->max_discard_sectors : disk->max_write_zeroes_sectors;
	uint32_t flags_known = discard ? 0 : 1;

	if (max == 0)
		return VIRTIO_BLK_S_UNSUPP;
	if (e->payload_bytes % 16 || e->payload_bytes / 16 < 1 || e->payload_bytes / 16 > 32)
		return VIRTIO_BLK_S_IOERR;
	for (const uint8_t *seg = readable + 16; seg < readable + 16 + e->payload_bytes;
	     seg += 16) {
		uint64_t n_sectors = number(seg + 8, 4);
		uint8_t status = expected_place(disk, number(seg, 8), n_sectors * 512);

		if (number(seg + 12, 4) & ~(uint64_t)flags_known)
			return VIRTIO_BLK_S_UNSUPP;
		if (n_sectors > max || status != VIRTIO_BLK_S_OK)
			return VIRTIO_BLK_S_IOERR;
	}
	return VIRTIO_BLK_S_OK;
}

static uint8_t expected_status(const struct blk_disk *disk, const struct expected *e)
{
	switch (e->type) {
	case 0:
		return expected_place(disk, e->sector, e->payload_bytes);
	case 1:
		return disk->readonly ? VIRTIO_BLK_S_IOERR
				      : expected_place(disk, e->sector, e->payload_bytes);
	case 4:
	case 8:
		return VIRTIO_BLK_S_OK;
	case 11:
	case 13:
		return disk->readonly ? VIRTIO_BLK_S_IOERR : expected_ranges(disk, e);
	default:
		return VIRTIO_BLK_S_UNSUPP;
	}
}

static struct expected expect(const struct blk_disk *disk, const struct chain *c)
{
	struct expected e = {0};

	if (c->readable_bytes < 16 || c->writable_bytes == 0) {
		e.fault = "not a request";
		return e;
	}
	e.type = (uint32_t)number(readable, 4);
	e.sector = number(readable + 8, 8);
	e.payload_bytes =
		e.type == 0 || e.type == 8 ? c->writable_bytes - 1 : c->readable_bytes - 16;
	e.status = expected_status(disk, &e);
	if ((e.type == 11 || e.type == 13) && e.status == VIRTIO_BLK_S_OK)
		e.n_ranges = (uint32_t)e.payload_bytes / 16;
	return e;
}

static void check_ranges(const struct expected *e, const struct blk_range *ranges)
{
	for (uint32_t i = 0; i < e->n_ranges; i++) {
		const uint8_t *seg = readable + 16 + (size_t)16 * i;

		HOLDS(ranges[i].sector == number(seg, 8));
		HOLDS(ranges[i].n_sectors == number(seg + 8, 4));
		HOLDS(ranges[i].unmap == (number(seg + 12, 4) == 1));
	}
}

/* The payload's pieces hold what they should, and are there. */
static void check_payload(const struct blk_request *req, const struct expected *e)
{
	uint64_t n = 0;

	for (uint16_t i = 0; i < req->n_payload; i++) {
		HOLDS(req->payload[i].iov_len > 0);
		for (size_t k = 0; k < req->payload[i].iov_len; k++, n++) {
			uint8_t *byte = (uint8_t *)req->payload[i].iov_base + k;

			if (e->type != 0 && e->type != 8)
				HOLDS(*byte == readable[16 + n]);
			else
				*byte = 0x11;
		}
	}
	HOLDS(n == e->payload_bytes);
}

static void serve(struct chain *c, const struct blk_disk *disk)
{
	struct expected e = expect(disk, c);
	struct blk_range ranges[BLK_RANGES_MAX];
	struct blk_request req;
	uint32_t n_id = e.payload_bytes < 20 ? (uint32_t)e.payload_bytes : 20;
	const char *fault = blk_request_parse(c, &req);

	HOLDS(!fault == !e.fault);
	if (fault)
		return;
	HOLDS(req.type == e.type && req.sector == e.sector);
	HOLDS(req.payload_bytes == e.payload_bytes);
	HOLDS(req.status == c->last_writable);
	*req.status = 0xcc;
	check_payload(&req, &e);
	HOLDS(*req.status == 0xcc);
	if (e.type == VIRTIO_BLK_T_GET_ID)
		HOLDS(blk_request_get_id(&req, disk) == n_id);
	HOLDS(*req.status == 0xcc);
	HOLDS(blk_request_check(&req, disk, ranges) == e.status);
	HOLDS(req.n_ranges == e.n_ranges);
	check_ranges(&e, ranges);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes)
{
	struct input in = {bytes, n_bytes};
	struct blk_disk disk = read_disk(&in);
	struct chain c = read_chain(&in);
	unsigned int n_pieces = (unsigned int)c.n_readable + c.n_writable;

	fill_readable(&in, &c);
	serve(&c, &disk);
	for (unsigned int i = 0; i < n_pieces; i++)
		free(pieces[i].iov_base);
	return 0;
}
