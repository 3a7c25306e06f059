/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/device_move.h"

#include <stdlib.h>

#include "base/log.h"
#include "device/device.h"
#include "device/device_resize.h"
#include "device/registry_impl.h"
#include "engine/lcore.h"

struct move_op *move_op_new(registry_done_fn done, void *arg, struct device *dev)
{
	struct move_op *op = calloc(1, sizeof(*op));

	if (op)
		*op = (struct move_op){.done = done, .arg = arg, .dev = dev, .n_left = 1};
	return op;
}

void move_op_put(struct move_op *op)
{
	if (--op->n_left)
		return;
	op->done(op->arg, op->dev, op->err.code == VHOSTD_ERR_OK ? NULL : &op->err);
	free(op);
}

static unsigned int lcore_of(const struct device *dev, uint16_t to)
{
	return lcore_id(lcores_nth(dev->lcores, to));
}

int device_check_move(const struct device *dev, uint16_t index, uint16_t to, struct error *err)
{
	const char *name = dev->spec.name;

	if (!device_is_open(dev) || dev->state == DEVICE_QUIESCING)
		return error_set(err, VHOSTD_ERR_BUSY, "\"%s\" is being added or deleted (%s)",
				 name, device_state_name(dev->state));
	if (dev->moves[index].op)
		return error_set(err, VHOSTD_ERR_BUSY,
				 "virtqueue %u of \"%s\" is being moved to lcore %u already", index,
				 name, lcore_of(dev, dev->moves[index].to));
	if (!dev->lanes[to].lane && dev->job_running)
		return error_set(err, VHOSTD_ERR_BUSY,
				 "\"%s\" is being resized or moved; it can go to lcore %u, where "
				 "it was not yet, after that",
				 name, lcore_of(dev, to));
	return 0;
}

static void end_move(struct device *dev, uint16_t index, const struct error *err) IN_CTRL
{
	struct move_op *op = dev->moves[index].op;

	if (!op)
		return;
	dev->moves[index] = (struct queue_move){0};
	if (err && op->err.code == VHOSTD_ERR_OK)
		op->err = *err;
	move_op_put(op);
}

/* Does it wait for a lane to go to? */
static bool waits_for_lane(const struct device *dev, uint16_t index)
{
	return dev->moves[index].op && dev->moves[index].to != dev->placed[index];
}

static void end_move_by_deletion(struct device *dev, uint16_t index) IN_CTRL
{
	struct error err = {.code = VHOSTD_ERR_OK};

	error_set(&err, VHOSTD_ERR_BUSY, "\"%s\" was deleted before it had moved", dev->spec.name);
	end_move(dev, index, &err);
}

void device_end_move(struct device *dev, uint16_t index)
{
	if (waits_for_lane(dev, index))
		return;
	if (dev->state == DEVICE_QUIESCING)
		end_move_by_deletion(dev, index);
	else
		end_move(dev, index, NULL);
}

void device_settle_run(struct device *dev, struct ring_run *run)
{
	struct queue *q = run->queue;
	struct lane *lane = dev->lanes[dev->placed[q->index]].lane;

	if (run->lane == lane) {
		device_end_move(dev, q->index);
		return;
	}
	run->state = RUN_MOVING;
	q->move_to = lane;
	msg_init(&q->move_msg, LCORE_MSG_MOVE);
	lcore_send(queue_home(q), &q->move_msg);
}

void device_on_run_moved(struct device *dev, struct ring_run *run)
{
	run->lane = run->queue->move_to;
	log_debug(dev->spec.name, "virtqueue %u is served by lcore %u now", run->queue->index,
		  lcore_id(run->lane->lcore));
	if (run->state != RUN_MOVING)
		return; /* it was stopped meanwhile */
	run->state = RUN_ATTACHED;
	device_fence_moved(run);
	device_settle_run(dev, run);
}

/* The lane is there: says that the virtqueue belongs to it, and has the run that is served go. */
static void place(struct device *dev, uint16_t index) IN_CTRL
{
	uint16_t to = dev->moves[index].to;

	dev->placed[index] = to;
	/* Partner: conn.c, where a ring is started. */
	atomic_store_explicit(&dev->endpoint.lanes[index], dev->lanes[to].lane,
			      memory_order_release);
	for (struct ring_run *run = dev->runs; run; run = run->next) {
		if (run->queue->index != index)
			continue;
		if (run->state == RUN_MOVING)
			return;
		if (run->state == RUN_ATTACHED) {
			device_settle_run(dev, run);
			return;
		}
	}
	device_end_move(dev, index);
}

static void open_lane_run(struct job *job)
{
	struct device *dev = container_of(job, struct device, job);

	role_assert(&role_job);
	job_say(job, "making a channel to the store");
	device_open_lane(dev, dev->opening.lcore, &dev->opening.lane, &dev->job_error);
}

static void go_on(struct device *dev) IN_CTRL;

static void open_lane_done(struct job *job)
{
	struct device *dev = container_of(job, struct device, job);
	uint16_t lcore = dev->opening.lcore;

	role_assert(&role_ctrl);
	dev->job_running = false;
	dev->lanes[lcore].lane = dev->opening.lane;
	for (uint16_t i = 0; i < dev->spec.n_queues; i++)
		if (!dev->opening.lane && waits_for_lane(dev, i) && dev->moves[i].to == lcore)
			end_move(dev, i, &dev->job_error);
	device_pin_settle(dev);
	go_on(dev);
	registry_remove_if_quiet(dev->registry, dev);
	device_step_update(dev);
}

static void open_lane(struct device *dev, uint16_t lcore) IN_CTRL
{
	dev->opening.lcore = lcore;
	dev->opening.lane = NULL;
	dev->job_error = (struct error){.code = VHOSTD_ERR_OK};
	dev->job_running = true;
	job_start(registry_jobs(dev->registry), &dev->job, "open a channel", open_lane_run,
		  open_lane_done);
}

/* Moves that waited for a lane: to where it is there now, else a JOB makes it. */
static void go_on(struct device *dev)
{
	for (uint16_t i = 0; i < dev->spec.n_queues; i++) {
		uint16_t to = dev->moves[i].to;

		if (!waits_for_lane(dev, i))
			continue;
		if (dev->state == DEVICE_QUIESCING)
			end_move_by_deletion(dev, i);
		else if (dev->lanes[to].lane)
			place(dev, i);
		else if (!dev->job_running)
			open_lane(dev, to);
	}
}

void device_begin_move(struct device *dev, uint16_t index, uint16_t to, struct move_op *op)
{
	op->n_left++;
	dev->moves[index] = (struct queue_move){.op = op, .to = to};
	if (to == dev->placed[index])
		place(dev, index);
	else
		go_on(dev);
	device_step_update(dev);
}

bool device_is_moving(const struct device *dev)
{
	for (const struct ring_run *run = dev->runs; run; run = run->next)
		if (run->state == RUN_MOVING)
			return true;
	for (uint16_t i = 0; i < dev->spec.n_queues; i++)
		if (dev->moves[i].op)
			return true;
	return false;
}
