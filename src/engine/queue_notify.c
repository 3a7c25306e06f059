/* SPDX-License-Identifier: BSD-3-Clause
 *
 * When the driver of a virtqueue sees what has ended, and when it is told: used elements are
 * published once a turn, and the driver interrupted when it asked for that, or a little later where
 * interrupts are coalesced (coalesce.h).
 */
#include "engine/lane.h"
#include "engine/lcore.h"
#include "engine/signaller.h"

/* The rate is measured anew after so long; after WINDOWS_MAX times that, it says nothing. */
#define WINDOW_US   1000
#define WINDOWS_MAX 100

static void relay_run(struct offload_task *task)
{
	const struct relay *relay = container_of(task, struct relay, task);

	role_assert(&role_job);
	signaller_pool_signal(relay->pool, relay->fd);
}

/* Has a helper signal; when it comes back, once more if there was something meanwhile. */
static void notify_by_relay(struct queue *q) IN_LCORE
{
	struct relay *relay = &q->relay;

	relay->again = relay->away;
	if (relay->away)
		return;
	relay->away = true;
	relay->fd = q->call_fd;
	relay->task.run = relay_run;
	lcore_lend(q->lane->lcore, relay);
	counter_add(&q->counters->interrupts_relayed, 1);
}

struct queue *queue_relay_back(struct offload_task *task)
{
	struct queue *q = container_of(task, struct queue, relay.task);

	q->relay.away = false;
	if (q->relay.again && q->call_fd >= 0)
		notify_by_relay(q);
	return q;
}

void queue_notify(struct queue *q)
{
	uint64_t begin_tsc;

	if (q->call_fd < 0)
		return;
	counter_add(&q->counters->interrupts, 1);
	if (lane_distrusts(q->lane)) {
		notify_by_relay(q);
		return;
	}
	begin_tsc = turn_now_tsc();
	signaller_signal(lcore_signaller(q->lane->lcore), q->call_fd);
	lane_spent(q->lane, begin_tsc);
}

void queue_notify_now(struct queue *q)
{
	q->notify_put_off = false;
	queue_notify(q);
}

static void measure(struct coalesce_rate *rate, uint32_t n, uint32_t from_iops, uint64_t now_tsc)
{
	uint64_t tsc = now_tsc - rate->since_tsc, window_tsc = lcore_tsc_of_us(WINDOW_US);

	rate->n += n;
	if (tsc < window_tsc)
		return;
	rate->is_above = tsc < WINDOWS_MAX * window_tsc &&
			 rate->n * lcore_tsc_of_us(1000000) >= from_iops * tsc;
	rate->since_tsc = now_tsc;
	rate->n = 0;
}

/* The same where interrupts are coalesced, or were a moment ago. */
static void notify_in_time(struct queue *q, uint32_t n, bool wanted, uint64_t now_tsc) IN_LCORE
{
	const struct coalesce *coalesce = q->lane->coalesce;
	uint32_t delay_us = atomic_load_explicit(&coalesce->delay_us, memory_order_relaxed);

	measure(&q->rate, n, atomic_load_explicit(&coalesce->from_iops, memory_order_relaxed),
		now_tsc);
	if (wanted && !q->notify_put_off) {
		q->notify_put_off = true;
		q->notify_tsc = now_tsc + lcore_tsc_of_us(delay_us);
	}
	if (!q->notify_put_off)
		counter_add(&q->counters->interrupts_saved, 1);
	else if (!delay_us || !q->rate.is_above || now_tsc >= q->notify_tsc)
		queue_notify_now(q);
}

void queue_flush(struct queue *q, uint64_t now_tsc)
{
	const struct coalesce *coalesce = q->lane->coalesce;
	uint32_t n = q->n_used_pending;
	bool wanted;

	q->n_used_pending = 0;
	if (!virtq_is_mapped(&q->vq))
		return;
	virtq_publish(&q->vq);
	wanted = virtq_should_notify(&q->vq);
	if (unlikely(atomic_load_explicit(&coalesce->delay_us, memory_order_relaxed) ||
		     q->notify_put_off))
		notify_in_time(q, n, wanted, now_tsc);
	else if (wanted)
		queue_notify(q);
	else
		counter_add(&q->counters->interrupts_saved, 1);
}
