/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A hostile guest and a split ring: the input is its memory with the ring in it, and what it does
 * to them between, and in the middle of, the device's steps.
 *
 * Input: the regions, the ring, the first bytes of each region, then steps until the end.
 */
#include <string.h>

#include "hostile_guest.h"
#include "pure/vring_split.h"

struct fuzz {
	struct hostile h;
	struct vring_split vr;
	unsigned int n_steps;
};

static bool read_ring(struct fuzz *f)
{
	uint8_t flags = input_u8(&f->h.in);

	f->vr = (struct vring_split){.size = (uint16_t)(1u << flags % 8), .event_idx = flags & 8};
	HOLDS(vring_split_size_ok(f->vr.size));
	hostile_read_addr(&f->h, flags & 0x80);
	return vring_split_map(&f->vr, &f->h.guest.mem, &f->h.addr) == NULL;
}

/* A whole descriptor, so that good ones are found soon: in the ring's table or anywhere, a buffer
 * or a table in some region. */
static void write_desc(struct fuzz *f)
{
	struct input *in = &f->h.in;
	uint64_t ring = f->h.addr.desc_uva - GUEST_UVA_OFFSET;
	uint64_t table = input_u8(in) % 2 ? ring : hostile_gpa(&f->h) & ~15ull;
	uint32_t i = input_below(in, 16);
	uint64_t addr = hostile_gpa(&f->h);
	uint32_t len = input_u16(in);
	uint16_t flags = input_u8(in) % 8, next = input_u8(in) % 16;

	hostile_write_desc(&f->h, table + 16 * i, addr, len, flags, next);
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
	uint64_t ring = f->h.addr.desc_uva - GUEST_UVA_OFFSET, gpa;
	struct wish wish = hostile_wish(&f->h);
	uint16_t flags = VRING_DESC_F_NEXT;

	hostile_write_desc(&f->h, ring, wish.header_gpa, 16, flags, 1);
	gpa = hostile_gpa(&f->h);
	if (wish.fills)
		flags |= VRING_DESC_F_WRITE;
	for (uint16_t i = 1; i <= wish.n; i++)
		hostile_write_desc(&f->h, ring + 16 * i, gpa, wish.n_bytes, flags,
				   (uint16_t)(i + 1));
	hostile_write_desc(&f->h, ring + 16 * (wish.n + 1), hostile_gpa(&f->h), 1,
			   VRING_DESC_F_WRITE, 0);
	offer(f, 0);
}

/* What the guest does. */
static void guest_step(struct hostile *h)
{
	struct fuzz *f = (struct fuzz *)h;
	uint8_t step = input_u8(&h->in) % 7;

	switch (step) {
	case 0:
	case 1:
		write_desc(f);
		break;
	case 2:
	case 3:
		offer(f, input_u8(&h->in));
		break;
	case 4:
		hostile_write_some(h);
		break;
	case 5:
		f->vr.avail->idx = input_u16(&h->in);
		break;
	case 6:
		write_request(f);
		break;
	}
}

/* Takes a chain into an iov of n_iov_max entries, to the byte. */
static const char *take(struct fuzz *f, unsigned int n_iov_max)
{
	struct iovec *iov = malloc(n_iov_max * sizeof(*iov));
	struct chain c = {.iov = iov, .n_iov_max = n_iov_max};
	const char *fault;

	HOLDS(iov);
	fault = vring_split_take(&f->vr, &f->h.guest.mem, &c);
	if (!fault) {
		HOLDS(c.id < f->vr.size);
		fault = hostile_serve(&f->h, &c);
	}
	if (!fault)
		vring_split_put_used(&f->vr, c.id, 1);
	free(iov);
	return fault;
}

/* What the device does when it looks at the ring. */
static void device_turn(struct fuzz *f)
{
	int n_avail = vring_split_n_avail(&f->vr);
	const char *fault = n_avail < 0 ? "too far ahead" : NULL;
	uint8_t how = input_u8(&f->h.in);

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
		HOLDS(vring_split_map(&f->vr, &f->h.guest.mem, &f->h.addr) == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes)
{
	static struct fuzz f;

	f.n_steps = 0;
	hostile_init(&f.h, bytes, n_bytes, guest_step);
	if (read_ring(&f)) {
		vring_split_start(&f.vr, input_u8(&f.h.in) % 4 ? -1 : input_u16(&f.h.in));
		hostile_fill(&f.h);
		while (f.h.in.n_bytes > 0 && f.n_steps++ < STEPS_MAX) {
			guest_step(&f.h);
			if (input_u8(&f.h.in) % 2)
				device_turn(&f);
		}
	}
	guest_fini(&f.h.guest);
	return 0;
}
