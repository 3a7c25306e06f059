/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The arithmetic of spreading virtqueues over lcores.
 */
#include "pure/spread.h"

#include "base/compiler.h"
#include "lib/unit.h"

#define PERCENT 10000u /* ppm */

static const struct spread_set anywhere = {{~0ull, ~0ull}};

static struct spread_queue served(uint16_t lcore, uint32_t percent)
{
	return (struct spread_queue){
		.allowed = &anywhere, .lcore = lcore, .load_ppm = percent * PERCENT};
}

/* Plans, and checks what must hold of every plan: loads add up, and the busiest lcore is no busier.
 */
static unsigned int plan(struct spread_queue *queues, unsigned int n, uint64_t *loads,
			 unsigned int n_lcores)
{
	uint64_t before[VHOSTD_LCORES_MAX] = {0}, after[VHOSTD_LCORES_MAX] = {0};
	uint64_t max_before = 0, max_after = 0;
	unsigned int n_moves, n_changed = 0;

	for (unsigned int i = 0; i < n; i++)
		before[queues[i].lcore] += queues[i].load_ppm;
	memcpy(loads, before, n_lcores * sizeof(*loads));
	n_moves = spread_plan(queues, n, loads, n_lcores, 1000);
	for (unsigned int i = 0; i < n; i++) {
		after[queues[i].to] += queues[i].load_ppm;
		n_changed += queues[i].to != queues[i].lcore;
		assert_true(queues[i].to < n_lcores);
		assert_true(queues[i].to == queues[i].lcore ||
			    spread_set_has(queues[i].allowed, queues[i].to));
	}
	assert_int_equal(n_moves, n_changed);
	for (unsigned int i = 0; i < n_lcores; i++) {
		assert_int_equal(loads[i], after[i]);
		max_before = before[i] > max_before ? before[i] : max_before;
		max_after = after[i] > max_after ? after[i] : max_after;
	}
	assert_true(max_after <= max_before);
	return n_moves;
}

static void test_two_on_one(void **state)
{
	struct spread_queue queues[] = {served(0, 45), served(0, 50)};
	uint64_t loads[2];

	(void)state;
	assert_int_equal(plan(queues, 2, loads, 2), 1);
	assert_true(queues[0].to != queues[1].to);
}

static void test_a_saturated_lcore_of_many(void **state)
{
	struct spread_queue queues[10];
	uint64_t loads[4];

	(void)state;
	for (unsigned int i = 0; i < 10; i++)
		queues[i] = served(3, 10);
	assert_int_equal(plan(queues, 10, loads, 4), 7);
	for (unsigned int i = 0; i < 4; i++)
		assert_true(loads[i] >= 20 * PERCENT && loads[i] <= 30 * PERCENT);
}

/* One that has an lcore to itself can't be helped; others can all the same. */
static void test_one_that_can_not_be_helped(void **state)
{
	struct spread_queue queues[] = {served(0, 100), served(1, 40), served(1, 40), served(2, 0)};
	uint64_t loads[3];

	(void)state;
	assert_int_equal(plan(queues, 4, loads, 3), 1);
	assert_int_equal(queues[0].to, 0);
	assert_int_equal(loads[1], 40 * PERCENT);
	assert_int_equal(loads[2], 40 * PERCENT);
}

static void test_not_worth_it(void **state)
{
	struct spread_queue little[] = {served(0, 3), served(0, 4)};
	struct spread_queue even[] = {served(0, 30), served(0, 30), served(1, 57)};
	uint64_t loads[2];

	(void)state;
	assert_int_equal(plan(little, 2, loads, 2), 0);
	assert_int_equal(plan(even, 3, loads, 2), 0);
}

static void test_only_where_allowed(void **state)
{
	struct spread_set low = {{1u << 0 | 1u << 1, 0}}, none = {{0, 0}};
	struct spread_queue queues[] = {served(0, 50), served(0, 50), served(0, 50)};
	uint64_t loads[3];

	(void)state;
	queues[0].allowed = queues[1].allowed = &low;
	queues[2].allowed = &none;
	assert_int_equal(plan(queues, 3, loads, 3), 1);
	assert_int_equal(queues[2].to, 0);
	assert_int_equal(loads[2], 0);
}

static void test_no_more_moves_than_asked_for(void **state)
{
	struct spread_queue queues[8];
	uint64_t loads[2] = {80 * PERCENT, 0};

	(void)state;
	for (unsigned int i = 0; i < 8; i++)
		queues[i] = served(0, 10);
	assert_int_equal(spread_plan(queues, 8, loads, 2, 2), 2);
	assert_int_equal(loads[0], 60 * PERCENT);
	assert_int_equal(loads[1], 20 * PERCENT);
	assert_int_equal(spread_plan(NULL, 0, loads, 2, 2), 0);
}

static void test_random(void **state)
{
	uint32_t random = 99;

	(void)state;
	for (unsigned int round = 0; round < 2000; round++) {
		struct spread_set allowed[64];
		struct spread_queue queues[64];
		uint64_t loads[VHOSTD_LCORES_MAX];
		unsigned int n_lcores = 1 + round % 16, n = round % 65;

		for (unsigned int i = 0; i < n; i++) {
			random = random * 1664525 + 1013904223;
			allowed[i] = (struct spread_set){{random >> 8, 0}};
			queues[i] = (struct spread_queue){
				.allowed = &allowed[i],
				.lcore = (uint16_t)((random >> 5) % n_lcores),
				.load_ppm = random >> 10 & 0x7ffff,
			};
			allowed[i].bits[0] &= (1u << n_lcores) - 1;
		}
		plan(queues, n, loads, n_lcores);
	}
}

static void test_choose(void **state)
{
	const struct spread_lcore lcores[] = {
		{.allowed = true, .load_ppm = 50 * PERCENT},
		{.allowed = true, .load_ppm = 20 * PERCENT},
		{.allowed = false},
		{.allowed = true, .n_queues = 3},
		{.allowed = true, .n_queues = 2},
	};
	const struct spread_lcore idle[3] = {
		{.allowed = true}, {.allowed = true}, {.allowed = true}};
	uint16_t chosen[VHOSTD_LCORES_MAX];

	(void)state;
	assert_int_equal(spread_choose(lcores, 5, 1, chosen), 1);
	assert_int_equal(chosen[0], 4);
	assert_int_equal(spread_choose(lcores, 5, 64, chosen), 4);
	assert_int_equal(chosen[1], 3);
	assert_int_equal(chosen[2], 1);
	assert_int_equal(chosen[3], 0);
	assert_int_equal(spread_choose(idle, 3, 2, chosen), 2);
	assert_int_equal(chosen[0], 0);
	assert_int_equal(chosen[1], 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_two_on_one),
		cmocka_unit_test(test_a_saturated_lcore_of_many),
		cmocka_unit_test(test_one_that_can_not_be_helped),
		cmocka_unit_test(test_not_worth_it),
		cmocka_unit_test(test_only_where_allowed),
		cmocka_unit_test(test_no_more_moves_than_asked_for),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_choose),
	};

	return cmocka_run_group_tests_name("spread", tests, NULL, NULL);
}
