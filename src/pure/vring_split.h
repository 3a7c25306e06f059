/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The device side of a split virtqueue, virtio 1.2 section 2.7. The memory belongs to a guest that
 * may change it at any moment and means harm: each field is read once into a local, checked, and
 * only then used. No function here loops longer than the ring, allocates, or logs.
 *
 * Atomics: avail->idx is read with acquire (partner: the driver's write barrier before it, 2.7.13);
 * used->idx is written with release (partner: the driver's read barrier after reading it).
 * vring_split_should_notify() has the full barrier between used->idx and the driver's
 * suppression fields that 2.7.7.2 asks for.
 */
#ifndef PURE_VRING_SPLIT_H
#define PURE_VRING_SPLIT_H

#include "pure/vring_desc.h"

struct vring_split {
	const struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	uint32_t hint; /* guest_mem_near(): of buffers, and of indirect tables */
	uint32_t table_hint;
	uint16_t size;           /* descriptors, a power of two */
	uint16_t last_avail_idx; /* next entry of avail->ring to take */
	uint16_t used_idx;       /* next entry of used->ring to write */
	uint16_t signalled_idx;  /* used_idx at the last decision about a notification */
	bool event_idx;          /* VIRTIO_F_EVENT_IDX negotiated */
};

/** True if a front end may give a ring this size: a power of two up to VRING_SIZE_MAX. */
bool vring_split_size_ok(uint32_t size);

/** Translates the ring's addresses. NULL, or what is wrong in words: an address outside of the
 *  memory or misaligned (2.7: 16, 2 and 4 bytes). The indices stay: also used when the memory map
 *  is replaced under a running ring. */
const char *vring_split_map(struct vring_split *vr, const struct guest_mem *mem,
			    const struct vring_addr *addr);

/** Starts at avail entry `base` (SET_VRING_BASE), or, when that is negative, where the ring's used
 *  index stands: nothing was in flight. The used index goes on from the ring's. Asks the driver for
 *  no kicks, as fits a polling device. After vring_split_map(). */
void vring_split_start(struct vring_split *vr, int32_t base);

/** How many chains the driver has made available; -1 when its index is more than the ring ahead.
 *  Has the next entry come from the driver's CPU together with the index, not after it. */
static inline int vring_split_n_avail(const struct vring_split *vr)
{
	uint16_t n;

	__builtin_prefetch(&vr->avail->ring[vr->last_avail_idx & (vr->size - 1)]);
	n = __atomic_load_n(&vr->avail->idx, __ATOMIC_ACQUIRE);
	n = (uint16_t)(n - vr->last_avail_idx);
	return n <= vr->size ? n : -1;
}

/** Asks the driver not to kick: somebody polls. */
void vring_split_refuse_kicks(struct vring_split *vr);

/** Asks the driver to kick when it makes the next chain available (2.7.7.2, 2.7.10). False when it
 *  already has, perhaps without a kick: look at the ring. */
bool vring_split_want_kicks(struct vring_split *vr);

/** Has what the next n available chains need of the ring come into the cache: for writing, the
 *  place of their used elements, and their first descriptors, unless it is one that is read at once
 *  anyway. What the driver has put there is only a hint here: any address may be prefetched. */
static inline void vring_split_prefetch(const struct vring_split *vr, unsigned int n)
{
	uint16_t mask = (uint16_t)(vr->size - 1);

	for (unsigned int i = 0; i < n; i += CACHE_LINE / sizeof(vr->used->ring[0]))
		prefetch_write(&vr->used->ring[(uint16_t)(vr->used_idx + i) & mask]);
	if (n == 1)
		return;
	for (unsigned int i = 0; i < n; i++) {
		uint16_t slot = (uint16_t)(vr->last_avail_idx + i) & mask;

		__builtin_prefetch(&vr->desc[vr->avail->ring[slot] & mask]);
	}
}

/** Takes the next available chain: vring_split_n_avail() said that there is one. ret->iov and
 *  ret->n_iov_max are the caller's. NULL, or what is wrong with it in words (the queue is broken
 *  then: 2.7.5, 2.7.5.3); taken it is in both cases. */
const char *vring_split_take(struct vring_split *vr, const struct guest_mem *mem,
			     struct chain *ret);

/** Puts the chain taken last back: it will be taken again. */
static inline void vring_split_untake(struct vring_split *vr)
{
	vr->last_avail_idx--;
}

/** Writes one used element; the driver sees it after vring_split_publish(). */
static inline void vring_split_put_used(struct vring_split *vr, uint16_t id, uint32_t n_bytes)
{
	struct vring_used_elem *elem = &vr->used->ring[vr->used_idx & (vr->size - 1)];

	elem->id = id;
	elem->len = n_bytes;
	vr->used_idx++;
}

/** Makes the used elements written so far visible to the driver. */
static inline void vring_split_publish(struct vring_split *vr)
{
	__atomic_store_n(&vr->used->idx, vr->used_idx, __ATOMIC_RELEASE);
}

/** After vring_split_publish(): does the driver want a notification for what came since the last
 *  call? (2.7.7.2, 2.7.10) */
bool vring_split_should_notify(struct vring_split *vr);

#endif
