/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Whether to poll for something before one sleeps until it comes. A wait that ends while it is
 * polled ends at once; one that is slept through costs a wake-up, but no CPU time. So a wait is
 * polled for as long as a wake-up is worth, if most of the waits lately were over by then, and not
 * at all if they were not.
 *
 * A wait that was slept through looks longer than it was, by the wake-up. So after some of those in
 * a row one is polled, to see.
 *
 * Arithmetic alone: times are handed in, in ticks of any clock.
 */
#ifndef PURE_PATIENCE_H
#define PURE_PATIENCE_H

#include <stdint.h>

#define PATIENCE_ALL         1024u /* of the waits */
#define PATIENCE_MOST        (PATIENCE_ALL / 2)
#define PATIENCE_WEIGHT      8  /* the last wait counts for one in so many */
#define PATIENCE_PROBE_EVERY 16 /* waits slept through in a row: then one is polled */

struct patience {
	uint64_t spin_ticks; /* so long the next wait is polled: max_ticks, or 0 */
	uint64_t max_ticks;
	uint32_t n_short; /* of PATIENCE_ALL waits lately so many took no more than max_ticks */
	uint32_t n_slept; /* waits in a row that were not over while they were polled */
};

/** It begins with all patience. */
static inline void patience_init(struct patience *p, uint64_t max_ticks)
{
	*p = (struct patience){
		.spin_ticks = max_ticks, .max_ticks = max_ticks, .n_short = PATIENCE_ALL};
}

/** A wait was not over while it was polled; it has ended after so long. */
void patience_learn_slept(struct patience *p, uint64_t waited_ticks);

/** A wait has ended after so long. */
static inline void patience_learn(struct patience *p, uint64_t waited_ticks)
{
	if (waited_ticks > p->spin_ticks) {
		patience_learn_slept(p, waited_ticks);
		return;
	}
	p->n_slept = 0;
	p->n_short += (PATIENCE_ALL - p->n_short) / PATIENCE_WEIGHT;
	if (p->n_short < PATIENCE_MOST) /* it was polled to see: go on */
		p->n_short = PATIENCE_MOST;
}

#endif
