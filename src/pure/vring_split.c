/* SPDX-License-Identifier: BSD-3-Clause */
#include "pure/vring_split.h"

#include <stddef.h>

/* How far ahead of us the driver's kick threshold is put, so that it doesn't kick; renewed each
 * time half of it is used up. */
#define KICK_FAR_AHEAD 0x8000

bool vring_split_size_ok(uint32_t size)
{
	return size >= 1 && size <= VRING_SIZE_MAX && (size & (size - 1)) == 0;
}

/* used_event is the last field of the available ring, avail_event of the used ring (2.7.6, 2.7.8);
 * they exist only with VIRTIO_F_EVENT_IDX. */
static uint16_t *used_event(const struct vring_split *vr)
{
	return &vr->avail->ring[vr->size];
}

static uint16_t *avail_event(const struct vring_split *vr)
{
	return (uint16_t *)(void *)&vr->used->ring[vr->size];
}

const char *vring_split_map(struct vring_split *vr, const struct guest_mem *mem,
			    const struct vring_addr *addr)
{
	uint64_t event_bytes = vr->event_idx ? sizeof(uint16_t) : 0;
	const void *desc;
	void *avail, *used;

	desc = guest_mem_from_uva(mem, addr->desc_uva, vr->size * sizeof(struct vring_desc));
	if (!desc)
		return "the descriptor table is outside of the guest's memory";
	avail = guest_mem_from_uva(mem, addr->avail_uva,
				   offsetof(struct vring_avail, ring) +
					   vr->size * sizeof(uint16_t) + event_bytes);
	if (!avail)
		return "the available ring is outside of the guest's memory";
	used = guest_mem_from_uva(mem, addr->used_uva,
				  offsetof(struct vring_used, ring) +
					  vr->size * sizeof(struct vring_used_elem) + event_bytes);
	if (!used)
		return "the used ring is outside of the guest's memory";
	if ((uintptr_t)desc % 16 || (uintptr_t)avail % 2 || (uintptr_t)used % 4)
		return "a ring address is misaligned";
	vr->desc = desc;
	vr->avail = avail;
	vr->used = used;
	return NULL;
}

void vring_split_refuse_kicks(struct vring_split *vr)
{
	if (vr->event_idx)
		__atomic_store_n(avail_event(vr), (uint16_t)(vr->last_avail_idx + KICK_FAR_AHEAD),
				 __ATOMIC_RELAXED);
	else
		__atomic_store_n(&vr->used->flags, VRING_USED_F_NO_NOTIFY, __ATOMIC_RELAXED);
}

bool vring_split_want_kicks(struct vring_split *vr)
{
	if (vr->event_idx)
		__atomic_store_n(avail_event(vr), vr->last_avail_idx, __ATOMIC_RELAXED);
	else
		__atomic_store_n(&vr->used->flags, 0, __ATOMIC_RELAXED);
	/* Our wish before the driver's index: else both sides could miss the other's move. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return vring_split_n_avail(vr) == 0;
}

void vring_split_start(struct vring_split *vr, int32_t base)
{
	vr->used_idx = __atomic_load_n(&vr->used->idx, __ATOMIC_RELAXED);
	vr->last_avail_idx = base < 0 ? vr->used_idx : (uint16_t)base;
	vr->signalled_idx = vr->used_idx;
	if (vr->event_idx)
		__atomic_store_n(&vr->used->flags, 0, __ATOMIC_RELAXED);
	vring_split_refuse_kicks(vr);
}

static inline uint16_t split_flags(struct guest_words d)
{
	return desc_at_12(d);
}

/* The table that an indirect descriptor refers to. 2.7.5.3.2: zero or more normal descriptors may
 * come before it. A table longer than the queue is against 2.7.5.3.1, yet harmless,
 * and QEMU and SPDK take it: rings of two entries work that way. */
static ALWAYS_INLINE const char *enter_table(struct vring_split *vr, const struct guest_mem *mem,
					     struct guest_words indirect, bool is_nested,
					     struct desc_table *ret)
{
	if (unlikely(is_nested))
		return "an indirect descriptor is nested";
	if (unlikely(split_flags(indirect) & VRING_DESC_F_NEXT))
		return "a descriptor is both indirect and continued";
	return desc_table_find(ret, mem, indirect, &vr->table_hint);
}

/* Follows a chain from descriptor `head` of the ring on. */
static ALWAYS_INLINE const char *walk(struct vring_split *vr, struct chain *c,
				      const struct guest_mem *mem, uint32_t head)
{
	struct desc_table table = {.host = (const uint8_t *)vr->desc, .n = vr->size};
	struct gather g = gather_begin(c, mem, vr->hint);
	uint32_t i = head, n = 0, n_max = vr->size;
	const char *fault = NULL;
	bool in_table = false;
	struct guest_words d;

	if (unlikely(head >= vr->size))
		fault = "an available entry is outside of the descriptor table";
	while (likely(!fault)) {
		if (unlikely(i >= table.n)) {
			fault = "a descriptor's next is outside of the table";
			break;
		}
		if (unlikely(n == n_max)) {
			fault = "a descriptor chain is longer than the queue or loops";
			break;
		}
		d = desc_table_read(&table, mem, i);
		n++;
		if (split_flags(d) & VRING_DESC_F_INDIRECT) {
			fault = enter_table(vr, mem, d, in_table, &table);
			in_table = true;
			i = 0;
			n_max = n + VRING_SIZE_MAX;
			continue;
		}
		fault = gather_add(&g, c, mem, d.first, desc_len(d),
				   split_flags(d) & VRING_DESC_F_WRITE, &vr->hint);
		if (!(split_flags(d) & VRING_DESC_F_NEXT))
			break;
		i = desc_at_14(d);
	}
	c->n_descs = (uint16_t)n;
	gather_end(&g, c);
	return fault;
}

const char *vring_split_take(struct vring_split *vr, const struct guest_mem *mem, struct chain *ret)
{
	uint16_t slot = vr->last_avail_idx & (vr->size - 1);
	uint16_t head = __atomic_load_n(&vr->avail->ring[slot], __ATOMIC_RELAXED);

	ret->id = head;
	ret->n_slots = 0;
	vr->last_avail_idx++;
	if (unlikely((vr->last_avail_idx & (KICK_FAR_AHEAD / 2 - 1)) == 0))
		vring_split_refuse_kicks(vr);
	return walk(vr, ret, mem, head);
}

bool vring_split_should_notify(struct vring_split *vr)
{
	uint16_t old = vr->signalled_idx, new = vr->used_idx;

	/* used->idx before the driver's wish: else both sides could miss the other's move. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	vr->signalled_idx = new;
	if (!vr->event_idx)
		return !(__atomic_load_n(&vr->avail->flags, __ATOMIC_RELAXED) &
			 VRING_AVAIL_F_NO_INTERRUPT);
	return vring_need_event(__atomic_load_n(used_event(vr), __ATOMIC_RELAXED), new, old);
}
