/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The threads that make the load. Each drives its queues until it is told to stop, and counts for
 * itself. The main thread tells it about phases and the end with two atomics; nothing of it makes
 * the worker wait.
 *
 * A worker counts in one of two buffers. When a phase ends it changes to the other one, which the
 * main thread has emptied, and leaves the first to the main thread.
 */
#ifndef VHOSTPERF_WORKER_H
#define VHOSTPERF_WORKER_H

#include <pthread.h>

#include "options.h"
#include "queue.h"

enum stop { STOP_NOT, STOP_DRAIN, STOP_AT_ONCE };

/* Written by the main thread, read by all workers. Atomic. */
struct __attribute__((aligned(CACHE_LINE))) orders {
	uint32_t phase;  /* number of the phase that should be going on */
	uint32_t stop;   /* enum stop */
	int event_fd;    /* a worker that has ended writes to it */
	bool read_back;  /* before the end, with --verify */
	bool wait_block; /* constant */
};

struct __attribute__((aligned(CACHE_LINE))) worker {
	struct orders *orders;
	struct queue *queue[OPTIONS_CPUS_MAX];
	unsigned int n_queues;
	struct observer ob;
	struct stats *buffer; /* two */
	uint32_t phase;       /* going on; atomic, written by the worker */
	uint64_t n_done;      /* requests in all; atomic, written by the worker */
	bool has_ended;       /* atomic, written by the worker */
	const char *failure;  /* why it has ended by itself, or NULL; valid when it has ended */
	int wake_fd;          /* wakes it up where it sleeps */
	int cpu;              /* -1: any */
	pthread_t thread;
};

/** Prepares the worker, which owns two buffers of statistics then. 0 or -errno. */
int worker_init(struct worker *worker, struct orders *orders, const struct clock *clock,
		double away_us);
void worker_fini(struct worker *worker);

/** 0 or -errno. */
int worker_start(struct worker *worker);

/** After a change of the orders. */
void worker_wake(const struct worker *worker);

#endif
