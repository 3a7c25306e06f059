/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The poll loop. Each turn: a bounded number of messages, then one turn of each lane that has
 * something to poll. Nothing here waits, locks or allocates; the only system calls are the store's
 * submission, the write to a call descriptor, and, rarely, the wake-up of CTRL.
 *
 * A lane whose queues all sleep, and which has nothing in flight but what rings the doorbell, is
 * not polled (engine/waker.h); nor is one whose queues are held back by limits, until they are
 * released. When and how the lcore itself sleeps is in lcore_sleep.c.
 */
#include <rte_cycles.h>
#include <rte_pause.h>

#include "engine/lane.h"
#include "engine/lcore_impl.h"
#include "engine/mbox.h"

#define MESSAGES_TURN    16
#define VERY_SLOW_FACTOR 20 /* of a slow turn: 1 ms */

static void leave_waiting(struct lcore *lcore, const struct lane *lane) IN_LCORE
{
	for (struct lane **link = &lcore->waiting; *link; link = &(*link)->next) {
		if (*link == lane) {
			*link = lane->next;
			return;
		}
	}
}

/* Takes a lane to those that are polled, wherever it is. */
static void poll_lane(struct lcore *lcore, struct lane *lane) IN_LCORE
{
	if (lane->place == LANE_POLLED)
		return;
	if (lane->place == LANE_WAITING)
		leave_waiting(lcore, lane);
	lane->place = LANE_POLLED;
	lane->last_tsc = lcore->clock.start_tsc;
	lane->next = lcore->polled;
	lcore->polled = lane;
}

void lcore_poll_waiting(struct lcore *lcore)
{
	lcore->release_tsc = UINT64_MAX;
	while (lcore->waiting) {
		struct lane *lane = lcore->waiting;

		lcore->waiting = lane->next;
		lane->place = LANE_POLLED;
		lane->next = lcore->polled;
		lcore->polled = lane;
	}
}

/* Puts a queue into its lane here. */
static void take_in(struct lcore *lcore, struct queue *q) IN_LCORE
{
	struct lane *lane = q->lane;

	lane_add_queue(lane, q);
	atomic_store_explicit(&lcore->n_queues, lcore_n_attached(lcore) + 1, memory_order_relaxed);
	lcore->n_sleepers += lane_may_sleep(lane);
	poll_lane(lcore, lane);
}

static void handle_queue_msg(struct msg *msg) IN_LCORE
{
	struct queue_msg *m = container_of(msg, struct queue_msg, msg);

	switch ((enum lcore_msg)msg->kind) {
	case LCORE_MSG_SWAP_MAP:
		queue_swap_map(m->queue, m->map_use);
		break;
	case LCORE_MSG_SET_CALL:
		m->fd = queue_swap_call(m->queue, m->fd);
		break;
	case LCORE_MSG_SET_KICK:
		m->fd = queue_swap_kick(m->queue, m->fd);
		break;
	case LCORE_MSG_SET_ENABLED:
		queue_set_enabled(m->queue, m->enabled);
		break;
	case LCORE_MSG_ATTACH:
	case LCORE_MSG_STOP:
	case LCORE_MSG_MOVE:
	case LCORE_MSG_ADOPT:
	case LCORE_MSG_FENCE:
	case LCORE_MSG_USE_PINNED:
	case LCORE_N_MSGS:
		break;
	}
	msg_set_done(msg);
}

/* The queue it is about. */
static struct queue *queue_of_msg(struct msg *msg)
{
	switch ((enum lcore_msg)msg->kind) {
	case LCORE_MSG_ATTACH:
		return container_of(msg, struct queue, attach_msg);
	case LCORE_MSG_STOP:
		return container_of(msg, struct queue, stop_msg);
	case LCORE_MSG_MOVE:
	case LCORE_MSG_ADOPT:
		return container_of(msg, struct queue, move_msg);
	case LCORE_MSG_FENCE:
		return container_of(msg, struct queue, fence_msg);
	default:
		return container_of(msg, struct queue_msg, msg)->queue;
	}
}

/* Works also for a lane that is not polled. */
static void handle_use_pinned(struct lcore *lcore, struct msg *msg) IN_LCORE
{
	struct lane_pinned_msg *m = container_of(msg, struct lane_pinned_msg, msg);
	struct turn_cause cause = {
		.device = m->lane->device,
		.queue = TURN_NO_QUEUE,
		.work = TURN_N_WORKS + LCORE_MSG_USE_PINNED,
	};

	m->result = store_use_pinned(m->lane->channel, m->pinned);
	turn_mark(&lcore->clock, cause, 1);
	msg->kind = EVENT_LANE_PINNED;
	mbox_send(m->events, msg);
}

static void handle_for_queue(struct lcore *lcore, struct msg *msg) IN_LCORE
{
	struct queue *queue = queue_of_msg(msg);
	struct turn_cause cause;

	if (msg->kind != LCORE_MSG_ADOPT) {
		struct lcore *serving = queue_serving(queue, lcore);

		if (unlikely(serving != lcore)) {
			lcore_send(serving, msg); /* it has moved meanwhile */
			return;
		}
	}
	cause = (struct turn_cause){
		.device = queue->lane->device,
		.queue = queue->index,
		.work = (uint8_t)(TURN_N_WORKS + msg->kind),
	};
	/* Before the message is given back, and the queue with it. */
	if (atomic_load_explicit(&queue->state, memory_order_relaxed) != QUEUE_IDLE) {
		queue_wake(queue);
		poll_lane(lcore, queue->lane);
	}
	switch ((enum lcore_msg)msg->kind) {
	case LCORE_MSG_ATTACH:
		take_in(lcore, queue);
		queue_attach(queue);
		break;
	case LCORE_MSG_ADOPT:
		take_in(lcore, queue);
		queue_adopt(queue);
		break;
	case LCORE_MSG_MOVE:
		queue_event(queue, QUEUE_EV_MOVE);
		break;
	case LCORE_MSG_STOP:
		queue_event(queue, QUEUE_EV_STOP);
		break;
	case LCORE_MSG_FENCE:
		queue_fence(queue);
		break;
	default:
		handle_queue_msg(msg);
	}
	turn_mark(&lcore->clock, cause, 1);
}

static void handle(struct lcore *lcore, struct msg *msg) IN_LCORE
{
	if (unlikely(msg->kind == LCORE_MSG_USE_PINNED))
		handle_use_pinned(lcore, msg);
	else
		handle_for_queue(lcore, msg);
}

static unsigned int handle_messages(struct lcore *lcore) IN_LCORE
{
	struct msg *msgs[MESSAGES_TURN];
	unsigned int n = mbox_receive(lcore->inbox, msgs, MESSAGES_TURN);

	for (unsigned int i = 0; i < n; i++)
		handle(lcore, msgs[i]);
	if (n)
		counter_add(&lcore->messages, n);
	return n;
}

static unsigned int take_back_relays(struct lcore *lcore) IN_LCORE
{
	struct offload_task *task = offload_reap(&lcore->relays);
	unsigned int n = 0;

	while (task) {
		struct offload_task *next = task->next;
		struct queue *q = queue_relay_back(task);

		poll_lane(lcore, q->lane); /* a drain or a move may wait for it */
		task = next;
		n++;
	}
	return n;
}

void lcore_wake(struct lcore *lcore, void **whats, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		struct queue *q = whats[i];

		if (q) {
			queue_wake(q);
			poll_lane(lcore, q->lane);
		} else {
			lcore_poll_waiting(lcore);
		}
	}
}

/* Kicks and the doorbell, now and then, while other queues are polled. */
static void look_around(struct lcore *lcore) IN_LCORE
{
	void *whats[LCORE_WAKES_MAX];

	if (lcore->n_sleepers == 0 ||
	    lcore->clock.start_tsc - lcore->last_look_tsc < lcore->look_tsc)
		return;
	lcore->last_look_tsc = lcore->clock.start_tsc;
	lcore_wake(lcore, whats, waker_look(&lcore->waker, whats, LCORE_WAKES_MAX));
}

static void let_go(struct lcore *lcore, struct queue *settled) IN_LCORE
{
	while (settled) {
		struct queue *next = settled->next;

		atomic_store_explicit(&lcore->n_queues, lcore_n_attached(lcore) - 1,
				      memory_order_relaxed);
		lcore->n_sleepers -= lane_may_sleep(settled->lane);
		if (atomic_load_explicit(&settled->state, memory_order_relaxed) == QUEUE_MOVING)
			queue_hand_over(settled);
		else
			queue_drained(settled);
		settled = next;
	}
}

/* To where it belongs after a turn; out of the list of those that are polled. */
static void move_lane(struct lcore *lcore, struct lane *lane, enum lane_place place) IN_LCORE
{
	lane->place = place;
	if (place != LANE_WAITING)
		return;
	if (lane->release_tsc < lcore->release_tsc)
		lcore->release_tsc = lane->release_tsc;
	lane->next = lcore->waiting;
	lcore->waiting = lane;
}

/* One turn of each lane that is polled; those that need none any more leave the list. */
static unsigned int turn_lanes(struct lcore *lcore) IN_LCORE
{
	struct lane **link = &lcore->polled;
	unsigned int n_all = 0;
	uint32_t n_away = 0;

	while (*link) {
		struct lane *lane = *link;
		struct queue *settled = NULL;
		unsigned int n = lane_turn(lane, &lcore->clock, &settled);
		enum lane_place place = lane_next_place(lane, &lcore->clock, n);

		n_all += n;
		n_away |= lane->channel->n_away;
		if (place == LANE_POLLED) {
			link = &lane->next;
		} else {
			*link = lane->next;
			move_lane(lcore, lane, place);
		}
		let_go(lcore, settled);
	}
	lcore->is_away = n_away != 0;
	return n_all;
}

static void account_slow(struct lcore *lcore, uint64_t tsc) IN_LCORE
{
	lcore_look_at_switches(lcore, false);
	counter_add(&lcore->slow_turns, 1);
	if (tsc >= lcore->slow_tsc * (VERY_SLOW_FACTOR))
		counter_add(&lcore->very_slow_turns, 1);
}

static void account(struct lcore *lcore, uint64_t tsc, bool busy) IN_LCORE
{
	const struct turn_clock *clock = &lcore->clock;

	counter_add(&lcore->turns, 1);
	counter_add(&lcore->total_tsc, tsc);
	if (!busy)
		return;
	counter_add(&lcore->busy_tsc, tsc);
	if (unlikely(tsc >= lcore->slow_tsc))
		account_slow(lcore, tsc);
	if (unlikely(tsc > counter_get(&lcore->longest_turn_tsc))) {
		atomic_store_explicit(&lcore->longest_turn_tsc, tsc, memory_order_relaxed);
		atomic_store_explicit(&lcore->longest_turn_cause, turn_cause_pack(clock->longest),
				      memory_order_relaxed);
	}
	if (unlikely(clock->trace != NULL) && tsc >= counter_get(&lcore->trace_over_tsc))
		turn_trace_keep(lcore->trace, clock, tsc);
}

static unsigned int turn(struct lcore *lcore, uint64_t now_tsc) IN_LCORE
{
	struct turn_trace *trace =
		unlikely(counter_get(&lcore->trace_over_tsc)) ? lcore->trace : NULL;
	unsigned int n;

	turn_begin(&lcore->clock, now_tsc, trace);
	if (unlikely(now_tsc >= lcore->release_tsc))
		lcore_poll_waiting(lcore);
	n = handle_messages(lcore) + take_back_relays(lcore);
	look_around(lcore);
	return n + turn_lanes(lcore);
}

uint64_t lcore_turn(struct lcore *lcore, uint64_t now_tsc, unsigned int *ret_n)
{
	*ret_n = turn(lcore, now_tsc);
	if (*ret_n == 0)
		rte_pause();
	now_tsc = rte_rdtsc();
	account(lcore, now_tsc - lcore->clock.start_tsc, *ret_n > 0);
	return now_tsc;
}

int lcore_poll(void *arg)
{
	struct lcore *lcore = arg;
	uint64_t now_tsc = rte_rdtsc();
	unsigned int n;

	role_enter(&role_lcore);
	lcore_begin_waits(lcore, now_tsc);
	while (!atomic_load_explicit(lcore->stop, memory_order_relaxed)) {
		now_tsc = lcore_turn(lcore, now_tsc, &n);
		if (n > 0)
			lcore_end_wait(lcore, now_tsc);
		else
			now_tsc = lcore_wait(lcore, now_tsc);
	}
	role_leave(&role_lcore);
	return 0;
}
