/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Time stamps that cost a few nanoseconds: the processor's time-stamp counter, where the kernel
 * says that it runs at one speed and never stops, else CLOCK_MONOTONIC. Both are counted in ticks.
 */
#ifndef VHOSTPERF_CLOCK_H
#define VHOSTPERF_CLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

struct clock {
	bool is_tsc;
	double ns_per_tick;
};

/** Takes about 20 ms, to find out how long a tick is. */
void clock_init(struct clock *clock);

static inline uint64_t clock_monotonic_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static inline uint64_t clock_now(const struct clock *clock)
{
#if defined(__x86_64__)
	if (__builtin_expect(clock->is_tsc, 1))
		return __rdtsc();
#endif
	(void)clock;
	return clock_monotonic_ns();
}

static inline double clock_us(const struct clock *clock, double ticks)
{
	return ticks * clock->ns_per_tick / 1e3;
}

static inline uint64_t clock_ticks(const struct clock *clock, double us)
{
	return (uint64_t)(us * 1e3 / clock->ns_per_tick);
}

#endif
