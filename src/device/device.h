/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A disk: its store, its socket, its connections and the rings they run. CTRL owns it; between
 * states a JOB has `opening` or `removing` for what may block.
 *
 * Order of a deletion: the socket is removed, nobody is let in -> the runs are stopped, their
 * requests end -> the connection is shut down, so that librte_vhost tears it down by itself -> a
 * JOB closes channels and store -> gone. Nothing waits: each step ends with an event.
 */
#ifndef DEVICE_DEVICE_H
#define DEVICE_DEVICE_H

#include "device/conn.h"
#include "device/device_load.h"
#include "device/device_move.h"
#include "device/device_pin.h"
#include "device/device_resize.h"
#include "device/device_step.h"
#include "device/endpoint.h"
#include "device/job.h"
#include "device/registry.h"
#include "device/store_watch.h"

/** Someone to tell how an operation ended. */
struct waiter {
	registry_done_fn done;
	void *arg;
	struct waiter *next;
};

/** A disk's lane on an lcore. */
struct device_lane {
	struct lane *lane;              /* NULL: none of its virtqueues was ever placed there */
	const struct guest_map *pinned; /* it was told to use, NULL: none; device_pin's */
	/* For measuring load: */
	uint64_t seen_tsc;  /* lane->busy_tsc, the last time */
	uint64_t spent_tsc; /* since the time before */
};

struct device {
	struct device_spec spec;
	uint32_t number; /* never used again in the daemon's life; from 1 on */
	struct registry *registry;
	enum device_state state;
	uint64_t state_since_us;
	struct step_watch watch;
	struct store *store;
	struct offload *offload;
	struct blk_disk disk;
	struct coalesce coalesce;
	struct qos qos;
	struct endpoint endpoint;
	struct queue_counters counters[VHOSTD_QUEUES_MAX];
	struct lcores *lcores;
	struct device_lane *lanes;          /* on each of lcores_nth() */
	uint16_t placed[VHOSTD_QUEUES_MAX]; /* which of these is to serve each virtqueue */
	struct queue_load loads[VHOSTD_QUEUES_MAX];
	struct queue_move moves[VHOSTD_QUEUES_MAX];
	struct {
		uint16_t lcore;
		struct lane *lane; /* NULL: it failed */
	} opening;                 /* the lane that `job` makes */
	enum poll_mode poll;
	uint32_t poll_idle_us;
	struct conn *conn;         /* the open connection; NULL without one */
	struct conn *closed_conns; /* closed, with runs that have not ended, or not gone */
	unsigned int n_opened;     /* connections so far */
	struct ring_run *runs;     /* oldest first */
	unsigned int n_attached;   /* runs of `conn` that are attached */
	struct waiter *waiters;    /* for the deletion */
	struct job job;            /* opening, resizing, opening a lane, removing */
	bool job_running;
	struct store_watch store_watch;
	struct device_pin pin;
	struct error job_error;
	registry_done_fn op_done; /* of the add or resize under way */
	void *op_arg;
	uint64_t resize_bytes;
	bool resize_may_shrink;
	unsigned int n_awaited; /* runs that have a fence */
	struct log_limit breaks;
	struct device *next;
};

/** A device in state NEW. NULL when memory is short. */
struct device *device_new(struct registry *registry, const struct device_spec *spec,
			  struct lcores *lcores) IN_CTRL;

/** In state GONE. */
void device_free(struct device *dev) IN_CTRL;

/** The only writer of dev->state. */
void device_event(struct device *dev, enum device_event event) IN_CTRL;

/** What a JOB does to open it: store, channels, socket. All or nothing. */
int device_open(struct device *dev, struct error *err) IN_JOB;

/** Makes its lane on an lcore. 0, or -1 with *err set. */
int device_open_lane(struct device *dev, unsigned int lcore, struct lane **ret_lane,
		     struct error *err) IN_JOB;

/** What a JOB does to close it. */
void device_close(struct device *dev) IN_JOB;

/** Lets nobody in and asks everybody to leave. */
void device_quiesce(struct device *dev) IN_CTRL;

/** Are its lanes and its store CTRL's to look at? While it is opened or closed a JOB has them. */
static inline bool device_is_open(const struct device *dev) IN_CTRL
{
	return dev->state != DEVICE_NEW && dev->state != DEVICE_REMOVING &&
	       dev->state != DEVICE_GONE;
}

/** True when it is QUIESCING and no connection or run is left. */
bool device_is_quiet(const struct device *dev) IN_CTRL;

/** The run is with an lcore. */
static inline bool run_is_served(const struct ring_run *run)
{
	return run->state == RUN_ATTACHED || run->state == RUN_MOVING;
}

/* The events of its connections and runs. */
void device_on_conn_opened(struct device *dev, struct conn *conn) IN_CTRL;
void device_on_conn_closed(struct device *dev, struct conn *conn) IN_CTRL;
void device_on_conn_gone(struct device *dev, struct conn *conn) IN_CTRL;
void device_on_run_start(struct device *dev, struct ring_run *run) IN_CTRL;
void device_on_run_stop(struct device *dev, struct ring_run *run) IN_CTRL;
void device_on_run_drained(struct device *dev, struct ring_run *run) IN_CTRL;
void device_on_run_broken(struct device *dev, struct ring_run *run) IN_CTRL;

/** Changes its limits, at once. */
void device_set_qos(struct device *dev, const struct qos_spec *spec) IN_CTRL;

/** Changes its interrupt coalescing, at once. */
void device_set_coalesce(struct device *dev, uint32_t delay_us, uint32_t from_iops) IN_CTRL;

/** The monotonic clock. */
uint64_t now_us(void);

struct jobs *registry_jobs(struct registry *registry) IN_CTRL;

#endif
