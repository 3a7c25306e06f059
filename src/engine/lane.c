/* SPDX-License-Identifier: BSD-3-Clause */
#include "engine/lane.h"

#include <stdlib.h>

#include "engine/lcore.h"

#define BATCH_MAX 256
#define REAP_MAX  64

/* A lane begins with few requests a turn, because the first ones touch memory that was never
 * touched from here: page faults, of some microseconds each. More when a turn was quick, fewer when
 * it was slow. */
#define FETCH_FIRST 2
#define FETCH_MAX   32
#define QUICK_US    25
#define SLOW_US     50

int lane_new(const struct lane_params *params, struct lane **ret_lane, struct error *err)
{
	struct lane *lane = calloc(1, sizeof(*lane));
	bool sleeps = params->idle_tsc != UINT64_MAX;

	if (!lane)
		return error_set(err, VHOSTD_ERR_INTERNAL, "out of memory");
	if (store_channel_open(params->store, sleeps ? lcore_doorbell(params->lcore) : NULL,
			       &lane->channel, err)) {
		free(lane);
		return -1;
	}
	lane->lcore = params->lcore;
	lane->disk = params->disk;
	lane->device = params->device;
	lane->idle_tsc = params->idle_tsc;
	lane->fetch_max = FETCH_FIRST;
	lane->quick_tsc = lcore_tsc_of_us(QUICK_US);
	lane->slow_tsc = lcore_tsc_of_us(SLOW_US);
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

static bool is_polled(const struct queue *q)
{
	return atomic_load_explicit(&q->state, memory_order_relaxed) == QUEUE_POLLING;
}

static struct turn_cause cause(const struct lane *lane, const struct queue *q, enum turn_work work)
{
	return (struct turn_cause){
		.device = lane->device,
		.queue = q ? q->index : TURN_NO_QUEUE,
		.work = (uint8_t)work,
	};
}

static void submit(struct lane *lane, struct turn_clock *clock, struct store_io **ios,
		   unsigned int n) IN_LCORE
{
	if (n == 0)
		return;
	store_submit(lane->channel, ios, n);
	turn_detail(clock, cause(lane, NULL, TURN_SUBMIT), n);
}

static unsigned int fetch_and_submit(struct lane *lane, struct turn_clock *clock) IN_LCORE
{
	struct store_io *ios[BATCH_MAX];
	unsigned int n = 0, total = 0;

	for (struct queue *q = lane->queues; q; q = q->next) {
		unsigned int n_fetched, n_max;

		if (!is_polled(q))
			continue;
		n_max = BATCH_MAX - n < lane->fetch_max ? BATCH_MAX - n : lane->fetch_max;
		n_fetched = queue_fetch(q, ios + n, n_max);
		turn_detail(clock, cause(lane, q, TURN_FETCH), n_fetched);
		if (n_fetched)
			q->last_tsc = clock->start_tsc;
		else if (clock->start_tsc - q->last_tsc > lane->idle_tsc)
			queue_try_sleep(q);
		n += n_fetched;
		if (n < BATCH_MAX)
			continue;
		submit(lane, clock, ios, n);
		total += n;
		n = 0;
	}
	submit(lane, clock, ios, n);
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
static unsigned int settle(struct lane *lane, struct turn_clock *clock,
			   struct queue **drained) IN_LCORE
{
	struct queue **link = &lane->queues;
	unsigned int n = 0;

	while (*link) {
		struct queue *q = *link;

		if (q->used_pending) {
			queue_flush(q);
			turn_detail(clock, cause(lane, q, TURN_PUBLISH), 1);
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

static void adapt(struct lane *lane, uint64_t tsc)
{
	if (likely(tsc < lane->quick_tsc)) {
		if (lane->fetch_max < FETCH_MAX)
			lane->fetch_max *= 2;
	} else if (tsc > lane->slow_tsc && lane->fetch_max > 1) {
		lane->fetch_max /= 2;
	}
}

/* The virtqueue, where there is only one it can have been. */
static const struct queue *only_queue(const struct lane *lane)
{
	return lane->queues && !lane->queues->next ? lane->queues : NULL;
}

unsigned int lane_turn(struct lane *lane, struct turn_clock *clock, struct queue **drained)
{
	const struct queue *q = only_queue(lane);
	struct turn_cause io = cause(lane, q, TURN_IO);
	unsigned int n = fetch_and_submit(lane, clock), n_reaped = reap(lane);

	turn_detail(clock, cause(lane, q, TURN_REAP), n_reaped);
	n += n_reaped + settle(lane, clock, drained);
	if (n > 0) {
		lane->last_tsc = clock->start_tsc;
		adapt(lane, turn_mark(clock, io, n));
	}
	return n;
}

enum lane_place lane_next_place(const struct lane *lane, const struct turn_clock *clock,
				unsigned int n)
{
	const struct store_channel *channel = lane->channel;

	if (!lane->queues)
		return LANE_OFF;
	if (n > 0 || !lane_may_sleep(lane) || channel->n_inflight != channel->n_away)
		return LANE_POLLED;
	for (const struct queue *q = lane->queues; q; q = q->next)
		if (is_polled(q))
			return LANE_POLLED;
	if (channel->n_inflight == 0)
		return LANE_PARKED;
	return clock->start_tsc - lane->last_tsc > lane->idle_tsc ? LANE_WAITING : LANE_POLLED;
}
