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

static inline uint16_t split_flags(struct desc_words d)
{
	return desc_at_12(d);
}

/* Follows a chain through one table from entry i on; it may have up to n_max descriptors. One that
 * is indirect ends the walk and is left in *ret_indirect. */
static const char *walk(struct vring_split *vr, struct chain *c, const struct guest_mem *mem,
			const struct desc_table *table, uint32_t i, uint32_t n_max,
			struct desc_words *ret_indirect)
{
	struct gather g = gather_begin(c, mem, vr->hint);
	const char *fault = NULL;
	struct desc_words d;
	uint32_t n = 0;

	do {
		if (unlikely(i >= table->n))
			fault = "a descriptor's next is outside of the table";
		else if (unlikely(n++ == n_max))
			fault = "a descriptor chain is longer than the queue or loops";
		else if (unlikely(!desc_table_read(table, mem, i, &d)))
			fault = "an indirect table is outside of the guest's memory";
		if (unlikely(fault))
			break;
		if (split_flags(d) & VRING_DESC_F_INDIRECT) {
			*ret_indirect = d;
			break;
		}
		fault = gather_add(&g, c, mem, d.addr, desc_len(d),
				   split_flags(d) & VRING_DESC_F_WRITE);
		i = desc_at_14(d);
	} while (likely(!fault) && (split_flags(d) & VRING_DESC_F_NEXT));
	c->n_descs = (uint16_t)(c->n_descs + n);
	gather_end(&g, c, mem, &vr->hint);
	return fault;
}

/* 2.7.5.3.2: zero or more normal descriptors may come before the one that is indirect. */
static const char *walk_indirect(struct vring_split *vr, struct chain *c,
				 const struct guest_mem *mem, struct desc_words indirect)
{
	struct desc_words nested = {0, 0};
	struct desc_table table;
	const char *fault;

	if (split_flags(indirect) & VRING_DESC_F_NEXT)
		return "a descriptor is both indirect and continued";
	fault = desc_table_find(&table, mem, indirect.addr, desc_len(indirect), &vr->table_hint);
	/* A table longer than the queue is against 2.7.5.3.1, yet harmless, and QEMU and SPDK take
	 * it: rings of two entries work that way. */
	if (!fault)
		fault = walk(vr, c, mem, &table, 0, VRING_SIZE_MAX, &nested);
	if (!fault && split_flags(nested))
		return "an indirect descriptor is nested";
	return fault;
}

const char *vring_split_take(struct vring_split *vr, const struct guest_mem *mem, struct chain *ret)
{
	const struct desc_table table = {.host = (const uint8_t *)vr->desc, .n = vr->size};
	uint16_t slot = vr->last_avail_idx & (vr->size - 1);
	uint16_t head = __atomic_load_n(&vr->avail->ring[slot], __ATOMIC_RELAXED);
	struct desc_words indirect = {0, 0};
	const char *fault;

	*ret = (struct chain){.id = head, .iov = ret->iov, .n_iov_max = ret->n_iov_max};
	vr->last_avail_idx++;
	if (unlikely(head >= vr->size))
		return "an available entry is outside of the descriptor table";
	if (unlikely((vr->last_avail_idx & (KICK_FAR_AHEAD / 2 - 1)) == 0))
		vring_split_refuse_kicks(vr);
	fault = walk(vr, ret, mem, &table, head, vr->size, &indirect);
	if (!fault && split_flags(indirect))
		fault = walk_indirect(vr, ret, mem, indirect);
	return fault;
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
