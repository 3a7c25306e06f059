/* SPDX-License-Identifier: BSD-3-Clause */
#include "engine/lane.h"

#include <stdlib.h>

#define BATCH_MAX 256
#define REAP_MAX  64

int lane_new(struct lcore *lcore, struct store *store, const struct blk_disk *disk,
	     struct lane **ret_lane, struct error *err)
{
	struct lane *lane = calloc(1, sizeof(*lane));

	if (!lane)
		return error_set(err, VHOSTD_ERR_INTERNAL, "out of memory");
	if (store_channel_open(store, &lane->channel, err)) {
		free(lane);
		return -1;
	}
	lane->lcore = lcore;
	lane->disk = disk;
	*ret_lane = lane;
	return 0;
}

void lane_free(struct lane *lane)
{
	CHECK(!lane->queues, "no queue is attached to a lane that is freed");
	store_channel_close(lane->channel);
	free(lane);
}

void lane_add_queue(struct lane *lane, struct queue *q)
{
	q->next = lane->queues;
	lane->queues = q;
}

static unsigned int fetch_and_submit(struct lane *lane) IN_LCORE
{
	struct store_io *ios[BATCH_MAX];
	unsigned int n = 0, total = 0;

	for (struct queue *q = lane->queues; q; q = q->next) {
		if (atomic_load_explicit(&q->state, memory_order_relaxed) != QUEUE_POLLING)
			continue;
		n += queue_fetch(q, ios + n, BATCH_MAX - n);
		if (n < BATCH_MAX)
			continue;
		store_submit(lane->channel, ios, n);
		total += n;
		n = 0;
	}
	if (n)
		store_submit(lane->channel, ios, n);
	return total + n;
}

static unsigned int reap(struct lane *lane) IN_LCORE
{
	struct store_io *ios[REAP_MAX];
	unsigned int n, n_more = 0;

	if (lane->channel->n_inflight == 0)
		return 0;
	n = store_reap(lane->channel, ios, REAP_MAX);
	for (unsigned int i = 0; i < n; i++) {
		struct store_io *more = queue_complete(ios[i]);

		if (more)
			ios[n_more++] = more;
	}
	if (n_more)
		store_submit(lane->channel, ios, n_more);
	return n;
}

/* Publishes what the turn has completed; takes queues that have drained off the lane. */
static unsigned int settle(struct lane *lane, struct queue **drained) IN_LCORE
{
	struct queue **link = &lane->queues;
	unsigned int n = 0;

	while (*link) {
		struct queue *q = *link;

		if (q->used_pending) {
			queue_flush(q);
			n++;
		}
		if (atomic_load_explicit(&q->state, memory_order_relaxed) == QUEUE_DRAINING &&
		    atomic_load_explicit(&q->n_inflight, memory_order_relaxed) == 0) {
			*link = q->next;
			q->next = *drained;
			*drained = q;
			n++;
			continue;
		}
		link = &q->next;
	}
	return n;
}

unsigned int lane_turn(struct lane *lane, struct queue **drained)
{
	unsigned int n = fetch_and_submit(lane);

	n += reap(lane);
	return n + settle(lane, drained);
}
