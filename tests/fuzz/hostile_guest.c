/* SPDX-License-Identifier: BSD-3-Clause */
#include "hostile_guest.h"

#include <string.h>

static void read_regions(struct hostile *h)
{
	unsigned int n = 1 + input_below(&h->in, GUEST_MEM_REGIONS_MAX);
	uint64_t gpa = input_u16(&h->in);

	guest_init(&h->guest);
	for (unsigned int i = 0; i < n; i++) {
		uint64_t n_bytes = 1 + input_below(&h->in, REGION_MAX);
		uint8_t gap = input_u8(&h->in);

		if (gap == 255) /* the last one, at the very top */
			gpa = UINT64_MAX - n_bytes;
		else if (gap >= 128)
			gpa += gap;
		guest_add(&h->guest, gpa, n_bytes);
		gpa += n_bytes;
		if (gap == 255)
			break;
	}
	HOLDS(guest_mem_check(&h->guest.mem) == NULL);
}

void hostile_init(struct hostile *h, const uint8_t *bytes, size_t n_bytes,
		  void (*interrupt)(struct hostile *h))
{
	*h = (struct hostile){.in = {bytes, n_bytes}, .interrupt = interrupt};
	h->disk = (struct blk_disk){.capacity_sectors = 2048,
				    .block_size_bytes = 512,
				    .max_discard_sectors = 512,
				    .max_write_zeroes_sectors = 512};
	read_regions(h);
}

const struct guest_region *hostile_region(struct hostile *h)
{
	return &h->guest.mem.regions[input_below(&h->in, h->guest.mem.n_regions)];
}

uint64_t hostile_gpa(struct hostile *h)
{
	return hostile_region(h)->gpa + input_below(&h->in, REGION_MAX + 16);
}

void hostile_read_addr(struct hostile *h, bool unaligned)
{
	uint64_t mask = unaligned ? 0 : 15;

	h->addr.desc_uva = (hostile_gpa(h) & ~mask) + GUEST_UVA_OFFSET;
	h->addr.avail_uva = (hostile_gpa(h) & ~mask) + GUEST_UVA_OFFSET;
	h->addr.used_uva = (hostile_gpa(h) & ~mask) + GUEST_UVA_OFFSET;
}

static void write_memory(struct hostile *h, const struct guest_region *r, uint32_t at, uint32_t n)
{
	for (uint32_t i = at; i < at + n && i < r->size_bytes; i++)
		r->host[i] = input_u8(&h->in);
}

void hostile_fill(struct hostile *h)
{
	for (uint32_t i = 0; i < h->guest.mem.n_regions; i++)
		write_memory(h, &h->guest.mem.regions[i], 0, input_below(&h->in, 128));
}

void hostile_write_some(struct hostile *h)
{
	const struct guest_region *r = hostile_region(h);
	uint32_t at = input_u16(&h->in);

	write_memory(h, r, at, 1 + input_below(&h->in, 32));
}

void hostile_write(struct hostile *h, uint64_t gpa, const uint8_t *bytes, uint32_t n_bytes)
{
	for (uint32_t i = 0; i < n_bytes; i++) {
		uint8_t *to = guest_byte(&h->guest, gpa + i);

		if (to)
			*to = bytes[i];
	}
}

void hostile_write_desc(struct hostile *h, uint64_t gpa, uint64_t addr, uint32_t len,
			uint16_t at_12, uint16_t at_14)
{
	uint8_t bytes[16];

	memcpy(bytes, &addr, 8);
	memcpy(bytes + 8, &len, 4);
	memcpy(bytes + 12, &at_12, 2);
	memcpy(bytes + 14, &at_14, 2);
	hostile_write(h, gpa, bytes, sizeof(bytes));
}

struct wish hostile_wish(struct hostile *h)
{
	static const uint8_t types[] = {0, 1, 4, 8, 11, 13};
	struct wish wish = {.header_gpa = hostile_gpa(h)};
	uint8_t header[16] = {types[input_below(&h->in, sizeof(types))]};

	wish.fills = header[0] == VIRTIO_BLK_T_IN || header[0] == VIRTIO_BLK_T_GET_ID;
	wish.n = input_below(&h->in, 40);
	wish.n_bytes = input_u16(&h->in);
	header[8] = input_u8(&h->in);
	hostile_write(h, wish.header_gpa, header, sizeof(header));
	return wish;
}

static uint64_t touch(const struct iovec *iov, unsigned int n, bool write, const struct hostile *h)
{
	static volatile uint8_t sink;
	uint64_t n_bytes = 0;

	for (unsigned int i = 0; i < n; i++) {
		uint8_t *bytes = iov[i].iov_base;

		HOLDS(iov[i].iov_len > 0);
		HOLDS(guest_owns(&h->guest, bytes, iov[i].iov_len));
		for (size_t k = 0; k < iov[i].iov_len; k++) {
			sink = (uint8_t)(sink ^ bytes[k]);
			if (write)
				bytes[k] = 0x33;
		}
		n_bytes += iov[i].iov_len;
	}
	return n_bytes;
}

static void check_chain(const struct hostile *h, const struct chain *c)
{
	uint64_t n_readable = touch(c->iov, c->n_readable, false, h);
	uint64_t n_writable = touch(c->iov + c->n_readable, c->n_writable, false, h);

	HOLDS((unsigned int)c->n_readable + c->n_writable <= c->n_iov_max);
	HOLDS(c->too_long ? n_readable <= c->readable_bytes : n_readable == c->readable_bytes);
	HOLDS(c->too_long ? n_writable <= c->writable_bytes : n_writable == c->writable_bytes);
	HOLDS(!c->too_long || (unsigned int)c->n_readable + c->n_writable == c->n_iov_max);
	HOLDS((c->last_writable == NULL) == (c->writable_bytes == 0));
	HOLDS(!c->last_writable || guest_owns(&h->guest, c->last_writable, 1));
}

static void check_ranges(const struct hostile *h, const struct blk_request *req,
			 const struct blk_range *ranges)
{
	HOLDS(req->n_ranges <= BLK_RANGES_MAX && req->n_ranges * 16u == req->payload_bytes);
	for (uint16_t i = 0; i < req->n_ranges; i++)
		HOLDS(ranges[i].sector + ranges[i].n_sectors <= h->disk.capacity_sectors);
}

static void serve(struct hostile *h, struct blk_request *req)
{
	struct blk_range ranges[BLK_RANGES_MAX];
	bool fills = req->type == VIRTIO_BLK_T_IN || req->type == VIRTIO_BLK_T_GET_ID;
	uint8_t status = blk_request_check(req, &h->disk, ranges);

	if (status != VIRTIO_BLK_S_OK) {
		*req->status = status;
		return;
	}
	if (req->type == VIRTIO_BLK_T_DISCARD || req->type == VIRTIO_BLK_T_WRITE_ZEROES)
		check_ranges(h, req, ranges);
	else
		HOLDS(touch(req->payload, req->n_payload, fills, h) == req->payload_bytes);
	if (req->type == VIRTIO_BLK_T_GET_ID)
		HOLDS(blk_request_get_id(req, &h->disk) <= VIRTIO_BLK_ID_BYTES);
	*req->status = status;
}

const char *hostile_serve(struct hostile *h, struct chain *c)
{
	struct blk_request req;
	const char *fault;

	check_chain(h, c);
	if (input_u8(&h->in) % 4 == 1)
		h->interrupt(h);
	fault = blk_request_parse(c, &req);
	if (fault)
		return fault;
	HOLDS(req.status == c->last_writable);
	if (input_u8(&h->in) % 4 == 1)
		h->interrupt(h);
	if (c->too_long)
		*req.status = VIRTIO_BLK_S_IOERR;
	else
		serve(h, &req);
	return NULL;
}
