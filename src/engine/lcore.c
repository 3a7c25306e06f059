/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The poll loop. Each turn: a bounded number of messages, then one turn of each lane that has a
 * queue attached. Nothing here waits, locks or allocates; the only system calls are the store's
 * submission, the write to a call descriptor, and, rarely, the wake-up of CTRL.
 */
#include "engine/lcore.h"

#include <rte_cycles.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_pause.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "engine/lane.h"
#include "engine/mbox.h"
#include "engine/queue.h"
#include "engine/signaller.h"
#include "engine/turn.h"

#define MESSAGES_TURN 16

/* What counts as a slow turn: others wait for so long. */
#define SLOW_US      50
#define VERY_SLOW_US 1000

struct lcore {
	/* its own */
	struct lane *lanes;
	struct mbox *inbox;
	struct signaller *signaller;
	uint64_t slow_tsc; /* a turn of so many cycles is a slow one */
	struct turn_trace *trace;
	unsigned int id;
	/* one writer, any reader */
	_Atomic uint32_t n_queues;
	_Atomic uint64_t turns;
	_Atomic uint64_t busy_tsc;
	_Atomic uint64_t total_tsc;
	_Atomic uint64_t longest_turn_tsc;   /* CTRL sets it to 0 to have it measured anew */
	_Atomic uint64_t longest_turn_cause; /* turn_cause_pack() */
	_Atomic uint64_t slow_turns;
	_Atomic uint64_t very_slow_turns;
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

static unsigned int n_attached(const struct lcore *lcore)
{
	return atomic_load_explicit(&lcore->n_queues, memory_order_relaxed);
}

static void attach(struct lcore *lcore, struct queue *q) IN_LCORE
{
	struct lane *lane = q->lane;

	if (!lane->queues) {
		lane->next = lcore->lanes;
		lcore->lanes = lane;
	}
	lane_add_queue(lane, q);
	atomic_store_explicit(&lcore->n_queues, n_attached(lcore) + 1, memory_order_relaxed);
	queue_attach(q);
}

static void handle_queue_msg(struct msg *msg) IN_LCORE
{
	struct queue_msg *m = container_of(msg, struct queue_msg, msg);

	switch ((enum lcore_msg)msg->kind) {
	case LCORE_MSG_SWAP_MAP:
		queue_swap_map(m->queue, m->map_use);
		break;
	case LCORE_MSG_SET_CALL:
		m->call_fd = queue_swap_call(m->queue, m->call_fd);
		break;
	case LCORE_MSG_SET_ENABLED:
		queue_set_enabled(m->queue, m->enabled);
		break;
	case LCORE_MSG_ATTACH:
	case LCORE_MSG_STOP:
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
	default:
		return container_of(msg, struct queue_msg, msg)->queue;
	}
}

static void handle(struct lcore *lcore, struct msg *msg) IN_LCORE
{
	struct queue *queue = queue_of_msg(msg);
	const struct turn_cause cause = {
		.device = queue->lane->device,
		.queue = queue->index,
		.work = (uint8_t)(TURN_N_WORKS + msg->kind),
	};

	switch ((enum lcore_msg)msg->kind) {
	case LCORE_MSG_ATTACH:
		attach(lcore, queue);
		break;
	case LCORE_MSG_STOP:
		queue_event(queue, QUEUE_EV_STOP);
		break;
	default:
		handle_queue_msg(msg); /* the message is its sender's from here on */
	}
	turn_mark(&lcore->clock, cause, 1);
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

static void let_go(struct lcore *lcore, struct queue *drained) IN_LCORE
{
	while (drained) {
		struct queue *next = drained->next;

		atomic_store_explicit(&lcore->n_queues, n_attached(lcore) - 1,
				      memory_order_relaxed);
		queue_drained(drained);
		drained = next;
	}
}

/* One turn of each lane; lanes whose last queue went away leave the list. */
static unsigned int turn_lanes(struct lcore *lcore) IN_LCORE
{
	struct lane **link = &lcore->lanes;
	unsigned int n = 0;

	while (*link) {
		struct lane *lane = *link;
		struct queue *drained = NULL;

		n += lane_turn(lane, &lcore->clock, &drained);
		if (lane->queues)
			link = &lane->next;
		else
			*link = lane->next;
		let_go(lcore, drained);
	}
	return n;
}

static void account_slow(struct lcore *lcore, uint64_t tsc)
{
	counter_add(&lcore->slow_turns, 1);
	if (tsc >= lcore->slow_tsc * (VERY_SLOW_US / SLOW_US))
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

static int poll_loop(void *arg)
{
	struct lcore *lcore = arg;
	uint64_t now = rte_rdtsc();

	role_enter(&role_lcore);
	while (!atomic_load_explicit(lcore->stop, memory_order_relaxed)) {
		unsigned int n;

		turn_begin(&lcore->clock, now,
			   unlikely(counter_get(&lcore->trace_over_tsc)) ? lcore->trace : NULL);
		n = handle_messages(lcore);
		n += turn_lanes(lcore);
		if (n == 0)
			rte_pause();
		now = rte_rdtsc();
		account(lcore, now - lcore->clock.start_tsc, n > 0);
	}
	role_leave(&role_lcore);
	return 0;
}

int lcores_new(const struct lcore_set *set, struct lcores **ret_lcores, struct error *err)
{
	unsigned int n = lcore_set_count(set);
	size_t n_bytes = sizeof(struct lcores) + n * sizeof(struct lcore);
	struct lcores *lcores = NULL;

	if (posix_memalign((void **)&lcores, CACHE_LINE * 2, n_bytes))
		return error_set(err, VHOSTD_ERR_INTERNAL, "out of memory");
	memset(lcores, 0, n_bytes);
	lcores->set = *set;
	for (unsigned int id = 0; id < VHOSTD_LCORES_MAX; id++) {
		struct lcore *lcore = &lcores->lcores[lcores->n];

		if (!lcore_set_has(set, id))
			continue;
		lcore->id = id;
		lcore->stop = &lcores->stop;
		lcore->slow_tsc = rte_get_tsc_hz() * SLOW_US / 1000000;
		lcores->n++;
		lcore->trace = turn_trace_new();
		if (!lcore->trace)
			error_set(err, VHOSTD_ERR_INTERNAL, "out of memory");
		if (!lcore->trace || mbox_new(false, &lcore->inbox, err) ||
		    signaller_new(&lcore->signaller, err)) {
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
			rte_eal_remote_launch(poll_loop, lcore, lcore->id);
	}
	CHECK(own, "the main lcore is one of ours");
	poll_loop(own);
	rte_eal_mp_wait_lcore();
}

void lcores_stop(struct lcores *lcores)
{
	atomic_store_explicit(&lcores->stop, true, memory_order_relaxed);
}

void lcores_free(struct lcores *lcores)
{
	for (unsigned int i = 0; i < lcores->n; i++) {
		mbox_free(lcores->lcores[i].inbox);
		signaller_free(lcores->lcores[i].signaller);
		turn_trace_free(lcores->lcores[i].trace);
	}
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

struct signaller *lcore_signaller(struct lcore *lcore)
{
	return lcore->signaller;
}

unsigned int lcore_id(const struct lcore *lcore)
{
	return lcore->id;
}

void lcore_send(struct lcore *lcore, struct msg *msg)
{
	mbox_send(lcore->inbox, msg);
}

void lcores_trace(struct lcores *lcores, uint64_t over_us)
{
	for (unsigned int i = 0; i < lcores->n; i++)
		atomic_store_explicit(&lcores->lcores[i].trace_over_tsc,
				      over_us * (rte_get_tsc_hz() / 1000000), memory_order_relaxed);
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
		.socket = (int)rte_lcore_to_socket_id(lcore->id),
		.n_queues = n_attached(lcore),
		.turns = counter_get(&lcore->turns),
		.busy_tsc = counter_get(&lcore->busy_tsc),
		.total_tsc = counter_get(&lcore->total_tsc),
		.now_tsc = rte_rdtsc(),
		.tsc_hz = rte_get_tsc_hz(),
		.longest_turn_tsc = counter_get(&lcore->longest_turn_tsc),
		.longest_turn_cause = turn_cause_unpack(counter_get(&lcore->longest_turn_cause)),
		.slow_turns = counter_get(&lcore->slow_turns),
		.very_slow_turns = counter_get(&lcore->very_slow_turns),
		.messages = counter_get(&lcore->messages),
	};
}
