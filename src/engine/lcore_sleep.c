/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What an lcore does while there is nothing to do. It sleeps when no lane is polled. While lanes
 * are, because a queue of theirs had something to do a moment ago, it polls them for a while if
 * that is likely to pay (pure/patience.h), apart for drivers and for stores, and then naps: every
 * polled queue asks its driver for kicks, and when the lcore has slept, whatever woke it, all are
 * polled again.
 *
 * Why not poll until a disk has ended an operation: it takes the CPU for nothing, and on a virtual
 * machine an interrupt may reach a CPU that polls later than one that sleeps (an ext4 file on a
 * virtual disk, depth 1: 118 us instead of 75).
 *
 * Lanes that are busy (--poll busy) keep an lcore from sleeping at all. That no wake-up is lost is
 * reasoned out in engine/waker.h.
 */
#include <sys/prctl.h>
#include <sys/resource.h>

#include "engine/lane.h"
#include "engine/lcore_impl.h"
#include "engine/mbox.h"

#define NAP_MIN_US 50 /* a nap that has to end earlier is not worth it */

void lcore_look_at_switches(struct lcore *lcore, bool wanted)
{
	struct rusage usage;
	uint64_t n;

	if (getrusage(RUSAGE_THREAD, &usage))
		return;
	n = (uint64_t)usage.ru_nvcsw - lcore->n_voluntary;
	if (lcore->has_slept && n > 0)
		n--;
	if (!wanted)
		counter_add(&lcore->kernel_sleeps, n);
	lcore->has_slept = false;
	counter_add(&lcore->preemptions, (uint64_t)usage.ru_nivcsw - lcore->n_involuntary);
	lcore->n_voluntary = (uint64_t)usage.ru_nvcsw;
	lcore->n_involuntary = (uint64_t)usage.ru_nivcsw;
}

bool lcore_was_preempted(struct lcore *lcore)
{
	uint64_t before = lcore->n_involuntary;

	lcore_look_at_switches(lcore, false);
	return lcore->n_involuntary != before;
}

void lcore_begin_waits(struct lcore *lcore, uint64_t now_tsc)
{
	prctl(PR_SET_TIMERSLACK, 1); /* a sleep that has a time is over then, and not 50 us later */
	lcore->work_tsc = now_tsc;
	lcore_look_at_switches(lcore, true);
}

static bool is_stopping(const struct lcore *lcore)
{
	return atomic_load_explicit(lcore->stop, memory_order_seq_cst);
}

/* Nothing is to be polled, and nobody wants it to be. */
static bool may_sleep(const struct lcore *lcore)
{
	return !lcore->polled && (lcore_n_attached(lcore) ? true : lcore->sleeps_empty) &&
	       !is_stopping(lcore);
}

/* From one moment to the other; rounded up, so that it does not come too early. */
static uint64_t ns_until(const struct lcore *lcore, uint64_t until_tsc, uint64_t now_tsc)
{
	if (likely(until_tsc == UINT64_MAX))
		return UINT64_MAX;
	return until_tsc <= now_tsc ? 0 : ((until_tsc - now_tsc) / lcore->us_tsc + 1) * 1000;
}

/* After waker_prepare(), and a last look at everything that then finds something by itself. */
static uint64_t sleep_until(struct lcore *lcore, uint64_t until_tsc, uint64_t since_tsc) IN_LCORE
{
	void *whats[LCORE_WAKES_MAX];
	unsigned int n = waker_sleep(&lcore->waker, whats, LCORE_WAKES_MAX,
				     ns_until(lcore, until_tsc, since_tsc));
	uint64_t now_tsc;

	now_tsc = turn_now_tsc();
	lcore->has_slept = true; /* looked at later: somebody waits for the first turn */
	lcore->last_look_tsc = now_tsc;
	counter_add(&lcore->asleep_tsc, now_tsc - since_tsc);
	counter_add(&lcore->sleeps, 1);
	lcore->clock.start_tsc = now_tsc;
	lcore_wake(lcore, whats, n);
	return now_tsc;
}

/* Sleeps unless a last look, which comes after the word that it sleeps, finds something. */
static uint64_t sleep_unless_called(struct lcore *lcore, uint64_t now_tsc) IN_LCORE
{
	unsigned int n;

	waker_prepare(&lcore->waker);
	lcore_poll_waiting(lcore);
	now_tsc = lcore_turn(lcore, now_tsc, &n);
	if (n == 0 && may_sleep(lcore))
		return sleep_until(lcore, lcore->release_tsc, now_tsc);
	waker_cancel(&lcore->waker);
	if (n > 0)
		lcore_end_wait(lcore, now_tsc);
	return now_tsc;
}

/* Has all that is polled doze. False: something is to be done, at once or before a nap pays. */
static bool doze(struct lcore *lcore, uint64_t now_tsc, uint64_t *until_tsc) IN_LCORE
{
	for (struct lane *lane = lcore->polled; lane; lane = lane->next)
		if (!lane_doze(lane, until_tsc))
			return false;
	return *until_tsc > now_tsc && *until_tsc - now_tsc >= NAP_MIN_US * lcore->us_tsc;
}

static uint64_t nap(struct lcore *lcore, uint64_t now_tsc) IN_LCORE
{
	uint64_t until_tsc = lcore->release_tsc;

	waker_prepare(&lcore->waker);
	if (mbox_is_empty(lcore->inbox) && doze(lcore, now_tsc, &until_tsc) &&
	    !is_stopping(lcore)) {
		now_tsc = sleep_until(lcore, until_tsc, now_tsc);
	} else {
		waker_cancel(&lcore->waker);
		lcore->awake_until_tsc = now_tsc + NAP_MIN_US * lcore->us_tsc;
	}
	for (struct lane *lane = lcore->polled; lane; lane = lane->next)
		lane_rouse(lane);
	return now_tsc;
}

uint64_t lcore_wait(struct lcore *lcore, uint64_t now_tsc)
{
	if (!lcore->wait)
		lcore->wait =
			&lcore->patience[lcore->is_away ? LCORE_WAIT_STORES : LCORE_WAIT_DRIVERS];
	if (lcore->has_slept)
		lcore_look_at_switches(lcore, true);
	if (!lcore->polled)
		return may_sleep(lcore) ? sleep_unless_called(lcore, now_tsc) : now_tsc;
	if (now_tsc - lcore->work_tsc < lcore->wait->spin_ticks ||
	    now_tsc < lcore->awake_until_tsc || lcore->n_sleepers < lcore_n_attached(lcore))
		return now_tsc;
	return nap(lcore, now_tsc);
}
