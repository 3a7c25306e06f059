/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The driver's side of a split virtqueue, for tests: writes descriptors and the available ring,
 * reads the used ring. Places each field by the layout of virtio 1.2 section 2.7 as numbers of its
 * own, not by <linux/virtio_ring.h>.
 */
#ifndef UNIT_DRIVER_H
#define UNIT_DRIVER_H

#include <stdbool.h>
#include <stdint.h>

#include "guest.h"
#include "pure/vring_split.h"

/* 2.7.5: flags of a descriptor. */
#define DESC_NEXT     1
#define DESC_WRITE    2
#define DESC_INDIRECT 4

#define DESC_BYTES 16

struct driver {
	struct guest *guest;
	uint16_t size;
	uint64_t desc_gpa;
	uint64_t avail_gpa;
	uint64_t used_gpa;
	uint16_t avail_idx; /* what was published last */
};

/** Lays the three parts of a ring out from `gpa` (a multiple of 16) on; returns the first address
 *  behind them. */
uint64_t driver_init(struct driver *drv, struct guest *guest, uint64_t gpa, uint16_t size);

/** The ring's addresses as SET_VRING_ADDR gives them. */
struct vring_addr driver_addr(const struct driver *drv);

/** Makes `vr` the device's side of this ring, started at `base` (vring_split_start()). */
void driver_connect(const struct driver *drv, struct vring_split *vr, bool event_idx, int32_t base);

/** Writes descriptor i of the ring's table, or of the table at `table_gpa`. */
void driver_desc(struct driver *drv, uint32_t i, uint64_t addr, uint32_t len, uint16_t flags,
		 uint16_t next);
void driver_desc_at(struct driver *drv, uint64_t table_gpa, uint32_t i, uint64_t addr, uint32_t len,
		    uint16_t flags, uint16_t next);

/** Puts `head` into the available ring and publishes it. */
void driver_offer(struct driver *drv, uint16_t head);

/** Publishes the available index as it is given. */
void driver_set_avail_idx(struct driver *drv, uint16_t idx);

void driver_set_avail_flags(struct driver *drv, uint16_t flags);
void driver_set_used_event(struct driver *drv, uint16_t idx);

uint16_t driver_used_flags(const struct driver *drv);
uint16_t driver_used_idx(const struct driver *drv);
void driver_set_used_idx(struct driver *drv, uint16_t idx);
uint16_t driver_avail_event(const struct driver *drv);

/** The used element in slot `slot`. */
void driver_used_elem(const struct driver *drv, uint16_t slot, uint32_t *ret_id, uint32_t *ret_len);

#endif
