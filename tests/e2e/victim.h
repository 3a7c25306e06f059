/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a driver that breaks the rules of a ring may do harm to, and the check that it did none:
 * another queue of the same device and another device go on, the daemon lives, it does not fill its
 * log, and the queue works again once the driver has reset the device.
 */
#ifndef VICTIM_H
#define VICTIM_H

#include "fixture.h"

#define VICTIM_RING_SIZE 128
#define VICTIM_LOG_LINES 100

/* Between its memory regions. */
#define VICTIM_HOLE_GPA 0x40000000ull

/* The last region: where it begins and ends. */
#define VICTIM_LAST_GPA 0x80000000ull
#define VICTIM_END_GPA  (VICTIM_LAST_GPA + (4u << 20))

struct victim {
	struct td_disk *disk;
	struct vfe_blk *blk;
	struct vfe_ring *ring;    /* queue 0: the one that gets broken */
	struct vfe_io *bystander; /* queue 1 of the same device */
	struct vfe_io *other;     /* another device */
	uint64_t header_gpa, data_gpa, status_gpa, table_gpa;
	struct vring_desc *table; /* room for 256 */
	int log_lines;
	bool may_succeed; /* the rule that is broken leaves the request itself readable */
};

/* The disks and sessions; both serve. */
void victim_init(struct victim *v);

uint8_t victim_status(struct victim *v);

/* Reset by the driver: stopped, cleared, started; on qemu-storage-daemon: connected again. */
void victim_reset(struct victim *v);

/* The queue was broken just now: everything that must hold afterwards. */
void victim_check(struct victim *v);

#endif
