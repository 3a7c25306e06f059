/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What a turn was spent on: the longest piece, the pieces of a traced turn, and readers that look
 * while records are written over. No EAL.
 */
#include <pthread.h>
#include <string.h>

#include "engine/turn.h"
#include "lib/unit.h"

#define N_TURNS 200000u

static struct turn_cause cause_of(uint32_t device, uint16_t queue, enum turn_work work)
{
	return (struct turn_cause){.device = device, .queue = queue, .work = (uint8_t)work};
}

static void test_causes_fit_in_a_word(void **state)
{
	const struct turn_cause all[] = {
		{0, 0, 0},
		{UINT32_MAX, TURN_NO_QUEUE, TURN_N_WORKS + LCORE_N_MSGS - 1},
		{0x12345678, 63, TURN_REAP},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		struct turn_cause c = turn_cause_unpack(turn_cause_pack(all[i]));

		assert_int_equal(c.device, all[i].device);
		assert_int_equal(c.queue, all[i].queue);
		assert_int_equal(c.work, all[i].work);
	}
	assert_string_equal(turn_work_name(TURN_IO), "I/O");
	assert_string_equal(turn_work_name(TURN_N_WORKS + LCORE_MSG_SWAP_MAP), "memory map");
	assert_string_equal(turn_work_name(TURN_N_WORKS + LCORE_N_MSGS), "?");
}

static void spin(uint64_t tsc)
{
	uint64_t start = rte_rdtsc();

	while (rte_rdtsc() - start < tsc)
		;
}

static void test_the_longest_piece_is_the_cause(void **state)
{
	static struct turn_clock clock;

	(void)state;
	role_enter(&role_lcore);
	turn_begin(&clock, rte_rdtsc(), NULL);
	turn_mark(&clock, cause_of(1, 0, TURN_IO), 1);
	spin(10000000);
	turn_mark(&clock, cause_of(2, 5, TURN_IO), 1);
	turn_mark(&clock, cause_of(3, 0, TURN_IO), 1);
	turn_detail(&clock, cause_of(4, 0, TURN_FETCH), 1); /* nobody traces */
	assert_int_equal(clock.longest.device, 2);
	assert_int_equal(clock.longest.queue, 5);
	assert_true(clock.longest_tsc >= 10000000);
	assert_int_equal(clock.n_spans, 0);
	role_leave(&role_lcore);
}

/* A turn with n pieces, which all tell the turn's number. */
static void traced_turn(struct turn_trace *trace, struct turn_clock *clock, uint32_t number,
			uint32_t n) IN_LCORE
{
	turn_begin(clock, rte_rdtsc(), trace);
	for (uint32_t i = 0; i < n; i++)
		turn_detail(clock, cause_of(number, (uint16_t)i, TURN_FETCH), number);
	clock->start_tsc = number;
	turn_trace_keep(trace, clock, number);
}

static void test_the_last_turns_are_kept(void **state)
{
	struct turn_trace *trace = turn_trace_new();
	static struct turn_clock clock;
	static struct turn_record record;

	(void)state;
	assert_non_null(trace);
	role_enter(&role_lcore);
	assert_false(turn_trace_get(trace, 0, &record));
	for (uint32_t i = 1; i <= TURN_TRACES_MAX + 3; i++)
		traced_turn(trace, &clock, i, i == 5 ? TURN_SPANS_MAX + 9 : 2);
	for (unsigned int i = 0; i < TURN_TRACES_MAX; i++) {
		uint32_t number = i + 4;

		assert_true(turn_trace_get(trace, i, &record));
		assert_int_equal(record.start_tsc, number);
		assert_int_equal(record.tsc, number);
		assert_int_equal(record.n_spans, number == 5 ? TURN_SPANS_MAX : 2);
		assert_int_equal(record.n_left_out, number == 5 ? 9 : 0);
		assert_int_equal(record.spans[1].cause.device, number);
		assert_int_equal(record.spans[1].cause.queue, 1);
		assert_int_equal(record.spans[1].cause.work, TURN_FETCH);
		assert_int_equal(record.spans[1].n, number);
	}
	assert_false(turn_trace_get(trace, TURN_TRACES_MAX, &record));
	role_leave(&role_lcore);
	turn_trace_free(trace);
}

static void *write_turns(void *arg)
{
	static struct turn_clock clock;

	role_enter(&role_lcore);
	for (uint32_t i = 1; i <= N_TURNS; i++)
		traced_turn(arg, &clock, i, i % TURN_SPANS_MAX);
	role_leave(&role_lcore);
	return NULL;
}

/* Whatever a reader is given is one turn, not parts of two. */
static void test_records_are_whole(void **state)
{
	struct turn_trace *trace = turn_trace_new();
	static struct turn_record record;
	unsigned int n_read = 0;
	uint64_t last = 0;
	pthread_t writer;

	(void)state;
	assert_int_equal(pthread_create(&writer, NULL, write_turns, trace), 0);
	while (last < N_TURNS) {
		for (unsigned int i = 0; i < TURN_TRACES_MAX; i++) {
			if (!turn_trace_get(trace, i, &record))
				continue;
			n_read++;
			last = record.tsc;
			assert_int_equal(record.start_tsc, last);
			assert_int_equal(record.n_spans, last % TURN_SPANS_MAX);
			for (uint32_t s = 0; s < record.n_spans; s++) {
				assert_int_equal(record.spans[s].cause.device, last);
				assert_int_equal(record.spans[s].n, last);
			}
		}
	}
	pthread_join(writer, NULL);
	print_message("# %u records read\n", n_read);
	turn_trace_free(trace);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_causes_fit_in_a_word),
		cmocka_unit_test(test_the_longest_piece_is_the_cause),
		cmocka_unit_test(test_the_last_turns_are_kept),
		cmocka_unit_test(test_records_are_whole),
	};

	return cmocka_run_group_tests_name("turn", tests, NULL, NULL);
}
