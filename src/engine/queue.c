/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The life of a queue: made, attached, told of changes, broken, drained. The requests' path is in
 * queue_io.c.
 */
#include "engine/queue.h"

#include "base/compiler.h"
#include "engine/lane.h"
#include "engine/lcore.h"
#include "engine/node_mem.h"
#include "engine/waker.h"

/* In one piece: the queue, its requests, its big iov. */
static size_t bytes_of(uint16_t ring_size)
{
	return sizeof(struct queue) + ring_size * sizeof(struct request) +
	       CHAIN_IOV_BIG * sizeof(struct iovec);
}

static void link_requests(struct queue *q, uint16_t n)
{
	for (unsigned int i = n; i-- > 0;) {
		q->requests[i].queue = q;
		q->requests[i].next_free = q->free_requests;
		q->free_requests = &q->requests[i];
	}
}

struct queue *queue_new(const struct queue_params *params)
{
	size_t n_bytes = bytes_of(params->ring_size);
	struct queue *q = node_mem_new(lcore_node(params->lane->lcore), n_bytes);

	if (!q)
		return NULL;
	*q = (struct queue){
		.lane = params->lane,
		.home = params->lane->lcore,
		.next_home = params->lane->lcore,
		.map_use = params->map_use,
		.counters = params->counters,
		.state = QUEUE_IDLE,
		.call_fd = params->call_fd,
		.kick_fd = params->kick_fd,
		.relay.left = -1,
		.write_through = params->write_through,
		.enabled = params->enabled,
		.addr = params->addr,
		.index = params->index,
		.base = params->base,
		.events = params->events,
		.requests = (struct request *)(q + 1),
		.n_bytes = n_bytes,
	};
	virtq_init(&q->vq, params->is_packed, params->event_idx, params->ring_size, params->base);
	q->big_iov = (struct iovec *)(q->requests + params->ring_size);
	link_requests(q, params->ring_size);
	msg_init(&q->attach_msg, LCORE_MSG_ATTACH);
	msg_init(&q->stop_msg, LCORE_MSG_STOP);
	msg_init(&q->move_msg, LCORE_MSG_MOVE);
	msg_init(&q->drained_msg, EVENT_QUEUE_DRAINED);
	msg_init(&q->moved_msg, EVENT_QUEUE_MOVED);
	msg_init(&q->fence_msg, LCORE_MSG_FENCE);
	msg_init(&q->broken_msg, EVENT_QUEUE_BROKEN);
	return q;
}

void queue_free(struct queue *q)
{
	node_mem_free(q, q->n_bytes);
}

static struct lcore *get_lcore(struct lcore *const _Atomic *lcore)
{
	return atomic_load_explicit((struct lcore * _Atomic *)(uintptr_t)lcore,
				    memory_order_acquire);
}

struct lcore *queue_home(const struct queue *q)
{
	return get_lcore(&q->home); /* partner: queue_adopt() */
}

struct lcore *queue_serving(const struct queue *q, struct lcore *lcore)
{
	/* In this order: who sees where the home has given it to sees that it was the home. */
	struct lcore *next_home = get_lcore(&q->next_home), *home = get_lcore(&q->home);

	return home == lcore ? next_home : home;
}

void queue_event(struct queue *q, enum queue_event event)
{
	enum queue_state old = atomic_load_explicit(&q->state, memory_order_relaxed);
	enum queue_state new = queue_state_next(old, event);

	CHECK(new != QUEUE_N_STATES, "the virtqueue's state allows the event");
	atomic_store_explicit(&q->state, new, memory_order_relaxed);
}

void queue_break(struct queue *q, const char *why)
{
	bool first = atomic_load_explicit(&q->broken, memory_order_relaxed) == NULL;

	queue_event(q, QUEUE_EV_CORRUPT);
	if (!first)
		return;
	atomic_store_explicit(&q->broken, why, memory_order_relaxed);
	counter_add(&q->counters->breaks, 1);
	mbox_send(q->events, &q->broken_msg);
}

/* The ring can't be reached any more: completions have nowhere to go. */
static void lose_ring(struct queue *q, const char *why) IN_LCORE
{
	virtq_unmap(&q->vq);
	queue_break(q, why);
}

/* Both wait for whoever is signalling the descriptor at the moment, which may be its front end. */
static void watch_kicks(struct queue *q) IN_LCORE
{
	uint64_t begin_tsc;

	q->watch_later = lane_distrusts(q->lane);
	if (q->kick_fd < 0 || !lane_may_sleep(q->lane) || q->watch_later)
		return;
	begin_tsc = turn_now_tsc();
	q->watched = waker_watch(lcore_waker(q->lane->lcore), q->kick_fd, q);
	lane_spent(q->lane, begin_tsc);
}

static void forget_kicks(struct queue *q) IN_LCORE
{
	uint64_t begin_tsc = turn_now_tsc();

	if (q->watched)
		waker_forget(lcore_waker(q->lane->lcore), q->kick_fd);
	lane_spent(q->lane, begin_tsc);
	q->watched = false;
	q->watch_later = false;
}

void queue_attach(struct queue *q)
{
	const char *fault = virtq_map(&q->vq, q->map_use->mem, &q->addr);

	/* Partner: queue_home(). */
	atomic_store_explicit(&q->home, q->lane->lcore, memory_order_release);
	watch_kicks(q);
	queue_event(q, q->enabled ? QUEUE_EV_ATTACH : QUEUE_EV_ATTACH_PAUSED);
	if (!fault)
		fault = virtq_start(&q->vq, q->base);
	if (fault) {
		lose_ring(q, fault);
		return;
	}
	/* The front end may have missed an interrupt while the ring was away. */
	queue_notify(q);
}

void queue_hand_over(struct queue *q)
{
	struct lcore *to = q->move_to->lcore;

	CHECK(!q->relay.away, "no helper has anything of a virtqueue that goes");
	queue_release(q); /* the other lane knows the limits, too */
	forget_kicks(q);
	q->lane = q->move_to;
	q->move_msg.kind = LCORE_MSG_ADOPT;
	/* Partner: queue_serving(). */
	atomic_store_explicit(&q->next_home, to, memory_order_release);
	lcore_send(to, &q->move_msg);
}

void queue_adopt(struct queue *q)
{
	/* Partner: queue_home(), queue_serving(). */
	atomic_store_explicit(&q->home, q->lane->lcore, memory_order_release);
	watch_kicks(q);
	queue_event(q, q->enabled ? QUEUE_EV_ATTACH : QUEUE_EV_ATTACH_PAUSED);
	if (atomic_load_explicit(&q->broken, memory_order_relaxed))
		queue_event(q, QUEUE_EV_CORRUPT);
	mbox_send(q->events, &q->moved_msg);
}

static void end_fence(struct queue *q) IN_LCORE
{
	q->fence_msg.kind = EVENT_QUEUE_FENCED;
	mbox_send(q->events, &q->fence_msg);
}

void queue_fence(struct queue *q)
{
	uint32_t n = atomic_load_explicit(&q->n_inflight, memory_order_relaxed);

	CHECK(atomic_load_explicit(&q->n_fenced, memory_order_relaxed) == 0, "one at a time");
	if (n == 0) {
		end_fence(q);
		return;
	}
	q->generation++;
	atomic_store_explicit(&q->n_fenced, n, memory_order_relaxed);
}

void queue_fence_put(struct queue *q)
{
	uint32_t n = atomic_load_explicit(&q->n_fenced, memory_order_relaxed) - 1;

	atomic_store_explicit(&q->n_fenced, n, memory_order_relaxed);
	if (n == 0)
		end_fence(q);
}

/* CTRL is told of it when it looks next: after the drain that most often follows, with the event of
 * the next memory table, or within a second. */
void queue_map_release(struct queue *q, struct map_use *use)
{
	mbox_leave(q->events, &use->msg);
}

/* Attached, and its ring not lost. */
static bool is_reachable(const struct queue *q)
{
	return virtq_is_mapped(&q->vq) &&
	       atomic_load_explicit(&q->state, memory_order_relaxed) != QUEUE_IDLE;
}

void queue_swap_map(struct queue *q, struct map_use *map_use)
{
	const void *used = virtq_used_area(&q->vq);
	struct map_use *old = q->map_use;

	q->map_use = map_use;
	if (is_reachable(q)) {
		const char *fault = virtq_map(&q->vq, map_use->mem, &q->addr);

		if (fault)
			lose_ring(q, fault);
		else if (virtq_used_area(&q->vq) != used)
			queue_notify(q); /* what the old place was told may be lost */
	}
	/* NULL: the queue has drained, and VHOST does not know yet. */
	if (old && old->n_inflight == 0)
		queue_map_release(q, old);
}

int queue_swap_call(struct queue *q, int call_fd)
{
	int old = q->call_fd;

	q->call_fd = call_fd;
	if (q->relay.away && q->relay.fd == old) {
		old = q->relay.left; /* one of earlier, or none */
		q->relay.left = q->relay.fd;
	}
	if (is_reachable(q))
		queue_notify(q); /* what the old descriptor was told may not have arrived */
	return old;
}

int queue_swap_kick(struct queue *q, int kick_fd)
{
	int old = q->kick_fd;

	forget_kicks(q);
	q->kick_fd = kick_fd;
	if (is_reachable(q))
		watch_kicks(q);
	return old;
}

static bool is_polled(const struct queue *q)
{
	return atomic_load_explicit(&q->state, memory_order_relaxed) == QUEUE_POLLING;
}

/* False: something is there. */
static bool ask_for_kicks(struct queue *q) IN_LCORE
{
	if (!virtq_want_kicks(&q->vq)) {
		virtq_refuse_kicks(&q->vq);
		return false;
	}
	queue_event(q, QUEUE_EV_SLEEP);
	return true;
}

void queue_try_sleep(struct queue *q)
{
	if (unlikely(q->watch_later) && !lane_distrusts(q->lane))
		watch_kicks(q);
	if (q->watched && !q->notify_put_off && is_polled(q))
		ask_for_kicks(q);
}

static void lower(uint64_t *until_tsc, uint64_t tsc)
{
	if (tsc < *until_tsc)
		*until_tsc = tsc;
}

bool queue_doze(struct queue *q, uint64_t *until_tsc)
{
	if (q->notify_put_off)
		lower(until_tsc, q->notify_tsc);
	if (!is_polled(q))
		return true;
	if (queue_is_held(q)) {
		lower(until_tsc, q->held_until_tsc);
		return true;
	}
	q->dozing = q->watched && ask_for_kicks(q);
	return q->dozing;
}

void queue_rouse(struct queue *q)
{
	if (q->dozing)
		queue_wake(q);
	q->dozing = false;
}

void queue_wake(struct queue *q)
{
	if (atomic_load_explicit(&q->state, memory_order_relaxed) != QUEUE_SLEEPING)
		return;
	queue_event(q, QUEUE_EV_WAKE);
	virtq_refuse_kicks(&q->vq);
}

void queue_set_enabled(struct queue *q, bool enabled)
{
	q->enabled = enabled;
	queue_event(q, enabled ? QUEUE_EV_ENABLE : QUEUE_EV_DISABLE);
}

void queue_drained(struct queue *q)
{
	struct map_use *use = q->map_use;

	CHECK(!q->relay.away, "no helper has anything of a virtqueue that goes");
	forget_kicks(q);
	queue_event(q, QUEUE_EV_DRAINED);
	q->map_use = NULL;
	queue_map_release(q, use);
	mbox_send(q->events, &q->drained_msg); /* the queue is CTRL's from here on */
}
