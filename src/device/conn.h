/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A front end's connection: what it negotiated, its memory, its rings. VHOST owns it until it is
 * closed; then CTRL does. A ring that the front end has started is served as a `ring_run`, which
 * VHOST makes and forgets again, and CTRL attaches, stops and frees.
 */
#ifndef DEVICE_CONN_H
#define DEVICE_CONN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/log.h"
#include "device/guest_map.h"
#include "device/vhost_msg.h"
#include "engine/queue.h"
#include "vhostd/limits.h"

struct conn;
struct endpoint;

/** One ring as the front end has set it up so far. VHOST's. */
struct ring {
	uint16_t size;          /* 0: not given */
	int64_t base;           /* as SET_VRING_BASE had it, or VIRTQ_BASE_UNKNOWN */
	struct vring_addr addr; /* all 0: not given */
	int call_fd;            /* -1 none, or handed on to the run */
	int kick_fd;            /* the same */
	bool kicked;            /* SET_VRING_KICK came since the last GET_VRING_BASE */
	bool enabled;
	struct ring_run *run; /* while it is started */
};

/* What CTRL has done with a run. */
enum run_state {
	RUN_HELD,     /* an earlier one has to end first */
	RUN_ATTACHED, /* its lcore serves it */
	RUN_MOVING,   /* the same, and is to hand it over to another */
	RUN_STOPPING, /* its requests are ending */
	RUN_DRAINED,  /* its lcore has forgotten it */
};

/* What a resize waits for. */
enum run_fence {
	FENCE_NONE,
	FENCE_HELD, /* the run moves: FENCE is sent when it has */
	FENCE_SENT,
	FENCE_STOP, /* its drain */
};

/** One start of a ring until it is stopped. */
struct ring_run {
	struct queue *queue;
	struct conn *conn;
	struct msg start_msg;
	struct msg stop_msg;
	bool wants_base; /* GET_VRING_BASE waits for it: set before stop_msg is sent */
	/* CTRL's */
	enum run_state state;
	const struct lane *lane; /* that serves it, or will, as far as CTRL has heard */
	bool forgotten;          /* VHOST has, and sends nothing more about it */
	enum run_fence fence;    /* device_resize.h */
	struct ring_run *next;   /* in the device's list, in the order of their start */
};

/** A new back-end channel, from VHOST to CTRL. */
struct backend_fd {
	struct msg msg;
	struct conn *conn;
	int fd;
	bool config_changes; /* the front end wants to hear of them */
};

/* What CTRL has heard of a connection. */
enum conn_state {
	CONN_OPEN,
	CONN_CLOSED, /* for its disk */
	CONN_GONE,   /* librte_vhost has closed its dup, too */
};

/** A message as far as it has come. */
struct incoming {
	struct vu_msg msg;
	uint32_t n_bytes; /* of the header and the payload */
};

struct conn {
	struct endpoint *endpoint;
	int sock; /* librte_vhost has a dup of it, which is never the last one: see conn_free() */
	pid_t pid;
	uid_t uid;
	struct msg closed_msg;
	struct msg gone_msg;
	/* VHOST's until closed */
	struct incoming in;
	uint64_t features;
	_Atomic uint64_t features_view; /* for CTRL */
	uint64_t protocol_features;
	struct guest_map *map;
	struct ring rings[VHOSTD_QUEUES_MAX];
	bool has_backend_fd; /* it has sent one */
	/* VHOST's until gone */
	int vid;      /* what librte_vhost calls it */
	int rte_sock; /* librte_vhost's dup */
	bool left;    /* it is closed, and another may have its place */
	/* CTRL's */
	int backend_fd;
	bool config_changes;
	struct cleanup cleanup;
	enum conn_state state;
	unsigned int n_runs;
	struct conn *next;
};

/** A fresh connection. NULL when memory is short. `sock` is its own from then on. */
struct conn *conn_new(struct endpoint *endpoint, int sock) IN_VHOST;

/** The front end has: VHOST will see it, if it has not. Any thread that may use the connection. */
bool conn_has_hung_up(const struct conn *conn);

/** The socket has gone: closes what VHOST has of it and hands it to CTRL. */
void conn_close(struct conn *conn) IN_VHOST;

/** When it is closed and gone, and its last run has ended: what is queued in the socket goes with
 *  the last descriptor, which may take long, and is a JOB's. */
void conn_free(struct conn *conn, struct jobs *jobs) IN_CTRL;

/** Answers a GET_VRING_BASE that waited for a queue to drain. */
void conn_reply_base(struct conn *conn, uint16_t index, uint32_t base) IN_CTRL;

/** Tells the driver that the configuration space has changed; nothing happens without a back-end
 *  channel. */
void conn_config_changed(struct conn *conn) IN_CTRL;

/** EVENT_BACKEND_FD. */
void conn_take_backend_fd(struct backend_fd *backend) IN_CTRL;

/** Frees a run that has ended. */
void ring_run_free(struct ring_run *run, struct jobs *jobs) IN_CTRL;

/** Starts the ring if all it takes is there. False when memory is short. */
bool conn_ring_start(struct conn *conn, uint16_t index) IN_VHOST;

/** Stops the ring if it runs; with `wants_base` CTRL answers GET_VRING_BASE when it has drained.
 *  True if it ran. */
bool conn_ring_stop(struct conn *conn, uint16_t index, bool wants_base) IN_VHOST;

/** The ring's new call descriptor, -1 for none; the ring owns it. */
void conn_ring_set_call(struct conn *conn, uint16_t index, int fd) IN_VHOST;

/** The same for the kick descriptor, by which a driver wakes a ring that sleeps. */
void conn_ring_set_kick(struct conn *conn, uint16_t index, int fd) IN_VHOST;

void conn_ring_set_enabled(struct conn *conn, uint16_t index, bool enabled) IN_VHOST;

/** Replaces the memory, also under running rings: in-flight requests end in the old map. False
 *  when memory is short. */
bool conn_set_map(struct conn *conn, struct guest_map *map) IN_VHOST;

enum received {
	RECEIVED_PART,  /* of a message; the rest may follow */
	RECEIVED_WHOLE, /* conn_take_message() has it */
	RECEIVED_END,   /* the front end has hung up, or is to be hung up on */
};

/** Receives from the socket, up to the end of a message, and doesn't wait. */
enum received conn_receive(struct conn *conn) IN_VHOST;

/** The message that has come as a whole, its descriptors with it; false: none has. */
bool conn_take_message(struct conn *conn, struct vu_msg *ret_msg) IN_VHOST;

/** Closes the descriptors of what has come of the next one. */
void conn_drop_message(struct conn *conn) IN_VHOST;

/** Tells people, at a bounded rate, what is wrong with the front end. */
#define conn_complain(conn, fmt, ...)                                                              \
	log_limited(&(conn)->endpoint->complaints, LOG_LEVEL_WARNING, (conn)->endpoint->name,      \
		    "front end (pid %d): " fmt, (conn)->pid, ##__VA_ARGS__)

enum handled { HANDLED_OK, HANDLED_REPLY, HANDLED_ERROR };

/** Deals with one message (vhost_handlers.c); the reply is in msg. Descriptors it doesn't take are
 *  closed. */
enum handled conn_handle(struct conn *conn, struct vu_msg *msg) IN_VHOST;

#endif
