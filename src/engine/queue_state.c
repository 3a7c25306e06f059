/* SPDX-License-Identifier: BSD-3-Clause */
#include "engine/queue_state.h"

#define BUG QUEUE_N_STATES

static const enum queue_state transitions[QUEUE_N_STATES][QUEUE_N_EVENTS] = {
	[QUEUE_IDLE] = {[QUEUE_EV_ATTACH] = QUEUE_POLLING,
			[QUEUE_EV_ATTACH_PAUSED] = QUEUE_PAUSED,
			[QUEUE_EV_ENABLE] = QUEUE_IDLE,
			[QUEUE_EV_DISABLE] = QUEUE_IDLE,
			[QUEUE_EV_SLEEP] = BUG,
			[QUEUE_EV_WAKE] = BUG,
			[QUEUE_EV_STOP] = QUEUE_DRAINING,
			[QUEUE_EV_CORRUPT] = BUG,
			[QUEUE_EV_DRAINED] = BUG},
	[QUEUE_POLLING] = {[QUEUE_EV_ATTACH] = BUG,
			   [QUEUE_EV_ATTACH_PAUSED] = BUG,
			   [QUEUE_EV_ENABLE] = QUEUE_POLLING,
			   [QUEUE_EV_DISABLE] = QUEUE_PAUSED,
			   [QUEUE_EV_SLEEP] = QUEUE_SLEEPING,
			   [QUEUE_EV_WAKE] = BUG,
			   [QUEUE_EV_STOP] = QUEUE_DRAINING,
			   [QUEUE_EV_CORRUPT] = QUEUE_BROKEN,
			   [QUEUE_EV_DRAINED] = BUG},
	[QUEUE_SLEEPING] = {[QUEUE_EV_ATTACH] = BUG,
			    [QUEUE_EV_ATTACH_PAUSED] = BUG,
			    [QUEUE_EV_ENABLE] = QUEUE_SLEEPING,
			    [QUEUE_EV_DISABLE] = QUEUE_PAUSED,
			    [QUEUE_EV_SLEEP] = BUG,
			    [QUEUE_EV_WAKE] = QUEUE_POLLING,
			    [QUEUE_EV_STOP] = QUEUE_DRAINING,
			    [QUEUE_EV_CORRUPT] = QUEUE_BROKEN,
			    [QUEUE_EV_DRAINED] = BUG},
	[QUEUE_PAUSED] = {[QUEUE_EV_ATTACH] = BUG,
			  [QUEUE_EV_ATTACH_PAUSED] = BUG,
			  [QUEUE_EV_ENABLE] = QUEUE_POLLING,
			  [QUEUE_EV_DISABLE] = QUEUE_PAUSED,
			  [QUEUE_EV_SLEEP] = BUG,
			  [QUEUE_EV_WAKE] = BUG,
			  [QUEUE_EV_STOP] = QUEUE_DRAINING,
			  [QUEUE_EV_CORRUPT] = QUEUE_BROKEN,
			  [QUEUE_EV_DRAINED] = BUG},
	[QUEUE_DRAINING] = {[QUEUE_EV_ATTACH] = BUG,
			    [QUEUE_EV_ATTACH_PAUSED] = BUG,
			    [QUEUE_EV_ENABLE] = QUEUE_DRAINING,
			    [QUEUE_EV_DISABLE] = QUEUE_DRAINING,
			    [QUEUE_EV_SLEEP] = BUG,
			    [QUEUE_EV_WAKE] = BUG,
			    [QUEUE_EV_STOP] = BUG,
			    [QUEUE_EV_CORRUPT] = QUEUE_DRAINING,
			    [QUEUE_EV_DRAINED] = QUEUE_IDLE},
	[QUEUE_BROKEN] = {[QUEUE_EV_ATTACH] = BUG,
			  [QUEUE_EV_ATTACH_PAUSED] = BUG,
			  [QUEUE_EV_ENABLE] = QUEUE_BROKEN,
			  [QUEUE_EV_DISABLE] = QUEUE_BROKEN,
			  [QUEUE_EV_SLEEP] = BUG,
			  [QUEUE_EV_WAKE] = BUG,
			  [QUEUE_EV_STOP] = QUEUE_DRAINING,
			  [QUEUE_EV_CORRUPT] = QUEUE_BROKEN,
			  [QUEUE_EV_DRAINED] = BUG},
};

const char *queue_state_name(enum queue_state state)
{
	static const char *const names[] = {
#define QUEUE_STATE_NAME(name, text) text,
		QUEUE_STATES(QUEUE_STATE_NAME)
#undef QUEUE_STATE_NAME
	};

	return state < QUEUE_N_STATES ? names[state] : "?";
}

const char *queue_event_name(enum queue_event event)
{
	static const char *const names[] = {
#define QUEUE_EVENT_NAME(name) #name,
		QUEUE_EVENTS(QUEUE_EVENT_NAME)
#undef QUEUE_EVENT_NAME
	};

	return event < QUEUE_N_EVENTS ? names[event] : "?";
}

enum queue_state queue_state_next(enum queue_state state, enum queue_event event)
{
	return transitions[state][event];
}
