/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/hist.h"

#include <string.h>

void hist_clear(struct hist *hist)
{
	memset(hist, 0, sizeof(*hist));
	hist->min = UINT64_MAX;
}

void hist_merge(struct hist *into, const struct hist *from)
{
	for (unsigned int i = 0; i < HIST_N_BUCKETS; i++)
		into->bucket[i] += from->bucket[i];
	into->n += from->n;
	into->sum += from->sum;
	into->min = from->min < into->min ? from->min : into->min;
	into->max = from->max > into->max ? from->max : into->max;
}

uint64_t hist_middle(unsigned int index)
{
	unsigned int e = index >> HIST_SUB_BITS;

	if (e < 2) /* 0 to 255 have a bucket each */
		return index;
	e--;
	return ((uint64_t)(index - (e << HIST_SUB_BITS)) << e) + (1ull << (e - 1));
}

/* How many values the percentile covers, at least one. */
static uint64_t rank_of(const struct hist *hist, double fraction)
{
	double exact = fraction * (double)hist->n;
	uint64_t rank = exact > 0 ? (uint64_t)exact : 0;

	if ((double)rank < exact)
		rank++;
	if (rank > hist->n)
		rank = hist->n;
	return rank > 0 ? rank : 1;
}

uint64_t hist_percentile(const struct hist *hist, double fraction)
{
	uint64_t rank, seen = 0, value;
	unsigned int i = 0;

	if (hist->n == 0)
		return 0;
	rank = rank_of(hist, fraction);
	if (rank == hist->n)
		return hist->max;
	for (; i < HIST_N_BUCKETS - 1; i++) {
		seen += hist->bucket[i];
		if (seen >= rank)
			break;
	}
	value = hist_middle(i);
	if (value < hist->min)
		return hist->min;
	return value > hist->max ? hist->max : value;
}

double hist_mean(const struct hist *hist)
{
	return hist->n ? (double)hist->sum / (double)hist->n : 0;
}
