/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Histogram: what is recorded is found again to 0.4 %, from 0 to 2^64 - 1; percentiles are those of
 * the sorted values; merging is the same as recording together.
 */
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "base/hist.h"
#include "lib/unit.h"

#define N_VALUES 10000

static struct hist hist, other;

static void assert_near(uint64_t got, uint64_t wanted)
{
	uint64_t error = got > wanted ? got - wanted : wanted - got;

	if ((double)error > (double)wanted * 0.004)
		fail_msg("got %llu, wanted %llu", (unsigned long long)got,
			 (unsigned long long)wanted);
}

static void test_empty(void **state)
{
	(void)state;
	hist_clear(&hist);
	assert_int_equal(hist_percentile(&hist, 0.5), 0);
	assert_int_equal(hist_percentile(&hist, 1), 0);
	assert_true(hist_mean(&hist) == 0);
	assert_int_equal(hist.min, UINT64_MAX);
}

/* Every bucket holds what lies between its neighbours, and the largest value is in the last one. */
static void test_buckets_are_in_order(void **state)
{
	unsigned int last = 0;

	(void)state;
	for (uint64_t value = 0; value < 100000; value++) {
		unsigned int i = hist_index(value);

		assert_true(i == last || i == last + 1);
		last = i;
	}
	for (unsigned int bit = 17; bit < 64; bit++) {
		uint64_t power = 1ull << bit;

		assert_int_equal(hist_index(power), hist_index(power - 1) + 1);
		assert_int_equal(hist_index(power + power / 128), hist_index(power) + 1);
		assert_int_equal(hist_index(power + power / 128 - 1), hist_index(power));
	}
	assert_int_equal(hist_index(UINT64_MAX), HIST_N_BUCKETS - 1);
}

static void test_one_value(void **state)
{
	static const uint64_t values[] = {0, 1, 127, 128, 255, 256, 257, 12345, UINT64_MAX};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_LEN(values); i++) {
		hist_clear(&hist);
		hist_record(&hist, values[i]);
		for (double fraction = 0; fraction <= 1; fraction += 0.25)
			assert_true(hist_percentile(&hist, fraction) == values[i]);
		assert_true(hist.min == values[i] && hist.max == values[i] && hist.n == 1);
	}
}

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* As many small values as large ones, up to 2^50. */
static void random_values(uint64_t *value, unsigned int seed)
{
	srandom(seed);
	for (int i = 0; i < N_VALUES; i++)
		value[i] = ((uint64_t)random() << 20 | (uint64_t)random()) >> random() % 50;
}

static void test_percentiles(void **state)
{
	static const int parts[] = {1, 100, 2500, 5000, 9000, 9900, 9990, 9999, 10000};
	static uint64_t value[N_VALUES];
	double sum = 0;

	(void)state;
	random_values(value, 1);
	hist_clear(&hist);
	for (int i = 0; i < N_VALUES; i++) {
		hist_record(&hist, value[i]);
		sum += (double)value[i];
	}
	qsort(value, N_VALUES, sizeof(*value), by_size);
	for (unsigned int i = 0; i < ARRAY_LEN(parts); i++) {
		double fraction = parts[i] / (double)N_VALUES;

		assert_near(hist_percentile(&hist, fraction), value[parts[i] - 1]);
	}
	assert_int_equal(hist.min, value[0]);
	assert_int_equal(hist_percentile(&hist, 1), value[N_VALUES - 1]);
	assert_near((uint64_t)hist_mean(&hist), (uint64_t)(sum / N_VALUES));
}

static void test_merge(void **state)
{
	static uint64_t value[N_VALUES];
	static struct hist all;

	(void)state;
	random_values(value, 2);
	hist_clear(&hist);
	hist_clear(&other);
	hist_clear(&all);
	for (int i = 0; i < N_VALUES; i++) {
		hist_record(i % 3 ? &hist : &other, value[i]);
		hist_record(&all, value[i]);
	}
	hist_merge(&hist, &other);
	assert_memory_equal(&hist, &all, sizeof(all));
	hist_clear(&other);
	hist_merge(&hist, &other);
	assert_memory_equal(&hist, &all, sizeof(all));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),     cmocka_unit_test(test_buckets_are_in_order),
		cmocka_unit_test(test_one_value), cmocka_unit_test(test_percentiles),
		cmocka_unit_test(test_merge),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
