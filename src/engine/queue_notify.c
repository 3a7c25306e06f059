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

void queue_notify(struct queue *q)
{
	if (q->call_fd < 0)
		return;
	signaller_signal(lcore_signaller(q->lane->lcore), q->call_fd);
	counter_add(&q->counters->interrupts, 1);
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
