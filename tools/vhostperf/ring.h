/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A virtqueue seen from the load: request slots are put on it and taken off it again, in batches.
 * Each slot's descriptors are made once, so that a put writes no more than the ring itself. A
 * format of rings is one file with one struct ring_ops.
 *
 * One thread uses a ring. Memory, addresses and eventfds are the struct vfe_ring's, which outlives
 * this.
 */
#ifndef VHOSTPERF_RING_H
#define VHOSTPERF_RING_H

#include <stdbool.h>
#include <stdint.h>

#include <linux/virtio_ring.h>

#include "vfe_ring.h"

#define RING_SIZE_MAX VFE_RING_SIZE_MAX

/* Descriptors of a request: header, data, status. */
#define RING_CHAIN 3

/* Where a slot's parts lie. */
struct ring_slot {
	uint64_t header_gpa;
	uint64_t data_gpa;
	uint64_t status_gpa;
	uint64_t table_gpa; /* of the indirect table: RING_CHAIN descriptors of 16 bytes */
	void *table;        /* the same, for us */
};

struct ring_split {
	uint16_t mask;
	uint16_t avail_idx;  /* behind what was put */
	uint16_t used_idx;   /* behind what was taken */
	uint16_t kicked_idx; /* avail_idx when it was last asked whether to kick */
	uint16_t quiet_idx;  /* used_idx when interrupts were last put off */
};

/* Places are descriptors; where the wrap counter is 0, plus the ring's size. */
struct ring_packed {
	uint16_t size;
	uint16_t n_descs;   /* of a slot, in the ring */
	uint16_t avail_pos; /* behind what was put */
	uint16_t used_pos;  /* behind what was taken */
	uint16_t n_put;     /* descriptors since it was last asked whether to kick */
};

struct ring {
	const struct ring_ops *ops;
	struct vfe_ring *vfe;
	const struct ring_slot *slot;
	uint16_t n_slots;
	uint32_t data_bytes; /* of each slot */
	bool indirect;
	bool event_idx;

	union { /* the format's own */
		struct ring_split split;
		struct ring_packed packed;
	};
	bool wants_interrupts;
	bool is_out[RING_SIZE_MAX]; /* by slot */
};

struct ring_ops {
	const char *name;

	/** Entries that `n_slots` slots need; may be more than RING_SIZE_MAX. */
	unsigned int (*entries)(unsigned int n_slots, bool indirect);

	/** Makes the descriptors of all slots; the fields above are set. The data of every slot is
	 *  for reading: written by the device. */
	void (*init)(struct ring *ring);

	/** Whether the device writes a slot's data from now on. Not while it is out. */
	void (*turn)(struct ring *ring, uint16_t slot, bool device_writes);

	/** Shows the device `n` slots, none of which is out, at once. */
	void (*put)(struct ring *ring, const uint16_t *slot, unsigned int n);

	/** Whether the device wants a kick for what was put since the last call. */
	bool (*kick_wanted)(struct ring *ring);

	/** Up to `max` slots that the device has done with. How many, or -EPROTO when it returns
	 *  one that is not out. */
	int (*take)(struct ring *ring, uint16_t *ret_slot, unsigned int max);

	/** Whether take() would find one. */
	bool (*has_used)(const struct ring *ring);

	/** Asks for an interrupt with the next slot that is used, or for none. Whoever then sleeps
	 *  looks at has_used() first. */
	void (*interrupts)(struct ring *ring, bool on);
};

extern const struct ring_ops ring_split_ops;
extern const struct ring_ops ring_packed_ops;

#endif
