/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The one reader of the events from lcores, VHOST and JOBs.
 */
#include "device/events.h"
#include "device/registry_impl.h"
#include "device/stray_fds.h"

#define EVENTS_AT_ONCE 64
#define ROUNDS_AT_ONCE 16

static struct ring_run *run_of(struct queue *q)
{
	return q->owner;
}

static struct device *on_visitor(struct registry *r, struct visitor *visitor) IN_CTRL
{
	struct device *dev = visitor->endpoint->device;
	struct conn *conn = admission_on_answer(&r->admission, visitor);

	if (conn)
		device_on_conn_opened(dev, conn);
	return dev;
}

/* Those about guests' memory. Returns the device it was about, NULL for none. */
static struct device *handle_memory_event(struct registry *r, struct msg *msg) IN_CTRL
{
	struct guest_map *map;
	struct device *dev;

	switch (msg->kind) {
	case EVENT_MAP_UNUSED:
		guest_map_unuse(container_of(msg, struct map_use, msg), &r->jobs);
		return NULL;
	case EVENT_MAP_DROP:
		guest_map_put(container_of(msg, struct guest_map, drop_msg), &r->jobs);
		return NULL;
	case EVENT_MAP_SET:
		map = container_of(msg, struct guest_map, set_msg);
		device_pin_on_map(map->conn->endpoint->device, map);
		return NULL;
	case EVENT_LANE_PINNED:
		dev = container_of(msg, struct device, pin.msg.msg);
		device_pin_on_told(dev);
		return dev;
	default:
		CHECK(false, "every event has a handler");
		return NULL;
	}
}

/* From an lcore. Returns the device it was about, NULL for none. */
static struct device *handle_queue_event(struct msg *msg) IN_CTRL
{
	struct ring_run *run;
	struct device *dev;

	switch ((enum engine_event)msg->kind) {
	case EVENT_QUEUE_DRAINED:
		run = run_of(container_of(msg, struct queue, drained_msg));
		dev = run->conn->endpoint->device;
		device_on_run_drained(dev, run);
		return dev;
	case EVENT_QUEUE_MOVED:
		run = run_of(container_of(msg, struct queue, moved_msg));
		dev = run->conn->endpoint->device;
		device_on_run_moved(dev, run);
		return dev;
	case EVENT_QUEUE_FENCED:
		run = run_of(container_of(msg, struct queue, fence_msg));
		dev = run->conn->endpoint->device;
		device_on_run_fenced(dev, run);
		return dev;
	case EVENT_QUEUE_BROKEN:
		run = run_of(container_of(msg, struct queue, broken_msg));
		device_on_run_broken(run->conn->endpoint->device, run);
		return NULL;
	case EVENT_MAP_UNUSED:
	case EVENT_LANE_PINNED:
	case ENGINE_EVENTS_END:
		break;
	}
	return NULL;
}

/* Returns the device it was about, NULL for none. */
static struct device *handle_event(struct registry *r, struct msg *msg) IN_CTRL
{
	struct ring_run *run;
	struct device *dev;
	struct conn *conn;

	switch (msg->kind) {
	case EVENT_QUEUE_DRAINED:
	case EVENT_QUEUE_MOVED:
	case EVENT_QUEUE_FENCED:
	case EVENT_QUEUE_BROKEN:
		return handle_queue_event(msg);
	case EVENT_RUN_START:
		run = container_of(msg, struct ring_run, start_msg);
		device_on_run_start(run->conn->endpoint->device, run);
		return NULL;
	case EVENT_RUN_STOP:
		run = container_of(msg, struct ring_run, stop_msg);
		dev = run->conn->endpoint->device;
		device_on_run_stop(dev, run);
		return dev;
	case EVENT_VISITOR:
		return on_visitor(r, container_of(msg, struct visitor, msg));
	case EVENT_CONN_CLOSED:
		conn = container_of(msg, struct conn, closed_msg);
		dev = conn->endpoint->device;
		device_on_conn_closed(dev, conn);
		return dev;
	case EVENT_CONN_GONE:
		conn = container_of(msg, struct conn, gone_msg);
		dev = conn->endpoint->device;
		device_on_conn_gone(dev, conn);
		return dev;
	case EVENT_BACKEND_FD:
		conn_take_backend_fd(container_of(msg, struct backend_fd, msg));
		return NULL;
	case EVENT_STRAY_FDS:
		stray_fds_close(container_of(msg, struct stray_fds, msg), &r->jobs);
		return NULL;
	case EVENT_JOB_DONE:
		job_finish(container_of(msg, struct job, msg));
		return NULL;
	default:
		return handle_memory_event(r, msg);
	}
}

/* Bounded: a front end that floods us must not keep CTRL from its clients. */
void registry_on_events(struct registry *r)
{
	struct msg *msgs[EVENTS_AT_ONCE];
	unsigned int n, rounds = 0;

	do {
		n = mbox_receive(r->params.events, msgs, EVENTS_AT_ONCE);
		for (unsigned int i = 0; i < n; i++) {
			struct device *dev = handle_event(r, msgs[i]);

			if (!dev)
				continue;
			registry_remove_if_quiet(r, dev);
			device_step_update(dev);
		}
	} while (n == EVENTS_AT_ONCE && ++rounds < ROUNDS_AT_ONCE);
	if (n == EVENTS_AT_ONCE || mbox_is_behind(r->params.events))
		mbox_rearm(r->params.events);
}
