/* SPDX-License-Identifier: BSD-3-Clause
 *
 * An lcore's insides, for lcore.c, the poll loop, and lcores.c, the set of them.
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

struct lcore {
	/* its own */
	struct lane *polled;  /* lanes in LANE_POLLED */
	struct lane *waiting; /* lanes in LANE_WAITING */
	uint64_t release_tsc; /* the earliest of theirs */
	struct mbox *inbox;
	struct signaller *signaller;
	uint64_t slow_tsc; /* a turn of so many cycles is a slow one */
	struct turn_trace *trace;
	uint64_t n_voluntary, n_involuntary; /* context switches when last looked at */
	struct waker waker;
	uint64_t look_tsc; /* the waker is looked at so often while others are polled */
	uint64_t last_look_tsc;
	uint64_t ms_tsc;         /* cycles of a millisecond */
	unsigned int n_sleepers; /* attached queues that may sleep */
	bool sleeps_empty;       /* sleeps when no queue is attached */
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
	struct lcore lcores[];
};

/** What rte_eal_remote_launch() runs: the poll loop of `arg`, a struct lcore, until *stop. */
int lcore_poll(void *arg);

#endif
