/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Threads on CPUs of their own, for the small programs of the benchmarks.
 */
#ifndef BENCH_CPUS_H
#define BENCH_CPUS_H

#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

/** CLOCK_MONOTONIC, as Python's time.monotonic(). */
static inline int64_t bench_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/** The thread runs on this CPU, below CPU_SETSIZE, from now on. 0 or an error number. */
static inline int bench_pin(pthread_t thread, unsigned int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return pthread_setaffinity_np(thread, sizeof(set), &set);
}

/** How many CPUs a list such as 0,2 names; 0 when it is none, or names more than n_max. */
static inline unsigned int bench_parse_cpus(const char *text, unsigned int *ret_cpus,
					    unsigned int n_max)
{
	unsigned int n = 0;
	char *end;

	do {
		long cpu = strtol(text, &end, 10);

		if (end == text || cpu < 0 || cpu >= CPU_SETSIZE || n == n_max ||
		    (*end && *end != ','))
			return 0;
		ret_cpus[n++] = (unsigned int)cpu;
		text = end + 1;
	} while (*end);
	return n;
}

#endif
