/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The connection to the back end: negotiation, the disk's facts, guest memory, and a queue with its
 * slots for each virtqueue. The main thread's, but for the queues, which the workers use.
 */
#ifndef VHOSTPERF_DISK_H
#define VHOSTPERF_DISK_H

#include "exit_codes.h"
#include "options.h"
#include "queue.h"
#include "vfe_blk.h"

struct disk {
	struct vfe_blk blk;
	struct virtio_blk_config config;
	uint64_t capacity_bytes;
	uint64_t used_bytes; /* that the load goes over */
	bool indirect, event_idx;
	unsigned int n_queues;
	struct queue *queue;
	struct verify *verify; /* of each queue, with --verify */
	struct complaints complaints;
};

/** Connects, checks that the disk has what the options ask for, and starts it. EXIT_OK, or another
 *  with the reason printed; disk_close() is due in either case. */
enum exit_code disk_open(struct disk *disk, const struct options *options);

/** Stops the virtqueues first, if `stop`. */
void disk_close(struct disk *disk, bool stop);

#endif
