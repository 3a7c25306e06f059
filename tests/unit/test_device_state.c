/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The device's states: each pair of state and event against a list of those that are allowed.
 */
#include <stdbool.h>

#include "base/compiler.h"
#include "device/device_state.h"
#include "lib/unit.h"

static const struct {
	const char *from;
	const char *event;
	const char *to;
} allowed[] = {
	{"new", "OPENED", "listening"},
	{"new", "OPEN_FAILED", "gone"},

	{"listening", "CONNECTED", "attaching"},
	{"listening", "DELETE", "quiescing"},

	{"attaching", "DISCONNECTED", "listening"},
	{"attaching", "STARTED", "running"},
	{"attaching", "DELETE", "quiescing"},

	{"running", "DISCONNECTED", "listening"},
	{"running", "STOPPED", "attaching"},
	{"running", "DELETE", "quiescing"},

	/* What was under way when the deletion came. */
	{"quiescing", "CONNECTED", "quiescing"},
	{"quiescing", "DISCONNECTED", "quiescing"},
	{"quiescing", "STOPPED", "quiescing"},
	{"quiescing", "QUIET", "removing"},

	{"removing", "REMOVED", "gone"},
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
	for (enum device_state s = 0; s < DEVICE_N_STATES; s++)
		for (enum device_event e = 0; e < DEVICE_N_EVENTS; e++) {
			enum device_state to = device_state_next(s, e);

			assert_true(to <= DEVICE_N_STATES);
			assert_string_equal(device_state_name(to),
					    expected(device_state_name(s), device_event_name(e)));
			n_allowed += to != DEVICE_N_STATES;
		}
	/* Each line of the list was met: its names are names of the table. */
	assert_int_equal(n_allowed, ARRAY_LEN(allowed));
}

static void test_names(void **state)
{
	const char *const states[] = {"new",       "listening", "attaching", "running",
				      "quiescing", "removing",  "gone"};
	const char *const events[] = {"OPENED",       "OPEN_FAILED", "CONNECTED",
				      "DISCONNECTED", "STARTED",     "STOPPED",
				      "DELETE",       "QUIET",       "REMOVED"};

	(void)state;
	assert_int_equal(DEVICE_N_STATES, ARRAY_LEN(states));
	assert_int_equal(DEVICE_N_EVENTS, ARRAY_LEN(events));
	for (unsigned int i = 0; i < DEVICE_N_STATES; i++)
		assert_string_equal(device_state_name(i), states[i]);
	for (unsigned int i = 0; i < DEVICE_N_EVENTS; i++)
		assert_string_equal(device_event_name(i), events[i]);
	assert_string_equal(device_state_name(DEVICE_N_STATES), "?");
	assert_string_equal(device_event_name(DEVICE_N_EVENTS), "?");
}

static void visit(enum device_state from, bool *reached)
{
	if (reached[from])
		return;
	reached[from] = true;
	for (enum device_event e = 0; e < DEVICE_N_EVENTS; e++) {
		enum device_state to = device_state_next(from, e);

		if (to != DEVICE_N_STATES)
			visit(to, reached);
	}
}

static void test_every_state_is_reached(void **state)
{
	bool reached[DEVICE_N_STATES] = {false};

	(void)state;
	visit(DEVICE_NEW, reached);
	for (enum device_state s = 0; s < DEVICE_N_STATES; s++)
		assert_true(reached[s]);
}

/* A device that has been opened can be deleted at any time, and only once. */
static void test_deletion_leads_to_gone(void **state)
{
	enum device_state alive[] = {DEVICE_LISTENING, DEVICE_ATTACHING, DEVICE_RUNNING};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(alive); i++) {
		enum device_state at = device_state_next(alive[i], DEVICE_EV_DELETE);

		assert_int_equal(at, DEVICE_QUIESCING);
		assert_int_equal(device_state_next(at, DEVICE_EV_DELETE), DEVICE_N_STATES);
		at = device_state_next(at, DEVICE_EV_QUIET);
		at = device_state_next(at, DEVICE_EV_REMOVED);
		assert_int_equal(at, DEVICE_GONE);
	}
	assert_int_equal(device_state_next(DEVICE_NEW, DEVICE_EV_OPEN_FAILED), DEVICE_GONE);
}

/* Nothing brings a device back that is being deleted. */
static void test_deletion_is_final(void **state)
{
	bool reached[DEVICE_N_STATES] = {false};

	(void)state;
	visit(DEVICE_QUIESCING, reached);
	for (enum device_state s = 0; s < DEVICE_N_STATES; s++)
		assert_int_equal(reached[s],
				 s == DEVICE_QUIESCING || s == DEVICE_REMOVING || s == DEVICE_GONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_transitions),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_every_state_is_reached),
		cmocka_unit_test(test_deletion_leads_to_gone),
		cmocka_unit_test(test_deletion_is_final),
	};

	return cmocka_run_group_tests_name("device_state", tests, NULL, NULL);
}
