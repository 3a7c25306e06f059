/* SPDX-License-Identifier: BSD-3-Clause */
#include "stats.h"

#include <string.h>

void stats_clear(struct stats *stats)
{
	memset(stats, 0, sizeof(*stats));
	stats->begin = UINT64_MAX;
	hist_clear(&stats->calm);
	hist_clear(&stats->disturbed);
	hist_clear(&stats->rest);
}

static void raise_to(uint64_t *max, uint64_t value)
{
	if (value > *max)
		*max = value;
}

void stats_merge(struct stats *into, const struct stats *from)
{
	if (from->begin < into->begin)
		into->begin = from->begin;
	raise_to(&into->end, from->end);
#define ADD(name) into->name += from->name;
	STATS_COUNTERS(ADD)
#undef ADD
	into->away += from->away;
	raise_to(&into->away_max, from->away_max);
	raise_to(&into->gap_max, from->gap_max);
	raise_to(&into->gap_net_max, from->gap_net_max);
	hist_merge(&into->calm, &from->calm);
	hist_merge(&into->disturbed, &from->disturbed);
	hist_merge(&into->rest, &from->rest);
}
