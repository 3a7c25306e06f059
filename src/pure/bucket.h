/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A token bucket that lcores share without a lock. Tokens are counted in time: at 100 tokens a
 * second one is worth 10 ms. So a bucket is one word, the moment at which it will be full again:
 * what is taken moves it into the future, and the clock fills it up. It holds `burst` ticks.
 *
 * Nobody goes to the bucket for each request. Each lcore has a share: it draws a slice of ticks
 * from the bucket when its share is empty, and pays from that. If the bucket is empty, too, the
 * slice is drawn from what is still to come, and may be used then: who draws first is served first,
 * so that an lcore that sleeps doesn't lose against one that polls.
 *
 * The last request that a share pays for may cost more than it has, and more than the bucket can
 * hold, so that a large request passes, too: the rest is put on the bucket at once, and all slices
 * that are drawn later wait until time has paid for it.
 *
 * Arithmetic alone: the time is handed in, in ticks of a clock that all lcores agree on.
 */
#ifndef PURE_BUCKET_H
#define PURE_BUCKET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/** Shared by all lcores; all zero: full. */
struct bucket {
	_Atomic uint64_t full_at; /* relaxed: it guards nothing but itself */
};

/** One lcore's; all zero: empty. */
struct bucket_share {
	uint64_t left_ticks;
	uint64_t ready_at; /* may not be used before */
};

#define BUCKET_PRICE_SHIFT 24

/** What a token costs: ticks, times 2^BUCKET_PRICE_SHIFT. Not 0, unless n_per_s is: no limit.
 *  ticks_per_s is below 2^40. */
uint64_t bucket_price(uint64_t n_per_s, uint64_t ticks_per_s);

/** Ticks that n tokens cost. */
static inline uint64_t bucket_ticks(uint64_t price, uint64_t n)
{
	return (uint64_t)((unsigned __int128)price * n >> BUCKET_PRICE_SHIFT);
}

/** Fills an empty share with a slice. */
void bucket_draw(struct bucket *bucket, struct bucket_share *share, uint64_t now, uint64_t burst,
		 uint64_t slice);

/** May a request be paid from the share now? If not, then at share->ready_at. */
static inline bool bucket_is_ready(struct bucket *bucket, struct bucket_share *share, uint64_t now,
				   uint64_t burst, uint64_t slice)
{
	if (share->left_ticks == 0)
		bucket_draw(bucket, share, now, burst, slice);
	return share->ready_at <= now;
}

/** Puts ticks on the bucket that no share had. */
void bucket_owe(struct bucket *bucket, uint64_t now, uint64_t ticks);

/** Pays from a share that is ready. */
static inline void bucket_pay(struct bucket *bucket, struct bucket_share *share, uint64_t now,
			      uint64_t ticks)
{
	if (ticks <= share->left_ticks) {
		share->left_ticks -= ticks;
		return;
	}
	bucket_owe(bucket, now, ticks - share->left_ticks);
	share->left_ticks = 0;
}

/** Forgets debts: the bucket is empty at worst, as if it had never held more than `burst`. */
void bucket_forgive(struct bucket *bucket, uint64_t now, uint64_t burst);

#endif
