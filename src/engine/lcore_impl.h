/* SPDX-License-Identifier: BSD-3-Clause
 *
 * An lcore's insides, for lcore.c, the poll loop, lcore_sleep.c, what it does while there is
 * nothing to do, and lcores.c, the set of them.
 */
#ifndef ENGINE_LCORE_IMPL_H
#define ENGINE_LCORE_IMPL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "engine/lcore.h"
#include "engine/turn.h"
#include "engine/waker.h"
#include "pure/patience.h"

#define LCORE_WAKES_MAX 32

/** What it waits for when a turn finds nothing. */
enum lcore_wait {
	LCORE_WAIT_DRIVERS, /* to make something available */
	LCORE_WAIT_STORES,  /* the same, or operations that the kernel or helpers have to end */
	LCORE_N_WAITS,
};

struct lcore {
	/* its own */
	struct lane *polled;  /* lanes in LANE_POLLED */
	struct lane *waiting; /* lanes in LANE_WAITING */
	uint64_t release_tsc; /* the earliest of theirs */
	struct mbox *inbox;
	struct signaller *signaller;
	struct offload *offload;
	struct signaller_pool *pool; /* for what is lent to it */
	struct offload_done relays;  /* that were lent, and have come back */
	uint64_t slow_tsc;           /* a turn of so many cycles is a slow one */
	struct turn_trace *trace;
	uint64_t n_voluntary, n_involuntary; /* context switches when last looked at */
	bool has_slept;                      /* since then, once, by its own will */
	struct waker waker;
	uint64_t look_tsc; /* the waker is looked at so often while others are polled */
	uint64_t last_look_tsc;
	uint64_t us_tsc;         /* cycles of a microsecond */
	unsigned int n_sleepers; /* attached queues that may sleep */
	bool sleeps_empty;       /* sleeps when no queue is attached */
	bool is_away;            /* a polled lane had operations away at the turn's end */
	struct patience patience[LCORE_N_WAITS];
	struct patience *wait;    /* that the last turns were part of; NULL: the last one found
				   * something */
	uint64_t work_tsc;        /* end of the last turn that found something */
	uint64_t awake_until_tsc; /* it does not try to nap before */
	unsigned int id;
	/* one writer, any reader */
	_Atomic uint32_t n_queues;
	_Atomic uint64_t turns;
	_Atomic uint64_t busy_tsc;
	_Atomic uint64_t total_tsc;
	_Atomic uint64_t asleep_tsc;
	_Atomic uint64_t sleeps;
	_Atomic uint64_t longest_turn_tsc;   /* CTRL sets it to 0 to have it measured anew */
	_Atomic uint64_t longest_turn_cause; /* turn_cause_pack() */
	_Atomic uint64_t slow_turns;
	_Atomic uint64_t very_slow_turns;
	_Atomic uint64_t kernel_sleeps;
	_Atomic uint64_t preemptions;
	_Atomic uint64_t messages;
	/* written by others, rarely */
	_Atomic uint64_t trace_over_tsc; /* turns of so many cycles are kept; 0: nobody traces */
	atomic_bool *stop;
	struct turn_clock clock; /* its own again; large */
} __attribute__((aligned(CACHE_LINE * 2)));

struct lcores {
	struct lcore_set set;
	unsigned int n;
	atomic_bool stop;
	struct signaller_pool *pool;
	struct lcore lcores[];
};

/** What rte_eal_remote_launch() runs: the poll loop of `arg`, a struct lcore, until *stop. */
int lcore_poll(void *arg);

/* lcore.c */

static inline unsigned int lcore_n_attached(const struct lcore *lcore)
{
	return atomic_load_explicit(&lcore->n_queues, memory_order_relaxed);
}

/** A turn that is accounted for; returns when it has ended. */
uint64_t lcore_turn(struct lcore *lcore, uint64_t now_tsc, unsigned int *ret_n) IN_LCORE;

/** Lanes in LANE_WAITING are polled again. */
void lcore_poll_waiting(struct lcore *lcore) IN_LCORE;

/** What was kicked, or rung for, is polled again. */
void lcore_wake(struct lcore *lcore, void **whats, unsigned int n) IN_LCORE;

/* lcore_sleep.c */

/** Before the first turn. */
void lcore_begin_waits(struct lcore *lcore, uint64_t now_tsc) IN_LCORE;

/** A turn has found nothing: perhaps sleeps. Returns the time. */
uint64_t lcore_wait(struct lcore *lcore, uint64_t now_tsc) IN_LCORE;

/** A turn has found something, and has ended now. */
static inline void lcore_end_wait(struct lcore *lcore, uint64_t now_tsc) IN_LCORE
{
	if (lcore->wait)
		patience_learn(lcore->wait, lcore->clock.start_tsc - lcore->work_tsc);
	lcore->wait = NULL;
	lcore->work_tsc = now_tsc;
}

/** Counts how often the lcore has stopped running since the last look, where that was not by its
 * own will: a call that never waits. */
void lcore_look_at_switches(struct lcore *lcore, bool wanted) IN_LCORE;

#endif
