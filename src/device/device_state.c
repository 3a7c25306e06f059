/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/device_state.h"

#define BUG DEVICE_N_STATES

/* clang-format off */
static const enum device_state transitions[DEVICE_N_STATES][DEVICE_N_EVENTS] = {
	/*                     OPENED            OPEN_FAILED  CONNECTED         DISCONNECTED      */
	[DEVICE_NEW]       = { DEVICE_LISTENING, DEVICE_GONE, BUG,              BUG,
	/*                     STARTED           STOPPED           DELETE            QUIET            REMOVED */
	                       BUG,              BUG,              BUG,              BUG,             BUG },
	[DEVICE_LISTENING] = { BUG,              BUG,         DEVICE_ATTACHING, BUG,
	                       BUG,              BUG,              DEVICE_QUIESCING, BUG,             BUG },
	[DEVICE_ATTACHING] = { BUG,              BUG,         BUG,              DEVICE_LISTENING,
	                       DEVICE_RUNNING,   BUG,              DEVICE_QUIESCING, BUG,             BUG },
	[DEVICE_RUNNING]   = { BUG,              BUG,         BUG,              DEVICE_LISTENING,
	                       BUG,              DEVICE_ATTACHING, DEVICE_QUIESCING, BUG,             BUG },
	[DEVICE_QUIESCING] = { BUG,              BUG,         DEVICE_QUIESCING, DEVICE_QUIESCING,
	                       BUG,              DEVICE_QUIESCING, BUG,              DEVICE_REMOVING, BUG },
	[DEVICE_REMOVING]  = { BUG,              BUG,         BUG,              BUG,
	                       BUG,              BUG,              BUG,              BUG,             DEVICE_GONE },
	[DEVICE_GONE]      = { BUG,              BUG,         BUG,              BUG,
	                       BUG,              BUG,              BUG,              BUG,             BUG },
};
/* clang-format on */

const char *device_state_name(enum device_state state)
{
	static const char *const names[] = {
#define DEVICE_STATE_NAME(name, text) text,
		DEVICE_STATES(DEVICE_STATE_NAME)
#undef DEVICE_STATE_NAME
	};

	return state < DEVICE_N_STATES ? names[state] : "?";
}

const char *device_event_name(enum device_event event)
{
	static const char *const names[] = {
#define DEVICE_EVENT_NAME(name) #name,
		DEVICE_EVENTS(DEVICE_EVENT_NAME)
#undef DEVICE_EVENT_NAME
	};

	return event < DEVICE_N_EVENTS ? names[event] : "?";
}

enum device_state device_state_next(enum device_state state, enum device_event event)
{
	return transitions[state][event];
}
