/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A virtqueue whose next request is over a limit of its disk: it is held, and nothing is taken from
 * its ring, until the limit allows it. Requests are taken in their order, so what stands behind
 * waits as well. A request that waits in the ring is not in flight: a deletion or a reset of the
 * device does not wait for it.
 */
#include "base/compiler.h"
#include "engine/lane.h"
#include "engine/queue.h"

/* The class of requests that are limited; QOS_N_CLASSES: of none. */
static enum qos_class class_of(uint32_t type)
{
	switch (type) {
	case VIRTIO_BLK_T_IN:
		return QOS_READ;
	case VIRTIO_BLK_T_OUT:
	case VIRTIO_BLK_T_DISCARD:
	case VIRTIO_BLK_T_WRITE_ZEROES:
		return QOS_WRITE;
	default:
		return QOS_N_CLASSES;
	}
}

bool queue_admits(struct queue *q, uint32_t type)
{
	enum qos_class class = class_of(type);

	return class == QOS_N_CLASSES || qos_share_admits(&q->lane->qos, class, &q->held_until_tsc);
}

static uint64_t n_bytes_of(const struct request *req)
{
	uint64_t n_sectors = 0;

	if (req->type == VIRTIO_BLK_T_DISCARD)
		return 0;
	if (req->type != VIRTIO_BLK_T_WRITE_ZEROES)
		return req->io.n_bytes;
	for (unsigned int i = 0; i < req->n_ranges; i++)
		n_sectors += req->ranges[i].n_sectors;
	return n_sectors * SECTOR_BYTES;
}

void queue_pay(struct queue *q, const struct request *req)
{
	enum qos_class class = class_of(req->type);

	if (class != QOS_N_CLASSES)
		qos_share_pay(&q->lane->qos, class, n_bytes_of(req));
}

static void account_time(struct queue *q)
{
	const struct qos_share *qos = &q->lane->qos;
	uint64_t us = (qos->now_tsc - q->held_since_tsc) / qos->us_tsc;

	counter_add(&q->counters->throttled_us, us);
	q->held_since_tsc += us * qos->us_tsc;
}

void queue_account_hold(struct queue *q, unsigned int n_begun)
{
	if (q->held_since_tsc) {
		account_time(q);
		counter_add(&q->counters->throttled, n_begun);
	} else if (queue_is_held(q)) {
		q->held_since_tsc = q->lane->qos.now_tsc;
	}
}

void queue_caught_up(struct queue *q)
{
	if (q->held_since_tsc)
		account_time(q);
	q->held_since_tsc = 0;
}

void queue_release(struct queue *q)
{
	queue_caught_up(q);
	q->held_until_tsc = 0;
}
