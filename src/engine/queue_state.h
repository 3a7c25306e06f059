/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The states of a virtqueue and the table that moves it between them. Its lcore is the only one to
 * do so.
 *
 *                    SLEEPING
 *                      |  ^ sleep
 *                 wake v  |
 *   IDLE --attach--> POLLING <--disable/enable--> PAUSED
 *                       |  \                        |
 *                       |   corrupt -> BROKEN       |
 *                       |                |          |
 *                       +----- stop -----+----------+--> DRAINING --drained--> IDLE
 *                       |                |          |       ^
 *                       +----- move -----+----------+--> MOVING
 *                                                           |
 *                                        POLLING or PAUSED <-- attach, by the other lcore
 */
#ifndef ENGINE_QUEUE_STATE_H
#define ENGINE_QUEUE_STATE_H

/* X(NAME, text shown to the operator) */
#define QUEUE_STATES(X)                                                                            \
	X(IDLE, "idle")         /* not started by the driver */                                    \
	X(POLLING, "polling")   /* served */                                                       \
	X(SLEEPING, "sleeping") /* idle for a while: the driver kicks when it has something */     \
	X(PAUSED, "paused")     /* started, disabled by the front end */                           \
	X(MOVING, "moving")     /* the same; then another lcore goes on with it */                 \
	X(DRAINING, "draining") /* stopping: takes nothing new, requests are ending */             \
	X(BROKEN, "broken")     /* the driver corrupted it: takes nothing new until restarted */

#define QUEUE_STATE_ENUM(name, text) QUEUE_##name,
enum queue_state { QUEUE_STATES(QUEUE_STATE_ENUM) QUEUE_N_STATES };
#undef QUEUE_STATE_ENUM

/* X(NAME) */
#define QUEUE_EVENTS(X)                                                                            \
	X(ATTACH)        /* CTRL: the ring is started and enabled, or goes on elsewhere */         \
	X(ATTACH_PAUSED) /* CTRL: the same, not enabled */                                         \
	X(ENABLE)        /* front end: SET_VRING_ENABLE 1 */                                       \
	X(DISABLE)       /* front end: SET_VRING_ENABLE 0 */                                       \
	X(SLEEP)         /* idle for a while, and the driver kicks from now on */                  \
	X(WAKE)          /* it has kicked, or something else has happened to the queue */          \
	X(MOVE)          /* CTRL: another lcore shall serve it */                                  \
	X(STOP)          /* CTRL: GET_VRING_BASE, disconnect or deletion */                        \
	X(CORRUPT)       /* the driver broke the ring's rules */                                   \
	X(DRAINED)       /* the last request has ended */

#define QUEUE_EVENT_ENUM(name) QUEUE_EV_##name,
enum queue_event { QUEUE_EVENTS(QUEUE_EVENT_ENUM) QUEUE_N_EVENTS };
#undef QUEUE_EVENT_ENUM

const char *queue_state_name(enum queue_state state);
const char *queue_event_name(enum queue_event event);

/** The state that follows; QUEUE_N_STATES when the event can't come in that state (a bug). */
enum queue_state queue_state_next(enum queue_state state, enum queue_event event);

#endif
