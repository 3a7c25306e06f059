/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The arithmetic of spreading virtqueues over lcores: where those of a new disk go, and which of
 * all should be served elsewhere. Loads are in millionths of an lcore's time. Lcores are numbered
 * from 0 on here, which are not their CPUs.
 */
#ifndef PURE_SPREAD_H
#define PURE_SPREAD_H

#include <stdbool.h>
#include <stdint.h>

#include "vhostd/limits.h"

#define SPREAD_WHOLE_PPM 1000000u /* an lcore that does nothing else */
#define SPREAD_GAIN_PPM  50000u   /* what is less is not worth a move */
#define SPREAD_QUEUE_PPM 10000u   /* what a virtqueue counts where a new one is placed */

struct spread_lcore {
	bool allowed; /* spread_choose(): to the disk */
	uint32_t load_ppm;
	uint32_t n_queues; /* placed there, in use or not */
};

/** The lcores for a disk of n_wanted virtqueues: the least loaded ones that it may use, the least
 *  loaded one first. Returns how many: n_wanted or as many as there are. */
unsigned int spread_choose(const struct spread_lcore *lcores, unsigned int n_lcores,
			   unsigned int n_wanted, uint16_t ret_chosen[VHOSTD_LCORES_MAX]);

/** A set of lcores, by these numbers. */
struct spread_set {
	uint64_t bits[VHOSTD_LCORES_MAX / 64];
};

static inline bool spread_set_has(const struct spread_set *set, unsigned int lcore)
{
	return set->bits[lcore / 64] >> (lcore % 64) & 1;
}

static inline void spread_set_add(struct spread_set *set, unsigned int lcore)
{
	set->bits[lcore / 64] |= UINT64_C(1) << (lcore % 64);
}

/** A virtqueue that is served. */
struct spread_queue {
	const struct spread_set *allowed;
	uint32_t load_ppm;
	uint16_t lcore; /* now */
	uint16_t to;    /* spread_plan() sets it: where it should be */
};

/** Finds a better place for up to n_moves_max virtqueues: each move takes one from an lcore to one
 *  that has less to do, and leaves the more loaded of the two with SPREAD_GAIN_PPM less. Loads are
 *  those of the lcores, and are changed to what they will be. Returns the number of moves. */
unsigned int spread_plan(struct spread_queue *queues, unsigned int n_queues, uint64_t *loads_ppm,
			 unsigned int n_lcores, unsigned int n_moves_max);

#endif
