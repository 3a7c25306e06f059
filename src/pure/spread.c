/* SPDX-License-Identifier: BSD-3-Clause */
#include "pure/spread.h"

#include <stddef.h>

static uint64_t weight(const struct spread_lcore *lcore)
{
	return lcore->load_ppm + (uint64_t)lcore->n_queues * SPREAD_QUEUE_PPM;
}

unsigned int spread_choose(const struct spread_lcore *lcores, unsigned int n_lcores,
			   unsigned int n_wanted, uint16_t ret_chosen[VHOSTD_LCORES_MAX])
{
	unsigned int n = 0;

	/* Sorted by insertion; the earlier one of two that weigh the same stays in front. */
	for (unsigned int i = 0; i < n_lcores; i++) {
		unsigned int at = n;

		if (!lcores[i].allowed)
			continue;
		for (; at > 0 && weight(&lcores[ret_chosen[at - 1]]) > weight(&lcores[i]); at--)
			ret_chosen[at] = ret_chosen[at - 1];
		ret_chosen[at] = (uint16_t)i;
		n++;
	}
	return n < n_wanted ? n : n_wanted;
}

static uint64_t max_of(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* The least loaded lcore that the virtqueue may use; its own if there is no better one. */
static uint16_t best_lcore(const struct spread_queue *q, const uint64_t *loads_ppm,
			   unsigned int n_lcores)
{
	uint16_t best = q->to;

	for (unsigned int i = 0; i < n_lcores; i++)
		if (spread_set_has(q->allowed, i) && loads_ppm[i] < loads_ppm[best])
			best = (uint16_t)i;
	return best;
}

/* Moves the virtqueue of this lcore whose move helps most. False: none helps enough. */
static bool relieve(struct spread_queue *queues, unsigned int n_queues, uint64_t *loads_ppm,
		    unsigned int n_lcores, unsigned int from)
{
	uint64_t least = loads_ppm[from];
	struct spread_queue *best = NULL;
	uint16_t best_to = 0;

	for (unsigned int i = 0; i < n_queues; i++) {
		struct spread_queue *q = &queues[i];
		uint16_t to;
		uint64_t worse;

		if (q->to != from || q->load_ppm == 0)
			continue;
		to = best_lcore(q, loads_ppm, n_lcores);
		worse = max_of(loads_ppm[from] - q->load_ppm, loads_ppm[to] + q->load_ppm);
		if (to == from || worse >= least)
			continue;
		least = worse;
		best = q;
		best_to = to;
	}
	if (!best || loads_ppm[from] - least < SPREAD_GAIN_PPM)
		return false;
	loads_ppm[from] -= best->load_ppm;
	loads_ppm[best_to] += best->load_ppm;
	best->to = best_to;
	return true;
}

/* The most loaded lcore that is not settled; n_lcores when all are. */
static unsigned int busiest(const uint64_t *loads_ppm, unsigned int n_lcores,
			    const struct spread_set *settled)
{
	unsigned int busiest = n_lcores;

	for (unsigned int i = 0; i < n_lcores; i++)
		if (!spread_set_has(settled, i) &&
		    (busiest == n_lcores || loads_ppm[i] > loads_ppm[busiest]))
			busiest = i;
	return busiest;
}

unsigned int spread_plan(struct spread_queue *queues, unsigned int n_queues, uint64_t *loads_ppm,
			 unsigned int n_lcores, unsigned int n_moves_max)
{
	struct spread_set settled = {{0}};
	unsigned int n_steps = 0, n_moves = 0, from;

	for (unsigned int i = 0; i < n_queues; i++)
		queues[i].to = queues[i].lcore;
	while (n_steps < n_moves_max &&
	       (from = busiest(loads_ppm, n_lcores, &settled)) < n_lcores) {
		if (relieve(queues, n_queues, loads_ppm, n_lcores, from)) {
			settled = (struct spread_set){{0}};
			n_steps++;
		} else {
			spread_set_add(&settled, from);
		}
	}
	for (unsigned int i = 0; i < n_queues; i++)
		n_moves += queues[i].to != queues[i].lcore;
	return n_moves;
}
