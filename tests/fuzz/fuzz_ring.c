/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A guest that means harm: the input is its memory map, its memory with the rings in it, and what
 * it does to them between, and in the middle of, the device's steps. Each region has inaccessible
 * pages around it (unit/lib/guest.h); whatever the device is given lies inside of a region, and is
 * read or written whole.
 *
 * Input: the regions, the ring, the first bytes of each region, then steps until the end.
 */
#include <string.h>

#include "../unit/lib/guest.h"
#include "input.h"
#include "pure/blkreq.h"
#include "pure/vring_split.h"

#define REGION_MAX 4096u
#define STEPS_MAX  400

struct fuzz {
	struct input in;
	struct guest guest;
	struct vring_split vr;
	struct vring_addr addr;
	struct blk_disk disk;
	unsigned int n_steps;
};

static void read_regions(struct fuzz *f)
{
	unsigned int n = 1 + input_below(&f->in, GUEST_MEM_REGIONS_MAX);
	uint64_t gpa = input_u16(&f->in);

	guest_init(&f->guest);
	for (unsigned int i = 0; i < n; i++) {
		uint64_t n_bytes = 1 + input_below(&f->in, REGION_MAX);
		uint8_t gap = input_u8(&f->in);

		if (gap == 255) /* the last one, at the very top */
			gpa = UINT64_MAX - n_bytes;
		else if (gap >= 128)
			gpa += gap;
		guest_add(&f->guest, gpa, n_bytes);
		gpa += n_bytes;
		if (gap == 255)
			break;
	}
	HOLDS(guest_mem_check(&f->guest.mem) == NULL);
}

static const struct guest_region *read_region(struct fuzz *f)
{
	return &f->guest.mem.regions[input_below(&f->in, f->guest.mem.n_regions)];
}

/* An address in a region, or close behind it. */
static uint64_t read_gpa(struct fuzz *f)
{
	return read_region(f)->gpa + input_below(&f->in, REGION_MAX + 16);
}

static void write_memory(struct fuzz *f, const struct guest_region *r, uint32_t at, uint32_t n)
{
	for (uint32_t i = at; i < at + n && i < r->size_bytes; i++)
		r->host[i] = input_u8(&f->in);
}

static bool read_ring(struct fuzz *f)
{
	uint8_t flags = input_u8(&f->in);
	uint64_t unaligned = flags & 0x80 ? 0 : 15;

	f->vr = (struct vring_split){.size = (uint16_t)(1u << flags % 8), .event_idx = flags & 8};
	HOLDS(vring_split_size_ok(f->vr.size));
	f->addr.desc_uva = (read_gpa(f) & ~unaligned) + GUEST_UVA_OFFSET;
	f->addr.avail_uva = (read_gpa(f) & ~unaligned) + GUEST_UVA_OFFSET;
	f->addr.used_uva = (read_gpa(f) & ~unaligned) + GUEST_UVA_OFFSET;
	return vring_split_map(&f->vr, &f->guest.mem, &f->addr) == NULL;
}

static void write_bytes(struct fuzz *f, uint64_t gpa, const uint8_t *bytes, uint32_t n_bytes)
{
	for (uint32_t i = 0; i < n_bytes; i++) {
		uint8_t *to = guest_byte(&f->guest, gpa + i);

		if (to)
			*to = bytes[i];
	}
}

static void write_desc_at(struct fuzz *f, uint64_t gpa, uint64_t addr, uint32_t len, uint16_t flags,
			  uint16_t next)
{
	uint8_t bytes[16];

	memcpy(bytes, &addr, 8);
	memcpy(bytes + 8, &len, 4);
	memcpy(bytes + 12, &flags, 2);
	memcpy(bytes + 14, &next, 2);
	write_bytes(f, gpa, bytes, sizeof(bytes));
}

/* A whole descriptor, so that good ones are found soon: in the ring's table or anywhere, a buffer
 * or a table in some region. */
static void write_desc(struct fuzz *f)
{
	uint64_t ring = f->addr.desc_uva - GUEST_UVA_OFFSET;
	uint64_t table = input_u8(&f->in) % 2 ? ring : read_gpa(f) & ~15ull;
	uint32_t i = input_below(&f->in, 16);
	uint64_t addr = read_gpa(f);
	uint32_t len = input_u16(&f->in);
	uint16_t flags = input_u8(&f->in) % 8, next = input_u8(&f->in) % 16;

	write_desc_at(f, table + 16 * i, addr, len, flags, next);
}

static void offer(struct fuzz *f, uint16_t head)
{
	uint16_t idx = f->vr.avail->idx;

	f->vr.avail->ring[idx & (f->vr.size - 1)] = head;
	f->vr.avail->idx = (uint16_t)(idx + 1);
}

/* A whole request from entry 0 on, so that all of them are met: header, small buffers, status. */
static void write_request(struct fuzz *f)
{
	static const uint8_t types[] = {0, 1, 4, 8, 11, 13};
	uint64_t ring = f->addr.desc_uva - GUEST_UVA_OFFSET, gpa = read_gpa(f);
	uint8_t header[16] = {types[input_below(&f->in, sizeof(types))]};
	bool fills = header[0] == VIRTIO_BLK_T_IN || header[0] == VIRTIO_BLK_T_GET_ID;
	uint32_t n = input_below(&f->in, 40), len = input_u16(&f->in);

	header[8] = input_u8(&f->in);
	write_bytes(f, gpa, header, sizeof(header));
	write_desc_at(f, ring, gpa, sizeof(header), VRING_DESC_F_NEXT, 1);
	gpa = read_gpa(f);
	for (uint16_t i = 1; i <= n; i++)
		write_desc_at(f, ring + 16 * i, gpa, len,
			      fills ? VRING_DESC_F_NEXT | VRING_DESC_F_WRITE : VRING_DESC_F_NEXT,
			      (uint16_t)(i + 1));
	write_desc_at(f, ring + 16 * (n + 1), read_gpa(f), 1, VRING_DESC_F_WRITE, 0);
	offer(f, 0);
}

/* What the guest does. */
static void guest_step(struct fuzz *f)
{
	uint8_t step = input_u8(&f->in) % 7;
	const struct guest_region *r;
	uint32_t at;

	switch (step) {
	case 0:
	case 1:
		write_desc(f);
		break;
	case 2:
	case 3:
		offer(f, input_u8(&f->in));
		break;
	case 4:
		r = read_region(f);
		at = input_u16(&f->in);
		write_memory(f, r, at, 1 + input_below(&f->in, 32));
		break;
	case 5:
		f->vr.avail->idx = input_u16(&f->in);
		break;
	case 6:
		write_request(f);
		break;
	}
}

static uint64_t touch(const struct iovec *iov, unsigned int n, bool write, const struct fuzz *f)
{
	static volatile uint8_t sink;
	uint64_t n_bytes = 0;

	for (unsigned int i = 0; i < n; i++) {
		uint8_t *bytes = iov[i].iov_base;

		HOLDS(iov[i].iov_len > 0);
		HOLDS(guest_owns(&f->guest, bytes, iov[i].iov_len));
		for (size_t k = 0; k < iov[i].iov_len; k++) {
			sink = (uint8_t)(sink ^ bytes[k]);
			if (write)
				bytes[k] = 0x33;
		}
		n_bytes += iov[i].iov_len;
	}
	return n_bytes;
}

static void check_chain(const struct fuzz *f, const struct chain *c)
{
	uint64_t n_readable = touch(c->iov, c->n_readable, false, f);
	uint64_t n_writable = touch(c->iov + c->n_readable, c->n_writable, false, f);

	HOLDS((unsigned int)c->n_readable + c->n_writable <= c->n_iov_max);
	HOLDS(c->too_long ? n_readable <= c->readable_bytes : n_readable == c->readable_bytes);
	HOLDS(c->too_long ? n_writable <= c->writable_bytes : n_writable == c->writable_bytes);
	HOLDS(!c->too_long || (unsigned int)c->n_readable + c->n_writable == c->n_iov_max);
	HOLDS((c->last_writable == NULL) == (c->writable_bytes == 0));
	HOLDS(!c->last_writable || guest_owns(&f->guest, c->last_writable, 1));
}

static void check_ranges(const struct fuzz *f, const struct blk_request *req,
			 const struct blk_range *ranges)
{
	HOLDS(req->n_ranges <= BLK_RANGES_MAX && req->n_ranges * 16u == req->payload_bytes);
	for (uint16_t i = 0; i < req->n_ranges; i++)
		HOLDS(ranges[i].sector + ranges[i].n_sectors <= f->disk.capacity_sectors);
}

/* Serves a request as the engine does; the answer's length. */
static uint32_t serve(struct fuzz *f, struct blk_request *req)
{
	struct blk_range ranges[BLK_RANGES_MAX];
	bool fills = req->type == VIRTIO_BLK_T_IN || req->type == VIRTIO_BLK_T_GET_ID;
	uint8_t status = blk_request_check(req, &f->disk, ranges);

	if (status != VIRTIO_BLK_S_OK) {
		*req->status = status;
		return 1;
	}
	if (req->type == VIRTIO_BLK_T_DISCARD || req->type == VIRTIO_BLK_T_WRITE_ZEROES)
		check_ranges(f, req, ranges);
	else
		HOLDS(touch(req->payload, req->n_payload, fills, f) == req->payload_bytes);
	if (req->type == VIRTIO_BLK_T_GET_ID)
		HOLDS(blk_request_get_id(req, &f->disk) <= VIRTIO_BLK_ID_BYTES);
	*req->status = status;
	return 1;
}

/* Takes a chain into an iov of n_iov_max entries, to the byte. */
static const char *take(struct fuzz *f, unsigned int n_iov_max)
{
	struct iovec *iov = malloc(n_iov_max * sizeof(*iov));
	struct chain c = {.iov = iov, .n_iov_max = n_iov_max};
	struct blk_request req;
	const char *fault;
	uint32_t n_bytes = 1;

	HOLDS(iov);
	fault = vring_split_take(&f->vr, &f->guest.mem, &c);
	if (fault)
		goto free_iov;
	HOLDS(c.head < f->vr.size);
	check_chain(f, &c);
	if (input_u8(&f->in) % 4 == 1)
		guest_step(f);
	fault = blk_request_parse(&c, &req);
	if (fault)
		goto free_iov;
	HOLDS(req.status == c.last_writable);
	if (input_u8(&f->in) % 4 == 1)
		guest_step(f);
	if (c.too_long)
		*req.status = VIRTIO_BLK_S_IOERR;
	else
		n_bytes = serve(f, &req);
	vring_split_put_used(&f->vr, c.head, n_bytes);

free_iov:
	free(iov);
	return fault;
}

/* What the device does when it looks at the ring. */
static void device_turn(struct fuzz *f)
{
	int n_avail = vring_split_n_avail(&f->vr);
	const char *fault = n_avail < 0 ? "too far ahead" : NULL;
	uint8_t how = input_u8(&f->in);

	HOLDS(n_avail <= f->vr.size);
	while (!fault && n_avail-- > 0) {
		/* A request's parser needs 16 pieces: for a header in single bytes. */
		fault = take(f, how % 2 ? CHAIN_IOV_MAX : 16 + how / 8);
		if (!fault && how % 8 == 2)
			vring_split_untake(&f->vr);
	}
	vring_split_publish(&f->vr);
	vring_split_should_notify(&f->vr);
	if (fault)
		vring_split_start(&f->vr, how & 64 ? -1 : f->vr.avail->idx);
	if (how % 8 == 4)
		HOLDS(vring_split_map(&f->vr, &f->guest.mem, &f->addr) == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes)
{
	static struct fuzz f;

	f = (struct fuzz){.in = {bytes, n_bytes}};
	f.disk = (struct blk_disk){.capacity_sectors = 2048,
				   .block_size_bytes = 512,
				   .max_discard_sectors = 512,
				   .max_write_zeroes_sectors = 512};
	read_regions(&f);
	if (read_ring(&f)) {
		vring_split_start(&f.vr, input_u8(&f.in) % 4 ? -1 : input_u16(&f.in));
		for (uint32_t i = 0; i < f.guest.mem.n_regions; i++)
			write_memory(&f, &f.guest.mem.regions[i], 0, input_below(&f.in, 128));
		while (f.in.n_bytes > 0 && f.n_steps++ < STEPS_MAX) {
			guest_step(&f);
			if (input_u8(&f.in) % 2)
				device_turn(&f);
		}
	}
	guest_fini(&f.guest);
	return 0;
}
