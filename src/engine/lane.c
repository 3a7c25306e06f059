/* SPDX-License-Identifier: BSD-3-Clause */
#include "engine/lane.h"

#include <stdlib.h>
#include <string.h>

#include "engine/lcore.h"
#include "engine/node_mem.h"

#define BATCH_MAX 256
#define REAP_MAX  64

/* No further queue is asked in a turn that has begun with so many bytes. */
#define TURN_BYTES (1u << 20)

/* A lane begins with few requests a turn, because the first ones touch memory that was never
 * touched from here: page faults, of some microseconds each. More when a turn was quick, fewer when
 * it was slow. */
#define FETCH_FIRST 2
#define FETCH_MAX   32
#define QUICK_US    25
#define SLOW_US     50

/* A turn's calls on the front ends' descriptors take that long at most, or they are left alone: for
 * a tenth of a second, then twice as long each time, up to about an hour; from the beginning again
 * when they were trusted for FORGIVE_AFTER times as long. Not where something else got the CPU; a
 * machine whose host stops it looks the same. */
#define PATIENCE_US          100
#define DISTRUST_US          100000
#define DISTRUST_DOUBLED_MAX 15
#define FORGIVE_AFTER        16

static int lane_make(const struct lane_params *params, struct lane **ret_lane,
		     struct error *err) IN_JOB
{
	bool sleeps = params->idle_tsc != UINT64_MAX;
	struct lane *lane = NULL;

	if (posix_memalign((void **)&lane, CACHE_LINE, sizeof(*lane)))
		return error_set(err, VHOSTD_ERR_INTERNAL, "out of memory");
	memset(lane, 0, sizeof(*lane));
	if (store_channel_open(params->store, sleeps ? lcore_doorbell(params->lcore) : NULL,
			       &lane->channel, err)) {
		free(lane);
		return -1;
	}
	lane->lcore = params->lcore;
	lane->disk = params->disk;
	lane->coalesce = params->coalesce;
	lane->device = params->device;
	qos_share_init(&lane->qos, params->qos);
	lane->idle_tsc = params->idle_tsc;
	lane->fetch_max = FETCH_FIRST;
	lane->quick_tsc = lcore_tsc_of_us(QUICK_US);
	lane->slow_tsc = lcore_tsc_of_us(SLOW_US);
	lane->patience_tsc = lcore_tsc_of_us(PATIENCE_US);
	*ret_lane = lane;
	return 0;
}

int lane_new(const struct lane_params *params, struct lane **ret_lane, struct error *err)
{
	int ret;

	node_mem_prefer(lcore_node(params->lcore));
	ret = lane_make(params, ret_lane, err);
	node_mem_prefer(-1);
	return ret;
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

bool lane_distrusts(const struct lane *lane)
{
	return unlikely(lane->trust.regained_tsc) && turn_now_tsc() < lane->trust.regained_tsc;
}

static void lose_trust(struct trust *trust, uint64_t now_tsc)
{
	uint64_t time_tsc = lcore_tsc_of_us(DISTRUST_US) << trust->n_times_lost;

	if (trust->regained_tsc && now_tsc - trust->regained_tsc > FORGIVE_AFTER * time_tsc) {
		trust->n_times_lost = 0;
		time_tsc = lcore_tsc_of_us(DISTRUST_US);
	}
	trust->regained_tsc = now_tsc + time_tsc;
	if (trust->n_times_lost < DISTRUST_DOUBLED_MAX)
		trust->n_times_lost++;
}

void lane_spent(struct lane *lane, uint64_t begin_tsc)
{
	uint64_t now_tsc = turn_now_tsc();

	lane->trust.spent_tsc += now_tsc - begin_tsc;
	if (likely(lane->trust.spent_tsc <= lane->patience_tsc))
		return;
	if (!lcore_was_preempted(lane->lcore))
		lose_trust(&lane->trust, now_tsc);
	lane->trust.spent_tsc = 0;
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

/* The first queue becomes the last: it is another's turn to take what there is. */
static void rotate(struct lane *lane)
{
	struct queue *first = lane->queues, **link = &first->next;

	if (!*link)
		return;
	lane->queues = *link;
	while (*link)
		link = &(*link)->next;
	*link = first;
	first->next = NULL;
}

static uint64_t n_bytes_of(struct store_io *const *ios, unsigned int n)
{
	uint64_t n_bytes = 0;

	for (unsigned int i = 0; i < n; i++)
		n_bytes += ios[i]->n_bytes;
	return n_bytes;
}

/* Takes requests from one queue; returns how many operations they made for the store. */
static unsigned int fetch(struct lane *lane, struct turn_clock *clock, struct queue *q,
			  struct store_io **ret_ios, unsigned int n_max) IN_LCORE
{
	unsigned int n;

	if (n_max > lane->fetch_max)
		n_max = lane->fetch_max;
	n = queue_fetch(q, ret_ios, n_max);
	turn_detail(clock, cause(lane, q, TURN_FETCH), n);
	if (n)
		q->last_tsc = clock->start_tsc;
	else if (clock->start_tsc - q->last_tsc > lane->idle_tsc && !queue_is_held(q))
		queue_try_sleep(q);
	return n;
}

static unsigned int fetch_and_submit(struct lane *lane, struct turn_clock *clock) IN_LCORE
{
	struct store_io *ios[BATCH_MAX];
	unsigned int n = 0, total = 0;
	uint64_t n_bytes = 0;
	bool held = false;

	if (unlikely(qos_share_begin(&lane->qos, clock->start_tsc)))
		for (struct queue *q = lane->queues; q; q = q->next)
			queue_release(q);
	for (struct queue *q = lane->queues; q && n_bytes < TURN_BYTES; q = q->next) {
		unsigned int n_fetched;

		if (!is_polled(q) || queue_is_held(q))
			continue;
		n_fetched = fetch(lane, clock, q, ios + n, BATCH_MAX - n);
		held |= queue_is_held(q);
		if (q->next)
			n_bytes += n_bytes_of(ios + n, n_fetched);
		n += n_fetched;
		if (n < BATCH_MAX)
			continue;
		submit(lane, clock, ios, n);
		total += n;
		n = 0;
	}
	submit(lane, clock, ios, n);
	if (unlikely(held || n_bytes >= TURN_BYTES))
		rotate(lane);
	return total + n;
}

static unsigned int reap(struct lane *lane) IN_LCORE
{
	struct store_io *ios[REAP_MAX];
	unsigned int n, n_more;

	if (lane->channel->n_inflight == 0)
		return 0;
	n = store_reap(lane->channel, ios, REAP_MAX);
	n_more = queue_complete(ios, n);
	if (n_more)
		store_submit(lane->channel, ios, n_more);
	return n;
}

/* Is it to leave the lane, with nothing of it in flight? */
static bool is_ending(const struct queue *q)
{
	enum queue_state state = atomic_load_explicit(&q->state, memory_order_relaxed);

	return (state == QUEUE_DRAINING || state == QUEUE_MOVING) &&
	       atomic_load_explicit(&q->n_inflight, memory_order_relaxed) == 0;
}

/* Its driver is told what was put off; false while a helper is at it. */
static bool is_told(struct queue *q) IN_LCORE
{
	if (q->notify_put_off)
		queue_notify_now(q);
	return !q->relay.away;
}

/* Publishes what the turn has completed; takes queues that are to leave off the lane. */
static unsigned int settle(struct lane *lane, struct turn_clock *clock,
			   struct queue **settled) IN_LCORE
{
	struct queue **link = &lane->queues;
	unsigned int n = 0;

	while (*link) {
		struct queue *q = *link;

		if (q->n_used_pending) {
			queue_flush(q, clock->start_tsc);
			q->last_tsc = clock->start_tsc;
			queue_wake(q); /* the driver is likely to go on */
			turn_detail(clock, cause(lane, q, TURN_PUBLISH), 1);
			n++;
		} else if (unlikely(q->notify_put_off) && clock->start_tsc >= q->notify_tsc) {
			queue_notify_now(q);
			n++;
		}
		if (unlikely(is_ending(q)) && is_told(q)) {
			*link = q->next;
			q->next = *settled;
			*settled = q;
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

unsigned int lane_turn(struct lane *lane, struct turn_clock *clock, struct queue **settled)
{
	const struct queue *q = only_queue(lane);
	struct turn_cause io = cause(lane, q, TURN_IO);
	unsigned int n = fetch_and_submit(lane, clock), n_reaped = reap(lane);
	uint64_t tsc;

	lane->trust.spent_tsc = 0;
	turn_detail(clock, cause(lane, q, TURN_REAP), n_reaped);
	n += n_reaped + settle(lane, clock, settled);
	if (n > 0) {
		lane->last_tsc = clock->start_tsc;
		tsc = turn_mark(clock, io, n);
		counter_add(&lane->busy_tsc, tsc);
		adapt(lane, tsc);
	}
	return n;
}

/* When the first of the queues wants to be polled again: 0 now, UINT64_MAX when none does before
 * it is woken. */
static uint64_t next_release_tsc(const struct lane *lane) IN_LCORE
{
	uint64_t release_tsc = UINT64_MAX;

	for (const struct queue *q = lane->queues; q; q = q->next) {
		if (q->notify_put_off)
			return 0;
		if (!is_polled(q))
			continue;
		if (!queue_is_held(q))
			return 0;
		if (q->held_until_tsc < release_tsc)
			release_tsc = q->held_until_tsc;
	}
	return release_tsc;
}

enum lane_place lane_next_place(struct lane *lane, const struct turn_clock *clock, unsigned int n)
{
	const struct store_channel *channel = lane->channel;
	uint64_t now_tsc = clock->start_tsc;

	if (!lane->queues)
		return LANE_OFF;
	if (n > 0 || !lane_may_sleep(lane) || channel->n_inflight != channel->n_away)
		return LANE_POLLED;
	lane->release_tsc = next_release_tsc(lane);
	if (lane->release_tsc < now_tsc || lane->release_tsc - now_tsc < lane->idle_tsc)
		return LANE_POLLED;
	if (lane->release_tsc == UINT64_MAX && channel->n_inflight == 0)
		return LANE_PARKED;
	return now_tsc - lane->last_tsc > lane->idle_tsc ? LANE_WAITING : LANE_POLLED;
}

bool lane_doze(struct lane *lane, uint64_t *until_tsc)
{
	if (!lane_may_sleep(lane) || lane->channel->n_inflight != lane->channel->n_away)
		return false;
	for (struct queue *q = lane->queues; q; q = q->next)
		if (!queue_doze(q, until_tsc))
			return false;
	return true;
}

void lane_rouse(struct lane *lane)
{
	for (struct queue *q = lane->queues; q; q = q->next)
		queue_rouse(q);
}
