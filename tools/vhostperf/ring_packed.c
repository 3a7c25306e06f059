/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Packed ring (virtio 1.2, 2.8), little-endian. A slot's number is its buffer id. Its descriptors
 * stand in its table, whether the device is shown the table or a copy of them in the ring.
 */
#include <errno.h>

#include "ring.h"

#define AVAIL (1u << VRING_PACKED_DESC_F_AVAIL)
#define USED  (1u << VRING_PACKED_DESC_F_USED)

static unsigned int packed_entries(unsigned int n_slots, bool indirect)
{
	return indirect ? n_slots : n_slots * RING_CHAIN;
}

static struct vring_packed_desc *table_of(const struct ring *ring, uint16_t slot)
{
	return ring->slot[slot].table;
}

static void packed_turn(struct ring *ring, uint16_t slot, bool device_writes)
{
	uint16_t next = ring->indirect ? 0 : VRING_DESC_F_NEXT;

	table_of(ring, slot)[1].flags = (uint16_t)(next | (device_writes ? VRING_DESC_F_WRITE : 0));
}

static void packed_init(struct ring *ring)
{
	uint16_t next = ring->indirect ? 0 : VRING_DESC_F_NEXT; /* 2.8.7: only in the ring */

	ring->packed.size = ring->vfe->opts.size;
	ring->packed.n_descs = ring->indirect ? 1 : RING_CHAIN;
	for (uint16_t slot = 0; slot < ring->n_slots; slot++) {
		const struct ring_slot *place = &ring->slot[slot];
		struct vring_packed_desc *desc = table_of(ring, slot);

		desc[0] = (struct vring_packed_desc){place->header_gpa, 16, slot, next};
		desc[1] = (struct vring_packed_desc){place->data_gpa, ring->data_bytes, slot, 0};
		desc[2] =
			(struct vring_packed_desc){place->status_gpa, 1, slot, VRING_DESC_F_WRITE};
		packed_turn(ring, slot, true);
	}
}

static uint16_t moved(const struct ring *ring, uint16_t pos, uint16_t n)
{
	uint32_t to = (uint32_t)pos + n, round = 2u * ring->packed.size;

	return (uint16_t)(to < round ? to : to - round);
}

static bool wrap_of(const struct ring *ring, uint16_t pos)
{
	return pos < ring->packed.size;
}

static struct vring_packed_desc *desc_at(const struct ring *ring, uint16_t pos)
{
	return &ring->vfe->packed.desc[wrap_of(ring, pos) ? pos : pos - ring->packed.size];
}

/* As event suppression has it. */
static uint16_t off_wrap_of(const struct ring *ring, uint16_t pos)
{
	if (wrap_of(ring, pos))
		return (uint16_t)(pos | 1u << VRING_PACKED_EVENT_F_WRAP_CTR);
	return (uint16_t)(pos - ring->packed.size);
}

/* Writes a slot's next descriptor but for its flags, which are returned. */
static inline uint16_t write_desc(struct ring *ring, uint16_t slot, uint16_t i,
				  struct vring_packed_desc *ret)
{
	const struct vring_packed_desc *from = &table_of(ring, slot)[i];

	ret->id = slot;
	if (ring->indirect) {
		ret->addr = ring->slot[slot].table_gpa;
		ret->len = RING_CHAIN * sizeof(*from);
		return VRING_DESC_F_INDIRECT;
	}
	ret->addr = from->addr;
	ret->len = from->len;
	return from->flags;
}

static void packed_put(struct ring *ring, const uint16_t *slot, unsigned int n)
{
	struct vring_packed_desc *first = desc_at(ring, ring->packed.avail_pos);
	unsigned int n_all = n * ring->packed.n_descs;
	uint16_t first_flags = 0, flags, i = 0;

	for (unsigned int k = 0; k < n_all; k++) {
		uint16_t pos = ring->packed.avail_pos;
		struct vring_packed_desc *desc = desc_at(ring, pos);

		flags = write_desc(ring, *slot, i, desc);
		flags |= wrap_of(ring, pos) ? AVAIL : USED;
		if (k == 0)
			first_flags = flags;
		else
			__atomic_store_n(&desc->flags, flags, __ATOMIC_RELEASE);
		ring->packed.avail_pos = moved(ring, pos, 1);
		if (++i == ring->packed.n_descs) {
			i = 0;
			ring->is_out[*slot++] = true;
		}
	}
	ring->packed.n_put = (uint16_t)(ring->packed.n_put + n_all);
	/* Partner: the device's acquire load of the flags. */
	__atomic_store_n(&first->flags, first_flags, __ATOMIC_RELEASE);
}

static bool packed_kick_wanted(struct ring *ring)
{
	const struct vring_packed_desc_event *event = ring->vfe->packed.device_event;
	uint16_t n_put = ring->packed.n_put, flags, off_wrap;
	uint32_t pos, ahead, size = ring->packed.size;

	ring->packed.n_put = 0;
	/* Partner: the device's barrier between its event suppression and the flags. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	flags = __atomic_load_n(&event->flags, __ATOMIC_ACQUIRE) & 3;
	if (flags != VRING_PACKED_EVENT_FLAG_DESC || !ring->event_idx)
		return flags != VRING_PACKED_EVENT_FLAG_DISABLE;
	off_wrap = __atomic_load_n(&event->off_wrap, __ATOMIC_RELAXED);
	pos = off_wrap & 0x7fff;
	if (!(off_wrap >> VRING_PACKED_EVENT_F_WRAP_CTR))
		pos += size;
	/* How far behind avail_pos it is: up to n_put, it was among what was put. */
	ahead = (ring->packed.avail_pos + 2 * size - pos) % (2 * size);
	return ahead > 0 && ahead <= n_put;
}

static bool packed_has_used(const struct ring *ring)
{
	uint16_t pos = ring->packed.used_pos;
	/* Partner: the device's release of the flags. */
	uint16_t flags = __atomic_load_n(&desc_at(ring, pos)->flags, __ATOMIC_ACQUIRE);

	return (flags & (AVAIL | USED)) == (wrap_of(ring, pos) ? AVAIL | USED : 0);
}

static int packed_take(struct ring *ring, uint16_t *ret_slot, unsigned int max)
{
	unsigned int n = 0;

	while (n < max && packed_has_used(ring)) {
		uint16_t slot = desc_at(ring, ring->packed.used_pos)->id;

		if (slot >= ring->n_slots || !ring->is_out[slot])
			return -EPROTO;
		ring->is_out[slot] = false;
		ret_slot[n++] = slot;
		ring->packed.used_pos = moved(ring, ring->packed.used_pos, ring->packed.n_descs);
	}
	return (int)n;
}

static void packed_interrupts(struct ring *ring, bool on)
{
	struct vring_packed_desc_event *event = ring->vfe->packed.driver_event;
	uint16_t flags = VRING_PACKED_EVENT_FLAG_DISABLE;

	if (on && ring->event_idx) {
		__atomic_store_n(&event->off_wrap, off_wrap_of(ring, ring->packed.used_pos),
				 __ATOMIC_RELAXED);
		flags = VRING_PACKED_EVENT_FLAG_DESC;
	} else if (on) {
		flags = VRING_PACKED_EVENT_FLAG_ENABLE;
	}
	__atomic_store_n(&event->flags, flags, __ATOMIC_RELEASE);
	/* Partner: the device's barrier between the used flags and our event suppression. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

const struct ring_ops ring_packed_ops = {
	.name = "packed",
	.entries = packed_entries,
	.init = packed_init,
	.turn = packed_turn,
	.put = packed_put,
	.kick_wanted = packed_kick_wanted,
	.take = packed_take,
	.has_used = packed_has_used,
	.interrupts = packed_interrupts,
};
