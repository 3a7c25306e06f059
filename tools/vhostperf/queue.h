/* SPDX-License-Identifier: BSD-3-Clause
 *
 * One virtqueue's load: its request slots, which go out again as soon as they come back. A turn
 * takes a bounded batch from the ring, records and checks it, chooses what is next and puts it.
 *
 * One worker thread uses a queue.
 */
#ifndef VHOSTPERF_QUEUE_H
#define VHOSTPERF_QUEUE_H

#include <linux/virtio_blk.h>
#include <stdbool.h>
#include <stdint.h>

#include "observer.h"
#include "plan.h"
#include "ring.h"
#include "verify.h"

/* Most requests of one turn: it takes a few microseconds, so that looks are close together. */
#define QUEUE_BATCH          32
#define QUEUE_BATCH_VERIFIED 4

/* One of each kind is printed for all the run. */
struct complaints {
	bool io_error, mismatch; /* atomic: was printed */
};

enum queue_mode {
	QUEUE_LOAD,
	QUEUE_DRAIN,     /* nothing new is put */
	QUEUE_READ_BACK, /* what --verify has written is read once more */
};

struct request {
	struct virtio_blk_outhdr *header;
	uint8_t *status;
	uint8_t *data;
	uint64_t submit_ticks;
	uint64_t away_ticks; /* the observer's at that time */
	uint64_t block;
	uint32_t generation; /* of a write, with --verify */
	bool is_write;
};

struct __attribute__((aligned(CACHE_LINE))) queue { /* neighbours may be other threads' */
	struct ring ring;
	struct ring_slot *place; /* by slot */
	struct request *request; /* by slot */
	struct plan plan;
	struct verify *verify; /* NULL without --verify */
	struct complaints *complaints;
	uint32_t block_sectors;
	unsigned int batch;
	enum queue_mode mode;
	unsigned int n_out;
	uint64_t last_ticks;      /* of the last completion, or of the start */
	uint64_t last_away_ticks; /* the observer's at that time */
};

/** The first requests of a mode: every slot that is not out. */
void queue_begin(struct queue *queue, enum queue_mode mode, struct observer *ob);

/** How many requests have come back, or -EPROTO. */
int queue_turn(struct queue *queue, struct observer *ob);

/** The phase ends: time without a completion that has not ended yet counts, too. */
void queue_end_phase(const struct queue *queue, struct observer *ob, uint64_t now);

#endif
