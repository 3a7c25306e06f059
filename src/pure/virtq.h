/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The device side of a virtqueue of either format: what the engine uses, which knows none of them.
 * Contracts stand with the functions of the same names in vring_split.h and vring_packed.h. A tag
 * decides, not a table of functions: all of it is inline where it is hot.
 */
#ifndef PURE_VIRTQ_H
#define PURE_VIRTQ_H

#include "pure/vring_packed.h"
#include "pure/vring_split.h"

/** In place of a base: SET_VRING_BASE did not come. A split ring goes on from its used index; a
 *  packed one, which has none in memory, from the start. */
#define VIRTQ_BASE_UNKNOWN (-1)

struct virtq {
	union {
		struct vring_split split;
		struct vring_packed packed;
	};
	bool is_packed;
};

/** True if a front end may give a ring this size. */
bool virtq_size_ok(bool is_packed, uint32_t size);

/** A ring that is not mapped yet; virtq_base() gives `base` already. */
void virtq_init(struct virtq *vq, bool is_packed, bool event_idx, uint16_t size, int64_t base);

/** NULL, or what is wrong with the size or the addresses. */
const char *virtq_map(struct virtq *vq, const struct guest_mem *mem, const struct vring_addr *addr);

/** The ring can't be reached any more; its indices stay. */
void virtq_unmap(struct virtq *vq);

/** NULL, or what is wrong with `base`: as SET_VRING_BASE has it, or VIRTQ_BASE_UNKNOWN. */
const char *virtq_start(struct virtq *vq, int64_t base);

/** What GET_VRING_BASE answers. */
uint32_t virtq_base(const struct virtq *vq);

bool virtq_should_notify(struct virtq *vq);

/** Where the driver looks for what has ended; NULL while the ring is not mapped. */
static inline const void *virtq_used_area(const struct virtq *vq)
{
	return vq->is_packed ? (const void *)vq->packed.desc : (const void *)vq->split.used;
}

static inline bool virtq_is_mapped(const struct virtq *vq)
{
	return virtq_used_area(vq) != NULL;
}

static inline uint16_t virtq_size(const struct virtq *vq)
{
	return vq->is_packed ? vq->packed.size : vq->split.size;
}

/** How many chains may be taken before it has to be asked again, 0 when there are none; -1 when
 *  what the driver says makes no sense. */
static inline int virtq_n_avail(const struct virtq *vq)
{
	return vq->is_packed ? vring_packed_n_avail(&vq->packed) : vring_split_n_avail(&vq->split);
}

/** Has what the next n available chains need of the ring come into the cache. */
static inline void virtq_prefetch(const struct virtq *vq, unsigned int n)
{
	if (!vq->is_packed)
		vring_split_prefetch(&vq->split, n);
}

/** Somebody polls. */
static inline void virtq_refuse_kicks(struct virtq *vq)
{
	if (vq->is_packed)
		vring_packed_refuse_kicks(&vq->packed);
	else
		vring_split_refuse_kicks(&vq->split);
}

/** False: look at the ring. */
static inline bool virtq_want_kicks(struct virtq *vq)
{
	return vq->is_packed ? vring_packed_want_kicks(&vq->packed)
			     : vring_split_want_kicks(&vq->split);
}

static inline const char *virtq_take(struct virtq *vq, const struct guest_mem *mem,
				     struct chain *ret)
{
	return vq->is_packed ? vring_packed_take(&vq->packed, mem, ret)
			     : vring_split_take(&vq->split, mem, ret);
}

/** The chains taken last may be put back one by one, the last one first. */
static inline void virtq_untake(struct virtq *vq, const struct chain *chain)
{
	if (vq->is_packed)
		vring_packed_untake(&vq->packed, chain);
	else
		vring_split_untake(&vq->split);
}

/** `id` and n_slots are the chain's. */
static inline void virtq_put_used(struct virtq *vq, uint16_t id, uint16_t n_slots, uint32_t n_bytes)
{
	if (vq->is_packed)
		vring_packed_put_used(&vq->packed, id, n_slots, n_bytes);
	else
		vring_split_put_used(&vq->split, id, n_bytes);
}

static inline void virtq_publish(struct virtq *vq)
{
	if (vq->is_packed)
		vring_packed_publish(&vq->packed);
	else
		vring_split_publish(&vq->split);
}

#endif
