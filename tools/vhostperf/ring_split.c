/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Split ring (virtio 1.2, 2.7), little-endian. Slot n's chain begins at descriptor n, so that the
 * head in a used entry is the slot; the other descriptors of its chain follow behind all heads.
 * With indirect tables the heads are all there is.
 */
#include <errno.h>

#include "ring.h"

/* With EVENT_IDX no interrupt comes while used_event is half the index space behind; it is moved on
 * before the used index gets round to it. */
#define QUIET_BEHIND 0x8000u
#define QUIET_RENEW  0x2000u

static uint16_t *used_event(const struct ring *ring)
{
	return &ring->vfe->avail->ring[ring->split.mask + 1];
}

static const uint16_t *avail_event(const struct ring *ring)
{
	return (const uint16_t *)(const void *)&ring->vfe->used->ring[ring->split.mask + 1];
}

static unsigned int split_entries(unsigned int n_slots, bool indirect)
{
	unsigned int wanted = indirect ? n_slots : n_slots * RING_CHAIN, n = 1;

	while (n < wanted)
		n *= 2;
	return n;
}

/* The descriptor of a slot's data. */
static struct vring_desc *data_desc(const struct ring *ring, uint16_t slot)
{
	if (ring->indirect)
		return (struct vring_desc *)ring->slot[slot].table + 1;
	return &ring->vfe->desc[ring->n_slots + 2 * slot];
}

static void split_turn(struct ring *ring, uint16_t slot, bool device_writes)
{
	data_desc(ring, slot)->flags =
		(uint16_t)(VRING_DESC_F_NEXT | (device_writes ? VRING_DESC_F_WRITE : 0));
}

static void make_chain(struct ring *ring, uint16_t slot)
{
	const struct ring_slot *place = &ring->slot[slot];
	struct vring_desc *desc = ring->vfe->desc, *data = data_desc(ring, slot);
	struct vring_desc *head = ring->indirect ? place->table : &desc[slot];
	uint16_t second = (uint16_t)(ring->indirect ? 1 : ring->n_slots + 2 * slot);

	*head = (struct vring_desc){place->header_gpa, 16, VRING_DESC_F_NEXT, second};
	*data = (struct vring_desc){place->data_gpa, ring->data_bytes, 0, (uint16_t)(second + 1)};
	data[1] = (struct vring_desc){place->status_gpa, 1, VRING_DESC_F_WRITE, 0};
	split_turn(ring, slot, true);
	if (ring->indirect)
		desc[slot] = (struct vring_desc){place->table_gpa,
						 RING_CHAIN * sizeof(struct vring_desc),
						 VRING_DESC_F_INDIRECT, 0};
}

static void split_init(struct ring *ring)
{
	ring->split.mask = (uint16_t)(ring->vfe->opts.size - 1);
	for (uint16_t slot = 0; slot < ring->n_slots; slot++)
		make_chain(ring, slot);
}

static void split_put(struct ring *ring, const uint16_t *slot, unsigned int n)
{
	struct vring_avail *avail = ring->vfe->avail;
	uint16_t idx = ring->split.avail_idx;

	for (unsigned int i = 0; i < n; i++) {
		avail->ring[idx++ & ring->split.mask] = slot[i];
		ring->is_out[slot[i]] = true;
	}
	ring->split.avail_idx = idx;
	/* Partner: the device's acquire load of avail->idx. */
	__atomic_store_n(&avail->idx, idx, __ATOMIC_RELEASE);
}

static bool split_kick_wanted(struct ring *ring)
{
	uint16_t before = ring->split.kicked_idx, event;

	ring->split.kicked_idx = ring->split.avail_idx;
	/* Partner: the device's barrier between avail_event or used->flags and avail->idx. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!ring->event_idx)
		return !(__atomic_load_n(&ring->vfe->used->flags, __ATOMIC_RELAXED) &
			 VRING_USED_F_NO_NOTIFY);
	event = __atomic_load_n(avail_event(ring), __ATOMIC_RELAXED);
	return vring_need_event(event, ring->split.avail_idx, before);
}

static void put_interrupts_off(struct ring *ring)
{
	ring->split.quiet_idx = ring->split.used_idx;
	__atomic_store_n(used_event(ring), (uint16_t)(ring->split.used_idx - QUIET_BEHIND),
			 __ATOMIC_RELAXED);
}

static int split_take(struct ring *ring, uint16_t *ret_slot, unsigned int max)
{
	/* Partner: the device's release of used->idx. */
	uint16_t idx = __atomic_load_n(&ring->vfe->used->idx, __ATOMIC_ACQUIRE);
	unsigned int n = (uint16_t)(idx - ring->split.used_idx);

	n = n < max ? n : max;
	for (unsigned int i = 0; i < n; i++) {
		uint32_t slot = ring->vfe->used->ring[ring->split.used_idx & ring->split.mask].id;

		if (slot >= ring->n_slots || !ring->is_out[slot])
			return -EPROTO;
		ring->is_out[slot] = false;
		ret_slot[i] = (uint16_t)slot;
		ring->split.used_idx++;
	}
	if (ring->event_idx && !ring->wants_interrupts &&
	    (uint16_t)(ring->split.used_idx - ring->split.quiet_idx) > QUIET_RENEW)
		put_interrupts_off(ring);
	return (int)n;
}

static bool split_has_used(const struct ring *ring)
{
	return __atomic_load_n(&ring->vfe->used->idx, __ATOMIC_ACQUIRE) != ring->split.used_idx;
}

static void split_interrupts(struct ring *ring, bool on)
{
	ring->wants_interrupts = on;
	if (!ring->event_idx)
		__atomic_store_n(&ring->vfe->avail->flags, on ? 0 : VRING_AVAIL_F_NO_INTERRUPT,
				 __ATOMIC_RELAXED);
	else if (on)
		__atomic_store_n(used_event(ring), ring->split.used_idx, __ATOMIC_RELAXED);
	else
		put_interrupts_off(ring);
	/* Partner: the device's barrier between used->idx and used_event or avail->flags. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

const struct ring_ops ring_split_ops = {
	.name = "split",
	.entries = split_entries,
	.init = split_init,
	.turn = split_turn,
	.put = split_put,
	.kick_wanted = split_kick_wanted,
	.take = split_take,
	.has_used = split_has_used,
	.interrupts = split_interrupts,
};
