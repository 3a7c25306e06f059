/* SPDX-License-Identifier: BSD-3-Clause */
#include "pure/virtq.h"

bool virtq_size_ok(bool is_packed, uint32_t size)
{
	return is_packed ? vring_packed_size_ok(size) : vring_split_size_ok(size);
}

void virtq_init(struct virtq *vq, bool is_packed, bool event_idx, uint16_t size, int64_t base)
{
	*vq = (struct virtq){.is_packed = is_packed};
	if (is_packed) {
		vq->packed.size = size;
		vq->packed.event_idx = event_idx;
		vring_packed_set_base(&vq->packed, base); /* virtq_start() tells if it is wrong */
	} else {
		vq->split.size = size;
		vq->split.event_idx = event_idx;
		vq->split.last_avail_idx = base < 0 ? 0 : (uint16_t)base;
	}
}

const char *virtq_map(struct virtq *vq, const struct guest_mem *mem, const struct vring_addr *addr)
{
	/* SET_VRING_NUM was checked by the format that was negotiated then. */
	if (!virtq_size_ok(vq->is_packed, virtq_size(vq)))
		return "the size of a split virtqueue is not a power of two";
	return vq->is_packed ? vring_packed_map(&vq->packed, mem, addr)
			     : vring_split_map(&vq->split, mem, addr);
}

void virtq_unmap(struct virtq *vq)
{
	if (vq->is_packed) {
		vq->packed.desc = NULL;
		vq->packed.driver_event = NULL;
		vq->packed.device_event = NULL;
	} else {
		vq->split.desc = NULL;
		vq->split.avail = NULL;
		vq->split.used = NULL;
	}
}

const char *virtq_start(struct virtq *vq, int64_t base)
{
	const char *fault;

	if (!vq->is_packed) {
		if (base > UINT16_MAX)
			return "the index of SET_VRING_BASE has more than 16 bits";
		vring_split_start(&vq->split, (int32_t)base);
		return NULL;
	}
	fault = vring_packed_set_base(&vq->packed, base);
	if (!fault)
		vring_packed_start(&vq->packed);
	return fault;
}

uint32_t virtq_base(const struct virtq *vq)
{
	return vq->is_packed ? vring_packed_base(&vq->packed) : vq->split.last_avail_idx;
}

bool virtq_should_notify(struct virtq *vq)
{
	return vq->is_packed ? vring_packed_should_notify(&vq->packed)
			     : vring_split_should_notify(&vq->split);
}
