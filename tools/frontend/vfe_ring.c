/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Driver side of a virtqueue; what a packed one does differently is in vfe_ring_packed.c. Here are
 * split ones. Little-endian hosts only, as VIRTIO_F_VERSION_1 on x86.
 *
 * Ordering (virtio 1.2, 2.7.13 and 2.7.14): avail->idx is stored with release, after the entries; a
 * full barrier stands between that store and the load of avail_event/used->flags, and between the
 * store of used_event/avail->flags and the second look at used->idx. used->idx is loaded with
 * acquire, before the entries.
 */
#include "vfe_ring.h"
#include "vfe_ring_packed.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "rings are little-endian");

static uint16_t *used_event(struct vfe_ring *ring)
{
	return &ring->avail->ring[ring->opts.size];
}

static const uint16_t *avail_event(struct vfe_ring *ring)
{
	return (const uint16_t *)&ring->used->ring[ring->opts.size];
}

/* `align` is what 2.7 asks for: 16, 2 and 4, and no more than that unless it is wanted. */
static uint64_t alloc_part(struct vfe_ring *ring, uint64_t n_bytes, uint16_t align)
{
	if (align < ring->opts.align)
		align = ring->opts.align;
	return vfe_mem_alloc_in(ring->mem, ring->opts.region, n_bytes, align);
}

static int alloc_rings(struct vfe_ring *ring)
{
	uint64_t size = ring->opts.size;
	uint64_t n_tables = ring->opts.n_indirect ? size : 0;

	ring->desc_gpa = alloc_part(ring, 16 * (size + 1), 16);
	ring->avail_gpa = alloc_part(ring, 6 + 2 * size, 2);
	ring->used_gpa = alloc_part(ring, 6 + 8 * size, 4);
	ring->indirect_gpa = alloc_part(ring, n_tables * ring->opts.n_indirect * 16, 16);
	if (ring->desc_gpa == VFE_NO_GPA || ring->avail_gpa == VFE_NO_GPA ||
	    ring->used_gpa == VFE_NO_GPA || ring->indirect_gpa == VFE_NO_GPA)
		return -ENOMEM;
	ring->desc = vfe_mem_ptr(ring->mem, ring->desc_gpa, 16 * (size + 1));
	ring->avail = vfe_mem_ptr(ring->mem, ring->avail_gpa, 6 + 2 * size);
	ring->used = vfe_mem_ptr(ring->mem, ring->used_gpa, 6 + 8 * size);
	return 0;
}

int vfe_ring_init(struct vfe_ring *ring, struct vfe_mem *mem, const struct vfe_ring_opts *opts)
{
	int rc;

	if (opts->size == 0 || opts->size > VFE_RING_SIZE_MAX ||
	    (!opts->packed && (opts->size & (opts->size - 1))))
		return -EINVAL;
	memset(ring, 0, sizeof(*ring));
	ring->mem = mem;
	ring->opts = *opts;
	ring->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ring->call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ring->slot = calloc(opts->size, sizeof(*ring->slot));
	ring->free_desc = calloc(opts->size, sizeof(*ring->free_desc));
	if (ring->kick_fd < 0 || ring->call_fd < 0)
		rc = -EMFILE;
	else if (!ring->slot || !ring->free_desc)
		rc = -ENOMEM;
	else
		rc = opts->packed ? vfe_packed_alloc(ring) : alloc_rings(ring);
	if (rc) {
		vfe_ring_fini(ring);
		return rc;
	}
	vfe_ring_reset(ring, 0);
	return 0;
}

void vfe_ring_fini(struct vfe_ring *ring)
{
	if (!ring->mem)
		return;
	if (ring->kick_fd >= 0)
		close(ring->kick_fd);
	if (ring->call_fd >= 0)
		close(ring->call_fd);
	free(ring->slot);
	free(ring->free_desc);
	memset(ring, 0, sizeof(*ring));
}

static void reset_split(struct vfe_ring *ring, uint16_t base)
{
	uint16_t size = ring->opts.size;

	memset(ring->desc, 0, 16u * size);
	memset(ring->avail, 0, 6u + 2u * size);
	memset(ring->used, 0, 6u + 8u * size);
	ring->avail->idx = base;
	ring->used->idx = base;
	if (ring->opts.event_idx)
		*used_event(ring) = base;
}

void vfe_ring_reset(struct vfe_ring *ring, uint16_t base)
{
	uint16_t size = ring->opts.size, i;

	if (ring->opts.packed)
		vfe_packed_reset(ring, base);
	else
		reset_split(ring, base);
	memset(ring->slot, 0, size * sizeof(*ring->slot));
	for (i = 0; i < size; i++)
		ring->free_desc[i] = (uint16_t)(size - 1 - i);
	ring->n_free = size;
	ring->next_avail_idx = base;
	ring->published_idx = base;
	ring->kicked_idx = base;
	ring->used_idx = base;
	vfe_ring_drain_calls(ring);
}

static void fill_desc(struct vring_desc *d, const struct vfe_seg *seg, bool more, uint16_t next)
{
	d->addr = seg->gpa;
	d->len = seg->n_bytes;
	d->flags = (uint16_t)((more ? VRING_DESC_F_NEXT : 0) |
			      (seg->writable ? VRING_DESC_F_WRITE : 0));
	d->next = next;
}

void vfe_ring_offer(struct vfe_ring *ring, uint16_t head)
{
	ring->avail->ring[ring->next_avail_idx % ring->opts.size] = head;
	ring->next_avail_idx++;
}

static int offer_chain(struct vfe_ring *ring, uint16_t head, uint16_t n_desc, void *token)
{
	ring->slot[head].token = token;
	ring->slot[head].n_desc = n_desc;
	vfe_ring_offer(ring, head);
	return head;
}

int vfe_ring_add(struct vfe_ring *ring, const struct vfe_seg *seg, unsigned int n_segs, void *token)
{
	uint16_t head, at;
	unsigned int i;

	if (ring->opts.packed)
		return vfe_packed_add(ring, seg, n_segs, token);
	if (n_segs == 0 || !token)
		return -EINVAL;
	if (n_segs > ring->n_free)
		return -ENOSPC;
	head = at = ring->free_desc[--ring->n_free];
	for (i = 0; i < n_segs; i++) {
		bool more = i + 1 < n_segs;
		uint16_t next = more ? ring->free_desc[--ring->n_free] : 0;

		fill_desc(&ring->desc[at], &seg[i], more, next);
		at = next;
	}
	return offer_chain(ring, head, (uint16_t)n_segs, token);
}

int vfe_ring_add_indirect(struct vfe_ring *ring, const struct vfe_seg *seg, unsigned int n_segs,
			  void *token)
{
	struct vring_desc *table;
	uint64_t table_gpa;
	unsigned int i;
	uint16_t head;

	if (ring->opts.packed)
		return vfe_packed_add_indirect(ring, seg, n_segs, token);
	if (n_segs == 0 || !token)
		return -EINVAL;
	if (n_segs > ring->opts.n_indirect || ring->n_free == 0)
		return -ENOSPC;
	head = ring->free_desc[--ring->n_free];
	table_gpa = ring->indirect_gpa + (uint64_t)head * ring->opts.n_indirect * sizeof(*table);
	table = vfe_mem_ptr(ring->mem, table_gpa, n_segs * sizeof(*table));
	for (i = 0; i < n_segs; i++)
		fill_desc(&table[i], &seg[i], i + 1 < n_segs, (uint16_t)(i + 1));

	ring->desc[head] = (struct vring_desc){.addr = table_gpa,
					       .len = n_segs * (uint32_t)sizeof(*table),
					       .flags = VRING_DESC_F_INDIRECT};
	return offer_chain(ring, head, 1, token);
}

bool vfe_ring_publish(struct vfe_ring *ring)
{
	if (ring->next_avail_idx == ring->published_idx)
		return false;
	ring->published_idx = ring->next_avail_idx;
	if (ring->opts.packed) {
		vfe_packed_publish(ring);
		return true;
	}
	/* Partner: the device's acquire load of avail->idx. */
	__atomic_store_n(&ring->avail->idx, ring->published_idx, __ATOMIC_RELEASE);
	return true;
}

void vfe_ring_kick_always(struct vfe_ring *ring)
{
	uint64_t one = 1;

	ring->kicked_idx = ring->published_idx;
	ring->counters.n_kicks++;
	/* A full counter (EAGAIN) still wakes the device. */
	if (write(ring->kick_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		abort();
}

static bool kick_wanted(struct vfe_ring *ring)
{
	uint16_t event;

	/* Partner: the device's barrier between avail_event/used->flags and avail->idx. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (ring->opts.packed)
		return vfe_packed_kick_wanted(ring);
	if (!ring->opts.event_idx)
		return !(__atomic_load_n(&ring->used->flags, __ATOMIC_RELAXED) &
			 VRING_USED_F_NO_NOTIFY);
	event = __atomic_load_n(avail_event(ring), __ATOMIC_RELAXED);
	return vring_need_event(event, ring->published_idx, ring->kicked_idx);
}

bool vfe_ring_kick(struct vfe_ring *ring)
{
	if (ring->published_idx == ring->kicked_idx)
		return false;
	if (kick_wanted(ring)) {
		vfe_ring_kick_always(ring);
		return true;
	}
	ring->kicked_idx = ring->published_idx;
	ring->counters.n_kicks_suppressed++;
	return false;
}

uint16_t vfe_ring_in_flight(const struct vfe_ring *ring)
{
	return (uint16_t)(ring->published_idx - ring->used_idx);
}

static void free_chain(struct vfe_ring *ring, uint16_t head)
{
	uint16_t left = ring->slot[head].n_desc, at = head;

	while (left-- > 0) {
		ring->free_desc[ring->n_free++] = at;
		at = ring->desc[at].next % ring->opts.size;
	}
	ring->slot[head].token = NULL;
}

/* Partner: the device's release of used->idx. */
uint16_t vfe_ring_n_pending(const struct vfe_ring *ring)
{
	if (ring->opts.packed)
		return vfe_packed_n_pending(ring);
	return (uint16_t)(__atomic_load_n(&ring->used->idx, __ATOMIC_ACQUIRE) - ring->used_idx);
}

static int poll_split(struct vfe_ring *ring, struct vfe_used *ret_used)
{
	uint16_t n = vfe_ring_n_pending(ring);
	struct vring_used_elem elem;

	if (n == 0)
		return 0;
	if (n > vfe_ring_in_flight(ring))
		return -EPROTO;
	elem = ring->used->ring[ring->used_idx % ring->opts.size];
	if (elem.id >= ring->opts.size || !ring->slot[elem.id].token)
		return -EPROTO;
	ret_used->token = ring->slot[elem.id].token;
	ret_used->head = (uint16_t)elem.id;
	ret_used->n_bytes = elem.len;
	free_chain(ring, (uint16_t)elem.id);
	return 1;
}

int vfe_ring_poll(struct vfe_ring *ring, struct vfe_used *ret_used)
{
	int rc = ring->opts.packed ? vfe_packed_poll(ring, ret_used) : poll_split(ring, ret_used);

	if (rc > 0) {
		ring->used_idx++;
		ring->counters.n_used++;
	}
	return rc;
}

uint32_t vfe_ring_expected_base(const struct vfe_ring *ring)
{
	if (ring->opts.packed)
		return vfe_packed_expected_base(ring);
	return __atomic_load_n(&ring->used->idx, __ATOMIC_ACQUIRE);
}

bool vfe_ring_base_ok(const struct vfe_ring *ring, uint32_t base)
{
	uint16_t used_idx;

	if (ring->opts.packed)
		return vfe_packed_base_ok(ring, base);
	used_idx = __atomic_load_n(&ring->used->idx, __ATOMIC_ACQUIRE);
	return base <= UINT16_MAX &&
	       (uint16_t)(base - used_idx) <= (uint16_t)(ring->published_idx - used_idx);
}

uint32_t vfe_ring_start_base(const struct vfe_ring *ring, uint16_t base)
{
	uint32_t idx = base % ring->opts.size;

	return ring->opts.packed ? 0x80008000u | idx | idx << 16 : base;
}

void vfe_ring_interrupts(struct vfe_ring *ring, bool on)
{
	if (ring->opts.packed) {
		vfe_packed_interrupts(ring, on);
	} else if (ring->opts.event_idx) {
		/* Left half the index space behind, used_event is not reached soon. */
		uint16_t event = on ? ring->used_idx : (uint16_t)(ring->used_idx - 0x8000);

		__atomic_store_n(used_event(ring), event, __ATOMIC_RELAXED);
	} else {
		__atomic_store_n(&ring->avail->flags, on ? 0 : VRING_AVAIL_F_NO_INTERRUPT,
				 __ATOMIC_RELAXED);
	}
	/* Partner: the device's barrier between used->idx and used_event/avail->flags. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void vfe_ring_interrupt_at(struct vfe_ring *ring, uint16_t n_ahead)
{
	if (ring->opts.packed)
		vfe_packed_interrupt_at(ring, n_ahead);
	else
		__atomic_store_n(used_event(ring), (uint16_t)(ring->used_idx + n_ahead),
				 __ATOMIC_SEQ_CST);
}

uint64_t vfe_ring_drain_calls(struct vfe_ring *ring)
{
	uint64_t n;

	if (read(ring->call_fd, &n, sizeof(n)) != sizeof(n))
		return 0;
	ring->counters.n_interrupts += n;
	return n;
}

int vfe_ring_wait(struct vfe_ring *ring, int timeout_ms)
{
	int64_t deadline_ms = vfe_now_ms() + timeout_ms;
	struct pollfd pfd = {.fd = ring->call_fd, .events = POLLIN};
	int64_t left_ms;

	vfe_ring_interrupts(ring, true);
	while (vfe_ring_n_pending(ring) == 0) {
		ring->counters.n_waits++;
		left_ms = deadline_ms - vfe_now_ms();
		if (poll(&pfd, 1, left_ms > 0 ? (int)left_ms : 0) < 0 && errno != EINTR)
			return -errno;
		/* The call descriptor is read only here: a stale interrupt costs one more turn. */
		if (vfe_ring_drain_calls(ring) > 0)
			continue;
		if (vfe_now_ms() < deadline_ms)
			continue;
		if (vfe_ring_n_pending(ring) == 0)
			return -ETIMEDOUT;
		ring->counters.n_lost++;
		return -EIO;
	}
	return 0;
}
