/* SPDX-License-Identifier: BSD-3-Clause */
#include "packed.h"

#include <stdlib.h>

/* 2.8.13: addr, len, id, flags; 2.8.14: off_wrap, flags. */
#define DESC_BYTES   16
#define LEN_OFFSET   8
#define ID_OFFSET    12
#define FLAGS_OFFSET 14
#define EVENT_FLAGS  2
#define EVENT_BYTES  4

uint64_t packed_init(struct packed *drv, struct guest *guest, uint64_t gpa, uint16_t size)
{
	uint64_t driver_gpa = gpa + (uint64_t)DESC_BYTES * size;

	*drv = (struct packed){.guest = guest,
			       .size = size,
			       .wrap = true,
			       .desc_gpa = gpa,
			       .driver_gpa = driver_gpa,
			       .device_gpa = driver_gpa + EVENT_BYTES};
	return driver_gpa + 2ull * EVENT_BYTES;
}

struct vring_addr packed_addr(const struct packed *drv)
{
	return (struct vring_addr){.desc_uva = drv->desc_gpa + GUEST_UVA_OFFSET,
				   .avail_uva = drv->driver_gpa + GUEST_UVA_OFFSET,
				   .used_uva = drv->device_gpa + GUEST_UVA_OFFSET};
}

void packed_connect(const struct packed *drv, struct vring_packed *vr, bool event_idx, int64_t base)
{
	struct vring_addr addr = packed_addr(drv);

	*vr = (struct vring_packed){.size = drv->size, .event_idx = event_idx};
	if (vring_packed_map(vr, &drv->guest->mem, &addr) || vring_packed_set_base(vr, base))
		abort();
	vring_packed_start(vr);
}

static void put(struct packed *drv, uint64_t gpa, uint64_t value, size_t n_bytes)
{
	uint8_t bytes[8];

	for (size_t i = 0; i < n_bytes; i++)
		bytes[i] = (uint8_t)(value >> (8 * i));
	guest_write(drv->guest, gpa, bytes, n_bytes);
}

static uint64_t get(const struct packed *drv, uint64_t gpa, size_t n_bytes)
{
	uint8_t bytes[8];
	uint64_t value = 0;

	guest_read(drv->guest, gpa, bytes, n_bytes);
	for (size_t i = 0; i < n_bytes; i++)
		value |= (uint64_t)bytes[i] << (8 * i);
	return value;
}

void packed_desc_at(struct packed *drv, uint64_t table_gpa, uint32_t i, uint64_t addr, uint32_t len,
		    uint16_t flags, uint16_t id)
{
	uint64_t gpa = table_gpa + (uint64_t)DESC_BYTES * i;

	put(drv, gpa, addr, 8);
	put(drv, gpa + LEN_OFFSET, len, 4);
	put(drv, gpa + ID_OFFSET, id, 2);
	put(drv, gpa + FLAGS_OFFSET, flags, 2);
}

void packed_desc(struct packed *drv, uint64_t addr, uint32_t len, uint16_t flags, uint16_t id)
{
	flags |= drv->wrap ? DESC_AVAIL : DESC_USED;
	packed_desc_at(drv, drv->desc_gpa, drv->next, addr, len, flags, id);
	if (++drv->next == drv->size) {
		drv->next = 0;
		drv->wrap = !drv->wrap;
	}
}

uint16_t packed_flags(const struct packed *drv, uint16_t i)
{
	return (uint16_t)get(drv, drv->desc_gpa + (uint64_t)DESC_BYTES * i + FLAGS_OFFSET, 2);
}

void packed_used(const struct packed *drv, uint16_t i, uint16_t *ret_id, uint32_t *ret_len)
{
	uint64_t gpa = drv->desc_gpa + (uint64_t)DESC_BYTES * i;

	*ret_id = (uint16_t)get(drv, gpa + ID_OFFSET, 2);
	*ret_len = (uint32_t)get(drv, gpa + LEN_OFFSET, 4);
}

void packed_set_event(struct packed *drv, uint16_t off_wrap, uint16_t flags)
{
	put(drv, drv->driver_gpa, off_wrap, 2);
	put(drv, drv->driver_gpa + EVENT_FLAGS, flags, 2);
}

uint16_t packed_device_flags(const struct packed *drv)
{
	return (uint16_t)get(drv, drv->device_gpa + EVENT_FLAGS, 2);
}
