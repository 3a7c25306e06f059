/* SPDX-License-Identifier: BSD-3-Clause */
#include "pure/vring_packed.h"

#define EVENT_FLAGS_MASK 3u      /* 2.8.14; the other bits are reserved */
#define INDEX_MASK       0x7fffu /* of an event offset, and of the halves of SET_VRING_BASE */
#define WRAP_BIT         0x8000u

bool vring_packed_size_ok(uint32_t size)
{
	return size >= 1 && size <= VRING_SIZE_MAX;
}

const char *vring_packed_map(struct vring_packed *vr, const struct guest_mem *mem,
			     const struct vring_addr *addr)
{
	void *desc, *driver, *device;

	desc = guest_mem_from_uva(mem, addr->desc_uva, vr->size * sizeof(*vr->desc));
	if (!desc)
		return "the descriptor ring is outside of the guest's memory";
	driver = guest_mem_from_uva(mem, addr->avail_uva, sizeof(*vr->driver_event));
	if (!driver)
		return "the driver's event suppression is outside of the guest's memory";
	device = guest_mem_from_uva(mem, addr->used_uva, sizeof(*vr->device_event));
	if (!device)
		return "the device's event suppression is outside of the guest's memory";
	if ((uintptr_t)desc % 16 || (uintptr_t)driver % 4 || (uintptr_t)device % 4)
		return "a ring address is misaligned";
	vr->desc = desc;
	vr->driver_event = driver;
	vr->device_event = device;
	return NULL;
}

/* Both times around the ring in one number, 0 to 2 * size - 1: wrap counter 1 comes first. */
static uint32_t position(const struct vring_packed *vr, uint16_t idx, bool wrap)
{
	return wrap ? idx : (uint32_t)idx + vr->size;
}

/* How many descriptors lie from one position to another, counting upwards. */
static uint32_t distance(const struct vring_packed *vr, uint32_t from, uint32_t to)
{
	return to >= from ? to - from : to + 2u * vr->size - from;
}

const char *vring_packed_set_base(struct vring_packed *vr, int64_t base)
{
	uint32_t both = base < 0 ? VRING_PACKED_BASE_START : (uint32_t)base;
	uint16_t avail = (uint16_t)both, used = (uint16_t)(both >> 16);
	uint32_t n_taken;

	if (used == 0)
		used = avail;
	vr->avail_idx = avail & INDEX_MASK;
	vr->avail_wrap = avail & WRAP_BIT;
	vr->used_idx = used & INDEX_MASK;
	vr->used_wrap = used & WRAP_BIT;
	vr->n_taken = 0;
	if (vr->avail_idx >= vr->size || vr->used_idx >= vr->size)
		return "an index of SET_VRING_BASE is outside of the ring";
	n_taken = distance(vr, position(vr, vr->used_idx, vr->used_wrap),
			   position(vr, vr->avail_idx, vr->avail_wrap));
	if (n_taken > vr->size)
		return "the indices of SET_VRING_BASE are more than the ring apart";
	vr->n_taken = (uint16_t)n_taken;
	return NULL;
}

uint32_t vring_packed_base(const struct vring_packed *vr)
{
	uint32_t avail = vr->avail_idx | (vr->avail_wrap ? WRAP_BIT : 0);
	uint32_t used = vr->used_idx | (vr->used_wrap ? WRAP_BIT : 0);

	return avail | used << 16;
}

void vring_packed_refuse_kicks(struct vring_packed *vr)
{
	__atomic_store_n(&vr->device_event->flags, VRING_PACKED_EVENT_FLAG_DISABLE,
			 __ATOMIC_RELAXED);
}

bool vring_packed_want_kicks(struct vring_packed *vr)
{
	uint16_t where = vr->avail_idx | (vr->avail_wrap ? WRAP_BIT : 0);

	__atomic_store_n(&vr->device_event->off_wrap, where, __ATOMIC_RELAXED);
	__atomic_store_n(&vr->device_event->flags,
			 vr->event_idx ? VRING_PACKED_EVENT_FLAG_DESC
				       : VRING_PACKED_EVENT_FLAG_ENABLE,
			 __ATOMIC_RELEASE);
	/* Our wish before the driver's descriptor: else both sides could miss the other's move. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return vring_packed_n_avail(vr) == 0;
}

void vring_packed_start(struct vring_packed *vr)
{
	vr->unpublished = false;
	vr->signalled_pos = (uint16_t)position(vr, vr->used_idx, vr->used_wrap);
	vring_packed_refuse_kicks(vr);
}

static inline uint16_t packed_flags(struct guest_words d)
{
	return desc_at_14(d);
}

/* 2.8.7: of the flags in a table only WRITE counts, and all its entries are the chain. */
static ALWAYS_INLINE const char *walk_table(struct vring_packed *vr, struct chain *c,
					    struct gather *g, const struct guest_mem *mem,
					    struct guest_words indirect)
{
	struct desc_table table;
	uint32_t i = 0;
	const char *fault = desc_table_find(&table, mem, indirect, &vr->table_hint);

	if (unlikely(fault))
		return fault;
	if (unlikely(table.n > VRING_SIZE_MAX))
		return "an indirect table is longer than a queue can be";
	do {
		struct guest_words d = desc_table_read(&table, mem, i);

		fault = gather_add(g, c, mem, d.first, desc_len(d),
				   packed_flags(d) & VRING_DESC_F_WRITE, &vr->hint);
	} while (++i < table.n && likely(!fault));
	c->n_descs = (uint16_t)(c->n_descs + i);
	return fault;
}

/* The ring's place moves by n <= size descriptors. */
static void advance(struct vring_packed *vr, uint16_t n)
{
	vr->n_taken = (uint16_t)(vr->n_taken + n);
	vr->avail_idx = (uint16_t)(vr->avail_idx + n);
	if (vr->avail_idx >= vr->size) {
		vr->avail_idx = (uint16_t)(vr->avail_idx - vr->size);
		vr->avail_wrap = !vr->avail_wrap;
	}
}

/* Follows a chain through the ring from its first available descriptor on. The last one is left in
 * *ret_last. */
static ALWAYS_INLINE const char *walk(struct vring_packed *vr, struct chain *c, struct gather *g,
				      const struct guest_mem *mem, struct guest_words *ret_last)
{
	const struct desc_table ring = {.host = (const uint8_t *)vr->desc, .n = vr->size};
	uint16_t want = vr->avail_wrap ? VRING_PACKED_AVAIL : VRING_PACKED_USED;
	uint32_t n = 0, n_max = (uint32_t)vr->size - vr->n_taken, at = vr->avail_idx;
	struct guest_words d = {0, 0};
	const char *fault = NULL;

	do {
		if (unlikely(n == n_max)) {
			fault = "more descriptors are available than the queue has";
			break;
		}
		d = desc_table_read(&ring, mem, at);
		if (unlikely((packed_flags(d) & (VRING_PACKED_AVAIL | VRING_PACKED_USED)) !=
			     want)) {
			fault = "a descriptor chain goes on with one that isn't available";
			break;
		}
		n++;
		if (packed_flags(d) & VRING_DESC_F_INDIRECT)
			break;
		fault = gather_add(g, c, mem, d.first, desc_len(d),
				   packed_flags(d) & VRING_DESC_F_WRITE, &vr->hint);
		if (unlikely(++at == ring.n)) {
			at = 0;
			want ^= VRING_PACKED_AVAIL | VRING_PACKED_USED;
		}
	} while (likely(!fault) && (packed_flags(d) & VRING_DESC_F_NEXT));
	*ret_last = d;
	c->n_slots = c->n_descs = (uint16_t)n;
	advance(vr, (uint16_t)n);
	return fault;
}

const char *vring_packed_take(struct vring_packed *vr, const struct guest_mem *mem,
			      struct chain *ret)
{
	struct gather g = gather_begin(ret, mem, vr->hint);
	struct guest_words last;
	const char *fault = walk(vr, ret, &g, mem, &last);

	ret->id = desc_at_12(last); /* 2.8.6: of a list, the last descriptor's */
	if (likely(!fault) && (packed_flags(last) & VRING_DESC_F_INDIRECT)) {
		if (unlikely(ret->n_slots > 1 || (packed_flags(last) & VRING_DESC_F_NEXT)))
			fault = "an indirect descriptor is part of a chain";
		else
			fault = walk_table(vr, ret, &g, mem, last);
	}
	gather_end(&g, ret);
	if (likely(!fault) && unlikely(ret->id >= vr->size))
		return "a buffer id is not below the queue's size";
	return fault;
}

void vring_packed_untake(struct vring_packed *vr, const struct chain *chain)
{
	if (vr->avail_idx < chain->n_slots) {
		vr->avail_idx = (uint16_t)(vr->avail_idx + vr->size);
		vr->avail_wrap = !vr->avail_wrap;
	}
	vr->avail_idx = (uint16_t)(vr->avail_idx - chain->n_slots);
	vr->n_taken = (uint16_t)(vr->n_taken - chain->n_slots);
}

bool vring_packed_should_notify(struct vring_packed *vr)
{
	uint32_t old = vr->signalled_pos, new = position(vr, vr->used_idx, vr->used_wrap);
	uint16_t flags, off_wrap;
	uint32_t event;

	/* The used flags before the driver's wish: else both could miss the other's move. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	vr->signalled_pos = (uint16_t) new;
	/* Acquire: the driver writes where before it writes that it wants to be told there. */
	flags = __atomic_load_n(&vr->driver_event->flags, __ATOMIC_ACQUIRE) & EVENT_FLAGS_MASK;
	if (flags != VRING_PACKED_EVENT_FLAG_DESC || !vr->event_idx)
		return flags != VRING_PACKED_EVENT_FLAG_DISABLE;
	off_wrap = __atomic_load_n(&vr->driver_event->off_wrap, __ATOMIC_RELAXED);
	event = position(vr, off_wrap & INDEX_MASK, off_wrap & WRAP_BIT);
	if (event >= 2u * vr->size)
		return true; /* there is no such descriptor: better one interrupt too many */
	/* Is it among [old, new)? */
	return distance(vr, old, event) < distance(vr, old, new);
}
