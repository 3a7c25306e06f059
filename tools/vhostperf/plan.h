/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the load of a queue is: which block next, and whether to read or to write it. Each queue has
 * a part of the disk of its own. Blocks are as large as requests.
 */
#ifndef VHOSTPERF_PLAN_H
#define VHOSTPERF_PLAN_H

#include <stdbool.h>
#include <stdint.h>

struct plan {
	uint64_t first_block, n_blocks; /* the queue's part */
	uint64_t next;                  /* for places in sequence, from first_block on */
	uint64_t random;                /* state of the generator */
	uint64_t read_below;            /* of 2^32: how many requests are reads */
	bool sequential;
};

/** splitmix64, as vfe_random() is; this one is inlined. */
static inline uint64_t plan_random(struct plan *plan)
{
	uint64_t z = plan->random += 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

/** A number below `n`: the upper half of the product is as even as 2^64 allows. */
static inline uint64_t plan_below(struct plan *plan, uint64_t n)
{
	return (uint64_t)(((unsigned __int128)plan_random(plan) * n) >> 64);
}

static inline bool plan_wants_read(struct plan *plan)
{
	if (plan->read_below == 1ull << 32 || plan->read_below == 0)
		return plan->read_below != 0;
	return plan_random(plan) >> 32 < plan->read_below;
}

static inline uint64_t plan_place(struct plan *plan)
{
	uint64_t at = plan->next;

	if (!plan->sequential)
		return plan->first_block + plan_below(plan, plan->n_blocks);
	plan->next = at + 1 < plan->n_blocks ? at + 1 : 0;
	return plan->first_block + at;
}

#endif
