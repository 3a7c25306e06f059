/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Driver side of a packed virtqueue.
 *
 * Ordering (virtio 1.2, 2.8.13.1 and 2.8.14): the flags of the first descriptor of all that is
 * published are stored last, with release; a full barrier stands between that store and the load of
 * the device's event suppression, and between the store of the driver's and the second look at the
 * next used descriptor. A used descriptor's flags are loaded with acquire, before the rest of it.
 */
#include "vfe_ring_packed.h"

#include <errno.h>
#include <string.h>

static uint32_t position(const struct vfe_ring *ring, struct vfe_pos pos)
{
	return pos.wrap ? pos.idx : (uint32_t)pos.idx + ring->opts.size;
}

/* Descriptors from one place to the other, going round both times. */
static uint32_t distance(const struct vfe_ring *ring, struct vfe_pos from, struct vfe_pos to)
{
	uint32_t a = position(ring, from), b = position(ring, to);

	return b >= a ? b - a : b + 2u * ring->opts.size - a;
}

static struct vfe_pos moved(const struct vfe_ring *ring, struct vfe_pos pos, uint32_t n)
{
	uint32_t at = (position(ring, pos) + n) % (2u * ring->opts.size);

	if (at < ring->opts.size)
		return (struct vfe_pos){(uint16_t)at, true};
	return (struct vfe_pos){(uint16_t)(at - ring->opts.size), false};
}

static uint32_t wire(struct vfe_pos pos)
{
	return pos.idx | (pos.wrap ? 1u << VRING_PACKED_EVENT_F_WRAP_CTR : 0);
}

int vfe_packed_alloc(struct vfe_ring *ring)
{
	uint64_t size = ring->opts.size, n_tables = ring->opts.n_indirect ? size : 0;
	unsigned int region = ring->opts.region;

	/* Alignments are those of 2.8.10.1: 16, 4 and 4, and no more than that. */
	ring->desc_gpa = vfe_mem_alloc_in(ring->mem, region, 16 * (size + 1), 16);
	ring->avail_gpa = vfe_mem_alloc_in(ring->mem, region, 4, 4);
	ring->used_gpa = vfe_mem_alloc_in(ring->mem, region, 4, 4);
	ring->indirect_gpa =
		vfe_mem_alloc_in(ring->mem, region, n_tables * ring->opts.n_indirect * 16, 16);
	if (ring->desc_gpa == VFE_NO_GPA || ring->avail_gpa == VFE_NO_GPA ||
	    ring->used_gpa == VFE_NO_GPA || ring->indirect_gpa == VFE_NO_GPA)
		return -ENOMEM;
	ring->packed.desc = vfe_mem_ptr(ring->mem, ring->desc_gpa, 16 * (size + 1));
	ring->packed.driver_event = vfe_mem_ptr(ring->mem, ring->avail_gpa, 4);
	ring->packed.device_event = vfe_mem_ptr(ring->mem, ring->used_gpa, 4);
	return 0;
}

void vfe_packed_reset(struct vfe_ring *ring, uint16_t base)
{
	struct vfe_packed *p = &ring->packed;
	struct vfe_pos start = {(uint16_t)(base % ring->opts.size), true};
	uint16_t i;

	memset(p->desc, 0, 16u * ring->opts.size);
	/* Descriptors before the start are of the turn before it, and have been used. */
	for (i = 0; i < start.idx; i++)
		p->desc[i].flags = VFE_PACKED_AVAIL | VFE_PACKED_USED;
	memset(p->driver_event, 0, sizeof(*p->driver_event));
	p->next = p->first = p->published = p->kicked = p->used = start;
	p->n_free_desc = ring->opts.size;
}

static void write_desc(struct vfe_ring *ring, uint64_t gpa, uint32_t n_bytes, uint16_t id,
		       uint16_t flags)
{
	struct vfe_packed *p = &ring->packed;
	struct vring_packed_desc *d = &p->desc[p->next.idx];

	flags |= p->next.wrap ? VFE_PACKED_AVAIL : VFE_PACKED_USED;
	d->addr = gpa;
	d->len = n_bytes;
	d->id = id;
	if (distance(ring, p->published, p->next) == 0) {
		p->first = p->next;
		p->first_flags = flags;
	} else {
		__atomic_store_n(&d->flags, flags, __ATOMIC_RELEASE);
	}
	p->next = moved(ring, p->next, 1);
	p->n_free_desc--;
}

static int enter(struct vfe_ring *ring, uint16_t id, uint16_t n_desc, void *token)
{
	ring->slot[id].token = token;
	ring->slot[id].n_desc = n_desc;
	ring->next_avail_idx++;
	return id;
}

static uint16_t seg_flags(const struct vfe_seg *seg)
{
	return seg->writable ? VRING_DESC_F_WRITE : 0;
}

int vfe_packed_add(struct vfe_ring *ring, const struct vfe_seg *seg, unsigned int n_segs,
		   void *token)
{
	unsigned int i;
	uint16_t id;

	if (n_segs == 0 || !token)
		return -EINVAL;
	if (n_segs > ring->packed.n_free_desc || ring->n_free == 0)
		return -ENOSPC;
	id = ring->free_desc[--ring->n_free];
	for (i = 0; i < n_segs; i++) {
		bool more = i + 1 < n_segs;
		uint16_t flags = seg_flags(&seg[i]) | (more ? VRING_DESC_F_NEXT : 0);

		/* Only the last one's id counts: the others have one that is in nobody's use. */
		write_desc(ring, seg[i].gpa, seg[i].n_bytes, more ? 0xffff : id, flags);
	}
	return enter(ring, id, (uint16_t)n_segs, token);
}

int vfe_packed_add_indirect(struct vfe_ring *ring, const struct vfe_seg *seg, unsigned int n_segs,
			    void *token)
{
	struct vring_packed_desc *table;
	uint64_t table_gpa;
	unsigned int i;
	uint16_t id;

	if (n_segs == 0 || !token)
		return -EINVAL;
	if (n_segs > ring->opts.n_indirect || ring->packed.n_free_desc == 0 || ring->n_free == 0)
		return -ENOSPC;
	id = ring->free_desc[--ring->n_free];
	table_gpa = ring->indirect_gpa + (uint64_t)id * ring->opts.n_indirect * sizeof(*table);
	table = vfe_mem_ptr(ring->mem, table_gpa, n_segs * sizeof(*table));
	for (i = 0; i < n_segs; i++)
		table[i] = (struct vring_packed_desc){
			.addr = seg[i].gpa,
			.len = seg[i].n_bytes,
			.id = (uint16_t)i, /* reserved: the device ignores it */
			.flags = seg_flags(&seg[i]),
		};
	write_desc(ring, table_gpa, n_segs * (uint32_t)sizeof(*table), id, VRING_DESC_F_INDIRECT);
	return enter(ring, id, 1, token);
}

void vfe_packed_publish(struct vfe_ring *ring)
{
	struct vfe_packed *p = &ring->packed;

	/* Partner: the device's acquire load of the flags. */
	__atomic_store_n(&p->desc[p->first.idx].flags, p->first_flags, __ATOMIC_RELEASE);
	p->published = p->next;
}

bool vfe_packed_kick_wanted(struct vfe_ring *ring)
{
	struct vfe_packed *p = &ring->packed;
	struct vfe_pos kicked = p->kicked, event;
	uint16_t flags, off_wrap;

	p->kicked = p->published;
	flags = __atomic_load_n(&p->device_event->flags, __ATOMIC_ACQUIRE) & 3;
	if (flags != VRING_PACKED_EVENT_FLAG_DESC || !ring->opts.event_idx)
		return flags != VRING_PACKED_EVENT_FLAG_DISABLE;
	off_wrap = __atomic_load_n(&p->device_event->off_wrap, __ATOMIC_RELAXED);
	event = (struct vfe_pos){off_wrap & 0x7fff, off_wrap >> VRING_PACKED_EVENT_F_WRAP_CTR};
	return distance(ring, kicked, event) < distance(ring, kicked, p->published);
}

/* Is the descriptor at `pos` one that the device has used this time around? */
static bool is_used(const struct vfe_ring *ring, struct vfe_pos pos)
{
	uint16_t flags = __atomic_load_n(&ring->packed.desc[pos.idx].flags, __ATOMIC_ACQUIRE);
	bool avail = flags & VFE_PACKED_AVAIL, used = flags & VFE_PACKED_USED;

	return avail == used && used == pos.wrap;
}

int vfe_packed_poll(struct vfe_ring *ring, struct vfe_used *ret_used)
{
	struct vfe_packed *p = &ring->packed;
	struct vring_packed_desc d;

	if (ring->published_idx == ring->used_idx || !is_used(ring, p->used))
		return 0;
	d = p->desc[p->used.idx];
	if (d.id >= ring->opts.size || !ring->slot[d.id].token)
		return -EPROTO;
	ret_used->token = ring->slot[d.id].token;
	ret_used->head = d.id;
	ret_used->n_bytes = d.flags & VRING_DESC_F_WRITE ? d.len : 0;
	p->used = moved(ring, p->used, ring->slot[d.id].n_desc);
	p->n_free_desc = (uint16_t)(p->n_free_desc + ring->slot[d.id].n_desc);
	ring->slot[d.id].token = NULL;
	ring->free_desc[ring->n_free++] = d.id;
	return 1;
}

/* The used descriptors that wait; *ret_pos is where they end. An id that makes no sense ends them:
 * vfe_packed_poll() will say so. */
static uint16_t look_ahead(const struct vfe_ring *ring, struct vfe_pos *ret_pos)
{
	struct vfe_pos pos = ring->packed.used;
	uint16_t n = 0;

	while (n < vfe_ring_in_flight(ring) && is_used(ring, pos)) {
		uint16_t id = ring->packed.desc[pos.idx].id;

		n++;
		if (id >= ring->opts.size)
			break;
		pos = moved(ring, pos, ring->slot[id].n_desc);
	}
	*ret_pos = pos;
	return n;
}

uint16_t vfe_packed_n_pending(const struct vfe_ring *ring)
{
	struct vfe_pos pos;

	return look_ahead(ring, &pos);
}

uint32_t vfe_packed_expected_base(const struct vfe_ring *ring)
{
	struct vfe_pos pos;

	look_ahead(ring, &pos);
	return wire(pos) | wire(pos) << 16;
}

bool vfe_packed_base_ok(const struct vfe_ring *ring, uint32_t base)
{
	struct vfe_pos avail = {base & 0x7fff, base >> 15 & 1}, used;

	look_ahead(ring, &used);
	return base >> 16 == wire(used) && avail.idx < ring->opts.size &&
	       distance(ring, used, avail) <= distance(ring, used, ring->packed.published);
}

void vfe_packed_interrupts(struct vfe_ring *ring, bool on)
{
	struct vring_packed_desc_event *e = ring->packed.driver_event;
	uint16_t flags = VRING_PACKED_EVENT_FLAG_DISABLE;

	if (on && ring->opts.event_idx) {
		__atomic_store_n(&e->off_wrap, (uint16_t)wire(ring->packed.used), __ATOMIC_RELAXED);
		flags = VRING_PACKED_EVENT_FLAG_DESC;
	} else if (on) {
		flags = VRING_PACKED_EVENT_FLAG_ENABLE;
	}
	__atomic_store_n(&e->flags, flags, __ATOMIC_RELEASE);
}

void vfe_packed_interrupt_at(struct vfe_ring *ring, uint16_t n_ahead)
{
	struct vring_packed_desc_event *e = ring->packed.driver_event;
	struct vfe_pos pos = moved(ring, ring->packed.used, n_ahead);

	__atomic_store_n(&e->off_wrap, (uint16_t)wire(pos), __ATOMIC_RELAXED);
	__atomic_store_n(&e->flags, VRING_PACKED_EVENT_FLAG_DESC, __ATOMIC_SEQ_CST);
}
