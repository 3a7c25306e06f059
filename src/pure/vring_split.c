/* SPDX-License-Identifier: BSD-3-Clause */
#include "pure/vring_split.h"

#include <stddef.h>
#include <string.h>

#include "base/compiler.h"

/* How far ahead of us the driver's kick threshold is put, so that it doesn't kick; renewed each
 * time half of it is used up. */
#define KICK_FAR_AHEAD 0x8000

bool vring_split_size_ok(uint32_t size)
{
	return size >= 1 && size <= VRING_SPLIT_SIZE_MAX && (size & (size - 1)) == 0;
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

/* The ring's own table, or an indirect one. */
struct desc_table {
	const uint8_t
		*host; /* of any alignment; NULL: it crosses memory regions, look up each entry */
	uint64_t gpa;
	uint32_t n;
};

/* A descriptor that may itself lie across regions. */
static bool read_split_desc(const struct guest_mem *mem, uint64_t gpa, struct vring_desc *ret)
{
	struct iovec piece[GUEST_MEM_REGIONS_MAX];
	int n = guest_mem_split(mem, gpa, sizeof(*ret), piece, ARRAY_LEN(piece));
	uint8_t *to = (uint8_t *)ret;

	for (int i = 0; i < n; i++) {
		memcpy(to, piece[i].iov_base, piece[i].iov_len);
		to += piece[i].iov_len;
	}
	return n > 0;
}

/* Descriptor i < table->n, read once. False if it is outside of the guest's memory. */
static bool read_desc(const struct desc_table *table, const struct guest_mem *mem, uint32_t i,
		      struct vring_desc *ret)
{
	const size_t offset = (size_t)i * sizeof(*ret);

	if (likely(table->host))
		memcpy(ret, table->host + offset, sizeof(*ret));
	else if (!read_split_desc(mem, table->gpa + offset, ret))
		return false;
	__atomic_signal_fence(__ATOMIC_SEQ_CST); /* from here on only the copy is looked at */
	return true;
}

/* Adds one buffer to the chain. */
static const char *add_buffer(struct chain *c, const struct guest_mem *mem,
			      const struct vring_desc *d)
{
	unsigned int n = (unsigned int)c->n_readable + c->n_writable;
	bool writable = d->flags & VRING_DESC_F_WRITE;
	int pieces;

	if (!writable && c->writable_bytes)
		return "a device-readable descriptor follows a device-writable one";
	if (d->len == 0)
		return NULL;
	pieces = guest_mem_split(mem, d->addr, d->len, &c->iov[n], c->n_iov_max - n);
	if (pieces < 0)
		return "a descriptor points outside of the guest's memory";
	if ((unsigned int)pieces > c->n_iov_max - n) {
		pieces = (int)(c->n_iov_max - n);
		c->too_long = true;
	}
	if (!writable) {
		c->n_readable = (uint16_t)(c->n_readable + pieces);
		c->readable_bytes += d->len;
		return NULL;
	}
	c->n_writable = (uint16_t)(c->n_writable + pieces);
	c->writable_bytes += d->len;
	c->last_writable = guest_mem_from_gpa(mem, d->addr + d->len - 1, 1);
	return NULL;
}

/* Follows a chain through one table from entry i on. *budget is how many descriptors it may still
 * have. An indirect descriptor ends the walk and is left in *ret_last. */
static const char *walk(struct chain *c, const struct guest_mem *mem,
			const struct desc_table *table, uint32_t i, uint32_t *budget,
			struct vring_desc *ret_last)
{
	for (;;) {
		const char *fault;

		c->n_descs++;
		if ((*budget)-- == 0)
			return "a descriptor chain is longer than the queue or loops";
		if (!read_desc(table, mem, i, ret_last))
			return "an indirect table is outside of the guest's memory";
		if (ret_last->flags & VRING_DESC_F_INDIRECT)
			return NULL;
		fault = add_buffer(c, mem, ret_last);
		if (fault)
			return fault;
		if (!(ret_last->flags & VRING_DESC_F_NEXT))
			return NULL;
		i = ret_last->next;
		if (i >= table->n)
			return "a descriptor's next is outside of the table";
	}
}

/* 2.7.5.3.2: zero or more normal descriptors may come before the one that is indirect. */
static const char *walk_indirect(struct chain *c, const struct guest_mem *mem, struct vring_desc *d,
				 uint32_t *budget)
{
	struct desc_table table = {.gpa = d->addr, .n = d->len / (uint32_t)sizeof(*d)};
	const char *fault;

	if (d->flags & VRING_DESC_F_NEXT)
		return "a descriptor is both indirect and continued";
	if (d->len == 0 || d->len % sizeof(*d))
		return "an indirect table's length is not a multiple of 16";
	table.host = guest_mem_from_gpa(mem, d->addr, d->len);
	if (!table.host && guest_mem_split(mem, d->addr, d->len, NULL, 0) < 0)
		return "an indirect table is outside of the guest's memory";
	fault = walk(c, mem, &table, 0, budget, d);
	if (!fault && (d->flags & VRING_DESC_F_INDIRECT))
		return "an indirect descriptor is nested";
	return fault;
}

const char *vring_split_take(struct vring_split *vr, const struct guest_mem *mem, struct chain *ret)
{
	const struct desc_table table = {.host = (const uint8_t *)vr->desc, .n = vr->size};
	uint16_t slot = vr->last_avail_idx & (vr->size - 1);
	uint16_t head = __atomic_load_n(&vr->avail->ring[slot], __ATOMIC_RELAXED);
	uint32_t budget = vr->size;
	struct vring_desc d;
	const char *fault;

	*ret = (struct chain){.head = head, .iov = ret->iov, .n_iov_max = ret->n_iov_max};
	vr->last_avail_idx++;
	if (head >= vr->size)
		return "an available entry is outside of the descriptor table";
	if ((vr->last_avail_idx & (KICK_FAR_AHEAD / 2 - 1)) == 0)
		vring_split_refuse_kicks(vr);
	fault = walk(ret, mem, &table, head, &budget, &d);
	if (!fault && (d.flags & VRING_DESC_F_INDIRECT)) {
		/* A table longer than the queue is against 2.7.5.3.1, yet harmless, and QEMU and
		 * SPDK take it: rings of two entries work that way. */
		budget = VRING_SPLIT_SIZE_MAX;
		fault = walk_indirect(ret, mem, &d, &budget);
	}
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
