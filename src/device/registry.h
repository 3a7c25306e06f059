/* SPDX-License-Identifier: BSD-3-Clause
 *
 * All disks of the daemon, for the control floor. Every call is made by CTRL and returns at once;
 * what takes time ends with a call of `done` from registry_on_events(), exactly once for each
 * operation. An operation may also end, with `done` called, before the call that began it returns.
 */
#ifndef DEVICE_REGISTRY_H
#define DEVICE_REGISTRY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/thread_role.h"
#include "device/device_pin.h"
#include "device/device_state.h"
#include "device/device_step.h"
#include "device/spec.h"
#include "device/store_watch.h"
#include "engine/counters.h"
#include "engine/queue_state.h"

struct lcores;
struct offload;
struct registry;
struct device;
struct mbox;

struct queue_view {
	enum queue_state state;
	unsigned int lcore; /* that serves it, or will */
	uint32_t load_ppm;  /* of that lcore's time, lately */
	int moving_to;      /* the lcore that is to serve it next; -1 none */
	uint16_t ring_size; /* 0: not started */
	uint32_t n_inflight;
	const char *broken; /* why, in words; NULL unless BROKEN */
	const struct queue_counters *counters;
};

#define DEVICE_WAITS_FOR_BYTES 192

/** What `device.show` tells. Pointers are good until CTRL returns to its loop. */
struct device_view {
	const struct device_spec *spec;
	const char *socket_path;
	enum device_state state;
	uint64_t state_age_us;
	enum device_step step;
	uint64_t step_age_us;
	uint64_t n_overstays; /* steps that took longer than their deadline, so far */
	char waits_for[DEVICE_WAITS_FOR_BYTES]; /* "" when it waits for nothing */
	bool deleting;
	bool connected;
	pid_t peer_pid;
	uid_t peer_uid;
	uint64_t n_connections;   /* so far */
	uint64_t virtio_features; /* negotiated; 0 unconnected */
	uint64_t capacity_bytes;
	uint32_t store_block_size_bytes;
	uint64_t store_errors;
	const _Atomic uint64_t *store_errnos; /* STORE_ERRNO_MAX + 1 counts; NULL: not open */
	enum store_state store_state;
	uint64_t store_size_bytes; /* SHORT: what it had when it was looked at */
	uint64_t store_helped;
	enum store_kind store_kind; /* what AUTO has chosen */
	const char *store_why;      /* NULL while the store is not open */
	struct pin_view pin;
	bool write_cache; /* CONFIG_WCE: true write-back, false write-through */
	uint32_t n_inflight;
	uint16_t n_queues;
	enum poll_mode poll;
	struct queue_view queues[VHOSTD_QUEUES_MAX];
};

/** How an operation ended: dev is NULL after a deletion or a failed add; err is NULL on success. */
typedef void (*registry_done_fn)(void *arg, struct device *dev, const struct error *err);

struct registry_params {
	struct lcores *lcores;
	struct offload *offload;
	struct mbox *events; /* the registry is its only reader */
	const char *socket_dir;
	mode_t socket_mode;
	gid_t socket_gid;    /* (gid_t)-1: leave */
	enum poll_mode poll; /* of disks that don't say */
	uint32_t poll_idle_us;
	struct step_deadlines deadlines;
};

/** 0, or -1 with *err set. */
int registry_new(const struct registry_params *params, struct registry **ret_registry,
		 struct error *err);

/** All devices are gone. */
void registry_free(struct registry *registry);

/** The descriptor to watch for reading, and what to call then. */
int registry_event_fd(const struct registry *registry);
void registry_on_events(struct registry *registry) IN_CTRL;

/** The same, for front ends that connect. */
int registry_visitor_fd(const struct registry *registry);
void registry_on_visitors(struct registry *registry) IN_CTRL;

/** About once a second: deadlines. */
void registry_on_tick(struct registry *registry) IN_CTRL;

/** Begins to add a disk. The spec is checked and copied. */
void registry_add(struct registry *registry, const struct device_spec *spec, registry_done_fn done,
		  void *arg) IN_CTRL;

/** Begins to delete one. Refused with BUSY while a front end is connected, unless `force`. With
 *  `no_wait`, done is called (dev not NULL) as soon as the deletion has begun. */
void registry_del(struct registry *registry, const char *name, bool force, bool no_wait,
		  registry_done_fn done, void *arg) IN_CTRL;

/** Begins to resize one. size_bytes 0: the file's size. A smaller one is refused unless `shrink`;
 *  done is called when nothing past the new end is in flight any more. */
void registry_resize(struct registry *registry, const char *name, uint64_t size_bytes, bool shrink,
		     registry_done_fn done, void *arg) IN_CTRL;

/** Changes a disk's limits, checked, from its next request on. 0, or -1 with *err set. */
int registry_set_qos(struct registry *registry, const char *name, const struct qos_spec *qos,
		     struct error *err) IN_CTRL;

/** Begins to have a virtqueue served by the lcore `lcore` (a CPU number); queue MOVE_ALL: all of
 * the disk's. Requests in flight end where they are. */
void registry_move(struct registry *registry, const char *name, uint32_t queue, uint32_t lcore,
		   registry_done_fn done, void *arg) IN_CTRL;

#define MOVE_ALL            UINT32_MAX
#define REBALANCE_MOVES_MAX 64 /* proposed at once */

/** A better spread of what is served now, by the load of the last seconds. */
struct rebalance_plan {
	unsigned int n_moves;
	struct {
		struct device *dev;
		uint16_t queue;
		uint16_t from, to; /* CPU numbers */
		uint32_t load_ppm;
	} moves[REBALANCE_MOVES_MAX];
	unsigned int n_lcores;
	struct {
		uint16_t id;
		uint64_t before_ppm, after_ppm; /* sum of the virtqueues' loads */
	} lcores[VHOSTD_LCORES_MAX];
};

/** Proposes; 0, or -1 with *err set when memory is short. Disks that can't be moved now are left
 *  where they are. The plan is good until CTRL returns to its loop. */
int registry_plan(struct registry *registry, struct rebalance_plan *ret_plan,
		  struct error *err) IN_CTRL;

/** Begins to carry it out; done(arg, NULL, err) when the last virtqueue has moved. */
void registry_rebalance(struct registry *registry, const struct rebalance_plan *plan,
			registry_done_fn done, void *arg) IN_CTRL;

/** Changes a disk's interrupt coalescing, checked. 0, or -1 with *err set. */
int registry_set_coalesce(struct registry *registry, const char *name, uint32_t coalesce_us,
			  uint32_t coalesce_iops, struct error *err) IN_CTRL;

/** Begins to delete all, by force, and refuses to add from now on; done(arg, NULL, NULL) when the
 *  last one is gone. */
void registry_shutdown(struct registry *registry, registry_done_fn done, void *arg) IN_CTRL;

/** Steps of all disks, deleted ones included, that took longer than their deadline. */
uint64_t registry_overstays(const struct registry *registry) IN_CTRL;

/** How busy an lcore was lately, in millionths of its time. */
uint32_t registry_lcore_load_ppm(const struct registry *registry, unsigned int lcore) IN_CTRL;

unsigned int registry_count(const struct registry *registry) IN_CTRL;

/** NULL when there is none. */
struct device *registry_find(struct registry *registry, const char *name) IN_CTRL;

/** The disk of a struct turn_cause; NULL when it is gone. */
struct device *registry_find_number(struct registry *registry, uint32_t number) IN_CTRL;

const char *device_name(const struct device *dev) IN_CTRL;

/** In the order they were added; NULL begins, NULL ends. */
struct device *registry_next(struct registry *registry, struct device *after) IN_CTRL;

void device_view_get(const struct device *dev, struct device_view *ret_view) IN_CTRL;

#endif
