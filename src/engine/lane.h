/* SPDX-License-Identifier: BSD-3-Clause
 *
 * One device on one lcore: its channel to the store and the device's virtqueues that this lcore
 * serves. All requests of a turn go to the store in one call. A device has a lane on each lcore
 * that serves, or has served, one of its virtqueues; lanes share nothing that is written to for
 * each request.
 */
#ifndef ENGINE_LANE_H
#define ENGINE_LANE_H

#include "engine/coalesce.h"
#include "engine/qos.h"
#include "engine/queue.h"
#include "engine/turn.h"

/* Where an lcore has a lane. */
enum lane_place {
	LANE_OFF,     /* no queue is attached */
	LANE_POLLED,  /* in each turn */
	LANE_WAITING, /* nothing to poll but what rings the doorbell when it has ended, or what
		       * limits hold back until a known time */
	LANE_PARKED,  /* nothing at all, until a kick or a message */
};

/** How long the lcore has had to wait for descriptors of the disk's front ends: each call on an
 *  eventfd waits for all who watch it to be told, and a front end may add watchers. Where that was
 *  too long, its descriptors are left alone for a while, longer each time. */
struct trust {
	uint64_t spent_tsc;    /* in this turn */
	uint64_t regained_tsc; /* trusted again from then on; 0: was never lost */
	uint8_t n_times_lost;  /* in a row */
};

struct lane {
	struct store_channel *channel;
	const struct blk_disk *disk;
	const struct coalesce *coalesce;
	struct lcore *lcore;
	uint32_t device;   /* the disk's number, for turn_cause */
	uint64_t idle_tsc; /* a queue that was idle for so long goes to sleep; UINT64_MAX: never */
	uint64_t quick_tsc, slow_tsc; /* of a turn: fewer and more cycles change fetch_max */
	uint64_t patience_tsc;        /* with its front ends' descriptors, in a turn */
	/* lcore's */
	struct queue *queues; /* attached ones */
	enum lane_place place;
	uint32_t
		fetch_max; /* requests taken from a queue in a turn: adapts to how long they take */
	uint64_t last_tsc; /* the last turn in which there was something */
	uint64_t release_tsc; /* LANE_WAITING: a limit allows something then; UINT64_MAX: nothing
			       * is held back */
	struct trust trust;
	struct qos_share qos;
	struct lane *next; /* of those in the same place */
	_Atomic uint64_t
		busy_tsc; /* cycles of its turns in which there was something; CTRL reads */
};

/** From CTRL to the lane's lcore, which sends it back as EVENT_LANE_PINNED: store_use_pinned(). */
struct lane_pinned_msg {
	struct msg msg;
	struct lane *lane;
	const struct pinned *pinned;
	struct mbox *events;
	int result; /* 0 or -errno */
};

struct lane_params {
	struct lcore *lcore;
	struct store *store;
	const struct blk_disk *disk;
	const struct coalesce *coalesce;
	struct qos *qos;   /* its limits */
	uint32_t device;   /* the disk's number */
	uint64_t idle_tsc; /* UINT64_MAX: its queues are always polled */
};

/** Makes the lane and its channel, in memory of the lcore's node if that has new pages. 0, or -1
 * with *err set. */
int lane_new(const struct lane_params *params, struct lane **ret_lane, struct error *err) IN_JOB;

/** No queue is attached. */
void lane_free(struct lane *lane) IN_JOB;

/** One turn: fetch, submit, reap, publish. Returns how many requests moved. Queues that are
 * DRAINING or MOVING and have nothing in flight any more are put into the list *settled:
 * queue_drained() or queue_hand_over() is due for them once the lane is not touched any more,
 * because CTRL may have it freed then. */
unsigned int lane_turn(struct lane *lane, struct turn_clock *clock,
		       struct queue **settled) IN_LCORE;

/** Where it goes after a turn that found n. */
enum lane_place lane_next_place(struct lane *lane, const struct turn_clock *clock,
				unsigned int n) IN_LCORE;

/** The lcore is about to nap: has the queues doze. False: something of it is to be polled. What is
 *  to be done at a certain time lowers *until_tsc. lane_rouse() is due in both cases. */
bool lane_doze(struct lane *lane, uint64_t *until_tsc) IN_LCORE;
void lane_rouse(struct lane *lane) IN_LCORE;

/** May its queues go to sleep? */
static inline bool lane_may_sleep(const struct lane *lane)
{
	return lane->idle_tsc != UINT64_MAX;
}

void lane_add_queue(struct lane *lane, struct queue *queue) IN_LCORE;

/** Are the descriptors of its front ends to be left alone? */
bool lane_distrusts(const struct lane *lane) IN_LCORE;

/** The lcore has called the kernel with such a descriptor. */
void lane_spent(struct lane *lane, uint64_t begin_tsc) IN_LCORE;

/* Between queue.c, queue_hold.c, queue_io.c, queue_notify.c and lane.c. */
void queue_break(struct queue *queue, const char *why) IN_LCORE;
void queue_notify(struct queue *queue) IN_LCORE;
void queue_map_release(struct queue *queue, struct map_use *use) IN_LCORE;
void queue_fence_put(struct queue *queue) IN_LCORE;
void queue_drained(struct queue *queue) IN_LCORE;

/** A request has ended that began under this map. */
static inline void queue_map_put(struct queue *queue, struct map_use *use) IN_LCORE
{
	if (--use->n_inflight == 0 && unlikely(use != queue->map_use))
		queue_map_release(queue, use);
}

/* queue_hold.c, for lanes with limits. */

/** A limit holds back its next request: nothing is fetched in this turn. */
static inline bool queue_is_held(const struct queue *queue) IN_LCORE
{
	const struct qos_share *qos = &queue->lane->qos;

	return unlikely(qos->limited) && queue->held_until_tsc > qos->now_tsc;
}

/** May a request of this type begin? If not, the queue is held. */
bool queue_admits(struct queue *queue, uint32_t type) IN_LCORE;

/** It has begun: the store has something to do for it. */
void queue_pay(struct queue *queue, const struct request *req) IN_LCORE;

/** After a fetch of n_begun requests: all that begin from when the queue was held until it has
 *  caught up count as throttled. */
void queue_account_hold(struct queue *queue, unsigned int n_begun) IN_LCORE;

/** Its ring is empty. */
void queue_caught_up(struct queue *queue) IN_LCORE;

/** The limits have changed: it is not held any more. */
void queue_release(struct queue *queue) IN_LCORE;

#endif
