/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A virtqueue, driver side: split (virtio 1.2, 2.7) or packed (2.8), behind the same functions. The
 * rings lie in guest memory; chains are made of any list of segments, direct or in an indirect
 * table. Notifications follow the specification in both directions, with EVENT_IDX or with the
 * flags, and are counted.
 *
 * One thread uses a ring. The fields of struct vfe_ring may be read by anyone; the tests that play
 * a hostile driver also write through `desc`, `avail` and `used`, or `packed.desc`.
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
	uint16_t size;       /* 1..VFE_RING_SIZE_MAX; of a split ring a power of two */
	uint16_t n_indirect; /* longest indirect table; 0: no indirect tables */
	unsigned int region; /* the memory region for the three rings */
	uint16_t align;      /* of each of the three, a power of two; 0: no more than they need */
	bool event_idx;      /* VIRTIO_F_EVENT_IDX was negotiated */
	bool packed;         /* VIRTIO_F_RING_PACKED was negotiated */
};

struct vfe_slot {
	void *token;     /* NULL while no chain starts here, or has this id */
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

/* A place in a packed ring: descriptor and wrap counter. */
struct vfe_pos {
	uint16_t idx;
	bool wrap;
};

/* What only a packed ring has. */
struct vfe_packed {
	struct vring_packed_desc *desc; /* and one more behind the ring, as bait */
	struct vring_packed_desc_event *driver_event;
	const struct vring_packed_desc_event *device_event;
	struct vfe_pos next;      /* behind the last chain added */
	struct vfe_pos first;     /* of the chains that are not published */
	uint16_t first_flags;     /* the flags of its first descriptor, to be written last */
	struct vfe_pos published; /* what the device may see of `next` */
	struct vfe_pos kicked;    /* `published` at the last decision on a kick */
	struct vfe_pos used;      /* where the next used descriptor comes */
	uint16_t n_free_desc;
};

struct vfe_ring {
	struct vfe_mem *mem;
	struct vfe_ring_opts opts;
	uint64_t desc_gpa, avail_gpa, used_gpa, indirect_gpa;
	struct vring_desc *desc; /* and one more behind the table, as bait for a bad index */
	struct vring_avail *avail;
	struct vring_used *used;
	struct vfe_packed packed; /* in place of these three */
	struct vfe_slot *slot;    /* by head, or by id */
	uint16_t *free_desc;      /* a stack of the descriptors, or ids, that are free */
	uint16_t n_free;
	/* Chains so far, modulo 2^16; in a split ring they are its indices. */
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
 * rings are cleared, both of their indices stand at `base` (a packed ring's at descriptor `base`
 * with wrap counters of 1). Only while the device is stopped.
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
 * Put `head` into the avail ring as it is, even when it names no chain: for broken split rings. Not
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
 * VRING_AVAIL_F_NO_INTERRUPT flag; with it, used_event is put half the index space behind. A packed
 * ring has flags for all three.
 */
void vfe_ring_interrupts(struct vfe_ring *ring, bool on);

/* With EVENT_IDX: ask for one interrupt, when the entry behind the next `n_ahead` ones is used; in
 * a packed ring these are descriptors. */
void vfe_ring_interrupt_at(struct vfe_ring *ring, uint16_t n_ahead);

/* Interrupts that wait in the call descriptor now; they count as received. */
uint64_t vfe_ring_drain_calls(struct vfe_ring *ring);

/* Chains that the device has not returned, or that were not taken from the ring. */
uint16_t vfe_ring_in_flight(const struct vfe_ring *ring);

/* Entries that the device has returned and that were not taken. */
uint16_t vfe_ring_n_pending(const struct vfe_ring *ring);

/*
 * What GET_VRING_BASE must say when the device has ended all that it took: where its used entries
 * end, in the format of the message.
 */
uint32_t vfe_ring_expected_base(const struct vfe_ring *ring);

/* Is `base` a place between the device's last used entry and the last chain published? */
bool vfe_ring_base_ok(const struct vfe_ring *ring, uint32_t base);

/* What a ring that starts at `base` (vfe_ring_reset()) has to send as SET_VRING_BASE. */
uint32_t vfe_ring_start_base(const struct vfe_ring *ring, uint16_t base);

#endif
