/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The driver's side of a packed virtqueue, for tests. Places each field by the layout of virtio 1.2
 * section 2.8 as numbers of its own, not by <linux/virtio_ring.h>.
 */
#ifndef UNIT_PACKED_H
#define UNIT_PACKED_H

#include <stdbool.h>
#include <stdint.h>

#include "guest.h"
#include "pure/vring_packed.h"

/* 2.8.1 and 2.8.10. */
#define DESC_AVAIL    0x80
#define DESC_USED     0x8000
#define EVENT_ENABLE  0
#define EVENT_DISABLE 1
#define EVENT_DESC    2

struct packed {
	struct guest *guest;
	uint64_t desc_gpa;
	uint64_t driver_gpa;
	uint64_t device_gpa;
	uint16_t size;
	uint16_t next; /* descriptor that packed_desc() writes next */
	bool wrap;
};

/** Lays the three parts of a ring out from `gpa` (a multiple of 16) on; returns the first address
 *  behind them. */
uint64_t packed_init(struct packed *drv, struct guest *guest, uint64_t gpa, uint16_t size);

/** The ring's addresses as SET_VRING_ADDR gives them. */
struct vring_addr packed_addr(const struct packed *drv);

/** Makes `vr` the device's side of this ring, started at `base`, which is right. */
void packed_connect(const struct packed *drv, struct vring_packed *vr, bool event_idx,
		    int64_t base);

/** Writes the next descriptor of the ring as an available one; `flags` are the others. */
void packed_desc(struct packed *drv, uint64_t addr, uint32_t len, uint16_t flags, uint16_t id);

/** Writes a descriptor of the ring, or of the table at `table_gpa`, as it is given. */
void packed_desc_at(struct packed *drv, uint64_t table_gpa, uint32_t i, uint64_t addr, uint32_t len,
		    uint16_t flags, uint16_t id);

uint16_t packed_flags(const struct packed *drv, uint16_t i);
void packed_used(const struct packed *drv, uint16_t i, uint16_t *ret_id, uint32_t *ret_len);

void packed_set_event(struct packed *drv, uint16_t off_wrap, uint16_t flags);
uint16_t packed_device_flags(const struct packed *drv);

#endif
