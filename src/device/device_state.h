/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The states of a device and the table that moves it between them. CTRL is the only one to do so.
 *
 *   NEW --opened--> LISTENING <--connected/disconnected--> ATTACHING <--started/stopped--> RUNNING
 *                        \_______________________|____________________________/
 *                                             delete
 *                                                v
 *                                           QUIESCING --quiet--> REMOVING --removed--> GONE
 */
#ifndef DEVICE_DEVICE_STATE_H
#define DEVICE_DEVICE_STATE_H

/* X(NAME, text shown to the operator) */
#define DEVICE_STATES(X)                                                                           \
	X(NEW, "new")             /* the store is being opened, the socket made */                 \
	X(LISTENING, "listening") /* no front end */                                               \
	X(ATTACHING, "attaching") /* a front end is connected, no virtqueue is served */           \
	X(RUNNING, "running")     /* at least one virtqueue is served */                           \
	X(QUIESCING, "quiescing") /* deletion: requests and the connection are ending */           \
	X(REMOVING, "removing")   /* deletion: socket and store are being closed */                \
	X(GONE, "gone")           /* about to be freed */

#define DEVICE_STATE_ENUM(name, text) DEVICE_##name,
enum device_state { DEVICE_STATES(DEVICE_STATE_ENUM) DEVICE_N_STATES };
#undef DEVICE_STATE_ENUM

/* X(NAME) */
#define DEVICE_EVENTS(X)                                                                           \
	X(OPENED) /* store and socket are there */                                                 \
	X(OPEN_FAILED)                                                                             \
	X(CONNECTED)                                                                               \
	X(DISCONNECTED)                                                                            \
	X(STARTED) /* the first virtqueue was given to an lcore */                                 \
	X(STOPPED) /* the last one came back, the front end stays */                               \
	X(DELETE)                                                                                  \
	X(QUIET)   /* no connection and no virtqueue is left */                                    \
	X(REMOVED) /* socket and store are closed */

#define DEVICE_EVENT_ENUM(name) DEVICE_EV_##name,
enum device_event { DEVICE_EVENTS(DEVICE_EVENT_ENUM) DEVICE_N_EVENTS };
#undef DEVICE_EVENT_ENUM

const char *device_state_name(enum device_state state);
const char *device_event_name(enum device_event event);

/** The state that follows; DEVICE_N_STATES when the event can't come in that state (a bug). */
enum device_state device_state_next(enum device_state state, enum device_event event);

#endif
