/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Moving a disk's virtqueues to other lcores. dev->placed says where each one belongs: a ring that
 * is started later starts there, one that runs is moved there by its lcores (engine/queue.h). Where
 * the disk has no lane yet, a JOB makes one first.
 *
 * Nothing waits. A move ends when the virtqueue is served by the other lcore, or is not served by
 * any; a deletion may begin in each of its steps, and ends it, too.
 */
#ifndef DEVICE_DEVICE_MOVE_H
#define DEVICE_DEVICE_MOVE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/thread_role.h"
#include "device/registry.h"

struct ring_run;

/** Some moves that somebody waits for together. CTRL's. */
struct move_op {
	registry_done_fn done;
	void *arg;
	struct device *dev;  /* for `done`; NULL: moves of several */
	unsigned int n_left; /* moves, and one while they are begun */
	struct error err;    /* of the first that failed */
};

/** One that has not ended. CTRL's. */
struct queue_move {
	struct move_op *op; /* NULL: there is none */
	uint16_t to;        /* lcores_nth() */
};

/** With one thing left to come: move_op_put(). NULL when memory is short. */
struct move_op *move_op_new(registry_done_fn done, void *arg, struct device *dev) IN_CTRL;

/** One thing less is left. After the last one `done` is called and the op freed. */
void move_op_put(struct move_op *op) IN_CTRL;

/** May this virtqueue be moved now? 0, or -1 with *err (BUSY). */
int device_check_move(const struct device *dev, uint16_t index, uint16_t to,
		      struct error *err) IN_CTRL;

/** Begins a move that was checked. */
void device_begin_move(struct device *dev, uint16_t index, uint16_t to, struct move_op *op) IN_CTRL;

/** An attached run goes to where it belongs, if it is elsewhere; else the move of its virtqueue, if
 *  there is one, has ended. */
void device_settle_run(struct device *dev, struct ring_run *run) IN_CTRL;

/** EVENT_QUEUE_MOVED. */
void device_on_run_moved(struct device *dev, struct ring_run *run) IN_CTRL;

/** The virtqueue is not served now: a move of it has ended, unless it waits for a lane. */
void device_end_move(struct device *dev, uint16_t index) IN_CTRL;

/** Is any of its virtqueues being moved? */
bool device_is_moving(const struct device *dev) IN_CTRL;

#endif
