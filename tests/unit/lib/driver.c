/* SPDX-License-Identifier: BSD-3-Clause */
#include "driver.h"

#include <stdlib.h>
#include <string.h>

/* 2.7.6 and 2.7.8: flags, idx, ring[], event. */
#define FLAGS_OFFSET     0
#define IDX_OFFSET       2
#define RING_OFFSET      4
#define AVAIL_ELEM_BYTES 2
#define USED_ELEM_BYTES  8

uint64_t driver_init(struct driver *drv, struct guest *guest, uint64_t gpa, uint16_t size)
{
	uint64_t avail_gpa = gpa + (uint64_t)DESC_BYTES * size;
	uint64_t used_gpa = avail_gpa + RING_OFFSET + (uint64_t)AVAIL_ELEM_BYTES * size + 2;

	used_gpa = (used_gpa + 3) & ~3ull;
	*drv = (struct driver){.guest = guest,
			       .size = size,
			       .desc_gpa = gpa,
			       .avail_gpa = avail_gpa,
			       .used_gpa = used_gpa};
	return used_gpa + RING_OFFSET + (uint64_t)USED_ELEM_BYTES * size + 2;
}

struct vring_addr driver_addr(const struct driver *drv)
{
	return (struct vring_addr){.desc_uva = drv->desc_gpa + GUEST_UVA_OFFSET,
				   .avail_uva = drv->avail_gpa + GUEST_UVA_OFFSET,
				   .used_uva = drv->used_gpa + GUEST_UVA_OFFSET};
}

void driver_connect(const struct driver *drv, struct vring_split *vr, bool event_idx, int32_t base)
{
	struct vring_addr addr = driver_addr(drv);

	*vr = (struct vring_split){.size = drv->size, .event_idx = event_idx};
	if (vring_split_map(vr, &drv->guest->mem, &addr))
		abort();
	vring_split_start(vr, base);
}

static void put16(struct driver *drv, uint64_t gpa, uint16_t value)
{
	uint8_t bytes[] = {(uint8_t)value, (uint8_t)(value >> 8)};

	guest_write(drv->guest, gpa, bytes, sizeof(bytes));
}

static uint16_t get16(const struct driver *drv, uint64_t gpa)
{
	uint8_t bytes[2];

	guest_read(drv->guest, gpa, bytes, sizeof(bytes));
	return (uint16_t)(bytes[0] | bytes[1] << 8);
}

void driver_desc_at(struct driver *drv, uint64_t table_gpa, uint32_t i, uint64_t addr, uint32_t len,
		    uint16_t flags, uint16_t next)
{
	uint64_t gpa = table_gpa + (uint64_t)DESC_BYTES * i;

	for (int n = 0; n < 8; n += 2)
		put16(drv, gpa + (uint64_t)n, (uint16_t)(addr >> (8 * n)));
	put16(drv, gpa + 8, (uint16_t)len);
	put16(drv, gpa + 10, (uint16_t)(len >> 16));
	put16(drv, gpa + 12, flags);
	put16(drv, gpa + 14, next);
}

void driver_desc(struct driver *drv, uint32_t i, uint64_t addr, uint32_t len, uint16_t flags,
		 uint16_t next)
{
	driver_desc_at(drv, drv->desc_gpa, i, addr, len, flags, next);
}

void driver_offer(struct driver *drv, uint16_t head)
{
	uint16_t slot = drv->avail_idx % drv->size;

	put16(drv, drv->avail_gpa + RING_OFFSET + (uint64_t)AVAIL_ELEM_BYTES * slot, head);
	driver_set_avail_idx(drv, (uint16_t)(drv->avail_idx + 1));
}

void driver_set_avail_idx(struct driver *drv, uint16_t idx)
{
	drv->avail_idx = idx;
	put16(drv, drv->avail_gpa + IDX_OFFSET, idx);
}

void driver_set_avail_flags(struct driver *drv, uint16_t flags)
{
	put16(drv, drv->avail_gpa + FLAGS_OFFSET, flags);
}

void driver_set_used_event(struct driver *drv, uint16_t idx)
{
	put16(drv, drv->avail_gpa + RING_OFFSET + (uint64_t)AVAIL_ELEM_BYTES * drv->size, idx);
}

uint16_t driver_used_flags(const struct driver *drv)
{
	return get16(drv, drv->used_gpa + FLAGS_OFFSET);
}

uint16_t driver_used_idx(const struct driver *drv)
{
	return get16(drv, drv->used_gpa + IDX_OFFSET);
}

void driver_set_used_idx(struct driver *drv, uint16_t idx)
{
	put16(drv, drv->used_gpa + IDX_OFFSET, idx);
}

uint16_t driver_avail_event(const struct driver *drv)
{
	return get16(drv, drv->used_gpa + RING_OFFSET + (uint64_t)USED_ELEM_BYTES * drv->size);
}

void driver_used_elem(const struct driver *drv, uint16_t slot, uint32_t *ret_id, uint32_t *ret_len)
{
	uint64_t gpa = drv->used_gpa + RING_OFFSET + (uint64_t)USED_ELEM_BYTES * slot;

	*ret_id = get16(drv, gpa) | (uint32_t)get16(drv, gpa + 2) << 16;
	*ret_len = get16(drv, gpa + 4) | (uint32_t)get16(drv, gpa + 6) << 16;
}
