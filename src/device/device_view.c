/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What `device.show` tells of a device.
 */
#include "device/device.h"
#include "engine/lcore.h"

static void view_queue(const struct device *dev, uint16_t index, struct queue_view *v)
{

	*v = (struct queue_view){
		.state = QUEUE_IDLE,
		.lcore = lcore_id(lcores_nth(dev->lcores, dev->placed[index])),
		.load_ppm = dev->loads[index].ppm,
		.moving_to = -1,
		.counters = &dev->counters[index],
	};
	/* The newest run stands for the ring; requests of all its runs are counted. */
	for (const struct ring_run *run = dev->runs; run; run = run->next) {
		struct queue *q = run->queue;

		if (q->index != index)
			continue;
		v->lcore = lcore_id(run->lane->lcore);
		v->moving_to = run->state == RUN_MOVING ? (int)lcore_id(q->move_to->lcore) : -1;
		v->state = atomic_load_explicit(&q->state, memory_order_relaxed);
		v->ring_size = virtq_size(&q->vq);
		v->n_inflight += atomic_load_explicit(&q->n_inflight, memory_order_relaxed);
		v->broken = v->state == QUEUE_BROKEN
				    ? atomic_load_explicit(&q->broken, memory_order_relaxed)
				    : NULL;
	}
}

void device_view_get(const struct device *dev, struct device_view *v)
{
	*v = (struct device_view){
		.spec = &dev->spec,
		.socket_path = dev->endpoint.path,
		.state = dev->state,
		.state_age_us = now_us() - dev->state_since_us,
		.step = dev->watch.step,
		.step_age_us = now_us() - dev->watch.since_us,
		.n_overstays = dev->watch.n_overstays,
		.deleting = dev->state >= DEVICE_QUIESCING,
		.connected = dev->conn != NULL,
		.n_connections = dev->n_opened,
		.capacity_bytes = counter_get(&dev->disk.capacity_sectors) * SECTOR_BYTES,
		.store_state = dev->store_watch.state,
		.store_size_bytes = dev->store_watch.size_bytes,
		.write_cache = atomic_load_explicit(&dev->disk.write_cache, memory_order_relaxed),
		.n_queues = dev->spec.n_queues,
		.poll = dev->poll,
	};
	if (dev->conn) {
		v->peer_pid = dev->conn->pid;
		v->peer_uid = dev->conn->uid;
		v->virtio_features =
			atomic_load_explicit(&dev->conn->features_view, memory_order_relaxed);
	}
	for (uint16_t i = 0; i < v->n_queues; i++)
		v->queues[i].counters = &dev->counters[i];
	/* A JOB has the store while it opens or closes it. */
	if (device_is_open(dev)) {
		v->store_block_size_bytes = dev->store->caps.block_size_bytes;
		v->store_kind = dev->store->ops->kind;
		v->store_why = dev->store->why;
		v->store_errors = counter_get(&dev->store->n_errors);
		v->store_errnos = dev->store->n_errors_by_errno;
		v->store_helped = counter_get(&dev->store->n_helped);
		for (uint16_t i = 0; i < v->n_queues; i++) {
			view_queue(dev, i, &v->queues[i]);
			v->n_inflight += v->queues[i].n_inflight;
		}
	}
	device_pin_view(dev, &v->pin);
	device_step_describe(dev, v->waits_for, sizeof(v->waits_for));
}
