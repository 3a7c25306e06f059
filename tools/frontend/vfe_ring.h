/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A split virtqueue, driver side (virtio 1.2, 2.7). The rings lie in guest memory; chains are made
 * of any list of segments, direct or in an indirect table. Notifications follow the specification
 * in both directions, with EVENT_IDX or with the two flags, and are counted.
 *
 * One thread uses a ring. The fields of struct vfe_ring may be read by anyone; the tests that play
 * a hostile driver also write through `desc`, `avail` and `used`.
 */
#ifndef VFE_RING_H
#define VFE_RING_H

#include <stdbool.h>
#include <stdint.h>

#include <linux/virtio_ring.h>

#include "vfe_mem.h"

#define VFE_RING_SIZE_MAX 1024

struct vfe_seg {
	uint64_t gpa;
	uint32_t n_bytes;
	bool writable; /* by the device */
};

struct vfe_ring_opts {
	uint16_t size;       /* a power of two, 1..VFE_RING_SIZE_MAX */
	uint16_t n_indirect; /* longest indirect table; 0: no indirect tables */
	unsigned int region; /* the memory region for the three rings */
	uint16_t align;      /* of each of the three, a power of two; 0: no more than they need */
	bool event_idx;      /* VIRTIO_F_EVENT_IDX was negotiated */
};

struct vfe_slot {
	void *token;     /* NULL while no chain starts here */
	uint16_t n_desc; /* descriptors of the ring that the chain holds */
};

struct vfe_ring_counters {
	uint64_t n_kicks;
	uint64_t n_kicks_suppressed; /* the device did not want one */
	uint64_t n_interrupts;       /* sum of what was read from the call descriptor */
	uint64_t n_waits;            /* times that vfe_ring_wait() really slept */
	uint64_t n_lost;             /* entries came, their interrupt did not */
	uint64_t n_used;
};

struct vfe_ring {
	struct vfe_mem *mem;
	struct vfe_ring_opts opts;
	uint64_t desc_gpa, avail_gpa, used_gpa, indirect_gpa;
	struct vring_desc *desc; /* and one more behind the table, as bait for a bad index */
	struct vring_avail *avail;
	struct vring_used *used;
	struct vfe_slot *slot; /* by head */
	uint16_t *free_desc;   /* a stack of the descriptors that are free */
	uint16_t n_free;
	uint16_t next_avail_idx; /* behind the last chain added */
	uint16_t published_idx;  /* what the device sees as avail->idx */
	uint16_t kicked_idx;     /* published_idx at the last decision on a kick */
	uint16_t used_idx;       /* entries taken from the used ring */
	int kick_fd, call_fd;    /* eventfds, made by vfe_ring_init() */
	struct vfe_ring_counters counters;
};

struct vfe_used {
	void *token;
	uint16_t head;
	uint32_t n_bytes; /* the used element's len */
};

/* Allocate the rings in guest memory, and two eventfds. 0 or -errno; _fini undoes it. */
int vfe_ring_init(struct vfe_ring *ring, struct vfe_mem *mem, const struct vfe_ring_opts *opts);
void vfe_ring_fini(struct vfe_ring *ring);

/*
 * Forget every chain and start again at index `base`, as a driver does after a device reset: the
 * rings are cleared, both of their indices stand at `base`. Only while the device is stopped.
 */
void vfe_ring_reset(struct vfe_ring *ring, uint16_t base);

/*
 * Add a chain of `n_segs` segments; not visible to the device before vfe_ring_publish(). `token`
 * (not NULL) comes back with the used entry. Returns the head, -ENOSPC when descriptors are short
 * (or the indirect table is), -EINVAL for an empty chain.
 */
int vfe_ring_add(struct vfe_ring *ring, const struct vfe_seg *seg, unsigned int n_segs,
		 void *token);
int vfe_ring_add_indirect(struct vfe_ring *ring, const struct vfe_seg *seg, unsigned int n_segs,
			  void *token);

/*
 * Put `head` into the avail ring as it is, even when it names no chain: for broken rings. Not
 * visible before vfe_ring_publish().
 */
void vfe_ring_offer(struct vfe_ring *ring, uint16_t head);

/* Make all added chains visible to the device; true when there were any. */
bool vfe_ring_publish(struct vfe_ring *ring);

/* Kick if the device asked for it (EVENT_IDX or flag). Returns whether it was kicked. */
bool vfe_ring_kick(struct vfe_ring *ring);
void vfe_ring_kick_always(struct vfe_ring *ring);

/*
 * Take one entry from the used ring. 1 and *ret_used; 0 when there is none; -EPROTO when the device
 * named a head that it does not have, or moved its index further than chains were out.
 */
int vfe_ring_poll(struct vfe_ring *ring, struct vfe_used *ret_used);

/*
 * Sleep on the call descriptor until the used ring has entries: asks for the interrupt, looks
 * again, sleeps. 0 when there is something to poll; -ETIMEDOUT when nothing came; -EIO when entries
 * came but their interrupt was not sent within `timeout_ms` (also counted in n_lost).
 */
int vfe_ring_wait(struct vfe_ring *ring, int timeout_ms);

/*
 * Ask for no interrupts (polling) or for interrupts again. Without EVENT_IDX this is the
 * VRING_AVAIL_F_NO_INTERRUPT flag; with it, used_event is put half the index space behind.
 */
void vfe_ring_interrupts(struct vfe_ring *ring, bool on);

/* Interrupts that wait in the call descriptor now; they count as received. */
uint64_t vfe_ring_drain_calls(struct vfe_ring *ring);

/* Chains that the device has not returned. */
uint16_t vfe_ring_in_flight(const struct vfe_ring *ring);

#endif
