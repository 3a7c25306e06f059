/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The packed half of vfe_ring.h, whose functions of the same names have the contracts.
 */
#ifndef VFE_RING_PACKED_H
#define VFE_RING_PACKED_H

#include "vfe_ring.h"

#define VFE_PACKED_AVAIL (1u << VRING_PACKED_DESC_F_AVAIL)
#define VFE_PACKED_USED  (1u << VRING_PACKED_DESC_F_USED)

int vfe_packed_alloc(struct vfe_ring *ring);
void vfe_packed_reset(struct vfe_ring *ring, uint16_t base);
int vfe_packed_add(struct vfe_ring *ring, const struct vfe_seg *seg, unsigned int n_segs,
		   void *token);
int vfe_packed_add_indirect(struct vfe_ring *ring, const struct vfe_seg *seg, unsigned int n_segs,
			    void *token);
void vfe_packed_publish(struct vfe_ring *ring);
bool vfe_packed_kick_wanted(struct vfe_ring *ring);
int vfe_packed_poll(struct vfe_ring *ring, struct vfe_used *ret_used);
void vfe_packed_interrupts(struct vfe_ring *ring, bool on);
void vfe_packed_interrupt_at(struct vfe_ring *ring, uint16_t n_ahead);
uint16_t vfe_packed_n_pending(const struct vfe_ring *ring);
uint32_t vfe_packed_expected_base(const struct vfe_ring *ring);
bool vfe_packed_base_ok(const struct vfe_ring *ring, uint32_t base);

#endif
