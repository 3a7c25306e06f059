/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The control thread's event loop: descriptors, timers and signals through epoll(7), and tasks to
 * be run soon. It takes one event at a time, so that a callback may remove any source or task, its
 * own included; the kernel hands ready descriptors out in turn, so that none is starved.
 *
 * Sources and tasks belong to the caller and are embedded in what they are about.
 */
#ifndef CONTROL_LOOP_H
#define CONTROL_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/queue.h>

#include "base/error.h"
#include "base/thread_role.h"

struct loop;

/** `events`: the EPOLL* bits that are set. */
typedef void (*loop_fn)(void *arg, uint32_t events);

struct loop_source {
	int fd; /* -1: not watched */
	uint32_t events;
	loop_fn fn;
	void *arg;
};

struct loop_task {
	void (*fn)(void *arg);
	void *arg;
	bool is_queued;
	TAILQ_ENTRY(loop_task) link;
};

/** 0, or -1 with *err set. */
int loop_new(struct loop **ret_loop, struct error *err);
void loop_free(struct loop *loop);

/** Runs callbacks until loop_stop(). */
void loop_run(struct loop *loop) IN_CTRL;
void loop_stop(struct loop *loop) IN_CTRL;

/** Watches `fd` (which stays the caller's) for `events`. 0 / -errno. */
int loop_add(struct loop *loop, struct loop_source *source, int fd, uint32_t events, loop_fn fn,
	     void *arg);

/** Watches it for other events. */
void loop_change(struct loop *loop, struct loop_source *source, uint32_t events);

/** Forgets the source; the descriptor stays open. Harmless when it isn't watched. */
void loop_remove(struct loop *loop, struct loop_source *source);

/** A source of the loop's own that fires every `period_ms`; a callback must loop_drain() it.
 *  0 / -errno. */
int loop_add_timer(struct loop *loop, struct loop_source *source, unsigned int period_ms,
		   loop_fn fn, void *arg);

/** Takes the expirations of a timer. */
void loop_drain(struct loop_source *source);

/** Forgets a timer and closes its descriptor. */
void loop_remove_timer(struct loop *loop, struct loop_source *source);

/** Has task->fn called once, after the event in hand; again before that changes nothing. */
void loop_defer(struct loop *loop, struct loop_task *task);

/** Forgets a task. Harmless when it isn't queued. */
void loop_cancel(struct loop *loop, struct loop_task *task);

#endif
