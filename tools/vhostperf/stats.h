/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What is counted in one phase: by each worker for itself, and summed up when the phase has ended.
 * All times are in ticks of the clock.
 *
 * "Away" is the time between two looks at the ring that are further apart than --away-us: something
 * else had the client's CPU. A time that is "net" leaves out what the client was away in it.
 */
#ifndef VHOSTPERF_STATS_H
#define VHOSTPERF_STATS_H

#include <stdint.h>

#include "base/hist.h"

/* X(name): counters, as the results have them. */
#define STATS_COUNTERS(X)                                                                          \
	X(requests)        /* that have ended */                                                   \
	X(reads)           /* of these */                                                          \
	X(writes)          /* of these */                                                          \
	X(errors)          /* of these that failed */                                              \
	X(verified_blocks) /* compared */                                                          \
	X(mismatches)      /* of these that were wrong */                                          \
	X(away_count)                                                                              \
	X(kicks)      /* sent */                                                                   \
	X(interrupts) /* received, as the call descriptors count them */                           \
	X(sleeps)

#define STATS_COUNTER(name) uint64_t name;

struct stats {
	uint64_t begin, end;
	STATS_COUNTERS(STATS_COUNTER)
	uint64_t away, away_max;
	uint64_t gap_max, gap_net_max;
	struct hist calm;      /* requests during which the client was not away */
	struct hist disturbed; /* the others */
	struct hist rest;      /* the same ones, net */
};

#undef STATS_COUNTER

void stats_clear(struct stats *stats);

/** Adds `from`, of another worker and the same phase, to `into`. */
void stats_merge(struct stats *into, const struct stats *from);

#endif
