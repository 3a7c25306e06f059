/* SPDX-License-Identifier: BSD-3-Clause
 *
 * When a worker looks at its rings, and when it was away from them: the machine is shared, and what
 * the client's own absence adds to a latency is not the back end's doing.
 */
#ifndef VHOSTPERF_OBSERVER_H
#define VHOSTPERF_OBSERVER_H

#include "base/compiler.h"
#include "clock.h"
#include "stats.h"

struct observer {
	const struct clock *clock;
	struct stats *stats;      /* of the phase */
	uint64_t threshold_ticks; /* two looks further apart than this: it was away */
	uint64_t last_look;
	uint64_t away_ticks; /* in all, since the start */
};

/** The time of a look, taken right after the look itself. */
static inline uint64_t observer_look(struct observer *ob)
{
	uint64_t now = clock_now(ob->clock), since = now - ob->last_look;

	ob->last_look = now;
	if (unlikely(since > ob->threshold_ticks && (int64_t)since > 0)) {
		ob->away_ticks += since;
		ob->stats->away += since;
		ob->stats->away_count++;
		if (since > ob->stats->away_max)
			ob->stats->away_max = since;
	}
	return now;
}

/** It slept because it wanted to: that is not being away. */
static inline void observer_slept(struct observer *ob)
{
	ob->last_look = clock_now(ob->clock);
}

#endif
