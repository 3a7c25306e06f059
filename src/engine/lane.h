/* SPDX-License-Identifier: BSD-3-Clause
 *
 * One device on one lcore: its channel to the store and the device's virtqueues that this lcore
 * serves. All requests of a turn go to the store in one call.
 */
#ifndef ENGINE_LANE_H
#define ENGINE_LANE_H

#include "engine/queue.h"
#include "engine/turn.h"

struct lane {
	struct store_channel *channel;
	const struct blk_disk *disk;
	struct lcore *lcore;
	uint32_t device; /* the disk's number, for turn_cause */
	/* lcore's */
	struct queue *queues; /* attached ones */
	struct lane *next;    /* among the lcore's lanes with a queue */
};

/** Makes the lane and its channel; `device` is the disk's number. 0, or -1 with *err set. */
int lane_new(struct lcore *lcore, struct store *store, const struct blk_disk *disk, uint32_t device,
	     struct lane **ret_lane, struct error *err) IN_JOB;

/** No queue is attached. */
void lane_free(struct lane *lane) IN_JOB;

/** One turn: fetch, submit, reap, publish. Returns how many requests moved. Queues that have
 * drained are put into the list *drained: queue_drained() is due for them once the lane is not
 * touched any more, because CTRL may have it freed then. */
unsigned int lane_turn(struct lane *lane, struct turn_clock *clock,
		       struct queue **drained) IN_LCORE;

void lane_add_queue(struct lane *lane, struct queue *queue) IN_LCORE;

/* Between queue.c, queue_io.c and lane.c. */
void queue_break(struct queue *queue, const char *why) IN_LCORE;
void queue_notify(struct queue *queue) IN_LCORE;
void queue_map_put(struct queue *queue, struct map_use *use) IN_LCORE;
void queue_drained(struct queue *queue) IN_LCORE;

#endif
