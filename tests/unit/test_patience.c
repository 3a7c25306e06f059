/* SPDX-License-Identifier: BSD-3-Clause
 *
 * For how long waits are polled.
 */
#include "pure/patience.h"

#include <stdbool.h>

#include "lib/unit.h"

#define MAX 1000u

static struct patience fresh(void)
{
	struct patience p;

	patience_init(&p, MAX);
	return p;
}

/* n waits that take so long, and wake_up more when they are slept through; returns for how many
 * ticks was polled. */
static uint64_t waits(struct patience *p, unsigned int n, uint64_t ticks, uint64_t wake_up)
{
	uint64_t polled = 0;

	for (unsigned int i = 0; i < n; i++) {
		bool in_time = ticks <= p->spin_ticks;

		polled += in_time ? ticks : p->spin_ticks;
		patience_learn(p, in_time ? ticks : ticks + wake_up);
		assert_true(p->spin_ticks == 0 || p->spin_ticks == p->max_ticks);
	}
	return polled;
}

static void short_waits_are_polled_to_their_end(void **state)
{
	struct patience p = fresh();

	(void)state;
	assert_int_equal(waits(&p, 100, 700, 300), 100 * 700);
	assert_int_equal(p.spin_ticks, MAX);
}

static void long_waits_are_hardly_polled(void **state)
{
	struct patience p = fresh();

	(void)state;
	waits(&p, 10, 3 * MAX, 0);
	assert_true(waits(&p, 1600, 3 * MAX, 0) <= 101 * MAX);
}

static void one_long_wait_among_short_ones_changes_little(void **state)
{
	struct patience p = fresh();

	(void)state;
	for (unsigned int i = 0; i < 100; i++) {
		waits(&p, 1, 100 * MAX, 0);
		assert_int_equal(waits(&p, 20, MAX / 20, MAX), 20 * (MAX / 20));
	}
}

static void shorter_waits_are_noticed_while_they_are_slept_through(void **state)
{
	struct patience p = fresh();

	(void)state;
	waits(&p, 10, 3 * MAX, 0);
	assert_int_equal(p.spin_ticks, 0);
	waits(&p, 10, MAX / 4, MAX / 4);
	assert_int_equal(waits(&p, 100, MAX / 4, MAX / 4), 100 * (MAX / 4));
}

/* A wake-up that takes longer than one has patience makes every wait look long. */
static void short_waits_are_found_again_however_slow_the_wake_up(void **state)
{
	struct patience p = fresh();

	(void)state;
	waits(&p, 10, 100 * MAX, 0);
	assert_int_equal(p.spin_ticks, 0);
	waits(&p, PATIENCE_PROBE_EVERY, 20, 10 * MAX);
	assert_int_equal(waits(&p, 1000, 20, 10 * MAX), 1000 * 20);
}

static void without_patience_nothing_is_polled(void **state)
{
	struct patience p;

	(void)state;
	patience_init(&p, 0);
	assert_int_equal(waits(&p, 1000, 1, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(short_waits_are_polled_to_their_end),
		cmocka_unit_test(long_waits_are_hardly_polled),
		cmocka_unit_test(one_long_wait_among_short_ones_changes_little),
		cmocka_unit_test(shorter_waits_are_noticed_while_they_are_slept_through),
		cmocka_unit_test(short_waits_are_found_again_however_slow_the_wake_up),
		cmocka_unit_test(without_patience_nothing_is_polled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
