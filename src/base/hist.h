/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A log-linear histogram: every power of two is cut into 128 buckets of the same width, so that a
 * value is known to 0.4 % (exactly, below 256), whatever its size. All of uint64_t fits in.
 * The unit is the caller's.
 *
 * One thread at a time. Nothing allocates; a histogram of zeroes is not an empty one: hist_clear().
 */
#ifndef BASE_HIST_H
#define BASE_HIST_H

#include <stdint.h>

#define HIST_SUB_BITS  7
#define HIST_N_BUCKETS ((64 - HIST_SUB_BITS + 1) << HIST_SUB_BITS)

struct hist {
	uint64_t n;
	uint64_t min; /* UINT64_MAX when empty */
	uint64_t max;
	uint64_t sum;
	uint64_t bucket[HIST_N_BUCKETS];
};

void hist_clear(struct hist *hist);

/** Adds what `from` has seen to `into`. */
void hist_merge(struct hist *into, const struct hist *from);

/** The value that `fraction` (0 to 1) of all values don't exceed: the middle of its bucket, never
 *  outside of [min, max]. 0 when empty. */
uint64_t hist_percentile(const struct hist *hist, double fraction);

/** The middle of a bucket. */
uint64_t hist_middle(unsigned int index);

/** 0 when empty. */
double hist_mean(const struct hist *hist);

/** The bucket of a value. With 2^e the width: v / 2^e is 128 to 255, or e is 0. */
static inline unsigned int hist_index(uint64_t value)
{
	unsigned int msb = 63 - (unsigned int)__builtin_clzll(value | (1u << HIST_SUB_BITS));
	unsigned int e = msb - HIST_SUB_BITS;

	return (e << HIST_SUB_BITS) + (unsigned int)(value >> e);
}

static inline void hist_record(struct hist *hist, uint64_t value)
{
	hist->bucket[hist_index(value)]++;
	hist->n++;
	hist->sum += value;
	hist->min = value < hist->min ? value : hist->min;
	hist->max = value > hist->max ? value : hist->max;
}

#endif
