/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What `device.show` tells of a device.
 */
#include <stdio.h>

#include "device/device.h"
#include "engine/lcore.h"

static void view_queue(const struct device *dev, uint16_t index, struct queue_view *v)
{
	const struct lane *lane = dev->endpoint.lanes[index];

	*v = (struct queue_view){
		.state = QUEUE_IDLE,
		.lcore = lane ? lcore_id(lane->lcore) : 0,
		.counters = &dev->counters[index],
	};
	/* The newest run stands for the ring; requests of all its runs are counted. */
	for (const struct ring_run *run = dev->runs; run; run = run->next) {
		struct queue *q = run->queue;

		if (q->index != index)
			continue;
		v->state = atomic_load_explicit(&q->state, memory_order_relaxed);
		v->ring_size = q->vr.size;
		v->n_inflight += atomic_load_explicit(&q->n_inflight, memory_order_relaxed);
		v->broken = v->state == QUEUE_BROKEN
				    ? atomic_load_explicit(&q->broken, memory_order_relaxed)
				    : NULL;
	}
}

static void say_what_it_waits_for(const struct device *dev, struct device_view *v)
{
	char requests[48] = "", peer[64] = "";

	switch (dev->state) {
	case DEVICE_NEW:
		snprintf(v->waits_for, sizeof(v->waits_for), "the store to open");
		return;
	case DEVICE_REMOVING:
		snprintf(v->waits_for, sizeof(v->waits_for), "the socket and the store to close");
		return;
	case DEVICE_QUIESCING:
		break;
	default:
		if (dev->job_running)
			snprintf(v->waits_for, sizeof(v->waits_for), "the store to be resized");
		else if (dev->closed_conns)
			snprintf(v->waits_for, sizeof(v->waits_for),
				 "%u requests of an earlier connection", v->n_inflight);
		return;
	}
	if (v->n_inflight)
		snprintf(requests, sizeof(requests), "%u requests in flight", v->n_inflight);
	if (dev->conn)
		snprintf(peer, sizeof(peer), "the connection of pid %d to close", dev->conn->pid);
	snprintf(v->waits_for, sizeof(v->waits_for), "%s%s%s%s", requests,
		 *requests && *peer ? ", " : "", peer,
		 dev->job_running ? " the store to be resized" : "");
}

void device_view_get(const struct device *dev, struct device_view *v)
{
	*v = (struct device_view){
		.spec = &dev->spec,
		.socket_path = dev->endpoint.path,
		.state = dev->state,
		.state_age_us = now_us() - dev->state_since_us,
		.deleting = dev->state >= DEVICE_QUIESCING,
		.connected = dev->conn != NULL,
		.n_connections = dev->n_opened,
		.capacity_bytes = counter_get(&dev->disk.capacity_sectors) * SECTOR_BYTES,
		.write_cache = atomic_load_explicit(&dev->disk.write_cache, memory_order_relaxed),
		.n_queues = dev->spec.n_queues,
	};
	if (dev->conn) {
		v->peer_pid = dev->conn->pid;
		v->peer_uid = dev->conn->uid;
		v->virtio_features =
			atomic_load_explicit(&dev->conn->features_view, memory_order_relaxed);
	}
	/* A JOB has the store while it opens or closes it. */
	if (dev->state != DEVICE_NEW && dev->state != DEVICE_REMOVING) {
		v->store_block_size_bytes = dev->store->caps.block_size_bytes;
		v->store_errors = counter_get(&dev->store->n_errors);
		for (uint16_t i = 0; i < v->n_queues; i++) {
			view_queue(dev, i, &v->queues[i]);
			v->n_inflight += v->queues[i].n_inflight;
		}
	}
	say_what_it_waits_for(dev, v);
}
