/* SPDX-License-Identifier: BSD-3-Clause */
#include "pure/patience.h"

void patience_learn_slept(struct patience *p, uint64_t waited_ticks)
{
	if (waited_ticks <= p->max_ticks)
		p->n_short += (PATIENCE_ALL - p->n_short) / PATIENCE_WEIGHT;
	else
		p->n_short -= p->n_short / PATIENCE_WEIGHT;
	p->n_slept++;
	p->spin_ticks = p->n_short >= PATIENCE_MOST || p->n_slept % PATIENCE_PROBE_EVERY == 0
				? p->max_ticks
				: 0;
}
