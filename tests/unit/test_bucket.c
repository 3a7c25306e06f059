/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Token buckets: rates, bursts, debts, and many shares of one bucket. The time is ours; a tick is
 * a nanosecond.
 */
#include <pthread.h>

#include "base/compiler.h"
#include "lib/unit.h"
#include "pure/bucket.h"

#define S     1000000000ull
#define MS    1000000ull
#define SLICE (1 * MS)
#define START (1000 * S) /* no clock begins at 0 */

struct rig {
	struct bucket bucket;
	struct bucket_share shares[4];
	uint64_t now, burst, price, n_taken;
};

static void rig_init(struct rig *r, uint64_t n_per_s, uint64_t burst)
{
	*r = (struct rig){.now = START, .burst = burst, .price = bucket_price(n_per_s, S)};
}

/* One request of n tokens. */
static bool take(struct rig *r, unsigned int share, uint64_t n)
{
	struct bucket_share *s = &r->shares[share];

	if (!bucket_is_ready(&r->bucket, s, r->now, r->burst, SLICE))
		return false;
	bucket_pay(&r->bucket, s, r->now, bucket_ticks(r->price, n));
	r->n_taken += n;
	return true;
}

/* Requests of n tokens without a pause, from all the shares in turn, until `until`. */
static void take_until(struct rig *r, unsigned int n_shares, uint64_t n, uint64_t until)
{
	while (r->now < until) {
		uint64_t ready_at = UINT64_MAX;

		for (unsigned int i = 0; i < n_shares; i++) {
			while (take(r, i, n))
				;
			if (r->shares[i].ready_at < ready_at)
				ready_at = r->shares[i].ready_at;
		}
		assert_true(ready_at > r->now);
		r->now = ready_at;
	}
	r->now = until;
}

static void assert_about(uint64_t n, uint64_t wanted, uint64_t more)
{
	if (n < wanted - wanted / 1000 - 1 || n > wanted + more + wanted / 1000 + 1)
		fail_msg("%llu, not %llu to %llu", (unsigned long long)n,
			 (unsigned long long)wanted, (unsigned long long)(wanted + more));
}

static void test_prices(void **state)
{
	(void)state;
	assert_int_equal(bucket_price(0, S), 0);
	assert_int_equal(bucket_ticks(bucket_price(1, S), 1), S);
	assert_int_equal(bucket_ticks(bucket_price(5000, S), 5), MS);
	assert_int_equal(bucket_ticks(bucket_price(1ull << 30, S), 1ull << 30), S);
	/* 36 TiB at a page a second; the fastest limit that can be written down. */
	assert_int_equal(bucket_ticks(bucket_price(4096, S), 36ull << 40), S * (36ull << 28));
	assert_int_equal(bucket_price(INT64_MAX, S), 1);
	/* A clock of 5 GHz, and of 1 MHz. */
	assert_int_equal(bucket_ticks(bucket_price(1, 5 * S), 3), 15 * S);
	assert_int_equal(bucket_ticks(bucket_price(1000, 1000000), 3), 3000);
}

/* In ten seconds as many as the limit says, and a burst; whatever the size of a request. */
static void test_the_rate_is_kept(void **state)
{
	static const struct {
		uint64_t n_per_s, n_request;
	} cases[] = {
		{1, 1},           {3, 1},          {5000, 1},
		{1000000, 1},     {1 << 20, 4096}, {200 << 20, 1 << 20},
		{200 << 20, 512},
	};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_LEN(cases); i++) {
		uint64_t n_per_s = cases[i].n_per_s;
		struct rig r;

		rig_init(&r, n_per_s, 100 * MS);
		take_until(&r, 1, cases[i].n_request, START + 10 * S);
		assert_about(r.n_taken, n_per_s * 10,
			     n_per_s / 10 + n_per_s / 1000 + cases[i].n_request);
	}
}

/* An idle bucket fills up to its burst, and no further. */
static void test_bursts(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r, 1000, 2 * S);
	while (take(&r, 0, 1))
		;
	assert_about(r.n_taken, 2000, 1);
	assert_true(r.shares[0].ready_at - r.now <= SLICE);
	r.n_taken = 0;
	r.now += S / 2;
	while (take(&r, 0, 1))
		;
	assert_about(r.n_taken, 500, 1);
	r.n_taken = 0;
	r.now += 1000 * S;
	while (take(&r, 0, 1))
		;
	assert_about(r.n_taken, 2000, 2);
}

/* One that the bucket could never hold passes, once; the next one waits until it is paid for. */
static void test_debts(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r, 1 << 20, 10 * MS);
	assert_true(take(&r, 0, 10 << 20));
	assert_false(take(&r, 0, 1));
	assert_false(take(&r, 1, 1)); /* a debt is everybody's */
	assert_int_equal(r.shares[0].ready_at - r.now, 10 * S - 10 * MS);
	assert_int_equal(r.shares[1].ready_at - r.shares[0].ready_at, SLICE);
	r.now = r.shares[0].ready_at - 1;
	assert_false(take(&r, 0, 1));
	r.now++;
	assert_true(take(&r, 0, 1));
}

static void test_debts_are_forgiven(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r, 4096, 10 * MS);
	assert_true(take(&r, 0, 1 << 30));
	bucket_forgive(&r.bucket, r.now, 10 * MS);
	r.n_taken = 0;
	while (take(&r, 0, 1))
		;
	assert_in_range(r.n_taken, 1, 5); /* a slice, no burst */
	/* Nothing is given to a bucket without debts. */
	r.shares[0] = (struct bucket_share){0};
	bucket_forgive(&r.bucket, r.now, 10 * S);
	assert_false(take(&r, 0, 1));
}

/* Four shares have the rate of one, one that is alone has all of it. */
static void test_shares_share(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r, 10000, 100 * MS);
	take_until(&r, 4, 1, START + 5 * S);
	assert_about(r.n_taken, 50000, 1000 + 4 * 10);
	r.n_taken = 0;
	take_until(&r, 1, 1, START + 10 * S);
	assert_about(r.n_taken, 50000, 4 * 10);
}

/* Who is late each time, for it sleeps, gets a fair part beside one that is never late. */
static void test_the_late_are_served(void **state)
{
	uint64_t n_late = 0, n_all;
	struct rig r;

	(void)state;
	rig_init(&r, 10000, 10 * MS);
	for (uint64_t step = 0; step < 100000; step++) {
		n_all = r.n_taken;
		while (step % 20 == 0 && take(&r, 1, 1))
			;
		n_late += r.n_taken - n_all;
		while (take(&r, 0, 1))
			;
		r.now += MS / 10;
	}
	assert_about(r.n_taken, 100000, 1000);
	if (n_late < r.n_taken / 5)
		fail_msg("%llu of %llu", (unsigned long long)n_late, (unsigned long long)r.n_taken);
}

#define N_THREADS 4
#define N_STEPS   200000ull

struct drawer {
	struct bucket *bucket;
	uint64_t n_ticks; /* taken */
};

static void *draw(void *arg)
{
	struct drawer *d = arg;

	for (uint64_t i = 0; i < N_STEPS; i++) {
		struct bucket_share share = {0};

		if (i % 8 == 0)
			bucket_owe(d->bucket, START + i, 7);
		else
			bucket_draw(d->bucket, &share, START + i, 1000, 7);
		d->n_ticks += 7;
	}
	return NULL;
}

/* Nothing that several lcores take at once is lost, or given twice. */
static void test_threads(void **state)
{
	struct drawer drawers[N_THREADS];
	struct bucket bucket = {0};
	pthread_t threads[N_THREADS];
	uint64_t n_ticks = 0;

	(void)state;
	bucket_owe(&bucket, START, 2 * N_STEPS); /* full_at stays ahead of every thread's clock */
	for (unsigned int i = 0; i < N_THREADS; i++) {
		drawers[i] = (struct drawer){.bucket = &bucket};
		assert_int_equal(pthread_create(&threads[i], NULL, draw, &drawers[i]), 0);
	}
	for (unsigned int i = 0; i < N_THREADS; i++) {
		pthread_join(threads[i], NULL);
		n_ticks += drawers[i].n_ticks;
	}
	assert_int_equal(atomic_load(&bucket.full_at), START + 2 * N_STEPS + n_ticks);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_prices),
		cmocka_unit_test(test_the_rate_is_kept),
		cmocka_unit_test(test_bursts),
		cmocka_unit_test(test_debts),
		cmocka_unit_test(test_debts_are_forgiven),
		cmocka_unit_test(test_shares_share),
		cmocka_unit_test(test_the_late_are_served),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests_name("bucket", tests, NULL, NULL);
}
