/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Helper threads for calls that may block: what has no asynchronous form, and I/O that would have
 * had to wait. An lcore hands a task over without a lock, an allocation or a call that blocks, and
 * finds it again, ended, in its channel's list.
 *
 * Tasks belong to a group, one for each store. At most OFFLOAD_GROUP_THREADS of a group are at work
 * at a time, in the order they came; groups whose tasks hang hold up no other group, however many
 * they are: beyond OFFLOAD_THREADS_MAX threads a group gets one, but no more.
 *
 *   LCORE --inbox--> dispatcher --group's FIFO--> helper --done list--> LCORE
 *        (lock-free)                                   (lock-free)
 */
#ifndef ENGINE_OFFLOAD_H
#define ENGINE_OFFLOAD_H

#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/error.h"
#include "base/thread_role.h"

#define OFFLOAD_GROUP_THREADS 4
#define OFFLOAD_THREADS_MAX   256
#define OFFLOAD_IDLE_S        5 /* an idle helper ends after so long */

struct doorbell;
struct offload;
struct offload_group;
struct offload_task;

/** Where ended tasks come back to; one for each channel. */
struct offload_done {
	struct offload_task
		*_Atomic head;     /* newest first; release by helpers, acquire by the lcore */
	struct doorbell *doorbell; /* to be rung then; NULL: the lcore never sleeps */
};

/** Embedded in what is to be done; its owner's again when it was reaped. */
struct offload_task {
	struct offload_task *next;
	void (*run)(struct offload_task *task); /* JOB */
	struct offload_group *group;
	struct offload_done *done;
};

/** One store's tasks. Fields are the room's, under its lock. */
struct offload_group {
	struct offload *offload;
	struct offload_task *head;
	struct offload_task **tail;
	unsigned int n_running;
	struct offload_group *next_starved;
	bool starved; /* it is in the list of groups that wait for a thread */
};

/** 0, or -1 with *err set. The threads run where the caller may run: not a pinned thread, or
 *  followed by offload_set_cpus(). */
int offload_new(struct offload **ret_offload, struct error *err);

/** The CPUs the helper threads run on from now on: none that an lcore polls on. Before the first
 *  task. */
void offload_set_cpus(struct offload *offload, const cpu_set_t *cpus);
void offload_get_cpus(const struct offload *offload, cpu_set_t *ret_cpus);

/** All tasks have ended; waits for the threads. */
void offload_free(struct offload *offload);

void offload_group_init(struct offload_group *group, struct offload *offload);

/** Hands a task over. task->run and task->done are set. */
void offload_submit(struct offload_group *group, struct offload_task *task) IN_LCORE;

/** The tasks that have ended since the last call, oldest first; NULL: none, at the cost of a load.
 */
struct offload_task *offload_reap(struct offload_done *done) IN_LCORE;

/** Helper threads there are now; for tests and statistics. */
unsigned int offload_n_threads(struct offload *offload);

#endif
