/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The lcores: one pinned thread each that polls its virtqueues for as long as the daemon runs.
 * Other threads talk to an lcore by messages only (engine/mbox.h).
 */
#ifndef ENGINE_LCORE_H
#define ENGINE_LCORE_H

#include <stdint.h>

#include "base/error.h"
#include "base/thread_role.h"
#include "engine/lcore_set.h"
#include "engine/turn.h"

struct lcores;
struct lcore;
struct msg;
struct offload;
struct relay;
struct signaller;
struct doorbell;
struct waker;

/** How an lcore spends its time; read from any thread, each figure right for itself. */
struct lcore_view {
	unsigned int id;     /* CPU number */
	int socket;          /* NUMA node, -1 unknown */
	uint32_t n_queues;   /* virtqueues it serves now */
	uint64_t turns;      /* of the poll loop */
	uint64_t busy_tsc;   /* cycles of turns that found work */
	uint64_t total_tsc;  /* cycles of all turns */
	uint64_t asleep_tsc; /* cycles between turns */
	uint64_t sleeps;     /* times that it slept */
	uint64_t now_tsc;    /* when this was read */
	uint64_t tsc_hz;
	uint64_t longest_turn_tsc;            /* of those that found work; 0 without one */
	struct turn_cause longest_turn_cause; /* what took most of it */
	uint64_t slow_turns;                  /* over 50 us */
	uint64_t very_slow_turns;             /* over 1 ms */
	uint64_t kernel_sleeps; /* times that a system call kept it waiting; looked at after
				 * slow turns, as is: */
	uint64_t preemptions;   /* times that something else got its CPU */
	uint64_t messages;      /* taken from its inbox */
};

struct lcores_params {
	struct lcore_set set;
	struct offload *offload;
	bool sleeps_empty; /* they sleep while they serve no queue, too */
	/* An lcore all of whose queues may sleep polls for so long at most: */
	uint32_t poll_idle_us; /* until a driver has something */
	uint32_t poll_io_us;   /* until an operation that it doesn't do itself has ended */
};

/** One object for all lcores in the set. Call on the EAL's main thread after eal_start(). 0, or -1
 *  with *err set. */
int lcores_new(const struct lcores_params *params, struct lcores **ret_lcores, struct error *err);

/** Launches the other lcores and polls as the main lcore until lcores_stop(); then joins them. */
void lcores_run(struct lcores *lcores);

/** Makes lcores_run() return. Any thread. */
void lcores_stop(struct lcores *lcores);

/** After lcores_run(): nothing is attached any more. */
void lcores_free(struct lcores *lcores);

const struct lcore_set *lcores_set(const struct lcores *lcores);
unsigned int lcores_count(const struct lcores *lcores);

/** The i-th of lcores_count(). */
struct lcore *lcores_nth(struct lcores *lcores, unsigned int i);

unsigned int lcore_id(const struct lcore *lcore);

/** The NUMA node of its CPU. */
int lcore_node(const struct lcore *lcore);

/** What it signals call descriptors with. */
struct signaller *lcore_signaller(struct lcore *lcore) IN_LCORE;

/** Has a helper thread signal relay->fd; the relay comes back by queue_relay_back(). */
void lcore_lend(struct lcore *lcore, struct relay *relay) IN_LCORE;

/** Did something else get its CPU since this was asked last, or a turn was slow? */
bool lcore_was_preempted(struct lcore *lcore) IN_LCORE;

/** What it sleeps with. */
struct waker *lcore_waker(struct lcore *lcore) IN_LCORE;

/** To be rung by whoever has something for it that is no message. Any thread. */
struct doorbell *lcore_doorbell(struct lcore *lcore);

/** Has it make a turn if it sleeps. Any thread. */
void lcore_poke(struct lcore *lcore);

/** Cycles of so many microseconds. */
uint64_t lcore_tsc_of_us(uint64_t us);

/** Hands a message over; never waits. The lcore sets msg->done when it has dealt with it. */
void lcore_send(struct lcore *lcore, struct msg *msg);

void lcore_view_get(const struct lcore *lcore, struct lcore_view *ret_view);

/** Begins longest_turn_tsc anew. Any thread. */
void lcore_forget_longest(struct lcore *lcore);

/** From now on the turns that take at least so long are kept with all that was done in them; 0: no
 *  more are. Any thread. */
void lcores_trace(struct lcores *lcores, uint64_t over_us);

/** The i-th of the last TURN_TRACES_MAX kept, oldest first; false when there is none. Any thread.
 */
bool lcore_trace_get(const struct lcore *lcore, unsigned int i, struct turn_record *ret_record);

#endif
