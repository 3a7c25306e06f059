/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Repeatable random numbers (xorshift64*, Vigna 2016): the seed is printed when a test fails.
 */
#ifndef UNIT_RANDOM_H
#define UNIT_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

struct random {
	uint64_t state; /* the seed, not 0 */
};

static inline uint64_t random_next(struct random *r)
{
	r->state ^= r->state >> 12;
	r->state ^= r->state << 25;
	r->state ^= r->state >> 27;
	return r->state * 0x2545f4914f6cdd1dull;
}

/** 0 to n - 1; n is not 0. */
static inline uint32_t random_below(struct random *r, uint32_t n)
{
	return (uint32_t)((random_next(r) >> 32) % n);
}

/** True once in n times. */
static inline bool random_one_in(struct random *r, uint32_t n)
{
	return random_below(r, n) == 0;
}

#endif
