/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Pinning a guest's memory for a disk that is to (engine/pinned.h). CTRL owns all of it:
 *
 *   RESTING --a new memory table--> PINNING, a JOB's work
 *      ^  \                            |
 *      |   some lane is to be told     |
 *      |            v                  |
 *      +-------- TELLING <-------------+
 *
 * I/O goes on meanwhile, on memory that is not pinned or with what the lanes were told before. The
 * lanes are told one after the other: the buffers of one ring are cloned by one lcore at a time. A
 * table is given up, and may be unmapped, when each lane was told of another, or of none.
 */
#ifndef DEVICE_DEVICE_PIN_H
#define DEVICE_DEVICE_PIN_H

#include <stdbool.h>
#include <stdint.h>

#include "device/guest_map.h"
#include "device/job.h"
#include "engine/lane.h"
#include "engine/pinned.h"

struct device;

enum pin_state { PIN_RESTING, PIN_PINNING, PIN_TELLING };

/** Each pointer to a map has a reference, but for `refused`. */
struct device_pin {
	enum pin_state state;
	struct guest_map *wanted;        /* the front end's memory; NULL: none */
	struct guest_map *making;        /* PINNING: the JOB's */
	struct guest_map *used;          /* by the lanes, or they are being told; NULL: none */
	struct guest_map *leaving;       /* some lane may still use it */
	const struct guest_map *refused; /* `wanted`, if it can't be pinned */
	unsigned int n_tries;            /* with `wanted` */
	struct job job;
	atomic_bool cancel; /* the JOB's work is in vain. CTRL writes, JOB reads */
	struct lane_pinned_msg msg;
	unsigned int telling;       /* TELLING: which of the disk's lanes */
	char why[PINNED_WHY_BYTES]; /* memory is not pinned; "" */
};

/** What `show` says. */
struct pin_view {
	const char *state; /* off, waiting, pinning, on, refused */
	const char *why;   /* refused; NULL otherwise */
	uint64_t n_bytes;  /* pinned */
	uint64_t n_ios;    /* reads and writes on them, so far */
};

/** EVENT_MAP_SET: with a reference to the map. */
void device_pin_on_map(struct device *dev, struct guest_map *map) IN_CTRL;

/** The front end has gone, or is to go. */
void device_pin_end(struct device *dev) IN_CTRL;

/** EVENT_LANE_PINNED. */
void device_pin_on_told(struct device *dev) IN_CTRL;

/** After a lane was made, and when the disk is open. */
void device_pin_settle(struct device *dev) IN_CTRL;

/** About once a second: tries again, a few times, what a limit has prevented. An earlier connection
 *  may have had the memory until now. */
void device_pin_on_tick(struct device *dev) IN_CTRL;

/** Nothing is under way, and nothing is pinned. */
bool device_pin_is_idle(const struct device *dev) IN_CTRL;

void device_pin_view(const struct device *dev, struct pin_view *ret_view) IN_CTRL;

#endif
