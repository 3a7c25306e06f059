/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What waking costs on this machine: a thread that does nothing but sleep in epoll on a CPU and
 * answer through memory when it is woken through an eventfd. No back end that sleeps can answer
 * earlier.
 */
#ifndef BENCH_FLOOR_H
#define BENCH_FLOOR_H

#include <pthread.h>
#include <stdatomic.h>

struct wake_floor {
	pthread_t thread;
	int kick_fd;
	int epoll_fd;
	atomic_uint n_asked;
	atomic_uint n_answered;
	atomic_bool stop;
};

/** The sleeper runs on this CPU. 0 or -errno. */
int wake_floor_start(struct wake_floor *floor, unsigned int cpu);
void wake_floor_stop(struct wake_floor *floor);

/** Wakes it and polls for its answer. */
void wake_floor_ask(struct wake_floor *floor);

#endif
