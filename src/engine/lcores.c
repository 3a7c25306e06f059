/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The set of lcores: made, launched, stopped, looked at from outside.
 */
#include <rte_cycles.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <stdlib.h>
#include <string.h>

#include "engine/lcore_impl.h"
#include "engine/mbox.h"
#include "engine/signaller.h"

#define SLOW_US            50
#define TSC_PER_US_UNKNOWN 10000 /* without EAL, in tests: more than any CPU has */
#define LOOK_US            50 /* a kick waits for so long at most while other queues are polled */

uint64_t lcore_tsc_of_us(uint64_t us)
{
	uint64_t per_us = rte_get_tsc_hz() / 1000000;

	return per_us ? us * per_us : us * TSC_PER_US_UNKNOWN;
}

static void init_waits(struct lcore *lcore, const struct lcores_params *params)
{
	patience_init(&lcore->patience[LCORE_WAIT_DRIVERS], lcore_tsc_of_us(params->poll_idle_us));
	patience_init(&lcore->patience[LCORE_WAIT_STORES], lcore_tsc_of_us(params->poll_io_us));
	lcore->sleeps_empty = params->sleeps_empty;
	lcore->look_tsc = lcore_tsc_of_us(LOOK_US);
	lcore->us_tsc = lcore_tsc_of_us(1);
	lcore->release_tsc = UINT64_MAX;
}

int lcores_new(const struct lcores_params *params, struct lcores **ret_lcores, struct error *err)
{
	const struct lcore_set *set = &params->set;
	unsigned int n = lcore_set_count(set);
	size_t n_bytes = sizeof(struct lcores) + n * sizeof(struct lcore);
	struct lcores *lcores = NULL;

	if (posix_memalign((void **)&lcores, CACHE_LINE * 2, n_bytes))
		return error_set(err, VHOSTD_ERR_INTERNAL, "out of memory");
	memset(lcores, 0, n_bytes);
	for (unsigned int i = 0; i < n; i++)
		lcores->lcores[i].waker = (struct waker){.epoll_fd = -1, .doorbell.fd = -1};
	lcores->set = *set;
	if (signaller_pool_new(&lcores->pool, err)) {
		lcores_free(lcores);
		return -1;
	}
	for (unsigned int id = 0; id < VHOSTD_LCORES_MAX; id++) {
		struct lcore *lcore = &lcores->lcores[lcores->n];

		if (!lcore_set_has(set, id))
			continue;
		lcore->id = id;
		lcore->stop = &lcores->stop;
		lcore->slow_tsc = lcore_tsc_of_us(SLOW_US);
		lcore->pool = lcores->pool;
		lcore->offload = params->offload;
		lcore->relays.doorbell = &lcore->waker.doorbell;
		init_waits(lcore, params);
		lcores->n++;
		lcore->trace = turn_trace_new();
		if (!lcore->trace)
			error_set(err, VHOSTD_ERR_INTERNAL, "out of memory");
		if (!lcore->trace || mbox_new(false, &lcore->inbox, err) ||
		    signaller_new(&lcore->signaller, err) || waker_init(&lcore->waker, err)) {
			lcores_free(lcores);
			return -1;
		}
	}
	*ret_lcores = lcores;
	return 0;
}

void lcores_run(struct lcores *lcores)
{
	struct lcore *own = NULL;

	for (unsigned int i = 0; i < lcores->n; i++) {
		struct lcore *lcore = &lcores->lcores[i];

		if (lcore->id == rte_get_main_lcore())
			own = lcore;
		else
			rte_eal_remote_launch(lcore_poll, lcore, lcore->id);
	}
	CHECK(own, "the main lcore is one of ours");
	lcore_poll(own);
	rte_eal_mp_wait_lcore();
}

void lcores_stop(struct lcores *lcores)
{
	atomic_store_explicit(&lcores->stop, true, memory_order_seq_cst);
	for (unsigned int i = 0; i < lcores->n; i++)
		lcore_poke(&lcores->lcores[i]);
}

void lcores_free(struct lcores *lcores)
{
	for (unsigned int i = 0; i < lcores->n; i++) {
		mbox_free(lcores->lcores[i].inbox);
		signaller_free(lcores->lcores[i].signaller);
		turn_trace_free(lcores->lcores[i].trace);
		waker_fini(&lcores->lcores[i].waker);
	}
	signaller_pool_free(lcores->pool);
	free(lcores);
}

const struct lcore_set *lcores_set(const struct lcores *lcores)
{
	return &lcores->set;
}

unsigned int lcores_count(const struct lcores *lcores)
{
	return lcores->n;
}

struct lcore *lcores_nth(struct lcores *lcores, unsigned int i)
{
	return &lcores->lcores[i];
}

struct waker *lcore_waker(struct lcore *lcore)
{
	return &lcore->waker;
}

struct doorbell *lcore_doorbell(struct lcore *lcore)
{
	return &lcore->waker.doorbell;
}

void lcore_poke(struct lcore *lcore)
{
	doorbell_ring_sleeper(&lcore->waker.doorbell);
}

void lcore_lend(struct lcore *lcore, struct relay *relay)
{
	relay->pool = lcore->pool;
	relay->task.done = &lcore->relays;
	offload_group_init(&relay->group, lcore->offload);
	offload_submit(&relay->group, &relay->task);
}

struct signaller *lcore_signaller(struct lcore *lcore)
{
	return lcore->signaller;
}

unsigned int lcore_id(const struct lcore *lcore)
{
	return lcore->id;
}

int lcore_node(const struct lcore *lcore)
{
	return (int)rte_lcore_to_socket_id(lcore->id);
}

void lcore_send(struct lcore *lcore, struct msg *msg)
{
	mbox_send(lcore->inbox, msg);
	doorbell_ring_sleeper(&lcore->waker.doorbell);
}

void lcores_trace(struct lcores *lcores, uint64_t over_us)
{
	for (unsigned int i = 0; i < lcores->n; i++)
		atomic_store_explicit(&lcores->lcores[i].trace_over_tsc, lcore_tsc_of_us(over_us),
				      memory_order_relaxed);
}

bool lcore_trace_get(const struct lcore *lcore, unsigned int i, struct turn_record *ret_record)
{
	return turn_trace_get(lcore->trace, i, ret_record);
}

void lcore_forget_longest(struct lcore *lcore)
{
	atomic_store_explicit(&lcore->longest_turn_tsc, 0, memory_order_relaxed);
}

void lcore_view_get(const struct lcore *lcore, struct lcore_view *ret_view)
{
	*ret_view = (struct lcore_view){
		.id = lcore->id,
		.socket = lcore_node(lcore),
		.n_queues = atomic_load_explicit((_Atomic uint32_t *)(uintptr_t)&lcore->n_queues,
						 memory_order_relaxed),
		.turns = counter_get(&lcore->turns),
		.busy_tsc = counter_get(&lcore->busy_tsc),
		.total_tsc = counter_get(&lcore->total_tsc),
		.asleep_tsc = counter_get(&lcore->asleep_tsc),
		.sleeps = counter_get(&lcore->sleeps),
		.now_tsc = rte_rdtsc(),
		.tsc_hz = rte_get_tsc_hz(),
		.longest_turn_tsc = counter_get(&lcore->longest_turn_tsc),
		.longest_turn_cause = turn_cause_unpack(counter_get(&lcore->longest_turn_cause)),
		.slow_turns = counter_get(&lcore->slow_turns),
		.very_slow_turns = counter_get(&lcore->very_slow_turns),
		.kernel_sleeps = counter_get(&lcore->kernel_sleeps),
		.preemptions = counter_get(&lcore->preemptions),
		.messages = counter_get(&lcore->messages),
	};
}
