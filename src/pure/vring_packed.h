/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The device side of a packed virtqueue, virtio 1.2 section 2.8. The memory belongs to a guest that
 * may change it at any moment and means harm: each field is read once into a local, checked, and
 * only then used. No function here loops longer than the ring, allocates, or logs.
 *
 * Nothing here is looked up by a buffer id: it is the driver's word for a chain, given back as it
 * came. A driver that gives two chains in flight the same one is told of it twice.
 *
 * Atomics: a descriptor's flags are read with acquire (partner: the driver's write barrier before
 * it writes those of a chain's first descriptor, 2.8.13.1); the first used descriptor's flags of a
 * batch are written last, with release (partner: the driver's read barrier behind reading them).
 * vring_packed_should_notify() has the full barrier between them and the driver's event
 * suppression.
 */
#ifndef PURE_VRING_PACKED_H
#define PURE_VRING_PACKED_H

#include "pure/vring_desc.h"

/* 2.8.1: both sides begin at descriptor 0 with a wrap counter of 1. In the format of
 * SET_VRING_BASE: bits 0 to 14 the next descriptor to take, bit 15 its wrap counter, the upper half
 * the same for the next used descriptor to write. */
#define VRING_PACKED_BASE_START 0x80008000u

#define VRING_PACKED_AVAIL (1u << VRING_PACKED_DESC_F_AVAIL)
#define VRING_PACKED_USED  (1u << VRING_PACKED_DESC_F_USED)

struct vring_packed {
	struct vring_packed_desc *desc;
	const struct vring_packed_desc_event *driver_event;
	struct vring_packed_desc_event *device_event;
	uint32_t hint; /* guest_mem_near(): of buffers, and of indirect tables */
	uint32_t table_hint;
	uint16_t size;          /* descriptors */
	uint16_t avail_idx;     /* next descriptor to take */
	uint16_t used_idx;      /* next descriptor to write as used */
	uint16_t n_taken;       /* from used_idx to avail_idx: taken and not yet used */
	uint16_t first_used;    /* not yet published: its flags are to be written last */
	uint16_t first_flags;   /* with these */
	uint16_t signalled_pos; /* position() of used_idx at the last decision about notifying */
	bool unpublished;       /* there is such a descriptor */
	bool avail_wrap;
	bool used_wrap;
	bool event_idx; /* VIRTIO_F_EVENT_IDX negotiated */
};

/** True if a front end may give a ring this size: 1 to VRING_SIZE_MAX, any number. */
bool vring_packed_size_ok(uint32_t size);

/** Translates the ring's addresses. NULL, or what is wrong in words: an address outside of the
 *  memory or misaligned (2.8.10.1: 16, 4 and 4 bytes). The indices stay: also used when the memory
 *  map is replaced under a running ring. */
const char *vring_packed_map(struct vring_packed *vr, const struct guest_mem *mem,
			     const struct vring_addr *addr);

/** Sets both indices as SET_VRING_BASE has them; negative: VRING_PACKED_BASE_START, as nothing in
 *  the guest's memory tells where a packed ring stands. An upper half of 0 means the same as the
 *  lower one, as DPDK takes and gives it. NULL, or what is wrong with them in words. */
const char *vring_packed_set_base(struct vring_packed *vr, int64_t base);

/** The indices as GET_VRING_BASE gives them. */
uint32_t vring_packed_base(const struct vring_packed *vr);

/** Starts at vring_packed_set_base()'s indices. Asks the driver for no kicks, as fits a polling
 *  device. After vring_packed_map(). */
void vring_packed_start(struct vring_packed *vr);

/** 1 when the driver has made (at least) one more chain available, else 0. Has the line behind come
 *  from the driver's CPU as well: a chain, or the next one, goes on there. */
static inline int vring_packed_n_avail(const struct vring_packed *vr)
{
	uint16_t flags;

	__builtin_prefetch((const uint8_t *)&vr->desc[vr->avail_idx] + CACHE_LINE);
	flags = __atomic_load_n(&vr->desc[vr->avail_idx].flags, __ATOMIC_ACQUIRE);
	return (flags & (VRING_PACKED_AVAIL | VRING_PACKED_USED)) ==
	       (vr->avail_wrap ? VRING_PACKED_AVAIL : VRING_PACKED_USED);
}

/** Asks the driver not to kick: somebody polls. */
void vring_packed_refuse_kicks(struct vring_packed *vr);

/** Asks the driver to kick when it makes the next chain available (2.8.10, 2.8.14). False when it
 *  already has, perhaps without a kick: look at the ring. */
bool vring_packed_want_kicks(struct vring_packed *vr);

/** Takes the next available chain: vring_packed_n_avail() said that there is one. ret->iov and
 *  ret->n_iov_max are the caller's. NULL, or what is wrong with it in words (the queue is broken
 *  then); taken it is in both cases. */
const char *vring_packed_take(struct vring_packed *vr, const struct guest_mem *mem,
			      struct chain *ret);

/** Puts the chain taken last back: it will be taken again. */
void vring_packed_untake(struct vring_packed *vr, const struct chain *chain);

/** Writes one used descriptor for a chain of n_slots; the driver sees it after
 *  vring_packed_publish(). */
static inline void vring_packed_put_used(struct vring_packed *vr, uint16_t id, uint16_t n_slots,
					 uint32_t n_bytes)
{
	struct vring_packed_desc *desc = &vr->desc[vr->used_idx];
	uint16_t flags = VRING_DESC_F_WRITE; /* 2.8.4: a status was written, if nothing else */

	if (vr->used_wrap)
		flags |= VRING_PACKED_AVAIL | VRING_PACKED_USED;
	desc->id = id;
	desc->len = n_bytes;
	if (vr->unpublished) {
		__atomic_store_n(&desc->flags, flags, __ATOMIC_RELEASE);
	} else {
		vr->unpublished = true;
		vr->first_used = vr->used_idx;
		vr->first_flags = flags;
	}
	vr->n_taken = (uint16_t)(vr->n_taken - n_slots);
	vr->used_idx = (uint16_t)(vr->used_idx + n_slots);
	if (vr->used_idx >= vr->size) {
		vr->used_idx = (uint16_t)(vr->used_idx - vr->size);
		vr->used_wrap = !vr->used_wrap;
	}
}

/** Makes the used descriptors written so far visible to the driver. */
static inline void vring_packed_publish(struct vring_packed *vr)
{
	if (!vr->unpublished)
		return;
	__atomic_store_n(&vr->desc[vr->first_used].flags, vr->first_flags, __ATOMIC_RELEASE);
	vr->unpublished = false;
}

/** After vring_packed_publish(): does the driver want a notification for what came since the last
 *  call? (2.8.10) */
bool vring_packed_should_notify(struct vring_packed *vr);

#endif
