/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A hostile guest and a packed ring: the input is its memory with the ring in it, and what it does
 * to them between, and in the middle of, the device's steps. Requests end in any order.
 *
 * Input: the regions, the ring, the first bytes of each region, then steps until the end.
 */
#include <string.h>

#include "hostile_guest.h"
#include "pure/vring_packed.h"

/* A chain that was taken and is in flight. */
struct flight {
	uint16_t id, n_slots;
};

struct fuzz {
	struct hostile h;
	struct vring_packed vr;
	struct flight flights[VRING_SIZE_MAX];
	unsigned int n_flights;
	uint16_t next; /* where a driver that keeps to the rules would go on */
	bool wrap;
	unsigned int n_steps;
};

static bool read_ring(struct fuzz *f)
{
	uint8_t flags = input_u8(&f->h.in);

	f->vr = (struct vring_packed){.size = 1 + input_u8(&f->h.in) % 130, .event_idx = flags & 8};
	HOLDS(vring_packed_size_ok(f->vr.size));
	hostile_read_addr(&f->h, flags & 0x80);
	return vring_packed_map(&f->vr, &f->h.guest.mem, &f->h.addr) == NULL;
}

/* At the driver's place in the ring; the caller says which flags but AVAIL and USED. */
static void write_next(struct fuzz *f, uint64_t addr, uint32_t len, uint16_t flags, uint16_t id)
{
	uint64_t ring = f->h.addr.desc_uva - GUEST_UVA_OFFSET;

	flags |= f->wrap ? VRING_PACKED_AVAIL : VRING_PACKED_USED;
	hostile_write_desc(&f->h, ring + 16u * f->next, addr, len, id, flags);
	if (++f->next >= f->vr.size) {
		f->next = 0;
		f->wrap = !f->wrap;
	}
}

/* A buffer or a table, as an available descriptor of the ring or anywhere. */
static void write_desc(struct fuzz *f)
{
	struct input *in = &f->h.in;
	uint8_t how = input_u8(in);
	uint64_t table = hostile_gpa(&f->h) & ~15ull, addr = hostile_gpa(&f->h);
	uint32_t i = input_below(in, 16), len = input_u16(in);
	uint16_t flags = input_u8(in) % 8, id = input_u8(in) % 140;

	if (how % 4)
		write_next(f, addr, len, flags, id);
	else
		hostile_write_desc(&f->h, table + 16 * i, addr, len, id, flags);
}

/* A whole request, so that all of them are met: header, small buffers, status; as a list, or as a
 * table somewhere. */
static void write_request(struct fuzz *f)
{
	struct wish wish = hostile_wish(&f->h);
	uint64_t table = hostile_gpa(&f->h) & ~15ull;
	uint64_t data = hostile_gpa(&f->h), status = hostile_gpa(&f->h);
	bool direct = input_u8(&f->h.in) % 2;
	uint16_t id = input_u8(&f->h.in);

	for (uint32_t i = 0; i < wish.n + 2; i++) {
		bool last = i == wish.n + 1, writable = last || (wish.fills && i > 0);
		uint64_t addr = i == 0 ? wish.header_gpa : last ? status : data;
		uint32_t n_bytes = i == 0 ? 16 : last ? 1 : wish.n_bytes;
		uint16_t flags = writable ? VRING_DESC_F_WRITE : 0;

		if (direct)
			write_next(f, addr, n_bytes, last ? flags : flags | VRING_DESC_F_NEXT, id);
		else
			hostile_write_desc(&f->h, table + 16 * i, addr, n_bytes, 0, flags);
	}
	if (!direct)
		write_next(f, table, 16 * (wish.n + 2), VRING_DESC_F_INDIRECT, id);
}

/* What the guest does. */
static void guest_step(struct hostile *h)
{
	struct fuzz *f = (struct fuzz *)h;
	uint8_t event[4];

	switch (input_u8(&h->in) % 6) {
	case 0:
	case 1:
		write_desc(f);
		break;
	case 2:
	case 3:
		write_request(f);
		break;
	case 4:
		hostile_write_some(h);
		break;
	case 5:
		for (int i = 0; i < 4; i++)
			event[i] = input_u8(&h->in);
		hostile_write(h, h->addr.avail_uva - GUEST_UVA_OFFSET, event, sizeof(event));
		break;
	}
}

/* What holds of the indices, whatever the guest has done. */
static void check_state(const struct fuzz *f)
{
	const struct vring_packed *vr = &f->vr;
	uint32_t used = vr->used_idx + (vr->used_wrap ? 0u : vr->size);
	uint32_t avail = vr->avail_idx + (vr->avail_wrap ? 0u : vr->size), n_slots = 0;

	for (unsigned int i = 0; i < f->n_flights; i++)
		n_slots += f->flights[i].n_slots;
	HOLDS(vr->used_idx < vr->size && vr->avail_idx < vr->size);
	HOLDS(vr->n_taken == n_slots && n_slots <= vr->size);
	HOLDS((used + n_slots) % (2u * vr->size) == avail);
}

/* Takes a chain into an iov of n_iov_max entries, to the byte. */
static const char *take(struct fuzz *f, unsigned int n_iov_max, bool back)
{
	struct iovec *iov = malloc(n_iov_max * sizeof(*iov));
	struct chain c = {.iov = iov, .n_iov_max = n_iov_max};
	const char *fault;

	HOLDS(iov);
	fault = vring_packed_take(&f->vr, &f->h.guest.mem, &c);
	if (!fault) {
		HOLDS(c.id < f->vr.size && c.n_slots >= 1 && c.n_slots <= f->vr.size);
		fault = hostile_serve(&f->h, &c);
	}
	if (fault || back)
		vring_packed_untake(&f->vr, &c);
	else
		f->flights[f->n_flights++] = (struct flight){c.id, c.n_slots};
	check_state(f);
	free(iov);
	return fault;
}

/* Ends some requests, in any order. */
static void land(struct fuzz *f, unsigned int n)
{
	while (n-- > 0 && f->n_flights > 0) {
		unsigned int i = input_u8(&f->h.in) % f->n_flights;
		struct flight flight = f->flights[i];

		f->flights[i] = f->flights[--f->n_flights];
		vring_packed_put_used(&f->vr, flight.id, flight.n_slots, 1);
		check_state(f);
	}
	vring_packed_publish(&f->vr);
	vring_packed_should_notify(&f->vr);
}

static void start(struct fuzz *f, int64_t base)
{
	if (vring_packed_set_base(&f->vr, base))
		HOLDS(vring_packed_set_base(&f->vr, -1) == NULL);
	f->n_flights = 0;
	if (f->vr.n_taken) /* lost requests: they stand for one that never ends */
		f->flights[f->n_flights++] = (struct flight){0, f->vr.n_taken};
	vring_packed_start(&f->vr);
	f->next = f->vr.avail_idx;
	f->wrap = f->vr.avail_wrap;
	check_state(f);
}

/* What the device does when it looks at the ring. */
static void device_turn(struct fuzz *f)
{
	uint8_t how = input_u8(&f->h.in);
	const char *fault = NULL;

	for (unsigned int n = 0; n < 32 && !fault && vring_packed_n_avail(&f->vr); n++) {
		/* A request's parser needs 16 pieces: for a header in single bytes. */
		fault = take(f, how % 2 ? CHAIN_IOV_MAX : 16 + how / 8, how % 8 == 2);
		if (how % 8 == 2)
			break;
	}
	land(f, how / 8);
	if (fault)
		start(f, how & 64 ? -1 : (int64_t)input_u32(&f->h.in));
	if (how % 8 == 4)
		HOLDS(vring_packed_map(&f->vr, &f->h.guest.mem, &f->h.addr) == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes)
{
	static struct fuzz f;

	f.n_steps = 0;
	hostile_init(&f.h, bytes, n_bytes, guest_step);
	if (read_ring(&f)) {
		start(&f, input_u8(&f.h.in) % 4 ? -1 : (int64_t)input_u32(&f.h.in));
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
