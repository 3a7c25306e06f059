/* SPDX-License-Identifier: BSD-3-Clause */
#include "pure/bucket.h"

uint64_t bucket_price(uint64_t n_per_s, uint64_t ticks_per_s)
{
	uint64_t price;

	if (n_per_s == 0)
		return 0;
	price = (ticks_per_s << BUCKET_PRICE_SHIFT) / n_per_s;
	return price ? price : 1;
}

/* Takes ticks; returns when it would have been full without. Another lcore's success is all that
 * makes it try again. */
static uint64_t take(struct bucket *bucket, uint64_t now, uint64_t ticks)
{
	uint64_t word = atomic_load_explicit(&bucket->full_at, memory_order_relaxed), full_at;

	do
		full_at = word > now ? word : now;
	while (!atomic_compare_exchange_weak_explicit(&bucket->full_at, &word, full_at + ticks,
						      memory_order_relaxed, memory_order_relaxed));
	return full_at;
}

void bucket_draw(struct bucket *bucket, struct bucket_share *share, uint64_t now, uint64_t burst,
		 uint64_t slice)
{
	uint64_t full_at = take(bucket, now, slice);

	share->left_ticks = slice;
	share->ready_at = full_at > burst ? full_at - burst : 0;
}

void bucket_owe(struct bucket *bucket, uint64_t now, uint64_t ticks)
{
	take(bucket, now, ticks);
}

void bucket_forgive(struct bucket *bucket, uint64_t now, uint64_t burst)
{
	uint64_t old = atomic_load_explicit(&bucket->full_at, memory_order_relaxed);

	while (old > now + burst &&
	       !atomic_compare_exchange_weak_explicit(&bucket->full_at, &old, now + burst,
						      memory_order_relaxed, memory_order_relaxed))
		;
}
