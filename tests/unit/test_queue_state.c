/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The virtqueue's states: each pair of state and event against a list of those that are allowed.
 */
#include <stdbool.h>

#include "base/compiler.h"
#include "engine/queue_state.h"
#include "lib/unit.h"

static const struct {
	const char *from;
	const char *event;
	const char *to;
} allowed[] = {
	{"idle", "ATTACH", "polling"},      {"idle", "ATTACH_PAUSED", "paused"},
	{"idle", "ENABLE", "idle"},         {"idle", "DISABLE", "idle"},
	{"idle", "STOP", "draining"},

	{"polling", "ENABLE", "polling"},   {"polling", "DISABLE", "paused"},
	{"polling", "STOP", "draining"},    {"polling", "CORRUPT", "broken"},

	{"polling", "SLEEP", "sleeping"},   {"sleeping", "WAKE", "polling"},
	{"sleeping", "ENABLE", "sleeping"}, {"sleeping", "DISABLE", "paused"},
	{"sleeping", "STOP", "draining"},   {"sleeping", "CORRUPT", "broken"},

	{"paused", "ENABLE", "polling"},    {"paused", "DISABLE", "paused"},
	{"paused", "STOP", "draining"},     {"paused", "CORRUPT", "broken"},

	{"draining", "ENABLE", "draining"}, {"draining", "DISABLE", "draining"},
	{"draining", "DRAINED", "idle"},    {"draining", "CORRUPT", "draining"},

	{"broken", "ENABLE", "broken"},     {"broken", "DISABLE", "broken"},
	{"broken", "STOP", "draining"},     {"broken", "CORRUPT", "broken"},

	{"polling", "MOVE", "moving"},      {"sleeping", "MOVE", "moving"},
	{"paused", "MOVE", "moving"},       {"broken", "MOVE", "moving"},
	{"moving", "ENABLE", "moving"},     {"moving", "DISABLE", "moving"},
	{"moving", "ATTACH", "polling"},    {"moving", "ATTACH_PAUSED", "paused"},
	{"moving", "STOP", "draining"},     {"moving", "CORRUPT", "moving"},
};

static const char *expected(const char *from, const char *event)
{
	for (size_t i = 0; i < ARRAY_LEN(allowed); i++)
		if (strcmp(allowed[i].from, from) == 0 && strcmp(allowed[i].event, event) == 0)
			return allowed[i].to;
	return "?";
}

static void test_transitions(void **state)
{
	size_t n_allowed = 0;

	(void)state;
	for (enum queue_state s = 0; s < QUEUE_N_STATES; s++)
		for (enum queue_event e = 0; e < QUEUE_N_EVENTS; e++) {
			enum queue_state to = queue_state_next(s, e);

			assert_true(to <= QUEUE_N_STATES);
			assert_string_equal(queue_state_name(to),
					    expected(queue_state_name(s), queue_event_name(e)));
			n_allowed += to != QUEUE_N_STATES;
		}
	/* Each line of the list was met: its names are names of the table. */
	assert_int_equal(n_allowed, ARRAY_LEN(allowed));
}

static void test_names(void **state)
{
	const char *const states[] = {"idle",   "polling",  "sleeping", "paused",
				      "moving", "draining", "broken"};
	const char *const events[] = {"ATTACH", "ATTACH_PAUSED", "ENABLE", "DISABLE", "SLEEP",
				      "WAKE",   "MOVE",          "STOP",   "CORRUPT", "DRAINED"};

	(void)state;
	assert_int_equal(QUEUE_N_STATES, ARRAY_LEN(states));
	assert_int_equal(QUEUE_N_EVENTS, ARRAY_LEN(events));
	for (unsigned int i = 0; i < QUEUE_N_STATES; i++)
		assert_string_equal(queue_state_name(i), states[i]);
	for (unsigned int i = 0; i < QUEUE_N_EVENTS; i++)
		assert_string_equal(queue_event_name(i), events[i]);
	assert_string_equal(queue_state_name(QUEUE_N_STATES), "?");
	assert_string_equal(queue_event_name(QUEUE_N_EVENTS), "?");
}

static void visit(enum queue_state from, bool *reached)
{
	if (reached[from])
		return;
	reached[from] = true;
	for (enum queue_event e = 0; e < QUEUE_N_EVENTS; e++) {
		enum queue_state to = queue_state_next(from, e);

		if (to != QUEUE_N_STATES)
			visit(to, reached);
	}
}

static void test_every_state_is_reached(void **state)
{
	bool reached[QUEUE_N_STATES] = {false};

	(void)state;
	visit(QUEUE_IDLE, reached);
	for (enum queue_state s = 0; s < QUEUE_N_STATES; s++)
		assert_true(reached[s]);
}

/* Whatever a queue is doing, a stop and the end of its last request bring it to rest. */
static void test_stop_leads_to_idle(void **state)
{
	(void)state;
	for (enum queue_state s = 0; s < QUEUE_N_STATES; s++) {
		enum queue_state at = s == QUEUE_DRAINING ? s : queue_state_next(s, QUEUE_EV_STOP);

		assert_int_equal(at, QUEUE_DRAINING);
		assert_int_equal(queue_state_next(at, QUEUE_EV_DRAINED), QUEUE_IDLE);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_transitions),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_every_state_is_reached),
		cmocka_unit_test(test_stop_leads_to_idle),
	};

	return cmocka_run_group_tests_name("queue_state", tests, NULL, NULL);
}
